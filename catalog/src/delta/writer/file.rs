//! One Parquet file on its way to storage.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use parquet::arrow::AsyncArrowWriter;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::metadata::ParquetMetaData;
use percent_encoding::utf8_percent_encode;
use uuid::Uuid;

use super::super::actions::AddAction;
use super::super::statistics::{max_value, min_value};
use super::super::unnamed::Unnamed;
use super::super::write::{URL_ESCAPES, now_ms};
use super::stats::{self, ColumnFacts};
use super::upload::Upload;
use super::{NewFile, WriteOptions, WriteTarget, encoding};
use crate::{CatalogError, Result};

/// A file that is being written; what there is of it goes when it is dropped.
pub(super) struct OpenFile {
    writer: AsyncArrowWriter<Upload>,
    schema: SchemaRef,
    file: Arc<Unnamed>,
    /// As the log writes it.
    log_path: String,
    partition_values: BTreeMap<String, Option<String>>,
    n_rows: u64,
    /// Columns in which a NaN was seen: their bounds in the file leave it out.
    has_nan: Vec<bool>,
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("path", self.file.path()).finish_non_exhaustive()
    }
}

impl OpenFile {
    pub(super) fn try_new(
        target: &WriteTarget,
        partition_values: BTreeMap<String, Option<String>>,
        rows: &RecordBatch,
        options: &WriteOptions,
    ) -> Result<Self> {
        let names = target.partition_names();
        let folder =
            target.folder(names.iter().map(|name| partition_values.get(name).cloned().flatten()));
        let (parent, prefix) =
            if options.is_change_data { ("_change_data/", "cdc") } else { ("", "part") };
        let relative = format!("{parent}{folder}{prefix}-{}.snappy.parquet", Uuid::new_v4());
        let path = target.place(&relative)?;
        let schema = rows.schema();
        let properties = encoding::writer_properties(rows, options.row_group_rows_max);
        let file = Unnamed::new(&target.leftovers, path);
        let sink = Upload::new(Arc::clone(&file));
        // Readers take Delta's types from the log; Arrow's own schema would only name views.
        let arrow_options =
            ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer =
            AsyncArrowWriter::try_new_with_options(sink, Arc::clone(&schema), arrow_options);
        Ok(Self {
            writer: writer.map_err(|error| target.refused(&error))?,
            has_nan: vec![false; schema.fields().len()],
            schema,
            file,
            log_path: utf8_percent_encode(&relative, URL_ESCAPES).to_string(),
            partition_values,
            n_rows: 0,
        })
    }

    /// The size so far, encoded.
    pub(super) fn n_bytes(&self) -> u64 {
        let bytes = self.writer.bytes_written().saturating_add(self.writer.in_progress_size());
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    pub(super) async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        for (has_nan, values) in self.has_nan.iter_mut().zip(rows.columns()) {
            *has_nan |= contains_nan(values);
        }
        self.n_rows += u64::try_from(rows.num_rows()).unwrap_or_default();
        self.writer.write(rows).await.map_err(|error| self.failed(error))
    }

    /// Sends the rest; the file is there afterwards.
    pub(super) async fn close(mut self, target: &WriteTarget) -> Result<NewFile> {
        let footer = match self.writer.finish().await {
            Ok(footer) => footer,
            Err(error) => return Err(self.failed(error)),
        };
        let size = u64::try_from(self.writer.bytes_written()).unwrap_or_default();
        let facts = self.facts(&footer, target.n_indexed_columns);
        let add = AddAction {
            path: self.log_path,
            partition_values: self.partition_values,
            size,
            modification_time: i64::try_from(now_ms()).unwrap_or_default(),
            data_change: true,
            stats: Some(stats::text_of(self.n_rows, &facts, true)),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        };
        Ok(NewFile { add, n_rows: self.n_rows, made: Some(self.file) })
    }

    fn failed(&self, error: parquet::errors::ParquetError) -> CatalogError {
        let what = format!("file {}", self.file.path());
        CatalogError::WriteStorage { what, source: Box::new(error) }
    }

    /// Bounds and NULLs of the columns, from what the encoder has noted in the footer.
    fn facts(&self, footer: &ParquetMetaData, n_columns: usize) -> Vec<ColumnFacts> {
        let parquet_schema = footer.file_metadata().schema_descr();
        let groups = footer.row_groups();
        let columns = self.schema.fields().iter().zip(&self.has_nan).take(n_columns);
        columns
            .filter(|(field, _)| !field.data_type().is_nested())
            .map(|(field, has_nan)| {
                let unknown = ColumnFacts {
                    name: field.name().clone(),
                    min: None,
                    max: None,
                    null_count: None,
                };
                let Ok(found) =
                    StatisticsConverter::try_new(field.name(), &self.schema, parquet_schema)
                else {
                    return unknown;
                };
                let nulls = found.row_group_null_counts(groups).ok();
                let null_count = nulls.filter(|n| n.null_count() == 0);
                let null_count = null_count.map(|counts| counts.values().iter().sum());
                if *has_nan {
                    return ColumnFacts { null_count, ..unknown };
                }
                let mins = found.row_group_mins(groups).ok();
                let maxes = found.row_group_maxes(groups).ok();
                ColumnFacts {
                    min: mins.and_then(|values| min_value(&values).ok()),
                    max: maxes.and_then(|values| max_value(&values).ok()),
                    null_count,
                    ..unknown
                }
            })
            .collect()
    }
}

/// Whether a column of floats has a NaN.
pub(super) fn contains_nan(values: &ArrayRef) -> bool {
    match values.data_type() {
        DataType::Float32 => {
            let values = values.as_primitive::<Float32Type>();
            values.iter().flatten().any(f32::is_nan)
        }
        DataType::Float64 => {
            let values = values.as_primitive::<Float64Type>();
            values.iter().flatten().any(f64::is_nan)
        }
        _ => false,
    }
}
