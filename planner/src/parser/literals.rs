//! Literals and words that the tokenizer below reads in pieces.
//!
//! | before | after |
//! |---|---|
//! | `U&'d!0061t' UESCAPE '!'` | `'dat'` |
//! | `U&"d\0061ta"` | `"data"` |
//! | `'a'`, on the next line `'b'` | `'ab'`, also behind `E'a'`; on the same line an error |
//! | `TRIM(LEADING FROM x)`, `TRIM(FROM x)` | `TRIM(LEADING x)`, `TRIM(x)` |
//! | `SUBSTRING(x SIMILAR p ESCAPE e)` | `SUBSTRING(x FROM p FOR e)` |
//! | `ROWS … EXCLUDE NO OTHERS` | `ROWS …` |
//! | `RESET TIME ZONE` | `RESET timezone` |
//! | `INTERVAL(3) '1 day'` | `'1 day'::INTERVAL(3)` |
//! | `ALTER VIEW v RENAME …` | `ALTER TABLE v RENAME …` |

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace, Word};

use crate::error::PlannerError;

type Tokens = Vec<TokenWithSpan>;

/// Joins what belongs together in the tokens of one statement.
///
/// # Errors
/// `Syntax` for strings side by side, `Semantics` for escapes that are none, `Unsupported` for
/// frames that leave rows out.
pub(super) fn join(
    tokens: Tokens,
    unexpected: &dyn Fn(&TokenWithSpan) -> PlannerError,
) -> Result<Tokens, PlannerError> {
    let tokens = unicode(tokens)?;
    let tokens = strings(tokens, unexpected)?;
    let tokens = frames(tokens)?;
    Ok(rename_view(reset_time_zone(intervals(calls(tokens)))))
}

fn is_space(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

fn word(token: &TokenWithSpan) -> Option<&str> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

fn is_word(token: Option<&TokenWithSpan>, expected: &str) -> bool {
    token.and_then(word).is_some_and(|word| word.eq_ignore_ascii_case(expected))
}

/// The places of the next tokens that are no white space, from a place on.
fn next_of(tokens: &[TokenWithSpan], from: usize) -> impl Iterator<Item = usize> + '_ {
    let rest = tokens.iter().enumerate().skip(from);
    rest.filter(|(_, token)| !is_space(token)).map(|(at, _)| at)
}

fn unicode(tokens: Tokens) -> Result<Tokens, PlannerError> {
    let concerned = |token: &TokenWithSpan| {
        matches!(token.token, Token::UnicodeStringLiteral(_)) || is_word(Some(token), "u")
    };
    if !tokens.iter().any(concerned) {
        return Ok(tokens);
    }
    let mut joined: Tokens = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let mut token = token.clone();
        let quoted = quoted_name(&tokens, at);
        let is_literal = matches!(token.token, Token::UnicodeStringLiteral(_));
        let (text, mut next) = match (&token.token, quoted) {
            (Token::UnicodeStringLiteral(text), _) => (Some(text.clone()), at + 1),
            (_, Some((name, behind))) => (Some(name), behind),
            _ => (None, at + 1),
        };
        if let Some(text) = text {
            let escape = uescape(&tokens, next);
            if let Some((_, behind)) = escape {
                next = behind;
            }
            let escape = escape.map_or('\\', |(escape, _)| escape);
            // The tokenizer has read the usual escapes of a literal already.
            let text = if is_literal && escape == '\\' { text } else { unescape(&text, escape)? };
            token.token = if is_literal {
                Token::SingleQuotedString(text)
            } else {
                Token::Word(Word {
                    value: text,
                    quote_style: Some('"'),
                    keyword: Keyword::NoKeyword,
                })
            };
        }
        joined.push(token);
        at = next;
    }
    Ok(joined)
}

/// `U&"…"` without space inside, and the place behind it.
fn quoted_name(tokens: &[TokenWithSpan], at: usize) -> Option<(String, usize)> {
    let (letter, and, name) = (tokens.get(at)?, tokens.get(at + 1)?, tokens.get(at + 2)?);
    let Token::Word(Word { value, quote_style: Some('"'), .. }) = &name.token else { return None };
    let close = letter.span.end == and.span.start && and.span.end == name.span.start;
    (close && is_word(Some(letter), "u") && and.token == Token::Ampersand)
        .then(|| (value.clone(), at + 3))
}

