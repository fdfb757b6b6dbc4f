//! From the log's statistics to DataFusion's, without claiming more than the log knows.
//!
//! DataFusion answers `COUNT`, `MIN` and `MAX` from exact statistics, so a value is exact only if it
//! is that of the rows a scan returns: no deletion vector, bounds declared tight, and a type whose
//! bounds are not truncated or rounded (text is cut, timestamps and long decimals are rounded, floats
//! ignore NaN).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::Accumulator;

use super::bounds::EXACT_DIGITS_MAX;
use super::index::{ColumnBounds, FileIndex};
use super::layout::TableLayout;
use super::sql_types;

/// Guessed bytes of a value whose type has no fixed width.
const VARIABLE_WIDTH_BYTES: usize = 24;

/// Statistics of a set of files in the scan's column order.
pub(super) fn of_files(index: &FileIndex, layout: &TableLayout, files: &[usize]) -> Statistics {
    let live: Option<u64> = files.iter().map(|i| index.live_rows(*i)).sum();
    let n_rows = match live.and_then(|rows| usize::try_from(rows).ok()) {
        Some(rows) => Precision::Exact(rows),
        None => Precision::Absent,
    };
    let is_all = files.len() == index.n_files();
    let chosen: UInt64Array = files.iter().map(|i| u64::try_from(*i).ok()).collect();
    let pick = |values: &ArrayRef| -> Option<ArrayRef> {
        if is_all { Some(Arc::clone(values)) } else { take(values, &chosen, None).ok() }
    };
    let is_tight = files.iter().all(|i| index.is_tight.get(*i).copied().unwrap_or_default());

    let stored = files.iter().map(|i| index.stored_rows.get(*i).copied().flatten());
    let rows: Vec<Option<i64>> = stored.map(|n| n.and_then(|n| i64::try_from(n).ok())).collect();
    let file_fields = layout.scan_schema.file_schema().fields();
    let mut columns: Vec<ColumnStatistics> = index
        .columns
        .iter()
        .zip(file_fields)
        .map(|(bounds, field)| file_column(bounds, field, &n_rows, &rows, is_tight, &pick))
        .collect();
    for (values, field) in index.partitions.iter().zip(layout.partition_fields()) {
        columns.push(partition_column(index, values, field, files, &n_rows));
    }
    let total = columns.iter().fold(Precision::Exact(0), |sum, c| sum.add(&c.byte_size));
    Statistics { num_rows: n_rows, total_byte_size: total.to_inexact(), column_statistics: columns }
}

/// Statistics of one file in the scan's column order: the same as [`of_files`], without its arrays.
pub(super) fn of_file(index: &FileIndex, layout: &TableLayout, file: usize) -> Statistics {
    let live = index.live_rows(file).and_then(|rows| usize::try_from(rows).ok());
    let n_rows = live.map_or(Precision::Absent, Precision::Exact);
    let is_tight = index.is_tight.get(file).copied().unwrap_or_default();
    let value = |values: &ArrayRef| {
        let value = ScalarValue::try_from_array(values, file).ok();
        value.filter(|value| !value.is_null())
    };
    let file_fields = layout.scan_schema.file_schema().fields();
    let stored = index.columns.iter().zip(file_fields).map(|(bounds, field)| {
        let precise = |value: Option<ScalarValue>| match value {
            Some(value) if is_tight && has_exact_bounds(field.data_type()) => {
                Precision::Exact(value)
            }
            Some(value) => Precision::Inexact(value),
            None => Precision::Absent,
        };
        let nulls = bounds.null_count.as_ref().filter(|nulls| nulls.is_valid(file));
        let nulls = nulls.and_then(|nulls| usize::try_from(nulls.value(file)).ok());
        let (min, max) = file_bounds(bounds, file, field.data_type());
        ColumnStatistics {
            null_count: match nulls {
                Some(n) if is_tight => Precision::Exact(n),
                Some(n) => Precision::Inexact(n),
                None => Precision::Absent,
            },
            min_value: precise(min),
            max_value: precise(max),
            byte_size: byte_size(field, &n_rows),
            ..ColumnStatistics::new_unknown()
        }
    });
    let constant = index.partitions.iter().zip(layout.partition_fields()).map(|(values, field)| {
        let value = value(values);
        let nulls = if value.is_none() { live } else { Some(0) };
        let bound = match value {
            Some(value) if live.is_some_and(|rows| rows > 0) => Precision::Exact(value),
            Some(value) => Precision::Inexact(value),
            None => Precision::Absent,
        };
        ColumnStatistics {
            null_count: nulls.map_or(Precision::Absent, Precision::Exact),
            min_value: bound.clone(),
            max_value: bound,
            byte_size: byte_size(field, &n_rows),
            ..ColumnStatistics::new_unknown()
        }
    });
    let columns: Vec<ColumnStatistics> = stored.chain(constant).collect();
    let total = columns.iter().fold(Precision::Exact(0), |sum, c| sum.add(&c.byte_size));
    Statistics { num_rows: n_rows, total_byte_size: total.to_inexact(), column_statistics: columns }
}

