//! Columns of dates, times and spans of time.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, FixedSizeBinaryArray};
use arrow::datatypes::*;
use bytes::{BufMut, BytesMut};
use tarn_catalog::pg_type::TimeTz;
use tarn_planner::calendar::{MICROS_PER_DAY, Span, date_in_range, span_text, timestamp_in_range};

use super::column::{Encoder, TIMESTAMPTZ, typed, unsupported, values};
use super::datetime::{
    PG_EPOCH_DAYS, PG_EPOCH_MICROS, put_date, put_time, put_timestamp, time_in_range,
};
use super::{EncodeError, EncodeSettings, Format};

/// Chooses the writer for dates, times and spans of time.
pub(super) fn temporal(
    array: &ArrayRef,
    oid: u32,
    format: Format,
    settings: &EncodeSettings,
) -> Result<Encoder, EncodeError> {
    let days_of_ms = |value: i64| value.div_euclid(MICROS_PER_DAY / 1000);
    match array.data_type() {
        DataType::Date32 => date::<Date32Type>(array, format, settings, i64::from),
        DataType::Date64 => date::<Date64Type>(array, format, settings, days_of_ms),
        DataType::Time32(TimeUnit::Second) => time::<Time32SecondType>(array, format, 1_000_000, 1),
        DataType::Time32(_) => time::<Time32MillisecondType>(array, format, 1_000, 1),
        DataType::Time64(TimeUnit::Nanosecond) => {
            time::<Time64NanosecondType>(array, format, 1, 1_000)
        }
        DataType::Time64(_) => time::<Time64MicrosecondType>(array, format, 1, 1),
        DataType::Timestamp(unit, _) => timestamp(array, *unit, oid, format, settings),
        DataType::Interval(IntervalUnit::YearMonth) => {
            interval::<IntervalYearMonthType>(array, format, settings, |months| {
                Some(Span { months, days: 0, micros: 0 })
            })
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            interval::<IntervalDayTimeType>(array, format, settings, |value| {
                let micros = i64::from(value.milliseconds) * 1_000;
                Some(Span { months: 0, days: value.days, micros })
            })
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            interval::<IntervalMonthDayNanoType>(array, format, settings, |value| {
                let micros = value.nanoseconds / 1_000;
                Some(Span { months: value.months, days: value.days, micros })
            })
        }
        DataType::Duration(unit) => duration(array, *unit, format, settings),
        other => Err(unsupported(other, oid)),
    }
}

fn date<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    format: Format,
    settings: &EncodeSettings,
    to_days: impl Fn(T::Native) -> i64 + 'static,
) -> Result<Encoder, EncodeError> {
    let times = settings.times;
    values::<T>(array, move |value, out| {
        let days = to_days(value);
        // The ends of the type stand for the ends of time.
        if days == i64::from(i32::MAX) || days == i64::from(i32::MIN) {
            match format {
                Format::Text => put_infinity(days > 0, out),
                Format::Binary => out.put_i32(if days > 0 { i32::MAX } else { i32::MIN }),
            }
            return Ok(());
        }
        if format == Format::Text {
            return put_date(out, days, &times);
        }
        let counted = date_in_range(days)
            .and_then(|days| i32::try_from(i64::from(days) - PG_EPOCH_DAYS).ok());
        out.put_i32(counted.ok_or(EncodeError::DatetimeOutOfRange { type_name: "date" })?);
        Ok(())
    })
}

fn time<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    format: Format,
    multiply: i64,
    divide: i64,
) -> Result<Encoder, EncodeError>
where
    T::Native: Into<i64>,
{
    values::<T>(array, move |value, out| {
        let value: i64 = value.into();
        let micros = value.saturating_mul(multiply).div_euclid(divide);
        match format {
            Format::Text => put_time(out, micros),
            Format::Binary => {
                out.put_i64(time_in_range(micros)?);
                Ok(())
            }
        }
    })
}

