//! Scans of chosen rows of chosen files, with columns that the files do not have.
//!
//! A version of a table is scanned by its file index. Changes and differences name rows of files
//! that may belong to no version that is read now, and add columns of their own, whose values are
//! the same for all rows of a file: to the Parquet source these are partition columns.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use chrono::DateTime;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::ExecutionPlan;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::RowSelection;

use crate::delta::layout::{ColumnMapping, TableLayout};
use crate::delta::scan::{ScanParts, data_source};
use crate::listing::{FooterCache, FooterReaderFactory};

/// Rows of one file, all or some.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) path: Path,
    pub(super) size_bytes: u64,
    pub(super) modified_ms: i64,
    /// Values of the columns that the file does not have, in the scan's order.
    pub(super) values: Vec<ScalarValue>,
    /// The rows to return; `None` is all.
    pub(super) selection: Option<RowSelection>,
}

/// Files of one shape.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) schema: TableSchema,
    pub(super) mapping: Arc<ColumnMapping>,
    pub(super) pieces: Vec<Piece>,
}

/// Where the files are.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) object_store_url: ObjectStoreUrl,
    pub(super) footers: FooterCache,
}

impl Pieces {
    /// No files yet: those of a table, `inside` being further columns that they have and `beside`
    /// columns that they do not have.
    pub(super) fn new(layout: &TableLayout, inside: &[FieldRef], beside: &[FieldRef]) -> Self {
        let with = |fields: &arrow::datatypes::Fields, more: &[FieldRef]| -> Vec<FieldRef> {
            fields.iter().chain(more).map(Arc::clone).collect()
        };
        let file = with(layout.scan_schema.file_schema().fields(), inside);
        let file = Arc::new(arrow::datatypes::Schema::new(file));
        let mapping = ColumnMapping {
            mode: layout.mapping.mode,
            fields: with(&layout.mapping.fields, inside).into(),
        };
        let beside = with(layout.partition_fields(), beside);
        Self {
            schema: TableSchema::builder(file).with_table_partition_cols(beside).build(),
            mapping: Arc::new(mapping),
            pieces: vec![],
        }
    }

    /// The scan that returns these columns of `output`.
    pub(super) fn plan(
        &self,
        state: &dyn Session,
        place: &Place,
        output: &SchemaRef,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let position = |field: &FieldRef| self.schema.table_schema().index_of(field.name());
        let columns = output.fields().iter().map(position).collect::<Result<Vec<_>, _>>()?;
        let mut statistics = Statistics::new_unknown(self.schema.table_schema());
        let bytes: u64 = self.pieces.iter().map(|piece| piece.size_bytes).sum();
        statistics.total_byte_size =
            Precision::Inexact(usize::try_from(bytes).unwrap_or(usize::MAX));
        let parts = ScanParts {
            readers: FooterReaderFactory::new(
                Arc::clone(&place.store),
                place.object_store_url.clone(),
                place.footers.clone(),
                false,
            ),
            object_store_url: place.object_store_url.clone(),
            schema: self.schema.clone(),
            mapping: Arc::clone(&self.mapping),
            groups: self.groups(state.config().target_partitions()),
            columns,
            statistics: Some(statistics),
            limit,
            is_narrow: false,
            n_left_out: 0,
        };
        data_source(state, parts)
    }

    /// Deals the files out, in order, to groups of similar size.
    fn groups(&self, n_groups: usize) -> Vec<FileGroup> {
        let total: u64 = self.pieces.iter().map(|piece| piece.size_bytes.max(1)).sum();
        let n_groups = n_groups.clamp(1, self.pieces.len().max(1));
        let share = total.div_ceil(u64::try_from(n_groups).unwrap_or(1)).max(1);
        let mut groups: Vec<Vec<PartitionedFile>> = vec![];
        let (mut before, mut last) = (0_u64, None);
        for piece in &self.pieces {
            let group = before / share;
            before += piece.size_bytes.max(1);
            if last != Some(group) {
                groups.push(vec![]);
                last = Some(group);
            }
            if let Some(files) = groups.last_mut() {
                files.push(file_of(piece));
            }
        }
        groups.into_iter().map(FileGroup::new).collect()
    }
}

fn file_of(piece: &Piece) -> PartitionedFile {
    let meta = ObjectMeta {
        location: piece.path.clone(),
        last_modified: DateTime::from_timestamp_millis(piece.modified_ms).unwrap_or_default(),
        size: piece.size_bytes,
        e_tag: None,
        version: None,
    };
    let file = PartitionedFile::new_from_meta(meta).with_partition_values(piece.values.clone());
    match &piece.selection {
        Some(selection) => file.with_extension(ParquetRowSelection::new(selection.clone())),
        None => file,
    }
}
