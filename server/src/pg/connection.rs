//! One client's connection after its startup: a message at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pgwire::messages::response::{
    CommandComplete, ErrorResponse, NoticeResponse, ReadyForQuery, TransactionStatus,
};
use pgwire::messages::startup::ParameterStatus;
use pgwire::messages::{PgWireBackendMessage as Backend, PgWireFrontendMessage as Frontend};
use tokio_util::sync::CancellationToken;

use super::extended_query::{Portal, StatementEntry};
use super::rows::{ByteaOutput, DateStyle, EncodeSettings, IntervalStyle, TimeZone};
use super::wire::{FINISH_TIMEOUT, FLUSH_BYTES, Received, Wire};
use crate::error::{Error, Result};
use crate::query::CommandTag;
use crate::session::{Session, Status};

/// One connection.
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) session: Arc<Session>,
    pub(super) statements: HashMap<String, StatementEntry>,
    pub(super) portals: HashMap<String, Portal>,
    /// After an error in the extended protocol, messages are skipped up to the next Sync.
    skipping: bool,
}

impl Connection {
    pub(super) fn new(wire: Wire, session: Arc<Session>) -> Self {
        let (statements, portals) = (HashMap::new(), HashMap::new());
        Self { wire, session, statements, portals, skipping: false }
    }

