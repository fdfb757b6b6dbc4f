//! INSERT, UPDATE, DELETE and TRUNCATE on tables in memory.
//!
//! ```text
//!   rows of the table, numbered ─► query of the statement ─► numbers and values ─► new rows
//!                                                                └─► RETURNING
//! ```
//! Each statement works on a copy that only its transaction sees (`changes`).

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::compute::{concat_batches, filter_record_batch, interleave};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::scalar::ScalarValue;
use futures::future::BoxFuture;
use sqlparser::ast::Statement as Ast;
use tarn_catalog::memory::{MemoryTable, provider_of};
use tarn_catalog::registry::Relation as Known;
use tarn_catalog::{CatalogError, TableName};
use tarn_exec::QueryId;
use tarn_planner::binder::{Found, Lookup, bind};
use tarn_planner::rewrite::Relation;
use tarn_planner::statement::Write;
use tarn_planner::write::{
    Effect, ROW, TARGET, Target, WriteQuery, target, target_of, write_query,
};
use tarn_planner::{Statement, plan};

use crate::error::{Error, Result};
use crate::lookup::{SessionLookup, TEMPORARY};
use crate::query::{CommandTag, Execution, Rows, plain_schema};
use crate::session::Session;
use crate::transaction::StatementTransaction;

/// How often a statement starts over because another one wrote meanwhile.
const N_TRIES_MAX: usize = 10;

/// The table that a statement writes.
pub(crate) fn table_of(
    session: &Arc<Session>,
    target: &Target,
) -> Result<(TableName, Arc<MemoryTable>)> {
    let lookup = SessionLookup::new(session);
    match lookup.resolve(target.schema.as_deref(), &target.table) {
        Some((name, Known::Memory(table))) => Ok((name, table)),
        Some((name, Known::View { .. })) => Err(CatalogError::WrongObjectType {
            name: name.table().to_owned(),
            expected: "a table that can be written",
        }
        .into()),
        Some((name, Known::Lake(table))) => Err(CatalogError::NotWritable {
            name: name.table().to_owned(),
            reason: format!("writing to {} tables is not supported yet", table.format()),
        }
        .into()),
        None => Err(CatalogError::TableNotFound { name: target.table.clone() }.into()),
    }
}

/// The session's relations and the written one.
struct TargetLookup<'a> {
    inner: SessionLookup<'a>,
    target: Arc<dyn TableProvider>,
}

impl Lookup for TargetLookup<'_> {
    fn find<'a>(
        &'a self,
        relation: &'a Relation,
    ) -> BoxFuture<'a, Result<Option<Found>, CatalogError>> {
        if relation.table != TARGET {
            return self.inner.find(relation);
        }
        let name = TableName::new(TEMPORARY, TARGET);
        let provider = Arc::clone(&self.target);
        Box::pin(async move { Ok(Some(Found::Table { name, provider, version: None })) })
    }

    fn suggest(&self, relation: &Relation) -> Option<String> {
        self.inner.suggest(relation)
    }
}

/// The types of the parameters of a writing statement, and the columns of its RETURNING.
pub(crate) async fn describe(
    session: &Arc<Session>,
    statement: &Statement,
    declared: &[Option<DataType>],
) -> Result<(Vec<DataType>, Option<SchemaRef>)> {
    if let Ast::Truncate(_) = statement.ast() {
        return Ok((vec![], None));
    }
    let (name, table) = table_of(session, &target(statement.ast())?)?;
    let schema = table.schema();
    let write = write_query(statement.ast(), name.table(), schema, table.details())?;
    let types = merge(declared, write.parameter_types(schema));
    let Some(query) = &write.query else { return Ok((vec![], None)) };
    let state = session.state();
    let inner = statement.with_ast(query.clone());
    let target = provider_of(numbered_schema(schema), vec![]);
    let lookup = TargetLookup { inner: SessionLookup::new(session), target };
    let bound = bind(&inner, &state, &lookup).await?;
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &types)?;
    let types = plan::parameter_types(&logical, &types)?;
    let Some(returning) = &write.returning else { return Ok((types, None)) };
    let inner = statement.with_ast(returning.clone());
    let target = provider_of(Arc::clone(schema), vec![]);
    let lookup = TargetLookup { inner: SessionLookup::new(session), target };
    let bound = bind(&inner, &state, &lookup).await?;
    let known: Vec<_> = types.iter().cloned().map(Some).collect();
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &known)?;
    let optimized = plan::optimize(&logical, &state, &inner)?;
    Ok((types, Some(plain_schema(optimized.schema().as_arrow()))))
}

