//! `bit` and `bit varying`: texts of noughts and ones, told by the metadata of their fields.
//!
//! Such texts are in PostgreSQL's order of bit strings, so that comparing, sorting and grouping
//! need nothing of their own. Operators become functions where an operand is known to be a bit
//! string:
//!
//! ```text
//! b & B'101'     bits_and(b, …)          ~ b      bits_not(b)
//! b || B'1'      bits_concatenate(b, …)  b << 2   bits_left(b, 2)
//! ```
//! An expression that loses metadata, such as CASE, makes text of them: the same characters.
//!
//! # Source
//! PostgreSQL, section 9.6, and varbit.c.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use sqlparser::ast::BinaryOperator;

use super::operators::is_unknown;
use super::{name_in_metadata, named};
use crate::functions::fault::fault;
use crate::functions::numeric;

/// The name of the operator that stands for `~ x`, whose right operand says nothing.
pub(crate) const NOT: &str = "not of bits";
/// Bits that a shift can move.
const N_BITS_MAX: i64 = 83_886_080;

/// Whether a field is one of bit strings.
pub(crate) fn is_bits(field: &Field) -> bool {
    matches!(name_in_metadata(field), Some("bit" | "varbit"))
}

/// Reads the digits of a literal or of a text: `101`, `b101`, `x1F`.
///
/// # Errors
/// 22P02 with the first character that is no digit.
pub(crate) fn read(text: &str) -> std::result::Result<String, (&'static str, String)> {
    let invalid = |c: char, kind: &str| ("22P02", format!("\"{c}\" is not a valid {kind} digit"));
    if let Some(digits) = text.strip_prefix(['x', 'X']) {
        return hexadecimal(digits);
    }
    let digits = text.strip_prefix(['b', 'B']).unwrap_or(text);
    match digits.chars().find(|c| !matches!(c, '0' | '1')) {
        Some(c) => Err(invalid(c, "binary")),
        None => Ok(digits.to_owned()),
    }
}

/// The bits of hexadecimal digits.
///
/// # Errors
/// As [`read`].
pub(crate) fn hexadecimal(digits: &str) -> std::result::Result<String, (&'static str, String)> {
    let mut bits = String::with_capacity(digits.len() * 4);
    for c in digits.chars() {
        let Some(digit) = c.to_digit(16) else {
            return Err(("22P02", format!("\"{c}\" is not a valid hexadecimal digit")));
        };
        bits.push_str(&format!("{digit:04b}"));
    }
    Ok(bits)
}

/// A bit string as a type with a length has it; `strict` where it is stored in a column.
///
/// # Errors
/// 22026 and 22001 for another or a greater length.
pub(super) fn fitted(bits: String, target: &Field, strict: bool) -> Result<String> {
    let Some(length) = super::modifier(target).and_then(|n| usize::try_from(n).ok()) else {
        return Ok(bits);
    };
    let n_bits = bits.len();
    let mut bits = bits;
    if name_in_metadata(target) == Some("varbit") {
        if strict && n_bits > length {
            let message = format!("bit string too long for type bit varying({length})");
            return Err(fault("22001", message));
        }
        bits.truncate(length);
        return Ok(bits);
    }
    if strict && n_bits != length {
        let message = format!("bit string length {n_bits} does not match type bit({length})");
        return Err(fault("22026", message));
    }
    bits.truncate(length);
    bits.extend(std::iter::repeat_n('0', length.saturating_sub(n_bits)));
    Ok(bits)
}

/// The last bits of a number, as a cast to `bit(n)` has them.
pub(super) fn of_integers(values: &Int64Array, target: &Field) -> StringArray {
    let length = super::modifier(target).and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
    let bits = |value: i64| {
        (0..length).rev().map(|at| if (value >> at.min(63)) & 1 == 1 { '1' } else { '0' }).collect()
    };
    values.iter().map(|value| value.map(bits)).collect::<Vec<Option<String>>>().into()
}

