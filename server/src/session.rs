//! A client's session: settings, transaction, pinned versions, the running statement.
//!
//! Both frontends use it the same way: [`Session::parse`], [`Session::prepare`],
//! [`Session::execute`] (in `query.rs`).

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use datafusion::execution::SessionState;
use parking_lot::Mutex;
use tarn_catalog::memory::MemoryTable;
use tarn_catalog::{Pinned, TableName, Travel};
use tarn_exec::QueryId;
use tarn_planner::variables::Variables;
use tarn_planner::{PlannerError, SessionFacts, SettingsLookup, Statement};
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::error::{Error, Result};
use crate::plan_cache::Scope;
use crate::system_tables::SCHEMAS;

pub use crate::query::{CommandTag, Execution, Prepared, Rows};

/// How a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The Postgres wire.
    Postgres,
    /// Flight SQL.
    FlightSql,
    /// The HTTP page.
    Http,
}

impl Protocol {
    /// The name in system tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::FlightSql => "flight_sql",
            Self::Http => "http",
        }
    }
}

/// Where a session is between BEGIN and COMMIT.
#[derive(Debug, Clone, Default)]
pub enum Transaction {
    /// Outside of a transaction.
    #[default]
    Idle,
    /// Inside of one that can go on.
    Active(Block),
    /// Inside of one that can only be rolled back.
    Failed(Block),
}

/// What a transaction remembers.
#[derive(Debug, Clone)]
pub struct Block {
    /// When BEGIN was executed; `now()` is this moment for all its statements.
    pub started_at: DateTime<Utc>,
    /// The names of its savepoints, oldest first.
    pub savepoints: Vec<String>,
    /// The settings to go back to on ROLLBACK.
    variables_before: Variables,
}

/// The status letter that PostgreSQL's ReadyForQuery carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `I`.
    Idle,
    /// `T`.
    Active,
    /// `E`.
    Failed,
}

/// A message for the client beside its results.
#[derive(Debug, Clone)]
pub struct Notice {
    /// `NOTICE` or `WARNING`.
    pub severity: &'static str,
    /// The SQLSTATE.
    pub code: &'static str,
    /// The text.
    pub message: String,
}

/// A running statement as others see it.
#[derive(Debug, Clone)]
pub struct Running {
    /// The query's number.
    pub query_id: QueryId,
    /// Its text.
    pub text: Arc<str>,
    /// When it began.
    pub started_at: DateTime<Utc>,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) variables: Variables,
    /// Values that SET LOCAL replaced, for the end of the transaction.
    locals: BTreeMap<String, Option<String>>,
    pub(crate) transaction: Transaction,
    /// Versions that the transaction has read.
    pub(crate) pins: HashMap<(TableName, Travel), Pinned>,
    pub(crate) temporary: BTreeMap<String, Arc<MemoryTable>>,
    notices: Vec<Notice>,
    /// Settings to tell the client about, by name.
    changed: BTreeMap<&'static str, String>,
    running: Option<Running>,
    last: Option<Running>,
}

/// One client's session.
#[derive(Debug)]
pub struct Session {
    pub(crate) shared: Arc<Shared>,
    /// The number by which the session can be cancelled.
    pid: i32,
    /// What a cancel request has to know beside the number.
    secret: i32,
    user: String,
    protocol: Protocol,
    client: Option<SocketAddr>,
    started_at: DateTime<Utc>,
    pub(crate) inner: Mutex<Inner>,
    /// Counts changes of settings, so that cached plans know when they are stale.
    /// Has to be raised by all that changes what a plan means for this session alone: settings,
    /// temporary tables, tables that its transaction has changed.
    generation: AtomicU64,
    scope: Mutex<Option<(u64, Arc<Scope>)>>,
    cancel: Mutex<CancellationToken>,
    terminated: CancellationToken,
}

