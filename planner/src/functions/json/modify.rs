//! `jsonb` changed and compared.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use datafusion::common::Result;

use super::frame::{Call, Returns, Spec, map_texts, spec};
use crate::functions::fault::fault;
use crate::types::convert::json_fault;
use crate::types::json::{Value, parse, position, sort_keys};

pub(super) const SPECS: &[Spec] = &[
    spec("jsonb_set", (3, 4), Returns::Jsonb, set),
    spec("jsonb_insert", (3, 4), Returns::Jsonb, insert),
    spec("jsonb_strip_nulls", (1, 1), Returns::Jsonb, strip_nulls),
    spec("json_strip_nulls", (1, 1), Returns::Json, strip_nulls),
    spec("jsonb_pretty", (1, 1), Returns::Text, pretty),
    spec("jsonb_concat", (2, 2), Returns::Jsonb, concatenate),
    spec("jsonb_delete", (2, 2), Returns::Jsonb, delete),
    spec("jsonb_delete_path", (2, 2), Returns::Jsonb, delete_path),
    spec("jsonb_contains", (2, 2), Returns::Bool, |call| test(call, Value::contains)),
    spec("jsonb_contained", (2, 2), Returns::Bool, |call| test(call, |a, b| b.contains(a))),
    spec("jsonb_exists", (2, 2), Returns::Bool, exists),
    spec("jsonb_exists_all", (2, 2), Returns::Bool, |call| exists_of(call, false)),
    spec("jsonb_exists_any", (2, 2), Returns::Bool, |call| exists_of(call, true)),
    spec("jsonb_eq", (2, 2), Returns::Bool, |call| compared(call, Ordering::is_eq)),
    spec("jsonb_ne", (2, 2), Returns::Bool, |call| compared(call, Ordering::is_ne)),
    spec("jsonb_lt", (2, 2), Returns::Bool, |call| compared(call, Ordering::is_lt)),
    spec("jsonb_le", (2, 2), Returns::Bool, |call| compared(call, Ordering::is_le)),
    spec("jsonb_gt", (2, 2), Returns::Bool, |call| compared(call, Ordering::is_gt)),
    spec("jsonb_ge", (2, 2), Returns::Bool, |call| compared(call, Ordering::is_ge)),
    spec("jsonb_path_query", (2, 4), Returns::Jsonb, no_paths),
    spec("jsonb_path_query_array", (2, 4), Returns::Jsonb, no_paths),
    spec("jsonb_path_query_first", (2, 4), Returns::Jsonb, no_paths),
    spec("jsonb_path_exists", (2, 4), Returns::Bool, no_paths),
    spec("jsonb_path_match", (2, 4), Returns::Bool, no_paths),
];

fn no_paths(_call: &Call<'_>) -> Result<ArrayRef> {
    Err(fault("0A000", "jsonpath is not supported"))
}

fn read(text: &str) -> Result<Value> {
    parse(text).map_err(|error| json_fault(&error))
}

fn tested(
    call: &Call<'_>,
    test: impl Fn(&Value, usize) -> Result<Option<bool>>,
) -> Result<ArrayRef> {
    let texts = call.json(0)?;
    let row = |(row, text): (usize, Option<&str>)| match text {
        Some(text) => test(&read(text)?, row),
        None => Ok(None),
    };
    Ok(Arc::new(texts.iter().enumerate().map(row).collect::<Result<BooleanArray>>()?))
}

fn test(call: &Call<'_>, test: fn(&Value, &Value) -> bool) -> Result<ArrayRef> {
    let others = call.json(1)?;
    tested(call, |value, row| {
        if others.is_null(row) {
            return Ok(None);
        }
        Ok(Some(test(value, &read(others.value(row))?)))
    })
}

fn compared(call: &Call<'_>, test: fn(Ordering) -> bool) -> Result<ArrayRef> {
    let others = call.json(1)?;
    tested(call, |value, row| {
        if others.is_null(row) {
            return Ok(None);
        }
        Ok(Some(test(value.compare(&read(others.value(row))?))))
    })
}

/// Whether a text is a key of an object or a string in an array.
fn has(value: &Value, key: &str) -> bool {
    let same = |value: &Value| matches!(value, Value::String(text) if text == key);
    match value {
        Value::Object(_) => value.get(key).is_some(),
        Value::Array(elements) => elements.iter().any(same),
        scalar => same(scalar),
    }
}

fn exists(call: &Call<'_>) -> Result<ArrayRef> {
    let keys = call.texts(1)?;
    tested(call, |value, row| Ok(keys.is_valid(row).then(|| has(value, keys.value(row)))))
}

