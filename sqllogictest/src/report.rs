//! Totals and tables.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::file_run::FileReport;

/// Counted records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files they are from.
    pub n_files: usize,
    /// Records that answered as expected.
    pub n_passed: usize,
    /// Records that did not.
    pub n_failed: usize,
    /// Records that did not run.
    pub n_skipped: usize,
}

impl Totals {
    /// Sums `reports`.
    pub fn of<'a>(reports: impl IntoIterator<Item = &'a FileReport>) -> Self {
        let mut totals = Totals::default();
        for report in reports {
            totals.n_files += 1;
            totals.n_passed += report.n_passed;
            totals.n_failed += report.failures.len();
            totals.n_skipped += report.n_skipped;
        }
        totals
    }

    /// Percentage of the records that ran and passed; 100 when none ran.
    #[expect(clippy::cast_precision_loss, reason = "record counts are far below 2^52")]
    pub fn pass_rate(&self) -> f64 {
        let n_run = self.n_passed + self.n_failed;
        if n_run == 0 { 100.0 } else { 100.0 * self.n_passed as f64 / n_run as f64 }
    }
}

/// A table of pass rates, one line a folder, totals last.
pub fn folder_table(reports: &[FileReport]) -> String {
    let mut folders: BTreeMap<&str, Vec<&FileReport>> = BTreeMap::new();
    for report in reports {
        let folder = report.name.rsplit_once('/').map_or(".", |(folder, _)| folder);
        folders.entry(folder).or_default().push(report);
    }
    let width = folders.keys().map(|name| name.len()).max().unwrap_or(0).max(6);
    let mut table = format!("{:width$}  files  passed  failed  skipped   rate\n", "folder");
    let totals = Totals::of(reports);
    let lines = folders.iter().map(|(name, reports)| (*name, Totals::of(reports.iter().copied())));
    for (name, t) in lines.chain([("total", totals)]) {
        let _ = writeln!(
            table,
            "{name:width$}  {:5}  {:6}  {:6}  {:7}  {:5.1} %",
            t.n_files,
            t.n_passed,
            t.n_failed,
            t.n_skipped,
            t.pass_rate()
        );
    }
    table
}

/// The first `n_max` failures with SQL and difference.
pub fn failures(reports: &[FileReport], n_max: usize) -> String {
    let mut text = String::new();
    let all =
        reports.iter().flat_map(|report| report.failures.iter().map(move |f| (&report.name, f)));
    for (name, failure) in all.take(n_max) {
        let _ = writeln!(text, "-- {name}:{}\n{}\n", failure.line, failure.text.trim_end());
    }
    text
}

/// The `n_max` slowest records.
pub fn slowest(reports: &[FileReport], n_max: usize) -> String {
    let mut all: Vec<_> = reports
        .iter()
        .flat_map(|report| {
            report.timings.iter().map(move |(time, line)| (time, &report.name, line))
        })
        .collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    let mut text = String::new();
    for (time, name, line) in all.into_iter().take(n_max) {
        let _ = writeln!(text, "{:9.1} ms  {name}:{line}", time.as_secs_f64() * 1000.0);
    }
    text
}
