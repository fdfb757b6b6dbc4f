//! Dates and times in the proleptic Gregorian calendar, within PostgreSQL's limits.

use bytes::BytesMut;

use super::number::Piece;
use super::{DateStyle, EncodeError, EncodeSettings, TimeZone};

pub(crate) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// From 1970-01-01 to 2000-01-01, where PostgreSQL starts to count.
pub(crate) const PG_EPOCH_DAYS: i64 = 10_957;
pub(crate) const PG_EPOCH_MICROS: i64 = PG_EPOCH_DAYS * MICROS_PER_DAY;

/// 4714-11-24 BC and the day after 5874897-12-31, in days since 1970.
const DATE_DAYS: std::ops::Range<i64> = -2_440_588..2_145_042_906;
/// 4714-11-24 BC in microseconds since 1970. The end of PostgreSQL's range, the year 294277, is
/// beyond what fits from 1970.
const TIMESTAMP_MICROS_MIN: i64 = -210_866_803_200_000_000;

/// Checks days since 1970 against the limits of `date`.
pub(crate) fn date_in_range(days: i64) -> Option<i64> {
    DATE_DAYS.contains(&days).then_some(days)
}

/// Checks microseconds since 1970 against the limits of `timestamp`.
pub(crate) fn timestamp_in_range(micros: i64) -> Option<i64> {
    (micros >= TIMESTAMP_MICROS_MIN).then_some(micros)
}

/// A day of the calendar; year 0 is 1 BC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
}

impl Civil {
    /// Finds the calendar's day, counting years from March so that leap days come last.
    pub(crate) fn from_days(days_since_1970: i64) -> Self {
        let shifted = days_since_1970 + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
    }

    /// Counts the days since 1970 of a valid day.
    pub(crate) fn to_days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (self.month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// Whether the calendar has this day.
    pub(crate) fn valid(self) -> bool {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let n_days = match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + i64::from(leap),
            _ => return false,
        };
        (1..=n_days).contains(&self.day)
    }
}

/// Appends a date given in days since 1970.
pub(super) fn put_date(
    target: &mut BytesMut,
    days: i64,
    settings: &EncodeSettings,
) -> Result<(), EncodeError> {
    let out_of_range = EncodeError::DatetimeOutOfRange { type_name: "date" };
    let civil = Civil::from_days(date_in_range(days).ok_or(out_of_range)?);
    let mut out = Piece::new();
    put_civil(&mut out, civil, settings, true);
    put_era(&mut out, civil);
    target.extend_from_slice(out.as_bytes());
    Ok(())
}

/// Appends day, month and year; with spaces and names in some styles where no date stands alone.
fn put_civil(out: &mut Piece, civil: Civil, settings: &EncodeSettings, alone: bool) {
    let (first, second) =
        if settings.day_first { (civil.day, civil.month) } else { (civil.month, civil.day) };
    let mut joined = |first: i64, separator: u8, second: i64| {
        out.push_padded(first, 2);
        out.push(separator);
        out.push_padded(second, 2);
        out.push(separator);
    };
    match settings.date_style {
        DateStyle::Iso => {
            put_year(out, civil);
            out.push(b'-');
            out.push_padded(civil.month, 2);
            out.push(b'-');
            out.push_padded(civil.day, 2);
            return;
        }
        DateStyle::Sql => joined(first, b'/', second),
        DateStyle::German => joined(civil.day, b'.', civil.month),
        DateStyle::Postgres if alone => joined(first, b'-', second),
        DateStyle::Postgres => return,
    }
    put_year(out, civil);
}

fn put_year(out: &mut Piece, civil: Civil) {
    out.push_padded(if civil.year > 0 { civil.year } else { 1 - civil.year }, 4);
}

fn put_era(out: &mut Piece, civil: Civil) {
    if civil.year <= 0 {
        out.extend(b" BC");
    }
}

