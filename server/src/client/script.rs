//! Runs pieces of SQL text: `-c`, `-f`, standard input, `\i`, and what was typed at the prompt.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use tokio_postgres::error::Severity;

use super::error::{ClientError, Origin, Place, Result, render};
use super::format::Expanded;
use super::meta::{self, Next};
use super::options::Script;
use super::query;
use super::session::Session;
use super::splitter::{Piece, Splitter, What};
use super::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NO_CONNECTION};

/// Files that include each other stop here.
const INCLUDES_MAX: usize = 16;

/// Runs the scripts of the command line in order.
///
/// # Errors
/// The first failure; it has been shown already ([`ClientError::Reported`]) unless the output is gone.
pub(super) async fn run_all(session: &mut Session, scripts: &[Script]) -> Result<()> {
    for script in scripts {
        let next = match script {
            Script::Command(text) => {
                let mut splitter = Splitter::new();
                let mut pieces = splitter.push(text);
                pieces.extend(splitter.finish());
                run_pieces(session, pieces, None).await?
            }
            Script::File(path) => run_file(session, path).await?,
        };
        if next == Next::Quit {
            break;
        }
    }
    Ok(())
}

/// Carries out `\i`.
pub(super) async fn include(session: &mut Session, path: &Path) -> Result<()> {
    if session.n_includes >= INCLUDES_MAX {
        return Err(ClientError::Usage(format!(
            "files include each other more than {INCLUDES_MAX} deep"
        )));
    }
    session.n_includes += 1;
    let result = run_file(session, path).await;
    session.n_includes -= 1;
    result.map(|_| ())
}

/// Runs a file, or standard input for `-`, statement by statement as it is read.
async fn run_file(session: &mut Session, path: &Path) -> Result<Next> {
    let name = path.display().to_string();
    let unreadable = |source: io::Error| ClientError::Read { path: name.clone(), source };
    let source: Box<dyn Read + Send> = if name == "-" {
        Box::new(io::stdin())
    } else {
        match File::open(path) {
            Ok(file) => Box::new(file),
            Err(source) => return Err(report(unreadable(source), Place::default())),
        }
    };
    let shown = if name == "-" { "stdin" } else { name.as_str() };
    let mut reader = BufReader::with_capacity(64 << 10, source);
    let mut splitter = Splitter::new();
    loop {
        let text = match read_lines(&mut reader) {
            Ok(text) => text,
            Err(source) => return Err(report(unreadable(source), Place::default())),
        };
        let mut pieces = splitter.push(&text);
        let at_end = text.is_empty();
        if at_end {
            pieces.extend(splitter.finish());
        }
        if run_pieces(session, pieces, Some(shown)).await? == Next::Quit {
            return Ok(Next::Quit);
        }
        if at_end {
            return Ok(Next::Continue);
        }
    }
}

/// Reads the lines that are there, at least one; nothing at the end of the input.
fn read_lines(reader: &mut impl BufRead) -> io::Result<String> {
    let available = reader.fill_buf()?;
    let n_whole = available.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut bytes = available.get(..n_whole).unwrap_or_default().to_vec();
    reader.consume(n_whole);
    if bytes.is_empty() {
        reader.read_until(b'\n', &mut bytes)?;
    }
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the text is not UTF-8"))
}

/// Runs pieces until one fails or quits.
pub(super) async fn run_pieces(
    session: &mut Session,
    pieces: Vec<Piece>,
    file: Option<&str>,
) -> Result<Next> {
    for piece in pieces {
        let origin = file.map(|file| Origin { file, line: piece.line });
        let color = session.screen.error_color;
        match &piece.what {
            What::Meta(line) => match meta::run(session, line).await {
                Ok(Next::Continue) => {}
                Ok(Next::Quit) => return Ok(Next::Quit),
                Err(error) => {
                    // Other commands run statements of their own, which a person has not seen.
                    let repeats =
                        ["\\g", "\\watch"].iter().any(|command| line.starts_with(command));
                    let sql = session.last_statement.as_deref().filter(|_| repeats);
                    return Err(report(error, Place { sql, origin, color }));
                }
            },
            What::Statement { sql, expanded } => {
                let before = session.settings.expanded;
                if *expanded {
                    session.settings.expanded = Expanded::On;
                }
                let result = query::run(session, sql).await;
                session.settings.expanded = before;
                session.last_statement = Some(sql.clone());
                let place = Place { sql: Some(sql), origin, color };
                result.map_err(|error| report(error, place))?;
            }
        }
    }
    Ok(Next::Continue)
}

/// Shows an error, once.
pub(super) fn report(error: ClientError, place: Place<'_>) -> ClientError {
    match error {
        ClientError::OutputClosed | ClientError::Reported { .. } => error,
        error => {
            let exit_code = match &error {
                ClientError::Connect { .. }
                | ClientError::PasswordNeeded { .. }
                | ClientError::BadUrl { .. }
                | ClientError::Lost { .. } => EXIT_NO_CONNECTION,
                ClientError::Database(db) if db.parsed_severity() == Some(Severity::Fatal) => {
                    EXIT_NO_CONNECTION
                }
                ClientError::Interrupted => EXIT_INTERRUPTED,
                _ => EXIT_FAILED,
            };
            // Without standard error there is nobody to tell.
            let _ = io::stderr().write_all(render(&error, place).as_bytes());
            ClientError::Reported { exit_code }
        }
    }
}

/// Writes text of the client's own to standard output.
pub(super) fn write_out(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
