//! Places for tables that several servers and other programs write: a folder, or a fake S3.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;
use tarn_tests::fakes::{Faults, Moto, Proxy};
use tarn_tests::harness::{lake_python, repository_file, require_or_skip, run_program};

use super::child::ChildServer;

/// Where tables lie.
#[derive(Debug)]
pub enum Lake {
    /// A folder of the local disk.
    Disk(tempfile::TempDir),
    /// A bucket, which servers reach through a bad network.
    S3 {
        /// The store itself.
        moto: Moto,
        /// What servers talk to.
        proxy: Proxy,
    },
}

impl Lake {
    /// An empty folder.
    pub fn disk() -> Result<Self> {
        Ok(Self::Disk(tempfile::tempdir()?))
    }

    /// An empty bucket behind faults; none where moto is not installed.
    pub async fn s3(faults: Faults, seed: u64) -> Result<Option<Self>> {
        let Some(moto) = Moto::start(&["lake"]).await? else { return Ok(None) };
        let proxy = Proxy::start(moto.addr(), faults, seed).await?;
        Ok(Some(Self::S3 { moto, proxy }))
    }

    /// The URL of a table, or of all.
    pub fn url(&self, table: &str) -> String {
        match self {
            Self::Disk(folder) => folder.path().join(table).display().to_string(),
            Self::S3 { .. } => format!("s3://lake/tables/{table}"),
        }
    }

    /// What `deltalake` needs to know to reach the tables without the bad network.
    pub fn options(&self) -> Vec<String> {
        let Self::S3 { moto, .. } = self else { return Vec::new() };
        environment(moto.addr()).iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    /// Starts a server for all tables; its own files are in the folder `data_dir`.
    pub fn serve(&self, data_dir: &std::path::Path) -> Result<ChildServer> {
        self.serve_with(data_dir, &[])
    }

    /// The same with more flags.
    pub fn serve_with(
        &self,
        data_dir: &std::path::Path,
        more_flags: &[(&str, String)],
    ) -> Result<ChildServer> {
        let mut flags = vec![
            ("store-timeout", "2"),
            ("store-connect-timeout", "2"),
            ("store-retries-max", "4"),
            ("store-retry-timeout", "10"),
            ("threads", "2"),
        ];
        flags.extend(more_flags.iter().map(|(name, value)| (*name, value.as_str())));
        let environment = match self {
            Self::Disk(_) => Vec::new(),
            Self::S3 { proxy, .. } => environment(proxy.addr()),
        };
        let mut paths = vec![self.url("")];
        if let Some(path) = paths.first_mut() {
            *path = path.trim_end_matches('/').to_owned();
        }
        ChildServer::start(&paths, data_dir, &flags, &environment)
    }

    /// How far servers have come: the files that they have left, or the requests that they have sent.
    pub fn n_steps(&self) -> Result<u64> {
        match self {
            Self::Disk(folder) => Ok(n_files(folder.path())?),
            Self::S3 { proxy, .. } => Ok(proxy.n_requests()),
        }
    }

    /// Switches the faults of the network on or off.
    pub fn set_faults(&self, on: bool) {
        if let Self::S3 { proxy, .. } = self {
            proxy.set_faults(on);
        }
    }

    /// Runs a program of `tests/clients/lake` with the table's URL and options.
    pub async fn python(&self, program: &str, table: &str, more: &[&str]) -> Result<Value> {
        let python = lake_python().context("the venv of lake tables is not installed")?;
        let mut arguments = vec!["-B".to_owned(), source(program), self.url(table)];
        arguments.extend(self.options());
        arguments.extend(more.iter().map(ToString::to_string));
        let printed =
            tokio::task::spawn_blocking(move || run_program(&python, &arguments)).await??;
        let line = printed.lines().rfind(|line| line.starts_with(['{', '['])).unwrap_or("null");
        serde_json::from_str(line).with_context(|| printed.clone())
    }
}

/// Whether the programs that check tables are not installed, which is then told.
pub fn skipped() -> bool {
    let missing = lake_python().is_none();
    if missing {
        require_or_skip("the venv of lake tables is not installed");
    }
    missing
}

/// What a server needs to know to reach a fake S3.
pub fn environment(addr: std::net::SocketAddr) -> Vec<(String, String)> {
    [
        ("AWS_ENDPOINT_URL", format!("http://{addr}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "tests".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "tests".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec()
}

/// The files below a folder, while others add some and take some away.
fn n_files(folder: &std::path::Path) -> std::io::Result<u64> {
    let mut n = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        n += match entry.file_type() {
            Ok(kind) if kind.is_dir() => n_files(&entry.path())?,
            Ok(_) => 1,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(n)
}

fn source(program: &str) -> String {
    let path: PathBuf = repository_file("clients/lake").join(program);
    path.display().to_string()
}

/// Random numbers from a seed that a failed test has printed.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice for the seed of the environment variable, or for a new one, which is printed.
    pub fn from_environment(variable: &str) -> Self {
        let given = std::env::var(variable).ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |now| now.subsec_nanos().into())
        });
        println!("{variable}={seed} runs this again");
        Self(seed)
    }

    /// The next number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % n.max(1)
    }
}
