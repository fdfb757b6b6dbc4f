//! COPY … FROM: rows of a client, or of files, for a table.
//!
//! ```text
//!   the client's messages, a file ─► batches ─► a relation that is read once
//!                                                  └─► INSERT INTO t SELECT … FROM it
//! ```
//! The rows are added by an INSERT of their own, so that defaults, constraints, types with lengths
//! and transactions are the same as there. It runs while the rows come: a failure leaves nothing,
//! and a table in files needs no memory for all of them.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use tarn_catalog::rights::Privilege;
use tarn_exec::QueryId;
use tarn_planner::statement::{Copy, CopyOptions, FileKind};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::modify::{Source, WriteTable, check_writable, insert_rows};
use crate::query::Execution;
use crate::session::Session;
use tarn_planner::calendar::Zone;

pub(crate) mod chunks;
mod columns;
mod fields;
mod files;
mod groups;
mod json;
pub(crate) mod lines;
mod members;
mod objects;
mod source;
mod values;

pub(crate) use files::run as copy_files;
pub(crate) use json::copy_hint;

use chunks::Chunk;
use json::Objects;
use lines::LineReader;
use objects::Cutter;
use source::{Arrivals, Piece};

/// Pieces that wait for the writer.
const N_WAITING_PIECES_MAX: usize = 2;
/// Bytes of lines that are read at a time.
const N_BYTES_CHUNK: usize = 1 << 20;

/// A table that waits for the rows that a client copies.
#[derive(Debug)]
pub struct CopyIn {
    session: Arc<Session>,
    copy: Copy,
    /// The columns that are sent, in that order.
    schema: SchemaRef,
    /// How they are found in JSON.
    objects: Option<Objects>,
    bytes_max: usize,
    /// Whether all rows are in memory at the end.
    is_gathered: bool,
}

impl CopyIn {
    /// The table's name as messages show it.
    pub(crate) fn table(&self) -> &str {
        self.copy.table.as_ref().map_or("", |table| table.table.as_str())
    }

    /// The columns that are sent, in that order.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How they look.
    pub(crate) fn options(&self) -> &CopyOptions {
        &self.copy.options
    }

    /// The memory that the rows may take while they are gathered, or a line.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Whether all rows together are bound by [`Self::bytes_max`], not only what waits.
    pub(crate) fn is_gathered(&self) -> bool {
        self.is_gathered
    }

    /// Begins to add rows.
    pub(crate) fn start(&self, zone: Zone) -> Incoming {
        let (sender, receiver) = mpsc::channel(N_WAITING_PIECES_MAX);
        let options = self.copy.options.clone();
        let objects = self.objects.clone().unwrap_or_default();
        let chunker = Cutter::new(&options, self.objects.is_some(), N_BYTES_CHUNK);
        let reader = LineReader::new(self.table(), Arc::clone(&self.schema), options, zone);
        let reader = Arc::new(reader.with_members(objects.members));
        let arrivals = Arrivals::new(receiver, Arc::clone(&reader));
        // One task keeps the rows in their order, which tables in memory show.
        let n_threads = self.session.shared.engine.n_threads();
        let rows = arrivals.relation(if self.is_gathered { 1 } else { n_threads });
        let (session, copy) = (Arc::clone(&self.session), self.copy.clone());
        let work = async move {
            let Some(table) = &copy.table else { return Ok(0) };
            let (columns, values) = (objects.columns, objects.values);
            let source = Source { rows: rows?, columns, values, condition: copy.condition };
            insert_rows(&session, table, source, QueryId::next()).await
        };
        let task = Some(self.session.shared.engine.spawn(Box::pin(work)));
        let (bytes_max, is_gathered) = (self.bytes_max, self.is_gathered);
        let session = Arc::clone(&self.session);
        let n_bytes = 0;
        Incoming {
            session,
            sender,
            task,
            arrivals,
            reader,
            chunker,
            bytes_max,
            is_gathered,
            n_bytes,
        }
    }
}

/// Rows on their way into a table; dropping it adds none.
#[derive(Debug)]
pub(crate) struct Incoming {
    session: Arc<Session>,
    sender: mpsc::Sender<Piece>,
    /// `None` once its outcome is known.
    task: Option<JoinHandle<Result<u64>>>,
    arrivals: Arc<Arrivals>,
    reader: Arc<LineReader>,
    chunker: Cutter,
    bytes_max: usize,
    is_gathered: bool,
    n_bytes: usize,
}

impl Incoming {
    /// Hands rows over, when there is a place for them.
    ///
    /// # Errors
    /// Why the rows before could not be added.
    pub(crate) async fn send(&mut self, rows: RecordBatch) -> Result<()> {
        self.hand_over(Piece::Rows(rows)).await
    }

