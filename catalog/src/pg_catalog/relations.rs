//! Relations and their columns: `pg_class`, `pg_attribute` and the views over them.

use arrow::array::RecordBatch;

use super::columns::Columns;
use super::objects::{Relation, owner, relations};
use crate::Result;
use crate::entry::CatalogSnapshot;
use crate::pg_type::{TypeInfo, type_info};

/// The access method of tables, `heap`: psql prints it.
const HEAP: i64 = 2;

/// What the planner of a client may believe about a relation's rows; -1 is "not known".
fn n_rows(relation: &Relation<'_>) -> Option<f32> {
    relation.entry?.n_rows_estimate.map(|rows| rows as f32)
}

pub(super) fn pg_class(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let all = relations(columns.snapshot);
    let each = || all.iter();
    let tuples = each().map(|relation| n_rows(relation).unwrap_or(-1.0));
    let tuples = arrow::array::Float32Array::from_iter_values(tuples);
    columns
        .of(all.len())
        .oid("oid", each().map(|relation| relation.oid))
        .text("relname", each().map(|relation| relation.name))
        .oid("relnamespace", each().map(|relation| relation.schema_oid))
        .all_int("relowner", 10)
        .int("relam", each().map(|relation| if relation.is_view() { 0 } else { HEAP }))
        .oid("relfilenode", each().map(|r| if r.is_view() { 0 } else { r.oid }))
        .set("reltuples", &(std::sync::Arc::new(tuples) as arrow::array::ArrayRef))
        .all_text("relpersistence", "p")
        .text("relkind", each().map(|relation| relation.kind))
        .int("relnatts", each().map(|relation| i64::try_from(relation.n_columns()).ok()))
        .bool("relhasrules", each().map(Relation::is_view))
        .all_true("relispopulated")
        .text("relreplident", each().map(|r| if r.is_user_table() { "d" } else { "n" }))
        .finish()
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
        .all_true("attislocal")
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
    let owner = owner(columns.snapshot);
    columns
        .of(all.len())
        .text("schemaname", all.iter().map(|relation| relation.schema))
        .text("tablename", all.iter().map(|relation| relation.name))
        .all_text("tableowner", owner)
        .set("hasindexes", &falses(all.len()))
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
    let owner = owner(columns.snapshot);
    let definitions =
        all.iter().map(|relation| relation.entry.and_then(|e| e.view_definition.as_deref()));
    columns
        .of(all.len())
        .text("schemaname", all.iter().map(|relation| relation.schema))
        .text("viewname", all.iter().map(|relation| relation.name))
        .all_text("viewowner", owner)
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
