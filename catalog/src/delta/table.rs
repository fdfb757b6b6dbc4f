//! A Delta table: which version to read.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use chrono::{DateTime, Utc};
use datafusion::execution::object_store::ObjectStoreUrl;
use delta_kernel::snapshot::SnapshotRef;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parking_lot::RwLock;
use url::Url;

use super::commit::{self, Attempt, CommitLog};
use super::decided::RESERVATION_BYTES_MAX;
use super::features;
use super::index::FileIndex;
use super::layout::TableLayout;
use super::log_upkeep;
use super::replay::{self, LogReader};
use super::snapshot::DeltaSnapshot;
use super::staged::Staged;
use super::upkeep::readers::Readers;
use crate::analyzed::TableStatistics;
use crate::listing::FooterCache;
use crate::{CatalogError, LakeTable, Pinned, Result, TableDetails, TableVersion, Travel};

/// Older versions kept for statements that travel in time.
const TRAVELLED_SNAPSHOTS_MAX: u64 = 8;
/// Log entries looked at before a folder is said to be no Delta table.
const DETECT_ENTRIES_MAX: usize = 1000;
/// Commits that are read one by one to learn of the newest version; with more, the log is replayed.
const COMMITS_READ_MAX: usize = 64;

/// A Delta table at some location.
///
/// The newest version is kept; a statement pays two HEAD requests, made at the same time, to learn
/// that it is still the newest.
pub struct DeltaTable {
    pub(super) name: String,
    pub(super) url: Url,
    pub(super) root: Path,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) object_store_url: ObjectStoreUrl,
    pub(super) footers: FooterCache,
    pub(super) log: LogReader,
    latest: RwLock<Option<Arc<Latest>>>,
    /// Held while the log is read, so that statements arriving together read it once.
    refresh: tokio::sync::Mutex<()>,
    travelled: moka::sync::Cache<u64, Arc<DeltaSnapshot>>,
    /// The newest version of which this process has written a checkpoint, and of which table.
    pub(super) checkpointed: tokio::sync::Mutex<(u64, u64)>,
    /// Whether the next commit sees after a checkpoint that should be there.
    pub(super) looks_for_overdue: AtomicBool,
    /// The files of versions that were given out.
    pub(super) readers: Readers,
    /// What ANALYZE has learnt.
    pub(super) analyzed: RwLock<Option<Arc<TableStatistics>>>,
}

/// The newest version that was seen.
struct Latest {
    /// What the kernel knows, of this version or an older one.
    kernel: SnapshotRef,
    snapshot: Arc<DeltaSnapshot>,
    /// The commit's file: when it changes, another table was put in this place.
    commit: Option<ObjectMeta>,
    /// When all of it was read: it holds nothing that was committed later.
    seen: Instant,
}

impl Latest {
    /// Whether it was committed at an instant or before, as far as its file's time tells.
    fn is_from_before(&self, instant: DateTime<Utc>) -> bool {
        let times_in_commits = self.snapshot.property_is_on("delta.enableInCommitTimestamps");
        let instant_ms = instant.timestamp_millis();
        let commit = self.commit.as_ref().filter(|_| !times_in_commits);
        commit.is_some_and(|commit| commit.last_modified.timestamp_millis() <= instant_ms)
    }
}

/// What storage says about the version that was kept.
enum Freshness {
    Current,
    NewCommits,
    Replaced,
}

impl fmt::Debug for DeltaTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeltaTable")
            .field("name", &self.name)
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

impl DeltaTable {
    /// Opens the table in a folder and reads its newest version.
    ///
    /// `store` spans the whole bucket or file system: objects are found under the path of
    /// `location`. Scans name it by `object_store_url`, under which it must be registered.
    ///
    /// # Errors
    /// `Corrupt` if there is no readable log, `UnsupportedFeature` with the name of what the table
    /// needs, `Storage` if storage fails.
    pub async fn open(
        name: &str,
        location: &Url,
        store: Arc<dyn ObjectStore>,
        object_store_url: ObjectStoreUrl,
        footers: FooterCache,
    ) -> Result<Arc<Self>> {
        let table = Self::unread(name, location, store, object_store_url, footers)?;
        table.latest().await?;
        Ok(table)
    }

