//! VALUES whose rows are of literals and of other expressions.
//!
//! ```text
//! VALUES (DATE '2024-01-05'), ('2023-12-31')   =>   …, (CAST('2023-12-31' AS date))
//! VALUES ('a'::char(1)), ('b'::char(2)), (NULL)  =>  (CAST('a'::char(1) AS bpchar)), …
//! ```
//!
//! The planner below wants one type in all rows of a column before it gives literals theirs, with
//! what metadata says of it: types that are told by it lose their lengths where rows differ.

use sqlparser::ast::{
    ArrayElemTypeDef, CastKind, DataType, Expr, Ident, ObjectName, SetExpr, Value,
};

use crate::statement::fold;

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
                let cells = || values.rows.iter().filter_map(|row| row.content.get(at));
                let Some(data_type) = cells().find_map(stated) else { continue };
                let differs = |cell: &Expr| stated(cell).as_ref() != Some(&data_type);
                if let Some(plain) = without_length(&data_type)
                    && cells().any(differs)
                {
                    for cell in values.rows.iter_mut().filter_map(|row| row.content.get_mut(at)) {
                        if is_text(cell) || is_null(cell) || is_told_by_metadata(cell) {
                            *cell = cast(cell.clone(), plain.clone());
                        }
                    }
                    continue;
                }
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

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value == Value::Null)
}

fn is_told_by_metadata(cell: &Expr) -> bool {
    stated(cell).is_some_and(|data_type| without_length(&data_type).is_some())
}

/// A type of texts without its length; `None` for types that the engine tells apart.
fn without_length(data_type: &DataType) -> Option<DataType> {
    use DataType as T;
    let named = |name| {
        let name = ObjectName::from(vec![Ident::with_quote('"', name)]);
        Some(T::Custom(name, vec![]))
    };
    match data_type {
        T::Varchar(_) | T::CharacterVarying(_) | T::CharVarying(_) => Some(T::Varchar(None)),
        T::Char(_) | T::Character(_) => named("bpchar"),
        T::Bit(_) => named("bit"),
        T::BitVarying(_) | T::VarBit(_) => named("varbit"),
        T::Custom(name, _) => match name.0.as_slice() {
            [part] => {
                let name = part.as_ident().map(fold)?;
                match name.as_str() {
                    "bpchar" => named("bpchar"),
                    "bit" => named("bit"),
                    "varbit" => named("varbit"),
                    "varchar" => Some(T::Varchar(None)),
                    _ => None,
                }
            }
            _ => None,
        },
        _ => None,
    }
}

/// The type that an expression states.
fn stated(expr: &Expr) -> Option<DataType> {
    match expr {
        Expr::Cast { data_type, array: false, .. } => Some(data_type.clone()),
        Expr::TypedString(typed) => Some(typed.data_type.clone()),
        Expr::Value(value)
            if matches!(
                value.value,
                Value::SingleQuotedByteStringLiteral(_) | Value::HexStringLiteral(_)
            ) =>
        {
            let name = ObjectName::from(vec![Ident::with_quote('"', "bit")]);
            Some(DataType::Custom(name, vec![]))
        }
        Expr::Interval(_) => Some(DataType::Interval { fields: None, precision: None }),
        Expr::Nested(inner) => stated(inner),
        Expr::Array(array) if !array.elem.is_empty() && array.elem.iter().all(is_text) => {
            let text = Box::new(DataType::Text);
            Some(DataType::Array(ArrayElemTypeDef::SquareBracket(text, None)))
        }
        _ => None,
    }
}
