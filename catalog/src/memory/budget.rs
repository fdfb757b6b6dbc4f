//! The memory that the tables of one server may take together.
//!
//! A batch of rows is counted once, however many tables, transactions, savepoints and running
//! statements share it, and for as long as one of them can still read it:
//!
//! ```text
//!   table ──┐
//!   copy of a transaction ──┼─► rows ─► batch + held bytes ─► budget
//!   statement that reads ───┘           (given back by the last one that lets go)
//! ```
//! So DROP, TRUNCATE, ROLLBACK and the end of a session need to do nothing to give memory back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;

use super::Rows;
use crate::{CatalogError, Result};

/// The memory that all tables in memory of one server may take together.
#[derive(Debug)]
pub struct RowsBudget {
    bytes_max: usize,
    bytes_used: AtomicUsize,
}

/// What a table in memory may take.
#[derive(Debug, Clone)]
pub struct MemoryLimits {
    /// Bytes of one table.
    pub table_bytes_max: usize,
    /// Bytes of all of them.
    pub budget: Arc<RowsBudget>,
}

impl MemoryLimits {
    /// Limits of tables that share their memory with no others.
    #[must_use]
    pub fn alone(bytes_max: usize) -> Self {
        Self { table_bytes_max: bytes_max, budget: RowsBudget::new(usize::MAX) }
    }
}

/// Bytes of a batch, counted until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<RowsBudget>,
    n_bytes: usize,
}

impl Held {
    pub(super) fn n_bytes(&self) -> usize {
        self.n_bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.bytes_used.fetch_sub(self.n_bytes, Ordering::AcqRel);
    }
}

impl RowsBudget {
    /// A budget of which nothing is used.
    #[must_use]
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, bytes_used: AtomicUsize::new(0) })
    }

    /// The bytes that rows take now.
    #[must_use]
    pub fn bytes_used(&self) -> usize {
        self.bytes_used.load(Ordering::Acquire)
    }

    fn take(self: &Arc<Self>, n_bytes: usize) -> Result<Arc<Held>> {
        let grown = |used: usize| used.checked_add(n_bytes).filter(|sum| *sum <= self.bytes_max);
        match self.bytes_used.fetch_update(Ordering::AcqRel, Ordering::Acquire, grown) {
            Ok(_) => Ok(Arc::new(Held { budget: Arc::clone(self), n_bytes })),
            Err(bytes_used) => {
                Err(CatalogError::MemoryTablesFull { bytes_max: self.bytes_max, bytes_used })
            }
        }
    }

    /// Counts batches of which some may be among `known` rows, and so are counted already.
    ///
    /// # Errors
    /// `MemoryTablesFull`; nothing more is counted then.
    pub(super) fn hold(
        self: &Arc<Self>,
        batches: &[RecordBatch],
        known: &Rows,
    ) -> Result<Vec<Arc<Held>>> {
        let counted = known.batches.iter().zip(known.held.iter());
        let counted: HashMap<*const (), _> =
            counted.filter_map(|(batch, held)| Some((address(batch)?, (batch, held)))).collect();
        let hold = |batch: &RecordBatch| {
            let same = address(batch).and_then(|address| counted.get(&address));
            match same.filter(|(other, _)| shares_columns(batch, other)) {
                Some((_, held)) => Ok(Arc::clone(held)),
                None => self.take(batch.get_array_memory_size()),
            }
        };
        batches.iter().map(hold).collect()
    }
}

/// Where the first column is; no other one is there while the batch lives.
fn address(batch: &RecordBatch) -> Option<*const ()> {
    batch.columns().first().map(|column| Arc::as_ptr(column).cast::<()>())
}

fn shares_columns(batch: &RecordBatch, other: &RecordBatch) -> bool {
    let mut columns = batch.columns().iter().zip(other.columns());
    batch.num_columns() == other.num_columns() && columns.all(|(a, b)| Arc::ptr_eq(a, b))
}
