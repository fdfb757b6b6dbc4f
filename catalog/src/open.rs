//! Opens what discovery has found.

use std::sync::Arc;

use crate::delta::DeltaTable;
use crate::discovery::{Format, FoundTable};
use crate::listing::FileTable;
use crate::object_store::ObjectStores;
use crate::{LakeTable, Result};

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
