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
//! knows of it before a commit names it. What a failed write leaves behind is deleted where that is
//! possible, else it is left for VACUUM.
//!
//! | module | what |
//! |---|---|
//! | `target` | what is written to: columns, folder, properties |
//! | `encoding` | how columns are stored |
//! | `file` | one Parquet file on its way |
//! | `stats` | the statistics text of an add action, and partition values as text |
//!
//! Not here: constraints and generated columns, which need SQL; NULLs in columns without are
//! refused as a last line of defence.

pub(super) mod encoding;
mod file;
pub(super) mod stats;
mod target;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::take_record_batch;
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};

use super::actions::AddAction;
use super::write::{partition_ranges, sort_order};
use crate::{CatalogError, Result};
use file::OpenFile;
pub use target::WriteTarget;

/// Files of one writer that are open at a time, one per partition.
const OPEN_FILES_MAX: usize = 64;

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

/// A data file in storage that no version names yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    add: AddAction,
    n_rows: u64,
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
        Ok(Self { add, n_rows: stored.saturating_sub(deleted) })
    }

    /// The path as the log writes it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.add.path
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
/// # Cancel safety
/// Files that are complete stay in storage, unnamed.
pub async fn write_files(
    target: &Arc<WriteTarget>,
    streams: Vec<SendableRecordBatchStream>,
    options: &WriteOptions,
) -> EngineResult<Vec<NewFile>> {
    let mut tasks: FuturesUnordered<_> = streams
        .into_iter()
        .map(|stream| write_stream(Arc::clone(target), stream, options))
        .collect();
    let (mut files, mut failed) = (Vec::new(), None);
    while let Some(done) = tasks.next().await {
        match done {
            Ok(done) => files.extend(done),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    drop(tasks);
    match failed {
        None => Ok(files),
        Some(error) => {
            target.delete(&files).await;
            Err(error)
        }
    }
}

async fn write_stream(
    target: Arc<WriteTarget>,
    mut stream: SendableRecordBatchStream,
    options: &WriteOptions,
) -> EngineResult<Vec<NewFile>> {
    let mut writer = FileWriter::new(target, options.clone());
    while let Some(batch) = stream.next().await {
        let written = match batch {
            Ok(batch) => writer.write(&batch).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            writer.abort().await;
            return Err(error);
        }
    }
    Ok(writer.finish().await?)
}

/// Writes one sequence of rows.
#[derive(Debug)]
pub struct FileWriter {
    target: Arc<WriteTarget>,
    options: WriteOptions,
    open: HashMap<Vec<Option<String>>, OpenFile>,
    done: Vec<NewFile>,
}

impl FileWriter {
    /// A writer that has written nothing: no file is made before the first row.
    #[must_use]
    pub fn new(target: Arc<WriteTarget>, options: WriteOptions) -> Self {
        Self { target, options, open: HashMap::new(), done: Vec::new() }
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
            let key: Result<Vec<Option<String>>> = keys
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
        let keys: Vec<_> = self.open.keys().cloned().collect();
        for key in keys {
            if let Err(error) = self.close(&key).await {
                self.abort().await;
                return Err(error);
            }
        }
        Ok(std::mem::take(&mut self.done))
    }

    /// Deletes what was written, as far as storage lets.
    pub async fn abort(mut self) {
        for (_, file) in self.open.drain() {
            file.abort().await;
        }
        self.target.delete(&self.done).await;
    }

    async fn write_partition(&mut self, key: Vec<Option<String>>, rows: RecordBatch) -> Result<()> {
        let stored = self.target.stored(&rows)?;
        if !self.open.contains_key(&key) {
            if self.open.len() >= OPEN_FILES_MAX {
                let largest = self.open.iter().max_by_key(|(_, file)| file.n_rows());
                if let Some(largest) = largest.map(|(key, _)| key.clone()) {
                    self.close(&largest).await?;
                }
            }
            let values: BTreeMap<String, Option<String>> =
                self.target.partition_names().iter().cloned().zip(key.iter().cloned()).collect();
            let file = OpenFile::try_new(&self.target, values, &stored, &self.options)?;
            self.open.insert(key.clone(), file);
        }
        let Some(file) = self.open.get_mut(&key) else { return Ok(()) };
        file.write(&stored).await?;
        if file.n_bytes() >= self.options.file_bytes_target {
            self.close(&key).await?;
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
