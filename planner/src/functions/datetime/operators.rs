//! `+`, `-`, `*`, `/` on dates, times and intervals, and what else adds them up.

use std::sync::{Arc, LazyLock};

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use tarn_catalog::pg_type::TimeTz;

use super::calendar::{MICROS_PER_DAY, date_out_of_range, day_in_range, finite_day, join, split};
use super::convert::midnight;
use super::span::Span;
use super::timetz::{on_day, with_micros};
use crate::functions::fault::fault;
use crate::functions::frame::Kind::{
    Date, Float8, Int4, Interval, Time, Timestamp, Timestamptz, Timetz,
};
use crate::functions::frame::{Call, Form, Function, Value, form};

pub(crate) static PLUS: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Function::stable("temporal_plus", PLUS_FORMS).into_udf());
pub(crate) static MINUS: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Function::stable("temporal_minus", MINUS_FORMS).into_udf());
pub(crate) static TIMES: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Function::immutable("interval_times", TIMES_FORMS).into_udf());
pub(crate) static DIVIDED: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    const FORMS: &[Form] = &[form(&[Interval, Float8], Interval, |call, row| {
        Ok(Value::Span(call.span(0, row)?.divided(call.float(1, row)?)?))
    })];
    Function::immutable("interval_divided", FORMS).into_udf()
});
pub(crate) static NEGATED: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    const FORMS: &[Form] =
        &[form(&[Interval], Interval, |call, row| Ok(Value::Span(call.span(0, row)?.negated()?)))];
    Function::immutable("interval_negated", FORMS).into_udf()
});

pub(crate) static INTERVAL_ORDER: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Function::immutable("interval_order", ORDER).into_udf());

/// The functions that stand for operators, so that plans can be read back by name.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [&PLUS, &MINUS, &TIMES, &DIVIDED, &NEGATED].into_iter().map(|udf| Arc::clone(udf)).collect()
}

const PLUS_FORMS: &[Form] = &[
    form(&[Date, Int4], Date, |c, row| later_day(c.date(0, row)?, c.int(1, row)?)),
    form(&[Int4, Date], Date, |c, row| later_day(c.date(1, row)?, c.int(0, row)?)),
    form(&[Date, Interval], Timestamp, |c, row| after(c.span(1, row)?, midnight(c.date(0, row)?)?)),
    form(&[Interval, Date], Timestamp, |c, row| after(c.span(0, row)?, midnight(c.date(1, row)?)?)),
    form(&[Date, Time], Timestamp, |c, row| at_time(c.date(0, row)?, c.micros(1, row)?)),
    form(&[Time, Date], Timestamp, |c, row| at_time(c.date(1, row)?, c.micros(0, row)?)),
    form(&[Timestamp, Interval], Timestamp, |c, row| after(c.span(1, row)?, c.micros(0, row)?)),
    form(&[Interval, Timestamp], Timestamp, |c, row| after(c.span(0, row)?, c.micros(1, row)?)),
    form(&[Timestamptz, Interval], Timestamptz, |c, row| {
        Ok(Value::Micros(c.span(1, row)?.after_in(c.micros(0, row)?, c.time.zone)?))
    }),
    form(&[Interval, Timestamptz], Timestamptz, |c, row| {
        Ok(Value::Micros(c.span(0, row)?.after_in(c.micros(1, row)?, c.time.zone)?))
    }),
    form(&[Time, Interval], Time, |c, row| Ok(clock(c.micros(0, row)?, c.span(1, row)?, 1))),
    form(&[Interval, Time], Time, |c, row| Ok(clock(c.micros(1, row)?, c.span(0, row)?, 1))),
    form(&[Timetz, Interval], Timetz, |c, row| zoned(c.timetz(0, row)?, c.span(1, row)?, 1)),
    form(&[Interval, Timetz], Timetz, |c, row| zoned(c.timetz(1, row)?, c.span(0, row)?, 1)),
    form(&[Date, Timetz], Timestamptz, |c, row| {
        on_day(c.date(0, row)?, c.timetz(1, row)?).map(Value::Micros)
    }),
    form(&[Timetz, Date], Timestamptz, |c, row| {
        on_day(c.date(1, row)?, c.timetz(0, row)?).map(Value::Micros)
    }),
    form(&[Interval, Interval], Interval, |c, row| {
        Ok(Value::Span(c.span(0, row)?.plus(c.span(1, row)?)?))
    }),
];

