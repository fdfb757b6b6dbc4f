use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::{Catalog, Change, Expect, Known, Object, Relation, unique_names};
use crate::discovery::{Format, FoundTable};
use crate::log::{CatalogLog, Entry, LocalLog, RoleDef, Scope};
use crate::memory::{MemoryLimits, MemoryTable};
use crate::object_store::{ObjectStores, StoreLimits};
use crate::{CatalogError, Result, TableName};

fn stores() -> ObjectStores {
    ObjectStores::new(StoreLimits::default())
}

fn catalog() -> Arc<Catalog> {
    Catalog::new("tarn", stores(), vec![])
}

fn table(name: &str) -> Object {
    let schema = Schema::new(vec![Field::new("a", DataType::Int32, true)]);
    Object::table(MemoryTable::new(name, Arc::new(schema), MemoryLimits::alone(1 << 20)))
}

fn view(text: &str, depends_on: &[&str]) -> Object {
    let columns = table("t").columns;
    let relation = Relation::View { definition: text.to_owned() };
    let depends_on = depends_on.iter().map(|read| name(read)).collect();
    Object { relation, columns, depends_on, details: Arc::default(), access: Arc::default() }
}

fn name(table: &str) -> TableName {
    TableName::new("public", table)
}

async fn put(catalog: &Arc<Catalog>, table: &str, after: Option<Object>) -> Result<()> {
    let before = catalog.get(&name(table));
    catalog.commit(vec![Change::Put { name: name(table), before, base: None, after }]).await
}

/// A log in a folder of its own, which a test opens as often as it has servers.
struct Shared(tempfile::TempDir);

impl Shared {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn log(&self) -> Arc<dyn CatalogLog> {
        Arc::new(LocalLog::open(self.0.path()).unwrap())
    }

    async fn open(&self) -> Arc<Catalog> {
        Catalog::open("tarn", stores(), vec![], self.log(), None).await.unwrap()
    }
}

#[tokio::test]
async fn names_are_unique_and_numbers_stable() {
    let (one, two) = (catalog(), catalog());
    for catalog in [&one, &two] {
        put(catalog, "t", Some(table("t"))).await.unwrap();
        let again =
            Change::Put { name: name("t"), before: None, base: None, after: Some(table("t")) };
        let again = catalog.commit(vec![again]).await;
        assert!(matches!(again, Err(CatalogError::Conflict { .. })));
    }
    two.commit(vec![Change::CreateSchema("other".to_owned())]).await.unwrap();
    let oid = |catalog: &Catalog| catalog.snapshot().table("public", "t").map(|entry| entry.oid);
    assert_eq!(oid(&one), oid(&two));
    assert!(oid(&one).is_some_and(|oid| oid >= 16_384));
}

#[tokio::test]
async fn schemas_hold_relations() {
    let catalog = catalog();
    let inside = TableName::new("s", "t");
    let create =
        || Change::Put { name: inside.clone(), before: None, base: None, after: Some(table("t")) };
    let missing = catalog.commit(vec![create()]).await;
    assert!(matches!(missing, Err(CatalogError::SchemaNotFound { .. })));
    catalog.commit(vec![Change::CreateSchema("s".to_owned()), create()]).await.unwrap();
    assert!(matches!(catalog.get(&inside), Some(Relation::Memory(_))));
    // Somebody has put a table into it since it was seen to be empty.
    let drop = catalog.commit(vec![Change::DropSchema("s".to_owned())]).await;
    assert!(matches!(drop, Err(CatalogError::Conflict { .. })));
    let before = catalog.get(&inside);
    let gone = Change::Put { name: inside.clone(), before, base: None, after: None };
    catalog.commit(vec![gone, Change::DropSchema("s".to_owned())]).await.unwrap();
    assert!(catalog.get(&inside).is_none() && !catalog.has_schema("s"));
}

#[tokio::test]
async fn what_sql_makes_is_there_after_a_restart() {
    let shared = Shared::new();
    let catalog = shared.open().await;
    put(&catalog, "v", Some(view("SELECT 1", &[]))).await.unwrap();
    catalog.commit(vec![Change::CreateSchema("s".to_owned())]).await.unwrap();
    put(&catalog, "w", Some(view("SELECT * FROM v", &["v"]))).await.unwrap();
    put(&catalog, "v", Some(view("SELECT 2", &[]))).await.unwrap();
    let before = catalog.snapshot();
    let again = shared.open().await;
    let after = again.snapshot();
    assert_eq!(format!("{:?}", before.schemas), format!("{:?}", after.schemas));
    assert_eq!(again.object(&name("w")).unwrap().depends_on, vec![name("v")]);
    assert!(
        matches!(again.get(&name("v")), Some(Relation::View { definition }) if definition == "SELECT 2")
    );
}

