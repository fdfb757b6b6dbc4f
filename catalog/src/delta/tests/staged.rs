//! Transactions on one table: what they see, what they commit, what contradicts them.

use std::collections::BTreeMap;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::Int64Type;
use datafusion::logical_expr::{col, lit};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use super::*;
use crate::delta::{
    NewFile, Operation, ReadSet, RowsByFile, StagedTable, TableChange, WriteOptions, write_files,
};

const VECTORS: &[(&str, &str)] = &[("delta.enableDeletionVectors", "true")];

pub(super) fn operation(name: &str) -> Operation {
    Operation::new(name, BTreeMap::new())
}

impl Lake {
    /// A table with deletion vectors and `n` files of ten rows each.
    pub(super) async fn with_vectors(n: i64, partition_columns: &[&str]) -> Self {
        let lake = Self::new();
        let schema: Value = json!({"type": "struct", "fields": [
            {"name": "id", "type": "long", "nullable": true, "metadata": {}},
            {"name": "part", "type": "string", "nullable": true, "metadata": {}},
            {"name": "price", "type": "double", "nullable": true, "metadata": {}}]});
        let features = ["deletionVectors"];
        let properties: BTreeMap<_, _> = VECTORS.iter().copied().collect();
        lake.commit(
            0,
            &[
                json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
                "readerFeatures": features, "writerFeatures": features}}),
                json!({"metaData": {"id": "x", "format": {"provider": "parquet", "options": {}},
                "schemaString": schema.to_string(), "partitionColumns": partition_columns,
                "configuration": properties, "createdTime": 0}}),
            ],
        )
        .await;
        let table = lake.open().await;
        for i in 0..n {
            let staged = table.stage().await.unwrap();
            let files = written(&staged, ids(i * 10, i * 10 + 10, &[Some("a")])).await;
            staged.append(files, operation("WRITE")).unwrap().commit().await.unwrap();
        }
        lake
    }

    async fn rows_of(&self, staged: &Arc<StagedTable>, sql: &str) -> String {
        let config = SessionConfig::new()
            .with_target_partitions(4)
            .set_bool("datafusion.execution.parquet.pushdown_filters", true)
            .set_usize("datafusion.optimizer.repartition_file_min_size", 0);
        let context = SessionContext::new_with_config(config);
        context.register_object_store(&Url::parse("memory://").unwrap(), Arc::clone(&self.store));
        let pinned = Arc::clone(staged).pin(Travel::Latest).await.unwrap();
        context.register_table("t", pinned.provider).unwrap();
        context.register_table("n", staged.snapshot().with_row_ids("row")).unwrap();
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let rows = pretty_format_batches(&batches).unwrap().to_string();
        rows.lines().skip(3).filter(|l| l.starts_with('|')).collect::<Vec<_>>().join("\n")
    }

    /// The identities of the rows for which a condition holds.
    async fn found(&self, staged: &Arc<StagedTable>, condition: &str) -> RowsByFile {
        let context = SessionContext::new_with_config(
            SessionConfig::new()
                .with_target_partitions(4)
                .set_bool("datafusion.execution.parquet.pushdown_filters", true)
                .set_usize("datafusion.optimizer.repartition_file_min_size", 0),
        );
        context.register_object_store(&Url::parse("memory://").unwrap(), Arc::clone(&self.store));
        context.register_table("n", staged.snapshot().with_row_ids("row")).unwrap();
        let sql = format!("SELECT row FROM n WHERE {condition}");
        let mut rows = RowsByFile::default();
        for batch in context.sql(&sql).await.unwrap().collect().await.unwrap() {
            rows.extend(batch.column(0).as_primitive::<Int64Type>().values().iter().copied());
        }
        rows
    }

    pub(super) async fn deleted(
        &self,
        staged: &Arc<StagedTable>,
        condition: &str,
    ) -> Arc<StagedTable> {
        let rows = self.found(staged, condition).await;
        staged.delete_rows(rows, operation("DELETE")).await.unwrap().0
    }
}

