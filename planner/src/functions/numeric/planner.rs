//! Operators and aggregates whose result has another type than DataFusion gives it.
//!
//! This is decided while the tree becomes a plan, as every expression above depends on the type.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr, RawWindowExpr,
};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, cast};
use sqlparser::ast::BinaryOperator;

use super::divide::numeric;

/// Keeps the digits of quotients, and adds integer constants up as `integer`, not as `bigint`.
#[derive(Debug)]
pub struct NumericOperators;

impl ExprPlanner for NumericOperators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let op = match expr.op {
            BinaryOperator::Divide => Operator::Divide,
            BinaryOperator::Multiply => Operator::Multiply,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema))
        else {
            return Ok(PlannerResult::Original(expr));
        };
        let Some((function, scale)) = numeric(op, (&expr.left, &left), (&expr.right, &right))
        else {
            return Ok(PlannerResult::Original(expr));
        };
        let scale = Expr::Literal(ScalarValue::Int8(Some(scale)), None);
        let args = vec![expr.left, expr.right, scale];
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, args))))
    }

    fn plan_aggregate(
        &self,
        mut expr: RawAggregateExpr,
    ) -> Result<PlannerResult<RawAggregateExpr>> {
        if expr.func.name() == "numeric_sum" {
            narrow(&mut expr.args);
        }
        Ok(PlannerResult::Original(expr))
    }

    fn plan_window(&self, mut expr: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        if expr.func_def.name() == "numeric_sum" {
            narrow(&mut expr.args);
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// `sum(CASE … THEN 1 ELSE 0 END)` is a `bigint`, as the constants are integers.
fn narrow(args: &mut [Expr]) {
    if let [arg] = args
        && is_small(arg) == Some(true)
    {
        let inner = std::mem::replace(arg, Expr::Literal(ScalarValue::Null, None));
        *arg = cast(inner, DataType::Int32);
    }
}

/// Whether all values are constants that `integer` holds; `None` for NULL, which fits any type.
fn is_small(expr: &Expr) -> Option<bool> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => Some(i32::try_from(*value).is_ok()),
        Expr::Literal(value, _) if value.is_null() => None,
        Expr::Negative(inner) => is_small(inner),
        Expr::Alias(alias) => is_small(&alias.expr),
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            let results = results.chain(case.else_expr.as_deref());
            let mut small = None;
            for result in results {
                match is_small(result) {
                    Some(true) => small = Some(true),
                    Some(false) => return Some(false),
                    None => {}
                }
            }
            small
        }
        _ => Some(false),
    }
}

/// The planner to add to DataFusion's.
#[must_use]
pub fn planner() -> Arc<dyn ExprPlanner> {
    Arc::new(NumericOperators)
}
