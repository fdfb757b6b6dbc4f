//! `+`, `-`, `*` on integers that fail instead of wrapping, `/` on floats that fails for zero.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Datum, Scalar};
use arrow::compute::cast;
use arrow::compute::kernels::numeric::{add, div, mul, sub};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::functions::fault::{division_by_zero, fault, out_of_range};

/// The function for an operator on two operands of this type; `None` where the operator itself
/// does what PostgreSQL does.
#[must_use]
pub fn checked(op: Operator, data_type: &DataType) -> Option<Arc<ScalarUDF>> {
    let integer = matches!(data_type, DataType::Int16 | DataType::Int32 | DataType::Int64);
    let float = matches!(data_type, DataType::Float32 | DataType::Float64);
    let function = match op {
        Operator::Plus if integer || float => &ADD,
        Operator::Minus if integer || float => &SUBTRACT,
        Operator::Multiply if integer || float => &MULTIPLY,
        Operator::Divide if float => &DIVIDE,
        _ => return None,
    };
    Some(Arc::clone(function))
}

static ADD: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| udf("checked_add", Operator::Plus));
static SUBTRACT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| udf("checked_sub", Operator::Minus));
static MULTIPLY: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| udf("checked_mul", Operator::Multiply));
static DIVIDE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| udf("checked_div", Operator::Divide));

/// All of them, so that plans can be read back by name.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    [&ADD, &SUBTRACT, &MULTIPLY, &DIVIDE].into_iter().map(|udf| Arc::clone(udf)).collect()
}

fn udf(name: &'static str, op: Operator) -> Arc<ScalarUDF> {
    let signature = Signature::any(2, Volatility::Immutable);
    Arc::new(ScalarUDF::from(Checked { name, op, signature }))
}

#[derive(PartialEq, Eq, Hash)]
struct Checked {
    name: &'static str,
    op: Operator,
    signature: Signature,
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Checked {
    /// Writes `a + b + c` in one go: asking each operator for the text to its left would copy the
    /// text of a long chain once for every term, in each of the planner's many passes.
    fn chain(&self, left: &Expr, right: &Expr, show: impl Fn(&Expr) -> String) -> String {
        let mut terms = vec![(self.op, right)];
        let mut first = left;
        while let Expr::ScalarFunction(call) = first
            && let Some(checked) = call.func.inner().downcast_ref::<Self>()
            && let [left, right] = call.args.as_slice()
        {
            terms.push((checked.op, right));
            first = left;
        }
        let mut text = show(first);
        for (op, term) in terms.into_iter().rev() {
            text.push_str(&format!(" {op} {}", show(term)));
        }
        text
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    /// Plans show the operator.
    fn display_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [left, right] => Ok(self.chain(left, right, ToString::to_string)),
            _ => Ok(self.name.to_owned()),
        }
    }

    /// Output columns keep the name that the operator gave them.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [left, right] => Ok(self.chain(left, right, |e| e.schema_name().to_string())),
            _ => Ok(self.name.to_owned()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().ok_or_else(|| exec_datafusion_err!("{} needs operands", self.name))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return Err(exec_datafusion_err!("{} needs two operands", self.name));
        };
        let data_type = left.data_type();
        let left_datum = datum(left)?;
        let right_datum = datum(right)?;
        if self.op == Operator::Divide {
            refuse_zero(left, right)?;
        }
        let kernel = match self.op {
            Operator::Plus => add,
            Operator::Minus => sub,
            Operator::Multiply => mul,
            _ => div,
        };
        let result =
            kernel(left_datum.as_ref(), right_datum.as_ref()).map_err(|error| match error {
                ArrowError::ArithmeticOverflow(_) => out_of_range(&data_type),
                ArrowError::DivideByZero => division_by_zero(),
                error => error.into(),
            })?;
        refuse_infinity(&result, left, right, self.op)?;
        let scalars = matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        if scalars {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

fn datum(value: &ColumnarValue) -> Result<Box<dyn Datum>> {
    Ok(match value {
        ColumnarValue::Array(array) => Box::new(Arc::clone(array)),
        ColumnarValue::Scalar(scalar) => Box::new(Scalar::new(scalar.to_array()?)),
    })
}

/// Fails if a row became infinite, or zero, and its operands were not.
fn refuse_infinity(
    result: &ArrayRef,
    left: &ColumnarValue,
    right: &ColumnarValue,
    op: Operator,
) -> Result<()> {
    let product = matches!(op, Operator::Multiply | Operator::Divide);
    let odd = |value: f64| value.is_infinite() || (product && value == 0.0);
    let any = match result.data_type() {
        DataType::Float32 => {
            result.as_primitive::<Float32Type>().values().iter().any(|v| odd(f64::from(*v)))
        }
        DataType::Float64 => result.as_primitive::<Float64Type>().values().iter().any(|v| odd(*v)),
        _ => false,
    };
    // Most batches have neither, so the operands are not looked at.
    if !any {
        return Ok(());
    }
    let floats = |value: &ColumnarValue| -> Result<ArrayRef> {
        Ok(cast(&value.to_array(result.len())?, &DataType::Float64)?)
    };
    let (left, right) = (floats(left)?, floats(right)?);
    let (left, right) = (left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>());
    let result = cast(result, &DataType::Float64)?;
    let rows = result.as_primitive::<Float64Type>().iter().zip(left.iter()).zip(right.iter());
    for ((value, left), right) in rows {
        let (Some(value), Some(left), Some(right)) = (value, left, right) else { continue };
        if value.is_infinite() && left.is_finite() && right.is_finite() {
            return Err(fault("22003", "value out of range: overflow"));
        }
        let vanished = value == 0.0 && left != 0.0 && right != 0.0;
        if product && vanished && left.is_finite() && right.is_finite() {
            return Err(fault("22003", "value out of range: underflow"));
        }
    }
    Ok(())
}

/// Fails if a row with a dividend has zero as divisor.
fn refuse_zero(left: &ColumnarValue, right: &ColumnarValue) -> Result<()> {
    let divisors: ArrayRef = match right {
        ColumnarValue::Array(array) => Arc::clone(array),
        ColumnarValue::Scalar(scalar) => scalar.to_array()?,
    };
    let zero = |row: usize| match divisors.data_type() {
        DataType::Float32 => divisors.as_primitive::<Float32Type>().value(row) == 0.0,
        _ => divisors.as_primitive::<Float64Type>().value(row) == 0.0,
    };
    let has_zero = match divisors.data_type() {
        DataType::Float32 => divisors.as_primitive::<Float32Type>().values().contains(&0.0),
        DataType::Float64 => divisors.as_primitive::<Float64Type>().values().contains(&0.0),
        _ => false,
    };
    // The values under NULLs are arbitrary: only a zero found above needs the slow look.
    if !has_zero {
        return Ok(());
    }
    let dividend_is_null = |row: usize| match left {
        ColumnarValue::Array(array) => array.is_null(row),
        ColumnarValue::Scalar(scalar) => scalar.is_null(),
    };
    let scalar_divisor = matches!(right, ColumnarValue::Scalar(_));
    let n_rows = match left {
        ColumnarValue::Array(array) => array.len(),
        ColumnarValue::Scalar(_) => divisors.len(),
    };
    let fails = (0..n_rows).any(|row| {
        let at = if scalar_divisor { 0 } else { row };
        divisors.is_valid(at) && zero(at) && !dividend_is_null(row)
    });
    if fails { Err(division_by_zero()) } else { Ok(()) }
}
