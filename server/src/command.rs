//! Statements that the session answers without the engine: settings and transactions.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use tarn_planner::statement::{Maintain, TransactionModes};
use tarn_planner::write::Target;
use tarn_planner::{Command, PlannerError};

use crate::error::{Error, Result};
use crate::lookup::SessionLookup;
use crate::query::{CommandTag, unsupported};
use crate::session::{Session, Status};

/// Runs one command.
pub(crate) fn run(session: &Arc<Session>, command: &Command) -> Result<CommandTag> {
    let tag = match command {
        Command::Set { name, value, local } => set(session, name, value.as_deref(), *local)?,
        Command::Reset { name } => {
            session.reset(name.as_deref())?;
            "RESET"
        }
        Command::Begin { modes, verb } => {
            session.begin(*modes)?;
            verb
        }
        Command::Savepoint(name) => {
            session.savepoint(name)?;
            "SAVEPOINT"
        }
        Command::Release(name) => {
            session.release(name)?;
            "RELEASE"
        }
        Command::RollbackTo(name) => {
            session.rollback_to(name)?;
            "ROLLBACK"
        }
        Command::SetTransaction { modes, session: for_session } => {
            set_transaction(session, *modes, *for_session)?
        }
        Command::Discard { what } => return discard(session, what),
        Command::Deallocate(name) => return session.deallocate(name.as_deref()),
        Command::Close(name) => return session.close_cursor(name.as_deref()),
        Command::Listen(channel) => {
            session.listen(channel);
            "LISTEN"
        }
        Command::Unlisten(channel) => {
            session.unlisten(channel.as_deref());
            "UNLISTEN"
        }
        Command::Notify { channel, payload } => notify(session, channel, payload)?,
        Command::Lock { tables } => lock(session, tables)?,
        Command::Maintain(maintain) => run_maintenance(session, maintain)?,
        Command::Query
        | Command::Commit { .. }
        | Command::Rollback { .. }
        | Command::Explain(_)
        | Command::Show { .. }
        | Command::Write(_)
        | Command::Define(_)
        | Command::Comment { .. }
        | Command::Declare(_)
        | Command::Fetch(_)
        | Command::Copy(_)
        | Command::Upkeep(_)
        | Command::Prepare { .. }
        | Command::Execute { .. } => return Err(unsupported("this statement here")),
    };
    Ok(CommandTag::new(tag))
}

/// COMMIT and ROLLBACK.
pub(crate) async fn end(session: &Arc<Session>, commit: bool, chain: bool) -> Result<CommandTag> {
    if session.status() == Status::Idle {
        if chain {
            let what = if commit { "COMMIT AND CHAIN" } else { "ROLLBACK AND CHAIN" };
            return Err(Error::NoTransaction { what });
        }
        session.notice("WARNING", "25P01", "there is no transaction in progress");
    }
    let modes = session.modes();
    // COMMIT of a failed transaction rolls it back, and says so.
    let committed = session.end(commit).await?;
    if chain {
        session.begin(modes)?;
    }
    Ok(CommandTag::new(if commit && committed { "COMMIT" } else { "ROLLBACK" }))
}

fn set_transaction(
    session: &Arc<Session>,
    modes: TransactionModes,
    for_session: bool,
) -> Result<&'static str> {
    let on_off = |on: bool| if on { "on" } else { "off" };
    if for_session {
        if let Some(isolation) = modes.isolation {
            session.set("default_transaction_isolation", isolation)?;
        }
        if let Some(read_only) = modes.read_only {
            session.set("default_transaction_read_only", on_off(read_only))?;
        }
        if let Some(deferrable) = modes.deferrable {
            session.set("default_transaction_deferrable", on_off(deferrable))?;
        }
    } else if session.in_block() {
        session.set_modes(modes)?;
    } else {
        let message = "SET TRANSACTION can only be used in transaction blocks";
        session.notice("WARNING", "25P01", message);
    }
    Ok("SET")
}

fn discard(session: &Arc<Session>, what: &str) -> Result<CommandTag> {
    if what == "ALL" {
        if session.in_block() {
            return Err(Error::Planner(PlannerError::Semantics {
                code: "25001",
                message: "DISCARD ALL cannot run inside a transaction block".to_owned(),
                position: None,
            }));
        }
        session.close_all_portals();
        session.deallocate(None)?;
        session.unlisten(None);
        session.discard()?;
    }
    if what == "TEMP" {
        session.inner.lock().temporary.clear();
        session.touch();
    }
    Ok(CommandTag::new(&format!("DISCARD {what}")))
}

