//! Declared keys, checks and defaults: `pg_constraint`, `pg_index`, `pg_indexes`, `pg_attrdef`.
//!
//! A key looks as in PostgreSQL: a constraint and a unique index of the same name. Their numbers
//! are hashes with the highest bit set, which no relation's number has.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int16Builder, ListBuilder, RecordBatch, UInt32Builder};

use super::keywords::quote;
use super::objects::{Relation, relations};
use super::relations::ColumnsOf;
use crate::details::{ForeignKey, TableCheck, TableKey};
use crate::entry::{CatalogSnapshot, SchemaEntry, TableEntry};
use crate::pg_type::type_info;
use crate::{Result, TableKind};

/// The access method of indexes, `btree`.
pub(crate) const BTREE: i64 = 403;

/// A declared key of a table.
#[derive(Debug)]
pub(crate) struct Key<'a> {
    pub(crate) schema_oid: u32,
    pub(crate) schema: &'a str,
    pub(crate) entry: &'a TableEntry,
    pub(crate) key: &'a TableKey,
    /// Of the constraint, and of the index in `pg_class`.
    pub(crate) oid: u32,
    /// The numbers of the columns, from 1.
    pub(crate) columns: Vec<i16>,
}

/// The keys of a snapshot in order of schemas and tables.
pub(crate) fn keys(snapshot: &CatalogSnapshot) -> Vec<Key<'_>> {
    snapshot.schemas.iter().flat_map(schema_keys).collect()
}

fn schema_keys(schema: &SchemaEntry) -> impl Iterator<Item = Key<'_>> {
    let tables = schema.tables.iter().filter(|entry| entry.kind == TableKind::Table);
    tables.flat_map(|entry| {
        entry.details.keys.iter().map(|key| Key {
            schema_oid: schema.oid,
            schema: &schema.name,
            entry,
            key,
            oid: derived_oid(entry.oid, &key.name),
            columns: key.columns.iter().filter_map(|name| number_of(entry, name)).collect(),
        })
    })
}

fn number_of(entry: &TableEntry, column: &str) -> Option<i16> {
    let at = entry.columns.iter().position(|known| known.name == column)?;
    i16::try_from(at + 1).ok()
}

/// The number of something that belongs to a relation: a hash, with the highest bit set.
fn derived_oid(relation: u32, name: &str) -> u32 {
    let bytes = relation.to_be_bytes().into_iter().chain(name.bytes());
    let hash = bytes
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash | 0x8000_0000
}

/// A constraint of a table.
#[derive(Debug)]
pub(crate) struct Constraint<'a> {
    pub(crate) schema_oid: u32,
    pub(crate) schema: &'a str,
    pub(crate) entry: &'a TableEntry,
    pub(crate) oid: u32,
    pub(crate) kind: ConstraintKind<'a>,
}

/// What a constraint says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ConstraintKind<'a> {
    Key(&'a TableKey),
    Reference(&'a ForeignKey),
    Check(&'a TableCheck),
}

/// All constraints of a snapshot in order of schemas and tables.
pub(crate) fn constraints(snapshot: &CatalogSnapshot) -> Vec<Constraint<'_>> {
    let mut all = Vec::new();
    for schema in &snapshot.schemas {
        for entry in schema.tables.iter().filter(|entry| entry.kind == TableKind::Table) {
            let details = &entry.details;
            let keys = details.keys.iter().map(ConstraintKind::Key);
            let references = details.foreign_keys.iter().map(ConstraintKind::Reference);
            let checks = details.checks.iter().map(ConstraintKind::Check);
            all.extend(keys.chain(references).chain(checks).map(|kind| Constraint {
                schema_oid: schema.oid,
                schema: &schema.name,
                entry,
                oid: derived_oid(entry.oid, kind.name()),
                kind,
            }));
        }
    }
    all
}

impl<'a> ConstraintKind<'a> {
    pub(crate) fn name(self) -> &'a str {
        match self {
            Self::Key(key) => &key.name,
            Self::Reference(key) => &key.name,
            Self::Check(check) => &check.name,
        }
    }

    /// The letter in `pg_constraint.contype`.
    fn letter(self) -> &'static str {
        match self {
            Self::Key(key) if key.primary => "p",
            Self::Key(_) => "u",
            Self::Reference(_) => "f",
            Self::Check(_) => "c",
        }
    }

    /// The name in the information schema.
    pub(crate) fn standard_name(self) -> &'static str {
        match self {
            Self::Key(key) if key.primary => "PRIMARY KEY",
            Self::Key(_) => "UNIQUE",
            Self::Reference(_) => "FOREIGN KEY",
            Self::Check(_) => "CHECK",
        }
    }

    fn columns(self) -> &'a [String] {
        match self {
            Self::Key(key) => &key.columns,
            Self::Reference(key) => &key.columns,
            Self::Check(_) => &[],
        }
    }
}

