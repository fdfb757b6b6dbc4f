//! From filters to files to a `DataSourceExec`.
//!
//! Files are dropped by partition values, which are exact, and by log statistics, which only rule
//! files out; row groups and pages are dropped by the Parquet source itself. Deletion vectors become
//! row selections over whole files: the source splits them by row group when it opens a file, also
//! when DataFusion has cut the file into byte ranges, so files with deleted rows are read in parallel
//! like any other.

mod lists;
pub(super) mod narrow;

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use chrono::DateTime;
use datafusion::catalog::Session;
use datafusion::common::config::TableParquetOptions;
use datafusion::common::{DFSchema, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::metrics::MetricBuilder;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use super::adapter::DeltaAdapterFactory;
use super::index::IndexStatistics;
use super::layout::{ColumnMapping, TableLayout};
use super::snapshot::DeltaSnapshot;
use super::statistics;
use crate::CatalogError;
use crate::listing::FooterReaderFactory;

/// Files of a scan up to which each carries its statistics, a few hundred bytes per column: filters
/// that are known at run time only, those of joins, then rule files out before they are opened.
const FILES_WITH_STATISTICS_MAX: usize = 4096;
/// Deletion vectors read at the same time.
const VECTOR_READS_MAX: usize = 16;

/// True if a filter can be answered by partition values alone, as one without columns can.
pub(super) fn is_partition_filter(layout: &TableLayout, filter: &Expr) -> bool {
    let partition = layout.partition_fields();
    let columns = filter.column_refs();
    columns.iter().all(|c| partition.iter().any(|field| field.name() == c.name()))
        && !filter.is_volatile()
        && !has_subquery(filter)
}

fn has_subquery(filter: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    let is_subquery = |expr: &Expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(_, _)
                | Expr::Placeholder(_)
        ))
    };
    filter.exists(is_subquery).unwrap_or(true)
}

/// The files that may hold rows for the filters, in the index's order.
pub(super) fn select_files(
    snapshot: &DeltaSnapshot,
    state: &dyn Session,
    filters: &[Expr],
    limit: Option<usize>,
) -> Result<Vec<usize>> {
    let layout = &snapshot.layout;
    let (exact, inexact): (Vec<Expr>, Vec<Expr>) =
        filters.iter().cloned().partition(|filter| is_partition_filter(layout, filter));
    let mut keep = vec![true; snapshot.index.n_files()];
    if let Some(predicate) = conjunction(exact) {
        for (keep, is_match) in keep.iter_mut().zip(&match_partitions(snapshot, state, predicate)?)
        {
            *keep = is_match == Some(true);
        }
    }
    let is_exact = inexact.is_empty();
    lists::narrow(&IndexStatistics { index: &snapshot.index, layout }, &inexact, &mut keep);
    if let Some(predicate) = conjunction(inexact)
        && let Some(may_match) = match_statistics(snapshot, state, predicate)
    {
        for (keep, may_match) in keep.iter_mut().zip(may_match) {
            *keep &= may_match;
        }
    }
    let mut files: Vec<usize> =
        keep.iter().enumerate().filter_map(|(i, keep)| keep.then_some(i)).collect();
    if let Some(limit) = limit.filter(|_| is_exact) {
        cut_at_limit(snapshot, &mut files, limit);
    }
    Ok(files)
}

/// Evaluates a filter on partition columns, one row per file.
fn match_partitions(
    snapshot: &DeltaSnapshot,
    state: &dyn Session,
    predicate: Expr,
) -> Result<BooleanArray> {
    let fields = snapshot.layout.partition_fields().clone();
    let schema = Arc::new(Schema::new(fields));
    let n_files = snapshot.index.n_files();
    let options = RecordBatchOptions::new().with_row_count(Some(n_files));
    let values = snapshot.index.partitions.clone();
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), values, &options)?;
    let expr = state.create_physical_expr(predicate, &DFSchema::try_from(schema)?)?;
    let matched = expr.evaluate(&batch)?.into_array(n_files)?;
    Ok(matched.as_boolean_opt().cloned().unwrap_or_else(|| vec![true; n_files].into()))
}

/// Which files the log's statistics do not rule out; `None` if they cannot tell.
fn match_statistics(
    snapshot: &DeltaSnapshot,
    state: &dyn Session,
    predicate: Expr,
) -> Option<Vec<bool>> {
    let layout = &snapshot.layout;
    let schema = Arc::clone(layout.scan_schema.table_schema());
    let df_schema = DFSchema::try_from(Arc::clone(&schema)).ok()?;
    let expr = state.create_physical_expr(predicate, &df_schema).ok()?;
    let pruning = PruningPredicateBuilder::new().with_file_schema(schema).try_build(expr).ok()?;
    if pruning.always_true() {
        return None;
    }
    pruning.prune(&IndexStatistics { index: &snapshot.index, layout }).ok()
}

