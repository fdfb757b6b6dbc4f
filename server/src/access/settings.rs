//! Settings for sessions to come: ALTER SYSTEM, ALTER DATABASE … SET, ALTER ROLE … SET.
//!
//! A session begins with those of the system, the database, the role, and the role in the
//! database, the later ones over the earlier ones; what the client asks for comes over all.

use std::sync::Arc;

use tarn_catalog::CatalogError;
use tarn_catalog::log::{Entry, Scope};
use tarn_catalog::registry::Expect;
use tarn_planner::statement::SettingScope;
use tarn_planner::variables::Variables;

use super::identity::is_identity;
use super::{denied, known_role};
use crate::error::Result;
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

/// Changes one setting, or takes away all of them.
pub(super) fn change(
    session: &Arc<Session>,
    scope: &SettingScope,
    name: Option<&str>,
    value: Option<&str>,
) -> Result<CommandTag> {
    let (scope, tag) = checked_scope(session, scope)?;
    let known = session.with_definitions(|all| {
        let own = all.settings.keys().filter(|(at, _)| *at == scope);
        own.map(|(_, name)| name.clone()).collect::<Vec<_>>()
    });
    let entry = match (name, value) {
        (Some(name), Some(value)) => {
            check_name(name)?;
            let value = canonical(name, value)?;
            Entry::PutSetting { scope, name: name.to_owned(), value }
        }
        (Some(name), None) => {
            Variables::default().reset(Some(name))?;
            Entry::DropSetting { scope, name: name.to_owned() }
        }
        (None, _) => {
            for name in known {
                let entry = Entry::DropSetting { scope: scope.clone(), name };
                session.define(entry, Expect::Any);
            }
            return Ok(CommandTag::new(tag));
        }
    };
    session.define(entry, Expect::Any);
    Ok(CommandTag::new(tag))
}

/// The value as it is kept, after the checks that SET makes.
fn canonical(name: &str, value: &str) -> Result<String> {
    let mut variables = Variables::default();
    variables.set(name, value)?;
    Ok(variables.get(name).unwrap_or_else(|| value.to_owned()))
}

fn check_name(name: &str) -> Result<()> {
    let of_transaction = name.starts_with("transaction_") && name != "transaction_timeout";
    if of_transaction || is_identity(name) || name == "snapshot" {
        return Err(unsupported(format!("keeping the setting {name} for sessions to come")));
    }
    Ok(())
}

fn checked_scope(session: &Arc<Session>, scope: &SettingScope) -> Result<(Scope, &'static str)> {
    let seen = session.catalog_snapshot();
    let user = session.current_user();
    let database = |name: &String| match seen.databases.iter().find(|known| known.name == *name) {
        Some(found) => Ok(found),
        None => Err(CatalogError::ObjectNotFound { kind: "database", name: name.clone() }),
    };
    Ok(match scope {
        SettingScope::System => {
            session.require_superuser("permission denied to set parameter in ALTER SYSTEM")?;
            if session.in_block() {
                let message = "ALTER SYSTEM cannot run inside a transaction block".to_owned();
                let error = crate::error::Error::Value { code: "25001", message };
                return Err(error);
            }
            (Scope::System, "ALTER SYSTEM")
        }
        SettingScope::Database(name) => {
            let found = database(name)?;
            if !seen.has_rights_of(&user, found.access.owner()) {
                return Err(denied(format!("must be owner of database {name}")));
            }
            (Scope::Database(name.clone()), "ALTER DATABASE")
        }
        SettingScope::Role(None, None) => {
            return Err(unsupported("settings of all roles: ALTER SYSTEM SET, or this"));
        }
        SettingScope::Role(None, Some(name)) => {
            let found = database(name)?;
            if !seen.has_rights_of(&user, found.access.owner()) {
                return Err(denied(format!("must be owner of database {name}")));
            }
            (Scope::Database(name.clone()), "ALTER ROLE")
        }
        SettingScope::Role(Some(role), at) => {
            let role = known_role(session, role)?;
            let target_is_superuser = seen.is_superuser(&role);
            let create_role = seen.role(&user).is_some_and(|role| role.create_role);
            if target_is_superuser && !seen.is_superuser(&user) {
                return Err(denied("must be superuser to alter superusers"));
            }
            if role != user && !seen.is_superuser(&user) && !create_role {
                return Err(denied("permission denied"));
            }
            match at {
                Some(name) => {
                    database(name)?;
                    (Scope::RoleInDatabase(role, name.clone()), "ALTER ROLE")
                }
                None => (Scope::Role(role), "ALTER ROLE"),
            }
        }
    })
}
