//! Casts of numbers to smaller types: to the nearest integer, not towards zero; to `real` without
//! becoming infinite or zero.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Float32Type, Float64Type,
    Int16Type, Int32Type, Int64Type,
};
use arrow::util::display::FormatOptions;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::float::{overflow, underflow};
use crate::functions::fault::out_of_range;

/// The function for a cast; `None` where the cast itself does what PostgreSQL does.
#[must_use]
pub fn rounding_cast(from: &DataType, to: &DataType) -> Option<Arc<ScalarUDF>> {
    if !(from.is_floating() || from.is_decimal() || narrows(from, to)) {
        return None;
    }
    let function = match to {
        DataType::Int16 => &TO_INT2,
        DataType::Int32 => &TO_INT4,
        DataType::Int64 => &TO_INT8,
        DataType::Float32 if *from == DataType::Float64 => &TO_FLOAT4,
        _ => return None,
    };
    Some(Arc::clone(function))
}

/// Whether an integer may not fit another integer's type.
fn narrows(from: &DataType, to: &DataType) -> bool {
    use DataType::{Int16, Int32, Int64, UInt32, UInt64};
    matches!(
        (from, to),
        (Int64 | UInt32 | UInt64, Int16 | Int32) | (Int32, Int16) | (UInt64, Int64)
    )
}

static TO_INT2: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| udf("round_to_int2", DataType::Int16));
static TO_INT4: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| udf("round_to_int4", DataType::Int32));
static TO_INT8: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| udf("round_to_int8", DataType::Int64));
static TO_FLOAT4: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| udf("round_to_float4", DataType::Float32));

/// All of them, so that plans can be read back by name.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    [&TO_INT2, &TO_INT4, &TO_INT8, &TO_FLOAT4].into_iter().map(|udf| Arc::clone(udf)).collect()
}

fn udf(name: &'static str, target: DataType) -> Arc<ScalarUDF> {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::from(Round { name, target, signature }))
}

#[derive(PartialEq, Eq, Hash)]
struct Round {
    name: &'static str,
    target: DataType,
    signature: Signature,
}

impl fmt::Debug for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl ScalarUDFImpl for Round {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.target.clone())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.first() {
            Some(ColumnarValue::Scalar(value)) => {
                let array = round(&value.to_array()?, &self.target)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
            Some(ColumnarValue::Array(array)) => {
                Ok(ColumnarValue::Array(round(array, &self.target)?))
            }
            None => Err(exec_datafusion_err!("{} needs an argument", self.name)),
        }
    }
}

/// Decimals round halves away from zero, floats to the even neighbour.
#[expect(clippy::cast_possible_truncation, reason = "the bounds are checked before")]
fn round(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let whole = match array.data_type() {
        t if t.is_floating() => {
            let array = cast(array, &DataType::Float64)?;
            let array = array.as_primitive::<Float64Type>();
            return match target {
                DataType::Float32 => narrow_floats(array),
                DataType::Int16 => {
                    round_floats::<Int16Type>(array, -32_768.0, 32_768.0, |x| x as i16)
                }
                DataType::Int32 => {
                    round_floats::<Int32Type>(array, -2_147_483_648.0, 2_147_483_648.0, |x| {
                        x as i32
                    })
                }
                _ => round_floats::<Int64Type>(
                    array,
                    -9_223_372_036_854_775_808.0,
                    9_223_372_036_854_775_808.0,
                    |x| x as i64,
                ),
            };
        }
        DataType::Decimal256(..) => DataType::Decimal256(DECIMAL256_MAX_PRECISION, 0),
        t if t.is_decimal() => DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0),
        t if t.is_integer() => t.clone(),
        t => return Err(exec_datafusion_err!("{t} has no fraction to round")),
    };
    // Arrow rounds halves away from zero where it drops digits of a decimal.
    let array = cast(array, &whole)?;
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    cast_with_options(&array, target, &options).map_err(|_| out_of_range(target))
}

fn round_floats<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<Float64Type>,
    least: f64,
    bound: f64,
    to_integer: impl Fn(f64) -> T::Native,
) -> Result<ArrayRef> {
    let rounded: PrimitiveArray<T> = array.try_unary(|value| {
        let value = value.round_ties_even();
        if value >= least && value < bound {
            Ok(to_integer(value))
        } else {
            Err(out_of_range(&T::DATA_TYPE))
        }
    })?;
    Ok(Arc::new(rounded))
}

/// The nearest `real` of each value, which has to be finite where the value is, and not zero where
/// it is not.
#[expect(clippy::cast_possible_truncation, reason = "what does not fit is looked for")]
fn narrow_floats(array: &PrimitiveArray<Float64Type>) -> Result<ArrayRef> {
    let narrowed: PrimitiveArray<Float32Type> = array.try_unary(|value| {
        let narrow = value as f32;
        if narrow.is_infinite() && value.is_finite() {
            return Err(overflow());
        }
        if narrow == 0.0 && value != 0.0 {
            return Err(underflow());
        }
        Ok(narrow)
    })?;
    Ok(Arc::new(narrowed))
}
