//! Comparisons of values that files hold as texts, told to the Parquet source in terms of the texts.
//!
//! The source compares bounds of row groups and pages with a filter's literals, and knows nothing of
//! a value inside of a text. So it is told what follows for the text:
//!
//! ```text
//! RELABEL(c) = V   ─▶   c >= lowest(V) AND c <= highest(V) AND RELABEL(c) = V
//! RELABEL(c) > V   ─▶   c >= lowest(V) AND RELABEL(c) > V
//! ```
//! Every text of the value V lies between the two, whoever has written it: UUIDs may have capital
//! letters, which come before the small ones, and times may end in zeros. The order of the values is
//! that of these texts, so what is said holds for greater and smaller values, too.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Literal};
use uuid::Uuid;

use super::texts::text_of;

/// Digits behind the point of a time; more can only be zeros.
const TIME_DIGITS: usize = 6;

/// What follows for the text of a column from a comparison of its value, as an expression; `None`
/// where nothing does.
pub(in crate::delta) fn follows(
    text: &Arc<dyn PhysicalExpr>,
    text_type: &DataType,
    op: Operator,
    value: &ScalarValue,
) -> Option<Arc<dyn PhysicalExpr>> {
    let (low, high) = texts_of(value)?;
    let compared = |op: Operator, bound: String| -> Option<Arc<dyn PhysicalExpr>> {
        let bound = match text_type {
            DataType::Utf8 => ScalarValue::Utf8(Some(bound)),
            DataType::LargeUtf8 => ScalarValue::LargeUtf8(Some(bound)),
            DataType::Utf8View => ScalarValue::Utf8View(Some(bound)),
            _ => return None,
        };
        let bound = Arc::new(Literal::new(bound));
        Some(Arc::new(BinaryExpr::new(Arc::clone(text), op, bound)))
    };
    match op {
        Operator::Eq => {
            let (low, high) = (compared(Operator::GtEq, low)?, compared(Operator::LtEq, high)?);
            Some(Arc::new(BinaryExpr::new(low, Operator::And, high)))
        }
        Operator::Gt | Operator::GtEq => compared(Operator::GtEq, low),
        Operator::Lt | Operator::LtEq => compared(Operator::LtEq, high),
        _ => None,
    }
}

/// The first and the last text that can stand for a value.
pub(super) fn texts_of(value: &ScalarValue) -> Option<(String, String)> {
    match value.data_type() {
        DataType::FixedSizeBinary(16) => {
            let ScalarValue::FixedSizeBinary(_, Some(bytes)) = value else { return None };
            let small = Uuid::from_slice(bytes).ok()?.to_string();
            Some((small.to_uppercase(), small))
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            let short = text_of(value)?;
            let mut long = short.clone();
            let n_digits = match short.split_once('.') {
                Some((_, digits)) => digits.len(),
                None => {
                    long.push('.');
                    0
                }
            };
            long.extend(std::iter::repeat_n('0', TIME_DIGITS.saturating_sub(n_digits)));
            // Behind any more zeros.
            long.push('~');
            Some((short, long))
        }
        _ => None,
    }
}
