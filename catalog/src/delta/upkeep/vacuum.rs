//! Which files no version needs, and deleting them.
//!
//! A file stays if
//! - a version that was the newest at any time since the cutoff has it, its deletion vectors and its
//!   files of changed rows included,
//! - a reader of this server holds a version with it, or may come to read one ([`Awaited`]),
//! - the log does not know it and it is young: a writer may be about to commit it,
//! - its name or one of its folders begins with `_` or `.`, as the log's does,
//! - it is below a folder of this one that is a table of its own.
//!
//! The cutoff is now less the retention. Readers of other servers are protected by it alone.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::readers::add_files;
use crate::delta::DeltaTable;
use crate::delta::history::commits::Commit;
use crate::delta::index::object_path;
use crate::delta::snapshot::DeltaSnapshot;
use crate::{CatalogError, Result, Travel};

/// A file that the log does not know is younger than this while its writer may still commit it.
const UNCOMMITTED_HOURS_MIN: i64 = 24;
/// Files that are deleted between two looks at the count.
const DELETES_BATCH_MAX: usize = 1_000;
/// The table property with the time that deleted files are kept.
const RETENTION: &str = "delta.deletedFileRetentionDuration";
/// The time where the table has no such property.
const RETENTION_HOURS_DEFAULT: f64 = 168.0;
/// The folder of files of changed rows, the only one with a `_` that is looked into.
const CHANGE_DATA: &str = "_change_data";

/// A file that no version needs.
#[derive(Debug, Clone)]
pub struct Unneeded {
    /// The path below the table's folder.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// When it was written.
    pub modified: DateTime<Utc>,
    location: Path,
}

/// What readers may come to read who have not looked at the table yet, and so hold nothing of it.
#[derive(Debug, Clone)]
pub struct Awaited {
    /// Versions that were the newest at this moment or after it.
    pub since: DateTime<Utc>,
    /// Single versions. Those that there are not count for nothing: nobody can read them.
    pub versions: Vec<Travel>,
}

/// What a vacuum would do.
#[derive(Debug, Clone)]
pub struct VacuumPlan {
    /// The files to delete.
    pub files: Vec<Unneeded>,
    /// Files that stay.
    pub n_kept: u64,
    /// The newest version.
    pub version: u64,
}

impl VacuumPlan {
    /// Bytes of the files to delete.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }
}

impl DeltaSnapshot {
    /// Hours for which the table keeps files that are no longer part of it.
    ///
    /// # Errors
    /// `InvalidProperty` where the table says it in words that are not understood: a time that is
    /// too short would cost its owner files.
    pub fn retention_hours(&self) -> Result<f64> {
        hours_configured(self.metadata().configuration().get(RETENTION).map(String::as_str))
    }
}

fn hours_configured(text: Option<&str>) -> Result<f64> {
    let Some(text) = text else { return Ok(RETENTION_HOURS_DEFAULT) };
    hours_of(text).ok_or_else(|| CatalogError::InvalidProperty {
        name: RETENTION.to_owned(),
        reason: format!(
            "\"{text}\" is no time in weeks, days, hours, minutes or seconds, such as 'interval \
             30 days'"
        ),
    })
}

/// Whether a property's text is a time that VACUUM and the log's clean-up understand.
pub(in crate::delta) fn is_interval(text: &str) -> bool {
    hours_of(text).is_some()
}

/// Reads `interval 1 week` and its kin.
fn hours_of(text: &str) -> Option<f64> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let words = words.strip_prefix(&["interval".to_owned()]).unwrap_or(&words);
    let mut hours = 0.0;
    let mut pairs = words.chunks_exact(2);
    for pair in &mut pairs {
        let [number, unit] = pair else { return None };
        let number: f64 = number.parse().ok()?;
        hours += number
            * match unit.trim_end_matches('s') {
                "week" => 168.0,
                "day" => 24.0,
                "hour" => 1.0,
                "minute" => 1.0 / 60.0,
                "second" => 1.0 / 3_600.0,
                "millisecond" => 1.0 / 3_600_000.0,
                "microsecond" => 1.0 / 3_600_000_000.0,
                _ => return None,
            };
    }
    (pairs.remainder().is_empty() && !words.is_empty()).then_some(hours)
}