impl Session {
    /// Opens a session and makes it visible to `tarn.sessions`.
    ///
    /// # Errors
    /// `UndefinedDatabase`; `NotAuthorized` for a role that does not exist.
    pub fn new(
        shared: &Arc<Shared>,
        user: &str,
        database: &str,
        protocol: Protocol,
        client: Option<SocketAddr>,
    ) -> Result<Arc<Self>> {
        if database != shared.catalog.database() {
            return Err(Error::UndefinedDatabase { name: database.to_owned() });
        }
        if !shared.users.exists(user) {
            let message = format!("role \"{user}\" does not exist");
            return Err(Error::NotAuthorized { message });
        }
        let mut variables = Variables::default();
        variables.set_fixed("session_authorization", user);
        variables.set_fixed("ssl", if shared.config.tls.is_some() { "on" } else { "off" });
        variables.set_fixed("max_connections", &shared.config.n_connections_max.to_string());
        let session = Arc::new(Self {
            shared: Arc::clone(shared),
            pid: shared.sessions.next_pid(),
            secret: rand::random(),
            user: user.to_owned(),
            protocol,
            client,
            started_at: Utc::now(),
            inner: Mutex::new(Inner { variables, ..Inner::default() }),
            generation: AtomicU64::new(0),
            scope: Mutex::new(None),
            cancel: Mutex::new(CancellationToken::new()),
            terminated: CancellationToken::new(),
        });
        shared.sessions.add(&session);
        Ok(session)
    }

    /// The number by which the session can be cancelled.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// What a cancel request has to know beside the number.
    #[must_use]
    pub fn secret(&self) -> i32 {
        self.secret
    }

