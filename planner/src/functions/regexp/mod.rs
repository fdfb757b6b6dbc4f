//! Regular expressions: the operators `~` and its kin, `regexp_…` and `substring(x FROM pattern)`.
//!
//! [`translate`] brings PostgreSQL's syntax to the `regex` crate's, [`compiled`] keeps what was
//! translated last, [`longest`] finds the longest match, [`functions`](mod@functions) are the functions.

mod compiled;
mod functions;
mod longest;
mod translate;

pub(crate) use functions::{REGEXP_LIKE_OPERATOR, all, substring};
