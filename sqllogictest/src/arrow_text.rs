//! Arrow values in PostgreSQL's text form, for the engines that answer in record batches.

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Field, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit,
    IntervalYearMonthType, Schema, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::temporal_conversions::as_datetime_with_timezone;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::answer::{Cell, Letter};
use crate::text;

/// Field metadata by which tarn names a PostgreSQL type that Arrow does not have.
const FIELD_PG_TYPE: &str = "tarn.pg_type";
/// Field metadata by which Flight SQL names the type of SQL.
const FLIGHT_TYPE: &str = "ARROW:FLIGHT:SQL:TYPE_NAME";

/// The letter of a column.
pub(crate) fn letter(field: &Field) -> Letter {
    match field.metadata().get(FIELD_PG_TYPE).map(String::as_str) {
        Some("oid") => return Letter::Integer,
        Some("numeric") => return Letter::Real,
        Some("timetz") => return Letter::Date,
        Some(_) => return Letter::Text,
        None => {}
    }
    match field.metadata().get(FLIGHT_TYPE).map(String::as_str) {
        Some("time with time zone") => Letter::Date,
        _ => letter_of_type(field.data_type()),
    }
}

fn letter_of_type(data_type: &DataType) -> Letter {
    use DataType as T;
    match data_type {
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 => {
            Letter::Integer
        }
        T::UInt64 | T::Float16 | T::Float32 | T::Float64 => Letter::Real,
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => Letter::Real,
        T::Boolean => Letter::Boolean,
        T::Date32 | T::Date64 | T::Time32(_) | T::Time64(_) | T::Timestamp(..) => Letter::Date,
        T::Interval(_) | T::Duration(_) | T::FixedSizeBinary(12) => Letter::Date,
        T::Dictionary(_, value) => letter_of_type(value),
        T::RunEndEncoded(_, value) => letter_of_type(value.data_type()),
        _ => Letter::Text,
    }
}

/// All cells of a batch, row by row.
///
/// The schema is the announced one, whose metadata batches need not carry.
pub(crate) fn rows(batch: &RecordBatch, schema: &Schema) -> Vec<Vec<Cell>> {
    (0..batch.num_rows())
        .map(|row| {
            batch
                .columns()
                .iter()
                .zip(schema.fields())
                .map(|(column, field)| cell(column, field, row))
                .collect()
        })
        .collect()
}

fn cell(array: &ArrayRef, field: &Field, row: usize) -> Cell {
    let is_uuid =
        field.metadata().get("ARROW:extension:name").is_some_and(|name| name == "arrow.uuid")
            || field.metadata().get(FIELD_PG_TYPE).is_some_and(|name| name == "uuid");
    match array.data_type() {
        DataType::FixedSizeBinary(16) if is_uuid && !array.is_null(row) => {
            Some(text::uuid(array.as_fixed_size_binary().value(row)))
        }
        DataType::Decimal128(..) | DataType::Decimal256(..) => {
            value(array.as_ref(), row).map(|text| shown(text, field))
        }
        _ => value(array.as_ref(), row),
    }
}

/// A decimal with the digits that its field says are its own; see `tarn_catalog::NumericDigits`.
fn shown(text: String, field: &Field) -> String {
    let Some(digits) = field.metadata().get("tarn.numeric_digits") else { return text };
    let Some((whole, fraction)) = text.split_once('.') else { return text };
    if digits == "trimmed" {
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        return format!("{whole}{point}{fraction}");
    }
    // Groups of four zeros beyond those of a quotient: 16 digits, 12 from ten thousand on.
    let size = whole.trim_start_matches('-');
    let least = if size.len() > 4 { 12 } else { 16 };
    let mut fraction = fraction;
    while size != "0" && fraction.len() >= least + 4 {
        let Some(shorter) = fraction.strip_suffix("0000") else { break };
        fraction = shorter;
    }
    format!("{whole}.{fraction}")
}

/// A time of day with a zone: microseconds of the day in Greenwich and seconds west of it, both
/// with the sign turned over.
fn timetz(bytes: &[u8]) -> Cell {
    let (utc, west) = bytes.split_first_chunk::<8>()?;
    let utc = i64::from_be_bytes(*utc) ^ i64::MIN;
    let west = i32::from_be_bytes(west.try_into().ok()?) ^ i32::MIN;
    Some(format!("{}{}", text::time(utc - i64::from(west) * 1_000_000), text::offset(-west)))
}

