//! Functions that say something of an array: its bounds, what is in it, its text.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array, StringArray};
use arrow::datatypes::Field;
use datafusion::common::Result;

use super::frame::{Call, Lists, Param, Returns, Spec, comparator, depth};
use crate::functions::fault::fault;

const ARRAY_AND_DIMENSION: &[Param] = &[Param::Array, Param::Int];
const TWO_ARRAYS: &[Param] = &[Param::Array, Param::Array];

macro_rules! spec {
    ($name:literal, $params:expr, $optional:literal, $returns:ident, $body:expr) => {
        Spec {
            name: $name,
            params: $params,
            n_optional: $optional,
            returns: Returns::$returns,
            body: $body,
        }
    };
}

pub(super) const SPECS: &[Spec] = &[
    spec!("array_length", ARRAY_AND_DIMENSION, 0, Int4, length),
    spec!("array_upper", ARRAY_AND_DIMENSION, 0, Int4, upper),
    spec!("array_lower", ARRAY_AND_DIMENSION, 0, Int4, lower),
    spec!("array_ndims", &[Param::Array], 0, Int4, dimensions),
    spec!("array_dims", &[Param::Array], 0, Text, bounds),
    spec!("cardinality", &[Param::Array], 0, Int4, cardinality),
    spec!("array_position", &[Param::Array, Param::Element, Param::Int], 1, Int4, position),
    spec!("array_to_string", &[Param::Array, Param::Text, Param::Text], 1, Text, join),
    spec!("array_contains_all", TWO_ARRAYS, 0, Bool, contains),
    spec!("array_contained", TWO_ARRAYS, 0, Bool, contained),
    spec!("array_overlaps", TWO_ARRAYS, 0, Bool, overlaps),
    spec!("array_eq", TWO_ARRAYS, 0, Bool, |call| compared(call, Ordering::is_eq)),
    spec!("array_ne", TWO_ARRAYS, 0, Bool, |call| compared(call, Ordering::is_ne)),
    spec!("array_lt", TWO_ARRAYS, 0, Bool, |call| compared(call, Ordering::is_lt)),
    spec!("array_le", TWO_ARRAYS, 0, Bool, |call| compared(call, Ordering::is_le)),
    spec!("array_gt", TWO_ARRAYS, 0, Bool, |call| compared(call, Ordering::is_gt)),
    spec!("array_ge", TWO_ARRAYS, 0, Bool, |call| compared(call, Ordering::is_ge)),
];

/// Whether an array's subscripts begin at zero.
fn is_vector(field: Option<&Field>) -> bool {
    let name = field.and_then(crate::types::name_in_metadata);
    matches!(name, Some("int2vector" | "oidvector"))
}

fn numbers(call: &Call<'_>, number: impl Fn(&Lists, usize) -> Option<usize>) -> Result<Int32Array> {
    let lists = call.lists(0)?;
    let number = |row: usize| {
        if lists.is_null(row) { None } else { number(&lists, row) }
    };
    Ok((0..call.n_rows).map(|row| number(row).and_then(|n| i32::try_from(n).ok())).collect())
}

fn size_of_dimension(call: &Call<'_>) -> Result<impl Fn(&Lists, usize) -> Option<usize> + use<>> {
    let dimensions = call.ints(1)?;
    Ok(move |lists: &Lists, row: usize| {
        if dimensions.is_null(row) {
            return None;
        }
        let at = usize::try_from(dimensions.value(row)).ok()?.checked_sub(1)?;
        lists.sizes(row).get(at).copied()
    })
}

fn length(call: &Call<'_>) -> Result<ArrayRef> {
    Ok(Arc::new(numbers(call, size_of_dimension(call)?)?))
}

fn upper(call: &Call<'_>) -> Result<ArrayRef> {
    let size = size_of_dimension(call)?;
    let vector = usize::from(is_vector(call.field(0)));
    Ok(Arc::new(numbers(call, |lists, row| size(lists, row)?.checked_sub(vector))?))
}

fn lower(call: &Call<'_>) -> Result<ArrayRef> {
    let size = size_of_dimension(call)?;
    let first = usize::from(!is_vector(call.field(0)));
    Ok(Arc::new(numbers(call, |lists, row| size(lists, row).map(|_| first))?))
}

fn dimensions(call: &Call<'_>) -> Result<ArrayRef> {
    let count = |lists: &Lists, row: usize| Some(lists.sizes(row).len()).filter(|n| *n > 0);
    Ok(Arc::new(numbers(call, count)?))
}

fn cardinality(call: &Call<'_>) -> Result<ArrayRef> {
    let count = |lists: &Lists, row: usize| {
        let sizes = lists.sizes(row);
        Some(if sizes.is_empty() { 0 } else { sizes.iter().product() })
    };
    Ok(Arc::new(numbers(call, count)?))
}

fn bounds(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = call.lists(0)?;
    let first = usize::from(!is_vector(call.field(0)));
    let text = |row: usize| {
        let sizes = lists.sizes(row);
        let text = |size: &usize| format!("[{first}:{}]", size + first - 1);
        (!lists.is_null(row) && !sizes.is_empty())
            .then(|| sizes.iter().map(text).collect::<String>())
    };
    Ok(Arc::new((0..call.n_rows).map(text).collect::<StringArray>()))
}

