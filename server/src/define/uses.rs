//! Which conditions and expressions of a table use a column.

use std::sync::Arc;

use tarn_catalog::{CatalogError, TableDetails, TableName};

use super::expressions::{columns_in, parsed};
use crate::error::Result;
use crate::session::Session;

/// What uses a column.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// The names of checks.
    pub(crate) checks: Vec<String>,
    /// Generated columns.
    pub(crate) generated: Vec<String>,
}

/// What uses a column; it does not use itself.
pub(crate) fn uses_of(
    session: &Arc<Session>,
    details: &TableDetails,
    columns: &[String],
    column: &str,
) -> Result<Uses> {
    let uses =
        |text: &str| -> Result<bool> { Ok(columns_in(&parsed(session, text)?).contains(column)) };
    let mut found = Uses::default();
    for check in &details.checks {
        if uses(&check.expression)? {
            found.checks.push(check.name.clone());
        }
    }
    for (at, other) in columns.iter().enumerate() {
        let Some(text) = details.generated_of(at) else { continue };
        if other != column && uses(text)? {
            found.generated.push(other.clone());
        }
    }
    Ok(found)
}

impl Uses {
    /// Refuses to drop or change a column that others are generated from.
    ///
    /// # Errors
    /// `DependentObjects`.
    pub(crate) fn refuse_generated(
        &self,
        verb: &'static str,
        table: &TableName,
        column: &str,
    ) -> Result<()> {
        let Some(generated) = self.generated.first() else { return Ok(()) };
        let table = table.table();
        Err(CatalogError::DependentObjects {
            verb,
            name: format!("column {column} of table {table}"),
            dependent: format!("column {generated} of table {table}"),
        }
        .into())
    }
}
