//! Prepared queries by text, shared by all sessions.
//!
//! Drivers and dashboards send the same text again and again, most of them without a prepared
//! statement of their own. A plan found here is used only where it means the same: for the same
//! role, settings and definitions, and while every table that it reads has the version that it
//! was planned for. What is not here: results, other than of queries that read no table.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::DataType;

use crate::query::Prepared;

/// Plans kept.
const N_PLANS_MAX: u64 = 1_000;

/// Longer texts are rarely sent twice.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// A plan that nobody asks for keeps old versions of tables alive.
const IDLE: Duration = Duration::from_secs(60);

/// Everything beside the text and the tables' versions that a plan depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    /// The role.
    pub(crate) user: String,
    /// The settings that differ from their defaults.
    pub(crate) settings: String,
    /// Counts changes of definitions in the catalog.
    pub(crate) definitions: u64,
    /// The session and a counter, where the session has tables of its own.
    pub(crate) private: Option<(i32, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    text: Arc<str>,
    declared: Vec<Option<DataType>>,
    scope: Arc<Scope>,
}

/// The plans of one server.
#[derive(Debug, Clone)]
pub struct PlanCache {
    plans: moka::sync::Cache<Key, Arc<Prepared>>,
}

impl Default for PlanCache {
    fn default() -> Self {
        let plans = moka::sync::Cache::builder().max_capacity(N_PLANS_MAX).time_to_idle(IDLE);
        Self { plans: plans.build() }
    }
}

impl PlanCache {
    /// The plan of a text in a scope.
    pub(crate) fn get(
        &self,
        text: &str,
        declared: &[Option<DataType>],
        scope: &Arc<Scope>,
    ) -> Option<Arc<Prepared>> {
        self.plans.get(&key(text, declared, scope)?)
    }

    /// Forgets all plans.
    pub(crate) fn clear(&self) {
        self.plans.invalidate_all();
        self.plans.run_pending_tasks();
    }

    /// Keeps a plan for the next one who sends its text.
    pub(crate) fn put(
        &self,
        declared: &[Option<DataType>],
        scope: &Arc<Scope>,
        prepared: &Arc<Prepared>,
    ) {
        if let Some(key) = key(prepared.statement().text(), declared, scope) {
            self.plans.insert(key, Arc::clone(prepared));
        }
    }
}

/// `None` for what is not kept.
fn key(text: &str, declared: &[Option<DataType>], scope: &Arc<Scope>) -> Option<Key> {
    if text.len() > TEXT_BYTES_MAX || scope.private.is_some() {
        return None;
    }
    Some(Key { text: text.into(), declared: declared.to_vec(), scope: Arc::clone(scope) })
}