fn exists_of(call: &Call<'_>, any: bool) -> Result<ArrayRef> {
    let keys = call.paths(1)?;
    tested(call, |value, row| {
        let Some(Some(keys)) = keys.get(row) else { return Ok(None) };
        let mut keys = keys.iter().flatten();
        Ok(Some(if any {
            keys.any(|key| has(value, key))
        } else {
            keys.all(|key| has(value, key))
        }))
    })
}

fn changed(
    call: &Call<'_>,
    change: impl Fn(Value, usize) -> Result<Option<Value>>,
) -> Result<StringArray> {
    map_texts(&call.json(0)?, |row, text| {
        Ok(change(read(text)?, row)?.map(|value| value.to_string()))
    })
}

fn strip_nulls(call: &Call<'_>) -> Result<ArrayRef> {
    let binary = call.name.starts_with("jsonb");
    let texts = map_texts(&call.json(0)?, |_, text| {
        let value = without_nulls(read(text)?);
        Ok(Some(if binary { value.to_string() } else { value.compact() }))
    })?;
    Ok(call.json_result(texts))
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(pairs) => Value::Object(
            pairs
                .into_iter()
                .filter(|(_, value)| *value != Value::Null)
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        Value::Array(elements) => Value::Array(elements.into_iter().map(without_nulls).collect()),
        scalar => scalar,
    }
}

fn pretty(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = map_texts(&call.json(0)?, |_, text| Ok(Some(read(text)?.pretty())))?;
    Ok(Arc::new(texts))
}

fn concatenate(call: &Call<'_>) -> Result<ArrayRef> {
    let others = call.json(1)?;
    let texts = changed(call, |value, row| {
        if others.is_null(row) {
            return Ok(None);
        }
        let other = read(others.value(row))?;
        Ok(Some(match (value, other) {
            (Value::Object(mut pairs), Value::Object(more)) => {
                pairs.extend(more);
                sort_keys(&mut pairs);
                Value::Object(pairs)
            }
            (left, right) => {
                let list = |value| match value {
                    Value::Array(elements) => elements,
                    other => vec![other],
                };
                let mut elements = list(left);
                elements.extend(list(right));
                Value::Array(elements)
            }
        }))
    })?;
    Ok(call.json_result(texts))
}

fn delete(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = if call.is_int(1) {
        let indexes = call.ints(1)?;
        changed(call, |value, row| match value {
            _ if indexes.is_null(row) => Ok(None),
            Value::Array(mut elements) => {
                let at = position(indexes.value(row), elements.len());
                if let Some(at) = at.filter(|at| *at < elements.len()) {
                    elements.remove(at);
                }
                Ok(Some(Value::Array(elements)))
            }
            Value::Object(_) => {
                Err(fault("22023", "cannot delete from object using integer index"))
            }
            _ => Err(fault("22023", "cannot delete from scalar")),
        })?
    } else if call.is_list(1) {
        let keys = call.paths(1)?;
        changed(call, |value, row| {
            let Some(Some(keys)) = keys.get(row) else { return Ok(None) };
            let keys: Vec<&str> = keys.iter().flatten().map(String::as_str).collect();
            without_keys(value, &keys).map(Some)
        })?
    } else {
        let keys = call.texts(1)?;
        changed(call, |value, row| {
            if keys.is_null(row) {
                return Ok(None);
            }
            without_keys(value, &[keys.value(row)]).map(Some)
        })?
    };
    Ok(call.json_result(texts))
}

fn without_keys(value: Value, keys: &[&str]) -> Result<Value> {
    match value {
        Value::Object(mut pairs) => {
            pairs.retain(|(key, _)| !keys.contains(&key.as_str()));
            Ok(Value::Object(pairs))
        }
        Value::Array(mut elements) => {
            let named =
                |value: &Value| matches!(value, Value::String(s) if keys.contains(&s.as_str()));
            elements.retain(|element| !named(element));
            Ok(Value::Array(elements))
        }
        _ => Err(fault("22023", "cannot delete from scalar")),
    }
}

fn delete_path(call: &Call<'_>) -> Result<ArrayRef> {
    let paths = call.paths(1)?;
    let texts = changed(call, |mut value, row| {
        let Some(Some(path)) = paths.get(row) else { return Ok(None) };
        if value.is_scalar() {
            return Err(fault("22023", "cannot delete path in scalar"));
        }
        edit(&mut value, path, 1, &Edit::Delete)?;
        Ok(Some(value))
    })?;
    Ok(call.json_result(texts))
}

