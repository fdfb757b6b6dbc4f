//! Engine over Flight SQL, with the Rust client of arrow-flight.

use anyhow::{Context, Result};
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};

use crate::answer::{Answer, Cell, Letter, SqlError};
use crate::arrow_text;

/// A Flight SQL server.
#[derive(Debug, Clone)]
pub struct FlightAddress {
    endpoint: Endpoint,
}

impl FlightAddress {
    /// The server at `http://host:port`.
    pub fn new(url: &str) -> Result<Self> {
        let endpoint =
            Endpoint::from_shared(url.to_owned()).with_context(|| format!("bad --url {url:?}"))?;
        Ok(FlightAddress { endpoint })
    }
}

/// One session; the server knows it by the token of the handshake.
#[derive(Debug)]
pub struct FlightSession {
    client: FlightSqlServiceClient<Channel>,
}

impl FlightSession {
    /// Connects and shakes hands as the default user.
    pub async fn connect(address: &FlightAddress) -> Result<Self, SqlError> {
        let channel = address.endpoint.connect().await.map_err(SqlError::connection)?;
        let mut client = FlightSqlServiceClient::new(channel);
        client.handshake("tarn", "").await.map_err(|e| flight_error(&e))?;
        Ok(FlightSession { client })
    }

    /// Runs one statement: as a query, or as an update when the record expects no rows and the SQL is none.
    pub async fn run(&mut self, sql: &str, expects_rows: bool) -> Result<Answer, SqlError> {
        if !expects_rows && !returns_rows(sql) {
            let n_rows = self
                .client
                .execute_update(sql.to_owned(), None)
                .await
                .map_err(|e| flight_error(&e))?;
            return Ok(Answer::Done(u64::try_from(n_rows).unwrap_or(0)));
        }
        self.query(sql).await.map_err(|e| flight_error(&e))
    }

    async fn query(&mut self, sql: &str) -> Result<Answer, FlightError> {
        let info = self.client.execute(sql.to_owned(), None).await?;
        let announced = info.clone().try_decode_schema()?;
        let mut letters: Vec<Letter> =
            announced.fields().iter().map(|field| arrow_text::letter(field)).collect();
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for endpoint in info.endpoint {
            let Some(ticket) = endpoint.ticket else {
                continue;
            };
            let mut batches = self.client.do_get(ticket).await?;
            while let Some(batch) = batches.try_next().await? {
                letters =
                    batch.schema().fields().iter().map(|field| arrow_text::letter(field)).collect();
                rows.extend(arrow_text::rows(&batch, &batch.schema()));
            }
        }
        Ok(Answer::Rows { letters, rows })
    }
}

/// Whether a statement record holds a statement that answers with rows, which Flight SQL sends on another way.
fn returns_rows(sql: &str) -> bool {
    let words = ["select", "values", "with", "show", "explain", "table"];
    let first: String = sql
        .trim_start_matches(['(', ' ', '\n'])
        .chars()
        .take_while(|c| c.is_alphabetic())
        .collect();
    words.contains(&first.to_ascii_lowercase().as_str()) && !writes_behind_with(sql)
}

/// Whether an INSERT, UPDATE, DELETE or MERGE stands behind the queries of a WITH.
fn writes_behind_with(sql: &str) -> bool {
    let words: Vec<String> = sql.split_whitespace().map(str::to_ascii_lowercase).collect();
    let is_write = |word: &str| ["insert", "update", "delete", "merge"].contains(&word);
    words.first().is_some_and(|word| word == "with")
        && words.windows(2).any(|pair| match pair {
            [before, word] => before.ends_with(')') && is_write(word),
            _ => false,
        })
}

/// A status has no field for the SQLSTATE: tarn writes `42P01: message`, detail and hint on further
/// lines, and its refusals of malformed calls end in ` (SQLSTATE 08P01)`.
fn flight_error(error: &FlightError) -> SqlError {
    let FlightError::Tonic(status) = error else {
        return SqlError::connection(error);
    };
    let text = status.message().lines().next().unwrap_or_default();
    let is_code = |code: &str| {
        code.len() == 5 && code.bytes().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
    };
    if let Some((code, message)) = text.split_once(": ").filter(|(code, _)| is_code(code)) {
        return SqlError::new(code, message);
    }
    let refusal = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (SQLSTATE "));
    match refusal {
        Some((message, code)) => SqlError::new(code, message),
        None => SqlError::connection(format!("{:?}: {text}", status.code())),
    }
}
