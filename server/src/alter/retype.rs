//! ALTER COLUMN … TYPE that writes the rows anew.
//!
//! ```text
//! ALTER COLUMN b TYPE text USING e       SELECT "a", (e) AS "b" FROM the rows as they were
//!                                        └─► stored as the new type ─► new files, or batches
//! ```
//! A Delta table gets the column's type and its files in one commit; older versions keep theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast;
use tarn_catalog::CatalogError;
use tarn_catalog::delta::{MetadataChange, Operation};
use tarn_exec::QueryId;
use tarn_planner::statement::quoted;
use tarn_planner::write::{column_field, stored_at};
use tarn_planner::{PlannerError, Statement, plan};

use super::lake;
use crate::define::columns::Declared;
use crate::define::defaults::check_default;
use crate::define::expressions::{check_generated, query_over};
use crate::define::fill::{self, NewRows};
use crate::error::{Error, Result};
use crate::session::Session;

/// A column that gets another type.
pub(super) struct Retyped<'a> {
    pub(super) session: &'a Arc<Session>,
    pub(super) statement: &'a Statement,
    /// The table's name.
    pub(super) table: &'a str,
    /// The columns as they are.
    pub(super) fields: &'a [Field],
    pub(super) column: usize,
    /// The column as it will be.
    pub(super) field: &'a Field,
    pub(super) using: Option<&'a ast::Expr>,
}

impl Retyped<'_> {
    /// The query for the rows as they will be.
    async fn plan(
        &self,
        provider: Arc<dyn TableProvider>,
    ) -> Result<(LogicalPlan, SessionState, Statement)> {
        let item = |(at, field): (usize, &Field)| {
            let name = quoted(field.name());
            match self.using {
                Some(using) if at == self.column => format!("({using}) AS {name}"),
                _ => name,
            }
        };
        let items: Vec<String> = self.fields.iter().enumerate().map(item).collect();
        let (logical, state, inner) =
            query_over(self.session, self.statement, provider, self.table, (&items.join(", "), ""))
                .await?;
        let logical = stored_at(logical, self.column, self.field).map_err(|e| self.refused(e))?;
        Ok((logical, state, inner))
    }

    /// As PostgreSQL says it.
    fn refused(&self, error: PlannerError) -> Error {
        let PlannerError::Semantics { code: "42804", .. } = error else { return error.into() };
        let (column, data_type) = (self.field.name(), lake::type_name(self.field));
        if self.using.is_some() {
            return Error::Refused {
                code: "42804",
                message: format!(
                    "result of USING clause for column \"{column}\" cannot be cast automatically \
                     to type {data_type}"
                ),
                detail: None,
                hint: Some("You might need to add an explicit cast.".to_owned()),
            };
        }
        Error::Refused {
            code: "42804",
            message: format!(
                "column \"{column}\" cannot be cast automatically to type {data_type}"
            ),
            detail: None,
            hint: Some(format!("You might need to specify \"USING {column}::{data_type}\".")),
        }
    }

    /// Sees that the column's default is one of the new type, too.
    async fn check_default(&self, default: Option<&str>) -> Result<()> {
        let Some(text) = default else { return Ok(()) };
        let done = check_default(self.session, self.statement, self.field, text).await;
        done.map_err(|error| match error {
            Error::Refused { code: "42804", .. } => Error::Refused {
                code: "42804",
                message: format!(
                    "default for column \"{}\" cannot be cast automatically to type {}",
                    self.field.name(),
                    lake::type_name(self.field)
                ),
                detail: None,
                hint: Some("Drop the default first, and set it again afterwards.".to_owned()),
            },
            other => other,
        })
    }
}

impl super::Altered {
    /// ADD COLUMN of a generated column to a table in memory.
    pub(super) async fn add_generated(
        &mut self,
        session: &Arc<Session>,
        statement: &Statement,
        (field, text): (Field, String),
        query_id: QueryId,
    ) -> Result<()> {
        let at = self.fields.len();
        let provider = self.rows();
        self.fields.push(field.clone());
        self.details.defaults.push(None);
        self.details.generated.resize(at, None);
        self.details.generated.push(Some(text.clone()));
        let table = self.name.table();
        let declared = Declared { fields: self.fields.clone(), details: self.details.clone() };
        check_generated(session, statement, table, &declared, at).await?;
        let items = format!("*, ({text}) AS {}", quoted(field.name()));
        let (logical, state, inner) =
            query_over(session, statement, provider, table, (&items, "")).await?;
        let logical = stored_at(logical, at, &field)?;
        let batches = session.collect(&logical, &state, &inner, query_id).await?;
        self.batches = batches.into_iter().filter(|batch| batch.num_rows() > 0).collect();
        self.with_columns(|_, _| {})
    }

    /// The rows as a relation, whatever the columns say of NULL.
    fn rows(&self) -> Arc<dyn TableProvider> {
        let nullable = self.fields.iter().map(|field| field.clone().with_nullable(true));
        let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
        tarn_catalog::memory::provider_of(schema, self.batches.clone())
    }

