//! Removing a table's files.

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt};

use super::{Location, ObjectStores};
use crate::{CatalogError, Result};

impl ObjectStores {
    /// Removes all that is below a URL; nothing there is no error.
    ///
    /// # Errors
    /// `InvalidLocation`, and `Storage` where something stays.
    pub async fn remove_folder(&self, url: &str) -> Result<()> {
        let location = self.resolve(url)?;
        let paths = location.store.list(Some(&location.path)).map_ok(|found| found.location);
        let removed: std::result::Result<Vec<Path>, StoreError> =
            location.store.delete_stream(paths.boxed()).try_collect().await;
        removed.map(drop).or_else(|error| missing_is_fine(&location, error))?;
        remove_local_folders(&location);
        Ok(())
    }

    /// Removes files by their names below a URL, and folders that are empty then.
    ///
    /// # Errors
    /// As [`Self::remove_folder`].
    pub async fn remove_files(&self, url: &str, files: &[String]) -> Result<()> {
        let location = self.resolve(url)?;
        for file in files {
            let path = Path::parse(format!("{}/{file}", location.path)).map_err(|error| {
                CatalogError::InvalidLocation { url: url.to_owned(), reason: error.to_string() }
            })?;
            let removed = location.store.delete(&path).await;
            removed.or_else(|error| missing_is_fine(&location, error))?;
        }
        remove_local_folders(&location);
        Ok(())
    }

    /// Whether nothing is below a URL.
    ///
    /// # Errors
    /// `InvalidLocation`, `Storage`.
    pub async fn is_empty(&self, url: &str) -> Result<bool> {
        let location = self.resolve(url)?;
        let mut found = location.store.list(Some(&location.path));
        match found.next().await {
            None => Ok(true),
            Some(Ok(_)) => Ok(false),
            Some(Err(error)) => missing_is_fine(&location, error).map(|()| true),
        }
    }
}

fn missing_is_fine(location: &Location, error: StoreError) -> Result<()> {
    match error {
        StoreError::NotFound { .. } => Ok(()),
        source => {
            Err(CatalogError::Storage { what: location.url.to_string(), source: Box::new(source) })
        }
    }
}

/// Object stores know no folders; on disk empty ones would be left.
fn remove_local_folders(location: &Location) {
    let Some(root) = location.local_path() else { return };
    let mut folders = vec![root];
    let mut at = 0;
    while let Some(folder) = folders.get(at).cloned() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(below.map(|entry| entry.path()));
        at += 1;
    }
    // From the innermost outwards; one that is not empty stays.
    for folder in folders.iter().rev() {
        if let Err(error) = std::fs::remove_dir(folder) {
            tracing::debug!(folder = %folder.display(), %error, "a folder stays");
        }
    }
}
