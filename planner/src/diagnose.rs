//! Makes typed errors with positions out of DataFusion's.

pub(crate) mod aliases;

use std::ops::ControlFlow;

use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use sqlparser::ast::{Expr, TableFactor};
use sqlparser::tokenizer::Location;

use self::aliases::Clause;
use crate::error::PlannerError;
use crate::parser::char_offset;
use crate::rewrite::strip_suffix;
use crate::statement::{Statement, fold};
use crate::walk::{self, Reader};

/// Types an error of DataFusion's planner.
pub(crate) fn diagnose(error: DataFusionError, statement: &Statement) -> PlannerError {
    let position = span_of(&error).map(|at| char_offset(statement.source(), at) + 1);
    if let Some(found) = own_error(&error, statement) {
        return found;
    }
    if let DataFusionError::SchemaError(schema_error, _) = error.find_root()
        && let Some(error) = schema_failure(schema_error, position, statement)
    {
        return error;
    }
    let text = error.find_root().message().into_owned();
    if let Some(name) = between(&text, "Invalid function '", "'") {
        let position = position.or_else(|| function_position(statement, name));
        return PlannerError::UndefinedFunction { name: name.to_owned(), position };
    }
    if let Some(name) = between(&text, "table function '", "'") {
        let position = position.or_else(|| function_position(statement, name));
        return PlannerError::UndefinedFunction { name: name.to_owned(), position };
    }
    if let Some(name) = no_match(&text) {
        let position = position.or_else(|| function_position(statement, base_name(&name)));
        return PlannerError::UndefinedFunction { name, position };
    }
    if let Some(relation) = text.strip_prefix("Invalid qualifier ") {
        return missing_relation(relation, position, statement);
    }
    if let Some(("42803", column)) = grouping(&text)
        && let Some(column) = between(&column, "column \"", "\" must")
        && let Some(error) = aliases::undefined(statement, Clause::Having(column))
    {
        return error;
    }
    match semantics(&text) {
        Some((code, message)) => PlannerError::Semantics { code, message, position },
        None => PlannerError::Engine(Box::new(error)),
    }
}

/// An error of tarn's own that went through the engine, with its place in the text.
fn own_error(error: &DataFusionError, statement: &Statement) -> Option<PlannerError> {
    let DataFusionError::External(inner) = error.find_root() else { return None };
    match inner.downcast_ref::<PlannerError>()? {
        PlannerError::UndefinedFunction { name, position } => {
            let position = position.or_else(|| function_position(statement, base_name(name)));
            Some(PlannerError::UndefinedFunction { name: name.clone(), position })
        }
        PlannerError::Semantics { code, message, position } => {
            let undefined = message
                .strip_prefix("function ")
                .and_then(|rest| rest.strip_suffix(" does not exist"))
                .filter(|_| *code == "42883");
            Some(match undefined {
                Some(name) => {
                    let place = function_position(statement, base_name(name));
                    let position = position.or(place);
                    PlannerError::UndefinedFunction { name: name.to_owned(), position }
                }
                None => {
                    PlannerError::Semantics { code, message: message.clone(), position: *position }
                }
            })
        }
        _ => None,
    }
}

/// The name of a function in front of the types of its arguments.
fn base_name(name: &str) -> &str {
    name.split_once('(').map_or(name, |(name, _)| name)
}

/// `length(integer, integer)` from "… argument types 'character_length(Int32, Int32)'. …".
fn no_match(text: &str) -> Option<String> {
    let call = between(text, "given name and argument types '", "'")?;
    let (name, types) = call.split_once('(')?;
    let name = if name == "character_length" { "length" } else { name };
    Some(format!("{name}({})", type_names(types.strip_suffix(')')?)?))
}

/// PostgreSQL's names for the engine's, separated by commas outside of parentheses.
fn type_names(types: &str) -> Option<String> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    let ends = types.char_indices().filter_map(|(at, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => return Some(at),
            _ => {}
        }
        None
    });
    for end in ends.collect::<Vec<_>>().into_iter().chain([types.len()]) {
        let one = types.get(start..end)?.trim();
        start = end + 1;
        if !one.is_empty() {
            names.push(type_name(one)?);
        }
    }
    Some(names.join(", "))
}

fn type_name(text: &str) -> Option<String> {
    text.trim().parse().ok().map(|data_type| crate::analyzer::name_of_type(&data_type))
}

/// 42P01 for a relation that the query does not have, or has under another name.
fn missing_relation(
    relation: &str,
    position: Option<usize>,
    statement: &Statement,
) -> PlannerError {
    let position = position.or_else(|| {
        find(statement, |expr| match expr {
            Expr::CompoundIdentifier(idents) => {
                idents.first().filter(|ident| fold(ident) == relation).map(|i| i.span.start)
            }
            _ => None,
        })
    });
    let what = if has_relation(statement, relation) {
        "invalid reference to FROM-clause entry for"
    } else {
        "missing FROM-clause entry for"
    };
    let message = format!("{what} table \"{relation}\"");
    PlannerError::Semantics { code: "42P01", message, position }
}

