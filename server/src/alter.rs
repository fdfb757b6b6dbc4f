//! ALTER TABLE of tables in memory.
//!
//! | module | what |
//! |---|---|
//! | `lake` | the same of Delta tables |
//! | `retype` | ALTER COLUMN … TYPE that writes rows anew |
//! | `dependents` | views that need what is altered |
//! | `drop` | DROP |

use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::scalar::ScalarValue;
use futures::FutureExt;
use sqlparser::ast::{
    self, AlterColumnOperation, AlterTableOperation, DropBehavior, RenameTableNameKind,
    Statement as Ast,
};
use tarn_catalog::details::TableCheck;
use tarn_catalog::log::Access;
use tarn_catalog::memory::{MemoryLimits, MemoryTable, Rows, TableDetails};
use tarn_catalog::registry::{Object, Relation};
use tarn_catalog::{CatalogError, TableName};
use tarn_exec::QueryId;
use tarn_planner::binder::bind;
use tarn_planner::statement::{fold, quoted};
use tarn_planner::write::{renamed_in, target_of};
use tarn_planner::{PlannerError, Statement, plan};

use crate::changes::OnCommit;
use crate::define::columns::{Declared, column_of, constraints_of, default_text};
use crate::define::defaults::check_default;
use crate::define::expressions;
use crate::define::uses::{Uses, uses_of};
use crate::error::{Error, Result};
use crate::lookup::{SessionLookup, TEMPORARY};
use crate::modify::{internal, table_of};
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

mod dependents;
mod drop;
pub(crate) mod lake;
mod retype;

pub(crate) use drop::{drop_one, remove};

/// A table that is taken apart and put together again.
struct Altered {
    name: TableName,
    fields: Vec<Field>,
    details: TableDetails,
    batches: Vec<RecordBatch>,
    /// The rows as they were.
    before: Rows,
    limits: MemoryLimits,
    access: Arc<Access>,
}

/// ALTER TABLE.
pub(crate) async fn alter_table(
    session: &Arc<Session>,
    statement: &Statement,
    alter: &ast::AlterTable,
    query_id: QueryId,
) -> Result<CommandTag> {
    let target = target_of(&alter.name)?;
    let of_view = is_of_view(statement);
    let found = SessionLookup::new(session).resolve(target.schema.as_deref(), &target.table);
    if let Some((name, _)) = &found {
        session.require_owner(name)?;
    }
    match found {
        Some((name, Relation::View { .. })) => {
            let tag = rename_view(session, &name, &alter.operations)?;
            return Ok(if of_view { CommandTag::new("ALTER VIEW") } else { tag });
        }
        Some(_) if of_view => {
            let name = target.table;
            return Err(CatalogError::WrongObjectType { name, expected: "a view" }.into());
        }
        Some((name, Relation::Lake(table))) => {
            dependents::check(session, &name, &alter.operations)?;
            if table.format() != "delta" {
                return rename_files(session, &name, &alter.operations);
            }
            let operations = &alter.operations;
            lake::alter(session, statement, &name, &table, operations, query_id).await?;
            return Ok(CommandTag::new("ALTER TABLE"));
        }
        _ => {}
    }
    let (name, table) = match table_of(session, &target) {
        Err(Error::Catalog(CatalogError::TableNotFound { name })) if alter.if_exists => {
            let message = format!("relation \"{name}\" does not exist, skipping");
            session.notice("NOTICE", "00000", message);
            return Ok(CommandTag::new("ALTER TABLE"));
        }
        other => other?,
    };
    dependents::check(session, &name, &alter.operations)?;
    let on_commit = on_commit_of(session, &name);
    let mut altered = Altered {
        name: name.clone(),
        fields: table.schema().fields().iter().map(|field| field.as_ref().clone()).collect(),
        details: table.details().clone(),
        batches: table.rows().batches().to_vec(),
        before: table.rows(),
        limits: table.limits().clone(),
        access: session.object(&name).map(|object| object.access).unwrap_or_default(),
    };
    altered.details.defaults.resize(altered.fields.len(), None);
    change_all(session, statement, &mut altered, &alter.operations, query_id).boxed().await?;
    let access = Arc::clone(&altered.access);
    if altered.name != name {
        session.put(&name, None, on_commit);
    }
    let new_name = altered.name.clone();
    let object = Object { access, ..Object::table(altered.build()?) };
    session.put(&new_name, Some(object), on_commit);
    session.check_temporary_size()?;
    Ok(CommandTag::new("ALTER TABLE"))
}

