//! COPY.
//!
//! ```text
//! COPY t (a, b) TO STDOUT        the tree is SELECT a, b FROM t
//! COPY (query) TO STDOUT         the tree is the query
//! COPY t (a, b) FROM STDIN       the tree is empty
//! COPY t (a, b) FROM 'place'     the same
//! ```

use sqlparser::ast::{self, Expr, Ident, SelectItem, Statement as Ast};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::copy_options::{Argument, CopyOptions, RawOption};
use super::{
    Parsed, Result, expect_word, identifier, nothing, string, table_factor, unexpected,
    whole_number, word, words,
};
use crate::error::PlannerError;
use crate::statement::{Command, fold};
use crate::write::{Target, select_query, target_of};

/// Files that are copied into a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFile {
    /// A path or URL of a file or folder, as written.
    pub place: String,
    /// What they are.
    pub kind: FileKind,
}

/// The formats of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Lines, as they come from a client, too.
    Lines,
    /// Parquet; columns are found by name.
    Parquet,
    /// An object in each line; columns are found by name.
    Json,
}

/// What a COPY moves and how it looks.
#[derive(Debug, Clone)]
pub struct Copy {
    /// FROM instead of TO.
    pub from: bool,
    /// The files; `None` for the client.
    pub file: Option<CopyFile>,
    /// Which of the rows are taken: the condition of WHERE as SQL.
    pub condition: Option<String>,
    /// The table, where one was named.
    pub table: Option<Target>,
    /// Its columns as listed; empty for all.
    pub columns: Vec<String>,
    /// How the data look.
    pub options: CopyOptions,
}

pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Parsed> {
    expect_word(parser, "copy")?;
    let mut raw = Vec::new();
    let source = source(parser, &mut raw)?;
    let from = if word(parser, "from") {
        true
    } else {
        expect_word(parser, "to")?;
        false
    };
    if from && source.name.is_none() {
        parser.prev_token();
        return Err(unexpected(parser));
    }
    let place = endpoint(parser, from)?;
    options(parser, &mut raw)?;
    let mut condition = None;
    if from && word(parser, "where") {
        condition = Some(parser.parse_expr()?.to_string());
    }
    let file = place.map(|place| {
        let kind = file_kind(&place, &mut raw);
        CopyFile { place, kind }
    });
    if file.as_ref().is_some_and(|file: &CopyFile| file.kind == FileKind::Json) {
        check_json(&raw)?;
    }
    let options = CopyOptions::read(&raw, from)?;
    let table = source.name.as_ref().map(target_of).transpose()?;
    let columns = source.columns.iter().map(fold).collect();
    let ast = match (source.query, source.name) {
        (Some(query), _) => Ast::Query(query),
        (None, Some(name)) if !from => Ast::Query(table_query(name, source.columns)),
        _ => nothing(),
    };
    Ok((ast, Command::Copy(Box::new(Copy { from, file, condition, table, columns, options }))))
}

#[derive(Default)]
struct Source {
    query: Option<Box<ast::Query>>,
    name: Option<ast::ObjectName>,
    columns: Vec<Ident>,
}

/// The table or query before FROM and TO, and the words of old forms around it.
fn source(parser: &mut Parser<'_>, raw: &mut Vec<RawOption>) -> Result<Source> {
    if parser.consume_token(&Token::LParen) {
        let query = match parser.parse_statement()? {
            Ast::Query(query) => query,
            Ast::Insert(_) | Ast::Update(_) | Ast::Delete(_) => {
                return Err(PlannerError::Unsupported {
                    what: "COPY of a statement that changes rows".to_owned(),
                    hint: Some("Run the statement, then copy a query.".to_owned()),
                }
                .into());
            }
            _ => return Err(unexpected(parser)),
        };
        parser.expect_token(&Token::RParen)?;
        return Ok(Source { query: Some(query), ..Source::default() });
    }
    if word(parser, "binary") {
        raw.push(RawOption::text("format", "binary"));
    }
    let name = parser.parse_object_name(false)?;
    let mut columns = Vec::new();
    if parser.consume_token(&Token::LParen) {
        columns = parser.parse_comma_separated(Parser::parse_identifier)?;
        parser.expect_token(&Token::RParen)?;
    }
    Ok(Source { query: None, name: Some(name), columns })
}

/// `SELECT a, b FROM t`; without columns all of them.
fn table_query(name: ast::ObjectName, columns: Vec<Ident>) -> Box<ast::Query> {
    let items = if columns.is_empty() {
        vec![SelectItem::Wildcard(ast::WildcardAdditionalOptions::default())]
    } else {
        columns.into_iter().map(|c| SelectItem::UnnamedExpr(Expr::Identifier(c))).collect()
    };
    let from = ast::TableWithJoins { relation: table_factor(name), joins: vec![] };
    select_query(items, from)
}

/// Takes formats that only files have out of the options.
fn file_kind(place: &str, raw: &mut Vec<RawOption>) -> FileKind {
    let is_format = |option: &RawOption| option.name == "format";
    let kind_of = |option: &RawOption| match &option.argument {
        Argument::Text(text) if text.eq_ignore_ascii_case("parquet") => Some(FileKind::Parquet),
        Argument::Text(text) if text.eq_ignore_ascii_case("json") => Some(FileKind::Json),
        _ => None,
    };
    if let Some(at) = raw.iter().position(is_format) {
        let kind = raw.get(at).and_then(kind_of);
        if kind.is_some() {
            raw.remove(at);
        }
        return kind.unwrap_or(FileKind::Lines);
    }
    // Without a word of it the name says what a file is.
    let name = place.to_ascii_lowercase();
    let plain = name.trim_end_matches(".gz").trim_end_matches(".zst");
    if plain.ends_with(".parquet") {
        return FileKind::Parquet;
    }
    if [".json", ".jsonl", ".ndjson"].iter().any(|end| plain.ends_with(end)) {
        return FileKind::Json;
    }
    if plain.ends_with(".csv") {
        raw.push(RawOption::text("format", "csv"));
    }
    FileKind::Lines
}

