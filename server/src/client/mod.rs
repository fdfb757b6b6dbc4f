//! `tarn sql`: an interactive client and script runner over the Postgres wire.
//!
//! It talks to any PostgreSQL server; what only tarn has (progress of a query) is asked for and done
//! without when missing. Statements go one by one as simple queries, so values arrive as the
//! server's text and formats differ only in what they make of it.
//!
//! ```text
//! prompt / -c / -f ─► splitter ─► script ─┬─► query ─► format ─► screen, pager, file
//!                                         └─► meta (\d, \x, …)
//! ```
//!
//! | file | what |
//! |---|---|
//! | `options` | what the command line hands over |
//! | `target`, `connect`, `socket`, `wire` | URL to connection; column types read along |
//! | `session` | connection, settings, output of one run |
//! | `lexer`, `splitter` | where statements end |
//! | `script` | runs pieces, reports errors |
//! | `query`, `copy`, `progress`, `pager` | one statement: stream, cancel, footer; progress line; long output |
//! | `format/` | table, CSV, JSON lines, Arrow |
//! | `meta` | backslash commands |
//! | `repl`, `complete`, `candidates`, `names` | prompt, history; what the editor asks; completion |
//! | `error` | messages with SQLSTATE and caret |
//!
//! Exit code: 0 success (also when the reader of our output leaves), 1 a statement failed,
//! 2 no connection, 130 given up by Ctrl-C.
//!
//! Not here: COPY FROM STDIN, variables, and other parts of psql's programming language.

mod candidates;
mod complete;
mod connect;
mod copy;
mod error;
mod format;
mod lexer;
mod meta;
mod names;
mod options;
mod pager;
mod progress;
mod query;
mod repl;
mod script;
mod session;
mod socket;
mod splitter;
mod target;
mod wire;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use self::error::{ClientError, Place, Result};
pub use self::options::{ClientOptions, DEFAULT_URL, Format, Script};
use self::session::Session;
use self::target::Target;

const EXIT_FAILED: u8 = 1;
const EXIT_NO_CONNECTION: u8 = 2;
const EXIT_INTERRUPTED: u8 = 130;
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);

/// Runs the client until the scripts end or the person leaves.
///
/// Must not be called from inside of a tokio runtime: it starts its own, because the line editor
/// blocks the thread it runs on.
pub fn run(options: ClientOptions) -> ExitCode {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            script::report(ClientError::Usage(format!("cannot start: {error}")), Place::default());
            return ExitCode::from(EXIT_FAILED);
        }
    };
    let result = start(&runtime, options);
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    match result.map_err(|error| script::report(error, Place::default())) {
        Ok(()) | Err(ClientError::OutputClosed) => ExitCode::SUCCESS,
        Err(ClientError::Reported { exit_code }) => ExitCode::from(exit_code),
        Err(_) => ExitCode::from(EXIT_FAILED),
    }
}

fn start(runtime: &Runtime, mut options: ClientOptions) -> Result<()> {
    let interactive =
        options.scripts.is_empty() && io::stdin().is_terminal() && io::stdout().is_terminal();
    if options.scripts.is_empty() && !interactive {
        options.scripts.push(Script::File(PathBuf::from("-")));
    }
    if options.format == Some(Format::Arrow) && io::stdout().is_terminal() {
        let what = "arrow output is binary: redirect it to a file or a program";
        return Err(ClientError::Usage(what.to_owned()));
    }
    let target = Target::parse(options.url.as_deref(), options.password.as_deref())?;
    let interrupts = runtime.block_on(async { watch_interrupts() });
    let mut session = Session::new(&options, target.clone(), interrupts, interactive);
    let mut interrupts = session.interrupts.clone();
    runtime.block_on(async {
        tokio::select! {
            connected = repl::connect(&mut session, target) => connected,
            Ok(()) = interrupts.changed() => Err(ClientError::Interrupted),
        }
    })?;
    let result = match interactive {
        true => repl::run(runtime, &mut session, &options),
        false => runtime.block_on(script::run_all(&mut session, &options.scripts)),
    };
    runtime.block_on(async {
        let written = session.set_file(None);
        if let Some(connection) = session.take_connection() {
            connection.close().await;
        }
        session.side.close().await;
        result.and(written)
    })
}

/// Counts Ctrl-C. From the first call on it no longer ends the process.
fn watch_interrupts() -> watch::Receiver<u64> {
    let (sender, receiver) = watch::channel(0);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            sender.send_modify(|n| *n += 1);
        }
        // Without signals the channel has to stay open: a closed one would look like Ctrl-C.
        std::future::pending::<()>().await;
    });
    receiver
}
