//! Functions whose result is an array: appending, removing, cutting.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, StringArray};
use arrow::buffer::OffsetBuffer;
use datafusion::common::Result;

use super::frame::{
    Call, Lists, Param, Pick, Returns, Spec, build, comparator, depth, result_element,
};
use crate::functions::fault::fault;

pub(super) const SPECS: &[Spec] = &[
    Spec {
        name: "array_append",
        params: &[Param::Array, Param::Element],
        n_optional: 0,
        returns: Returns::Array,
        body: append,
    },
    Spec {
        name: "array_prepend",
        params: &[Param::Element, Param::Array],
        n_optional: 0,
        returns: Returns::Array,
        body: prepend,
    },
    Spec {
        name: "array_cat",
        params: &[Param::Array, Param::Array],
        n_optional: 0,
        returns: Returns::Array,
        body: concatenate,
    },
    Spec {
        name: "array_remove",
        params: &[Param::Array, Param::Element],
        n_optional: 0,
        returns: Returns::Array,
        body: remove,
    },
    Spec {
        name: "array_replace",
        params: &[Param::Array, Param::Element, Param::Element],
        n_optional: 0,
        returns: Returns::Array,
        body: replace,
    },
    Spec {
        name: "trim_array",
        params: &[Param::Array, Param::Int],
        n_optional: 0,
        returns: Returns::Array,
        body: trim,
    },
    Spec {
        name: "array_slice",
        params: SLICE_PARAMS,
        n_optional: SLICE_PARAMS.len() - 3,
        returns: Returns::Array,
        body: slice,
    },
    Spec {
        name: "array_positions",
        params: &[Param::Array, Param::Element],
        n_optional: 0,
        returns: Returns::Int4Array,
        body: positions,
    },
];

fn flat_only(call: &Call<'_>, argument: usize, what: &str) -> Result<()> {
    if depth(call.array(argument)?.data_type()) > 1 {
        let message = format!("{what} multidimensional arrays is not supported");
        return Err(fault("0A000", message));
    }
    Ok(())
}

fn append(call: &Call<'_>) -> Result<ArrayRef> {
    one_dimension(call, 0)?;
    let lists = call.lists(0)?;
    // A NULL array is an empty one here.
    let row = |row: usize| -> Vec<Pick> {
        lists.range(row).map(|at| (0, at)).chain([(1, row)]).collect()
    };
    let rows = (0..call.n_rows).map(|at| Some(row(at))).collect();
    build(&[lists.values(), call.array(1)?], rows, &result_element(call.result_type)?)
}

fn prepend(call: &Call<'_>) -> Result<ArrayRef> {
    one_dimension(call, 1)?;
    let lists = call.lists(1)?;
    let row = |row: usize| -> Vec<Pick> {
        [(1, row)].into_iter().chain(lists.range(row).map(|at| (0, at))).collect()
    };
    let rows = (0..call.n_rows).map(|at| Some(row(at))).collect();
    build(&[lists.values(), call.array(0)?], rows, &result_element(call.result_type)?)
}

fn one_dimension(call: &Call<'_>, argument: usize) -> Result<()> {
    if depth(call.array(argument)?.data_type()) > 1 {
        return Err(fault("22000", "argument must be empty or one-dimensional array"));
    }
    Ok(())
}

