//! What every written row passes, whatever table it is for: NOT NULL, CHECK, no row changed twice.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use parking_lot::Mutex;
use tarn_catalog::delta::RowsByFile;
use tarn_planner::write::{Action, Check, Effect};

use super::internal;
use crate::error::{Error, Result};

/// Checks the rows of one statement; its streams may bring them at the same time.
#[derive(Debug)]
pub(super) struct Gate {
    /// The table's name, for messages.
    table: String,
    /// The table's columns.
    schema: SchemaRef,
    effect: Effect,
    /// What the columns behind those of the table say.
    checks: Vec<Check>,
    behind: Behind,
    /// The numbers of rows that the statement changes.
    seen: Mutex<RowsByFile>,
}

/// What the query yields behind the table's columns and checks.
#[derive(Debug, Clone, Default)]
pub(super) struct Behind {
    /// The table's columns as they were.
    pub(super) has_old: bool,
    /// What RETURNING reads, where that is more than the table's columns.
    pub(super) returned: Option<SchemaRef>,
}

/// Rows that may be written.
pub(super) struct Gated {
    /// The numbers of the rows that they are in place of.
    pub(super) numbers: Option<Int64Array>,
    /// What becomes of each row of a MERGE.
    actions: Option<Int64Array>,
    effect: Effect,
    /// The table's columns; `None` for a DELETE that does not need them.
    pub(super) values: Option<RecordBatch>,
    /// The same as they were, where the query yields them.
    pub(super) old: Option<RecordBatch>,
    /// What RETURNING reads, where that is more than `values`.
    returned: Option<RecordBatch>,
    pub(super) n_rows: usize,
}

impl Gated {
    /// The rows for RETURNING.
    pub(super) fn touched(&self) -> Option<&RecordBatch> {
        self.returned.as_ref().or(self.values.as_ref())
    }

    pub(super) fn action(&self, row: usize) -> Action {
        match (self.effect, &self.actions) {
            (Effect::Append, _) => Action::Insert,
            (Effect::Update, _) => Action::Update,
            (Effect::Delete | Effect::Clear, _) => Action::Delete,
            (Effect::Merge, None) => Action::Nothing,
            (Effect::Merge, Some(actions)) => action_of(actions, row),
        }
    }

    /// The rows that come, those in the place of others included.
    pub(super) fn new_rows(&self) -> Result<Option<RecordBatch>> {
        let Some(values) = &self.values else { return Ok(None) };
        match self.effect {
            Effect::Append | Effect::Update => Ok(Some(values.clone())),
            Effect::Delete | Effect::Clear => Ok(None),
            Effect::Merge => {
                let new = |row| matches!(self.action(row), Action::Insert | Action::Update);
                let new: BooleanArray = (0..self.n_rows).map(|row| Some(new(row))).collect();
                filter_record_batch(values, &new).map(Some).map_err(internal)
            }
        }
    }
}

fn action_of(actions: &Int64Array, row: usize) -> Action {
    const INSERT: i64 = Action::Insert as i64;
    const UPDATE: i64 = Action::Update as i64;
    const DELETE: i64 = Action::Delete as i64;
    if row >= actions.len() || actions.is_null(row) {
        return Action::Nothing;
    }
    match actions.value(row) {
        INSERT => Action::Insert,
        UPDATE => Action::Update,
        DELETE => Action::Delete,
        _ => Action::Nothing,
    }
}

impl Gate {
    pub(super) fn new(
        table: &str,
        schema: SchemaRef,
        effect: Effect,
        checks: Vec<Check>,
        behind: Behind,
    ) -> Self {
        Self { table: table.to_owned(), schema, effect, checks, behind, seen: Mutex::default() }
    }

    /// The numbers of the rows that go or are changed, when all rows have passed.
    pub(super) fn take_numbers(&self) -> RowsByFile {
        std::mem::take(&mut self.seen.lock())
    }

    /// Checks rows of the statement's query.
    ///
    /// # Errors
    /// `NotNullViolation`, `CheckViolation`, `MergedTwice`.
    pub(super) fn pass(&self, batch: &RecordBatch) -> Result<Gated> {
        let n_own = match self.effect {
            Effect::Append | Effect::Clear => 0,
            Effect::Update | Effect::Delete => 1,
            Effect::Merge => 2,
        };
        let batch = match self.effect {
            Effect::Merge => without_idle(batch)?,
            Effect::Append | Effect::Update | Effect::Delete | Effect::Clear => batch.clone(),
        };
        let batch = if n_own > 0 { self.once(&batch)? } else { batch };
        let n_rows = batch.num_rows();
        let numbers = if n_own > 0 { Some(integers(&batch, 0)?.clone()) } else { None };
        let actions = if n_own > 1 { Some(integers(&batch, 1)?.clone()) } else { None };
        let effect = self.effect;
        let mut gated =
            Gated { numbers, actions, effect, values: None, old: None, returned: None, n_rows };
        let n_columns = self.schema.fields().len();
        if batch.num_columns() < n_own + n_columns {
            return Ok(gated);
        }
        self.check_not_null(&batch, n_own, &gated)?;
        self.check_conditions(&batch, n_own + n_columns)?;
        let columns = batch.columns().iter().skip(n_own).take(n_columns).cloned().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
        let schema = Arc::clone(&self.schema);
        let values = RecordBatch::try_new_with_options(schema, columns, &options);
        gated.values = Some(values.map_err(internal)?);
        let n_before = n_own + n_columns + self.checks.len();
        let columns: Vec<ArrayRef> = batch.columns().iter().skip(n_before).cloned().collect();
        if let (Some(schema), Some(values)) = (&self.behind.returned, &gated.values) {
            gated.returned = Some(self.returned(schema, values, &gated, columns.clone())?);
        }
        if self.behind.has_old {
            let fields = self.schema.fields().iter();
            let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            let columns = columns.into_iter().take(n_columns).collect();
            let old = RecordBatch::try_new_with_options(schema, columns, &options);
            gated.old = Some(old.map_err(internal)?);
        }
        Ok(gated)
    }

