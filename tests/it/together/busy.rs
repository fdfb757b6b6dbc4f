//! A transaction over many tables beside writers of one of them that never rest, over a slow store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use tarn_tests::fakes::Faults;

use super::Bank;
use crate::lake::{Lake, skipped};

const N_TABLES: usize = 10;
/// Ten reservations take longer than writers would wait for one.
const SLOW: Faults =
    Faults { slow_ms: 80, refused: 0, done_and_refused: 0, lost: 0, cut: 0, late: 0, delayed: 0 };

/// Writers of the first table: the one that is reserved for the longest time.
async fn keep_writing(
    client: tokio_postgres::Client,
    stop: Arc<AtomicBool>,
    n_written: Arc<AtomicUsize>,
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        match client.batch_execute("INSERT INTO t0 VALUES (0)").await {
            Ok(()) => n_written.fetch_add(1, Ordering::Relaxed),
            Err(error) if error.is_closed() => return Err(error.into()),
            // Lost races, and a store that is too slow for the limits of the tests.
            Err(_) => 0,
        };
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tables_get_through_beside_busy_writers_of_one() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let Some(lake) = Lake::s3(SLOW, 1).await? else { return Ok(()) };
    let bank = Bank::open(lake).await?;
    let servers = [bank.serve("one").await?, bank.serve("two").await?];
    let client = servers[0].connect().await?;
    for table in 0..N_TABLES {
        let sql = format!(
            "CREATE TABLE t{table} (n bigint) USING delta LOCATION 's3://lake/busy/t{table}'"
        );
        client.batch_execute(&sql).await?;
    }
    let (stop, n_written) = (Arc::new(AtomicBool::new(false)), Arc::<AtomicUsize>::default());
    let mut writers = Vec::new();
    for server in &servers {
        for _ in 0..2 {
            let (client, stop) = (server.connect().await?, Arc::clone(&stop));
            writers.push(tokio::spawn(keep_writing(client, stop, Arc::clone(&n_written))));
        }
    }
    let inserts: String = (0..N_TABLES).map(|t| format!("INSERT INTO t{t} VALUES (1);")).collect();
    for n in 0..3 {
        // Nothing contradicts it, so it must not be told 40001 for being slow.
        client.batch_execute(&format!("BEGIN; {inserts} COMMIT")).await.with_context(|| {
            format!("transaction {n}, {} rows of others", n_written.load(Ordering::Relaxed))
        })?;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await??;
    }
    ensure!(n_written.load(Ordering::Relaxed) > 0, "the writers were starved");
    for table in 0..N_TABLES {
        let sql = format!("SELECT count(*) FROM t{table} WHERE n = 1");
        let n: i64 = client.query_one(&sql, &[]).await?.get(0);
        ensure!(n == 3, "t{table} has {n} of 3 rows");
    }
    Ok(())
}
