//! State of one run of the client: the connection, the settings and where output goes.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::Arc;

use rustyline::Editor;
use rustyline::config::Config;
use rustyline::history::DefaultHistory;
use tokio::sync::watch;

use super::connect::Connection;
use super::error::{ClientError, Result};
use super::format::{Expanded, TableStyle};
use super::options::{ClientOptions, Format};
use super::pager::Pager;
use super::progress::SideConnection;
use super::target::Target;

/// What `\format`, `\x`, `\timing` and `\pager` change.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) format: Format,
    pub(super) expanded: Expanded,
    /// Time and bytes are part of the footer.
    pub(super) timing: bool,
    pub(super) pager: bool,
    pub(super) pager_command: Option<String>,
}

/// What is known about the screen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Screen {
    /// Columns and rows when standard output is a terminal.
    pub(super) size: Option<(usize, usize)>,
    /// Colours on standard output, and on standard error.
    pub(super) color: bool,
    pub(super) error_color: bool,
}

impl Screen {
    fn look(plain: bool) -> Self {
        let size = io::stdout().is_terminal().then(|| terminal_size().unwrap_or((80, 24)));
        Self {
            size,
            color: !plain && size.is_some(),
            error_color: !plain && io::stderr().is_terminal(),
        }
    }
}

/// Asks for the size of the terminal through the line editor, which knows how on every system.
fn terminal_size() -> Option<(usize, usize)> {
    let mut editor = Editor::<(), DefaultHistory>::with_config(Config::default()).ok()?;
    let (columns, rows) = editor.dimensions()?;
    let size = (usize::from(columns), usize::from(rows));
    (size.0 > 0 && size.1 > 0).then_some(size)
}

/// The whole state.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) target: Target,
    connection: Option<Connection>,
    pub(super) side: Arc<SideConnection>,
    pub(super) settings: Settings,
    pub(super) screen: Screen,
    /// True at a prompt, false in scripts.
    pub(super) interactive: bool,
    /// Where `\o` sends results.
    file: Option<BufWriter<File>>,
    /// Counts Ctrl-C.
    pub(super) interrupts: watch::Receiver<u64>,
    pub(super) last_statement: Option<String>,
    /// Depth of `\i`.
    pub(super) n_includes: usize,
}

impl Session {
    pub(super) fn new(
        options: &ClientOptions,
        target: Target,
        interrupts: watch::Receiver<u64>,
        interactive: bool,
    ) -> Self {
        let screen = Screen::look(options.plain);
        let settings = Settings {
            format: options.format.unwrap_or_default(),
            expanded: if interactive { Expanded::Auto } else { Expanded::Off },
            timing: screen.size.is_some(),
            pager: true,
            pager_command: options.pager.clone(),
        };
        Self {
            side: SideConnection::new(target.clone()),
            target,
            connection: None,
            settings,
            screen,
            interactive,
            file: None,
            interrupts,
            last_statement: None,
            n_includes: 0,
        }
    }

    /// Follows a change of the terminal's size.
    pub(super) fn set_screen_size(&mut self, columns: usize, rows: usize) {
        if self.screen.size.is_some() && columns > 0 && rows > 0 {
            self.screen.size = Some((columns, rows));
        }
    }

    /// Takes a new connection into use.
    pub(super) fn set_connection(&mut self, connection: Connection) {
        self.target = connection.target.clone();
        self.side = SideConnection::new(self.target.clone());
        self.connection = Some(connection);
    }

    pub(super) fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// Takes the connection out for the time of a statement.
    pub(super) fn take_connection(&mut self) -> Option<Connection> {
        self.connection.take()
    }

    /// Gives back what [`Session::take_connection`] took.
    pub(super) fn set_same_connection(&mut self, connection: Connection) {
        self.connection = Some(connection);
    }

    /// Returns the connection, connecting again when it was lost.
    pub(super) async fn ensure_connection(&mut self) -> Result<&mut Connection> {
        let connection =
            match self.connection.take().filter(|connection| !connection.client.is_closed()) {
                Some(connection) => connection,
                None => self.target.connect().await?,
            };
        Ok(self.connection.insert(connection))
    }

    /// Sends results to a file, or back to standard output.
    pub(super) fn set_file(&mut self, path: Option<&str>) -> Result<()> {
        if let Some(mut file) = self.file.take() {
            file.flush()?;
        }
        if let Some(path) = path {
            let file = File::create(path)
                .map_err(|error| ClientError::Usage(format!("cannot create {path}: {error}")))?;
            self.file = Some(BufWriter::new(file));
        }
        Ok(())
    }

    pub(super) fn table_style(&self) -> TableStyle {
        let to_screen = self.file.is_none();
        TableStyle {
            expanded: self.settings.expanded,
            screen_columns: self.screen.size.map(|(columns, _)| columns).filter(|_| to_screen),
            color: self.screen.color && to_screen,
        }
    }

    /// Opens the place where the next result goes. The file stays with the output until it is
    /// given back by [`Session::close_output`].
    pub(super) fn open_output(&mut self) -> Output {
        if let Some(file) = self.file.take() {
            return Output::File(file);
        }
        match self.screen.size {
            Some((columns, rows))
                if self.settings.pager && self.settings.pager_command.as_deref() != Some("") =>
            {
                Output::Pager(Pager::new(self.settings.pager_command.as_deref(), columns, rows))
            }
            _ => Output::Stdout(BufWriter::with_capacity(64 << 10, io::stdout())),
        }
    }

    pub(super) fn close_output(&mut self, output: Output) -> io::Result<()> {
        match output {
            Output::File(mut file) => {
                let flushed = file.flush();
                self.file = Some(file);
                flushed
            }
            Output::Stdout(mut stdout) => stdout.flush(),
            Output::Pager(mut pager) => pager.finish(),
        }
    }
}

/// Where a result goes.
#[derive(Debug)]
pub(super) enum Output {
    Stdout(BufWriter<io::Stdout>),
    Pager(Pager),
    File(BufWriter<File>),
}

impl Output {
    /// True once the screen belongs to the result.
    pub(super) fn is_on_screen(&self) -> bool {
        match self {
            Output::Stdout(stdout) => stdout.get_ref().is_terminal(),
            Output::Pager(pager) => pager.is_paging(),
            Output::File(_) => false,
        }
    }

    pub(super) fn as_write(&mut self) -> &mut dyn Write {
        match self {
            Output::Stdout(stdout) => stdout,
            Output::Pager(pager) => pager,
            Output::File(file) => file,
        }
    }
}
