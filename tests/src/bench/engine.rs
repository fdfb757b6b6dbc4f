//! One engine that runs SQL text and hands over every row.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use arrow::array::RecordBatch;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::{StreamExt, TryStreamExt};
use tokio_postgres::{Client, SimpleQueryMessage, types::ToSql};
use tonic::transport::{Channel, Endpoint};

use super::answer::Answer;
use super::peer::{Peer, Run, TableFiles};
use crate::harness::connect_pg;

/// How tarn is asked over the Postgres wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// One `Query` message, rows as text.
    Simple,
    /// Parse, Describe, Bind, Execute; rows in binary.
    Extended,
}

/// An engine with its connection.
#[derive(Debug)]
pub enum Engine {
    /// tarn over the Postgres wire.
    Pg(Client, Protocol),
    /// tarn over Flight SQL.
    Flight(FlightSqlServiceClient<Channel>),
    /// DuckDB or DataFusion in a process of its own.
    Peer(Box<Peer>),
}

impl Engine {
    /// Connects to tarn's Postgres frontend.
    pub async fn pg(addr: SocketAddr, protocol: Protocol) -> Result<Self> {
        Ok(Self::Pg(connect_pg(addr).await?, protocol))
    }

    /// Connects to tarn's Flight frontend; the handshake is for servers that ask for it.
    pub async fn flight(addr: SocketAddr) -> Result<Self> {
        Ok(Self::Flight(connect_flight(addr).await?))
    }

    /// Starts a peer over the files of the tables.
    pub fn peer(name: &str, tables: &TableFiles, threads: usize) -> Result<Self> {
        let mut peer = Peer::start(name)?;
        peer.open(tables, threads)?;
        Ok(Self::Peer(Box::new(peer)))
    }

    /// Runs a query to its last row; the rows are kept only when `want_rows`.
    pub async fn run(&mut self, sql: &str, want_rows: bool) -> Result<Run> {
        match self {
            Self::Pg(client, _) if want_rows => pg_rows(client, sql).await,
            Self::Pg(client, Protocol::Simple) => pg_simple(client, sql).await,
            Self::Pg(client, Protocol::Extended) => pg_extended(client, sql).await,
            Self::Flight(client) => flight(client, sql, want_rows).await,
            Self::Peer(peer) => peer.run(sql, want_rows),
        }
    }
}

/// Opens a channel to a Flight SQL server and authenticates as `tarn`.
pub async fn connect_flight(addr: SocketAddr) -> Result<FlightSqlServiceClient<Channel>> {
    let channel = Endpoint::from_shared(format!("http://{addr}"))?.connect().await?;
    let mut client = FlightSqlServiceClient::new(channel);
    client.handshake("tarn", "").await.context("Flight handshake")?;
    Ok(client)
}

/// Runs a query in the simple protocol and counts its rows as they arrive.
pub async fn pg_simple(client: &Client, sql: &str) -> Result<Run> {
    let started = Instant::now();
    let mut n_rows = 0;
    let mut messages = std::pin::pin!(client.simple_query_raw(sql).await?);
    while let Some(message) = messages.try_next().await? {
        n_rows += u64::from(matches!(message, SimpleQueryMessage::Row(_)));
    }
    Ok(Run { ms: ms_since(started), n_rows, answer: None })
}

/// Runs a query in the extended protocol, rows in binary, and counts them as they arrive.
pub async fn pg_extended(client: &Client, sql: &str) -> Result<Run> {
    let started = Instant::now();
    let mut n_rows = 0;
    let parameters: [&(dyn ToSql + Sync); 0] = [];
    let mut rows = std::pin::pin!(client.query_raw(sql, parameters).await?);
    while rows.try_next().await?.is_some() {
        n_rows += 1;
    }
    Ok(Run { ms: ms_since(started), n_rows, answer: None })
}

/// Runs a query in the extended protocol and keeps its rows.
pub async fn pg_rows(client: &Client, sql: &str) -> Result<Run> {
    let started = Instant::now();
    let statement = client.prepare(sql).await?;
    let rows = client.query(&statement, &[]).await?;
    let ms = ms_since(started);
    let columns: Vec<_> = statement.columns().iter().map(|c| c.type_().clone()).collect();
    let answer = Answer::from_pg(&columns, &rows)?;
    Ok(Run { ms, n_rows: rows.len() as u64, answer: Some(answer) })
}

/// Runs a query over Flight SQL and drains every endpoint.
pub async fn flight(
    client: &mut FlightSqlServiceClient<Channel>,
    sql: &str,
    want_rows: bool,
) -> Result<Run> {
    let started = Instant::now();
    let mut n_rows = 0;
    let mut kept: Vec<RecordBatch> = Vec::new();
    let info = client.execute(sql.to_owned(), None).await?;
    for endpoint in info.endpoint {
        let Some(ticket) = endpoint.ticket else { bail!("an endpoint without ticket") };
        let mut batches = client.do_get(ticket).await?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            n_rows += batch.num_rows() as u64;
            if want_rows {
                kept.push(batch);
            }
        }
    }
    let ms = ms_since(started);
    let answer = if want_rows { Some(Answer::from_batches(&kept)?) } else { None };
    Ok(Run { ms, n_rows, answer })
}

/// Returns the milliseconds since `started`.
pub fn ms_since(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}
