//! Types of SQL that Delta lacks: stored as text that every reader understands, and named in the
//! metadata of the column.
//!
//! ```text
//! files, log             metadata of the column      rows of a scan
//! string                 tarn.pg_type: uuid          16 bytes
//! string                 json, jsonb                 the struct of `pg_type::json`
//! string  "12:30:00.5"   time                        time in microseconds
//! string  "12:30:00+02"  timetz                      12 bytes, `pg_type::TimeTz`
//! string  "1 mon -2:00"  interval                    months, days, nanoseconds
//! string  "12.50"        numeric, with its digits    a decimal of more than 38 digits
//! long                   oid, regclass, …            u32
//! array of these         _uuid, …                    a list of these
//! ```
//! The layout of a table gives the types of the right column, so everything above a scan and before
//! a writer knows these alone. Texts become values where a file's columns are adapted (`adapter`),
//! values become texts where rows are brought in the shape of files (`writer::target`), and bounds
//! of the log become bounds of values where they are asked for.
//!
//! | module | what |
//! |---|---|
//! | this | which types, their names in metadata, arrays of them |
//! | `texts` | values to texts and back |
//! | `bounds` | bounds of texts to bounds of values |
//! | `interval` | an interval as text |
//!
//! Why texts: docs/adr/007.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};

use crate::pg_type::{
    FIELD_PG_TYPE, FIELD_PG_TYPMOD, Json, TIMETZ, json_kind, json_type, numeric_modifier,
    type_by_catalog_name,
};

mod bounds;
mod interval;
#[cfg(test)]
mod tests;
mod text_filters;
mod texts;

pub(super) use bounds::value_bounds;
pub use interval::interval_text;
pub(super) use text_filters::follows;
pub(super) use texts::{decode, decode_texts, encode, text_of, value_of};

/// Digits up to which Delta has decimals of its own.
const DECIMAL_DIGITS_MAX: u8 = 38;

/// The type in which files hold values of a type that Delta lacks; `None` for all others.
///
/// Lists and structs are no such types, whatever is in them.
pub(super) fn stored_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::FixedSizeBinary(12 | 16)
        | DataType::Time64(TimeUnit::Microsecond)
        | DataType::Interval(IntervalUnit::MonthDayNano)
        | DataType::Decimal256(..) => Some(DataType::Utf8),
        DataType::UInt32 => Some(DataType::Int64),
        other => json_kind(other).map(|_| DataType::Utf8),
    }
}

/// Whether a type, or what a list of it holds, is one that Delta lacks.
pub(super) fn is_foreign(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(element) => is_foreign(element.data_type()),
        other => stored_type(other).is_some(),
    }
}

/// The type of a column in files; that of a list's elements is theirs, too.
pub(super) fn file_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::List(element) if is_foreign(element.data_type()) => {
            let inner = file_type(element.data_type());
            DataType::List(Arc::new(Field::new(element.name(), inner, element.is_nullable())))
        }
        other => stored_type(other).unwrap_or_else(|| other.clone()),
    }
}

/// What the metadata of a Delta column says of PostgreSQL's type: a name in `pg_type`, and a
/// modifier.
pub(super) fn note(field: &Field) -> Option<(String, Option<String>)> {
    let modifier = field.metadata().get(FIELD_PG_TYPMOD).cloned();
    if let DataType::List(element) = field.data_type() {
        if let Some(name) = field.metadata().get(FIELD_PG_TYPE) {
            return Some((name.clone(), modifier));
        }
        let mut inner: &FieldRef = element;
        while let DataType::List(deeper) = inner.data_type() {
            inner = deeper;
        }
        return note(inner).map(|(name, modifier)| (format!("_{name}"), modifier));
    }
    if let DataType::Decimal256(digits, scale) = field.data_type() {
        return Some(("numeric".to_owned(), Some(numeric_modifier(*digits, *scale).to_string())));
    }
    let named = field.metadata().get(FIELD_PG_TYPE).filter(|name| *name != "numeric");
    if let Some(name) = named {
        return Some((name.clone(), modifier));
    }
    let name = match field.data_type() {
        DataType::FixedSizeBinary(16) => "uuid",
        DataType::FixedSizeBinary(12) => "timetz",
        DataType::Time64(_) => "time",
        DataType::Interval(_) => "interval",
        other => match json_kind(other)? {
            Json::Text => "json",
            Json::Binary => "jsonb",
        },
    };
    Some((name.to_owned(), modifier))
}

