//! Scalar subqueries, ARRAY(SELECT …) and FETCH FIRST.

use sqlparser::ast::{
    Expr, FunctionArguments, GroupByExpr, LimitClause, OrderByKind, Query, Select, SelectItem,
    SetExpr,
};

use super::call;
use super::sets::array_from_unnest;
use crate::error::{PlannerError, Result};

/// Rewrites one expression before its children.
pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Subquery(query) => wrap_single_value(query),
        Expr::Function(function) => {
            let is_array = function.name.0.len() == 1
                && function.name.to_string().eq_ignore_ascii_case("array");
            if let (true, FunctionArguments::Subquery(query)) = (is_array, &mut function.args) {
                if let Some(array) = array_from_unnest(query) {
                    *expr = array;
                } else if wrap_array_agg(query) {
                    let query = query.clone();
                    *expr = Expr::Subquery(query);
                }
            }
        }
        _ => {}
    }
}

/// `FETCH FIRST n ROWS ONLY` is `LIMIT n`.
pub(super) fn fetch_to_limit(query: &mut Query) -> Result<()> {
    let Some(fetch) = query.fetch.take() else { return Ok(()) };
    if fetch.with_ties || fetch.percent {
        return Err(PlannerError::unsupported("FETCH FIRST … WITH TIES or PERCENT"));
    }
    let one = || Expr::value(sqlparser::ast::Value::Number("1".to_owned(), false));
    let n = fetch.quantity.unwrap_or_else(one);
    match &mut query.limit_clause {
        None => {
            query.limit_clause =
                Some(LimitClause::LimitOffset { limit: Some(n), offset: None, limit_by: vec![] });
        }
        Some(LimitClause::LimitOffset { limit, .. }) if limit.is_none() => *limit = Some(n),
        Some(_) => {
            return Err(PlannerError::Semantics {
                code: "42601",
                message: "multiple LIMIT clauses not allowed".to_owned(),
                position: None,
            });
        }
    }
    Ok(())
}

/// Wraps the one output of a scalar subquery into `single_value(…)`.
///
/// DataFusion takes a correlated scalar subquery only if it is an aggregate. `single_value`
/// returns NULL for no row, the value for one and error 21000 for more, which is what a scalar
/// subquery means.
fn wrap_single_value(query: &mut Query) {
    if query.with.is_some() || query.limit_clause.is_some() || query.fetch.is_some() {
        return;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    if !is_plain(select) {
        return;
    }
    let [item] = select.projection.as_mut_slice() else { return };
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
        return;
    };
    if select.from.is_empty() || has_aggregate(expr) {
        return;
    }
    *expr = call("single_value", vec![expr.clone()]);
    query.order_by = None;
}

/// Turns `SELECT x … ORDER BY y` into `SELECT array_agg(x ORDER BY y) …`; false where the query
/// has another shape.
fn wrap_array_agg(query: &mut Query) -> bool {
    if query.with.is_some() || query.limit_clause.is_some() || query.fetch.is_some() {
        return false;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return false };
    let plain = is_plain(select);
    let [item] = select.projection.as_mut_slice() else { return false };
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
        return false;
    };
    if !plain || has_aggregate(expr) {
        return false;
    }
    let mut aggregate = call("array_agg", vec![expr.clone()]);
    if let Expr::Function(function) = &mut aggregate {
        if let FunctionArguments::List(list) = &mut function.args {
            let order = query.order_by.take().map(|order_by| order_by.kind);
            if let Some(OrderByKind::Expressions(expressions)) = order {
                list.clauses
                    .push(sqlparser::ast::FunctionArgumentClause::OrderBy(expressions));
            }
        }
    }
    *expr = aggregate;
    true
}

/// A SELECT without grouping, DISTINCT and windows.
fn is_plain(select: &Select) -> bool {
    let ungrouped =
        matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    ungrouped
        && select.distinct.is_none()
        && select.having.is_none()
        && select.qualify.is_none()
        && select.named_window.is_empty()
}

/// Whether an expression calls an aggregate or window function outside of a subquery.
fn has_aggregate(expr: &Expr) -> bool {
    use sqlparser::ast::{Visit, Visitor};
    use std::ops::ControlFlow;
    #[derive(Default)]
    struct Finder {
        depth: usize,
    }
    impl Visitor for Finder {
        type Break = ();
        fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth = self.depth.saturating_sub(1);
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(function) if self.depth == 0 => {
                    let name = function.name.to_string().to_lowercase();
                    let name = name.rsplit('.').next().unwrap_or_default().trim_matches('"');
                    let aggregate = AGGREGATES.contains(&name) || function.over.is_some();
                    if aggregate || name == "unnest" || name == "generate_series" {
                        return ControlFlow::Break(());
                    }
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Finder::default()).is_break()
}

/// The aggregate functions of the engine and of PostgreSQL.
const AGGREGATES: &[&str] = &[
    "any_value", "approx_distinct", "approx_median", "approx_percentile_cont", "array_agg", "avg",
    "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or", "corr", "count", "covar", "covar_pop",
    "covar_samp", "every", "first_value", "grouping", "json_agg", "jsonb_agg", "json_object_agg",
    "jsonb_object_agg", "last_value", "max", "mean", "median", "min", "mode", "nth_value",
    "percentile_cont", "percentile_disc", "regr_avgx", "regr_avgy", "regr_count",
    "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy",
    "single_value", "stddev", "stddev_pop", "stddev_samp", "string_agg", "sum", "var", "var_pop",
    "var_samp", "variance",
];
