//! Which features of a table its readers and writers must know, and what they forbid.
//!
//! A table that needs of its *readers* what tarn lacks is refused when it is opened. A table that
//! needs more of its *writers* only can be read, but not written.
//! Source: Delta protocol, sections "Table Features" and "Requirements for Writers".

use super::metadata::TableMetadata;
use super::snapshot::DeltaSnapshot;
use crate::{CatalogError, Result};

/// The features of readers that tarn has; the kernel, which replays the log, has more.
const READER_FEATURES: &[&str] = &[
    "columnMapping",
    "deletionVectors",
    "timestampNtz",
    "timestampWithoutTimezone",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
];

/// Sees that tarn can read the table.
///
/// # Errors
/// `UnsupportedFeature` with the feature's name.
pub(super) fn check_readable(table: &str, metadata: &TableMetadata) -> Result<()> {
    let features = metadata.protocol().reader_features();
    match features.into_iter().find(|name| !READER_FEATURES.contains(&name.as_str())) {
        None => Ok(()),
        Some(feature) => Err(CatalogError::UnsupportedFeature {
            table: table.to_owned(),
            format: "delta",
            feature,
        }),
    }
}

/// The features of writers that tarn keeps to.
///
/// Not among them: `rowTracking`, `identityColumns`, `icebergCompatV1` to `V3`, `variantType`,
/// `catalogManaged`, `materializePartitionColumns`.
const WRITER_FEATURES: &[&str] = &[
    "allowColumnDefaults",
    "appendOnly",
    "changeDataFeed",
    "checkConstraints",
    "checkpointProtection",
    "clustering",
    "columnMapping",
    "deletionVectors",
    "domainMetadata",
    "generatedColumns",
    "inCommitTimestamp",
    "invariants",
    "timestampNtz",
    "timestampWithoutTimezone",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
];

/// The newest version of the protocol for writers, the one with lists of features.
const WRITER_VERSION_MAX: u64 = 7;

/// Sees that tarn may write the table at all.
///
/// # Errors
/// `UnsupportedFeature` with the feature's name.
pub(super) fn check_writable(snapshot: &DeltaSnapshot) -> Result<()> {
    let unsupported = |feature: String| {
        Err(CatalogError::UnsupportedFeature {
            table: snapshot.table.clone(),
            format: "delta",
            feature,
        })
    };
    let protocol = snapshot.metadata.protocol();
    if protocol.min_writer() > WRITER_VERSION_MAX {
        return unsupported(format!("writer version {}", protocol.min_writer()));
    }
    for feature in protocol.writer_features() {
        // The feature may be there without a column that uses it, as a part of version 6 is.
        let is_unused = feature == "identityColumns" && !has_identity_columns(snapshot);
        if !is_unused && !WRITER_FEATURES.contains(&feature.as_str()) {
            return unsupported(feature);
        }
    }
    Ok(())
}

fn has_identity_columns(snapshot: &DeltaSnapshot) -> bool {
    snapshot.metadata.schema_json().to_string().contains("\"delta.identity.")
}

/// Sees that rows of the table may be taken out.
///
/// # Errors
/// `NotWritable` for a table that only grows.
pub(super) fn check_deletable(snapshot: &DeltaSnapshot) -> Result<()> {
    if snapshot.property_is_on("delta.appendOnly") {
        return Err(CatalogError::NotWritable {
            name: snapshot.table.clone(),
            reason: "its property delta.appendOnly allows new rows only".to_owned(),
        });
    }
    Ok(())
}

impl DeltaSnapshot {
    /// A property of the table by its full name.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        self.metadata.configuration().get(name).map(String::as_str)
    }

    /// Whether rows can be deleted without rewriting their files.
    #[must_use]
    pub fn has_deletion_vectors(&self) -> bool {
        self.property_is_on("delta.enableDeletionVectors")
            && self.metadata.protocol().has("deletionVectors")
    }

    pub(super) fn property_is_on(&self, name: &str) -> bool {
        self.property(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Whether readers must see appends as well that they could be put before.
    pub(super) fn is_serializable(&self) -> bool {
        let level = self.property("delta.isolationLevel");
        level.is_some_and(|level| level.eq_ignore_ascii_case("Serializable"))
    }
}
