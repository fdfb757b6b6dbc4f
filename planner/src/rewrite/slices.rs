//! Slices of arrays of several dimensions, and those without both bounds.
//!
//! | before | after |
//! |---|---|
//! | `a[2:]` | `array_slice(a, 2, 2147483647)` |
//! | `a[1:2][3]` | `array_slice(a, 1, 2, 1, 3)` |
//!
//! Where one subscript is a slice all are, as in PostgreSQL: `[3]` is `[1:3]` there.

use sqlparser::ast::{AccessExpr, Expr, Subscript, Value};

use super::call;

/// Rewrites one expression after its children.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return };
    let number = |digits: &str| Expr::value(Value::Number(digits.to_owned(), false));
    let mut args = vec![root.as_ref().clone()];
    let mut any = false;
    for access in access_chain.iter() {
        match access {
            AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride: None }) => {
                any = true;
                args.push(lower_bound.clone().unwrap_or_else(|| number("1")));
                args.push(upper_bound.clone().unwrap_or_else(|| number("2147483647")));
            }
            AccessExpr::Subscript(Subscript::Index { index }) => {
                args.push(number("1"));
                args.push(index.clone());
            }
            _ => return,
        }
    }
    if any {
        *expr = call("array_slice", args);
    }
}
