//! Queries that fetch rows by a key, answered from memory on the thread that has read the message.
//!
//! What a lookup misses is loaded in the background, one thing at a time, once it was asked for
//! twice; the query itself is then answered by its plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::scalar::ScalarValue;
use tarn_catalog::delta::{Looked, LookupCache, Missing};
use tarn_exec::QueryId;
use tarn_planner::point_lookup::PointLookup;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::rows::Source;
use super::schema::same_types;
use super::{Prepared, Rows, rename};
use crate::error::Result;
use crate::session::Session;

/// What lookups of all sessions share.
#[derive(Debug, Clone)]
pub struct Lookups {
    cache: LookupCache,
    /// Taken while something missing is loaded.
    loading: Arc<Semaphore>,
    n_answered: Arc<AtomicU64>,
}

impl Lookups {
    /// Nothing yet; at most so many bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self {
            cache: LookupCache::new(bytes_max),
            loading: Arc::new(Semaphore::new(1)),
            n_answered: Arc::default(),
        }
    }

    /// Queries answered from memory since the start.
    #[must_use]
    pub fn n_answered(&self) -> u64 {
        self.n_answered.load(Ordering::Relaxed)
    }

    /// What is kept.
    #[must_use]
    pub fn cache(&self) -> &LookupCache {
        &self.cache
    }
}

impl Session {
    /// The rows of a query that fetches by a key, if they are in memory and still the newest.
    pub(super) async fn look_up(
        self: &Arc<Self>,
        prepared: &Prepared,
        parameters: &[ScalarValue],
        query_id: QueryId,
        deadline: Option<Instant>,
    ) -> Result<Option<Rows>> {
        let Some(cached) = prepared.cached(&self.scope()) else { return Ok(None) };
        let (Some(lookup), Some(schema)) = (cached.lookup, &prepared.schema) else {
            return Ok(None);
        };
        let Some(conditions) = lookup.conditions(parameters) else { return Ok(None) };
        let cache = &self.shared.lookups.cache;
        let found = match conditions {
            None => vec![],
            Some(conditions) => {
                match lookup.table().look_up(cache, &conditions, lookup.columns()) {
                    Looked::Rows(found) => found,
                    Looked::Missing(missing) => {
                        self.load_missing(&lookup, missing);
                        return Ok(None);
                    }
                    Looked::Unsuited => return Ok(None),
                }
            }
        };
        // Where computing an output fails, the plan says so in its words.
        let Ok(rows) = lookup.rows(found) else { return Ok(None) };
        if !rows.first().is_none_or(|batch| same_types(schema, &batch.schema())) {
            return Ok(None);
        }
        // Last, because a plan that answers instead asks storage as well.
        if !self.are_newest(&cached.pins).await? {
            return Ok(None);
        }
        self.shared.lookups.n_answered.fetch_add(1, Ordering::Relaxed);
        let batches = rows.iter().map(|batch| rename(batch, schema)).collect::<Result<_>>()?;
        Ok(Some(Rows {
            session: Arc::clone(self),
            schema: Arc::clone(schema),
            verb: "SELECT",
            source: Source::Batches(batches),
            query_id,
            deadline,
            binary: false,
            reads: None,
        }))
    }

    /// Loads in the background what a lookup has missed, unless something is being loaded.
    fn load_missing(self: &Arc<Self>, lookup: &Arc<PointLookup>, missing: Missing) {
        let lookups = &self.shared.lookups;
        if !lookups.cache.is_wanted(&missing) {
            return;
        }
        let Ok(permit) = Arc::clone(&lookups.loading).try_acquire_owned() else { return };
        let (cache, table) = (lookups.cache.clone(), Arc::clone(lookup.table()));
        let state = self.state();
        let env = Arc::clone(self.shared.engine.runtime_env());
        self.shared.engine.spawn(async move {
            let context = tarn_planner::session_state::task_context(&state, env);
            let loaded = table.load_missing(&state, context, (&cache, &missing)).await;
            if let Err(error) = loaded {
                tracing::debug!(table = table.name(), %error, "nothing kept for lookups");
            }
            drop(permit);
        });
    }
}
