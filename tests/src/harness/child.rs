//! Servers as child processes, stopped when dropped.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A child process that ends with this value.
#[derive(Debug)]
pub struct Child(pub(super) std::process::Child);

impl Child {
    /// Takes charge of a started process.
    pub fn of(process: std::process::Child) -> Self {
        Self(process)
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Returns whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Child {
    /// Waits until the process ends by itself.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "the process still runs after {limit:?}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

/// Returns the program `tarn` of this build; `None` where cargo cannot build it.
///
/// `cargo test` builds programs only for the tests of their own package, so this asks cargo,
/// which has little to do when it is there already. `TARN_BINARY` names another one.
pub fn tarn_binary() -> Option<PathBuf> {
    static BINARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        if let Some(path) = std::env::var_os("TARN_BINARY") {
            return Some(PathBuf::from(path));
        }
        let program = std::env::current_exe().ok()?;
        // The program is beside a bench, and a folder above a test.
        let folder = program.parent()?;
        let folder = if folder.ends_with("deps") { folder.parent()? } else { folder };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--workspace", "--bin", "tarn"]);
        command.arg("--manifest-path").arg(super::repository_file("../Cargo.toml"));
        command.arg("--target-dir").arg(folder.parent()?);
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        // Build scripts look at these: with the values of the test's own package they would run
        // again, and everything above them would be compiled anew, now and at the next build.
        for (name, _) in std::env::vars_os() {
            let of_package = |prefix| name.to_string_lossy().starts_with(prefix);
            if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CFG_"].into_iter().any(of_package) {
                command.env_remove(&name);
            }
        }
        let built = command.stdin(Stdio::null()).status().is_ok_and(|status| status.success());
        let binary = folder.join("tarn");
        (built && binary.is_file()).then_some(binary)
    };
    BINARY.get_or_init(build).clone()
}

impl Drop for Child {
    fn drop(&mut self) {
        // The order to stop may fail when the child has ended already; either way it is reaped.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Returns distinct addresses on loopback whose ports were free a moment ago.
pub fn free_addrs<const N: usize>() -> Result<[SocketAddr; N]> {
    // All are held at once, or the system could hand out one port twice.
    let mut held = Vec::with_capacity(N);
    for _ in 0..N {
        held.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    }
    let mut addrs = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for (addr, listener) in addrs.iter_mut().zip(&held) {
        *addr = listener.local_addr()?;
    }
    Ok(addrs)
}

/// Waits until something accepts connections on `addr` or `child` has ended.
pub fn wait_for_port(addr: SocketAddr, child: &mut Child, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    while std::net::TcpStream::connect_timeout(&addr, Duration::from_millis(200)).is_err() {
        ensure!(!child.has_ended(), "the server on {addr} ended at start");
        ensure!(Instant::now() < deadline, "nothing listens on {addr} after {limit:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

/// The `tarn` binary serving `paths` on ports of its own.
#[derive(Debug)]
pub struct TarnProcess {
    child: Child,
    /// Where the Postgres frontend listens.
    pub pg: SocketAddr,
    /// Where the Flight SQL frontend listens.
    pub flight: SocketAddr,
    _data_dir: tempfile::TempDir,
}

impl TarnProcess {
    /// Starts `binary serve PATHS` with `flags` and waits until it accepts connections.
    pub fn start(binary: &Path, paths: &[PathBuf], flags: &[String]) -> Result<Self> {
        let data_dir = tempfile::tempdir()?;
        let [pg, flight, http] = free_addrs()?;
        let log = std::fs::File::create(data_dir.path().join("server.log"))?;
        let mut command = Command::new(binary);
        command.arg("serve").args(paths).arg("--data-dir").arg(data_dir.path());
        command.args(["--auth", "trust"]).arg("--pg").arg(pg.to_string());
        command.arg("--flight").arg(flight.to_string()).arg("--http").arg(http.to_string());
        command.args(flags).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("starting {}", binary.display()))?;
        let mut child = Child(child);
        let ready = wait_for_port(pg, &mut child, Duration::from_secs(60))
            .and_then(|()| wait_for_port(flight, &mut child, Duration::from_secs(60)));
        if let Err(error) = ready {
            let log = std::fs::read_to_string(data_dir.path().join("server.log"));
            bail!("{error}; its log:\n{}", log.unwrap_or_default());
        }
        Ok(Self { child, pg, flight, _data_dir: data_dir })
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }
}

/// Returns the resident set of a process in bytes, where `/proc` tells it.
pub fn rss_bytes(pid: u32) -> Option<u64> {
    status_kib(pid, "VmRSS:")
}

/// Returns the largest resident set since the start or since [`clear_peak`].
pub fn rss_peak_bytes(pid: u32) -> Option<u64> {
    status_kib(pid, "VmHWM:")
}

/// Sets the peak of the resident set back to its present size.
pub fn clear_peak(pid: u32) -> Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("resetting the peak")
}

fn status_kib(pid: u32, key: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
