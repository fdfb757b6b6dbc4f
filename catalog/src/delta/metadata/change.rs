//! What ALTER TABLE and COMMENT change in a table's metadata.

use arrow::datatypes::Field;
use serde_json::{Value, json};

use super::columns::{delta_field, delta_type, is_widening, type_notes};
use super::{
    CHAR_VARCHAR, COMMENT, CONSTRAINT, CURRENT_DEFAULT, DEFAULT, GENERATION, KEYS, Keys,
    MAPPING_ID, MAPPING_NAME, TableMetadata, field_name, set_field_metadata, set_member,
};
use crate::delta::sql_types;
use crate::details::{ForeignKey, TableKey};
use crate::pg_type::{FIELD_PG_TYPE, FIELD_PG_TYPMOD, format_type, pg_type_of_column};
use crate::{CatalogError, Result};

/// A column that ALTER TABLE adds.
#[derive(Debug)]
pub struct NewColumn<'a> {
    /// Its name, type and whether it may be NULL.
    pub field: &'a Field,
    /// The SQL text of its default.
    pub default: Option<&'a str>,
    /// The SQL text of its expression, where it is generated.
    pub generated: Option<&'a str>,
    /// The remark on it.
    pub comment: Option<&'a str>,
}

impl TableMetadata {
    /// ADD COLUMN: it stands behind the others and is NULL in the rows that are there.
    ///
    /// # Errors
    /// `UnsupportedColumnType`; `InvalidDefinition` for its name.
    pub fn add_column(&mut self, column: &NewColumn<'_>) -> Result<()> {
        let mut field = delta_field(column.field)?;
        describe(&mut field, column.default, column.generated, column.comment);
        self.fields.push(field);
        self.check_names()?;
        if self.mapping_mode() != "none" {
            self.map_columns(false);
        }
        self.require_features();
        Ok(())
    }

    /// RENAME COLUMN; the column keeps its name in the files.
    ///
    /// # Errors
    /// `ColumnMappingNeeded`, `InvalidDefinition`.
    pub fn rename_column(&mut self, old: &str, new: &str) -> Result<()> {
        self.check_mapped("RENAME COLUMN")?;
        if let Some(field) = self.field_mut(old) {
            set_member(field, "name", json!(new));
        }
        for name in self.partition_columns.iter_mut().filter(|name| *name == old) {
            new.clone_into(name);
        }
        let mut keys = self.keys();
        let lists = keys.keys.iter_mut().map(|key| &mut key.columns);
        let lists = lists.chain(keys.foreign_keys.iter_mut().map(|key| &mut key.columns));
        for name in lists.flatten().filter(|name| *name == old) {
            new.clone_into(name);
        }
        self.put_keys(&keys);
        self.check_names()
    }

    /// DROP COLUMN; the values stay in the files and are read no more.
    ///
    /// # Errors
    /// `ColumnMappingNeeded`, `InvalidDefinition` for partition columns and the last column.
    pub fn drop_column(&mut self, name: &str) -> Result<()> {
        self.check_mapped("DROP COLUMN")?;
        let refused = |message: String| CatalogError::InvalidDefinition { message, hint: None };
        if self.partition_columns.iter().any(|column| column == name) {
            return Err(refused(format!("cannot drop partition column \"{name}\"")));
        }
        if self.fields.len() == self.partition_columns.len() + 1 {
            return Err(refused(format!("cannot drop \"{name}\", the last column of the table")));
        }
        self.fields.retain(|field| field_name(field) != name);
        let mut keys = self.keys();
        let uses = |columns: &[String]| columns.iter().any(|column| column == name);
        keys.keys.retain(|key| !uses(&key.columns));
        keys.foreign_keys.retain(|key| !uses(&key.columns));
        self.put_keys(&keys);
        Ok(())
    }

    /// SET NOT NULL and DROP NOT NULL.
    pub fn set_nullable(&mut self, column: &str, nullable: bool) {
        if let Some(field) = self.field_mut(column) {
            set_member(field, "nullable", json!(nullable));
        }
    }

