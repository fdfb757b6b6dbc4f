//! Databases, schemas and remarks.

use arrow::array::RecordBatch;

use super::objects::{OWNER_OID, acl, namespaces, role_oid, schema_entry};
use super::relations::ColumnsOf;
use super::system::DATABASE_OID;
use crate::Result;
use crate::entry::{CatalogSnapshot, DatabaseEntry, DefaultRights};
use crate::log::DefaultsOf;
use crate::rights::Kind;

/// The number of UTF8 in `pg_encoding_to_char`.
const UTF8: i64 = 6;
const DEFAULT_TABLESPACE: i64 = 1663;
/// `pg_class`, `pg_namespace` and `pg_language` in `pg_description.classoid`.
const CLASS_RELATION: u32 = 1259;
const CLASS_NAMESPACE: u32 = 2615;
const CLASS_LANGUAGE: u32 = 2612;

pub(super) fn pg_database(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let snapshot = columns.snapshot;
    let all = databases(snapshot);
    let owner = |entry: &DatabaseEntry| role_oid(snapshot, entry.access.owner());
    columns
        .of(all.len())
        .oid("oid", all.iter().map(|entry| entry.oid))
        .text("datname", all.iter().map(|entry| entry.name.as_str()))
        .oid("datdba", all.iter().map(owner))
        .all_int("encoding", UTF8)
        .all_text("datlocprovider", "c")
        .all_true("datallowconn")
        .all_int("datconnlimit", -1)
        .all_int("datfrozenxid", 1)
        .all_int("datminmxid", 1)
        .all_int("dattablespace", DEFAULT_TABLESPACE)
        .all_text("datcollate", "C")
        .all_text("datctype", "C.UTF-8")
        .lists("datacl", all.iter().map(|entry| acl(&entry.access, Kind::Database)))
        .finish()
}

/// The databases; the one that the snapshot is of, where it says of no other.
fn databases(snapshot: &CatalogSnapshot) -> Vec<DatabaseEntry> {
    if !snapshot.databases.is_empty() {
        return snapshot.databases.clone();
    }
    let (oid, name) = (DATABASE_OID, snapshot.database.clone());
    vec![DatabaseEntry { oid, name, ..DatabaseEntry::default() }]
}

pub(super) fn pg_stat_database(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    columns
        .of(1)
        .all_int("datid", i64::from(DATABASE_OID))
        .all_text("datname", &columns.snapshot.database)
        .all_int("xact_commit", 0)
        .all_int("xact_rollback", 0)
        .all_int("blks_read", 0)
        .all_int("blks_hit", 0)
        .all_int("tup_returned", 0)
        .all_int("tup_fetched", 0)
        .finish()
}

pub(super) fn pg_namespace(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let snapshot = columns.snapshot;
    let all = namespaces(snapshot);
    let owner = |name: &str| {
        let entry = schema_entry(snapshot, name);
        entry.map_or(OWNER_OID, |schema| role_oid(snapshot, schema.access.owner()))
    };
    let rights = |name: &str| acl(&schema_entry(snapshot, name)?.access, Kind::Schema);
    columns
        .of(all.len())
        .oid("oid", all.iter().map(|(oid, _)| *oid))
        .text("nspname", all.iter().map(|(_, name)| *name))
        .oid("nspowner", all.iter().map(|(_, name)| owner(name)))
        .lists("nspacl", all.iter().map(|(_, name)| rights(name)))
        .finish()
}

/// Numbers of what has none of its own begin here.
const DEFAULT_ACL_OID: u32 = 4_000_000_000;

pub(super) fn pg_default_acl(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let snapshot = columns.snapshot;
    let all = &snapshot.default_rights;
    let schema = |rights: &DefaultRights| {
        let entry = rights.schema.as_ref().and_then(|name| schema_entry(snapshot, name));
        entry.map_or(0, |schema| schema.oid)
    };
    let letter = |rights: &DefaultRights| match rights.of {
        DefaultsOf::Relations => ("r", Kind::Relation),
        DefaultsOf::Schemas => ("n", Kind::Schema),
    };
    columns
        .of(all.len())
        .oid("oid", (DEFAULT_ACL_OID..).take(all.len()))
        .oid("defaclrole", all.iter().map(|rights| role_oid(snapshot, &rights.role)))
        .oid("defaclnamespace", all.iter().map(schema))
        .text("defaclobjtype", all.iter().map(|rights| letter(rights).0))
        .lists("defaclacl", all.iter().map(|rights| Some(rights.access.items(letter(rights).1))))
        .finish()
}

pub(super) fn pg_description(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let mut rows: Vec<(u32, u32, i64, &str)> = vec![
        (12, CLASS_LANGUAGE, 0, "built-in functions"),
        (13, CLASS_LANGUAGE, 0, "dynamically-loaded C functions"),
        (14, CLASS_LANGUAGE, 0, "SQL-language functions"),
    ];
    rows.extend(namespaces(columns.snapshot).into_iter().filter_map(|(oid, name)| {
        let said = schema_entry(columns.snapshot, name).and_then(|s| s.comment.as_deref());
        Some((oid, CLASS_NAMESPACE, 0, said.or_else(|| namespace_remark(name))?))
    }));
    for entry in columns.snapshot.schemas.iter().flat_map(|schema| &schema.tables) {
        if let Some(comment) = &entry.comment {
            rows.push((entry.oid, CLASS_RELATION, 0, comment));
        }
        for (number, comment) in (1..).zip(&entry.details.column_comments) {
            if let Some(comment) = comment {
                rows.push((entry.oid, CLASS_RELATION, number, comment));
            }
        }
    }
    columns
        .of(rows.len())
        .oid("objoid", rows.iter().map(|(object, ..)| *object))
        .oid("classoid", rows.iter().map(|(_, class, ..)| *class))
        .int("objsubid", rows.iter().map(|(_, _, number, _)| *number))
        .text("description", rows.iter().map(|(.., remark)| *remark))
        .finish()
}

/// What PostgreSQL says about its own schemas.
#[must_use]
pub fn namespace_remark(name: &str) -> Option<&'static str> {
    match name {
        "pg_catalog" => Some("system catalog schema"),
        "pg_toast" => Some("reserved schema for TOAST tables"),
        "public" => Some("standard public schema"),
        "tarn" => Some("what this server is doing"),
        _ => None,
    }
}
