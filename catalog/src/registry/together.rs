//! Commits over several tables: decided by one record of the log, put into the tables' logs by
//! whoever comes first. docs/adr/006 has the protocol and why it holds.
//!
//! ```text
//!  check and reserve each table ─▶ append the record ─▶ put each commit ─▶ append its end
//!   40001, nothing is written       decided: it counts   anybody can       nobody looks again
//! ```
//! Tables are reserved in the order of their URLs, so that two transactions never wait for each
//! other.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::changes::Change;
use super::durable::N_TRIES_MAX;
use super::{Catalog, Relation};
use crate::delta::{Decided, DeltaTable, Place, StagedTable};
use crate::listing::FileOptions;
use crate::log::{Appended, Entry, Outcome, TransactionDef, TransactionTable};
use crate::open::table_at;
use crate::{CatalogError, LakeTable, Result};

/// How long a writer waits for another server's transaction that has reserved a table and is not
/// decided, before it sees to it that it never is: at least,
const PATIENCE: Duration = Duration::from_secs(2);
/// for each of its tables more,
const PATIENCE_PER_TABLE: Duration = Duration::from_millis(500);
/// as often the time that its own attempt has taken, for each table: storage may be slow,
const PATIENCE_PER_ATTEMPT: u32 = 4;
/// and at most.
const PATIENCE_MAX: Duration = Duration::from_secs(120);
/// How often it looks meanwhile: first, and later.
const LOOK_PAUSES: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(200)];
/// Longer commits are kept beside the table, not in the record.
const CONTENT_BYTES_MAX: usize = 64 * 1024;

/// Whose turn it is among this server's own transactions.
#[derive(Debug, Default)]
pub(super) struct Together {
    /// By URL: held from the check of a table to the end of the commit.
    tables: Turns,
    /// By token: held while a decided transaction is completed. One whose store does not answer
    /// holds up nobody else.
    completing: Turns,
    /// Transactions of this server that are not decided yet. They will be, or end: nobody here
    /// calls them off.
    deciding: Arc<Mutex<HashSet<String>>>,
}

/// A transaction of this server from its first reservation to its decision.
#[derive(Debug)]
struct Deciding {
    token: String,
    all: Arc<Mutex<HashSet<String>>>,
}

impl Together {
    fn deciding(&self, token: &str) -> Deciding {
        self.deciding.lock().insert(token.to_owned());
        Deciding { token: token.to_owned(), all: Arc::clone(&self.deciding) }
    }
}

impl Drop for Deciding {
    fn drop(&mut self) {
        self.all.lock().remove(&self.token);
    }
}

