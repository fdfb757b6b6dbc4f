//! Turns the `?` placeholders of ADBC and JDBC into PostgreSQL's `$1`, `$2`, ….
//!
//! ```text
//! select '?', a ?? 'k' from t where b = ? and c = ?
//! select '?', a ? 'k'  from t where b = $1 and c = $2
//! ```
//! A question mark inside a string, a quoted identifier or a comment is text. `??` is a plain
//! question mark, as in the PostgreSQL JDBC driver. A text that has `$1` in it is left alone, so
//! that its question marks can be operators.

use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// The most parameters that a statement may have, PostgreSQL's limit.
pub(super) const PARAMETERS_MAX: usize = 65_535;

/// The text has more than [`PARAMETERS_MAX`] placeholders.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooManyPlaceholders;

/// Numbers the question marks of a statement from left to right.
pub(super) fn number_placeholders(sql: &str) -> Result<Cow<'_, str>, TooManyPlaceholders> {
    let text = sql.as_bytes();
    let mut out = String::new();
    let mut n_placeholders = 0_usize;
    let mut copied_to = 0;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let (token, end) = next_token(text, at, byte);
        match token {
            Token::Other => {}
            Token::Numbered => return Ok(Cow::Borrowed(sql)),
            Token::Placeholder | Token::Escaped => {
                out.push_str(sql.get(copied_to..at).unwrap_or_default());
                copied_to = end;
                if token == Token::Escaped {
                    out.push('?');
                } else if n_placeholders == PARAMETERS_MAX {
                    return Err(TooManyPlaceholders);
                } else {
                    n_placeholders += 1;
                    out.push('$');
                    out.push_str(itoa::Buffer::new().format(n_placeholders));
                }
            }
        }
        at = end;
    }
    if copied_to == 0 {
        return Ok(Cow::Borrowed(sql));
    }
    out.push_str(sql.get(copied_to..).unwrap_or_default());
    Ok(Cow::Owned(out))
}

/// What a stretch of text is, as far as placeholders go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// Anything else.
    Other,
    /// `?`
    Placeholder,
    /// `??`
    Escaped,
    /// `$1`
    Numbered,
}

/// Returns the token that starts at `at` and where it ends; the end is always behind `at`.
fn next_token(text: &[u8], at: usize, byte: u8) -> (Token, usize) {
    let next = text.get(at + 1).copied();
    match byte {
        b'?' if next == Some(b'?') => (Token::Escaped, at + 2),
        b'?' => (Token::Placeholder, at + 1),
        b'\'' => (Token::Other, quoted_end(text, at + 1, b'\'', false)),
        b'"' => (Token::Other, quoted_end(text, at + 1, b'"', false)),
        b'e' | b'E' if next == Some(b'\'') => (Token::Other, quoted_end(text, at + 2, b'\'', true)),
        b'-' if next == Some(b'-') => (Token::Other, line_end(text, at)),
        b'/' if next == Some(b'*') => (Token::Other, comment_end(text, at + 2)),
        b'$' if next.is_some_and(|digit| digit.is_ascii_digit()) => (Token::Numbered, at + 1),
        b'$' => (Token::Other, dollar_quoted_end(text, at)),
        _ if is_word(byte) => (Token::Other, word_end(text, at)),
        _ => (Token::Other, at + 1),
    }
}

/// Whether a byte belongs to an identifier, a keyword or a number. All of UTF-8 beyond ASCII does.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// A `$` inside a word is part of it: `a$b$` starts no quoted string.
fn word_end(text: &[u8], at: usize) -> usize {
    end_where(text, at, |byte| !is_word(byte) && byte != b'$')
}

fn line_end(text: &[u8], at: usize) -> usize {
    end_where(text, at, |byte| byte == b'\n' || byte == b'\r')
}

/// Returns the first position from `at` on whose byte satisfies `stops`, or the end of the text.
fn end_where(text: &[u8], at: usize, stops: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().position(|&byte| stops(byte)).map_or(text.len(), |offset| at + offset)
}

/// Returns the position behind the closing quote; a doubled quote does not close.
fn quoted_end(text: &[u8], mut at: usize, quote: u8, backslash_escapes: bool) -> usize {
    while let Some(&byte) = text.get(at) {
        if byte == b'\\' && backslash_escapes {
            at += 2;
        } else if byte != quote {
            at += 1;
        } else if text.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return at + 1;
        }
    }
    text.len()
}

/// Comments nest in PostgreSQL.
fn comment_end(text: &[u8], mut at: usize) -> usize {
    let mut depth = 1_usize;
    while depth > 0 {
        match (text.get(at), text.get(at + 1)) {
            (None, _) => return text.len(),
            (Some(b'*'), Some(b'/')) => {
                depth -= 1;
                at += 2;
            }
            (Some(b'/'), Some(b'*')) => {
                depth += 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    at
}

/// Returns the position behind `$tag$ … $tag$`, or behind a `$` that opens no such string.
fn dollar_quoted_end(text: &[u8], at: usize) -> usize {
    let tag_end = end_where(text, at + 1, |byte| !is_word(byte));
    if text.get(tag_end) != Some(&b'$') {
        return at + 1;
    }
    let Some(tag) = text.get(at..=tag_end) else { return at + 1 };
    let body = text.get(tag_end + 1..).unwrap_or_default();
    body.windows(tag.len())
        .position(|window| window == tag)
        .map_or(text.len(), |offset| tag_end + 1 + offset + tag.len())
}
