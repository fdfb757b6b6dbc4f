//! Tables that can be pinned to a version.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use futures::future::BoxFuture;

use crate::analyzed::TableStatistics;
use crate::delta::DeltaTable;
use crate::listing::FileOptions;
use crate::{Result, TableDetails};

/// A table in some open format.
pub trait LakeTable: Any + fmt::Debug + Send + Sync {
    /// The format's name in lower case: `delta`, `parquet`, `csv`, `json`, `memory`.
    fn format(&self) -> &'static str;

    /// The URL of the folder or file.
    fn location(&self) -> &str;

    /// Defaults, keys, checks and remarks that the table itself keeps, as of the last pin.
    ///
    /// `None` for formats that have no place for them.
    fn details(&self) -> Option<Arc<TableDetails>> {
        None
    }

    /// Whether the location is one file, and how files are written where the definition says so,
    /// of a table of plain files.
    fn files(&self) -> Option<(bool, &FileOptions)> {
        None
    }

    /// Looks at storage and returns a provider bound to one version.
    ///
    /// Must notice commits and files added since the last call. What was read before is reused as
    /// long as storage shows that it still holds.
    ///
    /// # Errors
    /// `VersionNotFound` and `TravelUnsupported` for the time asked for; `Storage`, `Corrupt` and
    /// `UnsupportedFeature` for what was found.
    fn pin(self: Arc<Self>, travel: Travel) -> BoxFuture<'static, Result<Pinned>>;

    /// What ANALYZE has learnt of it, without looking at storage.
    fn analyzed(&self) -> Option<Arc<TableStatistics>> {
        None
    }

    /// The table with its log, where it is a Delta table: history, changes, maintenance.
    fn delta(self: Arc<Self>) -> Option<Arc<DeltaTable>> {
        None
    }
}

/// The state of a table to read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Travel {
    /// The newest commit.
    #[default]
    Latest,
    /// A version by number: `VERSION AS OF 2`.
    Version(u64),
    /// The newest version at or before an instant: `TIMESTAMP AS OF '…'`.
    Timestamp(DateTime<Utc>),
}

/// A table at one version, ready to be planned and scanned.
#[derive(Debug, Clone)]
pub struct Pinned {
    /// Scans exactly this version, now and later.
    pub provider: Arc<dyn TableProvider>,
    /// Which version this is.
    pub version: TableVersion,
}

/// What tells one state of a table from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableVersion {
    /// A number that the server itself counts: rows in memory.
    Number(u64),
    /// A commit of a format that has them.
    Commit {
        /// The commit's number.
        number: u64,
        /// Which table it belongs to: another one in the same place counts from 0 again.
        table: u64,
    },
    /// A hash over the paths, sizes and entity tags of the files.
    Fingerprint(u64),
}
