//! `variance`, `stddev` and their kin.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal256Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal256Type, Field, FieldRef, Int64Type, i256};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

use super::{argument, each_state, float_states, floats};
use crate::functions::fault::fault;
use crate::functions::numeric::number::{Number, overflow, quotient_scale};
use crate::functions::numeric::transcendental;
use crate::functions::resummed::{Resummed, Running};

/// The digits after the point of `numeric` results.
const SCALE: i8 = 20;
const RESULT: DataType = DataType::Decimal256(76, SCALE);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    root: bool,
    sample: bool,
}

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let kinds: [(&'static str, &[&str], Kind); 4] = [
        ("var_samp", &["variance", "var", "var_sample"], Kind { root: false, sample: true }),
        ("var_pop", &["var_population"], Kind { root: false, sample: false }),
        ("stddev_samp", &["stddev"], Kind { root: true, sample: true }),
        ("stddev_pop", &[], Kind { root: true, sample: false }),
    ];
    let udaf = |(name, aliases, kind): (&'static str, &[&str], Kind)| {
        let aliases = aliases.iter().map(|&alias| alias.to_owned()).collect();
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(AggregateUDF::from(Spread { name, aliases, kind, signature }))
    };
    kinds.into_iter().map(udaf).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Spread {
    name: &'static str,
    aliases: Vec<String>,
    kind: Kind,
    signature: Signature,
}

/// The scale of a column that is added up exactly.
fn exact_scale(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Decimal32(_, s)
        | DataType::Decimal64(_, s)
        | DataType::Decimal128(_, s)
        | DataType::Decimal256(_, s) => Some(*s),
        t if t.is_integer() => Some(0),
        _ => None,
    }
}

impl AggregateUDFImpl for Spread {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types
            .iter()
            .map(|data_type| match data_type {
                DataType::Float16 | DataType::Float32 | DataType::Null => DataType::Float64,
                DataType::Dictionary(_, value) => value.as_ref().clone(),
                t => t.clone(),
            })
            .collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [t] if exact_scale(t).is_some() => Ok(RESULT),
            [DataType::Float64] => Ok(DataType::Float64),
            [t] if t.is_string() => {
                Err(fault("42883", format!("function {}(text) does not exist", self.name)))
            }
            _ => Err(fault("42883", format!("function {} does not exist", self.name))),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let scale = args.expr_fields.first().and_then(|field| exact_scale(field.data_type()));
        Ok(match scale {
            Some(scale) => Box::new(Exact { kind: self.kind, scale, ..Exact::default() }),
            None => Box::new(Float { kind: self.kind, ..Float::default() }),
        })
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        let scale = args.expr_fields.first().and_then(|field| exact_scale(field.data_type()));
        if scale.is_some() {
            return self.accumulator(args);
        }
        Ok(Box::new(Resummed::new(Float { kind: self.kind, ..Float::default() }, 1)))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let scale = args.input_fields.first().and_then(|field| exact_scale(field.data_type()));
        let types = match scale {
            Some(_) => [DataType::Int64, DataType::Decimal256(76, 0), DataType::Decimal256(76, 0)],
            None => [DataType::Float64, DataType::Float64, DataType::Float64],
        };
        let names = ["count", "sum", "squares"];
        let field = |(name, data_type): (&str, DataType)| {
            Field::new(format!("{}[{name}]", args.name), data_type, true).into()
        };
        Ok(names.into_iter().zip(types).map(field).collect())
    }
}

impl Default for Kind {
    fn default() -> Self {
        Self { root: false, sample: true }
    }
}

/// Sums of scaled integers, so nothing is lost.
#[derive(Debug, Default)]
struct Exact {
    kind: Kind,
    scale: i8,
    count: i64,
    sum: i256,
    squares: i256,
}

impl Exact {
    fn each(&self, values: &ArrayRef, mut each: impl FnMut(i256) -> Option<()>) -> Result<()> {
        let wide = DataType::Decimal256(76, self.scale);
        let array = match values.data_type() {
            DataType::Decimal256(..) => Arc::clone(values),
            _ => cast(values, &wide)?,
        };
        let mut values = array.as_primitive::<Decimal256Type>().iter().flatten();
        values.try_for_each(&mut each).ok_or_else(overflow)
    }

