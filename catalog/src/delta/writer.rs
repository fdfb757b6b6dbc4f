//! Rows to data files, with statistics.
//!
//! ```text
//! stream ──batches──▶ by partition ──▶ Parquet encoder ──parts──▶ storage
//!                                            │ footer
//!                                            ▼
//!                              NewFile { path, size, statistics, … }
//! ```
//! One [`FileWriter`] takes one stream of batches; several of them work side by side, one per stream
//! ([`write_files`]). A file is in storage as a whole before its [`NewFile`] is given out, and no reader
//! knows of it before a commit names it. Who drops a [`NewFile`], or a writer, before that has the file
//! deleted (`unnamed`).
//!
//! | module | what |
//! |---|---|
//! | `target` | what is written to: columns, folder, properties |
//! | `encoding` | how columns are stored |
//! | `file`, `upload` | one Parquet file on its way, its bytes |
//! | `stats` | the statistics text of an add action, and partition values as text |
//!
//! Rows of more partitions than files may be open wait in memory, so that each partition gets few
//! files however its rows are mixed with others.
//!
//! Not here: constraints and generated columns, which need SQL; NULLs in columns without are
//! refused as a last line of defence.

pub(super) mod encoding;
mod file;
pub(super) mod stats;
mod target;
mod upload;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::take_record_batch;
use arrow::datatypes::DataType;
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use futures::stream::{self, FuturesUnordered};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::actions::AddAction;
use super::unnamed::Unnamed;
use super::write::{partition_ranges, sort_order};
use crate::{CatalogError, Result};
use file::OpenFile;
pub use target::WriteTarget;

/// Files of one writer that are open at a time, one per partition.
const OPEN_FILES_MAX: usize = 64;
/// Rows of one writer that wait for files.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Files that are closed at a time: each waits for storage.
const FILES_CLOSED_AT_A_TIME: usize = 8;

/// The partition values of a file, as the log writes them.
type PartitionKey = Vec<Option<String>>;

/// How files are written.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// A file is closed when it has this size, `delta.targetFileSize` of the table unless given.
    pub file_bytes_target: u64,
    /// Rows of a row group: what one task decodes at a time and what min and max can skip.
    pub row_group_rows_max: usize,
    /// Write to the folder of the change data feed.
    pub is_change_data: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            file_bytes_target: 128 * 1024 * 1024,
            row_group_rows_max: encoding::ROW_GROUP_ROWS,
            is_change_data: false,
        }
    }
}

/// A data file in storage that no version names yet; it goes with the last of its clones, unless it
/// was committed.
#[derive(Debug, Clone)]
pub struct NewFile {
    add: AddAction,
    n_rows: u64,
    /// `None` for one that a version has named before.
    made: Option<Arc<Unnamed>>,
}

impl NewFile {
    /// A file that a version of the table had, from the inner object of its add action.
    ///
    /// # Errors
    /// `Corrupt` if it is no such object.
    pub fn existing(table: &str, add: Value) -> Result<Self> {
        let add: AddAction =
            serde_json::from_value(add).map_err(|error| CatalogError::Corrupt {
                table: table.to_owned(),
                what: format!("add action: {error}"),
                source: None,
            })?;
        let stats: Option<Value> =
            add.stats.as_deref().and_then(|stats| serde_json::from_str(stats).ok());
        let stored = stats.and_then(|stats| stats.get("numRecords")?.as_u64()).unwrap_or_default();
        let deleted = add.deletion_vector.as_ref().map_or(0, |vector| vector.cardinality);
        Ok(Self { add, n_rows: stored.saturating_sub(deleted), made: None })
    }

