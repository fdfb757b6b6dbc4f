//! A tarn in this process, over small Delta tables in a temporary folder.

use anyhow::{Context, Result, bail};
use tarn_server::{Handle, ServerConfig};
use tempfile::TempDir;

use crate::flight::FlightAddress;
use crate::in_process::InProcessServer;
use crate::target::{Engine, Target};

/// TPC-H scale of the tables that the files read.
const SCALE: f64 = 0.01;

/// A running server; its folder goes when it is dropped.
#[derive(Debug)]
pub struct LocalServer {
    handle: Handle,
    folder: TempDir,
}

impl LocalServer {
    /// Writes the tables and starts a server on free ports.
    pub async fn start() -> Result<Self> {
        let folder = TempDir::new().context("cannot make a temporary folder")?;
        let tables = tarn_server::demo::write(folder.path(), SCALE)
            .await
            .context("cannot write the demo tables")?;
        let tables = tables.display().to_string();
        let config = ServerConfig::for_tests(folder.path(), vec![tables]);
        let handle = tarn_server::start(config).await.context("cannot start the server")?;
        Ok(LocalServer { handle, folder })
    }

    /// The way to this server for an engine.
    pub fn target(&self, engine: Engine, extended: bool) -> Result<Target> {
        Ok(match engine {
            Engine::Postgres => bail!("a server in this process is no PostgreSQL"),
            Engine::Pg => {
                let address = self.handle.pg_addr().context("the server has no PostgreSQL port")?;
                let url = format!("postgresql://tarn@{address}/tarn");
                Target::from_url(engine, &url, extended)?
            }
            Engine::Flight => {
                let address = self.handle.flight_addr().context("the server has no Flight port")?;
                Target::Flight(Box::new(FlightAddress::new(&format!("http://{address}"))?))
            }
            Engine::InProcess => Target::InProcess(InProcessServer::new(self.handle.shared())),
        })
    }

    /// Stops the server and removes its folder.
    pub async fn shutdown(self) {
        self.handle.shutdown().await;
        drop(self.folder);
    }
}
