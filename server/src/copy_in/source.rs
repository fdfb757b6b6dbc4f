//! What is copied, as a relation that is read once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::chunks::Chunk;
use super::lines::LineReader;
use crate::error::{Error, Result};

/// What is sent: the end is told apart from a sender that is gone.
#[derive(Debug)]
pub(super) enum Piece {
    /// Rows that were read already.
    Rows(RecordBatch),
    /// Lines, which are read where the rows are needed.
    Lines(Chunk),
    End,
}

/// Where pieces arrive; whoever is free takes the next one.
#[derive(Debug)]
pub(super) struct Arrivals {
    pieces: tokio::sync::Mutex<mpsc::Receiver<Piece>>,
    has_ended: AtomicBool,
    reader: Arc<LineReader>,
    /// The first error of the reader: inside of a plan it would lose its type.
    failure: Mutex<Option<Error>>,
}

impl Arrivals {
    pub(super) fn new(pieces: mpsc::Receiver<Piece>, reader: Arc<LineReader>) -> Arc<Self> {
        Arc::new(Self {
            pieces: tokio::sync::Mutex::new(pieces),
            has_ended: AtomicBool::new(false),
            reader,
            failure: Mutex::default(),
        })
    }

    pub(super) fn take_failure(&self) -> Option<Error> {
        self.failure.lock().take()
    }

    /// The rows as a relation that several tasks read together.
    pub(super) fn relation(self: &Arc<Self>, n_tasks: usize) -> Result<Arc<dyn TableProvider>> {
        let schema = Arc::clone(self.reader.batch_schema());
        let task = || {
            let part = Part { schema: Arc::clone(&schema), arrivals: Arc::clone(self) };
            Arc::new(part) as Arc<dyn PartitionStream>
        };
        let parts = (0..n_tasks.max(1)).map(|_| task()).collect();
        let table = StreamingTable::try_new(Arc::clone(&schema), parts);
        let table = table.map_err(|error| Error::Internal { what: error.to_string() })?;
        Ok(Arc::new(table))
    }

    async fn next(&self) -> EngineResult<Option<Vec<RecordBatch>>> {
        let piece = {
            let mut pieces = self.pieces.lock().await;
            if self.has_ended.load(Ordering::Acquire) {
                return Ok(None);
            }
            let piece = pieces.recv().await;
            if matches!(piece, Some(Piece::End)) {
                self.has_ended.store(true, Ordering::Release);
            }
            piece
        };
        match piece {
            Some(Piece::Rows(rows)) => Ok(Some(vec![rows])),
            Some(Piece::Lines(chunk)) => match self.reader.read(&chunk) {
                Ok(rows) => Ok(Some(rows)),
                Err(error) => {
                    let text = error.to_string();
                    self.failure.lock().get_or_insert(error);
                    Err(DataFusionError::Execution(text))
                }
            },
            Some(Piece::End) => Ok(None),
            None => Err(DataFusionError::Execution("COPY was not finished".to_owned())),
        }
    }
}

/// One of the tasks that read.
#[derive(Debug)]
struct Part {
    schema: SchemaRef,
    arrivals: Arc<Arrivals>,
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let arrivals = Arc::clone(&self.arrivals);
        let rows = futures::stream::try_unfold(arrivals, |arrivals| async move {
            let rows: EngineResult<_> = arrivals.next().await;
            rows.map(|rows| rows.map(|rows| (rows, arrivals)))
        });
        let rows = rows.map_ok(|rows| futures::stream::iter(rows).map(Ok)).try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}
