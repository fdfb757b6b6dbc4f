//! Rows that are handed out step by step, forward and, where they are kept, backward.
//!
//! ```text
//!   row      1   2   3 │ 4   5   6   7 │ 8 …        in the query's stream, not here yet
//!   kept    ├──────────┼───────────────┤
//!   at                       ▲ the row that the client has seen last
//! ```
//! Without scrolling only the batch that the next row is in stays here.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::UInt64Array;
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use tarn_exec::ExecError;
use tarn_planner::statement::Direction;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::query::Rows;

/// Rows already passed that a cursor keeps without having been declared with SCROLL.
const UNASKED_BYTES_MAX: usize = 4 << 20;

/// What is kept of the rows already passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing.
    Nothing,
    /// As long as it is little: the client may scroll, and has not said whether it will.
    Little,
    /// Everything, up to this many bytes.
    All(usize),
}

/// A query's rows and a position in them.
#[derive(Debug)]
pub(crate) struct Scan {
    schema: SchemaRef,
    verb: &'static str,
    /// `None` once it has ended.
    rows: Option<Rows>,
    /// Batches with the number of rows before each.
    batches: VecDeque<(u64, RecordBatch)>,
    n_bytes: usize,
    keep: Keep,
    /// 0 is before the first row, one more than there are rows is behind the last.
    at: u64,
    /// Rows that the query has yielded.
    n_read: u64,
}

/// How a FETCH goes on after the position has been moved to where it starts.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// These are the rows.
    Rows(Vec<RecordBatch>),
    /// The next ones are, so many or all.
    Forward(Option<u64>),
}

impl Scan {
    pub(crate) fn new(rows: Rows, keep: Keep) -> Self {
        Self {
            schema: Arc::clone(rows.schema()),
            verb: rows.verb(),
            rows: Some(rows),
            batches: VecDeque::new(),
            n_bytes: 0,
            keep,
            at: 0,
            n_read: 0,
        }
    }

