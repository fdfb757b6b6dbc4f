//! ARRAY(SELECT …), FETCH FIRST, and what a query is made of.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArgumentClause, FunctionArguments, GroupByExpr, Ident,
    LimitClause, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor, Value,
    WindowSpec, WindowType,
};

use super::call;
use super::sets::array_from_unnest;
use crate::error::{PlannerError, Result};
use crate::statement::fold;
use crate::walk::{self, Reader};

/// Rewrites one expression before its children.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let is_array =
        function.name.0.len() == 1 && function.name.to_string().eq_ignore_ascii_case("array");
    if let (true, FunctionArguments::Subquery(query)) = (is_array, &mut function.args) {
        positions_to_outputs(query);
        if let Some(array) = array_from_unnest(query) {
            *expr = array;
        } else {
            let query = query.clone();
            *expr = call("list_or_empty", vec![Expr::Subquery(array_of(query))]);
        }
    }
}

/// `SELECT array_agg(x ORDER BY …) …` for the rows of a subquery.
fn array_of(mut query: Box<Query>) -> Box<Query> {
    if wrap_array_agg(&mut query) {
        return query;
    }
    let ident = |name: &str| Ident::with_quote('"', name);
    let member = || Expr::Identifier(ident("member"));
    let keys = match query.order_by.as_ref().map(|order_by| &order_by.kind) {
        Some(OrderByKind::Expressions(keys)) => keys.clone(),
        _ => vec![],
    };
    let mut columns = vec!["member".to_owned()];
    let mut order = Vec::new();
    if !keys.is_empty() {
        let limited = query.with.is_none()
            && matches!(query.body.as_ref(), SetExpr::Select(select)
                if is_plain(select) && select.projection.len() == 1);
        if let (true, SetExpr::Select(select)) = (limited, query.body.as_mut()) {
            // The order must be known outside of LIMIT.
            for (at, key) in keys.into_iter().enumerate() {
                let name = format!("order{at}");
                let item =
                    SelectItem::ExprWithAlias { expr: key.expr.clone(), alias: ident(&name) };
                select.projection.push(item);
                order.push(OrderByExpr { expr: Expr::Identifier(ident(&name)), ..key });
                columns.push(name);
            }
        } else if let [key, ..] = keys.as_slice() {
            // A DISTINCT or a UNION with one column is ordered by that.
            order.push(OrderByExpr { expr: member(), ..key.clone() });
        }
    }
    let mut aggregate = call("array_agg", vec![member()]);
    if let (Expr::Function(function), false) = (&mut aggregate, order.is_empty())
        && let FunctionArguments::List(list) = &mut function.args
    {
        list.clauses.push(FunctionArgumentClause::OrderBy(order));
    }
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    derived(query, SelectItem::UnnamedExpr(aggregate), &columns)
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

/// `FETCH FIRST n ROWS ONLY` is `LIMIT n`; WITH TIES is a condition on the rank.
pub(super) fn fetch_to_limit(query: &mut Query) -> Result<()> {
    let Some(fetch) = query.fetch.take() else { return Ok(()) };
    if fetch.percent {
        return Err(PlannerError::unsupported("FETCH FIRST … PERCENT"));
    }
    if fetch.with_ties {
        return with_ties(query, fetch.quantity);
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

/// `FETCH FIRST n ROWS WITH TIES` as `QUALIFY rank() OVER (ORDER BY …) <= n`; behind `OFFSET m`
/// as `n > 0 AND rank() … <= m + n AND row_number() … > m`.
fn with_ties(query: &mut Query, quantity: Option<Expr>) -> Result<()> {
    let keys = match query.order_by.as_ref().map(|order_by| &order_by.kind) {
        Some(OrderByKind::Expressions(keys)) if !keys.is_empty() => keys.clone(),
        _ => {
            return Err(PlannerError::Semantics {
                code: "42601",
                message: "WITH TIES cannot be specified without ORDER BY clause".to_owned(),
                position: None,
            });
        }
    };
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(PlannerError::unsupported("FETCH FIRST … WITH TIES after a set operation"));
    };
    if select.distinct.is_some() {
        return Err(PlannerError::unsupported("FETCH FIRST … WITH TIES together with DISTINCT"));
    }
    let offset = match query.limit_clause.take() {
        None => None,
        Some(LimitClause::LimitOffset { limit: None, offset, .. }) => offset.map(|o| o.value),
        Some(_) => {
            return Err(PlannerError::Semantics {
                code: "42601",
                message: "multiple LIMIT clauses not allowed".to_owned(),
                position: None,
            });
        }
    };
    let keys = keys.into_iter().map(|key| {
        let expr = output_of(&key.expr, &select.projection).unwrap_or(key.expr);
        OrderByExpr { expr, ..key }
    });
    let window = WindowSpec {
        window_name: None,
        partition_by: vec![],
        order_by: keys.collect(),
        window_frame: None,
    };
    let over = |name: &str| {
        let mut ranking = call(name, vec![]);
        if let Expr::Function(function) = &mut ranking {
            function.over = Some(WindowType::WindowSpec(window.clone()));
        }
        ranking
    };
    let binary = |left: Expr, op: BinaryOperator, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    };
    let number = |digits: &str| Expr::value(Value::Number(digits.to_owned(), false));
    let nested = |expr: Expr| Expr::Nested(Box::new(expr));
    let n = quantity.unwrap_or_else(|| number("1"));
    select.qualify = Some(match offset {
        None => binary(over("rank"), BinaryOperator::LtEq, n),
        Some(offset) => {
            let last =
                nested(binary(nested(offset.clone()), BinaryOperator::Plus, nested(n.clone())));
            let some = binary(nested(n), BinaryOperator::Gt, number("0"));
            let first = binary(over("row_number"), BinaryOperator::Gt, nested(offset));
            let ties = binary(over("rank"), BinaryOperator::LtEq, last);
            let both = binary(ties, BinaryOperator::And, first);
            binary(some, BinaryOperator::And, both)
        }
    });
    Ok(())
}

/// The output that a key of ORDER BY names or counts.
fn output_of(key: &Expr, items: &[SelectItem]) -> Option<Expr> {
    match key {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => {
                let at: usize = digits.parse().ok()?;
                match items.get(at.checked_sub(1)?)? {
                    SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                        Some(expr.clone())
                    }
                    _ => None,
                }
            }
            _ => None,
        },
        Expr::Identifier(name) => items.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if fold(alias) == fold(name) => {
                Some(expr.clone())
            }
            _ => None,
        }),
        _ => None,
    }
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
            list.clauses.push(FunctionArgumentClause::OrderBy(expressions));
        }
    }
    let alias = Ident::with_quote('"', "array");
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
    derived(query, SelectItem::UnnamedExpr(aggregate), column.as_slice())
}

/// `SELECT item FROM (query) AS q (column)`.
pub(super) fn derived(query: Box<Query>, item: SelectItem, columns: &[&str]) -> Box<Query> {
    let ident = |name: &str| Ident::with_quote('"', name);
    let columns = columns.iter().copied().map(sqlparser::ast::TableAliasColumnDef::from_name);
    let derived = TableFactor::Derived {
        lateral: false,
        subquery: query,
        alias: Some(sqlparser::ast::TableAlias {
            explicit: true,
            name: ident("q"),
            columns: columns.collect(),
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
pub(super) fn has_aggregate(expr: &Expr) -> bool {
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
                    if aggregate || super::sets::returns_set(name) {
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
pub(super) const AGGREGATES: &[&str] = &[
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
