use arrow::array::AsArray;
use arrow_flight::IpcMessage;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetXdbcTypeInfo,
};
use tarn_catalog::{ColumnEntry, SchemaEntry, TableEntry};

use super::*;

const LIMITS: Limits = Limits { connections_max: 1, statement_bytes_max: 1 };

fn table(name: &str, kind: TableKind) -> Arc<TableEntry> {
    Arc::new(TableEntry {
        oid: 1,
        name: name.to_owned(),
        kind,
        columns: vec![ColumnEntry {
            name: "c".to_owned(),
            data_type: DataType::Utf8View,
            pg_type: tarn_catalog::pg_type::pg_type_of_data_type(&DataType::Utf8View),
            nullable: false,
        }],
        n_rows_estimate: None,
        view_definition: None,
        comment: None,
        details: tarn_catalog::memory::TableDetails::default(),
        statistics: None,
        access: Arc::default(),
    })
}

fn catalog() -> CatalogSnapshot {
    let schema = |name: &str, tables| SchemaEntry {
        oid: 1,
        name: name.to_owned(),
        tables,
        ..SchemaEntry::default()
    };
    CatalogSnapshot {
        version: 1,
        database: "tarn".to_owned(),
        schemas: vec![
            schema("pg_catalog", vec![table("pg_class", TableKind::System)]),
            schema(
                "public",
                vec![
                    table("line_item", TableKind::Table),
                    table("lineXitem", TableKind::Table),
                    table("v", TableKind::View),
                ],
            ),
        ],
        roles: vec![],
        ..CatalogSnapshot::default()
    }
}

fn rows(command: Command) -> RecordBatch {
    answer(&command, &catalog(), LIMITS).unwrap().unwrap()
}

fn column(batch: &RecordBatch, index: usize) -> Vec<String> {
    batch.column(index).as_string::<i32>().iter().flatten().map(str::to_owned).collect()
}

fn check_tables(filter: CommandGetTables, expected: &[&str]) {
    let batch = rows(Command::CommandGetTables(filter.clone()));
    assert_eq!(column(&batch, 2), expected, "{filter:?}");
}

fn filter() -> CommandGetTables {
    CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: None,
        table_name_filter_pattern: None,
        table_types: vec![],
        include_schema: false,
    }
}

#[test]
fn lists_tables_by_filter() {
    let some = |text: &str| Some(text.to_owned());
    let all = ["pg_class", "lineXitem", "line_item", "v"];
    check_tables(filter(), &all);
    check_tables(CommandGetTables { catalog: some("tarn"), ..filter() }, &all);
    check_tables(CommandGetTables { catalog: some(""), ..filter() }, &[]);
    check_tables(CommandGetTables { catalog: some("other"), ..filter() }, &[]);
    let of = |pattern| CommandGetTables { table_name_filter_pattern: some(pattern), ..filter() };
    check_tables(of("line_item"), &["lineXitem", "line_item"]);
    check_tables(of("line\\_item"), &["line_item"]);
    let schema = CommandGetTables { db_schema_filter_pattern: some("pub%"), ..filter() };
    check_tables(schema, &all[1..]);
    let views = vec!["VIEW".to_owned(), "SYSTEM TABLE".to_owned()];
    check_tables(CommandGetTables { table_types: views, ..filter() }, &["pg_class", "v"]);
    check_tables(CommandGetTables { table_types: vec!["X".to_owned()], ..filter() }, &[]);
}

#[test]
fn describes_columns_of_tables() {
    let views = vec!["VIEW".to_owned()];
    let filter = CommandGetTables { table_types: views, include_schema: true, ..filter() };
    let batch = rows(Command::CommandGetTables(filter));
    let bytes = batch.column(4).as_binary::<i32>().value(0).to_vec();
    let schema = Schema::try_from(IpcMessage(bytes.into())).unwrap();
    let field = schema.field(0);
    assert_eq!((field.data_type(), field.is_nullable()), (&DataType::Utf8, false));
    let metadata = |key: &str| field.metadata().get(key).map(String::as_str);
    assert_eq!(metadata("ARROW:FLIGHT:SQL:TABLE_NAME"), Some("v"));
    assert_eq!(metadata("ARROW:FLIGHT:SQL:TYPE_NAME"), Some("text"));
}

#[test]
fn lists_catalogs_and_schemas() {
    assert_eq!(column(&rows(Command::CommandGetCatalogs(CommandGetCatalogs {})), 0), ["tarn"]);
    let schemas = |catalog: Option<&str>, pattern: Option<&str>| {
        let filter = CommandGetDbSchemas {
            catalog: catalog.map(str::to_owned),
            db_schema_filter_pattern: pattern.map(str::to_owned),
        };
        column(&rows(Command::CommandGetDbSchemas(filter)), 1)
    };
    assert_eq!(schemas(None, None), ["pg_catalog", "public"]);
    assert_eq!(schemas(Some("tarn"), Some("p_b%")), ["public"]);
    assert!(schemas(Some(""), None).is_empty());
}

#[test]
fn announces_the_schema_that_it_sends() {
    let keys = CommandGetPrimaryKeys { catalog: None, db_schema: None, table: "t".to_owned() };
    for command in [
        Command::CommandGetCatalogs(CommandGetCatalogs {}),
        Command::CommandGetTableTypes(CommandGetTableTypes {}),
        Command::CommandGetTables(CommandGetTables { include_schema: true, ..filter() }),
        Command::CommandGetTables(filter()),
        Command::CommandGetSqlInfo(CommandGetSqlInfo { info: vec![] }),
        Command::CommandGetXdbcTypeInfo(CommandGetXdbcTypeInfo { data_type: None }),
        Command::CommandGetXdbcTypeInfo(CommandGetXdbcTypeInfo { data_type: Some(4) }),
        Command::CommandGetPrimaryKeys(keys),
        Command::CommandGetCrossReference(CommandGetCrossReference::default()),
    ] {
        let announced = schema_of(&command, LIMITS).unwrap().unwrap();
        assert_eq!(announced, rows(command).schema());
    }
}
