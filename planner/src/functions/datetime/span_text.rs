//! Intervals as text, both ways.
//!
//! # Source
//! PostgreSQL's `DecodeInterval`, `DecodeISO8601Interval` and `EncodeInterval` (datetime.c).

use std::fmt::Write;

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use tarn_catalog::delta::interval_text;

use super::calendar::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use super::piece::Piece;
use super::span::{Span, whole64};
use super::tokens::{Kind, Token, tokens};
use crate::functions::fault::fault;

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Syntax,
    Range,
}

/// The units that an interval type or literal is limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Fields {
    #[default]
    All,
    Year,
    /// `MONTH` and `YEAR TO MONTH`.
    Month,
    Day,
    /// `HOUR` and `DAY TO HOUR`.
    Hour,
    /// `MINUTE`, `DAY TO MINUTE` and `HOUR TO MINUTE`.
    Minute,
    /// `SECOND`, `DAY TO SECOND` and `HOUR TO SECOND`.
    Second,
    /// `MINUTE TO SECOND`, in which `1:02` has no hours.
    MinuteToSecond,
}

impl Fields {
    /// Drops what is below the last unit, and rounds seconds to digits.
    pub(crate) fn limit(self, span: Span, precision: Option<u32>) -> Span {
        let time = |unit: i64| Span { micros: span.micros / unit * unit, ..span };
        let mut span = match self {
            Self::All | Self::Second | Self::MinuteToSecond => span,
            Self::Year => Span { months: span.months / 12 * 12, days: 0, micros: 0 },
            Self::Month => Span { days: 0, micros: 0, ..span },
            Self::Day => Span { micros: 0, ..span },
            Self::Hour => time(MICROS_PER_HOUR),
            Self::Minute => time(MICROS_PER_MINUTE),
        };
        if let Some(digits) = precision {
            span.micros = round_to(span.micros, digits);
        }
        span
    }
}

/// Microseconds rounded to digits of a second, halves away from zero.
pub(crate) fn round_to(micros: i64, digits: u32) -> i64 {
    let unit = 10_i64.pow(6_u32.saturating_sub(digits));
    let half = unit / 2;
    if micros >= 0 {
        micros.saturating_add(half) / unit * unit
    } else {
        micros.saturating_sub(half) / unit * unit
    }
}

/// Reads an interval.
///
/// # Errors
/// 22007 for what is no interval, 22015 for parts out of range.
pub(crate) fn parse_span(text: &str, fields: Fields) -> Result<Span> {
    let decoded = match decode(text, fields) {
        Err(Trouble::Syntax) if text.trim_start().starts_with('P') => decode_iso(text.trim()),
        decoded => decoded,
    };
    decoded.map_err(|trouble| error(trouble, text))
}

fn error(trouble: Trouble, text: &str) -> DataFusionError {
    match trouble {
        Trouble::Syntax => {
            fault("22007", format!("invalid input syntax for type interval: \"{text}\""))
        }
        Trouble::Range => fault("22015", format!("interval field value out of range: \"{text}\"")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Micro,
    Milli,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
}

/// PostgreSQL's names of units; it compares at most ten letters.
fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "us" | "usec" | "usecs" | "useconds" | "usecond" | "microsecon" | "microsecond"
        | "microseconds" => Unit::Micro,
        "ms" | "msec" | "msecs" | "mseconds" | "msecond" | "millisecon" | "millisecond"
        | "milliseconds" => Unit::Milli,
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "week" | "weeks" => Unit::Week,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
        "dec" | "decs" | "decade" | "decades" => Unit::Decade,
        "c" | "cent" | "century" | "centuries" => Unit::Century,
        "mil" | "mils" | "millennia" | "millennium" => Unit::Millennium,
        _ => return None,
    })
}

/// Sums of what was read; 64 bits until the end.
#[derive(Debug, Default)]
struct Sums {
    months: i64,
    days: i64,
    micros: i64,
}

