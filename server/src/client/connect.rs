//! Opens connections.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{
    AsyncMessage, CancelToken, Client, Config, SimpleQueryMessage, SimpleQueryRow,
};

use super::error::{ClientError, Result, chain};
use super::socket::Socket;
use super::target::Target;
use super::wire::{Tap, Tapped};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_millis(300);
/// Limit of one query that the client sends for itself (completion, progress).
const SIDE_QUERY_TIMEOUT: Duration = Duration::from_secs(3);

impl Target {
    async fn open_socket(&self, tap: &Arc<Tap>) -> Result<(Tapped<Socket>, Config)> {
        let mut reasons = Vec::new();
        let limit = self.config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        for (host, port) in self.endpoints() {
            let mut config = self.config.clone();
            let attempt = match &host {
                Host::Tcp(name) => tokio::time::timeout(limit, Socket::tcp(name, port)).await,
                Host::Unix(folder) => {
                    config.ssl_mode(SslMode::Disable); // as libpq: no TLS on a local socket
                    tokio::time::timeout(limit, Socket::unix(folder, port)).await
                }
            };
            let place = match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(folder) => format!("{}:{port}", folder.display()),
            };
            match attempt {
                Ok(Ok(socket)) => {
                    let asks_for_tls = config.get_ssl_mode() != SslMode::Disable;
                    return Ok((Tapped::socket(socket, tap, asks_for_tls), config));
                }
                Ok(Err(error)) => reasons.push(format!("{place}: {error}")),
                Err(_) => reasons.push(format!("{place}: no answer within {} s", limit.as_secs())),
            }
        }
        Err(ClientError::Connect { target: self.to_string(), reason: reasons.join(", ") })
    }

    /// Connects and logs in.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let limit = self.config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        let tap = Arc::new(Tap::default());
        let (socket, config) = self.open_socket(&tap).await?;
        // Boxed: the handshake's state is large and lives on the stack of every caller otherwise.
        let login = Box::pin(config.connect_raw(socket, self.tls_connect()));
        let (client, mut wire) = match tokio::time::timeout(limit, login).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(self.login_error(&error)),
            Err(_) => {
                let reason = format!("no answer to the login within {} s", limit.as_secs());
                return Err(ClientError::Connect { target: self.to_string(), reason });
            }
        };
        let server_version = wire.parameter("server_version").unwrap_or("?").to_owned();
        let (notice_sender, notices) = mpsc::unbounded_channel();
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| wire.poll_message(cx)).await {
                if let AsyncMessage::Notice(notice) = message {
                    // Nobody reads notices of a side connection.
                    let _ = notice_sender.send(notice);
                }
            }
        });
        let cancel = client.cancel_token();
        Ok(Connection {
            target: self.clone(),
            config,
            cancel,
            client,
            driver,
            tap,
            notices,
            server_version,
        })
    }

    fn login_error(&self, error: &tokio_postgres::Error) -> ClientError {
        let target = self.to_string();
        let no_password = self.config.get_password().is_none();
        match error.as_db_error() {
            Some(db) if no_password && *db.code() == SqlState::INVALID_PASSWORD => {
                ClientError::PasswordNeeded { target }
            }
            Some(db) => {
                let reason = format!("{} ({})", db.message(), db.code().code());
                ClientError::Connect { target, reason }
            }
            None if no_password && chain(error).contains("password missing") => {
                ClientError::PasswordNeeded { target }
            }
            None => ClientError::Connect { target, reason: chain(error) },
        }
    }
}

/// A logged-in connection.
pub(super) struct Connection {
    pub(super) target: Target,
    /// As used for this socket.
    config: Config,
    cancel: CancelToken,
    pub(super) client: Client,
    /// Moves bytes between the socket and the client.
    driver: JoinHandle<()>,
    pub(super) tap: Arc<Tap>,
    pub(super) notices: mpsc::UnboundedReceiver<DbError>,
    pub(super) server_version: String,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Connection {
    /// Returns a future that asks the server to stop the running query; it borrows nothing.
    pub(super) fn cancel_request(&self) -> impl Future<Output = ()> + Send + 'static {
        let (target, token, config) =
            (self.target.clone(), self.cancel.clone(), self.config.clone());
        async move {
            let tap = Arc::new(Tap::default());
            // A request that does not arrive shows in the query going on; Ctrl-C again gives it up.
            if let Ok((socket, _)) = (Target { config, ..target.clone() }).open_socket(&tap).await {
                let _ = Box::pin(token.cancel_query_raw(socket, target.tls_connect())).await;
            }
        }
    }

    /// Says goodbye to the server, so that it does not log a broken connection.
    pub(super) async fn close(self) {
        drop(self.client);
        // A server that does not read any more is left alone.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.driver).await;
    }

    /// Runs a small query of the client's own and returns its rows.
    pub(super) async fn rows(&self, sql: &str) -> Result<Vec<SimpleQueryRow>> {
        let fetch = async {
            let mut messages = pin!(self.client.simple_query_raw(sql).await?);
            let mut rows = Vec::new();
            while let Some(message) = messages.next().await {
                if let SimpleQueryMessage::Row(row) = message? {
                    rows.push(row);
                }
            }
            Ok(rows)
        };
        let timed_out = || Err(ClientError::Lost { reason: "no answer in time".to_owned() });
        tokio::time::timeout(SIDE_QUERY_TIMEOUT, fetch).await.unwrap_or_else(|_| timed_out())
    }
}
