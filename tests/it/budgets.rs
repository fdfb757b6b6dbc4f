//! What a statement or a session may hold in memory, and what it is told when that is too little.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::Server;
use tokio_postgres::error::SqlState;

use super::wire::{Wire, bind, close, parse, query, sync};

const LIMIT: Duration = Duration::from_secs(60);

/// Statements that gather their rows end with an error, and leave nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn gathered_rows_count_as_memory() -> Result<()> {
    let change = |config: &mut tarn_server::ServerConfig| {
        config.memory_bytes_max = 64 << 20;
        config.memory_table_bytes_max = 4 << 30;
    };
    let server = Server::start_with(&[], change).await?;
    let client = server.connect().await?;
    client.batch_execute("CREATE TABLE t (x bigint, y text)").await?;
    let rows = "SELECT x, repeat('x', 1000) AS y FROM generate_series(1, 10000000) AS g(x)";
    for sql in [
        format!("CREATE TABLE u AS {rows}"),
        format!("INSERT INTO t {rows}"),
        format!("INSERT INTO t {rows} RETURNING *"),
    ] {
        let error = client.batch_execute(&sql).await.err().context("it has succeeded")?;
        ensure!(error.code() == Some(&SqlState::OUT_OF_MEMORY), "{sql}: {error:?}");
        server.until_quiet(LIMIT).await?;
    }
    ensure!(client.query_one("SELECT count(*) FROM t", &[]).await?.get::<_, i64>(0) == 0);
    client.batch_execute("INSERT INTO t SELECT x, 'y' FROM generate_series(1, 1000) g(x)").await?;
    server.until_quiet(LIMIT).await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_texts_have_a_limit_together() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    let large = format!("SELECT 1 /* {} */", "x".repeat(7 << 20));
    let mut lines = vec![];
    let mut n_prepared = 0;
    while n_prepared < 20 {
        let name = format!("s{n_prepared}");
        lines = wire.exchange(&[parse(&name, &large, &[]), sync()].concat()).await?;
        if lines != ["parsed", "ready I"] {
            break;
        }
        n_prepared += 1;
    }
    ensure!(lines == ["ERROR 53400", "ready I"], "{lines:?}");
    ensure!(n_prepared == 9, "{n_prepared} statements");
    // One that goes makes place for another.
    wire.exchange(&[close(b'S', "s0"), sync()].concat()).await?;
    let lines = wire.exchange(&[parse("s0", &large, &[]), sync()].concat()).await?;
    ensure!(lines == ["parsed", "ready I"], "{lines:?}");
    wire.check_alive().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_portals_have_a_limit_together() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    wire.exchange(&query("BEGIN")).await?;
    wire.exchange(&[parse("s", "SELECT length($1::text)", &[]), sync()].concat()).await?;
    let large = "x".repeat(100 << 20);
    for (name, expected) in [("a", "bound"), ("b", "bound"), ("c", "ERROR 53400")] {
        let value = Some(large.as_bytes());
        let lines = wire.exchange(&[bind(name, "s", &[], &[value], &[]), sync()].concat()).await?;
        ensure!(lines.first().is_some_and(|line| line == expected), "{name}: {lines:?}");
    }
    wire.exchange(&query("ROLLBACK")).await?;
    wire.check_alive().await?;
    server.stop().await;
    Ok(())
}
