//! The log in an object store: objects with the names of [`super::local`], put only where absent.

use std::sync::Arc;

use ::object_store::path::Path;
use ::object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};

use super::driver::{
    Appended, CatalogLog, Inventory, Numbered, POINTER, RECORDS_PER_READ_MAX, checkpoint_name,
    record_name,
};
use crate::discovery::PRIVATE;
use crate::{CatalogError, Result};

/// Records fetched at a time once one more was found.
const READS_AT_A_TIME: usize = 16;

/// How often a put whose answer was lost is looked after.
const N_TRIES: usize = 4;

/// A log below a prefix of a bucket.
#[derive(Debug, Clone)]
pub struct StoreLog {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    place: Arc<str>,
}

impl StoreLog {
    /// A log in a store; nothing is read or written yet.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path, place: &str) -> Self {
        Self { store, prefix, place: place.into() }
    }

    /// Sees that the store refuses a second put of one name, without which records get lost, and
    /// keeps the records from being found as tables.
    ///
    /// # Errors
    /// `CatalogLog` where it does not, or cannot be written.
    pub async fn check(&self) -> Result<()> {
        let name = self.prefix.clone().join(format!("_probe-{}", uuid::Uuid::new_v4()));
        let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = |text: &'static str| self.store.put_opts(&name, text.into(), create());
        put("1").await.map_err(|error| self.failed("write", error))?;
        let second = put("2").await;
        let removed = self.store.delete(&name).await;
        if let Err(error) = removed {
            tracing::debug!(%error, place = %self.place, "could not remove a probe");
        }
        let private = self.prefix.clone().join(PRIVATE);
        self.store.put(&private, "".into()).await.map_err(|error| self.failed("write", error))?;
        match second {
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(()),
            Err(error) => Err(self.failed("write", error)),
            Ok(_) => Err(CatalogError::CatalogLog {
                place: self.place.to_string(),
                what: "keep a catalog in a store that ignores conditional puts".to_owned(),
                source: None,
            }),
        }
    }

    fn failed(&self, what: &str, source: StoreError) -> CatalogError {
        CatalogError::CatalogLog {
            place: self.place.to_string(),
            what: what.to_owned(),
            source: Some(Box::new(source)),
        }
    }

    async fn read(&self, name: &str) -> Result<Option<Bytes>> {
        let path = self.prefix.clone().join(name);
        let failed = |error| self.failed("read an object", error);
        match self.store.get(&path).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Records from `from` on, `n` requests at a time, up to the first that is missing.
    async fn read_run(&self, from: u64, n: usize) -> Result<Vec<Numbered>> {
        let last = from.saturating_add(u64::try_from(n).unwrap_or(u64::MAX));
        let reads = (from..last).map(|version| async move {
            let bytes = self.read(&record_name(version)).await?;
            Ok::<_, CatalogError>(bytes.map(|bytes| Numbered { version, bytes }))
        });
        let mut reads = futures::stream::iter(reads).buffered(READS_AT_A_TIME);
        let mut records = Vec::new();
        while let Some(record) = reads.next().await {
            match record? {
                Some(record) => records.push(record),
                None => break,
            }
        }
        Ok(records)
    }

    async fn append_once(&self, version: u64, bytes: &Bytes) -> Result<Appended, StoreError> {
        let path = self.prefix.clone().join(record_name(version));
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.store.put_opts(&path, PutPayload::from_bytes(bytes.clone()), options).await;
        let Err(error) = put else { return Ok(Appended::Done) };
        // Also where the name is taken: an answer that was lost makes the client send it again.
        match self.store.get(&path).await {
            Ok(found) => {
                let own = found.bytes().await? == *bytes;
                Ok(if own { Appended::Done } else { Appended::Conflict })
            }
            Err(StoreError::NotFound { .. }) => Err(error),
            Err(unreadable) => Err(unreadable),
        }
    }
}

impl CatalogLog for StoreLog {
    fn place(&self) -> &str {
        &self.place
    }

    fn tail(&self, from: u64) -> BoxFuture<'_, Result<Vec<Numbered>>> {
        async move {
            // Most of the time there is nothing new: one request, whose answer is 404.
            let mut records = self.read_run(from, 1).await?;
            while !records.is_empty() && records.len() < RECORDS_PER_READ_MAX {
                let next = records.last().map_or(from, |record| record.version + 1);
                let more = self.read_run(next, READS_AT_A_TIME).await?;
                let is_last = more.len() < READS_AT_A_TIME;
                records.extend(more);
                if is_last {
                    break;
                }
            }
            Ok(records)
        }
        .boxed()
    }

    fn inventory(&self) -> BoxFuture<'_, Result<Inventory>> {
        async move {
            let mut found = Inventory::default();
            let mut listed = self.store.list(Some(&self.prefix));
            while let Some(object) = listed.next().await {
                let object = object.map_err(|error| self.failed("list the records", error))?;
                let below = object.location.prefix_match(&self.prefix).map(Iterator::count);
                if let (Some(1), Some(name)) = (below, object.location.filename()) {
                    found.note(name);
                }
            }
            let pointer = self.read(POINTER).await?;
            found.pointer = pointer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            Ok(found)
        }
        .boxed()
    }

    fn append(&self, version: u64, bytes: Bytes) -> BoxFuture<'_, Result<Appended>> {
        async move {
            let mut tries = 0;
            loop {
                tries += 1;
                match self.append_once(version, &bytes).await {
                    Ok(appended) => return Ok(appended),
                    // The same bytes again: whichever attempt arrives, the record is this one.
                    Err(error) if tries < N_TRIES => {
                        tracing::debug!(%error, version, "an append was not answered");
                    }
                    Err(error) => return Err(self.failed("add a record", error)),
                }
            }
        }
        .boxed()
    }

    fn checkpoint(&self, version: u64, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        async move {
            let failed = |error| self.failed("write a checkpoint", error);
            let path = self.prefix.clone().join(checkpoint_name(version));
            self.store.put(&path, PutPayload::from_bytes(bytes)).await.map_err(failed)?;
            let pointer = self.prefix.clone().join(POINTER);
            let text = PutPayload::from(version.to_string().into_bytes());
            self.store.put(&pointer, text).await.map_err(failed)?;
            Ok(())
        }
        .boxed()
    }

    fn latest_checkpoint(&self) -> BoxFuture<'_, Result<Option<Numbered>>> {
        async move {
            let Some(pointer) = self.read(POINTER).await? else { return Ok(None) };
            let version = std::str::from_utf8(&pointer).ok().and_then(|text| text.parse().ok());
            let Some(version) = version else { return Ok(None) };
            let bytes = self.read(&checkpoint_name(version)).await?;
            Ok(bytes.map(|bytes| Numbered { version, bytes }))
        }
        .boxed()
    }
}
