//! DESCRIBE HISTORY: a query over the function that lists a table's versions.

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, LimitClause, ObjectName, Query, SelectItem,
    Statement as Ast, TableFunctionArgs, TableWithJoins, Value, WildcardAdditionalOptions,
};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::{Parsed, Result, expect_word, table_factor, unexpected, whole_number, word};
use crate::statement::Command;

/// Reads `DESCRIBE HISTORY t [LIMIT n]`; the next word is DESCRIBE.
pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Parsed> {
    parser.next_token();
    expect_word(parser, "history")?;
    word(parser, "table");
    let name = parser.parse_object_name(false)?;
    let limit = if word(parser, "limit") {
        let n_rows = whole_number(parser)?.filter(|n_rows| *n_rows >= 0);
        Some(n_rows.ok_or_else(|| unexpected(parser))?)
    } else {
        None
    };
    if parser.peek_token_ref().token != Token::EOF {
        return Err(unexpected(parser));
    }
    Ok((Ast::Query(query(&name, limit)), Command::Query))
}

/// `SELECT * FROM table_history(t) LIMIT n`.
fn query(name: &ObjectName, limit: Option<i64>) -> Box<Query> {
    let parts: Vec<Ident> = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
    let argument = FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(parts)));
    let mut factor = table_factor(ObjectName::from(vec![Ident::new("table_history")]));
    if let sqlparser::ast::TableFactor::Table { args, .. } = &mut factor {
        *args = Some(TableFunctionArgs { args: vec![argument], settings: None });
    }
    let star = SelectItem::Wildcard(WildcardAdditionalOptions::default());
    let from = TableWithJoins { relation: factor, joins: vec![] };
    let mut query = crate::write::select_query(vec![star], from);
    query.limit_clause = limit.map(|n_rows| LimitClause::LimitOffset {
        limit: Some(Expr::value(Value::Number(n_rows.to_string(), false))),
        offset: None,
        limit_by: vec![],
    });
    query
}
