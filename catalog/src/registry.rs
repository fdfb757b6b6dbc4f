//! The catalog of one server: which relations there are, by schema and name.
//!
//! Relations come from three places: tables found below the paths that the server was started
//! with, what SQL has made and the log keeps ([`crate::log`]), and tables in memory with the views
//! that read them. Lookups take a lock for a moment and never touch storage; storage is looked at
//! by [`Catalog::rescan`], by [`Catalog::refresh`] and by pinning a table.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};

use crate::discovery::{DiscoveryLimits, FoundTable, discover};
use crate::entry::{CatalogSnapshot, SchemaEntry, TableEntry, TableKind, columns_of};
use crate::log::{Access, Definitions, OID_LAST};
use crate::memory::{MemoryTable, TableDetails};
use crate::object_store::ObjectStores;
use crate::open::open_table;
use crate::{CatalogError, ColumnEntry, LakeTable, Pinned, Result, TableName, Travel};

mod changes;
mod cut;
mod durable;
mod gone;
mod owners;
mod recent;
mod record;
mod together;
mod unopened;

pub use changes::{Change, Expect, Object};
pub use cut::Cut;
use durable::Durable;
pub use gone::Fate;
pub use owners::grant_entries;
use recent::Recent;
use together::Together;

/// The first number that is made from a name; those below are handed out by the log.
const OID_FIRST: u32 = OID_LAST + 1;

/// The schema that discovered tables go to.
pub const PUBLIC: &str = "public";

/// What a name stands for.
#[derive(Debug, Clone)]
pub enum Relation {
    /// Rows in open files.
    Lake(Arc<dyn LakeTable>),
    /// Rows in memory, lost when the server stops.
    Memory(Arc<MemoryTable>),
    /// A stored query.
    View {
        /// The SQL text.
        definition: String,
    },
}

#[derive(Debug, Clone)]
struct Known {
    relation: Relation,
    oid: u32,
    columns: Vec<ColumnEntry>,
    n_rows: Option<u64>,
    /// The URL it was found at; `None` for what SQL made.
    url: Option<String>,
    /// Whether the log has it.
    durable: bool,
    /// Relations that a view reads.
    depends_on: Vec<TableName>,
    /// Remarks, and what a table in an open format has said of itself when it was pinned last.
    details: Arc<TableDetails>,
    /// Whose it is and who may do what with it; the log's grants say it of what was found.
    access: Arc<Access>,
}

#[derive(Debug)]
struct State {
    database: String,
    /// What the log says; the rest follows it.
    log: Definitions,
    /// Transactions over several tables.
    recent: Recent,
    /// Old and new names of roles that were renamed since this was opened.
    renamed_roles: Vec<(String, String)>,
    version: u64,
    /// Counts changes of what names mean; new rows of a table are none.
    definitions: u64,
    schemas: BTreeMap<String, u32>,
    relations: BTreeMap<TableName, Known>,
    system: Vec<SchemaEntry>,
    snapshot: Option<Arc<CatalogSnapshot>>,
}

/// A search of storage for tables.
#[derive(Debug)]
struct Search {
    began: Instant,
    took: Duration,
}

/// Between two searches is a pause of so many times what the last one took.
const N_SEARCHES_PAUSED: u32 = 4;

/// No pause between two searches is longer.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The catalog; shared by all sessions.
#[derive(Debug)]
pub struct Catalog {
    database: String,
    /// Its number, which tells it from another one of its name; none for a catalog without a log.
    database_oid: Option<u32>,
    stores: ObjectStores,
    roots: Vec<String>,
    state: RwLock<State>,
    durable: Durable,
    together: Together,
    began: Instant,
    /// Held while storage is searched, so that concurrent statements search once.
    scan: tokio::sync::Mutex<Option<Search>>,
    unopened: Mutex<unopened::Unopened>,
}

