//! A system relation as a table: one batch, filtered while the query is planned.
//!
//! Clients ask for one table among thousands; what is left of `pg_attribute` after
//! `attrelid = 16384` has exact statistics, so joins begin with it.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::FutureExt;
use futures::future::BoxFuture;

/// The rows of a system relation.
#[derive(Debug)]
pub(super) struct SystemTable {
    batch: RecordBatch,
}

impl SystemTable {
    pub(super) fn new(batch: RecordBatch) -> Self {
        Self { batch }
    }

    fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch = filtered(self.batch.clone(), state, filters)?;
        let schema = batch.schema();
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], schema, projection.cloned())?)
    }
}

/// The rows that the simple ones among the filters leave.
pub(super) fn filtered(
    mut batch: RecordBatch,
    state: &dyn Session,
    filters: &[Expr],
) -> Result<RecordBatch> {
    let schema = DFSchema::try_from(batch.schema())?;
    for filter in filters.iter().filter(|filter| is_simple(filter)) {
        let Ok(physical) = state.create_physical_expr(filter.clone(), &schema) else { continue };
        // A value that cannot be compared is for the filter above to complain of.
        let Ok(keep) = physical.evaluate(&batch) else { continue };
        let keep = keep.into_array(batch.num_rows())?;
        if let Some(keep) = keep.as_any().downcast_ref::<BooleanArray>() {
            batch = filter_record_batch(&batch, keep)?;
        }
    }
    Ok(batch)
}

/// A comparison of a column with constants: cheap, and without effects.
pub(super) fn is_simple(filter: &Expr) -> bool {
    let is_column = |expr: &Expr| match expr {
        Expr::Cast(cast) => matches!(cast.expr.as_ref(), Expr::Column(_)),
        other => matches!(other, Expr::Column(_)),
    };
    let is_constant = |expr: &Expr| matches!(expr, Expr::Literal(..));
    match filter {
        Expr::BinaryExpr(binary) => {
            matches!(
                binary.op,
                Operator::Eq | Operator::NotEq | Operator::Gt | Operator::GtEq | Operator::Lt
            ) && ((is_column(&binary.left) && is_constant(&binary.right))
                || (is_constant(&binary.left) && is_column(&binary.right)))
        }
        Expr::InList(list) => is_column(&list.expr) && list.list.iter().all(is_constant),
        Expr::Like(like) => is_column(&like.expr) && is_constant(&like.pattern),
        _ => false,
    }
}

impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // Inexact: the filters stay above, over the few rows that are left.
        let each = filters.iter().map(|filter| match is_simple(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        });
        Ok(each.collect())
    }

    // Written out by hand: an `async fn` here costs seconds of trait solving
    // (apache/datafusion#24325).
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        state: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        filters: &'life3 [Expr],
        _limit: Option<usize>,
    ) -> BoxFuture<'async_trait, Result<Arc<dyn ExecutionPlan>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        futures::future::ready(self.plan(state, projection, filters)).boxed()
    }
}