fn concatenate(call: &Call<'_>) -> Result<ArrayRef> {
    let (left_depth, right_depth) =
        (depth(call.array(0)?.data_type()), depth(call.array(1)?.data_type()));
    let incompatible = || fault("2202E", "cannot concatenate incompatible arrays");
    if left_depth.abs_diff(right_depth) > 1 {
        return Err(incompatible());
    }
    // An array of one dimension less is one element of the other.
    let raise = |argument: usize, raised: bool| -> Result<ArrayRef> {
        let array = call.array(argument)?;
        if !raised {
            return Ok(Arc::clone(array));
        }
        let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(1, array.len()));
        let element = result_element(call.result_type)?;
        let nulls = array.logical_nulls();
        Ok(Arc::new(ListArray::try_new(element, offsets, Arc::clone(array), nulls)?))
    };
    let left = Lists::new(&raise(0, left_depth < right_depth)?)?;
    let right = Lists::new(&raise(1, right_depth < left_depth)?)?;
    let row = |row: usize| -> Result<Option<Vec<Pick>>> {
        if left.is_null(row) && right.is_null(row) {
            return Ok(None);
        }
        let (a, b) = (left.sizes(row), right.sizes(row));
        if a.len() > 1 && b.len() > 1 && a.get(1..) != b.get(1..) {
            return Err(incompatible());
        }
        let left = if a.is_empty() { 0..0 } else { left.range(row) };
        let right = if b.is_empty() { 0..0 } else { right.range(row) };
        Ok(Some(left.map(|at| (0, at)).chain(right.map(|at| (1, at))).collect()))
    };
    let rows = (0..call.n_rows).map(row).collect::<Result<Vec<_>>>()?;
    build(&[left.values(), right.values()], rows, &result_element(call.result_type)?)
}

fn remove(call: &Call<'_>) -> Result<ArrayRef> {
    flat_only(call, 0, "removing elements from")?;
    let lists = call.lists(0)?;
    let compare = comparator(lists.values(), call.array(1)?)?;
    let row = |row: usize| {
        let kept = lists.range(row).filter(|at| compare(*at, row) != Ordering::Equal);
        (!lists.is_null(row)).then(|| kept.map(|at| (0, at)).collect())
    };
    let rows = (0..call.n_rows).map(row).collect();
    build(&[lists.values()], rows, &result_element(call.result_type)?)
}

fn replace(call: &Call<'_>) -> Result<ArrayRef> {
    flat_only(call, 0, "replacing elements of")?;
    let lists = call.lists(0)?;
    let compare = comparator(lists.values(), call.array(1)?)?;
    let row = |row: usize| {
        let replaced = |at: usize| {
            if compare(at, row) == Ordering::Equal { (1, row) } else { (0, at) }
        };
        (!lists.is_null(row)).then(|| lists.range(row).map(replaced).collect())
    };
    let rows = (0..call.n_rows).map(row).collect();
    build(&[lists.values(), call.array(2)?], rows, &result_element(call.result_type)?)
}

fn trim(call: &Call<'_>) -> Result<ArrayRef> {
    let (lists, counts) = (call.lists(0)?, call.ints(1)?);
    let row = |row: usize| -> Result<Option<Vec<Pick>>> {
        if lists.is_null(row) || counts.is_null(row) {
            return Ok(None);
        }
        let range = lists.range(row);
        let count = usize::try_from(counts.value(row)).ok().filter(|count| *count <= range.len());
        let Some(count) = count else {
            let message =
                format!("number of elements to trim must be between 0 and {}", range.len());
            return Err(fault("2202E", message));
        };
        Ok(Some((range.start..range.end - count).map(|at| (0, at)).collect()))
    };
    let rows = (0..call.n_rows).map(row).collect::<Result<Vec<_>>>()?;
    build(&[lists.values()], rows, &result_element(call.result_type)?)
}

/// `a[2:3]`, of the outermost dimension.
/// An array, and two bounds for each of its dimensions, of which there are up to six.
const SLICE_PARAMS: &[Param] = {
    const I: Param = Param::Int;
    &[Param::Array, I, I, I, I, I, I, I, I, I, I, I, I]
};

fn slice(call: &Call<'_>) -> Result<ArrayRef> {
    if call.has(3) {
        return slice_all(call);
    }
    let (lists, lower, upper) = (call.lists(0)?, call.ints(1)?, call.ints(2)?);
    let row = |row: usize| {
        if lists.is_null(row) || lower.is_null(row) || upper.is_null(row) {
            return None;
        }
        let range = lists.range(row);
        let within = |bound: i64| usize::try_from(bound.max(0)).unwrap_or(0).min(range.len());
        let (start, end) = (within(lower.value(row) - 1), within(upper.value(row)));
        Some((range.start + start..range.start + end).map(|at| (0, at)).collect())
    };
    let rows = (0..call.n_rows).map(row).collect();
    build(&[lists.values()], rows, &result_element(call.result_type)?)
}

type Bounds = (arrow::array::Int64Array, arrow::array::Int64Array);

