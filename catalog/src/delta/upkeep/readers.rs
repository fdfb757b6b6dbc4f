//! The files that readers of this server still need.
//!
//! Whoever reads a version holds its file index, for as long as it may open one of the files: the
//! plan of a running query, the pins of a transaction or of a session's snapshot. Here is a list of
//! the indexes that were given out; those that are still held are asked for their files.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use object_store::path::Path;
use parking_lot::Mutex;

use crate::Result;
use crate::delta::index::{FileIndex, object_path};

/// The indexes that were given out and may be held.
#[derive(Debug, Default)]
pub(in crate::delta) struct Readers {
    given: Mutex<Vec<Weak<FileIndex>>>,
}

impl Readers {
    /// Notes that an index is given to a reader.
    pub(in crate::delta) fn note(&self, index: &Arc<FileIndex>) {
        let mut given = self.given.lock();
        let is_same = |known: &Weak<FileIndex>| std::ptr::eq(known.as_ptr(), Arc::as_ptr(index));
        if given.iter().any(is_same) {
            return;
        }
        given.retain(|known| known.strong_count() > 0);
        given.push(Arc::downgrade(index));
    }

    /// The indexes that are held now.
    pub(in crate::delta) fn held(&self) -> Vec<Arc<FileIndex>> {
        self.given.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

impl FileIndex {
    /// Files of which nothing but their paths is known: those of a reader of no single version.
    pub(in crate::delta) fn of_paths(paths: Vec<Path>) -> Self {
        Self {
            paths,
            log_paths: arrow::array::StringArray::new_null(0),
            size_bytes: vec![],
            modified_ms: vec![],
            stored_rows: vec![],
            deletion_vectors: vec![],
            is_tight: vec![],
            columns: vec![],
            partitions: vec![],
        }
    }
}

/// Adds the files of an index, those of its deletion vectors included.
pub(in crate::delta) fn add_files(
    table: &str,
    url: &url::Url,
    index: &FileIndex,
    files: &mut HashSet<Path>,
) -> Result<()> {
    files.extend(index.paths.iter().cloned());
    for vector in index.deletion_vectors.iter().flatten() {
        if let Some(file) = vector.file() {
            files.insert(object_path(table, url, &file)?);
        }
    }
    Ok(())
}
