//! From what a transaction has done to a record of the log, and back to what names mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::changes::{Change, Expect, Object};
use super::{Known, Relation, State};
use crate::log::{Columns, Entry, RelationDef, RelationKind, SchemaDef, Scope};
use crate::{CatalogError, Result, TableName};

impl State {
    /// The entries of a record that makes the lasting part of `changes` last; none where all of
    /// it is about tables in memory.
    pub(super) fn entries_of(&self, database: &str, changes: &[Change]) -> Result<Vec<Entry>> {
        let local = self.local_names(changes);
        let mut next_oid = self.log.next_oid;
        let mut take_oid = || {
            next_oid += 1;
            next_oid - 1
        };
        let mut entries = Vec::new();
        for change in changes {
            match change {
                Change::CreateSchema(name) => entries.push(Entry::PutSchema {
                    database: database.to_owned(),
                    name: name.clone(),
                    schema: SchemaDef { oid: take_oid(), ..SchemaDef::default() },
                }),
                Change::DropSchema(name) => entries
                    .push(Entry::DropSchema { database: database.to_owned(), name: name.clone() }),
                Change::Put { name, after, .. } => {
                    let known = self.log.relation(database, name.schema(), name.table());
                    let after = after.as_ref().filter(|_| !local.contains(name));
                    let entry = match (after, known) {
                        (Some(object), known) => {
                            let oid = known.map_or_else(&mut take_oid, |known| known.oid);
                            put_relation(database, name, definition_of(object, oid)?)
                        }
                        (None, Some(_)) => drop_relation(database, name),
                        (None, None) => continue,
                    };
                    entries.push(entry);
                }
                Change::Describe { name, details } => {
                    if let Some(known) = self.definition_after(database, name, &entries) {
                        let details = details.as_ref().clone();
                        entries.push(put_relation(
                            database,
                            name,
                            RelationDef { details, ..known },
                        ));
                    }
                }
                Change::Access { name, after, .. } => {
                    if let Some(known) = self.definition_after(database, name, &entries) {
                        let access = after.as_ref().clone();
                        entries.push(put_relation(database, name, RelationDef { access, ..known }));
                    } else if self.relations.get(name).is_some_and(|known| known.url.is_some()) {
                        entries.extend(self.grants_of_found(database, name, after));
                    }
                }
                Change::Define { entry, .. } => {
                    let entry = with_known_number(entry.clone(), &entries);
                    entries.push(numbered(entry, &mut take_oid));
                }
                Change::Unchanged { .. }
                | Change::SameAccess { .. }
                | Change::Append { .. }
                | Change::Replace { .. } => {}
            }
        }
        // A schema goes last: what was in it goes before.
        entries.sort_by_key(|entry| matches!(entry, Entry::DropSchema { .. }));
        Ok(entries)
    }

    /// The definition of a relation that the log has, with what `entries` have done to it before.
    fn definition_after(
        &self,
        database: &str,
        name: &TableName,
        entries: &[Entry],
    ) -> Option<RelationDef> {
        let before = entries.iter().rev().find_map(|entry| match entry {
            Entry::PutRelation { schema, name: table, relation, .. }
                if schema == name.schema() && table == name.table() =>
            {
                Some(relation.as_ref().clone())
            }
            _ => None,
        });
        before.or_else(|| {
            let known = self.log.relation(database, name.schema(), name.table())?;
            Some(known.as_ref().clone())
        })
    }

    /// The relations among `changes` that stay in memory: tables in memory and views over them.
    fn local_names(&self, changes: &[Change]) -> BTreeSet<TableName> {
        let mut local = BTreeSet::new();
        let mut put = BTreeMap::new();
        for change in changes {
            let Change::Put { name, after, .. } = change else { continue };
            put.insert(name, after.as_ref());
            if after.as_ref().is_some_and(|o| matches!(o.relation, Relation::Memory(_))) {
                local.insert(name.clone());
            }
        }
        loop {
            let n_before = local.len();
            for (name, object) in &put {
                let is_local = |read: &TableName| match put.get(read) {
                    Some(_) => local.contains(read),
                    None => self.relations.get(read).is_some_and(Known::is_local),
                };
                let reads_local = object.is_some_and(|o| o.depends_on.iter().any(is_local));
                if reads_local && !local.contains(*name) {
                    local.insert((*name).clone());
                }
            }
            if local.len() == n_before {
                return local;
            }
        }
    }

