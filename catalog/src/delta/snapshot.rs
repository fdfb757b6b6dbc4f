//! One version of a Delta table as a DataFusion table.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use arrow::array::BooleanArray;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, Statistics};
use datafusion::datasource::TableType;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::arrow_reader::RowSelection;
use roaring::RoaringTreemap;
use url::Url;

use super::actions::{AddAction, Commit};
use super::index::changes::chain;
use super::index::{FileIndex, object_path};
use super::layout::TableLayout;
use super::metadata::TableMetadata;
use super::rows::FileNumber;
use super::scan;
use super::statistics;
use crate::listing::{FooterCache, FooterReaderFactory};
use crate::{CatalogError, TableDetails};

/// An immutable version of a Delta table: its columns and its live files.
#[derive(Debug, Clone)]
pub struct DeltaSnapshot {
    pub(super) table: String,
    pub(super) url: Url,
    pub(super) version: u64,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) object_store_url: ObjectStoreUrl,
    pub(super) footers: FooterCache,
    /// Tells this table from one that was here before it: see [`crate::TableVersion::Commit`].
    pub(super) table_identity: u64,
    pub(super) layout: Arc<TableLayout>,
    pub(super) metadata: Arc<TableMetadata>,
    pub(super) details: Arc<TableDetails>,
    pub(super) index: Arc<FileIndex>,
    /// Statistics of each file in the scan's column order, made when first needed.
    pub(super) file_statistics: Vec<OnceLock<Arc<Statistics>>>,
    /// Remaining rows of each file with a deletion vector, loaded when first needed.
    pub(super) selections: Vec<OnceLock<RowSelection>>,
    /// Statistics of all files in the scan's column order.
    pub(super) statistics: OnceLock<Statistics>,
}

