//! The live files of one version, column by column.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, Int64Array,
    LargeBinaryArray, LargeStringArray, RecordBatch, StringArray, StringViewArray, StructArray,
    UInt64Array, new_empty_array,
};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::{cast, nullif};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::error::ArrowError;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use object_store::path::Path;
use percent_encoding::percent_decode_str;
use std::collections::HashSet;
use url::Url;

use super::bounds::{lowered, raised};
use super::deletion_vector::DeletionVector;
use super::layout::TableLayout;
use super::sql_types;
use crate::{CatalogError, Result};

pub(super) mod changes;

/// The live files of one version: entry `i` of every member is about file `i`.
#[derive(Debug)]
pub(super) struct FileIndex {
    pub(super) paths: Vec<Path>,
    /// The paths as the log writes them.
    pub(super) log_paths: StringArray,
    pub(super) size_bytes: Vec<u64>,
    pub(super) modified_ms: Vec<i64>,
    /// Rows stored in the file, deleted ones included.
    pub(super) stored_rows: Vec<Option<u64>>,
    pub(super) deletion_vectors: Vec<Option<DeletionVector>>,
    /// The bounds are those of rows that exist: no deletion vector, and the writer says so.
    pub(super) is_tight: Vec<bool>,
    /// Statistics of the file columns in the order of the scan's schema.
    pub(super) columns: Vec<ColumnBounds>,
    /// Values of the partition columns in the order of the scan's schema.
    pub(super) partitions: Vec<ArrayRef>,
}

/// What the log says about one column, an entry per file; absent where it says nothing.
///
/// The bounds are of the type that files have: see [`sql_types::value_bounds`].
#[derive(Debug, Default)]
pub(super) struct ColumnBounds {
    pub(super) min: Option<ArrayRef>,
    pub(super) max: Option<ArrayRef>,
    pub(super) null_count: Option<Int64Array>,
}

impl FileIndex {
    pub(super) fn try_new(
        table: &str,
        table_url: &Url,
        layout: &TableLayout,
        batch: &RecordBatch,
    ) -> Result<Self> {
        let damaged = |what: &str| CatalogError::Corrupt {
            table: table.to_owned(),
            what: what.to_owned(),
            source: None,
        };
        let n_files = batch.num_rows();
        let column = |name: &str| batch.column_by_name(name);
        let mut paths = Vec::with_capacity(n_files);
        let mut size_bytes = Vec::with_capacity(n_files);
        let mut modified_ms = Vec::with_capacity(n_files);
        let mut log_paths = StringArray::from(Vec::<&str>::new());
        if n_files > 0 {
            let path = column("path")
                .and_then(|c| c.as_string_opt::<i32>())
                .ok_or_else(|| damaged("no paths"))?;
            log_paths = path.clone();
            for entry in path {
                let entry = entry.ok_or_else(|| damaged("a file without a path"))?;
                paths.push(object_path(table, table_url, entry)?);
            }
            let size = longs(column("size")).ok_or_else(|| damaged("no file sizes"))?;
            for entry in size {
                let bytes = entry.and_then(|bytes| u64::try_from(bytes).ok());
                size_bytes.push(bytes.ok_or_else(|| damaged("a file without a size"))?);
            }
            let modified = longs(column("modificationTime"));
            modified_ms.extend((0..n_files).map(|i| long_at(modified, i).unwrap_or_default()));
        }
        let deletion_vectors = deletion_vectors(column("deletionVector"), n_files)
            .ok_or_else(|| damaged("a deletion vector that cannot be read"))?;
        let stats = column("stats_parsed").and_then(|c| c.as_struct_opt());
        let rows = stats.and_then(|s| longs(s.column_by_name("numRecords")));
        let stored_rows = (0..n_files)
            .map(|i| long_at(rows, i).and_then(|rows| u64::try_from(rows).ok()))
            .collect();
        let tight = stats.and_then(|s| s.column_by_name("tightBounds")?.as_boolean_opt());
        let is_tight = deletion_vectors
            .iter()
            .enumerate()
            .map(|(i, vector)| vector.is_none() && tight.is_none_or(|t| t.is_null(i) || t.value(i)))
            .collect();
        Ok(Self {
            paths,
            log_paths,
            size_bytes,
            modified_ms,
            stored_rows,
            deletion_vectors,
            is_tight,
            columns: column_bounds(layout, stats),
            partitions: partition_values(table, layout, column("partitionValues_parsed"), n_files)?,
        })
    }

    pub(super) fn n_files(&self) -> usize {
        self.paths.len()
    }

