//! Where the rows of a statement go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tarn_catalog::delta::{
    FileWriter, NewFile, RowsByFile, WriteOptions, WriteTarget, write_files,
};
use tarn_exec::RowSink;

use super::changes;
use crate::error::{Error, Result};
use crate::modify::gate::Gate;
use crate::modify::internal;

/// Passes rows through the gate and writes the new ones.
#[derive(Debug)]
pub(super) struct WrittenRows {
    gate: Arc<Gate>,
    /// `None` where rows only go.
    target: Option<Arc<WriteTarget>>,
    options: WriteOptions,
    /// Whether the changes go into files of their own, too.
    has_changes: bool,
    /// The bytes that rows for RETURNING may take; `None` where they are not wanted.
    kept_bytes_max: Option<usize>,
    taken: Mutex<Taken>,
    n_rows: AtomicU64,
    n_new_rows: AtomicU64,
    /// The first error of the gate: inside of a plan it would lose its type.
    failure: Mutex<Option<Error>>,
}

/// What a statement has written.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) files: Vec<NewFile>,
    /// Files of the change data feed.
    pub(super) changes: Vec<NewFile>,
    /// The rows that go.
    pub(super) numbers: RowsByFile,
    /// The rows for RETURNING.
    pub(super) touched: Vec<RecordBatch>,
    n_touched_bytes: usize,
    pub(super) n_rows: u64,
    pub(super) n_new_rows: u64,
}

impl WrittenRows {
    pub(super) fn new(
        gate: Arc<Gate>,
        target: Arc<WriteTarget>,
        options: WriteOptions,
        kept_bytes_max: Option<usize>,
    ) -> Self {
        Self { target: Some(target), options, kept_bytes_max, ..Self::counting(gate) }
    }

    /// Notes the numbers of rows, and writes nothing.
    pub(super) fn counting(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            target: None,
            options: WriteOptions::default(),
            has_changes: false,
            kept_bytes_max: None,
            taken: Mutex::default(),
            n_rows: AtomicU64::new(0),
            n_new_rows: AtomicU64::new(0),
            failure: Mutex::default(),
        }
    }

    /// Writes what the change data feed says, too.
    pub(super) fn with_changes(self) -> Self {
        Self { has_changes: true, ..self }
    }

    pub(super) fn take(&self) -> Taken {
        let taken = std::mem::take(&mut *self.taken.lock());
        Taken {
            numbers: self.gate.take_numbers(),
            n_rows: self.n_rows.load(Ordering::Relaxed),
            n_new_rows: self.n_new_rows.load(Ordering::Relaxed),
            ..taken
        }
    }

    pub(super) fn take_failure(&self) -> Option<Error> {
        self.failure.lock().take()
    }

    /// The new rows among those that the statement's query yields, and what the change data feed
    /// says of them.
    fn accept(&self, batch: &RecordBatch) -> Result<Accepted> {
        let gated = self.gate.pass(batch)?;
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.n_rows.fetch_add(count(gated.n_rows), Ordering::Relaxed);
        if let (Some(n_bytes_max), Some(values)) = (self.kept_bytes_max, gated.touched()) {
            let mut taken = self.taken.lock();
            taken.n_touched_bytes += values.get_array_memory_size();
            if taken.n_touched_bytes > n_bytes_max {
                let message =
                    format!("the rows of RETURNING may take {n_bytes_max} bytes of memory");
                return Err(Error::Value { code: "53400", message });
            }
            taken.touched.push(values.clone());
        }
        let new = gated.new_rows()?.filter(|rows| rows.num_rows() > 0);
        let n_new = new.as_ref().map_or(0, RecordBatch::num_rows);
        self.n_new_rows.fetch_add(count(n_new), Ordering::Relaxed);
        let changes = if self.has_changes { changes::of(&gated)? } else { vec![] };
        Ok(Accepted { new, changes })
    }

    /// As [`Self::accept`], inside of a plan.
    fn accept_or_fail(&self, batch: &RecordBatch) -> EngineResult<Accepted> {
        self.accept(batch).map_err(|error| {
            let text = error.to_string();
            self.failure.lock().get_or_insert(error);
            DataFusionError::Execution(text)
        })
    }
}

