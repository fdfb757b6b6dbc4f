//! VACUUM: deletes the files that no version of the last days needs.

use std::time::Instant;

use arrow::record_batch::RecordBatch;
use chrono::Utc;
use tarn_catalog::delta::upkeep::Awaited;
use tarn_catalog::{LakeTable as _, Travel};
use tarn_planner::write::Target;

use super::{Done, Work, delta_table, elapsed_ms, report};
use crate::error::{Error, Result};

/// The setting that allows short times.
const CHECK: &str = "tarn.vacuum_retention_check";

/// Vacuums tables, or lists what would be deleted.
pub(super) async fn run(
    work: &Work<'_>,
    tables: &[Target],
    retain_hours: Option<f64>,
    dry_run: bool,
) -> Result<RecordBatch> {
    let session = work.session;
    // Plans of statements that are over may hold old versions; those that run hold their own.
    session.shared.plans.clear();
    let mut plans = Vec::new();
    for target in tables {
        let began = Instant::now();
        let (name, table) = delta_table(session, target, "VACUUM")?;
        // What a decided transaction puts into the table is needed.
        session.shared.catalog.complete(table.location(), u64::MAX).await?;
        let own_hours = table.snapshot(Travel::Latest).await?.retention_hours()?;
        let hours = retain_hours.unwrap_or(own_hours);
        if hours < own_hours && session.setting(CHECK).as_deref() != Some("off") {
            return Err(Error::RetentionTooShort { hours, own_hours });
        }
        // Sessions that come to read later than this read what the newest version has.
        let mut awaited = Awaited { since: Utc::now(), versions: vec![] };
        for other in session.shared.sessions.list() {
            crate::snapshot::await_versions(&other, table.location(), &mut awaited);
        }
        let plan = table.find_unneeded(hours, awaited).await?;
        plans.push((name, table, plan, began));
    }
    if dry_run {
        let files =
            plans.into_iter().map(|(name, _, plan, _)| (name.table().to_owned(), plan.files));
        return report::files(&files.collect::<Vec<_>>());
    }
    let mut done = Vec::new();
    for (name, table, plan, began) in plans {
        let mut row = Done {
            table: name.table().to_owned(),
            version: Some(plan.version),
            files_removed: u64::try_from(plan.files.len()).unwrap_or(u64::MAX),
            bytes_removed: plan.size_bytes(),
            ..Done::default()
        };
        let steps = session.shared.running.add_steps(work.query_id, row.files_removed);
        table.delete_unneeded(plan, steps).await?;
        row.elapsed_ms = elapsed_ms(began);
        done.push(row);
    }
    report::batch("VACUUM", &done)
}
