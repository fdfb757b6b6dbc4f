//! The log in a PostgreSQL database: one table for records, one for checkpoints.
//!
//! One connection is kept and opened again when it breaks; a statement whose answer was lost is
//! settled by reading the record back.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio_postgres::{Client, Config, Error as PgError};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::driver::{Appended, CatalogLog, Inventory, Numbered, RECORDS_PER_READ_MAX};
use crate::{CatalogError, Result, postgres_tls};

/// How often a statement is sent again over a new connection.
const N_TRIES: usize = 3;

/// Checkpoints kept beside the newest, for a server that is just reading one.
const CHECKPOINTS_KEPT: i64 = 2;

const SETUP: &str = "
CREATE TABLE IF NOT EXISTS tarn_catalog_log (version bigint PRIMARY KEY, payload bytea NOT NULL);
CREATE TABLE IF NOT EXISTS tarn_catalog_checkpoint (version bigint PRIMARY KEY, payload bytea NOT NULL)";

/// A log in two tables of a PostgreSQL database.
pub struct PostgresLog {
    config: Config,
    tls: MakeRustlsConnect,
    place: Arc<str>,
    client: Mutex<Option<Arc<Client>>>,
}

impl std::fmt::Debug for PostgresLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The configuration holds a password.
        f.debug_struct("PostgresLog").field("place", &self.place).finish_non_exhaustive()
    }
}

impl PostgresLog {
    /// Connects and makes the tables, where they are not there yet.
    ///
    /// # Errors
    /// `InvalidLocation` for a URL that cannot be used, `CatalogLog` when the database refuses.
    pub async fn open(url: &str) -> Result<Self> {
        let log = Self::connect(url)?;
        let client = log.client().await?;
        // Two servers that start at once may both try to make the tables; one of them fails.
        if let Err(first) = client.batch_execute(SETUP).await {
            let second = client.batch_execute(SETUP).await;
            second.map_err(|_| log.failed("make its tables", first))?;
        }
        Ok(log)
    }

    /// A log whose tables are there; the connection is made when it is needed.
    ///
    /// # Errors
    /// `InvalidLocation` for a URL that cannot be used.
    pub fn connect(url: &str) -> Result<Self> {
        let (url, trust) = postgres_tls::take_options(url).map_err(unusable)?;
        let mut config: Config = url.parse().map_err(|error: PgError| invalid(&error))?;
        let tls = postgres_tls::connector(&trust).map_err(unusable)?;
        if config.get_application_name().is_none() {
            config.application_name("tarn catalog");
        }
        let place: Arc<str> = place_of(&config).into();
        Ok(Self { config, tls, place, client: Mutex::new(None) })
    }

    fn failed(&self, what: &str, source: PgError) -> CatalogError {
        CatalogError::CatalogLog {
            place: self.place.to_string(),
            what: what.to_owned(),
            source: Some(Box::new(source)),
        }
    }

    async fn client(&self) -> Result<Arc<Client>> {
        let mut client = self.client.lock().await;
        if let Some(client) = client.as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        let connected = self.config.connect(self.tls.clone()).await;
        let (new, connection) = connected.map_err(|error| self.failed("connect", error))?;
        // Ends when the client is dropped or the server goes away.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the catalog's connection ended");
            }
        });
        let new = Arc::new(new);
        *client = Some(Arc::clone(&new));
        Ok(new)
    }

    /// Reads, over a new connection where the old one is gone.
    async fn read(&self, sql: &str, from: i64) -> Result<Vec<Numbered>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let client = self.client().await?;
            match client.query(sql, &[&from]).await {
                Ok(rows) => return rows.iter().map(|row| self.numbered(row)).collect(),
                Err(error) if error.is_closed() && tries < N_TRIES => {}
                Err(error) => return Err(self.failed("read", error)),
            }
        }
    }

    fn numbered(&self, row: &tokio_postgres::Row) -> Result<Numbered> {
        let read = |error| self.failed("read", error);
        let version: i64 = row.try_get(0).map_err(read)?;
        let payload: Vec<u8> = row.try_get(1).map_err(read)?;
        let version = u64::try_from(version).map_err(|_| CatalogError::CatalogDamaged {
            place: self.place.to_string(),
            version: 0,
            what: format!("a record has the number {version}"),
        })?;
        Ok(Numbered { version, bytes: payload.into() })
    }

    async fn insert(&self, version: i64, bytes: &Bytes) -> Result<u64, PgError> {
        let Ok(client) = self.client().await else {
            // The next look finds out why.
            return Ok(0);
        };
        let sql = "INSERT INTO tarn_catalog_log VALUES ($1, $2) ON CONFLICT DO NOTHING";
        client.execute(sql, &[&version, &bytes.as_ref()]).await
    }

    async fn append_inner(&self, version: u64, bytes: &Bytes) -> Result<Appended> {
        let number = number(version)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let inserted = self.insert(number, bytes).await;
            if matches!(inserted, Ok(1)) {
                return Ok(Appended::Done);
            }
            let sql = "SELECT version, payload FROM tarn_catalog_log WHERE version = $1";
            if let Some(found) = self.read(sql, number).await?.first() {
                let own = found.bytes == *bytes;
                return Ok(if own { Appended::Done } else { Appended::Conflict });
            }
            match inserted {
                Err(error) if tries >= N_TRIES || !error.is_closed() => {
                    return Err(self.failed("add a record", error));
                }
                _ if tries >= N_TRIES => {
                    return Err(CatalogError::CatalogLog {
                        place: self.place.to_string(),
                        what: "add a record".to_owned(),
                        source: None,
                    });
                }
                _ => {}
            }
        }
    }
}

