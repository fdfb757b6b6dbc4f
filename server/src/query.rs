//! One statement from its tree to its rows.
//!
//! [`Session::prepare`] binds and plans; [`Session::execute`] binds again, so that it reads the
//! newest versions, reuses the plan where nothing has changed, and starts it. Planning runs on
//! the CPU threads: it can take long and needs their stacks, and a cancel request reaches it
//! there because the waiting side is what listens.

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::scalar::ScalarValue;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tarn_catalog::registry::Relation;
use tarn_exec::{ExecError, Lane, QueryId};
use tarn_planner::binder::{Bound, Pin, bind};
use tarn_planner::point_lookup::PointLookup;
use tarn_planner::{Command, PlannerError, Statement, plan};
use tokio::time::Instant;

use crate::describe::with_origins;
use crate::error::{Error, Result};
use crate::lookup::SessionLookup;
use crate::plan_cache::Scope;
use crate::session::{Session, Status};
use crate::{command, define, explain, modify, upkeep};

/// Texts up to this size are parsed where they arrive: that takes less than handing them over.
pub(crate) const PARSE_HERE_BYTES_MAX: usize = 16 * 1024;

mod execution;
mod point_lookup;
mod reusable;
mod rows;
mod schema;
mod similar;
mod waiting;

pub use execution::{CommandTag, Execution};
pub use point_lookup::Lookups;
use reusable::{is_reusable, names_a_moment};
pub use rows::Rows;
use rows::Source;
pub(crate) use rows::rename;
pub(crate) use schema::{plain_schema, text_schema};
use schema::{same_names, same_types};
pub(crate) use similar::Similar;
use similar::WithValues;
use waiting::{AbortOnDrop, bounded, bounded_until_commit};

/// A statement that was planned once and can be executed many times.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) statement: Statement,
    pub(crate) command: Command,
    schema: Option<SchemaRef>,
    parameter_types: Vec<DataType>,
    /// Holds a [`Cached`], behind `Any` so that futures which hold a `Prepared` compile quickly.
    cached: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
    /// What is executed in its place.
    similar: Option<WithValues>,
}

/// An optimised plan and what it is good for.
#[derive(Debug, Clone)]
struct Cached {
    plan: Arc<LogicalPlan>,
    pins: Vec<Pin>,
    scope: Arc<Scope>,
    /// The rows of a plan that reads no table, once it has run.
    rows: Arc<OnceLock<ConstantRows>>,
    /// How to answer it without running the plan.
    lookup: Option<Arc<PointLookup>>,
}

/// The result of a plan that reads nothing and calls only immutable functions.
#[derive(Debug, Clone)]
struct ConstantRows {
    schema: SchemaRef,
    batches: VecDeque<RecordBatch>,
}

impl Prepared {
    /// Keeps a plan for the next execution.
    fn keep(
        &self,
        plan: Arc<LogicalPlan>,
        pins: Vec<Pin>,
        scope: Arc<Scope>,
        session: &Arc<Session>,
    ) {
        let lookup = match session.shared.lookups.cache().is_on() {
            true => PointLookup::of(&plan, &session.state()).map(Arc::new),
            false => None,
        };
        let cached = Cached { plan, pins, scope, rows: Arc::default(), lookup };
        *self.cached.lock() = Some(Arc::new(cached));
    }

    /// The plan made earlier, while settings and definitions are as they were.
    fn cached(&self, scope: &Scope) -> Option<Cached> {
        let cached = self.cached.lock().clone()?;
        let cached = cached.downcast_ref::<Cached>()?;
        (*cached.scope == *scope).then(|| cached.clone())
    }

    /// The columns that executing it yields; `None` where it yields no rows.
    #[must_use]
    pub fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    /// The types of `$1`, `$2`, … in order.
    #[must_use]
    pub fn parameter_types(&self) -> &[DataType] {
        &self.parameter_types
    }

