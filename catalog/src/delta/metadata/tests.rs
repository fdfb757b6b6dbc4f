use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use serde_json::json;

use super::{NewColumn, TableMetadata, type_metadata};
use crate::CatalogError;
use crate::details::{TableCheck, TableDetails, TableKey};
use crate::pg_type::{FIELD_PG_TYPE, FIELD_PG_TYPMOD};

fn fields() -> Vec<Field> {
    let varchar = HashMap::from([
        (FIELD_PG_TYPE.to_owned(), "varchar".to_owned()),
        (FIELD_PG_TYPMOD.to_owned(), "14".to_owned()),
    ]);
    vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8View, true).with_metadata(varchar),
        Field::new("day", DataType::Date32, true),
    ]
}

fn with(properties: &[(&str, &str)]) -> Result<TableMetadata, CatalogError> {
    let properties = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let details = TableDetails { properties, ..TableDetails::default() };
    TableMetadata::create(&fields(), &details, vec!["day".to_owned()])
}

/// Through both actions and back again.
fn again(metadata: &TableMetadata) -> TableMetadata {
    let (meta, protocol) = (metadata.meta_action(), metadata.protocol_action());
    TableMetadata::from_actions("t", meta.get("metaData"), protocol.get("protocol"), None)
        .expect("reads what it wrote")
}

#[test]
fn keeps_everything_through_the_actions() {
    let details = TableDetails {
        defaults: vec![None, Some("'none'".to_owned())],
        generated: vec![],
        keys: vec![TableKey {
            name: "t_pkey".to_owned(),
            primary: true,
            columns: vec!["id".to_owned()],
            rely: true,
        }],
        checks: vec![TableCheck { name: "positive".to_owned(), expression: "id > 0".to_owned() }],
        comment: Some("a table".to_owned()),
        column_comments: vec![None, None, Some("a day".to_owned())],
        ..TableDetails::default()
    };
    let made = TableMetadata::create(&fields(), &details, vec!["day".to_owned()]).expect("valid");
    let read = again(&made);
    assert_eq!(read, made);
    let said = read.details();
    assert_eq!(said.default_of(1), Some("'none'"));
    assert_eq!(said.keys, details.keys);
    assert_eq!(said.checks, details.checks);
    assert_eq!(said.comment, details.comment);
    assert_eq!(said.column_comment(2), Some("a day"));
    assert_eq!(made.protocol_action()["protocol"]["minWriterVersion"], 7);
    assert!(made.protocol().has("checkConstraints"));
    assert_eq!(made.protocol().min_reader(), 1);
}

#[test]
fn plain_tables_ask_little_of_others() {
    let made = with(&[]).expect("valid");
    let action = json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}});
    assert_eq!(made.protocol_action(), action);
    let vectors = with(&[("delta.enableDeletionVectors", "true")]).expect("valid");
    assert_eq!(
        vectors.protocol_action(),
        json!({"protocol": {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": ["deletionVectors"],
            "writerFeatures": ["appendOnly", "deletionVectors", "invariants"],
        }})
    );
}

