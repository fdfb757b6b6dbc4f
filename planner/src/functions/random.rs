//! `random()` and `setseed(x)`: the sequence of a seed is PostgreSQL 15's own.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::Float64Array;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use rand::Rng;

use super::fault::fault;
use super::frame::Kind::{Float8, Void};
use super::frame::{Form, Function, Value, form};
use crate::facts::SessionFacts;

/// The functions.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    const SEED: &[Form] = &[form(&[Float8], Void, |call, row| {
        let seed = call.float(0, row)?;
        if !(-1.0..=1.0).contains(&seed) {
            let message = format!("setseed parameter {seed} is out of allowed range [-1,1]");
            return Err(fault("22023", message));
        }
        if let Some(facts) = call.facts() {
            facts.seed.set(seed);
        }
        Ok(Value::text(""))
    })];
    let signature = Signature::nullary(Volatility::Volatile);
    vec![
        Arc::new(ScalarUDF::from(Random { signature })),
        Function::volatile("setseed", SEED).into_udf(),
    ]
}

/// What a session has set by `setseed`.
#[derive(Debug, Default)]
pub struct Seed(Mutex<Option<Xoroshiro>>);

impl Seed {
    /// Begins the sequence of a seed between -1 and 1.
    pub fn set(&self, seed: f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Xoroshiro::seeded(seed));
    }

    /// Forgets the seed.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn take(&self, n_values: usize) -> Option<Vec<f64>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = state.as_mut()?;
        Some((0..n_values).map(|_| state.next()).collect())
    }
}

/// xoroshiro128**.
#[derive(Debug, Clone)]
struct Xoroshiro {
    low: u64,
    high: u64,
}

impl Xoroshiro {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "as PostgreSQL does: 52 bits of a number between -1 and 1"
    )]
    fn seeded(seed: f64) -> Self {
        let scaled = ((1_u64 << 52) - 1) as f64 * seed;
        let mut state = scaled as i64 as u64;
        let low = split_mix(&mut state);
        let high = split_mix(&mut state);
        Self { low, high }
    }

    #[expect(clippy::cast_precision_loss, reason = "52 bits fit")]
    fn next(&mut self) -> f64 {
        let mixed = self.high ^ self.low;
        let value = self.low.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        self.low = self.low.rotate_left(24) ^ mixed ^ (mixed << 16);
        self.high = mixed.rotate_left(37);
        (value >> 12) as f64 / (1_u64 << 52) as f64
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Random {
    signature: Signature,
}

impl ScalarUDFImpl for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let facts = args.config_options.extensions.get::<SessionFacts>();
        let seeded = facts.and_then(|facts| facts.seed.take(args.number_rows));
        let values = seeded.unwrap_or_else(|| {
            let mut random = rand::rng();
            (0..args.number_rows).map(|_| random.random::<f64>()).collect()
        });
        Ok(ColumnarValue::Array(Arc::new(Float64Array::from(values))))
    }
}
