//! Actions of the Flight protocol that arrow-flight leaves to the server: session options, closing
//! a session, cancelling, renewing a ticket. Their bodies are plain protobuf, not wrapped in `Any`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_flight::sql::{Any, Command};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus,
    FlightEndpoint, FlightInfo, RenewFlightEndpointRequest, Ticket,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message;
use tonic::Status;

use super::auth::{Caller, Place};
use super::connection::Connection;
use super::frontend::{FlightSession, Frontend};
use super::refusal;
use super::session_messages::{
    CLOSE_SESSION, CloseSessionResult, CloseStatus, GET_SESSION_OPTIONS, GetSessionOptionsResult,
    OptionError, OptionErrorCode, OptionValue, SET_SESSION_OPTIONS, SessionOptionValue,
    SetSessionOptionsRequest, SetSessionOptionsResult,
};

const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";
const RENEW_FLIGHT_ENDPOINT: &str = "RenewFlightEndpoint";

/// Option names that JDBC and ADBC use for where names are looked up.
const CATALOG: &str = "catalog";
const SCHEMA: &str = "schema";

/// Lists the actions for `ListActions`.
pub(super) fn types() -> Vec<ActionType> {
    [
        (SET_SESSION_OPTIONS, "Changes settings of the session."),
        (GET_SESSION_OPTIONS, "Returns the settings of the session."),
        (CLOSE_SESSION, "Ends the session and what runs in it."),
        (CANCEL_FLIGHT_INFO, "Stops a statement."),
        (RENEW_FLIGHT_ENDPOINT, "Keeps a ticket from expiring."),
    ]
    .map(|(name, description)| ActionType {
        r#type: name.to_owned(),
        description: description.to_owned(),
    })
    .into()
}

/// Runs an action and returns the body of its result.
pub(super) fn run(
    frontend: &Arc<Frontend>,
    caller: Caller,
    action: Action,
) -> BoxFuture<'static, Result<Bytes, Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let connection = caller.connection().cloned();
        let (session, place) = frontend.session_and_place_of(caller).await?;
        let body = &*action.body;
        let result = match action.r#type.as_str() {
            SET_SESSION_OPTIONS => {
                set_options(&frontend, session, &place, decode(body)?).await.encode_to_vec()
            }
            GET_SESSION_OPTIONS => get_options(&session).encode_to_vec(),
            CLOSE_SESSION => close(&frontend, &session, connection.as_deref()).encode_to_vec(),
            CANCEL_FLIGHT_INFO => {
                let CancelFlightInfoRequest { info } = decode(body)?;
                cancel(&frontend, &session, &info.unwrap_or_default())?;
                CancelFlightInfoResult::new(CancelStatus::Cancelled).encode_to_vec()
            }
            RENEW_FLIGHT_ENDPOINT => {
                let RenewFlightEndpointRequest { endpoint } = decode(body)?;
                renew(&frontend, &session, endpoint.unwrap_or_default())?.encode_to_vec()
            }
            other => {
                let message = format!("action \"{other}\" is not supported");
                return Err(refusal::unsupported(message));
            }
        };
        Ok(result.into())
    })
}

fn decode<M: Message + Default>(body: &[u8]) -> Result<M, Status> {
    M::decode(body).map_err(|error| refusal::malformed("action", error))
}

/// Stops the statements of a `FlightInfo`.
///
/// # Errors
/// None of its tickets is known.
pub(super) fn cancel(
    frontend: &Frontend,
    session: &FlightSession,
    info: &FlightInfo,
) -> Result<(), Status> {
    let mut found = false;
    for ticket in info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()) {
        let Some(handle) = handle_of(ticket) else { continue };
        if let Some(ticket) = frontend.tickets.remove(session.user(), &handle) {
            ticket.cancel();
            found = true;
        }
    }
    if found { Ok(()) } else { Err(refusal::unknown("statement")) }
}

fn renew(
    frontend: &Frontend,
    session: &FlightSession,
    endpoint: FlightEndpoint,
) -> Result<FlightEndpoint, Status> {
    let handle = endpoint.ticket.as_ref().and_then(handle_of);
    let ticket = handle.and_then(|handle| frontend.tickets.get(session.user(), &handle));
    ticket.map(|_| endpoint).ok_or_else(|| refusal::unknown("ticket"))
}

fn handle_of(ticket: &Ticket) -> Option<Bytes> {
    let message = Any::decode(&*ticket.ticket).ok()?;
    match Command::try_from(message).ok()? {
        Command::TicketStatementQuery(ticket) => Some(ticket.statement_handle),
        _ => None,
    }
}

fn close(
    frontend: &Frontend,
    session: &FlightSession,
    connection: Option<&Connection>,
) -> CloseSessionResult {
    frontend.close(session);
    if let Some(connection) = connection {
        connection.forget_closed();
    }
    CloseSessionResult { status: CloseStatus::Closed as i32 }
}

async fn set_options(
    frontend: &Frontend,
    mut session: Arc<FlightSession>,
    place: &Place,
    mut request: SetSessionOptionsRequest,
) -> SetSessionOptionsResult {
    let mut errors = HashMap::new();
    // The others are settings of the session in that database. Without a value it stays.
    let catalog = request.session_options.remove(CATALOG).and_then(|option| option.value);
    if let Some(name) = catalog.map(|value| value.to_setting()) {
        match frontend.move_to(place, &session, &name).await {
            Ok(moved) => session = moved,
            Err(error) => {
                let code = match error.sqlstate() {
                    "3D000" => OptionErrorCode::InvalidValue,
                    _ => OptionErrorCode::Error,
                };
                errors.insert(CATALOG.to_owned(), OptionError { value: code as i32 });
            }
        }
    }
    for (name, value) in request.session_options {
        if let Err(code) = set_option(&session, &name, value.value.as_ref()) {
            errors.insert(name, OptionError { value: code as i32 });
        }
    }
    SetSessionOptionsResult { errors }
}

fn set_option(
    session: &FlightSession,
    name: &str,
    value: Option<&OptionValue>,
) -> Result<(), OptionErrorCode> {
    let value = value.map(OptionValue::to_setting);
    match (name, value) {
        (SCHEMA, Some(schema)) => {
            let quoted = format!("\"{}\"", schema.replace('"', "\"\""));
            set(session, "search_path", Some(&quoted))
        }
        (SCHEMA, None) => set(session, "search_path", None),
        (name, value) => set(session, name, value.as_deref()),
    }
}

fn set(session: &FlightSession, name: &str, value: Option<&str>) -> Result<(), OptionErrorCode> {
    let session = session.session();
    let done = match value {
        Some(value) => session.set(name, value),
        None => session.reset(Some(name)),
    };
    done.map_err(|error| match error.sqlstate() {
        "42704" => OptionErrorCode::InvalidName,
        "22023" | "22P02" => OptionErrorCode::InvalidValue,
        _ => OptionErrorCode::Error,
    })
}

fn get_options(session: &FlightSession) -> GetSessionOptionsResult {
    let text = |value: String| SessionOptionValue { value: Some(OptionValue::Text(value)) };
    let session = session.session();
    let settings = session.settings().into_iter().map(|row| (row.name, text(row.value)));
    let mut session_options: HashMap<String, SessionOptionValue> = settings.collect();
    let own = session.user();
    if let Some(schema) = session.search_path().into_iter().find(|schema| **schema != *own) {
        session_options.insert(SCHEMA.to_owned(), text(schema));
    }
    let database = session.shared.catalog.database().to_owned();
    session_options.insert(CATALOG.to_owned(), text(database));
    GetSessionOptionsResult { session_options }
}
