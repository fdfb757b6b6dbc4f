//! The rows that maintenance commands return.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use tarn_catalog::delta::upkeep::Unneeded;

use crate::error::{Error, Result};

/// What was done to one table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Done {
    pub(crate) table: String,
    /// The newest version afterwards, where the format has numbers.
    pub(crate) version: Option<u64>,
    pub(crate) files_added: u64,
    pub(crate) files_removed: u64,
    pub(crate) bytes_added: u64,
    pub(crate) bytes_removed: u64,
    /// Rows that were read or written.
    pub(crate) n_rows: Option<u64>,
    pub(crate) elapsed_ms: f64,
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        Field::new("table_name", DataType::Utf8, false),
        Field::new("operation", DataType::Utf8, false),
        number("version"),
        number("files_added"),
        number("files_removed"),
        number("bytes_added"),
        number("bytes_removed"),
        number("rows"),
        Field::new("elapsed_ms", DataType::Float64, true),
    ]))
});

static FILES: LazyLock<SchemaRef> = LazyLock::new(|| {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("table_name", DataType::Utf8, false),
        Field::new("path", DataType::Utf8, false),
        Field::new("size_bytes", DataType::Int64, false),
        Field::new("modified", utc, false),
    ]))
});

/// The columns of what was done.
pub(super) fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// The columns of VACUUM … DRY RUN.
pub(super) fn files_schema() -> SchemaRef {
    Arc::clone(&FILES)
}

/// A row for each table.
pub(super) fn batch(verb: &str, done: &[Done]) -> Result<RecordBatch> {
    let numbers = |number: fn(&Done) -> Option<u64>| -> ArrayRef {
        let values = done.iter().map(|done| number(done).map(whole));
        Arc::new(values.collect::<Int64Array>())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(done.iter().map(|done| &done.table))),
        Arc::new(StringArray::from_iter_values(done.iter().map(|_| verb))),
        numbers(|done| done.version),
        numbers(|done| Some(done.files_added)),
        numbers(|done| Some(done.files_removed)),
        numbers(|done| Some(done.bytes_added)),
        numbers(|done| Some(done.bytes_removed)),
        numbers(|done| done.n_rows),
        Arc::new(Float64Array::from_iter_values(done.iter().map(|done| done.elapsed_ms))),
    ];
    RecordBatch::try_new(schema(), columns).map_err(|error| broken(&error))
}

/// The rows of several batches in one.
pub(super) fn joined(batches: &[RecordBatch]) -> Result<RecordBatch> {
    arrow::compute::concat_batches(&schema(), batches).map_err(|error| broken(&error))
}

/// A row for each file.
pub(super) fn files(found: &[(String, Vec<Unneeded>)]) -> Result<RecordBatch> {
    let all: Vec<(&String, &Unneeded)> =
        found.iter().flat_map(|(table, files)| files.iter().map(move |f| (table, f))).collect();
    let modified = all.iter().map(|(_, file)| file.modified.timestamp_micros());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(all.iter().map(|(table, _)| table))),
        Arc::new(StringArray::from_iter_values(all.iter().map(|(_, file)| &file.path))),
        Arc::new(Int64Array::from_iter_values(all.iter().map(|(_, file)| whole(file.size_bytes)))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(modified).with_timezone("UTC")),
    ];
    RecordBatch::try_new(files_schema(), columns).map_err(|error| broken(&error))
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn broken(error: &arrow::error::ArrowError) -> Error {
    Error::Internal { what: format!("a report: {error}") }
}