/// Refuses what says how lines of text look.
fn check_json(raw: &[RawOption]) -> Result<()> {
    let is_of_text = |option: &&RawOption| {
        matches!(option.name.as_str(), "delimiter" | "null" | "header" | "quote" | "escape")
            || option.name.starts_with("force_")
    };
    let Some(option) = raw.iter().find(is_of_text) else { return Ok(()) };
    let message = format!("cannot specify {} in JSON mode", option.name.to_ascii_uppercase());
    Err(PlannerError::Semantics { code: "42601", message, position: None }.into())
}

/// STDIN and STDOUT stand for the client, whichever is written; a string is a file to read.
fn endpoint(parser: &mut Parser<'_>, from: bool) -> Result<Option<String>> {
    if word(parser, "stdin") || word(parser, "stdout") {
        return Ok(None);
    }
    let program = word(parser, "program");
    let Some(place) = string(parser) else { return Err(unexpected(parser)) };
    if from && !program {
        return Ok(Some(place));
    }
    let message = if program {
        "COPY to or from an external program is not allowed".to_owned()
    } else {
        "COPY to a file of the server is not allowed".to_owned()
    };
    let (direction, client) = if from { ("FROM", "STDIN") } else { ("TO", "STDOUT") };
    let hint = format!(
        "COPY {direction} {client} moves data over the connection; psql's \\copy command does so for files of the client."
    );
    Err(PlannerError::Denied { message, hint }.into())
}

fn options(parser: &mut Parser<'_>, raw: &mut Vec<RawOption>) -> Result<()> {
    if word(parser, "using") {
        expect_word(parser, "delimiters")?;
        raw.push(RawOption::text("delimiter", &expect_string(parser)?));
    } else if word(parser, "delimiters") {
        raw.push(RawOption::text("delimiter", &expect_string(parser)?));
    }
    word(parser, "with");
    if parser.consume_token(&Token::LParen) {
        loop {
            raw.push(listed_option(parser)?);
            if !parser.consume_token(&Token::Comma) {
                parser.expect_token(&Token::RParen)?;
                return Ok(());
            }
        }
    }
    while let Some(option) = old_option(parser)? {
        raw.push(option);
    }
    Ok(())
}

/// `name value` in the list in parentheses.
fn listed_option(parser: &mut Parser<'_>) -> Result<RawOption> {
    let name = identifier(parser)?;
    let argument = if let Some(text) = string(parser) {
        Argument::Text(text)
    } else if let Some(number) = number_text(parser)? {
        Argument::Text(number)
    } else if parser.consume_token(&Token::Mul) {
        Argument::All
    } else if parser.consume_token(&Token::LParen) {
        let names = parser.parse_comma_separated(Parser::parse_identifier)?;
        parser.expect_token(&Token::RParen)?;
        Argument::Names(names.iter().map(fold).collect())
    } else if matches!(parser.peek_token_ref().token, Token::Word(_)) {
        Argument::Text(fold(&identifier(parser)?))
    } else {
        Argument::None
    };
    Ok(RawOption { name: fold(&name), argument })
}

fn number_text(parser: &mut Parser<'_>) -> Result<Option<String>> {
    if let Token::Number(digits, _) = &parser.peek_token_ref().token
        && digits.contains('.')
    {
        let digits = digits.clone();
        parser.next_token();
        return Ok(Some(digits));
    }
    Ok(whole_number(parser)?.map(|number| number.to_string()))
}

/// One option of the form before PostgreSQL 9; `None` at the end of them.
fn old_option(parser: &mut Parser<'_>) -> Result<Option<RawOption>> {
    if word(parser, "binary") {
        return Ok(Some(RawOption::text("format", "binary")));
    }
    if word(parser, "csv") {
        return Ok(Some(RawOption::text("format", "csv")));
    }
    if word(parser, "header") {
        return Ok(Some(RawOption::text("header", "true")));
    }
    if word(parser, "freeze") {
        return Ok(Some(RawOption::text("freeze", "true")));
    }
    for name in ["delimiter", "null", "quote", "escape"] {
        if word(parser, name) {
            word(parser, "as");
            return Ok(Some(RawOption::text(name, &expect_string(parser)?)));
        }
    }
    if word(parser, "encoding") {
        return Ok(Some(RawOption::text("encoding", &expect_string(parser)?)));
    }
    let forced = [
        (&["force", "quote"][..], "force_quote"),
        (&["force", "not", "null"][..], "force_not_null"),
        (&["force", "null"][..], "force_null"),
    ];
    for (found, name) in forced {
        if words(parser, found) {
            let argument = if name == "force_quote" && parser.consume_token(&Token::Mul) {
                Argument::All
            } else {
                let names = parser.parse_comma_separated(Parser::parse_identifier)?;
                Argument::Names(names.iter().map(fold).collect())
            };
            return Ok(Some(RawOption { name: name.to_owned(), argument }));
        }
    }
    Ok(None)
}

fn expect_string(parser: &mut Parser<'_>) -> Result<String> {
    string(parser).ok_or_else(|| unexpected(parser))
}
