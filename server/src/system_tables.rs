//! Relations that the server answers itself: `pg_catalog`, `information_schema`, `tarn`.
//!
//! Each is built from memory when a query names it; none opens a data table.

mod provider;
mod tarn;
mod versions;

use std::sync::Arc;

use ::tarn_catalog::pg_catalog::live::{self, Activity, Cursor, PreparedStatement};
use ::tarn_catalog::pg_catalog::settings::settings;
use ::tarn_catalog::{CatalogError, SchemaEntry, TableEntry, information_schema, pg_catalog};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;

use self::provider::SystemTable;
use crate::access::check::{Asker, visible, without_secrets};
use crate::portals;
use crate::prepared::StatementEntry;
use crate::session::{Session, Status};

/// The schemas of system relations.
pub(crate) const SCHEMAS: &[&str] = &["pg_catalog", "information_schema", "tarn"];

/// The schemas with their relations, for the catalog.
pub(crate) fn schemas() -> Vec<SchemaEntry> {
    let schema = |oid: u32, name: &str, tables: Vec<Arc<TableEntry>>| SchemaEntry {
        oid,
        name: name.to_owned(),
        tables,
        ..SchemaEntry::default()
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
            "pg_settings" => Some(settings(&session.settings())?),
            "pg_timezone_abbrevs" => {
                Some(tarn_planner::functions::pg_catalog::timezone_abbreviations()?)
            }
            "pg_timezone_names" => Some(tarn_planner::functions::pg_catalog::timezone_names()?),
            "pg_stat_activity" => Some(live::stat_activity(&activity(session))?),
            "pg_cursors" => Some(live::cursors(&cursors(session))?),
            "pg_prepared_statements" => {
                Some(live::prepared_statements(&prepared_statements(session))?)
            }
            _ => {
                let mut snapshot = session.catalog_snapshot();
                if table == "pg_stats" && !session.is_superuser() {
                    snapshot = Arc::new(without_secrets(&snapshot, &session.current_user()));
                }
                pg_catalog::build(table, &snapshot).transpose()?
            }
        },
        "information_schema" => {
            let mut snapshot = session.catalog_snapshot();
            if !session.is_superuser() {
                snapshot = Arc::new(visible(&snapshot, &session.current_user()));
            }
            information_schema::build(table, &snapshot).transpose()?
        }
        "tarn" if table == versions::NAME => return Ok(Some(versions::provider(session))),
        "tarn" => tarn::build(session, table)?,
        _ => None,
    };
    batch.map(memory_provider).transpose()
}

/// Whether a plan reads system relations, and nothing else.
pub(crate) fn reads_only_system_tables(plan: &LogicalPlan) -> bool {
    let (mut any, mut only) = (false, true);
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let source = source_as_provider(&scan.source);
            let system = source.is_ok_and(|provider| provider.is::<SystemTable>());
            any = true;
            only = only && system;
        }
        Ok(if only { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    any && only && walked.is_ok()
}

fn memory_provider(batch: RecordBatch) -> Result<Arc<dyn TableProvider>, CatalogError> {
    Ok(Arc::new(SystemTable::new(batch)))
}

fn cursors(session: &Session) -> Vec<Cursor> {
    let row = |(name, statement, created_at, cursor): (_, Arc<str>, _, portals::Cursor)| Cursor {
        name,
        statement: statement.to_string(),
        created_at,
        holdable: cursor.hold,
        binary: cursor.binary,
        scrollable: cursor.scroll,
    };
    session.cursors().into_iter().map(row).collect()
}

fn prepared_statements(session: &Session) -> Vec<PreparedStatement> {
    let row = |(name, entry): (String, StatementEntry)| PreparedStatement {
        name,
        statement: entry.text.to_string(),
        prepared_at: entry.prepared_at,
        parameter_oids: entry.parameter_oids,
        from_sql: entry.from_sql,
    };
    session.prepared_statements().into_iter().map(row).collect()
}

fn activity(session: &Arc<Session>) -> Vec<Activity> {
    let shared = &session.shared;
    let asker = Asker::of(session);
    let row = |session: Arc<Session>| {
        // Everybody sees that others are there, not what they do.
        if !asker.may_watch(&session.user()) {
            return Activity {
                pid: session.pid(),
                user_oid: shared.users.oid(&session.user()).unwrap_or(10),
                user: session.user().to_string(),
                database: session.shared.catalog.database().to_owned(),
                query: "<insufficient privilege>".to_owned(),
                ..Activity::default()
            };
        }
        let (running, last) = session.running();
        let state = match (running.is_some(), session.status()) {
            (true, _) => "active",
            (false, Status::Idle) => "idle",
            (false, Status::Active) => "idle in transaction",
            (false, Status::Failed) => "idle in transaction (aborted)",
        };
        let transaction_started_at =
            session.transaction_start().or_else(|| running.as_ref().map(|query| query.started_at));
        let newest = running.or(last);
        Activity {
            pid: session.pid(),
            user_oid: shared.users.oid(&session.user()).unwrap_or(10),
            user: session.user().to_string(),
            database: session.shared.catalog.database().to_owned(),
            application_name: session.setting("application_name").unwrap_or_default(),
            client: session.client(),
            started_at: Some(session.started_at()),
            query_started_at: newest.as_ref().map(|query| query.started_at),
            state_changed_at: newest.as_ref().map(|query| query.started_at),
            transaction_started_at,
            state,
            query: newest.map_or_else(String::new, |query| query.text.to_string()),
        }
    };
    shared.sessions.list().into_iter().map(row).collect()
}
