//! Relations that the server answers itself: `pg_catalog`, `information_schema`, `tarn`.
//!
//! Each is built from memory when a query names it; none opens a data table.

mod tarn;

use std::sync::Arc;

use ::tarn_catalog::pg_catalog::live::{self, Activity};
use ::tarn_catalog::{CatalogError, SchemaEntry, TableEntry, information_schema, pg_catalog};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemTable, TableProvider};

use crate::session::{Session, Status};

/// The schemas of system relations.
pub(crate) const SCHEMAS: &[&str] = &["pg_catalog", "information_schema", "tarn"];

/// The schemas with their relations, for the catalog.
pub(crate) fn schemas() -> Vec<SchemaEntry> {
    let schema = |oid: u32, name: &str, tables: Vec<Arc<TableEntry>>| SchemaEntry {
        oid,
        name: name.to_owned(),
        tables,
    };
    vec![
        schema(11, "pg_catalog", pg_catalog::system_entries()),
        schema(13_000, "information_schema", information_schema::system_entries()),
        schema(13_900, "tarn", tarn::entries()),
    ]
}

/// A system relation with its rows of now; `None` if there is none of this name.
pub(crate) fn provider(
    session: &Arc<Session>,
    schema: &str,
    table: &str,
) -> Result<Option<Arc<dyn TableProvider>>, CatalogError> {
    let batch = match schema {
        "pg_catalog" => match table {
            "pg_settings" => Some(live::settings(&session.settings())?),
            "pg_timezone_names" => Some(tarn_planner::functions::pg_catalog::timezone_names()?),
            "pg_stat_activity" => Some(live::stat_activity(&activity(session))?),
            _ => {
                let snapshot = session.shared.catalog.snapshot();
                pg_catalog::build(table, &snapshot).transpose()?
            }
        },
        "information_schema" => {
            let snapshot = session.shared.catalog.snapshot();
            information_schema::build(table, &snapshot).transpose()?
        }
        "tarn" => tarn::build(session, table)?,
        _ => None,
    };
    batch.map(memory_provider).transpose()
}

fn memory_provider(batch: RecordBatch) -> Result<Arc<dyn TableProvider>, CatalogError> {
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
    let table = table.map_err(|error| CatalogError::Internal { what: error.to_string() })?;
    Ok(Arc::new(table))
}

fn activity(session: &Arc<Session>) -> Vec<Activity> {
    let shared = &session.shared;
    let row = |session: Arc<Session>| {
        let (running, last) = session.running();
        let state = match (running.is_some(), session.status()) {
            (true, _) => "active",
            (false, Status::Idle) => "idle",
            (false, Status::Active) => "idle in transaction",
            (false, Status::Failed) => "idle in transaction (aborted)",
        };
        let newest = running.or(last);
        Activity {
            pid: session.pid(),
            user_oid: shared.users.oid(session.user()).unwrap_or(10),
            user: session.user().to_owned(),
            database: shared.catalog.database().to_owned(),
            application_name: session.setting("application_name").unwrap_or_default(),
            client: session.client(),
            started_at: Some(session.started_at()),
            query_started_at: newest.as_ref().map(|query| query.started_at),
            state_changed_at: newest.as_ref().map(|query| query.started_at),
            transaction_started_at: None,
            state,
            query: newest.map_or_else(String::new, |query| query.text.to_string()),
        }
    };
    shared.sessions.list().into_iter().map(row).collect()
}
