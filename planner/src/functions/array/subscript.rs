//! `a[1]`, `a[1][2]`: one element, NULL where there is none.

use arrow::array::{Array, ArrayRef, Int64Array, new_null_array};
use datafusion::common::Result;

use super::frame::{Call, Lists, Param, Returns, Spec, depth, pick};
use crate::types::name_in_metadata;

pub(super) const SPEC: Spec = Spec {
    name: "array_element",
    params: &[Param::Array, Param::Int, Param::Int, Param::Int, Param::Int, Param::Int, Param::Int],
    n_optional: 5,
    returns: Returns::Element,
    body: element,
};

fn element(call: &Call<'_>) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let n_subscripts = call.arrays.len() - 1;
    // With fewer or more subscripts than dimensions there is no element.
    if n_subscripts != depth(array.data_type()) {
        return Ok(new_null_array(call.result_type, call.n_rows));
    }
    let vector = call.field(0).and_then(name_in_metadata);
    let first = i64::from(!matches!(vector, Some("int2vector" | "oidvector")));
    let mut places: Vec<Option<usize>> = (0..call.n_rows).map(Some).collect();
    let mut level = Lists::new(array)?;
    for argument in 1..=n_subscripts {
        let subscripts = call.ints(argument)?;
        for (row, place) in places.iter_mut().enumerate() {
            *place = place.and_then(|at| step(&level, at, &subscripts, row, first));
        }
        if argument < n_subscripts {
            let Some(inner) = level.inner() else {
                return Ok(new_null_array(call.result_type, call.n_rows));
            };
            level = inner;
        }
    }
    let nothing = new_null_array(level.values().data_type(), 1);
    let picks: Vec<_> =
        places.into_iter().map(|place| place.map_or((1, 0), |at| (0, at))).collect();
    pick(&[level.values(), &nothing], &picks, call.result_type)
}

fn step(
    level: &Lists,
    at: usize,
    subscripts: &Int64Array,
    row: usize,
    first: i64,
) -> Option<usize> {
    if subscripts.is_null(row) || level.is_null(at) {
        return None;
    }
    let index = usize::try_from(subscripts.value(row).checked_sub(first)?).ok()?;
    let range = level.range(at);
    (index < range.len()).then_some(range.start + index)
}
