//! Names of columns in the expressions of a table's definition.

use std::ops::ControlFlow;

use sqlparser::ast::Expr;

use crate::error::Result;
use crate::parser::parse_expr;
use crate::statement::{fold, quoted};
use crate::walk::{self, Editor};

/// An expression in which a column has another name.
///
/// # Errors
/// `Syntax` for what is no expression.
pub fn renamed_in(text: &str, old: &str, new: &str) -> Result<String> {
    let mut expr = parse_expr(text)?;
    let mut names = Names { old, new: quoted(new) };
    // It never breaks off.
    let _ = walk::edit_expr(&mut expr, &mut names);
    Ok(expr.to_string())
}

struct Names<'a> {
    old: &'a str,
    /// With quotes where it needs them.
    new: String,
}

impl Editor for Names<'_> {
    fn enter_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let ident = match expr {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(parts) => parts.last_mut(),
            _ => None,
        };
        if let Some(ident) = ident
            && fold(ident) == self.old
        {
            *ident = sqlparser::ast::Ident::new(self.new.clone());
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::renamed_in;

    #[test]
    fn a_column_gets_another_name() {
        let check = |text: &str, new: &str, expected: &str| {
            assert_eq!(renamed_in(text, "a", new).expect("is an expression"), expected);
        };
        check("a > 0 AND b <> 'a'", "c", "c > 0 AND b <> 'a'");
        check("upper(A) = t.a", "an A", "upper(\"an A\") = t.\"an A\"");
        check("\"A\" = 1", "c", "\"A\" = 1");
    }
}