/// One value of an array, `None` for NULL.
fn value(array: &dyn Array, row: usize) -> Cell {
    use DataType as T;
    if array.is_null(row) || array.data_type() == &T::Null {
        return None;
    }
    Some(match array.data_type() {
        T::Boolean => if array.as_boolean().value(row) { "t" } else { "f" }.to_owned(),
        T::Int8 => number::<Int8Type>(array, row).to_string(),
        T::Int16 => number::<Int16Type>(array, row).to_string(),
        T::Int32 => number::<Int32Type>(array, row).to_string(),
        T::Int64 => number::<Int64Type>(array, row).to_string(),
        T::UInt8 => number::<UInt8Type>(array, row).to_string(),
        T::UInt16 => number::<UInt16Type>(array, row).to_string(),
        T::UInt32 => number::<UInt32Type>(array, row).to_string(),
        T::UInt64 => number::<UInt64Type>(array, row).to_string(),
        T::Float16 => text::float4(number::<Float16Type>(array, row).to_f32()),
        T::Float32 => text::float4(number::<Float32Type>(array, row)),
        T::Float64 => text::float8(number::<Float64Type>(array, row)),
        T::Decimal32(..) => decimal::<Decimal32Type>(array, row),
        T::Decimal64(..) => decimal::<Decimal64Type>(array, row),
        T::Decimal128(..) => decimal::<Decimal128Type>(array, row),
        T::Decimal256(..) => decimal::<Decimal256Type>(array, row),
        T::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        T::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        T::Utf8View => array.as_string_view().value(row).to_owned(),
        T::Binary => text::bytea(array.as_binary::<i32>().value(row)),
        T::LargeBinary => text::bytea(array.as_binary::<i64>().value(row)),
        T::BinaryView => text::bytea(array.as_binary_view().value(row)),
        T::FixedSizeBinary(16) => text::uuid(array.as_fixed_size_binary().value(row)),
        T::FixedSizeBinary(12) => timetz(array.as_fixed_size_binary().value(row))?,
        T::FixedSizeBinary(_) => text::bytea(array.as_fixed_size_binary().value(row)),
        T::Date32 => text::date(i64::from(number::<Date32Type>(array, row))),
        T::Date64 => text::date(number::<Date64Type>(array, row).div_euclid(86_400_000)),
        T::Time32(_) | T::Time64(_) => text::time(time_micros(array, row)),
        T::Timestamp(unit, zone) => timestamp(array, row, *unit, zone.as_deref()),
        T::Interval(unit) => interval(array, row, *unit),
        T::Duration(unit) => duration(duration_micros(array, row, *unit)),
        T::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            return value(dictionary.values(), dictionary.normalized_keys()[row]);
        }
        _ => nested(array, row),
    })
}

fn number<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> T::Native {
    array.as_primitive::<T>().value(row)
}

fn decimal<T: DecimalType + ArrowPrimitiveType>(array: &dyn Array, row: usize) -> String {
    array.as_primitive::<T>().value_as_string(row)
}

fn nested(array: &dyn Array, row: usize) -> String {
    match array.data_type() {
        DataType::List(_) => list(array.as_list::<i32>().value(row).as_ref()),
        DataType::LargeList(_) => list(array.as_list::<i64>().value(row).as_ref()),
        DataType::FixedSizeList(..) => list(array.as_fixed_size_list().value(row).as_ref()),
        // How tarn holds `json` and `jsonb`; see `tarn_catalog::pg_type`.
        DataType::Struct(fields)
            if fields.len() == 1 && fields[0].name().starts_with("\u{1}json") =>
        {
            let texts = array.as_struct().column(0);
            value(texts.as_ref(), row).unwrap_or_default()
        }
        DataType::Struct(_) => {
            let fields: Vec<Cell> = array
                .as_struct()
                .columns()
                .iter()
                .map(|column| value(column.as_ref(), row))
                .collect();
            text::record(&fields)
        }
        DataType::Map(..) => map(&array.as_map().value(row)),
        _ => ArrayFormatter::try_new(array, &FormatOptions::default())
            .map_or_else(|e| e.to_string(), |formatter| formatter.value(row).to_string()),
    }
}

