//! Waiting for work that a client can cancel.

use std::future::Future;

use tarn_exec::ExecError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::session::Session;

/// As [`bounded`], but a commit that has begun is waited for: the client has to learn of it.
pub(super) async fn bounded_until_commit<T>(
    mut work: impl Future<Output = Result<T>> + Unpin,
    session: &Session,
    token: &CancellationToken,
    deadline: Option<Instant>,
) -> Result<T> {
    match bounded(&mut work, token, deadline).await {
        Err(Error::Exec(ExecError::Cancelled) | Error::StatementTimeout)
            if session.is_committing() =>
        {
            work.await
        }
        other => other,
    }
}

/// Waits for work unless the statement is cancelled or out of time, planning included.
pub(super) async fn bounded<T>(
    work: impl Future<Output = Result<T>>,
    token: &CancellationToken,
    deadline: Option<Instant>,
) -> Result<T> {
    let timed_out = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        result = work => result,
        () = token.cancelled() => Err(ExecError::Cancelled.into()),
        () = timed_out => Err(Error::StatementTimeout),
    }
}

/// Ends a task that nobody waits for any more.
pub(super) struct AbortOnDrop(pub(super) tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
