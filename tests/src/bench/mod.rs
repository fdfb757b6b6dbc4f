//! The benchmark program: tarn over the wire beside its peers, in one run on one machine.
//!
//! Every measurement interleaves the engines, query by query and round by round, so
//! that a busy minute hits all of them; only ratios are worth quoting.
//!
//! | module | what |
//! |---|---|
//! | `args` | the command line |
//! | `answer` | rows as text with column kinds, and their comparison |
//! | `engine` | one engine that runs SQL: tarn over pg or Flight, or a peer |
//! | `peer` | a Python child process (`tests/bench/peer.py`) |
//! | `target` | the tarn server that is measured: a child process or a URL |
//! | `tpch`, `latency`, `fetch`, `concurrency`, `metadata`, `load`, `files`, `restart` | the modes |
//! | `stats`, `report`, `machine` | numbers, tables, description of the machine |

pub mod answer;
pub mod args;
pub mod concurrency;
pub mod engine;
pub mod fetch;
pub mod files;
pub mod latency;
pub mod load;
pub mod machine;
pub mod metadata;
pub mod peer;
pub mod report;
pub mod restart;
pub mod stats;
pub mod target;
pub mod tpch;
