//! Dates and times in ISO 8601 and what comes close to it; those with names of months and the like
//! are left to the reader of casts.

use tarn_planner::calendar::{
    Civil, MICROS_PER_DAY, MICROS_PER_SECOND, NamedMoment, NamedTrouble, Zone, date_in_range,
    read_named, timestamp_in_range,
};

use super::{ParamError, trim};

/// What a text can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is no date or time.
    Syntax,
    /// A field has a value that the calendar or the clock lacks.
    Field,
    /// PostgreSQL's type cannot hold it.
    Range,
}

impl Fault {
    fn into_error(self, type_name: &str, text: &str) -> ParamError {
        match self {
            Self::Syntax => ParamError::datetime_syntax(type_name, text),
            Self::Field => {
                let message = format!("date/time field value out of range: \"{text}\"");
                ParamError::new("22008", message)
            }
            Self::Range => {
                let name = type_name.split(' ').next().unwrap_or(type_name);
                ParamError::new("22008", format!("{name} out of range: \"{text}\""))
            }
        }
    }
}

impl From<NamedTrouble> for Fault {
    fn from(trouble: NamedTrouble) -> Self {
        match trouble {
            NamedTrouble::Syntax => Self::Syntax,
            NamedTrouble::Field => Self::Field,
        }
    }
}

/// Reads a date as days since 1970; a time behind it is passed over.
pub(super) fn parse_date(text: &str) -> Result<i32, ParamError> {
    if let Some(later) = infinity(text) {
        return Ok(if later { i32::MAX } else { i32::MIN });
    }
    let parse = || {
        let parts = Parts::read(trim(text))?;
        date_in_range(parts.days).ok_or(Fault::Range)
    };
    parse().map_err(|fault| fault.into_error("date", text))
}

/// Reads a time as microseconds since midnight; a zone behind it is passed over.
pub(super) fn parse_time(text: &str) -> Result<i64, ParamError> {
    let parse = || {
        let trimmed = trim(text);
        // A date may stand before: `2024-01-05 10:00`.
        match Parts::read(trimmed) {
            Ok(parts) if trimmed.contains(':') => Ok(parts.micros),
            _ => match read_time(trimmed) {
                Ok((micros, _)) => Ok(micros),
                Err(Fault::Syntax) => Ok(read_named(trimmed, true)?.micros),
                Err(fault) => Err(fault),
            },
        }
    };
    parse().map_err(|fault: Fault| fault.into_error("time", text))
}

/// Reads a timestamp as microseconds since 1970; as in PostgreSQL a zone is passed over.
pub(super) fn parse_timestamp(text: &str) -> Result<i64, ParamError> {
    if let Some(later) = infinity(text) {
        return Ok(if later { i64::MAX } else { i64::MIN });
    }
    let parse = || Parts::read(trim(text))?.micros_since_1970();
    parse().map_err(|fault| fault.into_error("timestamp", text))
}

/// Reads an instant as microseconds since 1970; without a zone it is in the session's.
pub(super) fn parse_timestamptz(text: &str, time_zone: &Zone) -> Result<i64, ParamError> {
    if let Some(later) = infinity(text) {
        return Ok(if later { i64::MAX } else { i64::MIN });
    }
    let parse = || {
        let parts = Parts::read(trim(text))?;
        let local = parts.micros_since_1970()?;
        let zone = parts.zone.as_ref().unwrap_or(time_zone);
        let instant = local.checked_sub(zone.offset_of_local(local) * MICROS_PER_SECOND);
        instant.and_then(timestamp_in_range).ok_or(Fault::Range)
    };
    parse().map_err(|fault| fault.into_error("timestamp with time zone", text))
}

/// Whether a text is the end of all time, or its beginning; `None` for all else.
///
/// They are the greatest and the least value of their types.
fn infinity(text: &str) -> Option<bool> {
    let text = trim(text);
    if text.eq_ignore_ascii_case("infinity") || text.eq_ignore_ascii_case("+infinity") {
        return Some(true);
    }
    text.eq_ignore_ascii_case("-infinity").then_some(false)
}

/// A date with or without time and zone.
struct Parts {
    /// The day, counted from 1970 on.
    days: i64,
    micros: i64,
    zone: Option<Zone>,
}

impl Parts {
    fn read(text: &str) -> Result<Self, Fault> {
        match Self::read_usual(text) {
            Err(Fault::Syntax) => {
                let NamedMoment { days, micros, zone } = read_named(text, false)?;
                Ok(Self { days: days.ok_or(Fault::Syntax)?, micros, zone })
            }
            read => read,
        }
    }

    fn read_usual(text: &str) -> Result<Self, Fault> {
        if text.eq_ignore_ascii_case("epoch") {
            return Ok(Self { days: 0, micros: 0, zone: Some(Zone::UTC) });
        }
        let (text, before_christ) = strip_era(text);
        let date_length =
            text.bytes().take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'/' | b'.'));
        let (date, rest) = text.split_at_checked(date_length.count()).ok_or(Fault::Syntax)?;
        let mut civil = read_date(date)?;
        if before_christ {
            if civil.year <= 0 {
                return Err(Fault::Field);
            }
            civil.year = 1 - civil.year;
        } else if civil.year <= 0 {
            // There is no year zero.
            return Err(Fault::Field);
        }
        if !civil.valid() {
            return Err(Fault::Field);
        }
        let days = civil.to_days();
        let time = match rest.as_bytes() {
            [] => return Ok(Self { days, micros: 0, zone: None }),
            [b'T' | b't', ..] => rest.get(1..).unwrap_or_default(),
            [first, ..] if first.is_ascii_whitespace() => trim(rest),
            [b'Z' | b'z' | b'+', ..] => rest,
            _ => return Err(Fault::Syntax),
        };
        if !time.starts_with(|c: char| c.is_ascii_digit()) {
            // A date in a zone: `2024-01-05 +02`.
            let zone = Zone::by_name(time).ok_or(Fault::Syntax)?;
            return Ok(Self { days, micros: 0, zone: Some(zone) });
        }
        let (micros, zone) = read_time(time)?;
        Ok(Self { days, micros, zone })
    }

    fn micros_since_1970(&self) -> Result<i64, Fault> {
        let days = self.days.checked_mul(MICROS_PER_DAY);
        let micros = days.and_then(|days| days.checked_add(self.micros));
        micros.and_then(timestamp_in_range).ok_or(Fault::Range)
    }
}

