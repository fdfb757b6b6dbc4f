//! Maintenance and writes that are stopped half way: what they have written goes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{Server, wait_until};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

/// The files of a table beside its log, however deep, those on their way included.
fn data_files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let below = |entry: std::fs::DirEntry| match entry.path() {
        path if path.ends_with("_delta_log") => BTreeSet::new(),
        path if path.is_dir() => data_files(&path),
        path => BTreeSet::from([path]),
    };
    entries.flat_map(below).collect()
}

/// Waits until a table has no files but these.
async fn until_only(place: &Path, files: &BTreeSet<PathBuf>) -> Result<()> {
    let done = async || Ok(data_files(place) == *files);
    let waited = wait_until(Duration::from_secs(60), done).await;
    waited.with_context(|| format!("left: {:?}", data_files(place).difference(files)))
}

/// What there is to see of a table.
async fn state(client: &Client) -> Result<(i64, i64, i64)> {
    let row = client
        .query_one("SELECT count(*), sum(n)::bigint, sum(length(text))::bigint FROM t", &[])
        .await?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

async fn n_versions(client: &Client) -> Result<usize> {
    let messages = client.simple_query("DESCRIBE HISTORY t").await?;
    let rows = messages.iter();
    Ok(rows.filter(|m| matches!(m, tokio_postgres::SimpleQueryMessage::Row(_))).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn optimize_that_is_cancelled_leaves_the_table_as_it_was() -> Result<()> {
    const N_PARTITIONS: usize = 12;
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("t");
    let server = Server::start_with(&[], |config| config.n_threads = 2).await?;
    let client = server.connect().await?;
    client
        .batch_execute(&format!(
            "CREATE TABLE t (n bigint, text text, part int) USING delta PARTITIONED BY (part) \
             LOCATION '{}'",
            place.display()
        ))
        .await?;
    for _ in 0..2 {
        let rows = format!(
            "INSERT INTO t SELECT i, md5(i::text) || md5((i + 1)::text), (i % {N_PARTITIONS})::int \
             FROM generate_series(1, 360000) AS s (i)"
        );
        client.batch_execute(&rows).await?;
    }
    let (before, versions) = (state(&client).await?, n_versions(&client).await?);
    let files = data_files(&place);
    let token = client.cancel_token();
    let cancel = async {
        // Some of the new files are complete, others are not begun.
        wait_until(Duration::from_secs(120), async || {
            Ok(data_files(&place).difference(&files).next().is_some())
        })
        .await?;
        token.cancel_query(NoTls).await?;
        anyhow::Ok(())
    };
    let (ran, cancelled) = tokio::join!(client.batch_execute("OPTIMIZE t"), cancel);
    cancelled?;
    let stopped = ran.err().context("it came to its end")?;
    ensure!(stopped.code() == Some(&SqlState::QUERY_CANCELED), "{stopped}");
    ensure!(n_versions(&client).await? == versions, "it has committed");
    ensure!(state(&client).await? == before, "it has changed the table");
    until_only(&place, &files).await?;
    // The next run does all of it.
    client.batch_execute("OPTIMIZE t").await?;
    ensure!(n_versions(&client).await? == versions + 1 && state(&client).await? == before);
    // And leaves nothing to do: another one makes no version.
    client.batch_execute("OPTIMIZE t").await?;
    ensure!(n_versions(&client).await? == versions + 1 && state(&client).await? == before);
    server.stop().await;
    Ok(())
}

/// Statements that fail late, each after files were written.
const FAILING: [&str; 6] = [
    "INSERT INTO t SELECT i, 'x', (i % 4)::int / (200000 - i)::int FROM generate_series(1, 200000) AS s (i)",
    "UPDATE t SET part = part / (5000 - n)::int",
    "MERGE INTO t USING (SELECT i AS m FROM generate_series(4000, 6000) AS s (i)) AS s ON n = m \
     WHEN MATCHED THEN UPDATE SET part = 1 / (5000 - m)::int \
     WHEN NOT MATCHED THEN INSERT (n) VALUES (m)",
    "INSERT OVERWRITE t SELECT i, 'x', 1 / (100000 - i)::int FROM generate_series(1, 100000) AS s (i)",
    "BEGIN; INSERT INTO t SELECT i, 'x', 1 FROM generate_series(1, 1000) AS s (i); \
     DELETE FROM t WHERE n % 3 = 0; SELECT 1 / 0",
    "CREATE TABLE u USING delta LOCATION '{place}/u' AS \
     SELECT i, 1 / (200000 - i)::int AS j FROM generate_series(1, 200000) AS s (i)",
];

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_fail_leave_no_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("t");
    let server = Server::start_with(&[], |config| config.n_threads = 2).await?;
    let client = server.connect().await?;
    let create = format!(
        "CREATE TABLE t (n bigint, text text, part int) USING delta PARTITIONED BY (part) \
         LOCATION '{}'; \
         INSERT INTO t SELECT i, 'x', (i % 4)::int FROM generate_series(1, 10000) AS s (i)",
        place.display()
    );
    client.batch_execute(&create).await?;
    let before = (state(&client).await?, n_versions(&client).await?);
    let files = data_files(&place);
    let all = data_files(folder.path());
    for sql in FAILING {
        let sql = sql.replace("{place}", &folder.path().display().to_string());
        let failed = client.batch_execute(&sql).await.err().context("it came to its end")?;
        ensure!(failed.code() == Some(&SqlState::DIVISION_BY_ZERO), "{sql}: {failed:?}");
        client.batch_execute("ROLLBACK").await?;
        until_only(&place, &files).await.context(sql.clone())?;
        until_only(folder.path(), &all).await.context(sql)?;
    }
    ensure!((state(&client).await?, n_versions(&client).await?) == before);
    // Of a transaction only what it has committed stays.
    client
        .batch_execute(
            "BEGIN; INSERT INTO t VALUES (-1, 'a', 1); SAVEPOINT s; INSERT INTO t VALUES (-2, 'b', 1); \
             ROLLBACK TO s; INSERT INTO t VALUES (-3, 'c', 1); DELETE FROM t WHERE n = -3; COMMIT",
        )
        .await?;
    wait_until(Duration::from_secs(60), async || Ok(data_files(&place).len() == files.len() + 1))
        .await
        .with_context(|| format!("{:?}", data_files(&place).difference(&files)))?;
    ensure!(state(&client).await?.0 == 10_001);
    client.batch_execute("OPTIMIZE t").await?;
    ensure!(state(&client).await?.0 == 10_001);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_is_cancelled_leaves_no_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("t");
    let server = Server::start_with(&[], |config| config.n_threads = 2).await?;
    let client = server.connect().await?;
    let create = format!(
        "CREATE TABLE t (n bigint, text text, part int) USING delta LOCATION '{}' \
         TBLPROPERTIES ('delta.targetFileSize' = '100000'); INSERT INTO t VALUES (1, 'x', 1)",
        place.display()
    );
    client.batch_execute(&create).await?;
    let (before, files) = (state(&client).await?, data_files(&place));
    let token = client.cancel_token();
    let cancel = async {
        wait_until(Duration::from_secs(120), async || {
            Ok(data_files(&place).difference(&files).next().is_some())
        })
        .await?;
        token.cancel_query(NoTls).await?;
        anyhow::Ok(())
    };
    let endless =
        "INSERT INTO t SELECT i, md5(i::text), 1 FROM generate_series(1, 1000000000) AS s (i)";
    let (ran, cancelled) = tokio::join!(client.batch_execute(endless), cancel);
    cancelled?;
    let stopped = ran.err().context("it came to its end")?;
    ensure!(stopped.code() == Some(&SqlState::QUERY_CANCELED), "{stopped}");
    until_only(&place, &files).await?;
    ensure!(state(&client).await? == before);
    server.stop().await;
    Ok(())
}
