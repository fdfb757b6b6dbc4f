//! The columns of a Delta table at one version.
//!
//! Delta keeps partition columns anywhere in its schema; DataFusion's scan wants the columns stored
//! in files first and the partition columns after them. `TableLayout` knows both orders.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::datasource::table_schema::TableSchema;
use delta_kernel::engine::arrow_conversion::TryIntoArrow;
use delta_kernel::schema::StructType;
use delta_kernel::table_features::ColumnMappingMode;

use super::metadata::TableMetadata;
use super::sql_types;
use crate::{CatalogError, Result};

const PHYSICAL_NAME: &str = "delta.columnMapping.physicalName";
const COLUMN_ID: &str = "delta.columnMapping.id";

/// The columns of a table: as users see them and as its files store them.
#[derive(Debug)]
pub(super) struct TableLayout {
    /// Delta's order, plain fields.
    pub(super) schema: SchemaRef,
    /// File columns, then partition columns.
    pub(super) scan_schema: TableSchema,
    /// For each column of `schema`, its position in `scan_schema`.
    pub(super) scan_position: Vec<usize>,
    /// Physical names of the file columns, in the order of `scan_schema`.
    pub(super) file_names: Vec<String>,
    /// Types of the file columns as the log's statistics have them: text for those that Delta
    /// lacks.
    pub(super) file_types: Vec<DataType>,
    /// Physical names of the partition columns, in the order of `scan_schema`.
    pub(super) partition_names: Vec<String>,
    /// How file columns are found in a file.
    pub(super) mapping: Arc<ColumnMapping>,
}

/// How logical columns are found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnMapping {
    pub(super) mode: ColumnMappingMode,
    /// The file columns with the mapping's metadata, nested fields too.
    pub(super) fields: Fields,
}

impl TableLayout {
    pub(super) fn of(table: &str, metadata: &TableMetadata) -> Result<Self> {
        let mode = match metadata.mapping_mode() {
            "name" => ColumnMappingMode::Name,
            "id" => ColumnMappingMode::Id,
            _ => ColumnMappingMode::None,
        };
        let unsupported = |feature: String| CatalogError::UnsupportedFeature {
            table: table.to_owned(),
            format: "delta",
            feature,
        };
        let columns: StructType = serde_json::from_value(metadata.schema_json())
            .map_err(|error| unsupported(error.to_string()))?;
        let annotated: Schema =
            (&columns).try_into_arrow().map_err(|error| unsupported(error.to_string()))?;
        let partition_columns = metadata.partition_columns();
        let is_partition =
            |field: &Field| partition_columns.iter().any(|name| name == field.name());

        let (mut file, mut partition) = (Vec::new(), Vec::new());
        for field in annotated.fields() {
            if is_partition(field) { &mut partition } else { &mut file }.push(Arc::clone(field));
        }
        // Values of a file are listed in the order in which the table names its partition columns.
        partition.sort_by_key(|field: &FieldRef| {
            partition_columns.iter().position(|name| name == field.name())
        });

        let plain: HashMap<&str, FieldRef> = annotated
            .fields()
            .iter()
            .map(|field| (field.name().as_str(), Arc::new(plain_field(field, true))))
            .collect();
        let plain_fields = |fields: &[FieldRef]| -> Vec<FieldRef> {
            fields.iter().filter_map(|f| plain.get(f.name().as_str()).map(Arc::clone)).collect()
        };
        let file_schema = Arc::new(Schema::new(plain_fields(&file)));
        let scan_schema = TableSchema::builder(file_schema)
            .with_table_partition_cols(plain_fields(&partition))
            .build();
        let schema = Arc::new(Schema::new(plain_fields(annotated.fields())));
        let scan_position = schema
            .fields()
            .iter()
            .filter_map(|field| scan_schema.table_schema().index_of(field.name()).ok())
            .collect();
        let physical = |fields: &[FieldRef]| -> Vec<String> {
            fields.iter().map(|field| physical_name(field, mode).to_owned()).collect()
        };
        let file_fields = scan_schema.file_schema().fields().iter();
        let file_types = file_fields.map(|field| sql_types::file_type(field.data_type())).collect();
        Ok(Self {
            schema,
            scan_schema,
            scan_position,
            file_types,
            file_names: physical(&file),
            partition_names: physical(&partition),
            mapping: Arc::new(ColumnMapping { mode, fields: file.into() }),
        })
    }

    pub(super) fn partition_fields(&self) -> &Fields {
        self.scan_schema.table_partition_cols()
    }
}

/// The name under which a column is stored.
pub(super) fn physical_name(field: &Field, mode: ColumnMappingMode) -> &str {
    match mode {
        ColumnMappingMode::None => field.name(),
        ColumnMappingMode::Name | ColumnMappingMode::Id => {
            field.metadata().get(PHYSICAL_NAME).unwrap_or_else(|| field.name())
        }
    }
}

/// The id under which a column is stored in mode `id`.
pub(super) fn column_id(field: &Field) -> Option<&str> {
    field.metadata().get(COLUMN_ID).map(String::as_str)
}

/// The field without metadata other than PostgreSQL's type, in whose type the rows come. Top-level
/// text and bytes become views: that is what the Parquet reader decodes fastest, and the type
/// announced must be the type produced.
fn plain_field(field: &Field, is_top_level: bool) -> Field {
    let data_type = match field.data_type() {
        DataType::Utf8 if is_top_level => DataType::Utf8View,
        DataType::Binary if is_top_level => DataType::BinaryView,
        nested => plain_type(nested),
    };
    let noted = super::metadata::type_metadata(field.metadata());
    let (data_type, metadata) = sql_types::restored(data_type, noted);
    Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata)
}

pub(super) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|f| Arc::new(plain_field(f, false))).collect())
        }
        DataType::List(element) => DataType::List(Arc::new(plain_field(element, false))),
        DataType::Map(entries, sorted) => {
            DataType::Map(Arc::new(plain_field(entries, false)), *sorted)
        }
        other => other.clone(),
    }
}
