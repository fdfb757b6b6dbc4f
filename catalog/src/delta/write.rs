//! Creates Delta tables and appends to them: enough for demo data and tests.
//!
//! A commit is one JSON file, put under the next number with create-if-absent. Appends read the table
//! again when another writer was faster. Not here: updates, checkpoints, constraints, column mapping;
//! tables that need more than plain appends are refused.

use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{cast, concat_batches, partition, take_record_batch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use delta_kernel::engine::arrow_conversion::TryIntoKernel;
use delta_kernel::schema::StructType;
use delta_kernel::table_features::ColumnMappingMode;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutPayload};
use parquet::arrow::ArrowWriter;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use super::layout::TableLayout;
use super::replay::{self, LogReader, log_runtime};
use super::table::as_folder;
use super::writer::{encoding, stats};
use crate::{CatalogError, Result};

/// Commits lost to other writers before an append gives up.
const COMMIT_ATTEMPTS_MAX: usize = 16;
/// Bytes of a folder's name: file systems take 255.
const FOLDER_BYTES_MAX: usize = 200;
/// Characters that Hive-style folder names escape.
const FOLDER_ESCAPES: &AsciiSet = &CONTROLS
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'\'')
    .add(b'*')
    .add(b'/')
    .add(b':')
    .add(b'=')
    .add(b'?')
    .add(b'\\')
    .add(b'{')
    .add(b'}')
    .add(b'[')
    .add(b']')
    .add(b'^')
    .add(b'<')
    .add(b'>')
    .add(b'|');
/// Everything but what is safe in a URL path.
pub(super) const URL_ESCAPES: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'=').remove(b'~');

/// Creates an empty table as version 0.
///
/// # Errors
/// `TableExists` if the folder has a version 0, `UnsupportedFeature` for a type Delta lacks.
pub async fn create_table(
    store: &dyn ObjectStore,
    location: &Url,
    schema: &Schema,
    partition_columns: &[&str],
    properties: &[(&str, &str)],
) -> Result<u64> {
    let url = as_folder(location);
    let unsupported = |feature: String| CatalogError::UnsupportedFeature {
        table: url.to_string(),
        format: "delta",
        feature,
    };
    for name in partition_columns {
        schema.field_with_name(name).map_err(|error| unsupported(error.to_string()))?;
    }
    let delta: StructType =
        schema.try_into_kernel().map_err(|error| unsupported(error.to_string()))?;
    let schema_text =
        serde_json::to_string(&delta).map_err(|error| unsupported(error.to_string()))?;
    let has_ntz = schema.flattened_fields().iter().any(|f| is_timestamp_ntz(f.data_type()));
    let protocol = if has_ntz {
        json!({"minReaderVersion": 3, "minWriterVersion": 7,
               "readerFeatures": ["timestampNtz"], "writerFeatures": ["timestampNtz"]})
    } else {
        json!({"minReaderVersion": 1, "minWriterVersion": 2})
    };
    let configuration: Map<String, Value> =
        properties.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let actions = [
        commit_info("CREATE TABLE", json!({"partitionBy": json!(partition_columns).to_string()})),
        json!({"protocol": protocol}),
        json!({"metaData": {
            "id": Uuid::new_v4().to_string(),
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema_text,
            "partitionColumns": partition_columns,
            "configuration": configuration,
            "createdTime": now_ms(),
        }}),
    ];
    if commit(store, &url, 0, &actions).await? {
        Ok(0)
    } else {
        Err(CatalogError::TableExists { name: url.to_string() })
    }
}

/// Appends rows as files of at most `file_rows` rows and returns the version committed.
///
/// Batches are taken one by one, so a generator is never ahead of the encoders by more than a file
/// per core.
///
/// # Errors
/// `NotWritable` for tables that need more than plain appends, `Corrupt` and `Storage`.
pub async fn append(
    store: &Arc<dyn ObjectStore>,
    location: &Url,
    batches: impl IntoIterator<Item = RecordBatch, IntoIter: Send> + Send,
    file_rows: usize,
) -> Result<u64> {
    let url = as_folder(location);
    let name = url.to_string();
    let log = LogReader::try_new(&name, &url, Arc::clone(store))?;
    let mut latest = log.latest(None).await?;
    let metadata = replay::table_metadata(&name, &latest)?;
    let layout = Arc::new(TableLayout::of(&name, &metadata)?);
    if layout.mapping.mode != ColumnMappingMode::None {
        return Err(CatalogError::NotWritable { name, reason: "it has mapped columns".to_owned() });
    }
    let mut chunks =
        Chunks { batches: batches.into_iter(), file_rows: file_rows.max(1), rest: None };
    let runtime = log_runtime()?;
    let encoded = stream::iter(std::iter::from_fn(|| chunks.next_chunk())).map(|chunk| {
        let layout = Arc::clone(&layout);
        let table = url.to_string();
        async move {
            let encode = move || chunk.and_then(|chunk| encode_files(&table, &layout, &chunk));
            let files = runtime.spawn_blocking(encode).await;
            files.map_err(|_| CatalogError::Internal { what: "file encoder stopped".to_owned() })?
        }
    });
    let n_encoders = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut actions = vec![commit_info("WRITE", json!({"mode": "Append"}))];
    let mut encoded = std::pin::pin!(encoded.buffered(n_encoders));
    while let Some(files) = encoded.try_next().await? {
        for file in files {
            actions.push(file.put(store.as_ref(), &url).await?);
        }
    }
    for _ in 0..COMMIT_ATTEMPTS_MAX {
        let version = latest.version() + 1;
        if commit(store.as_ref(), &url, version, &actions).await? {
            return Ok(version);
        }
        latest = log.latest(Some(latest)).await?;
        let metadata = replay::table_metadata(&name, &latest)?;
        if TableLayout::of(&name, &metadata)?.schema != layout.schema {
            break;
        }
    }
    Err(CatalogError::NotWritable { name, reason: "other writers changed it".to_owned() })
}