impl DeltaSnapshot {
    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.table
    }

    /// The URL of the table's folder.
    #[must_use]
    pub fn location(&self) -> &str {
        self.url.as_str()
    }

    /// What tells the table from one that was in its place before.
    #[must_use]
    pub fn identity(&self) -> u64 {
        self.table_identity
    }

    /// The commit number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What the version's `metaData` and `protocol` actions say.
    pub fn metadata(&self) -> &Arc<TableMetadata> {
        &self.metadata
    }

    /// Defaults, generated columns, keys, checks, remarks and properties.
    pub fn details(&self) -> &Arc<TableDetails> {
        &self.details
    }

    /// Rows a full scan yields; `None` if a file's log entry does not say.
    pub fn n_rows(&self) -> Option<u64> {
        (0..self.index.n_files()).map(|i| self.index.live_rows(i)).sum()
    }

    /// Live files.
    pub fn n_files(&self) -> usize {
        self.index.n_files()
    }

    /// Bytes of all live files.
    pub fn size_bytes(&self) -> u64 {
        self.index.size_bytes.iter().sum()
    }

    /// Names of the partition columns, in the table's partitioning order.
    pub fn partition_columns(&self) -> Vec<&str> {
        self.layout.partition_fields().iter().map(|field| field.name().as_str()).collect()
    }

    /// What reads the table's files; with the index of pages where a predicate can use it.
    pub(super) fn readers(&self, with_page_index: bool) -> FooterReaderFactory {
        FooterReaderFactory::new(
            Arc::clone(&self.store),
            self.object_store_url.clone(),
            self.footers.clone(),
            with_page_index,
        )
    }

    /// Rows that a scan of one file gives; `None` if the log does not say.
    #[must_use]
    pub fn live_rows(&self, file: FileNumber) -> Option<u64> {
        self.index.live_rows(file)
    }

    /// A version of the same columns with other files: those that are kept, in their order, and
    /// after them those of another index.
    pub(super) fn with_files(
        &self,
        keep: &BooleanArray,
        added: &FileIndex,
        version: u64,
    ) -> crate::Result<Self> {
        let index = Arc::new(self.index.followed_by(keep, added)?);
        let is_kept = |file: usize| keep.value(file);
        let (no_statistics, no_selections) =
            (vec![OnceLock::new(); added.n_files()], vec![OnceLock::new(); added.n_files()]);
        Ok(Self {
            index,
            version,
            file_statistics: chain(&self.file_statistics, &no_statistics, is_kept),
            selections: chain(&self.selections, &no_selections, is_kept),
            statistics: OnceLock::new(),
            ..self.clone()
        })
    }

    /// The table after commits that change neither its columns nor its protocol.
    pub(super) fn after(&self, commits: &[Commit], version: u64) -> crate::Result<Self> {
        let mut adds: BTreeMap<Path, &AddAction> = BTreeMap::new();
        let mut touched: HashSet<Path> = HashSet::new();
        for commit in commits {
            for remove in &commit.removes {
                let path = object_path(&self.table, &self.url, &remove.path)?;
                adds.remove(&path);
                touched.insert(path);
            }
            for add in &commit.adds {
                let path = object_path(&self.table, &self.url, &add.path)?;
                touched.insert(path.clone());
                adds.insert(path, add);
            }
        }
        let added = FileIndex::of_adds(&self.table, &self.url, &self.layout, adds.into_values())?;
        let paths = self.index.paths.iter();
        let keep: BooleanArray = paths.map(|path| Some(!touched.contains(path))).collect();
        self.with_files(&keep, &added, version)
    }

    /// The same files under another number.
    pub(super) fn as_version(&self, version: u64) -> Self {
        Self { version, ..self.clone() }
    }

    /// The same files under other metadata.
    pub(super) fn with_metadata(&self, metadata: Arc<TableMetadata>) -> crate::Result<Self> {
        let layout = Arc::new(TableLayout::of(&self.table, &metadata)?);
        let n_files = self.n_files();
        let index = self.index.for_layout(&self.table, &self.layout, &layout)?;
        Ok(Self {
            layout,
            index: Arc::new(index),
            details: Arc::new(metadata.details()),
            metadata,
            file_statistics: vec![OnceLock::new(); n_files],
            statistics: OnceLock::new(),
            ..self.clone()
        })
    }

    /// The table's folder in its store.
    pub(super) fn root(&self) -> crate::Result<Path> {
        Path::from_url_path(self.url.path()).map_err(|error| CatalogError::InvalidLocation {
            url: self.url.to_string(),
            reason: error.to_string(),
        })
    }

    /// The numbers of the deleted rows of a file.
    pub(super) async fn deleted_rows(&self, file: FileNumber) -> crate::Result<RoaringTreemap> {
        match self.index.deletion_vectors.get(file).and_then(Option::as_ref) {
            Some(vector) => vector.deleted_rows(&self.table, &self.url, self.store.as_ref()).await,
            None => Ok(RoaringTreemap::new()),
        }
    }

    pub(super) fn full_statistics(&self) -> &Statistics {
        self.statistics.get_or_init(|| {
            let all: Vec<usize> = (0..self.index.n_files()).collect();
            statistics::of_files(&self.index, &self.layout, &all)
        })
    }

    pub(super) fn statistics_of(&self, files: &[usize]) -> Statistics {
        if files.len() == self.index.n_files() {
            return self.full_statistics().clone();
        }
        statistics::of_files(&self.index, &self.layout, files)
    }
}

// The methods of `#[async_trait]`'s trait are written by hand: a generated future that holds `Expr`
// costs seconds of compile time in each build of this crate.
impl TableProvider for DeltaSnapshot {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.layout.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| {
            if scan::is_partition_filter(&self.layout, filter) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Inexact
            }
        };
        Ok(filters.iter().map(answer).collect())
    }

    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        state: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<dyn ExecutionPlan>>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        let files = scan::select_files(self, state, filters, limit);
        Box::pin(async move {
            let files = files?;
            scan::load_selections(self, &files).await?;
            scan::plan(self, state, projection, (&files, filters), limit)
        })
    }

    fn statistics(&self) -> Option<Statistics> {
        let positions = &self.layout.scan_position;
        Some(self.full_statistics().clone().project(Some(positions)))
    }
}
