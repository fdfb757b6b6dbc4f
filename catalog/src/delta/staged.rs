//! Changes of a Delta table that only one transaction sees.
//!
//! ```text
//! base (a version) ──append, change, replace_all──▶ StagedTable ──▶ StagedTable ──commit──▶ version
//!                                                       │ pin
//!                                                       ▼
//!                                              what the transaction reads
//! ```
//! A [`StagedTable`] never changes: each statement makes the next one, so a savepoint is a clone and a
//! rollback a drop. Data files are in storage before they are named here, and go with the last state
//! that knows of them unless they are committed ([`super::unnamed`]).
//!
//! Not here: how files are written ([`super::writer`]), how a commit gets its number
//! (`commit`), what makes two of them conflict (`conflict`).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use arrow::array::BooleanArray;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use serde_json::{Value, json};
use uuid::Uuid;

use super::actions::{AddAction, RemoveAction, VectorDescriptor};
use super::commit::Attempt;
use super::conflict::ReadSet;
use super::deletion_vector::DeletionVector;
use super::deletion_vector::write::VectorFile;
use super::features;
use super::index::FileIndex;
use super::log_upkeep;
use super::metadata::TableMetadata;
use super::rows::{FileNumber, RowsByFile};
use super::snapshot::DeltaSnapshot;
use super::table::DeltaTable;
use super::unnamed::Unnamed;
use super::write::now_ms;
use super::writer::NewFile;
use crate::CatalogError::CommitUnclear;
use crate::{CatalogError, LakeTable, Pinned, Result, TableDetails, TableVersion, Travel};

/// What a statement did, for the table's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The name as other writers use it: `WRITE`, `DELETE`, `UPDATE`, `MERGE`, `OPTIMIZE`, …
    pub name: String,
    /// What it was told, as texts.
    pub parameters: BTreeMap<String, String>,
    /// What it counted.
    pub metrics: BTreeMap<String, u64>,
}

impl Operation {
    /// An operation without metrics.
    #[must_use]
    pub fn new(name: impl Into<String>, parameters: BTreeMap<String, String>) -> Self {
        Self { name: name.into(), parameters, metrics: BTreeMap::new() }
    }

    /// The same with one more number.
    #[must_use]
    pub fn with_metric(mut self, name: impl Into<String>, value: u64) -> Self {
        self.metrics.insert(name.into(), value);
        self
    }
}

/// What one statement changes in the list of files.
#[derive(Debug, Clone, Default)]
pub struct TableChange {
    /// Rows to delete by deletion vector; a file that loses all of them goes as a whole.
    pub rows: RowsByFile,
    /// Files to take out.
    pub removed: Vec<FileNumber>,
    /// Files to put in.
    pub added: Vec<NewFile>,
    /// Files of the change data feed.
    pub changes: Vec<NewFile>,
    /// The rows of the table stay the same: they are only stored otherwise.
    pub is_rearrangement: bool,
}

/// A table with changes that are not committed; immutable.
#[derive(Clone)]
pub struct StagedTable {
    table: Arc<DeltaTable>,
    base: Arc<DeltaSnapshot>,
    seen: Arc<DeltaSnapshot>,
    staged: Arc<Staged>,
    /// Tells this state from every other one of any table.
    state: u64,
}

/// What is to be committed, relative to `base`.
#[derive(Debug, Clone, Default)]
pub(super) struct Staged {
    /// Files of `seen` that `base` does not have in this form.
    pub(super) added: BTreeMap<Path, AddAction>,
    /// Files of `base` that `seen` does not have in that form.
    pub(super) removed: BTreeMap<Path, RemoveAction>,
    /// Files of the change data feed.
    pub(super) changes: Vec<NewFile>,
    pub(super) operations: Vec<Operation>,
    pub(super) reads: ReadSet,
    /// No commit of others may come in between, not even one that only adds rows.
    pub(super) is_exclusive: bool,
    pub(super) metadata: Option<MetadataChange>,
    /// Files that the transaction has made, by their paths in the log; those of vectors by names of
    /// their own.
    made: BTreeMap<String, Arc<Unnamed>>,
    /// Those of them that are not to be committed any more. Older states may still be read.
    superseded: BTreeSet<String>,
}

