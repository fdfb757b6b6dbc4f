//! A store whose create-if-absent can be relied on.
//!
//! A commit of a lake table is one put that must fail if the object exists. Two things go wrong
//! with it in practice:
//!
//! - Some servers ignore the condition and overwrite, so that two writers both believe that they
//!   have committed. The first conditional put tests it with an object of its own, put twice; where
//!   that is not refused, nothing is written.
//! - A put whose answer is lost may have been done, and a put that was retried after a server error
//!   may fail because of its own first attempt. Such a put is settled by reading the object back:
//!   the same bytes mean success, no object means another try, other bytes mean that another writer
//!   was faster. Callers make bytes unique (each commit carries an id).
//!
//! ```text
//!  put(Create) ──▶ tested? ──▶ put ──┬─ done ─────────────────────────────▶ Ok
//!                                    ├─ exists, timeout, 5xx ─▶ read back ─┬─ same   ▶ Ok
//!                                    │                          ▲          ├─ other  ▶ AlreadyExists
//!                                    │                          └─ again ◀─┴─ absent
//!                                    └─ denied, no bucket, … ─────────────▶ Err
//! ```

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ::object_store::path::Path;
use ::object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, RenameOptions, Result as StoreResult,
};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use parking_lot::RwLock;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// How often a put whose outcome is unknown is tried before its error is given to the caller.
const ATTEMPTS_MAX: u32 = 4;
/// Wait before the second attempt; doubled for each further one.
const WAIT_MS: u64 = 50;

/// The store ignores the condition of a put, so nothing may be committed to it.
#[derive(Debug, thiserror::Error)]
#[error("the store does not support conditional writes: {reason}")]
pub struct ConditionalPutIgnored {
    /// What the test showed.
    pub reason: String,
}

/// The outcome of a conditional put could not be found out: the object may appear later.
#[derive(Debug, thiserror::Error)]
#[error("whether \"{path}\" was written is not known")]
pub struct OutcomeUnknown {
    /// The object.
    pub path: String,
    /// What the put said.
    #[source]
    pub source: StoreError,
}

/// A store that can be exchanged while it is in use, with conditional puts that hold.
#[derive(Debug)]
pub(super) struct GuardedStore {
    /// None once its credentials were dropped.
    backend: RwLock<Option<Arc<Backend>>>,
}

#[derive(Debug)]
struct Backend {
    store: Arc<dyn ObjectStore>,
    /// Whether the network stands in between: then conditions are tested and outcomes doubted.
    remote: bool,
    /// The reason why conditional puts cannot be used, if so.
    verdict: OnceCell<Option<String>>,
}

impl fmt::Display for GuardedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.backend.read().as_ref() {
            Some(backend) => backend.store.fmt(f),
            None => f.write_str("a dropped storage"),
        }
    }
}

impl GuardedStore {
    pub(super) fn new(store: Arc<dyn ObjectStore>, remote: bool) -> Self {
        let this = Self { backend: RwLock::new(None) };
        this.exchange(Some(store), remote);
        this
    }

    /// Puts another store in its place, or none: for changed and dropped credentials.
    pub(super) fn exchange(&self, store: Option<Arc<dyn ObjectStore>>, remote: bool) {
        let backend =
            store.map(|store| Arc::new(Backend { store, remote, verdict: OnceCell::new() }));
        *self.backend.write() = backend;
    }

    /// Whether its credentials were dropped.
    pub(super) fn is_gone(&self) -> bool {
        self.backend.read().is_none()
    }

    fn backend(&self) -> StoreResult<Arc<Backend>> {
        self.backend.read().clone().ok_or_else(|| StoreError::Unauthenticated {
            path: String::new(),
            source: "the storage with its credentials was dropped".into(),
        })
    }

    fn store(&self) -> StoreResult<Arc<dyn ObjectStore>> {
        self.backend().map(|backend| Arc::clone(&backend.store))
    }

    /// Tests conditional puts below `folder` unless that has been done; `Err` in the result is the
    /// reason why they cannot be used.
    pub(super) async fn test(&self, folder: &Path) -> StoreResult<Result<(), String>> {
        let backend = self.backend()?;
        if !backend.remote {
            return Ok(Ok(()));
        }
        let verdict = backend.verdict.get_or_try_init(|| put_twice(&backend.store, folder)).await?;
        Ok(verdict.clone().map_or(Ok(()), Err))
    }

