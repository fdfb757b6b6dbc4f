//! DROP OWNED: what belongs to roles in this database, and the rights that they have there.

use std::collections::BTreeMap;
use std::sync::Arc;

use tarn_catalog::TableName;
use tarn_catalog::log::{Access, GrantDef, Securable};
use tarn_planner::statement::RoleName;

use super::grants::Object;
use super::{defaults, denied, known_role};
use crate::alter::{check_found, remove};
use crate::auth::FIRST_ROLE;
use crate::error::{Error, Result};
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

/// Runs one DROP OWNED.
pub(super) fn drop_owned(
    session: &Arc<Session>,
    roles: &[RoleName],
    cascade: bool,
) -> Result<CommandTag> {
    let roles: Vec<String> =
        roles.iter().map(|role| known_role(session, role)).collect::<Result<_>>()?;
    let (seen, user) = (session.catalog_snapshot(), session.current_user());
    if !roles.iter().all(|role| seen.has_rights_of(&user, role)) {
        return Err(denied("permission denied to drop objects"));
    }
    if roles.iter().any(|role| role == FIRST_ROLE || role.starts_with("pg_")) {
        let role = roles.first().map_or(FIRST_ROLE, String::as_str);
        return Err(Error::Refused {
            code: "2BP01",
            message: format!(
                "cannot drop objects owned by role {role} because they are required by the \
                 database system"
            ),
            detail: None,
            hint: Some("Name roles that were made by CREATE ROLE.".to_owned()),
        });
    }
    drop_objects(session, &roles, cascade)?;
    for role in &roles {
        take_rights(session, role);
        take_defaults(session, role);
    }
    Ok(CommandTag::new("DROP OWNED"))
}

fn drop_objects(session: &Arc<Session>, roles: &[String], cascade: bool) -> Result<()> {
    let seen = session.catalog_snapshot();
    let is_theirs = |access: &Access| roles.iter().any(|role| role == access.owner());
    let own = seen.schemas.iter().filter(|schema| !schema.name.starts_with("pg_temp_"));
    let mut doomed: Vec<TableName> = Vec::new();
    let mut schemas: Vec<&str> = Vec::new();
    for schema in own {
        if is_theirs(&schema.access) {
            if session.shared.catalog.is_system_schema(&schema.name) {
                return Err(unsupported(format!("dropping the schema {}", schema.name)));
            }
            schemas.push(&schema.name);
        }
        let tables = schema.tables.iter().filter(|table| is_theirs(&table.access));
        doomed.extend(tables.map(|table| TableName::new(&schema.name, &table.name)));
    }
    let n_own = doomed.len();
    let mut reasons = Vec::new();
    for schema in &schemas {
        for name in session.relations_of(schema) {
            if !doomed.contains(&name) {
                reasons.push(format!("{} depends on schema {schema}", described(session, &name)));
                doomed.push(name);
            }
        }
    }
    let mut at = 0;
    while let Some(current) = doomed.get(at).cloned() {
        for view in session.dependents(&current) {
            if !doomed.contains(&view) {
                let (view_name, on) = (described(session, &view), described(session, &current));
                reasons.push(format!("{view_name} depends on {on}"));
                doomed.push(view);
            }
        }
        at += 1;
    }
    if !reasons.is_empty() && !cascade {
        return Err(Error::Refused {
            code: "2BP01",
            message: "cannot drop desired object(s) because other objects depend on them"
                .to_owned(),
            detail: Some(reasons.join("\n")),
            hint: Some("Use DROP ... CASCADE to drop the dependent objects too.".to_owned()),
        });
    }
    doomed.iter().try_for_each(|name| check_found(session, name))?;
    match doomed.get(n_own..) {
        Some([one]) => {
            let message = format!("drop cascades to {}", described(session, one));
            session.notice("NOTICE", "00000", message);
        }
        Some([_, _, ..]) => {
            let message = format!("drop cascades to {} other objects", doomed.len() - n_own);
            session.notice("NOTICE", "00000", message);
        }
        _ => {}
    }
    doomed.iter().for_each(|name| remove(session, name));
    schemas.iter().for_each(|name| session.put_schema(name, false));
    Ok(())
}

fn described(session: &Session, name: &TableName) -> String {
    let view =
        matches!(session.relation(name), Some(tarn_catalog::registry::Relation::View { .. }));
    let kind = if view { "view" } else { "table" };
    match name.schema() {
        "public" => format!("{kind} {}", name.table()),
        _ => format!("{kind} {name}"),
    }
}

/// Rights without those that a role has, and those that others have of it; `None` where there are
/// none.
fn without(access: &Access, role: &str) -> Option<Access> {
    if access.owner() == role {
        return None;
    }
    let mut left = access.clone();
    let grants = left.grants.as_mut()?;
    let n_before = grants.len();
    grants.retain(|other, grant| other != role && grant.grantor != role);
    let changed = grants.len() < n_before;
    if grants.is_empty() {
        // Where nothing is said, an object has the rights that it began with.
        grants.insert(access.owner().to_owned(), GrantDef::by(access.owner()));
    }
    changed.then_some(left)
}

/// Takes the rights of a role on what is left in the database, and on databases.
fn take_rights(session: &Session, role: &str) {
    let seen = session.catalog_snapshot();
    for schema in seen.schemas.iter().filter(|schema| !schema.name.starts_with("pg_temp_")) {
        for table in &schema.tables {
            if let Some(left) = without(&table.access, role) {
                let name = TableName::new(&schema.name, &table.name);
                session.put_access(&name, &table.access, Arc::new(left));
            }
        }
        if let Some(left) = without(&schema.access, role) {
            Object::Schema(schema.name.clone()).put(session, &schema.access, left);
        }
    }
    for database in &seen.databases {
        if let Some(left) = without(&database.access, role) {
            Object::Database(database.name.clone()).put(session, &database.access, left);
        }
    }
}

/// Takes what was said of objects to come of a role, and for it.
fn take_defaults(session: &Session, role: &str) {
    let database = session.shared.catalog.database();
    for on in session.with_definitions(|all| all.defaults_in(database)) {
        let known = session.with_definitions(|all| all.grants_on(&on)).unwrap_or_default();
        let is_own = matches!(&on, Securable::Defaults { role: creator, .. } if creator == role);
        let left: BTreeMap<_, _> = known
            .iter()
            .filter(|(other, _)| !is_own && *other != role)
            .map(|(other, grant)| (other.clone(), grant.clone()))
            .collect();
        let begun = if is_own { BTreeMap::new() } else { defaults::begun(&on) };
        if left.len() < known.len() {
            defaults::put(session, &on, known, left, &begun);
        }
    }
}