impl Sums {
    fn add(&mut self, unit: Unit, whole: i64, fraction: f64) -> Result<(), Trouble> {
        let time = |sums: &mut Self, scale: i64, whole: i64, fraction: f64| {
            let product = whole.checked_mul(scale).ok_or(Trouble::Range)?;
            sums.add_micros(product)?;
            sums.add_fraction(fraction, scale)
        };
        match unit {
            Unit::Micro => time(self, 1, whole, fraction),
            Unit::Milli => time(self, 1_000, whole, fraction),
            Unit::Second => time(self, MICROS_PER_SECOND, whole, fraction),
            Unit::Minute => time(self, MICROS_PER_MINUTE, whole, fraction),
            Unit::Hour => time(self, MICROS_PER_HOUR, whole, fraction),
            Unit::Day => {
                self.add_days(whole, 1)?;
                self.add_fraction(fraction, MICROS_PER_DAY)
            }
            Unit::Week => {
                self.add_days(whole, 7)?;
                self.add_fraction_of_days(fraction * 7.0)
            }
            Unit::Month => {
                self.add_months(whole, 1)?;
                self.add_fraction_of_days(fraction * 30.0)
            }
            Unit::Year => self.add_years(whole, fraction, 1),
            Unit::Decade => self.add_years(whole, fraction, 10),
            Unit::Century => self.add_years(whole, fraction, 100),
            Unit::Millennium => self.add_years(whole, fraction, 1_000),
        }
    }

    fn add_years(&mut self, whole: i64, fraction: f64, scale: i64) -> Result<(), Trouble> {
        self.add_months(whole, scale * 12)?;
        let months = fraction * f64::from(i32::try_from(scale * 12).unwrap_or(12));
        self.add_months(whole64(months.round_ties_even()).map_err(|_| Trouble::Range)?, 1)
    }

    fn add_months(&mut self, whole: i64, scale: i64) -> Result<(), Trouble> {
        let product = whole.checked_mul(scale).ok_or(Trouble::Range)?;
        self.months = self.months.checked_add(product).ok_or(Trouble::Range)?;
        Ok(())
    }

    fn add_days(&mut self, whole: i64, scale: i64) -> Result<(), Trouble> {
        let product = whole.checked_mul(scale).ok_or(Trouble::Range)?;
        self.days = self.days.checked_add(product).ok_or(Trouble::Range)?;
        Ok(())
    }

    fn add_micros(&mut self, micros: i64) -> Result<(), Trouble> {
        self.micros = self.micros.checked_add(micros).ok_or(Trouble::Range)?;
        Ok(())
    }

    fn add_fraction_of_days(&mut self, days: f64) -> Result<(), Trouble> {
        let whole = days.trunc();
        self.add_days(whole64(whole).map_err(|_| Trouble::Range)?, 1)?;
        self.add_fraction(days - whole, MICROS_PER_DAY)
    }

    fn add_fraction(&mut self, fraction: f64, scale: i64) -> Result<(), Trouble> {
        if fraction == 0.0 {
            return Ok(());
        }
        #[expect(clippy::cast_precision_loss, reason = "a day in microseconds is exact")]
        let micros = fraction * scale as f64;
        let mut whole = whole64(micros.trunc()).map_err(|_| Trouble::Range)?;
        let rest = micros.fract();
        whole += i64::from(rest > 0.5) - i64::from(rest < -0.5);
        self.add_micros(whole)
    }

    fn finish(&self, before: bool) -> Result<Span, Trouble> {
        let sign = if before { -1 } else { 1 };
        Ok(Span {
            months: i32::try_from(self.months * sign).map_err(|_| Trouble::Range)?,
            days: i32::try_from(self.days * sign).map_err(|_| Trouble::Range)?,
            micros: self.micros.checked_mul(sign).ok_or(Trouble::Range)?,
        })
    }
}

