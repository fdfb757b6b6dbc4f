//! What a session sees and others do not: its temporary relations, and what its transaction has
//! changed of the shared ones.
//!
//! ```text
//!   lookup of a name ─► temporary ─► changed by the transaction ─► catalog
//!   COMMIT           ─► all changes are put in place at once; the first one to do so wins
//! ```
//! A table is copied when the transaction writes it first: the copy shares the rows, or the files
//! of a Delta table.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use tarn_catalog::delta::{DeltaSnapshot, DeltaTable, ReadSet, StagedTable};
use tarn_catalog::log::{Access, Entry};
use tarn_catalog::memory::{MemoryTable, Rows};
use tarn_catalog::registry::{Change, Cut, Expect, Object, Relation};
use tarn_catalog::{CatalogError, CatalogSnapshot, LakeTable, TableDetails, TableName, Travel};

use crate::Shared;
use crate::define::lake::MANAGED;
use crate::garbage::MadeFolder;

use crate::error::{Error, Result};
use crate::lookup::TEMPORARY;
use crate::session::{Inner, Session};

mod rename;
mod rights;

/// A temporary table or view of a session.
#[derive(Debug, Clone)]
pub(crate) struct Temporary {
    pub(crate) object: Object,
    pub(crate) on_commit: OnCommit,
}

/// What becomes of a temporary table at the end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnCommit {
    Preserve,
    Delete,
    Drop,
}

/// What a transaction has changed of the relations that all sessions share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    relations: BTreeMap<TableName, Changed>,
    /// Schemas made (`true`) and dropped.
    schemas: BTreeMap<String, bool>,
    /// What is said of relations that stay as they are.
    described: BTreeMap<TableName, Arc<TableDetails>>,
    /// Roles, settings, rights on schemas and the like.
    defined: Vec<Defined>,
    /// Owners and rights of relations that stay as they are: what there was, what there is.
    access: BTreeMap<TableName, (Arc<Access>, Arc<Access>)>,
    /// Folders that go again if this is rolled back.
    made: Vec<Arc<MadeFolder>>,
    /// Folders of dropped tables, which go when this is committed.
    dropped: Vec<String>,
    /// What was done to tables before they were dropped whose files stay; whether the transaction
    /// has made the table.
    left: Vec<(bool, Arc<StagedTable>)>,
}

/// A definition, what has to be true before, and what the catalog said when it was made.
type Defined = (Entry, Expect, Option<Box<Entry>>);

#[derive(Debug, Clone)]
struct Changed {
    /// What was there when the transaction came.
    before: Option<Relation>,
    /// The rights on that, which `after` takes over.
    access: Option<Arc<Access>>,
    /// The rows that the new content was made from.
    base: Option<u64>,
    after: Option<Object>,
    /// `after` is a copy of `before` with other rows.
    is_copy: bool,
    /// How many rows the copy began with, as long as nothing was done to it but adding.
    appended_to: Option<usize>,
    /// What was done to a Delta table; `after` is this as a relation.
    staged: Option<Arc<StagedTable>>,
}

