//! Which plans can be used again.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::scalar::ScalarValue;

/// Whether a plan can be used again: it calls nothing whose value changes between statements.
pub(super) fn is_reusable(plan: &LogicalPlan) -> bool {
    let mut reusable = true;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarFunction(function) = expr
                    && function.func.signature().volatility != Volatility::Immutable
                {
                    reusable = false;
                    return Ok(TreeNodeRecursion::Stop);
                }
                // Also inside of a view, where the statement's text does not have it.
                if let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = expr
                    && names_a_moment(text)
                {
                    reusable = false;
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    reusable && walked.is_ok()
}

/// Whether a text has one of the words that dates and times read as a moment of now: `'today'`.
pub(super) fn names_a_moment(text: &str) -> bool {
    const WORDS: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.any(|word| WORDS.iter().any(|moment| word.eq_ignore_ascii_case(moment)))
}