/// Reads the pieces from the last to the first, as units follow their numbers.
fn decode(text: &str, fields: Fields) -> Result<Span, Trouble> {
    let mut sums = Sums::default();
    let mut seen: u32 = 0;
    let mut current: Option<Unit> = None;
    let mut before = false;
    let tokens = tokens(text).ok_or(Trouble::Syntax)?;
    for token in tokens.iter().rev() {
        let mut see = |mask: u32| {
            let twice = seen & mask != 0;
            seen |= mask;
            if twice { Err(Trouble::Syntax) } else { Ok(()) }
        };
        match token.kind {
            Kind::Word | Kind::Special => match token.text.as_str() {
                "ago" => before = true,
                "at" | "on" => {}
                word => current = Some(unit(word).ok_or(Trouble::Syntax)?),
            },
            Kind::Time => {
                sums.add_micros(clock(&token.text, fields)?)?;
                see(TIME_MASK)?;
                current = Some(Unit::Day);
            }
            Kind::Signed if token.text.contains(':') => {
                let micros = clock(token.text.get(1..).unwrap_or_default(), fields)?;
                sums.add_micros(if token.text.starts_with('-') { -micros } else { micros })?;
                see(TIME_MASK)?;
                current = Some(Unit::Day);
            }
            Kind::Signed | Kind::Date | Kind::Number => {
                let found = current.unwrap_or(match fields {
                    Fields::Year => Unit::Year,
                    Fields::Month => Unit::Month,
                    Fields::Day => Unit::Day,
                    Fields::Hour => Unit::Hour,
                    Fields::Minute => Unit::Minute,
                    Fields::All | Fields::Second | Fields::MinuteToSecond => Unit::Second,
                });
                let (found, whole, fraction) = number(token, found)?;
                // Days may stand before hours without saying so: `3 4` DAY TO HOUR.
                current = Some(if found == Unit::Hour { Unit::Day } else { found });
                sums.add(found, whole, fraction)?;
                see(mask(found, fraction))?;
            }
        }
    }
    if seen == 0 {
        return Err(Trouble::Syntax);
    }
    sums.finish(before)
}

/// Hours, minutes and all parts of seconds.
const TIME_MASK: u32 = 0b1_1111;

/// Which units a number takes, so that none is given twice.
fn mask(unit: Unit, fraction: f64) -> u32 {
    match unit {
        Unit::Micro => 1,
        Unit::Milli => 2,
        // With a fraction it says milliseconds and microseconds too.
        Unit::Second if fraction != 0.0 => 7,
        Unit::Second => 4,
        Unit::Minute => 8,
        Unit::Hour => 16,
        Unit::Day => 32,
        Unit::Week => 64,
        Unit::Month => 128,
        Unit::Year => 256,
        Unit::Decade => 512,
        Unit::Century => 1_024,
        Unit::Millennium => 2_048,
    }
}

/// Reads `12`, `-1.5`, or `1-2`, which is years and months.
fn number(token: &Token, unit: Unit) -> Result<(Unit, i64, f64), Trouble> {
    let negative = token.text.starts_with('-');
    let digits = token.text.trim_start_matches(['+', '-']);
    let sign = if negative { -1 } else { 1 };
    let whole_of = |digits: &str| match digits {
        "" => Ok(0),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<i64>().map_err(|_| Trouble::Range)
        }
        _ => Err(Trouble::Syntax),
    };
    if let Some((years, months)) = digits.split_once('-') {
        let months = whole_of(months)?;
        if !(0..12).contains(&months) {
            return Err(Trouble::Range);
        }
        let years = whole_of(years)?.checked_mul(12).ok_or(Trouble::Range)?;
        return Ok((Unit::Month, (years + months) * sign, 0.0));
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) || (whole.is_empty() && fraction.is_empty()) {
        return Err(Trouble::Syntax);
    }
    let fraction: f64 = format!("0.{fraction}0").parse().map_err(|_| Trouble::Syntax)?;
    let fraction = if negative { -fraction } else { fraction };
    Ok((unit, whole_of(whole)? * sign, fraction))
}

/// Reads `4:05`, `4:05:06.7`, or `5:06.7`, which is minutes and seconds.
fn clock(text: &str, fields: Fields) -> Result<i64, Trouble> {
    let parts: Vec<&str> = text.split(':').collect();
    let whole = |digits: &str| match digits {
        "" => Ok(0),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<i64>().map_err(|_| Trouble::Range)
        }
        _ => Err(Trouble::Syntax),
    };
    let seconds = |text: &str| -> Result<(i64, i64), Trouble> {
        let (whole_part, fraction) = text.split_once('.').unwrap_or((text, ""));
        Ok((whole(whole_part)?, fraction_micros(fraction).ok_or(Trouble::Syntax)?))
    };
    let (hours, minutes, (seconds, micros)) = match parts.as_slice() {
        [minutes, rest] if rest.contains('.') || fields == Fields::MinuteToSecond => {
            (0, whole(minutes)?, seconds(rest)?)
        }
        [hours, minutes] => (whole(hours)?, whole(minutes)?, (0, 0)),
        [hours, minutes, rest] => (whole(hours)?, whole(minutes)?, seconds(rest)?),
        _ => return Err(Trouble::Syntax),
    };
    if minutes > 59 || seconds > 60 {
        return Err(Trouble::Range);
    }
    let time = minutes * MICROS_PER_MINUTE + seconds * MICROS_PER_SECOND + micros;
    let hours = hours.checked_mul(MICROS_PER_HOUR).ok_or(Trouble::Range)?;
    hours.checked_add(time).ok_or(Trouble::Range)
}

