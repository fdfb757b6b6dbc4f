//! Gathers what there is to know of columns from batches of rows.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::kernels::length::length;
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Int32Type, Int64Type, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Utc};
use datafusion::common::hash_utils::{HLL_RANDOM_STATE, create_hashes};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::Accumulator;

use super::distinct::Distinct;
use super::{ColumnFacts, TableStatistics};

/// Values kept as common ones.
const COMMON_MAX: usize = 100;
/// Bounds kept.
const BOUNDS_MAX: usize = 101;
/// A value is common if it is this much more frequent than values are on average.
const COMMON_FACTOR: f64 = 1.25;
/// Characters of a value that are kept.
const VALUE_CHARS_MAX: usize = 100;

/// Gathers facts of the columns of one stream of batches; several of them are merged.
#[derive(Debug)]
pub struct Collector {
    schema: SchemaRef,
    /// One row in so many goes into the sample.
    stride: u64,
    n_rows: u64,
    columns: Vec<ColumnCollector>,
}

#[derive(Debug)]
struct ColumnCollector {
    n_nulls: u64,
    n_bytes: u64,
    distinct: Distinct,
    min: Option<MinAccumulator>,
    max: Option<MaxAccumulator>,
    sample: Vec<ArrayRef>,
}

impl Collector {
    /// Nothing seen yet; about `n_sample` rows of the expected ones are kept as a sample.
    #[must_use]
    pub fn new(schema: &SchemaRef, n_rows_expected: u64, n_sample: u64) -> Self {
        let column = |data_type: &DataType| ColumnCollector {
            n_nulls: 0,
            n_bytes: 0,
            distinct: Distinct::default(),
            min: MinAccumulator::try_new(data_type).ok().filter(|_| !data_type.is_nested()),
            max: MaxAccumulator::try_new(data_type).ok().filter(|_| !data_type.is_nested()),
            sample: vec![],
        };
        Self {
            stride: n_rows_expected.div_ceil(n_sample.max(1)).max(1),
            n_rows: 0,
            columns: schema.fields().iter().map(|field| column(field.data_type())).collect(),
            schema: SchemaRef::clone(schema),
        }
    }

    /// Adds rows.
    ///
    /// # Errors
    /// What the kernels report for a type.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let n_rows = batch.num_rows();
        let count = u64::try_from(n_rows).unwrap_or_default();
        let rows = sampled(self.n_rows, count, self.stride);
        let mut hashes = vec![0_u64; n_rows];
        for (column, values) in self.columns.iter_mut().zip(batch.columns()) {
            column.n_nulls += u64::try_from(values.logical_null_count()).unwrap_or_default();
            column.n_bytes += n_bytes(values);
            hashes.fill(0);
            create_hashes([values], &HLL_RANDOM_STATE, &mut hashes)?;
            let nulls = values.logical_nulls();
            for (row, hash) in hashes.iter().enumerate() {
                if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                    column.distinct.add(*hash);
                }
            }
            if let Some(min) = &mut column.min {
                min.update_batch(std::slice::from_ref(values))?;
            }
            if let Some(max) = &mut column.max {
                max.update_batch(std::slice::from_ref(values))?;
            }
            if !rows.is_empty() {
                column.sample.push(take(values, &rows, None)?);
            }
        }
        self.n_rows += count;
        Ok(())
    }

    /// Adds what another one has seen.
    ///
    /// # Errors
    /// Collectors of different columns.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        self.n_rows += other.n_rows;
        for (own, mut other) in self.columns.iter_mut().zip(other.columns) {
            own.n_nulls += other.n_nulls;
            own.n_bytes += other.n_bytes;
            own.distinct.merge(&other.distinct);
            if let (Some(own), Some(other)) = (&mut own.min, &mut other.min) {
                own.merge_batch(&arrays(other.state()?)?)?;
            }
            if let (Some(own), Some(other)) = (&mut own.max, &mut other.max) {
                own.merge_batch(&arrays(other.state()?)?)?;
            }
            own.sample.append(&mut other.sample);
        }
        Ok(())
    }

    /// What was seen.
    ///
    /// # Errors
    /// What the kernels report for a type.
    pub fn finish(self, version: Option<u64>, at: DateTime<Utc>) -> Result<TableStatistics> {
        let mut columns = BTreeMap::new();
        for (column, field) in self.columns.into_iter().zip(self.schema.fields()) {
            columns.insert(field.name().clone(), column.finish(self.n_rows, field.data_type())?);
        }
        Ok(TableStatistics {
            version,
            analyzed_at_ms: at.timestamp_millis(),
            n_rows: self.n_rows,
            columns,
        })
    }
}

