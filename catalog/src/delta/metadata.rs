//! The `metaData` and `protocol` actions of one version as plain values.
//!
//! | module | what |
//! |---|---|
//! | this | reading and writing the two actions, and [`TableDetails`] from them |
//! | `protocol` | versions and features |
//! | `columns` | Arrow fields to Delta's columns |
//! | `create` | the metadata of a new table |
//! | `change` | what ALTER TABLE and COMMENT do |
//! | `properties` | which TBLPROPERTIES there are and what features they need |
//! | `widest` | columns as wide as in several versions |
//!
//! What Delta has no place for stands in the metadata of its columns and in its configuration
//! under names that start with `tarn.`, which other programs keep and ignore.
//!
//! Not here: SQL. Expressions are texts, which the caller has read.

use std::collections::{BTreeMap, HashMap};

use arrow::datatypes::{DataType, Field};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::details::{ForeignKey, TableCheck, TableDetails, TableKey};
use crate::pg_type::{FIELD_PG_TYPE, FIELD_PG_TYPMOD};
use crate::{CatalogError, Result};

mod change;
mod columns;
mod create;
mod properties;
mod protocol;
#[cfg(test)]
mod tests;
mod widest;

pub use change::NewColumn;
pub use protocol::TableProtocol;

/// A column's default as SQL, where Delta's own feature for defaults is off.
const DEFAULT: &str = "tarn.default";
/// A column's default where the feature `allowColumnDefaults` is on.
const CURRENT_DEFAULT: &str = "CURRENT_DEFAULT";
const GENERATION: &str = "delta.generationExpression";
const INVARIANTS: &str = "delta.invariants";
const COMMENT: &str = "comment";
/// `varchar(10)` and `char(10)` as Spark notes them.
const CHAR_VARCHAR: &str = "__CHAR_VARCHAR_TYPE_STRING";
const CONSTRAINT: &str = "delta.constraints.";
/// Declared keys as JSON in the configuration.
const KEYS: &str = "tarn.keys";
const MAPPING_MODE: &str = "delta.columnMapping.mode";
const MAPPING_MAX_ID: &str = "delta.columnMapping.maxColumnId";
const MAPPING_ID: &str = "delta.columnMapping.id";
const MAPPING_NAME: &str = "delta.columnMapping.physicalName";

/// What a version's `metaData` and `protocol` actions say.
#[derive(Debug, Clone, PartialEq)]
pub struct TableMetadata {
    id: String,
    name: Option<String>,
    description: Option<String>,
    format: Value,
    /// The columns as Delta writes them: name, type, nullable, metadata.
    fields: Vec<Value>,
    partition_columns: Vec<String>,
    configuration: BTreeMap<String, String>,
    created_time_ms: Option<i64>,
    protocol: TableProtocol,
}

/// Declared keys as they stand in the configuration.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Keys {
    keys: Vec<TableKey>,
    foreign_keys: Vec<ForeignKey>,
}

