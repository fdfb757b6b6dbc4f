//! All integration tests in one binary: each further one would link DataFusion again.
//!
//! | module | what |
//! |---|---|
//! | `clients` | drivers, psql, and Delta tables of other writers |
//! | `tidy` | dependencies between the crates, sizes, one of each big crate |
//! | `tpch` | the 22 queries over both frontends against DuckDB |
#![allow(
    clippy::disallowed_methods,
    reason = "the bans keep product code on its own settings; tests read the environment"
)]

mod clients;
mod hostile;
mod lifecycle;
mod protocol;
mod serve;
mod streaming;
mod tidy;
mod tpch;
mod wire;
