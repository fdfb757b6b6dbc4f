//! Who reads whose Delta tables: deltalake, DuckDB, ClickHouse, Sail and tarn, each way.
//!
//! `TARN_UPDATE_INTEROPERABILITY=1 cargo it interop` writes the matrix into the page.

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{Server, lake_python, repository_file, require_or_skip};

/// Where the matrix is in the page.
const MARKS: [&str; 2] = ["<!-- matrix -->\n", "<!-- end of matrix -->\n"];

#[tokio::test(flavor = "multi_thread")]
async fn everyone_reads_everyones_tables() -> Result<()> {
    let Some(python) = lake_python() else {
        require_or_skip("the venv of lake tables is not installed");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let (foreign, own) = (folder.path().join("foreign"), folder.path().join("own"));
    std::fs::create_dir_all(&foreign)?;
    let server = Server::start(std::slice::from_ref(&foreign)).await?;
    let addr = server.pg_addr()?;
    let output = tokio::process::Command::new(python)
        .arg("-B")
        .arg(repository_file("clients/lake/interop.py"))
        .args([addr.ip().to_string(), addr.port().to_string()])
        .args([&foreign, &own])
        .env("PYTHONWARNINGS", "ignore")
        .output()
        .await?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    server.stop().await;
    println!("{printed}");
    ensure!(output.status.success(), "{}", failures(&printed, &output.stderr));
    let (_, matrix) = printed.split_once("<matrix>\n").context("no matrix")?;
    let (matrix, _) = matrix.split_once("</matrix>").context("no end of the matrix")?;
    check_page(matrix)
}

fn failures(printed: &str, stderr: &[u8]) -> String {
    let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with("FAILED")).collect();
    if lines.is_empty() { String::from_utf8_lossy(stderr).into_owned() } else { lines.join("\n") }
}

fn check_page(matrix: &str) -> Result<()> {
    let path = repository_file("../docs/interoperability.md");
    let page = std::fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(MARKS[0]).context("the page has no matrix")?;
    let (there, after) = rest.split_once(MARKS[1]).context("the page's matrix has no end")?;
    if std::env::var_os("TARN_UPDATE_INTEROPERABILITY").is_some() {
        let text = [before, MARKS[0], matrix, MARKS[1], after].concat();
        return std::fs::write(path, text).context("writing docs/interoperability.md");
    }
    ensure!(
        there == matrix,
        "docs/interoperability.md is out of date\n\
         Write it with TARN_UPDATE_INTEROPERABILITY=1 cargo it interop"
    );
    Ok(())
}
