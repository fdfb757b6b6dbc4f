//! Rights on columns for statements that write: of roles that have a right on some columns of the
//! target only.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlparser::ast::Statement as Ast;
use tarn_catalog::CatalogError;
use tarn_catalog::rights::Privilege;
use tarn_planner::binder::bind;
use tarn_planner::write::{read_query, written_columns};
use tarn_planner::{Statement, plan};

use super::WriteTable;
use crate::error::Result;
use crate::lookup::SessionLookup;
use crate::session::Session;

/// Sees that a statement reads and writes no columns that its role has no right on.
///
/// # Errors
/// 42501; what does not fit in what is read.
pub(super) async fn check(
    session: &Arc<Session>,
    statement: &Statement,
    table: &WriteTable,
    ast: &Ast,
) -> Result<()> {
    if table.partial.is_empty() {
        return Ok(());
    }
    let written = written_columns(ast, table.name.table(), &table.schema)?;
    table.require_columns(Privilege::Insert, &written.inserted)?;
    table.require_columns(Privilege::Update, &written.updated)?;
    if !table.partial.contains_key(&Privilege::Select) {
        return Ok(());
    }
    if let Ast::Insert(insert) = ast
        && (insert.overwrite || insert.partitioned.is_some())
    {
        return Err(table.denied());
    }
    let Some(mut query) = read_query(ast)? else { return Ok(()) };
    if let (Ast::Query(query), Some(with)) = (&mut query, statement.with()) {
        query.with = Some(with.clone());
    }
    let inner = statement.with_ast(query);
    let state = session.state();
    let bound = bind(&inner, &state, &SessionLookup::seeing(session, &table.view)).await?;
    // Planned to be checked, and not to be run.
    drop(plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[])?);
    Ok(())
}

impl WriteTable {
    /// Sees that the role has a right on columns of the table.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn require_columns(
        &self,
        privilege: Privilege,
        columns: &BTreeSet<String>,
    ) -> Result<()> {
        match self.partial.get(&privilege) {
            Some(readable) if !columns.is_subset(readable) => Err(self.denied()),
            _ => Ok(()),
        }
    }

    fn denied(&self) -> crate::error::Error {
        let name = self.name.table().to_owned();
        CatalogError::PermissionDenied { kind: "table", name }.into()
    }
}
