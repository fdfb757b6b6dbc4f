//! The schemas that clients see.
//!
//! DataFusion's types are turned into those that every Flight SQL client reads, above all the JDBC
//! driver, which knows no views:
//!
//! ```text
//! Utf8View -> Utf8                     ListView, LargeList -> List
//! BinaryView -> Binary                 Decimal32, Decimal64 -> Decimal128
//! Dictionary, RunEndEncoded -> type of the values
//! json, jsonb, timetz -> Utf8
//! ```
//! A result's schema is announced before the query runs, and the schema sent must equal it bit by
//! bit. DataFusion's logical and physical plans sometimes disagree about nullability, so all
//! columns of results are announced as nullable; [`table_schema`] keeps what the table declares.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, ListArray, RecordBatch, RecordBatchOptions,
    StringArray, make_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow_flight::{IpcMessage, SchemaAsIpc};
use bytes::Bytes;
use tarn_catalog::TableEntry;
use tarn_catalog::pg_type::{self, TIMETZ, TimeTz};
use tarn_planner::calendar::{Zone, read_timetz};

#[cfg(test)]
mod tests;

/// Column metadata keys of Flight SQL.
const TYPE_NAME: &str = "ARROW:FLIGHT:SQL:TYPE_NAME";
const PRECISION: &str = "ARROW:FLIGHT:SQL:PRECISION";
const SCALE: &str = "ARROW:FLIGHT:SQL:SCALE";
const CATALOG_NAME: &str = "ARROW:FLIGHT:SQL:CATALOG_NAME";
const SCHEMA_NAME: &str = "ARROW:FLIGHT:SQL:SCHEMA_NAME";
const TABLE_NAME: &str = "ARROW:FLIGHT:SQL:TABLE_NAME";
const IS_AUTO_INCREMENT: &str = "ARROW:FLIGHT:SQL:IS_AUTO_INCREMENT";
const IS_SEARCHABLE: &str = "ARROW:FLIGHT:SQL:IS_SEARCHABLE";

/// Arrow extension types are for the client too; all other field metadata is tarn's own.
const EXTENSION_PREFIX: &str = "ARROW:extension:";

/// Returns the schema under which the rows of a query are sent.
pub(super) fn result_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| wire_field(field).with_nullable(!is_union(field.data_type())))
        .collect();
    Arc::new(Schema::new(fields))
}

/// Returns the schema of a table for `GetTables`.
pub(super) fn table_schema(database: &str, schema: &str, table: &TableEntry) -> Schema {
    let field = |column: &tarn_catalog::ColumnEntry| {
        let field = Field::new(&column.name, column.data_type.clone(), column.nullable);
        let mut field = wire_field(&field);
        let mut metadata = field.metadata().clone();
        for (key, value) in [
            (CATALOG_NAME, database),
            (SCHEMA_NAME, schema),
            (TABLE_NAME, &table.name),
            (IS_AUTO_INCREMENT, "0"),
            (IS_SEARCHABLE, "1"),
        ] {
            metadata.insert(key.to_owned(), value.to_owned());
        }
        field.set_metadata(metadata);
        field
    };
    Schema::new(table.columns.iter().map(field).collect::<Vec<_>>())
}

/// Returns the schema of a statement's parameters, named `$1`, `$2`, … in numeric order.
pub(super) fn parameter_schema(types: &[DataType]) -> Schema {
    let field = |(index, data_type): (usize, &DataType)| {
        wire_field(&Field::new(format!("${}", index + 1), data_type.clone(), true))
    };
    Schema::new(types.iter().enumerate().map(field).collect::<Vec<_>>())
}

/// Brings a batch into the form that was announced.
///
/// # Errors
/// A value that the announced type cannot hold, such as a list beyond 2 GiB of elements.
pub(super) fn to_wire(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if batch.num_columns() != schema.fields().len() {
        return Err(ArrowError::SchemaError(format!(
            "query yields {} columns, announced were {}",
            batch.num_columns(),
            schema.fields().len(),
        )));
    }
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| cast_exactly(column, field.data_type()))
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// Casts a column; a value that does not fit is an error, never NULL.
///
/// # Errors
/// A value that the type cannot hold.
pub(super) fn cast_exactly(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == to {
        return Ok(Arc::clone(column));
    }
    if has_texts(column.data_type()) {
        return cast_exactly(&inner_texts(column)?, to);
    }
    if *to == TIMETZ {
        return timetz_values(column);
    }
    cast_with_options(column, to, &CastOptions { safe: false, ..CastOptions::default() })
}

/// Encodes a schema as Flight messages carry it.
///
/// # Errors
/// A type that the format does not have.
pub(super) fn encode_schema(schema: &Schema) -> Result<Bytes, ArrowError> {
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &super::ipc_options()).try_into()?;
    Ok(bytes)
}

