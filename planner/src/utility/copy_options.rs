//! The options of COPY, checked as PostgreSQL checks them.

use super::GrammarError;
use crate::error::PlannerError;

type Result<T> = std::result::Result<T, GrammarError>;

/// The three forms of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFormat {
    /// Columns between tabs, `\N` for NULL, backslashes before what is special.
    Text,
    /// Values between commas, in quotes where needed.
    Csv,
    /// PostgreSQL's own.
    Binary,
}

/// Whether the first line holds names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// There is none.
    Off,
    /// It is written, or skipped.
    On,
    /// It has to name the columns.
    Match,
}

/// Columns that are treated in a special way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// All of them.
    All,
    /// Those named, perhaps none.
    Named(Vec<String>),
}

impl Columns {
    /// Whether a column is among them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|named| named == name),
        }
    }

    /// The names that were written.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::Named(names) => names,
        }
    }
}

/// What becomes of rows that cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyErrors {
    /// They are left out, instead of ending the COPY.
    pub ignore: bool,
    /// Each of them is told of.
    pub verbose: bool,
    /// Not even their number is told.
    pub silent: bool,
    /// How many may be left out.
    pub n_rows_max: Option<u64>,
}

/// How copied data look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOptions {
    /// Text, CSV or binary.
    pub format: CopyFormat,
    /// Between columns.
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: String,
    /// The first line.
    pub header: Header,
    /// Around CSV values.
    pub quote: u8,
    /// Before quotes inside of CSV values.
    pub escape: u8,
    /// Columns whose values are always in quotes.
    pub force_quote: Columns,
    /// Columns that are never NULL.
    pub force_not_null: Columns,
    /// Columns that are NULL also where the NULL string is in quotes.
    pub force_null: Columns,
    /// ON_ERROR and its kin.
    pub errors: CopyErrors,
}

/// An option as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawOption {
    pub(crate) name: String,
    pub(crate) argument: Argument,
}

/// An option's value as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Argument {
    None,
    Text(String),
    All,
    Names(Vec<String>),
}

impl RawOption {
    pub(crate) fn text(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), argument: Argument::Text(value.to_owned()) }
    }
}

/// The options that were given, each at most once.
#[derive(Default)]
struct Given<'a> {
    format: Option<CopyFormat>,
    delimiter: Option<&'a str>,
    null: Option<&'a str>,
    header: Option<Header>,
    quote: Option<&'a str>,
    escape: Option<&'a str>,
    force_quote: Option<Columns>,
    force_not_null: Option<Columns>,
    force_null: Option<Columns>,
    errors: CopyErrors,
}

impl CopyOptions {
    /// # Errors
    /// `Semantics` with PostgreSQL's codes and words.
    pub(crate) fn read(raw: &[RawOption], from: bool) -> Result<Self> {
        let mut given = Given::default();
        let mut seen = std::collections::BTreeSet::new();
        for option in raw {
            if !seen.insert(option.name.as_str()) {
                return Err(error("42601", "conflicting or redundant options"));
            }
            given.take(option, from)?;
        }
        given.check(from)
    }
}

