//! How many rows a file has where the log does not say.
//!
//! Writers may leave out the statistics of a file that they add, and need not say of one that they
//! remove how many rows it had. Rows that are named by number have to fit the file all the same:
//! its footer tells.

use chrono::DateTime;
use datafusion::common::DataFusionError;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::rows::FileNumber;
use super::snapshot::DeltaSnapshot;
use crate::object_store::StoreFault;
use crate::{CatalogError, Result};

impl DeltaSnapshot {
    /// Rows stored in a file, deleted ones included: as the log says, else as its footer says.
    ///
    /// # Errors
    /// `FilesMissing`, `Engine` for a footer that cannot be read.
    pub(super) async fn stored_rows(&self, file: FileNumber) -> Result<u64> {
        let index = &self.index;
        if let Some(n_rows) = index.stored_rows.get(file).copied().flatten() {
            return Ok(n_rows);
        }
        let size_bytes = index.size_bytes.get(file).copied().unwrap_or_default();
        let modified_ms = index.modified_ms.get(file).copied().unwrap_or_default();
        self.rows_in_footer(self.path_of(file)?, size_bytes, modified_ms).await
    }

    /// Rows that the footer of a file says it has, whatever version the file belongs to.
    ///
    /// # Errors
    /// As [`Self::stored_rows`].
    pub(super) async fn rows_in_footer(
        &self,
        path: &Path,
        size_bytes: u64,
        modified_ms: i64,
    ) -> Result<u64> {
        // As scans name the file, so that they find the footer in the cache.
        let file = ObjectMeta {
            location: path.clone(),
            last_modified: DateTime::from_timestamp_millis(modified_ms).unwrap_or_default(),
            size: size_bytes,
            e_tag: None,
            version: None,
        };
        let read = self.footers.get(&self.object_store_url, &self.store, &file, false).await;
        let footer = read.map_err(|error| self.unreadable(path, error))?;
        u64::try_from(footer.file_metadata().num_rows()).map_err(|_| CatalogError::Corrupt {
            table: self.table.clone(),
            what: format!("file {path} says that it has less than no rows"),
            source: None,
        })
    }

    fn unreadable(&self, path: &Path, error: DataFusionError) -> CatalogError {
        let table = self.table.clone();
        if StoreFault::of(&error) == StoreFault::MissingObject {
            return CatalogError::FilesMissing {
                table,
                files: vec![path.to_string()],
                n_missing: 1,
            };
        }
        CatalogError::Engine { table, source: Box::new(error) }
    }
}
