//! The catalog over its log: transactions become records, records of other servers are followed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::changes::Change;
use super::record::{is_of, known_of_definition};
use super::together::Intent;
use super::{Catalog, Known, Relation, State};
use crate::log::{
    Appended, CatalogLog, Definitions, Entry, RECORDS_PER_READ_MAX, RelationDef, RelationKind,
    RoleDef, SecretKey, StorageDef, encode, encode_checkpoint, load, replay,
};
use crate::object_store::{ObjectStores, Storage};
use crate::open::table_at;
use crate::{CatalogError, Result, TableName};

/// Records after which a checkpoint is written.
const RECORDS_PER_CHECKPOINT: u64 = 64;

/// How often a transaction is tried against servers that are faster.
pub(super) const N_TRIES_MAX: usize = 100;

/// How long a statement waits to learn what other servers have done.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// After a failed look, statements go on with what is known for this long.
const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// The log behind a catalog, and who may use it when.
#[derive(Debug, Default)]
pub(super) struct Durable {
    log: Option<Arc<dyn CatalogLog>>,
    key: Option<Arc<SecretKey>>,
    /// Held while records are appended or followed.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Held to write by a transaction that changes the log and rows in memory: nobody may change
    /// the rows between its check and its end.
    pub(super) rows: tokio::sync::RwLock<()>,
    look: tokio::sync::Mutex<Look>,
    /// When the last look began that has found all there was.
    pub(super) looked: parking_lot::Mutex<Option<Instant>>,
    /// The record of the newest checkpoint.
    checkpointed: AtomicU64,
    due: tokio::sync::Notify,
    /// Records and checkpoints read when the catalog was opened.
    n_read: usize,
}

/// The last time that the log was looked at.
#[derive(Debug, Default)]
struct Look {
    began: Option<Instant>,
    failed: Option<Instant>,
}

/// What a statement has made, by name: the log says where a table is, this is the table.
type Made = BTreeMap<TableName, Relation>;

impl Catalog {
    /// The catalog that a log holds.
    ///
    /// # Errors
    /// `CatalogLog` when it cannot be read, `CatalogDamaged`, `CatalogTooNew`; `SecretKey` where
    /// the key is not the one that its credentials were encrypted with.
    pub async fn open(
        database: &str,
        stores: ObjectStores,
        roots: Vec<String>,
        log: Arc<dyn CatalogLog>,
        key: Option<SecretKey>,
    ) -> Result<Arc<Self>> {
        let (definitions, n_read) = load(log.as_ref(), database).await?;
        let checkpointed = log.latest_checkpoint().await?.map_or(0, |c| c.version);
        stores.set_storages(opened(&definitions.storages, key.as_ref())?);
        let mut state = State::new(database, definitions);
        state.follow_all(database, &stores)?;
        let durable = Durable {
            log: Some(log),
            key: key.map(Arc::new),
            checkpointed: checkpointed.into(),
            n_read,
            ..Durable::default()
        };
        durable.due.notify_one();
        Ok(Arc::new(Self::with_state(database, stores, roots, (state, durable))))
    }

    /// Another database of the same log; nothing is found in storage for it.
    ///
    /// # Errors
    /// As [`Self::open`]; `ObjectNotFound` where there is none of this name.
    pub async fn beside(&self, database: &str) -> Result<Arc<Self>> {
        let (log, key) = (self.durable.log.clone(), self.durable.key.clone());
        let Some(log) = log else {
            return Err(CatalogError::ObjectNotFound {
                kind: "database",
                name: database.to_owned(),
            });
        };
        let (definitions, n_read) = load(log.as_ref(), &self.database).await?;
        let mut state = State::new(database, definitions);
        state.follow_all(database, &self.stores)?;
        let durable = Durable { log: Some(log), key, n_read, ..Durable::default() };
        let parts = (state, durable);
        Ok(Arc::new(Self::with_state(database, self.stores.clone(), vec![], parts)))
    }

