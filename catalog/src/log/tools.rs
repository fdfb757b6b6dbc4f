//! Checking a log, and copying it to another place.

use super::driver::{Appended, CatalogLog, Numbered, RECORDS_PER_READ_MAX};
use super::record::{decode, encode_checkpoint};
use super::state::Definitions;
use super::{load, replay};
use crate::{CatalogError, Result};

/// What [`check`] has found.
#[derive(Debug, Clone, Default)]
pub struct CheckReport {
    /// The last record.
    pub version: u64,
    /// Records read.
    pub n_records: u64,
    /// The newest checkpoint.
    pub checkpoint: Option<u64>,
    /// Objects in the state.
    pub n_objects: usize,
    /// Commits over several tables that the next server to read one of them has to complete.
    pub open: Vec<String>,
    /// What is wrong, in words; empty where nothing is.
    pub faults: Vec<String>,
}

/// Reads every record of a log from the first one, and sees that the checkpoint says the same.
///
/// # Errors
/// `CatalogLog` when the place cannot be read. What is wrong with its content is in the report.
pub async fn check(log: &dyn CatalogLog, database: &str) -> Result<CheckReport> {
    let mut report = CheckReport::default();
    let checkpoint = log.latest_checkpoint().await?;
    report.checkpoint = checkpoint.as_ref().map(|checkpoint| checkpoint.version);
    let mut state = Definitions::new(database);
    'records: loop {
        let records = log.tail(state.version + 1).await?;
        for record in &records {
            if let Err(error) = replay(log.place(), &mut state, record) {
                report.faults.push(error.to_string());
                break 'records;
            }
            report.n_records += 1;
            if let Some(checkpoint) = checkpoint.as_ref().filter(|c| c.version == state.version) {
                match state_of(log.place(), checkpoint) {
                    Ok(kept) if kept == state => {}
                    Ok(_) => report.faults.push(format!(
                        "checkpoint {} says something else than the records up to it",
                        checkpoint.version
                    )),
                    Err(error) => report.faults.push(format!("checkpoint: {error}")),
                }
            }
        }
        if records.len() < RECORDS_PER_READ_MAX {
            break;
        }
    }
    if let Some(checkpoint) = &checkpoint
        && checkpoint.version > state.version
        && report.faults.is_empty()
    {
        let (first, last) = (state.version + 1, checkpoint.version);
        report.faults.push(format!("records {first} to {last} are missing"));
    }
    report.version = state.version;
    report.n_objects = state.n_objects();
    report.open = state
        .transactions
        .values()
        .map(|open| format!("a commit of {} to the tables {}", open.at, open.names()))
        .collect();
    report.faults.extend(state.faults());
    Ok(report)
}

/// Copies all records and a checkpoint into an empty log; returns the number of the last record.
///
/// # Errors
/// `CatalogLog` where the target holds records that the source does not, or one of them cannot be
/// used; `CatalogDamaged` where the source cannot be read as a catalog. What was copied stays, and
/// copying again goes on from there.
pub async fn copy(from: &dyn CatalogLog, to: &dyn CatalogLog, database: &str) -> Result<u64> {
    // First the check that it is worth copying.
    let (state, _) = load(from, database).await?;
    let mut next = 1;
    loop {
        let records = from.tail(next).await?;
        for record in &records {
            match to.append(record.version, record.bytes.clone()).await? {
                Appended::Done => {}
                Appended::Conflict => {
                    return Err(CatalogError::CatalogLog {
                        place: to.place().to_owned(),
                        what: format!("copy there: it has another record {}", record.version),
                        source: None,
                    });
                }
            }
            next = record.version + 1;
        }
        if records.len() < RECORDS_PER_READ_MAX {
            break;
        }
    }
    // A record of the target behind the last one copied was never the source's.
    if !to.tail(next).await?.is_empty() && from.tail(next).await?.is_empty() {
        return Err(CatalogError::CatalogLog {
            place: to.place().to_owned(),
            what: format!("copy there: it goes on after record {}", next - 1),
            source: None,
        });
    }
    if state.version > 0 {
        to.checkpoint(state.version, encode_checkpoint(state.version, &state.to_entries())?)
            .await?;
    }
    Ok(next - 1)
}

/// The state that a checkpoint holds.
pub(super) fn state_of(place: &str, checkpoint: &Numbered) -> Result<Definitions> {
    let version = checkpoint.version;
    let mut state = Definitions::empty(version);
    for entry in decode(place, checkpoint, true)? {
        state.apply(&entry).map_err(|what| CatalogError::CatalogDamaged {
            place: place.to_owned(),
            version,
            what: format!("checkpoint: {what}"),
        })?;
    }
    Ok(state)
}
