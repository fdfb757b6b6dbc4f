//! Arrow fields as columns of a Delta schema.

use arrow::datatypes::{DataType, Field};
use serde_json::{Map, Value, json};

use super::CHAR_VARCHAR;
use crate::delta::sql_types;
use crate::pg_type::{FIELD_PG_TYPE, FIELD_PG_TYPMOD, format_type, pg_type_of_column};
use crate::{CatalogError, Result};

/// Digits of Delta's widest decimals.
const DECIMAL_DIGITS_MAX: u8 = 38;

/// A column of Delta's schema.
///
/// # Errors
/// `UnsupportedColumnType` for types that Delta lacks.
pub(super) fn delta_field(field: &Field) -> Result<Value> {
    let data_type = delta_type(field, field.data_type())?;
    Ok(json!({
        "name": field.name(),
        "type": data_type,
        "nullable": field.is_nullable(),
        "metadata": type_notes(field),
    }))
}

/// What Delta's type does not say of PostgreSQL's.
pub(super) fn type_notes(field: &Field) -> Map<String, Value> {
    let mut notes = Map::new();
    let Some((name, modifier)) = sql_types::note(field) else { return notes };
    notes.insert(FIELD_PG_TYPE.to_owned(), json!(name));
    if let Some(modifier) = &modifier {
        notes.insert(FIELD_PG_TYPMOD.to_owned(), json!(modifier));
    }
    let length = modifier.and_then(|modifier| modifier.parse::<i32>().ok()).map(|n| n - 4);
    let spark = match (name.as_str(), length) {
        ("varchar", Some(length)) => Some(format!("varchar({length})")),
        ("bpchar", Some(length)) => Some(format!("char({length})")),
        _ => None,
    };
    if let Some(spark) = spark {
        notes.insert(CHAR_VARCHAR.to_owned(), json!(spark));
    }
    notes
}

/// Delta's type for an Arrow type; `column` is what an error names.
pub(super) fn delta_type(column: &Field, data_type: &DataType) -> Result<Value> {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int8 => "byte",
        DataType::Int16 | DataType::UInt8 => "short",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt32 => "long",
        foreign if sql_types::stored_type(foreign).is_some() => "string",
        DataType::UInt64 => "decimal(20,0)",
        DataType::Float16 | DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => "string",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Timestamp(_, Some(_)) => "timestamp",
        DataType::Timestamp(_, None) => "timestamp_ntz",
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
            if *scale >= 0 && *digits <= DECIMAL_DIGITS_MAX =>
        {
            return Ok(json!(format!("decimal({digits},{scale})")));
        }
        DataType::Dictionary(_, value) => return delta_type(column, value),
        DataType::List(element) | DataType::LargeList(element) => {
            return Ok(json!({
                "type": "array",
                "elementType": delta_type(column, element.data_type())?,
                "containsNull": element.is_nullable(),
            }));
        }
        DataType::Struct(fields) => {
            let nested = |field: &std::sync::Arc<Field>| -> Result<Value> {
                refuse_inside(column, field)?;
                Ok(json!({
                    "name": field.name(),
                    "type": delta_type(column, field.data_type())?,
                    "nullable": field.is_nullable(),
                    "metadata": {},
                }))
            };
            let fields: Vec<Value> = fields.iter().map(nested).collect::<Result<_>>()?;
            return Ok(json!({"type": "struct", "fields": fields}));
        }
        DataType::Map(entries, _) => return map_type(column, entries),
        _ => return Err(unsupported(column)),
    };
    Ok(json!(name))
}

fn map_type(column: &Field, entries: &Field) -> Result<Value> {
    let DataType::Struct(fields) = entries.data_type() else { return Err(unsupported(column)) };
    let [key, value] = fields.as_ref() else { return Err(unsupported(column)) };
    refuse_inside(column, key)?;
    refuse_inside(column, value)?;
    Ok(json!({
        "type": "map",
        "keyType": delta_type(column, key.data_type())?,
        "valueType": delta_type(column, value.data_type())?,
        "valueContainsNull": value.is_nullable(),
    }))
}

/// Refuses structs and maps that hold what only the metadata of a column could tell from text.
fn refuse_inside(column: &Field, inner: &Field) -> Result<()> {
    // Numbers of objects are plain numbers to everybody.
    let is_told =
        *inner.data_type() == DataType::UInt32 || !sql_types::is_foreign(inner.data_type());
    if is_told { Ok(()) } else { Err(unsupported_as(column, inner)) }
}

fn unsupported(column: &Field) -> CatalogError {
    unsupported_as(column, column)
}

fn unsupported_as(column: &Field, inner: &Field) -> CatalogError {
    let pg_type = pg_type_of_column(inner);
    CatalogError::UnsupportedColumnType {
        column: column.name().clone(),
        data_type: format_type(pg_type.oid, Some(pg_type.modifier)),
        format: "delta",
    }
}

/// Whether a schema holds timestamps without a time zone, which are a feature of their own.
pub(super) fn has_ntz(data_type: &Value) -> bool {
    match data_type {
        Value::String(name) => name == "timestamp_ntz",
        Value::Object(parts) => parts.values().any(has_ntz),
        Value::Array(items) => items.iter().any(has_ntz),
        _ => false,
    }
}

/// Whether values of one type can be read as another one without loss, as Delta's type widening
/// allows it.
pub(super) fn is_widening(from: &Value, to: &Value) -> bool {
    let (Some(from), Some(to)) = (from.as_str(), to.as_str()) else { return false };
    let whole = |name: &str| ["byte", "short", "integer", "long"].iter().position(|n| *n == name);
    if let (Some(from), Some(to)) = (whole(from), whole(to)) {
        return from < to;
    }
    match (from, to) {
        ("float", "double") | ("byte" | "short" | "integer", "double") => return true,
        ("date", "timestamp_ntz") => return true,
        _ => {}
    }
    let Some((digits, scale)) = decimal(to) else { return false };
    // Digits before the point that the narrower type can have.
    let before = match from {
        "byte" | "short" | "integer" => Some((10, 0)),
        "long" => Some((20, 0)),
        other => decimal(other),
    };
    before.is_some_and(|(p, s)| scale >= s && digits >= p && digits - p >= scale - s)
}

fn decimal(name: &str) -> Option<(i32, i32)> {
    let (digits, scale) = name.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    Some((digits.trim().parse().ok()?, scale.trim().parse().ok()?))
}
