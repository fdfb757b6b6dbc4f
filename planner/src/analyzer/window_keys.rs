//! Keys of windows whose types the engine has no ranges of.
//!
//! ```text
//! rank() OVER (ORDER BY id)      uuid, bytea, jsonb      rank() OVER (ORDER BY window_key(id))
//! rank() OVER (ORDER BY i)       interval                rank() OVER (ORDER BY interval_order(i))
//! ```
//! A frame without bounds of its own asks for equal keys only, and texts in the same order have
//! them. It runs before type coercion, which refuses the other types.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, ScalarUDF, WindowFrame, WindowFrameBound, WindowFrameUnits,
};
use datafusion::optimizer::AnalyzerRule;
use tarn_catalog::pg_type::{Json, json_kind};

use super::expressions::{input_schema, map_named_where};
use crate::functions::datetime::operators::INTERVAL_ORDER;
use crate::functions::window_key;

/// Gives keys of windows a type that the engine has ranges of.
#[derive(Debug, Default)]
pub struct WindowKeys;

impl AnalyzerRule for WindowKeys {
    fn name(&self) -> &'static str {
        "window_keys"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite_plan).map(|result| result.data)
    }
}

fn rewrite_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if !matches!(plan, LogicalPlan::Window(_)) {
        return Ok(Transformed::no(plan));
    }
    let schema = input_schema(&plan)?;
    let result = map_named_where(
        plan,
        |_| true,
        |expr| {
            let Expr::WindowFunction(mut window) = expr else { return Ok(Transformed::no(expr)) };
            let plain = is_plain(&window.params.window_frame);
            let mut changed = false;
            if let Some(key) = window.params.order_by.first_mut()
                && plain
                && let Ok(data_type) = key.expr.get_type(&schema)
                && let Some(function) = key_function(&data_type)
            {
                let value =
                    std::mem::replace(&mut key.expr, Expr::Literal(ScalarValue::Null, None));
                let call = ScalarFunction::new_udf(function, vec![value]);
                key.expr = Expr::ScalarFunction(call);
                changed = true;
            }
            Ok(Transformed::new_transformed(Expr::WindowFunction(window), changed))
        },
    )?;
    if result.transformed { result.map_data(LogicalPlan::recompute_schema) } else { Ok(result) }
}

/// Whether a frame is one of ranges without distances.
fn is_plain(frame: &WindowFrame) -> bool {
    let plain = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) => value.is_null(),
        WindowFrameBound::CurrentRow => true,
    };
    frame.units == WindowFrameUnits::Range && plain(&frame.start_bound) && plain(&frame.end_bound)
}

/// What makes a key of a type that the engine has no ranges of.
fn key_function(data_type: &DataType) -> Option<Arc<ScalarUDF>> {
    match data_type {
        DataType::Interval(_) => Some(Arc::clone(&INTERVAL_ORDER)),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => Some(Arc::clone(&window_key::FUNCTION)),
        other if json_kind(other) == Some(Json::Binary) => Some(Arc::clone(&window_key::FUNCTION)),
        _ => None,
    }
}