/// What the client has declared wins over what the columns suggest.
fn merge(declared: &[Option<DataType>], found: Vec<Option<DataType>>) -> Vec<Option<DataType>> {
    let n = declared.len().max(found.len());
    (0..n)
        .map(|at| declared.get(at).cloned().flatten().or_else(|| found.get(at).cloned().flatten()))
        .collect()
}

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
    /// The rows that COPY brings.
    source: Option<Arc<dyn TableProvider>>,
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
    let writing = Writing { session, statement, write, parameters, query_id, source: None };
    writing.run().await
}

/// Adds rows of a client to a table: `INSERT INTO t (a, b) SELECT a, b FROM` those rows.
pub(crate) async fn insert_rows(
    session: &Arc<Session>,
    table: &Target,
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
    query_id: QueryId,
) -> Result<u64> {
    let _turn = session.writing.lock().await;
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let columns: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
    let columns = columns.join(", ");
    let name = match &table.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&table.table)),
        None => quoted(&table.table),
    };
    let text = format!("INSERT INTO {name} ({columns}) SELECT {columns} FROM {}", quoted(TARGET));
    let statements = session.parse(&text)?;
    let Some(statement) = statements.first() else {
        return Err(Error::Internal { what: "no INSERT".to_owned() });
    };
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let source = provider_of(Arc::new(Schema::new(fields.collect::<Vec<_>>())), batches);
    let writing = Writing {
        session,
        statement,
        write: Write::Insert,
        parameters: vec![],
        query_id,
        source: Some(source),
    };
    match writing.run().await? {
        Execution::Done(tag) => Ok(tag.n_rows.unwrap_or(0)),
        Execution::Rows(_) | Execution::CopyOut(_) | Execution::CopyIn(_) => Ok(0),
    }
}

