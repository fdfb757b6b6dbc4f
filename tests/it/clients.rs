//! Real drivers and tools against a server in this process.
//!
//! The programs are in `tests/clients`; each prints TAP lines and ends with 0 when all
//! of its cases hold. A suite whose program is absent says so, and fails under
//! `TARN_REQUIRE_CLIENTS=1`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{
    Server, demo_data, program, python, repository_file, require_or_skip, run_program,
};

/// Scale of the demo tables that drivers read: small, but a cross join of it never ends.
const SCALE: f64 = 0.01;

/// Runs `tests/clients/python/SCRIPT` against a server over the demo tables.
async fn python_suite(script: &str) -> Result<()> {
    let Some(python) = python() else {
        require_or_skip("there is no venv with the Python drivers");
        return Ok(());
    };
    let server = Server::start(&[demo_data(SCALE)?]).await?;
    let report = run_script(&server, python, script, Vec::new()).await;
    server.stop().await;
    println!("{}", report?);
    Ok(())
}

/// Runs a script with the server's address in front of `more` arguments.
async fn run_script(
    server: &Server,
    python: PathBuf,
    script: &str,
    more: Vec<String>,
) -> Result<String> {
    let addr = server.pg_addr()?;
    let script = repository_file("clients/python").join(script).display().to_string();
    let mut arguments =
        vec!["-B".to_owned(), script, addr.ip().to_string(), addr.port().to_string()];
    arguments.extend(["tarn", "unused", "tarn"].map(str::to_owned));
    arguments.extend(more);
    run_blocking(python, arguments).await
}

