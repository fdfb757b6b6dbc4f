//! Literals that a cast cannot read: the error points at the literal, and comes even where the
//! expression is never evaluated, as in PostgreSQL.

use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use sqlparser::ast::{DataType as Sql, ExactNumberInfo, Expr, Value};

use super::checks::Misuse;
use crate::error::PlannerError;
use crate::functions::numeric::text;

/// Reads the literal of `'x'::integer` and `integer 'x'` where the type is a number.
pub(super) fn check(expr: &Expr) -> Result<(), Misuse> {
    let (value, data_type) = match expr {
        Expr::Cast { expr: inner, data_type, array: false, .. } => match inner.as_ref() {
            Expr::Value(value) => (value, data_type),
            _ => return Ok(()),
        },
        Expr::TypedString(typed) => (&typed.value, &typed.data_type),
        _ => return Ok(()),
    };
    let Value::SingleQuotedString(literal) = &value.value else { return Ok(()) };
    let read = match data_type {
        Sql::SmallInt(None) | Sql::Int2(None) => text::integer(literal, &DataType::Int16).map(drop),
        Sql::Int(None) | Sql::Integer(None) | Sql::Int4(None) => {
            text::integer(literal, &DataType::Int32).map(drop)
        }
        Sql::BigInt(None) | Sql::Int8(None) => text::integer(literal, &DataType::Int64).map(drop),
        Sql::Real | Sql::Float4 => text::float4(literal).map(drop),
        Sql::Float8 | Sql::Double(ExactNumberInfo::None) | Sql::DoublePrecision => {
            text::float8(literal).map(drop)
        }
        _ => return Ok(()),
    };
    let Err(DataFusionError::External(error)) = read else { return Ok(()) };
    match error.downcast::<PlannerError>().map(|error| *error) {
        Ok(PlannerError::Semantics { code, message, .. }) => {
            let at = Some(value.span.start).filter(|at| at.line > 0);
            Err(Misuse { code, message, at })
        }
        _ => Ok(()),
    }
}
