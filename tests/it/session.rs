//! What one session may expect of the server, whatever others do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use tarn_tests::harness::{Server, wait_until};
use tokio_postgres::error::SqlState;

use super::wire::{Wire, message, query};

const LIMIT: Duration = Duration::from_secs(60);

/// Computes for longer than any test waits.
const ENDLESS: &str = "SELECT count(*) AS n FROM generate_series(1, 1000000) a(x), \
    generate_series(1, 1000000) b(y) WHERE x * y % 7 = 1";

/// Tools look at the catalog while reports take all places.
#[tokio::test(flavor = "multi_thread")]
async fn system_relations_answer_while_all_places_are_taken() -> Result<()> {
    let server = Server::start_with(&[], |config| config.n_queries_max = 1).await?;
    let addr = server.pg_addr()?;
    let shared = server.shared();
    let mut busy = Wire::connect(addr).await?;
    busy.send(&query(ENDLESS)).await?;
    wait_until(LIMIT, async || Ok(!shared.running.is_empty())).await?;
    let mut waiting = Wire::connect(addr).await?;
    waiting.send(&query("SELECT count(*) FROM generate_series(1, 10) a(x)")).await?;
    wait_until(LIMIT, async || Ok(shared.engine.n_waiting() == 1)).await?;
    let mut tool = Wire::connect(addr).await?;
    for sql in [
        "SELECT relname FROM pg_class WHERE relname = 'pg_type'",
        "SELECT table_name FROM information_schema.tables WHERE table_name = 'pg_type'",
        "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
         WHERE c.relname = 'pg_type' AND a.attname = 'typname'",
    ] {
        let lines = tool.exchange(&query(sql)).await?;
        ensure!(lines.iter().any(|line| line == "done SELECT 1"), "{sql}: {lines:?}");
    }
    ensure!(shared.engine.n_waiting() == 1, "the other one still waits");
    drop((busy, waiting));
    server.until_quiet(LIMIT).await?;
    server.stop().await;
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Panics {
    signature: Signature,
}

impl ScalarUDFImpl for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        panic!("as asked for")
    }
}

/// A panic is the error of one statement, wherever it happens.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_one_statement() -> Result<()> {
    let server = Server::start_with(&[], |config| {
        let signature = Signature::any(1, Volatility::Volatile);
        config.functions.push(Arc::new(ScalarUDF::from(Panics { signature })));
    })
    .await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    // On the spot, in a running query, and behind the first rows.
    for sql in [
        "SELECT panics(1)",
        "SELECT panics(x) FROM generate_series(1, 10) t(x)",
        "SELECT count(*) FROM generate_series(1, 100000) t(x) WHERE panics(x) = 1",
    ] {
        let lines = wire.exchange(&query(sql)).await?;
        let ended = lines.ends_with(&["ERROR XX000".to_owned(), "ready I".to_owned()]);
        ensure!(ended, "{sql}: {lines:?}");
        wire.check_alive().await?;
    }
    server.until_quiet(LIMIT).await?;
    server.stop().await;
    Ok(())
}

fn write_csv(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, "id,name\n1,one\n2,two\n")?;
    Ok(path)
}

async fn numbers(paths: &[PathBuf]) -> Result<Vec<String>> {
    let server = Server::start(paths).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    let sql = "SELECT c.relname, c.oid, c.reltype, a.attname, a.attnum FROM pg_class c \
               JOIN pg_attribute a ON a.attrelid = c.oid \
               WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, 5";
    let lines = wire.exchange(&query(sql)).await?;
    server.stop().await;
    Ok(lines)
}

/// Clients keep object identifiers: they are the same on every start and every node.
#[tokio::test(flavor = "multi_thread")]
async fn object_identifiers_last() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let names = ["alpha.csv", "beta.csv", "gamma.csv"];
    let paths: Vec<PathBuf> =
        names.iter().map(|name| write_csv(folder.path(), name)).collect::<Result<_>>()?;
    let first = numbers(&paths).await?;
    ensure!(first.iter().any(|line| line == "done SELECT 6"), "{first:?}");
    ensure!(numbers(&paths).await? == first, "after a restart");
    let backwards: Vec<PathBuf> = paths.iter().rev().cloned().collect();
    ensure!(numbers(&backwards).await? == first, "found in another order");
    // One table more and one table less do not move the others.
    let fourth = write_csv(folder.path(), "aaa.csv")?;
    let fewer: Vec<PathBuf> = [fourth].into_iter().chain(paths.iter().skip(1).cloned()).collect();
    let others = numbers(&fewer).await?;
    for line in first.iter().filter(|line| line.contains("beta") || line.contains("gamma")) {
        ensure!(others.contains(line), "{line} is not in {others:?}");
    }
    Ok(())
}

