//! RESTORE: goes back to a former version, in a new one.

use std::time::Instant;

use arrow::record_batch::RecordBatch;
use tarn_planner::rewrite::PointSpec;
use tarn_planner::write::Target;

use super::{Done, Work, delta_table, elapsed_ms, report};
use crate::error::Result;
use crate::history::point_of;

/// Restores a table.
pub(super) async fn run(work: &Work<'_>, target: &Target, to: &PointSpec) -> Result<RecordBatch> {
    let began = Instant::now();
    let (name, table) = delta_table(work.session, target, "RESTORE")?;
    let restored = table.restore(point_of(&name, to)?).await?;
    let done = Done {
        table: name.table().to_owned(),
        version: Some(restored.version),
        files_added: restored.files_added,
        files_removed: restored.files_removed,
        bytes_added: restored.bytes_added,
        bytes_removed: restored.bytes_removed,
        n_rows: restored.n_rows,
        elapsed_ms: elapsed_ms(began),
    };
    report::batch("RESTORE", &[done])
}
