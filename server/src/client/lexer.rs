//! PostgreSQL's lexical rules, as far as an editor needs them: where strings, comments and words
//! begin and end. It never fails; an unfinished token is reported as not `closed`.
//!
//! Source: PostgreSQL documentation, "Lexical Structure".

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Space,
    Comment,
    /// Keyword or unquoted name.
    Word,
    Number,
    /// String constant in any of the quoting styles.
    Text,
    /// `"quoted name"`.
    Quoted,
    /// Any other single character.
    Symbol,
    /// `;`
    End,
    /// A meta command: `\` and the rest of its line.
    Backslash,
}

/// One token of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// False when the text ended inside of the token.
    pub(super) closed: bool,
}

/// Iterates over the tokens of `text`; their texts add up to `text`.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let token = next_token(rest)?;
        rest = rest.get(token.text.len()..).unwrap_or("");
        Some(token)
    })
}

/// Returns the token at the start of `rest`, or nothing at the end of the text.
pub(super) fn next_token(rest: &str) -> Option<Token<'_>> {
    let first = rest.chars().next()?;
    let (kind, end) = match first {
        c if c.is_whitespace() => (Kind::Space, Some(prefix(rest, char::is_whitespace))),
        '-' if rest.starts_with("--") => {
            (Kind::Comment, Some(rest.find('\n').unwrap_or(rest.len())))
        }
        '/' if rest.starts_with("/*") => (Kind::Comment, block_comment_end(rest)),
        '\'' => (Kind::Text, quoted_end(rest, 1, '\'', false)),
        '"' => (Kind::Quoted, quoted_end(rest, 1, '"', false)),
        'e' | 'E' if rest.get(1..2) == Some("'") => (Kind::Text, quoted_end(rest, 2, '\'', true)),
        '$' => match dollar_tag(rest) {
            Some(tag) => (Kind::Text, dollar_end(rest, tag)),
            None => (Kind::Symbol, Some(1)),
        },
        '\\' => (Kind::Backslash, Some(rest.find('\n').unwrap_or(rest.len()))),
        ';' => (Kind::End, Some(1)),
        c if is_word_start(c) => (Kind::Word, Some(prefix(rest, is_word_part))),
        c if c.is_ascii_digit() => (
            Kind::Number,
            Some(prefix(rest, |c| c.is_ascii_alphanumeric() || c == '.' || c == '_')),
        ),
        c => (Kind::Symbol, Some(c.len_utf8())),
    };
    let text = rest.get(..end.unwrap_or(rest.len()))?;
    Some(Token { kind, text, closed: end.is_some() })
}

pub(super) fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

pub(super) fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn prefix(rest: &str, accept: impl Fn(char) -> bool) -> usize {
    rest.find(|c| !accept(c)).unwrap_or(rest.len())
}

/// Finds the end of a quoted token whose content starts at `from`; a doubled quote stays inside.
fn quoted_end(rest: &str, from: usize, quote: char, backslash_escapes: bool) -> Option<usize> {
    let mut chars = rest.char_indices().skip_while(|(at, _)| *at < from).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && backslash_escapes {
            chars.next();
        } else if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
            } else {
                return Some(at + 1);
            }
        }
    }
    None
}

/// Finds the end of a block comment; these nest in PostgreSQL.
fn block_comment_end(rest: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(tail) = rest.get(at..) {
        let next = tail.find(['/', '*'])?;
        at += next;
        let pair = rest.get(at..at + 2);
        if pair == Some("/*") {
            depth += 1;
            at += 2;
        } else if pair == Some("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    None
}

/// Returns `$tag$` when the text starts with such a dollar quote.
fn dollar_tag(rest: &str) -> Option<&str> {
    let inner = rest.get(1..)?;
    let end = inner.find('$')?;
    let name = inner.get(..end)?;
    let mut chars = name.chars();
    let starts = chars.next().is_none_or(is_word_start);
    (starts && chars.all(|c| c.is_alphanumeric() || c == '_')).then(|| rest.get(..end + 2))?
}

fn dollar_end(rest: &str, tag: &str) -> Option<usize> {
    let body = rest.get(tag.len()..)?;
    body.find(tag).map(|at| tag.len() + at + tag.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[(Kind, &str)]) {
        let found: Vec<_> =
            tokens(text).filter(|t| t.kind != Kind::Space).map(|t| (t.kind, t.text)).collect();
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn quoting_styles() {
        check("'it''s' x", &[(Kind::Text, "'it''s'"), (Kind::Word, "x")]);
        check(r"E'a\'b' c", &[(Kind::Text, r"E'a\'b'"), (Kind::Word, "c")]);
        check(r#""a""b";"#, &[(Kind::Quoted, r#""a""b""#), (Kind::End, ";")]);
        check("$$a;b$$ $t$ $$ $t$", &[(Kind::Text, "$$a;b$$"), (Kind::Text, "$t$ $$ $t$")]);
        check("$1 a$b", &[(Kind::Symbol, "$"), (Kind::Number, "1"), (Kind::Word, "a$b")]);
    }

    #[test]
    fn comments_nest_and_lines_end() {
        check("/* a /* b */ ; */ x", &[(Kind::Comment, "/* a /* b */ ; */"), (Kind::Word, "x")]);
        check("a -- b;\nc", &[(Kind::Word, "a"), (Kind::Comment, "-- b;"), (Kind::Word, "c")]);
    }

    #[test]
    fn unfinished_tokens_are_not_closed() {
        for text in ["'a", "\"a", "/* a", "$x$ a $y$", "E'\\'"] {
            assert!(tokens(text).any(|token| !token.closed), "{text}");
        }
    }
}
