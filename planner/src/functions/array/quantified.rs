//! `x = ANY (a)` and `x <> ALL (a)` with their NULLs.

use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::frame::{Call, Param, Returns, Spec, comparator};

macro_rules! quantified {
    ($($any:literal $all:literal $op:literal $test:expr;)*) => {
        pub(super) static FUNCTIONS: LazyLock<Vec<(&str, bool, Arc<ScalarUDF>)>> =
            LazyLock::new(|| vec![$(
                ($op, true, udf($any, |call| quantify(call, true, $test))),
                ($op, false, udf($all, |call| quantify(call, false, $test))),
            )*]);
    };
}

quantified! {
    "any_eq" "all_eq" "=" Ordering::is_eq;
    "any_ne" "all_ne" "<>" Ordering::is_ne;
    "any_lt" "all_lt" "<" Ordering::is_lt;
    "any_le" "all_le" "<=" Ordering::is_le;
    "any_gt" "all_gt" ">" Ordering::is_gt;
    "any_ge" "all_ge" ">=" Ordering::is_ge;
}

fn udf(name: &'static str, body: fn(&Call<'_>) -> Result<ArrayRef>) -> Arc<ScalarUDF> {
    let params = &[Param::Element, Param::Array];
    Spec { name, params, n_optional: 0, returns: Returns::Bool, body }.into_udf()
}

/// The function of a comparison; `None` for other operators.
pub(crate) fn function(op: &str, any: bool) -> Option<Arc<ScalarUDF>> {
    let op = if op == "!=" { "<>" } else { op };
    let found = FUNCTIONS.iter().find(|(name, is_any, _)| *name == op && *is_any == any);
    found.map(|(_, _, function)| Arc::clone(function))
}

/// ANY is true for one true, else unknown for one unknown, else false; ALL the other way round.
fn quantify(call: &Call<'_>, any: bool, test: fn(Ordering) -> bool) -> Result<ArrayRef> {
    let tested = call.array(0)?;
    let mut level = call.lists(1)?;
    let outer = call.lists(1)?;
    let mut ranges: Vec<_> = (0..call.n_rows).map(|row| level.range(row)).collect();
    while let Some(inner) = level.inner() {
        for range in &mut ranges {
            *range = if range.start >= range.end {
                0..0
            } else {
                inner.range(range.start).start..inner.range(range.end - 1).end
            };
        }
        level = inner;
    }
    let values = level.values();
    let compare = comparator(tested, values)?;
    let row = |row: usize| {
        if outer.is_null(row) {
            return None;
        }
        let range = ranges.get(row).cloned().unwrap_or(0..0);
        if range.start >= range.end {
            return Some(!any);
        }
        if tested.is_null(row) {
            return None;
        }
        let mut unknown = false;
        for at in range {
            if values.is_null(at) {
                unknown = true;
            } else if test(compare(row, at)) == any {
                return Some(any);
            }
        }
        if unknown { None } else { Some(!any) }
    };
    Ok(Arc::new((0..call.n_rows).map(row).collect::<BooleanArray>()))
}
