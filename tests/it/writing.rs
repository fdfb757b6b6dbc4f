//! Delta tables that tarn has written, as another reader sees them; sessions that race.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{Server, lake_python, require_or_skip, run_program};
use tokio_postgres::error::SqlState;

/// The table's number of rows, sum of `id` and count of `v = 'new'`, as deltalake reads them.
const PROBE: &str = "
import sys
from deltalake import DeltaTable, QueryBuilder
found = QueryBuilder().register('t', DeltaTable(sys.argv[1])).execute(
    \"SELECT count(*), sum(id), count(*) FILTER (WHERE v = 'new') FROM t\").read_all()
print(*[column[0].as_py() for column in found.columns])
";

fn probe(table: &Path) -> Result<Option<String>> {
    let Some(python) = lake_python() else {
        require_or_skip("the package deltalake is missing");
        return Ok(None);
    };
    let arguments = ["-c".to_owned(), PROBE.to_owned(), table.display().to_string()];
    let found = run_program(&python, &arguments)?;
    Ok(Some(found.trim().to_owned()))
}

/// The same as tarn reads them.
async fn own(client: &tokio_postgres::Client, table: &str) -> Result<String> {
    let sql = format!(
        "SELECT concat_ws(' ', count(*), sum(id), count(*) FILTER (WHERE v = 'new')) FROM {table}"
    );
    Ok(client.query_one(&sql, &[]).await?.get(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn written_tables_read_elsewhere() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let client = server.connect().await?;
    let tables = [
        ("vectors", "", "20"),
        ("copied", "", "0"),
        ("plain", "TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')", "20"),
        ("parted", "PARTITIONED BY (p)", "20"),
    ];
    for (name, clause, threshold) in tables {
        let place = folder.path().join(format!("{name}-files"));
        let url = place.display();
        client
            .batch_execute(&format!(
                "SET copy_on_write_threshold = {threshold};
                 CREATE TABLE {name} (id bigint, v text, p integer) USING delta {clause} LOCATION '{url}';
                 INSERT INTO {name} SELECT i, 'v' || i, i % 5 FROM generate_series(1, 20000) AS g (i);
                 DELETE FROM {name} WHERE id % 100 = 7;
                 DELETE FROM {name} WHERE id IN (SELECT id FROM {name} WHERE id < 50);
                 UPDATE {name} SET v = 'new', p = 9 WHERE id % 1000 = 3;
                 UPDATE {name} SET v = 'new' WHERE id % 1000 = 3 OR id = 77;
                 DELETE FROM {name} WHERE p = 4;
                 MERGE INTO {name} t USING (VALUES (77), (90000)) AS s (id) ON t.id = s.id
                   WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, 'new');"
            ))
            .await
            .with_context(|| format!("table {name}"))?;
        let here = own(&client, name).await?;
        let probed = tokio::task::spawn_blocking(move || probe(&place)).await??;
        let Some(there) = probed else { return Ok(()) };
        ensure!(here == there, "{name}: tarn {here}, deltalake {there}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_transactions_is_told() -> Result<()> {
    let server = Server::start(&[]).await?;
    let (one, two) = (server.connect().await?, server.connect().await?);
    one.batch_execute("CREATE TABLE raced (id integer, v text) USING delta").await?;
    one.batch_execute("INSERT INTO raced VALUES (1, 'a'), (2, 'b')").await?;
    for client in [&one, &two] {
        client.batch_execute("BEGIN; UPDATE raced SET v = v || 'x' WHERE id = 1").await?;
    }
    one.batch_execute("COMMIT").await?;
    let lost = two.batch_execute("COMMIT").await.err().context("both have committed")?;
    ensure!(lost.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE), "{lost}");
    // Appends do not get into each other's way, and neither do they to statements of their own.
    for client in [&one, &two] {
        client.batch_execute("BEGIN; INSERT INTO raced VALUES (3, 'c')").await?;
    }
    one.batch_execute("COMMIT").await?;
    two.batch_execute("COMMIT").await?;
    let found: String =
        one.query_one("SELECT string_agg(v, ' ' ORDER BY id, v) FROM raced", &[]).await?.get(0);
    ensure!(found == "ax b c c", "{found}");
    Ok(())
}

/// A column that is filled for all rows is not left empty in those that others add meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_column_is_filled_in_all_rows() -> Result<()> {
    let server = Server::start(&[]).await?;
    let (one, two) = (server.connect().await?, server.connect().await?);
    for (name, column) in [
        ("given", "n integer DEFAULT 5"),
        ("derived", "n integer GENERATED ALWAYS AS (id + 1) STORED"),
    ] {
        let sql =
            format!("CREATE TABLE {name} (id integer) USING delta; INSERT INTO {name} VALUES (1)");
        one.batch_execute(&sql).await?;
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM {name};
             ALTER TABLE {name} ADD COLUMN {column}"
        );
        two.batch_execute(&sql).await?;
        one.batch_execute(&format!("INSERT INTO {name} VALUES (2)")).await?;
        let lost = two.batch_execute("COMMIT").await.err().context("a row lacks its value")?;
        ensure!(lost.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE), "{name}: {lost}");
        two.batch_execute(&format!("ALTER TABLE {name} ADD COLUMN {column}")).await?;
        let sql = format!("SELECT count(n) FROM {name}");
        let n: i64 = one.query_one(&sql, &[]).await?.get(0);
        ensure!(n == 2, "{name}: {n} rows have a value");
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_from_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let client = server.connect().await?;
    client.batch_execute("CREATE TABLE copied (id bigint, v text) USING delta").await?;
    let lines: String = (0..100_000).map(|i| format!("{i},\"v, {i}\"\n")).collect();
    std::fs::write(folder.path().join("many.csv"), format!("id,v\n{lines}"))?;
    std::fs::write(folder.path().join("bad.csv"), "1,a\nx,b\n3\n4,\"d\nd\"\n5,e\n")?;
    std::fs::write(folder.path().join("rows.json"), "{\"v\": \"j\", \"id\": -1}\n")?;
    std::fs::write(folder.path().join("secret"), "1\ta\n")?;
    let place = |name: &str| folder.path().join(name).display().to_string();
    let copy = format!("COPY copied FROM '{}' (HEADER)", place("many.csv"));
    ensure!(client.execute(&copy, &[]).await? == 100_000);
    let n = client.execute(&format!("COPY copied FROM '{}'", place("rows.json")), &[]).await?;
    ensure!(n == 1);
    let sql = "SELECT concat_ws(' ', count(*), sum(id), count(DISTINCT v)) FROM copied";
    let found: String = client.query_one(sql, &[]).await?.get(0);
    ensure!(found == "100001 4999949999 100001", "{found}");
    // Nothing of a file with a bad line is there, and the error says where it is.
    let failed = client.execute(&format!("COPY copied FROM '{}'", place("bad.csv")), &[]).await;
    let failed = failed.err().context("bad lines were copied")?;
    let at = failed.as_db_error().and_then(|error| error.where_()).unwrap_or_default();
    ensure!(at == "COPY copied, line 2, column id: \"x\"", "{at}");
    let text = format!("COPY copied FROM '{}' (FORMAT csv, ON_ERROR ignore)", place("bad.csv"));
    ensure!(client.execute(&text, &[]).await? == 3);
    let found: String = client.query_one(sql, &[]).await?.get(0);
    ensure!(found == "100004 4999950009 100004", "{found}");
    // Links lead nowhere else.
    let elsewhere = tempfile::NamedTempFile::new()?;
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("link"))?;
    let refused = client.execute(&format!("COPY copied FROM '{}'", place("link")), &[]).await;
    let refused = refused.err().context("a link was followed")?;
    ensure!(refused.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_stopped_leaves_nothing() -> Result<()> {
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    client.batch_execute("CREATE TABLE stopped (id bigint) USING delta").await?;
    client.batch_execute("INSERT INTO stopped VALUES (1)").await?;
    client.batch_execute("SET statement_timeout = 300").await?;
    let many = "INSERT INTO stopped SELECT a + b FROM generate_series(1, 100000) AS g (a), \
                generate_series(1, 100000) AS h (b)";
    let stopped = client.batch_execute(many).await.err().context("it was not stopped")?;
    ensure!(stopped.code() == Some(&SqlState::QUERY_CANCELED), "{stopped}");
    client.batch_execute("SET statement_timeout = 0").await?;
    // The session goes on as if nothing had been.
    client.batch_execute("BEGIN; INSERT INTO stopped VALUES (2); COMMIT").await?;
    let sum: i64 = client.query_one("SELECT sum(id)::bigint FROM stopped", &[]).await?.get(0);
    ensure!(sum == 3, "{sum}");
    Ok(())
}

/// The files of a table at a LOCATION stay when it is dropped, with all that was committed to them.
#[tokio::test(flavor = "multi_thread")]
async fn rows_written_before_a_drop_stay_with_the_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let client = server.connect().await?;
    let place = folder.path().join("kept-files");
    let url = place.display();
    let create = format!("CREATE TABLE kept (id bigint, v text) USING delta LOCATION '{url}'");
    client.batch_execute(&create).await?;
    client.batch_execute("INSERT INTO kept VALUES (1, 'old')").await?;
    client
        .batch_execute("BEGIN; INSERT INTO kept VALUES (2, 'new'); DROP TABLE kept; COMMIT")
        .await?;
    let gone = client.batch_execute("SELECT * FROM kept").await.err().context("it is there")?;
    ensure!(gone.code() == Some(&SqlState::UNDEFINED_TABLE), "{gone}");
    let again = format!("CREATE TABLE again USING delta LOCATION '{url}'");
    client.batch_execute(&again).await?;
    ensure!(own(&client, "again").await? == "2 3 1", "the rows are lost");
    // Rolled back to before the drop, and dropped without a commit.
    client
        .batch_execute(
            "BEGIN; INSERT INTO again VALUES (3, 'new'); SAVEPOINT s; DROP TABLE again;
             ROLLBACK TO s; INSERT INTO again VALUES (4, 'new'); COMMIT;
             BEGIN; INSERT INTO again VALUES (5, 'new'); DROP TABLE again; ROLLBACK",
        )
        .await?;
    ensure!(own(&client, "again").await? == "4 10 3", "{}", own(&client, "again").await?);
    Ok(())
}

/// The Parquet files below a folder, each with its path.
fn data_files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(data_files(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "parquet") {
            files.push(path);
        }
    }
    Ok(files)
}

