//! Versions and features of a Delta table.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The reader version that lists features.
const READER_FEATURES_VERSION: u64 = 3;
/// The writer version that lists features.
const WRITER_FEATURES_VERSION: u64 = 7;

/// The features that older versions of the protocol stand for: name, writer, reader.
const LEGACY: [(&str, u64, Option<u64>); 7] = [
    ("appendOnly", 2, None),
    ("invariants", 2, None),
    ("checkConstraints", 3, None),
    ("changeDataFeed", 4, None),
    ("generatedColumns", 4, None),
    ("columnMapping", 5, Some(2)),
    ("identityColumns", 6, None),
];

/// The features that a reader has to know as well.
const READER_FEATURES: [&str; 7] = [
    "columnMapping",
    "deletionVectors",
    "timestampNtz",
    "typeWidening",
    "v2Checkpoint",
    "vacuumProtocolCheck",
    "variantType",
];

/// What a reader and a writer of a table have to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableProtocol {
    min_reader: u64,
    min_writer: u64,
    reader_features: BTreeSet<String>,
    writer_features: BTreeSet<String>,
}

impl TableProtocol {
    /// What every reader and writer knows.
    pub(super) fn plain() -> Self {
        Self {
            min_reader: 1,
            min_writer: 2,
            reader_features: BTreeSet::new(),
            writer_features: BTreeSet::new(),
        }
    }

    pub(super) fn from_action(action: &Value) -> Option<Self> {
        let version = |key: &str| action.get(key).and_then(Value::as_u64);
        let features = |key: &str| super::texts(action.get(key)).into_iter().collect();
        Some(Self {
            min_reader: version("minReaderVersion")?,
            min_writer: version("minWriterVersion")?,
            reader_features: features("readerFeatures"),
            writer_features: features("writerFeatures"),
        })
    }

    pub(super) fn to_action(&self) -> Value {
        let mut action = Map::new();
        action.insert("minReaderVersion".to_owned(), json!(self.min_reader));
        action.insert("minWriterVersion".to_owned(), json!(self.min_writer));
        if self.min_reader >= READER_FEATURES_VERSION {
            action.insert("readerFeatures".to_owned(), json!(self.reader_features));
        }
        if self.min_writer >= WRITER_FEATURES_VERSION {
            action.insert("writerFeatures".to_owned(), json!(self.writer_features));
        }
        Value::Object(action)
    }

    /// The version that a reader has to know.
    #[must_use]
    pub fn min_reader(&self) -> u64 {
        self.min_reader
    }

    /// The version that a writer has to know.
    #[must_use]
    pub fn min_writer(&self) -> u64 {
        self.min_writer
    }

    /// The features that a reader has to know, those of older versions by name.
    #[must_use]
    pub fn reader_features(&self) -> BTreeSet<String> {
        if self.min_reader >= READER_FEATURES_VERSION {
            return self.reader_features.clone();
        }
        let legacy =
            LEGACY.iter().filter(|(.., reader)| reader.is_some_and(|v| v <= self.min_reader));
        legacy.map(|(name, ..)| (*name).to_owned()).collect()
    }

    /// The features that a writer has to know, those of older versions by name.
    #[must_use]
    pub fn writer_features(&self) -> BTreeSet<String> {
        if self.min_writer >= WRITER_FEATURES_VERSION {
            return self.writer_features.clone();
        }
        let legacy = LEGACY.iter().filter(|(_, writer, _)| *writer <= self.min_writer);
        legacy.map(|(name, ..)| (*name).to_owned()).collect()
    }

    /// Whether a feature is on, as far as the protocol is concerned.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.writer_features().contains(feature)
            && (!READER_FEATURES.contains(&feature) || self.reader_features().contains(feature))
    }

    /// Adds all that another version of the table asks for.
    pub(super) fn include(&mut self, other: &Self) {
        let is_listed = self.min_writer.max(other.min_writer) >= WRITER_FEATURES_VERSION;
        if !is_listed {
            // Each number stands for what the lower ones do.
            self.min_reader = self.min_reader.max(other.min_reader);
            self.min_writer = self.min_writer.max(other.min_writer);
            return;
        }
        let features = other.writer_features();
        features.union(&other.reader_features()).for_each(|feature| self.require(feature));
    }

    /// Adds a feature; features of older versions are listed from then on.
    pub(super) fn require(&mut self, feature: &str) {
        if self.has(feature) {
            return;
        }
        self.writer_features = self.writer_features();
        self.min_writer = WRITER_FEATURES_VERSION;
        self.writer_features.insert(feature.to_owned());
        if READER_FEATURES.contains(&feature) {
            self.reader_features = self.reader_features();
            self.min_reader = READER_FEATURES_VERSION;
            self.reader_features.insert(feature.to_owned());
        }
    }
}
