//! From what the log says of owners, rights, roles and settings to what metadata queries see.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Known, PUBLIC, State};
use crate::TableName;
use crate::entry::{CatalogSnapshot, DatabaseEntry, DefaultRights, RoleEntry};
use crate::log::{Access, DefaultsOf, Definitions, Entry, GrantDef, RoleDef, Scope, Securable};
use crate::rights::{Kind, PREDEFINED};

impl Definitions {
    /// The rights on an object that the log has by its name; `None` where nothing was said.
    #[must_use]
    pub fn grants_on(&self, on: &Securable) -> Option<BTreeMap<String, GrantDef>> {
        let from = (on.clone(), String::new());
        let grants = self.grants.range(from..).take_while(|((other, _), _)| other == on);
        let grants: BTreeMap<_, _> =
            grants.map(|((_, role), grant)| (role.clone(), grant.clone())).collect();
        (!grants.is_empty()).then_some(grants)
    }

    /// Whose a schema is and who may do what with it.
    #[must_use]
    pub fn access_of_schema(&self, database: &str, schema: &str) -> Access {
        let owner = self.schema(database, schema).and_then(|schema| schema.def.owner.clone());
        let on = Securable::Schema(database.to_owned(), schema.to_owned());
        match self.grants_on(&on) {
            None if schema == PUBLIC => Access::of_public_schema(owner),
            grants => Access { owner, grants },
        }
    }

    /// Whose a database is and who may do what with it.
    #[must_use]
    pub fn access_of_database(&self, database: &str) -> Access {
        let owner = self.databases.get(database).and_then(|known| known.def.owner.clone());
        Access { owner, grants: self.grants_on(&Securable::Database(database.to_owned())) }
    }

    /// What is said of objects to come in a database.
    #[must_use]
    pub fn defaults_in(&self, database: &str) -> Vec<Securable> {
        let is_there = |on: &&Securable| match on {
            Securable::Defaults { database: other, .. } => other == database,
            _ => false,
        };
        let said = self.grants.keys().map(|(on, _)| on).filter(is_there);
        let mut all: Vec<Securable> = said.cloned().collect();
        all.dedup();
        all
    }

    /// Whose a new object is and who may do what with it: what it begins with, or what was said of
    /// objects to come, and what was said of those in its schema besides.
    #[must_use]
    pub fn access_of_new(
        &self,
        owner: &str,
        of: DefaultsOf,
        (database, schema): (&str, Option<&str>),
    ) -> Access {
        let said = |schema: Option<&str>| {
            self.grants_on(&Securable::Defaults {
                role: owner.to_owned(),
                database: database.to_owned(),
                schema: schema.map(ToOwned::to_owned),
                of,
            })
        };
        let (everywhere, here) = (said(None), schema.and_then(|schema| said(Some(schema))));
        let mut access = Access::owned_by(owner);
        if everywhere.is_none() && here.is_none() {
            return access;
        }
        let kind = match of {
            DefaultsOf::Relations => Kind::Relation,
            DefaultsOf::Schemas => Kind::Schema,
        };
        let mut all = everywhere.unwrap_or_else(|| access.effective(kind));
        for (role, grant) in here.unwrap_or_default() {
            let known = all.entry(role).or_insert_with(|| GrantDef::by(&grant.grantor));
            for (privilege, option) in grant.privileges {
                *known.privileges.entry(privilege).or_default() |= option;
            }
        }
        all.retain(|role, grant| role == owner || !grant.is_empty());
        if all != access.effective(kind) {
            access.grants = Some(all);
        }
        access
    }

    fn default_rights(&self, database: &str) -> Vec<DefaultRights> {
        let rights = |on: Securable| {
            let grants = self.grants_on(&on);
            let Securable::Defaults { role, schema, of, .. } = on else { return None };
            let access = Access { owner: Some(role.clone()), grants };
            Some(DefaultRights { role, schema, of, access })
        };
        self.defaults_in(database).into_iter().filter_map(rights).collect()
    }

