//! Times of day with a zone: reading them, what converts into them, and their arithmetic.
//!
//! The values are [`TimeTz`]; how columns hold them is said there.
//!
//! # Source
//! PostgreSQL, `timetz_in`, `timetz_zone`, `datetimetz_timestamptz` and their neighbours (date.c)
//! and `DecodeTimeOnly` (datetime.c).

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, FixedSizeBinaryArray, StringArray, Time64MicrosecondArray};
use arrow::datatypes::{ArrowPrimitiveType, Time64MicrosecondType, TimestampMicrosecondType};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use tarn_catalog::pg_type::TimeTz;

use super::calendar::{finite, in_range, join, split};
use super::convert::midnight;
use super::decode::{Decoded, Trouble, decode};
use super::span_text::round_to;
use super::text::{TimeSettings, error, now};
use super::zone::Zone;
use crate::error::PlannerError;
use crate::functions::fault::fault;

const NAME: &str = "time with time zone";

/// The value of a local time in a zone given in seconds east of Greenwich.
fn east(micros: i64, seconds: i64) -> Option<TimeTz> {
    TimeTz::new(micros, i32::try_from(-seconds).ok()?)
}

fn out_of_range() -> DataFusionError {
    fault("22008", format!("{NAME} out of range"))
}

/// Reads a `timetz`; without a zone in the text it is the session's, as of the day in the text or
/// of today.
///
/// # Errors
/// 22007 for what is no time, 22008 for times that do not exist, 22009 for zones that do not.
pub(super) fn parse_timetz(text: &str, settings: &TimeSettings) -> Result<TimeTz> {
    let failed = |trouble| error(trouble, NAME, text);
    let (days, time, zone) = match decode(text, settings.surroundings(true)).map_err(failed)? {
        Decoded::Now => return instant(now(), settings),
        Decoded::At { days, time, zone } => (days, time, zone),
        Decoded::Late | Decoded::Early | Decoded::Epoch => {
            return Err(failed(Trouble::Syntax));
        }
    };
    let local = |zone: Zone, days: i64| {
        join(days, time).map(|local| zone.offset_of_local(local)).map_err(|_| out_of_range())
    };
    let seconds = match (zone, days) {
        (Some(Zone::Fixed(seconds)), _) => i64::from(seconds),
        (Some(zone), Some(days)) => local(zone, days)?,
        // What the clocks of a place show depends on the day.
        (Some(_), None) => return Err(failed(Trouble::Syntax)),
        (None, days) => local(settings.zone, days.unwrap_or_else(|| today(settings)))?,
    };
    east(time, seconds).ok_or_else(|| failed(Trouble::ZoneRange))
}

/// Reads a `timetz` for the wire in a session's zone.
///
/// # Errors
/// SQLSTATE and message, as [`parse_timetz`].
pub fn read_timetz(text: &str, zone: Zone) -> std::result::Result<TimeTz, (&'static str, String)> {
    let settings = TimeSettings::read(zone, "", "");
    parse_timetz(text, &settings).map_err(|error| {
        if let DataFusionError::External(inner) = &error
            && let Some(PlannerError::Semantics { code, message, .. }) = inner.downcast_ref()
        {
            return (*code, message.clone());
        }
        ("XX000", error.to_string())
    })
}

/// Today's day in the session's zone.
fn today(settings: &TimeSettings) -> i64 {
    split(settings.zone.to_local(now())).0
}

/// What clocks in the session's zone show at an instant.
pub(super) fn instant(at: i64, settings: &TimeSettings) -> Result<TimeTz> {
    let zone = settings.zone;
    east(split(zone.to_local(at)).1, zone.offset_at(at)).ok_or_else(out_of_range)
}

/// A time of today in the session's zone.
fn of_time(time: i64, settings: &TimeSettings) -> Result<TimeTz> {
    let local = join(today(settings), time).map_err(|_| out_of_range())?;
    east(time, settings.zone.offset_of_local(local)).ok_or_else(out_of_range)
}

/// The same instant in another zone; places have the offset of now.
pub(super) fn in_zone(value: TimeTz, zone: Zone) -> Result<TimeTz> {
    let west = i32::try_from(-zone.offset_at(now())).map_err(|_| out_of_range())?;
    value.in_zone(west).ok_or_else(out_of_range)
}

/// The value with the time of its clocks changed.
pub(super) fn with_micros(value: TimeTz, micros: i64) -> Result<TimeTz> {
    TimeTz::new(micros, value.west()).ok_or_else(out_of_range)
}

/// The instant of a time on a day.
pub(super) fn on_day(day: i32, value: TimeTz) -> Result<i64> {
    let start = midnight(day)?;
    if !finite(start) {
        return Ok(start);
    }
    in_range(start.saturating_add(value.utc_micros()))
        .ok_or_else(|| fault("22008", "timestamp out of range"))
}

/// The values of a column.
pub(super) fn values(array: &ArrayRef) -> Result<Vec<Option<TimeTz>>> {
    let Some(array) = array.as_fixed_size_binary_opt() else { return Err(out_of_range()) };
    let read = |bytes: &[u8]| TimeTz::from_bytes(bytes).ok_or_else(out_of_range);
    array.iter().map(|bytes| bytes.map(read).transpose()).collect()
}

/// A column of values.
pub(crate) fn column(values: impl Iterator<Item = Option<TimeTz>>) -> Result<ArrayRef> {
    let bytes = values.map(|value| value.map(TimeTz::to_bytes));
    Ok(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, 12)?))
}

fn each<T>(
    items: impl Iterator<Item = Option<T>>,
    make: impl Fn(T) -> Result<TimeTz>,
) -> Result<ArrayRef> {
    let made: Vec<Option<TimeTz>> =
        items.map(|item| item.map(&make).transpose()).collect::<Result<_>>()?;
    column(made.into_iter())
}

/// Reads a column of texts.
pub(super) fn of_texts(texts: &StringArray, settings: &TimeSettings) -> Result<ArrayRef> {
    each(texts.iter(), |text| parse_timetz(text, settings))
}

/// Times of day as they are today in the session's zone.
pub(super) fn of_times(array: &ArrayRef, settings: &TimeSettings) -> Result<ArrayRef> {
    each(array.as_primitive::<Time64MicrosecondType>().iter(), |time| of_time(time, settings))
}

/// The times of day of instants; the ends of time have none.
pub(super) fn of_instants(array: &ArrayRef, settings: &TimeSettings) -> Result<ArrayRef> {
    let instants = array.as_primitive::<TimestampMicrosecondType>().iter();
    let instants = instants.map(|at| at.filter(|at| finite(*at)));
    each(instants, |at: <TimestampMicrosecondType as ArrowPrimitiveType>::Native| {
        instant(at, settings)
    })
}

/// What clocks show, without the zone.
pub(super) fn to_times(array: &ArrayRef) -> Result<ArrayRef> {
    let times = values(array)?.into_iter().map(|value| value.map(TimeTz::micros));
    Ok(Arc::new(times.collect::<Time64MicrosecondArray>()))
}

/// Rounds to digits of a second.
pub(crate) fn rounded(array: &ArrayRef, digits: u32) -> Result<ArrayRef> {
    each(values(array)?.into_iter(), |value| with_micros(value, round_to(value.micros(), digits)))
}
