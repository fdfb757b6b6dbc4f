//! The life of the process: listeners, background work, ordered stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tarn_catalog::discovery::make_private_folder;
use tarn_catalog::log::{self, SecretKey};
use tarn_catalog::memory::RowsBudget;
use tarn_catalog::object_store::ObjectStores;
use tarn_catalog::{Catalog, CatalogError};
use tarn_exec::{Engine, EngineOptions, ExecError};
use tarn_planner::parser::ParseLimits;
use tarn_planner::session_state::SessionStateFactory;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::auth::UserStore;
use crate::config::ServerConfig;
use crate::tls::Identity;
use crate::{Shared, flight, http, pg, system_tables, telemetry, tls};

/// The name of the one database.
pub const DATABASE: &str = "tarn";

/// How long running statements may go on after the server was told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long files are waited for that statements leave behind which were cut off.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections that may wait until they are taken, of each frontend.
const N_WAITING_CONNECTIONS_MAX: u32 = 1024;

/// How often storage is searched for tables that came and went.
const RESCAN_INTERVAL: Duration = Duration::from_secs(5);

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is taken, or the address is not of this machine.
    #[error(
        "cannot listen on {address}: {source}\nUse --{flag} ADDRESS:PORT to choose another, or --{flag} off"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}: {source}\nUse --data-dir FOLDER to choose another", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The certificate cannot be used.
    #[error("cannot use the files of --tls-cert, --tls-key and --tls-client-ca: {0}")]
    Tls(std::io::Error),
    /// A path cannot be served.
    #[error("{0}")]
    Catalog(#[from] CatalogError),
    /// The engine cannot start.
    #[error("{0}")]
    Engine(#[from] ExecError),
    /// The demo's data could not be written.
    #[error("cannot write the demo's tables: {0}")]
    Demo(String),
}

/// A running server.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    pg: Option<SocketAddr>,
    flight: Option<SocketAddr>,
    http: Option<SocketAddr>,
    stop: CancellationToken,
    parts: Vec<(&'static str, JoinHandle<()>)>,
    broken: Vec<(String, CatalogError)>,
}

impl Handle {
    /// Where the Postgres wire listens.
    #[must_use]
    pub fn pg_addr(&self) -> Option<SocketAddr> {
        self.pg
    }

    /// Where Flight SQL listens.
    #[must_use]
    pub fn flight_addr(&self) -> Option<SocketAddr> {
        self.flight
    }

    /// Where the HTTP page is.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http
    }

    /// What the sessions share.
    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Tables that were found and could not be opened.
    #[must_use]
    pub fn broken(&self) -> &[(String, CatalogError)] {
        &self.broken
    }

    /// Stops in order: no new connections, running statements get a moment, then everything ends.
    ///
    /// Returns the names of parts that had not ended by themselves in time.
    pub async fn shutdown(self) -> Vec<&'static str> {
        self.stop.cancel();
        let n_running = self.shared.running.len();
        if n_running > 0 {
            tracing::info!(n_running, "waiting for running queries");
        }
        let deadline = tokio::time::Instant::now() + DRAIN_TIMEOUT;
        let mut pending = Vec::new();
        for (name, mut part) in self.parts {
            if tokio::time::timeout_at(deadline, &mut part).await.is_err() {
                for session in self.shared.sessions.list() {
                    session.terminate();
                }
                // Cancelled statements end at once; what still does not is named and cut off.
                if tokio::time::timeout(Duration::from_secs(1), &mut part).await.is_err() {
                    pending.push(name);
                    part.abort();
                }
            }
        }
        self.shared.close_databases().await;
        self.shared.engine.stop();
        // Statements that were cut off have let go what they had written only now.
        let finished = tarn_catalog::delta::finish_upkeep();
        if tokio::time::timeout(CLEAN_UP_TIMEOUT, finished).await.is_err() {
            pending.push("removal of unneeded files");
        }
        pending
    }
}

