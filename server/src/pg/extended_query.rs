//! The extended protocol: Parse, Bind, Describe, Execute, Close.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete,
    PortalSuspended,
};
use pgwire::messages::response::EmptyQueryResponse;
use tarn_catalog::pg_type::{arrow_type_of, pg_type_of_data_type};
use tarn_planner::Command;

use super::connection::Connection;
use super::params::decode_parameter_in;
use super::rows::{Format, RowEncoder};
use super::sending::{Outgoing, Sent, row_description};
use crate::error::{Error, Result};
use crate::query::{CommandTag, Execution, Prepared};

/// Prepared statements of one session.
const N_STATEMENTS_MAX: usize = 10_000;

/// Open portals of one session; each may hold a running query.
const N_PORTALS_MAX: usize = 1_000;

/// A named or unnamed prepared statement.
#[derive(Clone)]
pub(super) struct StatementEntry {
    /// `None` for an empty text.
    prepared: Option<Arc<Prepared>>,
    /// The types that parameters are sent in.
    parameter_oids: Vec<u32>,
}

/// A statement with its parameters, perhaps half way through its rows.
pub(super) struct Portal {
    entry: StatementEntry,
    parameters: Vec<ScalarValue>,
    formats: Vec<Format>,
    state: State,
}

enum State {
    /// Bound only.
    New,
    /// Rows have been sent, more may follow.
    Suspended(Box<Outgoing>),
    /// Everything was sent.
    Done(CommandTag),
}

