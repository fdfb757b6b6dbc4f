//! Rows by the value of a column, from memory.
//!
//! ```text
//!  column = value ──bounds of the log──▶ files ──KeyIndex──▶ segments ──kept columns──▶ rows
//!                                            │ missing           │ missing
//!                                            └──────▶ Missing ◀──┘   what the caller may load
//! ```
//! Nothing here waits: what is not in memory is named, and the caller answers by a scan. A file's
//! rows never change, so what is kept is right for as long as a snapshot has the file; which files
//! those are is the snapshot's business.

mod cache;
mod index;

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, Scalar};
use arrow::compute::kernels::cmp;
use arrow::compute::{and, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use datafusion::catalog::Session;
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Operator;
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

pub use self::cache::LookupCache;
use self::index::IndexBuilder;
use super::rows::FileNumber;
use super::scan::{self, ScanParts};
use super::snapshot::DeltaSnapshot;
use super::sql_types;

/// Rows that are read and kept together, deleted ones included: those of one page as tarn writes it.
const SEGMENT_ROWS: u64 = 4096;
/// Files that one lookup looks into.
const FILES_MAX: usize = 16;
/// Segments that one lookup looks into; a scan does more of them better.
const SEGMENTS_MAX: usize = 16;
/// Files up to which bounds that are kept as texts are read at each lookup.
const READ_BOUNDS_MAX: usize = 256;
/// Rows of a file up to which its columns are indexed.
const INDEXED_ROWS_MAX: u64 = 16 << 20;

/// The rows of a file at one state of its deletion vector, as a table with certain columns has them.
#[derive(Debug, PartialEq, Eq)]
struct FileRows {
    store: String,
    path: Path,
    size_bytes: u64,
    modified_ms: i64,
    /// Rows stored, deleted ones included.
    n_rows: u64,
    /// Where the deletion vector is, and its offset there.
    vector: Option<(String, Option<i32>)>,
    schema: SchemaRef,
}

impl Hash for FileRows {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Not the schema: it is large, and the same for nearly all.
        (&self.path, self.size_bytes, self.modified_ms, &self.vector).hash(state);
    }
}

/// `column <op> value`; a value of the column's own type that is not NULL.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The column's position in the table.
    pub column: usize,
    /// A comparison.
    pub op: Operator,
    /// What the column is compared with.
    pub value: ScalarValue,
}

/// What a lookup has found.
#[derive(Debug)]
pub enum Looked {
    /// All rows that fulfil the conditions, with the columns asked for.
    Rows(Vec<RecordBatch>),
    /// This is not in memory.
    Missing(Missing),
    /// Nothing for a lookup: too many files or rows, or a column that is not indexed.
    Unsuited,
}

/// What would have to be in memory.
#[derive(Debug, Clone)]
pub struct Missing {
    file: FileNumber,
    rows: Arc<FileRows>,
    part: Part,
}

#[derive(Debug, Clone)]
enum Part {
    /// The index of a column.
    Index(usize),
    /// Columns of a segment.
    Segment(u32, Vec<usize>),
}

/// Whether columns of a type are indexed: those that people look things up by, and of which equal
/// values have equal bytes.
#[must_use]
pub fn is_key_type(data_type: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Date32, FixedSizeBinary, Int8, Int16, Int32, Int64, LargeBinary,
        LargeUtf8, Utf8, Utf8View,
    };
    matches!(
        data_type,
        Int8 | Int16
            | Int32
            | Int64
            | Date32
            | Utf8
            | LargeUtf8
            | Utf8View
            | Binary
            | LargeBinary
            | BinaryView
            | FixedSizeBinary(_)
    )
}

impl DeltaSnapshot {
    /// The rows that fulfil all conditions, of which `conditions[0]` is the one that is looked up
    /// by: an equality over a column of a key type.
    ///
    /// `columns` are the positions in the table of the columns to return.
    #[must_use]
    pub fn look_up(
        &self,
        cache: &LookupCache,
        conditions: &[Condition],
        columns: &[usize],
    ) -> Looked {
        let Some(key) = conditions.first() else { return Looked::Unsuited };
        let (Some(files), Ok(hash)) = (self.files_with(key), index::hash_of(&key.value)) else {
            return Looked::Unsuited;
        };
        let mut places = Vec::new();
        for file in files {
            let Some(rows) = self.file_rows(file) else { return Looked::Unsuited };
            let Some(index) = cache.index(&rows, key.column) else {
                let part = Part::Index(key.column);
                return Looked::Missing(Missing { file, rows, part });
            };
            for segment in index.segments_of(hash) {
                places.push((file, Arc::clone(&rows), segment));
            }
            if places.len() > SEGMENTS_MAX {
                return Looked::Unsuited;
            }
        }
        let mut found = Vec::new();
        for (file, rows, segment) in places {
            match self.look_into(cache, (&rows, segment), conditions, columns) {
                Ok(Ok(batch)) if batch.num_rows() > 0 => found.push(batch),
                Ok(Ok(_)) => {}
                Ok(Err(missing)) => {
                    let part = Part::Segment(segment, missing);
                    return Looked::Missing(Missing { file, rows, part });
                }
                // A scan says what is wrong.
                Err(_) => return Looked::Unsuited,
            }
        }
        Looked::Rows(found)
    }