    /// The table in a folder, which is looked at when it is first pinned.
    ///
    /// # Errors
    /// `InvalidLocation` for a URL that cannot be a folder.
    pub fn unread(
        name: &str,
        location: &Url,
        store: Arc<dyn ObjectStore>,
        object_store_url: ObjectStoreUrl,
        footers: FooterCache,
    ) -> Result<Arc<Self>> {
        let url = as_folder(location);
        let root = Path::from_url_path(url.path()).map_err(|error| {
            CatalogError::InvalidLocation { url: url.to_string(), reason: error.to_string() }
        })?;
        Ok(Arc::new(Self {
            name: name.to_owned(),
            log: LogReader::try_new(name, &url, Arc::clone(&store))?,
            url,
            root,
            store,
            object_store_url,
            footers,
            latest: RwLock::new(None),
            refresh: tokio::sync::Mutex::new(()),
            travelled: moka::sync::Cache::new(TRAVELLED_SNAPSHOTS_MAX),
            checkpointed: tokio::sync::Mutex::default(),
            looks_for_overdue: AtomicBool::new(true),
            readers: Readers::default(),
            analyzed: RwLock::new(None),
        }))
    }

    /// The version to read.
    ///
    /// # Errors
    /// As [`LakeTable::pin`].
    pub async fn snapshot(&self, travel: Travel) -> Result<Arc<DeltaSnapshot>> {
        let snapshot = self.find(travel).await?;
        self.readers.note(&snapshot.index);
        Ok(snapshot)
    }

    /// The version to read, and a moment when it had been read already.
    ///
    /// # Errors
    /// As [`LakeTable::pin`].
    pub(crate) async fn snapshot_seen(
        &self,
        travel: Travel,
    ) -> Result<(Arc<DeltaSnapshot>, Instant)> {
        if travel != Travel::Latest {
            return Ok((self.snapshot(travel).await?, Instant::now()));
        }
        let latest = self.latest().await?;
        self.readers.note(&latest.snapshot.index);
        Ok((Arc::clone(&latest.snapshot), latest.seen))
    }

    /// Forgets the older versions that nobody reads.
    pub(super) fn forget_travelled(&self) {
        self.travelled.invalidate_all();
        self.travelled.run_pending_tasks();
    }

    async fn find(&self, travel: Travel) -> Result<Arc<DeltaSnapshot>> {
        let latest = self.latest().await?;
        match travel {
            Travel::Latest => Ok(Arc::clone(&latest.snapshot)),
            Travel::Version(version) => self.at_version(&latest, version).await,
            Travel::Timestamp(instant) if latest.is_from_before(instant) => {
                Ok(Arc::clone(&latest.snapshot))
            }
            Travel::Timestamp(instant) => {
                let instant_ms = instant.timestamp_millis();
                let kernel = self.kernel_of(&latest).await?;
                match self.log.version_as_of(kernel, instant_ms).await? {
                    Some(version) => self.at_version(&latest, version).await,
                    None => Err(CatalogError::VersionNotFound {
                        table: self.name.clone(),
                        version: format!("as of {}", instant.format("%Y-%m-%d %H:%M:%S%.f UTC")),
                        available: self.describe_range(&latest).await,
                    }),
                }
            }
        }
    }

    /// The versions that can be read.
    ///
    /// # Errors
    /// As [`LakeTable::pin`].
    pub async fn history_range(&self) -> Result<RangeInclusive<u64>> {
        let latest = self.latest().await?;
        Ok(self.log.earliest().await?..=latest.snapshot.version())
    }

    /// The newest version committed at or before an instant; `None` when there is none.
    pub(super) async fn version_as_of(&self, instant_ms: i64) -> Result<Option<u64>> {
        let latest = self.latest().await?;
        let kernel = self.kernel_of(&latest).await?;
        self.log.version_as_of(kernel, instant_ms).await
    }

    async fn at_version(&self, latest: &Latest, version: u64) -> Result<Arc<DeltaSnapshot>> {
        let newest = latest.snapshot.version();
        if version == newest {
            return Ok(Arc::clone(&latest.snapshot));
        }
        if let Some(snapshot) = self.travelled.get(&version) {
            return Ok(snapshot);
        }
        if version > newest || version < self.log.earliest().await? {
            return Err(CatalogError::VersionNotFound {
                table: self.name.clone(),
                version: version.to_string(),
                available: self.describe_range(latest).await,
            });
        }
        let kernel = self.log.at_version(version).await?;
        let snapshot = self.load(&kernel, latest.snapshot.table_identity).await?;
        self.travelled.insert(version, Arc::clone(&snapshot));
        Ok(snapshot)
    }

