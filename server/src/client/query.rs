//! Runs one statement: rows go to the output as they arrive, Ctrl-C asks the server to stop.

use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::DbError;

use super::connect::Connection;
use super::copy::{self, Copy};
use super::error::{ClientError, Result};
use super::format::{self, RowWriter};
use super::options::Format;
use super::progress::{self, FRAME, Progress};
use super::session::{Output, Session};
use super::wire::{Column, Tap};

/// Messages taken between two looks at the keyboard and the clock.
const BURST_MESSAGES: usize = 256;

/// Runs a statement and writes its result.
///
/// # Errors
/// The server's error; `Interrupted` when a second Ctrl-C gave up waiting for the first to work;
/// `OutputClosed` when standard output has gone. A person leaving the pager is no error.
pub(super) async fn run(session: &mut Session, sql: &str) -> Result<()> {
    match copy::direction(sql) {
        Some(Copy::In) => {
            let what = "COPY FROM STDIN is not supported by tarn sql: copy from a file or use psql";
            return Err(ClientError::Usage(what.to_owned()));
        }
        Some(Copy::Out) => return copy::out(session, sql).await,
        None => {}
    }
    session.ensure_connection().await?;
    let Some(mut connection) = session.take_connection() else {
        return Ok(());
    };
    let result = run_on(session, &mut connection, sql).await;
    let lost = result
        .as_ref()
        .is_err_and(|error| error.ends_connection() || matches!(error, ClientError::Interrupted));
    if !lost && !connection.client.is_closed() {
        session.set_same_connection(connection);
    }
    result
}

async fn run_on(session: &mut Session, connection: &mut Connection, sql: &str) -> Result<()> {
    let mut interrupts = fresh_interrupts(session);
    let mut running = Running::new(session, connection);
    let mut messages = pin!(connection.client.simple_query_raw(sql).await?);
    let mut ticks = tokio::time::interval(FRAME);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            Ok(()) = interrupts.changed() => {
                if running.stopping {
                    running.abandon(session);
                    return Err(ClientError::Interrupted);
                }
                running.stop(connection);
            }
            Some(notice) = connection.notices.recv() => running.notice(&notice),
            _ = ticks.tick() => running.tick(),
            message = messages.next() => {
                let mut next = Some(message);
                let mut n_taken = 0;
                while let Some(message) = next {
                    let Some(message) = message else { return running.end(session) };
                    // Once the connection is closed the stream repeats that for ever.
                    let closed = message.as_ref().is_err_and(|error| error.as_db_error().is_none());
                    running.take(session, connection, message);
                    if closed || matches!(running.failure, Some(ClientError::OutputClosed)) {
                        return running.end(session);
                    }
                    n_taken += 1;
                    next = if n_taken < BURST_MESSAGES { messages.next().now_or_never() } else { None };
                }
            }
        }
    }
}

/// Starts to count Ctrl-C from now on.
pub(super) fn fresh_interrupts(session: &Session) -> watch::Receiver<u64> {
    let mut interrupts = session.interrupts.clone();
    interrupts.mark_unchanged();
    interrupts
}

/// A statement on its way.
struct Running {
    progress: Option<Progress>,
    tap: Arc<Tap>,
    n_bytes_before: u64,
    started: Instant,
    /// Time the pager kept us waiting, which is a person reading.
    reading: Duration,
    output: Option<Output>,
    writer: Option<Box<dyn RowWriter>>,
    n_rows: u64,
    failure: Option<ClientError>,
    /// The server was asked to stop.
    stopping: bool,
    /// The person left the pager: what still comes is dropped.
    left: bool,
}

impl Running {
    fn new(session: &Session, connection: &Connection) -> Self {
        let tap = Arc::clone(&connection.tap);
        tap.start_query();
        let columns = session.screen.size.map(|(columns, _)| columns);
        Self {
            progress: Progress::start(
                &session.side,
                tap.process_id(),
                session.screen.error_color,
                columns,
            ),
            n_bytes_before: tap.n_bytes(),
            tap,
            started: Instant::now(),
            reading: Duration::ZERO,
            output: None,
            writer: None,
            n_rows: 0,
            failure: None,
            stopping: false,
            left: false,
        }
    }

    fn n_bytes(&self) -> u64 {
        self.tap.n_bytes().saturating_sub(self.n_bytes_before)
    }

    fn stop(&mut self, connection: &Connection) {
        self.stopping = true;
        if let Some(progress) = &mut self.progress {
            progress.set_stopping();
        }
        tokio::spawn(connection.cancel_request());
    }

    fn tick(&mut self) {
        let (n_rows, n_bytes) = (self.n_rows, self.n_bytes());
        // A result that waits for its first row has not got the screen yet.
        let on_screen = n_rows > 0 && self.output.as_ref().is_some_and(Output::is_on_screen);
        if let Some(progress) = &mut self.progress
            && !on_screen
        {
            progress.tick(n_rows, n_bytes);
        }
    }

    fn notice(&mut self, notice: &DbError) {
        if let Some(progress) = &mut self.progress {
            progress.clear();
        }
        write_notice(notice);
    }

