//! Casts between text, dates, times, timestamps and intervals.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_datafusion_err};
use tarn_catalog::pg_type::TIMETZ;

use super::calendar::{
    EARLIEST, EARLIEST_DAY, LATEST, LATEST_DAY, MICROS_PER_DAY, date_out_of_range, day_in_range,
    finite, finite_day, join, out_of_range, split,
};
use super::span::Span;
use super::span_text::{Fields, parse_span, round_to, span_text};
use super::text::{
    TimeSettings, date_text, parse_date, parse_time, parse_timestamp, parse_timestamptz, time_text,
    timestamp_text, timestamptz_text,
};
use super::timetz;
use super::types::{INTERVAL, TIME, TIMESTAMP, interval_limits, timestamptz};

/// The kinds of temporal types, whatever their unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Date,
    Time,
    Timetz,
    Timestamp,
    Timestamptz,
    Interval,
}

fn sort(data_type: &DataType) -> Option<Sort> {
    Some(match data_type {
        DataType::Date32 | DataType::Date64 => Sort::Date,
        DataType::Time32(_) | DataType::Time64(_) => Sort::Time,
        DataType::FixedSizeBinary(12) => Sort::Timetz,
        DataType::Timestamp(_, None) => Sort::Timestamp,
        DataType::Timestamp(_, Some(_)) => Sort::Timestamptz,
        DataType::Interval(_) => Sort::Interval,
        _ => return None,
    })
}

fn canonical(sort: Sort) -> DataType {
    match sort {
        Sort::Date => DataType::Date32,
        Sort::Time => TIME,
        Sort::Timetz => TIMETZ,
        Sort::Timestamp => TIMESTAMP,
        Sort::Timestamptz => timestamptz(),
        Sort::Interval => INTERVAL,
    }
}

/// Whether a type is a date, a time, a timestamp or an interval.
pub(crate) fn temporal(data_type: &DataType) -> bool {
    sort(data_type).is_some()
}

fn string(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => value.is_string(),
        other => other.is_string(),
    }
}

/// Whether a cast is done here and not by the engine.
pub(crate) fn own_cast(from: &DataType, to: &DataType, modifier: Option<i32>) -> bool {
    match (sort(from), sort(to)) {
        (Some(_), None) => string(to),
        (None, Some(_)) => string(from),
        // The optimizer knows how to compare a date column with a timestamp through this one.
        (Some(Sort::Date), Some(Sort::Timestamp)) => false,
        (Some(a), Some(b)) => a != b || modifier.is_some(),
        (None, None) => false,
    }
}

/// Casts an array.
///
/// # Errors
/// 22007 and 22008 for texts and values that do not fit, 42846 for casts that do not exist.
pub(crate) fn convert(
    array: &ArrayRef,
    target: &DataType,
    modifier: Option<i32>,
    settings: &TimeSettings,
) -> Result<ArrayRef> {
    let from = array.data_type();
    if let Some(to) = sort(target) {
        if string(from) {
            let texts = cast(array, &DataType::Utf8)?;
            let read = read_text(texts.as_string::<i32>(), &canonical(to), modifier, settings)?;
            return Ok(cast(&read, target)?);
        }
        let from = sort(from).ok_or_else(|| exec_datafusion_err!("cast from {from}"))?;
        let array = cast(array, &canonical(from))?;
        let converted = between(&array, from, to, settings)?;
        let converted = limited(converted, to, modifier)?;
        return Ok(cast(&converted, target)?);
    }
    let texts: ArrayRef = Arc::new(write_text(array, settings)?);
    Ok(cast(&texts, target)?)
}

