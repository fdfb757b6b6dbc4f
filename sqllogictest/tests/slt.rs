//! Runs the project's own files over every engine, `pg_compat` on PostgreSQL too, and SQLite's suite
//! where its folder is.
//!
//! `cargo test --workspace --test slt -- FILTER` runs the own files whose name contains FILTER.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use tarn_sqllogictest::{
    Engine, FileReport, LocalServer, RunOptions, SuiteFile, Target, Totals, failures, find,
    folder_table, run,
};
use tarn_tests::harness::{PostgresProcess, require_or_skip, workspace_folder};

/// Share of SQLite's records that must pass, in percent.
const SQLITE_PASS_RATE_MIN: f64 = 98.0;
/// Failures printed in full.
const N_FAILURES_SHOWN: usize = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<String> = arguments.iter().filter(|a| !a.starts_with('-')).cloned().collect();
    if arguments.iter().any(|a| a == "--list") {
        for file in find(&filters, Engine::Pg).unwrap_or_default() {
            println!("{}: test", file.name);
        }
        return ExitCode::SUCCESS;
    }
    // Debug builds of the engine need more than the 2 MiB that threads get.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(16 << 20)
        .build()
        .expect("cannot start threads");
    match runtime.block_on(run_all(&filters)) {
        Ok(totals) => {
            println!("{} passed, {} failed", totals.n_passed, totals.n_failed);
            if totals.n_failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("slt: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Totals over the own files; records of SQLite's suite count as failed only below its pass rate.
async fn run_all(filters: &[String]) -> Result<Totals> {
    // A filter that fits no own file is for another test binary of the workspace.
    let Ok(files) = find(filters, Engine::Pg) else {
        println!("skipped: no own file's name contains {}", filters.join(" or "));
        return Ok(Totals::default());
    };
    let server = LocalServer::start().await.context("cannot start a server in this process")?;
    let mut totals = Totals::default();
    for engine in [Engine::Pg, Engine::Flight, Engine::InProcess] {
        let reports = run_suite(&server, engine, &files).await?;
        add(&mut totals, &Totals::of(&reports));
    }
    add(&mut totals, &run_postgres(&files).await?);
    if filters.is_empty() {
        let failed = run_sqlite(&server).await?;
        totals.n_failed += failed;
    }
    server.shutdown().await;
    Ok(totals)
}

/// Runs the files of `pg_compat` on PostgreSQL too, which is what they claim to agree with.
async fn run_postgres(files: &[SuiteFile]) -> Result<Totals> {
    let files: Vec<SuiteFile> =
        files.iter().filter(|file| file.name.starts_with("pg_compat")).cloned().collect();
    if files.is_empty() {
        return Ok(Totals::default());
    }
    let Some(postgres) = tokio::task::spawn_blocking(PostgresProcess::start).await?? else {
        require_or_skip("PostgreSQL is not installed: pg_compat runs on tarn only");
        return Ok(Totals::default());
    };
    println!("PostgreSQL {}", postgres.version);
    let target = Target::from_url(Engine::Postgres, &postgres.url(), false)?;
    Ok(Totals::of(&run_on(target, &files).await?))
}

async fn run_suite(
    server: &LocalServer,
    engine: Engine,
    files: &[SuiteFile],
) -> Result<Vec<FileReport>> {
    run_on(server.target(engine, false)?, files).await
}

async fn run_on(target: Target, files: &[SuiteFile]) -> Result<Vec<FileReport>> {
    let engine = target.engine();
    let target = Arc::new(target);
    // Own files go on after a failure here, so that one run shows all of them.
    let options =
        RunOptions { timeout: Duration::from_secs(60), keep_going: Some(true), run_known: false };
    let n_jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let started_at = Instant::now();
    let reports = run(&target, files, &options, n_jobs, |_| {}).await?;
    println!("engine {}, {:.1} s", engine.name(), started_at.elapsed().as_secs_f64());
    print!("{}", failures(&reports, N_FAILURES_SHOWN));
    println!("{}", folder_table(&reports));
    Ok(reports)
}

/// Runs SQLite's suite and returns how many records failed, or 0 when enough passed.
async fn run_sqlite(server: &LocalServer) -> Result<usize> {
    let folder = suites_folder().join("sqlite");
    if !folder.is_dir() {
        println!("skipped: SQLite's suite is not at {} (set TARN_SUITES)", folder.display());
        return Ok(0);
    }
    let files = find(&[folder.display().to_string()], Engine::Pg)?;
    let totals = Totals::of(&run_suite(server, Engine::Pg, &files).await?);
    let is_enough = totals.pass_rate() >= SQLITE_PASS_RATE_MIN;
    println!(
        "SQLite's suite: {:.2} % of records passed, {SQLITE_PASS_RATE_MIN} % are needed: {}",
        totals.pass_rate(),
        if is_enough { "ok" } else { "FAILED" }
    );
    Ok(if is_enough { 0 } else { totals.n_failed })
}

/// `TARN_SUITES`, or the folder `shared/suites` beside the workspace.
fn suites_folder() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "tests read the environment")]
    match std::env::var_os("TARN_SUITES") {
        Some(folder) => PathBuf::from(folder),
        None => workspace_folder().join("../shared/suites"),
    }
}

fn add(totals: &mut Totals, more: &Totals) {
    totals.n_files += more.n_files;
    totals.n_passed += more.n_passed;
    totals.n_failed += more.n_failed;
    totals.n_skipped += more.n_skipped;
}
