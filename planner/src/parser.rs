//! SQL text to statements: splitting, limits on size and depth, positions.

mod literals;
pub(crate) mod shorthand;
pub(crate) mod write_words;

use std::sync::Arc;

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, TokenizerError};

use crate::dialect::TarnDialect;
use crate::error::{PlannerError, Result};
use crate::statement::Statement;
use crate::utility::GrammarError;

/// How large and deep a statement may be.
///
/// The engine below walks plans recursively and some of its rules are quadratic: without these
/// limits a text of 100 kB ends the process or plans for minutes.
#[derive(Debug, Clone)]
pub struct ParseLimits {
    /// Bytes of one message's text.
    pub n_statement_bytes_max: usize,
    /// Parentheses, subqueries and function calls inside each other.
    pub n_nesting_max: usize,
    /// Operators in one chain without parentheses or commas, such as ORed terms.
    pub n_chain_max: usize,
    /// Arithmetic operators, concatenations and casts in one chain: each term is typed again for
    /// every one behind it.
    pub n_arithmetic_max: usize,
    /// Queries named by one WITH.
    pub n_with_max: usize,
    /// Characters of one number.
    pub n_number_chars_max: usize,
    /// Branches of one chain of UNION, INTERSECT and EXCEPT.
    pub n_set_operations_max: usize,
    /// Joined relations in one chain, counted by JOIN keywords.
    pub n_joins_max: usize,
}

impl Default for ParseLimits {
    fn default() -> Self {
        Self {
            n_statement_bytes_max: 64 << 20,
            n_nesting_max: 400,
            n_chain_max: 2_000,
            n_arithmetic_max: 500,
            n_with_max: 500,
            n_number_chars_max: 1_000,
            n_set_operations_max: 500,
            n_joins_max: 200,
        }
    }
}

/// Splits a text into statements and parses each.
///
/// # Errors
/// `Syntax` with a position in `sql`, `TooComplex` for what is above `limits`.
pub fn parse(sql: &str, limits: &ParseLimits) -> Result<Vec<Statement>> {
    if sql.len() > limits.n_statement_bytes_max {
        return Err(too_complex(
            &format!("{} bytes of text", sql.len()),
            limits.n_statement_bytes_max,
        ));
    }
    let dialect = TarnDialect::default();
    let tokens = Tokenizer::new(&dialect, sql)
        .tokenize_with_location()
        .map_err(|error| tokenizer_error(sql, error))?;
    let source: Arc<str> = sql.into();
    let mut cursor = Cursor::new(sql);
    let mut statements = Vec::new();
    for tokens in split(tokens) {
        check_size(&tokens, limits)?;
        check_numbers(&tokens)?;
        statements.push(parse_one(&source, &mut cursor, &dialect, tokens, limits)?);
    }
    Ok(statements)
}

/// A number ends before a name begins: `12abc` is an error, as is `0x` without digits.
fn check_numbers(tokens: &[TokenWithSpan]) -> Result<()> {
    let junk = |text: String| {
        let message = format!("trailing junk after numeric literal at or near \"{text}\"");
        Err(PlannerError::Syntax { message, position: None })
    };
    for token in tokens {
        // `0x` without digits reads like `X''`, which is one character longer.
        if matches!(&token.token, Token::HexStringLiteral(digits) if digits.is_empty())
            && token.span.end.column.saturating_sub(token.span.start.column) < 3
        {
            return junk("0x".to_owned());
        }
    }
    for pair in tokens.windows(2) {
        let [number, word] = pair else { continue };
        if let (Token::Number(digits, _), Token::Word(name)) = (&number.token, &word.token)
            && number.span.end == word.span.start
            && name.quote_style.is_none()
        {
            return junk(format!("{digits}{}", name.value));
        }
    }
    Ok(())
}

/// Cuts at semicolons and drops what holds nothing but white space and comments.
fn split(tokens: Vec<TokenWithSpan>) -> Vec<Vec<TokenWithSpan>> {
    let mut parts = vec![Vec::new()];
    for token in tokens {
        match (&token.token, parts.last_mut()) {
            (Token::SemiColon, _) => parts.push(Vec::new()),
            (Token::EOF, _) | (_, None) => {}
            (_, Some(part)) => part.push(token),
        }
    }
    parts.retain(|part| part.iter().any(|t| !matches!(t.token, Token::Whitespace(_))));
    parts
}

/// Counters of one pair of parentheses.
#[derive(Default)]
struct Level {
    n_chain: usize,
    n_arithmetic: usize,
    n_with: usize,
    n_set_operations: usize,
    n_joins: usize,
}

