//! The SQL standard's views of the catalog, with PostgreSQL's names and types.
//!
//! The columns are read from `information_schema.txt`. Like [`crate::pg_catalog`], views are built
//! from a snapshot when a query names them; those about things that tarn has none of are empty.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::Result;
use crate::entry::{CatalogSnapshot, TableEntry};
use crate::log::Access;
use crate::pg_catalog::columns::Columns;
use crate::pg_catalog::constant_rows::section;
use crate::pg_catalog::constraints::{Constraint, ConstraintKind, Key, constraints, keys};
use crate::pg_catalog::definition::INFORMATION_SCHEMA;
use crate::pg_catalog::objects::{Column, Relation, namespaces, relations, schema_entry};
use crate::pg_catalog::{FunctionRow, functions};
use crate::pg_type::{TypeInfo, format_type, type_info};
use crate::rights::{COLUMN_PRIVILEGES, FIRST_ROLE, Kind, PUBLIC_ROLE, Privilege};

/// The names of the views, in order.
pub fn relation_names() -> impl Iterator<Item = &'static str> {
    INFORMATION_SCHEMA.iter().map(|definition| definition.name)
}

/// The columns of a view.
#[must_use]
pub fn schema(name: &str) -> Option<SchemaRef> {
    INFORMATION_SCHEMA.get(name).map(|definition| Arc::clone(&definition.schema))
}

/// The views as the `information_schema` schema of a snapshot lists them.
#[must_use]
pub fn system_entries() -> Vec<Arc<TableEntry>> {
    INFORMATION_SCHEMA.entries()
}

/// Builds the rows of a view; `None` where there is none of this name.
///
/// # Errors
/// `Internal` only.
#[must_use]
pub fn build(name: &str, snapshot: &CatalogSnapshot) -> Option<Result<RecordBatch>> {
    snapshot.derived.batch("information_schema", name, || build_anew(name, snapshot))
}

fn build_anew(name: &str, snapshot: &CatalogSnapshot) -> Option<Result<RecordBatch>> {
    let schema = &INFORMATION_SCHEMA.get(name)?.schema;
    let of = |n_rows| Columns::new(schema, n_rows);
    let database = &snapshot.database;
    Some(match name {
        "information_schema_catalog_name" => of(1).all_text("catalog_name", database).finish(),
        "schemata" => schemata(snapshot, schema),
        "tables" => tables(snapshot, schema),
        "views" => views(snapshot, schema),
        "columns" => columns(snapshot, schema),
        "table_privileges" | "role_table_grants" => table_grants(snapshot, schema),
        "column_privileges" | "role_column_grants" => column_grants(snapshot, schema),
        "applicable_roles" => applicable_roles(snapshot, schema),
        "enabled_roles" => {
            let roles = &snapshot.roles;
            of(roles.len()).text("role_name", roles.iter().map(|role| role.name.as_str())).finish()
        }
        "character_sets" => of(1)
            .all_text("character_set_name", "UTF8")
            .all_text("character_repertoire", "UCS")
            .all_text("form_of_use", "UTF8")
            .all_text("default_collate_catalog", database)
            .all_text("default_collate_schema", "pg_catalog")
            .all_text("default_collate_name", "C")
            .finish(),
        "collations" => collations(snapshot, schema),
        "routines" => routines(snapshot, schema),
        "parameters" => parameters(snapshot, schema),
        "table_constraints" => table_constraints(snapshot, schema),
        "check_constraints" => check_constraints(snapshot, schema),
        "key_column_usage" => key_columns(snapshot, schema, true),
        "constraint_column_usage" => key_columns(snapshot, schema, false),
        _ => of(0).finish(),
    })
}

fn schemata(snapshot: &CatalogSnapshot, schema: &SchemaRef) -> Result<RecordBatch> {
    let all = namespaces(snapshot);
    Columns::new(schema, all.len())
        .all_text("catalog_name", &snapshot.database)
        .text("schema_name", all.iter().map(|(_, name)| *name))
        .text(
            "schema_owner",
            all.iter().map(|(_, name)| {
                schema_entry(snapshot, name).map_or(FIRST_ROLE, |s| s.access.owner())
            }),
        )
        .finish()
}

/// YES or NO, the standard's truth values.
fn yes_or_no(value: bool) -> &'static str {
    if value { "YES" } else { "NO" }
}

