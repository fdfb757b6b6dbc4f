//! A throw-away PostgreSQL server: the reference for latency and fetch rates.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::child::{Child, free_addrs, wait_for_port};

/// PostgreSQL with trust authentication on a port of its own, removed when dropped.
#[derive(Debug)]
pub struct PostgresProcess {
    // The server stops before its folder goes away.
    child: Child,
    _folder: tempfile::TempDir,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Version as the server prints it, `15.18` for example.
    pub version: String,
}

impl PostgresProcess {
    /// Starts a server when PostgreSQL is installed, else returns `None`.
    pub fn start() -> Result<Option<Self>> {
        Self::start_with(&[], &[])
    }

    /// The same with files of its own in the cluster's folder, and settings `name=value`.
    pub fn start_with(files: &[(&str, String)], settings: &[&str]) -> Result<Option<Self>> {
        let Some(folder_of_programs) = programs() else { return Ok(None) };
        let folder = tempfile::tempdir()?;
        // The parent is private to us, the server runs as another user.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))?;
        let account = account()?;
        let cluster = folder.path().join("cluster");
        let as_account = |program: &str| {
            let mut command = Command::new(folder_of_programs.join(program));
            if let Some((uid, gid)) = account {
                command.uid(uid).gid(gid);
            }
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.current_dir(folder.path()).env("LC_ALL", "C.UTF-8");
            command
        };
        let initialised = as_account("initdb")
            .args(["-A", "trust", "-U", "tarn", "-N", "-E", "UTF8", "-D"])
            .arg(&cluster)
            .status()?;
        ensure!(initialised.success(), "initdb failed");
        for (name, content) in files {
            let path = cluster.join(name);
            std::fs::write(&path, content)?;
            // It refuses keys that others can read.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            if let Some((uid, gid)) = account {
                std::os::unix::fs::chown(&path, Some(uid), Some(gid))?;
            }
        }
        let [addr] = free_addrs()?;
        let child = as_account("postgres")
            .arg("-D")
            .arg(&cluster)
            .args(["-p", &addr.port().to_string(), "-k"])
            .arg(folder.path())
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "shared_buffers=512MB",
                "-c",
                "timezone=UTC",
            ])
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .spawn()
            .context("starting postgres")?;
        let mut child = Child(child);
        wait_for_port(addr, &mut child, Duration::from_secs(60))?;
        // The port is open before the server takes connections; its last line says "ready".
        let ready = cluster.join("postmaster.pid");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !std::fs::read_to_string(&ready).is_ok_and(|text| text.contains("ready")) {
            ensure!(!child.has_ended(), "PostgreSQL ended at start");
            ensure!(Instant::now() < deadline, "PostgreSQL does not become ready");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let version =
            Command::new(folder_of_programs.join("postgres")).arg("--version").output()?;
        let version = String::from_utf8_lossy(&version.stdout);
        let version = version.split_whitespace().nth(2).unwrap_or("unknown").to_owned();
        Ok(Some(Self { child, _folder: folder, addr, version }))
    }

    /// Returns a connection string for the database `postgres`.
    pub fn url(&self) -> String {
        format!("host={} port={} user=tarn dbname=postgres", self.addr.ip(), self.addr.port())
    }

    /// Returns the process id of the postmaster.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }
}

impl Drop for PostgresProcess {
    fn drop(&mut self) {
        // SIGINT is the fast shutdown; a killed postmaster would leave its children behind.
        let told = Command::new("kill").args(["-INT", &self.child.pid().to_string()]).status();
        if told.is_ok_and(|status| status.success()) {
            drop(self.child.0.wait());
        }
    }
}

/// The folder with `initdb` and `postgres`, newest version first.
fn programs() -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    if let Some(initdb) = super::program("initdb") {
        folders.extend(initdb.parent().map(Path::to_path_buf));
    }
    folders.into_iter().find(|folder| folder.join("initdb").exists())
}

/// User and group of `postgres` when we are root, which PostgreSQL refuses to run as.
fn account() -> Result<Option<(u32, u32)>> {
    let id = |arguments: &[&str]| -> Result<u32> {
        let output = Command::new("id").args(arguments).output()?;
        ensure!(output.status.success(), "`id {}` failed", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
    };
    if id(&["-u"])? != 0 {
        return Ok(None);
    }
    Ok(Some((id(&["-u", "postgres"])?, id(&["-g", "postgres"])?)))
}
