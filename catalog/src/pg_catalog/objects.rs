//! Every relation of a snapshot in one shape, whether tarn or a lake format defines it.

use std::sync::{Arc, LazyLock};

use super::definition::{Definition, Definitions, INFORMATION_SCHEMA, PG_CATALOG};
use crate::entry::{CatalogSnapshot, ColumnEntry, SchemaEntry, TableEntry, TableKind};
use crate::log::Access;
use crate::pg_type::{PgType, pg_type_of};
use crate::rights::{FIRST_ROLE, Kind};

/// The schema of tables that PostgreSQL moves long values to; always empty here.
pub(crate) const PG_TOAST: (u32, &str) = (99, "pg_toast");
const PG_CATALOG_OID: u32 = 11;
const INFORMATION_SCHEMA_OID: u32 = 13_183;

/// A column as `pg_attribute` and `information_schema.columns` need it.
#[derive(Debug, Clone)]
pub(crate) struct Column<'a> {
    pub(crate) name: &'a str,
    /// Counts from 1.
    pub(crate) number: i64,
    pub(crate) pg_type: PgType,
    pub(crate) nullable: bool,
    /// The SQL text of the default.
    pub(crate) default: Option<&'a str>,
    /// The SQL text of a generated column's expression.
    pub(crate) generated: Option<&'a str>,
}

/// A relation and the schema that it is in.
#[derive(Debug, Clone)]
pub(crate) struct Relation<'a> {
    pub(crate) schema_oid: u32,
    pub(crate) schema: &'a str,
    pub(crate) oid: u32,
    pub(crate) name: &'a str,
    /// `r` for tables, `v` for views, as in `pg_class.relkind`.
    pub(crate) kind: &'static str,
    /// Whether it belongs to `pg_catalog` or `information_schema`.
    pub(crate) system: bool,
    /// Set for relations that are not in `pg_catalog` or `information_schema`.
    pub(crate) entry: Option<&'a TableEntry>,
    columns: ColumnSource<'a>,
}

#[derive(Debug, Clone)]
enum ColumnSource<'a> {
    System(&'static [Column<'static>]),
    Snapshot(&'a [ColumnEntry]),
}

impl<'a> Relation<'a> {
    pub(crate) fn n_columns(&self) -> usize {
        match self.columns {
            ColumnSource::System(columns) => columns.len(),
            ColumnSource::Snapshot(columns) => columns.len(),
        }
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = Column<'a>> + use<'a> {
        let (system, snapshot) = match self.columns {
            ColumnSource::System(columns) => (columns, [].as_slice()),
            ColumnSource::Snapshot(columns) => ([].as_slice(), columns),
        };
        let entry = self.entry;
        let snapshot =
            snapshot.iter().enumerate().zip(1..).map(move |((at, column), number)| Column {
                default: entry.and_then(|entry| entry.details.default_of(at)),
                generated: entry.and_then(|entry| entry.details.generated_of(at)),
                name: &column.name,
                number,
                pg_type: column.pg_type,
                nullable: column.nullable,
            });
        system.iter().cloned().chain(snapshot)
    }

    pub(crate) fn is_view(&self) -> bool {
        self.kind == "v"
    }

    pub(crate) fn is_user_table(&self) -> bool {
        !self.system && self.kind == "r"
    }
}

/// The schemas of a snapshot, and those that PostgreSQL always has, in order of their names.
pub(crate) fn namespaces(snapshot: &CatalogSnapshot) -> Vec<(u32, &str)> {
    let mut all: Vec<_> =
        snapshot.schemas.iter().map(|schema| (schema.oid, schema.name.as_str())).collect();
    let fixed =
        [(PG_CATALOG_OID, "pg_catalog"), (INFORMATION_SCHEMA_OID, "information_schema"), PG_TOAST];
    for schema in fixed {
        if !all.iter().any(|(_, name)| *name == schema.1) {
            all.push(schema);
        }
    }
    all.sort_by_key(|(_, name)| *name);
    all
}

/// A schema's entry, where it is more than a name.
pub(crate) fn schema_entry<'a>(
    snapshot: &'a CatalogSnapshot,
    name: &str,
) -> Option<&'a SchemaEntry> {
    snapshot.schema(name).filter(|schema| !SYSTEM.contains(&schema.name.as_str()))
}

