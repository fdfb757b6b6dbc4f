//! What a writing statement reads and writes of its target, for roles that have rights on some of
//! its columns only.
//!
//! ```text
//! UPDATE t SET a = b + 1 FROM s WHERE t.c = s.c RETURNING d
//!     reads    SELECT b + 1, d FROM t, s WHERE t.c = s.c
//!     writes   a
//! ```
//! The query that does the work reads all columns, as it puts whole rows together: what the
//! statement itself names is seen here.

use std::collections::BTreeSet;

use arrow::datatypes::Schema;
use sqlparser::ast::{
    self, AssignmentTarget, Expr, Join, JoinConstraint, JoinOperator, MergeAction, MergeInsertKind,
    ObjectName, OutputClause, SelectItem, SetExpr, Statement as Ast, TableFactor, TableObject,
    TableWithJoins,
};

use super::change::{delete_table, row_values, unnested};
use super::insert::{given_columns, is_default};
use super::merge::is_mark;
use super::tree::{named, select_query, table_alias};
use crate::error::Result;
use crate::parser::write_words::{ALL_COLUMNS, BY_NAME, DEFAULT_VALUES, NO_ALIAS, NOTHING};
use crate::statement::fold;

/// The columns that a statement gives values, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assigned {
    /// In new rows.
    pub inserted: BTreeSet<String>,
    /// In rows that are there.
    pub updated: BTreeSet<String>,
}

/// What a statement reads, as a query; `None` where it reads nothing of its target.
///
/// # Errors
/// Assignments that do not fit.
pub fn read_query(ast: &Ast) -> Result<Option<Ast>> {
    let mut reads = Reads::default();
    let from = match ast {
        Ast::Insert(insert) => {
            let (Some(items), TableObject::TableName(name)) = (&insert.returning, &insert.table)
            else {
                return Ok(None);
            };
            reads.items.extend(items.iter().cloned());
            vec![TableWithJoins { relation: target_of_insert(insert, name), joins: vec![] }]
        }
        Ast::Update(update) => {
            for assignment in &update.assignments {
                reads.assignment(assignment)?;
            }
            reads.items.extend(update.returning.iter().flatten().cloned());
            let others = match &update.from {
                Some(
                    ast::UpdateTableFromKind::AfterSet(from)
                    | ast::UpdateTableFromKind::BeforeSet(from),
                ) => from.clone(),
                None => vec![],
            };
            reads.selection.clone_from(&update.selection);
            std::iter::once(update.table.clone()).chain(others).collect()
        }
        Ast::Delete(delete) => {
            reads.items.extend(delete.returning.iter().flatten().cloned());
            reads.selection.clone_from(&delete.selection);
            let others = delete.using.clone().unwrap_or_default();
            std::iter::once(delete_table(delete)?.clone()).chain(others).collect()
        }
        Ast::Merge(merge) => {
            reads.merge(merge)?;
            let constraint = JoinConstraint::On((*merge.on).clone());
            let join_operator = JoinOperator::Inner(constraint);
            let join = Join { relation: merge.source.clone(), global: false, join_operator };
            vec![TableWithJoins { relation: merge.table.clone(), joins: vec![join] }]
        }
        _ => return Ok(None),
    };
    Ok(reads.query(from))
}

fn target_of_insert(insert: &ast::Insert, name: &ObjectName) -> TableFactor {
    let mut factor = crate::utility::table_factor(name.clone());
    let written = insert.table_alias.as_ref().map(|alias| &alias.alias);
    let written = written.filter(|alias| ![BY_NAME, NO_ALIAS].contains(&alias.value.as_str()));
    if let (TableFactor::Table { alias, .. }, Some(written)) = (&mut factor, written) {
        *alias = Some(table_alias(written.clone()));
    }
    factor
}

#[derive(Default)]
struct Reads {
    items: Vec<SelectItem>,
    selection: Option<Expr>,
}

impl Reads {
    fn expr(&mut self, expr: &Expr) {
        if !is_default(expr) {
            let name = format!("tarn read {}", self.items.len());
            self.items.push(named(expr.clone(), &name));
        }
    }