impl Writing<'_> {
    async fn run(&self) -> Result<Execution> {
        for _ in 0..N_TRIES_MAX {
            let transaction = StatementTransaction::begin(self.session);
            let may_retry = transaction.is_own();
            let done = self.attempt().await;
            match done.and_then(|done| transaction.commit().map(|()| done)) {
                Err(Error::WriteConflict | Error::Catalog(CatalogError::Conflict { .. }))
                    if may_retry => {}
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
            Write::Truncate => "TRUNCATE TABLE",
        }
    }

    async fn attempt(&self) -> Result<Execution> {
        let session = self.session;
        if let Ast::Truncate(truncate) = self.statement.ast() {
            for table in &truncate.table_names {
                let (name, table) = table_of(session, &target_of(&table.name)?)?;
                check_writable(session, "TRUNCATE TABLE", Some(&name))?;
                let table = session.writable(&name, &table)?;
                table.replace(vec![], table.rows().generation())?;
                session.note_written(&name, None);
            }
            return Ok(Execution::Done(CommandTag::new(self.verb())));
        }
        let (name, table) = table_of(session, &target(self.statement.ast())?)?;
        check_writable(session, self.verb().trim_end_matches(" 0"), Some(&name))?;
        let write =
            write_query(self.statement.ast(), name.table(), table.schema(), table.details())?;
        let table = session.writable(&name, &table)?;
        let found = self.rows_of(&write, &table).await?;
        let touched = match write.effect {
            Effect::Append => append(session, &name, &table, found)?,
            Effect::Update | Effect::Delete | Effect::Clear => {
                change(session, &name, &table, &write, &found)?
            }
        };
        session.check_temporary_size()?;
        let n_rows: usize = touched.iter().map(RecordBatch::num_rows).sum();
        match &write.returning {
            Some(returning) => self.returning(returning, &table, touched).await,
            None => {
                let n_rows = u64::try_from(n_rows).unwrap_or(u64::MAX);
                Ok(Execution::Done(CommandTag::with_rows(self.verb(), n_rows)))
            }
        }
    }

    /// The rows of the statement's query.
    async fn rows_of(
        &self,
        write: &WriteQuery,
        table: &Arc<MemoryTable>,
    ) -> Result<Vec<RecordBatch>> {
        let Some(query) = &write.query else { return Ok(vec![]) };
        let schema = table.schema();
        let inner = self.statement.with_ast(query.clone());
        let target = match write.effect {
            Effect::Append => match &self.source {
                Some(source) => Arc::clone(source),
                None => provider_of(numbered_schema(schema), vec![]),
            },
            Effect::Update | Effect::Delete | Effect::Clear => numbered(table)?,
        };
        let state = self.session.state();
        let lookup = TargetLookup { inner: SessionLookup::new(self.session), target };
        let bound = bind(&inner, &state, &lookup).await?;
        let given = self.parameters.iter().map(|v| Some(v.data_type())).collect::<Vec<_>>();
        let types = merge(&given, write.parameter_types(schema));
        let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &types)?;
        let logical = write.project(logical, schema)?;
        let logical = plan::with_parameters(logical, self.parameters.clone())?;
        self.session.collect(&logical, &state, &inner, self.query_id).await
    }

    /// What RETURNING says of the rows that were touched.
    async fn returning(
        &self,
        returning: &Ast,
        table: &Arc<MemoryTable>,
        touched: Vec<RecordBatch>,
    ) -> Result<Execution> {
        let inner = self.statement.with_ast(returning.clone());
        let target = provider_of(Arc::clone(table.schema()), touched);
        let state = self.session.state();
        let lookup = TargetLookup { inner: SessionLookup::new(self.session), target };
        let bound = bind(&inner, &state, &lookup).await?;
        let given = self.parameters.iter().map(|v| Some(v.data_type())).collect::<Vec<_>>();
        let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &given)?;
        let logical = plan::with_parameters(logical, self.parameters.clone())?;
        let optimized = plan::optimize(&logical, &state, &inner)?;
        let schema = plain_schema(optimized.schema().as_arrow());
        let batches = self.session.collect(&logical, &state, &inner, self.query_id).await?;
        let renamed = batches.iter().map(|batch| crate::query::rename(batch, &schema));
        let batches: Result<Vec<_>> = renamed.collect();
        let rows = Rows::of_batches(self.session, schema, self.verb(), batches?, self.query_id);
        Ok(Execution::Rows(rows))
    }
}

/// The table's columns with the row number behind them.
fn numbered_schema(schema: &SchemaRef) -> SchemaRef {
    let row = Arc::new(Field::new(ROW, DataType::Int64, false));
    Arc::new(Schema::new(schema.fields().iter().cloned().chain([row]).collect::<Vec<_>>()))
}

/// The table's rows with their numbers.
fn numbered(table: &Arc<MemoryTable>) -> Result<Arc<dyn TableProvider>> {
    let schema = numbered_schema(table.schema());
    let rows = table.rows();
    let mut n_before = 0_i64;
    let mut batches = Vec::with_capacity(rows.batches().len());
    for batch in rows.batches().iter() {
        let n_rows = i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(n_before..n_before + n_rows));
        n_before += n_rows;
        let columns = batch.columns().iter().cloned().chain([numbers]).collect();
        batches.push(RecordBatch::try_new(Arc::clone(&schema), columns).map_err(internal)?);
    }
    Ok(provider_of(schema, batches))
}

