//! Tables that last, what other programs write into them, and where they lie.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{Server, lake_python, require_or_skip};

/// Appends a row of texts to a table, as a program that knows nothing of tarn's types.
const APPEND: &str = r#"
import os, sys
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
place, uuid, time, interval = sys.argv[1:5]
fields = {f.name: dict(f.metadata) for f in DeltaTable(place).schema().fields}
assert fields["u"]["tarn.pg_type"] == "uuid", fields
assert fields["wait"]["tarn.pg_type"] == "interval", fields
row = {"k": pa.array([9], pa.int32()), "u": [uuid], "at": [time], "wait": [interval], "doc": ['{"a": 1}']}
write_deltalake(place, pa.table(row), mode="append")
print("done", flush=True)
# Threads of the libraries may abort the interpreter while it ends; all has been said.
os._exit(0)
"#;

/// A server in `data_dir` whose tables last.
async fn start(data_dir: &Path, paths: &[PathBuf]) -> Result<Server> {
    Server::start_with(paths, |config| {
        config.data_dir = data_dir.to_owned();
        config.table_access_method = "delta";
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_there_after_a_restart() -> Result<()> {
    let data_dir = tempfile::tempdir()?;
    let server = start(data_dir.path(), &[]).await?;
    let client = server.connect().await?;
    client
        .batch_execute(
            "CREATE TABLE accounts (id int PRIMARY KEY, owner uuid DEFAULT gen_random_uuid(), doc jsonb, \
             balance numeric(12,2) NOT NULL DEFAULT 0 CHECK (balance >= 0)); \
             CREATE TABLE copied AS SELECT 1 AS a, 2 AS \"b c\"; CREATE TEMP TABLE gone (a int)",
        )
        .await?;
    for id in 1..=5_i32 {
        let sql = "INSERT INTO accounts (id, doc, balance) VALUES ($1, '{\"b\": 1}', 10)";
        client.execute(sql, &[&id]).await?;
    }
    client.execute("UPDATE accounts SET balance = balance - 3 WHERE id = 2", &[]).await?;
    drop(client);
    server.stop().await;

    let server = start(data_dir.path(), &[]).await?;
    let client = server.connect().await?;
    let sql =
        "SELECT count(*), sum(balance)::text, count(DISTINCT owner), min(doc::text) FROM accounts";
    let row = client.query_one(sql, &[]).await?;
    let found: (i64, String, i64, String) = (row.get(0), row.get(1), row.get(2), row.get(3));
    ensure!(found == (5, "47.00".to_owned(), 5, "{\"b\": 1}".to_owned()), "{found:?}");
    let row = client.query_one("SELECT pg_typeof(owner)::text FROM accounts LIMIT 1", &[]).await?;
    ensure!(row.get::<_, String>(0) == "uuid");
    ensure!(client.query_one("SELECT a FROM copied", &[]).await?.get::<_, i32>(0) == 1);
    // Columns are renamed and dropped as clients expect it.
    client
        .batch_execute(
            "ALTER TABLE copied RENAME COLUMN \"b c\" TO b; ALTER TABLE copied DROP COLUMN a",
        )
        .await?;
    ensure!(client.query_one("SELECT * FROM copied", &[]).await?.get::<_, i32>("b") == 2);
    // The server's own tables are not found a second time below a served path.
    drop(client);
    server.stop().await;
    let server = start(data_dir.path(), &[data_dir.path().to_owned()]).await?;
    let client = server.connect().await?;
    let sql = "SELECT string_agg(tablename, ',' ORDER BY tablename) FROM pg_tables \
               WHERE tablename LIKE '%accounts%' OR tablename LIKE '%copied%'";
    let row = client.query_one(sql, &[]).await?;
    ensure!(row.get::<_, String>(0) == "accounts,copied", "{row:?}");
    drop(client);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_other_programs_are_values() -> Result<()> {
    let Some(python) = lake_python() else {
        require_or_skip("the venv of lake tables is not installed");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("t");
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    client
        .batch_execute(&format!(
            "CREATE TABLE t (k int, u uuid, at time, wait interval, doc jsonb) USING delta LOCATION '{}' \
             TBLPROPERTIES ('delta.enableDeletionVectors' = 'false'); \
             INSERT INTO t VALUES (1, '11111111-1111-1111-1111-111111111111', '01:00', '1 day', '[]')",
            place.display()
        ))
        .await?;
    let append = async |uuid: &str, time: &str| -> Result<()> {
        let output = tokio::process::Command::new(&python)
            .args(["-B", "-c", APPEND])
            .arg(&place)
            .args([uuid, time, "2 days 01:00:00"])
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(said.contains("done"), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    // Capital letters stand behind digits and before small letters: bounds must not lose the row.
    append("ABCDEF00-0000-0000-0000-000000000000", "23:00:00").await?;
    let sql = "SELECT u::text, at::text, wait::text FROM t \
               WHERE u = 'abcdef00-0000-0000-0000-000000000000' AND at > '22:00' AND wait > '1 day'";
    let row = client.query_one(sql, &[]).await?;
    let found: (String, String, String) = (row.get(0), row.get(1), row.get(2));
    let wanted = ("abcdef00-0000-0000-0000-000000000000", "23:00:00", "2 days 01:00:00");
    ensure!((found.0.as_str(), found.1.as_str(), found.2.as_str()) == wanted, "{found:?}");
    // A text that is no value is an error that says where it is.
    append("nonsense", "23:00:00").await?;
    let error = client.query("SELECT u FROM t", &[]).await.err().context("it was read")?;
    let error = error.as_db_error().context("no error of the server")?;
    ensure!(error.code().code() == "XX001", "{error:?}");
    ensure!(
        error.message().contains("column \"u\"") && error.message().contains("nonsense"),
        "{error:?}"
    );
    ensure!(error.hint().is_some(), "{error:?}");
    // Other columns can be read all the same.
    ensure!(client.query_one("SELECT count(at) FROM t", &[]).await?.get::<_, i64>(0) == 3);
    drop(client);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_dropped_external_table_stay() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = folder.path().join("outside").display().to_string();
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    client.batch_execute(&format!("CREATE TABLE t (a int) USING delta LOCATION '{at}'")).await?;
    client.batch_execute("BEGIN; INSERT INTO t VALUES (1), (2); DROP TABLE t; COMMIT").await?;
    client.batch_execute(&format!("CREATE TABLE u USING delta LOCATION '{at}'")).await?;
    let row = client.query_one("SELECT sum(a)::int FROM u", &[]).await?;
    ensure!(row.get::<_, i32>(0) == 3, "the files are the user's, and so are the rows");
    client.batch_execute("BEGIN; INSERT INTO u VALUES (4); DROP TABLE u; ROLLBACK").await?;
    let row = client.query_one("SELECT sum(a)::int FROM u", &[]).await?;
    ensure!(row.get::<_, i32>(0) == 3, "nothing of it has happened");
    // The same place under OR REPLACE is the same table; version 1 only reserves version 2.
    let replace =
        format!("CREATE OR REPLACE TABLE u USING delta LOCATION '{at}' AS SELECT 'x' AS b");
    client.batch_execute(&replace).await?;
    let row = client.query_one("SELECT sum(a)::int FROM u VERSION AS OF 2", &[]).await?;
    ensure!(row.get::<_, i32>(0) == 3);
    ensure!(client.query_one("SELECT b FROM u", &[]).await?.get::<_, String>(0) == "x");
    drop(client);
    server.stop().await;
    Ok(())
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_the_server_makes_is_its_own() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = |folder: &Path| -> Result<u32> {
        Ok(std::fs::metadata(folder)?.permissions().mode() & 0o777)
    };
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("above").join("data");
    start(&data_dir, &[]).await?.stop().await;
    ensure!(mode(&data_dir)? == 0o700, "{:o}", mode(&data_dir)?);
    // What somebody has decided stays.
    std::fs::set_permissions(&data_dir, std::fs::Permissions::from_mode(0o750))?;
    start(&data_dir, &[]).await?.stop().await;
    ensure!(mode(&data_dir)? == 0o750, "{:o}", mode(&data_dir)?);
    Ok(())
}
