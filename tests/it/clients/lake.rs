//! Delta tables of other writers, read as DuckDB and the Python package `deltalake` read them.

use std::path::PathBuf;

use anyhow::Result;
use tarn_tests::harness::{Server, python, run_program};

use super::installed;

async fn run_blocking(program: PathBuf, arguments: Vec<String>) -> Result<String> {
    tokio::task::spawn_blocking(move || run_program(&program, &arguments)).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_tables_of_other_writers() -> Result<()> {
    write_and_check("python/delta_tables.py", "python/delta_check.py").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_of_tables_of_other_writers() -> Result<()> {
    write_and_check("python/history_tables.py", "python/history_check.py").await
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_of_tables_of_other_writers() -> Result<()> {
    write_and_check("python/maintenance_tables.py", "python/maintenance_check.py").await
}

/// Runs a program that writes tables, and one that compares what tarn says of them.
async fn write_and_check(writer: &str, check: &str) -> Result<()> {
    let Some(python) = installed::need("python", python()) else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let writer = installed::source(writer);
    let path = folder.path().display().to_string();
    run_blocking(python.clone(), vec!["-B".to_owned(), writer, path.clone()]).await?;
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let addr = server.pg_addr()?;
    let mut arguments = vec!["-B".to_owned(), installed::source(check)];
    arguments.extend([addr.ip().to_string(), addr.port().to_string()]);
    arguments.extend(["tarn", "unused", "tarn"].map(str::to_owned));
    arguments.push(path);
    let report = run_blocking(python, arguments).await;
    server.stop().await;
    println!("{}", report?);
    Ok(())
}