/// Other columns, properties, constraints or remarks.
#[derive(Debug, Clone)]
pub struct MetadataChange {
    /// The whole new state.
    pub metadata: Arc<TableMetadata>,
    /// Whether readers or writers must know more than before.
    pub is_protocol_changed: bool,
}

impl fmt::Debug for StagedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedTable")
            .field("table", &self.table)
            .field("base", &self.base.version())
            .field("added", &self.staged.added.len())
            .field("removed", &self.staged.removed.len())
            .finish_non_exhaustive()
    }
}

impl DeltaTable {
    /// Begins to change the newest version.
    ///
    /// # Errors
    /// As [`LakeTable::pin`]; `UnsupportedFeature` if the table needs of its writers what tarn
    /// does not have.
    pub async fn stage(self: &Arc<Self>) -> Result<Arc<StagedTable>> {
        self.stage_on(self.snapshot(Travel::Latest).await?)
    }

    /// Begins to change a version that was read to be changed.
    ///
    /// # Errors
    /// `UnsupportedFeature` as for [`Self::stage`].
    pub fn stage_on(self: &Arc<Self>, base: Arc<DeltaSnapshot>) -> Result<Arc<StagedTable>> {
        let staged = self.stage_at(base);
        features::check_writable(&staged.base)?;
        Ok(staged)
    }

    /// Begins to change a version that was pinned before.
    #[must_use]
    pub fn stage_at(self: &Arc<Self>, base: Arc<DeltaSnapshot>) -> Arc<StagedTable> {
        Arc::new(StagedTable {
            table: Arc::clone(self),
            seen: Arc::clone(&base),
            base,
            staged: Arc::default(),
            state: new_state(),
        })
    }
}