    /// The path as the log writes it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.add.path
    }

    /// The name below the table's folder, as storage has it.
    #[must_use]
    pub fn name(&self) -> String {
        percent_decode_str(&self.add.path).decode_utf8_lossy().into_owned()
    }

    /// The file's size.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.add.size
    }

    /// The rows that a scan of it gives.
    #[must_use]
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// The `add` action as a line of a commit holds it.
    #[must_use]
    pub fn add_action(&self) -> Value {
        json!({ "add": self.add })
    }

    /// What keeps the file, or lets it go.
    pub(super) fn made(&self) -> Option<&Arc<Unnamed>> {
        self.made.as_ref()
    }

    pub(super) fn into_add(self, data_change: bool) -> AddAction {
        AddAction { data_change, ..self.add }
    }

    /// The inner object of a `cdc` action.
    pub(super) fn change_action(&self) -> Value {
        json!({
            "path": self.add.path,
            "partitionValues": self.add.partition_values,
            "size": self.add.size,
            "dataChange": false,
        })
    }
}

/// Writes streams of rows side by side, each into files of its own.
///
/// The batches have the table's columns by name; types that differ are cast.
///
/// # Errors
/// What a stream gives; `NotWritable` for rows that do not fit, `WriteStorage`. What was written is
/// deleted then.
///
/// # Cancel safety
/// What was written is deleted.
pub async fn write_files(
    target: &Arc<WriteTarget>,
    streams: Vec<SendableRecordBatchStream>,
    options: &WriteOptions,
) -> EngineResult<Vec<NewFile>> {
    let mut tasks: FuturesUnordered<_> = streams
        .into_iter()
        .map(|stream| write_stream(Arc::clone(target), stream, options))
        .collect();
    let mut files = Vec::new();
    while let Some(done) = tasks.next().await {
        files.extend(done?);
    }
    Ok(files)
}

async fn write_stream(
    target: Arc<WriteTarget>,
    mut stream: SendableRecordBatchStream,
    options: &WriteOptions,
) -> EngineResult<Vec<NewFile>> {
    let mut writer = FileWriter::new(target, options.clone());
    while let Some(batch) = stream.next().await {
        writer.write(&batch?).await?;
    }
    Ok(writer.finish().await?)
}

/// Writes one sequence of rows; dropped before its end it leaves nothing.
#[derive(Debug)]
pub struct FileWriter {
    target: Arc<WriteTarget>,
    options: WriteOptions,
    open: HashMap<PartitionKey, OpenFile>,
    /// Rows of partitions without an open file.
    waiting: HashMap<PartitionKey, Vec<RecordBatch>>,
    n_bytes_waiting: usize,
    done: Vec<NewFile>,
}

impl FileWriter {
    /// A writer that has written nothing: no file is made before the first row.
    #[must_use]
    pub fn new(target: Arc<WriteTarget>, options: WriteOptions) -> Self {
        Self {
            target,
            options,
            open: HashMap::new(),
            waiting: HashMap::new(),
            n_bytes_waiting: 0,
            done: Vec::new(),
        }
    }

