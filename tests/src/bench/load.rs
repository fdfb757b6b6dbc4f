//! Bulk loads of TPC-H's lineitem, from CSV and from Parquet, tarn beside DuckDB's COPY.
//!
//! Both write Parquet with Snappy on the same disk; tarn also writes statistics and a Delta commit,
//! and what it acknowledges is synced.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio_postgres::Client;

use super::args::Args;
use super::engine::ms_since;
use super::machine;
use super::peer::{Peer, TableFiles, table_files};
use super::report::{self, Table, number};
use super::stats::{median, minimum};
use super::target::Target;
use crate::harness::{connect_pg, demo_data};

/// lineitem in words that DuckDB and tarn share.
const COLUMNS: &str = "l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber int, \
     l_quantity decimal(15,2), l_extendedprice decimal(15,2), l_discount decimal(15,2), \
     l_tax decimal(15,2), l_returnflag text, l_linestatus text, l_shipdate date, \
     l_commitdate date, l_receiptdate date, l_shipinstruct text, l_shipmode text, l_comment text";

/// What is loaded and how each engine is told to.
#[derive(Debug)]
struct Case {
    name: &'static str,
    tarn: String,
    duckdb: String,
    /// Milliseconds: tarn, DuckDB.
    samples: [Vec<f64>; 2],
}

/// Runs the mode `load`.
pub async fn run(args: &Args) -> Result<()> {
    let scale = args.value("scale", 1.0)?;
    let rounds = args.value("rounds", 3_usize)?;
    let threads = args.value("threads", 2_usize)?;
    let machine = machine::describe();
    println!(
        "lineitem at scale {scale}, {rounds} rounds, {threads} threads; {}",
        machine::line(&machine)
    );
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("source");
    std::fs::create_dir_all(&source)?;
    let mut duckdb = Peer::start("duckdb-memory")?;
    duckdb.open(&TableFiles::new(), threads)?;
    let n_rows = make_sources(&mut duckdb, &source, scale)?;
    let target = Target::start_serving(args, source.clone())?;
    let tarn = connect_pg(target.pg).await?;
    let mut cases = cases(&source, folder.path());
    for round in 0..=rounds {
        for case in &mut cases {
            let ms = load_tarn(&tarn, case, folder.path(), n_rows).await?;
            let theirs = load_duckdb(&mut duckdb, case, folder.path())?;
            // The first round warms up.
            if round > 0 {
                case.samples[0].push(ms);
                case.samples[1].push(theirs);
            }
        }
    }
    let mut table = Table::new([
        "lineitem from".to_owned(),
        "tarn median / min ms".to_owned(),
        format!("{} median / min ms", duckdb.version),
        "tarn / DuckDB".to_owned(),
    ]);
    for case in &cases {
        let [ours, theirs] = &case.samples;
        table.row([
            case.name.to_owned(),
            format!("{} / {}", number(median(ours)), number(minimum(ours))),
            format!("{} / {}", number(median(theirs)), number(minimum(theirs))),
            number(median(ours) / median(theirs)),
        ]);
    }
    print!("\n{table}");
    println!("\n{n_rows} rows; peak memory of tarn {:?} bytes", target.take_peak_bytes());
    let results = cases.iter().map(
        |case| json!({"from": case.name, "tarn_ms": case.samples[0], "duckdb_ms": case.samples[1]}),
    );
    report::write_json(
        args,
        &json!({
            "mode": "load", "scale": scale, "rows": n_rows, "threads": threads, "machine": machine,
            "cases": results.collect::<Vec<_>>(),
        }),
    )
}

fn cases(source: &Path, folder: &Path) -> [Case; 2] {
    let csv = source.join("lineitem_csv.csv").display().to_string();
    let parquet = source.join("lineitem_parquet.parquet").display().to_string();
    let out = folder.join("duckdb.parquet").display().to_string();
    let names: Vec<&str> = COLUMNS.split(", l_").collect();
    let columns: Vec<String> = names
        .iter()
        .map(|column| {
            let column =
                if column.starts_with("l_") { (*column).to_owned() } else { format!("l_{column}") };
            let (name, kind) = column.split_once(' ').unwrap_or((&column, ""));
            format!("'{name}': '{kind}'")
        })
        .collect();
    let columns = columns.join(", ");
    [
        Case {
            name: "CSV",
            tarn: format!("COPY target FROM '{csv}' WITH (FORMAT csv, HEADER true)"),
            duckdb: format!(
                "COPY (SELECT * FROM read_csv('{csv}', header = true, auto_detect = false, \
                 columns = {{{columns}}})) TO '{out}' (FORMAT parquet)"
            ),
            samples: Default::default(),
        },
        Case {
            name: "Parquet",
            tarn: "INSERT INTO target SELECT * FROM lineitem_parquet".to_owned(),
            duckdb: format!("COPY (SELECT * FROM '{parquet}') TO '{out}' (FORMAT parquet)"),
            samples: Default::default(),
        },
    ]
}

/// Writes lineitem as one CSV and one Parquet file and returns its rows.
fn make_sources(duckdb: &mut Peer, source: &Path, scale: f64) -> Result<u64> {
    let files = table_files(&demo_data(scale)?)?;
    let files = files.get("lineitem").context("no lineitem")?;
    let listed: Vec<String> = files.iter().map(|file| format!("'{file}'")).collect();
    let table = format!("read_parquet([{}])", listed.join(", "));
    for (name, format) in [
        ("lineitem_csv.csv", "FORMAT csv, HEADER true"),
        ("lineitem_parquet.parquet", "FORMAT parquet"),
    ] {
        let path = source.join(name).display().to_string();
        duckdb.run(&format!("COPY (SELECT * FROM {table}) TO '{path}' ({format})"), false)?;
    }
    let counted = duckdb.run(&format!("SELECT count(*) FROM {table}"), true)?;
    let answer = counted.answer.context("no count")?;
    let text = answer.rows.first().and_then(|row| row.first()).cloned().flatten();
    Ok(text.context("no count")?.parse()?)
}

async fn load_tarn(tarn: &Client, case: &Case, folder: &Path, n_rows: u64) -> Result<f64> {
    let place: PathBuf = folder.join("tarn_target");
    tarn.batch_execute(&format!(
        "CREATE TABLE target ({COLUMNS}) USING delta LOCATION '{}'",
        place.display()
    ))
    .await?;
    let started = Instant::now();
    tarn.batch_execute(&case.tarn).await.with_context(|| case.tarn.clone())?;
    let ms = ms_since(started);
    let n: i64 = tarn.query_one("SELECT count(*) FROM target", &[]).await?.get(0);
    ensure!(u64::try_from(n)? == n_rows, "{n} of {n_rows} rows from {}", case.name);
    tarn.batch_execute("DROP TABLE target").await?;
    std::fs::remove_dir_all(place).ok();
    Ok(ms)
}

fn load_duckdb(duckdb: &mut Peer, case: &Case, folder: &Path) -> Result<f64> {
    let ms = duckdb.run(&case.duckdb, false)?.ms;
    std::fs::remove_file(folder.join("duckdb.parquet"))?;
    Ok(ms)
}
