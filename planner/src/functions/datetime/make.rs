//! `make_date` and its kin, `timezone`, `overlaps`, and the clocks.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::calendar::{
    Civil, MICROS_PER_DAY, MICROS_PER_MINUTE, MICROS_PER_SECOND, day_in_range, join,
};
use super::span::{Span, interval_out_of_range, whole64};
use super::timetz::in_zone;
use super::trunc::unknown_zone;
use super::zone::Zone;
use crate::functions::fault::fault;
use crate::functions::frame::Kind::{
    Bool, Date, Float8, Int4, Interval, Text, Time, Timestamp, Timestamptz, Timetz,
};
use crate::functions::frame::{Call, Form, Function, Kind, Value, form};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    const DATE: &[Form] = &[form(&[Int4, Int4, Int4], Date, |call, row| {
        let day = days(call.int(0, row)?, call.int(1, row)?, call.int(2, row)?)?;
        day_in_range(day)
            .map(Value::Date)
            .ok_or_else(|| fault("22008", format!("date out of range: {}", shown(call, row))))
    })];
    const TIME: &[Form] = &[form(&[Int4, Int4, Float8], Time, |call, row| {
        clock(call.int(0, row)?, call.int(1, row)?, call.float(2, row)?).map(Value::Micros)
    })];
    const MOMENT: &[Kind] = &[Int4, Int4, Int4, Int4, Int4, Float8];
    const STAMP: &[Form] =
        &[form(MOMENT, Timestamp, |call, row| moment(call, row).map(Value::Micros))];
    const INSTANT: &[Form] = &[
        form(MOMENT, Timestamptz, |call, row| {
            Ok(Value::Micros(call.time.zone.to_instant(moment(call, row)?)))
        }),
        form(&[Int4, Int4, Int4, Int4, Int4, Float8, Text], Timestamptz, |call, row| {
            let name = call.text(6, row)?;
            let zone = Zone::parse(name).ok_or_else(|| unknown_zone(name))?;
            Ok(Value::Micros(zone.to_instant(moment(call, row)?)))
        }),
    ];
    vec![
        Function::immutable("make_date", DATE).into_udf(),
        Function::immutable("make_time", TIME).into_udf(),
        Function::immutable("make_timestamp", STAMP).into_udf(),
        Function::stable("make_timestamptz", INSTANT).into_udf(),
        Function::immutable("make_interval", INTERVALS).into_udf(),
        Function::stable("timezone", ZONES).into_udf(),
        Function::stable("overlaps", OVERLAPS).called_on_null().into_udf(),
    ]
}

fn shown(call: &Call, row: usize) -> String {
    let part = |at: usize| call.int(at, row).unwrap_or(0);
    format!("{}-{:02}-{:02}", part(0), part(1), part(2))
}

fn days(year: i64, month: i64, day: i64) -> Result<i64> {
    // Negative years are BC.
    let astronomical = if year < 0 { year + 1 } else { year };
    let civil = Civil { year: astronomical, month, day };
    if year == 0 || !civil.valid() {
        let message = format!("date field value out of range: {year}-{month:02}-{day:02}");
        return Err(fault("22008", message));
    }
    Ok(civil.to_days())
}

fn clock(hour: i64, minute: i64, second: f64) -> Result<i64> {
    let seconds = (second * 1e6).round_ties_even();
    let wrong = || {
        let message = format!("time field value out of range: {hour}:{minute:02}:{second:02}");
        fault("22008", message)
    };
    if !(0.0..=60e6).contains(&seconds) || !(0..60).contains(&minute) || !(0..=24).contains(&hour) {
        return Err(wrong());
    }
    let micros = (hour * 60 + minute) * MICROS_PER_MINUTE + whole64(seconds)?;
    if micros > MICROS_PER_DAY { Err(wrong()) } else { Ok(micros) }
}

fn moment(call: &Call, row: usize) -> Result<i64> {
    let day = days(call.int(0, row)?, call.int(1, row)?, call.int(2, row)?)?;
    let time = clock(call.int(3, row)?, call.int(4, row)?, call.float(5, row)?)?;
    join(day, time)
}

/// Years, months, weeks, days, hours, minutes, seconds; those at the end may be left out.
const INTERVALS: &[Form] = &[
    form(&[], Interval, span),
    form(&[Int4], Interval, span),
    form(&[Int4, Int4], Interval, span),
    form(&[Int4, Int4, Int4], Interval, span),
    form(&[Int4, Int4, Int4, Int4], Interval, span),
    form(&[Int4, Int4, Int4, Int4, Int4], Interval, span),
    form(&[Int4, Int4, Int4, Int4, Int4, Int4], Interval, span),
    form(&[Int4, Int4, Int4, Int4, Int4, Int4, Float8], Interval, span),
];

fn span(call: &Call, row: usize) -> Result<Value> {
    let part = |at: usize| if at < call.n_args() { call.int(at, row) } else { Ok(0) };
    let seconds = if call.n_args() > 6 { call.float(6, row)? } else { 0.0 };
    let months = part(0)? * 12 + part(1)?;
    let days = part(2)? * 7 + part(3)?;
    let minutes = part(4)? * 60 + part(5)?;
    let micros = whole64((seconds * 1e6).round_ties_even())?;
    let micros = minutes.checked_mul(MICROS_PER_MINUTE).and_then(|m| m.checked_add(micros));
    let months = i32::try_from(months).map_err(|_| interval_out_of_range())?;
    let days = i32::try_from(days).map_err(|_| interval_out_of_range())?;
    Ok(Value::Span(Span { months, days, micros: micros.ok_or_else(interval_out_of_range)? }))
}