    /// The table's columns as they are and were, what becomes of the row, and other relations'.
    fn returned(
        &self,
        schema: &SchemaRef,
        values: &RecordBatch,
        gated: &Gated,
        behind: Vec<ArrayRef>,
    ) -> Result<RecordBatch> {
        let n_old = if self.behind.has_old { self.schema.fields().len() } else { 0 };
        let mut columns = values.columns().to_vec();
        let mut behind = behind.into_iter();
        columns.extend(behind.by_ref().take(n_old));
        if let (Effect::Merge, Some(actions)) = (self.effect, &gated.actions) {
            columns.push(Arc::new(actions.clone()));
        }
        columns.extend(behind);
        let options = RecordBatchOptions::new().with_row_count(Some(gated.n_rows));
        RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(internal)
    }

    /// The rows whose numbers have not been here before: a row that several others match is
    /// changed once, by MERGE not at all.
    fn once(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let numbers = integers(batch, 0)?;
        let mut is_new = Vec::with_capacity(numbers.len());
        let mut seen = self.seen.lock();
        for number in numbers {
            is_new.push(number.is_none_or(|number| seen.insert(number)));
        }
        drop(seen);
        if is_new.iter().all(|is_new| *is_new) {
            return Ok(batch.clone());
        }
        if self.effect == Effect::Merge {
            return Err(Error::MergedTwice);
        }
        filter_record_batch(batch, &BooleanArray::from(is_new)).map_err(internal)
    }

    fn check_not_null(&self, batch: &RecordBatch, n_before: usize, gated: &Gated) -> Result<()> {
        if self.effect == Effect::Delete {
            return Ok(());
        }
        for (field, column) in
            self.schema.fields().iter().zip(batch.columns().iter().skip(n_before))
        {
            if field.is_nullable() || column.logical_null_count() == 0 {
                continue;
            }
            let nulls = column.logical_nulls();
            let is_written = |row| matches!(gated.action(row), Action::Insert | Action::Update);
            let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            if (0..batch.num_rows()).any(|row| is_null(row) && is_written(row)) {
                return Err(Error::NotNullViolation {
                    column: field.name().clone(),
                    table: self.table.clone(),
                });
            }
        }
        Ok(())
    }

    fn check_conditions(&self, batch: &RecordBatch, n_before: usize) -> Result<()> {
        for (check, column) in self.checks.iter().zip(batch.columns().iter().skip(n_before)) {
            let is_kept = match (check, column.as_boolean_opt()) {
                // NULL is no violation, as in PostgreSQL.
                (Check::Constraint(_), Some(kept)) => !kept.iter().any(|kept| kept == Some(false)),
                (Check::Constraint(_), None) => column.logical_null_count() == column.len(),
                // A row for which it is NULL would not be replaced by the same statement again.
                (Check::Replace, Some(kept)) => kept.iter().all(|kept| kept == Some(true)),
                (Check::Replace, None) => column.is_empty(),
            };
            if is_kept {
                continue;
            }
            let table = self.table.clone();
            return Err(match check {
                Check::Constraint(constraint) => {
                    Error::CheckViolation { constraint: constraint.clone(), table }
                }
                Check::Replace => Error::ReplaceViolation { table },
            });
        }
        Ok(())
    }
}

/// The rows of a MERGE that something becomes of.
fn without_idle(batch: &RecordBatch) -> Result<RecordBatch> {
    let actions = integers(batch, 1)?;
    let is_busy = |row| action_of(actions, row) != Action::Nothing;
    let is_busy: BooleanArray = (0..batch.num_rows()).map(|row| Some(is_busy(row))).collect();
    filter_record_batch(batch, &is_busy).map_err(internal)
}

fn integers(batch: &RecordBatch, column: usize) -> Result<&Int64Array> {
    let integers = batch.columns().get(column).and_then(|c| c.as_primitive_opt::<Int64Type>());
    integers.ok_or_else(|| Error::Internal { what: "no row numbers".to_owned() })
}
