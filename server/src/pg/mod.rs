//! The Postgres wire: pgwire's messages, our own connection loop.
//!
//! ```text
//!  accept ─► startup: TLS, parameters, password ─► connection: one message after another
//!                                                    │ Query            simple_query
//!                                                    │ Parse … Sync     extended_query
//!                                                    ▼
//!                     rows: batches ─► DataRow bytes ─► socket, 64 KiB at a time
//! ```
//!
//! | module | what |
//! |---|---|
//! | `listener` | accept loop, connection limit |
//! | `frame` | which frames are well formed |
//! | `wire` | frames in, bytes out, watching for a client that is gone |
//! | `socket` | a TCP stream, encrypted or not |
//! | `startup` | the first messages: encryption, parameters, SCRAM, cancel requests |
//! | `connection` | dispatch, error answers, timeouts of idle sessions |
//! | `ending` | what ends a connection whatever it does |
//! | `simple_query`, `extended_query` | the two ways to run statements |
//! | `sending` | rows to the client with back-pressure, row limits, cancel |
//! | `rows`, `params` | values to bytes and back |
//! | `fuzzing` | what a fuzzer calls |
//! | `forms` | the same text forms for casts inside of queries |
//!
//! Invariant: a client decides neither the size of an allocation nor how many rows are held:
//! frames are bounded by their type, and rows are encoded only as the socket drains.

mod connection;
mod copy_in;
mod copy_out;
mod copy_reader;
mod ending;
mod extended_query;
pub(crate) mod forms;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod listener;
pub(crate) mod params;
pub(crate) mod rows;
mod sending;
mod simple_query;
mod socket;
mod startup;
mod wire;

pub(crate) use listener::serve;
