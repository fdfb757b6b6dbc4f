//! Parameters of Bind messages to Arrow scalars.
//!
//! [`decode_parameter_in`] takes either form of any type; [`parse_text`] the text form. The forms
//! are in [`number`], [`datetime`], [`interval`], [`array`] and [`binary`].
//!
//! Nothing here believes a count that a client sends: memory is taken only for bytes that are
//! there.

use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use tarn_catalog::pg_type::{self, Json, TimeTz};
use tarn_planner::types::{bits_of, json, json_scalar};

use super::rows::Format;
use tarn_planner::calendar::{Zone, read_timetz};

mod array;
mod binary;
mod datetime;
mod interval;
mod number;
#[cfg(test)]
mod tests;

/// Why a parameter is no value of its type, with PostgreSQL's code and words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ParamError {
    /// The SQLSTATE.
    pub(crate) code: &'static str,
    /// The primary message.
    pub(crate) message: String,
}

impl ParamError {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The text is no value of the type at all.
    fn syntax(type_name: &str, text: &str) -> Self {
        let message = format!("invalid input syntax for type {type_name}: \"{text}\"");
        Self::new("22P02", message)
    }

    /// The same for dates and times.
    fn datetime_syntax(type_name: &str, text: &str) -> Self {
        Self { code: "22007", ..Self::syntax(type_name, text) }
    }

    /// The bytes are no binary form of the type.
    fn binary() -> Self {
        Self::new("22P03", "incorrect binary data format in bind parameter")
    }
}

/// Reads a parameter as the Arrow type of its declared type; NULL and what has no type are text.
///
/// `numeric` has the precision and scale of the value at hand and becomes `Decimal256` beyond 38
/// digits; an array of more dimensions becomes a list of lists.
///
/// # Errors
/// 22P02 and 22007 for text that is no such value, 22003, 22008 and 22015 for values out of range,
/// 22P03 for binary forms of another shape, 22021 for text that is not UTF-8, 0A000 for types
/// without binary form here.
pub(crate) fn decode_parameter_in(
    oid: u32,
    format: Format,
    bytes: Option<&[u8]>,
    time_zone: &Zone,
) -> Result<ScalarValue, ParamError> {
    let Some(bytes) = bytes else {
        return null_of(oid);
    };
    match format {
        Format::Text => parse_text_in(oid, utf8(bytes)?, time_zone),
        Format::Binary => binary::decode(oid, bytes),
    }
}

/// The NULL of a type.
fn null_of(oid: u32) -> Result<ScalarValue, ParamError> {
    let data_type = pg_type::arrow_type_of(oid).unwrap_or(DataType::Utf8);
    ScalarValue::try_from(&data_type).map_err(|_| unsupported(oid))
}

fn unsupported(oid: u32) -> ParamError {
    let name = pg_type::format_type(oid, None);
    ParamError::new("0A000", format!("parameters of type {name} are not supported"))
}

/// Checks the bytes of a string, where PostgreSQL has no byte zero either.
fn utf8(bytes: &[u8]) -> Result<&str, ParamError> {
    let invalid = |shown: &[u8]| {
        let shown: Vec<String> = shown.iter().map(|byte| format!("0x{byte:02x}")).collect();
        let shown = shown.join(" ");
        let message = format!("invalid byte sequence for encoding \"UTF8\": {shown}");
        ParamError::new("22021", message)
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let rest = bytes.get(error.valid_up_to()..).unwrap_or_default();
        // What the first byte promises, as far as it is there.
        let length = match rest.first() {
            Some(0xc0..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf7) => 4,
            _ => 1,
        };
        invalid(rest.get(..length).unwrap_or(rest))
    })?;
    if bytes.contains(&0) { Err(invalid(&[0])) } else { Ok(text) }
}

/// Reads the text form of a type in a session whose time zone is UTC.
///
/// # Errors
/// See [`decode_parameter_in`].
pub(crate) fn parse_text(oid: u32, text: &str) -> Result<ScalarValue, ParamError> {
    parse_text_in(oid, text, &Zone::UTC)
}

