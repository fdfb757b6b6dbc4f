//! PostgreSQL's utility statements: read here, because the parser below knows other dialects'
//! forms of them or none at all.
//!
//! | module | statements |
//! |---|---|
//! | `access` | CREATE ROLE, GRANT, OWNER TO, SET ROLE, ALTER SYSTEM |
//! | `transaction` | BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, SET TRANSACTION |
//! | `cursor` | DECLARE, FETCH, MOVE, CLOSE |
//! | `prepare` | PREPARE, EXECUTE, DEALLOCATE |
//! | `copy`, `copy_options` | COPY |
//! | `history` | DESCRIBE HISTORY |
//! | `lake` | CREATE TABLE with USING and its kin, STORAGE, DATABASE, ALTER SCHEMA |
//! | `upkeep` | OPTIMIZE, VACUUM, RESTORE, ANALYZE |
//! | `maintenance` | LOCK, LISTEN, DISCARD, COMMENT and what has no effect |
//!
//! A statement that holds a query is that query's tree with a [`Command`] beside it, so that
//! binding and planning need not know of the words around it.

use sqlparser::ast::{self, Ident, Query, SelectItem, SetExpr, Statement as Ast};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use crate::error::PlannerError;
use crate::statement::{Command, fold};

pub(crate) mod access;
pub(crate) mod copy;
pub(crate) mod copy_options;
pub(crate) mod cursor;
mod history;
pub(crate) mod lake;
mod maintenance;
mod prepare;
pub(crate) mod transaction;
pub(crate) mod upkeep;

#[cfg(test)]
mod tests;

/// Why a utility statement cannot be read.
pub(crate) enum GrammarError {
    /// Not the grammar; the parser knows where.
    Syntax(ParserError),
    /// Read, but without meaning.
    Meaning(PlannerError),
}

impl From<ParserError> for GrammarError {
    fn from(error: ParserError) -> Self {
        Self::Syntax(error)
    }
}

impl From<PlannerError> for GrammarError {
    fn from(error: PlannerError) -> Self {
        Self::Meaning(error)
    }
}

pub(crate) type Result<T, E = GrammarError> = std::result::Result<T, E>;

/// What a utility statement is: the tree of the query inside it and the command around it.
pub(crate) type Parsed = (Ast, Command);

/// Reads a utility statement; `None` where the next statement is of another kind.
pub(crate) fn parse(parser: &mut Parser<'_>) -> Option<Result<Parsed>> {
    let first = peek_word(parser, 0)?;
    let second = peek_word(parser, 1).unwrap_or_default();
    let read = match (first.as_str(), second.as_str()) {
        ("begin" | "start" | "commit" | "end" | "rollback" | "abort", _) => transaction::parse,
        ("savepoint" | "release", _) => transaction::parse,
        ("set", "transaction") => transaction::parse,
        ("set", "session") if peek_word(parser, 2).as_deref() == Some("characteristics") => {
            transaction::parse
        }
        ("prepare", "transaction") => transaction::parse,
        ("declare" | "fetch" | "move" | "close", _) => cursor::parse,
        ("prepare" | "execute" | "deallocate", _) => prepare::parse,
        (first, second) if access::is_access(parser, first, second) => access::parse,
        ("copy", _) => copy::parse,
        ("describe" | "desc", "history") => history::parse,
        ("create", _) if lake::is_create_table(parser) => lake::create_table,
        ("alter", "table") => return lake::alter_table(parser),
        ("create" | "alter" | "drop", "storage" | "database") => lake::other,
        ("alter", "schema") => lake::other,
        ("create", "or") if peek_word(parser, 3).as_deref() == Some("storage") => lake::other,
        (word, _) if upkeep::STATEMENTS.contains(&word) => upkeep::parse,
        (word, _) if maintenance::STATEMENTS.contains(&word) => maintenance::parse,
        _ => return None,
    };
    Some(read(parser))
}

/// The tree of a statement that holds no query.
fn nothing() -> Ast {
    Ast::Query(values_query(vec![]))
}

