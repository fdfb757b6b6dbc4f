//! ALTER TABLE and COMMENT ON of Delta tables: changes of the table's own metadata.
//!
//! ```text
//!   metadata of the version ─► one operation after another ─► staged with the transaction
//!                                     └─► rows that are there are asked first
//! ```
//! Files are written anew only where ADD COLUMN gives the rows that are there a value, and where a
//! column gets a type that is not wider (`retype`).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::catalog::TableProvider;
use futures::FutureExt;
use sqlparser::ast::{
    self, AlterColumnOperation, AlterTableOperation, DropBehavior, RenameTableNameKind,
    TableConstraint,
};
use tarn_catalog::delta::metadata::NewColumn;
use tarn_catalog::delta::{MetadataChange, Operation, StagedTable, TableMetadata};
use tarn_catalog::details::TableCheck;
use tarn_catalog::pg_type::{format_type, pg_type_of_column};
use tarn_catalog::registry::Relation;
use tarn_catalog::{CatalogError, LakeTable, TableName};
use tarn_exec::QueryId;
use tarn_planner::Statement;
use tarn_planner::statement::fold;
use tarn_planner::write::{Target, renamed_in, target_of};

use crate::define::columns::{Declared, column_of, default_text};
use crate::define::comments::no_column;
use crate::define::defaults::check_default;
use crate::define::expressions::{self, Rows};
use crate::define::lake::refuse_own;
use crate::define::uses::{Uses, uses_of};
use crate::error::{Error, Result};
use crate::lookup::SessionLookup;
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

/// A table whose metadata is changed.
pub(super) struct Altered<'a> {
    pub(super) session: &'a Arc<Session>,
    pub(super) statement: &'a Statement,
    pub(super) query_id: QueryId,
    pub(super) name: TableName,
    pub(super) staged: Arc<StagedTable>,
    pub(super) metadata: TableMetadata,
    pub(super) declared: Declared,
    /// What the table's history says of it.
    pub(super) operation: &'static str,
    rename_to: Option<TableName>,
}

/// ALTER TABLE.
pub(super) async fn alter(
    session: &Arc<Session>,
    statement: &Statement,
    name: &TableName,
    table: &Arc<dyn LakeTable>,
    operations: &[AlterTableOperation],
    query_id: QueryId,
) -> Result<()> {
    if let [AlterTableOperation::RenameTable { table_name }] = operations {
        let (RenameTableNameKind::To(new) | RenameTableNameKind::As(new)) = table_name;
        let new = TableName::new(name.schema(), target_of(new)?.table);
        return super::move_to(session, name, &new);
    }
    let staged = session.writable_lake(name, table).await?;
    let mut altered = Altered::new(session, statement, query_id, name, staged);
    for operation in operations {
        altered.apply(operation).await?;
    }
    altered.finish()
}

impl<'a> Altered<'a> {
    fn new(
        session: &'a Arc<Session>,
        statement: &'a Statement,
        query_id: QueryId,
        name: &TableName,
        staged: Arc<StagedTable>,
    ) -> Self {
        let schema = staged.snapshot().schema();
        let fields = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        let details = staged.snapshot().details().as_ref().clone();
        let metadata = staged.snapshot().metadata().as_ref().clone();
        Self {
            session,
            statement,
            query_id,
            name: name.clone(),
            staged,
            metadata,
            declared: Declared { fields, details },
            operation: "SET TBLPROPERTIES",
            rename_to: None,
        }
    }

