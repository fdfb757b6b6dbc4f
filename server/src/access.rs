//! Roles and rights: who a session is, what it may do, and the statements that change this.
//!
//! | module | what |
//! |---|---|
//! | `identity` | SET ROLE, SET SESSION AUTHORIZATION: whose rights count |
//! | `check` | the one place that refuses: rights on relations, schemas, the database, files |
//! | `roles` | CREATE, ALTER and DROP ROLE |
//! | `members` | GRANT role TO role |
//! | `grants` | GRANT and REVOKE of rights |
//! | `columns` | the same on columns |
//! | `defaults` | the same on objects to come |
//! | `dropping` | DROP OWNED |
//! | `owners` | OWNER TO, and what belongs to a role |
//! | `settings` | ALTER SYSTEM, ALTER ROLE … SET, ALTER DATABASE … SET |
//!
//! Everything is decided on the session's `CatalogSnapshot`; how rights follow from roles is in
//! `tarn_catalog::rights`.

use std::sync::Arc;

use tarn_catalog::log::{Definitions, Entry};
use tarn_catalog::registry::Expect;
use tarn_planner::statement::{Access, RoleName};

use crate::error::{Error, Result};
use crate::query::CommandTag;
use crate::session::Session;

pub(crate) mod check;
mod columns;
mod defaults;
mod dropping;
mod grants;
pub(crate) mod identity;
mod members;
pub(crate) mod owners;
pub(crate) mod roles;
mod settings;

pub(crate) use grants::check_new_owner;
pub(crate) use identity::is_identity;

/// Runs one statement about roles or rights.
pub(crate) fn run(session: &Arc<Session>, access: &Access) -> Result<CommandTag> {
    match access {
        Access::CreateRole { name, options } => roles::create(session, name, options),
        Access::AlterRole { name, options } => roles::alter(session, name, options),
        Access::RenameRole { old, new } => roles::rename(session, old, new),
        Access::DropRoles { names, if_exists } => roles::remove(session, names, *if_exists),
        Access::Membership(membership) => members::change(session, membership),
        Access::Privileges(privileges) => grants::change(session, privileges),
        Access::DefaultPrivileges(asked) => defaults::change(session, asked),
        Access::DropOwned { roles, cascade } => dropping::drop_owned(session, roles, *cascade),
        Access::Owner { what, owner } => owners::change(session, what, owner),
        Access::Reassign { from, to } => owners::reassign(session, from, to),
        Access::Setting { scope, name, value } => {
            settings::change(session, scope, name.as_deref(), value.as_deref())
        }
    }
}

impl Session {
    /// Reads what the catalog says, with what the transaction has defined over it.
    pub(crate) fn with_definitions<T>(&self, read: impl FnOnce(&Definitions) -> T) -> T {
        let defined = self.inner.lock().changes.defined();
        self.shared.catalog.with_definitions(|all| {
            if defined.is_empty() { read(all) } else { read(&all.with(&defined)) }
        })
    }

    /// Notes that the transaction defines something.
    pub(crate) fn define(&self, entry: Entry, expect: Expect) {
        let before = self.shared.catalog.with_definitions(|all| all.said_of(&entry));
        self.inner.lock().changes.define(entry, expect, before);
        self.touch();
    }
}

/// The name of a role that a statement names.
fn name_of(session: &Session, role: &RoleName) -> Result<String> {
    match role {
        RoleName::Named(name) => Ok(name.clone()),
        RoleName::Current => Ok(session.current_user()),
        RoleName::Session => Ok(session.session_user()),
        RoleName::Public => Err(no_role("public")),
    }
}

/// As [`name_of`], of a role that has to be there.
pub(crate) fn known_role(session: &Session, role: &RoleName) -> Result<String> {
    let name = name_of(session, role)?;
    if session.catalog_snapshot().role(&name).is_none() {
        return Err(no_role(&name));
    }
    Ok(name)
}

fn no_role(name: &str) -> Error {
    let message = format!("role \"{name}\" does not exist");
    Error::Refused { code: "42704", message, detail: None, hint: None }
}

/// The error for what a role may not do.
pub(crate) fn denied(message: impl Into<String>) -> Error {
    Error::Refused { code: "42501", message: message.into(), detail: None, hint: None }
}
