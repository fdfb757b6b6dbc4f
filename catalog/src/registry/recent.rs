//! Commits over several tables that this server has seen since it began.

use std::collections::VecDeque;

use crate::log::{Entry, Outcome};

/// Transactions remembered; a statement that began before all of them cannot be answered.
const DECIDED_MAX: usize = 20_000;
/// Ends remembered: of transactions that some table's log may still hold a place for.
const ENDED_MAX: usize = 20_000;

/// What is remembered of transactions beyond those that are open.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// The newest one that was forgotten.
    floor: u64,
    decided: VecDeque<Seen>,
    /// Tokens, and whether they were called off.
    ended: VecDeque<(String, bool)>,
}

/// A transaction.
#[derive(Debug)]
struct Seen {
    record: u64,
    token: String,
    /// URLs, and the versions that its commits come behind.
    tables: Vec<(String, u64)>,
    /// Its commits, where they are known.
    versions: Option<Vec<u64>>,
}

/// One table's part in a transaction.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) token: String,
    pub(super) after: u64,
    /// Its commit, where it is known.
    pub(super) version: Option<u64>,
}

impl Recent {
    /// Takes notice of an entry of the log.
    pub(super) fn note(&mut self, entry: &Entry) {
        match entry {
            Entry::PutTransaction { token, transaction } => {
                let tables = transaction.tables.iter();
                self.decided.push_back(Seen {
                    record: transaction.record,
                    token: token.clone(),
                    tables: tables.map(|part| (part.location.clone(), part.after)).collect(),
                    versions: None,
                });
                if self.decided.len() > DECIDED_MAX
                    && let Some(forgotten) = self.decided.pop_front()
                {
                    self.floor = forgotten.record;
                }
            }
            Entry::EndTransaction { token, outcome } => {
                let at = self.decided.iter().rposition(|seen| seen.token == *token);
                match (outcome, at) {
                    (Outcome::Done { versions }, Some(at)) => {
                        if let Some(seen) = self.decided.get_mut(at) {
                            seen.versions = Some(versions.clone());
                        }
                    }
                    (Outcome::Aborted | Outcome::Broken { .. }, Some(at)) => {
                        self.decided.remove(at);
                    }
                    (_, None) => {}
                }
                self.ended.push_back((token.clone(), *outcome == Outcome::Aborted));
                if self.ended.len() > ENDED_MAX {
                    self.ended.pop_front();
                }
            }
            _ => {}
        }
    }

    /// Whether a transaction has ended, and if so whether it was called off.
    pub(super) fn end_of(&self, token: &str) -> Option<bool> {
        self.ended.iter().rev().find(|(ended, _)| ended == token).map(|(_, aborted)| *aborted)
    }

    /// The version of a table with all that was decided up to a record, as far as it is remembered.
    pub(super) fn version_at(&self, record: u64, location: &str) -> Option<u64> {
        let until = self.decided.iter().rev().skip_while(|seen| seen.record > record);
        let version = |seen: &Seen| {
            let at = seen.tables.iter().position(|(url, _)| url == location)?;
            seen.versions.as_ref()?.get(at).copied()
        };
        until.filter_map(version).next()
    }

    /// The transactions on a table that were decided after a record; `None` where some of them are
    /// forgotten.
    pub(super) fn later(&self, record: u64, location: &str) -> Option<Vec<Part>> {
        if record < self.floor {
            return None;
        }
        let later = self.decided.iter().rev().take_while(|seen| seen.record > record);
        let part = |seen: &Seen| {
            let at = seen.tables.iter().position(|(url, _)| url == location)?;
            let (_, after) = seen.tables.get(at)?;
            let version = seen.versions.as_ref().and_then(|versions| versions.get(at).copied());
            Some(Part { token: seen.token.clone(), after: *after, version })
        };
        Some(later.filter_map(part).collect())
    }
}
