//! One numeric value with its digits after the point, as PostgreSQL's `numeric` has them.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, i256};
use datafusion::common::{Result, ScalarValue};

use super::text;
use crate::functions::fault::{division_by_zero, fault};

/// `value` divided by ten to `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) value: i256,
    pub(crate) scale: i32,
}

/// The digits that an operation of PostgreSQL aims at.
pub(crate) const DIGITS_LEAST: i32 = 16;

impl Number {
    pub(crate) fn new(value: i256, scale: i32) -> Self {
        Self { value, scale }
    }

    pub(crate) fn whole(value: i64) -> Self {
        Self { value: i256::from(value), scale: 0 }
    }

    /// The value of a constant that is a number.
    pub(crate) fn of_scalar(scalar: &ScalarValue) -> Option<Self> {
        Some(match scalar {
            ScalarValue::Decimal32(Some(value), _, scale) => {
                Self::new(i256::from(*value), i32::from(*scale))
            }
            ScalarValue::Decimal64(Some(value), _, scale) => {
                Self::new(i256::from(*value), i32::from(*scale))
            }
            ScalarValue::Decimal128(Some(value), _, scale) => {
                Self::new(i256::from_i128(*value), i32::from(*scale))
            }
            ScalarValue::Decimal256(Some(value), _, scale) => Self::new(*value, i32::from(*scale)),
            ScalarValue::Int8(Some(value)) => Self::whole(i64::from(*value)),
            ScalarValue::Int16(Some(value)) => Self::whole(i64::from(*value)),
            ScalarValue::Int32(Some(value)) => Self::whole(i64::from(*value)),
            ScalarValue::Int64(Some(value)) => Self::whole(*value),
            ScalarValue::UInt32(Some(value)) => Self::whole(i64::from(*value)),
            _ => return None,
        })
    }

    /// The nearest `numeric` to a float: 15 digits, as PostgreSQL takes.
    pub(crate) fn of_float(value: f64) -> Result<Self> {
        Self::of_digits(value, 15)
    }

    /// The nearest `numeric` to a `real`: 6 digits.
    pub(crate) fn of_real(value: f32) -> Result<Self> {
        Self::of_digits(f64::from(value), 6)
    }

    fn of_digits(value: f64, n_digits: usize) -> Result<Self> {
        if !value.is_finite() {
            return Err(fault("0A000", format!("numeric \"{value}\" is not supported")));
        }
        let precision = n_digits - 1;
        let read = text::decimal(&format!("{value:.precision$e}"))?;
        Ok(Self::new(read.value, i32::from(read.scale)).trimmed())
    }

    pub(crate) fn to_float(self) -> f64 {
        let digits = format!("{}e{}", self.value, -self.scale);
        digits.parse().unwrap_or(f64::NAN)
    }

    pub(crate) fn is_negative(self) -> bool {
        self.value < i256::ZERO
    }

    pub(crate) fn is_zero(self) -> bool {
        self.value == i256::ZERO
    }

    pub(crate) fn is_whole(self) -> bool {
        self.trimmed().scale == 0
    }

    /// The whole part, where 64 bits hold it.
    pub(crate) fn to_i64(self) -> Option<i64> {
        self.truncated(0).ok()?.value.to_i128().and_then(|value| i64::try_from(value).ok())
    }

    /// Without zeros at the end of the fraction.
    pub(crate) fn trimmed(mut self) -> Self {
        let ten = i256::from_i128(10);
        while self.scale > 0 && self.value.wrapping_rem(ten) == i256::ZERO {
            self.value = self.value.wrapping_div(ten);
            self.scale -= 1;
        }
        self
    }

    /// Rounds to this many digits after the point, halves away from zero, or adds zeros.
    pub(crate) fn rounded(self, scale: i32) -> Result<Self> {
        if scale >= self.scale {
            let value = times(self.value, power_of_ten(scale - self.scale)?)?;
            return Ok(Self { value, scale });
        }
        if self.scale - scale > i32::from(DECIMAL256_MAX_PRECISION) {
            return Ok(Self { value: i256::ZERO, scale });
        }
        let unit = power_of_ten(self.scale - scale)?;
        Ok(Self { value: quotient(self.value, unit)?, scale })
    }

    /// Drops digits.
    pub(crate) fn truncated(self, scale: i32) -> Result<Self> {
        if scale >= self.scale {
            return self.rounded(scale);
        }
        if self.scale - scale > i32::from(DECIMAL256_MAX_PRECISION) {
            return Ok(Self { value: i256::ZERO, scale });
        }
        let unit = power_of_ten(self.scale - scale)?;
        Ok(Self { value: self.value.wrapping_div(unit), scale })
    }

    /// Both with the greater of their scales.
    pub(crate) fn aligned(self, other: Self) -> Result<(i256, i256, i32)> {
        let scale = self.scale.max(other.scale);
        Ok((self.rounded(scale)?.value, other.rounded(scale)?.value, scale))
    }

    pub(crate) fn plus(self, other: Self) -> Result<Self> {
        let (left, right, scale) = self.aligned(other)?;
        let value = left.checked_add(right).ok_or_else(overflow)?;
        Ok(Self { value, scale })
    }

    pub(crate) fn minus(self, other: Self) -> Result<Self> {
        self.plus(other.negated())
    }

