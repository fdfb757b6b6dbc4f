//! Harness of tarn's integration tests and the benchmark program.
//!
//! - [`harness`] starts servers, makes demo data once per machine and finds the
//!   programs that client suites drive.
//! - [`differential`] compares answers with those of PostgreSQL.
//! - [`fakes`] are object stores, good and bad ones.
//! - [`fuzz`] feeds decoders with what no client sends.
//! - [`bench`] is everything the `bench` binary does.
//!
//! The tests themselves are in `tests/it`, the programs they drive in `tests/clients`.
#![allow(
    clippy::disallowed_methods,
    reason = "the bans keep product code on its own spawners and settings; this crate is a client"
)]

pub mod bench;
pub mod differential;
pub mod fakes;
pub mod fuzz;
pub mod harness;
