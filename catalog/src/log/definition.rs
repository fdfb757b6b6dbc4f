//! The objects of the catalog as the log holds them.
//!
//! Fields may be added with `#[serde(default)]` as long as a server that does not know them does
//! no harm; everything else takes a new kind of entry, which older servers refuse by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use arrow::ipc::convert::{IpcSchemaEncoder, fb_to_schema};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::secret::Sealed;
use crate::listing::FileOptions;
use crate::memory::TableDetails;
use crate::pg_type::{PgType, type_info};
use crate::{CatalogError, ColumnEntry, Result};

/// A database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseDef {
    /// The object identifier.
    pub oid: u32,
    /// What COMMENT ON has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whose it is; the first role's where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A schema.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaDef {
    /// The object identifier.
    pub oid: u32,
    /// What COMMENT ON has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whose it is; the first role's where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A table or view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationDef {
    /// The object identifier.
    pub oid: u32,
    /// What it is.
    pub kind: RelationKind,
    /// The columns when it was defined; a table's own metadata may know better.
    pub columns: Columns,
    /// Schemas and names of the relations that a view reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<(String, String)>,
    /// Defaults, keys, checks, remarks.
    #[serde(default)]
    pub details: TableDetails,
    /// Whose it is and who may do what with it.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
}

/// Whose an object is and who may do what with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Access {
    /// Whose it is; the first role's where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Rights by role, `public` for all; where there are none, those that an object begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<BTreeMap<String, GrantDef>>,
}

impl Access {
    /// That of a new object.
    #[must_use]
    pub fn owned_by(owner: &str) -> Self {
        Self { owner: Some(owner.to_owned()), grants: None }
    }

    /// Whether it is that of an object of the first role which nothing was said of.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The kinds of relation that last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// A stored query.
    View {
        /// Its text.
        definition: String,
    },
    /// Rows in open files.
    Table {
        /// The format's name in lower case.
        format: String,
        /// The URL of the folder or file.
        location: String,
        /// Whether the URL names one file.
        #[serde(default)]
        single_file: bool,
        /// How its files are written, where CREATE TABLE has said so.
        #[serde(default, skip_serializing_if = "FileOptions::is_default")]
        options: FileOptions,
    },
}

/// Columns as the log holds them: an Arrow schema in its IPC form, which keeps every type exactly,
/// and PostgreSQL's type of each column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns {
    arrow: String,
    /// Number and modifier in `pg_type`.
    pg: Vec<(u32, i32)>,
}

impl Columns {
    /// Packs columns.
    #[must_use]
    pub fn of(columns: &[ColumnEntry]) -> Self {
        let field = |c: &ColumnEntry| Field::new(&c.name, c.data_type.clone(), c.nullable);
        let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
        let bytes = IpcSchemaEncoder::new().schema_to_fb(&schema);
        Self {
            arrow: STANDARD.encode(bytes.finished_data()),
            pg: columns.iter().map(|c| (c.pg_type.oid, c.pg_type.modifier)).collect(),
        }
    }

    /// Unpacks them.
    ///
    /// # Errors
    /// `Corrupt` for what is no schema.
    pub fn to_entries(&self) -> Result<Vec<ColumnEntry>> {
        let damaged = |what: String| CatalogError::Corrupt {
            table: "catalog".to_owned(),
            what: format!("columns of a relation: {what}"),
            source: None,
        };
        let bytes = STANDARD.decode(&self.arrow).map_err(|e| damaged(e.to_string()))?;
        let schema = arrow::ipc::root_as_schema(&bytes).map_err(|e| damaged(e.to_string()))?;
        let schema = fb_to_schema(schema);
        if schema.fields().len() != self.pg.len() {
            return Err(damaged("their types are not as many as they are".to_owned()));
        }
        let entry = |(field, (oid, modifier)): (&Arc<Field>, &(u32, i32))| ColumnEntry {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
            pg_type: PgType {
                oid: *oid,
                size: type_info(*oid).map_or(-1, |info| info.size),
                modifier: *modifier,
            },
            nullable: field.is_nullable(),
        };
        Ok(schema.fields().iter().zip(&self.pg).map(entry).collect())
    }
}

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoleDef {
    /// The object identifier; 10 is the first role.
    pub oid: u32,
    /// What proves its password: `SCRAM-SHA-256$…`. A role without one cannot log in by password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verifier: Option<String>,
    /// Whether it may do everything.
    pub superuser: bool,
    /// Whether sessions can begin as this role.
    pub login: bool,
    /// Whether it may make roles.
    pub create_role: bool,
    /// Whether it may make databases.
    pub create_database: bool,
    /// Whether it has to SET ROLE to use the rights of the roles that it is a member of.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_inherit: bool,
    /// Whether it may replicate: kept and shown, there is nothing to replicate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replication: bool,
    /// Whether rules about rows do not count for it: kept and shown, there are none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bypass_row_security: bool,
    /// Sessions that it may have at a time on one server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_connections_max: Option<u32>,
    /// The roles whose rights it has as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub member_of: Vec<String>,
    /// Those of them that it may make others members of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub admin_of: Vec<String>,
    /// The time from which its password is no longer good, as given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// What COMMENT ON has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// What rights are about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Securable {
    /// A database.
    Database(String),
    /// A schema: database, name.
    Schema(String, String),
    /// A table or view: database, schema, name.
    Relation(String, String, String),
    /// A storage credential.
    Storage(String),
    /// Objects that a role will make, in one schema or in the whole database.
    Defaults {
        /// Who makes them.
        role: String,
        /// The database.
        database: String,
        /// The schema; `None` is all.
        schema: Option<String>,
        /// Which objects.
        of: DefaultsOf,
    },
}

/// The objects that rights can be given on before there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultsOf {
    /// Tables and views.
    Relations,
    /// Schemas.
    Schemas,
}

/// The rights of a role on an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrantDef {
    /// Rights in lower case: `select`, `insert`, `usage`, …; true where they may be handed on.
    pub privileges: BTreeMap<String, bool>,
    /// Who gave them.
    pub grantor: String,
    /// The same for single columns of a relation, by their names. A server that does not know them
    /// gives less than was granted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, BTreeMap<String, bool>>,
}

impl GrantDef {
    /// One without rights, for somebody to put them in.
    #[must_use]
    pub fn by(grantor: &str) -> Self {
        Self { grantor: grantor.to_owned(), ..Self::default() }
    }

    /// Whether it gives nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.privileges.is_empty() && self.columns.is_empty()
    }
}

/// Where data of a credential is and how to get at it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageDef {
    /// The object identifier.
    pub oid: u32,
    /// The URLs that it is for begin with this.
    pub prefix: String,
    /// Options that are no secret: region, endpoint, …
    pub options: BTreeMap<String, String>,
    /// The others, encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Sealed>,
    /// What COMMENT ON has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl std::fmt::Debug for StorageDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StorageDef").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Whose sessions a setting is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// ALTER SYSTEM: all of them.
    System,
    /// ALTER DATABASE.
    Database(String),
    /// ALTER ROLE.
    Role(String),
    /// ALTER ROLE … IN DATABASE: role, database.
    RoleInDatabase(String, String),
}

/// Where the statistics of a table are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatisticsDef {
    /// The version of the table that they were made of.
    pub table_version: u64,
    /// The URL of the file that holds them.
    pub location: String,
    /// The rows that were counted.
    pub n_rows: u64,
}
