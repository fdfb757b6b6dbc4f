//! What ANALYZE has learnt of a table's columns: estimates, never facts.
//!
//! The values hold for the version that was read and are close for those after it. They are shown
//! in `pg_stats` and help to estimate; a query is never answered from them (DESIGN, rule 6).
//!
//! They are kept in a file beside the table, where every server finds them; readers of the format
//! skip folders whose names begin with `_`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod collect;
mod distinct;

pub use collect::{Collector, sampled};

/// Where the file is, below the table's folder.
pub(crate) const FILE: &str = "_tarn/statistics.json";

/// Larger files are not read.
pub(crate) const FILE_BYTES_MAX: u64 = 64 << 20;

/// What is known of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableStatistics {
    /// The version that was read, where the format has numbers.
    pub version: Option<u64>,
    /// When it was read, in milliseconds since 1970.
    pub analyzed_at_ms: i64,
    /// Rows of that version.
    pub n_rows: u64,
    /// The columns by name.
    pub columns: BTreeMap<String, ColumnFacts>,
}

/// What is known of a column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ColumnFacts {
    /// The part of the rows that is NULL, between 0 and 1.
    pub null_fraction: f64,
    /// Bytes of a value, on average.
    pub average_width_bytes: u32,
    /// How many different values there are.
    pub n_distinct: f64,
    /// The smallest value as text.
    pub min: Option<String>,
    /// The largest value as text.
    pub max: Option<String>,
    /// Values that are there more often than others, with their parts of all rows.
    pub common: Vec<(String, f64)>,
    /// Values that divide the others into parts of equal size, in order.
    pub bounds: Vec<String>,
    /// How well the order of the rows follows that of the values, between -1 and 1.
    pub correlation: Option<f64>,
}

impl TableStatistics {
    /// The same with the columns of another one over its own, where both are of one version.
    #[must_use]
    pub fn merged(self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self };
        let mut columns = before.columns.clone();
        columns.extend(self.columns);
        Self { columns, ..self }
    }
}

impl ColumnFacts {
    /// `n_distinct` as PostgreSQL writes it: a count, or less than zero for a part of the rows that
    /// stays the same as a table grows.
    #[must_use]
    pub fn pg_n_distinct(&self, n_rows: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let n_values = n_rows as f64 * (1.0 - self.null_fraction);
        let part = self.n_distinct / n_values.max(1.0);
        match part {
            // The sketch is about one percent off.
            _ if part > 0.98 => -1.0,
            _ if part > 0.1 => -part,
            _ => self.n_distinct.round(),
        }
    }
}

#[cfg(test)]
mod tests;
