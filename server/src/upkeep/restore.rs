//! RESTORE: goes back to a former version, in a new one.

use std::collections::HashSet;
use std::time::Instant;

use arrow::record_batch::RecordBatch;
use tarn_catalog::{CatalogError, LakeTable as _};
use tarn_planner::rewrite::PointSpec;
use tarn_planner::write::Target;

use super::{Done, Work, delta_table, elapsed_ms, report};
use crate::error::Result;
use crate::history::point_of;

/// Restores a table.
pub(super) async fn run(work: &Work<'_>, target: &Target, to: &PointSpec) -> Result<RecordBatch> {
    let began = Instant::now();
    let (name, table) = delta_table(work.session, target, "RESTORE")?;
    let catalog = &work.session.shared.catalog;
    let point = point_of(&name, to)?;
    let mut settled = HashSet::new();
    let restored = loop {
        catalog.complete(table.location(), u64::MAX).await?;
        let tried = Instant::now();
        match table.restore(point.clone(), settled.clone()).await {
            Err(CatalogError::Reserved { token, n_tables, .. })
                if settled.insert(token.clone()) =>
            {
                catalog.settle(&token, n_tables, tried.elapsed()).await?;
            }
            other => break other?,
        }
    };
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