    /// The role.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// How the client is connected.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The client's address.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.client
    }

    /// When the session was opened.
    #[must_use]
    pub fn started_at(&self) -> DateTime<Utc> {
        self.started_at
    }

    /// The statement that runs now, or the last one.
    #[must_use]
    pub fn running(&self) -> (Option<Running>, Option<Running>) {
        let inner = self.inner.lock();
        (inner.running.clone(), inner.last.clone())
    }

    /// Splits and parses a text.
    ///
    /// # Errors
    /// Syntax errors with positions, and texts beyond the limits.
    pub fn parse(&self, sql: &str) -> Result<Vec<Statement>> {
        Ok(tarn_planner::parser::parse(sql, &self.shared.limits)?)
    }

    /// Where the session is in a transaction.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.inner.lock().transaction {
            Transaction::Idle => Status::Idle,
            Transaction::Active(_) => Status::Active,
            Transaction::Failed(_) => Status::Failed,
        }
    }

    /// Notes that a statement failed: an open transaction can only be rolled back now.
    pub fn fail_transaction(&self) {
        let mut inner = self.inner.lock();
        inner.transaction = match std::mem::take(&mut inner.transaction) {
            Transaction::Active(block) => Transaction::Failed(block),
            other => other,
        };
    }

    /// Stops the running statement, if there is one.
    pub fn cancel(&self) {
        self.cancel.lock().cancel();
    }

    /// Ends the session as soon as it notices.
    pub fn terminate(&self) {
        self.terminated.cancel();
        self.cancel();
    }

    /// Is cancelled when the session has to end.
    #[must_use]
    pub fn terminated(&self) -> &CancellationToken {
        &self.terminated
    }

    /// The token of the statement that runs now.
    pub(crate) fn token(&self) -> CancellationToken {
        self.cancel.lock().clone()
    }

    /// A token that is not cancelled: requests from before no longer count.
    pub(crate) fn fresh_token(&self) -> CancellationToken {
        let mut cancel = self.cancel.lock();
        if cancel.is_cancelled() {
            *cancel = CancellationToken::new();
        }
        cancel.clone()
    }

    /// Begins a statement: cancel requests from before no longer count.
    pub(crate) fn begin_statement(&self, query_id: QueryId, text: &str) -> CancellationToken {
        let token = self.fresh_token();
        let running = Running { query_id, text: text.into(), started_at: Utc::now() };
        self.inner.lock().running = Some(running);
        token
    }

    /// Notes that a statement is over.
    pub(crate) fn end_statement(&self, query_id: QueryId) {
        let mut inner = self.inner.lock();
        if inner.running.as_ref().is_some_and(|running| running.query_id == query_id) {
            inner.last = inner.running.take();
        }
    }

    /// The value of a setting.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<String> {
        self.inner.lock().variables.get(name)
    }

    /// Name, value and description of every setting.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String, String)> {
        self.inner.lock().variables.all()
    }

    /// Milliseconds of a timeout; 0 is off.
    #[must_use]
    pub fn timeout_ms(&self, name: &str) -> u64 {
        self.inner.lock().variables.milliseconds(name)
    }

    /// Changes a setting for the session.
    ///
    /// # Errors
    /// Unknown names, fixed settings, values out of range.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        let mut inner = self.inner.lock();
        inner.variables.set(name, value)?;
        inner.note_change(name);
        self.generation.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Changes a setting until the end of the transaction.
    pub(crate) fn set_local(&self, name: &str, value: Option<&str>) -> Result<()> {
        let mut inner = self.inner.lock();
        let before = inner.variables.get(name);
        match value {
            Some(value) => inner.variables.set(name, value)?,
            None => inner.variables.reset(Some(name))?,
        }
        inner.locals.entry(name.to_owned()).or_insert(before);
        inner.note_change(name);
        self.generation.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Sets the value that RESET goes back to, as given when the client connected.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn set_initial(&self, name: &str, value: &str) -> Result<()> {
        self.inner.lock().variables.set_default(name, value)?;
        Ok(())
    }

    /// Goes back to the initial value of one setting, or of all.
    ///
    /// # Errors
    /// Unknown names.
    pub fn reset(&self, name: Option<&str>) -> Result<()> {
        let mut inner = self.inner.lock();
        inner.variables.reset(name)?;
        match name {
            Some(name) => inner.note_change(name),
            None => {
                for setting in tarn_planner::variables::SETTINGS {
                    inner.note_change(setting.name);
                }
            }
        }
        self.generation.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The settings that the client has to be told of since the last call.
    #[must_use]
    pub fn take_changes(&self) -> BTreeMap<&'static str, String> {
        std::mem::take(&mut self.inner.lock().changed)
    }

    /// Messages for the client since the last call.
    #[must_use]
    pub fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut self.inner.lock().notices)
    }

    pub(crate) fn notice(
        &self,
        severity: &'static str,
        code: &'static str,
        message: impl Into<String>,
    ) {
        const N_NOTICES_MAX: usize = 100;
        let mut inner = self.inner.lock();
        if inner.notices.len() < N_NOTICES_MAX {
            inner.notices.push(Notice { severity, code, message: message.into() });
        }
    }

    /// What the session's plans depend on beside tables and text.
    pub(crate) fn scope(&self) -> Arc<Scope> {
        let definitions = self.shared.catalog.definitions();
        let generation = self.generation.load(Ordering::Relaxed);
        let mut known = self.scope.lock();
        if let Some((at, scope)) = known.as_ref()
            && *at == generation
            && scope.definitions == definitions
        {
            return Arc::clone(scope);
        }
        let inner = self.inner.lock();
        let private = (!inner.temporary.is_empty()).then_some((self.pid, generation));
        let settings = inner.variables.fingerprint();
        let user = self.user.clone();
        let scope = Arc::new(Scope { user, settings, definitions, private });
        *known = Some((generation, Arc::clone(&scope)));
        scope
    }

    /// The schemas to look in, `$user` resolved.
    #[must_use]
    pub fn search_path(&self) -> Vec<String> {
        let path = self.setting("search_path").unwrap_or_default();
        // The first role is called as the schema of the system tables is: `"$user"` must neither
        // hide tables of `public` behind them nor be where CREATE TABLE goes.
        let own = (!SCHEMAS.contains(&self.user.as_str())).then_some(self.user.as_str());
        path.split(',')
            .map(|part| part.trim().trim_matches(['"', '\'']))
            .filter_map(|part| if part == "$user" { own } else { Some(part) })
            .filter(|part| !part.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    }

    /// DataFusion's state for a statement of this session that begins now.
    pub(crate) fn state(self: &Arc<Self>) -> SessionState {
        let facts = SessionFacts {
            user: self.user.clone(),
            session_user: self.user.clone(),
            database: self.shared.catalog.database().to_owned(),
            search_path: self.search_path(),
            backend_pid: self.pid,
            catalog: self.shared.catalog.snapshot(),
            server_started_at: self.shared.started_at,
            settings: Arc::new(SettingsView(Arc::clone(self))),
        };
        let inner = self.inner.lock();
        let n_threads = self.shared.engine.n_threads();
        let mut state = self.shared.factory.session(facts, &inner.variables, n_threads);
        let now = match &inner.transaction {
            Transaction::Active(block) | Transaction::Failed(block) => block.started_at,
            Transaction::Idle => Utc::now(),
        };
        // Gives functions the options, and with them the session's facts.
        state.mark_start_execution();
        state.execution_props_mut().query_execution_start_time = Some(now);
        state
    }

    /// BEGIN.
    pub(crate) fn begin(&self) {
        let mut inner = self.inner.lock();
        if matches!(inner.transaction, Transaction::Idle) {
            let variables_before = inner.variables.clone();
            let block = Block { started_at: Utc::now(), savepoints: vec![], variables_before };
            inner.transaction = Transaction::Active(block);
        }
    }

    /// COMMIT or ROLLBACK; returns whether the transaction was committed.
    pub(crate) fn end(&self, commit: bool) -> bool {
        let mut inner = self.inner.lock();
        let committed = match std::mem::take(&mut inner.transaction) {
            Transaction::Idle => commit,
            Transaction::Active(_) if commit => true,
            Transaction::Active(block) | Transaction::Failed(block) => {
                inner.restore(block.variables_before);
                false
            }
        };
        inner.pins.clear();
        for (name, before) in std::mem::take(&mut inner.locals) {
            let restored = match before {
                Some(value) => inner.variables.set(&name, &value),
                None => inner.variables.reset(Some(&name)),
            };
            if let Err(error) = restored {
                tracing::debug!(%error, %name, "could not restore a local setting");
            }
            inner.note_change(&name);
        }
        self.generation.fetch_add(1, Ordering::Relaxed);
        committed
    }

    /// Runs a change on the savepoints of the open transaction.
    pub(crate) fn savepoints<T>(
        &self,
        what: &'static str,
        change: impl FnOnce(&mut Vec<String>) -> Result<T>,
    ) -> Result<T> {
        match &mut self.inner.lock().transaction {
            Transaction::Idle => Err(Error::NoTransaction { what }),
            Transaction::Active(block) | Transaction::Failed(block) => {
                change(&mut block.savepoints)
            }
        }
    }

    /// Makes a failed transaction usable again after ROLLBACK TO.
    pub(crate) fn revive(&self) {
        let mut inner = self.inner.lock();
        inner.transaction = match std::mem::take(&mut inner.transaction) {
            Transaction::Failed(block) => Transaction::Active(block),
            other => other,
        };
    }

    /// Drops everything that belongs to the session: settings, temporary tables.
    pub(crate) fn discard(&self) -> Result<()> {
        self.inner.lock().temporary.clear();
        self.reset(None)
    }
}

