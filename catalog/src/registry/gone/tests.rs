use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::super::{Catalog, Change, Object};
use crate::delta::DeltaTable;
use crate::delta::write::create_table;
use crate::log::LocalLog;
use crate::object_store::{ObjectStores, StoreLimits};
use crate::{CatalogError, Result, TableDetails, TableName, Travel};

/// Folders of tables, and a log that servers share.
struct Place(tempfile::TempDir);

impl Place {
    async fn server(&self) -> Arc<Catalog> {
        let log = Arc::new(LocalLog::open(&self.0.path().join("log")).unwrap());
        Catalog::open("tarn", stores(), vec![], log, None).await.unwrap()
    }

    /// A table `t` in a folder, which a server gives the name.
    async fn put(&self, catalog: &Arc<Catalog>, folder: &str) -> Result<()> {
        let schema = Schema::new(vec![Field::new(folder, DataType::Int64, true)]);
        let url = self.0.path().join(folder).display().to_string();
        let location = stores().resolve(&url).unwrap();
        create_table(location.store.as_ref(), &location.url, &schema, &[], &[]).await?;
        let (store, url) = (Arc::clone(&location.store), location.store_url.clone());
        let table = DeltaTable::unread("t", &location.url, store, url, location.footers.clone())?;
        let object = Object::lake(table, &Arc::new(schema), TableDetails::default());
        change(catalog, Some(object)).await
    }

    fn remove(&self, folder: &str) {
        std::fs::remove_dir_all(self.0.path().join(folder)).unwrap();
    }
}

fn stores() -> ObjectStores {
    ObjectStores::new(StoreLimits::default())
}

fn name() -> TableName {
    TableName::new("public", "t")
}

async fn change(catalog: &Arc<Catalog>, after: Option<Object>) -> Result<()> {
    let before = catalog.get(&name());
    catalog.commit(vec![Change::Put { name: name(), before, base: None, after }]).await
}

/// The column of the table, as a statement pins it that does not look at the log first.
async fn pinned(catalog: &Arc<Catalog>) -> Result<String> {
    let pinned = catalog.pin_at(&name(), Travel::Latest, &catalog.cut()).await?;
    Ok(pinned.provider.schema().field(0).name().clone())
}

#[tokio::test]
async fn a_table_that_was_dropped_elsewhere_is_looked_for_again() {
    let place = Place(tempfile::tempdir().unwrap());
    let one = place.server().await;
    place.put(&one, "first").await.unwrap();
    let two = place.server().await;
    assert_eq!(pinned(&two).await.unwrap(), "first");
    // Another one has its name.
    change(&one, None).await.unwrap();
    place.put(&one, "second").await.unwrap();
    place.remove("first");
    assert_eq!(pinned(&two).await.unwrap(), "second");
    // Nothing has it any more.
    change(&one, None).await.unwrap();
    place.remove("second");
    let error = pinned(&two).await.unwrap_err();
    assert!(matches!(error, CatalogError::TableNotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_table_that_is_still_named_is_damaged_without_its_log() {
    let place = Place(tempfile::tempdir().unwrap());
    let one = place.server().await;
    place.put(&one, "first").await.unwrap();
    let two = place.server().await;
    assert_eq!(pinned(&two).await.unwrap(), "first");
    place.remove("first");
    for catalog in [&one, &two] {
        let error = pinned(catalog).await.unwrap_err();
        let is_damage =
            matches!(error, CatalogError::Corrupt { .. } | CatalogError::Storage { .. });
        assert!(is_damage, "{error:?}");
    }
}
