//! Numbers from text, as PostgreSQL's input functions read them.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, i256};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;

use crate::functions::fault::fault;

/// A decimal number with the digits after the point that it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub value: i256,
    pub precision: u8,
    pub scale: i8,
}

impl Decimal {
    /// The narrowest constant that holds it.
    pub(crate) fn scalar(self) -> ScalarValue {
        match self.value.to_i128() {
            Some(value) if self.precision <= DECIMAL128_MAX_PRECISION => {
                ScalarValue::Decimal128(Some(value), self.precision, self.scale)
            }
            _ => ScalarValue::Decimal256(Some(self.value), self.precision, self.scale),
        }
    }
}

/// Reads `numeric`: digits with a point, an exponent and blanks around.
///
/// # Errors
/// 22P02 for what is no number; 0A000 for NaN, infinities and more than 76 digits.
pub(crate) fn decimal(text: &str) -> Result<Decimal> {
    let invalid = || invalid("numeric", text);
    let trimmed = text.trim_matches(BLANKS);
    let (negative, rest) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, trimmed.get(1..).unwrap_or_default()),
        Some(b'+') => (false, trimmed.get(1..).unwrap_or_default()),
        _ => (false, trimmed),
    };
    if ["nan", "inf", "infinity"].iter().any(|name| rest.eq_ignore_ascii_case(name)) {
        return Err(fault("0A000", format!("numeric \"{trimmed}\" is not supported")));
    }
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let digits = exponent.trim_start_matches(['+', '-']);
            let signs = exponent.len() - digits.len();
            if digits.is_empty() || signs > 1 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(invalid());
            }
            (mantissa, exponent.parse::<i32>().map_err(|_| too_long())?)
        }
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return Err(invalid());
    }
    assemble(negative, &format!("{whole}{fraction}"), fraction.len(), exponent)
}

fn assemble(negative: bool, digits: &str, n_fraction: usize, exponent: i32) -> Result<Decimal> {
    let digits = digits.trim_start_matches('0');
    let scale = i64::try_from(n_fraction).map_err(|_| too_long())? - i64::from(exponent);
    let max = i64::from(DECIMAL256_MAX_PRECISION);
    if scale > max || (-scale > max && !digits.is_empty()) {
        return Err(too_long());
    }
    let zeros = if digits.is_empty() { 0 } else { usize::try_from(-scale).unwrap_or(0) };
    let scale = i8::try_from(scale.max(0)).map_err(|_| too_long())?;
    let length = u8::try_from(digits.len() + zeros).map_err(|_| too_long())?;
    let precision = length.max(u8::try_from(scale).map_err(|_| too_long())?).max(1);
    if precision > DECIMAL256_MAX_PRECISION {
        return Err(too_long());
    }
    let sign = if negative { "-" } else { "" };
    let digits = if digits.is_empty() { "0" } else { digits };
    let text = format!("{sign}{digits}{}", "0".repeat(zeros));
    let value = i256::from_string(&text).ok_or_else(too_long)?;
    Ok(Decimal { value, precision, scale })
}

/// The blanks that PostgreSQL skips around a number.
const BLANKS: [char; 6] = [' ', '\t', '\n', '\r', '\u{b}', '\u{c}'];

/// A number of the text of a statement, without blanks: `1`, `-1`, `1.50`, `1e3`, `1_000`.
///
/// # Errors
/// 0A000 for more than 76 digits.
pub(crate) fn literal(text: &str) -> Result<ScalarValue> {
    let text = text.replace('_', "");
    if let Ok(value) = text.parse::<i64>() {
        return Ok(match i32::try_from(value) {
            Ok(value) => ScalarValue::Int32(Some(value)),
            Err(_) => ScalarValue::Int64(Some(value)),
        });
    }
    decimal(&text).map(Decimal::scalar)
}

/// Reads `smallint`, `integer` or `bigint`.
///
/// # Errors
/// 22P02 for what is no whole number, 22003 for one that does not fit.
pub(crate) fn integer(text: &str, data_type: &DataType) -> Result<i64> {
    let (name, least, most) = match data_type {
        DataType::Int16 => ("smallint", i64::from(i16::MIN), i64::from(i16::MAX)),
        DataType::Int32 => ("integer", i64::from(i32::MIN), i64::from(i32::MAX)),
        DataType::UInt32 => ("oid", i64::from(i32::MIN), i64::from(u32::MAX)),
        _ => ("bigint", i64::MIN, i64::MAX),
    };
    let trimmed = text.trim_matches(BLANKS);
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid(name, text));
    }
    let value = trimmed.parse::<i64>().ok().filter(|value| (least..=most).contains(value));
    value.ok_or_else(|| fault("22003", format!("value \"{text}\" is out of range for type {name}")))
}

