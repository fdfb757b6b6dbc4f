//! GRANT role TO role, REVOKE role FROM role.

use std::sync::Arc;

use tarn_catalog::log::{Entry, RoleDef};
use tarn_catalog::registry::Expect;
use tarn_planner::statement::{Membership, RoleName};

use super::{denied, known_role, no_role};
use crate::error::{Error, Result};
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

/// Changes who is a member of what.
pub(super) fn change(session: &Arc<Session>, membership: &Membership) -> Result<CommandTag> {
    for group in &membership.groups {
        for member in &membership.members {
            let member = known_role(session, member)?;
            if membership.grant {
                add(session, group, &member, membership.admin)?;
            } else {
                remove(session, group, &member, membership.admin)?;
            }
        }
    }
    Ok(CommandTag::new(if membership.grant { "GRANT ROLE" } else { "REVOKE ROLE" }))
}

/// Makes a role a member of another one.
pub(super) fn add(session: &Session, group: &str, member: &str, admin: bool) -> Result<()> {
    check_admin(session, group)?;
    let seen = session.catalog_snapshot();
    if member == group || seen.groups_of(group, false).contains(member) {
        let message = format!("role \"{group}\" is a member of role \"{member}\"");
        return Err(Error::Refused { code: "0LP01", message, detail: None, hint: None });
    }
    let mut role = definition(session, member)?;
    let known = role.member_of.iter().any(|known| known == group);
    let has_admin = role.admin_of.iter().any(|known| known == group);
    if known && (has_admin || !admin) {
        let message = format!("role \"{member}\" is already a member of role \"{group}\"");
        session.notice("NOTICE", "00000", message);
        return Ok(());
    }
    if !known {
        role.member_of.push(group.to_owned());
    }
    if admin {
        role.admin_of.push(group.to_owned());
    }
    session.define(Entry::PutRole { name: member.to_owned(), role }, Expect::Known);
    Ok(())
}

fn remove(session: &Session, group: &str, member: &str, admin_only: bool) -> Result<()> {
    check_admin(session, group)?;
    let mut role = definition(session, member)?;
    if !role.member_of.iter().any(|known| known == group) {
        let message = format!("role \"{member}\" is not a member of role \"{group}\"");
        session.notice("WARNING", "01000", message);
        return Ok(());
    }
    role.admin_of.retain(|known| known != group);
    if !admin_only {
        role.member_of.retain(|known| known != group);
    }
    session.define(Entry::PutRole { name: member.to_owned(), role }, Expect::Known);
    Ok(())
}

/// The definition of a role that the catalog holds; PostgreSQL's own roles have none.
fn definition(session: &Session, name: &str) -> Result<RoleDef> {
    let found = session.with_definitions(|all| all.roles.get(name).cloned());
    found.ok_or_else(|| unsupported(format!("changing the role \"{name}\" of the system")))
}

/// Superusers make members of every role, roles with CREATEROLE of those that are no superusers.
fn check_admin(session: &Session, group: &str) -> Result<()> {
    let seen = session.catalog_snapshot();
    let asker = session.current_user();
    let Some(entry) = seen.role(group) else { return Err(no_role(group)) };
    if seen.is_superuser(&asker) {
        return Ok(());
    }
    if entry.superuser {
        return Err(denied("must be superuser to alter superusers"));
    }
    let create_role = seen.role(&asker).is_some_and(|role| role.create_role);
    // Rights over the server's files or all data are not CREATEROLE's to give.
    let own = !group.starts_with("pg_");
    if (create_role && own) || seen.is_admin_of(&asker, group) {
        return Ok(());
    }
    Err(denied(format!("must have admin option on role \"{group}\"")))
}

/// The names of roles that CREATE ROLE lists.
pub(super) fn names(session: &Session, roles: &[RoleName]) -> Result<Vec<String>> {
    roles.iter().map(|role| known_role(session, role)).collect()
}
