//! The extended protocol: Parse, Bind, Describe, Execute, Close.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use futures::FutureExt;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete,
    PortalSuspended,
};
use pgwire::messages::response::EmptyQueryResponse;
use tarn_catalog::pg_type::{arrow_type_of, pg_type_of_data_type};

use super::connection::Connection;
use super::params::decode_parameter_in;
use super::rows::{Format, RowEncoder};
use super::sending::{Outgoing, Sent, is_same_result, row_description};
use crate::error::{Error, Result};
use crate::portals::{Portal, PortalState};
use crate::prepared::StatementEntry;
use crate::query::{CommandTag, Execution};
use crate::scan::{Keep, Scan};
use crate::session::Status;

impl Connection {
    pub(super) async fn parse(&mut self, message: Parse) -> Result<()> {
        let name = message.name.unwrap_or_default();
        self.session.check_statement_name(&name)?;
        let mut statements = self.parse_text(&message.query).await?;
        if statements.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement".to_owned();
            return Err(Error::Value { code: "42601", message });
        }
        let entry = match statements.pop() {
            None => StatementEntry::new(None, message.type_oids, false),
            Some(statement) => {
                let declared = message.type_oids.iter().map(|oid| declared_type(*oid)).collect();
                let session = Arc::clone(&self.session);
                let prepared = self
                    .watching(async move { session.prepare(statement, declared).await })
                    .await?;
                let parameter_oids = parameter_oids(&message.type_oids, prepared.parameter_types());
                StatementEntry::new(Some(prepared), parameter_oids, false)
            }
        };
        self.session.remove_statement_unnamed(&name);
        self.session.add_statement(name, entry)?;
        self.wire.push(&Backend::ParseComplete(ParseComplete::new()))
    }

    pub(super) fn bind(&mut self, message: Bind) -> Result<()> {
        let entry = self.session.find_statement(&message.statement_name.unwrap_or_default())?;
        let name = message.portal_name.unwrap_or_default();
        let prepared = entry.prepared.as_ref();
        let allowed = prepared.is_some_and(|prepared| prepared.ends_transaction());
        if self.session.status() == Status::Failed && !allowed {
            return Err(Error::FailedTransaction);
        }
        self.session.check_portal_name(&name)?;
        let n_needed = entry.parameter_oids.len();
        let n_given = message.parameters.len();
        if n_given != n_needed {
            let message = format!(
                "bind message supplies {n_given} parameters, but prepared statement \"\" requires {n_needed}"
            );
            return Err(Error::Protocol { message });
        }
        let formats = formats(&message.parameter_format_codes, n_given, "parameter")?;
        let zone = self.encode_settings().times.zone;
        let mut parameters = Vec::with_capacity(n_given);
        for ((value, oid), format) in
            message.parameters.iter().zip(&entry.parameter_oids).zip(formats)
        {
            let value = decode_parameter_in(*oid, format, value.as_deref(), &zone)
                .map_err(|error| Error::Value { code: error.code, message: error.message })?;
            parameters.push(value);
        }
        let codes = message.result_column_format_codes;
        let schema = prepared.and_then(|prepared| self.session.schema_of(prepared));
        // Codes for a statement without result columns are ignored, as in PostgreSQL.
        if let Some(schema) = schema {
            formats_of_result(&codes, schema.fields().len())?;
        }
        let portal = self.session.new_portal(entry, codes, PortalState::New(parameters));
        self.session.add_portal(name, portal)?;
        self.wire.push(&Backend::BindComplete(BindComplete::new()))
    }

    pub(super) fn describe(&mut self, message: &Describe) -> Result<()> {
        let name = message.name.clone().unwrap_or_default();
        let description = if message.target_type == b'S' {
            let entry = self.session.find_statement(&name)?;
            let schema = entry.prepared.and_then(|prepared| self.session.schema_of(&prepared));
            if self.session.status() == Status::Failed && schema.is_some() {
                return Err(Error::FailedTransaction);
            }
            let types = ParameterDescription::new(entry.parameter_oids);
            self.wire.push(&Backend::ParameterDescription(types))?;
            schema
                .map(|schema| row_description(&schema, &vec![Format::Text; schema.fields().len()]))
        } else {
            self.describe_portal(name)?
        };
        self.wire.push(&description.unwrap_or_else(|| Backend::NoData(NoData::new())))
    }

    fn describe_portal(&self, name: String) -> Result<Option<Backend>> {
        let read = |portal: &Portal| {
            let schema = match &portal.state {
                PortalState::Open(scan) => Ok(Some(Arc::clone(scan.schema()))),
                _ => Err(portal.entry.prepared.clone()),
            };
            let binary = portal.cursor.map(|cursor| cursor.binary);
            (schema, binary, portal.format_codes.clone())
        };
        let found = self.session.with_portal(&name, read);
        let (schema, binary, codes) = found.ok_or_else(|| self.missing_portal(name))?;
        let schema = match schema {
            Ok(schema) => schema,
            Err(prepared) => prepared.and_then(|prepared| self.session.schema_of(&prepared)),
        };
        let Some(schema) = schema else { return Ok(None) };
        if self.session.status() == Status::Failed {
            return Err(Error::FailedTransaction);
        }
        let n_columns = schema.fields().len();
        let formats = match binary {
            Some(true) => vec![Format::Binary; n_columns],
            Some(false) => vec![Format::Text; n_columns],
            None => formats_of_result(&codes, n_columns)?,
        };
        Ok(Some(row_description(&schema, &formats)))
    }

    /// PostgreSQL keeps the portals of a failed transaction, unusable, up to its end.
    fn missing_portal(&self, name: String) -> Error {
        match self.session.status() {
            Status::Failed => Error::FailedTransaction,
            Status::Idle | Status::Active => Error::UndefinedPortal { name },
        }
    }

    pub(super) async fn execute(&mut self, message: Execute) -> Result<()> {
        let name = message.name.unwrap_or_default();
        // The portal is taken out while it runs; it goes back only if nothing went wrong.
        let Some(mut portal) = self.session.take_portal(&name) else {
            return Err(self.missing_portal(name));
        };
        let limit = u64::try_from(message.max_rows).ok().filter(|limit| *limit > 0);
        portal.state = match std::mem::replace(&mut portal.state, PortalState::Failed) {
            PortalState::New(parameters) => {
                self.start_portal(&mut portal, parameters, limit).boxed().await?
            }
            PortalState::Open(mut scan) => {
                // Time that the client takes between two Executes is not the statement's.
                scan.set_deadline(self.session.deadline());
                self.continue_portal(&portal, scan, limit).await?
            }
            PortalState::Done(tag) => {
                self.complete(&CommandTag { n_rows: tag.n_rows.map(|_| 0), ..tag.clone() })?;
                PortalState::Done(tag)
            }
            PortalState::Failed => return Err(Error::FailedPortal { name }),
        };
        self.session.put_portal(name, portal);
        Ok(())
    }

    /// Runs the statement of a portal and sends its first rows.
    async fn start_portal(
        &mut self,
        portal: &mut Portal,
        parameters: Vec<ScalarValue>,
        limit: Option<u64>,
    ) -> Result<PortalState> {
        let Some(prepared) = portal.entry.prepared.clone() else {
            self.wire.push(&Backend::EmptyQueryResponse(EmptyQueryResponse::new()))?;
            return Ok(PortalState::New(parameters));
        };
        // What a series of messages changes comes to be at its Sync; a single one need not wait.
        if prepared.changes_something() && !self.wire.sync_is_next() {
            self.session.begin_implicit(false);
            (portal.transaction, portal.n_savepoints) = self.session.transaction_place();
        }
        let session = Arc::clone(&self.session);
        let told = prepared.schema().cloned();
        let execution =
            self.watching(async move { session.execute(&prepared, parameters).await }).await?;
        let tag = match execution {
            Execution::Rows(rows) => {
                // The client may know the columns from a Describe before the table was changed;
                // drivers know this error, and prepare again.
                if told.is_some_and(|told| !is_same_result(&told, rows.schema())) {
                    let message = "cached plan must not change result type".to_owned();
                    return Err(Error::Value { code: "0A000", message });
                }
                let scan = Box::new(Scan::new(rows, Keep::Nothing));
                return self.continue_portal(portal, scan, limit).await;
            }
            Execution::Done(tag) => tag,
            Execution::CopyOut(copy) => self.send_copy(copy).await?,
            Execution::CopyIn(copy) => self.receive_copy(copy).boxed().await?,
        };
        self.complete(&tag)?;
        Ok(PortalState::Done(tag))
    }

    async fn continue_portal(
        &mut self,
        portal: &Portal,
        scan: Box<Scan>,
        limit: Option<u64>,
    ) -> Result<PortalState> {
        let n_columns = scan.schema().fields().len();
        let formats = match portal.cursor {
            Some(cursor) if cursor.binary => vec![Format::Binary; n_columns],
            Some(_) => vec![Format::Text; n_columns],
            None => formats_of_result(&portal.format_codes, n_columns)?,
        };
        let encoder = RowEncoder::try_new(scan.schema(), &formats, &self.encode_settings())?;
        let mut outgoing = Outgoing::new(*scan, encoder);
        match self.send(&mut outgoing, limit).await? {
            Sent::Limit => {
                self.wire.push(&Backend::PortalSuspended(PortalSuspended::new()))?;
                Ok(PortalState::Open(Box::new(outgoing.scan)))
            }
            Sent::All => {
                let tag = outgoing.tag();
                self.complete(&tag)?;
                Ok(match portal.cursor {
                    // Can be scrolled back.
                    Some(_) => PortalState::Open(Box::new(outgoing.scan)),
                    None => PortalState::Done(tag),
                })
            }
        }
    }

    pub(super) fn close(&mut self, message: &Close) -> Result<()> {
        let name = message.name.as_deref().unwrap_or_default();
        if message.target_type == b'S' {
            self.session.remove_statement(name);
        } else {
            self.session.close_portal(name);
        }
        self.wire.push(&Backend::CloseComplete(CloseComplete::new()))
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
        code => {
            let message = format!("unsupported format code: {code}");
            Err(Error::Value { code: "22023", message })
        }
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
