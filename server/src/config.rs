//! Settings of the server: one table from which come flags, environment names and file keys.
//!
//! A value is looked for in the flags, then in the environment, then in the file, then here.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::logical_expr::ScalarUDF;
use tarn_catalog::object_store::StoreLimits;

/// What a setting's text has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `ADDRESS:PORT`, or `off`.
    Address,
    /// A file or folder.
    Path,
    /// A path or URL.
    Text,
    /// Bytes, with an optional unit: `512MB`, `4GiB`.
    Bytes,
    /// A whole number from 1.
    Count,
    /// A time of whole seconds, with an optional unit: `30`, `30s`, `2min`.
    Time,
    /// A number above 0.
    Scale,
    /// A switch: its presence means on.
    Switch,
    /// One of a list.
    Choice(&'static [&'static str]),
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The flag without its dashes; also the file's key.
    pub name: &'static str,
    /// The form of its value.
    pub kind: Kind,
    /// Its value where none is given, in words where it is computed.
    pub default: &'static str,
    /// One line.
    pub help: &'static str,
}

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, kind, default, help }
}

/// Every setting of `serve` and `demo`.
pub static SETTINGS: &[Setting] = &[
    setting(
        "data-dir",
        Kind::Path,
        "the user's data folder",
        "Folder for the server's own files: password, demo tables, spilled data",
    ),
    setting(
        "catalog",
        Kind::Text,
        "the folder catalog in the data directory",
        "Where the catalog is: a folder, s3://…, gs://…, abfss://…, postgres://user@host/database",
    ),
    setting("pg", Kind::Address, "127.0.0.1:5432", "Address of the Postgres wire, or off"),
    setting("flight", Kind::Address, "127.0.0.1:32010", "Address of Flight SQL, or off"),
    setting(
        "http",
        Kind::Address,
        "127.0.0.1:8080",
        "Address of the status page, health check and metrics, or off",
    ),
    setting(
        "auth",
        Kind::Choice(&["scram", "trust"]),
        "scram",
        "How clients prove who they are; trust is for loopback only",
    ),
    setting("password-file", Kind::Path, "none", "File with the password of the role tarn"),
    setting("tls-cert", Kind::Path, "none", "Certificate chain in PEM form; switches TLS on"),
    setting("tls-key", Kind::Path, "none", "Private key of the certificate in PEM form"),
    setting(
        "tls-client-ca",
        Kind::Path,
        "none",
        "Certificates in PEM form whose clients need no password: a client's common name is its role",
    ),
    setting(
        "insecure",
        Kind::Switch,
        "off",
        "Allows addresses other than loopback without TLS or passwords",
    ),
    setting(
        "memory",
        Kind::Bytes,
        "half of the machine's",
        "Memory that all queries together may reserve",
    ),
    setting("spill", Kind::Bytes, "100GB", "Disk space that all queries together may spill to"),
    setting("memory-tables", Kind::Bytes, "1GB", "Memory of one table made by CREATE TABLE"),
    setting(
        "memory-tables-total",
        Kind::Bytes,
        "a quarter of --memory",
        "Memory of all tables in memory together, temporary ones included",
    ),
    setting(
        "lookup-cache",
        Kind::Bytes,
        "64MB",
        "Memory for rows that are fetched by a key again and again; 0 turns it off",
    ),
    setting("threads", Kind::Count, "the machine's cores", "Threads that run queries"),
    setting("connections-max", Kind::Count, "1000", "Client connections on the Postgres wire"),
    setting(
        "connections-reserved",
        Kind::Count,
        "3",
        "Of these, how many only the role tarn can take",
    ),
    setting(
        "auth-timeout",
        Kind::Time,
        "60s",
        "How long a client may take to connect and prove who it is; seconds, or with a unit: 30s, 2min",
    ),
    setting(
        "queries-max",
        Kind::Count,
        "4 per thread",
        "Queries that run at a time; further ones wait",
    ),
    setting("queue-max", Kind::Count, "1000", "Queries that may wait"),
    setting(
        "store-requests-max",
        Kind::Count,
        "128",
        "Requests that one object store answers at a time; more wait",
    ),
    setting(
        "store-retries-max",
        Kind::Count,
        "5",
        "How often a request to an object store is tried again after a server error",
    ),
    setting(
        "store-retry-timeout",
        Kind::Time,
        "60s",
        "How long a request to an object store is tried again; seconds, or with a unit: 30s, 2min",
    ),
    setting(
        "store-timeout",
        Kind::Time,
        "30s",
        "How long one request to an object store may take; seconds, or with a unit: 30s, 2min",
    ),
    setting(
        "store-connect-timeout",
        Kind::Time,
        "5s",
        "How long connecting to an object store may take; seconds, or with a unit: 30s, 2min",
    ),
    setting(
        "fsync",
        Kind::Choice(&["on", "off"]),
        "on",
        "Whether files on local disk are forced to disk before a commit is acknowledged",
    ),
    setting(
        "tables",
        Kind::Choice(&["delta", "memory"]),
        "delta",
        "How CREATE TABLE without USING stores a table, unless default_table_access_method says it",
    ),
    setting("scale", Kind::Scale, "0.1", "Size of the demo's TPC-H data (demo only)"),
];

