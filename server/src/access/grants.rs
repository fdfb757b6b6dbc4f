//! GRANT and REVOKE of rights on tables, views, schemas and databases.

use std::collections::BTreeMap;
use std::sync::Arc;

use tarn_catalog::log::{Access, GrantDef, Securable};
use tarn_catalog::registry::{Expect, grant_entries};
use tarn_catalog::rights::{Kind, PUBLIC_ROLE, Privilege};
use tarn_catalog::{CatalogError, TableName};
use tarn_planner::PlannerError;
use tarn_planner::statement::{On, Privileges, RoleName};
use tarn_planner::write::Target;

use super::check::Asker;
use super::{columns, denied, known_role};
use crate::error::{Error, Result};
use crate::lookup::SessionLookup;
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

/// An object that rights are given on.
pub(super) enum Object {
    Relation(TableName),
    Schema(String),
    Database(String),
}

impl Object {
    pub(super) const RELATION: Kind = Kind::Relation;

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Relation(_) => Kind::Relation,
            Self::Schema(_) => Kind::Schema,
            Self::Database(_) => Kind::Database,
        }
    }

    fn kind_word(&self) -> &'static str {
        match self {
            Self::Relation(_) => "table",
            Self::Schema(_) => "schema",
            Self::Database(_) => "database",
        }
    }

    /// As messages name it.
    fn described(&self, session: &Session) -> String {
        match self {
            Self::Relation(name) => {
                let view = matches!(
                    session.relation(name),
                    Some(tarn_catalog::registry::Relation::View { .. })
                );
                format!("{} {}", if view { "view" } else { "table" }, name.table())
            }
            Self::Schema(name) => format!("schema {name}"),
            Self::Database(name) => format!("database {name}"),
        }
    }

    /// Whose it is and who may do what with it, as the session sees it.
    pub(super) fn access(&self, session: &Session) -> Arc<Access> {
        let seen = session.catalog_snapshot();
        let found = match self {
            Self::Relation(name) => {
                seen.table(name.schema(), name.table()).map(|table| Arc::clone(&table.access))
            }
            Self::Schema(name) => seen.schema(name).map(|schema| Arc::clone(&schema.access)),
            Self::Database(name) => {
                let known = seen.databases.iter().find(|known| known.name == *name);
                known.map(|known| Arc::clone(&known.access))
            }
        };
        found.unwrap_or_default()
    }

    /// Puts other rights in the place of those there are.
    pub(super) fn put(&self, session: &Session, before: &Arc<Access>, after: Access) {
        let on = match self {
            Self::Relation(name) => return session.put_access(name, before, Arc::new(after)),
            Self::Schema(name) => {
                Securable::Schema(session.shared.catalog.database().to_owned(), name.clone())
            }
            Self::Database(name) => Securable::Database(name.clone()),
        };
        let known = session.with_definitions(|all| all.grants_on(&on)).unwrap_or_default();
        for entry in grant_entries(&on, &known, &after.grants.unwrap_or_default()) {
            session.define(entry, Expect::Any);
        }
    }
}