pub(super) async fn written(staged: &StagedTable, rows: RecordBatch) -> Vec<NewFile> {
    let stream = futures::stream::iter([Ok(rows.clone())]);
    let stream = Box::pin(RecordBatchStreamAdapter::new(rows.schema(), stream));
    let target = staged.snapshot().write_target().unwrap();
    write_files(&target, vec![stream], &WriteOptions::default()).await.unwrap()
}

#[tokio::test]
async fn sees_its_own_changes_and_nobody_else_does() {
    let lake = Lake::with_vectors(2, &[]).await;
    let table = lake.open().await;
    let first = table.stage().await.unwrap();
    let files = written(&first, ids(20, 30, &[Some("b")])).await;
    let second = first.append(files, operation("WRITE")).unwrap();
    let third = lake.deleted(&second, "id % 10 = 3").await;
    let count = "SELECT count(*), sum(id), count(DISTINCT part) FROM t";
    assert_eq!(
        lake.rows_of(&second, count).await,
        "| 30       | 435       | 2                      |"
    );
    assert_eq!(
        lake.rows_of(&third, count).await,
        "| 27       | 396       | 2                      |"
    );
    assert_eq!(
        lake.rows_of(&first, count).await,
        "| 20       | 190       | 1                      |"
    );
    assert_eq!(lake.rows(&table, count).await, "| 20       | 190       | 1                      |");
    // A statement more, on rows that the transaction has written and deleted from.
    let fourth = lake.deleted(&third, "id >= 15").await;
    assert_eq!(
        lake.rows_of(&fourth, "SELECT count(*), max(id) FROM t").await,
        "| 13       | 14        |"
    );
    assert_eq!(fourth.commit().await.unwrap(), 3);
    assert_eq!(
        lake.rows(&table, "SELECT count(*), max(id) FROM t").await,
        "| 13       | 14        |"
    );
    let reopened = lake.open().await;
    assert_eq!(
        lake.rows(&reopened, "SELECT count(*), max(id) FROM t").await,
        "| 13       | 14        |"
    );
    let lines = lake.log_lines(3).await;
    let n = |action: &str| lines.iter().filter(|line| line.get(action).is_some()).count();
    // The file of the transaction is gone as a whole: the log never hears of it.
    assert_eq!((n("remove"), n("add")), (2, 2), "{lines:?}");
    assert_eq!(lines[0]["commitInfo"]["operation"], "TRANSACTION");
}

#[tokio::test]
async fn row_identities_are_those_of_stored_rows() {
    let lake = Lake::with_vectors(1, &[]).await;
    let table = lake.open().await;
    let staged = lake.deleted(&table.stage().await.unwrap(), "id IN (0, 4)").await;
    let rows = lake.rows_of(&staged, "SELECT id, row FROM n WHERE id < 7 ORDER BY id").await;
    assert_eq!(rows, "| 1  | 1   |\n| 2  | 2   |\n| 3  | 3   |\n| 5  | 5   |\n| 6  | 6   |");
    assert_eq!(
        lake.rows_of(&staged, "SELECT row, part FROM n WHERE row = 5").await,
        "| 5   | a    |"
    );
    assert_eq!(lake.rows_of(&staged, "SELECT count(*) FROM n").await, "| 8        |");
}

#[tokio::test]
async fn deletes_whole_files_without_vectors() {
    let lake = Lake::create(&ids_schema(), &["part"]).await;
    lake.append(ids(0, 10, &[Some("a"), Some("b/c d")]), 100).await;
    let table = lake.open().await;
    let staged = table.stage().await.unwrap();
    let next = lake.deleted(&staged, "part = 'b/c d'").await;
    assert_eq!(next.commit().await.unwrap(), 2);
    assert_eq!(
        lake.rows(&table, "SELECT count(*), min(part) FROM t").await,
        "| 5        | a           |"
    );
    let lines = lake.log_lines(2).await;
    assert_eq!(lines[1]["remove"]["partitionValues"]["part"], "b/c d");
    let rows = lake.found(&table.stage().await.unwrap(), "id = 0").await;
    let error = table.stage().await.unwrap().delete_rows(rows, operation("DELETE")).await;
    assert!(matches!(error.unwrap_err(), CatalogError::NotWritable { .. }));
}