#[tokio::test]
async fn tables_in_memory_and_what_reads_them_are_not_in_the_log() {
    let shared = Shared::new();
    let catalog = shared.open().await;
    put(&catalog, "m", Some(table("m"))).await.unwrap();
    put(&catalog, "over_m", Some(view("SELECT * FROM m", &["m"]))).await.unwrap();
    put(&catalog, "over_both", Some(view("SELECT * FROM over_m", &["over_m"]))).await.unwrap();
    assert_eq!(catalog.log_version().0, 0);
    // A view that lasts takes the place of one that does not, and the other way round.
    put(&catalog, "over_both", Some(view("SELECT 1", &[]))).await.unwrap();
    assert_eq!(catalog.log_version().0, 1);
    put(&catalog, "over_both", Some(view("SELECT * FROM m", &["m"]))).await.unwrap();
    assert_eq!(catalog.log_version().0, 2);
    assert!(catalog.get(&name("over_both")).is_some());
    assert!(shared.open().await.get(&name("over_both")).is_none());
}

#[tokio::test]
async fn servers_follow_each_other() {
    let shared = Shared::new();
    let (one, two) = (shared.open().await, shared.open().await);
    put(&one, "v", Some(view("SELECT 1", &[]))).await.unwrap();
    assert!(two.get(&name("v")).is_none());
    two.refresh().await.unwrap();
    assert!(two.get(&name("v")).is_some());
    assert_eq!(
        one.snapshot().table("public", "v").unwrap().oid,
        two.snapshot().table("public", "v").unwrap().oid
    );
    put(&two, "v", None).await.unwrap();
    one.refresh().await.unwrap();
    assert!(one.get(&name("v")).is_none());
}

#[tokio::test]
async fn the_faster_server_wins() {
    let shared = Shared::new();
    let (one, two) = (shared.open().await, shared.open().await);
    put(&one, "v", Some(view("SELECT 1", &[]))).await.unwrap();
    // Does not touch what the other has done: the record is moved behind it.
    put(&two, "w", Some(view("SELECT 2", &[]))).await.unwrap();
    assert!(two.get(&name("v")).is_some());
    assert_ne!(
        two.snapshot().table("public", "v").unwrap().oid,
        two.snapshot().table("public", "w").unwrap().oid
    );
    one.refresh().await.unwrap();
    // Both saw `v` and neither `x`.
    put(&one, "x", Some(view("SELECT 3", &[]))).await.unwrap();
    let taken =
        Change::Put { name: name("x"), before: None, base: None, after: Some(view("0", &[])) };
    assert!(matches!(two.commit(vec![taken]).await, Err(CatalogError::Conflict { .. })));
    // One drops what the other builds on.
    let before = two.get(&name("v"));
    put(&one, "v", None).await.unwrap();
    assert!(matches!(
        put(&two, "y", Some(view("SELECT * FROM v", &["v"]))).await,
        Err(CatalogError::Conflict { .. })
    ));
    assert!(before.is_some() && two.get(&name("v")).is_none());
}

#[tokio::test]
async fn a_table_in_memory_keeps_its_name_from_other_servers() {
    let shared = Shared::new();
    let (one, two) = (shared.open().await, shared.open().await);
    put(&two, "t", Some(table("t"))).await.unwrap();
    put(&one, "t", Some(view("SELECT 1", &[]))).await.unwrap();
    two.refresh().await.unwrap();
    assert!(matches!(two.get(&name("t")), Some(Relation::Memory(_))));
}

