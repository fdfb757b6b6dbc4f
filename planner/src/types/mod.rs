//! PostgreSQL's types: their names in SQL, casts between them, and literals of unknown type.
//!
//! | module | what |
//! |---|---|
//! | [`name`] | `varchar(3)`, `uuid[]`, `"char"` to fields; 42704 for names that are none |
//! | [`forms`] | text to values and back, by the code that the wire uses |
//! | [`bits`] | `bit` and `bit varying`, and their operators |
//! | [`convert`] | one array to another type: the kernel of casts |
//! | [`operators`] | operators on arrays, `json`, `uuid` and literals of unknown type |
//! | [`origins`] | which columns of tables the columns of a result are |
//! | [`json`] | `json` and `jsonb`: reading, printing, comparing |
//!
//! A type is told by the Arrow type where that can be (`uuid`, `json`, `jsonb`), else by metadata
//! of the field: a name in `pg_type` and a type modifier. Metadata of tables and casts lives up to
//! the output; an expression in between may lose it, and then the Arrow type alone counts.

pub(crate) mod assignment;
pub(crate) mod bits;
pub(crate) mod convert;
pub mod forms;
pub mod json;
pub(crate) mod name;
pub(crate) mod operators;
pub mod origins;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue};
use tarn_catalog::pg_type::{FIELD_PG_TYPE, FIELD_PG_TYPMOD, Json};

/// The name of the fields that casts have as their target, so that their metadata is exact.
const CAST: &str = "cast";
/// The key of metadata of a cast's target that stands for a column that is written.
pub(crate) const ASSIGNMENT: &str = "tarn.assignment";

/// A target of a cast.
pub(crate) fn target(data_type: DataType) -> Field {
    Field::new(CAST, data_type, true)
}

/// A target of a cast to a type that Arrow does not tell from others.
pub(crate) fn named(data_type: DataType, pg_type: &str, modifier: Option<i32>) -> Field {
    let mut metadata = HashMap::from([(FIELD_PG_TYPE.to_owned(), pg_type.to_owned())]);
    if let Some(modifier) = modifier {
        metadata.insert(FIELD_PG_TYPMOD.to_owned(), modifier.to_string());
    }
    target(data_type).with_metadata(metadata)
}

/// The noughts and ones of a bit string from its text: `101`, `b101` or `x5`.
///
/// # Errors
/// SQLSTATE and message for what is no digit.
pub fn bits_of(text: &str) -> std::result::Result<String, (&'static str, String)> {
    bits::read(text)
}

/// A value of `json` or `jsonb`, whose text is taken as it is.
#[must_use]
pub fn json_scalar(text: Option<&str>, kind: Json) -> ScalarValue {
    let array = convert::json_array(StringArray::from(vec![text]), kind);
    ScalarValue::try_from_array(&array, 0).unwrap_or(ScalarValue::Null)
}

/// The one value of an array, with the metadata of list elements, which DataFusion drops.
pub(crate) fn scalar_of(array: &ArrayRef) -> Result<ScalarValue> {
    match array.as_list_opt::<i32>() {
        Some(list) if list.len() == 1 => Ok(ScalarValue::List(Arc::new(list.clone()))),
        _ => ScalarValue::try_from_array(array, 0),
    }
}

/// Whether values of an Arrow type are text.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// The name in `pg_type` that a field's metadata gives.
pub(crate) fn name_in_metadata(field: &Field) -> Option<&str> {
    field.metadata().get(FIELD_PG_TYPE).map(String::as_str)
}

/// The type modifier that a field's metadata gives.
pub(crate) fn modifier(field: &Field) -> Option<i32> {
    field.metadata().get(FIELD_PG_TYPMOD)?.parse().ok()
}
