//! What is in a JSON value.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, Int32Array, ListArray, StringArray, StringBuilder, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::Field;
use datafusion::common::Result;

use super::frame::{Call, Returns, Spec, map_texts, pair_fields, spec};
use crate::functions::fault::fault;
use crate::types::convert::{json_array, json_fault};
use crate::types::json::{Children, children, order, position, text_of};
use crate::types::name;

/// PostgreSQL's limit on the arguments of a function.
const N_ARGUMENTS_MAX: usize = 100;

pub(super) const GET: Spec = spec("json_get", (2, 2), Returns::Same, get);

pub(super) const SPECS: &[Spec] = &[
    GET,
    spec("json_get_text", (2, 2), Returns::Text, get_text),
    spec("json_get_path", (2, 2), Returns::Same, get_path),
    spec("json_get_path_text", (2, 2), Returns::Text, get_path_text),
    spec("json_extract_path", (1, N_ARGUMENTS_MAX), Returns::Same, extract_path),
    spec("jsonb_extract_path", (1, N_ARGUMENTS_MAX), Returns::Same, extract_path),
    spec("json_extract_path_text", (1, N_ARGUMENTS_MAX), Returns::Text, extract_path_text),
    spec("jsonb_extract_path_text", (1, N_ARGUMENTS_MAX), Returns::Text, extract_path_text),
    spec("json_column", (3, 3), Returns::Text, column),
    spec("jsonb_order", (1, 1), Returns::Key, order_key),
    spec("json_array_length", (1, 1), Returns::Int4, array_length),
    spec("jsonb_array_length", (1, 1), Returns::Int4, array_length),
    spec("json_typeof", (1, 1), Returns::Text, type_name),
    spec("jsonb_typeof", (1, 1), Returns::Text, type_name),
    spec("json_array_elements", (1, 1), Returns::ListOfSame, elements),
    spec("jsonb_array_elements", (1, 1), Returns::ListOfSame, elements),
    spec("json_array_elements_text", (1, 1), Returns::ListOfText, elements_text),
    spec("jsonb_array_elements_text", (1, 1), Returns::ListOfText, elements_text),
    spec("json_object_keys", (1, 1), Returns::ListOfText, keys),
    spec("jsonb_object_keys", (1, 1), Returns::ListOfText, keys),
    spec("json_each", (1, 1), Returns::Pairs, each),
    spec("jsonb_each", (1, 1), Returns::Pairs, each),
    spec("json_each_text", (1, 1), Returns::PairsOfText, each_text),
    spec("jsonb_each_text", (1, 1), Returns::PairsOfText, each_text),
];

fn apart(text: &str) -> Result<Children<'_>> {
    children(text).map_err(|error| json_fault(&error))
}

/// One step by a key or a number.
fn step<'a>(text: &'a str, key: &str) -> Result<Option<&'a str>> {
    Ok(match apart(text)? {
        Children::Object(pairs) => {
            pairs.into_iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
        }
        Children::Array(elements) => match key.trim().parse::<i64>() {
            Ok(index) => at(&elements, index),
            Err(_) => None,
        },
        Children::Scalar => None,
    })
}

fn at<'a>(elements: &[&'a str], index: i64) -> Option<&'a str> {
    elements.get(position(index, elements.len())?).copied()
}

/// `-> 'key'` is for objects and `-> 1` for arrays only.
fn pick<'a>(call: &Call<'_>, text: &'a str, row: usize) -> Result<Option<&'a str>> {
    if call.is_int(1) {
        let index = call.ints(1)?;
        return Ok(match apart(text)? {
            Children::Array(elements) if index.is_valid(row) => at(&elements, index.value(row)),
            _ => None,
        });
    }
    let keys = call.texts(1)?;
    Ok(match apart(text)? {
        Children::Object(pairs) if keys.is_valid(row) => {
            let key = keys.value(row);
            pairs.into_iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
        }
        _ => None,
    })
}

fn unquoted(raw: Option<&str>) -> Result<Option<String>> {
    match raw {
        Some(raw) => text_of(raw).map_err(|error| json_fault(&error)),
        None => Ok(None),
    }
}

fn get(call: &Call<'_>) -> Result<ArrayRef> {
    let found = map_texts(&call.json(0)?, |row, text| {
        Ok(pick(call, text, row)?.map(|raw| raw.trim().to_owned()))
    })?;
    Ok(call.json_result(found))
}

fn get_text(call: &Call<'_>) -> Result<ArrayRef> {
    let found = map_texts(&call.json(0)?, |row, text| unquoted(pick(call, text, row)?))?;
    Ok(Arc::new(found))
}