    /// The columns of every batch.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The word of the command tag.
    pub(crate) fn verb(&self) -> &'static str {
        self.verb
    }

    /// When what runs now has to be done.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.rows.as_ref().and_then(Rows::deadline)
    }

    /// Sets the time for what runs from now on; between two fetches none runs out.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        if let Some(rows) = &mut self.rows {
            rows.set_deadline(deadline);
        }
    }

    /// Ends the query; what has been read is forgotten.
    pub(crate) fn stop(&mut self) {
        self.rows = None;
        self.batches.clear();
        self.at = self.n_read + 1;
    }

    fn batch_of(&self, row: u64) -> Option<&(u64, RecordBatch)> {
        let n_before = self.batches.partition_point(|(first, _)| *first <= row);
        let found = self.batches.get(n_before.checked_sub(1)?)?;
        (row < found.0 + n_rows(&found.1)).then_some(found)
    }

    /// Makes sure that the next row is here; `false` where there is none.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn fill(&mut self) -> Result<bool> {
        loop {
            if self.at > self.n_read {
                return Ok(false);
            }
            if self.batch_of(self.at).is_some() {
                return Ok(true);
            }
            let Some(rows) = &mut self.rows else {
                self.at = self.n_read + 1;
                return Ok(false);
            };
            let token = rows.session_token();
            let next = tokio::select! {
                biased;
                () = token.cancelled() => Some(Err(ExecError::Cancelled.into())),
                next = rows.next() => next,
            };
            match next {
                Some(Ok(batch)) => self.add(batch)?,
                Some(Err(error)) => {
                    self.rows = None;
                    return Err(error);
                }
                None => self.rows = None,
            }
        }
    }

    fn add(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let n_bytes = batch.get_array_memory_size();
        let first = self.n_read;
        self.n_read += n_rows(&batch);
        match self.keep {
            Keep::Nothing => self.batches.clear(),
            Keep::Little if self.n_bytes + n_bytes > UNASKED_BYTES_MAX => {
                self.keep = Keep::Nothing;
                self.batches.clear();
            }
            Keep::All(bytes_max) if self.n_bytes + n_bytes > bytes_max => {
                self.rows = None;
                return Err(Error::Value {
                    code: "53400",
                    message: format!(
                        "a cursor with SCROLL would keep more than {bytes_max} bytes of rows"
                    ),
                });
            }
            Keep::Little | Keep::All(_) => {}
        }
        self.n_bytes += n_bytes;
        self.batches.push_back((first, batch));
        Ok(())
    }

    /// Takes up to so many of the rows that are here; `None` where [`Self::fill`] has to be called.
    pub(crate) fn take(&mut self, n_max: u64) -> Option<RecordBatch> {
        let (first, batch) = self.batch_of(self.at)?;
        let start = usize::try_from(self.at - first).ok()?;
        let n = batch.num_rows().checked_sub(start)?;
        let n = n.min(usize::try_from(n_max).unwrap_or(usize::MAX));
        let slice = batch.slice(start, n);
        self.at += n_rows(&slice);
        Some(slice)
    }

    /// Notes that a client asked for rows behind the last one.
    pub(crate) fn pass_end(&mut self) {
        self.at = self.n_read + 1;
    }

    /// Moves to where a FETCH starts.
    ///
    /// # Errors
    /// 55000 where rows are asked for that have been passed and are not kept; what the query says.
    pub(crate) async fn seek(&mut self, direction: Direction) -> Result<Fetched> {
        match direction {
            Direction::Forward(None) => Ok(Fetched::Forward(None)),
            Direction::Forward(Some(0)) | Direction::Relative(0) | Direction::Backward(Some(0)) => {
                self.current()
            }
            Direction::Forward(Some(n)) if n > 0 => Ok(Fetched::Forward(Some(n.unsigned_abs()))),
            Direction::Forward(Some(n)) => self.backward(Some(n.unsigned_abs())),
            Direction::Backward(Some(n)) if n < 0 => Ok(Fetched::Forward(Some(n.unsigned_abs()))),
            Direction::Backward(n) => self.backward(n.map(i64::unsigned_abs)),
            Direction::Relative(n) if n > 0 => {
                self.skip(n.unsigned_abs() - 1).await?;
                Ok(Fetched::Forward(Some(1)))
            }
            Direction::Relative(n) => {
                self.backward(Some(n.unsigned_abs() - 1))?;
                self.backward(Some(1))
            }
            Direction::Absolute(n) if n > 0 => self.absolute(n.unsigned_abs()).await,
            Direction::Absolute(0) => {
                self.rewind()?;
                Ok(Fetched::Rows(vec![]))
            }
            Direction::Absolute(n) => {
                self.skip(u64::MAX).await?;
                self.pass_end();
                self.backward(Some(n.unsigned_abs() - 1))?;
                self.backward(Some(1))
            }
        }
    }

    async fn absolute(&mut self, row: u64) -> Result<Fetched> {
        if row > self.at {
            self.skip(row - 1 - self.at).await?;
            return Ok(Fetched::Forward(Some(1)));
        }
        self.check_kept()?;
        self.at = row - 1;
        Ok(Fetched::Forward(Some(1)))
    }

    /// Passes so many rows, or all; returns how many there were.
    pub(crate) async fn skip(&mut self, n: u64) -> Result<u64> {
        let mut n_left = n;
        while n_left > 0 {
            if !self.fill().await? {
                break;
            }
            n_left -= self.take(n_left).map_or(0, |batch| n_rows(&batch));
        }
        Ok(n - n_left)
    }

    fn rewind(&mut self) -> Result<()> {
        if self.at > 0 {
            self.check_kept()?;
            self.at = 0;
        }
        Ok(())
    }

    /// The row that the client has seen last, once more.
    fn current(&mut self) -> Result<Fetched> {
        if self.at == 0 || self.at > self.n_read {
            return Ok(Fetched::Rows(vec![]));
        }
        self.check_kept()?;
        self.at -= 1;
        Ok(Fetched::Forward(Some(1)))
    }

    /// The rows before the current one, the nearest first.
    fn backward(&mut self, n: Option<u64>) -> Result<Fetched> {
        self.check_kept()?;
        let mut rows = Vec::new();
        let mut n_left = n.unwrap_or(u64::MAX);
        while n_left > 0 && self.at > 1 {
            let last = self.at - 2;
            let Some((first, batch)) = self.batch_of(last) else { break };
            let n_here = (last - first + 1).min(n_left);
            let start = last + 1 - n_here - first;
            let indices: UInt64Array = (start..start + n_here).rev().collect::<Vec<_>>().into();
            let reversed = take_record_batch(batch, &indices);
            let internal =
                |error: arrow::error::ArrowError| Error::Internal { what: error.to_string() };
            rows.push(reversed.map_err(internal)?);
            self.at -= n_here;
            n_left -= n_here;
        }
        if n_left > 0 {
            self.at = 0;
        }
        Ok(Fetched::Rows(rows))
    }

    fn check_kept(&self) -> Result<()> {
        match self.keep {
            Keep::Little | Keep::All(_) => Ok(()),
            Keep::Nothing => Err(Error::ForwardOnly),
        }
    }
}

fn n_rows(batch: &RecordBatch) -> u64 {
    u64::try_from(batch.num_rows()).unwrap_or(u64::MAX)
}
