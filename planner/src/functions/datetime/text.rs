//! Dates, times and timestamps as text, both ways, by a session's settings.

use std::fmt::Write;

use chrono::Utc;
use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;

use super::calendar::{
    Civil, EARLIEST, EARLIEST_DAY, LATEST, LATEST_DAY, MICROS_PER_DAY, MICROS_PER_SECOND,
    day_in_range, day_of_week, finite, join, split,
};
pub(crate) use super::decode::DateOrder;
use super::decode::{Decoded, Surroundings, Trouble, decode};
use super::span_text::{Style, fraction_text};
use super::zone::Zone;
use crate::facts::SessionFacts;
use crate::functions::fault::fault;

/// The forms of `DateStyle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DateStyle {
    #[default]
    Iso,
    Sql,
    Postgres,
    German,
}

/// The settings of a session that dates and times depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeSettings {
    pub(crate) zone: Zone,
    pub(crate) order: DateOrder,
    pub(crate) style: DateStyle,
    pub(crate) interval_style: Style,
}

impl TimeSettings {
    /// Reads the settings of the session that a statement runs in.
    pub(crate) fn of(options: &ConfigOptions) -> Self {
        let facts = options.extensions.get::<SessionFacts>();
        let setting = |name: &str| facts.and_then(|facts| facts.settings.get(name));
        let date_style = setting("datestyle").unwrap_or_default().to_ascii_lowercase();
        let style = match date_style.split(',').next().map(str::trim) {
            Some("sql") => DateStyle::Sql,
            Some("postgres") => DateStyle::Postgres,
            Some("german") => DateStyle::German,
            _ => DateStyle::Iso,
        };
        let order = match date_style.split(',').nth(1).map(str::trim) {
            Some("dmy") => DateOrder::Dmy,
            Some("ymd") => DateOrder::Ymd,
            _ => DateOrder::Mdy,
        };
        Self {
            zone: Zone::of_session(options.execution.time_zone.as_deref()),
            order,
            style,
            interval_style: Style::of(&setting("intervalstyle").unwrap_or_default()),
        }
    }

    fn surroundings(&self, time_only: bool) -> Surroundings {
        let today = split(self.zone.to_local(now())).0;
        Surroundings { order: self.order, today, time_only }
    }
}

/// Microseconds since 1970.
pub(crate) fn now() -> i64 {
    Utc::now().timestamp_micros()
}

fn error(trouble: Trouble, data_type: &str, text: &str) -> DataFusionError {
    match trouble {
        Trouble::Syntax => {
            fault("22007", format!("invalid input syntax for type {data_type}: \"{text}\""))
        }
        Trouble::Range | Trouble::MonthDay => {
            fault("22008", format!("date/time field value out of range: \"{text}\""))
        }
        Trouble::ZoneRange => {
            fault("22009", format!("time zone displacement out of range: \"{text}\""))
        }
        Trouble::Zone(name) => fault("22023", format!("time zone \"{name}\" not recognized")),
    }
}

/// Reads a `date` as days since 1970.
///
/// # Errors
/// 22007 for what is no date, 22008 for days that do not exist.
pub(crate) fn parse_date(text: &str, settings: &TimeSettings) -> Result<i32> {
    if let Some(days) = plain_date(text) {
        return Ok(days);
    }
    let decoded = decode(text, settings.surroundings(false));
    match decoded.map_err(|trouble| error(trouble, "date", text))? {
        Decoded::Late => Ok(LATEST_DAY),
        Decoded::Early => Ok(EARLIEST_DAY),
        Decoded::Epoch => Ok(0),
        Decoded::Now => Ok(i32::try_from(settings.surroundings(false).today).unwrap_or(0)),
        Decoded::At { days, .. } => days
            .and_then(day_in_range)
            .ok_or_else(|| fault("22008", format!("date out of range: \"{text}\""))),
    }
}

/// `2024-01-31`, which nearly all dates look like.
fn plain_date(text: &str) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else { return None };
    let mut number = [0_i64; 3];
    for (at, digits) in [[y1, y2, y3, y4].as_slice(), &[m1, m2], &[d1, d2]].iter().enumerate() {
        for digit in *digits {
            let value = digit.is_ascii_digit().then(|| i64::from(**digit - b'0'))?;
            let slot = number.get_mut(at)?;
            *slot = *slot * 10 + value;
        }
    }
    let [year, month, day] = number;
    let civil = Civil { year, month, day };
    (year > 0 && civil.valid()).then(|| i32::try_from(civil.to_days()).ok()).flatten()
}

/// Reads a `time` as microseconds since midnight.
///
/// # Errors
/// 22007 for what is no time, 22008 for times that do not exist.
pub(crate) fn parse_time(text: &str, settings: &TimeSettings) -> Result<i64> {
    let decoded = decode(text, settings.surroundings(true));
    match decoded.map_err(|trouble| error(trouble, "time", text))? {
        Decoded::Now => Ok(split(settings.zone.to_local(now())).1),
        Decoded::At { time, .. } => Ok(time),
        Decoded::Late | Decoded::Early | Decoded::Epoch => {
            Err(error(Trouble::Syntax, "time", text))
        }
    }
}

/// Reads a `timestamp`; a zone in the text is ignored, as in PostgreSQL.
///
/// # Errors
/// 22007 for what is no timestamp, 22008 for one that does not exist.
pub(crate) fn parse_timestamp(text: &str, settings: &TimeSettings) -> Result<i64> {
    let decoded = decode(text, settings.surroundings(false));
    match decoded.map_err(|trouble| error(trouble, "timestamp", text))? {
        Decoded::Late => Ok(LATEST),
        Decoded::Early => Ok(EARLIEST),
        Decoded::Epoch => Ok(0),
        Decoded::Now => Ok(settings.zone.to_local(now())),
        Decoded::At { days, time, .. } => joined(days, time, text),
    }
}

