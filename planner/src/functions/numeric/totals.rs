//! `sum` and `avg` of intervals, `sum` of `real`: types that DataFusion adds up otherwise.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, FieldRef, Float32Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::Accumulator;

use crate::functions::datetime::span::Span;

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

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in argument(values, 0)?.as_primitive::<Float32Type>().iter().flatten() {
            self.sum -= value;
            self.count -= 1;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
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