/// Follows a path in each row.
fn follow(
    call: &Call<'_>,
    paths: &[Option<Vec<Option<String>>>],
    text: bool,
) -> Result<StringArray> {
    map_texts(&call.json(0)?, |row, value| {
        let Some(Some(path)) = paths.get(row) else { return Ok(None) };
        let mut found = Some(value.trim());
        for key in path {
            let (Some(value), Some(key)) = (found, key) else { return Ok(None) };
            found = step(value, key)?;
        }
        if text { unquoted(found) } else { Ok(found.map(|raw| raw.trim().to_owned())) }
    })
}

fn get_path(call: &Call<'_>) -> Result<ArrayRef> {
    Ok(call.json_result(follow(call, &call.paths(1)?, false)?))
}

fn get_path_text(call: &Call<'_>) -> Result<ArrayRef> {
    Ok(Arc::new(follow(call, &call.paths(1)?, true)?))
}

/// The arguments behind the first as a path in each row.
fn arguments(call: &Call<'_>) -> Result<Vec<Option<Vec<Option<String>>>>> {
    let keys = (1..call.n_arguments()).map(|at| call.texts(at)).collect::<Result<Vec<_>>>()?;
    let row = |row: usize| {
        let key = |keys: &StringArray| keys.is_valid(row).then(|| keys.value(row).to_owned());
        Some(keys.iter().map(key).collect())
    };
    Ok((0..call.n_rows).map(row).collect())
}

fn extract_path(call: &Call<'_>) -> Result<ArrayRef> {
    Ok(call.json_result(follow(call, &arguments(call)?, false)?))
}

fn extract_path_text(call: &Call<'_>) -> Result<ArrayRef> {
    Ok(Arc::new(follow(call, &arguments(call)?, true)?))
}

fn array_length(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.json(0)?;
    let length = |text: &str| match apart(text)? {
        Children::Array(elements) => Ok(i32::try_from(elements.len()).ok()),
        Children::Object(_) => Err(fault("22023", "cannot get array length of a non-array")),
        Children::Scalar => Err(fault("22023", "cannot get array length of a scalar")),
    };
    let lengths = texts.iter().map(|text| match text {
        Some(text) => length(text),
        None => Ok(None),
    });
    Ok(Arc::new(lengths.collect::<Result<Int32Array>>()?))
}

fn type_name(call: &Call<'_>) -> Result<ArrayRef> {
    let name = |text: &str| match text.trim_start().as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    };
    let names = map_texts(&call.json(0)?, |_, text| Ok(Some(name(text).to_owned())))?;
    Ok(Arc::new(names))
}

/// The elements of the arrays in each row.
fn all_elements<'a>(call: &Call<'_>, texts: &'a StringArray) -> Result<Vec<Option<Vec<&'a str>>>> {
    let row = |text: Option<&'a str>| match text {
        None => Ok(None),
        Some(text) => match apart(text)? {
            Children::Array(elements) => Ok(Some(elements)),
            Children::Object(_) if call.name.starts_with("jsonb") => {
                Err(fault("22023", "cannot extract elements from an object"))
            }
            Children::Object(_) => {
                Err(fault("22023", "cannot call json_array_elements on a non-array"))
            }
            Children::Scalar if call.name.starts_with("jsonb") => {
                Err(fault("22023", "cannot extract elements from a scalar"))
            }
            Children::Scalar => Err(fault("22023", "cannot call json_array_elements on a scalar")),
        },
    };
    texts.iter().map(row).collect()
}

fn list(
    values: ArrayRef,
    lengths: impl Iterator<Item = usize>,
    nulls: NullBuffer,
) -> Result<ArrayRef> {
    let element = Field::new("", values.data_type().clone(), true);
    let element = Arc::new(name::element(&element));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(element, offsets, values, Some(nulls))?))
}

fn shape<T>(rows: &[Option<Vec<T>>]) -> (impl Iterator<Item = usize> + '_, NullBuffer) {
    let lengths = rows.iter().map(|row| row.as_ref().map_or(0, Vec::len));
    (lengths, rows.iter().map(Option::is_some).collect())
}

fn elements(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.json(0)?;
    let rows = all_elements(call, &texts)?;
    let (lengths, nulls) = shape(&rows);
    let values: StringArray = rows.iter().flatten().flatten().map(|raw| Some(*raw)).collect();
    list(json_array(values, call.kind), lengths, nulls)
}

fn elements_text(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.json(0)?;
    let rows = all_elements(call, &texts)?;
    let (lengths, nulls) = shape(&rows);
    let values = rows.iter().flatten().flatten().map(|raw| unquoted(Some(raw)));
    list(Arc::new(values.collect::<Result<StringArray>>()?), lengths, nulls)
}

type Pairs<'a> = Vec<Option<Vec<(String, &'a str)>>>;

