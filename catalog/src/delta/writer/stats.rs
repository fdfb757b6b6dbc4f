//! The statistics text of an add action, and partition values as text.
//!
//! Source: Delta protocol, sections "Per-file Statistics" and "Partition Value Serialization".

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::Field;
use chrono::{DateTime, Datelike, NaiveDate};
use datafusion::common::ScalarValue;

use super::super::index::FileIndex;
use super::super::layout::TableLayout;
use super::super::sql_types;
use super::super::statistics::{max_value, min_value};
use crate::{CatalogError, Result};

/// Characters of text bounds that are kept.
const TEXT_BOUND_CHARS: usize = 32;

/// What is known of one stored column of a file.
#[derive(Debug)]
pub(in crate::delta) struct ColumnFacts {
    /// The name in the file.
    pub(in crate::delta) name: String,
    pub(in crate::delta) min: Option<ScalarValue>,
    pub(in crate::delta) max: Option<ScalarValue>,
    pub(in crate::delta) null_count: Option<u64>,
}

/// `{"numRecords":…,"minValues":{…},"maxValues":{…},"nullCount":{…}}`.
///
/// Written as text because decimals have more digits than JSON numbers of this program hold.
pub(in crate::delta) fn text_of(n_rows: u64, columns: &[ColumnFacts], is_tight: bool) -> String {
    let (mut min, mut max, mut nulls) = (Vec::new(), Vec::new(), Vec::new());
    for column in columns {
        let key = serde_json::Value::from(column.name.as_str());
        if let Some(n) = column.null_count {
            nulls.push(format!("{key}:{n}"));
        }
        if let (Some(low), Some(high)) = (&column.min, &column.max)
            && let (Some(low), Some(high)) = (bound(low, false), bound(high, true))
        {
            min.push(format!("{key}:{low}"));
            max.push(format!("{key}:{high}"));
        }
    }
    format!(
        "{{\"numRecords\":{n_rows},\"minValues\":{{{}}},\"maxValues\":{{{}}},\"nullCount\":{{{}}},\
         \"tightBounds\":{is_tight}}}",
        min.join(","),
        max.join(","),
        nulls.join(",")
    )
}

/// The statistics of rows in memory.
pub(in crate::delta) fn of_batch(rows: &RecordBatch) -> String {
    let columns = rows.schema_ref().fields().iter().zip(rows.columns());
    let facts: Vec<ColumnFacts> = columns
        .filter(|(_, values)| !values.data_type().is_nested())
        .map(|(field, values)| ColumnFacts {
            name: field.name().clone(),
            min: min_value(values).ok(),
            max: max_value(values).ok(),
            null_count: u64::try_from(values.null_count()).ok(),
        })
        .collect();
    text_of(u64::try_from(rows.num_rows()).unwrap_or_default(), &facts, true)
}

/// The statistics of a file as the index knows them, for the log to say again with deleted rows.
pub(in crate::delta) fn of_index(
    index: &FileIndex,
    layout: &TableLayout,
    file: usize,
) -> Option<String> {
    let stored = index.stored_rows.get(file).copied().flatten()?;
    let value = |values: &Option<ArrayRef>| {
        let values = values.as_ref().filter(|values| file < values.len())?;
        ScalarValue::try_from_array(values, file).ok()
    };
    let facts: Vec<ColumnFacts> = layout
        .file_names
        .iter()
        .zip(&index.columns)
        .map(|(name, bounds)| {
            let nulls = bounds.null_count.as_ref().filter(|nulls| nulls.is_valid(file));
            ColumnFacts {
                name: name.clone(),
                min: value(&bounds.min),
                max: value(&bounds.max),
                null_count: nulls.and_then(|nulls| u64::try_from(nulls.value(file)).ok()),
            }
        })
        .collect();
    Some(text_of(stored, &facts, false))
}

/// A bound as JSON; `None` for NULL and for types without bounds.
fn bound(value: &ScalarValue, is_max: bool) -> Option<String> {
    if value.is_null() {
        return None;
    }
    match value {
        ScalarValue::Float32(Some(v)) => v.is_finite().then(|| format!("{v:?}")),
        ScalarValue::Float64(Some(v)) => v.is_finite().then(|| format!("{v:?}")),
        ScalarValue::Utf8View(Some(text)) | ScalarValue::Utf8(Some(text)) => {
            Some(serde_json::Value::from(text_bound(text, is_max)?).to_string())
        }
        ScalarValue::Date32(Some(_)) => Some(format!("\"{value}\"")),
        ScalarValue::TimestampMicrosecond(Some(micros), zone) => {
            // Down to milliseconds; readers know that the maximum may be a little later.
            let at = DateTime::from_timestamp_millis(micros.div_euclid(1000))?;
            let suffix = if zone.is_some() { "Z" } else { "" };
            Some(format!("\"{}{suffix}\"", at.format("%Y-%m-%dT%H:%M:%S%.3f")))
        }
        _ if value.data_type().is_integer() => Some(value.to_string()),
        ScalarValue::Decimal128(Some(digits), _, scale) => decimal_text(*digits, *scale),
        _ => None,
    }
}