/// Whether a statement reads a relation of this name, under whatever alias.
fn has_relation(statement: &Statement, relation: &str) -> bool {
    struct Relations<'a>(&'a str);
    impl Reader for Relations<'_> {
        fn enter_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            let (name, alias) = match factor {
                TableFactor::Table { name, alias, .. } => (Some(name), alias),
                TableFactor::Derived { alias, .. } => (None, alias),
                _ => return ControlFlow::Continue(()),
            };
            let last = name.and_then(|name| name.0.last()).and_then(|part| part.as_ident());
            let aliased = alias.as_ref().is_some_and(|alias| fold(&alias.name) == self.0);
            if aliased || last.is_some_and(|last| fold(last) == self.0) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    walk::read_statement(statement.ast(), &mut Relations(relation)).is_break()
}

fn schema_failure(
    error: &SchemaError,
    position: Option<usize>,
    statement: &Statement,
) -> Option<PlannerError> {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            // DataFusion's span of a column ends where the name begins.
            let position = column_position(statement, field).or(position);
            if let Some(relation) = &field.relation {
                let known = valid_fields
                    .iter()
                    .any(|f| f.relation.as_ref().is_some_and(|r| r.table() == relation.table()));
                // What no one has written can come from the name of an output.
                if !known
                    && position.is_none()
                    && let Some(error) = aliases::undefined(statement, Clause::OrderBy)
                {
                    return Some(error);
                }
                if !known {
                    return Some(missing_relation(relation.table(), position, statement));
                }
            }
            let name = match &field.relation {
                Some(relation) => format!("{}.{}", relation.table(), field.name),
                None => format!("\"{}\"", field.name),
            };
            let suggestion = closest(&field.name, valid_fields);
            Some(PlannerError::UndefinedColumn { name, position, suggestion })
        }
        SchemaError::AmbiguousReference { field } => {
            // DataFusion's span of a column ends where the name begins.
            let position = column_position(statement, field).or(position);
            Some(PlannerError::AmbiguousColumn { name: field.name.clone(), position })
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => Some(PlannerError::Semantics {
            code: "42702",
            message: format!("column reference \"{}\" is ambiguous", strip_suffix(name)),
            position,
        }),
    }
}

/// PostgreSQL's code and words for conditions that DataFusion reports as text only.
fn semantics(text: &str) -> Option<(&'static str, String)> {
    if let Some(found) = grouping(text).or_else(|| operators(text)).or_else(|| clauses(text)) {
        return Some(found);
    }
    let lower = text.to_lowercase();
    let code = if lower.contains("cannot coerce")
        || lower.contains("failed to coerce")
        || lower.contains("cannot infer common")
        || lower.contains("no function matches")
        || lower.contains("there isn't result type for")
    {
        "42883"
    } else if lower.contains("unsupported cast") || lower.contains("cannot automatically convert") {
        "42846"
    } else if lower.contains("different number of columns") {
        "42601"
    } else {
        return None;
    };
    let line = text.lines().next().unwrap_or(text);
    Some((code, lower_first(line.trim_end_matches('.'))))
}

/// Columns outside of GROUP BY.
fn grouping(text: &str) -> Option<(&'static str, String)> {
    let lower = text.to_lowercase();
    let ungrouped = lower.contains("must appear in the group by clause")
        || lower.contains("must be in group by")
        || lower.contains("could not be resolved from available columns");
    if !ungrouped {
        return None;
    }
    let column = between(text, "column \"", "\" must appear")
        .or_else(|| between(text, "HAVING clause references: ", " must appear"))
        .or_else(|| {
            between(text, "HAVING clause references column(s) not provided by the select: ", ",")
        });
    let line = text.lines().next().unwrap_or(text);
    let message = column.map_or_else(
        || lower_first(line.trim_end_matches('.')),
        |column| {
            format!(
                "column \"{}\" must appear in the GROUP BY clause or be used in an aggregate function",
                strip_suffix(column)
            )
        },
    );
    Some(("42803", message))
}

