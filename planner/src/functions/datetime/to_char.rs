//! `to_char(value, template)`.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::util::display::array_value_to_string;
use chrono::{DateTime, Offset, TimeZone, Utc};
use chrono_tz::{OffsetName, Tz};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::number::{NumberTemplate, roman_numeral};
use super::render::{Moment, render};
use super::template::{Item, parse};
use crate::functions::fault::fault;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ToChar {
    signature: Signature,
}

impl ToChar {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Stable) }
    }
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &'static str {
        "to_char"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, template] = args.args.as_slice() else {
            return Err(exec_datafusion_err!("to_char needs two arguments"));
        };
        let constant =
            args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let n_rows = if constant { 1 } else { args.number_rows };
        let zone = session_zone(args.config_options.execution.time_zone.as_deref());
        let values = Values::new(&value.to_array(n_rows)?, zone)?;
        let templates = match template {
            ColumnarValue::Scalar(template) => {
                let text = template.try_as_str().flatten();
                Templates::One(text.map(|text| values.template(text)).transpose()?)
            }
            ColumnarValue::Array(array) => {
                Templates::Many(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
            }
        };
        let mut out = StringBuilder::new();
        let mut text = String::new();
        for row in 0..n_rows {
            let template = match &templates {
                Templates::One(template) => template.as_ref().map(Cow::Borrowed),
                Templates::Many(array) if array.is_null(row) => None,
                Templates::Many(array) => Some(Cow::Owned(values.template(array.value(row))?)),
            };
            text.clear();
            match template {
                Some(template) if values.write(row, &template, &mut text)? => {
                    out.append_value(&text);
                }
                _ => out.append_null(),
            }
        }
        let array: ArrayRef = Arc::new(out.finish());
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

enum Templates {
    One(Option<Template>),
    Many(StringArray),
}

#[derive(Clone)]
enum Template {
    Moment(Vec<Item>),
    Number(Arc<NumberTemplate>),
}

enum Values {
    Moments {
        micros: ArrayRef,
        zone: Option<Tz>,
    },
    Intervals(ArrayRef),
    /// With the digits that the type holds for sure.
    Floats {
        array: ArrayRef,
        n_exact: usize,
    },
    Decimals(ArrayRef),
}

impl Values {
    fn new(array: &ArrayRef, session: Tz) -> Result<Self> {
        let micros = |zone: Option<Arc<str>>| DataType::Timestamp(TimeUnit::Microsecond, zone);
        Ok(match array.data_type() {
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None) => {
                Self::Moments { micros: cast(array, &micros(None))?, zone: None }
            }
            DataType::Timestamp(_, Some(name)) => Self::Moments {
                micros: cast(array, &micros(Some(Arc::clone(name))))?,
                zone: Some(session),
            },
            DataType::Interval(_)
            | DataType::Duration(_)
            | DataType::Time32(_)
            | DataType::Time64(_) => {
                Self::Intervals(cast(array, &DataType::Interval(IntervalUnit::MonthDayNano))?)
            }
            t if t.is_floating() => {
                let n_exact = if *t == DataType::Float64 { 15 } else { 6 };
                Self::Floats { array: cast(array, &DataType::Float64)?, n_exact }
            }
            t if t.is_integer() || t.is_decimal() => Self::Decimals(Arc::clone(array)),
            DataType::Null => Self::Decimals(cast(array, &DataType::Int64)?),
            t => {
                let message = format!("function to_char({t}, text) does not exist");
                return Err(fault("42883", message));
            }
        })
    }

    fn template(&self, text: &str) -> Result<Template> {
        Ok(match self {
            Self::Moments { .. } | Self::Intervals(_) => Template::Moment(parse(text)?),
            Self::Floats { .. } | Self::Decimals(_) => {
                Template::Number(Arc::new(NumberTemplate::parse(text)?))
            }
        })
    }

    /// Writes the value of a row; `false` for NULL.
    fn write(&self, row: usize, template: &Template, out: &mut String) -> Result<bool> {
        match (self, template) {
            (Self::Moments { micros, zone }, Template::Moment(items)) => {
                if micros.is_null(row) {
                    return Ok(false);
                }
                let value = micros.as_primitive::<TimestampMicrosecondType>().value(row);
                let at = DateTime::<Utc>::from_timestamp_micros(value);
                let at = at.ok_or_else(|| fault("22008", "timestamp out of range"))?;
                let moment = match zone {
                    None => Moment::new(at.naive_utc(), None),
                    Some(zone) => {
                        let local = at.with_timezone(zone);
                        let offset = local.offset();
                        let name = offset.abbreviation().unwrap_or("").to_owned();
                        let seconds = offset.fix().local_minus_utc();
                        Moment::new(local.naive_local(), Some((seconds, name)))
                    }
                };
                render(items, &moment, out)?;
                Ok(!items.is_empty())
            }
            (Self::Intervals(array), Template::Moment(items)) => {
                if array.is_null(row) {
                    return Ok(false);
                }
                let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
                let moment = Moment::interval(value.months, value.days, value.nanoseconds);
                render(items, &moment, out)?;
                Ok(!items.is_empty())
            }
            (Self::Floats { array, n_exact }, Template::Number(template)) => {
                if array.is_null(row) {
                    return Ok(false);
                }
                let value = array.as_primitive::<Float64Type>().value(row);
                write_float(value, *n_exact, template, out);
                Ok(true)
            }
            (Self::Decimals(array), Template::Number(template)) => {
                if array.is_null(row) {
                    return Ok(false);
                }
                write_number(&array_value_to_string(array, row)?, template, out);
                Ok(true)
            }
            _ => Err(exec_datafusion_err!("a template of the wrong kind")),
        }
    }
}