/// Reads a `timestamptz`; without a zone in the text it is the session's.
///
/// # Errors
/// 22007 for what is no timestamp, 22008 for one that does not exist.
pub(crate) fn parse_timestamptz(text: &str, settings: &TimeSettings) -> Result<i64> {
    let decoded = decode(text, settings.surroundings(false));
    match decoded.map_err(|trouble| error(trouble, "timestamp with time zone", text))? {
        Decoded::Late => Ok(LATEST),
        Decoded::Early => Ok(EARLIEST),
        Decoded::Epoch => Ok(0),
        Decoded::Now => Ok(now()),
        Decoded::At { days, time, zone } => {
            let local = joined(days, time, text)?;
            Ok(zone.unwrap_or(settings.zone).to_instant(local))
        }
    }
}

fn joined(days: Option<i64>, time: i64, text: &str) -> Result<i64> {
    let range = |_| fault("22008", format!("timestamp out of range: \"{text}\""));
    join(days.unwrap_or(0), time).map_err(range)
}

/// Writes a date.
pub(crate) fn date_text(days: i32, settings: &TimeSettings) -> String {
    match days {
        LATEST_DAY => return "infinity".to_owned(),
        EARLIEST_DAY => return "-infinity".to_owned(),
        _ => {}
    }
    let civil = Civil::from_days(i64::from(days));
    let mut out = String::new();
    push_day(&mut out, civil, settings, '-');
    push_era(&mut out, civil);
    out
}

/// Day, month and year in the order of the style.
fn push_day(out: &mut String, civil: Civil, settings: &TimeSettings, postgres: char) {
    let year = if civil.year > 0 { civil.year } else { 1 - civil.year };
    let (month, day) = (civil.month, civil.day);
    let day_first = settings.order == DateOrder::Dmy;
    let (first, second) = if day_first { (day, month) } else { (month, day) };
    let _ = match settings.style {
        DateStyle::Iso => write!(out, "{year:04}-{month:02}-{day:02}"),
        DateStyle::Sql => write!(out, "{first:02}/{second:02}/{year:04}"),
        DateStyle::German => write!(out, "{day:02}.{month:02}.{year:04}"),
        DateStyle::Postgres => {
            write!(out, "{first:02}{postgres}{second:02}{postgres}{year:04}")
        }
    };
}

fn push_era(out: &mut String, civil: Civil) {
    if civil.year <= 0 {
        out.push_str(" BC");
    }
}

/// Writes a time of day.
pub(crate) fn time_text(micros: i64) -> String {
    let seconds = micros / MICROS_PER_SECOND;
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let fraction = fraction_text(micros % MICROS_PER_SECOND);
    format!("{hours:02}:{minutes:02}:{rest:02}{fraction}")
}

/// Writes a timestamp without time zone.
pub(crate) fn timestamp_text(micros: i64, settings: &TimeSettings) -> String {
    local_text(micros, settings, |_| ())
}

/// Writes an instant in the session's zone.
pub(crate) fn timestamptz_text(micros: i64, settings: &TimeSettings) -> String {
    let offset = settings.zone.offset_at(micros);
    local_text(settings.zone.to_local(micros), settings, |out| {
        if settings.style != DateStyle::Iso {
            let letters = settings.zone.letters(micros);
            out.push(' ');
            if !letters.is_empty() && letters.bytes().all(|b| b.is_ascii_alphabetic()) {
                out.push_str(&letters);
                return;
            }
            if settings.style != DateStyle::Postgres {
                out.pop();
            }
        }
        out.push_str(&offset_text(offset));
    })
}

/// `+05:30`, with minutes and seconds where they are not nought.
pub(crate) fn offset_text(seconds: i64) -> String {
    let size = seconds.abs();
    let mut out = format!("{}{:02}", if seconds < 0 { '-' } else { '+' }, size / 3_600);
    if size % 3_600 != 0 {
        let _ = write!(out, ":{:02}", size / 60 % 60);
    }
    if size % 60 != 0 {
        let _ = write!(out, ":{:02}", size % 60);
    }
    out
}

fn local_text(micros: i64, settings: &TimeSettings, zone: impl FnOnce(&mut String)) -> String {
    if !finite(micros) {
        return if micros == LATEST { "infinity" } else { "-infinity" }.to_owned();
    }
    let (days, time) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
    let civil = Civil::from_days(days);
    let mut out = String::new();
    if settings.style == DateStyle::Postgres {
        let weekday = name("SunMonTueWedThuFriSat", day_of_week(days));
        let month = name("JanFebMarAprMayJunJulAugSepOctNovDec", civil.month - 1);
        let day = civil.day;
        let _ = if settings.order == DateOrder::Dmy {
            write!(out, "{weekday} {day:02} {month} ")
        } else {
            write!(out, "{weekday} {month} {day:02} ")
        };
        let year = if civil.year > 0 { civil.year } else { 1 - civil.year };
        let _ = write!(out, "{} {year:04}", time_text(time));
    } else {
        push_day(&mut out, civil, settings, ' ');
        out.push(' ');
        out.push_str(&time_text(time));
    }
    zone(&mut out);
    push_era(&mut out, civil);
    out
}

/// The three letters at a place.
fn name(names: &'static str, at: i64) -> &'static str {
    let at = usize::try_from(at).unwrap_or(0) * 3;
    names.get(at..at + 3).unwrap_or_default()
}
