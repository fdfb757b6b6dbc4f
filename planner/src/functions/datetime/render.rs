//! Writing a moment by a template.

use std::fmt::Write;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use datafusion::common::Result;

use super::template::{Case, Field, Item};
use crate::functions::fault::fault;

/// What is to be written.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    /// `None` for an interval.
    pub(super) date: Option<NaiveDate>,
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) micros: i64,
    /// Seconds east of Greenwich and the zone's abbreviation.
    pub(super) zone: Option<(i32, String)>,
}

impl Moment {
    pub(super) fn new(at: NaiveDateTime, zone: Option<(i32, String)>) -> Self {
        Self {
            date: Some(at.date()),
            year: i64::from(at.year()),
            month: i64::from(at.month()),
            day: i64::from(at.day()),
            hour: i64::from(at.hour()),
            minute: i64::from(at.minute()),
            second: i64::from(at.second()),
            micros: i64::from(at.nanosecond() / 1_000),
            zone,
        }
    }

    /// An interval of months, days and nanoseconds.
    pub(super) fn interval(months: i32, days: i32, nanos: i64) -> Self {
        let seconds = nanos / 1_000_000_000;
        Self {
            date: None,
            year: i64::from(months / 12),
            month: i64::from(months % 12),
            day: i64::from(days),
            hour: seconds / 3_600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: nanos % 1_000_000_000 / 1_000,
            zone: None,
        }
    }

    /// An interval has no zone.
    fn interval_only(&self) -> bool {
        self.date.is_none()
    }

    /// An interval's months have 30 days.
    fn day_of_year(&self) -> i64 {
        let interval = (self.year * 12 + self.month) * 30 + self.day;
        self.date.map_or(interval, |date| i64::from(date.ordinal()))
    }

