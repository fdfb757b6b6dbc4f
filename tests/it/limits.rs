//! What ends sessions and statements against their will, and what must not.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{Server, wait_until};

use super::wire::{Wire, bind, execute, flush, parse, query, sync};

const LIMIT: Duration = Duration::from_secs(60);

/// Computes for longer than any test waits.
const ENDLESS: &str = "SELECT count(*) AS n FROM generate_series(1, 1000000) a(x), \
    generate_series(1, 1000000) b(y) WHERE x * y % 7 = 1";

async fn until_running(server: &Server) -> Result<()> {
    let shared = server.shared();
    wait_until(LIMIT, async || Ok(!shared.running.is_empty())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_have_a_time() -> Result<()> {
    let server = Server::start(&[]).await?;
    let addr = server.pg_addr()?;
    // Between statements, in the middle of one, and in one outside of a block.
    for text in [
        "SET transaction_timeout = 200; BEGIN",
        "SET transaction_timeout = 200; BEGIN; ENDLESS",
        "SET transaction_timeout = 200; ENDLESS",
    ] {
        let mut wire = Wire::connect(addr).await?;
        wire.send(&query(&text.replace("ENDLESS", ENDLESS))).await?;
        let mut lines = vec![];
        while let Some(message) = wire.next().await? {
            lines.push(message.line());
        }
        ensure!(lines.last().is_some_and(|line| line == "FATAL 25P04"), "{text}: {lines:?}");
    }
    // Short ones one after another may take as long as they like.
    let mut wire = Wire::connect(addr).await?;
    wire.exchange(&query("SET transaction_timeout = 400")).await?;
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(900) {
        wire.check_alive().await?;
    }
    server.until_quiet(LIMIT).await?;
    server.stop().await;
    Ok(())
}

/// A client that has an answer to read and does not read it is idle all the same.
#[tokio::test(flavor = "multi_thread")]
async fn idle_clients_that_do_not_read_end() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect_narrow(server.pg_addr()?).await?;
    wire.exchange(&query("SET idle_session_timeout = 300")).await?;
    // Each answer leaves after its statement has ended, and all of them fit into no socket.
    let answer = parse("", "SELECT repeat('x', 60000)", &[]);
    let run = [bind("", "", &[], &[], &[]), execute("", 0), sync()].concat();
    wire.send(&[answer, run.repeat(400)].concat()).await?;
    let shared = server.shared();
    wait_until(LIMIT, async || Ok(shared.sessions.list().is_empty())).await?;
    drop(wire);
    server.until_quiet(LIMIT).await?;
    server.stop().await;
    Ok(())
}

/// Waits until the server has ended another session for being idle for so long.
async fn idle_session_ends(server: &Server, timeout_ms: u32) -> Result<()> {
    let mut idle = Wire::connect(server.pg_addr()?).await?;
    idle.exchange(&query(&format!("SET idle_session_timeout = {timeout_ms}"))).await?;
    let lines = idle.exchange(b"").await?;
    ensure!(lines == ["FATAL 57P05", "closed"], "{lines:?}");
    Ok(())
}

/// A message that takes its time on the way does not make its client an idle one.
#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_are_not_idle() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    wire.exchange(&query("SET idle_session_timeout = 500")).await?;
    let bytes = query("SELECT 'ok' AS is");
    let started = Instant::now();
    for part in bytes.chunks(bytes.len() / 7) {
        wire.send(part).await?;
        idle_session_ends(&server, 150).await?;
    }
    ensure!(started.elapsed() > Duration::from_millis(900));
    let lines: Vec<_> = wire.until_ready().await?.iter().map(|m| m.line()).collect();
    ensure!(lines == ["columns is:25:0", "row ok", "done SELECT 1", "ready I"], "{lines:?}");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_ended_and_cancelled_by_number() -> Result<()> {
    let server = Server::start(&[]).await?;
    let (addr, shared) = (server.pg_addr()?, server.shared());
    let mut idle = Wire::connect(addr).await?;
    ensure!(shared.sessions.terminate_by_pid(idle.key.0), "an unknown session");
    let lines = idle.exchange(b"").await?;
    ensure!(lines == ["FATAL 57P01", "closed"], "{lines:?}");
    let mut busy = Wire::connect(addr).await?;
    busy.send(&query(ENDLESS)).await?;
    until_running(&server).await?;
    ensure!(shared.sessions.terminate_by_pid(busy.key.0), "an unknown session");
    let lines = busy.exchange(b"").await?;
    ensure!(lines.ends_with(&["FATAL 57P01".to_owned(), "closed".to_owned()]), "{lines:?}");
    server.until_quiet(LIMIT).await?;
    let mut busy = Wire::connect(addr).await?;
    busy.send(&query(ENDLESS)).await?;
    until_running(&server).await?;
    ensure!(shared.sessions.cancel_by_pid(busy.key.0), "an unknown session");
    let lines = busy.exchange(b"").await?;
    ensure!(lines.ends_with(&["ERROR 57014".to_owned(), "ready I".to_owned()]), "{lines:?}");
    busy.check_alive().await?;
    ensure!(!shared.sessions.cancel_by_pid(-1) && !shared.sessions.terminate_by_pid(-1));
    server.stop().await;
    Ok(())
}

/// Rows do not wait for a full buffer while the next ones are computed.
#[tokio::test(flavor = "multi_thread")]
async fn first_rows_come_at_once() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    let slow = ENDLESS.replace("SELECT count(*) AS n", "SELECT count(*)");
    wire.send(&query(&format!("SELECT 1::int8 AS n UNION ALL {slow}"))).await?;
    for expected in ["columns n:20:0", "row 1"] {
        let message = wire.next().await?.context("no answer")?;
        ensure!(message.line() == expected, "{}", message.line());
    }
    drop(wire);
    server.until_quiet(LIMIT).await?;
    server.stop().await;
    Ok(())
}