    /// Takes rows, with the table's columns by name.
    ///
    /// # Errors
    /// `NotWritable` for rows that do not fit, `WriteStorage`.
    pub async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let rows = self.target.conform(rows, self.options.is_change_data)?;
        let keys = self.target.key_columns(&rows);
        if keys.is_empty() {
            return self.write_partition(Vec::new(), rows).await;
        }
        let refused = |error: arrow::error::ArrowError| self.target.refused(&error);
        let order = sort_order(&keys).map_err(refused)?;
        let rows = take_record_batch(&rows, &order).map_err(refused)?;
        let keys = self.target.key_columns(&rows);
        for range in partition_ranges(&keys, rows.num_rows()).map_err(refused)? {
            let part = rows.slice(range.start, range.len());
            let key: Result<PartitionKey> = keys
                .iter()
                .zip(self.target.partition_fields())
                .map(|(values, field)| {
                    let value = ScalarValue::try_from_array(values, range.start);
                    let value = value.map_err(|error| self.target.refused(&error))?;
                    stats::partition_text(field, &value)
                })
                .collect();
            self.write_partition(key?, part).await?;
        }
        Ok(())
    }

    /// Closes all files and gives them out.
    ///
    /// # Errors
    /// `WriteStorage`; the files are deleted then.
    pub async fn finish(mut self) -> Result<Vec<NewFile>> {
        self.close_all().await?;
        Ok(std::mem::take(&mut self.done))
    }

    async fn write_partition(&mut self, key: PartitionKey, rows: RecordBatch) -> Result<()> {
        let stored = self.target.stored(&rows)?;
        if !self.open.contains_key(&key) {
            if self.open.len() >= OPEN_FILES_MAX || self.waiting.contains_key(&key) {
                return self.wait(key, stored).await;
            }
            let file = open(&self.target, &key, &stored, &self.options)?;
            self.open.insert(key.clone(), file);
        }
        let Some(file) = self.open.get_mut(&key) else { return Ok(()) };
        file.write(&stored).await?;
        if file.n_bytes() >= self.options.file_bytes_target {
            self.close(&key).await?;
        }
        Ok(())
    }

    /// Keeps rows for later; when there are too many, all that wait become files.
    async fn wait(&mut self, key: PartitionKey, rows: RecordBatch) -> Result<()> {
        self.n_bytes_waiting = self.n_bytes_waiting.saturating_add(slice_bytes(&rows));
        self.waiting.entry(key).or_default().push(rows);
        if self.n_bytes_waiting > WAITING_BYTES_MAX {
            self.write_waiting().await?;
        }
        Ok(())
    }

    async fn write_waiting(&mut self) -> Result<()> {
        self.n_bytes_waiting = 0;
        let (target, options) = (&self.target, &self.options);
        let files = std::mem::take(&mut self.waiting)
            .into_iter()
            .map(|(key, rows)| write_file(target, options, key, rows));
        let mut files = stream::iter(files).buffer_unordered(FILES_CLOSED_AT_A_TIME);
        while let Some(file) = files.next().await {
            self.done.push(file?);
        }
        Ok(())
    }

    async fn close_all(&mut self) -> Result<()> {
        self.write_waiting().await?;
        let target = &self.target;
        let closed = self.open.drain().map(|(_, file)| file.close(target));
        let mut closed = stream::iter(closed).buffer_unordered(FILES_CLOSED_AT_A_TIME);
        while let Some(file) = closed.next().await {
            self.done.push(file?);
        }
        Ok(())
    }

    async fn close(&mut self, key: &[Option<String>]) -> Result<()> {
        if let Some(file) = self.open.remove(key) {
            self.done.push(file.close(&self.target).await?);
        }
        Ok(())
    }
}

fn open(
    target: &Arc<WriteTarget>,
    key: &[Option<String>],
    rows: &RecordBatch,
    options: &WriteOptions,
) -> Result<OpenFile> {
    let values: BTreeMap<String, Option<String>> =
        target.partition_names().iter().cloned().zip(key.iter().cloned()).collect();
    OpenFile::try_new(target, values, rows, options)
}

/// Writes a file from its first to its last row.
async fn write_file(
    target: &Arc<WriteTarget>,
    options: &WriteOptions,
    key: PartitionKey,
    rows: Vec<RecordBatch>,
) -> Result<NewFile> {
    let first = rows.first().ok_or_else(|| target.refused(&"a file without rows"))?;
    let mut file = open(target, &key, first, options)?;
    for rows in &rows {
        file.write(rows).await?;
    }
    file.close(target).await
}

/// What the rows of a part of a batch take, without the rest of what it is a part of.
fn slice_bytes(rows: &RecordBatch) -> usize {
    let bytes = |values: &ArrayRef| values.to_data().get_slice_memory_size();
    // Views count each of their buffers whole; their texts are taken to be short.
    rows.columns()
        .iter()
        .map(|values| match values.data_type() {
            DataType::Utf8View | DataType::BinaryView => values.len().saturating_mul(VIEW_BYTES),
            _ => bytes(values).unwrap_or_else(|_| values.len().saturating_mul(VIEW_BYTES)),
        })
        .sum()
}

/// What a text and its view are taken to need.
const VIEW_BYTES: usize = 48;
