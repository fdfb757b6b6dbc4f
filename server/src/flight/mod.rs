//! The Flight SQL frontend: gRPC calls in, Arrow batches out.
//!
//! ```text
//!            listener ── connection (socket, sessions without token)
//!               │
//!            service ──── auth ── frontend (sessions, tokens, tickets, …) ── handles
//!      reads  ┌─┴────────────┐ writes
//!   metadata, statement    sql_service
//!   prepared_statement       update, prepared_statement, transaction, action
//!             └──── rows ────┘
//! ```
//!
//! | module | what |
//! |---|---|
//! | `listener` | the gRPC server, its limits, its end |
//! | `service` | every Flight call; passes writes on to `sql_service` |
//! | `auth`, `connection`, `database` | who calls, in which session, in which database |
//! | `frontend`, `handles` | what lives between calls, and for how long |
//! | `statement`, `prepared_statement`, `update` | plan, bind, run |
//! | `rows`, `schema`, `parameters` | batches and types on their way out and in |
//! | `metadata`, `sql_info`, `xdbc_types`, `like_pattern` | what the catalog and the server are |
//! | `action`, `session_messages`, `transaction` | session options, cancel, transactions |
//! | `placeholder` | `?` to `$1` |
//! | `refusal` | errors of the frontend itself |
//!
//! Not here: planning and running statements, which the session does for all frontends, and the
//! meaning of errors, which is in [`crate::error`].
//!
//! Reading order: `service`, `statement`, `rows`, then the rest.

mod action;
mod auth;
mod connection;
mod database;
mod frontend;
mod handles;
mod like_pattern;
mod listener;
mod metadata;
mod parameters;
mod placeholder;
mod prepared_statement;
mod refusal;
mod rows;
mod schema;
mod service;
mod session_messages;
mod sql_info;
mod sql_service;
mod statement;
mod transaction;
mod update;
mod xdbc_types;

use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::FlightData;
use futures::stream::BoxStream;
use tonic::Status;

pub use listener::serve;

/// The largest message that a client may send: a statement, or a batch of parameters.
const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// About how large a message of rows gets; gRPC clients refuse messages above 4 MiB by default.
const MESSAGE_TARGET_BYTES: usize = 2 << 20;

/// Rows on their way to a client.
type DataStream = BoxStream<'static, Result<FlightData, Status>>;

/// How schemas and batches are encoded; the announced schema has to be made with the same options
/// as the one that is sent.
fn ipc_options() -> IpcWriteOptions {
    IpcWriteOptions::default()
}