fn position(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = call.lists(0)?;
    if lists.inner().is_some() {
        let message = "searching for elements in multidimensional arrays is not supported";
        return Err(fault("0A000", message));
    }
    let starts = if call.has(2) { Some(call.ints(2)?) } else { None };
    let compare = comparator(lists.values(), call.array(1)?)?;
    let find = |row: usize| -> Result<Option<i32>> {
        let start = match &starts {
            Some(starts) if starts.is_null(row) => {
                return Err(fault("22004", "initial position must not be null"));
            }
            Some(starts) => usize::try_from(starts.value(row) - 1).unwrap_or(0),
            None => 0,
        };
        let mut found = lists.range(row).enumerate().skip(start);
        let found = found.find(|(_, at)| compare(*at, row) == Ordering::Equal);
        Ok(found.and_then(|(index, _)| i32::try_from(index + 1).ok()))
    };
    let found = (0..call.n_rows).map(find).collect::<Result<Int32Array>>()?;
    Ok(Arc::new(found))
}

fn join(call: &Call<'_>) -> Result<ArrayRef> {
    // The elements in order, whatever the number of dimensions.
    let mut level = call.lists(0)?;
    let outer = call.lists(0)?;
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
    let source = Field::new("", level.values().data_type().clone(), true);
    let values = call.forms.write(level.values(), &source, false);
    let values = values.map_err(crate::types::convert::external)?;
    let separators = call.texts(1)?;
    let nulls = if call.has(2) { Some(call.texts(2)?) } else { None };
    let text = |row: usize| {
        if outer.is_null(row) || separators.is_null(row) {
            return None;
        }
        let null = nulls.as_ref().filter(|nulls| nulls.is_valid(row)).map(|nulls| nulls.value(row));
        let parts = ranges.get(row).cloned().unwrap_or(0..0);
        let parts = parts.filter_map(|at| match values.is_null(at) {
            true => null,
            false => Some(values.value(at)),
        });
        Some(parts.collect::<Vec<_>>().join(separators.value(row)))
    };
    Ok(Arc::new((0..call.n_rows).map(text).collect::<StringArray>()))
}

/// The innermost elements of each row.
fn flat(call: &Call<'_>, argument: usize) -> Result<(ArrayRef, Vec<std::ops::Range<usize>>)> {
    let mut level = call.lists(argument)?;
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
    Ok((Arc::clone(level.values()), ranges))
}

fn tested(
    call: &Call<'_>,
    test: impl Fn(&dyn Fn(usize, usize) -> bool, std::ops::Range<usize>, std::ops::Range<usize>) -> bool,
) -> Result<ArrayRef> {
    let (left, left_ranges) = flat(call, 0)?;
    let (right, right_ranges) = flat(call, 1)?;
    let compare = comparator(&left, &right)?;
    // NULL is never equal to anything here.
    let equal = |a: usize, b: usize| left.is_valid(a) && compare(a, b) == Ordering::Equal;
    let (a, b) = (call.array(0)?, call.array(1)?);
    let row = |row: usize| {
        let range = |ranges: &[std::ops::Range<usize>]| ranges.get(row).cloned().unwrap_or(0..0);
        (a.is_valid(row) && b.is_valid(row))
            .then(|| test(&equal, range(&left_ranges), range(&right_ranges)))
    };
    Ok(Arc::new((0..call.n_rows).map(row).collect::<BooleanArray>()))
}

fn contains(call: &Call<'_>) -> Result<ArrayRef> {
    tested(call, |equal, a, mut b| b.all(|b| a.clone().any(|a| equal(a, b))))
}

fn contained(call: &Call<'_>) -> Result<ArrayRef> {
    tested(call, |equal, mut a, b| a.all(|a| b.clone().any(|b| equal(a, b))))
}

fn overlaps(call: &Call<'_>) -> Result<ArrayRef> {
    tested(call, |equal, mut a, b| a.any(|a| b.clone().any(|b| equal(a, b))))
}

fn compared(call: &Call<'_>, test: fn(Ordering) -> bool) -> Result<ArrayRef> {
    let (left, left_ranges) = flat(call, 0)?;
    let (right, right_ranges) = flat(call, 1)?;
    let compare = comparator(&left, &right)?;
    let (a_lists, b_lists) = (call.lists(0)?, call.lists(1)?);
    let dimensions = depth(call.array(0)?.data_type()).cmp(&depth(call.array(1)?.data_type()));
    let row = |row: usize| {
        if a_lists.is_null(row) || b_lists.is_null(row) {
            return None;
        }
        let (a, b) = (left_ranges.get(row).cloned()?, right_ranges.get(row).cloned()?);
        let lengths = a.len().cmp(&b.len());
        let mut orders = a.zip(b).map(|(a, b)| compare(a, b));
        let elements = orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
        let shapes = || a_lists.sizes(row).cmp(&b_lists.sizes(row));
        Some(test(elements.then(lengths).then(dimensions).then_with(shapes)))
    };
    Ok(Arc::new((0..call.n_rows).map(row).collect::<BooleanArray>()))
}
