//! SQL text → [`Statement`] → bound tree → logical plan → physical plan.
//!
//! Reading order: [`parser`] (text to statements, limits), [`statement`] (what a statement asks
//! for), [`rewrite`] (PostgreSQL's constructs to DataFusion's), [`binder`] (names to pinned
//! tables), [`plan`] (plans), [`write`](mod@write) (statements that change rows), [`variables`]
//! (settings), [`functions`].
//!
//! Not here: sockets and protocols, threads, which node runs what, how a plan is executed.

pub mod analyzer;
pub mod binder;
pub mod calendar;
mod chain_type;
pub mod column_rights;
mod common_type;
mod decorrelate;
mod diagnose;
mod dialect;
mod error;
pub mod facts;
pub mod functions;
mod literals;
mod outputs;
mod parameter_hints;
pub mod parser;
pub mod plan;
pub mod point_lookup;
pub mod provider;
pub mod rewrite;
pub mod session_state;
pub mod statement;
pub mod types;
mod using;
mod utility;
pub mod variables;
mod walk;
mod widening;
pub mod write;

pub use error::{PlannerError, Result};
pub use facts::{Backends, SessionFacts, SettingsLookup};
pub use statement::{Command, Statement};