/// The character of UESCAPE, and the place behind it.
fn uescape(tokens: &[TokenWithSpan], from: usize) -> Option<(char, usize)> {
    let mut places = next_of(tokens, from);
    let (keyword, value) = (places.next()?, places.next()?);
    if !is_word(tokens.get(keyword), "uescape") {
        return None;
    }
    let Token::SingleQuotedString(text) = &tokens.get(value)?.token else { return None };
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(escape), None) => Some((escape, value + 1)),
        _ => None,
    }
}

/// Reads `!0061` and `!+000061`; the escape twice is itself.
fn unescape(text: &str, escape: char) -> Result<String, PlannerError> {
    let invalid = || PlannerError::Semantics {
        code: "42601",
        message: "invalid Unicode escape".to_owned(),
        position: None,
    };
    let mut read = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(escape) {
        read.push_str(before);
        if let Some(behind) = behind.strip_prefix(escape) {
            read.push(escape);
            rest = behind;
            continue;
        }
        let (digits, n_digits) = match behind.strip_prefix('+') {
            Some(digits) => (digits, 6),
            None => (behind, 4),
        };
        let (digits, behind) = digits.split_at_checked(n_digits).ok_or_else(invalid)?;
        let number = u32::from_str_radix(digits, 16).map_err(|_| invalid())?;
        read.push(char::from_u32(number).ok_or_else(invalid)?);
        rest = behind;
    }
    read.push_str(rest);
    Ok(read)
}

/// A string goes on in the next line, with comments in between if need be.
fn strings(
    tokens: Tokens,
    unexpected: &dyn Fn(&TokenWithSpan) -> PlannerError,
) -> Result<Tokens, PlannerError> {
    let mut joined: Tokens = Vec::with_capacity(tokens.len());
    let mut last: Option<usize> = None;
    let mut new_line = false;
    for token in tokens {
        if let Token::Whitespace(space) = &token.token {
            let breaks = match space {
                Whitespace::Newline => true,
                Whitespace::SingleLineComment { comment, .. } => comment.ends_with('\n'),
                _ => false,
            };
            new_line = new_line || breaks;
            joined.push(token);
            continue;
        }
        let before = last.and_then(|at| joined.get_mut(at)).map(|token| &mut token.token);
        if let (
            Token::SingleQuotedString(more),
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)),
        ) = (&token.token, before)
        {
            if !new_line {
                return Err(unexpected(&token));
            }
            text.push_str(more);
            new_line = false;
            continue;
        }
        new_line = false;
        last = Some(joined.len());
        joined.push(token);
    }
    Ok(joined)
}

/// A frame that leaves nothing out is one without EXCLUDE.
fn frames(tokens: Tokens) -> Result<Tokens, PlannerError> {
    if !tokens.iter().any(|token| is_word(Some(token), "exclude")) {
        return Ok(tokens);
    }
    let mut kept: Tokens = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let mut places = next_of(&tokens, at + 1);
        let mut next = || places.next();
        let (first, second, third) = (next(), next(), next());
        let is = |place: Option<usize>, expected: &str| {
            is_word(place.and_then(|place| tokens.get(place)), expected)
        };
        let closes = |place: Option<usize>| {
            place.and_then(|place| tokens.get(place)).is_some_and(|t| t.token == Token::RParen)
        };
        if is_word(Some(token), "exclude") {
            if is(first, "no") && is(second, "others") && closes(third) {
                at = third.unwrap_or(at + 1);
                continue;
            }
            let pair = is(first, "current") && is(second, "row") && closes(third);
            if pair || ((is(first, "ties") || is(first, "group")) && closes(second)) {
                return Err(PlannerError::unsupported("EXCLUDE in a window frame"));
            }
        }
        kept.push(token.clone());
        at += 1;
    }
    Ok(kept)
}

