//! Days, months and microseconds of the proleptic Gregorian calendar.

use datafusion::common::Result;

use crate::functions::fault::fault;

/// Microseconds of a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
pub(crate) const MICROS_PER_HOUR: i64 = 3_600 * MICROS_PER_SECOND;
/// Microseconds of a day.
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// The day before 1970-01-01 by the count that starts in 4714 BC.
pub(crate) const JULIAN_OF_1970: i64 = 2_440_588;

/// `infinity` as a timestamp.
pub(crate) const LATEST: i64 = i64::MAX;
/// `-infinity` as a timestamp.
pub(crate) const EARLIEST: i64 = i64::MIN;
/// `infinity` as a date.
pub(crate) const LATEST_DAY: i32 = i32::MAX;
/// `-infinity` as a date.
pub(crate) const EARLIEST_DAY: i32 = i32::MIN;

/// 4714-11-24 BC and the day after 5874897-12-31, in days since 1970.
const DATE_DAYS: std::ops::Range<i64> = -2_440_588..2_145_042_906;
/// 4714-11-24 BC in microseconds since 1970.
const TIMESTAMP_MICROS_MIN: i64 = -210_866_803_200_000_000;

/// Whether a timestamp is neither `infinity` nor `-infinity`.
pub(crate) fn finite(micros: i64) -> bool {
    micros != LATEST && micros != EARLIEST
}

/// Whether a date is neither `infinity` nor `-infinity`.
pub(crate) fn finite_day(days: i32) -> bool {
    days != LATEST_DAY && days != EARLIEST_DAY
}

/// A day of the calendar; year 0 is 1 BC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// The year; 0 is 1 BC.
    pub year: i64,
    /// The month from 1.
    pub month: i64,
    /// The day of the month from 1.
    pub day: i64,
}

impl Civil {
    /// Finds the calendar's day, counting years from March so that leap days come last.
    #[must_use]
    pub fn from_days(days_since_1970: i64) -> Self {
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

    /// Counts the days since 1970; days beyond the end of a month count on.
    #[must_use]
    pub fn to_days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (self.month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// Whether the calendar has this day.
    #[must_use]
    pub fn valid(self) -> bool {
        (1..=12).contains(&self.month)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day)
    }

    /// The day this many months later, at most the last day of its month.
    pub(crate) fn plus_months(self, months: i64) -> Self {
        let total = self.year * 12 + self.month - 1 + months;
        let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
        Self { year, month, day: self.day.min(days_in_month(year, month)) }
    }
}

/// The number of days of a month; 31 for months that do not exist.
pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => 31,
    }
}

/// 0 is Sunday.
pub(crate) fn day_of_week(days_since_1970: i64) -> i64 {
    (days_since_1970 + 4).rem_euclid(7)
}

/// Monday of the first week of an ISO year, in days since 1970.
pub(crate) fn iso_year_start(year: i64) -> i64 {
    let fourth = Civil { year, month: 1, day: 4 }.to_days();
    fourth - (day_of_week(fourth) + 6) % 7
}

/// The ISO year and week of a day.
pub(crate) fn iso_week(days_since_1970: i64) -> (i64, i64) {
    let mut year = Civil::from_days(days_since_1970).year + 1;
    while iso_year_start(year) > days_since_1970 {
        year -= 1;
    }
    (year, (days_since_1970 - iso_year_start(year)) / 7 + 1)
}

/// Day and time of day of a timestamp.
pub(crate) fn split(micros: i64) -> (i64, i64) {
    (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY))
}

/// The timestamp of a day and a time of day.
///
/// # Errors
/// 22008 for what PostgreSQL's timestamps do not hold.
pub(crate) fn join(days: i64, micros: i64) -> Result<i64> {
    let sum = days.checked_mul(MICROS_PER_DAY).and_then(|start| start.checked_add(micros));
    sum.and_then(in_range).ok_or_else(out_of_range)
}

/// The timestamp, if PostgreSQL has it.
#[must_use]
pub fn in_range(micros: i64) -> Option<i64> {
    (micros >= TIMESTAMP_MICROS_MIN && micros != LATEST).then_some(micros)
}

/// The date, if PostgreSQL has it.
#[must_use]
pub fn day_in_range(days: i64) -> Option<i32> {
    DATE_DAYS.contains(&days).then(|| i32::try_from(days).ok()).flatten()
}

/// 22008 for timestamps.
pub(crate) fn out_of_range() -> datafusion::error::DataFusionError {
    fault("22008", "timestamp out of range")
}

/// 22008 for dates.
pub(crate) fn date_out_of_range() -> datafusion::error::DataFusionError {
    fault("22008", "date out of range")
}
