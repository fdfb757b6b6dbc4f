//! What the command line hands to the client.

use std::path::PathBuf;
use std::str::FromStr;

/// Where `tarn sql` connects when no URL is given.
pub const DEFAULT_URL: &str = "postgres://tarn@127.0.0.1:5432/tarn";

/// Settings of one run of `tarn sql`.
///
/// The client reads no environment by itself: the command line builds this, usually by
/// [`ClientOptions::with_environment`] with a lookup into the process environment.
#[derive(Clone, Default)]
pub struct ClientOptions {
    /// Connection URL; [`DEFAULT_URL`] when absent.
    pub url: Option<String>,
    /// What to run, in order. Empty: an interactive session, or a script from standard input
    /// when that is not a terminal.
    pub scripts: Vec<Script>,
    /// Result format; a table when absent.
    pub format: Option<Format>,
    /// Password used when the URL has none.
    pub password: Option<String>,
    /// Command line of the pager, run by `sh -c`; `less -SRX` when absent, none when empty.
    pub pager: Option<String>,
    /// Folder of the history file `.tarn_history`; no history is kept when absent.
    pub home: Option<PathBuf>,
    /// Never write colours.
    pub plain: bool,
}

impl std::fmt::Debug for ClientOptions {
    /// Leaves out the URL and the password: both can hold a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientOptions")
            .field("scripts", &self.scripts)
            .field("format", &self.format)
            .field("pager", &self.pager)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

impl ClientOptions {
    /// Fills what is still open from environment variables: `TARN_PASSWORD` or `PGPASSWORD`,
    /// `PAGER`, `HOME`, `NO_COLOR`, `TERM`.
    #[must_use]
    pub fn with_environment(mut self, lookup: impl Fn(&str) -> Option<String>) -> Self {
        self.password =
            self.password.or_else(|| lookup("TARN_PASSWORD")).or_else(|| lookup("PGPASSWORD"));
        self.pager = self.pager.or_else(|| lookup("PAGER"));
        self.home = self.home.or_else(|| lookup("HOME").map(PathBuf::from));
        self.plain |= lookup("NO_COLOR").is_some_and(|value| !value.is_empty())
            || lookup("TERM").is_some_and(|term| term == "dumb");
        self
    }
}

/// One `-c` or `-f` argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// `-c`: statements separated by `;`, or one meta command.
    Command(String),
    /// `-f`: a file of statements and meta commands; `-` is standard input.
    File(PathBuf),
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// RFC 4180 with a header line, records ended by a line feed; NULL is empty, an empty text is `""`.
    Csv,
    /// One JSON object a row and line ("JSON lines").
    Json,
    /// One Arrow IPC stream a result.
    Arrow,
}

impl Format {
    /// Every format by its name on the command line.
    pub const NAMES: [(&'static str, Format); 4] = [
        ("table", Format::Table),
        ("csv", Format::Csv),
        ("json", Format::Json),
        ("arrow", Format::Arrow),
    ];

    /// Returns the name used by `--format` and `\format`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, format)| *format == self).map_or("table", |(name, _)| name)
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, format)| *format)
            .ok_or_else(|| format!("unknown format \"{text}\": use table, csv, json or arrow"))
    }
}
