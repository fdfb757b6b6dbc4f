//! Who calls, and in which session.
//!
//! ```text
//! authorization header   session
//! Bearer TOKEN           the one that the handshake made
//! Basic USER:PASSWORD    one per user and connection
//! none                   one per connection, for the first role, if the address is trusted
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use futures::future::BoxFuture;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Request, Status};

use super::connection::{Connection, ConnectionInfo, SessionKey};
use super::frontend::{FlightSession, Frontend};
use super::{database, refusal};
use crate::auth::FIRST_ROLE;
use crate::error::Error;

#[cfg(test)]
mod tests;

/// Clients pad the Basic header or do not.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a call says about its caller.
#[derive(Debug)]
pub(super) struct Caller {
    credentials: Credentials,
    /// The header that names a database.
    database: Option<String>,
    connection: Option<Arc<Connection>>,
}

/// The authorization header.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// There is none.
    Absent,
    /// A token of ours, or someone else's bytes.
    Bearer(Vec<u8>),
    /// A name and a password.
    Basic {
        /// The role.
        user: String,
        /// The password in the clear.
        password: String,
    },
    /// A header that cannot be read.
    Malformed,
}

impl std::fmt::Debug for Credentials {
    /// Names the kind only: secrets do not get into logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Bearer(_) => "Bearer",
            Self::Basic { .. } => "Basic",
            Self::Malformed => "Malformed",
        })
    }
}

impl Caller {
    /// Reads what a request says; nothing is checked yet.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let header = request.metadata().get("authorization");
        let credentials = header.map_or(Credentials::Absent, |value| {
            value.to_str().map_or(Credentials::Malformed, Credentials::parse)
        });
        let database = request.metadata().get(database::HEADER);
        // What is no text names no database: it is told as one that does not exist.
        let text = |value: &AsciiMetadataValue| String::from_utf8_lossy(value.as_bytes()).into();
        let database = database.filter(|value| !value.is_empty()).map(text);
        Self { credentials, database, connection: ConnectionInfo::of(request.extensions()) }
    }

    /// Whether the call has no authorization header.
    pub(super) fn is_anonymous(&self) -> bool {
        self.credentials == Credentials::Absent
    }

    /// Takes a name and a password from somewhere else than the header.
    pub(super) fn with_password(mut self, user: String, password: String) -> Self {
        self.credentials = Credentials::Basic { user, password };
        self
    }

    /// The connection that the call came over.
    pub(super) fn connection(&self) -> Option<&Arc<Connection>> {
        self.connection.as_ref()
    }

    /// Where the client is.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.connection.as_ref().map(|connection| connection.peer())
    }
}

/// Where a caller's session is kept.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Behind a token.
    Token(Vec<u8>),
    /// On a connection.
    Connection(Arc<Connection>, SessionKey),
}

impl Credentials {
    /// Reads an authorization header.
    fn parse(header: &str) -> Self {
        let (scheme, value) = header.trim().split_once(' ').unwrap_or((header, ""));
        let value = value.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::Bearer(URL_SAFE_NO_PAD.decode(value).unwrap_or_default());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Self::Malformed;
        }
        let Ok(bytes) = BASIC.decode(value) else { return Self::Malformed };
        let Ok(text) = String::from_utf8(bytes) else { return Self::Malformed };
        match text.split_once(':') {
            Some((user, password)) => {
                Self::Basic { user: user.to_owned(), password: password.to_owned() }
            }
            None => Self::Malformed,
        }
    }
}

