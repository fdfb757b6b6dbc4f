//! Intervals in PostgreSQL's four styles.

use bytes::{BufMut, BytesMut};

use super::IntervalStyle;
use super::datetime::MICROS_PER_SECOND;
use super::number::{Piece, put_integer};

/// An interval as PostgreSQL holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) months: i32,
    pub(crate) days: i32,
    pub(crate) micros: i64,
}

/// The parts that are written apart; all of one sign within months, days and time.
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

impl Interval {
    fn parts(self) -> Parts {
        let seconds = self.micros / MICROS_PER_SECOND;
        Parts {
            years: i64::from(self.months / 12),
            months: i64::from(self.months % 12),
            days: i64::from(self.days),
            hours: seconds / 3600,
            minutes: seconds / 60 % 60,
            seconds: seconds % 60,
            micros: self.micros % MICROS_PER_SECOND,
        }
    }

    /// Appends the text form.
    pub(super) fn put_text(self, style: IntervalStyle, out: &mut BytesMut) {
        match style {
            IntervalStyle::Postgres => self.put_postgres(out),
            IntervalStyle::PostgresVerbose => self.put_verbose(out),
            IntervalStyle::SqlStandard => self.put_sql_standard(out),
            IntervalStyle::Iso8601 => self.put_iso_8601(out),
        }
    }

    /// Appends the 16 bytes of the binary form.
    pub(super) fn put_binary(self, out: &mut BytesMut) {
        out.put_i64(self.micros);
        out.put_i32(self.days);
        out.put_i32(self.months);
    }

    /// `1 year 2 mons -3 days +04:05:06.789`: a plus sign follows what is negative.
    fn put_postgres(self, out: &mut BytesMut) {
        let parts = self.parts();
        let mut first = true;
        let mut after_negative = false;
        for (value, unit) in [(parts.years, "year"), (parts.months, "mon"), (parts.days, "day")] {
            if value == 0 {
                continue;
            }
            if !first {
                out.put_u8(b' ');
            }
            if after_negative && value > 0 {
                out.put_u8(b'+');
            }
            put_integer(out, value);
            out.put_u8(b' ');
            out.extend_from_slice(unit.as_bytes());
            if value != 1 {
                out.put_u8(b's');
            }
            first = false;
            after_negative = value < 0;
        }
        if first || self.micros != 0 {
            if !first {
                out.put_u8(b' ');
            }
            if self.micros < 0 {
                out.put_u8(b'-');
            } else if after_negative {
                out.put_u8(b'+');
            }
            parts.put_clock(out, 2);
        }
    }

    /// `@ 1 year -2 mons 6.5 secs ago`: the sign of the first part is said at the end.
    fn put_verbose(self, out: &mut BytesMut) {
        let parts = self.parts();
        out.put_u8(b'@');
        let mut first = true;
        let mut ago = false;
        let units = [
            (parts.years, "year"),
            (parts.months, "mon"),
            (parts.days, "day"),
            (parts.hours, "hour"),
            (parts.minutes, "min"),
        ];
        for (value, unit) in units {
            if value == 0 {
                continue;
            }
            ago |= first && value < 0;
            first = false;
            let value = if ago { -value } else { value };
            out.put_u8(b' ');
            put_integer(out, value);
            out.put_u8(b' ');
            out.extend_from_slice(unit.as_bytes());
            if value != 1 {
                out.put_u8(b's');
            }
        }
        if parts.seconds != 0 || parts.micros != 0 {
            let negative = parts.seconds < 0 || parts.micros < 0;
            ago |= first && negative;
            first = false;
            out.put_u8(b' ');
            if negative != ago {
                out.put_u8(b'-');
            }
            put_integer(out, parts.seconds.unsigned_abs());
            put_fraction(out, parts.micros);
            let one = parts.seconds.abs() == 1 && parts.micros == 0;
            out.extend_from_slice(if one { b" sec" } else { b" secs" });
        }
        if first {
            out.extend_from_slice(b" 0");
        }
        if ago {
            out.extend_from_slice(b" ago");
        }
    }

    /// `1-2`, `3 4:05:06`, or with a sign at every part where they do not agree.
    fn put_sql_standard(self, out: &mut BytesMut) {
        let parts = self.parts();
        let negative = self.months < 0 || self.days < 0 || self.micros < 0;
        let positive = self.months > 0 || self.days > 0 || self.micros > 0;
        if !negative && !positive {
            out.put_u8(b'0');
            return;
        }
        let has_time = self.days != 0 || self.micros != 0;
        if (negative && positive) || (self.months != 0 && has_time) {
            let sign = |negative: bool| if negative { b'-' } else { b'+' };
            out.put_u8(sign(self.months < 0));
            parts.put_months(out);
            out.put_u8(b' ');
            out.put_u8(sign(self.days < 0));
            put_integer(out, parts.days.unsigned_abs());
            out.put_u8(b' ');
            out.put_u8(sign(self.micros < 0));
            parts.put_clock(out, 1);
            return;
        }
        if negative {
            out.put_u8(b'-');
        }
        if self.months != 0 {
            parts.put_months(out);
            return;
        }
        if self.days != 0 {
            put_integer(out, parts.days.unsigned_abs());
            out.put_u8(b' ');
        }
        parts.put_clock(out, 1);
    }

    /// `P1Y2M3DT4H5M6.789S`.
    fn put_iso_8601(self, out: &mut BytesMut) {
        let parts = self.parts();
        if self == (Self { months: 0, days: 0, micros: 0 }) {
            out.extend_from_slice(b"PT0S");
            return;
        }
        let put = |out: &mut BytesMut, value: i64, letter: u8| {
            if value != 0 {
                put_integer(out, value);
                out.put_u8(letter);
            }
        };
        out.put_u8(b'P');
        put(out, parts.years, b'Y');
        put(out, parts.months, b'M');
        put(out, parts.days, b'D');
        if self.micros == 0 {
            return;
        }
        out.put_u8(b'T');
        put(out, parts.hours, b'H');
        put(out, parts.minutes, b'M');
        if parts.seconds != 0 || parts.micros != 0 {
            if parts.seconds < 0 || parts.micros < 0 {
                out.put_u8(b'-');
            }
            put_integer(out, parts.seconds.unsigned_abs());
            put_fraction(out, parts.micros);
            out.put_u8(b'S');
        }
    }
}

impl Parts {
    /// Years and months without sign: `1-2`.
    fn put_months(&self, out: &mut BytesMut) {
        put_integer(out, self.years.unsigned_abs());
        out.put_u8(b'-');
        put_integer(out, self.months.unsigned_abs());
    }

    /// Hours, minutes and seconds without sign: `04:05:06.789`.
    fn put_clock(&self, out: &mut BytesMut, hours_width: usize) {
        let mut clock = Piece::new();
        clock.push_padded(self.hours.abs(), hours_width);
        clock.push(b':');
        clock.push_padded(self.minutes.abs(), 2);
        clock.push(b':');
        clock.push_padded(self.seconds.abs(), 2);
        clock.push_fraction(self.micros.abs());
        out.extend_from_slice(clock.as_bytes());
    }
}

/// Appends a fraction of a second without sign: `.789`.
fn put_fraction(out: &mut BytesMut, micros: i64) {
    let mut fraction = Piece::new();
    fraction.push_fraction(micros.abs());
    out.extend_from_slice(fraction.as_bytes());
}
