//! One moment for all tables of a session: the setting `snapshot`, and READ ONLY transactions.
//!
//! ```text
//! SET snapshot = '2026-01-31 12:00+00'    every table as it was then; those without a history fail
//! SET snapshot = 'now'                    the same with this instant
//! SET snapshot = 't=3, s.u=5'             these at these versions, others as first read from now on
//! BEGIN READ ONLY                         tables with a history as they were when it began
//! ```
//! Temporary tables are the session's own and are not pinned. Writes are refused meanwhile.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tarn_catalog::delta::upkeep::Awaited;
use tarn_catalog::registry::Relation as Known;
use tarn_catalog::{CatalogError, Pinned, TableName, Travel};

use crate::error::{Error, Result};
use crate::lookup::{SessionLookup, parse_instant};
use crate::session::{Session, Status};

/// The versions that a value of the setting has pinned so far.
#[derive(Debug, Default)]
pub(crate) struct SnapshotPins {
    setting: String,
    pins: HashMap<TableName, Pinned>,
}

/// What the setting says.
#[derive(Debug, PartialEq, Eq)]
enum Snapshot {
    /// All tables as of an instant.
    Instant(DateTime<Utc>),
    /// Some tables by version: schema, where one is given, and name.
    Versions(Vec<(Option<String>, String, u64)>),
}

/// The form of a value to keep.
///
/// # Errors
/// `Value` where it is neither a time nor a list of versions.
pub(crate) fn checked(value: &str) -> Result<String> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("now") {
        return Ok(Utc::now().format("%Y-%m-%d %H:%M:%S%.6f+00").to_string());
    }
    if value.is_empty() || read(value).is_some() {
        return Ok(value.to_owned());
    }
    Err(Error::Value {
        code: "22023",
        message: format!(
            "invalid value for parameter \"snapshot\": \"{value}\"; write a time such as \
             '2026-01-31 12:00:00+00' or versions such as 't=3, s.u=5'"
        ),
    })
}

fn read(value: &str) -> Option<Snapshot> {
    if let Some(at) = parse_instant(value) {
        return Some(Snapshot::Instant(at));
    }
    let one = |entry: &str| {
        let (name, version) = entry.rsplit_once('=')?;
        let version = version.trim().parse().ok()?;
        let mut parts = tarn_planner::rewrite::name_parts(name.trim())?;
        let table = parts.pop()?;
        let schema = parts.pop();
        parts.is_empty().then_some((schema, table, version))
    };
    value.split(',').map(one).collect::<Option<Vec<_>>>().map(Snapshot::Versions)
}

impl Session {
    fn snapshot_setting(&self) -> Option<String> {
        self.setting("snapshot").filter(|value| !value.is_empty())
    }

    /// Whether tables are read as they were at a moment that the session has chosen.
    pub(crate) fn reads_snapshot(&self) -> bool {
        self.snapshot_setting().is_some()
    }

    /// Refuses writes while a snapshot is read.
    pub(crate) fn check_no_snapshot(&self, what: &str) -> Result<()> {
        match self.snapshot_setting() {
            Some(_) => Err(Error::ReadsSnapshot { what: what.to_owned() }),
            None => Ok(()),
        }
    }
}

/// The version of a table in the session's snapshot; `None` where none is set.
pub(crate) async fn pin(
    session: &Arc<Session>,
    name: &TableName,
) -> Result<Option<Pinned>, CatalogError> {
    let Some(setting) = session.snapshot_setting() else { return Ok(None) };
    {
        let mut inner = session.inner.lock();
        if inner.snapshot.setting != setting {
            inner.snapshot = SnapshotPins { setting: setting.clone(), pins: HashMap::new() };
        }
        if let Some(pinned) = inner.snapshot.pins.get(name) {
            return Ok(Some(pinned.clone()));
        }
    }
    let travel = match read(&setting) {
        Some(Snapshot::Instant(at)) => Travel::Timestamp(at),
        Some(Snapshot::Versions(versions)) => {
            let lookup = SessionLookup::new(session);
            let is_this = |schema: Option<&str>, table: &str| {
                lookup.resolve(schema, table).is_some_and(|(found, _)| found == *name)
            };
            let listed = versions.iter().find(|(schema, t, _)| is_this(schema.as_deref(), t));
            listed.map_or(Travel::Latest, |(_, _, version)| Travel::Version(*version))
        }
        None => return Ok(None),
    };
    let pinned = session.shared.catalog.pin(name, travel).await?;
    let mut inner = session.inner.lock();
    if inner.snapshot.setting == setting {
        inner.snapshot.pins.insert(name.clone(), pinned.clone());
    }
    Ok(Some(pinned))
}

/// What a transaction reads where a statement asks for the newest version: one that is READ ONLY
/// reads the tables that have a history as they were when it began.
pub(crate) fn travel(session: &Session, name: &TableName, travel: Travel) -> Travel {
    if travel != Travel::Latest || session.status() != Status::Active {
        return travel;
    }
    if session.setting("transaction_read_only").as_deref() != Some("on") {
        return travel;
    }
    match session.shared.catalog.get(name) {
        Some(Known::Lake(table)) if table.format() == "delta" => {
            let inner = session.inner.lock();
            inner.transaction.block().map_or(travel, |block| Travel::Timestamp(block.started_at))
        }
        _ => travel,
    }
}

/// Adds what a session may come to read of the table in a folder without having looked at it yet.
pub(crate) fn await_versions(session: &Session, location: &str, awaited: &mut Awaited) {
    let settings = {
        let mut inner = session.inner.lock();
        if let Some(began) = inner.reads_as_of() {
            awaited.since = awaited.since.min(began);
        }
        let settings = inner.values_to_come("snapshot");
        if settings.is_empty() {
            // What a former value has pinned is not read again.
            inner.snapshot = SnapshotPins::default();
        }
        settings
    };
    for snapshot in settings.iter().filter_map(|setting| read(setting)) {
        match snapshot {
            Snapshot::Instant(at) => awaited.versions.push(Travel::Timestamp(at)),
            Snapshot::Versions(versions) => {
                let here = versions.into_iter().filter(|(schema, table, _)| {
                    is_at(session, schema.as_deref(), table, location)
                });
                awaited.versions.extend(here.map(|(_, _, version)| Travel::Version(version)));
            }
        }
    }
}

/// Whether a session may mean the table in a folder by a name.
fn is_at(session: &Session, schema: Option<&str>, table: &str, location: &str) -> bool {
    let schemas = match schema {
        Some(schema) => vec![schema.to_owned()],
        None => session.search_path(),
    };
    schemas.into_iter().any(|schema| match session.relation(&TableName::new(schema, table)) {
        Some(Known::Lake(found)) => found.location() == location,
        Some(Known::Memory(_) | Known::View { .. }) | None => false,
    })
}

#[cfg(test)]
mod tests;
