//! JSON lines: one object a row. Numbers, booleans, NULL, arrays and JSON columns keep their type,
//! anything else is a string. NaN and the infinities have no JSON number and are strings too.

use std::io::{self, Write};

use super::super::wire::Column;
use super::RowWriter;
use super::array::{self, Item};
use super::types::{Shape, unique_names};

/// Writes each row as it comes.
#[derive(Debug)]
pub(super) struct JsonWriter {
    /// Of each column: the encoded name with its colon, the shape, whether it is an array.
    columns: Vec<(String, Shape, bool)>,
    line: String,
}

impl JsonWriter {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        let names = unique_names(&columns);
        let columns = columns.iter().zip(names).map(|(column, name)| {
            let mut label = String::new();
            push_string(&mut label, &name);
            label.push(':');
            let (shape, is_array) = Shape::of(column);
            (label, shape, is_array)
        });
        Self { columns: columns.collect(), line: String::new() }
    }
}

impl RowWriter for JsonWriter {
    fn row(&mut self, out: &mut dyn Write, values: &[Option<&str>]) -> io::Result<()> {
        self.line.clear();
        self.line.push('{');
        for (index, ((label, shape, is_array), value)) in
            self.columns.iter().zip(values).enumerate()
        {
            if index > 0 {
                self.line.push(',');
            }
            self.line.push_str(label);
            match value {
                None => self.line.push_str("null"),
                Some(value) if *is_array => match array::parse(value) {
                    Some(items) => push_items(&mut self.line, &items, *shape),
                    None => push_string(&mut self.line, value),
                },
                Some(value) => push_value(&mut self.line, value, *shape),
            }
        }
        self.line.push_str("}\n");
        out.write_all(self.line.as_bytes())
    }

    fn finish(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

fn push_items(line: &mut String, items: &[Item], shape: Shape) {
    line.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        match item {
            Item::Null => line.push_str("null"),
            Item::Text(text) => push_value(line, text, shape),
            Item::Array(inner) => push_items(line, inner, shape),
        }
    }
    line.push(']');
}

fn push_value(line: &mut String, value: &str, shape: Shape) {
    match (shape, value) {
        (Shape::Bool, "t" | "true") => line.push_str("true"),
        (Shape::Bool, "f" | "false") => line.push_str("false"),
        (shape, value) if shape.is_number() && is_json_number(value) => line.push_str(value),
        (Shape::Json, value) if serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok() => {
            push_compact(line, value);
        }
        (_, value) => push_string(line, value),
    }
}

/// Copies valid JSON without the spaces between its tokens, which may be line feeds.
fn push_compact(line: &mut String, json: &str) {
    let mut in_string = false;
    let mut escaped = false;
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        line.push(c);
    }
}

fn is_json_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && (!digits.starts_with('0')
            || !digits.get(1..2).is_some_and(|c| c.starts_with(|c: char| c.is_ascii_digit())))
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
}

fn push_string(line: &mut String, text: &str) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if u32::from(c) < 0x20 => line.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => line.push(c),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(type_oid: u32, value: Option<&str>, expect: &str) {
        let mut writer =
            JsonWriter::new(vec![Column { name: "v".to_owned(), type_oid, modifier: -1 }]);
        let mut out = Vec::new();
        assert!(writer.row(&mut out, &[value]).is_ok());
        let text = String::from_utf8_lossy(&out).into_owned();
        assert_eq!(text, format!("{{\"v\":{expect}}}\n"));
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
    }

    #[test]
    fn values_keep_their_type() {
        check(23, Some("-12"), "-12");
        check(1700, Some("0.10"), "0.10");
        check(701, Some("1e+20"), "1e+20");
        check(701, Some("NaN"), "\"NaN\"");
        check(701, Some("-Infinity"), "\"-Infinity\"");
        check(16, Some("t"), "true");
        check(25, Some("007"), "\"007\"");
        check(25, Some("a\"\\\n\u{1}é"), "\"a\\\"\\\\\\n\\u0001é\"");
        check(25, None, "null");
        check(1007, Some("{1,NULL,{2}}"), "[1,null,[2]]");
        check(1009, Some("{a,\"b c\"}"), "[\"a\",\"b c\"]");
        check(
            114,
            Some("{ \"a\" : \"x \\\" y\",\n \"b\": [1, 2] }"),
            "{\"a\":\"x \\\" y\",\"b\":[1,2]}",
        );
        check(3802, Some("{broken"), "\"{broken\"");
    }

    #[test]
    fn equal_names_are_told_apart() {
        let column = Column { name: "a".to_owned(), type_oid: 23, modifier: -1 };
        let mut writer = JsonWriter::new(vec![column.clone(), column]);
        let mut out = Vec::new();
        assert!(writer.row(&mut out, &[Some("1"), Some("2")]).is_ok());
        assert_eq!(out, b"{\"a\":1,\"a_1\":2}\n");
    }
}