async fn run_blocking(program: PathBuf, arguments: Vec<String>) -> Result<String> {
    tokio::task::spawn_blocking(move || run_program(&program, &arguments)).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn psycopg3() -> Result<()> {
    python_suite("psycopg3.py").await
}

#[tokio::test(flavor = "multi_thread")]
async fn psycopg2() -> Result<()> {
    python_suite("psycopg2_driver.py").await
}

#[tokio::test(flavor = "multi_thread")]
async fn asyncpg() -> Result<()> {
    python_suite("asyncpg_driver.py").await
}

#[tokio::test(flavor = "multi_thread")]
async fn adbc_postgresql() -> Result<()> {
    python_suite("adbc_postgresql.py").await
}

#[tokio::test(flavor = "multi_thread")]
async fn pg8000() -> Result<()> {
    python_suite("pg8000_driver.py").await
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlalchemy_and_pandas() -> Result<()> {
    python_suite("sqlalchemy_driver.py").await
}

/// Flight SQL by ADBC and pyarrow.
#[tokio::test(flavor = "multi_thread")]
async fn flight_sql() -> Result<()> {
    let Some(python) = python() else {
        require_or_skip("there is no venv with the Python drivers");
        return Ok(());
    };
    let server = Server::start(&[demo_data(SCALE)?]).await?;
    let script = repository_file("clients/python/flight_sql.py").display().to_string();
    let address = format!("grpc://{}", server.flight_addr()?);
    let report = run_blocking(python, vec!["-B".to_owned(), script, address]).await;
    server.stop().await;
    println!("{}", report?);
    Ok(())
}

/// Delta tables read as DuckDB and the Python package `deltalake` read them.
#[tokio::test(flavor = "multi_thread")]
async fn delta_tables_of_other_writers() -> Result<()> {
    let Some(python) = python() else {
        require_or_skip("there is no venv with deltalake and DuckDB");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let writer = repository_file("clients/python/delta_tables.py").display().to_string();
    let path = folder.path().display().to_string();
    run_blocking(python.clone(), vec!["-B".to_owned(), writer, path.clone()]).await?;
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let report = run_script(&server, python, "delta_check.py", vec![path]).await;
    server.stop().await;
    println!("{}", report?);
    Ok(())
}

/// Runs `psql -X OPTIONS` with each command as one `-c`, and returns what it printed.
async fn psql(server: &Server, options: &[&str], commands: &[&str]) -> Result<String> {
    let psql = program("psql").context("psql is not installed")?;
    let addr = server.pg_addr()?;
    let mut arguments = vec!["-X".to_owned(), "-v".to_owned(), "ON_ERROR_STOP=1".to_owned()];
    arguments.extend(options.iter().map(ToString::to_string));
    arguments.push(format!(
        "host={} port={} user=tarn dbname=tarn sslmode=disable",
        addr.ip(),
        addr.port()
    ));
    for command in commands {
        arguments.extend(["-c".to_owned(), (*command).to_owned()]);
    }
    run_blocking(psql, arguments).await
}

/// Starts a server over the demo tables, or says why psql cannot be driven.
async fn server_for_psql() -> Result<Option<Server>> {
    if program("psql").is_none() {
        require_or_skip("psql is not installed");
        return Ok(None);
    }
    Server::start(&[demo_data(SCALE)?]).await.map(Some)
}

/// Fails unless `text` holds all of `parts`.
fn check(text: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_describes() -> Result<()> {
    let Some(server) = server_for_psql().await? else { return Ok(()) };
    let text = psql(&server, &[], &["\\d"]).await?;
    check(&text, &["List of relations", "| lineitem | table |", "public"])?;
    let text = psql(&server, &[], &["\\dt"]).await?;
    check(&text, &["| region   | table | tarn", "(8 rows)"])?;
    let text = psql(&server, &[], &["\\dt+", "\\d+", "\\dv", "\\di", "\\ds", "\\df"]).await?;
    check(&text, &["region"])?;
    check(&psql(&server, &[], &["\\l"]).await?, &["List of databases", "tarn", "UTF8"])?;
    check(&psql(&server, &[], &["\\dn"]).await?, &["List of schemas", "public"])?;
    check(&psql(&server, &[], &["\\du"]).await?, &["Role name", "tarn", "Superuser"])?;
    let text = psql(&server, &[], &["\\d orders"]).await?;
    check(
        &text,
        &["Table \"public.orders\"", "o_orderkey", "bigint", "numeric(15,2)", "| date", "Column"],
    )?;
    check(&psql(&server, &[], &["\\d+ nation"]).await?, &["n_nationkey", "Storage"])?;
    check(&psql(&server, &[], &["\\dT", "\\dp", "\\conninfo"]).await?, &["You are connected"])?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_formats_rows() -> Result<()> {
    let Some(server) = server_for_psql().await? else { return Ok(()) };
    let text =
        psql(&server, &[], &["select r_regionkey, r_name from region order by 1 limit 2"]).await?;
    check(&text, &[" r_regionkey | r_name  \n", "           0 | AFRICA\n", "(2 rows)"])?;
    let text = psql(&server, &["--csv"], &["select 1 as a, null as b, 'x,y' as c"]).await?;
    ensure!(text == "a,b,c\n1,,\"x,y\"\n", "{text}");
    let text = psql(&server, &[], &["\\timing on", "select 1"]).await?;
    check(&text, &["Timing is on.", "Time: "])?;
    let text = psql(&server, &["-At"], &["select 1; select 2", "select 3"]).await?;
    ensure!(text == "1\n2\n3\n" || text == "2\n3\n", "{text}");
    server.stop().await;
    Ok(())
}

/// psql 15 fetches in parts through DECLARE, which tarn does not have: it has to say so.
#[tokio::test(flavor = "multi_thread")]
async fn psql_learns_that_cursors_are_missing() -> Result<()> {
    let Some(server) = server_for_psql().await? else { return Ok(()) };
    let options = ["-At", "-v", "FETCH_COUNT=1000", "-v", "VERBOSITY=verbose"];
    let Err(error) = psql(&server, &options, &["select l_orderkey from lineitem"]).await else {
        anyhow::bail!("cursors work: fetch all rows here and count them");
    };
    check(&format!("{error:#}"), &["0A000", "DECLARE is not supported"])?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_points_at_errors() -> Result<()> {
    let Some(server) = server_for_psql().await? else { return Ok(()) };
    let verbose = ["-v", "VERBOSITY=verbose"];
    let cases = [
        (
            "select * from missing",
            "42P01",
            "LINE 1: select * from missing\n                      ^",
        ),
        (
            "select missing from nation",
            "42703",
            "LINE 1: select missing from nation\n               ^",
        ),
        ("selec 1", "42601", "LINE 1: selec 1\n        ^"),
    ];
    for (sql, code, caret) in cases {
        let Err(error) = psql(&server, &verbose, &[sql]).await else {
            anyhow::bail!("{sql} succeeded");
        };
        check(&format!("{error:#}"), &["ERROR:", code, caret])?;
    }
    server.stop().await;
    Ok(())
}
