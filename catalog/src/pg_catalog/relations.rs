//! Relations and their columns: `pg_class`, `pg_attribute` and the views over them.

use arrow::array::RecordBatch;

use super::columns::Columns;
use super::constraints::{BTREE, keys};
use super::objects::{Column, Relation, relations, role_oid};
use crate::entry::CatalogSnapshot;
use crate::pg_type::{TypeInfo, type_info};
use crate::{CatalogError, Result};

/// What the number of a relation's row type has more than that of the relation, whose highest bit
/// is never set.
pub const COMPOSITE_FLAG: u32 = 0x8000_0000;

/// The number of a relation's row type; system relations have none here.
fn row_type(relation: &Relation<'_>) -> u32 {
    if relation.system { 0 } else { relation.oid | COMPOSITE_FLAG }
}

/// `t` for temporary relations, which live in a schema of their session.
fn persistence(relation: &Relation<'_>) -> &'static str {
    if relation.schema.starts_with("pg_temp_") { "t" } else { "p" }
}

/// The access method of tables, `heap`: psql prints it.
const HEAP: i64 = 2;

/// What the planner of a client may believe about a relation's rows; -1 is "not known".
fn n_rows(relation: &Relation<'_>) -> Option<f32> {
    relation.entry?.n_rows_estimate.map(|rows| rows as f32)
}

pub(super) fn pg_class(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let tables = class_of_relations(columns)?;
    let indexes = class_of_indexes(columns)?;
    let together = arrow::compute::concat_batches(&tables.schema(), [&tables, &indexes]);
    together.map_err(|error| CatalogError::Internal { what: format!("pg_class: {error}") })
}

/// The index that each declared key stands for.
fn class_of_indexes(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let all = keys(columns.snapshot);
    let each = || all.iter();
    columns
        .of(all.len())
        .oid("oid", each().map(|key| key.oid))
        .text("relname", each().map(|key| key.key.name.as_str()))
        .oid("relnamespace", each().map(|key| key.schema_oid))
        .oid("relowner", each().map(|k| role_oid(columns.snapshot, k.entry.access.owner())))
        .all_int("relam", BTREE)
        .oid("relfilenode", each().map(|key| key.oid))
        .all_text("relpersistence", "p")
        .all_text("relkind", "i")
        .int("relnatts", each().map(|key| i64::try_from(key.columns.len()).ok()))
        .all_true("relispopulated")
        .all_text("relreplident", "n")
        .finish()
}

fn class_of_relations(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let all = relations(columns.snapshot);
    let each = || all.iter();
    let has_key = |relation: &Relation<'_>| {
        relation.entry.is_some_and(|entry| !entry.details.keys.is_empty())
    };
    let tuples = each().map(|relation| n_rows(relation).unwrap_or(-1.0));
    let tuples = arrow::array::Float32Array::from_iter_values(tuples);
    columns
        .of(all.len())
        .oid("oid", each().map(|relation| relation.oid))
        .text("relname", each().map(|relation| relation.name))
        .oid("relnamespace", each().map(|relation| relation.schema_oid))
        .oid("reltype", each().map(row_type))
        .oid("relowner", each().map(|relation| role_oid(columns.snapshot, relation.owner())))
        .lists("relacl", each().map(Relation::acl))
        .int("relam", each().map(|relation| if relation.is_view() { 0 } else { HEAP }))
        .oid("relfilenode", each().map(|r| if r.is_view() { 0 } else { r.oid }))
        // There are no pages: where there are, DuckDB reads ranges of `ctid` side by side.
        .int("relpages", each().map(|_| 0))
        .bool("relhasindex", each().map(has_key))
        .set("reltuples", &(std::sync::Arc::new(tuples) as arrow::array::ArrayRef))
        .text("relpersistence", each().map(persistence))
        .text("relkind", each().map(|relation| relation.kind))
        .int("relnatts", each().map(|relation| i64::try_from(relation.n_columns()).ok()))
        .int("relchecks", each().map(n_checks))
        .bool("relhasrules", each().map(Relation::is_view))
        .all_true("relispopulated")
        .text("relreplident", each().map(|r| if r.is_user_table() { "d" } else { "n" }))
        .finish()
}

fn n_checks(relation: &Relation<'_>) -> Option<i64> {
    i64::try_from(relation.entry.map_or(0, |entry| entry.details.checks.len())).ok()
}

