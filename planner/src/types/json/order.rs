//! Values of `jsonb` as bytes that compare as the values do.
//!
//! ```text
//! rank of the kind | texts: bytes, 0 | numbers: sign, exponent, digits, 0 | true, false: 1, 0
//!                  | arrays: length, elements | objects: length, then key and value of each
//! ```

use super::number::plain;
use super::{JsonError, Value, parse_binary};

/// The bytes for a `jsonb` text.
///
/// # Errors
/// 22P02, and 22P05 for escapes that text cannot hold.
pub(crate) fn key(text: &str) -> Result<Vec<u8>, JsonError> {
    let value = parse_binary(text)?;
    let mut key = Vec::with_capacity(text.len() + 8);
    // An empty array at the top sorts before all else, for historical reasons.
    if matches!(&value, Value::Array(elements) if elements.is_empty()) {
        return Ok(key);
    }
    put(&value, &mut key);
    Ok(key)
}

fn put(value: &Value, key: &mut Vec<u8>) {
    key.push(1 + value.rank());
    match value {
        Value::Null => {}
        Value::Bool(value) => key.push(u8::from(*value)),
        Value::String(text) => put_text(text, key),
        Value::Number(digits) => put_number(digits, key),
        Value::Array(elements) => {
            put_length(elements.len(), key);
            elements.iter().for_each(|element| put(element, key));
        }
        Value::Object(pairs) => {
            put_length(pairs.len(), key);
            for (name, value) in pairs {
                put_text(name, key);
                put(value, key);
            }
        }
    }
}

fn put_length(length: usize, key: &mut Vec<u8>) {
    key.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

/// A text of `jsonb` has no zero inside.
fn put_text(text: &str, key: &mut Vec<u8>) {
    key.extend(text.as_bytes());
    key.push(0);
}

/// Negative numbers count backwards, so all their bytes are turned round.
fn put_number(digits: &str, key: &mut Vec<u8>) {
    let written = plain(digits);
    let (negative, written) = match written.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, written.as_str()),
    };
    let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
    let whole = whole.trim_start_matches('0');
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let exponent = match whole.is_empty() {
        false => i64::try_from(whole.len()).unwrap_or(i64::MAX),
        true => -i64::try_from(all.len() - significant.len()).unwrap_or(i64::MAX),
    };
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        key.push(1);
        return;
    }
    key.push(if negative { 0 } else { 2 });
    let from = key.len();
    // As an unsigned number in the same order.
    key.extend((exponent ^ i64::MIN).to_be_bytes());
    key.extend(significant.bytes());
    key.push(0);
    if negative {
        key.iter_mut().skip(from).for_each(|byte| *byte = !*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::key;
    use crate::types::json::parse_binary;

    #[test]
    fn keys_are_ordered_as_values() {
        let texts = [
            "[]",
            "null",
            "\"\"",
            "\"a\"",
            "\"ab\"",
            "\"b\"",
            "-1e5",
            "-12",
            "-1.5",
            "-1.05",
            "0",
            "-0.0",
            "0.00100",
            "0.01",
            "1",
            "1.0",
            "1.05",
            "1.5",
            "2",
            "10",
            "12",
            "1e5",
            "false",
            "true",
            "[1]",
            "[2]",
            "[1,2]",
            "[[],1]",
            "{}",
            "{\"a\":1}",
            "{\"a\":1.0}",
            "{\"b\":0}",
            "{\"aa\":0}",
            "{\"a\":1,\"b\":[]}",
        ];
        for a in texts {
            for b in texts {
                let (x, y) = (parse_binary(a).expect("is JSON"), parse_binary(b).expect("is JSON"));
                let (k, l) = (key(a).expect("is JSON"), key(b).expect("is JSON"));
                assert_eq!(k.cmp(&l), x.compare(&y), "{a} {b}");
            }
        }
    }
}
