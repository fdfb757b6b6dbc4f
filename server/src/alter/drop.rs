//! DROP of tables, views and schemas.

use std::sync::Arc;

use sqlparser::ast::{self, ObjectType};
use tarn_catalog::registry::Relation;
use tarn_catalog::{CatalogError, TableName};
use tarn_planner::PlannerError;
use tarn_planner::write::target_of;

use super::{check_found, dependents};
use crate::changes::OnCommit;
use crate::error::Result;
use crate::lookup::SessionLookup;
use crate::query::unsupported;
use crate::session::Session;

/// DROP of one object.
pub(crate) fn drop_one(
    session: &Arc<Session>,
    object_type: &ObjectType,
    name: &ast::ObjectName,
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    let target = target_of(name)?;
    let kind = object_type.to_string().to_lowercase();
    let found = match object_type {
        // Indexes are never made, so none can be dropped; scripts drop what they created.
        ObjectType::Index => return Ok(()),
        ObjectType::Schema => {
            let found = session.has_schema(&target.table);
            if found {
                return drop_schema(session, &target.table, cascade);
            }
            None
        }
        ObjectType::Table | ObjectType::View => {
            SessionLookup::new(session).resolve(target.schema.as_deref(), &target.table)
        }
        other => return Err(unsupported(format!("DROP {other}"))),
    };
    if let Some((name, relation)) = found {
        session.require_drop(&name)?;
        let view = *object_type == ObjectType::View;
        return drop_relation(session, &name, &relation, view, cascade);
    }
    if if_exists {
        let message = format!("{kind} \"{}\" does not exist, skipping", target.table);
        session.notice("NOTICE", "00000", message);
        return Ok(());
    }
    let code = if *object_type == ObjectType::Schema { "3F000" } else { "42P01" };
    let message = format!("{kind} \"{}\" does not exist", target.table);
    Err(PlannerError::Semantics { code, message, position: None }.into())
}

fn drop_relation(
    session: &Arc<Session>,
    name: &TableName,
    relation: &Relation,
    view: bool,
    cascade: bool,
) -> Result<()> {
    if view != matches!(relation, Relation::View { .. }) {
        let expected = if view { "a view" } else { "a table" };
        let name = name.table().to_owned();
        return Err(CatalogError::WrongObjectType { name, expected }.into());
    }
    check_found(session, name)?;
    // A view over views may outlive them, unlike in PostgreSQL: it says what it misses.
    let dependents = if cascade || !view { session.dependents(name) } else { vec![] };
    if let (Some(dependent), false) = (dependents.first(), cascade) {
        return Err(CatalogError::DependentObjects {
            verb: "drop",
            name: format!("table {}", name.table()),
            dependent: format!("view {}", dependent.table()),
        }
        .into());
    }
    let doomed = match cascade {
        true => dependents::with_dependents(session, vec![name.clone()]),
        false => vec![name.clone()],
    };
    dependents::note(session, doomed.get(1..).unwrap_or_default());
    for name in &doomed {
        remove(session, name);
    }
    Ok(())
}

/// `view` or `table`.
fn kind_of(session: &Arc<Session>, name: &TableName) -> &'static str {
    match session.relation(name) {
        Some(Relation::View { .. }) => "view",
        Some(Relation::Memory(_) | Relation::Lake(_)) | None => "table",
    }
}

/// Takes a relation away, and its files if they are the server's own.
pub(crate) fn remove(session: &Arc<Session>, name: &TableName) {
    if let Some(relation) = session.relation(name) {
        session.retire_files(name, &relation);
    }
    session.put(name, None, OnCommit::Preserve);
}

fn drop_schema(session: &Arc<Session>, name: &str, cascade: bool) -> Result<()> {
    session.require_schema_owner(name)?;
    if session.shared.catalog.is_system_schema(name) {
        let reason = "the schema belongs to the server".to_owned();
        return Err(CatalogError::NotWritable { name: name.to_owned(), reason }.into());
    }
    let inside = session.relations_of(name);
    if let (Some(dependent), false) = (inside.first(), cascade) {
        return Err(CatalogError::DependentObjects {
            verb: "drop",
            name: format!("schema {name}"),
            dependent: format!("{} {dependent}", kind_of(session, dependent)),
        }
        .into());
    }
    for relation in &inside {
        check_found(session, relation)?;
    }
    // Views of other schemas that read what is in this one go, too.
    let doomed = dependents::with_dependents(session, inside);
    for relation in &doomed {
        remove(session, relation);
    }
    session.put_schema(name, false);
    Ok(())
}
