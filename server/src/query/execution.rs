//! What executing a statement gives.

use super::Rows;
use crate::copy_in::CopyIn;
use crate::copy_out::CopyOut;

/// What executing a statement gives.
#[derive(Debug)]
pub enum Execution {
    /// Rows, possibly none.
    Rows(Rows),
    /// Something was done.
    Done(CommandTag),
    /// Rows for a client that copies them.
    CopyOut(CopyOut),
    /// A table that waits for rows of the client.
    CopyIn(Box<CopyIn>),
}

/// What was done, as PostgreSQL's CommandComplete says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandTag {
    /// `INSERT`, `CREATE TABLE`, …
    pub verb: String,
    /// Rows changed, for the verbs that say so.
    pub n_rows: Option<u64>,
}

impl CommandTag {
    /// A tag without a count.
    #[must_use]
    pub fn new(verb: &str) -> Self {
        Self { verb: verb.to_owned(), n_rows: None }
    }

    /// A tag with a count.
    #[must_use]
    pub fn with_rows(verb: &str, n_rows: u64) -> Self {
        Self { verb: verb.to_owned(), n_rows: Some(n_rows) }
    }
}
