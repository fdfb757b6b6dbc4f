//! Arithmetic and casts that fail or round where DataFusion wraps or truncates.
//!
//! The analyzer puts these in the places of operators; users do not call them.

pub(crate) mod aggregates;
mod catalog;
pub mod checked;
pub mod divide;
mod exact;
mod float;
pub(crate) mod math;
pub(crate) mod number;
pub mod planner;
pub mod round;
pub(crate) mod text;
pub(crate) mod to_numeric;
mod totals;
pub(crate) mod transcendental;

use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::ScalarUDF;

/// A function of this module by its name.
///
/// The names asked for are constants of this crate, so that one is always found.
pub(crate) fn by_name(name: &str) -> Arc<ScalarUDF> {
    static FUNCTIONS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(functions);
    let found = FUNCTIONS.iter().find(|function| function.name() == name);
    found.map_or_else(datafusion::functions::math::abs, Arc::clone)
}

/// The functions by which plans name these operations.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = checked::functions();
    functions.extend(divide::functions());
    functions.extend(round::functions());
    functions.extend(math::functions());
    functions
}
