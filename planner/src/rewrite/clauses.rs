//! Clauses of a SELECT that the planner below reads otherwise or not at all.
//!
//! | before | after |
//! |---|---|
//! | `GROUP BY ()`, `HAVING true` | `HAVING count(*) >= 0 AND …`, which makes one group |
//! | `GROUP BY ROLLUP (1, (a, b))` | the outputs in the places of their numbers |
//! | `WINDOW w2 AS (w1 ORDER BY x)`, `OVER (w1 …)` | what `w1` says written out |

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    NamedWindowDefinition, NamedWindowExpr, Query, Select, SelectItem, Value, WindowFrameBound,
    WindowSpec, WindowType,
};

use super::call;
use super::subqueries::has_aggregate;
use crate::statement::fold;
use crate::walk::{self, Editor};

/// Rewrites the clauses of one SELECT.
pub(super) fn rewrite(select: &mut Select) {
    group(select);
    windows(select);
}

fn group(select: &mut Select) {
    let outputs: Vec<Option<Expr>> = select
        .projection
        .iter()
        .map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                Some(expr.clone())
            }
            _ => None,
        })
        .collect();
    let mut one_group = false;
    let mut grouped = true;
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        one_group = keys.iter().any(|key| matches!(key, Expr::Tuple(items) if items.is_empty()));
        let mut flat = Vec::new();
        for key in std::mem::take(keys) {
            match key {
                Expr::Tuple(items) => flat.extend(items),
                Expr::Rollup(sets) => flat.push(Expr::Rollup(numbered(sets, &outputs))),
                Expr::Cube(sets) => flat.push(Expr::Cube(numbered(sets, &outputs))),
                Expr::GroupingSets(sets) => {
                    flat.push(Expr::GroupingSets(numbered(sets, &outputs)));
                }
                other => flat.push(other),
            }
        }
        *keys = flat;
        grouped = !keys.is_empty();
    }
    let aggregates = outputs.iter().flatten().any(has_aggregate)
        || select.having.as_ref().is_some_and(has_aggregate);
    if !grouped && !aggregates && (one_group || select.having.is_some()) {
        let always = at_least_none();
        select.having = Some(match select.having.take() {
            Some(having) => Expr::BinaryOp {
                left: Box::new(always),
                op: BinaryOperator::And,
                right: Box::new(Expr::Nested(Box::new(having))),
            },
            None => always,
        });
    }
}

/// `count(*) >= 0`.
fn at_least_none() -> Expr {
    let mut count = call("count", vec![]);
    if let Expr::Function(function) = &mut count
        && let FunctionArguments::List(list) = &mut function.args
    {
        list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Wildcard));
    }
    Expr::BinaryOp {
        left: Box::new(count),
        op: BinaryOperator::GtEq,
        right: Box::new(Expr::value(Value::Number("0".to_owned(), false))),
    }
}

fn numbered(sets: Vec<Vec<Expr>>, outputs: &[Option<Expr>]) -> Vec<Vec<Expr>> {
    let output = |expr: Expr| {
        let Expr::Value(value) = &expr else { return expr };
        let Value::Number(digits, _) = &value.value else { return expr };
        let at = digits.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let output = at.and_then(|at| outputs.get(at)).cloned().flatten();
        output.unwrap_or(expr)
    };
    sets.into_iter().map(|set| set.into_iter().map(output).collect()).collect()
}

fn windows(select: &mut Select) {
    let mut known: Vec<(String, WindowSpec)> = Vec::new();
    for NamedWindowDefinition(name, definition) in &mut select.named_window {
        match definition {
            NamedWindowExpr::WindowSpec(spec) => {
                inherit(spec, &known);
                known.push((fold(name), spec.clone()));
            }
            NamedWindowExpr::NamedWindow(other) => {
                if let Some(spec) = find(&known, other).cloned() {
                    *definition = NamedWindowExpr::WindowSpec(spec.clone());
                    known.push((fold(name), spec));
                }
            }
        }
    }
    if known.is_empty() {
        return;
    }
    let mut walker = Windows { known, depth: 0 };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            // Nothing breaks this walk.
            let _ = walk::edit_expr(expr, &mut walker);
        }
    }
}

/// The bounds of a frame as literals: the planner below takes nothing else.
pub(super) fn plain_bounds(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let Some(WindowType::WindowSpec(spec)) = &mut function.over else { return };
    let Some(frame) = &mut spec.window_frame else { return };
    for bound in std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound) {
        if let WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset)) =
            bound
            && let Expr::Nested(inner) = offset.as_ref()
            && matches!(inner.as_ref(), Expr::Interval(_) | Expr::Value(_))
        {
            *offset = inner.clone();
        }
    }
}

fn find<'a>(known: &'a [(String, WindowSpec)], name: &Ident) -> Option<&'a WindowSpec> {
    known.iter().find(|(window, _)| *window == fold(name)).map(|(_, spec)| spec)
}

/// Writes out what a window takes from the one that it names.
fn inherit(spec: &mut WindowSpec, known: &[(String, WindowSpec)]) {
    let Some(base) = spec.window_name.as_ref().and_then(|name| find(known, name)) else { return };
    spec.partition_by.clone_from(&base.partition_by);
    if spec.order_by.is_empty() {
        spec.order_by.clone_from(&base.order_by);
    }
    spec.window_name = None;
}

struct Windows {
    known: Vec<(String, WindowSpec)>,
    depth: usize,
}

impl Editor for Windows {
    fn enter_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn leave_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Expr::Function(function) = expr
            && let Some(WindowType::WindowSpec(spec)) = &mut function.over
        {
            inherit(spec, &self.known);
        }
        ControlFlow::Continue(())
    }
}