    pub(crate) fn negated(self) -> Self {
        Self { value: self.value.wrapping_neg(), scale: self.scale }
    }

    pub(crate) fn times(self, other: Self) -> Result<Self> {
        Ok(Self { value: times(self.value, other.value)?, scale: self.scale + other.scale })
    }

    /// The quotient with this many digits after the point.
    pub(crate) fn divided(self, other: Self, scale: i32) -> Result<Self> {
        if other.is_zero() {
            return Err(division_by_zero());
        }
        let exponent = scale + other.scale - self.scale;
        let value = if exponent >= 0 {
            quotient(times(self.value, power_of_ten(exponent)?)?, other.value)?
        } else {
            quotient(self.value, times(other.value, power_of_ten(-exponent)?)?)?
        };
        Ok(Self { value, scale })
    }

    /// Position and value of the first group of four digits; groups are aligned at the point.
    pub(crate) fn leading(self) -> (i32, u32) {
        let digits = self.digits();
        if digits == "0" {
            return (0, 0);
        }
        let length = i32::try_from(digits.len()).unwrap_or(0);
        // The exponent of the first digit.
        let exponent = length - 1 - self.scale;
        let weight = exponent.div_euclid(4);
        let n_first = usize::try_from(exponent.rem_euclid(4) + 1).unwrap_or(1);
        let mut first: String = digits.chars().take(n_first).collect();
        while first.len() < n_first {
            first.push('0');
        }
        (weight, first.parse().unwrap_or(0))
    }

    pub(crate) fn digits(self) -> String {
        self.value.wrapping_abs().to_string()
    }

    /// The type that holds it.
    pub(crate) fn data_type(self) -> DataType {
        let scale = i8::try_from(self.scale).unwrap_or(i8::MAX);
        let n_digits = i32::try_from(self.digits().len()).unwrap_or(i32::MAX).max(self.scale);
        if n_digits <= i32::from(DECIMAL128_MAX_PRECISION) {
            DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale)
        } else {
            DataType::Decimal256(DECIMAL256_MAX_PRECISION, scale)
        }
    }

    /// As a constant as narrow as a literal of its digits.
    pub(crate) fn scalar(self) -> Result<ScalarValue> {
        let n_digits = i32::try_from(self.digits().len()).unwrap_or(i32::MAX).max(self.scale);
        let precision = u8::try_from(n_digits).map_err(|_| overflow())?;
        let scale = i8::try_from(self.scale).map_err(|_| overflow())?;
        if precision > DECIMAL256_MAX_PRECISION {
            return Err(overflow());
        }
        Ok(text::Decimal { value: self.value, precision, scale }.scalar())
    }
}

/// The scale of PostgreSQL's quotients.
///
/// # Source
/// `select_div_scale`: 16 significant digits, counted in groups of four.
pub(crate) fn quotient_scale(left: Number, right: Number) -> i32 {
    let (weight1, first1) = left.leading();
    let (weight2, first2) = right.leading();
    let weight = weight1 - weight2 - i32::from(first1 <= first2);
    (DIGITS_LEAST - weight * 4).max(left.scale).max(right.scale).max(0)
}

pub(crate) fn power_of_ten(exponent: i32) -> Result<i256> {
    let exponent = u32::try_from(exponent).map_err(|_| overflow())?;
    i256::from_i128(10).checked_pow(exponent).ok_or_else(overflow)
}

fn times(left: i256, right: i256) -> Result<i256> {
    left.checked_mul(right).ok_or_else(overflow)
}

/// Halves go away from zero.
fn quotient(dividend: i256, divisor: i256) -> Result<i256> {
    let whole = dividend.checked_div(divisor).ok_or_else(division_by_zero)?;
    let rest = dividend.wrapping_rem(divisor).wrapping_abs();
    let size = divisor.wrapping_abs();
    if rest < size.wrapping_sub(rest) {
        return Ok(whole);
    }
    let away = if (dividend < i256::ZERO) == (divisor < i256::ZERO) { 1 } else { -1 };
    Ok(whole.wrapping_add(i256::from_i128(away)))
}

pub(crate) fn overflow() -> datafusion::error::DataFusionError {
    fault("22003", "value overflows numeric format")
}

#[cfg(test)]
mod tests {
    use super::{Number, quotient_scale};
    use crate::functions::numeric::text::decimal;

    fn number(text: &str) -> Number {
        let read = decimal(text).expect("a number");
        Number::new(read.value, i32::from(read.scale))
    }

    #[test]
    fn quotients_have_sixteen_digits() {
        let check = |left: &str, right: &str, scale: i32| {
            assert_eq!(quotient_scale(number(left), number(right)), scale, "{left} / {right}");
        };
        check("10", "3.0", 16);
        check("1", "3.0", 20);
        check("100000", "7", 12);
        check("1.5", "1.2", 20);
    }

    #[test]
    fn halves_go_away_from_zero() {
        assert_eq!(number("2.5").rounded(0).ok(), Some(number("3")));
        assert_eq!(number("-2.5").rounded(0).ok(), Some(number("-3")));
        assert_eq!(number("1234.5").rounded(-2).map(|n| n.value).ok(), Some(number("12").value));
        assert_eq!(Number::of_float(0.1).ok(), Some(number("0.1")));
        assert_eq!(Number::of_float(1e22).ok(), Some(number("1e22")));
    }
}