    /// Stages the new metadata, if it is another one.
    pub(super) fn stage(&mut self) -> Result<()> {
        let before = self.staged.snapshot().metadata();
        if **before != self.metadata {
            let is_protocol_changed = before.protocol() != self.metadata.protocol();
            let metadata = Arc::new(self.metadata.clone());
            let change = MetadataChange { metadata, is_protocol_changed };
            let operation = Operation::new(self.operation, BTreeMap::new());
            self.staged = self.staged.set_metadata(change, operation)?;
            self.session.put_staged(&self.name, Arc::clone(&self.staged));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.stage()?;
        match self.rename_to {
            Some(new) => super::move_to(self.session, &self.name, &new),
            None => Ok(()),
        }
    }

    async fn apply(&mut self, operation: &AlterTableOperation) -> Result<()> {
        match operation {
            AlterTableOperation::AddColumn { column_def, if_not_exists, .. } => {
                self.add_column(column_def, *if_not_exists).await
            }
            AlterTableOperation::DropColumn { column_names, if_exists, drop_behavior, .. } => {
                let cascade = *drop_behavior == Some(DropBehavior::Cascade);
                column_names.iter().try_for_each(|name| self.drop_column(name, *if_exists, cascade))
            }
            AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
                self.rename_column(old_column_name, new_column_name)
            }
            AlterTableOperation::AlterColumn { column_name, op } => {
                self.alter_column(column_name, op).await
            }
            AlterTableOperation::AddConstraint { constraint, not_valid } => {
                self.add_constraint(constraint, *not_valid).await
            }
            AlterTableOperation::DropConstraint { name, if_exists, .. } => {
                self.drop_constraint(&fold(name), *if_exists)
            }
            AlterTableOperation::RenameConstraint { old_name, new_name } => {
                self.rename_constraint(&fold(old_name), &fold(new_name))
            }
            AlterTableOperation::RenameTable {
                table_name: RenameTableNameKind::To(new) | RenameTableNameKind::As(new),
            } => {
                let new = target_of(new)?.table;
                self.rename_to = Some(TableName::new(self.name.schema(), new));
                Ok(())
            }
            AlterTableOperation::OwnerTo { .. } => Ok(()),
            other => Err(unsupported(format!("ALTER TABLE … {other}"))),
        }
    }

    pub(super) fn position(&self, column: &str) -> Result<usize> {
        let found = self.declared.fields.iter().position(|field| field.name() == column);
        found.ok_or_else(|| no_column(&self.name, column))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.staged.snapshot().n_files() == 0
    }

    async fn add_column(&mut self, column: &ast::ColumnDef, if_not_exists: bool) -> Result<()> {
        let name = fold(&column.name);
        let new = column_of(column)?;
        if self.position(&name).is_ok() {
            let table = self.name.table();
            let message = format!("column \"{name}\" of relation \"{table}\" already exists");
            if if_not_exists {
                self.session.notice("NOTICE", "42701", format!("{message}, skipping"));
                return Ok(());
            }
            return Err(Error::Value { code: "42701", message });
        }
        // Rows that are there get their value before it has to be there.
        let is_filled = !self.is_empty() && (new.default.is_some() || new.generated.is_some());
        let is_required = !new.field.is_nullable();
        let is_late = !self.is_empty() && is_required;
        if is_late && !is_filled {
            return Err(self.contains_null(&name));
        }
        if let Some(text) = &new.default {
            check_default(self.session, self.statement, &new.field, text).await?;
        }
        let field = new.field.clone().with_nullable(is_late || !is_required);
        self.metadata.add_column(&NewColumn {
            field: &field,
            default: new.default.as_deref(),
            generated: new.generated.as_deref(),
            comment: new.comment.as_deref(),
        })?;
        let at = self.declared.fields.len();
        let details = &mut self.declared.details;
        for list in [&mut details.defaults, &mut details.generated, &mut details.column_comments] {
            list.resize(at, None);
        }
        self.declared.push(new);
        let table = self.name.table();
        let (session, statement) = (self.session, self.statement);
        expressions::check_generated(session, statement, table, &self.declared, at).await?;
        self.operation = "ADD COLUMNS";
        if is_filled {
            self.fill(&name).await?;
        }
        if is_late {
            self.set_not_null(&name).await?;
        }
        for constraint in crate::define::columns::constraints_of(column) {
            self.add_constraint(&constraint, false).await?;
        }
        self.operation = "ADD COLUMNS";
        Ok(())
    }

    /// Writes the rows that are there with the new column's value, in the same commit.
    async fn fill(&mut self, column: &str) -> Result<()> {
        self.stage()?;
        crate::modify::fill_column(self.session, &self.name, column, self.query_id).await?;
        let relation = self.session.relation(&self.name);
        let Some(Relation::Lake(table)) = relation else {
            return Err(Error::Internal { what: "the altered table is gone".to_owned() });
        };
        self.staged = self.session.writable_lake(&self.name, &table).await?;
        Ok(())
    }