    fn add(&mut self, count: i64, sum: i256, squares: i256) -> Option<()> {
        self.count += count;
        self.sum = self.sum.checked_add(sum)?;
        self.squares = self.squares.checked_add(squares)?;
        Some(())
    }

    fn result(&self) -> Result<Option<Number>> {
        let least = if self.kind.sample { 2 } else { 1 };
        if self.count < least {
            return Ok(None);
        }
        let scale = i32::from(self.scale);
        let count = Number::whole(self.count);
        let sum = Number::new(self.sum, scale);
        let squares = Number::new(self.squares, scale * 2);
        let above = squares.times(count)?.minus(sum.times(sum)?)?;
        if above.is_negative() || above.is_zero() {
            return Ok(Some(Number::whole(0)));
        }
        let divisor = if self.kind.sample { Number::whole(self.count - 1) } else { count };
        let below = count.times(divisor)?;
        let scale = quotient_scale(above, below);
        let variance = above.divided(below, scale)?;
        if !self.kind.root {
            return Ok(Some(variance));
        }
        transcendental::sqrt_with(variance, scale).map(Some)
    }
}

impl Accumulator for Exact {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut total = Self { scale: self.scale, ..Self::default() };
        self.each(argument(values, 0)?, |value| total.add(1, value, value.checked_mul(value)?))?;
        self.add(total.count, total.sum, total.squares).ok_or_else(overflow)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut total = Self { scale: self.scale, ..Self::default() };
        self.each(argument(values, 0)?, |value| total.add(1, value, value.checked_mul(value)?))?;
        let (sum, squares) = (total.sum.wrapping_neg(), total.squares.wrapping_neg());
        self.add(-total.count, sum, squares).ok_or_else(overflow)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = self.result()?.map(|number| number.rounded(i32::from(SCALE))).transpose()?;
        Ok(ScalarValue::Decimal256(value.map(|number| number.value), 76, SCALE))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Int64(Some(self.count)),
            ScalarValue::Decimal256(Some(self.sum), 76, 0),
            ScalarValue::Decimal256(Some(self.squares), 76, 0),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let counts: &Int64Array = argument(states, 0)?.as_primitive::<Int64Type>();
        let sums: &Decimal256Array = argument(states, 1)?.as_primitive::<Decimal256Type>();
        let squares: &Decimal256Array = argument(states, 2)?.as_primitive::<Decimal256Type>();
        for row in 0..counts.len() {
            self.add(counts.value(row), sums.value(row), squares.value(row))
                .ok_or_else(overflow)?;
        }
        Ok(())
    }
}

/// Sums by Youngs and Cramer.
#[derive(Debug, Clone, Default)]
struct Float {
    kind: Kind,
    count: f64,
    sum: f64,
    squares: f64,
}

impl Running for Float {
    fn add(&mut self, [x, _]: [f64; 2]) {
        self.count += 1.0;
        self.sum += x;
        if self.count > 1.0 {
            let distance = x * self.count - self.sum;
            self.squares += distance * distance / (self.count * (self.count - 1.0));
        } else if !x.is_finite() {
            self.squares = f64::NAN;
        }
    }

    fn result(&self) -> Result<ScalarValue> {
        let least = if self.kind.sample { 2.0 } else { 1.0 };
        if self.count < least {
            return Ok(ScalarValue::Float64(None));
        }
        let divisor = if self.kind.sample { self.count - 1.0 } else { self.count };
        let variance = self.squares / divisor;
        if variance.is_nan() {
            // One NaN for all: what the processor makes of infinities has a sign.
            return Ok(ScalarValue::Float64(Some(f64::NAN)));
        }
        Ok(ScalarValue::Float64(Some(if self.kind.root { variance.sqrt() } else { variance })))
    }
}

impl Accumulator for Float {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        floats(values, 0)?.iter().flatten().for_each(|x| self.add([x, 0.0]));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.result()
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(float_states(&[self.count, self.sum, self.squares]))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        each_state(states, |[count, sum, squares]| {
            if count == 0.0 {
                return;
            }
            if self.count == 0.0 {
                (self.count, self.sum, self.squares) = (count, sum, squares);
                return;
            }
            let total = self.count + count;
            let distance = self.sum / self.count - sum / count;
            self.squares += squares + self.count * count * distance * distance / total;
            self.count = total;
            self.sum += sum;
        })
    }
}
