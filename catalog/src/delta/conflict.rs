//! Whether a commit still holds after another writer's commit has come before it.
//!
//! | the winner has | then it is a conflict for |
//! |---|---|
//! | changed the protocol | all |
//! | changed the columns or properties | all but appends that have read nothing, where columns and rules stay |
//! | taken out a file (or given it other deleted rows) | who takes out the same file, or has read it |
//! | added rows | who has read where they are, unless the winner only appended; who makes a new rule or fills a new column |
//!
//! The exception in the last line is Delta's level `WriteSerializable`, the default of all writers: a
//! pure append can be put after the reader in the order of things. A table with `delta.isolationLevel`
//! = `Serializable` has no exception.
//! Source: Delta Lake's `ConflictChecker`, and the protocol's section "Commit Provenance".

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::DFSchema;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use serde_json::Value;

use super::actions::{AddAction, Commit};
use super::index::{FileIndex, IndexStatistics};
use super::layout::TableLayout;
use super::metadata::TableMetadata;
use super::snapshot::DeltaSnapshot;
use super::staged::Staged;
use crate::{CatalogError, Result};

/// Predicates kept apart; with more, the whole table counts as read.
const PREDICATES_MAX: usize = 64;

/// What a transaction has read of a table.
#[derive(Debug, Clone, Default)]
pub enum ReadSet {
    /// Nothing: rows are appended, whatever is there.
    #[default]
    Nothing,
    /// The rows for which one of these filters (each of them ANDed) may hold.
    Matching(Vec<Vec<Expr>>),
    /// All rows.
    Everything,
}

impl ReadSet {
    /// The rows for which all of these filters hold; all rows without one.
    #[must_use]
    pub fn filters(filters: Vec<Expr>) -> Self {
        if filters.is_empty() { Self::Everything } else { Self::Matching(vec![filters]) }
    }

    /// What two statements have read.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, other) | (other, Self::Nothing) => other,
            (Self::Matching(mut one), Self::Matching(two))
                if one.len() + two.len() <= PREDICATES_MAX =>
            {
                one.extend(two);
                Self::Matching(one)
            }
            _ => Self::Everything,
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

/// Checks one winning commit.
///
/// # Errors
/// `Conflict` if the changes do not hold after it.
pub(super) fn check(base: &DeltaSnapshot, staged: &Staged, winner: &Commit) -> Result<()> {
    let conflict = || Err(CatalogError::Conflict { name: base.table.clone() });
    if winner.protocol.is_some() || (staged.is_exclusive && winner.reserved_for().is_none()) {
        return conflict();
    }
    if let Some(action) = &winner.metadata
        && !(staged.is_blind_append() && keeps_rows_valid(base, action)?)
    {
        return conflict();
    }
    let reads = &staged.reads;
    for remove in &winner.removes {
        let path = super::index::object_path(&base.table, &base.url, &remove.path)?;
        if staged.removed.contains_key(&path) {
            return conflict();
        }
        if remove.data_change && has_read(base, reads, &path)? {
            return conflict();
        }
    }
    let adds: Vec<&AddAction> = winner.adds.iter().filter(|add| add.data_change).collect();
    if adds.is_empty() {
        return Ok(());
    }
    if is_tightened(base, staged)? {
        return conflict();
    }
    let adds_count = base.is_serializable() || !winner.is_blind_append();
    if adds_count && !reads.is_nothing() && may_match(base, reads, &adds)?.contains(&true) {
        return conflict();
    }
    Ok(())
}

/// Whether new metadata leaves the columns and all that writers must keep to as they are.
fn keeps_rows_valid(base: &DeltaSnapshot, action: &Value) -> Result<bool> {
    let was = base.metadata.as_ref();
    let is = TableMetadata::from_actions(&base.table, Some(action), None, Some(was))?;
    let rules = |metadata: &TableMetadata| -> Vec<(String, String)> {
        let rules = metadata.configuration().iter().filter(|(name, _)| name.starts_with("delta."));
        rules.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    Ok(was.id() == is.id()
        && was.schema_json() == is.schema_json()
        && was.partition_columns() == is.partition_columns()
        && rules(was) == rules(&is))
}

/// Whether rows of others may break what this transaction makes a rule of the table, or lack what it
/// gives to all rows.
fn is_tightened(base: &DeltaSnapshot, staged: &Staged) -> Result<bool> {
    let Some(change) = &staged.metadata else { return Ok(false) };
    let columns = TableLayout::of(&base.table, &change.metadata)?;
    let details = change.metadata.details();
    let requires = |(at, field): (usize, &FieldRef)| {
        match base.layout.schema.field_with_name(field.name()) {
            Ok(was) => !field.is_nullable() && was.is_nullable(),
            // The rows that are there have been given the values of a new column.
            Err(_) => {
                !field.is_nullable()
                    || details.default_of(at).is_some()
                    || details.generated_of(at).is_some()
            }
        }
    };
    Ok(columns.schema.fields().iter().enumerate().any(requires)
        || details.checks != base.details.checks)
}

/// Whether a file of the base may hold rows that were read.
fn has_read(
    base: &DeltaSnapshot,
    reads: &ReadSet,
    path: &object_store::path::Path,
) -> Result<bool> {
    match reads {
        ReadSet::Nothing => Ok(false),
        ReadSet::Everything => Ok(true),
        ReadSet::Matching(_) => {
            let Some(file) = base.index.paths.iter().position(|known| known == path) else {
                return Ok(false);
            };
            let add = base.add_action(file)?;
            Ok(may_match(base, reads, &[&add])?.contains(&true))
        }
    }
}

/// For each file, whether it may hold rows that were read.
fn may_match(base: &DeltaSnapshot, reads: &ReadSet, adds: &[&AddAction]) -> Result<Vec<bool>> {
    let all = vec![true; adds.len()];
    let ReadSet::Matching(predicates) = reads else {
        return Ok(all);
    };
    let layout = &base.layout;
    let index = FileIndex::of_adds(&base.table, &base.url, layout, adds.iter().copied())?;
    let statistics = IndexStatistics { index: &index, layout };
    let mut matched = vec![false; adds.len()];
    for filters in predicates {
        let found = prune(base, filters, &statistics).unwrap_or_else(|| all.clone());
        for (matched, found) in matched.iter_mut().zip(found) {
            *matched |= found;
        }
    }
    Ok(matched)
}

fn prune(
    base: &DeltaSnapshot,
    filters: &[Expr],
    statistics: &IndexStatistics<'_>,
) -> Option<Vec<bool>> {
    let schema = Arc::clone(base.layout.scan_schema.table_schema());
    let df_schema = DFSchema::try_from(Arc::clone(&schema)).ok()?;
    let predicate = conjunction(filters.iter().cloned())?;
    let expr = create_physical_expr(
        &predicate,
        &df_schema,
        &ExecutionProps::new(),
        &PhysicalPlanningContext::default(),
    )
    .ok()?;
    let pruning = PruningPredicateBuilder::new().with_file_schema(schema).try_build(expr).ok()?;
    if pruning.always_true() { None } else { pruning.prune(statistics).ok() }
}