impl Catalog {
    /// An empty catalog over the given paths and URLs, which forgets what SQL makes when it is
    /// dropped: see [`Self::open`] for one that does not.
    #[must_use]
    pub fn new(database: &str, stores: ObjectStores, roots: Vec<String>) -> Arc<Self> {
        let state = State::new(database, Definitions::new(database));
        Arc::new(Self::with_state(database, stores, roots, (state, Durable::default())))
    }

    fn with_state(
        database: &str,
        stores: ObjectStores,
        roots: Vec<String>,
        (state, durable): (State, Durable),
    ) -> Self {
        let known = state.log.databases.get(database);
        Self {
            database: database.to_owned(),
            database_oid: known.map(|known| known.def.oid),
            stores,
            roots,
            state: RwLock::new(state),
            durable,
            together: Together::default(),
            began: Instant::now(),
            scan: tokio::sync::Mutex::new(None),
            unopened: Mutex::default(),
        }
    }

    /// The stores behind the tables.
    #[must_use]
    pub fn stores(&self) -> &ObjectStores {
        &self.stores
    }

    /// The paths and URLs that are searched for tables.
    #[must_use]
    pub fn roots(&self) -> &[String] {
        &self.roots
    }

    /// The database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Sees that the database is still there: not dropped, not renamed, and not another one that
    /// has got its name.
    ///
    /// # Errors
    /// `ObjectNotFound`.
    pub fn check_there(&self) -> Result<()> {
        let state = self.state.read();
        let known = state.log.databases.get(&self.database).map(|known| known.def.oid);
        if known == self.database_oid {
            return Ok(());
        }
        Err(CatalogError::ObjectNotFound { kind: "database", name: self.database.clone() })
    }

    /// The roles that have got other names since the catalog was opened, old and new, in order;
    /// without the first `n_known`.
    #[must_use]
    pub fn renamed_roles(&self, n_known: usize) -> Vec<(String, String)> {
        self.state.read().renamed_roles.get(n_known..).unwrap_or_default().to_vec()
    }

    /// How many roles have got other names since the catalog was opened.
    #[must_use]
    pub fn n_renamed_roles(&self) -> usize {
        self.state.read().renamed_roles.len()
    }

    /// Adds relations that the server answers itself, such as `pg_catalog`.
    pub fn add_system_schema(&self, schema: SchemaEntry) {
        self.change(|state| state.system.push(schema));
    }

