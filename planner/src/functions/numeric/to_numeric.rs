//! Casts to `numeric`, with PostgreSQL's rounding and errors.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Decimal256Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal256Type, Field, FieldRef, Float32Type, Float64Type,
    i256,
};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::number::{Number, overflow, power_of_ten};
use crate::functions::fault::fault;

/// Digits after the point of a float that becomes a `numeric` without modifier.
pub(super) const FLOAT_SCALE: i8 = 16;

/// The function for a cast; `None` where the cast itself does what PostgreSQL does.
#[must_use]
pub(crate) fn numeric_cast(from: &DataType, to: &DataType) -> Option<Arc<ScalarUDF>> {
    let (precision, scale) = digits(to)?;
    let narrows = match from {
        t if t.is_floating() => true,
        t if t.is_integer() => i16::from(precision) - i16::from(scale) < whole_digits(t),
        t => {
            let (from_precision, from_scale) = digits(t)?;
            let whole = i16::from(from_precision) - i16::from(from_scale);
            scale < from_scale || i16::from(precision) - i16::from(scale) < whole
        }
    };
    narrows.then(|| {
        let signature = Signature::any(1, Volatility::Immutable);
        let declared = !from.is_floating() || (precision, scale) != UNCONSTRAINED;
        Arc::new(ScalarUDF::from(ToNumeric { target: to.clone(), declared, signature }))
    })
}

/// What a float is cast to where no modifier is given.
pub(super) const UNCONSTRAINED: (u8, i8) = (DECIMAL128_MAX_PRECISION, FLOAT_SCALE);

fn digits(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => Some((*p, *s)),
        _ => None,
    }
}

fn whole_digits(data_type: &DataType) -> i16 {
    match data_type {
        DataType::Int8 | DataType::UInt8 => 3,
        DataType::Int16 | DataType::UInt16 => 5,
        DataType::Int32 | DataType::UInt32 => 10,
        _ => 20,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToNumeric {
    target: DataType,
    /// Whether the digits come from a modifier, not from what fits.
    declared: bool,
    signature: Signature,
}

impl ToNumeric {
    fn field_overflow(&self) -> DataFusionError {
        if !self.declared {
            return overflow();
        }
        fault("22003", "numeric field overflow")
    }

    fn convert(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let (precision, scale) =
            digits(&self.target).ok_or_else(|| exec_datafusion_err!("no decimal type"))?;
        let limit = power_of_ten(i32::from(precision))?;
        let number = |number: Number| -> Result<i256> {
            let value = number.rounded(i32::from(scale)).map_err(|_| self.field_overflow())?.value;
            if value.wrapping_abs() >= limit { Err(self.field_overflow()) } else { Ok(value) }
        };
        let values = if *array.data_type() == DataType::Float32 {
            let values = array.as_primitive::<Float32Type>().iter();
            let value = |value: Option<f32>| value.map(|v| number(Number::of_real(v)?)).transpose();
            values.map(value).collect::<Result<Vec<Option<i256>>>>()?
        } else if array.data_type().is_floating() {
            let array = cast(array, &DataType::Float64)?;
            let values = array.as_primitive::<Float64Type>().iter();
            let value =
                |value: Option<f64>| value.map(|v| number(Number::of_float(v)?)).transpose();
            values.map(value).collect::<Result<Vec<Option<i256>>>>()?
        } else {
            let from = digits(array.data_type()).map_or(0, |(_, scale)| scale);
            let array = cast(array, &DataType::Decimal256(76, from))?;
            let values = array.as_primitive::<Decimal256Type>().iter();
            let value = |value: Option<i256>| {
                value.map(|v| number(Number::new(v, i32::from(from)))).transpose()
            };
            values.map(value).collect::<Result<Vec<Option<i256>>>>()?
        };
        self.array(values)
    }

    fn array(&self, values: Vec<Option<i256>>) -> Result<ArrayRef> {
        if matches!(self.target, DataType::Decimal256(..)) {
            let array = Decimal256Array::from(values).with_data_type(self.target.clone());
            return Ok(Arc::new(array));
        }
        let narrow = |value: Option<i256>| {
            value.map(|value| value.to_i128().ok_or_else(|| self.field_overflow())).transpose()
        };
        let values = values.into_iter().map(narrow).collect::<Result<Vec<Option<i128>>>>()?;
        let array: ArrayRef = Arc::new(Decimal128Array::from(values));
        if matches!(self.target, DataType::Decimal128(..)) {
            let array = array.as_primitive::<arrow::datatypes::Decimal128Type>().clone();
            return Ok(Arc::new(array.with_data_type(self.target.clone())));
        }
        Ok(cast(&array, &self.target)?)
    }
}

impl ScalarUDFImpl for ToNumeric {
    fn name(&self) -> &'static str {
        "numeric_cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.target.clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), self.target.clone(), true)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.first() {
            Some(ColumnarValue::Scalar(value)) => {
                let array = self.convert(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
            Some(ColumnarValue::Array(array)) => Ok(ColumnarValue::Array(self.convert(array)?)),
            None => Err(exec_datafusion_err!("a cast needs an argument")),
        }
    }
}
