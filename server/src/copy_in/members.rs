//! The members of JSON objects as the fields of rows.
//!
//! A member's value becomes the text that CSV would have for it, so that the same readers see to
//! types, bounds and errors: strings without quotes, numbers and truth as they are written, objects
//! and arrays as JSON, and arrays for columns of arrays as PostgreSQL writes them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use arrow::datatypes::{DataType, Field, Schema};
use tarn_catalog::pg_type::{pg_type_of, type_info};
use tarn_planner::types::json::{self, Children, JsonError};

use super::fields::{Fields, Found};

/// Which member belongs to which field.
#[derive(Debug)]
pub(crate) struct Members {
    slots: HashMap<String, Slot>,
    n_fields: usize,
    table: String,
    /// Whether members for which there is no column are left out: the columns were listed.
    leaves_out: bool,
    /// Columns that no row has a value for.
    generated: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The field's number.
    at: usize,
    form: Form,
    /// The field that is true where there is such a member.
    mark: Option<usize>,
}

/// How a column takes its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// Whole numbers.
    Whole,
    Bytes,
    Json,
    /// Arrays; of JSON or not.
    Array(bool),
    /// Rows and maps.
    Record,
}

/// Why an object is no row.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The column and its value, where it is that of one.
    pub(super) place: Option<(String, Vec<u8>)>,
}

/// What is inside of an object.
enum Fault {
    /// It is no JSON.
    Syntax,
    Told(Problem),
}

impl Members {
    /// The members of rows of a table.
    ///
    /// `marks` says behind how many columns which one begins to have a mark, by name.
    pub(super) fn new(table: &str, schema: &Schema, marks: &[String]) -> Self {
        let n_columns = schema.fields().len().saturating_sub(marks.len());
        let slots = schema.fields().iter().take(n_columns).enumerate().map(|(at, field)| {
            let mark = marks.iter().position(|name| name == field.name()).map(|n| n_columns + n);
            (field.name().clone(), Slot { at, form: form_of(field), mark })
        });
        Self {
            slots: slots.collect(),
            n_fields: schema.fields().len(),
            table: table.to_owned(),
            leaves_out: false,
            generated: Vec::new(),
        }
    }

    /// With columns that were listed: other members are left out.
    pub(super) fn leaving_out(self, leaves_out: bool) -> Self {
        Self { leaves_out, ..self }
    }

    /// With the columns that are generated.
    pub(super) fn with_generated(self, generated: Vec<String>) -> Self {
        Self { generated, ..self }
    }

    /// Adds the fields of the object at the beginning of a range, behind which may be others;
    /// returns where it ends. Some fields may be there after an error.
    pub(super) fn read(
        &self,
        fields: &mut Fields,
        bytes: &[u8],
        range: Range<usize>,
    ) -> Result<usize, Problem> {
        let first = fields.add_nulls(self.n_fields);
        let mut scanner =
            Scanner { bytes: bytes.get(..range.end).unwrap_or(bytes), at: range.start };
        let told = match self.object(fields, first, &mut scanner) {
            Ok(()) => {
                let end = scanner.at;
                scanner.skip_spaces();
                if matches!(scanner.peek(), None | Some(b'{')) {
                    return Ok(end);
                }
                Fault::Syntax
            }
            Err(fault) => fault,
        };
        Err(match told {
            Fault::Told(problem) => problem,
            Fault::Syntax => syntax(bytes.get(range).unwrap_or_default()),
        })
    }

    fn object(
        &self,
        fields: &mut Fields,
        first: usize,
        scanner: &mut Scanner<'_>,
    ) -> Result<(), Fault> {
        scanner.expect(b'{')?;
        scanner.skip_spaces();
        if scanner.take(b'}') {
            return Ok(());
        }
        loop {
            scanner.skip_spaces();
            let name = scanner.string().ok_or(Fault::Syntax)?;
            scanner.skip_spaces();
            scanner.expect(b':')?;
            scanner.skip_spaces();
            let value = scanner.value().ok_or(Fault::Syntax)?;
            self.member(fields, first, &name, &value)?;
            scanner.skip_spaces();
            if scanner.take(b'}') {
                return Ok(());
            }
            scanner.expect(b',')?;
        }
    }

