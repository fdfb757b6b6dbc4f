//! What can go wrong in the client and how a person reads it.

use std::io;

use tokio_postgres::error::{DbError, ErrorPosition};
use unicode_width::UnicodeWidthStr;

/// A failure of the client.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("invalid connection URL: {reason}")]
    BadUrl { reason: String },
    #[error("cannot connect to {target}: {reason}")]
    Connect { target: String, reason: String },
    /// The server wants a password and none is known.
    #[error("a password is needed for {target}")]
    PasswordNeeded { target: String },
    /// The server answered with an error.
    #[error("{}", .0.message())]
    Database(Box<DbError>),
    #[error("the connection to the server was lost: {reason}")]
    Lost { reason: String },
    /// A meta command or option that cannot be carried out.
    #[error("{0}")]
    Usage(String),
    #[error("cannot read {path}: {source}")]
    Read { path: String, source: io::Error },
    #[error("cannot write: {0}")]
    Write(io::Error),
    /// Whoever reads our output has gone away: the end, not a failure.
    #[error("output closed")]
    OutputClosed,
    #[error("gave up waiting for the server")]
    Interrupted,
    /// Already shown to the person.
    #[error("failed")]
    Reported { exit_code: u8 },
}

pub(super) type Result<T, E = ClientError> = std::result::Result<T, E>;

impl From<io::Error> for ClientError {
    /// Every plain I/O error met here comes from writing results.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => ClientError::OutputClosed,
            _ => ClientError::Write(error),
        }
    }
}

impl From<tokio_postgres::Error> for ClientError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => ClientError::Database(Box::new(db.clone())),
            None => ClientError::Lost { reason: chain(&error) },
        }
    }
}

impl ClientError {
    /// True when the connection cannot be used any more.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(self, ClientError::Lost { .. })
    }
}

/// Joins an error and its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Where a statement stands in a script, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) file: &'a str,
    pub(super) line: usize,
}

/// What is known about where an error comes from, and how to show it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place<'a> {
    /// The statement that failed.
    pub(super) sql: Option<&'a str>,
    pub(super) origin: Option<Origin<'a>>,
    pub(super) color: bool,
}

/// Renders an error as lines for a person.
///
/// ```text
/// script.sql:3: ERROR 42P01: table "nations" does not exist
/// LINE 1: SELECT * FROM nations
///                       ^
/// HINT: …
/// ```
pub(super) fn render(error: &ClientError, place: Place<'_>) -> String {
    let origin = place.origin;
    let (red, reset) = if place.color { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    let ClientError::Database(db) = error else {
        let at = origin.map(|o| format!("{}:{}: ", o.file, o.line)).unwrap_or_default();
        return format!("{at}{red}ERROR{reset}: {error}\n");
    };
    let excerpt = match (db.position(), place.sql) {
        (Some(ErrorPosition::Original(position)), Some(sql)) => excerpt(sql, *position),
        (Some(ErrorPosition::Internal { position, query }), _) => excerpt(query, *position)
            .map(|(line, text)| (line, format!("in an internal query\n{text}"))),
        _ => None,
    };
    let mut text = String::new();
    if let Some(origin) = origin {
        let line = origin.line + excerpt.as_ref().map_or(0, |(line, _)| line - 1);
        text.push_str(&format!("{}:{line}: ", origin.file));
    }
    text.push_str(&format!(
        "{red}{} {}{reset}: {}\n",
        db.severity(),
        db.code().code(),
        db.message()
    ));
    if let Some((_, lines)) = excerpt {
        text.push_str(&lines);
    }
    for (label, value) in [("DETAIL", db.detail()), ("HINT", db.hint()), ("CONTEXT", db.where_())] {
        if let Some(value) = value {
            text.push_str(&format!("{label}: {value}\n"));
        }
    }
    text
}

/// Columns shown of a line with an error.
const EXCERPT_COLUMNS: usize = 100;

/// Returns the line number (from 1) of the error and the line with a caret below it.
/// `position` counts characters from 1, as PostgreSQL does.
fn excerpt(sql: &str, position: u32) -> Option<(usize, String)> {
    let n_before = usize::try_from(position).ok()?.checked_sub(1)?;
    let at = sql.char_indices().map(|(at, _)| at).chain([sql.len()]).nth(n_before)?;
    let (before, after) = sql.split_at_checked(at)?;
    let line_number = before.matches('\n').count() + 1;
    let head = before.rsplit('\n').next().unwrap_or("").replace('\t', " ");
    let tail = after.split('\n').next().unwrap_or("").replace(['\t', '\r'], " ");
    // A long line is cut around the error.
    let n_cut = head.chars().count().saturating_sub(EXCERPT_COLUMNS * 2 / 3);
    let mut shown: String = head.chars().skip(n_cut).collect();
    if n_cut > 0 {
        shown.insert_str(0, "...");
    }
    let label = format!("LINE {line_number}: ");
    let caret = " ".repeat(label.width() + shown.width());
    let n_room = EXCERPT_COLUMNS.saturating_sub(shown.chars().count());
    shown.extend(tail.chars().take(n_room));
    if tail.chars().count() > n_room {
        shown.push_str("...");
    }
    Some((line_number, format!("{label}{}\n{caret}^\n", shown.trim_end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, position: u32, expect: &str) {
        assert_eq!(
            excerpt(sql, position).map(|(_, text)| text).unwrap_or_default(),
            expect,
            "{sql}"
        );
    }

    #[test]
    fn caret_under_the_error() {
        check("select x", 8, "LINE 1: select x\n               ^\n");
        check("select 1,\n\tfoo bar", 12, "LINE 2:  foo bar\n         ^\n");
        check("select '日本', x", 14, "LINE 1: select '日本', x\n                       ^\n");
        check("select", 7, "LINE 1: select\n              ^\n");
        check("select", 99, "");
        check("select", 0, "");
    }

    #[test]
    fn long_lines_are_cut() {
        let sql = format!("select {} x", "a, ".repeat(200));
        let text = excerpt(&sql, 608).map(|(_, text)| text).unwrap_or_default();
        assert!(text.lines().all(|line| line.chars().count() < 120), "{text}");
        let caret = text.lines().nth(1).map(str::len).unwrap_or_default();
        assert_eq!(text.lines().next().and_then(|line| line.chars().nth(caret - 1)), Some(' '));
    }
}
