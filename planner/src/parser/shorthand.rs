//! Shorthands that the parser below does not know, written out.
//!
//! | before | after |
//! |---|---|
//! | `TABLE t` | `SELECT * FROM t` |
//! | `ORDER BY x USING >` | `ORDER BY x DESC` |
//! | `FROM ROWS FROM (f(x), g(y))` | `FROM "…"(f(x), g(y))` |
//! | `FROM ONLY t`, `UPDATE ONLY t` | `FROM t`, `UPDATE t` |
//! | `SELECT WHERE c` | `SELECT FROM (VALUES (1)) AS "…" WHERE c` |

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use crate::error::PlannerError;

/// Writes the shorthands of one statement out.
///
/// # Errors
/// `Syntax` where a clause begins in the place of a relation's name.
pub(super) fn expand(
    tokens: Vec<TokenWithSpan>,
    unexpected: impl Fn(&TokenWithSpan) -> PlannerError,
) -> Result<Vec<TokenWithSpan>, PlannerError> {
    let mut expanded: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut last = Last::Start;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if matches!(token.token, Token::Whitespace(_)) {
            expanded.push(token);
            continue;
        }
        let keyword = keyword(&token.token);
        if last == Last::From && keyword.is_some_and(begins_clause) {
            return Err(unexpected(&token));
        }
        match (keyword, last) {
            (Some(Keyword::TABLE), Last::Start | Last::Query) if names_relation(&mut tokens) => {
                for word in ["SELECT", "*", "FROM"] {
                    expanded.push(TokenWithSpan { token: made(word), span: token.span });
                    expanded.push(TokenWithSpan { token: space(), span: token.span });
                }
                last = Last::From;
                continue;
            }
            (Some(Keyword::USING), _) if let Some(order) = direction(&mut tokens) => {
                expanded.push(TokenWithSpan { token: made(order), span: token.span });
                last = Last::Other;
                continue;
            }
            (Some(Keyword::ROWS), Last::From | Last::Comma | Last::Join)
                if takes(&mut tokens, Keyword::FROM) =>
            {
                let token = TokenWithSpan { token: made(ROWS_FROM), span: token.span };
                expanded.push(token);
                last = Last::Other;
                continue;
            }
            // There are no tables that inherit from others.
            (_, Last::From | Last::Join)
                if is_word(&token.token, "only") && names_relation(&mut tokens) =>
            {
                continue;
            }
            (Some(Keyword::WHERE), Last::Select) => {
                let one = ["FROM", "(", "VALUES", "(", "1", ")", ")", "AS", "\u{1}one"];
                for word in one {
                    expanded.push(TokenWithSpan { token: made(word), span: token.span });
                    expanded.push(TokenWithSpan { token: space(), span: token.span });
                }
                last = Last::Other;
            }
            _ => last = follow(&token.token, keyword, last),
        }
        expanded.push(token);
    }
    Ok(expanded)
}

/// What stands before a token, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing.
    Start,
    /// A parenthesis, a set operation or AS: a query may begin.
    Query,
    /// SELECT.
    Select,
    /// FROM.
    From,
    /// A comma.
    Comma,
    /// JOIN.
    Join,
    Other,
}

fn follow(token: &Token, keyword: Option<Keyword>, last: Last) -> Last {
    match keyword {
        Some(Keyword::SELECT) => Last::Select,
        Some(Keyword::FROM) => Last::From,
        Some(Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::AS) => Last::Query,
        Some(Keyword::ALL | Keyword::DISTINCT) if last == Last::Query => Last::Query,
        Some(Keyword::JOIN) => Last::Join,
        Some(Keyword::UPDATE) if last == Last::Start => Last::Join,
        _ if *token == Token::LParen => Last::Query,
        _ if *token == Token::Comma => Last::Comma,
        // `EXPLAIN TABLE t`.
        Some(Keyword::EXPLAIN) => Last::Start,
        _ => Last::Other,
    }
}

fn keyword(token: &Token) -> Option<Keyword> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}

/// Words that no relation can be called without quotes.
fn begins_clause(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::ORDER
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::FETCH
            | Keyword::UNION
            | Keyword::EXCEPT
            | Keyword::INTERSECT
            | Keyword::WINDOW
            | Keyword::FROM
    )
}

/// Whether the next token that is no white space can be a relation's name.
fn names_relation(tokens: &mut Tokens) -> bool {
    while tokens.next_if(|token| matches!(token.token, Token::Whitespace(_))).is_some() {}
    matches!(tokens.peek().map(|token| &token.token), Some(Token::Word(_)))
}

/// The name under which `ROWS FROM (…)` is a function in FROM.
pub(crate) const ROWS_FROM: &str = "\u{1}rows_from";

type Tokens = std::iter::Peekable<std::vec::IntoIter<TokenWithSpan>>;

/// Takes the operator of `ORDER BY x USING >`.
fn direction(tokens: &mut Tokens) -> Option<&'static str> {
    while tokens.next_if(|token| matches!(token.token, Token::Whitespace(_))).is_some() {}
    let order = match tokens.peek().map(|token| &token.token) {
        Some(Token::Lt) => "ASC",
        Some(Token::Gt) => "DESC",
        _ => return None,
    };
    tokens.next();
    Some(order)
}

/// Takes a keyword that comes next.
fn takes(tokens: &mut Tokens, expected: Keyword) -> bool {
    while tokens.next_if(|token| matches!(token.token, Token::Whitespace(_))).is_some() {}
    tokens.next_if(|token| keyword(&token.token) == Some(expected)).is_some()
}

fn is_word(token: &Token, expected: &str) -> bool {
    matches!(token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

fn made(word: &str) -> Token {
    match word {
        "*" => Token::Mul,
        "(" => Token::LParen,
        ")" => Token::RParen,
        "1" => Token::Number("1".to_owned(), false),
        quoted if quoted.starts_with('\u{1}') => Token::make_word(quoted, Some('"')),
        keyword => Token::make_keyword(keyword),
    }
}

fn space() -> Token {
    Token::Whitespace(Whitespace::Space)
}
