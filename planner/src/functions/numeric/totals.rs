//! `sum` and `avg` of intervals, `sum` of `real` and of the widest `numeric`: types that
//! DataFusion adds up otherwise.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DECIMAL256_MAX_PRECISION, DataType, Decimal256Type, Field, FieldRef, Float32Type, Int64Type,
    IntervalMonthDayNanoType, IntervalUnit, i256,
};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::Accumulator;

use crate::functions::datetime::span::Span;
use crate::functions::fault::fault;

/// What all intervals are here.
pub(super) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

fn argument(values: &[ArrayRef], at: usize) -> Result<&ArrayRef> {
    values.get(at).ok_or_else(|| exec_datafusion_err!("an argument is missing"))
}

/// The state of both aggregates: a count and a sum.
pub(super) fn state_fields(name: &str, data_type: &DataType) -> Vec<FieldRef> {
    vec![
        Field::new(format!("{name}[count]"), DataType::Int64, true).into(),
        Field::new(format!("{name}[sum]"), data_type.clone(), true).into(),
    ]
}

/// Months, days and microseconds are added up apart.
#[derive(Debug, Default)]
pub(super) struct IntervalTotal {
    average: bool,
    count: i64,
    sum: Span,
}

impl IntervalTotal {
    pub(super) fn new(average: bool) -> Self {
        Self { average, ..Self::default() }
    }

    fn spans(array: &ArrayRef) -> Result<Vec<Span>> {
        let array = cast(array, &INTERVAL)?;
        let array = array.as_primitive::<IntervalMonthDayNanoType>();
        Ok(array.iter().flatten().map(Span::from_arrow).collect())
    }
}

impl Accumulator for IntervalTotal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for span in Self::spans(argument(values, 0)?)? {
            self.sum = self.sum.plus(span)?;
            self.count += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for span in Self::spans(argument(values, 0)?)? {
            self.sum = self.sum.minus(span)?;
            self.count -= 1;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of rows")]
    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.count == 0 {
            return Ok(ScalarValue::IntervalMonthDayNano(None));
        }
        let result = if self.average { self.sum.divided(self.count as f64)? } else { self.sum };
        Ok(ScalarValue::IntervalMonthDayNano(Some(result.to_arrow()?)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Int64(Some(self.count)),
            ScalarValue::IntervalMonthDayNano(Some(self.sum.to_arrow()?)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let counts = argument(states, 0)?.as_primitive::<Int64Type>();
        for span in Self::spans(argument(states, 1)?)? {
            self.sum = self.sum.plus(span)?;
        }
        self.count += counts.iter().flatten().sum::<i64>();
        Ok(())
    }
}

/// A sum of `real` is a `real`, added up as such.
#[derive(Debug, Default)]
pub(super) struct RealTotal {
    count: i64,
    sum: f32,
}

impl Accumulator for RealTotal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in argument(values, 0)?.as_primitive::<Float32Type>().iter().flatten() {
            self.sum += value;
            self.count += 1;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float32((self.count > 0).then_some(self.sum)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(Some(self.count)), ScalarValue::Float32(Some(self.sum))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let counts = argument(states, 0)?.as_primitive::<Int64Type>();
        let sums = argument(states, 1)?.as_primitive::<Float32Type>();
        self.sum += sums.iter().flatten().sum::<f32>();
        self.count += counts.iter().flatten().sum::<i64>();
        Ok(())
    }
}

/// A sum of `numeric` with more than 38 digits, which fails where 76 are not enough.
#[derive(Debug)]
pub(super) struct WideTotal {
    result: DataType,
    count: i64,
    sum: i256,
}

/// The state of a [`WideTotal`] of values with so many digits after the point.
pub(super) fn wide_state(scale: i8) -> DataType {
    DataType::Decimal256(DECIMAL256_MAX_PRECISION, scale)
}

impl WideTotal {
    pub(super) fn new(result: DataType) -> Self {
        Self { result, count: 0, sum: i256::ZERO }
    }

    fn scale(&self) -> i8 {
        if let DataType::Decimal256(_, scale) = self.result { scale } else { 0 }
    }

    fn combine(&mut self, values: &ArrayRef, add: bool) -> Result<i64> {
        let mut count = 0;
        for value in values.as_primitive::<Decimal256Type>().iter().flatten() {
            let sum = if add { self.sum.checked_add(value) } else { self.sum.checked_sub(value) };
            self.sum = sum.ok_or_else(|| fault("22003", "value overflows numeric format"))?;
            count += 1;
        }
        Ok(count)
    }
}

impl Accumulator for WideTotal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.count += self.combine(argument(values, 0)?, true)?;
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.count -= self.combine(argument(values, 0)?, false)?;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let limit = i256::from_i128(10).checked_pow(u32::from(DECIMAL256_MAX_PRECISION));
        if limit.is_none_or(|limit| self.sum >= limit || self.sum <= limit.wrapping_neg()) {
            return Err(fault("22003", "value overflows numeric format"));
        }
        let sum = (self.count > 0).then_some(self.sum);
        Ok(ScalarValue::Decimal256(sum, DECIMAL256_MAX_PRECISION, self.scale()))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = ScalarValue::Decimal256(Some(self.sum), DECIMAL256_MAX_PRECISION, self.scale());
        Ok(vec![ScalarValue::Int64(Some(self.count)), sum])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let counts = argument(states, 0)?.as_primitive::<Int64Type>();
        self.combine(argument(states, 1)?, true)?;
        self.count += counts.iter().flatten().sum::<i64>();
        Ok(())
    }
}
