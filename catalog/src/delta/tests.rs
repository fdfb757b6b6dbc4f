//! Small tables written to memory, then read back through the real scan.

#![expect(clippy::disallowed_methods, reason = "unit tests have no runtime of their own")]

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::util::pretty::pretty_format_batches;
use chrono::{DateTime, Duration, Utc};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::common::stats::Precision;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};
use url::Url;

use super::write::{append, create_table};
use super::{DeltaTable, is_delta};
use crate::listing::FooterCache;
use crate::{CatalogError, LakeTable, TableVersion, Travel};

mod formats;
mod history;
mod lossy;
mod staged;
mod unnamed;

struct Lake {
    store: Arc<dyn ObjectStore>,
    url: Url,
}

impl Lake {
    fn new() -> Self {
        let url = Url::parse("memory:///lake/my%20table").unwrap();
        Self { store: Arc::new(InMemory::new()), url }
    }

    async fn create(schema: &Schema, partition_columns: &[&str]) -> Self {
        let lake = Self::new();
        let store = lake.store.as_ref();
        create_table(store, &lake.url, schema, partition_columns, &[]).await.unwrap();
        lake
    }

    async fn append(&self, batch: RecordBatch, file_rows: usize) -> u64 {
        append(&self.store, &self.url, [batch], file_rows).await.unwrap()
    }

    async fn open(&self) -> Arc<DeltaTable> {
        self.try_open().await.unwrap()
    }

    async fn try_open(&self) -> Result<Arc<DeltaTable>, CatalogError> {
        let store_url = ObjectStoreUrl::parse("memory://").unwrap();
        let footers = FooterCache::new(1 << 20);
        DeltaTable::open("t", &self.url, Arc::clone(&self.store), store_url, footers).await
    }

    fn path(&self, relative: &str) -> Path {
        Path::parse(format!("lake/my table/{relative}")).unwrap()
    }

    async fn put(&self, relative: &str, bytes: impl Into<object_store::PutPayload>) {
        self.store.put(&self.path(relative), bytes.into()).await.unwrap();
    }

    async fn commit(&self, version: u64, actions: &[Value]) {
        let lines: String = actions.iter().map(|action| format!("{action}\n")).collect();
        self.put(&format!("_delta_log/{version:020}.json"), lines).await;
    }

    async fn log_lines(&self, version: u64) -> Vec<Value> {
        let path = self.path(&format!("_delta_log/{version:020}.json"));
        let bytes = self.store.get(&path).await.unwrap().bytes().await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A session in which `t` is the table as asked for.
    async fn session(&self, table: &Arc<DeltaTable>, travel: Travel) -> SessionContext {
        let config = SessionConfig::new()
            .with_target_partitions(4)
            .set_bool("datafusion.execution.parquet.pushdown_filters", true)
            .set_usize("datafusion.optimizer.repartition_file_min_size", 0);
        let context = SessionContext::new_with_config(config);
        context.register_object_store(&Url::parse("memory://").unwrap(), Arc::clone(&self.store));
        let pinned = Arc::clone(table).pin(travel).await.unwrap();
        context.register_table("t", pinned.provider).unwrap();
        context
    }

    async fn query(&self, table: &Arc<DeltaTable>, travel: Travel, sql: &str) -> String {
        let context = self.session(table, travel).await;
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let rows = pretty_format_batches(&batches).unwrap().to_string();
        rows.lines()
            .skip(3)
            .filter(|l| l.starts_with('|'))
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join("\n")
    }

    async fn rows(&self, table: &Arc<DeltaTable>, sql: &str) -> String {
        self.query(table, Travel::Latest, sql).await
    }

    /// Files and partitions of the scan below a query.
    async fn scanned(&self, table: &Arc<DeltaTable>, sql: &str) -> (usize, usize) {
        let context = self.session(table, Travel::Latest).await;
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let mut found = (0, 0);
        visit(&plan, &mut |config| {
            let paths: std::collections::BTreeSet<_> = config
                .file_groups
                .iter()
                .flat_map(|group| group.iter().map(|file| file.path().clone()))
                .collect();
            found = (paths.len(), config.file_groups.len());
        });
        found
    }
}

fn visit(plan: &Arc<dyn ExecutionPlan>, seen: &mut impl FnMut(&FileScanConfig)) {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>()
        && let Some(config) = scan.data_source().downcast_ref::<FileScanConfig>()
    {
        seen(config);
    }
    for child in plan.children() {
        visit(child, seen);
    }
}

fn ids_schema() -> Schema {
    Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("part", DataType::Utf8, true),
        Field::new("price", DataType::Float64, true),
    ])
}