pub(super) fn pg_attribute(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let relations = relations(columns.snapshot);
    let n_columns = relations.iter().map(Relation::n_columns).sum();
    let mut all = Vec::with_capacity(n_columns);
    for relation in &relations {
        all.extend(relation.columns().map(|column| {
            let info = type_info(column.pg_type.oid);
            (relation.oid, column, info)
        }));
    }
    let mut rights = Vec::with_capacity(all.len());
    for relation in &relations {
        let access = relation.entry.map(|entry| entry.access.as_ref());
        let access = access.filter(|access| access.names_columns());
        rights.extend(relation.columns().map(|c| access.and_then(|a| a.column_items(c.name))));
    }
    let keys = keys(columns.snapshot);
    for key in &keys {
        for (number, name) in (1..).zip(&key.key.columns) {
            let Some(found) = key.entry.columns.iter().find(|column| column.name == *name) else {
                continue;
            };
            let (pg_type, nullable) = (found.pg_type, true);
            let column = Column { name, number, pg_type, nullable, default: None, generated: None };
            all.push((key.oid, column, type_info(pg_type.oid)));
            rights.push(None);
        }
    }
    let each = || all.iter();
    let types = || each().map(|(_, _, info)| *info);
    columns
        .of(all.len())
        .oid("attrelid", each().map(|(relation, ..)| *relation))
        .text("attname", each().map(|(_, column, _)| column.name))
        .oid("atttypid", each().map(|(_, column, _)| column.pg_type.oid))
        .all_int("attstattarget", -1)
        .int("attlen", each().map(|(_, column, _)| i64::from(column.pg_type.size)))
        .int("attnum", each().map(|(_, column, _)| column.number))
        .int("attndims", types().map(|info| i64::from(info.is_some_and(TypeInfo::is_array))))
        .all_int("attcacheoff", -1)
        .int("atttypmod", each().map(|(_, column, _)| i64::from(column.pg_type.modifier)))
        .bool("attbyval", types().map(|info| info.is_some_and(|info| info.by_value)))
        .text("attalign", types().map(|info| letter(info.map(|info| info.align))))
        .text("attstorage", types().map(|info| letter(info.map(|info| info.storage))))
        .bool("attnotnull", each().map(|(_, column, _)| !column.nullable))
        .bool(
            "atthasdef",
            each().map(|(_, column, _)| column.default.is_some() || column.generated.is_some()),
        )
        .text(
            "attgenerated",
            each().map(|(_, column, _)| if column.generated.is_some() { "s" } else { "" }),
        )
        .all_true("attislocal")
        .lists("attacl", rights.into_iter())
        .int("attcollation", types().map(|info| info.map_or(0, |info| i64::from(info.collation()))))
        .finish()
}

/// A letter of `pg_type` as text.
pub(super) fn letter(letter: Option<char>) -> &'static str {
    match letter {
        Some('c') => "c",
        Some('s') => "s",
        Some('i') => "i",
        Some('d') => "d",
        Some('p') => "p",
        Some('x') => "x",
        Some('m') => "m",
        Some('e') => "e",
        Some('b') => "b",
        Some('r') => "r",
        _ => "i",
    }
}

pub(super) fn pg_tables(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let mut all = relations(columns.snapshot);
    all.retain(|relation| relation.kind == "r");
    columns
        .of(all.len())
        .text("schemaname", all.iter().map(|relation| relation.schema))
        .text("tablename", all.iter().map(|relation| relation.name))
        .text("tableowner", all.iter().map(Relation::owner))
        .bool(
            "hasindexes",
            all.iter().map(|r| r.entry.is_some_and(|entry| !entry.details.keys.is_empty())),
        )
        .set("hasrules", &falses(all.len()))
        .set("hastriggers", &falses(all.len()))
        .set("rowsecurity", &falses(all.len()))
        .finish()
}

fn falses(n_rows: usize) -> arrow::array::ArrayRef {
    std::sync::Arc::new(arrow::array::BooleanArray::from(vec![false; n_rows]))
}

pub(super) fn pg_views(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let mut all = relations(columns.snapshot);
    all.retain(Relation::is_view);
    let definitions =
        all.iter().map(|relation| relation.entry.and_then(|e| e.view_definition.as_deref()));
    columns
        .of(all.len())
        .text("schemaname", all.iter().map(|relation| relation.schema))
        .text("viewname", all.iter().map(|relation| relation.name))
        .text("viewowner", all.iter().map(Relation::owner))
        .text("definition", definitions)
        .finish()
}

/// The statistics views: counters are zero, because reads are counted elsewhere.
pub(super) fn table_statistics(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let relation_name = columns.name;
    let mut all = relations(columns.snapshot);
    all.retain(|relation| {
        let wanted = if relation_name.contains("_user_") {
            !relation.system
        } else {
            relation.system || !relation_name.contains("_sys_")
        };
        wanted && relation.kind == "r"
    });
    let live = all.iter().map(|relation| {
        relation.entry.and_then(|entry| i64::try_from(entry.n_rows_estimate?).ok()).or(Some(0))
    });
    let live: arrow::array::Int64Array = live.collect();
    let n_rows = all.len();
    let schema = columns.definition.schema.clone();
    let mut built = columns
        .of(n_rows)
        .oid("relid", all.iter().map(|relation| relation.oid))
        .text("schemaname", all.iter().map(|relation| relation.schema))
        .text("relname", all.iter().map(|relation| relation.name));
    for field in schema.fields() {
        let counter = field.data_type() == &arrow::datatypes::DataType::Int64;
        if counter && field.name() != "n_live_tup" {
            built = built.all_int(field.name(), 0);
        }
    }
    if schema.index_of("n_live_tup").is_ok() {
        built = built.set("n_live_tup", &(std::sync::Arc::new(live) as arrow::array::ArrayRef));
    }
    built.finish()
}

/// What a builder of a relation gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnsOf<'a> {
    pub(crate) name: &'a str,
    pub(crate) definition: &'static super::definition::Definition,
    pub(crate) snapshot: &'a CatalogSnapshot,
}

impl ColumnsOf<'_> {
    /// Starts the relation's batch.
    pub(crate) fn of(&self, n_rows: usize) -> Columns {
        Columns::new(&self.definition.schema, n_rows)
    }
}
