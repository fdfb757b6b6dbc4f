//! Engine without a socket: the session API that both frontends use.

use std::sync::Arc;

use tarn_server::{Execution, Protocol, Session, Shared};

use crate::answer::{Answer, Cell, SqlError};
use crate::arrow_text;

/// A server in this process.
#[derive(Clone)]
pub struct InProcessServer {
    shared: Arc<Shared>,
}

impl InProcessServer {
    /// Wraps what a server's sessions share.
    pub fn new(shared: Arc<Shared>) -> Self {
        InProcessServer { shared }
    }
}

impl std::fmt::Debug for InProcessServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcessServer").finish_non_exhaustive()
    }
}

/// One session.
pub struct InProcessSession {
    session: Arc<Session>,
}

impl std::fmt::Debug for InProcessSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcessSession").finish_non_exhaustive()
    }
}

impl InProcessSession {
    /// Opens a session as the default user.
    pub fn open(server: &InProcessServer) -> Result<Self, SqlError> {
        let session = Session::new(&server.shared, "tarn", "tarn", Protocol::Postgres, None)
            .map_err(|e| SqlError::new(e.sqlstate(), e.message()))?;
        Ok(InProcessSession { session })
    }

    /// Runs all statements of `sql` and returns the last one's answer.
    pub async fn run(&self, sql: &str) -> Result<Answer, SqlError> {
        let answer = self.run_all(sql).await;
        if answer.is_err() {
            // As the frontends do: after an error a transaction can only be rolled back.
            self.session.fail_transaction();
        }
        answer.map_err(|e| SqlError::new(e.sqlstate(), e.message()))
    }

    async fn run_all(&self, sql: &str) -> Result<Answer, tarn_server::Error> {
        let mut answer = Answer::Done(0);
        for statement in self.session.parse(sql)? {
            let prepared = self.session.prepare(statement, Vec::new()).await?;
            answer = match self.session.execute(&prepared, Vec::new()).await? {
                Execution::Done(tag) => Answer::Done(tag.n_rows.unwrap_or(0)),
                // The data of a COPY have no form outside of the Postgres wire.
                Execution::CopyOut(_) | Execution::CopyIn(_) => Answer::Done(0),
                Execution::Rows(mut batches) => {
                    let schema = batches.schema().clone();
                    let letters =
                        schema.fields().iter().map(|field| arrow_text::letter(field)).collect();
                    let mut rows: Vec<Vec<Cell>> = Vec::new();
                    while let Some(batch) = batches.next().await {
                        rows.extend(arrow_text::rows(&batch?, &schema));
                    }
                    Answer::Rows { letters, rows }
                }
            };
        }
        Ok(answer)
    }

    /// Stops the running query.
    pub fn cancel(&self) {
        self.session.cancel();
    }
}
