//! Folders as tables: formats side by side, broken tables, changes while the server runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use tarn_server::{ServerConfig, StartError};
use tarn_tests::harness::{Server, demo_data};
use tempfile::TempDir;
use tokio_postgres::Client;

/// Writes a Parquet file with the numbers of `range` and a text.
fn write_parquet(path: &Path, range: std::ops::Range<i64>) -> Result<()> {
    let names: ArrayRef =
        Arc::new(StringArray::from_iter_values(range.clone().map(|i| format!("n{i}"))));
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(range));
    let batch = RecordBatch::try_from_iter([("id", ids), ("name", names)])?;
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path)?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn log_files(table: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(table.join("_delta_log"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    Ok(files)
}

/// A folder with a table of each format.
fn lake() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    copy_folder(&demo_data(0.01)?.join("nation"), &at("nation"))?;
    write_parquet(&at("cities.parquet"), 0..1_000)?;
    std::fs::write(at("people.csv"), "id,name,height\n1,Ann,1.7\n2,Bob,\n")?;
    std::fs::write(at("events.json"), "{\"id\":1,\"kind\":\"a\"}\n{\"id\":2,\"kind\":null}\n")?;
    std::fs::create_dir(at("trips"))?;
    std::fs::write(at("trips/2024-01.csv"), "id,km\n1,10\n2,20\n")?;
    Ok(folder)
}

async fn count(client: &Client, table: &str) -> Result<i64> {
    let row = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?;
    Ok(row.get(0))
}

async fn table_names(client: &Client) -> Result<Vec<String>> {
    let sql = "SELECT table_name::text FROM information_schema.tables \
        WHERE table_schema = 'public' ORDER BY 1";
    Ok(client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Fails unless a statement fails with one of some SQLSTATEs.
async fn check_fails(client: &Client, sql: &str, codes: &[&str]) -> Result<()> {
    let error = client.query(sql, &[]).await.err().with_context(|| format!("{sql} succeeded"))?;
    let error = error.as_db_error().with_context(|| format!("{sql}: {error}"))?;
    ensure!(codes.contains(&error.code().code()), "{sql}: {} {error}", error.code().code());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn formats_side_by_side() -> Result<()> {
    let folder = lake()?;
    let server = Server::start(&[folder.path().to_owned()]).await?;
    ensure!(server.broken().is_empty(), "{:?}", server.broken());
    let client = server.connect().await?;
    let expected = [("cities", 1_000), ("events", 2), ("nation", 25), ("people", 2), ("trips", 2)];
    ensure!(table_names(&client).await? == expected.map(|(name, _)| name));
    for (table, n_rows) in expected {
        ensure!(count(&client, table).await? == n_rows, "{table}");
    }
    let sql = "SELECT c.name, p.name, n.n_name FROM cities c JOIN people p USING (id) \
        JOIN events e USING (id) JOIN nation n ON n.n_nationkey = c.id ORDER BY c.id";
    let rows = client.query(sql, &[]).await?;
    let texts: Vec<Vec<&str>> = rows.iter().map(|r| (0..3).map(|i| r.get(i)).collect()).collect();
    ensure!(texts == [["n1", "Ann", "ARGENTINA"], ["n2", "Bob", "BRAZIL"]], "{texts:?}");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_tables_are_reported_and_skipped() -> Result<()> {
    let folder = lake()?;
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("garbage.parquet"), vec![b'x'; 5_000])?;
    std::fs::write(at("empty.parquet"), b"")?;
    let whole = std::fs::read(at("cities.parquet"))?;
    std::fs::write(at("short.parquet"), &whole[..whole.len() - 20])?;
    // A log that ends in the middle of its first commit, one that is no JSON, one without schema.
    for (name, log) in [("cut", None), ("nonsense", Some("nonsense\n")), ("bare", Some("{}\n"))] {
        copy_folder(&at("nation"), &at(name))?;
        let first = log_files(&at(name))?.remove(0);
        let text = std::fs::read_to_string(&first)?;
        std::fs::write(&first, log.unwrap_or(&text[..text.len() / 2]))?;
    }
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let broken = server.broken();
    for name in ["garbage", "empty", "short", "cut", "nonsense", "bare"] {
        let named: Vec<_> = broken.iter().filter(|(place, _)| place.contains(name)).collect();
        ensure!(named.len() == 1, "{name} is reported {} times in {broken:?}", named.len());
        ensure!(!named[0].1.is_empty(), "{name} without a reason");
    }
    ensure!(broken.len() == 6, "{broken:?}");
    let client = server.connect().await?;
    ensure!(table_names(&client).await? == ["cities", "events", "nation", "people", "trips"]);
    ensure!(count(&client, "cities").await? == 1_000 && count(&client, "nation").await? == 25);
    // Asked for, a broken table says what is wrong with it.
    for name in ["garbage", "empty", "short", "cut", "nonsense", "bare"] {
        check_fails(&client, &format!("SELECT * FROM {name}"), &["XX001"]).await?;
    }
    check_fails(&client, "INSERT INTO cut VALUES (1)", &["XX001"]).await?;
    server.stop().await;
    Ok(())
}

/// Files that go bad after the start: the statement fails, the others do not.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_go_bad_fail_one_statement() -> Result<()> {
    let folder = lake()?;
    let at = |name: &str| folder.path().join(name);
    write_parquet(&at("wide.parquet"), 0..50_000)?;
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let client = server.connect().await?;
    ensure!(count(&client, "wide").await? == 50_000);
    // The first page's header is damaged, the footer is not.
    let mut bytes = std::fs::read(at("wide.parquet"))?;
    for byte in bytes.iter_mut().skip(4).take(60) {
        *byte ^= 0x5a;
    }
    std::fs::write(at("wide.parquet"), &bytes)?;
    check_fails(&client, "SELECT sum(id), max(name) FROM wide", &["XX001"]).await?;
    // A data file of a Delta table is gone.
    let data = std::fs::read_dir(at("nation"))?.flatten().map(|entry| entry.path());
    let data = data.into_iter().find(|path| path.extension().is_some_and(|e| e == "parquet"));
    std::fs::remove_file(data.context("a data file")?)?;
    check_fails(&client, "SELECT max(n_comment) FROM nation", &["58P01"]).await?;
    std::fs::write(at("people.csv"), "id,name,height\n1,Ann,1.7\nx,\"unclosed")?;
    let _ = client.query("SELECT * FROM people", &[]).await;
    ensure!(count(&client, "cities").await? == 1_000);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_do_not_exist_are_errors() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for missing in [folder.path().join("none"), folder.path().join("none/deeper.parquet")] {
        let path = missing.display().to_string();
        let config = ServerConfig::for_tests(&folder.path().join("data"), vec![path.clone()]);
        let error = tarn_server::start(config).await.err().context("served a missing path")?;
        ensure!(matches!(error, StartError::Catalog(_)), "{error:?}");
        ensure!(error.to_string().contains(&path), "{error}");
    }
    // A folder without tables is none.
    let server = Server::start(&[folder.path().to_owned()]).await?;
    ensure!(table_names(&server.connect().await?).await?.is_empty());
    server.stop().await;
    Ok(())
}

/// Adds a commit to a Delta table: its first data file once more, under another name.
fn commit_again(table: &Path) -> Result<()> {
    let logs = log_files(table)?;
    let actions = logs.iter().map(std::fs::read_to_string).collect::<Result<String, _>>()?;
    let actions = actions.lines().map(serde_json::from_str::<serde_json::Value>);
    let actions = actions.collect::<Result<Vec<_>, _>>()?;
    let mut add =
        actions.into_iter().find(|action| action.get("add").is_some()).context("no file")?;
    let path = add["add"]["path"].as_str().context("no path")?.to_owned();
    let copy = format!("copy-{}-{path}", logs.len());
    std::fs::copy(table.join(&path), table.join(&copy))?;
    add["add"]["path"] = copy.into();
    let commit = table.join(format!("_delta_log/{:020}.json", logs.len()));
    std::fs::write(commit, format!("{add}\n"))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_statement_sees_changes() -> Result<()> {
    let folder = lake()?;
    let at = |name: &str| folder.path().join(name);
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let client = server.connect().await?;
    // Prepared before the changes, so that kept plans are checked as well.
    let prepared = client.prepare("SELECT count(*) FROM nation").await?;
    let trips = client.prepare("SELECT count(*) FROM trips").await?;
    for n_commits in 1..=3 {
        let n_rows: i64 = client.query_one(&prepared, &[]).await?.get(0);
        ensure!(n_rows == 25 * n_commits, "{n_rows} rows in version {}", n_commits - 1);
        commit_again(&at("nation"))?;
        ensure!(count(&client, "nation").await? == 25 * (n_commits + 1));
    }
    // A new file of a table, a longer file, a changed one.
    std::fs::write(at("trips/2024-02.csv"), "id,km\n3,30\n")?;
    ensure!(count(&client, "trips").await? == 3);
    ensure!(client.query_one(&trips, &[]).await?.get::<_, i64>(0) == 3);
    std::fs::write(at("events.json"), "{\"id\":1,\"kind\":\"a\"}\n{\"id\":2}\n{\"id\":3}\n")?;
    ensure!(count(&client, "events").await? == 3);
    write_parquet(&at("cities.parquet"), 0..1_001)?;
    ensure!(count(&client, "cities").await? == 1_001);
    ensure!(client.query_one("SELECT max(id) FROM cities", &[]).await?.get::<_, i64>(0) == 1_000);
    // New tables are found when they are named, before any search.
    write_parquet(&at("towns.parquet"), 0..7)?;
    ensure!(count(&client, "towns").await? == 7);
    copy_folder(&at("nation"), &at("people2"))?;
    ensure!(count(&client, "people2").await? == 100);
    // A file that is gone is no table any more.
    std::fs::remove_file(at("towns.parquet"))?;
    check_fails(&client, "SELECT * FROM towns", &["42P01", "58P01"]).await?;
    server.stop().await;
    Ok(())
}

/// A transaction reads what its first statement has read, however often the table changes.
#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_snapshots() -> Result<()> {
    let folder = lake()?;
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let (client, other) = (server.connect().await?, server.connect().await?);
    client.batch_execute("BEGIN").await?;
    ensure!(count(&client, "nation").await? == 25);
    commit_again(&folder.path().join("nation"))?;
    ensure!(count(&other, "nation").await? == 50);
    ensure!(count(&client, "nation").await? == 25, "a commit was seen inside of a transaction");
    let newest = log_files(&folder.path().join("nation"))?.len() - 1;
    let as_of = |version: usize| format!("nation VERSION AS OF {version}");
    ensure!(count(&client, &as_of(newest)).await? == 50);
    client.batch_execute("COMMIT").await?;
    ensure!(count(&client, "nation").await? == 50);
    ensure!(count(&client, &as_of(newest - 1)).await? == 25);
    server.stop().await;
    Ok(())
}

/// Two tables of the same number of commits in one place after another: no plan of the first one
/// answers for the second.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_table_is_noticed_by_prepared_statements() -> Result<()> {
    let folder = lake()?;
    let nation = folder.path().join("nation");
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let client = server.connect().await?;
    let sql = "SELECT count(*), max(n_name) FROM nation WHERE n_nationkey >= 0";
    let prepared = client.prepare(sql).await?;
    ensure!(client.query_one(&prepared, &[]).await?.get::<_, i64>(0) == 25);
    let other = tempfile::tempdir()?;
    copy_folder(&nation, &other.path().join("nation"))?;
    let kept = other.path().join("nation");
    let log = log_files(&kept)?.pop().context("no commits")?;
    // The same version number, with one file twice.
    let text = std::fs::read_to_string(&log)?;
    let add = text.lines().find(|line| line.contains("\"add\"")).context("no file")?;
    let mut add: serde_json::Value = serde_json::from_str(add)?;
    let path = add["add"]["path"].as_str().context("no path")?.to_owned();
    std::fs::copy(kept.join(&path), kept.join(format!("again-{path}")))?;
    add["add"]["path"] = format!("again-{path}").into();
    std::fs::write(&log, format!("{text}{add}\n"))?;
    std::fs::remove_dir_all(&nation)?;
    copy_folder(&kept, &nation)?;
    for statement in [client.prepare(sql).await?, prepared] {
        let n_rows: i64 = client.query_one(&statement, &[]).await?.get(0);
        ensure!(n_rows == 50, "{n_rows} rows");
    }
    server.stop().await;
    Ok(())
}

/// Wherever a statement names a table, it is the same version, however fast others commit.
#[tokio::test(flavor = "multi_thread")]
async fn one_statement_reads_one_version() -> Result<()> {
    let folder = lake()?;
    let table = folder.path().join("nation");
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let client = server.connect().await?;
    client.batch_execute("CREATE VIEW v AS SELECT * FROM nation").await?;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let writer = tokio::task::spawn_blocking(move || {
        let mut n_commits = 0;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) && n_commits < 200 {
            commit_again(&table)?;
            n_commits += 1;
        }
        Ok::<_, anyhow::Error>(n_commits)
    });
    for _ in 0..60 {
        let sql = "SELECT (SELECT count(*) FROM nation), (SELECT count(*) FROM public.nation), \
            (SELECT count(*) FROM v)";
        let row = client.query_one(sql, &[]).await?;
        let counts: [i64; 3] = [row.get(0), row.get(1), row.get(2)];
        ensure!(counts[0] == counts[1] && counts[1] == counts[2], "{counts:?}");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    ensure!(writer.await?? > 0);
    server.stop().await;
    Ok(())
}