/// The number that a bit string is in two's complement.
///
/// # Errors
/// 22003 for more bits than the type has.
pub(super) fn to_integers(texts: &StringArray, wide: bool) -> Result<Int64Array> {
    let (n_bits, name) = if wide { (64, "bigint") } else { (32, "integer") };
    let number = |text: &str| {
        if text.len() > n_bits {
            return Err(fault("22003", format!("{name} out of range")));
        }
        let value = text.bytes().fold(0_u64, |value, digit| value << 1 | u64::from(digit == b'1'));
        // Thirty-two bits have a sign of their own.
        let narrow = u32::try_from(value).map_or(0, u32::cast_signed);
        Ok(if wide { value.cast_signed() } else { i64::from(narrow) })
    };
    texts.iter().map(|text| text.map(number).transpose()).collect()
}

/// Plans operators on bit strings.
#[derive(Debug)]
pub(crate) struct BitOperators;

impl ExprPlanner for BitOperators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        if matches!(&expr.op, BinaryOperator::Custom(name) if name == NOT) {
            let function = if known_bits(&expr.left, schema) {
                udf(Operation::Not)
            } else {
                numeric::by_name("bit_not")
            };
            return Ok(planned(function, vec![expr.left]));
        }
        let operation = match expr.op {
            BinaryOperator::BitwiseAnd => Operation::And,
            BinaryOperator::BitwiseOr => Operation::Or,
            BinaryOperator::PGBitwiseXor => Operation::Xor,
            BinaryOperator::PGBitwiseShiftLeft => Operation::Left,
            BinaryOperator::PGBitwiseShiftRight => Operation::Right,
            BinaryOperator::StringConcat => Operation::Concatenate,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let (left, right) = (known_bits(&expr.left, schema), known_bits(&expr.right, schema));
        let shifts = matches!(operation, Operation::Left | Operation::Right);
        let typed = |side: Expr, known: bool| {
            if known { side } else { cast_to(side, named(DataType::Utf8, "varbit", None)) }
        };
        let fits = |side: &Expr, known: bool| known || is_unknown(side);
        if shifts && left {
            let distance = cast_to(expr.right, super::target(DataType::Int64));
            return Ok(planned(udf(operation), vec![expr.left, distance]));
        }
        let both = fits(&expr.left, left) && fits(&expr.right, right);
        if shifts || !(left || right) || !both {
            return Ok(PlannerResult::Original(expr));
        }
        let args = vec![typed(expr.left, left), typed(expr.right, right)];
        Ok(planned(udf(operation), args))
    }
}

fn cast_to(expr: Expr, target: Field) -> Expr {
    Expr::Cast(Cast::new_from_field(Box::new(expr), target.into()))
}

fn planned<T>(function: Arc<ScalarUDF>, args: Vec<Expr>) -> PlannerResult<T> {
    PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, args)))
}

/// Whether an operand is known to be a bit string. Only of what has metadata: to ask a long chain
/// of operators for its field at each of them would take the square of its length.
fn known_bits(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Column(_) | Expr::Cast(_) | Expr::Alias(_) | Expr::ScalarSubquery(_) => {
            expr.to_field(schema).is_ok_and(|(_, field)| is_bits(&field))
        }
        Expr::ScalarFunction(call) => call.name().starts_with("bits_") && call.name() != OCTETS,
        _ => false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
    Left,
    Right,
    Concatenate,
    Octets,
}

const OCTETS: &str = "bits_octets";

/// The bytes that a bit string takes, for `octet_length`.
pub(crate) fn octets() -> Arc<ScalarUDF> {
    udf(Operation::Octets)
}

/// The functions that stand for operators, so that plans can be read back by name.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    use Operation::{And, Concatenate, Left, Not, Octets, Or, Right, Xor};
    [And, Or, Xor, Not, Left, Right, Concatenate, Octets].into_iter().map(udf).collect()
}

