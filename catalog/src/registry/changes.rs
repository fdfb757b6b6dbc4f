//! What a transaction has changed: put in place at once, or not at all.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use parking_lot::MutexGuard;

use super::{Catalog, Known, PUBLIC, Relation, State, entry_of, free_oid};
use crate::entry::{CatalogSnapshot, SchemaEntry, columns_of};
use crate::log::{Access, Entry};
use crate::memory::{MemoryTable, Rows};
use crate::{CatalogError, ColumnEntry, LakeTable, Result, TableDetails, TableName};
use arrow::datatypes::SchemaRef;

/// A relation that SQL has made.
#[derive(Debug, Clone)]
pub struct Object {
    /// What it is.
    pub relation: Relation,
    /// Its columns.
    pub columns: Vec<ColumnEntry>,
    /// The relations that a view reads.
    pub depends_on: Vec<TableName>,
    /// Remarks, keys and the like, where the relation does not keep them itself.
    pub details: Arc<TableDetails>,
    /// Whose it is and who may do what with it.
    pub access: Arc<Access>,
}

impl Object {
    /// A table in memory.
    #[must_use]
    pub fn table(table: Arc<MemoryTable>) -> Self {
        let columns = columns_of(table.schema());
        let details = Arc::new(table.details().clone());
        Self {
            relation: Relation::Memory(table),
            columns,
            depends_on: vec![],
            details,
            access: Arc::default(),
        }
    }

    /// A table in an open format with the columns of its newest version.
    #[must_use]
    pub fn lake(table: Arc<dyn LakeTable>, schema: &SchemaRef, details: TableDetails) -> Self {
        let columns = columns_of(schema);
        let details = Arc::new(details);
        Self {
            relation: Relation::Lake(table),
            columns,
            depends_on: vec![],
            details,
            access: Arc::default(),
        }
    }
}

/// One thing that a transaction has done.
#[derive(Debug, Clone)]
pub enum Change {
    /// CREATE SCHEMA.
    CreateSchema(String),
    /// DROP SCHEMA of a schema that is empty when all is done.
    DropSchema(String),
    /// A relation comes, goes, or takes the place of another one.
    Put {
        /// Its name.
        name: TableName,
        /// What the transaction has seen there.
        before: Option<Relation>,
        /// The rows that were read, where the new content was made from them.
        base: Option<u64>,
        /// What is to be there.
        after: Option<Object>,
    },
    /// Remarks on a relation, and what else it does not keep itself.
    Describe {
        /// Its name.
        name: TableName,
        /// What there is to say now.
        details: Arc<TableDetails>,
    },
    /// A relation gets another owner, or other rights.
    Access {
        /// Its name.
        name: TableName,
        /// What there was.
        before: Arc<Access>,
        /// What there is to be.
        after: Arc<Access>,
    },
    /// An object without rows of its own comes, is changed or goes: a role, a setting, a right, a
    /// credential, a database.
    Define {
        /// What the log will say; the number 0 stands for a new one.
        entry: Entry,
        /// What has to be true before.
        expect: Expect,
    },
    /// Nothing is done: what a definition of this transaction was made from is as it was.
    Unchanged {
        /// The definition.
        entry: Entry,
        /// What the log said of the object.
        before: Option<Box<Entry>>,
    },
    /// Nothing is done: the rights on a relation, which the transaction takes over, are as before.
    SameAccess {
        /// Its name.
        name: TableName,
        /// What there was.
        before: Arc<Access>,
    },
    /// Rows are added: whatever others have done with the table meanwhile.
    Append {
        /// The table.
        table: Arc<MemoryTable>,
        /// Its name.
        name: TableName,
        /// The generation that they were added to.
        base: u64,
        /// How many rows that one has.
        n_rows_before: usize,
        /// Its rows with the new ones behind them.
        rows: Rows,
    },
    /// Other rows take the place of those that were read.
    Replace {
        /// The table.
        table: Arc<MemoryTable>,
        /// Its name.
        name: TableName,
        /// The generation that was read.
        base: u64,
        /// The rows.
        rows: Rows,
    },
}

/// What has to be true of an object that a transaction defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// There is none of its kind and name.
    New,
    /// There is one.
    Known,
    /// Either.
    Any,
}