/// The digits behind a point as microseconds, rounded.
pub(super) fn fraction_micros(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut micros = 0;
    for at in 0..6 {
        let digit = digits.as_bytes().get(at).map_or(0, |digit| i64::from(digit - b'0'));
        micros = micros * 10 + digit;
    }
    Some(micros + i64::from(digits.as_bytes().get(6).is_some_and(|digit| *digit >= b'5')))
}

/// Reads `P1Y2M3DT4H5M6S` and `P0001-02-03T04:05:06`.
fn decode_iso(text: &str) -> Result<Span, Trouble> {
    let mut rest = text.strip_prefix('P').filter(|rest| !rest.is_empty()).ok_or(Trouble::Syntax)?;
    let mut sums = Sums::default();
    let mut in_date = true;
    let mut n_fields = 0;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            in_date = false;
            n_fields = 0;
            rest = after;
            continue;
        }
        let (whole, fraction, after) = iso_number(rest)?;
        let designator = after.chars().next();
        let unit = match (in_date, designator) {
            (true, Some('Y')) => Unit::Year,
            (true, Some('M')) => Unit::Month,
            (true, Some('W')) => Unit::Week,
            (true, Some('D')) => Unit::Day,
            (false, Some('H')) => Unit::Hour,
            (false, Some('M')) => Unit::Minute,
            (false, Some('S')) => Unit::Second,
            (true, None | Some('-' | 'T')) => {
                // The alternative form: years, months, days.
                let units = [Unit::Year, Unit::Month, Unit::Day];
                let unit = *units.get(n_fields).ok_or(Trouble::Syntax)?;
                sums.add(unit, whole, fraction)?;
                n_fields += 1;
                rest = after.strip_prefix('-').unwrap_or(after);
                continue;
            }
            (false, None | Some(':')) => {
                let units = [Unit::Hour, Unit::Minute, Unit::Second];
                let unit = *units.get(n_fields).ok_or(Trouble::Syntax)?;
                sums.add(unit, whole, fraction)?;
                n_fields += 1;
                rest = after.strip_prefix(':').unwrap_or(after);
                continue;
            }
            _ => return Err(Trouble::Syntax),
        };
        sums.add(unit, whole, fraction)?;
        rest = after.get(1..).unwrap_or_default();
    }
    sums.finish(false)
}

fn iso_number(text: &str) -> Result<(i64, f64, &str), Trouble> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (digits, rest) = unsigned.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(Trouble::Syntax);
    }
    let sign = if negative { -1 } else { 1 };
    let whole: i64 =
        if whole.is_empty() { Ok(0) } else { whole.parse() }.map_err(|_| Trouble::Range)?;
    let fraction: f64 = format!("0.{fraction}0").parse().map_err(|_| Trouble::Syntax)?;
    Ok((whole * sign, if negative { -fraction } else { fraction }, rest))
}

/// The four forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// `1 year 2 mons 3 days 04:05:06`.
    #[default]
    Postgres,
    /// `@ 1 year 2 mons 3 days 4 hours 5 mins 6 secs`.
    Verbose,
    /// `+1-2 +3 +4:05:06`.
    SqlStandard,
    /// `P1Y2M3DT4H5M6S`.
    Iso8601,
}

impl Style {
    /// The style that a setting names.
    pub(crate) fn of(setting: &str) -> Self {
        match setting.to_ascii_lowercase().as_str() {
            "postgres_verbose" => Self::Verbose,
            "sql_standard" => Self::SqlStandard,
            "iso_8601" => Self::Iso8601,
            _ => Self::Postgres,
        }
    }
}

/// The parts that are written apart.
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

impl Parts {
    fn of(span: Span) -> Self {
        let seconds = span.micros / MICROS_PER_SECOND;
        Self {
            years: i64::from(span.months / 12),
            months: i64::from(span.months % 12),
            days: i64::from(span.days),
            hours: seconds / 3_600,
            minutes: seconds / 60 % 60,
            seconds: seconds % 60,
            micros: span.micros % MICROS_PER_SECOND,
        }
    }

    /// Hours, minutes and seconds without sign.
    fn clock(&self) -> String {
        let (hours, minutes, seconds) = (self.hours.abs(), self.minutes.abs(), self.seconds.abs());
        let fraction = fraction_text(self.micros);
        format!("{hours}:{minutes:02}:{seconds:02}{fraction}")
    }
}