    /// The range for an error message, as precise as storage allows.
    async fn describe_range(&self, latest: &Latest) -> String {
        let newest = latest.snapshot.version();
        let Ok(oldest) = self.log.earliest().await else {
            return format!("versions up to {newest}");
        };
        let at = |ms: Result<i64>| {
            let at = ms.ok().and_then(DateTime::<Utc>::from_timestamp_millis);
            at.map_or_else(String::new, |at| {
                format!(" ({})", at.format("%Y-%m-%d %H:%M:%S%.3f UTC"))
            })
        };
        let first = match self.log.at_version(oldest).await {
            Ok(kernel) => at(self.log.committed_at_ms(kernel).await),
            Err(_) => String::new(),
        };
        let last = match self.kernel_of(latest).await {
            Ok(kernel) => at(self.log.committed_at_ms(kernel).await),
            Err(_) => String::new(),
        };
        format!("versions {oldest}{first} to {newest}{last}")
    }

    async fn latest(&self) -> Result<Arc<Latest>> {
        if let Some(latest) = self.kept()
            && matches!(self.freshness(&latest).await?, Freshness::Current)
        {
            return Ok(latest);
        }
        let _guard = self.refresh.lock().await;
        let previous = match self.kept() {
            Some(latest) => match self.freshness(&latest).await? {
                Freshness::Current => return Ok(latest),
                Freshness::NewCommits => Some(latest),
                Freshness::Replaced => None,
            },
            None => None,
        };
        if let Some(latest) = &previous
            && let Some(snapshot) = self.advanced(&latest.snapshot).await?
        {
            return self.keep(Arc::clone(&latest.kernel), snapshot).await;
        }
        let kernel = match previous.as_ref().map(|latest| Arc::clone(&latest.kernel)) {
            // Log clean-up may have taken commits that an incremental read needs.
            Some(kernel) => match self.log.latest(Some(kernel)).await {
                Ok(kernel) => kernel,
                Err(_) => self.log.latest(None).await?,
            },
            None => self.log.latest(None).await?,
        };
        let identity = match &previous {
            Some(previous) => previous.snapshot.table_identity,
            None => identity_of(&kernel, self.commit_file(kernel.version()).await?.as_ref()),
        };
        let snapshot = self.load(&kernel, identity).await?;
        if previous.is_none() {
            self.travelled.invalidate_all();
            self.load_statistics().await;
        }
        self.keep(kernel, snapshot).await
    }

    /// Keeps a version as the newest.
    async fn keep(&self, kernel: SnapshotRef, snapshot: Arc<DeltaSnapshot>) -> Result<Arc<Latest>> {
        let commit = self.commit_file(snapshot.version()).await?;
        let latest = Arc::new(Latest { kernel, snapshot, commit, seen: Instant::now() });
        *self.latest.write() = Some(Arc::clone(&latest));
        Ok(latest)
    }