/// Slices of several dimensions.
fn slice_all(call: &Call<'_>) -> Result<ArrayRef> {
    let n_dimensions = call.arrays.len() / 2;
    let bounds = (0..n_dimensions).map(|at| Ok((call.ints(at * 2 + 1)?, call.ints(at * 2 + 2)?)));
    let bounds = bounds.collect::<Result<Vec<Bounds>>>()?;
    let rows: Vec<usize> = (0..call.n_rows).collect();
    cut(call.array(0)?, &rows, &bounds)
}

/// Cuts lists, each by the bounds of the row that it is part of; NULL where a bound is.
fn cut(array: &ArrayRef, rows: &[usize], bounds: &[Bounds]) -> Result<ArrayRef> {
    let Some(((lower, upper), deeper)) = bounds.split_first() else {
        return Ok(Arc::clone(array));
    };
    let lists = Lists::new(array)?;
    let element = result_element(array.data_type())?;
    // More subscripts than dimensions leave nothing.
    let too_many = !deeper.is_empty() && lists.inner().is_none();
    let (mut kept, mut owners) = (Vec::with_capacity(rows.len()), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        let unknown = bounds.iter().any(|(l, u)| l.is_null(*row) || u.is_null(*row));
        if lists.is_null(at) || unknown {
            kept.push(None);
            continue;
        }
        let range = lists.range(at);
        let n_there = if too_many { 0 } else { range.len() };
        let within = |bound: i64| usize::try_from(bound.max(0)).unwrap_or(0).min(n_there);
        let (start, end) = (within(lower.value(*row) - 1), within(upper.value(*row)));
        let picks: Vec<_> = (range.start + start..range.start + end).map(|at| (0, at)).collect();
        owners.extend(picks.iter().map(|_| *row));
        kept.push(Some(picks));
    }
    let outer = build(&[lists.values()], kept, &element)?;
    if deeper.is_empty() || too_many {
        return Ok(outer);
    }
    let outer = Lists::new(&outer)?;
    let values = cut(outer.values(), &owners, deeper)?;
    Ok(Arc::new(outer.with_values(values)?))
}

fn positions(call: &Call<'_>) -> Result<ArrayRef> {
    flat_only(call, 0, "searching for elements in")?;
    let lists = call.lists(0)?;
    let compare = comparator(lists.values(), call.array(1)?)?;
    let rows = (0..call.n_rows).map(|row| {
        if lists.is_null(row) {
            return None;
        }
        let found = lists.range(row).enumerate();
        let found = found.filter(|(_, at)| compare(*at, row) == Ordering::Equal);
        Some(found.map(|(index, _)| i32::try_from(index + 1).ok()).collect::<Vec<_>>())
    });
    let rows: Vec<_> = rows.collect();
    let list = ListArray::from_iter_primitive::<arrow::datatypes::Int32Type, _, _>(rows);
    Ok(Arc::new(list))
}

/// The parts of a text between separators.
pub(super) const FROM_TEXT: Spec = Spec {
    name: "string_to_array",
    params: &[Param::Text, Param::Text, Param::Text],
    n_optional: 1,
    returns: Returns::TextArray,
    body: split,
};

fn split(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, separators) = (call.texts(0)?, call.texts(1)?);
    let nulls = if call.has(2) { Some(call.texts(2)?) } else { None };
    let value_of =
        |array: &StringArray, row: usize| array.is_valid(row).then(|| array.value(row).to_owned());
    let mut lists = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    for row in 0..call.n_rows {
        let Some(text) = value_of(&texts, row) else {
            lists.append_null();
            continue;
        };
        let null = nulls.as_ref().and_then(|nulls| value_of(nulls, row));
        let parts: Vec<String> = match value_of(&separators, row) {
            _ if text.is_empty() => vec![],
            None => text.chars().map(String::from).collect(),
            Some(separator) if separator.is_empty() => vec![text],
            Some(separator) => text.split(separator.as_str()).map(str::to_owned).collect(),
        };
        let parts = parts.into_iter().map(|part| (Some(&part) != null.as_ref()).then_some(part));
        lists.append_value(parts);
    }
    Ok(Arc::new(lists.finish()))
}
