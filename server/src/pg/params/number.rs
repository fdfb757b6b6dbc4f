//! Integers, floats, and `numeric` of up to 76 digits.

use std::str::FromStr;

use arrow::datatypes::i256;
use datafusion::scalar::ScalarValue;

use super::{ParamError, trim};

/// The digits of the widest Arrow decimal.
const DIGITS_MAX: usize = 76;
/// Exponents beyond this cannot lead to a number that fits.
const EXPONENT_MAX: i32 = 20_000;

/// Reads an integer with an optional sign.
pub(super) fn parse_integer<T: FromStr>(text: &str, type_name: &str) -> Result<T, ParamError> {
    let trimmed = trim(text);
    trimmed.parse().map_err(|_| {
        let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            out_of_range(text, type_name)
        } else {
            ParamError::syntax(type_name, text)
        }
    })
}

fn out_of_range(text: &str, type_name: &str) -> ParamError {
    let message = format!("value \"{text}\" is out of range for type {type_name}");
    ParamError::new("22003", message)
}

/// Reads an object identifier; as in PostgreSQL those may be written with a sign.
pub(super) fn parse_oid(text: &str, type_name: &str) -> Result<u32, ParamError> {
    let value: i64 = parse_integer(text, type_name)?;
    if let Ok(value) = u32::try_from(value) {
        return Ok(value);
    }
    match i32::try_from(value) {
        Ok(negative) => Ok(negative.cast_unsigned()),
        Err(_) => Err(out_of_range(text, type_name)),
    }
}

/// Reads `float8`.
pub(super) fn parse_float8(text: &str) -> Result<f64, ParamError> {
    let float = |text: &str| text.parse::<f64>().ok();
    parse_float(text, "double precision", float, f64::is_infinite, |value| value == 0.0)
}

/// Reads `float4`.
pub(super) fn parse_float4(text: &str) -> Result<f32, ParamError> {
    let float = |text: &str| text.parse::<f32>().ok();
    parse_float(text, "real", float, f32::is_infinite, |value| value == 0.0)
}

fn parse_float<T: Copy>(
    text: &str,
    type_name: &str,
    parse: impl Fn(&str) -> Option<T>,
    infinite: impl Fn(T) -> bool,
    zero: impl Fn(T) -> bool,
) -> Result<T, ParamError> {
    let trimmed = trim(text);
    let value = parse(trimmed).ok_or_else(|| ParamError::syntax(type_name, text))?;
    // Rust reads too large numbers as infinity and too small ones as zero.
    let digits = trimmed.bytes().take_while(|byte| !matches!(byte, b'e' | b'E'));
    let nonzero = digits.clone().any(|byte| matches!(byte, b'1'..=b'9'));
    if nonzero && (infinite(value) || zero(value)) {
        let message = format!("\"{trimmed}\" is out of range for type {type_name}");
        return Err(ParamError::new("22003", message));
    }
    Ok(value)
}

/// A number of exact digits: `digits` without leading zeros times ten to minus `scale`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    scale: usize,
}

