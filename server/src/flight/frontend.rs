//! The state that all calls share: sessions, tokens, tickets, prepared statements, transactions.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::MESSAGE_BYTES_MAX;
use super::handles::{HandleLimits, HandleStore, OwnerId};
use super::prepared_statement::PreparedStatement;
use super::refusal;
use super::sql_info::Limits;
use super::statement::Ticket;
use crate::Shared;
use crate::error::Error;
use crate::session::{Protocol, Session};

const MINUTE: Duration = Duration::from_secs(60);

/// Tokens that were handed out by handshakes.
const TOKENS: HandleLimits = HandleLimits {
    handles_max: 4_096,
    handles_per_session_max: 1,
    idle_max: MINUTE.saturating_mul(30),
};

/// Statements that were planned and whose rows were not fetched yet.
const TICKETS: HandleLimits = HandleLimits {
    handles_max: 16_384,
    handles_per_session_max: 1_024,
    idle_max: MINUTE.saturating_mul(10),
};

const PREPARED_STATEMENTS: HandleLimits = HandleLimits {
    handles_max: 16_384,
    handles_per_session_max: 1_024,
    idle_max: MINUTE.saturating_mul(60),
};

const TRANSACTIONS: HandleLimits = HandleLimits {
    handles_max: 1_024,
    handles_per_session_max: 16,
    idle_max: MINUTE.saturating_mul(30),
};

/// A server session and what Flight needs to know about it.
pub(super) struct FlightSession {
    id: OwnerId,
    user: Arc<str>,
    session: Arc<Session>,
    /// The database that the client has named when the session began.
    asked_for: Option<Arc<str>>,
    /// Stops the statements of the session when it is closed.
    closed: CancellationToken,
}

impl fmt::Debug for FlightSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlightSession")
            .field("id", &self.id)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Drop for FlightSession {
    /// Cursors hold running queries, and those hold the session.
    fn drop(&mut self) {
        self.session.close_all_portals();
    }
}

impl FlightSession {
    pub(super) fn id(&self) -> OwnerId {
        self.id
    }

    pub(super) fn user(&self) -> &Arc<str> {
        &self.user
    }

    /// Parses, plans and runs statements.
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Turns a statement's error into the client's; an open transaction has failed with it.
    pub(super) fn failed(&self, error: &Error) -> Status {
        self.session.fail_transaction();
        error.to_status()
    }

    /// The database that the client has named when the session began.
    pub(super) fn asked_for(&self) -> Option<&str> {
        self.asked_for.as_deref()
    }

    /// What goes on for this session's client in another database: it ends when this one is closed.
    pub(super) fn in_database(&self, shared: &Arc<Shared>) -> Result<Arc<Self>, Error> {
        let (user, client) = (self.session.user(), self.session.client());
        let database = shared.catalog.database();
        Ok(Arc::new(Self {
            id: self.id,
            user: Arc::clone(&self.user),
            session: Session::new(shared, &user, database, Protocol::FlightSql, client)?,
            asked_for: self.asked_for.clone(),
            closed: self.closed.clone(),
        }))
    }

    /// Takes over the settings and temporary tables of another session.
    pub(super) fn inherit(&self, from: &Self) {
        let (variables, temporary) = {
            let inner = from.session.inner.lock();
            (inner.variables.clone(), inner.temporary.clone())
        };
        let mut inner = self.session.inner.lock();
        inner.variables = variables;
        inner.temporary = temporary;
    }

    /// Becomes cancelled when the session is closed or the server stops.
    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}

/// The Flight SQL frontend of a server.
pub(super) struct Frontend {
    shared: Arc<Shared>,
    next_session: AtomicU64,
    /// Becomes cancelled when running statements have to end because the server stops.
    stop: CancellationToken,
    pub(super) tokens: HandleStore<FlightSession>,
    pub(super) tickets: HandleStore<Ticket>,
    pub(super) prepared_statements: HandleStore<PreparedStatement>,
    pub(super) transactions: HandleStore<FlightSession>,
}

impl fmt::Debug for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frontend").finish_non_exhaustive()
    }
}

impl Frontend {
    pub(super) fn new(shared: Arc<Shared>, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            shared,
            next_session: AtomicU64::new(0),
            stop,
            tokens: HandleStore::new(TOKENS),
            tickets: HandleStore::new(TICKETS),
            prepared_statements: HandleStore::new(PREPARED_STATEMENTS),
            transactions: HandleStore::new(TRANSACTIONS),
        })
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The limits that `GetSqlInfo` tells.
    pub(super) fn limits(&self) -> Limits {
        let connections_max = self.shared.config.n_connections_max;
        Limits { connections_max, statement_bytes_max: MESSAGE_BYTES_MAX }
    }

    /// Begins a session for a user who has proved who they are.
    ///
    /// # Errors
    /// Too many sessions, or a user that is not known.
    pub(super) fn open(
        &self,
        shared: &Arc<Shared>,
        user: &str,
        asked_for: Option<&str>,
        client: Option<SocketAddr>,
    ) -> Result<Arc<FlightSession>, Status> {
        let database = shared.catalog.database();
        let session = Session::new(shared, user, database, Protocol::FlightSql, client)
            .map_err(|error| error.to_status())?;
        Ok(Arc::new(FlightSession {
            id: OwnerId(self.next_session.fetch_add(1, Ordering::Relaxed)),
            user: user.into(),
            session,
            asked_for: asked_for.map(Into::into),
            closed: self.stop.child_token(),
        }))
    }

    /// Ends a session: its statements are stopped, its handles forgotten.
    pub(super) fn close(&self, session: &FlightSession) {
        session.closed.cancel();
        drop(self.tokens.remove_owner(session.id));
        drop(self.tickets.remove_owner(session.id));
        drop(self.prepared_statements.remove_owner(session.id));
        for transaction in self.transactions.remove_owner(session.id) {
            transaction.closed.cancel();
        }
    }

    /// Forgets what clients left behind.
    pub(super) fn sweep(&self) {
        drop(self.tickets.sweep());
        drop(self.prepared_statements.sweep());
        for session in self.transactions.sweep().iter().chain(&self.tokens.sweep()) {
            self.close(session);
        }
    }

    /// Returns the session in which a statement runs: its transaction's, or else the caller's.
    ///
    /// # Errors
    /// A transaction that is not known.
    pub(super) fn statement_session(
        &self,
        session: &Arc<FlightSession>,
        transaction: Option<&Bytes>,
    ) -> Result<Arc<FlightSession>, Status> {
        match transaction {
            None => Ok(Arc::clone(session)),
            Some(id) if id.is_empty() => Ok(Arc::clone(session)),
            Some(id) => self
                .transactions
                .get(session.user(), id)
                .ok_or_else(|| refusal::unknown("transaction")),
        }
    }
}