/// TRIM and SUBSTRING in the forms that the parser below does not know.
fn calls(mut tokens: Tokens) -> Tokens {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let name = word(token).map(str::to_ascii_lowercase);
        let open = next_of(&tokens, at + 1).next();
        let opens =
            open.and_then(|open| tokens.get(open)).is_some_and(|t| t.token == Token::LParen);
        if let (Some(name), Some(open), true) = (name, open, opens) {
            match name.as_str() {
                "trim" => trim(&mut tokens, open),
                "substring" => substring(&mut tokens, open),
                _ => {}
            }
        }
        at += 1;
    }
    tokens
}

/// Takes the FROM away that has no characters before it.
fn trim(tokens: &mut Tokens, open: usize) {
    let mut places = next_of(tokens, open + 1);
    let (Some(first), second) = (places.next(), places.next()) else { return };
    drop(places);
    let sided = ["leading", "trailing", "both"];
    let from = if is_word(tokens.get(first), "from") {
        first
    } else if sided.iter().any(|side| is_word(tokens.get(first), side)) {
        match second {
            Some(second) if is_word(tokens.get(second), "from") => second,
            _ => return,
        }
    } else {
        return;
    };
    tokens.remove(from);
}

/// `SIMILAR` and `ESCAPE` directly inside of the parentheses are `FROM` and `FOR`.
fn substring(tokens: &mut Tokens, open: usize) {
    let mut depth = 0_usize;
    let (mut similar, mut escape) = (None, None);
    for at in open..tokens.len() {
        let Some(token) = tokens.get(at) else { break };
        match &token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            _ if depth != 1 => {}
            Token::Comma => return,
            _ if is_word(Some(token), "similar") => {
                let next = next_of(tokens, at + 1).next();
                if !next.is_some_and(|next| is_word(tokens.get(next), "to")) {
                    similar.get_or_insert(at);
                }
            }
            _ if is_word(Some(token), "escape") && similar.is_some() => escape = Some(at),
            _ => {}
        }
    }
    if let (Some(similar), Some(escape)) = (similar, escape) {
        for (at, keyword) in [(similar, "FROM"), (escape, "FOR")] {
            if let Some(token) = tokens.get_mut(at) {
                token.token = Token::make_keyword(keyword);
            }
        }
    }
}

fn reset_time_zone(mut tokens: Tokens) -> Tokens {
    let places: Vec<usize> = next_of(&tokens, 0).take(4).collect();
    if let [reset, time, zone] = places.as_slice()
        && is_word(tokens.get(*reset), "reset")
        && is_word(tokens.get(*time), "time")
        && is_word(tokens.get(*zone), "zone")
    {
        if let Some(token) = tokens.get_mut(*time) {
            token.token = Token::make_word("timezone", None);
        }
        tokens.remove(*zone);
    }
    tokens
}

/// The digits before a literal, which the parser below would drop.
fn intervals(mut tokens: Tokens) -> Tokens {
    let mut at = 0;
    while at < tokens.len() {
        let places: Vec<usize> = if is_word(tokens.get(at), "interval") {
            next_of(&tokens, at + 1).take(4).collect()
        } else {
            vec![]
        };
        if let [open, digits, close, text] = places.as_slice()
            && tokens.get(*open).is_some_and(|token| token.token == Token::LParen)
            && tokens.get(*digits).is_some_and(|token| matches!(token.token, Token::Number(..)))
            && tokens.get(*close).is_some_and(|token| token.token == Token::RParen)
            && tokens
                .get(*text)
                .is_some_and(|token| matches!(token.token, Token::SingleQuotedString(_)))
        {
            let literal = tokens.remove(*text);
            let cast = TokenWithSpan { token: Token::DoubleColon, span: literal.span };
            tokens.splice(at..at, [literal, cast]);
            at += 2;
        }
        at += 1;
    }
    tokens
}

fn rename_view(mut tokens: Tokens) -> Tokens {
    let places: Vec<usize> = next_of(&tokens, 0).take(2).collect();
    if let [alter, view] = places.as_slice()
        && is_word(tokens.get(*alter), "alter")
        && is_word(tokens.get(*view), "view")
        && tokens.iter().any(|token| ["rename", "schema"].iter().any(|w| is_word(Some(token), w)))
        && let Some(token) = tokens.get_mut(*view)
    {
        token.token = Token::make_keyword("TABLE");
    }
    tokens
}
