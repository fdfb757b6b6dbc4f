//! INSERT, UPDATE, DELETE and TRUNCATE on tables in memory.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::scalar::ScalarValue;
use tarn_catalog::memory::MemoryTable;
use tarn_catalog::registry::Relation as Known;
use tarn_catalog::{CatalogError, TableName};
use tarn_exec::QueryId;
use tarn_planner::binder::bind;
use tarn_planner::statement::Write;
use tarn_planner::write::{Effect, WriteQuery, target, write_query};
use tarn_planner::{Statement, plan};

use crate::error::{Error, Result};
use crate::lookup::SessionLookup;
use crate::query::CommandTag;
use crate::session::{Session, Status};

/// How often a statement starts over because another one wrote meanwhile.
const N_TRIES_MAX: usize = 10;

/// The table that a statement writes.
fn table_of(
    session: &Arc<Session>,
    statement: &Statement,
) -> Result<(TableName, Arc<MemoryTable>)> {
    let target = target(statement.ast())?;
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
        None => Err(CatalogError::TableNotFound { name: target.table }.into()),
    }
}

/// The types of the parameters of a writing statement.
pub(crate) async fn parameter_types(
    session: &Arc<Session>,
    statement: &Statement,
    declared: &[Option<DataType>],
) -> Result<Vec<DataType>> {
    let (name, table) = table_of(session, statement)?;
    let write = write_query(statement.ast(), name.table(), table.schema())?;
    let types = merge(declared, write.parameter_types(table.schema()));
    let Some(query) = &write.query else { return Ok(vec![]) };
    let inner = statement.with_ast(query.clone());
    let state = session.state();
    let bound = bind(&inner, &state, &SessionLookup::new(session)).await?;
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &types)?;
    Ok(plan::parameter_types(&logical, &types)?)
}

/// What the client has declared wins over what the columns suggest.
fn merge(declared: &[Option<DataType>], found: Vec<Option<DataType>>) -> Vec<Option<DataType>> {
    let n = declared.len().max(found.len());
    (0..n)
        .map(|at| declared.get(at).cloned().flatten().or_else(|| found.get(at).cloned().flatten()))
        .collect()
}

/// Refuses to change anything inside of a transaction: ROLLBACK could not undo it.
pub(crate) fn check_writable(session: &Session, what: &str) -> Result<()> {
    let on = |name: &str| session.setting(name).as_deref() == Some("on");
    let in_transaction = session.status() != Status::Idle;
    if in_transaction || on("default_transaction_read_only") || on("transaction_read_only") {
        return Err(Error::ReadOnlyTransaction { what: what.to_owned() });
    }
    Ok(())
}

/// Runs one writing statement.
pub(crate) async fn run(
    session: &Arc<Session>,
    statement: &Statement,
    write: Write,
    parameters: Vec<ScalarValue>,
    query_id: QueryId,
) -> Result<CommandTag> {
    check_writable(session, &format!("{write:?}").to_uppercase())?;
    let (name, table) = table_of(session, statement)?;
    for _ in 0..N_TRIES_MAX {
        let generation = table.rows().generation();
        match attempt(session, statement, &name, &table, &parameters, query_id, generation).await {
            Err(Error::WriteConflict) => {}
            Ok(n_rows) => {
                return Ok(tag(write, n_rows));
            }
            Err(error) => return Err(error),
        }
    }
    Err(Error::WriteConflict)
}

fn tag(write: Write, n_rows: usize) -> CommandTag {
    let n_rows = u64::try_from(n_rows).unwrap_or(u64::MAX);
    match write {
        // The number in the middle was an object identifier in old versions of PostgreSQL.
        Write::Insert => CommandTag::with_rows("INSERT 0", n_rows),
        Write::Update => CommandTag::with_rows("UPDATE", n_rows),
        Write::Delete => CommandTag::with_rows("DELETE", n_rows),
        Write::Truncate => CommandTag::new("TRUNCATE TABLE"),
    }
}

async fn attempt(
    session: &Arc<Session>,
    statement: &Statement,
    name: &TableName,
    table: &Arc<MemoryTable>,
    parameters: &[ScalarValue],
    query_id: QueryId,
    generation: u64,
) -> Result<usize> {
    let schema = table.schema();
    let write = write_query(statement.ast(), name.table(), schema)?;
    let Some(query) = &write.query else {
        let n_rows = table.n_rows();
        return replace(table, vec![], generation).map(|()| n_rows);
    };
    let inner = statement.with_ast(query.clone());
    let state = session.state();
    let bound = bind(&inner, &state, &SessionLookup::new(session)).await?;
    let given = parameters.iter().map(|value| Some(value.data_type())).collect::<Vec<_>>();
    let types = merge(&given, write.parameter_types(schema));
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &types)?;
    let logical = write.project(logical, schema)?;
    let logical = plan::with_parameters(logical, parameters.to_vec())?;
    let batches = session.collect(&logical, &state, &inner, query_id).await?;
    apply(&write, table, name, schema, batches, generation)
}

/// Puts the query's rows into the table; returns how many rows were touched.
fn apply(
    write: &WriteQuery,
    table: &Arc<MemoryTable>,
    name: &TableName,
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
    generation: u64,
) -> Result<usize> {
    let mut n_touched = 0;
    let mut content = Vec::with_capacity(batches.len());
    for batch in batches {
        let (batch, marks) = match write.effect {
            Effect::Append => {
                n_touched += batch.num_rows();
                (batch, None)
            }
            Effect::ReplaceAll | Effect::ReplaceUnmarked | Effect::Clear => {
                let (batch, marks) = split_marks(batch)?;
                n_touched += marks.true_count();
                (batch, Some(marks))
            }
        };
        let batch = match (write.effect, marks) {
            (Effect::ReplaceUnmarked, Some(marks)) => {
                let kept = not(&marks).and_then(|keep| filter_record_batch(&batch, &keep));
                kept.map_err(internal)?
            }
            _ => batch,
        };
        check_not_null(&batch, schema, name)?;
        content.push(
            RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec()).map_err(internal)?,
        );
    }
    match write.effect {
        Effect::Append => {
            table.append(content)?;
        }
        // Nothing was touched, so that nothing has to be written.
        _ if n_touched == 0 => {}
        _ => replace(table, content, generation)?,
    }
    Ok(n_touched)
}

fn replace(table: &Arc<MemoryTable>, content: Vec<RecordBatch>, generation: u64) -> Result<()> {
    if table.rows().generation() != generation {
        return Err(Error::WriteConflict);
    }
    match table.replace(content, generation) {
        Err(_) if table.rows().generation() != generation => Err(Error::WriteConflict),
        other => Ok(other?),
    }
}

/// Takes the last column, which says what rows are touched, off a batch.
fn split_marks(batch: RecordBatch) -> Result<(RecordBatch, BooleanArray)> {
    let last = batch.num_columns().saturating_sub(1);
    let marks = batch.columns().get(last).and_then(|column| column.as_boolean_opt().cloned());
    let marks = marks.ok_or_else(|| Error::Internal { what: "no marks".to_owned() })?;
    let columns: Vec<usize> = (0..last).collect();
    Ok((batch.project(&columns).map_err(internal)?, marks))
}

fn check_not_null(batch: &RecordBatch, schema: &SchemaRef, name: &TableName) -> Result<()> {
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        if !field.is_nullable() && column.logical_null_count() > 0 {
            return Err(Error::NotNullViolation {
                column: field.name().clone(),
                table: name.table().to_owned(),
            });
        }
    }
    Ok(())
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::Internal { what: error.to_string() }
}
