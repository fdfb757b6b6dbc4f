//! Dates and times as text, in the styles of the setting `DateStyle`.
//!
//! | style | date | timestamp with time zone |
//! |---|---|---|
//! | ISO | `1997-12-17` | `1997-12-17 07:37:16-08` |
//! | SQL | `12/17/1997` | `12/17/1997 07:37:16 PST` |
//! | Postgres | `12-17-1997` | `Wed Dec 17 07:37:16 1997 PST` |
//! | German | `17.12.1997` | `17.12.1997 07:37:16 PST` |
//!
//! Casts and the Postgres wire write with these functions. Not here: the ends of time, which have
//! words in the place of numbers, and limits.

use super::calendar::{Civil, MICROS_PER_SECOND, day_of_week, split};
use super::piece::Piece;
use super::text::{DateOrder, DateStyle, TimeSettings};

/// Appends a date given in days since 1970.
pub fn put_date(out: &mut Piece, days: i64, settings: &TimeSettings) {
    let civil = Civil::from_days(days);
    put_day(out, civil, settings);
    put_era(out, civil);
}

/// Appends a timestamp given in microseconds since 1970.
pub fn put_timestamp(out: &mut Piece, micros: i64, settings: &TimeSettings) {
    let civil = put_local(out, micros, settings);
    put_era(out, civil);
}

/// Appends an instant given in microseconds since 1970 as clocks in the session's zone show it.
pub fn put_timestamptz(out: &mut Piece, micros: i64, settings: &TimeSettings) {
    let offset = settings.zone.offset_at(micros);
    let civil = put_local(out, settings.zone.to_local(micros), settings);
    put_zone(out, micros, offset, settings);
    put_era(out, civil);
}

/// Appends a time of day given in microseconds: `04:05:06.789`.
pub fn put_time(out: &mut Piece, micros: i64) {
    let seconds = micros / MICROS_PER_SECOND;
    out.push_padded(seconds / 3_600, 2);
    out.push(b':');
    out.push_padded(seconds / 60 % 60, 2);
    out.push(b':');
    out.push_padded(seconds % 60, 2);
    out.push_fraction(micros % MICROS_PER_SECOND);
}

/// Appends seconds east of Greenwich: `+05:30`, with minutes and seconds where they are not nought.
fn put_offset(out: &mut Piece, seconds: i64) {
    let size = seconds.abs();
    out.push(if seconds < 0 { b'-' } else { b'+' });
    out.push_padded(size / 3_600, 2);
    if size % 3_600 != 0 {
        out.push(b':');
        out.push_padded(size / 60 % 60, 2);
    }
    if size % 60 != 0 {
        out.push(b':');
        out.push_padded(size % 60, 2);
    }
}

/// Day, month and year in the order of the style.
fn put_day(out: &mut Piece, civil: Civil, settings: &TimeSettings) {
    let day_first = settings.order == DateOrder::Dmy;
    let (first, second) =
        if day_first { (civil.day, civil.month) } else { (civil.month, civil.day) };
    let mut joined = |first: i64, separator: u8, second: i64| {
        out.push_padded(first, 2);
        out.push(separator);
        out.push_padded(second, 2);
        out.push(separator);
    };
    match settings.style {
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
        DateStyle::Postgres => joined(first, b'-', second),
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

/// What clocks show, without zone and era; returns the day.
fn put_local(out: &mut Piece, micros: i64, settings: &TimeSettings) -> Civil {
    let (days, time) = split(micros);
    let civil = Civil::from_days(days);
    if settings.style == DateStyle::Postgres {
        put_names(out, days, civil, settings.order == DateOrder::Dmy);
        put_time(out, time);
        out.push(b' ');
        put_year(out, civil);
    } else {
        put_day(out, civil, settings);
        out.push(b' ');
        put_time(out, time);
    }
    civil
}

/// Appends `Wed Dec 17 ` or `Wed 17 Dec `.
fn put_names(out: &mut Piece, days: i64, civil: Civil, day_first: bool) {
    const WEEKDAYS: &[u8] = b"Sun Mon Tue Wed Thu Fri Sat ";
    const MONTHS: &[u8] = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec ";
    let name = |names: &'static [u8], at: i64| {
        let at = usize::try_from(at).unwrap_or(0) * 4;
        names.get(at..at + 4).unwrap_or_default()
    };
    out.extend(name(WEEKDAYS, day_of_week(days)));
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
fn put_zone(out: &mut Piece, micros: i64, offset: i64, settings: &TimeSettings) {
    if settings.style != DateStyle::Iso {
        out.push(b' ');
        // Zones without letters have digits there: `+03`.
        let letters = settings.zone.letters(micros);
        if !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            out.extend(letters.as_bytes());
            return;
        }
        if settings.style != DateStyle::Postgres {
            out.pop();
        }
    }
    put_offset(out, offset);
}