/// Writes a decimal number.
fn write_number(number: &str, template: &NumberTemplate, out: &mut String) {
    let negative = number.starts_with('-');
    let unsigned = number.trim_start_matches('-');
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        // NaN and infinity.
        write_odd(unsigned, negative, template, out);
        return;
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if template.exponent() {
        let value: f64 = number.parse().unwrap_or(0.0);
        write_exponent(value, template, out);
        return;
    }
    if template.roman() {
        let (whole, _) = rounded(whole, fraction, 0);
        write_roman(whole.parse().unwrap_or(i64::MAX), negative, template, out);
        return;
    }
    // `V` moves the point to the right.
    let n_shift = template.n_shift();
    let mut digits = fraction.to_owned();
    while digits.len() < n_shift {
        digits.push('0');
    }
    let (moved, rest) = digits.split_at_checked(n_shift).unwrap_or((digits.as_str(), ""));
    let (whole, fraction) = rounded(&format!("{whole}{moved}"), rest, template.n_fraction());
    let trimmed = whole.trim_start_matches('0');
    let whole = if trimmed.is_empty() { "0" } else { trimmed };
    let zero = whole == "0" && fraction.bytes().all(|digit| digit == b'0');
    let text = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
    out.push_str(&template.render(negative && !zero, &text));
}

fn write_odd(word: &str, negative: bool, template: &NumberTemplate, out: &mut String) {
    let word = if word.eq_ignore_ascii_case("nan") { "NaN" } else { "Infinity" };
    if template.exponent() {
        let (pre, post) = (template.n_whole(), template.n_fraction());
        out.push_str(&format!(" {}.{}", "#".repeat(pre), "#".repeat(post + 4)));
        return;
    }
    let text = if template.roman() { "#".repeat(15) } else { word.to_owned() };
    out.push_str(&template.render(negative && word != "NaN", &text));
}

fn write_roman(value: i64, negative: bool, template: &NumberTemplate, out: &mut String) {
    let value = if negative { -value } else { value };
    out.push_str(&template.render(false, &roman_numeral(value)));
}

/// ` 1.23e+03`.
fn write_exponent(value: f64, template: &NumberTemplate, out: &mut String) {
    let n = template.n_fraction();
    let text = format!("{value:.n$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let sign = if exponent.starts_with('-') { '-' } else { '+' };
    let exponent = exponent.trim_start_matches('-');
    let blank = if mantissa.starts_with('-') { "" } else { " " };
    out.push_str(&format!("{blank}{mantissa}e{sign}{exponent:0>2}"));
}

/// Writes a float with no more digits than its type holds.
fn write_float(value: f64, n_exact: usize, template: &NumberTemplate, out: &mut String) {
    let negative = value.is_sign_negative();
    if !value.is_finite() {
        write_odd(if value.is_nan() { "nan" } else { "inf" }, negative, template, out);
        return;
    }
    if template.exponent() {
        write_exponent(value, template, out);
        return;
    }
    if template.roman() {
        let value = value.round_ties_even().clamp(-1e6, 1e6);
        let value = format!("{value:.0}").parse().unwrap_or(0);
        write_roman(value, false, template, out);
        return;
    }
    let shift = i32::try_from(template.n_shift()).unwrap_or(0);
    let value = (value * 10_f64.powi(shift)).abs();
    let whole = format!("{value:.0}").len();
    let n_fraction = template.n_fraction().min(n_exact.saturating_sub(whole));
    let text = format!("{value:.n_fraction$}");
    let zero = text.bytes().all(|byte| byte == b'0' || byte == b'.');
    out.push_str(&template.render(negative && !zero, &text));
}

/// Digits with exactly `n` after the point, halves rounded away from zero.
fn rounded(whole: &str, fraction: &str, n: usize) -> (String, String) {
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes().take(n)).collect();
    digits.resize(whole.len() + n, b'0');
    let mut carry = fraction.as_bytes().get(n).is_some_and(|digit| *digit >= b'5');
    for digit in digits.iter_mut().rev() {
        if !carry {
            break;
        }
        carry = *digit == b'9';
        *digit = if carry { b'0' } else { *digit + 1 };
    }
    let text: String = digits.into_iter().map(char::from).collect();
    let (whole, fraction) = text.split_at_checked(whole.len()).unwrap_or((&text, ""));
    (format!("{}{whole}", if carry { "1" } else { "" }), fraction.to_owned())
}

/// The session's zone; one given as an offset that has no name is taken as UTC.
pub(super) fn session_zone(name: Option<&str>) -> Tz {
    name.and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC)
}

/// The instant of a local time in a zone; in a gap of the clock the later one.
pub(super) fn instant(local: chrono::NaiveDateTime, zone: Tz) -> i64 {
    let found = zone.from_local_datetime(&local);
    let at = found.earliest().map(|at| at.timestamp_micros());
    at.unwrap_or_else(|| {
        let later = local + chrono::TimeDelta::hours(1);
        let at = zone.from_local_datetime(&later).earliest();
        at.map_or_else(|| local.and_utc().timestamp_micros(), |at| at.timestamp_micros())
    })
}