impl<'a> Constraint<'a> {
    fn numbers(&self) -> Vec<i16> {
        let columns = self.kind.columns().iter();
        columns.filter_map(|name| number_of(self.entry, name)).collect()
    }

    /// The table that a reference names, and its columns.
    fn referred(&self, snapshot: &'a CatalogSnapshot) -> Option<(&'a TableEntry, Vec<String>)> {
        let ConstraintKind::Reference(key) = self.kind else { return None };
        let entry = snapshot.table(&key.schema, &key.table)?;
        if !key.referred.is_empty() {
            return Some((entry, key.referred.clone()));
        }
        let primary = entry.details.keys.iter().find(|key| key.primary);
        Some((entry, primary.map(|key| key.columns.clone()).unwrap_or_default()))
    }
}

/// The text of the constraint with this number, as `pg_get_constraintdef` gives it.
#[must_use]
pub fn constraint_definition(snapshot: &CatalogSnapshot, oid: u32) -> Option<String> {
    let all = constraints(snapshot);
    let found = all.iter().find(|constraint| constraint.oid == oid)?;
    Some(match found.kind {
        ConstraintKind::Key(key) => {
            let kind = if key.primary { "PRIMARY KEY" } else { "UNIQUE" };
            format!("{kind} ({})", column_list(&key.columns))
        }
        ConstraintKind::Check(check) => format!("CHECK ({})", check.expression),
        ConstraintKind::Reference(key) => {
            let schema = match key.schema.as_str() {
                "public" => String::new(),
                other => format!("{}.", quote(other)),
            };
            let referred = found.referred(snapshot).map(|(_, columns)| columns);
            let referred = referred.filter(|columns| !columns.is_empty());
            let referred = referred.map(|columns| format!("({})", column_list(&columns)));
            let columns = column_list(&key.columns);
            let (table, referred) = (quote(&key.table), referred.unwrap_or_default());
            format!("FOREIGN KEY ({columns}) REFERENCES {schema}{table}{referred}")
        }
    })
}

/// The text of the index with this number, or of its column from 1, as `pg_get_indexdef` does.
#[must_use]
pub fn index_definition(snapshot: &CatalogSnapshot, oid: u32, column: usize) -> Option<String> {
    let keys = keys(snapshot);
    let found = keys.iter().find(|key| key.oid == oid)?;
    if let Some(at) = column.checked_sub(1) {
        return Some(found.key.columns.get(at).map(|name| quote(name)).unwrap_or_default());
    }
    Some(statement(found))
}

fn statement(key: &Key<'_>) -> String {
    let (name, schema, table) = (quote(&key.key.name), quote(key.schema), quote(&key.entry.name));
    let columns = column_list(&key.key.columns);
    format!("CREATE UNIQUE INDEX {name} ON {schema}.{table} USING btree ({columns})")
}

fn column_list(columns: &[String]) -> String {
    columns.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}

/// Lists of column numbers as an array.
fn numbers<'a>(rows: impl Iterator<Item = &'a [i16]>) -> ArrayRef {
    let mut lists = ListBuilder::new(Int16Builder::new());
    for row in rows {
        lists.append_value(row.iter().map(|number| Some(*number)));
    }
    Arc::new(lists.finish())
}

/// The same, with NULL where there is no list.
fn optional_numbers(rows: &[Option<Vec<i16>>]) -> ArrayRef {
    let mut lists = ListBuilder::new(Int16Builder::new());
    for row in rows {
        match row {
            Some(row) => lists.append_value(row.iter().map(|number| Some(*number))),
            None => lists.append_null(),
        }
    }
    Arc::new(lists.finish())
}

