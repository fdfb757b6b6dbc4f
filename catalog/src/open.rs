//! Opens what discovery has found.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::delta::DeltaTable;
use crate::discovery::{Format, FoundTable};
use crate::listing::{FileOptions, FileTable};
use crate::object_store::ObjectStores;
use crate::{CatalogError, LakeTable, Pinned, Result, Travel};

/// Opens a table in its format.
pub(crate) async fn open_table(
    stores: &ObjectStores,
    found: &FoundTable,
) -> Result<Arc<dyn LakeTable>> {
    match found.format {
        Format::Delta => {
            let location = stores.resolve(&found.url)?;
            let (store, store_url) = (Arc::clone(&location.store), location.store_url.clone());
            Ok(DeltaTable::open(
                &found.name,
                &location.url,
                store,
                store_url,
                stores.footers().clone(),
            )
            .await?)
        }
        Format::Parquet | Format::Csv | Format::Json => Ok(FileTable::new(stores, found)?),
    }
}

/// A table that the catalog knows of, without looking at storage.
///
/// One that cannot be opened at all says so when it is pinned: it must not keep the others from
/// being served.
pub(crate) fn table_at(
    stores: &ObjectStores,
    name: &str,
    format: &str,
    url: &str,
    files: (bool, &FileOptions),
) -> Arc<dyn LakeTable> {
    let format = match Format::of_name(format) {
        Some(format) => format,
        None => {
            let reason = format!("the format \"{format}\" is not known");
            return BrokenTable::table(url, reason);
        }
    };
    let opened: Result<Arc<dyn LakeTable>> = match format {
        Format::Delta => stores.resolve(url).and_then(|location| {
            let (store, store_url) = (Arc::clone(&location.store), location.store_url.clone());
            let footers = stores.footers().clone();
            let table = DeltaTable::unread(name, &location.url, store, store_url, footers)?;
            Ok(table as Arc<dyn LakeTable>)
        }),
        Format::Parquet | Format::Csv | Format::Json => {
            let (name, url, single_file) = (name.to_owned(), url.to_owned(), files.0);
            let found = FoundTable { name, url, format, single_file };
            FileTable::with_options(stores, &found, files.1.clone())
                .map(|table| table as Arc<dyn LakeTable>)
        }
    };
    opened.unwrap_or_else(|error| BrokenTable::table(url, error.to_string()))
}

/// A table whose location makes no sense to this server.
#[derive(Debug)]
struct BrokenTable {
    url: String,
    reason: String,
}

impl BrokenTable {
    fn table(url: &str, reason: String) -> Arc<dyn LakeTable> {
        Arc::new(Self { url: url.to_owned(), reason })
    }
}

impl LakeTable for BrokenTable {
    fn format(&self) -> &'static str {
        "unknown"
    }

    fn location(&self) -> &str {
        &self.url
    }

    fn pin(self: Arc<Self>, _travel: Travel) -> BoxFuture<'static, Result<Pinned>> {
        let (url, reason) = (self.url.clone(), self.reason.clone());
        futures::future::ready(Err(CatalogError::InvalidLocation { url, reason })).boxed()
    }
}