    /// The path of file `i` as the log writes it.
    pub(super) fn log_path(&self, i: usize) -> Option<&str> {
        (i < self.log_paths.len() && self.log_paths.is_valid(i)).then(|| self.log_paths.value(i))
    }

    /// Rows a scan of file `i` yields.
    pub(super) fn live_rows(&self, i: usize) -> Option<u64> {
        let stored = self.stored_rows.get(i).copied().flatten()?;
        let deleted = self.deletion_vectors.get(i)?.as_ref().map_or(0, |v| v.cardinality);
        stored.checked_sub(deleted)
    }

    pub(super) fn partition_values(
        &self,
        i: usize,
    ) -> datafusion::common::Result<Vec<ScalarValue>> {
        self.partitions.iter().map(|values| ScalarValue::try_from_array(values, i)).collect()
    }
}

/// The statistics of the index under logical names, for DataFusion's `PruningPredicate`.
#[derive(Debug)]
pub(super) struct IndexStatistics<'a> {
    pub(super) index: &'a FileIndex,
    pub(super) layout: &'a TableLayout,
}

impl IndexStatistics<'_> {
    fn bounds(&self, column: &Column) -> Option<&ColumnBounds> {
        let position = self.layout.scan_schema.file_schema().index_of(column.name()).ok()?;
        self.index.columns.get(position)
    }

    /// Minima and maxima of the column's values.
    fn values(&self, column: &Column) -> Option<(Option<ArrayRef>, Option<ArrayRef>)> {
        let field = self.layout.scan_schema.file_schema().field_with_name(column.name()).ok()?;
        Some(sql_types::value_bounds(self.bounds(column)?, field.data_type()))
    }

    fn partition(&self, column: &Column) -> Option<&ArrayRef> {
        let fields = self.layout.partition_fields();
        let position = fields.iter().position(|field| field.name() == column.name())?;
        self.index.partitions.get(position)
    }
}