/// The private relations of a session at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct PrivateState {
    temporary: BTreeMap<String, Temporary>,
    changes: Changes,
    rows: Vec<(Arc<MemoryTable>, Rows)>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.relations.is_empty()
            && self.schemas.is_empty()
            && self.described.is_empty()
            && self.left.is_empty()
            && self.defined.is_empty()
            && self.access.is_empty()
    }

    /// Keeps the files that were made and removes those of dropped tables, once this is committed.
    pub(crate) fn settle(&self, shared: &Shared) {
        for made in &self.made {
            made.keep();
        }
        let is_shared = shared.config.catalog.is_some();
        for folder in &self.dropped {
            shared.garbage.remove_folder(folder, shared.running.ids(), is_shared);
        }
    }

    /// Keeps the files that were made: they may belong to what is committed.
    pub(crate) fn keep(&self) {
        self.made.iter().for_each(|made| made.keep());
    }

    /// Settles what becomes of files after [`Self::keep`], once the commit has ended.
    pub(crate) fn settle_after(&self, done: &tarn_catalog::Result<()>, shared: &Shared) {
        use CatalogError::{CatalogLog, HalfCommitted, Internal};
        match done {
            Ok(()) => self.settle(shared),
            // What is decided, or may be, names them.
            Err(CatalogLog { .. } | HalfCommitted { .. } | Internal { .. }) => {}
            Err(_) => self.made.iter().for_each(|made| made.release()),
        }
    }

    /// As the catalog takes them.
    pub(crate) fn to_catalog(&self) -> Vec<Change> {
        let created = self.schemas.iter().filter(|(_, exists)| **exists);
        let mut changes: Vec<Change> =
            created.map(|(name, _)| Change::CreateSchema(name.clone())).collect();
        for (name, changed) in &self.relations {
            let name = name.clone();
            let (before, mut after) = (changed.before.clone(), changed.after.clone());
            if let (Some(staged), Some(object)) = (&changed.staged, &mut after) {
                if changed.is_copy {
                    continue;
                }
                // A table that the transaction has made: what it has put into it is committed.
                object.relation = Relation::Lake(Arc::clone(staged.table()) as Arc<dyn LakeTable>);
            }
            let copy = match (&before, &after) {
                (Some(Relation::Memory(table)), Some(object)) if changed.is_copy => {
                    Some((Arc::clone(table), object))
                }
                _ => None,
            };
            let Some((table, object)) = copy else {
                if let (Some(_), Some(access)) = (&before, &changed.access) {
                    let (name, before) = (name.clone(), Arc::clone(access));
                    changes.push(Change::SameAccess { name, before });
                }
                changes.push(Change::Put { name, before, base: changed.base, after });
                continue;
            };
            let Relation::Memory(private) = &object.relation else { continue };
            let (base, rows) = (changed.base.unwrap_or_default(), private.rows());
            changes.push(match changed.appended_to {
                Some(n_rows_before) => Change::Append { table, name, base, n_rows_before, rows },
                None => Change::Replace { table, name, base, rows },
            });
        }
        changes.extend(self.described.iter().map(|(name, details)| Change::Describe {
            name: name.clone(),
            details: Arc::clone(details),
        }));
        changes.extend(self.rights_to_catalog());
        let dropped = self.schemas.iter().filter(|(_, exists)| !**exists);
        changes.extend(dropped.map(|(name, _)| Change::DropSchema(name.clone())));
        changes
    }
}

/// What a transaction has done to Delta tables.
#[derive(Debug, Default)]
pub(crate) struct StagedTables {
    /// Those that it has made itself: nobody sees them before the catalog names them.
    pub(crate) made: Vec<Arc<StagedTable>>,
    /// Those that were there.
    pub(crate) known: Vec<Arc<StagedTable>>,
}

impl Changes {
    /// The Delta tables that were written.
    pub(crate) fn staged(&self) -> StagedTables {
        let mut tables = StagedTables::default();
        // A table that was only attached is there for others: it has to wait for the decision.
        let is_new = |staged: &StagedTable| self.made.iter().any(|m| m.is_at(staged.location()));
        for changed in self.relations.values() {
            let Some(staged) = changed.staged.as_ref().filter(|s| !s.is_unchanged()) else {
                continue;
            };
            match !changed.is_copy && is_new(staged) {
                true => tables.made.push(Arc::clone(staged)),
                false => tables.known.push(Arc::clone(staged)),
            }
        }
        for (is_made, staged) in &self.left {
            match *is_made && is_new(staged) {
                true => tables.made.push(Arc::clone(staged)),
                false => tables.known.push(Arc::clone(staged)),
            }
        }
        tables
    }
}

