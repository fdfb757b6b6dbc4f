//! Which database a caller works in.
//!
//! ```text
//! header `database` of the handshake, or of calls without a token   where the session begins
//! session option `catalog`                                         where it goes on
//! ```
//! A session of the server belongs to one database, so going on in another means another session
//! behind the same token or connection. Statements that were planned and transactions that were
//! begun before stay where they are.

use std::sync::Arc;

use tonic::Status;

use super::auth::Place;
use super::frontend::{FlightSession, Frontend};
use super::refusal;
use crate::Shared;
use crate::access::check::may_connect;
use crate::access::identity::AUTHORIZATION;
use crate::error::{Error, Result};
use crate::session;

/// The header that names a database. Drivers send what they do not know themselves as headers:
/// JDBC the parameters of its URL, ADBC the options `adbc.flight.sql.rpc.call_header.…`.
pub(super) const HEADER: &str = "database";

/// Sees that a call with a token does not name another database than its session has.
pub(super) fn check_header(
    session: &FlightSession,
    header: Option<&str>,
) -> std::result::Result<(), Status> {
    let own = session.session().shared.catalog.database();
    match header {
        // Sent with each call, it says where the session began.
        Some(name) if name != own && session.asked_for() != Some(name) => {
            let message = format!(
                "the session is in database \"{own}\", not in \"{name}\": begin another with a \
                 handshake, or set the session option catalog"
            );
            Err(refusal::malformed("header \"database\"", message))
        }
        Some(_) | None => Ok(()),
    }
}

impl Frontend {
    /// What the sessions of a database share; without a name, of the first one.
    pub(super) async fn database(&self, name: Option<&str>) -> Result<Arc<Shared>> {
        match name {
            Some(name) => self.shared().database(name).await,
            None => Ok(Arc::clone(self.shared())),
        }
    }

    /// Lets the calls from a place go on in another database.
    ///
    /// # Errors
    /// `UndefinedDatabase`; a role that may not connect to it; an open transaction.
    pub(super) async fn move_to(
        &self,
        place: &Place,
        from: &Arc<FlightSession>,
        name: &str,
    ) -> Result<Arc<FlightSession>> {
        let old = from.session();
        if old.shared.catalog.database() == name {
            return Ok(Arc::clone(from));
        }
        if old.status() != session::Status::Idle {
            let message = "a transaction is open in the session".to_owned();
            return Err(Error::Value { code: "25001", message });
        }
        let shared = self.shared().database(name).await?;
        let moved = from.in_database(&shared)?;
        let new = moved.session();
        // What the client has set holds on; defaults are those of the new database.
        let mut kept = old.settings();
        kept.retain(|row| row.source == "session");
        // Which role SET ROLE may choose depends on it.
        kept.sort_by_key(|row| row.name != AUTHORIZATION);
        for row in kept {
            if new.setting(&row.name).as_ref() != Some(&row.value) {
                new.set(&row.name, &row.value)?;
            }
        }
        let known = match place {
            Place::Token(token) => self.tokens.replace(token, &moved),
            Place::Connection(connection, key) => connection.replace(key, &moved),
        };
        match known {
            true => Ok(moved),
            // Closed meanwhile by another call.
            false => Err(Error::Stopping),
        }
    }

    /// The catalog that answers a metadata command: the session's, or that of the database which
    /// the command names; none where that one is not there or not for this role.
    pub(super) async fn catalog_for(
        &self,
        session: &FlightSession,
        named: Option<&str>,
    ) -> Result<Arc<tarn_catalog::CatalogSnapshot>> {
        let own = session.session();
        own.follow_catalog().await?;
        let snapshot = own.shared.catalog.snapshot();
        let other = named.filter(|name| {
            *name != snapshot.database && snapshot.databases.iter().any(|d| d.name == *name)
        });
        let Some(name) = other else { return Ok(snapshot) };
        if !may_connect(&snapshot, &own.current_user(), name) {
            // A filter by the name of the other one finds nothing here.
            return Ok(snapshot);
        }
        Ok(self.shared().database(name).await?.catalog.snapshot())
    }
}
