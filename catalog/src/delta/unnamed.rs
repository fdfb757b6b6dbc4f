//! Files that no version names yet: they go with the last that knows of them.
//!
//! ```text
//! writer ──makes──▶ Unnamed ◀── NewFile ◀── StagedTable ◀── transaction, savepoints
//!                      │ the last of these is dropped
//!          kept? ──yes─┴──no──▶ Leftovers ──▶ deleted in the background
//!            ▼
//!   stays: a version names it, or may
//! ```
//! Cancelling a statement, an error, ROLLBACK and a lost race all end in a drop, so there is one way
//! for all of them. A file is kept from before its commit is first put to when it is known for certain
//! that the commit is not there: one of unknown outcome never loses its files. A process that is
//! killed leaves its files to VACUUM.
//!
//! Requests that make a file run to their end in tasks of their own, which hold the file: it is never
//! deleted before it is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{
    Error as StoreError, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload,
    Result as StoreResult,
};
use parking_lot::Mutex;

use super::log_upkeep::in_background;

/// The files of one statement that have lost their last owner; deleted together.
#[derive(Debug)]
pub(super) struct Leftovers {
    store: Arc<dyn ObjectStore>,
    gone: Mutex<Vec<Path>>,
}

impl Leftovers {
    /// None yet.
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self { store, gone: Mutex::default() })
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        let gone = std::mem::take(self.gone.get_mut());
        if gone.is_empty() {
            return;
        }
        let store = Arc::clone(&self.store);
        in_background(async move {
            let paths = stream::iter(gone.into_iter().map(Ok)).boxed();
            let mut deleted = store.delete_stream(paths);
            while let Some(done) = deleted.next().await {
                match done {
                    Ok(_) | Err(StoreError::NotFound { .. }) => {}
                    Err(error) => tracing::debug!(%error, "an unneeded file is left for VACUUM"),
                }
            }
        });
    }
}

/// A file that is in storage, or on its way there, and that no version names.
#[derive(Debug)]
pub(super) struct Unnamed {
    path: Path,
    leftovers: Arc<Leftovers>,
    is_kept: AtomicBool,
}

impl Unnamed {
    /// A file that is about to be made.
    pub(super) fn new(leftovers: &Arc<Leftovers>, path: Path) -> Arc<Self> {
        let leftovers = Arc::clone(leftovers);
        Arc::new(Self { path, leftovers, is_kept: AtomicBool::new(false) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A commit names it, or may.
    pub(super) fn keep(&self) {
        self.is_kept.store(true, Ordering::Release);
    }

    /// It is certain that no commit names it.
    pub(super) fn release(&self) {
        self.is_kept.store(false, Ordering::Release);
    }

    /// Puts it as a whole.
    ///
    /// # Cancel safety
    /// The request goes on, and the file goes after it.
    pub(super) async fn put(self: &Arc<Self>, payload: PutPayload) -> StoreResult<()> {
        let file = Arc::clone(self);
        self.to_the_end(
            async move { file.leftovers.store.put(&file.path, payload).await.map(drop) },
        )
        .await
    }

    /// Begins to put it in parts.
    ///
    /// # Cancel safety
    /// The upload is given up once it has begun.
    pub(super) async fn begin_parts<T: Send + 'static>(
        self: &Arc<Self>,
        take: impl FnOnce(Box<dyn MultipartUpload>) -> T + Send + 'static,
    ) -> StoreResult<T> {
        let file = Arc::clone(self);
        let begun = async move { Ok(take(file.leftovers.store.put_multipart(&file.path).await?)) };
        self.to_the_end(begun).await
    }

    /// Runs a request to its end, also when the caller goes; the file is held as long.
    pub(super) async fn to_the_end<T: Send + 'static>(
        self: &Arc<Self>,
        request: impl Future<Output = StoreResult<T>> + Send + 'static,
    ) -> StoreResult<T> {
        let file = Arc::clone(self);
        let request = async move {
            let done = request.await;
            drop(file);
            done
        };
        match tokio::spawn(request).await {
            Ok(done) => done,
            Err(source) => Err(StoreError::JoinError { source }),
        }
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if !self.is_kept.load(Ordering::Acquire) {
            self.leftovers.gone.lock().push(std::mem::take(&mut self.path));
        }
    }
}
