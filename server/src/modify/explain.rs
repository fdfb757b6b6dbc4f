//! What EXPLAIN shows of a statement that writes: the query for its rows, which is not run.

use std::sync::Arc;

use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast::Statement as Ast;
use tarn_catalog::memory::provider_of;
use tarn_planner::binder::bind;
use tarn_planner::write::{TARGET, target};
use tarn_planner::{Statement, plan};

use super::plan::{WithRelation, query_of};
use super::{WriteTable, numbered_schema};
use crate::error::Result;
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

/// Plans a write; `None` for other statements.
///
/// # Errors
/// What the write itself would find before its first row.
pub(crate) async fn explained(
    session: &Arc<Session>,
    statement: &Statement,
    state: &SessionState,
) -> Result<Option<Explained>> {
    let operation = match statement.ast() {
        Ast::Insert(_) => "Insert",
        Ast::Update(_) => "Update",
        Ast::Delete(_) => "Delete",
        Ast::Merge(_) => "Merge",
        _ => return Ok(None),
    };
    let privileges = super::rights::needed(statement.ast());
    let table = WriteTable::find(session, &target(statement.ast())?, &privileges).await?;
    let write = query_of(session, statement, &table).await?;
    let name = table.name.table().to_owned();
    let Some(query) = &write.query else {
        return Ok(Some(Explained { operation, table: name, query: None }));
    };
    let inner = statement.with_ast(query.clone());
    let provider = provider_of(numbered_schema(&table.schema), vec![]);
    let lookup = WithRelation { inner: Some(SessionLookup::new(session)), name: TARGET, provider };
    let bound = bind(&inner, state, &lookup).await?;
    let types = write.parameter_types(&table.schema);
    let logical = plan::logical_plan(&inner, bound.ast, state, &bound.tables, &types)?;
    let logical = write.project(logical, &table.schema)?;
    Ok(Some(Explained { operation, table: name, query: Some((inner, logical)) }))
}
