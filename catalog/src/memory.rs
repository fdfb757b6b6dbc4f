//! Tables in memory: temporary tables and those made by `CREATE TABLE` without a lake.
//!
//! Readers hold the batches of one generation; writers make the next one and swap it in.
//!
//! Not here: durability. The rows are gone when the process ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};

use crate::{CatalogError, LakeTable, Pinned, Result, TableVersion, Travel};

pub use crate::details::{ForeignKey, TableCheck, TableDetails, TableKey};

mod budget;
#[cfg(test)]
mod tests;

use budget::Held;
pub use budget::{MemoryLimits, RowsBudget};

/// Batches grow by merging up to this size; larger ones are left alone.
const BATCH_ROWS_MERGED_MAX: usize = 64 * 1024;

/// Smaller tables are read in one stream: that is faster, and keeps the order of the rows.
const PARTITION_ROWS_MIN: usize = 64 * 1024;

/// Numbers the states of all tables, so that no two of them are taken for each other: a
/// transaction's own copy of a table and the table itself go on from the same state.
static LAST_GENERATION: AtomicU64 = AtomicU64::new(0);

/// A table whose rows are in memory.
#[derive(Debug)]
pub struct MemoryTable {
    name: String,
    location: String,
    schema: SchemaRef,
    details: TableDetails,
    limits: MemoryLimits,
    rows: Mutex<Rows>,
}

/// The rows of a table at one generation.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    generation: u64,
    batches: Arc<Vec<RecordBatch>>,
    /// What each of the batches takes of the server's budget.
    held: Arc<Vec<Arc<Held>>>,
    n_rows: usize,
    n_bytes: usize,
}

impl Rows {
    /// Another one after every change, and another one in every table.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The rows, in the table's schema.
    #[must_use]
    pub fn batches(&self) -> &Arc<Vec<RecordBatch>> {
        &self.batches
    }

    /// The memory that the rows take.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// How many rows there are.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The rows behind the first ones.
    pub(crate) fn behind(&self, n_before: usize) -> Vec<RecordBatch> {
        let mut n_skipped = n_before;
        let mut behind = Vec::new();
        for batch in self.batches.iter() {
            let n_rows = batch.num_rows();
            if n_skipped < n_rows {
                behind.push(batch.slice(n_skipped, n_rows - n_skipped));
            }
            n_skipped = n_skipped.saturating_sub(n_rows);
        }
        behind
    }
}

impl MemoryTable {
    /// Makes an empty table; a field that is not nullable refuses NULL.
    ///
    /// A write that needs more memory than the limits leave fails and changes nothing.
    #[must_use]
    pub fn new(name: impl Into<String>, schema: SchemaRef, limits: MemoryLimits) -> Arc<Self> {
        Self::with_details(name, schema, TableDetails::default(), limits)
    }

    /// As [`Self::new`], with defaults and keys.
    #[must_use]
    pub fn with_details(
        name: impl Into<String>,
        schema: SchemaRef,
        details: TableDetails,
        limits: MemoryLimits,
    ) -> Arc<Self> {
        let name = name.into();
        let location = format!("memory:///{name}");
        let generation = LAST_GENERATION.fetch_add(1, Ordering::Relaxed) + 1;
        let rows = Mutex::new(Rows { generation, ..Rows::default() });
        Arc::new(Self { name, location, schema, details, limits, rows })
    }

    /// A table of its own with the same definition and rows, for a transaction to write.
    #[must_use]
    pub fn fork(&self) -> Arc<Self> {
        Arc::new(Self {
            name: self.name.clone(),
            location: self.location.clone(),
            schema: Arc::clone(&self.schema),
            details: self.details.clone(),
            limits: self.limits.clone(),
            rows: Mutex::new(self.rows()),
        })
    }

    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Defaults and keys.
    #[must_use]
    pub fn details(&self) -> &TableDetails {
        &self.details
    }

    /// The memory that the rows may take.
    #[must_use]
    pub fn limits(&self) -> &MemoryLimits {
        &self.limits
    }

    /// Goes back to rows that the table has had.
    pub fn restore(&self, rows: Rows) {
        *self.rows.lock() = rows;
    }