fn ids(from: i64, to: i64, part: &[Option<&str>]) -> RecordBatch {
    let ids: Int64Array = (from..to).collect();
    let parts: StringArray =
        (from..to).map(|i| part[usize::try_from(i).unwrap() % part.len()]).collect();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let prices: Float64Array = (from..to).map(|i| i as f64 / 2.0).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(parts), Arc::new(prices)];
    RecordBatch::try_new(Arc::new(ids_schema()), columns).unwrap()
}

#[tokio::test]
async fn sees_each_commit_and_travels_back() {
    let lake = Lake::create(&ids_schema(), &[]).await;
    assert!(is_delta(lake.store.as_ref(), &lake.path("")).await.unwrap());
    assert!(!is_delta(lake.store.as_ref(), &Path::from("lake/other")).await.unwrap());
    let table = lake.open().await;
    assert_eq!(lake.rows(&table, "SELECT count(*) FROM t").await, "| 0        |");
    assert_eq!(lake.append(ids(0, 10, &[Some("a")]), 4).await, 1);
    assert_eq!(lake.append(ids(10, 15, &[Some("a")]), 100).await, 2);
    assert_eq!(
        lake.rows(&table, "SELECT count(*), min(id), max(id), sum(price) FROM t").await,
        "| 15       | 0         | 14        | 52.5         |"
    );
    assert_eq!(lake.scanned(&table, "SELECT * FROM t").await.0, 4);
    let at = |version| lake.query(&table, Travel::Version(version), "SELECT count(*) FROM t");
    assert_eq!(at(1).await, "| 10       |");
    assert_eq!(at(0).await, "| 0        |");
    assert_eq!(table.history_range().await.unwrap(), 0..=2);
    let pinned = Arc::clone(&table).pin(Travel::Latest).await.unwrap();
    assert!(matches!(pinned.version, TableVersion::Commit { number: 2, .. }));
    let again = Arc::clone(&table).pin(Travel::Latest).await.unwrap();
    assert!(Arc::ptr_eq(&pinned.provider, &again.provider), "nothing new, nothing read");
}

#[tokio::test]
async fn names_the_range_when_a_version_is_missing() {
    let lake = Lake::create(&ids_schema(), &[]).await;
    lake.append(ids(0, 10, &[None]), 100).await;
    let table = lake.open().await;
    let error = Arc::clone(&table).pin(Travel::Version(7)).await.unwrap_err();
    let CatalogError::VersionNotFound { version, available, .. } = error else { panic!("{error}") };
    assert_eq!(version, "7");
    assert!(available.starts_with("versions 0 (") && available.contains(" to 1 ("), "{available}");
    let before: DateTime<Utc> = Utc::now() - Duration::days(365);
    let error = Arc::clone(&table).pin(Travel::Timestamp(before)).await.unwrap_err();
    assert!(matches!(error, CatalogError::VersionNotFound { .. }), "{error}");
    let after = Travel::Timestamp(Utc::now() + Duration::days(1));
    assert_eq!(lake.query(&table, after, "SELECT count(*) FROM t").await, "| 10       |");
}

