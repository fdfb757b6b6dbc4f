//! `has_…_privilege`, `pg_has_role`: what the statements that are bound would find.
//!
//! The privilege words are checked, as clients test a server's answer to nonsense.

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use tarn_catalog::log::Access;
use tarn_catalog::rights::{Kind as Securable, Privilege};
use tarn_catalog::{CatalogError, RoleEntry, TableEntry};

use super::function::{Call, Kind, Spec, Value, stable};
use super::lookup::relation;
use crate::error::PlannerError;

pub(super) const FUNCTIONS: &[Spec] = &[
    stable("has_table_privilege", (2, 3), Kind::Bool, |call, row| on_relation(call, row, TABLE)),
    stable("has_any_column_privilege", (2, 3), Kind::Bool, |call, row| {
        let at = call.n_arguments().saturating_sub(2);
        of_relation(call, row, (at, 3), COLUMN, Part::AnyColumn)
    }),
    stable("has_column_privilege", (3, 4), Kind::Bool, on_column),
    stable("has_schema_privilege", (2, 3), Kind::Bool, |call, row| {
        let words = words(call, row, &["CREATE", "USAGE"])?;
        let Some(role) = asker(call, row, 3)? else { return Ok(Value::Null) };
        let at = call.n_arguments().saturating_sub(2);
        let given = call.shown(at, row)?.unwrap_or_default();
        let schemas = &call.facts.catalog.schemas;
        let number = call.oid(at, row);
        let found = schemas.iter().find(|schema| match number {
            Some(number) => schema.oid == number,
            None => schema.name == given,
        });
        match found {
            Some(schema) if is_system(&schema.name) => {
                let usage = words.iter().any(|(privilege, _)| *privilege == Privilege::Usage);
                Ok(Value::Bool(usage || call.facts.catalog.is_superuser(&role)))
            }
            Some(schema) => Ok(holds(call, &role, &schema.access, Securable::Schema, &words)),
            None if number.is_some() => Ok(Value::Null),
            None => Err(CatalogError::SchemaNotFound { name: given }.into()),
        }
    }),
    stable("has_database_privilege", (2, 3), Kind::Bool, |call, row| {
        let words = words(call, row, &["CREATE", "CONNECT", "TEMPORARY", "TEMP"])?;
        let Some(role) = asker(call, row, 3)? else { return Ok(Value::Null) };
        let at = call.n_arguments().saturating_sub(2);
        let given = call.shown(at, row)?.unwrap_or_default();
        let number = call.oid(at, row);
        let databases = &call.facts.catalog.databases;
        let found = databases.iter().find(|known| match number {
            Some(number) => known.oid == number,
            None => known.name == given,
        });
        match found {
            Some(known) => Ok(holds(call, &role, &known.access, Securable::Database, &words)),
            None if number.is_some() => Ok(Value::Null),
            None if databases.is_empty() => Ok(Value::Bool(true)),
            None => Err(CatalogError::ObjectNotFound { kind: "database", name: given }.into()),
        }
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
    stable("pg_has_role", (2, 3), Kind::Bool, has_role),
    stable("row_security_active", (1, 1), Kind::Bool, |_, _| Ok(Value::Bool(false))),
];

const TABLE: &[&str] =
    &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "RULE"];
const COLUMN: &[&str] = &["SELECT", "INSERT", "UPDATE", "REFERENCES"];
const SYSTEM: [&str; 3] = ["pg_catalog", "information_schema", "tarn"];
/// Relations of `pg_catalog` that superusers alone can read.
const SECRET: [&str; 2] = ["pg_authid", "pg_shadow"];

fn is_system(schema: &str) -> bool {
    SYSTEM.contains(&schema)
}

/// The role whose rights are asked for: the first of `n_full` arguments, else the session's.
fn asker(call: &Call<'_>, row: usize, n_full: usize) -> Result<Option<String>> {
    if call.n_arguments() < n_full {
        return Ok(Some(call.facts.user.clone()));
    }
    let Some(given) = call.shown(0, row)? else { return Ok(None) };
    if given == "public" {
        return Ok(Some(given));
    }
    match named(call, &given) {
        Some(role) => Ok(Some(role.name.clone())),
        None => Err(no_role(&given)),
    }
}

/// A role by its name or number.
fn named<'a>(call: &Call<'a>, text: &str) -> Option<&'a RoleEntry> {
    let roles = &call.facts.catalog.roles;
    let named = roles.iter().find(|role| role.name == text);
    named.or_else(|| roles.iter().find(|role| role.oid.to_string() == text))
}

fn no_role(name: &str) -> DataFusionError {
    CatalogError::ObjectNotFound { kind: "role", name: name.to_owned() }.into()
}

/// The last argument: privileges, of which one is enough, and whether they have to be ones that
/// can be handed on.
fn words(call: &Call<'_>, row: usize, known: &[&str]) -> Result<Vec<(Privilege, bool)>> {
    check(call, row, known)?;
    let last = call.n_arguments().saturating_sub(1);
    let text = call.text(last, row).unwrap_or_default();
    let word = |word: &str| {
        let upper = word.trim().to_ascii_uppercase();
        let plain = upper.strip_suffix(" WITH GRANT OPTION");
        Some((Privilege::parse(plain.unwrap_or(&upper))?, plain.is_some()))
    };
    Ok(text.split(',').filter_map(word).collect())
}