    /// Keeps writers away while rows of several tables are put in place at once.
    pub(crate) fn lock_rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock()
    }

    /// The rows with more behind them.
    ///
    /// # Errors
    /// As for [`Self::append`].
    pub(crate) fn appended(&self, rows: &Rows, batches: Vec<RecordBatch>) -> Result<Rows> {
        let batches = self.conform(batches)?;
        let mut all = rows.batches.to_vec();
        for batch in batches {
            self.push_merged(&mut all, batch)?;
        }
        self.next(all, rows)
    }

    /// The declared columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows as they are now.
    #[must_use]
    pub fn rows(&self) -> Rows {
        self.rows.lock().clone()
    }

    /// How many rows there are now.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.rows.lock().n_rows
    }

    /// Adds rows, whose columns are matched by position, and returns how many were added.
    ///
    /// # Errors
    /// `NotWritable`: other column types, NULL in a column that refuses it. `TableTooLarge` and
    /// `MemoryTablesFull`: too many bytes.
    pub fn append(&self, batches: Vec<RecordBatch>) -> Result<usize> {
        let n_added = batches.iter().map(RecordBatch::num_rows).sum();
        let mut rows = self.rows.lock();
        *rows = self.appended(&rows, batches)?;
        Ok(n_added)
    }

    /// Fills an empty table; batches that are also among the rows of another one are not counted
    /// twice.
    ///
    /// # Errors
    /// As for [`Self::append`].
    pub fn fill(&self, batches: Vec<RecordBatch>, other: &Rows) -> Result<()> {
        let rows = self.next(self.conform(batches)?, other)?;
        *self.rows.lock() = rows;
        Ok(())
    }

    /// Puts other rows in place of all, provided that nothing changed since `expected_generation`.
    ///
    /// # Errors
    /// As for [`Self::append`], and `NotWritable` when another statement was faster.
    pub fn replace(&self, batches: Vec<RecordBatch>, expected_generation: u64) -> Result<()> {
        let batches = self.conform(batches)?;
        let mut rows = self.rows.lock();
        if rows.generation != expected_generation {
            return Err(self.refused("another statement has changed it meanwhile"));
        }
        let mut all = Vec::with_capacity(batches.len());
        for batch in batches {
            self.push_merged(&mut all, batch)?;
        }
        *rows = self.next(all, &rows)?;
        Ok(())
    }

    /// The next generation; batches that are among `known` rows are counted already.
    fn next(&self, batches: Vec<RecordBatch>, known: &Rows) -> Result<Rows> {
        let held = self.limits.budget.hold(&batches, known)?;
        let n_bytes = held.iter().map(|held| held.n_bytes()).sum();
        if n_bytes > self.limits.table_bytes_max {
            let (name, bytes_max) = (self.name.clone(), self.limits.table_bytes_max);
            return Err(CatalogError::TableTooLarge { name, bytes_max });
        }
        let n_rows = batches.iter().map(RecordBatch::num_rows).sum();
        let generation = LAST_GENERATION.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Rows { generation, batches: Arc::new(batches), held: Arc::new(held), n_rows, n_bytes })
    }

    /// Appends a batch and merges it with those before it that are not much larger.
    ///
    /// Each row is copied O(log n) times and n rows inserted one by one end in O(log n) batches.
    fn push_merged(&self, batches: &mut Vec<RecordBatch>, batch: RecordBatch) -> Result<()> {
        let mut n_rows = batch.num_rows();
        let mut start = batches.len();
        while let Some(before) = start.checked_sub(1).and_then(|index| batches.get(index)) {
            let merged = n_rows + before.num_rows();
            if before.num_rows() > 2 * n_rows || merged > BATCH_ROWS_MERGED_MAX {
                break;
            }
            n_rows = merged;
            start -= 1;
        }
        batches.push(batch);
        if start + 1 < batches.len() {
            let parts = batches.split_off(start);
            let merged = concat_batches(&self.schema, &parts);
            batches.push(merged.map_err(|e| self.refused(e.to_string()))?);
        }
        Ok(())
    }

    /// Gives batches the table's own schema, so that names and nullability are those declared.
    fn conform(&self, batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
        let fields = self.schema.fields();
        let mut conformed = Vec::with_capacity(batches.len());
        for batch in batches {
            if batch.num_rows() == 0 {
                continue;
            }
            for (field, column) in fields.iter().zip(batch.columns()) {
                let name = field.name();
                if !field.is_nullable() && column.null_count() > 0 {
                    let reason =
                        format!("null value in column \"{name}\" violates not-null constraint");
                    return Err(self.refused(reason));
                }
                if field.data_type() != column.data_type() {
                    let (want, got) = (field.data_type(), column.data_type());
                    return Err(self.refused(format!("column \"{name}\" is {want}, not {got}")));
                }
            }
            if batch.num_columns() != fields.len() {
                return Err(self.refused(format!("it has {} columns", fields.len())));
            }
            let options =
                arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let columns = batch.columns().to_vec();
            let batch =
                RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
            conformed.push(batch.map_err(|e| self.refused(e.to_string()))?);
        }
        Ok(conformed)
    }

    fn refused(&self, reason: impl Into<String>) -> CatalogError {
        CatalogError::NotWritable { name: self.name.clone(), reason: reason.into() }
    }
}

