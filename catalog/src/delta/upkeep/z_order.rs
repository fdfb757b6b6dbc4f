//! An order of rows in which those that are near in several columns are near each other.
//!
//! Each value becomes its rank among the values of a sample; the bits of a row's ranks, interleaved,
//! are its key:
//!
//! ```text
//! ranks  a = 10, b = 01   (two bits each)
//! key    1 0 0 1          a's first bit, b's first, a's second, b's second
//! ```
//! Ranks spread values evenly, whatever their type and however they are distributed.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

/// Columns of one order; with more, each would have less than two bits.
pub const COLUMNS_MAX: usize = 32;
/// Bits of a rank; a sample does not tell more.
const RANK_BITS_MAX: u32 = 12;
/// Bits of a key.
const KEY_BITS: u32 = 64;

/// The ranks of some columns' values.
#[derive(Debug)]
pub struct ZOrder {
    columns: Vec<Ranks>,
    bits: u32,
}

/// Bounds between the ranks of one column.
#[derive(Debug)]
struct Ranks {
    converter: RowConverter,
    bounds: Vec<OwnedRow>,
}

impl ZOrder {
    /// The order of the columns of a sample, all of which count.
    ///
    /// # Errors
    /// Types that cannot be ordered.
    pub fn of_sample(sample: &[RecordBatch], schema: &Schema) -> Result<Self> {
        let n_columns = u32::try_from(schema.fields().len()).unwrap_or(u32::MAX).max(1);
        let bits = (KEY_BITS / n_columns).clamp(1, RANK_BITS_MAX);
        let columns = schema.fields().iter().enumerate().map(|(at, field)| {
            let pieces: Vec<&dyn arrow::array::Array> = sample
                .iter()
                .filter_map(|batch| batch.columns().get(at).map(AsRef::as_ref))
                .collect();
            Ranks::of_values(&pieces, field.data_type(), 1 << bits)
        });
        Ok(Self { columns: columns.collect::<Result<_>>()?, bits })
    }

    /// The keys of rows.
    fn keys(&self, columns: &[ArrayRef], n_rows: usize) -> Result<UInt64Array> {
        let mut ranks = Vec::with_capacity(columns.len());
        for (column, values) in self.columns.iter().zip(columns) {
            ranks.push(column.ranks(values)?);
        }
        let key = |row: usize| {
            let mut key = 0_u64;
            for bit in (0..self.bits).rev() {
                for ranks in &ranks {
                    let rank = ranks.get(row).copied().unwrap_or_default();
                    key = (key << 1) | ((rank >> bit) & 1);
                }
            }
            key
        };
        Ok((0..n_rows).map(key).collect())
    }
}

impl Ranks {
    fn of_values(
        pieces: &[&dyn arrow::array::Array],
        data_type: &DataType,
        n_ranks: usize,
    ) -> Result<Self> {
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())])?;
        let mut bounds: Vec<OwnedRow> = Vec::new();
        if !pieces.is_empty() {
            let rows = converter.convert_columns(&[concat(pieces)?])?;
            let mut sorted: Vec<_> = rows.iter().collect();
            sorted.sort_unstable();
            // Equal values share a rank, so each bound is there once.
            let step = sorted.len().div_ceil(n_ranks).max(1);
            let Some(least) = sorted.first() else { return Ok(Self { converter, bounds }) };
            for row in sorted.iter().step_by(step) {
                if bounds.last().map_or(*least, OwnedRow::row) < *row {
                    bounds.push(row.owned());
                }
            }
            bounds.truncate(n_ranks.saturating_sub(1));
        }
        Ok(Self { converter, bounds })
    }

    /// How many bounds each value is not below.
    fn ranks(&self, values: &ArrayRef) -> Result<Vec<u64>> {
        let rows = self.converter.convert_columns(&[Arc::clone(values)])?;
        let rank = |row| self.bounds.partition_point(|bound| bound.row() <= row);
        Ok(rows.iter().map(|row| u64::try_from(rank(row)).unwrap_or(u64::MAX)).collect())
    }
}

/// The key of a row as an expression over its columns.
#[derive(Debug, Clone)]
pub struct ZOrderKey {
    order: Arc<ZOrder>,
    columns: Vec<Arc<dyn PhysicalExpr>>,
}

impl ZOrderKey {
    /// The expression; the columns are those of the sample, in its order.
    #[must_use]
    pub fn new(order: Arc<ZOrder>, columns: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self { order, columns }
    }
}

impl PartialEq for ZOrderKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.order, &other.order) && self.columns == other.columns
    }
}

impl Eq for ZOrderKey {}

impl Hash for ZOrderKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.columns.hash(state);
    }
}

impl fmt::Display for ZOrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.columns.iter().map(ToString::to_string).collect();
        write!(f, "z_order({})", names.join(", "))
    }
}

impl PhysicalExpr for ZOrderKey {
    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::new(Field::new("z_order", DataType::UInt64, false)))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let n_rows = batch.num_rows();
        let columns = self.columns.iter().map(|column| column.evaluate(batch)?.into_array(n_rows));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(Arc::new(self.order.keys(&columns, n_rows)?)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.columns.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self { order: Arc::clone(&self.order), columns: children }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, StringArray};

    fn batch(a: Vec<Option<i32>>, b: Vec<&str>) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("a", DataType::Int32, true),
            Field::new("b", DataType::Utf8, true),
        ]);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int32Array::from(a)), Arc::new(StringArray::from(b))];
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    #[test]
    fn near_values_have_near_keys() {
        let text: Vec<String> = (0..64).map(|i| format!("{:02}", i % 8)).collect();
        let rows = batch(
            (0..64).map(|i| Some(i / 8)).collect(),
            text.iter().map(String::as_str).collect(),
        );
        let order = ZOrder::of_sample(std::slice::from_ref(&rows), &rows.schema()).unwrap();
        let keys = order.keys(rows.columns(), 64).unwrap();
        let mut sorted: Vec<usize> = (0..64).collect();
        sorted.sort_by_key(|i| keys.value(*i));
        // Each quarter in the key's order is a square of 4 by 4 values.
        for quarter in sorted.chunks(16) {
            let spread = |of: fn(usize) -> usize| {
                let values = quarter.iter().map(|i| of(*i));
                values.clone().max().unwrap() - values.min().unwrap()
            };
            assert_eq!((spread(|i| i / 8), spread(|i| i % 8)), (3, 3));
        }
    }

    #[test]
    fn nulls_and_unseen_values_have_keys() {
        let sample = batch(vec![Some(1), Some(2), None], vec!["x", "y", "z"]);
        let order = ZOrder::of_sample(std::slice::from_ref(&sample), &sample.schema()).unwrap();
        let rows = batch(vec![None, Some(-5), Some(99)], vec!["", "y", "zz"]);
        let keys = order.keys(rows.columns(), 3).unwrap();
        assert!(keys.value(0) < keys.value(2));
        let none = ZOrder::of_sample(&[], &sample.schema()).unwrap();
        assert_eq!(none.keys(rows.columns(), 3).unwrap().values().to_vec(), [0, 0, 0]);
    }
}