impl Inner {
    /// The tables whose rows only this session can change.
    fn private_tables(&self) -> Vec<Arc<MemoryTable>> {
        let temporary = self.temporary.values().map(|temporary| &temporary.object);
        let changed = self.changes.relations.values().filter_map(|changed| changed.after.as_ref());
        let tables = temporary.chain(changed).filter_map(|object| match &object.relation {
            Relation::Memory(table) => Some(Arc::clone(table)),
            Relation::Lake(_) | Relation::View { .. } => None,
        });
        tables.collect()
    }

    pub(crate) fn private_state(&self) -> PrivateState {
        let rows = self.private_tables().into_iter().map(|table| {
            let rows = table.rows();
            (table, rows)
        });
        let rows = rows.collect();
        PrivateState { temporary: self.temporary.clone(), changes: self.changes.clone(), rows }
    }

    pub(crate) fn restore_private(&mut self, state: PrivateState) {
        for (table, rows) in state.rows {
            table.restore(rows);
        }
        self.temporary = state.temporary;
        self.changes = state.changes;
    }

    /// Does what temporary tables do at the end of a transaction.
    pub(crate) fn end_temporary(&mut self) {
        self.temporary.retain(|_, temporary| temporary.on_commit != OnCommit::Drop);
        for temporary in self.temporary.values() {
            if let (OnCommit::Delete, Relation::Memory(table)) =
                (temporary.on_commit, &temporary.object.relation)
            {
                let generation = table.rows().generation();
                // Nothing is added, and nobody else writes it: this cannot fail.
                drop(table.replace(vec![], generation));
            }
        }
    }
}

impl Session {
    /// Whether the session sees relations that others do not.
    pub(crate) fn has_private(inner: &Inner) -> bool {
        !inner.temporary.is_empty() || !inner.changes.is_empty()
    }

    /// The schema that this session's temporary relations are listed in.
    pub(crate) fn temporary_schema(&self) -> String {
        format!("pg_temp_{}", self.pid())
    }

    /// Whether a name is that of the session's temporary schema.
    pub(crate) fn is_temporary_schema(&self, name: &str) -> bool {
        name == TEMPORARY || name.strip_prefix("pg_temp_") == Some(self.pid().to_string().as_str())
    }

    /// What a name stands for, as this session sees it.
    pub(crate) fn relation(&self, name: &TableName) -> Option<Relation> {
        {
            let inner = self.inner.lock();
            if name.schema() == TEMPORARY {
                let temporary = inner.temporary.get(name.table())?;
                return Some(temporary.object.relation.clone());
            }
            if let Some(changed) = inner.changes.relations.get(name) {
                return changed.after.as_ref().map(|object| object.relation.clone());
            }
        }
        self.shared.catalog.get(name)
    }

    /// A relation that SQL has made, with its columns.
    pub(crate) fn object(&self, name: &TableName) -> Option<Object> {
        {
            let inner = self.inner.lock();
            if name.schema() == TEMPORARY {
                return inner.temporary.get(name.table()).map(|temporary| temporary.object.clone());
            }
            let described = inner.changes.described.get(name).cloned();
            let access = inner.changes.access_of(name).cloned();
            let with = |mut object: Object| {
                object.details = described.unwrap_or(object.details);
                object.access = access.unwrap_or(object.access);
                object
            };
            if let Some(changed) = inner.changes.relations.get(name) {
                return changed.after.clone().map(with);
            }
            if let Some(object) = self.shared.catalog.object(name) {
                return Some(with(object));
            }
        }
        None
    }

    /// Notes what is said of a relation.
    pub(crate) fn describe(&self, name: &TableName, details: Arc<TableDetails>) {
        self.inner.lock().changes.described.insert(name.clone(), details);
        self.touch();
    }

    /// Notes files that are to go unless the transaction is committed.
    pub(crate) fn note_made(&self, made: Arc<MadeFolder>) {
        self.inner.lock().changes.made.push(made);
    }