/// Does all operations to a table that is taken apart.
async fn change_all(
    session: &Arc<Session>,
    statement: &Statement,
    altered: &mut Altered,
    operations: &[AlterTableOperation],
    query_id: QueryId,
) -> Result<()> {
    for operation in operations {
        if let AlterTableOperation::AddColumn { column_def, if_not_exists, .. } = operation {
            let column = (column_def, *if_not_exists);
            if add_column(session, statement, altered, column, query_id).await? {
                for constraint in constraints_of(column_def) {
                    let constraint = (&constraint, false);
                    add_constraint(session, statement, altered, constraint, query_id).await?;
                }
            }
        } else if let AlterTableOperation::AddConstraint { constraint, not_valid } = operation {
            add_constraint(session, statement, altered, (constraint, *not_valid), query_id).await?;
        } else if let AlterTableOperation::AlterColumn {
            column_name,
            op: AlterColumnOperation::SetDataType { data_type, using, .. },
        } = operation
        {
            let column = (altered.position(column_name)?, data_type, using.as_ref());
            altered.retype(session, statement, column, query_id).boxed().await?;
        } else {
            check_new_default(session, statement, altered, operation).await?;
            change_one(session, altered, operation)?;
        }
    }
    Ok(())
}

/// Whether an ALTER TABLE was written as ALTER VIEW, which the parser below does not know.
fn is_of_view(statement: &Statement) -> bool {
    let mut words = statement.text().split_whitespace();
    let mut is = |word: &str| words.next().is_some_and(|found| found.eq_ignore_ascii_case(word));
    is("alter") && is("view")
}

/// `ALTER TABLE v RENAME TO w`, which PostgreSQL takes for views as well.
fn rename_view(
    session: &Arc<Session>,
    name: &TableName,
    operations: &[AlterTableOperation],
) -> Result<CommandTag> {
    dependents::check(session, name, operations)?;
    if let [AlterTableOperation::RenameColumn { old_column_name, new_column_name }] = operations {
        rename_view_column(session, name, &fold(old_column_name), &fold(new_column_name))?;
        return Ok(CommandTag::new("ALTER TABLE"));
    }
    let [
        AlterTableOperation::RenameTable {
            table_name: RenameTableNameKind::To(new) | RenameTableNameKind::As(new),
        },
    ] = operations
    else {
        let name = name.table().to_owned();
        return Err(CatalogError::WrongObjectType { name, expected: "a table" }.into());
    };
    let new = TableName::new(name.schema(), target_of(new)?.table);
    if session.relation(&new).is_some() {
        return Err(CatalogError::TableExists { name: new.table().to_owned() }.into());
    }
    let Some(object) = session.object(name) else {
        return Err(CatalogError::TableNotFound { name: name.table().to_owned() }.into());
    };
    session.put(name, None, OnCommit::Preserve);
    session.put(&new, Some(object), OnCommit::Preserve);
    Ok(CommandTag::new("ALTER TABLE"))
}

