//! Misuse that PostgreSQL refuses before it looks at types, with its codes and words.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArguments, GroupByExpr, Ident, JoinConstraint,
    JoinOperator, LimitClause, OrderByKind, Query, Select, SelectItem, SetExpr, Spanned,
    TableFactor, TableWithJoins, UnaryOperator, Value,
};
use sqlparser::tokenizer::Location;

use super::subqueries::AGGREGATES;
use crate::diagnose::aliases::named_output;
use crate::statement::fold;
use crate::walk::{self, Reader};

/// A construct in the wrong place.
#[derive(Debug)]
pub(super) struct Misuse {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) at: Option<Location>,
}

type Check = Result<(), Misuse>;

fn misuse<T>(
    code: &'static str,
    message: impl Into<String>,
    at: Option<Location>,
) -> Result<T, Misuse> {
    Err(Misuse { code, message: message.into(), at: at.filter(|at| at.line > 0) })
}

/// Checks the clauses of one query outside of its SELECT.
pub(super) fn query(query: &Query) -> Check {
    if let Some(with) = &query.with {
        let mut names: Vec<String> = Vec::new();
        for cte in &with.cte_tables {
            let name = fold(&cte.alias.name);
            if names.contains(&name) {
                let message = format!("WITH query name \"{name}\" specified more than once");
                return misuse("42712", message, Some(cte.alias.name.span.start));
            }
            names.push(name);
        }
    }
    if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
        let offset_value = offset.as_ref().map(|offset| &offset.value);
        for (clause, value) in [("LIMIT", limit.as_ref()), ("OFFSET", offset_value)] {
            match value {
                Some(Expr::Identifier(ident)) => {
                    let message = format!("argument of {clause} must not contain variables");
                    return misuse("42P10", message, Some(ident.span.start));
                }
                Some(Expr::Value(value)) => {
                    if let Value::SingleQuotedString(text) = &value.value
                        && text.trim().parse::<i64>().is_err()
                    {
                        let message = format!("invalid input syntax for type bigint: \"{text}\"");
                        return misuse("22P02", message, Some(value.span.start));
                    }
                }
                _ => {}
            }
        }
        if limit.as_ref().is_some_and(is_negative) {
            return misuse("2201W", "LIMIT must not be negative", None);
        }
        if offset.as_ref().is_some_and(|offset| is_negative(&offset.value)) {
            return misuse("2201X", "OFFSET must not be negative", None);
        }
    }
    body(&query.body)?;
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_ref().map(|order| &order.kind)
    else {
        return Ok(());
    };
    let is_set = matches!(query.body.as_ref(), SetExpr::SetOperation { .. });
    if is_set && !keys.iter().all(|key| is_output(&key.expr)) {
        return misuse("0A000", "invalid UNION/INTERSECT/EXCEPT ORDER BY clause", None);
    }
    if let SetExpr::Select(select) = query.body.as_ref()
        && select.from.is_empty()
        && let Some(ident) = keys
            .iter()
            .filter(|key| !is_output(&key.expr))
            .find_map(|k| named_output(select, &k.expr))
    {
        // Expressions see columns, and there are none.
        let message = format!("column \"{}\" does not exist", fold(&ident));
        return misuse("42703", message, Some(ident.span.start));
    }
    let Some(n_columns) = n_columns(&query.body) else { return Ok(()) };
    for key in keys {
        position("ORDER BY", &key.expr, n_columns)?;
    }
    Ok(())
}

/// Whether a key of ORDER BY is no more than the name or the place of an output.
fn is_output(key: &Expr) -> bool {
    match key {
        Expr::Nested(inner) => is_output(inner),
        other => matches!(other, Expr::Identifier(_) | Expr::Value(_)),
    }
}

fn body(body: &SetExpr) -> Check {
    let SetExpr::SetOperation { op, left, right, .. } = body else { return Ok(()) };
    if let (Some(n_left), Some(n_right)) = (n_columns(left), n_columns(right))
        && n_left != n_right
    {
        let message = format!("each {op} query must have the same number of columns");
        return misuse("42601", message, first_item(right));
    }
    Ok(())
}

fn first_item(body: &SetExpr) -> Option<Location> {
    match body {
        SetExpr::Select(select) => select.projection.first().map(|item| item.span().start),
        _ => None,
    }
}

fn is_negative(expr: &Expr) -> bool {
    matches!(expr, Expr::UnaryOp { op: UnaryOperator::Minus, expr }
        if matches!(expr.as_ref(), Expr::Value(value) if matches!(value.value, Value::Number(..))))
}

/// The number of columns of a query where no star is among them.
fn n_columns(body: &SetExpr) -> Option<usize> {
    match body {
        SetExpr::Select(select) => n_items(select),
        SetExpr::SetOperation { left, .. } => n_columns(left),
        SetExpr::Query(query) => n_columns(&query.body),
        SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
        _ => None,
    }
}

fn n_items(select: &Select) -> Option<usize> {
    let plain = |item: &SelectItem| {
        matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
    };
    select.projection.iter().all(plain).then_some(select.projection.len())
}

