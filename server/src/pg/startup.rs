//! The first messages of a connection: encryption, parameters, password.

mod packet;
mod password;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::startup::{Authentication, BackendKeyData, SecretKey};
use tarn_planner::PlannerError;
use tarn_planner::variables::SETTINGS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::connection::{error_message, reported_name};
use super::socket::Socket;
use super::wire::Wire;
use crate::Shared;
use crate::auth::FIRST_ROLE;
use crate::error::{Error, Result};
use crate::session::{Protocol, Session};
use crate::tls::{POSTGRES_ALPN, common_name};
use packet::Parameters;

/// The longest first packet, as in PostgreSQL.
const PACKET_BYTES_MAX: usize = 10_000;

/// The longest cancel key that a protocol version has.
const CANCEL_KEY_BYTES_MAX: usize = 256;

const SSL_REQUEST: i32 = 80_877_103;
const GSS_REQUEST: i32 = 80_877_104;
const CANCEL_REQUEST: i32 = 80_877_102;

/// The first byte of a TLS handshake, which no startup packet begins with.
const TLS_HANDSHAKE: u8 = 0x16;

/// A packet's settings, for the fuzzer.
pub(super) fn read_packet_for_fuzzing(packet: &[u8]) -> Result<String> {
    let parameters = packet::parse(packet)?;
    let n = parameters.settings()?.len();
    Ok(format!("{n} {} {}", parameters.negotiate.is_some(), parameters.long_cancel_key))
}

/// The first answer of a SASL exchange, for the fuzzer.
pub(super) fn read_answer_for_fuzzing(body: &[u8]) -> String {
    match password::read_first(body.into()) {
        Ok((mechanism, data)) => format!("{mechanism} {}", password::challenge(&data)),
        Err(error) => error.to_string(),
    }
}

/// How a startup ended.
pub(super) enum Started {
    /// With a session, which holds its place among the connections.
    Session(Wire, Arc<Session>, OwnedSemaphorePermit),
    /// With an answer, after which the connection is closed.
    Done,
}

/// Brings a connection from its first byte to its session.
///
/// # Errors
/// Sockets that break, and clients that take too long before they have said what they want.
pub(super) async fn start(
    shared: &Arc<Shared>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    places: &Arc<Semaphore>,
) -> Result<Started> {
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    let deadline = Instant::now() + shared.config.auth_timeout;
    let late = || Error::Protocol { message: "the client did not finish connecting".to_owned() };
    let negotiated = timeout_at(deadline, negotiate(shared, stream, peer.ip(), tls));
    let Some((socket, packet)) = negotiated.await.map_err(|_| late())?? else {
        return Ok(Started::Done);
    };
    let mut wire = Wire::new(socket);
    let connected = timeout_at(deadline, connect(shared, &mut wire, &packet, peer, places)).await;
    let error = match connected {
        Ok(Ok((session, place))) => return Ok(Started::Session(wire, session, place)),
        Ok(Err(Error::Io(error))) => return Err(error.into()),
        Ok(Err(error)) => error,
        Err(_) => Error::Value {
            code: "57014",
            message: "canceling authentication due to timeout".to_owned(),
        },
    };
    refuse(wire, &error).await?;
    Ok(Started::Done)
}

/// Tells a client why it cannot connect.
async fn refuse(mut wire: Wire, error: &Error) -> Result<()> {
    wire.push(&error_message(error, true))?;
    wire.finish().await
}

/// Answers requests for encryption until the startup packet comes; serves cancel requests.
async fn negotiate(
    shared: &Arc<Shared>,
    stream: TcpStream,
    address: IpAddr,
    tls: Option<TlsAcceptor>,
) -> Result<Option<(Socket, Bytes)>> {
    let mut first = [0_u8; 1];
    let direct = stream.peek(&mut first).await? == 1 && first == [TLS_HANDSHAKE];
    let mut socket = match (&tls, direct) {
        (Some(acceptor), true) => {
            let stream = acceptor.accept(stream).await?;
            // As in PostgreSQL: a client that does not name the protocol may mean another one.
            if stream.get_ref().1.alpn_protocol() != Some(POSTGRES_ALPN) {
                return Ok(None);
            }
            Socket::Tls(Box::new(stream))
        }
        (None, true) => return Ok(None),
        (_, false) => Socket::Plain(stream),
    };
    // A client may ask for each kind of encryption once.
    for _ in 0..4 {
        let packet = match read_packet(&mut socket).await {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(None),
            Err(error @ Error::Protocol { .. }) => {
                refuse(Wire::new(socket), &error).await?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let code = packet.first_chunk::<4>().map_or(0, |code| i32::from_be_bytes(*code));
        socket = match (code, &tls, socket) {
            (SSL_REQUEST, Some(acceptor), Socket::Plain(mut stream)) => {
                stream.write_all(b"S").await?;
                Socket::Tls(Box::new(acceptor.accept(stream).await?))
            }
            (SSL_REQUEST, None, mut socket) | (GSS_REQUEST, _, mut socket) => {
                socket.write_all(b"N").await?;
                socket.flush().await?;
                socket
            }
            (CANCEL_REQUEST, _, _) => {
                cancel(shared, address, packet.slice(4..)).await;
                return Ok(None);
            }
            (_, _, socket) => return Ok(Some((socket, packet))),
        };
    }
    Ok(None)
}

/// Stops a statement; the client is told nothing, and guesses of keys become slow.
async fn cancel(shared: &Shared, address: IpAddr, mut body: Bytes) {
    let throttle = shared.users.throttle();
    if !(8..=4 + CANCEL_KEY_BYTES_MAX).contains(&body.len())
        || throttle.admit(address).await.is_err()
    {
        return;
    }
    let pid = body.get_i32();
    if !shared.sessions.cancel(pid, &body) {
        throttle.failed(address);
    }
}

/// Reads a packet that has a length but no type; `None` where the client is gone.
async fn read_packet(socket: &mut Socket) -> Result<Option<Bytes>> {
    let mut length = [0_u8; 4];
    if let Err(error) = socket.read_exact(&mut length).await {
        return match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Ok(None),
            _ => Err(error.into()),
        };
    }
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0);
    if !(8..=PACKET_BYTES_MAX).contains(&length) {
        return Err(Error::Protocol { message: "invalid length of startup packet".to_owned() });
    }
    let mut body = vec![0_u8; length - 4];
    socket.read_exact(&mut body).await?;
    Ok(Some(body.into()))
}