/// Operators without a form for their operands.
fn operators(text: &str) -> Option<(&'static str, String)> {
    if let Some((_, pair)) = text.split_once("logical boolean operation ") {
        let op = if pair.contains(" AND ") { "AND" } else { "OR" };
        let (left, right) = pair.split_once(&format!(" {op} "))?;
        let other = if left == "Boolean" { right } else { left };
        let given = type_name(other.trim_end_matches('.'))?;
        let message = format!("argument of {op} must be type boolean, not type {given}");
        return Some(("42804", message));
    }
    let pair = between(text, "Cannot coerce arithmetic expression ", " to valid types")
        .or_else(|| text.split_once("string concat operation ").map(|(_, pair)| pair))
        .or_else(|| text.split_once("comparison operation ").map(|(_, pair)| pair));
    if let Some(pair) = pair {
        let ops = ["||", "<=", ">=", "!=", "<>", "+", "-", "*", "/", "%", "=", "<", ">"];
        let op = ops.into_iter().find(|op| pair.contains(&format!(" {op} ")))?;
        let (left, right) = pair.split_once(&format!(" {op} "))?;
        let op = if op == "!=" { "<>" } else { op };
        let (left, right) = (type_name(left)?, type_name(right)?);
        return Some(("42883", format!("operator does not exist: {left} {op} {right}")));
    }
    if let Some(pair) = between(text, "There isn't a common type to coerce ", " in LIKE") {
        let (left, right) = pair.split_once(" and ")?;
        let (left, right) = (type_name(left)?, type_name(right)?);
        return Some(("42883", format!("operator does not exist: {left} ~~ {right}")));
    }
    if let Some(given) =
        between(text, "Unary operator 'NOT' requires a boolean expression, got ", "\n").or_else(
            || text.strip_prefix("Unary operator 'NOT' requires a boolean expression, got "),
        )
    {
        let given = type_name(given)?;
        let message = format!("argument of NOT must be type boolean, not type {given}");
        return Some(("42804", message));
    }
    if text.starts_with("Unary operator '-' only supports") {
        return Some(("42883", "operator does not exist: - text".to_owned()));
    }
    None
}

/// Clauses with other rules than the engine's words tell.
fn clauses(text: &str) -> Option<(&'static str, String)> {
    if let Some((_, given)) = text.split_once("' returning ")
        && text.starts_with("Cannot create filter with non-boolean predicate")
    {
        let literal = between(text, "predicate 'Utf8(\"", "\")'");
        if let Some(literal) = literal {
            return Some((
                "22P02",
                format!("invalid input syntax for type boolean: \"{literal}\""),
            ));
        }
        let given = type_name(given)?;
        let message = format!("argument of WHERE must be type boolean, not type {given}");
        return Some(("42804", message));
    }
    if text.starts_with("For SELECT DISTINCT, ORDER BY expressions") {
        let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
        return Some(("42P10", message.to_owned()));
    }
    if text.starts_with("SELECT DISTINCT ON expressions must match") {
        let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
        return Some(("42P10", message.to_owned()));
    }
    if text.starts_with("Source table contains ") {
        let has = between(text, "contains ", " columns")?;
        let given = between(text, "but only ", " names")?;
        let message = format!("table has {has} columns available but {given} columns specified");
        return Some(("42P10", message));
    }
    None
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

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(inside, _)| inside)
}

/// The innermost position that DataFusion noted.
fn span_of(error: &DataFusionError) -> Option<Location> {
    let start = error.diagnostic()?.span?.start;
    (start.line > 0).then(|| Location::new(start.line, start.column))
}

/// A column that differs by one or two letters.
fn closest(name: &str, valid: &[Column]) -> Option<String> {
    let distance =
        |other: &str| datafusion::common::utils::datafusion_strsim::levenshtein(name, other);
    valid
        .iter()
        .map(|column| (distance(&column.name), column))
        .filter(|(distance, _)| *distance <= 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, column)| match &column.relation {
            Some(relation) => format!("{}.{}", relation.table(), column.name),
            None => column.name.clone(),
        })
}

/// Where a column is first named in the statement.
fn column_position(statement: &Statement, column: &Column) -> Option<usize> {
    find(statement, |expr| match expr {
        Expr::Identifier(ident) if fold(ident) == column.name && column.relation.is_none() => {
            Some(ident.span.start)
        }
        Expr::CompoundIdentifier(idents)
            if idents.last().is_some_and(|ident| fold(ident) == column.name) =>
        {
            idents.first().map(|ident| ident.span.start)
        }
        _ => None,
    })
}

/// Where a function is first called in the statement.
fn function_position(statement: &Statement, name: &str) -> Option<usize> {
    find(statement, |expr| match expr {
        Expr::Function(function) => {
            let ident = function.name.0.last().and_then(|part| part.as_ident())?;
            (fold(ident) == name).then_some(ident.span.start)
        }
        _ => None,
    })
}

fn find(statement: &Statement, matches: impl Fn(&Expr) -> Option<Location>) -> Option<usize> {
    struct Finder<F> {
        matches: F,
        found: Option<Location>,
    }
    impl<F: Fn(&Expr) -> Option<Location>> Reader for Finder<F> {
        fn enter_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            self.found = (self.matches)(expr);
            if self.found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    let mut finder = Finder { matches, found: None };
    // Whether the walk ended early is known from what it found.
    let _ = walk::read_statement(statement.ast(), &mut finder);
    let at = finder.found.filter(|at| at.line > 0)?;
    Some(char_offset(statement.source(), at) + 1)
}
