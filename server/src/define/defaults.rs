//! What a DEFAULT may say.

use std::sync::Arc;

use arrow::datatypes::Field;
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlparser::ast::Statement as Ast;
use tarn_catalog::CatalogError;
use tarn_exec::QueryId;
use tarn_planner::binder::{Found, Lookup, ViewScope, bind};
use tarn_planner::rewrite::Relation;
use tarn_planner::write::stored;
use tarn_planner::{PlannerError, Statement, plan};

use super::expressions::{parsed, refuse_aggregate};
use crate::error::{Error, Result};
use crate::session::Session;

/// A default names no relation.
struct NoRelations;

impl Lookup for NoRelations {
    fn find<'a>(
        &'a self,
        _relation: &'a Relation,
        _within: Option<&'a ViewScope>,
    ) -> BoxFuture<'a, Result<Option<Found>, CatalogError>> {
        Box::pin(futures::future::ready(Ok(None)))
    }

    fn suggest(&self, _: &Relation) -> Option<String> {
        None
    }
}

/// Sees that a default gives a value that the column can hold, and uses nothing of the row.
///
/// # Errors
/// 0A000 for columns, 42803 for aggregates, 42804 for other types; what the cast of a constant says.
pub(crate) async fn check_default(
    session: &Arc<Session>,
    statement: &Statement,
    field: &Field,
    text: &str,
) -> Result<()> {
    let statements = session.parse(&format!("SELECT {text}"))?;
    let Some(Ast::Query(query)) = statements.first().map(Statement::ast) else {
        return Err(Error::Internal { what: "a default is no expression".to_owned() });
    };
    let inner = statement.with_ast(Ast::Query(query.clone()));
    let state = session.state();
    let bound = bind(&inner, &state, &NoRelations).await?;
    let logical = match plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[]) {
        Err(PlannerError::UndefinedColumn { .. }) => {
            let message = "cannot use column reference in DEFAULT expression".to_owned();
            return Err(Error::Value { code: "0A000", message });
        }
        planned => planned?,
    };
    refuse_aggregate(&logical, "DEFAULT expressions")?;
    let logical = stored(logical, field).map_err(of_default)?;
    // A constant is cast once, here; what is not one may give another value each time.
    if tarn_planner::write::is_literal(&parsed(session, text)?) {
        session.collect(&logical, &state, &inner, QueryId::next()).boxed().await?;
    }
    Ok(())
}

/// `… but default expression is of type …`.
fn of_default(error: PlannerError) -> Error {
    match error {
        PlannerError::Semantics { code: "42804", message, .. } => Error::Refused {
            code: "42804",
            message: message.replace("but expression is", "but default expression is"),
            detail: None,
            hint: Some("You will need to rewrite or cast the expression.".to_owned()),
        },
        other => other.into(),
    }
}
