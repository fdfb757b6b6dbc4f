//! What a place for the catalog's log has to do.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::Result;

/// A numbered payload: a record, or a checkpoint of the state after that record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// The record's number; the first one is 1.
    pub version: u64,
    /// The text of `record` or `checkpoint`.
    pub bytes: Bytes,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// The record has this number, now and for ever.
    Done,
    /// Another record has it.
    Conflict,
}

/// What there is at the place of a log, whether or not it can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The numbers of the records.
    pub records: BTreeSet<u64>,
    /// The numbers of the checkpoints.
    pub checkpoints: BTreeSet<u64>,
    /// What says which checkpoint is the newest; `None` where nothing does.
    pub pointer: Option<String>,
}

impl Inventory {
    /// Notes a file or object by its name.
    pub(super) fn note(&mut self, name: &str) {
        let number = |ending: &str| -> Option<u64> {
            let digits = name.strip_suffix(ending).filter(|digits| digits.len() == 20)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        if let Some(version) = number(".checkpoint.json") {
            self.checkpoints.insert(version);
        } else if let Some(version) = number(".json") {
            self.records.insert(version);
        }
    }
}

/// An append-only list of numbered records, shared by several servers.
///
/// The only synchronisation is that of two appends with one number exactly one succeeds. Records
/// are never changed or removed; a checkpoint only saves reading those before it.
pub trait CatalogLog: fmt::Debug + Send + Sync {
    /// Where it is, without credentials.
    fn place(&self) -> &str;

    /// The records numbered `from` and above, in order and without gaps, up to
    /// [`RECORDS_PER_READ_MAX`].
    ///
    /// # Errors
    /// `CatalogLog` when the place cannot be read.
    fn tail(&self, from: u64) -> BoxFuture<'_, Result<Vec<Numbered>>>;

    /// Everything that is there, also behind a record that is missing.
    ///
    /// # Errors
    /// `CatalogLog` when the place cannot be read.
    fn inventory(&self) -> BoxFuture<'_, Result<Inventory>>;

    /// Whether a record of this number exists, where that is known without waiting: a look at the
    /// local disk.
    fn has_now(&self, _version: u64) -> Option<bool> {
        None
    }

    /// Adds a record; when this returns `Done` it survives a crash of the machine.
    ///
    /// The bytes must be unlike those of any other append: where an answer is lost, the record is
    /// read back and compared, so that a record is never there twice.
    ///
    /// # Errors
    /// `CatalogLog` when it is not known whether the record was added.
    fn append(&self, version: u64, bytes: Bytes) -> BoxFuture<'_, Result<Appended>>;

    /// Keeps the state after a record, for faster starts.
    ///
    /// # Errors
    /// `CatalogLog`; nothing is lost then.
    fn checkpoint(&self, version: u64, bytes: Bytes) -> BoxFuture<'_, Result<()>>;

    /// The newest checkpoint that is known of.
    ///
    /// # Errors
    /// `CatalogLog` when the place cannot be read.
    fn latest_checkpoint(&self) -> BoxFuture<'_, Result<Option<Numbered>>>;
}

/// Records that one call of [`CatalogLog::tail`] returns.
pub const RECORDS_PER_READ_MAX: usize = 256;

/// The name of a record among files and objects: twenty digits, so that names sort as numbers.
pub(super) fn record_name(version: u64) -> String {
    format!("{version:020}.json")
}

/// The name of a checkpoint.
pub(super) fn checkpoint_name(version: u64) -> String {
    format!("{version:020}.checkpoint.json")
}

/// The name of the object that says which checkpoint is the newest.
pub(super) const POINTER: &str = "_last_checkpoint";
