//! Bytes as text, codes of characters, hashes of texts.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use tarn_catalog::pg_type::FIELD_PG_TYPE;

use crate::functions::fault::fault;
use crate::functions::frame::Kind::{Bytea, Int4, Int8, Text};
use crate::functions::frame::{Call, Form, Function, Value, form};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    const ENCODE: &[Form] = &[form(&[Bytea, Text], Text, encode)];
    const DECODE: &[Form] = &[form(&[Text, Text], Bytea, decode)];
    const HEX: &[Form] = &[
        form(&[Int4], Text, |c, row| {
            let low = c.int(0, row)? & 0xffff_ffff;
            Ok(Value::Text(format!("{low:x}")))
        }),
        form(&[Int8], Text, |c, row| Ok(Value::Text(format!("{:x}", c.int(0, row)?)))),
    ];
    const UNISTR: &[Form] = &[form(&[Text], Text, |c, row| unescape(c.text(0, row)?))];
    const HASH: &[Form] = &[form(&[Text], Int4, |c, row| {
        let hash = hash_bytes(c.text(0, row)?.as_bytes());
        Ok(Value::Int(i64::from(i32::from_ne_bytes(hash.to_ne_bytes()))))
    })];
    let mut functions = of_bytes();
    functions.extend([
        Function::immutable("encode", ENCODE).into_udf(),
        Function::immutable("decode", DECODE).into_udf(),
        Function::immutable("to_hex", HEX).into_udf(),
        Function::immutable("unistr", UNISTR).into_udf(),
        Function::immutable("hashtext", HASH).into_udf(),
    ]);
    functions
}

/// Lengths, encodings, and single bytes and bits.
fn of_bytes() -> Vec<Arc<ScalarUDF>> {
    const LENGTH: &[Form] = &[
        form(&[Text], Int4, |c, row| Ok(Value::length(characters(c, row)?))),
        form(&[Bytea], Int4, |c, row| Ok(Value::length(c.bytes(0, row)?.len()))),
        form(&[Bytea, Text], Int4, |c, row| {
            check_encoding(c.text(1, row)?)?;
            Ok(Value::length(utf8(c.bytes(0, row)?)?.chars().count()))
        }),
    ];
    const TO: &[Form] = &[form(&[Text, Text], Bytea, |c, row| {
        check_encoding(c.text(1, row)?)?;
        Ok(Value::Bytes(c.text(0, row)?.as_bytes().to_vec()))
    })];
    const FROM: &[Form] = &[form(&[Bytea, Text], Text, |c, row| {
        check_encoding(c.text(1, row)?)?;
        Ok(Value::text(utf8(c.bytes(0, row)?)?))
    })];
    const GET_BYTE: &[Form] = &[form(&[Bytea, Int4], Int4, |c, row| {
        let bytes = c.bytes(0, row)?;
        let byte = bytes.get(place(c.int(1, row)?, bytes.len())?).copied();
        Ok(Value::Int(i64::from(byte.unwrap_or(0))))
    })];
    const SET_BYTE: &[Form] = &[form(&[Bytea, Int4, Int4], Bytea, |c, row| {
        let mut bytes = c.bytes(0, row)?.to_vec();
        let at = place(c.int(1, row)?, bytes.len())?;
        if let Some(byte) = bytes.get_mut(at) {
            *byte = u8::try_from(c.int(2, row)? & 0xff).unwrap_or(0);
        }
        Ok(Value::Bytes(bytes))
    })];
    const GET_BIT: &[Form] = &[form(&[Bytea, Int8], Int4, |c, row| {
        let bytes = c.bytes(0, row)?;
        let at = place(c.int(1, row)?, bytes.len().saturating_mul(8))?;
        let byte = bytes.get(at / 8).copied().unwrap_or(0);
        Ok(Value::Int(i64::from(byte >> (at % 8) & 1)))
    })];
    const SET_BIT: &[Form] = &[form(&[Bytea, Int8, Int4], Bytea, |c, row| {
        let mut bytes = c.bytes(0, row)?.to_vec();
        let at = place(c.int(1, row)?, bytes.len().saturating_mul(8))?;
        let bit = c.int(2, row)?;
        if !(0..=1).contains(&bit) {
            return Err(fault("22023", "new bit must be 0 or 1"));
        }
        if let Some(byte) = bytes.get_mut(at / 8) {
            let mask = 1 << (at % 8);
            *byte = if bit == 1 { *byte | mask } else { *byte & !mask };
        }
        Ok(Value::Bytes(bytes))
    })];
    vec![
        Function::immutable("length", LENGTH)
            .alias("char_length")
            .alias("character_length")
            .into_udf(),
        Function::immutable("convert_to", TO).into_udf(),
        Function::immutable("convert_from", FROM).into_udf(),
        Function::immutable("get_byte", GET_BYTE).into_udf(),
        Function::immutable("set_byte", SET_BYTE).into_udf(),
        Function::immutable("get_bit", GET_BIT).into_udf(),
        Function::immutable("set_bit", SET_BIT).into_udf(),
    ]
}

