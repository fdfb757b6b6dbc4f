//! What is wrong with a state as a whole, each with what to do about it.

use std::collections::BTreeMap;

use super::definition::{Scope, Securable};
use super::state::Definitions;

/// The first role and database, which are there without a record.
const FIRST: &str = "tarn";

impl Definitions {
    /// What is wrong with the state as a whole; empty where nothing is.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.number_faults();
        for (database, known) in &self.databases {
            for (schema, name, relation) in known.relations() {
                if let Err(error) = relation.columns.to_entries() {
                    faults.push(format!(
                        "relation {database}.{schema}.{name}: {error}: drop it and make it anew"
                    ));
                }
            }
        }
        faults.extend(self.owner_faults());
        faults.extend(self.right_faults());
        faults.extend(self.setting_faults());
        faults.extend(self.broken.values().map(|what| {
            format!("{what}: compare the tables, and RESTORE those that have it or write it again")
        }));
        faults
    }

    /// Objects of one kind that share a number.
    fn number_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut seen: BTreeMap<(&str, u32), String> = BTreeMap::new();
        let mut note = |kind: &'static str, oid: u32, what: String| {
            if oid >= self.next_oid && oid <= super::OID_LAST {
                faults.push(format!(
                    "{what} has the number {oid}, which is to be given to the next object: drop it \
                     and make it anew"
                ));
            }
            if let Some(other) = seen.insert((kind, oid), what.clone()) {
                faults.push(format!(
                    "{what} and {other} have the same number {oid}: drop one of them and make it \
                     anew"
                ));
            }
        };
        for (database, known) in &self.databases {
            note("database", known.def.oid, format!("database {database}"));
            for (schema, known) in &known.schemas {
                note("relation", known.def.oid, format!("schema {database}.{schema}"));
                for (name, relation) in &known.relations {
                    note("relation", relation.oid, format!("relation {database}.{schema}.{name}"));
                }
            }
        }
        for (name, role) in &self.roles {
            note("role", role.oid, format!("role {name}"));
        }
        for (name, storage) in &self.storages {
            note("storage", storage.oid, format!("storage {name}"));
        }
        faults
    }

    fn has_role(&self, role: &str) -> bool {
        let built_in = role == "public" || role == FIRST || role.starts_with("pg_");
        built_in || self.roles.contains_key(role)
    }

    /// Owners and groups that are gone.
    fn owner_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |what: String, owner: &Option<String>| {
            if let Some(owner) = owner.as_ref().filter(|owner| !self.has_role(owner)) {
                faults.push(format!(
                    "{what} belongs to the role \"{owner}\", which is gone: ALTER … OWNER TO \
                     another one"
                ));
            }
        };
        for (database, known) in &self.databases {
            check(format!("database {database}"), &known.def.owner);
            for (schema, known) in &known.schemas {
                check(format!("schema {database}.{schema}"), &known.def.owner);
            }
            for (schema, name, relation) in known.relations() {
                check(format!("relation {database}.{schema}.{name}"), &relation.access.owner);
            }
        }
        for (name, role) in &self.roles {
            for group in role.member_of.iter().filter(|group| !self.has_role(group)) {
                faults.push(format!(
                    "role {name} is a member of \"{group}\", which is gone: make that role again, \
                     or REVOKE \"{group}\" FROM {name}"
                ));
            }
        }
        faults
    }

    /// Rights of roles, and on objects, that are gone.
    fn right_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (on, role) in self.grants.keys() {
            if !self.has_role(role) {
                faults.push(format!(
                    "rights on {on:?} for the role \"{role}\", which is gone: make that role again \
                     and drop it"
                ));
            }
            let is_there = match on {
                Securable::Database(database)
                | Securable::Schema(database, _)
                | Securable::Relation(database, ..) => self.databases.contains_key(database),
                Securable::Storage(storage) => self.storages.contains_key(storage),
                Securable::Defaults { role: maker, database, .. } => {
                    self.has_role(maker) && self.databases.contains_key(database)
                }
            };
            if !is_there {
                faults.push(format!(
                    "rights of the role \"{role}\" on {on:?}, which is gone: make it again and drop \
                     it"
                ));
            }
        }
        faults
    }

    /// Settings of roles and databases that are gone.
    fn setting_faults(&self) -> Vec<String> {
        let gone = self.settings.keys().filter_map(|(scope, name)| {
            let is_there = match scope {
                Scope::System => true,
                Scope::Database(database) => self.databases.contains_key(database),
                Scope::Role(role) => self.has_role(role),
                Scope::RoleInDatabase(role, database) => {
                    self.has_role(role) && self.databases.contains_key(database)
                }
            };
            (!is_there).then(|| {
                format!("the setting {name} of {scope:?}, which is gone: make it again and drop it")
            })
        });
        gone.collect()
    }
}
