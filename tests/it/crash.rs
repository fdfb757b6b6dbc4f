//! A server that is killed in the middle of commits, again and again.
//!
//! Clients write batches of three rows and delete some of them. After a random number of steps
//! towards storage the server is killed, without a chance to tidy up, and started again on what is
//! there. What was acknowledged must be there once, a batch whose answer never came must be there
//! whole or not at all, and another reader must be able to open the table after each kill.
//!
//! `TARN_CRASH_COMMITS` says how many commits are tried (20), `TARN_CRASH_SEED` repeats a run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tarn_tests::fakes::Faults;
use tarn_tests::harness::{require_or_skip, wait_until};
use tokio_postgres::Client;

use super::child::ChildServer;
use super::lake::{Dice, Lake, skipped};

const N_WRITERS: usize = 3;
/// Rows of each batch.
const N_ROWS: usize = 3;

/// What a client knows of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its insert was acknowledged.
    Written,
    /// Its delete was acknowledged.
    Deleted,
    /// The server said that it was not written.
    Refused,
    /// No answer, or one that leaves it open.
    Open,
}

/// Runs a statement; `None` where the server said that it was not done.
async fn run(client: &Client, sql: &str, done: Fate) -> Option<Fate> {
    match client.execute(sql, &[]).await {
        Ok(_) => Some(done),
        Err(error) if error.code().is_some_and(|code| code.code() == "40001") => None,
        Err(_) => Some(Fate::Open),
    }
}

/// Writes batches until the server is gone, and deletes every third that is there.
async fn write(client: Client, first: u64) -> Vec<(u64, Fate)> {
    let mut fates = Vec::new();
    for (n, batch) in (first..).step_by(N_WRITERS).enumerate() {
        let rows: Vec<String> = (0..N_ROWS).map(|row| format!("({batch}, {row})")).collect();
        let sql = format!("INSERT INTO t VALUES {}", rows.join(", "));
        let fate = run(&client, &sql, Fate::Written).await.unwrap_or(Fate::Refused);
        fates.push((batch, fate));
        if n % 3 == 2 && fate == Fate::Written {
            let sql = format!("DELETE FROM t WHERE batch = {batch}");
            fates.extend(run(&client, &sql, Fate::Deleted).await.map(|fate| (batch, fate)));
        }
        if client.is_closed() {
            break;
        }
    }
    fates
}

/// One life of a server: started, written to, killed after a while.
async fn live_and_die(
    lake: &Lake,
    folder: &std::path::Path,
    dice: &mut Dice,
    next: &mut u64,
) -> Result<Vec<(u64, Fate)>> {
    let server = start(lake, folder).await?;
    let mut writers = Vec::new();
    for first in (*next..).take(N_WRITERS) {
        let client = server.connect().await?;
        writers.push(tokio::spawn(write(client, first)));
    }
    // A commit leaves two or three files, and takes about ten requests.
    let n_steps_max = if matches!(lake, Lake::Disk(_)) { 40 } else { 300 };
    let n_steps = lake.n_steps()? + 1 + dice.below(n_steps_max);
    wait_until(Duration::from_secs(120), async || Ok(lake.n_steps()? >= n_steps)).await?;
    tokio::task::block_in_place(|| server.kill());
    let mut fates = Vec::new();
    for writer in writers {
        fates.extend(writer.await?);
    }
    *next = fates.iter().map(|(batch, _)| batch + 1).max().unwrap_or(*next);
    Ok(fates)
}

/// Starting may meet the faults as well, so that there is no server or no table: then once more.
async fn start(lake: &Lake, folder: &std::path::Path) -> Result<ChildServer> {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let started = tokio::task::block_in_place(|| lake.serve(folder));
        let ready = match &started {
            Ok(server) => server.connect().await?.batch_execute("SELECT * FROM t LIMIT 1").await,
            Err(_) => Ok(()),
        };
        match (started, ready) {
            (Ok(server), Ok(())) => return Ok(server),
            (Err(error), _) if Instant::now() > deadline => return Err(error),
            (Ok(_), Err(error)) if Instant::now() > deadline => {
                let log = std::fs::read_to_string(folder.join("child.log")).unwrap_or_default();
                return Err(anyhow::Error::new(error).context(log));
            }
            _ => {}
        }
    }
}

/// Compares what `deltalake` reads with what clients were told.
async fn check(lake: &Lake, fates: &BTreeMap<u64, Fate>) -> Result<u64> {
    let found = lake.python("check_table.py", "t", &["--rows"]).await?;
    let version = found["version"].as_u64().context("no version")?;
    let mut batches: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let rows: Vec<Vec<Value>> = serde_json::from_value(found["rows"].clone())?;
    for row in rows {
        let number = |n: usize| row[n].as_u64().with_context(|| format!("{row:?}"));
        batches.entry(number(0)?).or_default().push(number(1)?);
    }
    for (batch, rows) in &batches {
        ensure!(*rows == [0, 1, 2], "batch {batch} is half there or twice: {rows:?}");
        ensure!(
            matches!(fates.get(batch), Some(Fate::Written | Fate::Open)),
            "batch {batch} is there, and was {:?}",
            fates.get(batch)
        );
    }
    for (batch, fate) in fates {
        let there = batches.contains_key(batch);
        ensure!(*fate != Fate::Written || there, "batch {batch} was acknowledged and is gone");
    }
    Ok(version)
}

async fn crash(lake: Lake) -> Result<()> {
    let n_commits: usize = std::env::var("TARN_CRASH_COMMITS")
        .map_or(Ok(20), |text| text.parse())
        .context("TARN_CRASH_COMMITS")?;
    let mut dice = Dice::from_environment("TARN_CRASH_SEED");
    lake.python("create_table.py", "t", &["batch:long", "number:long"]).await?;
    let folder = tempfile::tempdir()?;
    let mut fates: BTreeMap<u64, Fate> = BTreeMap::new();
    let (mut next, mut n_kills) = (0, 0);
    while fates.len() < n_commits {
        let lived = live_and_die(&lake, folder.path(), &mut dice, &mut next).await?;
        fates.extend(lived);
        n_kills += 1;
        check(&lake, &fates).await.with_context(|| format!("after kill {n_kills}"))?;
    }
    let count = |fate: Fate| fates.values().filter(|found| **found == fate).count();
    let version = check(&lake, &fates).await?;
    println!(
        "{n_kills} kills; of {} batches {} were written, {} deleted again, {} refused, {} left \
         open; version {version}",
        fates.len(),
        count(Fate::Written),
        count(Fate::Deleted),
        count(Fate::Refused),
        count(Fate::Open)
    );
    ensure!(count(Fate::Written) > 0, "no commit was acknowledged");
    // tarn reads what deltalake reads.
    lake.set_faults(false);
    let server = start(&lake, folder.path()).await?;
    let n: i64 = server.connect().await?.query_one("SELECT count(*) FROM t", &[]).await?.get(0);
    let found = lake.python("check_table.py", "t", &["--rows"]).await?;
    let n_rows = found["rows"].as_array().map_or(0, Vec::len);
    ensure!(usize::try_from(n)? == n_rows, "tarn reads {n} rows, deltalake {n_rows}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_writing_to_disk() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    crash(Lake::disk()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_writing_to_s3_through_a_bad_network() -> Result<()> {
    let Some(lake) = Lake::s3(Faults::often(), 7).await? else {
        require_or_skip("moto is not installed");
        return Ok(());
    };
    crash(lake).await
}
