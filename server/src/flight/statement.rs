//! Statements: from text to a ticket, from a ticket to rows.
//!
//! ```text
//! GetFlightInfo(text) ── parse, plan once ──> FlightInfo { schema, ticket }
//! DoGet(ticket) ──────── execute ───────────> schema, batch, batch, …
//! ```
//! A ticket is a random handle of a plan that stays on the server: a client cannot make one up, and
//! the rows are those of the plan whose schema was announced. A ticket ends when its rows were sent
//! to the last one, so a read that broke off can be tried again.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo};
use bytes::Bytes;
use datafusion::common::ScalarValue;
use futures::future::BoxFuture;
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::auth::Caller;
use super::frontend::{FlightSession, Frontend};
use super::placeholder::{PARAMETERS_MAX, number_placeholders};
use super::rows::RowStream;
use super::{DataStream, refusal, schema};
use crate::session::Prepared;

/// A longer command is not sent back: gRPC clients refuse messages above 4 MiB by default.
const DESCRIPTOR_BYTES_MAX: usize = 64 << 10;

/// A planned statement that waits for its rows to be fetched.
pub(super) struct Ticket {
    session: Arc<FlightSession>,
    prepared: Arc<Prepared>,
    /// The statement runs once for each of these.
    parameter_rows: Vec<Vec<ScalarValue>>,
    /// None if the statement returns no rows.
    schema: Option<SchemaRef>,
    cancel: CancellationToken,
    started: AtomicBool,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Ticket {
    pub(super) fn new(
        session: Arc<FlightSession>,
        prepared: Arc<Prepared>,
        parameter_rows: Vec<Vec<ScalarValue>>,
    ) -> Self {
        let schema = prepared.schema().map(|schema| schema::result_schema(schema));
        let cancel = session.closed().child_token();
        let started = AtomicBool::new(false);
        Self { session, prepared, parameter_rows, schema, cancel, started }
    }

    /// Stops the statement wherever it is.
    pub(super) fn cancel(&self) {
        self.cancel.cancel();
    }

    pub(super) fn cancelled(&self) -> &CancellationToken {
        &self.cancel
    }

    pub(super) fn session(&self) -> &Arc<FlightSession> {
        &self.session
    }

    pub(super) fn prepared(&self) -> &Arc<Prepared> {
        &self.prepared
    }

    pub(super) fn parameter_rows(&self) -> VecDeque<Vec<ScalarValue>> {
        self.parameter_rows.iter().cloned().collect()
    }

    /// The schema that is announced and sent; without columns if there are no rows.
    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone().unwrap_or_else(|| Arc::new(Schema::empty()))
    }

    /// Takes the one permission to run; only statements that return rows may run again.
    fn start(&self) -> bool {
        let first = !self.started.swap(true, Ordering::AcqRel);
        first || self.schema.is_some()
    }
}

/// Answers `GetFlightInfo` for a statement's text.
pub(super) fn flight_info(
    frontend: &Arc<Frontend>,
    caller: Caller,
    query: CommandStatementQuery,
    descriptor: FlightDescriptor,
) -> BoxFuture<'static, Result<FlightInfo, Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let caller = frontend.session_of(caller).await?;
        let session = frontend.statement_session(&caller, query.transaction_id.as_ref())?;
        let prepared = prepare(&session, &query.query, Vec::new()).await?;
        expect_parameters(&prepared, 0)?;
        let ticket = Ticket::new(session, prepared, vec![Vec::new()]);
        info_of(&frontend, &caller, ticket, descriptor)
    })
}

/// Answers `GetSchema` for a statement's text.
pub(super) fn schema_of(
    frontend: &Arc<Frontend>,
    caller: Caller,
    query: CommandStatementQuery,
) -> BoxFuture<'static, Result<SchemaRef, Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let caller = frontend.session_of(caller).await?;
        let session = frontend.statement_session(&caller, query.transaction_id.as_ref())?;
        let prepared = prepare(&session, &query.query, Vec::new()).await?;
        Ok(schema_of_prepared(&prepared))
    })
}

/// Answers `DoGet` for a ticket.
pub(super) fn rows(
    frontend: &Arc<Frontend>,
    caller: Caller,
    handle: Bytes,
) -> BoxFuture<'static, Result<DataStream, Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let caller = frontend.session_of(caller).await?;
        let ticket = frontend.tickets.get(caller.user(), &handle);
        let ticket = ticket.ok_or_else(|| refusal::unknown("ticket"))?;
        if !ticket.start() {
            return Err(refusal::unknown("ticket"));
        }
        RowStream::start(frontend, ticket, Some(handle)).await
    })
}

/// Returns the schema under which the rows of a statement are sent.
pub(super) fn schema_of_prepared(prepared: &Prepared) -> SchemaRef {
    prepared.schema().map_or_else(|| Arc::new(Schema::empty()), |rows| schema::result_schema(rows))
}

/// Keeps a ticket and describes its rows.
///
/// # Errors
/// Too many tickets.
pub(super) fn info_of(
    frontend: &Frontend,
    caller: &FlightSession,
    ticket: Ticket,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Status> {
    let schema = ticket.schema();
    let handle = frontend
        .tickets
        .insert(caller.id(), caller.user(), Arc::new(ticket))
        .map_err(|error| refusal::no_handle("unread statements", &error))?;
    let ticket = TicketStatementQuery { statement_handle: handle };
    let ticket = arrow_flight::Ticket::new(ticket.as_any().encode_to_vec());
    let info = FlightInfo::new()
        .try_with_schema(&schema)
        .map_err(|error| refusal::format_error(&error))?
        .with_endpoint(FlightEndpoint::new().with_ticket(ticket));
    Ok(describe(info, descriptor))
}

/// Says what a description is of, unless that is so long that clients would refuse the answer.
pub(super) fn describe(info: FlightInfo, descriptor: FlightDescriptor) -> FlightInfo {
    if descriptor.cmd.len() > DESCRIPTOR_BYTES_MAX {
        info
    } else {
        info.with_descriptor(descriptor)
    }
}

/// Parses and plans a text that must be one statement; `?` placeholders are numbered first.
pub(super) fn prepare(
    session: &Arc<FlightSession>,
    sql: &str,
    declared: Vec<Option<DataType>>,
) -> BoxFuture<'static, Result<Arc<Prepared>, Status>> {
    let numbered = number_placeholders(sql).map(std::borrow::Cow::into_owned);
    let session = Arc::clone(session);
    Box::pin(async move {
        let sql = numbered.map_err(|_| {
            refusal::too_much(format!("a statement can have at most {PARAMETERS_MAX} parameters"))
        })?;
        let parsed = session.session().parse_text(sql).await;
        let parsed = parsed.map_err(|error| session.failed(&error))?;
        let mut statements = parsed.into_iter();
        let Some(statement) = statements.next() else {
            return Err(refusal::not_one_statement("there is no statement"));
        };
        if statements.next().is_some() {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(refusal::not_one_statement(message));
        }
        let cancelled = session.closed();
        tokio::select! {
            biased;
            () = cancelled.cancelled() => Err(refusal::cancelled()),
            prepared = session.session().prepare(statement, declared) => {
                prepared.map_err(|error| session.failed(&error))
            }
        }
    })
}

/// Checks that a statement gets as many parameters as it has.
///
/// # Errors
/// It does not.
pub(super) fn expect_parameters(prepared: &Prepared, n_given: usize) -> Result<(), Status> {
    let n_needed = prepared.parameter_types().len();
    if n_needed == n_given {
        return Ok(());
    }
    Err(refusal::wrong_parameter_count(n_given, n_needed))
}