fn list(elements: &dyn Array) -> String {
    let is_nested = matches!(
        elements.data_type(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
    );
    let cells: Vec<Cell> = (0..elements.len()).map(|row| value(elements, row)).collect();
    text::array(&cells, is_nested)
}

/// A map is `jsonb` to PostgreSQL's clients.
fn map(entries: &StructArray) -> String {
    let (keys, values) = (entries.column(0), entries.column(1));
    let is_plain = matches!(letter_of_type(values.data_type()), Letter::Integer | Letter::Real);
    let members: Vec<String> = (0..entries.len())
        .map(|row| {
            let key = value(keys.as_ref(), row).unwrap_or_default();
            let member = match value(values.as_ref(), row) {
                None => "null".to_owned(),
                Some(text) if is_plain => text,
                Some(text) if values.data_type() == &DataType::Boolean => (text == "t").to_string(),
                Some(text) => format!("{text:?}"),
            };
            format!("{key:?}: {member}")
        })
        .collect();
    format!("{{{}}}", members.join(", "))
}

fn time_micros(array: &dyn Array, row: usize) -> i64 {
    match array.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            i64::from(number::<Time32SecondType>(array, row)) * 1_000_000
        }
        DataType::Time32(_) => i64::from(number::<Time32MillisecondType>(array, row)) * 1_000,
        DataType::Time64(TimeUnit::Microsecond) => number::<Time64MicrosecondType>(array, row),
        _ => number::<Time64NanosecondType>(array, row) / 1_000,
    }
}

fn timestamp(array: &dyn Array, row: usize, unit: TimeUnit, zone: Option<&str>) -> String {
    let micros = match unit {
        TimeUnit::Second => number::<TimestampSecondType>(array, row) * 1_000_000,
        TimeUnit::Millisecond => number::<TimestampMillisecondType>(array, row) * 1_000,
        TimeUnit::Microsecond => number::<TimestampMicrosecondType>(array, row),
        TimeUnit::Nanosecond => number::<TimestampNanosecondType>(array, row).div_euclid(1_000),
    };
    let Some(zone) = zone else {
        return text::timestamp(micros);
    };
    let offset_s = zone
        .parse::<Tz>()
        .ok()
        .and_then(|zone| as_datetime_with_timezone::<TimestampMicrosecondType>(micros, zone))
        .map_or(0, |at| (at.naive_local() - at.naive_utc()).num_seconds());
    text::timestamptz(micros, i32::try_from(offset_s).unwrap_or(0))
}

fn interval(array: &dyn Array, row: usize, unit: IntervalUnit) -> String {
    match unit {
        IntervalUnit::YearMonth => {
            text::interval(number::<IntervalYearMonthType>(array, row), 0, 0)
        }
        IntervalUnit::DayTime => {
            let value = number::<IntervalDayTimeType>(array, row);
            text::interval(0, value.days, i64::from(value.milliseconds) * 1_000)
        }
        IntervalUnit::MonthDayNano => {
            let value = number::<IntervalMonthDayNanoType>(array, row);
            text::interval(value.months, value.days, value.nanoseconds / 1_000)
        }
    }
}

/// PostgreSQL's difference of timestamps counts in days and the rest of a day.
fn duration(micros: i64) -> String {
    const MICROS_PER_DAY: i64 = 86_400_000_000;
    let days = i32::try_from(micros / MICROS_PER_DAY).unwrap_or(i32::MAX);
    text::interval(0, days, micros % MICROS_PER_DAY)
}

fn duration_micros(array: &dyn Array, row: usize, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => number::<DurationSecondType>(array, row) * 1_000_000,
        TimeUnit::Millisecond => number::<DurationMillisecondType>(array, row) * 1_000,
        TimeUnit::Microsecond => number::<DurationMicrosecondType>(array, row),
        TimeUnit::Nanosecond => number::<DurationNanosecondType>(array, row) / 1_000,
    }
}
