//! Reading several tables as of one moment: a commit over several of them is seen in all or none.
//!
//! ```text
//! cut: record N of the log ──▶ pin a table: complete what was decided up to N
//!                                           leave out what was decided after N
//! ```
//! A version that was read before the log was looked at for the cut cannot hold anything that was
//! decided later, so a table that nobody changes costs no second look.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::gone::Fate;
use super::{Catalog, Relation};
use crate::delta::{DeltaSnapshot, DeltaTable, StagedTable};
use crate::{CatalogError, LakeTable, Pinned, Result, TableName, TableVersion, Travel};

/// A moment in the order of transactions; clones are the same one.
#[derive(Debug, Clone)]
pub struct Cut {
    record: u64,
    /// When the log was looked at; what it did not say then was decided later.
    looked: Instant,
    pinned: Arc<Mutex<PinnedTables>>,
}

/// What was pinned at a cut.
#[derive(Debug, Default)]
struct PinnedTables {
    /// URLs.
    tables: BTreeSet<String>,
    /// Whether the log did not say which transactions one of them holds.
    is_uncertain: bool,
}

impl Catalog {
    /// Now, as of the last look at the log.
    #[must_use]
    pub fn cut(&self) -> Cut {
        let looked = *self.durable.looked.lock();
        let record = self.state.read().log.version;
        Cut { record, looked: looked.unwrap_or(self.began), pinned: Arc::default() }
    }

    /// As [`Self::pin`], with the transactions over several tables as of a cut.
    ///
    /// # Errors
    /// As [`Self::pin`]; `TableNotFound` where another server has dropped it meanwhile; `Conflict` for
    /// a cut that is too long ago; `CatalogLog` for a second table where the log does not say which
    /// transactions they hold; what completing one reports.
    pub async fn pin_at(
        self: &Arc<Self>,
        name: &TableName,
        travel: Travel,
        cut: &Cut,
    ) -> Result<Pinned> {
        let Some(table) = self.delta(name) else { return self.pin(name, travel).await };
        let error = match self.pin_delta_at(name, &table, travel.clone(), cut).await {
            Err(error) => error,
            pinned => return pinned,
        };
        match (self.fate_after(&error, name, table.as_ref()).await, self.delta(name)) {
            // What has its name now is what the statement means.
            (Fate::Replaced, Some(table)) => self.pin_delta_at(name, &table, travel, cut).await,
            (fate, _) => Err(fate.told(name.table()).unwrap_or(error)),
        }
    }

    fn delta(&self, name: &TableName) -> Option<Arc<DeltaTable>> {
        match self.get(name)? {
            Relation::Lake(table) => table.delta(),
            Relation::Memory(_) | Relation::View { .. } => None,
        }
    }

    async fn pin_delta_at(
        self: &Arc<Self>,
        name: &TableName,
        table: &Arc<DeltaTable>,
        travel: Travel,
        cut: &Cut,
    ) -> Result<Pinned> {
        let latest = travel == Travel::Latest;
        let snapshot = Box::pin(self.snapshot_at(table, travel, cut)).await?;
        let version =
            TableVersion::Commit { number: snapshot.version(), table: snapshot.identity() };
        let pinned = Pinned { provider: snapshot, version };
        if latest {
            self.note_columns(name, &pinned);
        }
        Ok(pinned)
    }

    /// Begins to change a table as [`Self::pin_at`] reads it.
    ///
    /// # Errors
    /// As [`Self::pin_at`] and [`DeltaTable::stage`].
    pub async fn stage_at(
        self: &Arc<Self>,
        table: &Arc<DeltaTable>,
        cut: &Cut,
    ) -> Result<Arc<StagedTable>> {
        let base = Box::pin(self.snapshot_at(table, Travel::Latest, cut)).await?;
        table.stage_on(base)
    }

    async fn snapshot_at(
        self: &Arc<Self>,
        table: &Arc<DeltaTable>,
        travel: Travel,
        cut: &Cut,
    ) -> Result<Arc<DeltaSnapshot>> {
        self.complete(table.location(), cut.record).await?;
        let is_instant = matches!(travel, Travel::Timestamp(_));
        let (mut snapshot, seen) = table.snapshot_seen(travel).await?;
        if is_instant {
            // What was decided before that instant may have been put after it.
            let least = self.state.read().recent.version_at(cut.record, table.location());
            if let Some(least) = least.filter(|least| *least > snapshot.version()) {
                snapshot = table.snapshot(Travel::Version(least)).await?;
            }
        }
        let known = seen <= cut.looked;
        if !known {
            self.refresh().await?;
        }
        self.note_pinned(table, cut, known || self.has_looked_since(seen))?;
        if known {
            return Ok(snapshot);
        }
        let later = self.state.read().recent.later(cut.record, table.location());
        let Some(later) = later else {
            return Err(CatalogError::Conflict { name: snapshot.name().to_owned() });
        };
        let mut first = None;
        for part in later {
            let landed = match part.version {
                Some(version) => Some(version),
                None => table.find_commit(&part.token, part.after).await?,
            };
            let landed = landed.filter(|version| (1..=snapshot.version()).contains(version));
            first = match (first, landed) {
                (Some(first), Some(landed)) => Some(landed.min(first)),
                (first, landed) => first.or(landed),
            };
        }
        match first {
            Some(first) => table.snapshot(Travel::Version(first - 1)).await,
            None => Ok(snapshot),
        }
    }

    fn has_looked_since(&self, moment: Instant) -> bool {
        self.log_place().is_none() || self.durable.looked.lock().is_some_and(|at| at >= moment)
    }

    /// One table can be read as it is while the log does not answer; two may not fit together.
    fn note_pinned(&self, table: &DeltaTable, cut: &Cut, is_certain: bool) -> Result<()> {
        let mut pinned = cut.pinned.lock();
        pinned.tables.insert(table.location().to_owned());
        pinned.is_uncertain |= !is_certain;
        if pinned.is_uncertain && pinned.tables.len() > 1 {
            return Err(CatalogError::CatalogLog {
                place: self.log_place().unwrap_or_default().to_owned(),
                what: "see which transactions several tables hold".to_owned(),
                source: None,
            });
        }
        Ok(())
    }
}
