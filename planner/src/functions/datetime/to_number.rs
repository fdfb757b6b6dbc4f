//! `to_number(text, template)`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Builder};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use tarn_catalog::pg_type::FIELD_PG_TYPMOD;

use super::number::NumberTemplate;
use crate::functions::fault::fault;
use crate::functions::frame::undefined;

pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(ToNumber { signature: Signature::any(2, Volatility::Immutable) }))
}

/// Digits behind the point where the template is not known before.
const SCALE_UNKNOWN: i8 = 10;

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToNumber {
    signature: Signature,
}

impl ScalarUDFImpl for ToNumber {
    fn name(&self) -> &'static str {
        "to_number"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(DECIMAL128_MAX_PRECISION, SCALE_UNKNOWN))
    }

    /// As many digits behind the point as the number has, where it is known, or the template.
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let text = |t: &DataType| t.is_string() || *t == DataType::Null;
        if !args.arg_fields.iter().all(|field| text(field.data_type())) {
            return Err(undefined("to_number", args.arg_fields));
        }
        let literal = |at: usize| {
            let value = args.scalar_arguments.get(at).copied().flatten()?;
            value.try_as_str().flatten()
        };
        let scale = match (literal(0), literal(1)) {
            (text, Some(template)) => {
                let template = NumberTemplate::parse(template)?;
                match text {
                    Some(text) => {
                        let number = template.read(text)?;
                        let behind = number.split_once('.').map_or(0, |(_, behind)| behind.len());
                        behind + template.n_shift()
                    }
                    None => template.n_fraction_read(),
                }
            }
            (_, None) => usize::from(SCALE_UNKNOWN.unsigned_abs()),
        };
        let scale = i8::try_from(scale.min(30)).unwrap_or(30);
        let data_type = DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale);
        let plain = [(FIELD_PG_TYPMOD.to_owned(), "-1".to_owned())];
        Ok(Arc::new(Field::new("to_number", data_type, true).with_metadata(plain.into())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, template] = args.args.as_slice() else {
            return Err(exec_datafusion_err!("to_number needs two arguments"));
        };
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let n_rows = if constant { 1 } else { args.number_rows };
        let texts = cast(&text.to_array(n_rows)?, &DataType::Utf8)?;
        let templates = cast(&template.to_array(n_rows)?, &DataType::Utf8)?;
        let (texts, templates) = (texts.as_string::<i32>(), templates.as_string::<i32>());
        let DataType::Decimal128(precision, scale) = *args.return_field.data_type() else {
            return Err(exec_datafusion_err!("to_number makes decimals"));
        };
        let mut out = Decimal128Builder::with_capacity(n_rows);
        let mut last: Option<(String, NumberTemplate)> = None;
        for row in 0..n_rows {
            // An empty template gives no number.
            if texts.is_null(row) || templates.is_null(row) || templates.value(row).is_empty() {
                out.append_null();
                continue;
            }
            let text = templates.value(row);
            if last.as_ref().is_none_or(|(known, _)| known != text) {
                last = Some((text.to_owned(), NumberTemplate::parse(text)?));
            }
            let Some((_, template)) = &last else { continue };
            let number = template.read(texts.value(row))?;
            let value = decimal(&number, scale, template.n_shift());
            out.append_value(value.ok_or_else(|| {
                let message = "invalid input syntax for type numeric: \" \"";
                fault("22P02", message)
            })?);
        }
        let array: ArrayRef = Arc::new(out.finish().with_precision_and_scale(precision, scale)?);
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// The number in units of the last place, `n_shift` places to the right.
fn decimal(number: &str, scale: i8, n_shift: usize) -> Option<i128> {
    let negative = number.starts_with('-');
    let unsigned = number.trim_start_matches('-');
    let (whole, behind) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.is_empty() && behind.is_empty() {
        return None;
    }
    let scale = usize::try_from(scale).unwrap_or(0);
    let mut digits = format!("{whole}{behind}");
    // Places of the digits behind the point after the shift.
    let places = behind.len() + n_shift;
    if places <= scale {
        digits.push_str(&"0".repeat(scale - places));
    } else {
        digits.truncate(digits.len().saturating_sub(places - scale));
    }
    let value: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    Some(if negative { -value } else { value })
}