/// Gives a view's column another name: its text gets names around it.
fn rename_view_column(
    session: &Arc<Session>,
    name: &TableName,
    old: &str,
    new: &str,
) -> Result<()> {
    let Some(mut object) = session.object(name) else {
        return Err(CatalogError::TableNotFound { name: name.table().to_owned() }.into());
    };
    let Relation::View { definition } = &object.relation else { return Ok(()) };
    let view = name.table();
    if object.columns.iter().any(|column| column.name == new) {
        let message = format!("column \"{new}\" of relation \"{view}\" already exists");
        return Err(Error::Value { code: "42701", message });
    }
    let Some(column) = object.columns.iter_mut().find(|column| column.name == old) else {
        let message = format!("column \"{old}\" of relation \"{view}\" does not exist");
        return Err(Error::Value { code: "42703", message });
    };
    new.clone_into(&mut column.name);
    let names: Vec<String> = object.columns.iter().map(|column| quoted(&column.name)).collect();
    let definition = format!("SELECT * FROM ({definition}) AS v ({})", names.join(", "));
    object.relation = Relation::View { definition };
    session.put(name, Some(object), OnCommit::Preserve);
    Ok(())
}

/// `ALTER TABLE t RENAME TO u` for a table of files, which has nothing else to alter.
fn rename_files(
    session: &Arc<Session>,
    name: &TableName,
    operations: &[AlterTableOperation],
) -> Result<CommandTag> {
    let [
        AlterTableOperation::RenameTable {
            table_name: RenameTableNameKind::To(new) | RenameTableNameKind::As(new),
        },
    ] = operations
    else {
        return Err(unsupported("ALTER TABLE of a table of plain files"));
    };
    move_to(session, name, &TableName::new(name.schema(), target_of(new)?.table))?;
    Ok(CommandTag::new("ALTER TABLE"))
}

fn on_commit_of(session: &Arc<Session>, name: &TableName) -> OnCommit {
    let inner = session.inner.lock();
    match inner.temporary.get(name.table()) {
        Some(temporary) if name.schema() == TEMPORARY => temporary.on_commit,
        _ => OnCommit::Preserve,
    }
}

impl Altered {
    fn position(&self, ident: &ast::Ident) -> Result<usize> {
        let name = fold(ident);
        self.fields.iter().position(|field| *field.name() == name).ok_or_else(|| {
            let table = self.name.table();
            let message = format!("column \"{name}\" of relation \"{table}\" does not exist");
            Error::Value { code: "42703", message }
        })
    }

    fn check_new(&self, name: &str) -> Result<()> {
        if self.fields.iter().all(|field| field.name() != name) {
            return Ok(());
        }
        let table = self.name.table();
        let message = format!("column \"{name}\" of relation \"{table}\" already exists");
        Err(Error::Value { code: "42701", message })
    }

