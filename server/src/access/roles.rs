//! CREATE, ALTER and DROP ROLE.

use std::sync::Arc;

use tarn_catalog::log::{Entry, RoleDef};
use tarn_catalog::registry::Expect;
use tarn_planner::statement::{RoleName, RoleOptions};

use super::{denied, known_role, members, name_of, no_role, owners};
use crate::auth::{FIRST_ROLE, verifier_of};
use crate::error::{Error, Result};
use crate::query::CommandTag;
use crate::session::Session;

fn refused(code: &'static str, message: String, detail: Option<String>) -> Error {
    Error::Refused { code, message, detail, hint: None }
}

/// Whether the session's role has an attribute, or may do everything.
fn has(session: &Session, attribute: impl Fn(&tarn_catalog::RoleEntry) -> bool) -> bool {
    let seen = session.catalog_snapshot();
    seen.role(&session.current_user()).is_some_and(|role| role.superuser || attribute(role))
}

fn check_name(name: &str) -> Result<()> {
    if matches!(name, "public" | "none") {
        return Err(refused("42939", format!("role name \"{name}\" is reserved"), None));
    }
    if name.starts_with("pg_") {
        let detail = "Role names starting with \"pg_\" are reserved.".to_owned();
        let message = format!("role name \"{name}\" is reserved");
        return Err(refused("42939", message, Some(detail)));
    }
    Ok(())
}

/// CREATE ROLE.
pub(super) fn create(
    session: &Arc<Session>,
    name: &str,
    options: &RoleOptions,
) -> Result<CommandTag> {
    let superuser = session.is_superuser();
    for (asked, what) in [
        (options.superuser, "superusers"),
        (options.replication, "replication users"),
        (options.bypass_row_security, "bypassrls users"),
    ] {
        if asked == Some(true) && !superuser {
            return Err(denied(format!("must be superuser to create {what}")));
        }
    }
    if !has(session, |role| role.create_role) {
        return Err(denied("permission denied to create role"));
    }
    check_name(name)?;
    if session.catalog_snapshot().role(name).is_some() {
        return Err(refused("42710", format!("role \"{name}\" already exists"), None));
    }
    let mut role = RoleDef::default();
    apply(session, &mut role, name, options)?;
    session.define(Entry::PutRole { name: name.to_owned(), role }, Expect::New);
    for group in members::names(session, &options.in_roles)? {
        members::add(session, &group, name, false)?;
    }
    for member in members::names(session, &options.members)? {
        members::add(session, name, &member, false)?;
    }
    for member in members::names(session, &options.admins)? {
        members::add(session, name, &member, true)?;
    }
    Ok(CommandTag::new("CREATE ROLE"))
}

/// Puts what a statement says into a role.
fn apply(session: &Session, role: &mut RoleDef, name: &str, options: &RoleOptions) -> Result<()> {
    let set = |slot: &mut bool, value: Option<bool>| *slot = value.unwrap_or(*slot);
    set(&mut role.superuser, options.superuser);
    set(&mut role.login, options.login);
    set(&mut role.create_role, options.create_role);
    set(&mut role.create_database, options.create_database);
    set(&mut role.replication, options.replication);
    set(&mut role.bypass_row_security, options.bypass_row_security);
    set(&mut role.no_inherit, options.inherit.map(|inherit| !inherit));
    if let Some(limit) = options.n_connections_max {
        if limit < -1 {
            return Err(refused("22023", format!("invalid connection limit: {limit}"), None));
        }
        role.n_connections_max = u32::try_from(limit).ok();
    }
    if let Some(until) = &options.valid_until {
        role.valid_until = valid_until(until)?;
    }
    match &options.password {
        None => {}
        Some(None) => role.verifier = None,
        Some(Some(password)) if password.expose().is_empty() => {
            let message = "empty string is not a valid password, clearing password";
            session.notice("NOTICE", "00000", message);
            role.verifier = None;
        }
        Some(Some(password)) => role.verifier = Some(verifier_of(name, password.expose())?),
    }
    Ok(())
}

/// The end of a password's time in the form that is kept; `None` for one that never comes.
fn valid_until(text: &str) -> Result<Option<String>> {
    if text.trim().eq_ignore_ascii_case("infinity") {
        return Ok(None);
    }
    let at = crate::lookup::parse_instant(text).ok_or_else(|| {
        let message = format!("invalid input syntax for type timestamp with time zone: \"{text}\"");
        refused("22007", message, None)
    })?;
    Ok(Some(at.to_rfc3339()))
}

