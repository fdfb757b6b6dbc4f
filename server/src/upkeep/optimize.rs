//! OPTIMIZE: writes small files as larger ones, or all files in another order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use futures::StreamExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tarn_catalog::LakeTable as _;
use tarn_catalog::analyzed::sampled;
use tarn_catalog::delta::upkeep::{Bin, COLUMNS_MAX, ZOrder, ZOrderKey};
use tarn_catalog::delta::{
    DeltaSnapshot, NewFile, Operation, StagedTable, WriteOptions, WriteTarget, write_files,
};
use tarn_exec::{RowSink, SinkExec};
use tarn_planner::binder::bind;
use tarn_planner::write::Target;
use tarn_planner::{PlannerError, plan};
use tokio::sync::Semaphore;

use super::{Done, Work, delta_table, elapsed_ms, report};
use crate::error::{Error, Result};
use crate::lookup::SessionLookup;

/// Rows that the ranks of an order are made of.
const N_SAMPLE: u64 = 65_536;

/// The setting with the size of files, where the table has none of its own.
const FILE_BYTES: &str = "tarn.optimize_file_bytes";

/// Optimizes a table.
pub(super) async fn run(
    work: &Work<'_>,
    target: &Target,
    z_order: &[String],
) -> Result<RecordBatch> {
    let began = Instant::now();
    let session = work.session;
    let (name, table) = delta_table(session, target, "OPTIMIZE")?;
    let state = session.state();
    session.shared.catalog.complete(table.location(), u64::MAX).await?;
    let staged = table.stage().await?;
    let snapshot = Arc::clone(staged.snapshot());
    let filters = filters(work, &state, &snapshot).await?;
    let mut done = Done { table: name.table().to_owned(), ..Done::default() };
    done.version = Some(snapshot.version());
    done.n_rows = Some(0);
    if let Some(filters) = filters {
        let job = Job { work, state: &state, snapshot: &snapshot, z_order };
        let bins = job.bins(&filters)?;
        if !bins.is_empty() {
            let files = job.rewrite(&bins).await?;
            done.version = Some(commit(&staged, &bins, files, &job, &mut done).await?);
        }
    }
    done.elapsed_ms = elapsed_ms(began);
    report::batch("OPTIMIZE", &[done])
}

/// The conditions on partition columns; `None` where none of the rows can fulfil them.
async fn filters(
    work: &Work<'_>,
    state: &SessionState,
    snapshot: &DeltaSnapshot,
) -> Result<Option<Vec<Expr>>> {
    let query = work.statement.inner();
    let bound = bind(&query, state, &SessionLookup::new(work.session)).await?;
    let logical = plan::logical_plan(&query, bound.ast, state, &bound.tables, &[])?;
    let optimized = plan::optimize(&logical, state, &query)?;
    let mut filters: Vec<Expr> = vec![];
    let mut reads = false;
    let walked = optimized.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Filter(filter) => {
                filters.extend(split_conjunction(&filter.predicate).into_iter().cloned());
            }
            LogicalPlan::TableScan(scan) => {
                reads = true;
                filters.extend(scan.filters.iter().cloned());
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(|error| PlannerError::Engine(Box::new(error)))?;
    let filters: Vec<Expr> = filters.into_iter().map(unnormalize_col).collect();
    if !filters.iter().all(|filter| snapshot.is_partition_filter(filter)) {
        let names = snapshot.partition_columns().join(", ");
        let hint = match names.as_str() {
            "" => "The table has no partitions: leave out WHERE.".to_owned(),
            names => format!("The partition columns are {names}."),
        };
        let what = "OPTIMIZE with a condition on other than partition columns".to_owned();
        return Err(PlannerError::Unsupported { what, hint: Some(hint) }.into());
    }
    Ok(reads.then_some(filters))
}

/// One rewriting of files.
struct Job<'a> {
    work: &'a Work<'a>,
    state: &'a SessionState,
    snapshot: &'a Arc<DeltaSnapshot>,
    z_order: &'a [String],
}

