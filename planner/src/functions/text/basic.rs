//! Letters, parts and repetitions of texts.

use std::sync::{Arc, LazyLock};

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;

use crate::functions::fault::fault;
use crate::functions::frame::Kind::{Any, Bool, Bytea, Int4, Int8, Text, Texts};
use crate::functions::frame::{Call, Form, Function, Value, form, variadic};
use crate::functions::regexp;

/// PostgreSQL's limit of a value.
const VALUE_BYTES_MAX: usize = (1 << 30) - 1;
/// What one call may add to memory that no pool counts.
const OUTPUT_BYTES_MAX: usize = 256 << 20;

/// Refuses a result before memory is taken for it.
fn check_size(bytes: Option<usize>) -> Result<usize> {
    match bytes {
        Some(bytes) if bytes <= OUTPUT_BYTES_MAX => Ok(bytes),
        Some(bytes) if bytes <= VALUE_BYTES_MAX => Err(fault("53200", "out of memory")),
        _ => Err(fault("54000", "requested length too large")),
    }
}

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    const UPPER: &[Form] = &[form(&[Text], Text, |c, row| {
        Ok(Value::Text(c.text(0, row)?.chars().map(upper).collect()))
    })];
    const LOWER: &[Form] = &[form(&[Text], Text, |c, row| {
        Ok(Value::Text(c.text(0, row)?.chars().map(lower).collect()))
    })];
    const INITCAP: &[Form] =
        &[form(&[Text], Text, |c, row| Ok(Value::Text(capitalised(c.text(0, row)?))))];
    const REPEAT: &[Form] = &[form(&[Text, Int4], Text, repeat)];
    const LPAD: &[Form] = &[
        form(&[Text, Int4], Text, |c, row| pad(c, row, true)),
        form(&[Text, Int4, Text], Text, |c, row| pad(c, row, true)),
    ];
    const RPAD: &[Form] = &[
        form(&[Text, Int4], Text, |c, row| pad(c, row, false)),
        form(&[Text, Int4, Text], Text, |c, row| pad(c, row, false)),
    ];
    const SPLIT: &[Form] = &[form(&[Text, Text, Int4], Text, split_part)];
    const CHR: &[Form] = &[form(&[Int4], Text, character)];
    const TO_ARRAY: &[Form] =
        &[form(&[Text, Text], Texts, to_array), form(&[Text, Text, Text], Texts, to_array)];
    const STARTS: &[Form] = &[form(&[Text, Text], Bool, |c, row| {
        Ok(Value::Bool(c.text(0, row)?.starts_with(c.text(1, row)?)))
    })];
    const NULLS: &[Form] = &[variadic(&[Any], Int4, |c, row| count_nulls(c, row, true))];
    const NONNULLS: &[Form] = &[variadic(&[Any], Int4, |c, row| count_nulls(c, row, false))];
    const OCTETS: &[Form] = &[
        form(&[Text], Int4, |c, row| Ok(Value::length(c.text(0, row)?.len()))),
        form(&[Bytea], Int4, |c, row| Ok(Value::length(c.bytes(0, row)?.len()))),
    ];
    const BITS: &[Form] = &[
        form(&[Text], Int4, |c, row| Ok(Value::length(c.text(0, row)?.len() * 8))),
        form(&[Bytea], Int4, |c, row| Ok(Value::length(c.bytes(0, row)?.len() * 8))),
    ];
    const IDENT: &[Form] = &[
        form(&[Text], Texts, |c, row| parse_ident(c.text(0, row)?, true)),
        form(&[Text, Bool], Texts, |c, row| parse_ident(c.text(0, row)?, c.bool(1, row)?)),
    ];
    vec![
        Function::immutable("upper", UPPER).into_udf(),
        Function::immutable("lower", LOWER).into_udf(),
        Function::immutable("initcap", INITCAP).into_udf(),
        Function::immutable("repeat", REPEAT).into_udf(),
        Function::immutable("lpad", LPAD).into_udf(),
        Function::immutable("rpad", RPAD).into_udf(),
        Function::immutable("split_part", SPLIT).into_udf(),
        Function::immutable("chr", CHR).into_udf(),
        Function::immutable("string_to_array", TO_ARRAY).called_on_null().into_udf(),
        Function::immutable("starts_with", STARTS).into_udf(),
        Function::immutable("num_nulls", NULLS).called_on_null().into_udf(),
        Function::immutable("num_nonnulls", NONNULLS).called_on_null().into_udf(),
        Function::immutable("octet_length", OCTETS).into_udf(),
        Function::immutable("bit_length", BITS).into_udf(),
        Function::immutable("parse_ident", IDENT).into_udf(),
        Arc::clone(&SUBSTRING),
    ]
}

/// One letter for one letter, as C's `towupper` does it: `ß` stays.
fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(upper), None) => upper,
        _ => c,
    }
}

fn lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(lower), None) => lower,
        _ => c,
    }
}

fn capitalised(text: &str) -> String {
    let mut inside = false;
    let one = |c: char| {
        let mapped = if inside { lower(c) } else { upper(c) };
        inside = c.is_alphanumeric();
        mapped
    };
    text.chars().map(one).collect()
}

fn repeat(call: &Call, row: usize) -> Result<Value> {
    let text = call.text(0, row)?;
    let n = usize::try_from(call.int(1, row)?).unwrap_or(0);
    check_size(text.len().checked_mul(n))?;
    Ok(Value::Text(text.repeat(n)))
}

