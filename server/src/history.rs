//! Functions in FROM that read the past of a table: versions, changes, differences.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use tarn_catalog::delta::history::Point;
use tarn_catalog::delta::{DeltaSnapshot, DeltaTable};
use tarn_catalog::registry::Relation as Known;
use tarn_catalog::{CatalogError, TableName, TableVersion, Travel};
use tarn_planner::binder::Found;
use tarn_planner::rewrite::{PointSpec, TableCall};

use crate::lookup::{SessionLookup, parse_instant};

/// Binds a call to the table that it names.
pub(crate) async fn find(
    lookup: &SessionLookup<'_>,
    name: &TableName,
    known: &Known,
    call: &TableCall,
) -> Result<Found, CatalogError> {
    let table = delta_table(name, known)?;
    // Of a session that reads a snapshot, the newest version is that one.
    let pinned = lookup.pin(name, Travel::Latest).await?;
    let newest = match pinned.version {
        TableVersion::Number(number) | TableVersion::Commit { number, .. } => number,
        // The transaction writes it: what it has begun with counts.
        TableVersion::Fingerprint(_) => match pinned.provider.downcast_ref::<DeltaSnapshot>() {
            Some(snapshot) => snapshot.version(),
            None => {
                let what = "a version without a number".to_owned();
                return Err(CatalogError::Internal { what });
            }
        },
    };
    // What the transaction itself has changed is no version yet.
    let newest = newest.min(table.snapshot(Travel::Latest).await?.version());
    let point = |spec: &PointSpec| point_of(name, spec);
    let provider: Arc<dyn TableProvider> = match call {
        TableCall::Changes { from, to } => {
            let to = to.as_ref().map_or(Ok(Point::Version(newest)), point)?;
            table.changes(point(from)?, Some(to)).await?
        }
        TableCall::Diff { from, to } => table.diff(point(from)?, point(to)?).await?,
        TableCall::History => table.versions(newest),
    };
    Ok(Found::Table { name: name.clone(), provider, version: Some(pinned.version) })
}

/// The table, if it is one that keeps its history.
pub(crate) fn delta_table(
    name: &TableName,
    known: &Known,
) -> Result<Arc<DeltaTable>, CatalogError> {
    let format = match known {
        Known::Lake(table) => match Arc::clone(table).delta() {
            Some(table) => return Ok(table),
            None => table.format(),
        },
        Known::Memory(_) => "memory",
        Known::View { .. } => "view",
    };
    Err(CatalogError::TravelUnsupported { table: name.table().to_owned(), format })
}

/// A version as written.
pub(crate) fn point_of(name: &TableName, spec: &PointSpec) -> Result<Point, CatalogError> {
    match spec {
        PointSpec::Version(version) => Ok(Point::Version(*version)),
        PointSpec::Timestamp(text) => match parse_instant(text) {
            Some(at) => Ok(Point::Instant(at)),
            None => Err(CatalogError::VersionNotFound {
                table: name.table().to_owned(),
                version: text.clone(),
                available: "write a time such as '2026-01-31 12:00:00+00'".to_owned(),
            }),
        },
    }
}