/// Reads texts as values of a type in its usual unit.
pub(crate) fn read_text(
    texts: &StringArray,
    target: &DataType,
    modifier: Option<i32>,
    settings: &TimeSettings,
) -> Result<ArrayRef> {
    let to = sort(target).ok_or_else(|| exec_datafusion_err!("{target} is not temporal"))?;
    let array: ArrayRef = match to {
        Sort::Date => {
            let days = texts.iter().map(|text| text.map(|t| parse_date(t, settings)).transpose());
            Arc::new(days.collect::<Result<arrow::array::Date32Array>>()?)
        }
        Sort::Time => micros(texts, |text| parse_time(text, settings))?,
        Sort::Timetz => timetz::of_texts(texts, settings)?,
        Sort::Timestamp => micros(texts, |text| parse_timestamp(text, settings))?,
        Sort::Timestamptz => micros(texts, |text| parse_timestamptz(text, settings))?,
        Sort::Interval => {
            let fields = modifier.map_or(Fields::All, |modifier| interval_limits(modifier).0);
            let read = |text: &str| parse_span(text, fields)?.to_arrow();
            let spans = texts.iter().map(|text| text.map(read).transpose());
            Arc::new(spans.collect::<Result<arrow::array::IntervalMonthDayNanoArray>>()?)
        }
    };
    limited(cast(&array, &canonical(to))?, to, modifier)
}

fn micros(texts: &StringArray, read: impl Fn(&str) -> Result<i64>) -> Result<ArrayRef> {
    let values = texts.iter().map(|text| text.map(&read).transpose());
    Ok(Arc::new(values.collect::<Result<arrow::array::Int64Array>>()?))
}

/// Writes values as text.
pub(crate) fn write_text(array: &ArrayRef, settings: &TimeSettings) -> Result<StringArray> {
    let from = array.data_type();
    let from = sort(from).ok_or_else(|| exec_datafusion_err!("{from} is not temporal"))?;
    let array = cast(array, &canonical(from))?;
    if from == Sort::Timetz {
        let texts = timetz::values(&array)?.into_iter();
        return Ok(texts.map(|value| value.map(|value| value.to_string())).collect());
    }
    let text = |row: usize| match from {
        Sort::Date => date_text(array.as_primitive::<Date32Type>().value(row), settings),
        Sort::Time => time_text(array.as_primitive::<Time64MicrosecondType>().value(row)),
        // Written above.
        Sort::Timetz => String::new(),
        Sort::Timestamp => {
            timestamp_text(array.as_primitive::<TimestampMicrosecondType>().value(row), settings)
        }
        Sort::Timestamptz => {
            timestamptz_text(array.as_primitive::<TimestampMicrosecondType>().value(row), settings)
        }
        Sort::Interval => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            span_text(Span::from_arrow(value), settings.interval_style)
        }
    };
    let mut out = StringBuilder::new();
    for row in 0..array.len() {
        out.append_option(array.is_valid(row).then(|| text(row)));
    }
    Ok(out.finish())
}

/// Rounds to the precision, and cuts to the units, of a type modifier.
fn limited(array: ArrayRef, to: Sort, modifier: Option<i32>) -> Result<ArrayRef> {
    let Some(modifier) = modifier else { return Ok(array) };
    let digits = u32::try_from(modifier).unwrap_or(6).min(6);
    Ok(match to {
        Sort::Date => array,
        Sort::Time => {
            let times = array.as_primitive::<Time64MicrosecondType>();
            Arc::new(times.unary::<_, Time64MicrosecondType>(|time| round_to(time, digits)))
        }
        Sort::Timetz => timetz::rounded(&array, digits)?,
        Sort::Timestamp | Sort::Timestamptz => {
            let times = array.as_primitive::<TimestampMicrosecondType>();
            let round = |at: i64| if finite(at) { round_to(at, digits) } else { at };
            let rounded = times.unary::<_, TimestampMicrosecondType>(round);
            cast(&rounded, array.data_type())?
        }
        Sort::Interval => {
            let (fields, precision) = interval_limits(modifier);
            let spans = array.as_primitive::<IntervalMonthDayNanoType>();
            let limit = |value| fields.limit(Span::from_arrow(value), precision).to_arrow();
            Arc::new(spans.try_unary::<_, IntervalMonthDayNanoType, _>(limit)?)
        }
    })
}

