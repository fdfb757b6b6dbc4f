//! The metadata of a new table.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::Field;
use serde_json::{Value, json};
use uuid::Uuid;

use super::columns::delta_field;
use super::protocol::TableProtocol;
use super::{
    CONSTRAINT, Keys, MAPPING_ID, MAPPING_MAX_ID, MAPPING_NAME, TableMetadata, is_partition_type,
    plain_format, set_field_metadata,
};
use crate::details::TableDetails;
use crate::{CatalogError, Result};

/// Characters that names of columns cannot have unless they are mapped.
const SPECIAL: [char; 10] = [' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];

/// Columns of the change data feed beside the table's.
const FEED_COLUMNS: [&str; 3] = ["_change_type", "_commit_version", "_commit_timestamp"];

impl TableMetadata {
    /// The metadata of a new table with these columns.
    ///
    /// # Errors
    /// `UnsupportedColumnType`, `InvalidDefinition` for names and partition columns,
    /// `InvalidProperty`.
    pub fn create(
        fields: &[Field],
        details: &TableDetails,
        partition_columns: Vec<String>,
    ) -> Result<Self> {
        check_partitions(fields, &partition_columns)?;
        let mut new = Self {
            id: Uuid::new_v4().to_string(),
            name: None,
            description: details.comment.clone(),
            format: plain_format(),
            fields: fields.iter().map(delta_field).collect::<Result<_>>()?,
            partition_columns,
            configuration: BTreeMap::new(),
            created_time_ms: Some(chrono::Utc::now().timestamp_millis()),
            protocol: TableProtocol::plain(),
        };
        let properties = details.properties.iter().filter(|(name, _)| !name.starts_with("tarn."));
        let properties = properties.map(|(name, value)| (name.clone(), Some(value.clone())));
        new.put_properties(&properties.collect(), true)?;
        new.check_names()?;
        for (at, field) in new.fields.iter_mut().enumerate() {
            super::change::describe(
                field,
                details.default_of(at),
                details.generated_of(at),
                details.column_comment(at),
            );
        }
        for check in &details.checks {
            new.configuration
                .insert(format!("{CONSTRAINT}{}", check.name), check.expression.clone());
        }
        new.put_keys(&Keys {
            keys: details.keys.clone(),
            foreign_keys: details.foreign_keys.clone(),
        });
        new.require_features();
        Ok(new)
    }

    /// The same for a table that is there already: it stays the same table, and asks of readers and
    /// writers at least what it has asked before.
    #[must_use]
    pub fn in_place_of(mut self, before: &Self) -> Self {
        self.id.clone_from(&before.id);
        self.name.clone_from(&before.name);
        self.created_time_ms = before.created_time_ms;
        self.protocol.include(&before.protocol);
        self
    }

    /// Names that the change data feed does not have itself, where it is on.
    /// Source: Delta protocol, section "Add CDC File", reserved columns.
    pub(super) fn check_feed_names(&self) -> Result<()> {
        let is_reserved =
            |name: &str| FEED_COLUMNS.iter().any(|column| column.eq_ignore_ascii_case(name));
        match self.fields.iter().map(super::field_name).find(|name| is_reserved(name)) {
            Some(column) if self.is_on("delta.enableChangeDataFeed") => {
                Err(CatalogError::ReservedColumn { column: column.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Names that Delta can hold: told apart whatever their case, without special characters unless
    /// columns are mapped, and none of the change data feed's.
    pub(super) fn check_names(&self) -> Result<()> {
        self.check_feed_names()?;
        let mut seen = BTreeSet::new();
        for field in &self.fields {
            let name = super::field_name(field);
            if !seen.insert(name.to_lowercase()) {
                let message =
                    format!("columns of Delta tables cannot differ in case only: \"{name}\"");
                return Err(CatalogError::InvalidDefinition { message, hint: None });
            }
            if self.mapping_mode() == "none" && name.contains(SPECIAL) {
                let message = format!(
                    "column name \"{name}\" has characters that Delta tables hold with column \
                     mapping only"
                );
                let hint = Some(
                    "Add TBLPROPERTIES ('delta.columnMapping.mode' = 'name'), or use another name."
                        .to_owned(),
                );
                return Err(CatalogError::InvalidDefinition { message, hint });
            }
        }
        Ok(())
    }

    /// The same with the numbering of columns as far as another version has come: no identifier is
    /// given to two columns, because files with the first one are still read.
    #[must_use]
    pub(in crate::delta) fn numbered_on_from(mut self, other: &Self) -> Self {
        let last_id = |metadata: &Self| -> Option<i64> {
            metadata.configuration.get(MAPPING_MAX_ID)?.parse().ok()
        };
        if let Some(last_id) = last_id(&self).max(last_id(other)) {
            self.configuration.insert(MAPPING_MAX_ID.to_owned(), last_id.to_string());
        }
        self
    }

    /// Gives identifiers and names in files to columns that have none.
    pub(super) fn map_columns(&mut self, keep_names: bool) {
        let known = self.configuration.get(MAPPING_MAX_ID).and_then(|id| id.parse().ok());
        let mut last_id: i64 = known.unwrap_or(0);
        for field in &mut self.fields {
            map_field(field, &mut last_id, keep_names);
        }
        self.configuration.insert(MAPPING_MAX_ID.to_owned(), last_id.to_string());
    }

    /// Notes the features that columns and constraints need.
    pub(super) fn require_features(&mut self) {
        let schema = self.schema_json();
        if super::columns::has_ntz(&schema) {
            self.protocol.require("timestampNtz");
        }
        if self.configuration.keys().any(|key| key.starts_with(CONSTRAINT)) {
            self.protocol.require("checkConstraints");
        }
        let generated = |field: &Value| super::field_text(field, super::GENERATION).is_some();
        if self.fields.iter().any(generated) {
            self.protocol.require("generatedColumns");
        }
    }
}

fn check_partitions(fields: &[Field], partition_columns: &[String]) -> Result<()> {
    let invalid = |message: String| CatalogError::InvalidDefinition { message, hint: None };
    let mut seen = BTreeSet::new();
    for name in partition_columns {
        let Some(field) = fields.iter().find(|field| field.name() == name) else {
            let message = format!("partition column \"{name}\" is no column of the table");
            return Err(invalid(message));
        };
        if !seen.insert(name) {
            return Err(invalid(format!("partition column \"{name}\" is named twice")));
        }
        if !is_partition_type(field) {
            return Err(invalid(format!("column \"{name}\" is nested and cannot tell partitions")));
        }
    }
    if !fields.is_empty() && partition_columns.len() >= fields.len() {
        return Err(invalid("a table needs a column that is no partition column".to_owned()));
    }
    Ok(())
}

/// Maps a column and the fields nested in it.
fn map_field(field: &mut Value, last_id: &mut i64, keep_names: bool) {
    let mapped = field.get("metadata").is_some_and(|metadata| metadata.get(MAPPING_ID).is_some());
    if !mapped {
        *last_id += 1;
        let name = match keep_names {
            true => super::field_name(field).to_owned(),
            false => format!("col-{}", Uuid::new_v4()),
        };
        set_field_metadata(field, MAPPING_ID, Some(json!(*last_id)));
        set_field_metadata(field, MAPPING_NAME, Some(json!(name)));
    }
    if let Some(data_type) = field.get_mut("type") {
        map_type(data_type, last_id, keep_names);
    }
}

fn map_type(data_type: &mut Value, last_id: &mut i64, keep_names: bool) {
    let Some(parts) = data_type.as_object_mut() else { return };
    if let Some(fields) = parts.get_mut("fields").and_then(Value::as_array_mut) {
        for field in fields {
            map_field(field, last_id, keep_names);
        }
    }
    for part in ["elementType", "keyType", "valueType"] {
        if let Some(inner) = parts.get_mut(part) {
            map_type(inner, last_id, keep_names);
        }
    }
}
