//! Writing to Delta tables.
//!
//! ```text
//!   plan, n partitions ─► SinkExec ─► gate ─► new rows ─► a writer for each partition ─► files
//!                                       └─► numbers of old rows ─► deletion vectors, or
//!                                                                  files without these rows
//! ```
//! The files are in storage before the table names them, so a statement that fails leaves nothing
//! that anybody sees.

mod changes;
mod recorder;
mod sink;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::FutureExt;
use sqlparser::ast::Statement as Ast;
use tarn_catalog::delta::{
    DeltaSnapshot, FileNumber, Operation, ReadSet, RowsByFile, StagedTable, TableChange,
    WriteOptions,
};
use tarn_exec::{ExecError, RowSink, SinkExec};
use tarn_planner::plan as planning;
use tarn_planner::write::{Effect, ROW, Replace, WriteQuery};

use super::gate::Behind;
use super::plan::{self, Planned};
use super::{Done, WriteTable, Writing};
use crate::error::{Error, Result};
use recorder::Recorder;
use sink::{KeptRows, WrittenRows};

/// Fewer rows are written by one writer: that makes fewer files.
const N_ROWS_SPREAD_MIN: usize = 100_000;

impl Writing<'_> {
    /// Takes all rows out of a Delta table.
    pub(super) async fn truncate(
        &self,
        table: &WriteTable,
        staged: &Arc<StagedTable>,
    ) -> Result<()> {
        let session = self.session;
        if staged.snapshot().n_files() == 0 {
            // The transaction sees no rows from now on, whatever it has read before.
            session.put_staged(&table.name, Arc::clone(staged));
            return Ok(());
        }
        // Beside other changes of the commit each row that goes is listed.
        if changes::is_fed(staged.snapshot()) && session.in_block() {
            let quoted = |name: &str| tarn_planner::statement::quoted(name);
            let (schema, name) = (quoted(table.name.schema()), quoted(table.name.table()));
            let statements = session.parse(&format!("DELETE FROM {schema}.{name}"))?;
            let Some(statement) = statements.first() else {
                return Err(Error::Internal { what: "no DELETE".to_owned() });
            };
            let write = plan::query_of(session, statement, table).await?;
            self.to_lake(&write, table, staged).boxed().await?;
            return Ok(());
        }
        let next = staged.replace_all(vec![], Operation::new("TRUNCATE", BTreeMap::new()))?;
        session.put_staged(&table.name, next);
        Ok(())
    }

    /// The rows that the statement replaces whatever its query yields.
    async fn replaced(
        &self,
        write: &WriteQuery,
        table: &WriteTable,
        (snapshot, recorder): (&Arc<DeltaSnapshot>, &Arc<Recorder>),
        feeds: bool,
    ) -> Result<TableChange> {
        let mut change = TableChange::default();
        let query = match &write.replaces {
            None => return Ok(change),
            Some(Replace::All) => {
                change.removed = (0..snapshot.n_files()).collect();
                return Ok(change);
            }
            Some(Replace::Where { query, .. }) => query,
        };
        let target = Arc::clone(recorder) as Arc<dyn TableProvider>;
        let planned = plan::old_rows(self, table, query, target).await?;
        let gate = self.gate(table, Effect::Delete, (vec![], Behind::default()));
        let sink = match feeds {
            // The rows that go are listed, too.
            true => {
                let (target, options) = (snapshot.write_target()?, WriteOptions::default());
                WrittenRows::new(gate, target, options, None).with_changes()
            }
            false => WrittenRows::counting(gate),
        };
        let sink = Arc::new(sink);
        self.drain(planned, &sink, None).await?;
        let taken = sink.take();
        change.rows = taken.numbers;
        change.changes = taken.changes;
        Ok(change)
    }

    /// Does what the statement says to a Delta table.
    pub(super) async fn to_lake(
        &self,
        write: &WriteQuery,
        table: &WriteTable,
        staged: &Arc<StagedTable>,
    ) -> Result<Done> {
        let snapshot = staged.snapshot();
        let feeds = changes::needed(self.session, snapshot, write);
        let mut write = write.clone();
        if feeds {
            write.replace_each();
            write.keep_old(&table.schema);
        }
        let write = &write;
        let recorder = Arc::new(Recorder::new(snapshot.with_row_ids(ROW)));
        let mut change = self.replaced(write, table, (snapshot, &recorder), feeds).await?;
        let target: Arc<dyn TableProvider> = match write.effect {
            Effect::Append => self.source_or_empty(table),
            Effect::Update | Effect::Delete | Effect::Merge | Effect::Clear => {
                Arc::clone(&recorder) as _
            }
        };
        let planned = plan::rows(self, write, table, target).boxed().await?;
        let reads_itself = planned.pins.iter().any(|pin| pin.name == table.name);
        let behind = planned.behind(write, table);
        let returned = behind.returned.clone();
        let gate = self.gate(table, write.effect, (planned.checks.clone(), behind));
        let keeps = write.returning.is_some();
        let n_bytes_max = self.session.shared.config.memory_table_bytes_max;
        let target = snapshot.write_target()?;
        let options = WriteOptions::default();
        let sink = WrittenRows::new(gate, target, options, keeps.then_some(n_bytes_max));
        let sink = if feeds { sink.with_changes() } else { sink };
        let sink = Arc::new(sink);
        self.drain(planned, &sink, Some(snapshot)).await?;
        let taken = sink.take();
        let n_deleted = taken.numbers.len();
        change.added = taken.files;
        change.changes.extend(taken.changes);
        if change.rows.is_empty() {
            change.rows = taken.numbers;
        } else {
            for (file, rows) in taken.numbers.files() {
                for row in rows {
                    change.rows.insert_row(file, row);
                }
            }
        }
        self.copy_on_write(snapshot, &mut change).await?;
        let mut next = Arc::clone(staged);
        if !(change.added.is_empty() && change.removed.is_empty() && change.rows.is_empty()) {
            let operation = self.operation(write).with_metric("numOutputRows", taken.n_new_rows);
            let operation = match write.effect {
                Effect::Append => operation,
                Effect::Update => operation.with_metric("numUpdatedRows", n_deleted),
                Effect::Delete | Effect::Clear => {
                    operation.with_metric("numDeletedRows", n_deleted)
                }
                Effect::Merge => operation.with_metric("numTargetRowsChanged", n_deleted),
            };
            next = next.change(change, operation).await?;
        }
        let reads = if reads_itself { ReadSet::Everything } else { recorder.take() };
        self.session.put_staged(&table.name, next.reads(reads));
        Ok(Done { n_rows: taken.n_rows, touched: taken.touched, returned })
    }

    /// Runs a query into a sink.
    async fn drain(
        &self,
        planned: Planned,
        sink: &Arc<WrittenRows>,
        spread_for: Option<&Arc<DeltaSnapshot>>,
    ) -> Result<()> {
        let Planned { logical, state, statement, .. } = planned;
        let optimized = planning::optimize(&logical, &state, &statement)?;
        let mut physical = planning::physical_plan(&optimized, &state, &statement).await?;
        if let Some(snapshot) = spread_for {
            physical = spread(physical, snapshot, self.session.shared.engine.n_threads())?;
        }
        let done = self.run_into(physical, &state, Arc::clone(sink) as _).await;
        // What the gate has found says more than that the plan has failed.
        match sink.take_failure() {
            Some(failure) => Err(failure),
            None => done,
        }
    }

    async fn run_into(
        &self,
        physical: Arc<dyn ExecutionPlan>,
        state: &SessionState,
        sink: Arc<dyn RowSink>,
    ) -> Result<()> {
        let engine = &self.session.shared.engine;
        let context =
            tarn_planner::session_state::task_context(state, Arc::clone(engine.runtime_env()));
        let plan: Arc<dyn ExecutionPlan> = Arc::new(SinkExec::new(physical, sink));
        let token = self.session.token();
        self.note_ready();
        let mut stream =
            engine.run(self.query_id, plan, context, token, tarn_exec::Lane::Queries).await?;
        let running = &self.session.shared.running;
        let _listed = running.list(self.query_id, Arc::clone(stream.plan()));
        while let Some(batch) = stream.next().await {
            batch?;
        }
        self.note_plan(stream.plan());
        Ok(())
    }

    /// Writes files anew that lose many of their rows, or that cannot have deletion vectors.
    async fn copy_on_write(
        &self,
        snapshot: &Arc<DeltaSnapshot>,
        change: &mut TableChange,
    ) -> Result<()> {
        let percent = self.session.setting("copy_on_write_threshold");
        let percent: u64 = percent.and_then(|text| text.parse().ok()).unwrap_or(20);
        let has_vectors = snapshot.has_deletion_vectors();
        let rewritten = change.rows.files().filter(|(file, rows)| {
            let Some(n_live) = snapshot.live_rows(*file) else { return true };
            // A file without any row left is taken out as a whole.
            let n_gone = rows.len();
            n_gone < n_live
                && (!has_vectors || n_gone.saturating_mul(100) >= n_live.saturating_mul(percent))
        });
        let rewritten: Vec<FileNumber> = rewritten.map(|(file, _)| file).collect();
        if rewritten.is_empty() {
            return Ok(());
        }
        let mut gone = RowsByFile::default();
        for file in &rewritten {
            for row in change.rows.remove_file(*file).iter().flatten() {
                gone.insert_row(*file, row);
            }
        }
        let state = self.session.state();
        let provider = snapshot.with_row_ids_of(ROW, rewritten.clone());
        let scan = provider.scan(&state, None, &[], None).await.map_err(engine_error)?;
        let target = snapshot.write_target()?;
        let kept = Arc::new(KeptRows::new(gone, target, WriteOptions::default()));
        self.run_into(scan, &state, Arc::clone(&kept) as _).await?;
        change.added.extend(kept.take());
        change.removed.extend(rewritten);
        Ok(())
    }

    /// What the table's history says of the statement.
    fn operation(&self, write: &WriteQuery) -> Operation {
        let mut parameters = BTreeMap::new();
        let predicate = |text: String| serde_json::json!([text]).to_string();
        let name = match self.statement.ast() {
            Ast::Update(update) => {
                if let Some(selection) = &update.selection {
                    parameters.insert("predicate".to_owned(), predicate(selection.to_string()));
                }
                "UPDATE"
            }
            Ast::Delete(delete) => {
                if let Some(selection) = &delete.selection {
                    parameters.insert("predicate".to_owned(), predicate(selection.to_string()));
                }
                "DELETE"
            }
            Ast::Merge(merge) => {
                parameters.insert("predicate".to_owned(), predicate(merge.on.to_string()));
                "MERGE"
            }
            Ast::Truncate(_) => "TRUNCATE",
            _ => {
                let mode = if write.replaces.is_some() { "Overwrite" } else { "Append" };
                parameters.insert("mode".to_owned(), mode.to_owned());
                if let Some(Replace::Where { condition, .. }) = &write.replaces {
                    parameters.insert("predicate".to_owned(), condition.to_string());
                }
                "WRITE"
            }
        };
        Operation::new(name, parameters)
    }
}

