//! ANALYZE: estimates of what the columns of a table hold, from one pass over it.

use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use chrono::Utc;
use datafusion::catalog::TableProvider;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlanBuilder;
use futures::StreamExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tarn_catalog::Travel;
use tarn_catalog::analyzed::Collector;
use tarn_catalog::registry::Relation as Known;
use tarn_exec::{RowSink, SinkExec};
use tarn_planner::write::Target;
use tarn_planner::{PlannerError, plan};

use super::{Done, Work, elapsed_ms, report, resolve};
use crate::error::{Error, Result};

/// Rows that the sample of common values and bounds is made of.
const N_SAMPLE: u64 = 30_000;

/// Analyzes tables, each with its columns or all of them.
pub(super) async fn run(work: &Work<'_>, tables: &[(Target, Vec<String>)]) -> Result<RecordBatch> {
    let mut done = Vec::new();
    for (target, columns) in tables {
        done.extend(analyze(work, target, columns).await?);
    }
    report::batch("ANALYZE", &done)
}

async fn analyze(work: &Work<'_>, target: &Target, columns: &[String]) -> Result<Option<Done>> {
    let began = Instant::now();
    let session = work.session;
    let (name, known) = resolve(session, target)?;
    let table = match known {
        Some(Known::Lake(table)) => Arc::clone(&table).delta(),
        Some(Known::Memory(_) | Known::View { .. }) | None => None,
    };
    let Some(table) = table else {
        // Memory tables are counted as they are written, files of other formats have footers.
        let message = format!("ANALYZE of \"{}\" has no effect", name.table());
        session.notice("NOTICE", "00000", message);
        return Ok(None);
    };
    let snapshot = table.snapshot(Travel::Latest).await?;
    let version = Some(snapshot.version());
    let schema = snapshot.schema();
    let positions = positions(&schema, columns, name.table())?;
    let is_whole = positions.len() == schema.fields().len();
    let collected = collect(work, snapshot, positions).await?;
    let mut found = collected
        .finish(version, Utc::now())
        .map_err(|error| PlannerError::Engine(Box::new(error)))?;
    if !is_whole {
        // The other columns keep what was learnt before.
        found = found.merged(table.analyzed().as_deref());
    }
    let n_rows = found.n_rows;
    let bytes = table.put_statistics(found).await?;
    // Notes the number of rows for `pg_class`, too.
    session.shared.catalog.pin(&name, Travel::Latest).await?;
    session.shared.catalog.statistics_changed();
    Ok(Some(Done {
        table: name.table().to_owned(),
        version,
        files_added: 1,
        bytes_added: bytes,
        n_rows: Some(n_rows),
        elapsed_ms: elapsed_ms(began),
        ..Done::default()
    }))
}

/// The places of named columns; all of them without a name.
fn positions(schema: &SchemaRef, columns: &[String], table: &str) -> Result<Vec<usize>> {
    if columns.is_empty() {
        return Ok((0..schema.fields().len()).collect());
    }
    let position = |name: &String| {
        schema.index_of(name).map_err(|_| Error::Value {
            code: "42703",
            message: format!("column \"{name}\" of relation \"{table}\" does not exist"),
        })
    };
    columns.iter().map(position).collect()
}

/// One pass over the columns, in as many streams as a query has.
async fn collect(
    work: &Work<'_>,
    provider: Arc<dyn TableProvider>,
    positions: Vec<usize>,
) -> Result<Collector> {
    let state = work.session.state();
    let expected = provider.statistics().and_then(|s| s.num_rows.get_value().copied());
    let logical = LogicalPlanBuilder::scan("t", provider_as_source(provider), Some(positions))
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| PlannerError::Engine(Box::new(error)))?;
    let optimized = plan::optimize(&logical, &state, work.statement)?;
    let physical = plan::physical_plan(&optimized, &state, work.statement).await?;
    let sink = Arc::new(CollectSink {
        schema: physical.schema(),
        n_rows_expected: expected.and_then(|n| u64::try_from(n).ok()).unwrap_or(1_000_000),
        collected: Mutex::new(None),
    });
    let plan = Arc::new(SinkExec::new(physical, Arc::clone(&sink) as Arc<dyn RowSink>));
    work.run_plan(plan, &state).await?;
    let collected = sink.collected.lock().take();
    Ok(collected.unwrap_or_else(|| sink.collector()))
}

/// Gathers facts of each partition, and merges them.
#[derive(Debug)]
struct CollectSink {
    schema: SchemaRef,
    n_rows_expected: u64,
    collected: Mutex<Option<Collector>>,
}

impl CollectSink {
    fn collector(&self) -> Collector {
        Collector::new(&self.schema, self.n_rows_expected, N_SAMPLE)
    }
}

impl RowSink for CollectSink {
    fn drain(
        self: Arc<Self>,
        mut rows: SendableRecordBatchStream,
    ) -> BoxFuture<'static, datafusion::error::Result<()>> {
        Box::pin(async move {
            let mut collector = self.collector();
            while let Some(batch) = rows.next().await {
                collector.add(&batch?)?;
            }
            let mut collected = self.collected.lock();
            match collected.as_mut() {
                Some(all) => all.merge(collector)?,
                None => *collected = Some(collector),
            }
            Ok(())
        })
    }
}
