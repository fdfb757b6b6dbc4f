//! Statements that the session answers without the engine: settings and transactions.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use tarn_planner::{Command, PlannerError};

use crate::error::{Error, Result};
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
        Command::Begin { read_write } => begin(session, *read_write),
        Command::Commit => {
            if session.status() == Status::Idle {
                session.notice("WARNING", "25P01", "there is no transaction in progress");
            }
            // COMMIT of a failed transaction rolls it back, and says so.
            if session.end(true) { "COMMIT" } else { "ROLLBACK" }
        }
        Command::Rollback => {
            if session.status() == Status::Idle {
                session.notice("WARNING", "25P01", "there is no transaction in progress");
            }
            session.end(false);
            "ROLLBACK"
        }
        Command::Savepoint(_) | Command::Release(_) | Command::RollbackTo(_) => {
            savepoint(session, command)?
        }
        Command::SetTransaction => "SET",
        Command::Discard { what } => {
            if what.eq_ignore_ascii_case("all") && session.status() != Status::Idle {
                return Err(Error::Planner(PlannerError::Semantics {
                    code: "25001",
                    message: "DISCARD ALL cannot run inside a transaction block".to_owned(),
                    position: None,
                }));
            }
            if what.eq_ignore_ascii_case("all") || what.eq_ignore_ascii_case("temp") {
                session.discard()?;
            }
            return Ok(CommandTag::new(&format!("DISCARD {}", what.to_uppercase())));
        }
        Command::Deallocate(None) => return Ok(CommandTag::new("DEALLOCATE ALL")),
        Command::Deallocate(Some(_)) => "DEALLOCATE",
        Command::CloseAll => "CLOSE CURSOR ALL",
        Command::Notification(verb) => {
            session.notice("NOTICE", "00000", format!("{verb} is accepted and has no effect"));
            verb
        }
        Command::Query
        | Command::Explain(_)
        | Command::Show { .. }
        | Command::Write(_)
        | Command::Define(_) => {
            return Err(unsupported("this statement here"));
        }
    };
    Ok(CommandTag::new(tag))
}

/// SAVEPOINT, RELEASE and ROLLBACK TO.
fn savepoint(session: &Arc<Session>, command: &Command) -> Result<&'static str> {
    Ok(match command {
        Command::Savepoint(name) => {
            session.savepoints("SAVEPOINT", |names| {
                names.push(name.clone());
                Ok(())
            })?;
            "SAVEPOINT"
        }
        Command::Release(name) => {
            session.savepoints("RELEASE SAVEPOINT", |names| {
                names.truncate(position(names, name)?);
                Ok(())
            })?;
            "RELEASE"
        }
        Command::RollbackTo(name) => {
            session.savepoints("ROLLBACK TO SAVEPOINT", |names| {
                names.truncate(position(names, name)? + 1);
                Ok(())
            })?;
            session.revive();
            "ROLLBACK"
        }
        _ => return Err(unsupported("this statement here")),
    })
}

fn begin(session: &Arc<Session>, read_write: bool) -> &'static str {
    if session.status() == Status::Idle {
        session.begin();
    } else {
        session.notice("WARNING", "25001", "there is already a transaction in progress");
    }
    if read_write {
        session.notice("WARNING", "01000", "transactions are read-only snapshots");
    }
    "BEGIN"
}

fn set(
    session: &Arc<Session>,
    name: &str,
    value: Option<&str>,
    local: bool,
) -> Result<&'static str> {
    match (value, local && session.status() != Status::Idle) {
        (value, true) => session.set_local(name, value)?,
        (_, false) if local => {
            session.notice("WARNING", "25P01", "SET LOCAL can only be used in transaction blocks");
        }
        (Some(value), false) => session.set(name, value)?,
        (None, false) => session.reset(Some(name))?,
    }
    Ok("SET")
}

fn position(names: &[String], name: &str) -> Result<usize> {
    let found = names.iter().rposition(|known| known == name);
    found.ok_or_else(|| Error::UndefinedSavepoint { name: name.to_owned() })
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
            Arc::new(StringArray::from_iter_values(all.iter().map(|(name, _, _)| name))),
            Arc::new(StringArray::from_iter_values(all.iter().map(|(_, value, _)| value))),
            Arc::new(StringArray::from_iter_values(all.iter().map(|(_, _, text)| text))),
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