fn pad(call: &Call, row: usize, left: bool) -> Result<Value> {
    let text = call.text(0, row)?;
    let fill = if call.n_args() > 2 { call.text(2, row)? } else { " " };
    let n = usize::try_from(call.int(1, row)?).unwrap_or(0);
    let n_chars = text.chars().count();
    if n <= n_chars || fill.is_empty() {
        return Ok(Value::Text(text.chars().take(n).collect()));
    }
    check_size((n - n_chars).checked_mul(4))?;
    let padding: String = fill.chars().cycle().take(n - n_chars).collect();
    Ok(Value::Text(if left { padding + text } else { format!("{text}{padding}") }))
}

fn split_part(call: &Call, row: usize) -> Result<Value> {
    let (text, delimiter) = (call.text(0, row)?, call.text(1, row)?);
    let n = call.int(2, row)?;
    if n == 0 {
        return Err(fault("22023", "field position must not be zero"));
    }
    let at = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX) - 1;
    if delimiter.is_empty() {
        return Ok(Value::text(if at == 0 { text } else { "" }));
    }
    let part = if n > 0 { text.split(delimiter).nth(at) } else { text.rsplit(delimiter).nth(at) };
    Ok(Value::text(part.unwrap_or_default()))
}

fn character(call: &Call, row: usize) -> Result<Value> {
    let code = call.int(0, row)?;
    if code == 0 {
        return Err(fault("54000", "null character not permitted"));
    }
    if code < 0 {
        return Err(fault("22023", "character number must be positive"));
    }
    let found = u32::try_from(code).ok().and_then(char::from_u32);
    found.map(Value::text).ok_or_else(|| {
        fault("54000", format!("requested character too large for encoding: {code}"))
    })
}

fn to_array(call: &Call, row: usize) -> Result<Value> {
    if call.is_null(0, row) {
        return Ok(Value::Null);
    }
    let text = call.text(0, row)?;
    let null = if call.is_null(2, row) { None } else { Some(call.text(2, row)?) };
    let element = |part: String| if Some(part.as_str()) == null { None } else { Some(part) };
    if text.is_empty() {
        return Ok(Value::Texts(Vec::new()));
    }
    let parts: Vec<String> = if call.is_null(1, row) {
        text.chars().map(String::from).collect()
    } else {
        match call.text(1, row)? {
            "" => vec![text.to_owned()],
            delimiter => text.split(delimiter).map(str::to_owned).collect(),
        }
    };
    Ok(Value::Texts(parts.into_iter().map(element).collect()))
}

fn count_nulls(call: &Call, row: usize, nulls: bool) -> Result<Value> {
    let n = (0..call.n_args()).filter(|at| call.is_null(*at, row) == nulls).count();
    Ok(Value::length(n))
}

/// `substring` by position or by pattern, and `substr`.
pub(crate) static SUBSTRING: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    const FORMS: &[Form] = &[
        form(&[Text, Int4], Text, part),
        form(&[Text, Int4, Int4], Text, part),
        form(&[Text, Int8], Text, part),
        form(&[Text, Text], Text, regexp::substring),
        form(&[Text, Text, Text], Text, regexp::substring),
        form(&[Bytea, Int4], Bytea, bytes),
        form(&[Bytea, Int4, Int4], Bytea, bytes),
    ];
    Function::immutable("substring", FORMS).alias("substr").into_udf()
});

/// The places of a part, counted from nought: what is before the first is not there.
fn places(call: &Call, row: usize) -> Result<(usize, usize)> {
    let start = call.int(1, row)?;
    let end = if call.n_args() > 2 {
        let length = call.int(2, row)?;
        if length < 0 {
            return Err(fault("22011", "negative substring length not allowed"));
        }
        start.saturating_add(length)
    } else {
        i64::MAX
    };
    let place = |at: i64| usize::try_from(at.max(1) - 1).unwrap_or(usize::MAX);
    Ok((place(start), place(end)))
}

fn part(call: &Call, row: usize) -> Result<Value> {
    let (start, end) = places(call, row)?;
    let text = call.text(0, row)?;
    if text.is_ascii() {
        let end = end.min(text.len());
        return Ok(Value::text(text.get(start.min(end)..end).unwrap_or_default()));
    }
    Ok(Value::Text(text.chars().skip(start).take(end.saturating_sub(start)).collect()))
}

fn bytes(call: &Call, row: usize) -> Result<Value> {
    let (start, end) = places(call, row)?;
    let bytes = call.bytes(0, row)?;
    let end = end.min(bytes.len());
    Ok(Value::Bytes(bytes.get(start.min(end)..end).unwrap_or_default().to_vec()))
}

/// Splits a qualified name, without quotes and in lower case where it had none.
fn parse_ident(text: &str, strict: bool) -> Result<Value> {
    let wrong = || -> DataFusionError {
        fault("22023", format!("string is not a valid identifier: \"{text}\""))
    };
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                match chars.next() {
                    Some((_, '"')) if matches!(chars.peek(), Some((_, '"'))) => {
                        chars.next();
                        part.push('"');
                    }
                    Some((at, '"')) => break at + 1,
                    Some((_, c)) => part.push(c),
                    None => return Err(wrong()),
                }
            };
            (part, quoted.get(end..).unwrap_or_default())
        } else {
            let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
            let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            if part.is_empty() || part.starts_with(|c: char| c.is_ascii_digit() || c == '$') {
                return Err(wrong());
            }
            (part.to_lowercase(), after)
        };
        parts.push(Some(part));
        let after = after.trim_start();
        match after.strip_prefix('.') {
            Some(more) => rest = more.trim_start(),
            None if after.is_empty() || !strict => return Ok(Value::Texts(parts)),
            None => return Err(wrong()),
        }
    }
}
