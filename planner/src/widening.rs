//! Where a float meets `numeric`.
//!
//! ```text
//! d = n, d IS DISTINCT FROM n, d = ANY (n[]), CASE d WHEN n      both are double precision
//! d UNION n, ARRAY[d, n], coalesce(d, n), VALUES (d), (n)        all are double precision, or real
//! ```
//! PostgreSQL converts `numeric` into a float by itself and never the other way. DataFusion makes a
//! decimal of the float, which has no NaN, no Infinity and no 1e300, and loses digits.
//!
//! A comparison has an operator for `double precision` and none for `real` beside another number, so
//! that `real` is widened too; a common type is the float that is there.
//!
//! # Source
//! PostgreSQL 15, chapter 10: "Operators" and "UNION, CASE, and Related Constructs".

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr_schema::cast_subquery;
use datafusion::logical_expr::{Expr, Subquery, cast};

use crate::functions::array::frame::{depth, leaf, list_of};
use crate::functions::numeric::planner::number;

/// Whether two numbers are compared as `double precision`, which one of them is not.
pub(crate) fn meet(left: &DataType, right: &DataType) -> bool {
    is_widened(left, right) || is_widened(right, left)
}

fn is_widened(left: &DataType, right: &DataType) -> bool {
    match left {
        DataType::Float32 => right.is_numeric() && *right != DataType::Float32,
        DataType::Float64 => right.is_decimal(),
        _ => false,
    }
}

/// The float that alternatives have in common; `None` unless one is a float and one a decimal.
pub(crate) fn common_float(types: &[DataType]) -> Option<DataType> {
    let double = types.contains(&DataType::Float64);
    let floats = double || types.contains(&DataType::Float32);
    let mixed = floats && types.iter().any(DataType::is_decimal);
    let numbers = types.iter().all(|t| t.is_numeric() || t.is_null());
    (mixed && numbers).then_some(if double { DataType::Float64 } else { DataType::Float32 })
}

/// A number of the given type as `double precision`.
pub(crate) fn to_double(expr: Expr, data_type: &DataType) -> Expr {
    to_float(expr, data_type, &DataType::Float64)
}

/// A number of the given type as a float.
pub(crate) fn to_float(expr: Expr, data_type: &DataType, target: &DataType) -> Expr {
    if data_type == target {
        return expr;
    }
    float_literal(&expr, target).unwrap_or_else(|| cast(expr, target.clone()))
}

/// A constant as a float, so that filters compare a column with a plain value.
pub(crate) fn float_literal(expr: &Expr, target: &DataType) -> Option<Expr> {
    let Expr::Literal(value, _) = expr else { return None };
    let text = match value {
        ScalarValue::Decimal128(Some(value), _, scale) => format!("{value}e-{scale}"),
        ScalarValue::Int32(Some(value)) => value.to_string(),
        _ => return None,
    };
    let value = number(&text, target).ok()??;
    Some(Expr::Literal(value, None))
}

/// The operands of `x op ANY (array)` in the type in which they are compared.
pub(crate) fn quantified(
    tested: Expr,
    tested_type: &DataType,
    list: Expr,
    list_type: &DataType,
) -> (Expr, Expr) {
    let element = leaf(list_type);
    if !meet(tested_type, element) {
        return (tested, list);
    }
    let target = list_of(&DataType::Float64, depth(list_type));
    let list = if *list_type == target { list } else { cast(list, target) };
    (to_double(tested, tested_type), list)
}

/// The operands of `x IN (SELECT y)` in the type in which they are compared; `None` where they are
/// compared as they are. The types are those of `x` and of `y`.
///
/// # Errors
/// What casting the subquery's column says.
pub(crate) fn beside_subquery(
    tested: &Expr,
    subquery: &Subquery,
    types: (&DataType, &DataType),
) -> Result<Option<(Expr, Subquery)>> {
    if !meet(types.0, types.1) {
        return Ok(None);
    }
    let tested = to_double(tested.clone(), types.0);
    Ok(Some((tested, cast_subquery(subquery.clone(), &DataType::Float64)?)))
}