/// `SELECT a, b` without FROM.
pub(crate) fn values_query(values: Vec<ast::Expr>) -> Box<Query> {
    let items = values.into_iter().map(SelectItem::UnnamedExpr).collect();
    let mut query = crate::write::select_query(
        items,
        ast::TableWithJoins { relation: table_factor(ast::ObjectName(vec![])), joins: vec![] },
    );
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from.clear();
    }
    query
}

/// A plain table of this name.
pub(crate) fn table_factor(name: ast::ObjectName) -> ast::TableFactor {
    ast::TableFactor::Table {
        name,
        alias: None,
        args: None,
        with_hints: vec![],
        version: None,
        with_ordinality: false,
        partitions: vec![],
        json_path: None,
        sample: None,
        index_hints: vec![],
    }
}

/// The folded word at a place ahead; `None` for anything else, quoted identifiers included.
fn peek_word(parser: &Parser<'_>, n: usize) -> Option<String> {
    match &parser.peek_nth_token_ref(n).token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_lowercase()),
        _ => None,
    }
}

/// Takes the next word if it is this one.
fn word(parser: &mut Parser<'_>, expected: &str) -> bool {
    let found = peek_word(parser, 0).as_deref() == Some(expected);
    if found {
        parser.next_token();
    }
    found
}

/// Takes a series of words if all of them are there.
fn words(parser: &mut Parser<'_>, expected: &[&str]) -> bool {
    let found = expected
        .iter()
        .enumerate()
        .all(|(n, expected)| peek_word(parser, n).as_deref() == Some(*expected));
    if found {
        for _ in expected {
            parser.next_token();
        }
    }
    found
}

/// Takes this word, or says what stands there instead.
fn expect_word(parser: &mut Parser<'_>, expected: &str) -> Result<()> {
    if word(parser, expected) { Ok(()) } else { Err(unexpected(parser)) }
}

fn unexpected(parser: &Parser<'_>) -> GrammarError {
    match parser.expected_ref::<()>("another word", parser.peek_token_ref()) {
        Err(error) => error.into(),
        Ok(()) => ParserError::ParserError("syntax error".to_owned()).into(),
    }
}

/// A name, folded.
fn name(parser: &mut Parser<'_>) -> Result<String> {
    Ok(fold(&identifier(parser)?))
}

/// A name with its place; strings are none.
fn identifier(parser: &mut Parser<'_>) -> Result<Ident> {
    match &parser.peek_token_ref().token {
        Token::Word(_) => Ok(parser.parse_identifier()?),
        _ => Err(unexpected(parser)),
    }
}

/// A string in single quotes, `E''` and `$$` included; `None` for anything else.
fn string(parser: &mut Parser<'_>) -> Option<String> {
    let text = match &parser.peek_token_ref().token {
        Token::SingleQuotedString(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text) => text.clone(),
        Token::DollarQuotedString(text) => text.value.clone(),
        _ => return None,
    };
    parser.next_token();
    Some(text)
}

/// A whole number with its sign; `None` for anything else.
fn whole_number(parser: &mut Parser<'_>) -> Result<Option<i64>> {
    let negative = matches!(parser.peek_token_ref().token, Token::Minus);
    let signed = negative || matches!(parser.peek_token_ref().token, Token::Plus);
    let Token::Number(digits, _) = &parser.peek_nth_token_ref(usize::from(signed)).token else {
        return Ok(None);
    };
    let number = digits.parse::<i64>().map(|number| if negative { -number } else { number });
    if signed {
        parser.next_token();
    }
    let number = match number {
        Ok(number) => number,
        Err(_) => return Err(unexpected(parser)),
    };
    parser.next_token();
    Ok(Some(number))
}

/// Takes everything that is left of the statement.
fn skip_rest(parser: &mut Parser<'_>) {
    while parser.next_token().token != Token::EOF {}
    parser.prev_token();
}

fn semantics(code: &'static str, message: impl Into<String>) -> GrammarError {
    PlannerError::Semantics { code, message: message.into(), position: None }.into()
}
