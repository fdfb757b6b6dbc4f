//! The text of a record: JSON lines, the first one about the record, then one for each change.
//!
//! ```text
//! {"tarn_catalog":1,"version":7,"token":"2f0c…","at":"2026-11-21T10:00:00Z","n_entries":2,"crc":7}
//! {"put_schema":{"database":"tarn","name":"sales","schema":{"oid":16384}}}
//! {"put_relation":{"database":"tarn","schema":"sales","name":"v","relation":{…}}}
//! ```
//! A checkpoint has the same form: the entries that make its state from nothing. A kind of entry
//! that is not known is refused by its name: going on without it could undo what it says.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::definition::{
    DatabaseDef, GrantDef, RelationDef, RoleDef, SchemaDef, Scope, Securable, StatisticsDef,
    StorageDef,
};
use super::driver::Numbered;
use super::transaction::{Outcome, TransactionDef};
use crate::delta::crc32;
use crate::{CatalogError, Result};

/// The form of records that this server writes; it reads no newer one.
const FORM: u32 = 1;

/// One change of the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it: an object comes or is replaced, or goes")]
pub enum Entry {
    PutDatabase {
        name: String,
        database: DatabaseDef,
    },
    DropDatabase {
        name: String,
    },
    /// A database gets another name, wherever it is named.
    RenameDatabase {
        name: String,
        new: String,
    },
    PutSchema {
        database: String,
        name: String,
        schema: SchemaDef,
    },
    DropSchema {
        database: String,
        name: String,
    },
    PutRelation {
        database: String,
        schema: String,
        name: String,
        relation: Box<RelationDef>,
    },
    DropRelation {
        database: String,
        schema: String,
        name: String,
    },
    PutRole {
        name: String,
        role: RoleDef,
    },
    DropRole {
        name: String,
    },
    /// A role gets another name, wherever it is named.
    RenameRole {
        name: String,
        new: String,
    },
    PutGrant {
        on: Securable,
        role: String,
        grant: GrantDef,
    },
    DropGrant {
        on: Securable,
        role: String,
    },
    PutStorage {
        name: String,
        storage: StorageDef,
    },
    DropStorage {
        name: String,
    },
    PutSetting {
        scope: Scope,
        name: String,
        value: String,
    },
    DropSetting {
        scope: Scope,
        name: String,
    },
    PutStatistics {
        oid: u32,
        statistics: StatisticsDef,
    },
    DropStatistics {
        oid: u32,
    },
    /// A commit over several tables is decided.
    PutTransaction {
        token: String,
        transaction: Box<TransactionDef>,
    },
    /// A commit over several tables has ended, or can never be decided.
    EndTransaction {
        token: String,
        outcome: Outcome,
    },
    /// The object identifier that comes next; in checkpoints, where dropped objects have left none.
    NextOid {
        oid: u32,
    },
}

/// The kinds of entry that this server knows.
const KINDS: &[&str] = &[
    "put_database",
    "drop_database",
    "rename_database",
    "put_schema",
    "drop_schema",
    "put_relation",
    "drop_relation",
    "put_role",
    "drop_role",
    "rename_role",
    "put_grant",
    "drop_grant",
    "put_storage",
    "drop_storage",
    "put_setting",
    "drop_setting",
    "put_statistics",
    "drop_statistics",
    "put_transaction",
    "end_transaction",
    "next_oid",
];

impl Entry {
    /// Whether it is about commits over several tables, which change no definition.
    #[must_use]
    pub fn is_about_transaction(&self) -> bool {
        matches!(self, Self::PutTransaction { .. } | Self::EndTransaction { .. })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    tarn_catalog: u32,
    version: u64,
    /// Makes the bytes of each append unlike all others.
    #[serde(default)]
    token: String,
    #[serde(default)]
    at: String,
    /// Says that the entries are a whole state.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    checkpoint: bool,
    /// How many entries follow, so that a text which was cut off is noticed.
    n_entries: usize,
    /// The CRC-32 of the lines of the entries; records of the first servers have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crc: Option<u32>,
}

/// Writes a record.
///
/// # Errors
/// `Internal`: a value that JSON cannot hold.
pub fn encode(version: u64, entries: &[Entry]) -> Result<Bytes> {
    write(version, entries, false)
}

/// Writes a checkpoint.
///
/// # Errors
/// As [`encode`].
pub fn encode_checkpoint(version: u64, entries: &[Entry]) -> Result<Bytes> {
    write(version, entries, true)
}

fn write(version: u64, entries: &[Entry], checkpoint: bool) -> Result<Bytes> {
    let internal = |error: serde_json::Error| CatalogError::Internal { what: error.to_string() };
    let mut lines = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut lines, entry).map_err(internal)?;
        lines.push(b'\n');
    }
    let header = Header {
        tarn_catalog: FORM,
        version,
        token: uuid::Uuid::new_v4().to_string(),
        at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        checkpoint,
        n_entries: entries.len(),
        crc: Some(crc32(&lines)),
    };
    let mut text = serde_json::to_vec(&header).map_err(internal)?;
    text.push(b'\n');
    text.extend(lines);
    Ok(text.into())
}

/// Reads a record or checkpoint.
///
/// # Errors
/// `CatalogDamaged` for what is no record, `CatalogTooNew` for one of a newer server.
pub fn decode(place: &str, record: &Numbered, checkpoint: bool) -> Result<Vec<Entry>> {
    let version = record.version;
    let damaged =
        |what: String| CatalogError::CatalogDamaged { place: place.to_owned(), version, what };
    let text = std::str::from_utf8(&record.bytes).map_err(|error| damaged(error.to_string()))?;
    let (header, rest) = text.split_once('\n').unwrap_or((text, ""));
    let header: Header =
        serde_json::from_str(header).map_err(|e| damaged(format!("line 1: {e}")))?;
    if header.tarn_catalog > FORM {
        let kind = format!("form {}", header.tarn_catalog);
        return Err(CatalogError::CatalogTooNew { place: place.to_owned(), version, kind });
    }
    if header.version != version || header.checkpoint != checkpoint {
        return Err(damaged(format!("it says that it is number {}", header.version)));
    }
    let mut entries = Vec::with_capacity(header.n_entries.min(1 << 16));
    for (at, line) in rest.lines().enumerate() {
        let entry = serde_json::from_str(line).map_err(|error| match unknown_kind(line) {
            Some(kind) => CatalogError::CatalogTooNew { place: place.to_owned(), version, kind },
            None => damaged(format!("line {}: {error}", at + 2)),
        })?;
        entries.push(entry);
    }
    if entries.len() != header.n_entries {
        let (want, got) = (header.n_entries, entries.len());
        return Err(damaged(format!("it has {got} entries instead of {want}")));
    }
    if header.crc.is_some_and(|crc| crc != crc32(rest.as_bytes())) {
        return Err(damaged("its checksum is wrong: somebody has changed it".to_owned()));
    }
    Ok(entries)
}

/// The kind of an entry that this server does not know.
fn unknown_kind(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let kind = value.as_object()?.keys().next()?;
    (!KINDS.contains(&kind.as_str())).then(|| kind.clone())
}