/// How clients prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Passwords by SCRAM-SHA-256.
    Scram,
    /// Whoever can connect over loopback is who they say.
    Trust,
}

/// The files of a TLS server.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Certificates that client certificates are checked against, PEM.
    pub client_ca: Option<PathBuf>,
}

/// A text that logs do not show.
#[derive(Clone)]
pub struct SecretText(pub String);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText")
    }
}

/// The settings of one server, checked.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Paths and URLs to serve.
    pub paths: Vec<String>,
    /// Folder for the server's own files.
    pub data_dir: PathBuf,
    /// Path or URL of the catalog's log; `None` for a folder in `data_dir`.
    pub catalog: Option<String>,
    /// The key that credentials are encrypted with, where one was given.
    pub secret_key: Option<SecretText>,
    /// Address of the Postgres wire.
    pub pg: Option<SocketAddr>,
    /// Address of Flight SQL.
    pub flight: Option<SocketAddr>,
    /// Address of the HTTP page.
    pub http: Option<SocketAddr>,
    /// How clients prove who they are.
    pub auth: AuthMode,
    /// The password of role `tarn`, where one was given.
    pub password: Option<String>,
    /// TLS for the Postgres wire and Flight SQL.
    pub tls: Option<TlsFiles>,
    /// Whether other addresses than loopback may be used without TLS and passwords.
    pub insecure: bool,
    /// Bytes that queries may reserve.
    pub memory_bytes_max: usize,
    /// Bytes that queries may spill.
    pub spill_bytes_max: u64,
    /// Bytes of one table in memory.
    pub memory_table_bytes_max: usize,
    /// Bytes of all tables in memory.
    pub memory_tables_total_bytes_max: usize,
    /// Bytes that lookups by a key keep.
    pub lookup_cache_bytes_max: u64,
    /// CPU threads.
    pub n_threads: usize,
    /// Connections on the Postgres wire.
    pub n_connections_max: usize,
    /// How many of them are for the first role only.
    pub n_connections_reserved: usize,
    /// How long a client may take until it has its session.
    pub auth_timeout: Duration,
    /// Running queries.
    pub n_queries_max: usize,
    /// Waiting queries.
    pub n_waiting_max: usize,
    /// Limits of object stores.
    pub store_limits: StoreLimits,
    /// How sessions store new tables unless they are told: `default_table_access_method`.
    pub table_access_method: &'static str,
    /// Scale of the demo's data.
    pub scale: f64,
    /// Functions of the program that the server is part of, beside the built-in ones.
    pub functions: Vec<Arc<ScalarUDF>>,
}

/// What is wrong with a setting.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that cannot be used.
    #[error("--{name}: \"{value}\" is not {expected}")]
    Invalid {
        /// The setting.
        name: String,
        /// Its value.
        value: String,
        /// What it would have to be.
        expected: String,
    },
    /// A key in the file that is no setting.
    #[error("{}: unknown setting \"{name}\"", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The key.
        name: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file that is not TOML.
    #[error("{} is not valid TOML: {what}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and what.
        what: String,
    },
    /// Settings that do not go together.
    #[error("{what}")]
    Conflict {
        /// What, and what to do.
        what: String,
    },
}

/// Values by setting name, from wherever they came.
#[derive(Debug, Clone, Default)]
pub struct Values(BTreeMap<String, String>);

impl Values {
    /// Takes the values given as flags; the environment and a file fill what is missing.
    ///
    /// # Errors
    /// `File`, `Toml` and `Unknown` for the file.
    pub fn gather(
        flags: BTreeMap<String, String>,
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut values = flags;
        for setting in SETTINGS {
            if let Some(value) = environment(&environment_name(setting.name)) {
                values.entry(setting.name.to_owned()).or_insert(value);
            }
        }
        if let Some(path) = file {
            for (name, value) in read_file(path)? {
                values.entry(name).or_insert(value);
            }
        }
        Ok(Self(values))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn invalid(&self, name: &str, expected: &str) -> ConfigError {
        ConfigError::Invalid {
            name: name.to_owned(),
            value: self.get(name).unwrap_or_default().to_owned(),
            expected: expected.to_owned(),
        }
    }

    fn address(&self, name: &str, default: &str) -> Result<Option<SocketAddr>, ConfigError> {
        match self.get(name).unwrap_or(default) {
            "off" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| self.invalid(name, "an address such as 127.0.0.1:5432, or off")),
        }
    }

