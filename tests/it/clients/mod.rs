//! Real drivers and tools against tarn and PostgreSQL side by side.
//!
//! | module | what |
//! |---|---|
//! | `suite` | runs a program on both servers and compares case by case |
//! | `tap` | what a program prints |
//! | `gaps` | the cases that do not hold yet, `tests/clients/gaps.txt` |
//! | `oracle` | PostgreSQL with the demo tables |
//! | `page` | `docs/compatibility.md` |
//! | `installed` | what `.ci/install-clients` has put where |
//!
//! The programs are in `tests/clients`. A suite whose program is absent says so, and fails
//! under `TARN_REQUIRE_CLIENTS=1` unless `.ci/install-clients` could not get it.

mod gaps;
mod installed;
mod lake;
pub mod oracle;
pub mod page;
mod suite;
mod tap;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{program, python};

use suite::{Program, check, check_flight};

/// Scale of the demo tables that drivers read: small, but a cross join of it never ends.
const SCALE: f64 = 0.01;

/// Runs `tests/clients/python/SCRIPT` with the Python of the drivers.
async fn python_suite(script: &str) -> Result<()> {
    let Some(python) = installed::need("python", python()) else { return Ok(()) };
    let arguments = ["-B".to_owned(), installed::source(&format!("python/{script}"))];
    check(Program::new(python, &arguments)).await
}

/// Runs `tests/clients/node/SCRIPT` with the packages of the clients' folder.
async fn node_suite(script: &str) -> Result<()> {
    let modules = installed::folder().join("node/node_modules");
    let Some(modules) = installed::need("node", Some(modules)) else { return Ok(()) };
    let Some(node) = installed::need("node", program("node")) else { return Ok(()) };
    let mut program = Program::new(node, &[installed::source(&format!("node/{script}"))]);
    program.variables.push(("NODE_PATH".to_owned(), modules.display().to_string()));
    check(program).await
}

/// Runs `tests/clients/java/PgJdbc.java` with a driver.
async fn pgjdbc_suite(java: PathBuf, jar: PathBuf) -> Result<()> {
    let arguments = [
        "-XX:TieredStopAtLevel=1".to_owned(),
        "-cp".to_owned(),
        jar.display().to_string(),
        installed::source("jdbc/PgJdbc.java"),
    ];
    check(Program::new(java, &arguments)).await
}

/// Builds `tests/clients/go/FOLDER` without the network and returns the program.
async fn go_program(folder: &'static str) -> Result<Option<PathBuf>> {
    let caches = installed::folder().join("go");
    let Some(_) = installed::need("go", Some(caches.join("mod"))) else { return Ok(None) };
    let Some(go) = installed::need("go", program("go")) else { return Ok(None) };
    let built = tokio::task::spawn_blocking(move || -> Result<PathBuf> {
        let target = caches.join("bin").join(folder);
        let output = Command::new(go)
            .args(["build", "-o"])
            .arg(&target)
            .arg(format!("./{folder}"))
            .current_dir(installed::source("go"))
            .env("GOMODCACHE", caches.join("mod"))
            .env("GOCACHE", caches.join("cache"))
            .envs([("GOFLAGS", "-mod=readonly -buildvcs=false"), ("GOPROXY", "off")])
            .output()
            .context("starting go")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(target)
    });
    Ok(Some(built.await??))
}

#[tokio::test(flavor = "multi_thread")]
async fn psql() -> Result<()> {
    let Some(_) = installed::need("psql", program("psql")) else { return Ok(()) };
    python_suite("psql.py").await
}

#[tokio::test(flavor = "multi_thread")]
async fn pgbench() -> Result<()> {
    python_suite("pgbench.py").await
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
async fn sqlalchemy() -> Result<()> {
    python_suite("sqlalchemy_driver.py").await
}

#[tokio::test(flavor = "multi_thread")]
async fn pandas() -> Result<()> {
    python_suite("pandas_frames.py").await
}

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_postgres() -> Result<()> {
    python_suite("duckdb_postgres.py").await
}

#[tokio::test(flavor = "multi_thread")]
async fn psqlodbc() -> Result<()> {
    let Some(_) = installed::need("isql", program("isql")) else { return Ok(()) };
    python_suite("psqlodbc.py").await
}

/// The statements that Npgsql, which has no package here, sends at each start.
#[tokio::test(flavor = "multi_thread")]
async fn npgsql_replay() -> Result<()> {
    python_suite("npgsql_replay.py").await
}

#[tokio::test(flavor = "multi_thread")]
async fn dbt() -> Result<()> {
    let dbt = installed::folder().join("dbt/bin/python");
    let Some(python) = installed::need("dbt", Some(dbt)) else { return Ok(()) };
    let arguments = ["-B".to_owned(), installed::source("dbt/dbt_postgres.py")];
    check(Program::new(python, &arguments)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn node_pg() -> Result<()> {
    node_suite("node_pg.js").await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_js() -> Result<()> {
    node_suite("postgres_js.js").await
}

#[tokio::test(flavor = "multi_thread")]
async fn pgjdbc() -> Result<()> {
    let Some((java, jar)) = installed::jar("postgresql") else { return Ok(()) };
    pgjdbc_suite(java, jar).await
}

/// The driver that Debian 12 ships, which older tools bring along.
#[tokio::test(flavor = "multi_thread")]
async fn pgjdbc_debian() -> Result<()> {
    let Some(java) = installed::need("java", program("java")) else { return Ok(()) };
    let jar = Some(PathBuf::from("/usr/share/java/postgresql.jar"));
    let Some(jar) = installed::need("libpostgresql-jdbc-java", jar) else { return Ok(()) };
    pgjdbc_suite(java, jar).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pgx() -> Result<()> {
    let Some(program) = go_program("pgx").await? else { return Ok(()) };
    check(Program::new(program, &[])).await
}

/// Flight SQL by ADBC and pyarrow.
#[tokio::test(flavor = "multi_thread")]
async fn flight_sql() -> Result<()> {
    let Some(python) = installed::need("python", python()) else { return Ok(()) };
    let arguments = ["-B".to_owned(), installed::source("python/flight_sql.py")];
    check_flight(Program::new(python, &arguments), |addr| vec![format!("grpc://{addr}")]).await
}

/// Flight SQL by Go's ADBC driver.
#[tokio::test(flavor = "multi_thread")]
async fn flight_sql_go() -> Result<()> {
    let Some(program) = go_program("flightsql").await? else { return Ok(()) };
    check_flight(Program::new(program, &[]), |addr| vec![format!("grpc://{addr}")]).await
}

/// Flight SQL by Arrow's JDBC driver.
#[tokio::test(flavor = "multi_thread")]
async fn flight_sql_jdbc() -> Result<()> {
    let Some((java, jar)) = installed::jar("flight-sql-jdbc-driver") else { return Ok(()) };
    let arguments = [
        "--add-opens=java.base/java.nio=ALL-UNNAMED".to_owned(),
        "-cp".to_owned(),
        jar.display().to_string(),
        installed::source("jdbc/FlightSqlSmoke.java"),
    ];
    let program = Program::new(java, &arguments);
    check_flight(program, |addr| vec![addr.ip().to_string(), addr.port().to_string()]).await
}