fn check_size(tokens: &[TokenWithSpan], limits: &ParseLimits) -> Result<()> {
    let mut levels = vec![Level::default()];
    let mut n_cases = 0_usize;
    let mut after_as = false;
    for token in tokens {
        if let (Token::LParen, true, Some(level)) = (&token.token, after_as, levels.last_mut()) {
            level.n_with += 1;
            if level.n_with > limits.n_with_max {
                return Err(too_complex("queries in one WITH", limits.n_with_max));
            }
        }
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::Word(word) => after_as = word.keyword == Keyword::AS,
            _ => after_as = false,
        }
        match &token.token {
            Token::Number(digits, _) if digits.len() > limits.n_number_chars_max => {
                return Err(PlannerError::Semantics {
                    code: "22003",
                    message: "value overflows numeric format".to_owned(),
                    position: None,
                });
            }
            Token::LParen | Token::LBracket => levels.push(Level::default()),
            Token::RParen | Token::RBracket if levels.len() > 1 => {
                levels.pop();
            }
            Token::Word(word) if word.keyword == Keyword::CASE => n_cases += 1,
            Token::Word(word) if word.keyword == Keyword::END => {
                n_cases = n_cases.saturating_sub(1)
            }
            _ => {}
        }
        let depth = levels.len() + n_cases;
        if depth > limits.n_nesting_max {
            return Err(too_complex("levels of nesting", limits.n_nesting_max));
        }
        let Some(level) = levels.last_mut() else { continue };
        count(&token.token, level);
        if level.n_chain > limits.n_chain_max {
            return Err(too_complex("operators in one chain", limits.n_chain_max));
        }
        if level.n_arithmetic > limits.n_arithmetic_max {
            return Err(too_complex("arithmetic operators in one chain", limits.n_arithmetic_max));
        }
        if level.n_set_operations > limits.n_set_operations_max {
            return Err(too_complex("set operations in one chain", limits.n_set_operations_max));
        }
        if level.n_joins > limits.n_joins_max {
            return Err(too_complex("joins in one FROM clause", limits.n_joins_max));
        }
    }
    Ok(())
}

fn count(token: &Token, level: &mut Level) {
    match token {
        Token::Comma => {
            level.n_chain = 0;
            level.n_arithmetic = 0;
        }
        Token::Plus
        | Token::Minus
        | Token::Mul
        | Token::Div
        | Token::Mod
        | Token::StringConcat
        | Token::DoubleColon
        | Token::CustomBinaryOperator(_) => {
            level.n_chain += 1;
            level.n_arithmetic += 1;
        }
        Token::Word(word) => match word.keyword {
            Keyword::NOT => level.n_chain += 1,
            Keyword::AND | Keyword::OR => {
                level.n_chain += 1;
                level.n_arithmetic = 0;
            }
            Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => {
                level.n_set_operations += 1;
                level.n_chain = 0;
                level.n_arithmetic = 0;
                level.n_joins = 0;
            }
            Keyword::JOIN => level.n_joins += 1,
            _ => {}
        },
        _ => {}
    }
}

fn too_complex(what: &str, limit: usize) -> PlannerError {
    PlannerError::TooComplex { what: format!("{what}, the limit is {limit}") }
}

fn parse_one(
    source: &Arc<str>,
    cursor: &mut Cursor<'_>,
    dialect: &TarnDialect,
    tokens: Vec<TokenWithSpan>,
    limits: &ParseLimits,
) -> Result<Statement> {
    let start = tokens
        .iter()
        .find(|t| !matches!(t.token, Token::Whitespace(_)))
        .map_or_else(|| Location::new(1, 1), |t| t.span.start);
    let end = tokens.last().map(|t| t.span.end);
    let sql: &str = source;
    let (from, n_chars_before) = cursor.seek(start);
    let (to, n_chars_to_end) = end.map_or((sql.len(), 0), |end| cursor.seek(end));
    let text = sql.get(from..to).unwrap_or(sql).trim_end().to_owned();
    let tokens = literals::join(write_words::expand(tokens), &|token| unexpected(sql, token))?;
    let tokens = shorthand::expand(tokens, |token| unexpected(sql, token))?;
    // Each level of nesting passes through several of the parser's guarded functions.
    let mut parser = Parser::new(dialect)
        .with_recursion_limit(limits.n_nesting_max.saturating_mul(4))
        .with_tokens_with_locations(tokens);
    let (ast, utility) = match crate::utility::parse(&mut parser) {
        Some(Ok((ast, command))) => (ast, Some(command)),
        Some(Err(GrammarError::Meaning(error))) => return Err(error),
        Some(Err(GrammarError::Syntax(error))) => {
            return Err(parser_error(sql, n_chars_to_end, error));
        }
        None => {
            let parsed = parser.parse_statement();
            (parsed.map_err(|error| parser_error(sql, n_chars_to_end, error))?, None)
        }
    };
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        return Err(unexpected(sql, &rest));
    }
    let statement = Statement::new(ast, text, source, n_chars_before);
    Ok(match utility {
        Some(command) => statement.with_utility(command),
        None => statement,
    })
}

