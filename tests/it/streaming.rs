//! Rows on their way: back-pressure, cancel, timeouts, clients that vanish, late errors.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{Server, demo_data, wait_until};
use tokio_postgres::Client;

use super::wire::{Wire, bind, cancel, execute, flush, parse, query, sync};

/// 60,000 lines: small, but a cross join of it never ends.
const SCALE: f64 = 0.01;

/// How long a statement may take to stop.
pub(super) const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Queries that compute for longer than any test waits, each through other operators.
pub(super) const ENDLESS: [&str; 5] = [
    "SELECT (SELECT count(*) FROM generate_series(1, 1000000) AS a(x), \
     generate_series(1, 1000000) AS b(y) WHERE x * y % 7 = 1) AS n",
    "SELECT count(*) FROM generate_series(1, 1000000) AS a(x), generate_series(1, 1000000) AS b(y) \
     WHERE x * y % 7 = 1",
    "SELECT sum(a.l_quantity * b.l_discount) FROM lineitem a, lineitem b, lineitem c \
     WHERE a.l_partkey + b.l_partkey < c.l_partkey",
    "SELECT a.l_suppkey, count(*) FROM lineitem a JOIN lineitem b ON a.l_linenumber = b.l_linenumber \
     JOIN lineitem c ON b.l_linenumber = c.l_linenumber GROUP BY 1 ORDER BY 2 LIMIT 3",
    "SELECT * FROM lineitem a, lineitem b ORDER BY a.l_comment || b.l_comment LIMIT 5",
];

/// Far more rows than sockets and buffers hold.
pub(super) const WIDE: &str =
    "SELECT a.l_orderkey, repeat('x', 1000) FROM lineitem a, generate_series(1, 100) AS g(x)";

pub(super) async fn server() -> Result<Server> {
    Server::start(&[demo_data(SCALE)?]).await
}

/// Waits until the session of `wire` runs a query that is past planning.
pub(super) async fn until_running(server: &Server) -> Result<()> {
    let shared = server.shared();
    wait_until(Duration::from_secs(60), async || Ok(!shared.running.is_empty()))
        .await
        .context("waiting for the query to run")
}