impl TableMetadata {
    /// Reads the two actions' inner objects; what a commit does not say is as in `previous`.
    ///
    /// # Errors
    /// `Corrupt` where a required part is missing or of a wrong kind.
    pub fn from_actions(
        table: &str,
        meta: Option<&Value>,
        protocol: Option<&Value>,
        previous: Option<&Self>,
    ) -> Result<Self> {
        let corrupt = |what: &str| CatalogError::Corrupt {
            table: table.to_owned(),
            what: what.to_owned(),
            source: None,
        };
        let protocol = match (protocol, previous) {
            (Some(action), _) => TableProtocol::from_action(action)
                .ok_or_else(|| corrupt("the protocol action lacks its versions"))?,
            (None, Some(previous)) => previous.protocol.clone(),
            (None, None) => return Err(corrupt("there is no protocol action")),
        };
        let Some(meta) = meta else {
            let previous = previous.ok_or_else(|| corrupt("there is no metaData action"))?;
            return Ok(Self { protocol, ..previous.clone() });
        };
        let schema: Value = meta
            .get("schemaString")
            .and_then(Value::as_str)
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| corrupt("the metaData action has no schema"))?;
        let fields = schema.get("fields").and_then(Value::as_array).cloned();
        Ok(Self {
            id: text_of(meta, "id").ok_or_else(|| corrupt("the metaData action has no id"))?,
            name: text_of(meta, "name"),
            description: text_of(meta, "description"),
            format: meta.get("format").cloned().unwrap_or_else(plain_format),
            fields: fields.ok_or_else(|| corrupt("the schema is no struct"))?,
            partition_columns: texts(meta.get("partitionColumns")),
            configuration: configuration_of(meta.get("configuration")),
            created_time_ms: meta.get("createdTime").and_then(Value::as_i64),
            protocol,
        })
    }

    /// The table's identifier, which never changes.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The remark on the table.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The columns as Delta's JSON.
    #[must_use]
    pub fn schema_json(&self) -> Value {
        json!({"type": "struct", "fields": self.fields})
    }

    /// The logical names of the partition columns in order.
    #[must_use]
    pub fn partition_columns(&self) -> &[String] {
        &self.partition_columns
    }

    /// Every entry of the configuration, the format's own included.
    #[must_use]
    pub fn configuration(&self) -> &BTreeMap<String, String> {
        &self.configuration
    }

    /// Versions and features.
    #[must_use]
    pub fn protocol(&self) -> &TableProtocol {
        &self.protocol
    }

    /// How columns are found in files: `none`, `name` or `id`.
    #[must_use]
    pub fn mapping_mode(&self) -> &str {
        self.configuration.get(MAPPING_MODE).map_or("none", String::as_str)
    }

    /// Whether a configuration entry says `true`.
    #[must_use]
    pub fn is_on(&self, property: &str) -> bool {
        self.configuration.get(property).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The `metaData` action as a line of a commit holds it.
    #[must_use]
    pub fn meta_action(&self) -> Value {
        let mut inner = Map::new();
        inner.insert("id".to_owned(), json!(self.id));
        if let Some(name) = &self.name {
            inner.insert("name".to_owned(), json!(name));
        }
        if let Some(description) = &self.description {
            inner.insert("description".to_owned(), json!(description));
        }
        inner.insert("format".to_owned(), self.format.clone());
        inner.insert("schemaString".to_owned(), json!(self.schema_json().to_string()));
        inner.insert("partitionColumns".to_owned(), json!(self.partition_columns));
        inner.insert("configuration".to_owned(), json!(self.configuration));
        if let Some(created) = self.created_time_ms {
            inner.insert("createdTime".to_owned(), json!(created));
        }
        json!({"metaData": inner})
    }

    /// The `protocol` action as a line of a commit holds it.
    #[must_use]
    pub fn protocol_action(&self) -> Value {
        json!({"protocol": self.protocol.to_action()})
    }

    /// Defaults, generated columns, keys, checks, remarks and properties.
    #[must_use]
    pub fn details(&self) -> TableDetails {
        let each = |key: &str| -> Vec<Option<String>> {
            self.fields.iter().map(|field| field_text(field, key)).collect()
        };
        let mut defaults = each(DEFAULT);
        for (default, current) in defaults.iter_mut().zip(each(CURRENT_DEFAULT)) {
            *default = default.take().or(current);
        }
        let keys: Keys = self
            .configuration
            .get(KEYS)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let is_own =
            |name: &str| name == KEYS || name == MAPPING_MAX_ID || name.starts_with(CONSTRAINT);
        let properties = self.configuration.iter().filter(|(name, _)| !is_own(name));
        TableDetails {
            defaults,
            generated: each(GENERATION),
            keys: keys.keys,
            foreign_keys: keys.foreign_keys,
            checks: self.checks(),
            comment: self.description.clone().filter(|text| !text.is_empty()),
            column_comments: each(COMMENT),
            properties: properties.map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }

    /// The CHECK constraints, and the older invariants of columns.
    fn checks(&self) -> Vec<TableCheck> {
        let constraints = self.configuration.iter().filter_map(|(key, expression)| {
            let name = key.strip_prefix(CONSTRAINT)?.to_owned();
            Some(TableCheck { name, expression: expression.clone() })
        });
        let invariants = self.fields.iter().filter_map(|field| {
            let text = field_text(field, INVARIANTS)?;
            let rule: Value = serde_json::from_str(&text).ok()?;
            let expression = rule.get("expression")?.get("expression")?.as_str()?.to_owned();
            Some(TableCheck { name: format!("{}_invariant", field_name(field)), expression })
        });
        constraints.chain(invariants).collect()
    }

    /// Whether there is a column of this name.
    #[must_use]
    pub fn has_column(&self, column: &str) -> bool {
        self.position(column).is_some()
    }

    fn position(&self, column: &str) -> Option<usize> {
        self.fields.iter().position(|field| field_name(field) == column)
    }
}

/// The metadata that a column of a Delta table has in tarn: PostgreSQL's type, where that says more
/// than Delta's.
#[must_use]
pub fn type_metadata(metadata: &HashMap<String, String>) -> HashMap<String, String> {
    let mut kept = HashMap::new();
    for key in [FIELD_PG_TYPE, FIELD_PG_TYPMOD] {
        if let Some(value) = metadata.get(key) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    let spark = metadata.get(CHAR_VARCHAR).and_then(|text| char_varchar(text));
    if let (true, Some((name, length))) = (kept.is_empty(), spark) {
        kept.insert(FIELD_PG_TYPE.to_owned(), name.to_owned());
        kept.insert(FIELD_PG_TYPMOD.to_owned(), length.saturating_add(4).to_string());
    }
    kept
}

/// Reads `varchar(10)` and `char(10)`.
fn char_varchar(text: &str) -> Option<(&'static str, i32)> {
    let (name, rest) = text.trim().split_once('(')?;
    let length = rest.strip_suffix(')')?.trim().parse().ok()?;
    match name.trim() {
        "varchar" => Some(("varchar", length)),
        "char" => Some(("bpchar", length)),
        _ => None,
    }
}

/// Whether a column of this type can tell partitions apart.
fn is_partition_type(field: &Field) -> bool {
    !matches!(field.data_type(), DataType::List(_) | DataType::Struct(_) | DataType::Map(..))
}

fn field_name(field: &Value) -> &str {
    field.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// A text in a column's metadata.
fn field_text(field: &Value, key: &str) -> Option<String> {
    field.get("metadata")?.get(key)?.as_str().map(ToOwned::to_owned)
}

/// Puts a value into a column's metadata, or takes it out.
fn set_field_metadata(field: &mut Value, key: &str, value: Option<Value>) {
    let Some(field) = field.as_object_mut() else { return };
    let metadata = field.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else { return };
    match value {
        Some(value) => drop(metadata.insert(key.to_owned(), value)),
        None => drop(metadata.remove(key)),
    }
}

/// Puts a part of a column's description in place.
fn set_member(field: &mut Value, key: &str, value: Value) {
    if let Some(field) = field.as_object_mut() {
        field.insert(key.to_owned(), value);
    }
}

fn text_of(action: &Value, key: &str) -> Option<String> {
    action.get(key)?.as_str().map(ToOwned::to_owned)
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|text| text.as_str().map(ToOwned::to_owned)).collect()
}

fn configuration_of(map: Option<&Value>) -> BTreeMap<String, String> {
    let map = map.and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn plain_format() -> Value {
    json!({"provider": "parquet", "options": {}})
}