const MINUS_FORMS: &[Form] = &[
    form(&[Date, Int4], Date, |c, row| later_day(c.date(0, row)?, -c.int(1, row)?)),
    form(&[Date, Date], Int4, |c, row| {
        let (a, b) = (c.date(0, row)?, c.date(1, row)?);
        if !finite_day(a) || !finite_day(b) {
            return Err(fault("22008", "cannot subtract infinite dates"));
        }
        Ok(Value::Int(i64::from(a) - i64::from(b)))
    }),
    form(&[Date, Interval], Timestamp, |c, row| {
        after(c.span(1, row)?.negated()?, midnight(c.date(0, row)?)?)
    }),
    form(&[Timestamp, Timestamp], Interval, between),
    form(&[Timestamptz, Timestamptz], Interval, between),
    form(&[Timestamp, Interval], Timestamp, |c, row| {
        after(c.span(1, row)?.negated()?, c.micros(0, row)?)
    }),
    form(&[Timestamptz, Interval], Timestamptz, |c, row| {
        let span = c.span(1, row)?.negated()?;
        Ok(Value::Micros(span.after_in(c.micros(0, row)?, c.time.zone)?))
    }),
    form(&[Time, Time], Interval, |c, row| {
        Ok(Value::Span(Span::from_micros(c.micros(0, row)? - c.micros(1, row)?)))
    }),
    form(&[Time, Interval], Time, |c, row| Ok(clock(c.micros(0, row)?, c.span(1, row)?, -1))),
    form(&[Timetz, Interval], Timetz, |c, row| zoned(c.timetz(0, row)?, c.span(1, row)?, -1)),
    form(&[Interval, Interval], Interval, |c, row| {
        Ok(Value::Span(c.span(0, row)?.minus(c.span(1, row)?)?))
    }),
];

const TIMES_FORMS: &[Form] = &[
    form(&[Interval, Float8], Interval, |c, row| {
        Ok(Value::Span(c.span(0, row)?.times(c.float(1, row)?)?))
    }),
    form(&[Float8, Interval], Interval, |c, row| {
        Ok(Value::Span(c.span(1, row)?.times(c.float(0, row)?)?))
    }),
];

fn later_day(day: i32, n: i64) -> Result<Value> {
    if !finite_day(day) {
        return Ok(Value::Date(day));
    }
    day_in_range(i64::from(day) + n).map(Value::Date).ok_or_else(date_out_of_range)
}

fn after(span: Span, local: i64) -> Result<Value> {
    Ok(Value::Micros(span.after(local)?))
}

fn at_time(day: i32, time: i64) -> Result<Value> {
    if !finite_day(day) {
        return Ok(Value::Micros(midnight(day)?));
    }
    Ok(Value::Micros(join(i64::from(day), time)?))
}

/// A time of day so much later or earlier, on whatever day.
fn clock(time: i64, span: Span, sign: i64) -> Value {
    Value::Micros(moved(time, span, sign))
}

fn moved(time: i64, span: Span, sign: i64) -> i64 {
    (time + sign * (span.micros % MICROS_PER_DAY)).rem_euclid(MICROS_PER_DAY)
}

fn zoned(time: TimeTz, span: Span, sign: i64) -> Result<Value> {
    with_micros(time, moved(time.micros(), span, sign)).map(Value::Zoned)
}

fn between(call: &Call, row: usize) -> Result<Value> {
    Ok(Value::Span(Span::between(call.micros(1, row)?, call.micros(0, row)?)?))
}

const SPAN: &[super::super::frame::Kind] = &[Interval];