    /// The rows of a segment that fulfil the conditions, or the columns that are missing.
    fn look_into(
        &self,
        cache: &LookupCache,
        (rows, segment): (&Arc<FileRows>, u32),
        conditions: &[Condition],
        columns: &[usize],
    ) -> std::result::Result<std::result::Result<RecordBatch, Vec<usize>>, ArrowError> {
        let mut missing = Vec::new();
        let mut column = |position: usize| {
            let kept = cache.column(rows, segment, position);
            if kept.is_none() && !missing.contains(&position) {
                missing.push(position);
            }
            kept
        };
        let compared: Vec<Option<ArrayRef>> =
            conditions.iter().map(|condition| column(condition.column)).collect();
        let returned: Vec<Option<ArrayRef>> = columns.iter().map(|c| column(*c)).collect();
        if !missing.is_empty() {
            return Ok(Err(missing));
        }
        let mut keep: Option<BooleanArray> = None;
        for (condition, values) in conditions.iter().zip(compared.iter().flatten()) {
            let matched = compare(values, condition)?;
            keep = Some(match keep {
                Some(keep) => and(&keep, &matched)?,
                None => matched,
            });
        }
        let n_rows = keep.as_ref().map_or(0, Array::len);
        let schema = Arc::new(self.layout.schema.project(columns)?);
        let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
        let returned = returned.into_iter().flatten().collect();
        let batch = RecordBatch::try_new_with_options(schema, returned, &options)?;
        match keep {
            Some(keep) => Ok(Ok(filter_record_batch(&batch, &keep)?)),
            None => Ok(Ok(batch.slice(0, 0))),
        }
    }

    /// The files that may hold a value, as the log's bounds tell; `None` if they are many.
    fn files_with(&self, key: &Condition) -> Option<Vec<FileNumber>> {
        let position = *self.layout.scan_position.get(key.column)?;
        let field = self.layout.scan_schema.file_schema().fields().get(position)?;
        if key.op != Operator::Eq || !is_key_type(field.data_type()) {
            return None;
        }
        let bounds = self.index.columns.get(position)?;
        let is_read = bounds.min.as_ref().is_some_and(|min| min.data_type() != field.data_type());
        if is_read && self.index.n_files() > READ_BOUNDS_MAX {
            return None;
        }
        let (min, max) = sql_types::value_bounds(bounds, field.data_type());
        let value = Scalar::new(key.value.to_array().ok()?);
        let at_least = max.and_then(|max| cmp::gt_eq(&max, &value).ok());
        let at_most = min.and_then(|min| cmp::lt_eq(&min, &value).ok());
        let allows = |bound: &Option<BooleanArray>, file: FileNumber| {
            bound.as_ref().is_none_or(|bound| bound.is_null(file) || bound.value(file))
        };
        let mut files = Vec::new();
        for file in 0..self.index.n_files() {
            if allows(&at_least, file) && allows(&at_most, file) {
                if files.len() == FILES_MAX {
                    return None;
                }
                files.push(file);
            }
        }
        Some(files)
    }

    /// What a file's rows are known by; `None` for files that are not kept.
    fn file_rows(&self, file: FileNumber) -> Option<Arc<FileRows>> {
        let index = &self.index;
        let n_rows = index.stored_rows.get(file).copied().flatten()?;
        let vector = index.deletion_vectors.get(file)?.as_ref();
        (n_rows <= INDEXED_ROWS_MAX).then_some(())?;
        Some(Arc::new(FileRows {
            store: self.object_store_url.as_str().to_owned(),
            path: index.paths.get(file)?.clone(),
            size_bytes: *index.size_bytes.get(file)?,
            modified_ms: *index.modified_ms.get(file)?,
            n_rows,
            vector: vector.map(|v| (format!("{}{}", v.storage_type, v.path_or_inline), v.offset)),
            schema: Arc::clone(&self.layout.schema),
        }))
    }

