//! What ends a connection whatever it does.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// An administrator who has told the session to end, or a transaction that takes too long.
pub(super) struct Ending {
    pub(super) terminated: CancellationToken,
    pub(super) deadline: Option<Instant>,
}

impl Ending {
    /// Whether an administrator has told the session to end.
    pub(super) fn is_terminated(&self) -> bool {
        self.terminated.is_cancelled()
    }

    /// Waits for it.
    pub(super) async fn wait(&self) -> Error {
        let timeout = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.terminated.cancelled() => Error::Stopping,
            () = timeout => Error::IdleTimeout { what: "transaction timeout", code: "25P04" },
        }
    }
}