#[tokio::test]
async fn a_start_reads_a_checkpoint_and_what_follows() {
    let shared = Shared::new();
    let catalog = shared.open().await;
    let mut changes = Vec::new();
    for at in 0..10_000 {
        let (before, base) = (None, None);
        let after = Some(view("SELECT a, b, c FROM somewhere WHERE a > 10 ORDER BY b", &[]));
        changes.push(Change::Put { name: name(&format!("v{at}")), before, base, after });
    }
    catalog.commit(changes).await.unwrap();
    for at in 0..30 {
        catalog.commit(vec![Change::CreateSchema(format!("s{at}"))]).await.unwrap();
    }
    catalog.checkpoint(1).await.unwrap();
    for at in 30..35 {
        catalog.commit(vec![Change::CreateSchema(format!("s{at}"))]).await.unwrap();
    }
    let again = shared.open().await;
    assert_eq!(again.log_version(), (36, 6));
    assert_eq!(again.relations_of("public").len(), 10_000);
    assert!(again.has_schema("s34"));
    let oids = |catalog: &Catalog| catalog.snapshot().table("public", "v9999").unwrap().oid;
    assert_eq!(oids(&catalog), oids(&again));
}

#[tokio::test]
async fn roles_and_settings_last() {
    let shared = Shared::new();
    let catalog = shared.open().await;
    let define = |entry, expect| catalog.commit(vec![Change::Define { entry, expect }]);
    let role = |oid| RoleDef { oid, login: true, ..RoleDef::default() };
    let ann = |oid| Entry::PutRole { name: "ann".to_owned(), role: role(oid) };
    define(ann(0), Expect::New).await.unwrap();
    let taken = define(ann(0), Expect::New).await;
    assert!(matches!(taken, Err(CatalogError::ObjectExists { kind: "role", .. })));
    let set = |scope, value: &str| Entry::PutSetting {
        scope,
        name: "work_mem".to_owned(),
        value: value.to_owned(),
    };
    define(set(Scope::Role("ann".to_owned()), "2"), Expect::Any).await.unwrap();
    define(set(Scope::System, "1"), Expect::Any).await.unwrap();
    let again = shared.open().await;
    let settings = again.settings_of("ann", "tarn");
    let values: Vec<&str> = settings.iter().map(|(_, (value, _))| value.as_str()).collect();
    assert_eq!(values, ["1", "2"]);
    assert_eq!(again.role("ann").unwrap().oid, catalog.role("ann").unwrap().oid);
    define(Entry::DropRole { name: "ann".to_owned() }, Expect::Known).await.unwrap();
    assert_eq!(catalog.settings_of("ann", "tarn").len(), 1);
    let gone = define(Entry::DropRole { name: "ann".to_owned() }, Expect::Known).await;
    assert!(matches!(gone, Err(CatalogError::ObjectNotFound { kind: "role", .. })));
}

#[tokio::test]
async fn a_schema_that_others_have_filled_is_not_dropped() {
    let catalog = catalog();
    catalog.commit(vec![Change::CreateSchema("s".to_owned())]).await.unwrap();
    let create = |name: &TableName| Change::Put {
        name: name.clone(),
        before: None,
        base: None,
        after: Some(table(name.table())),
    };
    let (seen, new) = (TableName::new("s", "seen"), TableName::new("s", "new"));
    catalog.commit(vec![create(&seen)]).await.unwrap();
    let before = catalog.get(&seen);
    // Another session commits a table that the one that drops the schema has not seen.
    catalog.commit(vec![create(&new)]).await.unwrap();
    let dropped = |name: &TableName, before| Change::Put {
        name: name.clone(),
        before,
        base: None,
        after: None,
    };
    let changes = vec![dropped(&seen, before.clone()), Change::DropSchema("s".to_owned())];
    assert!(matches!(catalog.commit(changes).await, Err(CatalogError::Conflict { .. })));
    assert!(catalog.get(&seen).is_some() && catalog.get(&new).is_some());
    let all = vec![
        dropped(&seen, before),
        dropped(&new, catalog.get(&new)),
        Change::DropSchema("s".to_owned()),
    ];
    catalog.commit(all).await.unwrap();
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

#[tokio::test]
async fn a_found_table_does_not_push_aside_what_was_made_meanwhile() {
    let catalog = catalog();
    let found = |url: &str| Known {
        relation: Relation::View { definition: url.to_owned() },
        oid: 0,
        columns: vec![],
        n_rows: None,
        url: Some(url.to_owned()),
        durable: false,
        depends_on: vec![],
        details: Arc::default(),
        access: Arc::default(),
    };
    put(&catalog, "t", Some(table("t"))).await.unwrap();
    catalog.add_found(name("t"), found("file:///t"));
    assert!(matches!(catalog.get(&name("t")), Some(Relation::Memory(_))));
    catalog.add_found(name("u"), found("file:///u"));
    assert!(catalog.is_found(&name("u")));
}
