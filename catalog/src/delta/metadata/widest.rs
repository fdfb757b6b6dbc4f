//! Columns as wide as in several versions of a table.

use serde_json::{Value, json};

use super::columns::is_widening;
use super::{MAPPING_NAME, TableMetadata, field_name, set_field_metadata, set_member};
use crate::pg_type::{FIELD_PG_TYPE, FIELD_PG_TYPMOD};

impl TableMetadata {
    /// The same columns, with the types of another version where those are wider.
    #[must_use]
    pub(in crate::delta) fn widened_by(mut self, schema: &Value) -> Self {
        let others = schema.get("fields").and_then(Value::as_array);
        for other in others.into_iter().flatten() {
            let is_same = |field: &&mut Value| stored_name(field) == stored_name(other);
            let Some(field) = self.fields.iter_mut().find(is_same) else { continue };
            let (Some(own), Some(wider)) = (field.get("type"), other.get("type")) else { continue };
            if !is_widening(own, wider) {
                continue;
            }
            set_member(field, "type", wider.clone());
            for key in [FIELD_PG_TYPE, FIELD_PG_TYPMOD] {
                let note = other.get("metadata").and_then(|metadata| metadata.get(key));
                set_field_metadata(field, key, note.cloned());
            }
        }
        self
    }

    /// The same columns, all of which may be NULL.
    #[must_use]
    pub(in crate::delta) fn with_nulls(mut self) -> Self {
        for field in &mut self.fields {
            set_member(field, "nullable", json!(true));
        }
        self
    }
}

/// The name in the files.
fn stored_name(field: &Value) -> &str {
    let mapped = field.get("metadata").and_then(|metadata| metadata.get(MAPPING_NAME));
    mapped.and_then(Value::as_str).unwrap_or_else(|| field_name(field))
}