impl Frontend {
    /// Returns the session of a call.
    ///
    /// # Errors
    /// Credentials that are missing, wrong or expired; too many sessions.
    pub(super) fn session_of(
        self: &Arc<Self>,
        caller: Caller,
    ) -> BoxFuture<'static, Result<Arc<FlightSession>, Status>> {
        let found = self.session_and_place_of(caller);
        Box::pin(async move { Ok(found.await?.0) })
    }

    /// Returns the session of a call, and where it is kept.
    ///
    /// # Errors
    /// As [`Self::session_of`].
    pub(super) fn session_and_place_of(
        self: &Arc<Self>,
        caller: Caller,
    ) -> BoxFuture<'static, Result<(Arc<FlightSession>, Place), Status>> {
        let frontend = Arc::clone(self);
        Box::pin(async move {
            if let Credentials::Bearer(token) = caller.credentials {
                let session = frontend.tokens.get_bearer(&token).ok_or_else(|| {
                    let message =
                        "the token is not known or has expired, a new handshake is needed";
                    refusal::unauthenticated(message)
                })?;
                let session = frontend.unless_terminated(session)?;
                database::check_header(&session, caller.database.as_deref())?;
                return Ok((session, Place::Token(token)));
            }
            let user = frontend.authenticate(&caller).await?;
            let Some(connection) = &caller.connection else {
                return Err(refusal::internal("the call has no connection"));
            };
            let key = SessionKey { user, database: caller.database.clone() };
            let session = match connection.find(&key) {
                Some(session) => session,
                None => frontend.begin_on(connection, &key).await?,
            };
            let session = frontend.unless_terminated(session);
            let session = session.inspect_err(|_| connection.forget_closed())?;
            Ok((session, Place::Connection(Arc::clone(connection), key)))
        })
    }

    /// Begins the session of a user on a connection.
    async fn begin_on(
        &self,
        connection: &Connection,
        key: &SessionKey,
    ) -> Result<Arc<FlightSession>, Status> {
        let named = key.database.as_deref();
        let shared = self.database(named).await.map_err(|error| error.to_status())?;
        let open = || self.open(&shared, &key.user, named, Some(connection.peer()));
        let session = connection.session(key, open)?;
        session.ok_or_else(|| refusal::too_much("too many users share one connection".to_owned()))
    }

    /// Closes a session that an administrator has ended.
    fn unless_terminated(&self, session: Arc<FlightSession>) -> Result<Arc<FlightSession>, Status> {
        if !session.session().terminated().is_cancelled() {
            return Ok(session);
        }
        self.close(&session);
        Err(Error::Stopping.to_status())
    }

    /// Checks who a caller is, begins a session and returns its token.
    ///
    /// # Errors
    /// Credentials that are missing or wrong; too many sessions.
    pub(super) fn hand_out_token(
        self: &Arc<Self>,
        caller: Caller,
    ) -> BoxFuture<'static, Result<String, Status>> {
        let frontend = Arc::clone(self);
        Box::pin(async move {
            let user = frontend.authenticate(&caller).await?;
            let named = caller.database.as_deref();
            let shared = frontend.database(named).await.map_err(|error| error.to_status())?;
            let session = frontend.open(&shared, &user, named, caller.peer())?;
            let token = frontend
                .tokens
                .insert(session.id(), &Arc::clone(session.user()), session)
                .map_err(|error| refusal::no_handle("sessions", &error))?;
            Ok(URL_SAFE_NO_PAD.encode(token))
        })
    }

    /// Returns the user that a caller has proved to be.
    async fn authenticate(self: &Arc<Self>, caller: &Caller) -> Result<String, Status> {
        // Roles may have been made on another server.
        self.shared().catalog.refresh().await.map_err(|error| Error::from(error).to_status())?;
        let trusted = caller.peer().is_some() && self.shared().users.trusts();
        match &caller.credentials {
            Credentials::Absent if trusted => Ok(FIRST_ROLE.to_owned()),
            Credentials::Absent => {
                let message = "authentication is needed: send a user name and a password";
                Err(refusal::unauthenticated(message))
            }
            Credentials::Basic { user, .. } if trusted => {
                Ok(if user.is_empty() { FIRST_ROLE.to_owned() } else { user.clone() })
            }
            Credentials::Basic { user, password } => {
                self.verify(caller, user, password).await?;
                Ok(user.clone())
            }
            Credentials::Bearer(_) | Credentials::Malformed => {
                let message = "the authorization header is neither Basic nor a Bearer token";
                Err(refusal::unauthenticated(message))
            }
        }
    }

    /// Compares a password with the stored verifier, away from the threads that serve sockets:
    /// the thousands of hash rounds are meant to be slow.
    async fn verify(
        self: &Arc<Self>,
        caller: &Caller,
        user: &str,
        password: &str,
    ) -> Result<(), Status> {
        // With what proves the password now: one that was changed has to be proved again.
        let verifier = self.shared().users.verifier(user).to_text();
        let digest = digest(user, password, &verifier);
        let connection = caller.connection.as_ref();
        if connection.is_some_and(|connection| connection.was_verified(&digest)) {
            return Ok(());
        }
        let address = caller.peer().map(|peer| peer.ip());
        if let Some(address) = address {
            let admitted = self.shared().users.throttle().admit(address).await;
            admitted.map_err(|error| error.to_status())?;
        }
        let frontend = Arc::clone(self);
        let (user, password) = (user.to_owned(), password.to_owned());
        let verified = tokio::task::spawn_blocking(move || {
            frontend.shared().users.verify_password(&user, &password)
        })
        .await
        .map_err(refusal::internal)?;
        if let (Err(_), Some(address)) = (&verified, address) {
            self.shared().users.throttle().failed(address);
        }
        verified.map_err(|error| error.to_status())?;
        if let Some(connection) = connection {
            connection.set_verified(digest);
        }
        Ok(())
    }
}

fn digest(user: &str, password: &str, verifier: &str) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(&user.len().to_be_bytes());
    context.update(user.as_bytes());
    context.update(&verifier.len().to_be_bytes());
    context.update(verifier.as_bytes());
    context.update(password.as_bytes());
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