/// What is known of tables is enough for the catalog: storage that has gone does not matter.
#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_needs_no_storage() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = write_csv(folder.path(), "gone.csv")?;
    let server = Server::start(std::slice::from_ref(&path)).await?;
    std::fs::remove_file(&path)?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    for sql in [
        "SELECT relname FROM pg_class WHERE relname = 'gone'",
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'gone'::regclass AND attnum > 0",
        "SELECT table_name FROM information_schema.tables WHERE table_name = 'gone'",
        "SELECT count(*) FROM information_schema.columns WHERE table_name = 'gone'",
    ] {
        let lines = wire.exchange(&query(sql)).await?;
        ensure!(lines.iter().any(|line| line == "done SELECT 1"), "{sql}: {lines:?}");
    }
    let lines = wire.exchange(&query("SELECT * FROM gone")).await?;
    ensure!(lines.iter().any(|line| line.starts_with("ERROR")), "{lines:?}");
    server.stop().await;
    Ok(())
}

/// The time that a client takes to send its rows counts too.
#[tokio::test(flavor = "multi_thread")]
async fn statement_timeout_covers_copy_from_stdin() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    wire.exchange(&query("CREATE TEMP TABLE slow (a int)")).await?;
    wire.exchange(&query("SET statement_timeout = 200")).await?;
    wire.send(&query("COPY slow FROM STDIN")).await?;
    let first = wire.next().await?.context("no answer")?;
    ensure!(first.kind == b'G', "{}", first.line());
    wire.send(&message(b'd', b"1\n")).await?;
    let lines: Vec<String> = wire.until_ready().await?.iter().map(|m| m.line()).collect();
    ensure!(lines == ["ERROR 57014", "ready I"], "{lines:?}");
    // What the client sends before it notices is skipped.
    wire.send(&message(b'c', b"")).await?;
    wire.check_alive().await?;
    let lines = wire.exchange(&query("SELECT count(*) AS n FROM slow")).await?;
    ensure!(lines.contains(&"row 0".to_owned()), "{lines:?}");
    server.stop().await;
    Ok(())
}

/// A sleeping statement is cancelled and timed out as others are, and frees its thread.
#[tokio::test(flavor = "multi_thread")]
async fn sleep_ends_with_its_statement() -> Result<()> {
    let server = Server::start(&[]).await?;
    let shared = server.shared();
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    let started = Instant::now();
    for sql in ["SELECT pg_sleep(600)", "SELECT pg_sleep(600) FROM generate_series(1, 3)"] {
        wire.exchange(&query("SET statement_timeout = 200")).await?;
        let lines = wire.exchange(&query(sql)).await?;
        ensure!(lines.ends_with(&["ERROR 57014".to_owned(), "ready I".to_owned()]), "{lines:?}");
        wire.exchange(&query("SET statement_timeout = 0")).await?;
        wire.send(&query(sql)).await?;
        let pid = wire.key.0;
        let session = || shared.sessions.list().into_iter().find(|s| s.pid() == pid);
        wait_until(LIMIT, async || Ok(session().is_some_and(|s| s.running().0.is_some()))).await?;
        ensure!(shared.sessions.cancel_by_pid(pid), "an unknown session");
        let lines = wire.exchange(b"").await?;
        ensure!(lines.ends_with(&["ERROR 57014".to_owned(), "ready I".to_owned()]), "{lines:?}");
    }
    ensure!(started.elapsed() < LIMIT, "nothing has waited for the sleep");
    server.until_quiet(LIMIT).await?;
    server.stop().await;
    Ok(())
}

/// `'today'` is read anew each time, although plans are kept.
#[tokio::test(flavor = "multi_thread")]
async fn moments_are_not_kept_in_plans() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    let sql = "SELECT 'now'::timestamptz::text AS at";
    let one = wire.exchange(&query(sql)).await?;
    let started = Instant::now();
    while wire.exchange(&query(sql)).await? == one {
        ensure!(started.elapsed() < LIMIT, "the moment stands still");
    }
    wire.exchange(&query("CREATE TEMP VIEW moment AS SELECT 'now'::timestamptz::text AS at"))
        .await?;
    let sql = "SELECT at FROM moment";
    let one = wire.exchange(&query(sql)).await?;
    let started = Instant::now();
    while wire.exchange(&query(sql)).await? == one {
        ensure!(started.elapsed() < LIMIT, "the view's moment stands still");
    }
    server.stop().await;
    Ok(())
}

/// Whoever has been told the columns of a prepared statement never gets rows of others.
#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_keep_their_columns() -> Result<()> {
    let server = Server::start(&[]).await?;
    let (reader, other) = (server.connect().await?, server.connect().await?);
    for kind in ["memory", "delta"] {
        let make = |columns: &str| {
            format!("DROP TABLE IF EXISTS shown; CREATE TABLE shown ({columns}) USING {kind}")
        };
        for columns in ["b integer, a integer", "a integer", "a bigint, b integer"] {
            other.batch_execute(&make("a integer, b integer")).await?;
            other.batch_execute("INSERT INTO shown VALUES (1, 2)").await?;
            let prepared = reader.prepare("SELECT * FROM shown").await?;
            let by_key = reader.prepare("SELECT * FROM shown WHERE a = 1").await?;
            // Often enough for rows by a key to come from memory.
            for _ in 0..5 {
                for prepared in [&prepared, &by_key] {
                    let row = reader.query_one(prepared, &[]).await?;
                    ensure!((row.get::<_, i32>("a"), row.get::<_, i32>("b")) == (1, 2), "{row:?}");
                }
            }
            other.batch_execute(&make(columns)).await?;
            other.batch_execute("INSERT INTO shown (a) VALUES (1)").await?;
            for prepared in [&prepared, &by_key] {
                let Err(error) = reader.query(prepared, &[]).await else {
                    bail!("{kind}: rows of ({columns}) came for (a, b)");
                };
                ensure!(error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED), "{error}");
            }
            let again = reader.query("SELECT * FROM shown", &[]).await?;
            ensure!(again.len() == 1, "{kind}: {columns}");
            // The same columns again: what was prepared works again.
            other.batch_execute(&make("a integer, b integer")).await?;
            ensure!(reader.query(&prepared, &[]).await?.is_empty(), "{kind}: {columns}");
        }
    }
    server.stop().await;
    Ok(())
}

