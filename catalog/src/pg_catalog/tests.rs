use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int16Type, UInt32Type};

use crate::entry::{CatalogSnapshot, ColumnEntry, RoleEntry, SchemaEntry, TableEntry, TableKind};
use crate::pg_catalog::settings::{SettingValue, settings};
use crate::{information_schema, pg_catalog};

fn column(name: &str, data_type: DataType, nullable: bool) -> ColumnEntry {
    let pg_type = crate::pg_type::pg_type_of_data_type(&data_type);
    ColumnEntry { name: name.to_owned(), data_type, pg_type, nullable }
}

fn sample() -> CatalogSnapshot {
    let table = |oid, name: &str, kind| {
        Arc::new(TableEntry {
            oid,
            name: name.to_owned(),
            kind,
            columns: vec![
                column("o_orderkey", DataType::Int64, false),
                column("o_total", DataType::Decimal128(15, 2), true),
                column("tags", DataType::new_list(DataType::Utf8View, true), true),
            ],
            n_rows_estimate: Some(150),
            view_definition: (kind == TableKind::View).then(|| "SELECT 1".to_owned()),
            comment: (kind == TableKind::Table).then(|| "delta at /orders".to_owned()),
            details: crate::memory::TableDetails::default(),
            statistics: None,
            access: Arc::default(),
        })
    };
    let schema = |oid, name: &str, tables| SchemaEntry {
        oid,
        name: name.to_owned(),
        tables,
        ..SchemaEntry::default()
    };
    CatalogSnapshot {
        version: 1,
        database: "tarn".to_owned(),
        schemas: vec![
            schema(11, "pg_catalog", pg_catalog::system_entries()),
            schema(
                2200,
                "public",
                vec![
                    table(16_400, "orders", TableKind::Table),
                    table(16_401, "recent", TableKind::View),
                ],
            ),
        ],
        roles: vec![RoleEntry {
            oid: 10,
            name: "tarn".to_owned(),
            superuser: true,
            login: true,
            ..RoleEntry::default()
        }],
        ..CatalogSnapshot::default()
    }
}

fn build(relation: &str) -> RecordBatch {
    pg_catalog::build(relation, &sample()).expect("is a relation").expect("builds")
}

/// The values of one column where another one holds a text.
fn lookup(batch: &RecordBatch, key: &str, value: &str, wanted: &str) -> Vec<String> {
    let show = |name: &str, row| {
        let array = batch.column_by_name(name).expect("is a column");
        arrow::util::display::array_value_to_string(array, row).expect("can be shown")
    };
    let rows = (0..batch.num_rows()).filter(|row| show(key, *row) == value);
    rows.map(|row| show(wanted, row)).collect()
}

#[test]
fn every_line_defines_a_relation_and_every_relation_builds() {
    let lines = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(pg_catalog::relation_names().count(), lines(include_str!("relations.txt")));
    let text = include_str!("../information_schema.txt");
    assert_eq!(information_schema::relation_names().count(), lines(text));
    let snapshot = sample();
    for name in pg_catalog::relation_names() {
        let batch = pg_catalog::build(name, &snapshot).expect(name).expect(name);
        assert_eq!(Some(batch.schema()), pg_catalog::schema(name), "{name}");
    }
    for name in information_schema::relation_names() {
        let batch = information_schema::build(name, &snapshot).expect(name).expect(name);
        assert_eq!(Some(batch.schema()), information_schema::schema(name), "{name}");
    }
    assert!(pg_catalog::build("pg_nonsense", &snapshot).is_none());
}

#[test]
fn columns_are_those_of_postgresql() {
    let check = |relation: &str, expected: &str| {
        let schema = pg_catalog::schema(relation).expect(relation);
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names.join(" "), expected, "{relation}");
    };
    check("pg_namespace", "oid nspname nspowner nspacl");
    check("pg_am", "oid amname amhandler amtype");
    check("pg_description", "objoid classoid objsubid description");
    check(
        "pg_index",
        "indexrelid indrelid indnatts indnkeyatts indisunique indnullsnotdistinct indisprimary \
         indisexclusion indimmediate indisclustered indisvalid indcheckxmin indisready indislive \
         indisreplident indkey indcollation indclass indoption indexprs indpred",
    );
    let index = pg_catalog::schema("pg_index").expect("is a relation");
    let indkey = index.field_with_name("indkey").expect("is a column");
    assert_eq!(indkey.data_type(), &DataType::new_list(DataType::Int16, true));
    assert_eq!(crate::pg_type::pg_type_of(indkey).oid, 22);
}

#[test]
fn system_relations_have_their_own_numbers() {
    let class = build("pg_class");
    for (name, oid) in
        [("pg_class", "1259"), ("pg_attribute", "1249"), ("pg_type", "1247"), ("pg_proc", "1255")]
    {
        assert_eq!(lookup(&class, "relname", name, "oid"), [oid]);
    }
    assert_eq!(lookup(&class, "relname", "orders", "relkind"), ["r"]);
    assert_eq!(lookup(&class, "relname", "recent", "relkind"), ["v"]);
    assert_eq!(lookup(&class, "relname", "orders", "reltuples"), ["150.0"]);
    let oids = class.column_by_name("oid").expect("is a column").as_primitive::<UInt32Type>();
    let mut sorted: Vec<_> = oids.values().to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), class.num_rows(), "numbers are unique");
}

