//! What the catalog knows about every object without opening a table.
//!
//! A [`CatalogSnapshot`] is immutable: `pg_catalog` and `information_schema` are computed from one,
//! so that a metadata query sees one state and never reads a data file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::RecordBatch;

use arrow::datatypes::{DataType, SchemaRef};

use crate::analyzed::TableStatistics;
use crate::log::{Access, DefaultsOf};
use crate::memory::TableDetails;
use crate::pg_type::{PgType, pg_type_of_column};

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
    /// The databases in order of their names.
    pub databases: Vec<DatabaseEntry>,
    /// Settings for sessions to come: the database's number and the role's, 0 for all; name, value.
    pub role_settings: Vec<(u32, u32, String, String)>,
    /// Rights on objects to come.
    pub default_rights: Vec<DefaultRights>,
    /// What has been computed from the rest.
    pub derived: Derived,
}

/// Rights on objects that a role will make.
#[derive(Debug, Clone)]
pub struct DefaultRights {
    /// The role.
    pub role: String,
    /// The schema where they are about one.
    pub schema: Option<String>,
    /// The objects.
    pub of: DefaultsOf,
    /// The rights, as an object of the role's would have them.
    pub access: Access,
}

/// What is computed from a snapshot when it is first asked for, and kept as long as the snapshot.
///
/// A copy of a snapshot may be changed before it is used, so it starts with nothing.
#[derive(Debug, Default)]
pub struct Derived {
    /// Batches of system relations by schema and name.
    batches: Mutex<HashMap<(&'static str, String), RecordBatch>>,
    index: OnceLock<Index>,
}

impl Clone for Derived {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Derived {
    /// Returns the batch of a system relation, and builds it the first time.
    pub(crate) fn batch(
        &self,
        schema: &'static str,
        name: &str,
        build: impl FnOnce() -> Option<crate::Result<RecordBatch>>,
    ) -> Option<crate::Result<RecordBatch>> {
        let key = (schema, name.to_owned());
        // A panic while the lock is held leaves a map that is still right.
        let lock = || self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(batch) = lock().get(&key) {
            return Some(Ok(batch.clone()));
        }
        let built = build()?;
        if let Ok(batch) = &built {
            lock().insert(key, batch.clone());
        }
        Some(built)
    }
}

/// Positions of tables in a snapshot: schema, table.
#[derive(Debug, Default)]
struct Index {
    by_name: HashMap<String, HashMap<String, (usize, usize)>>,
    by_oid: HashMap<u32, (usize, usize)>,
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
        let at = *self.index().by_name.get(schema)?.get(table)?;
        self.at(at).map(|(_, entry)| entry)
    }

    /// Finds a table, and the schema that it is in, by its object identifier.
    #[must_use]
    pub fn table_by_oid(&self, oid: u32) -> Option<(&SchemaEntry, &Arc<TableEntry>)> {
        self.at(*self.index().by_oid.get(&oid)?)
    }

    fn at(&self, (schema, table): (usize, usize)) -> Option<(&SchemaEntry, &Arc<TableEntry>)> {
        let schema = self.schemas.get(schema)?;
        Some((schema, schema.tables.get(table)?))
    }

    fn index(&self) -> &Index {
        self.derived.index.get_or_init(|| {
            let mut index = Index::default();
            for (schema_at, schema) in self.schemas.iter().enumerate() {
                let names = index.by_name.entry(schema.name.clone()).or_default();
                for (at, entry) in schema.tables.iter().enumerate() {
                    names.entry(entry.name.clone()).or_insert((schema_at, at));
                    index.by_oid.entry(entry.oid).or_insert((schema_at, at));
                }
            }
            index
        })
    }
}

/// A schema and what is in it.
#[derive(Debug, Clone, Default)]
pub struct SchemaEntry {
    /// PostgreSQL's own number for system schemas, 16384 and above for others.
    pub oid: u32,
    /// The folded name.
    pub name: String,
    /// The tables and views in order of their names.
    pub tables: Vec<Arc<TableEntry>>,
    /// Whose it is and who may do what with it.
    pub access: Arc<Access>,
    /// What COMMENT ON has said.
    pub comment: Option<String>,
}

/// A database.
#[derive(Debug, Clone, Default)]
pub struct DatabaseEntry {
    /// The object identifier.
    pub oid: u32,
    /// The folded name.
    pub name: String,
    /// Whose it is and who may do what with it.
    pub access: Arc<Access>,
    /// What COMMENT ON has said.
    pub comment: Option<String>,
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
    /// Defaults and declared keys.
    pub details: TableDetails,
    /// What ANALYZE has learnt.
    pub statistics: Option<Arc<TableStatistics>>,
    /// Whose it is and who may do what with it.
    pub access: Arc<Access>,
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
    /// The type that clients see, with its modifier.
    pub pg_type: PgType,
    /// Whether the column may hold NULL.
    pub nullable: bool,
}

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "PostgreSQL's attributes of roles")]
pub struct RoleEntry {
    /// The object identifier; 10 is the first role.
    pub oid: u32,
    /// The name.
    pub name: String,
    /// Whether all privileges are granted.
    pub superuser: bool,
    /// Whether sessions can begin as this role.
    pub login: bool,
    /// Whether it has the rights of the roles that it is a member of without SET ROLE.
    pub inherit: bool,
    /// Whether it may make roles.
    pub create_role: bool,
    /// Whether it may make databases.
    pub create_database: bool,
    /// Whether it may replicate.
    pub replication: bool,
    /// Whether rules about rows do not count for it.
    pub bypass_row_security: bool,
    /// Sessions that it may have at a time.
    pub n_connections_max: Option<u32>,
    /// The time from which its password is no longer good.
    pub valid_until: Option<String>,
    /// The roles that it is a member of.
    pub member_of: Vec<String>,
    /// Those of them that it may make others members of.
    pub admin_of: Vec<String>,
    /// Settings of its sessions: `name=value`.
    pub settings: Vec<String>,
    /// What COMMENT ON has said.
    pub comment: Option<String>,
}

/// Lists the columns of an Arrow schema.
#[must_use]
pub fn columns_of(schema: &SchemaRef) -> Vec<ColumnEntry> {
    let column = |field: &Arc<arrow::datatypes::Field>| ColumnEntry {
        name: field.name().clone(),
        data_type: field.data_type().clone(),
        pg_type: pg_type_of_column(field),
        nullable: field.is_nullable(),
    };
    schema.fields().iter().map(column).collect()
}