impl Job<'_> {
    fn file_bytes(&self) -> u64 {
        let setting = self.work.session.setting(FILE_BYTES).and_then(|text| text.parse().ok());
        self.snapshot.file_bytes_target().or(setting).unwrap_or(128 << 20)
    }

    fn bins(&self, filters: &[Expr]) -> Result<Vec<Bin>> {
        let all = !self.z_order.is_empty();
        self.snapshot
            .bins(self.state, filters, self.file_bytes(), all)
            .map_err(|error| PlannerError::Engine(Box::new(error)).into())
    }

    /// Writes the rows of all bins to new files.
    async fn rewrite(&self, bins: &[Bin]) -> Result<Vec<NewFile>> {
        let engine = |error| Error::from(PlannerError::Engine(Box::new(error)));
        let order = self.ordering(bins).await?;
        let n_streams = self.state.config().target_partitions();
        let mut inputs = Vec::with_capacity(bins.len());
        for bin in bins {
            let n = if order.is_some() { n_streams } else { 1 };
            let scan = self.snapshot.scan_files(self.state, &bin.files, None, n).await;
            let scan = scan.map_err(engine)?;
            inputs.push(match &order {
                Some(order) => order.sorted(scan).map_err(engine)?,
                None => scan,
            });
        }
        let input = match <[_; 1]>::try_from(inputs) {
            Ok([one]) => one,
            Err(several) => UnionExec::try_new(several).map_err(engine)?,
        };
        // What was put together stays together; rows in an order are cut by size.
        let file_bytes_target =
            if order.is_some() { self.file_bytes() } else { self.file_bytes().saturating_mul(2) };
        let sink = Arc::new(FileSink {
            target: self.snapshot.write_target()?,
            options: WriteOptions { file_bytes_target, ..WriteOptions::default() },
            turns: Semaphore::new(n_streams.max(1)),
            files: Mutex::default(),
        });
        let plan = Arc::new(SinkExec::new(input, Arc::clone(&sink) as Arc<dyn RowSink>));
        self.work.run_plan(plan, self.state).await?;
        let files = std::mem::take(&mut *sink.files.lock());
        Ok(files)
    }

    /// The order of the rows, with ranks made of a sample of them.
    async fn ordering(&self, bins: &[Bin]) -> Result<Option<Ordering>> {
        if self.z_order.is_empty() {
            return Ok(None);
        }
        let schema = self.snapshot.write_target()?.schema().clone();
        let columns = self.columns(&schema)?;
        if let [column] = columns.as_slice() {
            return Ok(Some(Ordering { columns: vec![*column], order: None }));
        }
        let files: Vec<_> = bins.iter().flat_map(|bin| bin.files.iter().copied()).collect();
        let n_streams = self.state.config().target_partitions();
        let scan = self.snapshot.scan_files(self.state, &files, Some(&columns), n_streams).await;
        let scan = scan.map_err(|error| PlannerError::Engine(Box::new(error)))?;
        let n_rows = self.snapshot.rows_of(&files).unwrap_or(N_SAMPLE);
        let sink = Arc::new(SampleSink {
            stride: n_rows.div_ceil(N_SAMPLE).max(1),
            taken: Mutex::default(),
        });
        let sample_schema = scan.schema();
        let plan = Arc::new(SinkExec::new(scan, Arc::clone(&sink) as Arc<dyn RowSink>));
        self.work.run_plan(plan, self.state).await?;
        let taken = std::mem::take(&mut *sink.taken.lock());
        let order = ZOrder::of_sample(&taken, &sample_schema)
            .map_err(|error| PlannerError::Engine(Box::new(error)))?;
        Ok(Some(Ordering { columns, order: Some(Arc::new(order)) }))
    }

    fn columns(&self, schema: &SchemaRef) -> Result<Vec<usize>> {
        if self.z_order.len() > COLUMNS_MAX {
            let message = format!("ZORDER BY takes at most {COLUMNS_MAX} columns");
            return Err(Error::Value { code: "54011", message });
        }
        let partition = self.snapshot.partition_columns();
        let column = |name: &String| {
            let Ok(at) = schema.index_of(name) else {
                let message = format!("column \"{name}\" does not exist");
                return Err(Error::Value { code: "42703", message });
            };
            if partition.contains(&name.as_str()) || schema.field(at).data_type().is_nested() {
                let message = format!("column \"{name}\" cannot be ordered by");
                return Err(Error::Value { code: "42P17", message });
            }
            Ok(at)
        };
        self.z_order.iter().map(column).collect()
    }
}

/// How rows are ordered.
struct Ordering {
    /// Positions in the table's schema.
    columns: Vec<usize>,
    /// Ranks of the columns; one column is ordered by its values.
    order: Option<Arc<ZOrder>>,
}

