//! OWNER TO, and what belongs to a role.

use std::collections::BTreeMap;
use std::sync::Arc;

use tarn_catalog::TableName;
use tarn_catalog::log::{Access, DefaultsOf, Entry, GrantDef, Securable};
use tarn_catalog::registry::{Expect, grant_entries};
use tarn_catalog::rights::Kind;
use tarn_planner::statement::{Owned, RoleName};

use super::check::Asker;
use super::grants::{Object, check_new_owner, relation};
use super::{denied, known_role};
use crate::auth::FIRST_ROLE;
use crate::error::{Error, Result};
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

/// ALTER … OWNER TO.
pub(super) fn change(session: &Arc<Session>, what: &Owned, owner: &RoleName) -> Result<CommandTag> {
    let tag = match what {
        Owned::Relation("VIEW", ..) => "ALTER VIEW",
        Owned::Relation(..) => "ALTER TABLE",
        Owned::Schema(_) => "ALTER SCHEMA",
        Owned::Database(_) => "ALTER DATABASE",
    };
    match what {
        Owned::Relation(_, target, if_exists) => {
            let object = match relation(session, target) {
                Err(error) if *if_exists && error.sqlstate() == "42P01" => {
                    let message = format!("relation \"{}\" does not exist, skipping", target.table);
                    session.notice("NOTICE", "00000", message);
                    return Ok(CommandTag::new(tag));
                }
                found => found?,
            };
            let owner = known_role(session, owner)?;
            let Object::Relation(name) = &object else { return Ok(CommandTag::new(tag)) };
            session.require_owner(name)?;
            check_new_owner(session, &owner)?;
            if !session.is_superuser() {
                Asker::role(session, owner.clone()).require_create_in(name.schema())?;
            }
            let before = object.access(session);
            if session.shared.catalog.is_found(name) && !session.is_changed(name) {
                if before.owner() == owner {
                    return Ok(CommandTag::new(tag));
                }
                return Err(unsupported("another owner of a table that was found in storage"));
            }
            let after = given(&before, Kind::Relation, &owner);
            session.put_access(name, &before, Arc::new(after));
        }
        Owned::Schema(name) => {
            if !session.has_schema(name) {
                let name = name.clone();
                return Err(tarn_catalog::CatalogError::SchemaNotFound { name }.into());
            }
            let owner = known_role(session, owner)?;
            session.require_schema_owner(name)?;
            check_new_owner(session, &owner)?;
            let before = Object::Schema(name.clone()).access(session);
            give_schema(session, name, &given(&before, Kind::Schema, &owner));
        }
        Owned::Database(name) => {
            let known = session.with_definitions(|all| {
                let def = all.databases.get(name)?.def.clone();
                Some((def, all.access_of_database(name)))
            });
            let Some((mut database, before)) = known else {
                let (kind, name) = ("database", name.clone());
                return Err(tarn_catalog::CatalogError::ObjectNotFound { kind, name }.into());
            };
            let owner = known_role(session, owner)?;
            let seen = session.catalog_snapshot();
            if !seen.has_rights_of(&session.current_user(), before.owner()) {
                return Err(denied(format!("must be owner of database {name}")));
            }
            check_new_owner(session, &owner)?;
            let after = given(&before, Kind::Database, &owner);
            database.owner.clone_from(&after.owner);
            let entry = Entry::PutDatabase { name: name.clone(), database };
            session.define(entry, Expect::Known);
            put_grants(session, &Securable::Database(name.clone()), &after);
        }
    }
    Ok(CommandTag::new(tag))
}

/// REASSIGN OWNED: all that belongs to some roles in this database, and databases of theirs.
pub(super) fn reassign(
    session: &Arc<Session>,
    from: &[RoleName],
    to: &RoleName,
) -> Result<CommandTag> {
    let owner = known_role(session, to)?;
    let from: Vec<String> =
        from.iter().map(|role| known_role(session, role)).collect::<Result<_>>()?;
    let seen = session.catalog_snapshot();
    let user = session.current_user();
    let is_member = |role: &String| session.is_superuser() || seen.is_member_of(&user, role);
    if !from.iter().chain([&owner]).all(is_member) {
        return Err(denied("permission denied to reassign objects"));
    }
    if from.iter().any(|role| role == FIRST_ROLE) {
        return Err(Error::Refused {
            code: "2BP01",
            message: format!(
                "cannot reassign ownership of objects owned by role {FIRST_ROLE} because they are \
                 required by the database system"
            ),
            detail: None,
            hint: Some("Use ALTER … OWNER TO for each object.".to_owned()),
        });
    }
    let is_theirs = |access: &Access| from.iter().any(|role| role == access.owner());
    for schema in seen.schemas.iter().filter(|schema| !schema.name.starts_with("pg_temp_")) {
        for table in schema.tables.iter().filter(|table| is_theirs(&table.access)) {
            let name = TableName::new(&schema.name, &table.name);
            let after = Arc::new(given(&table.access, Kind::Relation, &owner));
            session.put_access(&name, &table.access, after);
        }
        if is_theirs(&schema.access) {
            give_schema(session, &schema.name, &given(&schema.access, Kind::Schema, &owner));
        }
    }
    for known in seen.databases.iter().filter(|known| is_theirs(&known.access)) {
        let def = session.with_definitions(|all| Some(all.databases.get(&known.name)?.def.clone()));
        let Some(mut database) = def else { continue };
        let after = given(&known.access, Kind::Database, &owner);
        database.owner.clone_from(&after.owner);
        let entry = Entry::PutDatabase { name: known.name.clone(), database };
        session.define(entry, Expect::Known);
        put_grants(session, &Securable::Database(known.name.clone()), &after);
    }
    Ok(CommandTag::new("REASSIGN OWNED"))
}

