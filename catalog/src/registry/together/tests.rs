use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use super::super::{Catalog, Change, Expect};
use crate::delta::write::create_table;
use crate::delta::{
    DeltaSnapshot, DeltaTable, Operation, ReadSet, StagedTable, WriteOptions, write_files,
};
use crate::log::{Entry, LocalLog, Sealed, StorageDef, check};
use crate::object_store::{ObjectStores, StoreLimits};
use crate::{CatalogError, LakeTable, Result, Travel};

/// Two tables, and a log that as many servers share as a test opens.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        for name in ["a", "b"] {
            let location = stores().resolve(&place.url(name)).unwrap();
            let store = location.store.as_ref();
            create_table(store, &location.url, &schema, &[], &[]).await.unwrap();
        }
        place
    }

    fn url(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn log(&self) -> LocalLog {
        LocalLog::open(&self.folder.path().join("log")).unwrap()
    }

    async fn server(&self) -> Server {
        let log = Arc::new(self.log());
        let catalog = Catalog::open("tarn", stores(), vec![], log, None).await.unwrap();
        let mut tables = BTreeMap::new();
        for name in ["a", "b"] {
            let location = stores().resolve(&self.url(name)).unwrap();
            let (store, url) = (Arc::clone(&location.store), location.store_url.clone());
            let table =
                DeltaTable::unread(name, &location.url, store, url, location.footers.clone());
            tables.insert(name, table.unwrap());
        }
        Server { catalog, tables }
    }

    async fn open_transactions(&self) -> Vec<String> {
        let report = check(&self.log(), "tarn").await.unwrap();
        assert!(report.faults.is_empty(), "{report:?}");
        report.open
    }
}

fn stores() -> ObjectStores {
    ObjectStores::new(StoreLimits::default())
}

struct Server {
    catalog: Arc<Catalog>,
    tables: BTreeMap<&'static str, Arc<DeltaTable>>,
}

impl Server {
    /// A row more.
    async fn appended(&self, name: &str) -> Arc<StagedTable> {
        let staged = self.tables[name].stage().await.unwrap();
        let schema = Arc::clone(&staged.snapshot().layout_schema());
        let rows = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
        let stream = futures::stream::iter([Ok(rows.clone())]);
        let stream = Box::pin(RecordBatchStreamAdapter::new(rows.schema(), stream));
        let target = staged.snapshot().write_target().unwrap();
        let files = write_files(&target, vec![stream], &WriteOptions::default()).await.unwrap();
        staged.append(files, operation("WRITE")).unwrap()
    }

    /// No rows any more.
    async fn emptied(&self, name: &str) -> Arc<StagedTable> {
        let staged = self.tables[name].stage().await.unwrap();
        let staged = staged.replace_all(vec![], operation("DELETE")).unwrap();
        staged.reads(ReadSet::Everything)
    }

    /// What a statement that begins now reads of both tables.
    async fn rows(&self) -> Result<(u64, u64)> {
        self.catalog.refresh().await?;
        let cut = self.catalog.cut();
        let a = self.at(&cut, "a").await?;
        Ok((a, self.at(&cut, "b").await?))
    }

    async fn at(&self, cut: &super::super::Cut, name: &str) -> Result<u64> {
        let staged = self.catalog.stage_at(&self.tables[name], cut).await?;
        Ok(staged.snapshot().n_rows().unwrap())
    }

    /// Decides a row more in each table, and dies.
    async fn decide(&self, token: &str) -> Vec<Arc<StagedTable>> {
        let tables = vec![self.appended("a").await, self.appended("b").await];
        self.catalog.decide(token, &[], &tables).await.unwrap();
        tables
    }

    /// Commits as a program does that does not know the catalog.
    async fn commit_foreign(&self, staged: &StagedTable) {
        let settled = ["first", "second", "third"].map(ToOwned::to_owned).into();
        staged.commit_past("foreign", &settled).await.unwrap();
    }
}

fn operation(name: &str) -> Operation {
    Operation::new(name, BTreeMap::new())
}

impl DeltaSnapshot {
    fn layout_schema(&self) -> arrow::datatypes::SchemaRef {
        datafusion::catalog::TableProvider::schema(self)
    }
}