/// Locks by name, each there as long as somebody holds it or waits for it.
#[derive(Debug, Default)]
struct Turns(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    async fn take(&self, name: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut known = self.0.lock();
            known.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(known.entry(name.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}

/// A transaction that is about to be decided.
#[derive(Debug)]
pub(super) struct Intent {
    pub(super) token: String,
    pub(super) tables: Vec<TransactionTable>,
}

impl Intent {
    /// The entry of the record that decides it.
    pub(super) fn entry(&self, record: u64) -> Entry {
        let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let transaction = TransactionDef { record, at, tables: self.tables.clone() };
        Entry::PutTransaction { token: self.token.clone(), transaction: Box::new(transaction) }
    }
}

impl Catalog {
    /// Whether a transaction does something that the log keeps.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn is_lasting(&self, changes: &[Change]) -> Result<bool> {
        Ok(!self.state.read().entries_of(&self.database, changes)?.is_empty())
    }

    /// Commits what was staged on one table, behind the transactions over several that came before.
    ///
    /// # Errors
    /// As [`StagedTable::commit`].
    pub fn commit_table(
        self: &Arc<Self>,
        table: &Arc<StagedTable>,
    ) -> BoxFuture<'static, Result<u64>> {
        let (catalog, table) = (Arc::clone(self), Arc::clone(table));
        async move {
            let token = Uuid::new_v4().to_string();
            catalog.complete(table.location(), u64::MAX).await?;
            catalog.put_past(&table, &token, None).await
        }
        .boxed()
    }

    /// Commits what was staged on one table, and what the same transaction has done in memory: all of
    /// it, or nothing.
    ///
    /// # Errors
    /// As [`Self::commit_table`] and [`Self::commit`]; `HalfCommitted` where a schema of the rest was
    /// dropped, or memory has run out, while the table was committed.
    pub fn commit_table_with(
        self: &Arc<Self>,
        table: &Arc<StagedTable>,
        changes: Vec<Change>,
    ) -> BoxFuture<'static, Result<()>> {
        let (catalog, table) = (Arc::clone(self), Arc::clone(table));
        async move {
            if changes.is_empty() {
                return catalog.commit_table(&table).await.map(drop);
            }
            // Before others have to wait: those of this server that have reserved the table, and
            // what is decided already.
            let _turns = catalog.turns_of(std::slice::from_ref(&table)).await;
            catalog.complete(table.location(), u64::MAX).await?;
            // Nobody changes rows in memory between their check and the table's commit: a conflict
            // there would come too late.
            let _rows = catalog.durable.rows.write().await;
            catalog.state.read().check(&changes)?;
            catalog.commit_table(&table).await?;
            let applied = catalog.state.write().apply(&changes);
            // No conflict any more: who repeats the transaction would write the rows again.
            applied.map_err(|error| CatalogError::HalfCommitted {
                what: format!(
                    "its rows of table \"{}\" are in place, the rest is not: {error}",
                    table.snapshot().name()
                ),
            })
        }
        .boxed()
    }

    /// Commits what was staged on several tables, and what the log keeps: all of it, or nothing.
    ///
    /// When this returns it is committed, also where a table's own log does not have it yet because
    /// storage failed: then whoever reads the table next completes it first.
    ///
    /// # Errors
    /// `Conflict`, and what [`Self::commit`] and [`StagedTable::commit`] report: nothing has changed
    /// then. `HalfCommitted` where another program has changed one of the tables at the same moment.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop what it has begun.
    pub fn commit_together(
        self: &Arc<Self>,
        changes: Vec<Change>,
        tables: Vec<Arc<StagedTable>>,
    ) -> BoxFuture<'static, Result<()>> {
        let catalog = Arc::clone(self);
        async move {
            let done = tokio::spawn(async move { catalog.together(&changes, tables).await }).await;
            done.unwrap_or_else(|error| Err(CatalogError::Internal { what: error.to_string() }))
        }
        .boxed()
    }

    async fn together(
        self: &Arc<Self>,
        changes: &[Change],
        mut tables: Vec<Arc<StagedTable>>,
    ) -> Result<()> {
        tables.sort_by(|a, b| a.location().cmp(b.location()));
        let _turns = self.turns_of(&tables).await;
        let token = Uuid::new_v4().to_string();
        let deciding = self.together.deciding(&token);
        let decided = self.decide(&token, changes, &tables).await;
        drop(deciding);
        if let Err(error) = decided.as_ref()
            && !matches!(error, CatalogError::HalfCommitted { .. })
        {
            // Others need not wait for it. Where the log does not answer it may be decided, though.
            if !matches!(error, CatalogError::CatalogLog { .. }) {
                self.give_up(&token, &tables).await;
            }
            return decided;
        }
        let done = match self.roll_forward(&token).await {
            Err(error @ (CatalogError::Conflict { .. } | CatalogError::HalfCommitted { .. })) => {
                Err(error)
            }
            Err(error) => {
                tracing::warn!(%error, token, "a commit is completed when its tables are read next");
                Ok(())
            }
            Ok(versions) if versions.is_empty() => self.fate(&token, &tables),
            Ok(versions) => {
                for (table, version) in tables.iter().zip(versions) {
                    table.keep_up_later(version);
                }
                Ok(())
            }
        };
        match done {
            // The record stands, and with it all but the tables' commits.
            Err(CatalogError::Conflict { name }) if !changes.is_empty() => {
                let what = format!(
                    "its rows of Delta tables are not in place, all else is: another program has \
                     changed table \"{name}\" at the same moment"
                );
                Err(CatalogError::HalfCommitted { what })
            }
            done => decided.and(done),
        }
    }

    /// Sees to it that a transaction that has failed is never decided, and lets go what was written
    /// for it.
    async fn give_up(&self, token: &str, tables: &[Arc<StagedTable>]) {
        match self.end(token, Outcome::Aborted, false).await {
            Ok(true) => {
                for table in tables {
                    table.release_files();
                    if table.content(token).len() > CONTENT_BYTES_MAX {
                        table.table().forget_undecided(token).await;
                    }
                }
            }
            // Somebody else has ended it, or it is decided after all.
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(%error, token, "others will wait for a transaction that has failed");
            }
        }
    }

    /// What has become of a transaction that somebody else has ended.
    fn fate(&self, token: &str, tables: &[Arc<StagedTable>]) -> Result<()> {
        let state = self.state.read();
        if let Some(what) = state.log.broken.get(token) {
            return Err(CatalogError::HalfCommitted { what: what.clone() });
        }
        match state.recent.end_of(token) {
            Some(true) => {
                let name = tables.first().map(|table| table.snapshot().name().to_owned());
                Err(CatalogError::Conflict { name: name.unwrap_or_default() })
            }
            Some(false) | None => Ok(()),
        }
    }

    /// Waits for this server's own transactions on the same tables.
    async fn turns_of(&self, tables: &[Arc<StagedTable>]) -> Vec<OwnedMutexGuard<()>> {
        let mut turns = Vec::with_capacity(tables.len());
        for table in tables {
            turns.push(self.together.tables.take(table.location()).await);
        }
        turns
    }

    /// Checks and reserves the tables and appends the record.
    async fn decide(
        self: &Arc<Self>,
        token: &str,
        changes: &[Change],
        tables: &[Arc<StagedTable>],
    ) -> Result<()> {
        let mut parts = Vec::with_capacity(tables.len());
        for table in tables {
            self.complete(table.location(), u64::MAX).await?;
            let after = self.put_past(table, token, Some(tables.len())).await?;
            let mut content = table.content(token);
            let mut content_file = None;
            if content.len() > CONTENT_BYTES_MAX {
                content_file = Some(table.table().keep_content(token, &content).await?);
                content = String::new();
            }
            parts.push(TransactionTable {
                name: table.snapshot().name().to_owned(),
                location: table.location().to_owned(),
                after,
                has_times: table.has_times(),
                content,
                content_file,
            });
        }
        // From here on it may be decided.
        tables.iter().for_each(|table| table.keep_files());
        let intent = Intent { token: token.to_owned(), tables: parts };
        self.commit_durable(changes, Some(&intent)).await
    }

    /// Puts a commit or a reservation, past those of others once it is known what becomes of them.
    async fn put_past(
        self: &Arc<Self>,
        table: &StagedTable,
        token: &str,
        reserves: Option<usize>,
    ) -> Result<u64> {
        let mut settled = HashSet::new();
        for _ in 0..N_TRIES_MAX {
            let tried = Instant::now();
            let put = match reserves {
                Some(n_tables) => table.reserve(token, n_tables, &settled).await,
                None => table.commit_past(token, &settled).await,
            };
            match put {
                Err(CatalogError::Reserved { token, n_tables, .. }) => {
                    self.settle(&token, n_tables, tried.elapsed()).await?;
                    settled.insert(token);
                }
                // A reservation that may be there does nothing.
                Err(CatalogError::CommitUnclear { table, cause, .. }) if reserves.is_some() => {
                    return Err(CatalogError::WriteStorage {
                        what: format!("a place in the log of table \"{table}\""),
                        source: cause.into(),
                    });
                }
                other => return other,
            }
        }
        Err(CatalogError::Conflict { name: table.snapshot().name().to_owned() })
    }

    /// Waits until a transaction that has reserved a table is in all of its tables, or sees to it
    /// that it never will be. `attempt` is how long it took to meet the reservation.
    ///
    /// # Errors
    /// `CatalogLog`, and what the tables' storage reports.
    pub async fn settle(
        self: &Arc<Self>,
        token: &str,
        n_tables: u64,
        attempt: Duration,
    ) -> Result<()> {
        let (began, patience) = (Instant::now(), patience(n_tables, attempt));
        let [mut pause, pause_max] = LOOK_PAUSES;
        loop {
            let is_own = self.together.deciding.lock().contains(token);
            self.look_now().await?;
            let (is_open, ended) = {
                let state = self.state.read();
                (state.log.transactions.contains_key(token), state.recent.end_of(token))
            };
            if is_open {
                return ignore_fate(self.roll_forward(token).await);
            }
            if ended.is_some() {
                return Ok(());
            }
            if !is_own && began.elapsed() >= patience {
                tracing::info!(token, "a transaction that was not decided is called off");
                self.end(token, Outcome::Aborted, false).await?;
            } else {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(pause_max);
            }
        }
    }

    /// Completes the transactions on a table that were decided up to a record.
    ///
    /// # Errors
    /// What the tables' storage reports, and `CatalogLog`.
    pub async fn complete(self: &Arc<Self>, location: &str, record: u64) -> Result<()> {
        let mut open: Vec<(u64, String)> = {
            let state = self.state.read();
            let on_it = state.log.transactions.iter().filter(|(_, transaction)| {
                transaction.record <= record && transaction.table(location).is_some()
            });
            on_it.map(|(token, transaction)| (transaction.record, token.clone())).collect()
        };
        open.sort();
        for (_, token) in open {
            ignore_fate(self.roll_forward(&token).await)?;
        }
        Ok(())
    }

    /// Completes all transactions that are open, as far as their tables can be reached.
    pub async fn complete_all(self: &Arc<Self>) {
        let open: Vec<String> =
            self.with_definitions(|log| log.transactions.keys().cloned().collect());
        for token in open {
            match ignore_fate(self.roll_forward(&token).await) {
                Ok(()) => tracing::info!(token, "a commit over several tables was completed"),
                Err(error) => tracing::warn!(%error, token, "a commit could not be completed yet"),
            }
        }
    }

    /// Puts a decided transaction into the logs of its tables and ends it; does nothing for one that
    /// has ended.
    ///
    /// Returns the versions; none for one that somebody else has completed.
    async fn roll_forward(self: &Arc<Self>, token: &str) -> Result<Vec<u64>> {
        let _turn = self.together.completing.take(token).await;
        let open = self.state.read().log.transactions.get(token).cloned();
        let Some(transaction) = open else { return Ok(vec![]) };
        let parts = transaction.tables.iter().map(|part| self.open_part(part));
        let parts: Vec<(Arc<DeltaTable>, String)> = match try_join_all(parts).await {
            Ok(parts) => parts,
            Err(error) => {
                // Another server may have completed it, and removed what it had kept for that.
                self.look_now().await?;
                return match self.state.read().log.transactions.contains_key(token) {
                    true => Err(error),
                    false => Ok(vec![]),
                };
            }
        };
        let decided = || {
            transaction.tables.iter().zip(&parts).map(|(part, (table, content))| {
                let (after, has_times) = (part.after, part.has_times);
                (table, Decided { token, after, content, has_times })
            })
        };
        // All of them are looked at before one is put: as long as none has it, it can be called off.
        let looks = decided().map(|(table, decided)| table.place_of(decided));
        let places = try_join_all(looks).await?;
        let has_landed = places.iter().any(|place| matches!(place, Place::Landed(_)));
        let contradicted = places.iter().position(|p| matches!(p, Place::Contradicted(_)));
        if let (Some(at), false) = (contradicted, has_landed) {
            self.end(token, Outcome::Aborted, true).await?;
            let name = transaction.tables.get(at).map(|part| part.name.clone());
            return Err(CatalogError::Conflict { name: name.unwrap_or_default() });
        }
        let puts = decided().zip(places).map(|((table, decided), place)| async move {
            match place {
                Place::Free => table.put_decided(decided).await,
                other => Ok(other),
            }
        });
        let places = try_join_all(puts).await?;
        let outcome = outcome_of(&transaction, &places);
        let ended = self.end(token, outcome.clone(), true).await?;
        let outcome = match (ended, self.state.read().recent.end_of(token)) {
            // Another server has called it off, and a table got it all the same.
            (false, Some(true)) => broken(&transaction, &places),
            _ => outcome,
        };
        for ((table, _), part) in parts.iter().zip(&transaction.tables) {
            if let Some(file) = &part.content_file {
                table.forget_content(file).await;
            }
        }
        match outcome {
            Outcome::Broken { what } => {
                tracing::error!(token, what, "a transaction is in some of its tables only");
                if !ended {
                    let outcome = Outcome::Broken { what: what.clone() };
                    self.append_end(token, outcome, |_| true).await?;
                }
                Err(CatalogError::HalfCommitted { what })
            }
            Outcome::Done { versions } => Ok(versions),
            Outcome::Aborted => Ok(vec![]),
        }
    }

    /// The table of a part, and the lines of its commit.
    async fn open_part(&self, part: &TransactionTable) -> Result<(Arc<DeltaTable>, String)> {
        let known = {
            let state = self.state.read();
            let tables = state.relations.values().filter_map(|known| match &known.relation {
                Relation::Lake(table) => Some(table),
                Relation::Memory(_) | Relation::View { .. } => None,
            });
            tables.filter(|table| table.location() == part.location).map(Arc::clone).next()
        };
        let table = known.unwrap_or_else(|| {
            table_at(
                &self.stores,
                &part.name,
                "delta",
                &part.location,
                (false, &FileOptions::default()),
            )
        });
        let Some(table) = table.delta() else {
            let reason = "this server cannot reach it".to_owned();
            return Err(CatalogError::InvalidLocation { url: part.location.clone(), reason });
        };
        let content = match &part.content_file {
            Some(file) => match table.content_at(file).await {
                Ok(content) => content,
                Err(error) => {
                    let (token, after) = ("", part.after);
                    let nothing = Decided { token, after, content: "", has_times: false };
                    match table.place_of(nothing).await {
                        // It went with the table, which must not hold up the others.
                        Ok(Place::Gone) => String::new(),
                        _ => return Err(error),
                    }
                }
            },
            None => part.content.clone(),
        };
        Ok((table, content))
    }

    /// Ends a transaction that is open (`decided`), or that must never be decided; false where that
    /// was not so any more.
    async fn end(&self, token: &str, outcome: Outcome, decided: bool) -> Result<bool> {
        let may = |state: &super::State| {
            let is_open = state.log.transactions.contains_key(token);
            is_open == decided && (is_open || state.recent.end_of(token).is_none())
        };
        self.append_end(token, outcome, may).await
    }

    async fn append_end(
        &self,
        token: &str,
        outcome: Outcome,
        may: impl Fn(&super::State) -> bool,
    ) -> Result<bool> {
        let _turn = self.durable.turn.lock().await;
        let entries = [Entry::EndTransaction { token: token.to_owned(), outcome }];
        for _ in 0..N_TRIES_MAX {
            let version = {
                let state = self.state.read();
                if !may(&state) {
                    return Ok(false);
                }
                state.log.version + 1
            };
            if self.append(version, &entries).await? == Appended::Done {
                self.put_in_place(version, &entries, &[])?;
                self.note_length(version);
                return Ok(true);
            }
            self.catch_up().await?;
        }
        Err(CatalogError::Conflict { name: self.database.clone() })
    }
}

