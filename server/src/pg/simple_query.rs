//! The simple protocol: a text with any number of statements, results as text.

use std::sync::Arc;

use futures::FutureExt;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::response::EmptyQueryResponse;
use tarn_planner::{Command, Statement};

use super::connection::Connection;
use super::rows::{Format, RowEncoder};
use super::sending::{Outgoing, Sent, row_description};
use crate::error::{Error, Result};
use crate::query::{CommandTag, Execution};
use crate::scan::{Keep, Scan};
use crate::session::Status;

impl Connection {
    /// Runs a text; the first error ends it and undoes what came before in the same transaction.
    pub(super) async fn simple_query(&mut self, text: &str) -> Result<()> {
        // The unnamed statement and portal do not outlive a simple query.
        self.session.remove_statement("");
        self.session.close_portal("");
        match self.parse_text(text).await {
            Err(error) => self.answer_error(&error)?,
            Ok(statements) if statements.is_empty() => {
                self.wire.push(&Backend::EmptyQueryResponse(EmptyQueryResponse::new()))?;
            }
            Ok(statements) => {
                if let Err(error) = self.simple_statements(statements).boxed().await {
                    self.answer_error(&error)?;
                }
            }
        }
        if self.session.status() == Status::Idle {
            self.session.end_portals(false);
        }
        self.ready()?;
        self.flush().await
    }

    async fn simple_statements(&mut self, statements: Vec<Statement>) -> Result<()> {
        let several = statements.len() > 1;
        let n_last = statements.len().saturating_sub(1);
        for (at, statement) in statements.into_iter().enumerate() {
            if several {
                self.session.begin_implicit(true);
            }
            let tag = self.simple_statement(statement).boxed().await?;
            if at == n_last {
                // Before the client is told that the last one is done.
                self.session.finish_implicit().await?;
            }
            self.complete(&tag)?;
        }
        Ok(())
    }

    async fn simple_statement(&mut self, statement: Statement) -> Result<CommandTag> {
        let session = Arc::clone(&self.session);
        let execution = self
            .watching(async move {
                let prepared = session.prepare(statement, vec![]).await?;
                if !prepared.parameter_types().is_empty()
                    && !matches!(prepared.command, Command::Prepare { .. })
                {
                    let message = "there is no parameter $1".to_owned();
                    return Err(Error::Value { code: "42P02", message });
                }
                session.execute(&prepared, vec![]).await
            })
            .await?;
        match execution {
            Execution::Done(tag) => Ok(tag),
            Execution::CopyOut(copy) => self.send_copy(copy).await,
            Execution::CopyIn(copy) => self.receive_copy(copy).boxed().await,
            Execution::Rows(rows) => {
                let format = if rows.is_binary() { Format::Binary } else { Format::Text };
                let formats = vec![format; rows.schema().fields().len()];
                let encoder =
                    RowEncoder::try_new(rows.schema(), &formats, &self.encode_settings())?;
                self.wire.push(&row_description(rows.schema(), &formats))?;
                let mut outgoing = Outgoing::new(Scan::new(rows, Keep::Nothing), encoder);
                match self.send(&mut outgoing, None).await? {
                    Sent::All => Ok(outgoing.tag()),
                    Sent::Limit => {
                        Err(Error::Internal { what: "a limit without a limit".to_owned() })
                    }
                }
            }
        }
    }
}
