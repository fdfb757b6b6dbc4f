//! CREATE OR REPLACE TABLE where a Delta table takes its own place: other columns and rows in one
//! commit of the same table, which keeps its history.

use std::collections::BTreeMap;
use std::sync::Arc;

use tarn_catalog::TableName;
use tarn_catalog::delta::{
    Creation, MetadataChange, NewFile, Operation, StagedTable, TableMetadata,
};
use tarn_catalog::registry::Relation;
use tarn_planner::statement::TableClauses;

use super::lake::MANAGED;
use crate::error::Result;
use crate::query::unsupported;
use crate::session::Session;

/// The table that stays, if it is at the place where the new one would be.
pub(super) async fn same_place(
    session: &Arc<Session>,
    name: &TableName,
    clauses: &TableClauses,
) -> Result<Option<Arc<StagedTable>>> {
    let Some(Relation::Lake(table)) = session.relation(name) else { return Ok(None) };
    if table.format() != "delta" {
        return Ok(None);
    }
    let is_same = match &clauses.location {
        Some(location) => {
            let stores = session.shared.catalog.stores();
            let (wanted, there) = (stores.resolve(location)?, stores.resolve(table.location())?);
            plain(wanted.url.as_str()) == plain(there.url.as_str())
        }
        None => {
            let details = session.object(name).map(|object| object.details);
            details.is_some_and(|details| details.properties.contains_key(MANAGED))
        }
    };
    if !is_same {
        return Ok(None);
    }
    let staged = session.writable_lake(name, &table).await?;
    // A commit that lists changed rows has to list them all.
    if staged.snapshot().metadata().is_on("delta.enableChangeDataFeed") && session.in_block() {
        let place = "in a transaction on a table with a change data feed";
        return Err(unsupported(format!("CREATE OR REPLACE TABLE {place}")));
    }
    Ok(Some(staged))
}

/// A folder's URL, whether or not it ends in a slash.
fn plain(url: &str) -> &str {
    url.trim_end_matches('/')
}

/// The table without its rows and with other columns.
pub(super) fn emptied(
    staged: &StagedTable,
    metadata: TableMetadata,
    creation: Creation,
) -> Result<Arc<StagedTable>> {
    let before = Arc::clone(staged.snapshot().metadata());
    let metadata = metadata.in_place_of(&before);
    let is_protocol_changed = before.protocol() != metadata.protocol();
    let change = MetadataChange { metadata: Arc::new(metadata), is_protocol_changed };
    let emptied = staged.replace_all(vec![], operation(creation))?;
    Ok(emptied.set_metadata(change, None)?)
}

/// The same with rows.
pub(super) fn filled(staged: &StagedTable, files: Vec<NewFile>) -> Result<Arc<StagedTable>> {
    // The rows belong to what has emptied it.
    Ok(staged.append(files, None)?)
}

fn operation(creation: Creation) -> Operation {
    let name = match creation {
        Creation::Empty => "CREATE OR REPLACE TABLE",
        Creation::AsSelect => "CREATE OR REPLACE TABLE AS SELECT",
    };
    Operation::new(name, BTreeMap::new())
}
