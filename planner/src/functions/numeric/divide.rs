//! `numeric_div` and `numeric_mul`: decimals with as many digits as PostgreSQL keeps.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::kernels::arity::try_binary;
use arrow::datatypes::{
    ArrowNativeTypeOp, DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, i256,
};
use arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use crate::functions::fault::{division_by_zero, fault};

/// The least number of digits after the point of a quotient.
pub(crate) const SCALE_LEAST: i8 = 16;
/// The greatest number of digits after the point that a type alone decides, as of quotients below
/// one.
pub(crate) const SCALE_WIDE: i8 = 20;
/// The digits that are left before the point then, of the 38 that the type holds.
pub(crate) const N_DIGITS_WHOLE: i16 = 18;

/// Rounds a quotient of 20 digits after the point to those that PostgreSQL gives it: 16 from one
/// on, 12 from ten thousand on.
pub(crate) fn settled(value: i128, scale: i8) -> i128 {
    const ONE: i128 = 10_i128.pow(20);
    let unit = match value.unsigned_abs() {
        _ if scale != SCALE_WIDE => return value,
        size if size < ONE.unsigned_abs() => return value,
        size if size < ONE.unsigned_abs() * 10_000 => 10_000,
        _ => 100_000_000,
    };
    let rest = value % unit;
    let cut = value - rest;
    if rest.abs() * 2 >= unit { cut + unit * value.signum() } else { cut }
}

/// The function and the scale of its result for `left op right`; `None` where the engine's own
/// operator is right.
#[must_use]
pub fn numeric(
    op: Operator,
    left: (&Expr, &DataType),
    right: (&Expr, &DataType),
) -> Option<(Arc<ScalarUDF>, i8)> {
    if !(left.1.is_decimal() || right.1.is_decimal()) {
        return None;
    }
    let (p1, s1) = digits(left.1)?;
    let (p2, s2) = digits(right.1)?;
    let n_digits_whole = i16::from(p1) - i16::from(s1) + i16::from(s2);
    let least = if n_digits_whole <= N_DIGITS_WHOLE { SCALE_WIDE } else { SCALE_LEAST };
    let usual = s1.max(s2).clamp(least, SCALE_WIDE);
    match op {
        Operator::Divide => {
            let scale = constant_scale(left.0, s1, right.0, s2).unwrap_or(usual);
            Some((Arc::clone(&DIVIDE), scale))
        }
        Operator::Multiply if s1 + s2 > SCALE_WIDE && p1 + p2 >= DECIMAL128_MAX_PRECISION => {
            Some((Arc::clone(&MULTIPLY), SCALE_WIDE.max(s1).max(s2).min(30)))
        }
        _ => None,
    }
}

/// Precision and scale of an operand.
fn digits(data_type: &DataType) -> Option<(u8, i8)> {
    Some(match data_type {
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s)
            if *s >= 0 =>
        {
            (*p, *s)
        }
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => (5, 0),
        DataType::Int32 | DataType::UInt16 => (10, 0),
        DataType::Int64 | DataType::UInt32 => (19, 0),
        DataType::UInt64 => (20, 0),
        _ => return None,
    })
}

/// The scale of a quotient of constants, which PostgreSQL chooses by the values.
///
/// # Source
/// PostgreSQL, `select_div_scale`: 16 significant digits, counted in groups of four.
fn constant_scale(left: &Expr, s1: i8, right: &Expr, s2: i8) -> Option<i8> {
    let (weight1, first1) = leading(constant(left)?, s1)?;
    let (weight2, first2) = leading(constant(right)?, s2)?;
    let weight = weight1 - weight2 - i32::from(first1 <= first2);
    let scale = i8::try_from(16 - weight * 4).ok()?;
    Some(scale.max(s1).max(s2).clamp(0, 34))
}