/// Bytes that go with a notification; PostgreSQL's own limit.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 7_999;

fn notify(session: &Arc<Session>, channel: &str, payload: &str) -> Result<&'static str> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Error::Value { code: "22023", message: "payload string too long".to_owned() });
    }
    session.notify(channel.to_owned(), payload.to_owned())?;
    Ok("NOTIFY")
}

/// Refuses names that are no relations.
fn check_tables(session: &Arc<Session>, tables: &[Target]) -> Result<()> {
    let lookup = SessionLookup::new(session);
    for table in tables {
        let system = table.schema.as_deref().is_none_or(|schema| schema == "pg_catalog")
            && tarn_catalog::pg_catalog::schema(&table.table).is_some();
        let found = lookup.resolve(table.schema.as_deref(), &table.table);
        if let Some((name, _)) = &found {
            use tarn_catalog::rights::Privilege::{Delete, Select, Truncate, Update};
            session.require(name, &[Select, Update, Delete, Truncate])?;
        }
        if !system && found.is_none() {
            let name = match &table.schema {
                Some(schema) => format!("{schema}.{}", table.table),
                None => table.table.clone(),
            };
            return Err(
                PlannerError::UndefinedTable { name, position: None, suggestion: None }.into()
            );
        }
    }
    Ok(())
}

/// LOCK TABLE: readers see one version and writers find conflicts at COMMIT, so there is nothing
/// to wait for.
fn lock(session: &Arc<Session>, tables: &[Target]) -> Result<&'static str> {
    if !session.in_block() {
        return Err(Error::NoTransaction { what: "LOCK TABLE" });
    }
    check_tables(session, tables)?;
    Ok("LOCK TABLE")
}

fn run_maintenance(session: &Arc<Session>, maintain: &Maintain) -> Result<&'static str> {
    check_tables(session, &maintain.tables)?;
    let message = format!("{} is accepted and has no effect", maintain.verb);
    session.notice("NOTICE", "00000", message);
    Ok(maintain.verb)
}

fn set(
    session: &Arc<Session>,
    name: &str,
    value: Option<&str>,
    local: bool,
) -> Result<&'static str> {
    let snapshot = match value {
        Some(value) if name == "snapshot" => Some(crate::snapshot::checked(value)?),
        _ => None,
    };
    let value = snapshot.as_deref().or(value);
    match (value, local && session.in_block()) {
        (value, true) => session.set_local(name, value)?,
        (_, false) if local => {
            session.notice("WARNING", "25P01", "SET LOCAL can only be used in transaction blocks");
        }
        (Some(value), false) => session.set(name, value)?,
        (None, false) => session.reset(Some(name))?,
    }
    Ok("SET")
}

/// The columns of SHOW.
pub(crate) fn show_schema(name: &str) -> SchemaRef {
    let columns: &[&str] =
        if name == "all" { &["name", "setting", "description"] } else { &[shown_name(name)] };
    let fields: Vec<Field> =
        columns.iter().map(|column| Field::new(*column, DataType::Utf8, false)).collect();
    Arc::new(Schema::new(fields))
}

/// PostgreSQL shows a few settings in mixed case.
fn shown_name(name: &str) -> &str {
    match name {
        "timezone" => "TimeZone",
        "datestyle" => "DateStyle",
        "intervalstyle" => "IntervalStyle",
        other => other,
    }
}

/// The rows of SHOW.
pub(crate) fn show(session: &Arc<Session>, name: &str) -> Result<RecordBatch> {
    let schema = show_schema(name);
    let columns: Vec<ArrayRef> = if name == "all" {
        let all = session.settings();
        vec![
            Arc::new(StringArray::from_iter_values(all.iter().map(|row| &row.name))),
            Arc::new(StringArray::from_iter_values(all.iter().map(|row| &row.value))),
            Arc::new(StringArray::from_iter_values(all.iter().map(|row| &row.description))),
        ]
    } else {
        let value = session
            .setting(name)
            .ok_or_else(|| PlannerError::UndefinedSetting { name: name.to_owned() })?;
        vec![Arc::new(StringArray::from(vec![value]))]
    };
    RecordBatch::try_new(schema, columns)
        .map_err(|error| Error::Internal { what: format!("SHOW: {error}") })
}
