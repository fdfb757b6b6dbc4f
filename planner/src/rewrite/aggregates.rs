//! Aggregates whose result depends on the order of their rows, over a subquery that orders them.
//!
//! ```text
//! SELECT array_agg(x) FROM (SELECT x FROM t ORDER BY x) AS s
//!   => SELECT array_agg(x ORDER BY s.x) FROM (SELECT x FROM t ORDER BY x) AS s
//! ```
//! A key that the subquery does not give out is given out under a name that no query can write:
//!
//! ```text
//! SELECT array_agg(x) FROM (SELECT x FROM t ORDER BY y) AS s
//!   => SELECT array_agg(x ORDER BY s."tarn order 0")
//!      FROM (SELECT x, y AS "tarn order 0" FROM t ORDER BY y) AS s
//! ```
//! The engine gives up the order of a subquery, PostgreSQL keeps it as long as nothing in between
//! needs another one.

use std::ops::ControlFlow;

use sqlparser::ast::{
    DuplicateTreatment, Expr, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, GroupByExpr, Ident, OrderByExpr, OrderByKind, Query, Select, SelectItem,
    SetExpr, TableAliasColumnDef, TableFactor, Value,
};

use crate::statement::fold;
use crate::walk::{self, Editor};

/// The aggregates that show the order of their rows.
const ORDERED: &[&str] =
    &["array_agg", "string_agg", "json_agg", "jsonb_agg", "json_object_agg", "first_value"];

/// Hands the order of the one subquery in FROM on to the aggregates over it.
pub(super) fn order(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let Some(keys) = order_of_source(select) else { return };
    let mut orderer = Orderer { keys, depth: 0 };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            // Nothing breaks this walk.
            let _ = walk::edit_expr(expr, &mut orderer);
        }
    }
}

/// The order of the rows that FROM gives, in terms of the subquery's outputs; `None` where there
/// is none, or where the rows are grouped, which PostgreSQL may do by sorting.
fn order_of_source(select: &mut Select) -> Option<Vec<OrderByExpr>> {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    let [from] = select.from.as_mut_slice() else { return None };
    if grouped || !from.joins.is_empty() {
        return None;
    }
    let TableFactor::Derived { subquery, alias: Some(alias), .. } = &mut from.relation else {
        return None;
    };
    let OrderByKind::Expressions(keys) = &subquery.order_by.as_ref()?.kind else { return None };
    let SetExpr::Select(inner) = subquery.body.as_mut() else { return None };
    let starred = !inner
        .projection
        .iter()
        .all(|item| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }));
    // What all columns are is known only later: none may be added then.
    let may_add = inner.distinct.is_none()
        && (!starred || alias.columns.is_empty())
        && !takes_all_columns(&select.projection, &alias.name);
    let mut found = Vec::new();
    for key in keys {
        let at = match position(&key.expr, &inner.projection) {
            // Behind `*` the places are others than they look.
            Some(_) if starred && !alias.columns.is_empty() => break,
            Some(at) => at,
            None if may_add && !matches!(key.expr, Expr::Value(_)) => {
                let name = format!("tarn order {}", found.len());
                let name = Ident::with_quote('"', name);
                if !alias.columns.is_empty() {
                    let column = TableAliasColumnDef { name: name.clone(), data_type: None };
                    alias.columns.push(column);
                }
                let expr = key.expr.clone();
                inner.projection.push(SelectItem::ExprWithAlias { expr, alias: name });
                inner.projection.len() - 1
            }
            // A key that is no output cannot be named out here.
            None => break,
        };
        let renamed = alias.columns.get(at).map(|column| column.name.clone());
        let Some(column) = renamed.or_else(|| inner.projection.get(at).and_then(output_name))
        else {
            break;
        };
        let expr = Expr::CompoundIdentifier(vec![alias.name.clone(), column]);
        found.push(OrderByExpr { expr, ..key.clone() });
    }
    (!found.is_empty()).then_some(found)
}

/// Which output a key of ORDER BY is.
fn position(key: &Expr, outputs: &[SelectItem]) -> Option<usize> {
    match key {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => {
                let at = digits.parse::<usize>().ok()?.checked_sub(1)?;
                (at < outputs.len()).then_some(at)
            }
            _ => None,
        },
        Expr::Identifier(ident) => {
            let name = fold(ident);
            outputs.iter().position(|item| output_name(item).is_some_and(|o| fold(&o) == name))
        }
        expr => outputs.iter().position(|item| match item {
            SelectItem::UnnamedExpr(output) | SelectItem::ExprWithAlias { expr: output, .. } => {
                output == expr
            }
            _ => false,
        }),
    }
}

/// Whether a list mentions a relation as a whole: `s`, `s.*`.
fn takes_all_columns(items: &[SelectItem], relation: &Ident) -> bool {
    let mut finder = WholeRows { relation: fold(relation), found: false };
    for item in items {
        match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                // It stops where it has found one.
                let _ = walk::edit_expr(&mut expr.clone(), &mut finder);
            }
            _ => return true,
        }
    }
    finder.found
}

struct WholeRows {
    relation: String,
    found: bool,
}

impl Editor for WholeRows {
    fn enter_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.found |= match expr {
            Expr::Identifier(ident) => fold(ident) == self.relation,
            Expr::QualifiedWildcard(..) => true,
            Expr::Function(function) => match &function.args {
                FunctionArguments::List(list) => list.args.iter().any(|arg| {
                    matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(_)))
                }),
                _ => false,
            },
            _ => false,
        };
        if self.found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn output_name(item: &SelectItem) -> Option<Ident> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.clone()),
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(ident.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().cloned(),
        _ => None,
    }
}

struct Orderer {
    keys: Vec<OrderByExpr>,
    depth: usize,
}

impl Editor for Orderer {
    fn enter_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn leave_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let (Expr::Function(function), 0) = (expr, self.depth) else {
            return ControlFlow::Continue(());
        };
        let name = function.name.0.last().and_then(|part| part.as_ident()).map(fold);
        if function.over.is_some() || !name.is_some_and(|name| ORDERED.contains(&name.as_str())) {
            return ControlFlow::Continue(());
        }
        if let FunctionArguments::List(list) = &mut function.args {
            let ordered = list
                .clauses
                .iter()
                .any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
            let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
            if !ordered && !distinct {
                list.clauses.push(FunctionArgumentClause::OrderBy(self.keys.clone()));
            }
        }
        ControlFlow::Continue(())
    }
}
