//! The first messages of a connection: encryption, parameters, password.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use pgwire::api::auth::sasl::scram::ScramServerAuth;
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus,
    PasswordMessageFamily, SecretKey,
};
use pgwire::messages::{PgWireBackendMessage as Backend, PgWireFrontendMessage as Frontend};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::connection::{error_message, reported_name};
use super::frame;
use super::wire::{Received, Stream, Wire};
use crate::Shared;
use crate::error::{Error, Result};
use crate::session::{Protocol, Session};

/// How long a client may take until it is connected.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest first packet, as in PostgreSQL.
const PACKET_BYTES_MAX: usize = 10_000;

/// Reads of at most 1 KiB each from a client that was refused, before its connection is closed.
const N_REFUSED_READS_MAX: usize = 64;

const SSL_REQUEST: i32 = 80_877_103;
const GSS_REQUEST: i32 = 80_877_104;
const CANCEL_REQUEST: i32 = 80_877_102;

/// The version number of protocol 3.0.
const PROTOCOL_3_0: i32 = 3 << 16;

/// The first byte of a TLS handshake, which no startup packet begins with.
const TLS_HANDSHAKE: u8 = 0x16;

/// How a startup ended.
pub(super) enum Started {
    /// With a session.
    Session(Wire, Arc<Session>),
    /// With an answer, after which the connection is closed.
    Done,
}

/// Brings a connection from its first byte to its session.
pub(super) async fn start(
    shared: &Arc<Shared>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    refusal: Option<Error>,
) -> Result<Started> {
    let started = tokio::time::timeout(STARTUP_TIMEOUT, start_inner(shared, stream, tls, refusal));
    match started.await {
        Ok(result) => result,
        Err(_) => {
            Err(Error::Protocol { message: "the client did not finish connecting".to_owned() })
        }
    }
}

async fn start_inner(
    shared: &Arc<Shared>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    refusal: Option<Error>,
) -> Result<Started> {
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    let Some((mut stream, packet, encrypted)) = negotiate(shared, stream, tls).await? else {
        return Ok(Started::Done);
    };
    let parsed = parse_startup(&packet);
    let mut wire_input = BytesMut::new();
    wire_input.reserve(512);
    let parameters = match (refusal, parsed) {
        (Some(error), _) | (None, Err(error)) => {
            return refuse(stream, &error).await;
        }
        (None, Ok(parameters)) => parameters,
    };
    if let Some(message) = &parameters.negotiate {
        let mut output = BytesMut::new();
        message.encode(&mut output).map_err(|error| Error::Internal { what: error.to_string() })?;
        stream.write_all(&output).await?;
    }
    let mut wire = Wire::new(stream, wire_input);
    match connect(shared, &mut wire, &parameters, peer, encrypted).await {
        Ok(session) => Ok(Started::Session(wire, session)),
        Err(error) => {
            wire.push(&error_message(&error, true))?;
            wire.flush().await?;
            Ok(Started::Done)
        }
    }
}

async fn refuse(mut stream: Box<dyn Stream>, error: &Error) -> Result<Started> {
    let mut output = BytesMut::new();
    let message = error_message(error, true);
    message.encode(&mut output).map_err(|error| Error::Internal { what: error.to_string() })?;
    stream.write_all(&output).await?;
    stream.shutdown().await?;
    // Closing a socket with unread bytes would discard the message on its way.
    let mut rest = [0_u8; 1024];
    for _ in 0..N_REFUSED_READS_MAX {
        if stream.read(&mut rest).await? == 0 {
            break;
        }
    }
    Ok(Started::Done)
}

