//! Aggregates whose result depends on the order of their rows, over a subquery that orders them.
//!
//! ```text
//! SELECT array_agg(x) FROM (SELECT x FROM t ORDER BY x) AS s
//!   => SELECT array_agg(x ORDER BY s.x) FROM (SELECT x FROM t ORDER BY x) AS s
//! ```
//! The engine gives up the order of a subquery, PostgreSQL keeps it as long as nothing in between
//! needs another one.

use std::ops::ControlFlow;

use sqlparser::ast::{
    DuplicateTreatment, Expr, FunctionArgumentClause, FunctionArguments, GroupByExpr, Ident,
    OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor, Value,
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
fn order_of_source(select: &Select) -> Option<Vec<OrderByExpr>> {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    let [from] = select.from.as_slice() else { return None };
    if grouped || !from.joins.is_empty() {
        return None;
    }
    let TableFactor::Derived { subquery, alias: Some(alias), .. } = &from.relation else {
        return None;
    };
    let OrderByKind::Expressions(keys) = &subquery.order_by.as_ref()?.kind else { return None };
    let SetExpr::Select(inner) = subquery.body.as_ref() else { return None };
    let outputs: Vec<Option<Ident>> = inner.projection.iter().map(output_name).collect();
    let column = |at: usize| {
        let renamed = alias.columns.get(at).map(|column| column.name.clone());
        renamed.or_else(|| outputs.get(at).cloned().flatten())
    };
    let key = |key: &OrderByExpr| {
        let at = match &key.expr {
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => digits.parse::<usize>().ok()?.checked_sub(1)?,
                _ => return None,
            },
            Expr::Identifier(ident) => {
                let name = fold(ident);
                let same =
                    |output: &Option<Ident>| output.as_ref().is_some_and(|o| fold(o) == name);
                outputs.iter().position(same)?
            }
            expr => inner.projection.iter().position(|item| match item {
                SelectItem::UnnamedExpr(output)
                | SelectItem::ExprWithAlias { expr: output, .. } => output == expr,
                _ => false,
            })?,
        };
        let parts = vec![alias.name.clone(), column(at)?];
        Some(OrderByExpr { expr: Expr::CompoundIdentifier(parts), ..key.clone() })
    };
    // The first keys that are outputs; a key that is none cannot be named out here.
    let keys: Vec<OrderByExpr> = keys.iter().map_while(key).collect();
    (!keys.is_empty()).then_some(keys)
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
