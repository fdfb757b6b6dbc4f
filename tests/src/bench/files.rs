//! Planning over a table of many files, from a log that no data stands behind.
//!
//! EXPLAIN is timed at the client, so parsing, binding and the way over the wire are in it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;
use tokio_postgres::Client;

use super::args::Args;
use super::engine::ms_since;
use super::machine;
use super::report::{self, Table, number};
use super::stats::{median, percentile};
use super::target::Target;
use crate::harness::connect_pg;

/// Rows of each file: the keys of file `n` start at `n * ROWS`.
const ROWS: u64 = 1000;
/// Commits over which the files are spread.
const N_COMMITS: u64 = 50;
/// Further columns with statistics.
const N_COLUMNS: u64 = 9;

/// Runs the mode `files`.
pub async fn run(args: &Args) -> Result<()> {
    let n_files = args.value("files", 50_000_u64)?;
    let iterations = args.value("iterations", 30_u64)?;
    let machine = machine::describe();
    println!("{n_files} files in {N_COMMITS} commits; {}", machine::line(&machine));
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("many/_delta_log");
    std::fs::create_dir_all(&log)?;
    for commit in 0..N_COMMITS {
        let first = commit * n_files / N_COMMITS;
        let after = (commit + 1) * n_files / N_COMMITS;
        write_commit(&log, commit, first..after)?;
    }
    let target = Target::start_serving(args, folder.path().to_owned())?;
    let tarn = connect_pg(target.pg).await?;
    let opened_ms = explain(&tarn, "SELECT * FROM many WHERE k0 = -1").await?;
    println!("first statement, with the log read: {} ms", number(opened_ms));
    let mut table = Table::new(["plan of", "median ms", "p90 ms", "goal ms"]);
    let mut results = Vec::new();
    for (name, goal, sql) in [
        ("point query", Some(20.0), "SELECT * FROM many WHERE k0 = {key}"),
        ("point query with an aggregate", None, "SELECT sum(k1) FROM many WHERE k0 = {key}"),
        ("one partition", None, "SELECT * FROM many WHERE part = {part} AND k1 > {key}"),
        ("full scan", Some(100.0), "SELECT k0 + {key} FROM many"),
        ("full scan with an aggregate", None, "SELECT part, sum(k2 + {key}) FROM many GROUP BY 1"),
    ] {
        let mut samples = Vec::new();
        for iteration in 0..iterations {
            let key = iteration * 7_919_333 % (n_files * ROWS);
            let sql = sql.replace("{key}", &key.to_string());
            let sql = sql.replace("{part}", &(iteration % 50).to_string());
            samples.push(explain(&tarn, &sql).await?);
        }
        add(&mut table, &mut results, (name, goal), &samples);
    }
    let mut samples = Vec::new();
    for commit in 0..iterations.min(20) {
        let file = n_files + commit;
        write_commit(&log, N_COMMITS + commit, file..file + 1)?;
        samples
            .push(explain(&tarn, &format!("SELECT * FROM many WHERE k0 = {}", file * ROWS)).await?);
    }
    add(&mut table, &mut results, ("point query after a foreign commit", None), &samples);
    print!("\n{table}");
    println!("\nresident set of the server: {:?} bytes", target.rss_bytes());
    report::write_json(
        args,
        &json!({
            "mode": "files", "files": n_files, "opened_ms": opened_ms, "machine": machine,
            "rss_bytes": target.rss_bytes(), "plans": results,
        }),
    )
}

fn add(
    table: &mut Table,
    results: &mut Vec<serde_json::Value>,
    (name, goal): (&str, Option<f64>),
    samples: &[f64],
) {
    let goal_text = goal.map_or_else(String::new, number);
    table.row([
        name.to_owned(),
        number(median(samples)),
        number(percentile(samples, 90.0)),
        goal_text,
    ]);
    results.push(json!({"plan": name, "median_ms": median(samples), "goal_ms": goal}));
}

/// The time of an EXPLAIN, in milliseconds.
async fn explain(tarn: &Client, sql: &str) -> Result<f64> {
    let started = Instant::now();
    let rows = tarn.simple_query(&format!("EXPLAIN {sql}")).await?;
    let ms = ms_since(started);
    ensure!(rows.len() > 1, "no plan for {sql}");
    Ok(ms)
}

/// Writes a commit that adds these files; the first one also makes the table.
fn write_commit(log: &Path, version: u64, files: std::ops::Range<u64>) -> Result<()> {
    let names: Vec<String> = (0..=N_COLUMNS).map(|n| format!("k{n}")).collect();
    let mut text = String::new();
    if version == 0 {
        let fields: Vec<_> = names
            .iter()
            .map(String::as_str)
            .chain(["part"])
            .map(|name| json!({"name": name, "type": "long", "nullable": true, "metadata": {}}))
            .collect();
        let schema = json!({"type": "struct", "fields": fields}).to_string();
        writeln!(text, "{}", json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}))?;
        let metadata = json!({"metaData": {
            "id": "00000000-0000-4000-8000-000000000000",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema, "partitionColumns": ["part"], "configuration": {},
            "createdTime": 1_700_000_000_000_u64,
        }});
        writeln!(text, "{metadata}")?;
    }
    for file in files {
        let bound = |offset: u64| -> serde_json::Map<String, serde_json::Value> {
            names.iter().map(|name| (name.clone(), json!(file * ROWS + offset))).collect()
        };
        let nulls: serde_json::Map<String, serde_json::Value> =
            names.iter().map(|name| (name.clone(), json!(0))).collect();
        let stats = json!({
            "numRecords": ROWS, "minValues": bound(0), "maxValues": bound(ROWS - 1),
            "nullCount": nulls,
        });
        let part = (file % 50).to_string();
        let add = json!({"add": {
            "path": format!("part={part}/file-{file:08}.parquet"),
            "partitionValues": {"part": part}, "size": 1_000_000, "dataChange": true,
            "modificationTime": 1_700_000_000_000_u64, "stats": stats.to_string(),
        }});
        writeln!(text, "{add}")?;
    }
    // A reader must never see half a commit.
    let staged = log.join(format!("{version}.part"));
    std::fs::write(&staged, text)?;
    std::fs::rename(staged, log.join(format!("{version:020}.json")))?;
    Ok(())
}