/// What to do at the end of a path.
enum Edit {
    Delete,
    /// Replaces, and adds what is missing if told to.
    Set {
        value: Value,
        create: bool,
    },
    /// Adds beside.
    Insert {
        value: Value,
        after: bool,
    },
}

fn flag(call: &Call<'_>, argument: usize, default: bool) -> Result<Vec<Option<bool>>> {
    if call.n_arguments() <= argument {
        return Ok(vec![Some(default); call.n_rows]);
    }
    let array = arrow::compute::cast(call.array(argument)?, &arrow::datatypes::DataType::Boolean)?;
    Ok(array.as_boolean().iter().collect())
}

fn edited(
    call: &Call<'_>,
    default: bool,
    edit_of: impl Fn(Value, bool) -> Edit,
) -> Result<ArrayRef> {
    let paths = call.paths(1)?;
    let values = call.json(2)?;
    let flags = flag(call, 3, default)?;
    let texts = changed(call, |mut value, row| {
        let (Some(Some(path)), true, Some(Some(flag))) =
            (paths.get(row), values.is_valid(row), flags.get(row))
        else {
            return Ok(None);
        };
        if value.is_scalar() {
            return Err(fault("22023", "cannot set path in scalar"));
        }
        edit(&mut value, path, 1, &edit_of(read(values.value(row))?, *flag))?;
        Ok(Some(value))
    })?;
    Ok(call.json_result(texts))
}

fn set(call: &Call<'_>) -> Result<ArrayRef> {
    edited(call, true, |value, create| Edit::Set { value, create })
}

fn insert(call: &Call<'_>) -> Result<ArrayRef> {
    edited(call, false, |value, after| Edit::Insert { value, after })
}

fn edit(value: &mut Value, path: &[Option<String>], place: usize, what: &Edit) -> Result<()> {
    let Some((step, rest)) = path.split_first() else { return Ok(()) };
    let Some(step) = step else {
        let message = format!("path element at position {place} is null");
        return Err(fault("22004", message));
    };
    match value {
        Value::Object(pairs) => edit_object(pairs, step, rest, place, what),
        Value::Array(elements) => {
            let Ok(index) = step.trim().parse::<i64>() else {
                let message =
                    format!("path element at position {place} is not an integer: \"{step}\"");
                return Err(fault("22P02", message));
            };
            edit_array(elements, index, rest, place, what)
        }
        _ => Ok(()),
    }
}

fn edit_object(
    pairs: &mut Vec<(String, Value)>,
    key: &str,
    rest: &[Option<String>],
    place: usize,
    what: &Edit,
) -> Result<()> {
    let found = pairs.iter().position(|(name, _)| name == key);
    if !rest.is_empty() {
        return match found.and_then(|at| pairs.get_mut(at)) {
            Some((_, value)) => edit(value, rest, place + 1, what),
            None => Ok(()),
        };
    }
    match (found, what) {
        (Some(at), Edit::Delete) => {
            pairs.remove(at);
        }
        (Some(at), Edit::Set { value, .. }) => {
            if let Some(pair) = pairs.get_mut(at) {
                pair.1 = value.clone();
            }
        }
        (Some(_), Edit::Insert { .. }) => {
            return Err(fault("22023", "cannot replace existing key"));
        }
        (None, Edit::Set { value, create: true } | Edit::Insert { value, .. }) => {
            pairs.push((key.to_owned(), value.clone()));
            sort_keys(pairs);
        }
        (None, _) => {}
    }
    Ok(())
}

fn edit_array(
    elements: &mut Vec<Value>,
    index: i64,
    rest: &[Option<String>],
    place: usize,
    what: &Edit,
) -> Result<()> {
    let length = elements.len();
    let at = position(index, length).filter(|at| *at < length);
    if !rest.is_empty() {
        return match at.and_then(|at| elements.get_mut(at)) {
            Some(value) => edit(value, rest, place + 1, what),
            None => Ok(()),
        };
    }
    match (at, what) {
        (Some(at), Edit::Delete) => {
            elements.remove(at);
        }
        (Some(at), Edit::Set { value, .. }) => {
            if let Some(element) = elements.get_mut(at) {
                *element = value.clone();
            }
        }
        (Some(at), Edit::Insert { value, after }) => {
            elements.insert(at + usize::from(*after), value.clone());
        }
        (None, Edit::Set { value, create: true } | Edit::Insert { value, .. }) => {
            let at = if index < 0 { 0 } else { length };
            elements.insert(at, value.clone());
        }
        (None, _) => {}
    }
    Ok(())
}