    fn assignment(&mut self, assignment: &ast::Assignment) -> Result<()> {
        match (&assignment.target, unnested(assignment)) {
            (AssignmentTarget::ColumnName(_), value) => self.expr(value),
            // Of several columns: no value by itself.
            (AssignmentTarget::Tuple(_), Expr::Subquery(query)) => {
                self.expr(&Expr::Exists { subquery: query.clone(), negated: false });
            }
            (AssignmentTarget::Tuple(names), value) => {
                row_values(value, names.len())?.iter().for_each(|value| self.expr(value));
            }
        }
        Ok(())
    }

    fn merge(&mut self, merge: &ast::Merge) -> Result<()> {
        for clause in &merge.clauses {
            clause.predicate.iter().for_each(|predicate| self.expr(predicate));
            match &clause.action {
                MergeAction::Update(update) => {
                    for assignment in update.assignments.iter().filter(|a| !is_marked(&a.value)) {
                        self.assignment(assignment)?;
                    }
                }
                MergeAction::Insert(insert) => {
                    if let MergeInsertKind::Values(values) = &insert.kind {
                        let cells = values.rows.iter().flat_map(|row| &row.content);
                        cells.filter(|cell| !is_marked(cell)).for_each(|cell| self.expr(cell));
                    }
                }
                MergeAction::Delete { .. } => {}
            }
        }
        if let Some(OutputClause::Returning { select_items, .. }) = &merge.output {
            self.items.extend(select_items.iter().cloned());
        }
        Ok(())
    }

    fn query(mut self, from: Vec<TableWithJoins>) -> Option<Ast> {
        if self.items.is_empty() {
            self.expr(&Expr::value(ast::Value::Boolean(true)));
        }
        let mut from = from.into_iter();
        let mut query = select_query(self.items, from.next()?);
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.from.extend(from);
            select.selection = self.selection;
        }
        Some(Ast::Query(query))
    }
}

fn is_marked(expr: &Expr) -> bool {
    [ALL_COLUMNS, DEFAULT_VALUES, NOTHING].iter().any(|mark| is_mark(expr, mark))
}

/// The columns that a statement gives values; those that have their defaults are not among them.
///
/// # Errors
/// Columns that are not there.
pub fn written_columns(ast: &Ast, table: &str, schema: &Schema) -> Result<Assigned> {
    let mut all = Assigned::default();
    match ast {
        Ast::Insert(insert) => {
            let columns = given_columns(insert, table, schema)?;
            let name = |at: usize| schema.fields().get(at).map(|field| field.name().clone());
            all.inserted.extend(columns.into_iter().filter_map(name));
        }
        Ast::Update(update) => assign(&mut all.updated, &update.assignments),
        Ast::Merge(merge) => {
            for clause in &merge.clauses {
                assign_clause(&mut all, clause, schema);
            }
        }
        _ => {}
    }
    Ok(all)
}

fn last_part(name: &ObjectName) -> Option<String> {
    Some(fold(name.0.last()?.as_ident()?))
}

fn assign(columns: &mut BTreeSet<String>, assignments: &[ast::Assignment]) {
    for assignment in assignments {
        match &assignment.target {
            AssignmentTarget::ColumnName(name) => columns.extend(last_part(name)),
            AssignmentTarget::Tuple(names) => columns.extend(names.iter().filter_map(last_part)),
        }
    }
}

fn assign_clause(all: &mut Assigned, clause: &ast::MergeClause, schema: &Schema) {
    let every = || schema.fields().iter().map(|field| field.name().clone());
    match &clause.action {
        MergeAction::Update(update) => match update.assignments.as_slice() {
            [only] if is_mark(&only.value, NOTHING) => {}
            [only] if is_mark(&only.value, ALL_COLUMNS) => all.updated.extend(every()),
            assignments => assign(&mut all.updated, assignments),
        },
        MergeAction::Insert(insert) => {
            let row = match &insert.kind {
                MergeInsertKind::Values(values) => values.rows.first().map(|row| &row.content),
                MergeInsertKind::Row => None,
            };
            match row.map(Vec::as_slice) {
                Some([only]) if is_mark(only, NOTHING) || is_mark(only, DEFAULT_VALUES) => {}
                Some([only]) if is_mark(only, ALL_COLUMNS) => all.inserted.extend(every()),
                _ if !insert.columns.is_empty() => {
                    all.inserted.extend(insert.columns.iter().filter_map(last_part));
                }
                Some(values) => all.inserted.extend(every().take(values.len())),
                None => all.inserted.extend(every()),
            }
        }
        MergeAction::Delete { .. } => {}
    }
}
