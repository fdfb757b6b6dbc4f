//! The past of a table: changes, differences, going back; and logs that say less than tarn's own.

use std::collections::{BTreeMap, HashSet};

use super::staged::{operation, written};
use super::*;
use crate::delta::RowsByFile;
use crate::delta::history::Point;
use crate::delta::upkeep::Awaited;

const CHECKPOINT_2: &str = "_delta_log/00000000000000000002.checkpoint.parquet";

fn definition(columns: &Value, properties: &Value) -> Value {
    let schema = json!({"type": "struct", "fields": columns});
    json!({"metaData": {"id": "x", "format": {"provider": "parquet", "options": {}},
        "schemaString": schema.to_string(), "partitionColumns": [],
        "configuration": properties, "createdTime": 0}})
}

/// A table with the columns of [`ids`], with deletion vectors and a record of changes.
async fn recorded(more: &[(&str, &str)]) -> Lake {
    let lake = Lake::new();
    let mut properties = BTreeMap::from([
        ("delta.enableDeletionVectors", "true"),
        ("delta.enableChangeDataFeed", "true"),
    ]);
    properties.extend(more.iter().copied());
    let column = |name: &str, kind: &str| {
        json!({"name": name, "type": kind, "nullable": true,
        "metadata": {}})
    };
    let columns =
        json!([column("id", "long"), column("part", "string"), column("price", "double")]);
    let protocol = json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": ["deletionVectors"],
        "writerFeatures": ["deletionVectors", "changeDataFeed"]}});
    lake.commit(0, &[protocol, definition(&columns, &json!(properties))]).await;
    lake
}

impl Lake {
    /// Commits a file with these ids.
    async fn put_ids(&self, table: &Arc<DeltaTable>, from: i64, to: i64) -> u64 {
        let staged = table.stage().await.unwrap();
        let files = written(&staged, ids(from, to, &[Some("a")])).await;
        staged.append(files, operation("WRITE")).unwrap().commit().await.unwrap()
    }

    /// Commits that rows of the first file are deleted.
    async fn delete_from_first(&self, table: &Arc<DeltaTable>, deleted: &[u64]) -> u64 {
        let mut rows = RowsByFile::default();
        for row in deleted {
            rows.insert_row(0, *row);
        }
        let staged = table.stage().await.unwrap();
        let (staged, _) = staged.delete_rows(rows, operation("DELETE")).await.unwrap();
        staged.commit().await.unwrap()
    }

    /// Takes the statistics out of a commit, as if another writer had made it.
    async fn forget_statistics(&self, version: u64) {
        let mut actions = self.log_lines(version).await;
        for action in &mut actions {
            for kind in ["add", "remove"] {
                if let Some(file) = action.get_mut(kind).and_then(Value::as_object_mut) {
                    file.remove("stats");
                }
            }
        }
        self.commit(version, &actions).await;
    }

    /// The rows of a query on the relation `c`.
    async fn rows_in(&self, relation: Arc<dyn TableProvider>, sql: &str) -> String {
        let context = SessionContext::new();
        context.register_object_store(&Url::parse("memory://").unwrap(), Arc::clone(&self.store));
        context.register_table("c", relation).unwrap();
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let rows = pretty_format_batches(&batches).unwrap().to_string().replace(' ', "");
        rows.lines().skip(3).filter(|l| l.starts_with('|')).collect::<Vec<_>>().join("\n")
    }
}

#[tokio::test]
async fn changes_of_files_with_deleted_rows_that_no_commit_counts() {
    let lake = recorded(&[]).await;
    let table = lake.open().await;
    lake.put_ids(&table, 0, 10).await;
    assert_eq!(lake.delete_from_first(&table, &[3]).await, 2);
    let staged = table.stage().await.unwrap();
    let emptied = staged.replace_all(vec![], operation("TRUNCATE")).unwrap();
    assert_eq!(emptied.commit().await.unwrap(), 3);
    let lines = lake.log_lines(3).await;
    let said = lines.iter().find_map(|line| line.pointer("/remove/stats")?.as_str());
    assert!(said.is_some_and(|stats| stats.contains("\"numRecords\":10")), "{lines:?}");
    let sql = "SELECT _commit_version, _change_type, count(*), sum(id) FROM c \
               GROUP BY 1, 2 ORDER BY 1, 2";
    let expected = "|1|insert|10|45|\n|2|delete|1|3|\n|3|delete|9|42|";
    let changes = table.changes(Point::Version(1), None).await.unwrap();
    assert_eq!(lake.rows_in(changes, sql).await, expected);

    for version in 1..=3 {
        lake.forget_statistics(version).await;
    }
    let table = lake.open().await;
    let changes = table.changes(Point::Version(1), None).await.unwrap();
    assert_eq!(lake.rows_in(changes, sql).await, expected);
    let diff = table.diff(Point::Version(2), Point::Version(3)).await.unwrap();
    let sql = "SELECT _change_type, count(*), sum(id) FROM c GROUP BY 1";
    assert_eq!(lake.rows_in(diff, sql).await, "|delete|9|42|");
    let rows = lake.query(&table, Travel::Version(2), "SELECT count(id), sum(id) FROM t").await;
    assert_eq!(rows.replace(' ', ""), "|9|42|");
}