    pub(super) fn contains_null(&self, column: &str) -> Error {
        let table = self.name.table();
        let message = format!("column \"{column}\" of relation \"{table}\" contains null values");
        Error::Value { code: "23502", message }
    }

    pub(super) fn uses_of(&self, column: &str) -> Result<Uses> {
        let columns = self.declared.fields.iter().map(|field| field.name().clone());
        let columns: Vec<String> = columns.collect();
        uses_of(self.session, &self.declared.details, &columns, column)
    }

    fn drop_column(&mut self, name: &ast::Ident, if_exists: bool, cascade: bool) -> Result<()> {
        let name = fold(name);
        if let Err(error) = self.position(&name) {
            if if_exists {
                self.session.notice("NOTICE", "00000", format!("{error}, skipping"));
                return Ok(());
            }
            return Err(error);
        }
        let uses = self.uses_of(&name)?;
        if !cascade {
            uses.refuse_generated("drop", &self.name, &name)?;
        }
        for check in &uses.checks {
            self.metadata.drop_constraint(check);
        }
        for column in uses.generated.iter().map(String::as_str).chain([name.as_str()]) {
            self.metadata.drop_column(column)?;
            self.session.follow_column(&self.name, column, None);
            self.declared.fields.retain(|field| field.name() != column);
            if column != name {
                let table = self.name.table();
                let message = format!("drop cascades to column {column} of table {table}");
                self.session.notice("NOTICE", "00000", message);
            }
        }
        self.declared.details = self.metadata.details();
        self.operation = "DROP COLUMNS";
        Ok(())
    }

    fn rename_column(&mut self, old: &ast::Ident, new: &ast::Ident) -> Result<()> {
        let (old, new) = (fold(old), fold(new));
        let at = self.position(&old)?;
        if self.position(&new).is_ok() {
            let table = self.name.table();
            let message = format!("column \"{new}\" of relation \"{table}\" already exists");
            return Err(Error::Value { code: "42701", message });
        }
        let uses = self.uses_of(&old)?;
        let details = self.declared.details.clone();
        for column in &uses.generated {
            let found = self.declared.fields.iter().position(|field| field.name() == column);
            let Some(text) = found.and_then(|at| details.generated_of(at)) else { continue };
            let text = renamed_in(text, &old, &new)?;
            self.metadata.set_expression(column, &text);
        }
        for check in details.checks.iter().filter(|check| uses.checks.contains(&check.name)) {
            let text = renamed_in(&check.expression, &old, &new)?;
            self.metadata.add_check(&check.name, &text);
        }
        self.metadata.rename_column(&old, &new)?;
        self.session.follow_column(&self.name, &old, Some(&new));
        if let Some(field) = self.declared.fields.get_mut(at) {
            *field = field.clone().with_name(new);
        }
        self.declared.details = self.metadata.details();
        self.operation = "RENAME COLUMN";
        Ok(())
    }

    async fn alter_column(&mut self, name: &ast::Ident, op: &AlterColumnOperation) -> Result<()> {
        let name = fold(name);
        let at = self.position(&name)?;
        match op {
            AlterColumnOperation::SetNotNull => self.set_not_null(&name).await?,
            AlterColumnOperation::DropNotNull => {
                let keys = &self.declared.details.keys;
                if keys.iter().any(|key| key.primary && key.columns.contains(&name)) {
                    let message = format!("column \"{name}\" is in a primary key");
                    return Err(Error::Value { code: "42P16", message });
                }
                self.metadata.set_nullable(&name, true);
            }
            AlterColumnOperation::SetDefault { value } => {
                if self.declared.details.generated_of(at).is_some() {
                    let table = self.name.table();
                    let message =
                        format!("column \"{name}\" of relation \"{table}\" is a generated column");
                    return Err(Error::Value { code: "42601", message });
                }
                let default = default_text(value)?;
                if let (Some(field), Some(text)) = (self.declared.fields.get(at), &default) {
                    check_default(self.session, self.statement, field, text).await?;
                }
                self.metadata.set_default(&name, default.as_deref());
            }
            AlterColumnOperation::DropDefault => self.metadata.set_default(&name, None),
            AlterColumnOperation::SetDataType { data_type, using, .. } => {
                self.set_type(&name, data_type, using.as_ref()).boxed().await?;
            }
            other => return Err(unsupported(format!("ALTER COLUMN … {other}"))),
        }
        self.declared.details = self.metadata.details();
        self.operation = "CHANGE COLUMN";
        Ok(())
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        Rows {
            session: self.session,
            statement: self.statement,
            provider: Arc::clone(self.staged.snapshot()) as Arc<dyn TableProvider>,
            table: self.name.table(),
            query_id: self.query_id,
        }
    }

