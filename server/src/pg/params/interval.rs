//! Intervals as PostgreSQL, ISO 8601 and SQL write them.

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::scalar::ScalarValue;
use tarn_planner::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND};

use super::datetime::read_fraction;
use super::{ParamError, trim};

/// Sums that cannot overflow for any text of sane length; checked once at the end.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    months: i128,
    days: i128,
    micros: i128,
}

/// A number with up to nine digits behind the point.
#[derive(Debug, Clone, Copy)]
struct Number {
    /// The number in billionths.
    nanos: i128,
}

const NANOS: i128 = 1_000_000_000;
const MICROS_DAY: i128 = MICROS_PER_DAY as i128;

/// Reads an interval.
pub(super) fn parse(text: &str) -> Result<ScalarValue, ParamError> {
    let trimmed = trim(text);
    let sum = match trimmed.strip_prefix(['P', 'p']) {
        Some(iso) => read_iso(iso),
        None => read_words(trimmed),
    };
    let sum = sum.ok_or_else(|| ParamError::datetime_syntax("interval", text))?;
    let out_of_range = || {
        let message = format!("interval field value out of range: \"{text}\"");
        ParamError::new("22015", message)
    };
    from_parts(sum.months, sum.days, sum.micros).ok_or_else(out_of_range)
}

/// The scalar for PostgreSQL's three parts; `None` where Arrow cannot hold one.
pub(super) fn from_parts(months: i128, days: i128, micros: i128) -> Option<ScalarValue> {
    let interval = IntervalMonthDayNano {
        months: i32::try_from(months).ok()?,
        days: i32::try_from(days).ok()?,
        nanoseconds: i64::try_from(micros.checked_mul(1_000)?).ok()?,
    };
    Some(ScalarValue::IntervalMonthDayNano(Some(interval)))
}

impl Number {
    /// Reads `-1.5`, `+2`, `.25`.
    fn read(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        // Eighteen digits stay far from overflow in all that follows.
        let empty = whole.is_empty() && fraction.is_empty();
        if empty || whole.len() > 18 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let whole = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? };
        let places = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
        let fraction = places.fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
        let size = whole * NANOS + fraction;
        Some(Self { nanos: if text.starts_with('-') { -size } else { size } })
    }

    fn whole(self) -> i128 {
        self.nanos / NANOS
    }

    fn fraction(self) -> i128 {
        self.nanos % NANOS
    }
}

/// Divides and rounds half away from zero.
fn divide(value: i128, by: i128) -> i128 {
    (value + value.signum() * by / 2) / by
}

impl Sum {
    /// Adds a number of a unit; fractions of months become days, fractions of days time.
    fn add(&mut self, number: Number, unit: &str) -> Option<()> {
        let months =
            |per_unit: i128| (number.nanos * per_unit, Self::add_months as fn(&mut Self, i128));
        let days =
            |per_unit: i128| (number.nanos * per_unit, Self::add_days as fn(&mut Self, i128));
        let time = |micros: i128| (number.nanos * micros, Self::add_time as fn(&mut Self, i128));
        let (nanos, add) = match unit {
            "us" | "usec" | "usecs" | "microsecond" | "microseconds" => time(1),
            "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => time(1_000),
            "s" | "sec" | "secs" | "second" | "seconds" => time(1_000_000),
            "m" | "min" | "mins" | "minute" | "minutes" => time(60_000_000),
            "h" | "hr" | "hrs" | "hour" | "hours" => time(3_600_000_000),
            "d" | "day" | "days" => days(1),
            "w" | "week" | "weeks" => days(7),
            "mon" | "mons" | "month" | "months" => months(1),
            "y" | "yr" | "yrs" | "year" | "years" => {
                // Part of a year is whole months, without days.
                self.months += divide(number.nanos * 12, NANOS);
                return Some(());
            }
            "dec" | "decs" | "decade" | "decades" => months(120),
            "c" | "cent" | "century" | "centuries" => months(1_200),
            "mil" | "mils" | "millennium" | "millennia" => months(12_000),
            _ => return None,
        };
        add(self, nanos);
        Some(())
    }

    fn add_months(&mut self, nanos: i128) {
        self.months += nanos / NANOS;
        self.add_days(nanos % NANOS * 30);
    }

