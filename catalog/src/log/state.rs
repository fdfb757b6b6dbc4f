//! The state machine: what the records so far say.
//!
//! [`Definitions::apply`] does the same on every server, whatever else that server knows, so all
//! of them agree on every object and its number.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::definition::{
    DatabaseDef, GrantDef, RelationDef, RoleDef, SchemaDef, Scope, Securable, StatisticsDef,
    StorageDef,
};
use super::record::Entry;
use super::transaction::{Outcome, TransactionDef};
use crate::pg_catalog::system::DATABASE_OID;

/// The first number for objects of users.
pub const OID_FIRST: u32 = 16_384;

/// Above are the numbers of tables that are found in storage, which are made from their names.
pub const OID_LAST: u32 = 0x3fff_ffff;

/// The number of the schema that is there from the start.
const PUBLIC_OID: u32 = 2_200;

/// The schema that is there from the start.
const PUBLIC: &str = "public";

/// A database and what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    /// Its own definition.
    pub def: DatabaseDef,
    /// The schemas by name.
    pub schemas: BTreeMap<String, Schema>,
}

/// A schema and what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// Its own definition.
    pub def: SchemaDef,
    /// Tables and views by name.
    pub relations: BTreeMap<String, Arc<RelationDef>>,
}

/// Everything that the log says, as of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definitions {
    /// The number of the last record; 0 before the first one.
    pub version: u64,
    /// The next object's number.
    pub next_oid: u32,
    /// The databases by name.
    pub databases: BTreeMap<String, Database>,
    /// The roles by name.
    pub roles: BTreeMap<String, RoleDef>,
    /// Rights by object and role.
    pub grants: BTreeMap<(Securable, String), GrantDef>,
    /// Storage credentials by name.
    pub storages: BTreeMap<String, StorageDef>,
    /// Settings by scope and name.
    pub settings: BTreeMap<(Scope, String), String>,
    /// Statistics by the table's number.
    pub statistics: BTreeMap<u32, StatisticsDef>,
    /// Commits over several tables that have not ended, by token.
    pub transactions: BTreeMap<String, TransactionDef>,
    /// What is wrong with those that could not be ended well, by token.
    pub broken: BTreeMap<String, String>,
}

impl Definitions {
    /// A catalog with one database, which has the schema `public`.
    #[must_use]
    pub fn new(database: &str) -> Self {
        let mut first =
            database_with_public(DatabaseDef { oid: DATABASE_OID, ..DatabaseDef::default() });
        if let Some(public) = first.schemas.get_mut(PUBLIC) {
            public.def.oid = PUBLIC_OID;
        }
        Self {
            version: 0,
            next_oid: OID_FIRST,
            databases: BTreeMap::from([(database.to_owned(), first)]),
            roles: BTreeMap::new(),
            grants: BTreeMap::new(),
            storages: BTreeMap::new(),
            settings: BTreeMap::new(),
            statistics: BTreeMap::new(),
            transactions: BTreeMap::new(),
            broken: BTreeMap::new(),
        }
    }

    /// A state without anything, for a checkpoint to fill.
    #[must_use]
    pub fn empty(version: u64) -> Self {
        Self { version, databases: BTreeMap::new(), ..Self::new("") }
    }

    /// Finds a schema.
    #[must_use]
    pub fn schema(&self, database: &str, schema: &str) -> Option<&Schema> {
        self.databases.get(database)?.schemas.get(schema)
    }

    /// Finds a table or view.
    #[must_use]
    pub fn relation(&self, database: &str, schema: &str, name: &str) -> Option<&Arc<RelationDef>> {
        self.schema(database, schema)?.relations.get(name)
    }

    /// How many objects there are.
    #[must_use]
    pub fn n_objects(&self) -> usize {
        let schemas = || self.databases.values().flat_map(|database| database.schemas.values());
        let relations: usize = schemas().map(|schema| schema.relations.len()).sum();
        let databases = self.databases.len() + schemas().count();
        databases + relations + self.roles.len() + self.storages.len() + self.settings.len()
    }

