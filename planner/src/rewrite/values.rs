//! VALUES whose rows are of literals and of other expressions.
//!
//! ```text
//! VALUES (DATE '2024-01-05'), ('2023-12-31')   =>   …, (CAST('2023-12-31' AS date))
//! VALUES ('a'::char(1)), ('b'::char(2)), (NULL)  =>  (CAST('a'::char(1) AS bpchar)), …
//! VALUES (1), ((SELECT 2))  =>  VALUES (1) UNION ALL SELECT (SELECT 2) AS column1
//! ```
//!
//! The planner below wants one type in all rows of a column before it gives literals theirs, with
//! what metadata says of it: types that are told by it lose their lengths where rows differ. It
//! cannot run subqueries in VALUES either: rows that have some become queries.

use std::ops::ControlFlow;

use sqlparser::ast::{
    ArrayElemTypeDef, CastKind, DataType, Expr, Ident, ObjectName, Query, SelectItem, SetExpr,
    SetOperator, SetQuantifier, Value, Values,
};

use crate::statement::fold;
use crate::walk::{self, Reader};

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

/// Makes queries of rows that hold subqueries.
pub(super) fn split(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            split(left);
            split(right);
        }
        SetExpr::Values(values) if values.rows.iter().any(|row| has_query(&row.content)) => {
            let rows = std::mem::take(&mut values.rows);
            let mut pieces: Vec<SetExpr> = Vec::new();
            for row in rows {
                if has_query(&row.content) {
                    pieces.push(query_of(row.content));
                } else if let Some(SetExpr::Values(values)) = pieces.last_mut() {
                    values.rows.push(row);
                } else {
                    let rows = vec![row];
                    pieces.push(SetExpr::Values(Values { rows, ..values.clone() }));
                }
            }
            if let Some(all) = together(pieces) {
                *body = all;
            }
        }
        _ => {}
    }
}

fn has_query(row: &[Expr]) -> bool {
    row.iter().any(|cell| walk::read_expr(cell, &mut QueryFinder).is_break())
}

/// Stops at the first subquery.
struct QueryFinder;

impl Reader for QueryFinder {
    fn enter_query(&mut self, _query: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

/// `SELECT a AS column1, b AS column2`.
fn query_of(cells: Vec<Expr>) -> SetExpr {
    let mut query = crate::utility::values_query(cells);
    if let SetExpr::Select(select) = query.body.as_mut() {
        for (at, item) in select.projection.iter_mut().enumerate() {
            if let SelectItem::UnnamedExpr(expr) = item {
                let alias = Ident::with_quote('"', format!("column{}", at + 1));
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
    }
    *query.body
}

/// `UNION ALL` of all of them, not deeper than it has to be.
fn together(mut pieces: Vec<SetExpr>) -> Option<SetExpr> {
    if pieces.len() < 2 {
        return pieces.pop();
    }
    let rest = pieces.split_off(pieces.len() / 2);
    Some(SetExpr::SetOperation {
        left: Box::new(together(pieces)?),
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        right: Box::new(together(rest)?),
    })
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
