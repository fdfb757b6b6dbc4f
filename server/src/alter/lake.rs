//! ALTER TABLE and COMMENT ON of Delta tables: changes of the table's own metadata.

use std::sync::Arc;

use sqlparser::ast::AlterTableOperation;
use tarn_catalog::{LakeTable, TableName};
use tarn_exec::QueryId;
use tarn_planner::Statement;
use tarn_planner::write::Target;

use crate::error::Result;
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

/// ALTER TABLE.
pub(super) async fn alter(
    _session: &Arc<Session>,
    _statement: &Statement,
    _name: &TableName,
    _table: &Arc<dyn LakeTable>,
    _operations: &[AlterTableOperation],
    _query_id: QueryId,
) -> Result<()> {
    Err(unsupported("ALTER TABLE of a Delta table"))
}

/// COMMENT ON.
pub(crate) async fn comment(
    _session: &Arc<Session>,
    _statement: &Statement,
    _place: (&TableName, &Arc<dyn LakeTable>),
    _column: Option<&str>,
    _text: Option<&str>,
) -> Result<()> {
    Err(unsupported("COMMENT ON a Delta table"))
}

/// SET TBLPROPERTIES and RESET TBLPROPERTIES.
pub(crate) async fn set_properties(
    _session: &Arc<Session>,
    _statement: &Statement,
    _table: &Target,
    _if_exists: bool,
    _properties: &[(String, Option<String>)],
) -> Result<CommandTag> {
    Err(unsupported("ALTER TABLE … SET TBLPROPERTIES"))
}