    async fn create(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> StoreResult<PutResult> {
        let backend = self.backend()?;
        if !backend.remote {
            return backend.store.put_opts(location, payload, opts).await;
        }
        if let Err(reason) = self.test(&test_folder(location)).await? {
            return Err(StoreError::NotSupported {
                source: Box::new(ConditionalPutIgnored { reason }),
            });
        }
        let mut attempt = 0;
        loop {
            let put = backend.store.put_opts(location, payload.clone(), opts.clone()).await;
            let error = match put {
                Err(error) if is_ambiguous(&error) => error,
                settled => return settled,
            };
            attempt += 1;
            match (stored(&backend.store, location, &payload).await, &error) {
                (Stored::Same(result), _) => return Ok(result),
                (Stored::Other, StoreError::AlreadyExists { .. }) => return Err(error),
                (Stored::Other, _) => {
                    return Err(StoreError::AlreadyExists {
                        path: location.to_string(),
                        source: Box::new(error),
                    });
                }
                (Stored::Absent | Stored::Unknown, _) if attempt < ATTEMPTS_MAX => {
                    tokio::time::sleep(Duration::from_millis(WAIT_MS << attempt)).await;
                }
                (Stored::Absent | Stored::Unknown, _) => {
                    let path = location.to_string();
                    return Err(StoreError::Generic {
                        store: "commit",
                        source: Box::new(OutcomeUnknown { path, source: error }),
                    });
                }
            }
        }
    }
}

/// The folder for the test object: the table's own, not its log.
fn test_folder(location: &Path) -> Path {
    let parts: Vec<_> = location.parts().collect();
    let n_kept = parts
        .iter()
        .position(|part| part.as_ref() == "_delta_log")
        .unwrap_or_else(|| parts.len().saturating_sub(1));
    parts.into_iter().take(n_kept).collect()
}

/// Whether the put may have been done all the same.
fn is_ambiguous(error: &StoreError) -> bool {
    // A store's answers with another meaning are certain; the rest is a lost or late answer, a
    // server error, or an object that may be our own first attempt.
    !matches!(
        error,
        StoreError::NotFound { .. }
            | StoreError::InvalidPath { .. }
            | StoreError::NotSupported { .. }
            | StoreError::NotImplemented { .. }
            | StoreError::PermissionDenied { .. }
            | StoreError::Unauthenticated { .. }
            | StoreError::UnknownConfigurationKey { .. }
    )
}

enum Stored {
    Same(PutResult),
    Other,
    Absent,
    Unknown,
}

async fn stored(store: &Arc<dyn ObjectStore>, location: &Path, payload: &PutPayload) -> Stored {
    let found = match store.get(location).await {
        Ok(found) => found,
        Err(StoreError::NotFound { .. }) => return Stored::Absent,
        Err(_) => return Stored::Unknown,
    };
    if usize::try_from(found.meta.size) != Ok(payload.content_length()) {
        return Stored::Other;
    }
    let result = PutResult { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
    match found.bytes().await {
        Ok(bytes) if bytes == Bytes::from(payload.clone()) => Stored::Same(result),
        Ok(_) => Stored::Other,
        Err(_) => Stored::Unknown,
    }
}

/// Puts an object twice under the condition that it is new: the second put must fail.
///
/// Gives the reason why the condition cannot be relied on, or none. Errors are those that say
/// nothing about it: a store that cannot be reached is tested again next time.
async fn put_twice(store: &Arc<dyn ObjectStore>, folder: &Path) -> StoreResult<Option<String>> {
    let location = folder.clone().join(format!(".tarn-conditional-put-{}", Uuid::new_v4()));
    let put = |text: &'static str| {
        store.put_opts(&location, PutPayload::from_static(text.as_bytes()), PutMode::Create.into())
    };
    let verdict = match put("first").await {
        Err(StoreError::NotImplemented { operation, .. }) => {
            return Ok(Some(format!("{operation} is not implemented")));
        }
        // Lost answers leave the object behind; for the second put that is as good.
        Ok(_) | Err(StoreError::AlreadyExists { .. }) => match put("second").await {
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(None),
            Ok(_) => Ok(Some("an object was overwritten although it existed".to_owned())),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    // Without the right to delete, a hidden object of a few bytes stays.
    if let Err(error) = store.delete(&location).await {
        tracing::debug!(%error, %location, "the test object could not be deleted");
    }
    verdict
}

#[async_trait::async_trait]
impl ObjectStore for GuardedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> StoreResult<PutResult> {
        if opts.mode == PutMode::Create {
            return self.create(location, payload, opts).await;
        }
        self.store()?.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.store()?.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.store()?.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        self.store()?.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        match self.store() {
            Ok(store) => store.delete_stream(locations),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        match self.store() {
            Ok(store) => store.list(prefix),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        match self.store() {
            Ok(store) => store.list_with_offset(prefix, offset),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.store()?.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.store()?.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> StoreResult<()> {
        self.store()?.rename_opts(from, to, options).await
    }
}
