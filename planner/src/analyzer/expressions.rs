//! The walk over a node's expressions that the rules share.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::utils::NamePreserver;

/// The columns that a node's expressions name: those of its inputs, and of a scan's source.
pub(super) fn input_schema(plan: &LogicalPlan) -> Result<DFSchema> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = plan {
        let source =
            DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        schema.merge(&source);
    }
    Ok(schema)
}

/// Rewrites the expressions of a node, each from its leaves up; outputs keep their names.
///
/// The node's own schema stays as it was: the caller computes it anew where types may change.
pub(crate) fn map_named(
    plan: LogicalPlan,
    rewrite: impl FnMut(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    map_named_where(plan, |_| true, rewrite)
}

/// As [`map_named`], for the expressions that a rule is about.
pub(super) fn map_named_where(
    plan: LogicalPlan,
    concerns: impl Fn(&Expr) -> bool,
    mut rewrite: impl FnMut(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        if !concerns(&expr) {
            return Ok(Transformed::no(expr));
        }
        let name = names.save(&expr);
        let result = expr.transform_up(&mut rewrite)?;
        Ok(if result.transformed { result.update_data(|expr| name.restore(expr)) } else { result })
    })
}
