//! Runs the records of one file.
//!
//! Parsing, sorting, hashing and comparing is the `sqllogictest` crate's; the loop is ours, so that a failing record
//! does not end the file, records are timed, and the connection learns which column types a record expects.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sqllogictest_lib::{
    Condition, Normalizer, QueryExpect, Record, RecordOutput, Runner, default_normalizer,
    default_validator, parse_file,
};

use crate::answer::{Letter, SqlError, Values};
use crate::database::{Database, Expecting, FileState};
use crate::target::Target;

/// The label that `skipif` gives to records whose answer differs from PostgreSQL's.
const KNOWN: &str = "tarn";

/// How files are run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Longest time a record may take.
    pub timeout: Duration,
    /// Whether the records after a failure run too; `None`: in foreign suites only.
    pub keep_going: Option<bool>,
    /// Whether records run that are skipped as known differences (`skipif tarn`).
    pub run_known: bool,
}

/// One test file.
#[derive(Debug, Clone)]
pub struct SuiteFile {
    /// Where it is.
    pub path: PathBuf,
    /// What reports call it: the path below the suite's folder.
    pub name: String,
    /// Whether it belongs to the project or to a suite given as a path.
    pub is_foreign: bool,
    /// Only the record at this line is compared; statements before it run.
    pub line: Option<u32>,
}

impl SuiteFile {
    /// How the file's values are written.
    pub fn values(&self) -> Values {
        if self.is_foreign { Values::Sqlite } else { Values::Exact }
    }
}

/// One record that did not answer as expected.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Line of the record.
    pub line: u32,
    /// SQL, expectation and answer.
    pub text: String,
}

/// What became of a file.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// Name of the file.
    pub name: String,
    /// Records that answered as expected.
    pub n_passed: usize,
    /// Records that are for other engines, behind `halt`, or behind a failure that ended the file.
    pub n_skipped: usize,
    /// Records that did not.
    pub failures: Vec<Failure>,
    /// Time of each record that ran, by line.
    pub timings: Vec<(Duration, u32)>,
}

pub(crate) type ConnectFuture = Pin<Box<dyn Future<Output = Result<Database, SqlError>> + Send>>;
pub(crate) type FileRunner = Runner<Database, Box<dyn FnMut() -> ConnectFuture + Send>>;

/// A runner with a schema of its own, to be closed by [`close`].
pub(crate) async fn open(
    target: &Arc<Target>,
    file: &SuiteFile,
    options: &RunOptions,
) -> Result<(FileRunner, Arc<FileState>)> {
    static NEXT_SCHEMA: AtomicU64 = AtomicU64::new(0);
    let number = NEXT_SCHEMA.fetch_add(1, Ordering::Relaxed);
    let state = Arc::new(FileState {
        schema: format!("slt_{}_{number}", std::process::id()),
        values: file.values(),
        timeout: options.timeout,
        expecting: Mutex::default(),
    });
    let mut session = target.session().await?;
    session
        .run(&format!("CREATE SCHEMA {}", state.schema), false)
        .await
        .context("cannot create the file's schema")?;
    let (for_connections, shared) = (Arc::clone(target), Arc::clone(&state));
    let mut runner: FileRunner = Runner::new(Box::new(move || {
        Box::pin(Database::connect(Arc::clone(&for_connections), Arc::clone(&shared)))
            as ConnectFuture
    }));
    let labels = target.engine().labels().iter();
    for label in labels.filter(|label| **label != KNOWN || !options.run_known) {
        runner.add_label(label);
    }
    if target.is_extended() {
        runner.add_label("extended");
    }
    match file.values() {
        Values::Exact => {
            runner.with_validator(exact_validator);
            runner.with_column_validator(letters_match);
        }
        Values::Sqlite => runner.with_validator(sqlite_validator),
    }
    Ok((runner, state))
}

/// Drops the file's schema.
pub(crate) async fn close(target: &Target, mut runner: FileRunner, state: &FileState) {
    runner.shutdown_async().await;
    // What is left behind has a name of its own and disturbs no other file.
    if let Ok(mut session) = target.session().await {
        let _ =
            session.run(&format!("DROP SCHEMA IF EXISTS {} CASCADE", state.schema), false).await;
    }
}