/// Appends a timestamp given in microseconds since 1970; with a zone it is an instant in UTC.
pub(super) fn put_timestamp(
    target: &mut BytesMut,
    micros: i64,
    zone: Option<TimeZone>,
    settings: &EncodeSettings,
) -> Result<(), EncodeError> {
    let type_name = "timestamp";
    let out_of_range = || EncodeError::DatetimeOutOfRange { type_name };
    timestamp_in_range(micros).ok_or_else(out_of_range)?;
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    let offset = zone.map(|zone| zone.offset_at(seconds));
    let shift = i64::from(offset.unwrap_or(0)) * MICROS_PER_SECOND;
    let local = micros.checked_add(shift).ok_or_else(out_of_range)?;
    let mut out = Piece::new();
    let civil = Civil::from_days(local.div_euclid(MICROS_PER_DAY));
    let time = local.rem_euclid(MICROS_PER_DAY);
    if settings.date_style == DateStyle::Postgres {
        put_postgres_day(&mut out, local.div_euclid(MICROS_PER_DAY), civil, settings.day_first);
        put_time_of_day(&mut out, time);
        out.push(b' ');
        put_year(&mut out, civil);
    } else {
        put_civil(&mut out, civil, settings, false);
        out.push(b' ');
        put_time_of_day(&mut out, time);
    }
    if let (Some(zone), Some(offset)) = (zone, offset) {
        put_zone(&mut out, zone, seconds, offset, settings.date_style);
    }
    put_era(&mut out, civil);
    target.extend_from_slice(out.as_bytes());
    Ok(())
}

/// Appends `Wed Dec 17 ` or `Wed 17 Dec `.
fn put_postgres_day(out: &mut Piece, days: i64, civil: Civil, day_first: bool) {
    const WEEKDAYS: &[u8] = b"Thu Fri Sat Sun Mon Tue Wed ";
    const MONTHS: &[u8] = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec ";
    let name = |names: &'static [u8], at: i64| {
        let at = usize::try_from(at).unwrap_or(0) * 4;
        names.get(at..at + 4).unwrap_or_default()
    };
    out.extend(name(WEEKDAYS, days.rem_euclid(7)));
    if !day_first {
        out.extend(name(MONTHS, civil.month - 1));
    }
    out.push_padded(civil.day, 2);
    out.push(b' ');
    if day_first {
        out.extend(name(MONTHS, civil.month - 1));
    }
}

/// Appends `+05:30` right behind in the ISO style, ` IST` where the style has names for zones.
fn put_zone(out: &mut Piece, zone: TimeZone, seconds: i64, offset: i32, style: DateStyle) {
    if style != DateStyle::Iso {
        out.push(b' ');
        if zone.put_abbreviation(seconds, out) {
            return;
        }
        if style != DateStyle::Postgres {
            out.pop();
        }
    }
    out.push(if offset < 0 { b'-' } else { b'+' });
    let size = i64::from(offset.unsigned_abs());
    out.push_padded(size / 3600, 2);
    if size % 3600 != 0 {
        out.push(b':');
        out.push_padded(size / 60 % 60, 2);
    }
    if size % 60 != 0 {
        out.push(b':');
        out.push_padded(size % 60, 2);
    }
}

/// Appends a time given in microseconds since midnight; 24:00:00 is one.
pub(super) fn put_time(target: &mut BytesMut, micros: i64) -> Result<(), EncodeError> {
    let mut out = Piece::new();
    put_time_of_day(&mut out, time_in_range(micros)?);
    target.extend_from_slice(out.as_bytes());
    Ok(())
}

/// Checks microseconds since midnight.
pub(super) fn time_in_range(micros: i64) -> Result<i64, EncodeError> {
    let out_of_range = EncodeError::DatetimeOutOfRange { type_name: "time" };
    (0..=MICROS_PER_DAY).contains(&micros).then_some(micros).ok_or(out_of_range)
}

/// Appends `04:05:06.789`.
pub(crate) fn put_time_of_day(out: &mut Piece, micros: i64) {
    let seconds = micros / MICROS_PER_SECOND;
    out.push_padded(seconds / 3600, 2);
    out.push(b':');
    out.push_padded(seconds / 60 % 60, 2);
    out.push(b':');
    out.push_padded(seconds % 60, 2);
    out.push_fraction(micros % MICROS_PER_SECOND);
}
