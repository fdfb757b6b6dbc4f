//! A statement's rows on their way.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::physical_plan::ExecutionPlan;
use tarn_exec::{QueryId, QueryStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cursors::Fetching;
use crate::error::{Error, Result};
use crate::gone;
use crate::session::Session;

/// A running query's rows; dropping it stops the query.
#[derive(Debug)]
pub struct Rows {
    pub(super) session: Arc<Session>,
    pub(super) schema: SchemaRef,
    pub(super) verb: &'static str,
    pub(super) source: Source,
    pub(super) query_id: QueryId,
    pub(super) deadline: Option<Instant>,
    /// Whether a cursor asks for the binary format also in the simple protocol.
    pub(super) binary: bool,
    /// The logical plan, held as long as it runs: it holds the versions that are read, so that
    /// VACUUM lets their files be. Behind `Any` so that futures which hold rows compile quickly.
    pub(super) reads: Option<Arc<dyn Any + Send + Sync>>,
}

#[derive(Debug)]
pub(super) enum Source {
    Stream(QueryStream),
    Batches(VecDeque<RecordBatch>),
    Fetch(Box<Fetching>),
}

impl Rows {
    /// The columns of every batch.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The word of the command tag: `SELECT`, `SHOW`, `EXPLAIN`.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        self.verb
    }

    /// The query's number.
    #[must_use]
    pub fn query_id(&self) -> QueryId {
        self.query_id
    }

    /// When the statement has to be done, sending included.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Sets when the rest of the rows has to be there.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// The token of what the session runs now.
    pub(crate) fn session_token(&self) -> CancellationToken {
        self.session.token()
    }

    /// Whether the client of a simple query gets them in the binary format.
    pub(crate) fn is_binary(&self) -> bool {
        self.binary
    }

    pub(crate) fn with_binary(self, binary: bool) -> Self {
        // Taken apart by hand: a value that is dropped cannot be updated in place.
        let mut rows = self;
        rows.binary = binary;
        rows
    }

    /// Rows that are here already.
    pub(crate) fn of_batches(
        session: &Arc<Session>,
        schema: SchemaRef,
        verb: &'static str,
        batches: Vec<RecordBatch>,
        query_id: QueryId,
    ) -> Self {
        let (session, source) = (Arc::clone(session), Source::Batches(batches.into()));
        Self { session, schema, verb, source, query_id, deadline: None, binary: false, reads: None }
    }

    /// The rows of a FETCH.
    pub(crate) fn of_fetch(
        session: &Arc<Session>,
        schema: SchemaRef,
        fetching: Fetching,
        query_id: QueryId,
        deadline: Option<Instant>,
    ) -> Self {
        let (session, source) = (Arc::clone(session), Source::Fetch(Box::new(fetching)));
        Self {
            session,
            schema,
            verb: "FETCH",
            source,
            query_id,
            deadline,
            binary: false,
            reads: None,
        }
    }

    /// The plan that runs, where there is one.
    #[must_use]
    pub fn plan(&self) -> Option<&Arc<dyn ExecutionPlan>> {
        match &self.source {
            Source::Stream(stream) => Some(stream.plan()),
            Source::Batches(_) | Source::Fetch(_) => None,
        }
    }

    /// The next batch; `None` after the last one or after an error.
    pub async fn next(&mut self) -> Option<Result<RecordBatch>> {
        let batch = match &mut self.source {
            Source::Batches(batches) => return batches.pop_front().map(Ok),
            Source::Fetch(fetching) => return Box::pin(fetching.next()).await,
            Source::Stream(stream) => match self.deadline {
                None => stream.next().await,
                Some(deadline) => match tokio::time::timeout_at(deadline, stream.next()).await {
                    Ok(batch) => batch,
                    Err(_) => return Some(Err(Error::StatementTimeout)),
                },
            },
        };
        match batch? {
            Ok(batch) => Some(rename(&batch, &self.schema)),
            Err(error) => {
                let error = Error::from(error);
                let plan = self.reads.as_deref().filter(|_| gone::may_be_gone(&error));
                let places = plan.map(gone::Place::of_plan).unwrap_or_default();
                // Where files are missing because their table was dropped, that is the error.
                let told = Box::pin(gone::told(&self.session, places)).await;
                Some(Err(told.map_or(error, Error::Catalog)))
            }
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.session.shared.running.remove(self.query_id);
        self.session.end_statement(self.query_id);
    }
}

/// Puts the announced schema on a batch: names without suffixes.
pub(crate) fn rename(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)
        .map_err(|error| Error::Internal { what: format!("a batch has another schema: {error}") })
}