    /// Does what a transaction has done: all of it, or nothing.
    ///
    /// What lasts is appended to the log first. Where another server was faster, its records are
    /// followed and the transaction is checked again.
    ///
    /// # Errors
    /// `Conflict` where another transaction has changed what this one is based on; `ObjectExists`
    /// and `ObjectNotFound`; `TableTooLarge` and `MemoryTablesFull` for tables in memory;
    /// `CatalogLog` when the log cannot be written; `HalfCommitted` where it was written, and this
    /// server cannot do what it says.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop what it has begun.
    pub fn commit(self: &Arc<Self>, changes: Vec<Change>) -> BoxFuture<'static, Result<()>> {
        let catalog = Arc::clone(self);
        async move {
            {
                let _rows = catalog.durable.rows.read().await;
                let mut state = catalog.state.write();
                state.check_references(&changes)?;
                if state.entries_of(&catalog.database, &changes)?.is_empty() {
                    return state.apply(&changes);
                }
            }
            // A task of its own: a client that goes away must not leave half of it behind.
            let done =
                tokio::spawn(async move { catalog.commit_durable(&changes, None).await }).await;
            done.unwrap_or_else(|error| Err(CatalogError::Internal { what: error.to_string() }))
        }
        .boxed()
    }

    /// Sees that a transaction could be committed now.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn check(&self, changes: &[Change]) -> Result<()> {
        self.refresh().await?;
        self.check_there()?;
        self.state.read().check(changes)
    }

    /// Appends the record of a transaction, and of what it decides for several tables.
    ///
    /// # Errors
    /// As [`Self::commit`]; nothing has happened then, but for `HalfCommitted` and `CatalogLog`.
    pub(super) async fn commit_durable(
        &self,
        changes: &[Change],
        intent: Option<&Intent>,
    ) -> Result<()> {
        let _rows = if changes.iter().any(Change::is_local) {
            Some(self.durable.rows.write().await)
        } else {
            None
        };
        let _turn = self.durable.turn.lock().await;
        for _ in 0..N_TRIES_MAX {
            // A record about a database that is gone would damage the log.
            self.check_there()?;
            let (version, entries) = {
                let state = self.state.read();
                state.check(changes)?;
                let version = state.log.version + 1;
                let mut entries = state.entries_of(&self.database, changes)?;
                if let Some(intent) = intent {
                    state.check_undecided(intent)?;
                    entries.push(intent.entry(version));
                }
                (version, entries)
            };
            if self.append(version, &entries).await? == Appended::Conflict {
                self.catch_up().await?;
                continue;
            }
            self.put_in_place(version, &entries, changes)?;
            self.note_length(version);
            return Ok(());
        }
        Err(CatalogError::Conflict { name: self.database.clone() })
    }

    /// Has a checkpoint written once there are enough records.
    pub(super) fn note_length(&self, version: u64) {
        if version >= self.durable.checkpointed.load(Ordering::Relaxed) + RECORDS_PER_CHECKPOINT {
            self.durable.due.notify_one();
        }
    }

    pub(super) async fn append(&self, version: u64, entries: &[Entry]) -> Result<Appended> {
        match &self.durable.log {
            Some(log) => log.append(version, encode(version, entries)?).await,
            None => Ok(Appended::Done),
        }
    }

    /// Follows an own record, and does what the transaction has done in memory.
    ///
    /// # Errors
    /// `HalfCommitted`: the record is there, so this must not be told as something that was not done.
    pub(super) fn put_in_place(
        &self,
        version: u64,
        entries: &[Entry],
        changes: &[Change],
    ) -> Result<()> {
        let mut made = Made::new();
        for change in changes {
            if let Change::Put { name, after: Some(object), .. } = change {
                made.insert(name.clone(), object.relation.clone());
            }
        }
        let mut state = self.state.write();
        state.log.version = version;
        state.remove_local(changes);
        // Whatever cannot be followed, the rest is: other servers see all of it.
        let mut done = Ok(());
        for entry in entries {
            let followed = state.follow(entry, &self.database, &self.stores, &mut made);
            done = done.and(followed);
        }
        let applied = state.apply_local(changes);
        done = done.and(applied);
        if !changes.is_empty() || !entries.iter().all(Entry::is_about_transaction) {
            state.changed();
        }
        drop(state);
        if entries.iter().any(is_about_storage) {
            let used = self.use_storages();
            done = done.and(used);
        }
        done.map_err(|error| {
            tracing::error!(version, %error, "a record of the catalog could not be put in place");
            let what = format!(
                "record {version} of the catalog is written, what it says is not in place here: {error}"
            );
            CatalogError::HalfCommitted { what }
        })
    }

    /// Follows what other servers have appended; the caller has the turn.
    pub(super) async fn catch_up(&self) -> Result<()> {
        let Some(log) = &self.durable.log else { return Ok(()) };
        loop {
            let from = self.state.read().log.version + 1;
            let records = log.tail(from).await?;
            let mut storages = false;
            for record in &records {
                let mut state = self.state.write();
                let entries = replay(log.place(), &mut state.log, record)?;
                for entry in &entries {
                    state.mirror_entry(entry, &self.database, &self.stores, &mut Made::new())?;
                    storages |= is_about_storage(entry);
                }
                if !entries.iter().all(Entry::is_about_transaction) {
                    state.changed();
                }
            }
            if storages {
                self.use_storages()?;
            }
            if records.len() < RECORDS_PER_READ_MAX {
                return Ok(());
            }
        }
    }

    /// Follows what other servers have done before this call, so that the next statement sees it.
    ///
    /// Costs a look at the local disk, one request to an object store, or one query; statements
    /// that arrive together share it. A place that does not answer does not stop statements: they
    /// go on with what is known.
    ///
    /// # Errors
    /// `CatalogDamaged` and `CatalogTooNew` for a record that cannot be followed.
    pub async fn refresh(&self) -> Result<()> {
        let Some(log) = &self.durable.log else { return Ok(()) };
        let asked = Instant::now();
        let next = self.state.read().log.version + 1;
        match log.has_now(next) {
            Some(false) => {
                self.note_look(asked);
                return Ok(());
            }
            Some(true) => return self.look_now().await,
            None => {}
        }
        let mut look = self.durable.look.lock().await;
        let paused = look.failed.is_some_and(|failed| failed.elapsed() < LOOK_PAUSE);
        if paused || look.began.is_some_and(|began| began >= asked) {
            return Ok(());
        }
        let began = Instant::now();
        look.began = Some(began);
        match tokio::time::timeout(LOOK_TIMEOUT, self.look(log.as_ref())).await {
            Ok(Ok(())) => {
                look.failed = None;
                self.note_look(began);
                Ok(())
            }
            Ok(Err(error @ CatalogError::CatalogLog { .. })) => {
                let detail = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, ?detail, "statements go on with the catalog as it is known");
                look.failed = Some(Instant::now());
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let place = log.place();
                tracing::warn!(place, "the catalog does not answer, statements go on without it");
                look.failed = Some(Instant::now());
                Ok(())
            }
        }
    }

    /// Follows all that there is, and fails where that cannot be learnt.
    ///
    /// # Errors
    /// `CatalogLog`, `CatalogDamaged`, `CatalogTooNew`.
    pub(super) async fn look_now(&self) -> Result<()> {
        let asked = Instant::now();
        let _turn = self.durable.turn.lock().await;
        // Many may wait for one transaction, which needs the turn itself: one look serves them all.
        if self.durable.looked.lock().is_some_and(|began| began >= asked) {
            return Ok(());
        }
        let began = Instant::now();
        self.catch_up().await?;
        self.note_look(began);
        Ok(())
    }

    fn note_look(&self, began: Instant) {
        let mut looked = self.durable.looked.lock();
        *looked = Some(looked.map_or(began, |before| before.max(began)));
    }

    async fn look(&self, log: &dyn CatalogLog) -> Result<()> {
        let next = self.state.read().log.version + 1;
        if log.tail(next).await?.is_empty() {
            return Ok(());
        }
        let _turn = self.durable.turn.lock().await;
        self.catch_up().await
    }

    /// Writes a checkpoint whenever enough records have come; never ends.
    pub async fn keep_checkpoints(&self) {
        loop {
            self.durable.due.notified().await;
            if let Err(error) = self.checkpoint(RECORDS_PER_CHECKPOINT).await {
                tracing::warn!(%error, "could not write a checkpoint of the catalog");
            }
        }
    }

    /// Writes a checkpoint if at least `n_records` have come since the last one.
    ///
    /// # Errors
    /// `CatalogLog`; nothing is lost then.
    pub async fn checkpoint(&self, n_records: u64) -> Result<()> {
        let Some(log) = &self.durable.log else { return Ok(()) };
        let (version, entries) = {
            let state = self.state.read();
            let behind = self.durable.checkpointed.load(Ordering::Relaxed);
            if state.log.version < behind + n_records {
                return Ok(());
            }
            (state.log.version, state.log.to_entries())
        };
        log.checkpoint(version, encode_checkpoint(version, &entries)?).await?;
        self.durable.checkpointed.store(version, Ordering::Relaxed);
        Ok(())
    }

    /// Where the log is; `None` for a catalog that forgets.
    #[must_use]
    pub fn log_place(&self) -> Option<&str> {
        self.durable.log.as_ref().map(|log| log.place())
    }

    /// The number of the last record, and how many records and checkpoints were read at the start.
    #[must_use]
    pub fn log_version(&self) -> (u64, usize) {
        (self.state.read().log.version, self.durable.n_read)
    }

    /// A role's definition.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<RoleDef> {
        self.state.read().log.roles.get(name).cloned()
    }

    /// The settings that a role's sessions begin with, and where each comes from.
    #[must_use]
    pub fn settings_of(&self, role: &str, database: &str) -> Vec<(String, (String, &'static str))> {
        self.state.read().settings_of(role, database)
    }

    /// Reads what the log says, for system tables and commands.
    pub fn with_definitions<T>(&self, read: impl FnOnce(&Definitions) -> T) -> T {
        read(&self.state.read().log)
    }

    /// Encrypts the secrets of a credential.
    ///
    /// # Errors
    /// `SecretKey` where the server has no key.
    pub fn seal(
        &self,
        name: &str,
        secrets: &BTreeMap<String, String>,
    ) -> Result<crate::log::Sealed> {
        let Some(key) = &self.durable.key else {
            let what = "this catalog has none".to_owned();
            return Err(CatalogError::SecretKey { what });
        };
        key.seal(name, secrets)
    }

    /// Hands the credentials to the object stores, after they have changed, and opens tables anew.
    fn use_storages(&self) -> Result<()> {
        let definitions = self.state.read().log.storages.clone();
        self.stores.set_storages(opened(&definitions, self.durable.key.as_deref())?);
        let mut state = self.state.write();
        let made: Vec<(TableName, Arc<RelationDef>)> =
            state.definitions_in(&self.database).collect();
        for (name, definition) in made {
            if let RelationKind::Table { .. } = definition.kind
                && let Some(known) = state.relations.get_mut(&name).filter(|known| known.durable)
            {
                known.relation = relation_of(&name, &definition, &self.stores);
            }
        }
        state.changed();
        Ok(())
    }
}

