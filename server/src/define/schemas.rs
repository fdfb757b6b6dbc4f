//! Schemas and databases.

use std::sync::Arc;

use sqlparser::ast;
use tarn_catalog::log::{DatabaseDef, DefaultsOf, Entry, RelationKind, Securable};
use tarn_catalog::registry::Expect;
use tarn_catalog::rights::Privilege;
use tarn_catalog::{CatalogError, DatabaseEntry, TableName};

use tarn_planner::statement::{RoleName, fold};
use tarn_planner::write::target_of;

use super::lake::MANAGED;
use crate::access::denied;
use crate::access::owners::give_schema;
use crate::changes::OnCommit;
use crate::error::{Error, Result};
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

/// CREATE SCHEMA.
pub(super) fn create_schema(
    session: &Arc<Session>,
    name: &ast::SchemaName,
    if_not_exists: bool,
) -> Result<CommandTag> {
    let (name, owner) = match name {
        ast::SchemaName::Simple(name) => (target_of(name)?.table, None),
        ast::SchemaName::NamedAuthorization(name, owner) => {
            (target_of(name)?.table, Some(schema_owner(session, owner)?))
        }
        ast::SchemaName::UnnamedAuthorization(owner) => {
            let owner = schema_owner(session, owner)?;
            (owner.clone(), Some(owner))
        }
    };
    if name.starts_with("pg_") {
        let message = format!("unacceptable schema name \"{name}\"");
        return Err(Error::Value { code: "42939", message });
    }
    session.require_on_database(Privilege::Create)?;
    if session.has_schema(&name) {
        if !if_not_exists {
            return Err(CatalogError::SchemaExists { name }.into());
        }
        let message = format!("schema \"{name}\" already exists, skipping");
        session.notice("NOTICE", "42P06", message);
    } else {
        session.put_schema(&name, true);
        let owner = owner.unwrap_or_else(|| session.current_user());
        let place = (session.shared.catalog.database(), None);
        let access =
            session.with_definitions(|all| all.access_of_new(&owner, DefaultsOf::Schemas, place));
        give_schema(session, &name, &access);
    }
    Ok(CommandTag::new("CREATE SCHEMA"))
}

/// The role that AUTHORIZATION names.
fn schema_owner(session: &Arc<Session>, owner: &ast::Ident) -> Result<String> {
    let name = match fold(owner).as_str() {
        "current_user" | "current_role" if owner.quote_style.is_none() => RoleName::Current,
        "session_user" if owner.quote_style.is_none() => RoleName::Session,
        _ => RoleName::Named(fold(owner)),
    };
    let name = crate::access::known_role(session, &name)?;
    crate::access::check_new_owner(session, &name)?;
    Ok(name)
}

/// ALTER SCHEMA … RENAME TO: everything in it goes along.
pub(super) fn rename_schema(session: &Arc<Session>, old: &str, new: &str) -> Result<CommandTag> {
    if !session.has_schema(old) {
        return Err(CatalogError::SchemaNotFound { name: old.to_owned() }.into());
    }
    session.require_schema_owner(old)?;
    session.require_on_database(Privilege::Create)?;
    if session.shared.catalog.is_system_schema(old) {
        let reason = "the schema belongs to the server".to_owned();
        return Err(CatalogError::NotWritable { name: old.to_owned(), reason }.into());
    }
    if new.starts_with("pg_") {
        let message = format!("unacceptable schema name \"{new}\"");
        return Err(Error::Value { code: "42939", message });
    }
    if session.has_schema(new) {
        return Err(CatalogError::SchemaExists { name: new.to_owned() }.into());
    }
    let inside = session.relations_of(old);
    for name in &inside {
        crate::alter::check_found(session, name)?;
        // Views are kept as text, which names the old schema.
        if let Some(view) = session.dependents(name).first() {
            return Err(CatalogError::DependentObjects {
                verb: "rename",
                name: format!("schema {old}"),
                dependent: format!("view {view}"),
            }
            .into());
        }
    }
    let seen = session.catalog_snapshot();
    let access = seen.schema(old).map(|schema| Arc::clone(&schema.access)).unwrap_or_default();
    session.put_schema(new, true);
    give_schema(session, new, &access);
    for name in inside {
        let moved = TableName::new(new, name.table());
        session.rename(&name, &moved, OnCommit::Preserve);
    }
    move_defaults(session, old, new);
    session.put_schema(old, false);
    Ok(CommandTag::new("ALTER SCHEMA"))
}

/// Has rights on objects to come follow a schema to its new name.
fn move_defaults(session: &Session, old: &str, new: &str) {
    let here = session.shared.catalog.database();
    for on in session.with_definitions(|all| all.defaults_in(here)) {
        let Securable::Defaults { role, database, schema: Some(schema), of } = &on else {
            continue;
        };
        if schema != old {
            continue;
        }
        let grants = session.with_definitions(|all| all.grants_on(&on)).unwrap_or_default();
        let moved = Securable::Defaults {
            role: role.clone(),
            database: database.clone(),
            schema: Some(new.to_owned()),
            of: *of,
        };
        for (role, grant) in grants {
            let on = moved.clone();
            session.define(Entry::PutGrant { on, role, grant }, Expect::Any);
        }
    }
}

