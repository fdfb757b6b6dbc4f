//! A running query: the task that produces batches and the stream that hands them out.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::{ExecError, Result};
use crate::id::QueryId;

/// Batches between the query and its client; the query waits when they are not taken.
pub const N_BUFFERED_BATCHES: usize = 2;

/// The result of a running query.
///
/// # Cancel safety
/// Dropping it aborts the query's task, which drops the operators and frees their memory.
#[derive(Debug)]
pub struct QueryStream {
    id: QueryId,
    schema: SchemaRef,
    plan: Arc<dyn ExecutionPlan>,
    batches: mpsc::Receiver<Result<RecordBatch>>,
    cancel: CancellationToken,
    task: AbortHandle,
}

impl QueryStream {
    /// The query's number.
    #[must_use]
    pub fn id(&self) -> QueryId {
        self.id
    }

    /// The schema of every batch.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The plan that runs, with its metrics.
    #[must_use]
    pub fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
    }

    /// The next batch; `None` after the last one or after an error.
    ///
    /// A cancelled query answers at once, also while an operator computes without a pause; its
    /// task ends at the operator's next pause.
    pub async fn next(&mut self) -> Option<Result<RecordBatch>> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Some(Err(ExecError::Cancelled)),
            batch = self.batches.recv() => batch,
        }
    }
}

impl Drop for QueryStream {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.task.abort();
    }
}

pub(crate) fn start(
    engine: &Engine,
    id: QueryId,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    cancel: CancellationToken,
    permit: OwnedSemaphorePermit,
) -> QueryStream {
    let (sender, batches) = mpsc::channel(N_BUFFERED_BATCHES);
    let schema = plan.schema();
    let producer = Producer {
        plan: Arc::clone(&plan),
        context,
        cancel: cancel.clone(),
        sender: sender.clone(),
        permits: Arc::clone(permit.semaphore()),
        permit: Some(permit),
    };
    let task = engine.spawn(async move {
        // A panic in an operator ends this query only; the panic hook has logged where it was.
        let outcome = AssertUnwindSafe(producer.run()).catch_unwind().await;
        let error = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(panic) => ExecError::Panicked { what: panic_message(panic.as_ref()) },
        };
        // A receiver that is gone does not want the error.
        drop(sender.send(Err(error)).await);
    });
    QueryStream { id, schema, plan, batches, cancel, task: task.abort_handle() }
}

struct Producer {
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    cancel: CancellationToken,
    sender: mpsc::Sender<Result<RecordBatch>>,
    permits: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Producer {
    async fn run(mut self) -> Result<()> {
        let mut stream = execute_stream(Arc::clone(&self.plan), Arc::clone(&self.context))
            .map_err(|error| ExecError::Engine(Box::new(error)))?;
        loop {
            let batch = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(ExecError::Cancelled),
                batch = stream.next() => batch,
            };
            match batch {
                None => return Ok(()),
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => self.send(batch).await?,
                Some(Err(error)) => return Err(ExecError::Engine(Box::new(error))),
            }
        }
    }

    /// Hands a batch to the client; gives the place among the running queries to another one
    /// while the client is slow.
    async fn send(&mut self, batch: RecordBatch) -> Result<()> {
        let batch = match self.sender.try_send(Ok(batch)) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(ExecError::Cancelled),
            Err(TrySendError::Full(batch)) => batch,
        };
        self.permit = None;
        tokio::select! {
            sent = self.sender.send(batch) => sent.map_err(|_| ExecError::Cancelled)?,
            () = self.cancel.cancelled() => return Err(ExecError::Cancelled),
        }
        tokio::select! {
            permit = Arc::clone(&self.permits).acquire_owned() => {
                self.permit = Some(permit.map_err(|_| ExecError::Stopping)?);
                Ok(())
            }
            () = self.cancel.cancelled() => Err(ExecError::Cancelled),
        }
    }
}

/// The text of a panic, where it has one.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