impl CatalogLog for PostgresLog {
    fn place(&self) -> &str {
        &self.place
    }

    fn tail(&self, from: u64) -> BoxFuture<'_, Result<Vec<Numbered>>> {
        async move {
            let sql = format!(
                "SELECT version, payload FROM tarn_catalog_log WHERE version >= $1 \
                 ORDER BY version LIMIT {RECORDS_PER_READ_MAX}"
            );
            let mut records = self.read(&sql, number(from)?).await?;
            // Numbers are handed out without gaps; what comes after one is not ours to judge here.
            let run = records.iter().zip(from..).take_while(|(r, n)| r.version == *n).count();
            records.truncate(run);
            Ok(records)
        }
        .boxed()
    }

    fn inventory(&self) -> BoxFuture<'_, Result<Inventory>> {
        async move {
            let numbers = async |table: &str| {
                let sql = format!("SELECT version, ''::bytea FROM {table} WHERE version >= $1");
                let found = self.read(&sql, i64::MIN).await?;
                Ok::<_, CatalogError>(found.into_iter().map(|row| row.version).collect())
            };
            let records = numbers("tarn_catalog_log").await?;
            let checkpoints = numbers("tarn_catalog_checkpoint").await?;
            Ok(Inventory { records, checkpoints, pointer: None })
        }
        .boxed()
    }

    fn append(&self, version: u64, bytes: Bytes) -> BoxFuture<'_, Result<Appended>> {
        async move { self.append_inner(version, &bytes).await }.boxed()
    }

    fn checkpoint(&self, version: u64, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        async move {
            let failed = |error| self.failed("write a checkpoint", error);
            let client = self.client().await?;
            let put = "INSERT INTO tarn_catalog_checkpoint VALUES ($1, $2) ON CONFLICT DO NOTHING";
            client.execute(put, &[&number(version)?, &bytes.as_ref()]).await.map_err(failed)?;
            let trim = "DELETE FROM tarn_catalog_checkpoint WHERE version < \
                        (SELECT min(version) FROM (SELECT version FROM tarn_catalog_checkpoint \
                         ORDER BY version DESC LIMIT $1) AS kept)";
            client.execute(trim, &[&CHECKPOINTS_KEPT]).await.map_err(failed)?;
            Ok(())
        }
        .boxed()
    }

    fn latest_checkpoint(&self) -> BoxFuture<'_, Result<Option<Numbered>>> {
        async move {
            let sql = "SELECT version, payload FROM tarn_catalog_checkpoint WHERE version >= $1 \
                       ORDER BY version DESC LIMIT 1";
            Ok(self.read(sql, 0).await?.pop())
        }
        .boxed()
    }
}

fn number(version: u64) -> Result<i64> {
    i64::try_from(version)
        .map_err(|_| CatalogError::Internal { what: format!("catalog version {version}") })
}

/// Host, port and database: what may be shown.
fn place_of(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(tokio_postgres::config::Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(tokio_postgres::config::Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().unwrap_or("postgres");
    format!("postgres://{host}:{port}/{database}")
}

fn invalid(error: &PgError) -> CatalogError {
    let source = std::error::Error::source(error);
    unusable(source.map_or_else(|| error.to_string(), ToString::to_string))
}

/// The URL itself may hold a password.
fn unusable(reason: String) -> CatalogError {
    CatalogError::InvalidLocation { url: "the catalog's PostgreSQL URL".to_owned(), reason }
}