    /// The statement.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Whether its effect lasts, so that it has to be undone when a later statement of the same
    /// transaction fails.
    pub(crate) fn changes_something(&self) -> bool {
        use Command::{Explain, Fetch, Query, Show};
        let only_reads = match self.command {
            Query | Show { .. } | Fetch(_) => true,
            Explain(form) => !(form.analyze && form.writes),
            _ => false,
        };
        !only_reads && !self.ends_transaction() && !matches!(self.command, Command::Begin { .. })
    }

    /// Whether the isolation of its transaction cannot be changed any more behind it.
    fn looks_at_data(&self) -> bool {
        use Command::{Copy, Declare, Execute, Fetch, Query, Write};
        matches!(self.command, Query | Write(_) | Declare(_) | Fetch(_) | Copy(_) | Execute { .. })
    }

    /// Whether it may run in a transaction that has failed.
    #[must_use]
    pub fn ends_transaction(&self) -> bool {
        use Command::{Commit, Rollback, RollbackTo};
        matches!(self.command, Commit { .. } | Rollback { .. } | RollbackTo(_))
    }
}

impl Session {
    /// Binds and plans a statement.
    ///
    /// `declared` are the types that the client has declared for `$1`, `$2`, …
    ///
    /// # Errors
    /// Names, types, constructs and privileges that do not fit; `FailedTransaction`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind; planning may go on for a moment.
    pub fn prepare(
        self: &Arc<Self>,
        statement: Statement,
        declared: Vec<Option<DataType>>,
    ) -> BoxFuture<'static, Result<Arc<Prepared>>> {
        let session = Arc::clone(self);
        // Boxed, so that callers do not prove `Send` over the plans inside.
        Box::pin(async move { session.prepare_inner(statement, declared).await })
    }

    /// Plans a statement that is part of another one.
    pub(crate) fn plan_statement(
        self: &Arc<Self>,
        statement: Statement,
        declared: Vec<Option<DataType>>,
    ) -> BoxFuture<'static, Result<Arc<Prepared>>> {
        let session = Arc::clone(self);
        Box::pin(async move {
            let prepared = Prepared {
                schema: None,
                parameter_types: vec![],
                cached: Mutex::new(None),
                similar: None,
                command: statement.command()?,
                statement,
            };
            session.plan_prepared(prepared, declared).await.map(Arc::new)
        })
    }

    async fn prepare_inner(
        self: &Arc<Self>,
        statement: Statement,
        declared: Vec<Option<DataType>>,
    ) -> Result<Arc<Prepared>> {
        // Before anything is looked up: other servers may have made or dropped it.
        self.follow_catalog().await?;
        let scope = self.scope();
        let known = self.shared.plans.get(statement.text(), &declared, &scope);
        if let Some(prepared) = known
            && self.status() != Status::Failed
            && self.cached_plan(&prepared).await?.is_some()
        {
            return Ok(prepared);
        }
        if declared.is_empty()
            && self.status() != Status::Failed
            && let Some(prepared) = self.prepare_similar(&statement, &scope).await?
        {
            return Ok(prepared);
        }
        let command = statement.command()?;
        let prepared = Prepared {
            schema: None,
            parameter_types: vec![],
            cached: Mutex::new(None),
            similar: None,
            command,
            statement,
        };
        if self.status() == Status::Failed && !prepared.ends_transaction() {
            return Err(Error::FailedTransaction);
        }
        let token = self.fresh_token();
        let session = Arc::clone(self);
        let types = declared.clone();
        let planned: BoxFuture<'_, Result<Prepared>> =
            Box::pin(self.on_cpu(async move { session.plan_prepared(prepared, types).await }));
        let prepared = Arc::new(bounded(planned, &token, self.deadline()).await?);
        if prepared.cached(&scope).is_some_and(|cached| self.is_shared(&cached.pins)) {
            self.shared.plans.put(&declared, &scope, &prepared);
        }
        Ok(prepared)
    }

    async fn plan_prepared(
        self: Arc<Self>,
        mut prepared: Prepared,
        declared: Vec<Option<DataType>>,
    ) -> Result<Prepared> {
        match &prepared.command {
            Command::Query => {
                let planned = self.plan_query(&prepared.statement, &declared).await?;
                prepared.parameter_types = planned.parameter_types;
                let schema = plain_schema(planned.optimized.schema().as_arrow());
                prepared.schema = Some(with_origins(
                    &schema,
                    &planned.logical,
                    &self.catalog_snapshot(),
                    &self.search_path(),
                ));
                if planned.reusable {
                    prepared.keep(Arc::new(planned.optimized), planned.pins, planned.scope, &self);
                }
            }
            Command::Declare(_) => {
                let planned = self.plan_query(&prepared.statement, &declared).await?;
                prepared.parameter_types = planned.parameter_types;
            }
            Command::Copy(copy) if !copy.from => {
                let planned = self.plan_query(&prepared.statement, &declared).await?;
                if !planned.parameter_types.is_empty() {
                    return Err(Error::Value {
                        code: "42P02",
                        message: "there is no parameter $1".to_owned(),
                    });
                }
            }
            Command::Execute { .. } | Command::Fetch(_) => {
                prepared.schema = self.schema_of(&prepared);
            }
            Command::Explain(_) => prepared.schema = Some(text_schema("QUERY PLAN")),
            Command::Show { name } => prepared.schema = Some(command::show_schema(name)),
            Command::Upkeep(upkeep) => prepared.schema = upkeep::schema(&self, upkeep)?,
            Command::Write(_) => {
                let (types, schema) =
                    modify::describe(&self, &prepared.statement, &declared).boxed().await?;
                prepared.parameter_types = types;
                prepared.schema = schema;
            }
            _ => {}
        }
        Ok(prepared)
    }

    async fn plan_query(
        self: &Arc<Self>,
        statement: &Statement,
        declared: &[Option<DataType>],
    ) -> Result<Planned> {
        let scope = self.scope();
        let state = self.state();
        let Bound { ast, tables, pins, .. } =
            bind(statement, &state, &SessionLookup::new(self)).await?;
        let mut logical = plan::logical_plan(statement, ast.clone(), &state, &tables, declared)?;
        let parameter_types = plan::parameter_types(&logical, declared)?;
        if !parameter_types.is_empty() {
            // Again with all types known, so that expressions over parameters get theirs.
            let known: Vec<_> = parameter_types.iter().cloned().map(Some).collect();
            logical = plan::logical_plan(statement, ast, &state, &tables, &known)?;
        }
        let reusable = is_reusable(&logical)
            && !names_a_moment(statement.text())
            && pins.iter().all(|pin| pin.version.is_some());
        let optimized = plan::optimize(&logical, &state, statement)?;
        Ok(Planned { optimized, logical, pins, parameter_types, reusable, scope })
    }

    /// Runs a prepared statement.
    ///
    /// # Errors
    /// What planning finds now, and what goes wrong before the first row; later errors come with
    /// the rows.
    ///
    /// # Cancel safety
    /// Dropping the future stops the query.
    pub fn execute(
        self: &Arc<Self>,
        prepared: &Arc<Prepared>,
        parameters: Vec<ScalarValue>,
    ) -> BoxFuture<'static, Result<Execution>> {
        let (session, prepared) = (Arc::clone(self), Arc::clone(prepared));
        Box::pin(async move { Box::pin(session.execute_inner(&prepared, parameters)).await })
    }

    async fn execute_inner(
        self: &Arc<Self>,
        prepared: &Arc<Prepared>,
        parameters: Vec<ScalarValue>,
    ) -> Result<Execution> {
        if !self.has_followed() {
            self.follow_catalog().await?;
            self.has_followed();
        }
        if self.status() == Status::Failed && !prepared.ends_transaction() {
            return Err(Error::FailedTransaction);
        }
        if prepared.looks_at_data() {
            self.note_query();
        }
        let query_id = QueryId::next();
        self.set_committing(false);
        let token = self.begin_statement(query_id, prepared.statement.text());
        let deadline = self.deadline();
        // `SELECT 1` and its kin, which pools and drivers send all the time.
        if let Some(rows) = prepared.cached(&self.scope()).and_then(|c| c.rows.get().cloned()) {
            let (session, source) = (Arc::clone(self), Source::Batches(rows.batches));
            let schema = rows.schema;
            return Ok(Execution::Rows(Rows {
                session,
                schema,
                verb: "SELECT",
                source,
                query_id,
                deadline,
                binary: false,
                reads: None,
            }));
        }
        let (prepared, parameters) = match &prepared.similar {
            Some(similar) => (&similar.prepared, similar.values.clone()),
            None => (prepared, parameters),
        };
        let looked_up = Box::pin(self.look_up(prepared, &parameters, query_id, deadline));
        match bounded(looked_up, &token, deadline).await {
            Ok(Some(rows)) => return Ok(Execution::Rows(rows)),
            Ok(None) => {}
            Err(error) => {
                self.end_statement(query_id);
                return Err(error);
            }
        }
        let changes_something = prepared.changes_something();
        let session = Arc::clone(self);
        let prepared = Arc::clone(prepared);
        let work = self.on_cpu(async move {
            session.execute_here(&prepared, parameters, query_id, deadline).await
        });
        let session = Arc::clone(self);
        let result = bounded_until_commit(Box::pin(work), &session, &token, deadline).await;
        if result.is_err() && changes_something {
            // A writer that was stopped undoes its changes before the client goes on.
            let undo_max = std::time::Duration::from_secs(UNDO_SECONDS_MAX);
            let undone = tokio::time::timeout(undo_max, self.writing.lock()).await;
            drop(undone);
        }
        if !matches!(result, Ok(Execution::Rows(_) | Execution::CopyOut(_))) {
            self.end_statement(query_id);
        }
        result
    }

    /// Runs what a statement of the same text asks for: the target of EXECUTE, the query of FETCH.
    pub(crate) fn run_prepared(
        self: &Arc<Self>,
        prepared: &Arc<Prepared>,
        parameters: Vec<ScalarValue>,
        query_id: QueryId,
        deadline: Option<Instant>,
    ) -> BoxFuture<'static, Result<Execution>> {
        let (session, prepared) = (Arc::clone(self), Arc::clone(prepared));
        Box::pin(
            async move { session.execute_here(&prepared, parameters, query_id, deadline).await },
        )
    }

    async fn execute_here(
        self: &Arc<Self>,
        prepared: &Arc<Prepared>,
        parameters: Vec<ScalarValue>,
        query_id: QueryId,
        deadline: Option<Instant>,
    ) -> Result<Execution> {
        let statement = &prepared.statement;
        match &prepared.command {
            Command::Query => {
                let rows = self.execute_query(prepared, parameters, query_id, deadline).await?;
                Ok(Execution::Rows(rows))
            }
            Command::Declare(declare) => {
                self.check_declare(declare)?;
                let rows = self.execute_query(prepared, parameters, query_id, None).await?;
                self.declare(declare, prepared, rows).map(Execution::Done)
            }
            Command::Fetch(fetch) => self.fetch(fetch, query_id, deadline).await,
            Command::Copy(copy) if copy.file.is_some() => {
                crate::copy_in::copy_files(self, copy).await.map(Execution::Done)
            }
            Command::Copy(copy) if copy.from => crate::copy_in::begin(self, copy).await,
            Command::Copy(copy) => {
                crate::copy_out::check(self, copy)?;
                let rows = self.execute_query(prepared, vec![], query_id, deadline).await?;
                crate::copy_out::begin(rows, copy).map(Execution::CopyOut)
            }
            Command::Prepare { name, types } => {
                self.prepare_named(name, types, statement).await.map(Execution::Done)
            }
            Command::Execute { name, n_arguments } => {
                let entry = self.find_statement(name)?;
                let Some(target) = entry.prepared else {
                    return Err(Error::UndefinedStatement { name: name.clone() });
                };
                let types = target.parameter_types();
                let values = self.arguments(statement, name, *n_arguments, types, query_id).await?;
                self.run_prepared(&target, values, query_id, deadline).await
            }
            Command::Explain(form) => {
                let lines = explain::explain(self, statement, *form, query_id).await?;
                Ok(Execution::Rows(self.text_rows("QUERY PLAN", lines, "EXPLAIN", query_id)?))
            }
            Command::Show { name } => {
                let batch = command::show(self, name)?;
                Ok(Execution::Rows(self.batch_rows(batch, "SHOW", query_id)))
            }
            Command::Write(write) => {
                modify::run(self, statement, *write, parameters, query_id).await
            }
            Command::Upkeep(upkeep) => {
                let work = upkeep::Work { session: self, statement, query_id };
                Box::pin(upkeep::run(&work, upkeep)).await
            }
            Command::Define(form) => {
                define::run(self, statement, form, query_id).await.map(Execution::Done)
            }
            Command::Comment { kind, parts, text } => {
                let text = text.as_deref();
                let done = define::comments::comment(self, statement, kind, parts, text);
                done.await.map(Execution::Done)
            }
            Command::Commit { chain } => {
                command::end(self, true, *chain).await.map(Execution::Done)
            }
            Command::Rollback { chain } => {
                command::end(self, false, *chain).await.map(Execution::Done)
            }
            other => command::run(self, other).map(Execution::Done),
        }
    }

    async fn execute_query(
        self: &Arc<Self>,
        prepared: &Prepared,
        parameters: Vec<ScalarValue>,
        query_id: QueryId,
        deadline: Option<Instant>,
    ) -> Result<Rows> {
        let statement = &prepared.statement;
        let state = self.state();
        // A `numeric` comes with digits of its own, an array with dimensions of its own: then the
        // plan is made for these types.
        let given: Vec<_> = parameters.iter().map(ScalarValue::data_type).collect();
        let exact = parameters.is_empty() || given == prepared.parameter_types;
        let cached = if exact { self.cached_plan(prepared).await? } else { None };
        let plan = match cached {
            Some(plan) if parameters.is_empty() => plan,
            Some(plan) => Arc::new(plan::with_parameters_optimized(&plan, parameters, &state)?),
            None => {
                let types = if exact { prepared.parameter_types.clone() } else { given };
                let declared: Vec<_> = types.into_iter().map(Some).collect();
                let planned = self.plan_query(statement, &declared).await?;
                let optimized = Arc::new(planned.optimized);
                // Its tables have changed since it was planned. Versions that only a transaction
                // reads are not for others.
                if exact && planned.reusable && self.status() == Status::Idle {
                    let plan = Arc::clone(&optimized);
                    prepared.keep(plan, planned.pins, planned.scope, self);
                }
                if parameters.is_empty() {
                    optimized
                } else {
                    let bound = plan::with_parameters(planned.logical, parameters)?;
                    Arc::new(plan::optimize(&bound, &state, statement)?)
                }
            }
        };
        let physical = plan::physical_plan(&plan, &state, statement).await?;
        let schema = match &prepared.schema {
            Some(announced)
                if same_types(announced, &physical.schema())
                    && same_names(announced, plan.schema().as_arrow()) =>
            {
                Arc::clone(announced)
            }
            _ => plain_schema(&physical.schema()),
        };
        let constant = plan::is_constant(&plan);
        let place = match constant {
            true => Place::Here,
            false if crate::system_tables::reads_only_system_tables(&plan) => {
                Place::Lane(Lane::System)
            }
            false => Place::Lane(Lane::Queries),
        };
        let mut rows = self.start(physical, &state, schema, place, query_id, deadline).await?;
        rows.reads = Some(plan);
        if let (true, Source::Batches(batches)) = (constant, &rows.source) {
            let cached = prepared.cached(&self.scope());
            // Rows that were made from parameters are theirs alone.
            let constant =
                |cached: &Cached| cached.pins.is_empty() && prepared.parameter_types.is_empty();
            if let Some(cached) = cached.filter(constant) {
                let rows =
                    ConstantRows { schema: Arc::clone(&rows.schema), batches: batches.clone() };
                // Another execution may have been faster, with the same rows.
                drop(cached.rows.set(rows));
            }
        }
        Ok(rows)
    }

    /// The plan made by an earlier call, if every table still has the version that it read.
    async fn cached_plan(
        self: &Arc<Self>,
        prepared: &Prepared,
    ) -> Result<Option<Arc<LogicalPlan>>> {
        let Some(cached) = prepared.cached(&self.scope()) else { return Ok(None) };
        Ok(self.are_newest(&cached.pins).await?.then_some(cached.plan))
    }

    /// Whether every table still has the version that a plan reads.
    async fn are_newest(self: &Arc<Self>, pins: &[Pin]) -> Result<bool> {
        let lookup = SessionLookup::new(self);
        for pin in pins {
            if lookup.version_now(&pin.name).await? != pin.version {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether other sessions may use a plan over these tables. Plans over tables in memory
    /// would keep their old rows alive.
    fn is_shared(&self, pins: &[Pin]) -> bool {
        let catalog = &self.shared.catalog;
        pins.iter().all(|pin| matches!(catalog.get(&pin.name), Some(Relation::Lake(_))))
    }

    /// Starts a physical plan.
    pub(crate) async fn start(
        self: &Arc<Self>,
        physical: Arc<dyn ExecutionPlan>,
        state: &SessionState,
        schema: SchemaRef,
        place: Place,
        query_id: QueryId,
        deadline: Option<Instant>,
    ) -> Result<Rows> {
        let engine = &self.shared.engine;
        let context =
            tarn_planner::session_state::task_context(state, Arc::clone(engine.runtime_env()));
        let source = match place {
            Place::Here => {
                let batches = collect(physical, context)
                    .await
                    .map_err(|error| ExecError::Engine(Box::new(error)))?;
                let batches: Result<VecDeque<_>> =
                    batches.iter().map(|b| rename(b, &schema)).collect();
                Source::Batches(batches?)
            }
            Place::Lane(lane) => {
                let stream = engine.run(query_id, physical, context, self.token(), lane).await?;
                self.shared.running.add(query_id, Arc::clone(stream.plan()));
                Source::Stream(stream)
            }
        };
        let session = Arc::clone(self);
        Ok(Rows {
            session,
            schema,
            verb: "SELECT",
            source,
            query_id,
            deadline,
            binary: false,
            reads: None,
        })
    }

    /// Plans and runs a query to its end, for statements that need all of it.
    pub(crate) async fn collect(
        self: &Arc<Self>,
        logical: &LogicalPlan,
        state: &SessionState,
        statement: &Statement,
        query_id: QueryId,
    ) -> Result<Vec<RecordBatch>> {
        let optimized = plan::optimize(logical, state, statement)?;
        let physical = plan::physical_plan(&optimized, state, statement).await?;
        self.gather(physical, state, query_id).await.map(|(batches, _)| batches)
    }

    /// All rows of a plan, and the plan as it ran, with its metrics.
    pub(crate) async fn gather(
        self: &Arc<Self>,
        physical: Arc<dyn ExecutionPlan>,
        state: &SessionState,
        query_id: QueryId,
    ) -> Result<(Vec<RecordBatch>, Arc<dyn ExecutionPlan>)> {
        let engine = &self.shared.engine;
        let context =
            tarn_planner::session_state::task_context(state, Arc::clone(engine.runtime_env()));
        let token = self.token();
        let mut stream = engine.run(query_id, physical, context, token, Lane::Queries).await?;
        let mut batches = Vec::new();
        // What is gathered counts like what operators hold: rows without end fail, not the server.
        let gathered = MemoryConsumer::new("gathered rows").register(engine.memory_pool());
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let n_bytes: usize = batch.columns().iter().map(bytes_of).sum();
            gathered.try_grow(n_bytes).map_err(|error| ExecError::Engine(Box::new(error)))?;
            batches.push(batch);
        }
        Ok((batches, Arc::clone(stream.plan())))
    }

    fn text_rows(
        self: &Arc<Self>,
        column: &str,
        lines: Vec<String>,
        verb: &'static str,
        query_id: QueryId,
    ) -> Result<Rows> {
        let values: ArrayRef = Arc::new(StringArray::from(lines));
        let batch = RecordBatch::try_new(text_schema(column), vec![values])
            .map_err(|error| Error::Internal { what: format!("lines of text: {error}") })?;
        Ok(self.batch_rows(batch, verb, query_id))
    }

    fn batch_rows(
        self: &Arc<Self>,
        batch: RecordBatch,
        verb: &'static str,
        query_id: QueryId,
    ) -> Rows {
        let schema = batch.schema();
        let source = Source::Batches(VecDeque::from([batch]));
        Rows {
            session: Arc::clone(self),
            schema,
            verb,
            source,
            query_id,
            deadline: None,
            binary: false,
            reads: None,
        }
    }

    /// When a statement that begins now has to be done.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let timeout_ms = self.timeout_ms("statement_timeout");
        (timeout_ms > 0).then(|| Instant::now() + std::time::Duration::from_millis(timeout_ms))
    }

    /// As [`Self::parse`]; a large text on the CPU threads, so that it holds up nobody else.
    pub(crate) async fn parse_text(self: &Arc<Self>, text: String) -> Result<Vec<Statement>> {
        if text.len() <= PARSE_HERE_BYTES_MAX {
            return self.parse(&text);
        }
        Arc::clone(self).parse_on_cpu(text).await
    }

    /// As [`Self::parse`], on the CPU threads.
    pub(crate) fn parse_on_cpu(
        self: Arc<Self>,
        text: String,
    ) -> BoxFuture<'static, Result<Vec<Statement>>> {
        Box::pin(async move {
            let (token, session) = (self.fresh_token(), Arc::clone(&self));
            let parsed = self.on_cpu(async move { session.parse(&text) });
            bounded(parsed, &token, self.deadline()).await
        })
    }

    /// Runs planning work on the CPU threads; a panic there becomes an error.
    async fn on_cpu<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let task = self.shared.engine.spawn(work);
        let abort = AbortOnDrop(task.abort_handle());
        let result = task.await;
        drop(abort);
        match result {
            Ok(result) => result,
            Err(error) if error.is_panic() => {
                let panic = error.into_panic();
                let text = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned());
                let what = text.unwrap_or_else(|| "no message".to_owned());
                Err(ExecError::Panicked { what }.into())
            }
            Err(_) => Err(ExecError::Stopping.into()),
        }
    }
}

/// How many seconds the end of a failed statement waits for its writer.
const UNDO_SECONDS_MAX: u64 = 5;

/// The bytes of an array's own rows, be it a part of a larger one.
fn bytes_of(column: &ArrayRef) -> usize {
    let whole = column.get_array_memory_size();
    column.to_data().get_slice_memory_size().map_or(whole, |bytes| bytes.min(whole))
}

/// Where a plan runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the spot: it reads nothing.
    Here,
    /// Among the queries of a lane.
    Lane(Lane),
}

struct Planned {
    optimized: LogicalPlan,
    logical: LogicalPlan,
    pins: Vec<Pin>,
    parameter_types: Vec<DataType>,
    reusable: bool,
    scope: Arc<Scope>,
}

/// An error for statements that are refused where they stand.
pub(crate) fn unsupported(what: impl Into<String>) -> Error {
    PlannerError::unsupported(what).into()
}

/// The error for COPY where there is no Postgres wire to copy over.
pub(crate) fn copy_elsewhere() -> Error {
    let hint = Some("Run the query itself, or copy over the Postgres wire.".to_owned());
    PlannerError::Unsupported { what: "COPY over this protocol".to_owned(), hint }.into()
}
