//! tarn inside the test process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tarn_server::{Handle, ServerConfig, Shared};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// A running server with its own temporary data directory, on ports that the system chose.
#[derive(Debug)]
pub struct Server {
    handle: Handle,
    data_dir: TempDir,
}

impl Server {
    /// Starts a server that serves the tables below `paths`.
    pub async fn start(paths: &[PathBuf]) -> Result<Self> {
        Self::start_with(paths, |_| {}).await
    }

    /// Starts a server after `change` has adjusted its settings.
    pub async fn start_with(
        paths: &[PathBuf],
        change: impl FnOnce(&mut ServerConfig),
    ) -> Result<Self> {
        let data_dir = tempfile::tempdir().context("making a data directory")?;
        let paths = paths.iter().map(|p| p.display().to_string()).collect();
        let mut config = ServerConfig::for_tests(data_dir.path(), paths);
        change(&mut config);
        let handle = tarn_server::start(config).await.context("starting tarn")?;
        Ok(Self { handle, data_dir })
    }

    /// Returns where the Postgres frontend listens.
    pub fn pg_addr(&self) -> Result<SocketAddr> {
        self.handle.pg_addr().context("no Postgres listener")
    }

    /// Returns where the Flight SQL frontend listens.
    pub fn flight_addr(&self) -> Result<SocketAddr> {
        self.handle.flight_addr().context("no Flight listener")
    }

    /// Returns where the HTTP frontend listens.
    pub fn http_addr(&self) -> Result<SocketAddr> {
        self.handle.http_addr().context("no HTTP listener")
    }

    /// Returns the server's data directory, which is removed with the server.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// Opens a Postgres connection as the user and on the database `tarn`.
    pub async fn connect(&self) -> Result<Client> {
        connect_pg(self.pg_addr()?).await
    }

    /// Opens a Postgres connection as the user `tarn` on another database.
    pub async fn connect_to(&self, database: &str) -> Result<Client> {
        let addr = self.pg_addr()?;
        let (host, port) = (addr.ip(), addr.port());
        connect_pg_url(&format!("host={host} port={port} user=tarn dbname={database}")).await
    }

    /// Returns what the server's sessions share: running queries, memory, the catalog.
    pub fn shared(&self) -> Arc<Shared> {
        self.handle.shared()
    }

    /// Returns the tables that were found at start and could not be opened, with the reason.
    pub fn broken(&self) -> Vec<(String, String)> {
        let broken = self.handle.broken().iter();
        broken.map(|(place, error)| (place.clone(), error.to_string())).collect()
    }

    /// Stops the server and returns the names of parts that did not end by themselves.
    pub async fn shutdown(self) -> Vec<&'static str> {
        self.handle.shutdown().await
    }

    /// Waits until no query runs and all reserved memory is free.
    pub async fn until_quiet(&self, limit: Duration) -> Result<()> {
        let shared = self.shared();
        let quiet = || shared.running.is_empty() && shared.engine.memory_pool().reserved() == 0;
        let waited = wait_until(limit, async || Ok(quiet())).await;
        waited.with_context(|| {
            let reserved = shared.engine.memory_pool().reserved();
            format!("{} queries run, {reserved} bytes are reserved", shared.running.len())
        })
    }

    /// Stops the server and waits for it.
    pub async fn stop(self) {
        self.handle.shutdown().await;
    }
}

/// Opens a connection to `addr` as `tarn`, database `tarn`, without TLS.
///
/// The task that drives the connection ends when the client is dropped.
pub async fn connect_pg(addr: SocketAddr) -> Result<Client> {
    connect_pg_url(&format!("host={} port={} user=tarn dbname=tarn", addr.ip(), addr.port())).await
}

/// Opens a connection from a connection string in either of libpq's forms.
pub async fn connect_pg_url(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .with_context(|| format!("connecting to {url}"))?;
    tokio::spawn(connection);
    Ok(client)
}

/// Waits until a condition holds; asks it every few milliseconds.
pub async fn wait_until(
    limit: Duration,
    mut holds: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let deadline = tokio::time::Instant::now() + limit;
    let mut polls = tokio::time::interval(Duration::from_millis(10));
    polls.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !holds().await? {
        ensure!(tokio::time::Instant::now() < deadline, "still not so after {limit:?}");
        polls.tick().await;
    }
    Ok(())
}
