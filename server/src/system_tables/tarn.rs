//! Schema `tarn`: what an operator would ask the server.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use chrono::Utc;
use tarn_catalog::{CatalogError, TableEntry, TableKind, entry};

use super::versions;
use crate::access::check::Asker;
use crate::config::SETTINGS;
use crate::session::{Running, Session};

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let fields = columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

static QUERIES: LazyLock<SchemaRef> = LazyLock::new(|| {
    schema(&[
        ("query_id", DataType::Int64),
        ("pid", DataType::Int32),
        ("user_name", DataType::Utf8),
        ("protocol", DataType::Utf8),
        ("state", DataType::Utf8),
        ("started_at", instant()),
        ("elapsed_ms", DataType::Float64),
        ("rows_scanned", DataType::Int64),
        ("bytes_scanned", DataType::Int64),
        ("progress", DataType::Float64),
        ("sql", DataType::Utf8),
    ])
});

static SESSIONS: LazyLock<SchemaRef> = LazyLock::new(|| {
    schema(&[
        ("pid", DataType::Int32),
        ("user_name", DataType::Utf8),
        ("protocol", DataType::Utf8),
        ("client", DataType::Utf8),
        ("application_name", DataType::Utf8),
        ("state", DataType::Utf8),
        ("started_at", instant()),
    ])
});

static SETTINGS_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    schema(&[
        ("name", DataType::Utf8),
        ("default_value", DataType::Utf8),
        ("environment", DataType::Utf8),
        ("description", DataType::Utf8),
    ])
});

static TABLES: &[(&str, u32, &LazyLock<SchemaRef>)] = &[
    ("queries", 13_901, &QUERIES),
    ("sessions", 13_902, &SESSIONS),
    ("settings", 13_903, &SETTINGS_SCHEMA),
    (versions::NAME, 13_904, &versions::SCHEMA),
];

/// The relations for the catalog.
pub(super) fn entries() -> Vec<Arc<TableEntry>> {
    let entry = |(name, oid, schema): &(&str, u32, &LazyLock<SchemaRef>)| {
        Arc::new(TableEntry {
            oid: *oid,
            name: (*name).to_owned(),
            kind: TableKind::System,
            columns: entry::columns_of(schema),
            n_rows_estimate: None,
            view_definition: None,
            comment: None,
            details: tarn_catalog::memory::TableDetails::default(),
            statistics: None,
            access: Arc::default(),
        })
    };
    TABLES.iter().map(entry).collect()
}

/// One relation's rows.
pub(super) fn build(
    session: &Arc<Session>,
    table: &str,
) -> Result<Option<RecordBatch>, CatalogError> {
    let (schema, columns) = match table {
        "queries" => (&QUERIES, queries(session)),
        "sessions" => (&SESSIONS, sessions(session)),
        "settings" => (&SETTINGS_SCHEMA, settings()),
        _ => return Ok(None),
    };
    let batch = RecordBatch::try_new(Arc::clone(schema), columns);
    batch.map(Some).map_err(|error| CatalogError::Internal { what: error.to_string() })
}

fn text<T: AsRef<str>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn queries(session: &Arc<Session>) -> Vec<ArrayRef> {
    let now = Utc::now();
    let asker = Asker::of(session);
    let rows: Vec<(Arc<Session>, Running)> = session
        .shared
        .sessions
        .list()
        .into_iter()
        .filter(|session| asker.may_watch(&session.user()))
        .filter_map(|session| session.running().0.map(|running| (session, running)))
        .collect();
    let progress: Vec<_> =
        rows.iter().map(|(_, running)| session.shared.running.progress(running.query_id)).collect();
    let elapsed_ms = rows.iter().map(|(_, running)| {
        let elapsed = now.signed_duration_since(running.started_at);
        elapsed.to_std().unwrap_or_default().as_secs_f64() * 1e3
    });
    let state = progress.iter().map(|p| if p.is_some() { "running" } else { "planning" });
    vec![
        Arc::new(Int64Array::from_iter_values(
            rows.iter().map(|(_, r)| whole(r.query_id.number())),
        )),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|(s, _)| s.pid()))),
        text(rows.iter().map(|(s, _)| s.user().to_string())),
        text(rows.iter().map(|(s, _)| s.protocol().name())),
        text(state),
        instants(rows.iter().map(|(_, r)| r.started_at.timestamp_micros())),
        Arc::new(Float64Array::from_iter_values(elapsed_ms)),
        Arc::new(Int64Array::from_iter(
            progress.iter().map(|p| p.map(|p| whole(p.n_rows_scanned))),
        )),
        Arc::new(Int64Array::from_iter(
            progress.iter().map(|p| p.map(|p| whole(p.n_bytes_scanned))),
        )),
        Arc::new(Float64Array::from_iter(progress.iter().map(|p| p.and_then(|p| p.fraction())))),
        text(rows.iter().map(|(_, r)| &r.text)),
    ]
}

fn instants(micros: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
}

fn sessions(session: &Arc<Session>) -> Vec<ArrayRef> {
    let asker = Asker::of(session);
    let mut rows = session.shared.sessions.list();
    rows.retain(|session| asker.may_watch(&session.user()));
    let state = rows.iter().map(|s| if s.running().0.is_some() { "active" } else { "idle" });
    let client = rows.iter().map(|s| s.client().map(|client| client.to_string()));
    vec![
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|s| s.pid()))),
        text(rows.iter().map(|s| s.user().to_string())),
        text(rows.iter().map(|s| s.protocol().name())),
        Arc::new(StringArray::from_iter(client)),
        text(rows.iter().map(|s| s.setting("application_name").unwrap_or_default())),
        text(state),
        instants(rows.iter().map(|s| s.started_at().timestamp_micros())),
    ]
}

fn settings() -> Vec<ArrayRef> {
    vec![
        text(SETTINGS.iter().map(|setting| setting.name)),
        text(SETTINGS.iter().map(|setting| setting.default)),
        text(SETTINGS.iter().map(|setting| crate::config::environment_name(setting.name))),
        text(SETTINGS.iter().map(|setting| setting.help)),
    ]
}