fn holds(
    call: &Call<'_>,
    role: &str,
    access: &Access,
    kind: Securable,
    words: &[(Privilege, bool)],
) -> Value {
    let catalog = &call.facts.catalog;
    let one = |(privilege, option): &(Privilege, bool)| {
        if role == "public" {
            let all = access.effective(kind);
            let grant = all.get(role).and_then(|grant| grant.privileges.get(&privilege.key()));
            return grant.is_some_and(|can_hand_on| *can_hand_on || !option);
        }
        match option {
            true => catalog.grantor(role, access, kind, *privilege).is_some(),
            false => catalog.may(role, access, kind, *privilege),
        }
    };
    Value::Bool(words.iter().any(one))
}

fn on_relation(call: &Call<'_>, row: usize, known: &[&str]) -> Result<Value> {
    let at = call.n_arguments().saturating_sub(2);
    of_relation(call, row, (at, 3), known, Part::Whole)
}

fn on_column(call: &Call<'_>, row: usize) -> Result<Value> {
    let at = call.n_arguments().saturating_sub(3);
    of_relation(call, row, (at, 4), COLUMN, Part::Column(at + 1))
}

/// What of a relation is asked for.
#[derive(Clone, Copy)]
enum Part {
    Whole,
    AnyColumn,
    /// The one that an argument names, or gives the number of.
    Column(usize),
}

/// The columns that are meant; the inner `None` for a number that is none's.
fn columns_meant<'a>(
    call: &Call<'_>,
    row: usize,
    part: Part,
    entry: &'a TableEntry,
) -> Result<Option<Vec<&'a str>>> {
    let names = entry.columns.iter().map(|column| column.name.as_str());
    let at = match part {
        Part::Whole => return Ok(Some(vec![])),
        Part::AnyColumn => return Ok(Some(names.collect())),
        Part::Column(at) => at,
    };
    if let Some(number) = call.oid(at, row) {
        let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        return Ok(place.and_then(|place| names.clone().nth(place)).map(|name| vec![name]));
    }
    let wanted = call.text(at, row).unwrap_or_default();
    match names.clone().find(|name| *name == wanted) {
        Some(name) => Ok(Some(vec![name])),
        None => {
            let message =
                format!("column \"{wanted}\" of relation \"{}\" does not exist", entry.name);
            let error = PlannerError::Semantics { code: "42703", message, position: None };
            Err(DataFusionError::External(Box::new(error)))
        }
    }
}

fn holds_column(
    call: &Call<'_>,
    role: &str,
    access: &Access,
    column: &str,
    (privilege, option): (Privilege, bool),
) -> bool {
    let catalog = &call.facts.catalog;
    if role == "public" {
        let grant = access.grants.as_ref().and_then(|grants| grants.get(role));
        let given = grant.and_then(|grant| grant.columns.get(column)?.get(&privilege.key()));
        return given.is_some_and(|can_hand_on| *can_hand_on || !option);
    }
    match option {
        true => catalog.column_grantor(role, access, privilege, column).is_some(),
        false => catalog.reach(role, access, privilege).has(column),
    }
}

fn of_relation(
    call: &Call<'_>,
    row: usize,
    (at, n_full): (usize, usize),
    known: &[&str],
    part: Part,
) -> Result<Value> {
    let words = words(call, row, known)?;
    let Some(role) = asker(call, row, n_full)? else { return Ok(Value::Null) };
    let number = call.oid(at, row);
    let found = match (number, call.text(at, row)) {
        (Some(number), _) => call.table(number),
        (None, Some(name)) => match relation(call.facts, name) {
            Some(found) => Some(found),
            None => return Err(CatalogError::TableNotFound { name: name.to_owned() }.into()),
        },
        (None, None) => None,
    };
    let Some((schema, entry)) = found else { return Ok(Value::Null) };
    let Some(columns) = columns_meant(call, row, part, entry)? else { return Ok(Value::Null) };
    if is_system(&schema.name) {
        let secret = SECRET.contains(&entry.name.as_str());
        let select = words.contains(&(Privilege::Select, false));
        return Ok(Value::Bool(call.facts.catalog.is_superuser(&role) || (select && !secret)));
    }
    if schema.name.starts_with("pg_temp_") {
        return Ok(Value::Bool(true));
    }
    let whole = holds(call, &role, &entry.access, Securable::Relation, &words);
    let on_column = |column: &&str| {
        words.iter().any(|word| holds_column(call, &role, &entry.access, column, *word))
    };
    Ok(if columns.iter().any(on_column) { Value::Bool(true) } else { whole })
}

/// `pg_has_role`: MEMBER counts memberships of all kinds, USAGE those whose rights are inherited.
fn has_role(call: &Call<'_>, row: usize) -> Result<Value> {
    check(call, row, &["MEMBER", "USAGE", "SET"])?;
    let (user, at) = match call.n_arguments() {
        3 => (call.shown(0, row)?, 1),
        _ => (Some(call.facts.user.clone()), 0),
    };
    let (Some(user), Some(role)) = (user, call.shown(at, row)?) else { return Ok(Value::Null) };
    let find = |text: &str| named(call, text).ok_or_else(|| no_role(text));
    let (user, role) = (find(&user)?, find(&role)?);
    let catalog = &call.facts.catalog;
    let last = call.n_arguments().saturating_sub(1);
    let one = |word: &str| {
        let upper = word.trim().to_ascii_uppercase();
        if upper.ends_with(" OPTION") {
            return catalog.is_admin_of(&user.name, &role.name);
        }
        match upper.as_str() {
            "USAGE" => catalog.has_rights_of(&user.name, &role.name),
            _ => catalog.is_member_of(&user.name, &role.name),
        }
    };
    let text = call.text(last, row).unwrap_or_default();
    Ok(Value::Bool(text.split(',').any(one)))
}

/// Sees that the privileges are known words; what there are no rights on is everybody's.
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
