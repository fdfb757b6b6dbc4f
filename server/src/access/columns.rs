//! GRANT and REVOKE of rights on columns, and rights that follow their columns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tarn_catalog::TableName;
use tarn_catalog::log::{Access, GrantDef};
use tarn_catalog::rights::{COLUMN_PRIVILEGES, Privilege};
use tarn_planner::statement::Privileges;

use super::denied;
use super::grants::{Object, dependents_exist};
use crate::error::{Error, Result};
use crate::session::Session;

/// What a statement says of columns: each with its rights.
pub(super) type Asked = BTreeMap<String, BTreeSet<Privilege>>;

/// Reads what a statement says of columns.
///
/// # Errors
/// 42601 and 0LP01 for words that are no right on a column.
pub(super) fn asked(privileges: &Privileges) -> Result<Asked> {
    let refused = |code, message| Error::Refused { code, message, detail: None, hint: None };
    let mut all = Asked::new();
    for (word, columns) in &privileges.columns {
        let rights = match word {
            None => COLUMN_PRIVILEGES.to_vec(),
            Some(word) => {
                let known = Privilege::parse(word).ok_or_else(|| {
                    let word = word.to_lowercase();
                    refused("42601", format!("unrecognized privilege type \"{word}\""))
                })?;
                if !COLUMN_PRIVILEGES.contains(&known) {
                    let message = format!("invalid privilege type {} for column", known.word());
                    return Err(refused("0LP01", message));
                }
                vec![known]
            }
        };
        for column in columns {
            all.entry(column.clone()).or_default().extend(&rights);
        }
    }
    Ok(all)
}

/// Changes the rights on columns of one object.
///
/// # Errors
/// 0LP01 for what has no columns, 42703, 42501, 2BP01.
pub(super) fn change(
    session: &Session,
    object: &Object,
    (asked, columns): (&Privileges, &Asked),
    roles: &[String],
    all: &mut BTreeMap<String, GrantDef>,
) -> Result<()> {
    if columns.is_empty() {
        return Ok(());
    }
    let Object::Relation(name) = object else {
        let message = "column privileges are only valid for relations".to_owned();
        return Err(Error::Refused { code: "0LP01", message, detail: None, hint: None });
    };
    let before = object.access(session);
    let seen = session.catalog_snapshot();
    let known = seen.table(name.schema(), name.table()).map(|table| &table.columns);
    for (column, privileges) in columns {
        if !known.is_some_and(|known| known.iter().any(|known| known.name == *column)) {
            let table = name.table();
            let message = format!("column \"{column}\" of relation \"{table}\" does not exist");
            return Err(Error::Value { code: "42703", message });
        }
        let allowed = allowed(session, name, (&before, column), privileges, asked.grant)?;
        for role in roles {
            for (privilege, grantor) in &allowed {
                if asked.grant {
                    let grant =
                        all.entry(role.clone()).or_insert_with(|| GrantDef::by(grantor.as_str()));
                    let given = grant.columns.entry(column.clone()).or_default();
                    *given.entry(privilege.key()).or_default() |= asked.option;
                } else if grantor.as_str() == before.owner()
                    || all.get(role).is_some_and(|grant| grant.grantor == *grantor)
                {
                    revoke(all, role, column, *privilege, asked)?;
                }
            }
        }
    }
    Ok(())
}

/// The rights on a column that the session may change, and in whose name.
fn allowed(
    session: &Session,
    table: &TableName,
    (access, column): (&Access, &str),
    privileges: &BTreeSet<Privilege>,
    grant: bool,
) -> Result<Vec<(Privilege, String)>> {
    let (seen, role) = (session.catalog_snapshot(), session.current_user());
    let grantor = |privilege: &Privilege| {
        Some((*privilege, seen.column_grantor(&role, access, *privilege, column)?))
    };
    let found: Vec<_> = privileges.iter().filter_map(grantor).collect();
    let described = format!("column \"{column}\" of relation \"{}\"", table.table());
    if found.is_empty() {
        let any = |p: &Privilege| seen.reach(&role, access, *p).has(column);
        let on_table = |p: &Privilege| seen.may(&role, access, Object::RELATION, *p);
        let has_any =
            COLUMN_PRIVILEGES.iter().any(any) || Object::RELATION.privileges().iter().any(on_table);
        if !has_any {
            return Err(denied(format!("permission denied for {described}")));
        }
    }
    if found.len() < privileges.len() {
        let some = if found.is_empty() { "no" } else { "not all" };
        let (code, done) = match grant {
            true => ("01007", "were granted"),
            false => ("01006", "could be revoked"),
        };
        let message = format!("{some} privileges {done} for {described}");
        session.notice("WARNING", code, message);
    }
    Ok(found)
}

/// Takes a right on all columns from a role that loses it on the table.
///
/// # Errors
/// 2BP01 where others have it of that role.
pub(super) fn revoke_all(
    all: &mut BTreeMap<String, GrantDef>,
    role: &str,
    privilege: Privilege,
    asked: &Privileges,
) -> Result<()> {
    let columns: Vec<String> =
        all.get(role).map(|grant| grant.columns.keys().cloned().collect()).unwrap_or_default();
    columns.iter().try_for_each(|column| revoke(all, role, column, privilege, asked))
}

fn revoke(
    all: &mut BTreeMap<String, GrantDef>,
    role: &str,
    column: &str,
    privilege: Privilege,
    asked: &Privileges,
) -> Result<()> {
    let key = privilege.key();
    let Some(grant) = all.get_mut(role) else { return Ok(()) };
    let Some(given) = grant.columns.get_mut(column) else { return Ok(()) };
    let had_option = match asked.option {
        true => given.get_mut(&key).is_some_and(std::mem::take),
        false => given.remove(&key).unwrap_or(false),
    };
    if given.is_empty() {
        grant.columns.remove(column);
    }
    if !had_option {
        return Ok(());
    }
    let depends = |(other, grant): (&String, &GrantDef)| {
        let has = grant.columns.get(column).is_some_and(|given| given.contains_key(&key));
        (other != role && grant.grantor == role && has).then(|| other.clone())
    };
    let dependents: Vec<String> = all.iter().filter_map(depends).collect();
    if !dependents.is_empty() && !asked.cascade {
        return Err(dependents_exist());
    }
    let whole = Privileges { option: false, ..asked.clone() };
    dependents.iter().try_for_each(|role| revoke(all, role, column, privilege, &whole))
}

impl Session {
    /// Has the rights on a column follow it to its new name, or end with it.
    pub(crate) fn follow_column(&self, name: &TableName, old: &str, new: Option<&str>) {
        let before = Object::Relation(name.clone()).access(self);
        let after = match new {
            Some(new) => before.with_column_renamed(old, new),
            None => before.without_columns(|column| column != old),
        };
        if let Some(after) = after {
            self.put_access(name, &before, Arc::new(after));
        }
    }
}