fn tables(snapshot: &CatalogSnapshot, schema: &SchemaRef) -> Result<RecordBatch> {
    let all = relations(snapshot);
    let kind = |relation: &Relation<'_>| if relation.is_view() { "VIEW" } else { "BASE TABLE" };
    Columns::new(schema, all.len())
        .all_text("table_catalog", &snapshot.database)
        .text("table_schema", all.iter().map(|relation| relation.schema))
        .text("table_name", all.iter().map(|relation| relation.name))
        .text("table_type", all.iter().map(kind))
        .text("is_insertable_into", all.iter().map(|r| yes_or_no(r.is_user_table())))
        .all_text("is_typed", "NO")
        .finish()
}

fn views(snapshot: &CatalogSnapshot, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut all = relations(snapshot);
    all.retain(Relation::is_view);
    let definition =
        |relation: &Relation<'_>| relation.entry.and_then(|e| e.view_definition.clone());
    let definitions: Vec<_> = all.iter().map(definition).collect();
    Columns::new(schema, all.len())
        .all_text("table_catalog", &snapshot.database)
        .text("table_schema", all.iter().map(|relation| relation.schema))
        .text("table_name", all.iter().map(|relation| relation.name))
        .text("view_definition", definitions.iter().map(Option::as_deref))
        .all_text("check_option", "NONE")
        .all_text("is_updatable", "NO")
        .all_text("is_insertable_into", "NO")
        .all_text("is_trigger_updatable", "NO")
        .all_text("is_trigger_deletable", "NO")
        .all_text("is_trigger_insertable_into", "NO")
        .finish()
}

/// What the standard says about the size of a type's values.
struct Facets {
    data_type: String,
    udt_name: &'static str,
    character_maximum: Option<i64>,
    character_octets: Option<i64>,
    numeric_precision: Option<i64>,
    numeric_radix: Option<i64>,
    numeric_scale: Option<i64>,
    datetime_precision: Option<i64>,
}

/// The longest value in bytes that PostgreSQL can hold.
const OCTETS_MAX: i64 = 1 << 30;

fn facets(column: &Column<'_>) -> Facets {
    let oid = column.pg_type.oid;
    let modifier = i64::from(column.pg_type.modifier);
    let info = type_info(oid);
    let length = (modifier > 4 && matches!(oid, 1042 | 1043)).then_some(modifier - 4);
    let decimal = (oid == 1700 && modifier >= 4).then_some(modifier - 4);
    let numeric = match oid {
        21 => Some((16, 2, Some(0))),
        23 => Some((32, 2, Some(0))),
        20 => Some((64, 2, Some(0))),
        700 => Some((24, 2, None)),
        701 => Some((53, 2, None)),
        _ => None,
    };
    Facets {
        data_type: match info {
            Some(info) if info.is_array() => "ARRAY".to_owned(),
            _ => format_type(oid, None),
        },
        udt_name: info.map_or("text", |info| info.name),
        character_maximum: length,
        character_octets: match oid {
            25 | 1042 | 1043 => Some(length.map_or(OCTETS_MAX, |length| length * 4)),
            _ => None,
        },
        numeric_precision: decimal
            .map(|d| d >> 16)
            .or_else(|| numeric.map(|(precision, ..)| precision)),
        numeric_radix: (oid == 1700).then_some(10).or_else(|| numeric.map(|(_, radix, _)| radix)),
        numeric_scale: decimal.map(|d| d & 0x7ff).or_else(|| numeric.and_then(|(.., scale)| scale)),
        datetime_precision: match oid {
            1082 => Some(0),
            1083 | 1114 | 1184 | 1186 | 1266 => Some(if modifier >= 0 { modifier } else { 6 }),
            _ => None,
        },
    }
}

