//! Statements that are run for their effect, and the number of rows that they changed.

use std::sync::Arc;

use arrow_flight::sql::CommandStatementUpdate;
use datafusion::common::ScalarValue;
use futures::future::BoxFuture;
use tonic::Status;

use super::auth::Caller;
use super::frontend::{FlightSession, Frontend};
use super::refusal;
use super::statement::expect_parameters;
use crate::error::Error;
use crate::session::{Execution, Prepared};

/// Answers `DoPut` with a text, which may have several statements.
pub(super) fn run_text(
    frontend: &Arc<Frontend>,
    caller: Caller,
    command: CommandStatementUpdate,
) -> BoxFuture<'static, Result<i64, Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let caller = frontend.session_of(caller).await?;
        let session = frontend.statement_session(&caller, command.transaction_id.as_ref())?;
        let statements = session.session().parse_text(command.query).await;
        let mut n_rows = 0_i64;
        for statement in statements.map_err(|error| session.failed(&error))? {
            let prepared = session.session().prepare(statement, Vec::new()).await;
            let prepared = prepared.map_err(|error| session.failed(&error))?;
            expect_parameters(&prepared, 0)?;
            n_rows = n_rows.saturating_add(run(&session, &prepared, Vec::new()).await?);
        }
        Ok(n_rows)
    })
}

/// Runs a statement to its end and returns how many rows it changed, 0 for statements that change
/// no rows; rows that it returns are counted and dropped.
pub(super) async fn run(
    session: &Arc<FlightSession>,
    prepared: &Arc<Prepared>,
    parameters: Vec<ScalarValue>,
) -> Result<i64, Status> {
    let whole = async {
        let mut n_rows = 0_u64;
        match session.session().execute(prepared, parameters).await? {
            Execution::Done(tag) => n_rows = tag.n_rows.unwrap_or(0),
            Execution::CopyOut(_) | Execution::CopyIn(_) => {
                return Err(crate::query::copy_elsewhere());
            }
            Execution::Rows(mut rows) => {
                while let Some(batch) = rows.next().await {
                    n_rows = n_rows.saturating_add(batch?.num_rows() as u64);
                }
            }
        }
        Ok(i64::try_from(n_rows).unwrap_or(i64::MAX))
    };
    tokio::select! {
        biased;
        () = session.closed().cancelled() => Err(refusal::cancelled()),
        result = whole => result.map_err(|error: Error| session.failed(&error)),
    }
}
