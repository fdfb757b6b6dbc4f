//! Commits that are whole: of clients that go away meanwhile, of Delta tables together with tables
//! in memory, of tables that were attached.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{Server, connect_pg, wait_until};
use tokio_postgres::Client;

use super::wire::{Wire, query};

/// How many clients vanish at once.
const N_CLIENTS: usize = 24;
/// How long a server may take for all of them.
const LIMIT: Duration = Duration::from_secs(60);

/// A server in `data_dir` whose tables last.
async fn start(data_dir: &Path) -> Result<Server> {
    Server::start_with(&[], |config| {
        config.data_dir = data_dir.to_owned();
        // Commits take their time.
        config.store_limits.fsync = true;
    })
    .await
}

/// How many tables of a schema have a log in storage, whether or not they are committed.
fn n_logs(data_dir: &Path, schema: &str) -> usize {
    let folder = data_dir.join("tables").join("tarn").join(schema);
    let tables = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let first = "_delta_log/00000000000000000000.json";
    tables.filter(|table| table.path().join(first).exists()).count()
}

/// How a statement ended: its SQLSTATE.
fn code<T>(done: &Result<T, tokio_postgres::Error>) -> Option<&str> {
    done.as_ref().err().and_then(|error| error.code()).map(tokio_postgres::error::SqlState::code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_a_client_that_vanishes_can_be_read_or_is_not_there() -> Result<()> {
    let data_dir = tempfile::tempdir()?;
    let server = start(data_dir.path()).await?;
    // So many have come as far as their commit when all of them go.
    for n_written in [1, 4, 8, 12, 16, 20] {
        let schema = format!("van{n_written}");
        server.connect().await?.batch_execute(&format!("CREATE SCHEMA {schema}")).await?;
        let mut wires = Vec::new();
        for _ in 0..N_CLIENTS {
            wires.push(Wire::connect(server.pg_addr()?).await?);
        }
        for (n, wire) in wires.iter_mut().enumerate() {
            let sql = format!("CREATE TABLE {schema}.v{n} USING delta AS SELECT {n} AS a");
            wire.send(&query(&sql)).await?;
        }
        let written = async || Ok(n_logs(data_dir.path(), &schema) >= n_written);
        wait_until(LIMIT, written).await?;
        drop(wires);
        server.until_quiet(LIMIT).await?;
    }
    // Stopping removes the files that nobody needs any more.
    server.stop().await;

    let server = start(data_dir.path()).await?;
    let client = server.connect().await?;
    let sql = "SELECT relnamespace::regnamespace::text, relname FROM pg_class \
               WHERE relnamespace::regnamespace::text LIKE 'van%'";
    let tables = client.query(sql, &[]).await?;
    ensure!(!tables.is_empty(), "no table was committed");
    let mut damaged = Vec::new();
    for row in &tables {
        let (schema, name): (&str, &str) = (row.get(0), row.get(1));
        let sql = format!("SELECT count(*) FROM {schema}.{name} WHERE 'v' || a = '{name}'");
        match client.query_one(&sql, &[]).await {
            Ok(row) if row.get::<_, i64>(0) == 1 => {}
            Ok(_) => damaged.push(format!("{schema}.{name}: other rows")),
            Err(error) => damaged.push(format!("{schema}.{name}: {error:?}")),
        }
    }
    let (n_damaged, n_tables) = (damaged.len(), tables.len());
    ensure!(damaged.is_empty(), "{n_damaged} of {n_tables}, first {:?}", damaged.first());
    server.stop().await;
    Ok(())
}

/// Adds rows to a Delta table and counts them in one in memory, again after each conflict.
async fn count_rows(client: Client, first: usize, n_rows: usize) -> Result<()> {
    for number in first..first + n_rows {
        let sql = format!(
            "BEGIN; INSERT INTO lasting VALUES ({number}); UPDATE counted SET n = n + 1; COMMIT"
        );
        loop {
            let done = client.batch_execute(&sql).await;
            match code(&done) {
                Some("40001") => client.batch_execute("ROLLBACK").await?,
                _ => break done.with_context(|| sql.clone())?,
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_in_memory_leaves_no_rows_in_a_delta_table() -> Result<()> {
    const N_WRITERS: usize = 6;
    const N_ROWS: usize = 8;
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    client
        .batch_execute(
            "CREATE TABLE lasting (number int) USING delta; \
             CREATE TABLE counted (n int) USING memory; INSERT INTO counted VALUES (0)",
        )
        .await?;
    let addr = server.pg_addr()?;
    let writers = (0..N_WRITERS).map(|writer| {
        tokio::spawn(
            async move { count_rows(connect_pg(addr).await?, writer * N_ROWS, N_ROWS).await },
        )
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    let sql =
        "SELECT count(*), count(DISTINCT number), (SELECT n::bigint FROM counted) FROM lasting";
    let row = client.query_one(sql, &[]).await?;
    let found: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    let expected = i64::try_from(N_WRITERS * N_ROWS)?;
    ensure!(found == (expected, expected, expected), "{found:?}, {expected} were acknowledged");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_attached_keeps_its_rows_where_the_commit_fails() -> Result<()> {
    let server = Server::start(&[]).await?;
    let folder = tempfile::tempdir()?;
    let attach =
        format!("CREATE TABLE there USING delta LOCATION '{}/there'", folder.path().display());
    let client = server.connect().await?;
    client
        .batch_execute(&format!(
            "{attach} AS SELECT 1 AS a; DROP TABLE there; \
             CREATE TABLE hot USING delta AS SELECT 1 AS n"
        ))
        .await?;
    client
        .batch_execute(&format!("BEGIN; {attach}; INSERT INTO there VALUES (2); DELETE FROM hot"))
        .await?;
    server.connect().await?.batch_execute("UPDATE hot SET n = 2").await?;
    let done = client.batch_execute("COMMIT").await;
    ensure!(code(&done) == Some("40001"), "{done:?}");
    client.batch_execute(&attach).await?;
    let row = client.query_one("SELECT count(*) FROM there", &[]).await?;
    ensure!(row.get::<_, i64>(0) == 1, "{row:?}");
    server.stop().await;
    Ok(())
}
