//! TBLPROPERTIES: what their names mean and which features they switch on.

use std::collections::BTreeMap;

use super::{CONSTRAINT, MAPPING_MODE, TableMetadata};
use crate::delta::upkeep::is_interval;
use crate::{CatalogError, Result};

/// Properties that have an effect or are kept for other programs.
const PLAIN: [&str; 21] = [
    "delta.appendOnly",
    "delta.autoOptimize.autoCompact",
    "delta.autoOptimize.optimizeWrite",
    "delta.checkpoint.writeStatsAsJson",
    "delta.checkpoint.writeStatsAsStruct",
    "delta.checkpointInterval",
    "delta.columnMapping.mode",
    "delta.dataSkippingNumIndexedCols",
    "delta.dataSkippingStatsColumns",
    "delta.deletedFileRetentionDuration",
    "delta.enableChangeDataFeed",
    "delta.enableDeletionVectors",
    "delta.enableExpiredLogCleanup",
    "delta.enableTypeWidening",
    "delta.isolationLevel",
    "delta.logRetentionDuration",
    "delta.parquet.compression.codec",
    "delta.randomizeFilePrefixes",
    "delta.randomPrefixLength",
    "delta.setTransactionRetentionDuration",
    "delta.targetFileSize",
];

/// Properties that need a feature when they say `true`.
const SWITCHES: [(&str, &str); 4] = [
    ("delta.appendOnly", "appendOnly"),
    ("delta.enableChangeDataFeed", "changeDataFeed"),
    ("delta.enableDeletionVectors", "deletionVectors"),
    ("delta.enableTypeWidening", "typeWidening"),
];

/// Features that `delta.feature.NAME = supported` can switch on.
const FEATURES: [&str; 9] = [
    "allowColumnDefaults",
    "appendOnly",
    "changeDataFeed",
    "checkConstraints",
    "columnMapping",
    "deletionVectors",
    "generatedColumns",
    "timestampNtz",
    "typeWidening",
];

impl TableMetadata {
    /// SET and RESET TBLPROPERTIES; `None` takes a property away.
    ///
    /// # Errors
    /// `InvalidProperty` for names that the format keeps for itself, names that are not known and
    /// values that are not allowed; `ReservedColumn` where the change data feed is switched on.
    pub fn set_properties(&mut self, properties: &BTreeMap<String, Option<String>>) -> Result<()> {
        self.put_properties(properties, false)?;
        self.check_feed_names()
    }

    /// The same for a table that is being made, whose files can have names of their own.
    pub(super) fn put_properties(
        &mut self,
        properties: &BTreeMap<String, Option<String>>,
        is_new: bool,
    ) -> Result<()> {
        for (name, value) in properties {
            self.set_property(name, value.as_deref(), is_new)?;
        }
        Ok(())
    }

    fn set_property(&mut self, name: &str, value: Option<&str>, is_new: bool) -> Result<()> {
        if let Some(feature) = name.strip_prefix("delta.feature.") {
            return self.switch_feature(name, feature, value);
        }
        if name == MAPPING_MODE {
            return self.set_mapping(value.unwrap_or("none"), is_new);
        }
        if name.starts_with("delta.") {
            check_name(name)?;
        }
        let Some(value) = value else {
            self.configuration.remove(name);
            return Ok(());
        };
        if let Some((_, feature)) = SWITCHES.iter().find(|(property, _)| *property == name) {
            match value.to_ascii_lowercase().as_str() {
                "true" => self.protocol.require(feature),
                "false" => {}
                _ => return Err(invalid(name, "it takes true and false")),
            }
        }
        if name == "delta.checkpointInterval" && !value.parse().is_ok_and(|n: u64| n > 0) {
            return Err(invalid(name, "it takes a number of commits above zero"));
        }
        if name.ends_with("RetentionDuration") && !is_interval(value) {
            return Err(invalid(name, "it takes an interval such as 'interval 7 days'"));
        }
        self.configuration.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    fn switch_feature(&mut self, name: &str, feature: &str, value: Option<&str>) -> Result<()> {
        if !matches!(value, Some("supported" | "enabled")) {
            return Err(invalid(name, "it takes 'supported'; features cannot be taken away"));
        }
        if !FEATURES.contains(&feature) {
            let reason =
                format!("tarn cannot write tables with it; it knows {}", FEATURES.join(", "));
            return Err(invalid(name, &reason));
        }
        self.protocol.require(feature);
        Ok(())
    }

    fn set_mapping(&mut self, mode: &str, is_new: bool) -> Result<()> {
        let now = self.mapping_mode();
        if now == mode {
            return Ok(());
        }
        match (now, mode) {
            ("none", "name") => {}
            ("none", "id") if is_new => {}
            (_, "none" | "name" | "id") => {
                let reason = format!("a table cannot go from {now} to {mode}");
                return Err(invalid(MAPPING_MODE, &reason));
            }
            _ => return Err(invalid(MAPPING_MODE, "it takes none, name and id")),
        }
        self.protocol.require("columnMapping");
        self.configuration.insert(MAPPING_MODE.to_owned(), mode.to_owned());
        self.map_columns(!is_new);
        Ok(())
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.starts_with(CONSTRAINT) {
        return Err(invalid(name, "constraints are set with ADD CONSTRAINT … CHECK"));
    }
    if PLAIN.contains(&name) {
        return Ok(());
    }
    Err(invalid(name, "tarn does not know it"))
}

fn invalid(name: &str, reason: &str) -> CatalogError {
    CatalogError::InvalidProperty { name: name.to_owned(), reason: reason.to_owned() }
}
