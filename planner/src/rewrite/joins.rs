//! Marks joins with merged columns for [`crate::using`].

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, OrderByKind, Query, Select, SelectItem, SetExpr,
    TableAlias, TableFactor, TableWithJoins,
};

use crate::using::{KEEP, MARK};
use crate::walk::{self, Reader};

/// Wraps every join by USING or NATURAL, with all joins before it, into one marked relation.
pub(super) fn rewrite(query: &mut Query, n_marks: &mut usize) {
    if !has_merged(&query.body) {
        return;
    }
    let keep = order_names(query) || names_relations(&query.body);
    mark_body(&mut query.body, keep, n_marks);
}

fn has_merged(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.from.iter().any(has_merged_join),
        SetExpr::SetOperation { left, right, .. } => has_merged(left) || has_merged(right),
        _ => false,
    }
}

fn has_merged_join(tables: &TableWithJoins) -> bool {
    let nested = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => has_merged_join(table_with_joins),
        _ => false,
    };
    nested(&tables.relation)
        || tables.joins.iter().any(|join| is_merged(&join.join_operator) || nested(&join.relation))
}

fn is_merged(operator: &JoinOperator) -> bool {
    let constraint = match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => constraint,
        _ => return false,
    };
    matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural)
}

fn mark_body(body: &mut SetExpr, keep: bool, n_marks: &mut usize) {
    match body {
        SetExpr::Select(select) => mark_select(select, keep, n_marks),
        SetExpr::SetOperation { left, right, .. } => {
            mark_body(left, keep, n_marks);
            mark_body(right, keep, n_marks);
        }
        _ => {}
    }
}

fn mark_select(select: &mut Select, keep: bool, n_marks: &mut usize) {
    for tables in &mut select.from {
        mark_tables(tables, keep, n_marks);
    }
}

fn mark_tables(tables: &mut TableWithJoins, keep: bool, n_marks: &mut usize) {
    mark_nested(&mut tables.relation, keep, n_marks);
    for join in &mut tables.joins {
        mark_nested(&mut join.relation, keep, n_marks);
    }
    let mut at = 0;
    while let Some(join) = tables.joins.get(at) {
        if !is_merged(&join.join_operator) {
            at += 1;
            continue;
        }
        *n_marks += 1;
        let end = if keep { KEEP } else { "" };
        let alias = TableAlias {
            explicit: true,
            name: Ident::with_quote('"', format!("{MARK}{n_marks}{end}")),
            columns: vec![],
            at: None,
        };
        let rest = tables.joins.split_off(at + 1);
        let joins = std::mem::replace(&mut tables.joins, rest);
        let inner = TableWithJoins { relation: tables.relation.clone(), joins };
        tables.relation =
            TableFactor::NestedJoin { table_with_joins: Box::new(inner), alias: Some(alias) };
        at = 0;
    }
}

fn mark_nested(factor: &mut TableFactor, keep: bool, n_marks: &mut usize) {
    if let TableFactor::NestedJoin { table_with_joins, alias } = factor {
        // Behind an alias the merged columns cannot be named.
        mark_tables(table_with_joins, keep && alias.is_none(), n_marks);
    }
}

/// Whether a query names columns with their relations, so that `l.k` may be one of them.
fn names_relations(body: &SetExpr) -> bool {
    let wildcard = match body {
        SetExpr::Select(select) => {
            select.projection.iter().any(|item| matches!(item, SelectItem::QualifiedWildcard(..)))
        }
        _ => false,
    };
    wildcard || walk::read_set_expr(body, &mut Qualified).is_break()
}

fn order_names(query: &Query) -> bool {
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_ref().map(|order| &order.kind)
    else {
        return false;
    };
    keys.iter().any(|key| walk::read_expr(&key.expr, &mut Qualified).is_break())
}

struct Qualified;

impl Reader for Qualified {
    fn enter_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}
