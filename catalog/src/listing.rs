//! Tables made of plain files: Parquet, delimited text and JSON.
//!
//! Every pin lists the files anew and scans exactly those: a new file is seen by the next
//! statement, and one replaced under a running scan is an error, not a mixture. What was learnt of a
//! file (columns, statistics) is kept as long as path, size, entity tag and time stay the same.
//!
//! | module | what |
//! |---|---|
//! | `footers` | Parquet footers by full identity, and the reader that uses them |
//! | `facts` | what is learnt of one file: columns, statistics, layout |
//! | `columns` | one schema for many files |
//! | `partitions` | folders `key=value` |
//! | `options` | what a definition says about text and JSON |
//! | `text` | sniffing CSV and JSON; `text_scan` reads them |
//! | `provider` | the pinned table as DataFusion scans it |
//!
//! Not here: finding tables ([`crate::discovery`]) and writing.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ::object_store::{Error as StoreError, ObjectMeta, ObjectStoreExt};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Mutex;

use crate::discovery::{Format, FoundTable};
use crate::object_store::{Location, ObjectStores};
use crate::{CatalogError, LakeTable, Pinned, Result, TableVersion, Travel};

mod columns;
mod facts;
mod footers;
mod options;
mod partitions;
mod provider;
#[cfg(test)]
mod tests;
mod text;
mod text_scan;
mod whole;

pub use footers::{FooterCache, FooterReaderFactory};
pub use options::{Compression, FileOptions};
pub(crate) use partitions::{hidden, partition_of};

use facts::Facts;

/// Bytes of a file that are asked of the store at a time.
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;

/// More files than this in one table are refused.
const FILES_MAX: usize = 100_000;
/// Files looked into at a time while a table is opened.
const FILES_OPENED_AT_A_TIME: usize = 16;

/// A file or a folder of files of one format.
#[derive(Debug)]
pub struct FileTable {
    name: String,
    format: Format,
    single_file: bool,
    options: Arc<FileOptions>,
    url: String,
    location: Location,
    footers: FooterCache,
    opened: Mutex<Opened>,
}

/// What the last pin left behind.
#[derive(Debug, Default)]
struct Opened {
    pinned: Option<(u64, Pinned)>,
    facts: HashMap<FileId, Arc<Facts>>,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FileId {
    path: String,
    size: u64,
    e_tag: Option<String>,
    modified_us: i64,
}

impl FileId {
    fn of(file: &ObjectMeta) -> Self {
        Self {
            path: file.location.to_string(),
            size: file.size,
            e_tag: file.e_tag.clone(),
            modified_us: file.last_modified.timestamp_micros(),
        }
    }
}

/// The content of a file from its beginning to its end, decompressed as its name says.
///
/// # Errors
/// `Storage` for what the store says, in the stream, too; `Corrupt` for what cannot be decompressed.
pub async fn unpacked(location: &Location) -> Result<BoxStream<'static, Result<Bytes>>> {
    let shown = location.url.to_string();
    let file = location.store.head(&location.path).await;
    let file = file.map_err(|source| CatalogError::Storage {
        what: shown.clone(),
        source: Box::new(source),
    })?;
    let name = location.path.filename().unwrap_or_default().to_owned();
    let failed = move |error| facts::read_error(&name, &shown, error);
    let options = FileOptions::default();
    let content = text::content(&location.store, &file, CHUNK_BYTES, &options);
    let content = content.map_err(failed.clone())?;
    Ok(content.map_err(failed).boxed())
}

impl FileTable {
    /// Makes a table of what a discovery found; nothing is read before the first pin.
    ///
    /// # Errors
    /// `InvalidLocation` for its URL; `Internal` for a Delta table, which is not one of files.
    pub fn new(stores: &ObjectStores, found: &FoundTable) -> Result<Arc<Self>> {
        Self::with_options(stores, found, FileOptions::default())
    }

