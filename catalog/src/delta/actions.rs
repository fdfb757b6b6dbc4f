//! The actions of a commit as plain values.
//!
//! Commits are read line by line: an action that is not known is kept out, as the protocol asks.
//! Source: Delta protocol, section "Actions".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::decided::{N_TABLES, RESERVED_FOR};
use super::deletion_vector::DeletionVector;
use crate::{CatalogError, Result};

/// A file that a version has and the one before had not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddAction {
    pub(super) path: String,
    #[serde(default)]
    pub(super) partition_values: BTreeMap<String, Option<String>>,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) modification_time: i64,
    #[serde(default)]
    pub(super) data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stats: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<BTreeMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deletion_vector: Option<VectorDescriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) base_row_id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) default_row_commit_version: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) clustering_provider: Option<String>,
}

/// A file that a version has no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RemoveAction {
    pub(super) path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deletion_timestamp: Option<i64>,
    #[serde(default)]
    pub(super) data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) extended_file_metadata: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) partition_values: Option<BTreeMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stats: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deletion_vector: Option<VectorDescriptor>,
}

/// Where the deleted rows of a file are listed, as the log says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VectorDescriptor {
    pub(super) storage_type: String,
    #[serde(default)]
    pub(super) path_or_inline_dv: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) offset: Option<i32>,
    pub(super) size_in_bytes: i32,
    pub(super) cardinality: u64,
}

impl From<&DeletionVector> for VectorDescriptor {
    fn from(vector: &DeletionVector) -> Self {
        Self {
            storage_type: vector.storage_type.clone(),
            path_or_inline_dv: vector.path_or_inline.clone(),
            offset: vector.offset,
            size_in_bytes: vector.size_bytes,
            cardinality: vector.cardinality,
        }
    }
}

impl From<&VectorDescriptor> for DeletionVector {
    fn from(vector: &VectorDescriptor) -> Self {
        Self {
            storage_type: vector.storage_type.clone(),
            path_or_inline: vector.path_or_inline_dv.clone(),
            offset: vector.offset,
            size_bytes: vector.size_in_bytes,
            cardinality: vector.cardinality,
        }
    }
}

/// What one commit says, as far as it matters for another writer or for the list of files.
#[derive(Debug, Clone, Default)]
pub(super) struct Commit {
    pub(super) adds: Vec<AddAction>,
    pub(super) removes: Vec<RemoveAction>,
    /// The inner object of the `metaData` action.
    pub(super) metadata: Option<Value>,
    /// The inner object of the `protocol` action.
    pub(super) protocol: Option<Value>,
    /// Applications that have noted a version of theirs.
    pub(super) applications: Vec<String>,
    /// Domains whose metadata was changed.
    pub(super) domains: Vec<String>,
    /// The inner object of `commitInfo`.
    pub(super) info: Option<Value>,
}

impl Commit {
    /// Reads the content of a commit file.
    pub(super) fn parse(table: &str, version: u64, bytes: &[u8]) -> Result<Self> {
        let damaged = |error: serde_json::Error| CatalogError::Corrupt {
            table: table.to_owned(),
            what: format!("commit {version} of the log: {error}"),
            source: None,
        };
        let mut commit = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line: Line = serde_json::from_slice(line).map_err(damaged)?;
            commit.take(line);
        }
        Ok(commit)
    }

    fn take(&mut self, line: Line) {
        self.adds.extend(line.add);
        self.removes.extend(line.remove);
        if line.meta_data.is_some() {
            self.metadata = line.meta_data;
        }
        if line.protocol.is_some() {
            self.protocol = line.protocol;
        }
        if line.commit_info.is_some() {
            self.info = line.commit_info;
        }
        self.applications.extend(line.txn.map(|txn| txn.app_id));
        self.domains.extend(line.domain_metadata.map(|domain| domain.domain));
    }

    /// The token under which its writer can find it again.
    pub(super) fn token(&self) -> Option<&str> {
        self.info.as_ref()?.get("txnId")?.as_str()
    }

    /// The transaction that a place in the log is kept for.
    pub(super) fn reserved_for(&self) -> Option<&str> {
        self.info.as_ref()?.get(RESERVED_FOR)?.as_str()
    }

    /// How many tables that transaction writes; 1 where it does not say.
    pub(super) fn reserved_tables(&self) -> u64 {
        let said = self.info.as_ref().and_then(|info| info.get(N_TABLES)?.as_u64());
        said.unwrap_or(1)
    }

    /// When it was made, where commits say so themselves.
    pub(super) fn time_ms(&self) -> Option<i64> {
        self.info.as_ref()?.get("inCommitTimestamp")?.as_i64()
    }

    /// Rows were added and nothing was read for it.
    pub(super) fn is_blind_append(&self) -> bool {
        let declared = self.info.as_ref().and_then(|info| info.get("isBlindAppend")?.as_bool());
        declared.unwrap_or(false) && self.removes.is_empty()
    }
}

/// One line of a commit file: one of these is there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    add: Option<AddAction>,
    remove: Option<RemoveAction>,
    meta_data: Option<Value>,
    protocol: Option<Value>,
    txn: Option<Application>,
    domain_metadata: Option<Domain>,
    commit_info: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Application {
    app_id: String,
}

#[derive(Debug, Deserialize)]
struct Domain {
    domain: String,
}
