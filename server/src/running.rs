//! The queries that run now, for `tarn.queries` and progress bars.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::physical_plan::ExecutionPlan;
use parking_lot::RwLock;
use tarn_exec::{Progress, QueryId, progress_of};

/// What tells how far a statement is.
#[derive(Debug, Clone)]
enum Running {
    Plan(Arc<dyn ExecutionPlan>),
    /// Steps that are done, and all of them.
    Steps(Arc<AtomicU64>, u64),
}

/// Plans of running queries by number.
#[derive(Debug, Default)]
pub struct RunningQueries {
    plans: RwLock<BTreeMap<QueryId, Running>>,
}

/// Takes a query out of the list, however it ends.
#[derive(Debug)]
#[must_use = "the query is listed as long as this is there"]
pub(crate) struct Listed<'a> {
    running: &'a RunningQueries,
    id: QueryId,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.running.remove(self.id);
    }
}

impl RunningQueries {
    pub(crate) fn add(&self, id: QueryId, plan: Arc<dyn ExecutionPlan>) {
        self.plans.write().insert(id, Running::Plan(plan));
    }

    /// The same until what is returned goes: also where a client vanishes and its future is dropped.
    pub(crate) fn list(&self, id: QueryId, plan: Arc<dyn ExecutionPlan>) -> Listed<'_> {
        self.add(id, plan);
        Listed { running: self, id }
    }

    /// Notes a statement that is no plan and does so many steps; the count of those that are done
    /// is the caller's to raise.
    pub(crate) fn add_steps(&self, id: QueryId, n_steps: u64) -> Arc<AtomicU64> {
        let n_done = Arc::new(AtomicU64::new(0));
        self.plans.write().insert(id, Running::Steps(Arc::clone(&n_done), n_steps));
        n_done
    }

    pub(crate) fn remove(&self, id: QueryId) {
        let plan = self.plans.write().remove(&id);
        // Dropped outside of the lock: a plan can be large.
        drop(plan);
    }

    /// The numbers of the queries that run now.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<QueryId> {
        self.plans.read().keys().copied().collect()
    }

    /// How far a query is.
    #[must_use]
    pub fn progress(&self, id: QueryId) -> Option<Progress> {
        let running = self.plans.read().get(&id).cloned()?;
        Some(match running {
            Running::Plan(plan) => progress_of(&plan),
            Running::Steps(n_done, n_steps) => Progress {
                n_rows_scanned: n_done.load(Ordering::Relaxed),
                n_bytes_scanned: 0,
                n_rows_expected: n_steps,
            },
        })
    }

    /// Queries that run or send rows now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.plans.read().len()
    }

    /// Whether no query runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