    /// ALTER COLUMN … TYPE of a table in memory.
    pub(super) async fn retype(
        &mut self,
        session: &Arc<Session>,
        statement: &Statement,
        (column, data_type, using): (usize, &ast::DataType, Option<&ast::Expr>),
        query_id: QueryId,
    ) -> Result<()> {
        let Some(before) = self.fields.get(column).cloned() else { return Ok(()) };
        let uses = self.uses_of(session, before.name())?;
        uses.refuse_generated("alter type of", &self.name, before.name())?;
        let field = column_field(before.name(), data_type, before.is_nullable())?;
        let (table, fields) = (self.name.table(), &self.fields);
        let retyped = Retyped { session, statement, table, fields, column, field: &field, using };
        retyped.check_default(self.details.default_of(column)).await?;
        let (logical, state, inner) = retyped.plan(self.rows()).await?;
        let batches = session.collect(&logical, &state, &inner, query_id).await?;
        if let Some(slot) = self.fields.get_mut(column) {
            *slot = field;
        }
        self.batches = batches.into_iter().filter(|batch| batch.num_rows() > 0).collect();
        self.with_columns(|_, _| {})?;
        let checks = self.details.checks.iter().filter(|check| uses.checks.contains(&check.name));
        for check in checks {
            super::check_rows(session, statement, self, check, query_id).await?;
        }
        Ok(())
    }
}

impl lake::Altered<'_> {
    /// ALTER COLUMN … TYPE of a Delta table.
    pub(super) async fn set_type(
        &mut self,
        name: &str,
        data_type: &ast::DataType,
        using: Option<&ast::Expr>,
    ) -> Result<()> {
        let uses = self.uses_of(name)?;
        uses.refuse_generated("alter type of", &self.name, name)?;
        let at = self.position(name)?;
        let nullable = self.declared.fields.get(at).is_none_or(Field::is_nullable);
        let field = column_field(name, data_type, nullable)?;
        let widened = match using {
            None => self.metadata.widen_column(name, &field),
            Some(_) => Err(CatalogError::TypeWideningNeeded { column: name.to_owned() }),
        };
        match widened {
            Ok(()) => {}
            Err(
                CatalogError::TypeWideningNeeded { .. } | CatalogError::InvalidDefinition { .. },
            ) => self.rewrite(at, &field, using).await?,
            Err(error) => return Err(error.into()),
        }
        if let Some(slot) = self.declared.fields.get_mut(at) {
            *slot = field;
        }
        self.operation = "CHANGE COLUMN";
        self.check_again(&uses.checks).await
    }

    async fn rewrite(&mut self, at: usize, field: &Field, using: Option<&ast::Expr>) -> Result<()> {
        self.stage()?;
        let snapshot = Arc::clone(self.staged.snapshot());
        let column = field.name().clone();
        let refused = |why: &str, hint: &str| -> Error {
            let what = format!("another type for column \"{column}\" {why}");
            PlannerError::Unsupported { what, hint: Some(hint.to_owned()) }.into()
        };
        if snapshot.partition_columns().contains(&column.as_str()) {
            return Err(refused("that tells partitions apart", "Make a new table with AS SELECT."));
        }
        if snapshot.metadata().is_on("delta.enableChangeDataFeed") {
            let hint = "Switch delta.enableChangeDataFeed off first: all rows are written anew.";
            return Err(refused("of a table with a change data feed", hint));
        }
        if let (Some(using), false) = (using, field.is_nullable() || self.is_empty())
            && self.rows().has(&format!("({using}) IS NULL")).await?
        {
            return Err(self.contains_null(&column));
        }
        let (session, statement, table) = (self.session, self.statement, self.name.table());
        let fields = &self.declared.fields;
        let retyped = Retyped { session, statement, table, fields, column: at, field, using };
        retyped.check_default(self.declared.details.default_of(at)).await?;
        let planned = retyped.plan(Arc::clone(&snapshot) as Arc<dyn TableProvider>).await?;
        self.metadata.retype_column(&column, field)?;
        let operation = || Operation::new("CHANGE COLUMN", BTreeMap::new());
        let is_protocol_changed = snapshot.metadata().protocol() != self.metadata.protocol();
        let metadata = Arc::new(self.metadata.clone());
        let change = MetadataChange { metadata, is_protocol_changed };
        let emptied = match self.is_empty() {
            true => Arc::clone(&self.staged),
            false => self.staged.replace_all(vec![], operation())?,
        };
        let staged = emptied.set_metadata(change, operation())?;
        self.staged = match self.is_empty() {
            true => staged,
            false => {
                let (logical, state, inner) = planned;
                let optimized = plan::optimize(&logical, &state, &inner)?;
                let physical = plan::physical_plan(&optimized, &state, &inner).await?;
                let schema = staged.snapshot().schema();
                let sink = Arc::new(NewRows::new(staged.snapshot().write_target()?, schema));
                let sinking = Arc::clone(&sink) as _;
                fill::run(session, physical, &state, sinking, self.query_id).await?;
                staged.append(sink.take().0, operation())?
            }
        };
        session.put_staged(&self.name, Arc::clone(&self.staged));
        Ok(())
    }

    /// Sees that checks can be asked of a column's new type, and that all rows keep to them.
    async fn check_again(&mut self, names: &[String]) -> Result<()> {
        let checks = self.declared.details.checks.clone();
        for check in checks.iter().filter(|check| names.contains(&check.name)) {
            self.check_rows(check).await?;
        }
        Ok(())
    }
}
