//! One table's part in a commit over several.
//!
//! ```text
//! reserve ─▶ a commit without actions: no writer of tarn goes past it before it knows what
//!            becomes of the transaction
//! decide     in the catalog's log
//! put     ─▶ the commit itself, behind the reservation, by whoever comes first
//! ```
//! A reservation is found by `tarnReservedFor` in its `commitInfo`; to other programs it is a commit
//! that changes nothing. The protocol as a whole: docs/adr/006.

use std::collections::HashSet;

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde_json::{Value, json};

use super::actions::Commit;
use super::commit::{CommitLog, Landed};
use super::staged::StagedTable;
use super::table::DeltaTable;
use super::write::now_ms;
use crate::{CatalogError, Result};

/// The key in `commitInfo` that names the transaction a place is kept for.
pub(super) const RESERVED_FOR: &str = "tarnReservedFor";

/// The key in `commitInfo` that says how many tables that transaction writes.
pub(super) const N_TABLES: &str = "tarnTables";

/// Where commits lie that are too long for the catalog's log; VACUUM and readers leave such names
/// alone.
const CONTENT_FOLDER: &str = "_tarn";

/// No reservation is longer; commits that add or remove a file are.
pub(super) const RESERVATION_BYTES_MAX: u64 = 400;

/// What a table's log says of a decided commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is there, as this version.
    Landed(u64),
    /// It is not there yet, and can be put.
    Free,
    /// A commit of this number contradicts it.
    Contradicted(u64),
    /// Another table is in the table's place, or none.
    Gone,
}

/// A commit whose content was decided in the catalog's log.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'a> {
    /// The token that it is found by.
    pub token: &'a str,
    /// It comes after this version.
    pub after: u64,
    /// Its lines.
    pub content: &'a str,
    /// Whether commits of the table say their time.
    pub has_times: bool,
}

/// The line of a reservation.
pub(super) fn reservation(
    (token, n_tables): (&str, usize),
    read_version: u64,
    time_ms: Option<i64>,
) -> Value {
    let mut info = json!({
        "timestamp": now_ms(),
        "operation": "RESERVE",
        "operationParameters": {},
        "readVersion": read_version,
        "isBlindAppend": true,
        "engineInfo": concat!("tarn/", env!("CARGO_PKG_VERSION")),
        "txnId": reservation_token(token),
        RESERVED_FOR: token,
        N_TABLES: n_tables,
    });
    set_time(&mut info, time_ms);
    json!({ "commitInfo": info })
}

/// The token of the reservation itself.
pub(super) fn reservation_token(token: &str) -> String {
    format!("{token}-reserved")
}

fn set_time(info: &mut Value, time_ms: Option<i64>) {
    if let (Some(least), Some(info)) = (time_ms, info.as_object_mut()) {
        let now = i64::try_from(now_ms()).unwrap_or_default();
        info.insert("inCommitTimestamp".to_owned(), json!(now.max(least)));
    }
}

impl StagedTable {
    /// Keeps the place of a transaction over so many tables in the table's log; returns its version.
    ///
    /// # Errors
    /// As [`Self::commit`], and `Reserved` where another transaction has done so before, unless it
    /// is among those that are settled.
    pub async fn reserve(
        &self,
        token: &str,
        n_tables: usize,
        settled: &HashSet<String>,
    ) -> Result<u64> {
        self.put(token, settled, Some(n_tables)).await
    }

    /// Commits, past the reservations of transactions that are settled.
    ///
    /// # Errors
    /// As [`Self::commit`], and `Reserved` for another reservation.
    pub async fn commit_past(&self, token: &str, settled: &HashSet<String>) -> Result<u64> {
        self.put(token, settled, None).await
    }

    /// Whether commits of the table say their time.
    #[must_use]
    pub fn has_times(&self) -> bool {
        self.base().property_is_on("delta.enableInCommitTimestamps")
    }
}

impl DeltaTable {
    /// Looks what has become of a decided commit.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`.
    pub async fn place_of(&self, decided: Decided<'_>) -> Result<Place> {
        if self.commit_file(decided.after).await?.is_none() {
            return Ok(Place::Gone);
        }
        let ours = Commit::parse(&self.name, decided.after, decided.content.as_bytes())?;
        let log = self.commit_log();
        let mut version = decided.after + 1;
        loop {
            match log.read(version).await? {
                None => return Ok(Place::Free),
                Some(found) if found.token() == Some(decided.token) => {
                    return Ok(Place::Landed(version));
                }
                Some(found) if contradicts(&found, &ours) => {
                    return Ok(Place::Contradicted(version));
                }
                Some(_) => version += 1,
            }
        }
    }