fn columns(snapshot: &CatalogSnapshot, schema: &SchemaRef) -> Result<RecordBatch> {
    let relations = relations(snapshot);
    let mut all = Vec::new();
    for relation in &relations {
        all.extend(relation.columns().map(|column| {
            let facets = facets(&column);
            (relation, column, facets)
        }));
    }
    let each = || all.iter();
    let facets = || each().map(|(.., facets)| facets);
    let identifiers: Vec<String> = each().map(|(_, column, _)| column.number.to_string()).collect();
    Columns::new(schema, all.len())
        .all_text("table_catalog", &snapshot.database)
        .text("table_schema", each().map(|(relation, ..)| relation.schema))
        .text("table_name", each().map(|(relation, ..)| relation.name))
        .text("column_name", each().map(|(_, column, _)| column.name))
        .int("ordinal_position", each().map(|(_, column, _)| column.number))
        .text("column_default", each().map(|(_, column, _)| column.default))
        .text("is_nullable", each().map(|(_, column, _)| yes_or_no(column.nullable)))
        .text("data_type", facets().map(|facets| facets.data_type.as_str()))
        .int("character_maximum_length", facets().map(|facets| facets.character_maximum))
        .int("character_octet_length", facets().map(|facets| facets.character_octets))
        .int("numeric_precision", facets().map(|facets| facets.numeric_precision))
        .int("numeric_precision_radix", facets().map(|facets| facets.numeric_radix))
        .int("numeric_scale", facets().map(|facets| facets.numeric_scale))
        .int("datetime_precision", facets().map(|facets| facets.datetime_precision))
        .all_text("udt_catalog", &snapshot.database)
        .all_text("udt_schema", "pg_catalog")
        .text("udt_name", facets().map(|facets| facets.udt_name))
        .text("dtd_identifier", identifiers.iter().map(String::as_str))
        .all_text("is_self_referencing", "NO")
        .all_text("is_identity", "NO")
        .all_text("identity_cycle", "NO")
        .text(
            "is_generated",
            each().map(
                |(_, column, _)| {
                    if column.generated.is_some() { "ALWAYS" } else { "NEVER" }
                },
            ),
        )
        .text("generation_expression", each().map(|(_, column, _)| column.generated))
        .text("is_updatable", each().map(|(relation, ..)| yes_or_no(relation.is_user_table())))
        .finish()
}

/// A right on a relation: the relation, the right, who gave it to whom, whether it may be handed
/// on.
type Granted<'a> = (Relation<'a>, Privilege, String, String, bool);

fn granted<'a>(relations: &[Relation<'a>]) -> Vec<Granted<'a>> {
    let mut all = Vec::new();
    for relation in relations {
        let own = Access::default();
        let access = relation.entry.map_or(&own, |entry| entry.access.as_ref());
        for (role, grant) in access.effective(Kind::Relation) {
            let grantee = if role == PUBLIC_ROLE { "PUBLIC".to_owned() } else { role.clone() };
            for privilege in Kind::Relation.privileges() {
                let Some(option) = grant.privileges.get(&privilege.key()) else { continue };
                let option = *option || role == access.owner();
                let by = grant.grantor.clone();
                all.push((relation.clone(), *privilege, by, grantee.clone(), option));
            }
        }
    }
    all
}

fn table_grants(snapshot: &CatalogSnapshot, schema: &SchemaRef) -> Result<RecordBatch> {
    let all = granted(&relations(snapshot));
    Columns::new(schema, all.len())
        .text("grantor", all.iter().map(|(_, _, grantor, ..)| grantor.as_str()))
        .text("grantee", all.iter().map(|(_, _, _, grantee, _)| grantee.as_str()))
        .all_text("table_catalog", &snapshot.database)
        .text("table_schema", all.iter().map(|(relation, ..)| relation.schema))
        .text("table_name", all.iter().map(|(relation, ..)| relation.name))
        .text("privilege_type", all.iter().map(|(_, privilege, ..)| privilege.word()))
        .text("is_grantable", all.iter().map(|(.., option)| yes_or_no(*option)))
        .text("with_hierarchy", all.iter().map(|(_, p, ..)| yes_or_no(*p == Privilege::Select)))
        .finish()
}