/// Rows that the query of another session has scanned so far; `None` while there is none.
async fn n_rows_scanned(client: &Client) -> Result<Option<i64>> {
    let sql = "SELECT max(rows_scanned) FROM tarn.queries WHERE pid <> pg_backend_pid()";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

/// Waits until the number of scanned rows has not moved for 40 looks, and returns it.
pub(super) async fn standing_still(client: &Client) -> Result<i64> {
    let (mut last, mut n_same) = (None, 0);
    wait_until(Duration::from_secs(60), async || {
        let now = n_rows_scanned(client).await?;
        n_same = if now == last && now.is_some() { n_same + 1 } else { 0 };
        last = now;
        Ok(n_same >= 40)
    })
    .await
    .context("waiting for the scan to stand still")?;
    last.context("no query runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_computing() -> Result<()> {
    let server = server().await?;
    let addr = server.pg_addr()?;
    for sql in ENDLESS {
        let mut wire = Wire::connect(addr).await?;
        wire.send(&query(sql)).await?;
        until_running(&server).await?;
        cancel(addr, &(wire.key.0, vec![0; 4])).await?;
        ensure!(!server.shared().running.is_empty(), "a wrong secret has stopped {sql}");
        cancel(addr, &wire.key).await?;
        let answer = tokio::time::timeout(STOP_LIMIT, wire.until_ready()).await;
        let lines: Vec<_> = answer.context(sql)??.iter().map(|m| m.line()).collect();
        ensure!(lines.ends_with(&["ERROR 57014".to_owned(), "ready I".to_owned()]), "{lines:?}");
        server.until_quiet(STOP_LIMIT).await.context(sql)?;
        wire.check_alive().await?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_timeout_stops_computing() -> Result<()> {
    let server = server().await?;
    for sql in ENDLESS {
        let mut wire = Wire::connect(server.pg_addr()?).await?;
        wire.exchange(&query("SET statement_timeout = 300")).await?;
        let answer = tokio::time::timeout(STOP_LIMIT, wire.exchange(&query(sql))).await;
        let lines = answer.context(sql)??;
        ensure!(lines.ends_with(&["ERROR 57014".to_owned(), "ready I".to_owned()]), "{lines:?}");
        server.until_quiet(STOP_LIMIT).await.context(sql)?;
        wire.exchange(&query("RESET statement_timeout")).await?;
        wire.check_alive().await?;
    }
    server.stop().await;
    Ok(())
}

/// The wide query in both protocols, without waiting for an answer.
fn wide_queries() -> [(&'static str, Vec<u8>); 2] {
    let extended = [parse("", WIDE, &[]), bind("", "", &[], &[], &[1]), execute("", 0), sync()];
    [("simple", query(WIDE)), ("extended", extended.concat())]
}

/// Reads what is left of a wide answer: rows, then an error, then ReadyForQuery.
async fn check_error_after_rows(wire: &mut Wire, code: &str) -> Result<()> {
    let messages = wire.until_ready().await?;
    let rows = messages.iter().filter(|message| message.kind == b'D').count();
    let last: Vec<_> = messages[messages.len() - 2..].iter().map(|m| m.line()).collect();
    ensure!(rows > 0, "no rows before {last:?}");
    ensure!(last == [format!("ERROR {code}"), "ready I".to_owned()], "{last:?} after {rows} rows");
    ensure!(!messages.iter().any(|message| message.kind == b'C'), "an end and an error");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_hold_few_batches() -> Result<()> {
    let server = server().await?;
    let addr = server.pg_addr()?;
    let observer = server.connect().await?;
    let total: i64 = observer.query_one("SELECT count(*) FROM lineitem", &[]).await?.get(0);
    let sql = "SELECT repeat('x', 2000), * FROM lineitem";
    let extended = [parse("", sql, &[]), bind("", "", &[], &[], &[1]), execute("", 0), sync()];
    for (protocol, bytes) in [("simple", query(sql)), ("extended", extended.concat())] {
        let mut wire = Wire::connect_narrow(addr).await?;
        // Small batches, so that the table has many more of them than a query may hold.
        wire.exchange(&query("SET tarn.batch_rows = 500")).await?;
        wire.send(&bytes).await?;
        let first = standing_still(&observer).await.context(protocol)?;
        ensure!(first < total / 2, "{protocol}: {first} of {total} rows were scanned unread");
        let reserved = server.shared().engine.memory_pool().reserved();
        ensure!(reserved < 50_000_000, "{protocol}: {reserved} bytes for a client that waits");
        // Reading lets it go on, to the last row.
        let messages = wire.until_ready().await?;
        let n_rows = messages.iter().filter(|message| message.kind == b'D').count();
        ensure!(i64::try_from(n_rows)? == total, "{protocol}: {n_rows} of {total} rows");
        server.until_quiet(STOP_LIMIT).await?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_portals_hold_few_batches() -> Result<()> {
    let server = server().await?;
    let observer = server.connect().await?;
    let total: i64 = observer.query_one("SELECT count(*) FROM lineitem", &[]).await?.get(0);
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    wire.exchange(&query("SET tarn.batch_rows = 500")).await?;
    wire.exchange(&query("BEGIN")).await?;
    let start = [parse("", "SELECT l_comment FROM lineitem", &[]), bind("p", "", &[], &[], &[])];
    let lines = wire.exchange(&[start.concat(), execute("p", 10), sync()].concat()).await?;
    ensure!(lines.ends_with(&["suspended".to_owned(), "ready T".to_owned()]), "{lines:?}");
    let scanned = standing_still(&observer).await?;
    ensure!(scanned < total / 2, "{scanned} of {total} rows were scanned for 10");
    // The end of the transaction ends the query.
    wire.check(&[query("COMMIT")], &["done COMMIT", "ready I"]).await?;
    server.until_quiet(STOP_LIMIT).await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_sending() -> Result<()> {
    let server = server().await?;
    let addr = server.pg_addr()?;
    let observer = server.connect().await?;
    for (protocol, bytes) in wide_queries() {
        let mut wire = Wire::connect_narrow(addr).await?;
        wire.send(&bytes).await?;
        standing_still(&observer).await.context(protocol)?;
        cancel(addr, &wire.key).await?;
        // The query ends although the client still does not read.
        server.until_quiet(STOP_LIMIT).await.context(protocol)?;
        check_error_after_rows(&mut wire, "57014").await.context(protocol)?;
        wire.check_alive().await?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_timeout_stops_sending() -> Result<()> {
    let server = server().await?;
    for (protocol, bytes) in wide_queries() {
        let mut wire = Wire::connect_narrow(server.pg_addr()?).await?;
        wire.exchange(&query("SET statement_timeout = '2s'")).await?;
        wire.send(&bytes).await?;
        until_running(&server).await?;
        server.until_quiet(STOP_LIMIT).await.context(protocol)?;
        check_error_after_rows(&mut wire, "57014").await.context(protocol)?;
        wire.check_alive().await?;
    }
    server.stop().await;
    Ok(())
}

/// Planning counts as well: these terms take longer than a millisecond on any machine.
#[tokio::test(flavor = "multi_thread")]
async fn statement_timeout_stops_planning() -> Result<()> {
    let server = server().await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    wire.exchange(&query("SET statement_timeout = 1")).await?;
    let terms = vec!["l_orderkey + l_partkey = 2"; 900].join(" OR ");
    let sql = format!("SELECT count(*) FROM lineitem WHERE {terms}");
    for bytes in [query(&sql), [parse("", &sql, &[]), sync()].concat()] {
        let lines = wire.exchange(&bytes).await?;
        ensure!(lines == ["ERROR 57014", "ready I"], "{lines:?}");
    }
    // Setting it back is a statement, too, and may be out of time itself.
    wait_until(STOP_LIMIT, async || {
        let lines = wire.exchange(&query("RESET statement_timeout")).await?;
        Ok(lines == ["done RESET", "ready I"])
    })
    .await?;
    wire.check_alive().await?;
    server.stop().await;
    Ok(())
}

/// A cancel request that comes too late, or early, stops nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn cancel_of_an_idle_session_does_nothing() -> Result<()> {
    let server = server().await?;
    let addr = server.pg_addr()?;
    let mut wire = Wire::connect(addr).await?;
    cancel(addr, &wire.key).await?;
    wire.check_alive().await?;
    cancel(addr, &(i32::MAX, vec![0; 4])).await?;
    wire.check_alive().await?;
    server.stop().await;
    Ok(())
}

/// Starts `bytes` on a connection and lets go of it once the query runs.
async fn vanish(server: &Server, addr: SocketAddr, bytes: &[u8], narrow: bool) -> Result<()> {
    let mut wire =
        if narrow { Wire::connect_narrow(addr).await? } else { Wire::connect(addr).await? };
    wire.send(bytes).await?;
    until_running(server).await?;
    if narrow {
        let observer = server.connect().await?;
        standing_still(&observer).await?;
    }
    drop(wire);
    server.until_quiet(STOP_LIMIT).await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_vanish_free_their_query() -> Result<()> {
    let server = server().await?;
    let addr = server.pg_addr()?;
    for sql in ENDLESS {
        vanish(&server, addr, &query(sql), false)
            .await
            .with_context(|| format!("computing {sql}"))?;
    }
    for (protocol, bytes) in wide_queries() {
        vanish(&server, addr, &bytes, true)
            .await
            .with_context(|| format!("sending, {protocol}"))?;
    }
    let suspended = [
        query("BEGIN"),
        parse("", WIDE, &[]),
        bind("", "", &[], &[], &[]),
        execute("", 3),
        flush(),
    ];
    vanish(&server, addr, &suspended.concat(), false).await.context("suspended")?;
    let client = server.connect().await?;
    let rows =
        client.query("SELECT * FROM tarn.queries WHERE pid <> pg_backend_pid()", &[]).await?;
    ensure!(rows.is_empty(), "{} queries of clients that are gone", rows.len());
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_after_rows_is_an_error() -> Result<()> {
    let server = server().await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    wire.exchange(&query("SET tarn.batch_rows = 100; SET tarn.target_partitions = 1")).await?;
    let late = [
        "SELECT 1 / (x - 90000), repeat('x', 100) FROM generate_series(1, 90000) AS t(x)",
        "SELECT repeat('x', 100), 1 / (l_orderkey - 59009) FROM lineitem",
        "SELECT cast(x * 50000 AS int), repeat('x', 100) FROM generate_series(1, 90000) AS t(x)",
    ];
    for (sql, code) in late.iter().zip(["22012", "22012", "22003"]) {
        for bytes in [
            query(sql),
            [parse("", sql, &[]), bind("", "", &[], &[], &[]), execute("", 0), sync()].concat(),
        ] {
            wire.send(&bytes).await?;
            check_error_after_rows(&mut wire, code).await.with_context(|| (*sql).to_owned())?;
        }
        // In a suspended portal it comes with the part that has it.
        wire.exchange(&query("BEGIN")).await?;
        let begin = [parse("", sql, &[]), bind("", "", &[], &[], &[]), execute("", 50), sync()];
        let lines = wire.exchange(&begin.concat()).await?;
        ensure!(lines.ends_with(&["suspended".to_owned(), "ready T".to_owned()]), "{lines:?}");
        let lines = wire.exchange(&[execute("", 0), sync()].concat()).await?;
        ensure!(
            lines.ends_with(&[format!("ERROR {code}"), "ready E".to_owned()]),
            "{:?}",
            lines.last()
        );
        wire.exchange(&query("ROLLBACK")).await?;
    }
    server.until_quiet(STOP_LIMIT).await?;
    server.stop().await;
    Ok(())
}
