//! Guards around rules of the optimizer that forget that a join takes NULLs for equal.
//!
//! The joins of [`super`] on the domain's columns match NULL with NULL
//! (`NullEquality::NullEqualsNull`), and so do those of `IS NOT DISTINCT FROM`, INTERSECT and
//! EXCEPT. `ExtractEquijoinPredicate` adds keys of `=` to the keys of such a join, and
//! `EliminateCrossJoin` applies the kind of one join to the keys of all: `NULL = NULL` would hold.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, NullEquality, Result};
use datafusion::logical_expr::utils::{
    conjunction, find_valid_equijoin_key_pair, split_conjunction_owned,
};
use datafusion::logical_expr::{BinaryExpr, Expr, Join, LogicalPlan, Operator};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// Puts the guards into a list of rules.
pub(crate) fn guard(rules: Vec<Rule>) -> Vec<Rule> {
    let mut guarded: Vec<Rule> = Vec::with_capacity(rules.len() + 1);
    for rule in rules {
        match rule.name() {
            "extract_equijoin_predicate" => {
                guarded.push(Arc::new(NullsAreNotEqual));
                guarded.push(rule);
            }
            "eliminate_cross_join" => guarded.push(Arc::new(UnlessNullsAreEqual { rule })),
            _ => guarded.push(rule),
        }
    }
    guarded
}

/// Adds `a IS NOT NULL` to `a = b` in joins that take NULLs for equal.
#[derive(Debug)]
struct NullsAreNotEqual;

impl OptimizerRule for NullsAreNotEqual {
    fn name(&self) -> &'static str {
        "nulls_are_not_equal"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        if join.null_equality != NullEquality::NullEqualsNull || join.on.is_empty() {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let Some(filter) = join.filter.take() else {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        };
        let terms = split_conjunction_owned(filter);
        let mut guards = Vec::new();
        for term in &terms {
            if let Some(key) = equal_key(term, &join)? {
                guards.push(key.is_not_null());
            }
        }
        let changed = !guards.is_empty();
        join.filter = conjunction(terms.into_iter().chain(guards));
        Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed))
    }
}

/// The left operand of a term that would become a key of the join.
fn equal_key(term: &Expr, join: &Join) -> Result<Option<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = term else {
        return Ok(None);
    };
    let pair = find_valid_equijoin_key_pair(left, right, join.left.schema(), join.right.schema())?;
    Ok(pair.map(|(key, _)| key))
}

/// A rule that is left out for plans with an inner join that takes NULLs for equal.
#[derive(Debug)]
struct UnlessNullsAreEqual {
    rule: Rule,
}

impl OptimizerRule for UnlessNullsAreEqual {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.rule.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let concerned = plan.exists(|node| {
            Ok(matches!(node, LogicalPlan::Join(join)
                if join.join_type == JoinType::Inner
                    && join.null_equality == NullEquality::NullEqualsNull))
        })?;
        if concerned { Ok(Transformed::no(plan)) } else { self.rule.rewrite(plan, config) }
    }
}
