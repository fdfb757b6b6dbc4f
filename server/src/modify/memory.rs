//! Writing to tables in memory: the copy that the transaction sees is changed in its place.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array};
use arrow::compute::{concat_batches, filter_record_batch, interleave};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use tarn_catalog::TableName;
use tarn_catalog::memory::{MemoryTable, provider_of};
use tarn_planner::write::Action;

use super::gate::Gated;
use super::{internal, numbered_schema};
use crate::error::{Error, Result};
use crate::session::Session;

/// The table's rows with their numbers.
pub(super) fn numbered(table: &Arc<MemoryTable>) -> Result<Arc<dyn TableProvider>> {
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
    name: &TableName,
    table: &Arc<MemoryTable>,
    batches: Vec<RecordBatch>,
) -> Result<()> {
    let schema = table.schema();
    let mut content = Vec::with_capacity(batches.len());
    for batch in batches.into_iter().filter(|batch| batch.num_rows() > 0) {
        check_not_null(batch.columns(), schema, name)?;
        let columns = batch.columns().to_vec();
        content.push(RecordBatch::try_new(Arc::clone(schema), columns).map_err(internal)?);
    }
    table.append(content)?;
    Ok(())
}

/// What becomes of a numbered row.
enum Fate {
    /// It gets the values of a row of the new ones.
    New(usize),
    Gone,
}

/// Updates and deletes rows, then adds those that are new.
pub(super) fn change(
    session: &Arc<Session>,
    name: &TableName,
    table: &Arc<MemoryTable>,
    changes: &[Gated],
) -> Result<()> {
    let schema = table.schema();
    let (mut fates, mut values, mut added) = (HashMap::new(), Vec::new(), Vec::new());
    let mut n_before = 0;
    for part in changes {
        let is_insert = |row| part.action(row) == Action::Insert;
        for row in 0..part.n_rows {
            let number = part.numbers.as_ref().filter(|numbers| numbers.is_valid(row));
            let Some(number) = number.map(|numbers| numbers.value(row)) else { continue };
            let fate = match part.action(row) {
                Action::Update => Fate::New(n_before + row),
                Action::Delete => Fate::Gone,
                Action::Insert | Action::Nothing => continue,
            };
            fates.insert(number, fate);
        }
        let Some(rows) = &part.values else { continue };
        n_before += part.n_rows;
        values.push(rows.clone());
        let inserts: BooleanArray = (0..part.n_rows).map(|row| Some(is_insert(row))).collect();
        if inserts.true_count() > 0 {
            added.push(filter_record_batch(rows, &inserts).map_err(internal)?);
        }
    }
    if !fates.is_empty() {
        let values = concat_batches(schema, &values).map_err(internal)?;
        let rows = table.rows();
        let (mut content, mut n_before) = (Vec::new(), 0_i64);
        for batch in rows.batches().iter() {
            content.push(changed(batch, n_before, &fates, &values)?);
            n_before += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        }
        table.replace(content, rows.generation())?;
        session.note_changed(name);
    }
    if added.is_empty() { Ok(()) } else { append(name, table, added) }
}

/// A batch with the new values of the rows that have some and without those that go.
fn changed(
    batch: &RecordBatch,
    n_before: i64,
    fates: &HashMap<i64, Fate>,
    values: &RecordBatch,
) -> Result<RecordBatch> {
    let n_rows = i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
    let here: Vec<Option<&Fate>> =
        (n_before..n_before + n_rows).map(|number| fates.get(&number)).collect();
    if here.iter().all(Option::is_none) {
        return Ok(batch.clone());
    }
    let mut batch = batch.clone();
    if here.iter().any(|fate| matches!(fate, Some(Fate::New(_)))) {
        let places = here.iter().enumerate();
        let places = places.map(|(row, fate)| match fate {
            Some(Fate::New(place)) => (1, *place),
            Some(Fate::Gone) | None => (0, row),
        });
        let places: Vec<(usize, usize)> = places.collect();
        let columns = batch.columns().iter().zip(values.columns());
        let columns: Result<Vec<ArrayRef>, _> =
            columns.map(|(old, new)| interleave(&[old, new], &places)).collect();
        let columns = columns.map_err(internal)?;
        batch = RecordBatch::try_new(batch.schema(), columns).map_err(internal)?;
    }
    let stays: BooleanArray =
        here.iter().map(|fate| Some(!matches!(fate, Some(Fate::Gone)))).collect();
    if stays.false_count() == 0 {
        return Ok(batch);
    }
    filter_record_batch(&batch, &stays).map_err(internal)
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