    /// Puts changed columns into every batch.
    fn with_columns(&mut self, change: impl Fn(&mut Vec<ArrayRef>, usize)) -> Result<()> {
        // Nullable here: what NOT NULL says is checked when the table is built.
        let fields = self.fields.iter().map(|field| field.clone().with_nullable(true));
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        for batch in &mut self.batches {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let mut columns = batch.columns().to_vec();
            change(&mut columns, batch.num_rows());
            *batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)
                .map_err(internal)?;
        }
        Ok(())
    }

    fn rename_constraint(&mut self, old: &str, new: &str) -> Result<()> {
        let table = self.name.table();
        let details = &mut self.details;
        let names = || {
            let keys = details.keys.iter().map(|key| &key.name);
            let references = details.foreign_keys.iter().map(|key| &key.name);
            keys.chain(references).chain(details.checks.iter().map(|check| &check.name))
        };
        if names().any(|name| name == new) {
            let message = format!("constraint \"{new}\" for relation \"{table}\" already exists");
            return Err(Error::Value { code: "42710", message });
        }
        if !names().any(|name| name == old) {
            let message = format!("constraint \"{old}\" of relation \"{table}\" does not exist");
            return Err(Error::Value { code: "42704", message });
        }
        let keys = details.keys.iter_mut().map(|key| &mut key.name);
        let references = details.foreign_keys.iter_mut().map(|key| &mut key.name);
        let checks = details.checks.iter_mut().map(|check| &mut check.name);
        for name in keys.chain(references).chain(checks).filter(|name| *name == old) {
            new.clone_into(name);
        }
        Ok(())
    }

    fn uses_of(&self, session: &Arc<Session>, column: &str) -> Result<Uses> {
        let columns: Vec<String> = self.fields.iter().map(|field| field.name().clone()).collect();
        uses_of(session, &self.details, &columns, column)
    }

    fn rename_column(&mut self, old: &ast::Ident, new: &ast::Ident) -> Result<()> {
        let at = self.position(old)?;
        let (old, new) = (fold(old), fold(new));
        self.check_new(&new)?;
        if let Some(field) = self.fields.get_mut(at) {
            *field = field.clone().with_name(new.clone());
        }
        if let Some(access) = self.access.with_column_renamed(&old, &new) {
            self.access = Arc::new(access);
        }
        let details = &mut self.details;
        let generated = details.generated.iter_mut().flatten();
        for text in generated.chain(details.checks.iter_mut().map(|check| &mut check.expression)) {
            *text = renamed_in(text, &old, &new)?;
        }
        let keys = details.keys.iter_mut().map(|key| &mut key.columns);
        let references = details.foreign_keys.iter_mut().map(|key| &mut key.columns);
        for column in keys.chain(references).flatten().filter(|column| **column == old) {
            new.clone_into(column);
        }
        self.with_columns(|_, _| {})
    }

    fn drop_column(&mut self, session: &Arc<Session>, name: &str, cascade: bool) -> Result<()> {
        let uses = self.uses_of(session, name)?;
        if !cascade {
            uses.refuse_generated("drop", &self.name, name)?;
        }
        for column in uses.generated.iter().map(String::as_str).chain([name]) {
            let found = self.fields.iter().position(|field| field.name() == column);
            let Some(at) = found else { continue };
            self.fields.remove(at);
            if let Some(access) = self.access.without_columns(|known| known != column) {
                self.access = Arc::new(access);
            }
            let details = &mut self.details;
            for list in
                [&mut details.defaults, &mut details.generated, &mut details.column_comments]
            {
                if at < list.len() {
                    list.remove(at);
                }
            }
            let uses_it = |columns: &[String]| columns.iter().any(|known| known == column);
            details.keys.retain(|key| !uses_it(&key.columns));
            details.foreign_keys.retain(|key| !uses_it(&key.columns));
            self.with_columns(|columns, _| {
                columns.remove(at);
            })?;
        }
        self.details.checks.retain(|check| !uses.checks.contains(&check.name));
        Ok(())
    }

    fn build(self) -> Result<Arc<MemoryTable>> {
        for (at, field) in self.fields.iter().enumerate().filter(|(_, f)| !f.is_nullable()) {
            let is_null = |batch: &RecordBatch| {
                batch.columns().get(at).is_some_and(|column| column.logical_null_count() > 0)
            };
            if self.batches.iter().any(is_null) {
                let (column, table) = (field.name(), self.name.table());
                let message =
                    format!("column \"{column}\" of relation \"{table}\" contains null values");
                return Err(Error::Value { code: "23502", message });
            }
        }
        let schema = Arc::new(Schema::new(self.fields));
        let table = MemoryTable::with_details(self.name.table(), schema, self.details, self.limits);
        table.fill(self.batches, &self.before)?;
        Ok(table)
    }
}

/// Sees that the default of SET DEFAULT fits its column.
async fn check_new_default(
    session: &Arc<Session>,
    statement: &Statement,
    altered: &Altered,
    operation: &AlterTableOperation,
) -> Result<()> {
    let AlterTableOperation::AlterColumn {
        column_name,
        op: AlterColumnOperation::SetDefault { value },
    } = operation
    else {
        return Ok(());
    };
    let at = altered.position(column_name)?;
    match (altered.fields.get(at), default_text(value)?) {
        (Some(field), Some(text)) => check_default(session, statement, field, &text).await,
        _ => Ok(()),
    }
}