/// How long to wait for a transaction over so many tables.
fn patience(n_tables: u64, attempt: Duration) -> Duration {
    let each = PATIENCE_PER_TABLE.saturating_add(attempt.saturating_mul(PATIENCE_PER_ATTEMPT));
    let all = each.saturating_mul(u32::try_from(n_tables).unwrap_or(u32::MAX));
    PATIENCE.saturating_add(all).min(PATIENCE_MAX)
}

/// What has become of a transaction is no error of those who only wait for it.
fn ignore_fate(done: Result<Vec<u64>>) -> Result<()> {
    match done {
        Err(CatalogError::Conflict { .. } | CatalogError::HalfCommitted { .. }) => Ok(()),
        other => other.map(drop),
    }
}

fn outcome_of(transaction: &TransactionDef, places: &[Place]) -> Outcome {
    if places.iter().any(|place| matches!(place, Place::Contradicted(_))) {
        return broken(transaction, places);
    }
    let version = |place: &Place| match place {
        Place::Landed(version) => *version,
        Place::Free | Place::Contradicted(_) | Place::Gone => 0,
    };
    Outcome::Done { versions: places.iter().map(version).collect() }
}

fn broken(transaction: &TransactionDef, places: &[Place]) -> Outcome {
    let said = transaction.tables.iter().zip(places).map(|(part, place)| match place {
        Place::Landed(version) => format!("\"{}\" has it as version {version}", part.name),
        Place::Contradicted(version) => format!(
            "\"{}\" has not, because its version {version} of another program changes the same",
            part.name
        ),
        Place::Free => format!("\"{}\" has not", part.name),
        Place::Gone => format!("\"{}\" is gone", part.name),
    });
    let said: Vec<String> = said.collect();
    let what = format!("of the transaction of {} {}", transaction.at, said.join(", "));
    Outcome::Broken { what }
}

#[cfg(test)]
mod tests;
