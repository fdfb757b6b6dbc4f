//! The fields of a line in text and CSV, or of an object in JSON.

use std::ops::Range;

use tarn_planner::statement::{CopyFormat, CopyOptions};

/// Where a field's bytes are, before its type is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    start: usize,
    end: usize,
    /// In the buffer of fields that had to be put together, not in the line.
    is_copied: bool,
    is_null: bool,
    is_quoted_null: bool,
}

/// A field of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value<'a> {
    pub(crate) bytes: &'a [u8],
    /// It is the string that stands for NULL.
    pub(crate) is_null: bool,
    /// It is that string in quotes.
    pub(crate) is_quoted_null: bool,
}

/// A value that was found elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Null,
    /// It is written there.
    There(Range<usize>),
}

/// Takes lines apart, one after another.
#[derive(Debug)]
pub(crate) struct Fields {
    is_csv: bool,
    delimiter: u8,
    quote: u8,
    escape: u8,
    null: Vec<u8>,
    places: Vec<Place>,
    copied: Vec<u8>,
    /// A backslash has made a zero byte, which is no text.
    has_zero: bool,
}

impl Fields {
    pub(crate) fn new(options: &CopyOptions) -> Self {
        Self {
            is_csv: options.format == CopyFormat::Csv,
            delimiter: options.delimiter,
            quote: options.quote,
            escape: options.escape,
            null: options.null.as_bytes().to_vec(),
            places: Vec::new(),
            copied: Vec::new(),
            has_zero: false,
        }
    }

    /// The fields of the lines at hand.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// One of them; `bytes` is what the line was read from.
    pub(crate) fn get<'a>(&'a self, at: usize, bytes: &'a [u8]) -> Option<Value<'a>> {
        let place = self.places.get(at)?;
        let source = if place.is_copied { &self.copied } else { bytes };
        let bytes = source.get(place.start..place.end)?;
        Some(Value { bytes, is_null: place.is_null, is_quoted_null: place.is_quoted_null })
    }

    /// The same as text; `text` is what the line was read from. `None` where it is no text.
    pub(super) fn text<'a>(&'a self, at: usize, text: &'a str) -> Option<&'a str> {
        let place = self.places.get(at)?;
        if place.is_copied {
            return std::str::from_utf8(self.copied.get(place.start..place.end)?).ok();
        }
        text.get(place.start..place.end)
    }

    /// Whether a field had to be put together; line ends may be in it.
    pub(super) fn has_copied(&self) -> bool {
        !self.copied.is_empty()
    }

    /// Whether there is a zero byte in a field that none is in the line of.
    pub(super) fn has_zero(&self) -> bool {
        self.has_zero
    }

    /// Reads the line that begins at `start`; returns where the next one begins, `None` where
    /// quotes are not closed.
    pub(crate) fn read(&mut self, bytes: &[u8], start: usize) -> Option<usize> {
        self.clear();
        self.add(bytes, start)
    }