    /// Notes that a relation goes, and with it the files that are the server's own.
    pub(crate) fn retire_files(&self, name: &TableName, relation: &Relation) {
        let details = self.object(name).map(|object| object.details);
        let managed = details.is_some_and(|details| details.properties.contains_key(MANAGED));
        if let (Relation::Lake(table), true) = (relation, managed) {
            self.inner.lock().changes.dropped.push(table.location().to_owned());
        }
    }

    /// Notes folders that go when the transaction is committed.
    pub(crate) fn retire_folders(&self, folders: Vec<String>) {
        self.inner.lock().changes.dropped.extend(folders);
    }

    /// Whether the transaction has changed a relation.
    pub(crate) fn is_changed(&self, name: &TableName) -> bool {
        self.inner.lock().changes.relations.contains_key(name)
    }

    pub(crate) fn has_schema(&self, name: &str) -> bool {
        let changed = self.inner.lock().changes.schemas.get(name).copied();
        changed.unwrap_or_else(|| self.shared.catalog.has_schema(name))
    }

    /// The relations of a schema.
    pub(crate) fn relations_of(&self, schema: &str) -> Vec<TableName> {
        let mut names = self.shared.catalog.relations_of(schema);
        let inner = self.inner.lock();
        names.retain(|name| !inner.changes.relations.contains_key(name));
        let changed = inner.changes.relations.iter();
        let changed = changed.filter(|(name, c)| name.schema() == schema && c.after.is_some());
        names.extend(changed.map(|(name, _)| name.clone()));
        names
    }

    /// The views that read a relation.
    pub(crate) fn dependents(&self, name: &TableName) -> Vec<TableName> {
        let mut names = match name.schema() {
            TEMPORARY => vec![],
            _ => self.shared.catalog.dependents(name),
        };
        let inner = self.inner.lock();
        names.retain(|name| !inner.changes.relations.contains_key(name));
        let reads = |object: &Object| object.depends_on.contains(name);
        for (view, changed) in &inner.changes.relations {
            if changed.after.as_ref().is_some_and(reads) {
                names.push(view.clone());
            }
        }
        for (view, temporary) in &inner.temporary {
            if reads(&temporary.object) {
                names.push(TableName::new(TEMPORARY, view));
            }
        }
        names
    }

    /// Makes or drops a schema.
    pub(crate) fn put_schema(&self, name: &str, exists: bool) {
        let there = self.shared.catalog.has_schema(name);
        let mut inner = self.inner.lock();
        if there == exists {
            inner.changes.schemas.remove(name);
        } else {
            inner.changes.schemas.insert(name.to_owned(), exists);
        }
        drop(inner);
        self.touch();
    }

    /// Whose a relation is and who may do what with it, as all sessions see it.
    fn access_now(&self, name: &TableName) -> Option<Arc<Access>> {
        self.shared.catalog.object(name).map(|object| object.access)
    }

    /// Makes, replaces or drops a relation.
    pub(crate) fn put(&self, name: &TableName, object: Option<Object>, on_commit: OnCommit) {
        let object = object.map(|object| self.with_access(name, object));
        let found = self.shared.catalog.get(name);
        let access = self.access_now(name);
        let mut inner = self.inner.lock();
        if name.schema() == TEMPORARY {
            match object {
                Some(object) => {
                    let temporary = Temporary { object, on_commit };
                    inner.temporary.insert(name.table().to_owned(), temporary);
                }
                None => {
                    inner.temporary.remove(name.table());
                }
            }
        } else {
            let base = |relation: &Relation| match relation {
                Relation::Memory(table) => Some(table.rows().generation()),
                Relation::Lake(_) | Relation::View { .. } => None,
            };
            let given = inner.changes.access.remove(name);
            let changed = inner.changes.relations.entry(name.clone()).or_insert_with(|| Changed {
                base: found.as_ref().and_then(base),
                before: found,
                access,
                after: None,
                is_copy: false,
                appended_to: None,
                staged: None,
            });
            if object.is_none() {
                changed.base = None;
            }
            if let Some((before, _)) = given {
                changed.access = Some(before);
            }
            inner.changes.described.remove(name);
            let Some(changed) = inner.changes.relations.get_mut(name) else { return };
            let is_made = !std::mem::take(&mut changed.is_copy);
            changed.appended_to = None;
            let (staged, before) = (changed.staged.take(), changed.after.take());
            changed.after = object;
            let is_managed =
                before.is_some_and(|before| before.details.properties.contains_key(MANAGED));
            let left = staged.filter(|staged| !is_managed && !staged.is_unchanged());
            let left = left.map(|staged| (is_made, staged));
            if changed.before.is_none() && changed.after.is_none() {
                inner.changes.relations.remove(name);
            }
            inner.changes.left.extend(left);
        }
        drop(inner);
        self.touch();
    }

