//! Reading a moment by a template.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::common::Result;

use super::template::{Field, Item};
use crate::functions::fault::fault;

/// What has been read so far.
#[derive(Debug, Default)]
struct Parts {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    julian: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    twelve: bool,
    afternoon: Option<bool>,
    before_christ: bool,
    second_of_day: Option<i64>,
    zone_hours: Option<i64>,
    zone_minutes: i64,
}

/// A moment and, where the text had one, its offset in seconds east of Greenwich.
pub(super) type Found = (NaiveDateTime, Option<i64>);

/// Reads a text.
///
/// # Errors
/// 22007 where the text is not of the template, 22008 where there is no such moment, 0A000 for
/// patterns that can only be written.
pub(super) fn read(items: &[Item], text: &str) -> Result<Found> {
    let mut parts = Parts::default();
    let mut rest = text.trim_start();
    for (at, item) in items.iter().enumerate() {
        match item {
            Item::Text(literal) => rest = skip(rest, literal),
            Item::Field { field, plain, ordinal } => {
                // An end that comes early leaves the rest at its least, as in PostgreSQL.
                rest = rest.trim_start();
                if rest.is_empty() {
                    break;
                }
                let next_is_digit = matches!(items.get(at + 1), Some(Item::Field { .. }));
                rest = read_field(&mut parts, *field, !plain && next_is_digit, rest)?;
                if ordinal.is_some() {
                    rest = rest.get(2..).unwrap_or("");
                }
            }
        }
    }
    finish(&parts, text)
}

/// A separator in the template matches any run of separators, other text as many characters.
fn skip<'a>(text: &'a str, literal: &str) -> &'a str {
    let separator = |c: char| c == '-' || (!c.is_alphanumeric() && c != '+');
    if literal.chars().all(|c| !c.is_alphanumeric()) {
        let after = text.trim_start();
        let mut chars = after.chars();
        return match chars.next() {
            Some(c) if separator(c) => chars.as_str(),
            _ => after,
        };
    }
    let mut chars = text.chars();
    for _ in literal.chars() {
        chars.next();
    }
    chars.as_str()
}

fn read_field<'a>(parts: &mut Parts, field: Field, exact: bool, text: &'a str) -> Result<&'a str> {
    let width = match field {
        Field::Year(n) | Field::IsoYear(n) | Field::Fraction(n) => usize::from(n),
        Field::DayOfYear => 3,
        Field::Julian => 9,
        Field::SecondOfDay => 5,
        Field::IsoDayOfWeek | Field::DayOfWeek | Field::Quarter | Field::WeekOfMonth => 1,
        Field::MonthName(_) | Field::MonthShort(_) => return read_month(parts, field, text),
        Field::DayName(_) | Field::DayShort(_) => {
            return Ok(text.trim_start_matches(char::is_alphabetic));
        }
        Field::Noon { .. } => {
            return read_mark(text, &["a", "p"]).map(|(at, rest)| {
                parts.afternoon = Some(at == 1);
                rest
            });
        }
        Field::Era { .. } => {
            return read_mark(text, &["a", "b"]).map(|(at, rest)| {
                parts.before_christ = at == 1;
                rest
            });
        }
        Field::MonthRoman(_)
        | Field::YearComma
        | Field::Century
        | Field::IsoDayOfYear
        | Field::WeekOfYear
        | Field::ZoneName(_)
        | Field::ZoneOffset => {
            return Err(fault("0A000", "this template can only be used to write a date"));
        }
        _ => 2,
    };
    let signed = matches!(field, Field::ZoneHours | Field::Year(4));
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) if signed => (true, digits),
        _ if signed => (false, text.strip_prefix('+').unwrap_or(text)),
        _ => (false, text),
    };
    let n = digits.bytes().take_while(u8::is_ascii_digit).count();
    let fixed = exact || !matches!(field, Field::Year(4) | Field::Julian | Field::SecondOfDay);
    let n = if fixed { n.min(width) } else { n };
    let (number, rest) = digits.split_at_checked(n).unwrap_or((digits, ""));
    let value: i64 = number.parse().map_err(|_| {
        let shown: String = text.chars().take(width).collect();
        fault("22007", format!("invalid value \"{shown}\" for \"{}\"", keyword(field)))
    })?;
    let value = if negative { -value } else { value };
    store(parts, field, value, n);
    Ok(rest)
}

fn store(parts: &mut Parts, field: Field, value: i64, n_digits: usize) {
    match field {
        // Short years are the nearest to 2020.
        Field::Year(n) if n < 4 || n_digits < 3 => {
            parts.year = Some(match n_digits {
                0..=2 if value < 70 => value + 2_000,
                0..=2 => value + 1_900,
                3 if value < 520 => value + 2_000,
                3 => value + 1_000,
                _ => value,
            });
        }
        Field::Year(_) => parts.year = Some(value),
        Field::IsoYear(_) => parts.iso_year = Some(value),
        Field::Month => parts.month = Some(value),
        Field::Day => parts.day = Some(value),
        Field::DayOfYear => parts.day_of_year = Some(value),
        Field::IsoWeek => parts.iso_week = Some(value),
        Field::IsoDayOfWeek => parts.iso_day = Some(value),
        Field::Julian => parts.julian = Some(value),
        Field::Hour12 => {
            parts.hour = value;
            parts.twelve = true;
        }
        Field::Hour24 => parts.hour = value,
        Field::Minute => parts.minute = value,
        Field::Second => parts.second = value,
        Field::SecondOfDay => parts.second_of_day = Some(value),
        Field::Fraction(_) => {
            let missing = 6_usize.saturating_sub(n_digits);
            parts.micros = value * 10_i64.pow(u32::try_from(missing).unwrap_or(0));
        }
        Field::ZoneHours => parts.zone_hours = Some(value),
        Field::ZoneMinutes => parts.zone_minutes = value,
        // Read and of no consequence, as in PostgreSQL.
        _ => {}
    }
}