impl StagedTable {
    /// What the transaction sees: the version it began with and its own changes.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<DeltaSnapshot> {
        &self.seen
    }

    /// The version that the changes are made to.
    #[must_use]
    pub fn base(&self) -> &Arc<DeltaSnapshot> {
        &self.base
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &Arc<DeltaTable> {
        &self.table
    }

    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        let staged = &self.staged;
        staged.added.is_empty() && staged.removed.is_empty() && staged.metadata.is_none()
    }

    /// Adds files; without an operation of its own it is a further step of the one before.
    ///
    /// # Errors
    /// `Corrupt` if what a file says of itself does not fit the table.
    pub fn append(
        &self,
        files: Vec<NewFile>,
        operation: impl Into<Option<Operation>>,
    ) -> Result<Arc<Self>> {
        let mut next = self.next(operation);
        next.own(&files);
        next.add(files.into_iter().map(|file| file.into_add(true)))?;
        Ok(Arc::new(next))
    }

    /// Deletes rows, and says how many there were.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn delete_rows(
        &self,
        rows: RowsByFile,
        operation: Operation,
    ) -> Result<(Arc<Self>, u64)> {
        let n_rows = rows.len();
        let change = TableChange { rows, ..TableChange::default() };
        Ok((self.change(change, operation).await?, n_rows))
    }

    /// Does all that one statement asks for: deletes rows, takes files out and puts files in.
    ///
    /// File numbers are those of [`Self::snapshot`].
    ///
    /// # Errors
    /// `NotWritable` for deletes of a table that is append-only, or of single rows where it has no
    /// deletion vectors; `Storage` and `WriteStorage`.
    pub async fn change(&self, change: TableChange, operation: Operation) -> Result<Arc<Self>> {
        let deletes = !change.rows.is_empty() || !change.removed.is_empty();
        if deletes && !change.is_rearrangement {
            features::check_deletable(&self.seen)?;
        }
        let data_change = !change.is_rearrangement;
        let mut next = self.next(operation);
        let mut gone: BTreeSet<FileNumber> = change.removed.iter().copied().collect();
        let mut changed = Vec::new();
        for (file, rows) in change.rows.files() {
            match next.remaining(file, rows).await? {
                Some(deleted) => changed.push((file, deleted)),
                None => {
                    gone.insert(file);
                }
            }
        }
        changed.retain(|(file, _)| !gone.contains(file));
        next.own(&change.added);
        let vectors = next.write_vectors(&changed).await?;
        let mut added = Vec::with_capacity(vectors.len() + change.added.len());
        for ((file, _), vector) in changed.iter().zip(vectors) {
            let mut add = next.seen.add_action(*file)?;
            if add.stats.is_none() {
                // The protocol wants the number of rows beside a deletion vector.
                let n_rows = next.seen.stored_rows(*file).await?;
                add.stats = Some(super::writer::stats::text_of(n_rows, &[], false));
            }
            add.deletion_vector = Some((&vector).into());
            add.data_change = data_change;
            added.push(add);
            gone.insert(*file);
        }
        added.extend(change.added.into_iter().map(|file| file.into_add(data_change)));
        next.replace(&gone, added, data_change)?;
        next.staged_mut().changes.extend(change.changes);
        Ok(Arc::new(next))
    }

    /// Puts files in the place of all that the table has: INSERT OVERWRITE, TRUNCATE.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn replace_all(&self, files: Vec<NewFile>, operation: Operation) -> Result<Arc<Self>> {
        let all = (0..self.seen.n_files()).collect();
        self.replace_files(all, files, true, operation)
    }

    /// Puts files in the place of others: OPTIMIZE, RESTORE, copy-on-write.
    ///
    /// `data_change` is false where the rows stay the same.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn replace_files(
        &self,
        removed: Vec<FileNumber>,
        added: Vec<NewFile>,
        data_change: bool,
        operation: Operation,
    ) -> Result<Arc<Self>> {
        if data_change && !removed.is_empty() {
            features::check_deletable(&self.seen)?;
        }
        let mut next = self.next(operation);
        next.own(&added);
        let added = added.into_iter().map(|file| file.into_add(data_change)).collect();
        next.replace(&removed.into_iter().collect(), added, data_change)?;
        Ok(Arc::new(next))
    }

    /// Gives the table other columns, properties, constraints or remarks; without an operation of
    /// its own it is a further step of the one before.
    ///
    /// # Errors
    /// `UnsupportedFeature` for columns that tarn does not have.
    pub fn set_metadata(
        &self,
        change: MetadataChange,
        operation: impl Into<Option<Operation>>,
    ) -> Result<Arc<Self>> {
        let mut next = self.next(operation);
        next.seen = Arc::new(self.seen.with_metadata(Arc::clone(&change.metadata))?);
        let staged = next.staged_mut();
        let was_changed = staged.metadata.as_ref().is_some_and(|before| before.is_protocol_changed);
        let is_protocol_changed = change.is_protocol_changed || was_changed;
        staged.metadata = Some(MetadataChange { is_protocol_changed, ..change });
        // Who changes what a table is must know all that others do to it.
        staged.reads = ReadSet::Everything;
        Ok(Arc::new(next))
    }

    /// Notes what a statement has read of the table, for the conflict check.
    ///
    /// Files that are changed count as read without this; a statement that only appends and has not
    /// looked at the table says nothing.
    #[must_use]
    pub fn reads(&self, reads: ReadSet) -> Arc<Self> {
        let mut next = self.clone();
        let staged = next.staged_mut();
        staged.reads = std::mem::take(&mut staged.reads).and(reads);
        Arc::new(next)
    }

    /// Has every commit of others that comes in between be a conflict.
    #[must_use]
    pub(super) fn exclusive(&self) -> Arc<Self> {
        let mut next = self.clone();
        next.staged_mut().is_exclusive = true;
        Arc::new(next)
    }

    /// Writes the changes as the next version and returns its number.
    ///
    /// Where nothing was changed, it is that of the base.
    ///
    /// # Errors
    /// `Conflict` where another writer has changed what this one is based on; `CommitUnclear` where
    /// storage does not tell whether the commit has landed; `Storage` and `WriteStorage`.
    pub async fn commit(&self) -> Result<u64> {
        self.commit_as(&Uuid::new_v4().to_string()).await
    }

    /// The same under a token that was chosen before: [`DeltaTable::find_commit`] finds it again.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_as(&self, token: &str) -> Result<u64> {
        self.commit_past(token, &HashSet::new()).await
    }

    /// Puts the commit, or a reservation of its place.
    pub(super) async fn put(
        &self,
        token: &str,
        settled: &HashSet<String>,
        reserves: Option<usize>,
    ) -> Result<u64> {
        if self.is_unchanged() {
            return Ok(self.base.version());
        }
        features::check_writable(&self.base)?;
        let known = self.table.newest_known();
        let attempt = Attempt { token, known, settled, reserves };
        if reserves.is_none() {
            self.keep_files();
        }
        let done = self.table.commit(&self.base, &self.seen, (&self.staged, attempt)).await;
        let is_refused = done.as_ref().is_err_and(|error| !matches!(error, CommitUnclear { .. }));
        if is_refused && reserves.is_none() {
            self.release_files();
        }
        done
    }

    /// Keeps the files that its commit names: from now on it may be there.
    pub fn keep_files(&self) {
        self.staged.named().for_each(Unnamed::keep);
    }

    /// Lets them go with the last state that knows of them: it is certain that its commit is not
    /// there and never will be.
    pub fn release_files(&self) {
        self.staged.named().for_each(Unnamed::release);
    }

    /// Lets the log be kept short after a commit that others have put.
    pub fn keep_up_later(&self, version: u64) {
        let commits = self.base.version() + 1..=version;
        log_upkeep::after_commits(Arc::clone(&self.table), &self.seen, commits);
    }

    /// The lines of the commit under a token, for [`DeltaTable::put_decided`].
    #[must_use]
    pub fn content(&self, token: &str) -> String {
        let actions = self.staged.actions(&self.base, token, None);
        actions.iter().map(|action| format!("{action}\n")).collect()
    }

    fn next(&self, operation: impl Into<Option<Operation>>) -> Self {
        let mut next = self.clone();
        next.state = new_state();
        next.staged_mut().operations.extend(operation.into());
        next
    }

    fn staged_mut(&mut self) -> &mut Staged {
        Arc::make_mut(&mut self.staged)
    }

    /// Takes over new files.
    fn own(&mut self, files: &[NewFile]) {
        let made = files.iter().filter_map(|f| Some((f.path().to_owned(), Arc::clone(f.made()?))));
        self.staged_mut().made.extend(made);
    }

    fn add(&mut self, adds: impl Iterator<Item = AddAction>) -> Result<()> {
        self.replace(&BTreeSet::new(), adds.collect(), true)
    }

    /// Takes files out and puts others in, both in the plan of the commit and in what is seen.
    fn replace(
        &mut self,
        gone: &BTreeSet<FileNumber>,
        added: Vec<AddAction>,
        data_change: bool,
    ) -> Result<()> {
        let seen = Arc::clone(&self.seen);
        for file in gone {
            let path = seen.path_of(*file)?.clone();
            let staged = self.staged_mut();
            let was_added = staged.added.remove(&path);
            staged.superseded.extend(was_added.iter().map(|add| add.path.clone()));
            // A file that this transaction has made leaves no trace; one whose deletion vector it
            // has changed is taken out of the base already.
            if was_added.is_none() {
                let remove = seen.remove_action(*file, data_change)?;
                staged.removed.insert(path, remove);
            }
        }
        let index = FileIndex::of_adds(&seen.table, &seen.url, &seen.layout, &added)?;
        for (path, add) in index.paths.iter().zip(added) {
            self.staged_mut().superseded.remove(&add.path);
            self.staged_mut().added.insert(path.clone(), add);
        }
        let keep: BooleanArray =
            (0..seen.n_files()).map(|file| Some(!gone.contains(&file))).collect();
        self.seen = Arc::new(seen.with_files(&keep, &index, seen.version())?);
        Ok(())
    }

    /// All deleted rows of a file once these are, too; `None` if no row remains.
    async fn remaining(
        &self,
        file: FileNumber,
        rows: &roaring::RoaringTreemap,
    ) -> Result<Option<roaring::RoaringTreemap>> {
        let mut deleted = self.seen.deleted_rows(file).await?;
        deleted |= rows;
        let stored = self.seen.stored_rows(file).await?;
        Ok((deleted.len() < stored).then_some(deleted))
    }

    async fn write_vectors(
        &mut self,
        changed: &[(FileNumber, roaring::RoaringTreemap)],
    ) -> Result<Vec<DeletionVector>> {
        if changed.is_empty() {
            return Ok(vec![]);
        }
        if !self.seen.has_deletion_vectors() {
            return Err(CatalogError::NotWritable {
                name: self.seen.table.clone(),
                reason: "it has no deletion vectors, its files must be rewritten".to_owned(),
            });
        }
        let mut file = VectorFile::new();
        let vectors: Result<Vec<DeletionVector>> =
            changed.iter().map(|(_, deleted)| file.push(deleted)).collect();
        let vectors = vectors?;
        let made = file.put(&self.seen.store, &self.seen.root()?).await?;
        self.staged_mut().made.insert(made.path().to_string(), made);
        Ok(vectors)
    }
}