    /// Does what an entry says.
    ///
    /// # Errors
    /// In words, where it does not fit the state: the log is damaged then.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), String> {
        match entry {
            Entry::PutDatabase { .. }
            | Entry::DropDatabase { .. }
            | Entry::PutSchema { .. }
            | Entry::DropSchema { .. }
            | Entry::PutRelation { .. }
            | Entry::DropRelation { .. } => self.apply_named(entry)?,
            Entry::PutRole { name, role } => {
                self.pass(role.oid);
                self.roles.insert(name.clone(), role.clone());
            }
            Entry::DropRole { name } => self.drop_role(name)?,
            Entry::RenameRole { name, new } => self.rename_role(name, new)?,
            Entry::RenameDatabase { name, new } => self.rename_database(name, new)?,
            Entry::PutGrant { on, role, grant } => {
                self.grants.insert((on.clone(), role.clone()), grant.clone());
            }
            Entry::DropGrant { on, role } => {
                self.grants.remove(&(on.clone(), role.clone()));
            }
            Entry::PutStorage { name, storage } => {
                self.pass(storage.oid);
                self.storages.insert(name.clone(), storage.clone());
            }
            Entry::DropStorage { name } => {
                self.storages.remove(name).ok_or_else(|| missing("storage", name))?;
                self.grants.retain(|(on, _), _| *on != Securable::Storage(name.clone()));
            }
            Entry::PutSetting { scope, name, value } => {
                self.settings.insert((scope.clone(), name.clone()), value.clone());
            }
            Entry::DropSetting { scope, name } => {
                self.settings.remove(&(scope.clone(), name.clone()));
            }
            Entry::PutStatistics { oid, statistics } => {
                self.statistics.insert(*oid, statistics.clone());
            }
            Entry::DropStatistics { oid } => {
                self.statistics.remove(oid);
            }
            Entry::PutTransaction { token, transaction } => {
                self.transactions.insert(token.clone(), transaction.as_ref().clone());
            }
            Entry::EndTransaction { token, outcome } => {
                self.transactions.remove(token);
                if let Outcome::Broken { what } = outcome {
                    self.broken.insert(token.clone(), what.clone());
                }
            }
            Entry::NextOid { oid } => self.next_oid = self.next_oid.max(*oid),
        }
        Ok(())
    }

    /// What databases, schemas and relations have in common: one is in the other.
    fn apply_named(&mut self, entry: &Entry) -> Result<(), String> {
        match entry {
            Entry::PutDatabase { name, database } => {
                self.pass(database.oid);
                match self.databases.get_mut(name) {
                    Some(known) => known.def = database.clone(),
                    None => {
                        self.databases.insert(name.clone(), database_with_public(database.clone()));
                    }
                }
            }
            Entry::DropDatabase { name } => {
                let dropped =
                    self.databases.remove(name).ok_or_else(|| missing("database", name))?;
                dropped.schemas.values().for_each(|schema| self.forget_statistics(schema));
                self.grants.retain(|(on, _), _| database_of(on) != Some(name));
                self.settings.retain(|(scope, _), _| match scope {
                    Scope::Database(database) | Scope::RoleInDatabase(_, database) => {
                        database != name
                    }
                    Scope::System | Scope::Role(_) => true,
                });
            }
            Entry::PutSchema { database, name, schema } => {
                self.pass(schema.oid);
                let database = self.database_mut(database)?;
                database.schemas.entry(name.clone()).or_default().def = schema.clone();
            }
            Entry::DropSchema { database, name } => {
                let schemas = &mut self.database_mut(database)?.schemas;
                let dropped = schemas.remove(name).ok_or_else(|| missing("schema", name))?;
                if let Some(relation) = dropped.relations.keys().next() {
                    return Err(format!("schema \"{name}\" goes while it holds \"{relation}\""));
                }
                let gone = Securable::Schema(database.clone(), name.clone());
                self.grants.retain(|(on, _), _| *on != gone && !on.is_default_in(database, name));
            }
            Entry::PutRelation { database, schema, name, relation } => {
                self.pass(relation.oid);
                let schema = self.schema_mut(database, schema)?;
                schema.relations.insert(name.clone(), Arc::new(relation.as_ref().clone()));
            }
            Entry::DropRelation { database, schema, name } => {
                let relations = &mut self.schema_mut(database, schema)?.relations;
                let dropped = relations.remove(name).ok_or_else(|| missing("relation", name))?;
                self.statistics.remove(&dropped.oid);
                let gone = Securable::Relation(database.clone(), schema.clone(), name.clone());
                self.grants.retain(|(on, _), _| *on != gone);
            }
            _ => {}
        }
        Ok(())
    }

    fn drop_role(&mut self, name: &str) -> Result<(), String> {
        self.roles.remove(name).ok_or_else(|| missing("role", name))?;
        self.grants.retain(|(on, role), _| {
            role != name && !matches!(on, Securable::Defaults { role, .. } if role == name)
        });
        self.settings.retain(|(scope, _), _| match scope {
            Scope::Role(role) | Scope::RoleInDatabase(role, _) => role != name,
            Scope::System | Scope::Database(_) => true,
        });
        for role in self.roles.values_mut() {
            role.member_of.retain(|group| group != name);
            role.admin_of.retain(|group| group != name);
        }
        Ok(())
    }

    /// Everything but relations, for a transaction to put what it has defined over it.
    #[must_use]
    pub fn without_relations(&self) -> Self {
        let bare = |(name, schema): (&String, &Schema)| {
            (name.clone(), Schema { def: schema.def.clone(), ..Schema::default() })
        };
        let databases = self.databases.iter().map(|(name, database)| {
            let schemas = database.schemas.iter().map(bare).collect();
            (name.clone(), Database { def: database.def.clone(), schemas })
        });
        Self {
            version: self.version,
            next_oid: self.next_oid,
            databases: databases.collect(),
            roles: self.roles.clone(),
            grants: self.grants.clone(),
            storages: self.storages.clone(),
            settings: self.settings.clone(),
            statistics: BTreeMap::new(),
            transactions: BTreeMap::new(),
            broken: BTreeMap::new(),
        }
    }

    /// The state, relations left out, after entries that are not in the log yet.
    #[must_use]
    pub fn with(&self, entries: &[Entry]) -> Self {
        let mut after = self.without_relations();
        for entry in entries {
            let mut entry = entry.clone();
            let next = after.next_oid;
            match &mut entry {
                Entry::PutRole { role, .. } if role.oid == 0 => role.oid = next,
                Entry::PutSchema { schema, .. } if schema.oid == 0 => schema.oid = next,
                Entry::PutDatabase { database, .. } if database.oid == 0 => database.oid = next,
                _ => {}
            }
            // What does not fit is refused when the transaction is committed.
            drop(after.apply(&entry));
        }
        after
    }

    /// What is said of the object that an entry is about, as an entry; `None` where nothing is, and
    /// for kinds of which nobody makes a new definition from the old one.
    #[must_use]
    pub fn said_of(&self, entry: &Entry) -> Option<Entry> {
        match entry {
            Entry::PutDatabase { name, .. } => {
                let database = self.databases.get(name)?.def.clone();
                Some(Entry::PutDatabase { name: name.clone(), database })
            }
            Entry::PutSchema { database, name, .. } => {
                let schema = self.schema(database, name)?.def.clone();
                Some(Entry::PutSchema { database: database.clone(), name: name.clone(), schema })
            }
            Entry::PutRole { name, .. } => {
                let role = self.roles.get(name)?.clone();
                Some(Entry::PutRole { name: name.clone(), role })
            }
            Entry::PutGrant { on, role, .. } | Entry::DropGrant { on, role } => {
                let grant = self.grants.get(&(on.clone(), role.clone()))?.clone();
                Some(Entry::PutGrant { on: on.clone(), role: role.clone(), grant })
            }
            _ => None,
        }
    }

    /// Never hands out a number twice, also after its object is gone.
    fn pass(&mut self, oid: u32) {
        if (OID_FIRST..=OID_LAST).contains(&oid) {
            self.next_oid = self.next_oid.max(oid + 1);
        }
    }

    fn forget_statistics(&mut self, schema: &Schema) {
        for relation in schema.relations.values() {
            self.statistics.remove(&relation.oid);
        }
    }

    fn database_mut(&mut self, name: &str) -> Result<&mut Database, String> {
        self.databases.get_mut(name).ok_or_else(|| missing("database", name))
    }

    fn schema_mut(&mut self, database: &str, name: &str) -> Result<&mut Schema, String> {
        let database = self.database_mut(database)?;
        database.schemas.get_mut(name).ok_or_else(|| missing("schema", name))
    }

    /// The entries that make this state from nothing.
    #[must_use]
    pub fn to_entries(&self) -> Vec<Entry> {
        let mut entries = vec![Entry::NextOid { oid: self.next_oid }];
        for (database, known) in &self.databases {
            let (name, def) = (database.clone(), known.def.clone());
            entries.push(Entry::PutDatabase { name, database: def });
            if !known.schemas.contains_key(PUBLIC) {
                let name = PUBLIC.to_owned();
                entries.push(Entry::DropSchema { database: database.clone(), name });
            }
            for (schema, known) in &known.schemas {
                let (database, name) = (database.clone(), schema.clone());
                entries.push(Entry::PutSchema { database, name, schema: known.def.clone() });
            }
            for (schema, known) in &known.schemas {
                entries.extend(known.relations.iter().map(|(name, def)| Entry::PutRelation {
                    database: database.clone(),
                    schema: schema.clone(),
                    name: name.clone(),
                    relation: Box::new(def.as_ref().clone()),
                }));
            }
        }
        entries.extend(
            self.roles
                .iter()
                .map(|(name, role)| Entry::PutRole { name: name.clone(), role: role.clone() }),
        );
        entries.extend(self.storages.iter().map(|(name, storage)| Entry::PutStorage {
            name: name.clone(),
            storage: storage.clone(),
        }));
        entries.extend(self.grants.iter().map(|((on, role), grant)| Entry::PutGrant {
            on: on.clone(),
            role: role.clone(),
            grant: grant.clone(),
        }));
        entries.extend(self.settings.iter().map(|((scope, name), value)| Entry::PutSetting {
            scope: scope.clone(),
            name: name.clone(),
            value: value.clone(),
        }));
        entries.extend(self.statistics.iter().map(|(oid, statistics)| Entry::PutStatistics {
            oid: *oid,
            statistics: statistics.clone(),
        }));
        entries.extend(self.transactions.iter().map(|(token, transaction)| {
            let transaction = Box::new(transaction.clone());
            Entry::PutTransaction { token: token.clone(), transaction }
        }));
        entries.extend(self.broken.iter().map(|(token, what)| Entry::EndTransaction {
            token: token.clone(),
            outcome: Outcome::Broken { what: what.clone() },
        }));
        entries
    }
}

