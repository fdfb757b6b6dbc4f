//! Tables that the last search could not open, so that a statement which names one is told why.

use std::collections::BTreeMap;

use futures::future::BoxFuture;

use super::{Catalog, PUBLIC, Relation};
use crate::discovery::{DiscoveryLimits, FoundTable, discover, table_name};
use crate::{Result, TableName};

/// What the last search left out.
#[derive(Debug, Default)]
pub(super) struct Unopened {
    /// Tables that were found.
    tables: BTreeMap<String, FoundTable>,
    /// Folders that could not be listed, by the name that a table there would have.
    folders: BTreeMap<String, String>,
}

impl Unopened {
    pub(super) fn add_table(&mut self, table: FoundTable) {
        self.tables.insert(table.name.clone(), table);
    }

    pub(super) fn add_folder(&mut self, url: &str) {
        self.folders.insert(table_name(url), url.to_owned());
    }
}

impl Catalog {
    /// Finds a relation that the last search may have left out, by trying once more to open it.
    ///
    /// # Errors
    /// What keeps it from being opened.
    pub fn get_unopened<'a>(
        &'a self,
        name: &'a TableName,
    ) -> BoxFuture<'a, Result<Option<Relation>>> {
        Box::pin(async move {
            if name.schema() != PUBLIC {
                return Ok(None);
            }
            let (table, folder) = {
                let unopened = self.unopened.lock();
                let table = unopened.tables.get(name.table()).cloned();
                (table, unopened.folders.get(name.table()).cloned())
            };
            let table = match (table, folder) {
                (Some(table), _) => table,
                (None, Some(folder)) => {
                    let found = discover(&self.stores, &folder, DiscoveryLimits::default()).await?;
                    match found.tables.into_iter().find(|table| table.name == name.table()) {
                        Some(table) => table,
                        None => return Ok(None),
                    }
                }
                (None, None) => return Ok(None),
            };
            let known = self.open_found(&table).await?;
            self.add_found(name.clone(), known);
            Ok(self.get(name))
        })
    }
}
