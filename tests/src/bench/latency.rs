//! Round trips of tiny statements, tarn beside PostgreSQL.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio_postgres::{Client, Statement, types::ToSql};

use super::args::Args;
use super::fetch::copy_table;
use super::machine;
use super::report::{self, Table, number};
use super::stats::{median, minimum, percentile};
use super::target::Target;
use crate::harness::{PostgresProcess, connect_pg, connect_pg_url};

const POINT_LOOKUP: &str = "select c_name, c_acctbal from customer where c_custkey = $1";
const CASES: [&str; 5] = [
    "SELECT 1 simple",
    "SELECT 1 prepared",
    "point lookup simple",
    "point lookup prepared",
    "connect",
];

/// One server with its statements prepared.
#[derive(Debug)]
struct Lane {
    name: String,
    url: String,
    client: Client,
    select_1: Statement,
    lookup: Statement,
    /// `[case][iteration]`, microseconds.
    samples: Vec<Vec<f64>>,
}

impl Lane {
    async fn open(name: String, url: String) -> Result<Self> {
        let client = connect_pg_url(&url).await?;
        let select_1 = client.prepare("SELECT 1").await?;
        let lookup = client.prepare(POINT_LOOKUP).await?;
        let samples = vec![Vec::new(); CASES.len()];
        Ok(Self { name, url, client, select_1, lookup, samples })
    }

    async fn run(&mut self, case: usize, key: i64) -> Result<()> {
        let started = Instant::now();
        match case {
            0 => drop(self.client.simple_query("SELECT 1").await?),
            1 => drop(self.client.query_one(&self.select_1, &[]).await?),
            2 => {
                let sql = POINT_LOOKUP.replace("$1", &key.to_string());
                drop(self.client.simple_query(&sql).await?);
            }
            3 => {
                let parameters: [&(dyn ToSql + Sync); 1] = [&key];
                drop(self.client.query(&self.lookup, &parameters).await?);
            }
            _ => drop(connect_pg_url(&self.url).await?),
        }
        self.samples[case].push(started.elapsed().as_secs_f64() * 1e6);
        Ok(())
    }
}

/// Runs the mode `latency`.
pub async fn run(args: &Args) -> Result<()> {
    let iterations = args.value("iterations", 5_000_usize)?;
    let machine = machine::describe();
    println!("latency, {iterations} iterations; {}", machine::line(&machine));
    let target = Target::start(args)?;
    let url = format!("host={} port={} user=tarn dbname=tarn", target.pg.ip(), target.pg.port());
    let mut lanes = vec![Lane::open("tarn".to_owned(), url).await?];
    let tarn = connect_pg(target.pg).await?;
    let n_customers: i64 = tarn.query_one("select count(*) from customer", &[]).await?.get(0);
    let postgres = PostgresProcess::start()?;
    if let Some(postgres) = &postgres {
        let client = connect_pg_url(&postgres.url()).await?;
        copy_table(&tarn, &client, "customer", None).await.context("copying customer")?;
        // VACUUM refuses to share a message with other statements.
        for sql in ["alter table customer add primary key (c_custkey)", "vacuum analyze customer"] {
            client.batch_execute(sql).await?;
        }
        lanes.push(Lane::open(format!("PostgreSQL {}", postgres.version), postgres.url()).await?);
    } else {
        println!("PostgreSQL is not installed: tarn alone");
    }
    for case in 0..CASES.len() {
        // The first tenth warms up; connections are dearer than statements.
        let n = if case == 4 { iterations.div_ceil(20) } else { iterations };
        for iteration in 0..n + n / 10 {
            let key = (iteration as i64).wrapping_mul(7_919).rem_euclid(n_customers) + 1;
            for lane in &mut lanes {
                lane.run(case, key).await?;
            }
        }
        for lane in &mut lanes {
            lane.samples[case].drain(..n / 10);
        }
    }
    print!("\n{}", table(&lanes));
    report::write_json(
        args,
        &json!({
            "mode": "latency", "iterations": iterations, "machine": machine,
            "rss_bytes": target.rss_bytes(), "lanes": lanes.iter().map(results).collect::<Vec<_>>(),
        }),
    )
}

fn table(lanes: &[Lane]) -> Table {
    let mut header = vec!["round trip".to_owned()];
    header.extend(lanes.iter().map(|lane| format!("{} median / p99 µs", lane.name)));
    header.extend(lanes.iter().skip(1).map(|lane| format!("tarn / {}", lane.name)));
    let mut table = Table::new(header);
    for (case, name) in CASES.iter().enumerate() {
        let mut cells = vec![(*name).to_owned()];
        cells.extend(lanes.iter().map(|lane| {
            let samples = &lane.samples[case];
            format!("{} / {}", number(median(samples)), number(percentile(samples, 99.0)))
        }));
        cells.extend(
            lanes
                .iter()
                .skip(1)
                .map(|lane| number(median(&lanes[0].samples[case]) / median(&lane.samples[case]))),
        );
        table.row(cells);
    }
    table
}

fn results(lane: &Lane) -> Value {
    let cases = CASES.iter().zip(&lane.samples).map(|(name, samples)| {
        json!({
            "case": name, "min_us": minimum(samples), "median_us": median(samples),
            "p99_us": percentile(samples, 99.0),
        })
    });
    json!({"name": lane.name, "cases": cases.collect::<Vec<_>>()})
}