/// Reads `double precision`.
///
/// # Errors
/// 22P02 for what is no number, 22003 for one that does not fit.
pub(crate) fn float8(text: &str) -> Result<f64> {
    let value = float(text, "double precision")?;
    if value.is_infinite() && !is_word(text) || value == 0.0 && has_digit_above_zero(text) {
        let trimmed = text.trim_matches(BLANKS);
        let message = format!("\"{trimmed}\" is out of range for type double precision");
        return Err(fault("22003", message));
    }
    Ok(value)
}

/// Reads `real`.
///
/// # Errors
/// 22P02 for what is no number, 22003 for one that does not fit.
#[expect(clippy::cast_possible_truncation, reason = "what does not fit becomes infinite")]
pub(crate) fn float4(text: &str) -> Result<f32> {
    let value = float(text, "real")?;
    let trimmed = text.trim_matches(BLANKS);
    // Straight from the text, as rounding twice may be off by one.
    let narrow = trimmed.parse::<f32>().unwrap_or(value as f32);
    if narrow.is_infinite() && !is_word(text) || narrow == 0.0 && has_digit_above_zero(text) {
        return Err(fault("22003", format!("\"{trimmed}\" is out of range for type real")));
    }
    Ok(narrow)
}

fn float(text: &str, name: &str) -> Result<f64> {
    let trimmed = text.trim_matches(BLANKS);
    // Rust's parser takes what PostgreSQL takes, but for hexadecimal numbers.
    trimmed.parse::<f64>().map_err(|_| invalid(name, text))
}

fn is_word(text: &str) -> bool {
    text.bytes().any(|b| matches!(b, b'n' | b'N'))
}

fn has_digit_above_zero(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    mantissa.bytes().any(|b| matches!(b, b'1'..=b'9'))
}

fn invalid(name: &str, text: &str) -> DataFusionError {
    fault("22P02", format!("invalid input syntax for type {name}: \"{text}\""))
}

fn too_long() -> DataFusionError {
    fault("0A000", "numeric values of more than 76 digits are not supported")
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;

    use super::{decimal, float8, integer, literal};
    use arrow::datatypes::DataType;

    #[test]
    fn literals_take_the_first_type_that_holds_them() {
        assert_eq!(literal("2147483647").ok(), Some(ScalarValue::Int32(Some(i32::MAX))));
        assert_eq!(literal("-2147483648").ok(), Some(ScalarValue::Int32(Some(i32::MIN))));
        assert_eq!(literal("2147483648").ok(), Some(ScalarValue::Int64(Some(2_147_483_648))));
        let big = ScalarValue::Decimal128(Some(9_223_372_036_854_775_808), 19, 0);
        assert_eq!(literal("9223372036854775808").ok(), Some(big));
        assert_eq!(literal("1.10").ok(), Some(ScalarValue::Decimal128(Some(110), 3, 2)));
        assert_eq!(literal(".05").ok(), Some(ScalarValue::Decimal128(Some(5), 2, 2)));
        assert_eq!(literal("5.").ok(), Some(ScalarValue::Decimal128(Some(5), 1, 0)));
        assert_eq!(literal("1e3").ok(), Some(ScalarValue::Decimal128(Some(1000), 4, 0)));
        assert_eq!(literal("1e-3").ok(), Some(ScalarValue::Decimal128(Some(1), 3, 3)));
        assert!(literal("1e100").is_err());
    }

    #[test]
    fn text_is_read_or_refused() {
        assert_eq!(decimal(" -1.5 ").ok().map(|d| d.scale), Some(1));
        for text in ["", "x", "1.2.3", "1e", "1e+-2", "--1", "."] {
            assert!(decimal(text).is_err(), "{text}");
        }
        assert_eq!(integer(" 42 ", &DataType::Int32).ok(), Some(42));
        assert!(integer("99999999999", &DataType::Int32).is_err());
        assert!(integer("4.2", &DataType::Int64).is_err());
        assert_eq!(float8("-inf").ok(), Some(f64::NEG_INFINITY));
        assert!(float8("1e400").is_err());
        assert!(float8("1e-400").is_err());
    }
}
