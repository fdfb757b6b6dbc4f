//! Engine over the PostgreSQL protocol: tarn's own port, or a real PostgreSQL by URL.
//!
//! Rows come by the simple protocol, so values arrive in the server's text form. The simple protocol of the driver
//! hides column types; a record that compares them is described once more through a prepared statement.

use tokio::task::JoinHandle;
use tokio_postgres::types::{Kind, Type};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::answer::{Answer, Letter, SqlError};
use crate::binary;

/// One connection.
#[derive(Debug)]
pub struct PgSession {
    client: Client,
    connection: JoinHandle<()>,
    extended: bool,
}

impl PgSession {
    /// Connects; `extended` sends queries through prepared statements and reads values in binary.
    pub async fn connect(config: &Config, extended: bool) -> Result<Self, SqlError> {
        let (client, connection) = config.connect(NoTls).await.map_err(|e| sql_error(&e))?;
        let connection = tokio::spawn(async move {
            // The error also reaches the statement that was running.
            let _ = connection.await;
        });
        Ok(PgSession { client, connection, extended })
    }

    /// Runs `sql`; `want_letters` also asks for the column types.
    pub async fn run(&self, sql: &str, want_letters: bool) -> Result<Answer, SqlError> {
        if self.extended && want_letters {
            return self.run_extended(sql).await;
        }
        let letters = if want_letters { self.describe(sql).await? } else { None };
        let messages = self.client.simple_query(sql).await.map_err(|e| sql_error(&e))?;
        Ok(last_result(&messages, letters))
    }

    /// Asks the server to stop what it runs for this connection.
    pub async fn cancel(&self) {
        // A lost cancel request is no failure of the record: the connection is dropped after it.
        let _ = self.client.cancel_token().cancel_query(NoTls).await;
    }

    /// Whether the server or the driver has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Column types of `sql`, or `None` when it is more than one statement.
    async fn describe(&self, sql: &str) -> Result<Option<Vec<Letter>>, SqlError> {
        if sql.trim_end().trim_end_matches(';').contains(';') {
            return Ok(None);
        }
        let statement = self.client.prepare(sql).await.map_err(|e| sql_error(&e))?;
        Ok(Some(statement.columns().iter().map(|column| letter_of(column.type_())).collect()))
    }

    async fn run_extended(&self, sql: &str) -> Result<Answer, SqlError> {
        let statement = self.client.prepare(sql).await.map_err(|e| sql_error(&e))?;
        let letters: Vec<Letter> =
            statement.columns().iter().map(|c| letter_of(c.type_())).collect();
        if letters.is_empty() {
            let n_rows = self.client.execute(&statement, &[]).await.map_err(|e| sql_error(&e))?;
            return Ok(Answer::Done(n_rows));
        }
        let rows = self.client.query(&statement, &[]).await.map_err(|e| sql_error(&e))?;
        let rows = rows
            .iter()
            .map(|row| {
                (0..letters.len())
                    .map(|i| {
                        row.try_get::<_, Option<binary::Text>>(i)
                            .map(|cell| cell.map(|text| text.0))
                            .map_err(|e| sql_error(&e))
                    })
                    .collect()
            })
            .collect::<Result<_, _>>()?;
        Ok(Answer::Rows { letters, rows })
    }
}

impl Drop for PgSession {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The last result of a simple query, which may hold many statements.
fn last_result(messages: &[SimpleQueryMessage], letters: Option<Vec<Letter>>) -> Answer {
    let mut answer = Answer::Done(0);
    let mut in_rows = false;
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                let letters = letters
                    .clone()
                    .filter(|letters| letters.len() == columns.len())
                    .unwrap_or_else(|| vec![Letter::Any; columns.len()]);
                answer = Answer::Rows { letters, rows: Vec::new() };
                in_rows = true;
            }
            SimpleQueryMessage::Row(row) => {
                if let Answer::Rows { rows, .. } = &mut answer {
                    rows.push((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect());
                }
            }
            SimpleQueryMessage::CommandComplete(n_rows) => {
                if !in_rows {
                    answer = Answer::Done(*n_rows);
                }
                in_rows = false;
            }
            _ => {}
        }
    }
    answer
}

fn letter_of(type_: &Type) -> Letter {
    match *type_ {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => Letter::Integer,
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => Letter::Real,
        Type::BOOL => Letter::Boolean,
        Type::DATE
        | Type::TIME
        | Type::TIMETZ
        | Type::TIMESTAMP
        | Type::TIMESTAMPTZ
        | Type::INTERVAL => Letter::Date,
        _ => match type_.kind() {
            Kind::Domain(base) => letter_of(base),
            _ => Letter::Text,
        },
    }
}

fn sql_error(error: &tokio_postgres::Error) -> SqlError {
    match error.as_db_error() {
        Some(db) => SqlError::new(db.code().code(), db.message()),
        None => match std::error::Error::source(error) {
            Some(source) => SqlError::connection(format!("{error}: {source}")),
            None => SqlError::connection(error),
        },
    }
}
