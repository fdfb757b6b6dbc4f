//! Prepared statements.
//!
//! ```text
//! CreatePreparedStatement(text) ─> handle, schema of the rows, schema of the parameters
//! DoPut(handle, batches) ────────> binds, one run per row
//! GetFlightInfo(handle) ─────────> ticket: plan and parameters as they are now
//! DoPut update(handle, batches) ─> runs, returns the number of rows changed
//! ClosePreparedStatement(handle)
//! ```
//! A statement whose schema of rows is absent changes data: that is how the JDBC driver tells
//! `executeQuery` from `executeUpdate`.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, DoPutPreparedStatementResult,
};
use arrow_flight::{FlightDescriptor, FlightInfo};
use bytes::Bytes;
use datafusion::common::ScalarValue;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tonic::Status;

use super::auth::Caller;
use super::frontend::{FlightSession, Frontend};
use super::rows::RowStream;
use super::statement::{self, Ticket, expect_parameters};
use super::{DataStream, parameters, refusal, schema, update};
use crate::session::Prepared;

/// A statement that a client has prepared.
pub(super) struct PreparedStatement {
    text: String,
    state: Mutex<State>,
}

/// The plan, the session that it belongs to, and the parameters that were bound last.
#[derive(Clone)]
struct State {
    session: Arc<FlightSession>,
    prepared: Arc<Prepared>,
    bound: Option<Vec<Vec<ScalarValue>>>,
}

impl fmt::Debug for PreparedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedStatement").field("text", &self.text).finish_non_exhaustive()
    }
}

impl PreparedStatement {
    fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// Binds parameters for the runs that follow.
    async fn bind(&self, batches: &[RecordBatch]) -> Result<(), Status> {
        let State { session, mut prepared, .. } = self.state();
        if let Some(declared) = parameters::better_types(batches, prepared.parameter_types()) {
            // Where the better types do not fit the statement, the values become text.
            if let Ok(better) = statement::prepare(&session, &self.text, declared).await {
                prepared = better;
            }
        }
        let rows = parameters::rows(batches, prepared.parameter_types())?;
        let bound = (!rows.is_empty()).then_some(rows);
        *self.state.lock() = State { session, prepared, bound };
        Ok(())
    }

    /// Returns what to run: for each row of parameters, once.
    fn runs(&self) -> Result<Ticket, Status> {
        let State { session, prepared, bound } = self.state();
        let rows = match bound {
            Some(rows) => rows,
            None => {
                expect_parameters(&prepared, 0)?;
                vec![Vec::new()]
            }
        };
        Ok(Ticket::new(session, prepared, rows))
    }

    /// Plans the statement anew if the transaction that it was prepared in has ended.
    ///
    /// ADBC 1.13 prepares a text once and runs it in each transaction that it begins later, so the
    /// statement moves to the one that the caller has open.
    async fn revive(&self, frontend: &Frontend, caller: &Arc<FlightSession>) -> Result<(), Status> {
        let state = self.state();
        if !state.session.closed().is_cancelled() {
            return Ok(());
        }
        let transactions = frontend.transactions.of_owner(caller.id());
        let session = if let [only] = transactions.as_slice() { only } else { caller };
        let declared = state.prepared.parameter_types().iter().cloned().map(Some).collect();
        let prepared = statement::prepare(session, &self.text, declared).await?;
        let bound = state.bound;
        *self.state.lock() = State { session: Arc::clone(session), prepared, bound };
        Ok(())
    }
}

