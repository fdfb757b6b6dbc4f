//! Expressions that parse and that PostgreSQL refuses: unknown collations, key words as functions.

use sqlparser::ast::Expr;

use crate::error::{PlannerError, Result};
use crate::statement::fold;

/// Collations that sort as tarn does: by code point.
const COLLATIONS: &[&str] = &["default", "C", "POSIX", "ucs_basic", "C.UTF-8", "C.utf8"];

/// Words that can name no function.
const RESERVED: &[&str] =
    &["in", "and", "or", "not", "is", "then", "else", "when", "from", "where"];

/// Checks one expression, before others rewrite it.
pub(super) fn check(expr: &Expr) -> Result<()> {
    match expr {
        Expr::Collate { collation, .. } => {
            let name = collation.0.last().and_then(|part| part.as_ident()).map(fold);
            let name = name.unwrap_or_default();
            if COLLATIONS.contains(&name.as_str()) {
                return Ok(());
            }
            let message = format!("collation \"{name}\" for encoding \"UTF8\" does not exist");
            Err(PlannerError::Semantics { code: "42704", message, position: None })
        }
        Expr::Function(function) => {
            let [part] = function.name.0.as_slice() else { return Ok(()) };
            let Some(ident) = part.as_ident() else { return Ok(()) };
            let word = ident.value.to_ascii_lowercase();
            if ident.quote_style.is_some() || !RESERVED.contains(&word.as_str()) {
                return Ok(());
            }
            let message = format!("syntax error at or near \"{}\"", ident.value);
            Err(PlannerError::Syntax { message, position: None })
        }
        _ => Ok(()),
    }
}
