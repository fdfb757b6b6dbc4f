//! Intervals as values: arithmetic, order, justification.

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::Result;
use datafusion::error::DataFusionError;

use super::calendar::{
    Civil, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, finite, join,
    out_of_range, split,
};
use super::zone::Zone;
use crate::functions::fault::{division_by_zero, fault};

const DAYS_PER_MONTH: i32 = 30;
const SECONDS_PER_DAY: f64 = 86_400.0;

/// An interval as PostgreSQL holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

/// 22008 for intervals.
pub(crate) fn interval_out_of_range() -> DataFusionError {
    fault("22008", "interval out of range")
}

impl Span {
    pub(crate) fn from_arrow(value: IntervalMonthDayNano) -> Self {
        Self { months: value.months, days: value.days, micros: value.nanoseconds / 1_000 }
    }

    /// The engine's form, which counts nanoseconds.
    ///
    /// # Errors
    /// 22008 for more than 292 years in hours, which do not fit.
    pub(crate) fn to_arrow(self) -> Result<IntervalMonthDayNano> {
        let nanos = self.micros.checked_mul(1_000).ok_or_else(interval_out_of_range)?;
        Ok(IntervalMonthDayNano::new(self.months, self.days, nanos))
    }

    pub(crate) fn from_micros(micros: i64) -> Self {
        Self { months: 0, days: 0, micros }
    }

    /// What orders intervals: a month counts 30 days, a day 24 hours.
    pub(crate) fn order(self) -> i128 {
        let days = i128::from(self.months) * 30 + i128::from(self.days);
        days * i128::from(MICROS_PER_DAY) + i128::from(self.micros)
    }

    pub(crate) fn negated(self) -> Result<Self> {
        Self::default().minus(self)
    }

    pub(crate) fn plus(self, other: Self) -> Result<Self> {
        let months = self.months.checked_add(other.months);
        let days = self.days.checked_add(other.days);
        let micros = self.micros.checked_add(other.micros);
        Self::checked(months, days, micros)
    }

    pub(crate) fn minus(self, other: Self) -> Result<Self> {
        let months = self.months.checked_sub(other.months);
        let days = self.days.checked_sub(other.days);
        let micros = self.micros.checked_sub(other.micros);
        Self::checked(months, days, micros)
    }

    fn checked(months: Option<i32>, days: Option<i32>, micros: Option<i64>) -> Result<Self> {
        match (months, days, micros) {
            (Some(months), Some(days), Some(micros)) => Ok(Self { months, days, micros }),
            _ => Err(interval_out_of_range()),
        }
    }

    /// The product; fractions of months become days, fractions of days time.
    pub(crate) fn times(self, factor: f64) -> Result<Self> {
        self.scaled(|value| value * factor)
    }

    /// The quotient, with fractions as in [`Self::times`].
    pub(crate) fn divided(self, divisor: f64) -> Result<Self> {
        if divisor == 0.0 {
            return Err(division_by_zero());
        }
        self.scaled(|value| value / divisor)
    }

    /// As PostgreSQL's `interval_mul` does it, with its roundings.
    fn scaled(self, scale: impl Fn(f64) -> f64) -> Result<Self> {
        let round = |value: f64| (value * 1e6).round_ties_even() / 1e6;
        let months = whole32(scale(f64::from(self.months)))?;
        let days = whole32(scale(f64::from(self.days)))?;
        let month_days = (scale(f64::from(self.months)) - f64::from(months)) * 30.0;
        let month_days = round(month_days);
        let rest = scale(f64::from(self.days)) - f64::from(days) + month_days - month_days.trunc();
        let mut seconds = round(rest * SECONDS_PER_DAY);
        let mut days = i64::from(days);
        if seconds.abs() >= SECONDS_PER_DAY {
            let whole = (seconds / SECONDS_PER_DAY).trunc();
            days += i64::from(whole32(whole)?);
            seconds -= whole * SECONDS_PER_DAY;
        }
        days += i64::from(whole32(month_days)?);
        #[expect(clippy::cast_precision_loss, reason = "PostgreSQL computes it so")]
        let micros = scale(self.micros as f64) + seconds * 1e6;
        let days = i32::try_from(days).map_err(|_| interval_out_of_range())?;
        Ok(Self { months, days, micros: whole64(micros.round_ties_even())? })
    }

    /// 24 hours become a day.
    pub(crate) fn justify_hours(self) -> Result<Self> {
        let mut days = i64::from(self.days) + self.micros / MICROS_PER_DAY;
        let mut micros = self.micros % MICROS_PER_DAY;
        if days > 0 && micros < 0 {
            micros += MICROS_PER_DAY;
            days -= 1;
        } else if days < 0 && micros > 0 {
            micros -= MICROS_PER_DAY;
            days += 1;
        }
        let days = i32::try_from(days).map_err(|_| interval_out_of_range())?;
        Ok(Self { months: self.months, days, micros })
    }

    /// 30 days become a month.
    pub(crate) fn justify_days(self) -> Result<Self> {
        let mut months = i64::from(self.months) + i64::from(self.days / DAYS_PER_MONTH);
        let mut days = self.days % DAYS_PER_MONTH;
        if months > 0 && days < 0 {
            days += DAYS_PER_MONTH;
            months -= 1;
        } else if months < 0 && days > 0 {
            days -= DAYS_PER_MONTH;
            months += 1;
        }
        let months = i32::try_from(months).map_err(|_| interval_out_of_range())?;
        Ok(Self { months, days, micros: self.micros })
    }

