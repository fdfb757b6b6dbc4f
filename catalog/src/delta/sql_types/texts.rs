//! Values to the texts that files hold, and back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, IntervalMonthDayNanoArray, ListArray,
    StringArray, StructArray, Time64MicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{
    DataType, Decimal256Type, DecimalType, IntervalMonthDayNanoType, IntervalUnit,
    Time64MicrosecondType, TimeUnit,
};
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use uuid::Uuid;

use super::interval::{self, clock_nanoseconds, clock_of};
use super::{file_type, is_foreign, stored_type};
use crate::pg_type::{TimeTz, json_kind};

const MICROS_PER_DAY: i64 = 86_400_000_000;
const NANOS_PER_MICRO: i64 = 1_000;

/// Characters of a foreign text that an error repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// Values as files hold them; other types as they are.
pub(in crate::delta) fn encode(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !is_foreign(values.data_type()) {
        return Ok(Arc::clone(values));
    }
    let texts: StringArray = match values.data_type() {
        DataType::List(_) => {
            let DataType::List(stored) = file_type(values.data_type()) else {
                return Err(unexpected(values.data_type()));
            };
            let list = values.as_list::<i32>();
            let inner = encode(list.values())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            return Ok(Arc::new(ListArray::try_new(stored, offsets, inner, nulls)?));
        }
        DataType::UInt32 => return cast(values, &DataType::Int64),
        DataType::FixedSizeBinary(16) => {
            let values = values.as_fixed_size_binary().iter();
            let text = |bytes: &[u8]| Uuid::from_slice(bytes).ok().map(|uuid| uuid.to_string());
            values.map(|bytes| bytes.and_then(text)).collect()
        }
        DataType::FixedSizeBinary(12) => {
            let values = values.as_fixed_size_binary().iter();
            let text = |bytes: &[u8]| TimeTz::from_bytes(bytes).map(|time| time.to_string());
            values.map(|bytes| bytes.and_then(text)).collect()
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            let values = values.as_primitive::<Time64MicrosecondType>().iter();
            values.map(|micros| micros.map(time_text)).collect()
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let values = values.as_primitive::<IntervalMonthDayNanoType>().iter();
            values.map(|value| value.map(interval::text_of)).collect()
        }
        DataType::Decimal256(digits, scale) => {
            let (digits, scale) = (*digits, *scale);
            let values = values.as_primitive::<Decimal256Type>().iter();
            let text = |value| Decimal256Type::format_decimal(value, digits, scale);
            values.map(|value| value.map(text)).collect()
        }
        other => match (json_kind(other), values.as_struct_opt()) {
            (Some(_), Some(json)) => json_texts(json)?,
            _ => return Err(unexpected(other)),
        },
    };
    Ok(Arc::new(texts))
}

/// The text inside of JSON values.
fn json_texts(json: &StructArray) -> Result<StringArray, ArrowError> {
    let inner = json.columns().first().ok_or_else(|| unexpected(json.data_type()))?;
    let inner = cast(inner, &DataType::Utf8)?;
    let inner = inner.as_string::<i32>();
    let nulls = NullBuffer::union(json.nulls(), inner.nulls());
    StringArray::try_new(inner.offsets().clone(), inner.values().clone(), nulls)
}

/// What files hold as values of a type; `None` where the type is one that files hold as it is.
///
/// # Errors
/// `ParseError` with the text that is no value of the type.
pub(in crate::delta) fn decode(
    stored: &ArrayRef,
    to: &DataType,
) -> Result<Option<ArrayRef>, ArrowError> {
    let Some(stored_type) = stored_type(to).filter(|_| stored.data_type() != to) else {
        return Ok(None);
    };
    if *to == DataType::UInt32 {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        return cast_with_options(stored, to, &strict).map(Some);
    }
    let texts = cast(stored, &stored_type)?;
    let texts = texts.as_string_opt::<i32>().ok_or_else(|| unexpected(texts.data_type()))?;
    Ok(Some(values_of(texts, to)?))
}

