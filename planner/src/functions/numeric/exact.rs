//! Functions of `numeric` and of integers whose results are exact.

use arrow::datatypes::{DataType, i256};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::error::DataFusionError;

use super::number::{Number, overflow};
use super::transcendental;
use crate::functions::fault::{division_by_zero, fault, out_of_range};

pub(super) fn wrong_count() -> DataFusionError {
    exec_datafusion_err!("a function has got another number of arguments than it takes")
}

pub(super) fn abs(x: Number) -> Result<Number> {
    Ok(if x.is_negative() { x.negated() } else { x })
}

pub(super) fn abs_integer(x: i64) -> Result<i64> {
    x.checked_abs().ok_or_else(|| out_of_range(&DataType::Int64))
}

/// The operator `~`.
#[expect(clippy::unnecessary_wraps, reason = "one type for all forms")]
pub(super) fn not_integer(x: i64) -> Result<i64> {
    Ok(!x)
}

pub(super) fn floor(x: Number) -> Result<Number> {
    let whole = x.truncated(0)?;
    if x.is_negative() && !x.is_whole() { whole.minus(Number::whole(1)) } else { Ok(whole) }
}

pub(super) fn ceil(x: Number) -> Result<Number> {
    floor(x.negated()).map(Number::negated)
}

/// `round(x)`, `round(x, n)`.
pub(super) fn round(args: &[Number]) -> Result<Number> {
    match args {
        [x] => x.rounded(0),
        [x, n] => {
            let n = digits(*n);
            let result = x.rounded(n)?;
            if n < 0 { result.rounded(0) } else { Ok(result) }
        }
        _ => Err(wrong_count()),
    }
}

/// `trunc(x)`, `trunc(x, n)`.
pub(super) fn trunc(args: &[Number]) -> Result<Number> {
    match args {
        [x] => x.truncated(0),
        [x, n] => {
            let n = digits(*n);
            let result = x.truncated(n)?;
            if n < 0 { result.rounded(0) } else { Ok(result) }
        }
        _ => Err(wrong_count()),
    }
}

/// More digits than the widest type holds make no difference.
fn digits(n: Number) -> i32 {
    n.to_i64().and_then(|n| i32::try_from(n.clamp(-76, 37)).ok()).unwrap_or(0)
}

pub(super) fn sign(x: Number) -> Result<Number> {
    Ok(Number::whole(match x.value {
        value if value < i256::ZERO => -1,
        value if value > i256::ZERO => 1,
        _ => 0,
    }))
}

/// `log(x)` has base 10, `log(b, x)` base b.
pub(super) fn log(args: &[Number]) -> Result<Number> {
    match args {
        [x] => transcendental::log(Number::whole(10), *x),
        [base, x] => transcendental::log(*base, *x),
        _ => Err(wrong_count()),
    }
}

pub(super) fn remainder(x: Number, y: Number) -> Result<Number> {
    if y.is_zero() {
        return Err(division_by_zero());
    }
    let (x, y, scale) = x.aligned(y)?;
    Ok(Number::new(x.wrapping_rem(y), scale))
}

pub(super) fn remainder_integer(x: i64, y: i64) -> Result<i64> {
    if y == 0 {
        return Err(division_by_zero());
    }
    Ok(x.wrapping_rem(y))
}

pub(super) fn div(x: Number, y: Number) -> Result<Number> {
    if y.is_zero() {
        return Err(division_by_zero());
    }
    let (x, y, _) = x.aligned(y)?;
    Ok(Number::new(x.wrapping_div(y), 0))
}

pub(super) fn gcd(x: Number, y: Number) -> Result<Number> {
    let (mut x, mut y, scale) = x.aligned(y)?;
    while y != i256::ZERO {
        (x, y) = (y, x.wrapping_rem(y));
    }
    Ok(Number::new(x.wrapping_abs(), scale))
}

pub(super) fn gcd_integer(x: i64, y: i64) -> Result<i64> {
    let (mut x, mut y) = (x, y);
    while y != 0 {
        (x, y) = (y, x.wrapping_rem(y));
    }
    x.checked_abs().ok_or_else(|| out_of_range(&DataType::Int64))
}

pub(super) fn lcm(x: Number, y: Number) -> Result<Number> {
    let divisor = gcd(x, y)?;
    if divisor.is_zero() {
        return Ok(divisor);
    }
    let (x, y, scale) = x.aligned(y)?;
    let value = x.wrapping_div(divisor.value).checked_mul(y).ok_or_else(overflow)?;
    Ok(Number::new(value.wrapping_abs(), scale))
}

pub(super) fn lcm_integer(x: i64, y: i64) -> Result<i64> {
    let divisor = gcd_integer(x, y)?;
    if divisor == 0 {
        return Ok(0);
    }
    let product = (x / divisor).checked_mul(y).and_then(i64::checked_abs);
    product.ok_or_else(|| out_of_range(&DataType::Int64))
}

pub(super) fn factorial(x: Number) -> Result<Number> {
    if x.is_negative() {
        return Err(fault("22003", "factorial of a negative number is undefined"));
    }
    let n = x.to_i64().filter(|n| *n <= 100).ok_or_else(overflow)?;
    let product = (1..=n).try_fold(i256::ONE, |product, k| product.checked_mul(i256::from(k)));
    Ok(Number::new(product.ok_or_else(overflow)?, 0))
}

pub(super) fn scale(x: Number) -> Result<Number> {
    Ok(Number::whole(i64::from(x.scale)))
}

pub(super) fn min_scale(x: Number) -> Result<Number> {
    Ok(Number::whole(i64::from(x.trimmed().scale)))
}

pub(super) fn trim_scale(x: Number) -> Result<Number> {
    Ok(x.trimmed())
}

/// The bucket of `x` among `count` equal ones between the bounds.
pub(super) fn width_bucket(x: Number, low: Number, high: Number, count: Number) -> Result<Number> {
    if count.is_negative() || count.is_zero() {
        return Err(fault("2201G", "count must be greater than zero"));
    }
    let span = high.minus(low)?;
    if span.is_zero() {
        return Err(fault("2201G", "lower bound cannot equal upper bound"));
    }
    let above = x.minus(low)?;
    let (span, above) =
        if span.is_negative() { (span.negated(), above.negated()) } else { (span, above) };
    if above.is_negative() {
        return Ok(Number::whole(0));
    }
    if !above.minus(span)?.is_negative() {
        return count.plus(Number::whole(1));
    }
    div(above.times(count)?, span)?.plus(Number::whole(1))
}
