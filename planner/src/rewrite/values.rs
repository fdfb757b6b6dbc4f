//! VALUES whose rows are of literals and of other expressions.
//!
//! ```text
//! VALUES (DATE '2024-01-05'), ('2023-12-31')   =>   …, (CAST('2023-12-31' AS date))
//! ```
//!
//! The planner below wants one type in all rows of a column before it gives literals theirs.

use sqlparser::ast::{ArrayElemTypeDef, CastKind, DataType, Expr, SetExpr, Value};

/// Gives literals the type that another row of their column states.
pub(super) fn rewrite(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            rewrite(left);
            rewrite(right);
        }
        SetExpr::Values(values) => {
            let n_columns = values.rows.first().map_or(0, |row| row.content.len());
            for at in 0..n_columns {
                let cells = values.rows.iter().filter_map(|row| row.content.get(at));
                let Some(data_type) = cells.into_iter().find_map(stated) else { continue };
                for row in &mut values.rows {
                    if let Some(cell) = row.content.get_mut(at)
                        && is_text(cell)
                    {
                        *cell = cast(cell.clone(), data_type.clone());
                    }
                }
            }
        }
        _ => {}
    }
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    let expr = Box::new(expr);
    Expr::Cast { kind: CastKind::Cast, expr, data_type, array: false, format: None }
}

fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)))
}

/// The type that an expression states.
fn stated(expr: &Expr) -> Option<DataType> {
    match expr {
        Expr::Cast { data_type, array: false, .. } => Some(data_type.clone()),
        Expr::TypedString(typed) => Some(typed.data_type.clone()),
        Expr::Interval(_) => Some(DataType::Interval { fields: None, precision: None }),
        Expr::Nested(inner) => stated(inner),
        Expr::Array(array) if !array.elem.is_empty() && array.elem.iter().all(is_text) => {
            let text = Box::new(DataType::Text);
            Some(DataType::Array(ArrayElemTypeDef::SquareBracket(text, None)))
        }
        _ => None,
    }
}
