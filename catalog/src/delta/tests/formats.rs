//! What tables ask of a writer beyond plain files: mapped columns, nested types, checkpoints, time.

use std::collections::HashMap;

use arrow::array::{Array, Int64Builder, MapArray, MapBuilder, StringBuilder};
use arrow::datatypes::Fields;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::staged::{operation, written};
use super::*;

fn column(name: &str, kind: impl Into<Value>, mapped: Option<(&str, i64)>) -> Value {
    let metadata = mapped.map_or_else(
        || json!({}),
        |(physical, id)| {
            json!({"delta.columnMapping.id": id,
            "delta.columnMapping.physicalName": physical})
        },
    );
    json!({"name": name, "type": kind.into(), "nullable": true, "metadata": metadata})
}

async fn create(
    lake: &Lake,
    columns: Value,
    partition: &[&str],
    properties: Value,
    features: &[&str],
) {
    let schema = json!({"type": "struct", "fields": columns});
    lake.commit(
        0,
        &[
            json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
            "readerFeatures": features, "writerFeatures": features}}),
            json!({"metaData": {"id": "x", "format": {"provider": "parquet", "options": {}},
            "schemaString": schema.to_string(), "partitionColumns": partition,
            "configuration": properties, "createdTime": 0}}),
        ],
    )
    .await;
}

#[tokio::test]
async fn writes_mapped_columns_under_their_names_and_ids() {
    for mode in ["name", "id"] {
        let lake = Lake::new();
        let point =
            json!({"type": "struct", "fields": [column("x y", "long", Some(("col-3", 3)))]});
        let columns = json!([
            column("id", "long", Some(("col-1", 1))),
            column("a point", point, Some(("col-2", 2))),
            column("part,1", "string", Some(("col-4", 4))),
        ]);
        let properties = json!({"delta.columnMapping.mode": mode,
            "delta.columnMapping.maxColumnId": "4"});
        create(&lake, columns, &["part,1"], properties, &["columnMapping"]).await;
        let table = lake.open().await;
        let staged = table.stage().await.unwrap();
        let inner: Fields = vec![Field::new("x y", DataType::Int64, true)].into();
        let points = StructArray::new(inner, vec![Arc::new(Int64Array::from(vec![7, 8]))], None);
        let rows = RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
            ("a point", Arc::new(points)),
            ("part,1", Arc::new(StringArray::from(vec!["p", "q"]))),
        ])
        .unwrap();
        let files = written(&staged, rows).await;
        let path = files[0].path().to_owned();
        staged.append(files, operation("WRITE")).unwrap().commit().await.unwrap();
        let sql = "SELECT id, \"a point\"['x y'], \"part,1\" FROM t ORDER BY 1";
        for table in [table, lake.open().await] {
            let rows = lake.rows(&table, sql).await;
            assert_eq!(rows.replace(' ', ""), "|1|7|p|\n|2|8|q|", "{mode}");
            assert_eq!(lake.scanned(&table, "SELECT * FROM t WHERE id = 2").await.0, 1);
        }
        let add = lake.log_lines(1).await[1]["add"].clone();
        assert!(add["partitionValues"].get("col-4").is_some(), "{add}");
        assert!(add["stats"].as_str().unwrap().contains("\"col-1\""), "{add}");
        assert!(!path.contains('/'), "no folder by names: {path}");
        let bytes = lake.store.get(&lake.path(&path)).await.unwrap().bytes().await.unwrap();
        let footer = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let fields = footer.schema().fields().clone();
        let id = |field: &Field| field.metadata()["PARQUET:field_id"].clone();
        assert_eq!((fields[0].name().as_str(), id(&fields[0]).as_str()), ("col-1", "1"));
        let DataType::Struct(inner) = fields[1].data_type() else { panic!("{fields:?}") };
        assert_eq!((inner[0].name().as_str(), id(&inner[0]).as_str()), ("col-3", "3"));
    }
}

