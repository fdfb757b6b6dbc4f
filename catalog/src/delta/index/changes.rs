//! The file index of the next version, made from that of the last one and what a commit changed.
//!
//! Only the commit is read: its statistics and partition values are text, which becomes arrays of the
//! types that the kernel gives for a whole table.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray, StructArray, new_empty_array,
    new_null_array,
};
use arrow::compute::{cast, cast_with_options, concat, filter};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema};
use arrow::json::ReaderBuilder;
use object_store::path::Path;
use url::Url;

use super::super::actions::AddAction;
use super::super::deletion_vector::DeletionVector;
use super::super::layout::TableLayout;
use super::super::sql_types;
use super::{ColumnBounds, FileIndex, column_bounds, long_at, longs, object_path};
use crate::{CatalogError, Result};

impl FileIndex {
    /// The index of files that a commit adds.
    pub(in crate::delta) fn of_adds<'a>(
        table: &str,
        table_url: &Url,
        layout: &TableLayout,
        adds: impl IntoIterator<Item = &'a AddAction>,
    ) -> Result<Self> {
        let adds: Vec<&AddAction> = adds.into_iter().collect();
        let paths: Result<Vec<Path>> =
            adds.iter().map(|add| object_path(table, table_url, &add.path)).collect();
        let deletion_vectors: Vec<Option<DeletionVector>> =
            adds.iter().map(|add| add.deletion_vector.as_ref().map(Into::into)).collect();
        let stats = parsed_statistics(layout, &adds);
        let rows = stats.as_ref().and_then(|s| longs(s.column_by_name("numRecords")));
        let stored_rows: Vec<Option<u64>> = (0..adds.len())
            .map(|i| long_at(rows, i).and_then(|rows| u64::try_from(rows).ok()))
            .collect();
        let tight = stats.as_ref().and_then(|s| s.column_by_name("tightBounds")?.as_boolean_opt());
        let is_tight = deletion_vectors
            .iter()
            .enumerate()
            .map(|(i, vector)| vector.is_none() && tight.is_none_or(|t| t.is_null(i) || t.value(i)))
            .collect();
        Ok(Self {
            paths: paths?,
            log_paths: adds.iter().map(|add| Some(add.path.as_str())).collect(),
            size_bytes: adds.iter().map(|add| add.size).collect(),
            modified_ms: adds.iter().map(|add| add.modification_time).collect(),
            stored_rows,
            deletion_vectors,
            is_tight,
            columns: column_bounds(layout, stats.as_ref()),
            partitions: partition_values(table, layout, &adds)?,
        })
    }

    /// The files of `self` that are kept, in their order, and after them those of `added`.
    pub(in crate::delta) fn followed_by(&self, keep: &BooleanArray, added: &Self) -> Result<Self> {
        let failed = |error: arrow::error::ArrowError| CatalogError::Internal {
            what: format!("file index: {error}"),
        };
        let is_kept = |i: usize| keep.is_valid(i) && keep.value(i);
        let n_kept = keep.true_count();
        let merge = |old: Option<&ArrayRef>, new: Option<&ArrayRef>| -> Result<Option<ArrayRef>> {
            let Some(data_type) = old.or(new).map(|values| values.data_type().clone()) else {
                return Ok(None);
            };
            let old = match old {
                Some(old) => filter(old, keep).map_err(failed)?,
                None => new_null_array(&data_type, n_kept),
            };
            if added.n_files() == 0 {
                return Ok(Some(old));
            }
            let new = match new {
                Some(new) => Arc::clone(new),
                None => new_null_array(&data_type, added.n_files()),
            };
            Ok(Some(concat(&[old.as_ref(), new.as_ref()]).map_err(failed)?))
        };
        let counts = |old: &ColumnBounds, new: &ColumnBounds| -> Result<Option<Int64Array>> {
            let as_array = |nulls: &Int64Array| Arc::new(nulls.clone()) as ArrayRef;
            let old = old.null_count.as_ref().map(as_array);
            let new = new.null_count.as_ref().map(as_array);
            let merged = merge(old.as_ref(), new.as_ref())?;
            Ok(merged.and_then(|nulls| nulls.as_primitive_opt::<Int64Type>().cloned()))
        };
        let columns = self.columns.iter().zip(&added.columns).map(|(old, new)| {
            Ok(ColumnBounds {
                min: merge(old.min.as_ref(), new.min.as_ref())?,
                max: merge(old.max.as_ref(), new.max.as_ref())?,
                null_count: counts(old, new)?,
            })
        });
        let partitions = self.partitions.iter().zip(&added.partitions).map(|(old, new)| {
            let merged = merge(Some(old), Some(new))?;
            merged.ok_or_else(|| CatalogError::Internal { what: "no partition values".to_owned() })
        });
        let log_paths = [&self.log_paths as &dyn Array, &added.log_paths as &dyn Array];
        let kept_paths = filter(log_paths[0], keep).map_err(failed)?;
        let log_paths = concat(&[kept_paths.as_ref(), log_paths[1]]).map_err(failed)?;
        Ok(Self {
            paths: chain(&self.paths, &added.paths, is_kept),
            log_paths: log_paths.as_string::<i32>().clone(),
            size_bytes: chain(&self.size_bytes, &added.size_bytes, is_kept),
            modified_ms: chain(&self.modified_ms, &added.modified_ms, is_kept),
            stored_rows: chain(&self.stored_rows, &added.stored_rows, is_kept),
            deletion_vectors: chain(&self.deletion_vectors, &added.deletion_vectors, is_kept),
            is_tight: chain(&self.is_tight, &added.is_tight, is_kept),
            columns: columns.collect::<Result<_>>()?,
            partitions: partitions.collect::<Result<_>>()?,
        })
    }

    /// The same files for other columns: what is known of a column is found by its name in files.
    pub(in crate::delta) fn for_layout(
        &self,
        table: &str,
        from: &TableLayout,
        to: &TableLayout,
    ) -> Result<Self> {
        let columns = to.file_names.iter().zip(&to.file_types).map(|(name, file_type)| {
            let known = from.file_names.iter().position(|known| known == name);
            let Some(known) = known.and_then(|i| self.columns.get(i)) else {
                return ColumnBounds::default();
            };
            let typed = |values: &Option<ArrayRef>| cast(values.as_ref()?, file_type).ok();
            ColumnBounds {
                min: typed(&known.min),
                max: typed(&known.max),
                null_count: known.null_count.clone(),
            }
        });
        let partitions =
            to.partition_names.iter().zip(to.partition_fields()).map(|(name, field)| {
                let known = from.partition_names.iter().position(|known| known == name);
                let values = known.and_then(|i| self.partitions.get(i));
                let typed = values.and_then(|values| cast(values, field.data_type()).ok());
                match typed {
                    Some(values) => Ok(values),
                    // A table that is made anew, over other columns, has no file left.
                    None if self.n_files() == 0 => Ok(new_empty_array(field.data_type())),
                    None => Err(CatalogError::Corrupt {
                        table: table.to_owned(),
                        what: format!("partition column \"{}\" is new", field.name()),
                        source: None,
                    }),
                }
            });
        Ok(Self {
            paths: self.paths.clone(),
            log_paths: self.log_paths.clone(),
            size_bytes: self.size_bytes.clone(),
            modified_ms: self.modified_ms.clone(),
            stored_rows: self.stored_rows.clone(),
            deletion_vectors: self.deletion_vectors.clone(),
            is_tight: self.is_tight.clone(),
            columns: columns.collect(),
            partitions: partitions.collect::<Result<_>>()?,
        })
    }
}