/// Reads an expression that was kept as text, such as a column's default.
///
/// # Errors
/// `Syntax`; the text was read before.
pub(crate) fn parse_expr(text: &str) -> Result<sqlparser::ast::Expr> {
    let dialect = TarnDialect::default();
    let parsed = Parser::new(&dialect).try_with_sql(text).and_then(|mut p| p.parse_expr());
    parsed.map_err(|error| PlannerError::Syntax { message: error.to_string(), position: None })
}

fn unexpected(sql: &str, token: &TokenWithSpan) -> PlannerError {
    let message = match &token.token {
        Token::EOF => "syntax error at end of input".to_owned(),
        found => format!("syntax error at or near \"{found}\""),
    };
    PlannerError::Syntax { message, position: Some(char_offset(sql, token.span.start) + 1) }
}

fn tokenizer_error(sql: &str, error: TokenizerError) -> PlannerError {
    PlannerError::Syntax {
        message: lower_first(&error.message),
        position: Some(char_offset(sql, error.location) + 1),
    }
}

fn parser_error(sql: &str, n_chars_to_end: usize, error: ParserError) -> PlannerError {
    match error {
        ParserError::RecursionLimitExceeded => {
            PlannerError::TooComplex { what: "levels of nesting".to_owned() }
        }
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            let (message, location) = split_location(&text);
            // The end of the statement is no token and has no place of its own.
            let offset = location.map_or(n_chars_to_end, |at| char_offset(sql, at));
            let position = Some(offset + 1);
            PlannerError::Syntax { message: syntax_message(message), position }
        }
    }
}

/// `Expected: an expression, found: FROM` becomes PostgreSQL's `syntax error at or near "FROM"`.
fn syntax_message(message: &str) -> String {
    match message.rsplit_once("found: ") {
        Some((_, "EOF")) => "syntax error at end of input".to_owned(),
        Some((_, found)) => format!("syntax error at or near \"{found}\""),
        None => lower_first(message),
    }
}

/// Takes ` at Line: 1, Column: 8` off the end of a message.
fn split_location(text: &str) -> (&str, Option<Location>) {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else { return (text, None) };
    let Some((line, column)) = place.split_once(", Column: ") else { return (text, None) };
    match (line.trim().parse(), column.trim().parse()) {
        (Ok(line), Ok(column)) => (message, Some(Location::new(line, column))),
        _ => (text, None),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        // Keywords such as LIMIT keep their letters.
        (Some(_), Some(second)) if second.is_uppercase() => text.to_owned(),
        (Some(first), _) => first.to_lowercase().chain(chars).collect(),
        (None, _) => String::new(),
    }
}

/// Characters before a location whose line and column count from 1.
#[must_use]
pub fn char_offset(sql: &str, at: Location) -> usize {
    let line_index = usize::try_from(at.line.saturating_sub(1)).unwrap_or(usize::MAX);
    let column_index = usize::try_from(at.column.saturating_sub(1)).unwrap_or(usize::MAX);
    let before: usize =
        sql.split_inclusive('\n').take(line_index).map(|line| line.chars().count()).sum();
    before.saturating_add(column_index).min(sql.chars().count())
}

/// Walks through a text once, however many places in it are looked up in order.
struct Cursor<'a> {
    rest: std::str::Chars<'a>,
    n_bytes: usize,
    n_chars: usize,
    at: Location,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.chars(), n_bytes: 0, n_chars: 0, at: Location::new(1, 1) }
    }

    /// Bytes and characters before a location, which is not before the last one asked for.
    fn seek(&mut self, target: Location) -> (usize, usize) {
        while (self.at.line, self.at.column) < (target.line, target.column) {
            let Some(c) = self.rest.next() else { break };
            self.n_bytes += c.len_utf8();
            self.n_chars += 1;
            self.at = match c {
                '\n' => Location::new(self.at.line + 1, 1),
                _ => Location::new(self.at.line, self.at.column + 1),
            };
        }
        (self.n_bytes, self.n_chars)
    }
}

#[cfg(test)]
mod tests;