/// Runs a file; a file that cannot be read or a server that cannot be reached is an error.
pub async fn run_file(
    target: Arc<Target>,
    file: SuiteFile,
    options: RunOptions,
) -> Result<FileReport> {
    let records = records_of(&file)?;
    let (mut runner, state) =
        open(&target, &file, &options).await.with_context(|| format!("running {}", file.name))?;
    let keep_going = options.keep_going.unwrap_or(file.is_foreign);
    let mut report = FileReport {
        name: file.name.clone(),
        n_passed: 0,
        n_skipped: 0,
        failures: Vec::new(),
        timings: Vec::new(),
    };
    let mut conditions = PendingConditions::default();
    let mut is_over = false;
    for record in records {
        let record = conditions.apply(record);
        if matches!(record, Record::Halt { .. }) {
            is_over |= conditions.take_all_hold(&target);
            continue;
        }
        let Some(line) = line_of(&record) else {
            // Comments, conditions and controls; they cannot fail.
            let _ = runner.run_async(record).await;
            continue;
        };
        if is_over || !is_selected(&file, &record, line) {
            report.n_skipped += 1;
            continue;
        }
        expect_letters(&state, &record);
        let started_at = Instant::now();
        let outcome = runner.run_async(record).await;
        report.timings.push((started_at.elapsed(), line));
        match outcome {
            Ok(RecordOutput::Nothing) => report.n_skipped += 1,
            Ok(_) => report.n_passed += 1,
            Err(error) => {
                report.failures.push(Failure { line, text: error.kind().to_string() });
                is_over |= !keep_going;
            }
        }
    }
    close(&target, runner, &state).await;
    Ok(report)
}

/// Parses a file, included files in place.
pub(crate) fn records_of(file: &SuiteFile) -> Result<Vec<Record<Letter>>> {
    parse_file(&file.path).map_err(|e| anyhow::anyhow!("{}: {e}", file.name))
}

/// Tells the connections which column types the next record expects.
pub(crate) fn expect_letters(state: &FileState, record: &Record<Letter>) {
    let letters = match record {
        Record::Query { expected: QueryExpect::Results { types, .. }, .. } => Some(types.clone()),
        _ => None,
    };
    *state.expecting.lock().expect("no holder panics") = Expecting { letters };
}

/// Line of a record that counts, `None` for the others.
pub(crate) fn line_of(record: &Record<Letter>) -> Option<u32> {
    match record {
        Record::Statement { loc, .. } | Record::Query { loc, .. } | Record::Let { loc, .. } => {
            Some(loc.line())
        }
        _ => None,
    }
}

/// With a line given, statements before it run, queries only when it falls into them.
fn is_selected(file: &SuiteFile, record: &Record<Letter>, line: u32) -> bool {
    let Some(wanted) = file.line else { return true };
    let n_lines = u32::try_from(record.to_string().lines().count()).unwrap_or(u32::MAX);
    let is_hit = (line..=line.saturating_add(n_lines)).contains(&wanted);
    is_hit || (line < wanted && matches!(record, Record::Statement { .. }))
}

/// Conditions read but not yet used by a record.
///
/// The crate hands a condition before `halt` on to the next statement, because its `Halt` has no conditions.
#[derive(Default)]
pub(crate) struct PendingConditions {
    pending: Vec<Condition>,
    n_stale: usize,
}

impl PendingConditions {
    /// Follows one record and takes stale conditions from it.
    pub(crate) fn apply(&mut self, mut record: Record<Letter>) -> Record<Letter> {
        match &mut record {
            Record::Condition(condition) => self.pending.push(condition.clone()),
            Record::Statement { conditions, .. }
            | Record::Query { conditions, .. }
            | Record::System { conditions, .. }
            | Record::Let { conditions, .. } => {
                conditions.drain(..self.n_stale.min(conditions.len()));
                self.n_stale = 0;
                self.pending.clear();
            }
            _ => {}
        }
        record
    }

    /// Whether the conditions before a `halt` hold, which uses them up.
    pub(crate) fn take_all_hold(&mut self, target: &Target) -> bool {
        let has = |label: &String| {
            let engine = target.engine();
            engine.name() == label || engine.labels().contains(&label.as_str())
        };
        self.n_stale += self.pending.len();
        self.pending.drain(..).all(|condition| match condition {
            Condition::OnlyIf { label } => has(&label),
            Condition::SkipIf { label } => !has(&label),
        })
    }
}

/// Compares whole lines, blanks at the end aside.
pub(crate) fn exact_validator(
    normalizer: Normalizer,
    actual: &[Vec<String>],
    expected: &[String],
) -> bool {
    if expected.iter().any(|line| line.contains("<slt:ignore>")) {
        return default_validator(normalizer, actual, expected);
    }
    actual.len() == expected.len()
        && actual
            .iter()
            .zip(expected)
            .all(|(row, line)| row.join(" ").trim_end() == line.trim_end())
}

/// SQLite's files hold one value a line, other suites one row a line.
fn sqlite_validator(_: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    let values = actual.iter().flatten().map(default_normalizer);
    let rows = actual.iter().map(|row| default_normalizer(&row.join(" ")));
    let expected = || expected.iter().map(default_normalizer);
    values.eq(expected()) || rows.eq(expected())
}

/// Compares column types, where both sides know them.
#[expect(clippy::ptr_arg, reason = "the signature is the sqllogictest crate's")]
pub(crate) fn letters_match(actual: &Vec<Letter>, expected: &Vec<Letter>) -> bool {
    actual.len() == expected.len()
        && actual.iter().zip(expected).all(|(actual, expected)| {
            actual == expected || [*actual, *expected].contains(&Letter::Any)
        })
}
