//! The frontend's own errors. What gRPC code they have is decided in [`crate::error`], as for all.

use arrow::error::ArrowError;
use arrow_flight::error::FlightError;
use tonic::{Code, Status};

use super::handles::HandleError;
use crate::error::Error;

/// Makes the status for an SQLSTATE.
pub(super) fn refuse(code: &'static str, message: String) -> Status {
    Error::Value { code, message }.to_status()
}

/// A handle that the server never gave to this user, or has forgotten.
pub(super) fn unknown(what: &str) -> Status {
    refuse("26000", format!("{what} is not known: it was closed or used up, or it has expired"))
}

/// A request that cannot be read.
pub(super) fn malformed(what: &str, reason: impl std::fmt::Display) -> Status {
    Error::Protocol { message: format!("invalid {what}: {reason}") }.to_status()
}

/// Gives an error of arrow-flight's own dispatch, which has no SQLSTATE, the form of ours.
pub(super) fn of_dispatch(status: Status) -> Status {
    let text = status.message();
    let has_code = text.split_once(": ").is_some_and(|(code, _)| {
        code.len() == 5 && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
    });
    match status.code() {
        _ if has_code => status,
        // It calls bytes that it cannot read an internal error.
        Code::InvalidArgument | Code::Internal => malformed("call", text),
        Code::Unimplemented => unsupported(text.to_owned()),
        _ => status,
    }
}

/// A caller who has not shown who they are.
pub(super) fn unauthenticated(message: &str) -> Status {
    Error::NotAuthorized { message: message.to_owned() }.to_status()
}

/// Something that the server does not do.
pub(super) fn unsupported(message: String) -> Status {
    refuse("0A000", message)
}

/// More than a limit allows.
pub(super) fn too_much(message: String) -> Status {
    refuse("53400", message)
}

/// A text that is not one statement.
pub(super) fn not_one_statement(message: &str) -> Status {
    refuse("42601", message.to_owned())
}

/// Another number of parameters than the statement has.
pub(super) fn wrong_parameter_count(n_given: usize, n_needed: usize) -> Status {
    let message = format!("{n_given} parameters were given, but the statement has {n_needed}");
    Error::Protocol { message }.to_status()
}

/// A statement that a client or the server stopped.
pub(super) fn cancelled() -> Status {
    refuse("57014", "canceling statement due to user request".to_owned())
}

/// A bug.
pub(super) fn internal(what: impl std::fmt::Display) -> Status {
    Error::Internal { what: what.to_string() }.to_status()
}

/// Rows that do not fit the schema that was announced: their table was changed in between.
pub(super) fn changed_result(error: &ArrowError) -> Status {
    refuse("0A000", format!("cached plan must not change result type\n{error}"))
}

/// An error of the Arrow format that no request can cause.
pub(super) fn format_error(error: &ArrowError) -> Status {
    internal(error)
}

/// An error of arrow-flight's builders.
pub(super) fn flight_error(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => internal(other),
    }
}

/// A handle that cannot be made.
pub(super) fn no_handle(what: &str, error: &HandleError) -> Status {
    match error {
        HandleError::SessionFull { limit } => {
            too_much(format!("the session has {limit} open {what}, no more are allowed"))
        }
        HandleError::Full { limit } => {
            too_much(format!("the server has {limit} open {what}, no more are allowed"))
        }
        HandleError::NoRandomness => internal("no random bytes"),
    }
}