#[tokio::test]
async fn writes_nested_types_and_times_without_zone() {
    let lake = Lake::new();
    let list = json!({"type": "array", "elementType": "long", "containsNull": true});
    let map = json!({"type": "map", "keyType": "string", "valueType": "long",
        "valueContainsNull": true});
    let columns = json!([
        column("l", list, None),
        column("m", map, None),
        column("t", "timestamp_ntz", None),
        column("d", "decimal(30,4)", None),
    ]);
    create(&lake, columns, &[], json!({}), &["timestampNtz"]).await;
    let table = lake.open().await;
    let staged = table.stage().await.unwrap();
    let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    let lists = ListArray::new(
        Arc::new(Field::new("item", DataType::Int64, true)),
        OffsetBuffer::new(vec![0, 2, 3].into()),
        values,
        None,
    );
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    maps.keys().append_value("k");
    maps.values().append_value(5);
    maps.append(true).unwrap();
    maps.append(false).unwrap();
    let maps: MapArray = maps.finish();
    assert_eq!(maps.len(), 2);
    let decimals = Decimal128Array::from(vec![123_456_789_012_345_678_901_234, -5]);
    let rows = RecordBatch::try_from_iter([
        ("l", Arc::new(lists) as ArrayRef),
        ("m", Arc::new(maps)),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![1_000_001, 2_000_002]))),
        ("d", Arc::new(decimals.with_precision_and_scale(30, 4).unwrap())),
    ])
    .unwrap();
    let files = written(&staged, rows).await;
    staged.append(files, operation("WRITE")).unwrap().commit().await.unwrap();
    let sql = "SELECT l[1], m['k'], t, d FROM t ORDER BY t";
    for table in [table, lake.open().await] {
        let rows = lake.rows(&table, sql).await;
        assert_eq!(
            rows.replace(' ', ""),
            "|1|5|1970-01-01T00:00:01.000001|12345678901234567890.1234|\n\
             |3||1970-01-01T00:00:02.000002|-0.0005|"
        );
        let filter = "SELECT * FROM t WHERE t = TIMESTAMP '1970-01-01T00:00:02.000002'";
        assert_eq!(lake.scanned(&table, filter).await.0, 1);
    }
}

#[tokio::test]
async fn commits_have_growing_times_where_they_say_them() {
    let lake = Lake::new();
    let columns = json!([column("id", "long", None)]);
    let schema = json!({"type": "struct", "fields": columns});
    let future_ms = 32_503_680_000_000_i64;
    lake.commit(
        0,
        &[
            json!({"commitInfo": {"timestamp": 0, "inCommitTimestamp": future_ms}}),
            json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 7,
            "writerFeatures": ["inCommitTimestamp"]}}),
            json!({"metaData": {"id": "x", "format": {"provider": "parquet", "options": {}},
            "schemaString": schema.to_string(), "partitionColumns": [],
            "configuration": {"delta.enableInCommitTimestamps": "true"}, "createdTime": 0}}),
        ],
    )
    .await;
    let table = lake.open().await;
    for version in 1..3 {
        let staged = table.stage().await.unwrap();
        let rows: ArrayRef = Arc::new(Int64Array::from(vec![version]));
        let files = written(&staged, RecordBatch::try_from_iter([("id", rows)]).unwrap()).await;
        staged.append(files, operation("WRITE")).unwrap().commit().await.unwrap();
        let line = &lake.log_lines(u64::try_from(version).unwrap()).await[0];
        assert_eq!(line["commitInfo"]["inCommitTimestamp"], future_ms + version);
    }
}

#[tokio::test]
async fn writes_checkpoints_and_forgets_old_commits() {
    for (features, properties) in [
        (vec![], json!({})),
        (vec!["v2Checkpoint"], json!({})),
        (vec!["v2Checkpoint"], json!({"delta.checkpointPolicy": "v2"})),
    ] {
        let lake = Lake::new();
        let mut properties: HashMap<String, String> = serde_json::from_value(properties).unwrap();
        properties.insert("delta.checkpointInterval".into(), "3".into());
        properties.insert("delta.logRetentionDuration".into(), "interval 0 seconds".into());
        let columns = json!([column("id", "long", None)]);
        create(&lake, columns, &[], json!(properties), &features).await;
        let table = lake.open().await;
        for i in 0..7_i64 {
            let staged = table.stage().await.unwrap();
            let rows: ArrayRef = Arc::new(Int64Array::from(vec![i]));
            let files = written(&staged, RecordBatch::try_from_iter([("id", rows)]).unwrap()).await;
            staged.append(files, operation("WRITE")).unwrap().commit().await.unwrap();
        }
        crate::delta::finish_upkeep().await;
        let hint = lake.store.get(&lake.path("_delta_log/_last_checkpoint")).await.unwrap();
        let hint: Value = serde_json::from_slice(&hint.bytes().await.unwrap()).unwrap();
        assert_eq!(hint["version"], 6, "{features:?}");
        let first = lake.store.head(&lake.path("_delta_log/00000000000000000000.json")).await;
        assert!(matches!(first, Err(object_store::Error::NotFound { .. })), "{features:?}");
        for table in [Arc::clone(&table), lake.open().await] {
            let rows = lake.rows(&table, "SELECT count(*), sum(id) FROM t").await;
            assert_eq!(rows, "| 7        | 21        |", "{features:?}");
        }
        // It goes on from there.
        let staged = table.stage().await.unwrap();
        let deleted = staged.replace_all(vec![], operation("TRUNCATE")).unwrap();
        assert_eq!(deleted.commit().await.unwrap(), 8);
        assert_eq!(lake.rows(&table, "SELECT count(*) FROM t").await, "| 0        |");
        let other = lake.open().await;
        assert_eq!(lake.rows(&other, "SELECT count(*) FROM t").await, "| 0        |");
    }
}

