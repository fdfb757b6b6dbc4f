//! Keeps logs short: checkpoints, and the removal of commits that a checkpoint has made unneeded.
//!
//! ```text
//! commit N, N a multiple of delta.checkpointInterval
//!    └─▶ background: checkpoint N ─▶ _last_checkpoint ─▶ commits that are too old are deleted
//! ```
//! No statement waits for it. What fails is tried again after the next commit; a table is read without
//! it just as well, only slower. The first commit of a process looks whether a checkpoint is overdue:
//! processes that die often, or end before they have one, would let the log grow for ever.
//!
//! The form of checkpoints is the kernel's choice by the table's features: v1, or v2 where the table
//! has the feature `v2Checkpoint`, with its files in sidecars where `delta.checkpointPolicy` is `v2`.
//! Source: Delta protocol, sections "Checkpoints", "Metadata Cleanup".

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::sync::{Notify, Semaphore};

use super::replay::log_runtime;
use super::snapshot::DeltaSnapshot;
use super::table::DeltaTable;
use crate::{CatalogError, Result, Travel};

/// Commits from one checkpoint to the next, unless the table says otherwise.
const CHECKPOINT_INTERVAL_COMMITS: u64 = 10;
/// How long a log is kept, unless the table says otherwise.
const LOG_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Tables whose logs are worked on at a time.
const TABLES_AT_A_TIME_MAX: usize = 2;

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static ENDED: Notify = Notify::const_new();
static TURNS: Semaphore = Semaphore::const_new(TABLES_AT_A_TIME_MAX);

/// What the upkeep of a log has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// The version of the checkpoint that was written.
    pub checkpoint: Option<u64>,
    /// Files of the log that were deleted.
    pub files_deleted: usize,
}

/// Waits until the work on logs, and on files that nobody needs, that was begun has ended.
///
/// # Cancel safety
/// The work goes on.
pub async fn finish_upkeep() {
    loop {
        let ended = ENDED.notified();
        if RUNNING.load(Ordering::Acquire) == 0 {
            return;
        }
        ended.await;
    }
}

/// Counts a task for as long as it runs, also when it panics.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
        ENDED.notify_waiters();
    }
}

/// Begins work that no statement waits for, and that the end of the process does.
pub(super) fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    let Ok(runtime) = log_runtime() else { return };
    RUNNING.fetch_add(1, Ordering::AcqRel);
    let running = Running;
    runtime.spawn(async move {
        let _running = running;
        work.await;
    });
}

/// Begins what is due after one of several commits.
pub(super) fn after_commits(
    table: Arc<DeltaTable>,
    snapshot: &DeltaSnapshot,
    versions: RangeInclusive<u64>,
) {
    let interval = interval(snapshot).max(1);
    let due = versions.end() / interval * interval;
    if versions.contains(&due) {
        after_commit(table, snapshot, due);
    }
}

/// Begins what is due after a commit.
pub(super) fn after_commit(table: Arc<DeltaTable>, snapshot: &DeltaSnapshot, version: u64) {
    let interval = interval(snapshot).max(1);
    let is_due = version.is_multiple_of(interval);
    let looks = table.looks_for_overdue.swap(false, Ordering::Relaxed);
    if !is_due && !looks {
        return;
    }
    in_background(async move {
        let _turn = TURNS.acquire().await;
        let done = match is_due {
            true => table.keep_up(version).await,
            false => table.keep_up_overdue(version, interval).await,
        };
        match done {
            Ok(done) => tracing::debug!(table = table.name, version, ?done, "log kept short"),
            Err(error) => {
                table.looks_for_overdue.store(true, Ordering::Relaxed);
                tracing::info!(
                    table = table.name,
                    version,
                    error = &error as &dyn std::error::Error,
                    "no checkpoint now"
                );
            }
        }
    });
}