    /// The table that a statement of the transaction writes: a copy of the shared one.
    ///
    /// # Errors
    /// `WriteConflict` where the transaction has read other rows than there are now and must not
    /// see others.
    pub(crate) fn writable(
        &self,
        name: &TableName,
        table: &Arc<MemoryTable>,
    ) -> Result<Arc<MemoryTable>> {
        if name.schema() == TEMPORARY || self.is_changed(name) {
            return Ok(Arc::clone(table));
        }
        let repeatable = self.is_repeatable();
        let private = table.fork();
        let access = self.object(name).map(|object| object.access).unwrap_or_default();
        let base = private.rows().generation();
        let access_before = self.access_now(name);
        let mut inner = self.inner.lock();
        let key = (name.clone(), Travel::Latest);
        if repeatable {
            let now = tarn_catalog::TableVersion::Number(base);
            if inner.pins.get(&key).is_some_and(|pin| pin.version != now) {
                return Err(Error::WriteConflict);
            }
        } else {
            inner.pins.remove(&key);
        }
        let changed = Changed {
            before: Some(Relation::Memory(Arc::clone(table))),
            access: access_before,
            base: Some(base),
            after: Some(Object { access, ..Object::table(Arc::clone(&private)) }),
            is_copy: true,
            appended_to: Some(private.n_rows()),
            staged: None,
        };
        inner.changes.relations.insert(name.clone(), changed);
        drop(inner);
        self.touch();
        Ok(private)
    }

    /// Whether the transaction goes on seeing what it has seen first.
    pub(crate) fn is_repeatable(&self) -> bool {
        let isolation = self.setting("transaction_isolation").unwrap_or_default();
        matches!(isolation.as_str(), "repeatable read" | "serializable")
    }

    /// The Delta table that a statement of the transaction writes, with what it has done to it
    /// before.
    ///
    /// # Errors
    /// `NotWritable` for formats without transactions; what reading the table reports.
    pub(crate) async fn writable_lake(
        &self,
        name: &TableName,
        table: &Arc<dyn LakeTable>,
    ) -> Result<Arc<StagedTable>> {
        self.writable_lake_at(name, table, &self.cut()).await
    }

    /// The same for a statement that has looked at other tables at a cut.
    ///
    /// The version may be newer than the one that the transaction has read before: the statement
    /// has to read the table as [`StagedTable::snapshot`] is, wherever it names it.
    pub(crate) async fn writable_lake_at(
        &self,
        name: &TableName,
        table: &Arc<dyn LakeTable>,
        cut: &Cut,
    ) -> Result<Arc<StagedTable>> {
        let any: Arc<dyn Any + Send + Sync> = Arc::clone(table) as _;
        let any = match any.downcast::<StagedTable>() {
            Ok(staged) => return Ok(staged),
            Err(any) => any,
        };
        let Ok(delta) = any.downcast::<DeltaTable>() else {
            let reason = "its format has no transactions".to_owned();
            let name = name.table().to_owned();
            return Err(CatalogError::NotWritable { name, reason }.into());
        };
        if self.is_changed(name) {
            // The transaction has made it.
            return Ok(delta.stage().await?);
        }
        let pin = self.inner.lock().pins.get(&(name.clone(), Travel::Latest)).cloned();
        let pinned = pin.filter(|_| self.is_repeatable()).and_then(|pin| {
            let any: Arc<dyn Any + Send + Sync> = pin.provider;
            any.downcast::<DeltaSnapshot>().ok()
        });
        if let Some(base) = pinned {
            // What it has read before counts: that must not have changed when it commits.
            return Ok(delta.stage_on(base)?.reads(ReadSet::Everything));
        }
        let catalog = &self.shared.catalog;
        match catalog.stage_at(&delta, cut).await {
            Ok(staged) => Ok(staged),
            Err(error) => {
                let fate = catalog.fate_after(&error, name, delta.as_ref()).await;
                Err(fate.told(name.table()).unwrap_or(error).into())
            }
        }
    }