fn all_pairs<'a>(call: &Call<'_>, texts: &'a StringArray) -> Result<Pairs<'a>> {
    let what = call.name.trim_end_matches("_text");
    let row = |text: Option<&'a str>| match text {
        None => Ok(None),
        Some(text) => match apart(text)? {
            Children::Object(pairs) => Ok(Some(pairs)),
            Children::Array(_) if what.ends_with("_keys") => {
                Err(fault("22023", format!("cannot call {what} on an array")))
            }
            Children::Scalar if what.ends_with("_keys") => {
                Err(fault("22023", format!("cannot call {what} on a scalar")))
            }
            Children::Array(_) if what == "json_each" => {
                Err(fault("22023", "cannot deconstruct an array as an object"))
            }
            Children::Scalar if what == "json_each" => {
                Err(fault("22023", "cannot deconstruct a scalar"))
            }
            _ => Err(fault("22023", format!("cannot call {} on a non-object", call.name))),
        },
    };
    texts.iter().map(row).collect()
}

fn keys(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.json(0)?;
    let rows = all_pairs(call, &texts)?;
    let (lengths, nulls) = shape(&rows);
    let keys: StringArray = rows.iter().flatten().flatten().map(|(key, _)| Some(key)).collect();
    list(Arc::new(keys), lengths, nulls)
}

fn pairs(rows: &Pairs<'_>, values: ArrayRef) -> Result<ArrayRef> {
    let (lengths, nulls) = shape(rows);
    let mut keys = StringBuilder::new();
    for (key, _) in rows.iter().flatten().flatten() {
        keys.append_value(key);
    }
    let fields = pair_fields(values.data_type().clone());
    let columns: Vec<ArrayRef> = vec![Arc::new(keys.finish()), values];
    list(Arc::new(StructArray::try_new(fields, columns, None)?), lengths, nulls)
}

fn each(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.json(0)?;
    let rows = all_pairs(call, &texts)?;
    let values: StringArray = rows.iter().flatten().flatten().map(|(_, raw)| Some(*raw)).collect();
    pairs(&rows, json_array(values, call.kind))
}

fn each_text(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.json(0)?;
    let rows = all_pairs(call, &texts)?;
    let values = rows.iter().flatten().flatten().map(|(_, raw)| unquoted(Some(raw)));
    pairs(&rows, Arc::new(values.collect::<Result<StringArray>>()?))
}

/// What stands for a `jsonb` value in ORDER BY, GROUP BY and joins.
fn order_key(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.json(0)?;
    let keys = texts.iter().map(|text| text.map(order::key).transpose());
    let keys = keys.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| json_fault(&e))?;
    Ok(Arc::new(BinaryArray::from_iter(keys)))
}

/// A member of an object as a text that the input of a type reads: `text`, `json`, `array` or a
/// type with a length.
fn column(call: &Call<'_>) -> Result<ArrayRef> {
    let (keys, forms) = (call.texts(1)?, call.texts(2)?);
    let result = map_texts(&call.json(0)?, |row, text| {
        let kind = match apart(text)? {
            Children::Object(pairs) => {
                let key = keys.value(row);
                let value = pairs.into_iter().rev().find(|(name, _)| name == key);
                let Some((_, value)) = value else { return Ok(None) };
                return as_input(value, forms.value(row));
            }
            Children::Array(_) => "an array",
            Children::Scalar => "a scalar",
        };
        Err(fault("22023", format!("cannot call populate_composite on {kind}")))
    })?;
    Ok(Arc::new(result))
}

fn as_input(value: &str, form: &str) -> Result<Option<String>> {
    if value.trim() == "null" {
        return Ok(None);
    }
    match form {
        "json" => Ok(Some(value.to_owned())),
        "array" => array_literal(value).map(Some),
        _ => {
            let text = text_of(value).map_err(|error| json_fault(&error))?;
            check_length(text.as_deref().unwrap_or_default(), form)?;
            Ok(text)
        }
    }
}

/// Other than a cast, what reads a value refuses one that is too long: `character varying(3)`.
fn check_length(text: &str, form: &str) -> Result<()> {
    let length = form.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    let Some(length) = length.and_then(|length| length.parse::<usize>().ok()) else {
        return Ok(());
    };
    if text.trim_end_matches(' ').chars().count() > length {
        return Err(fault("22001", format!("value too long for type {form}")));
    }
    Ok(())
}

/// `[1, ["a"]]` as `{1,{"a"}}`.
fn array_literal(value: &str) -> Result<String> {
    let Children::Array(elements) = apart(value)? else {
        return Err(fault("22P02", "expected JSON array"));
    };
    let mut literal = String::from("{");
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            literal.push(',');
        }
        if matches!(apart(element)?, Children::Array(_)) {
            literal.push_str(&array_literal(element)?);
            continue;
        }
        match as_input(element, "text")? {
            None => literal.push_str("NULL"),
            Some(text) => {
                literal.push('"');
                for c in text.chars() {
                    if matches!(c, '"' | '\\') {
                        literal.push('\\');
                    }
                    literal.push(c);
                }
                literal.push('"');
            }
        }
    }
    literal.push('}');
    Ok(literal)
}
