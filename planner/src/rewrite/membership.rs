//! `IN (SELECT …)` and `EXISTS` where they are values, not conditions of their own.
//!
//! DataFusion plans them as joins only where they are a term of WHERE; under OR and NOT its mark
//! joins forget that NULL makes NOT IN unknown (apache/datafusion#25336). Everywhere else than as
//! a term of WHERE they become functions of a scalar subquery:
//!
//! ```text
//! x IN (SELECT y FROM u)        is_member(x, (SELECT array_agg(y) FROM u))
//! EXISTS (SELECT 1 FROM u …)    (SELECT count(*) FROM u …) > 0
//! ```

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Ident, JoinConstraint, JoinOperator, Query, Select, SelectItem, SetExpr,
    UnaryOperator, Value,
};

use super::call;
use super::subqueries::{aggregate_only_item, derived, derived_aggregate, has_group};
use crate::walk::{self, Editor};

/// Rewrites the expressions of one SELECT; nested queries are visited on their own.
pub(super) fn rewrite(select: &mut Select) {
    for item in &mut select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let name = value_name(expr);
                as_value(expr, true);
                if let Some(name) = name {
                    let (expr, alias) = (expr.clone(), Ident::with_quote('"', name));
                    *item = SelectItem::ExprWithAlias { expr, alias };
                }
            }
            SelectItem::ExprWithAlias { expr, .. } => as_value(expr, true),
            _ => {}
        }
    }
    if let Some(selection) = &mut select.selection {
        as_condition(selection);
    }
    if let Some(having) = &mut select.having {
        as_value(having, true);
    }
    for table in &mut select.from {
        for join in &mut table.joins {
            if let JoinOperator::Join(JoinConstraint::On(on))
            | JoinOperator::Inner(JoinConstraint::On(on))
            | JoinOperator::Left(JoinConstraint::On(on))
            | JoinOperator::LeftOuter(JoinConstraint::On(on)) = &mut join.join_operator
            {
                as_value(on, false);
            }
        }
    }
}

/// What PostgreSQL calls an output column that is one of these expressions.
fn value_name(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::InSubquery { .. } => Some("?column?"),
        Expr::Exists { negated: false, .. } => Some("exists"),
        Expr::Exists { negated: true, .. } => Some("?column?"),
        Expr::Nested(inner) => value_name(inner),
        _ => None,
    }
}

/// Leaves the terms of WHERE as they are and rewrites what is deeper.
fn as_condition(expr: &mut Expr) {
    compare_with_set(expr);
    if let Expr::InSubquery { expr: tested, subquery, negated: false } = expr
        && let Some(exists) = super::rows::member_term(tested, subquery)
    {
        *expr = exists;
        return;
    }
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            as_condition(left);
            as_condition(right);
        }
        Expr::Nested(inner) => as_condition(inner),
        // With a constant on the left the engine's anti join forgets NULLs on the right.
        Expr::InSubquery { expr: tested, .. } if is_constant(tested) => as_value(expr, false),
        Expr::InSubquery { .. } | Expr::Exists { .. } => {}
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. }
            if matches!(right.as_ref(), Expr::Subquery(_)) => {}
        Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } if is_subquery_term(inner) => {}
        other => as_value(other, false),
    }
}

/// `x = ANY (SELECT …)` is IN, `x <> ALL (SELECT …)` is NOT IN; the subquery of another comparison
/// is hidden in a derived table, so that it is not taken for a scalar one.
fn compare_with_set(expr: &mut Expr) {
    let (left, op, right, all) = match expr {
        Expr::AnyOp { left, compare_op, right, .. } => (left, compare_op, right, false),
        Expr::AllOp { left, compare_op, right } => (left, compare_op, right, true),
        _ => return,
    };
    let right = match right.as_mut() {
        Expr::Nested(inner) if matches!(inner.as_ref(), Expr::Subquery(_)) => inner,
        _ => right,
    };
    let Expr::Subquery(query) = right.as_mut() else { return };
    let membership =
        matches!((&*op, all), (BinaryOperator::Eq, false) | (BinaryOperator::NotEq, true));
    if membership {
        let (tested, subquery) = (left.clone(), query.clone());
        *expr = Expr::InSubquery { expr: tested, subquery, negated: all };
    } else {
        let star = SelectItem::Wildcard(sqlparser::ast::WildcardAdditionalOptions::default());
        **query = *derived(query.clone(), star, &[]);
    }
}

/// `NOT x IN (…)` is read as one term too.
fn is_subquery_term(expr: &Expr) -> bool {
    match expr {
        Expr::Exists { .. } => true,
        Expr::InSubquery { expr: tested, .. } => !is_constant(tested),
        Expr::Nested(inner) => is_subquery_term(inner),
        _ => false,
    }
}

/// Whether an expression names no column.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) | Expr::TypedString(_) => true,
        Expr::Cast { expr, .. } | Expr::Nested(expr) | Expr::UnaryOp { expr, .. } => {
            is_constant(expr)
        }
        _ => false,
    }
}

/// Rewrites every IN and, if asked for, EXISTS outside of nested queries.
fn as_value(expr: &mut Expr, exists: bool) {
    let mut walker = Walker { depth: 0, exists };
    // The walker never breaks.
    let _ = walk::edit_expr(expr, &mut walker);
}

struct Walker {
    depth: usize,
    exists: bool,
}

impl Editor for Walker {
    fn enter_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn leave_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn leave_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        compare_with_set(expr);
        super::rows::rewrite(expr);
        match expr {
            Expr::InSubquery { expr: tested, subquery, negated } => {
                let list = collected(subquery);
                let test = call("is_member", vec![(**tested).clone(), list]);
                *expr = negate(test, *negated);
            }
            Expr::Exists { subquery, negated } if self.exists => {
                let count = Expr::Subquery(counted(subquery));
                let zero = Expr::value(Value::Number("0".to_owned(), false));
                let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
                *expr = Expr::Nested(Box::new(Expr::BinaryOp {
                    left: Box::new(count),
                    op,
                    right: Box::new(zero),
                }));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn negate(expr: Expr, negated: bool) -> Expr {
    if negated {
        Expr::Nested(Box::new(Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) }))
    } else {
        expr
    }
}

/// All values of a one-column query as an array.
fn collected(query: &Query) -> Expr {
    let mut query = Box::new(query.clone());
    if !aggregate_only_item(&mut query, |value| call("array_agg", vec![value])) {
        let column = Expr::Identifier(Ident::with_quote('"', "member"));
        query = derived_aggregate(query, call("array_agg", vec![column]), Some("member"));
    }
    Expr::Subquery(query)
}

/// The number of rows of a query.
fn counted(query: &Query) -> Box<Query> {
    let star = || {
        let mut count = call("count", vec![]);
        if let Expr::Function(function) = &mut count
            && let sqlparser::ast::FunctionArguments::List(list) = &mut function.args
        {
            list.args.push(sqlparser::ast::FunctionArg::Unnamed(
                sqlparser::ast::FunctionArgExpr::Wildcard,
            ));
        }
        count
    };
    let mut query = Box::new(query.clone());
    let limited = query.limit_clause.is_some() || query.fetch.is_some() || query.with.is_some();
    if let (SetExpr::Select(select), false) = (query.body.as_mut(), limited)
        && !has_group(select)
        && !select.from.is_empty()
    {
        select.projection = vec![SelectItem::UnnamedExpr(star())];
        query.order_by = None;
        return query;
    }
    derived_aggregate(query, star(), None)
}
