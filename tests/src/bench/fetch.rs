//! Many rows to one client: rate, and the memory of the server meanwhile.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, TryStreamExt};
use serde_json::json;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::args::Args;
use super::engine::{connect_flight, flight, ms_since, pg_extended, pg_simple};
use super::machine;
use super::peer::Run;
use super::report::{self, Table, megabytes, number};
use super::stats::{median, minimum};
use super::target::Target;
use crate::harness::{PostgresProcess, connect_pg, connect_pg_url};

/// The ways to fetch, in the order of the table.
const WAYS: [&str; 6] = [
    "tarn pg text",
    "tarn pg binary",
    "tarn Flight SQL",
    "PostgreSQL text",
    "PostgreSQL binary",
    "PostgreSQL COPY",
];

/// Runs the mode `fetch`.
pub async fn run(args: &Args) -> Result<()> {
    let n_rows = args.value("rows", 1_000_000_u64)?;
    let rounds = args.value("rounds", 5_usize)?;
    let machine = machine::describe();
    println!("fetch of {n_rows} rows of lineitem, {rounds} rounds; {}", machine::line(&machine));
    let target = Target::start(args)?;
    let tarn = connect_pg(target.pg).await?;
    let mut over_flight = match target.flight {
        Some(addr) => Some(connect_flight(addr).await?),
        None => None,
    };
    tarn.simple_query("select 1").await?;
    let idle_bytes = target.rss_bytes();
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); WAYS.len()];
    let mut peaks: Vec<u64> = vec![0; WAYS.len()];
    let postgres = PostgresProcess::start()?;
    let reference = match &postgres {
        None => None,
        Some(postgres) => {
            let client = connect_pg_url(&postgres.url()).await?;
            copy_table(&tarn, &client, "lineitem", Some(n_rows))
                .await
                .context("copying lineitem")?;
            client.batch_execute("vacuum analyze lineitem").await?;
            Some(client)
        }
    };
    let sql = format!("select * from lineitem limit {n_rows}");
    for round in 0..=rounds {
        for way in 0..WAYS.len() {
            target.take_peak_bytes();
            let run = match (way, &reference, &mut over_flight) {
                (0, _, _) => pg_simple(&tarn, &sql).await?,
                (1, _, _) => pg_extended(&tarn, &sql).await?,
                (2, _, Some(client)) => flight(client, &sql, false).await?,
                (3, Some(client), _) => pg_simple(client, &sql).await?,
                (4, Some(client), _) => pg_extended(client, &sql).await?,
                (5, Some(client), _) => copy_out(client, n_rows).await?,
                _ => continue,
            };
            ensure!(run.n_rows == n_rows, "{}: {} rows", WAYS[way], run.n_rows);
            // The first round warms up, but its memory counts.
            if let Some(peak) = target.take_peak_bytes().filter(|_| way < 3) {
                peaks[way] = peaks[way].max(peak.saturating_sub(idle_bytes.unwrap_or_default()));
            }
            if round > 0 {
                samples[way].push(run.ms);
            }
        }
    }
    let mut table =
        Table::new(["way", "min ms", "median ms", "million rows/s", "server MB above idle"]);
    for (way, name) in WAYS.iter().enumerate().filter(|(way, _)| !samples[*way].is_empty()) {
        let (min, middle) = (minimum(&samples[way]), median(&samples[way]));
        let memory = if way < 3 { megabytes(peaks[way]) } else { "-".to_owned() };
        table.row([
            (*name).to_owned(),
            number(min),
            number(middle),
            number(n_rows as f64 / min / 1e3),
            memory,
        ]);
    }
    print!("\n{table}");
    println!("\nresident set of tarn when idle: {} MB", megabytes(idle_bytes.unwrap_or_default()));
    let ways = WAYS.iter().enumerate().map(|(way, name)| {
        json!({
            "way": name, "ms": samples[way], "peak_above_idle_bytes": peaks[way],
        })
    });
    report::write_json(
        args,
        &json!({
            "mode": "fetch", "rows": n_rows, "machine": machine, "idle_bytes": idle_bytes,
            "ways": ways.collect::<Vec<_>>(),
        }),
    )
}

/// Reads the table through `COPY … TO STDOUT`; the number of rows is taken as loaded.
async fn copy_out(client: &Client, n_rows: u64) -> Result<Run> {
    let started = Instant::now();
    let mut data = std::pin::pin!(client.copy_out("copy lineitem to stdout").await?);
    while data.try_next().await?.is_some() {}
    Ok(Run { ms: ms_since(started), n_rows, answer: None })
}

/// Copies a table (or its first rows) from tarn into PostgreSQL, types included.
pub async fn copy_table(from: &Client, to: &Client, table: &str, limit: Option<u64>) -> Result<()> {
    let described = from.prepare(&format!("select * from {table}")).await?;
    let columns: Vec<String> =
        described.columns().iter().map(|c| format!("{} {}", c.name(), c.type_().name())).collect();
    to.batch_execute(&format!("create table {table} ({})", columns.join(", "))).await?;
    let limit = limit.map_or(String::new(), |n| format!(" limit {n}"));
    let mut rows =
        std::pin::pin!(from.simple_query_raw(&format!("select * from {table}{limit}")).await?);
    let mut sink =
        std::pin::pin!(to.copy_in::<_, Bytes>(&format!("copy {table} from stdin")).await?);
    let mut buffer = BytesMut::new();
    while let Some(message) = rows.try_next().await? {
        let SimpleQueryMessage::Row(row) = message else { continue };
        for index in 0..row.len() {
            if index > 0 {
                buffer.put_u8(b'\t');
            }
            put_copy_text(&mut buffer, row.get(index));
        }
        buffer.put_u8(b'\n');
        if buffer.len() > 1 << 16 {
            sink.send(buffer.split().freeze()).await?;
        }
    }
    sink.send(buffer.freeze()).await?;
    sink.as_mut().finish().await?;
    Ok(())
}

/// Appends a value in COPY's text format.
fn put_copy_text(buffer: &mut BytesMut, value: Option<&str>) {
    let Some(value) = value else { return buffer.put_slice(b"\\N") };
    for byte in value.bytes() {
        match byte {
            b'\\' => buffer.put_slice(b"\\\\"),
            b'\t' => buffer.put_slice(b"\\t"),
            b'\n' => buffer.put_slice(b"\\n"),
            b'\r' => buffer.put_slice(b"\\r"),
            other => buffer.put_u8(other),
        }
    }
}
