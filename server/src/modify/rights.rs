//! Which rights on the table a writing statement needs.

use sqlparser::ast::{self, Expr, MergeAction, Statement as Ast};
use tarn_catalog::rights::Privilege::{self, Delete, Insert, Select, Update};

/// The rights on the target; those on what is read beside it are checked where it is bound.
///
/// As in PostgreSQL, SELECT is needed by whatever looks at the target's columns: a condition, an
/// expression, RETURNING.
pub(super) fn needed(ast: &Ast) -> Vec<Privilege> {
    let mut needed = Vec::new();
    let reads = match ast {
        Ast::Insert(insert) => {
            needed.push(Insert);
            // INSERT OVERWRITE, REPLACE WHERE and PARTITION take rows away.
            let replaces = insert.overwrite || insert.partitioned.is_some();
            if replaces {
                needed.push(Delete);
            }
            replaces || insert.returning.is_some()
        }
        Ast::Update(update) => {
            needed.push(Update);
            let constant = |assignment: &ast::Assignment| is_constant(&assignment.value);
            update.selection.is_some()
                || update.from.is_some()
                || update.returning.is_some()
                || !update.assignments.iter().all(constant)
        }
        Ast::Delete(delete) => {
            needed.push(Delete);
            delete.selection.is_some() || delete.using.is_some() || delete.returning.is_some()
        }
        Ast::Merge(merge) => {
            needed.extend(merge.clauses.iter().map(|clause| match clause.action {
                MergeAction::Insert(_) => Insert,
                MergeAction::Update(_) => Update,
                MergeAction::Delete { .. } => Delete,
            }));
            true
        }
        _ => false,
    };
    if reads {
        needed.push(Select);
    }
    needed
}

/// Whether a value names no column; in doubt not.
fn is_constant(value: &Expr) -> bool {
    match value {
        Expr::Value(_) | Expr::TypedString { .. } => true,
        Expr::Identifier(name) => {
            name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default")
        }
        Expr::UnaryOp { expr, .. } | Expr::Cast { expr, .. } | Expr::Nested(expr) => {
            is_constant(expr)
        }
        _ => false,
    }
}
