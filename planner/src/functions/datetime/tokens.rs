//! The pieces of a text that holds a date, a time or an interval.
//!
//! # Source
//! PostgreSQL's `ParseDateTime` (datetime.c).

/// What a piece looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Digits, perhaps with a fraction.
    Number,
    /// Digits with `-`, `/` or `.` between, or letters among them: also a zone's name.
    Date,
    /// Digits with `:` between.
    Time,
    /// A sign and digits: an offset of a zone, or a part of an interval.
    Signed,
    /// Letters.
    Word,
    /// A sign and letters: `-infinity`.
    Special,
}

/// A piece in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// More pieces than this are in no date (`MAXDATEFIELDS`).
const N_TOKENS_MAX: usize = 25;
/// A longer text is no date (`MAXDATELEN` and more).
const N_BYTES_MAX: usize = 256;

/// Splits a text; `None` for one that cannot be a date.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    if text.len() > N_BYTES_MAX || !text.is_ascii() {
        return None;
    }
    let mut scanner = Scanner { rest: text.as_bytes() };
    let mut tokens = Vec::new();
    while let Some(byte) = scanner.peek() {
        let token = match byte {
            b if b.is_ascii_whitespace() => {
                scanner.skip();
                continue;
            }
            b if b.is_ascii_digit() => scanner.digits(),
            b'.' => {
                let mut text = scanner.take(1);
                text.push_str(&scanner.take_while(|b| b.is_ascii_digit()));
                Token { kind: Kind::Number, text }
            }
            b if b.is_ascii_alphabetic() => scanner.letters(),
            b'+' | b'-' => scanner.sign()?,
            b if b.is_ascii_punctuation() => {
                scanner.skip();
                continue;
            }
            _ => return None,
        };
        tokens.push(token);
        if tokens.len() > N_TOKENS_MAX {
            return None;
        }
    }
    Some(tokens)
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn take(&mut self, n: usize) -> String {
        let (taken, rest) = self.rest.split_at_checked(n).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect()
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> String {
        let n = self.rest.iter().take_while(|byte| wanted(**byte)).count();
        self.take(n)
    }

    fn digits(&mut self) -> Token {
        let digit = |b: u8| b.is_ascii_digit();
        let mut text = self.take_while(digit);
        let kind = match self.peek() {
            Some(b':') => {
                text.push_str(&self.take_while(|b| digit(b) || b == b':' || b == b'.'));
                Kind::Time
            }
            Some(delimiter @ (b'-' | b'/' | b'.')) => {
                text.push_str(&self.take(1));
                if self.peek().is_some_and(digit) {
                    text.push_str(&self.take_while(digit));
                    if self.peek() == Some(delimiter) {
                        text.push_str(&self.take_while(|b| digit(b) || b == delimiter));
                        Kind::Date
                    } else if delimiter == b'.' {
                        Kind::Number
                    } else {
                        Kind::Date
                    }
                } else {
                    let more = self.take_while(|b| b.is_ascii_alphanumeric() || b == delimiter);
                    text.push_str(&more);
                    // `1.` is a number, `1-` a date that is not complete.
                    if more.is_empty() && delimiter == b'.' { Kind::Number } else { Kind::Date }
                }
            }
            _ => Kind::Number,
        };
        Token { kind, text }
    }

    fn letters(&mut self) -> Token {
        let mut text = self.take_while(|b| b.is_ascii_alphabetic());
        let date = match self.peek() {
            Some(b'-' | b'/' | b'.') => true,
            Some(b) if b == b'+' || b.is_ascii_digit() => !keyword(&text),
            _ => false,
        };
        if !date {
            return Token { kind: Kind::Word, text };
        }
        let part = |b: u8| {
            matches!(b, b'+' | b'-' | b'/' | b'_' | b'.' | b':') || b.is_ascii_alphanumeric()
        };
        text.push_str(&self.take_while(part));
        Token { kind: Kind::Date, text }
    }

    fn sign(&mut self) -> Option<Token> {
        let mut text = self.take(1);
        self.take_while(|b| b.is_ascii_whitespace());
        let kind = match self.peek()? {
            b if b.is_ascii_digit() => {
                let part = |b: u8| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'-');
                text.push_str(&self.take_while(part));
                Kind::Signed
            }
            // PostgreSQL takes `-.5` only as of version 17; intervals such as `-.5 s` are common.
            b'.' => {
                text.push_str(&self.take_while(|b| b.is_ascii_digit() || b == b'.'));
                Kind::Signed
            }
            b if b.is_ascii_alphabetic() => {
                text.push_str(&self.take_while(|b| b.is_ascii_alphabetic()));
                Kind::Special
            }
            _ => return None,
        };
        Some(Token { kind, text })
    }
}

/// Whether the word means something by itself, so that digits may follow at once: `T04:05`.
fn keyword(word: &str) -> bool {
    super::decode::word(word).is_some()
}
