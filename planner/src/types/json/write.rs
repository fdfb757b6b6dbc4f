//! Values as text.

use std::fmt::{self, Write};

use super::Value;

impl fmt::Display for Value {
    /// As `jsonb` prints: a space behind colons and commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        put(self, f, ": ", ", ")
    }
}

impl Value {
    /// Without any space.
    #[must_use]
    pub fn compact(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = put(self, &mut text, ":", ",");
        text
    }

    /// As `jsonb_pretty` prints it.
    #[must_use]
    pub fn pretty(&self) -> String {
        let mut text = String::new();
        let _ = put_pretty(self, &mut text, 0);
        text
    }
}

fn put(value: &Value, out: &mut dyn Write, colon: &str, comma: &str) -> fmt::Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Bool(true) => out.write_str("true"),
        Value::Bool(false) => out.write_str("false"),
        Value::Number(digits) => out.write_str(digits),
        Value::String(text) => put_string(text, out),
        Value::Array(elements) => {
            out.write_char('[')?;
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.write_str(comma)?;
                }
                put(element, out, colon, comma)?;
            }
            out.write_char(']')
        }
        Value::Object(pairs) => {
            out.write_char('{')?;
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.write_str(comma)?;
                }
                put_string(key, out)?;
                out.write_str(colon)?;
                put(value, out, colon, comma)?;
            }
            out.write_char('}')
        }
    }
}

fn put_pretty(value: &Value, out: &mut String, depth: usize) -> fmt::Result {
    let line = |out: &mut String, depth: usize| -> fmt::Result {
        out.write_char('\n')?;
        out.write_str(&"    ".repeat(depth))
    };
    match value {
        Value::Array(elements) => {
            out.write_char('[')?;
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.write_char(',')?;
                }
                line(out, depth + 1)?;
                put_pretty(element, out, depth + 1)?;
            }
            line(out, depth)?;
            out.write_char(']')
        }
        Value::Object(pairs) => {
            out.write_char('{')?;
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.write_char(',')?;
                }
                line(out, depth + 1)?;
                put_string(key, out)?;
                out.write_str(": ")?;
                put_pretty(value, out, depth + 1)?;
            }
            line(out, depth)?;
            out.write_char('}')
        }
        scalar => put(scalar, out, ": ", ", "),
    }
}

/// Writes a string in quotes, escaped as PostgreSQL does.
pub(crate) fn put_string(text: &str, out: &mut dyn Write) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\u{8}' => out.write_str("\\b")?,
            '\u{c}' => out.write_str("\\f")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c if u32::from(c) < 0x20 => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

/// A string in quotes.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    // Writing to a string does not fail.
    let _ = put_string(text, &mut out);
    out
}
