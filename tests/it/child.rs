//! tarn as a process of its own, to be killed: this test binary, started again.
//!
//! A binary of its own would link the engine once more, and a `tarn` that lies about may be old.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tarn_server::ServerConfig;
use tarn_server::config::Values;
use tarn_tests::harness::{Child, connect_pg, free_addrs, wait_for_port};
use tokio_postgres::Client;

/// Its presence makes [`serves`] a server; a JSON object of paths and settings.
const SETTINGS: &str = "TARN_TESTS_CHILD";

/// The server that other tests start; by itself it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn serves() -> Result<()> {
    let Ok(text) = std::env::var(SETTINGS) else { return Ok(()) };
    let (paths, flags): (Vec<String>, BTreeMap<String, String>) = {
        let value: serde_json::Value = serde_json::from_str(&text)?;
        (
            serde_json::from_value(value["paths"].clone())?,
            serde_json::from_value(value["flags"].clone())?,
        )
    };
    let values = Values::gather(flags, None, |_| None)?;
    let config = ServerConfig::from_values(&values, paths, true, None)?;
    let handle = tarn_server::start(config).await?;
    for (place, error) in handle.broken() {
        println!("{place}: {error}");
    }
    // Until it is killed.
    std::future::pending::<()>().await;
    Ok(())
}

/// A server in a process of its own; killed when dropped.
#[derive(Debug)]
pub struct ChildServer {
    child: Child,
    addr: SocketAddr,
}

impl ChildServer {
    /// Starts a server and waits until it takes connections; its log goes to `data_dir`.
    pub fn start(
        paths: &[String],
        data_dir: &Path,
        flags: &[(&str, &str)],
        environment: &[(String, String)],
    ) -> Result<Self> {
        let [addr] = free_addrs()?;
        std::fs::create_dir_all(data_dir)?;
        let mut given: BTreeMap<&str, String> =
            flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        given.insert("data-dir", data_dir.display().to_string());
        given.insert("pg", addr.to_string());
        given.insert("flight", "off".to_owned());
        given.insert("http", "off".to_owned());
        let settings = serde_json::json!({"paths": paths, "flags": given});
        let log = std::fs::File::create(data_dir.join("child.log"))?;
        let child = Command::new(std::env::current_exe()?)
            .args(["--exact", "child::serves", "--nocapture"])
            .env(SETTINGS, settings.to_string())
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting a server")?;
        let mut child = Child::of(child);
        if let Err(error) = wait_for_port(addr, &mut child, Duration::from_secs(120)) {
            let log = std::fs::read_to_string(data_dir.join("child.log")).unwrap_or_default();
            bail!("{error}; its log:\n{log}");
        }
        Ok(Self { child, addr })
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<Client> {
        connect_pg(self.addr).await
    }

    /// Kills the process as `kill -9` does and waits for its end.
    pub fn kill(self) {
        drop(self.child);
    }
}