    /// Both, with one sign for all parts.
    pub(crate) fn justify(self) -> Result<Self> {
        let mut days = i64::from(self.days) + self.micros / MICROS_PER_DAY;
        let mut micros = self.micros % MICROS_PER_DAY;
        let month = i64::from(DAYS_PER_MONTH);
        let mut months = i64::from(self.months) + days / month;
        days %= month;
        if months > 0 && (days < 0 || (days == 0 && micros < 0)) {
            days += month;
            months -= 1;
        } else if months < 0 && (days > 0 || (days == 0 && micros > 0)) {
            days -= month;
            months += 1;
        }
        if days > 0 && micros < 0 {
            micros += MICROS_PER_DAY;
            days -= 1;
        } else if days < 0 && micros > 0 {
            micros -= MICROS_PER_DAY;
            days += 1;
        }
        Self::checked(i32::try_from(months).ok(), i32::try_from(days).ok(), Some(micros))
    }

    /// The interval cut to a unit, as `date_trunc` does.
    pub(crate) fn truncated(self, unit: &str) -> Option<Self> {
        let year = |n: i32| Self { months: self.months / (12 * n) * (12 * n), days: 0, micros: 0 };
        let time = |unit: i64| Self { micros: self.micros / unit * unit, ..self };
        Some(match unit {
            "millennium" => year(1_000),
            "century" => year(100),
            "decade" => year(10),
            "year" => year(1),
            "quarter" => Self { months: self.months / 3 * 3, days: 0, micros: 0 },
            "month" => Self { days: 0, micros: 0, ..self },
            "day" => Self { micros: 0, ..self },
            "hour" => time(MICROS_PER_HOUR),
            "minute" => time(MICROS_PER_MINUTE),
            "second" => time(MICROS_PER_SECOND),
            "milliseconds" => time(1_000),
            "microseconds" => self,
            _ => return None,
        })
    }

    /// The timestamp this much later.
    ///
    /// # Errors
    /// 22008 beyond the range of timestamps.
    pub(crate) fn after(self, local: i64) -> Result<i64> {
        if !finite(local) {
            return Ok(local);
        }
        let (mut days, time) = split(local);
        if self.months != 0 {
            days = Civil::from_days(days).plus_months(i64::from(self.months)).to_days();
        }
        days += i64::from(self.days);
        let start = join(days, time)?;
        start.checked_add(self.micros).and_then(super::calendar::in_range).ok_or_else(out_of_range)
    }

    /// The instant this much later, where months and days are those of a zone's clock.
    ///
    /// # Errors
    /// 22008 beyond the range of timestamps.
    pub(crate) fn after_in(self, instant: i64, zone: Zone) -> Result<i64> {
        if !finite(instant) {
            return Ok(instant);
        }
        let mut at = instant;
        for part in [Self { days: 0, micros: 0, ..self }, Self { months: 0, micros: 0, ..self }] {
            if part != Self::default() {
                at = zone.to_instant(part.after(zone.to_local(at))?);
            }
        }
        at.checked_add(self.micros).and_then(super::calendar::in_range).ok_or_else(out_of_range)
    }

    /// The time from one timestamp to another in days and less.
    pub(crate) fn between(from: i64, to: i64) -> Result<Self> {
        if !finite(from) || !finite(to) {
            return Err(fault("22008", "cannot subtract infinite timestamps"));
        }
        let micros = to.checked_sub(from).ok_or_else(interval_out_of_range)?;
        Self::from_micros(micros).justify_hours()
    }

    /// The years, months, days and time from one timestamp to another.
    pub(crate) fn age(from: i64, to: i64) -> Result<Self> {
        if !finite(from) || !finite(to) {
            return Err(out_of_range());
        }
        let (late, early, sign) = if to < from { (from, to, -1) } else { (to, from, 1) };
        let ((late_day, late_time), (early_day, early_time)) = (split(late), split(early));
        let (a, b) = (Civil::from_days(late_day), Civil::from_days(early_day));
        let mut months = (a.year - b.year) * 12 + a.month - b.month;
        let mut days = a.day - b.day;
        let mut micros = late_time - early_time;
        if micros < 0 {
            micros += MICROS_PER_DAY;
            days -= 1;
        }
        if days < 0 {
            // PostgreSQL borrows the days of the month of the second argument's earlier side.
            days += super::calendar::days_in_month(b.year, b.month);
            months -= 1;
        }
        let (months, days) = (months * sign, days * sign);
        Self::checked(i32::try_from(months).ok(), i32::try_from(days).ok(), Some(micros * sign))
    }
}

/// Cuts a number to 32 bits.
fn whole32(value: f64) -> Result<i32> {
    if value.is_nan() || value >= 2_147_483_648.0 || value <= -2_147_483_649.0 {
        return Err(interval_out_of_range());
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked on the line above")]
    Ok(value as i32)
}

/// Cuts a number to 64 bits.
pub(crate) fn whole64(value: f64) -> Result<i64> {
    if value.is_nan() || !(-9.223_372_036_854_776e18..9.223_372_036_854_775e18).contains(&value) {
        return Err(interval_out_of_range());
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked on the line above")]
    Ok(value as i64)
}