fn position(clause: &str, key: &Expr, n_columns: usize) -> Check {
    let Expr::Value(value) = key else { return Ok(()) };
    let at = Some(value.span.start);
    match &value.value {
        Value::Number(digits, _) => match digits.parse::<usize>() {
            Ok(number) if (1..=n_columns).contains(&number) => Ok(()),
            Ok(number) => {
                let message = format!("{clause} position {number} is not in select list");
                misuse("42P10", message, at)
            }
            Err(_) => misuse("42601", format!("non-integer constant in {clause}"), at),
        },
        Value::SingleQuotedString(_) | Value::Boolean(_) => {
            misuse("42601", format!("non-integer constant in {clause}"), at)
        }
        _ => Ok(()),
    }
}

/// Checks one SELECT.
pub(super) fn select(select: &Select) -> Check {
    relation_names(&select.from)?;
    // Before IN and its kin are rewritten.
    let items = select.projection.iter().filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    });
    for expr in items.chain(&select.selection).chain(&select.having) {
        subqueries(expr)?;
    }
    if let Some(selection) = &select.selection {
        no_aggregates(selection, "WHERE")?;
    }
    for join in select.from.iter().flat_map(|tables| &tables.joins) {
        if let Some(JoinConstraint::On(on)) = constraint(&join.join_operator) {
            no_aggregates(on, "JOIN conditions")?;
        }
    }
    if let GroupByExpr::Expressions(keys, _) = &select.group_by {
        let n_columns = n_items(select);
        for key in keys {
            no_aggregates(key, "GROUP BY")?;
            if let Some(n_columns) = n_columns {
                position("GROUP BY", key, n_columns)?;
            }
        }
    }
    if let Some(having) = &select.having {
        let finder = find(having);
        if let Some(at) = finder.window {
            return misuse("42P20", "window functions are not allowed in HAVING", at);
        }
        nesting(having)?;
    }
    for item in &select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            nesting(expr)?;
        }
    }
    Ok(())
}

fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => Some(constraint),
        _ => None,
    }
}

fn relation_names(from: &[TableWithJoins]) -> Check {
    let mut seen: Vec<(Option<String>, String)> = Vec::new();
    for tables in from {
        add_names(tables, &mut seen)?;
    }
    Ok(())
}

fn add_names(tables: &TableWithJoins, seen: &mut Vec<(Option<String>, String)>) -> Check {
    let joined = tables.joins.iter().map(|join| &join.relation);
    for factor in std::iter::once(&tables.relation).chain(joined) {
        let (name, schema, at) = match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                add_names(table_with_joins, seen)?;
                continue;
            }
            TableFactor::Table { name, alias: None, args: None, .. } => {
                let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
                let Some((last, before)) = parts.split_last() else { continue };
                let schema = before.last().map(|schema| fold(schema));
                (fold(last), schema, last.span.start)
            }
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. }
            | TableFactor::UNNEST { alias: Some(alias), .. }
            | TableFactor::NestedJoin { alias: Some(alias), .. } => {
                (fold(&alias.name), None, alias.name.span.start)
            }
            _ => continue,
        };
        if seen.iter().any(|(known, of)| *known == schema && *of == name) {
            let message = format!("table name \"{name}\" specified more than once");
            return misuse("42712", message, Some(at));
        }
        seen.push((schema, name));
    }
    Ok(())
}

fn no_aggregates(expr: &Expr, clause: &str) -> Check {
    let found = find(expr);
    if let Some(at) = found.aggregate {
        let message = format!("aggregate functions are not allowed in {clause}");
        return misuse("42803", message, at);
    }
    if let Some(at) = found.window {
        return misuse("42P20", format!("window functions are not allowed in {clause}"), at);
    }
    if let (Some(at), true) = (found.set, clause != "GROUP BY") {
        let message = format!("set-returning functions are not allowed in {clause}");
        return misuse("0A000", message, at);
    }
    Ok(())
}

/// Whether an expression has an aggregate outside of nested queries.
pub(crate) fn has_aggregate(expr: &Expr) -> bool {
    find(expr).aggregate.is_some()
}

/// What is called outside of nested queries, and where first.
#[derive(Default)]
struct Found {
    depth: usize,
    aggregate: Option<Option<Location>>,
    window: Option<Option<Location>>,
    set: Option<Option<Location>>,
}

fn find(expr: &Expr) -> Found {
    let mut found = Found::default();
    // Nothing breaks this walk.
    let _ = walk::read_expr(expr, &mut found);
    found
}

fn name_of(function: &Function) -> (String, Option<Location>) {
    let ident = function.name.0.last().and_then(|part| part.as_ident());
    ident.map_or_else(Default::default, |ident| (fold(ident), Some(ident.span.start)))
}

fn is_aggregate(function: &Function, name: &str) -> bool {
    function.over.is_none()
        && AGGREGATES.contains(&name)
        && !WINDOW_ONLY.contains(&name)
        && !matches!(name, "grouping" | "single_value" | "first_value" | "last_value" | "nth_value")
}

