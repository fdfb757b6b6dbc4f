//! A new version with the files of a former one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use uuid::Uuid;

use crate::delta::conflict::ReadSet;
use crate::delta::deletion_vector::DeletionVector;
use crate::delta::history::Point;
use crate::delta::index::object_path;
use crate::delta::metadata::TableMetadata;
use crate::delta::snapshot::DeltaSnapshot;
use crate::delta::staged::{MetadataChange, Operation};
use crate::delta::writer::NewFile;
use crate::delta::{DeltaTable, FileNumber};
use crate::{CatalogError, Result, Travel};

/// Files looked for at the same time.
const LOOKS_MAX: usize = 32;
/// Missing files that an error names.
const NAMED_MAX: usize = 5;

/// What a restore has done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Restored {
    /// The new version; the newest one where nothing had to be done.
    pub version: u64,
    /// Files that came back.
    pub files_added: u64,
    /// Files that went.
    pub files_removed: u64,
    /// Bytes of the files that came back.
    pub bytes_added: u64,
    /// Bytes of the files that went.
    pub bytes_removed: u64,
    /// Rows of the table now, where the log says.
    pub n_rows: Option<u64>,
}

impl DeltaTable {
    /// Commits a version with the files, columns and properties of a former one, past the
    /// reservations of transactions that are settled.
    ///
    /// # Errors
    /// `VersionNotFound`, `FilesMissing` with the names of files that are gone, `Conflict` where
    /// somebody else commits meanwhile, `Reserved` for other reservations, and what committing reports.
    pub fn restore(
        self: &Arc<Self>,
        to: Point,
        settled: HashSet<String>,
    ) -> BoxFuture<'static, Result<Restored>> {
        let table = Arc::clone(self);
        Box::pin(async move { table.restore_to(&to, &settled).await })
    }

    async fn restore_to(
        self: &Arc<Self>,
        to: &Point,
        settled: &HashSet<String>,
    ) -> Result<Restored> {
        let staged = Box::pin(self.stage()).await?;
        let now = Arc::clone(staged.snapshot());
        let version = self.version_of(to).await?;
        let target = Box::pin(self.snapshot(Travel::Version(version))).await?;
        let removed = files_beside(&now, &target);
        let added = files_beside(&target, &now);
        let definition = self.restored_definition(&now, &target)?;
        let is_same_definition = now.metadata().meta_action() == definition.meta_action();
        if removed.is_empty() && added.is_empty() && is_same_definition {
            let n_rows = now.n_rows();
            return Ok(Restored { version: now.version(), n_rows, ..Restored::default() });
        }
        if !removed.is_empty() {
            // As the table is now: the version may be from before it was said to only grow.
            crate::delta::features::check_deletable(&now)?;
        }
        self.check_present(&target, &added).await?;
        let bytes = |snapshot: &DeltaSnapshot, files: &[FileNumber]| -> u64 {
            files.iter().filter_map(|file| snapshot.index.size_bytes.get(*file)).sum()
        };
        let count = |files: &[FileNumber]| u64::try_from(files.len()).unwrap_or(u64::MAX);
        let mut restored = Restored {
            version: 0,
            files_added: count(&added),
            files_removed: count(&removed),
            bytes_added: bytes(&target, &added),
            bytes_removed: bytes(&now, &removed),
            n_rows: target.n_rows(),
        };
        let parameters = BTreeMap::from([("version".to_owned(), version.to_string())]);
        let operation = Operation::new("RESTORE", parameters)
            .with_metric("numRestoredFiles", restored.files_added)
            .with_metric("numRemovedFiles", restored.files_removed)
            .with_metric("restoredFilesSize", restored.bytes_added)
            .with_metric("removedFilesSize", restored.bytes_removed)
            .with_metric("numOfFilesAfterRestore", count_of(target.n_files()))
            .with_metric("tableSizeAfterRestore", target.size_bytes());
        let mut next = staged;
        if !is_same_definition {
            let change =
                MetadataChange { metadata: Arc::new(definition), is_protocol_changed: false };
            next = next.set_metadata(change, operation.clone())?;
        }
        let files = added.iter().map(|file| {
            let add = target.add_action(*file)?;
            let add = serde_json::to_value(&add).map_err(|error| CatalogError::Internal {
                what: format!("an add action: {error}"),
            })?;
            NewFile::existing(&self.name, add)
        });
        let files = files.collect::<Result<Vec<_>>>()?;
        let next = next.replace_files(removed, files, true, operation)?;
        // Rows that others add meanwhile are not of the version that is asked for.
        let next = next.reads(ReadSet::Everything).exclusive();
        let token = Uuid::new_v4().to_string();
        restored.version = Box::pin(next.commit_past(&token, settled)).await?;
        Ok(restored)
    }

    /// The columns and properties of a version, for the table as it is now.
    fn restored_definition(
        &self,
        now: &DeltaSnapshot,
        target: &DeltaSnapshot,
    ) -> Result<TableMetadata> {
        // The protocol stays: what later versions need of readers and writers, they still do.
        let action = target.metadata().meta_action();
        let (inner, previous) = (action.get("metaData"), Some(now.metadata().as_ref()));
        let definition = TableMetadata::from_actions(&self.name, inner, None, previous)?;
        Ok(definition.numbered_on_from(now.metadata()))
    }

    /// Looks for files of a version, deletion vectors included.
    async fn check_present(&self, of: &DeltaSnapshot, files: &[FileNumber]) -> Result<()> {
        let mut paths: Vec<Path> = Vec::with_capacity(files.len());
        for file in files {
            paths.extend(of.index.paths.get(*file).cloned());
            let vector = of.index.deletion_vectors.get(*file).and_then(Option::as_ref);
            if let Some(path) = vector.and_then(DeletionVector::file) {
                paths.push(object_path(&self.name, &self.url, &path)?);
            }
        }
        let looks = paths.into_iter().map(|path| async move {
            match self.store.head(&path).await {
                Ok(_) => Ok(None),
                Err(object_store::Error::NotFound { .. }) => Ok(Some(path)),
                Err(source) => Err(CatalogError::Storage {
                    what: format!("file {path} of table \"{}\"", self.name),
                    source: Box::new(source),
                }),
            }
        });
        let missing: Vec<Path> = stream::iter(looks)
            .buffered(LOOKS_MAX)
            .try_filter_map(futures::future::ok)
            .try_collect()
            .await?;
        if missing.is_empty() {
            return Ok(());
        }
        let below = |path: &Path| match path.prefix_match(&self.root) {
            Some(parts) => parts.collect::<Path>().to_string(),
            None => path.to_string(),
        };
        Err(CatalogError::FilesMissing {
            table: self.name.clone(),
            files: missing.iter().take(NAMED_MAX).map(below).collect(),
            n_missing: missing.len(),
        })
    }
}

/// The files of one version that another one has not, or with another deletion vector.
fn files_beside(of: &DeltaSnapshot, other: &DeltaSnapshot) -> Vec<FileNumber> {
    let vectors = |snapshot: &DeltaSnapshot, file: usize| {
        snapshot.index.deletion_vectors.get(file).cloned().flatten()
    };
    let others: HashMap<&Path, FileNumber> =
        other.index.paths.iter().enumerate().map(|(file, path)| (path, file)).collect();
    let is_beside = |(file, path): (usize, &Path)| match others.get(path) {
        Some(there) if vectors(of, file) == vectors(other, *there) => None,
        _ => Some(file),
    };
    of.index.paths.iter().enumerate().filter_map(is_beside).collect()
}

fn count_of(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