impl Change {
    /// Whether it is about rows or relations that may be in memory.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Put { before, after, .. } => {
                let memory = |relation: &Relation| matches!(relation, Relation::Memory(_));
                before.as_ref().is_some_and(memory)
                    || after.as_ref().is_some_and(|object| memory(&object.relation))
            }
            Self::Append { .. } | Self::Replace { .. } => true,
            Self::CreateSchema(_)
            | Self::DropSchema(_)
            | Self::Describe { .. }
            | Self::Access { .. }
            | Self::Define { .. }
            | Self::Unchanged { .. }
            | Self::SameAccess { .. } => false,
        }
    }
}

impl State {
    /// Sees that changes can be done.
    ///
    /// # Errors
    /// `Conflict` where another transaction has been faster, and the like.
    pub(super) fn check(&self, changes: &[Change]) -> Result<()> {
        self.check_references(changes)?;
        for change in changes {
            check_schema(self, change, changes)?;
            check_emptied(self, change, changes)?;
            check(self, change)?;
        }
        Ok(())
    }

    /// Does what a transaction has done in memory only.
    ///
    /// # Errors
    /// As [`Self::check`]; nothing is changed then.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Result<()> {
        let mut rows = Vec::new();
        for change in changes {
            check_schema(self, change, changes)?;
            check_emptied(self, change, changes)?;
            if let Some(locked) = check(self, change)? {
                rows.push(locked);
            }
        }
        let mut redefined = false;
        for change in changes {
            redefined |= self.do_change(change);
        }
        for (mut place, rows) in rows {
            *place = rows;
        }
        if redefined {
            self.changed();
        }
        Ok(())
    }

    /// Does the part of a transaction that is in memory, after the rest was made to last.
    ///
    /// # Errors
    /// None where the changes were checked before and rows could not change since.
    pub(super) fn apply_local(&mut self, changes: &[Change]) -> Result<()> {
        let mut rows = Vec::new();
        for change in changes {
            if let Change::Append { .. } | Change::Replace { .. } = change
                && let Some(locked) = check(self, change)?
            {
                rows.push(locked);
            }
        }
        for change in changes {
            match change {
                // What lasts is there already.
                Change::Put { name, after: Some(object), .. }
                    if !self.relations.get(name).is_some_and(|known| known.durable) =>
                {
                    self.relations.insert(name.clone(), known_of(object, 0));
                }
                Change::Describe { .. } | Change::Access { .. } => {
                    self.do_change(change);
                }
                _ => {}
            }
        }
        for (mut place, rows) in rows {
            *place = rows;
        }
        Ok(())
    }
}

impl Catalog {
    /// A relation with its columns and what it reads.
    #[must_use]
    pub fn object(&self, name: &TableName) -> Option<Object> {
        let state = self.state.read();
        state.relations.get(name).map(|known| Object {
            relation: known.relation.clone(),
            columns: known.columns.clone(),
            depends_on: known.depends_on.clone(),
            details: Arc::clone(&known.details),
            access: state.access_of(&self.database, name, known),
        })
    }

    /// The views that read a relation.
    #[must_use]
    pub fn dependents(&self, name: &TableName) -> Vec<TableName> {
        let state = self.state.read();
        let reads = |known: &Known| known.depends_on.contains(name);
        state.relations.iter().filter(|(_, k)| reads(k)).map(|(name, _)| name.clone()).collect()
    }

    /// The relations of a schema.
    #[must_use]
    pub fn relations_of(&self, schema: &str) -> Vec<TableName> {
        let state = self.state.read();
        state.relations.keys().filter(|name| name.schema() == schema).cloned().collect()
    }

    /// Whether a relation was found in storage, so that SQL cannot drop it.
    #[must_use]
    pub fn is_found(&self, name: &TableName) -> bool {
        self.state.read().relations.get(name).is_some_and(|known| known.url.is_some())
    }

    /// Whether a schema can be dropped at all.
    #[must_use]
    pub fn is_system_schema(&self, name: &str) -> bool {
        name == PUBLIC || self.state.read().system.iter().any(|schema| schema.name == name)
    }
}