    /// Searches the paths for tables: new ones appear, vanished ones go.
    ///
    /// Returns what could not be opened, which is left out and tried again next time.
    ///
    /// # Errors
    /// `PathNotFound` and `Storage` for a path that cannot be searched at all.
    pub fn rescan(&self) -> BoxFuture<'_, Result<Vec<(String, CatalogError)>>> {
        Box::pin(async move {
            let mut last = self.scan.lock().await;
            let began = Instant::now();
            let broken = self.scan_all().await?;
            *last = Some(Search { began, took: began.elapsed() });
            Ok(broken)
        })
    }

    /// Searches the paths unless a search has begun since `asked_at`, so that statements which
    /// wait for one share it.
    ///
    /// Names that do not exist must not keep a store busy: between two searches is a pause of four
    /// times what the last one took, a second at most.
    ///
    /// # Errors
    /// As [`Self::rescan`].
    pub fn rescan_since(&self, asked_at: Instant) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut last = self.scan.lock().await;
            if let Some(search) = &*last {
                if search.began >= asked_at {
                    return Ok(());
                }
                let pause = search.took.saturating_mul(N_SEARCHES_PAUSED).min(PAUSE_MAX);
                tokio::time::sleep_until((search.began + search.took + pause).into()).await;
            }
            let began = Instant::now();
            let searched = self.scan_all().await;
            // One that fails is a burden, too.
            *last = Some(Search { began, took: began.elapsed() });
            searched.map(drop)
        })
    }

    async fn scan_all(&self) -> Result<Vec<(String, CatalogError)>> {
        let mut broken = Vec::new();
        let mut found = Vec::new();
        let mut unopened = unopened::Unopened::default();
        for root in &self.roots {
            let discovery = discover(&self.stores, root, DiscoveryLimits::default()).await?;
            discovery.broken.iter().for_each(|(url, _)| unopened.add_folder(url));
            broken.extend(discovery.broken);
            found.extend(discovery.tables);
        }
        let found = unique_names(found);
        self.forget_vanished(&found);
        for table in found {
            let name = TableName::new(PUBLIC, &table.name);
            if self.is_known(&name, &table.url) {
                continue;
            }
            match self.open_found(&table).await {
                Ok(known) => self.add_found(name, known),
                Err(error) => {
                    broken.push((table.url.clone(), error));
                    unopened.add_table(table);
                }
            }
        }
        *self.unopened.lock() = unopened;
        Ok(broken)
    }

    fn is_known(&self, name: &TableName, url: &str) -> bool {
        self.state.read().keeps_name(name, url)
    }

    /// Adds a table that was opened without the lock, unless the name was taken meanwhile.
    fn add_found(&self, name: TableName, known: Known) {
        let mut state = self.state.write();
        if known.url.as_ref().is_some_and(|url| !state.keeps_name(&name, url)) {
            state.relations.insert(name, known);
            state.changed();
        }
    }

    fn forget_vanished(&self, found: &[FoundTable]) {
        let urls: HashSet<&str> = found.iter().map(|table| table.url.as_str()).collect();
        let still = |known: &Known| match &known.url {
            Some(url) => urls.contains(url.as_str()),
            None => true,
        };
        if self.state.read().relations.values().all(still) {
            return;
        }
        self.change(|state| state.relations.retain(|_, known| still(known)));
    }

    async fn open_found(&self, found: &FoundTable) -> Result<Known> {
        let table = open_table(&self.stores, found).await?;
        let pinned = Arc::clone(&table).pin(Travel::Latest).await?;
        let details = table.details().unwrap_or_default();
        Ok(Known {
            relation: Relation::Lake(table),
            oid: 0,
            columns: columns_of(&pinned.provider.schema()),
            n_rows: row_estimate(&pinned),
            url: Some(found.url.clone()),
            durable: false,
            depends_on: vec![],
            details,
            access: Arc::default(),
        })
    }

    /// Finds a relation.
    #[must_use]
    pub fn get(&self, name: &TableName) -> Option<Relation> {
        self.state.read().relations.get(name).map(|known| known.relation.clone())
    }

    /// A number that rises when a relation, schema or role comes, goes or is redefined.
    #[must_use]
    pub fn definitions(&self) -> u64 {
        self.state.read().definitions
    }

    /// Whether a schema exists.
    #[must_use]
    pub fn has_schema(&self, name: &str) -> bool {
        let state = self.state.read();
        state.schemas.contains_key(name) || state.system.iter().any(|schema| schema.name == name)
    }

    /// Binds a table to a version and notes its columns for metadata queries.
    ///
    /// # Errors
    /// `TableNotFound`, and what the format reports.
    pub async fn pin(&self, name: &TableName, travel: Travel) -> Result<Pinned> {
        let latest = travel == Travel::Latest;
        let pinned = match self.get(name) {
            Some(Relation::Lake(table)) => table.pin(travel).await?,
            Some(Relation::Memory(table)) => (table as Arc<dyn LakeTable>).pin(travel).await?,
            _ => return Err(CatalogError::TableNotFound { name: name.to_string() }),
        };
        if latest {
            self.note_columns(name, &pinned);
        }
        Ok(pinned)
    }

    /// Notes about how many rows a table has: what metadata queries show before it is read next.
    ///
    /// Small changes of large tables are left out: each makes metadata queries gather all anew.
    pub fn note_rows(&self, name: &TableName, n_rows: u64) {
        let is_far = |known: u64| known == 0 || known.abs_diff(n_rows) > known / 10;
        let is_news =
            |known: &Known| known.n_rows != Some(n_rows) && known.n_rows.is_none_or(is_far);
        if !self.state.read().relations.get(name).is_some_and(is_news) {
            return;
        }
        let mut state = self.state.write();
        if let Some(known) = state.relations.get_mut(name) {
            known.n_rows = Some(n_rows);
        }
        state.described_anew();
    }

    fn note_columns(&self, name: &TableName, pinned: &Pinned) {
        let schema = pinned.provider.schema();
        let n_rows = row_estimate(pinned);
        let changed = self.state.read().relations.get(name).is_some_and(|known| {
            known.n_rows != n_rows
                || own_details(known).is_some_and(|details| details != known.details)
                || known.columns.len() != schema.fields().len()
                || known.columns.iter().zip(schema.fields()).any(|(column, field)| {
                    column.name != *field.name()
                        || column.data_type != *field.data_type()
                        || column.nullable != field.is_nullable()
                })
        });
        if !changed {
            return;
        }
        let mut state = self.state.write();
        if let Some(known) = state.relations.get_mut(name) {
            known.columns = columns_of(&schema);
            known.n_rows = n_rows;
            if let Some(details) = own_details(known) {
                known.details = details;
            }
        }
        state.described_anew();
    }

    /// Everything that metadata queries see, as of now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<CatalogSnapshot> {
        if let Some(snapshot) = &self.state.read().snapshot {
            return Arc::clone(snapshot);
        }
        let mut state = self.state.write();
        state.assign_oids();
        let snapshot = Arc::new(state.build(&self.database));
        state.snapshot = Some(Arc::clone(&snapshot));
        snapshot
    }

    /// Notes that what ANALYZE has learnt of a table is to be shown.
    pub fn statistics_changed(&self) {
        self.state.write().described_anew();
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.write();
        change(&mut state);
        state.changed();
    }
}