fn decimal_text(digits: i128, scale: i8) -> Option<String> {
    let scale = usize::try_from(scale).ok()?;
    let sign = if digits < 0 { "-" } else { "" };
    let text = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = text.split_at_checked(text.len() - scale)?;
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

/// At most the first 32 characters; a cut maximum gets a last character above all others, and there
/// is none where the text goes on with that character.
fn text_bound(text: &str, is_max: bool) -> Option<String> {
    match text.char_indices().nth(TEXT_BOUND_CHARS) {
        None => Some(text.to_owned()),
        Some((_, char::MAX)) if is_max => None,
        Some((end, _)) => {
            let mut cut = text.get(..end).unwrap_or_default().to_owned();
            if is_max {
                cut.push(char::MAX);
            }
            Some(cut)
        }
    }
}

/// A partition value as text; `None` for NULL and for the empty text, which Delta cannot tell apart.
///
/// # Errors
/// `PartitionValue` for a value that has no text there which all readers understand,
/// `PartitionNull` for an empty text in a column without NULLs.
pub(in crate::delta) fn partition_text(
    column: &Field,
    value: &ScalarValue,
) -> Result<Option<String>> {
    if value.is_null() {
        return Ok(None);
    }
    let refused = |reason: &'static str| CatalogError::PartitionValue {
        column: column.name().clone(),
        reason,
    };
    if let Some(text) = sql_types::text_of(value) {
        return Ok(Some(text));
    }
    let text = match value {
        ScalarValue::TimestampMicrosecond(Some(micros), zone) => {
            let at = DateTime::from_timestamp_micros(*micros).filter(|at| is_common(at.year()));
            let at = at.ok_or_else(|| refused(OUT_OF_RANGE))?;
            // Without its zone, an instant would be another one for readers in other zones.
            let form = match zone {
                Some(_) => "%Y-%m-%dT%H:%M:%S%.6fZ",
                None => "%Y-%m-%d %H:%M:%S%.6f",
            };
            at.format(form).to_string()
        }
        ScalarValue::Date32(Some(days)) => {
            let date = NaiveDate::from_epoch_days(*days).filter(|date| is_common(date.year()));
            date.ok_or_else(|| refused(OUT_OF_RANGE))?.format("%Y-%m-%d").to_string()
        }
        ScalarValue::Decimal128(Some(digits), _, scale) => {
            decimal_text(*digits, *scale).ok_or_else(|| refused(NO_TEXT))?
        }
        ScalarValue::Binary(Some(bytes))
        | ScalarValue::LargeBinary(Some(bytes))
        | ScalarValue::BinaryView(Some(bytes)) => {
            // The protocol has a character for each byte, its readers the bytes of the text: these
            // are the same for these bytes only.
            let text = bytes.iter().map(|byte| byte.is_ascii().then_some(char::from(*byte)));
            text.collect::<Option<String>>().ok_or_else(|| refused(NOT_ASCII))?
        }
        ScalarValue::Float32(Some(v)) if v.is_infinite() => infinity(v.is_sign_negative()),
        ScalarValue::Float64(Some(v)) if v.is_infinite() => infinity(v.is_sign_negative()),
        ScalarValue::Boolean(_)
        | ScalarValue::Float32(_)
        | ScalarValue::Float64(_)
        | ScalarValue::Utf8(_)
        | ScalarValue::LargeUtf8(_)
        | ScalarValue::Utf8View(_) => value.to_string(),
        value if value.data_type().is_integer() => value.to_string(),
        _ => return Err(refused(NO_TEXT)),
    };
    match text.is_empty() {
        true if !column.is_nullable() => {
            Err(CatalogError::PartitionNull { column: column.name().clone() })
        }
        is_empty => Ok((!is_empty).then_some(text)),
    }
}

const OUT_OF_RANGE: &str = "dates there are of the years 0 to 9999";
const NOT_ASCII: &str = "bytes there are those of ASCII";
const NO_TEXT: &str = "values of this type have no text there";

/// Years that are written with four digits.
fn is_common(year: i32) -> bool {
    (0..=9999).contains(&year)
}

fn infinity(is_negative: bool) -> String {
    if is_negative { "-Infinity".to_owned() } else { "Infinity".to_owned() }
}
