//! How `time with time zone` is held: as twelve bytes whose order is PostgreSQL's.
//!
//! ```text
//! bytes 0 to 7    microseconds of the day in Greenwich, big end first, sign turned over
//! bytes 8 to 11   seconds of the zone west of Greenwich, in the same way
//! ```
//! PostgreSQL compares the instants and, of equal ones, the zones; two values are equal only if
//! both are. Bytes in this order are compared like that, so that sorting, grouping, joining, `min`
//! and `max` need no code of their own.
//!
//! # Source
//! PostgreSQL, `timetz_cmp_internal` (date.c).

use std::fmt;

use arrow::datatypes::DataType;

/// The Arrow type of `time with time zone`.
pub const TIMETZ: DataType = DataType::FixedSizeBinary(12);

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Zones are nearer to Greenwich than so many seconds, as in PostgreSQL.
const WEST_SECONDS_LIMIT: i32 = 16 * 3_600;

/// A time of day and the zone in which clocks show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeTz {
    /// What clocks show, in microseconds since midnight.
    micros: i64,
    /// Seconds west of Greenwich.
    west: i32,
}

impl TimeTz {
    /// A time of day up to 24:00 in a zone; `None` for times and zones that there are not.
    #[must_use]
    pub fn new(micros: i64, west: i32) -> Option<Self> {
        let valid = (0..=MICROS_PER_DAY).contains(&micros)
            && (1 - WEST_SECONDS_LIMIT..WEST_SECONDS_LIMIT).contains(&west);
        valid.then_some(Self { micros, west })
    }

    /// What clocks show, in microseconds since midnight.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.micros
    }

    /// The seconds that the zone is west of Greenwich.
    #[must_use]
    pub fn west(self) -> i32 {
        self.west
    }

    /// Microseconds of the day in Greenwich, before its beginning or behind its end, too.
    #[must_use]
    pub fn utc_micros(self) -> i64 {
        self.micros + i64::from(self.west) * MICROS_PER_SECOND
    }

    /// A number in the order of the values.
    #[must_use]
    pub fn order(self) -> i64 {
        // Zones take seventeen bits and a sign.
        self.utc_micros() * (1 << 18) + i64::from(self.west)
    }

    /// The same instant as clocks show it in another zone; `None` for a zone that there is not.
    #[must_use]
    pub fn in_zone(self, west: i32) -> Option<Self> {
        let micros = self.utc_micros() - i64::from(west) * MICROS_PER_SECOND;
        Self::new(micros.rem_euclid(MICROS_PER_DAY), west)
    }

    /// The value of a column.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let utc = (self.utc_micros() ^ i64::MIN).to_be_bytes();
        let west = (self.west ^ i32::MIN).to_be_bytes();
        for (to, from) in bytes.iter_mut().zip(utc.into_iter().chain(west)) {
            *to = from;
        }
        bytes
    }

    /// Reads the value of a column; `None` for bytes that are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (utc, rest) = bytes.split_first_chunk::<8>()?;
        let west: [u8; 4] = rest.try_into().ok()?;
        let utc = i64::from_be_bytes(*utc) ^ i64::MIN;
        let west = i32::from_be_bytes(west) ^ i32::MIN;
        Self::new(utc.checked_sub(i64::from(west) * MICROS_PER_SECOND)?, west)
    }

    /// Reads what `Display` writes; `None` for all other texts.
    #[must_use]
    pub fn from_plain(text: &str) -> Option<Self> {
        let at = text.rfind(['+', '-'])?;
        let (clock, zone) = text.split_at_checked(at)?;
        let (sign, zone) = zone.split_at_checked(1)?;
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        if fraction.len() > 6 {
            return None;
        }
        let mut unit = MICROS_PER_SECOND;
        let mut micros = 0;
        for digit in fraction.chars() {
            unit /= 10;
            micros += i64::from(digit.to_digit(10)?) * unit;
        }
        let n_fields = clock.split(':').count();
        let (clock, zone) = (seconds(clock)?, seconds(zone)?);
        let west = i32::try_from(if sign == "-" { zone } else { -zone }).ok()?;
        (n_fields == 3).then(|| Self::new(clock * MICROS_PER_SECOND + micros, west)).flatten()
    }
}

/// Reads `05`, `05:30` or `05:30:15`.
fn seconds(text: &str) -> Option<i64> {
    let mut total = 0;
    let mut unit = 3_600;
    for field in text.split(':') {
        let digits = field.len() == 2 && field.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || unit == 0 {
            return None;
        }
        let number: i64 = field.parse().ok()?;
        if unit < 3_600 && number > 59 {
            return None;
        }
        total += number * unit;
        unit /= 60;
    }
    Some(total)
}

impl fmt::Display for TimeTz {
    /// Writes `04:05:06.789-08`, whatever the session's style of dates is, as in PostgreSQL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, fraction) =
            (self.micros / MICROS_PER_SECOND, self.micros % MICROS_PER_SECOND);
        write!(f, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)?;
        if fraction != 0 {
            let digits = format!("{fraction:06}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        let size = self.west.abs();
        let sign = if self.west > 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}", size / 3_600)?;
        if size % 3_600 != 0 {
            write!(f, ":{:02}", size / 60 % 60)?;
        }
        if size % 60 != 0 {
            write!(f, ":{:02}", size % 60)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::TimeTz;

    #[test]
    fn texts_and_bytes_are_read_back() {
        for text in ["00:00:00+00", "24:00:00-15:59:59", "12:30:45.25+02", "04:05:06-08:30"] {
            let value = TimeTz::from_plain(text).expect("a plain text");
            assert_eq!(value.to_string(), text);
            assert_eq!(TimeTz::from_bytes(&value.to_bytes()), Some(value));
        }
        for text in ["", "12:30+02", "12:30:45", "24:00:01+00", "12:60:00+00", "1:00:00+00"] {
            assert_eq!(TimeTz::from_plain(text), None, "{text}");
        }
        assert_eq!(TimeTz::from_bytes(&[0; 12]), None);
    }

    #[test]
    fn bytes_are_in_the_order_of_instants_and_then_of_zones() {
        // 11:59 in Greenwich, then 12:00 there thrice, from the east to the west.
        let texts = ["23:59:00+12", "14:00:00+02", "12:00:00+00", "09:00:00-03", "01:00:00-15"];
        let values: Vec<TimeTz> = texts.iter().filter_map(|t| TimeTz::from_plain(t)).collect();
        for pair in values.windows(2) {
            if let [less, more] = pair {
                assert!(less.to_bytes() < more.to_bytes(), "{less} {more}");
                assert!(less.order() < more.order(), "{less} {more}");
            }
        }
    }
}