    pub(super) async fn set_not_null(&mut self, column: &str) -> Result<()> {
        let quoted = format!("\"{}\" IS NULL", column.replace('"', "\"\""));
        // A column that this statement has added is in no file yet.
        let is_new = self.staged.snapshot().schema().index_of(column).is_err();
        if !self.is_empty() && (is_new || self.rows().has(&quoted).await?) {
            return Err(self.contains_null(column));
        }
        self.metadata.set_nullable(column, false);
        Ok(())
    }

    async fn add_constraint(
        &mut self,
        constraint: &TableConstraint,
        not_valid: bool,
    ) -> Result<()> {
        if not_valid {
            return Err(unsupported("ADD CONSTRAINT … NOT VALID"));
        }
        self.declared.constrain(self.session, &self.name, constraint)?;
        let session = self.session;
        match constraint {
            TableConstraint::Check(_) => {
                let Some(check) = self.declared.details.checks.last().cloned() else {
                    return Ok(());
                };
                self.check_rows(&check).await?;
                self.metadata.add_check(&check.name, &check.expression);
            }
            _ => {
                let details = &self.declared.details;
                let (keys, references) = (details.keys.clone(), details.foreign_keys.clone());
                let primary = keys.last().filter(|key| key.primary);
                let primary = primary.map(|key| key.columns.clone()).unwrap_or_default();
                for column in primary {
                    self.set_not_null(&column).await?;
                }
                self.metadata.set_keys(keys, references);
                session.notice("NOTICE", "00000", "keys are noted and not enforced");
            }
        }
        self.operation = "ADD CONSTRAINT";
        Ok(())
    }

    /// Sees that a condition can be asked, and that all rows keep to it.
    pub(super) async fn check_rows(&mut self, check: &TableCheck) -> Result<()> {
        let (session, statement) = (self.session, self.statement);
        let (table, fields) = (self.name.table(), &self.declared.fields);
        let text = &check.expression;
        expressions::check_condition(session, statement, table, fields, text).await?;
        // The rows have the columns that the statement has added.
        self.stage()?;
        if !self.is_empty() && self.rows().has(&format!("NOT ({text})")).await? {
            let (name, table) = (&check.name, self.name.table());
            let message = format!(
                "check constraint \"{name}\" of relation \"{table}\" is violated by some row"
            );
            return Err(Error::Value { code: "23514", message });
        }
        Ok(())
    }

    fn drop_constraint(&mut self, name: &str, if_exists: bool) -> Result<()> {
        if !self.metadata.drop_constraint(name) {
            let table = self.name.table();
            let message = format!("constraint \"{name}\" of relation \"{table}\" does not exist");
            if if_exists {
                self.session.notice("NOTICE", "00000", format!("{message}, skipping"));
                return Ok(());
            }
            return Err(Error::Value { code: "42704", message });
        }
        self.declared.details = self.metadata.details();
        self.operation = "DROP CONSTRAINT";
        Ok(())
    }

    fn rename_constraint(&mut self, old: &str, new: &str) -> Result<()> {
        let details = self.metadata.details();
        if self.declared.has_constraint(new) {
            let table = self.name.table();
            let message = format!("constraint \"{new}\" for relation \"{table}\" already exists");
            return Err(Error::Value { code: "42710", message });
        }
        let check = details.checks.iter().find(|check| check.name == old).cloned();
        let (mut keys, mut references) = (details.keys, details.foreign_keys);
        for key in keys.iter_mut().filter(|key| key.name == old) {
            new.clone_into(&mut key.name);
        }
        for key in references.iter_mut().filter(|key| key.name == old) {
            new.clone_into(&mut key.name);
        }
        self.drop_constraint(old, false)?;
        self.metadata.set_keys(keys, references);
        if let Some(check) = check {
            self.metadata.add_check(new, &check.expression);
        }
        self.declared.details = self.metadata.details();
        Ok(())
    }
}

