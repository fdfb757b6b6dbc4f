//! What is written to: the columns, the folder, the store.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use delta_kernel::table_features::ColumnMappingMode;
use object_store::ObjectStore;
use object_store::path::Path;

use super::super::adapter::{PARQUET_FIELD_ID, relabel_array};
use super::super::layout::{TableLayout, column_id, physical_name, plain_type};
use super::super::metadata::TableMetadata;
use super::super::snapshot::DeltaSnapshot;
use super::super::sql_types;
use super::super::unnamed::Leftovers;
use super::super::write::folder_of;
use crate::{CatalogError, Result};

/// The column of change data files that says what happened to a row.
const CHANGE_TYPE: &str = "_change_type";

/// A table to write data files for.
#[derive(Debug)]
pub struct WriteTarget {
    pub(super) table: String,
    root: Path,
    /// What is written and then named by no version.
    pub(super) leftovers: Arc<Leftovers>,
    layout: Arc<TableLayout>,
    /// The file columns as files have them: physical names, ids.
    stored_fields: Vec<FieldRef>,
    /// Columns that get statistics.
    pub(super) n_indexed_columns: usize,
}

impl DeltaSnapshot {
    /// What new files of this table are made for.
    ///
    /// # Errors
    /// `UnsupportedFeature` if the table needs of its writers what tarn does not have.
    pub fn write_target(&self) -> Result<Arc<WriteTarget>> {
        super::super::features::check_writable(self)?;
        let root = self.root()?;
        let store = Arc::clone(&self.store);
        let layout = Arc::clone(&self.layout);
        Ok(Arc::new(WriteTarget::new(&self.table, root, store, layout, &self.metadata)))
    }
}

impl WriteTarget {
    pub(in crate::delta) fn new(
        table: &str,
        root: Path,
        store: Arc<dyn ObjectStore>,
        layout: Arc<TableLayout>,
        metadata: &TableMetadata,
    ) -> Self {
        let mapping = Arc::clone(&layout.mapping);
        let logical = layout.scan_schema.file_schema().fields();
        let stored = mapping.fields.iter().zip(logical).map(|(mapped, logical)| {
            let stored = stored_field(mapped, mapping.mode);
            // Top-level text and bytes come as views.
            match logical.data_type() {
                view @ (DataType::Utf8View | DataType::BinaryView) => {
                    Arc::new(stored.as_ref().clone().with_data_type(view.clone()))
                }
                _ => stored,
            }
        });
        let stored_fields = stored.collect();
        let n_indexed = metadata.configuration().get("delta.dataSkippingNumIndexedCols");
        let n_indexed = n_indexed.and_then(|n| n.parse::<i64>().ok()).unwrap_or(32);
        Self {
            table: table.to_owned(),
            root,
            leftovers: Leftovers::new(store),
            layout,
            stored_fields,
            // -1 stands for all.
            n_indexed_columns: usize::try_from(n_indexed).unwrap_or(usize::MAX),
        }
    }

