//! The differential suite: the same statements on PostgreSQL and on tarn, answers compared.
//!
//! | module | what |
//! |---|---|
//! | [`wire`] | a client that speaks the protocol itself and keeps the bytes of an answer |
//! | [`script`] | files of statements, `tests/differential/*.sql` |
//! | [`compare`] | the first difference between two answers |
//! | [`exceptions`] | the differences that are known, with the reason for each |
//! | [`run`] | all files against two servers |
//! | [`report`] | totals, and the list of differences as Markdown |
//!
//! Nothing of PostgreSQL's answers is stored: both servers are asked in each run.
//! Compared are types, names and values of columns, SQLSTATE, the command tag, the types of
//! parameters and the state of the transaction.

pub mod compare;
pub mod exceptions;
pub mod report;
pub mod run;
pub mod script;
pub mod wire;