#[tokio::test]
async fn travels_by_the_time_of_commit() {
    let lake = Lake::new();
    let features = ["inCommitTimestamp"];
    let schema = json!({"type": "struct", "fields": [
        {"name": "x", "type": "long", "nullable": true, "metadata": {}}]});
    let info = |at_ms: i64| json!({"commitInfo": {"timestamp": 0, "inCommitTimestamp": at_ms}});
    let protocol = json!({"minReaderVersion": 1, "minWriterVersion": 7,
        "writerFeatures": features});
    let metadata = json!({"id": "x", "format": {"provider": "parquet", "options": {}},
        "schemaString": schema.to_string(), "partitionColumns": [], "createdTime": 0,
        "configuration": {"delta.enableInCommitTimestamps": "true"}});
    let first = [info(1000), json!({"protocol": protocol}), json!({"metaData": metadata})];
    lake.commit(0, &first).await;
    lake.commit(1, &[info(2000)]).await;
    lake.commit(2, &[info(3000)]).await;
    let table = lake.open().await;
    for (at_ms, version) in [(1000, 0), (1999, 0), (2000, 1), (3000, 2), (9000, 2)] {
        let travel = Travel::Timestamp(DateTime::from_timestamp_millis(at_ms).unwrap());
        let found = table.snapshot(travel).await.unwrap().version();
        assert_eq!(found, version, "at {at_ms}");
    }
    let travel = Travel::Timestamp(DateTime::from_timestamp_millis(999).unwrap());
    let error = table.snapshot(travel).await.unwrap_err();
    let CatalogError::VersionNotFound { version, available, .. } = error else { panic!("{error}") };
    assert_eq!(version, "as of 1970-01-01 00:00:00.999 UTC");
    assert_eq!(
        available,
        "versions 0 (1970-01-01 00:00:01.000 UTC) to 2 (1970-01-01 00:00:03.000 UTC)"
    );
}

#[tokio::test]
async fn notices_a_table_put_in_the_place_of_another() {
    let lake = Lake::create(&ids_schema(), &[]).await;
    lake.append(ids(0, 10, &[None]), 100).await;
    let table = lake.open().await;
    for version in 0..2 {
        let path = lake.path(&format!("_delta_log/{version:020}.json"));
        lake.store.delete(&path).await.unwrap();
    }
    let other = Schema::new(vec![Field::new("x", DataType::Int32, true)]);
    create_table(lake.store.as_ref(), &lake.url, &other, &[], &[]).await.unwrap();
    let pinned = Arc::clone(&table).pin(Travel::Latest).await.unwrap();
    assert!(matches!(pinned.version, TableVersion::Commit { number: 0, .. }));
    assert_eq!(pinned.provider.schema().field(0).name(), "x");
}

#[tokio::test]
async fn prunes_files_by_partition_and_by_statistics() {
    let lake = Lake::create(&ids_schema(), &["part"]).await;
    lake.append(ids(0, 40, &[Some("a b/ü:%"), None, Some("x=1")]), 10).await;
    lake.append(ids(100, 140, &[Some("only")]), 10).await;
    let table = lake.open().await;
    assert_eq!(lake.scanned(&table, "SELECT * FROM t").await.0, 16);
    assert_eq!(lake.scanned(&table, "SELECT * FROM t WHERE part = 'only'").await.0, 4);
    assert_eq!(lake.scanned(&table, "SELECT * FROM t WHERE part IS NULL").await.0, 4);
    assert_eq!(lake.scanned(&table, "SELECT * FROM t WHERE id = 117").await.0, 1);
    assert_eq!(lake.scanned(&table, "SELECT * FROM t WHERE part LIKE 'a%' AND id < 10").await.0, 1);
    assert_eq!(lake.scanned(&table, "SELECT * FROM t WHERE part = 'only' OR id < 10").await.0, 7);
    assert_eq!(lake.scanned(&table, "SELECT * FROM t WHERE part = 'only' LIMIT 15").await.0, 2);
    assert_eq!(
        lake.rows(
            &table,
            "SELECT part, count(*), sum(id) FROM t GROUP BY part ORDER BY part NULLS FIRST"
        )
        .await,
        "|         | 13       | 247       |\n| a b/ü:% | 14       | 273       |\n| only    | 40       | 4780      |\n| x=1     | 13       | 260       |"
    );
    assert_eq!(
        lake.rows(&table, "SELECT id, part, price FROM t WHERE part IS NULL AND price > 17").await,
        "| 37 |      | 18.5  |"
    );
    let plan = plan_text(&lake, &table, "SELECT id FROM t WHERE part = 'only'").await;
    assert!(!plan.contains("FilterExec") && !plan.contains("predicate="), "{plan}");
}