/// Drops files after those whose known rows already reach the limit.
fn cut_at_limit(snapshot: &DeltaSnapshot, files: &mut Vec<usize>, limit: usize) {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let mut n_rows = 0_u64;
    let mut n_needed = 0;
    for file in files.iter() {
        if n_rows >= limit {
            break;
        }
        n_rows = n_rows.saturating_add(snapshot.index.live_rows(*file).unwrap_or(0));
        n_needed += 1;
    }
    files.truncate(n_needed);
}

/// Reads the deletion vectors of the files that have one and are not known yet.
pub(super) async fn load_selections(snapshot: &DeltaSnapshot, files: &[usize]) -> Result<()> {
    let missing: Vec<usize> = files
        .iter()
        .copied()
        .filter(|i| snapshot.index.deletion_vectors.get(*i).is_some_and(Option::is_some))
        .filter(|i| snapshot.selections.get(*i).is_some_and(|slot| slot.get().is_none()))
        .collect();
    let reads = missing.into_iter().map(|i| load_selection(snapshot, i));
    Ok(stream::iter(reads).buffer_unordered(VECTOR_READS_MAX).try_collect::<()>().await?)
}

async fn load_selection(snapshot: &DeltaSnapshot, i: usize) -> Result<(), CatalogError> {
    let index = &snapshot.index;
    let vector = index.deletion_vectors.get(i).and_then(Option::as_ref);
    let (Some(vector), Some(slot)) = (vector, snapshot.selections.get(i)) else {
        return Ok(());
    };
    let n_rows = snapshot.stored_rows(i).await?;
    let store = snapshot.store.as_ref();
    let selection = vector.load(&snapshot.table, &snapshot.url, store, n_rows).await?;
    // Another scan may have been faster; its result is the same.
    let _ = slot.set(selection);
    Ok(())
}

/// The scan of the chosen files; their deletion vectors must be loaded.
pub(super) fn plan(
    snapshot: &DeltaSnapshot,
    state: &dyn Session,
    projection: Option<&Vec<usize>>,
    (files, filters): (&[usize], &[Expr]),
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let layout = &snapshot.layout;
    if files.is_empty() {
        let schema = match projection {
            Some(columns) => Arc::new(layout.schema.project(columns)?),
            None => Arc::clone(&layout.schema),
        };
        return Ok(Arc::new(EmptyExec::new(schema)));
    }
    let columns: Vec<usize> = match projection {
        Some(columns) => {
            columns.iter().filter_map(|c| layout.scan_position.get(*c).copied()).collect()
        }
        None => layout.scan_position.clone(),
    };
    let parts = ScanParts {
        readers: snapshot.readers(!filters.is_empty()),
        object_store_url: snapshot.object_store_url.clone(),
        schema: layout.scan_schema.clone(),
        mapping: Arc::clone(&layout.mapping),
        groups: group_files(snapshot, files, state.config().target_partitions(), &|_| Ok(vec![]))?,
        columns,
        statistics: Some(snapshot.statistics_of(files)),
        limit,
        is_narrow: filters.iter().any(|filter| narrow::is_narrow(snapshot, filter)),
        n_left_out: snapshot.index.n_files().saturating_sub(files.len()),
    };
    data_source(state, parts)
}

/// What a scan of files is made of.
pub(super) struct ScanParts {
    pub(super) readers: FooterReaderFactory,
    pub(super) object_store_url: ObjectStoreUrl,
    /// Columns of the files, then those whose values come with each file.
    pub(super) schema: TableSchema,
    pub(super) mapping: Arc<ColumnMapping>,
    pub(super) groups: Vec<FileGroup>,
    /// Positions in `schema` of the columns to return.
    pub(super) columns: Vec<usize>,
    pub(super) statistics: Option<Statistics>,
    pub(super) limit: Option<usize>,
    /// Whether filters leave so few rows that the source should apply them.
    pub(super) is_narrow: bool,
    /// Files of the table that hold no rows for the filters, as the log tells.
    pub(super) n_left_out: usize,
}

/// The metric of a scan that counts the files which were left out by the log, before it ran.
pub const FILES_LEFT_OUT: &str = "files_left_out";