/// CREATE DATABASE.
pub(super) fn create_database(
    session: &Arc<Session>,
    name: &str,
    if_not_exists: bool,
) -> Result<CommandTag> {
    refuse_in_block(session, "CREATE DATABASE")?;
    let seen = session.catalog_snapshot();
    let user = session.current_user();
    let may = seen.role(&user).is_some_and(|role| role.superuser || role.create_database);
    if !may {
        return Err(denied("permission denied to create database"));
    }
    if seen.databases.iter().any(|known| known.name == name) {
        let message = format!("database \"{name}\" already exists");
        if if_not_exists {
            session.notice("NOTICE", "42P04", format!("{message}, skipping"));
            return Ok(CommandTag::new("CREATE DATABASE"));
        }
        return Err(Error::Value { code: "42P04", message });
    }
    let database = DatabaseDef { owner: Some(user), ..DatabaseDef::default() };
    let entry = Entry::PutDatabase { name: name.to_owned(), database };
    session.define(entry, Expect::New);
    Ok(CommandTag::new("CREATE DATABASE"))
}

/// DROP DATABASE.
pub(super) fn drop_database(
    session: &Arc<Session>,
    name: &str,
    if_exists: bool,
) -> Result<CommandTag> {
    refuse_in_block(session, "DROP DATABASE")?;
    if name == session.shared.catalog.database() {
        let message = "cannot drop the currently open database".to_owned();
        return Err(Error::Value { code: "55006", message });
    }
    let seen = session.catalog_snapshot();
    let Some(known) = seen.databases.iter().find(|known| known.name == name) else {
        let message = format!("database \"{name}\" does not exist");
        if !if_exists {
            return Err(Error::Value { code: "3D000", message });
        }
        session.notice("NOTICE", "00000", format!("{message}, skipping"));
        return Ok(CommandTag::new("DROP DATABASE"));
    };
    check_unused(session, known, "dropped")?;
    let folders = session.shared.catalog.with_definitions(|all| {
        let relations = all.databases.get(name).into_iter().flat_map(|known| known.relations());
        let managed = relations.filter_map(|(_, _, relation)| match &relation.kind {
            RelationKind::Table { location, .. } => {
                relation.details.properties.contains_key(MANAGED).then(|| location.clone())
            }
            RelationKind::View { .. } => None,
        });
        managed.collect::<Vec<_>>()
    });
    session.retire_folders(folders);
    session.define(Entry::DropDatabase { name: name.to_owned() }, Expect::Known);
    Ok(CommandTag::new("DROP DATABASE"))
}

/// Sees that a database is the role's own, not the first one, and nobody is connected to it.
fn check_unused(session: &Session, known: &DatabaseEntry, what: &str) -> Result<()> {
    let seen = session.catalog_snapshot();
    let name = &known.name;
    if !seen.has_rights_of(&session.current_user(), known.access.owner()) {
        return Err(denied(format!("must be owner of database {name}")));
    }
    if name == crate::server::DATABASE {
        return Err(unsupported(format!("the database \"{name}\" cannot be {what}: it")));
    }
    let n_sessions = session.shared.n_sessions_of(name);
    if n_sessions > 0 {
        return Err(Error::Refused {
            code: "55006",
            message: format!("database \"{name}\" is being accessed by other users"),
            detail: Some(format!("There are {n_sessions} other sessions using the database.")),
            hint: Some("End them by pg_terminate_backend, or wait.".to_owned()),
        });
    }
    Ok(())
}

/// ALTER DATABASE … RENAME TO.
pub(super) fn rename_database(session: &Arc<Session>, old: &str, new: &str) -> Result<CommandTag> {
    if old == session.shared.catalog.database() {
        let message = "current database cannot be renamed".to_owned();
        return Err(Error::Value { code: "0A000", message });
    }
    let seen = session.catalog_snapshot();
    let Some(known) = seen.databases.iter().find(|known| known.name == old) else {
        let message = format!("database \"{old}\" does not exist");
        return Err(Error::Value { code: "3D000", message });
    };
    refuse_in_block(session, "ALTER DATABASE … RENAME")?;
    check_unused(session, known, "renamed")?;
    let role = seen.role(&session.current_user());
    if !role.is_some_and(|role| role.superuser || role.create_database) {
        return Err(denied("permission denied to rename database"));
    }
    if seen.databases.iter().any(|known| known.name == new) {
        let message = format!("database \"{new}\" already exists");
        return Err(Error::Value { code: "42P04", message });
    }
    let entry = Entry::RenameDatabase { name: old.to_owned(), new: new.to_owned() };
    session.define(entry, Expect::Known);
    Ok(CommandTag::new("ALTER DATABASE"))
}

fn refuse_in_block(session: &Arc<Session>, what: &str) -> Result<()> {
    if session.in_block() {
        let message = format!("{what} cannot run inside a transaction block");
        return Err(Error::Value { code: "25001", message });
    }
    Ok(())
}
