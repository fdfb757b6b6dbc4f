//! Which rows of the target a statement has looked at.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tarn_catalog::delta::ReadSet;

/// A table that notes the filters of its scans: another transaction's rows that none of them lets
/// through do not matter to the statement.
#[derive(Debug)]
pub(super) struct Recorder {
    inner: Arc<dyn TableProvider>,
    reads: Mutex<ReadSet>,
}

impl Recorder {
    pub(super) fn new(inner: Arc<dyn TableProvider>) -> Self {
        Self { inner, reads: Mutex::default() }
    }

    /// What was read so far.
    pub(super) fn take(&self) -> ReadSet {
        std::mem::take(&mut self.reads.lock())
    }
}

impl TableProvider for Recorder {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn table_type(&self) -> TableType {
        self.inner.table_type()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        self.inner.supports_filters_pushdown(filters)
    }

    fn statistics(&self) -> Option<Statistics> {
        self.inner.statistics()
    }

    // Written out by hand: an `async fn` here costs seconds of trait solving (apache/datafusion#24325).
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        state: &'life1 dyn Session,
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
        let mut reads = self.reads.lock();
        let before = std::mem::take(&mut *reads);
        *reads = before.and(ReadSet::filters(filters.to_vec()));
        drop(reads);
        self.inner.scan(state, projection, filters, limit)
    }
}