#[tokio::test]
async fn both_tables_have_it_or_none() {
    let place = Place::new().await;
    let (one, two) = (place.server().await, place.server().await);
    let tables = vec![one.appended("a").await, one.appended("b").await];
    one.catalog.commit_together(vec![], tables).await.unwrap();
    assert_eq!(one.rows().await.unwrap(), (1, 1));
    assert_eq!(two.rows().await.unwrap(), (1, 1));
    assert!(place.open_transactions().await.is_empty());
    // Of two on the same rows one is told; nothing of it is there.
    let late = vec![two.appended("a").await, two.emptied("b").await];
    let tables = vec![one.appended("a").await, one.emptied("b").await];
    one.catalog.commit_together(vec![], tables).await.unwrap();
    let told = two.catalog.commit_together(vec![], late).await;
    assert!(matches!(told, Err(CatalogError::Conflict { .. })), "{told:?}");
    assert_eq!(two.rows().await.unwrap(), (2, 0));
    assert_eq!(one.rows().await.unwrap(), (2, 0));
}

#[tokio::test]
async fn what_a_dead_server_has_decided_is_completed_by_the_next_reader() {
    let place = Place::new().await;
    let (one, two) = (place.server().await, place.server().await);
    one.decide("token").await;
    assert_eq!(place.open_transactions().await.len(), 1);
    assert_eq!(two.rows().await.unwrap(), (1, 1));
    assert!(place.open_transactions().await.is_empty());
    assert_eq!(two.tables["a"].find_commit("token", 0).await.unwrap(), Some(2));
    // The same again, by a server that starts, or by a writer; and one that got half-way.
    one.catalog.refresh().await.unwrap();
    let tables = one.decide("again").await;
    let decided = one.catalog.with_definitions(|log| log.transactions["again"].clone());
    let part = &decided.tables[0];
    let put = crate::delta::Decided {
        token: "again",
        after: part.after,
        content: &part.content,
        has_times: false,
    };
    tables[0].table().put_decided(put).await.unwrap();
    let three = place.server().await;
    three.catalog.complete_all().await;
    assert!(place.open_transactions().await.is_empty());
    for server in [&one, &two, &three] {
        assert_eq!(server.rows().await.unwrap(), (2, 2));
    }
    one.decide("third").await;
    two.catalog.refresh().await.unwrap();
    let staged = two.appended("b").await;
    two.catalog.commit_table(&staged).await.unwrap();
    assert_eq!(three.rows().await.unwrap(), (3, 4));
}

#[tokio::test]
async fn a_cut_leaves_out_what_was_decided_later() {
    let place = Place::new().await;
    let (one, two) = (place.server().await, place.server().await);
    two.catalog.refresh().await.unwrap();
    let cut = two.catalog.cut();
    assert_eq!(two.at(&cut, "a").await.unwrap(), 0);
    for _ in 0..3 {
        let tables = vec![one.appended("a").await, one.appended("b").await];
        one.catalog.commit_together(vec![], tables).await.unwrap();
    }
    assert_eq!(two.at(&cut, "b").await.unwrap(), 0);
    assert_eq!(two.at(&cut, "a").await.unwrap(), 0);
    assert_eq!(two.rows().await.unwrap(), (3, 3));
    // Commits to one table are seen as before.
    let cut = two.catalog.cut();
    let staged = one.appended("b").await;
    one.catalog.commit_table(&staged).await.unwrap();
    assert_eq!(two.at(&cut, "b").await.unwrap(), 4);
}

#[tokio::test]
async fn a_reservation_that_nobody_decides_is_called_off() {
    let place = Place::new().await;
    let (one, two) = (place.server().await, place.server().await);
    let dead = one.appended("a").await;
    dead.reserve("dead", 2, &HashSet::new()).await.unwrap();
    let before = two.appended("a").await;
    let blocked = before.commit_past("x", &HashSet::new()).await;
    assert!(matches!(blocked, Err(CatalogError::Reserved { token, .. }) if token == "dead"));
    two.catalog.commit_table(&before).await.unwrap();
    // It can never be decided now.
    one.catalog.refresh().await.unwrap();
    let tables = [one.appended("a").await, one.appended("b").await];
    let late = one.catalog.decide("dead", &[], &tables).await;
    assert!(matches!(late, Err(CatalogError::Conflict { .. })), "{late:?}");
    assert_eq!(one.rows().await.unwrap(), (1, 0));
}

