//! What the catalog knows about every object without opening a table.
//!
//! A [`CatalogSnapshot`] is immutable: `pg_catalog` and `information_schema` are computed from one,
//! so that a metadata query sees one state and never reads a data file.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};

/// All databases, schemas, tables and roles at one catalog version.
#[derive(Debug, Clone, Default)]
pub struct CatalogSnapshot {
    /// Grows by one with every change.
    pub version: u64,
    /// The name of the one database.
    pub database: String,
    /// The schemas in order of their names, `pg_catalog` and `information_schema` included.
    pub schemas: Vec<SchemaEntry>,
    /// The roles in order of their names.
    pub roles: Vec<RoleEntry>,
}

impl CatalogSnapshot {
    /// Finds a schema by its name.
    #[must_use]
    pub fn schema(&self, name: &str) -> Option<&SchemaEntry> {
        self.schemas.iter().find(|schema| schema.name == name)
    }

    /// Finds a table by schema and name.
    #[must_use]
    pub fn table(&self, schema: &str, table: &str) -> Option<&Arc<TableEntry>> {
        self.schema(schema)?.tables.iter().find(|entry| entry.name == table)
    }

    /// Finds a table, and the schema that it is in, by its object identifier.
    #[must_use]
    pub fn table_by_oid(&self, oid: u32) -> Option<(&SchemaEntry, &Arc<TableEntry>)> {
        self.schemas.iter().find_map(|schema| {
            schema.tables.iter().find(|entry| entry.oid == oid).map(|entry| (schema, entry))
        })
    }
}

/// A schema and what is in it.
#[derive(Debug, Clone)]
pub struct SchemaEntry {
    /// PostgreSQL's own number for system schemas, 16384 and above for others.
    pub oid: u32,
    /// The folded name.
    pub name: String,
    /// The tables and views in order of their names.
    pub tables: Vec<Arc<TableEntry>>,
}

/// A table or view as metadata queries see it.
#[derive(Debug, Clone)]
pub struct TableEntry {
    /// The object identifier, stable while the server runs.
    pub oid: u32,
    /// The folded name.
    pub name: String,
    /// What kind of relation it is.
    pub kind: TableKind,
    /// The columns in order.
    pub columns: Vec<ColumnEntry>,
    /// How many rows it is believed to have.
    pub n_rows_estimate: Option<u64>,
    /// The query of a view.
    pub view_definition: Option<String>,
    /// A remark by the owner: for lake tables their format and location.
    pub comment: Option<String>,
}

/// The kinds of relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// Rows in open files or in memory.
    Table,
    /// A stored query.
    View,
    /// A relation answered by the server itself.
    System,
}

/// A column as metadata queries see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnEntry {
    /// The name, case kept.
    pub name: String,
    /// The Arrow type that queries yield.
    pub data_type: DataType,
    /// Whether the column may hold NULL.
    pub nullable: bool,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleEntry {
    /// The object identifier; 10 is the first role.
    pub oid: u32,
    /// The name.
    pub name: String,
    /// Whether all privileges are granted.
    pub superuser: bool,
}

/// Lists the columns of an Arrow schema.
#[must_use]
pub fn columns_of(schema: &SchemaRef) -> Vec<ColumnEntry> {
    let column = |field: &Arc<arrow::datatypes::Field>| ColumnEntry {
        name: field.name().clone(),
        data_type: field.data_type().clone(),
        nullable: field.is_nullable(),
    };
    schema.fields().iter().map(column).collect()
}