/// The checkpoint of version 3 was never written: its writer died. The next process makes up for it.
#[tokio::test]
async fn overdue_checkpoints_are_written() {
    let lake = Lake::new();
    let columns = json!([column("id", "long", None)]);
    create(&lake, columns, &[], json!({"delta.checkpointInterval": "3"}), &[]).await;
    let commit = async |table: &Arc<DeltaTable>, i: i64| {
        let staged = table.stage().await.unwrap();
        let rows: ArrayRef = Arc::new(Int64Array::from(vec![i]));
        let files = written(&staged, RecordBatch::try_from_iter([("id", rows)]).unwrap()).await;
        let version = staged.append(files, operation("WRITE")).unwrap().commit().await.unwrap();
        crate::delta::finish_upkeep().await;
        version
    };
    let hint = async || {
        let hint = lake.store.get(&lake.path("_delta_log/_last_checkpoint")).await.ok()?;
        let hint: Value = serde_json::from_slice(&hint.bytes().await.unwrap()).unwrap();
        hint["version"].as_u64()
    };
    let table = lake.open().await;
    for i in 1..=3 {
        commit(&table, i).await;
    }
    assert_eq!(hint().await, Some(3));
    for name in ["00000000000000000003.checkpoint.parquet", "_last_checkpoint"] {
        lake.store.delete(&lake.path(&format!("_delta_log/{name}"))).await.unwrap();
    }
    // The same process does not look again, another one does.
    assert_eq!(commit(&table, 4).await, 4);
    assert_eq!(hint().await, None);
    assert_eq!(commit(&lake.open().await, 5).await, 5);
    assert_eq!(hint().await, Some(5));
    // Nothing is overdue now.
    let table = lake.open().await;
    assert_eq!(commit(&table, 6).await, 6);
    assert_eq!(commit(&lake.open().await, 7).await, 7);
    assert_eq!(hint().await, Some(6));
    assert_eq!(
        lake.rows(&table, "SELECT count(*), sum(id) FROM t").await,
        "| 7        | 28        |"
    );
}