/// Gives the rows to several writers: by partition where the table has partitions, so that each
/// of them has few files, otherwise evenly where there are many rows.
fn spread(
    plan: Arc<dyn ExecutionPlan>,
    snapshot: &DeltaSnapshot,
    n_writers: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    let n_partitions = plan.output_partitioning().partition_count();
    let columns = snapshot.partition_columns();
    if is_small(&plan) && n_partitions > 1 {
        return Ok(Arc::new(CoalescePartitionsExec::new(plan)));
    }
    if n_writers < 2 || is_small(&plan) {
        return Ok(plan);
    }
    let partitioning = if columns.is_empty() {
        // Rows in an order are written in it.
        if n_partitions > 1 || plan.output_ordering().is_some() {
            return Ok(plan);
        }
        Partitioning::RoundRobinBatch(n_writers)
    } else {
        let schema = plan.schema();
        let mut keys: Vec<Arc<dyn PhysicalExpr>> = Vec::with_capacity(columns.len());
        for name in columns {
            // A DELETE yields no columns.
            let Ok(key) = Column::new_with_schema(name, &schema) else { return Ok(plan) };
            keys.push(Arc::new(key));
        }
        Partitioning::Hash(keys, n_writers)
    };
    Ok(Arc::new(RepartitionExec::try_new(plan, partitioning).map_err(engine_error)?))
}

/// Whether a plan is expected to yield few rows.
fn is_small(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::default());
    let n_rows = statistics.ok().and_then(|found| found.num_rows.get_value().copied());
    n_rows.is_some_and(|n_rows| n_rows < N_ROWS_SPREAD_MIN)
}

fn engine_error(error: datafusion::error::DataFusionError) -> Error {
    ExecError::Engine(Box::new(error)).into()
}