/// Runs one GRANT or REVOKE.
pub(super) fn change(session: &Arc<Session>, asked: &Privileges) -> Result<CommandTag> {
    let roles: Vec<String> = asked
        .roles
        .iter()
        .map(|role| match role {
            RoleName::Public => Ok(PUBLIC_ROLE.to_owned()),
            other => known_role(session, other),
        })
        .collect::<Result<_>>()?;
    if asked.grant && asked.option && roles.iter().any(|role| role == PUBLIC_ROLE) {
        let message = "grant options can only be granted to roles".to_owned();
        return Err(Error::Refused { code: "0LP01", message, detail: None, hint: None });
    }
    let of_columns = columns::asked(asked)?;
    for object in objects(session, &asked.on)? {
        let privileges = privileges_of(asked, object.kind(), object.kind_word())?;
        let (before, kind) = (object.access(session), object.kind());
        let allowed = allowed(session, &object, &before, &privileges, asked)?;
        let mut all = before.effective(kind);
        for role in &roles {
            for (privilege, grantor) in &allowed {
                if asked.grant {
                    let before = all.get(role).cloned();
                    all.insert(role.clone(), granted(before, *privilege, grantor, asked.option));
                } else {
                    // As in PostgreSQL: who gave a right takes it back, and the owner does.
                    let is_own = grantor.as_str() == before.owner()
                        || all.get(role).is_some_and(|grant| grant.grantor == *grantor);
                    if is_own {
                        revoke(&mut all, role, *privilege, asked)?;
                        columns::revoke_all(&mut all, role, *privilege, asked)?;
                    }
                }
            }
        }
        columns::change(session, &object, (asked, &of_columns), &roles, &mut all)?;
        all.retain(|_, grant| !grant.is_empty());
        if all.is_empty() {
            // Where nothing is said, an object has the rights that it began with.
            all.insert(before.owner().to_owned(), GrantDef::by(before.owner()));
        }
        let after = Access { owner: before.owner.clone(), grants: Some(all) };
        object.put(session, &before, after);
    }
    Ok(CommandTag::new(if asked.grant { "GRANT" } else { "REVOKE" }))
}

/// The objects that a statement names.
fn objects(session: &Arc<Session>, on: &On) -> Result<Vec<Object>> {
    match on {
        On::Tables(targets) => targets.iter().map(|target| relation(session, target)).collect(),
        On::TablesIn(schemas) => {
            let mut all = Vec::new();
            for schema in schemas {
                check_schema(session, schema)?;
                let inside = session.relations_of(schema);
                all.extend(inside.into_iter().map(Object::Relation));
            }
            Ok(all)
        }
        On::Schemas(names) => {
            let schema = |name: &String| {
                check_schema(session, name)?;
                Ok(Object::Schema(name.clone()))
            };
            names.iter().map(schema).collect()
        }
        On::Databases(names) => {
            let database = |name: &String| {
                let seen = session.catalog_snapshot();
                if seen.databases.iter().any(|known| known.name == *name) {
                    return Ok(Object::Database(name.clone()));
                }
                let (kind, name) = ("database", name.clone());
                Err(CatalogError::ObjectNotFound { kind, name }.into())
            };
            names.iter().map(database).collect()
        }
    }
}

fn check_schema(session: &Arc<Session>, name: &str) -> Result<()> {
    if !session.has_schema(name) {
        return Err(CatalogError::SchemaNotFound { name: name.to_owned() }.into());
    }
    if crate::system_tables::SCHEMAS.contains(&name) {
        return Err(unsupported(format!("changing rights on the schema {name}")));
    }
    Ok(())
}

/// A table or view by its written name.
pub(super) fn relation(session: &Arc<Session>, target: &Target) -> Result<Object> {
    let found = SessionLookup::new(session).resolve(target.schema.as_deref(), &target.table);
    if let Some((name, _)) = found {
        if name.schema() == crate::lookup::TEMPORARY {
            return Err(unsupported("rights on a temporary relation"));
        }
        return Ok(Object::Relation(name));
    }
    let system = target.schema.as_deref().is_none_or(|schema| schema == "pg_catalog")
        && tarn_catalog::pg_catalog::schema(&target.table).is_some();
    if system {
        return Err(unsupported(format!("rights on the system relation {}", target.table)));
    }
    let name = match &target.schema {
        Some(schema) => format!("{schema}.{}", target.table),
        None => target.table.clone(),
    };
    Err(PlannerError::UndefinedTable { name, position: None, suggestion: None }.into())
}

/// The rights that a statement lists for a kind of object, which messages call `of`.
pub(super) fn privileges_of(asked: &Privileges, kind: Kind, of: &str) -> Result<Vec<Privilege>> {
    let Some(words) = &asked.privileges else { return Ok(kind.privileges().to_vec()) };
    let refused = |code, message| Error::Refused { code, message, detail: None, hint: None };
    let privilege = |word: &String| {
        let known = Privilege::parse(word).ok_or_else(|| {
            let word = word.to_lowercase();
            refused("42601", format!("unrecognized privilege type \"{word}\""))
        })?;
        if kind.privileges().contains(&known) {
            return Ok(known);
        }
        let message = format!("invalid privilege type {} for {of}", known.word());
        Err(refused("0LP01", message))
    };
    words.iter().map(privilege).collect()
}

