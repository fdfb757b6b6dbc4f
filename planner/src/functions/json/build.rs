//! Values of other types to JSON.
//!
//! The spacing is PostgreSQL's: `{"a":1}` for rows, `{"a" : 1}` for built objects, `[1, 2]` for
//! built arrays, and one spacing of its own for `jsonb`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_datafusion_err};
use tarn_catalog::pg_type::{Json, json_kind};

use super::frame::{Call, Returns, Spec, spec};
use crate::functions::array::frame::{Lists, depth};
use crate::functions::fault::fault;
use crate::types::convert::{external, json_fault, json_texts};
use crate::types::forms::ValueForms;
use crate::types::json::{normalized, quoted};
use crate::types::name_in_metadata;

/// PostgreSQL's limit on the arguments of a function.
const N_ARGUMENTS_MAX: usize = 100;

pub(super) const SPECS: &[Spec] = &[
    spec("to_json", (1, 1), Returns::Json, to_json),
    spec("to_jsonb", (1, 1), Returns::Jsonb, to_json),
    spec("row_to_json", (1, 2), Returns::Json, to_json),
    spec("array_to_json", (1, 2), Returns::Json, to_json),
    spec("json_build_object", (0, N_ARGUMENTS_MAX), Returns::Json, build_object),
    spec("jsonb_build_object", (0, N_ARGUMENTS_MAX), Returns::Jsonb, build_object),
    spec("json_build_array", (0, N_ARGUMENTS_MAX), Returns::Json, build_array),
    spec("jsonb_build_array", (0, N_ARGUMENTS_MAX), Returns::Jsonb, build_array),
    spec("json_of_list", (1, 1), Returns::Json, of_list),
    spec("jsonb_of_list", (1, 1), Returns::Jsonb, of_list),
    spec("json_of_pairs", (1, 1), Returns::Json, of_pairs),
    spec("jsonb_of_pairs", (1, 1), Returns::Jsonb, of_pairs),
    spec("json_object", (1, 2), Returns::Json, object_of_texts),
    spec("jsonb_object", (1, 2), Returns::Jsonb, object_of_texts),
];

/// A column whose values are written as JSON.
pub(crate) enum Writer {
    /// The JSON text of each value; nothing for NULL.
    Texts(StringArray),
    List(Lists, Box<Writer>),
    Object(ArrayRef, Vec<(String, Writer)>),
}

impl Writer {
    /// Takes a column apart.
    pub(crate) fn new(array: &ArrayRef, field: &Field, forms: &dyn ValueForms) -> Result<Self> {
        let data_type = array.data_type();
        let named = matches!(name_in_metadata(field), Some("json" | "jsonb"));
        if json_kind(data_type).is_some() || named {
            return Ok(Self::Texts(json_texts(array)?));
        }
        match data_type {
            DataType::Null => Ok(Self::Texts(StringArray::new_null(array.len()))),
            DataType::Boolean => Ok(Self::Texts(booleans(array.as_boolean()))),
            _ if depth(data_type) > 0 => {
                let lists = Lists::new(array)?;
                let element = Field::new("", lists.values().data_type().clone(), true);
                let values = Self::new(lists.values(), &element, forms)?;
                Ok(Self::List(lists, Box::new(values)))
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns();
                let columns = fields.iter().zip(columns).map(|(field, column)| {
                    let name = crate::rewrite::strip_suffix(field.name()).to_owned();
                    Ok((name, Self::new(column, field, forms)?))
                });
                Ok(Self::Object(Arc::clone(array), columns.collect::<Result<_>>()?))
            }
            _ => {
                let texts = forms.write(array, field, true).map_err(external)?;
                Ok(Self::Texts(scalars(&texts, data_type)))
            }
        }
    }

    /// Appends the value of a row.
    pub(crate) fn put(&self, row: usize, out: &mut String) {
        match self {
            Self::Texts(texts) if texts.is_valid(row) => out.push_str(texts.value(row)),
            Self::Texts(_) => out.push_str("null"),
            Self::List(lists, _) if lists.is_null(row) => out.push_str("null"),
            Self::List(lists, values) => {
                out.push('[');
                for (index, at) in lists.range(row).enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    values.put(at, out);
                }
                out.push(']');
            }
            Self::Object(array, _) if array.is_null(row) => out.push_str("null"),
            Self::Object(_, columns) => {
                out.push('{');
                for (index, (name, values)) in columns.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted(name));
                    out.push(':');
                    values.put(row, out);
                }
                out.push('}');
            }
        }
    }
}