    fn member(
        &self,
        fields: &mut Fields,
        first: usize,
        name: &Token<'_>,
        value: &Token<'_>,
    ) -> Result<(), Fault> {
        let name = name.unescaped().map_err(|_| Fault::Syntax)?;
        let Some(slot) = self.slots.get(&*name) else {
            if self.leaves_out {
                // What is left out has to be JSON, too.
                return value.unescaped().map(drop).map_err(|_| Fault::Syntax);
            }
            return Err(Fault::Told(self.unknown(&name)));
        };
        let failed = |code, message| {
            Fault::Told(Problem {
                code,
                message,
                place: Some((name.clone().into_owned(), value.raw().to_vec())),
            })
        };
        let invalid = |error: JsonError| failed(error.code, message_of(&error));
        let found = match (value.kind, slot.form) {
            (Kind::Null, _) => Found::Null,
            (_, Form::Record) => {
                let message = "COPY of JSON into columns of rows and maps is not supported";
                return Err(failed("0A000", message.to_owned()));
            }
            (_, Form::Json) => Found::There(value.place.clone()),
            (Kind::String, _) if !value.is_escaped => Found::There(value.inner()),
            (Kind::String, _) => {
                let text = value.unescaped().map_err(invalid)?;
                fields.set_copied(first + slot.at, text.as_bytes());
                fields.mark(slot.mark.map(|mark| first + mark));
                return Ok(());
            }
            (Kind::Number, Form::Whole) => Found::There(value.whole()),
            (Kind::Array, Form::Array(of_json)) => {
                let mut text = String::new();
                array_literal(value.text().ok_or(Fault::Syntax)?, of_json, &mut text)
                    .map_err(invalid)?;
                fields.set_copied(first + slot.at, text.as_bytes());
                fields.mark(slot.mark.map(|mark| first + mark));
                return Ok(());
            }
            (Kind::Object, Form::Array(_)) => {
                return Err(failed("22P02", "expected a JSON array".to_owned()));
            }
            (Kind::Object | Kind::Array, Form::Bytes) => {
                return Err(failed("22P02", "invalid input syntax for type bytea".to_owned()));
            }
            _ => Found::There(value.place.clone()),
        };
        fields.set(first + slot.at, found);
        fields.mark(slot.mark.map(|mark| first + mark));
        Ok(())
    }

    fn unknown(&self, name: &str) -> Problem {
        if self.generated.iter().any(|generated| generated == name) {
            let message = format!("column \"{name}\" is a generated column");
            return Problem { code: "42P10", message, place: None };
        }
        let message = format!("column \"{name}\" of relation \"{}\" does not exist", self.table);
        Problem { code: "42703", message, place: None }
    }
}

fn form_of(field: &Field) -> Form {
    let oid = pg_type_of(field).oid;
    match (oid, field.data_type()) {
        (114 | 3802, _) => Form::Json,
        (17, _) => Form::Bytes,
        (20 | 21 | 23, _) => Form::Whole,
        (_, DataType::Struct(_) | DataType::Map(..)) => Form::Record,
        (_, DataType::List(element) | DataType::LargeList(element)) => match innermost(element) {
            DataType::Struct(_) | DataType::Map(..) => Form::Record,
            _ => Form::Array(type_info(oid).is_some_and(|info| matches!(info.element, 114 | 3802))),
        },
        _ => Form::Plain,
    }
}

fn innermost(field: &Field) -> &DataType {
    match field.data_type() {
        DataType::List(element) | DataType::LargeList(element) => innermost(element),
        other => other,
    }
}

/// Says what is wrong with a text that is no object.
fn syntax(bytes: &[u8]) -> Problem {
    let checked = match std::str::from_utf8(bytes) {
        Ok(text) => json::check(text).map_err(|error| (error.code, message_of(&error))),
        Err(_) => Ok(()),
    };
    // It is JSON, but no object.
    let other = || ("22P02", "invalid input syntax for type json: Expected an object.".to_owned());
    let (code, message) = checked.err().unwrap_or_else(other);
    Problem { code, message, place: None }
}

fn message_of(error: &JsonError) -> String {
    format!("{}: {}", error.message, error.detail)
}

