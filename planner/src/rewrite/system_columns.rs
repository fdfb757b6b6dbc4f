//! `t.tableoid`, which every relation of PostgreSQL has without listing it.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, Select, SelectItem, TableFactor, TableWithJoins, Value};

use super::call;
use crate::statement::fold;
use crate::walk::{self, Editor};

/// The number of the relation that a row is in.
const COLUMN: &str = "tableoid";

/// Rewrites `alias.tableoid` to the number of the relation that `alias` names in FROM.
///
/// Subqueries that mention the alias of an outer query are rewritten with it.
pub(super) fn rewrite(select: &mut Select) {
    let names = relation_names(&select.from);
    if names.is_empty() {
        return;
    }
    for item in &mut select.projection {
        // The column keeps its name.
        if let SelectItem::UnnamedExpr(expr @ Expr::CompoundIdentifier(_)) = item {
            let replacer = Replacer { names: names.clone() };
            if let Some(expr) = replacer.replacement_of(expr) {
                *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', COLUMN) };
            }
        }
    }
    // Nothing breaks this walk.
    let _ = walk::edit_select(select, &mut Replacer { names });
}

/// The alias and the full name of each relation in FROM.
fn relation_names(from: &[TableWithJoins]) -> Vec<(String, String)> {
    let factors = from.iter().flat_map(|item| {
        std::iter::once(&item.relation).chain(item.joins.iter().map(|join| &join.relation))
    });
    let mut names = Vec::new();
    for factor in factors {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let last = name.0.last().and_then(|part| part.as_ident()).map(fold);
                let alias = alias.as_ref().map(|alias| fold(&alias.name)).or(last);
                names.extend(alias.map(|alias| (alias, name.to_string())));
            }
            TableFactor::NestedJoin { table_with_joins, .. } => {
                names.extend(relation_names(std::slice::from_ref(table_with_joins)));
            }
            _ => {}
        }
    }
    names
}

struct Replacer {
    names: Vec<(String, String)>,
}

impl Editor for Replacer {
    fn leave_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(replaced) = self.replacement_of(expr) {
            *expr = replaced;
        }
        ControlFlow::Continue(())
    }
}

impl Replacer {
    fn replacement_of(&self, expr: &Expr) -> Option<Expr> {
        let Expr::CompoundIdentifier(parts) = expr else { return None };
        let [alias, column] = parts.as_slice() else { return None };
        if fold(column) != COLUMN {
            return None;
        }
        let alias = fold(alias);
        let (_, name) = self.names.iter().find(|(known, _)| *known == alias)?;
        let name = Expr::value(Value::SingleQuotedString(name.clone()));
        Some(call("to_regclass_oid", vec![name]))
    }
}