/// Letters of a text; blanks at the end of a `char(n)` do not count.
fn characters(call: &Call, row: usize) -> Result<usize> {
    let text = call.text(0, row)?;
    let kind = call.field(0).and_then(|field| field.metadata().get(FIELD_PG_TYPE));
    let padded = kind.is_some_and(|name| name == "bpchar");
    let text = if padded { text.trim_end_matches(' ') } else { text };
    Ok(text.chars().count())
}

/// Every text is UTF-8 here, as the server's encoding is.
fn check_encoding(name: &str) -> Result<()> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.to_ascii_lowercase().as_str() {
        "utf8" | "unicode" => Ok(()),
        _ => Err(fault("0A000", format!("encoding \"{name}\" is not supported"))),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let wrong = bytes.get(error.valid_up_to()).copied().unwrap_or(0);
        fault("22021", format!("invalid byte sequence for encoding \"UTF8\": 0x{wrong:02x}"))
    })
}

fn place(at: i64, n: usize) -> Result<usize> {
    usize::try_from(at).ok().filter(|at| *at < n).ok_or_else(|| {
        let last = i64::try_from(n).unwrap_or(0) - 1;
        fault("2202E", format!("index {at} out of valid range, 0..{last}"))
    })
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// A line of base64 has so many characters.
const LINE: usize = 76;

fn unknown(name: &str) -> datafusion::error::DataFusionError {
    fault("22023", format!("unrecognized encoding: \"{name}\""))
}

fn encode(call: &Call, row: usize) -> Result<Value> {
    let bytes = call.bytes(0, row)?;
    let name = call.text(1, row)?;
    let mut out = String::new();
    match name.to_ascii_lowercase().as_str() {
        "hex" => {
            for byte in bytes {
                let _ = write!(out, "{byte:02x}");
            }
        }
        "base64" => base64(bytes, &mut out),
        "escape" => {
            for byte in bytes {
                match byte {
                    0 | 0x80.. => {
                        let _ = write!(out, "\\{byte:03o}");
                    }
                    b'\\' => out.push_str("\\\\"),
                    byte => out.push(char::from(*byte)),
                }
            }
        }
        _ => return Err(unknown(name)),
    }
    Ok(Value::Text(out))
}

fn base64(bytes: &[u8], out: &mut String) {
    let mut in_line = 0;
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        if in_line == LINE {
            out.push('\n');
            in_line = 0;
        }
        for at in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap_or(0);
            let letter = ALPHABET.get(index).copied().unwrap_or(b'A');
            let padded = usize::try_from(at).unwrap_or(0) > group.len();
            out.push(if padded { '=' } else { char::from(letter) });
        }
        in_line += 4;
    }
}

fn decode(call: &Call, row: usize) -> Result<Value> {
    let (text, name) = (call.text(0, row)?, call.text(1, row)?);
    let bytes = match name.to_ascii_lowercase().as_str() {
        "hex" => from_hex(text)?,
        "base64" => from_base64(text)?,
        "escape" => from_escape(text)?,
        _ => return Err(unknown(name)),
    };
    Ok(Value::Bytes(bytes))
}

fn from_hex(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut high: Option<u32> = None;
    for c in text.chars().filter(|c| !c.is_ascii_whitespace()) {
        let digit = c.to_digit(16);
        let digit =
            digit.ok_or_else(|| fault("22023", format!("invalid hexadecimal digit: \"{c}\"")))?;
        match high.take() {
            None => high = Some(digit),
            Some(high) => out.push(u8::try_from(high * 16 + digit).unwrap_or(0)),
        }
    }
    if high.is_some() {
        return Err(fault("22023", "invalid hexadecimal data: odd number of digits"));
    }
    Ok(out)
}

