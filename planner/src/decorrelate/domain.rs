//! The combinations of outer values for which a subquery is computed.

use std::sync::Arc;

use datafusion::common::{Column, DFSchema, JoinType, Result, not_impl_err};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Distinct, Expr, Filter, LogicalPlan, Projection};

use super::free::Free;
use super::{has, has_subquery};

/// The outer columns of a subquery, with names of their own, and where their values come from.
pub(super) struct Domain {
    /// The outer columns; at the same place in `names` what they are called in the domain.
    pub(super) columns: Vec<Free>,
    pub(super) names: Vec<String>,
    source: LogicalPlan,
}

impl Domain {
    /// The domain of a subquery that uses `free` inside of a node over `input`.
    pub(super) fn new(input: &LogicalPlan, free: Vec<Free>, prefix: &str) -> Self {
        let columns: Vec<Free> =
            free.into_iter().filter(|(column, _)| has(input.schema(), column)).collect();
        let names = (0..columns.len()).map(|at| format!("{prefix}d{at}")).collect();
        let plain: Vec<&Column> = columns.iter().map(|(column, _)| column).collect();
        let source = if plain.is_empty() { input.clone() } else { source(input, &plain) };
        Self { columns, names, source }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The name of an outer column in the domain.
    pub(super) fn name_of(&self, column: &Column) -> Option<&str> {
        let at = self.columns.iter().position(|(known, _)| known == column)?;
        self.names.get(at).map(String::as_str)
    }

    /// The columns of the domain as expressions.
    pub(super) fn exprs(&self) -> Vec<Expr> {
        self.names.iter().map(|name| Expr::Column(Column::new_unqualified(name))).collect()
    }

    /// Whether no outer value can be NULL.
    pub(super) fn not_null(&self) -> bool {
        self.columns.iter().all(|(column, _)| {
            self.source
                .schema()
                .qualified_field_from_column(column)
                .is_ok_and(|(_, field)| !field.is_nullable())
        })
    }

    /// One row for each combination of outer values; maybe for some more.
    pub(super) fn plan(&self) -> Result<LogicalPlan> {
        if is_volatile(&self.source)? {
            return not_impl_err!(
                "a correlated subquery over columns that are random for each row"
            );
        }
        let exprs = self.columns.iter().zip(&self.names);
        let exprs = exprs.map(|((column, _), name)| Expr::Column(column.clone()).alias(name));
        let projection = Projection::try_new(exprs.collect(), Arc::new(self.source.clone()))?;
        Ok(LogicalPlan::Distinct(Distinct::All(Arc::new(LogicalPlan::Projection(projection)))))
    }
}

/// A part of a plan that has all values that some of its columns take in the whole.
///
/// What it leaves out must not be computed twice, or need not: joins with other relations, limits
/// that may cut off other rows the second time.
fn source(plan: &LogicalPlan, columns: &[&Column]) -> LogicalPlan {
    let all = |schema: &DFSchema| columns.iter().all(|column| has(schema, column));
    match plan {
        LogicalPlan::Limit(limit) => source(&limit.input, columns),
        LogicalPlan::Sort(sort) => source(&sort.input, columns),
        LogicalPlan::Window(window) if all(window.input.schema()) => source(&window.input, columns),
        // What only passes columns on, as the joins of other subqueries do.
        LogicalPlan::Projection(projection)
            if columns.iter().all(|column| {
                let passed = |expr: &Expr| matches!(expr, Expr::Column(own) if own == *column);
                projection.expr.iter().any(passed)
            }) =>
        {
            source(&projection.input, columns)
        }
        LogicalPlan::Filter(filter) => {
            let input = source(&filter.input, columns);
            let terms = split_conjunction(&filter.predicate).into_iter().filter(|term| {
                !has_subquery(term)
                    && !term.is_volatile()
                    && term.column_refs().into_iter().all(|column| has(input.schema(), column))
            });
            let predicate = terms.cloned().reduce(Expr::and);
            let filtered = predicate
                .and_then(|predicate| Filter::try_new(predicate, Arc::new(input.clone())).ok());
            filtered.map_or(input, LogicalPlan::Filter)
        }
        LogicalPlan::Join(join) => {
            let left = matches!(
                join.join_type,
                JoinType::Inner
                    | JoinType::Left
                    | JoinType::LeftSemi
                    | JoinType::LeftAnti
                    | JoinType::LeftMark
            );
            if left && all(join.left.schema()) {
                return source(&join.left, columns);
            }
            let right = matches!(
                join.join_type,
                JoinType::Inner
                    | JoinType::Right
                    | JoinType::RightSemi
                    | JoinType::RightAnti
                    | JoinType::RightMark
            );
            if right && all(join.right.schema()) {
                return source(&join.right, columns);
            }
            plan.clone()
        }
        other => other.clone(),
    }
}

/// Whether computing a plan twice gives two answers.
fn is_volatile(plan: &LogicalPlan) -> Result<bool> {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    plan.exists(|node| {
        let mut volatile = false;
        node.apply_expressions(|expr| {
            volatile = volatile || expr.is_volatile();
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(volatile)
    })
}
