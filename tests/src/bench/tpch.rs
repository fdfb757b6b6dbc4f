//! The 22 TPC-H queries, engine beside engine.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::args::Args;
use super::engine::{Engine, Protocol};
use super::peer::table_files;
use super::report::{Table, megabytes, number};
use super::stats::{geometric_mean, median, minimum};
use super::target::Target;
use super::{machine, report};
use crate::harness::repository_file;

/// The engine that all ratios are relative to.
const SUBJECT: &str = "tarn";

/// One engine with what it measured.
#[derive(Debug)]
struct Lane {
    name: String,
    version: String,
    engine: Engine,
    /// `[query][round]`, milliseconds.
    samples: Vec<Vec<f64>>,
    /// Per query: an error or a difference to the reference.
    faults: Vec<Option<String>>,
}

/// Reads query `number` (1 to 22), with the fraction of query 11 filled in for `scale`.
pub fn query(number: usize, scale: f64) -> Result<String> {
    let path = repository_file(&format!("bench/tpch/q{number:02}.sql"));
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    // Engines differ in what they do with comments before a statement.
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
    // A plain decimal, never 1e-05: that would turn the comparison into floating point.
    let fraction = format!("{:.10}", 0.0001 / scale);
    Ok(lines.join("\n").replace("${fraction}", fraction.trim_end_matches('0')))
}

/// Runs the mode `tpch`.
pub async fn run(args: &Args) -> Result<()> {
    let scale = args.value("scale", 1.0)?;
    let rounds = args.value("rounds", 5_usize)?;
    let threads = args.value("threads", 2_usize)?;
    let numbers = match args.list("queries") {
        Some(list) => list.iter().map(|n| n.parse()).collect::<Result<Vec<usize>, _>>()?,
        None => (1..=22).collect(),
    };
    let queries = numbers.iter().map(|n| query(*n, scale)).collect::<Result<Vec<_>>>()?;
    let machine = machine::describe();
    println!(
        "TPC-H scale {scale}, {rounds} rounds, {threads} threads; {}",
        machine::line(&machine)
    );

    let target = Target::start(args)?;
    let idle_bytes = target.rss_bytes();
    let mut lanes = open(args, &target, threads, queries.len()).await?;
    check_rows(&mut lanes, &queries, &numbers).await;
    target.take_peak_bytes();
    for round in 0..rounds {
        measure(&mut lanes, &queries, round).await;
    }
    let memory = json!({
        "idle_bytes": idle_bytes, "end_bytes": target.rss_bytes(), "peak_bytes": target.take_peak_bytes(),
    });
    print!("\n{}", table(&lanes, &numbers));
    println!("\n{}", summary(&lanes));
    print_memory(&memory);
    report::write_json(
        args,
        &results(
            &lanes,
            &numbers,
            json!({
                "mode": "tpch", "scale": scale, "rounds": rounds, "threads": threads,
                "machine": machine, "memory": memory,
            }),
        ),
    )
}

async fn open(args: &Args, target: &Target, threads: usize, n_queries: usize) -> Result<Vec<Lane>> {
    let default = ["tarn", "duckdb-parquet", "duckdb-memory", "datafusion"];
    let names =
        args.list("engines").unwrap_or_else(|| default.iter().map(ToString::to_string).collect());
    let protocol = match args.text("protocol") {
        None | Some("simple") => Protocol::Simple,
        Some("extended") => Protocol::Extended,
        Some(other) => bail!("--protocol {other}: simple or extended"),
    };
    let files = table_files(&target.data)?;
    let mut lanes = Vec::new();
    for name in names {
        let engine = match name.as_str() {
            SUBJECT => Engine::pg(target.pg, protocol).await?,
            "tarn-flight" => Engine::flight(target.flight.context("--flight-url?")?).await?,
            peer => Engine::peer(peer, &files, threads)?,
        };
        let version = match &engine {
            Engine::Peer(peer) => peer.version.clone(),
            _ => format!("tarn {}", env!("CARGO_PKG_VERSION")),
        };
        let samples = vec![Vec::new(); n_queries];
        lanes.push(Lane { name, version, engine, samples, faults: vec![None; n_queries] });
    }
    Ok(lanes)
}

/// Warms every engine up and compares all rows with those of the last engine that is a peer.
async fn check_rows(lanes: &mut [Lane], queries: &[String], numbers: &[usize]) {
    for (index, sql) in queries.iter().enumerate() {
        let mut answers = Vec::new();
        for lane in lanes.iter_mut() {
            match lane.engine.run(sql, true).await {
                Ok(run) => answers.push(run.answer),
                Err(error) => {
                    lane.faults[index] = Some(format!("{error:#}"));
                    answers.push(None);
                }
            }
        }
        let reference = lanes.iter().position(|l| l.name.starts_with("duckdb"));
        let reference = reference.and_then(|at| answers[at].clone());
        for (lane, answer) in lanes.iter_mut().zip(&answers) {
            if let (Some(answer), Some(reference)) = (answer, &reference) {
                lane.faults[index] = answer.difference(reference);
            }
            if let Some(fault) = &lane.faults[index] {
                println!("Q{:02} {}: {fault}", numbers[index], lane.name);
            }
        }
    }
}

