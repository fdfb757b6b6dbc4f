//! Rows by their place: which file, which row of it.

use std::collections::BTreeMap;

use roaring::RoaringTreemap;

/// The number of a file in one snapshot; another snapshot numbers its files otherwise.
pub type FileNumber = usize;

/// Bits of a row identity that number the row; those above number the file.
const ROW_BITS: u32 = 40;

/// A set of rows, by file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowsByFile {
    files: BTreeMap<FileNumber, RoaringTreemap>,
}

impl RowsByFile {
    /// Puts in the row of an identity that [`super::DeltaSnapshot::with_row_ids`] has given; false if it
    /// was there.
    pub fn insert(&mut self, row_id: i64) -> bool {
        let (file, row) = split(row_id);
        self.files.entry(file).or_default().insert(row)
    }

    /// Puts in a row of a file; false if it was there.
    pub fn insert_row(&mut self, file: FileNumber, row: u64) -> bool {
        self.files.entry(file).or_default().insert(row)
    }

    /// Whether the row of an identity is among them.
    #[must_use]
    pub fn contains(&self, row_id: i64) -> bool {
        let (file, row) = split(row_id);
        self.files.get(&file).is_some_and(|rows| rows.contains(row))
    }

    /// The files and the rows of each.
    pub fn files(&self) -> impl Iterator<Item = (FileNumber, &RoaringTreemap)> {
        self.files.iter().map(|(file, rows)| (*file, rows))
    }

    /// Takes a file out and returns its rows.
    pub fn remove_file(&mut self, file: FileNumber) -> Option<RoaringTreemap> {
        self.files.remove(&file)
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.files.values().map(RoaringTreemap::len).sum()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.values().all(RoaringTreemap::is_empty)
    }
}

impl Extend<i64> for RowsByFile {
    fn extend<T: IntoIterator<Item = i64>>(&mut self, row_ids: T) {
        for row_id in row_ids {
            self.insert(row_id);
        }
    }
}

/// `file << 40 | row`; `None` beyond 2^23 files.
pub(super) fn first_row_id(file: FileNumber) -> Option<i64> {
    let file = i64::try_from(file).ok()?;
    (file < 1 << (63 - ROW_BITS)).then_some(file << ROW_BITS)
}

fn split(row_id: i64) -> (FileNumber, u64) {
    let id = row_id.unsigned_abs();
    (usize::try_from(id >> ROW_BITS).unwrap_or(usize::MAX), id & ((1 << ROW_BITS) - 1))
}
