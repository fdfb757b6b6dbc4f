//! Roles, what they are members of, and their settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, RecordBatch, TimestampMicrosecondArray, UInt32Builder};
use chrono::{DateTime, NaiveDateTime};

use super::objects::{OWNER_OID, role_oid};
use super::relations::ColumnsOf;
use crate::Result;
use crate::entry::RoleEntry;

/// `pg_roles` and `pg_authid`; neither shows a verifier.
pub(super) fn roles(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let all = &columns.snapshot.roles;
    let limit = |role: &RoleEntry| role.n_connections_max.map_or(-1, i64::from);
    let built = columns
        .of(all.len())
        .oid("oid", all.iter().map(|role| role.oid))
        .text("rolname", all.iter().map(|role| role.name.as_str()))
        .bool("rolsuper", all.iter().map(|role| role.superuser))
        .bool("rolinherit", all.iter().map(|role| role.inherit))
        .bool("rolcreaterole", all.iter().map(|role| role.create_role || role.superuser))
        .bool("rolcreatedb", all.iter().map(|role| role.create_database || role.superuser))
        .bool("rolcanlogin", all.iter().map(|role| role.login))
        .bool("rolreplication", all.iter().map(|role| role.replication))
        .bool("rolbypassrls", all.iter().map(|role| role.bypass_row_security || role.superuser))
        .int("rolconnlimit", all.iter().map(limit))
        .set("rolvaliduntil", &instants(all));
    // The verifier is nobody's business; PostgreSQL shows stars in the view.
    if columns.name == "pg_roles" {
        built
            .all_text("rolpassword", "********")
            .lists("rolconfig", all.iter().map(settings))
            .finish()
    } else {
        built.finish()
    }
}

fn settings(role: &RoleEntry) -> Option<Vec<String>> {
    (!role.settings.is_empty()).then(|| role.settings.clone())
}

/// The ends of passwords; a text that is no time shows as none.
fn instants(roles: &[RoleEntry]) -> ArrayRef {
    let micros = |role: &RoleEntry| {
        let text = role.valid_until.as_deref()?;
        let zoned = DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_micros());
        let plain = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f");
        zoned.ok().or_else(|| plain.ok().map(|at| at.and_utc().timestamp_micros()))
    };
    let values: TimestampMicrosecondArray = roles.iter().map(micros).collect();
    Arc::new(values.with_timezone("UTC"))
}

/// `pg_user` and `pg_shadow`: the roles that can log in.
pub(super) fn users(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let roles = &columns.snapshot.roles;
    let all: Vec<RoleEntry> = roles.iter().filter(|role| role.login).cloned().collect();
    let built = columns
        .of(all.len())
        .oid("usesysid", all.iter().map(|role| role.oid))
        .text("usename", all.iter().map(|role| role.name.as_str()))
        .bool("usesuper", all.iter().map(|role| role.superuser))
        .bool("usecreatedb", all.iter().map(|role| role.create_database || role.superuser))
        .bool("userepl", all.iter().map(|role| role.replication))
        .bool("usebypassrls", all.iter().map(|role| role.bypass_row_security || role.superuser))
        .set("valuntil", &instants(&all))
        .lists("useconfig", all.iter().map(settings));
    if columns.name == "pg_user" { built.all_text("passwd", "********") } else { built }.finish()
}

/// The roles that cannot log in, with their members.
pub(super) fn groups(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let roles = &columns.snapshot.roles;
    let all: Vec<&RoleEntry> = roles.iter().filter(|role| !role.login).collect();
    let mut members = ListBuilder::new(UInt32Builder::new());
    for group in &all {
        let inside = roles.iter().filter(|role| role.member_of.contains(&group.name));
        members.append_value(inside.map(|role| Some(role.oid)));
    }
    columns
        .of(all.len())
        .text("groname", all.iter().map(|role| role.name.as_str()))
        .oid("grosysid", all.iter().map(|role| role.oid))
        .set("grolist", &(Arc::new(members.finish()) as ArrayRef))
        .finish()
}

pub(super) fn pg_auth_members(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let snapshot = columns.snapshot;
    let mut rows: Vec<(u32, &RoleEntry, bool)> = Vec::new();
    for role in &snapshot.roles {
        for group in &role.member_of {
            rows.push((role_oid(snapshot, group), role, role.admin_of.contains(group)));
        }
    }
    columns
        .of(rows.len())
        .oid("oid", (1..).zip(&rows).map(|(number, _)| number))
        .oid("roleid", rows.iter().map(|(group, ..)| *group))
        .oid("member", rows.iter().map(|(_, role, _)| role.oid))
        .all_int("grantor", i64::from(OWNER_OID))
        .bool("admin_option", rows.iter().map(|(.., admin)| *admin))
        .bool("inherit_option", rows.iter().map(|(_, role, _)| role.inherit))
        .all_true("set_option")
        .finish()
}

pub(super) fn pg_db_role_setting(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let mut rows: BTreeMap<(u32, u32), Vec<String>> = BTreeMap::new();
    for (database, role, name, value) in &columns.snapshot.role_settings {
        rows.entry((*database, *role)).or_default().push(format!("{name}={value}"));
    }
    columns
        .of(rows.len())
        .oid("setdatabase", rows.keys().map(|(database, _)| *database))
        .oid("setrole", rows.keys().map(|(_, role)| *role))
        .lists("setconfig", rows.values().map(|settings| Some(settings.clone())))
        .finish()
}

/// `pg_authid` and `pg_database` in `pg_shdescription.classoid`.
const CLASS_ROLE: u32 = 1260;
const CLASS_DATABASE: u32 = 1262;

/// Remarks on roles and databases.
pub(super) fn pg_shdescription(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let snapshot = columns.snapshot;
    let roles = snapshot
        .roles
        .iter()
        .filter_map(|role| Some((role.oid, CLASS_ROLE, role.comment.as_deref()?)));
    let databases = snapshot
        .databases
        .iter()
        .filter_map(|known| Some((known.oid, CLASS_DATABASE, known.comment.as_deref()?)));
    let rows: Vec<(u32, u32, &str)> = roles.chain(databases).collect();
    columns
        .of(rows.len())
        .oid("objoid", rows.iter().map(|(object, ..)| *object))
        .oid("classoid", rows.iter().map(|(_, class, _)| *class))
        .text("description", rows.iter().map(|(.., remark)| *remark))
        .finish()
}
