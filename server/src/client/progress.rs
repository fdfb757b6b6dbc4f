//! The line on standard error that says how far a slow query is.
//!
//! The server is asked over a second connection for the row of `tarn.queries` that belongs to the
//! first one. Other servers have no such table; then only time and what was received are shown.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio_postgres::SimpleQueryRow;
use unicode_width::UnicodeWidthStr;

use super::connect::Connection;
use super::error::{ClientError, Result};
use super::target::Target;

/// Queries faster than this show nothing.
const SHOW_AFTER: Duration = Duration::from_millis(500);
pub(super) const FRAME: Duration = Duration::from_millis(100);
const POLL_EVERY: Duration = Duration::from_millis(250);
const BAR_COLUMNS: usize = 24;
const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// A second connection, opened when first needed, for questions while the first one is busy.
#[derive(Debug)]
pub(super) struct SideConnection {
    target: Target,
    connection: Mutex<Option<Connection>>,
    /// The server has no `tarn.queries`.
    no_progress: AtomicBool,
}

impl SideConnection {
    pub(super) fn new(target: Target) -> Arc<Self> {
        Arc::new(Self { target, connection: Mutex::new(None), no_progress: AtomicBool::new(false) })
    }

    /// Closes the connection, if it was ever opened.
    pub(super) async fn close(&self) {
        if let Ok(mut slot) = self.connection.try_lock()
            && let Some(connection) = slot.take()
        {
            connection.close().await;
        }
    }

    /// Runs a small query.
    pub(super) async fn rows(&self, sql: &str) -> Result<Vec<SimpleQueryRow>> {
        let mut slot = self.connection.lock().await;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => self.target.connect().await?,
        };
        let rows = connection.rows(sql).await;
        if !rows.as_ref().is_err_and(ClientError::ends_connection) {
            *slot = Some(connection);
        }
        rows
    }
}

/// What the server says about the running query.
#[derive(Debug, Clone, Default, PartialEq)]
struct Report {
    state: String,
    /// Part done, 0 to 1.
    done: Option<f64>,
    /// Read from the tables so far.
    n_rows: Option<u64>,
    n_bytes_scanned: Option<u64>,
}

/// Draws the line. Dropping it removes the line and stops asking.
#[derive(Debug)]
pub(super) struct Progress {
    started: Instant,
    frame: usize,
    shown: bool,
    color: bool,
    screen_columns: usize,
    /// The server was asked to stop and has not done so yet.
    stopping: bool,
    side: Arc<SideConnection>,
    process_id: i32,
    poller: Option<(JoinHandle<()>, watch::Receiver<Option<Report>>)>,
}

impl Progress {
    /// Starts for a query that runs on the connection with this process id; nothing when nobody
    /// would see the line.
    pub(super) fn start(
        side: &Arc<SideConnection>,
        process_id: i32,
        color: bool,
        columns: Option<usize>,
    ) -> Option<Self> {
        io::stderr().is_terminal().then(|| Self {
            started: Instant::now(),
            frame: 0,
            shown: false,
            color,
            screen_columns: columns.unwrap_or(80),
            stopping: false,
            side: Arc::clone(side),
            process_id,
            poller: None,
        })
    }

    /// Says from now on that the server was asked to stop.
    pub(super) fn set_stopping(&mut self) {
        self.stopping = true;
    }

    /// Draws the next frame, given what the client has received.
    pub(super) fn tick(&mut self, n_rows_received: u64, n_bytes_received: u64) {
        let elapsed = self.started.elapsed();
        if elapsed < SHOW_AFTER {
            return;
        }
        if self.poller.is_none() && !self.side.no_progress.load(Ordering::Relaxed) {
            self.poller = Some(poll(Arc::clone(&self.side), self.process_id));
        }
        let report = self.poller.as_ref().and_then(|(_, reports)| reports.borrow().clone());
        self.frame += 1;
        let spinner = SPINNER.get(self.frame % SPINNER.len()).copied().unwrap_or('-');
        let mut line = line(spinner, elapsed, report.as_ref(), n_rows_received, n_bytes_received);
        if self.stopping {
            line.push_str(" · stopping, Ctrl-C again gives up waiting");
        }
        let line = fit(&line, self.screen_columns.saturating_sub(1));
        let (paint, reset) = if self.color { ("\x1b[36m", "\x1b[0m") } else { ("", "") };
        self.shown = true;
        // A progress line that cannot be drawn is no reason to stop the query.
        let _ = write!(io::stderr(), "\r\x1b[2K{paint}{line}{reset}");
    }

    /// Removes the line, for other output to appear.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
        if let Some((task, _)) = &self.poller {
            task.abort();
        }
    }
}