    /// Serves the client until it leaves, the server stops, or the connection breaks.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> Result<()> {
        let ended = self.serve(stop).await;
        // Portals hold running queries: they end before the session does.
        self.portals.clear();
        if let Err(error) = &ended
            && !matches!(error, Error::Io(_))
        {
            self.wire.push(&error_message(error, true))?;
            self.wire.finish().await?;
        }
        ended
    }

    async fn serve(&mut self, stop: &CancellationToken) -> Result<()> {
        self.ready()?;
        self.flush().await?;
        loop {
            match self.next_message(stop).await? {
                None | Some(Received::Message(Frontend::Terminate(_))) => return Ok(()),
                Some(Received::Message(message)) => self.dispatch(message).await?,
                Some(Received::Malformed(kind, error)) => self.malformed(kind, &error).await?,
            }
            // Answers of the extended protocol leave together, at Sync or Flush.
            if self.wire.output.len() >= FLUSH_BYTES {
                self.flush().await?;
            }
            if !self.wire.has_message() {
                self.wire.shrink();
            }
        }
    }

    async fn next_message(&mut self, stop: &CancellationToken) -> Result<Option<Received>> {
        let (name, what, code) = match self.session.status() {
            Status::Idle => ("idle_session_timeout", "idle-session timeout", "57P05"),
            Status::Active | Status::Failed => {
                ("idle_in_transaction_session_timeout", "idle-in-transaction timeout", "25P03")
            }
        };
        let timeout_ms = self.session.timeout_ms(name);
        let timeout = async {
            match timeout_ms {
                0 => std::future::pending().await,
                ms => tokio::time::sleep(Duration::from_millis(ms)).await,
            }
        };
        tokio::select! {
            message = self.wire.next() => message,
            () = timeout => Err(Error::IdleTimeout { what, code }),
            () = stop.cancelled() => Err(Error::Stopping),
            () = self.session.terminated().cancelled() => Err(Error::Stopping),
        }
    }

    async fn dispatch(&mut self, message: Frontend) -> Result<()> {
        if let Frontend::Query(query) = message {
            self.skipping = false;
            return self.simple_query(&query.query).await;
        }
        if matches!(message, Frontend::Sync(_)) {
            self.skipping = false;
            self.sync()?;
            return self.flush().await;
        }
        if self.skipping {
            return Ok(());
        }
        let result = match message {
            Frontend::Parse(parse) => self.parse(parse).await,
            Frontend::Bind(bind) => self.bind(bind),
            Frontend::Describe(describe) => self.describe(&describe),
            Frontend::Execute(execute) => self.execute(execute).await,
            Frontend::Close(close) => self.close(&close),
            Frontend::Flush(_) => return self.flush().await,
            // A client that gave up copying sends these late; PostgreSQL ignores them too.
            Frontend::CopyData(_) | Frontend::CopyDone(_) | Frontend::CopyFail(_) => Ok(()),
            other => Err(Error::Protocol { message: format!("unexpected message {other:?}") }),
        };
        match result {
            Err(error) => {
                self.skipping = true;
                self.answer_error(&error)?;
                // A client may wait for it before it sends its Sync.
                self.flush().await
            }
            Ok(()) => Ok(()),
        }
    }

    /// Answers a message that could not be read.
    async fn malformed(&mut self, kind: u8, error: &Error) -> Result<()> {
        if kind == b'Q' {
            self.skipping = false;
            self.answer_error(error)?;
            self.ready()?;
        } else if !self.skipping {
            self.skipping = true;
            self.answer_error(error)?;
        }
        self.flush().await
    }

    /// Writes everything, or gives up on a client that does not read when the session has to end.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let terminated = self.session.terminated().clone();
        let given_up = async {
            terminated.cancelled().await;
            tokio::time::sleep(FINISH_TIMEOUT).await;
        };
        tokio::select! {
            flushed = self.wire.flush() => flushed,
            () = given_up => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }

    /// Ends a series of extended messages.
    fn sync(&mut self) -> Result<()> {
        if self.session.status() == Status::Idle {
            self.portals.clear();
        }
        self.ready()
    }

    /// ReadyForQuery, after settings that have changed.
    pub(super) fn ready(&mut self) -> Result<()> {
        self.push_changes()?;
        let status = match self.session.status() {
            Status::Idle => TransactionStatus::Idle,
            Status::Active => TransactionStatus::Transaction,
            Status::Failed => TransactionStatus::Error,
        };
        self.wire.push(&Backend::ReadyForQuery(ReadyForQuery::new(status)))
    }

    /// Tells the client of an error; one that ends the connection is returned instead.
    pub(super) fn answer_error(&mut self, error: &Error) -> Result<()> {
        if error.is_fatal() {
            return Err(match error {
                Error::Io(error) => Error::Io(std::io::Error::from(error.kind())),
                _ => Error::Stopping,
            });
        }
        self.session.fail_transaction();
        if self.session.status() == Status::Idle {
            self.portals.clear();
        }
        metrics::counter!("tarn_errors_total", "sqlstate" => error.sqlstate().to_owned())
            .increment(1);
        tracing::debug!(sqlstate = error.sqlstate(), %error, pid = self.session.pid(), "statement failed");
        self.push_notices()?;
        self.wire.push(&error_message(error, false))
    }

    /// CommandComplete, after the statement's notices and changed settings.
    pub(super) fn complete(&mut self, tag: &CommandTag) -> Result<()> {
        self.push_notices()?;
        self.push_changes()?;
        let text = match tag.n_rows {
            Some(n_rows) => format!("{} {n_rows}", tag.verb),
            None => tag.verb.clone(),
        };
        if matches!(tag.verb.as_str(), "COMMIT" | "ROLLBACK")
            && self.session.status() == Status::Idle
        {
            self.portals.clear();
        }
        self.wire.push(&Backend::CommandComplete(CommandComplete::new(text)))
    }

    fn push_notices(&mut self) -> Result<()> {
        let quiet = matches!(
            self.session.setting("client_min_messages").as_deref(),
            Some("warning" | "error" | "fatal" | "panic")
        );
        for notice in self.session.take_notices() {
            if quiet && notice.severity == "NOTICE" {
                continue;
            }
            let fields = vec![
                (b'S', notice.severity.to_owned()),
                (b'V', notice.severity.to_owned()),
                (b'C', notice.code.to_owned()),
                (b'M', notice.message),
            ];
            self.wire.push(&Backend::NoticeResponse(NoticeResponse::new(fields)))?;
        }
        Ok(())
    }

    fn push_changes(&mut self) -> Result<()> {
        for (name, value) in self.session.take_changes() {
            let name = reported_name(name).to_owned();
            self.wire.push(&Backend::ParameterStatus(ParameterStatus::new(name, value)))?;
        }
        Ok(())
    }

    /// How the session wants values to be written.
    pub(super) fn encode_settings(&self) -> EncodeSettings {
        let setting = |name: &str| self.session.setting(name).unwrap_or_default();
        let date_style = setting("datestyle").to_lowercase();
        EncodeSettings {
            time_zone: TimeZone::parse(&setting("timezone")).unwrap_or(TimeZone::UTC),
            date_style: if date_style.contains("sql") {
                DateStyle::Sql
            } else if date_style.contains("postgres") {
                DateStyle::Postgres
            } else if date_style.contains("german") {
                DateStyle::German
            } else {
                DateStyle::Iso
            },
            day_first: date_style.contains("dmy"),
            interval_style: match setting("intervalstyle").as_str() {
                "postgres_verbose" => IntervalStyle::PostgresVerbose,
                "sql_standard" => IntervalStyle::SqlStandard,
                "iso_8601" => IntervalStyle::Iso8601,
                _ => IntervalStyle::Postgres,
            },
            extra_float_digits: setting("extra_float_digits").parse().unwrap_or(1),
            bytea_output: match setting("bytea_output").as_str() {
                "escape" => ByteaOutput::Escape,
                _ => ByteaOutput::Hex,
            },
        }
    }
}

/// PostgreSQL reports a few settings in mixed case, and drivers look for exactly that.
pub(super) fn reported_name(name: &str) -> &str {
    match name {
        "datestyle" => "DateStyle",
        "timezone" => "TimeZone",
        "intervalstyle" => "IntervalStyle",
        other => other,
    }
}

/// An error as its wire message.
pub(super) fn error_message(error: &Error, ends_connection: bool) -> Backend {
    let severity = if ends_connection { "FATAL" } else { "ERROR" };
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', error.sqlstate().to_owned()),
        (b'M', error.message()),
    ];
    fields.extend(error.detail().map(|detail| (b'D', detail)));
    fields.extend(error.hint().map(|hint| (b'H', hint)));
    fields.extend(error.position().map(|position| (b'P', position.to_string())));
    Backend::ErrorResponse(ErrorResponse::new(fields))
}