    /// SET DEFAULT and DROP DEFAULT.
    pub fn set_default(&mut self, column: &str, default: Option<&str>) {
        let key = if self.protocol.has("allowColumnDefaults") { CURRENT_DEFAULT } else { DEFAULT };
        if let Some(field) = self.field_mut(column) {
            set_field_metadata(field, DEFAULT, None);
            set_field_metadata(field, CURRENT_DEFAULT, None);
            set_field_metadata(field, key, default.map(|text| json!(text)));
        }
    }

    /// What a generated column is computed from.
    pub fn set_expression(&mut self, column: &str, expression: &str) {
        if let Some(field) = self.field_mut(column) {
            set_field_metadata(field, GENERATION, Some(json!(expression)));
        }
    }

    /// DROP EXPRESSION: the column is a plain one from now on.
    pub fn drop_expression(&mut self, column: &str) {
        if let Some(field) = self.field_mut(column) {
            set_field_metadata(field, GENERATION, None);
        }
    }

    /// COMMENT ON COLUMN.
    pub fn set_column_comment(&mut self, column: &str, text: Option<&str>) {
        if let Some(field) = self.field_mut(column) {
            set_field_metadata(field, COMMENT, text.map(|text| json!(text)));
        }
    }

    /// COMMENT ON TABLE.
    pub fn set_description(&mut self, text: Option<&str>) {
        self.description = text.map(ToOwned::to_owned);
    }

    /// ADD CONSTRAINT … CHECK.
    pub fn add_check(&mut self, name: &str, expression: &str) {
        self.configuration.insert(format!("{CONSTRAINT}{name}"), expression.to_owned());
        self.require_features();
    }

    /// Replaces the declared keys.
    pub fn set_keys(&mut self, keys: Vec<TableKey>, foreign_keys: Vec<ForeignKey>) {
        self.put_keys(&Keys { keys, foreign_keys });
    }

    /// DROP CONSTRAINT; whether there was one of this name.
    pub fn drop_constraint(&mut self, name: &str) -> bool {
        let mut keys = self.keys();
        let n_before = keys.keys.len() + keys.foreign_keys.len();
        keys.keys.retain(|key| key.name != name);
        keys.foreign_keys.retain(|key| key.name != name);
        let found = n_before > keys.keys.len() + keys.foreign_keys.len();
        self.put_keys(&keys);
        self.configuration.remove(&format!("{CONSTRAINT}{name}")).is_some() || found
    }

    /// ALTER COLUMN … TYPE, where values that are there can be read as the new type.
    ///
    /// # Errors
    /// `InvalidDefinition` for types that are no wider, `TypeWideningNeeded` where the table does
    /// not allow it.
    pub fn widen_column(&mut self, column: &str, to: &Field) -> Result<()> {
        let new_type = delta_type(to, to.data_type())?;
        let notes = type_notes(to);
        let may_widen = self.is_on("delta.enableTypeWidening");
        let Some(field) = self.field_mut(column) else { return Ok(()) };
        let old_type = field.get("type").cloned().unwrap_or(Value::Null);
        // The same text stands for other values, if the types are not the same.
        let name = |metadata: Option<&Value>| -> Option<String> {
            let text = |key: &str| metadata?.get(key)?.as_str();
            let name = text(FIELD_PG_TYPE).filter(|name| sql_types::is_foreign_name(name))?;
            let modifier = text(FIELD_PG_TYPMOD).and_then(|text| text.parse::<i32>().ok());
            // Digits behind the point stay as many as there are in the texts.
            let scale = modifier.filter(|_| name.ends_with("numeric")).map(|m| (m - 4) & 0x7ff);
            Some(format!("{name} {}", scale.unwrap_or_default()))
        };
        let new_name = name(Some(&Value::Object(notes.clone())));
        if name(field.get("metadata")) != new_name {
            return Err(not_wider(column, &old_type, to));
        }
        if old_type == new_type {
            return set_notes(field, &notes, column, to);
        }
        if !is_widening(&old_type, &new_type) {
            return Err(not_wider(column, &old_type, to));
        }
        if !may_widen {
            return Err(CatalogError::TypeWideningNeeded { column: column.to_owned() });
        }
        let step = json!({"fromType": old_type, "toType": new_type});
        let before = field.get("metadata").and_then(|m| m.get("delta.typeChanges")).cloned();
        let mut steps = before.and_then(|list| list.as_array().cloned()).unwrap_or_default();
        steps.push(step);
        set_member(field, "type", new_type);
        set_field_metadata(field, "delta.typeChanges", Some(Value::Array(steps)));
        for (key, value) in notes {
            set_field_metadata(field, &key, Some(value));
        }
        self.require_features();
        Ok(())
    }

