//! What can go wrong while a plan runs.

use datafusion::error::DataFusionError;

/// The result of running something.
pub type Result<T, E = ExecError> = std::result::Result<T, E>;

/// Conditions of execution.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// Somebody asked for the query to stop.
    #[error("canceling statement due to user request")]
    Cancelled,
    /// Too many queries wait already.
    #[error("too many queries are waiting to run")]
    QueueFull {
        /// The limit.
        n_waiting_max: usize,
    },
    /// An operator failed.
    #[error("{}", .0.find_root().message())]
    Engine(Box<DataFusionError>),
    /// An operator panicked; the query is lost, the server lives.
    #[error("internal error: a query task panicked: {what}")]
    Panicked {
        /// The panic's message.
        what: String,
    },
    /// The engine could not be started.
    #[error("could not start the engine: {what}")]
    Start {
        /// What could not be made.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine is shutting down.
    #[error("the server is shutting down")]
    Stopping,
}