    /// The table's columns in their order.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.layout.schema
    }

    pub(super) fn partition_names(&self) -> &[String] {
        &self.layout.partition_names
    }

    pub(super) fn partition_fields(&self) -> &Fields {
        self.layout.partition_fields()
    }

    pub(super) fn refused(&self, error: &dyn std::fmt::Display) -> CatalogError {
        CatalogError::NotWritable { name: self.table.clone(), reason: error.to_string() }
    }

    /// The rows with the file columns first and the partition columns after them, in the types of
    /// files.
    pub(super) fn conform(&self, rows: &RecordBatch, is_change_data: bool) -> Result<RecordBatch> {
        let scan_schema = self.layout.scan_schema.table_schema();
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let mut fields: Vec<FieldRef> = scan_schema.fields().iter().cloned().collect();
        if is_change_data {
            let at = self.layout.file_names.len();
            fields.insert(at, Arc::new(Field::new(CHANGE_TYPE, DataType::Utf8, true)));
        }
        let columns = fields.iter().map(|field| {
            let values = rows.column_by_name(field.name()).ok_or_else(|| {
                self.refused(&format!("the rows have no column \"{}\"", field.name()))
            })?;
            if !field.is_nullable() && values.null_count() > 0 {
                return Err(self.refused(&format!("NULL in column \"{}\"", field.name())));
            }
            let typed = match values.data_type() == field.data_type() {
                true => Arc::clone(values),
                false => cast_with_options(values, field.data_type(), &options)
                    .map_err(|error| self.refused(&error))?,
            };
            sql_types::encode(&typed).map_err(|error| self.refused(&error))
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let typed = fields.iter().zip(&columns).map(|(field, values)| {
            field.as_ref().clone().with_data_type(values.data_type().clone())
        });
        let schema = Arc::new(Schema::new(typed.collect::<Vec<_>>()));
        RecordBatch::try_new(schema, columns).map_err(|error| self.refused(&error))
    }

    /// The partition columns of rows from [`Self::conform`].
    pub(super) fn key_columns(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        let n_keys = self.layout.partition_names.len();
        let from = rows.num_columns().saturating_sub(n_keys);
        rows.columns().get(from..).unwrap_or_default().to_vec()
    }

    /// The columns that go into the file, under the names of files.
    pub(super) fn stored(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let n_stored = rows.num_columns().saturating_sub(self.layout.partition_names.len());
        let mut fields = self.stored_fields.clone();
        let extra = rows.schema_ref().fields().iter().take(n_stored).skip(fields.len());
        fields.extend(extra.cloned());
        let columns: Result<Vec<ArrayRef>> = rows
            .columns()
            .iter()
            .zip(&fields)
            .map(|(values, field)| {
                relabel_array(values, field.data_type()).map_err(|error| self.refused(&error))
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(schema, columns?, &options)
            .map_err(|error| self.refused(&error))
    }

    /// `a=1/b=__HIVE_DEFAULT_PARTITION__/`; nothing where columns are mapped, because the names of
    /// folders would be those of the files' columns.
    pub(super) fn folder(&self, values: impl Iterator<Item = Option<String>>) -> String {
        if self.layout.mapping.mode != ColumnMappingMode::None {
            return String::new();
        }
        let mut folder = String::new();
        for (name, value) in self.layout.partition_names.iter().zip(values) {
            folder.push_str(&folder_of(name, value.as_deref()));
        }
        folder
    }

    /// The place of a file whose path below the table is given as it is, not as a URL.
    pub(super) fn place(&self, relative: &str) -> Result<Path> {
        let root = self.root.as_ref();
        let full = if root.is_empty() { relative.to_owned() } else { format!("{root}/{relative}") };
        Path::parse(full).map_err(|error| self.refused(&error))
    }
}

/// A column as files have it.
fn stored_field(mapped: &Field, mode: ColumnMappingMode) -> FieldRef {
    let mut metadata = HashMap::new();
    if mode != ColumnMappingMode::None
        && let Some(id) = column_id(mapped)
    {
        metadata.insert(PARQUET_FIELD_ID.to_owned(), id.to_owned());
    }
    let data_type = stored_type(mapped.data_type(), mode);
    let name = physical_name(mapped, mode);
    Arc::new(Field::new(name, data_type, mapped.is_nullable()).with_metadata(metadata))
}

fn stored_type(mapped: &DataType, mode: ColumnMappingMode) -> DataType {
    let inner = |field: &FieldRef| {
        let data_type = stored_type(field.data_type(), mode);
        Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
    };
    match mapped {
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| stored_field(field, mode)).collect())
        }
        DataType::List(element) => DataType::List(inner(element)),
        DataType::Map(entries, sorted) => {
            let DataType::Struct(pair) = entries.data_type() else {
                return plain_type(mapped);
            };
            let pair: Fields = pair.iter().map(inner).collect();
            let entries = Field::new(entries.name(), DataType::Struct(pair), false);
            DataType::Map(Arc::new(entries), *sorted)
        }
        other => plain_type(other),
    }
}
