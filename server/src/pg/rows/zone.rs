//! Time zones by name or by offset.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeZone as _};
use chrono_tz::{OffsetName, TZ_VARIANTS, Tz};

use super::number::Piece;

/// A session's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeZone {
    /// Seconds east of Greenwich.
    Fixed(i32),
    /// A zone of the IANA database.
    Named(Tz),
}

impl TimeZone {
    /// The zone of servers.
    pub(crate) const UTC: Self = Self::Fixed(0);

    /// Reads `UTC`, `Z`, `+05:30`, `-0800` (east is positive, as in ISO 8601) or `Europe/Berlin`,
    /// in any case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if ["utc", "z", "gmt", "zulu", "ut"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
            return Some(Self::UTC);
        }
        match text.as_bytes().first()? {
            b'+' => parse_offset(text.get(1..)?).map(Self::Fixed),
            b'-' => parse_offset(text.get(1..)?).map(|seconds| Self::Fixed(-seconds)),
            _ => {
                let named = |zone: &&Tz| zone.name().eq_ignore_ascii_case(text);
                TZ_VARIANTS.iter().find(named).copied().map(Self::Named)
            }
        }
    }

    /// The seconds east of Greenwich at an instant.
    pub(crate) fn offset_at(&self, unix_seconds: i64) -> i32 {
        match self {
            Self::Fixed(seconds) => *seconds,
            Self::Named(zone) => {
                zone.offset_from_utc_datetime(&naive(unix_seconds)).fix().local_minus_utc()
            }
        }
    }

    /// The seconds east of Greenwich when clocks show a local time.
    ///
    /// As in PostgreSQL the hour that comes twice is taken as standard time, and the hour that
    /// never comes is counted on from before the change.
    pub(crate) fn offset_of_local(&self, local_seconds: i64) -> i32 {
        let zone = match self {
            Self::Fixed(seconds) => return *seconds,
            Self::Named(zone) => zone,
        };
        match zone.offset_from_local_datetime(&naive(local_seconds)) {
            MappedLocalTime::Single(offset) => offset.fix().local_minus_utc(),
            MappedLocalTime::Ambiguous(one, other) => {
                one.fix().local_minus_utc().min(other.fix().local_minus_utc())
            }
            MappedLocalTime::None => {
                let before = zone.offset_from_local_datetime(&naive(local_seconds - 86_400));
                before.latest().map_or(0, |offset| offset.fix().local_minus_utc())
            }
        }
    }

    /// Appends the letters for the zone at an instant, such as `PST`; false where there are none.
    pub(crate) fn put_abbreviation(&self, unix_seconds: i64, out: &mut Piece) -> bool {
        let zone = match self {
            Self::Fixed(0) => {
                out.extend(b"UTC");
                return true;
            }
            Self::Fixed(_) => return false,
            Self::Named(zone) => zone,
        };
        let offset = zone.offset_from_utc_datetime(&naive(unix_seconds));
        // Zones without letters have digits there: `+03`.
        match offset.abbreviation() {
            Some(letters) if letters.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                out.extend(letters.as_bytes());
                true
            }
            Some(_) | None => false,
        }
    }
}

/// The instant as chrono has it; instants beyond chrono's years count as its last ones.
fn naive(unix_seconds: i64) -> NaiveDateTime {
    // Two days within the range of chrono, so that adding an offset stays inside.
    let limits =
        (NaiveDateTime::MIN.and_utc().timestamp(), NaiveDateTime::MAX.and_utc().timestamp());
    let clamped = unix_seconds.clamp(limits.0 + 172_800, limits.1 - 172_800);
    DateTime::from_timestamp(clamped, 0).unwrap_or_default().naive_utc()
}

/// Reads `5`, `05`, `0530`, `05:30` or `05:30:15` as seconds.
fn parse_offset(text: &str) -> Option<i32> {
    let mut fields = text.split(':');
    let first = fields.next()?;
    let all_digits = |field: &str| !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(first) {
        return None;
    }
    let (hours, minutes) = match (first.len(), fields.next()) {
        (1 | 2, None) => (first, "0"),
        (3 | 4, None) => first.split_at(first.len() - 2),
        (1 | 2, Some(minutes)) if all_digits(minutes) => (first, minutes),
        _ => return None,
    };
    let seconds = fields.next().unwrap_or("0");
    if fields.next().is_some() || !all_digits(seconds) {
        return None;
    }
    let number = |field: &str| field.parse::<i32>().ok();
    let (hours, minutes, seconds) = (number(hours)?, number(minutes)?, number(seconds)?);
    // PostgreSQL's limit is below 16 hours.
    (hours < 16 && minutes < 60 && seconds < 60).then_some(hours * 3600 + minutes * 60 + seconds)
}