pub(super) fn pg_constraint(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let all = constraints(columns.snapshot);
    let each = || all.iter();
    let numbers: Vec<Vec<i16>> = each().map(Constraint::numbers).collect();
    let referred: Vec<_> = each().map(|one| one.referred(columns.snapshot)).collect();
    let referred_numbers: Vec<Option<Vec<i16>>> = referred
        .iter()
        .map(|found| {
            let (entry, names) = found.as_ref()?;
            Some(names.iter().filter_map(|name| number_of(entry, name)).collect())
        })
        .collect();
    let is_key = |one: &Constraint<'_>| matches!(one.kind, ConstraintKind::Key(_));
    let is_reference = |one: &Constraint<'_>| matches!(one.kind, ConstraintKind::Reference(_));
    let action = || each().map(|one| if is_reference(one) { "a" } else { " " });
    let condition = |one: &Constraint<'_>| match one.kind {
        ConstraintKind::Check(check) => Some(check.expression.clone()),
        ConstraintKind::Key(_) | ConstraintKind::Reference(_) => None,
    };
    let conditions: Vec<Option<String>> = each().map(condition).collect();
    columns
        .of(all.len())
        .oid("oid", each().map(|one| one.oid))
        .text("conname", each().map(|one| one.kind.name()))
        .oid("connamespace", each().map(|one| one.schema_oid))
        .text("contype", each().map(|one| one.kind.letter()))
        .all_true("convalidated")
        .oid("conrelid", each().map(|one| one.entry.oid))
        .oid("conindid", each().map(|one| if is_key(one) { one.oid } else { 0 }))
        .oid("confrelid", referred.iter().map(|found| found.as_ref().map_or(0, |f| f.0.oid)))
        .text("confupdtype", action())
        .text("confdeltype", action())
        .text("confmatchtype", each().map(|one| if is_reference(one) { "s" } else { " " }))
        .all_true("conislocal")
        .all_true("connoinherit")
        .set("conkey", &self::numbers(numbers.iter().map(Vec::as_slice)))
        .set("confkey", &optional_numbers(&referred_numbers))
        .text("conbin", conditions.iter().map(Option::as_deref))
        .finish()
}

pub(super) fn pg_index(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let all = keys(columns.snapshot);
    let each = || all.iter();
    let count = |key: &Key<'_>| i64::try_from(key.columns.len()).unwrap_or(0);
    let zeros: Vec<Vec<i16>> = each().map(|key| vec![0; key.columns.len()]).collect();
    columns
        .of(all.len())
        .oid("indexrelid", each().map(|key| key.oid))
        .oid("indrelid", each().map(|key| key.entry.oid))
        .int("indnatts", each().map(count))
        .int("indnkeyatts", each().map(count))
        .all_true("indisunique")
        .bool("indisprimary", each().map(|key| key.key.primary))
        .all_true("indimmediate")
        .all_true("indisvalid")
        .all_true("indisready")
        .all_true("indislive")
        .set("indkey", &numbers(each().map(|key| key.columns.as_slice())))
        .set("indcollation", &collations(&all))
        .set("indclass", &numbers(zeros.iter().map(Vec::as_slice)))
        .set("indoption", &numbers(zeros.iter().map(Vec::as_slice)))
        .finish()
}

fn collations(all: &[Key<'_>]) -> ArrayRef {
    let mut lists = ListBuilder::new(UInt32Builder::new());
    for key in all {
        let collation = |number: &i16| {
            let at = usize::try_from(*number).ok()?.checked_sub(1)?;
            Some(type_info(key.entry.columns.get(at)?.pg_type.oid)?.collation())
        };
        lists.append_value(key.columns.iter().map(|number| Some(collation(number).unwrap_or(0))));
    }
    Arc::new(lists.finish())
}

pub(super) fn pg_indexes(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let all = keys(columns.snapshot);
    let statements: Vec<String> = all.iter().map(statement).collect();
    columns
        .of(all.len())
        .text("schemaname", all.iter().map(|key| key.schema))
        .text("tablename", all.iter().map(|key| key.entry.name.as_str()))
        .text("indexname", all.iter().map(|key| key.key.name.as_str()))
        .text("indexdef", statements.iter().map(String::as_str))
        .finish()
}

pub(super) fn pg_attrdef(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let relations = relations(columns.snapshot);
    let all: Vec<_> = relations.iter().flat_map(defaults).collect();
    columns
        .of(all.len())
        .oid("oid", all.iter().map(|(relation, n, _)| derived_oid(*relation, &n.to_string())))
        .oid("adrelid", all.iter().map(|(relation, ..)| *relation))
        .int("adnum", all.iter().map(|(_, number, _)| *number))
        .text("adbin", all.iter().map(|(.., default)| *default))
        .finish()
}

fn defaults<'a>(relation: &Relation<'a>) -> Vec<(u32, i64, &'a str)> {
    let columns = relation.columns();
    let row = |column: super::objects::Column<'a>| {
        column.default.or(column.generated).map(|default| (relation.oid, column.number, default))
    };
    columns.filter_map(row).collect()
}
