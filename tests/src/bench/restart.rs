//! How long a server takes to come back, by the number of objects in its catalog.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;

use super::args::Args;
use super::engine::ms_since;
use super::machine;
use super::report::{self, Table, number};
use super::stats::{median, minimum};
use super::target::binary;
use crate::harness::{TarnProcess, connect_pg};

/// Objects that one transaction makes.
const BATCH: usize = 250;
/// One object in so many is a Delta table, the others are views.
const TABLE_EVERY: usize = 10;
/// What tells that all objects are there.
const COUNT: &str = "SELECT count(*) FROM pg_class WHERE relname ~ '^object_[0-9]+$'";

/// Runs the mode `restart`.
pub async fn run(args: &Args) -> Result<()> {
    let n_objects = args.value("objects", 10_000_usize)?;
    let rounds = args.value("rounds", 5_usize)?;
    let machine = machine::describe();
    println!("{n_objects} objects, {rounds} restarts; {}", machine::line(&machine));
    let folder = tempfile::tempdir()?;
    let lake = folder.path().join("lake");
    std::fs::create_dir_all(&lake)?;
    let paths = [lake];
    let flags = ["--catalog".to_owned(), folder.path().join("catalog").display().to_string()];
    let binary = binary(args)?;
    let made = make(&TarnProcess::start(&binary, &paths, &flags)?, n_objects).await?;
    println!("made in {} s", number(made / 1e3));
    let (mut ready, mut answered) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let started = Instant::now();
        let process = TarnProcess::start(&binary, &paths, &flags)?;
        ready.push(ms_since(started));
        let client = connect_pg(process.pg).await?;
        let n: i64 = client.query_one(COUNT, &[]).await?.get(0);
        answered.push(ms_since(started));
        ensure!(usize::try_from(n)? == n_objects, "{n} objects came back");
    }
    let mut table = Table::new(["from the start of the process", "min ms", "median ms", "goal ms"]);
    for (name, samples, goal) in
        [("clients are let in", &ready, "1000"), ("all objects counted by a client", &answered, "")]
    {
        table.row([
            name.to_owned(),
            number(minimum(samples)),
            number(median(samples)),
            goal.to_owned(),
        ]);
    }
    print!("\n{table}");
    report::write_json(
        args,
        &json!({
            "mode": "restart", "objects": n_objects, "machine": machine, "made_ms": made,
            "ready_ms": ready, "answered_ms": answered,
        }),
    )
}

/// Makes views and Delta tables; returns the milliseconds that it took.
async fn make(server: &TarnProcess, n_objects: usize) -> Result<f64> {
    let client = connect_pg(server.pg).await?;
    let started = Instant::now();
    for first in (0..n_objects).step_by(BATCH) {
        let mut sql = "BEGIN;".to_owned();
        for i in first..(first + BATCH).min(n_objects) {
            sql.push_str(&match i % TABLE_EVERY {
                0 => format!("CREATE TABLE object_{i} (id bigint, name text, at timestamp);"),
                _ => format!("CREATE VIEW object_{i} AS SELECT {i} AS id, 'x' AS name;"),
            });
        }
        sql.push_str("COMMIT");
        client.batch_execute(&sql).await?;
    }
    Ok(ms_since(started))
}