/// Starts a server.
///
/// # Errors
/// Ports that are taken, folders and certificates that cannot be used, paths that do not exist.
/// A single broken table is no error: see [`Handle::broken`].
pub async fn start(config: ServerConfig) -> Result<Handle, StartError> {
    tls::install_provider();
    telemetry::metrics();
    let data_dir = |source| StartError::DataDir { path: config.data_dir.clone(), source };
    make_private_folder(&config.data_dir).map_err(data_dir)?;
    let identity = config.tls.as_ref().map(Identity::load).transpose().map_err(StartError::Tls)?;
    let acceptor =
        identity.as_ref().map(Identity::acceptor).transpose().map_err(StartError::Tls)?;
    // All ports first: a busy one must be known before anything is searched or written. Clients are
    // refused until there is something to answer them.
    let pg_port = Port::take(config.pg, "pg")?;
    let flight_port = Port::take(config.flight, "flight")?;
    let http_port = Port::take(config.http, "http")?;
    let (shared, broken) = build_shared(config, identity.as_ref()).await?;
    let (pg_listener, pg) = pg_port.map(Port::listen).transpose()?.unzip();
    let (flight_listener, flight) = flight_port.map(Port::listen).transpose()?.unzip();
    let (http_listener, http) = http_port.map(Port::listen).transpose()?.unzip();
    let stop = CancellationToken::new();
    let mut parts: Vec<(&'static str, JoinHandle<()>)> = Vec::new();
    if let Some(listener) = pg_listener {
        let serving = pg::serve(Arc::clone(&shared), listener, acceptor, stop.clone());
        parts.push(("postgres connections", tokio::spawn(serving)));
    }
    if let Some(listener) = flight_listener {
        let tls = identity.as_ref().map(|identity| {
            let identity =
                tonic::transport::Identity::from_pem(&identity.certificate_pem, &identity.key_pem);
            tonic::transport::ServerTlsConfig::new().identity(identity)
        });
        let serving = flight::serve(Arc::clone(&shared), listener, tls, stop.clone());
        parts.push((
            "flight sql connections",
            tokio::spawn(async move {
                if let Err(error) = serving.await {
                    tracing::error!(%error, "flight sql stopped");
                }
            }),
        ));
    }
    if let Some(listener) = http_listener {
        let serving = http::serve(Arc::clone(&shared), listener, stop.clone());
        parts.push(("http connections", tokio::spawn(serving)));
    }
    let removing = crate::garbage::serve(Arc::clone(&shared), stop.clone());
    parts.push(("removal of files", tokio::spawn(removing)));
    let upkeep = stop.clone();
    let upkeep = async move {
        upkeep.cancelled().await;
        tarn_catalog::delta::finish_upkeep().await;
    };
    parts.push(("checkpoints", tokio::spawn(upkeep)));
    parts.push((
        "catalog checkpoints",
        tokio::spawn(checkpoints(Arc::clone(&shared), stop.clone())),
    ));
    parts.push(("table search", tokio::spawn(rescan(Arc::clone(&shared), stop.clone()))));
    Ok(Handle { shared, pg, flight, http, stop, parts, broken })
}

async fn build_shared(
    config: ServerConfig,
    identity: Option<&Identity>,
) -> Result<(Arc<Shared>, Vec<(String, CatalogError)>), StartError> {
    let stores = ObjectStores::new(config.store_limits);
    let catalog = open_catalog(&config, &stores).await?;
    let users = UserStore::open(&config, &catalog).await?;
    for schema in system_tables::schemas() {
        catalog.add_system_schema(schema);
    }
    let broken = catalog.rescan().await?;
    for (place, error) in &broken {
        let detail = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        tracing::warn!(%place, %error, %detail, "skipping a table that cannot be opened");
    }
    let engine = Engine::start(EngineOptions {
        n_threads: config.n_threads,
        memory_bytes_max: config.memory_bytes_max,
        spill_bytes_max: config.spill_bytes_max,
        spill_dir: config.data_dir.join("spill"),
        n_running_max: config.n_queries_max,
        n_waiting_max: config.n_waiting_max,
        object_stores: Arc::new(stores),
    })?;
    let factory = SessionStateFactory::new(Arc::clone(engine.runtime_env()), vec![])
        .with_functions(&config.functions);
    let shared = Shared {
        rows_budget: RowsBudget::new(config.memory_tables_total_bytes_max),
        lookups: crate::Lookups::new(config.lookup_cache_bytes_max),
        config: Arc::new(config),
        catalog,
        engine,
        factory,
        sessions: Arc::default(),
        plans: crate::PlanCache::default(),
        similar: crate::query::Similar::default(),
        running: Arc::default(),
        garbage: Arc::default(),
        users: Arc::new(users),
        databases: Arc::default(),
        limits: ParseLimits::default(),
        started_at: Utc::now(),
        certificate_pem: identity.map(|identity| identity.certificate_pem.clone()),
    };
    Ok((Arc::new(shared), broken))
}

/// Reads the catalog's log: the folder `catalog` in the data directory unless another is given.
pub(crate) async fn open_catalog(
    config: &ServerConfig,
    stores: &ObjectStores,
) -> Result<Arc<Catalog>, CatalogError> {
    let key = match &config.secret_key {
        Some(text) => SecretKey::parse(&text.0)?,
        None => SecretKey::open(&config.data_dir)?,
    };
    let log = match &config.catalog {
        Some(url) => log::open(stores, url).await?,
        None => log::open_folder(&config.data_dir.join("catalog"))?,
    };
    Catalog::open(DATABASE, stores.clone(), config.paths.clone(), log, Some(key)).await
}

/// A port that is taken, on which nothing listens yet.
pub(crate) struct Port {
    socket: TcpSocket,
    address: SocketAddr,
    flag: &'static str,
}

impl Port {
    /// Takes the port that the flag names, if there is one.
    pub(crate) fn take(
        address: Option<SocketAddr>,
        flag: &'static str,
    ) -> Result<Option<Self>, StartError> {
        let Some(address) = address else { return Ok(None) };
        let bind = || {
            let socket =
                if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // Connections that linger from an earlier server are no reason to wait; a server that
            // still listens is an error. Elsewhere the option would share the port.
            #[cfg(unix)]
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(socket)
        };
        let socket = bind().map_err(|source| StartError::Listen { address, flag, source })?;
        Ok(Some(Self { socket, address, flag }))
    }

    /// Lets clients in; returns where, too.
    fn listen(self) -> Result<(TcpListener, SocketAddr), StartError> {
        let Self { socket, address, flag } = self;
        let listen = || {
            let listener = socket.listen(N_WAITING_CONNECTIONS_MAX)?;
            let bound = listener.local_addr()?;
            Ok((listener, bound))
        };
        listen().map_err(|source| StartError::Listen { address, flag, source })
    }
}

/// Completes what a server that has died has decided, then writes checkpoints of the catalog's log,
/// so that the next start is quick.
async fn checkpoints(shared: Arc<Shared>, stop: CancellationToken) {
    let work = async {
        shared.catalog.complete_all().await;
        shared.catalog.keep_checkpoints().await;
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Looks for new tables from time to time, so that metadata queries see them.
async fn rescan(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RESCAN_INTERVAL) => {}
        }
        if let Err(error) = shared.catalog.rescan().await {
            tracing::warn!(%error, "could not search for tables");
        }
    }
}