#[tokio::test]
async fn reads_files_from_before_a_column_was_widened() {
    let lake = Lake::new();
    let int = json!([column("n", "integer", None)]);
    create(&lake, int, &[], json!({"delta.enableTypeWidening": "true"}), &["typeWidening"]).await;
    let table = lake.open().await;
    let staged = table.stage().await.unwrap();
    let rows: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let files = written(&staged, RecordBatch::try_from_iter([("n", rows)]).unwrap()).await;
    staged.append(files, operation("WRITE")).unwrap().commit().await.unwrap();
    let mut wide = column("n", "long", None);
    wide["metadata"] = json!({"delta.typeChanges": [{"fromType": "integer", "toType": "long"}]});
    let schema = json!({"type": "struct", "fields": [wide]});
    lake.commit(
        2,
        &[json!({"metaData": {"id": "x",
        "format": {"provider": "parquet", "options": {}}, "schemaString": schema.to_string(),
        "partitionColumns": [], "createdTime": 0,
        "configuration": {"delta.enableTypeWidening": "true"}}})],
    )
    .await;
    let staged = table.stage().await.unwrap();
    let rows: ArrayRef = Arc::new(Int64Array::from(vec![1_i64 << 40]));
    let files = written(&staged, RecordBatch::try_from_iter([("n", rows)]).unwrap()).await;
    staged.append(files, operation("WRITE")).unwrap().commit().await.unwrap();
    for table in [table, lake.open().await] {
        let found = lake.rows(&table, "SELECT n FROM t WHERE n > 1 ORDER BY n").await;
        assert_eq!(found, "| 2             |\n| 1099511627776 |");
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_again() {
    let lake = Lake::create(&ids_schema(), &[]).await;
    let lossy = Arc::new(lossy::Lossy::new(Arc::clone(&lake.store)));
    let store: Arc<dyn ObjectStore> = Arc::clone(&lossy) as _;
    let url = ObjectStoreUrl::parse("memory://").unwrap();
    let footers = FooterCache::new(1 << 20);
    let table = DeltaTable::open("t", &lake.url, store, url, footers).await.unwrap();
    for (i, how) in [(0, "lost answer"), (10, "retried"), (20, "never arrived")] {
        let staged = table.stage().await.unwrap();
        let files = written(&staged, ids(i, i + 10, &[None])).await;
        let staged = staged.append(files, operation("WRITE")).unwrap();
        lossy.next(how);
        staged.commit().await.unwrap();
        let rows = lake.rows(&table, "SELECT count(*), count(DISTINCT id) FROM t").await;
        let n = i + 10;
        assert_eq!(rows.replace(' ', ""), format!("|{n}|{n}|"), "{how}");
    }
}

#[tokio::test]
async fn a_refresh_reads_the_new_commits_only() {
    let lake = Lake::with_vectors(5, &[]).await;
    let watched = Arc::new(lossy::Lossy::new(Arc::clone(&lake.store)));
    let store: Arc<dyn ObjectStore> = Arc::clone(&watched) as _;
    let url = ObjectStoreUrl::parse("memory://").unwrap();
    let footers = FooterCache::new(1 << 20);
    let table = DeltaTable::open("t", &lake.url, store, url, footers).await.unwrap();
    watched.take_read();
    lake.append(ids(50, 60, &[None]), 100).await;
    let snapshot = table.snapshot(Travel::Latest).await.unwrap();
    assert_eq!((snapshot.version(), snapshot.n_rows()), (6, Some(60)));
    let name = |version: u64| format!("{version:020}.json");
    assert_eq!(
        watched.take_read(),
        [name(6), name(7)],
        "the commit, and that there is none after it"
    );
    table.snapshot(Travel::Latest).await.unwrap();
    assert!(watched.take_read().is_empty());
    // Its own commit is known without reading it.
    let staged = table.stage().await.unwrap();
    let files = written(&staged, ids(60, 70, &[None])).await;
    staged.append(files, operation("WRITE")).unwrap().commit().await.unwrap();
    let snapshot = table.snapshot(Travel::Latest).await.unwrap();
    assert_eq!((snapshot.version(), snapshot.n_rows()), (7, Some(70)));
    crate::delta::finish_upkeep().await;
    // The first commit of a process looks for an overdue checkpoint.
    assert_eq!(watched.take_read(), ["_last_checkpoint"]);
}

#[tokio::test]
async fn remarks_do_not_stop_appends_but_rules_do() {
    let lake = Lake::with_vectors(1, &[]).await;
    let table = lake.open().await;
    let base = table.stage().await.unwrap();
    let files = |from: i64| written(&base, ids(from, from + 1, &[None]));
    let (first, second) = (files(100).await, files(101).await);
    let commit = |description: &str, rule: Option<&str>| {
        let mut action = lake_metadata(base.snapshot());
        action["metaData"]["description"] = json!(description);
        if let Some(rule) = rule {
            action["metaData"]["configuration"]["delta.constraints.c"] = json!(rule);
        }
        action
    };
    lake.commit(2, &[commit("a remark", None)]).await;
    assert_eq!(base.append(first, operation("WRITE")).unwrap().commit().await.unwrap(), 3);
    lake.commit(4, &[commit("a remark", Some("id > 0"))]).await;
    let late = base.append(second, operation("WRITE")).unwrap().commit().await;
    assert!(matches!(late.unwrap_err(), CatalogError::Conflict { .. }));
}

fn lake_metadata(snapshot: &crate::delta::DeltaSnapshot) -> Value {
    snapshot.metadata().meta_action()
}