/// What a batch has come to.
struct Accepted {
    new: Option<RecordBatch>,
    changes: Vec<RecordBatch>,
}

/// The files of one partition on their way.
struct Files {
    data: FileWriter,
    changes: FileWriter,
}

impl Files {
    async fn write(&mut self, accepted: Accepted) -> EngineResult<()> {
        if let Some(rows) = accepted.new {
            self.data.write(&rows).await?;
        }
        for rows in accepted.changes {
            self.changes.write(&rows).await?;
        }
        Ok(())
    }
}

impl WrittenRows {
    async fn drain_into(
        &self,
        mut rows: SendableRecordBatchStream,
        target: &Arc<WriteTarget>,
    ) -> EngineResult<()> {
        let feed = WriteOptions { is_change_data: true, ..self.options.clone() };
        let mut files = Files {
            data: FileWriter::new(Arc::clone(target), self.options.clone()),
            changes: FileWriter::new(Arc::clone(target), feed),
        };
        while let Some(batch) = rows.next().await {
            files.write(self.accept_or_fail(&batch?)?).await?;
        }
        let data = files.data.finish().await?;
        let changes = files.changes.finish().await?;
        let mut taken = self.taken.lock();
        taken.files.extend(data);
        taken.changes.extend(changes);
        Ok(())
    }
}

impl RowSink for WrittenRows {
    fn drain(
        self: Arc<Self>,
        mut rows: SendableRecordBatchStream,
    ) -> BoxFuture<'static, EngineResult<()>> {
        Box::pin(async move {
            if let Some(target) = self.target.clone() {
                return self.drain_into(rows, &target).await;
            }
            while let Some(batch) = rows.next().await {
                self.accept_or_fail(&batch?)?;
            }
            Ok(())
        })
    }
}

/// Writes the rows that stay of files that are written anew.
#[derive(Debug)]
pub(super) struct KeptRows {
    gone: RowsByFile,
    target: Arc<WriteTarget>,
    options: WriteOptions,
    files: Mutex<Vec<NewFile>>,
}

impl KeptRows {
    pub(super) fn new(gone: RowsByFile, target: Arc<WriteTarget>, options: WriteOptions) -> Self {
        Self { gone, target, options, files: Mutex::default() }
    }

    pub(super) fn take(&self) -> Vec<NewFile> {
        std::mem::take(&mut *self.files.lock())
    }

    /// The rows that stay, without their numbers, which are the last column.
    fn kept(&self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let n_columns = batch.num_columns().saturating_sub(1);
        let numbers = batch.columns().last().and_then(|c| c.as_primitive_opt::<Int64Type>());
        let numbers = numbers.ok_or_else(|| Error::Internal { what: "no row numbers".into() })?;
        let stays: BooleanArray =
            numbers.values().iter().map(|number| Some(!self.gone.contains(*number))).collect();
        let columns: Vec<usize> = (0..n_columns).collect();
        let rows = batch.project(&columns).map_err(internal)?;
        let rows = filter_record_batch(&rows, &stays).map_err(internal)?;
        Ok((rows.num_rows() > 0).then_some(rows))
    }
}

impl RowSink for KeptRows {
    fn drain(
        self: Arc<Self>,
        rows: SendableRecordBatchStream,
    ) -> BoxFuture<'static, EngineResult<()>> {
        Box::pin(async move {
            let sink = Arc::clone(&self);
            let kept = rows.filter_map(move |batch| {
                let kept = batch.and_then(|batch| {
                    let failed = |error: Error| DataFusionError::Execution(error.to_string());
                    sink.kept(&batch).map_err(failed)
                });
                futures::future::ready(kept.transpose())
            });
            let schema = Arc::clone(self.target.schema());
            let stream = Box::pin(RecordBatchStreamAdapter::new(schema, kept));
            let files = write_files(&self.target, vec![stream], &self.options).await?;
            self.files.lock().extend(files);
            Ok(())
        })
    }
}