#[tokio::test]
async fn programs_that_do_not_know_the_catalog_come_between() {
    let place = Place::new().await;
    let (one, two) = (place.server().await, place.server().await);
    // An append: the decided commit goes behind it.
    let foreign = one.appended("a").await;
    one.decide("first").await;
    one.commit_foreign(&foreign).await;
    assert_eq!(two.rows().await.unwrap(), (2, 1));
    // The same rows go: nobody has the commit yet, so it is called off.
    let foreign = one.emptied("a").await;
    let tables = vec![one.emptied("a").await, one.appended("b").await];
    one.catalog.decide("second", &[], &tables).await.unwrap();
    one.commit_foreign(&foreign).await;
    assert_eq!(two.rows().await.unwrap(), (0, 1));
    assert!(place.open_transactions().await.is_empty());
    // The same when another table has it already: this is told, and kept for `tarn check`.
    one.catalog.refresh().await.unwrap();
    let foreign = one.emptied("b").await;
    let tables = vec![one.appended("a").await, one.emptied("b").await];
    one.catalog.decide("third", &[], &tables).await.unwrap();
    let part = one.catalog.with_definitions(|log| log.transactions["third"].tables[0].clone());
    let put = crate::delta::Decided {
        token: "third",
        after: part.after,
        content: &part.content,
        has_times: false,
    };
    tables[0].table().put_decided(put).await.unwrap();
    one.commit_foreign(&foreign).await;
    assert_eq!(two.rows().await.unwrap(), (1, 0));
    let report = check(&place.log(), "tarn").await.unwrap();
    assert!(report.open.is_empty());
    assert!(report.faults.iter().any(|fault| fault.contains("\"b\" has not")), "{report:?}");
}

#[tokio::test]
async fn long_commits_are_kept_beside_the_table() {
    let place = Place::new().await;
    let (one, two) = (place.server().await, place.server().await);
    let long = operation(&"x".repeat(super::CONTENT_BYTES_MAX));
    let a = one.appended("a").await.append(vec![], long).unwrap();
    let tables = vec![a, one.appended("b").await];
    one.catalog.decide("token", &[], &tables).await.unwrap();
    let file = one.catalog.with_definitions(|log| {
        let part = &log.transactions["token"].tables[0];
        assert!(part.content.is_empty());
        part.content_file.clone().unwrap()
    });
    let path = place.folder.path().join("a/_tarn").join(file);
    assert!(path.exists());
    assert_eq!(two.rows().await.unwrap(), (1, 1));
    assert!(!path.exists());
    let pinned = Arc::clone(&two.tables["a"]).pin(Travel::Latest).await.unwrap();
    assert!(matches!(pinned.version, crate::TableVersion::Commit { number: 2, .. }));
}

#[tokio::test]
async fn a_record_that_cannot_be_put_in_place_is_not_told_as_undone() {
    let place = Place::new().await;
    let one = place.server().await;
    // This server has no key for them.
    let secrets = Some(Sealed { key_id: "another".to_owned(), text: String::new() });
    let storage = StorageDef { prefix: "s3://x/".to_owned(), secrets, ..StorageDef::default() };
    let define = |name: &str| {
        let entry = Entry::PutStorage { name: name.to_owned(), storage: storage.clone() };
        vec![Change::Define { entry, expect: Expect::Any }]
    };
    let done = one.catalog.commit(define("alone")).await;
    assert!(matches!(done, Err(CatalogError::HalfCommitted { .. })), "{done:?}");
    let tables = vec![one.appended("a").await, one.appended("b").await];
    let done = one.catalog.commit_together(define("with_tables"), tables).await;
    assert!(matches!(done, Err(CatalogError::HalfCommitted { .. })), "{done:?}");
    assert_eq!(one.rows().await.unwrap(), (1, 1));
    let known: Vec<String> =
        one.catalog.with_definitions(|log| log.storages.keys().cloned().collect());
    assert_eq!(known, ["alone", "with_tables"]);
    assert!(place.open_transactions().await.is_empty());
}
