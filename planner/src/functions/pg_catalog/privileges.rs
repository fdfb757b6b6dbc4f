//! `has_…_privilege`: every role may read everything, superusers may do everything.
//!
//! The privilege words are checked, as clients test a server's answer to nonsense.

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use tarn_catalog::CatalogError;

use super::function::{Call, Kind, Spec, Value, stable};
use super::lookup::relation;
use crate::error::PlannerError;

pub(super) const FUNCTIONS: &[Spec] = &[
    stable("has_table_privilege", (2, 3), Kind::Bool, |call, row| {
        let last = call.n_arguments().saturating_sub(1);
        relation_exists(call, row, last.saturating_sub(1))?;
        check(call, row, TABLE)
    }),
    stable("has_any_column_privilege", (2, 3), Kind::Bool, |call, row| {
        let last = call.n_arguments().saturating_sub(1);
        relation_exists(call, row, last.saturating_sub(1))?;
        check(call, row, COLUMN)
    }),
    stable("has_column_privilege", (3, 4), Kind::Bool, |call, row| check(call, row, COLUMN)),
    stable("has_schema_privilege", (2, 3), Kind::Bool, |call, row| {
        check(call, row, &["CREATE", "USAGE"])
    }),
    stable("has_database_privilege", (2, 3), Kind::Bool, |call, row| {
        check(call, row, &["CREATE", "CONNECT", "TEMPORARY", "TEMP"])
    }),
    stable("has_function_privilege", (2, 3), Kind::Bool, |call, row| {
        check(call, row, &["EXECUTE"])
    }),
    stable("has_sequence_privilege", (2, 3), Kind::Bool, |call, row| {
        check(call, row, &["USAGE", "SELECT", "UPDATE"])
    }),
    stable("has_type_privilege", (2, 3), Kind::Bool, |call, row| check(call, row, &["USAGE"])),
    stable("has_language_privilege", (2, 3), Kind::Bool, |call, row| check(call, row, &["USAGE"])),
    stable("has_tablespace_privilege", (2, 3), Kind::Bool, |call, row| {
        check(call, row, &["CREATE"])
    }),
    stable("has_server_privilege", (2, 3), Kind::Bool, |call, row| check(call, row, &["USAGE"])),
    stable("has_foreign_data_wrapper_privilege", (2, 3), Kind::Bool, |call, row| {
        check(call, row, &["USAGE"])
    }),
    stable("has_parameter_privilege", (2, 3), Kind::Bool, |call, row| {
        check(call, row, &["SET", "ALTER SYSTEM"])
    }),
    stable("pg_has_role", (2, 3), Kind::Bool, |call, row| {
        check(call, row, &["MEMBER", "USAGE", "SET"])?;
        // No role is a member of another; a superuser counts as a member of each.
        let (user, role) = if call.n_arguments() == 3 { (Some(0), 1) } else { (None, 0) };
        let user = match user {
            Some(at) => call.shown(at, row)?,
            None => Some(call.facts.user.clone()),
        };
        let role = call.shown(role, row)?;
        let named = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            let roles = &call.facts.catalog.roles;
            roles.iter().find(|role| role.name == text || role.oid.to_string() == text).cloned()
        };
        let (user, role) = (named(&user), named(&role));
        let superuser = user.as_ref().is_some_and(|user| user.superuser);
        Ok(Value::Bool(superuser || (user.is_some() && user == role)))
    }),
    stable("row_security_active", (1, 1), Kind::Bool, |_, _| Ok(Value::Bool(false))),
];

const TABLE: &[&str] =
    &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "RULE"];
const COLUMN: &[&str] = &["SELECT", "INSERT", "UPDATE", "REFERENCES"];

/// A relation given by name must exist; one given by a number need not.
fn relation_exists(call: &Call<'_>, row: usize, argument: usize) -> Result<()> {
    let Some(name) = call.text(argument, row) else { return Ok(()) };
    if call.oid(argument, row).is_some() || relation(call.facts, name).is_some() {
        return Ok(());
    }
    Err(CatalogError::TableNotFound { name: name.to_owned() }.into())
}

/// The last argument is a list of privileges, of which one is enough.
fn check(call: &Call<'_>, row: usize, known: &[&str]) -> Result<Value> {
    let last = call.n_arguments().saturating_sub(1);
    for word in call.text(last, row).unwrap_or_default().split(',') {
        let upper = word.trim().to_ascii_uppercase();
        let plain = upper.strip_suffix(" WITH GRANT OPTION").unwrap_or(&upper);
        let plain = plain.strip_suffix(" WITH ADMIN OPTION").unwrap_or(plain);
        if !known.contains(&plain) {
            let message = format!("unrecognized privilege type: \"{}\"", word.trim());
            let error = PlannerError::Semantics { code: "22023", message, position: None };
            return Err(DataFusionError::External(Box::new(error)));
        }
    }
    Ok(Value::Bool(true))
}