/// The type of a column as SQL has it.
pub(super) fn type_name(field: &Field) -> String {
    let pg_type = pg_type_of_column(field);
    format_type(pg_type.oid, Some(pg_type.modifier))
}

/// ALTER COLUMN … DROP EXPRESSION: the values stay, and are plain ones from now on.
pub(crate) async fn drop_expression(
    session: &Arc<Session>,
    statement: &Statement,
    target: &Target,
    if_exists: bool,
    (column, lenient): (&str, bool),
) -> Result<CommandTag> {
    let tag = CommandTag::new("ALTER TABLE");
    let lookup = SessionLookup::new(session);
    let (name, table) = match lookup.resolve(target.schema.as_deref(), &target.table) {
        Some((name, Relation::Lake(table))) if table.format() == "delta" => (name, table),
        Some((name, Relation::Memory(table))) => {
            session.require_owner(&name)?;
            return super::drop_expression(session, &name, &table, (column, lenient));
        }
        Some(_) => return Err(unsupported("DROP EXPRESSION of a table of files, or of a view")),
        None if if_exists => {
            let message = format!("relation \"{}\" does not exist, skipping", target.table);
            session.notice("NOTICE", "00000", message);
            return Ok(tag);
        }
        None => return Err(CatalogError::TableNotFound { name: target.table.clone() }.into()),
    };
    session.require_owner(&name)?;
    let staged = session.writable_lake(&name, &table).await?;
    let mut altered = Altered::new(session, statement, QueryId::next(), &name, staged);
    let at = altered.position(column)?;
    if altered.declared.details.generated_of(at).is_none() {
        super::not_generated(session, &name, (column, lenient))?;
        return Ok(tag);
    }
    altered.metadata.drop_expression(column);
    altered.operation = "CHANGE COLUMN";
    altered.finish()?;
    Ok(tag)
}

/// COMMENT ON.
pub(crate) async fn comment(
    session: &Arc<Session>,
    statement: &Statement,
    (name, table): (&TableName, &Arc<dyn LakeTable>),
    column: Option<&str>,
    text: Option<&str>,
) -> Result<()> {
    let staged = session.writable_lake(name, table).await?;
    let mut altered = Altered::new(session, statement, QueryId::next(), name, staged);
    match column {
        None => altered.metadata.set_description(text),
        Some(column) => {
            altered.position(column)?;
            altered.metadata.set_column_comment(column, text);
            altered.operation = "CHANGE COLUMN";
        }
    }
    altered.finish()
}

/// SET TBLPROPERTIES and RESET TBLPROPERTIES.
pub(crate) async fn set_properties(
    session: &Arc<Session>,
    statement: &Statement,
    target: &Target,
    if_exists: bool,
    properties: &[(String, Option<String>)],
) -> Result<CommandTag> {
    let tag = CommandTag::new("ALTER TABLE");
    let lookup = SessionLookup::new(session);
    let (name, table) = match lookup.resolve(target.schema.as_deref(), &target.table) {
        Some((name, Relation::Lake(table))) if table.format() == "delta" => (name, table),
        Some(_) => return Err(unsupported("SET TBLPROPERTIES of anything but a Delta table")),
        None if if_exists => {
            let message = format!("relation \"{}\" does not exist, skipping", target.table);
            session.notice("NOTICE", "00000", message);
            return Ok(tag);
        }
        None => return Err(CatalogError::TableNotFound { name: target.table.clone() }.into()),
    };
    session.require_owner(&name)?;
    for (property, _) in properties {
        refuse_own(property)?;
    }
    let staged = session.writable_lake(&name, &table).await?;
    let mut altered = Altered::new(session, statement, QueryId::next(), &name, staged);
    altered.metadata.set_properties(&properties.iter().cloned().collect())?;
    if properties.iter().all(|(_, value)| value.is_none()) {
        altered.operation = "UNSET TBLPROPERTIES";
    }
    altered.finish()?;
    Ok(tag)
}