impl State {
    /// Whether a table found at a URL has to leave a name to what is there.
    fn keeps_name(&self, name: &TableName, url: &str) -> bool {
        // A relation made by SQL keeps its name; a table of another place takes it over.
        self.relations.get(name).is_some_and(|known| match &known.url {
            Some(known) => known == url,
            None => true,
        })
    }

    fn new(database: &str, log: Definitions) -> Self {
        Self {
            database: database.to_owned(),
            log,
            recent: Recent::default(),
            renamed_roles: vec![],
            version: 0,
            definitions: 0,
            schemas: BTreeMap::from([(PUBLIC.to_owned(), 2_200)]),
            relations: BTreeMap::new(),
            system: vec![],
            snapshot: None,
        }
    }

    fn changed(&mut self) {
        self.definitions += 1;
        self.described_anew();
    }

    fn described_anew(&mut self) {
        self.version += 1;
        self.snapshot = None;
    }

    /// Gives a number to each object that has none, that is, the log does not have: a hash of its
    /// name, so that it is the same after a restart and on every server that sees the same tables.
    fn assign_oids(&mut self) {
        let mut taken: HashSet<u32> = self.schemas.values().copied().collect();
        taken.extend(self.relations.values().map(|known| known.oid));
        for (name, oid) in &mut self.schemas {
            if *oid == 0 {
                *oid = free_oid(name, &taken);
                taken.insert(*oid);
            }
        }
        for (name, known) in &mut self.relations {
            if known.oid == 0 {
                known.oid = free_oid(&format!("{}.{}", name.schema(), name.table()), &taken);
                taken.insert(known.oid);
            }
        }
    }

