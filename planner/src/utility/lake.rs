//! The clauses of CREATE TABLE and ALTER TABLE that PostgreSQL does not have, and the definitions
//! of storage, databases and schemas.
//!
//! ```text
//! CREATE TABLE t (a int) USING delta PARTITIONED BY (a) LOCATION '…' TBLPROPERTIES (…) AS SELECT …
//! ```
//! The clauses are taken out of the text's tokens, in any order; what is left is PostgreSQL's
//! statement, which the parser below reads.

use sqlparser::ast::Statement as Ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{
    GrammarError, Parsed, Result, expect_word, name, nothing, peek_word, semantics, string,
    unexpected, word, words,
};
use crate::dialect::TarnDialect;
use crate::parser::ParseLimits;
use crate::statement::{Command, Define};
use crate::write::{Target, target_of};

/// What a CREATE TABLE says beyond PostgreSQL's own clauses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableClauses {
    /// USING: the folded name of the format or access method.
    pub using: Option<String>,
    /// PARTITIONED BY: the folded names of columns.
    pub partitioned_by: Vec<String>,
    /// LOCATION.
    pub location: Option<String>,
    /// OPTIONS: how files are read.
    pub options: Vec<(String, String)>,
    /// TBLPROPERTIES.
    pub properties: Vec<(String, String)>,
    /// COMMENT.
    pub comment: Option<String>,
    /// The names of the columns of CREATE TABLE … AS, where they stand without types.
    pub names: Vec<String>,
    /// What LIKE is to take over, where it stands alone.
    pub like: LikeParts,
    /// LIKE among columns: the table and what is to be taken over. A column called
    /// [`like_mark`] is in its place.
    pub likes: Vec<(Target, LikeParts)>,
    /// WITH NO DATA: the query gives the columns only.
    pub no_data: bool,
}

/// INCLUDING and EXCLUDING behind LIKE.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LikeParts {
    /// What is to be taken over, in lower case: `all`, `defaults`, `constraints`, ….
    pub including: Vec<String>,
    /// What is not.
    pub excluding: Vec<String>,
}

/// The column that stands for a LIKE among others.
#[must_use]
pub fn like_mark(at: usize) -> String {
    format!("tarn like {at}")
}

/// CREATE STORAGE.
#[derive(Clone, PartialEq, Eq)]
pub struct NewStorage {
    /// The folded name.
    pub name: String,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// OR REPLACE.
    pub or_replace: bool,
    /// TYPE: s3, gcs, azure, http.
    pub kind: String,
    /// SCOPE: the beginning of the URLs that it is for.
    pub scope: String,
    /// OPTIONS, secrets among them.
    pub options: Vec<(String, String)>,
}

impl std::fmt::Debug for NewStorage {
    /// Without the values of options, which are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.options.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("NewStorage")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("scope", &self.scope)
            .field("options", &names)
            .finish_non_exhaustive()
    }
}

/// ALTER STORAGE.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageChange {
    /// The folded name.
    pub name: String,
    /// SCOPE.
    pub scope: Option<String>,
    /// Options that are set; `None` takes one away.
    pub options: Vec<(String, Option<String>)>,
    /// RENAME TO.
    pub rename_to: Option<String>,
}

