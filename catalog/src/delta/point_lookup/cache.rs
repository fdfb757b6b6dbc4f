//! What lookups keep in memory.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use moka::sync::Cache;

use super::index::KeyIndex;
use super::{FileRows, Missing, Part};

/// Things of which it is remembered that they were missing.
const REMEMBERED_MAX: usize = 1 << 16;
/// An entry takes this much beside its values.
const ENTRY_BYTES: usize = 256;

/// Indexes of columns and columns of segments, the least used dropped above a limit in bytes.
///
/// A clone is another handle to the same cache.
#[derive(Clone)]
pub struct LookupCache {
    entries: Cache<Key, Kept>,
    bytes_max: u64,
    /// How often something was missing, by its hash; forgotten after a while.
    missed: Arc<[AtomicU8]>,
    n_missed: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Index(Arc<FileRows>, usize),
    Column(Arc<FileRows>, u32, usize),
}

#[derive(Debug, Clone)]
enum Kept {
    Index(Arc<KeyIndex>),
    Column(ArrayRef),
}

impl fmt::Debug for LookupCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookupCache").field("n_entries", &self.entries.entry_count()).finish()
    }
}

impl LookupCache {
    /// Makes an empty cache; with 0 bytes it keeps nothing.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        let weight = |_: &Key, kept: &Kept| {
            let bytes = match kept {
                Kept::Index(index) => index.size_bytes(),
                Kept::Column(values) => values.get_array_memory_size(),
            };
            u32::try_from(bytes + ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        Self {
            entries: Cache::builder().max_capacity(bytes_max).weigher(weight).build(),
            bytes_max,
            missed: (0..REMEMBERED_MAX).map(|_| AtomicU8::new(0)).collect(),
            n_missed: Arc::default(),
        }
    }

    /// Whether it keeps anything at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.bytes_max > 0
    }

    /// Whether something missing is worth loading: it was asked for before, not long ago.
    ///
    /// What is asked for once is dearer to keep than to scan.
    #[must_use]
    pub fn is_wanted(&self, missing: &Missing) -> bool {
        let key = match &missing.part {
            Part::Index(column) => Key::Index(Arc::clone(&missing.rows), *column),
            Part::Segment(segment, columns) => Key::Column(
                Arc::clone(&missing.rows),
                *segment,
                columns.first().copied().unwrap_or_default(),
            ),
        };
        // An index that would push out most of the rest is not made.
        let index_bytes = missing.rows.n_rows.saturating_mul(12);
        if missing.is_index() && index_bytes > self.bytes_max / 4 {
            return false;
        }
        if self.n_missed.fetch_add(1, Ordering::Relaxed) % REMEMBERED_MAX == REMEMBERED_MAX - 1 {
            for n in self.missed.iter() {
                n.store(0, Ordering::Relaxed);
            }
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&key);
        let slot = usize::try_from(hash % REMEMBERED_MAX as u64).unwrap_or_default();
        let n_before = self.missed.get(slot).map(|n| n.fetch_add(1, Ordering::Relaxed));
        n_before.is_some_and(|n| n > 0)
    }

    /// Entries and the bytes that they take.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), self.entries.weighted_size())
    }

    pub(super) fn index(&self, rows: &Arc<FileRows>, column: usize) -> Option<Arc<KeyIndex>> {
        match self.entries.get(&Key::Index(Arc::clone(rows), column))? {
            Kept::Index(index) => Some(index),
            Kept::Column(_) => None,
        }
    }

    pub(super) fn column(
        &self,
        rows: &Arc<FileRows>,
        segment: u32,
        column: usize,
    ) -> Option<ArrayRef> {
        match self.entries.get(&Key::Column(Arc::clone(rows), segment, column))? {
            Kept::Column(values) => Some(values),
            Kept::Index(_) => None,
        }
    }

    pub(super) fn keep_index(&self, rows: &Arc<FileRows>, column: usize, index: KeyIndex) {
        self.entries.insert(Key::Index(Arc::clone(rows), column), Kept::Index(Arc::new(index)));
    }

    pub(super) fn keep_column(
        &self,
        rows: &Arc<FileRows>,
        segment: u32,
        column: usize,
        values: ArrayRef,
    ) {
        let key = Key::Column(Arc::clone(rows), segment, column);
        self.entries.insert(key, Kept::Column(compact(values)));
    }
}

/// Views may hold whole pages of which they show little.
fn compact(values: ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Utf8View => Arc::new(values.as_string_view().gc()),
        DataType::BinaryView => Arc::new(values.as_binary_view().gc()),
        _ => values,
    }
}
