//! What a relation's definition says beyond its columns: defaults, keys, checks, remarks.
//!
//! One shape for all kinds of relation: tables in memory hold it, Delta tables keep it in their
//! own metadata (`delta/metadata.rs`), the catalog keeps it for the others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a table's definition says beyond its columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableDetails {
    /// The SQL text of each column's default; shorter than the columns where the rest have none.
    pub defaults: Vec<Option<String>>,
    /// The SQL text of each generated column's expression; shorter than the columns where the rest
    /// are plain.
    pub generated: Vec<Option<String>>,
    /// Declared keys, which are not enforced.
    pub keys: Vec<TableKey>,
    /// Declared references to other tables, which are not enforced.
    pub foreign_keys: Vec<ForeignKey>,
    /// Conditions that each row has to fulfil.
    pub checks: Vec<TableCheck>,
    /// What COMMENT ON has said of the relation.
    pub comment: Option<String>,
    /// What COMMENT ON has said of each column; shorter than the columns where the rest have none.
    pub column_comments: Vec<Option<String>>,
    /// Names and values of TBLPROPERTIES; those that start with `tarn.` are the server's own.
    pub properties: BTreeMap<String, String>,
}

impl TableDetails {
    /// The SQL text of a column's default.
    #[must_use]
    pub fn default_of(&self, column: usize) -> Option<&str> {
        self.defaults.get(column)?.as_deref()
    }

    /// The SQL text of a generated column's expression.
    #[must_use]
    pub fn generated_of(&self, column: usize) -> Option<&str> {
        self.generated.get(column)?.as_deref()
    }

    /// The remark on a column.
    #[must_use]
    pub fn column_comment(&self, column: usize) -> Option<&str> {
        self.column_comments.get(column)?.as_deref()
    }
}

/// A declared key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableKey {
    /// The constraint's name.
    pub name: String,
    /// PRIMARY KEY instead of UNIQUE.
    pub primary: bool,
    /// The columns by name.
    pub columns: Vec<String>,
    /// RELY: the owner vouches for it, so that plans may be made on it.
    pub rely: bool,
}

/// A declared reference to another table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ForeignKey {
    /// The constraint's name.
    pub name: String,
    /// The columns by name.
    pub columns: Vec<String>,
    /// The schema of the other table.
    pub schema: String,
    /// The other table.
    pub table: String,
    /// Its columns; empty for its primary key.
    pub referred: Vec<String>,
    /// RELY: the owner vouches for it.
    pub rely: bool,
}

/// A condition that each row has to fulfil: one that is false for a row refuses it, NULL does not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableCheck {
    /// The constraint's name.
    pub name: String,
    /// The SQL text of the condition.
    pub expression: String,
}