impl std::fmt::Debug for StorageChange {
    /// Without the values of options, which are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StorageChange").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether the next statement is a CREATE TABLE.
pub(super) fn is_create_table(parser: &Parser<'_>) -> bool {
    const WORDS_BEFORE_MAX: usize = 5;
    for n in 1..=WORDS_BEFORE_MAX {
        match peek_word(parser, n).as_deref() {
            Some("table") => return true,
            Some(
                "or" | "replace" | "global" | "local" | "temp" | "temporary" | "unlogged"
                | "external",
            ) => {}
            _ => return false,
        }
    }
    false
}

/// CREATE TABLE, with its clauses in a [`TableClauses`].
pub(super) fn create_table(parser: &mut Parser<'_>) -> Result<Parsed> {
    let mut kept = Vec::new();
    let mut clauses = TableClauses::default();
    loop {
        let is_table = peek_word(parser, 0).as_deref() == Some("table");
        // A table of files is external wherever it is, and every table is as safe as its storage, so
        // the words say nothing.
        let is_empty = matches!(peek_word(parser, 0).as_deref(), Some("external" | "unlogged"));
        let token = parser.next_token();
        if !is_empty {
            kept.push(token);
        }
        if is_table {
            break;
        }
    }
    if words_ahead(parser, &["if", "not", "exists"]) {
        kept.extend((0..3).map(|_| parser.next_token()));
    }
    loop {
        kept.push(parser.next_token());
        if parser.peek_token_ref().token != Token::Period {
            break;
        }
        kept.push(parser.next_token());
    }
    clauses.names = names_alone(parser)?;
    body(parser, &mut kept, &mut clauses)?;
    let ast = reparse(kept)?;
    Ok((ast, Command::Define(Define::CreateTable(Box::new(clauses)))))
}

/// Takes `(a, b)`, columns without types, which the parser below does not know.
fn names_alone(parser: &mut Parser<'_>) -> Result<Vec<String>> {
    if parser.peek_token_ref().token != Token::LParen {
        return Ok(vec![]);
    }
    let mut at = 1;
    loop {
        let is_name = matches!(parser.peek_nth_token_ref(at).token, Token::Word(_));
        match (&parser.peek_nth_token_ref(at + 1).token, is_name) {
            (Token::Comma, true) => at += 2,
            (Token::RParen, true) => break,
            _ => return Ok(vec![]),
        }
    }
    name_list(parser)
}

/// Everything behind the name of a new table.
fn body(
    parser: &mut Parser<'_>,
    kept: &mut Vec<TokenWithSpan>,
    clauses: &mut TableClauses,
) -> Result<()> {
    let mut depth = 0_usize;
    loop {
        if depth == 0 && clause(parser, clauses)? {
            continue;
        }
        if depth == 1 && like_option(parser, &mut clauses.like) {
            continue;
        }
        if depth == 1 && like_among(parser, kept, clauses)? {
            continue;
        }
        let query = depth == 0 && peek_word(parser, 0).as_deref() == Some("as");
        let rely = depth == 1 && peek_word(parser, 0).as_deref() == Some("rely");
        let token = parser.next_token();
        match token.token {
            Token::EOF => return Ok(()),
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        if rely && follows_constraint(kept) {
            kept.extend(rely_tokens(&token));
            continue;
        }
        kept.push(token);
        if query {
            while parser.peek_token_ref().token != Token::EOF {
                kept.push(parser.next_token());
            }
            clauses.no_data = with_data(kept) == Some(false);
            return Ok(());
        }
    }
}

/// Takes `WITH DATA` and `WITH NO DATA` from the end of a query.
fn with_data(kept: &mut Vec<TokenWithSpan>) -> Option<bool> {
    let is = |from_end: usize, expected: &str| {
        let token = kept.len().checked_sub(from_end).and_then(|at| kept.get(at));
        matches!(token.map(|token| &token.token), Some(Token::Word(word))
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
    };
    let has_data = is(1, "data") && is(2, "with");
    let has_none = is(1, "data") && is(2, "no") && is(3, "with");
    let n_words = match (has_data, has_none) {
        (true, _) => 2,
        (_, true) => 3,
        _ => return None,
    };
    kept.truncate(kept.len().saturating_sub(n_words));
    Some(has_data)
}

/// Takes `INCLUDING ALL` and its kin, of which the parser below knows two.
fn like_option(parser: &mut Parser<'_>, parts: &mut LikeParts) -> bool {
    let (Some(word), Some(what)) = (peek_word(parser, 0), peek_word(parser, 1)) else {
        return false;
    };
    let list = match word.as_str() {
        "including" => &mut parts.including,
        "excluding" => &mut parts.excluding,
        _ => return false,
    };
    let known = [
        "all",
        "comments",
        "compression",
        "constraints",
        "defaults",
        "generated",
        "identity",
        "indexes",
        "statistics",
        "storage",
    ];
    if !known.contains(&what.as_str()) {
        return false;
    }
    list.push(what);
    parser.next_token();
    parser.next_token();
    true
}

/// Takes `LIKE t INCLUDING …` among columns, which the parser below knows alone only: a column with
/// a name of its own stands for it.
fn like_among(
    parser: &mut Parser<'_>,
    kept: &mut Vec<TokenWithSpan>,
    clauses: &mut TableClauses,
) -> Result<bool> {
    let begins =
        matches!(kept.last().map(|token| &token.token), Some(Token::LParen | Token::Comma));
    if !begins || peek_word(parser, 0).as_deref() != Some("like") {
        return Ok(false);
    }
    let is_first = kept.last().is_some_and(|token| token.token == Token::LParen);
    let like = parser.next_token();
    let from = kept.len();
    kept.push(like.clone());
    loop {
        kept.push(parser.next_token());
        if parser.peek_token_ref().token != Token::Period {
            break;
        }
        kept.push(parser.next_token());
    }
    let mut parts = LikeParts::default();
    while like_option(parser, &mut parts) {}
    if is_first && parser.peek_token_ref().token == Token::RParen {
        clauses.like = parts;
        return Ok(true);
    }
    let dialect = TarnDialect::default();
    let name: Vec<TokenWithSpan> = kept.drain(from..).skip(1).collect();
    let name = Parser::new(&dialect).with_tokens_with_locations(name).parse_object_name(false)?;
    let mark = like_mark(clauses.likes.len());
    kept.push(TokenWithSpan::new(Token::make_word(&mark, Some('"')), like.span));
    kept.push(TokenWithSpan::new(Token::make_keyword("INT"), like.span));
    clauses.likes.push((target_of(&name)?, parts));
    Ok(true)
}

/// RELY stands behind what a constraint says, and may be a column's name elsewhere.
fn follows_constraint(kept: &[TokenWithSpan]) -> bool {
    match kept.last().map(|token| &token.token) {
        Some(Token::RParen) => true,
        Some(Token::Word(word)) => {
            ["enforced", "key", "unique"].contains(&word.value.to_lowercase().as_str())
        }
        _ => false,
    }
}

/// The parser below has no RELY: `NOT DEFERRABLE INITIALLY DEFERRED`, which contradicts itself and
/// means nothing in PostgreSQL, carries it.
pub(super) fn rely_tokens(at: &TokenWithSpan) -> impl Iterator<Item = TokenWithSpan> {
    ["NOT", "DEFERRABLE", "INITIALLY", "DEFERRED"]
        .map(|word| TokenWithSpan::new(Token::make_keyword(word), at.span))
        .into_iter()
}

/// Reads a statement from tokens that keep their places in the text.
pub(super) fn reparse(tokens: Vec<TokenWithSpan>) -> Result<Ast> {
    let dialect = TarnDialect::default();
    let n_levels = ParseLimits::default().n_nesting_max.saturating_mul(4);
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(n_levels).with_tokens_with_locations(tokens);
    let ast = parser.parse_statement()?;
    match parser.peek_token_ref().token {
        Token::EOF => Ok(ast),
        _ => Err(unexpected(&parser)),
    }
}

fn words_ahead(parser: &Parser<'_>, expected: &[&str]) -> bool {
    let same = |(n, word): (usize, &&str)| peek_word(parser, n).as_deref() == Some(*word);
    expected.iter().enumerate().all(same)
}

/// Takes one of tarn's own clauses; whether there was one.
fn clause(parser: &mut Parser<'_>, clauses: &mut TableClauses) -> Result<bool> {
    let Some(first) = peek_word(parser, 0) else { return Ok(false) };
    let next = parser.peek_nth_token_ref(1).token.clone();
    let is_text = matches!(next, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_));
    let is_list = next == Token::LParen;
    match first.as_str() {
        "using" if matches!(next, Token::Word(_)) => {
            parser.next_token();
            once(clauses.using.is_some(), "USING")?;
            clauses.using = Some(name(parser)?.to_lowercase());
        }
        "partitioned" if peek_word(parser, 1).as_deref() == Some("by") => {
            parser.next_token();
            parser.next_token();
            once(!clauses.partitioned_by.is_empty(), "PARTITIONED BY")?;
            clauses.partitioned_by = name_list(parser)?;
        }
        "location" if is_text => {
            parser.next_token();
            once(clauses.location.is_some(), "LOCATION")?;
            clauses.location = string(parser);
        }
        "comment" if is_text => {
            parser.next_token();
            once(clauses.comment.is_some(), "COMMENT")?;
            clauses.comment = string(parser);
        }
        "options" if is_list => {
            parser.next_token();
            clauses.options.extend(pairs(parser)?);
        }
        "tblproperties" if is_list => {
            parser.next_token();
            clauses.properties.extend(pairs(parser)?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn once(given: bool, clause: &str) -> Result<()> {
    if given { Err(semantics("42601", format!("{clause} is given twice"))) } else { Ok(()) }
}

/// `(a, b)`.
fn name_list(parser: &mut Parser<'_>) -> Result<Vec<String>> {
    parser.expect_token(&Token::LParen)?;
    let mut names = Vec::new();
    loop {
        names.push(name(parser)?);
        if parser.consume_token(&Token::RParen) {
            return Ok(names);
        }
        if parser.peek_token_ref().token == Token::LParen {
            let what = "PARTITIONED BY an expression".to_owned();
            let hint = Some("Make a generated column of it and partition by that.".to_owned());
            return Err(crate::error::PlannerError::Unsupported { what, hint }.into());
        }
        parser.expect_token(&Token::Comma)?;
    }
}

/// `(key 'value', 'key' = value, a.b.c = true)`.
fn pairs(parser: &mut Parser<'_>) -> Result<Vec<(String, String)>> {
    parser.expect_token(&Token::LParen)?;
    let mut pairs = Vec::new();
    if parser.consume_token(&Token::RParen) {
        return Ok(pairs);
    }
    loop {
        let key = key(parser)?;
        let _ = parser.consume_token(&Token::Eq);
        pairs.push((key, value(parser)?));
        if parser.consume_token(&Token::RParen) {
            return Ok(pairs);
        }
        parser.expect_token(&Token::Comma)?;
    }
}

/// `('a', b.c)`.
fn keys(parser: &mut Parser<'_>) -> Result<Vec<String>> {
    parser.expect_token(&Token::LParen)?;
    let mut keys = vec![key(parser)?];
    while parser.consume_token(&Token::Comma) {
        keys.push(key(parser)?);
    }
    parser.expect_token(&Token::RParen)?;
    Ok(keys)
}

/// The name of an option: a text, or words with points between them, whose case is kept.
fn key(parser: &mut Parser<'_>) -> Result<String> {
    if let Some(text) = string(parser) {
        return Ok(text);
    }
    let mut key = super::identifier(parser)?.value;
    while parser.consume_token(&Token::Period) {
        key.push('.');
        key.push_str(&super::identifier(parser)?.value);
    }
    Ok(key)
}

fn value(parser: &mut Parser<'_>) -> Result<String> {
    if let Some(text) = string(parser) {
        return Ok(text);
    }
    let negative = parser.consume_token(&Token::Minus);
    match parser.peek_token_ref().token.clone() {
        Token::Number(digits, _) => {
            parser.next_token();
            Ok(if negative { format!("-{digits}") } else { digits })
        }
        Token::Word(word) if !negative => {
            parser.next_token();
            Ok(word.value)
        }
        _ => Err(unexpected(parser)),
    }
}

/// `ALTER TABLE t SET TBLPROPERTIES (…)`, `RESET` and `UNSET TBLPROPERTIES`; `None` for the other
/// forms of ALTER TABLE.
pub(super) fn alter_table(parser: &mut Parser<'_>) -> Option<Result<Parsed>> {
    let mut at = 2;
    let mut if_exists = false;
    if peek_word(parser, at).as_deref() == Some("if") {
        at += 2;
        if_exists = true;
    }
    if peek_word(parser, at).as_deref() == Some("only") {
        at += 1;
    }
    let start = at;
    at += 1;
    while parser.peek_nth_token_ref(at).token == Token::Period {
        at += 2;
    }
    let verb = peek_word(parser, at)?;
    if verb == "alter" && drops_expression(parser, at + 1) {
        for _ in 0..start {
            parser.next_token();
        }
        return Some(drop_expression(parser, if_exists));
    }
    let what = peek_word(parser, at + 1)?;
    match (verb.as_str(), what.as_str()) {
        ("set" | "reset" | "unset", "tblproperties") => {}
        ("set", "schema") => {}
        _ => return None,
    }
    for _ in 0..start {
        parser.next_token();
    }
    Some(alter_clause(parser, if_exists))
}

/// Whether `[COLUMN] c DROP EXPRESSION` stands ahead.
fn drops_expression(parser: &Parser<'_>, mut at: usize) -> bool {
    if peek_word(parser, at).as_deref() == Some("column") {
        at += 1;
    }
    peek_word(parser, at + 1).as_deref() == Some("drop")
        && peek_word(parser, at + 2).as_deref() == Some("expression")
}

fn drop_expression(parser: &mut Parser<'_>, if_exists: bool) -> Result<Parsed> {
    let table = target_of(&parser.parse_object_name(false)?)?;
    parser.next_token();
    let _ = word(parser, "column");
    let column = name(parser)?;
    expect_word(parser, "drop")?;
    expect_word(parser, "expression")?;
    let lenient = words(parser, &["if", "exists"]);
    let define = Define::DropExpression { table, if_exists, column, lenient };
    Ok((nothing(), Command::Define(define)))
}

fn alter_clause(parser: &mut Parser<'_>, if_exists: bool) -> Result<Parsed> {
    let table = target_of(&parser.parse_object_name(false)?)?;
    let set = word(parser, "set");
    if !set {
        parser.next_token();
    }
    if word(parser, "schema") {
        let schema = name(parser)?;
        return Ok((nothing(), Command::Define(Define::SetSchema { table, if_exists, schema })));
    }
    expect_word(parser, "tblproperties")?;
    let properties = if set {
        pairs(parser)?.into_iter().map(|(key, value)| (key, Some(value))).collect()
    } else {
        let _ = words(parser, &["if", "exists"]);
        keys(parser)?.into_iter().map(|key| (key, None)).collect()
    };
    Ok((nothing(), Command::Define(Define::SetProperties { table, if_exists, properties })))
}

/// CREATE, ALTER and DROP of STORAGE, DATABASE and (ALTER only) SCHEMA.
pub(super) fn other(parser: &mut Parser<'_>) -> Result<Parsed> {
    let verb = peek_word(parser, 0).unwrap_or_default();
    parser.next_token();
    let or_replace = words(parser, &["or", "replace"]);
    let kind = peek_word(parser, 0).unwrap_or_default();
    parser.next_token();
    let define = match (verb.as_str(), kind.as_str()) {
        ("create", "storage") => create_storage(parser, or_replace)?,
        ("alter", "storage") => alter_storage(parser)?,
        ("drop", "storage") => {
            let if_exists = words(parser, &["if", "exists"]);
            let mut names = vec![name(parser)?];
            while parser.consume_token(&Token::Comma) {
                names.push(name(parser)?);
            }
            Define::DropStorage { names, if_exists }
        }
        ("create", "database") => {
            let if_not_exists = words(parser, &["if", "not", "exists"]);
            let name = name(parser)?;
            // ENCODING, TEMPLATE, LC_COLLATE and so on, which scripts write and have no meaning.
            super::skip_rest(parser);
            Define::CreateDatabase { name, if_not_exists }
        }
        ("drop", "database") => {
            let if_exists = words(parser, &["if", "exists"]);
            let name = name(parser)?;
            super::skip_rest(parser);
            Define::DropDatabase { name, if_exists }
        }
        ("alter", "database") => {
            let old = name(parser)?;
            expect_word(parser, "rename")?;
            expect_word(parser, "to")?;
            Define::RenameDatabase { old, new: name(parser)? }
        }
        _ => {
            let old = name(parser)?;
            expect_word(parser, "rename")?;
            expect_word(parser, "to")?;
            Define::RenameSchema { old, new: name(parser)? }
        }
    };
    Ok((nothing(), Command::Define(define)))
}

/// `name TYPE s3 SCOPE 's3://bucket/prefix' OPTIONS (…)`, the clauses in any order.
fn create_storage(parser: &mut Parser<'_>, or_replace: bool) -> Result<Define> {
    let if_not_exists = words(parser, &["if", "not", "exists"]);
    let name = name(parser)?;
    let (mut kind, mut scope, mut options) = (None, None, Vec::new());
    while parser.peek_token_ref().token != Token::EOF {
        if word(parser, "type") {
            kind = Some(super::name(parser)?.to_lowercase());
        } else if word(parser, "scope") {
            scope = Some(string(parser).ok_or_else(|| unexpected(parser))?);
        } else if word(parser, "options") {
            options.extend(pairs(parser)?);
        } else {
            return Err(unexpected(parser));
        }
    }
    let missing = |clause: &str| -> GrammarError {
        semantics("42601", format!("CREATE STORAGE needs {clause}"))
    };
    let kind = kind.ok_or_else(|| missing("TYPE"))?;
    let scope = scope.ok_or_else(|| missing("SCOPE"))?;
    let new = NewStorage { name, if_not_exists, or_replace, kind, scope, options };
    Ok(Define::CreateStorage(Box::new(new)))
}

/// `name [SET] OPTIONS (…) | RESET OPTIONS (…) | SCOPE '…' | RENAME TO other`.
fn alter_storage(parser: &mut Parser<'_>) -> Result<Define> {
    let name = name(parser)?;
    let mut change = StorageChange { name, scope: None, options: vec![], rename_to: None };
    while parser.peek_token_ref().token != Token::EOF {
        let reset = word(parser, "reset");
        if !reset {
            word(parser, "set");
        }
        if word(parser, "options") {
            if reset {
                change.options.extend(keys(parser)?.into_iter().map(|key| (key, None)));
            } else {
                let pairs = pairs(parser)?.into_iter();
                change.options.extend(pairs.map(|(key, value)| (key, Some(value))));
            }
        } else if word(parser, "scope") {
            change.scope = Some(string(parser).ok_or_else(|| unexpected(parser))?);
        } else if words(parser, &["rename", "to"]) {
            change.rename_to = Some(super::name(parser)?);
        } else {
            return Err(unexpected(parser));
        }
    }
    Ok(Define::AlterStorage(Box::new(change)))
}
