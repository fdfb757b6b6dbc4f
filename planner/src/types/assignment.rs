//! Which types PostgreSQL stores in a column without being asked to convert them.

use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use tarn_catalog::pg_type::{TIMETZ, format_type, json_kind, pg_type_of};

use super::bits::is_bits;
use super::is_text;
use super::operators::is_unknown;
use crate::error::{PlannerError, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Category {
    Number,
    Text,
    Boolean,
    DateTime,
    Json,
    Bits,
    Other,
}

fn category(field: &Field) -> Category {
    match field.data_type() {
        data_type if json_kind(data_type).is_some() => Category::Json,
        _ if is_bits(field) => Category::Bits,
        data_type if is_text(data_type) => Category::Text,
        DataType::Boolean => Category::Boolean,
        DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(..)
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::FixedSizeBinary(12)
        | DataType::Interval(_) => Category::DateTime,
        data_type if data_type.is_numeric() => Category::Number,
        _ => Category::Other,
    }
}

/// Checks that an output of a query can be stored in a column.
///
/// # Errors
/// `Semantics` 42804.
pub(crate) fn check(plan: &LogicalPlan, output: usize, column: &Field) -> Result<()> {
    let Some(field) = plan.schema().fields().get(output) else { return Ok(()) };
    if *field.data_type() == DataType::Null || has_no_type(plan, output) {
        return Ok(());
    }
    let (from, to) = (category(field), category(column));
    // Anything can be stored as text; what is not listed is left to the cast.
    let fits = (from == to && zoned_times_fit(field, column))
        || to == Category::Text
        || from == Category::Other
        // Rows of VALUES do not say that their texts are bit strings.
        || (to == Category::Bits && from == Category::Text)
        || (to == Category::Other && from != Category::Text);
    if fits {
        return Ok(());
    }
    let name = |field: &Field| format_type(pg_type_of(field).oid, None);
    Err(PlannerError::Semantics {
        code: "42804",
        message: format!(
            "column \"{}\" is of type {} but expression is of type {}",
            column.name(),
            name(column),
            name(field)
        ),
        position: None,
    })
}

/// Whether times of day with a zone and other temporal types may stand for each other: only times
/// without zone both ways, and instants, which have one.
fn zoned_times_fit(from: &Field, to: &Field) -> bool {
    let temporal = category(from) == Category::DateTime;
    let (from, to) = (from.data_type(), to.data_type());
    match (*from == TIMETZ, *to == TIMETZ) {
        (true, false) => !temporal || matches!(to, DataType::Time64(_)),
        (false, true) => {
            matches!(from, DataType::Time64(_) | DataType::Timestamp(_, Some(_))) || !temporal
        }
        _ => true,
    }
}

/// Whether an output is a literal or parameter that takes the column's type.
fn has_no_type(plan: &LogicalPlan, output: usize) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => match projection.expr.get(output) {
            Some(Expr::Column(column)) => {
                let at = projection.input.schema().maybe_index_of_column(column);
                at.is_some_and(|at| has_no_type(&projection.input, at))
            }
            Some(expr) => is_unknown(expr),
            None => false,
        },
        LogicalPlan::Sort(sort) => has_no_type(&sort.input, output),
        LogicalPlan::Limit(limit) => has_no_type(&limit.input, output),
        LogicalPlan::Distinct(Distinct::All(input)) => has_no_type(input, output),
        LogicalPlan::SubqueryAlias(alias) => has_no_type(&alias.input, output),
        LogicalPlan::Values(values) => {
            values.values.iter().all(|row| row.get(output).is_some_and(is_unknown))
        }
        _ => false,
    }
}
