//! Commit files of the log: which there are, and the actions in one.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::Deserialize;
use serde_json::Value;

use crate::delta::DeltaTable;
use crate::delta::deletion_vector::DeletionVector;
use crate::{CatalogError, Result};

/// Commit files read at the same time.
const COMMIT_READS_MAX: usize = 16;

/// One commit with the actions that history is told from.
#[derive(Debug)]
pub(in crate::delta) struct Commit {
    pub(in crate::delta) version: u64,
    /// When it was made: what the commit says of itself where the table keeps that, else what
    /// storage says of the file.
    pub(in crate::delta) timestamp_ms: i64,
    /// Who did what, in the writer's own words.
    pub(in crate::delta) info: Option<Value>,
    pub(in crate::delta) adds: Vec<Add>,
    pub(in crate::delta) removes: Vec<Remove>,
    pub(in crate::delta) changes: Vec<ChangeFile>,
    pub(in crate::delta) metadata: Option<MetaData>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Line {
    commit_info: Option<Value>,
    add: Option<Add>,
    remove: Option<Remove>,
    cdc: Option<ChangeFile>,
    meta_data: Option<MetaData>,
}

/// A file that became part of the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::delta) struct Add {
    pub(in crate::delta) path: String,
    #[serde(default)]
    pub(in crate::delta) partition_values: HashMap<String, Option<String>>,
    pub(in crate::delta) size: u64,
    #[serde(default)]
    pub(in crate::delta) modification_time: i64,
    #[serde(default = "yes")]
    pub(in crate::delta) data_change: bool,
    pub(in crate::delta) stats: Option<String>,
    pub(in crate::delta) deletion_vector: Option<Vector>,
}

/// A file that is no longer part of the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::delta) struct Remove {
    pub(in crate::delta) path: String,
    pub(in crate::delta) partition_values: Option<HashMap<String, Option<String>>>,
    pub(in crate::delta) size: Option<u64>,
    #[serde(default = "yes")]
    pub(in crate::delta) data_change: bool,
    pub(in crate::delta) stats: Option<String>,
    pub(in crate::delta) deletion_vector: Option<Vector>,
}

/// A file of changed rows, written beside the table's files.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::delta) struct ChangeFile {
    pub(in crate::delta) path: String,
    #[serde(default)]
    pub(in crate::delta) partition_values: HashMap<String, Option<String>>,
    pub(in crate::delta) size: u64,
}

/// The part of a metadata action that history needs.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::delta) struct MetaData {
    #[serde(default)]
    pub(in crate::delta) configuration: HashMap<String, Option<String>>,
    /// The columns as JSON.
    #[serde(default, rename = "schemaString")]
    pub(in crate::delta) schema: Option<String>,
}

/// A deletion vector's descriptor as the log writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::delta) struct Vector {
    storage_type: String,
    path_or_inline_dv: String,
    offset: Option<i32>,
    size_in_bytes: i32,
    cardinality: u64,
}

impl From<&Vector> for DeletionVector {
    fn from(vector: &Vector) -> Self {
        Self {
            storage_type: vector.storage_type.clone(),
            path_or_inline: vector.path_or_inline_dv.clone(),
            offset: vector.offset,
            size_bytes: vector.size_in_bytes,
            cardinality: vector.cardinality,
        }
    }
}

fn yes() -> bool {
    true
}

/// Rows that a file's statistics say it has, deleted ones included.
pub(in crate::delta) fn stored_rows(stats: Option<&str>) -> Option<u64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stats {
        num_records: Option<u64>,
    }
    serde_json::from_str::<Stats>(stats?).ok()?.num_records
}

impl DeltaTable {
    /// The commit files that are still there, oldest first.
    pub(in crate::delta) async fn commit_files(&self) -> Result<Vec<(u64, ObjectMeta)>> {
        let log = self.root.clone().join("_delta_log");
        let entries: Vec<ObjectMeta> =
            self.store.list(Some(&log)).try_collect().await.map_err(|e| self.log_failed(e))?;
        let mut files: Vec<(u64, ObjectMeta)> = entries
            .into_iter()
            .filter(|meta| meta.location.prefix_match(&log).is_some_and(|rest| rest.count() == 1))
            .filter_map(|meta| {
                let name = meta.location.filename()?.strip_suffix(".json")?;
                let is_version = name.len() == 20 && name.bytes().all(|b| b.is_ascii_digit());
                Some((is_version.then(|| name.parse().ok()).flatten()?, meta))
            })
            .collect();
        files.sort_by_key(|(version, _)| *version);
        Ok(files)
    }

