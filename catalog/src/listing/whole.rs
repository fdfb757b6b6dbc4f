//! Whole numbers of JSON, read from what is written.
//!
//! arrow-json 59.3 reads what is no whole number as a double and cuts it: 1.9 would be 1, and
//! 9007199254740993.0 another number.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Builder};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::error::{DataFusionError, Result};

use crate::CatalogError;

/// Characters of a value that an error shows.
const N_SHOWN_CHARS_MAX: usize = 100;

/// The columns with text instead of whole numbers.
pub(super) fn as_written(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Int64 => Arc::new(Field::new(field.name(), DataType::Utf8, field.is_nullable())),
        _ => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The whole numbers that a column holds as text; other columns stay as they are.
pub(super) fn numbers(column: &ArrayRef, field: &FieldRef) -> Result<ArrayRef> {
    let DataType::Int64 = field.data_type() else { return Ok(Arc::clone(column)) };
    let Some(texts) = column.as_string_opt::<i32>() else { return Ok(Arc::clone(column)) };
    let mut numbers = Int64Builder::with_capacity(texts.len());
    for text in texts {
        match text.map(number).transpose() {
            Ok(number) => numbers.append_option(number),
            Err(code) => return Err(failed(code, text.unwrap_or_default(), field.name())),
        }
    }
    Ok(Arc::new(numbers.finish()))
}

/// A whole number, which may have a fraction of zeros; the code of the error where it is none.
fn number(text: &str) -> std::result::Result<i64, &'static str> {
    let text = text.trim();
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    };
    whole.parse().map_err(|_| {
        let digits = whole.strip_prefix('-').unwrap_or(whole);
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_whole { "22003" } else { "22P02" }
    })
}

fn failed(code: &'static str, text: &str, column: &str) -> DataFusionError {
    let shown: String = text.chars().take(N_SHOWN_CHARS_MAX).collect();
    let what = match code {
        "22003" => format!("value \"{shown}\" of column \"{column}\" is out of range for bigint"),
        _ => format!("value \"{shown}\" of column \"{column}\" is no bigint"),
    };
    DataFusionError::External(Box::new(CatalogError::FileValue { code, what }))
}

#[cfg(test)]
mod tests;
