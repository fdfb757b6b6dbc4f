//! Folders `key=value`, as Hive and Spark write them.

use ::object_store::ObjectMeta;
use ::object_store::path::Path;
use arrow::array::types::Date32Type;
use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::ScalarValue;
use percent_encoding::percent_decode_str;

use crate::discovery::Format;

/// Writers use this value for NULL.
const NULL_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// Whether writers mean a file or folder of this name to be overlooked.
pub(crate) fn hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && partition_of(name).is_none())
}

/// Splits the name of a folder `key=value`.
pub(crate) fn partition_of(folder: &str) -> Option<(&str, &str)> {
    folder.split_once('=').filter(|(key, _)| !key.is_empty() && !key.starts_with('.'))
}

/// Whether a file below a folder is one of its table: right format, only partitions between.
pub(super) fn belongs(folder: &Path, file: &Path, format: Format) -> bool {
    let Some(parts) = file.prefix_match(folder) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((name, folders)) = parts.split_last() else { return false };
    !hidden(name.as_ref())
        && Format::of_file(name.as_ref()) == Some(format)
        && folders.iter().all(|folder| partition_of(folder.as_ref()).is_some())
}

/// The partition columns of a table and, file by file, their values.
pub(super) struct Partitions {
    pub(super) fields: Fields,
    pub(super) values: Vec<Vec<ScalarValue>>,
}

impl Partitions {
    /// Reads keys and values from the paths; each key gets the narrowest type that all values have.
    ///
    /// Returns the path of a file whose keys differ from those of the first, if there is one.
    pub(super) fn try_new(folder: &Path, files: &[ObjectMeta]) -> Result<Self, String> {
        let mut keys: Vec<String> = Vec::new();
        let mut texts: Vec<Vec<Option<String>>> = Vec::with_capacity(files.len());
        for (index, file) in files.iter().enumerate() {
            let pairs = pairs(folder, &file.location);
            if index == 0 {
                keys = pairs.iter().map(|(key, _)| key.clone()).collect();
            } else if !keys.iter().eq(pairs.iter().map(|(key, _)| key)) {
                return Err(file.location.to_string());
            }
            texts.push(pairs.into_iter().map(|(_, value)| value).collect());
        }
        let mut fields = Vec::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            let column = texts.iter().filter_map(|row| row.get(index)?.as_deref());
            fields.push(Field::new(key, narrowest(column), true));
        }
        let row = |row: Vec<Option<String>>| {
            let typed = row.into_iter().zip(&fields);
            typed.map(|(text, field)| value(text, field.data_type())).collect()
        };
        let values = texts.into_iter().map(row).collect();
        Ok(Self { fields: fields.into(), values })
    }
}

fn pairs(folder: &Path, file: &Path) -> Vec<(String, Option<String>)> {
    let parts: Vec<_> = file.prefix_match(folder).into_iter().flatten().collect();
    let folders = parts.split_last().map(|(_, folders)| folders).unwrap_or_default();
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = |part: &::object_store::path::PathPart<'_>| {
        let (key, value) = partition_of(part.as_ref())?;
        let value = (value != NULL_VALUE && !value.is_empty()).then(|| decoded(value));
        Some((decoded(key), value))
    };
    folders.iter().filter_map(pair).collect()
}

fn narrowest<'a>(values: impl Iterator<Item = &'a str> + Clone) -> DataType {
    if values.clone().next().is_none() {
        DataType::Utf8
    } else if values.clone().all(|text| integer(text).is_some()) {
        DataType::Int64
    } else if values.clone().all(|text| date(text).is_some()) {
        DataType::Date32
    } else {
        DataType::Utf8
    }
}

/// A number that would be written the same: `007` is a text.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

fn date(text: &str) -> Option<i32> {
    if text.len() == 10 { Date32Type::parse(text) } else { None }
}

fn value(text: Option<String>, data_type: &DataType) -> ScalarValue {
    match data_type {
        DataType::Int64 => ScalarValue::Int64(text.as_deref().and_then(integer)),
        DataType::Date32 => ScalarValue::Date32(text.as_deref().and_then(date)),
        _ => ScalarValue::Utf8(text),
    }
}