    /// ALTER COLUMN … TYPE where all files are written anew: the column is another one for the files.
    ///
    /// # Errors
    /// `UnsupportedColumnType`.
    pub fn retype_column(&mut self, column: &str, to: &Field) -> Result<()> {
        let new_type = delta_type(to, to.data_type())?;
        let notes = type_notes(to);
        let Some(field) = self.field_mut(column) else { return Ok(()) };
        set_member(field, "type", new_type);
        for key in [FIELD_PG_TYPE, FIELD_PG_TYPMOD, CHAR_VARCHAR] {
            set_field_metadata(field, key, notes.get(key).cloned());
        }
        for key in ["delta.typeChanges", MAPPING_ID, MAPPING_NAME] {
            set_field_metadata(field, key, None);
        }
        if self.mapping_mode() != "none" {
            self.map_columns(false);
        }
        self.require_features();
        Ok(())
    }

    pub(super) fn keys(&self) -> Keys {
        let text = self.configuration.get(KEYS);
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub(super) fn put_keys(&mut self, keys: &Keys) {
        if keys.keys.is_empty() && keys.foreign_keys.is_empty() {
            self.configuration.remove(KEYS);
        } else if let Ok(text) = serde_json::to_string(keys) {
            self.configuration.insert(KEYS.to_owned(), text);
        }
    }

    fn field_mut(&mut self, column: &str) -> Option<&mut Value> {
        let at = self.position(column)?;
        self.fields.get_mut(at)
    }

    fn check_mapped(&self, what: &'static str) -> Result<()> {
        match self.mapping_mode() {
            "none" => Err(CatalogError::ColumnMappingNeeded { what }),
            _ => Ok(()),
        }
    }
}

/// A text column of another length: longer ones hold what is there.
fn set_notes(
    field: &mut Value,
    notes: &serde_json::Map<String, Value>,
    column: &str,
    to: &Field,
) -> Result<()> {
    let length = |notes: Option<&Value>| -> Option<i64> {
        notes.and_then(|m| m.get(FIELD_PG_TYPMOD)).and_then(Value::as_str)?.parse().ok()
    };
    let now = length(field.get("metadata"));
    let new = length(Some(&Value::Object(notes.clone())));
    let longer = match (now, new) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(now), Some(new)) => new >= now,
    };
    if !longer {
        return Err(not_wider(column, &json!("a longer text"), to));
    }
    for key in [FIELD_PG_TYPE, FIELD_PG_TYPMOD, CHAR_VARCHAR] {
        set_field_metadata(field, key, notes.get(key).cloned());
    }
    Ok(())
}

fn not_wider(column: &str, from: &Value, to: &Field) -> CatalogError {
    let pg_type = pg_type_of_column(to);
    let to = format_type(pg_type.oid, Some(pg_type.modifier));
    let from = match from.as_str() {
        Some("long") => "bigint",
        Some("short" | "byte") => "smallint",
        Some("double") => "double precision",
        Some("float") => "real",
        Some("string") => "text",
        Some("timestamp") => "timestamp with time zone",
        Some("timestamp_ntz") => "timestamp without time zone",
        Some(other) => other,
        None => "a nested type",
    };
    CatalogError::InvalidDefinition {
        message: format!("column \"{column}\" cannot be changed from {from} to {to}"),
        hint: Some(
            "Files stay as they are, so only wider types are possible; or make a new table with \
             CREATE TABLE … AS SELECT."
                .to_owned(),
        ),
    }
}

/// Notes a column's default, expression and remark.
pub(super) fn describe(
    field: &mut Value,
    default: Option<&str>,
    generated: Option<&str>,
    comment: Option<&str>,
) {
    for (key, text) in [(DEFAULT, default), (GENERATION, generated), (COMMENT, comment)] {
        if let Some(text) = text {
            set_field_metadata(field, key, Some(json!(text)));
        }
    }
}