#[test]
fn attributes_count_from_one_and_carry_modifiers() {
    let attribute = build("pg_attribute");
    assert_eq!(
        lookup(&attribute, "attrelid", "16400", "attname"),
        ["o_orderkey", "o_total", "tags"]
    );
    assert_eq!(lookup(&attribute, "attrelid", "16400", "attnum"), ["1", "2", "3"]);
    assert_eq!(lookup(&attribute, "attrelid", "16400", "atttypid"), ["20", "1700", "1009"]);
    assert_eq!(lookup(&attribute, "attrelid", "16400", "atttypmod")[1], "983046");
    assert_eq!(lookup(&attribute, "attrelid", "16400", "attnotnull"), ["true", "false", "false"]);
    let vectors = pg_catalog::schema("pg_constraint").expect("is a relation");
    let conkey = vectors.field_with_name("conkey").expect("is a column");
    assert!(
        matches!(conkey.data_type(), DataType::List(item) if item.data_type() == &DataType::Int16)
    );
}

#[test]
fn types_name_their_functions_by_number() {
    let types = build("pg_type");
    let function = |column: &str| {
        let oid = lookup(&types, "typname", "int4", column)[0].parse().expect("is a number");
        pg_catalog::function_by_oid(oid).map(|row| row.name)
    };
    assert_eq!(function("typinput"), Some("int4in"));
    assert_eq!(function("typreceive"), Some("int4recv"));
    let arguments = build("pg_proc");
    let arguments = arguments.column_by_name("proargtypes").expect("is a column");
    let arguments = arguments.as_list::<i32>();
    assert!(arguments.value(0).as_primitive_opt::<Int16Type>().is_none());
    assert!(arguments.value(0).as_primitive_opt::<UInt32Type>().is_some());
    assert_eq!(lookup(&types, "typname", "_int4", "typelem"), ["23"]);
}

#[test]
fn information_schema_speaks_the_standard() {
    let columns =
        information_schema::build("columns", &sample()).expect("is a view").expect("builds");
    let check = |wanted: &str, expected: [&str; 3]| {
        assert_eq!(lookup(&columns, "table_name", "orders", wanted), expected, "{wanted}");
    };
    check("ordinal_position", ["1", "2", "3"]);
    check("data_type", ["bigint", "numeric", "ARRAY"]);
    check("udt_name", ["int8", "numeric", "_text"]);
    check("numeric_precision", ["64", "15", ""]);
    check("numeric_scale", ["0", "2", ""]);
    check("is_nullable", ["NO", "YES", "YES"]);
    let tables =
        information_schema::build("tables", &sample()).expect("is a view").expect("builds");
    assert_eq!(lookup(&tables, "table_name", "recent", "table_type"), ["VIEW"]);
}

#[test]
fn settings_show_the_session_over_the_defaults() {
    let row = |name: &str, value: &str, reset: &str| SettingValue {
        name: name.to_owned(),
        value: value.to_owned(),
        reset: reset.to_owned(),
        description: "words".to_owned(),
        source: if value == reset { "default" } else { "session" },
    };
    let batch = settings(&[
        row("timezone", "Europe/Berlin", "UTC"),
        row("statement_timeout", "5s", "0"),
        row("tarn.batch_rows", "1", "8192"),
    ])
    .expect("builds");
    assert_eq!(lookup(&batch, "name", "TimeZone", "setting"), ["Europe/Berlin"]);
    assert_eq!(lookup(&batch, "name", "TimeZone", "source"), ["session"]);
    assert_eq!(lookup(&batch, "name", "statement_timeout", "setting"), ["5000"]);
    assert_eq!(lookup(&batch, "name", "tarn.batch_rows", "setting"), ["1"]);
    assert_eq!(lookup(&batch, "name", "max_index_keys", "setting"), ["32"]);
}

#[test]
fn a_thousand_tables_are_listed_fast_enough_to_be_asked_for_each_query() {
    let mut snapshot = sample();
    let columns: Vec<_> =
        (0..20).map(|n| column(&format!("c{n}"), DataType::Int64, true)).collect();
    let tables = (0..1_000).map(|n| {
        let table = snapshot.table("public", "orders").expect("is in the sample");
        Arc::new(TableEntry { oid: 20_000 + n, columns: columns.clone(), ..(**table).clone() })
    });
    snapshot.schemas[1].tables = tables.collect();
    let batch = pg_catalog::build("pg_attribute", &snapshot).expect("exists").expect("builds");
    let user = lookup(&batch, "attname", "c19", "attnum");
    assert_eq!(user.len(), 1_000);
    assert!(batch.column(0).null_count() == 0);
}
