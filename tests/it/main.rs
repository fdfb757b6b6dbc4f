//! All integration tests in one binary: each further one would link DataFusion again.
//!
//! | module | what |
//! |---|---|
//! | `clients` | drivers, psql, and Delta tables of other writers |
//! | `scripts` | messages and their answers on tarn and on PostgreSQL, from `scripts/`
//! | `differential` | the statements of `tests/differential` on PostgreSQL and tarn |
//! | `stores` | object stores, their conditional puts, trouble and a bad network |
//! | `tidy` | dependencies between the crates, sizes, one of each big crate |
//! | `tpch` | the 22 queries over both frontends against DuckDB |
#![allow(
    clippy::disallowed_methods,
    reason = "the bans keep product code on its own settings; tests read the environment"
)]

mod clients;
mod differential;
mod fuzz;
mod hostile;
mod idle;
mod lifecycle;
mod limits;
mod login;
mod protocol;
mod scripts;
mod serve;
mod stores;
mod streaming;
mod tidy;
mod tpch;
mod wire;
