//! `min` and `max` of intervals, by PostgreSQL's order.

use std::mem::size_of_val;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

use super::span::Span;
use super::types::INTERVAL;

pub(crate) static MIN: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| udf("interval_min", true));
pub(crate) static MAX: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| udf("interval_max", false));

fn udf(name: &'static str, least: bool) -> Arc<AggregateUDF> {
    let signature = Signature::exact(vec![INTERVAL], Volatility::Immutable);
    Arc::new(AggregateUDF::from(Extreme { name, least, signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    name: &'static str,
    least: bool,
    signature: Signature,
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(INTERVAL)
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Found { least: self.least, value: None }))
    }
}

#[derive(Debug)]
struct Found {
    least: bool,
    value: Option<IntervalMonthDayNano>,
}

impl Accumulator for Found {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return Ok(()) };
        for value in values.as_primitive::<IntervalMonthDayNanoType>().iter().flatten() {
            let order = |value| Span::from_arrow(value).order();
            let better = self.value.is_none_or(|best| {
                if self.least { order(value) < order(best) } else { order(value) > order(best) }
            });
            if better {
                self.value = Some(value);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::IntervalMonthDayNano(self.value))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}
