//! Roots, logarithms and powers of `numeric`, with the digits that PostgreSQL gives them.
//!
//! Values are whole multiples of ten to the minus 36th in 256 bits. PostgreSQL chooses the scale of
//! a result from the operands so that it has at least 16 digits; the choice is repeated here, so
//! results are equal as long as they have fewer than about 34 digits.
//!
//! # Source
//! PostgreSQL's `numeric.c`: `sqrt_var`, `exp_var`, `ln_var`, `log_var`, `power_var` and the
//! functions that call them.

use arrow::datatypes::i256;
use datafusion::common::Result;

use super::number::{DIGITS_LEAST, Number, overflow, power_of_ten, quotient_scale};
use crate::functions::fault::fault;

/// Digits after the point of intermediate values.
const SCALE: i32 = 36;
const LN_2: &str = "0693147180559945309417232121458176568";
const LN_10: &str = "2302585092994045684017991454684364208";
const LOG10_OF_E: f64 = std::f64::consts::LOG10_E;

pub(super) fn sqrt(x: Number) -> Result<Number> {
    if x.is_negative() {
        return Err(fault("2201F", "cannot take square root of a negative number"));
    }
    let (weight, _) = x.leading();
    sqrt_with(x, (DIGITS_LEAST - ((weight + 1) * 2 - 1)).max(x.scale).max(0))
}

/// The square root with this many digits after the point.
pub(crate) fn sqrt_with(x: Number, scale: i32) -> Result<Number> {
    // One digit more, to round by; the scale below the root is even.
    let inner = (scale + 1) * 2;
    let value = x.rounded(inner.max(x.scale + x.scale % 2))?;
    let root = Number::new(whole_root(value.value), value.scale / 2);
    root.rounded(scale)
}

/// Newton's method from above.
fn whole_root(value: i256) -> i256 {
    if value <= i256::ZERO {
        return i256::ZERO;
    }
    let n_digits = u32::try_from(value.to_string().len()).unwrap_or(0);
    let mut guess = i256::from_i128(10).wrapping_pow(n_digits.div_ceil(2));
    loop {
        let next = guess.wrapping_add(value.wrapping_div(guess)).wrapping_div(i256::from_i128(2));
        if next >= guess {
            return guess;
        }
        guess = next;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "small numbers, cut as PostgreSQL does")]
fn digits_before_point(log10: f64) -> i32 {
    log10 as i32
}

pub(super) fn exp(x: Number) -> Result<Number> {
    let log10 = x.to_float() * LOG10_OF_E;
    if log10 < -1000.0 {
        return Ok(Number::new(i256::ZERO, DIGITS_LEAST.max(x.scale)));
    }
    if log10 > 60.0 {
        return Err(overflow());
    }
    let scale = (DIGITS_LEAST - digits_before_point(log10)).max(x.scale).max(0);
    exp_with(x.rounded(SCALE)?, scale)
}

/// `e` to a power as `10^n · e^rest`.
fn exp_with(x: Number, scale: i32) -> Result<Number> {
    let ln_10 = constant(LN_10);
    let n = x.value.wrapping_div(ln_10);
    let mut rest = x.value.wrapping_sub(n.wrapping_mul(ln_10));
    let mut n = i32::try_from(n.to_i128().unwrap_or(0)).map_err(|_| overflow())?;
    if rest < i256::ZERO {
        rest = rest.wrapping_add(ln_10);
        n -= 1;
    }
    let one = power_of_ten(SCALE)?;
    let (mut sum, mut term) = (one, one);
    let mut k = 1_i128;
    while term != i256::ZERO {
        term = term.wrapping_mul(rest).wrapping_div(one).wrapping_div(i256::from_i128(k));
        sum = sum.wrapping_add(term);
        k += 1;
    }
    let result = Number::new(sum, SCALE - n);
    if result.scale < 0 {
        return Number::new(result.rounded(0)?.value, 0).rounded(scale);
    }
    result.rounded(scale)
}

fn constant(digits: &str) -> i256 {
    i256::from_string(digits).unwrap_or(i256::ONE)
}

/// The natural logarithm, with all digits at hand.
fn ln_fixed(x: Number) -> Result<Number> {
    let n_digits = i32::try_from(x.digits().len()).unwrap_or(0);
    // x = mantissa · 10^exponent, the mantissa in [1, 10).
    let exponent = n_digits - 1 - x.scale;
    let one = power_of_ten(SCALE)?;
    let mut mantissa = Number::new(x.value, n_digits - 1).rounded(SCALE)?.value;
    let two = i256::from_i128(2);
    let mut n_halves = 0_i128;
    while mantissa.wrapping_mul(two) > one.wrapping_mul(i256::from_i128(3)) {
        mantissa = mantissa.wrapping_div(two);
        n_halves += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1))
    let y = mantissa.wrapping_sub(one).wrapping_mul(one).wrapping_div(mantissa.wrapping_add(one));
    let square = y.wrapping_mul(y).wrapping_div(one);
    let (mut sum, mut term) = (y, y);
    let mut k = 3_i128;
    while term != i256::ZERO {
        term = term.wrapping_mul(square).wrapping_div(one);
        sum = sum.wrapping_add(term.wrapping_div(i256::from_i128(k)));
        k += 2;
    }
    let value = sum
        .wrapping_mul(two)
        .wrapping_add(constant(LN_2).wrapping_mul(i256::from_i128(n_halves)))
        .wrapping_add(constant(LN_10).wrapping_mul(i256::from_i128(i128::from(exponent))));
    Ok(Number::new(value, SCALE))
}