/// Sees that a change can be done; a table whose rows it changes stays locked.
fn check<'a>(state: &State, change: &'a Change) -> Result<Option<(MutexGuard<'a, Rows>, Rows)>> {
    match change {
        Change::CreateSchema(name) => match state.schemas.contains_key(name) {
            true => Err(CatalogError::SchemaExists { name: name.clone() }),
            false => Ok(None),
        },
        Change::DropSchema(name) => match state.schemas.contains_key(name) {
            true => Ok(None),
            false => Err(CatalogError::Conflict { name: name.clone() }),
        },
        Change::Put { name, before, base, .. } => {
            let found = state.relations.get(name).map(|known| &known.relation);
            let same = match (before, found) {
                (None, None) => true,
                (Some(before), Some(found)) => is_same(before, found, *base),
                _ => false,
            };
            if same { Ok(None) } else { Err(conflict(name)) }
        }
        Change::Define { entry, expect } => {
            state.check_defined(entry, *expect)?;
            Ok(None)
        }
        Change::Access { name, before, .. } | Change::SameAccess { name, before } => {
            let same = state.access_now(name).is_some_and(|access| access == *before);
            if same { Ok(None) } else { Err(conflict(name)) }
        }
        Change::Unchanged { entry, before } => {
            check_unchanged(state, entry, before.as_deref())?;
            Ok(None)
        }
        Change::Describe { name, .. } => match state.relations.contains_key(name) {
            true => Ok(None),
            false => Err(conflict(name)),
        },
        Change::Append { table, name, base, n_rows_before, rows } => {
            check_table(state, name, table)?;
            let place = table.lock_rows();
            // Nobody else has written: the rows are in place as they are.
            let rows = match place.generation() == *base {
                true => rows.clone(),
                false => table.appended(&place, rows.behind(*n_rows_before))?,
            };
            Ok(Some((place, rows)))
        }
        Change::Replace { table, name, base, rows } => {
            check_table(state, name, table)?;
            let place = table.lock_rows();
            if place.generation() != *base {
                return Err(conflict(name));
            }
            Ok(Some((place, rows.clone())))
        }
    }
}

/// Sees that nobody has changed what a definition was made from: that would be undone.
fn check_unchanged(state: &State, entry: &Entry, before: Option<&Entry>) -> Result<()> {
    let now = state.log.said_of(entry);
    let is_said = match entry {
        Entry::DropGrant { .. } => now.is_none(),
        entry => now.as_ref() == Some(entry),
    };
    if is_said || now.as_ref() == before {
        return Ok(());
    }
    let name = match entry {
        Entry::PutRole { name, .. }
        | Entry::PutSchema { name, .. }
        | Entry::PutDatabase { name, .. }
        | Entry::PutGrant { role: name, .. }
        | Entry::DropGrant { role: name, .. } => name.clone(),
        _ => String::new(),
    };
    Err(CatalogError::Conflict { name })
}

/// Sees that the schema of a new relation is there, or comes with it.
fn check_schema(state: &State, change: &Change, changes: &[Change]) -> Result<()> {
    let Change::Put { name, after: Some(_), .. } = change else { return Ok(()) };
    let created = |other: &Change| matches!(other, Change::CreateSchema(n) if n == name.schema());
    let dropped = |other: &Change| matches!(other, Change::DropSchema(n) if n == name.schema());
    let there = state.schemas.contains_key(name.schema()) || changes.iter().any(created);
    if there && !changes.iter().any(dropped) {
        return Ok(());
    }
    Err(CatalogError::SchemaNotFound { name: name.schema().to_owned() })
}

/// Sees that a schema to be dropped is empty then: what others have put there stays.
fn check_emptied(state: &State, change: &Change, changes: &[Change]) -> Result<()> {
    let Change::DropSchema(schema) = change else { return Ok(()) };
    let is_dropped = |name: &TableName| {
        changes.iter().any(|c| matches!(c, Change::Put { name: n, after: None, .. } if n == name))
    };
    let mut inside = state.relations.keys().filter(|name| name.schema() == schema);
    match inside.find(|name| !is_dropped(name)) {
        Some(_) => Err(CatalogError::Conflict { name: schema.clone() }),
        None => Ok(()),
    }
}

fn check_table(state: &State, name: &TableName, table: &Arc<MemoryTable>) -> Result<()> {
    match state.relations.get(name).map(|known| &known.relation) {
        Some(Relation::Memory(found)) if Arc::ptr_eq(found, table) => Ok(()),
        _ => Err(conflict(name)),
    }
}