/// Adds rows.
pub(crate) fn append(
    session: &Arc<Session>,
    name: &TableName,
    table: &Arc<MemoryTable>,
    batches: Vec<RecordBatch>,
) -> Result<Vec<RecordBatch>> {
    let schema = table.schema();
    let mut content = Vec::with_capacity(batches.len());
    for batch in batches.into_iter().filter(|batch| batch.num_rows() > 0) {
        check_not_null(batch.columns(), schema, name)?;
        let columns = batch.columns().to_vec();
        content.push(RecordBatch::try_new(Arc::clone(schema), columns).map_err(internal)?);
    }
    table.append(content.clone())?;
    session.note_written(name, Some(&content));
    Ok(content)
}

/// Updates or deletes rows; returns them as they are now, or as they were.
fn change(
    session: &Arc<Session>,
    name: &TableName,
    table: &Arc<MemoryTable>,
    write: &WriteQuery,
    found: &[RecordBatch],
) -> Result<Vec<RecordBatch>> {
    let Some(first) = found.iter().find(|batch| batch.num_rows() > 0) else { return Ok(vec![]) };
    let found = concat_batches(&first.schema(), found).map_err(internal)?;
    let numbers = found.columns().first().and_then(|c| c.as_primitive_opt::<Int64Type>());
    let numbers = numbers.ok_or_else(|| Error::Internal { what: "no row numbers".to_owned() })?;
    // A row that several others match is changed once.
    let mut places: HashMap<i64, usize> = HashMap::with_capacity(numbers.len());
    for (place, number) in numbers.values().iter().enumerate() {
        places.entry(*number).or_insert(place);
    }
    let rows = table.rows();
    let (mut content, mut touched, mut n_before) = (Vec::new(), Vec::new(), 0_i64);
    for batch in rows.batches().iter() {
        let n_rows = i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        let here: Vec<Option<usize>> =
            (n_before..n_before + n_rows).map(|number| places.get(&number).copied()).collect();
        n_before += n_rows;
        if here.iter().all(Option::is_none) {
            content.push(batch.clone());
            continue;
        }
        let marks = BooleanArray::from_iter(here.iter().map(|place| Some(place.is_some())));
        if write.effect == Effect::Delete {
            touched.push(filter_record_batch(batch, &marks).map_err(internal)?);
            let keep = arrow::compute::not(&marks).map_err(internal)?;
            content.push(filter_record_batch(batch, &keep).map_err(internal)?);
        } else {
            let columns = updated(batch, &found, write.assigned_columns(), &here)?;
            check_not_null(&columns, table.schema(), name)?;
            let updated =
                RecordBatch::try_new(Arc::clone(table.schema()), columns).map_err(internal)?;
            touched.push(filter_record_batch(&updated, &marks).map_err(internal)?);
            content.push(updated);
        }
    }
    table.replace(content, rows.generation())?;
    session.note_written(name, None);
    Ok(touched)
}

/// The columns of a batch with the new values of the rows that have some.
fn updated(
    batch: &RecordBatch,
    found: &RecordBatch,
    assigned: &[usize],
    here: &[Option<usize>],
) -> Result<Vec<ArrayRef>> {
    let indices: Vec<(usize, usize)> = here
        .iter()
        .enumerate()
        .map(|(row, place)| place.map_or((0, row), |place| (1, place)))
        .collect();
    let mut columns = batch.columns().to_vec();
    for (new, column) in found.columns().iter().skip(1).zip(assigned) {
        let Some(slot) = columns.get_mut(*column) else { continue };
        *slot = interleave(&[slot.as_ref(), new.as_ref()], &indices).map_err(internal)?;
    }
    Ok(columns)
}

fn check_not_null(columns: &[ArrayRef], schema: &SchemaRef, name: &TableName) -> Result<()> {
    for (column, field) in columns.iter().zip(schema.fields()) {
        if !field.is_nullable() && column.logical_null_count() > 0 {
            return Err(Error::NotNullViolation {
                column: field.name().clone(),
                table: name.table().to_owned(),
            });
        }
    }
    Ok(())
}

pub(crate) fn internal(error: arrow::error::ArrowError) -> Error {
    Error::Internal { what: error.to_string() }
}