/// Reads the text form of a type.
///
/// # Errors
/// See [`decode_parameter_in`].
pub(crate) fn parse_text_in(
    oid: u32,
    text: &str,
    time_zone: &Zone,
) -> Result<ScalarValue, ParamError> {
    Ok(match oid {
        16 => ScalarValue::Boolean(Some(parse_bool(text)?)),
        17 => ScalarValue::Binary(Some(parse_bytea(text)?)),
        20 => ScalarValue::Int64(Some(number::parse_integer(text, "bigint")?)),
        21 => ScalarValue::Int16(Some(number::parse_integer(text, "smallint")?)),
        23 => ScalarValue::Int32(Some(number::parse_integer(text, "integer")?)),
        700 => ScalarValue::Float32(Some(number::parse_float4(text)?)),
        701 => ScalarValue::Float64(Some(number::parse_float8(text)?)),
        1700 => number::Decimal::parse(text)?.into_scalar()?,
        1082 => ScalarValue::Date32(Some(datetime::parse_date(text)?)),
        1083 => ScalarValue::Time64Microsecond(Some(datetime::parse_time(text)?)),
        1114 => ScalarValue::TimestampMicrosecond(Some(datetime::parse_timestamp(text)?), None),
        1184 => {
            let micros = datetime::parse_timestamptz(text, time_zone)?;
            ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()))
        }
        1266 => {
            let failed = |(code, message)| ParamError::new(code, message);
            timetz_value(read_timetz(text, *time_zone).map_err(failed)?)
        }
        1560 | 1562 => {
            let failed = |(code, message)| ParamError::new(code, message);
            ScalarValue::Utf8(Some(bits_of(text).map_err(failed)?))
        }
        1186 => interval::parse(text)?,
        114 => parse_json(text, Json::Text)?,
        3802 => parse_json(text, Json::Binary)?,
        2950 => ScalarValue::FixedSizeBinary(16, Some(parse_uuid(text)?)),
        2206 => parse_regtype(text)?,
        22 | 30 => array::parse_vector(oid, text)?,
        _ => match (pg_type::type_info(oid), pg_type::arrow_type_of(oid)) {
            (Some(info), Some(DataType::List(_))) => array::parse(info.element, text, time_zone)?,
            (_, Some(DataType::UInt32)) => {
                ScalarValue::UInt32(Some(number::parse_oid(text, "oid")?))
            }
            (None, _) | (_, Some(_)) => ScalarValue::Utf8(Some(text.to_owned())),
            (Some(_), None) => return Err(unsupported(oid)),
        },
    })
}

/// A time of day with a zone as columns hold it.
fn timetz_value(time: TimeTz) -> ScalarValue {
    ScalarValue::FixedSizeBinary(12, Some(time.to_bytes().to_vec()))
}

/// Checks a JSON text; `jsonb` is held as it is printed.
fn parse_json(text: &str, kind: Json) -> Result<ScalarValue, ParamError> {
    let failed = |error: json::JsonError| ParamError::new(error.code, error.message);
    Ok(match kind {
        Json::Text => {
            json::check(text).map_err(failed)?;
            json_scalar(Some(text), kind)
        }
        Json::Binary => json_scalar(Some(&json::normalized(text).map_err(failed)?), kind),
    })
}

/// Reads the words for truth and their beginnings.
fn parse_bool(text: &str) -> Result<bool, ParamError> {
    let word = trim(text).to_ascii_lowercase();
    let begins = |whole: &str| !word.is_empty() && whole.starts_with(&word);
    if begins("true") || begins("yes") || word == "on" || word == "1" {
        Ok(true)
    } else if begins("false") || begins("no") || (word.len() > 1 && begins("off")) || word == "0" {
        Ok(false)
    } else {
        Err(ParamError::syntax("boolean", text))
    }
}

/// Reads `\x00ff` or text with `\\` and `\377`.
fn parse_bytea(text: &str) -> Result<Vec<u8>, ParamError> {
    match text.strip_prefix("\\x") {
        Some(digits) => parse_hex(digits),
        None => parse_escaped(text.as_bytes())
            .ok_or_else(|| ParamError::new("22P02", "invalid input syntax for type bytea")),
    }
}

fn parse_hex(text: &str) -> Result<Vec<u8>, ParamError> {
    let mut bytes = Vec::new();
    let mut high = None;
    for c in text.chars() {
        if high.is_none() && c.is_ascii_whitespace() {
            continue;
        }
        let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digit = digit.ok_or_else(|| {
            ParamError::new("22023", format!("invalid hexadecimal digit: \"{c}\""))
        })?;
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(high << 4 | digit),
        }
    }
    if high.is_some() {
        return Err(ParamError::new("22023", "invalid hexadecimal data: odd number of digits"));
    }
    Ok(bytes)
}

fn parse_escaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                after
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                after
            }
            (b'\\', _) => return None,
            (byte, tail) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    Some(bytes)
}

/// Reads 32 hexadecimal digits, in braces or not, with hyphens behind any group of four.
fn parse_uuid(text: &str) -> Result<Vec<u8>, ParamError> {
    let invalid = || ParamError::syntax("uuid", text);
    let bare = match text.strip_prefix('{') {
        Some(opened) => opened.strip_suffix('}').ok_or_else(invalid)?,
        None => text,
    };
    let mut digits = Vec::with_capacity(32);
    let mut hyphen = false;
    for c in bare.chars() {
        if c == '-' && !hyphen && !digits.is_empty() && digits.len() % 4 == 0 && digits.len() < 32 {
            hyphen = true;
            continue;
        }
        hyphen = false;
        let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        digits.push(digit.filter(|_| digits.len() < 32).ok_or_else(invalid)?);
    }
    if digits.len() != 32 {
        return Err(invalid());
    }
    let pairs = digits.chunks_exact(2);
    Ok(pairs.map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

/// Reads a type's number or name; other names need the catalog, which is not here.
fn parse_regtype(text: &str) -> Result<ScalarValue, ParamError> {
    let number = number::parse_oid(text, "oid").ok();
    let oid = number.or_else(|| pg_type::type_by_name(text).map(|info| info.oid));
    match oid {
        Some(oid) => Ok(ScalarValue::UInt32(Some(oid))),
        None => Err(ParamError::new("42704", format!("type \"{text}\" does not exist"))),
    }
}

/// Takes away what PostgreSQL takes for white space around numbers, words and dates.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}')
}
