//! Accepts connections and limits their number.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::startup::{self, Started};
use crate::Shared;
use crate::error::Error;

/// Serves the Postgres wire until `stop` is cancelled; returns when all connections are closed.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: Option<tokio_rustls::TlsAcceptor>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(shared.config.n_connections_max));
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
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let place = Arc::clone(&places).try_acquire_owned().ok();
        let connection =
            serve_one(Arc::clone(&shared), stream, tls.clone(), place.is_some(), stop.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    connections.close();
    connections.wait().await;
}

async fn serve_one(
    shared: Arc<Shared>,
    stream: TcpStream,
    tls: Option<tokio_rustls::TlsAcceptor>,
    has_place: bool,
    stop: CancellationToken,
) {
    let peer = stream.peer_addr().ok();
    let n_max = shared.config.n_connections_max;
    let refusal = (!has_place).then_some(Error::TooManyConnections { n_max });
    metrics::counter!("tarn_pg_connections_total").increment(1);
    let started = match startup::start(&shared, stream, tls, refusal).await {
        Ok(Started::Session(wire, session)) => (wire, session),
        // A cancel request, or a client that was told why it cannot connect.
        Ok(Started::Done) => return,
        Err(error) => {
            tracing::debug!(%error, ?peer, "connection ended during startup");
            return;
        }
    };
    let (wire, session) = started;
    let pid = session.pid();
    let mut connection = Connection::new(wire, session);
    if let Err(error) = connection.run(&stop).await {
        tracing::debug!(%error, ?peer, pid, "connection ended");
    }
}