fn constant(expr: &Expr) -> Option<i128> {
    match expr {
        Expr::Literal(value, _) => match value {
            ScalarValue::Decimal128(Some(value), ..) => Some(*value),
            ScalarValue::Int64(Some(value)) => Some(i128::from(*value)),
            ScalarValue::Int32(Some(value)) => Some(i128::from(*value)),
            _ => None,
        },
        Expr::Negative(inner) => constant(inner).map(|value| -value),
        _ => None,
    }
}

/// The position and the value of the first group of four digits.
fn leading(value: i128, scale: i8) -> Option<(i32, u32)> {
    let scale = u32::try_from(scale).ok()?;
    // Groups are aligned at the point.
    let padding = (4 - scale % 4) % 4;
    let mut value = value.unsigned_abs().checked_mul(10_u128.pow(padding))?;
    if value == 0 {
        return Some((0, 0));
    }
    let mut weight = -i32::try_from((scale + padding) / 4).ok()?;
    while value >= 10_000 {
        value /= 10_000;
        weight += 1;
    }
    Some((weight, u32::try_from(value).ok()?))
}

static DIVIDE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| udf("numeric_div", Operator::Divide));
static MULTIPLY: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| udf("numeric_mul", Operator::Multiply));

/// All of them, so that plans can be read back by name.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::clone(&DIVIDE), Arc::clone(&MULTIPLY)]
}

fn udf(name: &'static str, op: Operator) -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(Numeric { name, op, signature }))
}

/// The third argument is the scale of the result.
#[derive(PartialEq, Eq, Hash)]
struct Numeric {
    name: &'static str,
    op: Operator,
    signature: Signature,
}

