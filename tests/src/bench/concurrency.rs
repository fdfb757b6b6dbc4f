//! Many clients at once: throughput, latency percentiles, idle connections, memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::args::Args;
use super::engine::{ms_since, pg_simple};
use super::report::{self, Table, megabytes, number};
use super::stats::percentile;
use super::target::Target;
use super::{machine, tpch};
use crate::harness::connect_pg;

/// What a dashboard asks: a scan, an aggregation, a join, two lookups.
const TPCH_OF_THE_MIX: [usize; 3] = [6, 1, 14];

/// Outcome of one statement of one client.
#[derive(Debug, Clone)]
struct Sample {
    query: usize,
    ms: f64,
    error: Option<String>,
}

/// Runs the mode `concurrency`.
pub async fn run(args: &Args) -> Result<()> {
    let n_clients = args.value("clients", 50_usize)?;
    let n_idle = args.value("idle", 0_usize)?;
    let think = Duration::from_millis(args.value("think-ms", 20)?);
    let duration = Duration::from_secs(args.value("seconds", 20)?);
    let scale = args.value("scale", 1.0)?;
    let machine = machine::describe();
    println!(
        "{n_clients} clients, {} ms think time, {} s, {n_idle} idle connections, scale {scale}; {}",
        think.as_millis(),
        duration.as_secs(),
        machine::line(&machine)
    );
    let target = Target::start(args)?;
    let (names, queries) = mix(scale)?;
    let start_bytes = target.rss_bytes();
    let idle = connect(&target, n_idle).await.context("idle connections")?;
    let clients = connect(&target, n_clients).await.context("busy connections")?;
    let connected_bytes = target.rss_bytes();
    target.take_peak_bytes();

    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for (index, client) in clients.into_iter().enumerate() {
        tasks.spawn(client_loop(client, queries.clone(), index, think, started + duration));
    }
    let samples: Vec<Sample> = tasks.join_all().await.into_iter().flatten().collect();
    let seconds = started.elapsed().as_secs_f64();
    let n_dropped = idle.iter().filter(|client| client.is_closed()).count();

    let mut table =
        Table::new(["query", "n", "errors", "per second", "p50 ms", "p90 ms", "p99 ms"]);
    let mut results = Vec::new();
    for (index, name) in names.iter().map(Some).chain([None]).enumerate() {
        let of_query: Vec<&Sample> =
            samples.iter().filter(|s| name.is_none() || s.query == index).collect();
        let ms: Vec<f64> = of_query.iter().filter(|s| s.error.is_none()).map(|s| s.ms).collect();
        let n_errors = of_query.len() - ms.len();
        let name = name.map_or("all", String::as_str);
        let [p50, p90, p99] = [50.0, 90.0, 99.0].map(|percent| percentile(&ms, percent));
        let rate = ms.len() as f64 / seconds;
        table.row([
            name.to_owned(),
            ms.len().to_string(),
            n_errors.to_string(),
            number(rate),
            number(p50),
            number(p90),
            number(p99),
        ]);
        results.push(json!({
            "query": name, "n": ms.len(), "errors": n_errors, "per_second": rate,
            "p50_ms": p50, "p90_ms": p90, "p99_ms": p99,
        }));
    }
    print!("\n{table}");
    if let Some(error) = samples.iter().find_map(|s| s.error.as_ref()) {
        println!("\nfirst error: {error}");
    }
    let peak_bytes = target.take_peak_bytes();
    let mb = |bytes: Option<u64>| bytes.map_or("unknown".into(), megabytes);
    println!(
        "\nresident set of tarn in MB: {} at start, {} with all connections, {} at its peak; \
         {n_dropped} of {n_idle} idle connections were lost",
        mb(start_bytes),
        mb(connected_bytes),
        mb(peak_bytes)
    );
    report::write_json(
        args,
        &json!({
            "mode": "concurrency", "clients": n_clients, "idle": n_idle, "idle_lost": n_dropped,
            "think_ms": think.as_millis() as u64, "seconds": seconds, "scale": scale,
            "machine": machine, "queries": results, "start_bytes": start_bytes,
            "connected_bytes": connected_bytes, "peak_bytes": peak_bytes,
        }),
    )
}

/// Names and texts of the statements.
fn mix(scale: f64) -> Result<(Vec<String>, Vec<String>)> {
    let mut names = vec!["customer lookup".to_owned(), "order lookup".to_owned()];
    let mut queries = vec![
        "select c_name, c_acctbal from customer where c_custkey = 4711".to_owned(),
        "select o_orderdate, o_totalprice from orders where o_orderkey = 4711".to_owned(),
    ];
    for number in TPCH_OF_THE_MIX {
        names.push(format!("Q{number:02}"));
        queries.push(tpch::query(number, scale)?);
    }
    Ok((names, queries))
}

async fn connect(target: &Target, n: usize) -> Result<Vec<Client>> {
    try_join_all((0..n).map(|_| connect_pg(target.pg))).await
}

/// Asks, thinks, asks again until `until`; each client starts at another query of the mix.
async fn client_loop(
    client: Client,
    queries: Vec<String>,
    index: usize,
    think: Duration,
    until: Instant,
) -> Vec<Sample> {
    let mut samples = Vec::new();
    for turn in index.. {
        if Instant::now() >= until {
            break;
        }
        let query = turn % queries.len();
        let started = Instant::now();
        let error = pg_simple(&client, &queries[query]).await.err().map(|e| format!("{e:#}"));
        let broken = error.is_some() && client.is_closed();
        samples.push(Sample { query, ms: ms_since(started), error });
        if broken {
            break;
        }
        tokio::time::sleep(think).await;
    }
    samples
}