async fn plan_text(lake: &Lake, table: &Arc<DeltaTable>, sql: &str) -> String {
    let context = lake.session(table, Travel::Latest).await;
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    displayable(plan.as_ref()).indent(false).to_string()
}

#[tokio::test]
async fn exposes_statistics_no_better_than_they_are() {
    let lake = Lake::create(&ids_schema(), &["part"]).await;
    lake.append(ids(0, 40, &[Some("p"), Some("q")]), 100).await;
    let snapshot = lake.open().await.snapshot(Travel::Latest).await.unwrap();
    let statistics = snapshot.statistics().unwrap();
    assert_eq!(statistics.num_rows, Precision::Exact(40));
    assert_eq!(snapshot.n_rows(), Some(40));
    let [id, part, price] = statistics.column_statistics.as_slice() else { panic!() };
    assert_eq!(id.min_value, Precision::Exact(ScalarValue::Int64(Some(0))));
    assert_eq!(id.max_value, Precision::Exact(ScalarValue::Int64(Some(39))));
    assert_eq!(id.null_count, Precision::Exact(0));
    assert_eq!(part.max_value, Precision::Exact(ScalarValue::Utf8View(Some("q".into()))));
    assert_eq!(price.max_value, Precision::Inexact(ScalarValue::Float64(Some(19.5))));
}

#[tokio::test]
async fn writes_and_reads_every_bounded_type() {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Schema::new(vec![
        Field::new("i", DataType::Int32, false),
        Field::new("s", DataType::Utf8, true),
        Field::new("d", DataType::Date32, true),
        Field::new("n", DataType::Decimal128(20, 3), true),
        Field::new("z", utc.clone(), true),
        Field::new("w", DataType::Timestamp(TimeUnit::Microsecond, None), true),
    ]);
    let micros = vec![Some(1_700_000_000_123_456), Some(-5), None];
    let long = "€".repeat(40);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![1, 2, 3])),
        Arc::new(StringArray::from(vec![Some(long.as_str()), Some("b"), None])),
        Arc::new(Date32Array::from(vec![Some(0), Some(20_000), None])),
        Arc::new(
            Decimal128Array::from(vec![Some(-5), Some(12_345_678_901_234_567_890), None])
                .with_precision_and_scale(20, 3)
                .unwrap(),
        ),
        Arc::new(TimestampMicrosecondArray::from(micros.clone()).with_timezone("UTC")),
        Arc::new(TimestampMicrosecondArray::from(micros)),
    ];
    let lake = Lake::create(&schema, &[]).await;
    lake.append(RecordBatch::try_new(Arc::new(schema), columns).unwrap(), 100).await;
    let table = lake.open().await;
    let snapshot = table.snapshot(Travel::Latest).await.unwrap();
    assert_eq!(snapshot.schema().field(4).data_type(), &utc);
    assert!(!snapshot.schema().field(0).is_nullable());
    let statistics = snapshot.statistics().unwrap();
    let max = |i: usize| statistics.column_statistics[i].max_value.clone();
    // Long decimals may have been rounded by their writer: the bound is a little above.
    let Precision::Inexact(ScalarValue::Decimal128(Some(raised), 20, 3)) = max(3) else { panic!() };
    assert!((12_345_678_901_234_567_890..12_345_678_901_234_600_000).contains(&raised));
    assert_eq!(max(2), Precision::Exact(ScalarValue::Date32(Some(20_000))));
    for filter in [
        "z = TIMESTAMP '2023-11-14T22:13:20.123456Z'",
        "w = TIMESTAMP '2023-11-14 22:13:20.123456'",
        "w < TIMESTAMP '1970-01-01'",
        "n > 12345678901234567",
        "n < 0",
        "d = DATE '2024-10-04'",
        "length(s) = 40",
        "s > 'c'",
        "s IS NULL",
    ] {
        let sql = format!("SELECT count(*) FROM t WHERE {filter}");
        assert_eq!(lake.rows(&table, &sql).await, "| 1        |", "{filter}");
    }
    assert_eq!(lake.scanned(&table, "SELECT * FROM t WHERE s > 'é'").await.0, 1);
    assert_eq!(lake.scanned(&table, "SELECT * FROM t WHERE s < 'a'").await.0, 0);
}

