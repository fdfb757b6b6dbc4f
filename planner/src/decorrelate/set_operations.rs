//! EXCEPT ALL and INTERSECT ALL.
//!
//! DataFusion plans them as anti and semi joins, which do not count how often a row occurs on
//! either side. Equal rows are numbered, and the number is one more key:
//!
//! ```text
//! a EXCEPT ALL b      =>  a anti join b on all columns and the number among equal rows
//! a INTERSECT ALL b   =>  a semi join b on the same
//! ```

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, NullEquality, Result};
use datafusion::logical_expr::{
    Distinct, Expr, ExprFunctionExt, Join, JoinConstraint, LogicalPlan, Window,
};
use datafusion::optimizer::AnalyzerRule;

use super::restrict;

/// Numbers the rows of both sides.
///
/// It must run before [`super::Decorrelate`], which makes joins of the same form.
#[derive(Debug)]
pub(crate) struct CountedSetOperations;

impl AnalyzerRule for CountedSetOperations {
    fn name(&self) -> &'static str {
        "counted_set_operations"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Join(join) if is_counted(&join) => count(join).map(Transformed::yes),
            other => Ok(Transformed::no(other)),
        })
        .map(|result| result.data)
    }
}

/// The planner makes such joins for set operations only; without ALL the left side is distinct.
fn is_counted(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftAnti | JoinType::LeftSemi)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.on.len() == join.left.schema().fields().len()
        && join.filter.is_none()
        && !is_distinct(&join.left)
}

fn is_distinct(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Distinct(Distinct::All(_)) => true,
        // Type coercion casts, and sides with equal names get aliases.
        LogicalPlan::Projection(projection) => is_distinct(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_distinct(&alias.input),
        _ => false,
    }
}

fn count(join: Join) -> Result<LogicalPlan> {
    const LEFT: &str = "\u{1}left_number";
    const RIGHT: &str = "\u{1}right_number";
    let columns = join.schema.columns();
    let (left_keys, right_keys): (Vec<Expr>, Vec<Expr>) = join.on.into_iter().unzip();
    let left = numbered(join.left, left_keys.clone(), LEFT)?;
    let right = numbered(join.right, right_keys.clone(), RIGHT)?;
    let number = |name: &str| Expr::Column(Column::new_unqualified(name));
    let on = left_keys.into_iter().zip(right_keys).chain([(number(LEFT), number(RIGHT))]);
    let plan = LogicalPlan::Join(Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on.collect(),
        None,
        join.join_type,
        JoinConstraint::On,
        NullEquality::NullEqualsNull,
        false,
    )?);
    restrict(plan, &columns)
}

fn numbered(plan: Arc<LogicalPlan>, keys: Vec<Expr>, name: &str) -> Result<LogicalPlan> {
    let number = datafusion::functions_window::row_number::row_number()
        .partition_by(keys)
        .build()?
        .alias(name);
    Ok(LogicalPlan::Window(Window::try_new(vec![number], plan)?))
}
