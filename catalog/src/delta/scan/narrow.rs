//! Which filters leave so few rows that the other columns are read after them.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::delta::snapshot::DeltaSnapshot;

/// Distinct values that a column must have for each one that is asked for.
const VALUES_MIN: u128 = 10_000;
/// Values of an IN list that is still a lookup.
const LIST_VALUES_MAX: usize = 16;

/// Whether a filter asks for single values of an integer column that spreads over many.
///
/// Filters are evaluated by the Parquet source only then: where they leave many rows, decoding
/// whole pages and filtering the batches is faster.
pub(in crate::delta) fn is_narrow(snapshot: &DeltaSnapshot, filter: &Expr) -> bool {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            match (left.as_ref(), right.as_ref()) {
                (Expr::Column(column), Expr::Literal(..))
                | (Expr::Literal(..), Expr::Column(column)) => spreads(snapshot, &column.name, 1),
                _ => false,
            }
        }
        Expr::InList(InList { expr, list, negated: false }) if list.len() <= LIST_VALUES_MAX => {
            match expr.as_ref() {
                Expr::Column(column) if list.iter().all(|e| matches!(e, Expr::Literal(..))) => {
                    spreads(snapshot, &column.name, list.len())
                }
                _ => false,
            }
        }
        _ => false,
    }
}

fn spreads(snapshot: &DeltaSnapshot, column: &str, n_values: usize) -> bool {
    let schema = snapshot.layout.scan_schema.table_schema();
    let Ok(position) = schema.index_of(column) else { return false };
    let statistics = snapshot.full_statistics();
    let Some(statistics) = statistics.column_statistics.get(position) else { return false };
    let bounds = (statistics.min_value.get_value(), statistics.max_value.get_value());
    let (Some(min), Some(max)) = (bounds.0.and_then(integer), bounds.1.and_then(integer)) else {
        return false;
    };
    let width = max.abs_diff(min);
    width / VALUES_MIN >= u128::try_from(n_values.max(1)).unwrap_or(u128::MAX)
}

fn integer(value: &ScalarValue) -> Option<i128> {
    match value {
        ScalarValue::Int16(value) => value.map(i128::from),
        ScalarValue::Int32(value) => value.map(i128::from),
        ScalarValue::Int64(value) => value.map(i128::from),
        _ => None,
    }
}