    /// Forgets all lines.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.copied.clear();
        self.has_zero = false;
    }

    /// Forgets the fields behind the first `n_fields`.
    pub(super) fn truncate(&mut self, n_fields: usize) {
        self.places.truncate(n_fields);
    }

    /// Adds the fields of a row, all of them NULL for now; returns the number of the first.
    pub(super) fn add_nulls(&mut self, n_fields: usize) -> usize {
        let first = self.places.len();
        let (is_copied, is_null, is_quoted_null) = (false, true, false);
        let null = Place { start: 0, end: 0, is_copied, is_null, is_quoted_null };
        self.places.resize(first + n_fields, null);
        first
    }

    /// Says where a field is.
    pub(super) fn set(&mut self, at: usize, found: Found) {
        let (is_null, Range { start, end }) = match found {
            Found::Null => (true, 0..0),
            Found::There(range) => (false, range),
        };
        if let Some(place) = self.places.get_mut(at) {
            *place = Place { start, end, is_copied: false, is_null, is_quoted_null: false };
        }
    }

    /// Says what a field is.
    pub(super) fn set_copied(&mut self, at: usize, bytes: &[u8]) {
        let start = self.copied.len();
        self.copied.extend_from_slice(bytes);
        let end = self.copied.len();
        if let Some(place) = self.places.get_mut(at) {
            let (is_copied, is_null, is_quoted_null) = (true, false, false);
            *place = Place { start, end, is_copied, is_null, is_quoted_null };
        }
    }

    /// Makes a field true, if there is one.
    pub(super) fn mark(&mut self, at: Option<usize>) {
        if let Some(at) = at {
            self.set_copied(at, b"t");
        }
    }

    /// Reads one more line, whose fields follow those of the lines before; returns what
    /// [`Fields::read`] does.
    pub(super) fn add(&mut self, bytes: &[u8], start: usize) -> Option<usize> {
        if self.is_csv { self.read_csv(bytes, start) } else { Some(self.read_text(bytes, start)) }
    }

    fn plain(&mut self, bytes: &[u8], start: usize, end: usize) {
        let is_null = bytes.get(start..end) == Some(self.null.as_slice());
        let (is_copied, is_quoted_null) = (false, false);
        self.places.push(Place { start, end, is_copied, is_null, is_quoted_null });
    }

    fn read_csv(&mut self, bytes: &[u8], mut start: usize) -> Option<usize> {
        loop {
            let rest = bytes.get(start..).unwrap_or_default();
            let found = memchr::memchr3(self.delimiter, b'\n', self.quote, rest);
            let end = found.map_or(bytes.len(), |found| start + found);
            match bytes.get(end) {
                Some(byte) if *byte == self.quote => {
                    let (next, ends_line) = self.quoted(bytes, start)?;
                    if ends_line {
                        return Some(next);
                    }
                    start = next;
                }
                Some(byte) if *byte == self.delimiter => {
                    self.plain(bytes, start, end);
                    start = end + 1;
                }
                _ => {
                    self.plain(bytes, start, without_return(bytes, start, end));
                    return Some(end + 1);
                }
            }
        }
    }

    /// A field with quotes somewhere in it: where the next one begins, and whether that is on the
    /// next line.
    fn quoted(&mut self, bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
        let start = self.copied.len();
        let mut in_quotes = false;
        loop {
            let byte = bytes.get(at).copied();
            at += 1;
            match byte {
                Some(byte) if in_quotes => {
                    let next = bytes.get(at).copied();
                    let escapes = |next| next == self.escape || next == self.quote;
                    if byte == self.escape && next.is_some_and(escapes) {
                        self.copied.extend(next);
                        at += 1;
                    } else if byte == self.quote {
                        in_quotes = false;
                    } else {
                        self.copied.push(byte);
                    }
                }
                None if in_quotes => return None,
                Some(byte) if byte == self.quote => in_quotes = true,
                Some(byte) if byte != self.delimiter && byte != b'\n' => self.copied.push(byte),
                end => {
                    let ends_line = end != Some(self.delimiter);
                    let before = at.checked_sub(2).and_then(|at| bytes.get(at));
                    if ends_line && before == Some(&b'\r') && self.copied.last() == Some(&b'\r') {
                        self.copied.pop();
                    }
                    let is_quoted_null = self.copied.get(start..) == Some(self.null.as_slice());
                    let end = self.copied.len();
                    let (is_copied, is_null) = (true, false);
                    self.places.push(Place { start, end, is_copied, is_null, is_quoted_null });
                    return Some((at, ends_line));
                }
            }
        }
    }

    fn read_text(&mut self, bytes: &[u8], mut start: usize) -> usize {
        loop {
            let rest = bytes.get(start..).unwrap_or_default();
            let found = memchr::memchr3(self.delimiter, b'\n', b'\\', rest);
            let end = found.map_or(bytes.len(), |found| start + found);
            match bytes.get(end) {
                Some(b'\\') => {
                    let (next, ends_line) = self.escaped(bytes, start);
                    if ends_line {
                        return next;
                    }
                    start = next;
                }
                Some(byte) if *byte == self.delimiter => {
                    self.plain(bytes, start, end);
                    start = end + 1;
                }
                _ => {
                    self.plain(bytes, start, without_return(bytes, start, end));
                    return end + 1;
                }
            }
        }
    }

    /// A field with backslashes in it.
    fn escaped(&mut self, bytes: &[u8], start: usize) -> (usize, bool) {
        let copied_start = self.copied.len();
        let mut at = start;
        // A carriage return behind a backslash is no part of the line's end.
        let mut escape_end = start;
        loop {
            match bytes.get(at) {
                Some(b'\\') if at + 1 < bytes.len() => {
                    let (byte, length) = unescape(bytes.get(at + 1..).unwrap_or_default());
                    self.copied.push(byte);
                    self.has_zero |= byte == 0;
                    at += 1 + length;
                    escape_end = at;
                }
                Some(byte) if *byte != self.delimiter && *byte != b'\n' => {
                    self.copied.push(*byte);
                    at += 1;
                }
                end => {
                    let ends_line = end != Some(&self.delimiter);
                    let mut written = at;
                    if ends_line {
                        written = without_return(bytes, escape_end, at);
                        if written < at && self.copied.last() == Some(&b'\r') {
                            self.copied.pop();
                        }
                    }
                    let is_null = bytes.get(start..written) == Some(self.null.as_slice());
                    self.places.push(Place {
                        start: copied_start,
                        end: self.copied.len(),
                        is_copied: true,
                        is_null,
                        is_quoted_null: false,
                    });
                    return (at + 1, ends_line);
                }
            }
        }
    }
}

/// The end of a line's last field.
fn without_return(bytes: &[u8], start: usize, end: usize) -> usize {
    match bytes.get(start..end) {
        Some([.., b'\r']) => end - 1,
        _ => end,
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

#[cfg(test)]
mod tests;
