//! LOCK, LISTEN, DISCARD, COMMENT and others that touch no rows.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::{Parsed, Result, expect_word, name, nothing, string, unexpected, word, words};
use crate::error::PlannerError;
use crate::statement::Command;
use crate::write::{Target, target_of};

/// The first words of the statements that are read here.
pub(super) const STATEMENTS: &[&str] = &[
    "lock", "listen", "unlisten", "notify", "discard", "comment", "reindex", "cluster", "do",
    "call", "load", "security", "refresh", "import",
];

pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Parsed> {
    let first = super::peek_word(parser, 0).unwrap_or_default();
    parser.next_token();
    let command = match first.as_str() {
        "lock" => lock(parser)?,
        "listen" => Command::Listen(name(parser)?),
        "unlisten" if parser.consume_token(&Token::Mul) => Command::Unlisten(None),
        "unlisten" => Command::Unlisten(Some(name(parser)?)),
        "notify" => {
            let channel = name(parser)?;
            let payload = match parser.consume_token(&Token::Comma) {
                true => string(parser).ok_or_else(|| unexpected(parser))?,
                false => String::new(),
            };
            Command::Notify { channel, payload }
        }
        "discard" => discard(parser)?,
        "comment" => comment(parser)?,
        other => {
            let what = other.to_uppercase();
            let hint = match other {
                "do" | "call" => {
                    "There are no procedural languages; run the statements themselves."
                }
                _ => "Tables need no such maintenance.",
            };
            let hint = Some(hint.to_owned());
            return Err(PlannerError::Unsupported { what, hint }.into());
        }
    };
    Ok((nothing(), command))
}

fn tables(parser: &mut Parser<'_>) -> Result<Vec<Target>> {
    let mut tables = Vec::new();
    loop {
        word(parser, "only");
        let table = parser.parse_object_name(false)?;
        let _ = parser.consume_token(&Token::Mul);
        tables.push(target_of(&table)?);
        if parser.consume_token(&Token::LParen) {
            parser.parse_comma_separated(Parser::parse_identifier)?;
            parser.expect_token(&Token::RParen)?;
        }
        if !parser.consume_token(&Token::Comma) {
            return Ok(tables);
        }
    }
}

fn lock(parser: &mut Parser<'_>) -> Result<Command> {
    word(parser, "table");
    let tables = tables(parser)?;
    if word(parser, "in") {
        let mut n_words = 0;
        while !word(parser, "mode") {
            let known = super::peek_word(parser, 0).is_some_and(|w| {
                ["access", "row", "share", "update", "exclusive"].contains(&w.as_str())
            });
            if !known || n_words == 3 {
                return Err(unexpected(parser));
            }
            parser.next_token();
            n_words += 1;
        }
    }
    word(parser, "nowait");
    Ok(Command::Lock { tables })
}

fn discard(parser: &mut Parser<'_>) -> Result<Command> {
    let what = super::peek_word(parser, 0).unwrap_or_default();
    let what = match what.as_str() {
        "all" => "ALL",
        "plans" => "PLANS",
        "sequences" => "SEQUENCES",
        "temp" | "temporary" => "TEMP",
        _ => return Err(unexpected(parser)),
    };
    parser.next_token();
    Ok(Command::Discard { what })
}

/// `COMMENT ON TABLE t IS 'text'`, also on columns, views, schemas, databases and roles.
fn comment(parser: &mut Parser<'_>) -> Result<Command> {
    expect_word(parser, "on")?;
    let kind = super::peek_word(parser, 0).unwrap_or_default();
    if words(parser, &["materialized", "view"]) {
        // The same as for views.
    } else if ["table", "column", "view", "schema", "database", "role"].contains(&kind.as_str()) {
        parser.next_token();
    } else {
        return Err(PlannerError::unsupported(format!("COMMENT ON {}", kind.to_uppercase())).into());
    }
    let object = parser.parse_object_name(false)?;
    let parts = object.0.iter().filter_map(|part| part.as_ident()).map(crate::statement::fold);
    let parts: Vec<String> = parts.collect();
    expect_word(parser, "is")?;
    let text = match string(parser) {
        Some(text) => Some(text),
        None => {
            expect_word(parser, "null")?;
            None
        }
    };
    Ok(Command::Comment { kind, parts, text })
}
