use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::{Catalog, Change, Known, Relation, unique_names};
use crate::discovery::{Format, FoundTable};
use crate::memory::MemoryTable;
use crate::object_store::{ObjectStores, StoreLimits};
use crate::{CatalogError, TableName};

fn catalog() -> Arc<Catalog> {
    Catalog::new("tarn", ObjectStores::new(StoreLimits::default()), vec![])
}

fn table(name: &str) -> Arc<MemoryTable> {
    let schema = Schema::new(vec![Field::new("a", DataType::Int32, true)]);
    MemoryTable::new(name, Arc::new(schema), 1 << 20)
}

fn name(table: &str) -> TableName {
    TableName::new("public", table)
}

#[test]
fn names_are_unique_and_numbers_stable() {
    let (one, two) = (catalog(), catalog());
    for catalog in [&one, &two] {
        catalog.create_table(&name("t"), table("t")).expect("is new");
        let again = catalog.create_table(&name("t"), table("t"));
        assert!(matches!(again, Err(CatalogError::TableExists { .. })));
    }
    two.create_schema("other").expect("is new");
    let oid = |catalog: &Catalog| catalog.snapshot().table("public", "t").map(|entry| entry.oid);
    assert_eq!(oid(&one), oid(&two));
    assert!(oid(&one).is_some_and(|oid| oid >= 16_384));
}

#[test]
fn a_table_with_dependents_is_dropped_only_with_them() {
    let catalog = catalog();
    catalog.create_table(&name("t"), table("t")).expect("is new");
    let view = |v: &str, of: &str| {
        catalog.create_view(&name(v), format!("SELECT * FROM {of}"), vec![], vec![name(of)], false)
    };
    view("v", "t").expect("is new");
    view("w", "v").expect("is new");
    let refused = catalog.drop_relation(&name("t"), false, false);
    assert!(matches!(refused, Err(CatalogError::DependentObjects { .. })));
    let kind = catalog.drop_relation(&name("v"), false, false);
    assert!(matches!(kind, Err(CatalogError::WrongObjectType { .. })));
    catalog.drop_relation(&name("t"), false, true).expect("drops all three");
    assert!(catalog.get(&name("w")).is_none());
}

#[test]
fn schemas_hold_relations() {
    let catalog = catalog();
    let missing = catalog.create_table(&TableName::new("nope", "t"), table("t"));
    assert!(matches!(missing, Err(CatalogError::SchemaNotFound { .. })));
    catalog.create_schema("s").expect("is new");
    let inside = TableName::new("s", "t");
    catalog.create_table(&inside, table("t")).expect("is new");
    assert!(matches!(catalog.get(&inside), Some(Relation::Memory(_))));
    assert!(matches!(catalog.drop_schema("s", false), Err(CatalogError::DependentObjects { .. })));
    catalog.drop_schema("s", true).expect("drops both");
    assert!(catalog.get(&inside).is_none());
    assert!(catalog.drop_schema("public", true).is_err());
}

#[test]
fn a_schema_that_others_have_filled_is_not_dropped() {
    let catalog = catalog();
    catalog.create_schema("s").expect("is new");
    let (seen, new) = (TableName::new("s", "seen"), TableName::new("s", "new"));
    catalog.create_table(&seen, table("seen")).expect("is new");
    let before = catalog.get(&seen);
    // Another session commits a table that the one that drops the schema has not seen.
    catalog.create_table(&new, table("new")).expect("is new");
    let dropped = |name: &TableName, before| Change::Put {
        name: name.clone(),
        before,
        base: None,
        after: None,
    };
    let changes = [dropped(&seen, before.clone()), Change::DropSchema("s".to_owned())];
    assert!(matches!(catalog.apply(&changes), Err(CatalogError::Conflict { .. })));
    assert!(catalog.get(&seen).is_some() && catalog.get(&new).is_some());
    let all = [
        dropped(&seen, before),
        dropped(&new, catalog.get(&new)),
        Change::DropSchema("s".to_owned()),
    ];
    catalog.apply(&all).expect("nothing is left in it");
    assert!(!catalog.has_schema("s"));
}

#[test]
fn made_up_names_are_not_those_of_others() {
    let found = |name: &str, url: &str| FoundTable {
        name: name.to_owned(),
        url: url.to_owned(),
        format: Format::Csv,
        single_file: true,
    };
    let all = vec![found("t", "1"), found("t", "2"), found("t_2", "3"), found("t", "4")];
    let names: Vec<String> = unique_names(all).into_iter().map(|table| table.name).collect();
    assert_eq!(names, ["t", "t_3", "t_2", "t_4"]);
}

#[test]
fn a_found_table_does_not_push_aside_what_was_made_meanwhile() {
    let catalog = catalog();
    let found = |url: &str| Known {
        relation: Relation::View { definition: url.to_owned() },
        oid: 0,
        columns: vec![],
        n_rows: None,
        url: Some(url.to_owned()),
        depends_on: vec![],
        details: Arc::default(),
    };
    catalog.create_table(&name("t"), table("t")).expect("is new");
    catalog.add_found(name("t"), found("file:///t"));
    assert!(matches!(catalog.get(&name("t")), Some(Relation::Memory(_))));
    catalog.add_found(name("u"), found("file:///u"));
    assert!(catalog.is_found(&name("u")));
}