fn booleans(array: &BooleanArray) -> StringArray {
    array.iter().map(|value| value.map(|value| if value { "true" } else { "false" })).collect()
}

/// Numbers as they are, dates and times in ISO 8601, all else in quotes.
fn scalars(texts: &StringArray, data_type: &DataType) -> StringArray {
    let text = |text: &str| match data_type {
        _ if data_type.is_numeric() => {
            let number = text.ends_with(|c: char| c.is_ascii_digit());
            if number { text.to_owned() } else { quoted(text) }
        }
        DataType::Timestamp(_, None) => quoted(&text.replacen(' ', "T", 1)),
        DataType::Timestamp(_, Some(_)) => {
            let mut text = text.replacen(' ', "T", 1);
            // Hours alone get their minutes.
            let zone = text.rfind(['+', '-']).filter(|at| *at > 10).map(|at| text.len() - at);
            if zone == Some(3) {
                text.push_str(":00");
            }
            quoted(&text)
        }
        _ => quoted(text),
    };
    texts.iter().map(|value| value.map(text)).collect()
}

fn writer(call: &Call<'_>, argument: usize) -> Result<Writer> {
    let field = call.fields.get(argument).map(AsRef::as_ref);
    let field = field.ok_or_else(|| exec_datafusion_err!("argument {argument} is missing"))?;
    Writer::new(call.array(argument)?, field, call.forms)
}

/// A result of JSON texts, normalised for `jsonb`.
fn result(call: &Call<'_>, texts: Vec<Option<String>>) -> Result<ArrayRef> {
    let texts = texts.into_iter().map(|text| match text {
        Some(text) if call.kind == Json::Binary => {
            normalized(&text).map(Some).map_err(|error| json_fault(&error))
        }
        text => Ok(text),
    });
    Ok(call.json_result(texts.collect::<Result<StringArray>>()?))
}

fn to_json(call: &Call<'_>) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let wanted = match call.name {
        "row_to_json" => matches!(array.data_type(), DataType::Struct(_)),
        "array_to_json" => depth(array.data_type()) > 0,
        _ => true,
    };
    if !wanted && *array.data_type() != DataType::Null {
        let oid = tarn_catalog::pg_type::pg_type_of_data_type(array.data_type()).oid;
        let shown = tarn_catalog::pg_type::format_type(oid, None);
        return Err(fault("42883", format!("function {}({shown}) does not exist", call.name)));
    }
    let values = writer(call, 0)?;
    let text = |row: usize| {
        if array.is_null(row) {
            return None;
        }
        let mut text = String::new();
        values.put(row, &mut text);
        Some(text)
    };
    result(call, (0..call.n_rows).map(text).collect())
}

/// The text of keys, which may be of any type but not NULL.
fn keys(call: &Call<'_>, argument: usize) -> Result<StringArray> {
    let field = call.fields.get(argument).map(AsRef::as_ref);
    let field = field.ok_or_else(|| exec_datafusion_err!("argument {argument} is missing"))?;
    let array = call.array(argument)?;
    if json_kind(array.data_type()).is_some()
        || depth(array.data_type()) > 0
        || matches!(array.data_type(), DataType::Struct(_))
    {
        return Err(fault("22023", "key value must be scalar, not array, composite, or json"));
    }
    if crate::types::is_text(array.data_type()) {
        return call.texts(argument);
    }
    if *array.data_type() == DataType::Boolean {
        return Ok(booleans(array.as_boolean()));
    }
    if *array.data_type() == DataType::Null {
        return Ok(StringArray::new_null(call.n_rows));
    }
    call.forms.write(array, field, false).map_err(external)
}

fn build_object(call: &Call<'_>) -> Result<ArrayRef> {
    if call.n_arguments() % 2 == 1 {
        return Err(fault("22023", "argument list must have even number of elements"));
    }
    let pairs = (0..call.n_arguments()).step_by(2);
    let pairs = pairs.map(|at| Ok((keys(call, at)?, writer(call, at + 1)?)));
    let pairs = pairs.collect::<Result<Vec<_>>>()?;
    let text = |row: usize| {
        let mut text = String::from("{");
        for (index, (keys, values)) in pairs.iter().enumerate() {
            if keys.is_null(row) {
                let message = match call.kind {
                    Json::Text => format!("argument {} cannot be null", index * 2 + 1),
                    Json::Binary => format!("argument {}: key must not be null", index * 2 + 1),
                };
                return Err(fault("22023", message));
            }
            if index > 0 {
                text.push_str(", ");
            }
            text.push_str(&quoted(keys.value(row)));
            text.push_str(" : ");
            values.put(row, &mut text);
        }
        text.push('}');
        Ok(Some(text))
    };
    result(call, (0..call.n_rows).map(text).collect::<Result<_>>()?)
}

