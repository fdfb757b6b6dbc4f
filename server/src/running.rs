//! The queries that run now, for `tarn.queries` and progress bars.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use parking_lot::RwLock;
use tarn_exec::{Progress, QueryId, progress_of};

/// Plans of running queries by number.
#[derive(Debug, Default)]
pub struct RunningQueries {
    plans: RwLock<BTreeMap<QueryId, Arc<dyn ExecutionPlan>>>,
}

impl RunningQueries {
    pub(crate) fn add(&self, id: QueryId, plan: Arc<dyn ExecutionPlan>) {
        self.plans.write().insert(id, plan);
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
        let plan = self.plans.read().get(&id).cloned()?;
        Some(progress_of(&plan))
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
