//! The Flight service that clients talk to.
//!
//! arrow-flight's `FlightSqlService` answers `GetSchema`, `PollFlightInfo` and `ListFlights` with
//! "not yet implemented" and cannot be told otherwise, so this type stands before it: it answers
//! what reads (commands, tickets) itself and passes on what writes ([`SqlService`]).
//!
//! A panic below is caught here: the call fails, the connection lives.

use std::any::Any as Panic;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{Any, Command};
use arrow_flight::{
    Action, ActionType, BasicAuth, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint,
    FlightInfo, HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt};
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use super::auth::Caller;
use super::frontend::Frontend;
use super::sql_service::SqlService;
use super::{DataStream, metadata, prepared_statement, refusal, rows, schema, statement};

/// Answers all Flight calls.
#[derive(Debug, Clone)]
pub(super) struct Service {
    frontend: Arc<Frontend>,
    sql: SqlService,
}

type Answer<T> = Result<Response<T>, Status>;
type Items<T> = BoxStream<'static, Result<T, Status>>;

impl Service {
    pub(super) fn new(frontend: Arc<Frontend>) -> Self {
        Self { sql: SqlService { frontend: Arc::clone(&frontend) }, frontend }
    }
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = Items<HandshakeResponse>;
    type ListFlightsStream = Items<FlightInfo>;
    type DoGetStream = DataStream;
    type DoPutStream = Items<PutResult>;
    type DoActionStream = Items<arrow_flight::Result>;
    type ListActionsStream = Items<ActionType>;
    type DoExchangeStream = DataStream;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Answer<Self::HandshakeStream> {
        caught(handshake(&self.frontend, request)).await
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        caught(flight_info(&self.frontend, request)).await.map(Response::new)
    }

    /// Statements are planned at once, so there is nothing to poll for: the first answer is final.
    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Answer<PollInfo> {
        let info = caught(flight_info(&self.frontend, request)).await?;
        Ok(Response::new(PollInfo { progress: Some(1.0), ..PollInfo::new().with_info(info) }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        let schema = caught(schema_of(&self.frontend, request)).await?;
        let schema =
            schema::encode_schema(&schema).map_err(|error| refusal::format_error(&error))?;
        Ok(Response::new(SchemaResult { schema }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Answer<DataStream> {
        let data = caught(data_of(&self.frontend, request)).await?;
        let caught = AssertUnwindSafe(data)
            .catch_unwind()
            .map(|item| item.unwrap_or_else(|panic| Err(panicked(&panic))));
        Ok(Response::new(caught.boxed()))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        caught(self.sql.do_put(request)).await.map_err(refusal::of_dispatch)
    }

    async fn do_action(&self, request: Request<Action>) -> Answer<Self::DoActionStream> {
        caught(self.sql.do_action(request)).await.map_err(refusal::of_dispatch)
    }

    async fn list_actions(&self, request: Request<Empty>) -> Answer<Self::ListActionsStream> {
        self.sql.list_actions(request).await
    }

    async fn list_flights(&self, _request: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        let message = "ListFlights is not supported: tables are listed by GetTables";
        Err(refusal::unsupported(message.to_owned()))
    }

    async fn do_exchange(&self, _request: Request<Streaming<FlightData>>) -> Answer<DataStream> {
        Err(refusal::unsupported("DoExchange is not supported".to_owned()))
    }
}

/// Runs a call; a panic becomes an error.
async fn caught<T>(call: impl Future<Output = Result<T, Status>> + Send) -> Result<T, Status> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(&panic)))
}

fn panicked(panic: &Box<dyn Panic + Send>) -> Status {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("unknown");
    tracing::error!(panic = text, "a Flight call panicked");
    refusal::internal(text)
}

/// Takes a name and a password, from the header or from the message, for a token.
fn handshake(
    frontend: &Arc<Frontend>,
    request: Request<Streaming<HandshakeRequest>>,
) -> BoxFuture<'static, Answer<Items<HandshakeResponse>>> {
    let mut caller = Caller::of(&request);
    let frontend = Arc::clone(frontend);
    let mut messages = request.into_inner();
    Box::pin(async move {
        let first = messages.message().await?.unwrap_or_default();
        // Clients of the older handshake send a message instead of a header.
        if caller.is_anonymous() && !first.payload.is_empty() {
            let auth = BasicAuth::decode(first.payload)
                .map_err(|error| refusal::malformed("handshake", error))?;
            caller = caller.with_password(auth.username, auth.password);
        }
        let token = frontend.hand_out_token(caller).await?;
        let header = format!("Bearer {token}")
            .parse()
            .map_err(|_| refusal::internal("the token is no header"))?;
        let answer = HandshakeResponse {
            protocol_version: first.protocol_version,
            payload: token.into_bytes().into(),
        };
        let mut response = Response::new(stream::iter([Ok(answer)]).boxed());
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    })
}

fn command_of(bytes: &[u8]) -> Result<Command, Status> {
    let message = Any::decode(bytes).map_err(|error| refusal::malformed("command", error))?;
    Command::try_from(message).map_err(|error| refusal::malformed("command", error))
}

fn unsupported(command: &Command) -> Status {
    refusal::unsupported(format!("command \"{}\" is not supported", command.type_url()))
}

fn flight_info(
    frontend: &Arc<Frontend>,
    request: Request<FlightDescriptor>,
) -> BoxFuture<'static, Result<FlightInfo, Status>> {
    let caller = Caller::of(&request);
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let descriptor = request.into_inner();
        match command_of(&descriptor.cmd)? {
            Command::CommandStatementQuery(query) => {
                statement::flight_info(&frontend, caller, query, descriptor).await
            }
            Command::CommandPreparedStatementQuery(query) => {
                let handle = query.prepared_statement_handle;
                prepared_statement::flight_info(&frontend, caller, handle, descriptor).await
            }
            command => {
                frontend.session_of(caller).await?;
                let schema = metadata::schema_of(&command, frontend.limits())
                    .ok_or_else(|| unsupported(&command))?
                    .map_err(refusal::flight_error)?;
                let ticket = Ticket::new(descriptor.cmd.clone());
                let info = FlightInfo::new()
                    .try_with_schema(&schema)
                    .map_err(|error| refusal::format_error(&error))?
                    .with_endpoint(FlightEndpoint::new().with_ticket(ticket));
                Ok(statement::describe(info, descriptor))
            }
        }
    })
}

