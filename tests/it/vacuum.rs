//! VACUUM beside sessions that read the past, or will.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{Server, wait_until};
use tokio_postgres::{Client, SimpleQueryMessage};

const LIMIT: Duration = Duration::from_secs(60);

/// How a session comes to read a former version of table `t`.
struct Reader {
    /// Before others change the table.
    enter: &'static [&'static str],
    /// Before it is read.
    resume: &'static [&'static str],
}

const READERS: &[Reader] = &[
    Reader { enter: &["BEGIN READ ONLY"], resume: &[] },
    Reader { enter: &["BEGIN", "SET TRANSACTION READ ONLY"], resume: &[] },
    Reader { enter: &["SET snapshot = 'now'"], resume: &[] },
    Reader { enter: &["SET snapshot = 't=1'"], resume: &[] },
    Reader { enter: &["SET snapshot = 'public.t = 1, nope = 5'"], resume: &[] },
    // The version is that of the session once its transaction has ended.
    Reader {
        enter: &["SET snapshot = 't=1'", "BEGIN", "SET LOCAL snapshot = ''"],
        resume: &["COMMIT"],
    },
    Reader { enter: &["SET snapshot = 't=1'", "BEGIN", "RESET snapshot"], resume: &["ROLLBACK"] },
    Reader {
        enter: &["BEGIN", "SET LOCAL snapshot = 't=1'", "SAVEPOINT s", "RESET snapshot"],
        resume: &["ROLLBACK TO s"],
    },
];

/// The first value of a query's only row. Not by a prepared statement, which would hold what it
/// reads.
async fn value(client: &Client, sql: &str) -> Result<String> {
    let messages = client.simple_query(sql).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let value = row.context("no row")?.get(0).context("NULL")?;
    Ok(value.to_owned())
}

fn n_data_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "parquet")).count()
}

/// Waits until the clock has moved far enough for storage to give other times to what comes next.
async fn a_moment_later(client: &Client) -> Result<()> {
    let now = value(client, "SELECT clock_timestamp()").await?;
    let later =
        format!("SELECT clock_timestamp() > '{now}'::timestamptz + interval '0.05 seconds'");
    wait_until(LIMIT, async || Ok(value(client, &later).await? == "t")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_leaves_what_sessions_have_yet_to_read() -> Result<()> {
    let server = Server::start(&[]).await?;
    let writer = server.connect().await?;
    writer.batch_execute("SET tarn.vacuum_retention_check = off").await?;
    for Reader { enter, resume } in READERS {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("t");
        let create =
            format!("CREATE TABLE t (n integer) USING delta LOCATION '{}'", place.display());
        writer.batch_execute(&create).await?;
        writer.batch_execute("INSERT INTO t VALUES (1), (2)").await?;
        a_moment_later(&writer).await?;
        let n_old = n_data_files(&place);
        let reader = server.connect().await?;
        for statement in *enter {
            reader.batch_execute(statement).await?;
        }
        a_moment_later(&writer).await?;
        writer.batch_execute("UPDATE t SET n = n + 10").await?;
        let n_all = n_data_files(&place);
        writer.batch_execute("VACUUM t RETAIN 0 HOURS").await?;
        ensure!(n_data_files(&place) == n_all, "{enter:?}: files are gone");
        for statement in *resume {
            reader.batch_execute(statement).await?;
        }
        let read = value(&reader, "SELECT sum(n) FROM t").await;
        ensure!(read.as_deref().ok() == Some("3"), "{enter:?}: {read:?}");
        // Without the session nothing needs the old file.
        drop(reader);
        wait_until(LIMIT, async || {
            writer.batch_execute("VACUUM t RETAIN 0 HOURS").await?;
            Ok(n_data_files(&place) == n_all - n_old)
        })
        .await
        .with_context(|| format!("after {enter:?}"))?;
        writer.batch_execute("DROP TABLE t").await?;
    }
    server.stop().await;
    Ok(())
}
