//! PREPARE, EXECUTE and DEALLOCATE.

use sqlparser::ast::Statement as Ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::{Parsed, Result, expect_word, name, nothing, unexpected, values_query, word};
use crate::statement::Command;

/// Values of one EXECUTE; the protocol's own limit for parameters.
const N_ARGUMENTS_MAX: usize = 65_535;

pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Parsed> {
    if word(parser, "deallocate") {
        word(parser, "prepare");
        let all = super::peek_word(parser, 0).as_deref() == Some("all");
        let name = name(parser)?;
        return Ok((nothing(), Command::Deallocate((!all).then_some(name))));
    }
    if word(parser, "execute") {
        let name = name(parser)?;
        let mut arguments = Vec::new();
        if parser.consume_token(&Token::LParen) {
            arguments = parser.parse_comma_separated(Parser::parse_expr)?;
            parser.expect_token(&Token::RParen)?;
        }
        let n_arguments = arguments.len();
        if n_arguments > N_ARGUMENTS_MAX {
            return Err(unexpected(parser));
        }
        let values = Ast::Query(values_query(arguments));
        return Ok((values, Command::Execute { name, n_arguments }));
    }
    expect_word(parser, "prepare")?;
    let name = name(parser)?;
    let mut types = Vec::new();
    if parser.consume_token(&Token::LParen) {
        let found = parser.parse_comma_separated(Parser::parse_data_type)?;
        types = found.iter().map(ToString::to_string).collect();
        parser.expect_token(&Token::RParen)?;
    }
    expect_word(parser, "as")?;
    let first = parser.peek_token();
    let inner = parser.parse_statement()?;
    let preparable =
        matches!(inner, Ast::Query(_) | Ast::Insert(_) | Ast::Update(_) | Ast::Delete(_));
    if !preparable {
        parser.expected_ref::<()>("a statement with parameters", &first)?;
    }
    Ok((inner, Command::Prepare { name, types }))
}
