//! A client's program on tarn and on PostgreSQL, case by case.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tarn_tests::harness::{Server, demo_data, require_or_skip};

use super::gaps::{self, Gap, without_version};
use super::oracle::oracle;
use super::page;
use super::tap::{Case, Run, parse};
use super::{SCALE, installed};

/// A program takes longer only when it hangs.
const TIME_LIMIT: Duration = Duration::from_secs(180);

/// How a client's program is run.
#[derive(Debug, Clone)]
pub struct Program {
    /// What is started.
    pub program: PathBuf,
    /// What goes in front of `host port user password database STATEMENTS`.
    pub arguments: Vec<String>,
    /// Variables on top of ours.
    pub variables: Vec<(String, String)>,
}

impl Program {
    /// A program with arguments and no variables.
    pub fn new(program: PathBuf, arguments: &[String]) -> Self {
        Self { program, arguments: arguments.to_vec(), variables: Vec::new() }
    }

    /// Runs it to its end and returns what it printed; its exit code says nothing new.
    fn run(&self, address: &[String]) -> Result<String> {
        let folder = tempfile::tempdir()?;
        let output = folder.path().join("output");
        let file = std::fs::File::create(&output)?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .args(address)
            .envs(self.variables.iter().cloned())
            .envs([("PGCONNECT_TIMEOUT", "30"), ("PGSSLMODE", "disable"), ("TZ", "UTC")])
            .envs([("LC_ALL", "C.UTF-8"), ("PYTHONWARNINGS", "ignore")])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(file.try_clone()?)
            .stdout(file)
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        let deadline = Instant::now() + TIME_LIMIT;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                bail!("still runs after {TIME_LIMIT:?}:\n{}", std::fs::read_to_string(&output)?);
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Ok(String::from_utf8_lossy(&std::fs::read(&output)?).into_owned())
    }
}

/// Runs a program against both servers, compares, and checks its row of the page.
pub async fn check(program: Program) -> Result<()> {
    let Some(oracle) = oracle().await? else {
        require_or_skip("PostgreSQL is not installed");
        return Ok(());
    };
    let database = oracle.database().await?;
    let server = Server::start(&[demo_data(SCALE)?]).await?;
    let addr = server.pg_addr()?;
    let statements = installed::source("statements.txt");
    let of = |host: String, port: u16, name: &str| {
        [host, port.to_string(), "tarn".into(), "unused".into(), name.into(), statements.clone()]
    };
    let (ours, theirs) = (program.clone(), program);
    let tarn = of(addr.ip().to_string(), addr.port(), "tarn");
    let postgres = of(database.host.clone(), database.port, &database.name);
    let started = Instant::now();
    let theirs = tokio::task::spawn_blocking(move || theirs.run(&postgres)).await??;
    let theirs_ms = started.elapsed().as_millis();
    let started = Instant::now();
    let ours = tokio::task::spawn_blocking(move || ours.run(&tarn)).await??;
    server.stop().await;
    // The database's name is the one thing that differs by design.
    let theirs = theirs.replace(&database.name, "tarn");
    let ours = parse(&ours).context("on tarn")?;
    let theirs = parse(&theirs).context("on PostgreSQL")?;
    let outcome = Outcome::of(&ours, Some(&theirs), &gaps::read()?);
    println!(
        "{}compared with PostgreSQL {}; {} ms there, {} ms here",
        outcome.report,
        oracle.version(),
        theirs_ms,
        started.elapsed().as_millis()
    );
    // What differs says more than a row that differs, so it goes first.
    let page = page::check(&outcome);
    outcome.into_result()?;
    page
}

/// Runs a client that has no counterpart on PostgreSQL, over Flight SQL.
pub async fn check_flight(
    program: Program,
    address: impl FnOnce(SocketAddr) -> Vec<String>,
) -> Result<()> {
    let started = Instant::now();
    let server = Server::start(&[demo_data(SCALE)?]).await?;
    let address = address(server.flight_addr()?);
    let output = tokio::task::spawn_blocking(move || program.run(&address)).await??;
    server.stop().await;
    let outcome = Outcome::of(&parse(&output)?, None, &gaps::read()?);
    println!("{}after {} ms", outcome.report, started.elapsed().as_millis());
    // What differs says more than a row that differs, so it goes first.
    let page = page::check(&outcome);
    outcome.into_result()?;
    page
}