/// The time between two Executes is the client's, not the statement's.
#[tokio::test(flavor = "multi_thread")]
async fn suspended_portals_do_not_time_out() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    wire.exchange(&query("SET statement_timeout = 1000; BEGIN")).await?;
    let rows = "SELECT x::int AS x FROM generate_series(1, 5000) t(x)";
    wire.check(
        &[parse("", rows, &[]), bind("p", "", &[], &[], &[]), execute("p", 1), sync()],
        &["parsed", "bound", "row 1", "suspended", "ready T"],
    )
    .await?;
    idle_session_ends(&server, 1_300).await?;
    let lines = wire.exchange(&[execute("p", 0), sync()].concat()).await?;
    ensure!(lines.ends_with(&["done SELECT 4999".to_owned(), "ready T".to_owned()]), "{lines:?}");
    server.stop().await;
    Ok(())
}

/// A client that has sent far ahead of what runs is missed, too.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_sent_ahead_and_vanish_are_noticed() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    wire.send(&query(ENDLESS)).await?;
    until_running(&server).await?;
    wire.send(&query(&format!("SELECT length('{}')", "x".repeat(1_500_000)))).await?;
    drop(wire);
    server.until_quiet(LIMIT).await?;
    let shared = server.shared();
    wait_until(LIMIT, async || Ok(shared.sessions.list().is_empty())).await?;
    server.stop().await;
    Ok(())
}

/// A series that is sent whole before the first answer is read does not stand still.
#[tokio::test(flavor = "multi_thread")]
async fn long_pipelines_do_not_lock_up() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect_narrow(server.pg_addr()?).await?;
    let n = 3_000;
    let one = [bind("", "s", &[], &[Some(&[b'x'; 300])], &[]), execute("", 0)].concat();
    let statement = parse("s", "SELECT repeat($1, 3) AS t", &[25]);
    let bytes = [statement, one.repeat(n), flush(), sync()].concat();
    wire.send(&bytes).await?;
    let messages = wire.until_ready().await?;
    let n_rows = messages.iter().filter(|message| message.kind == b'D').count();
    ensure!(n_rows == n, "{n_rows} rows");
    server.stop().await;
    Ok(())
}
