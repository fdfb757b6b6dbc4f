//! A role or a database that gets another name: everything names them by their names.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::definition::{Access, GrantDef, Scope, Securable};
use super::state::Definitions;

impl Definitions {
    /// Gives a role another name, wherever it is named.
    pub(super) fn rename_role(&mut self, old: &str, new: &str) -> Result<(), String> {
        let missing = || format!("role \"{old}\" is renamed and does not exist");
        let role = self.roles.remove(old).ok_or_else(missing)?;
        self.roles.insert(new.to_owned(), role);
        for role in self.roles.values_mut() {
            for group in role.member_of.iter_mut().chain(&mut role.admin_of) {
                replace(group, old, new);
            }
        }
        rekey(&mut self.grants, |(on, role), grant| {
            if let Securable::Defaults { role, .. } = on {
                replace(role, old, new);
            }
            replace(role, old, new);
            replace(&mut grant.grantor, old, new);
        });
        rekey(&mut self.settings, |(scope, _), _| {
            if let Scope::Role(role) | Scope::RoleInDatabase(role, _) = scope {
                replace(role, old, new);
            }
        });
        for database in self.databases.values_mut() {
            database.def.owner.iter_mut().for_each(|owner| replace(owner, old, new));
            for schema in database.schemas.values_mut() {
                schema.def.owner.iter_mut().for_each(|owner| replace(owner, old, new));
                for relation in schema.relations.values_mut() {
                    if let Some(access) = relation.access.renamed(old, new) {
                        Arc::make_mut(relation).access = access;
                    }
                }
            }
        }
        Ok(())
    }

    /// Gives a database another name, wherever it is named.
    pub(super) fn rename_database(&mut self, old: &str, new: &str) -> Result<(), String> {
        if self.databases.contains_key(new) {
            return Err(format!("database \"{old}\" is to be \"{new}\", which is there"));
        }
        let missing = || format!("database \"{old}\" is renamed and does not exist");
        let database = self.databases.remove(old).ok_or_else(missing)?;
        self.databases.insert(new.to_owned(), database);
        rekey(&mut self.grants, |(on, _), _| match on {
            Securable::Database(name)
            | Securable::Schema(name, _)
            | Securable::Relation(name, ..)
            | Securable::Defaults { database: name, .. } => replace(name, old, new),
            Securable::Storage(_) => {}
        });
        rekey(&mut self.settings, |(scope, _), _| {
            if let Scope::Database(name) | Scope::RoleInDatabase(_, name) = scope {
                replace(name, old, new);
            }
        });
        Ok(())
    }
}

/// Changes keys and values of a map in place.
fn rekey<K: Ord, V>(map: &mut BTreeMap<K, V>, mut change: impl FnMut(&mut K, &mut V)) {
    let changed = std::mem::take(map).into_iter().map(|(mut key, mut value)| {
        change(&mut key, &mut value);
        (key, value)
    });
    *map = changed.collect();
}

impl Access {
    /// The same with another name of a role; `None` where it does not name that role.
    #[must_use]
    pub fn renamed(&self, old: &str, new: &str) -> Option<Self> {
        let mut renamed = self.clone();
        renamed.owner.iter_mut().for_each(|owner| replace(owner, old, new));
        renamed.grants = renamed.grants.map(|grants| {
            let grant = |(mut role, mut grant): (String, GrantDef)| {
                replace(&mut role, old, new);
                replace(&mut grant.grantor, old, new);
                (role, grant)
            };
            grants.into_iter().map(grant).collect()
        });
        (renamed != *self).then_some(renamed)
    }
}

fn replace(name: &mut String, old: &str, new: &str) {
    if name == old {
        new.clone_into(name);
    }
}