#[tokio::test]
async fn reads_mapped_and_widened_columns() {
    for mode in ["name", "id"] {
        let lake = Lake::create(&ids_schema(), &[]).await;
        lake.append(ids(0, 10, &[Some("a")]), 100).await;
        let add = lake.log_lines(1).await.pop().unwrap();
        // The file's columns id, part, price become a (widened), b and a new c; price was dropped.
        let column = |name: &str, kind: &str, id: u32, physical: &str| {
            json!({"name": name, "type": kind, "nullable": true, "metadata": {
                "delta.columnMapping.id": id, "delta.columnMapping.physicalName": physical}})
        };
        let schema = json!({"type": "struct", "fields": [
            column("a", "decimal(30,0)", 1, "id"), column("id", "string", 2, "part"),
            column("price", "double", 9, "col-9")]});
        lake.commit(
            2,
            &[
                json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
                "readerFeatures": ["columnMapping", "typeWidening", "vacuumProtocolCheck"],
                "writerFeatures": ["columnMapping", "typeWidening", "vacuumProtocolCheck"]}}),
                json!({"metaData": {"id": "x", "format": {"provider": "parquet", "options": {}},
                "schemaString": schema.to_string(), "partitionColumns": [], "createdTime": 0,
                "configuration": {"delta.columnMapping.mode": mode,
                    "delta.columnMapping.maxColumnId": "9"}}}),
                add,
            ],
        )
        .await;
        let table = lake.open().await;
        assert_eq!(
            lake.rows(&table, "SELECT a, id, price FROM t WHERE a > 7 ORDER BY a").await,
            "| 8 | a  |       |\n| 9 | a  |       |",
            "mode {mode}"
        );
        assert_eq!(lake.scanned(&table, "SELECT id FROM t WHERE a > 100").await.0, 0);
    }
}