    /// Sees that others have neither dropped what new views read, nor made views of what goes.
    pub(super) fn check_references(&self, changes: &[Change]) -> Result<()> {
        let mut put = BTreeMap::new();
        for change in changes {
            if let Change::Put { name, after, .. } = change {
                put.insert(name, after.as_ref());
            }
        }
        let conflict =
            |name: &TableName| Err(CatalogError::Conflict { name: name.table().to_owned() });
        for (name, after) in &put {
            let Some(object) = after else {
                // A view may go before those that read it.
                let is_view = |known: &Known| matches!(known.relation, Relation::View { .. });
                if self.relations.get(*name).is_some_and(is_view) {
                    continue;
                }
                let reads = |known: &Known| known.depends_on.contains(name);
                let mut others =
                    self.relations.iter().filter(|(other, _)| !put.contains_key(other));
                if others.any(|(_, known)| reads(known)) {
                    return conflict(name);
                }
                continue;
            };
            for read in &object.depends_on {
                let gone = match put.get(read) {
                    Some(after) => after.is_none(),
                    None => {
                        self.schemas.contains_key(read.schema())
                            && !self.relations.contains_key(read)
                    }
                };
                if gone {
                    return conflict(read);
                }
            }
        }
        Ok(())
    }

    /// Sees that an object which is to be new is, and one which is to be there is.
    pub(super) fn check_defined(&self, entry: &Entry, expect: Expect) -> Result<()> {
        let Some((kind, name, exists)) = self.named(entry) else { return Ok(()) };
        let name = name.to_owned();
        if let Entry::RenameDatabase { new, .. } = entry
            && self.log.databases.contains_key(new)
        {
            return Err(CatalogError::ObjectExists { kind, name: new.clone() });
        }
        match (expect, exists) {
            (Expect::New, true) => Err(CatalogError::ObjectExists { kind, name }),
            (Expect::Known, false) => Err(CatalogError::ObjectNotFound { kind, name }),
            _ => Ok(()),
        }
    }

    fn named<'a>(&self, entry: &'a Entry) -> Option<(&'static str, &'a str, bool)> {
        let log = &self.log;
        Some(match entry {
            Entry::PutDatabase { name, .. }
            | Entry::DropDatabase { name }
            | Entry::RenameDatabase { name, .. } => {
                ("database", name, log.databases.contains_key(name))
            }
            Entry::PutSchema { database, name, .. } | Entry::DropSchema { database, name } => {
                ("schema", name, log.schema(database, name).is_some())
            }
            Entry::PutRole { name, .. }
            | Entry::DropRole { name }
            | Entry::RenameRole { name, .. } => ("role", name, log.roles.contains_key(name)),
            Entry::PutStorage { name, .. } | Entry::DropStorage { name } => {
                ("storage", name, log.storages.contains_key(name))
            }
            Entry::PutRelation { .. }
            | Entry::DropRelation { .. }
            | Entry::PutGrant { .. }
            | Entry::DropGrant { .. }
            | Entry::PutSetting { .. }
            | Entry::DropSetting { .. }
            | Entry::PutStatistics { .. }
            | Entry::DropStatistics { .. }
            | Entry::PutTransaction { .. }
            | Entry::EndTransaction { .. }
            | Entry::NextOid { .. } => return None,
        })
    }

    /// The settings that a session begins with, the most general first.
    pub(super) fn settings_of(
        &self,
        role: &str,
        database: &str,
    ) -> Vec<(String, (String, &'static str))> {
        let scopes = [
            (Scope::System, "configuration file"),
            (Scope::Database(database.to_owned()), "database"),
            (Scope::Role(role.to_owned()), "user"),
            (Scope::RoleInDatabase(role.to_owned(), database.to_owned()), "database user"),
        ];
        let all = &self.log.settings;
        let of = |(scope, source): &(Scope, &'static str)| {
            let settings = all.iter().filter(|((at, _), _)| at == scope);
            let row = |((_, name), value): (&(Scope, String), &String)| {
                (name.clone(), (value.clone(), *source))
            };
            settings.map(row).collect::<Vec<_>>()
        };
        scopes.iter().flat_map(of).collect()
    }
}