/// A JSON array as PostgreSQL writes arrays.
fn array_literal(raw: &str, of_json: bool, text: &mut String) -> Result<(), JsonError> {
    let Children::Array(elements) = json::children(raw)? else { return Ok(()) };
    text.push('{');
    for (n, element) in elements.into_iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        let element = element.trim();
        match element.as_bytes().first() {
            Some(b'[') => array_literal(element, of_json, text)?,
            Some(b'n') => text.push_str("NULL"),
            Some(b'"') if !of_json => {
                push_quoted(&json::text_of(element)?.unwrap_or_default(), text);
            }
            _ => push_quoted(element, text),
        }
    }
    text.push('}');
    Ok(())
}

fn push_quoted(value: &str, text: &mut String) {
    text.push('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Truth,
    Number,
    String,
    Array,
    Object,
}

/// A value as it is written.
#[derive(Debug)]
struct Token<'a> {
    bytes: &'a [u8],
    kind: Kind,
    /// Where it is, quotes included.
    place: Range<usize>,
    /// There are backslashes in a string.
    is_escaped: bool,
}

impl<'a> Token<'a> {
    fn raw(&self) -> &'a [u8] {
        self.bytes.get(self.place.clone()).unwrap_or_default()
    }

    fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.raw()).ok()
    }

    /// A string without its quotes.
    fn inner(&self) -> Range<usize> {
        self.place.start + 1..self.place.end.saturating_sub(1)
    }

    /// The same, escapes resolved; for other values what they are.
    fn unescaped(&self) -> Result<Cow<'a, str>, JsonError> {
        if self.is_escaped {
            let text = json::text_of(self.text().unwrap_or_default())?;
            return Ok(Cow::Owned(text.unwrap_or_default()));
        }
        let place = if self.kind == Kind::String { self.inner() } else { self.place.clone() };
        let bytes = self.bytes.get(place).unwrap_or_default();
        Ok(String::from_utf8_lossy(bytes))
    }

    /// A number without a fraction of zeros: many programs write `1.0` for 1.
    fn whole(&self) -> Range<usize> {
        let raw = self.raw();
        let point = memchr::memchr(b'.', raw);
        let is_zero = |point: &usize| {
            raw.get(point + 1..).is_some_and(|behind| behind.iter().all(|byte| *byte == b'0'))
        };
        match point.filter(is_zero) {
            Some(point) => self.place.start..self.place.start + point,
            None => self.place.clone(),
        }
    }
}

/// What is left of an object.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { Err(Fault::Syntax) }
    }

    fn token(&self, kind: Kind, start: usize) -> Token<'a> {
        Token { bytes: self.bytes, kind, place: start..self.at, is_escaped: false }
    }

    fn string(&mut self) -> Option<Token<'a>> {
        let start = self.at;
        if !self.take(b'"') {
            return None;
        }
        let mut is_escaped = false;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(Token { is_escaped, ..self.token(Kind::String, start) });
                }
                b'\\' => {
                    is_escaped = true;
                    self.at += 2;
                }
                0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
    }

    fn value(&mut self) -> Option<Token<'a>> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' => self.nested(Kind::Object),
            b'[' => self.nested(Kind::Array),
            b't' => self.word(b"true", Kind::Truth),
            b'f' => self.word(b"false", Kind::Truth),
            b'n' => self.word(b"null", Kind::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Option<Token<'a>> {
        let start = self.at;
        let is_there = self.bytes.get(start..)?.starts_with(word);
        self.at += word.len();
        is_there.then(|| self.token(kind, start))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    /// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
    fn number(&mut self) -> Option<Token<'a>> {
        let start = self.at;
        self.take(b'-');
        let begins_with_zero = self.peek() == Some(b'0');
        let n_digits = self.digits();
        if n_digits == 0 || begins_with_zero && n_digits > 1 {
            return None;
        }
        if self.take(b'.') && self.digits() == 0 {
            return None;
        }
        if self.take(b'e') || self.take(b'E') {
            let _has_sign = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return None;
            }
        }
        Some(self.token(Kind::Number, start))
    }

    /// An object or array, which has to be JSON.
    fn nested(&mut self, kind: Kind) -> Option<Token<'a>> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                let token = self.token(kind, start);
                json::check(token.text()?).ok()?;
                return Some(token);
            }
        }
    }
}

#[cfg(test)]
mod tests;