/// Returns the field for clients, nullability kept.
fn wire_field(field: &Field) -> Field {
    let data_type = wire_type_or_same(field.data_type());
    let mut metadata: HashMap<String, String> = field
        .metadata()
        .iter()
        .filter(|(key, _)| key.starts_with(EXTENSION_PREFIX))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let sql_type = pg_type::pg_type_of(field);
    if let Some(info) = pg_type::type_info(sql_type.oid) {
        metadata.insert(TYPE_NAME.to_owned(), info.sql_name.to_owned());
    }
    let extension = match sql_type.oid {
        114 | 3802 => Some("arrow.json"),
        2950 => Some("arrow.uuid"),
        _ => None,
    };
    if let Some(extension) = extension {
        metadata.insert("ARROW:extension:name".to_owned(), extension.to_owned());
    }
    if let Some((precision, scale)) = precision_and_scale(&data_type) {
        metadata.insert(PRECISION.to_owned(), precision.to_string());
        metadata.insert(SCALE.to_owned(), scale.to_string());
    }
    Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata)
}

/// Returns the decimal digits of a numeric type and how many of them follow the point.
fn precision_and_scale(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            Some((*precision, *scale))
        }
        DataType::Int8 | DataType::UInt8 => Some((3, 0)),
        DataType::Int16 | DataType::UInt16 => Some((5, 0)),
        DataType::Int32 | DataType::UInt32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        DataType::UInt64 => Some((20, 0)),
        _ => None,
    }
}

fn wire_type_or_same(data_type: &DataType) -> DataType {
    let wire = wire_type(data_type);
    if has_texts(data_type) || can_cast_types(data_type, &wire) { wire } else { data_type.clone() }
}

fn wire_type(data_type: &DataType) -> DataType {
    match data_type {
        _ if is_shown_as_text(data_type) => DataType::Utf8,
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        // arrow-flight 59.3 announces a LargeList as a List but sends a LargeList.
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => DataType::List(nested(item, true)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(nested(item, true), *size),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| nested(field, true)).collect())
        }
        DataType::Map(entries, sorted) => DataType::Map(map_entries(entries), *sorted),
        DataType::Dictionary(_, values) => wire_type(values),
        DataType::RunEndEncoded(_, values) => wire_type(values.data_type()),
        _ => data_type.clone(),
    }
}

/// Whether clients get the text of values of a type: of `json`, `jsonb` and `timetz`.
fn is_shown_as_text(data_type: &DataType) -> bool {
    pg_type::json_kind(data_type).is_some() || *data_type == TIMETZ
}

/// Whether a type is, or is an array of, one of which clients get the text.
fn has_texts(data_type: &DataType) -> bool {
    is_shown_as_text(data_type)
        || matches!(data_type, DataType::List(element) if has_texts(element.data_type()))
}

/// Values of `timetz` from the texts of clients.
fn timetz_values(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts = cast_exactly(column, &DataType::Utf8)?;
    let read = |text: &str| {
        let value = read_timetz(text, Zone::UTC).map_err(|(_, message)| message);
        value.map(TimeTz::to_bytes).map_err(ArrowError::ParseError)
    };
    let values = texts.as_string::<i32>().iter().map(|text| text.map(read).transpose());
    let values = values.collect::<Result<Vec<_>, _>>()?.into_iter();
    Ok(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, 12)?))
}

/// The texts of `timetz` values.
fn timetz_texts(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let failed = || ArrowError::ParseError("time with time zone out of range".to_owned());
    let text =
        |bytes: &[u8]| TimeTz::from_bytes(bytes).map(|time| time.to_string()).ok_or_else(failed);
    let values = column.as_fixed_size_binary().iter().map(|bytes| bytes.map(text).transpose());
    Ok(Arc::new(values.collect::<Result<StringArray, _>>()?))
}

/// Takes the texts of `json` values out of their structs, and writes those of `timetz` values.
fn inner_texts(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if let Some(list) = column.as_list_opt::<i32>() {
        let values = inner_texts(list.values())?;
        let element = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        let nulls = list.nulls().cloned();
        let list = ListArray::try_new(element, list.offsets().clone(), values, nulls)?;
        return Ok(Arc::new(list));
    }
    if *column.data_type() == TIMETZ {
        return timetz_texts(column);
    }
    let Some(values) = column.as_struct_opt() else { return Ok(Arc::clone(column)) };
    let Some(texts) = values.columns().first() else { return Ok(Arc::clone(column)) };
    let nulls = NullBuffer::union(texts.logical_nulls().as_ref(), values.nulls());
    Ok(make_array(texts.to_data().into_builder().nulls(nulls).build()?))
}

/// The Arrow format wants the entries of a map and their keys to be non-null.
fn map_entries(entries: &FieldRef) -> FieldRef {
    let DataType::Struct(fields) = entries.data_type() else { return Arc::clone(entries) };
    let fields = fields.iter().enumerate().map(|(index, field)| nested(field, index > 0)).collect();
    Arc::new(Field::new(entries.name(), DataType::Struct(fields), false))
}

fn nested(field: &FieldRef, nullable: bool) -> FieldRef {
    let nullable = nullable && !is_union(field.data_type());
    Arc::new(Field::new(field.name(), wire_type(field.data_type()), nullable))
}

/// A union has no validity of its own, and arrow-flight announces it as non-null.
fn is_union(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Union(..))
}