impl Database {
    /// Schema, name and definition of every relation.
    pub fn relations(&self) -> impl Iterator<Item = (&str, &str, &Arc<RelationDef>)> {
        self.schemas.iter().flat_map(|(schema, known)| {
            known.relations.iter().map(move |(name, def)| (schema.as_str(), name.as_str(), def))
        })
    }
}

/// A new database has a schema, whose number is the database's own: they are of different kinds.
fn database_with_public(def: DatabaseDef) -> Database {
    let public = SchemaDef { oid: def.oid, ..SchemaDef::default() };
    let public = Schema { def: public, ..Schema::default() };
    Database { def, schemas: BTreeMap::from([(PUBLIC.to_owned(), public)]) }
}

impl Securable {
    fn is_default_in(&self, wanted: &str, name: &str) -> bool {
        match self {
            Self::Defaults { database, schema, .. } => {
                database == wanted && schema.as_deref() == Some(name)
            }
            _ => false,
        }
    }
}

fn database_of(on: &Securable) -> Option<&String> {
    match on {
        Securable::Database(name)
        | Securable::Schema(name, _)
        | Securable::Relation(name, ..)
        | Securable::Defaults { database: name, .. } => Some(name),
        Securable::Storage(_) => None,
    }
}

fn missing(kind: &str, name: &str) -> String {
    format!("{kind} \"{name}\" is changed and does not exist")
}