/// Cuts a sequence of batches into pieces of the rows of one file.
struct Chunks<I> {
    batches: I,
    file_rows: usize,
    rest: Option<RecordBatch>,
}

impl<I: Iterator<Item = RecordBatch>> Chunks<I> {
    fn next_chunk(&mut self) -> Option<Result<RecordBatch>> {
        let mut pieces: Vec<RecordBatch> = Vec::new();
        let mut missing = self.file_rows;
        while missing > 0 {
            let Some(batch) = self.rest.take().or_else(|| self.batches.next()) else {
                break;
            };
            let taken = batch.num_rows().min(missing);
            if taken < batch.num_rows() {
                self.rest = Some(batch.slice(taken, batch.num_rows() - taken));
            }
            missing -= taken;
            if taken > 0 {
                pieces.push(batch.slice(0, taken));
            }
        }
        let schema = pieces.first()?.schema();
        Some(concat_batches(&schema, &pieces).map_err(|error| rows_refused(&error)))
    }
}

fn rows_refused(error: &dyn std::fmt::Display) -> CatalogError {
    CatalogError::Internal { what: format!("rows cannot be written: {error}") }
}

/// A data file in memory and what its add action says.
struct DataFile {
    /// Folder below the table, with a slash at its end, or empty.
    folder: String,
    bytes: Vec<u8>,
    partition_values: Map<String, Value>,
    stats: String,
}

impl DataFile {
    /// Stores the file and returns its add action.
    async fn put(self, store: &dyn ObjectStore, table: &Url) -> Result<Value> {
        let relative = format!("{}part-{}.snappy.parquet", self.folder, Uuid::new_v4());
        let size = self.bytes.len();
        put(store, &table_path(table, &relative)?, self.bytes.into(), PutMode::Create).await?;
        Ok(json!({"add": {
            "path": utf8_percent_encode(&relative, URL_ESCAPES).to_string(),
            "partitionValues": self.partition_values,
            "size": size,
            "modificationTime": now_ms(),
            "dataChange": true,
            "stats": self.stats,
        }}))
    }
}

/// Encodes rows as one file per partition.
fn encode_files(table: &str, layout: &TableLayout, rows: &RecordBatch) -> Result<Vec<DataFile>> {
    let column = |name: &str, to: &DataType| -> Result<ArrayRef> {
        let values = rows.column_by_name(name).ok_or_else(|| CatalogError::NotWritable {
            name: table.to_owned(),
            reason: format!("the rows have no column \"{name}\""),
        })?;
        cast(values, to).map_err(|error| rows_refused(&error))
    };
    let scan_schema = Arc::clone(layout.scan_schema.table_schema());
    let columns: Result<Vec<ArrayRef>> =
        scan_schema.fields().iter().map(|f| column(f.name(), f.data_type())).collect();
    let mut rows =
        RecordBatch::try_new(scan_schema, columns?).map_err(|error| rows_refused(&error))?;
    let n_file_columns = layout.file_names.len();
    let file_columns: Vec<usize> = (0..n_file_columns).collect();
    if rows.num_columns() > n_file_columns {
        let order = sort_order(rows.columns().get(n_file_columns..).unwrap_or_default());
        let order = order.map_err(|error| rows_refused(&error))?;
        rows = take_record_batch(&rows, &order).map_err(|error| rows_refused(&error))?;
    }
    let keys = rows.columns().get(n_file_columns..).unwrap_or_default();
    let mut files = Vec::new();
    for range in partition_ranges(keys, rows.num_rows()).map_err(|error| rows_refused(&error))? {
        let slice = rows.slice(range.start, range.len());
        let keys = slice.columns().get(n_file_columns..).unwrap_or_default();
        let (folder, partition_values) = partition_of(layout, keys)?;
        let stored = slice.project(&file_columns).map_err(|error| rows_refused(&error))?;
        files.push(DataFile {
            folder,
            bytes: encode_parquet(&stored).map_err(|error| rows_refused(&error))?,
            partition_values,
            stats: stats::of_batch(&stored),
        });
    }
    Ok(files)
}

