//! The file of what ANALYZE has learnt, beside the table.

use std::sync::Arc;

use futures::future::BoxFuture;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::analyzed::{FILE, FILE_BYTES_MAX, TableStatistics};
use crate::delta::DeltaTable;
use crate::{CatalogError, Result};

impl DeltaTable {
    /// What ANALYZE has learnt, of this version or an older one.
    #[must_use]
    pub fn analyzed(&self) -> Option<Arc<TableStatistics>> {
        self.analyzed.read().clone()
    }

    fn statistics_file(&self) -> Path {
        FILE.split('/').fold(self.root.clone(), Path::join)
    }

    /// Keeps what ANALYZE has learnt, and returns the bytes that it takes.
    ///
    /// # Errors
    /// `Storage` if the file cannot be written.
    pub fn put_statistics(
        self: &Arc<Self>,
        statistics: TableStatistics,
    ) -> BoxFuture<'static, Result<u64>> {
        let table = Arc::clone(self);
        Box::pin(async move {
            let text = serde_json::to_vec(&statistics).map_err(|error| CatalogError::Internal {
                what: format!("statistics as JSON: {error}"),
            })?;
            let n_bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
            let path = table.statistics_file();
            table.store.put(&path, text.into()).await.map_err(|source| CatalogError::Storage {
                what: format!("file {path}"),
                source: Box::new(source),
            })?;
            *table.analyzed.write() = Some(Arc::new(statistics));
            Ok(n_bytes)
        })
    }

    /// Reads what an earlier ANALYZE has learnt; a file that cannot be read counts as none.
    pub(in crate::delta) async fn load_statistics(&self) {
        match self.read_statistics().await {
            Ok(found) => *self.analyzed.write() = found.map(Arc::new),
            Err(error) => {
                tracing::debug!(table = self.name, %error, "statistics cannot be read, not used");
            }
        }
    }

    async fn read_statistics(&self) -> object_store::Result<Option<TableStatistics>> {
        let found = match self.store.get(&self.statistics_file()).await {
            Ok(found) if found.meta.size <= FILE_BYTES_MAX => found,
            Ok(_) | Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = found.bytes().await?;
        Ok(serde_json::from_slice(&bytes).ok())
    }
}
