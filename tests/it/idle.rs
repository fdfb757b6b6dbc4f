//! Ten thousand clients that do nothing, on one server within a gigabyte.
//!
//! The server is a process of its own, so that its memory is not that of the clients: this test
//! binary again, running the first function below.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use tarn_server::ServerConfig;
use tarn_tests::harness::{Child, Server, demo_data, require_or_skip, rss_bytes, rss_peak_bytes};

use super::lifecycle::can_open;
use super::wire::{Wire, query};

/// Set for the process that is the server.
const SERVER: &str = "TARN_IT_IDLE_SERVER";

const N_CLIENTS: usize = 10_000;

/// Connections that are opened, or asked, at a time.
const N_AT_A_TIME: usize = 64;

const BYTES_MAX: u64 = 1 << 30;

/// The server of the test below; does nothing in an ordinary run.
#[tokio::test(flavor = "multi_thread")]
async fn server_process() -> Result<()> {
    if std::env::var_os(SERVER).is_none() {
        return Ok(());
    }
    let folder = demo_data(0.01)?;
    let change = |config: &mut ServerConfig| config.n_connections_max = N_CLIENTS + 8;
    let server = Server::start_with(&[folder], change).await?;
    println!("\nlistening on {}", server.pg_addr()?);
    // The end of its input is the end of the test.
    let ended =
        tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new()));
    ended.await??;
    server.stop().await;
    Ok(())
}

/// Starts the process and returns where it listens.
fn start() -> Result<(Child, SocketAddr)> {
    let mut process = Command::new(std::env::current_exe()?)
        .args(["--exact", "idle::server_process", "--nocapture"])
        .env(SERVER, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = process.stdout.take().context("no output")?;
    let child = Child::of(process);
    for line in BufReader::new(output).lines() {
        if let Some(addr) = line?.strip_prefix("listening on ") {
            return Ok((child, addr.parse()?));
        }
    }
    anyhow::bail!("the server ended before it listened")
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_clients_fit_into_a_gigabyte() -> Result<()> {
    if !can_open(14_000) {
        require_or_skip("the system allows fewer than 14,000 open files");
        return Ok(());
    }
    // The demo's data is made before its memory is counted.
    demo_data(0.01)?;
    let (child, addr) = tokio::task::spawn_blocking(start).await??;
    let memory = |what: &str| -> Result<u64> {
        let bytes = rss_bytes(child.pid()).context("no /proc")?;
        println!("{what}: {} MB", bytes >> 20);
        Ok(bytes)
    };
    let before = memory("no clients")?;
    let started = Instant::now();
    let mut clients: Vec<Wire> = futures::stream::iter(0..N_CLIENTS)
        .map(|_| Wire::connect(addr))
        .buffer_unordered(N_AT_A_TIME)
        .try_collect()
        .await?;
    println!("{N_CLIENTS} clients connected in {:?}", started.elapsed());
    let idle = memory("all connected")?;
    let each = idle.saturating_sub(before) / u64::try_from(N_CLIENTS)?;
    println!("{each} bytes each");
    ensure!(each < 64 * 1024, "{each} bytes for each idle connection");
    // Somebody works meanwhile.
    let mut busy = Wire::connect(addr).await?;
    let started = Instant::now();
    let lines = busy.exchange(&query("SELECT count(*) AS n FROM lineitem")).await?;
    ensure!(lines.iter().any(|line| line.starts_with("row 60175")), "{lines:?}");
    println!("a query among them took {:?}", started.elapsed());
    ensure!(started.elapsed() < Duration::from_secs(20), "the idle ones hold up the busy one");
    // None was dropped, and being asked once does not make them large.
    futures::stream::iter(&mut clients)
        .map(Wire::check_alive)
        .buffer_unordered(N_AT_A_TIME)
        .try_collect::<()>()
        .await?;
    memory("all asked")?;
    let peak = rss_peak_bytes(child.pid()).context("no /proc")?;
    println!("at most: {} MB", peak >> 20);
    ensure!(peak < BYTES_MAX, "{peak} bytes");
    Ok(())
}