/// `.789`, without noughts at the end; nothing for a whole second.
fn fraction_text(micros: i64) -> String {
    let mut fraction = Piece::new();
    fraction.push_fraction(micros.abs());
    fraction.as_str().to_owned()
}

/// Nanoseconds of a microsecond.
const NANOS_PER_MICRO: i128 = 1_000;

/// Writes an interval.
#[must_use]
pub fn span_text(span: Span, style: Style) -> String {
    match style {
        Style::Postgres => {
            interval_text(span.months, span.days, i128::from(span.micros) * NANOS_PER_MICRO)
        }
        Style::Verbose => verbose(span),
        Style::SqlStandard => sql_standard(span),
        Style::Iso8601 => iso_8601(span),
    }
}

/// `@ 1 year -2 mons 6.5 secs ago`: the sign of the first part is said at the end.
fn verbose(span: Span) -> String {
    let parts = Parts::of(span);
    let mut out = "@".to_owned();
    let mut ago = None;
    let units = [
        (parts.years, "year"),
        (parts.months, "mon"),
        (parts.days, "day"),
        (parts.hours, "hour"),
        (parts.minutes, "min"),
    ];
    for (value, unit) in units.into_iter().filter(|(value, _)| *value != 0) {
        let value = if *ago.get_or_insert(value < 0) { -value } else { value };
        let plural = if value == 1 { "" } else { "s" };
        let _ = write!(out, " {value} {unit}{plural}");
    }
    if parts.seconds != 0 || parts.micros != 0 {
        let negative = parts.seconds < 0 || parts.micros < 0;
        let sign = if *ago.get_or_insert(negative) == negative { "" } else { "-" };
        let (seconds, fraction) = (parts.seconds.abs(), fraction_text(parts.micros));
        let plural = if seconds == 1 && parts.micros == 0 { "" } else { "s" };
        let _ = write!(out, " {sign}{seconds}{fraction} sec{plural}");
    }
    match ago {
        None => out.push_str(" 0"),
        Some(true) => out.push_str(" ago"),
        Some(false) => {}
    }
    out
}

/// `1-2`, `3 4:05:06`, or with a sign at every part where they do not agree.
fn sql_standard(span: Span) -> String {
    let parts = Parts::of(span);
    let negative = span.months < 0 || span.days < 0 || span.micros < 0;
    let positive = span.months > 0 || span.days > 0 || span.micros > 0;
    if !negative && !positive {
        return "0".to_owned();
    }
    let has_time = span.days != 0 || span.micros != 0;
    let (years, months) = (parts.years.abs(), parts.months.abs());
    let clock = parts.clock();
    let days = parts.days.abs();
    if (negative && positive) || (span.months != 0 && has_time) {
        let sign = |negative: bool| if negative { '-' } else { '+' };
        let (a, b, c) = (sign(span.months < 0), sign(span.days < 0), sign(span.micros < 0));
        return format!("{a}{years}-{months} {b}{days} {c}{clock}");
    }
    let sign = if negative { "-" } else { "" };
    if span.months != 0 {
        return format!("{sign}{years}-{months}");
    }
    if span.days != 0 { format!("{sign}{days} {clock}") } else { format!("{sign}{clock}") }
}

/// `P1Y2M3DT4H5M6.789S`.
fn iso_8601(span: Span) -> String {
    if span == Span::default() {
        return "PT0S".to_owned();
    }
    let parts = Parts::of(span);
    let mut out = "P".to_owned();
    let put = |out: &mut String, value: i64, letter: char| {
        if value != 0 {
            let _ = write!(out, "{value}{letter}");
        }
    };
    put(&mut out, parts.years, 'Y');
    put(&mut out, parts.months, 'M');
    put(&mut out, parts.days, 'D');
    if span.micros == 0 {
        return out;
    }
    out.push('T');
    put(&mut out, parts.hours, 'H');
    put(&mut out, parts.minutes, 'M');
    if parts.seconds != 0 || parts.micros != 0 {
        let sign = if parts.seconds < 0 || parts.micros < 0 { "-" } else { "" };
        let (seconds, fraction) = (parts.seconds.abs(), fraction_text(parts.micros));
        let _ = write!(out, "{sign}{seconds}{fraction}S");
    }
    out
}
