//! Text to values.

use super::{DEPTH_MAX, JsonError, Value};

/// What is left of a text.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Whether escapes are resolved, which `json` leaves for later.
    unescape: bool,
}

type Read<T> = Result<T, JsonError>;

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, unescape: bool) -> Self {
        Self { text, at: 0, unescape }
    }

    pub(super) fn read_all(mut self) -> Read<Value> {
        let value = self.value(0)?;
        self.skip_spaces();
        if self.at < self.text.len() {
            let token = self.token();
            return Err(invalid(format!("Expected end of input, but found \"{token}\".")));
        }
        Ok(value)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
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

    /// What messages show: a word or number in full, else one character.
    fn token(&self) -> &'a str {
        let rest = self.rest();
        let word = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '+' | '-'));
        let end = rest.find(word).unwrap_or(rest.len());
        let first = rest.chars().next().map_or(0, char::len_utf8);
        rest.get(..end.max(first)).unwrap_or_default()
    }

    fn unexpected(&self, what: &str) -> JsonError {
        if self.at >= self.text.len() {
            return invalid("The input string ended unexpectedly.".to_owned());
        }
        let token = self.token();
        let known = matches!(token, "true" | "false" | "null")
            || token.starts_with(['"', '{', '}', '[', ']', ',', ':'])
            || token.parse::<f64>().is_ok();
        if known {
            let token = if token == "\"" { self.rest_of_string() } else { token.to_owned() };
            invalid(format!("Expected {what}, but found \"{token}\"."))
        } else {
            invalid(format!("Token \"{token}\" is invalid."))
        }
    }

    fn rest_of_string(&self) -> String {
        let inner = self.rest().get(1..).unwrap_or_default();
        let end = inner.find('"').map_or(inner.len(), |end| end + 1);
        format!("\"{}", inner.get(..end).unwrap_or_default())
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        if depth > DEPTH_MAX {
            return Err(JsonError {
                code: "54001",
                message: "stack depth limit exceeded",
                detail: format!("JSON values can be nested {DEPTH_MAX} levels deep."),
            });
        }
        self.skip_spaces();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => match self.token() {
                "true" => Ok(self.word("true", Value::Bool(true))),
                "false" => Ok(self.word("false", Value::Bool(false))),
                "null" => Ok(self.word("null", Value::Null)),
                _ => Err(self.unexpected("JSON value")),
            },
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Value {
        self.at += word.len();
        value
    }

    fn array(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        let mut elements = Vec::new();
        self.skip_spaces();
        if self.take(b']') {
            return Ok(Value::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            self.skip_spaces();
            if self.take(b']') {
                return Ok(Value::Array(elements));
            }
            if !self.take(b',') {
                return Err(self.unexpected("\",\" or \"]\""));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        let mut pairs = Vec::new();
        self.skip_spaces();
        if self.take(b'}') {
            return Ok(Value::Object(pairs));
        }
        loop {
            self.skip_spaces();
            if self.peek() != Some(b'"') {
                let what = if pairs.is_empty() { "string or \"}\"" } else { "string" };
                return Err(self.unexpected(what));
            }
            let key = self.string()?;
            self.skip_spaces();
            if !self.take(b':') {
                return Err(self.unexpected("\":\""));
            }
            pairs.push((key, self.value(depth + 1)?));
            self.skip_spaces();
            if self.take(b'}') {
                return Ok(Value::Object(pairs));
            }
            if !self.take(b',') {
                return Err(self.unexpected("\",\" or \"}\""));
            }
        }
    }

    /// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?` and no letter behind it.
    fn number(&mut self) -> Read<Value> {
        let token = self.token();
        let bytes = token.as_bytes();
        let mut at = usize::from(bytes.first() == Some(&b'-'));
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let whole = digits(at);
        let mut valid = whole > at && !(whole - at > 1 && bytes.get(at) == Some(&b'0'));
        at = whole;
        if bytes.get(at) == Some(&b'.') {
            let end = digits(at + 1);
            valid &= end > at + 1;
            at = end;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let start = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = digits(start);
            valid &= end > start;
            at = end;
        }
        if !valid || at != bytes.len() {
            return Err(invalid(format!("Token \"{token}\" is invalid.")));
        }
        self.at += at;
        Ok(Value::Number(token.to_owned()))
    }

    fn string(&mut self) -> Read<String> {
        let start = self.at;
        self.at += 1;
        let mut value = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else {
                let token = self.text.get(start..).unwrap_or_default();
                return Err(invalid(format!("Token \"{token}\" is invalid.")));
            };
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(value),
                '\\' => self.escape(&mut value)?,
                c if u32::from(c) < 0x20 => {
                    let detail =
                        format!("Character with value 0x{:02x} must be escaped.", c as u32);
                    return Err(invalid(detail));
                }
                c => value.push(c),
            }
        }
    }

    fn escape(&mut self, value: &mut String) -> Read<()> {
        let Some(c) = self.rest().chars().next() else {
            return Err(invalid("The input string ended unexpectedly.".to_owned()));
        };
        self.at += c.len_utf8();
        value.push(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(value),
            other => {
                return Err(invalid(format!("Escape sequence \"\\{other}\" is invalid.")));
            }
        });
        Ok(())
    }

    fn hex(&mut self) -> Read<u32> {
        let digits = self.rest().get(..4);
        let code = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| {
            invalid("\"\\u\" must be followed by four hexadecimal digits.".to_owned())
        })?;
        self.at += 4;
        Ok(code)
    }

    fn unicode(&mut self, value: &mut String) -> Read<()> {
        let surrogate = |detail: &str| Err(invalid(detail.to_owned()));
        let mut code = self.hex()?;
        if !self.unescape {
            return Ok(());
        }
        if code == 0 {
            return Err(JsonError {
                code: "22P05",
                message: "unsupported Unicode escape sequence",
                detail: "\\u0000 cannot be converted to text.".to_owned(),
            });
        }
        if (0xdc00..0xe000).contains(&code) {
            return surrogate("Unicode low surrogate must follow a high surrogate.");
        }
        if (0xd800..0xdc00).contains(&code) {
            if !self.rest().starts_with("\\u") {
                return surrogate("Unicode low surrogate must follow a high surrogate.");
            }
            self.at += 2;
            let low = self.hex()?;
            if !(0xdc00..0xe000).contains(&low) {
                return surrogate("Unicode low surrogate must follow a high surrogate.");
            }
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        value.push(char::from_u32(code).unwrap_or('\u{fffd}'));
        Ok(())
    }
}

