//! Makes new tables: the first commit of a log, with everything that the table begins with.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use serde_json::{Value, json};
use uuid::Uuid;

use super::layout::TableLayout;
use super::metadata::TableMetadata;
use super::table::DeltaTable;
use super::write::now_ms;
use super::writer::{NewFile, WriteTarget};
use crate::object_store::Location;
use crate::{CatalogError, Result};

/// How often a put without a clear answer is looked at again.
const UNCLEAR_PUTS_MAX: usize = 4;

/// What the first commit of a table says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// CREATE TABLE.
    Empty,
    /// CREATE TABLE … AS.
    AsSelect,
}

impl Creation {
    fn name(self) -> &'static str {
        match self {
            Self::Empty => "CREATE TABLE",
            Self::AsSelect => "CREATE TABLE AS SELECT",
        }
    }
}

/// A table whose first commit is not written yet; files for it can be.
#[derive(Debug)]
pub struct NewDeltaTable {
    name: String,
    location: Location,
    metadata: TableMetadata,
    target: Arc<WriteTarget>,
    is_managed: bool,
}

impl NewDeltaTable {
    /// Prepares a table in a folder; nothing is written.
    ///
    /// # Errors
    /// `UnsupportedFeature` for columns that tarn does not have.
    pub fn new(name: &str, location: &Location, metadata: TableMetadata) -> Result<Self> {
        let layout = Arc::new(TableLayout::of(name, &metadata)?);
        let root = location.path.clone();
        let store = Arc::clone(&location.store);
        let target = Arc::new(WriteTarget::new(name, root, store, layout, &metadata));
        Ok(Self {
            name: name.to_owned(),
            location: location.clone(),
            metadata,
            target,
            is_managed: false,
        })
    }

    /// Notes whether the files go with the table, for its history.
    #[must_use]
    pub fn with_managed(self, is_managed: bool) -> Self {
        Self { is_managed, ..self }
    }

    /// What the table's files are made for.
    #[must_use]
    pub fn write_target(&self) -> &Arc<WriteTarget> {
        &self.target
    }

    /// Makes the table: version 0 with its columns and these files.
    ///
    /// # Errors
    /// `TableExists` if the folder has a log: the files are deleted then. `WriteStorage`, and what
    /// opening a table reports: the table may be there.
    pub async fn create(&self, files: Vec<NewFile>, creation: Creation) -> Result<Arc<DeltaTable>> {
        let adds = files.iter().map(NewFile::add_action).collect();
        files.iter().filter_map(NewFile::made).for_each(|file| file.keep());
        let made = self.put(adds, creation).await;
        if matches!(made, Err(CatalogError::TableExists { .. })) {
            files.iter().filter_map(NewFile::made).for_each(|file| file.release());
        }
        made
    }

    /// Puts version 0 with these `add` actions, and opens the table.
    async fn put(&self, adds: Vec<Value>, creation: Creation) -> Result<Arc<DeltaTable>> {
        let Self { name, location, metadata, .. } = self;
        let token = Uuid::new_v4().to_string();
        let partitions = json!(metadata.partition_columns()).to_string();
        let info = json!({"commitInfo": {
            "timestamp": now_ms(),
            "operation": creation.name(),
            "operationParameters": {
                "partitionBy": partitions,
                "description": metadata.description(),
                "properties": json!(metadata.configuration()).to_string(),
                "isManaged": self.is_managed.to_string(),
            },
            "isBlindAppend": true,
            "engineInfo": concat!("tarn/", env!("CARGO_PKG_VERSION")),
            "txnId": token,
        }});
        let head = [info, metadata.protocol_action(), metadata.meta_action()];
        let lines = head.iter().chain(&adds).map(|action| format!("{action}\n"));
        let content = lines.collect::<String>().into_bytes();
        put_first(name, location, &token, content).await?;
        let (store, store_url) = (Arc::clone(&location.store), location.store_url.clone());
        DeltaTable::open(name, &location.url, store, store_url, location.footers.clone()).await
    }
}

/// Puts version 0 unless there is one; a lost answer is settled by reading it back.
async fn put_first(name: &str, location: &Location, token: &str, content: Vec<u8>) -> Result<()> {
    let path =
        Path::parse(format!("{}/_delta_log/{:020}.json", location.path, 0)).map_err(|error| {
            CatalogError::InvalidLocation {
                url: location.url.to_string(),
                reason: error.to_string(),
            }
        })?;
    let content = PutPayload::from(content);
    let mut last = None;
    for _ in 0..UNCLEAR_PUTS_MAX {
        let put = location.store.put_opts(&path, content.clone(), PutMode::Create.into()).await;
        let Err(error) = put else { return Ok(()) };
        match read_back(location.store.as_ref(), &path).await {
            Some(bytes) if bytes.windows(token.len()).any(|part| part == token.as_bytes()) => {
                return Ok(());
            }
            Some(_) => return Err(CatalogError::TableExists { name: name.to_owned() }),
            None => last = Some(error),
        }
    }
    let source = last.unwrap_or(StoreError::NotImplemented {
        operation: "put".to_owned(),
        implementer: "the store".to_owned(),
    });
    Err(CatalogError::WriteStorage {
        what: format!("the first commit of table \"{name}\""),
        source: Box::new(source),
    })
}

async fn read_back(store: &dyn ObjectStore, path: &Path) -> Option<Vec<u8>> {
    let found = store.get(path).await.ok()?;
    Some(found.bytes().await.ok()?.to_vec())
}
