//! Definitions that others see: the Python package `deltalake` reads what SQL has declared.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{Server, lake_python, require_or_skip, wait_until};

/// Prints what `deltalake` knows of a table.
const DESCRIBE: &str = r#"
import json, os, sys
from deltalake import DeltaTable
t = DeltaTable(sys.argv[1])
m = t.metadata()
p = t.protocol()
fields = [[f.name, str(f.type.type) if hasattr(f.type, "type") else "nested", f.nullable, dict(f.metadata)] for f in t.schema().fields]
print(json.dumps({
    "description": m.description,
    "partitions": m.partition_columns,
    "configuration": m.configuration,
    "fields": fields,
    "writer": p.min_writer_version,
    "rows": t.to_pyarrow_table().num_rows if not (p.reader_features or []) else None,
    "version": t.version(),
}), flush=True)
# Threads of the libraries may abort the interpreter while it ends; all has been said.
os._exit(0)
"#;

/// The folders of a server's own tables.
fn own_tables(server: &Server) -> Vec<PathBuf> {
    let below = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let schemas = below(server.data_dir().join("tables").join("tarn"));
    schemas.into_iter().flat_map(below).collect()
}

async fn describe(python: &Path, table: &Path) -> Result<serde_json::Value> {
    let output = tokio::process::Command::new(python)
        .args(["-B", "-c", DESCRIBE])
        .arg(table)
        .output()
        .await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("not JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn deltalake_sees_what_sql_declares() -> Result<()> {
    let Some(python) = lake_python() else {
        require_or_skip("the venv of lake tables is not installed");
        return Ok(());
    };
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    client
        .batch_execute(
            "CREATE TABLE t (id bigint NOT NULL CHECK (id > 0), day date, name varchar(10) COMMENT 'who') \
             USING delta PARTITIONED BY (day) COMMENT 'a table' \
             TBLPROPERTIES ('delta.enableDeletionVectors' = 'false', 'owner' = 'me')",
        )
        .await?;
    client.batch_execute("INSERT INTO t VALUES (1, '2026-01-01', 'a'), (2, NULL, 'b')").await?;
    let tables = own_tables(&server);
    let [table] = tables.as_slice() else { anyhow::bail!("{tables:?}") };
    let seen = describe(&python, table).await?;
    ensure!(seen["description"] == "a table", "{seen}");
    ensure!(seen["partitions"] == serde_json::json!(["day"]), "{seen}");
    ensure!(seen["configuration"]["owner"] == "me", "{seen}");
    ensure!(seen["configuration"]["delta.constraints.t_id_check"] == "id > 0", "{seen}");
    ensure!(seen["fields"][0][2] == false, "{seen}");
    ensure!(seen["fields"][2][3]["comment"] == "who", "{seen}");
    ensure!(seen["rows"] == 2, "{seen}");
    client
        .batch_execute("COMMENT ON TABLE t IS 'another'; ALTER TABLE t ADD COLUMN more int")
        .await?;
    let seen = describe(&python, table).await?;
    ensure!(seen["description"] == "another", "{seen}");
    ensure!(seen["fields"][3][0] == "more", "{seen}");
    ensure!(seen["rows"] == 2, "{seen}");
    drop(client);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_with_their_table() -> Result<()> {
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    client.batch_execute("CREATE TABLE kept USING delta AS SELECT 1 AS a").await?;
    ensure!(own_tables(&server).len() == 1);
    // Rolled back: the folder goes.
    client.batch_execute("BEGIN; CREATE TABLE gone USING delta AS SELECT 1 AS a").await?;
    ensure!(own_tables(&server).len() == 2);
    client.batch_execute("ROLLBACK").await?;
    wait_until(Duration::from_secs(30), async || Ok(own_tables(&server).len() == 1)).await?;
    // Dropped: the folder goes after the commit.
    client.batch_execute("BEGIN; DROP TABLE kept; ROLLBACK").await?;
    let row = client.query_one("SELECT count(*) FROM kept", &[]).await?;
    ensure!(row.get::<_, i64>(0) == 1);
    client.batch_execute("DROP TABLE kept").await?;
    wait_until(Duration::from_secs(30), async || Ok(own_tables(&server).is_empty())).await?;
    drop(client);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn external_tables_are_made_attached_and_left() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("outside");
    let at = place.display();
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    client.batch_execute(&format!("CREATE TABLE t (a int) USING delta LOCATION '{at}'")).await?;
    client.batch_execute("INSERT INTO t VALUES (1), (2)").await?;
    client.batch_execute("DROP TABLE t").await?;
    ensure!(place.join("_delta_log").is_dir(), "an external table's files stay");
    // Attached again, under another name, without columns.
    client.batch_execute(&format!("CREATE TABLE u USING delta LOCATION '{at}'")).await?;
    let row = client.query_one("SELECT sum(a)::int FROM u", &[]).await?;
    ensure!(row.get::<_, i32>(0) == 3);
    // With columns, they have to be the table's.
    let other =
        client.batch_execute(&format!("CREATE TABLE w (b text) USING delta LOCATION '{at}'")).await;
    let code = other.err().and_then(|error| error.code().map(|code| code.code().to_owned()));
    ensure!(code.as_deref() == Some("42P16"), "{code:?}");
    // A folder with other files is not taken.
    let full = folder.path().join("full");
    std::fs::create_dir(&full)?;
    std::fs::write(full.join("x.csv"), "a,b\n1,2\n")?;
    let refused = client
        .batch_execute(&format!("CREATE TABLE x (a int) USING delta LOCATION '{}'", full.display()))
        .await;
    ensure!(refused.is_err());
    let csv = full.join("x.csv");
    client.batch_execute(&format!("CREATE TABLE x USING csv LOCATION '{}'", csv.display())).await?;
    let row = client.query_one("SELECT sum(b)::int FROM x", &[]).await?;
    ensure!(row.get::<_, i32>(0) == 2);
    drop(client);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_files_are_kept_and_shared() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let catalog = folder.path().join("catalog");
    let file = folder.path().join("prices.txt");
    // Guessed, the first line would be names and the second column a text.
    std::fs::write(&file, "% a note, with commas\napple|?\npear|3\n")?;
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let start = async |data_dir: &Path| {
        let (data_dir, catalog) = (data_dir.to_owned(), catalog.display().to_string());
        let changed = move |config: &mut tarn_server::ServerConfig| {
            config.data_dir = data_dir;
            config.catalog = Some(catalog);
        };
        Server::start_with(&[], changed).await
    };
    let sql = "SELECT string_agg(column_1 || ':' || coalesce(column_2, -1), ' ' ORDER BY column_1) FROM p";
    let first = start(&one).await?;
    let client = first.connect().await?;
    client
        .batch_execute(&format!(
            "CREATE TABLE p USING csv LOCATION '{}' OPTIONS (sep '|', null '?', comment '%', header false)",
            file.display()
        ))
        .await?;
    ensure!(client.query_one(sql, &[]).await?.get::<_, &str>(0) == "apple:-1 pear:3");
    let second = start(&two).await?;
    let other = second.connect().await?;
    ensure!(other.query_one(sql, &[]).await?.get::<_, &str>(0) == "apple:-1 pear:3");
    // Other options at the same place make another table, for the others as well.
    client
        .batch_execute(&format!(
            "BEGIN; DROP TABLE p; CREATE TABLE p USING csv LOCATION '{}' \
             OPTIONS (delimiter '|', nullvalue '?', comment '%', header true); COMMIT",
            file.display()
        ))
        .await?;
    let renamed = "SELECT apple, \"?\" FROM p";
    ensure!(other.query_one(renamed, &[]).await?.get::<_, i64>(1) == 3);
    client.batch_execute("ALTER TABLE p RENAME TO q").await?;
    drop((client, other));
    first.stop().await;
    second.stop().await;
    let again = start(&one).await?;
    let client = again.connect().await?;
    let row = client.query_one("SELECT apple, \"?\" FROM q", &[]).await?;
    ensure!((row.get::<_, &str>(0), row.get::<_, i64>(1)) == ("pear", 3));
    drop(client);
    again.stop().await;
    Ok(())
}
