use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};

use super::*;

fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let columns =
        columns.into_iter().enumerate().map(|(index, column)| (index.to_string(), column));
    RecordBatch::try_from_iter(columns).unwrap()
}

fn int64s(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn casts_to_the_types_of_the_statement() {
    let types = [DataType::Int32, DataType::Int16, DataType::Null];
    let batch = batch(vec![int64s(&[1, 2]), texts(&["3", "4"]), texts(&["a", "b"])]);
    let rows = rows(&[batch], &types).unwrap();
    assert_eq!(rows.len(), 2);
    let text = ScalarValue::Utf8(Some("b".to_owned()));
    assert_eq!(rows[1], [ScalarValue::Int32(Some(2)), ScalarValue::Int16(Some(4)), text]);
}

#[test]
fn refuses_what_does_not_fit() {
    for (column, data_type) in [
        (int64s(&[1 << 40]), DataType::Int32),
        (texts(&["x"]), DataType::Int32),
        (texts(&["x"]), DataType::Date32),
    ] {
        let status = rows(&[batch(vec![column])], &[data_type]).unwrap_err();
        assert!(status.message().contains("22P02"), "{status}");
    }
    let status = rows(&[batch(vec![int64s(&[1])])], &[]).unwrap_err();
    assert!(status.message().contains("08P01"), "{status}");
}

#[test]
fn learns_types_from_values() {
    let given = [batch(vec![int64s(&[1]), texts(&["a"])])];
    let text = DataType::Utf8View;
    assert_eq!(
        better_types(&given, &[text.clone(), text.clone()]),
        Some(vec![Some(DataType::Int64), Some(text.clone())])
    );
    assert_eq!(better_types(&given, &[DataType::Int32, text.clone()]), None);
    assert_eq!(better_types(&given, &[text]), None);
    assert_eq!(better_types(&[], &[]), None);
}