    fn add_days(&mut self, nanos: i128) {
        self.days += nanos / NANOS;
        self.add_time(nanos % NANOS * MICROS_DAY);
    }

    fn add_time(&mut self, nanos: i128) {
        self.micros += divide(nanos, NANOS);
    }

    /// Adds `1-2` of the SQL standard: years and months.
    fn add_year_month(&mut self, text: &str) -> Option<()> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (years, months) = unsigned.split_once('-')?;
        let (years, months) = (Number::read(years)?, Number::read(months)?);
        if months.whole() >= 12 || years.fraction() != 0 || months.fraction() != 0 {
            return None;
        }
        let sum = years.whole() * 12 + months.whole();
        self.months += if text.starts_with('-') { -sum } else { sum };
        Some(())
    }

    /// Adds `04:05`, `-04:05:06.789`.
    fn add_clock(&mut self, text: &str) -> Option<()> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let mut fields = unsigned.split(':');
        let (hours, minutes) = (fields.next()?, fields.next()?);
        let seconds = fields.next().unwrap_or("0");
        if fields.next().is_some() {
            return None;
        }
        let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        let field = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if digits && text.len() <= 12 { text.parse::<i128>().ok() } else { None }
        };
        let (hours, minutes, seconds) = (field(hours)?, field(minutes)?, field(seconds)?);
        if minutes > 59 || seconds > 60 {
            return None;
        }
        let whole = (hours * 60 + minutes) * 60 + seconds;
        let micros = whole * i128::from(MICROS_PER_SECOND) + i128::from(read_fraction(fraction)?);
        self.micros += if text.starts_with('-') { -micros } else { micros };
        Some(())
    }

    fn negated(self) -> Self {
        Self { months: -self.months, days: -self.days, micros: -self.micros }
    }
}

/// Reads `1 year 2 mons -3 days 04:05:06`, `@ 1 hour ago`, `3 4:05:06`, `1-2`, `90` (seconds).
fn read_words(text: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    let mut any = false;
    let mut pending = None;
    let lower = text.to_ascii_lowercase();
    for word in lower.strip_prefix('@').unwrap_or(&lower).split_ascii_whitespace() {
        if word == "ago" && any && pending.is_none() {
            sum = sum.negated();
            continue;
        }
        any = true;
        if word.contains(':') {
            // A number right before a clock is in days.
            if let Some(days) = pending.take() {
                sum.add(days, "day")?;
            }
            sum.add_clock(word)?;
            continue;
        }
        if let Some(number) = pending.take() {
            sum.add(number, word)?;
            continue;
        }
        // The unit may follow without a space: `1day`, `2h`.
        let length = word.bytes().take_while(|b| matches!(b, b'0'..=b'9' | b'.' | b'+' | b'-'));
        let (number, unit) = word.split_at_checked(length.count())?;
        let signed = number.strip_prefix(['+', '-']).unwrap_or(number);
        if signed.contains('-') {
            if !unit.is_empty() {
                return None;
            }
            sum.add_year_month(number)?;
        } else if unit.is_empty() {
            pending = Some(Number::read(number)?);
        } else {
            sum.add(Number::read(number)?, unit)?;
        }
    }
    if let Some(seconds) = pending {
        sum.add(seconds, "second")?;
    }
    any.then_some(sum)
}

/// Reads what follows the `P` of `P1Y2M3W4DT5H6M7.8S`.
fn read_iso(text: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    let (date, time) = match text.split_once(['T', 't']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    if time.map_or(date.is_empty(), str::is_empty) {
        return None;
    }
    for (part, units) in [(date, "YMWD"), (time.unwrap_or_default(), "HMS")] {
        let mut rest = part;
        while !rest.is_empty() {
            let number = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let (number, behind) = rest.split_at_checked(number)?;
            let letter = behind.chars().next()?.to_ascii_uppercase();
            if !units.contains(letter) {
                return None;
            }
            let unit = match (letter, units) {
                ('Y', _) => "year",
                ('M', "YMWD") => "month",
                ('W', _) => "week",
                ('D', _) => "day",
                ('H', _) => "hour",
                ('M', _) => "minute",
                _ => "second",
            };
            sum.add(Number::read(number)?, unit)?;
            rest = behind.get(1..)?;
        }
    }
    Some(sum)
}
