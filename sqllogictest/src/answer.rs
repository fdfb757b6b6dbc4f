//! What an engine answers, and how a value is written in a test file.
//!
//! Every engine hands over the text form that PostgreSQL gives a value; this module turns it into the canonical
//! form of the file. Not here: how a text form is made from Arrow (`arrow_text.rs`).

use std::fmt;

use sqllogictest_lib::ColumnType;

/// Type of a result column, one letter after `query`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// `I`: a two, four or eight byte integer or an oid.
    Integer,
    /// `R`: real, double precision or numeric.
    Real,
    /// `B`: boolean.
    Boolean,
    /// `D`: date, time, timestamp with or without time zone, interval.
    Date,
    /// `T`: everything else.
    Text,
    /// `?`: not compared.
    Any,
}

impl ColumnType for Letter {
    fn from_char(value: char) -> Option<Self> {
        Some(match value {
            'I' => Letter::Integer,
            'R' => Letter::Real,
            'B' => Letter::Boolean,
            'D' => Letter::Date,
            'T' => Letter::Text,
            _ => Letter::Any,
        })
    }

    fn to_char(&self) -> char {
        match self {
            Letter::Integer => 'I',
            Letter::Real => 'R',
            Letter::Boolean => 'B',
            Letter::Date => 'D',
            Letter::Text => 'T',
            Letter::Any => '?',
        }
    }
}

/// One cell: the text form of the value, or NULL.
pub type Cell = Option<String>;

/// The answer to one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A result set, possibly empty.
    Rows {
        /// One letter a column; [`Letter::Any`] where the engine was not asked.
        letters: Vec<Letter>,
        /// The rows in the order they came.
        rows: Vec<Vec<Cell>>,
    },
    /// A statement without rows, and the number of rows it changed.
    Done(u64),
}

/// An error of the engine, printed as `SQLSTATE: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    /// Five characters; `08006` when the connection broke, `57014` when the record took too long.
    pub sqlstate: String,
    /// The primary message.
    pub message: String,
}

impl SqlError {
    /// An error with this code and text.
    pub fn new(sqlstate: impl Into<String>, message: impl Into<String>) -> Self {
        SqlError { sqlstate: sqlstate.into(), message: message.into() }
    }

    /// The connection could not be made or broke.
    pub fn connection(cause: impl fmt::Display) -> Self {
        SqlError::new("08006", format!("connection: {cause}"))
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.sqlstate, self.message)
    }
}

impl std::error::Error for SqlError {}

/// How values are written and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Values {
    /// The engine's text form, column types compared: the project's own files.
    #[default]
    Exact,
    /// Converted to the type the record asks for, as SQLite's own runner does: `I` truncates to an integer,
    /// `R` has three decimals, unprintable characters are `@`; column types are not compared.
    Sqlite,
}

impl Values {
    /// Writes one cell for a column that the record declares as `letter`.
    pub fn render(self, cell: Option<&str>, letter: Option<Letter>) -> String {
        let Some(text) = cell else {
            return "NULL".to_owned();
        };
        if text.is_empty() {
            return "(empty)".to_owned();
        }
        match (self, letter) {
            (Values::Exact, _) => escape(text),
            (Values::Sqlite, Some(Letter::Integer)) => sqlite_integer(text),
            (Values::Sqlite, Some(Letter::Real)) => sqlite_real(text),
            (Values::Sqlite, _) => {
                text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '@' }).collect()
            }
        }
    }
}

/// A record's result ends at an empty line, so line breaks are written as escapes.
fn escape(text: &str) -> String {
    if !text.contains(['\n', '\r', '\t']) {
        return text.to_owned();
    }
    text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

/// What `sqlite3_column_int64` makes of a value: reals are truncated, text counts by its leading digits.
fn sqlite_integer(text: &str) -> String {
    match text {
        "t" => return "1".to_owned(),
        "f" => return "0".to_owned(),
        _ => {}
    }
    if let Ok(value) = text.parse::<i128>() {
        return value.to_string();
    }
    if let Ok(value) = text.parse::<f64>()
        && value.is_finite()
    {
        let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
        return match whole.parse::<i128>() {
            Ok(whole) => whole.to_string(),
            Err(_) => format!("{:.0}", value.trunc()),
        };
    }
    let n_sign = usize::from(text.starts_with(['-', '+']));
    let n_digits = text[n_sign..].bytes().take_while(u8::is_ascii_digit).count();
    text[..n_sign + n_digits].parse::<i128>().unwrap_or(0).to_string()
}

fn sqlite_real(text: &str) -> String {
    match text {
        "t" => "1.000".to_owned(),
        "f" => "0.000".to_owned(),
        _ => text.parse::<f64>().map_or_else(|_| "0.000".to_owned(), |value| format!("{value:.3}")),
    }
}