#[tokio::test]
async fn writes_partitions_and_statistics() {
    let lake = Lake::with_vectors(0, &["part"]).await;
    let table = lake.open().await;
    let staged = table.stage().await.unwrap();
    let odd = [Some("a=b"), None, Some("ä %20/x"), Some("")];
    let files = written(&staged, ids(0, 12, &odd)).await;
    // The empty text and NULL are one partition.
    assert_eq!(files.len(), 3);
    staged.append(files, operation("WRITE")).unwrap().commit().await.unwrap();
    let sql = "SELECT part, count(*), min(id) FROM t GROUP BY part ORDER BY part NULLS LAST";
    let expected = "| a=b     | 3        | 0         |\n| ä %20/x | 3        | 2         |\n\
                    |         | 6        | 1         |";
    assert_eq!(lake.rows(&table, sql).await, expected);
    let reopened = lake.open().await;
    assert_eq!(lake.rows(&reopened, sql).await, expected);
    assert_eq!(lake.scanned(&reopened, "SELECT * FROM t WHERE id > 10").await.0, 1);
    assert_eq!(lake.scanned(&table, "SELECT * FROM t WHERE id > 10").await.0, 1);
    assert_eq!(lake.scanned(&table, "SELECT * FROM t WHERE part = 'a=b'").await.0, 1);
}

#[tokio::test]
async fn appends_always_land() {
    let lake = Lake::with_vectors(1, &[]).await;
    let (one, two) = (lake.open().await, lake.open().await);
    let (a, b) = (one.stage().await.unwrap(), two.stage().await.unwrap());
    let a = a.append(written(&a, ids(100, 110, &[None])).await, operation("WRITE")).unwrap();
    let b = b.append(written(&b, ids(200, 210, &[None])).await, operation("WRITE")).unwrap();
    assert_eq!(a.commit().await.unwrap(), 2);
    assert_eq!(b.commit().await.unwrap(), 3);
    assert_eq!(lake.rows(&one, "SELECT count(*) FROM t").await, "| 30       |");
    assert_eq!(lake.rows(&two, "SELECT count(*) FROM t").await, "| 30       |");
}

#[tokio::test]
async fn a_delete_meets_another_of_the_same_file() {
    let lake = Lake::with_vectors(2, &[]).await;
    let table = lake.open().await;
    let base = table.stage().await.unwrap();
    let one = lake.deleted(&base, "id = 1").await;
    let same_file = lake.deleted(&base, "id = 2").await;
    let other_file = lake.deleted(&base, "id = 12").await;
    assert_eq!(one.commit().await.unwrap(), 3);
    assert!(matches!(same_file.commit().await.unwrap_err(), CatalogError::Conflict { .. }));
    assert_eq!(other_file.commit().await.unwrap(), 4);
    assert_eq!(
        lake.rows(&table, "SELECT count(*), sum(id) FROM t").await,
        "| 18       | 177       |"
    );
}

#[tokio::test]
async fn what_was_read_must_still_hold() {
    let lake = Lake::with_vectors(2, &[]).await;
    let table = lake.open().await;
    let base = table.stage().await.unwrap();
    let reads = |filters| base.reads(filters);
    let insert = |staged: Arc<StagedTable>| async move {
        let files = written(&staged, ids(500, 501, &[None])).await;
        staged.append(files, operation("WRITE")).unwrap()
    };
    let low = insert(reads(ReadSet::filters(vec![col("id").lt(lit(10_i64))]))).await;
    let high = insert(reads(ReadSet::filters(vec![col("id").gt_eq(lit(10_i64))]))).await;
    let all = insert(reads(ReadSet::Everything)).await;
    let blind = insert(Arc::clone(&base)).await;
    assert_eq!(blind.commit().await.unwrap(), 3);
    assert_eq!(lake.deleted(&base, "id = 1").await.commit().await.unwrap(), 4);
    assert!(matches!(low.commit().await.unwrap_err(), CatalogError::Conflict { .. }));
    assert!(matches!(all.commit().await.unwrap_err(), CatalogError::Conflict { .. }));
    assert_eq!(high.commit().await.unwrap(), 5);
}

