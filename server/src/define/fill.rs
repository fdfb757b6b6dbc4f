//! The rows of CREATE TABLE … AS on their way into files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tarn_catalog::delta::{NewFile, WriteOptions, WriteTarget, write_files};
use tarn_exec::{QueryId, RowSink, SinkExec};
use tarn_planner::PlannerError;
use tarn_planner::rewrite::strip_suffix;
use tarn_planner::statement::TableClauses;

use crate::error::Result;
use crate::session::Session;

/// Writes rows into files of a new table.
#[derive(Debug)]
pub(crate) struct NewRows {
    target: Arc<WriteTarget>,
    /// The query's columns under the names that they have in the table.
    schema: SchemaRef,
    files: Mutex<Vec<NewFile>>,
    n_rows: Arc<AtomicU64>,
}

impl NewRows {
    pub(crate) fn new(target: Arc<WriteTarget>, schema: SchemaRef) -> Self {
        Self { target, schema, files: Mutex::default(), n_rows: Arc::default() }
    }

    /// What was written.
    pub(crate) fn take(&self) -> (Vec<NewFile>, u64) {
        (std::mem::take(&mut *self.files.lock()), self.n_rows.load(Ordering::Relaxed))
    }
}

impl RowSink for NewRows {
    fn drain(
        self: Arc<Self>,
        rows: SendableRecordBatchStream,
    ) -> BoxFuture<'static, EngineResult<()>> {
        Box::pin(async move {
            let (schema, n_rows) = (Arc::clone(&self.schema), Arc::clone(&self.n_rows));
            let named = rows.map(move |batch| {
                let batch = batch?;
                n_rows.fetch_add(
                    u64::try_from(batch.num_rows()).unwrap_or(u64::MAX),
                    Ordering::Relaxed,
                );
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                let columns = batch.columns().to_vec();
                let fields = schema.fields().iter().zip(&columns).map(|(field, column)| {
                    // The types are those that the plan yields: the writer casts them.
                    field.as_ref().clone().with_data_type(column.data_type().clone())
                });
                let fields: Vec<_> = fields.collect();
                let schema = Arc::new(arrow::datatypes::Schema::new(fields));
                RecordBatch::try_new_with_options(schema, columns, &options)
                    .map_err(|error| DataFusionError::ArrowError(Box::new(error), None))
            });
            let stream = RecordBatchStreamAdapter::new(Arc::clone(&self.schema), named);
            let options = WriteOptions::default();
            let files = write_files(&self.target, vec![Box::pin(stream)], &options).await?;
            self.files.lock().extend(files);
            Ok(())
        })
    }
}

/// Gives the rows to several writers: by partition of the table, so that each writes few files,
/// otherwise evenly.
pub(super) fn spread(
    plan: Arc<dyn ExecutionPlan>,
    clauses: &TableClauses,
    n_writers: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    let n_partitions = plan.output_partitioning().partition_count();
    if n_writers < 2 {
        return Ok(plan);
    }
    let partitioning = if clauses.partitioned_by.is_empty() {
        // Rows in an order are written in it.
        if n_partitions > 1 || plan.output_ordering().is_some() {
            return Ok(plan);
        }
        Partitioning::RoundRobinBatch(n_writers)
    } else {
        let schema = plan.schema();
        let key = |name: &String| -> Option<Arc<dyn PhysicalExpr>> {
            let fields = schema.fields().iter();
            let at = fields.map(|field| strip_suffix(field.name())).position(|n| n == name)?;
            Some(Arc::new(Column::new(schema.fields().get(at)?.name(), at)))
        };
        let keys: Option<Vec<_>> = clauses.partitioned_by.iter().map(key).collect();
        // A column that the statement has renamed.
        let Some(keys) = keys else { return Ok(plan) };
        Partitioning::Hash(keys, n_writers)
    };
    let spread = RepartitionExec::try_new(plan, partitioning)
        .map_err(|error| PlannerError::Engine(Box::new(error)))?;
    Ok(Arc::new(spread))
}

/// Runs a plan into a sink.
pub(crate) async fn run(
    session: &Arc<Session>,
    physical: Arc<dyn ExecutionPlan>,
    state: &SessionState,
    sink: Arc<dyn RowSink>,
    query_id: QueryId,
) -> Result<()> {
    let engine = &session.shared.engine;
    let context =
        tarn_planner::session_state::task_context(state, Arc::clone(engine.runtime_env()));
    let plan: Arc<dyn ExecutionPlan> = Arc::new(SinkExec::new(physical, sink));
    let mut stream =
        engine.run(query_id, plan, context, session.token(), tarn_exec::Lane::Queries).await?;
    let _listed = session.shared.running.list(query_id, Arc::clone(stream.plan()));
    while let Some(batch) = stream.next().await {
        batch?;
    }
    Ok(())
}
