//! One TCP connection: its limit, and the sessions of callers that hold no token.
//!
//! A caller that sends no credentials (trusted) or a password with each call has a session that
//! lives as long as its connection. So the number of such sessions is bounded by the number of
//! connections, and a client that goes away leaves nothing behind.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tonic::transport::server::{Connected, TlsConnectInfo};

use super::frontend::{FlightSession, Frontend};

/// How many users, or users in databases, may send their passwords over one connection.
const SESSIONS_PER_CONNECTION_MAX: usize = 16;

/// Whose session it is, and in which database the client wants it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SessionKey {
    /// The role.
    pub(super) user: String,
    /// What the header names.
    pub(super) database: Option<String>,
}

/// What the calls of one connection share.
pub(super) struct Connection {
    frontend: Weak<Frontend>,
    peer: SocketAddr,
    sessions: Mutex<HashMap<SessionKey, Arc<FlightSession>>>,
    /// The last password header that was found right, as a digest: verifying takes milliseconds.
    verified: Mutex<Option<[u8; 32]>>,
    _permit: OwnedSemaphorePermit,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(
        frontend: &Arc<Frontend>,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
    ) -> Arc<Self> {
        Arc::new(Self {
            frontend: Arc::downgrade(frontend),
            peer,
            sessions: Mutex::default(),
            verified: Mutex::default(),
            _permit: permit,
        })
    }

    /// Where the client is.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Returns the session of a user on this connection, if it has begun.
    pub(super) fn find(&self, key: &SessionKey) -> Option<Arc<FlightSession>> {
        self.sessions.lock().get(key).map(Arc::clone)
    }

    /// Puts another session in the place of one; whether there is one.
    pub(super) fn replace(&self, key: &SessionKey, session: &Arc<FlightSession>) -> bool {
        let old = match self.sessions.lock().get_mut(key) {
            Some(place) => std::mem::replace(place, Arc::clone(session)),
            None => return false,
        };
        // Not under the lock: a dropped session takes other locks.
        drop(old);
        true
    }

    /// Returns the session of a user on this connection, made by `open` at first use.
    ///
    /// None if too many users share the connection.
    pub(super) fn session<E>(
        &self,
        key: &SessionKey,
        open: impl FnOnce() -> Result<Arc<FlightSession>, E>,
    ) -> Result<Option<Arc<FlightSession>>, E> {
        let mut sessions = self.sessions.lock();
        if let Some(session) = sessions.get(key) {
            return Ok(Some(Arc::clone(session)));
        }
        if sessions.len() >= SESSIONS_PER_CONNECTION_MAX {
            return Ok(None);
        }
        let session = open()?;
        sessions.insert(key.clone(), Arc::clone(&session));
        Ok(Some(session))
    }

    /// Forgets sessions that were closed; the next call begins a new one.
    pub(super) fn forget_closed(&self) {
        self.sessions.lock().retain(|_, session| !session.closed().is_cancelled());
    }

    /// Whether these very credentials were verified last.
    pub(super) fn was_verified(&self, digest: &[u8; 32]) -> bool {
        self.verified.lock().as_ref() == Some(digest)
    }

    /// Remembers credentials that were found right.
    pub(super) fn set_verified(&self, digest: [u8; 32]) {
        *self.verified.lock() = Some(digest);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(frontend) = self.frontend.upgrade() else { return };
        for session in self.sessions.get_mut().values() {
            frontend.close(session);
        }
    }
}

/// What tonic attaches to each request of a connection.
#[derive(Debug, Clone)]
pub(super) struct ConnectionInfo(pub(super) Arc<Connection>);

impl ConnectionInfo {
    /// Finds the connection of a request, with or without TLS.
    pub(super) fn of(extensions: &tonic::Extensions) -> Option<Arc<Connection>> {
        let plain = extensions.get::<Self>();
        let info =
            plain.or_else(|| extensions.get::<TlsConnectInfo<Self>>().map(|tls| tls.get_ref()));
        info.map(|info| Arc::clone(&info.0))
    }
}

/// A client that connects and says nothing for so long is disconnected.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The socket together with its connection.
pub(super) struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
    /// Runs until the first bytes have come.
    silence: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection, silence: Some(Box::pin(tokio::time::sleep(SILENCE_MAX))) }
    }
}

impl Connected for Socket {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        ConnectionInfo(Arc::clone(&self.connection))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.silence = None;
        } else if let Some(silence) = &mut self.silence
            && silence.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
