//! The simple protocol: a text with any number of statements, results as text.

use std::sync::Arc;

use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::response::EmptyQueryResponse;
use tarn_planner::Statement;

use super::connection::Connection;
use super::rows::{Format, RowEncoder};
use super::sending::{Outgoing, Sent, row_description};
use crate::error::{Error, Result};
use crate::query::Execution;

impl Connection {
    /// Runs a text; the first error ends it.
    pub(super) async fn simple_query(&mut self, text: &str) -> Result<()> {
        // The unnamed statement and portal do not outlive a simple query.
        self.statements.remove("");
        self.portals.remove("");
        match self.session.parse(text) {
            Err(error) => self.answer_error(&error)?,
            Ok(statements) if statements.is_empty() => {
                self.wire.push(&Backend::EmptyQueryResponse(EmptyQueryResponse::new()))?;
            }
            Ok(statements) => {
                for statement in statements {
                    if let Err(error) = self.simple_statement(statement).await {
                        self.answer_error(&error)?;
                        break;
                    }
                }
            }
        }
        self.ready()?;
        self.flush().await
    }

    async fn simple_statement(&mut self, statement: Statement) -> Result<()> {
        let session = Arc::clone(&self.session);
        let command = statement.command().ok();
        let execution = self
            .watching(async move {
                let prepared = session.prepare(statement, vec![]).await?;
                if !prepared.parameter_types().is_empty() {
                    let message = "there is no parameter $1".to_owned();
                    return Err(Error::Value { code: "42P02", message });
                }
                session.execute(&prepared, vec![]).await
            })
            .await?;
        match execution {
            Execution::Done(tag) => {
                self.forget_deallocated(command.as_ref())?;
                self.complete(&tag)
            }
            Execution::Rows(rows) => {
                let formats = vec![Format::Text; rows.schema().fields().len()];
                let encoder =
                    RowEncoder::try_new(rows.schema(), &formats, &self.encode_settings())?;
                self.wire.push(&row_description(rows.schema(), &formats))?;
                let mut outgoing = Outgoing::new(rows, encoder);
                match self.send(&mut outgoing, None).await? {
                    Sent::All => self.complete(&outgoing.tag()),
                    Sent::Limit => {
                        Err(Error::Internal { what: "a limit without a limit".to_owned() })
                    }
                }
            }
        }
    }
}