/// ALTER ROLE with options.
pub(super) fn alter(
    session: &Arc<Session>,
    name: &RoleName,
    options: &RoleOptions,
) -> Result<CommandTag> {
    let name = known_role(session, name)?;
    let mut role = definition(session, &name)?;
    let superuser = session.is_superuser();
    if !superuser {
        if options.superuser.is_some() || role.superuser {
            let message =
                "must be superuser to alter superuser roles or change superuser attribute";
            return Err(denied(message));
        }
        if options.replication.is_some() || role.replication {
            let message =
                "must be superuser to alter replication roles or change replication attribute";
            return Err(denied(message));
        }
        if options.bypass_row_security.is_some() {
            return Err(denied("must be superuser to change bypassrls attribute"));
        }
        // Everybody may change the own password, and nothing else.
        let own = RoleOptions { password: options.password.clone(), ..RoleOptions::default() };
        let only_password = name == session.current_user() && *options == own;
        if !only_password && !has(session, |role| role.create_role) {
            return Err(denied("permission denied"));
        }
    }
    let loses = options.superuser == Some(false) || options.login == Some(false);
    if name == FIRST_ROLE && loses {
        let message = format!("role \"{name}\" cannot lose SUPERUSER or LOGIN");
        let detail = "It is the role that the server is started with.".to_owned();
        return Err(refused("0A000", message, Some(detail)));
    }
    apply(session, &mut role, &name, options)?;
    session.define(Entry::PutRole { name, role }, Expect::Known);
    Ok(CommandTag::new("ALTER ROLE"))
}

/// The definition of a role that can be changed.
fn definition(session: &Session, name: &str) -> Result<RoleDef> {
    let found = session.with_definitions(|all| all.roles.get(name).cloned());
    match found {
        Some(role) => Ok(role),
        None if session.catalog_snapshot().role(name).is_some() => {
            check_name(name).and_then(|()| Err(no_role(name)))
        }
        None => Err(no_role(name)),
    }
}

/// ALTER ROLE … RENAME TO.
pub(super) fn rename(session: &Arc<Session>, old: &str, new: &str) -> Result<CommandTag> {
    let role = definition(session, old)?;
    for (name, what) in
        [(session.session_user(), "session user"), (session.current_user(), "current user")]
    {
        if name == old {
            return Err(refused("0A000", format!("{what} cannot be renamed"), None));
        }
    }
    if old == FIRST_ROLE {
        let detail = "It is the role that the server is started with.".to_owned();
        let message = format!("role \"{old}\" cannot be renamed");
        return Err(refused("0A000", message, Some(detail)));
    }
    check_name(new)?;
    if session.catalog_snapshot().role(new).is_some() {
        return Err(refused("42710", format!("role \"{new}\" already exists"), None));
    }
    if role.superuser && !session.is_superuser() {
        return Err(denied("must be superuser to rename superusers"));
    }
    if !has(session, |role| role.create_role) {
        return Err(denied("permission denied to rename role"));
    }
    refuse_in_block(session, "ALTER ROLE … RENAME")?;
    let entry = Entry::RenameRole { name: old.to_owned(), new: new.to_owned() };
    session.define(entry, Expect::Known);
    Ok(CommandTag::new("ALTER ROLE"))
}

/// Everything names roles: a name that only one transaction knows would be everywhere in it.
fn refuse_in_block(session: &Session, what: &str) -> Result<()> {
    if session.in_block() {
        return Err(Error::Refused {
            code: "0A000",
            message: format!("{what} inside of a transaction block is not supported"),
            detail: None,
            hint: Some("Run it outside of BEGIN and COMMIT.".to_owned()),
        });
    }
    Ok(())
}

/// DROP ROLE.
pub(super) fn remove(
    session: &Arc<Session>,
    names: &[RoleName],
    if_exists: bool,
) -> Result<CommandTag> {
    if !has(session, |role| role.create_role) {
        return Err(denied("permission denied to drop role"));
    }
    for name in names {
        let name = match name {
            RoleName::Named(name) => name.clone(),
            RoleName::Current | RoleName::Session | RoleName::Public => {
                let message = "cannot use special role specifier in DROP ROLE".to_owned();
                return Err(refused("42601", message, None));
            }
        };
        remove_one(session, &name, if_exists)?;
    }
    Ok(CommandTag::new("DROP ROLE"))
}

fn remove_one(session: &Arc<Session>, name: &str, if_exists: bool) -> Result<()> {
    let seen = session.catalog_snapshot();
    let Some(entry) = seen.role(name) else {
        if !if_exists {
            return Err(no_role(name));
        }
        let message = format!("role \"{name}\" does not exist, skipping");
        session.notice("NOTICE", "00000", message);
        return Ok(());
    };
    for (role, what) in [
        (name_of(session, &RoleName::Current)?, "current user"),
        (session.user().to_string(), "current user"),
        (session.session_user(), "session user"),
    ] {
        if role == name {
            return Err(refused("55006", format!("{what} cannot be dropped"), None));
        }
    }
    if entry.superuser && !session.is_superuser() {
        return Err(denied("must be superuser to drop superusers"));
    }
    if name == FIRST_ROLE || name.starts_with("pg_") {
        let message =
            format!("cannot drop role {name} because it is required by the database system");
        return Err(refused("2BP01", message, None));
    }
    let belongs = owners::belongings(session, name);
    if !belongs.is_empty() {
        let message =
            format!("role \"{name}\" cannot be dropped because some objects depend on it");
        return Err(refused("2BP01", message, Some(belongs.join("\n"))));
    }
    session.define(Entry::DropRole { name: name.to_owned() }, Expect::Known);
    Ok(())
}
