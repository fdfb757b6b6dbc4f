//! Two versions of a table compared by their files.
//!
//! No change data feed is needed: a file that only the later version has brings rows, one that only
//! the earlier one has took its rows away, and where both have it their deletion vectors are
//! compared. Rows of a file that was rewritten show up twice, as deleted and as inserted.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;
use object_store::path::Path;

use super::Point;
use super::changes::{CHANGE_TYPE, plan_sets};
use super::pieces::{Piece, Pieces, Place};
use crate::delta::DeltaTable;
use crate::delta::deletion_vector::{only_rows, remaining_rows};
use crate::delta::index::FileIndex;
use crate::delta::layout::TableLayout;
use crate::delta::snapshot::DeltaSnapshot;
use crate::{CatalogError, Result, Travel};

/// The difference of two versions as a relation.
#[derive(Debug)]
struct DiffTable {
    schema: SchemaRef,
    place: Place,
    pieces: Pieces,
    /// Held, so that VACUUM lets the files be.
    _files: [Arc<FileIndex>; 2],
}

impl DeltaTable {
    /// The rows that one version has and another one has not; the columns are those of the newer
    /// one, as wide as in either of them, then `_change_type`: `insert` for rows of `to`, `delete`
    /// for rows of `from`.
    ///
    /// # Errors
    /// `VersionNotFound`, `UnsupportedFeature` where the partitioning has changed in between.
    pub fn diff(
        self: &Arc<Self>,
        from: Point,
        to: Point,
    ) -> BoxFuture<'static, Result<Arc<dyn TableProvider>>> {
        let table = Arc::clone(self);
        Box::pin(async move {
            let from = table.version_of(&from).await?;
            let to = table.version_of(&to).await?;
            let from = Box::pin(table.snapshot(Travel::Version(from))).await?;
            let to = Box::pin(table.snapshot(Travel::Version(to))).await?;
            let diff: Arc<dyn TableProvider> = Arc::new(table.compare(&from, &to).await?);
            Ok(diff)
        })
    }

    async fn compare(&self, from: &DeltaSnapshot, to: &DeltaSnapshot) -> Result<DiffTable> {
        let is_forward = to.version() >= from.version();
        let (newer, older) = if is_forward { (to, from) } else { (from, to) };
        let layout = newer.layout_over(&[older.metadata.schema_json()])?;
        let change_type = Arc::new(Field::new(CHANGE_TYPE, DataType::Utf8, true));
        let columns = layout.schema.fields().iter().chain([&change_type]).map(Arc::clone);
        let schema = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
        let mut pieces = Pieces::new(&layout, &[], &[change_type]);

        let before: HashMap<&Path, usize> =
            from.index.paths.iter().enumerate().map(|(i, path)| (path, i)).collect();
        let after: HashMap<&Path, usize> =
            to.index.paths.iter().enumerate().map(|(i, path)| (path, i)).collect();
        for (path, i) in from.index.paths.iter().zip(0..) {
            if !after.contains_key(path) {
                let side = Side { table: self, snapshot: from, layout: &layout, i };
                pieces.pieces.push(side.live("delete").await?);
            }
        }
        for (path, i) in to.index.paths.iter().zip(0..) {
            let side = Side { table: self, snapshot: to, layout: &layout, i };
            match before.get(path) {
                None => pieces.pieces.push(side.live("insert").await?),
                Some(j) => side.vectors(from, *j, &mut pieces.pieces).await?,
            }
        }
        let files = [Arc::clone(&from.index), Arc::clone(&to.index)];
        Ok(DiffTable { schema, place: self.place(), pieces, _files: files })
    }
}

/// One file of one version.
struct Side<'a> {
    table: &'a DeltaTable,
    snapshot: &'a DeltaSnapshot,
    /// The columns that the result has.
    layout: &'a TableLayout,
    i: usize,
}

impl Side<'_> {
    /// All rows of the file that are not deleted.
    async fn live(&self, change: &str) -> Result<Piece> {
        let mut piece = self.piece(change)?;
        let vector = self.snapshot.index.deletion_vectors.get(self.i).and_then(Option::as_ref);
        if vector.is_some() {
            let deleted = self.table.rows_of(vector).await?;
            let live = remaining_rows(&deleted, self.snapshot.stored_rows(self.i).await?);
            piece.selection = Some(live.map_err(|what| self.table.damaged(what))?);
        }
        Ok(piece)
    }

    /// The rows that another version of the same file has and this one has not, and the reverse.
    async fn vectors(&self, from: &DeltaSnapshot, j: usize, pieces: &mut Vec<Piece>) -> Result<()> {
        let now = self.snapshot.index.deletion_vectors.get(self.i).and_then(Option::as_ref);
        let before = from.index.deletion_vectors.get(j).and_then(Option::as_ref);
        if now == before {
            return Ok(());
        }
        let now = self.table.rows_of(now).await?;
        let before = self.table.rows_of(before).await?;
        for (rows, change) in [(&now - &before, "delete"), (&before - &now, "insert")] {
            if rows.is_empty() {
                continue;
            }
            let mut piece = self.piece(change)?;
            let only = only_rows(&rows, self.snapshot.stored_rows(self.i).await?);
            piece.selection = Some(only.map_err(|what| self.table.damaged(what))?);
            pieces.push(piece);
        }
        Ok(())
    }

    fn piece(&self, change: &str) -> Result<Piece> {
        let index = &self.snapshot.index;
        let (Some(path), Some(size)) = (index.paths.get(self.i), index.size_bytes.get(self.i))
        else {
            return Err(CatalogError::Internal {
                what: format!("no file {} in the index", self.i),
            });
        };
        let mut values = self.partition_values()?;
        values.push(ScalarValue::from(change));
        Ok(Piece {
            path: path.clone(),
            size_bytes: *size,
            modified_ms: index.modified_ms.get(self.i).copied().unwrap_or_default(),
            values,
            selection: None,
        })
    }

    /// The file's partition values in the order and the types of the result.
    fn partition_values(&self) -> Result<Vec<ScalarValue>> {
        let own = self.snapshot.layout.partition_fields();
        let wanted = self.layout.partition_fields();
        let changed = || CatalogError::UnsupportedFeature {
            table: self.table.name.clone(),
            format: "delta",
            feature: "comparing versions with different partition columns".to_owned(),
        };
        if own.len() != wanted.len() {
            return Err(changed());
        }
        let names = &self.snapshot.layout.partition_names;
        let typed = self.layout.partition_names.iter().zip(wanted).map(|(name, field)| {
            let at = names.iter().position(|own| own == name).ok_or_else(changed)?;
            let values = self.snapshot.index.partitions.get(at).ok_or_else(changed)?;
            let value = ScalarValue::try_from_array(values, self.i);
            value.and_then(|value| value.cast_to(field.data_type())).map_err(|_| changed())
        });
        typed.collect()
    }
}

// Written by hand: see `DeltaSnapshot`.
impl TableProvider for DiffTable {
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
        let output = (&self.schema, projection);
        let plan = plan_sets(&[&self.pieces], state, &self.place, output, limit);
        Box::pin(async move { plan })
    }
}