impl Known {
    /// Whether SQL has made it and the log does not have it.
    pub(super) fn is_local(&self) -> bool {
        !self.durable && self.url.is_none()
    }
}

fn put_relation(database: &str, name: &TableName, relation: RelationDef) -> Entry {
    Entry::PutRelation {
        database: database.to_owned(),
        schema: name.schema().to_owned(),
        name: name.table().to_owned(),
        relation: Box::new(relation),
    }
}

fn drop_relation(database: &str, name: &TableName) -> Entry {
    Entry::DropRelation {
        database: database.to_owned(),
        schema: name.schema().to_owned(),
        name: name.table().to_owned(),
    }
}

fn definition_of(object: &Object, oid: u32) -> Result<RelationDef> {
    let details = object.details.as_ref().clone();
    let kind = match &object.relation {
        Relation::View { definition } => RelationKind::View { definition: definition.clone() },
        Relation::Lake(table) => RelationKind::Table {
            format: table.format().to_owned(),
            location: table.location().to_owned(),
            single_file: table.files().is_some_and(|(single_file, _)| single_file),
            options: table.files().map(|(_, options)| options.clone()).unwrap_or_default(),
        },
        Relation::Memory(table) => {
            let what = format!("table \"{}\" in memory is to be kept", table.name());
            return Err(CatalogError::Internal { what });
        }
    };
    let reads = |name: &TableName| (name.schema().to_owned(), name.table().to_owned());
    Ok(RelationDef {
        oid,
        kind,
        columns: Columns::of(&object.columns),
        depends_on: object.depends_on.iter().map(reads).collect(),
        details,
        access: object.access.as_ref().clone(),
    })
}

/// A schema that the same transaction has made keeps the number that it got there.
fn with_known_number(mut entry: Entry, entries: &[Entry]) -> Entry {
    if let Entry::PutSchema { name, schema, .. } = &mut entry
        && schema.oid == 0
    {
        let made = entries.iter().find_map(|other| match other {
            Entry::PutSchema { name: made, schema, .. } if made == name => Some(schema.oid),
            _ => None,
        });
        schema.oid = made.unwrap_or(0);
    }
    entry
}

/// Gives a new object its number.
fn numbered(mut entry: Entry, take_oid: &mut impl FnMut() -> u32) -> Entry {
    let oid = match &mut entry {
        Entry::PutDatabase { database, .. } => Some(&mut database.oid),
        Entry::PutSchema { schema, .. } => Some(&mut schema.oid),
        Entry::PutRole { role, .. } => Some(&mut role.oid),
        Entry::PutStorage { storage, .. } => Some(&mut storage.oid),
        _ => None,
    };
    if let Some(oid) = oid.filter(|oid| **oid == 0) {
        *oid = take_oid();
    }
    entry
}

/// What a definition of the log means, with the columns that it was defined with.
///
/// `relation` is what there was for an equal definition, or what a statement has just made.
pub(super) fn known_of_definition(definition: &RelationDef, relation: Relation) -> Result<Known> {
    let read = |(schema, name): &(String, String)| TableName::new(schema, name);
    Ok(Known {
        relation,
        oid: definition.oid,
        columns: definition.columns.to_entries()?,
        n_rows: None,
        url: None,
        durable: true,
        depends_on: definition.depends_on.iter().map(read).collect(),
        details: Arc::new(definition.details.clone()),
        access: Arc::new(definition.access.clone()),
    })
}

/// Whether a relation is what a definition says.
pub(super) fn is_of(relation: &Relation, definition: &RelationDef) -> bool {
    match (relation, &definition.kind) {
        (Relation::View { definition: text }, RelationKind::View { definition }) => {
            text == definition
        }
        (Relation::Lake(table), RelationKind::Table { format, location, single_file, options }) => {
            let same_files =
                table.files().is_none_or(|(single, own)| single == *single_file && own == options);
            table.format() == format && table.location() == location && same_files
        }
        _ => false,
    }
}