/// ADD COLUMN; whether it was not there.
async fn add_column(
    session: &Arc<Session>,
    statement: &Statement,
    altered: &mut Altered,
    (column, if_not_exists): (&ast::ColumnDef, bool),
    query_id: QueryId,
) -> Result<bool> {
    let column = column_of(column)?;
    let (field, default, generated) = (column.field, column.default, column.generated);
    if let Err(error) = altered.check_new(field.name()) {
        if if_not_exists {
            session.notice("NOTICE", "42701", format!("{error}, skipping"));
            return Ok(false);
        }
        return Err(error);
    }
    let value = match &default {
        Some(text) => {
            check_default(session, statement, &field, text).await?;
            default_value(session, statement, text, &field, query_id).await?
        }
        None => ScalarValue::try_from(field.data_type())
            .map_err(|error| PlannerError::Engine(Box::new(error)))?,
    };
    if let Some(text) = generated {
        altered.add_generated(session, statement, (field, text), query_id).boxed().await?;
        return Ok(true);
    }
    let data_type = field.data_type().clone();
    altered.fields.push(field);
    altered.details.defaults.push(default);
    altered.with_columns(|columns, n_rows| {
        let values = value.to_array_of_size(n_rows);
        columns.push(values.unwrap_or_else(|_| new_null_array(&data_type, n_rows)));
    })?;
    Ok(true)
}

/// The value of a default for the rows that are there already.
async fn default_value(
    session: &Arc<Session>,
    statement: &Statement,
    text: &str,
    field: &Field,
    query_id: QueryId,
) -> Result<ScalarValue> {
    let statements = session.parse(&format!("SELECT {text}"))?;
    let Some(Ast::Query(query)) = statements.first().map(Statement::ast) else {
        return Err(Error::Internal { what: "a default is no expression".to_owned() });
    };
    let inner = statement.with_ast(Ast::Query(query.clone()));
    let state = session.state();
    let bound = bind(&inner, &state, &SessionLookup::new(session)).await?;
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[])?;
    let batches = session.collect(&logical, &state, &inner, query_id).await?;
    let column = batches.first().and_then(|batch| batch.columns().first());
    let column = column.ok_or_else(|| Error::Internal { what: "no value".to_owned() })?;
    let engine = |error| Error::from(PlannerError::Engine(Box::new(error)));
    let value = ScalarValue::try_from_array(column, 0).map_err(engine)?;
    value.cast_to(field.data_type()).map_err(engine)
}

fn change_one(
    session: &Arc<Session>,
    altered: &mut Altered,
    operation: &AlterTableOperation,
) -> Result<()> {
    match operation {
        AlterTableOperation::RenameTable {
            table_name: RenameTableNameKind::To(new) | RenameTableNameKind::As(new),
        } => {
            let name = TableName::new(altered.name.schema(), target_of(new)?.table);
            if session.relation(&name).is_some() {
                return Err(CatalogError::TableExists { name: name.table().to_owned() }.into());
            }
            altered.name = name;
            Ok(())
        }
        AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
            altered.rename_column(old_column_name, new_column_name)
        }
        AlterTableOperation::DropColumn { column_names, if_exists, drop_behavior, .. } => {
            let cascade = *drop_behavior == Some(DropBehavior::Cascade);
            for name in column_names {
                match altered.position(name) {
                    Err(error) if *if_exists => {
                        session.notice("NOTICE", "00000", format!("{error}, skipping"));
                    }
                    Err(error) => return Err(error),
                    Ok(_) => altered.drop_column(session, &fold(name), cascade)?,
                }
            }
            Ok(())
        }
        AlterTableOperation::AlterColumn { column_name, op } => {
            alter_column(altered, column_name, op)
        }
        AlterTableOperation::OwnerTo { .. } => Ok(()),
        AlterTableOperation::RenameConstraint { old_name, new_name } => {
            altered.rename_constraint(&fold(old_name), &fold(new_name))
        }
        AlterTableOperation::DropConstraint { name, if_exists, .. } => {
            drop_constraint(session, altered, &fold(name), *if_exists)
        }
        other => Err(unsupported(format!("ALTER TABLE … {other}"))),
    }
}