impl fmt::Debug for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl ScalarUDFImpl for Numeric {
    fn name(&self) -> &str {
        self.name
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [left, right, ..] => Ok(format!("{left} {} {right}", self.op)),
            _ => Ok(self.name.to_owned()),
        }
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [left, right, ..] => {
                Ok(format!("{} {} {}", left.schema_name(), self.op, right.schema_name()))
            }
            _ => Ok(self.name.to_owned()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let decimal = |data_type: &DataType| match digits(data_type) {
            Some((precision, scale)) => DataType::Decimal128(precision, scale),
            None => DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0),
        };
        match types {
            [left, right, _] => Ok(vec![decimal(left), decimal(right), DataType::Int8]),
            _ => Err(exec_datafusion_err!("{} needs three arguments", self.name)),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(DECIMAL128_MAX_PRECISION, SCALE_LEAST))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let scale = match args.scalar_arguments.get(2) {
            Some(Some(ScalarValue::Int8(Some(scale)))) => *scale,
            _ => return Err(exec_datafusion_err!("{} needs a constant scale", self.name)),
        };
        let data_type = DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale);
        Ok(Arc::new(Field::new(self.name, data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right, _] = args.args.as_slice() else {
            return Err(exec_datafusion_err!("{} needs three arguments", self.name));
        };
        let DataType::Decimal128(precision, scale) = *args.return_type() else {
            return Err(exec_datafusion_err!("{} makes decimals", self.name));
        };
        let scalars = matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let n_rows = if scalars { 1 } else { args.number_rows };
        let (left, right) = (left.to_array(n_rows)?, right.to_array(n_rows)?);
        let (Some((_, s1)), Some((_, s2))) = (digits(left.data_type()), digits(right.data_type()))
        else {
            return Err(exec_datafusion_err!("{} takes decimals", self.name));
        };
        let left = left.as_primitive::<Decimal128Type>();
        let right = right.as_primitive::<Decimal128Type>();
        let result = match self.op {
            Operator::Divide => {
                let quotient = Quotient::new(i32::from(scale) + i32::from(s2) - i32::from(s1));
                try_binary::<_, _, _, Decimal128Type>(left, right, |l, r| {
                    let value = quotient.of(l, r).map(|value| settled(value, scale));
                    value.map_err(|error| ArrowError::ExternalError(Box::new(error)))
                })?
            }
            _ => {
                let excess = i32::from(s1) + i32::from(s2) - i32::from(scale);
                let divisor = power(excess.max(0));
                try_binary::<_, _, _, Decimal128Type>(left, right, |l, r| {
                    let product = i256::from_i128(l).mul_wrapping(i256::from_i128(r));
                    narrow(rounded(product, divisor))
                        .map_err(|error| ArrowError::ExternalError(Box::new(error)))
                })?
            }
        };
        let result: ArrayRef = Arc::new(result.with_precision_and_scale(precision, scale)?);
        if scalars {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// Divides scaled integers, rounding halves away from zero.
pub(crate) struct Quotient {
    /// The factor of the dividend, where 128 bits hold it.
    factor: Option<i128>,
    /// The same, and the factor of the divisor.
    factor_wide: i256,
    divisor_wide: i256,
}

impl Quotient {
    /// For a result with `exponent` more digits after the point than the plain quotient.
    pub(crate) fn new(exponent: i32) -> Self {
        let factor = u32::try_from(exponent).ok().and_then(|e| 10_i128.checked_pow(e));
        let factor_wide = power(exponent.max(0));
        Self { factor, factor_wide, divisor_wide: power((-exponent).max(0)) }
    }

    pub(crate) fn of(&self, dividend: i128, divisor: i128) -> Result<i128> {
        if divisor == 0 {
            return Err(division_by_zero());
        }
        if let Some(scaled) = self.factor.and_then(|factor| dividend.checked_mul(factor)) {
            let (quotient, rest) = (scaled / divisor, scaled % divisor);
            let half = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
            if rest == 0 || !half {
                return Ok(quotient);
            }
            return Ok(if (scaled < 0) == (divisor < 0) { quotient + 1 } else { quotient - 1 });
        }
        let dividend = i256::from_i128(dividend).mul_wrapping(self.factor_wide);
        let divisor = i256::from_i128(divisor).mul_wrapping(self.divisor_wide);
        narrow(rounded(dividend, divisor))
    }
}

fn power(exponent: i32) -> i256 {
    let exponent = u32::try_from(exponent).unwrap_or(0);
    i256::from_i128(10).pow_wrapping(exponent)
}

fn rounded(dividend: i256, divisor: i256) -> i256 {
    let quotient = dividend.div_wrapping(divisor);
    let rest = dividend.mod_wrapping(divisor);
    let twice = rest.wrapping_abs().mul_wrapping(i256::from_i128(2));
    if twice < divisor.wrapping_abs() {
        return quotient;
    }
    if (dividend < i256::ZERO) == (divisor < i256::ZERO) {
        quotient.add_wrapping(i256::ONE)
    } else {
        quotient.sub_wrapping(i256::ONE)
    }
}

fn narrow(value: i256) -> Result<i128> {
    value.to_i128().ok_or_else(|| fault("22003", "value overflows numeric format"))
}

#[cfg(test)]
mod tests {
    use super::{Quotient, leading};

    #[test]
    fn quotients_round_half_away_from_zero() {
        let whole = Quotient::new(0);
        assert_eq!(whole.of(7, 2).ok(), Some(4));
        assert_eq!(whole.of(-7, 2).ok(), Some(-4));
        assert_eq!(whole.of(7, 3).ok(), Some(2));
        assert_eq!(whole.of(i128::MAX, 1).ok(), Some(i128::MAX));
        assert!(whole.of(1, 0).is_err());
        let digits = Quotient::new(16);
        assert_eq!(digits.of(10_i128.pow(30), 10_i128.pow(20)).ok(), Some(10_i128.pow(26)));
        assert!(digits.of(i128::MAX, 1).is_err());
    }

    #[test]
    fn leading_groups_are_aligned_at_the_point() {
        assert_eq!(leading(100, 1), Some((0, 10)));
        assert_eq!(leading(3, 0), Some((0, 3)));
        assert_eq!(leading(12_345, 0), Some((1, 1)));
        assert_eq!(leading(5, 1), Some((-1, 5_000)));
    }
}
