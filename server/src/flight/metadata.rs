//! The metadata commands: catalogs, schemas, tables, types, keys, server properties.
//!
//! All are answered from one catalog snapshot, without opening a table. Their tickets are the
//! commands themselves: they name no data and are checked like any other call.
//!
//! A filter on the catalog has three forms in the protocol: absent is no filter, a name is that
//! catalog, and the empty text is "no catalog at all", which no object of tarn has.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{GetDbSchemasBuilder, GetTablesBuilder};
use arrow_flight::sql::{
    Command, CommandGetCatalogs, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables,
};
use tarn_catalog::{CatalogSnapshot, TableKind};

use super::like_pattern::{LikePattern, matches};
use super::sql_info::{self, Limits};
use super::{schema, xdbc_types};

#[cfg(test)]
mod tests;

/// Returns the table that answers a metadata command; none if it is not one.
///
/// # Errors
/// None that a catalog can cause.
pub(super) fn answer(
    command: &Command,
    catalog: &CatalogSnapshot,
    limits: Limits,
) -> Option<Result<RecordBatch, FlightError>> {
    Some(match command {
        Command::CommandGetCatalogs(_) => catalogs(catalog),
        Command::CommandGetDbSchemas(filter) => db_schemas(catalog, filter),
        Command::CommandGetTables(filter) => tables(catalog, filter),
        Command::CommandGetTableTypes(_) => table_types(),
        Command::CommandGetSqlInfo(filter) => sql_info::rows(&filter.info, limits),
        Command::CommandGetXdbcTypeInfo(filter) => xdbc_types::types(filter.data_type),
        Command::CommandGetPrimaryKeys(_) => Ok(RecordBatch::new_empty(Arc::clone(&PRIMARY_KEYS))),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => {
            Ok(RecordBatch::new_empty(Arc::clone(&FOREIGN_KEYS)))
        }
        _ => return None,
    })
}

/// Returns the schema of the table that answers a metadata command; none if it is not one.
///
/// # Errors
/// None that a catalog can cause.
pub(super) fn schema_of(
    command: &Command,
    limits: Limits,
) -> Option<Result<SchemaRef, FlightError>> {
    // No command's schema depends on what the catalog holds.
    answer(command, &CatalogSnapshot::default(), limits)
        .map(|batch| batch.map(|batch| batch.schema()))
}

fn catalogs(catalog: &CatalogSnapshot) -> Result<RecordBatch, FlightError> {
    let mut builder = CommandGetCatalogs {}.into_builder();
    let names: BTreeSet<&String> = catalog.databases.iter().map(|known| &known.name).collect();
    for name in names.into_iter().chain(catalog.databases.is_empty().then_some(&catalog.database)) {
        builder.append(name);
    }
    builder.build()
}

/// The catalog that a command asks for.
pub(super) fn named_catalog(command: &Command) -> Option<&str> {
    match command {
        Command::CommandGetDbSchemas(filter) => filter.catalog.as_deref(),
        Command::CommandGetTables(filter) => filter.catalog.as_deref(),
        _ => None,
    }
}

fn in_catalog(filter: Option<&str>, catalog: &CatalogSnapshot) -> bool {
    filter.is_none_or(|name| name == catalog.database)
}

fn pattern(pattern: Option<&String>) -> Option<LikePattern> {
    pattern.map(|text| LikePattern::new(text))
}

fn db_schemas(
    catalog: &CatalogSnapshot,
    filter: &CommandGetDbSchemas,
) -> Result<RecordBatch, FlightError> {
    let names = pattern(filter.db_schema_filter_pattern.as_ref());
    let mut builder = GetDbSchemasBuilder::new(None::<String>, None::<String>);
    if in_catalog(filter.catalog.as_deref(), catalog) {
        for schema in &catalog.schemas {
            if matches(names.as_ref(), &schema.name) {
                builder.append(&catalog.database, &schema.name);
            }
        }
    }
    builder.build()
}

fn tables(
    catalog: &CatalogSnapshot,
    filter: &CommandGetTables,
) -> Result<RecordBatch, FlightError> {
    let schemas = pattern(filter.db_schema_filter_pattern.as_ref());
    let names = pattern(filter.table_name_filter_pattern.as_ref());
    let no_types: [&str; 0] = [];
    let include_schema = filter.include_schema;
    let mut builder = GetTablesBuilder::new(
        None::<String>,
        None::<String>,
        None::<String>,
        no_types,
        include_schema,
    );
    if !in_catalog(filter.catalog.as_deref(), catalog) {
        return builder.build();
    }
    let database = &catalog.database;
    for in_schema in catalog.schemas.iter().filter(|s| matches(schemas.as_ref(), &s.name)) {
        for table in in_schema.tables.iter().filter(|t| matches(names.as_ref(), &t.name)) {
            let kind = table_type(table.kind);
            if !filter.table_types.is_empty() && !filter.table_types.iter().any(|t| t == kind) {
                continue;
            }
            let columns = if include_schema {
                schema::table_schema(database, &in_schema.name, table)
            } else {
                Schema::empty()
            };
            builder.append(database, &in_schema.name, &table.name, kind, &columns)?;
        }
    }
    builder.build()
}

fn table_type(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Table => "TABLE",
        TableKind::View => "VIEW",
        TableKind::System => "SYSTEM TABLE",
    }
}

fn table_types() -> Result<RecordBatch, FlightError> {
    let mut builder = CommandGetTableTypes {}.into_builder();
    for kind in [TableKind::Table, TableKind::View, TableKind::System] {
        builder.append(table_type(kind));
    }
    builder.build()
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

/// Lake tables declare no keys yet, so the answers are empty.
static PRIMARY_KEYS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        text("key_name", true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
});

static FOREIGN_KEYS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
});
