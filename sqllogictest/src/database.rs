//! The connection that the `sqllogictest` crate drives: one session of any engine, a schema of its own per file,
//! a time limit per record.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqllogictest_lib::{AsyncDB, DBOutput};

use crate::answer::{Answer, Letter, SqlError, Values};
use crate::target::{Session, Target};

/// What the record about to run expects. The crate's trait does not carry it to the database.
#[derive(Debug, Clone, Default)]
pub struct Expecting {
    /// Letters after `query`; `None` for a statement.
    pub letters: Option<Vec<Letter>>,
}

/// State that the connections of one file share.
#[derive(Debug)]
pub struct FileState {
    /// Schema that holds what the file creates, already quoted where needed.
    pub schema: String,
    /// How values are written.
    pub values: Values,
    /// Longest time a record may take.
    pub timeout: Duration,
    /// What the next record expects.
    pub expecting: Mutex<Expecting>,
}

/// One connection of a file.
#[derive(Debug)]
pub struct Database {
    target: Arc<Target>,
    file: Arc<FileState>,
    session: Option<Session>,
}

impl Database {
    /// Opens a session that finds and creates tables in the file's schema.
    pub async fn connect(target: Arc<Target>, file: Arc<FileState>) -> Result<Self, SqlError> {
        let mut database = Database { target, file, session: None };
        database.session().await?;
        Ok(database)
    }

    /// The open session, or a new one when the last record broke or blocked it.
    async fn session(&mut self) -> Result<&mut Session, SqlError> {
        if self.session.as_ref().is_none_or(Session::is_closed) {
            let mut session = self.target.session().await?;
            session.run(&format!("SET search_path = {}, public", self.file.schema), false).await?;
            self.session = Some(session);
        }
        self.session.as_mut().ok_or_else(|| SqlError::connection("no session"))
    }

    async fn answer(&mut self, sql: &str) -> Result<DBOutput<Letter>, SqlError> {
        let expecting = self.file.expecting.lock().expect("no holder panics").clone();
        let values = self.file.values;
        let timeout = self.file.timeout;
        let want_letters =
            expecting.letters.is_some() && (values == Values::Exact || self.target.is_extended());
        let session = self.session().await?;
        let answer = match tokio::time::timeout(timeout, session.run(sql, want_letters)).await {
            Ok(answer) => answer?,
            Err(_) => {
                if let Some(session) = self.session.take() {
                    session.cancel().await;
                }
                let message = format!("the record took longer than {} s", timeout.as_secs_f64());
                return Err(SqlError::new("57014", message));
            }
        };
        Ok(output(answer, values, expecting.letters.as_deref()))
    }
}

fn output(answer: Answer, values: Values, expected: Option<&[Letter]>) -> DBOutput<Letter> {
    match answer {
        Answer::Done(n_rows) => DBOutput::StatementComplete(n_rows),
        Answer::Rows { letters, rows } => {
            let rows = rows
                .into_iter()
                .map(|row| {
                    row.iter()
                        .enumerate()
                        .map(|(i, cell)| {
                            let letter = expected.and_then(|letters| letters.get(i)).copied();
                            values.render(cell.as_deref(), letter)
                        })
                        .collect()
                })
                .collect();
            DBOutput::Rows { types: letters, rows }
        }
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

// Written out by hand instead of with `async_trait`, which this crate does not need otherwise.
impl AsyncDB for Database {
    type Error = SqlError;
    type ColumnType = Letter;

    fn run<'life0, 'life1, 'async_trait>(
        &'life0 mut self,
        sql: &'life1 str,
    ) -> BoxFuture<'async_trait, Result<DBOutput<Letter>, SqlError>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.answer(sql))
    }

    fn shutdown<'life0, 'async_trait>(&'life0 mut self) -> BoxFuture<'async_trait, ()>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        self.session = None;
        Box::pin(std::future::ready(()))
    }

    fn engine_name(&self) -> &str {
        self.target.engine().name()
    }

    fn sleep<'async_trait>(duration: Duration) -> BoxFuture<'async_trait, ()>
    where
        Self: 'async_trait,
    {
        Box::pin(tokio::time::sleep(duration))
    }

    fn error_sql_state(error: &SqlError) -> Option<String> {
        Some(error.sqlstate.clone())
    }
}