fn from_base64(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut n_letters, mut n_padding) = (0_u32, 0, 0);
    for c in text.chars().filter(|c| !c.is_ascii_whitespace()) {
        if c == '=' {
            n_padding += 1;
            bits <<= 6;
        } else {
            let letter = u8::try_from(c).ok();
            let value = letter.and_then(|byte| ALPHABET.iter().position(|letter| *letter == byte));
            let value = value.filter(|_| n_padding == 0).ok_or_else(|| {
                fault(
                    "22023",
                    format!("invalid symbol \"{c}\" found while decoding base64 sequence"),
                )
            })?;
            bits = bits << 6 | u32::try_from(value).unwrap_or(0);
        }
        n_letters += 1;
        if n_letters == 4 {
            if n_padding > 2 {
                return Err(fault("22023", "unexpected \"=\" while decoding base64 sequence"));
            }
            let [_, bytes @ ..] = bits.to_be_bytes();
            out.extend(bytes.iter().take(3 - n_padding));
            (bits, n_letters) = (0, 0);
        }
    }
    if n_letters != 0 {
        return Err(fault("22023", "invalid base64 end sequence"));
    }
    Ok(out)
}

/// Reads a literal of type `bytea`.
pub(crate) fn bytea(text: &str) -> Result<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => from_hex(digits),
        None => from_escape(text),
    }
}

fn from_escape(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((byte, rest)) = bytes.split_first() {
        bytes = rest;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        match bytes {
            [b'\\', rest @ ..] => {
                out.push(b'\\');
                bytes = rest;
            }
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                bytes = rest;
            }
            _ => return Err(fault("22P02", "invalid input syntax for type bytea")),
        }
    }
    Ok(out)
}

/// `\0041`, `\+000041`, `\u0041`, `\U00000041` and `\\`.
fn unescape(text: &str) -> Result<Value> {
    let wrong = || fault("42601", "invalid Unicode escape");
    let mut out = String::new();
    let mut rest = text;
    let mut high: Option<u32> = None;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if c != '\\' {
            if high.is_some() {
                return Err(fault("42601", "invalid Unicode surrogate pair"));
            }
            out.push(c);
            continue;
        }
        if let Some(after) = rest.strip_prefix('\\') {
            out.push('\\');
            rest = after;
            continue;
        }
        let (skipped, n) = match rest.chars().next() {
            Some('+') => (1, 6),
            Some('u') => (1, 4),
            Some('U') => (1, 8),
            _ => (0, 4),
        };
        let digits = rest.get(skipped..skipped + n).ok_or_else(wrong)?;
        let code = u32::from_str_radix(digits, 16).map_err(|_| wrong())?;
        rest = rest.get(skipped + n..).unwrap_or_default();
        let code = match (high.take(), code) {
            (Some(high), 0xdc00..=0xdfff) => 0x10000 + ((high - 0xd800) << 10) + (code - 0xdc00),
            (None, 0xd800..=0xdbff) => {
                high = Some(code);
                continue;
            }
            (None, code) => code,
            (Some(_), _) => return Err(fault("42601", "invalid Unicode surrogate pair")),
        };
        out.push(char::from_u32(code).ok_or_else(wrong)?);
    }
    if high.is_some() {
        return Err(fault("42601", "invalid Unicode surrogate pair"));
    }
    Ok(Value::Text(out))
}

/// Bob Jenkins' hash as PostgreSQL has it (`hash_bytes`, on machines with low bytes first).
fn hash_bytes(bytes: &[u8]) -> u32 {
    let n = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let start = 0x9e37_79b9_u32.wrapping_add(n).wrapping_add(3_923_095);
    let (mut a, mut b, mut c) = (start, start, start);
    let word = |chunk: &[u8], at: usize| {
        let byte = |i: usize| u32::from(chunk.get(at + i).copied().unwrap_or(0));
        byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24
    };
    let mut chunks = bytes.chunks_exact(12);
    for chunk in chunks.by_ref() {
        a = a.wrapping_add(word(chunk, 0));
        b = b.wrapping_add(word(chunk, 4));
        c = c.wrapping_add(word(chunk, 8));
        (a, b, c) = mix(a, b, c);
    }
    let rest = chunks.remainder();
    a = a.wrapping_add(word(rest, 0));
    b = b.wrapping_add(word(rest, 4));
    // The lowest byte of `c` is reserved for the length.
    c = c.wrapping_add(word(rest, 8) << 8);
    finish(a, b, c)
}

fn mix(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32, u32) {
    a = a.wrapping_sub(c) ^ c.rotate_left(4);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(6);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(8);
    b = b.wrapping_add(a);
    a = a.wrapping_sub(c) ^ c.rotate_left(16);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(19);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(4);
    b = b.wrapping_add(a);
    (a, b, c)
}

fn finish(mut a: u32, mut b: u32, mut c: u32) -> u32 {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}