/// However the rows of many partitions are mixed, each gets a file of each writer at most.
#[tokio::test(flavor = "multi_thread")]
async fn many_partitions_have_few_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let client = server.connect().await?;
    let place = folder.path().join("parted-files");
    let sql = format!(
        "CREATE TABLE parted USING delta PARTITIONED BY (k) LOCATION '{}' AS
         SELECT x AS id, x % 300 AS k FROM generate_series(1, 60000) AS g (x)",
        place.display()
    );
    client.batch_execute(&sql).await?;
    let n = data_files(&place)?.len();
    ensure!(n == 300, "{n} files");
    let sql = "SELECT count(*), sum(id)::bigint FROM parted WHERE k = 7";
    let row = client.query_one(sql, &[]).await?;
    ensure!((row.get::<_, i64>(0), row.get::<_, i64>(1)) == (200, 5_971_400), "{row:?}");
    client.batch_execute("UPDATE parted SET id = id + 1; DELETE FROM parted WHERE k > 1").await?;
    let sum: i64 = client.query_one("SELECT sum(id)::bigint FROM parted", &[]).await?.get(0);
    ensure!(sum == 12_000_600, "{sum}");
    server.stop().await;
    Ok(())
}

/// A table below the folder of another one is not the other one's rubbish.
#[tokio::test(flavor = "multi_thread")]
async fn tables_within_tables_are_left_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    let (outer, inner) = (folder.path().join("outer"), folder.path().join("inner"));
    for (name, place) in [("outer_rows", &outer), ("inner_rows", &inner)] {
        let url = place.display();
        let sql = format!(
            "CREATE TABLE {name} (id integer) USING delta LOCATION '{url}';
             INSERT INTO {name} VALUES (1)"
        );
        client.batch_execute(&sql).await?;
    }
    let within = outer.join("sub").join("inner");
    let refused = client
        .batch_execute(&format!(
            "CREATE TABLE nested (id integer) USING delta LOCATION '{}'",
            within.display()
        ))
        .await
        .err()
        .context("a table was made inside of another")?;
    ensure!(refused.code() == Some(&SqlState::INVALID_TABLE_DEFINITION), "{refused}");
    // Other programs may have put one there all the same.
    client.batch_execute("DROP TABLE inner_rows").await?;
    std::fs::create_dir_all(outer.join("sub"))?;
    std::fs::rename(&inner, &within)?;
    std::fs::copy(data_files(&outer)?.first().context("no file")?, outer.join("left.parquet"))?;
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(72);
    for file in data_files(&outer)? {
        std::fs::File::options().write(true).open(file)?.set_modified(old)?;
    }
    client.batch_execute("SET tarn.vacuum_retention_check = off").await?;
    client.batch_execute("VACUUM outer_rows RETAIN 0 HOURS").await?;
    ensure!(!outer.join("left.parquet").exists(), "what nobody knows is still there");
    let sql = format!(
        "CREATE TABLE inner_rows USING delta LOCATION '{}'; SELECT * FROM inner_rows",
        within.display()
    );
    client.batch_execute(&sql).await?;
    let sum: i64 = client.query_one("SELECT sum(id)::bigint FROM inner_rows", &[]).await?.get(0);
    ensure!(sum == 1, "{sum}");
    server.stop().await;
    Ok(())
}
