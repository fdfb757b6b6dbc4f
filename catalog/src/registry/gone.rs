//! Tables that another server has dropped while a statement was on its way to their files.
//!
//! A folder goes some time after its table. Who comes later finds no log, or no data file: that
//! looks like damage, and is none if the newest catalog names the place no more.

use std::time::Duration;

use super::{Catalog, Relation};
use crate::object_store::StoreFault;
use crate::{CatalogError, LakeTable, TableName};

/// How long a statement that has failed waits to learn why.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// What the newest catalog says of a table whose files were not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is still there, or nobody can say.
    Here,
    /// Another table has its name.
    Replaced,
    /// Nothing has its name.
    Gone,
}

impl Fate {
    /// What to tell instead of an error about the table's files.
    #[must_use]
    pub fn told(self, table: &str) -> Option<CatalogError> {
        let name = table.to_owned();
        match self {
            Self::Here => None,
            Self::Replaced => Some(CatalogError::Conflict { name }),
            Self::Gone => Some(CatalogError::TableNotFound { name }),
        }
    }
}

impl Catalog {
    /// What has become of the table in a folder, by its own name.
    ///
    /// Follows the log first, so it is for statements that have failed.
    pub async fn fate_of(&self, table: &str, location: &str) -> Fate {
        if self.log_place().is_some()
            && !matches!(tokio::time::timeout(LOOK_TIMEOUT, self.look_now()).await, Ok(Ok(())))
        {
            tracing::debug!(table, "nobody can say what has become of the table");
            return Fate::Here;
        }
        let is_there = |relation: &Relation| match relation {
            Relation::Lake(known) => plain(known.location()) == plain(location),
            Relation::Memory(_) | Relation::View { .. } => false,
        };
        let state = self.state.read();
        if state.relations.values().any(|known| is_there(&known.relation)) {
            return Fate::Here;
        }
        match state.relations.keys().any(|name| name.table() == table) {
            true => Fate::Replaced,
            false => Fate::Gone,
        }
    }

    /// The same for a table that could not be read.
    ///
    /// What says nothing about missing files is left as it is.
    pub async fn fate_after(
        &self,
        error: &CatalogError,
        name: &TableName,
        table: &dyn LakeTable,
    ) -> Fate {
        match may_be_gone(error) {
            true => self.fate_of(name.table(), table.location()).await,
            false => Fate::Here,
        }
    }
}

/// A folder's URL, whether or not it ends in a slash.
fn plain(url: &str) -> &str {
    url.trim_end_matches('/')
}

/// Whether an error may come from files that are not there.
fn may_be_gone(error: &CatalogError) -> bool {
    match error {
        CatalogError::Corrupt { .. } | CatalogError::FilesMissing { .. } => true,
        CatalogError::Storage { source, .. } => {
            StoreFault::of(source.as_ref()) == StoreFault::MissingObject
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