/// The kept entries of one list and all of another.
pub(in crate::delta) fn chain<T: Clone>(
    old: &[T],
    new: &[T],
    is_kept: impl Fn(usize) -> bool,
) -> Vec<T> {
    let old = old.iter().enumerate().filter(|(i, _)| is_kept(*i)).map(|(_, value)| value);
    old.chain(new).cloned().collect()
}

/// The statistics text of all files as one array; a text that cannot be read says nothing.
fn parsed_statistics(layout: &TableLayout, adds: &[&AddAction]) -> Option<StructArray> {
    let schema = Arc::new(Schema::new(statistics_fields(layout)));
    let text = |add: &AddAction| {
        let text = add.stats.as_deref().filter(|text| !text.trim().is_empty()).unwrap_or("{}");
        // One line per file: the reader takes a line break for the end of a row nowhere else.
        text.replace('\n', " ")
    };
    let lines: String = adds.iter().map(|add| text(add) + "\n").collect();
    let parsed = parse_rows(&schema, &lines, adds.len());
    parsed.or_else(|| {
        let rows = adds.iter().map(|add| {
            let row = parse_rows(&schema, &text(add), 1);
            row.unwrap_or_else(|| StructArray::new_null(schema.fields().clone(), 1))
        });
        let rows: Vec<StructArray> = rows.collect();
        let rows: Vec<&dyn Array> = rows.iter().map(|row| row as &dyn Array).collect();
        concat(&rows).ok()?.as_struct_opt().cloned()
    })
}

