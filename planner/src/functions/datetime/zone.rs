//! Time zones by name, by abbreviation or by offset.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeZone as _};
use chrono_tz::{OffsetName, TZ_VARIANTS, Tz};

use super::calendar::MICROS_PER_SECOND;

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Zone {
    /// Seconds east of Greenwich.
    Fixed(i32),
    /// A zone of the IANA database.
    Named(Tz),
}

/// PostgreSQL's default abbreviations, in hours and minutes east of Greenwich (timezonesets).
const ABBREVIATIONS: &[(&str, i32)] = &[
    ("acdt", 1030),
    ("acst", 930),
    ("adt", -300),
    ("aest", 1000),
    ("aedt", 1100),
    ("akdt", -800),
    ("akst", -900),
    ("art", -300),
    ("ast", -400),
    ("awst", 800),
    ("bdst", 200),
    ("brt", -300),
    ("bst", 100),
    ("cadt", 1030),
    ("cdt", -500),
    ("cest", 200),
    ("cet", 100),
    ("cst", -600),
    ("eat", 300),
    ("edt", -400),
    ("eest", 300),
    ("eet", 200),
    ("est", -500),
    ("gmt", 0),
    ("hkt", 800),
    ("hst", -1000),
    ("idt", 300),
    ("ist", 200),
    ("jst", 900),
    ("kst", 900),
    ("mdt", -600),
    ("mest", 200),
    ("met", 100),
    ("msd", 400),
    ("msk", 300),
    ("mst", -700),
    ("ndt", -230),
    ("nst", -330),
    ("nzdt", 1300),
    ("nzst", 1200),
    ("pdt", -700),
    ("pht", 800),
    ("pkt", 500),
    ("pst", -800),
    ("sast", 200),
    ("sgt", 800),
    ("ut", 0),
    ("utc", 0),
    ("uct", 0),
    ("wast", 200),
    ("wet", 0),
    ("west", 100),
    ("z", 0),
    ("zulu", 0),
];

impl Zone {
    /// The zone of servers.
    pub const UTC: Self = Self::Fixed(0);