/// Runs each query once on each engine; the first engine changes from round to round.
async fn measure(lanes: &mut [Lane], queries: &[String], round: usize) {
    let n_lanes = lanes.len();
    for (index, sql) in queries.iter().enumerate() {
        for offset in 0..n_lanes {
            let lane = &mut lanes[(round + index + offset) % n_lanes];
            match lane.engine.run(sql, false).await {
                Ok(run) => lane.samples[index].push(run.ms),
                Err(error) => lane.faults[index] = Some(format!("{error:#}")),
            }
        }
    }
}

/// Minimum and median per query and engine, and the ratio of tarn's minimum to each peer's.
fn table(lanes: &[Lane], numbers: &[usize]) -> Table {
    let mut header = vec!["query".to_owned()];
    header.extend(lanes.iter().map(|lane| format!("{} min / median ms", lane.name)));
    header.extend(lanes.iter().skip(1).map(|lane| format!("{SUBJECT} / {}", lane.name)));
    let mut table = Table::new(header);
    for (index, number_of_query) in numbers.iter().enumerate() {
        let mut cells = vec![format!("Q{number_of_query:02}")];
        for lane in lanes {
            let samples = &lane.samples[index];
            let mark = if lane.faults[index].is_some() { " (!)" } else { "" };
            cells.push(format!("{} / {}{mark}", number(minimum(samples)), number(median(samples))));
        }
        let ratio = |lane: &Lane| ratio(&lanes[0], lane, index, minimum);
        cells.extend(lanes.iter().skip(1).map(|lane| ratio(lane).map_or("-".into(), number)));
        table.row(cells);
    }
    let mut cells = vec!["geometric mean".to_owned()];
    for lane in lanes {
        let mean = |of: fn(&[f64]) -> f64| geometric_mean(lane.samples.iter().map(|s| of(s)));
        let text = |mean: Option<f64>| mean.map_or("-".into(), number);
        cells.push(format!("{} / {}", text(mean(minimum)), text(mean(median))));
    }
    let mean = |lane: &Lane| mean_ratio(&lanes[0], lane, minimum).map_or("-".into(), number);
    cells.extend(lanes.iter().skip(1).map(mean));
    table.row(cells);
    table
}

/// The ratio of two engines on one query, when both ran it.
fn ratio(subject: &Lane, peer: &Lane, index: usize, of: fn(&[f64]) -> f64) -> Option<f64> {
    let (a, b) = (of(&subject.samples[index]), of(&peer.samples[index]));
    (a > 0.0 && b > 0.0).then(|| a / b)
}

fn mean_ratio(subject: &Lane, peer: &Lane, of: fn(&[f64]) -> f64) -> Option<f64> {
    geometric_mean((0..subject.samples.len()).filter_map(|i| ratio(subject, peer, i, of)))
}

fn summary(lanes: &[Lane]) -> String {
    let mut lines = Vec::new();
    for lane in lanes.iter().skip(1) {
        if let (Some(min), Some(median)) =
            (mean_ratio(&lanes[0], lane, minimum), mean_ratio(&lanes[0], lane, median))
        {
            lines.push(format!(
                "{} / {} ({}): geometric mean {} by minimum, {} by median",
                lanes[0].name,
                lane.name,
                lane.version,
                number(min),
                number(median)
            ));
        }
    }
    for lane in lanes {
        let n_faults = lane.faults.iter().flatten().count();
        let state =
            if n_faults == 0 { "all rows right".into() } else { format!("{n_faults} faults") };
        lines.push(format!("{}: {state}", lane.name));
    }
    lines.join("\n")
}

fn print_memory(memory: &Value) {
    let text = |key: &str| memory[key].as_u64().map_or("unknown".into(), megabytes);
    println!(
        "resident set of tarn in MB: {} idle, {} at the end, {} at its peak",
        text("idle_bytes"),
        text("end_bytes"),
        text("peak_bytes")
    );
}

fn results(lanes: &[Lane], numbers: &[usize], mut head: Value) -> Value {
    let engines = lanes.iter().map(|lane| {
        let queries: Map<String, Value> = numbers
            .iter()
            .enumerate()
            .map(|(index, n)| {
                let samples = &lane.samples[index];
                (
                    format!("q{n:02}"),
                    json!({
                        "ms": samples, "min_ms": minimum(samples), "median_ms": median(samples),
                        "fault": lane.faults[index],
                    }),
                )
            })
            .collect();
        json!({
            "name": lane.name, "version": lane.version, "queries": queries,
            "subject_ratio_min": mean_ratio(&lanes[0], lane, minimum),
            "subject_ratio_median": mean_ratio(&lanes[0], lane, median),
        })
    });
    head["engines"] = engines.collect();
    head
}
