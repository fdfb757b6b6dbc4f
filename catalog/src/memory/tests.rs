#![expect(clippy::disallowed_methods, reason = "unit tests have no runtime of their own")]

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::prelude::SessionContext;

use super::*;

fn table(bytes_max: usize) -> Arc<MemoryTable> {
    table_within(MemoryLimits::alone(bytes_max))
}

fn table_within(limits: MemoryLimits) -> Arc<MemoryTable> {
    let id = Field::new("id", DataType::Int64, false);
    let name = Field::new("name", DataType::Utf8, true);
    MemoryTable::new("t", Arc::new(Schema::new(vec![id, name])), limits)
}

/// Tables of one server, which may take so much together.
fn tables(bytes_max: usize) -> (Arc<RowsBudget>, impl Fn() -> Arc<MemoryTable>) {
    let budget = RowsBudget::new(bytes_max);
    let limits = MemoryLimits { table_bytes_max: usize::MAX, budget: Arc::clone(&budget) };
    (budget, move || table_within(limits.clone()))
}

fn row(id: Option<i64>) -> Vec<RecordBatch> {
    let id: ArrayRef = Arc::new(Int64Array::from(vec![id]));
    let name: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    vec![RecordBatch::try_from_iter_with_nullable([("a", id, true), ("b", name, true)]).unwrap()]
}

async fn count_and_sum(table: &Arc<MemoryTable>) -> String {
    let pinned = Arc::clone(table).pin(Travel::Latest).await.unwrap();
    let session = SessionContext::new();
    session.register_table("t", pinned.provider).unwrap();
    let query = session.sql("SELECT count(*), sum(id), max(name) FROM t").await.unwrap();
    let text = arrow::util::pretty::pretty_format_batches(&query.collect().await.unwrap()).unwrap();
    text.to_string().lines().nth(3).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn rows_come_back_and_small_batches_are_merged() {
    let table = table(1 << 30);
    assert!(count_and_sum(&table).await.contains("| 0 "));
    for id in 0..1000 {
        assert_eq!(table.append(row(Some(id))).unwrap(), 1);
    }
    assert!(table.rows().batches().len() < 24, "{}", table.rows().batches().len());
    assert_eq!(table.n_rows(), 1000);
    assert!(count_and_sum(&table).await.contains("499500"));
}

#[tokio::test]
async fn pinned_rows_stay() {
    let table = table(1 << 20);
    table.append(row(Some(1))).unwrap();
    let before = table.rows();
    let pinned = Arc::clone(&table).pin(Travel::Latest).await.unwrap();
    assert_eq!(pinned.version, TableVersion::Number(before.generation()));
    table.replace(row(Some(7)), before.generation()).unwrap();
    assert_eq!(pinned.provider.statistics().unwrap().num_rows, Precision::Exact(1));
    assert!(count_and_sum(&table).await.contains("| 7 "));
    let late = table.replace(row(Some(8)), before.generation()).unwrap_err();
    assert!(
        matches!(late, CatalogError::NotWritable { reason, .. } if reason.contains("meanwhile"))
    );
    assert_eq!(before.batches().len(), 1);
}

#[tokio::test]
async fn refuses_what_does_not_fit() {
    let reason = |result: Result<usize>| match result {
        Err(CatalogError::NotWritable { reason, .. }) => reason,
        other => format!("{other:?}"),
    };
    let large = table(8).append(row(Some(1)));
    assert!(matches!(large, Err(CatalogError::TableTooLarge { bytes_max: 8, .. })), "{large:?}");
    assert!(reason(table(1 << 20).append(row(None))).contains("null value in column \"id\""));
    let short = vec![row(Some(1))[0].project(&[0]).unwrap()];
    assert!(reason(table(1 << 20).append(short)).contains("2 columns"));
    let swapped = vec![row(Some(1))[0].project(&[1, 0]).unwrap()];
    assert!(reason(table(1 << 20).append(swapped)).contains("\"id\" is Int64, not Utf8"));
    let travel = table(8).pin(Travel::Version(1)).await.unwrap_err();
    assert!(matches!(travel, CatalogError::TravelUnsupported { .. }));
}

#[test]
fn tables_share_a_budget() {
    let one_row = row(Some(1)).iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
    let (budget, table) = tables(2 * one_row);
    let (a, b) = (table(), table());
    a.append(row(Some(1))).unwrap();
    b.append(row(Some(2))).unwrap();
    assert_eq!(budget.bytes_used(), 2 * one_row);
    let full = table().append(row(Some(3)));
    let expected = 2 * one_row;
    assert!(
        matches!(full, Err(CatalogError::MemoryTablesFull { bytes_max, bytes_used })
            if bytes_max == expected && bytes_used == expected),
        "{full:?}"
    );
    // What failed has taken nothing, and an emptied table gives back what it had.
    assert_eq!(budget.bytes_used(), 2 * one_row);
    a.replace(vec![], a.rows().generation()).unwrap();
    assert_eq!(budget.bytes_used(), one_row);
    drop(b);
    assert_eq!(budget.bytes_used(), 0);
}

#[tokio::test]
async fn shared_rows_count_once_and_until_the_last_reader_is_gone() {
    let (budget, table) = tables(usize::MAX);
    let a = table();
    a.append(row(Some(1))).unwrap();
    let one_row = budget.bytes_used();
    // A transaction's copy, a state to go back to, a renamed table.
    let (copy, before, renamed) = (a.fork(), a.rows(), table());
    renamed.fill(before.batches().to_vec(), &before).unwrap();
    copy.replace(before.batches().to_vec(), before.generation()).unwrap();
    assert_eq!(budget.bytes_used(), one_row);
    drop((copy, renamed));
    let reader = Arc::clone(&a).pin(Travel::Latest).await.unwrap();
    a.replace(row(Some(2)), before.generation()).unwrap();
    assert_eq!(budget.bytes_used(), 2 * one_row);
    a.restore(before);
    assert_eq!(budget.bytes_used(), one_row);
    drop(a);
    assert_eq!(budget.bytes_used(), one_row);
    drop(reader);
    assert_eq!(budget.bytes_used(), 0);
}

#[test]
fn rows_behind_others_are_found() {
    let table = table(1 << 30);
    for id in 0..10 {
        table.append(row(Some(id))).unwrap();
    }
    for n_before in 0..=10 {
        let n_rows: usize = table.rows().behind(n_before).iter().map(RecordBatch::num_rows).sum();
        assert_eq!(n_rows, 10 - n_before);
    }
}
