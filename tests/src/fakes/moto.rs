//! S3 by the package `moto`.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::http::{Request, forward};
use crate::harness::{Child, free_addrs, lake_python, wait_for_port};

/// A server of moto's that ends when dropped.
#[derive(Debug)]
pub struct Moto {
    addr: SocketAddr,
    _child: Child,
}

impl Moto {
    /// Starts a server with these buckets; none where the package is not installed.
    pub async fn start(buckets: &[&str]) -> Result<Option<Self>> {
        let Some(python) = lake_python() else { return Ok(None) };
        let [addr] = free_addrs()?;
        let child = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p"])
            .arg(addr.port().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting moto")?;
        let mut child = Child::of(child);
        tokio::task::block_in_place(|| wait_for_port(addr, &mut child, Duration::from_secs(60)))?;
        let moto = Self { addr, _child: child };
        for bucket in buckets {
            moto.create_bucket(bucket).await?;
        }
        Ok(Some(moto))
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Makes a bucket.
    pub async fn create_bucket(&self, name: &str) -> Result<()> {
        let request = Request {
            method: "PUT".to_owned(),
            target: format!("/{name}"),
            headers: vec![
                ("host".to_owned(), self.addr.to_string()),
                ("content-length".to_owned(), "0".to_owned()),
            ],
            body: Vec::new(),
        };
        let answer = forward(self.addr, &request).await?;
        let answer = String::from_utf8_lossy(&answer);
        ensure!(answer.lines().next().is_some_and(|line| line.contains(" 200 ")), "{answer}");
        Ok(())
    }

    /// The options of a storage that uses it, or a proxy in front of it.
    pub fn options(addr: SocketAddr) -> Vec<(String, String)> {
        [
            ("endpoint", format!("http://{addr}")),
            ("allow_http", "true".to_owned()),
            ("access_key_id", "tests".to_owned()),
            ("secret_access_key", "tests".to_owned()),
            ("region", "us-east-1".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec()
    }
}
