//! INSERT, UPDATE, DELETE, MERGE and TRUNCATE.
//!
//! ```text
//!   rows of the table, numbered ─► query of the statement ─► generated columns, checks ─► gate
//!                                                                 numbers and new rows ◄──┘
//!                                          memory: changed in place   lake: files, deleted rows
//!                                                      └──────► RETURNING ◄──────┘
//! ```
//! Each statement works on a copy that only its transaction sees (`changes`). The copy is made
//! before the statement is planned, so that all it reads of the table is one version of it.
//!
//! | module | what |
//! |---|---|
//! | `target` | the table that is written |
//! | `rights` | which rights on the table a statement needs |
//! | `columns` | the same for its columns |
//! | `plan` | the statement's query, planned |
//! | `gate` | what every row has to pass |
//! | `memory` | tables in memory |
//! | `lake` | Delta tables |

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::scalar::ScalarValue;
use futures::FutureExt;
use parking_lot::Mutex;
use sqlparser::ast::Statement as Ast;
use tarn_catalog::memory::{MemoryTable, provider_of};
use tarn_catalog::rights::Privilege;
use tarn_catalog::{CatalogError, LakeTable, TableName, Travel};
use tarn_exec::QueryId;
use tarn_planner::Statement;
use tarn_planner::statement::Write;
use tarn_planner::write::{Effect, ROW, Replace, TARGET, Target, WriteQuery, target_of};

use crate::error::{Error, Result};
use crate::gone;
use crate::lookup::TEMPORARY;
use crate::query::{CommandTag, Execution, Rows};
use crate::session::Session;
use crate::transaction::StatementTransaction;

mod columns;
pub(crate) mod explain;
mod gate;
mod lake;
mod memory;
mod plan;
mod rights;
mod target;

use gate::{Behind, Gate, Gated};
pub(crate) use memory::append;
use plan::Planned;
pub(crate) use plan::describe;
pub(crate) use target::{WriteTable, Written, table_of};

/// How often a statement starts over because another one wrote meanwhile.
const N_TRIES_MAX: usize = 10;

/// Refuses to change anything in a transaction that is read only; temporary tables may change.
pub(crate) fn check_writable(
    session: &Session,
    what: &str,
    name: Option<&TableName>,
) -> Result<()> {
    if name.is_some_and(|name| name.schema() == TEMPORARY) {
        return Ok(());
    }
    if session.setting("transaction_read_only").as_deref() == Some("on") {
        return Err(Error::ReadOnlyTransaction { what: what.to_owned() });
    }
    session.check_no_snapshot(what)
}

/// One writing statement on its way.
struct Writing<'a> {
    session: &'a Arc<Session>,
    statement: &'a Statement,
    write: Write,
    parameters: Vec<ScalarValue>,
    query_id: QueryId,
    /// The rows that COPY brings, which cannot be read twice.
    source: Option<Arc<dyn TableProvider>>,
    /// What EXPLAIN ANALYZE wants to know.
    measured: Option<Mutex<explain::Measured>>,
}

/// Runs one writing statement.
pub(crate) async fn run(
    session: &Arc<Session>,
    statement: &Statement,
    write: Write,
    parameters: Vec<ScalarValue>,
    query_id: QueryId,
) -> Result<Execution> {
    let _turn = session.writing.lock().await;
    let (source, measured) = (None, None);
    let writing = Writing { session, statement, write, parameters, query_id, source, measured };
    writing.run().await
}

/// Rows that come from elsewhere.
pub(crate) struct Source {
    pub(crate) rows: Arc<dyn TableProvider>,
    /// The columns that are taken, by name; all of them where none is listed.
    pub(crate) columns: Vec<String>,
    /// Columns that are not taken as they are.
    pub(crate) values: Vec<ColumnValue>,
    /// Which rows are taken, as SQL.
    pub(crate) condition: Option<String>,
}