#[tokio::test]
async fn filters_reach_renamed_fields_of_structs() {
    let inner = Field::new("x", DataType::Int64, true);
    let point = Field::new("stored", DataType::Struct(vec![inner.clone()].into()), true);
    let list = Field::new("l", DataType::List(Arc::new(point.clone())), true);
    let xs: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
    let points = StructArray::new(vec![inner].into(), vec![xs], None);
    let DataType::List(element) = list.data_type() else { panic!() };
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(2, 50));
    let lists = ListArray::new(Arc::clone(element), offsets, Arc::new(points.clone()), None);
    let schema = Schema::new(vec![point, list]);
    let columns: Vec<ArrayRef> = vec![Arc::new(points.slice(0, 50)), Arc::new(lists)];
    let batch = RecordBatch::try_new(Arc::new(schema.clone()), columns).unwrap();
    let lake = Lake::create(&schema, &[]).await;
    lake.append(batch, 100).await;
    let add = lake.log_lines(1).await.pop().unwrap();
    let field = |name: &str, kind: Value, id: u32, physical: &str| {
        json!({"name": name, "type": kind, "nullable": true, "metadata": {
            "delta.columnMapping.id": id, "delta.columnMapping.physicalName": physical}})
    };
    let inner = |id| json!({"type": "struct", "fields": [field("y", json!("long"), id, "x")]});
    let list = json!({"type": "array", "elementType": inner(4), "containsNull": true});
    let schema = json!({"type": "struct", "fields": [
        field("p", inner(2), 1, "stored"), field("q", list, 3, "l")]});
    lake.commit(
        2,
        &[
            json!({"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}),
            json!({"metaData": {"id": "x", "format": {"provider": "parquet", "options": {}},
            "schemaString": schema.to_string(), "partitionColumns": [], "createdTime": 0,
            "configuration": {"delta.columnMapping.mode": "name",
                "delta.columnMapping.maxColumnId": "4"}}}),
            add,
        ],
    )
    .await;
    let table = lake.open().await;
    let sql = "SELECT p, p['y'] + 1, q[2]['y'] FROM t WHERE p['y'] = 7 AND q IS NOT NULL";
    assert_eq!(lake.rows(&table, sql).await, "| {y: 7} | 8                 | 15               |");
}

#[tokio::test]
async fn refuses_damage_and_unknown_features_with_words() {
    let lake = Lake::create(&ids_schema(), &[]).await;
    lake.append(ids(0, 10, &[None]), 100).await;
    let table = lake.open().await;
    lake.put("_delta_log/00000000000000000002.json", r#"{"add":{"path":"x","partitionVal"#).await;
    let error = Arc::clone(&table).pin(Travel::Latest).await.unwrap_err();
    assert!(matches!(error, CatalogError::Corrupt { .. }), "{error}");
    assert!(lake.try_open().await.is_err());
    lake.store.delete(&lake.path("_delta_log/00000000000000000002.json")).await.unwrap();
    assert_eq!(lake.rows(&table, "SELECT count(*) FROM t").await, "| 10       |");

    lake.commit(
        2,
        &[json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": ["timeMachine"], "writerFeatures": ["timeMachine"]}})],
    )
    .await;
    let error = lake.try_open().await.unwrap_err();
    let CatalogError::UnsupportedFeature { feature, .. } = &error else { panic!("{error}") };
    assert_eq!(feature, "timeMachine");

    let gap = Lake::create(&ids_schema(), &[]).await;
    gap.append(ids(0, 10, &[None]), 100).await;
    gap.append(ids(0, 10, &[None]), 100).await;
    gap.store.delete(&gap.path("_delta_log/00000000000000000001.json")).await.unwrap();
    let error = gap.try_open().await.unwrap_err();
    assert!(matches!(error, CatalogError::Corrupt { .. }), "{error}");
    let error = Lake::new().try_open().await.unwrap_err();
    assert!(matches!(error, CatalogError::Corrupt { .. }), "{error}");
}

/// Commits deletion vectors for the files of version 1 as version 2.
async fn delete_rows(lake: &Lake, deleted: &[u64], storage: &str) {
    let mut actions = vec![json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}})];
    let bitmap: roaring::RoaringTreemap = deleted.iter().copied().collect();
    let mut body = 1_681_511_377_u32.to_le_bytes().to_vec();
    bitmap.serialize_into(&mut body).unwrap();
    let mut stored = vec![1_u8];
    stored.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    stored.extend_from_slice(&body);
    stored.extend_from_slice(&super::deletion_vector::crc32(&body).to_be_bytes());
    let relative = "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin";
    lake.put(relative, stored).await;
    let (path, offset, size) = match storage {
        "u" => ("ab^-aqEH.-t@S}K{vb[*k^".to_owned(), Some(1), body.len()),
        "p" => (format!("{}/{relative}", lake.url), Some(1), body.len()),
        _ => {
            body.resize(body.len().next_multiple_of(4), 0);
            (super::deletion_vector::encode_z85(&body), None, body.len())
        }
    };
    for action in lake.log_lines(1).await {
        let Some(add) = action.get("add") else {
            continue;
        };
        let (mut remove, mut add) = (add.clone(), add.clone());
        remove["deletionTimestamp"] = json!(0);
        add["deletionVector"] = json!({"storageType": storage, "pathOrInlineDv": path,
            "sizeInBytes": size, "cardinality": deleted.len()});
        if let Some(offset) = offset {
            add["deletionVector"]["offset"] = json!(offset);
        }
        actions.extend([json!({"remove": remove}), json!({"add": add})]);
    }
    lake.commit(2, &actions).await;
}

