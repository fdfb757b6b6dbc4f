use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Encoding;

use super::writer_properties;

const N_ROWS: i64 = 20_000;

/// Numbers in no order, none twice.
fn scattered() -> impl Iterator<Item = i64> {
    (0..N_ROWS).map(|i| (i * 7919) % N_ROWS - N_ROWS / 2)
}

fn rows() -> RecordBatch {
    let money = Decimal128Array::from_iter_values(scattered().map(i128::from));
    let wide = Decimal128Array::from_iter_values(scattered().map(|i| i128::from(i) << 70));
    let small = scattered().map(|i| i32::try_from(i).expect("small"));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("small", Arc::new(Int32Array::from_iter_values(small))),
        ("key", Arc::new(Int64Array::from_iter_values(scattered().map(|i| i << 40)))),
        ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(scattered()))),
        ("money", Arc::new(money.with_precision_and_scale(18, 2).expect("fits"))),
        ("wide", Arc::new(wide.with_precision_and_scale(38, 2).expect("fits"))),
        (
            "text",
            Arc::new(StringArray::from_iter_values(scattered().map(|i| format!("{i} wörds")))),
        ),
        (
            "flag",
            Arc::new(Int64Array::from_iter((0..N_ROWS).map(|i| (i % 3 > 0).then_some(i % 3)))),
        ),
    ];
    RecordBatch::try_from_iter(columns).expect("rows")
}

#[test]
fn values_that_hardly_repeat_are_packed_by_differences() {
    let rows = rows();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), rows.schema(), Some(writer_properties(&rows, 8192)))
            .expect("a writer");
    writer.write(&rows).expect("written");
    let file = Bytes::from(writer.into_inner().expect("a file"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a file");
    for group in reader.metadata().row_groups() {
        for column in group.columns() {
            let path = column.column_path().string();
            let encodings: Vec<Encoding> = column.encodings().collect();
            let expected = match path.as_str() {
                "small" | "key" | "at" | "money" => Encoding::DELTA_BINARY_PACKED,
                "text" => Encoding::DELTA_LENGTH_BYTE_ARRAY,
                "wide" => Encoding::PLAIN,
                _ => Encoding::RLE_DICTIONARY,
            };
            assert!(encodings.contains(&expected), "{path}: {encodings:?}");
            let has_dictionary = column.dictionary_page_offset().is_some();
            assert_eq!(has_dictionary, path == "flag", "{path}");
        }
    }
    let schema = rows.schema();
    let read: Vec<RecordBatch> =
        reader.build().expect("a reader").collect::<Result<_, _>>().expect("rows");
    assert_eq!(arrow::compute::concat_batches(&schema, &read).expect("one batch"), rows);
}

#[test]
fn columns_that_begin_with_nan_have_no_bounds() {
    let columns: [(&str, ArrayRef); 3] = [
        ("whole", Arc::new(Float64Array::from(vec![1.0, 2.0]))),
        ("hole", Arc::new(Float64Array::from(vec![1.0, f64::NAN]))),
        ("key", Arc::new(Int64Array::from(vec![1, 2]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).expect("rows");
    let mut writer =
        ArrowWriter::try_new(Vec::new(), rows.schema(), Some(writer_properties(&rows, 8192)))
            .expect("a writer");
    writer.write(&rows).expect("written");
    let file = Bytes::from(writer.into_inner().expect("a file"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a file");
    for column in reader.metadata().row_group(0).columns() {
        let path = column.column_path().string();
        assert_eq!(column.statistics().is_some(), path != "hole", "{path}");
    }
}
