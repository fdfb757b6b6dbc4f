//! `corr(y, x)`, `covar_*`, `regr_*`: aggregates of pairs.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

use super::{each_state, float_states, floats};
use crate::functions::fault::fault;
use crate::functions::resummed::{Resummed, Running};

/// What is computed from the sums; `None` is NULL.
type Finish = fn(&Sums) -> Option<f64>;

const FUNCTIONS: [(&str, Finish); 12] = [
    ("corr", |s| {
        let product = s.xx * s.yy;
        (s.n > 0.0 && s.xx != 0.0 && s.yy != 0.0).then(|| s.xy / product.sqrt())
    }),
    ("covar_pop", |s| (s.n > 0.0).then(|| s.xy / s.n)),
    ("covar_samp", |s| (s.n > 1.0).then(|| s.xy / (s.n - 1.0))),
    ("regr_avgx", |s| (s.n > 0.0).then(|| s.x / s.n)),
    ("regr_avgy", |s| (s.n > 0.0).then(|| s.y / s.n)),
    ("regr_sxx", |s| (s.n > 0.0).then_some(s.xx)),
    ("regr_syy", |s| (s.n > 0.0).then_some(s.yy)),
    ("regr_sxy", |s| (s.n > 0.0).then_some(s.xy)),
    ("regr_slope", |s| (s.n > 0.0 && s.xx != 0.0).then(|| s.xy / s.xx)),
    ("regr_intercept", |s| (s.n > 0.0 && s.xx != 0.0).then(|| (s.y - s.x * s.xy / s.xx) / s.n)),
    ("regr_r2", |s| {
        if s.n < 1.0 || s.xx == 0.0 {
            None
        } else if s.yy == 0.0 {
            Some(1.0)
        } else {
            Some(s.xy * s.xy / (s.xx * s.yy))
        }
    }),
    (COUNT, |s| Some(s.n)),
];
const COUNT: &str = "regr_count";

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let udaf = |(at, (name, _)): (usize, &(&'static str, Finish))| {
        let aliases = if *name == "covar_samp" { vec!["covar".to_owned()] } else { vec![] };
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(AggregateUDF::from(Regression { at, name, aliases, signature }))
    };
    FUNCTIONS.iter().enumerate().map(udaf).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Regression {
    at: usize,
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
}

impl AggregateUDFImpl for Regression {
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
        let number = |t: &DataType| {
            if t.is_numeric() || t.is_null() { DataType::Float64 } else { t.clone() }
        };
        Ok(types.iter().map(number).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::Float64, DataType::Float64] if self.name == COUNT => Ok(DataType::Int64),
            [DataType::Float64, DataType::Float64] => Ok(DataType::Float64),
            _ => Err(fault("42883", format!("function {} does not exist", self.name))),
        }
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        if self.name == COUNT {
            return Ok(ScalarValue::Int64(Some(0)));
        }
        ScalarValue::try_from(data_type)
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let finish: Finish = FUNCTIONS.get(self.at).map_or(|_| None, |(_, finish)| *finish);
        let counts = self.name == COUNT;
        Ok(Box::new(Pairs { finish, counts, sums: Sums::default() }))
    }

    fn create_sliding_accumulator(
        &self,
        _args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        let finish: Finish = FUNCTIONS.get(self.at).map_or(|_| None, |(_, finish)| *finish);
        let counts = self.name == COUNT;
        Ok(Box::new(Resummed::new(Pairs { finish, counts, sums: Sums::default() }, 2)))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |name: &str| {
            Field::new(format!("{}[{name}]", args.name), DataType::Float64, true).into()
        };
        Ok(["n", "x", "y", "xx", "yy", "xy"].into_iter().map(field).collect())
    }
}

/// Sums by Youngs and Cramer.
#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Sums {
    fn add(&mut self, y: f64, x: f64) {
        self.n += 1.0;
        self.x += x;
        self.y += y;
        if self.n > 1.0 {
            let from_x = x * self.n - self.x;
            let from_y = y * self.n - self.y;
            let scale = 1.0 / (self.n * (self.n - 1.0));
            self.xx += from_x * from_x * scale;
            self.yy += from_y * from_y * scale;
            self.xy += from_x * from_y * scale;
        } else {
            if !x.is_finite() {
                (self.xx, self.xy) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (self.yy, self.xy) = (f64::NAN, f64::NAN);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        if other.n == 0.0 {
            return;
        }
        if self.n == 0.0 {
            *self = other;
            return;
        }
        let n = self.n + other.n;
        let from_x = self.x / self.n - other.x / other.n;
        let from_y = self.y / self.n - other.y / other.n;
        let weight = self.n * other.n / n;
        *self = Self {
            n,
            x: self.x + other.x,
            y: self.y + other.y,
            xx: self.xx + other.xx + weight * from_x * from_x,
            yy: self.yy + other.yy + weight * from_y * from_y,
            xy: self.xy + other.xy + weight * from_x * from_y,
        };
    }
}

#[derive(Clone)]
struct Pairs {
    finish: Finish,
    counts: bool,
    sums: Sums,
}

impl std::fmt::Debug for Pairs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.sums)
    }
}

impl Pairs {
    fn each(values: &[ArrayRef], mut each: impl FnMut(f64, f64)) -> Result<()> {
        let (ys, xs) = (floats(values, 0)?, floats(values, 1)?);
        for (y, x) in ys.iter().zip(xs.iter()) {
            if let (Some(y), Some(x)) = (y, x) {
                each(y, x);
            }
        }
        Ok(())
    }
}

impl Running for Pairs {
    fn add(&mut self, [y, x]: [f64; 2]) {
        self.sums.add(y, x);
    }

    fn result(&self) -> Result<ScalarValue> {
        // One NaN for all: what the processor makes of infinities has a sign.
        let value = (self.finish)(&self.sums).map(|v| if v.is_nan() { f64::NAN } else { v });
        if self.counts {
            let count = ScalarValue::Float64(value);
            return count.cast_to(&DataType::Int64);
        }
        Ok(ScalarValue::Float64(value))
    }
}

impl Accumulator for Pairs {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        Self::each(values, |y, x| self.sums.add(y, x))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.result()
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let Sums { n, x, y, xx, yy, xy } = self.sums;
        Ok(float_states(&[n, x, y, xx, yy, xy]))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        each_state(states, |[n, x, y, xx, yy, xy]| {
            self.sums.merge(Sums { n, x, y, xx, yy, xy });
        })
    }
}
