//! The change data feed of a table: which rows each commit has put in, taken out and changed.
//!
//! A commit that changes rows writes them to files of their own (`cdc` actions), where a column
//! says what became of each. A commit that only adds or only removes rows needs none: its data files
//! tell. Where a file stays and its deletion vector grows, the difference of the vectors tells.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use futures::future::BoxFuture;
use object_store::ObjectStoreExt;
use roaring::RoaringTreemap;

use super::Point;
use super::commits::{Add, Commit, Remove, Vector, stored_rows};
use super::pieces::{Piece, Pieces, Place};
use crate::delta::DeltaTable;
use crate::delta::deletion_vector::{DeletionVector, only_rows, remaining_rows};
use crate::delta::index::{FileIndex, object_path};
use crate::delta::layout::TableLayout;
use crate::delta::snapshot::DeltaSnapshot;
use crate::delta::sql_types;
use crate::{CatalogError, Result, Travel};

/// The column that says what became of a row.
pub(super) const CHANGE_TYPE: &str = "_change_type";
const COMMIT_VERSION: &str = "_commit_version";
const COMMIT_TIMESTAMP: &str = "_commit_timestamp";
/// The table property that makes writers record changes.
const ENABLED: &str = "delta.enableChangeDataFeed";

/// The changes between two versions as a relation.
#[derive(Debug)]
struct ChangesTable {
    schema: SchemaRef,
    place: Place,
    /// Data files whose rows came or went.
    data: Pieces,
    /// Files of changed rows.
    changed: Pieces,
    /// Held, so that VACUUM lets the files be.
    _files: Arc<FileIndex>,
}

impl DeltaTable {
    /// The changes of the versions from one point to another, both included; the columns are those
    /// of the last one, as wide as in any of them, then `_change_type`, `_commit_version` and
    /// `_commit_timestamp`.
    ///
    /// # Errors
    /// `ChangesNotRecorded` where the table did not record changes, `VersionNotFound`, and what
    /// reading the log reports.
    pub fn changes(
        self: &Arc<Self>,
        from: Point,
        to: Option<Point>,
    ) -> BoxFuture<'static, Result<Arc<dyn TableProvider>>> {
        let table = Arc::clone(self);
        Box::pin(async move {
            let first = table.version_from(&from).await?;
            let last = match to {
                Some(point) => table.snapshot(Travel::Version(table.version_of(&point).await?)),
                None => table.snapshot(Travel::Latest),
            };
            let last = Box::pin(last).await?;
            if first > last.version() {
                return Err(CatalogError::VersionNotFound {
                    table: table.name.clone(),
                    version: first.to_string(),
                    available: format!("the changes asked for end with version {}", last.version()),
                });
            }
            let commits = table.commits(first..=last.version()).await?;
            table.check_recorded(&commits).await?;
            let layout = table.layout_over(&last, &commits).await?;
            let changes = table.gather((last.as_ref(), &layout), &commits).await?;
            Ok(Arc::new(changes) as Arc<dyn TableProvider>)
        })
    }

    /// Refuses commits that were made while changes were not recorded.
    async fn check_recorded(&self, commits: &[Commit]) -> Result<()> {
        let Some(first) = commits.first().map(|commit| commit.version) else { return Ok(()) };
        let refuse =
            |version| Err(CatalogError::ChangesNotRecorded { table: self.name.clone(), version });
        // The first commit may be the one that switches it on.
        let own = commits.first().and_then(|commit| commit.metadata.as_ref());
        let known = match own {
            Some(_) => true,
            None => {
                let kernel = self.log.at_version(first).await?;
                let properties = kernel.table_configuration().table_properties();
                properties.enable_change_data_feed == Some(true)
            }
        };
        if !known {
            return refuse(first);
        }
        for commit in commits {
            if let Some(metadata) = &commit.metadata {
                let value = metadata.configuration.get(ENABLED).and_then(Option::as_deref);
                if !value.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
                    return refuse(commit.version);
                }
            }
        }
        Ok(())
    }

    async fn gather(
        &self,
        (last, layout): (&DeltaSnapshot, &TableLayout),
        commits: &[Commit],
    ) -> Result<ChangesTable> {
        let change_type = field(CHANGE_TYPE, DataType::Utf8);
        let version = field(COMMIT_VERSION, DataType::Int64);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let timestamp = field(COMMIT_TIMESTAMP, utc);
        let of_commit = [Arc::clone(&version), Arc::clone(&timestamp)];
        let own = [change_type, version, timestamp];
        let columns = layout.schema.fields().iter().chain(&own).map(Arc::clone);
        let mut gathered = ChangesTable {
            schema: Arc::new(Schema::new(columns.collect::<Vec<_>>())),
            place: self.place(),
            data: Pieces::new(layout, &[], &own),
            changed: Pieces::new(layout, own.get(..1).unwrap_or_default(), &of_commit),
            _files: Arc::clone(&last.index),
        };
        for commit in commits {
            let at = CommitFiles { table: self, last, layout, commit };
            if commit.changes.is_empty() {
                at.data_files(&mut gathered.data.pieces).await?;
            } else {
                at.change_files(&mut gathered.changed.pieces)?;
            }
        }
        let pieces = gathered.data.pieces.iter().chain(&gathered.changed.pieces);
        let files = FileIndex::of_paths(pieces.map(|piece| piece.path.clone()).collect());
        gathered._files = Arc::new(files);
        self.readers.note(&gathered._files);
        Ok(gathered)
    }

    pub(super) fn place(&self) -> Place {
        Place {
            store: Arc::clone(&self.store),
            object_store_url: self.object_store_url.clone(),
            footers: self.footers.clone(),
        }
    }

    /// The rows that a deletion vector lists; none where there is no vector.
    pub(super) async fn rows_of(&self, vector: Option<&DeletionVector>) -> Result<RoaringTreemap> {
        match vector {
            Some(vector) => vector.deleted_rows(&self.name, &self.url, self.store.as_ref()).await,
            None => Ok(RoaringTreemap::new()),
        }
    }
}