/// The bounds of one file's values.
fn file_bounds(
    bounds: &ColumnBounds,
    file: usize,
    data_type: &DataType,
) -> (Option<ScalarValue>, Option<ScalarValue>) {
    let one = |values: &Option<ArrayRef>| {
        let values = values.as_ref().filter(|values| file < values.len())?;
        Some(values.slice(file, 1))
    };
    let bounds = ColumnBounds { min: one(&bounds.min), max: one(&bounds.max), null_count: None };
    let (min, max) = sql_types::value_bounds(&bounds, data_type);
    let value = |values: Option<ArrayRef>| {
        let value = ScalarValue::try_from_array(&values?, 0).ok();
        value.filter(|value| !value.is_null())
    };
    (value(min), value(max))
}

fn file_column(
    bounds: &ColumnBounds,
    field: &Field,
    n_rows: &Precision<usize>,
    rows: &[Option<i64>],
    is_tight: bool,
    pick: &impl Fn(&ArrayRef) -> Option<ArrayRef>,
) -> ColumnStatistics {
    let nulls = bounds.null_count.as_ref().and_then(|nulls| pick(&(Arc::new(nulls.clone()) as _)));
    let null_counts = nulls.as_ref().and_then(|n| n.as_primitive_opt::<Int64Type>());
    let null_count: Option<i64> = null_counts
        .filter(|nulls| nulls.null_count() == 0)
        .map(|nulls| nulls.values().iter().sum());
    let null_count = null_count.and_then(|n| usize::try_from(n).ok());
    let bound = |values: &Option<ArrayRef>, fold: Fold| {
        let values = values.as_ref().and_then(pick)?;
        // A file without a bound may hold anything, unless the log says that it holds only NULLs.
        let is_known = |i: usize| {
            let nulls = null_counts.filter(|n| n.is_valid(i)).map(|n| n.value(i));
            values.is_valid(i) || (nulls.is_some() && nulls == rows.get(i).copied().flatten())
        };
        if values.null_count() > 0 && !(0..values.len()).all(is_known) {
            return None;
        }
        fold(&values).ok().filter(|value| !value.is_null())
    };
    let precise = |value: Option<ScalarValue>| match value {
        Some(value) if is_tight && has_exact_bounds(field.data_type()) => Precision::Exact(value),
        Some(value) => Precision::Inexact(value),
        None => Precision::Absent,
    };
    let (min, max) = sql_types::value_bounds(bounds, field.data_type());
    ColumnStatistics {
        null_count: match null_count {
            Some(n) if is_tight => Precision::Exact(n),
            Some(n) => Precision::Inexact(n),
            None => Precision::Absent,
        },
        min_value: precise(bound(&min, min_value)),
        max_value: precise(bound(&max, max_value)),
        byte_size: byte_size(field, n_rows),
        ..ColumnStatistics::new_unknown()
    }
}

/// The smallest value; NULL if there is none.
pub(super) fn min_value(values: &ArrayRef) -> datafusion::common::Result<ScalarValue> {
    let mut least = MinAccumulator::try_new(values.data_type())?;
    least.update_batch(std::slice::from_ref(values))?;
    least.evaluate()
}

/// The largest value; NULL if there is none.
pub(super) fn max_value(values: &ArrayRef) -> datafusion::common::Result<ScalarValue> {
    let mut greatest = MaxAccumulator::try_new(values.data_type())?;
    greatest.update_batch(std::slice::from_ref(values))?;
    greatest.evaluate()
}

type Fold = fn(&ArrayRef) -> datafusion::common::Result<ScalarValue>;

fn partition_column(
    index: &FileIndex,
    values: &ArrayRef,
    field: &Field,
    files: &[usize],
    n_rows: &Precision<usize>,
) -> ColumnStatistics {
    let chosen: UInt64Array = files.iter().map(|i| u64::try_from(*i).ok()).collect();
    let Ok(chosen_values) = take(values, &chosen, None) else {
        return ColumnStatistics::new_unknown();
    };
    let null_rows: Option<u64> =
        files.iter().filter(|i| values.is_null(**i)).map(|i| index.live_rows(*i)).sum();
    // Exact values need rows in every file: a file whose rows are all deleted has a value too.
    let has_rows = files.iter().all(|i| index.live_rows(*i).is_some_and(|rows| rows > 0));
    let precise = |value: datafusion::common::Result<ScalarValue>| match value {
        Ok(value) if !value.is_null() && has_rows => Precision::Exact(value),
        Ok(value) if !value.is_null() => Precision::Inexact(value),
        _ => Precision::Absent,
    };
    ColumnStatistics {
        null_count: null_rows
            .and_then(|rows| usize::try_from(rows).ok())
            .map_or(Precision::Absent, Precision::Exact),
        min_value: precise(min_value(&chosen_values)),
        max_value: precise(max_value(&chosen_values)),
        byte_size: byte_size(field, n_rows),
        ..ColumnStatistics::new_unknown()
    }
}

/// True if the log's bounds of this type are values that occur.
fn has_exact_bounds(data_type: &DataType) -> bool {
    match data_type {
        DataType::Decimal128(precision, _) => *precision <= EXACT_DIGITS_MAX,
        DataType::Date32 => true,
        other => other.is_integer(),
    }
}

fn byte_size(field: &Field, n_rows: &Precision<usize>) -> Precision<usize> {
    let width = field.data_type().primitive_width().unwrap_or(VARIABLE_WIDTH_BYTES);
    n_rows.multiply(&Precision::Inexact(width))
}
