//! The 22 TPC-H queries give DuckDB's rows over both frontends.
//!
//! The scale is 0.1, or what `TARN_TPCH_SCALE` says. DuckDB reads the very Parquet files
//! that the Delta tables consist of.

use anyhow::{Context, Result, ensure};
use tarn_tests::bench::engine::{Engine, Protocol};
use tarn_tests::bench::peer::table_files;
use tarn_tests::bench::tpch::query;
use tarn_tests::harness::{Server, demo_data, python, require_or_skip};

/// Returns the scale that this run uses.
fn scale() -> Result<f64> {
    std::env::var("TARN_TPCH_SCALE").map_or(Ok(0.1), |text| text.parse().context("TARN_TPCH_SCALE"))
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_equal_duckdb_over_both_frontends() -> Result<()> {
    if python().is_none() {
        require_or_skip("there is no venv with DuckDB");
        return Ok(());
    }
    let scale = scale()?;
    let folder = demo_data(scale)?;
    let mut duckdb = Engine::peer("duckdb-parquet", &table_files(&folder)?, 2)?;
    let server = Server::start(&[folder]).await?;
    let mut frontends = [
        ("pg", Engine::pg(server.pg_addr()?, Protocol::Extended).await?),
        ("flight", Engine::flight(server.flight_addr()?).await?),
    ];
    let mut faults = Vec::new();
    for number in 1..=22 {
        let sql = query(number, scale)?;
        let expected = duckdb.run(&sql, true).await?.answer.context("DuckDB's rows")?;
        for (frontend, engine) in &mut frontends {
            match engine.run(&sql, true).await {
                Err(error) => faults.push(format!("Q{number:02} {frontend}: {error:#}")),
                Ok(run) => {
                    let found = run.answer.context("tarn's rows")?;
                    if let Some(difference) = found.difference(&expected) {
                        faults.push(format!("Q{number:02} {frontend}: {difference}"));
                    }
                }
            }
        }
    }
    server.stop().await;
    ensure!(faults.is_empty(), "{} wrong answers:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}