impl Connection {
    pub(super) async fn parse(&mut self, message: Parse) -> Result<()> {
        let name = message.name.unwrap_or_default();
        if !name.is_empty() && self.statements.contains_key(&name) {
            return Err(Error::DuplicateStatement { name });
        }
        if self.statements.len() >= N_STATEMENTS_MAX {
            return Err(Error::SessionLimit {
                what: "prepared statements",
                n_max: N_STATEMENTS_MAX,
            });
        }
        let mut statements = self.session.parse(&message.query)?;
        if statements.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement".to_owned();
            return Err(Error::Value { code: "42601", message });
        }
        let entry = match statements.pop() {
            None => StatementEntry { prepared: None, parameter_oids: message.type_oids },
            Some(statement) => {
                let declared = message.type_oids.iter().map(|oid| declared_type(*oid)).collect();
                let session = Arc::clone(&self.session);
                let prepared = self
                    .watching(async move { session.prepare(statement, declared).await })
                    .await?;
                let parameter_oids = parameter_oids(&message.type_oids, prepared.parameter_types());
                StatementEntry { prepared: Some(prepared), parameter_oids }
            }
        };
        self.statements.insert(name, entry);
        self.wire.push(&Backend::ParseComplete(ParseComplete::new()))
    }

    pub(super) fn bind(&mut self, message: Bind) -> Result<()> {
        let statement = message.statement_name.unwrap_or_default();
        let entry = self.statements.get(&statement).cloned();
        let entry = entry.ok_or(Error::UndefinedStatement { name: statement })?;
        let name = message.portal_name.unwrap_or_default();
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(Error::DuplicatePortal { name });
        }
        if self.portals.len() >= N_PORTALS_MAX {
            return Err(Error::SessionLimit { what: "portals", n_max: N_PORTALS_MAX });
        }
        let n_needed = entry.parameter_oids.len();
        let n_given = message.parameters.len();
        if n_given != n_needed {
            let message = format!(
                "bind message supplies {n_given} parameters, but prepared statement \"\" requires {n_needed}"
            );
            return Err(Error::Protocol { message });
        }
        let formats = formats(&message.parameter_format_codes, n_given, "parameter")?;
        let zone = self.encode_settings().time_zone;
        let mut parameters = Vec::with_capacity(n_given);
        for ((value, oid), format) in
            message.parameters.iter().zip(&entry.parameter_oids).zip(formats)
        {
            let value = decode_parameter_in(*oid, format, value.as_deref(), &zone)
                .map_err(|error| Error::Value { code: error.code, message: error.message })?;
            parameters.push(value);
        }
        let n_columns = entry
            .prepared
            .as_ref()
            .and_then(|prepared| prepared.schema())
            .map_or(0, |schema| schema.fields().len());
        let codes = &message.result_column_format_codes;
        // Codes for a statement without result columns are ignored, as in PostgreSQL.
        let formats = if n_columns == 0 { vec![] } else { formats_of_result(codes, n_columns)? };
        self.portals.insert(name, Portal { entry, parameters, formats, state: State::New });
        self.wire.push(&Backend::BindComplete(BindComplete::new()))
    }

    pub(super) fn describe(&mut self, message: &Describe) -> Result<()> {
        let name = message.name.clone().unwrap_or_default();
        let description = if message.target_type == b'S' {
            let entry = self.statements.get(&name);
            let entry = entry.ok_or(Error::UndefinedStatement { name })?;
            let types = ParameterDescription::new(entry.parameter_oids.clone());
            let schema = entry.prepared.as_ref().and_then(|prepared| prepared.schema()).cloned();
            self.wire.push(&Backend::ParameterDescription(types))?;
            schema
                .map(|schema| row_description(&schema, &vec![Format::Text; schema.fields().len()]))
        } else {
            let portal = self.portals.get(&name).ok_or(Error::UndefinedPortal { name })?;
            let schema = portal.entry.prepared.as_ref().and_then(|prepared| prepared.schema());
            schema.map(|schema| row_description(schema, &portal.formats))
        };
        self.wire.push(&description.unwrap_or_else(|| Backend::NoData(NoData::new())))
    }

    pub(super) async fn execute(&mut self, message: Execute) -> Result<()> {
        let name = message.name.unwrap_or_default();
        // The portal is taken out while it runs; it goes back only if there is more to fetch.
        let Some(mut portal) = self.portals.remove(&name) else {
            return Err(Error::UndefinedPortal { name });
        };
        let limit = u64::try_from(message.max_rows).ok().filter(|limit| *limit > 0);
        let state = std::mem::replace(&mut portal.state, State::New);
        portal.state = match state {
            State::New => match self.start_portal(&mut portal).await? {
                None => {
                    self.portals.insert(name, portal);
                    return Ok(());
                }
                Some(outgoing) => self.continue_portal(outgoing, limit).await?,
            },
            State::Suspended(outgoing) => self.continue_portal(outgoing, limit).await?,
            State::Done(tag) => {
                self.complete(&CommandTag { n_rows: tag.n_rows.map(|_| 0), ..tag.clone() })?;
                State::Done(tag)
            }
        };
        self.portals.insert(name, portal);
        Ok(())
    }

    /// Runs the statement; `None` where it has no rows and is answered already.
    async fn start_portal(&mut self, portal: &mut Portal) -> Result<Option<Box<Outgoing>>> {
        let Some(prepared) = portal.entry.prepared.clone() else {
            self.wire.push(&Backend::EmptyQueryResponse(EmptyQueryResponse::new()))?;
            return Ok(None);
        };
        let parameters = std::mem::take(&mut portal.parameters);
        let (session, running) = (Arc::clone(&self.session), Arc::clone(&prepared));
        let execution =
            self.watching(async move { session.execute(&running, parameters).await }).await?;
        match execution {
            Execution::Done(tag) => {
                self.forget_deallocated(Some(&prepared.command))?;
                self.complete(&tag)?;
                portal.state = State::Done(tag);
                Ok(None)
            }
            Execution::Rows(rows) => {
                let encoder =
                    RowEncoder::try_new(rows.schema(), &portal.formats, &self.encode_settings())?;
                Ok(Some(Box::new(Outgoing::new(rows, encoder))))
            }
        }
    }

    async fn continue_portal(
        &mut self,
        mut outgoing: Box<Outgoing>,
        limit: Option<u64>,
    ) -> Result<State> {
        match self.send(&mut outgoing, limit).await? {
            Sent::Limit => {
                self.wire.push(&Backend::PortalSuspended(PortalSuspended::new()))?;
                Ok(State::Suspended(outgoing))
            }
            Sent::All => {
                let tag = outgoing.tag();
                self.complete(&tag)?;
                Ok(State::Done(tag))
            }
        }
    }

    pub(super) fn close(&mut self, message: &Close) -> Result<()> {
        let name = message.name.as_deref().unwrap_or_default();
        if message.target_type == b'S' {
            self.statements.remove(name);
        } else {
            self.portals.remove(name);
        }
        self.wire.push(&Backend::CloseComplete(CloseComplete::new()))
    }

    /// DEALLOCATE and DISCARD ALL also drop what Parse has made.
    ///
    /// # Errors
    /// `UndefinedStatement` for a name that is none.
    pub(super) fn forget_deallocated(&mut self, command: Option<&Command>) -> Result<()> {
        match command {
            Some(Command::Deallocate(Some(name))) => match self.statements.remove(name) {
                Some(_) => Ok(()),
                None => Err(Error::UndefinedStatement { name: name.clone() }),
            },
            Some(Command::Deallocate(None)) => {
                self.statements.clear();
                Ok(())
            }
            Some(Command::Discard { what }) if what.eq_ignore_ascii_case("all") => {
                self.statements.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// What a client declares; 0 and `unknown` leave it to the server.
fn declared_type(oid: u32) -> Option<DataType> {
    if matches!(oid, 0 | 705) { None } else { arrow_type_of(oid) }
}

/// The client's own choice, or what the planner found.
fn parameter_oids(declared: &[u32], types: &[DataType]) -> Vec<u32> {
    let found = types.iter().map(|data_type| pg_type_of_data_type(data_type).oid);
    let declared = declared.iter().copied().map(Some).chain(std::iter::repeat(None));
    found
        .zip(declared)
        .map(|(found, declared)| declared.filter(|oid| !matches!(oid, 0 | 705)).unwrap_or(found))
        .collect()
}

fn formats_of_result(codes: &[i16], n_columns: usize) -> Result<Vec<Format>> {
    formats(codes, n_columns, "result column")
}

/// No code means text, one stands for all, otherwise there is one for each.
fn formats(codes: &[i16], n: usize, what: &str) -> Result<Vec<Format>> {
    let format = |code: &i16| match code {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        code => Err(Error::Protocol { message: format!("unsupported format code: {code}") }),
    };
    match codes {
        [] => Ok(vec![Format::Text; n]),
        [one] => Ok(vec![format(one)?; n]),
        codes if codes.len() == n => codes.iter().map(format).collect(),
        codes => Err(Error::Protocol {
            message: format!("bind message has {} {what} formats but {n} {what}s", codes.len()),
        }),
    }
}