    /// Whether the transaction itself has put a table into a folder.
    pub(crate) fn has_made_table_at(&self, location: &str) -> bool {
        let inner = self.inner.lock();
        let after = inner.changes.relations.values().filter_map(|changed| changed.after.as_ref());
        after.map(|object| &object.relation).any(|relation| match relation {
            Relation::Lake(table) => table.location() == location,
            Relation::Memory(_) | Relation::View { .. } => false,
        })
    }

    /// Keeps what a statement has done to a Delta table.
    pub(crate) fn put_staged(&self, name: &TableName, staged: Arc<StagedTable>) {
        let found = self.shared.catalog.get(name);
        let known = self.object(name);
        let access = known.as_ref().map(|object| Arc::clone(&object.access)).unwrap_or_default();
        let known = known.map(|object| object.details);
        let access_before = self.access_now(name);
        let repeatable = self.is_repeatable();
        let mut inner = self.inner.lock();
        let relation = Relation::Lake(Arc::clone(&staged) as Arc<dyn LakeTable>);
        let schema = datafusion::catalog::TableProvider::schema(staged.snapshot().as_ref());
        let object = Object {
            relation,
            columns: tarn_catalog::entry::columns_of(&schema),
            depends_on: vec![],
            details: with_notes(staged.snapshot().details(), known.as_deref()),
            access: Arc::clone(&access),
        };
        let left = rights::without_gone(&access, &object.columns);
        let changed = inner.changes.relations.entry(name.clone()).or_insert_with(|| Changed {
            before: found,
            access: access_before,
            base: None,
            after: None,
            is_copy: true,
            appended_to: None,
            staged: None,
        });
        changed.after = Some(object);
        changed.staged = Some(staged);
        if !repeatable {
            // Back at a savepoint it reads no older version than the one that it has written.
            inner.pins.remove(&(name.clone(), Travel::Latest));
        }
        drop(inner);
        self.touch();
        if let Some(left) = left {
            // RESTORE and CREATE OR REPLACE may have taken columns away.
            self.put_access(name, &access, Arc::new(left));
        }
    }

    /// Lets the catalog see the columns and remarks that a commit has given to Delta tables, and how
    /// many rows they have, before anybody reads them.
    pub(crate) async fn learn_definitions(&self) {
        let redefined = |changed: &&Changed| {
            changed
                .staged
                .as_ref()
                .is_some_and(|staged| staged.snapshot().metadata() != staged.base().metadata())
        };
        let names: Vec<TableName> = {
            let inner = self.inner.lock();
            let relations = inner.changes.relations.iter();
            let relations = relations.filter(|(_, changed)| redefined(changed));
            relations.map(|(name, _)| name.clone()).collect()
        };
        for (name, rows) in self.written_rows() {
            self.shared.catalog.note_rows(&name, rows);
        }
        for name in names {
            if let Err(error) = self.shared.catalog.pin(&name, Travel::Latest).await {
                tracing::debug!(%name, %error, "the table's new definition is read later");
            }
        }
    }