fn check_positive(x: Number) -> Result<()> {
    if x.is_negative() {
        return Err(fault("2201E", "cannot take logarithm of a negative number"));
    }
    if x.is_zero() {
        return Err(fault("2201E", "cannot take logarithm of zero"));
    }
    Ok(())
}

/// `estimate_ln_dweight`.
fn ln_weight(x: Number) -> i32 {
    let value = x.to_float();
    if (0.9..=1.1).contains(&value) {
        let Ok(distance) = x.minus(Number::whole(1)) else { return 0 };
        if distance.is_zero() {
            return 0;
        }
        let (weight, first) = distance.leading();
        return weight * 4 + digits_before_point(f64::from(first).log10());
    }
    digits_before_point(value.ln().abs().log10())
}

pub(super) fn ln(x: Number) -> Result<Number> {
    check_positive(x)?;
    let scale = (DIGITS_LEAST - ln_weight(x)).max(x.scale).max(0);
    ln_fixed(x)?.rounded(scale)
}

pub(super) fn log(base: Number, x: Number) -> Result<Number> {
    check_positive(base)?;
    check_positive(x)?;
    let weight = ln_weight(x) - ln_weight(base);
    let scale = (DIGITS_LEAST - weight).max(base.scale).max(x.scale).max(0);
    // The digits that both keep so that the quotient fits.
    let (top, bottom) = (ln_fixed(x)?, ln_fixed(base)?.rounded(33)?);
    top.divided(bottom, 33)?.rounded(scale)
}

pub(super) fn power(base: Number, exponent: Number) -> Result<Number> {
    if base.is_zero() && exponent.is_negative() {
        return Err(fault("2201F", "zero raised to a negative power is undefined"));
    }
    if base.is_negative() && !exponent.is_whole() {
        let message = "a negative number raised to a non-integer power yields a complex result";
        return Err(fault("2201F", message));
    }
    let least = base.scale.max(exponent.scale).max(0);
    if let Some(n) = exponent.to_i64().filter(|_| exponent.is_whole()) {
        return power_whole(base, n, DIGITS_LEAST.max(base.scale));
    }
    if base.is_zero() {
        return Number::whole(0).rounded(DIGITS_LEAST.max(least));
    }
    let ln_power = ln_fixed(base)?.rounded(30)?.times(exponent)?;
    let log10 = ln_power.to_float() * LOG10_OF_E;
    if log10 > 60.0 {
        return Err(overflow());
    }
    let scale = (DIGITS_LEAST - digits_before_point(log10)).max(least);
    exp_with(ln_power.rounded(SCALE)?, scale)
}

fn power_whole(base: Number, n: i64, scale: i32) -> Result<Number> {
    if base.is_zero() {
        let value = if n == 0 { 1 } else { 0 };
        return Number::whole(value).rounded(scale);
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate of the number of digits")]
    let log10 = base.to_float().abs().log10() * n as f64;
    if log10 > 60.0 {
        return Err(overflow());
    }
    if log10 < -60.0 {
        return Ok(Number::new(i256::ZERO, scale));
    }
    let size = Number::new(base.value.wrapping_abs(), base.scale).trimmed();
    let exact = u32::try_from(n.unsigned_abs())
        .ok()
        .and_then(|n| size.value.checked_pow(n))
        .zip(i32::try_from(n.unsigned_abs()).ok().and_then(|n| size.scale.checked_mul(n)));
    let result = match exact {
        Some((value, power_scale)) if n >= 0 => Number::new(value, power_scale).rounded(scale)?,
        Some((value, power_scale)) if power_scale < 40 => {
            Number::whole(1).divided(Number::new(value, power_scale), scale)?
        }
        _ => {
            let ln_power = ln_fixed(size)?.rounded(SCALE)?.times(Number::whole(n))?;
            exp_with(ln_power, scale)?
        }
    };
    Ok(if base.is_negative() && n % 2 != 0 { result.negated() } else { result })
}

/// `left / right` with PostgreSQL's scale.
pub(super) fn divide(left: Number, right: Number) -> Result<Number> {
    left.divided(right, quotient_scale(left, right))
}

#[cfg(test)]
mod tests {
    use super::{Number, exp, ln, log, power, sqrt};
    use crate::functions::numeric::text::decimal;

    fn number(text: &str) -> Number {
        let read = decimal(text).expect("a number");
        Number::new(read.value, i32::from(read.scale))
    }

    #[test]
    fn digits_are_those_of_postgres() {
        assert_eq!(sqrt(number("2")).ok(), Some(number("1.414213562373095")));
        assert_eq!(sqrt(number("2.25")).ok(), Some(number("1.500000000000000")));
        assert_eq!(exp(number("1.0")).ok(), Some(number("2.7182818284590452")));
        assert_eq!(ln(number("2.0")).ok(), Some(number("0.6931471805599453")));
        assert_eq!(ln(number("100.0")).ok(), Some(number("4.6051701859880914")));
        assert_eq!(log(number("2"), number("64")).ok(), Some(number("6.0000000000000000")));
        assert_eq!(power(number("2.0"), number("3")).ok(), Some(number("8.0000000000000000")));
        assert_eq!(power(number("2"), number("0.5")).ok(), Some(number("1.4142135623730950")));
        assert_eq!(power(number("2"), number("-1")).ok(), Some(number("0.5000000000000000")));
        assert!(ln(number("0")).is_err() && sqrt(number("-1")).is_err());
    }
}
