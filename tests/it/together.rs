//! Transactions over several tables: transfers whose sums must hold for every reader, while servers
//! are killed, race each other, and reach their store through a bad network.
//!
//! Each transfer takes an amount from `a`, gives it to `b` and notes it in `moves`. Whatever happens,
//! each look at the three tables must fit together, and what was acknowledged must be there once.
//!
//! `TARN_CRASH_TRANSFERS` says how many transfers are tried (20), `TARN_CRASH_SEED` repeats a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tarn_tests::fakes::Faults;
use tarn_tests::harness::{lake_python, require_or_skip, wait_until};
use tokio_postgres::Client;

mod busy;
mod disk;
mod foreign;

use super::child::ChildServer;
use super::lake::{Dice, Lake, skipped};

const N_WRITERS: u64 = 3;
/// What the accounts of `a` and those of `b` begin with.
const AMOUNT: i64 = 1000;
/// All that a reader needs to see whether a commit is whole.
const SUMS: &str = "SELECT (SELECT sum(amount) FROM a)::bigint, (SELECT sum(amount) FROM b)::bigint, \
                    (SELECT coalesce(sum(amount), 0) FROM moves)::bigint";

/// What a client knows of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Written,
    /// The server said that it was not written.
    Refused,
    /// No answer, or one that leaves it open.
    Open,
}

/// Three tables and servers that share a catalog.
struct Bank {
    lake: Lake,
    folder: tempfile::TempDir,
}

impl Bank {
    async fn open(lake: Lake) -> Result<Self> {
        for table in ["a", "b"] {
            lake.python("create_table.py", table, &["id:long", "amount:long"]).await?;
        }
        lake.python("create_table.py", "moves", &["number:long", "amount:long"]).await?;
        Ok(Self { lake, folder: tempfile::tempdir()? })
    }

    fn catalog(&self) -> String {
        match &self.lake {
            Lake::Disk(_) => self.folder.path().join("catalog").display().to_string(),
            Lake::S3 { .. } => "s3://lake/catalog".to_owned(),
        }
    }

