//! What EXPLAIN shows of a statement that writes: the query for its rows, which is not run, or
//! with ANALYZE the plans that have run.

use std::sync::Arc;
use std::time::Instant;

use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;
use sqlparser::ast::Statement as Ast;
use tarn_catalog::memory::provider_of;
use tarn_exec::QueryId;
use tarn_planner::binder::bind;
use tarn_planner::statement::Write;
use tarn_planner::write::{Effect, TARGET, target};
use tarn_planner::{Statement, plan};

use super::plan::{WithRelation, query_of};
use super::{WriteTable, Writing, numbered_schema};
use crate::error::{Error, Result};
use crate::lookup::SessionLookup;
use crate::session::Session;

/// A write as EXPLAIN names it.
#[derive(Debug)]
pub(crate) struct Explained {
    /// `Insert`, `Update`, `Delete` or `Merge`.
    pub(crate) operation: &'static str,
    /// The table.
    pub(crate) table: String,
    /// The query for the rows; `None` for statements that need none.
    pub(crate) query: Option<(Statement, LogicalPlan)>,
}

/// A write that has been done, as EXPLAIN ANALYZE tells of it.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// `Insert`, `Update`, `Delete` or `Merge`.
    pub(crate) operation: &'static str,
    /// The table.
    pub(crate) table: String,
    /// The plans that have run, with their metrics.
    pub(crate) plans: Vec<Arc<dyn ExecutionPlan>>,
    /// When the first of them was ready to run.
    pub(crate) ready: Option<Instant>,
    /// The rows that were written.
    pub(crate) n_rows: u64,
}

fn operation_of(statement: &Statement) -> Option<(&'static str, Write)> {
    Some(match statement.ast() {
        Ast::Insert(_) => ("Insert", Write::Insert),
        Ast::Update(_) => ("Update", Write::Update),
        Ast::Delete(_) => ("Delete", Write::Delete),
        Ast::Merge(_) => ("Merge", Write::Merge),
        _ => return None,
    })
}

/// Runs a write and says how it went; the rows of RETURNING are dropped.
///
/// # Errors
/// Those of the statement.
pub(crate) async fn measured(
    session: &Arc<Session>,
    statement: &Statement,
    query_id: QueryId,
) -> Result<Measured> {
    let Some((operation, write)) = operation_of(statement) else {
        return Err(Error::Internal { what: "not a statement that writes".to_owned() });
    };
    let _turn = session.writing.lock().await;
    let measured = Some(Mutex::default());
    let (parameters, source) = (vec![], None);
    let writing = Writing { session, statement, write, parameters, query_id, source, measured };
    writing.run().await?;
    let measured = writing.measured.map(Mutex::into_inner).unwrap_or_default();
    Ok(Measured { operation, ..measured })
}

impl Writing<'_> {
    /// Notes that all is known which is needed to run, if that is wanted.
    pub(super) fn note_ready(&self) {
        if let Some(measured) = &self.measured {
            measured.lock().ready.get_or_insert_with(Instant::now);
        }
    }

    /// Notes a plan that has run, if that is wanted.
    pub(super) fn note_plan(&self, plan: &Arc<dyn ExecutionPlan>) {
        if let Some(measured) = &self.measured {
            measured.lock().plans.push(Arc::clone(plan));
        }
    }

    /// Forgets the plans of an attempt that has failed.
    pub(super) fn note_attempt(&self, table: &str) {
        if let Some(measured) = &self.measured {
            let mut measured = measured.lock();
            measured.plans.clear();
            table.clone_into(&mut measured.table);
        }
    }

    /// Notes how many rows were written, if that is wanted.
    pub(super) fn note_rows(&self, n_rows: u64) {
        if let Some(measured) = &self.measured {
            measured.lock().n_rows = n_rows;
        }
    }
}

/// Plans a write; `None` for other statements.
///
/// # Errors
/// What the write itself would find before its first row.
pub(crate) async fn explained(
    session: &Arc<Session>,
    statement: &Statement,
    state: &SessionState,
) -> Result<Option<Explained>> {
    let Some((operation, _)) = operation_of(statement) else { return Ok(None) };
    let privileges = super::rights::needed(statement.ast());
    let table = WriteTable::find(session, &target(statement.ast())?, &privileges).await?;
    let write = query_of(session, statement, &table).await?;
    let name = table.name.table().to_owned();
    let Some(query) = &write.query else {
        return Ok(Some(Explained { operation, table: name, query: None }));
    };
    let inner = statement.with_ast(query.clone());
    let provider = match write.effect {
        Effect::Append => provider_of(numbered_schema(&table.schema), vec![]),
        Effect::Update | Effect::Delete | Effect::Merge | Effect::Clear => table.numbered()?,
    };
    let inner_lookup = Some(SessionLookup::seeing(session, &table.view));
    let lookup = WithRelation { inner: inner_lookup, name: TARGET, provider };
    let bound = bind(&inner, state, &lookup).await?;
    let types = write.parameter_types(&table.schema);
    let logical = plan::logical_plan(&inner, bound.ast, state, &bound.tables, &types)?;
    let logical = write.project(logical, &table.schema)?;
    Ok(Some(Explained { operation, table: name, query: Some((inner, logical)) }))
}