impl Ordering {
    /// The rows of a plan in order, in one stream.
    fn sorted(
        &self,
        input: Arc<dyn ExecutionPlan>,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        let schema = input.schema();
        let of = |at: &usize| col(schema.field(*at).name(), &schema);
        let columns =
            self.columns.iter().map(of).collect::<datafusion::common::Result<Vec<_>>>()?;
        let (input, keys): (Arc<dyn ExecutionPlan>, Vec<Arc<dyn PhysicalExpr>>) = match &self.order
        {
            None => (input, columns),
            Some(order) => {
                let key: Arc<dyn PhysicalExpr> =
                    Arc::new(ZOrderKey::new(Arc::clone(order), columns));
                let own = schema
                    .fields()
                    .iter()
                    .map(|field| Ok((col(field.name(), &schema)?, field.name().clone())));
                let mut all = own.collect::<datafusion::common::Result<Vec<_>>>()?;
                all.push((key, KEY.to_owned()));
                let input: Arc<dyn ExecutionPlan> = Arc::new(ProjectionExec::try_new(all, input)?);
                let key = col(KEY, &input.schema())?;
                (input, vec![key])
            }
        };
        let options = SortOptions { descending: false, nulls_first: false };
        let keys = keys.into_iter().map(|expr| PhysicalSortExpr::new(expr, options));
        let Some(ordering) = LexOrdering::new(keys) else { return Ok(input) };
        let sort = SortExec::new(ordering.clone(), input).with_preserve_partitioning(true);
        Ok(Arc::new(SortPreservingMergeExec::new(ordering, Arc::new(sort))))
    }
}

/// The column of the key: a name that no table's column has.
const KEY: &str = "\u{1}z_order";

/// Puts the new files in the place of the old ones.
async fn commit(
    staged: &Arc<StagedTable>,
    bins: &[Bin],
    files: Vec<NewFile>,
    job: &Job<'_>,
    done: &mut Done,
) -> Result<u64> {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let removed: Vec<_> = bins.iter().flat_map(|bin| bin.files.iter().copied()).collect();
    done.files_added = count(files.len());
    done.files_removed = count(removed.len());
    done.bytes_added = files.iter().map(NewFile::size_bytes).sum();
    done.bytes_removed = bins.iter().map(|bin| bin.size_bytes).sum();
    done.n_rows = Some(files.iter().map(NewFile::n_rows).sum());
    let expected = job.snapshot.rows_of(&removed);
    if expected.is_some() && expected != done.n_rows {
        // Never swap files for others with fewer rows, whatever went wrong.
        let what = format!("{expected:?} rows were to be rewritten, {:?} were", done.n_rows);
        return Err(Error::Internal { what });
    }
    let mut parameters = BTreeMap::from([
        ("targetSize".to_owned(), job.file_bytes().to_string()),
        ("predicate".to_owned(), "[]".to_owned()),
    ]);
    let names: Vec<String> = job.z_order.iter().map(|name| format!("{name:?}")).collect();
    parameters.insert("zOrderBy".to_owned(), format!("[{}]", names.join(",")));
    let operation = Operation::new("OPTIMIZE", parameters)
        .with_metric("numAddedFiles", done.files_added)
        .with_metric("numRemovedFiles", done.files_removed)
        .with_metric("numAddedBytes", done.bytes_added)
        .with_metric("numRemovedBytes", done.bytes_removed);
    let next = staged.replace_files(removed, files, false, operation)?;
    Ok(job.work.session.shared.catalog.commit_table(&next).await?)
}

/// Writes each stream to files, so many at a time.
#[derive(Debug)]
struct FileSink {
    target: Arc<WriteTarget>,
    options: WriteOptions,
    turns: Semaphore,
    files: Mutex<Vec<NewFile>>,
}

impl RowSink for FileSink {
    fn drain(
        self: Arc<Self>,
        rows: SendableRecordBatchStream,
    ) -> BoxFuture<'static, datafusion::error::Result<()>> {
        Box::pin(async move {
            let Ok(_turn) = self.turns.acquire().await else { return Ok(()) };
            let files = write_files(&self.target, vec![rows], &self.options).await?;
            self.files.lock().extend(files);
            Ok(())
        })
    }
}

/// Keeps about one row in so many.
#[derive(Debug)]
struct SampleSink {
    stride: u64,
    taken: Mutex<Vec<RecordBatch>>,
}

impl RowSink for SampleSink {
    fn drain(
        self: Arc<Self>,
        mut rows: SendableRecordBatchStream,
    ) -> BoxFuture<'static, datafusion::error::Result<()>> {
        Box::pin(async move {
            let mut first = 0_u64;
            while let Some(batch) = rows.next().await {
                let batch = batch?;
                let n_rows = u64::try_from(batch.num_rows()).unwrap_or_default();
                let wanted = sampled(first, n_rows, self.stride);
                if !wanted.is_empty() {
                    let taken = arrow::compute::take_record_batch(&batch, &wanted)?;
                    self.taken.lock().push(taken);
                }
                first = first.saturating_add(n_rows);
            }
            Ok(())
        })
    }
}