#[test]
fn types_that_delta_lacks_are_named() {
    let check = |data_type: DataType, expected: &str| {
        let field = Field::new("c", data_type, true);
        let other = Field::new("d", DataType::Int64, true);
        let made = TableMetadata::create(&[field, other], &TableDetails::default(), vec![]);
        let found = match made {
            Ok(made) => made.schema_json()["fields"][0]["type"].to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    };
    let refused =
        |name: &str| format!("column \"c\" has type {name}, which delta tables cannot hold");
    check(DataType::Interval(IntervalUnit::MonthDayNano), "\"string\"");
    check(DataType::Time64(TimeUnit::Microsecond), "\"string\"");
    check(DataType::FixedSizeBinary(16), "\"string\"");
    let inside = Field::new("inside", DataType::FixedSizeBinary(16), true);
    check(DataType::Struct(vec![inside].into()), &refused("uuid"));
    check(DataType::FixedSizeBinary(3), &refused("bytea"));
    check(DataType::Decimal128(10, 2), "\"decimal(10,2)\"");
    check(DataType::Timestamp(TimeUnit::Microsecond, None), "\"timestamp_ntz\"");
    let item = Arc::new(Field::new("item", DataType::Utf8, true));
    check(
        DataType::List(item),
        "{\"containsNull\":true,\"elementType\":\"string\",\"type\":\"array\"}",
    );
}

#[test]
fn columns_are_renamed_and_dropped_only_where_they_are_mapped() {
    let mut plain = with(&[]).expect("valid");
    let refused = plain.rename_column("name", "title");
    assert!(matches!(refused, Err(CatalogError::ColumnMappingNeeded { what: "RENAME COLUMN" })));
    let properties =
        BTreeMap::from([("delta.columnMapping.mode".to_owned(), Some("name".to_owned()))]);
    plain.set_properties(&properties).expect("switches mapping on");
    plain.rename_column("day", "date").expect("renames");
    assert_eq!(plain.partition_columns(), ["date"]);
    let field = plain.schema_json()["fields"][2].clone();
    assert_eq!(field["metadata"]["delta.columnMapping.physicalName"], "day");
    plain.drop_column("name").expect("drops");
    assert!(!plain.has_column("name"));
    let new = Field::new("more", DataType::Int32, true);
    let column = NewColumn { field: &new, default: None, generated: None, comment: None };
    plain.add_column(&column).expect("adds");
    let field = plain.schema_json()["fields"][2].clone();
    assert_eq!(field["metadata"]["delta.columnMapping.id"], 4);
    assert!(plain.drop_column("date").is_err());
    assert!(plain.protocol().has("columnMapping"));
}

#[test]
fn types_are_widened_only() {
    let mut made = with(&[("delta.enableTypeWidening", "true")]).expect("valid");
    let to = |data_type| Field::new("id", data_type, false);
    let narrower = made.widen_column("id", &to(DataType::Int32));
    assert!(matches!(narrower, Err(CatalogError::InvalidDefinition { .. })));
    made.widen_column("id", &to(DataType::Decimal128(20, 0))).expect("holds all numbers");
    let changes = made.schema_json()["fields"][0]["metadata"]["delta.typeChanges"].clone();
    assert_eq!(changes, json!([{"fromType": "long", "toType": "decimal(20,0)"}]));
    let text = Field::new("name", DataType::Utf8View, true);
    made.widen_column("name", &text).expect("a text without a limit holds more");
    let off = with(&[]).expect("valid").widen_column("id", &to(DataType::Decimal128(20, 0)));
    assert!(matches!(off, Err(CatalogError::TypeWideningNeeded { .. })));
}

#[test]
fn properties_are_known_or_refused() {
    let check = |name: &str, value: &str, expected: Option<&str>| {
        let found = with(&[(name, value)]).err().map(|error| error.to_string());
        match (found, expected) {
            (Some(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => assert_eq!(found.as_deref(), expected),
        }
    };
    check("owner", "me", None);
    check("delta.appendOnly", "maybe", Some("it takes true and false"));
    check("delta.checkpointInterval", "0", Some("above zero"));
    check("delta.enableRowTracking", "true", Some("tarn does not know it"));
    check("delta.constraints.c", "a > 0", Some("ADD CONSTRAINT"));
    check("delta.feature.rowTracking", "supported", Some("tarn cannot write tables with it"));
    check("delta.feature.typeWidening", "supported", None);
}

#[test]
fn reads_spark_s_notes_on_types() {
    let notes = HashMap::from([(super::CHAR_VARCHAR.to_owned(), "varchar(10)".to_owned())]);
    let read = type_metadata(&notes);
    assert_eq!(read.get(FIELD_PG_TYPE).map(String::as_str), Some("varchar"));
    assert_eq!(read.get(FIELD_PG_TYPMOD).map(String::as_str), Some("14"));
}
