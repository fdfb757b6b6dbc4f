//! Functions in FROM that read the past of a table.
//!
//! ```text
//! FROM table_changes('t', 2, 5) AS c     FROM "table_changes(t, 2, 5)" AS c
//! FROM table_diff('s.t', 2, '2026-01-31')
//! FROM table_history('t')
//! ```
//! Their first argument names a table, as a text or as a name; the others are version numbers or
//! times. All have to be constants: the relation is bound before the rest of the query is planned.

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, TableFactor, TableFunctionArgs, UnaryOperator, Value,
};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token};

use super::relations::timestamp_text;
use crate::dialect::TarnDialect;
use crate::error::{PlannerError, Result};
use crate::statement::fold;

/// What is read of a table's past.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TableCall {
    /// `table_changes`: the change data feed.
    Changes {
        /// The first version.
        from: PointSpec,
        /// The last version; the newest one where it is left out.
        to: Option<PointSpec>,
    },
    /// `table_diff`: two versions compared.
    Diff {
        /// The version whose rows are `delete`.
        from: PointSpec,
        /// The version whose rows are `insert`.
        to: PointSpec,
    },
    /// `table_history`: a row for each version.
    History,
}

/// A version as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PointSpec {
    /// A number.
    Version(u64),
    /// A time as text.
    Timestamp(String),
}

/// A call and the table that it names.
pub(super) struct Named {
    pub(super) call: TableCall,
    /// The parts of the table's name.
    pub(super) table: Vec<Ident>,
    /// The function's name.
    pub(super) function: String,
    /// The call in one text, which tells it from others.
    pub(super) key: String,
    pub(super) location: Location,
}

/// Reads a call; `None` for FROM items of another kind.
pub(super) fn read(factor: &TableFactor) -> Result<Option<Named>> {
    let TableFactor::Table { name, args: Some(args), with_ordinality, .. } = factor else {
        return Ok(None);
    };
    let [part] = name.0.as_slice() else { return Ok(None) };
    let Some(ident) = part.as_ident() else { return Ok(None) };
    let function = fold(ident);
    if !matches!(function.as_str(), "table_changes" | "table_diff" | "table_history") {
        return Ok(None);
    }
    if *with_ordinality {
        return Err(PlannerError::unsupported(format!("WITH ORDINALITY on {function}")));
    }
    let args = plain(args).ok_or_else(|| misused(&function))?;
    let Some((table, points)) = args.split_first() else { return Err(misused(&function)) };
    let points = points.iter().map(point).collect::<Result<Vec<_>>>()?;
    let mut points = points.into_iter();
    let call = match (function.as_str(), points.next(), points.next(), points.next()) {
        ("table_changes", Some(from), to, None) => TableCall::Changes { from, to },
        ("table_diff", Some(from), Some(to), None) => TableCall::Diff { from, to },
        ("table_history", None, None, None) => TableCall::History,
        _ => return Err(misused(&function)),
    };
    let written: Vec<String> = args.iter().map(ToString::to_string).collect();
    let key = format!("{function}({})", written.join(", "));
    let table = table_name(table).ok_or_else(|| misused(&function))?;
    let location = match table.first().map(|ident| ident.span.start) {
        Some(location) if location.line > 0 => location,
        _ => ident.span.start,
    };
    Ok(Some(Named { call, table, function, key, location }))
}

fn misused(function: &str) -> PlannerError {
    let arguments = match function {
        "table_changes" => "a table, the first version and perhaps the last one",
        "table_diff" => "a table and two versions",
        _ => "a table",
    };
    PlannerError::Semantics {
        code: "42883",
        message: format!("{function} takes {arguments}"),
        position: None,
    }
}

fn plain(args: &TableFunctionArgs) -> Option<Vec<Expr>> {
    let plain = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    args.args.iter().map(plain).collect()
}

/// `t`, `s.t`, `'s.t'` and `'s."T"'`.
fn table_name(expr: &Expr) -> Option<Vec<Ident>> {
    match expr {
        Expr::Identifier(ident) => Some(vec![ident.clone()]),
        Expr::CompoundIdentifier(parts) => Some(parts.clone()),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => {
                // Places in the text inside of a literal say nothing.
                let parts = identifiers(text)?.into_iter();
                Some(parts.map(|part| Ident { span: value.span, ..part }).collect())
            }
            _ => None,
        },
        _ => None,
    }
}

fn identifiers(text: &str) -> Option<Vec<Ident>> {
    let dialect = TarnDialect::default();
    let mut parser = Parser::new(&dialect).try_with_sql(text).ok()?;
    let name = parser.parse_object_name(false).ok()?;
    parser.expect_token(&Token::EOF).ok()?;
    Some(name.0.iter().filter_map(|part| part.as_ident().cloned()).collect())
}

/// The folded parts of a name in a text; `None` for a text that is no name.
#[must_use]
pub fn name_parts(text: &str) -> Option<Vec<String>> {
    Some(identifiers(text)?.iter().map(fold).collect())
}

/// A version number or a time.
pub(crate) fn point(expr: &Expr) -> Result<PointSpec> {
    if let Expr::UnaryOp { op: UnaryOperator::Minus, .. } = expr {
        return Err(not_a_version(expr));
    }
    if let Expr::Value(value) = expr
        && let Value::Number(digits, _) = &value.value
    {
        return digits.parse().map(PointSpec::Version).map_err(|_| not_a_version(expr));
    }
    timestamp_text(expr).map(PointSpec::Timestamp).map_err(|_| PlannerError::Unsupported {
        what: format!("{expr} as a version"),
        hint: Some("Write a version number or a time as a literal.".to_owned()),
    })
}

fn not_a_version(expr: &Expr) -> PlannerError {
    PlannerError::Semantics {
        code: "22003",
        message: format!("{expr} is not a version number"),
        position: None,
    }
}