fn column_grants(snapshot: &CatalogSnapshot, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut relations = relations(snapshot);
    relations.retain(|relation| !relation.system);
    let mut granted = granted(&relations);
    granted.retain(|(_, privilege, ..)| COLUMN_PRIVILEGES.contains(privilege));
    let columns = |row| {
        let (relation, ..): &Granted<'_> = row;
        relation.columns().map(move |column| (row, column.name))
    };
    let mut all: Vec<(&Granted<'_>, &str)> = granted.iter().flat_map(columns).collect();
    let single = granted_columns(&relations);
    let is_new = |(row, column): &&(Granted<'_>, &str)| {
        let same = |(other, name): &&(&Granted<'_>, &str)| {
            let key = |row: &Granted<'_>| (row.0.oid, row.1, row.3.clone());
            name == column && key(other) == key(row)
        };
        !all.iter().any(|known| same(&known))
    };
    let new: Vec<_> = single.iter().filter(is_new).map(|(row, column)| (row, *column)).collect();
    all.extend(new);
    Columns::new(schema, all.len())
        .text("grantor", all.iter().map(|((_, _, grantor, ..), _)| grantor.as_str()))
        .text("grantee", all.iter().map(|((_, _, _, grantee, _), _)| grantee.as_str()))
        .all_text("table_catalog", &snapshot.database)
        .text("table_schema", all.iter().map(|((relation, ..), _)| relation.schema))
        .text("table_name", all.iter().map(|((relation, ..), _)| relation.name))
        .text("column_name", all.iter().map(|(_, column)| *column))
        .text("privilege_type", all.iter().map(|((_, privilege, ..), _)| privilege.word()))
        .text("is_grantable", all.iter().map(|((.., option), _)| yes_or_no(*option)))
        .finish()
}

/// Rights on single columns.
fn granted_columns<'a>(relations: &[Relation<'a>]) -> Vec<(Granted<'a>, &'a str)> {
    let mut all = Vec::new();
    for relation in relations {
        let Some(grants) = relation.entry.and_then(|entry| entry.access.grants.as_ref()) else {
            continue;
        };
        for (role, grant) in grants {
            let grantee = if role == PUBLIC_ROLE { "PUBLIC".to_owned() } else { role.clone() };
            for (column, given) in &grant.columns {
                for privilege in COLUMN_PRIVILEGES {
                    let Some(option) = given.get(&privilege.key()) else { continue };
                    let by = grant.grantor.clone();
                    let row = (relation.clone(), *privilege, by, grantee.clone(), *option);
                    all.push((row, column.as_str()));
                }
            }
        }
    }
    all
}

fn applicable_roles(snapshot: &CatalogSnapshot, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut rows = Vec::new();
    for role in &snapshot.roles {
        for group in &role.member_of {
            rows.push((role.name.as_str(), group.as_str(), role.admin_of.contains(group)));
        }
    }
    Columns::new(schema, rows.len())
        .text("grantee", rows.iter().map(|(role, ..)| *role))
        .text("role_name", rows.iter().map(|(_, group, _)| *group))
        .text("is_grantable", rows.iter().map(|(.., admin)| yes_or_no(*admin)))
        .finish()
}

fn parameters(snapshot: &CatalogSnapshot, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = functions().iter().filter(|row| row.kind == "f");
    let all: Vec<(String, i64, u32)> = rows
        .flat_map(|row| {
            let specific = format!("{}_{}", row.name, row.oid);
            let arguments = (1..).zip(&row.arguments);
            arguments.map(move |(at, oid)| (specific.clone(), at, *oid))
        })
        .collect();
    let kind = |oid: u32| match type_info(oid) {
        Some(info) if info.is_array() => "ARRAY".to_owned(),
        _ => format_type(oid, None),
    };
    let kinds: Vec<_> = all.iter().map(|(.., oid)| kind(*oid)).collect();
    let identifiers: Vec<_> = all.iter().map(|(_, at, _)| at.to_string()).collect();
    Columns::new(schema, all.len())
        .all_text("specific_catalog", &snapshot.database)
        .all_text("specific_schema", "pg_catalog")
        .text("specific_name", all.iter().map(|(specific, ..)| specific.as_str()))
        .int("ordinal_position", all.iter().map(|(_, at, _)| *at))
        .all_text("parameter_mode", "IN")
        .all_text("is_result", "NO")
        .all_text("as_locator", "NO")
        .text("data_type", kinds.iter().map(String::as_str))
        .all_text("udt_catalog", &snapshot.database)
        .all_text("udt_schema", "pg_catalog")
        .text("udt_name", all.iter().map(|(.., oid)| type_info(*oid).map(|info| info.name)))
        .text("dtd_identifier", identifiers.iter().map(String::as_str))
        .finish()
}

fn table_constraints(snapshot: &CatalogSnapshot, schema: &SchemaRef) -> Result<RecordBatch> {
    let all = constraints(snapshot);
    let each = || all.iter();
    let is_check = |one: &Constraint<'_>| matches!(one.kind, ConstraintKind::Check(_));
    let is_unique = |one: &Constraint<'_>| one.kind.standard_name() == "UNIQUE";
    Columns::new(schema, all.len())
        .all_text("constraint_catalog", &snapshot.database)
        .text("constraint_schema", each().map(|one| one.schema))
        .text("constraint_name", each().map(|one| one.kind.name()))
        .all_text("table_catalog", &snapshot.database)
        .text("table_schema", each().map(|one| one.schema))
        .text("table_name", each().map(|one| one.entry.name.as_str()))
        .text("constraint_type", each().map(|one| one.kind.standard_name()))
        .all_text("is_deferrable", "NO")
        .all_text("initially_deferred", "NO")
        .text("enforced", each().map(|one| yes_or_no(is_check(one))))
        .text("nulls_distinct", each().map(|one| is_unique(one).then_some("YES")))
        .finish()
}