/// Whether values of a type of this name are stored as something else.
pub(super) fn is_foreign_name(name: &str) -> bool {
    let name = name.strip_prefix('_').unwrap_or(name);
    matches!(name, "uuid" | "json" | "jsonb" | "time" | "timetz" | "interval" | "numeric")
        || is_oid(name)
}

fn is_oid(name: &str) -> bool {
    let info = type_by_catalog_name(name);
    info.is_some_and(|info| {
        matches!(info.oid, 26 | 28 | 29) || (info.category == 'N' && info.name.starts_with("reg"))
    })
}

/// The type of a column's rows and what its field says of it, from the type in files and what
/// [`note`] has left.
///
/// A name that does not fit the type in files says nothing: others may have written it.
pub(super) fn restored(
    stored: DataType,
    noted: HashMap<String, String>,
) -> (DataType, HashMap<String, String>) {
    let Some(name) = noted.get(FIELD_PG_TYPE) else { return (stored, noted) };
    if let (DataType::List(element), Some(inner_name)) = (&stored, name.strip_prefix('_')) {
        let mut inner = noted.clone();
        inner.insert(FIELD_PG_TYPE.to_owned(), inner_name.to_owned());
        let (data_type, said) = restored_list(element, inner);
        return (data_type, if said.is_empty() { said } else { noted });
    }
    if !is_foreign_name(name) {
        return (stored, noted);
    }
    let modifier = noted.get(FIELD_PG_TYPMOD).and_then(|text| text.parse::<i32>().ok());
    let is_text = matches!(stored, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    let plain = |data_type| (data_type, HashMap::new());
    let with_modifier = |data_type| match modifier {
        Some(_) => (data_type, noted.clone()),
        None => (data_type, HashMap::new()),
    };
    match name.as_str() {
        "uuid" if is_text => plain(DataType::FixedSizeBinary(16)),
        "json" if is_text => plain(json_type(Json::Text)),
        "jsonb" if is_text => plain(json_type(Json::Binary)),
        "time" if is_text => with_modifier(DataType::Time64(TimeUnit::Microsecond)),
        "timetz" if is_text => with_modifier(TIMETZ),
        "interval" if is_text => with_modifier(DataType::Interval(IntervalUnit::MonthDayNano)),
        "numeric" if is_text => match modifier.and_then(digits_of) {
            Some((digits, scale)) => with_modifier(DataType::Decimal256(digits, scale)),
            None => plain(stored),
        },
        name if is_oid(name) && stored == DataType::Int64 => (DataType::UInt32, noted),
        _ => plain(stored),
    }
}

/// A list whose innermost elements are restored, and what their field would say.
///
/// The field says nothing: expressions over lists lose it, and the types would not be the same.
fn restored_list(
    element: &Field,
    noted: HashMap<String, String>,
) -> (DataType, HashMap<String, String>) {
    let (data_type, said) = match element.data_type() {
        DataType::List(deeper) => restored_list(deeper, noted),
        other => restored(other.clone(), noted),
    };
    let element = Field::new(element.name(), data_type, element.is_nullable());
    (DataType::List(Arc::new(element)), said)
}

/// Digits and scale of a modifier, where they are those of a decimal that Delta lacks.
fn digits_of(modifier: i32) -> Option<(u8, i8)> {
    let packed = modifier.checked_sub(4)?;
    let digits = u8::try_from(packed >> 16).ok()?;
    // Eleven bits with a sign.
    let scale = ((packed & 0x7ff) ^ 0x400) - 0x400;
    let scale = i8::try_from(scale).ok()?;
    let fits = digits > DECIMAL_DIGITS_MAX && digits <= 76 && i16::from(scale) <= i16::from(digits);
    fits.then_some((digits, scale))
}
