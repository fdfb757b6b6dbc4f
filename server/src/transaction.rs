//! Where a session is between BEGIN and COMMIT, and what ROLLBACK goes back to.
//!
//! ```text
//!   Idle ──BEGIN──► Active ──error──► Failed
//!     │               │ ▲               │
//!     │ several       │ └─ROLLBACK TO───┤
//!     │ statements    │                 │
//!     ▼               ▼                 ▼
//!   Implicit ──────► Idle: COMMIT publishes, ROLLBACK forgets
//! ```
//! The statements of one Query message, and those between two Syncs, are a transaction without
//! BEGIN: `Implicit`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use tarn_catalog::registry::{Change, Cut};
use tarn_catalog::{Catalog, CatalogError};
use tarn_planner::statement::TransactionModes;
use tarn_planner::variables::Variables;

use crate::changes::{Changes, PrivateState, StagedTables};
use crate::error::{Error, Result};
use crate::session::{Inner, Session, Status};

/// What a transaction may tell at its end: until then it is in memory.
const N_NOTIFICATIONS_MAX: usize = 10_000;

/// The transaction of a session.
#[derive(Debug, Default)]
pub(crate) enum Transaction {
    /// Outside of one.
    #[default]
    Idle,
    /// Statements that belong together without BEGIN.
    Implicit(Block),
    /// Inside of one that can go on.
    Active(Block),
    /// Inside of one that can only be rolled back.
    Failed(Block),
}

/// What a transaction remembers.
#[derive(Debug)]
pub(crate) struct Block {
    /// When it began; `now()` is this moment for all its statements.
    pub(crate) started_at: DateTime<Utc>,
    /// Tells it from the session's other transactions.
    pub(crate) number: u64,
    /// Whether it is one of several statements of a Query message, where it has no BEGIN.
    several: bool,
    /// Whether it ends with the statement that has begun it.
    of_one_statement: bool,
    savepoints: Vec<Savepoint>,
    before: State,
    /// Statements that have looked at data.
    n_queries: u64,
    /// What is told to listeners at the end.
    notifications: Vec<(String, String)>,
    /// The same: each text is told once.
    noted: HashSet<(String, String)>,
}

/// A point to go back to.
#[derive(Debug)]
struct Savepoint {
    name: String,
    state: State,
    n_notifications: usize,
}

/// What ROLLBACK restores.
#[derive(Debug, Clone)]
struct State {
    variables: Variables,
    locals: BTreeMap<String, Option<String>>,
    private: PrivateState,
}

impl Transaction {
    pub(crate) fn block(&self) -> Option<&Block> {
        match self {
            Self::Idle => None,
            Self::Implicit(block) | Self::Active(block) | Self::Failed(block) => Some(block),
        }
    }

    /// Whether all that it reads is as of one moment.
    fn has_one_cut(&self) -> bool {
        match self {
            Self::Idle => false,
            Self::Implicit(block) => block.of_one_statement,
            Self::Active(_) | Self::Failed(_) => true,
        }
    }

    fn block_mut(&mut self) -> Option<&mut Block> {
        match self {
            Self::Idle => None,
            Self::Implicit(block) | Self::Active(block) | Self::Failed(block) => Some(block),
        }
    }

    fn take(&mut self) -> Option<Block> {
        match std::mem::take(self) {
            Self::Idle => None,
            Self::Implicit(block) | Self::Active(block) | Self::Failed(block) => Some(block),
        }
    }
}

impl Inner {
    fn state(&self) -> State {
        State {
            variables: self.variables.clone(),
            locals: self.locals.clone(),
            private: self.private_state(),
        }
    }

    fn new_block(&mut self, several: bool) -> Block {
        self.n_transactions += 1;
        Block {
            started_at: Utc::now(),
            number: self.n_transactions,
            several,
            of_one_statement: false,
            savepoints: vec![],
            before: self.state(),
            n_queries: 0,
            notifications: vec![],
            noted: HashSet::new(),
        }
    }