fn udf(operation: Operation) -> Arc<ScalarUDF> {
    let n_arguments = if matches!(operation, Operation::Not | Operation::Octets) { 1 } else { 2 };
    let signature = Signature::any(n_arguments, Volatility::Immutable);
    Arc::new(ScalarUDF::from(Bits { operation, signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bits {
    operation: Operation,
    signature: Signature,
}

impl ScalarUDFImpl for Bits {
    fn name(&self) -> &'static str {
        match self.operation {
            Operation::And => "bits_and",
            Operation::Or => "bits_or",
            Operation::Xor => "bits_xor",
            Operation::Not => "bits_not",
            Operation::Left => "bits_left",
            Operation::Right => "bits_right",
            Operation::Concatenate => "bits_concatenate",
            Operation::Octets => OCTETS,
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(if self.operation == Operation::Octets { DataType::Int32 } else { DataType::Utf8 })
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = match self.operation {
            Operation::Octets => Field::new(self.name(), DataType::Int32, true),
            Operation::Concatenate => named(DataType::Utf8, "varbit", None),
            _ => named(DataType::Utf8, "bit", None),
        };
        Ok(Arc::new(field))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let n_rows = if constant { 1 } else { args.number_rows };
        let arrays =
            args.args.iter().map(|arg| arg.to_array(n_rows)).collect::<Result<Vec<_>>>()?;
        let missing = || exec_datafusion_err!("{} needs more arguments", self.name());
        let bits = cast(arrays.first().ok_or_else(missing)?, &DataType::Utf8)?;
        let bits = bits.as_string::<i32>();
        let result: arrow::array::ArrayRef = match self.operation {
            Operation::Octets => {
                let length = |text: &str| i32::try_from(text.len().div_ceil(8)).unwrap_or(i32::MAX);
                let lengths = bits.iter().map(|text| text.map(length));
                Arc::new(lengths.collect::<arrow::array::Int32Array>())
            }
            Operation::Not => {
                let not = |text: &str| joined(text.bytes().map(|bit| bit != b'1'));
                Arc::new(bits.iter().map(|text| text.map(not)).collect::<StringArray>())
            }
            Operation::Left | Operation::Right => {
                let distances = cast(arrays.get(1).ok_or_else(missing)?, &DataType::Int64)?;
                let distances = distances.as_primitive::<Int64Type>();
                let sign = if self.operation == Operation::Left { 1 } else { -1 };
                let pairs = bits.iter().zip(distances.iter());
                let moved = pairs.map(|(text, n)| {
                    Some(shifted(text?, sign * n?.clamp(-N_BITS_MAX, N_BITS_MAX)))
                });
                Arc::new(moved.collect::<StringArray>())
            }
            _ => {
                let others = cast(arrays.get(1).ok_or_else(missing)?, &DataType::Utf8)?;
                let pairs = bits.iter().zip(others.as_string::<i32>().iter());
                let pairs = pairs.map(|(a, b)| match (a, b) {
                    (Some(a), Some(b)) => self.pair(a, b).map(Some),
                    _ => Ok(None),
                });
                Arc::new(pairs.collect::<Result<StringArray>>()?)
            }
        };
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

impl Bits {
    fn pair(&self, a: &str, b: &str) -> Result<String> {
        let word = match self.operation {
            Operation::And => "AND",
            Operation::Or => "OR",
            Operation::Xor => "XOR",
            _ => return Ok(format!("{a}{b}")),
        };
        if a.len() != b.len() {
            return Err(fault("22026", format!("cannot {word} bit strings of different sizes")));
        }
        let pairs = a.bytes().zip(b.bytes()).map(|(a, b)| (a == b'1', b == b'1'));
        Ok(match self.operation {
            Operation::And => joined(pairs.map(|(a, b)| a && b)),
            Operation::Or => joined(pairs.map(|(a, b)| a || b)),
            _ => joined(pairs.map(|(a, b)| a != b)),
        })
    }
}

fn joined(bits: impl Iterator<Item = bool>) -> String {
    bits.map(|bit| if bit { '1' } else { '0' }).collect()
}

/// The bits moved to the left, or to the right by a negative number; the length stays.
fn shifted(bits: &str, n: i64) -> String {
    let distance = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX).min(bits.len());
    let zeros = "0".repeat(distance);
    if n >= 0 {
        format!("{}{zeros}", bits.get(distance..).unwrap_or_default())
    } else {
        format!("{zeros}{}", bits.get(..bits.len() - distance).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::{hexadecimal, read, shifted};

    #[test]
    fn digits_are_read() {
        assert_eq!(read("101").as_deref(), Ok("101"));
        assert_eq!(read("b01").as_deref(), Ok("01"));
        assert_eq!(read("x1F").as_deref(), Ok("00011111"));
        assert_eq!(hexadecimal("").as_deref(), Ok(""));
        assert!(read("12").is_err() && hexadecimal("1G").is_err());
    }

    #[test]
    fn shifts_keep_the_length() {
        assert_eq!(shifted("101", 1), "010");
        assert_eq!(shifted("101", -1), "010");
        assert_eq!(shifted("101", 7), "000");
        assert_eq!(shifted("", 1), "");
    }
}
