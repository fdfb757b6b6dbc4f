//! `single_value(x)`: the value of a scalar subquery.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use crate::error::PlannerError;

/// Returns NULL for no row, the value for one row and error 21000 for more.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SingleValue {
    signature: Signature,
}

impl SingleValue {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for SingleValue {
    fn name(&self) -> &'static str {
        "single_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().ok_or_else(|| DataFusionError::Internal("no argument".to_owned()))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let value = ScalarValue::try_from(args.return_field.data_type())?;
        Ok(Box::new(Single { value, n_rows: 0 }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let value = Field::new("value", args.return_field.data_type().clone(), true);
        Ok(vec![value.into(), Field::new("n_rows", DataType::UInt64, true).into()])
    }
}

#[derive(Debug)]
struct Single {
    value: ScalarValue,
    n_rows: u64,
}

impl Single {
    fn add(&mut self, value: ScalarValue) -> Result<()> {
        self.n_rows += 1;
        if self.n_rows > 1 {
            return Err(too_many_rows());
        }
        self.value = value;
        Ok(())
    }
}

pub(super) fn too_many_rows() -> DataFusionError {
    DataFusionError::External(Box::new(PlannerError::Semantics {
        code: "21000",
        message: "more than one row returned by a subquery used as an expression".to_owned(),
        position: None,
    }))
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return Ok(()) };
        match values.len() {
            0 => Ok(()),
            1 => self.add(ScalarValue::try_from_array(values, 0)?),
            _ => Err(too_many_rows()),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), ScalarValue::UInt64(Some(self.n_rows))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, counts] = states else { return Ok(()) };
        for row in 0..values.len() {
            match ScalarValue::try_from_array(counts, row)? {
                ScalarValue::UInt64(Some(0) | None) => {}
                ScalarValue::UInt64(Some(1)) => {
                    self.add(ScalarValue::try_from_array(values, row)?)?
                }
                _ => return Err(too_many_rows()),
            }
        }
        Ok(())
    }
}