impl<'a> Given<'a> {
    fn take(&mut self, option: &'a RawOption, from: bool) -> Result<()> {
        match option.name.as_str() {
            "format" => {
                let text = text_of(option)?;
                self.format = Some(match text {
                    "text" => CopyFormat::Text,
                    "csv" => CopyFormat::Csv,
                    "binary" => CopyFormat::Binary,
                    other => {
                        let message = format!("COPY format \"{other}\" not recognized");
                        return Err(error("22023", message));
                    }
                });
            }
            "delimiter" => self.delimiter = Some(text_of(option)?),
            "null" => self.null = Some(text_of(option)?),
            "quote" => self.quote = Some(text_of(option)?),
            "escape" => self.escape = Some(text_of(option)?),
            "header" => self.header = Some(header(option, from)?),
            "force_quote" => self.force_quote = Some(columns(option, true)?),
            "force_not_null" => self.force_not_null = Some(columns(option, false)?),
            "force_null" => self.force_null = Some(columns(option, false)?),
            "freeze" => {
                // Rows are visible at once or not at all here as well.
                boolean(option)?;
            }
            "encoding" => encoding(text_of(option)?)?,
            "on_error" | "log_verbosity" | "reject_limit" if !from => {
                let name = option.name.to_uppercase();
                return Err(error("42601", format!("COPY {name} cannot be used with COPY TO")));
            }
            "on_error" => self.errors.ignore = choice(option, &["stop", "ignore"])? == "ignore",
            "log_verbosity" => {
                let word = choice(option, &["default", "verbose", "silent"])?;
                self.errors.verbose = word == "verbose";
                self.errors.silent = word == "silent";
            }
            "reject_limit" => {
                let number = text_of(option)?.parse().ok().filter(|number| *number > 0);
                let message = "REJECT_LIMIT must be a whole number greater than zero";
                self.errors.n_rows_max = Some(number.ok_or_else(|| error("22023", message))?);
            }
            other => {
                return Err(error("42601", format!("option \"{other}\" not recognized")));
            }
        }
        Ok(())
    }

    fn check(self, from: bool) -> Result<CopyOptions> {
        let format = self.format.unwrap_or(CopyFormat::Text);
        let csv = format == CopyFormat::Csv;
        self.check_binary(format)?;
        let delimiter = one_byte(self.delimiter, if csv { b',' } else { b'\t' }, "delimiter")?;
        let quote = one_byte(self.quote.filter(|_| csv), b'"', "quote")?;
        let escape = one_byte(self.escape.filter(|_| csv), quote, "escape")?;
        let null = self.null.unwrap_or(if csv { "" } else { "\\N" });
        if matches!(delimiter, b'\r' | b'\n') {
            return Err(error("22023", "COPY delimiter cannot be newline or carriage return"));
        }
        if null.contains(['\r', '\n']) {
            let message = "COPY null representation cannot use newline or carriage return";
            return Err(error("22023", message));
        }
        let special = b"\\.abcdefghijklmnopqrstuvwxyz0123456789";
        if !csv && special.contains(&delimiter) {
            let message = format!("COPY delimiter cannot be \"{}\"", char::from(delimiter));
            return Err(error("22023", message));
        }
        self.check_csv_only(csv, from)?;
        if self.errors.n_rows_max.is_some() && !self.errors.ignore {
            let message = "COPY REJECT_LIMIT requires ON_ERROR to be set to IGNORE";
            return Err(error("22023", message));
        }
        if self.errors.ignore && format == CopyFormat::Binary {
            return Err(error("42601", "only ON_ERROR STOP is allowed in BINARY mode"));
        }
        if csv && delimiter == quote {
            return Err(error("22023", "COPY delimiter and quote must be different"));
        }
        if null.as_bytes().contains(&delimiter) {
            let message = "COPY delimiter must not appear in the NULL specification";
            return Err(error("0A000", message));
        }
        if csv && null.as_bytes().contains(&quote) {
            let message = "CSV quote character must not appear in the NULL specification";
            return Err(error("0A000", message));
        }
        let none = || Columns::Named(vec![]);
        Ok(CopyOptions {
            format,
            delimiter,
            null: null.to_owned(),
            header: self.header.unwrap_or(Header::Off),
            quote,
            escape,
            force_quote: self.force_quote.unwrap_or_else(none),
            force_not_null: self.force_not_null.unwrap_or_else(none),
            force_null: self.force_null.unwrap_or_else(none),
            errors: self.errors,
        })
    }

    fn check_binary(&self, format: CopyFormat) -> Result<()> {
        if format != CopyFormat::Binary {
            return Ok(());
        }
        if self.delimiter.is_some() {
            return Err(error("42601", "cannot specify DELIMITER in BINARY mode"));
        }
        if self.null.is_some() {
            return Err(error("42601", "cannot specify NULL in BINARY mode"));
        }
        if self.header.is_some_and(|header| header != Header::Off) {
            return Err(error("0A000", "cannot specify HEADER in BINARY mode"));
        }
        Ok(())
    }