    /// Reads a setting or an operand: `UTC`, `+05:30` (east is positive, as in ISO 8601), `PST` or
    /// `Europe/Berlin`, in any case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(seconds) = Self::abbreviation(text) {
            // The IANA database has some of the letters too, with a history.
            return match Self::named(text) {
                Some(named) if !matches!(seconds, 0) => Some(named),
                _ => Some(Self::Fixed(seconds)),
            };
        }
        match text.as_bytes().first()? {
            b'+' | b'-' => Self::offset(text),
            _ => Self::named(text).or_else(|| posix(text).map(Self::Fixed)),
        }
    }

    /// Reads `UTC` and its other names, `+05:30`, or a zone of the IANA database: the zone that a
    /// session has, or that stands behind a moment. Unlike [`Self::parse`] it takes letters such as
    /// `WET` for the zone with its summer time, and no others.
    #[must_use]
    pub fn by_name(text: &str) -> Option<Self> {
        let text = text.trim();
        if ["utc", "z", "gmt", "zulu", "ut"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
            return Some(Self::UTC);
        }
        match text.as_bytes().first()? {
            b'+' | b'-' => Self::offset(text),
            _ => Self::named(text),
        }
    }

    /// Reads `+05:30`; east is positive.
    fn offset(text: &str) -> Option<Self> {
        let seconds = parse_offset(text.get(1..)?)?;
        Some(Self::Fixed(if text.starts_with('-') { -seconds } else { seconds }))
    }

    /// Reads an operand of AT TIME ZONE: a bare offset counts west of Greenwich there (POSIX).
    pub(crate) fn operand(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.as_bytes().first()? {
            b'+' | b'-' | b'<' | b'0'..=b'9' => posix(text).map(Self::Fixed),
            _ => Self::parse(text),
        }
    }

    /// Reads a zone of the IANA database in any case.
    pub(crate) fn named(text: &str) -> Option<Self> {
        let named = |zone: &&Tz| zone.name().eq_ignore_ascii_case(text);
        TZ_VARIANTS.iter().find(named).copied().map(Self::Named)
    }

    /// The seconds east of Greenwich that letters such as `PST` stand for.
    pub(crate) fn abbreviation(text: &str) -> Option<i32> {
        let found = ABBREVIATIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, clock)| clock / 100 * 3_600 + clock % 100 * 60)
    }

    /// The letters of [`Self::abbreviation`], with seconds east of Greenwich.
    pub(crate) fn abbreviations() -> impl Iterator<Item = (&'static str, i32)> {
        let seconds = |clock: i32| clock / 100 * 3_600 + clock % 100 * 60;
        ABBREVIATIONS.iter().map(move |(name, clock)| (*name, seconds(*clock)))
    }

    /// The session's zone as the engine's options hold it.
    pub(crate) fn of_session(name: Option<&str>) -> Self {
        name.and_then(Self::parse).unwrap_or(Self::UTC)
    }

    /// The seconds east of Greenwich at an instant.
    #[must_use]
    pub fn offset_at(self, micros: i64) -> i64 {
        match self {
            Self::Fixed(seconds) => i64::from(seconds),
            Self::Named(zone) => {
                let at = naive(micros.div_euclid(MICROS_PER_SECOND));
                i64::from(zone.offset_from_utc_datetime(&at).fix().local_minus_utc())
            }
        }
    }

    /// The seconds east of Greenwich when clocks show a local time.
    ///
    /// As in PostgreSQL the hour that comes twice is taken as standard time, and the hour that
    /// never comes is counted on from before the change.
    #[must_use]
    pub fn offset_of_local(self, micros: i64) -> i64 {
        let zone = match self {
            Self::Fixed(seconds) => return i64::from(seconds),
            Self::Named(zone) => zone,
        };
        let local = micros.div_euclid(MICROS_PER_SECOND);
        let seconds = match zone.offset_from_local_datetime(&naive(local)) {
            MappedLocalTime::Single(offset) => offset.fix().local_minus_utc(),
            MappedLocalTime::Ambiguous(one, other) => {
                one.fix().local_minus_utc().min(other.fix().local_minus_utc())
            }
            MappedLocalTime::None => {
                let before = zone.offset_from_local_datetime(&naive(local - 86_400));
                before.latest().map_or(0, |offset| offset.fix().local_minus_utc())
            }
        };
        i64::from(seconds)
    }

    /// What clocks show at an instant.
    #[must_use]
    pub fn to_local(self, micros: i64) -> i64 {
        if !super::calendar::finite(micros) {
            return micros;
        }
        micros.saturating_add(self.offset_at(micros) * MICROS_PER_SECOND)
    }

    /// The instant at which clocks show a time.
    pub(crate) fn to_instant(self, local: i64) -> i64 {
        if !super::calendar::finite(local) {
            return local;
        }
        local.saturating_sub(self.offset_of_local(local) * MICROS_PER_SECOND)
    }

    /// The letters for the zone at an instant, such as `PST`; empty where there are none.
    pub(crate) fn letters(self, micros: i64) -> String {
        match self {
            Self::Fixed(0) => "UTC".to_owned(),
            Self::Fixed(_) => String::new(),
            Self::Named(zone) => {
                let at = naive(micros.div_euclid(MICROS_PER_SECOND));
                let offset = zone.offset_from_utc_datetime(&at);
                offset.abbreviation().unwrap_or_default().to_owned()
            }
        }
    }
}

/// Reads `UTC+3`, `<X>-3`, `EST5` and `-8`, which count west of Greenwich, as seconds east of it.
///
/// Rules for summer time are not read; `EST5EDT` and its kin are in the database.
pub(crate) fn posix(text: &str) -> Option<i32> {
    let offset = match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>')?.1,
        None => text.trim_start_matches(|c: char| c.is_ascii_alphabetic()),
    };
    match offset.strip_prefix('-') {
        Some(east) => parse_offset(east),
        None => parse_offset(offset.strip_prefix('+').unwrap_or(offset)).map(|west| -west),
    }
}

/// The instant as chrono has it; instants beyond chrono's years count as its last ones.
fn naive(unix_seconds: i64) -> NaiveDateTime {
    let limits =
        (NaiveDateTime::MIN.and_utc().timestamp(), NaiveDateTime::MAX.and_utc().timestamp());
    let clamped = unix_seconds.clamp(limits.0 + 172_800, limits.1 - 172_800);
    DateTime::from_timestamp(clamped, 0).unwrap_or_default().naive_utc()
}

/// Reads `5`, `05`, `0530`, `05:30` or `05:30:15` as seconds.
pub(crate) fn parse_offset(text: &str) -> Option<i32> {
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
    (hours < 16 && minutes < 60 && seconds < 60).then_some(hours * 3_600 + minutes * 60 + seconds)
}