const SYSTEM: [&str; 3] = ["pg_catalog", "information_schema", "tarn"];

/// All relations: first those of `pg_catalog` and `information_schema`, then those of the snapshot.
pub(crate) fn relations(snapshot: &CatalogSnapshot) -> Vec<Relation<'_>> {
    let oid_of = |name: &str, otherwise| snapshot.schema(name).map_or(otherwise, |found| found.oid);
    let pg_catalog = oid_of("pg_catalog", PG_CATALOG_OID);
    let information_schema = oid_of("information_schema", INFORMATION_SCHEMA_OID);
    let mut all = Vec::new();
    all.extend(system_relations(pg_catalog, "pg_catalog", &PG_CATALOG_COLUMNS));
    all.extend(system_relations(
        information_schema,
        "information_schema",
        &INFORMATION_SCHEMA_COLUMNS,
    ));
    let user = snapshot.schemas.iter();
    let user = user.filter(|s| s.name != "pg_catalog" && s.name != "information_schema");
    all.extend(user.flat_map(|schema| {
        schema.tables.iter().map(|entry| Relation {
            schema_oid: schema.oid,
            schema: &schema.name,
            oid: entry.oid,
            name: &entry.name,
            kind: kind_of(entry),
            system: false,
            entry: Some(entry),
            columns: ColumnSource::Snapshot(&entry.columns),
        })
    }));
    all
}

/// Relations that the server computes look like views, as PostgreSQL's own statistics do.
fn kind_of(entry: &Arc<TableEntry>) -> &'static str {
    match entry.kind {
        TableKind::Table => "r",
        TableKind::View | TableKind::System => "v",
    }
}

type SystemColumns = Vec<(&'static Definition, Vec<Column<'static>>)>;

static PG_CATALOG_COLUMNS: LazyLock<SystemColumns> = LazyLock::new(|| column_lists(&PG_CATALOG));
static INFORMATION_SCHEMA_COLUMNS: LazyLock<SystemColumns> =
    LazyLock::new(|| column_lists(&INFORMATION_SCHEMA));

fn column_lists(definitions: &'static Definitions) -> SystemColumns {
    let list = |definition: &'static Definition| {
        let fields = definition.schema.fields().iter().zip(1..);
        let columns = fields.map(|(field, number)| Column {
            name: field.name(),
            number,
            pg_type: pg_type_of(field),
            nullable: field.is_nullable(),
            default: None,
            generated: None,
        });
        (definition, columns.collect())
    };
    definitions.iter().map(list).collect()
}

fn system_relations<'a>(
    schema_oid: u32,
    schema: &'static str,
    relations: &'static SystemColumns,
) -> impl Iterator<Item = Relation<'a>> {
    relations.iter().map(move |(definition, columns)| Relation {
        schema_oid,
        schema,
        oid: definition.oid,
        name: definition.name,
        kind: definition.kind,
        system: true,
        entry: None,
        columns: ColumnSource::System(columns),
    })
}

/// The number of the first role, whose everything is that says no owner.
pub(crate) const OWNER_OID: u32 = 10;

/// The number of a role; 0 for one that is gone.
pub(crate) fn role_oid(snapshot: &CatalogSnapshot, name: &str) -> u32 {
    let first = if name == FIRST_ROLE { OWNER_OID } else { 0 };
    snapshot.role(name).map_or(first, |role| role.oid)
}

impl<'a> Relation<'a> {
    /// Whose it is.
    pub(crate) fn owner(&self) -> &'a str {
        self.entry.map_or(FIRST_ROLE, |entry| entry.access.owner())
    }

    /// The list of rights, where something was said of them.
    pub(crate) fn acl(&self) -> Option<Vec<String>> {
        acl(&self.entry?.access, Kind::Relation)
    }
}

/// The list of rights on an object, where something was said of them.
pub(crate) fn acl(access: &Access, kind: Kind) -> Option<Vec<String>> {
    access.grants.as_ref()?;
    let items = access.items(kind);
    // Where all that was said is about columns, the relation itself has what it began with.
    let begun = || Access { grants: None, ..access.clone() }.items(kind);
    (!access.names_columns() || items != begun()).then_some(items)
}