/// ADD CONSTRAINT: a condition has to hold for the rows that are there.
async fn add_constraint(
    session: &Arc<Session>,
    statement: &Statement,
    altered: &mut Altered,
    (constraint, not_valid): (&ast::TableConstraint, bool),
    query_id: QueryId,
) -> Result<()> {
    if not_valid {
        return Err(unsupported("ADD CONSTRAINT … NOT VALID"));
    }
    let mut declared =
        Declared { fields: altered.fields.clone(), details: altered.details.clone() };
    declared.constrain(session, &altered.name, constraint)?;
    if let (ast::TableConstraint::Check(_), Some(check)) =
        (constraint, declared.details.checks.last())
    {
        check_rows(session, statement, altered, check, query_id).await?;
    } else {
        session.notice("NOTICE", "00000", "keys are noted and not enforced");
    }
    altered.fields = declared.fields;
    altered.details = declared.details;
    Ok(())
}

/// Sees that a condition can be asked, and that all rows keep to it.
async fn check_rows(
    session: &Arc<Session>,
    statement: &Statement,
    altered: &Altered,
    check: &TableCheck,
    query_id: QueryId,
) -> Result<()> {
    let (table, text) = (altered.name.table(), &check.expression);
    let fields = &altered.fields;
    expressions::check_condition(session, statement, table, fields, text).await?;
    let nullable = fields.iter().map(|field| field.clone().with_nullable(true));
    let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
    let provider = tarn_catalog::memory::provider_of(schema, altered.batches.clone());
    let rows = expressions::Rows { session, statement, provider, table, query_id };
    if rows.has(&format!("NOT ({text})")).await? {
        let name = &check.name;
        let message =
            format!("check constraint \"{name}\" of relation \"{table}\" is violated by some row");
        return Err(Error::Value { code: "23514", message });
    }
    Ok(())
}

fn drop_constraint(
    session: &Arc<Session>,
    altered: &mut Altered,
    name: &str,
    if_exists: bool,
) -> Result<()> {
    let details = &mut altered.details;
    let count = |d: &TableDetails| d.keys.len() + d.foreign_keys.len() + d.checks.len();
    let n_before = count(details);
    details.keys.retain(|key| key.name != name);
    details.foreign_keys.retain(|key| key.name != name);
    details.checks.retain(|check| check.name != name);
    if count(details) < n_before {
        return Ok(());
    }
    let table = altered.name.table();
    let message = format!("constraint \"{name}\" of relation \"{table}\" does not exist");
    if if_exists {
        session.notice("NOTICE", "00000", format!("{message}, skipping"));
        return Ok(());
    }
    Err(Error::Value { code: "42704", message })
}

fn alter_column(altered: &mut Altered, name: &ast::Ident, op: &AlterColumnOperation) -> Result<()> {
    let at = altered.position(name)?;
    match op {
        AlterColumnOperation::SetNotNull | AlterColumnOperation::DropNotNull => {
            if let Some(field) = altered.fields.get_mut(at) {
                field.set_nullable(matches!(op, AlterColumnOperation::DropNotNull));
            }
        }
        AlterColumnOperation::SetDefault { value } => {
            if let Some(default) = altered.details.defaults.get_mut(at) {
                *default = default_text(value)?;
            }
        }
        AlterColumnOperation::DropDefault => {
            if let Some(default) = altered.details.defaults.get_mut(at) {
                *default = None;
            }
        }
        other => return Err(unsupported(format!("ALTER COLUMN … {other}"))),
    }
    Ok(())
}

