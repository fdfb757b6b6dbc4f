//! What is above a column that has turned out to be a float.
//!
//! ```text
//! SELECT x / 2 FROM (SELECT 1.5 AS x UNION ALL SELECT d …)
//!     numeric_div(x, 2)   ->   x / 2      x was numeric while the operator was planned
//! ```

use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

use crate::chain_type::type_of;
use crate::widening::{meet, to_double};

/// Whether a column is a float that was none before.
pub(super) fn has_new_float(before: &DFSchema, after: &DFSchema) -> bool {
    let is_float = |field: &Arc<Field>| field.data_type().is_floating();
    let mut pairs = before.fields().iter().zip(after.fields());
    pairs.any(|(before, after)| is_float(after) && !is_float(before))
}

/// A node with the types that its inputs have now.
pub(super) fn schema(plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Distinct(_) => plan.recompute_schema(),
        plan => Ok(plan),
    }
}

/// Whether an expression was planned by the types of its operands.
pub(super) fn is_typed(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(binary) => is_numeric(binary.op),
        Expr::ScalarFunction(call) => operator(call.name()).is_some(),
        _ => false,
    }
}

fn is_numeric(op: Operator) -> bool {
    use Operator as O;
    let arithmetic = matches!(op, O::Plus | O::Minus | O::Multiply | O::Divide | O::Modulo);
    let distinct = matches!(op, O::IsDistinctFrom | O::IsNotDistinctFrom);
    arithmetic || distinct || matches!(op, O::Eq | O::NotEq | O::Lt | O::LtEq | O::Gt | O::GtEq)
}

/// The operator that a function over decimals stands for.
fn operator(function: &str) -> Option<Operator> {
    match function {
        "numeric_div" => Some(Operator::Divide),
        "numeric_mul" => Some(Operator::Multiply),
        _ => None,
    }
}

/// Plans an operator again.
pub(super) fn expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(binary) if is_numeric(binary.op) => {
            let types = (type_of(&binary.left, schema), type_of(&binary.right, schema));
            let (Ok(of_left), Ok(of_right)) = types else {
                return Ok(Transformed::no(Expr::BinaryExpr(binary)));
            };
            if !meet(&of_left, &of_right) {
                return Ok(Transformed::no(Expr::BinaryExpr(binary)));
            }
            let BinaryExpr { left, op, right } = binary;
            let (left, right) = (to_double(*left, &of_left), to_double(*right, &of_right));
            let binary = BinaryExpr::new(Box::new(left), op, Box::new(right));
            Ok(Transformed::yes(Expr::BinaryExpr(binary)))
        }
        Expr::ScalarFunction(mut call) => {
            let Some(op) = operator(call.name()) else {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            };
            let [left, right, ..] = call.args.as_mut_slice() else {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            };
            let types = (type_of(left, schema)?, type_of(right, schema)?);
            if !(types.0.is_floating() || types.1.is_floating()) {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            }
            let left = to_double(std::mem::take(left), &types.0);
            let right = to_double(std::mem::take(right), &types.1);
            let binary = BinaryExpr::new(Box::new(left), op, Box::new(right));
            Ok(Transformed::yes(Expr::BinaryExpr(binary)))
        }
        expr => Ok(Transformed::no(expr)),
    }
}