/// Notices of a level that the client does not want stay away.
#[tokio::test(flavor = "multi_thread")]
async fn notices_have_a_least_level() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    let shown = |lines: &[String]| lines.iter().any(|line| line.contains("25P01"));
    ensure!(shown(&wire.exchange(&query("COMMIT")).await?), "a warning");
    wire.exchange(&query("SET client_min_messages = error")).await?;
    ensure!(!shown(&wire.exchange(&query("COMMIT")).await?), "a warning below error");
    server.stop().await;
    Ok(())
}

/// Of two sessions that changed one table the second gets 40001 and can go on.
#[tokio::test(flavor = "multi_thread")]
async fn conflicting_writers_get_40001() -> Result<()> {
    let server = Server::start(&[]).await?;
    let addr = server.pg_addr()?;
    let (mut one, mut two) = (Wire::connect(addr).await?, Wire::connect(addr).await?);
    one.exchange(&query("CREATE TABLE shared_rows (a int); INSERT INTO shared_rows VALUES (1)"))
        .await?;
    for wire in [&mut one, &mut two] {
        let lines = wire.exchange(&query("BEGIN; UPDATE shared_rows SET a = a + 1")).await?;
        ensure!(lines.contains(&"done UPDATE 1".to_owned()), "{lines:?}");
    }
    let lines = one.exchange(&query("COMMIT")).await?;
    ensure!(lines == ["done COMMIT", "ready I"], "{lines:?}");
    let lines = two.exchange(&query("COMMIT")).await?;
    ensure!(lines == ["ERROR 40001", "ready I"], "{lines:?}");
    let lines = two.exchange(&query("SELECT a FROM shared_rows")).await?;
    ensure!(lines.contains(&"row 2".to_owned()), "{lines:?}");
    server.stop().await;
    Ok(())
}

/// `pg_terminate_backend` through SQL ends another session, and its row goes.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_each_other_by_sql() -> Result<()> {
    let server = Server::start(&[]).await?;
    let addr = server.pg_addr()?;
    let (mut one, mut two) = (Wire::connect(addr).await?, Wire::connect(addr).await?);
    let sql = format!(
        "SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity WHERE pid = {}",
        two.key.0
    );
    let lines = one.exchange(&query(&sql)).await?;
    ensure!(lines.contains(&"row t".to_owned()), "{lines:?}");
    let lines = two.exchange(b"").await?;
    ensure!(lines == ["FATAL 57P01", "closed"], "{lines:?}");
    let shared = server.shared();
    wait_until(LIMIT, async || Ok(shared.sessions.list().len() == 1)).await?;
    server.stop().await;
    Ok(())
}

/// EXPLAIN in JSON is one value that tools can read: a tree of nodes, with times if it ran.
#[tokio::test(flavor = "multi_thread")]
async fn explain_gives_json() -> Result<()> {
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    client.batch_execute("CREATE TABLE explained (a int, b text)").await?;
    for (sql, ran) in [
        ("EXPLAIN (FORMAT JSON) SELECT a FROM explained WHERE a > 1", false),
        ("EXPLAIN (ANALYZE, FORMAT JSON) SELECT count(*) FROM explained", true),
        ("EXPLAIN (FORMAT JSON) UPDATE explained SET a = 2 WHERE b = 'x'", false),
    ] {
        let text: String = client.query_one(sql, &[]).await?.get(0);
        let value: serde_json::Value = serde_json::from_str(&text)?;
        let whole = value.get(0).context("an array of one")?;
        let plan = whole.get("Plan").context("a plan")?;
        ensure!(plan.get("Node Type").is_some_and(serde_json::Value::is_string), "{text}");
        ensure!(plan.get("Plans").is_some_and(serde_json::Value::is_array), "{text}");
        ensure!(whole.get("Execution Time").is_some() == ran, "{text}");
    }
    let lines = client.query("EXPLAIN DELETE FROM explained WHERE a = 1", &[]).await?;
    let first: String = lines.first().context("a plan")?.get(0);
    ensure!(first == "Delete on explained", "{first}");
    let count: i64 = client.query_one("SELECT count(*) FROM explained", &[]).await?.get(0);
    ensure!(count == 0, "nothing was written");
    server.stop().await;
    Ok(())
}
