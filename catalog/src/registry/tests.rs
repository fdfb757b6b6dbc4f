use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::{Catalog, Relation};
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