/// Answers the action `CreatePreparedStatement`.
pub(super) fn create(
    frontend: &Arc<Frontend>,
    caller: Caller,
    request: ActionCreatePreparedStatementRequest,
) -> BoxFuture<'static, Result<ActionCreatePreparedStatementResult, Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let caller = frontend.session_of(caller).await?;
        let session = frontend.statement_session(&caller, request.transaction_id.as_ref())?;
        let prepared = statement::prepare(&session, &request.query, Vec::new()).await?;
        let encode = |schema: &_| {
            schema::encode_schema(schema).map_err(|error| refusal::format_error(&error))
        };
        let dataset_schema = match prepared.schema() {
            Some(rows) => encode(&schema::result_schema(rows))?,
            None => Bytes::new(),
        };
        let parameter_schema = encode(&schema::parameter_schema(prepared.parameter_types()))?;
        let state = Mutex::new(State { session, prepared, bound: None });
        let statement = PreparedStatement { text: request.query, state };
        let handle = frontend
            .prepared_statements
            .insert(caller.id(), caller.user(), Arc::new(statement))
            .map_err(|error| refusal::no_handle("prepared statements", &error))?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle,
            dataset_schema,
            parameter_schema,
        })
    })
}

/// Answers the action `ClosePreparedStatement`; closing twice is no error, as in PostgreSQL.
pub(super) fn close(
    frontend: &Arc<Frontend>,
    caller: Caller,
    request: ActionClosePreparedStatementRequest,
) -> BoxFuture<'static, Result<(), Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let caller = frontend.session_of(caller).await?;
        let handle = request.prepared_statement_handle;
        drop(frontend.prepared_statements.remove(caller.user(), &handle));
        Ok(())
    })
}

/// Answers `DoPut` that binds the parameters of a query.
pub(super) fn bind(
    frontend: &Arc<Frontend>,
    caller: Caller,
    handle: Bytes,
    data: PeekableFlightDataStream,
) -> BoxFuture<'static, Result<DoPutPreparedStatementResult, Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let statement = find(&frontend, caller, &handle).await?.1;
        statement.bind(&parameters::read(data).await?).await?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) })
    })
}

/// Answers `DoPut` that runs a statement and counts the rows it changed.
pub(super) fn update(
    frontend: &Arc<Frontend>,
    caller: Caller,
    handle: Bytes,
    data: PeekableFlightDataStream,
) -> BoxFuture<'static, Result<i64, Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let statement = find(&frontend, caller, &handle).await?.1;
        let batches = parameters::read(data).await?;
        // The Rust client binds first and then sends an update without data.
        if !batches.is_empty() {
            statement.bind(&batches).await?;
        }
        let runs = statement.runs()?;
        let mut n_rows = 0_i64;
        for parameters in runs.parameter_rows() {
            let n_changed = update::run(runs.session(), runs.prepared(), parameters).await?;
            n_rows = n_rows.saturating_add(n_changed);
        }
        Ok(n_rows)
    })
}

/// Answers `GetFlightInfo`.
pub(super) fn flight_info(
    frontend: &Arc<Frontend>,
    caller: Caller,
    handle: Bytes,
    descriptor: FlightDescriptor,
) -> BoxFuture<'static, Result<FlightInfo, Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let (caller, statement) = find(&frontend, caller, &handle).await?;
        statement::info_of(&frontend, &caller, statement.runs()?, descriptor)
    })
}

/// Answers `GetSchema`.
pub(super) fn schema_of(
    frontend: &Arc<Frontend>,
    caller: Caller,
    handle: Bytes,
) -> BoxFuture<'static, Result<arrow::datatypes::SchemaRef, Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let statement = find(&frontend, caller, &handle).await?.1;
        Ok(statement::schema_of_prepared(&statement.state().prepared))
    })
}

/// Answers `DoGet` for a client that makes the ticket from the handle itself.
pub(super) fn rows(
    frontend: &Arc<Frontend>,
    caller: Caller,
    handle: Bytes,
) -> BoxFuture<'static, Result<DataStream, Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let statement = find(&frontend, caller, &handle).await?.1;
        let ticket = Arc::new(statement.runs()?);
        RowStream::start(frontend, ticket, None).await
    })
}

async fn find(
    frontend: &Arc<Frontend>,
    caller: Caller,
    handle: &[u8],
) -> Result<(Arc<FlightSession>, Arc<PreparedStatement>), Status> {
    let caller = frontend.session_of(caller).await?;
    let statement = frontend.prepared_statements.get(caller.user(), handle);
    let statement = statement.ok_or_else(|| refusal::unknown("prepared statement"))?;
    statement.revive(frontend, &caller).await?;
    Ok((caller, statement))
}
