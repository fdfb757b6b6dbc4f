//! Totals, and the list of differences as Markdown.

use std::fmt::Write as _;

use super::exceptions::Exceptions;
use super::run::FileOutcome;

/// The share of equal statements that the suite must reach, in percent.
pub const EQUAL_PERCENT_MIN: usize = 95;

/// Counts of a run.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Counted statements.
    pub n_total: usize,
    /// Those with equal answers.
    pub n_equal: usize,
    /// Differences without a listed reason, and files that did not run to their end.
    pub unlisted: Vec<String>,
    /// Listed statements that are equal now, or are gone.
    pub stale: Vec<String>,
}

impl Totals {
    /// Counts the outcomes; exceptions of files that did not run are not looked at.
    pub fn count(files: &[FileOutcome], exceptions: &Exceptions) -> Self {
        let mut totals = Self::default();
        let mut differ = Vec::new();
        for outcome in files.iter().flat_map(|file| &file.outcomes) {
            totals.n_total += 1;
            if outcome.difference.is_none() {
                totals.n_equal += 1;
                continue;
            }
            let id = outcome.statement.id.clone();
            if exceptions.reason(&id).is_none() {
                totals.unlisted.push(id.clone());
            }
            differ.push(id);
        }
        let failures = files.iter().filter_map(|file| file.failure.clone());
        totals.unlisted.extend(failures);
        let ran = |id: &str| {
            let file = id.split('/').next().unwrap_or_default();
            files.iter().any(|other| other.name == file)
        };
        let stale = exceptions.ids().filter(|id| ran(id) && !differ.iter().any(|at| at == id));
        totals.stale = stale.map(str::to_owned).collect();
        totals
    }

    /// Returns whether enough is equal.
    pub fn reaches_goal(&self) -> bool {
        self.n_equal * 100 >= self.n_total * EQUAL_PERCENT_MIN
    }

    /// The line that a log is searched for.
    pub fn line(&self) -> String {
        let percent = self.n_equal * 1000 / self.n_total.max(1);
        format!(
            "total {} equal of {} ({}.{} %)",
            self.n_equal,
            self.n_total,
            percent / 10,
            percent % 10
        )
    }
}

/// One line for each file.
pub fn per_file(files: &[FileOutcome]) -> String {
    let mut text = String::new();
    for file in files {
        let n_equal = file.outcomes.iter().filter(|o| o.difference.is_none()).count();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:16} {n_equal} equal of {}", file.name, file.outcomes.len());
        if let Some(failure) = &file.failure {
            let _ = writeln!(text, "                 ended early: {failure}");
        }
    }
    text
}

/// Every difference with both answers.
pub fn markdown(files: &[FileOutcome], exceptions: &Exceptions) -> String {
    let mut text = String::from("# Differences between PostgreSQL and tarn\n");
    for file in files {
        let differing: Vec<_> = file.outcomes.iter().filter(|o| o.difference.is_some()).collect();
        if differing.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n## {} ({} differ)", file.name, differing.len());
        for outcome in differing {
            let Some(difference) = &outcome.difference else { continue };
            let statement = &outcome.statement;
            let _ = writeln!(text, "\n- `{}` line {}", statement.id, statement.line);
            for line in statement.sql.lines() {
                let _ = writeln!(text, "      {line}");
            }
            if let Some(bound) = statement.extended.as_ref().filter(|b| !b.values.is_empty()) {
                let _ = writeln!(text, "      types {:?} values {:?}", bound.types, bound.values);
            }
            let _ = writeln!(text, "  - differs in: {}", difference.kind);
            let _ = writeln!(text, "  - postgres: {}", difference.postgres);
            let _ = writeln!(text, "  - tarn:     {}", difference.tarn);
            if let Some(reason) = exceptions.reason(&statement.id) {
                let _ = writeln!(text, "  - listed: {reason}");
            }
        }
    }
    text
}
