//! The part of Flight SQL that arrow-flight dispatches: actions and `DoPut`.
//!
//! The methods only hand over to functions that return a boxed future: what an `async fn` of a
//! trait holds across an await makes every build of this crate slower (see `docs/style.md`).

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{DoPutError, FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionCancelQueryRequest,
    ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    ActionEndTransactionRequest, Any, CommandPreparedStatementQuery,
    CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementUpdate,
    DoPutPreparedStatementResult, SqlInfo,
};
use arrow_flight::{Action, ActionType, FlightInfo};
use futures::stream::{self, StreamExt};
use prost::Message;
use tonic::{Request, Response, Status};

use super::auth::Caller;
use super::frontend::Frontend;
use super::{action, prepared_statement, refusal, transaction, update};

/// `CANCEL_RESULT_CANCELLED` of the deprecated `CancelQuery`.
const CANCELLED: i32 = 1;

/// Dispatches to the functions of the frontend.
#[derive(Debug, Clone)]
pub(super) struct SqlService {
    pub(super) frontend: Arc<Frontend>,
}

type Put = Request<PeekableFlightDataStream>;

#[tonic::async_trait]
impl FlightSqlService for SqlService {
    type FlightService = Self;

    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        request: Put,
    ) -> Result<i64, Status> {
        update::run_text(&self.frontend, Caller::of(&request), command).await
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        _request: Put,
    ) -> Result<i64, Status> {
        let message = format!("bulk ingestion into \"{}\" is not supported yet", command.table);
        Err(refusal::unsupported(message))
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Put,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let caller = Caller::of(&request);
        let handle = query.prepared_statement_handle;
        prepared_statement::bind(&self.frontend, caller, handle, request.into_inner()).await
    }

    async fn do_put_prepared_statement_update(
        &self,
        query: CommandPreparedStatementUpdate,
        request: Put,
    ) -> Result<i64, Status> {
        let caller = Caller::of(&request);
        let handle = query.prepared_statement_handle;
        prepared_statement::update(&self.frontend, caller, handle, request.into_inner()).await
    }

    async fn do_put_fallback(
        &self,
        _request: Put,
        message: Any,
    ) -> Result<Response<<Self as FlightService>::DoPutStream>, Status> {
        Err(refusal::unsupported(format!("DoPut of \"{}\" is not supported", message.type_url)))
    }

    async fn do_put_error_callback(
        &self,
        _request: Put,
        error: DoPutError,
    ) -> Result<Response<<Self as FlightService>::DoPutStream>, Status> {
        Err(refusal::malformed("DoPut", error))
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        prepared_statement::create(&self.frontend, Caller::of(&request), query).await
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        prepared_statement::close(&self.frontend, Caller::of(&request), query).await
    }

    async fn do_action_begin_transaction(
        &self,
        _query: ActionBeginTransactionRequest,
        request: Request<Action>,
    ) -> Result<ActionBeginTransactionResult, Status> {
        transaction::begin(&self.frontend, Caller::of(&request)).await
    }

    async fn do_action_end_transaction(
        &self,
        query: ActionEndTransactionRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        transaction::end(&self.frontend, Caller::of(&request), query).await
    }

    async fn do_action_cancel_query(
        &self,
        query: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let session = self.frontend.session_of(Caller::of(&request)).await?;
        let info = FlightInfo::decode(query.info)
            .map_err(|error| refusal::malformed("CancelQuery", error))?;
        action::cancel(&self.frontend, &session, &info)?;
        Ok(ActionCancelQueryResult { result: CANCELLED })
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<<Self as FlightService>::DoActionStream>, Status> {
        let caller = Caller::of(&request);
        let body = action::run(&self.frontend, caller, request.into_inner()).await?;
        let result = arrow_flight::Result { body };
        Ok(Response::new(stream::iter([Ok(result)]).boxed()))
    }

    async fn list_custom_actions(&self) -> Option<Vec<Result<ActionType, Status>>> {
        Some(action::types().into_iter().map(Ok).collect())
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}
