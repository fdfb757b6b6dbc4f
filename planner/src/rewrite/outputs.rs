//! Names of outputs hide columns in the planner below, also inside of expressions; in PostgreSQL
//! only where ORDER BY or GROUP BY name nothing but the output.
//!
//! ```text
//! SELECT id AS a FROM t ORDER BY a + 1             ORDER BY t.a + 1
//! SELECT a % 2 AS a FROM t GROUP BY 1 HAVING a > 0 HAVING t.a > 0
//! ```
//! Where FROM has one relation its name says which column is meant; beside others only names that
//! no output has are sure to be columns.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor};

use crate::statement::fold;
use crate::walk::{self, Editor};

/// Qualifies columns in expressions of ORDER BY.
pub(super) fn qualify_order(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let Some(mut qualifier) = Qualifier::of(select) else { return };
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order| &mut order.kind)
    else {
        return;
    };
    for key in keys {
        if !matches!(key.expr, Expr::Identifier(_)) {
            // Nothing breaks this walk.
            let _ = walk::edit_expr(&mut key.expr, &mut qualifier);
        }
    }
}

/// Qualifies columns in HAVING.
pub(super) fn qualify_having(select: &mut Select) {
    let Some(mut qualifier) = Qualifier::of(select) else { return };
    if let Some(having) = &mut select.having {
        // Nothing breaks this walk.
        let _ = walk::edit_expr(having, &mut qualifier);
    }
}

struct Qualifier {
    relation: Ident,
    outputs: Vec<String>,
    depth: usize,
}

impl Qualifier {
    /// `None` where no name can be told from another.
    fn of(select: &Select) -> Option<Self> {
        let outputs: Vec<String> = select
            .projection
            .iter()
            .filter_map(|item| match item {
                SelectItem::ExprWithAlias { expr, alias } => {
                    // A column under its own name is the same either way.
                    let own = matches!(expr, Expr::Identifier(ident) if fold(ident) == fold(alias));
                    (!own).then(|| fold(alias))
                }
                _ => None,
            })
            .collect();
        let [from] = select.from.as_slice() else { return None };
        if outputs.is_empty() || !from.joins.is_empty() {
            return None;
        }
        let relation = match &from.relation {
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. } => alias.name.clone(),
            TableFactor::Table { name, alias: None, args: None, .. } => {
                name.0.last()?.as_ident()?.clone()
            }
            _ => return None,
        };
        Some(Self { relation, outputs, depth: 0 })
    }
}

impl Editor for Qualifier {
    fn enter_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn leave_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn leave_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let (Expr::Identifier(ident), 0) = (&*expr, self.depth)
            && self.outputs.contains(&fold(ident))
        {
            *expr = Expr::CompoundIdentifier(vec![self.relation.clone(), ident.clone()]);
        }
        ControlFlow::Continue(())
    }
}
