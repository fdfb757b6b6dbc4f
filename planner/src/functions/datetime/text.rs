//! Dates, times and timestamps as text, both ways, by a session's settings.

use chrono::Utc;
use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;

use super::calendar::{
    Civil, EARLIEST, EARLIEST_DAY, LATEST, LATEST_DAY, day_in_range, finite, join, split,
};
pub use super::decode::DateOrder;
use super::decode::{Decoded, Surroundings, Trouble, decode};
use super::piece::Piece;
use super::show::{put_date, put_time, put_timestamp, put_timestamptz};
use super::span_text::Style;
use super::zone::Zone;
use crate::facts::SessionFacts;
use crate::functions::fault::fault;

/// The forms of `DateStyle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DateStyle {
    /// `1997-12-17 07:37:16-08`.
    #[default]
    Iso,
    /// `12/17/1997 07:37:16 PST`.
    Sql,
    /// `Wed Dec 17 07:37:16 1997 PST`.
    Postgres,
    /// `17.12.1997 07:37:16 PST`.
    German,
}

/// The settings of a session that dates and times depend on.
#[derive(Debug, Clone, Copy)]
pub struct TimeSettings {
    /// The zone of `timestamptz` values in text.
    pub zone: Zone,
    /// The order of day, month and year.
    pub order: DateOrder,
    /// How dates are written.
    pub style: DateStyle,
    /// How intervals are written.
    pub interval_style: Style,
}

impl TimeSettings {
    /// Reads the settings of the session that a statement runs in.
    pub(crate) fn of(options: &ConfigOptions) -> Self {
        let facts = options.extensions.get::<SessionFacts>();
        let setting = |name: &str| facts.and_then(|facts| facts.settings.get(name));
        let zone = Zone::of_session(options.execution.time_zone.as_deref());
        let text = |name: &str| setting(name).unwrap_or_default();
        Self::read(zone, &text("datestyle"), &text("intervalstyle"))
    }

    /// Reads the values of the settings `DateStyle` and `IntervalStyle`.
    #[must_use]
    pub fn read(zone: Zone, date_style: &str, interval_style: &str) -> Self {
        let date_style = date_style.to_ascii_lowercase();
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
        Self { zone, order, style, interval_style: Style::of(interval_style) }
    }

    pub(super) fn surroundings(&self, time_only: bool) -> Surroundings {
        let today = split(self.zone.to_local(now())).0;
        Surroundings { order: self.order, today, time_only }
    }
}

/// Microseconds since 1970.
pub(crate) fn now() -> i64 {
    Utc::now().timestamp_micros()
}

/// PostgreSQL's words for a text that is no value of a type.
pub(super) fn error(trouble: Trouble, data_type: &str, text: &str) -> DataFusionError {
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
    shown(|out| put_date(out, i64::from(days), settings))
}

/// Writes a time of day.
pub(crate) fn time_text(micros: i64) -> String {
    shown(|out| put_time(out, micros))
}

/// Writes a timestamp without time zone.
pub(crate) fn timestamp_text(micros: i64, settings: &TimeSettings) -> String {
    endless(micros).unwrap_or_else(|| shown(|out| put_timestamp(out, micros, settings)))
}

/// Writes an instant in the session's zone.
pub(crate) fn timestamptz_text(micros: i64, settings: &TimeSettings) -> String {
    endless(micros).unwrap_or_else(|| shown(|out| put_timestamptz(out, micros, settings)))
}

/// The words for the ends of time.
fn endless(micros: i64) -> Option<String> {
    let word = if micros == LATEST { "infinity" } else { "-infinity" };
    (!finite(micros)).then(|| word.to_owned())
}

fn shown(put: impl FnOnce(&mut Piece)) -> String {
    let mut out = Piece::new();
    put(&mut out);
    out.as_str().to_owned()
}