    /// Starts a server; its own files are in the folder of this name.
    async fn serve(&self, name: &str) -> Result<ChildServer> {
        let data_dir = self.folder.path().join(name);
        let flags = [("catalog", self.catalog())];
        let mut last = None;
        for _ in 0..20 {
            let started = tokio::task::block_in_place(|| self.lake.serve_with(&data_dir, &flags));
            // Starting may meet the faults as well.
            match started {
                Ok(server) => match server.connect().await?.batch_execute(SUMS).await {
                    Ok(()) => return Ok(server),
                    Err(error) => last = Some(error.into()),
                },
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no server")?)
    }

    async fn fill(&self, server: &ChildServer) -> Result<()> {
        let rows: Vec<String> = (0..N_WRITERS).map(|id| format!("({id}, {AMOUNT})")).collect();
        let rows = rows.join(", ");
        let sql =
            format!("BEGIN; INSERT INTO a VALUES {rows}; INSERT INTO b VALUES {rows}; COMMIT");
        server.connect().await?.batch_execute(&sql).await.context("filling")
    }

    /// What `deltalake` reads: the sums of `a` and `b`, and the transfers that were noted.
    async fn read_elsewhere(&self) -> Result<(i64, i64, Vec<(u64, i64)>)> {
        let mut sums = Vec::new();
        let mut moves = Vec::new();
        for table in ["a", "b", "moves"] {
            let found = self.lake.python("check_table.py", table, &["--rows"]).await?;
            let rows: Vec<Vec<Value>> = serde_json::from_value(found["rows"].clone())?;
            let amounts = rows.iter().map(|row| row[1].as_i64().context("amount"));
            let amounts: Vec<i64> = amounts.collect::<Result<_>>()?;
            sums.push(amounts.iter().sum::<i64>());
            if table == "moves" {
                for (row, amount) in rows.iter().zip(amounts) {
                    moves.push((row[0].as_u64().context("number")?, amount));
                }
            }
        }
        Ok((sums[0], sums[1], moves))
    }
}

/// Sees that three sums belong together.
fn check_sums(a: i64, b: i64, moved: i64) -> Result<()> {
    let begin = AMOUNT * i64::try_from(N_WRITERS)?;
    ensure!(a == begin - moved && b == begin + moved, "half a commit: a {a}, b {b}, moves {moved}");
    Ok(())
}

/// One look in one statement.
async fn look(client: &Client) -> Result<i64> {
    let row = client.query_one(SUMS, &[]).await?;
    let (a, b, moved) = (row.get(0), row.get(1), row.get(2));
    check_sums(a, b, moved).context("in a statement")?;
    Ok(moved)
}

/// One look in three statements of a transaction.
async fn look_slowly(client: &Client) -> Result<()> {
    client.batch_execute("BEGIN").await?;
    let mut sums = Vec::new();
    for table in ["moves", "a", "b"] {
        let sql = format!("SELECT coalesce(sum(amount), 0)::bigint FROM {table}");
        sums.push(client.query_one(&sql, &[]).await?.get::<_, i64>(0));
    }
    client.batch_execute("COMMIT").await?;
    check_sums(sums[1], sums[2], sums[0]).context("in a transaction")
}

/// Looks until it is told to stop; returns how often.
async fn watch(client: Client, stop: Arc<AtomicBool>, may_fail: bool) -> Result<usize> {
    let mut n_looks = 0;
    let half = |error: &anyhow::Error| format!("{error:#}").contains("half a commit");
    while !stop.load(Ordering::Relaxed) {
        for done in [look(&client).await.map(drop), look_slowly(&client).await] {
            match done {
                Ok(()) => n_looks += 1,
                // A store that does not answer.
                Err(error) if may_fail && !half(&error) => client.batch_execute("ROLLBACK").await?,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(n_looks)
}

/// Moves an amount, in one transaction.
async fn transfer(client: &Client, number: u64, account: u64) -> Fate {
    let amount = number % 7 + 1;
    let begin = format!(
        "BEGIN; UPDATE a SET amount = amount - {amount} WHERE id = {account};
         UPDATE b SET amount = amount + {amount} WHERE id = {account};
         INSERT INTO moves VALUES ({number}, {amount})"
    );
    if client.batch_execute(&begin).await.is_err() {
        // Nothing is decided before COMMIT.
        drop(client.batch_execute("ROLLBACK").await);
        return Fate::Refused;
    }
    match client.batch_execute("COMMIT").await {
        Ok(()) => Fate::Written,
        Err(error) if error.code().is_some_and(|code| code.code() == "40001") => Fate::Refused,
        Err(_) => Fate::Open,
    }
}

/// Sees that what clients were told is what is there.
async fn check(bank: &Bank, fates: &BTreeMap<u64, Fate>) -> Result<()> {
    let (a, b, moves) = bank.read_elsewhere().await?;
    check_sums(a, b, moves.iter().map(|(_, amount)| amount).sum()).context("deltalake")?;
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for (number, _) in &moves {
        *counts.entry(*number).or_default() += 1;
        let fate = fates.get(number);
        ensure!(
            matches!(fate, Some(Fate::Written | Fate::Open)),
            "transfer {number} is there, and was {fate:?}"
        );
    }
    ensure!(counts.values().all(|n| *n == 1), "a transfer is there twice: {counts:?}");
    for (number, fate) in fates {
        let there = counts.contains_key(number);
        ensure!(*fate != Fate::Written || there, "transfer {number} was acknowledged and is gone");
    }
    Ok(())
}

/// One life of a server: transfers until it is killed.
async fn live_and_die(bank: &Bank, dice: &mut Dice, next: &mut u64) -> Result<Vec<(u64, Fate)>> {
    let server = bank.serve("killed").await?;
    let mut writers = Vec::new();
    for account in 0..N_WRITERS {
        let (client, first) = (server.connect().await?, *next + account);
        writers.push(tokio::spawn(async move {
            let mut fates = Vec::new();
            for number in (first..).step_by(usize::try_from(N_WRITERS)?) {
                fates.push((number, transfer(&client, number, account).await));
                if client.is_closed() {
                    break;
                }
            }
            anyhow::Ok(fates)
        }));
    }
    // A transfer leaves about ten files and takes about fifty requests.
    let n_steps_max = if matches!(bank.lake, Lake::Disk(_)) { 100 } else { 600 };
    let n_steps = bank.lake.n_steps()? + 1 + dice.below(n_steps_max);
    wait_until(Duration::from_secs(120), async || Ok(bank.lake.n_steps()? >= n_steps)).await?;
    tokio::task::block_in_place(|| server.kill());
    let mut fates = Vec::new();
    for writer in writers {
        fates.extend(writer.await??);
    }
    *next = fates.iter().map(|(number, _)| number + 1).max().unwrap_or(*next) + N_WRITERS;
    Ok(fates)
}

async fn killed_while_committing(lake: Lake) -> Result<()> {
    let n_transfers: usize = std::env::var("TARN_CRASH_TRANSFERS")
        .map_or(Ok(20), |text| text.parse())
        .context("TARN_CRASH_TRANSFERS")?;
    let has_faults = matches!(lake, Lake::S3 { .. });
    let mut dice = Dice::from_environment("TARN_CRASH_SEED");
    let bank = Bank::open(lake).await?;
    bank.lake.set_faults(false);
    let reader = bank.serve("reader").await?;
    bank.fill(&reader).await?;
    bank.lake.set_faults(true);
    let stop = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(reader.connect().await?, Arc::clone(&stop), has_faults));
    let mut fates: BTreeMap<u64, Fate> = BTreeMap::new();
    let (mut next, mut n_kills) = (0, 0);
    while fates.len() < n_transfers {
        fates.extend(live_and_die(&bank, &mut dice, &mut next).await?);
        n_kills += 1;
        // The other server completes what was decided by reading it.
        bank.lake.set_faults(false);
        let client = reader.connect().await?;
        wait_until(Duration::from_secs(30), async || match look(&client).await {
            Ok(_) => Ok(true),
            Err(error) if format!("{error:#}").contains("half a commit") => Err(error),
            Err(_) => Ok(false),
        })
        .await?;
        look(&client).await?;
        check(&bank, &fates).await.with_context(|| format!("after kill {n_kills}"))?;
        bank.lake.set_faults(true);
    }
    stop.store(true, Ordering::Relaxed);
    let n_looks = watching.await??;
    let count = |fate: Fate| fates.values().filter(|found| **found == fate).count();
    println!(
        "{n_kills} kills; of {} transfers {} were written, {} refused, {} left open; {n_looks} looks",
        fates.len(),
        count(Fate::Written),
        count(Fate::Refused),
        count(Fate::Open)
    );
    ensure!(count(Fate::Written) > 0, "no transfer was acknowledged");
    ensure!(n_looks > 0, "nobody has looked");
    Ok(())
}

/// Transfers on two servers, writers of one table beside them, and readers of all three.
async fn race(lake: Lake, n_each: u64) -> Result<()> {
    let bank = Bank::open(lake).await?;
    let servers = [bank.serve("one").await?, bank.serve("two").await?];
    bank.fill(&servers[0]).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut watching = Vec::new();
    let mut writers = Vec::new();
    for (n, server) in servers.iter().enumerate() {
        watching.push(tokio::spawn(watch(server.connect().await?, Arc::clone(&stop), false)));
        for account in 0..N_WRITERS {
            let client = server.connect().await?;
            let first = (u64::try_from(n)? * N_WRITERS + account) * 100_000;
            writers.push(tokio::spawn(async move {
                let mut fates = Vec::new();
                let mut n_written = 0;
                for number in first.. {
                    let fate = transfer(&client, number, account).await;
                    ensure!(fate != Fate::Open, "transfer {number} is left open");
                    n_written += u64::from(fate == Fate::Written);
                    fates.push((number, fate));
                    if n_written == n_each {
                        break;
                    }
                }
                Ok(fates)
            }));
        }
        // Rows that change no sum, from writers that know nothing of the other tables.
        let (client, stop) = (server.connect().await?, Arc::clone(&stop));
        watching.push(tokio::spawn(async move {
            let mut n_commits = 0;
            while !stop.load(Ordering::Relaxed) {
                for sql in ["INSERT INTO a VALUES (-1, 0)", "DELETE FROM a WHERE id = -1"] {
                    match client.batch_execute(sql).await {
                        Ok(()) => n_commits += 1,
                        Err(error) if error.code().is_some_and(|c| c.code() == "40001") => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Ok(n_commits)
        }));
    }
    let mut fates = BTreeMap::new();
    for writer in writers {
        fates.extend(writer.await??);
    }
    stop.store(true, Ordering::Relaxed);
    let mut counts = Vec::new();
    for watcher in watching {
        counts.push(watcher.await??);
    }
    println!("{} transfers tried; looks and small commits: {counts:?}", fates.len());
    ensure!(counts.iter().all(|n| *n > 0), "somebody was starved: {counts:?}");
    for server in &servers {
        look(&server.connect().await?).await?;
    }
    check(&bank, &fates).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_committing_to_several_tables_on_disk() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    killed_while_committing(Lake::disk()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_committing_to_several_tables_on_s3() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let Some(lake) = Lake::s3(Faults::often(), 11).await? else {
        require_or_skip("moto is not installed");
        return Ok(());
    };
    killed_while_committing(lake).await
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_of_two_servers_on_disk() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    race(Lake::disk()?, 4).await
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_of_two_servers_on_s3() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let Some(lake) = Lake::s3(Faults::default(), 5).await? else { return Ok(()) };
    race(lake, 2).await
}