#[tokio::test]
async fn deleted_rows_vanish_and_the_scan_stays_parallel() {
    for storage in ["u", "p", "i"] {
        // Two files of three row groups each, so that files are cut into ranges as well.
        let lake = Lake::create(&ids_schema(), &[]).await;
        lake.append(ids(0, 600_000, &[Some("a"), Some("b")]), 300_000).await;
        delete_rows(&lake, &[0, 1, 2, 131_072, 200_000, 299_999], storage).await;
        let table = lake.open().await;
        assert_eq!(
            lake.rows(&table, "SELECT count(*), min(id), max(id) FROM t").await,
            "| 599988   | 3         | 599998    |",
            "storage {storage}"
        );
        let sql = "SELECT count(*) FROM t WHERE id IN (0, 3, 131072, 131073, 299999, 500000)";
        assert_eq!(lake.rows(&table, sql).await, "| 2        |");
        assert_eq!(
            lake.rows(&table, "SELECT id FROM t WHERE id < 6 LIMIT 3").await.lines().count(),
            3
        );
        let (n_files, n_partitions) = lake.scanned(&table, "SELECT sum(id) FROM t").await;
        assert_eq!((n_files, n_partitions), (2, 4));
        let snapshot = table.snapshot(Travel::Latest).await.unwrap();
        let statistics = snapshot.statistics().unwrap();
        assert_eq!(statistics.num_rows, Precision::Exact(599_988));
        let min = &statistics.column_statistics[0].min_value;
        assert_eq!(min, &Precision::Inexact(ScalarValue::Int64(Some(0))));
        assert_eq!(
            lake.query(&table, Travel::Version(1), "SELECT count(*) FROM t").await,
            "| 600000   |"
        );
    }
}

#[tokio::test]
async fn a_damaged_deletion_vector_is_an_error() {
    let lake = Lake::create(&ids_schema(), &[]).await;
    lake.append(ids(0, 10, &[None]), 100).await;
    delete_rows(&lake, &[3, 11], "u").await;
    let table = lake.open().await;
    let context = lake.session(&table, Travel::Latest).await;
    let error = context.sql("SELECT sum(id) FROM t").await.unwrap().collect().await.unwrap_err();
    assert!(error.to_string().contains("beyond the file's 10"), "{error}");
}

/// Writes one file with these rows, whose statistics another writer has made.
async fn one_file(batch: RecordBatch, stats: Value) -> Lake {
    let lake = Lake::create(&batch.schema(), &[]).await;
    lake.append(batch, 1000).await;
    let mut actions = lake.log_lines(1).await;
    for action in &mut actions {
        if let Some(add) = action.get_mut("add") {
            add["stats"] = Value::String(stats.to_string());
        }
    }
    lake.commit(1, &actions).await;
    lake
}

#[tokio::test]
async fn bounds_of_long_decimals_are_not_believed_to_the_last_digit() {
    // As deltalake 1.6.6 logs 12345678901234.5678 in a decimal(18,4), through a double.
    for (digits, logged) in [
        (123_456_789_012_345_678_i128, 12_345_678_901_234.568_f64),
        (-123_456_789_012_345_678, -12_345_678_901_234.568),
        (999_999_999_999_999_999, 100_000_000_000_000.0),
    ] {
        let prices = Decimal128Array::from(vec![digits]).with_precision_and_scale(18, 4).unwrap();
        let batch = RecordBatch::try_from_iter([("d", Arc::new(prices) as ArrayRef)]).unwrap();
        let stats = json!({"numRecords": 1, "minValues": {"d": logged}, "maxValues": {"d": logged},
            "nullCount": {"d": 0}});
        let lake = one_file(batch, stats).await;
        let table = lake.open().await;
        let sign = if digits < 0 { "-" } else { "" };
        let size = digits.unsigned_abs();
        let text = format!("{sign}{}.{}", size / 10_000, size % 10_000);
        let found = format!("SELECT count(*) FROM t WHERE d = CAST('{text}' AS decimal(18,4))");
        assert_eq!(lake.rows(&table, &found).await, "| 1        |", "{text}");
        let bounds = lake.rows(&table, "SELECT min(d) = max(d), max(d) FROM t").await;
        assert!(bounds.contains(&text), "{bounds} has not {text}");
    }
}