    /// When the open transaction began, if it reads all tables as they were then.
    pub(crate) fn reads_as_of(&self) -> Option<DateTime<Utc>> {
        let (Transaction::Active(block) | Transaction::Failed(block)) = &self.transaction else {
            return None;
        };
        let is_read_only = self.variables.get("transaction_read_only").as_deref() == Some("on");
        is_read_only.then_some(block.started_at)
    }

    /// The values that a setting has now, or has again when the transaction or a part of it ends;
    /// without the empty one.
    pub(crate) fn values_to_come(&self, name: &str) -> BTreeSet<String> {
        let block = self.transaction.block();
        let savepoints = block.into_iter().flat_map(|block| &block.savepoints);
        let states = savepoints.map(|savepoint| &savepoint.state);
        let states = states.chain(block.map(|block| &block.before));
        let kept = states.map(|state| (&state.variables, &state.locals));
        let all = kept.chain([(&self.variables, &self.locals)]);
        all.flat_map(|(variables, locals)| {
            [variables.get(name), locals.get(name).cloned().flatten()]
        })
        .flatten()
        .filter(|value| !value.is_empty())
        .collect()
    }

    fn restore(&mut self, state: State) {
        self.restore_private(state.private);
        self.restore_variables(state.variables);
        self.locals = state.locals;
    }
}

