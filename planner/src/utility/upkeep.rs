//! OPTIMIZE, VACUUM, RESTORE, ANALYZE: what keeps lake tables in shape.
//!
//! ```text
//! OPTIMIZE t [WHERE condition on partition columns] [ZORDER BY (a, b)]
//! VACUUM [(…)] t [, u] [RETAIN n HOURS] [DRY RUN]
//! RESTORE [TABLE] t TO VERSION AS OF 3 | TIMESTAMP AS OF '2026-01-31'
//! ANALYZE [VERBOSE] t [(a, b)] [, u]
//! ```

use sqlparser::ast::{
    Expr, ObjectName, SelectItem, SetExpr, Statement as Ast, TableWithJoins, Value,
    WildcardAdditionalOptions,
};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::{
    Parsed, Result, expect_word, name, nothing, semantics, table_factor, unexpected, word, words,
};
use crate::error::PlannerError;
use crate::rewrite::PointSpec;
use crate::statement::{Command, Maintain};
use crate::write::{Target, target_of};

/// The first words of the statements that are read here.
pub(super) const STATEMENTS: &[&str] =
    &["optimize", "vacuum", "restore", "analyze", "analyse", "checkpoint"];

/// What is done to a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Upkeep {
    /// OPTIMIZE; the statement's tree is `SELECT * FROM table WHERE condition`.
    Optimize {
        /// The table.
        table: Target,
        /// The columns to order by, folded; none to merge small files only.
        z_order: Vec<String>,
    },
    /// VACUUM.
    Vacuum {
        /// The tables; perhaps none.
        tables: Vec<Target>,
        /// How long files are kept that no version needs; the table's own time where left out.
        retain_hours: Option<f64>,
        /// Only lists what would be deleted.
        dry_run: bool,
        /// ANALYZE comes after it.
        analyze: bool,
    },
    /// RESTORE.
    Restore {
        /// The table.
        table: Target,
        /// The version to go back to.
        to: PointSpec,
    },
    /// ANALYZE; of each table the columns, all of them where none is named.
    Analyze(Vec<(Target, Vec<String>)>),
}

impl Upkeep {
    /// The statement's first word.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Optimize { .. } => "OPTIMIZE",
            Self::Vacuum { .. } => "VACUUM",
            Self::Restore { .. } => "RESTORE",
            Self::Analyze(_) => "ANALYZE",
        }
    }

    /// The tables that it names.
    #[must_use]
    pub fn tables(&self) -> Vec<&Target> {
        match self {
            Self::Optimize { table, .. } | Self::Restore { table, .. } => vec![table],
            Self::Vacuum { tables, .. } => tables.iter().collect(),
            Self::Analyze(tables) => tables.iter().map(|(table, _)| table).collect(),
        }
    }
}

pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Parsed> {
    let first = super::peek_word(parser, 0).unwrap_or_default();
    parser.next_token();
    let (ast, upkeep) = match first.as_str() {
        "optimize" => optimize(parser)?,
        "vacuum" => (nothing(), vacuum(parser)?),
        "restore" => (nothing(), restore(parser)?),
        "analyze" | "analyse" => (nothing(), analyze(parser)?),
        _ => {
            let maintain = Maintain { verb: "CHECKPOINT", tables: vec![] };
            return Ok((nothing(), Command::Maintain(maintain)));
        }
    };
    at_end(parser)?;
    Ok((ast, Command::Upkeep(Box::new(upkeep))))
}

fn at_end(parser: &Parser<'_>) -> Result<()> {
    match parser.peek_token_ref().token {
        Token::EOF => Ok(()),
        _ => Err(unexpected(parser)),
    }
}

fn optimize(parser: &mut Parser<'_>) -> Result<(Ast, Upkeep)> {
    word(parser, "table");
    let table = parser.parse_object_name(false)?;
    let condition = if word(parser, "where") { Some(parser.parse_expr()?) } else { None };
    let mut z_order = Vec::new();
    if words(parser, &["zorder", "by"]) || words(parser, &["z", "order", "by"]) {
        let parentheses = parser.consume_token(&Token::LParen);
        loop {
            z_order.push(name(parser)?);
            if !parser.consume_token(&Token::Comma) {
                break;
            }
        }
        if parentheses {
            parser.expect_token(&Token::RParen)?;
        }
    }
    let target = target_of(&table)?;
    Ok((rows_where(table, condition), Upkeep::Optimize { table: target, z_order }))
}

/// `SELECT * FROM table WHERE condition`.
fn rows_where(table: ObjectName, condition: Option<Expr>) -> Ast {
    let star = SelectItem::Wildcard(WildcardAdditionalOptions::default());
    let from = TableWithJoins { relation: table_factor(table), joins: vec![] };
    let mut query = crate::write::select_query(vec![star], from);
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.selection = condition;
    }
    Ast::Query(query)
}

