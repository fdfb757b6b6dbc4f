//! The gRPC server: sockets in, calls out.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Server, ServerTlsConfig};

use super::MESSAGE_BYTES_MAX;
use super::connection::{Connection, Socket};
use super::frontend::Frontend;
use super::service::Service;
use crate::Shared;

/// Calls of one connection that run at a time; HTTP/2 holds back the rest.
const CALLS_PER_CONNECTION_MAX: u32 = 256;

/// What a client may send before it has to wait: enough for a batch of parameters.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// A client that does not answer a ping is gone, and its statements end.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long running statements may go on after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(4);

/// After this the listener returns even if a connection does not close.
const DRAIN_MAX: Duration = Duration::from_millis(5_500);

/// How long to wait after accepting has failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client may take for its TLS handshake.
const TLS_HANDSHAKE_MAX: Duration = Duration::from_secs(10);

const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// Serves Flight SQL until it is told to stop.
///
/// Then no more connections are taken, running statements have four seconds to end, and the rest
/// is cancelled.
///
/// # Errors
/// A certificate that cannot be used, or a failure of the listener.
pub async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: Option<ServerTlsConfig>,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let cancel = CancellationToken::new();
    let frontend = Frontend::new(shared, cancel.clone());
    let _cancelled_at_the_end = cancel.clone().drop_guard();
    let service = FlightServiceServer::new(Service::new(Arc::clone(&frontend)))
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let mut server = Server::builder()
        .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT));
    if let Some(tls) = tls {
        server = server.tls_config(tls.timeout(TLS_HANDSHAKE_MAX))?;
    }
    let serving = server.add_service(service).serve_with_incoming_shutdown(
        sockets(Arc::clone(&frontend), listener),
        stop.clone().cancelled_owned(),
    );
    let draining = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
        cancel.cancel();
        tokio::time::sleep(DRAIN_MAX.saturating_sub(DRAIN)).await;
    };
    tokio::select! {
        result = serving => result,
        () = draining => {
            tracing::warn!("Flight SQL connections were still open at the end");
            Ok(())
        }
        () = sweep(&frontend) => Ok(()),
    }
}

/// Forgets, for as long as it is polled, what clients left behind.
async fn sweep(frontend: &Frontend) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        frontend.sweep();
    }
}

/// Accepts connections; those beyond the limit are closed at once.
///
/// Never fails: tonic 0.14 ends the whole server when accepting fails, even if all that is wrong
/// is that there are no file descriptors at the moment.
fn sockets(
    frontend: Arc<Frontend>,
    listener: TcpListener,
) -> impl Stream<Item = std::io::Result<Socket>> {
    let connections_max = frontend.shared().config.n_connections_max;
    let permits = Arc::new(Semaphore::new(connections_max));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let incoming = incoming.with_keepalive(Some(PING_INTERVAL));
    incoming
        .filter_map(move |stream| {
            let (permits, frontend) = (Arc::clone(&permits), Arc::clone(&frontend));
            async move {
                let stream = match stream {
                    Ok(stream) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "could not accept a Flight SQL connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        return None;
                    }
                };
                let peer = stream.peer_addr().ok()?;
                let Ok(permit) = permits.try_acquire_owned() else {
                    tracing::info!(%peer, connections_max, "too many Flight SQL connections");
                    return None;
                };
                Some(Ok(Socket::new(stream, Connection::new(&frontend, peer, permit))))
            }
        })
        .boxed()
}