impl Session {
    /// Where the session is in a transaction, as clients see it.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.inner.lock().transaction {
            Transaction::Idle | Transaction::Implicit(_) => Status::Idle,
            Transaction::Active(_) => Status::Active,
            Transaction::Failed(_) => Status::Failed,
        }
    }

    /// Whether what a statement makes lasts to the end of a transaction.
    pub(crate) fn in_block(&self) -> bool {
        match &self.inner.lock().transaction {
            Transaction::Idle => false,
            Transaction::Implicit(block) => block.several,
            Transaction::Active(_) | Transaction::Failed(_) => true,
        }
    }

    /// The moment at which the statement sees transactions over several tables; inside of a
    /// transaction that of its first look.
    pub(crate) fn cut(&self) -> Cut {
        let mut inner = self.inner.lock();
        if !inner.transaction.has_one_cut() {
            return self.shared.catalog.cut();
        }
        inner.cut.get_or_insert_with(|| self.shared.catalog.cut()).clone()
    }

    /// When the open transaction began.
    pub(crate) fn transaction_start(&self) -> Option<DateTime<Utc>> {
        self.inner.lock().transaction.block().map(|block| block.started_at)
    }

    /// The transaction's number, 0 outside of one, and how many savepoints it has.
    pub(crate) fn transaction_place(&self) -> (u64, usize) {
        let inner = self.inner.lock();
        inner.transaction.block().map_or((0, 0), |block| (block.number, block.savepoints.len()))
    }

    /// Notes that a statement failed: an open transaction can only be rolled back now.
    pub fn fail_transaction(&self) {
        let mut inner = self.inner.lock();
        let n_savepoints = match std::mem::take(&mut inner.transaction) {
            Transaction::Active(block) => {
                let n_savepoints = block.savepoints.len();
                inner.transaction = Transaction::Failed(block);
                Some(n_savepoints)
            }
            Transaction::Implicit(block) if !block.of_one_statement => {
                inner.transaction = Transaction::Implicit(block);
                None
            }
            other => {
                inner.transaction = other;
                return;
            }
        };
        drop(inner);
        match n_savepoints {
            // What was made since the last savepoint is gone with it.
            Some(n_savepoints) => match n_savepoints.checked_sub(1) {
                Some(n_before) => self.rollback_portals(n_before),
                None => self.end_portals(false),
            },
            None => self.roll_back(),
        }
    }

    /// BEGIN.
    pub(crate) fn begin(&self, modes: TransactionModes) -> Result<()> {
        let mut inner = self.inner.lock();
        inner.transaction = match std::mem::take(&mut inner.transaction) {
            Transaction::Idle => Transaction::Active(inner.new_block(true)),
            Transaction::Implicit(block) => Transaction::Active(Block { several: true, ..block }),
            other => {
                inner.transaction = other;
                drop(inner);
                self.notice("WARNING", "25001", "there is already a transaction in progress");
                return self.set_modes(modes);
            }
        };
        drop(inner);
        let default = |name: &str| self.setting(&format!("default_{name}"));
        for name in ["transaction_isolation", "transaction_read_only", "transaction_deferrable"] {
            if let Some(value) = default(name) {
                self.set_local(name, Some(&value))?;
            }
        }
        self.set_modes(modes)?;
        if self.setting("transaction_read_only").as_deref() == Some("on") {
            // It reads all tables as they are now, also those that it looks at later.
            drop(self.cut());
        }
        Ok(())
    }

    /// Begins a transaction without BEGIN, where none is open.
    pub(crate) fn begin_implicit(&self, several: bool) {
        let mut inner = self.inner.lock();
        if matches!(inner.transaction, Transaction::Idle) {
            let block = inner.new_block(several);
            inner.transaction = Transaction::Implicit(block);
        }
    }

    /// Begins the transaction of a single statement; `false` where one is open, which then has it.
    pub(crate) fn begin_statement_transaction(&self) -> bool {
        let mut inner = self.inner.lock();
        let idle = matches!(inner.transaction, Transaction::Idle);
        if idle {
            let block = inner.new_block(false);
            inner.transaction = Transaction::Implicit(Block { of_one_statement: true, ..block });
        }
        idle
    }

    /// Ends a transaction without BEGIN.
    ///
    /// # Errors
    /// `WriteConflict`; nothing of it has happened then.
    pub(crate) async fn finish_implicit(&self) -> Result<()> {
        let implicit = matches!(self.inner.lock().transaction, Transaction::Implicit(_));
        if implicit {
            self.end(true).await?;
        }
        Ok(())
    }

    /// SET TRANSACTION.
    pub(crate) fn set_modes(&self, modes: TransactionModes) -> Result<()> {
        let queried = self.inner.lock().transaction.block().is_some_and(|b| b.n_queries > 0);
        let too_late = |what: &str| Error::Value {
            code: "25001",
            message: format!(
                "{what} must be {} before any query",
                if what.starts_with("SET") { "called" } else { "set" }
            ),
        };
        if let Some(isolation) = modes.isolation {
            let now = self.setting("transaction_isolation");
            if queried && now.as_deref() != Some(isolation) {
                return Err(too_late("SET TRANSACTION ISOLATION LEVEL"));
            }
            self.set_local("transaction_isolation", Some(isolation))?;
        }
        if let Some(read_only) = modes.read_only {
            let now = self.setting("transaction_read_only").as_deref() == Some("on");
            if queried && now && !read_only {
                return Err(too_late("transaction read-write mode"));
            }
            self.set_local("transaction_read_only", Some(if read_only { "on" } else { "off" }))?;
        }
        if let Some(deferrable) = modes.deferrable {
            let value = if deferrable { "on" } else { "off" };
            self.set_local("transaction_deferrable", Some(value))?;
        }
        Ok(())
    }

    /// Notes that a statement of the transaction has looked at data.
    pub(crate) fn note_query(&self) {
        if let Some(block) = self.inner.lock().transaction.block_mut() {
            block.n_queries += 1;
        }
    }

    /// The modes of the transaction, for the one that AND CHAIN begins.
    pub(crate) fn modes(&self) -> TransactionModes {
        let isolation = self.setting("transaction_isolation").unwrap_or_default();
        let known = ["serializable", "repeatable read", "read committed", "read uncommitted"];
        let on = |name: &str| Some(self.setting(name).as_deref() == Some("on"));
        TransactionModes {
            isolation: known.into_iter().find(|known| *known == isolation),
            read_only: on("transaction_read_only"),
            deferrable: on("transaction_deferrable"),
        }
    }

    /// COMMIT or ROLLBACK; returns whether the transaction was committed.
    ///
    /// # Errors
    /// `WriteConflict`: the transaction was rolled back.
    ///
    /// # Cancel safety
    /// A commit that has begun goes on by itself when the future is dropped.
    pub(crate) async fn end(&self, commit: bool) -> Result<bool> {
        let failed = matches!(self.inner.lock().transaction, Transaction::Failed(_));
        if !commit || failed {
            self.roll_back();
            return Ok(false);
        }
        let changes = {
            let inner = self.inner.lock();
            if inner.transaction.block().is_none() {
                return Ok(true);
            }
            (!inner.changes.is_empty()).then(|| inner.changes.clone())
        };
        let is_published = changes.is_some();
        if let Some(changes) = changes
            && let Err(error) = self.publish(changes).boxed().await
        {
            self.roll_back();
            return Err(error);
        }
        self.learn_definitions().boxed().await;
        let mut inner = self.inner.lock();
        let changes = std::mem::take(&mut inner.changes);
        if !is_published {
            changes.settle(&self.shared);
        }
        let Some(block) = inner.transaction.take() else { return Ok(true) };
        inner.end_temporary();
        inner.pins.clear();
        inner.cut = None;
        inner.end_locals();
        drop(inner);
        self.touch();
        self.end_portals(true);
        self.deliver(block.notifications);
        Ok(true)
    }

    /// Makes changes visible to all, in a task that neither a cancel request ends half-way nor a
    /// client that goes away, which takes the session's own changes with it.
    async fn publish(&self, own: Changes) -> Result<()> {
        self.set_committing(true);
        let shared = Arc::clone(&self.shared);
        let task = self.shared.engine.spawn(async move {
            let (changes, staged) = (own.to_catalog(), own.staged());
            // Whatever becomes of this task: files of what may be committed stay.
            own.keep();
            let done = commit(&shared.catalog, changes, staged).boxed().await;
            own.settle_after(&done, &shared);
            done
        });
        let done = task.await;
        if !matches!(done, Ok(Ok(()))) {
            self.set_committing(false);
        }
        match done {
            Ok(done) => Ok(done?),
            Err(error) if error.is_panic() => {
                Err(Error::Internal { what: "the commit panicked".to_owned() })
            }
            Err(_) => Err(Error::Stopping),
        }
    }

    /// Forgets what the transaction has done.
    pub(crate) fn roll_back(&self) {
        let mut inner = self.inner.lock();
        let Some(block) = inner.transaction.take() else { return };
        inner.pins.clear();
        inner.cut = None;
        inner.restore(block.before);
        drop(inner);
        self.touch();
        self.end_portals(false);
    }

    /// SAVEPOINT.
    pub(crate) fn savepoint(&self, name: &str) -> Result<()> {
        let mut inner = self.inner.lock();
        let state = inner.state();
        match &mut inner.transaction {
            Transaction::Active(block) | Transaction::Failed(block) => {
                let n_notifications = block.notifications.len();
                block.savepoints.push(Savepoint { name: name.to_owned(), state, n_notifications });
                Ok(())
            }
            Transaction::Idle | Transaction::Implicit(_) => {
                Err(Error::NoTransaction { what: "SAVEPOINT" })
            }
        }
    }

    /// RELEASE SAVEPOINT.
    pub(crate) fn release(&self, name: &str) -> Result<()> {
        let mut inner = self.inner.lock();
        let block = match &mut inner.transaction {
            Transaction::Active(block) | Transaction::Failed(block) => block,
            Transaction::Idle | Transaction::Implicit(_) => {
                return Err(Error::NoTransaction { what: "RELEASE SAVEPOINT" });
            }
        };
        let at = block.position(name)?;
        block.savepoints.truncate(at);
        drop(inner);
        self.release_portals(at);
        Ok(())
    }

    /// ROLLBACK TO SAVEPOINT: also a failed transaction can go on from there.
    pub(crate) fn rollback_to(&self, name: &str) -> Result<()> {
        let mut inner = self.inner.lock();
        let mut block = match std::mem::take(&mut inner.transaction) {
            Transaction::Active(block) | Transaction::Failed(block) => block,
            other => {
                inner.transaction = other;
                return Err(Error::NoTransaction { what: "ROLLBACK TO SAVEPOINT" });
            }
        };
        let at = match block.position(name) {
            Ok(at) => at,
            Err(error) => {
                inner.transaction = Transaction::Failed(block);
                return Err(error);
            }
        };
        block.savepoints.truncate(at + 1);
        if let Some(savepoint) = block.savepoints.last() {
            block.notifications.truncate(savepoint.n_notifications);
            block.noted = block.notifications.iter().cloned().collect();
            let state = savepoint.state.clone();
            inner.restore(state);
        }
        inner.transaction = Transaction::Active(block);
        drop(inner);
        self.touch();
        self.rollback_portals(at);
        Ok(())
    }

    /// NOTIFY: listeners are told at the end of the transaction, once of each text.
    ///
    /// # Errors
    /// 53400 for more than [`N_NOTIFICATIONS_MAX`] in one transaction.
    pub(crate) fn notify(&self, channel: String, payload: String) -> Result<()> {
        let mut inner = self.inner.lock();
        let notification = (channel, payload);
        match inner.transaction.block_mut() {
            Some(block) if block.noted.contains(&notification) => {}
            Some(block) if block.notifications.len() >= N_NOTIFICATIONS_MAX => {
                return Err(Error::Refused {
                    code: "53400",
                    message: "too many notifications in one transaction".to_owned(),
                    detail: Some(format!("The limit is {N_NOTIFICATIONS_MAX}.")),
                    hint: Some("Commit earlier, or tell several things in one text.".to_owned()),
                });
            }
            Some(block) => {
                block.noted.insert(notification.clone());
                block.notifications.push(notification);
            }
            None => {
                drop(inner);
                self.deliver(vec![notification]);
            }
        }
        Ok(())
    }
}

