//! Operators and casts on numbers.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use super::expressions::{input_schema, map_named};
use crate::functions::numeric::checked::checked;
use crate::functions::numeric::math::pin;
use crate::functions::numeric::round::rounding_cast;
use crate::functions::numeric::to_numeric::numeric_cast;
use crate::functions::similar_to::similar_to;

/// Replaces operators and casts that DataFusion evaluates otherwise than PostgreSQL.
#[derive(Debug, Default)]
pub struct PostgresArithmetic;

impl AnalyzerRule for PostgresArithmetic {
    fn name(&self) -> &'static str {
        "postgres_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite_plan).map(|result| result.data)
    }
}

fn rewrite_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&plan)?;
    let result = map_named(plan, |expr| rewrite(expr, &schema))?;
    // Types may have changed below as well as here.
    result.map_data(LogicalPlan::recompute_schema)
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(binary) => rewrite_binary(binary, schema),
        Expr::Cast(cast) => {
            let from = cast.expr.get_type(schema)?;
            let to = cast.field.data_type();
            match rounding_cast(&from, to).or_else(|| numeric_cast(&from, to)) {
                Some(function) => Ok(call(function, vec![*cast.expr])),
                None => Ok(Transformed::no(Expr::Cast(cast))),
            }
        }
        Expr::Negative(inner) => {
            let data_type = inner.get_type(schema)?;
            match checked(Operator::Minus, &data_type) {
                Some(function)
                    if data_type.is_integer() && !matches!(*inner, Expr::Literal(..)) =>
                {
                    let zero = Expr::Literal(ScalarValue::new_zero(&data_type)?, None);
                    Ok(call(function, vec![zero, *inner]))
                }
                _ => Ok(Transformed::no(Expr::Negative(inner))),
            }
        }
        Expr::ScalarFunction(call) => {
            let (call, pinned) = pin(call, schema)?;
            let expr = Expr::ScalarFunction(call);
            Ok(if pinned { Transformed::yes(expr) } else { Transformed::no(expr) })
        }
        Expr::SimilarTo(like) => Ok(similar_to(like)),
        expr => Ok(Transformed::no(expr)),
    }
}

fn rewrite_binary(binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    use Operator::{Divide, Minus, Multiply, Plus};
    if !matches!(binary.op, Plus | Minus | Multiply | Divide) {
        return Ok(Transformed::no(Expr::BinaryExpr(binary)));
    }
    let left = binary.left.get_type(schema)?;
    if left == binary.right.get_type(schema)?
        && let Some(function) = checked(binary.op, &left)
    {
        return Ok(call(function, vec![*binary.left, *binary.right]));
    }
    Ok(Transformed::no(Expr::BinaryExpr(binary)))
}

fn call(function: Arc<ScalarUDF>, args: Vec<Expr>) -> Transformed<Expr> {
    Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function, args)))
}
