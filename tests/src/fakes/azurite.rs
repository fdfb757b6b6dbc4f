//! Azure's blob storage by the package `azurite`.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::harness::{Child, clients_folder, free_addrs, program, repository_file, wait_for_port};

/// The account that every azurite has, and its published key.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A server of azurite's that ends when dropped.
#[derive(Debug)]
pub struct Azurite {
    addr: SocketAddr,
    _child: Child,
    _folder: tempfile::TempDir,
}

impl Azurite {
    /// Starts a server with one container; none where the package is not installed.
    pub fn start(container: &str) -> Result<Option<Self>> {
        let server = clients_folder().join("node/node_modules/azurite/dist/src/blob/main.js");
        let (true, Some(node)) = (server.exists(), program("node")) else { return Ok(None) };
        let [addr] = free_addrs()?;
        let folder = tempfile::tempdir()?;
        let child = Command::new(&node)
            .arg(server)
            .args(["--skipApiVersionCheck", "--silent", "--disableTelemetry"])
            .args(["--blobHost", "127.0.0.1", "--blobPort", &addr.port().to_string()])
            .arg("--location")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting azurite")?;
        let mut child = Child::of(child);
        wait_for_port(addr, &mut child, Duration::from_secs(60))?;
        let made = Command::new(node)
            .arg(repository_file("clients/node/azurite_container.js"))
            .args([&addr.to_string(), ACCOUNT, KEY, container])
            .output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Ok(Some(Self { addr, _child: child, _folder: folder }))
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The options of a storage that uses it, or a proxy in front of it.
    pub fn options(addr: SocketAddr) -> Vec<(String, String)> {
        [
            ("account_name", ACCOUNT.to_owned()),
            ("account_key", KEY.to_owned()),
            ("endpoint", format!("http://{addr}/{ACCOUNT}")),
            ("allow_http", "true".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec()
    }
}
