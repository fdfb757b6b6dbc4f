//! Relations whose rows only the server knows while it runs.
//!
//! [`build`](super::build) answers these without rows; the server puts its own batches in their
//! place.

use arrow::array::{ArrayRef, ListBuilder, RecordBatch, TimestampMicrosecondArray, UInt32Builder};
use chrono::{DateTime, Utc};
use std::sync::Arc;

use super::columns::Columns;
use super::definition::PG_CATALOG;
use super::system::DATABASE_OID;
use crate::{CatalogError, Result};

/// Starts the batch of a relation of `pg_catalog`.
fn columns_of(relation: &'static str, n_rows: usize) -> Result<Columns> {
    let definition = PG_CATALOG.get(relation);
    let definition = definition
        .ok_or_else(|| CatalogError::Internal { what: format!("no relation {relation}") })?;
    Ok(Columns::new(&definition.schema, n_rows))
}

/// A session as `pg_stat_activity` shows it.
#[derive(Debug, Clone, Default)]
pub struct Activity {
    /// The number that a cancel request names.
    pub pid: i32,
    /// The role's number.
    pub user_oid: u32,
    /// The role's name.
    pub user: String,
    /// The database.
    pub database: String,
    /// What the client calls itself.
    pub application_name: String,
    /// Where the client is; `None` for a local socket.
    pub client: Option<std::net::SocketAddr>,
    /// When the session began.
    pub started_at: Option<DateTime<Utc>>,
    /// When the transaction began.
    pub transaction_started_at: Option<DateTime<Utc>>,
    /// When the newest statement began.
    pub query_started_at: Option<DateTime<Utc>>,
    /// When the state changed.
    pub state_changed_at: Option<DateTime<Utc>>,
    /// `active`, `idle`, `idle in transaction`, `idle in transaction (aborted)`.
    pub state: &'static str,
    /// The newest statement.
    pub query: String,
}

/// `pg_stat_activity` from the live sessions.
///
/// # Errors
/// `Internal` only.
pub fn stat_activity(rows: &[Activity]) -> Result<RecordBatch> {
    let addresses: Vec<_> =
        rows.iter().map(|row| row.client.map(|client| client.ip().to_string())).collect();
    let ports = rows.iter().map(|row| row.client.map_or(-1, |client| i64::from(client.port())));
    columns_of("pg_stat_activity", rows.len())?
        .all_int("datid", i64::from(DATABASE_OID))
        .text("datname", rows.iter().map(|row| row.database.as_str()))
        .int("pid", rows.iter().map(|row| i64::from(row.pid)))
        .oid("usesysid", rows.iter().map(|row| row.user_oid))
        .text("usename", rows.iter().map(|row| row.user.as_str()))
        .text("application_name", rows.iter().map(|row| row.application_name.as_str()))
        .text("client_addr", addresses.iter().map(Option::as_deref))
        .int("client_port", ports)
        .set("backend_start", &instants(rows.iter().map(|row| row.started_at)))
        .set("xact_start", &instants(rows.iter().map(|row| row.transaction_started_at)))
        .set("query_start", &instants(rows.iter().map(|row| row.query_started_at)))
        .set("state_change", &instants(rows.iter().map(|row| row.state_changed_at)))
        .text("wait_event_type", rows.iter().map(|row| (row.state != "active").then_some("Client")))
        .text("wait_event", rows.iter().map(|row| (row.state != "active").then_some("ClientRead")))
        .text("state", rows.iter().map(|row| row.state))
        .text("query", rows.iter().map(|row| row.query.as_str()))
        .all_text("backend_type", "client backend")
        .finish()
}

fn instants(values: impl Iterator<Item = Option<DateTime<Utc>>>) -> ArrayRef {
    let values = values.map(|value| value.map(|instant| instant.timestamp_micros()));
    let array: TimestampMicrosecondArray = values.collect();
    Arc::new(array.with_timezone("UTC"))
}

