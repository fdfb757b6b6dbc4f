//! Intervals as PostgreSQL prints them, which other programs read too.
//!
//! The planner prints them with the same function.

use arrow::datatypes::IntervalMonthDayNano;

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_HOUR: i64 = 3_600;
const MONTHS_PER_YEAR: i32 = 12;
/// Digits behind the point of a second.
const FRACTION_DIGITS: usize = 9;

/// `1 year 2 mons -3 days +04:05:06.789`, as [`interval_text`] has it.
pub(super) fn text_of(value: IntervalMonthDayNano) -> String {
    interval_text(value.months, value.days, value.nanoseconds.into())
}

/// `1 year 2 mons -3 days +04:05:06.789`: a plus sign follows what is negative.
#[must_use]
pub fn interval_text(months: i32, days: i32, nanoseconds: i128) -> String {
    let mut text = String::new();
    let mut after_negative = false;
    let (years, months) = (months / MONTHS_PER_YEAR, months % MONTHS_PER_YEAR);
    for (n, unit) in [(years, "year"), (months, "mon"), (days, "day")] {
        if n == 0 {
            continue;
        }
        let space = if text.is_empty() { "" } else { " " };
        let plus = if after_negative && n > 0 { "+" } else { "" };
        let plural = if n == 1 { "" } else { "s" };
        text.push_str(&format!("{space}{plus}{n} {unit}{plural}"));
        after_negative = n < 0;
    }
    if text.is_empty() || nanoseconds != 0 {
        if !text.is_empty() {
            text.push(' ');
        }
        if nanoseconds < 0 {
            text.push('-');
        } else if after_negative {
            text.push('+');
        }
        text.push_str(&clock_of(nanoseconds.unsigned_abs()));
    }
    text
}

/// `04:05:06.789`, without noughts at the end.
pub(super) fn clock_of(nanoseconds: u128) -> String {
    let per_second = u128::from(NANOS_PER_SECOND.unsigned_abs());
    let (seconds, fraction) = (nanoseconds / per_second, nanoseconds % per_second);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{hours:02}:{minutes:02}:{seconds:02}");
    if fraction != 0 {
        let digits = format!(".{fraction:09}");
        text.push_str(digits.trim_end_matches('0'));
    }
    text
}

/// Reads what [`text_of`] writes, and the same with longer names of units.
pub(super) fn value_of(text: &str) -> Option<IntervalMonthDayNano> {
    let (mut months, mut days, mut nanoseconds) = (0_i32, 0_i32, 0_i64);
    let mut words = text.split_ascii_whitespace().peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        if word.contains(':') {
            let (sign, clock) = match word.strip_prefix('-') {
                Some(clock) => (-1, clock),
                None => (1, word.strip_prefix('+').unwrap_or(word)),
            };
            nanoseconds = nanoseconds.checked_add(sign * clock_nanoseconds(clock)?)?;
            continue;
        }
        let n: i32 = word.strip_prefix('+').unwrap_or(word).parse().ok()?;
        let unit = words.next()?;
        match unit.strip_suffix('s').unwrap_or(unit) {
            "year" => months = months.checked_add(n.checked_mul(MONTHS_PER_YEAR)?)?,
            "mon" | "month" => months = months.checked_add(n)?,
            "week" => days = days.checked_add(n.checked_mul(7)?)?,
            "day" => days = days.checked_add(n)?,
            other => {
                let seconds = match other {
                    "hour" => SECONDS_PER_HOUR,
                    "min" | "minute" => 60,
                    "sec" | "second" => 1,
                    _ => return None,
                };
                let added = i64::from(n).checked_mul(seconds)?.checked_mul(NANOS_PER_SECOND)?;
                nanoseconds = nanoseconds.checked_add(added)?;
            }
        }
    }
    Some(IntervalMonthDayNano { months, days, nanoseconds })
}

/// Reads `hours:minutes:seconds.fraction`.
pub(super) fn clock_nanoseconds(text: &str) -> Option<i64> {
    let (hours, rest) = text.split_once(':')?;
    let (minutes, rest) = rest.split_once(':')?;
    let (seconds, fraction) = rest.split_once('.').map_or((rest, None), |(s, f)| (s, Some(f)));
    let digits = |text: &str| -> Option<i64> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { text.parse().ok() } else { None }
    };
    let two_digits =
        |text: &str| -> Option<i64> { digits(text).filter(|value| text.len() == 2 && *value < 60) };
    let nanoseconds = match fraction {
        None => 0,
        Some(text) if text.len() <= FRACTION_DIGITS => digits(&format!("{text:0<9}"))?,
        Some(_) => return None,
    };
    let minutes = digits(hours)?.checked_mul(60)?.checked_add(two_digits(minutes)?)?;
    let seconds = minutes.checked_mul(60)?.checked_add(two_digits(seconds)?)?;
    seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(nanoseconds)
}