/// What a column is given instead of the column of the rows that has its name.
#[derive(Debug, Clone)]
pub(crate) struct ColumnValue {
    pub(crate) column: String,
    /// An expression over the columns of the rows, as SQL.
    pub(crate) value: String,
}

impl Source {
    /// All columns of the rows, the given values instead of some, as SQL.
    fn selected(&self) -> String {
        let schema = self.rows.schema();
        let columns = schema.fields().iter().map(|field| {
            let name = quoted(field.name());
            match self.values.iter().find(|value| value.column == *field.name()) {
                Some(found) => format!("{} AS {name}", found.value),
                None => name,
            }
        });
        columns.collect::<Vec<_>>().join(", ")
    }
}

/// A name as SQL has it, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Adds rows to a table: `INSERT INTO t (a, b) SELECT a, b FROM` those rows.
pub(crate) async fn insert_rows(
    session: &Arc<Session>,
    table: &Target,
    source: Source,
    query_id: QueryId,
) -> Result<u64> {
    let _turn = session.writing.lock().await;
    let mut columns: Vec<String> = source.columns.iter().map(|name| quoted(name)).collect();
    if columns.is_empty() {
        columns = source.rows.schema().fields().iter().map(|f| quoted(f.name())).collect();
    }
    let columns = columns.join(", ");
    let name = match &table.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&table.table)),
        None => quoted(&table.table),
    };
    let mut rows = quoted(TARGET);
    if !source.values.is_empty() {
        rows = format!("(SELECT {} FROM {rows}) AS {rows}", source.selected());
    }
    let mut text = format!("INSERT INTO {name} ({columns}) SELECT {columns} FROM {rows}");
    if let Some(condition) = &source.condition {
        text.push_str(" WHERE ");
        text.push_str(condition);
    }
    let statements = session.parse(&text)?;
    let Some(statement) = statements.first() else {
        return Err(Error::Internal { what: "no INSERT".to_owned() });
    };
    let writing = Writing {
        session,
        statement,
        write: Write::Insert,
        parameters: vec![],
        query_id,
        source: Some(source.rows),
        measured: None,
    };
    match writing.run().await? {
        Execution::Done(tag) => Ok(tag.n_rows.unwrap_or(0)),
        Execution::Rows(_) | Execution::CopyOut(_) | Execution::CopyIn(_) => Ok(0),
    }
}

/// Gives a column that a transaction has added to a table its default, or what it is generated
/// from, in the rows that are there: `UPDATE t SET c = DEFAULT`, without the turn of a statement.
pub(crate) async fn fill_column(
    session: &Arc<Session>,
    table: &TableName,
    column: &str,
    query_id: QueryId,
) -> Result<u64> {
    let text = format!(
        "UPDATE {}.{} SET {} = DEFAULT",
        quoted(table.schema()),
        quoted(table.table()),
        quoted(column)
    );
    let statements = session.parse(&text)?;
    let Some(statement) = statements.first() else {
        return Err(Error::Internal { what: "no UPDATE".to_owned() });
    };
    let (parameters, source, measured) = (vec![], None, None);
    let write = Write::Update;
    let writing = Writing { session, statement, write, parameters, query_id, source, measured };
    match writing.attempt().boxed().await? {
        Execution::Done(tag) => Ok(tag.n_rows.unwrap_or(0)),
        Execution::Rows(_) | Execution::CopyOut(_) | Execution::CopyIn(_) => Ok(0),
    }
}

/// What a statement has done to a table.
struct Done {
    n_rows: u64,
    /// The rows for RETURNING, where it is there.
    touched: Vec<RecordBatch>,
    /// Their columns, where they are more than the table's.
    returned: Option<SchemaRef>,
}