/// Takes the options of PostgreSQL's form, which have no meaning here.
fn options_in_parentheses(parser: &mut Parser<'_>) -> Result<bool> {
    let mut analyze = false;
    if !parser.consume_token(&Token::LParen) {
        return Ok(analyze);
    }
    while !parser.consume_token(&Token::RParen) {
        analyze |= super::peek_word(parser, 0).as_deref() == Some("analyze");
        if parser.next_token().token == Token::EOF {
            parser.prev_token();
            return Err(unexpected(parser));
        }
    }
    Ok(analyze)
}

fn vacuum(parser: &mut Parser<'_>) -> Result<Upkeep> {
    let mut analyze = options_in_parentheses(parser)?;
    for option in ["full", "freeze", "verbose"] {
        word(parser, option);
    }
    analyze |= word(parser, "analyze");
    let at_options = ["retain", "dry"].contains(&&*super::peek_word(parser, 0).unwrap_or_default())
        && super::peek_word(parser, 1).is_none_or(|next| next == "run");
    let tables = if at_options || at_end(parser).is_ok() { vec![] } else { tables(parser)? };
    let (mut retain_hours, mut dry_run) = (None, false);
    loop {
        if retain_hours.is_none() && word(parser, "retain") {
            retain_hours = Some(hours(parser)?);
        } else if !dry_run && words(parser, &["dry", "run"]) {
            dry_run = true;
        } else {
            break;
        }
    }
    if tables.is_empty() && (dry_run || retain_hours.is_some()) {
        return Err(unexpected(parser));
    }
    let tables = tables.into_iter().map(|(table, _)| table).collect();
    Ok(Upkeep::Vacuum { tables, retain_hours, dry_run, analyze })
}

/// `168 HOURS`.
fn hours(parser: &mut Parser<'_>) -> Result<f64> {
    let Token::Number(digits, _) = &parser.peek_token_ref().token else {
        return Err(unexpected(parser));
    };
    let hours = digits.parse::<f64>().ok().filter(|hours| hours.is_finite());
    let Some(hours) = hours else {
        return Err(semantics("22003", format!("RETAIN {digits} HOURS is out of range")));
    };
    parser.next_token();
    if !word(parser, "hour") {
        expect_word(parser, "hours")?;
    }
    Ok(hours)
}

fn restore(parser: &mut Parser<'_>) -> Result<Upkeep> {
    word(parser, "table");
    let table = target_of(&parser.parse_object_name(false)?)?;
    expect_word(parser, "to")?;
    let numbered = word(parser, "version");
    if !numbered {
        expect_word(parser, "timestamp")?;
    }
    expect_word(parser, "as")?;
    expect_word(parser, "of")?;
    let expr = parser.parse_expr()?;
    let is_number =
        matches!(&expr, Expr::Value(value) if matches!(value.value, Value::Number(_, _)));
    let to = crate::rewrite::calls::point(&expr)?;
    if numbered != is_number {
        let form = if numbered { "VERSION AS OF takes a number" } else { "write the time as text" };
        return Err(PlannerError::Unsupported {
            what: format!("RESTORE … AS OF {expr}"),
            hint: Some(format!("{form}.")),
        }
        .into());
    }
    Ok(Upkeep::Restore { table, to })
}

fn analyze(parser: &mut Parser<'_>) -> Result<Upkeep> {
    options_in_parentheses(parser)?;
    word(parser, "verbose");
    // Spark writes ANALYZE TABLE t COMPUTE STATISTICS.
    word(parser, "table");
    if at_end(parser).is_ok() {
        return Ok(Upkeep::Analyze(vec![]));
    }
    let tables = tables(parser)?;
    if words(parser, &["compute", "statistics"]) {
        words(parser, &["for", "all", "columns"]);
    }
    Ok(Upkeep::Analyze(tables))
}

/// Tables with the columns that stand behind them in parentheses.
fn tables(parser: &mut Parser<'_>) -> Result<Vec<(Target, Vec<String>)>> {
    let mut tables = Vec::new();
    loop {
        word(parser, "only");
        let table = target_of(&parser.parse_object_name(false)?)?;
        let _ = parser.consume_token(&Token::Mul);
        let mut columns = Vec::new();
        if parser.consume_token(&Token::LParen) {
            loop {
                columns.push(name(parser)?);
                if !parser.consume_token(&Token::Comma) {
                    break;
                }
            }
            parser.expect_token(&Token::RParen)?;
        }
        tables.push((table, columns));
        if !parser.consume_token(&Token::Comma) {
            return Ok(tables);
        }
    }
}