    /// The same of files that are written as a definition says.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_options(
        stores: &ObjectStores,
        found: &FoundTable,
        options: FileOptions,
    ) -> Result<Arc<Self>> {
        if found.format == Format::Delta {
            return Err(CatalogError::Internal { what: "a Delta table opened as files".into() });
        }
        let location = stores.resolve(&found.url)?;
        Ok(Arc::new(Self {
            name: found.name.clone(),
            format: found.format,
            single_file: found.single_file,
            options: Arc::new(options),
            url: location.url.to_string(),
            location,
            footers: stores.footers().clone(),
            opened: Mutex::default(),
        }))
    }

    async fn pin_latest(&self) -> Result<Pinned> {
        let files = self.files().await?;
        let mut hasher = DefaultHasher::new();
        let ids: Vec<FileId> = files.iter().map(FileId::of).collect();
        ids.hash(&mut hasher);
        let fingerprint = hasher.finish();
        // Held while files are read: statements that start meanwhile wait and read nothing twice.
        let mut opened = self.opened.lock().await;
        if let Some((known, pinned)) = &opened.pinned
            && *known == fingerprint
        {
            return Ok(pinned.clone());
        }
        let sample_bytes = text::sample_bytes(files.len());
        let mut reads = Vec::with_capacity(files.len());
        for (file, id) in files.iter().zip(&ids) {
            reads.push(self.facts(opened.facts.get(id), file, sample_bytes));
        }
        let facts = futures::stream::iter(reads).buffered(FILES_OPENED_AT_A_TIME);
        let facts: Vec<Arc<Facts>> = facts.try_collect().await?;
        let provider = provider::FilesProvider::try_new(self, &files, &facts)?;
        let version = TableVersion::Fingerprint(fingerprint);
        let pinned = Pinned { provider: Arc::new(provider), version };
        opened.facts = ids.into_iter().zip(facts).collect();
        opened.pinned = Some((fingerprint, pinned.clone()));
        Ok(pinned)
    }

    fn facts<'a>(
        &'a self,
        known: Option<&Arc<Facts>>,
        file: &'a ObjectMeta,
        sample_bytes: usize,
    ) -> BoxFuture<'a, Result<Arc<Facts>>> {
        if let Some(facts) = known {
            return Box::pin(futures::future::ready(Ok(Arc::clone(facts))));
        }
        Box::pin(async move {
            let looking = facts::Looking {
                footers: &self.footers,
                folder: &self.location,
                format: self.format,
                options: &self.options,
                sample_bytes,
            };
            looking.read(file).await.map(Arc::new)
        })
    }

    /// Lists the files as they are now, in order of their paths.
    async fn files(&self) -> Result<Vec<ObjectMeta>> {
        if self.single_file {
            return match self.location.store.head(&self.location.path).await {
                Ok(file) => Ok(vec![file]),
                Err(StoreError::NotFound { .. }) => {
                    Err(CatalogError::PathNotFound { path: self.url.clone() })
                }
                Err(e) => Err(self.storage(e)),
            };
        }
        let mut files = Vec::new();
        let folder = &self.location.path;
        let mut listed = self.location.store.list(Some(folder));
        while let Some(file) = listed.try_next().await.map_err(|e| self.storage(e))? {
            // Empty files are marks or not yet written; a Parquet file is never empty.
            if partitions::belongs(folder, &file.location, self.format) && file.size > 0 {
                files.push(file);
            }
            if files.len() > FILES_MAX {
                let reason = format!("it holds more than {FILES_MAX} files");
                return Err(CatalogError::InvalidLocation { url: self.url.clone(), reason });
            }
        }
        if files.is_empty() {
            return Err(self.corrupt(format!("the folder holds no {} files", self.format.name())));
        }
        files.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(files)
    }

    fn storage(&self, source: StoreError) -> CatalogError {
        CatalogError::Storage { what: self.url.clone(), source: Box::new(source) }
    }

    fn corrupt(&self, what: String) -> CatalogError {
        CatalogError::Corrupt { table: self.name.clone(), what, source: None }
    }
}

impl LakeTable for FileTable {
    fn format(&self) -> &'static str {
        self.format.name()
    }

    fn location(&self) -> &str {
        &self.url
    }

    fn files(&self) -> Option<(bool, &FileOptions)> {
        Some((self.single_file, &self.options))
    }

    fn pin(self: Arc<Self>, travel: Travel) -> BoxFuture<'static, Result<Pinned>> {
        Box::pin(async move {
            if travel == Travel::Latest {
                // An error that names the file names the table as well.
                return self.pin_latest().await.map_err(|error| match error {
                    CatalogError::Corrupt { what, source, .. } => {
                        CatalogError::Corrupt { table: self.name.clone(), what, source }
                    }
                    other => other,
                });
            }
            Err(CatalogError::TravelUnsupported {
                table: self.name.clone(),
                format: self.format.name(),
            })
        })
    }
}

/// The names of the columns of one file.
pub(crate) async fn columns(
    stores: &ObjectStores,
    folder: &Location,
    format: Format,
    file: &ObjectMeta,
) -> Result<BTreeSet<String>> {
    const SAMPLE_BYTES: usize = 64 * 1024;
    let options = FileOptions::default();
    let footers = stores.footers();
    let sample_bytes = SAMPLE_BYTES;
    let looking = facts::Looking { footers, folder, format, options: &options, sample_bytes };
    let facts = looking.read(file).await?;
    Ok(facts.schema.fields().iter().map(|field| field.name().clone()).collect())
}