/// The credentials with their secrets.
fn opened(
    definitions: &BTreeMap<String, StorageDef>,
    key: Option<&SecretKey>,
) -> Result<Vec<Storage>> {
    let open = |(name, storage): (&String, &StorageDef)| {
        let secrets = match (&storage.secrets, key) {
            (Some(sealed), Some(key)) => key.open_sealed(name, sealed)?,
            (Some(_), None) => {
                let what = format!("there is none for the secrets of storage \"{name}\"");
                return Err(CatalogError::SecretKey { what });
            }
            (None, _) => BTreeMap::new(),
        };
        let options = storage.options.clone().into_iter().chain(secrets);
        Storage::try_new(name, &storage.prefix, options)
    };
    definitions.iter().map(open).collect()
}

impl State {
    /// Takes everything from the log.
    fn follow_all(&mut self, database: &str, stores: &ObjectStores) -> Result<()> {
        let Some(known) = self.log.databases.get(database) else {
            return Err(CatalogError::ObjectNotFound {
                kind: "database",
                name: database.to_owned(),
            });
        };
        self.schemas = known.schemas.iter().map(|(name, s)| (name.clone(), s.def.oid)).collect();
        let definitions: Vec<(TableName, Arc<RelationDef>)> =
            self.definitions_in(database).collect();
        for (name, definition) in definitions {
            let relation = relation_of(&name, &definition, stores);
            self.relations.insert(name, known_of_definition(&definition, relation)?);
        }
        self.changed();
        Ok(())
    }

