//! What a statement or a session may hold in memory, and what it is told when that is too little.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{Server, wait_until};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::wire::{Wire, bind, close, parse, query, sync};

const LIMIT: Duration = Duration::from_secs(60);

/// Statements that gather their rows end with an error, and leave nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn gathered_rows_count_as_memory() -> Result<()> {
    let change = |config: &mut tarn_server::ServerConfig| {
        config.memory_bytes_max = 64 << 20;
        config.memory_table_bytes_max = 4 << 30;
        config.memory_tables_total_bytes_max = 4 << 30;
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

/// A hundred rows of a thousand letters each; equal ones would share their memory.
const ROWS: &str = "SELECT x, lpad(x::text, 1000, 'x') AS y FROM generate_series(1, 100) AS g(x)";

/// Sees that a statement finds the memory of all tables taken.
async fn check_full(client: &Client, sql: &str) -> Result<()> {
    let error = client.batch_execute(sql).await.err().with_context(|| format!("{sql} fits"))?;
    let error = error.as_db_error().context("no answer of the server")?;
    ensure!(*error.code() == SqlState::CONFIGURATION_LIMIT_EXCEEDED, "{sql}: {error:?}");
    let hint = error.hint().unwrap_or_default();
    ensure!(hint.contains("--memory-tables-total"), "{sql}: {error:?}");
    Ok(())
}

/// Inserts until there is no more memory, and returns how many rows are there then.
async fn fill(client: &Client, table: &str) -> Result<i64> {
    let insert = format!("INSERT INTO {table} {ROWS}");
    let mut n_rows = 0;
    while n_rows < 100_000 && client.batch_execute(&insert).await.is_ok() {
        n_rows += 100;
    }
    check_full(client, &insert).await?;
    let count = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?;
    ensure!(count.get::<_, i64>(0) == n_rows, "{count:?} instead of {n_rows} rows");
    Ok(n_rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_in_memory_have_a_limit_together() -> Result<()> {
    const BYTES_MAX: usize = 4 << 20;
    let change =
        |config: &mut tarn_server::ServerConfig| config.memory_tables_total_bytes_max = BYTES_MAX;
    let server = Server::start_with(&[], change).await?;
    let budget = server.shared().rows_budget.clone();
    let until_free = async |what: &str| {
        wait_until(LIMIT, async || Ok(budget.bytes_used() == 0))
            .await
            .with_context(|| format!("{} bytes are taken after {what}", budget.bytes_used()))
    };
    let (one, two) = (server.connect().await?, server.connect().await?);
    one.batch_execute("CREATE TABLE t (x bigint, y text)").await?;
    let n_rows = fill(&one, "t").await?;
    ensure!((500..4_200).contains(&n_rows), "{n_rows} rows in {BYTES_MAX} bytes");
    ensure!(budget.bytes_used() <= BYTES_MAX);
    // What one session has taken others lack, whatever they make of it.
    let many = ROWS.replace("100)", "4000)");
    check_full(&two, &format!("CREATE TEMP TABLE own AS {many}")).await?;
    check_full(&two, &format!("CREATE TABLE u AS {many}")).await?;
    check_full(&two, &format!("BEGIN; INSERT INTO t {many}")).await?;
    two.batch_execute("ROLLBACK; TRUNCATE t").await?;
    until_free("TRUNCATE").await?;
    two.batch_execute("CREATE TEMP TABLE own (x bigint, y text)").await?;
    fill(&two, "own").await?;
    check_full(&one, &format!("INSERT INTO t {many}")).await?;
    drop(two);
    until_free("the end of a session").await?;
    one.batch_execute(&format!("BEGIN; INSERT INTO t {ROWS}; SAVEPOINT s; INSERT INTO t {ROWS}"))
        .await?;
    ensure!(budget.bytes_used() > 0);
    one.batch_execute("ROLLBACK TO s; ROLLBACK").await?;
    until_free("ROLLBACK").await?;
    // An UPDATE needs old and new rows side by side; what fails leaves the old ones.
    let n_rows = fill(&one, "t").await?;
    check_full(&one, "UPDATE t SET y = y || y").await?;
    // A row keeps its prepared statement, and that the rows which it read.
    let n_old: i64 =
        one.query_one("SELECT count(*) FROM t WHERE length(y) = 1000", &[]).await?.get(0);
    ensure!(n_old == n_rows, "{n_old} of {n_rows} rows");
    one.batch_execute("DELETE FROM t").await?;
    until_free("DELETE").await?;
    fill(&one, "t").await?;
    one.batch_execute("DROP TABLE t").await?;
    until_free("DROP").await?;
    server.stop().await;
    Ok(())
}

/// Rows that a transaction adds are put behind those that others have added meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn rows_added_side_by_side_are_all_there() -> Result<()> {
    let server = Server::start(&[]).await?;
    let (one, two) = (server.connect().await?, server.connect().await?);
    one.batch_execute("CREATE TABLE t (x bigint); INSERT INTO t VALUES (1), (2), (3)").await?;
    one.batch_execute("BEGIN; INSERT INTO t VALUES (10); INSERT INTO t VALUES (11)").await?;
    two.batch_execute("INSERT INTO t VALUES (20); INSERT INTO t VALUES (21)").await?;
    one.batch_execute("COMMIT").await?;
    let sql = "SELECT string_agg(x::text, ',' ORDER BY x) FROM t";
    for client in [&one, &two] {
        let row = client.query_one(sql, &[]).await?;
        ensure!(row.get::<_, &str>(0) == "1,2,3,10,11,20,21", "{row:?}");
    }
    server.stop().await;
    Ok(())
}