fn values_of(texts: &StringArray, to: &DataType) -> Result<ArrayRef, ArrowError> {
    Ok(match to {
        DataType::FixedSizeBinary(16) => {
            let mut values = FixedSizeBinaryBuilder::with_capacity(texts.len(), 16);
            for text in texts {
                match text {
                    Some(text) => values.append_value(uuid_of(text).ok_or_else(|| no(text))?)?,
                    None => values.append_null(),
                }
            }
            Arc::new(values.finish())
        }
        DataType::FixedSizeBinary(12) => {
            let mut values = FixedSizeBinaryBuilder::with_capacity(texts.len(), 12);
            for text in texts {
                let time = |text: &str| TimeTz::from_plain(text).ok_or_else(|| no(text));
                match text.map(time).transpose()? {
                    Some(time) => values.append_value(time.to_bytes())?,
                    None => values.append_null(),
                }
            }
            Arc::new(values.finish())
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            let value = |text: &str| time_micros(text).ok_or_else(|| no(text));
            Arc::new(each::<Time64MicrosecondArray, _>(texts, value)?)
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = |text: &str| interval::value_of(text).ok_or_else(|| no(text));
            Arc::new(each::<IntervalMonthDayNanoArray, _>(texts, value)?)
        }
        DataType::Decimal256(digits, scale) => {
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(texts, &DataType::Decimal256(*digits, *scale), &strict)?
        }
        DataType::Struct(fields) if json_kind(to).is_some() => {
            let nulls = texts.nulls().cloned();
            Arc::new(StructArray::try_new(fields.clone(), vec![Arc::new(texts.clone())], nulls)?)
        }
        other => return Err(unexpected(other)),
    })
}

/// Every text as a value.
fn each<A, T>(
    texts: &StringArray,
    value: impl Fn(&str) -> Result<T, ArrowError>,
) -> Result<A, ArrowError>
where
    A: FromIterator<Option<T>>,
{
    texts.iter().map(|text| text.map(&value).transpose()).collect()
}

/// A UUID in the form with hyphens, in capital letters or not: bounds rest upon that.
fn uuid_of(text: &str) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    Uuid::try_parse(text).ok().map(Uuid::into_bytes)
}

/// `12:30:00.5`; a day's end is `24:00:00`.
fn time_text(micros: i64) -> String {
    clock_of(micros.saturating_mul(NANOS_PER_MICRO).unsigned_abs().into())
}

/// Reads a time of the day in the form with two digits each: bounds rest upon that.
pub(super) fn time_micros(text: &str) -> Option<i64> {
    if text.as_bytes().get(2) != Some(&b':') {
        return None;
    }
    let nanos = clock_nanoseconds(text)?;
    let micros = nanos / NANOS_PER_MICRO;
    (nanos % NANOS_PER_MICRO == 0 && micros <= MICROS_PER_DAY).then_some(micros)
}

/// One value as text, for the folders and values of partitions; `None` for NULL and for types that
/// files hold as they are.
pub(in crate::delta) fn text_of(value: &ScalarValue) -> Option<String> {
    if value.is_null() || stored_type(&value.data_type()).is_none() {
        return None;
    }
    let stored = encode(&value.to_array().ok()?).ok()?;
    let text = cast(&stored, &DataType::Utf8).ok()?;
    let text = text.as_string_opt::<i32>()?;
    (text.len() == 1 && text.is_valid(0)).then(|| text.value(0).to_owned())
}

/// The value of a partition from its text; `None` for types that files hold as they are.
///
/// # Errors
/// As [`decode`].
pub(in crate::delta) fn value_of(
    text: Option<&str>,
    to: &DataType,
) -> Result<Option<ScalarValue>, ArrowError> {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let Some(values) = decode_texts(&texts, to)? else { return Ok(None) };
    ScalarValue::try_from_array(&values, 0)
        .map(Some)
        .map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

/// As [`decode`], where numbers are texts, too.
pub(in crate::delta) fn decode_texts(
    texts: &ArrayRef,
    to: &DataType,
) -> Result<Option<ArrayRef>, ArrowError> {
    if *to == DataType::UInt32 {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        return cast_with_options(texts, to, &strict).map(Some);
    }
    decode(texts, to)
}

fn no(text: &str) -> ArrowError {
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    ArrowError::ParseError(format!("\"{shown}\""))
}

fn unexpected(data_type: &DataType) -> ArrowError {
    ArrowError::NotYetImplemented(format!("values of {data_type}"))
}