/// Runs of rows with equal keys; all rows if there are no keys.
pub(super) fn partition_ranges(
    keys: &[ArrayRef],
    n_rows: usize,
) -> Result<Vec<Range<usize>>, arrow::error::ArrowError> {
    if keys.is_empty() {
        return Ok(std::iter::once(0..n_rows).collect());
    }
    Ok(partition(keys)?.ranges())
}

/// The Hive-style folder `column=value/` of a partition value.
///
/// The name is for people: the log has the value, so that a long one can be cut here.
pub(super) fn folder_of(column: &str, value: Option<&str>) -> String {
    let value = value.map_or_else(
        || "__HIVE_DEFAULT_PARTITION__".to_owned(),
        |text| utf8_percent_encode(text, FOLDER_ESCAPES).to_string(),
    );
    let mut folder = format!("{}={value}", utf8_percent_encode(column, FOLDER_ESCAPES));
    if folder.len() > FOLDER_BYTES_MAX {
        // All of it is ASCII. An escape that is cut in two would not be one any more.
        let end = folder.get(..FOLDER_BYTES_MAX).map_or(0, |kept| {
            kept.rfind('%').filter(|at| at + 3 > FOLDER_BYTES_MAX).unwrap_or(FOLDER_BYTES_MAX)
        });
        folder.truncate(end);
    }
    folder.push('/');
    folder
}

/// The Hive-style folder and the add action's values of rows with equal keys.
fn partition_of(layout: &TableLayout, keys: &[ArrayRef]) -> Result<(String, Map<String, Value>)> {
    let mut folder = String::new();
    let mut partition_values = Map::new();
    for (field, values) in layout.partition_fields().iter().zip(keys) {
        let value = ScalarValue::try_from_array(values, 0).map_err(|error| rows_refused(&error))?;
        let text = stats::partition_text(field, &value)?;
        folder.push_str(&folder_of(field.name(), text.as_deref()));
        partition_values.insert(field.name().clone(), json!(text));
    }
    Ok((folder, partition_values))
}

/// The order that brings equal keys together, first come first.
pub(super) fn sort_order(keys: &[ArrayRef]) -> Result<UInt32Array, arrow::error::ArrowError> {
    let columns: Vec<arrow::compute::SortColumn> = keys
        .iter()
        .map(|values| arrow::compute::SortColumn { values: Arc::clone(values), options: None })
        .collect();
    arrow::compute::lexsort_to_indices(&columns, None)
}

fn encode_parquet(rows: &RecordBatch) -> parquet::errors::Result<Vec<u8>> {
    let properties = encoding::writer_properties(rows, encoding::ROW_GROUP_ROWS);
    let mut bytes = Vec::new();
    let schema: SchemaRef = rows.schema();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties))?;
    writer.write(rows)?;
    writer.close()?;
    Ok(bytes)
}

/// Puts a commit file; false if this version exists already.
async fn commit(
    store: &dyn ObjectStore,
    table: &Url,
    version: u64,
    actions: &[Value],
) -> Result<bool> {
    let path = table_path(table, &format!("_delta_log/{version:020}.json"))?;
    let lines: String = actions.iter().map(|action| format!("{action}\n")).collect();
    put(store, &path, lines.into_bytes().into(), PutMode::Create).await
}

/// Puts an object; false if it exists already.
async fn put(
    store: &dyn ObjectStore,
    path: &Path,
    bytes: PutPayload,
    mode: PutMode,
) -> Result<bool> {
    match store.put_opts(path, bytes, mode.into()).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
        Err(source) => {
            Err(CatalogError::Storage { what: format!("{path}"), source: Box::new(source) })
        }
    }
}

fn table_path(table: &Url, relative: &str) -> Result<Path> {
    let invalid = |reason: String| CatalogError::InvalidLocation { url: table.to_string(), reason };
    let root = Path::from_url_path(table.path()).map_err(|error| invalid(error.to_string()))?;
    Path::parse(format!("{root}/{relative}")).map_err(|error| invalid(error.to_string()))
}

fn commit_info(operation: &str, parameters: Value) -> Value {
    json!({"commitInfo": {
        "timestamp": now_ms(),
        "operation": operation,
        "operationParameters": parameters,
        "engineInfo": concat!("tarn/", env!("CARGO_PKG_VERSION")),
        "txnId": Uuid::new_v4().to_string(),
    }})
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

fn is_timestamp_ntz(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, None))
}
