//! Which segments of a file hold a value.

use arrow::array::{Array, ArrayRef};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::{Result, ScalarValue};
use parquet::arrow::arrow_reader::RowSelection;

use super::SEGMENT_ROWS;
use crate::CatalogError;

/// One for all indexes: the hash of a value is computed once for all files.
const HASHES: RandomState = RandomState::with_seed(0);

/// The segments in which each value of a column is, by the value's hash.
///
/// A value that is there is always found; one that is not may be, where two hashes are equal.
#[derive(Debug)]
pub(super) struct KeyIndex {
    /// Sorted; `segments[i]` belongs to `hashes[i]`.
    hashes: Vec<u64>,
    segments: Vec<u32>,
}

/// The hash by which a value is found.
pub(super) fn hash_of(value: &ScalarValue) -> Result<u64> {
    let mut hashes = [0_u64];
    create_hashes([&value.to_array()?], &HASHES, &mut hashes)?;
    Ok(hashes[0])
}

impl KeyIndex {
    /// The segments that may hold a value with this hash.
    pub(super) fn segments_of(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let first = self.hashes.partition_point(|other| *other < hash);
        let rest = self.hashes.iter().zip(&self.segments).skip(first);
        rest.take_while(move |(other, _)| **other == hash).map(|(_, segment)| *segment)
    }

    /// Bytes that it takes.
    pub(super) fn size_bytes(&self) -> usize {
        self.hashes.capacity() * size_of::<u64>() + self.segments.capacity() * size_of::<u32>()
    }
}

/// Indexes the values of a file's rows that are not deleted, in the order of the file.
pub(super) struct IndexBuilder<'a> {
    entries: Vec<(u64, u32)>,
    /// The segments of the rows to come.
    places: Box<dyn Iterator<Item = u32> + Send + 'a>,
    hashes: Vec<u64>,
}

impl<'a> IndexBuilder<'a> {
    /// `selection` are the rows among the `n_stored` ones; without it, all are there.
    pub(super) fn new(selection: Option<&'a RowSelection>, n_stored: u64) -> Self {
        Self { entries: vec![], places: places(selection, n_stored), hashes: vec![] }
    }

    /// Adds the values of the next rows.
    pub(super) fn add(&mut self, values: &ArrayRef) -> Result<()> {
        self.hashes.clear();
        self.hashes.resize(values.len(), 0);
        create_hashes([values], &HASHES, &mut self.hashes)?;
        for (row, hash) in self.hashes.iter().enumerate() {
            let segment = self.places.next().ok_or_else(|| CatalogError::Internal {
                what: "a file has more rows than its log entry says".to_owned(),
            })?;
            if values.is_valid(row) && self.entries.last() != Some(&(*hash, segment)) {
                self.entries.push((*hash, segment));
            }
        }
        Ok(())
    }

    /// The index, once all rows were added.
    pub(super) fn build(mut self) -> Result<KeyIndex> {
        if self.places.next().is_some() {
            let what = "a file has fewer rows than its log entry says".to_owned();
            return Err(CatalogError::Internal { what }.into());
        }
        self.entries.sort_unstable();
        self.entries.dedup();
        let (hashes, segments) = self.entries.into_iter().unzip();
        Ok(KeyIndex { hashes, segments })
    }
}

/// The segment of each row that is not deleted.
fn places(
    selection: Option<&RowSelection>,
    n_stored: u64,
) -> Box<dyn Iterator<Item = u32> + Send + '_> {
    let segment = |row: u64| u32::try_from(row / SEGMENT_ROWS).unwrap_or(u32::MAX);
    let Some(selection) = selection else { return Box::new((0..n_stored).map(segment)) };
    let mut row = 0_u64;
    let runs = selection.iter().filter_map(move |run| {
        let n = u64::try_from(run.row_count).unwrap_or(u64::MAX);
        let rows = row..row.saturating_add(n);
        row = rows.end;
        (!run.skip).then_some(rows)
    });
    Box::new(runs.flatten().map(segment))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use parquet::arrow::arrow_reader::RowSelector;

    use super::*;

    fn build(
        values: &[ArrayRef],
        selection: Option<&RowSelection>,
        n_stored: u64,
    ) -> Result<KeyIndex> {
        let mut index = IndexBuilder::new(selection, n_stored);
        for values in values {
            index.add(values)?;
        }
        index.build()
    }

    fn segments(index: &KeyIndex, value: i64) -> Vec<u32> {
        index.segments_of(hash_of(&ScalarValue::Int64(Some(value))).unwrap()).collect()
    }

    #[test]
    fn finds_all_segments_of_a_value() {
        let values: ArrayRef = Arc::new(Int64Array::from_iter((0..10_000).map(|i| match i {
            5 | 6 | 9_000 => Some(-1),
            7 => None,
            i => Some(i),
        })));
        let parts = [values.slice(0, 100), values.slice(100, 9_900)];
        let index = build(&parts, None, 10_000).unwrap();
        assert_eq!(segments(&index, -1), [0, 2]);
        assert_eq!(segments(&index, 5_000), [1]);
        assert!(segments(&index, 9_000).is_empty());
    }

    #[test]
    fn deleted_rows_move_the_places_of_others() {
        // Rows 0 to 4095 are deleted, the values of the others follow each other.
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..8));
        let selection: RowSelection = [(4_096, true), (4, false), (4_092, true), (4, false)]
            .map(|(row_count, skip)| RowSelector { row_count, skip })
            .to_vec()
            .into();
        let index = build(&[Arc::clone(&values)], Some(&selection), 8_196).unwrap();
        assert_eq!(segments(&index, 3), [1]);
        assert_eq!(segments(&index, 4), [2]);
        assert!(build(&[values.slice(0, 7)], Some(&selection), 8_196).is_err());
        assert!(build(&[values], None, 7).is_err());
    }
}
