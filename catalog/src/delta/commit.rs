//! Puts commits into a table's log, each exactly once.
//!
//! ```text
//! put N if absent ──ok──▶ done
//!        │ exists, or no clear answer
//!        ▼
//!  read N back ──our token──▶ done (the answer was lost)
//!        │ somebody else's         ╲ nothing there ──▶ put N again
//!        ▼
//!  conflict? ──yes──▶ `Conflict`
//!        │ no
//!        ▼
//!  N = N + 1
//! ```
//! Source: Delta protocol, section "Delta Log Entries"; DESIGN rule 8.

use std::collections::HashSet;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use super::actions::Commit;
use super::snapshot::DeltaSnapshot;
use super::staged::Staged;
use super::{conflict, decided};
use crate::object_store::StoreFault;
use crate::{CatalogError, Result};

/// How often a put without a clear answer is made again under one number.
const UNCLEAR_PUTS_MAX: usize = 4;

/// The log of one table, for writing.
#[derive(Debug)]
pub(super) struct CommitLog<'a> {
    pub(super) table: &'a str,
    pub(super) root: &'a Path,
    pub(super) store: &'a dyn ObjectStore,
}

/// What became of a put.
#[derive(Debug)]
pub(super) enum Landed {
    /// It is the commit of this number.
    Ours,
    /// Another writer's commit has the number.
    Theirs(Box<Commit>),
}

impl CommitLog<'_> {
    /// The file of a commit.
    pub(super) fn path(&self, version: u64) -> Path {
        self.root.clone().join("_delta_log").join(format!("{version:020}.json"))
    }

    /// Reads a commit; `None` if there is none of this number.
    pub(super) async fn read(&self, version: u64) -> Result<Option<Commit>> {
        let path = self.path(version);
        let unreadable = |source: object_store::Error| CatalogError::Storage {
            what: format!("commit {version} of table \"{}\"", self.table),
            source: Box::new(source),
        };
        let found = match self.store.get(&path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(unreadable(source)),
        };
        let bytes = found.bytes().await.map_err(unreadable)?;
        Ok(Some(Commit::parse(self.table, version, &bytes)?))
    }

    /// Puts a commit that holds `token` under a number, unless another one has it.
    ///
    /// # Errors
    /// `Storage` if the store refuses, `CommitUnclear` if it cannot be learnt whether the commit
    /// has landed.
    pub(super) async fn put(
        &self,
        version: u64,
        token: &str,
        content: &PutPayload,
    ) -> Result<Landed> {
        let path = self.path(version);
        let mut unclear = None;
        for _ in 0..UNCLEAR_PUTS_MAX {
            match self.store.put_opts(&path, content.clone(), PutMode::Create.into()).await {
                Ok(_) => return Ok(Landed::Ours),
                // One before it may have landed, or land yet.
                Err(error) if !is_unclear(&error) && unclear.is_some() => {
                    unclear = Some(error);
                    break;
                }
                Err(error) if !is_unclear(&error) => {
                    return Err(CatalogError::WriteStorage {
                        what: format!("commit {version} of table \"{}\"", self.table),
                        source: Box::new(error),
                    });
                }
                // Also when it says that the commit exists: a retry below may have met its own.
                Err(error) => match self.read(version).await {
                    Ok(Some(found)) if found.token() == Some(token) => return Ok(Landed::Ours),
                    Ok(Some(found)) => return Ok(Landed::Theirs(Box::new(found))),
                    Ok(None) | Err(_) => unclear = Some(error),
                },
            }
        }
        let cause = unclear.map_or_else(String::new, |error| error.to_string());
        Err(CatalogError::CommitUnclear { table: self.table.to_owned(), version, cause })
    }
}

/// What a writer puts, and what it knows of others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// The token by which its commit is found again.
    pub(super) token: &'a str,
    /// Commits up to this one are there: they are read without trying to be put before them.
    pub(super) known: u64,
    /// Transactions whose reservations stop nobody any more.
    pub(super) settled: &'a HashSet<String>,
    /// Whether a place is kept only, for what is decided later for so many tables.
    pub(super) reserves: Option<usize>,
}

/// Commits what was staged on a version, after all commits that have come since.
pub(super) async fn run(
    log: &CommitLog<'_>,
    base: &DeltaSnapshot,
    staged: &Staged,
    attempt: Attempt<'_>,
) -> Result<u64> {
    let has_times = base.property_is_on("delta.enableInCommitTimestamps");
    let mut last_time = match has_times {
        true => log.read(base.version()).await?.and_then(|commit| commit.time_ms()),
        false => None,
    };
    let token = match attempt.reserves {
        Some(_) => decided::reservation_token(attempt.token),
        None => attempt.token.to_owned(),
    };
    let mut version = base.version() + 1;
    loop {
        let found = match version <= attempt.known {
            true => log.read(version).await?.map(Box::new),
            false => None,
        };
        let winner = match found {
            Some(winner) => winner,
            None => {
                let time_ms = has_times.then(|| last_time.map_or(0, |last| last + 1));
                let actions = match attempt.reserves {
                    Some(n_tables) => {
                        let whose = (attempt.token, n_tables);
                        vec![decided::reservation(whose, base.version(), time_ms)]
                    }
                    None => staged.actions(base, attempt.token, time_ms),
                };
                let lines: String = actions.iter().map(|action| format!("{action}\n")).collect();
                match log.put(version, &token, &lines.into_bytes().into()).await? {
                    Landed::Ours => return Ok(version),
                    Landed::Theirs(winner) => winner,
                }
            }
        };
        check_reservation(log.table, &winner, attempt.settled)?;
        conflict::check(base, staged, &winner)?;
        last_time = winner.time_ms().or(last_time);
        version += 1;
    }
}

/// Stops before a place that is kept for a transaction of which nobody knows what becomes of it.
pub(super) fn check_reservation(
    table: &str,
    found: &Commit,
    settled: &HashSet<String>,
) -> Result<()> {
    match found.reserved_for() {
        Some(token) if !settled.contains(token) => {
            let (name, token) = (table.to_owned(), token.to_owned());
            Err(CatalogError::Reserved { name, token, n_tables: found.reserved_tables() })
        }
        _ => Ok(()),
    }
}

/// Whether the object may be there after this error.
fn is_unclear(error: &object_store::Error) -> bool {
    use object_store::Error;
    // A full disk refuses for certain.
    StoreFault::of(error) != StoreFault::Full
        && matches!(
            error,
            Error::AlreadyExists { .. }
                | Error::Precondition { .. }
                | Error::Generic { .. }
                | Error::JoinError { .. }
        )
}