    /// Puts a decided commit behind all that are there, unless it has landed: however often this is
    /// called, and by whomever.
    ///
    /// # Errors
    /// `CommitUnclear`, `Storage`, `WriteStorage`; it can be called again then.
    pub async fn put_decided(&self, decided: Decided<'_>) -> Result<Place> {
        let ours = Commit::parse(&self.name, decided.after, decided.content.as_bytes())?;
        put(&self.commit_log(), decided, &ours).await
    }
}

/// Commits that are too long for a record of the catalog's log.
impl DeltaTable {
    /// Keeps the lines of a commit in a file of the table's folder that no reader looks at; returns
    /// its name.
    ///
    /// # Errors
    /// `WriteStorage`.
    pub async fn keep_content(&self, token: &str, content: &str) -> Result<String> {
        let name = format!("{token}.json");
        let payload = PutPayload::from(content.to_owned().into_bytes());
        match self.store.put(&self.content_path(&name), payload).await {
            Ok(_) => Ok(name),
            Err(source) => Err(CatalogError::WriteStorage {
                what: format!("the commit of a transaction on table \"{}\"", self.name),
                source: Box::new(source),
            }),
        }
    }

    /// Reads the lines back.
    ///
    /// # Errors
    /// `Storage`, `Corrupt`.
    pub async fn content_at(&self, name: &str) -> Result<String> {
        let what = || format!("the commit of a transaction on table \"{}\"", self.name);
        let failed = |source: object_store::Error| CatalogError::Storage {
            what: what(),
            source: Box::new(source),
        };
        let found = self.store.get(&self.content_path(name)).await.map_err(failed)?;
        let bytes = found.bytes().await.map_err(failed)?;
        String::from_utf8(bytes.to_vec()).map_err(|source| CatalogError::Corrupt {
            table: self.name.clone(),
            what: what(),
            source: Some(Box::new(source)),
        })
    }

    /// Removes what was kept for a transaction that is not decided and never will be.
    pub async fn forget_undecided(&self, token: &str) {
        self.forget_content(&format!("{token}.json")).await;
    }

    /// Removes the file; one that stays does no harm.
    pub async fn forget_content(&self, name: &str) {
        if let Err(error) = self.store.delete(&self.content_path(name)).await {
            tracing::debug!(table = self.name, name, %error, "a file of a transaction stays");
        }
    }

    fn content_path(&self, name: &str) -> Path {
        self.root.clone().join(CONTENT_FOLDER).join(name)
    }
}

async fn put(log: &CommitLog<'_>, decided: Decided<'_>, ours: &Commit) -> Result<Place> {
    let mut version = decided.after + 1;
    let mut last_time = match decided.has_times {
        true => log.read(decided.after).await?.and_then(|commit| commit.time_ms()),
        false => None,
    };
    loop {
        let found = match log.read(version).await? {
            Some(found) => found,
            None => {
                let time_ms = decided.has_times.then(|| last_time.map_or(0, |last| last + 1));
                let content = with_time(decided.content, time_ms);
                let content = PutPayload::from(content.into_bytes());
                match log.put(version, decided.token, &content).await? {
                    Landed::Ours => return Ok(Place::Landed(version)),
                    Landed::Theirs(found) => *found,
                }
            }
        };
        if found.token() == Some(decided.token) {
            return Ok(Place::Landed(version));
        }
        if contradicts(&found, ours) {
            return Ok(Place::Contradicted(version));
        }
        last_time = found.time_ms().or(last_time);
        version += 1;
    }
}

/// Whether a commit that came between makes a decided one impossible: it has changed what the
/// table is, or the same files. What it has added counts as added later.
fn contradicts(found: &Commit, ours: &Commit) -> bool {
    let removes = |path: &str| ours.removes.iter().any(|remove| remove.path == path);
    found.protocol.is_some()
        || found.metadata.is_some()
        || found.removes.iter().any(|remove| removes(&remove.path))
}

/// The lines of a commit with a time in the first one.
fn with_time(content: &str, time_ms: Option<i64>) -> String {
    let stamped = time_ms.and_then(|_| {
        let (first, rest) = content.split_once('\n')?;
        let mut first: Value = serde_json::from_str(first).ok()?;
        set_time(first.get_mut("commitInfo")?, time_ms);
        Some(format!("{first}\n{rest}"))
    });
    stamped.unwrap_or_else(|| content.to_owned())
}
