//! Aggregates of floats over moving window frames, added up anew where rows leave the frame.
//!
//! Taking a float back from a sum does not undo adding it: `1e20 + 1 - 1e20` is 0, and nothing
//! takes NaN or infinity back. PostgreSQL adds up each frame from its first row; so does this,
//! unless the frame only grew.

use std::collections::VecDeque;
use std::fmt::Debug;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::Accumulator;

/// What is known of the rows of a frame.
pub(crate) trait Running: Clone + Debug + Send + Sync + 'static {
    /// Takes a row's arguments; the second is 0 where there is one.
    fn add(&mut self, arguments: [f64; 2]);

    /// The aggregate's value.
    ///
    /// # Errors
    /// A result that its type cannot hold.
    fn result(&self) -> Result<ScalarValue>;
}

/// The rows of the frame and what they add up to.
#[derive(Debug)]
pub(crate) struct Resummed<R> {
    fresh: R,
    /// `None` since a row has left the frame.
    running: Option<R>,
    frame: VecDeque<[f64; 2]>,
    n_arguments: usize,
}

impl<R: Running> Resummed<R> {
    pub(crate) fn new(fresh: R, n_arguments: usize) -> Self {
        Self { running: Some(fresh.clone()), fresh, frame: VecDeque::new(), n_arguments }
    }

    /// Calls `each` for the rows without NULL.
    fn each(&self, values: &[ArrayRef], mut each: impl FnMut([f64; 2])) -> Result<()> {
        let first = floats(values, 0)?;
        if self.n_arguments < 2 {
            first.iter().flatten().for_each(|value| each([value, 0.0]));
            return Ok(());
        }
        let second = floats(values, 1)?;
        for pair in first.iter().zip(second.iter()) {
            if let (Some(first), Some(second)) = pair {
                each([first, second]);
            }
        }
        Ok(())
    }
}

fn floats(values: &[ArrayRef], at: usize) -> Result<Float64Array> {
    let array = values.get(at).ok_or_else(|| exec_datafusion_err!("an argument is missing"))?;
    Ok(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

impl<R: Running> Accumulator for Resummed<R> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut added = Vec::with_capacity(values.first().map_or(0, Array::len));
        self.each(values, |arguments| added.push(arguments))?;
        if let Some(running) = &mut self.running {
            added.iter().for_each(|arguments| running.add(*arguments));
        }
        self.frame.extend(added);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut n_gone = 0;
        self.each(values, |_| n_gone += 1)?;
        if n_gone > 0 {
            self.frame.drain(..n_gone.min(self.frame.len()));
            self.running = None;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let running = self.running.get_or_insert_with(|| {
            let mut running = self.fresh.clone();
            self.frame.iter().for_each(|arguments| running.add(*arguments));
            running
        });
        running.result()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.frame.capacity() * size_of::<[f64; 2]>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(exec_datafusion_err!("a window frame has no state to hand on"))
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        Err(exec_datafusion_err!("window frames are not merged"))
    }
}

/// `sum` and `avg` of `double precision`, `sum` of `real`.
#[derive(Debug, Clone, Default)]
pub(crate) struct FloatTotal {
    kind: FloatKind,
    sum: f64,
    count: u32,
}

/// What a [`FloatTotal`] gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum FloatKind {
    /// A sum of `double precision`.
    #[default]
    Sum,
    /// A sum of `real`, added up as such.
    RealSum,
    /// An average.
    Avg,
}

impl FloatTotal {
    pub(crate) fn new(kind: FloatKind) -> Self {
        Self { kind, ..Self::default() }
    }
}

impl Running for FloatTotal {
    #[expect(clippy::cast_possible_truncation, reason = "both came from real")]
    fn add(&mut self, [value, _]: [f64; 2]) {
        self.sum = match self.kind {
            FloatKind::RealSum => f64::from(self.sum as f32 + value as f32),
            FloatKind::Sum | FloatKind::Avg => self.sum + value,
        };
        self.count = self.count.saturating_add(1);
    }

    #[expect(clippy::cast_possible_truncation, reason = "the sum came from real")]
    fn result(&self) -> Result<ScalarValue> {
        let any = self.count > 0;
        Ok(match self.kind {
            FloatKind::RealSum => ScalarValue::Float32(any.then_some(self.sum as f32)),
            FloatKind::Sum => ScalarValue::Float64(any.then_some(self.sum)),
            FloatKind::Avg => ScalarValue::Float64(any.then_some(self.sum / f64::from(self.count))),
        })
    }
}