fn poll(
    side: Arc<SideConnection>,
    process_id: i32,
) -> (JoinHandle<()>, watch::Receiver<Option<Report>>) {
    let (sender, receiver) = watch::channel(None);
    // All columns: which there are depends on the server's version.
    let sql = format!("SELECT * FROM tarn.queries WHERE pid = {process_id}");
    let task = tokio::spawn(async move {
        loop {
            match side.rows(&sql).await {
                Ok(rows) => {
                    let report = rows.iter().map(|row| report(|name| value(row, name))).next();
                    sender.send_replace(report);
                }
                Err(ClientError::Database(_)) => {
                    side.no_progress.store(true, Ordering::Relaxed);
                    return;
                }
                Err(_) => return,
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    });
    (task, receiver)
}

fn value<'a>(row: &'a SimpleQueryRow, name: &str) -> Option<&'a str> {
    row.try_get(name).ok().flatten()
}

fn report<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Report {
    let number = |name: &str| value(name).and_then(|text| text.parse().ok());
    let done = value("progress").and_then(|text| text.parse().ok());
    Report {
        state: value("state").unwrap_or_default().to_owned(),
        done: done.filter(|done: &f64| done.is_finite()),
        n_rows: number("rows_scanned"),
        n_bytes_scanned: number("bytes_scanned"),
    }
}

fn line(
    spinner: char,
    elapsed: Duration,
    report: Option<&Report>,
    n_rows: u64,
    n_bytes: u64,
) -> String {
    let mut parts = vec![format!("{spinner} {:.1} s", elapsed.as_secs_f64())];
    if let Some(report) = report {
        if !report.state.is_empty() && report.state != "running" {
            parts.push(report.state.clone());
        }
        if let Some(done) = report.done {
            parts.push(bar(done));
        }
        parts.extend(amount(
            "scanned",
            report.n_rows.unwrap_or(0),
            report.n_bytes_scanned.unwrap_or(0),
        ));
    }
    parts.extend(amount("received", n_rows, if n_rows > 0 { n_bytes } else { 0 }));
    parts.join(" · ")
}

/// Renders rows and bytes, those that there are: `scanned 3.4 M rows, 1.2 GB`.
fn amount(what: &str, n_rows: u64, n_bytes: u64) -> Option<String> {
    let rows = match n_rows {
        0 => None,
        1 => Some("1 row".to_owned()),
        n => Some(format!("{} rows", count(n))),
    };
    let bytes = (n_bytes > 0).then(|| bytes(n_bytes));
    let both: Vec<String> = rows.into_iter().chain(bytes).collect();
    (!both.is_empty()).then(|| format!("{what} {}", both.join(", ")))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is within 0 and 1000"
)]
fn bar(done: f64) -> String {
    let per_mille = (done.clamp(0.0, 1.0) * 1000.0) as usize;
    let n_full = per_mille * BAR_COLUMNS / 1000;
    format!("{}{} {:>3} %", "━".repeat(n_full), "─".repeat(BAR_COLUMNS - n_full), per_mille / 10)
}

fn fit(line: &str, columns: usize) -> String {
    let mut shown = line.to_owned();
    while shown.width() > columns {
        shown.pop();
    }
    shown
}

/// Renders a number of bytes in decimal units: `1.2 MB`.
pub(super) fn bytes(n_bytes: u64) -> String {
    scaled(n_bytes, &["B", "kB", "MB", "GB", "TB"])
}

/// Renders a large number shortly: `3.4 M`.
fn count(n: u64) -> String {
    scaled(n, &["", "k", "M", "G", "T"]).trim_end().to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn scaled(n: u64, units: &[&str]) -> String {
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 9.95);
    format!("{value:.digits$} {}", units.get(unit).unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (n, expect) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (9_960, "10 kB"),
            (999_600, "1.0 MB"),
            (1_234_567, "1.2 MB"),
            (25_000_000_000, "25 GB"),
        ] {
            assert_eq!(bytes(n), expect);
        }
        assert_eq!(count(3_400_000), "3.4 M");
        assert_eq!(count(12), "12");
    }

    #[test]
    fn lines() {
        let elapsed = Duration::from_millis(3_240);
        assert_eq!(line('x', elapsed, None, 0, 0), "x 3.2 s");
        let report = Report {
            state: "running".to_owned(),
            done: Some(0.5),
            n_rows: Some(0),
            n_bytes_scanned: Some(1_200_000_000),
        };
        assert_eq!(
            line('x', elapsed, Some(&report), 1_000, 2_000_000),
            "x 3.2 s · ━━━━━━━━━━━━────────────  50 % · scanned 1.2 GB · received 1.0 k rows, 2.0 MB"
        );
        assert_eq!(fit("日本語", 5), "日本");
    }
}
