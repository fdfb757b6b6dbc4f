//! Checking a log, and copying it to another place.

use super::driver::{Appended, CatalogLog, Inventory, Numbered, POINTER, RECORDS_PER_READ_MAX};
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
    /// What is wrong and what to do about it, in words; empty where nothing is.
    pub faults: Vec<String>,
    /// Whether a server can start with it and sees all that is there.
    pub is_usable: bool,
}

/// Reads every record of a log from the first one, and sees that the checkpoint says the same.
///
/// Behind what cannot be read it goes on from the checkpoint, as servers do.
///
/// # Errors
/// `CatalogLog` when the place cannot be read. What is wrong with its content is in the report.
pub async fn check(log: &dyn CatalogLog, database: &str) -> Result<CheckReport> {
    let mut report = CheckReport::default();
    let inventory = log.inventory().await?;
    let checkpoint = log.latest_checkpoint().await?;
    report.checkpoint = checkpoint.as_ref().map(|checkpoint| checkpoint.version);
    let kept = checkpoint.as_ref().map(|checkpoint| state_of(log.place(), checkpoint));
    if let Some(Err(error)) = &kept {
        let version = report.checkpoint.unwrap_or_default();
        report.faults.push(format!("checkpoint {version}: {error}: {CHECKPOINT_HINT}"));
    }
    report.faults.extend(pointer_fault(&inventory));
    let kept = kept.and_then(Result::ok);
    report.faults.extend(gaps(&inventory, kept.as_ref().map_or(0, |kept| kept.version)));
    let mut state = Definitions::new(database);
    let mut is_whole = read_on(log, &mut state, kept.as_ref(), &mut report).await?;
    if let Some(kept) = kept.filter(|kept| kept.version > state.version) {
        // What a server does that starts now.
        state = kept;
        is_whole = read_on(log, &mut state, None, &mut report).await?;
    }
    report.is_usable = is_whole && state.version >= inventory.records.last().copied().unwrap_or(0);
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

/// What to do about a checkpoint.
const CHECKPOINT_HINT: &str =
    "remove it and the pointer to it, the records say all of it and a server writes the next one";

/// Follows the records behind a state up to the first that is missing, or cannot be read: then it
/// returns false.
async fn read_on(
    log: &dyn CatalogLog,
    state: &mut Definitions,
    kept: Option<&Definitions>,
    report: &mut CheckReport,
) -> Result<bool> {
    loop {
        let records = log.tail(state.version + 1).await?;
        for record in &records {
            if let Err(error) = replay(log.place(), state, record) {
                report.faults.push(format!("{error}: {}", record_hint(&error, record, report)));
                return Ok(false);
            }
            report.n_records += 1;
            if kept.is_some_and(|kept| kept.version == state.version && *kept != *state) {
                report.faults.push(format!(
                    "checkpoint {} says something else than the records up to it: \
                     {CHECKPOINT_HINT}",
                    state.version
                ));
            }
        }
        if records.len() < RECORDS_PER_READ_MAX {
            return Ok(true);
        }
    }
}

/// What to do about a record that cannot be followed.
fn record_hint(error: &CatalogError, record: &Numbered, report: &CheckReport) -> String {
    if matches!(error, CatalogError::CatalogTooNew { .. }) {
        return "use a tarn that is not older than the server that has written it".to_owned();
    }
    hint_for(record.version, report.checkpoint.unwrap_or(0))
}

fn hint_for(version: u64, checkpoint: u64) -> String {
    match checkpoint >= version {
        true => format!("servers start from checkpoint {checkpoint}; put it back from a backup"),
        false => "put it back from a backup; what comes behind it cannot be read".to_owned(),
    }
}

/// Records that are missing between others, or before the checkpoint.
fn gaps(inventory: &Inventory, checkpoint: u64) -> Vec<String> {
    let (mut faults, mut expected) = (Vec::new(), 1);
    let ends = [checkpoint.saturating_add(1)];
    let beyond = ends.iter().filter(|end| inventory.records.last().is_none_or(|l| l < *end));
    for version in inventory.records.iter().chain(beyond) {
        let (first, last) = (expected, version.saturating_sub(1));
        let hint = || hint_for(last, checkpoint);
        if first == last {
            faults.push(format!("record {first} is missing: {}", hint()));
        } else if first < last {
            faults.push(format!("records {first} to {last} are missing: {}", hint()));
        }
        expected = version.saturating_add(1);
    }
    faults
}

/// A pointer that points at nothing.
fn pointer_fault(inventory: &Inventory) -> Option<String> {
    let text = inventory.pointer.as_ref()?.trim();
    match text.parse::<u64>() {
        Ok(version) if inventory.checkpoints.contains(&version) => None,
        Ok(version) => Some(format!("checkpoint {version} is missing: {CHECKPOINT_HINT}")),
        Err(_) => Some(format!(
            "{POINTER} holds no number: remove it, a server writes it with the next checkpoint"
        )),
    }
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