/// What came out for a client.
#[derive(Debug)]
pub struct Outcome {
    /// The client with its version.
    pub client: String,
    /// Capability, number of cases that hold, number of cases; in the program's order.
    pub capabilities: Vec<(String, usize, usize)>,
    /// TAP as it is shown: gaps are marked as TODO with their reason.
    report: String,
    failures: Vec<String>,
}

impl Outcome {
    fn of(ours: &Run, theirs: Option<&Run>, gaps: &[Gap]) -> Self {
        let client = without_version(&ours.client);
        let mut outcome = Self {
            client: ours.client.clone(),
            capabilities: Vec::new(),
            report: String::new(),
            failures: Vec::new(),
        };
        for (index, case) in ours.cases.iter().enumerate() {
            let problem = match theirs {
                Some(run) => difference(case, run.cases.get(index)),
                None => (!case.ok).then(|| case.detail.join("\n")),
            };
            let gap = gaps.iter().find(|gap| gap.is_of(&client, &case.name));
            outcome.count(&case.capability, problem.is_none());
            outcome.judge(index + 1, case, problem, gap);
        }
        let n_theirs = theirs.map_or(ours.cases.len(), |run| run.cases.len());
        if n_theirs != ours.cases.len() {
            outcome.failures.push("the servers were asked different cases".to_owned());
        }
        for gap in gaps.iter().filter(|gap| gap.clients.contains(&client)) {
            if !ours.cases.iter().any(|case| case.name == gap.case) {
                outcome.failures.push(format!("gaps.txt lists a case that is not: {}", gap.case));
            }
        }
        outcome
    }

    fn count(&mut self, capability: &str, holds: bool) {
        let known = self.capabilities.iter_mut().find(|(name, ..)| name == capability);
        match known {
            Some((_, n_held, n)) => {
                *n_held += usize::from(holds);
                *n += 1;
            }
            None => self.capabilities.push((capability.to_owned(), usize::from(holds), 1)),
        }
    }

    fn judge(&mut self, number: usize, case: &Case, problem: Option<String>, gap: Option<&Gap>) {
        let name = &case.name;
        let line = match (&problem, gap) {
            (None, None) => format!("ok {number} - {name}"),
            (Some(_), Some(gap)) => format!("not ok {number} - {name} # TODO {}", gap.reason),
            (None, Some(gap)) => {
                self.failures.push(format!("holds, delete it from gaps.txt: {name}"));
                format!("ok {number} - {name} # TODO {}", gap.reason)
            }
            (Some(problem), None) => {
                self.failures.push(format!("{name}\n{problem}"));
                format!("not ok {number} - {name}")
            }
        };
        self.report += &format!("{line}\n");
    }

    fn into_result(self) -> Result<()> {
        ensure!(
            self.failures.is_empty(),
            "{}: {} cases differ\n\n{}",
            self.client,
            self.failures.len(),
            self.failures.join("\n\n")
        );
        Ok(())
    }
}

/// Says how a case went wrong or what differs from PostgreSQL.
fn difference(ours: &Case, theirs: Option<&Case>) -> Option<String> {
    let Some(theirs) = theirs.filter(|theirs| theirs.name == ours.name) else {
        return Some("PostgreSQL was asked something else".to_owned());
    };
    if !theirs.ok {
        return Some(format!("fails on PostgreSQL:\n{}", theirs.detail.join("\n")));
    }
    if !ours.ok {
        return Some(ours.detail.join("\n"));
    }
    if ours.dump == theirs.dump {
        return None;
    }
    let mut lines = Vec::new();
    for index in 0..ours.dump.len().max(theirs.dump.len()) {
        let (found, expected) = (ours.dump.get(index), theirs.dump.get(index));
        if found != expected {
            lines.extend(found.map(|line| format!("  tarn       {line}")));
            lines.extend(expected.map(|line| format!("  PostgreSQL {line}")));
        }
        if lines.len() > 20 {
            lines.push("  …".to_owned());
            break;
        }
    }
    Some(lines.join("\n"))
}
