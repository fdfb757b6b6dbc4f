//! `date_trunc(unit, value [, zone])`.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::calendar::{
    Civil, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, day_of_week, finite, join, split,
};
use super::part::unit;
use super::zone::Zone;
use crate::functions::fault::fault;
use crate::functions::frame::Kind::{Interval, Text, Timestamp, Timestamptz};
use crate::functions::frame::{Call, Form, Function, Value, form};

pub(super) fn function() -> Arc<ScalarUDF> {
    const FORMS: &[Form] = &[
        form(&[Text, Timestamptz], Timestamptz, |call, row| in_zone(call, row, call.time.zone)),
        form(&[Text, Timestamp], Timestamp, |call, row| {
            let name = "timestamp without time zone";
            Ok(Value::Micros(truncated(call.text(0, row)?, call.micros(1, row)?, name)?))
        }),
        form(&[Text, Interval], Interval, span),
        form(&[Text, Timestamptz, Text], Timestamptz, |call, row| {
            let zone = call.text(2, row)?;
            let found = Zone::operand(zone).ok_or_else(|| unknown_zone(zone))?;
            in_zone(call, row, found)
        }),
    ];
    Function::stable("date_trunc", FORMS).alias("datetrunc").into_udf()
}

/// 22023 for a zone that does not exist.
pub(super) fn unknown_zone(name: &str) -> datafusion::error::DataFusionError {
    fault("22023", format!("time zone \"{name}\" not recognized"))
}

fn in_zone(call: &Call, row: usize, zone: Zone) -> Result<Value> {
    let at = call.micros(1, row)?;
    let unit_name = call.text(0, row)?;
    let local = truncated(unit_name, zone.to_local(at), "timestamp with time zone")?;
    // Within an hour the offset stays, also when the hour comes twice.
    let short = matches!(
        unit(unit_name),
        Some("hour" | "minute" | "second" | "milliseconds" | "microseconds")
    );
    if short && finite(at) {
        return Ok(Value::Micros(local - zone.offset_at(at) * MICROS_PER_SECOND));
    }
    Ok(Value::Micros(zone.to_instant(local)))
}

fn truncated(name: &str, local: i64, type_name: &str) -> Result<i64> {
    let unknown = || {
        let name = name.to_ascii_lowercase();
        fault("22023", format!("unit \"{name}\" not recognized for type {type_name}"))
    };
    let unit = unit(name).ok_or_else(unknown)?;
    let (day, time) = split(if finite(local) { local } else { 0 });
    let civil = Civil::from_days(day);
    let year = civil.year;
    let start = |year: i64, month: i64| Civil { year, month, day: 1 }.to_days();
    // Centuries and millennia begin with the year 1, and with 100 BC, 200 BC, …
    let block = |size: i64| match year {
        year if year > 0 => (year - 1).div_euclid(size) * size + 1,
        year => -((size - 1 - (year - 1)) / size) * size + 1,
    };
    let clock = |size: i64| join(day, time - time % size);
    let truncated = match unit {
        "microseconds" => join(day, time)?,
        "milliseconds" => clock(1_000)?,
        "second" => clock(MICROS_PER_SECOND)?,
        "minute" => clock(MICROS_PER_MINUTE)?,
        "hour" => clock(MICROS_PER_HOUR)?,
        "day" => join(day, 0)?,
        "week" => join(day - (day_of_week(day) + 6) % 7, 0)?,
        "month" => join(start(year, civil.month), 0)?,
        "quarter" => join(start(year, (civil.month - 1) / 3 * 3 + 1), 0)?,
        "year" => join(start(year, 1), 0)?,
        "decade" => join(start(year.div_euclid(10) * 10, 1), 0)?,
        "century" => join(start(block(100), 1), 0)?,
        "millennium" => join(start(block(1_000), 1), 0)?,
        _ => return Err(unknown()),
    };
    Ok(if finite(local) { truncated } else { local })
}

fn span(call: &Call, row: usize) -> Result<Value> {
    let name = call.text(0, row)?;
    let lower = name.to_ascii_lowercase();
    match unit(name) {
        Some("week") => {
            Err(fault("0A000", format!("unit \"{lower}\" not supported for type interval")))
        }
        Some(unit) if call.span(1, row)?.truncated(unit).is_some() => {
            Ok(call.span(1, row)?.truncated(unit).map_or(Value::Null, Value::Span))
        }
        _ => Err(fault("22023", format!("unit \"{lower}\" not recognized for type interval"))),
    }
}