    fn build(&self, database: &str) -> CatalogSnapshot {
        let mut schemas: Vec<SchemaEntry> = self.system.clone();
        for (name, oid) in &self.schemas {
            let tables = self.relations.iter().filter(|(relation, _)| relation.schema() == name);
            let tables = tables.map(|(relation, known)| {
                let mut entry = entry_of(relation, known);
                entry.access = self.access_of(database, relation, known);
                Arc::new(entry)
            });
            let (oid, name, tables) = (*oid, name.clone(), tables.collect());
            schemas.push(SchemaEntry { oid, name, tables, ..SchemaEntry::default() });
        }
        schemas.sort_by(|a, b| a.name.cmp(&b.name));
        let mut snapshot = CatalogSnapshot {
            version: self.version,
            database: database.to_owned(),
            schemas,
            ..CatalogSnapshot::default()
        };
        snapshot.take_rights(&self.log);
        snapshot
    }
}

fn entry_of(name: &TableName, known: &Known) -> TableEntry {
    let (kind, view_definition, place) = match &known.relation {
        Relation::Lake(table) => {
            (TableKind::Table, None, Some(format!("{} at {}", table.format(), table.location())))
        }
        Relation::Memory(_) => (TableKind::Table, None, None),
        Relation::View { definition } => (TableKind::View, Some(definition.clone()), None),
    };
    let comment = known.details.comment.clone().or(place);
    let statistics = match &known.relation {
        Relation::Lake(table) => table.analyzed(),
        Relation::Memory(_) | Relation::View { .. } => None,
    };
    let n_rows_estimate = match &known.relation {
        Relation::Memory(table) => u64::try_from(table.n_rows()).ok(),
        _ => known.n_rows.or_else(|| Some(statistics.as_ref()?.n_rows)),
    };
    TableEntry {
        oid: known.oid,
        name: name.table().to_owned(),
        kind,
        columns: known.columns.clone(),
        n_rows_estimate,
        view_definition,
        comment,
        details: match &known.relation {
            Relation::Memory(table) => TableDetails {
                comment: known.details.comment.clone(),
                column_comments: known.details.column_comments.clone(),
                ..table.details().clone()
            },
            Relation::Lake(_) | Relation::View { .. } => known.details.as_ref().clone(),
        },
        statistics,
        access: Arc::clone(&known.access),
    }
}

/// What a table in an open format says of itself, and what the server has noted beside it.
fn own_details(known: &Known) -> Option<Arc<TableDetails>> {
    let Relation::Lake(table) = &known.relation else { return None };
    let own = table.details()?;
    let notes = known.details.properties.iter().filter(|(name, _)| name.starts_with("tarn."));
    let notes: Vec<_> = notes.map(|(name, value)| (name.clone(), value.clone())).collect();
    if notes.is_empty() {
        return Some(own);
    }
    let mut details = own.as_ref().clone();
    details.properties.extend(notes);
    Some(Arc::new(details))
}

fn row_estimate(pinned: &Pinned) -> Option<u64> {
    let statistics = pinned.provider.statistics()?;
    statistics.num_rows.get_value().and_then(|rows| u64::try_from(*rows).ok())
}

/// The 32-bit FNV-1a hash of a name, moved into the range of user objects, past taken numbers.
fn free_oid(name: &str, taken: &HashSet<u32>) -> u32 {
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let range = 0x7fff_ffff - OID_FIRST;
    let mut oid = OID_FIRST + hash % range;
    while taken.contains(&oid) {
        oid = if oid >= 0x7fff_fffe { OID_FIRST } else { oid + 1 };
    }
    oid
}

/// Gives tables of equal names, found below different paths, a numbered suffix.
fn unique_names(found: Vec<FoundTable>) -> Vec<FoundTable> {
    // Names that are really there come first: a made-up one must not take theirs.
    let mut taken: HashSet<String> = found.iter().map(|table| table.name.clone()).collect();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut unique = Vec::with_capacity(found.len());
    for mut table in found {
        let n = counts.entry(table.name.clone()).or_default();
        *n += 1;
        if *n > 1 {
            let mut name = format!("{}_{n}", table.name);
            while !taken.insert(name.clone()) {
                *n += 1;
                name = format!("{}_{n}", table.name);
            }
            table.name = name;
        }
        unique.push(table);
    }
    unique
}

#[cfg(test)]
mod tests;
