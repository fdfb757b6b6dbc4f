//! The statistics text of an add action, and partition values as text.
//!
//! Source: Delta protocol, sections "Per-file Statistics" and "Partition Value Serialization".

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use chrono::DateTime;
use datafusion::common::ScalarValue;

use super::super::statistics::{max_value, min_value};

/// Characters of text bounds that are kept.
const TEXT_BOUND_CHARS: usize = 32;

/// `{"numRecords":…,"minValues":{…},"maxValues":{…},"nullCount":{…}}`.
///
/// Written as text because decimals have more digits than JSON numbers of this program hold.
pub(super) fn of_batch(rows: &RecordBatch) -> String {
    let (mut min, mut max, mut nulls) = (Vec::new(), Vec::new(), Vec::new());
    for (field, values) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        if values.data_type().is_nested() {
            continue;
        }
        let key = serde_json::Value::from(field.name().as_str());
        nulls.push(format!("{key}:{}", values.null_count()));
        if let (Ok(low), Ok(high)) = (min_value(values), max_value(values))
            && let (Some(low), Some(high)) = (bound(&low, false), bound(&high, true))
        {
            min.push(format!("{key}:{low}"));
            max.push(format!("{key}:{high}"));
        }
    }
    format!(
        "{{\"numRecords\":{},\"minValues\":{{{}}},\"maxValues\":{{{}}},\"nullCount\":{{{}}}}}",
        rows.num_rows(),
        min.join(","),
        max.join(","),
        nulls.join(",")
    )
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
            Some(serde_json::Value::from(text_bound(text, is_max)).to_string())
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

/// At most the first 32 characters; a cut maximum gets a last character above all others.
fn text_bound(text: &str, is_max: bool) -> String {
    match text.char_indices().nth(TEXT_BOUND_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => {
            let mut cut = text.get(..end).unwrap_or_default().to_owned();
            if is_max {
                cut.push('\u{10FFFF}');
            }
            cut
        }
    }
}

/// A partition value as text; `None` for NULL and for the empty text, which Delta cannot tell apart.
pub(super) fn partition_text(value: &ScalarValue) -> Option<String> {
    let text = match value {
        ScalarValue::TimestampMicrosecond(Some(micros), _) => {
            let at = DateTime::from_timestamp_micros(*micros)?;
            at.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
        }
        ScalarValue::Decimal128(Some(digits), _, scale) => decimal_text(*digits, *scale)?,
        value if value.is_null() => return None,
        value if value.data_type() == DataType::Boolean => value.to_string(),
        value => value.to_string(),
    };
    (!text.is_empty()).then_some(text)
}
