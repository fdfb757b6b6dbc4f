//! Columns that hold what several versions have in them.
//!
//! ```text
//! version     1          2: ALTER a TYPE bigint   3: RESTORE to 1
//! a           smallint   bigint                   smallint
//! its files   f1         f1, f2                   f1
//! ```
//! The changes from 1 to 3 have the rows of f2, in the columns of version 3: their `a` is bigint.
//! Rows of other versions may have NULL where the last one has none.

use serde_json::Value;

use super::commits::Commit;
use crate::Result;
use crate::delta::DeltaTable;
use crate::delta::layout::TableLayout;
use crate::delta::replay;
use crate::delta::snapshot::DeltaSnapshot;

impl DeltaSnapshot {
    /// The version's columns, each as wide as in any of these schemas, and all of them with NULLs.
    pub(super) fn layout_over(&self, schemas: &[Value]) -> Result<TableLayout> {
        let own = self.metadata.as_ref().clone();
        let widest = schemas.iter().fold(own, |columns, schema| columns.widened_by(schema));
        TableLayout::of(&self.table, &widest.with_nulls())
    }
}

impl DeltaTable {
    /// The columns of the last of these commits, as wide as in any version from the one before
    /// them on, whose files they may take out.
    pub(super) async fn layout_over(
        &self,
        last: &DeltaSnapshot,
        commits: &[Commit],
    ) -> Result<TableLayout> {
        let said = commits.iter().filter_map(|commit| commit.metadata.as_ref()?.schema.as_deref());
        let said = said.map(serde_json::from_str::<Value>).collect::<serde_json::Result<Vec<_>>>();
        let mut schemas = said.map_err(|error| self.damaged(format!("a schema: {error}")))?;
        let before = commits.first().and_then(|first| first.version.checked_sub(1));
        if let Some(before) = before.filter(|_| !schemas.is_empty())
            && before >= self.log.earliest().await?
        {
            let kernel = self.log.at_version(before).await?;
            schemas.push(replay::table_metadata(&self.name, &kernel)?.schema_json());
        }
        last.layout_over(&schemas)
    }
}