    /// The roles as metadata queries see them, in order of their names.
    #[must_use]
    pub fn role_entries(&self) -> Vec<RoleEntry> {
        let own = self.roles.iter().map(|(name, role)| self.role_entry(name, role));
        let predefined = PREDEFINED.iter().map(|(oid, name, groups)| RoleEntry {
            oid: *oid,
            name: (*name).to_owned(),
            inherit: true,
            member_of: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..RoleEntry::default()
        });
        let mut all: Vec<RoleEntry> = own.chain(predefined).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn role_entry(&self, name: &str, role: &RoleDef) -> RoleEntry {
        let scope = Scope::Role(name.to_owned());
        let settings = self.settings.iter().filter(|((at, _), _)| *at == scope);
        RoleEntry {
            oid: role.oid,
            name: name.to_owned(),
            superuser: role.superuser,
            login: role.login,
            inherit: !role.no_inherit,
            create_role: role.create_role,
            create_database: role.create_database,
            replication: role.replication,
            bypass_row_security: role.bypass_row_security,
            n_connections_max: role.n_connections_max,
            valid_until: role.valid_until.clone(),
            member_of: role.member_of.clone(),
            admin_of: role.admin_of.clone(),
            settings: settings.map(|((_, name), value)| format!("{name}={value}")).collect(),
            comment: role.comment.clone(),
        }
    }

    fn database_entries(&self) -> Vec<DatabaseEntry> {
        let entry = |(name, known): (&String, &crate::log::Database)| DatabaseEntry {
            oid: known.def.oid,
            name: name.clone(),
            access: Arc::new(self.access_of_database(name)),
            comment: known.def.comment.clone(),
        };
        self.databases.iter().map(entry).collect()
    }

    fn setting_rows(&self) -> Vec<(u32, u32, String, String)> {
        let role = |name: &String| self.roles.get(name).map_or(0, |role| role.oid);
        let database = |name: &String| self.databases.get(name).map_or(0, |known| known.def.oid);
        let row = |((scope, name), value): (&(Scope, String), &String)| {
            let (database, role) = match scope {
                Scope::System => return None,
                Scope::Database(name) => (database(name), 0),
                Scope::Role(name) => (0, role(name)),
                Scope::RoleInDatabase(name, at) => (database(at), role(name)),
            };
            Some((database, role, name.clone(), value.clone()))
        };
        self.settings.iter().filter_map(row).collect()
    }
}

impl CatalogSnapshot {
    /// Takes roles, databases, settings, and what is said of schemas.
    pub fn take_rights(&mut self, log: &Definitions) {
        self.roles = log.role_entries();
        self.databases = log.database_entries();
        self.role_settings = log.setting_rows();
        self.default_rights = log.default_rights(&self.database);
        for schema in &mut self.schemas {
            let Some(known) = log.schema(&self.database, &schema.name) else { continue };
            schema.access = Arc::new(log.access_of_schema(&self.database, &schema.name));
            schema.comment = known.def.comment.clone();
        }
    }

    /// The same with other rights on relations.
    pub fn put_access(&mut self, name: &TableName, access: &Arc<Access>) {
        let schema = self.schemas.iter_mut().find(|schema| schema.name == name.schema());
        let tables = schema.into_iter().flat_map(|schema| &mut schema.tables);
        for table in tables.filter(|table| table.name == name.table()) {
            Arc::make_mut(table).access = Arc::clone(access);
        }
    }
}

impl State {
    /// Whose a relation is and who may do what with it.
    pub(super) fn access_of(&self, database: &str, name: &TableName, known: &Known) -> Arc<Access> {
        if known.url.is_none() {
            return Arc::clone(&known.access);
        }
        let grants = self.log.grants_on(&securable(database, name));
        Arc::new(Access { owner: None, grants })
    }

    /// As [`Self::access_of`], by name.
    pub(super) fn access_now(&self, name: &TableName) -> Option<Arc<Access>> {
        let known = self.relations.get(name)?;
        Some(self.access_of(&self.database, name, known))
    }

    /// The entries that give a table which was found its rights: it has no definition to hold them.
    pub(super) fn grants_of_found(
        &self,
        database: &str,
        name: &TableName,
        after: &Access,
    ) -> Vec<Entry> {
        let on = securable(database, name);
        let before = self.log.grants_on(&on).unwrap_or_default();
        let wanted = after.grants.clone().unwrap_or_default();
        grant_entries(&on, &before, &wanted)
    }
}

/// The entries that make the rights on an object `wanted`.
#[must_use]
pub fn grant_entries(
    on: &Securable,
    before: &BTreeMap<String, GrantDef>,
    wanted: &BTreeMap<String, GrantDef>,
) -> Vec<Entry> {
    let gone = before.keys().filter(|role| !wanted.contains_key(*role));
    let gone = gone.map(|role| Entry::DropGrant { on: on.clone(), role: role.clone() });
    let put = wanted.iter().filter(|(role, grant)| before.get(*role) != Some(*grant));
    let put = put.map(|(role, grant)| Entry::PutGrant {
        on: on.clone(),
        role: role.clone(),
        grant: grant.clone(),
    });
    gone.chain(put).collect()
}

fn securable(database: &str, name: &TableName) -> Securable {
    Securable::Relation(database.to_owned(), name.schema().to_owned(), name.table().to_owned())
}