fn between(array: &ArrayRef, from: Sort, to: Sort, settings: &TimeSettings) -> Result<ArrayRef> {
    let zone = settings.zone;
    let stamps = |f: &dyn Fn(i64) -> i64| -> Result<ArrayRef> {
        let values = array.as_primitive::<TimestampMicrosecondType>();
        let values = values.unary::<_, TimestampMicrosecondType>(f);
        let target = canonical(to);
        Ok(cast(&cast(&values, &DataType::Int64)?, &target)?)
    };
    Ok(match (from, to) {
        (a, b) if a == b => Arc::clone(array),
        (Sort::Timestamp, Sort::Timestamptz) => stamps(&|at| zone.to_instant(at))?,
        (Sort::Timestamptz, Sort::Timestamp) => stamps(&|at| zone.to_local(at))?,
        (Sort::Timestamp | Sort::Timestamptz, Sort::Date) => {
            let local = |at| if from == Sort::Timestamptz { zone.to_local(at) } else { at };
            let values = array.as_primitive::<TimestampMicrosecondType>();
            Arc::new(values.try_unary::<_, Date32Type, _>(|at| day_of(local(at)))?)
        }
        (Sort::Timestamp | Sort::Timestamptz, Sort::Time) => {
            let local = |at| if from == Sort::Timestamptz { zone.to_local(at) } else { at };
            let values = array.as_primitive::<TimestampMicrosecondType>();
            Arc::new(values.unary::<_, Time64MicrosecondType>(|at| split(local(at)).1))
        }
        (Sort::Date, Sort::Timestamp | Sort::Timestamptz) => {
            let days = array.as_primitive::<Date32Type>();
            let in_zone = to == Sort::Timestamptz;
            let stamps = days.try_unary::<_, TimestampMicrosecondType, _>(|day| {
                let local = midnight(day)?;
                let at = if in_zone { zone.to_instant(local) } else { local };
                Ok::<_, datafusion::error::DataFusionError>(at)
            })?;
            cast(&cast(&stamps, &DataType::Int64)?, &canonical(to))?
        }
        (Sort::Time, Sort::Timetz) => timetz::of_times(array, settings)?,
        (Sort::Timestamptz, Sort::Timetz) => timetz::of_instants(array, settings)?,
        (Sort::Timetz, Sort::Time) => timetz::to_times(array)?,
        (Sort::Time, Sort::Interval) => {
            let times = array.as_primitive::<Time64MicrosecondType>();
            let span = |time| Span::from_micros(time).to_arrow();
            Arc::new(times.try_unary::<_, IntervalMonthDayNanoType, _>(span)?)
        }
        (Sort::Interval, Sort::Time) => {
            let spans = array.as_primitive::<IntervalMonthDayNanoType>();
            let time = |value| Span::from_arrow(value).micros.rem_euclid(MICROS_PER_DAY);
            Arc::new(spans.unary::<_, Time64MicrosecondType>(time))
        }
        _ => {
            let (from, to) = (name(from), name(to));
            let message = format!("cannot cast type {from} to {to}");
            return Err(crate::functions::fault::fault("42846", message));
        }
    })
}

fn name(sort: Sort) -> &'static str {
    match sort {
        Sort::Date => "date",
        Sort::Time => "time without time zone",
        Sort::Timetz => "time with time zone",
        Sort::Timestamp => "timestamp without time zone",
        Sort::Timestamptz => "timestamp with time zone",
        Sort::Interval => "interval",
    }
}

/// The day of a timestamp.
pub(crate) fn day_of(local: i64) -> Result<i32> {
    match local {
        LATEST => Ok(LATEST_DAY),
        EARLIEST => Ok(EARLIEST_DAY),
        local => day_in_range(split(local).0).ok_or_else(date_out_of_range),
    }
}

/// The timestamp at which a day begins.
pub(crate) fn midnight(day: i32) -> Result<i64> {
    match day {
        LATEST_DAY => Ok(LATEST),
        EARLIEST_DAY => Ok(EARLIEST),
        day if finite_day(day) => join(i64::from(day), 0).map_err(|_| {
            crate::functions::fault::fault("22008", "date out of range for timestamp")
        }),
        _ => Err(out_of_range()),
    }
}
