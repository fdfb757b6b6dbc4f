//! Rows on their way: readers that stop, cancel, go away.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use arrow_flight::FlightData;
use bytes::Bytes;
use tarn_tests::harness::{Server, wait_until};
use tonic::{Code, Status, Streaming};

use super::caller::{Caller, check_refused, endpoint_of, field, ticket_of};
use crate::streaming::{ENDLESS, STOP_LIMIT, WIDE, server, standing_still, until_running};

/// What `CancelFlightInfo` takes.
fn cancel_of(ticket: &[u8]) -> Bytes {
    field(1, &field(3, &endpoint_of(ticket))).into()
}

/// Plans a query that fills any buffer, and reads its first batch.
async fn first_batch(caller: &mut Caller, sql: &str) -> Result<(Bytes, Streaming<FlightData>)> {
    // Small batches, so that a table has many more of them than a query may hold.
    caller.query("SET tarn.batch_rows = 500").await?;
    let ticket = ticket_of(&caller.plan(sql).await?)?;
    let mut rows = caller.get(ticket.clone()).await?;
    for what in ["schema", "batch"] {
        rows.message().await?.with_context(|| format!("no {what}"))?;
    }
    Ok((ticket, rows))
}

/// Reads what is left of a stream, which has to end in an error.
async fn error_of(mut rows: Streaming<FlightData>) -> Result<Status> {
    loop {
        match rows.message().await {
            Ok(Some(_)) => {}
            Ok(None) => bail!("the rows have come to their end"),
            Err(status) => return Ok(status),
        }
    }
}

/// Sees that what is left of a stream ends because it was cancelled.
async fn check_cancelled(rows: Streaming<FlightData>) -> Result<()> {
    let status = error_of(rows).await?;
    check_refused::<()>("the rest", Err(status), Code::Cancelled, "57014")
}