    /// The relations of a database that the log has.
    fn definitions_in(
        &self,
        database: &str,
    ) -> impl Iterator<Item = (TableName, Arc<RelationDef>)> {
        let known = self.log.databases.get(database).into_iter();
        known.flat_map(|database| {
            let relations = database.relations();
            relations.map(|(schema, name, def)| (TableName::new(schema, name), Arc::clone(def)))
        })
    }

    /// Applies an own entry, and what follows from it.
    fn follow(
        &mut self,
        entry: &Entry,
        database: &str,
        stores: &ObjectStores,
        made: &mut Made,
    ) -> Result<()> {
        let internal = |what| CatalogError::Internal { what };
        self.log.apply(entry).map_err(internal)?;
        self.mirror_entry(entry, database, stores, made)
    }

    /// Makes names mean what the log says after an entry.
    fn mirror_entry(
        &mut self,
        entry: &Entry,
        own: &str,
        stores: &ObjectStores,
        made: &mut Made,
    ) -> Result<()> {
        match entry {
            Entry::PutSchema { database, name, schema } if database == own => {
                self.schemas.insert(name.clone(), schema.oid);
            }
            Entry::DropSchema { database, name } if database == own => {
                self.schemas.remove(name);
                self.relations.retain(|relation, _| relation.schema() != name);
            }
            Entry::PutRelation { database, schema, name, .. }
            | Entry::DropRelation { database, schema, name }
                if database == own =>
            {
                self.mirror(&TableName::new(schema, name), own, stores, made)?;
            }
            Entry::DropDatabase { name } | Entry::RenameDatabase { name, .. } if name == own => {
                self.schemas.clear();
                self.relations.clear();
            }
            Entry::PutDatabase { name, .. } if name == own => {
                let known = self.log.databases.get(own).into_iter().flat_map(|d| &d.schemas);
                let missing = known.filter(|(name, _)| !self.schemas.contains_key(*name));
                let missing: Vec<_> = missing.map(|(n, s)| (n.clone(), s.def.oid)).collect();
                self.schemas.extend(missing);
            }
            // The relations that the log has are named by the log, and those in memory here.
            Entry::RenameRole { name, new } => {
                self.renamed_roles.push((name.clone(), new.clone()));
                for known in self.relations.values_mut() {
                    if let Some(access) = known.access.renamed(name, new) {
                        known.access = Arc::new(access);
                    }
                }
            }
            Entry::PutTransaction { .. } | Entry::EndTransaction { .. } => self.recent.note(entry),
            _ => {}
        }
        Ok(())
    }