#[tokio::test]
async fn not_a_number_is_above_every_bound() {
    let prices = Float64Array::from(vec![1.0, f64::NAN, 5.0]);
    let ids = Int64Array::from(vec![1, 2, 3]);
    let columns = [("id", Arc::new(ids) as ArrayRef), ("price", Arc::new(prices) as ArrayRef)];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let stats = json!({"numRecords": 3, "minValues": {"id": 1, "price": 1.0},
        "maxValues": {"id": 3, "price": 5.0}, "nullCount": {"id": 0, "price": 0}});
    let lake = one_file(batch, stats).await;
    let table = lake.open().await;
    assert_eq!(lake.rows(&table, "SELECT id FROM t WHERE price > 10").await, "| 2  |");
    assert_eq!(lake.rows(&table, "SELECT id FROM t WHERE price = 'NaN'").await, "| 2  |");
    let top = "SELECT id FROM t ORDER BY price DESC LIMIT 1";
    assert_eq!(lake.rows(&table, top).await, "| 2  |");
    // Lower bounds rule files out as before.
    assert_eq!(lake.scanned(&table, "SELECT id FROM t WHERE price < 0").await.0, 0);
}

#[tokio::test]
async fn a_table_in_the_place_of_another_is_another_version_of_equal_number() {
    let lake = Lake::create(&ids_schema(), &[]).await;
    let table = lake.open().await;
    let before = Arc::clone(&table).pin(Travel::Latest).await.unwrap().version;
    assert_eq!(before, Arc::clone(&table).pin(Travel::Latest).await.unwrap().version);
    lake.store.delete(&lake.path("_delta_log/00000000000000000000.json")).await.unwrap();
    create_table(lake.store.as_ref(), &lake.url, &ids_schema(), &[], &[]).await.unwrap();
    let after = Arc::clone(&table).pin(Travel::Latest).await.unwrap().version;
    assert!(matches!(after, TableVersion::Commit { number: 0, .. }));
    assert_ne!(before, after);
    // A commit on top makes no other table of it.
    lake.append(ids(0, 3, &[None]), 10).await;
    let old = Arc::clone(&table).pin(Travel::Version(0)).await.unwrap().version;
    assert_eq!(after, old);
}

#[tokio::test]
async fn a_deletion_vector_that_cannot_be_read_is_never_ignored() {
    let lake = Lake::create(&ids_schema(), &[]).await;
    lake.append(ids(0, 10, &[None]), 100).await;
    delete_rows(&lake, &[3], "u").await;
    let good = lake.log_lines(2).await;
    for field in ["storageType", "pathOrInlineDv", "sizeInBytes", "cardinality"] {
        let mut actions = good.clone();
        for action in &mut actions {
            if let Some(vector) = action.pointer_mut("/add/deletionVector") {
                vector.as_object_mut().unwrap().remove(field);
            }
        }
        lake.commit(2, &actions).await;
        let error = match lake.try_open().await {
            Ok(table) => {
                let rows = lake.rows(&table, "SELECT count(*) FROM t").await;
                panic!("{field}: {rows}");
            }
            Err(error) => error,
        };
        assert!(matches!(error, CatalogError::Corrupt { .. }), "{field}: {error}");
    }
}
