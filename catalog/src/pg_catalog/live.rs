//! Relations whose rows only the server knows while it runs.
//!
//! [`build`](super::build) answers these without rows, but for `pg_settings`, which then shows the
//! defaults; the server puts its own batches in their place.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use chrono::{DateTime, Utc};
use std::sync::Arc;

use super::columns::Columns;
use super::constant_rows::section;
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

/// `pg_settings` from the name, value and description of each setting of the session.
///
/// Settings that PostgreSQL has and tarn does not know keep their defaults.
///
/// # Errors
/// `Internal` only.
pub fn settings(values: &[(String, String, String)]) -> Result<RecordBatch> {
    let given: BTreeMap<String, _> =
        values.iter().map(|row| (row.0.to_ascii_lowercase(), row)).collect();
    let constant = section("pg_settings");
    let known =
        |column: &'static str| constant.into_iter().flat_map(move |section| section.texts(column));
    let names: Vec<&str> = known("name").map(Option::unwrap_or_default).collect();
    let others: Vec<_> = given
        .values()
        .filter(|row| !names.iter().any(|n| n.eq_ignore_ascii_case(&row.0)))
        .collect();
    let rows = || names.iter().map(|name| given.get(&name.to_ascii_lowercase()).copied());
    let n_rows = names.len() + others.len();
    let more = |text: Option<&'static str>| others.iter().map(move |_| text);
    let with = |column: &'static str, other| known(column).chain(more(other));
    let setting: Vec<Option<&str>> = known("setting")
        .zip(rows())
        .map(|(default, row)| row.map(|row| row.1.as_str()).or(default))
        .chain(others.iter().map(|row| Some(row.1.as_str())))
        .collect();
    let remark = rows()
        .map(|row| row.map_or("", |row| row.2.as_str()))
        .chain(others.iter().map(|row| row.2.as_str()));
    let mut default: Vec<Option<&str>> = known("setting").collect();
    default.extend(others.iter().map(|row| Some(row.1.as_str())));
    // psql's \dconfig lists what differs from the default.
    let source = setting.iter().zip(&default);
    let source = source.map(|(now, default)| if now == default { "default" } else { "session" });
    let name = names.iter().copied().chain(others.iter().map(|row| row.0.as_str()));
    columns_of("pg_settings", n_rows)?
        .text("name", name)
        .text("setting", setting.iter().copied())
        .text("unit", with("unit", None))
        .text("category", with("category", Some("Customized Options")))
        .text("short_desc", remark)
        .text("context", with("context", Some("user")))
        .text("vartype", with("vartype", Some("string")))
        .text("source", source)
        .text("min_val", with("min_val", None))
        .text("max_val", with("max_val", None))
        .text("boot_val", default.iter().copied())
        .text("reset_val", default.iter().copied())
        .set("pending_restart", &falses(n_rows))
        .finish()
}

fn falses(n_rows: usize) -> ArrayRef {
    Arc::new(arrow::array::BooleanArray::from(vec![false; n_rows]))
}

/// What PostgreSQL has for a setting that tarn does not know.
#[must_use]
pub fn default_setting(name: &str) -> Option<&'static str> {
    let section = section("pg_settings")?;
    let mut rows = section.texts("name").zip(section.texts("setting"));
    let found = rows.find(|(known, _)| known.is_some_and(|known| known.eq_ignore_ascii_case(name)));
    found.and_then(|(_, value)| value)
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

/// `pg_prepared_statements` from name, text and time of each statement of the session.
///
/// # Errors
/// `Internal` only.
pub fn prepared_statements(rows: &[(String, String, DateTime<Utc>)]) -> Result<RecordBatch> {
    columns_of("pg_prepared_statements", rows.len())?
        .text("name", rows.iter().map(|row| row.0.as_str()))
        .text("statement", rows.iter().map(|row| row.1.as_str()))
        .set("prepare_time", &instants(rows.iter().map(|row| Some(row.2))))
        .set("from_sql", &falses(rows.len()))
        .finish()
}

/// `pg_cursors` from name, text and time of each open cursor of the session.
///
/// # Errors
/// `Internal` only.
pub fn cursors(rows: &[(String, String, DateTime<Utc>)]) -> Result<RecordBatch> {
    columns_of("pg_cursors", rows.len())?
        .text("name", rows.iter().map(|row| row.0.as_str()))
        .text("statement", rows.iter().map(|row| row.1.as_str()))
        .set("is_holdable", &falses(rows.len()))
        .set("is_binary", &falses(rows.len()))
        .set("is_scrollable", &falses(rows.len()))
        .set("creation_time", &instants(rows.iter().map(|row| Some(row.2))))
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
