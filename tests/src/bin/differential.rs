//! `differential`: the statements of `tests/differential` on two running servers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tarn_tests::differential::exceptions::Exceptions;
use tarn_tests::differential::report::{Totals, markdown, per_file};
use tarn_tests::differential::run::{Target, run};
use tarn_tests::differential::script::read;
use tarn_tests::harness::repository_file;

const USAGE: &str = "\
usage: differential --tarn HOST:PORT --postgres HOST:PORT [--postgres-user NAME] [--folder DIR]
                    [--report FILE] [NAME…]

Runs tests/differential/NAME.sql (all files without a name) on both servers, which must trust
the roles `tarn` and NAME (default postgres), and lists the differences.";

fn main() -> ExitCode {
    match differential() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("differential: {error:#}\n\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn differential() -> Result<bool> {
    let mut names = Vec::new();
    let (mut tarn, mut postgres, mut user) = (None, None, "postgres".to_owned());
    let (mut folder, mut report) = (repository_file("differential"), None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--tarn" => tarn = Some(value()?.parse::<SocketAddr>()?),
            "--postgres" => postgres = Some(value()?.parse::<SocketAddr>()?),
            "--postgres-user" => user = value()?,
            "--folder" => folder = PathBuf::from(value()?),
            "--report" => report = Some(PathBuf::from(value()?)),
            option if option.starts_with('-') => bail!("unknown option {option}"),
            name => names.push(name.to_owned()),
        }
    }
    let target = |addr: Option<SocketAddr>, user: &str, database: &str| -> Result<Target> {
        let addr = addr.context("both servers must be named")?;
        Ok(Target { addr, user: user.to_owned(), database: database.to_owned() })
    };
    let postgres = target(postgres, &user, "postgres")?;
    let tarn = target(tarn, "tarn", "tarn")?;
    let exceptions = Exceptions::read(&folder.join("exceptions.txt"))?;
    let files = run(&postgres, &tarn, &read(&folder, &names)?)?;
    let totals = Totals::count(&files, &exceptions);
    let list = markdown(&files, &exceptions);
    match report {
        Some(report) => std::fs::write(report, format!("{list}\n{}\n", totals.line()))?,
        None => println!("{list}"),
    }
    println!("{}{}", per_file(&files), totals.line());
    for id in &totals.stale {
        println!("stale exception: {id} is equal now");
    }
    println!("{} differences are not in exceptions.txt", totals.unlisted.len());
    Ok(totals.reaches_goal() && totals.stale.is_empty() && totals.unlisted.is_empty())
}
