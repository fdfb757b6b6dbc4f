//! `bench`: measures tarn over the wire beside DuckDB, DataFusion and PostgreSQL.

use std::process::ExitCode;

use tarn_tests::bench::args::{Args, USAGE};
use tarn_tests::bench::{concurrency, fetch, files, latency, load, metadata, restart, tpch};

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Args::parse(std::env::args().skip(1)) {
        Err(error) => Err(error.context(USAGE)),
        Ok(args) => match args.mode.as_str() {
            "tpch" => tpch::run(&args).await,
            "latency" => latency::run(&args).await,
            "fetch" => fetch::run(&args).await,
            "metadata" => metadata::run(&args).await,
            "concurrency" => concurrency::run(&args).await,
            "load" => load::run(&args).await,
            "restart" => restart::run(&args).await,
            "files" => files::run(&args).await,
            _ => {
                println!("{USAGE}");
                Ok(())
            }
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
