//! A table together with the identity of each row: which file it is in, and where in it.
//!
//! ```text
//! ProjectionExec: id, part, …, file + row AS name
//!   DataSourceExec: id, part, …, file (constant of each file), row (numbered by the reader)
//! ```
//! The reader numbers rows as they are stored, whatever it leaves out, so deletion vectors, pruning
//! and parallel reads of one file do not change a row's identity.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{ColumnStatistics, Result, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use parquet::arrow::RowNumber;

use super::rows::{FileNumber, first_row_id};
use super::scan;
use super::snapshot::DeltaSnapshot;
use crate::CatalogError;

/// Columns of the scan that no table can have.
const FILE: &str = "tarn file\0";
const ROW: &str = "tarn row\0";

impl DeltaSnapshot {
    /// The table with one more column at its end: a number that identifies the row in this
    /// snapshot, for [`super::RowsByFile`].
    #[must_use]
    pub fn with_row_ids(self: &Arc<Self>, name: &str) -> Arc<dyn TableProvider> {
        Arc::new(NumberedTable::new(Arc::clone(self), name, None))
    }

    /// The same over some files only.
    #[must_use]
    pub fn with_row_ids_of(
        self: &Arc<Self>,
        name: &str,
        files: Vec<FileNumber>,
    ) -> Arc<dyn TableProvider> {
        Arc::new(NumberedTable::new(Arc::clone(self), name, Some(files)))
    }
}

struct NumberedTable {
    snapshot: Arc<DeltaSnapshot>,
    schema: SchemaRef,
    files: Option<Vec<FileNumber>>,
}

impl fmt::Debug for NumberedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NumberedTable").field("table", &self.snapshot.table).finish_non_exhaustive()
    }
}

impl NumberedTable {
    fn new(snapshot: Arc<DeltaSnapshot>, name: &str, files: Option<Vec<FileNumber>>) -> Self {
        let mut fields: Vec<FieldRef> = snapshot.layout.schema.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(name, DataType::Int64, false)));
        let schema = Schema::new_with_metadata(fields, snapshot.layout.schema.metadata().clone());
        Self { snapshot, schema: Arc::new(schema), files }
    }

    fn chosen(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<FileNumber>> {
        let mut files = scan::select_files(&self.snapshot, state, filters, None)?;
        if let Some(only) = &self.files {
            files.retain(|file| only.contains(file));
        }
        Ok(files)
    }

    fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        (files, filters): (&[FileNumber], &[Expr]),
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let layout = &self.snapshot.layout;
        let id_position = layout.schema.fields().len();
        let all: Vec<usize> = (0..=id_position).collect();
        let wanted = projection.unwrap_or(&all);
        if !wanted.contains(&id_position) {
            return scan::plan(&self.snapshot, state, Some(wanted), (files, filters), limit);
        }
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::new(self.schema.project(wanted)?))));
        }
        let numbered = scan_schema(layout.scan_schema.file_schema(), layout.partition_fields());
        let n_columns = layout.scan_schema.table_schema().fields().len();
        let mut columns: Vec<usize> =
            wanted.iter().filter_map(|c| layout.scan_position.get(*c).copied()).collect();
        let (file_at, row_at) = (columns.len(), columns.len() + 1);
        columns.extend([n_columns, n_columns + 1]);
        let more = |file: usize| match first_row_id(file) {
            Some(id) => Ok(vec![ScalarValue::Int64(Some(id))]),
            None => Err(CatalogError::Internal { what: "too many files".to_owned() }.into()),
        };
        let n_groups = state.config().target_partitions();
        let mut statistics = self.snapshot.statistics_of(files);
        statistics
            .column_statistics
            .extend(std::iter::repeat_n(ColumnStatistics::new_unknown(), 2));
        let parts = scan::ScanParts {
            readers: self.snapshot.readers(!filters.is_empty()),
            object_store_url: self.snapshot.object_store_url.clone(),
            schema: numbered,
            mapping: Arc::clone(&layout.mapping),
            groups: scan::group_files(&self.snapshot, files, n_groups, &more)?,
            columns,
            statistics: Some(statistics),
            limit,
            is_narrow: filters.iter().any(|f| scan::narrow::is_narrow(&self.snapshot, f)),
            n_left_out: match self.files {
                Some(_) => 0,
                None => self.snapshot.n_files().saturating_sub(files.len()),
            },
        };
        let scan = scan::data_source(state, parts)?;
        let input = scan.schema();
        let column = |at: usize| -> Arc<dyn PhysicalExpr> {
            Arc::new(Column::new(input.field(at).name(), at))
        };
        let mut next = 0;
        let exprs = wanted.iter().map(|wanted| {
            let name = self.schema.field(*wanted).name().clone();
            if *wanted == id_position {
                let id = BinaryExpr::new(column(file_at), Operator::Plus, column(row_at));
                return ProjectionExpr { expr: Arc::new(id), alias: name };
            }
            next += 1;
            ProjectionExpr { expr: column(next - 1), alias: name }
        });
        let exprs: Vec<ProjectionExpr> = exprs.collect();
        Ok(Arc::new(ProjectionExec::try_new(exprs, scan)?))
    }
}

fn scan_schema(file_schema: &SchemaRef, partition: &Fields) -> TableSchema {
    let mut constants: Vec<FieldRef> = partition.iter().cloned().collect();
    constants.push(Arc::new(Field::new(FILE, DataType::Int64, false)));
    let row = Field::new(ROW, DataType::Int64, false).with_extension_type(RowNumber);
    TableSchema::builder(Arc::clone(file_schema))
        .with_table_partition_cols(constants)
        .with_virtual_columns(vec![Arc::new(row)])
        .build()
}

impl TableProvider for NumberedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let is_known = |filter: &Expr| {
            let mut columns = filter.column_refs().into_iter();
            columns.all(|column| self.snapshot.layout.schema.field_with_name(column.name()).is_ok())
        };
        let answer = |filter: &&Expr| match is_known(filter) {
            true if scan::is_partition_filter(&self.snapshot.layout, filter) => {
                TableProviderFilterPushDown::Exact
            }
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(answer).collect())
    }

    // By hand: a generated future that holds `Expr` costs seconds of compile time.
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
        let files = self.chosen(state, filters);
        Box::pin(async move {
            let files = files?;
            scan::load_selections(&self.snapshot, &files).await?;
            self.plan(state, projection, (&files, filters), limit)
        })
    }
}
