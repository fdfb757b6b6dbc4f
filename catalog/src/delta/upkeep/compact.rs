//! Which files to write anew, and what that changes.
//!
//! Small files of one partition are put together until they are as large as a file should be; a
//! file with many deleted rows is written anew also where it is alone. With an order, all files of
//! the chosen partitions are.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

use crate::delta::rows::FileNumber;
use crate::delta::scan::{self, ScanParts};
use crate::delta::snapshot::DeltaSnapshot;

/// The table property with the size of a file.
const TARGET: &str = "delta.targetFileSize";
/// A file of this part of the size, in percent, is not small.
const LARGE_PERCENT: u64 = 75;
/// A file with this part of its rows deleted, in percent, is written anew.
const DELETED_PERCENT: u64 = 5;

/// Files of one partition that are read together.
#[derive(Debug, Clone, Default)]
pub struct Bin {
    /// The files.
    pub files: Vec<FileNumber>,
    /// Their bytes.
    pub size_bytes: u64,
}

impl DeltaSnapshot {
    /// The size that files of the table should have, where it says so.
    #[must_use]
    pub fn file_bytes_target(&self) -> Option<u64> {
        let text = self.metadata().configuration().get(TARGET)?.to_lowercase();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match text.get(digits.len()..)?.trim() {
            "" | "b" => 1,
            "k" | "kb" => 1 << 10,
            "m" | "mb" => 1 << 20,
            "g" | "gb" => 1 << 30,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(unit).filter(|bytes| *bytes > 0)
    }

    /// Whether a condition is one on partition columns alone.
    #[must_use]
    pub fn is_partition_filter(&self, filter: &Expr) -> bool {
        scan::is_partition_filter(&self.layout, filter)
    }

    /// The files to write anew, by what should become one file; with `all`, by partition.
    ///
    /// # Errors
    /// Conditions that cannot be evaluated.
    pub fn bins(
        &self,
        state: &dyn Session,
        filters: &[Expr],
        file_bytes: u64,
        all: bool,
    ) -> datafusion::common::Result<Vec<Bin>> {
        let mut partitions: BTreeMap<String, Vec<FileNumber>> = BTreeMap::new();
        for file in scan::select_files(self, state, filters, None)? {
            let values = self.index.partition_values(file)?;
            partitions.entry(key_of(&values)).or_default().push(file);
        }
        let bins = partitions.into_values().flat_map(|files| {
            if all { vec![self.bin_of(files)] } else { self.packed(files, file_bytes) }
        });
        Ok(bins.collect())
    }

    fn bin_of(&self, files: Vec<FileNumber>) -> Bin {
        let size_bytes = files.iter().map(|file| self.size_of(*file)).sum();
        Bin { files, size_bytes }
    }

    fn size_of(&self, file: FileNumber) -> u64 {
        self.index.size_bytes.get(file).copied().unwrap_or_default()
    }

    /// Puts the small files of a partition together, in their order.
    fn packed(&self, files: Vec<FileNumber>, file_bytes: u64) -> Vec<Bin> {
        let mut bins = vec![];
        let mut open = Bin::default();
        let mut close = |bin: Bin| {
            let is_worth_it = match bin.files.as_slice() {
                [] => false,
                [one] => self.has_many_deleted(*one),
                _ => true,
            };
            if is_worth_it {
                bins.push(bin);
            }
        };
        for file in files {
            let size = self.size_of(file);
            let is_large = size.saturating_mul(100) >= file_bytes.saturating_mul(LARGE_PERCENT);
            if is_large && !self.has_many_deleted(file) {
                continue;
            }
            if open.size_bytes.saturating_add(size) > file_bytes {
                close(std::mem::take(&mut open));
            }
            open.files.push(file);
            open.size_bytes = open.size_bytes.saturating_add(size);
        }
        close(open);
        bins
    }

    fn has_many_deleted(&self, file: FileNumber) -> bool {
        let vector = self.index.deletion_vectors.get(file).and_then(Option::as_ref);
        let stored = self.index.stored_rows.get(file).copied().flatten().unwrap_or(u64::MAX);
        vector.is_some_and(|vector| {
            vector.cardinality.saturating_mul(100) >= stored.saturating_mul(DELETED_PERCENT)
        })
    }

    /// The scan of all rows of some files, in at most `n_streams` streams.
    ///
    /// # Errors
    /// `Storage` and `Corrupt` for deletion vectors.
    pub async fn scan_files(
        self: &Arc<Self>,
        state: &dyn Session,
        files: &[FileNumber],
        columns: Option<&[usize]>,
        n_streams: usize,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        scan::load_selections(self, files).await?;
        let layout = &self.layout;
        let columns = match columns {
            Some(columns) => {
                columns.iter().filter_map(|at| layout.scan_position.get(*at).copied()).collect()
            }
            None => layout.scan_position.clone(),
        };
        let parts = ScanParts {
            readers: self.readers(false),
            object_store_url: self.object_store_url.clone(),
            schema: layout.scan_schema.clone(),
            mapping: Arc::clone(&layout.mapping),
            groups: scan::group_files(self, files, n_streams, &|_| Ok(vec![]))?,
            columns,
            statistics: Some(self.statistics_of(files)),
            limit: None,
            is_narrow: false,
            n_left_out: 0,
        };
        scan::data_source(state, parts)
    }

    /// Rows that a scan of these files gives, where the log says.
    #[must_use]
    pub fn rows_of(&self, files: &[FileNumber]) -> Option<u64> {
        files.iter().map(|file| self.index.live_rows(*file)).sum()
    }
}

fn key_of(values: &[ScalarValue]) -> String {
    let texts: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    texts.join("\0")
}
