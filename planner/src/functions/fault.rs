//! Errors with a SQLSTATE from inside an expression.

use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;

use crate::error::PlannerError;

/// An error that clients see with this code and message.
pub(crate) fn fault(code: &'static str, message: impl Into<String>) -> DataFusionError {
    let message = message.into();
    DataFusionError::External(Box::new(PlannerError::Semantics { code, message, position: None }))
}

/// A number does not fit its type.
pub(crate) fn out_of_range(data_type: &DataType) -> DataFusionError {
    let name = match data_type {
        DataType::Int8 | DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::Int64 => "bigint",
        _ => return fault("22003", "value out of range: overflow"),
    };
    fault("22003", format!("{name} out of range"))
}

/// A divisor is zero.
pub(crate) fn division_by_zero() -> DataFusionError {
    fault("22012", "division by zero")
}
