//! Maintenance that is stopped half way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{Server, wait_until};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

/// The data files of a table, however deep.
fn data_files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let below = |entry: std::fs::DirEntry| match entry.path() {
        path if path.is_dir() => data_files(&path),
        path if path.extension().is_some_and(|ending| ending == "parquet") => {
            BTreeSet::from([path])
        }
        _ => BTreeSet::new(),
    };
    entries.flat_map(below).collect()
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
    ensure!(files.is_subset(&data_files(&place)), "it has removed files");
    // The next run does all of it.
    client.batch_execute("OPTIMIZE t").await?;
    ensure!(n_versions(&client).await? == versions + 1 && state(&client).await? == before);
    // And leaves nothing to do: another one makes no version.
    client.batch_execute("OPTIMIZE t").await?;
    ensure!(n_versions(&client).await? == versions + 1 && state(&client).await? == before);
    server.stop().await;
    Ok(())
}