    /// A plan of one partition that reads what is missing.
    ///
    /// # Errors
    /// What reading a deletion vector says.
    async fn plan_missing(
        &self,
        state: &dyn Session,
        missing: &Missing,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let file = missing.file;
        scan::load_selections(self, &[file]).await?;
        let n_rows = missing.rows.n_rows;
        let (columns, rows) = match &missing.part {
            Part::Index(column) => (vec![*column], 0..n_rows),
            Part::Segment(segment, columns) => (columns.clone(), rows_of(*segment, n_rows)),
        };
        let mut read = scan::partitioned_file(self, file, false)?;
        let selection = stretch(&rows, n_rows);
        let selection = match self.selections.get(file).and_then(|slot| slot.get()) {
            Some(live) => live.intersection(&selection),
            None => selection,
        };
        read = read.with_extension(ParquetRowSelection::new(selection));
        let position = |c: &usize| self.layout.scan_position.get(*c).copied();
        let parts = ScanParts {
            // With the index of pages, so that only those of the segment are read.
            readers: self.readers(true),
            object_store_url: self.object_store_url.clone(),
            schema: self.layout.scan_schema.clone(),
            mapping: Arc::clone(&self.layout.mapping),
            groups: vec![FileGroup::new(vec![read])],
            columns: columns.iter().filter_map(position).collect(),
            statistics: None,
            limit: None,
            is_narrow: false,
            n_left_out: 0,
        };
        scan::data_source(state, parts)
    }

    /// Reads what is missing and keeps it.
    ///
    /// # Errors
    /// What reading says; rows that are not those that the log tells of.
    ///
    /// # Cancel safety
    /// Dropping the future keeps nothing.
    pub async fn load_missing(
        &self,
        state: &dyn Session,
        context: Arc<TaskContext>,
        (cache, missing): (&LookupCache, &Missing),
    ) -> Result<()> {
        let mut rows = self.plan_missing(state, missing).await?.execute(0, context)?;
        match &missing.part {
            Part::Index(position) => {
                let selection = self.selections.get(missing.file).and_then(|slot| slot.get());
                let mut index = IndexBuilder::new(selection, missing.rows.n_rows);
                while let Some(batch) = rows.try_next().await? {
                    index.add(batch.column(0))?;
                }
                cache.keep_index(&missing.rows, *position, index.build()?);
            }
            Part::Segment(segment, positions) => {
                let schema = rows.schema();
                let batches: Vec<RecordBatch> = rows.try_collect().await?;
                let batch = concat_batches(&schema, &batches)?;
                for (values, position) in batch.columns().iter().zip(positions) {
                    cache.keep_column(&missing.rows, *segment, *position, Arc::clone(values));
                }
            }
        }
        Ok(())
    }
}

impl Missing {
    /// Whether it is an index, which takes a whole column of a file to make.
    #[must_use]
    pub fn is_index(&self) -> bool {
        matches!(self.part, Part::Index(_))
    }
}

/// The stored rows of a segment.
fn rows_of(segment: u32, n_rows: u64) -> Range<u64> {
    let start = u64::from(segment).saturating_mul(SEGMENT_ROWS).min(n_rows);
    start..start.saturating_add(SEGMENT_ROWS).min(n_rows)
}

/// A selection of one stretch of a file's rows.
fn stretch(rows: &Range<u64>, n_rows: u64) -> RowSelection {
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let selectors = vec![
        RowSelector::skip(count(rows.start)),
        RowSelector::select(count(rows.end - rows.start)),
        RowSelector::skip(count(n_rows - rows.end)),
    ];
    selectors.into_iter().filter(|s| s.row_count > 0).collect::<Vec<_>>().into()
}

fn compare(
    values: &ArrayRef,
    condition: &Condition,
) -> std::result::Result<BooleanArray, ArrowError> {
    let value =
        condition.value.to_array().map_err(|error| ArrowError::ComputeError(error.to_string()))?;
    let value = Scalar::new(value);
    match condition.op {
        Operator::Eq => cmp::eq(values, &value),
        Operator::NotEq => cmp::neq(values, &value),
        Operator::Lt => cmp::lt(values, &value),
        Operator::LtEq => cmp::lt_eq(values, &value),
        Operator::Gt => cmp::gt(values, &value),
        Operator::GtEq => cmp::gt_eq(values, &value),
        other => Err(ArrowError::ComputeError(format!("{other} is no comparison"))),
    }
}