    fn bytes(&self, name: &str, default: u64) -> Result<u64, ConfigError> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => {
                parse_bytes(text).ok_or_else(|| self.invalid(name, "a size such as 512MB or 4GB"))
            }
        }
    }

    fn count(&self, name: &str, default: usize) -> Result<usize, ConfigError> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| self.invalid(name, "a whole number from 1")),
        }
    }

    fn seconds(&self, name: &str, default: u64) -> Result<u64, ConfigError> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => parse_seconds(text)
                .ok_or_else(|| self.invalid(name, "a time from 1 s, such as 30s or 2min")),
        }
    }

    fn store_limits(&self) -> Result<StoreLimits, ConfigError> {
        let default = StoreLimits::default();
        let fsync = match self.get("fsync") {
            None | Some("on" | "true") => true,
            Some("off" | "false") => false,
            Some(_) => return Err(self.invalid("fsync", "on or off")),
        };
        Ok(StoreLimits {
            requests_in_flight_max: self
                .count("store-requests-max", default.requests_in_flight_max)?,
            retries_max: self.count("store-retries-max", default.retries_max)?,
            retry_timeout_s: self.seconds("store-retry-timeout", default.retry_timeout_s)?,
            timeout_s: self.seconds("store-timeout", default.timeout_s)?,
            connect_timeout_s: self.seconds("store-connect-timeout", default.connect_timeout_s)?,
            fsync,
            footer_cache_bytes_max: default.footer_cache_bytes_max,
        })
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    fn tls(&self) -> Result<Option<TlsFiles>, ConfigError> {
        let client_ca = self.path("tls-client-ca");
        let what = match (self.path("tls-cert"), self.path("tls-key")) {
            (Some(cert), Some(key)) => return Ok(Some(TlsFiles { cert, key, client_ca })),
            (None, None) if client_ca.is_none() => return Ok(None),
            (None, None) => "--tls-client-ca needs --tls-cert and --tls-key",
            _ => "--tls-cert and --tls-key go together: give both",
        };
        Err(ConfigError::Conflict { what: what.to_owned() })
    }
}

/// `--tls-cert` is `TARN_TLS_CERT` in the environment.
#[must_use]
pub fn environment_name(setting: &str) -> String {
    format!("TARN_{}", setting.to_uppercase().replace('-', "_"))
}

fn read_file(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Toml {
        path: path.to_owned(),
        what: error.message().to_owned(),
    })?;
    let mut values = Vec::new();
    for (name, value) in table {
        if !SETTINGS.iter().any(|setting| setting.name == name) {
            return Err(ConfigError::Unknown { path: path.to_owned(), name });
        }
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(on) => on.to_string(),
            _ => {
                return Err(ConfigError::Invalid {
                    name,
                    value: "a list or table".to_owned(),
                    expected: "a text, a number, true or false".to_owned(),
                });
            }
        };
        values.push((name, text));
    }
    Ok(values)
}

fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().trim_end_matches('b') {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes > 0)
}

/// Reads `30`, `30s`, `2min` and `1h`.
fn parse_seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|seconds| *seconds > 0)
}