/// Times of day with a zone; the binary form counts its seconds west of Greenwich.
pub(super) fn time_with_zone(array: &ArrayRef, format: Format) -> Result<Encoder, EncodeError> {
    let values = typed::<FixedSizeBinaryArray>(array)?;
    Ok(Box::new(move |row: usize, out: &mut BytesMut| {
        if row >= values.len() {
            return Err(EncodeError::SchemaMismatch);
        }
        let out_of_range = EncodeError::DatetimeOutOfRange { type_name: "time with time zone" };
        let time = TimeTz::from_bytes(values.value(row)).ok_or(out_of_range)?;
        match format {
            Format::Text => out.extend_from_slice(time.to_string().as_bytes()),
            Format::Binary => {
                out.put_i64(time.micros());
                out.put_i32(time.west());
            }
        }
        Ok(())
    }))
}

fn put_infinity(later: bool, out: &mut BytesMut) {
    out.extend_from_slice(if later { b"infinity" } else { b"-infinity" });
}

/// Microseconds for a count of a unit; nanoseconds are rounded down.
fn to_micros(value: i64, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Second => value.checked_mul(1_000_000),
        TimeUnit::Millisecond => value.checked_mul(1_000),
        TimeUnit::Microsecond => Some(value),
        TimeUnit::Nanosecond => Some(value.div_euclid(1_000)),
    }
}

fn timestamp(
    array: &ArrayRef,
    unit: TimeUnit,
    oid: u32,
    format: Format,
    settings: &EncodeSettings,
) -> Result<Encoder, EncodeError> {
    let (times, with_zone) = (settings.times, oid == TIMESTAMPTZ);
    let write = move |value: i64, out: &mut BytesMut| {
        // The ends of the type stand for the ends of time.
        if unit == TimeUnit::Microsecond && matches!(value, i64::MAX | i64::MIN) {
            match format {
                Format::Text => put_infinity(value > 0, out),
                Format::Binary => out.put_i64(value),
            }
            return Ok(());
        }
        let out_of_range = EncodeError::DatetimeOutOfRange { type_name: "timestamp" };
        let micros = to_micros(value, unit).and_then(timestamp_in_range).ok_or(out_of_range)?;
        match format {
            Format::Text => put_timestamp(out, micros, with_zone, &times),
            Format::Binary => {
                // Cannot wrap: the lower limit is far above the least number.
                out.put_i64(micros.saturating_sub(PG_EPOCH_MICROS));
                Ok(())
            }
        }
    };
    match unit {
        TimeUnit::Second => values::<TimestampSecondType>(array, write),
        TimeUnit::Millisecond => values::<TimestampMillisecondType>(array, write),
        TimeUnit::Microsecond => values::<TimestampMicrosecondType>(array, write),
        TimeUnit::Nanosecond => values::<TimestampNanosecondType>(array, write),
    }
}

fn interval<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    format: Format,
    settings: &EncodeSettings,
    convert: impl Fn(T::Native) -> Option<Span> + 'static,
) -> Result<Encoder, EncodeError> {
    let style = settings.times.interval_style;
    values::<T>(array, move |value, out| {
        let out_of_range = EncodeError::DatetimeOutOfRange { type_name: "interval" };
        let span = convert(value).ok_or(out_of_range)?;
        match format {
            Format::Text => out.extend_from_slice(span_text(span, style).as_bytes()),
            Format::Binary => {
                out.put_i64(span.micros);
                out.put_i32(span.days);
                out.put_i32(span.months);
            }
        }
        Ok(())
    })
}

/// Durations come from subtracting timestamps, where PostgreSQL counts full days apart.
fn duration(
    array: &ArrayRef,
    unit: TimeUnit,
    format: Format,
    settings: &EncodeSettings,
) -> Result<Encoder, EncodeError> {
    let convert = move |value: i64| {
        let micros = to_micros(value, unit)?;
        let days = i32::try_from(micros / MICROS_PER_DAY).ok()?;
        Some(Span { months: 0, days, micros: micros % MICROS_PER_DAY })
    };
    match unit {
        TimeUnit::Second => interval::<DurationSecondType>(array, format, settings, convert),
        TimeUnit::Millisecond => {
            interval::<DurationMillisecondType>(array, format, settings, convert)
        }
        TimeUnit::Microsecond => {
            interval::<DurationMicrosecondType>(array, format, settings, convert)
        }
        TimeUnit::Nanosecond => {
            interval::<DurationNanosecondType>(array, format, settings, convert)
        }
    }
}