fn build_array(call: &Call<'_>) -> Result<ArrayRef> {
    let values = (0..call.n_arguments()).map(|at| writer(call, at)).collect::<Result<Vec<_>>>()?;
    let text = |row: usize| {
        let mut text = String::from("[");
        for (index, values) in values.iter().enumerate() {
            if index > 0 {
                text.push_str(", ");
            }
            values.put(row, &mut text);
        }
        text.push(']');
        Some(text)
    };
    result(call, (0..call.n_rows).map(text).collect())
}

/// What `json_agg` makes of the values that it has collected.
fn of_list(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::new(call.array(0)?)?;
    let element = Field::new("", lists.values().data_type().clone(), true);
    let values = Writer::new(lists.values(), &element, call.forms)?;
    let text = |row: usize| {
        if lists.is_null(row) {
            return None;
        }
        let mut text = String::from("[");
        for (index, at) in lists.range(row).enumerate() {
            if index > 0 {
                // Rows stand on lines of their own.
                text.push_str(if matches!(values, Writer::Object(..)) { ", \n " } else { ", " });
            }
            values.put(at, &mut text);
        }
        text.push(']');
        Some(text)
    };
    result(call, (0..call.n_rows).map(text).collect())
}

/// What `json_object_agg` makes of the pairs that it has collected.
fn of_pairs(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::new(call.array(0)?)?;
    let Some(pairs) = lists.values().as_struct_opt() else {
        return Err(exec_datafusion_err!("{} needs pairs", call.name));
    };
    let (Some(keys), Some(values), Some(field)) =
        (pairs.columns().first(), pairs.columns().get(1), pairs.fields().get(1))
    else {
        return Err(exec_datafusion_err!("{} needs pairs", call.name));
    };
    let key_field = Field::new("", keys.data_type().clone(), true);
    let keys = match keys.data_type() {
        data_type if crate::types::is_text(data_type) => crate::types::convert::texts_of(keys)?,
        DataType::Boolean => booleans(keys.as_boolean()),
        DataType::Null => StringArray::new_null(keys.len()),
        _ => call.forms.write(keys, &key_field, false).map_err(external)?,
    };
    let values = Writer::new(values, field, call.forms)?;
    let text = |row: usize| {
        if lists.is_null(row) {
            return Ok(None);
        }
        let mut text = String::from("{ ");
        for (index, at) in lists.range(row).enumerate() {
            if keys.is_null(at) {
                return Err(fault("22004", "null value not allowed for object key"));
            }
            if index > 0 {
                text.push_str(", ");
            }
            text.push_str(&quoted(keys.value(at)));
            text.push_str(" : ");
            values.put(at, &mut text);
        }
        text.push_str(" }");
        Ok(Some(text))
    };
    result(call, (0..call.n_rows).map(text).collect::<Result<_>>()?)
}

/// `json_object('{a,1,b,2}')` and `json_object('{a,b}', '{1,2}')`.
fn object_of_texts(call: &Call<'_>) -> Result<ArrayRef> {
    let keys = call.paths(0)?;
    let values = if call.n_arguments() > 1 { Some(call.paths(1)?) } else { None };
    let text = |row: usize| -> Result<Option<String>> {
        let Some(Some(keys)) = keys.get(row) else { return Ok(None) };
        let pairs: Vec<(Option<String>, Option<String>)> = match &values {
            Some(values) => {
                let Some(Some(values)) = values.get(row) else { return Ok(None) };
                if values.len() != keys.len() {
                    return Err(fault("2202E", "mismatched array dimensions"));
                }
                keys.iter().cloned().zip(values.iter().cloned()).collect()
            }
            None if keys.len() % 2 == 1 => {
                return Err(fault("2202E", "array must have even number of elements"));
            }
            None => keys
                .chunks_exact(2)
                .map(|pair| (pair.first().cloned().flatten(), pair.last().cloned().flatten()))
                .collect(),
        };
        let mut texts = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let key = key.ok_or_else(|| fault("22004", "null value not allowed for object key"))?;
            let value = value.map_or_else(|| "null".to_owned(), |value| quoted(&value));
            texts.push(format!("{} : {value}", quoted(&key)));
        }
        Ok(Some(format!("{{{}}}", texts.join(", "))))
    };
    result(call, (0..call.n_rows).map(text).collect::<Result<_>>()?)
}