/// A prepared statement as `pg_prepared_statements` shows it.
#[derive(Debug, Clone)]
pub struct PreparedStatement {
    /// Its name.
    pub name: String,
    /// What the client sent.
    pub statement: String,
    /// When.
    pub prepared_at: DateTime<Utc>,
    /// The types of its parameters.
    pub parameter_oids: Vec<u32>,
    /// Made by PREPARE instead of a Parse message.
    pub from_sql: bool,
}

/// `pg_prepared_statements` from the statements of the session.
///
/// # Errors
/// `Internal` only.
pub fn prepared_statements(rows: &[PreparedStatement]) -> Result<RecordBatch> {
    let mut types = ListBuilder::new(UInt32Builder::new());
    for row in rows {
        types.append_value(row.parameter_oids.iter().map(|oid| Some(*oid)));
    }
    columns_of("pg_prepared_statements", rows.len())?
        .text("name", rows.iter().map(|row| row.name.as_str()))
        .text("statement", rows.iter().map(|row| row.statement.as_str()))
        .set("prepare_time", &instants(rows.iter().map(|row| Some(row.prepared_at))))
        .set("parameter_types", &(Arc::new(types.finish()) as ArrayRef))
        .bool("from_sql", rows.iter().map(|row| row.from_sql))
        .all_int("generic_plans", 0)
        .all_int("custom_plans", 0)
        .finish()
}

/// A cursor as `pg_cursors` shows it.
#[derive(Debug, Clone)]
pub struct Cursor {
    /// Its name.
    pub name: String,
    /// The statement that made it.
    pub statement: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Lives longer than the transaction.
    pub holdable: bool,
    /// Declared BINARY.
    pub binary: bool,
    /// May go backwards.
    pub scrollable: bool,
}

/// `pg_cursors` from the open cursors of the session.
///
/// # Errors
/// `Internal` only.
pub fn cursors(rows: &[Cursor]) -> Result<RecordBatch> {
    columns_of("pg_cursors", rows.len())?
        .text("name", rows.iter().map(|row| row.name.as_str()))
        .text("statement", rows.iter().map(|row| row.statement.as_str()))
        .bool("is_holdable", rows.iter().map(|row| row.holdable))
        .bool("is_binary", rows.iter().map(|row| row.binary))
        .bool("is_scrollable", rows.iter().map(|row| row.scrollable))
        .set("creation_time", &instants(rows.iter().map(|row| Some(row.created_at))))
        .finish()
}

/// `pg_timezone_abbrevs` from abbreviation, offset in seconds and daylight saving.
///
/// # Errors
/// `Internal` only.
pub fn timezone_abbreviations(rows: &[(String, i64, bool)]) -> Result<RecordBatch> {
    let offsets = rows.iter().map(|row| {
        arrow::array::types::IntervalMonthDayNano::new(0, 0, row.1.saturating_mul(1_000_000_000))
    });
    let offsets = arrow::array::IntervalMonthDayNanoArray::from_iter_values(offsets);
    columns_of("pg_timezone_abbrevs", rows.len())?
        .text("abbrev", rows.iter().map(|row| row.0.as_str()))
        .set("utc_offset", &(Arc::new(offsets) as ArrayRef))
        .bool("is_dst", rows.iter().map(|row| row.2))
        .finish()
}

/// `pg_timezone_names` from name, abbreviation, offset in seconds and daylight saving of each zone.
///
/// # Errors
/// `Internal` only.
pub fn timezone_names(rows: &[(&str, String, i64, bool)]) -> Result<RecordBatch> {
    let offsets = rows.iter().map(|row| {
        arrow::array::types::IntervalMonthDayNano::new(0, 0, row.2.saturating_mul(1_000_000_000))
    });
    let offsets = arrow::array::IntervalMonthDayNanoArray::from_iter_values(offsets);
    columns_of("pg_timezone_names", rows.len())?
        .text("name", rows.iter().map(|row| row.0))
        .text("abbrev", rows.iter().map(|row| row.1.as_str()))
        .set("utc_offset", &(Arc::new(offsets) as ArrayRef))
        .bool("is_dst", rows.iter().map(|row| row.3))
        .finish()
}