impl DeltaTable {
    /// Writes a checkpoint of a version, and deletes what is too old of the log.
    ///
    /// # Errors
    /// `Storage`, `WriteStorage`, `Corrupt`.
    pub async fn keep_up(&self, version: u64) -> Result<Upkeep> {
        // One at a time, and never an older one after a newer: the hint would point to the older.
        let table = self.snapshot(Travel::Latest).await?.table_identity;
        let mut newest = self.checkpointed.lock().await;
        if newest.0 == table && newest.1 > version {
            return Ok(Upkeep::default());
        }
        let (snapshot, is_written) = self.write_checkpoint(version).await?;
        *newest = (table, version);
        let mut done = Upkeep { checkpoint: is_written.then_some(version), files_deleted: 0 };
        let is_protected = snapshot.metadata.protocol().has("checkpointProtection");
        let is_off = snapshot
            .property("delta.enableExpiredLogCleanup")
            .is_some_and(|value| value.eq_ignore_ascii_case("false"));
        if !is_protected && !is_off {
            let kept = snapshot
                .property("delta.logRetentionDuration")
                .and_then(parse_interval)
                .unwrap_or(LOG_RETENTION);
            done.files_deleted = self.clean_log(Utc::now() - kept).await?;
        }
        Ok(done)
    }

    /// The same where the newest checkpoint is older than it should be.
    async fn keep_up_overdue(&self, version: u64, interval: u64) -> Result<Upkeep> {
        let newest = self.hinted_checkpoint().await?.unwrap_or_default();
        if version < newest.saturating_add(interval) {
            return Ok(Upkeep::default());
        }
        self.keep_up(version).await
    }

    /// The version that `_last_checkpoint` names; `None` where there is no such file or no version
    /// in it, because it is a hint only.
    async fn hinted_checkpoint(&self) -> Result<Option<u64>> {
        let path = self.root.clone().join("_delta_log").join("_last_checkpoint");
        let read = async { self.store.get(&path).await?.bytes().await };
        match read.await {
            Ok(bytes) => {
                let hint: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
                Ok(hint.and_then(|hint| hint.get("version")?.as_u64()))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(CatalogError::Storage {
                what: format!("the log of table \"{}\"", self.name),
                source: Box::new(source),
            }),
        }
    }

    /// Deletes commits and checkpoints that were written before an instant and that no version
    /// after it needs.
    async fn clean_log(&self, before: DateTime<Utc>) -> Result<usize> {
        let folder = self.root.clone().join("_delta_log");
        let unreadable = |source: object_store::Error| CatalogError::Storage {
            what: format!("the log of table \"{}\"", self.name),
            source: Box::new(source),
        };
        // Only the files of the log itself: sidecars are in a folder below.
        let listed = self.store.list_with_delimiter(Some(&folder)).await.map_err(unreadable)?;
        let unneeded = unneeded(&listed.objects, before);
        let n = unneeded.len();
        for path in unneeded {
            match self.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => {
                    return Err(CatalogError::WriteStorage {
                        what: format!("{path}"),
                        source: Box::new(source),
                    });
                }
            }
        }
        Ok(n)
    }
}

/// The files to delete, the oldest first, so that what is left has no hole at any time.
fn unneeded(files: &[ObjectMeta], before: DateTime<Utc>) -> Vec<Path> {
    let (mut commits, mut parts) = (BTreeMap::new(), BTreeMap::<u64, (usize, usize)>::new());
    for file in files {
        match kind_of(&file.location) {
            Some((version, Kind::Commit)) => drop(commits.insert(version, file.last_modified)),
            Some((version, Kind::Checkpoint { n_parts })) => {
                let seen = parts.entry(version).or_insert((0, n_parts));
                seen.0 += 1;
            }
            Some((_, Kind::Other)) | None => {}
        }
    }
    // A version is past when it and all before it are.
    let past = commits.iter().take_while(|(_, at)| **at <= before).map(|(version, _)| *version);
    let Some(last_past) = past.last() else { return vec![] };
    let whole = parts.iter().filter(|(_, (seen, needed))| seen >= needed);
    let Some(first_kept) = whole.map(|(version, _)| *version).filter(|v| *v <= last_past).max()
    else {
        return vec![];
    };
    let mut gone: Vec<(u64, &Path)> = files
        .iter()
        .filter_map(|file| Some((kind_of(&file.location)?.0, &file.location)))
        .filter(|(version, _)| *version < first_kept)
        .collect();
    gone.sort();
    gone.into_iter().map(|(_, path)| path.clone()).collect()
}

/// What a file of the log is.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Commit,
    /// One of so many files of a checkpoint.
    Checkpoint {
        n_parts: usize,
    },
    /// Checksums and merged commits.
    Other,
}