    fn date(&self) -> Result<NaiveDate> {
        let message = "invalid format specification for an interval value";
        self.date.ok_or_else(|| fault("22007", message))
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ROMAN: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// Writes a moment.
///
/// # Errors
/// 22007 for parts that an interval does not have.
pub(super) fn render(items: &[Item], moment: &Moment, out: &mut String) -> Result<()> {
    for item in items {
        match item {
            Item::Text(text) => out.push_str(text),
            Item::Field { field, plain, ordinal } => {
                let start = out.len();
                write_field(*field, *plain, moment, out)?;
                if let Some(case) = ordinal {
                    let suffix = ordinal_suffix(out.get(start..).unwrap_or(""));
                    push_cased(suffix, *case, out);
                }
            }
        }
    }
    Ok(())
}

fn write_field(field: Field, plain: bool, moment: &Moment, out: &mut String) -> Result<()> {
    let year =
        if moment.date.is_some() && moment.year <= 0 { 1 - moment.year } else { moment.year };
    let number = match field {
        Field::Year(n) => (last_digits(year, n), usize::from(n)),
        Field::YearComma => {
            let _ = write!(out, "{},{:03}", year / 1_000, year % 1_000);
            return Ok(());
        }
        Field::IsoYear(n) => {
            (last_digits(i64::from(moment.date()?.iso_week().year()), n), usize::from(n))
        }
        Field::Century if moment.date.is_none() => (year / 100, 2),
        Field::Century if moment.year <= 0 => (-((year + 99) / 100), 2),
        Field::Century => ((year + 99) / 100, 2),
        Field::Quarter => ((moment.month - 1) / 3 + 1, 1),
        Field::Month => (moment.month, 2),
        Field::Day => (moment.day, 2),
        Field::DayOfYear => (moment.day_of_year(), 3),
        Field::IsoDayOfYear => {
            let date = moment.date()?;
            let days = i64::from(date.weekday().num_days_from_monday());
            (i64::from(date.iso_week().week() - 1) * 7 + days + 1, 3)
        }
        Field::DayOfWeek => (i64::from(moment.date()?.weekday().num_days_from_sunday()) + 1, 1),
        Field::IsoDayOfWeek => (i64::from(moment.date()?.weekday().number_from_monday()), 1),
        Field::WeekOfMonth => ((moment.day - 1) / 7 + 1, 1),
        Field::WeekOfYear => ((moment.day_of_year() - 1) / 7 + 1, 2),
        Field::IsoWeek => (i64::from(moment.date()?.iso_week().week()), 2),
        // The day before 1970-01-01 by the count that starts in 4714 BC.
        Field::Julian => (i64::from(moment.date()?.num_days_from_ce()) + 1_721_425, 1),
        Field::Hour12 => (if moment.hour % 12 == 0 { 12 } else { moment.hour % 12 }, 2),
        Field::Hour24 => (moment.hour, 2),
        Field::Minute => (moment.minute, 2),
        Field::Second => (moment.second, 2),
        Field::SecondOfDay => (moment.hour * 3_600 + moment.minute * 60 + moment.second, 1),
        Field::Fraction(n) => {
            let width = usize::from(n);
            let dropped = 10_i64.pow(6_u32.saturating_sub(u32::from(n)));
            let _ = write!(out, "{:0width$}", moment.micros / dropped);
            return Ok(());
        }
        _ => return write_name(field, plain, moment, out),
    };
    let (value, width) = number;
    let width = if plain {
        1
    } else if value < 0 && !matches!(field, Field::Day | Field::DayOfYear) {
        width + 1
    } else {
        width
    };
    let _ = write!(out, "{value:0width$}");
    Ok(())
}

fn write_name(field: Field, plain: bool, moment: &Moment, out: &mut String) -> Result<()> {
    let month = usize::try_from(moment.month - 1).unwrap_or(usize::MAX);
    let weekday = || -> Result<usize> {
        Ok(usize::try_from(moment.date()?.weekday().num_days_from_sunday()).unwrap_or(0))
    };
    if matches!(field, Field::MonthName(_) | Field::MonthShort(_)) {
        moment.date()?;
    }
    let (text, case, width) = match field {
        Field::MonthName(case) => (MONTHS.get(month), case, 9),
        Field::MonthShort(case) => (MONTHS.get(month), case, 3),
        Field::MonthRoman(case) => (ROMAN.get(month), case, 4),
        Field::DayName(case) => (DAYS.get(weekday()?), case, 9),
        Field::DayShort(case) => (DAYS.get(weekday()?), case, 3),
        Field::Noon { case, dots } => {
            let mark = match (moment.hour % 24 < 12, dots) {
                (true, false) => "AM",
                (false, false) => "PM",
                (true, true) => "A.M.",
                (false, true) => "P.M.",
            };
            push_cased(mark, case, out);
            return Ok(());
        }
        Field::Era { case, dots } => {
            moment.date()?;
            let mark = match (moment.year > 0, dots) {
                (true, false) => "AD",
                (false, false) => "BC",
                (true, true) => "A.D.",
                (false, true) => "B.C.",
            };
            push_cased(mark, case, out);
            return Ok(());
        }
        _ => {
            if moment.interval_only() {
                moment.date()?;
            }
            write_zone(field, moment, out);
            return Ok(());
        }
    };
    let text = text.copied().unwrap_or("");
    let short = matches!(field, Field::MonthShort(_) | Field::DayShort(_));
    let text = if short { text.get(..3).unwrap_or(text) } else { text };
    push_cased(text, case, out);
    if !plain {
        out.extend(std::iter::repeat_n(' ', usize::saturating_sub(width, text.len())));
    }
    Ok(())
}

/// A moment without a zone has no zone to write, as in PostgreSQL.
fn write_zone(field: Field, moment: &Moment, out: &mut String) {
    let (seconds, name) = match &moment.zone {
        Some((seconds, name)) => (*seconds, name.as_str()),
        None if field == Field::ZoneOffset || field == Field::ZoneHours => (0, ""),
        None if field == Field::ZoneMinutes => (0, ""),
        None => return,
    };
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3_600, seconds.abs() / 60 % 60);
    let _ = match field {
        Field::ZoneName(case) => {
            push_cased(name, case, out);
            Ok(())
        }
        Field::ZoneHours => write!(out, "{sign}{hours:02}"),
        Field::ZoneMinutes => write!(out, "{minutes:02}"),
        _ if minutes == 0 => write!(out, "{sign}{hours:02}"),
        _ => write!(out, "{sign}{hours:02}:{minutes:02}"),
    };
}

fn push_cased(text: &str, case: Case, out: &mut String) {
    match case {
        Case::Upper => out.push_str(&text.to_uppercase()),
        Case::Title => out.push_str(text),
        Case::Lower => out.push_str(&text.to_lowercase()),
    }
}

fn last_digits(year: i64, n: u8) -> i64 {
    if n >= 4 { year } else { year % 10_i64.pow(u32::from(n)) }
}

fn ordinal_suffix(number: &str) -> &'static str {
    if number.ends_with("11") || number.ends_with("12") || number.ends_with("13") {
        return "TH";
    }
    match number.chars().last() {
        Some('1') => "ST",
        Some('2') => "ND",
        Some('3') => "RD",
        _ => "TH",
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::{Moment, render};
    use crate::functions::datetime::template::parse;

    fn shown(template: &str) -> String {
        let at =
            NaiveDate::from_ymd_opt(2024, 3, 5).and_then(|d| d.and_hms_micro_opt(14, 6, 7, 89_012));
        let mut out = String::new();
        let items = parse(template).unwrap_or_default();
        if let Some(at) = at {
            let moment = Moment::new(at, Some((-5_400, "XST".to_owned())));
            assert!(render(&items, &moment, &mut out).is_ok());
        }
        out
    }

    #[test]
    fn templates_are_as_in_postgresql() {
        assert_eq!(shown("YYYY-MM-DD HH24:MI:SS.US"), "2024-03-05 14:06:07.089012");
        assert_eq!(shown("YYYY-MM-DD\"T\"HH24:MI:SS"), "2024-03-05T14:06:07");
        // The known trap: `TH` is taken for the ordinal's ending.
        assert_eq!(shown("YYYY-MM-DDTHH24:MI:SS"), "2024-03-05THH24:06:07");
        assert_eq!(shown("Day|DAY|day|Dy|D|ID"), "Tuesday  |TUESDAY  |tuesday  |Tue|3|2");
        assert_eq!(shown("FMDay, FMMonth FMDD HH12:MI AM"), "Tuesday, March 5 02:06 PM");
        assert_eq!(shown("Month|Mon|MON|mon|RM"), "March    |Mar|MAR|mar|III ");
        assert_eq!(shown("DDD IW IYYY Q WW W J CC"), "065 10 2024 1 10 1 2460375 21");
        assert_eq!(shown("\"the\" FMDDth \"of\" yy p.m."), "the 5th of 24 p.m.");
        assert_eq!(shown("MS SSSS FF2 TZ OF TZH:TZM"), "089 50767 08 XST -01:30 -01:30");
        assert_eq!(shown("TMMonth"), "March");
    }
}
