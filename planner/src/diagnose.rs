//! Makes typed errors with positions out of DataFusion's.

use std::ops::ControlFlow;

use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use sqlparser::ast::Expr;
use sqlparser::tokenizer::Location;

use crate::error::PlannerError;
use crate::parser::char_offset;
use crate::rewrite::strip_suffix;
use crate::statement::{Statement, fold};
use crate::walk::{self, Reader};

/// Types an error of DataFusion's planner.
pub(crate) fn diagnose(error: DataFusionError, statement: &Statement) -> PlannerError {
    let position = span_of(&error).map(|at| char_offset(statement.source(), at) + 1);
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
    match semantics(&text) {
        Some((code, message)) => PlannerError::Semantics { code, message, position },
        None => PlannerError::Engine(Box::new(error)),
    }
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
                if !known {
                    return Some(PlannerError::Semantics {
                        code: "42P01",
                        message: format!(
                            "missing FROM-clause entry for table \"{}\"",
                            relation.table()
                        ),
                        position,
                    });
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
    let lower = text.to_lowercase();
    let code = if lower.contains("must appear in the group by clause")
        || lower.contains("must be in group by")
        || lower.contains("could not be resolved from available columns")
    {
        "42803"
    } else if lower.contains("cannot coerce")
        || lower.contains("failed to coerce")
        || lower.contains("cannot infer common")
        || lower.contains("no function matches")
        || lower.contains("there isn't result type for")
    {
        "42883"
    } else if lower.contains("unsupported cast") || lower.contains("cannot automatically convert") {
        "42846"
    } else if lower.contains("union queries have different number of columns")
        || lower.contains("different number of columns")
    {
        "42601"
    } else {
        return None;
    };
    let line = text.lines().next().unwrap_or(text);
    Some((code, lower_first(line.trim_end_matches('.'))))
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
