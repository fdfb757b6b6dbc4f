//! How far a query is, from the metrics of its scans.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

/// What the scans of a query have read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Rows that left the scans.
    pub n_rows_scanned: u64,
    /// Bytes that were read from files.
    pub n_bytes_scanned: u64,
    /// Rows that the scans are expected to yield; 0 where unknown.
    pub n_rows_expected: u64,
}

impl Progress {
    /// The part that is done, between 0 and 1, where it is known.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a ratio for a progress bar")]
        let ratio = self.n_rows_scanned as f64 / self.n_rows_expected as f64;
        (self.n_rows_expected > 0).then(|| ratio.clamp(0.0, 1.0))
    }
}

/// Adds up the metrics of the leaves of a plan.
#[must_use]
pub fn progress_of(plan: &Arc<dyn ExecutionPlan>) -> Progress {
    let mut progress = Progress::default();
    add(plan, &mut progress);
    progress
}

fn add(plan: &Arc<dyn ExecutionPlan>, progress: &mut Progress) {
    let children = plan.children();
    for child in &children {
        add(child, progress);
    }
    if !children.is_empty() {
        return;
    }
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    if let Some(metrics) = plan.metrics() {
        progress.n_rows_scanned += number(metrics.output_rows().unwrap_or(0));
        if let Some(bytes) = metrics.sum_by_name("bytes_scanned") {
            progress.n_bytes_scanned += number(bytes.as_usize());
        }
    }
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::default());
    if let Ok(statistics) = statistics {
        progress.n_rows_expected += number(statistics.num_rows.get_value().copied().unwrap_or(0));
    }
}
