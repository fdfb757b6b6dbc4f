//! Where rows go that no client waits for: files, tables.
//!
//! ```text
//!   SinkExec: n partitions, no rows
//!     input:  n partitions      each is drained into the sink by a task of its own
//! ```
//! A statement that writes is run as any other plan, so admission, cancellation, panics and
//! progress are those of queries.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::StreamExt;
use futures::future::BoxFuture;

/// Takes rows, from several partitions at the same time.
pub trait RowSink: fmt::Debug + Send + Sync {
    /// Takes all rows of one partition.
    ///
    /// # Cancel safety
    /// Dropped when the statement ends early: what it has done must not be visible then.
    fn drain(self: Arc<Self>, rows: SendableRecordBatchStream) -> BoxFuture<'static, Result<()>>;
}

/// Drains its input into a sink and yields no rows.
#[derive(Debug)]
pub struct SinkExec {
    input: Arc<dyn ExecutionPlan>,
    sink: Arc<dyn RowSink>,
    properties: Arc<PlanProperties>,
}

impl SinkExec {
    /// Puts a sink on top of a plan.
    #[must_use]
    pub fn new(input: Arc<dyn ExecutionPlan>, sink: Arc<dyn RowSink>) -> Self {
        let n_partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(n_partitions),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, sink, properties: Arc::new(properties) }
    }
}

impl DisplayAs for SinkExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SinkExec")
    }
}

impl ExecutionPlan for SinkExec {
    fn name(&self) -> &'static str {
        "SinkExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(Self::new(input, Arc::clone(&self.sink))))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema: SchemaRef = self.input.schema();
        let rows = self.input.execute(partition, context)?;
        let drained = Arc::clone(&self.sink).drain(rows);
        let nothing = futures::stream::once(drained).filter_map(|done| {
            let failure: Option<Result<RecordBatch>> = done.err().map(Err);
            futures::future::ready(failure)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, nothing)))
    }
}
