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
//! | `startup` | the first messages: encryption, parameters, SCRAM, cancel requests |
//! | `connection` | dispatch, error answers, timeouts of idle sessions |
//! | `simple_query`, `extended_query` | the two ways to run statements |
//! | `sending` | rows to the client with back-pressure, row limits, cancel |
//! | `rows`, `params` | values to bytes and back |
//!
//! Invariant: a client decides neither the size of an allocation nor how many rows are held:
//! frames are bounded by their type, and rows are encoded only as the socket drains.

mod connection;
mod extended_query;
mod frame;
mod listener;
pub(crate) mod params;
pub(crate) mod rows;
mod sending;
mod simple_query;
mod startup;
mod wire;

pub(crate) use listener::serve;