fn check_constraints(snapshot: &CatalogSnapshot, schema: &SchemaRef) -> Result<RecordBatch> {
    let all = constraints(snapshot);
    let checks: Vec<_> = all
        .iter()
        .filter_map(|one| match one.kind {
            ConstraintKind::Check(check) => Some((one, check)),
            ConstraintKind::Key(_) | ConstraintKind::Reference(_) => None,
        })
        .collect();
    Columns::new(schema, checks.len())
        .all_text("constraint_catalog", &snapshot.database)
        .text("constraint_schema", checks.iter().map(|(one, _)| one.schema))
        .text("constraint_name", checks.iter().map(|(_, check)| check.name.as_str()))
        .text("check_clause", checks.iter().map(|(_, check)| check.expression.as_str()))
        .finish()
}

/// `key_column_usage`, which numbers the columns, and `constraint_column_usage`, which does not.
fn key_columns(
    snapshot: &CatalogSnapshot,
    schema: &SchemaRef,
    numbered: bool,
) -> Result<RecordBatch> {
    let keys = keys(snapshot);
    let columns = |key| {
        let key: &Key<'_> = key;
        key.key.columns.iter().zip(1_i64..).map(move |(name, number)| (key, name, number))
    };
    let all: Vec<_> = keys.iter().flat_map(columns).collect();
    let built = Columns::new(schema, all.len())
        .all_text("constraint_catalog", &snapshot.database)
        .text("constraint_schema", all.iter().map(|(key, ..)| key.schema))
        .text("constraint_name", all.iter().map(|(key, ..)| key.key.name.as_str()))
        .all_text("table_catalog", &snapshot.database)
        .text("table_schema", all.iter().map(|(key, ..)| key.schema))
        .text("table_name", all.iter().map(|(key, ..)| key.entry.name.as_str()))
        .text("column_name", all.iter().map(|(_, name, _)| name.as_str()));
    if numbered {
        built.int("ordinal_position", all.iter().map(|(.., number)| *number)).finish()
    } else {
        built.finish()
    }
}

fn collations(snapshot: &CatalogSnapshot, schema: &SchemaRef) -> Result<RecordBatch> {
    let names: Vec<_> =
        section("pg_collation").into_iter().flat_map(|section| section.texts("collname")).collect();
    Columns::new(schema, names.len())
        .all_text("collation_catalog", &snapshot.database)
        .all_text("collation_schema", "pg_catalog")
        .text("collation_name", names.iter().copied())
        .all_text("pad_attribute", "NO PAD")
        .finish()
}

fn routines(snapshot: &CatalogSnapshot, schema: &SchemaRef) -> Result<RecordBatch> {
    let all: Vec<&FunctionRow> = functions().iter().filter(|row| row.kind == "f").collect();
    let specific: Vec<_> = all.iter().map(|row| format!("{}_{}", row.name, row.oid)).collect();
    let result = |row: &FunctionRow| match type_info(row.result) {
        Some(info) if info.is_array() => "ARRAY".to_owned(),
        _ => format_type(row.result, None),
    };
    let results: Vec<_> = all.iter().map(|row| result(row)).collect();
    let names = all.iter().map(|row| type_info(row.result).map(|info: &TypeInfo| info.name));
    Columns::new(schema, all.len())
        .all_text("specific_catalog", &snapshot.database)
        .all_text("specific_schema", "pg_catalog")
        .text("specific_name", specific.iter().map(String::as_str))
        .all_text("routine_catalog", &snapshot.database)
        .all_text("routine_schema", "pg_catalog")
        .text("routine_name", all.iter().map(|row| row.name))
        .all_text("routine_type", "FUNCTION")
        .text("data_type", results.iter().map(String::as_str))
        .all_text("type_udt_catalog", &snapshot.database)
        .all_text("type_udt_schema", "pg_catalog")
        .text("type_udt_name", names)
        .all_text("dtd_identifier", "0")
        .all_text("routine_body", "EXTERNAL")
        .all_text("external_language", "INTERNAL")
        .all_text("parameter_style", "GENERAL")
        .all_text("sql_data_access", "MODIFIES")
        .all_text("security_type", "INVOKER")
        .finish()
}