#[tokio::test]
async fn rows_of_files_without_statistics_can_be_deleted() {
    let lake = recorded(&[]).await;
    let table = lake.open().await;
    lake.put_ids(&table, 0, 10).await;
    lake.forget_statistics(1).await;
    let table = lake.open().await;
    assert_eq!(lake.delete_from_first(&table, &[3, 4]).await, 2);
    let lines = lake.log_lines(2).await;
    let said = lines.iter().find_map(|line| line.pointer("/add/stats")?.as_str());
    assert!(said.is_some_and(|stats| stats.contains("\"numRecords\":10")), "{lines:?}");
    for table in [&table, &lake.open().await] {
        let rows = lake.rows(table, "SELECT count(id), sum(id) FROM t").await;
        assert_eq!(rows.replace(' ', ""), "|8|38|");
    }
    // A file that has no row left goes as a whole.
    assert_eq!(lake.delete_from_first(&table, &[0, 1, 2, 5, 6, 7, 8, 9]).await, 3);
    assert!(lake.log_lines(3).await.iter().all(|line| line.get("add").is_none()));
    assert_eq!(table.snapshot(Travel::Latest).await.unwrap().n_files(), 0);
}

#[tokio::test]
async fn writes_go_on_from_a_checkpoint_without_commits() {
    for has_checkpoint in [true, false] {
        let lake = recorded(&[("delta.checkpointInterval", "2")]).await;
        let table = lake.open().await;
        lake.put_ids(&table, 0, 10).await;
        assert_eq!(lake.put_ids(&table, 10, 20).await, 2);
        crate::delta::finish_upkeep().await;
        for version in 0..=2 {
            let name = format!("_delta_log/{version:020}.json");
            lake.store.delete(&lake.path(&name)).await.unwrap();
        }
        let table = lake.open().await;
        assert_eq!(table.snapshot(Travel::Latest).await.unwrap().version(), 2);
        let staged = table.stage().await.unwrap();
        let files = written(&staged, ids(20, 30, &[Some("a")])).await;
        let staged = staged.append(files, operation("WRITE")).unwrap();
        if has_checkpoint {
            assert_eq!(staged.commit().await.unwrap(), 3);
            assert_eq!(lake.put_ids(&table, 30, 40).await, 4);
            let rows = lake.rows(&lake.open().await, "SELECT count(*), sum(id) FROM t").await;
            assert_eq!(rows.replace(' ', ""), "|40|780|");
            continue;
        }
        // Nothing is left of the table: a commit would stand alone in its folder.
        for name in [CHECKPOINT_2, "_delta_log/_last_checkpoint"] {
            lake.store.delete(&lake.path(name)).await.unwrap();
        }
        let error = staged.commit().await.unwrap_err();
        assert!(matches!(error, CatalogError::Conflict { .. }), "{error}");
    }
}

#[tokio::test]
async fn going_back_gives_no_number_of_a_column_twice() {
    let lake = Lake::new();
    let column = |name: &str, id: i64| {
        json!({"name": name, "type": "long", "nullable": true,
        "metadata": {"delta.columnMapping.id": id,
            "delta.columnMapping.physicalName": format!("col-{id}")}})
    };
    let properties = |last: &str| {
        json!({"delta.columnMapping.mode": "id",
        "delta.columnMapping.maxColumnId": last})
    };
    let features = ["columnMapping"];
    let protocol = json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": features, "writerFeatures": features}});
    lake.commit(0, &[protocol, definition(&json!([column("a", 1)]), &properties("1"))]).await;
    let both = json!([column("a", 1), column("b", 2)]);
    lake.commit(1, &[definition(&both, &properties("2"))]).await;
    let table = lake.open().await;
    let back = async || table.restore(Point::Version(0), HashSet::new()).await.unwrap().version;
    assert_eq!(back().await, 2);
    let lines = lake.log_lines(2).await;
    let metadata = lines.iter().find_map(|line| line.get("metaData")).unwrap();
    assert_eq!(metadata["configuration"]["delta.columnMapping.maxColumnId"], "2");
    assert!(!metadata["schemaString"].as_str().unwrap().contains("col-2"), "{metadata}");
    // The number alone is no reason for another version.
    assert_eq!(back().await, 2);
}

#[tokio::test]
async fn vacuum_keeps_what_is_awaited() {
    let lake = recorded(&[]).await;
    let table = lake.open().await;
    lake.put_ids(&table, 0, 10).await;
    {
        let staged = table.stage().await.unwrap();
        let files = written(&staged, ids(10, 20, &[Some("b")])).await;
        let staged = staged.replace_all(files, operation("WRITE")).unwrap();
        assert_eq!(staged.commit().await.unwrap(), 2);
    }
    crate::delta::finish_upkeep().await;
    // Of commits within a millisecond the later ones count as made a little later.
    while table.version_as_of(Utc::now().timestamp_millis()).await.unwrap() != Some(2) {
        tokio::task::yield_now().await;
    }
    let now = Utc::now();
    let check = async |since: DateTime<Utc>, versions: Vec<Travel>, n_unneeded: usize| {
        let awaited = Awaited { since, versions };
        let plan = table.find_unneeded(0.0, awaited.clone()).await.unwrap();
        assert_eq!(plan.files.len(), n_unneeded, "{awaited:?}");
    };
    check(now, vec![], 1).await;
    check(now, vec![Travel::Version(1)], 0).await;
    check(now, vec![Travel::Version(99), Travel::Version(0)], 1).await;
    check(now, vec![Travel::Timestamp(now)], 1).await;
    check(now, vec![Travel::Timestamp(now - Duration::days(1))], 1).await;
    check(now - Duration::days(1), vec![], 0).await;
}