/// The scan of groups of files.
pub(super) fn data_source(state: &dyn Session, parts: ScanParts) -> Result<Arc<dyn ExecutionPlan>> {
    let mut options = TableParquetOptions {
        global: state.config_options().execution.parquet.clone(),
        ..TableParquetOptions::default()
    };
    // Old writers store timestamps as INT96; nanoseconds, the default, cannot hold all of them.
    options.global.coerce_int96.get_or_insert_with(|| "us".to_owned());
    // A lookup by key reads the key's page first and then only the rows that it has found.
    options.global.pushdown_filters |= parts.is_narrow;
    let source = ParquetSource::new(parts.schema)
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::new(parts.readers));
    if parts.n_left_out > 0 {
        MetricBuilder::new(source.metrics()).global_counter(FILES_LEFT_OUT).add(parts.n_left_out);
    }
    let adapter = DeltaAdapterFactory { mapping: parts.mapping };
    let mut config = FileScanConfigBuilder::new(parts.object_store_url, Arc::new(source))
        .with_file_groups(parts.groups)
        .with_projection_indices(Some(parts.columns))?
        .with_limit(parts.limit)
        .with_expr_adapter(Some(Arc::new(adapter)));
    if let Some(statistics) = parts.statistics {
        config = config.with_statistics(statistics);
    }
    Ok(DataSourceExec::from_data_source(config.build()))
}

/// Deals files out to at most `n_groups` groups of similar size, the largest first.
///
/// `more` gives a file's values of partition columns that the table does not have.
pub(super) fn group_files(
    snapshot: &DeltaSnapshot,
    files: &[usize],
    n_groups: usize,
    more: &dyn Fn(usize) -> Result<Vec<ScalarValue>>,
) -> Result<Vec<FileGroup>> {
    let size = |i: &usize| snapshot.index.size_bytes.get(*i).copied().unwrap_or_default();
    let mut by_size = files.to_vec();
    by_size.sort_by_key(|i| std::cmp::Reverse(size(i)));
    let mut groups: Vec<(u64, Vec<usize>)> =
        vec![(0, Vec::new()); n_groups.clamp(1, files.len().max(1))];
    for file in by_size {
        if let Some((bytes, group)) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += size(&file).max(1);
            group.push(file);
        }
    }
    let with_statistics = files.len() <= FILES_WITH_STATISTICS_MAX;
    // Enough for filters on partition columns, which are answered by the values of the file.
    let unknown = (!with_statistics && !snapshot.layout.partition_names.is_empty())
        .then(|| Arc::new(Statistics::new_unknown(snapshot.layout.scan_schema.table_schema())));
    let groups = groups.into_iter().map(|(_, mut group)| {
        group.sort_unstable();
        let file = |i| {
            let mut file = partitioned_file(snapshot, i, with_statistics)?;
            if let Some(unknown) = &unknown {
                file.statistics = Some(Arc::clone(unknown));
            }
            let more = more(i)?;
            if !more.is_empty() {
                // They are of the table's own columns.
                file.statistics = None;
                file.partition_values.extend(more);
            }
            Ok(file)
        };
        group.into_iter().map(file).collect::<Result<Vec<_>>>()
    });
    groups.map(|group| Ok(FileGroup::new(group?))).collect()
}

pub(super) fn partitioned_file(
    snapshot: &DeltaSnapshot,
    i: usize,
    with_statistics: bool,
) -> Result<PartitionedFile> {
    let index = &snapshot.index;
    let (Some(location), Some(size)) = (index.paths.get(i), index.size_bytes.get(i)) else {
        return Err(CatalogError::Internal { what: format!("no file {i} in the index") }.into());
    };
    let modified_ms = index.modified_ms.get(i).copied().unwrap_or_default();
    let meta = ObjectMeta {
        location: location.clone(),
        last_modified: DateTime::from_timestamp_millis(modified_ms).unwrap_or_default(),
        size: *size,
        e_tag: None,
        version: None,
    };
    let mut file =
        PartitionedFile::new_from_meta(meta).with_partition_values(index.partition_values(i)?);
    // Set directly: `with_statistics` would claim that partition values are never NULL.
    let slot = snapshot.file_statistics.get(i).filter(|_| with_statistics);
    file.statistics = slot.map(|slot| {
        let made = || Arc::new(statistics::of_file(index, &snapshot.layout, i));
        Arc::clone(slot.get_or_init(made))
    });
    Ok(match snapshot.selections.get(i).and_then(|slot| slot.get()) {
        Some(selection) => file.with_extension(ParquetRowSelection::new(selection.clone())),
        None => file,
    })
}
