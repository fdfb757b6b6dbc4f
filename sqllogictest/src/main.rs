//! `tarn-slt`: see README.md in this crate.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use tarn_sqllogictest::{
    Engine, LocalServer, RunOptions, Target, Totals, complete_file, failures, find, folder_table,
    run, slowest,
};

const THREAD_STACK_BYTES: usize = 16 << 20;

fn main() -> ExitCode {
    let matches = command().get_matches();
    // Debug builds of the engine need more than the 2 MiB that threads get.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(THREAD_STACK_BYTES)
        .build()
        .expect("cannot start threads");
    match runtime.block_on(run_command(&matches)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tarn-slt: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn command() -> Command {
    let files = Arg::new("files")
        .num_args(0..)
        .help("Paths of files or folders, or parts of own files' names; PATH:LINE runs one record");
    Command::new("tarn-slt")
        .about("Runs sqllogictest files against tarn or PostgreSQL")
        .arg(files)
        .args(options())
        .args(flags())
}

fn options() -> [Arg; 7] {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    [
        option("engine", "ENGINE", "pg, flight, in-process or postgres").default_value("pg"),
        option("url", "URL", "Server to use; without it a tarn is started in this process"),
        option("jobs", "N", "Files run side by side [default: processors]")
            .value_parser(value_parser!(usize)),
        option("timeout-s", "S", "Longest time of one record")
            .default_value("60")
            .value_parser(value_parser!(f64)),
        option("min-pass-rate", "PERCENT", "Fail below this")
            .default_value("100")
            .value_parser(value_parser!(f64)),
        option("failures", "N", "Failures to print")
            .default_value("20")
            .value_parser(value_parser!(usize)),
        option("timing", "N", "Print the N slowest records").value_parser(value_parser!(usize)),
    ]
}

fn flags() -> [Arg; 6] {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    [
        flag("complete", "Rewrite the expected results with what the engine answers"),
        flag("extended", "pg: prepared statements with binary results"),
        flag("keep-going", "Run the records after a failure too [default for foreign suites]"),
        flag("fail-fast", "End a file at its first failure [default for own files]")
            .conflicts_with("keep-going"),
        flag("run-known", "Run the records marked `skipif tarn` too, and those for tarn only not"),
        flag("list", "Print the files and stop"),
    ]
}

/// Returns whether enough records passed.
async fn run_command(matches: &ArgMatches) -> Result<bool> {
    let engine: Engine = matches.get_one::<String>("engine").expect("has a default").parse()?;
    let arguments: Vec<String> =
        matches.get_many::<String>("files").unwrap_or_default().cloned().collect();
    let files = find(&arguments, engine)?;
    if matches.get_flag("list") {
        files.iter().for_each(|file| println!("{}", file.name));
        return Ok(true);
    }
    let extended = matches.get_flag("extended");
    let (target, server) = match matches.get_one::<String>("url") {
        Some(url) => (Target::from_url(engine, url, extended)?, None),
        None if engine == Engine::Postgres => bail!("--engine postgres needs --url"),
        None => {
            let server =
                LocalServer::start().await.context("cannot start a server in this process")?;
            (server.target(engine, extended)?, Some(server))
        }
    };
    let target = Arc::new(target);
    let options = RunOptions {
        timeout: Duration::from_secs_f64(*matches.get_one("timeout-s").expect("has a default")),
        keep_going: match (matches.get_flag("keep-going"), matches.get_flag("fail-fast")) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
        run_known: matches.get_flag("run-known"),
    };
    let is_enough = if matches.get_flag("complete") {
        for file in &files {
            let n_changed = complete_file(&target, file, &options).await?;
            println!("{}: {n_changed} records changed", file.name);
        }
        true
    } else {
        let n_processors = std::thread::available_parallelism().map_or(1, usize::from);
        let n_jobs = matches.get_one("jobs").copied().unwrap_or(n_processors);
        let reports = run(&target, &files, &options, n_jobs, |_| {}).await?;
        print!("{}", failures(&reports, *matches.get_one("failures").expect("has a default")));
        print!("{}", folder_table(&reports));
        if let Some(n_slowest) = matches.get_one("timing") {
            print!("{}", slowest(&reports, *n_slowest));
        }
        Totals::of(&reports).pass_rate()
            >= *matches.get_one("min-pass-rate").expect("has a default")
    };
    if let Some(server) = server {
        server.shutdown().await;
    }
    Ok(is_enough)
}
