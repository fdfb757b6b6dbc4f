//! `to_date(text, template)` and `to_timestamp(text, template)` or `to_timestamp(seconds)`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Builder, PrimitiveArray, TimestampMicrosecondBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType};
use chrono::{Datelike, NaiveDate};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::read::{Found, read};
use super::template::parse;
use super::to_char::{instant, session_zone};
use crate::functions::fault::fault;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FromText {
    name: &'static str,
    result: DataType,
    signature: Signature,
}

impl FromText {
    pub(super) fn to_date() -> Self {
        let signature = Signature::any(2, Volatility::Immutable);
        Self { name: "to_date", result: DataType::Date32, signature }
    }

    pub(super) fn to_timestamp() -> Self {
        let counts = vec![TypeSignature::Any(1), TypeSignature::Any(2)];
        let result = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let signature = Signature::one_of(counts, Volatility::Stable);
        Self { name: "to_timestamp", result, signature }
    }
}

impl ScalarUDFImpl for FromText {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant =
            args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let n_rows = if constant { 1 } else { args.number_rows };
        let array = match args.args.as_slice() {
            [seconds] => from_seconds(&seconds.to_array(n_rows)?, &self.result)?,
            [text, template] => {
                let texts = cast(&text.to_array(n_rows)?, &DataType::Utf8)?;
                let templates = cast(&template.to_array(n_rows)?, &DataType::Utf8)?;
                let found = read_all(&texts, &templates)?;
                if self.result == DataType::Date32 {
                    dates(&found)
                } else {
                    let zone = session_zone(args.config_options.execution.time_zone.as_deref());
                    let mut out = TimestampMicrosecondBuilder::with_capacity(n_rows);
                    for found in &found {
                        out.append_option(found.map(|(local, offset)| match offset {
                            Some(seconds) => {
                                local.and_utc().timestamp_micros() - seconds * 1_000_000
                            }
                            None => instant(local, zone),
                        }));
                    }
                    Arc::new(out.finish().with_timezone("UTC"))
                }
            }
            _ => return Err(exec_datafusion_err!("{} needs two arguments", self.name)),
        };
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

fn read_all(texts: &ArrayRef, templates: &ArrayRef) -> Result<Vec<Option<Found>>> {
    let (texts, templates) = (texts.as_string::<i32>(), templates.as_string::<i32>());
    // The template is nearly always the same on all rows.
    let mut last = ("", Vec::new());
    let rows = texts.iter().zip(templates.iter()).map(|(text, template)| {
        let (Some(text), Some(template)) = (text, template) else { return Ok(None) };
        if last.0 != template {
            last = (template, parse(template)?);
        }
        read(&last.1, text).map(Some)
    });
    rows.collect()
}

fn dates(found: &[Option<Found>]) -> ArrayRef {
    let mut out = Date32Builder::with_capacity(found.len());
    let epoch = NaiveDate::default().num_days_from_ce();
    for found in found {
        out.append_option(found.map(|(at, _)| at.date().num_days_from_ce() - epoch));
    }
    Arc::new(out.finish())
}

/// Seconds since 1970; a text, which PostgreSQL does not take, is read as a timestamp.
fn from_seconds(array: &ArrayRef, result: &DataType) -> Result<ArrayRef> {
    if !array.data_type().is_numeric() {
        return Ok(cast(array, result)?);
    }
    let seconds = cast(array, &DataType::Float64)?;
    let seconds = seconds.as_primitive::<Float64Type>();
    let micros: PrimitiveArray<TimestampMicrosecondType> = seconds.try_unary(|seconds| {
        let micros = (seconds * 1e6).round_ties_even();
        // The years that PostgreSQL knows, 4714 BC to 294276.
        if (-2.2e17..9.3e18).contains(&micros) {
            #[expect(clippy::cast_possible_truncation, reason = "checked on the line above")]
            Ok(micros as i64)
        } else {
            Err(fault("22008", format!("timestamp out of range: \"{seconds}\"")))
        }
    })?;
    Ok(Arc::new(micros.with_timezone("UTC")))
}