/// The rights under a new owner, who gets those of the old one.
fn given(before: &Access, kind: Kind, owner: &str) -> Access {
    let mut after = Access { owner: Some(owner.to_owned()), grants: None };
    if before.grants.is_none() {
        return after;
    }
    let mut grants: BTreeMap<String, GrantDef> = BTreeMap::new();
    for (role, mut grant) in before.effective(kind) {
        let moved = |name: &str| if name == before.owner() { owner } else { name }.to_owned();
        grant.grantor = moved(&grant.grantor);
        let known = grants.entry(moved(&role)).or_insert_with(|| GrantDef::by(&grant.grantor));
        for (privilege, option) in grant.privileges {
            *known.privileges.entry(privilege).or_default() |= option;
        }
        for (column, privileges) in grant.columns {
            let known = known.columns.entry(column).or_default();
            for (privilege, option) in privileges {
                *known.entry(privilege).or_default() |= option;
            }
        }
    }
    after.grants = Some(grants);
    after
}

/// Notes whose a schema is and who may do what with it.
pub(crate) fn give_schema(session: &Session, name: &str, access: &Access) {
    let database = session.shared.catalog.database();
    let known =
        session.with_definitions(|all| all.schema(database, name).map(|schema| schema.def.clone()));
    let mut schema = known.unwrap_or_default();
    schema.owner.clone_from(&access.owner);
    let entry = Entry::PutSchema { database: database.to_owned(), name: name.to_owned(), schema };
    session.define(entry, Expect::Any);
    put_grants(session, &Securable::Schema(database.to_owned(), name.to_owned()), access);
}

fn put_grants(session: &Session, on: &Securable, access: &Access) {
    let known = session.with_definitions(|all| all.grants_on(on)).unwrap_or_default();
    let wanted = access.grants.clone().unwrap_or_default();
    for entry in grant_entries(on, &known, &wanted) {
        session.define(entry, Expect::Any);
    }
}

/// What belongs to a role or gives it rights, in words.
pub(super) fn belongings(session: &Session, role: &str) -> Vec<String> {
    let seen = session.catalog_snapshot();
    let mut found = Vec::new();
    let mut note = |access: &Access, what: String| {
        if access.owner() == role {
            found.push(format!("owner of {what}"));
        } else if let Some(grants) = &access.grants
            && grants.iter().any(|(other, grant)| other == role || grant.grantor == role)
        {
            found.push(format!("privileges for {what}"));
        }
    };
    for database in &seen.databases {
        note(&database.access, format!("database {}", database.name));
    }
    for schema in &seen.schemas {
        if schema.name.starts_with("pg_temp_") {
            continue;
        }
        note(&schema.access, format!("schema {}", schema.name));
        for table in &schema.tables {
            let view = table.kind == tarn_catalog::TableKind::View;
            let kind = if view { "view" } else { "table" };
            let public = schema.name == "public";
            let name =
                if public { table.name.clone() } else { format!("{}.{}", schema.name, table.name) };
            note(&table.access, format!("{kind} {name}"));
        }
    }
    for rights in &seen.default_rights {
        let objects = match rights.of {
            DefaultsOf::Relations => "relations",
            DefaultsOf::Schemas => "schemas",
        };
        let place = rights.schema.as_ref().map(|name| format!(" in schema {name}"));
        let place = place.unwrap_or_default();
        let creator = &rights.role;
        note(
            &rights.access,
            format!("default privileges on new {objects} belonging to role {creator}{place}"),
        );
    }
    let own = session.shared.catalog.database().to_owned();
    let elsewhere = session.shared.catalog.with_definitions(|all| {
        let others = all.databases.iter().filter(|(name, _)| **name != own);
        others.map(|(name, known)| (name.clone(), objects_in(known, role))).collect::<Vec<_>>()
    });
    for (database, n) in elsewhere.into_iter().filter(|(_, n)| *n > 0) {
        found.push(format!("{n} objects in database {database}"));
    }
    found
}

/// How many objects of another database name a role.
fn objects_in(database: &tarn_catalog::log::Database, role: &str) -> usize {
    let names = |access: &Access| access.renamed(role, "").is_some();
    let owned = database.schemas.values().filter(|s| s.def.owner.as_deref() == Some(role)).count();
    owned + database.relations().filter(|(_, _, relation)| names(&relation.access)).count()
}