    fn check_csv_only(&self, csv: bool, from: bool) -> Result<()> {
        let csv_only = [
            ("quote", self.quote.is_some()),
            ("escape", self.escape.is_some()),
            ("force quote", self.force_quote.is_some()),
            ("force not null", self.force_not_null.is_some()),
            ("force null", self.force_null.is_some()),
        ];
        if let Some((name, _)) = csv_only.iter().find(|(_, given)| *given && !csv) {
            return Err(error("0A000", format!("COPY {name} available only in CSV mode")));
        }
        if self.force_quote.is_some() && from {
            return Err(error("0A000", "COPY force quote only available using COPY TO"));
        }
        for (name, given) in [
            ("force not null", self.force_not_null.is_some()),
            ("force null", self.force_null.is_some()),
        ] {
            if given && !from {
                return Err(error("0A000", format!("COPY {name} only available using COPY FROM")));
            }
        }
        Ok(())
    }
}

fn text_of(option: &RawOption) -> Result<&str> {
    match &option.argument {
        Argument::Text(text) => Ok(text),
        Argument::None => Err(error("42601", format!("{} requires a parameter", option.name))),
        Argument::All | Argument::Names(_) => {
            Err(error("42601", format!("{} requires a parameter", option.name)))
        }
    }
}

/// One of several words.
fn choice<'a>(option: &'a RawOption, words: &[&'a str]) -> Result<&'a str> {
    let text = text_of(option)?;
    let known = words.iter().find(|word| text.eq_ignore_ascii_case(word));
    known.copied().ok_or_else(|| {
        let name = option.name.to_uppercase();
        error("22023", format!("COPY {name} \"{text}\" not recognized"))
    })
}

fn boolean(option: &RawOption) -> Result<bool> {
    let text = match &option.argument {
        Argument::None => return Ok(true),
        Argument::Text(text) => text.to_lowercase(),
        Argument::All | Argument::Names(_) => String::new(),
    };
    match text.as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(error("42601", format!("{} requires a Boolean value", option.name))),
    }
}

fn header(option: &RawOption, from: bool) -> Result<Header> {
    if matches!(&option.argument, Argument::Text(text) if text.eq_ignore_ascii_case("match")) {
        if !from {
            return Err(error("0A000", "cannot use \"match\" with HEADER in COPY TO"));
        }
        return Ok(Header::Match);
    }
    match boolean(option) {
        Ok(true) => Ok(Header::On),
        Ok(false) => Ok(Header::Off),
        Err(_) => Err(error("42601", "header requires a Boolean value or \"match\"")),
    }
}

fn columns(option: &RawOption, star: bool) -> Result<Columns> {
    match &option.argument {
        Argument::All if star => Ok(Columns::All),
        Argument::Names(names) => Ok(Columns::Named(names.clone())),
        Argument::None | Argument::Text(_) | Argument::All => {
            let message =
                format!("argument to option \"{}\" must be a list of column names", option.name);
            Err(error("22023", message))
        }
    }
}

fn encoding(name: &str) -> Result<()> {
    let plain = name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "");
    match plain.as_str() {
        "utf8" | "unicode" | "sqlascii" => Ok(()),
        "latin1" | "iso88591" | "win1252" | "latin9" => Err(PlannerError::Unsupported {
            what: format!("COPY in the encoding {name}"),
            hint: Some("Data are UTF8.".to_owned()),
        }
        .into()),
        _ => Err(error("22023", "argument to option \"encoding\" must be a valid encoding name")),
    }
}

fn one_byte(given: Option<&str>, default: u8, what: &str) -> Result<u8> {
    match given.map(str::as_bytes) {
        None => Ok(default),
        Some([byte]) => Ok(*byte),
        Some(_) => Err(error("0A000", format!("COPY {what} must be a single one-byte character"))),
    }
}

fn error(code: &'static str, message: impl Into<String>) -> GrammarError {
    PlannerError::Semantics { code, message: message.into(), position: None }.into()
}
