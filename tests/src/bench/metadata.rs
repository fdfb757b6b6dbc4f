//! What clients ask the catalog when there are many tables, tarn beside PostgreSQL.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::args::Args;
use super::machine;
use super::report::{self, Table, number};
use super::stats::median;
use super::target::Target;
use crate::harness::{PostgresProcess, connect_pg_url};

const QUERIES: &str = include_str!("../../bench/metadata.sql");

/// Types of the columns, over and over.
const TYPES: [&str; 10] = [
    "int",
    "bigint",
    "text",
    "varchar(20)",
    "numeric(10,2)",
    "date",
    "timestamp",
    "boolean",
    "double precision",
    "real",
];

/// Statements in one message.
const N_STATEMENTS_AT_ONCE: usize = 50;

/// One server with its tables.
#[derive(Debug)]
struct Lane {
    name: String,
    client: Client,
}

impl Lane {
    async fn open(name: String, url: &str, n_tables: usize, n_columns: usize) -> Result<Self> {
        let client = connect_pg_url(url).await?;
        // Tables of which only the definition counts; PostgreSQL has no such method.
        drop(client.batch_execute("SET default_table_access_method = 'memory'").await);
        let columns: Vec<String> = (0..n_columns)
            .map(|n| format!("c{n} {}", TYPES.get(n % TYPES.len()).copied().unwrap_or("int")))
            .collect();
        let columns = columns.join(", ");
        let statements: Vec<String> =
            (0..n_tables).map(|n| format!("CREATE TABLE t{n} ({columns})")).collect();
        for chunk in statements.chunks(N_STATEMENTS_AT_ONCE) {
            client.batch_execute(&chunk.join(";")).await.context("creating tables")?;
        }
        Ok(Self { name, client })
    }

    /// Runs a query; returns milliseconds and rows.
    async fn run(&self, sql: &str) -> Result<(f64, usize)> {
        let started = Instant::now();
        let messages = self.client.simple_query(sql).await?;
        let elapsed_ms = started.elapsed().as_secs_f64() * 1e3;
        let rows = messages.iter().filter(|m| matches!(m, SimpleQueryMessage::Row(_))).count();
        Ok((elapsed_ms, rows))
    }
}

/// The queries with their names.
fn queries() -> Vec<(&'static str, &'static str)> {
    let parts = QUERIES.split("\n-- ").skip(1);
    parts.filter_map(|part| part.split_once('\n')).collect()
}

/// Runs the mode `metadata`.
pub async fn run(args: &Args) -> Result<()> {
    let rounds = args.value("rounds", 20_usize)?;
    let n_tables = args.value("tables", 1_000_usize)?;
    let n_columns = args.value("columns", 20_usize)?;
    let machine = machine::describe();
    println!("metadata, {n_tables} tables of {n_columns} columns; {}", machine::line(&machine));
    let target = Target::start(args)?;
    let url = format!("host={} port={} user=tarn dbname=tarn", target.pg.ip(), target.pg.port());
    let mut lanes = vec![Lane::open("tarn".to_owned(), &url, n_tables, n_columns).await?];
    let postgres = PostgresProcess::start()?;
    if let Some(postgres) = &postgres {
        let name = format!("PostgreSQL {}", postgres.version);
        lanes.push(Lane::open(name, &postgres.url(), n_tables, n_columns).await?);
    } else {
        println!("PostgreSQL is not installed: tarn alone");
    }
    let mut table = Table::new(["query", "server", "rows", "first ms", "median ms"]);
    let mut results = Vec::new();
    for (name, sql) in queries() {
        let mut samples = vec![Vec::new(); lanes.len()];
        let mut n_rows = vec![0; lanes.len()];
        // The first round fills what is kept; it is shown by itself.
        for _ in 0..=rounds {
            for ((lane, samples), n_rows) in lanes.iter().zip(&mut samples).zip(&mut n_rows) {
                let asked = lane.run(sql).await;
                let (elapsed_ms, rows) =
                    asked.with_context(|| format!("{name} on {}", lane.name))?;
                samples.push(elapsed_ms);
                *n_rows = rows;
            }
        }
        for ((lane, samples), n_rows) in lanes.iter().zip(&samples).zip(&n_rows) {
            let (first, rest) = samples.split_first().context("rounds")?;
            let middle = median(rest);
            table.row([
                name.to_owned(),
                lane.name.clone(),
                n_rows.to_string(),
                number(*first),
                number(middle),
            ]);
            results.push(json!({
                "query": name, "server": lane.name, "rows": n_rows,
                "first_ms": first, "median_ms": middle,
            }));
        }
    }
    print!("\n{table}");
    report::write_json(
        args,
        &json!({"mode": "metadata", "rounds": rounds, "machine": machine, "results": results}),
    )
}