impl PruningStatistics for IndexStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        match self.partition(column) {
            Some(values) => Some(Arc::clone(values)),
            None => self.values(column)?.0,
        }
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        // NaN is the greatest value in SQL, and writers leave it out of the bounds.
        match self.partition(column) {
            Some(values) => Some(Arc::clone(values)),
            None => self.values(column)?.1.filter(|max| !max.data_type().is_floating()),
        }
    }

    fn num_containers(&self) -> usize {
        self.index.n_files()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        if let Some(values) = self.partition(column) {
            let rows = self.index.stored_rows.iter().enumerate();
            let nulls = rows.map(|(i, rows)| if values.is_null(i) { *rows } else { Some(0) });
            return Some(Arc::new(nulls.collect::<UInt64Array>()));
        }
        let nulls = self.bounds(column)?.null_count.as_ref()?;
        let nulls = nulls.iter().map(|n| n.and_then(|n| u64::try_from(n).ok()));
        Some(Arc::new(nulls.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        // With the deleted rows: null counts are over them as well.
        Some(Arc::new(self.index.stored_rows.iter().copied().collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

fn longs(column: Option<&ArrayRef>) -> Option<&Int64Array> {
    column?.as_primitive_opt::<Int64Type>()
}

fn long_at(values: Option<&Int64Array>, i: usize) -> Option<i64> {
    values.filter(|values| values.is_valid(i)).map(|values| values.value(i))
}

/// The descriptors, `None` if one is there that cannot be read: its deleted rows would come back.
fn deletion_vectors(
    column: Option<&ArrayRef>,
    n_files: usize,
) -> Option<Vec<Option<DeletionVector>>> {
    let Some(column) = column else { return Some(vec![None; n_files]) };
    let Some(vectors) = column.as_struct_opt() else {
        return (column.null_count() == column.len()).then(|| vec![None; n_files]);
    };
    let text = |name: &str| vectors.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
    let int =
        |name: &str| vectors.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int32Type>());
    let (kind, path) = (text("storageType"), text("pathOrInlineDv"));
    let (offset, size) = (int("offset"), int("sizeInBytes"));
    let cardinality = longs(vectors.column_by_name("cardinality"));
    let vector = |i: usize| {
        if vectors.is_null(i) {
            return Some(None);
        }
        let kind = kind.filter(|kind| kind.is_valid(i))?.value(i).to_owned();
        Some(Some(DeletionVector {
            storage_type: kind,
            path_or_inline: path.filter(|p| p.is_valid(i))?.value(i).to_owned(),
            offset: offset.filter(|o| o.is_valid(i)).map(|o| o.value(i)),
            size_bytes: size.filter(|s| s.is_valid(i))?.value(i),
            cardinality: long_at(cardinality, i).and_then(|n| u64::try_from(n).ok())?,
        }))
    };
    (0..n_files).map(vector).collect()
}

fn column_bounds(layout: &TableLayout, stats: Option<&StructArray>) -> Vec<ColumnBounds> {
    let group = |name: &str| stats.and_then(|s| s.column_by_name(name)?.as_struct_opt());
    let (min, max, nulls) = (group("minValues"), group("maxValues"), group("nullCount"));
    layout
        .file_names
        .iter()
        .zip(&layout.file_types)
        .map(|(name, file_type)| {
            let typed = |values: Option<&StructArray>| {
                let values = values?.column_by_name(name)?;
                if values.data_type().is_nested() {
                    return None;
                }
                cast(values, file_type).ok()
            };
            ColumnBounds {
                min: typed(min).map(lowered),
                max: typed(max).map(raised),
                null_count: nulls.and_then(|n| longs(n.column_by_name(name)).cloned()),
            }
        })
        .collect()
}

fn partition_values(
    table: &str,
    layout: &TableLayout,
    values: Option<&ArrayRef>,
    n_files: usize,
) -> Result<Vec<ArrayRef>> {
    let values = values.and_then(|c| c.as_struct_opt());
    let typed =
        layout.partition_names.iter().zip(layout.partition_fields()).map(|(name, field)| {
            if n_files == 0 {
                return Ok(new_empty_array(field.data_type()));
            }
            let values = values.and_then(|v| v.column_by_name(name));
            let typed = |values: &ArrayRef| match sql_types::decode(values, field.data_type()) {
                Ok(Some(values)) => Some(values),
                Ok(None) => cast(values, field.data_type()).ok(),
                Err(_) => None,
            };
            let typed = values.and_then(typed).ok_or_else(|| CatalogError::Corrupt {
                table: table.to_owned(),
                what: format!("the log has no values of partition column \"{}\"", field.name()),
                source: None,
            })?;
            without_empty(&typed)
                .map_err(|error| CatalogError::Internal { what: error.to_string() })
        });
    typed.collect()
}

/// NULL instead of the empty text, which stands for it in partition columns of each type.
fn without_empty(values: &ArrayRef) -> std::result::Result<ArrayRef, ArrowError> {
    let is_empty = match values.data_type() {
        DataType::Utf8 => eq(values, &StringArray::new_scalar(""))?,
        DataType::LargeUtf8 => eq(values, &LargeStringArray::new_scalar(""))?,
        DataType::Utf8View => eq(values, &StringViewArray::new_scalar(""))?,
        DataType::Binary => eq(values, &BinaryArray::new_scalar(""))?,
        DataType::LargeBinary => eq(values, &LargeBinaryArray::new_scalar(""))?,
        DataType::BinaryView => eq(values, &BinaryViewArray::new_scalar(""))?,
        _ => return Ok(Arc::clone(values)),
    };
    nullif(values, &is_empty)
}

/// The object behind a path of an add action, which is URL-encoded and relative to the table, or an
/// absolute URL into the same store.
pub(super) fn object_path(table: &str, table_url: &Url, path: &str) -> Result<Path> {
    let damaged = |what: String| CatalogError::Corrupt {
        table: table.to_owned(),
        what: format!("file path \"{path}\": {what}"),
        source: None,
    };
    if path.contains("://") || path.starts_with("file:/") {
        let url = Url::parse(path).map_err(|error| damaged(error.to_string()))?;
        if url.scheme() != table_url.scheme() || url.authority() != table_url.authority() {
            return Err(CatalogError::UnsupportedFeature {
                table: table.to_owned(),
                format: "delta",
                feature: format!("files in another store ({url})"),
            });
        }
        return Path::from_url_path(url.path()).map_err(|error| damaged(error.to_string()));
    }
    let decoded =
        percent_decode_str(path).decode_utf8().map_err(|error| damaged(error.to_string()))?;
    if decoded.split('/').any(|part| part == "..") {
        return Err(damaged("leaves the table's folder".to_owned()));
    }
    if decoded.starts_with('/') {
        return Path::parse(decoded.as_ref()).map_err(|error| damaged(error.to_string()));
    }
    let base = Path::from_url_path(table_url.path()).map_err(|error| damaged(error.to_string()))?;
    let full =
        if base.as_ref().is_empty() { decoded.into_owned() } else { format!("{base}/{decoded}") };
    Path::parse(full).map_err(|error| damaged(error.to_string()))
}
