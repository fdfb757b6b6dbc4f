//! Eight writers from three servers on one table: everything lands once, conflicts are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tarn_tests::fakes::Faults;
use tokio::sync::Barrier;
use tokio_postgres::Client;

use super::child::ChildServer;
use super::lake::{Lake, skipped};

const N_SERVERS: usize = 3;
const N_WRITERS: usize = 8;

/// How a statement ended: the SQLSTATE of its error.
fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())
}

struct Cluster {
    lake: Lake,
    servers: Vec<ChildServer>,
    _folder: tempfile::TempDir,
}

impl Cluster {
    /// Makes the table `t` with these columns and three servers for it.
    async fn start(lake: Lake, columns: &[&str]) -> Result<Self> {
        lake.python("create_table.py", "t", columns).await?;
        let folder = tempfile::tempdir()?;
        let servers: Result<Vec<_>> = (0..N_SERVERS)
            .map(|n| tokio::task::block_in_place(|| lake.serve(&folder.path().join(n.to_string()))))
            .collect();
        Ok(Self { lake, servers: servers?, _folder: folder })
    }

    /// A connection for each writer, on the servers in turn.
    async fn connect(&self) -> Result<Vec<Client>> {
        let mut clients = Vec::new();
        for writer in 0..N_WRITERS {
            clients.push(self.servers[writer % N_SERVERS].connect().await?);
        }
        Ok(clients)
    }

    /// All rows as `deltalake` reads them, after a look at the history: one commit per version.
    async fn rows(&self) -> Result<Vec<Vec<Value>>> {
        let found = self.lake.python("check_table.py", "t", &["--rows"]).await?;
        let version = found["version"].as_u64().context("no version")?;
        let versions: Vec<u64> = serde_json::from_value(found["versions"].clone())?;
        ensure!(versions == (0..=version).collect::<Vec<_>>(), "{versions:?}");
        Ok(serde_json::from_value(found["rows"].clone())?)
    }
}

async fn appends_land_exactly_once(lake: Lake, n_commits: usize) -> Result<()> {
    let cluster = Cluster::start(lake, &["writer:long", "number:long"]).await?;
    let writers = cluster.connect().await?.into_iter().enumerate().map(|(writer, client)| {
        tokio::spawn(async move {
            for number in 0..n_commits {
                let sql = format!("INSERT INTO t VALUES ({writer}, {number}), ({writer}, -1)");
                // Lost races are run again by the server: an append conflicts with nothing.
                let n = client.execute(sql.as_str(), &[]).await.map_err(|e| {
                    anyhow::anyhow!("writer {writer}, commit {number}: {}: {e:?}", code(&e))
                })?;
                ensure!(n == 2, "{n} rows");
            }
            Ok(client)
        })
    });
    let mut clients = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        clients.push(writer.await??);
    }
    let rows = cluster.rows().await?;
    ensure!(rows.len() == N_WRITERS * n_commits * 2, "{} rows", rows.len());
    let mut counts: BTreeMap<(u64, i64), usize> = BTreeMap::new();
    for row in &rows {
        let key = (row[0].as_u64().context("writer")?, row[1].as_i64().context("number")?);
        *counts.entry(key).or_default() += 1;
    }
    for ((writer, number), n) in counts {
        let expected = if number < 0 { n_commits } else { 1 };
        ensure!(n == expected, "writer {writer}, number {number}: {n} times");
    }
    // Each server sees all of it with its next statement.
    for client in &clients {
        let n: i64 = client.query_one("SELECT count(*) FROM t", &[]).await?.get(0);
        ensure!(usize::try_from(n)? == rows.len(), "{n} of {} rows", rows.len());
    }
    Ok(())
}

/// Everyone reads, everyone changes the same row, everyone commits: one may.
async fn one_of_conflicting_updates_wins(lake: Lake, n_rounds: i64) -> Result<()> {
    let cluster = Cluster::start(lake, &["id:long", "value:long"]).await?;
    let clients = cluster.connect().await?;
    clients[0].batch_execute("INSERT INTO t VALUES (1, 0), (2, 0)").await?;
    let (ready, changed) = (Arc::new(Barrier::new(N_WRITERS)), Arc::new(Barrier::new(N_WRITERS)));
    let writers = clients.into_iter().map(|client| {
        let (ready, changed) = (Arc::clone(&ready), Arc::clone(&changed));
        tokio::spawn(async move {
            let mut codes = Vec::new();
            for _ in 0..n_rounds {
                ready.wait().await;
                let sql = "BEGIN; UPDATE t SET value = value + 1 WHERE id = 1";
                let update = client.batch_execute(sql).await;
                // All have staged their change before the first commits.
                changed.wait().await;
                let end = match update {
                    Ok(()) => client.batch_execute("COMMIT").await,
                    Err(error) => Err(error),
                };
                codes.push(end.map_err(|error| code(&error)).err());
                client.batch_execute("ROLLBACK").await?;
            }
            anyhow::Ok(codes)
        })
    });
    let mut codes = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        codes.push(writer.await??);
    }
    for round in 0..usize::try_from(n_rounds)? {
        let ended: Vec<_> = codes.iter().map(|codes| codes[round].as_deref()).collect();
        let n_won = ended.iter().filter(|code| code.is_none()).count();
        let told = ended.iter().flatten().all(|code| *code == "40001");
        ensure!(n_won == 1 && told, "round {round}: {ended:?}");
    }
    let rows = cluster.rows().await?;
    let expected = [[1, n_rounds], [2, 0]].map(|row| row.map(Value::from).to_vec());
    ensure!(rows == expected, "{rows:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_to_disk_land_exactly_once() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    appends_land_exactly_once(Lake::disk()?, 10).await
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_to_s3_land_exactly_once() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let Some(lake) = Lake::s3(Faults::default(), 1).await? else { return Ok(()) };
    appends_land_exactly_once(lake, 6).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_conflicting_updates_on_disk_wins() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    one_of_conflicting_updates_wins(Lake::disk()?, 5).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_conflicting_updates_on_s3_wins() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let Some(lake) = Lake::s3(Faults::default(), 2).await? else { return Ok(()) };
    one_of_conflicting_updates_wins(lake, 3).await
}