/// Commits what was done to Delta tables, and everything else: all of it, or nothing.
async fn commit(
    catalog: &Arc<Catalog>,
    changes: Vec<Change>,
    staged: StagedTables,
) -> Result<(), CatalogError> {
    // Before rows are there to stay: nothing that can be known now may stop the rest.
    catalog.check(&changes).await?;
    for table in staged.made {
        table.commit().await?;
    }
    let tables = staged.known;
    if tables.len() > 1 || (!tables.is_empty() && catalog.is_lasting(&changes)?) {
        return catalog.commit_together(changes, tables).await;
    }
    match tables.first() {
        Some(table) => catalog.commit_table_with(table, changes).await,
        None => catalog.commit(changes).await,
    }
}

impl Block {
    fn position(&self, name: &str) -> Result<usize> {
        let found = self.savepoints.iter().rposition(|savepoint| savepoint.name == name);
        found.ok_or_else(|| Error::UndefinedSavepoint { name: name.to_owned() })
    }
}

/// The transaction of one statement: what it has changed is undone unless it is committed.
pub(crate) struct StatementTransaction<'a> {
    session: &'a Session,
    is_own: bool,
}

impl<'a> StatementTransaction<'a> {
    pub(crate) fn begin(session: &'a Session) -> Self {
        Self { session, is_own: session.begin_statement_transaction() }
    }

    /// Publishes the changes, unless they belong to a larger transaction.
    ///
    /// # Errors
    /// `Conflict`; nothing has changed then.
    pub(crate) async fn commit(mut self) -> Result<()> {
        if !self.is_own {
            return Ok(());
        }
        let done = self.session.finish_implicit().await;
        self.is_own = false;
        done
    }

    /// Whether a conflict can be answered by trying again.
    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }
}

impl Drop for StatementTransaction<'_> {
    fn drop(&mut self) {
        if self.is_own {
            self.session.roll_back();
        }
    }
}