    /// Handles one message; a failure is kept until the server is done with the statement.
    fn take(
        &mut self,
        session: &mut Session,
        connection: &Connection,
        message: std::result::Result<SimpleQueryMessage, tokio_postgres::Error>,
    ) {
        let taken = match message {
            Ok(message) if !self.left && self.failure.is_none() => {
                self.take_result(session, &message)
            }
            Ok(_) => Ok(()),
            // The error that follows from our own request to stop is not the cause.
            Err(_) if self.left => Ok(()),
            Err(error) => Err(ClientError::from(error)),
        };
        let Err(error) = taken else { return };
        if self.failure.is_some() {
            return;
        }
        let from_server = matches!(error, ClientError::Database(_) | ClientError::Lost { .. });
        if matches!(error, ClientError::OutputClosed)
            && matches!(self.output, Some(Output::Pager(_)))
        {
            self.left = true;
        } else {
            self.failure = Some(error);
        }
        if !from_server && !self.stopping {
            self.stop(connection);
        }
    }

    fn take_result(&mut self, session: &mut Session, message: &SimpleQueryMessage) -> Result<()> {
        match message {
            SimpleQueryMessage::RowDescription(names) => {
                let unknown =
                    |name: &str| Column { name: name.to_owned(), type_oid: 25, modifier: -1 };
                let columns =
                    self.tap.next_columns().filter(|columns| columns.len() == names.len());
                let columns = columns
                    .unwrap_or_else(|| names.iter().map(|column| unknown(column.name())).collect());
                self.writer =
                    Some(format::writer(session.settings.format, columns, &session.table_style()));
                self.output = Some(session.open_output());
                self.n_rows = 0;
                Ok(())
            }
            SimpleQueryMessage::Row(row) => {
                self.n_rows += 1;
                if let (1, Some(progress)) = (self.n_rows, &mut self.progress) {
                    progress.clear();
                }
                let mut values = Vec::with_capacity(row.len());
                for index in 0..row.len() {
                    values.push(row.try_get(index)?);
                }
                if let (Some(writer), Some(output)) = (&mut self.writer, &mut self.output) {
                    let since = output.is_on_screen().then(Instant::now);
                    let written = writer.row(output.as_write(), &values);
                    self.reading += since.map_or(Duration::ZERO, |since| since.elapsed());
                    written?;
                }
                Ok(())
            }
            SimpleQueryMessage::CommandComplete(_) => self.complete(session),
            _ => Ok(()),
        }
    }

    /// Ends a result: what the writer kept, the footer or the command's tag.
    fn complete(&mut self, session: &mut Session) -> Result<()> {
        let tag = self.tap.next_tag().unwrap_or_default();
        let elapsed = self.started.elapsed().saturating_sub(self.reading);
        if let Some(progress) = &mut self.progress {
            progress.clear();
        }
        let details = session
            .settings
            .timing
            .then(|| format!("{} · {}", seconds(elapsed), progress::bytes(self.n_bytes())));
        let is_table = session.settings.format == Format::Table;
        let Some(mut writer) = self.writer.take() else {
            let time = if session.settings.timing {
                format!(" ({})", seconds(elapsed))
            } else {
                String::new()
            };
            if tag.is_empty() || !(is_table || session.interactive) {
                return Ok(());
            }
            let mut output = session.open_output();
            // In the other formats standard output carries nothing but results.
            match is_table {
                true => writeln!(output.as_write(), "{tag}{time}")?,
                false => writeln!(io::stderr(), "{tag}{time}")?,
            }
            return Ok(session.close_output(output)?);
        };
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        writer.finish(output.as_write())?;
        let plural = if self.n_rows == 1 { "row" } else { "rows" };
        let rows = format!("{} {plural}", self.n_rows);
        let footer = match details {
            Some(details) => format!("({rows} · {details})"),
            None => format!("({rows})"),
        };
        if is_table {
            writeln!(output.as_write(), "{footer}\n")?;
        }
        if let Some(output) = self.output.take() {
            session.close_output(output)?;
        }
        if !is_table && session.interactive {
            writeln!(io::stderr(), "{footer}")?;
        }
        Ok(())
    }

    /// Gives the output back and returns what the statement came to.
    fn end(mut self, session: &mut Session) -> Result<()> {
        self.progress = None;
        if let Some(output) = self.output.take() {
            let closed = session.close_output(output);
            if !self.left && self.failure.is_none() {
                closed?;
            }
        }
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn abandon(mut self, session: &mut Session) {
        self.progress = None;
        if let Some(output) = self.output.take() {
            let _ = session.close_output(output);
        }
    }
}

/// Writes a notice of the server to standard error.
fn write_notice(notice: &DbError) {
    let mut text = format!("{}: {}\n", notice.severity(), notice.message());
    for (label, value) in [("DETAIL", notice.detail()), ("HINT", notice.hint())] {
        if let Some(value) = value {
            text.push_str(&format!("{label}: {value}\n"));
        }
    }
    // Without standard error there is nobody to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Renders a time as people say it: `12 ms`, `0.53 s`, `2 min 5 s`.
fn seconds(elapsed: Duration) -> String {
    let millis = elapsed.as_millis();
    match millis {
        0 => "<1 ms".to_owned(),
        1..100 => format!("{millis} ms"),
        100..10_000 => format!("{:.2} s", elapsed.as_secs_f64()),
        10_000..60_000 => format!("{:.1} s", elapsed.as_secs_f64()),
        _ => format!("{} min {} s", elapsed.as_secs() / 60, elapsed.as_secs() % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (millis, expect) in [
            (3, "3 ms"),
            (123, "0.12 s"),
            (9_994, "9.99 s"),
            (12_340, "12.3 s"),
            (125_000, "2 min 5 s"),
        ] {
            assert_eq!(seconds(Duration::from_millis(millis)), expect);
        }
    }
}