fn invalid(detail: String) -> JsonError {
    JsonError { code: "22P02", message: "invalid input syntax for type json", detail }
}

/// What is directly inside of a value, each as the text that it is there.
#[derive(Debug)]
pub enum Children<'a> {
    /// Neither an array nor an object.
    Scalar,
    /// The elements of an array.
    Array(Vec<&'a str>),
    /// The keys and values of an object.
    Object(Vec<(String, &'a str)>),
}

/// Takes the outermost array or object of a text apart.
///
/// # Errors
/// 22P02.
pub fn children(text: &str) -> Result<Children<'_>, JsonError> {
    let mut reader = Reader::new(text, true);
    reader.skip_spaces();
    match reader.peek() {
        Some(b'[') => {
            reader.at += 1;
            let mut elements = Vec::new();
            reader.skip_spaces();
            if reader.take(b']') {
                return Ok(Children::Array(elements));
            }
            loop {
                elements.push(reader.raw_value()?);
                reader.skip_spaces();
                if reader.take(b']') {
                    return Ok(Children::Array(elements));
                }
                if !reader.take(b',') {
                    return Err(reader.unexpected("\",\" or \"]\""));
                }
            }
        }
        Some(b'{') => {
            reader.at += 1;
            let mut pairs = Vec::new();
            reader.skip_spaces();
            if reader.take(b'}') {
                return Ok(Children::Object(pairs));
            }
            loop {
                reader.skip_spaces();
                if reader.peek() != Some(b'"') {
                    return Err(reader.unexpected("string"));
                }
                let key = reader.string()?;
                reader.skip_spaces();
                if !reader.take(b':') {
                    return Err(reader.unexpected("\":\""));
                }
                pairs.push((key, reader.raw_value()?));
                reader.skip_spaces();
                if reader.take(b'}') {
                    return Ok(Children::Object(pairs));
                }
                if !reader.take(b',') {
                    return Err(reader.unexpected("\",\" or \"}\""));
                }
            }
        }
        _ => Ok(Children::Scalar),
    }
}

impl<'a> Reader<'a> {
    /// Reads a value and returns its text.
    fn raw_value(&mut self) -> Read<&'a str> {
        self.skip_spaces();
        let start = self.at;
        self.value(1)?;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }
}

/// What `->>` gives for a value: a string without quotes, nothing for null.
///
/// # Errors
/// 22P05 for escapes that text cannot hold.
pub fn text_of(raw: &str) -> Result<Option<String>, JsonError> {
    let raw = raw.trim();
    match raw.as_bytes().first() {
        Some(b'"') => Reader::new(raw, true).string().map(Some),
        _ if raw == "null" => Ok(None),
        _ => Ok(Some(raw.to_owned())),
    }
}