/// Functions that need OVER.
const WINDOW_ONLY: &[&str] = &[
    "row_number",
    "rank",
    "dense_rank",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
    "first_value",
    "last_value",
    "nth_value",
];

impl Reader for Found {
    fn enter_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn leave_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn enter_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let (Expr::Function(function), 0) = (expr, self.depth) else {
            return ControlFlow::Continue(());
        };
        let (name, at) = name_of(function);
        if function.over.is_some() {
            self.window.get_or_insert(at);
        } else if is_aggregate(function, &name) {
            self.aggregate.get_or_insert(at);
        } else if super::sets::returns_set(&name) {
            self.set.get_or_insert(at);
        }
        ControlFlow::Continue(())
    }
}

/// Aggregates in aggregates, window functions in either, window functions without OVER.
fn nesting(expr: &Expr) -> Check {
    struct Nesting {
        depth: usize,
        misuse: Option<Misuse>,
    }
    impl Reader for Nesting {
        fn enter_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn leave_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth = self.depth.saturating_sub(1);
            ControlFlow::Continue(())
        }
        fn enter_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let (Expr::Function(function), 0) = (expr, self.depth) else {
                return ControlFlow::Continue(());
            };
            match call(function) {
                Ok(()) => ControlFlow::Continue(()),
                Err(misuse) => {
                    self.misuse = Some(misuse);
                    ControlFlow::Break(())
                }
            }
        }
    }
    let mut nesting = Nesting { depth: 0, misuse: None };
    // Whether the walk ended early is known from what it found.
    let _ = walk::read_expr(expr, &mut nesting);
    nesting.misuse.map_or(Ok(()), Err)
}

fn call(function: &Function) -> Check {
    let (name, at) = name_of(function);
    let needs_over = WINDOW_ONLY.contains(&name.as_str()) && function.within_group.is_empty();
    if needs_over && function.over.is_none() {
        return misuse("42809", format!("window function {name} requires an OVER clause"), at);
    }
    let aggregate = is_aggregate(function, &name);
    if !aggregate && function.over.is_none() {
        return Ok(());
    }
    for arg in arguments(function) {
        let found = find(arg);
        if let (true, Some(at)) = (aggregate, found.aggregate) {
            return misuse("42803", "aggregate function calls cannot be nested", at);
        }
        if let Some(at) = found.window {
            return if aggregate {
                let message = "aggregate function calls cannot contain window function calls";
                misuse("42803", message, at)
            } else {
                misuse("42P20", "window function calls cannot be nested", at)
            };
        }
    }
    Ok(())
}

fn arguments(function: &Function) -> Vec<&Expr> {
    use sqlparser::ast::{FunctionArg, FunctionArgExpr};
    let FunctionArguments::List(list) = &function.args else { return vec![] };
    list.args
        .iter()
        .filter_map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect()
}

fn subqueries(expr: &Expr) -> Check {
    struct Subqueries(Option<Misuse>);
    impl Reader for Subqueries {
        fn enter_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expression(expr) {
                Ok(()) => ControlFlow::Continue(()),
                Err(misuse) => {
                    self.0 = Some(misuse);
                    ControlFlow::Break(())
                }
            }
        }
    }
    let mut found = Subqueries(None);
    // Whether the walk ended early is known from what it found.
    let _ = walk::read_expr(expr, &mut found);
    found.0.map_or(Ok(()), Err)
}

/// Checks one expression: subqueries with more columns than their place takes.
pub(super) fn expression(expr: &Expr) -> Check {
    match expr {
        Expr::Subquery(query) => match n_columns(&query.body) {
            Some(1) | None => Ok(()),
            Some(_) => misuse("42601", "subquery must return only one column", start(query)),
        },
        Expr::BinaryOp { left, right, op } if *op != BinaryOperator::Overlaps => {
            match (super::rows::items(left), super::rows::items(right)) {
                (Some(left), Some(right)) if left.len() != right.len() => {
                    misuse("42601", "unequal number of entries in row expressions", None)
                }
                _ => Ok(()),
            }
        }
        Expr::InSubquery { expr: tested, subquery, .. } => in_subquery(tested, subquery),
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => match right.as_ref() {
            Expr::Subquery(query) => in_subquery(left, query),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn in_subquery(tested: &Expr, subquery: &Query) -> Check {
    let n_tested = match tested {
        Expr::Tuple(exprs) => exprs.len(),
        _ => 1,
    };
    match n_columns(&subquery.body) {
        Some(n) if n > n_tested => {
            misuse("42601", "subquery has too many columns", start(subquery))
        }
        Some(n) if n < n_tested => misuse("42601", "subquery has too few columns", start(subquery)),
        _ => Ok(()),
    }
}

fn start(query: &Query) -> Option<Location> {
    match query.body.as_ref() {
        SetExpr::Select(select) => Some(select.select_token.0.span.start),
        _ => None,
    }
}
