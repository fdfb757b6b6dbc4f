//! How the columns of a data file are stored.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::file::contains_nan;

/// Rows of a Parquet row group: what one task decodes at a time and what min/max can skip.
pub(in crate::delta) const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Bytes of text bounds that the file keeps.
const TEXT_BOUND_BYTES: usize = 64;
/// Rows of a page, so that a lookup by key decompresses little beside the row that it is for.
const PAGE_ROWS: usize = 4096;
/// Rows written before the size of a page is looked at again.
const WRITE_BATCH_ROWS: usize = 1024;
/// Rows looked at to see whether a dictionary pays.
const SAMPLE_ROWS: usize = 1024;
/// A dictionary is left out where more than this share of the sample, in percent, is distinct.
const DISTINCT_PERCENT_MAX: usize = 70;
/// Digits of the largest decimal that Parquet stores as an integer of eight bytes.
const INT64_DIGITS: u8 = 18;

/// Properties for a file of rows like these.
///
/// Keys and free text have no dictionary: it would fill up, be given up, and every reader of any page
/// would still have to decompress it. What has none is packed by the differences of its values or
/// lengths, which is smaller than plain values under Snappy, and faster to write and to read:
/// docs/benchmarks.md, "Encodings".
pub(in crate::delta) fn writer_properties(
    rows: &RecordBatch,
    row_group_rows: usize,
) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(row_group_rows.max(1)))
        .set_statistics_truncate_length(Some(TEXT_BOUND_BYTES))
        .set_created_by(concat!("tarn version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(WRITE_BATCH_ROWS);
    for (field, values) in rows.schema().fields().iter().zip(rows.columns()) {
        let column = ColumnPath::new(vec![field.name().clone()]);
        if is_mostly_distinct(values) {
            properties = properties.set_column_dictionary_enabled(column.clone(), false);
        }
        // Bounds leave NaN out, and other readers take them for those of all values.
        if contains_nan(values) {
            let none = EnabledStatistics::None;
            properties = properties.set_column_statistics_enabled(column.clone(), none);
        }
        // Where there is a dictionary, this is for what it has no room for.
        if let Some(encoding) = without_dictionary(field.data_type()) {
            properties = properties.set_column_encoding(column, encoding);
        }
    }
    properties.build()
}

/// How values are stored that are not in a dictionary; `None` for plain.
fn without_dictionary(kind: &DataType) -> Option<Encoding> {
    match kind {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Date32
        | DataType::Timestamp(TimeUnit::Microsecond, _) => Some(Encoding::DELTA_BINARY_PACKED),
        DataType::Decimal128(precision, _) if *precision <= INT64_DIGITS => {
            Some(Encoding::DELTA_BINARY_PACKED)
        }
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView => Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        _ => None,
    }
}

/// Whether the values of a sample, taken at even distances, hardly repeat.
fn is_mostly_distinct(values: &ArrayRef) -> bool {
    let n_rows = values.len();
    if n_rows < SAMPLE_ROWS {
        return false;
    }
    let rows =
        (0..SAMPLE_ROWS).map(|i| i * n_rows / SAMPLE_ROWS).filter(|row| values.is_valid(*row));
    let (n_valid, n_distinct) = match values.data_type() {
        DataType::Utf8 => count(rows.map(|row| values.as_string::<i32>().value(row))),
        DataType::LargeUtf8 => count(rows.map(|row| values.as_string::<i64>().value(row))),
        DataType::Utf8View => count(rows.map(|row| values.as_string_view().value(row))),
        DataType::Int32 => count_numbers::<Int32Type>(values, rows),
        DataType::Int64 => count_numbers::<Int64Type>(values, rows),
        DataType::Decimal128(..) => count_numbers::<Decimal128Type>(values, rows),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            count_numbers::<TimestampMicrosecondType>(values, rows)
        }
        _ => return false,
    };
    n_distinct * 100 > n_valid * DISTINCT_PERCENT_MAX
}

fn count_numbers<T: ArrowPrimitiveType<Native: std::hash::Hash + Eq>>(
    values: &ArrayRef,
    rows: impl Iterator<Item = usize>,
) -> (usize, usize) {
    let values = values.as_primitive::<T>();
    count(rows.map(|row| values.value(row)))
}

fn count<T: std::hash::Hash + Eq>(values: impl Iterator<Item = T>) -> (usize, usize) {
    let mut n_valid = 0;
    let distinct: HashSet<T> = values.inspect(|_| n_valid += 1).collect();
    (n_valid, distinct.len())
}

#[cfg(test)]
mod tests;
