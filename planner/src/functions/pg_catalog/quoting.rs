//! Quoting of identifiers and literals, `format`, bounds of arrays.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::error::DataFusionError;

use super::function::{Call, Kind, Spec, Value, immutable};
use super::lookup::{quote_identifier, quote_literal};
use crate::error::PlannerError;

/// The greatest number of arguments of `format`.
const FORMAT_ARGUMENTS_MAX: usize = 20;

/// The greatest number of arguments of `json_build_object`: PostgreSQL's for any function.
const JSON_ARGUMENTS_MAX: usize = 100;

pub(super) const FUNCTIONS: &[Spec] = &[
    immutable("quote_ident", (1, 1), Kind::Text, |call, row| {
        Ok(Value::from_text(call.shown(0, row)?.map(|text| quote_identifier(&text))))
    }),
    immutable("quote_literal", (1, 1), Kind::Text, |call, row| {
        Ok(Value::from_text(call.shown(0, row)?.map(|text| quote_literal(&text))))
    }),
    immutable("quote_nullable", (1, 1), Kind::Text, |call, row| {
        let text = call.shown(0, row)?;
        Ok(Value::Text(text.map_or_else(|| "NULL".to_owned(), |text| quote_literal(&text))))
    })
    .called_on_null(),
    immutable("format", (1, FORMAT_ARGUMENTS_MAX), Kind::Text, |call, row| {
        let Some(pattern) = call.text(0, row) else { return Ok(Value::Null) };
        Ok(Value::Text(format(call, row, pattern)?))
    })
    .called_on_null(),
    immutable("like_escape", (2, 2), Kind::Text, |call, row| {
        let (pattern, escape) = (call.text(0, row), call.text(1, row));
        Ok(Value::Text(like_escape(pattern.unwrap_or_default(), escape.unwrap_or_default())?))
    }),
    immutable("json_build_object", (0, JSON_ARGUMENTS_MAX), Kind::Json, json_object)
        .called_on_null(),
    immutable("array_lower", (2, 2), Kind::Int4, |call, row| {
        Ok(dimension(call, row).map_or(Value::Null, |_| Value::Int(1)))
    }),
    immutable("array_upper", (2, 2), Kind::Int4, |call, row| {
        Ok(dimension(call, row).map_or(Value::Null, Value::Int))
    }),
];

/// Writes a LIKE pattern with another escape character, or none, with the backslash.
fn like_escape(pattern: &str, escape: &str) -> Result<String> {
    let mut escapes = escape.chars();
    let escape = escapes.next();
    if escapes.next().is_some() {
        let message = "invalid escape string".to_owned();
        let error = PlannerError::Semantics { code: "22025", message, position: None };
        return Err(DataFusionError::External(Box::new(error)));
    }
    let mut text = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            text.push('\\');
            text.extend(chars.next());
        } else {
            if c == '\\' {
                text.push('\\');
            }
            text.push(c);
        }
    }
    Ok(text)
}

/// Keys and values in turn.
fn json_object(call: &Call<'_>, row: usize) -> Result<Value> {
    let mut members = Vec::new();
    for at in (0..call.n_arguments()).step_by(2) {
        let key = call.shown(at, row)?;
        let key = key.ok_or_else(|| invalid(format!("argument {} cannot be null", at + 1)))?;
        let value = match call.shown(at + 1, row)? {
            None => "null".to_owned(),
            Some(text) if call.is_plain(at + 1) => text,
            Some(text) => serde_json::Value::String(text).to_string(),
        };
        members.push(format!("{} : {value}", serde_json::Value::String(key)));
    }
    Ok(Value::Text(format!("{{{}}}", members.join(", "))))
}

/// The length of the dimension that the second argument counts from 1.
fn dimension(call: &Call<'_>, row: usize) -> Option<i64> {
    let mut wanted = call.int(1, row).filter(|n| *n >= 1)?;
    let mut list = element(call.other(0)?, row)?;
    while wanted > 1 {
        list = element(&list, 0)?;
        wanted -= 1;
    }
    i64::try_from(list.len()).ok().filter(|length| *length > 0)
}

fn element(array: &ArrayRef, row: usize) -> Option<ArrayRef> {
    if row >= array.len() || array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::List(_) => Some(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Some(array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(_, _) => Some(array.as_fixed_size_list().value(row)),
        _ => None,
    }
}

fn invalid(message: String) -> DataFusionError {
    let error = PlannerError::Semantics { code: "22023", message, position: None };
    DataFusionError::External(Box::new(error))
}

/// `%s`, `%I`, `%L`, `%%`, with `n$` positions, `-` and widths.
fn format(call: &Call<'_>, row: usize, pattern: &str) -> Result<String> {
    let mut text = String::with_capacity(pattern.len());
    let mut next = 1;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let mut number = String::new();
        let (mut left, mut position) = (false, None);
        let kind = loop {
            match chars.next() {
                Some('$') => position = std::mem::take(&mut number).parse::<usize>().ok(),
                Some('-') => left = true,
                Some(digit) if digit.is_ascii_digit() => number.push(digit),
                Some(kind) => break kind,
                None => return Err(invalid("unterminated format() type specifier".to_owned())),
            }
        };
        if kind == '%' {
            text.push('%');
            continue;
        }
        let at = position.unwrap_or(next);
        next = at.saturating_add(1);
        if at >= call.n_arguments() {
            return Err(invalid("too few arguments for format()".to_owned()));
        }
        let value = call.shown(at, row)?;
        let shown = match (kind, value) {
            ('s', value) => value.unwrap_or_default(),
            ('I', Some(value)) => quote_identifier(&value),
            ('I', None) => {
                return Err(invalid("null values cannot be formatted as an SQL identifier".into()));
            }
            ('L', value) => value.map_or_else(|| "NULL".to_owned(), |value| quote_literal(&value)),
            (kind, _) => {
                return Err(invalid(format!("unrecognized format() type specifier \"{kind}\"")));
            }
        };
        // A width given by the client must not size an allocation beyond what the text may be.
        let width = number.parse::<usize>().unwrap_or(0).min(10_000);
        let padding = " ".repeat(width.saturating_sub(shown.chars().count()));
        if left {
            text.push_str(&shown);
            text.push_str(&padding);
        } else {
            text.push_str(&padding);
            text.push_str(&shown);
        }
    }
    Ok(text)
}
