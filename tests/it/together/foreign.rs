//! Another program commits to one of the tables while tarn commits to several.

use std::collections::BTreeMap;

use super::*;

/// Appends rows that change no sum, commit after commit, until the file with the name of its second
/// argument is there; then says how many.
const APPEND: &str = r#"
import os, sys
import pyarrow as pa
from deltalake import write_deltalake
from deltalake.exceptions import CommitFailedError
place, stop = sys.argv[1:3]
n = 0
while not os.path.exists(stop):
    row = pa.table({"id": pa.array([-2], pa.int64()), "amount": pa.array([0], pa.int64())})
    try:
        write_deltalake(place, row, mode="append")
        n += 1
    except CommitFailedError:
        # It gives up where rows were removed at the same moment.
        pass
print(n, flush=True)
# Threads of the libraries may abort the interpreter while it ends; all has been said.
os._exit(0)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn transfers_beside_commits_of_another_program() -> Result<()> {
    const N_TRANSFERS: u64 = 12;
    const N_FOREIGN_MIN: u64 = 10;
    let Some(python) = lake_python() else {
        require_or_skip("the venv of lake tables is not installed");
        return Ok(());
    };
    let bank = Bank::open(Lake::disk()?).await?;
    let server = bank.serve("one").await?;
    bank.fill(&server).await?;
    let halt = bank.folder.path().join("halt");
    let other = tokio::process::Command::new(python)
        .args(["-B", "-c", APPEND, &bank.lake.url("a")])
        .arg(&halt)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let client = server.connect().await?;
    let n_foreign = async || -> Result<i64> {
        let sql = "SELECT count(*) FROM a WHERE id = -2";
        Ok(client.query_one(sql, &[]).await?.get(0))
    };
    wait_until(Duration::from_secs(60), async || Ok(n_foreign().await? > 0)).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(server.connect().await?, Arc::clone(&stop), false));
    let mut fates = BTreeMap::new();
    let writer = server.connect().await?;
    let began = std::time::Instant::now();
    let mut n_written = 0;
    for number in 0.. {
        ensure!(began.elapsed() < Duration::from_secs(180), "{n_written} transfers, {fates:?}");
        let fate = transfer(&writer, number, number % N_WRITERS).await;
        n_written += u64::from(fate == Fate::Written);
        ensure!(fate != Fate::Open, "transfer {number} is left open");
        fates.insert(number, fate);
        if n_written >= N_TRANSFERS && n_foreign().await? >= i64::try_from(N_FOREIGN_MIN)? {
            break;
        }
    }
    std::fs::write(&halt, "")?;
    let output = other.wait_with_output().await?;
    stop.store(true, Ordering::Relaxed);
    ensure!(watching.await?? > 0, "nobody has looked");
    let told = String::from_utf8_lossy(&output.stdout);
    let n_told: i64 = told.trim().parse().with_context(|| {
        format!("the other program failed: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    // None of its rows is lost either, here and for itself.
    ensure!(n_foreign().await? == n_told, "{} of {n_told} rows", n_foreign().await?);
    let found = bank.lake.python("check_table.py", "a", &["--rows"]).await?;
    let rows: Vec<Vec<Value>> = serde_json::from_value(found["rows"].clone())?;
    let n_there = rows.iter().filter(|row| row.first().and_then(Value::as_i64) == Some(-2)).count();
    ensure!(i64::try_from(n_there)? == n_told, "{n_there} of {n_told} rows");
    println!("{} transfers tried, {n_written} written, {n_told} foreign commits", fates.len());
    check(&bank, &fates).await
}
