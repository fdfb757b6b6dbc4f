//! Lines and values of COPY FROM in text and CSV.

use tarn_planner::statement::{CopyFormat, CopyOptions};

/// Bytes that arrive in pieces, cut into lines.
#[derive(Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where its end has been looked for.
    scanned: usize,
    in_quotes: bool,
    escaped: bool,
}

/// A value before its type is looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) bytes: Vec<u8>,
    /// It is the string that stands for NULL.
    pub(super) is_null: bool,
    /// It is that string in quotes.
    pub(super) is_quoted_null: bool,
}

impl Lines {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The next whole line without its end; the last one may have none.
    pub(super) fn next(&mut self, options: &CopyOptions, is_last: bool) -> Option<Vec<u8>> {
        let csv = options.format == CopyFormat::Csv;
        while let Some(&byte) = self.bytes.get(self.scanned) {
            self.scanned += 1;
            let ends = byte == b'\n' && !self.in_quotes && !self.escaped;
            if csv {
                // An escape is looked at only in quotes, where it may be the quote itself: two of
                // those leave and enter the quotes again.
                let escapes =
                    self.in_quotes && byte == options.escape && options.escape != options.quote;
                if byte == options.quote && !self.escaped {
                    self.in_quotes = !self.in_quotes;
                }
                self.escaped = escapes && !self.escaped;
            } else {
                // A backslash before the end of a line makes that part of the value.
                self.escaped = byte == b'\\' && !self.escaped;
                if self.escaped && self.is_end_mark() {
                    self.escaped = false;
                }
            }
            if ends {
                return Some(self.cut(self.scanned - 1));
            }
        }
        if !is_last || self.start >= self.bytes.len() {
            return None;
        }
        Some(self.cut(self.bytes.len()))
    }

    /// Whether a line of `\.` begins here.
    fn is_end_mark(&self) -> bool {
        self.scanned == self.start + 1 && self.bytes.get(self.scanned) == Some(&b'.')
    }

    fn cut(&mut self, end: usize) -> Vec<u8> {
        let line = self.bytes.get(self.start..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        self.start = self.scanned.max(end);
        (self.in_quotes, self.escaped) = (false, false);
        line
    }
}

/// The values of a line of text.
pub(super) fn text_values(line: &[u8], options: &CopyOptions) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    let mut value = Value::default();
    let mut start = 0;
    let mut at = 0;
    loop {
        let byte = line.get(at).copied();
        if byte.is_none() || byte == Some(options.delimiter) {
            value.is_null = line.get(start..at) == Some(options.null.as_bytes());
            values.push(std::mem::take(&mut value));
            at += 1;
            start = at;
            if byte.is_none() {
                return Some(values);
            }
            continue;
        }
        match byte {
            Some(b'\\') if at + 1 < line.len() => {
                let (byte, length) = unescape(line.get(at + 1..).unwrap_or_default());
                value.bytes.push(byte);
                at += 1 + length;
            }
            Some(byte) => {
                value.bytes.push(byte);
                at += 1;
            }
            None => {}
        }
    }
}

/// What stands behind a backslash, and how long it is.
fn unescape(rest: &[u8]) -> (u8, usize) {
    let digits = |rest: &[u8], radix: u32, n_max: usize| {
        rest.iter().take(n_max).take_while(|b| char::from(**b).is_digit(radix)).count()
    };
    let number = |digits: &[u8], radix: u32| {
        digits.iter().fold(0_u32, |number, digit| {
            number * radix + char::from(*digit).to_digit(radix).unwrap_or(0)
        })
    };
    let low_byte = |number: u32| number.to_le_bytes().first().copied().unwrap_or(0);
    match rest.first() {
        Some(b'b') => (0x08, 1),
        Some(b'f') => (0x0c, 1),
        Some(b'n') => (b'\n', 1),
        Some(b'r') => (b'\r', 1),
        Some(b't') => (b'\t', 1),
        Some(b'v') => (0x0b, 1),
        Some(b'0'..=b'7') => {
            let n = digits(rest, 8, 3);
            (low_byte(number(rest.get(..n).unwrap_or_default(), 8)), n)
        }
        Some(b'x') => match digits(rest.get(1..).unwrap_or_default(), 16, 2) {
            0 => (b'x', 1),
            n => (low_byte(number(rest.get(1..=n).unwrap_or_default(), 16)), 1 + n),
        },
        Some(byte) => (*byte, 1),
        None => (b'\\', 0),
    }
}

/// The values of a line of CSV; `None` where quotes are not closed.
pub(super) fn csv_values(line: &[u8], options: &CopyOptions) -> Option<Vec<Value>> {
    let CopyOptions { delimiter, quote, escape, null, .. } = options;
    let mut values = Vec::new();
    let mut bytes = Vec::new();
    let (mut in_quotes, mut was_quoted) = (false, false);
    let mut at = 0;
    loop {
        let byte = line.get(at).copied();
        at += 1;
        match byte {
            Some(byte) if in_quotes => {
                let next = line.get(at).copied();
                if byte == *escape && next.is_some_and(|next| next == *escape || next == *quote) {
                    bytes.extend(next);
                    at += 1;
                } else if byte == *quote {
                    in_quotes = false;
                } else {
                    bytes.push(byte);
                }
            }
            None if in_quotes => return None,
            Some(byte) if byte == *quote => {
                in_quotes = true;
                was_quoted = true;
            }
            Some(byte) if byte != *delimiter => bytes.push(byte),
            end => {
                let is_null_string = bytes == null.as_bytes();
                values.push(Value {
                    bytes: std::mem::take(&mut bytes),
                    is_null: is_null_string && !was_quoted,
                    is_quoted_null: is_null_string && was_quoted,
                });
                was_quoted = false;
                if end.is_none() {
                    return Some(values);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
