//! Rows on their way to a client.
//!
//! Nothing runs ahead: a batch is pulled from the query when HTTP/2 has room for it, so a slow
//! reader holds one batch and what the socket buffers. When the client goes away, tonic drops the
//! stream, with it the rows, and that ends the query.
//!
//! A client that reads nothing asks for nothing, so a watcher beside the stream ends the query
//! when it is cancelled or out of time:
//!
//! ```text
//!   stream ── asks for a batch ──► takes the rows ──► puts them back ──► waits for HTTP/2
//!   watcher ── cancel, timeout ──► drops the rows, leaves the reason for the stream
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use bytes::Bytes;
use datafusion::common::ScalarValue;
use futures::Stream;
use futures::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;

use super::frontend::Frontend;
use super::statement::Ticket;
use super::{DataStream, MESSAGE_TARGET_BYTES, ipc_options, refusal, schema};
use crate::error::Error;
use crate::session::{Execution, Rows};

/// What a stream runs between two batches.
#[derive(Debug, Default)]
enum Running {
    #[default]
    Nothing,
    Rows(Box<Rows>),
    Stopped(Reason),
}

/// Why a query was stopped while nobody asked for its rows.
#[derive(Debug, Clone, Copy)]
enum Reason {
    Cancelled,
    TimedOut,
}

/// A statement that is being run for each of its parameter rows.
pub(super) struct RowStream {
    frontend: Arc<Frontend>,
    ticket: Arc<Ticket>,
    /// Forgotten once all rows were sent.
    handle: Option<Bytes>,
    schema: SchemaRef,
    to_run: VecDeque<Vec<ScalarValue>>,
    running: Arc<Mutex<Running>>,
    /// Ends the watcher of what runs.
    watched: Option<DropGuard>,
}

impl RowStream {
    /// Starts a statement; what fails before the first row fails here.
    ///
    /// # Errors
    /// Those of the statement.
    pub(super) async fn start(
        frontend: Arc<Frontend>,
        ticket: Arc<Ticket>,
        handle: Option<Bytes>,
    ) -> Result<DataStream, Status> {
        let schema = ticket.schema();
        let to_run = ticket.parameter_rows();
        let running = Arc::default();
        let mut rows = Self { frontend, ticket, handle, schema, to_run, running, watched: None };
        rows.run_next().await?;
        let schema = Arc::clone(&rows.schema);
        let batches = stream::try_unfold(rows, |mut rows| async move {
            let batch = rows.next().await?;
            Ok(batch.map(|batch| (batch, rows)))
        });
        Ok(encode(&schema, batches))
    }

    /// Returns the next batch, none after the last row of the last run.
    async fn next(&mut self) -> Result<Option<RecordBatch>, Status> {
        loop {
            let running = std::mem::take(&mut *self.running.lock());
            let mut rows = match running {
                Running::Rows(rows) => rows,
                Running::Stopped(reason) => return Err(self.stopped(reason)),
                Running::Nothing => {
                    if self.run_next().await? {
                        continue;
                    }
                    if let Some(handle) = self.handle.take() {
                        self.frontend.tickets.remove(self.ticket.session().user(), &handle);
                    }
                    return Ok(None);
                }
            };
            let batch = tokio::select! {
                biased;
                () = self.ticket.cancelled().cancelled() => return Err(refusal::cancelled()),
                batch = rows.next() => batch,
            };
            match batch {
                None => self.watched = None,
                Some(Err(error)) => return Err(self.ticket.session().failed(&error)),
                Some(Ok(batch)) => {
                    self.put_back(rows)?;
                    if batch.num_rows() > 0 {
                        let batch = schema::to_wire(&batch, &self.schema);
                        return batch.map(Some).map_err(|error| refusal::changed_result(&error));
                    }
                }
            }
        }
    }

    /// Lets the watcher have the rows until the next batch is asked for.
    fn put_back(&self, rows: Box<Rows>) -> Result<(), Status> {
        let mut running = self.running.lock();
        if let Running::Stopped(reason) = *running {
            drop(running);
            return Err(self.stopped(reason));
        }
        *running = Running::Rows(rows);
        Ok(())
    }

    fn stopped(&self, reason: Reason) -> Status {
        match reason {
            Reason::Cancelled => refusal::cancelled(),
            Reason::TimedOut => self.ticket.session().failed(&Error::StatementTimeout),
        }
    }

    /// Watches over rows until the run has ended.
    fn watch(&mut self, rows: Rows) {
        let (done, deadline) = (CancellationToken::new(), rows.deadline());
        self.watched = Some(done.clone().drop_guard());
        *self.running.lock() = Running::Rows(Box::new(rows));
        let (running, cancelled) = (Arc::clone(&self.running), self.ticket.cancelled().clone());
        let watching = async move {
            let out_of_time = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let reason = tokio::select! {
                biased;
                () = done.cancelled() => return,
                () = cancelled.cancelled() => Reason::Cancelled,
                () = out_of_time => Reason::TimedOut,
            };
            let rows = std::mem::replace(&mut *running.lock(), Running::Stopped(reason));
            // Outside of the lock: this ends the query.
            drop(rows);
        };
        drop(self.frontend.shared().engine.spawn(watching));
    }

    /// Starts the next run; false if there is none left.
    async fn run_next(&mut self) -> Result<bool, Status> {
        let Some(parameters) = self.to_run.pop_front() else { return Ok(false) };
        let session = self.ticket.session().session();
        let execution = tokio::select! {
            biased;
            () = self.ticket.cancelled().cancelled() => return Err(refusal::cancelled()),
            execution = session.execute(self.ticket.prepared(), parameters) => execution,
        };
        match execution.map_err(|error| self.ticket.session().failed(&error))? {
            Execution::Rows(rows) => self.watch(rows),
            Execution::Done(_) => {}
            Execution::CopyOut(_) | Execution::CopyIn(_) => {
                return Err(self.ticket.session().failed(&crate::query::copy_elsewhere()));
            }
        }
        Ok(true)
    }
}

impl Drop for RowStream {
    /// The watcher may hold on to the rows until it has noticed.
    fn drop(&mut self) {
        let running = std::mem::take(&mut *self.running.lock());
        drop(running);
    }
}

/// Encodes batches that all have the announced schema.
pub(super) fn encode(
    schema: &SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, Status>> + Send + 'static,
) -> DataStream {
    FlightDataEncoderBuilder::new()
        .with_schema(Arc::clone(schema))
        .with_options(ipc_options())
        .with_max_flight_data_size(MESSAGE_TARGET_BYTES)
        .build(batches.map_err(FlightError::from))
        .map_err(refusal::flight_error)
        .boxed()
}

/// Encodes a table that was made in memory.
pub(super) fn encode_one(batch: RecordBatch) -> DataStream {
    let schema = batch.schema();
    encode(&schema, stream::iter([Ok(batch)]))
}
