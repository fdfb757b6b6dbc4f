//! The types of parameters that DataFusion does not infer: `$1::date` is a date and `LIMIT $1` a
//! number, as in PostgreSQL.
//!
//! Drivers that ask for the types of parameters before they send values depend on it: asyncpg and
//! the Flight SQL JDBC driver refuse to bind a date where text is expected.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Returns the types of parameters that stand below a cast, or behind LIMIT and OFFSET.
pub(crate) fn parameter_hints(plan: &LogicalPlan) -> HashMap<String, DataType> {
    let mut found = HashMap::new();
    // The walk itself never fails.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            for count in [&limit.skip, &limit.fetch].into_iter().flatten() {
                if let Expr::Placeholder(parameter) = count.as_ref() {
                    found.entry(parameter.id.clone()).or_insert(DataType::Int64);
                }
            }
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Cast(cast) = expr
                    && let Expr::Placeholder(parameter) = cast.expr.as_ref()
                {
                    let data_type = cast.field.data_type().clone();
                    found.entry(parameter.id.clone()).or_insert(data_type);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    found
}