fn field(name: &str, data_type: DataType) -> FieldRef {
    Arc::new(Field::new(name, data_type, true))
}

/// The files of one commit.
struct CommitFiles<'a> {
    table: &'a DeltaTable,
    last: &'a DeltaSnapshot,
    /// The columns that the result has.
    layout: &'a TableLayout,
    commit: &'a Commit,
}

impl CommitFiles<'_> {
    /// Rows that came and went with the commit's data files.
    async fn data_files(&self, pieces: &mut Vec<Piece>) -> Result<()> {
        let removes = self.commit.removes.iter().filter(|remove| remove.data_change);
        let mut removed: HashMap<&str, &Remove> =
            removes.map(|remove| (remove.path.as_str(), remove)).collect();
        for add in self.commit.adds.iter().filter(|add| add.data_change) {
            match removed.remove(add.path.as_str()) {
                None => pieces.push(self.added(add).await?),
                Some(remove) => self.kept(add, remove, pieces).await?,
            }
        }
        // In the log's order, so that equal calls give equal plans.
        for remove in &self.commit.removes {
            if removed.contains_key(remove.path.as_str()) {
                pieces.push(self.removed(remove).await?);
            }
        }
        Ok(())
    }

    fn change_files(&self, pieces: &mut Vec<Piece>) -> Result<()> {
        for file in &self.commit.changes {
            let mut values = self.partition_values(&file.partition_values)?;
            values.extend(self.commit_values());
            pieces.push(Piece {
                path: object_path(&self.table.name, &self.table.url, &file.path)?,
                size_bytes: file.size,
                modified_ms: self.commit.timestamp_ms,
                values,
                selection: None,
            });
        }
        Ok(())
    }

    async fn added(&self, add: &Add) -> Result<Piece> {
        let mut piece = self.piece(add, "insert")?;
        if let Some(vector) = &add.deletion_vector {
            let deleted = self.table.rows_of(Some(&vector.into())).await?;
            let n_rows = self.stored_rows(&piece, add.stats.as_deref()).await?;
            let live = remaining_rows(&deleted, n_rows);
            piece.selection = Some(live.map_err(|what| self.table.damaged(what))?);
        }
        Ok(piece)
    }

    /// A file that stays, with another deletion vector.
    async fn kept(&self, add: &Add, remove: &Remove, pieces: &mut Vec<Piece>) -> Result<()> {
        let rows = async |vector: Option<&Vector>| {
            let vector = vector.map(DeletionVector::from);
            self.table.rows_of(vector.as_ref()).await
        };
        let now = rows(add.deletion_vector.as_ref()).await?;
        let before = rows(remove.deletion_vector.as_ref()).await?;
        let stats = add.stats.as_deref().or(remove.stats.as_deref());
        for (set, change) in [(&now - &before, "delete"), (&before - &now, "insert")] {
            if set.is_empty() {
                continue;
            }
            let mut piece = self.piece(add, change)?;
            let n_rows = self.stored_rows(&piece, stats).await?;
            let only = only_rows(&set, n_rows).map_err(|what| self.table.damaged(what))?;
            piece.selection = Some(only);
            pieces.push(piece);
        }
        Ok(())
    }

    async fn removed(&self, remove: &Remove) -> Result<Piece> {
        let path = object_path(&self.table.name, &self.table.url, &remove.path)?;
        // Older writers say no more of a removed file than its path.
        let size = match remove.size {
            Some(size) => size,
            None => {
                let found = self.table.store.head(&path).await;
                found.map_err(|source| self.unreadable(&remove.path, source))?.size
            }
        };
        let partition_values = match &remove.partition_values {
            Some(values) => values.clone(),
            None if self.layout.partition_fields().is_empty() => HashMap::new(),
            None => {
                let what = format!(
                    "commit {} does not say which partition it removes file {} from",
                    self.commit.version, remove.path
                );
                return Err(self.table.damaged(what));
            }
        };
        let add = Add {
            path: remove.path.clone(),
            partition_values,
            size,
            modification_time: 0,
            data_change: true,
            stats: remove.stats.clone(),
            deletion_vector: remove.deletion_vector.clone(),
        };
        let mut piece = self.piece(&add, "delete")?;
        if let Some(vector) = &remove.deletion_vector {
            let deleted = self.table.rows_of(Some(&vector.into())).await?;
            let n_rows = self.stored_rows(&piece, remove.stats.as_deref()).await?;
            let live = remaining_rows(&deleted, n_rows);
            piece.selection = Some(live.map_err(|what| self.table.damaged(what))?);
        }
        Ok(piece)
    }

    fn piece(&self, add: &Add, change: &str) -> Result<Piece> {
        let mut values = self.partition_values(&add.partition_values)?;
        values.push(ScalarValue::from(change));
        values.extend(self.commit_values());
        Ok(Piece {
            path: object_path(&self.table.name, &self.table.url, &add.path)?,
            size_bytes: add.size,
            modified_ms: add.modification_time,
            values,
            selection: None,
        })
    }

    fn commit_values(&self) -> [ScalarValue; 2] {
        let micros = self.commit.timestamp_ms.saturating_mul(1_000);
        [
            ScalarValue::Int64(i64::try_from(self.commit.version).ok()),
            ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())),
        ]
    }

    fn partition_values(
        &self,
        texts: &HashMap<String, Option<String>>,
    ) -> Result<Vec<ScalarValue>> {
        let layout = self.layout;
        let typed =
            layout.partition_names.iter().zip(layout.partition_fields()).map(|(name, field)| {
                // The protocol writes NULL as an empty text too.
                let text = texts.get(name).and_then(Option::as_deref).filter(|t| !t.is_empty());
                let foreign = || sql_types::value_of(text, field.data_type()).ok()?;
                let value = match (text, foreign()) {
                    (_, Some(value)) => Ok(value),
                    (None, None) => ScalarValue::try_from(field.data_type()),
                    (Some(text), None) => {
                        ScalarValue::try_from_string(text.to_owned(), field.data_type())
                    }
                };
                value.map_err(|_| {
                    let text = text.unwrap_or_default();
                    let name = field.name();
                    self.table.damaged(format!("partition value \"{text}\" of column \"{name}\""))
                })
            });
        typed.collect()
    }

    /// Rows of a file, deleted ones included. Commits need not say it of files that they remove.
    async fn stored_rows(&self, file: &Piece, stats: Option<&str>) -> Result<u64> {
        match stored_rows(stats) {
            Some(n_rows) => Ok(n_rows),
            None => self.last.rows_in_footer(&file.path, file.size_bytes, file.modified_ms).await,
        }
    }

    fn unreadable(&self, path: &str, source: object_store::Error) -> CatalogError {
        match source {
            object_store::Error::NotFound { .. } => CatalogError::FilesMissing {
                table: self.table.name.clone(),
                files: vec![path.to_owned()],
                n_missing: 1,
            },
            source => CatalogError::Storage {
                what: format!("file {path} of table \"{}\"", self.table.name),
                source: Box::new(source),
            },
        }
    }
}

// Written by hand: see `DeltaSnapshot`.
impl TableProvider for ChangesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        state: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        _filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'async_trait, datafusion::common::Result<Arc<dyn ExecutionPlan>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        let sets = [&self.data, &self.changed];
        let plan = plan_sets(&sets, state, &self.place, (&self.schema, projection), limit);
        Box::pin(async move { plan })
    }
}

/// The scans of several sets of files under one schema, one after the other.
pub(super) fn plan_sets(
    sets: &[&Pieces],
    state: &dyn Session,
    place: &Place,
    (schema, projection): (&SchemaRef, Option<&Vec<usize>>),
    limit: Option<usize>,
) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
    let output = match projection {
        Some(columns) => Arc::new(schema.project(columns)?),
        None => Arc::clone(schema),
    };
    let some = sets.iter().filter(|set| !set.pieces.is_empty());
    let plans = some.map(|set| set.plan(state, place, &output, limit));
    let mut plans = plans.collect::<datafusion::common::Result<Vec<_>>>()?;
    match plans.len() {
        0 => Ok(Arc::new(EmptyExec::new(output))),
        1 => Ok(plans.swap_remove(0)),
        _ => UnionExec::try_new(plans),
    }
}