#[tokio::test]
async fn replaces_files_and_puts_old_ones_back() {
    let lake = Lake::with_vectors(2, &[]).await;
    let table = lake.open().await;
    let old = lake.log_lines(1).await;
    let staged = table.stage().await.unwrap();
    let files = written(&staged, ids(0, 3, &[Some("z")])).await;
    staged.replace_all(files, operation("WRITE")).unwrap().commit().await.unwrap();
    assert_eq!(lake.rows(&table, "SELECT count(*) FROM t").await, "| 3        |");
    let add = old.iter().find_map(|line| line.get("add")).unwrap().clone();
    let staged = table.stage().await.unwrap();
    let file = NewFile::existing("t", add).unwrap();
    assert_eq!(file.n_rows(), 10);
    let change = TableChange { removed: vec![0], added: vec![file], ..TableChange::default() };
    staged.change(change, operation("RESTORE")).await.unwrap().commit().await.unwrap();
    assert_eq!(
        lake.rows(&table, "SELECT count(*), max(id) FROM t").await,
        "| 10       | 9         |"
    );
}

#[tokio::test]
async fn refuses_what_the_table_forbids() {
    let lake = Lake::new();
    let schema = ids_schema();
    create_table(lake.store.as_ref(), &lake.url, &schema, &[], &[("delta.appendOnly", "true")])
        .await
        .unwrap();
    lake.append(ids(0, 10, &[None]), 100).await;
    let table = lake.open().await;
    let staged = table.stage().await.unwrap();
    let error = staged.replace_all(vec![], operation("WRITE")).unwrap_err();
    assert!(matches!(error, CatalogError::NotWritable { .. }), "{error}");
    let protocol = json!({"minReaderVersion": 1, "minWriterVersion": 7,
        "writerFeatures": ["rowTracking", "domainMetadata"]});
    lake.commit(2, &[json!({"protocol": protocol})]).await;
    assert_eq!(lake.rows(&table, "SELECT count(*) FROM t").await, "| 10       |");
    let error = table.stage().await.unwrap_err();
    let CatalogError::UnsupportedFeature { feature, .. } = error else { panic!("{error}") };
    assert_eq!(feature, "rowTracking");
}

#[tokio::test]
async fn reads_statistics_of_foreign_commits_one_by_one() {
    let lake = Lake::create(&ids_schema(), &[]).await;
    lake.append(ids(0, 10, &[Some("a")]), 100).await;
    let table = lake.open().await;
    lake.append(ids(10, 20, &[Some("b")]), 100).await;
    lake.append(ids(20, 30, &[None]), 100).await;
    let fresh = lake.open().await;
    let (one, two) = (
        table.snapshot(Travel::Latest).await.unwrap(),
        fresh.snapshot(Travel::Latest).await.unwrap(),
    );
    assert_eq!(one.version(), 3);
    assert_eq!(one.statistics(), two.statistics());
    let all: BooleanArray = vec![true; 3].into();
    assert_eq!(one.index.paths.len(), all.len());
    assert_eq!(
        lake.scanned(&table, "SELECT * FROM t WHERE id = 15").await,
        lake.scanned(&fresh, "SELECT * FROM t WHERE id = 15").await
    );
}

#[tokio::test]
async fn statistics_of_a_file_are_those_of_a_set_of_one() {
    let lake = Lake::with_vectors(2, &["part"]).await;
    let table = lake.open().await;
    let staged = table.stage().await.unwrap();
    let files = written(&staged, ids(0, 12, &[Some("a"), None])).await;
    let staged = staged.append(files, operation("WRITE")).unwrap();
    let staged = lake.deleted(&staged, "id = 4").await;
    let snapshot = staged.snapshot();
    for file in 0..snapshot.n_files() {
        let one = crate::delta::statistics::of_file(&snapshot.index, &snapshot.layout, file);
        assert_eq!(one, snapshot.statistics_of(&[file]), "file {file}");
    }
}