impl LakeTable for StagedTable {
    fn format(&self) -> &'static str {
        "delta"
    }

    fn location(&self) -> &str {
        self.table.location()
    }

    fn details(&self) -> Option<Arc<TableDetails>> {
        Some(Arc::clone(self.seen.details()))
    }

    fn delta(self: Arc<Self>) -> Option<Arc<DeltaTable>> {
        Some(Arc::clone(&self.table))
    }

    fn pin(self: Arc<Self>, travel: Travel) -> BoxFuture<'static, Result<Pinned>> {
        async move {
            if travel == Travel::Latest {
                let version = TableVersion::Fingerprint(self.state);
                return Ok(Pinned { provider: Arc::clone(&self.seen) as _, version });
            }
            Arc::clone(&self.table).pin(travel).await
        }
        .boxed()
    }
}

impl DeltaSnapshot {
    pub(super) fn path_of(&self, file: FileNumber) -> Result<&Path> {
        self.index.paths.get(file).ok_or_else(|| no_file(file))
    }

    /// The action that puts this file, as it is, into a table.
    pub(super) fn add_action(&self, file: FileNumber) -> Result<AddAction> {
        let index = &self.index;
        let size = index.size_bytes.get(file).copied().ok_or_else(|| no_file(file))?;
        Ok(AddAction {
            path: index.log_path(file).ok_or_else(|| no_file(file))?.to_owned(),
            partition_values: self.partition_texts(file)?,
            size,
            modification_time: index.modified_ms.get(file).copied().unwrap_or_default(),
            data_change: true,
            stats: super::writer::stats::of_index(index, &self.layout, file),
            tags: None,
            deletion_vector: self.vector_of(file),
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        })
    }

