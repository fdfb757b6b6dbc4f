//! Scalar subqueries, ARRAY(SELECT …) and FETCH FIRST.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, LimitClause, OrderByKind,
    Query, Select, SelectItem, SetExpr, TableFactor, Value,
};

use super::names::name_of;
use super::sets::array_from_unnest;
use super::{call, correlation};
use crate::error::{PlannerError, Result};
use crate::statement::fold;
use crate::walk::{self, Reader};

/// Rewrites one expression before its children.
pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Subquery(query) if has_lateral_function(query) => {
            let what = "a function over columns in the FROM clause of a scalar subquery";
            let what = Expr::value(Value::SingleQuotedString(what.to_owned()));
            *expr = call("unsupported_subquery", vec![what]);
        }
        Expr::Subquery(query) => match filtered(query) {
            Some((array, name)) => {
                let name = Expr::value(Value::SingleQuotedString(name));
                *expr = call("single_element", vec![array, name]);
            }
            None => wrap_single_value(query),
        },
        Expr::Function(function) => {
            let is_array = function.name.0.len() == 1
                && function.name.to_string().eq_ignore_ascii_case("array");
            if let (true, FunctionArguments::Subquery(query)) = (is_array, &mut function.args) {
                positions_to_outputs(query);
                if let Some(array) = array_from_unnest(query) {
                    *expr = array;
                } else if let Some((array, _)) = filtered(query) {
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

/// Whether FROM calls a function with columns: `FROM generate_series(1, outer.n)`.
///
/// The planner cannot take that apart. Such a subquery becomes an error that is raised only if its
/// value is needed, as psql asks for one behind a condition that never holds here.
fn has_lateral_function(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let factors = select.from.iter().map(|item| &item.relation);
    factors
        .filter_map(|factor| match factor {
            TableFactor::Table { args: Some(args), .. } => Some(&args.args),
            _ => None,
        })
        .flatten()
        .any(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => has_column(expr),
            _ => false,
        })
}

fn has_column(expr: &Expr) -> bool {
    struct Finder;
    impl Reader for Finder {
        fn enter_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    walk::read_expr(expr, &mut Finder).is_break()
}

/// The rows of a subquery that needs a filter outside of it, and the name of its output.
fn filtered(query: &Query) -> Option<(Expr, String)> {
    if query.with.is_some() || query.limit_clause.is_some() || query.fetch.is_some() {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [item] = select.projection.as_slice() else { return None };
    let (expr, name) = match item {
        SelectItem::UnnamedExpr(expr) => (expr, name_of(expr)),
        SelectItem::ExprWithAlias { expr, alias } => (expr, Some(fold(alias))),
        _ => return None,
    };
    if !is_plain(select) || has_aggregate(expr) {
        return None;
    }
    let order_by = match query.order_by.as_ref().map(|order_by| &order_by.kind) {
        Some(OrderByKind::Expressions(expressions)) => expressions.as_slice(),
        Some(OrderByKind::All(_)) => return None,
        None => &[],
    };
    let array = correlation::as_array(query, order_by)?;
    Some((array, name.unwrap_or_else(|| "?column?".to_owned())))
}

/// `ORDER BY 1` of a query with one output orders by that output.
fn positions_to_outputs(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let [SelectItem::UnnamedExpr(output) | SelectItem::ExprWithAlias { expr: output, .. }] =
        select.projection.as_slice()
    else {
        return;
    };
    let Some(order_by) = &mut query.order_by else { return };
    let OrderByKind::Expressions(expressions) = &mut order_by.kind else { return };
    for ordered in expressions {
        if matches!(&ordered.expr, Expr::Value(value) if matches!(value.value, Value::Number(..))) {
            ordered.expr = output.clone();
        }
    }
}

/// `FETCH FIRST n ROWS ONLY` is `LIMIT n`.
pub(super) fn fetch_to_limit(query: &mut Query) -> Result<()> {
    let Some(fetch) = query.fetch.take() else { return Ok(()) };
    if fetch.with_ties || fetch.percent {
        return Err(PlannerError::unsupported("FETCH FIRST … WITH TIES or PERCENT"));
    }
    let one = || Expr::value(Value::Number("1".to_owned(), false));
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
    if let Expr::Function(function) = &mut aggregate
        && let FunctionArguments::List(list) = &mut function.args
    {
        let order = query.order_by.take().map(|order_by| order_by.kind);
        if let Some(OrderByKind::Expressions(expressions)) = order {
            list.clauses.push(sqlparser::ast::FunctionArgumentClause::OrderBy(expressions));
        }
    }
    let alias = sqlparser::ast::Ident::with_quote('"', "array");
    *item = SelectItem::ExprWithAlias { expr: aggregate, alias };
    true
}

/// Replaces the one output of a plain query by an aggregate of it; false where the query has
/// another shape.
pub(super) fn aggregate_only_item(query: &mut Query, aggregate: impl Fn(Expr) -> Expr) -> bool {
    if query.with.is_some() || query.limit_clause.is_some() || query.fetch.is_some() {
        return false;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return false };
    let plain = is_plain(select) && !select.from.is_empty();
    let [item] = select.projection.as_mut_slice() else { return false };
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
        return false;
    };
    if !plain || has_aggregate(expr) {
        return false;
    }
    *item = SelectItem::UnnamedExpr(aggregate(expr.clone()));
    query.order_by = None;
    true
}

/// `SELECT aggregate FROM (query) AS q (column)`.
pub(super) fn derived_aggregate(
    query: Box<Query>,
    aggregate: Expr,
    column: Option<&str>,
) -> Box<Query> {
    derived(query, SelectItem::UnnamedExpr(aggregate), column)
}

/// `SELECT item FROM (query) AS q (column)`.
pub(super) fn derived(query: Box<Query>, item: SelectItem, column: Option<&str>) -> Box<Query> {
    let ident = |name: &str| sqlparser::ast::Ident::with_quote('"', name);
    let columns = column.map(sqlparser::ast::TableAliasColumnDef::from_name);
    let derived = TableFactor::Derived {
        lateral: false,
        subquery: query,
        alias: Some(sqlparser::ast::TableAlias {
            explicit: true,
            name: ident("q"),
            columns: columns.into_iter().collect(),
            at: None,
        }),
        sample: None,
    };
    let from = sqlparser::ast::TableWithJoins { relation: derived, joins: vec![] };
    crate::write::select_query(vec![item], from)
}

/// Whether a SELECT groups its rows or makes them unique.
pub(super) fn has_group(select: &Select) -> bool {
    let aggregates = select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            has_aggregate(expr)
        }
        _ => false,
    });
    aggregates || !is_plain(select)
}

/// A SELECT without grouping, DISTINCT and windows.
fn is_plain(select: &Select) -> bool {
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    ungrouped
        && select.distinct.is_none()
        && select.having.is_none()
        && select.qualify.is_none()
        && select.named_window.is_empty()
}

/// Whether an expression calls an aggregate or window function outside of a subquery.
fn has_aggregate(expr: &Expr) -> bool {
    #[derive(Default)]
    struct Finder {
        depth: usize,
    }
    impl Reader for Finder {
        fn enter_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn leave_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth = self.depth.saturating_sub(1);
            ControlFlow::Continue(())
        }
        fn enter_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
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
    walk::read_expr(expr, &mut Finder::default()).is_break()
}

/// The aggregate functions of the engine and of PostgreSQL.
const AGGREGATES: &[&str] = &[
    "any_value",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar",
    "covar_pop",
    "covar_samp",
    "every",
    "first_value",
    "grouping",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "jsonb_object_agg",
    "last_value",
    "max",
    "mean",
    "median",
    "min",
    "mode",
    "nth_value",
    "percentile_cont",
    "percentile_disc",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "single_value",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var",
    "var_pop",
    "var_samp",
    "variance",
];
