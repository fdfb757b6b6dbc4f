//! The relations of `pg_catalog` by name.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::constant_rows::section;
use super::definition::PG_CATALOG;
use super::relations::{self, ColumnsOf};
use super::{constraints, roles, server_objects, settings, statistics, type_rows};
use crate::Result;
use crate::entry::{CatalogSnapshot, TableEntry};

/// The number of the one database, in `pg_database` and `pg_stat_activity`.
pub const DATABASE_OID: u32 = 5;

/// The names of the relations of `pg_catalog`, in order.
pub fn relation_names() -> impl Iterator<Item = &'static str> {
    PG_CATALOG.iter().map(|definition| definition.name)
}

/// The columns of a relation of `pg_catalog`.
#[must_use]
pub fn schema(name: &str) -> Option<SchemaRef> {
    PG_CATALOG.get(name).map(|definition| Arc::clone(&definition.schema))
}

/// The relations as the `pg_catalog` schema of a snapshot lists them.
#[must_use]
pub fn system_entries() -> Vec<Arc<TableEntry>> {
    PG_CATALOG.entries()
}

/// Builds the rows of a relation of `pg_catalog`; `None` where there is none of this name.
///
/// # Errors
/// `Internal` only.
#[must_use]
pub fn build(name: &str, snapshot: &CatalogSnapshot) -> Option<Result<RecordBatch>> {
    snapshot.derived.batch("pg_catalog", name, || build_anew(name, snapshot))
}

fn build_anew(name: &str, snapshot: &CatalogSnapshot) -> Option<Result<RecordBatch>> {
    let definition = PG_CATALOG.get(name)?;
    let columns = ColumnsOf { name, definition, snapshot };
    Some(match name {
        "pg_class" => relations::pg_class(columns),
        "pg_attribute" => relations::pg_attribute(columns),
        "pg_tables" => relations::pg_tables(columns),
        "pg_views" => relations::pg_views(columns),
        "pg_stat_all_tables"
        | "pg_stat_user_tables"
        | "pg_stat_sys_tables"
        | "pg_statio_all_tables"
        | "pg_statio_user_tables"
        | "pg_statio_sys_tables" => relations::table_statistics(columns),
        "pg_database" => server_objects::pg_database(columns),
        "pg_stat_database" => server_objects::pg_stat_database(columns),
        "pg_namespace" => server_objects::pg_namespace(columns),
        "pg_roles" | "pg_authid" => roles::roles(columns),
        "pg_user" | "pg_shadow" => roles::users(columns),
        "pg_group" => roles::groups(columns),
        "pg_auth_members" => roles::pg_auth_members(columns),
        "pg_db_role_setting" => roles::pg_db_role_setting(columns),
        "pg_shdescription" => roles::pg_shdescription(columns),
        "pg_default_acl" => server_objects::pg_default_acl(columns),
        "pg_description" => server_objects::pg_description(columns),
        "pg_type" => type_rows::pg_type(columns),
        "pg_stats" => statistics::pg_stats(columns),
        "pg_constraint" => constraints::pg_constraint(columns),
        "pg_index" => constraints::pg_index(columns),
        "pg_indexes" => constraints::pg_indexes(columns),
        "pg_attrdef" => constraints::pg_attrdef(columns),
        "pg_settings" => settings::settings(&[]),
        "pg_proc" => pg_proc(columns),
        _ => match section(name) {
            Some(section) => section.build(name),
            None => columns.of(0).finish(),
        },
    })
}

/// The functions; the name doubles as the source text, as for PostgreSQL's built-in ones.
fn pg_proc(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    match section(columns.name) {
        Some(section) => {
            section.columns_of(columns.name)?.text("prosrc", section.texts("proname")).finish()
        }
        None => columns.of(0).finish(),
    }
}
