//! A client's session: settings, transaction, pinned versions, the running statement.
//!
//! Both frontends use it the same way: [`Session::parse`], [`Session::prepare`],
//! [`Session::execute`] (in `query.rs`).

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::SessionState;
use parking_lot::Mutex;
use tarn_catalog::pg_catalog::settings::SettingValue;
use tarn_catalog::registry::Cut;
use tarn_catalog::{CatalogSnapshot, Pinned, TableName, Travel};
use tarn_exec::QueryId;
use tarn_planner::facts::Seed;
use tarn_planner::variables::Variables;
use tarn_planner::{Backends, PlannerError, SessionFacts, SettingsLookup, Statement};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::access::identity::Login;
use crate::changes::{Changes, Temporary};
use crate::command::PAYLOAD_BYTES_MAX;
use crate::error::{Error, Result};
use crate::notifications::Inbox;
use crate::plan_cache::Scope;
use crate::portals::Portals;
use crate::prepared::Statements;
use crate::snapshot::SnapshotPins;
use crate::system_tables::SCHEMAS;
use crate::transaction::Transaction;

pub use crate::query::{CommandTag, Execution, Prepared, Rows};

/// A statement that is executed this soon after it was prepared does not look at the catalog again.
const FOLLOWED_FOR: Duration = Duration::from_millis(5);

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
    pub(crate) locals: BTreeMap<String, Option<String>>,
    pub(crate) transaction: Transaction,
    /// Transactions so far.
    pub(crate) n_transactions: u64,
    /// Versions that the transaction has read.
    pub(crate) pins: HashMap<(TableName, Travel), Pinned>,
    /// The moment of the transaction's first look at tables.
    pub(crate) cut: Option<Cut>,
    /// Versions that the setting `snapshot` has pinned.
    pub(crate) snapshot: SnapshotPins,
    pub(crate) temporary: BTreeMap<String, Temporary>,
    /// What the transaction has changed.
    pub(crate) changes: Changes,
    notices: Vec<Notice>,
    /// The role that the client was told of.
    told_user: Option<String>,
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
    secret: [u8; 32],
    /// Whether the client knows all of it, or the first four bytes, as before protocol 3.2.
    long_cancel_key: AtomicBool,
    /// Whether a message of the client is being worked on, where the frontend says so.
    busy: AtomicBool,
    /// Whether the statement has begun to commit: it cannot be cancelled any more.
    committing: AtomicBool,
    /// When the catalog was brought up to date for the statement that comes next.
    followed: Mutex<Option<Instant>>,
    pub(crate) login: Login,
    protocol: Protocol,
    client: Option<SocketAddr>,
    started_at: DateTime<Utc>,
    pub(crate) inner: Mutex<Inner>,
    /// Counts changes of settings, so that cached plans know when they are stale.
    /// Has to be raised by all that changes what a plan means for this session alone: settings,
    /// temporary tables, tables that its transaction has changed.
    pub(crate) generation: AtomicU64,
    pub(crate) statements: Mutex<Statements>,
    /// Apart from `inner`: dropping one ends a query, which reports there.
    pub(crate) portals: Mutex<Portals>,
    pub(crate) inbox: Inbox,
    /// The catalog with what is the session's own, at a version and generation.
    pub(crate) overlaid: Mutex<Option<(u64, u64, Arc<CatalogSnapshot>)>>,
    /// Held by a statement that writes: a session of Flight SQL may send several at a time.
    pub(crate) writing: tokio::sync::Mutex<()>,
    scope: Mutex<Option<(u64, Arc<Scope>)>>,
    /// What `setseed` has set.
    seed: Arc<Seed>,
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
        let n_renames = shared.catalog.n_renamed_roles();
        if !shared.users.exists(user) {
            let message = format!("role \"{user}\" does not exist");
            return Err(Error::NotAuthorized { message });
        }
        if !shared.users.may_log_in(user) {
            let message = format!("role \"{user}\" is not permitted to log in");
            return Err(Error::NotAuthorized { message });
        }
        crate::access::check::check_connect(shared, user, database)?;
        let mut variables = Variables::default();
        variables.skip_renames(n_renames);
        variables.set_default("default_table_access_method", shared.config.table_access_method)?;
        for (name, value) in shared.catalog.settings_of(user, database) {
            // A setting that this version does not know must not lock everybody out.
            let (value, source) = &value;
            // Who a session is follows from its login, never from what was kept for it.
            if crate::access::is_identity(&name) {
                continue;
            }
            if let Err(error) = variables.set_default_from(&name, value, source) {
                tracing::warn!(%error, %name, "a setting of the catalog is left out");
            }
        }
        variables.set_fixed("session_authorization", user);
        variables.set_fixed("ssl", if shared.config.tls.is_some() { "on" } else { "off" });
        variables.set_fixed("max_connections", &shared.config.n_connections_max.to_string());
        let session = Arc::new(Self {
            shared: Arc::clone(shared),
            pid: shared.sessions.next_pid(),
            secret: rand::random(),
            long_cancel_key: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            committing: AtomicBool::new(false),
            followed: Mutex::default(),
            login: Login::new(user, n_renames, shared.users.oid(user)),
            protocol,
            client,
            started_at: Utc::now(),
            inner: Mutex::new(Inner {
                variables,
                told_user: Some(user.to_owned()),
                ..Inner::default()
            }),
            generation: AtomicU64::new(0),
            statements: Mutex::default(),
            portals: Mutex::default(),
            inbox: Inbox::default(),
            overlaid: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            scope: Mutex::new(None),
            seed: Arc::default(),
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

    /// What a cancel request has to know beside the number: 32 bytes or 4.
    pub(crate) fn cancel_key(&self, long: bool) -> &[u8] {
        self.long_cancel_key.store(long, Ordering::Relaxed);
        let n_bytes = if long { self.secret.len() } else { 4 };
        self.secret.get(..n_bytes).unwrap_or_default()
    }

    /// Whether a cancel request knows the key; takes as long for wrong ones as for right ones.
    pub(crate) fn has_cancel_key(&self, key: &[u8]) -> bool {
        let n_bytes = if self.long_cancel_key.load(Ordering::Relaxed) { 32 } else { 4 };
        let differing = self.secret.iter().zip(key).fold(0, |d, (a, b)| d | (a ^ b));
        differing == 0 && key.len() == n_bytes
    }

    /// Whether there is something that a cancel request can stop; an idle session ignores it, so
    /// that a late one does not hit the portals that wait for their next Execute.
    pub(crate) fn is_busy(&self) -> bool {
        match self.protocol {
            Protocol::Postgres => self.busy.load(Ordering::Acquire),
            Protocol::FlightSql | Protocol::Http => true,
        }
    }

    /// Notes whether a message of the client is being worked on.
    pub(crate) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Release);
    }

    /// Notes whether the statement's changes are on their way to where others see them.
    pub(crate) fn set_committing(&self, committing: bool) {
        self.committing.store(committing, Ordering::Release);
    }

    /// Whether it is too late to cancel the statement.
    pub(crate) fn is_committing(&self) -> bool {
        self.committing.load(Ordering::Acquire)
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

    /// Learns what other servers have done to the catalog.
    pub(crate) async fn follow_catalog(&self) -> Result<()> {
        let began = Instant::now();
        self.shared.catalog.refresh().await?;
        self.check_database()?;
        self.check_role()?;
        self.follow_renames();
        *self.followed.lock() = Some(began);
        Ok(())
    }

    /// Whether [`Self::follow_catalog`] was called for the statement that is now executed, and
    /// only just: a statement may be executed long after it was prepared.
    pub(crate) fn has_followed(&self) -> bool {
        let followed = self.followed.lock().take();
        followed.is_some_and(|began| began.elapsed() < FOLLOWED_FOR)
    }

    /// Splits and parses a text.
    ///
    /// # Errors
    /// Syntax errors with positions, and texts beyond the limits.
    pub fn parse(&self, sql: &str) -> Result<Vec<Statement>> {
        Ok(tarn_planner::parser::parse(sql, &self.shared.limits)?)
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

    /// Leaves the current token to what runs now, and takes another one for what comes.
    pub(crate) fn renew_token(&self) {
        *self.cancel.lock() = CancellationToken::new();
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
            // Outside of a block the statement was the transaction: `set_config(…, true)`.
            if matches!(inner.transaction, Transaction::Idle) && inner.end_locals() {
                self.generation.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The value of a setting.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<String> {
        if name == "is_superuser" {
            return Some(if self.is_superuser() { "on" } else { "off" }.to_owned());
        }
        let inner = self.inner.lock();
        // Outside of a transaction these are what the next one will have.
        let name = match (name, &inner.transaction) {
            ("transaction_isolation", Transaction::Idle) => "default_transaction_isolation",
            ("transaction_read_only", Transaction::Idle) => "default_transaction_read_only",
            ("transaction_deferrable", Transaction::Idle) => "default_transaction_deferrable",
            (name, _) => name,
        };
        inner.variables.get(name)
    }

    /// Every setting with its value now.
    #[must_use]
    pub fn settings(&self) -> Vec<SettingValue> {
        let superuser = self.setting("is_superuser").unwrap_or_default();
        let mut all = self.inner.lock().variables.all();
        for row in all.iter_mut().filter(|row| row.name == "is_superuser") {
            row.value.clone_from(&superuser);
        }
        all
    }

    /// Notes that names or settings mean something else from now on.
    pub(crate) fn touch(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
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
        self.check_identity(name, value)?;
        let mut inner = self.inner.lock();
        inner.variables.set(name, value)?;
        inner.locals.remove(name);
        inner.note_change(name);
        if name == "session_authorization" {
            inner.variables.reset(Some("role"))?;
        }
        self.generation.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Changes a setting until the end of the transaction.
    pub(crate) fn set_local(&self, name: &str, value: Option<&str>) -> Result<()> {
        if let Some(value) = value {
            self.check_identity(name, value)?;
        }
        let mut inner = self.inner.lock();
        inner.set_local(name, value)?;
        self.generation.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Sets the value that RESET goes back to, as given when the client connected.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn set_initial(&self, name: &str, value: &str) -> Result<()> {
        self.check_identity(name, value)?;
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
            Some(name) => {
                inner.locals.remove(name);
                inner.note_change(name);
            }
            None => {
                // What a transaction is belongs to it, not to the session.
                inner.locals.retain(|name, _| name.starts_with("transaction_"));
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
        let (mut changed, became) = {
            let mut inner = self.inner.lock();
            let now = inner.current_user();
            let became = inner.told_user.as_ref() != Some(&now);
            inner.told_user = Some(now);
            (std::mem::take(&mut inner.changed), became)
        };
        // It follows from the role: the settings do not hold it.
        if became || changed.contains_key("is_superuser") {
            changed.insert("is_superuser", self.setting("is_superuser").unwrap_or_default());
        }
        changed
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
        let private = Self::has_private(&inner).then_some((self.pid, generation));
        let settings = inner.variables.fingerprint();
        let user = inner.current_user();
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
        let user = self.current_user();
        let own = (!SCHEMAS.contains(&user.as_str())).then_some(user.as_str());
        path.split(',')
            .map(|part| part.trim().trim_matches(['"', '\'']))
            .filter_map(|part| if part == "$user" { own } else { Some(part) })
            .filter(|part| !part.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    }

    /// DataFusion's state for a statement of this session that begins now.
    pub(crate) fn state(self: &Arc<Self>) -> SessionState {
        let query_id = self.inner.lock().running.as_ref().map(|running| running.query_id);
        let token = self.token();
        let facts = SessionFacts {
            user: self.current_user(),
            session_user: self.session_user(),
            database: self.shared.catalog.database().to_owned(),
            search_path: self.search_path(),
            backend_pid: self.pid,
            catalog: self.catalog_snapshot(),
            server_started_at: self.shared.started_at,
            settings: Arc::new(SettingsView(Arc::clone(self))),
            backends: Arc::new(BackendsView { session: Arc::clone(self), query_id, token }),
            forms: Arc::new(crate::pg::forms::SessionForms::new(self)),
            seed: Arc::clone(&self.seed),
        };
        let inner = self.inner.lock();
        let n_threads = self.shared.engine.n_threads();
        let mut state = self.shared.factory.session(facts, &inner.variables, n_threads);
        let now = inner.transaction.block().map_or_else(Utc::now, |block| block.started_at);
        // Gives functions the options, and with them the session's facts.
        state.mark_start_execution();
        state.execution_props_mut().query_execution_start_time = Some(now);
        state
    }

    /// Drops everything that belongs to the session: settings, temporary tables.
    pub(crate) fn discard(&self) -> Result<()> {
        self.seed.clear();
        self.inner.lock().temporary.clear();
        self.reset(Some("session_authorization"))?;
        self.reset(Some("role"))?;
        self.reset(None)
    }
}

impl Inner {
    pub(crate) fn note_change(&mut self, name: &str) {
        let Some(setting) = tarn_planner::variables::find(name) else { return };
        if setting.reported {
            let value = self.variables.get(name).unwrap_or_default();
            self.changed.insert(setting.name, value);
        }
    }

    /// Changes a setting until the end of the transaction.
    fn set_local(
        &mut self,
        name: &str,
        value: Option<&str>,
    ) -> std::result::Result<(), PlannerError> {
        let before = self.variables.set_value(name);
        match value {
            Some(value) => self.variables.set(name, value)?,
            None => self.variables.reset(Some(name))?,
        }
        self.locals.entry(name.to_owned()).or_insert(before);
        self.note_change(name);
        Ok(())
    }

    /// Takes back what was set until the end of the transaction; returns whether there was any.
    pub(crate) fn end_locals(&mut self) -> bool {
        let locals = std::mem::take(&mut self.locals);
        for (name, before) in &locals {
            self.variables.restore(name, before.clone());
            self.note_change(name);
        }
        !locals.is_empty()
    }

    /// Goes back to the settings before the transaction.
    pub(crate) fn restore_variables(&mut self, before: Variables) {
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

/// Lets functions of one statement act on sessions.
#[derive(Debug)]
struct BackendsView {
    session: Arc<Session>,
    /// The statement, where it is more than planned.
    query_id: Option<QueryId>,
    token: CancellationToken,
}

impl BackendsView {
    /// Whether nobody waits for the statement any more.
    fn is_over(&self) -> bool {
        let running = || self.session.inner.lock().running.as_ref().map(|running| running.query_id);
        self.token.is_cancelled() || running() != self.query_id
    }
}

impl Backends for BackendsView {
    fn cancel(&self, pid: i32) -> Result<bool, PlannerError> {
        crate::access::check::check_signal(&self.session, pid, "cancel query")?;
        Ok(self.session.shared.sessions.cancel_by_pid(pid))
    }

    fn terminate(&self, pid: i32) -> Result<bool, PlannerError> {
        crate::access::check::check_signal(&self.session, pid, "terminate process")?;
        Ok(self.session.shared.sessions.terminate_by_pid(pid))
    }

    fn notify(&self, channel: &str, payload: &str) -> EngineResult<()> {
        let fault = |code: &'static str, message: &str| {
            let message = message.to_owned();
            let error = PlannerError::Semantics { code, message, position: None };
            Err(DataFusionError::External(Box::new(error)))
        };
        if channel.is_empty() {
            return fault("22023", "channel name cannot be empty");
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            return fault("22023", "payload string too long");
        }
        match self.session.notify(channel.to_owned(), payload.to_owned()) {
            Ok(()) => Ok(()),
            Err(error) => fault("53400", &error.to_string()),
        }
    }

    fn sleep(&self, time: Duration) -> bool {
        /// How long a statement that is over may go on sleeping.
        const SLICE: Duration = Duration::from_millis(10);
        let started = Instant::now();
        let wait = || {
            loop {
                let left = time.saturating_sub(started.elapsed());
                if left.is_zero() || self.is_over() {
                    return left.is_zero();
                }
                std::thread::sleep(left.min(SLICE));
            }
        };
        // The other threads take over what waits for this one.
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
            _ => wait(),
        }
    }
}

impl SettingsLookup for SettingsView {
    fn get(&self, name: &str) -> Option<String> {
        self.0.setting(name)
    }

    fn all(&self) -> Vec<SettingValue> {
        self.0.settings()
    }

    fn set(&self, name: &str, value: Option<&str>, local: bool) -> Result<(), PlannerError> {
        if let Some(value) = value {
            self.0.check_identity(name, value)?;
        }
        let mut inner = self.0.inner.lock();
        if local {
            inner.set_local(name, value)?;
        } else {
            match value {
                Some(value) => inner.variables.set(name, value)?,
                // A name with a dot is known from now on.
                None if inner.variables.get(name).is_none() => inner.variables.set(name, "")?,
                None => inner.variables.reset(Some(name))?,
            }
            inner.locals.remove(name);
            inner.note_change(name);
        }
        self.0.generation.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