    /// How many rows the Delta tables have that the transaction has made or written.
    fn written_rows(&self) -> Vec<(TableName, u64)> {
        let inner = self.inner.lock();
        let relations = inner.changes.relations.iter();
        let rows =
            relations.filter_map(|(name, changed)| match &changed.after.as_ref()?.relation {
                Relation::Lake(table) => {
                    Some((name.clone(), Arc::clone(table).delta()?.known_rows()?))
                }
                Relation::Memory(_) | Relation::View { .. } => None,
            });
        rows.collect()
    }

    /// Notes that more was done to a table that [`Self::writable`] gave than adding rows.
    pub(crate) fn note_changed(&self, name: &TableName) {
        if let Some(changed) = self.inner.lock().changes.relations.get_mut(name) {
            changed.appended_to = None;
        }
    }

    /// Sees that the session's temporary tables together keep to the limit of one table.
    pub(crate) fn check_temporary_size(&self) -> Result<()> {
        let bytes_max = self.shared.config.memory_table_bytes_max;
        let inner = self.inner.lock();
        let sizes = inner.temporary.values().filter_map(|t| match &t.object.relation {
            Relation::Memory(table) => Some(table.rows().n_bytes()),
            Relation::Lake(_) | Relation::View { .. } => None,
        });
        if sizes.sum::<usize>() > bytes_max {
            return Err(Error::SessionBytes { what: "temporary tables", bytes_max });
        }
        Ok(())
    }

    /// The catalog as this session sees it.
    pub(crate) fn catalog_snapshot(&self) -> Arc<CatalogSnapshot> {
        let shared = self.shared.catalog.snapshot();
        let generation = self.generation.load(std::sync::atomic::Ordering::Relaxed);
        let inner = self.inner.lock();
        if !Self::has_private(&inner) {
            return shared;
        }
        let mut known = self.overlaid.lock();
        if let Some((version, at, snapshot)) = known.as_ref()
            && (*version, *at) == (shared.version, generation)
        {
            return Arc::clone(snapshot);
        }
        let own = self.temporary_schema();
        let mut schemas = inner.changes.schemas.clone();
        if !inner.temporary.is_empty() {
            schemas.insert(own.clone(), true);
        }
        let temporary = inner.temporary.iter().map(|(name, temporary)| {
            (TableName::new(own.as_str(), name), Some(temporary.object.clone()))
        });
        let changed = inner.changes.relations.iter();
        let changed = changed.map(|(name, changed)| (name.clone(), changed.after.clone()));
        let described = inner.changes.described.keys();
        let described: Vec<TableName> = described.cloned().collect();
        let mut relations: Vec<_> = changed.chain(temporary).collect();
        for name in described {
            let details = inner.changes.described.get(&name).cloned();
            let known = relations.iter().position(|(changed, _)| *changed == name);
            let object = match known {
                Some(at) => relations.swap_remove(at).1,
                None => self.shared.catalog.object(&name),
            };
            let object = object.zip(details).map(|(object, details)| Object { details, ..object });
            relations.push((name, object));
        }
        let mut snapshot = shared.overlaid(&schemas, &relations);
        let defined = inner.changes.defined();
        if !defined.is_empty() {
            self.shared.catalog.with_definitions(|all| snapshot.take_rights(&all.with(&defined)));
        }
        for (name, (_, access)) in &inner.changes.access {
            snapshot.put_access(name, access);
        }
        let snapshot = Arc::new(snapshot);
        *known = Some((shared.version, generation, Arc::clone(&snapshot)));
        snapshot
    }
}

/// What a Delta table says of itself, and what the server has noted beside it.
fn with_notes(own: &Arc<TableDetails>, known: Option<&TableDetails>) -> Arc<TableDetails> {
    let known = known.into_iter().flat_map(|details| &details.properties);
    let notes: Vec<_> = known.filter(|(name, _)| name.starts_with("tarn.")).collect();
    if notes.is_empty() {
        return Arc::clone(own);
    }
    let mut details = own.as_ref().clone();
    details.properties.extend(notes.into_iter().map(|(k, v)| (k.clone(), v.clone())));
    Arc::new(details)
}