fn parse_rows(schema: &Arc<Schema>, lines: &str, n_rows: usize) -> Option<StructArray> {
    let builder = ReaderBuilder::new(Arc::clone(schema)).with_batch_size(n_rows.max(1));
    let mut decoder = builder.build_decoder().ok()?;
    let n_bytes = decoder.decode(lines.as_bytes()).ok()?;
    let batch = decoder.flush().ok()??;
    (n_bytes == lines.len() && batch.num_rows() == n_rows).then(|| batch.into())
}

/// The parts of an add action's statistics that the index keeps.
fn statistics_fields(layout: &TableLayout) -> Fields {
    let (mut bounds, mut counts) = (Vec::new(), Vec::new());
    for (name, file_type) in layout.file_names.iter().zip(&layout.file_types) {
        if file_type.is_nested() {
            continue;
        }
        counts.push(Field::new(name, DataType::Int64, true));
        match file_type {
            DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8 => {
                bounds.push(Field::new(name, DataType::Utf8, true));
            }
            DataType::Binary | DataType::BinaryView | DataType::Boolean | DataType::Null => {}
            other => bounds.push(Field::new(name, other.clone(), true)),
        }
    }
    let group =
        |name: &str, fields: Vec<Field>| Field::new(name, DataType::Struct(fields.into()), true);
    Fields::from(vec![
        Field::new("numRecords", DataType::Int64, true),
        Field::new("tightBounds", DataType::Boolean, true),
        group("minValues", bounds.clone()),
        group("maxValues", bounds),
        group("nullCount", counts),
    ])
}

/// The partition columns' values of all files, typed.
fn partition_values(
    table: &str,
    layout: &TableLayout,
    adds: &[&AddAction],
) -> Result<Vec<ArrayRef>> {
    let strict = arrow::compute::CastOptions { safe: false, ..Default::default() };
    let typed =
        layout.partition_names.iter().zip(layout.partition_fields()).map(|(name, field)| {
            let texts: StringArray = adds
                .iter()
                .map(|add| add.partition_values.get(name)?.as_deref())
                // The empty text stands for NULL, whatever the type.
                .map(|text| text.filter(|text| !text.is_empty()))
                .collect();
            let texts: ArrayRef = Arc::new(texts);
            let values = match sql_types::decode_texts(&texts, field.data_type()) {
                Ok(None) => cast_with_options(&texts, field.data_type(), &strict),
                Ok(Some(values)) => Ok(values),
                Err(error) => Err(error),
            };
            values.map_err(|error| CatalogError::Corrupt {
                table: table.to_owned(),
                what: format!("value of partition column \"{}\": {error}", field.name()),
                source: None,
            })
        });
    typed.collect()
}