/// `age`, `justify_…`, `isfinite`, `overlaps`, `date_bin` and what makes intervals.
pub(super) fn named() -> Vec<Arc<ScalarUDF>> {
    use crate::functions::frame::Kind::Bool;
    const AGE: &[Form] = &[
        form(&[Timestamp, Timestamp], Interval, |c, row| {
            Ok(Value::Span(Span::age(c.micros(1, row)?, c.micros(0, row)?)?))
        }),
        form(&[Timestamptz, Timestamptz], Interval, |c, row| {
            let local = |at| c.micros(at, row).map(|at| c.time.zone.to_local(at));
            Ok(Value::Span(Span::age(local(1)?, local(0)?)?))
        }),
        form(&[Timestamp], Interval, |c, row| {
            let today = split(c.time.zone.to_local(super::text::now())).0;
            Ok(Value::Span(Span::age(c.micros(0, row)?, join(today, 0)?)?))
        }),
        form(&[Timestamptz], Interval, |c, row| {
            let today = split(c.time.zone.to_local(super::text::now())).0;
            let local = c.time.zone.to_local(c.micros(0, row)?);
            Ok(Value::Span(Span::age(local, join(today, 0)?)?))
        }),
    ];
    const HOURS: &[Form] =
        &[form(SPAN, Interval, |c, row| Ok(Value::Span(c.span(0, row)?.justify_hours()?)))];
    const DAYS: &[Form] =
        &[form(SPAN, Interval, |c, row| Ok(Value::Span(c.span(0, row)?.justify_days()?)))];
    const BOTH: &[Form] =
        &[form(SPAN, Interval, |c, row| Ok(Value::Span(c.span(0, row)?.justify()?)))];
    const FINITE: &[Form] = &[
        form(&[Date], Bool, |c, row| Ok(Value::Bool(finite_day(c.date(0, row)?)))),
        form(&[Timestamp], Bool, finite),
        form(&[Timestamptz], Bool, finite),
        form(&[Interval], Bool, |_, _| Ok(Value::Bool(true))),
    ];
    const BIN: &[Form] = &[
        form(&[Interval, Timestamp, Timestamp], Timestamp, bin),
        form(&[Interval, Timestamptz, Timestamptz], Timestamptz, bin),
    ];
    vec![
        Function::stable("age", AGE).into_udf(),
        Function::immutable("justify_hours", HOURS).into_udf(),
        Function::immutable("justify_days", DAYS).into_udf(),
        Function::immutable("justify_interval", BOTH).into_udf(),
        Function::immutable("isfinite", FINITE).into_udf(),
        Function::immutable("date_bin", BIN).into_udf(),
        Arc::clone(&INTERVAL_ORDER),
    ]
}

fn finite(call: &Call, row: usize) -> Result<Value> {
    Ok(Value::Bool(super::calendar::finite(call.micros(0, row)?)))
}

fn bin(call: &Call, row: usize) -> Result<Value> {
    let stride = call.span(0, row)?;
    let (at, origin) = (call.micros(1, row)?, call.micros(2, row)?);
    if !super::calendar::finite(at) {
        return Ok(Value::Micros(at));
    }
    if !super::calendar::finite(origin) {
        return Err(fault("22008", "origin out of range"));
    }
    if stride.months != 0 {
        let message = "timestamps cannot be binned into intervals containing months or years";
        return Err(fault("0A000", message));
    }
    let stride = i128::from(stride.days) * i128::from(MICROS_PER_DAY) + i128::from(stride.micros);
    let stride = i64::try_from(stride).map_err(|_| super::span::interval_out_of_range())?;
    if stride <= 0 {
        return Err(fault("22008", "stride must be greater than zero"));
    }
    let since = at.checked_sub(origin).ok_or_else(super::calendar::out_of_range)?;
    Ok(Value::Micros(at - since.rem_euclid(stride)))
}

/// What intervals are compared by: microseconds, with months of 30 days and days of 24 hours. More
/// than 64 bits are saturated, which only intervals beyond 292,000 years reach.
const ORDER: &[Form] = &[form(&[Interval], crate::functions::frame::Kind::Int8, |c, row| {
    let order = c.span(0, row)?.order();
    let least = i128::from(i64::MIN);
    let order = order.clamp(least, i128::from(i64::MAX));
    Ok(Value::Int(i64::try_from(order).unwrap_or(i64::MAX)))
})];
