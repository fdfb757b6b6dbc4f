//! Views that need what ALTER TABLE and DROP change.

use std::sync::Arc;

use sqlparser::ast::{AlterColumnOperation, AlterTableOperation, DropBehavior};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Tokenizer};
use tarn_catalog::registry::Relation;
use tarn_catalog::{CatalogError, TableName};
use tarn_planner::statement::fold;

use crate::error::Result;
use crate::session::Session;

/// Views are kept as text: what they name has to stay. With CASCADE they go with their columns.
pub(super) fn check(
    session: &Arc<Session>,
    name: &TableName,
    operations: &[AlterTableOperation],
) -> Result<()> {
    if session.dependents(name).is_empty() {
        return Ok(());
    }
    for operation in operations {
        match operation {
            AlterTableOperation::DropColumn { column_names, drop_behavior, .. } => {
                for column in column_names {
                    let column = fold(column);
                    let views = readers(session, name, &column);
                    if *drop_behavior == Some(DropBehavior::Cascade) {
                        let doomed = with_dependents(session, views);
                        note(session, &doomed);
                        doomed.iter().for_each(|view| super::drop::remove(session, view));
                    } else {
                        refuse("drop", &of_column(name, &column), &views)?;
                    }
                }
            }
            AlterTableOperation::RenameColumn { old_column_name, .. } => {
                let column = fold(old_column_name);
                let views = readers(session, name, &column);
                refuse("rename", &of_column(name, &column), &views)?;
            }
            AlterTableOperation::AlterColumn {
                column_name,
                op: AlterColumnOperation::SetDataType { .. },
            } => {
                let column = fold(column_name);
                let views = readers(session, name, &column);
                refuse("alter type of", &of_column(name, &column), &views)?;
            }
            AlterTableOperation::RenameTable { .. } => {
                refuse("rename", &format!("table {name}"), &session.dependents(name))?;
            }
            // What else there is leaves the columns as they are.
            _ => {}
        }
    }
    Ok(())
}

fn of_column(name: &TableName, column: &str) -> String {
    format!("column {column} of table {}", name.table())
}

fn refuse(verb: &'static str, what: &str, views: &[TableName]) -> Result<()> {
    let Some(view) = views.first() else { return Ok(()) };
    Err(CatalogError::DependentObjects {
        verb,
        name: what.to_owned(),
        dependent: format!("view {view}"),
    }
    .into())
}

/// The views that may read a column.
fn readers(session: &Arc<Session>, name: &TableName, column: &str) -> Vec<TableName> {
    let mut views = session.dependents(name);
    views.retain(|view| match session.relation(view) {
        Some(Relation::View { definition }) => names_column(&definition, column),
        Some(Relation::Memory(_) | Relation::Lake(_)) | None => true,
    });
    views
}

/// Whether a view's text may read a column: it has a word of that name, a `*` for all columns, or a
/// join by whatever names both sides have. In doubt it does.
fn names_column(definition: &str, column: &str) -> bool {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, definition).tokenize() else {
        return true;
    };
    let tokens = tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_)));
    let mut before = None;
    for token in tokens {
        match &token {
            Token::Word(word)
                if word.value == column
                    || word.quote_style.is_none()
                        && (word.value.eq_ignore_ascii_case(column)
                            || word.keyword == Keyword::NATURAL) =>
            {
                return true;
            }
            Token::Mul if begins_item(before.as_ref()) => return true,
            _ => {}
        }
        before = Some(token);
    }
    false
}

/// Whether a `*` behind a token stands for columns: not in `count(*)` and `a * b`.
fn begins_item(before: Option<&Token>) -> bool {
    match before {
        Some(Token::Comma | Token::Period) | None => true,
        Some(Token::Word(word)) => {
            matches!(word.keyword, Keyword::SELECT | Keyword::DISTINCT | Keyword::ALL)
        }
        _ => false,
    }
}

/// Relations, and whatever reads them.
pub(super) fn with_dependents(
    session: &Arc<Session>,
    mut doomed: Vec<TableName>,
) -> Vec<TableName> {
    let mut at = 0;
    while let Some(current) = doomed.get(at).cloned() {
        for dependent in session.dependents(&current) {
            if !doomed.contains(&dependent) {
                doomed.push(dependent);
            }
        }
        at += 1;
    }
    doomed
}

/// Tells what goes along.
pub(super) fn note(session: &Arc<Session>, cascaded: &[TableName]) {
    let message = match cascaded {
        [] => return,
        [view] => format!("drop cascades to view {}", view.table()),
        views => format!("drop cascades to {} other objects", views.len()),
    };
    session.notice("NOTICE", "00000", message);
}

#[cfg(test)]
mod tests {
    use super::names_column;

    #[test]
    fn a_column_is_found_in_a_view() {
        let check = |text: &str, uses: bool| assert_eq!(names_column(text, "a"), uses, "{text}");
        check("SELECT b FROM t", false);
        check("SELECT t.A FROM t", true);
        check("SELECT \"A\" FROM t", false);
        check("SELECT * FROM t", true);
        check("SELECT b, t.* FROM t", true);
        check("SELECT count(*), b * 2 FROM t", false);
        check("SELECT b FROM t NATURAL JOIN u", true);
        check("SELECT b FROM t JOIN u USING (a)", true);
        check("SELECT 'a' FROM t", false);
    }
}