impl ServerConfig {
    /// Checks gathered values and fills in defaults.
    ///
    /// # Errors
    /// `Invalid` for a value, `Conflict` for addresses that are not safe as configured, `File`
    /// for the password's file.
    pub fn from_values(
        values: &Values,
        paths: Vec<String>,
        trust_by_default: bool,
        password: Option<String>,
    ) -> Result<Self, ConfigError> {
        let n_threads = values.count("threads", cores())?;
        let auth = match values.get("auth") {
            Some("trust") => AuthMode::Trust,
            Some("scram") => AuthMode::Scram,
            Some(_) => return Err(values.invalid("auth", "scram or trust")),
            None if trust_by_default => AuthMode::Trust,
            None => AuthMode::Scram,
        };
        let tls = values.tls()?;
        let scale = match values.get("scale").map(str::parse::<f64>) {
            None => 0.1,
            Some(Ok(scale)) if scale > 0.0 && scale <= 10_000.0 => scale,
            Some(_) => return Err(values.invalid("scale", "a number above 0")),
        };
        let password = match values.path("password-file") {
            Some(path) => Some(read_password(&path)?),
            None => password,
        };
        let memory_bytes = values.bytes("memory", memory_total_bytes() / 2)?;
        let config = Self {
            paths,
            data_dir: values.path("data-dir").unwrap_or_else(default_data_dir),
            catalog: values.get("catalog").map(ToOwned::to_owned),
            secret_key: None,
            pg: values.address("pg", "127.0.0.1:5432")?,
            flight: values.address("flight", "127.0.0.1:32010")?,
            http: values.address("http", "127.0.0.1:8080")?,
            auth,
            password,
            tls,
            insecure: values.get("insecure").is_some_and(|text| text != "false" && text != "off"),
            memory_bytes_max: size(memory_bytes),
            spill_bytes_max: values.bytes("spill", 100_000_000_000)?,
            memory_table_bytes_max: size(values.bytes("memory-tables", 1_000_000_000)?),
            memory_tables_total_bytes_max: size(
                values.bytes("memory-tables-total", memory_bytes / 4)?,
            ),
            lookup_cache_bytes_max: values.bytes("lookup-cache", 64_000_000)?,
            n_threads,
            n_connections_max: values.count("connections-max", 1_000)?,
            n_connections_reserved: values.count("connections-reserved", 3)?,
            auth_timeout: Duration::from_secs(values.seconds("auth-timeout", 60)?),
            n_queries_max: values.count("queries-max", n_threads.saturating_mul(4))?,
            n_waiting_max: values.count("queue-max", 1_000)?,
            store_limits: values.store_limits()?,
            table_access_method: match values.get("tables") {
                None | Some("delta") => "delta",
                Some("memory") => "memory",
                Some(_) => return Err(values.invalid("tables", "delta or memory")),
            },
            scale,
            functions: vec![],
        };
        config.check_exposure()?;
        Ok(config)
    }

    /// Refuses to listen beyond this machine without passwords and TLS.
    fn check_exposure(&self) -> Result<(), ConfigError> {
        if self.insecure {
            return Ok(());
        }
        if self.http.is_some_and(|address| !is_loopback(address.ip())) {
            let what = "--http: the status page has neither passwords nor TLS and is for loopback \
                        addresses; --insecure allows another one all the same";
            return Err(ConfigError::Conflict { what: what.to_owned() });
        }
        let exposed = [("pg", self.pg), ("flight", self.flight)]
            .into_iter()
            .find(|(_, address)| address.is_some_and(|address| !is_loopback(address.ip())));
        let Some((name, _)) = exposed else { return Ok(()) };
        let missing = match (self.auth, &self.tls) {
            (AuthMode::Trust, _) => "--auth trust is for loopback addresses",
            (AuthMode::Scram, None) => {
                "an address other than loopback needs --tls-cert and --tls-key"
            }
            (AuthMode::Scram, Some(_)) => return Ok(()),
        };
        let what = format!("--{name}: {missing}; --insecure allows it all the same");
        Err(ConfigError::Conflict { what })
    }

    /// Sets the key that credentials are encrypted with; without one it is in a file.
    #[must_use]
    pub fn with_secret_key(mut self, key: Option<String>) -> Self {
        self.secret_key = key.map(SecretText);
        self
    }

    /// A server for tests: free ports on loopback, no passwords, little memory.
    #[must_use]
    pub fn for_tests(data_dir: &Path, paths: Vec<String>) -> Self {
        let address = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self {
            paths,
            data_dir: data_dir.to_owned(),
            catalog: None,
            secret_key: None,
            pg: address,
            flight: address,
            http: address,
            auth: AuthMode::Trust,
            password: None,
            tls: None,
            insecure: false,
            memory_bytes_max: 2_000_000_000,
            spill_bytes_max: 10_000_000_000,
            memory_table_bytes_max: 500_000_000,
            memory_tables_total_bytes_max: 1_000_000_000,
            lookup_cache_bytes_max: 64_000_000,
            n_threads: 2,
            n_connections_max: 1_000,
            n_connections_reserved: 3,
            auth_timeout: Duration::from_secs(60),
            n_queries_max: 8,
            n_waiting_max: 1_000,
            store_limits: StoreLimits { fsync: false, ..StoreLimits::default() },
            table_access_method: "memory",
            scale: 0.01,
            functions: vec![],
        }
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn read_password(path: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get)
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The machine's memory, or what the control group leaves of it.
fn memory_total_bytes() -> u64 {
    const FALLBACK_BYTES: u64 = 4 << 30;
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .map_or(FALLBACK_BYTES, |kib| kib << 10);
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    limits
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())
        .fold(total, u64::min)
}

/// `$XDG_DATA_HOME/tarn`, `~/.local/share/tarn`, or `./tarn-data`.
#[expect(clippy::disallowed_methods, reason = "this module is where the environment is read")]
fn default_data_dir() -> PathBuf {
    let home = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = home.or_else(|| {
        std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local").join("share"))
    });
    home.map_or_else(|| PathBuf::from("tarn-data"), |home| home.join("tarn"))
}

/// Reads one variable of the environment.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this module is where the environment is read")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests;