impl Decimal {
    /// Reads `-12.50`, `.5`, `1e-3`.
    pub(super) fn parse(text: &str) -> Result<Self, ParamError> {
        let trimmed = trim(text);
        let word = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed).to_ascii_lowercase();
        if matches!(word.as_str(), "nan" | "inf" | "infinity") {
            // PostgreSQL has these; Arrow's decimals do not.
            return Err(out_of_range(trimmed, "numeric"));
        }
        let syntax = || ParamError::syntax("numeric", text);
        let negative = trimmed.starts_with('-');
        let (mantissa, exponent) = match word.split_once('e') {
            Some((mantissa, exponent)) => {
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(syntax());
                }
                (mantissa, exponent.parse().unwrap_or(EXPONENT_MAX + 1))
            }
            None => (word.as_str(), 0_i32),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut all = whole.bytes().chain(fraction.bytes());
        if (whole.is_empty() && fraction.is_empty()) || !all.all(|byte| byte.is_ascii_digit()) {
            return Err(syntax());
        }
        if exponent.abs() > EXPONENT_MAX {
            return Err(overflow());
        }
        let digits = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
        let scale = i64::try_from(fraction.len()).map_err(|_| overflow())? - i64::from(exponent);
        Self::from_digits(negative, digits, scale)
    }

    /// Takes digits of any number; rounds those away that the widest decimal cannot hold.
    pub(super) fn from_digits(
        negative: bool,
        mut digits: Vec<u8>,
        scale: i64,
    ) -> Result<Self, ParamError> {
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..zeros);
        if scale < 0 && !digits.is_empty() {
            let appended = usize::try_from(-scale).map_err(|_| overflow())?;
            if digits.len() + appended > DIGITS_MAX {
                return Err(overflow());
            }
            digits.resize(digits.len() + appended, 0);
        }
        let scale = usize::try_from(scale.max(0)).map_err(|_| overflow())?;
        let mut decimal = Self { negative, digits, scale };
        let excess = decimal.digits.len().max(decimal.scale).saturating_sub(DIGITS_MAX);
        if excess > decimal.scale {
            return Err(overflow());
        }
        if excess > 0 {
            decimal.round(excess);
        }
        if decimal.digits.len() > DIGITS_MAX {
            return Err(overflow());
        }
        Ok(decimal)
    }

    /// Takes digits away at the end, half away from zero.
    fn round(&mut self, n_digits: usize) {
        self.scale -= n_digits;
        let kept = self.digits.len().saturating_sub(n_digits);
        // With more digits to take than there are, the first one taken is a leading zero.
        let first_taken = if self.digits.len() < n_digits { None } else { self.digits.get(kept) };
        let mut carry = first_taken.is_some_and(|digit| *digit >= 5);
        self.digits.truncate(kept);
        for digit in self.digits.iter_mut().rev() {
            if !carry {
                return;
            }
            carry = *digit == 9;
            *digit = if carry { 0 } else { *digit + 1 };
        }
        if carry {
            self.digits.insert(0, 1);
        }
    }

    /// The digits before the point.
    pub(super) fn n_whole(&self) -> usize {
        self.digits.len().saturating_sub(self.scale)
    }

    /// The digits behind the point.
    pub(super) fn scale(&self) -> usize {
        self.scale
    }

    /// The narrowest decimal for this value.
    pub(super) fn into_scalar(self) -> Result<ScalarValue, ParamError> {
        let (precision, scale) = (self.digits.len().max(self.scale).max(1), self.scale);
        self.into_scalar_of(precision, scale)
    }

    /// The value in a wider decimal; the scale must not be smaller than the value's own.
    pub(super) fn into_scalar_of(
        mut self,
        precision: usize,
        scale: usize,
    ) -> Result<ScalarValue, ParamError> {
        let appended = scale.saturating_sub(self.scale);
        if !self.digits.is_empty() {
            self.digits.resize((self.digits.len() + appended).min(DIGITS_MAX + 1), 0);
        }
        if precision > DIGITS_MAX || self.digits.len() > precision {
            return Err(overflow());
        }
        let narrow = |value: usize| u8::try_from(value).map_err(|_| overflow());
        let (precision, scale) = (narrow(precision)?, narrow(scale)?.cast_signed());
        if precision <= 38 {
            let size = self.digits.iter().fold(0_i128, |sum, digit| sum * 10 + i128::from(*digit));
            let value = if self.negative { -size } else { size };
            return Ok(ScalarValue::Decimal128(Some(value), precision, scale));
        }
        let ten = i256::from_i128(10);
        let size = self.digits.iter().fold(i256::ZERO, |sum, digit| {
            sum.wrapping_mul(ten).wrapping_add(i256::from_i128(i128::from(*digit)))
        });
        let value = if self.negative { size.wrapping_neg() } else { size };
        Ok(ScalarValue::Decimal256(Some(value), precision, scale))
    }
}

fn overflow() -> ParamError {
    ParamError::new("22003", "value overflows numeric format")
}
