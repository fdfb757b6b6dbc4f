//! The outer columns that a plan uses.

use std::collections::HashSet;

use arrow::datatypes::FieldRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// A column of an outer query.
pub(super) type Free = (Column, FieldRef);

/// The outer columns of a plan, once each; those that its own nodes provide to their subqueries
/// are not among them.
pub(super) fn columns(plan: &LogicalPlan) -> Result<Vec<Free>> {
    let mut found = Found::default();
    collect(plan, &mut found)?;
    Ok(found.columns)
}

/// The same as expressions.
pub(super) fn references(plan: &LogicalPlan) -> Result<Vec<Expr>> {
    let columns = columns(plan)?.into_iter();
    Ok(columns.map(|(column, field)| Expr::OuterReferenceColumn(field, column)).collect())
}

/// The outer columns of the subqueries of an expression, and its own.
pub(super) fn columns_of_expr(expr: &Expr) -> Result<Vec<Free>> {
    let mut found = Found::default();
    collect_expr(expr, &DFSchema::empty(), &mut found)?;
    Ok(found.columns)
}

#[derive(Default)]
struct Found {
    seen: HashSet<Column>,
    columns: Vec<Free>,
}

impl Found {
    fn add(&mut self, column: &Column, field: &FieldRef) {
        if self.seen.insert(column.clone()) {
            self.columns.push((column.clone(), FieldRef::clone(field)));
        }
    }
}

fn collect(plan: &LogicalPlan, found: &mut Found) -> Result<()> {
    plan.apply(|node| {
        let mut schema = None;
        node.apply_expressions(|expr| {
            // Most nodes have no subqueries and need no schema.
            if schema.is_none() && super::has_subquery(expr) {
                schema = Some(merge_schema(&node.inputs()));
            }
            let empty = DFSchema::empty();
            collect_expr(expr, schema.as_ref().unwrap_or(&empty), found)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn collect_expr(expr: &Expr, local: &DFSchema, found: &mut Found) -> Result<()> {
    expr.apply(|expr| {
        let subquery = match expr {
            Expr::OuterReferenceColumn(field, column) => {
                found.add(column, field);
                return Ok(TreeNodeRecursion::Continue);
            }
            Expr::ScalarSubquery(subquery) => subquery,
            Expr::Exists(exists) => &exists.subquery,
            Expr::InSubquery(test) => &test.subquery,
            Expr::SetComparison(test) => &test.subquery,
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        for (column, field) in columns(&subquery.subquery)? {
            if !super::has(local, &column) {
                found.add(&column, &field);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}