impl Writing<'_> {
    async fn run(&self) -> Result<Execution> {
        for n_tries in 0..N_TRIES_MAX {
            if n_tries > 0 {
                // What was in the way may be another server's.
                self.session.follow_catalog().await?;
            }
            let transaction = StatementTransaction::begin(self.session);
            let may_retry = transaction.is_own() && self.source.is_none();
            let done = match self.attempt().boxed().await {
                Ok(done) => transaction.commit().await.map(|()| done),
                Err(error) => Err(error),
            };
            match done {
                Err(
                    Error::WriteConflict
                    | Error::Catalog(CatalogError::Conflict { .. } | CatalogError::Reserved { .. }),
                ) if may_retry => {}
                other => return other,
            }
        }
        Err(Error::WriteConflict)
    }

    fn verb(&self) -> &'static str {
        match self.write {
            // The number in the middle was an object identifier in old versions of PostgreSQL.
            Write::Insert => "INSERT 0",
            Write::Update => "UPDATE",
            Write::Delete => "DELETE",
            Write::Merge => "MERGE",
            Write::Truncate => "TRUNCATE TABLE",
        }
    }

    async fn attempt(&self) -> Result<Execution> {
        let session = self.session;
        if let Ast::Truncate(truncate) = self.statement.ast() {
            for table in &truncate.table_names {
                let (target, rights) = (target_of(&table.name)?, [Privilege::Truncate]);
                let opened = WriteTable::open(session, &target, &rights, "TRUNCATE TABLE").await;
                let (table, written) = match opened {
                    Err(Error::Catalog(CatalogError::TableNotFound { name }))
                        if truncate.if_exists =>
                    {
                        let message = format!("relation \"{name}\" does not exist, skipping");
                        session.notice("NOTICE", "00000", message);
                        continue;
                    }
                    opened => opened?,
                };
                match written {
                    Written::Memory(memory) => clear(session, &table.name, &memory)?,
                    Written::Lake(staged) => self.truncate(&table, &staged).boxed().await?,
                }
            }
            return Ok(Execution::Done(CommandTag::new(self.verb())));
        }
        let target = tarn_planner::write::target(self.statement.ast())?;
        let rights = rights::needed(self.statement.ast());
        let what = self.verb().trim_end_matches(" 0");
        let (table, written) = WriteTable::open(session, &target, &rights, what).await?;
        self.note_attempt(table.name.table());
        let error = match self.write_to(&table, &written).boxed().await {
            Err(error) if gone::may_be_gone(&error) => error,
            done => return done,
        };
        // What was dropped meanwhile, by another server, is looked for again: it may be there anew.
        match gone::told(session, table.view.places()).await {
            Some(_) => Err(CatalogError::Conflict { name: table.name.table().to_owned() }.into()),
            None => Err(error),
        }
    }

    async fn write_to(&self, table: &WriteTable, written: &Written) -> Result<Execution> {
        let write = plan::write_query(self, table).await?;
        if let (Written::Memory(memory), Some(_)) = (written, &write.returning) {
            // A subquery of RETURNING reads what was there before the statement.
            let before = Arc::clone(memory) as Arc<dyn LakeTable>;
            table.view.put(&table.name, before.pin(Travel::Latest).await?);
        }
        let done = match written {
            Written::Memory(memory) => self.to_memory(&write, table, memory).boxed().await?,
            Written::Lake(staged) => self.to_lake(&write, table, staged).boxed().await?,
        };
        self.session.check_temporary_size()?;
        self.note_rows(done.n_rows);
        match &write.returning {
            Some(returning) => self.returning(returning, table, done).await,
            None => Ok(Execution::Done(CommandTag::with_rows(self.verb(), done.n_rows))),
        }
    }

    async fn to_memory(
        &self,
        write: &WriteQuery,
        table: &WriteTable,
        memory: &Arc<MemoryTable>,
    ) -> Result<Done> {
        let session = self.session;
        let old = match &write.replaces {
            Some(Replace::Where { query, .. }) => {
                let target = memory::numbered(memory)?;
                let old = plan::old_rows(self, table, query, target).await?;
                let gate = self.gate(table, Effect::Delete, (vec![], Behind::default()));
                self.gated(old, &gate).await?
            }
            Some(Replace::All) | None => vec![],
        };
        let target = match write.effect {
            Effect::Append => self.source_or_empty(table),
            Effect::Update | Effect::Delete | Effect::Merge | Effect::Clear => {
                memory::numbered(memory)?
            }
        };
        let planned = plan::rows(self, write, table, target).boxed().await?;
        let behind = planned.behind(write, table);
        let returned = behind.returned.clone();
        let gate = self.gate(table, write.effect, (planned.checks.clone(), behind));
        let changes = self.gated(planned, &gate).await?;
        if matches!(write.replaces, Some(Replace::All)) {
            clear(session, &table.name, memory)?;
        }
        memory::change(session, &table.name, memory, &old)?;
        memory::change(session, &table.name, memory, &changes)?;
        let n_rows = changes.iter().map(|change| change.n_rows as u64).sum();
        let touched = match &write.returning {
            Some(_) => changes.iter().filter_map(Gated::touched).cloned().collect(),
            None => vec![],
        };
        Ok(Done { n_rows, touched, returned })
    }

    fn gate(
        &self,
        table: &WriteTable,
        effect: Effect,
        (checks, behind): (Vec<tarn_planner::write::Check>, Behind),
    ) -> Arc<Gate> {
        let schema = Arc::clone(&table.schema);
        Arc::new(Gate::new(table.name.table(), schema, effect, checks, behind))
    }

    /// Runs a query to its end and passes what it yields through the gate.
    async fn gated(&self, planned: Planned, gate: &Gate) -> Result<Vec<Gated>> {
        let Planned { logical, state, statement, .. } = planned;
        let optimized = tarn_planner::plan::optimize(&logical, &state, &statement)?;
        let physical = tarn_planner::plan::physical_plan(&optimized, &state, &statement).await?;
        self.note_ready();
        let (batches, ran) = self.session.gather(physical, &state, self.query_id).await?;
        self.note_plan(&ran);
        batches.iter().map(|batch| gate.pass(batch)).collect()
    }

    /// What stands for the target where a statement does not read it.
    fn source_or_empty(&self, table: &WriteTable) -> Arc<dyn TableProvider> {
        match &self.source {
            Some(source) => Arc::clone(source),
            None => provider_of(numbered_schema(&table.schema), vec![]),
        }
    }

    /// What RETURNING says of the rows that were touched.
    async fn returning(
        &self,
        returning: &Ast,
        table: &WriteTable,
        done: Done,
    ) -> Result<Execution> {
        let schema = done.returned.unwrap_or_else(|| Arc::clone(&table.schema));
        let target = provider_of(schema, done.touched);
        let (planned, schema) = plan::returning(self, table, returning, target).await?;
        let Planned { logical, state, statement, .. } = planned;
        let batches = self.session.collect(&logical, &state, &statement, self.query_id).await?;
        let renamed = batches.iter().map(|batch| crate::query::rename(batch, &schema));
        let batches: Result<Vec<_>> = renamed.collect();
        let rows = Rows::of_batches(self.session, schema, self.verb(), batches?, self.query_id);
        Ok(Execution::Rows(rows))
    }
}

/// Takes all rows out of a table in memory.
fn clear(session: &Session, name: &TableName, table: &Arc<MemoryTable>) -> Result<()> {
    table.replace(vec![], table.rows().generation())?;
    session.note_changed(name);
    Ok(())
}

/// The table's columns with the row number behind them.
fn numbered_schema(schema: &SchemaRef) -> SchemaRef {
    let row = Arc::new(Field::new(ROW, DataType::Int64, false));
    Arc::new(Schema::new(schema.fields().iter().cloned().chain([row]).collect::<Vec<_>>()))
}

pub(crate) fn internal(error: arrow::error::ArrowError) -> Error {
    Error::Internal { what: error.to_string() }
}
