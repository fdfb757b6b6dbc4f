//! The engine's types for PostgreSQL's dates, times and intervals.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use sqlparser::ast::{DataType as Sql, IntervalFields, TimezoneInfo};
use tarn_catalog::pg_type::{FIELD_PG_TYPMOD, TIMETZ};

use super::span_text::Fields;

/// A timestamp without time zone.
pub(crate) const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
/// A time of day.
pub(crate) const TIME: DataType = DataType::Time64(TimeUnit::Microsecond);
/// An interval.
pub(crate) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// An instant; the session's zone matters only where it is read or shown.
pub(crate) fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// More digits of a second than six are cut to six, with a warning in PostgreSQL.
const PRECISION_MAX: u64 = 6;
/// All units, in the type modifier of `interval(p)`.
const ALL_FIELDS: i32 = 0x7fff;
/// No precision, in the type modifier of `interval day to hour`.
const FULL_PRECISION: i32 = 0xffff;

const YEAR: i32 = 1 << 2;
const MONTH: i32 = 1 << 1;
const DAY: i32 = 1 << 3;
const HOUR: i32 = 1 << 10;
const MINUTE: i32 = 1 << 11;
const SECOND: i32 = 1 << 12;

/// The type for a name in SQL, with its type modifier; `None` for other types.
pub(crate) fn temporal_field(sql_type: &Sql) -> Option<FieldRef> {
    let digits = |precision: &Option<u64>| {
        precision.map(|digits| i32::try_from(digits.min(PRECISION_MAX)).unwrap_or(6))
    };
    let (data_type, modifier) = match sql_type {
        Sql::Timestamp(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            (TIMESTAMP, digits(precision))
        }
        Sql::Timestamp(precision, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
            (timestamptz(), digits(precision))
        }
        Sql::Time(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            (TIME, digits(precision))
        }
        Sql::Time(precision, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
            (TIMETZ, digits(precision))
        }
        Sql::Interval { fields, precision } => {
            (INTERVAL, interval_modifier(fields.as_ref(), digits(precision)))
        }
        _ => return None,
    };
    let mut field = Field::new("cast", data_type, true);
    if let Some(modifier) = modifier {
        let metadata = HashMap::from([(FIELD_PG_TYPMOD.to_owned(), modifier.to_string())]);
        field = field.with_metadata(metadata);
    }
    Some(Arc::new(field))
}

fn interval_modifier(fields: Option<&IntervalFields>, precision: Option<i32>) -> Option<i32> {
    if fields.is_none() && precision.is_none() {
        return None;
    }
    let mask = match fields {
        None => ALL_FIELDS,
        Some(IntervalFields::Year) => YEAR,
        Some(IntervalFields::Month) => MONTH,
        Some(IntervalFields::Day) => DAY,
        Some(IntervalFields::Hour) => HOUR,
        Some(IntervalFields::Minute) => MINUTE,
        Some(IntervalFields::Second) => SECOND,
        Some(IntervalFields::YearToMonth) => YEAR | MONTH,
        Some(IntervalFields::DayToHour) => DAY | HOUR,
        Some(IntervalFields::DayToMinute) => DAY | HOUR | MINUTE,
        Some(IntervalFields::DayToSecond) => DAY | HOUR | MINUTE | SECOND,
        Some(IntervalFields::HourToMinute) => HOUR | MINUTE,
        Some(IntervalFields::HourToSecond) => HOUR | MINUTE | SECOND,
        Some(IntervalFields::MinuteToSecond) => MINUTE | SECOND,
    };
    Some((mask << 16) | precision.unwrap_or(FULL_PRECISION))
}

/// Units and precision of an interval's type modifier.
pub(crate) fn interval_limits(modifier: i32) -> (Fields, Option<u32>) {
    let mask = (modifier >> 16) & ALL_FIELDS;
    let fields = match mask {
        ALL_FIELDS => Fields::All,
        m if m == MINUTE | SECOND => Fields::MinuteToSecond,
        m if m & SECOND != 0 => Fields::Second,
        m if m & MINUTE != 0 => Fields::Minute,
        m if m & HOUR != 0 => Fields::Hour,
        m if m & DAY != 0 => Fields::Day,
        m if m & MONTH != 0 => Fields::Month,
        m if m & YEAR != 0 => Fields::Year,
        _ => Fields::All,
    };
    let precision = modifier & FULL_PRECISION;
    (fields, (precision != FULL_PRECISION).then(|| u32::try_from(precision).unwrap_or(6)))
}

/// The type modifier that a field carries.
pub(crate) fn modifier_of(field: &Field) -> Option<i32> {
    let text = field.metadata().get(FIELD_PG_TYPMOD)?;
    text.parse().ok().filter(|modifier| *modifier >= 0)
}
