//! IN lists whose elements are not constant become comparisons.
//!
//! ```text
//! x IN (1, coalesce(b, 7))      ->  x = 1 OR x = coalesce(b, 7)
//! x NOT IN (1, b)               ->  NOT (x = 1 OR x = b)
//! ```
//!
//! The engine takes an element for constant when it evaluates to one value over no rows, which
//! also CASE and coalesce do, and compares with that value from then on. Runs behind type
//! coercion, so that all operands have one type, and behind the subqueries' rule, whose results
//! are columns.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, lit};
use datafusion::optimizer::AnalyzerRule;

use super::expressions::map_named;

/// Writes IN lists over anything but constants as comparisons.
#[derive(Debug, Default)]
pub struct InListsOfExpressions;

impl AnalyzerRule for InListsOfExpressions {
    fn name(&self) -> &'static str {
        "in_lists_of_expressions"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite_plan).map(|result| result.data)
    }
}

fn rewrite_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    map_named(plan, rewrite)
}

#[expect(clippy::unnecessary_wraps, reason = "the tree's walk asks for a result")]
fn rewrite(expr: Expr) -> Result<Transformed<Expr>> {
    match expr {
        Expr::InList(list) if list.list.iter().any(|element| !is_constant(element)) => {
            Ok(Transformed::yes(expand(list)))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

/// Whether an element has one value for all rows.
fn is_constant(element: &Expr) -> bool {
    let varies = element.exists(|part| {
        Ok(match part {
            Expr::Column(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::ScalarSubquery(_)
            | Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::AggregateFunction(_)
            | Expr::WindowFunction(_) => true,
            part => part.is_volatile_node(),
        })
    });
    matches!(varies, Ok(false))
}

fn expand(list: InList) -> Expr {
    let InList { expr, list, negated } = list;
    let terms = list.into_iter().map(|element| compare(expr.as_ref().clone(), element)).collect();
    let chain = balanced(terms);
    if negated { Expr::Not(Box::new(chain)) } else { chain }
}

fn compare(left: Expr, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::Eq, Box::new(right)))
}

/// The terms in a tree that is no deeper than it has to be: plans are walked recursively.
fn balanced(mut terms: Vec<Expr>) -> Expr {
    if terms.len() > 1 {
        let right = balanced(terms.split_off(terms.len() / 2));
        let left = balanced(terms);
        return Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::Or, Box::new(right)));
    }
    terms.pop().unwrap_or_else(|| lit(false))
}