impl LakeTable for MemoryTable {
    fn format(&self) -> &'static str {
        "memory"
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn pin(self: Arc<Self>, travel: Travel) -> BoxFuture<'static, Result<Pinned>> {
        let pinned = if travel == Travel::Latest {
            let rows = self.rows();
            let version = TableVersion::Number(rows.generation);
            let schema = Arc::clone(&self.schema);
            Ok(Pinned { provider: Arc::new(RowsProvider { schema, rows }), version })
        } else {
            Err(CatalogError::TravelUnsupported { table: self.name.clone(), format: "memory" })
        };
        futures::future::ready(pinned).boxed()
    }
}

/// A table of these rows, which stay as they are.
#[must_use]
pub fn provider_of(schema: SchemaRef, batches: Vec<RecordBatch>) -> Arc<dyn TableProvider> {
    let n_bytes = batches.iter().map(RecordBatch::get_array_memory_size).sum();
    let n_rows = batches.iter().map(RecordBatch::num_rows).sum();
    let rows = Rows { batches: Arc::new(batches), n_rows, n_bytes, ..Rows::default() };
    Arc::new(RowsProvider { schema, rows })
}

/// Scans the rows of one generation.
#[derive(Debug)]
struct RowsProvider {
    schema: SchemaRef,
    rows: Rows,
}

impl RowsProvider {
    fn plan(
        &self,
        n_partitions: usize,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let per_partition = self.rows.n_rows.div_ceil(n_partitions.max(1)).max(PARTITION_ROWS_MIN);
        let mut partitions: Vec<Vec<RecordBatch>> = vec![Vec::new()];
        let mut n_rows = 0;
        for batch in self.rows.batches.iter() {
            if n_rows >= per_partition {
                partitions.push(Vec::new());
                n_rows = 0;
            }
            n_rows += batch.num_rows();
            if let Some(last) = partitions.last_mut() {
                last.push(batch.clone());
            }
        }
        let schema = Arc::clone(&self.schema);
        let source = MemorySourceConfig::try_new(&partitions, schema, projection.cloned())?;
        Ok(DataSourceExec::from_data_source(source.with_limit(limit)))
    }
}

impl TableProvider for RowsProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        let unknown = Statistics::new_unknown(&self.schema);
        let n_bytes = Precision::Inexact(self.rows.n_bytes);
        Some(
            unknown.with_num_rows(Precision::Exact(self.rows.n_rows)).with_total_byte_size(n_bytes),
        )
    }

    // Written out by hand: an `async fn` here costs seconds of trait solving (apache/datafusion#24325).
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        state: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        _filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'async_trait, DataFusionResult<Arc<dyn ExecutionPlan>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        let n_partitions = state.config().target_partitions();
        futures::future::ready(self.plan(n_partitions, projection, limit)).boxed()
    }
}
