//! What a table's log tells of its past: versions, changes between two of them, their difference.
//!
//! | module | what |
//! |---|---|
//! | `commits` | commit files: which there are, and the actions in one |
//! | `versions` | a row for each version: `DESCRIBE HISTORY`, `tarn.table_versions` |
//! | `pieces` | scans of chosen rows of chosen files, with columns that the files do not have |
//! | `changes` | the change data feed: `table_changes` |
//! | `diff` | two versions compared by their files and deletion vectors: `table_diff` |
//! | `widest` | columns that hold what several versions have in them |
//!
//! Not here: reading a table as of a version, which is `DeltaTable::snapshot`.

pub(super) mod changes;
pub(super) mod commits;
mod diff;
mod pieces;
mod versions;
mod widest;

pub use versions::{versions_batch, versions_schema};

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::DeltaTable;
use crate::{CatalogError, Result, Travel};

/// A version of a table as users name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// By its number.
    Version(u64),
    /// By an instant.
    Instant(DateTime<Utc>),
}

impl DeltaTable {
    /// The version that was the newest at a point.
    pub(in crate::delta) async fn version_of(self: &Arc<Self>, point: &Point) -> Result<u64> {
        match point {
            Point::Version(version) => Ok(*version),
            Point::Instant(at) => Ok(self.snapshot(Travel::Timestamp(*at)).await?.version()),
        }
    }

    /// The first version that was committed at a point or after it.
    async fn version_from(self: &Arc<Self>, point: &Point) -> Result<u64> {
        match point {
            Point::Version(version) => Ok(*version),
            Point::Instant(at) => {
                let before = self.version_as_of(at.timestamp_millis().saturating_sub(1)).await?;
                match before {
                    Some(version) => Ok(version.saturating_add(1)),
                    None => Ok(*self.history_range().await?.start()),
                }
            }
        }
    }

    fn damaged(&self, what: impl Into<String>) -> CatalogError {
        CatalogError::Corrupt { table: self.name.clone(), what: what.into(), source: None }
    }
}
