//! Arithmetic and casts that fail or round where DataFusion wraps or truncates.
//!
//! The analyzer puts these in the places of operators; users do not call them.

pub(crate) mod aggregates;
pub mod checked;
pub mod divide;
pub mod planner;
pub mod round;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The functions by which plans name these operations.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = checked::functions();
    functions.extend(divide::functions());
    functions.extend(round::functions());
    functions
}
