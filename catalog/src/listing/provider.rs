//! A table of files at one moment, as DataFusion plans and scans it.

use std::sync::Arc;

use ::object_store::ObjectMeta;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, ScalarValue, Statistics, project_schema};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::facts::Facts;
use super::footers::{FooterCache, FooterReaderFactory, aligned};
use super::options::FileOptions;
use super::partitions::Partitions;
use super::text_scan::TextSource;
use super::{FileTable, columns};
use crate::discovery::Format;
use crate::object_store::Location;
use crate::{CatalogError, Result};

/// Scans exactly the files that one pin listed.
#[derive(Debug)]
pub(super) struct FilesProvider {
    table: Arc<str>,
    format: Format,
    options: Arc<FileOptions>,
    location: Location,
    footers: FooterCache,
    schema: TableSchema,
    /// Sorted by path; each with its partition values and statistics over the table's columns.
    files: Vec<PartitionedFile>,
    statistics: Statistics,
}

impl FilesProvider {
    /// Brings what is known of the files together.
    ///
    /// # Errors
    /// `Corrupt` when their columns or partitions contradict each other.
    pub(super) fn try_new(
        table: &FileTable,
        metas: &[ObjectMeta],
        facts: &[Arc<Facts>],
    ) -> Result<Self> {
        let shown = |meta: &ObjectMeta| table.location.shown(&meta.location);
        let file_name = |index: usize| metas.get(index).map(shown).unwrap_or_default();
        let as_text = table.format != Format::Parquet;
        let merged = columns::merge(facts.iter().map(|facts| &facts.schema), as_text);
        let merged = merged.map_err(|mismatch| {
            let (before, here) = mismatch.types;
            let (column, file) = (mismatch.column, file_name(mismatch.file_index));
            table.corrupt(format!(
                "column \"{column}\" is {here} in {file} but {before} in the files before it"
            ))
        })?;
        let folder = &table.location.path;
        let files = if table.single_file { &[] } else { metas };
        let partitions = Partitions::try_new(folder, files).map_err(|file| {
            table
                .corrupt(format!("{file} lies in other partition folders than the files before it"))
        })?;
        let schema = table_schema(merged, &partitions);
        let mut values = partitions.values.into_iter();
        let files: Vec<PartitionedFile> = metas
            .iter()
            .zip(facts)
            .map(|(meta, facts)| file(meta, facts, values.next().unwrap_or_default(), &schema))
            .collect();
        let statistics = summary(&files, schema.table_schema()).map_err(|source| {
            CatalogError::Engine { table: table.name.clone(), source: Box::new(source) }
        })?;
        Ok(Self {
            table: table.name.as_str().into(),
            format: table.format,
            options: Arc::clone(&table.options),
            location: table.location.clone(),
            footers: table.footers.clone(),
            schema,
            files,
            statistics,
        })
    }

    fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let table_schema = self.schema.table_schema();
        let files = self.files_matching(state, filters)?;
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(table_schema, projection)?)));
        }
        let statistics = if files.len() == self.files.len() {
            self.statistics.clone()
        } else {
            summary(&files, table_schema)?
        };
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let source = self.source(state, !filters.is_empty());
        let config = FileScanConfigBuilder::new(self.location.store_url.clone(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// The files that can hold rows for the filters, going by partition values and statistics.
    fn files_matching(
        &self,
        state: &dyn Session,
        filters: &[Expr],
    ) -> DataFusionResult<Vec<PartitionedFile>> {
        let Some(filter) = conjunction(filters.iter().cloned()) else {
            return Ok(self.files.clone());
        };
        let schema = self.schema.table_schema();
        let df_schema = DFSchema::try_from(Arc::clone(schema))?;
        let filter = state.create_physical_expr(filter, &df_schema)?;
        let statistics = self.files.iter().filter_map(|file| file.statistics.clone()).collect();
        let statistics = PrunableStatistics::new(statistics, Arc::clone(schema));
        // A filter that says nothing about statistics prunes nothing.
        let kept = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(schema))
            .try_build(filter)
            .and_then(|predicate| predicate.prune(&statistics))
            .unwrap_or_default();
        let keep = kept.into_iter().chain(std::iter::repeat(true));
        Ok(self.files.iter().zip(keep).filter(|(_, keep)| *keep).map(|(f, _)| f.clone()).collect())
    }

    fn source(&self, state: &dyn Session, with_page_index: bool) -> Arc<dyn FileSource> {
        if self.format != Format::Parquet {
            let table = Arc::clone(&self.table);
            let (location, schema) = (self.location.clone(), self.schema.clone());
            let (format, options) = (self.format.name(), Arc::clone(&self.options));
            return Arc::new(TextSource::new(table, location, format, schema, options));
        }
        let global = state.config_options().execution.parquet.clone();
        let mut options = TableParquetOptions { global, ..TableParquetOptions::default() };
        // The table's columns say the same: see `facts::parquet_schema`.
        options.global.coerce_int96 = Some("us".to_owned());
        let readers = FooterReaderFactory::new(
            Arc::clone(&self.location.store),
            self.location.store_url.clone(),
            self.footers.clone(),
            with_page_index,
        );
        let source = ParquetSource::new(self.schema.clone()).with_table_parquet_options(options);
        Arc::new(source.with_parquet_file_reader_factory(Arc::new(readers)))
    }
}

/// Puts partition columns last; one that is also in the files is taken from the folders.
fn table_schema(merged: Schema, partitions: &Partitions) -> TableSchema {
    let in_files = |field: &&Arc<Field>| partitions.fields.find(field.name()).is_none();
    let fields: Vec<Arc<Field>> = merged.fields().iter().filter(in_files).cloned().collect();
    TableSchema::builder(Arc::new(Schema::new(fields)))
        .with_table_partition_cols(partitions.fields.clone())
        .build()
}

fn file(
    meta: &ObjectMeta,
    facts: &Facts,
    values: Vec<ScalarValue>,
    schema: &TableSchema,
) -> PartitionedFile {
    let mut statistics = match &facts.statistics {
        Some(own) => aligned(own, &facts.schema, schema.file_schema()),
        None => {
            let size = usize::try_from(meta.size).map_or(Precision::Absent, Precision::Inexact);
            Statistics::new_unknown(schema.file_schema()).with_total_byte_size(size)
        }
    };
    // Not by `PartitionedFile::with_statistics`: it says that a NULL partition has no NULLs
    // (DataFusion 55.2), from which COUNT would be answered.
    for value in &values {
        let column = ColumnStatistics::new_unknown();
        statistics.column_statistics.push(if value.is_null() {
            column.with_null_count(statistics.num_rows)
        } else {
            column
                .with_null_count(Precision::Exact(0))
                .with_min_value(Precision::Exact(value.clone()))
                .with_max_value(Precision::Exact(value.clone()))
        });
    }
    let mut file = PartitionedFile::new_from_meta(meta.clone()).with_partition_values(values);
    file.statistics = Some(Arc::new(statistics));
    match &facts.csv {
        Some(layout) => file.with_extension(layout.clone()),
        None => file,
    }
}

fn summary(files: &[PartitionedFile], schema: &SchemaRef) -> DataFusionResult<Statistics> {
    let all = files.iter().filter_map(|file| file.statistics.as_deref());
    Statistics::try_merge_iter(all, schema)
}

impl TableProvider for FilesProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.statistics.clone())
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    // Written out by hand: an `async fn` here costs seconds of trait solving (apache/datafusion#24325).
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        state: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'async_trait, DataFusionResult<Arc<dyn ExecutionPlan>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        futures::future::ready(self.plan(state, projection, filters, limit)).boxed()
    }
}
