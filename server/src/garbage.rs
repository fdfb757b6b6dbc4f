//! Files that nobody needs any more: of dropped tables, and of tables whose transaction was rolled
//! back.
//!
//! They are removed in the background, once the queries that were running when their table went
//! have ended; where the catalog has a place that servers can share, a minute later, for the queries
//! of the others. What is left when the server stops, or cannot be removed, stays in storage: no table
//! names it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tarn_catalog::object_store::ObjectStores;
use tarn_exec::QueryId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Shared;

/// How long a dropped table's files wait for queries that began before it was dropped.
const WAIT_S_MAX: u64 = 600;
/// How long they wait where other servers may have queries that nobody here knows of.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(60);
/// How often the queries are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Takes what is to be removed.
#[derive(Debug)]
pub struct Garbage {
    sender: mpsc::UnboundedSender<Removal>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Removal>>>,
}

/// A folder to remove with all that is in it, or files.
#[derive(Debug)]
struct Removal {
    folder: String,
    /// Files of the folder by name; `None` for all of it.
    files: Option<Vec<String>>,
    /// Queries that may be reading it.
    readers: BTreeSet<QueryId>,
    /// Nothing goes before, for readers that this server does not know.
    waits: Duration,
    since: Instant,
}

impl Default for Garbage {
    fn default() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl Garbage {
    /// Removes a folder when nobody reads it; where other servers may read it, some time later.
    pub(crate) fn remove_folder(&self, folder: &str, readers: BTreeSet<QueryId>, is_shared: bool) {
        let waits = if is_shared { WAIT_FOR_OTHERS } else { Duration::ZERO };
        self.push(folder, None, readers, waits);
    }

    fn push(
        &self,
        folder: &str,
        files: Option<Vec<String>>,
        readers: BTreeSet<QueryId>,
        waits: Duration,
    ) {
        let folder = folder.to_owned();
        let removal = Removal { folder, files, readers, waits, since: Instant::now() };
        if self.sender.send(removal).is_err() {
            tracing::debug!("the server stops, files of dropped tables stay");
        }
    }
}

/// A folder that a transaction has made: it goes with the last state of the transaction that knows
/// it, unless the transaction was committed.
#[derive(Debug)]
pub(crate) struct MadeFolder {
    shared: Arc<Shared>,
    folder: String,
    files: Option<Vec<String>>,
    kept: Mutex<bool>,
}

impl MadeFolder {
    /// A folder that is the server's own, or files that it has put into somebody else's.
    pub(crate) fn new(shared: &Arc<Shared>, folder: &str, files: Option<Vec<String>>) -> Arc<Self> {
        let (shared, folder) = (Arc::clone(shared), folder.to_owned());
        Arc::new(Self { shared, folder, files, kept: Mutex::new(false) })
    }

    /// Whether it is the folder at a URL.
    pub(crate) fn is_at(&self, url: &str) -> bool {
        self.folder.trim_end_matches('/') == url.trim_end_matches('/')
    }

    /// The transaction was committed, or may be.
    pub(crate) fn keep(&self) {
        *self.kept.lock() = true;
    }

    /// The transaction was not committed after all.
    pub(crate) fn release(&self) {
        *self.kept.lock() = false;
    }
}

impl Drop for MadeFolder {
    fn drop(&mut self) {
        if !*self.kept.lock() {
            let files = self.files.take();
            self.shared.garbage.push(&self.folder, files, BTreeSet::new(), Duration::ZERO);
        }
    }
}

/// Removes what comes until the server stops, then what has come without waiting for readers.
pub(crate) async fn serve(shared: Arc<Shared>, stop: CancellationToken) {
    let Some(mut receiver) = shared.garbage.receiver.lock().take() else { return };
    let stores = shared.catalog.stores().clone();
    let mut waiting: Vec<Removal> = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            removal = receiver.recv() => match removal {
                Some(removal) => waiting.push(removal),
                None => break,
            },
            () = tokio::time::sleep(LOOK_INTERVAL), if !waiting.is_empty() => {}
        }
        let running = shared.running.ids();
        let (ready, rest) = waiting.into_iter().partition(|removal: &Removal| {
            let waited = removal.since.elapsed();
            let is_read = !removal.readers.is_disjoint(&running);
            (waited >= removal.waits && !is_read) || waited.as_secs() > WAIT_S_MAX
        });
        waiting = rest;
        remove_all(&stores, ready).await;
    }
    while let Ok(removal) = receiver.try_recv() {
        waiting.push(removal);
    }
    remove_all(&stores, waiting).await;
}

async fn remove_all(stores: &ObjectStores, removals: Vec<Removal>) {
    for removal in removals {
        let removed = match &removal.files {
            None => stores.remove_folder(&removal.folder).await,
            Some(files) => stores.remove_files(&removal.folder, files).await,
        };
        match removed {
            Ok(()) => tracing::debug!(folder = removal.folder, "removed a table's files"),
            Err(error) => {
                tracing::warn!(folder = removal.folder, %error, "could not remove a table's files");
            }
        }
    }
}
