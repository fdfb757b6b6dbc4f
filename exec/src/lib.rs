//! Runs physical plans: threads, admission, memory, streams of batches, cancellation.
//!
//! Life of a query here: [`Engine::run`] waits for admission, starts a task on the CPU threads,
//! and returns a [`QueryStream`]. The task sends batches through a channel of
//! [`N_BUFFERED_BATCHES`]; while the channel is full it holds no admission permit, so that slow
//! clients cannot keep others from running. Dropping the stream stops the task and frees its
//! memory.
//!
//! Not here: SQL text, sessions, protocols, user names, error codes of the wire.

mod engine;
mod error;
mod id;
mod interrupt;
mod progress;
mod query;
mod sink;

pub use engine::{Engine, EngineOptions, Lane};
pub use error::{ExecError, Result};
pub use id::QueryId;
pub use progress::{Progress, progress_of};
pub use query::{N_BUFFERED_BATCHES, QueryStream};
pub use sink::{RowSink, SinkExec};
