//! Files by the values of long IN lists.
//!
//! A list of many values is not taken apart into comparisons, each of which would look at all files:
//! its values are sorted once, and for each file the first value that is not below its least one is
//! looked up. The file may hold rows if that value is not above its greatest one.

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::row::{RowConverter, SortField};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::split_conjunction;

use crate::delta::index::IndexStatistics;

/// Shorter lists are comparisons to DataFusion.
const N_VALUES_MIN: usize = 21;

/// Takes out files that can hold none of the values of a list.
pub(super) fn narrow(statistics: &IndexStatistics<'_>, filters: &[Expr], keep: &mut [bool]) {
    for filter in filters.iter().flat_map(split_conjunction) {
        let Expr::InList(InList { expr, list, negated: false }) = filter else { continue };
        let Expr::Column(column) = expr.as_ref() else { continue };
        if list.len() < N_VALUES_MIN {
            continue;
        }
        let values: Option<Vec<ScalarValue>> = list.iter().map(literal).collect();
        let may_hold = values.and_then(|values| may_hold(statistics, &column.name, values));
        for (keep, may_hold) in keep.iter_mut().zip(may_hold.into_iter().flatten()) {
            *keep &= may_hold;
        }
    }
}

fn literal(value: &Expr) -> Option<ScalarValue> {
    match value {
        Expr::Literal(value, _) => Some(value.clone()),
        _ => None,
    }
}

/// For each file whether a value lies between its bounds; `None` where that cannot be told.
fn may_hold(
    statistics: &IndexStatistics<'_>,
    column: &str,
    values: Vec<ScalarValue>,
) -> Option<Vec<bool>> {
    // A NULL is equal to nothing.
    let values = ScalarValue::iter_to_array(values.into_iter().filter(|v| !v.is_null())).ok()?;
    let data_type = values.data_type().clone();
    // -0 is equal to 0 and before it, and bounds leave out NaN.
    if data_type.is_floating() || data_type.is_nested() {
        return None;
    }
    let column = Column::from_name(column);
    let (min, max) = (statistics.min_values(&column)?, statistics.max_values(&column)?);
    let (min, max) = (cast(&min, &data_type).ok()?, cast(&max, &data_type).ok()?);
    let converter = RowConverter::new(vec![SortField::new(data_type)]).ok()?;
    let rows = |values: &ArrayRef| converter.convert_columns(&[ArrayRef::clone(values)]).ok();
    let (values, least, greatest) = (rows(&values)?, rows(&min)?, rows(&max)?);
    let mut values: Vec<_> = values.iter().collect();
    values.sort_unstable();
    let files = least.iter().zip(greatest.iter()).enumerate().map(|(file, (least, greatest))| {
        let at = values.partition_point(|value| *value < least);
        let is_known = min.is_valid(file) && max.is_valid(file);
        !is_known || values.get(at).is_some_and(|value| *value <= greatest)
    });
    Some(files.collect())
}