/// `…07.json`, `…10.checkpoint.parquet`, `…10.checkpoint.<part>.<parts>.parquet`,
/// `…10.checkpoint.<uuid>.json`, `…10.crc`, `…01.…09.compacted.json`.
fn kind_of(path: &Path) -> Option<(u64, Kind)> {
    let mut words = path.filename()?.split('.');
    let version = words.next().filter(|v| v.len() == 20)?.parse().ok()?;
    let words: Vec<&str> = words.collect();
    let kind = match words.as_slice() {
        ["json"] => Kind::Commit,
        ["checkpoint", "parquet"] | ["checkpoint", _, "parquet" | "json"] => {
            Kind::Checkpoint { n_parts: 1 }
        }
        ["checkpoint", _, n_parts, "parquet"] => {
            Kind::Checkpoint { n_parts: n_parts.parse().ok()? }
        }
        ["crc"] | [_, "compacted", "json"] => Kind::Other,
        _ => return None,
    };
    Some((version, kind))
}

/// Commits between checkpoints.
pub(super) fn interval(snapshot: &DeltaSnapshot) -> u64 {
    let interval = snapshot.property("delta.checkpointInterval").and_then(|n| n.parse().ok());
    interval.filter(|n| *n > 0).unwrap_or(CHECKPOINT_INTERVAL_COMMITS)
}

/// Reads `interval 30 days`, `1 week`, `interval 1 hour 30 minutes`.
fn parse_interval(text: &str) -> Option<Duration> {
    let text = text.trim().to_ascii_lowercase();
    let mut words = text.strip_prefix("interval").unwrap_or(&text).split_whitespace().peekable();
    words.peek()?;
    let mut sum_s = 0_u64;
    while let Some(number) = words.next() {
        let number: u64 = number.parse().ok()?;
        let unit_s = match words.next()?.trim_end_matches('s') {
            "week" => 7 * 24 * 60 * 60,
            "day" => 24 * 60 * 60,
            "hour" => 60 * 60,
            "minute" => 60,
            "second" => 1,
            "millisecond" | "microsecond" | "nanosecond" => 0,
            _ => return None,
        };
        sum_s = sum_s.checked_add(number.checked_mul(unit_s)?)?;
    }
    // Longer than any log lasts, and short enough to count with.
    Some(Duration::from_secs(sum_s.min(100 * 365 * 24 * 60 * 60)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_intervals() {
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(parse_interval(text), seconds.map(Duration::from_secs), "{text}");
        };
        check("interval 30 days", Some(2_592_000));
        check("INTERVAL 1 week", Some(604_800));
        check("1 hour 30 minutes", Some(5_400));
        check("interval 0 seconds", Some(0));
        check("interval", None);
        check("interval 3 moons", None);
        check("interval x days", None);
    }

    #[test]
    fn keeps_what_newer_versions_need() {
        let at = |s: i64| DateTime::from_timestamp(s, 0).unwrap();
        let file = |name: &str, s: i64| ObjectMeta {
            location: Path::from(format!("t/_delta_log/{name}")),
            last_modified: at(s),
            size: 1,
            e_tag: None,
            version: None,
        };
        let mut files: Vec<ObjectMeta> =
            (0..10).map(|v| file(&format!("{v:020}.json"), v)).collect();
        let names = |files: &[ObjectMeta], before: i64| -> Vec<String> {
            let gone = unneeded(files, at(before));
            gone.iter()
                .map(|p| p.filename().unwrap_or_default().trim_start_matches('0').to_owned())
                .collect()
        };
        assert!(names(&files, 100).is_empty(), "no checkpoint, nothing goes");
        files.push(file(&format!("{:020}.checkpoint.parquet", 2), 2));
        files.push(file(&format!("{:020}.checkpoint.0000000001.0000000002.parquet", 6), 6));
        files.push(file("_last_checkpoint", 6));
        assert_eq!(names(&files, 8), [".json", "1.json"], "half a checkpoint is none");
        files.push(file(&format!("{:020}.checkpoint.0000000002.0000000002.parquet", 6), 6));
        assert_eq!(
            names(&files, 6),
            [".json", "1.json", "2.checkpoint.parquet", "2.json", "3.json", "4.json", "5.json"]
        );
        assert_eq!(names(&files, 5), [".json", "1.json"]);
        assert!(names(&files, 1).is_empty(), "version 1 may be read, and needs the one before");
    }
}