    /// Makes a name mean what the log says, unless it is that of a table in memory, which keeps it
    /// as long as it lives.
    fn mirror(
        &mut self,
        name: &TableName,
        database: &str,
        stores: &ObjectStores,
        made: &mut Made,
    ) -> Result<()> {
        let known = self.relations.get(name);
        if known.is_some_and(Known::is_local) {
            return Ok(());
        }
        let Some(definition) = self.log.relation(database, name.schema(), name.table()).cloned()
        else {
            if known.is_some_and(|known| known.durable) {
                self.relations.remove(name);
            }
            return Ok(());
        };
        let same = known.map(|known| &known.relation).filter(|found| is_of(found, &definition));
        let relation = match (made.remove(name).filter(|new| is_of(new, &definition)), same) {
            (Some(made), _) => made,
            (None, Some(same)) => same.clone(),
            (None, None) => relation_of(name, &definition, stores),
        };
        self.relations.insert(name.clone(), known_of_definition(&definition, relation)?);
        Ok(())
    }

    /// Sees that nobody has called off what is to be decided.
    fn check_undecided(&self, intent: &Intent) -> Result<()> {
        let name = intent.tables.first().map(|table| table.name.clone()).unwrap_or_default();
        match self.recent.end_of(&intent.token) {
            Some(_) => Err(CatalogError::Conflict { name }),
            None => Ok(()),
        }
    }

    /// Removes what SQL has made in memory from the names that a transaction puts something at.
    fn remove_local(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Put { name, .. } = change
                && self.relations.get(name).is_some_and(Known::is_local)
            {
                self.relations.remove(name);
            }
        }
    }
}

/// A relation that has not been opened: its table is read when it is first pinned.
fn relation_of(name: &TableName, definition: &RelationDef, stores: &ObjectStores) -> Relation {
    match &definition.kind {
        RelationKind::View { definition } => Relation::View { definition: definition.clone() },
        RelationKind::Table { format, location, single_file, options } => {
            let files = (*single_file, options);
            Relation::Lake(table_at(stores, name.table(), format, location, files))
        }
    }
}

fn is_about_storage(entry: &Entry) -> bool {
    matches!(entry, Entry::PutStorage { .. } | Entry::DropStorage { .. })
}
