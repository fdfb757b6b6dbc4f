//! OPTIMIZE, VACUUM, RESTORE and ANALYZE: what they do to tables, told in rows.
//!
//! | module | what |
//! |---|---|
//! | `report` | the rows |
//! | `vacuum` | VACUUM |
//! | `restore` | RESTORE |
//! | `optimize` | OPTIMIZE |
//! | `analyze` | ANALYZE |
//!
//! Each but ANALYZE commits on its own, so none of these runs inside a transaction block.

mod analyze;
mod optimize;
mod report;
mod restore;
mod vacuum;

use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::physical_plan::ExecutionPlan;
use tarn_catalog::delta::DeltaTable;
use tarn_catalog::registry::Relation as Known;
use tarn_catalog::{CatalogError, TableName};
use tarn_exec::QueryId;
use tarn_planner::statement::Upkeep;
use tarn_planner::write::Target;
use tarn_planner::{PlannerError, Statement};

use crate::error::{Error, Result};
use crate::lookup::{SessionLookup, TEMPORARY};
use crate::modify::check_writable;
use crate::query::{CommandTag, Execution};
use crate::session::{Rows, Session};

pub(crate) use report::Done;

/// One command on its way.
pub(crate) struct Work<'a> {
    pub(crate) session: &'a Arc<Session>,
    pub(crate) statement: &'a Statement,
    pub(crate) query_id: QueryId,
}

impl Work<'_> {
    /// Runs a plan that yields no rows to its end, as a query that others see and can stop.
    pub(crate) async fn run_plan(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        state: &SessionState,
    ) -> Result<()> {
        let shared = &self.session.shared;
        let context = tarn_planner::session_state::task_context(
            state,
            Arc::clone(shared.engine.runtime_env()),
        );
        let token = self.session.token();
        let mut stream = shared
            .engine
            .run(self.query_id, plan, context, token, tarn_exec::Lane::Queries)
            .await?;
        shared.running.add(self.query_id, Arc::clone(stream.plan()));
        while let Some(batch) = stream.next().await {
            batch?;
        }
        Ok(())
    }
}

/// Takes the command out of the list of what runs, however it ends.
struct Listed<'a>(&'a Work<'a>);

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.0.session.shared.running.remove(self.0.query_id);
    }
}

/// The columns of a command's rows; `None` where it has nothing to do and says so in a notice.
///
/// # Errors
/// `UndefinedTable`.
pub(crate) fn schema(session: &Arc<Session>, upkeep: &Upkeep) -> Result<Option<SchemaRef>> {
    let mut has_lake_table = false;
    for target in upkeep.tables() {
        let (_, known) = resolve(session, target)?;
        has_lake_table |= matches!(known, Some(Known::Lake(_)));
    }
    let always = matches!(upkeep, Upkeep::Optimize { .. } | Upkeep::Restore { .. });
    if !always && !has_lake_table {
        return Ok(None);
    }
    Ok(Some(match upkeep {
        Upkeep::Vacuum { dry_run: true, .. } => report::files_schema(),
        _ => report::schema(),
    }))
}

/// Runs a command.
pub(crate) async fn run(work: &Work<'_>, upkeep: &Upkeep) -> Result<Execution> {
    let session = work.session;
    let verb = upkeep.verb();
    if session.in_block() && !matches!(upkeep, Upkeep::Analyze(_)) {
        let message = format!("{verb} cannot run inside a transaction block");
        return Err(Error::Value { code: "25001", message });
    }
    let Some(schema) = schema(session, upkeep)? else {
        session.notice("NOTICE", "00000", format!("{verb} is accepted and has no effect"));
        return Ok(Execution::Done(CommandTag::new(verb)));
    };
    if !matches!(upkeep, Upkeep::Vacuum { dry_run: true, .. }) {
        check_writable(session, verb, None)?;
    }
    let listed = Listed(work);
    let batch: RecordBatch = match upkeep {
        Upkeep::Vacuum { tables, retain_hours, dry_run, analyze } => {
            let batch = vacuum::run(work, tables, *retain_hours, *dry_run).await?;
            if *analyze && !dry_run {
                let all: Vec<_> = tables.iter().map(|table| (table.clone(), vec![])).collect();
                let more = analyze::run(work, &all).await?;
                report::joined(&[batch, more])?
            } else {
                batch
            }
        }
        Upkeep::Optimize { table, z_order } => optimize::run(work, table, z_order).await?,
        Upkeep::Restore { table, to } => restore::run(work, table, to).await?,
        Upkeep::Analyze(tables) => analyze::run(work, tables).await?,
    };
    drop(listed);
    let rows = Rows::of_batches(session, schema, verb, vec![batch], work.query_id);
    Ok(Execution::Rows(rows))
}

/// A table of the session's role by its written name; `None` beside the name for system relations.
fn resolve(session: &Arc<Session>, target: &Target) -> Result<(TableName, Option<Known>)> {
    if let Some(found) =
        SessionLookup::new(session).resolve(target.schema.as_deref(), &target.table)
    {
        session.require_owner(&found.0)?;
        return Ok((found.0, Some(found.1)));
    }
    let system = target.schema.as_deref().is_none_or(|schema| schema == "pg_catalog")
        && tarn_catalog::pg_catalog::schema(&target.table).is_some();
    if system {
        return Ok((TableName::new("pg_catalog", &target.table), None));
    }
    let name = match &target.schema {
        Some(schema) => format!("{schema}.{}", target.table),
        None => target.table.clone(),
    };
    Err(PlannerError::UndefinedTable { name, position: None, suggestion: None }.into())
}

/// A Delta table by its written name.
pub(crate) fn delta_table(
    session: &Arc<Session>,
    target: &Target,
    verb: &str,
) -> Result<(TableName, Arc<DeltaTable>)> {
    let (name, known) = resolve(session, target)?;
    let format = match &known {
        Some(Known::Lake(table)) => match Arc::clone(table).delta() {
            Some(table) => return Ok((name, table)),
            None => table.format(),
        },
        Some(Known::Memory(_)) if name.schema() == TEMPORARY => "a temporary table",
        Some(Known::Memory(_)) => "a table in memory",
        Some(Known::View { .. }) => {
            let name = name.table().to_owned();
            return Err(CatalogError::WrongObjectType { name, expected: "a table" }.into());
        }
        None => "a system table",
    };
    let hint = Some("Only Delta tables can be maintained.".to_owned());
    Err(PlannerError::Unsupported { what: format!("{verb} of {format}"), hint }.into())
}

/// Milliseconds since a start.
pub(crate) fn elapsed_ms(began: Instant) -> f64 {
    (began.elapsed().as_secs_f64() * 1e6).round() / 1e3
}
