use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use chrono::Utc;

use super::{Collector, TableStatistics};

fn rows(from: i64, to: i64) -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("word", DataType::Utf8, true),
    ]);
    let ids: Int64Array = (from..to).map(|i| (i % 10 != 0).then_some(i)).collect();
    let words: StringArray = (from..to)
        .map(|i| Some(if i % 2 == 0 { "even".to_owned() } else { format!("w{}", i % 97) }))
        .collect();
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ids), Arc::new(words)]).unwrap()
}

fn analyze() -> TableStatistics {
    let schema = rows(0, 1).schema();
    let mut all = Collector::new(&schema, 100_000, 3_000);
    let mut other = Collector::new(&schema, 100_000, 3_000);
    for start in (0..50_000).step_by(1_000) {
        all.add(&rows(start, start + 1_000)).unwrap();
        other.add(&rows(start + 50_000, start + 51_000)).unwrap();
    }
    all.merge(other).unwrap();
    all.finish(Some(3), Utc::now()).unwrap()
}

#[test]
fn estimates_are_near_the_truth() {
    let found = analyze();
    assert_eq!(found.n_rows, 100_000);
    let id = &found.columns["id"];
    assert!((id.null_fraction - 0.1).abs() < 1e-9);
    assert!((id.n_distinct / 90_000.0 - 1.0).abs() < 0.03, "{}", id.n_distinct);
    assert_eq!((id.min.as_deref(), id.max.as_deref()), (Some("1"), Some("99999")));
    assert!((id.pg_n_distinct(found.n_rows) - -1.0).abs() < 1e-9);
    assert_eq!(id.average_width_bytes, 8);
    assert!(id.common.is_empty());
    assert!(id.bounds.len() > 50);

    let word = &found.columns["word"];
    assert!((word.n_distinct - 98.0).abs() < 2.0, "{}", word.n_distinct);
    assert_eq!(word.pg_n_distinct(found.n_rows), word.n_distinct.round());
    assert_eq!(word.common.first().map(|(value, _)| value.as_str()), Some("even"));
    assert!(word.common.first().is_some_and(|(_, part)| (part - 0.5).abs() < 0.05));
}

#[test]
fn columns_are_merged_and_kept_as_json() {
    let found = analyze();
    let mut one = found.clone();
    one.columns.remove("id");
    let merged = one.merged(Some(&found));
    assert_eq!(merged.columns.len(), 2);
    let text = serde_json::to_string(&merged).unwrap();
    assert_eq!(serde_json::from_str::<TableStatistics>(&text).unwrap(), merged);
}

#[test]
fn nothing_is_no_fault() {
    let schema = rows(0, 1).schema();
    let found = Collector::new(&schema, 0, 0).finish(None, Utc::now()).unwrap();
    assert_eq!((found.n_rows, found.columns["id"].n_distinct), (0, 0.0));
}