/// What DROP EXPRESSION says to a plain column.
fn not_generated(
    session: &Arc<Session>,
    table: &TableName,
    (column, lenient): (&str, bool),
) -> Result<()> {
    let table = table.table();
    let message =
        format!("column \"{column}\" of relation \"{table}\" is not a stored generated column");
    if lenient {
        session.notice("NOTICE", "00000", format!("{message}, skipping"));
        return Ok(());
    }
    Err(Error::Value { code: "55000", message })
}

/// ALTER COLUMN … DROP EXPRESSION of a table in memory.
fn drop_expression(
    session: &Arc<Session>,
    name: &TableName,
    table: &Arc<MemoryTable>,
    (column, lenient): (&str, bool),
) -> Result<CommandTag> {
    let tag = CommandTag::new("ALTER TABLE");
    let Ok(at) = table.schema().index_of(column) else {
        return Err(crate::define::comments::no_column(name, column));
    };
    let mut details = table.details().clone();
    if details.generated_of(at).is_none() {
        not_generated(session, name, (column, lenient))?;
        return Ok(tag);
    }
    if let Some(text) = details.generated.get_mut(at) {
        *text = None;
    }
    let on_commit = on_commit_of(session, name);
    let access = session.object(name).map(|object| object.access).unwrap_or_default();
    let (schema, limits) = (Arc::clone(table.schema()), table.limits().clone());
    let plain = MemoryTable::with_details(name.table(), schema, details, limits);
    plain.fill(table.rows().batches().to_vec(), &table.rows())?;
    session.put(name, Some(Object { access, ..Object::table(plain) }), on_commit);
    Ok(tag)
}

/// Refuses to drop what would be found in storage again.
pub(crate) fn check_found(session: &Arc<Session>, name: &TableName) -> Result<()> {
    if session.is_changed(name) || !session.shared.catalog.is_found(name) {
        return Ok(());
    }
    Err(CatalogError::NotWritable {
        name: name.table().to_owned(),
        reason: "it was found below a path that is served, and stays as long as its files"
            .to_owned(),
    }
    .into())
}

/// ALTER TABLE … SET SCHEMA.
pub(crate) fn set_schema(
    session: &Arc<Session>,
    target: &tarn_planner::write::Target,
    if_exists: bool,
    schema: &str,
) -> Result<CommandTag> {
    let found = SessionLookup::new(session).resolve(target.schema.as_deref(), &target.table);
    let Some((name, _)) = found else {
        if if_exists {
            let message = format!("relation \"{}\" does not exist, skipping", target.table);
            session.notice("NOTICE", "00000", message);
            return Ok(CommandTag::new("ALTER TABLE"));
        }
        return Err(CatalogError::TableNotFound { name: target.table.clone() }.into());
    };
    if !session.has_schema(schema) {
        return Err(CatalogError::SchemaNotFound { name: schema.to_owned() }.into());
    }
    session.require_owner(&name)?;
    session.require_create_in(schema)?;
    if name.schema() != schema {
        move_to(session, &name, &TableName::new(schema, name.table()))?;
    }
    Ok(CommandTag::new("ALTER TABLE"))
}

/// Gives a relation another name; its files stay where they are.
pub(crate) fn move_to(session: &Arc<Session>, old: &TableName, new: &TableName) -> Result<()> {
    check_found(session, old)?;
    if let Some(view) = session.dependents(old).first() {
        return Err(CatalogError::DependentObjects {
            verb: "rename",
            name: format!("table {old}"),
            dependent: format!("view {view}"),
        }
        .into());
    }
    if session.relation(new).is_some() {
        return Err(CatalogError::TableExists { name: new.table().to_owned() }.into());
    }
    if session.object(old).is_none() {
        return Err(CatalogError::TableNotFound { name: old.table().to_owned() }.into());
    }
    session.rename(old, new, on_commit_of(session, old));
    Ok(())
}
