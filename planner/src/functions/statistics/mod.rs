//! Aggregates of statistics: spread, regression, percentiles.
//!
//! | module | what |
//! |---|---|
//! | [`spread`] | `variance`, `stddev` and their kin, exact for integers and `numeric` |
//! | [`regression`] | `corr`, `covar_*`, `regr_*` |
//! | [`ordered`] | `percentile_cont`, `percentile_disc`, `mode` |
//!
//! DataFusion's functions of these names give floats where PostgreSQL gives `numeric`, or differ in
//! the last digits: PostgreSQL's sums by Youngs and Cramer are used here.

mod ordered;
mod regression;
mod spread;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::AggregateUDF;

/// The functions, some in the places of DataFusion's of these names.
pub(crate) fn functions() -> Vec<Arc<AggregateUDF>> {
    let mut functions = spread::functions();
    functions.extend(regression::functions());
    functions.extend(ordered::functions());
    functions
}

fn argument(values: &[ArrayRef], at: usize) -> Result<&ArrayRef> {
    values.get(at).ok_or_else(|| exec_datafusion_err!("an argument is missing"))
}

fn floats(values: &[ArrayRef], at: usize) -> Result<Float64Array> {
    let array = cast(argument(values, at)?, &DataType::Float64)?;
    Ok(array.as_primitive::<Float64Type>().clone())
}

/// The states of one partial aggregate after another, which are floats.
fn each_state<const N: usize>(states: &[ArrayRef], mut each: impl FnMut([f64; N])) -> Result<()> {
    let columns = (0..N).map(|at| floats(states, at)).collect::<Result<Vec<Float64Array>>>()?;
    let n_rows = columns.first().map_or(0, Array::len);
    for row in 0..n_rows {
        let mut state = [0.0; N];
        for (place, column) in state.iter_mut().zip(&columns) {
            *place = column.value(row);
        }
        each(state);
    }
    Ok(())
}

fn float_states(values: &[f64]) -> Vec<ScalarValue> {
    values.iter().map(|value| ScalarValue::Float64(Some(*value))).collect()
}
