//! ALTER TABLE of tables in memory, and DROP.

use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{
    self, AlterColumnOperation, AlterTableOperation, ObjectType, RenameTableNameKind,
    Statement as Ast,
};
use tarn_catalog::memory::{MemoryLimits, MemoryTable, Rows, TableDetails};
use tarn_catalog::registry::{Object, Relation};
use tarn_catalog::{CatalogError, TableName};
use tarn_exec::QueryId;
use tarn_planner::binder::bind;
use tarn_planner::statement::fold;
use tarn_planner::write::target_of;
use tarn_planner::{PlannerError, Statement, plan};

use crate::changes::OnCommit;
use crate::define::columns::{Declared, column_of, default_text};
use crate::define::expressions;
use crate::error::{Error, Result};
use crate::lookup::{SessionLookup, TEMPORARY};
use crate::modify::{internal, table_of};
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

pub(crate) mod lake;

/// A table that is taken apart and put together again.
struct Altered {
    name: TableName,
    fields: Vec<Field>,
    details: TableDetails,
    batches: Vec<RecordBatch>,
    /// The rows as they were.
    before: Rows,
    limits: MemoryLimits,
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
            check_dependents(session, &name, &alter.operations)?;
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
    check_dependents(session, &name, &alter.operations)?;
    let on_commit = on_commit_of(session, &name);
    let mut altered = Altered {
        name: name.clone(),
        fields: table.schema().fields().iter().map(|field| field.as_ref().clone()).collect(),
        details: table.details().clone(),
        batches: table.rows().batches().to_vec(),
        before: table.rows(),
        limits: table.limits().clone(),
    };
    altered.details.defaults.resize(altered.fields.len(), None);
    for operation in &alter.operations {
        if let AlterTableOperation::AddColumn { column_def, if_not_exists, .. } = operation {
            add_column(session, statement, &mut altered, (column_def, *if_not_exists), query_id)
                .await?;
        } else if let AlterTableOperation::AddConstraint { constraint, not_valid } = operation {
            add_constraint(session, statement, &mut altered, (constraint, *not_valid), query_id)
                .await?;
        } else {
            change_one(session, &mut altered, operation)?;
        }
    }
    let access = session.object(&name).map(|object| object.access).unwrap_or_default();
    if altered.name != name {
        session.put(&name, None, on_commit);
    }
    let new_name = altered.name.clone();
    let object = Object { access, ..Object::table(altered.build()?) };
    session.put(&new_name, Some(object), on_commit);
    session.check_temporary_size()?;
    Ok(CommandTag::new("ALTER TABLE"))
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
    check_dependents(session, name, operations)?;
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

/// Views are kept as text: what they name has to stay.
fn check_dependents(
    session: &Arc<Session>,
    name: &TableName,
    operations: &[AlterTableOperation],
) -> Result<()> {
    let harmless = |operation: &AlterTableOperation| {
        matches!(
            operation,
            AlterTableOperation::AddColumn { .. }
                | AlterTableOperation::AddConstraint { .. }
                | AlterTableOperation::DropConstraint { .. }
                | AlterTableOperation::RenameConstraint { .. }
                | AlterTableOperation::OwnerTo { .. }
                | AlterTableOperation::AlterColumn {
                    op: AlterColumnOperation::SetNotNull
                        | AlterColumnOperation::DropNotNull
                        | AlterColumnOperation::SetDefault { .. }
                        | AlterColumnOperation::DropDefault,
                    ..
                }
        )
    };
    let dependents = session.dependents(name);
    match dependents.first() {
        Some(view) if !operations.iter().all(harmless) => Err(CatalogError::DependentObjects {
            name: format!("or alter table {name}"),
            dependent: format!("view {view}"),
        }
        .into()),
        _ => Ok(()),
    }
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

async fn add_column(
    session: &Arc<Session>,
    statement: &Statement,
    altered: &mut Altered,
    (column, if_not_exists): (&ast::ColumnDef, bool),
    query_id: QueryId,
) -> Result<()> {
    let column = column_of(column)?;
    if column.generated.is_some() {
        return Err(unsupported("ADD COLUMN of a generated column"));
    }
    let (field, default) = (column.field, column.default);
    if let Err(error) = altered.check_new(field.name()) {
        if if_not_exists {
            session.notice("NOTICE", "42701", format!("{error}, skipping"));
            return Ok(());
        }
        return Err(error);
    }
    let value = match &default {
        Some(text) => default_value(session, statement, text, &field, query_id).await?,
        None => ScalarValue::try_from(field.data_type())
            .map_err(|error| PlannerError::Engine(Box::new(error)))?,
    };
    let data_type = field.data_type().clone();
    altered.fields.push(field);
    altered.details.defaults.push(default);
    altered.with_columns(|columns, n_rows| {
        let values = value.to_array_of_size(n_rows);
        columns.push(values.unwrap_or_else(|_| new_null_array(&data_type, n_rows)));
    })
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
            let at = altered.position(old_column_name)?;
            let name = fold(new_column_name);
            altered.check_new(&name)?;
            if let Some(field) = altered.fields.get_mut(at) {
                *field = field.clone().with_name(name);
            }
            altered.with_columns(|_, _| {})
        }
        AlterTableOperation::DropColumn { column_names, if_exists, .. } => {
            for name in column_names {
                let at = match altered.position(name) {
                    Err(error) if *if_exists => {
                        session.notice("NOTICE", "00000", format!("{error}, skipping"));
                        continue;
                    }
                    other => other?,
                };
                altered.fields.remove(at);
                altered.details.defaults.remove(at);
                for list in [&mut altered.details.generated, &mut altered.details.column_comments] {
                    if at < list.len() {
                        list.remove(at);
                    }
                }
                let folded = fold(name);
                altered.details.keys.retain(|key| !key.columns.contains(&folded));
                altered.with_columns(|columns, _| {
                    columns.remove(at);
                })?;
            }
            Ok(())
        }
        AlterTableOperation::AlterColumn { column_name, op } => {
            alter_column(altered, column_name, op)
        }
        AlterTableOperation::OwnerTo { .. } => Ok(()),
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
        let (table, text) = (altered.name.table(), &check.expression);
        let fields = &declared.fields;
        expressions::check_condition(session, statement, table, fields, text).await?;
        let nullable = fields.iter().map(|field| field.clone().with_nullable(true));
        let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
        let provider = tarn_catalog::memory::provider_of(schema, altered.batches.clone());
        let rows = expressions::Rows { session, statement, provider, table, query_id };
        if rows.has(&format!("NOT ({text})")).await? {
            let message = format!(
                "check constraint \"{}\" of relation \"{table}\" is violated by some row",
                check.name
            );
            return Err(Error::Value { code: "23514", message });
        }
    } else {
        session.notice("NOTICE", "00000", "keys are noted and not enforced");
    }
    altered.fields = declared.fields;
    altered.details = declared.details;
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

/// DROP of one object.
pub(crate) fn drop_one(
    session: &Arc<Session>,
    object_type: &ObjectType,
    name: &ast::ObjectName,
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    let target = target_of(name)?;
    let kind = object_type.to_string().to_lowercase();
    let found = match object_type {
        // Indexes are never made, so none can be dropped; scripts drop what they created.
        ObjectType::Index => return Ok(()),
        ObjectType::Schema => {
            let found = session.has_schema(&target.table);
            if found {
                return drop_schema(session, &target.table, cascade);
            }
            None
        }
        ObjectType::Table | ObjectType::View => {
            SessionLookup::new(session).resolve(target.schema.as_deref(), &target.table)
        }
        other => return Err(unsupported(format!("DROP {other}"))),
    };
    if let Some((name, relation)) = found {
        session.require_drop(&name)?;
        let view = *object_type == ObjectType::View;
        return drop_relation(session, &name, &relation, view, cascade);
    }
    if if_exists {
        let message = format!("{kind} \"{}\" does not exist, skipping", target.table);
        session.notice("NOTICE", "00000", message);
        return Ok(());
    }
    let code = if *object_type == ObjectType::Schema { "3F000" } else { "42P01" };
    let message = format!("{kind} \"{}\" does not exist", target.table);
    Err(PlannerError::Semantics { code, message, position: None }.into())
}

fn drop_relation(
    session: &Arc<Session>,
    name: &TableName,
    relation: &Relation,
    view: bool,
    cascade: bool,
) -> Result<()> {
    if view != matches!(relation, Relation::View { .. }) {
        let expected = if view { "a view" } else { "a table" };
        let name = name.table().to_owned();
        return Err(CatalogError::WrongObjectType { name, expected }.into());
    }
    check_found(session, name)?;
    let mut doomed = vec![name.clone()];
    let mut at = 0;
    while let Some(current) = doomed.get(at).cloned() {
        for dependent in session.dependents(&current) {
            // A view over views may outlive them, unlike in PostgreSQL: it says what it misses.
            if !cascade && view {
                continue;
            }
            if !cascade {
                return Err(CatalogError::DependentObjects {
                    name: format!("table {}", name.table()),
                    dependent: format!("view {}", dependent.table()),
                }
                .into());
            }
            if !doomed.contains(&dependent) {
                doomed.push(dependent);
            }
        }
        at += 1;
    }
    if doomed.len() > 1 {
        let message = match doomed.get(1) {
            Some(view) if doomed.len() == 2 => format!("drop cascades to view {}", view.table()),
            _ => format!("drop cascades to {} other objects", doomed.len() - 1),
        };
        session.notice("NOTICE", "00000", message);
    }
    for name in &doomed {
        remove(session, name);
    }
    Ok(())
}

/// Takes a relation away, and its files if they are the server's own.
fn remove(session: &Arc<Session>, name: &TableName) {
    if let Some(relation) = session.relation(name) {
        session.retire_files(name, &relation);
    }
    session.put(name, None, OnCommit::Preserve);
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
    move_to(session, &name, &TableName::new(schema, name.table()))?;
    Ok(CommandTag::new("ALTER TABLE"))
}

/// What a transaction has done to a Delta table is kept under its name until it is committed.
pub(crate) fn refuse_staged(session: &Arc<Session>, name: &TableName) -> Result<()> {
    let Some(Relation::Lake(table)) = session.relation(name) else { return Ok(()) };
    let any: Arc<dyn std::any::Any + Send + Sync> = table;
    if any.downcast::<tarn_catalog::delta::StagedTable>().is_err() {
        return Ok(());
    }
    Err(PlannerError::Unsupported {
        what: "renaming a Delta table that the transaction has changed".to_owned(),
        hint: Some("Commit first, or rename it before.".to_owned()),
    }
    .into())
}

/// Gives a relation another name; its files stay where they are.
pub(crate) fn move_to(session: &Arc<Session>, old: &TableName, new: &TableName) -> Result<()> {
    check_found(session, old)?;
    if let Some(view) = session.dependents(old).first() {
        return Err(CatalogError::DependentObjects {
            name: format!("or alter table {old}"),
            dependent: format!("view {view}"),
        }
        .into());
    }
    if session.relation(new).is_some() {
        return Err(CatalogError::TableExists { name: new.table().to_owned() }.into());
    }
    refuse_staged(session, old)?;
    let Some(object) = session.object(old) else {
        return Err(CatalogError::TableNotFound { name: old.table().to_owned() }.into());
    };
    let on_commit = on_commit_of(session, old);
    session.put(old, None, on_commit);
    session.put(new, Some(object), on_commit);
    Ok(())
}

fn drop_schema(session: &Arc<Session>, name: &str, cascade: bool) -> Result<()> {
    session.require_schema_owner(name)?;
    if session.shared.catalog.is_system_schema(name) {
        let reason = "the schema belongs to the server".to_owned();
        return Err(CatalogError::NotWritable { name: name.to_owned(), reason }.into());
    }
    let inside = session.relations_of(name);
    if let (Some(dependent), false) = (inside.first(), cascade) {
        return Err(CatalogError::DependentObjects {
            name: format!("schema {name}"),
            dependent: dependent.to_string(),
        }
        .into());
    }
    for relation in &inside {
        check_found(session, relation)?;
    }
    // Views of other schemas that read what is in this one go, too.
    let mut doomed = inside;
    let mut at = 0;
    while let Some(current) = doomed.get(at).cloned() {
        for dependent in session.dependents(&current) {
            if !doomed.contains(&dependent) {
                doomed.push(dependent);
            }
        }
        at += 1;
    }
    for relation in &doomed {
        remove(session, relation);
    }
    session.put_schema(name, false);
    Ok(())
}