    /// Takes bytes of text, CSV or JSON, which may end anywhere.
    ///
    /// # Errors
    /// As [`Self::send`]; 53400 for more than may be in memory.
    pub(crate) async fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let chunk = self.chunker.push(bytes);
        let n_waiting = self.chunker.n_bytes();
        if self.is_gathered {
            self.n_bytes += bytes.len();
        } else {
            self.n_bytes = n_waiting;
        }
        if self.n_bytes > self.bytes_max {
            let message = format!("COPY would take more than {} bytes of memory", self.bytes_max);
            return Err(Error::Value { code: "53400", message });
        }
        match chunk {
            Some(chunk) => self.lines(chunk).await,
            None => Ok(()),
        }
    }

    async fn lines(&mut self, chunk: Chunk) -> Result<()> {
        self.hand_over(Piece::Lines(chunk)).await
    }

    async fn hand_over(&mut self, piece: Piece) -> Result<()> {
        if self.sender.send(piece).await.is_ok() {
            return Ok(());
        }
        match self.outcome().await {
            Ok(_) => Err(Error::Internal { what: "COPY has ended early".to_owned() }),
            Err(error) => Err(error),
        }
    }

    /// Ends the rows; returns how many were added.
    ///
    /// # Errors
    /// Why they could not be added.
    pub(crate) async fn finish(mut self) -> Result<u64> {
        if let Some(chunk) = self.chunker.finish() {
            self.lines(chunk).await?;
        }
        // A writer that has ended early says why.
        drop(self.sender.send(Piece::End).await);
        let n_rows = self.outcome().await?;
        let (n_skipped, told) = self.reader.skipped();
        for message in told {
            self.session.notice("NOTICE", "00000", message);
        }
        let errors = &self.reader.options().errors;
        if n_skipped > 0 && !errors.silent {
            let rows = if n_skipped == 1 { "row was" } else { "rows were" };
            let message = format!("{n_skipped} {rows} skipped due to data type incompatibility");
            self.session.notice("NOTICE", "00000", message);
        }
        Ok(n_rows)
    }

    /// Adds nothing, and returns when that is certain.
    pub(crate) async fn stop(mut self) {
        let Some(task) = self.task.take() else { return };
        task.abort();
        // Whether it was stopped or had failed before is the same to the caller.
        drop(task.await);
    }

    async fn outcome(&mut self) -> Result<u64> {
        let Some(task) = &mut self.task else { return Err(Error::Stopping) };
        let outcome = task.await;
        self.task = None;
        // What a reader has found says more than that the plan has failed.
        if let (Ok(Err(_)), Some(failure)) = (&outcome, self.arrivals.take_failure()) {
            return Err(failure);
        }
        match outcome {
            Ok(done) => done,
            Err(error) if error.is_panic() => {
                Err(Error::Internal { what: "COPY has panicked".to_owned() })
            }
            Err(_) => Err(Error::Stopping),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Finds the table and checks that it can be written.
pub(crate) async fn begin(session: &Arc<Session>, copy: &Copy) -> Result<Execution> {
    Ok(Execution::CopyIn(Box::new(prepare(session, copy).await?)))
}

async fn prepare(session: &Arc<Session>, copy: &Copy) -> Result<CopyIn> {
    let Some(target) = &copy.table else {
        return Err(Error::Internal { what: "COPY FROM without a table".to_owned() });
    };
    let table = WriteTable::find(session, target, &[Privilege::Insert]).await?;
    check_writable(session, "COPY FROM", Some(&table.name))?;
    let mut schema = columns_of(&table, copy)?;
    let named = schema.fields().iter().map(|field| field.name().clone()).collect();
    table.require_columns(Privilege::Insert, &named)?;
    let options = &copy.options;
    for (what, columns) in
        [("FORCE_NOT_NULL", &options.force_not_null), ("FORCE_NULL", &options.force_null)]
    {
        if let Some(name) = columns.names().iter().find(|n| schema.index_of(n).is_err()) {
            let message = format!("{what} column \"{name}\" not referenced by COPY");
            return Err(Error::Value { code: "42P10", message });
        }
    }
    let mut objects = None;
    if copy.file.as_ref().is_some_and(|file| file.kind == FileKind::Json) {
        let (with_marks, found) = json::columns(&table, copy, &schema);
        (schema, objects) = (with_marks, Some(found));
    }
    let bytes_max = session.shared.config.memory_table_bytes_max;
    let is_gathered = table.is_in_memory();
    let (session, copy) = (Arc::clone(session), copy.clone());
    Ok(CopyIn { session, copy, schema, objects, bytes_max, is_gathered })
}

/// The columns that come: those listed, or all that are not generated.
fn columns_of(table: &WriteTable, copy: &Copy) -> Result<SchemaRef> {
    let all = &table.schema;
    let generated = |at: usize| table.details.generated_of(at).is_some();
    let mut fields = Vec::new();
    for column in &copy.columns {
        let name = table.name.table();
        let Ok(at) = all.index_of(column) else {
            let message = format!("column \"{column}\" of relation \"{name}\" does not exist");
            return Err(Error::Value { code: "42703", message });
        };
        if copy.columns.iter().filter(|other| *other == column).count() > 1 {
            let message = format!("column \"{column}\" specified more than once");
            return Err(Error::Value { code: "42701", message });
        }
        if generated(at) {
            let message = format!("column \"{column}\" is a generated column");
            return Err(Error::Value { code: "42P10", message });
        }
        fields.push(Arc::new(all.field(at).clone()));
    }
    if fields.is_empty() {
        let plain = all.fields().iter().enumerate().filter(|(at, _)| !generated(*at));
        fields = plain.map(|(_, field)| Arc::clone(field)).collect();
    }
    Ok(Arc::new(Schema::new(fields)))
}