impl Inner {
    fn note_change(&mut self, name: &str) {
        let Some(setting) = tarn_planner::variables::find(name) else { return };
        if setting.reported {
            let value = self.variables.get(name).unwrap_or_default();
            self.changed.insert(setting.name, value);
        }
    }

    /// Goes back to the settings before the transaction.
    fn restore(&mut self, before: Variables) {
        let now = std::mem::replace(&mut self.variables, before);
        for setting in tarn_planner::variables::SETTINGS {
            if now.get(setting.name) != self.variables.get(setting.name) {
                self.note_change(setting.name);
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.cancel();
        self.shared.sessions.remove(self.pid);
    }
}

/// Lets functions such as `current_setting` read the session's settings.
#[derive(Debug)]
struct SettingsView(Arc<Session>);

impl SettingsLookup for SettingsView {
    fn get(&self, name: &str) -> Option<String> {
        self.0.setting(name)
    }

    fn all(&self) -> Vec<(String, String, String)> {
        self.0.settings()
    }

    fn set(&self, name: &str, value: &str, local: bool) -> Result<(), PlannerError> {
        if local {
            let undefined = |_| PlannerError::UndefinedSetting { name: name.to_owned() };
            return self.0.set_local(name, Some(value)).map_err(undefined);
        }
        let mut inner = self.0.inner.lock();
        inner.variables.set(name, value)?;
        inner.note_change(name);
        self.0.generation.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