    /// The newest version, made from a former one and the commits after it, of which nothing but
    /// they are read; `None` where that does not do: too many of them, or other columns.
    async fn advanced(&self, from: &Arc<DeltaSnapshot>) -> Result<Option<Arc<DeltaSnapshot>>> {
        let log = self.commit_log();
        let mut commits = Vec::new();
        for version in (from.version() + 1..).take(COMMITS_READ_MAX + 1) {
            match log.read(version).await {
                Ok(Some(commit)) if commit.metadata.is_some() || commit.protocol.is_some() => {
                    return Ok(None);
                }
                Ok(Some(commit)) => commits.push(commit),
                Ok(None) => {
                    let snapshot = from.after(&commits, version - 1)?;
                    return Ok(Some(Arc::new(snapshot)));
                }
                // The kernel says what is wrong, in its own words.
                Err(CatalogError::Corrupt { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Writes a checkpoint of a version; false if there is one.
    pub(super) async fn write_checkpoint(
        &self,
        version: u64,
    ) -> Result<(Arc<DeltaSnapshot>, bool)> {
        let latest = self.latest().await?;
        let snapshot = self.at_version(&latest, version).await?;
        let kernel = if version == latest.snapshot.version() {
            self.kernel_of(&latest).await?
        } else {
            self.log.at_version(version).await?
        };
        let has_sidecars = snapshot.metadata.protocol().has("v2Checkpoint")
            && snapshot.property("delta.checkpointPolicy").is_some_and(|policy| policy == "v2");
        let (is_written, kernel) = self.log.write_checkpoint(kernel, has_sidecars).await?;
        // The next refresh begins there.
        let mut place = self.latest.write();
        if let Some(kept) = place.as_ref()
            && kept.snapshot.version() >= version
            && kept.kernel.version() < version
        {
            let (snapshot, commit) = (Arc::clone(&kept.snapshot), kept.commit.clone());
            *place = Some(Arc::new(Latest { kernel, snapshot, commit, seen: kept.seen }));
        }
        drop(place);
        Ok((snapshot, is_written))
    }

    pub(super) fn commit_log(&self) -> CommitLog<'_> {
        CommitLog { table: &self.name, root: &self.root, store: self.store.as_ref() }
    }

    /// What the kernel knows of the newest version.
    async fn kernel_of(&self, latest: &Latest) -> Result<SnapshotRef> {
        let version = latest.snapshot.version();
        if latest.kernel.version() == version {
            return Ok(Arc::clone(&latest.kernel));
        }
        match self.log.advanced(Arc::clone(&latest.kernel), version).await {
            Ok(kernel) => Ok(kernel),
            Err(_) => self.log.at_version(version).await,
        }
    }

    /// The version of the commit that carries a token, looked for after a version.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`.
    pub async fn find_commit(&self, token: &str, after: u64) -> Result<Option<u64>> {
        let log = self.commit_log();
        let mut version = after + 1;
        while let Some(commit) = log.read(version).await? {
            if commit.token() == Some(token) {
                return Ok(Some(version));
            }
            version += 1;
        }
        Ok(None)
    }

    /// Commits what was staged on a version; `seen` is the table with it.
    pub(super) async fn commit(
        self: &Arc<Self>,
        base: &DeltaSnapshot,
        seen: &Arc<DeltaSnapshot>,
        (staged, attempt): (&Staged, Attempt<'_>),
    ) -> Result<u64> {
        let log = self.commit_log();
        match self.commit_file(base.version()).await? {
            Some(newest) if newest.size <= RESERVATION_BYTES_MAX => {
                if let Some(found) = log.read(base.version()).await? {
                    commit::check_reservation(&self.name, &found, attempt.settled)?;
                }
            }
            Some(_) => {}
            None if self.ends_with(base).await? => {}
            // Another table was put in this place: its log ends before.
            None => return Err(CatalogError::Conflict { name: self.name.clone() }),
        }
        let version = commit::run(&log, base, staged, attempt).await?;
        if attempt.reserves.is_some() {
            return Ok(version);
        }
        // What it looks like is known, unless others have come between.
        if version == base.version() + 1 {
            let _guard = self.refresh.lock().await;
            if let Some(latest) = self.kept()
                && latest.snapshot.version() == base.version()
            {
                let snapshot = Arc::new(seen.as_version(version));
                // A commit that cannot be looked at now is looked at by the next statement.
                if let Err(error) = self.keep(Arc::clone(&latest.kernel), snapshot).await {
                    tracing::debug!(table = self.name, %error, "new version not kept");
                }
            }
        }
        log_upkeep::after_commit(Arc::clone(self), seen, version);
        Ok(version)
    }

    /// Whether the log that is in storage ends with this version of this table. Its commit may be
    /// gone, or may never have been copied, where a checkpoint has all of it.
    async fn ends_with(&self, base: &DeltaSnapshot) -> Result<bool> {
        match self.log.latest(None).await {
            Ok(found) => {
                let id = found.table_configuration().metadata().id();
                Ok(found.version() == base.version() && id == base.metadata.id())
            }
            Err(error @ CatalogError::Storage { .. }) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// The newest version that this process knows of.
    pub(super) fn newest_known(&self) -> u64 {
        self.kept().map_or(0, |latest| latest.snapshot.version())
    }

    /// The rows of that version, where the log tells; nothing is read for this.
    #[must_use]
    pub fn known_rows(&self) -> Option<u64> {
        self.kept()?.snapshot.n_rows()
    }

    fn kept(&self) -> Option<Arc<Latest>> {
        self.latest.read().clone()
    }

    async fn freshness(&self, latest: &Latest) -> Result<Freshness> {
        let version = latest.snapshot.version();
        let (next, same) =
            futures::try_join!(self.commit_file(version + 1), self.commit_file(version))?;
        let is_same = match (&same, &latest.commit) {
            (Some(now), Some(then)) => {
                now.size == then.size
                    && now.last_modified == then.last_modified
                    && now.e_tag == then.e_tag
            }
            (None, None) => true,
            _ => false,
        };
        Ok(match (is_same, next) {
            (false, _) => Freshness::Replaced,
            (true, Some(_)) => Freshness::NewCommits,
            (true, None) => Freshness::Current,
        })
    }

    pub(super) async fn commit_file(&self, version: u64) -> Result<Option<ObjectMeta>> {
        let path = self.root.clone().join("_delta_log").join(format!("{version:020}.json"));
        match self.store.head(&path).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(CatalogError::Storage {
                what: format!("the log of table \"{}\"", self.name),
                source: Box::new(source),
            }),
        }
    }

    async fn load(&self, kernel: &SnapshotRef, table_identity: u64) -> Result<Arc<DeltaSnapshot>> {
        let metadata = Arc::new(replay::table_metadata(&self.name, kernel)?);
        features::check_readable(&self.name, &metadata)?;
        let layout = Arc::new(TableLayout::of(&self.name, &metadata)?);
        let batch = self.log.live_files(Arc::clone(kernel)).await?;
        let index = FileIndex::try_new(&self.name, &self.url, &layout, &batch)?;
        let n_files = index.n_files();
        Ok(Arc::new(DeltaSnapshot {
            details: Arc::new(metadata.details()),
            metadata,
            table: self.name.clone(),
            url: self.url.clone(),
            version: kernel.version(),
            store: Arc::clone(&self.store),
            object_store_url: self.object_store_url.clone(),
            footers: self.footers.clone(),
            table_identity,
            layout,
            index: Arc::new(index),
            file_statistics: (0..n_files).map(|_| OnceLock::new()).collect(),
            selections: (0..n_files).map(|_| OnceLock::new()).collect(),
            statistics: OnceLock::new(),
        }))
    }
}

impl LakeTable for DeltaTable {
    fn format(&self) -> &'static str {
        "delta"
    }

    fn location(&self) -> &str {
        self.url.as_str()
    }

    fn details(&self) -> Option<Arc<TableDetails>> {
        self.kept().map(|latest| Arc::clone(latest.snapshot.details()))
    }

    fn analyzed(&self) -> Option<Arc<TableStatistics>> {
        Self::analyzed(self)
    }

    fn delta(self: Arc<Self>) -> Option<Arc<DeltaTable>> {
        Some(self)
    }

    fn pin(self: Arc<Self>, travel: Travel) -> BoxFuture<'static, Result<Pinned>> {
        async move {
            let snapshot = self.snapshot(travel).await?;
            let version =
                TableVersion::Commit { number: snapshot.version(), table: snapshot.table_identity };
            Ok(Pinned { provider: snapshot, version })
        }
        .boxed()
    }
}

/// A number for the table that was found in a folder: its own, and the commit by which it was
/// first seen, because a copy put in its place has the same one.
fn identity_of(kernel: &SnapshotRef, commit: Option<&ObjectMeta>) -> u64 {
    let mut hasher = DefaultHasher::new();
    kernel.table_configuration().metadata().id().hash(&mut hasher);
    if let Some(commit) = commit {
        (commit.size, commit.last_modified, &commit.e_tag).hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether a folder holds a Delta table: a log with at least one commit or checkpoint.
///
/// # Errors
/// `Storage` if the folder cannot be listed.
pub async fn is_delta(store: &dyn ObjectStore, folder: &Path) -> Result<bool> {
    let log = folder.clone().join("_delta_log");
    let mut entries = store.list(Some(&log)).take(DETECT_ENTRIES_MAX);
    while let Some(entry) = entries.next().await {
        match entry {
            Ok(meta) if is_log_file(&meta.location) => return Ok(true),
            Ok(_) => {}
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(source) => {
                return Err(CatalogError::Storage {
                    what: format!("folder {log}"),
                    source: Box::new(source),
                });
            }
        }
    }
    Ok(false)
}

/// `00000000000000000007.json`, `00000000000000000010.checkpoint.parquet` and its other forms.
fn is_log_file(path: &Path) -> bool {
    let Some((version, rest)) = path.filename().and_then(|name| name.split_once('.')) else {
        return false;
    };
    version.len() == 20
        && version.bytes().all(|byte| byte.is_ascii_digit())
        && (rest == "json" || rest.starts_with("checkpoint."))
}

/// The URL with a slash at its end, so that names are joined below it.
pub(super) fn as_folder(location: &Url) -> Url {
    let mut url = location.clone();
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", location.path()));
    }
    url
}