/// The rights that the session may change, and in whose name.
fn allowed(
    session: &Session,
    object: &Object,
    access: &Access,
    privileges: &[Privilege],
    asked: &Privileges,
) -> Result<Vec<(Privilege, String)>> {
    if privileges.is_empty() {
        // All that is said is about columns.
        return Ok(vec![]);
    }
    let (seen, role) = (session.catalog_snapshot(), session.current_user());
    let grantor = |privilege: &Privilege| {
        let by = seen.grantor(&role, access, object.kind(), *privilege)?;
        Some((*privilege, by))
    };
    let found: Vec<_> = privileges.iter().filter_map(grantor).collect();
    let described = object.described(session);
    let name = described.split_once(' ').map_or(described.as_str(), |(_, name)| name);
    if found.is_empty() {
        let any = |p: &Privilege| seen.may(&role, access, object.kind(), *p);
        if !object.kind().privileges().iter().any(any) {
            return Err(denied(format!("permission denied for {described}")));
        }
    }
    if found.len() < privileges.len() {
        let none = found.is_empty();
        let (code, message) = match (asked.grant, none) {
            (true, true) => ("01007", format!("no privileges were granted for \"{name}\"")),
            (true, false) => ("01007", format!("not all privileges were granted for \"{name}\"")),
            (false, true) => ("01006", format!("no privileges could be revoked for \"{name}\"")),
            (false, false) => {
                ("01006", format!("not all privileges could be revoked for \"{name}\""))
            }
        };
        session.notice("WARNING", code, message);
    }
    Ok(found)
}

/// What a role has with one right more.
pub(super) fn granted(
    before: Option<GrantDef>,
    privilege: Privilege,
    grantor: &str,
    option: bool,
) -> GrantDef {
    let mut grant = before.unwrap_or_else(|| GrantDef::by(grantor));
    let slot = grant.privileges.entry(privilege.key()).or_default();
    *slot |= option;
    grant
}

/// Takes a right, or the right to hand it on, from a role, and with CASCADE from those who have it
/// of that role.
pub(super) fn revoke(
    all: &mut BTreeMap<String, GrantDef>,
    role: &str,
    privilege: Privilege,
    asked: &Privileges,
) -> Result<()> {
    let key = privilege.key();
    let Some(grant) = all.get_mut(role) else { return Ok(()) };
    let had_option = match asked.option {
        true => grant.privileges.get_mut(&key).is_some_and(std::mem::take),
        false => grant.privileges.remove(&key).unwrap_or(false),
    };
    if !had_option {
        return Ok(());
    }
    let depends = |(other, grant): (&String, &GrantDef)| {
        (other != role && grant.grantor == role && grant.privileges.contains_key(&key))
            .then(|| other.clone())
    };
    let dependents: Vec<String> = all.iter().filter_map(depends).collect();
    if !dependents.is_empty() && !asked.cascade {
        return Err(dependents_exist());
    }
    let whole = Privileges { option: false, ..asked.clone() };
    for dependent in dependents {
        revoke(all, &dependent, privilege, &whole)?;
    }
    Ok(())
}

/// The error for a right that others have of who is to lose it.
pub(super) fn dependents_exist() -> Error {
    Error::Refused {
        code: "2BP01",
        message: "dependent privileges exist".to_owned(),
        detail: None,
        hint: Some("Use CASCADE to revoke them too.".to_owned()),
    }
}

/// Whether a session may make a role the owner of something.
pub(crate) fn check_new_owner(session: &Session, owner: &str) -> Result<()> {
    let seen = session.catalog_snapshot();
    if Asker::of(session).is_superuser() || seen.is_member_of(&session.current_user(), owner) {
        return Ok(());
    }
    Err(denied(format!("must be member of role \"{owner}\"")))
}