/// Takes `BC` or `AD` off the end.
fn strip_era(text: &str) -> (&str, bool) {
    let cut = text.len().saturating_sub(2);
    match text.split_at_checked(cut) {
        Some((rest, era)) if era.eq_ignore_ascii_case("BC") => (trim(rest), true),
        Some((rest, era)) if era.eq_ignore_ascii_case("AD") => (trim(rest), false),
        Some(_) | None => (text, false),
    }
}

/// Reads `2024-01-05`, `20240105`, `1/5/2024` or `5.1.2024`.
fn read_date(text: &str) -> Result<Civil, Fault> {
    let number = |field: &str| field.parse::<i64>().map_err(|_| Fault::Syntax);
    let separator = text.chars().find(|c| !c.is_ascii_digit());
    let Some(separator) = separator else {
        let (Some(year), Some(month), Some(day), 8) =
            (text.get(..4), text.get(4..6), text.get(6..), text.len())
        else {
            return Err(Fault::Syntax);
        };
        return Ok(Civil { year: number(year)?, month: number(month)?, day: number(day)? });
    };
    let mut fields = text.split(separator);
    let (Some(first), Some(second), Some(third), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(Fault::Syntax);
    };
    let too_long = |field: &str, width: usize| field.is_empty() || field.len() > width;
    if first.len() > 2 {
        if too_long(first, 7) || too_long(second, 2) || too_long(third, 2) {
            return Err(Fault::Syntax);
        }
        return Ok(Civil { year: number(first)?, month: number(second)?, day: number(third)? });
    }
    if too_long(first, 2) || too_long(second, 2) || third.len() < 3 || too_long(third, 7) {
        return Err(Fault::Syntax);
    }
    let (first, second, year) = (number(first)?, number(second)?, number(third)?);
    let (month, day) = if separator == '.' { (second, first) } else { (first, second) };
    Ok(Civil { year, month, day })
}

/// Reads `10:00`, `10:00:05.25`, `10:00 PM`, with or without a zone.
fn read_time(text: &str) -> Result<(i64, Option<Zone>), Fault> {
    let length = text.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b':' | b'.')).count();
    let (clock, rest) = text.split_at_checked(length).ok_or(Fault::Syntax)?;
    let mut fields = clock.split(':');
    let (Some(hours), Some(minutes)) = (fields.next(), fields.next()) else {
        return Err(Fault::Syntax);
    };
    let seconds = fields.next().unwrap_or("0");
    if fields.next().is_some() {
        return Err(Fault::Syntax);
    }
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let field = |text: &str| {
        let short = matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
        if short { text.parse::<i64>().map_err(|_| Fault::Syntax) } else { Err(Fault::Syntax) }
    };
    let (mut hours, minutes, seconds) = (field(hours)?, field(minutes)?, field(seconds)?);
    let fraction = read_fraction(fraction).ok_or(Fault::Syntax)?;
    let mut rest = trim(rest);
    for (half, shift) in [("AM", 0), ("PM", 12)] {
        let Some((word, behind)) = rest.split_at_checked(2) else {
            continue;
        };
        // Not the beginning of a zone: `10:00 America/New_York`.
        let whole = !behind.starts_with(|c: char| c.is_ascii_alphabetic());
        if whole && word.eq_ignore_ascii_case(half) {
            if !(1..=12).contains(&hours) {
                return Err(Fault::Field);
            }
            hours = hours % 12 + shift;
            rest = trim(behind);
            break;
        }
    }
    // A leap second counts as the next minute.
    let whole = (hours * 60 + minutes) * 60 + seconds;
    let micros = whole * MICROS_PER_SECOND + fraction;
    if hours > 24 || minutes > 59 || seconds > 60 || micros > MICROS_PER_DAY {
        return Err(Fault::Field);
    }
    if rest.is_empty() {
        return Ok((micros, None));
    }
    let zone = Zone::by_name(rest).or_else(|| abbreviated(rest)).ok_or(Fault::Syntax)?;
    Ok((micros, Some(zone)))
}

/// Zones of North America that people write and that the IANA database has no names for.
fn abbreviated(text: &str) -> Option<Zone> {
    let hours = match text.to_ascii_uppercase().as_str() {
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        "CEST" => 2,
        "CET" => 1,
        _ => return None,
    };
    Some(Zone::Fixed(hours * 3600))
}

/// Microseconds for the digits behind the point, rounded half to even as PostgreSQL's `rint` does.
pub(super) fn read_fraction(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = digits.get(..6).unwrap_or(digits);
    let mut micros = kept.bytes().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    for _ in kept.len()..6 {
        micros *= 10;
    }
    let rest = digits.get(6..).unwrap_or_default();
    let half = rest.starts_with('5') && rest.bytes().skip(1).all(|digit| digit == b'0');
    let up = rest.bytes().next().is_some_and(|digit| digit >= b'5');
    Some(micros + i64::from(up && !(half && micros % 2 == 0)))
}