/// `timezone(zone, value)` is `value AT TIME ZONE zone`.
const ZONES: &[Form] = &[
    form(&[Text, Timestamptz], Timestamp, |call, row| {
        Ok(Value::Micros(zone(call, row)?.to_local(call.micros(1, row)?)))
    }),
    form(&[Text, Timestamp], Timestamptz, |call, row| {
        Ok(Value::Micros(zone(call, row)?.to_instant(call.micros(1, row)?)))
    }),
    form(&[Text, Timetz], Timetz, |call, row| {
        in_zone(call.timetz(1, row)?, zone(call, row)?).map(Value::Zoned)
    }),
    form(&[Interval, Timetz], Timetz, |call, row| {
        in_zone(call.timetz(1, row)?, offset(call, row)?).map(Value::Zoned)
    }),
    form(&[Interval, Timestamptz], Timestamp, |call, row| {
        Ok(Value::Micros(offset(call, row)?.to_local(call.micros(1, row)?)))
    }),
    form(&[Interval, Timestamp], Timestamptz, |call, row| {
        Ok(Value::Micros(offset(call, row)?.to_instant(call.micros(1, row)?)))
    }),
];

fn zone(call: &Call, row: usize) -> Result<Zone> {
    let name = call.text(0, row)?;
    Zone::operand(name).ok_or_else(|| unknown_zone(name))
}

fn offset(call: &Call, row: usize) -> Result<Zone> {
    let span = call.span(0, row)?;
    if span.months != 0 || span.days != 0 {
        let text = super::span_text::span_text(span, call.time.interval_style);
        let message = format!("interval time zone \"{text}\" must not include months or days");
        return Err(fault("22023", message));
    }
    i32::try_from(span.micros / MICROS_PER_SECOND)
        .map(Zone::Fixed)
        .map_err(|_| interval_out_of_range())
}

const OVERLAPS: &[Form] = &[
    form(&[Timestamp, Timestamp, Timestamp, Timestamp], Bool, overlaps),
    form(&[Timestamptz, Timestamptz, Timestamptz, Timestamptz], Bool, overlaps),
    form(&[Time, Time, Time, Time], Bool, overlaps),
    form(&[Timetz, Timetz, Timetz, Timetz], Bool, overlaps),
    form(&[Timestamp, Interval, Timestamp, Interval], Bool, overlaps),
    form(&[Timestamp, Interval, Timestamp, Timestamp], Bool, overlaps),
    form(&[Timestamp, Timestamp, Timestamp, Interval], Bool, overlaps),
    form(&[Timestamptz, Interval, Timestamptz, Interval], Bool, overlaps),
    form(&[Timestamptz, Interval, Timestamptz, Timestamptz], Bool, overlaps),
    form(&[Timestamptz, Timestamptz, Timestamptz, Interval], Bool, overlaps),
    form(&[Time, Interval, Time, Interval], Bool, overlaps),
    form(&[Time, Interval, Time, Time], Bool, overlaps),
    form(&[Time, Time, Time, Interval], Bool, overlaps),
];

/// Whether two periods have a moment in common; an end may be a length.
fn overlaps(call: &Call, row: usize) -> Result<Value> {
    let point = |at: usize| -> Result<Option<i64>> {
        if call.is_null(at, row) {
            return Ok(None);
        }
        if at % 2 == 1
            && let Ok(span) = call.span(at, row)
        {
            return if call.is_null(at - 1, row) {
                Ok(None)
            } else {
                span.after_in(call.micros(at - 1, row)?, call.time.zone).map(Some)
            };
        }
        match call.timetz(at, row) {
            Ok(time) => Ok(Some(time.order())),
            Err(_) => call.micros(at, row).map(Some),
        }
    };
    // The known end of a period stands first; then the earlier one.
    let ordered = |a: Option<i64>, b: Option<i64>| match (a, b) {
        (Some(a), Some(b)) if a > b => (Some(b), Some(a)),
        (None, b) => (b, None),
        both => both,
    };
    let (start, end) = ordered(point(0)?, point(1)?);
    let (other_start, other_end) = ordered(point(2)?, point(3)?);
    let (Some(start), Some(other_start)) = (start, other_start) else { return Ok(Value::Null) };
    let inside = |end: Option<i64>, at: i64| match end {
        Some(end) if at < end => Value::Bool(true),
        Some(_) => Value::Bool(false),
        None => Value::Null,
    };
    Ok(match start.cmp(&other_start) {
        std::cmp::Ordering::Greater => match inside(other_end, start) {
            Value::Bool(false) => Value::Bool(false),
            value if end.is_some() || other_end.is_some() => value,
            _ => Value::Null,
        },
        std::cmp::Ordering::Less => inside(end, other_start),
        std::cmp::Ordering::Equal if end.is_none() || other_end.is_none() => Value::Null,
        std::cmp::Ordering::Equal => Value::Bool(true),
    })
}
