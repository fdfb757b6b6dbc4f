//! Columns of VALUES whose rows are written with different types.
//!
//! ```text
//! VALUES (DATE '2024-01-01'), ('2024-02-01')  ->  …, (CAST('2024-02-01' AS date))
//! VALUES (1.5::real), (2.25)                  ->  …, (CAST(2.25 AS real))
//! VALUES (1), ('2')                           ->  …, (CAST('2' AS integer))
//! ```
//! DataFusion wants one type in a column, and takes decimals for floats.

use sqlparser::ast::{CastKind, DataType, ExactNumberInfo, Expr, Value, Values};

use super::{constant, is_float};

/// How a value says its type.
enum Written<'a> {
    Null,
    Unknown,
    Number(String),
    Typed(&'a DataType),
    Computed,
}

/// Casts literals to the type that other rows give their column.
pub(super) fn align(values: &mut Values) {
    let n_columns = values.rows.first().map_or(0, |row| row.content.len());
    for at in 0..n_columns {
        let Some(target) = target(values, at) else { continue };
        for row in &mut values.rows {
            let Some(expr) = row.content.get_mut(at) else { continue };
            let casts = match written(expr) {
                Written::Unknown => true,
                Written::Number(_) => is_float(&target),
                _ => false,
            };
            if casts {
                let inner = std::mem::replace(expr, Expr::value(Value::Null));
                *expr = Expr::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new(inner),
                    data_type: target.clone(),
                    array: false,
                    format: None,
                };
            }
        }
    }
}

/// The type of a column, where literals have to be told.
fn target(values: &Values, at: usize) -> Option<DataType> {
    let (mut typed, mut number, mut unknown): (Option<&DataType>, Option<String>, bool) =
        (None, None, false);
    for row in &values.rows {
        match written(row.content.get(at)?) {
            Written::Null => {}
            Written::Unknown => unknown = true,
            Written::Number(text) => {
                // The widest number decides.
                let wider = number.as_ref().is_none_or(|known| rank(&text) > rank(known));
                if wider {
                    number = Some(text);
                }
            }
            Written::Typed(data_type) if typed.is_none_or(|known| known == data_type) => {
                typed = Some(data_type);
            }
            Written::Typed(_) | Written::Computed => return None,
        }
    }
    match (typed, number) {
        (Some(data_type), Some(_)) => is_float(data_type).then(|| data_type.clone()),
        (Some(data_type), None) if unknown => Some(data_type.clone()),
        (None, Some(text)) if unknown => Some(match rank(&text) {
            0 => DataType::Int(None),
            1 => DataType::BigInt(None),
            _ => DataType::Numeric(ExactNumberInfo::None),
        }),
        _ => None,
    }
}

fn rank(number: &str) -> u8 {
    if number.parse::<i32>().is_ok() {
        0
    } else if number.parse::<i64>().is_ok() {
        1
    } else {
        2
    }
}

fn written(expr: &Expr) -> Written<'_> {
    if let Some(text) = constant(expr) {
        return Written::Number(text);
    }
    match expr {
        Expr::Nested(inner) => written(inner),
        Expr::Value(value) => match &value.value {
            Value::Null => Written::Null,
            Value::SingleQuotedString(_) => Written::Unknown,
            _ => Written::Computed,
        },
        Expr::Cast { data_type, array: false, format: None, .. } => Written::Typed(data_type),
        Expr::TypedString(typed) => Written::Typed(&typed.data_type),
        _ => Written::Computed,
    }
}
