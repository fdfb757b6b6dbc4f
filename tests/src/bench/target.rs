//! The tarn server under measurement.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::args::Args;
use crate::harness::{TarnProcess, clear_peak, demo_data, rss_bytes, rss_peak_bytes};

/// A running server: a child process of this program, or one that the user named.
#[derive(Debug)]
pub struct Target {
    /// The Postgres frontend.
    pub pg: SocketAddr,
    /// The Flight frontend, when known.
    pub flight: Option<SocketAddr>,
    /// The folder of the Delta tables that it serves.
    pub data: PathBuf,
    pid: Option<u32>,
    _process: Option<TarnProcess>,
}

impl Target {
    /// Makes the data and starts the server, or takes the one of `--url`.
    pub fn start(args: &Args) -> Result<Self> {
        let data = match args.text("data") {
            Some(path) => PathBuf::from(path),
            None => demo_data(args.value("scale", 1.0)?)?,
        };
        if let Some(url) = args.text("url") {
            let pid = args.text("pid").map(str::parse).transpose().context("--pid")?;
            let flight = args.text("flight-url").map(resolve).transpose()?;
            return Ok(Self { pg: resolve(url)?, flight, data, pid, _process: None });
        }
        Self::start_serving(args, data)
    }

    /// Starts a server for a folder.
    pub fn start_serving(args: &Args, data: PathBuf) -> Result<Self> {
        let flags = ["--threads".to_owned(), args.value("threads", 2_usize)?.to_string()];
        let process = TarnProcess::start(&binary(args)?, std::slice::from_ref(&data), &flags)?;
        Ok(Self {
            pg: process.pg,
            flight: Some(process.flight),
            data,
            pid: Some(process.pid()),
            _process: Some(process),
        })
    }

    /// Returns the resident set of the server in bytes, when its process is known.
    pub fn rss_bytes(&self) -> Option<u64> {
        rss_bytes(self.pid?)
    }

    /// Returns the peak of the resident set since the last call, in bytes.
    pub fn take_peak_bytes(&self) -> Option<u64> {
        let peak = rss_peak_bytes(self.pid?);
        clear_peak(self.pid?).ok()?;
        peak
    }
}

fn resolve(url: &str) -> Result<SocketAddr> {
    url.to_socket_addrs()?.next().with_context(|| format!("{url} is no address"))
}

/// The `tarn` binary beside this program, built first when it is not there.
pub(super) fn binary(args: &Args) -> Result<PathBuf> {
    if let Some(path) = args.text("binary") {
        return Ok(PathBuf::from(path));
    }
    let folder = std::env::current_exe()?;
    let folder = folder.parent().context("this program has no folder")?;
    let binary = folder.join("tarn");
    if !binary.exists() {
        if cfg!(debug_assertions) {
            bail!("{} does not exist: cargo build --workspace", binary.display());
        }
        println!("building {}", binary.display());
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let built = Command::new(cargo).args(["build", "--release", "--workspace"]).status()?;
        ensure!(built.success() && binary.exists(), "building tarn failed");
    }
    Ok(binary)
}