/// Checks who the client is, opens the session and greets the client.
async fn connect(
    shared: &Arc<Shared>,
    wire: &mut Wire,
    packet: &[u8],
    peer: SocketAddr,
    places: &Arc<Semaphore>,
) -> Result<(Arc<Session>, OwnedSemaphorePermit)> {
    let config = &shared.config;
    let parameters = packet::parse(packet)?;
    if let Some(message) = &parameters.negotiate {
        wire.push(message)?;
    }
    // Known before any work is done for the client; decided again below.
    if places.available_permits() == 0 {
        return Err(Error::TooManyConnections { n_max: config.n_connections_max });
    }
    let local = peer.ip().to_canonical().is_loopback();
    if config.tls.is_some() && !wire.is_encrypted() && !local && !config.insecure {
        let message = "connections from other machines need TLS (sslmode=require)".to_owned();
        return Err(Error::NotAuthorized { message });
    }
    prove(shared, wire, &parameters.user, peer.ip()).await?;
    // What is wrong from here on is told to a client that has proved who it is.
    wire.push(&Backend::Authentication(Authentication::Ok))?;
    let place = take_place(shared, &parameters.user, places)?;
    let shared = &shared.database(&parameters.database).await?;
    let session = Session::new(
        shared,
        &parameters.user,
        &parameters.database,
        Protocol::Postgres,
        Some(peer),
    )?;
    apply_settings(&session, &parameters)?;
    for setting in SETTINGS.iter().filter(|setting| setting.reported) {
        let value = session.setting(setting.name).unwrap_or_default();
        wire.push_status(reported_name(setting.name), &value);
    }
    let key = Bytes::copy_from_slice(session.cancel_key(parameters.long_cancel_key));
    let key = BackendKeyData::new(session.pid(), SecretKey::Bytes(key));
    wire.push(&Backend::BackendKeyData(key))?;
    Ok((session, place))
}

/// Lets in who has a certificate for the role, or knows its password.
async fn prove(shared: &Shared, wire: &mut Wire, user: &str, address: IpAddr) -> Result<()> {
    // Roles may have been made on another server.
    shared.catalog.refresh().await?;
    if shared.users.trusts() {
        return Ok(());
    }
    let name = wire.client_certificate().and_then(common_name);
    if name.is_some_and(|name| name == user && shared.users.exists(user)) {
        return Ok(());
    }
    let throttle = shared.users.throttle();
    throttle.admit(address).await?;
    let result = password::authenticate(shared, wire, user).await;
    // A client that only leaves has not guessed: psql does so to ask for the password.
    if result.as_ref().is_err_and(|error| !matches!(error, Error::Io(_))) {
        throttle.failed(address);
    }
    result
}

/// Takes one of the places for connections; the last ones are for the first role.
fn take_place(
    shared: &Shared,
    user: &str,
    places: &Arc<Semaphore>,
) -> Result<OwnedSemaphorePermit> {
    let n_max = shared.config.n_connections_max;
    let place = Arc::clone(places).try_acquire_owned();
    let place = place.map_err(|_| Error::TooManyConnections { n_max })?;
    let n_reserved = shared.config.n_connections_reserved.min(n_max.saturating_sub(1));
    if user != FIRST_ROLE && places.available_permits() < n_reserved {
        return Err(Error::ReservedConnections { n_reserved });
    }
    Ok(place)
}

fn apply_settings(session: &Session, parameters: &Parameters) -> Result<()> {
    for (name, value) in &parameters.settings()? {
        let fixed = SETTINGS.iter().any(|setting| setting.name == name && !setting.writable);
        if fixed {
            return Err(PlannerError::ReadOnlySetting { name: name.clone() }.into());
        }
        session.set_initial(name, value)?;
    }
    Ok(())
}