impl ColumnCollector {
    #[expect(clippy::cast_precision_loss, reason = "estimates")]
    fn finish(mut self, n_rows: u64, data_type: &DataType) -> Result<ColumnFacts> {
        let n_values = n_rows.saturating_sub(self.n_nulls);
        let text = |value: Option<Result<ScalarValue>>| -> Result<Option<String>> {
            match value.transpose()? {
                Some(value) if !value.is_null() => {
                    Ok(texts(&value.to_array()?)?.into_iter().next().flatten())
                }
                _ => Ok(None),
            }
        };
        let mut facts = ColumnFacts {
            null_fraction: if n_rows == 0 { 0.0 } else { self.n_nulls as f64 / n_rows as f64 },
            average_width_bytes: u32::try_from(self.n_bytes / n_values.max(1)).unwrap_or(u32::MAX),
            n_distinct: self.distinct.estimate().min(n_values as f64),
            min: text(self.min.as_mut().map(Accumulator::evaluate))?,
            max: text(self.max.as_mut().map(Accumulator::evaluate))?,
            ..ColumnFacts::default()
        };
        if data_type.is_nested() || self.sample.is_empty() {
            return Ok(facts);
        }
        let pieces: Vec<&dyn Array> = self.sample.iter().map(AsRef::as_ref).collect();
        let sample = concat(&pieces)?;
        facts.common = common(&sample, facts.n_distinct)?;
        let is_common = |text: &str| facts.common.iter().any(|(common, _)| common == text);
        facts.bounds = bounds(&sample, is_common)?;
        Ok(facts)
    }
}

/// The rows of a batch that go into a sample of one in `stride`; the batch begins with row `first`
/// of its stream.
///
/// The choice is a hash of the row's number: data often has a period, and every tenth row of it
/// would be the same row again and again.
#[must_use]
pub fn sampled(first: u64, n_rows: u64, stride: u64) -> UInt64Array {
    let is_sampled = |row: &u64| {
        // The last steps of SplitMix64.
        let mut bits = first.wrapping_add(*row).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)).is_multiple_of(stride.max(1))
    };
    (0..n_rows).filter(is_sampled).map(Some).collect()
}

fn arrays(state: Vec<ScalarValue>) -> Result<Vec<ArrayRef>> {
    state.iter().map(ScalarValue::to_array).collect()
}

/// Bytes of the values of a column.
fn n_bytes(values: &ArrayRef) -> u64 {
    let width = match values.data_type() {
        DataType::Boolean => Some(1),
        other => other.primitive_width(),
    };
    if let Some(width) = width {
        let n_values = values.len().saturating_sub(values.null_count());
        return u64::try_from(n_values.saturating_mul(width)).unwrap_or(u64::MAX);
    }
    let Ok(lengths) = length(values) else {
        return u64::try_from(values.get_array_memory_size()).unwrap_or(u64::MAX);
    };
    let sum = match lengths.data_type() {
        DataType::Int32 => {
            arrow::compute::sum(lengths.as_primitive::<Int32Type>()).map_or(0, i64::from)
        }
        _ => arrow::compute::sum(lengths.as_primitive::<Int64Type>()).unwrap_or(0),
    };
    u64::try_from(sum).unwrap_or_default()
}

/// The values as text, cut where they are long; `None` for NULL.
fn texts(values: &ArrayRef) -> Result<Vec<Option<String>>> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(values.as_ref(), &options)?;
    let text = |row: usize| {
        values.is_valid(row).then(|| {
            formatter.value(row).to_string().chars().take(VALUE_CHARS_MAX).collect::<String>()
        })
    };
    Ok((0..values.len()).map(text).collect())
}

/// Values that a sample has more often than others, the most frequent first.
#[expect(clippy::cast_precision_loss, reason = "estimates")]
fn common(sample: &ArrayRef, n_distinct: f64) -> Result<Vec<(String, f64)>> {
    let converter = RowConverter::new(vec![SortField::new(sample.data_type().clone())])?;
    let rows = converter.convert_columns(&[ArrayRef::clone(sample)])?;
    let mut counts: HashMap<OwnedRow, (u64, usize)> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        if sample.is_valid(at) {
            counts.entry(row.owned()).or_insert((0, at)).0 += 1;
        }
    }
    let n_sample = sample.len().max(1) as f64;
    let is_all = counts.len() as f64 + 0.5 >= n_distinct && counts.len() <= COMMON_MAX;
    let average = n_sample / n_distinct.max(1.0);
    let mut found: Vec<(u64, usize)> = counts
        .into_values()
        .filter(|(n, _)| *n > 1 && (is_all || *n as f64 > average * COMMON_FACTOR))
        .collect();
    found.sort_by_key(|(n, at)| (std::cmp::Reverse(*n), *at));
    found.truncate(COMMON_MAX);
    let rows: UInt64Array = found.iter().map(|(_, at)| u64::try_from(*at).ok()).collect();
    let values = texts(&take(sample, &rows, None)?)?;
    let frequencies = found.iter().map(|(n, _)| *n as f64 / n_sample);
    Ok(values.into_iter().zip(frequencies).filter_map(|(v, f)| Some((v?, f))).collect())
}

/// Values that divide those of a sample that are not common into parts of equal size.
fn bounds(sample: &ArrayRef, is_common: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let order = arrow::compute::sort_to_indices(sample, None, None)?;
    let sorted = texts(&take(sample, &order, None)?)?;
    let mut others: Vec<String> =
        sorted.into_iter().flatten().filter(|text| !is_common(text)).collect();
    others.dedup();
    if others.len() < 2 {
        return Ok(vec![]);
    }
    let n_bounds = others.len().min(BOUNDS_MAX);
    let last = others.len() - 1;
    let at = |bound: usize| bound * last / (n_bounds - 1);
    Ok((0..n_bounds).filter_map(|bound| others.get(at(bound)).cloned()).collect())
}