impl DeltaTable {
    /// Finds the files that no version of the last hours needs, and no reader of this server.
    ///
    /// # Errors
    /// `Storage`, and `VersionNotFound` where a commit that has to be read is gone.
    pub fn find_unneeded(
        self: &Arc<Self>,
        retain_hours: f64,
        awaited: Awaited,
    ) -> BoxFuture<'static, Result<VacuumPlan>> {
        let table = Arc::clone(self);
        Box::pin(async move { table.plan_vacuum(retain_hours, &awaited, Utc::now()).await })
    }

    async fn plan_vacuum(
        self: &Arc<Self>,
        retain_hours: f64,
        awaited: &Awaited,
        now: DateTime<Utc>,
    ) -> Result<VacuumPlan> {
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and is bounded below")]
        let retain_ms = (retain_hours.max(0.0) * 3_600_000.0).min(1e15) as i64;
        let cutoff = (now - TimeDelta::milliseconds(retain_ms)).min(awaited.since);
        let young_since =
            now - TimeDelta::milliseconds(retain_ms).max(TimeDelta::hours(UNCOMMITTED_HOURS_MIN));
        // The listing comes first: what a commit adds after it is in none of its entries.
        let listed = self.list_files().await?;
        let newest = Box::pin(self.snapshot(Travel::Latest)).await?;
        let earliest = *self.history_range().await?.start();
        let at_cutoff = self.version_as_of(cutoff.timestamp_millis()).await?;
        let base = at_cutoff.unwrap_or(earliest).max(earliest);
        let mut needed = HashSet::new();
        let base_snapshot = Box::pin(self.snapshot(Travel::Version(base))).await?;
        for snapshot in [&base_snapshot, &newest] {
            add_files(&self.name, &self.url, &snapshot.index, &mut needed)?;
        }
        drop(base_snapshot);
        self.add_awaited(&awaited.versions, &mut needed).await?;
        let after = self.commits(base.saturating_add(1)..=newest.version()).await?;
        for commit in &after {
            self.add_commit(commit, &mut needed)?;
        }
        // Commits up to the cutoff, as far as they are there, tell which files were once committed.
        let present = self.commit_files().await?;
        let present = present.into_iter().map(|(version, _)| version);
        let before = self.commits_of(present.filter(|version| *version <= base).collect()).await?;
        // The base may be younger than the cutoff: its changed rows can still be asked for.
        for commit in before.iter().filter(|commit| commit.version == base) {
            self.add_commit(commit, &mut needed)?;
        }
        let mut known = HashSet::new();
        for commit in before.iter().chain(&after) {
            self.add_commit(commit, &mut known)?;
            for remove in &commit.removes {
                known.insert(object_path(&self.name, &self.url, &remove.path)?);
            }
        }
        self.forget_travelled();
        for index in self.readers.held() {
            add_files(&self.name, &self.url, &index, &mut needed)?;
        }
        let mut plan = VacuumPlan { files: vec![], n_kept: 0, version: newest.version() };
        for meta in listed {
            let is_needed = needed.contains(&meta.location);
            let is_young = !known.contains(&meta.location) && meta.last_modified > young_since;
            if is_needed || is_young {
                plan.n_kept += 1;
            } else {
                plan.files.push(self.unneeded(meta));
            }
        }
        Ok(plan)
    }

    /// Adds the files of versions that are asked for by name.
    async fn add_awaited(&self, versions: &[Travel], files: &mut HashSet<Path>) -> Result<()> {
        for travel in versions {
            match Box::pin(self.snapshot(travel.clone())).await {
                Ok(snapshot) => add_files(&self.name, &self.url, &snapshot.index, files)?,
                // Whoever asks for it gets the same answer.
                Err(
                    CatalogError::VersionNotFound { .. } | CatalogError::UnsupportedFeature { .. },
                ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The files below the table's folder that a vacuum may touch at all.
    async fn list_files(&self) -> Result<Vec<ObjectMeta>> {
        let entries = self.store.list(Some(&self.root));
        let mut files: Vec<ObjectMeta> =
            entries.try_collect().await.map_err(|source| CatalogError::Storage {
                what: format!("the files of table \"{}\"", self.name),
                source: Box::new(source),
            })?;
        let nested: HashSet<Path> =
            files.iter().filter_map(|file| self.table_within(&file.location)).collect();
        let is_nested = |location: &Path| {
            let parts: Vec<_> = location.parts().collect();
            !nested.is_empty()
                && (1..parts.len())
                    .any(|n| nested.contains(&parts.iter().take(n).cloned().collect::<Path>()))
        };
        files.retain(|file| !self.is_hidden(&file.location) && !is_nested(&file.location));
        Ok(files)
    }

    /// The folder of another table that a file below this one tells of.
    fn table_within(&self, location: &Path) -> Option<Path> {
        let below: Vec<_> = location.prefix_match(&self.root)?.collect();
        let at = below.iter().enumerate().skip(1).position(|(at, part)| match part.as_ref() {
            "_delta_log" => true,
            "metadata" => {
                below.get(at + 1).is_some_and(|file| file.as_ref().ends_with(".metadata.json"))
            }
            _ => false,
        })?;
        let n_root = location.parts().count().saturating_sub(below.len());
        Some(location.parts().take(n_root + at + 1).collect())
    }

    fn is_hidden(&self, location: &Path) -> bool {
        let Some(mut parts) = location.prefix_match(&self.root) else { return true };
        parts.any(|part| {
            let part = part.as_ref();
            // A partition column's name may begin with anything.
            let is_partition = part.contains('=');
            let is_hidden = part.starts_with('_') || part.starts_with('.');
            is_hidden && !is_partition && part != CHANGE_DATA
        })
    }

    /// Adds the files that a commit has put in, deletion vectors and changed rows included.
    fn add_commit(&self, commit: &Commit, files: &mut HashSet<Path>) -> Result<()> {
        let path = |text: &str| object_path(&self.name, &self.url, text);
        for add in &commit.adds {
            files.insert(path(&add.path)?);
        }
        for change in &commit.changes {
            files.insert(path(&change.path)?);
        }
        let removed = commit.removes.iter().map(|remove| &remove.deletion_vector);
        let vectors = commit.adds.iter().map(|add| &add.deletion_vector).chain(removed);
        for vector in vectors.flatten() {
            let vector = crate::delta::deletion_vector::DeletionVector::from(vector);
            if let Some(file) = vector.file() {
                files.insert(path(&file)?);
            }
        }
        Ok(())
    }

    fn unneeded(&self, meta: ObjectMeta) -> Unneeded {
        let below = meta.location.prefix_match(&self.root);
        let path = below.map(|parts| parts.collect::<Path>().to_string());
        Unneeded {
            path: path.unwrap_or_else(|| meta.location.to_string()),
            size_bytes: meta.size,
            modified: meta.last_modified,
            location: meta.location,
        }
    }

    /// Deletes files; `n_done` counts them while that goes on.
    ///
    /// # Errors
    /// `Storage`; some files are deleted then.
    /// # Cancel safety
    /// Dropping the future leaves the rest of the files.
    pub fn delete_unneeded(
        self: &Arc<Self>,
        plan: VacuumPlan,
        n_done: Arc<AtomicU64>,
    ) -> BoxFuture<'static, Result<()>> {
        let table = Arc::clone(self);
        Box::pin(async move {
            let locations: Vec<Path> = plan.files.into_iter().map(|file| file.location).collect();
            for batch in locations.chunks(DELETES_BATCH_MAX) {
                let batch: Vec<_> = batch.iter().cloned().map(Ok).collect();
                let mut deleted = table.store.delete_stream(stream::iter(batch).boxed());
                while let Some(done) = deleted.next().await {
                    match done {
                        // Gone already: somebody else vacuums.
                        Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                        Err(source) => {
                            return Err(CatalogError::Storage {
                                what: format!("deleting files of table \"{}\"", table.name),
                                source: Box::new(source),
                            });
                        }
                    }
                    n_done.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{RETENTION_HOURS_DEFAULT, hours_configured, hours_of};
    use crate::CatalogError;

    #[test]
    fn intervals() {
        let check = |text: &str, expected: Option<f64>| assert_eq!(hours_of(text), expected);
        check("interval 1 week", Some(168.0));
        check("interval 30 days", Some(720.0));
        check("INTERVAL 1 day 12 hours", Some(36.0));
        check("2 hours", Some(2.0));
        check("interval", None);
        check("interval 1", None);
        check("interval one week", None);
        check("interval 1 fortnight", None);
    }

    #[test]
    fn times_that_are_not_understood_are_no_times() {
        assert_eq!(hours_configured(None).ok(), Some(RETENTION_HOURS_DEFAULT));
        assert_eq!(hours_configured(Some("interval 2 days")).ok(), Some(48.0));
        for text in ["interval 2 months", "", "P60D"] {
            let error = hours_configured(Some(text)).expect_err("no time");
            let CatalogError::InvalidProperty { name, reason } = &error else {
                panic!("{error}");
            };
            assert_eq!(name, "delta.deletedFileRetentionDuration");
            assert!(reason.contains(text), "{reason}");
        }
    }
}