/// The most rows that one of the running queries has scanned.
fn n_rows_scanned(server: &Server) -> u64 {
    let running = &server.shared().running;
    let progress = running.ids().into_iter().filter_map(|id| running.progress(id));
    progress.map(|progress| progress.n_rows_scanned).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_stop_hold_few_batches() -> Result<()> {
    let server = server().await?;
    let addr = server.flight_addr()?;
    let observer = server.connect().await?;
    let total: i64 = observer.query_one("SELECT count(*) FROM lineitem", &[]).await?.get(0);
    let mut slow = Caller::connect_narrow(addr).await?;
    let sql = "SELECT repeat('x', 2000), * FROM lineitem";
    let (_, mut rows) = first_batch(&mut slow, sql).await?;
    let scanned = standing_still(&observer).await?;
    ensure!(scanned < total / 2, "{scanned} of {total} rows were scanned unread");
    let reserved = server.shared().engine.memory_pool().reserved();
    ensure!(reserved < 50_000_000, "{reserved} bytes for a client that waits");
    // Others go on, over the same connection as well.
    slow.check_alive().await?;
    ensure!(Caller::connect(addr).await?.query("SELECT l_orderkey FROM lineitem").await? > 0);
    let still = n_rows_scanned(&server);
    ensure!(i64::try_from(still)? == scanned, "{scanned} rows were scanned, then {still}");
    // Reading lets it go on, to the last row.
    let mut n_messages = 0;
    while rows.message().await?.is_some() {
        n_messages += 1;
    }
    ensure!(n_messages > 50, "{n_messages} messages");
    ensure!(i64::try_from(slow.query(sql).await?)? == total);
    server.until_quiet(STOP_LIMIT).await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_go_away_free_their_query() -> Result<()> {
    let server = server().await?;
    let addr = server.flight_addr()?;
    let observer = server.connect().await?;
    // Only the call ends.
    let mut caller = Caller::connect_narrow(addr).await?;
    let (_, rows) = first_batch(&mut caller, WIDE).await?;
    standing_still(&observer).await?;
    drop(rows);
    server.until_quiet(STOP_LIMIT).await.context("a call that ended")?;
    caller.check_alive().await?;
    // The whole connection does.
    let (_, rows) = first_batch(&mut caller, WIDE).await?;
    standing_still(&observer).await?;
    drop((rows, caller));
    server.until_quiet(STOP_LIMIT).await.context("a connection that ended")?;
    let shared = server.shared();
    wait_until(STOP_LIMIT, async || Ok(shared.sessions.list().len() == 1))
        .await
        .context("sessions of clients that are gone")?;
    // While it computes, before there is a row.
    for sql in ENDLESS {
        let mut caller = Caller::connect(addr).await?;
        let reading = tokio::spawn(async move { caller.query(sql).await });
        until_running(&server).await?;
        reading.abort();
        server.until_quiet(STOP_LIMIT).await.with_context(|| format!("computing {sql}"))?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_computing_over_flight() -> Result<()> {
    let server = server().await?;
    let mut caller = Caller::connect(server.flight_addr()?).await?;
    for sql in ENDLESS {
        let ticket = ticket_of(&caller.plan(sql).await?)?;
        let mut reader = caller.clone();
        let reading = {
            let ticket = ticket.clone();
            tokio::spawn(async move { reader.read(ticket).await })
        };
        until_running(&server).await?;
        caller.action("CancelFlightInfo", cancel_of(&ticket)).await?;
        let answer = tokio::time::timeout(STOP_LIMIT, reading).await.context(sql)??;
        check_refused(sql, answer, Code::Cancelled, "57014")?;
        server.until_quiet(STOP_LIMIT).await.context(sql)?;
        caller.check_alive().await?;
    }
    server.stop().await;
    Ok(())
}

/// The query ends although the client does not read.
#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_sending_over_flight() -> Result<()> {
    let server = server().await?;
    let addr = server.flight_addr()?;
    let observer = server.connect().await?;
    let mut caller = Caller::connect_narrow(addr).await?;
    let (ticket, rows) = first_batch(&mut caller, WIDE).await?;
    standing_still(&observer).await?;
    caller.action("CancelFlightInfo", cancel_of(&ticket)).await?;
    server.until_quiet(STOP_LIMIT).await.context("cancelled")?;
    check_cancelled(rows).await?;
    caller.check_alive().await?;
    // The same by the clock, and by the end of the session.
    caller.query("SET statement_timeout = '2s'").await?;
    let (_, rows) = first_batch(&mut caller, WIDE).await?;
    server.until_quiet(Duration::from_secs(60)).await.context("out of time")?;
    check_cancelled(rows).await?;
    caller.query("RESET statement_timeout").await?;
    let (_, rows) = first_batch(&mut caller, WIDE).await?;
    standing_still(&observer).await?;
    caller.action("CloseSession", Bytes::new()).await?;
    server.until_quiet(STOP_LIMIT).await.context("a closed session")?;
    check_cancelled(rows).await?;
    caller.check_alive().await?;
    server.stop().await;
    Ok(())
}

/// An error after rows is an error, never a shorter result.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_after_rows_is_an_error_over_flight() -> Result<()> {
    let server = server().await?;
    let mut caller = Caller::connect(server.flight_addr()?).await?;
    caller.query("SET tarn.batch_rows = 100").await?;
    caller.query("SET tarn.target_partitions = 1").await?;
    let sql = "SELECT 1 / (x - 90000), repeat('x', 100) FROM generate_series(1, 90000) AS t(x)";
    let ticket = ticket_of(&caller.plan(sql).await?)?;
    let mut rows = caller.get(ticket).await?;
    for what in ["schema", "batch"] {
        rows.message().await?.with_context(|| format!("no {what}"))?;
    }
    let status = error_of(rows).await?;
    check_refused::<()>("the rest", Err(status), Code::InvalidArgument, "22012")?;
    caller.check_alive().await?;
    server.until_quiet(STOP_LIMIT).await?;
    server.stop().await;
    Ok(())
}

/// A server that stops tells the readers.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_rows_with_an_error() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut caller = Caller::connect(server.flight_addr()?).await?;
    let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 1000000000)";
    let (_, rows) = first_batch(&mut caller, sql).await?;
    let stopping = tokio::spawn(server.shutdown());
    let status = tokio::time::timeout(Duration::from_secs(30), error_of(rows)).await??;
    println!("told at the stop: {status:?}");
    let pending = stopping.await?;
    ensure!(pending.is_empty(), "{pending:?}");
    Ok(())
}
