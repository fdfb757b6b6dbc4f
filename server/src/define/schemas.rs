//! Schemas and databases.

use std::sync::Arc;

use sqlparser::ast;
use tarn_catalog::{CatalogError, TableName};
use tarn_planner::PlannerError;
use tarn_planner::write::target_of;

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
    let (ast::SchemaName::Simple(name) | ast::SchemaName::NamedAuthorization(name, _)) = name
    else {
        return Err(unsupported("CREATE SCHEMA AUTHORIZATION without a name"));
    };
    let name = target_of(name)?.table;
    if name.starts_with("pg_") {
        let message = format!("unacceptable schema name \"{name}\"");
        return Err(Error::Value { code: "42939", message });
    }
    if session.has_schema(&name) {
        if !if_not_exists {
            return Err(CatalogError::SchemaExists { name }.into());
        }
        let message = format!("schema \"{name}\" already exists, skipping");
        session.notice("NOTICE", "42P06", message);
    } else {
        session.put_schema(&name, true);
    }
    Ok(CommandTag::new("CREATE SCHEMA"))
}

/// ALTER SCHEMA … RENAME TO: everything in it goes along.
pub(super) fn rename_schema(session: &Arc<Session>, old: &str, new: &str) -> Result<CommandTag> {
    if !session.has_schema(old) {
        return Err(CatalogError::SchemaNotFound { name: old.to_owned() }.into());
    }
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
        crate::alter::refuse_staged(session, name)?;
        // Views are kept as text, which names the old schema.
        if let Some(view) = session.dependents(name).first() {
            return Err(CatalogError::DependentObjects {
                name: format!("or rename schema {old}"),
                dependent: format!("view {view}"),
            }
            .into());
        }
    }
    session.put_schema(new, true);
    for name in inside {
        let Some(object) = session.object(&name) else { continue };
        session.put(&name, None, OnCommit::Preserve);
        let moved = TableName::new(new, name.table());
        session.put(&moved, Some(object), OnCommit::Preserve);
    }
    session.put_schema(old, false);
    Ok(CommandTag::new("ALTER SCHEMA"))
}

fn one_database(what: &str) -> Error {
    PlannerError::Unsupported {
        what: what.to_owned(),
        hint: Some("There is one database, tarn: use CREATE SCHEMA.".to_owned()),
    }
    .into()
}

/// CREATE DATABASE.
pub(super) fn create_database(
    session: &Arc<Session>,
    name: &str,
    if_not_exists: bool,
) -> Result<CommandTag> {
    refuse_in_block(session, "CREATE DATABASE")?;
    if name != session.shared.catalog.database() {
        return Err(one_database("CREATE DATABASE"));
    }
    let message = format!("database \"{name}\" already exists");
    if if_not_exists {
        session.notice("NOTICE", "42P04", format!("{message}, skipping"));
        return Ok(CommandTag::new("CREATE DATABASE"));
    }
    Err(Error::Value { code: "42P04", message })
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
    if !if_exists {
        return Err(Error::Value {
            code: "3D000",
            message: format!("database \"{name}\" does not exist"),
        });
    }
    session.notice("NOTICE", "00000", format!("database \"{name}\" does not exist, skipping"));
    Ok(CommandTag::new("DROP DATABASE"))
}

/// ALTER DATABASE … RENAME TO.
pub(super) fn rename_database(session: &Arc<Session>, old: &str) -> Result<CommandTag> {
    if old == session.shared.catalog.database() {
        let message = "current database cannot be renamed".to_owned();
        return Err(Error::Value { code: "0A000", message });
    }
    let message = format!("database \"{old}\" does not exist");
    Err(Error::Value { code: "3D000", message })
}

fn refuse_in_block(session: &Arc<Session>, what: &str) -> Result<()> {
    if session.in_block() {
        let message = format!("{what} cannot run inside a transaction block");
        return Err(Error::Value { code: "25001", message });
    }
    Ok(())
}