    /// The commits of a range of versions in order.
    pub(in crate::delta) async fn commits(
        &self,
        versions: RangeInclusive<u64>,
    ) -> Result<Vec<Commit>> {
        self.commits_of(versions.collect()).await
    }

    /// The commits of these versions.
    pub(in crate::delta) async fn commits_of(&self, versions: Vec<u64>) -> Result<Vec<Commit>> {
        let reads = versions.into_iter().map(|version| async move {
            let name = format!("{version:020}.json");
            let path = self.root.clone().join("_delta_log").join(name);
            let missing = |error: object_store::Error| match error {
                object_store::Error::NotFound { .. } => CatalogError::VersionNotFound {
                    table: self.name.clone(),
                    version: version.to_string(),
                    available: "its commit was removed by the log's clean-up".to_owned(),
                },
                other => self.log_failed(other),
            };
            let found = self.store.get(&path).await.map_err(missing)?;
            let modified_ms = found.meta.last_modified.timestamp_millis();
            let bytes = found.bytes().await.map_err(|e| self.log_failed(e))?;
            self.parse_commit(version, modified_ms, &bytes)
        });
        stream::iter(reads).buffered(COMMIT_READS_MAX).try_collect().await
    }

    /// What commits say of themselves, newest first.
    pub(in crate::delta) async fn commit_infos(
        &self,
        newest: u64,
        n_max: Option<usize>,
    ) -> Result<Vec<Commit>> {
        let mut files = self.commit_files().await?;
        files.retain(|(version, _)| *version <= newest);
        files.reverse();
        files.truncate(n_max.unwrap_or(usize::MAX));
        let reads = files.into_iter().map(|(version, meta)| async move {
            let found = match self.store.get(&meta.location).await {
                Ok(found) => found,
                // Cleaned up since the log was listed.
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(self.log_failed(error)),
            };
            let modified_ms = found.meta.last_modified.timestamp_millis();
            let bytes = found.bytes().await.map_err(|e| self.log_failed(e))?;
            self.parse_commit(version, modified_ms, &bytes).map(Some)
        });
        let commits: Vec<Option<Commit>> =
            stream::iter(reads).buffered(COMMIT_READS_MAX).try_collect().await?;
        Ok(commits.into_iter().flatten().collect())
    }

    fn parse_commit(&self, version: u64, modified_ms: i64, bytes: &[u8]) -> Result<Commit> {
        let mut commit = Commit {
            version,
            timestamp_ms: modified_ms,
            info: None,
            adds: vec![],
            removes: vec![],
            changes: vec![],
            metadata: None,
        };
        for line in bytes.split(|byte| *byte == b'\n') {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line: Line =
                serde_json::from_slice(line).map_err(|error| CatalogError::Corrupt {
                    table: self.name.clone(),
                    what: format!("commit {version} cannot be parsed"),
                    source: Some(Box::new(error)),
                })?;
            if let Some(info) = line.commit_info {
                // Only tables that keep the time in their commits have this entry.
                if let Some(ms) = info.get("inCommitTimestamp").and_then(Value::as_i64) {
                    commit.timestamp_ms = ms;
                }
                commit.info = Some(info);
            }
            commit.adds.extend(line.add);
            commit.removes.extend(line.remove);
            commit.changes.extend(line.cdc);
            commit.metadata = line.meta_data.or(commit.metadata);
        }
        Ok(commit)
    }

    pub(in crate::delta) fn log_failed(&self, source: object_store::Error) -> CatalogError {
        CatalogError::Storage {
            what: format!("the log of table \"{}\"", self.name),
            source: Box::new(source),
        }
    }
}
