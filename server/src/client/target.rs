//! Reads connection URLs.

use tarn_catalog::postgres_tls;
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{ClientError, Result, chain};
use super::options::DEFAULT_URL;
use super::socket::Socket;
use super::wire::{Tapped, TappedTls};

const DEFAULT_PORT: u16 = 5432;

/// A server, database and user to connect to.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Target").field(&self.to_string()).finish()
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (host, port) =
            self.endpoints().into_iter().next().unwrap_or((Host::Tcp(String::new()), 0));
        let host = match host {
            Host::Tcp(name) => name,
            Host::Unix(path) => path.display().to_string(),
        };
        write!(f, "{}@{host}:{port}/{}", self.user(), self.database())
    }
}

impl Target {
    /// Reads a URL, or libpq's `key=value` form, and fills in tarn's defaults.
    pub(super) fn parse(url: Option<&str>, password: Option<&str>) -> Result<Self> {
        let bad = |reason: String| ClientError::BadUrl { reason };
        let (url, trust) = postgres_tls::take_options(url.unwrap_or(DEFAULT_URL)).map_err(bad)?;
        if let Some((scheme, _)) = url.split_once("://")
            && !matches!(scheme, "postgres" | "postgresql")
        {
            return Err(bad(format!("\"{scheme}://\" is not supported, use postgres://")));
        }
        let mut config: Config = url.parse().map_err(|error| bad(chain(&error)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("127.0.0.1");
        }
        if config.get_user().is_none() {
            config.user("tarn");
        }
        if config.get_dbname().is_none() {
            config.dbname("tarn");
        }
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password);
        }
        if config.get_application_name().is_none() {
            config.application_name("tarn sql");
        }
        Ok(Self { config, tls: postgres_tls::connector(&trust).map_err(bad)? })
    }

    /// Returns the same server with another database.
    pub(super) fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other
    }

    pub(super) fn with_password(&self, password: &str) -> Self {
        let mut other = self.clone();
        other.config.password(password);
        other
    }

    pub(super) fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or("tarn")
    }

    pub(super) fn user(&self) -> &str {
        self.config.get_user().unwrap_or("tarn")
    }

    /// Lists what to try, in order.
    pub(super) fn endpoints(&self) -> Vec<(Host, u16)> {
        let hosts: Vec<Host> = match self.config.get_hostaddrs() {
            [] => self.config.get_hosts().to_vec(),
            addresses => addresses.iter().map(|address| Host::Tcp(address.to_string())).collect(),
        };
        let ports = self.config.get_ports();
        let port_of = |index: usize| {
            ports.get(index).or_else(|| ports.first()).copied().unwrap_or(DEFAULT_PORT)
        };
        hosts.into_iter().enumerate().map(|(index, host)| (host, port_of(index))).collect()
    }

    /// The name that the certificate is checked against.
    fn server_name(&self) -> String {
        self.config
            .get_hosts()
            .iter()
            .find_map(|host| match host {
                Host::Tcp(name) => Some(name.clone()),
                Host::Unix(_) => None,
            })
            .unwrap_or_else(|| "localhost".to_owned())
    }

    pub(super) fn tls_connect(
        &self,
    ) -> TappedTls<<MakeRustlsConnect as MakeTlsConnect<Tapped<Socket>>>::TlsConnect> {
        let mut make = self.tls.clone();
        let Ok(connect) =
            MakeTlsConnect::<Tapped<Socket>>::make_tls_connect(&mut make, &self.server_name());
        TappedTls(connect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_filled_in() {
        for (url, expect) in [
            (None, "tarn@127.0.0.1:5432/tarn"),
            (Some("postgres://host"), "tarn@host:5432/tarn"),
            (Some("postgresql://me:secret@host:7/db?sslmode=require"), "me@host:7/db"),
            (Some("postgres:///db?host=/tmp&user=me"), "me@/tmp:5432/db"),
            (Some("host=h user=u"), "u@h:5432/tarn"),
        ] {
            assert_eq!(Target::parse(url, None).map(|t| t.to_string()).unwrap_or_default(), expect);
        }
    }

    #[test]
    fn wrong_urls_say_why() {
        for (url, expect) in [
            ("http://x", "\"http://\" is not supported, use postgres://"),
            (
                "postgres://h?sslmode=verify-full",
                "sslmode=verify-full and verify-ca need sslrootcert=FILE",
            ),
        ] {
            match Target::parse(Some(url), None) {
                Err(ClientError::BadUrl { reason }) => assert_eq!(reason, expect),
                other => assert!(other.is_err(), "{url}"),
            }
        }
    }
}