fn read_month<'a>(parts: &mut Parts, field: Field, text: &'a str) -> Result<&'a str> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let short = matches!(field, Field::MonthShort(_));
    let lower = text.to_ascii_lowercase();
    for (month, name) in (1_i64..).zip(MONTHS) {
        let name = if short { name.get(..3).unwrap_or(name) } else { name };
        if lower.starts_with(name) {
            parts.month = Some(month);
            return Ok(text.get(name.len()..).unwrap_or(""));
        }
    }
    let shown: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
    Err(fault("22007", format!("invalid value \"{shown}\" for \"{}\"", keyword(field))))
}

/// One of two marks such as `AM` and `p.m.`, told by its first letter.
fn read_mark<'a>(text: &'a str, first: &[&str]) -> Result<(usize, &'a str)> {
    let lower = text.to_ascii_lowercase();
    let found = first.iter().position(|first| lower.starts_with(first));
    let found =
        found.ok_or_else(|| fault("22007", format!("invalid value \"{text}\" for a mark")))?;
    let rest = text.trim_start_matches(|c: char| c.is_alphabetic() || c == '.');
    Ok((found, rest))
}

fn finish(parts: &Parts, text: &str) -> Result<Found> {
    let out_of_range = || fault("22008", format!("date/time field value out of range: \"{text}\""));
    let small = |value: i64| u32::try_from(value).map_err(|_| out_of_range());
    let mut year = parts.year.unwrap_or(1);
    if parts.before_christ {
        year = 1 - year;
    }
    let year = i32::try_from(year).map_err(|_| out_of_range())?;
    let date = if let Some(julian) = parts.julian {
        i32::try_from(julian - 1_721_425).ok().and_then(NaiveDate::from_num_days_from_ce_opt)
    } else if let (Some(iso_year), Some(week)) = (parts.iso_year, parts.iso_week) {
        let weekday = chrono::Weekday::try_from(
            u8::try_from(parts.iso_day.unwrap_or(1) - 1).unwrap_or(u8::MAX),
        );
        let iso_year = i32::try_from(iso_year).map_err(|_| out_of_range())?;
        let weekday = weekday.map_err(|_| out_of_range())?;
        NaiveDate::from_isoywd_opt(iso_year, small(week)?, weekday)
    } else if let (Some(day), None) = (parts.day_of_year, parts.month) {
        NaiveDate::from_yo_opt(year, small(day)?)
    } else {
        NaiveDate::from_ymd_opt(
            year,
            small(parts.month.unwrap_or(1))?,
            small(parts.day.unwrap_or(1))?,
        )
    };
    let date = date.ok_or_else(out_of_range)?;
    let mut hour = parts.hour;
    if parts.twelve || parts.afternoon.is_some() {
        if !(1..=12).contains(&hour) && parts.twelve && hour != 0 {
            let message = format!("hour \"{hour}\" is invalid for the 12-hour clock");
            return Err(fault("22007", message));
        }
        match parts.afternoon {
            Some(true) if hour < 12 => hour += 12,
            Some(false) if hour == 12 => hour = 0,
            _ => {}
        }
    }
    let time = match parts.second_of_day {
        Some(seconds) => NaiveTime::from_num_seconds_from_midnight_opt(small(seconds)?, 0),
        None => NaiveTime::from_hms_micro_opt(
            small(hour)?,
            small(parts.minute)?,
            small(parts.second)?,
            small(parts.micros)?,
        ),
    };
    let time = time.ok_or_else(out_of_range)?;
    let offset = parts.zone_hours.map(|hours| {
        let minutes = if hours < 0 { -parts.zone_minutes } else { parts.zone_minutes };
        hours * 3_600 + minutes * 60
    });
    Ok((NaiveDateTime::new(date, time), offset))
}

fn keyword(field: Field) -> &'static str {
    match field {
        Field::Year(_) => "YYYY",
        Field::Month => "MM",
        Field::MonthName(_) => "Month",
        Field::MonthShort(_) => "Mon",
        Field::Day => "DD",
        Field::DayOfYear => "DDD",
        Field::Hour12 => "HH12",
        Field::Hour24 => "HH24",
        Field::Minute => "MI",
        Field::Second => "SS",
        _ => "the template",
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::functions::datetime::template::parse;

    fn found(text: &str, template: &str) -> String {
        let items = parse(template).unwrap_or_default();
        read(&items, text).map_or_else(|error| error.to_string(), |(at, _)| at.to_string())
    }

    #[test]
    fn texts_are_read_as_in_postgresql() {
        assert_eq!(found("05/03/2024", "DD/MM/YYYY"), "2024-03-05 00:00:00");
        assert_eq!(found("20240305", "YYYYMMDD"), "2024-03-05 00:00:00");
        assert_eq!(found("2024-03-05 01:02", "YYYY-MM-DD HH24:MI"), "2024-03-05 01:02:00");
        assert_eq!(found("5 Mar 99", "DD Mon YY"), "1999-03-05 00:00:00");
        assert_eq!(
            found("March 5, 2024 02:30 PM", "Month DD, YYYY HH12:MI PM"),
            "2024-03-05 14:30:00"
        );
        assert_eq!(found("2024 060", "YYYY DDD"), "2024-02-29 00:00:00");
        assert_eq!(found("12.5", "SS.MS"), "0001-01-01 00:00:12.500");
        assert!(found("2024-13-01", "YYYY-MM-DD").contains("out of range"));
        assert!(found("x", "YYYY").contains("invalid value"));
    }
}