    /// The action that takes this file out.
    fn remove_action(&self, file: FileNumber, data_change: bool) -> Result<RemoveAction> {
        let index = &self.index;
        // Readers of changes have to know which numbers of rows the vector leaves.
        let has_vector = index.deletion_vectors.get(file).is_some_and(Option::is_some);
        let stats = || super::writer::stats::of_index(index, &self.layout, file);
        Ok(RemoveAction {
            path: index.log_path(file).ok_or_else(|| no_file(file))?.to_owned(),
            deletion_timestamp: i64::try_from(now_ms()).ok(),
            data_change,
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition_texts(file)?),
            size: index.size_bytes.get(file).copied(),
            stats: has_vector.then(stats).flatten(),
            deletion_vector: self.vector_of(file),
        })
    }

    fn vector_of(&self, file: FileNumber) -> Option<VectorDescriptor> {
        self.index.deletion_vectors.get(file)?.as_ref().map(Into::into)
    }

    fn partition_texts(&self, file: FileNumber) -> Result<BTreeMap<String, Option<String>>> {
        let values = self.index.partition_values(file).map_err(|source| CatalogError::Engine {
            table: self.table.clone(),
            source: Box::new(source),
        })?;
        let columns = self.layout.partition_names.iter().zip(self.layout.partition_fields());
        columns
            .zip(&values)
            .map(|((name, field), value)| {
                Ok((name.clone(), super::writer::stats::partition_text(field, value)?))
            })
            .collect()
    }
}

