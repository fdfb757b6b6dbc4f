//! Joins that stop when they are told to.
//!
//! A task ends only where it pauses. DataFusion's scans and exchanges pause often, its joins do
//! not: one batch of each side can keep a join computing for hours, emitting batches that an
//! aggregate above swallows in the same turn, or none at all when its filter drops every pair.
//!
//! ```text
//!   NestedLoopJoinExec: filter=f     CooperativeExec                        a pause now and then
//!     left                      =>     NestedLoopJoinExec: filter=guard(f)  an error once stopped
//!     right                              left, right
//! ```

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, HashJoinExecBuilder, NestedLoopJoinExec,
    NestedLoopJoinExecBuilder, SortMergeJoinExec,
};
use datafusion::physical_plan::unnest::UnnestExec;
use tokio_util::sync::CancellationToken;

use crate::error::ExecError;

/// Makes the joins of a plan pause now and then and fail once `stop` is cancelled.
///
/// # Errors
/// Plans that cannot be put together again.
pub(crate) fn interruptible(
    plan: Arc<dyn ExecutionPlan>,
    stop: &CancellationToken,
) -> Result<Arc<dyn ExecutionPlan>> {
    let changed = plan.transform_up(|node| {
        let guarded: Arc<dyn ExecutionPlan> =
            if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
                let filter = join.filter().map(|filter| guard(filter, stop));
                Arc::new(NestedLoopJoinExecBuilder::from(join).with_filter(filter).build()?)
            } else if let Some(join) = node.downcast_ref::<HashJoinExec>() {
                let filter = join.filter.as_ref().map(|filter| guard(filter, stop));
                Arc::new(HashJoinExecBuilder::from(join).with_filter(filter).build()?)
            } else if node.downcast_ref::<CrossJoinExec>().is_some()
                || node.downcast_ref::<SortMergeJoinExec>().is_some()
                || node.downcast_ref::<UnnestExec>().is_some()
            {
                node
            } else {
                return Ok(Transformed::no(node));
            };
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(guarded)) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(changed.data)
}

fn guard(filter: &JoinFilter, stop: &CancellationToken) -> JoinFilter {
    let expression = Guarded { inner: Arc::clone(filter.expression()), stop: stop.clone() };
    let columns = filter.column_indices().to_vec();
    JoinFilter::new(Arc::new(expression), columns, Arc::clone(filter.schema()))
}

/// An expression that fails once its query has to stop.
#[derive(Debug, Clone)]
struct Guarded {
    inner: Arc<dyn PhysicalExpr>,
    stop: CancellationToken,
}

impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Guarded {}

impl Hash for Guarded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Guarded {
    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.stop.is_cancelled() {
            return Err(DataFusionError::External(Box::new(ExecError::Cancelled)));
        }
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.inner));
        Ok(Arc::new(Self { inner, stop: self.stop.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
