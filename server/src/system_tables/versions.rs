//! `tarn.table_versions`: the versions of every Delta table.
//!
//! Unlike other system relations it reads storage: the logs of the tables that the query's
//! conditions on schema and name leave, when it is scanned.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session as EngineSession, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use tarn_catalog::delta::DeltaTable;
use tarn_catalog::delta::history::{versions_batch, versions_schema};
use tarn_catalog::registry::Relation as Known;
use tarn_catalog::rights::Privilege;
use tarn_catalog::{CatalogError, TableName, TableVersion, Travel};

use super::provider::{filtered, is_simple};
use crate::access::check::Asker;
use crate::lookup::SessionLookup;
use crate::session::Session;

/// The relation's name.
pub(super) const NAME: &str = "table_versions";

/// Tables whose logs are read at the same time.
const TABLE_READS_MAX: usize = 8;

/// The columns that tell which table it is.
const KEYS: [&str; 2] = ["table_schema", "table_name"];

pub(super) static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let keys = KEYS.into_iter().map(|name| Arc::new(Field::new(name, DataType::Utf8, true)));
    let versions = versions_schema();
    let fields = keys.chain(versions.fields().iter().map(Arc::clone));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
});

/// The relation for a session.
pub(super) fn provider(session: &Arc<Session>) -> Arc<dyn TableProvider> {
    Arc::new(TableVersions { session: Arc::clone(session) })
}

#[derive(Debug)]
struct TableVersions {
    session: Arc<Session>,
}

impl TableVersions {
    /// The names of all tables that may have a history, as rows.
    fn names(&self) -> Result<RecordBatch> {
        let snapshot = self.session.catalog_snapshot();
        let (mut schemas, mut tables) = (vec![], vec![]);
        for schema in &snapshot.schemas {
            for table in &schema.tables {
                let name = TableName::new(&schema.name, &table.name);
                if matches!(self.session.relation(&name), Some(Known::Lake(_))) {
                    schemas.push(schema.name.clone());
                    tables.push(table.name.clone());
                }
            }
        }
        let columns: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(schemas)), Arc::new(StringArray::from(tables))];
        Ok(RecordBatch::try_new(Arc::new(SCHEMA.project(&[0, 1])?), columns)?)
    }

    /// The rows of one table; a table that cannot be read does not hide the others.
    async fn rows_of(&self, name: TableName, limit: Option<usize>) -> Result<Option<RecordBatch>> {
        let Some(Known::Lake(table)) = self.session.relation(&name) else { return Ok(None) };
        // Whoever may not read a table learns nothing of its history.
        if !Asker::of(&self.session).may(&name, &[Privilege::Select]) {
            return Ok(None);
        }
        let Some(table) = table.delta() else { return Ok(None) };
        let batch = match self.versions_of(&table, &name, limit).await {
            Ok(batch) => batch,
            Err(error) => {
                let message = format!("the history of {name} cannot be read: {error}");
                self.session.notice("WARNING", "01000", message);
                return Ok(None);
            }
        };
        let n_rows = batch.num_rows();
        let repeat = |text: &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, n_rows)))
        };
        let mut columns = vec![repeat(name.schema()), repeat(name.table())];
        columns.extend(batch.columns().iter().map(Arc::clone));
        Ok(Some(RecordBatch::try_new(Arc::clone(&SCHEMA), columns)?))
    }

    async fn versions_of(
        &self,
        table: &Arc<DeltaTable>,
        name: &TableName,
        limit: Option<usize>,
    ) -> Result<RecordBatch, CatalogError> {
        let pinned = SessionLookup::new(&self.session).pin(name, Travel::Latest).await?;
        let TableVersion::Commit { number: newest, .. } = pinned.version else {
            return Err(CatalogError::Internal { what: "a version without a number".to_owned() });
        };
        versions_batch(table, newest, limit).await
    }

    async fn plan(
        &self,
        names: RecordBatch,
        projection: Option<Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let text = |row: usize, column: usize| {
            let values = names.columns().get(column)?;
            let values = values.as_any().downcast_ref::<StringArray>()?;
            Some(values.value(row).to_owned())
        };
        let names: Vec<TableName> = (0..names.num_rows())
            .filter_map(|row| Some(TableName::new(&text(row, 0)?, &text(row, 1)?)))
            .collect();
        let reads = names.into_iter().map(|name| self.rows_of(name, limit));
        let batches: Vec<Result<Option<RecordBatch>>> =
            stream::iter(reads).buffered(TABLE_READS_MAX).collect().await;
        let batches: Vec<RecordBatch> =
            batches.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?;
        let all = concat_batches(&SCHEMA, &batches)?;
        let schema = Arc::clone(&SCHEMA);
        Ok(MemorySourceConfig::try_new_exec(&[vec![all]], schema, projection)?)
    }
}

/// A condition on which table it is.
fn is_on_keys(filter: &Expr) -> bool {
    is_simple(filter) && filter.column_refs().iter().all(|c| KEYS.contains(&c.name.as_str()))
}

impl TableProvider for TableVersions {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let each = filters.iter().map(|filter| match is_on_keys(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        });
        Ok(each.collect())
    }

    // Written out by hand: an `async fn` here costs seconds of trait solving
    // (apache/datafusion#24325).
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        state: &'life1 dyn EngineSession,
        projection: Option<&'life2 Vec<usize>>,
        filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'async_trait, Result<Arc<dyn ExecutionPlan>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        let filters: Vec<Expr> = filters.iter().filter(|f| is_on_keys(f)).cloned().collect();
        let names = self.names().and_then(|names| filtered(names, state, &filters));
        let projection = projection.cloned();
        Box::pin(async move { self.plan(names?, projection, limit).await })
    }
}
