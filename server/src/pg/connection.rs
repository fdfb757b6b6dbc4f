//! One client's connection after its startup: a message at a time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use pgwire::messages::response::{
    CommandComplete, ErrorResponse, NoticeResponse, NotificationResponse, ReadyForQuery,
    TransactionStatus,
};
use pgwire::messages::{PgWireBackendMessage as Backend, PgWireFrontendMessage as Frontend};
use tarn_planner::Statement;
use tarn_planner::variables::SETTINGS;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ending::Ending;
use super::forms::SessionNames;
use super::rows::EncodeSettings;
use super::wire::{FLUSH_BYTES, Received, Wire};
use crate::error::{Error, Result};
use crate::notifications::Notification;
use crate::query::CommandTag;
use crate::session::{Session, Status};

/// One connection.
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) session: Arc<Session>,
    /// After an error in the extended protocol, messages are skipped up to the next Sync.
    skipping: bool,
    /// When the transaction began, or the work outside of one.
    began: Option<Instant>,
    /// What the client knows of the settings that it follows.
    reported: Box<[(&'static str, String)]>,
}

impl Connection {
    pub(super) fn new(wire: Wire, session: Arc<Session>) -> Self {
        let reported = SETTINGS.iter().filter(|setting| setting.reported);
        let reported = reported
            .map(|setting| (setting.name, session.setting(setting.name).unwrap_or_default()))
            .collect();
        Self { wire, session, skipping: false, began: None, reported }
    }

    /// Serves the client until it leaves, the server stops, or the connection breaks.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> Result<()> {
        let ended = self.serve(stop).await;
        // Portals hold running queries: they end before the session does.
        self.session.close_all_portals();
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
            let received = self.next_message(stop).await?;
            self.session.set_busy(true);
            match received {
                None | Some(Received::Message(Frontend::Terminate(_))) => return Ok(()),
                // Boxed: an idle connection does not keep room for what statements need.
                Some(Received::Message(message)) => Box::pin(self.dispatch(message)).await?,
                Some(Received::Malformed(kind, error)) => self.malformed(kind, &error).await?,
            }
            // Answers of the extended protocol leave together, at Sync or Flush.
            if self.wire.output.len() >= FLUSH_BYTES {
                self.flush().await?;
            }
            self.session.set_busy(false);
            if !self.wire.has_message() {
                self.wire.shrink();
            }
        }
    }

    async fn next_message(&mut self, stop: &CancellationToken) -> Result<Option<Received>> {
        loop {
            if let Some(message) = self.wire.take()? {
                return Ok(Some(message));
            }
            // Bytes of a message that is not complete yet start the time of an idle client anew.
            let (ending, idle) = (self.ending(), self.idle());
            let listens = self.session.status() == Status::Idle;
            let open = tokio::select! {
                open = self.wire.read_some() => open?,
                () = self.session.notified(), if listens => {
                    self.push_notifications()?;
                    self.flush().await?;
                    continue;
                }
                error = ending.wait() => return Err(error),
                error = idle => return Err(error),
                () = stop.cancelled() => return Err(Error::Stopping),
            };
            if !open {
                return Ok(None);
            }
        }
    }

    /// The end of a client that neither sends nor takes anything.
    fn idle(&self) -> impl Future<Output = Error> + use<> {
        let (name, what, code) = match self.session.status() {
            Status::Idle => ("idle_session_timeout", "idle-session timeout", "57P05"),
            Status::Active | Status::Failed => {
                ("idle_in_transaction_session_timeout", "idle-in-transaction timeout", "25P03")
            }
        };
        let timeout_ms = self.session.timeout_ms(name);
        async move {
            match timeout_ms {
                0 => std::future::pending().await,
                ms => tokio::time::sleep(Duration::from_millis(ms)).await,
            }
            Error::IdleTimeout { what, code }
        }
    }

    /// What ends the connection whatever it does.
    pub(super) fn ending(&mut self) -> Ending {
        if self.began.is_none() && self.session.status() != Status::Idle {
            self.began = Some(Instant::now());
        }
        let timeout_ms = match self.began {
            Some(_) => self.session.timeout_ms("transaction_timeout"),
            None => 0,
        };
        let began = self.began.filter(|_| timeout_ms > 0);
        let deadline = began.map(|began| began + Duration::from_millis(timeout_ms));
        Ending { terminated: self.session.terminated().clone(), deadline }
    }

    async fn dispatch(&mut self, message: Frontend) -> Result<()> {
        if matches!(message, Frontend::Sync(_)) {
            self.skipping = false;
            self.sync().await?;
            return self.flush().await;
        }
        if self.skipping {
            return Ok(());
        }
        self.began.get_or_insert_with(Instant::now);
        let result = match message {
            Frontend::Query(query) => return self.simple_query(&query.query).boxed().await,
            Frontend::Parse(parse) => self.parse(parse).await,
            Frontend::Bind(bind) => self.bind(bind),
            Frontend::Describe(describe) => self.describe(&describe),
            Frontend::Execute(execute) => self.execute(execute).boxed().await,
            Frontend::Close(close) => self.close(&close),
            Frontend::Flush(_) => return self.flush().await,
            // A client that gave up copying sends these late; PostgreSQL ignores them too.
            Frontend::CopyData(_) | Frontend::CopyDone(_) | Frontend::CopyFail(_) => Ok(()),
            _ => Err(Error::Protocol { message: "unexpected message".to_owned() }),
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

    /// Answers a message that could not be read, or that is of no use.
    async fn malformed(&mut self, kind: u8, error: &Error) -> Result<()> {
        if kind == b'S' {
            self.skipping = false;
        }
        if self.skipping {
            return Ok(());
        }
        self.answer_error(error)?;
        match kind {
            b'Q' | b'F' | b'S' => self.ready()?,
            _ => self.skipping = true,
        }
        self.flush().await
    }

    /// Splits and parses a text: a large one on the CPU threads, so that it holds up nobody else.
    pub(super) async fn parse_text(&mut self, text: &str) -> Result<Vec<Statement>> {
        if text.len() <= crate::query::PARSE_HERE_BYTES_MAX {
            return self.session.parse(text);
        }
        let (session, text) = (Arc::clone(&self.session), text.to_owned());
        self.watching(async move { session.parse_on_cpu(text).await }).await
    }

    /// Writes everything, or gives up on a client that does not read when its session has to end.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let (ending, idle) = (self.ending(), self.idle());
        tokio::select! {
            biased;
            flushed = self.wire.flush() => flushed,
            error = ending.wait() => Err(error),
            error = idle => Err(error),
        }
    }

    /// Ends a series of extended messages.
    async fn sync(&mut self) -> Result<()> {
        if let Err(error) = self.session.finish_implicit().await {
            self.answer_error(&error)?;
        }
        if self.session.status() == Status::Idle {
            self.session.end_portals(false);
        }
        self.ready()
    }

    /// ReadyForQuery, after settings that have changed.
    pub(super) fn ready(&mut self) -> Result<()> {
        self.push_changes();
        let status = match self.session.status() {
            Status::Idle => TransactionStatus::Idle,
            Status::Active => TransactionStatus::Transaction,
            Status::Failed => TransactionStatus::Error,
        };
        if self.session.status() == Status::Idle {
            self.began = None;
            self.push_notifications()?;
        }
        self.wire.push(&Backend::ReadyForQuery(ReadyForQuery::new(status)))
    }

    /// Tells the client of an error; one that ends the connection is returned instead.
    pub(super) fn answer_error(&mut self, error: &Error) -> Result<()> {
        if error.is_fatal() {
            return Err(match error {
                Error::Io(error) => Error::Io(std::io::Error::from(error.kind())),
                Error::IdleTimeout { what, code } => Error::IdleTimeout { what, code },
                _ => Error::Stopping,
            });
        }
        self.session.fail_transaction();
        if self.session.status() == Status::Idle {
            self.session.end_portals(false);
        }
        metrics::counter!("tarn_errors_total", "sqlstate" => error.sqlstate().to_owned())
            .increment(1);
        tracing::debug!(sqlstate = error.sqlstate(), %error, pid = self.session.pid(), "statement failed");
        self.push_notices()?;
        self.wire.push(&error_message(error, false))
    }

    /// CommandComplete, after the statement's notices.
    pub(super) fn complete(&mut self, tag: &CommandTag) -> Result<()> {
        self.push_notices()?;
        let text = match tag.n_rows {
            Some(n_rows) => format!("{} {n_rows}", tag.verb),
            None => tag.verb.clone(),
        };
        self.wire.push(&Backend::CommandComplete(CommandComplete::new(text)))
    }

    fn push_notices(&mut self) -> Result<()> {
        let least = self.session.setting("client_min_messages");
        let quiet: &[&str] = match least.as_deref() {
            Some("warning") => &["NOTICE"],
            Some("error" | "fatal" | "panic") => &["NOTICE", "WARNING"],
            _ => &[],
        };
        for notice in self.session.take_notices() {
            if quiet.contains(&notice.severity) {
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

    /// Tells the client of what others have notified it of.
    fn push_notifications(&mut self) -> Result<()> {
        for Notification { pid, channel, payload } in self.session.take_notifications() {
            let message = NotificationResponse::new(pid, channel, payload);
            self.wire.push(&Backend::NotificationResponse(message))?;
        }
        Ok(())
    }

    /// ParameterStatus for each setting that is not as the client knows it.
    fn push_changes(&mut self) {
        // What a failed transaction has set is undone by its end, before anybody asks.
        if self.session.status() == Status::Failed {
            return;
        }
        for (name, value) in self.session.take_changes() {
            let known = self.reported.iter_mut().find(|(known, _)| *known == name);
            if let Some((_, known)) = known
                && *known != value
            {
                self.wire.push_status(reported_name(name), &value);
                *known = value;
            }
        }
    }

    /// How the session wants values to be written.
    pub(super) fn encode_settings(&self) -> EncodeSettings {
        EncodeSettings::of(|name| self.session.setting(name).unwrap_or_default())
            .with_names(Arc::new(SessionNames::new(&self.session)))
    }
}

impl Drop for Connection {
    /// Portals hold running queries, and those hold the session.
    fn drop(&mut self) {
        self.session.close_all_portals();
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
    fields.extend(error.context().map(|context| (b'W', context.to_owned())));
    fields.extend(error.position().map(|position| (b'P', position.to_string())));
    Backend::ErrorResponse(ErrorResponse::new(fields))
}
