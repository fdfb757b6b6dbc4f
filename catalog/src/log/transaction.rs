//! Commits over several tables, as the log holds them.
//!
//! ```text
//! put_transaction   it is decided: what each table gets is in the record, or in a file that it names
//! end_transaction   every table has it; or it was called off before any table had it
//! ```
//! What happens between the two: docs/adr/006.

use serde::{Deserialize, Serialize};

/// A commit over several tables that is decided, and perhaps not in all of their logs yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionDef {
    /// The number of the record that decides it: the order in which transactions count.
    pub record: u64,
    /// When it was decided.
    pub at: String,
    /// The tables, in the order of their URLs.
    pub tables: Vec<TransactionTable>,
}

/// What a transaction does to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionTable {
    /// The table's name, for messages.
    pub name: String,
    /// The URL of its folder.
    pub location: String,
    /// The newest commit that it was checked against: its own comes behind.
    pub after: u64,
    /// Whether commits of the table say their time themselves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_times: bool,
    /// The lines of the commit; empty where they are in a file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content: String,
    /// The file with the lines of the commit, below the table's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_file: Option<String>,
}

impl TransactionDef {
    /// What it does to the table at a URL.
    #[must_use]
    pub fn table(&self, location: &str) -> Option<&TransactionTable> {
        self.tables.iter().find(|table| table.location == location)
    }

    /// The tables by name, for messages.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.tables.iter().map(|table| table.name.as_str()).collect();
        names.join(", ")
    }
}

/// How a transaction over several tables has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Each table has it, under this number; 0 where the table is gone.
    Done {
        /// In the order of the tables.
        versions: Vec<u64>,
    },
    /// No table has it, or ever will.
    Aborted,
    /// Some tables have it and others cannot, because a program that does not know the catalog has
    /// changed them at the same moment.
    Broken {
        /// Which, in words.
        what: String,
    },
}