fn schema_of(
    frontend: &Arc<Frontend>,
    request: Request<FlightDescriptor>,
) -> BoxFuture<'static, Result<SchemaRef, Status>> {
    let caller = Caller::of(&request);
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        match command_of(&request.into_inner().cmd)? {
            Command::CommandStatementQuery(query) => {
                statement::schema_of(&frontend, caller, query).await
            }
            Command::CommandPreparedStatementQuery(query) => {
                let handle = query.prepared_statement_handle;
                prepared_statement::schema_of(&frontend, caller, handle).await
            }
            command => {
                frontend.session_of(caller).await?;
                metadata::schema_of(&command, frontend.limits())
                    .ok_or_else(|| unsupported(&command))?
                    .map_err(refusal::flight_error)
            }
        }
    })
}

fn data_of(
    frontend: &Arc<Frontend>,
    request: Request<Ticket>,
) -> BoxFuture<'static, Result<DataStream, Status>> {
    let caller = Caller::of(&request);
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        match command_of(&request.into_inner().ticket)? {
            Command::TicketStatementQuery(ticket) => {
                statement::rows(&frontend, caller, ticket.statement_handle).await
            }
            Command::CommandPreparedStatementQuery(query) => {
                let handle = query.prepared_statement_handle;
                prepared_statement::rows(&frontend, caller, handle).await
            }
            command => {
                let session = frontend.session_of(caller).await?;
                let catalog = frontend.catalog_for(&session, metadata::named_catalog(&command));
                let catalog = catalog.await.map_err(|error| error.to_status())?;
                let batch = metadata::answer(&command, &catalog, frontend.limits())
                    .ok_or_else(|| unsupported(&command))?
                    .map_err(refusal::flight_error)?;
                Ok(rows::encode_one(batch))
            }
        }
    })
}
