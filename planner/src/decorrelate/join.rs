//! LATERAL, and subqueries in ON.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, Result, not_impl_err};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, Projection};

use super::push::or_default;
use super::value::{as_inner, attach};
use super::{Rewriter, free, has, has_subquery, named, restrict};

impl Rewriter {
    pub(super) fn join(&mut self, join: Join, changed: bool) -> Result<Transformed<LogicalPlan>> {
        let outer = free::columns(&join.right)?;
        let lateral = outer.iter().any(|(column, _)| has(join.left.schema(), column));
        let in_filter = join.filter.as_ref().is_some_and(has_subquery);
        if !lateral && !in_filter {
            return Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed));
        }
        let plan = if in_filter { self.join_filter(join)? } else { self.lateral(join)? };
        Ok(Transformed::yes(plan))
    }

    fn lateral(&mut self, join: Join) -> Result<LogicalPlan> {
        if !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
            return not_impl_err!("{} JOIN LATERAL", join.join_type);
        }
        let schema = Arc::clone(&join.schema);
        let columns = schema.columns();
        let right_schema = Arc::clone(join.right.schema());
        let left = Arc::unwrap_or_clone(join.left);
        let keys = join.on.iter().cloned().map(|(left, right)| left.eq(right));
        let condition = conjunction(keys.chain(join.filter).filter(|term| !is_true(term)));
        let marker = self.fresh();
        let side = self.side(&left, Arc::unwrap_or_clone(join.right), Some(&marker))?;
        let Some(defaults) = side.defaults.clone() else {
            let joined = attach(left, side, join.join_type, condition)?;
            return restrict(joined, &columns);
        };
        // The right side has one row for each on the left.
        if join.join_type == JoinType::Left && condition.is_some() {
            return not_impl_err!("LEFT JOIN LATERAL of an aggregate with a condition");
        }
        let left_columns = left.schema().columns().into_iter().map(Expr::Column);
        let mut items: Vec<Expr> = left_columns.collect();
        let joined = attach(left, side, JoinType::Left, None)?;
        let missing = Expr::Column(Column::new_unqualified(&marker)).is_null();
        for ((qualifier, field), default) in right_schema.iter().zip(defaults) {
            let column = Expr::Column(Column::from((qualifier, field)));
            let value = or_default(&missing, as_inner(default)?, column)?;
            items.push(named(value, qualifier, field.name()));
        }
        let plan = LogicalPlan::Projection(Projection::try_new(items, Arc::new(joined))?);
        match condition {
            Some(condition) => Ok(LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?)),
            None => Ok(plan),
        }
    }

    /// Subqueries of an inner join's ON are conditions on its rows; those of an outer join's are
    /// computed on the side that has their outer columns.
    fn join_filter(&mut self, mut join: Join) -> Result<LogicalPlan> {
        let columns = join.schema.columns();
        let filter = join.filter.take().map(split_conjunction_owned).unwrap_or_default();
        let (terms, plain): (Vec<_>, Vec<_>) = filter.into_iter().partition(has_subquery);
        join.filter = conjunction(plain);
        if join.join_type == JoinType::Inner {
            let plan = self.join(join, true)?.data;
            let predicate = conjunction(terms);
            let Some(predicate) = predicate else { return Ok(plan) };
            let filter = Filter::try_new(predicate, Arc::new(plan))?;
            return self.filter(filter);
        }
        let mut left = Some(Arc::unwrap_or_clone(join.left));
        let mut right = Some(Arc::unwrap_or_clone(join.right));
        let mut conditions: Vec<Expr> = join.filter.into_iter().collect();
        for term in terms {
            let outer = free::columns_of_expr(&term)?;
            let of = |side: &Option<LogicalPlan>| {
                side.as_ref().is_some_and(|side| {
                    outer.iter().any(|(column, _)| has(side.schema(), column))
                        || tested_columns(&term).iter().any(|column| has(side.schema(), column))
                })
            };
            let side = match (of(&left), of(&right)) {
                (true, true) => {
                    return not_impl_err!(
                        "a subquery in ON of an outer join over columns of both sides"
                    );
                }
                (false, true) => &mut right,
                _ => &mut left,
            };
            conditions.push(self.values(term, side, false)?);
        }
        let plan = LogicalPlan::Join(Join::try_new(
            Arc::new(super::taken(left)?),
            Arc::new(super::taken(right)?),
            join.on,
            conjunction(conditions),
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?);
        restrict(plan, &columns)
    }
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(datafusion::common::ScalarValue::Boolean(Some(true)), _))
}

/// The columns that IN and comparisons with sets test, which must be on the subquery's side.
fn tested_columns(expr: &Expr) -> Vec<Column> {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    let mut found = Vec::new();
    // The closure does not fail.
    let _ = expr.apply(|expr| {
        let tested = match expr {
            Expr::InSubquery(test) => Some(&test.expr),
            Expr::SetComparison(test) => Some(&test.expr),
            _ => None,
        };
        found.extend(tested.into_iter().flat_map(|tested| tested.column_refs()).cloned());
        Ok(TreeNodeRecursion::Continue)
    });
    found
}
