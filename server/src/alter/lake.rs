//! ALTER TABLE and COMMENT ON of Delta tables: changes of the table's own metadata.

use std::sync::Arc;

use tarn_catalog::TableName;
use tarn_planner::write::Target;

use crate::error::Result;
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

/// COMMENT ON.
pub(crate) async fn comment(
    session: &Arc<Session>,
    name: &TableName,
    column: Option<&str>,
    text: Option<&str>,
) -> Result<()> {
    let _ = (session, name, column, text);
    Err(unsupported("COMMENT ON a Delta table"))
}

/// SET TBLPROPERTIES and RESET TBLPROPERTIES.
pub(crate) async fn set_properties(
    session: &Arc<Session>,
    table: &Target,
    if_exists: bool,
    properties: &[(String, Option<String>)],
) -> Result<CommandTag> {
    let _ = (session, table, if_exists, properties);
    Err(unsupported("ALTER TABLE … SET TBLPROPERTIES"))
}
