//! Accepts connections and limits their number.

use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::startup::{self, Started};
use crate::Shared;

/// Sockets beyond those with sessions: clients that connect, cancel requests, refusals.
const N_STARTING_MAX: usize = 256;

/// A client whose machine is gone without a word is noticed after two minutes.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

/// Serves the Postgres wire until `stop` is cancelled; returns when all connections are closed.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: Option<tokio_rustls::TlsAcceptor>,
    stop: CancellationToken,
) {
    let n_max = shared.config.n_connections_max;
    let places = Arc::new(Semaphore::new(n_max.min(Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most often: give running connections time to close.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if connections.len() >= n_max.saturating_add(N_STARTING_MAX) {
            // Nobody can tell all of a flood why; the next attempt may be luckier.
            metrics::counter!("tarn_pg_connections_dropped_total").increment(1);
            continue;
        }
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        connections.spawn(serve_one(shared, stream, tls, Arc::clone(&places), stop.clone()));
    }
    connections.close();
    connections.wait().await;
}

async fn serve_one(
    shared: Arc<Shared>,
    stream: TcpStream,
    tls: Option<tokio_rustls::TlsAcceptor>,
    places: Arc<Semaphore>,
    stop: CancellationToken,
) {
    let peer = stream.peer_addr().ok();
    if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE) {
        tracing::debug!(%error, ?peer, "no keepalive");
    }
    metrics::counter!("tarn_pg_connections_total").increment(1);
    // Boxed: what a startup needs is not kept for the life of the connection.
    let starting = Box::pin(startup::start(&shared, stream, tls, &places));
    let started = tokio::select! {
        started = starting => started,
        () = stop.cancelled() => return,
    };
    let (wire, session, place) = match started {
        Ok(Started::Session(wire, session, place)) => (wire, session, place),
        // A cancel request, or a client that was told why it cannot connect.
        Ok(Started::Done) => return,
        Err(error) => {
            tracing::debug!(%error, ?peer, "connection ended during startup");
            return;
        }
    };
    let pid = session.pid();
    let mut connection = Connection::new(wire, session);
    if let Err(error) = connection.run(&stop).await {
        tracing::debug!(%error, ?peer, pid, "connection ended");
    }
    // The session is gone before its place is free.
    drop(connection);
    drop(place);
}