fn conflict(name: &TableName) -> CatalogError {
    CatalogError::Conflict { name: name.table().to_owned() }
}

fn is_same(before: &Relation, found: &Relation, base: Option<u64>) -> bool {
    match (before, found) {
        (Relation::Memory(before), Relation::Memory(found)) => {
            let unchanged = base.is_none_or(|base| found.rows().generation() == base);
            Arc::ptr_eq(before, found) && unchanged
        }
        (Relation::View { definition: before }, Relation::View { definition: found }) => {
            before == found
        }
        // New credentials make a new handle of the same table.
        (Relation::Lake(before), Relation::Lake(found)) => {
            Arc::ptr_eq(before, found)
                || before.format() == found.format() && before.location() == found.location()
        }
        _ => false,
    }
}

impl State {
    /// Does one change; returns whether names mean something else now.
    fn do_change(&mut self, change: &Change) -> bool {
        match change {
            Change::CreateSchema(name) => {
                self.schemas.insert(name.clone(), 0);
            }
            Change::DropSchema(name) => {
                self.schemas.remove(name);
            }
            Change::Put { name, after: None, .. } => {
                self.relations.remove(name);
            }
            Change::Put { name, after: Some(object), .. } => {
                // A relation that takes the place of another one keeps its number.
                let oid = self.relations.get(name).map_or(0, |known| known.oid);
                self.relations.insert(name.clone(), known_of(object, oid));
            }
            Change::Describe { name, details } => {
                if let Some(known) = self.relations.get_mut(name) {
                    known.details = Arc::clone(details);
                }
            }
            Change::Access { name, after, .. } => {
                if let Some(known) = self.relations.get_mut(name).filter(|k| k.url.is_none()) {
                    known.access = Arc::clone(after);
                }
            }
            Change::Define { .. }
            | Change::Unchanged { .. }
            | Change::SameAccess { .. }
            | Change::Append { .. }
            | Change::Replace { .. } => return false,
        }
        true
    }
}

fn known_of(object: &Object, oid: u32) -> Known {
    Known {
        relation: object.relation.clone(),
        oid,
        columns: object.columns.clone(),
        n_rows: None,
        url: None,
        durable: false,
        depends_on: object.depends_on.clone(),
        details: Arc::clone(&object.details),
        access: Arc::clone(&object.access),
    }
}

impl CatalogSnapshot {
    /// What one session sees: relations that its transaction has made or dropped, schemas that it
    /// has made, and its temporary relations.
    #[must_use]
    pub fn overlaid(
        &self,
        schemas: &BTreeMap<String, bool>,
        relations: &[(TableName, Option<Object>)],
    ) -> Self {
        let mut seen = self.clone();
        seen.schemas.retain(|schema| schemas.get(&schema.name) != Some(&false));
        let mut taken: HashSet<u32> = seen.schemas.iter().map(|schema| schema.oid).collect();
        taken.extend(seen.schemas.iter().flat_map(|s| s.tables.iter().map(|table| table.oid)));
        for (name, _) in schemas.iter().filter(|(_, exists)| **exists) {
            if seen.schema(name).is_none() {
                let oid = free_oid(name, &taken);
                taken.insert(oid);
                seen.schemas.push(SchemaEntry {
                    oid,
                    name: name.clone(),
                    ..SchemaEntry::default()
                });
            }
        }
        for (name, object) in relations {
            let Some(schema) = seen.schemas.iter_mut().find(|s| s.name == name.schema()) else {
                continue;
            };
            let before = schema.tables.iter().position(|table| table.name == name.table());
            let oid = before.map(|at| schema.tables.remove(at).oid);
            let Some(object) = object else { continue };
            let oid = oid.unwrap_or_else(|| {
                free_oid(&format!("{}.{}", name.schema(), name.table()), &taken)
            });
            taken.insert(oid);
            schema.tables.push(Arc::new(entry_of(name, &known_of(object, oid))));
            schema.tables.sort_by(|a, b| a.name.cmp(&b.name));
        }
        seen.schemas.sort_by(|a, b| a.name.cmp(&b.name));
        seen
    }
}