impl Staged {
    /// The files that the commit names and that no version has named before.
    fn named(&self) -> impl Iterator<Item = &Unnamed> {
        let made = self.made.iter().filter(|(path, _)| !self.superseded.contains(*path));
        let changes = self.changes.iter().filter_map(NewFile::made);
        made.map(|(_, file)| file).chain(changes).map(AsRef::as_ref)
    }

    /// The actions of the commit; the token in them is what it is found by again.
    ///
    /// `time_ms` is the least time that the commit may have, where commits say their own.
    pub(super) fn actions(
        &self,
        base: &DeltaSnapshot,
        token: &str,
        time_ms: Option<i64>,
    ) -> Vec<Value> {
        let mut actions = vec![self.info(base, token, time_ms)];
        if let Some(change) = &self.metadata {
            actions.extend(change.is_protocol_changed.then(|| change.metadata.protocol_action()));
            actions.push(change.metadata.meta_action());
        }
        // A file that was taken out and put back in the same form has not changed.
        let is_same = |path: &Path| {
            let (removed, added) = (self.removed.get(path), self.added.get(path));
            removed.zip(added).is_some_and(|(r, a)| r.deletion_vector == a.deletion_vector)
        };
        let removed = self.removed.iter().filter(|(path, _)| !is_same(path));
        actions.extend(removed.map(|(_, remove)| json!({ "remove": remove })));
        let added = self.added.iter().filter(|(path, _)| !is_same(path));
        actions.extend(added.map(|(_, add)| json!({ "add": add })));
        actions.extend(self.changes.iter().map(|file| json!({ "cdc": file.change_action() })));
        actions
    }

    /// Rows were added and nothing was looked at.
    pub(super) fn is_blind_append(&self) -> bool {
        self.removed.is_empty()
            && self.metadata.is_none()
            && self.reads.is_nothing()
            && self.added.values().all(|add| add.data_change)
    }

    fn info(&self, base: &DeltaSnapshot, token: &str, time_ms: Option<i64>) -> Value {
        let name = match self.operations.as_slice() {
            [] => "WRITE".to_owned(),
            [only] => only.name.clone(),
            [first, rest @ ..] if rest.iter().all(|next| next.name == first.name) => {
                first.name.clone()
            }
            _ => "TRANSACTION".to_owned(),
        };
        let (mut parameters, mut metrics) = (BTreeMap::new(), BTreeMap::<String, u64>::new());
        for operation in &self.operations {
            parameters.extend(operation.parameters.clone());
            for (metric, value) in &operation.metrics {
                let sum = metrics.entry(metric.clone()).or_default();
                *sum = sum.saturating_add(*value);
            }
        }
        if self.operations.len() > 1 {
            let names: Vec<&str> = self.operations.iter().map(|op| op.name.as_str()).collect();
            parameters.insert("operations".to_owned(), json!(names).to_string());
        }
        // Numbers are written as texts: that is how readers expect them.
        let metrics: BTreeMap<String, String> =
            metrics.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        let mut info = json!({
            "timestamp": now_ms(),
            "operation": name,
            "operationParameters": parameters,
            "operationMetrics": metrics,
            "readVersion": base.version(),
            "isolationLevel": "WriteSerializable",
            "isBlindAppend": self.is_blind_append(),
            "engineInfo": concat!("tarn/", env!("CARGO_PKG_VERSION")),
            "txnId": token,
        });
        if metrics.is_empty()
            && let Some(info) = info.as_object_mut()
        {
            info.remove("operationMetrics");
        }
        if let (Some(least), Some(info)) = (time_ms, info.as_object_mut()) {
            let now = i64::try_from(now_ms()).unwrap_or_default();
            info.insert("inCommitTimestamp".to_owned(), json!(now.max(least)));
        }
        json!({ "commitInfo": info })
    }
}

fn no_file(file: FileNumber) -> CatalogError {
    CatalogError::Internal { what: format!("no file {file} in the index") }
}

/// A number that no other state of any table has, also not after a restart.
fn new_state() -> u64 {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    high ^ low
}
