//! The type of a chain of operators: `1 + 1 + 1 + …`, `a = 1 OR a = 2 OR …`.
//!
//! DataFusion's `get_type` names every expression below by its whole text. The planners of operators
//! ask at each link of a chain, so that the time grew with the third power of its length.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ExprSchema, Result};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

/// The type of an expression, without names where operands of one type keep it.
pub(crate) fn type_of(expr: &Expr, schema: &DFSchema) -> Result<DataType> {
    match kept(expr, schema) {
        Some(data_type) => Ok(data_type),
        None => expr.get_type(schema),
    }
}

/// Whether an expression is a condition whatever its operands are.
pub(crate) fn is_condition(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(binary) => {
            use Operator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
            matches!(binary.op, And | Or | Eq | NotEq | Lt | LtEq | Gt | GtEq)
        }
        Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Between(_)
        | Expr::InList(_)
        | Expr::InSubquery(_)
        | Expr::Exists(_) => true,
        _ => false,
    }
}

fn kept(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    if is_condition(expr) {
        return Some(DataType::Boolean);
    }
    // From the innermost link outwards: the left operands must all have the type of the first.
    let mut current = expr;
    let mut data_type: Option<DataType> = None;
    loop {
        match current {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_arithmetic(*op) => {
                let of_right = leaf(right, schema)?;
                let keeps = of_right.is_signed_integer() || of_right.is_floating();
                if !keeps || data_type.as_ref().is_some_and(|known| *known != of_right) {
                    return None;
                }
                data_type = Some(of_right);
                current = left;
            }
            other => {
                let first = leaf(other, schema)?;
                return match data_type {
                    Some(known) if known != first => None,
                    _ => Some(first),
                };
            }
        }
    }
}

fn leaf(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    match expr {
        Expr::Literal(value, _) => Some(value.data_type()),
        Expr::Column(column) => schema.data_type(column).ok().cloned(),
        _ => None,
    }
}

fn is_arithmetic(op: Operator) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo)
}