/// Answers requests for encryption until the startup packet comes; serves cancel requests.
async fn negotiate(
    shared: &Arc<Shared>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
) -> Result<Option<(Box<dyn Stream>, Bytes, bool)>> {
    let mut first = [0_u8; 1];
    let direct = stream.peek(&mut first).await? == 1 && first == [TLS_HANDSHAKE];
    let mut encrypted = false;
    let mut stream: Box<dyn Stream> = match (&tls, direct) {
        (Some(acceptor), true) => {
            encrypted = true;
            Box::new(acceptor.accept(stream).await?)
        }
        (None, true) => return Ok(None),
        (_, false) => Box::new(stream),
    };
    // A client may ask for each kind of encryption once.
    for _ in 0..4 {
        let packet = match read_packet(&mut stream).await {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(None),
            Err(error @ Error::Protocol { .. }) => {
                refuse(stream, &error).await?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let code = packet.first_chunk::<4>().map_or(0, |code| i32::from_be_bytes(*code));
        match (code, &tls) {
            (SSL_REQUEST, Some(acceptor)) if !encrypted => {
                stream.write_all(b"S").await?;
                stream.flush().await?;
                encrypted = true;
                stream = Box::new(acceptor.accept(stream).await?);
            }
            (SSL_REQUEST | GSS_REQUEST, _) => {
                stream.write_all(b"N").await?;
                stream.flush().await?;
            }
            (CANCEL_REQUEST, _) => {
                cancel(shared, packet.slice(4..));
                return Ok(None);
            }
            _ => return Ok(Some((stream, packet, encrypted))),
        }
    }
    Ok(None)
}

fn cancel(shared: &Arc<Shared>, mut body: Bytes) {
    if body.len() == 8 {
        let pid = body.get_i32();
        shared.sessions.cancel(pid, body.get_i32());
    }
}

/// Reads a packet that has a length but no type; `None` where the client is gone.
async fn read_packet(stream: &mut Box<dyn Stream>) -> Result<Option<Bytes>> {
    let mut length = [0_u8; 4];
    if let Err(error) = stream.read_exact(&mut length).await {
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
    stream.read_exact(&mut body).await?;
    Ok(Some(body.into()))
}

/// What a startup packet asks for.
#[derive(Debug)]
struct Parameters {
    user: String,
    database: String,
    /// Settings by folded name.
    settings: BTreeMap<String, String>,
    /// The answer to a newer protocol or to options that we do not know.
    negotiate: Option<Backend>,
}

fn parse_startup(packet: &[u8]) -> Result<Parameters> {
    let protocol = |message: &str| Error::Protocol { message: message.to_owned() };
    let version = packet.first_chunk::<4>().map_or(0, |code| i32::from_be_bytes(*code));
    let (major, minor) = (version >> 16, version & 0xffff);
    if major != 3 {
        return Err(protocol("unsupported frontend protocol: server supports 3.0"));
    }
    let body = packet.get(4..).unwrap_or_default();
    let mut words = body.split(|byte| *byte == 0);
    let mut parameters = BTreeMap::new();
    while let Some(name) = words.next().filter(|name| !name.is_empty()) {
        let value = words.next().ok_or_else(|| protocol("invalid startup packet layout"))?;
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Error::Value {
                code: "22021",
                message: "invalid byte sequence for encoding \"UTF8\"".to_owned(),
            })
        };
        parameters.insert(text(name)?.to_lowercase(), text(value)?);
    }
    let user = parameters.remove("user").filter(|user| !user.is_empty()).ok_or_else(|| {
        Error::NotAuthorized {
            message: "no PostgreSQL user name specified in startup packet".to_owned(),
        }
    })?;
    let database = parameters.remove("database").filter(|name| !name.is_empty());
    if parameters
        .remove("replication")
        .is_some_and(|value| !matches!(value.as_str(), "false" | "off" | "0" | "no"))
    {
        return Err(crate::query::unsupported("the replication protocol"));
    }
    let unknown: Vec<String> =
        parameters.keys().filter(|name| name.starts_with("_pq_.")).cloned().collect();
    parameters.retain(|name, _| !name.starts_with("_pq_."));
    let negotiate = (minor > 0 || !unknown.is_empty()).then(|| {
        Backend::NegotiateProtocolVersion(NegotiateProtocolVersion::new(PROTOCOL_3_0, unknown))
    });
    let mut settings = BTreeMap::new();
    if let Some(options) = parameters.remove("options") {
        settings.extend(parse_options(&options)?);
    }
    settings.extend(parameters);
    let database = database.unwrap_or_else(|| user.clone());
    Ok(Parameters { user, database, settings, negotiate })
}

/// Reads `-c name=value` and `--name=value`, with backslashes before blanks in values.
fn parse_options(options: &str) -> Result<BTreeMap<String, String>> {
    let mut words = vec![String::new()];
    let mut chars = options.chars();
    while let Some(c) = chars.next() {
        match (c, words.last_mut()) {
            ('\\', Some(word)) => word.extend(chars.next()),
            (c, _) if c.is_whitespace() => words.push(String::new()),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    let mut settings = BTreeMap::new();
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("-c").or_else(|| word.strip_prefix("--")) {
            Some("") => words.next().unwrap_or_default(),
            Some(rest) => rest.to_owned(),
            None => {
                let message = format!("invalid command-line argument for server process: {word}");
                return Err(Error::Value { code: "42601", message });
            }
        };
        let (name, value) = setting.split_once('=').unwrap_or((&setting, ""));
        settings.insert(name.replace('-', "_").to_lowercase(), value.to_owned());
    }
    Ok(settings)
}

/// Checks the password, opens the session and greets the client.
async fn connect(
    shared: &Arc<Shared>,
    wire: &mut Wire,
    parameters: &Parameters,
    peer: SocketAddr,
    encrypted: bool,
) -> Result<Arc<Session>> {
    let config = &shared.config;
    let local = peer.ip().to_canonical().is_loopback();
    if config.tls.is_some() && !encrypted && !local && !config.insecure {
        let message = "connections from other machines need TLS (sslmode=require)".to_owned();
        return Err(Error::NotAuthorized { message });
    }
    if !shared.users.trusts() {
        authenticate(shared, wire, &parameters.user, encrypted).await?;
    }
    let session = Session::new(
        shared,
        &parameters.user,
        &parameters.database,
        Protocol::Postgres,
        Some(peer),
    )?;
    for (name, value) in &parameters.settings {
        session.set_initial(name, value)?;
    }
    wire.push(&Backend::Authentication(Authentication::Ok))?;
    for setting in tarn_planner::variables::SETTINGS.iter().filter(|setting| setting.reported) {
        let value = session.setting(setting.name).unwrap_or_default();
        let name = reported_name(setting.name).to_owned();
        wire.push(&Backend::ParameterStatus(ParameterStatus::new(name, value)))?;
    }
    let key = SecretKey::I32(session.secret());
    wire.push(&Backend::BackendKeyData(BackendKeyData::new(session.pid(), key)))?;
    Ok(session)
}

/// SCRAM-SHA-256, with channel binding to the certificate where the connection is encrypted.
async fn authenticate(
    shared: &Arc<Shared>,
    wire: &mut Wire,
    user: &str,
    encrypted: bool,
) -> Result<()> {
    let denied = || Error::InvalidPassword { user: user.to_owned() };
    let mut scram = ScramServerAuth::new();
    let mut mechanisms = vec!["SCRAM-SHA-256".to_owned()];
    if let (true, Some(certificate)) = (encrypted, &shared.certificate_pem)
        && scram.configure_certificate(certificate).is_ok()
    {
        mechanisms.insert(0, "SCRAM-SHA-256-PLUS".to_owned());
    }
    wire.push(&Backend::Authentication(Authentication::SASL(mechanisms.clone())))?;
    wire.flush().await?;
    let first = next_password(wire).await?;
    if let PasswordMessageFamily::Raw(body) = &first {
        frame::check_sasl_initial_response(body)?;
    }
    let first = first.into_sasl_initial_response().map_err(|_| denied())?;
    if !mechanisms.contains(&first.auth_method) {
        let message = "client selected an invalid SASL authentication mechanism".to_owned();
        return Err(Error::Protocol { message });
    }
    let data = first.data.unwrap_or_default();
    let secret = shared.users.verifier(user).secret();
    let (challenge, exchange) = scram
        .on_client_first_message_with_secret(&data, secret)
        .map_err(|error| Error::Protocol { message: error.to_string() })?;
    wire.push(&Backend::Authentication(Authentication::SASLContinue(Bytes::from(challenge))))?;
    wire.flush().await?;
    let last = next_password(wire).await?.into_sasl_response().map_err(|_| denied())?;
    let answer = exchange.on_client_final_message(&last.data).map_err(|_| denied())?;
    if !shared.users.exists(user) {
        return Err(denied());
    }
    wire.push(&Backend::Authentication(Authentication::SASLFinal(Bytes::from(answer))))
}

async fn next_password(wire: &mut Wire) -> Result<PasswordMessageFamily> {
    match wire.next().await? {
        Some(Received::Message(Frontend::PasswordMessageFamily(message))) => Ok(message),
        Some(_) => Err(Error::Protocol { message: "expected a password message".to_owned() }),
        None => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_options, parse_startup};

    fn packet(version: i32, words: &[&str]) -> Vec<u8> {
        let mut bytes = version.to_be_bytes().to_vec();
        for word in words {
            bytes.extend(word.as_bytes());
            bytes.push(0);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn parameters_are_read_in_any_letter_case() {
        let bytes =
            packet(3 << 16, &["user", "ann", "DateStyle", "ISO", "options", "-c a.b=1 --x-y=2"]);
        let parameters = parse_startup(&bytes).expect("is valid");
        assert_eq!(parameters.user, "ann");
        assert_eq!(parameters.database, "ann");
        let settings: Vec<_> =
            parameters.settings.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(settings, ["a.b=1", "datestyle=ISO", "x_y=2"]);
        assert!(parameters.negotiate.is_none());
    }

    #[test]
    fn odd_packets_are_errors_or_negotiated() {
        assert!(parse_startup(&packet(2 << 16, &["user", "ann"])).is_err());
        assert!(parse_startup(&packet(3 << 16, &[])).is_err());
        assert!(
            parse_startup(&packet(3 << 16, &["user", "a", "replication", "database"])).is_err()
        );
        assert!(parse_startup(b"").is_err());
        let newer = parse_startup(&packet((3 << 16) + 9, &["user", "a", "_pq_.x", "1"]));
        assert!(newer.expect("is valid").negotiate.is_some());
        assert!(parse_options("surprise").is_err());
    }
}
