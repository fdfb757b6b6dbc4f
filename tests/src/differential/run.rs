//! All files against two servers.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};

use super::compare::{Difference, compare};
use super::script::{Script, Statement};
use super::wire::{Answer, Connection};

/// Where a server is and as whom to connect.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Role, which must need no password.
    pub user: String,
    /// Database to connect to.
    pub database: String,
}

impl Target {
    /// Opens a connection.
    pub fn open(&self) -> Result<Connection> {
        Connection::open(self.addr, &self.user, &self.database)
    }
}

/// One counted statement.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The statement.
    pub statement: Statement,
    /// What differs; `None` if nothing does.
    pub difference: Option<Difference>,
}

/// One file.
#[derive(Debug, Clone)]
pub struct FileOutcome {
    /// Its name.
    pub name: String,
    /// Its counted statements in order.
    pub outcomes: Vec<Outcome>,
    /// Why it ended before its last statement.
    pub failure: Option<String>,
}

/// Runs all scripts, each on connections of its own, in a new database of PostgreSQL.
pub fn run(postgres: &Target, tarn: &Target, scripts: &[Script]) -> Result<Vec<FileOutcome>> {
    let database = format!("tarn_differential_{}", std::process::id());
    let mut first = postgres.open()?;
    // Text sorts by bytes in tarn.
    let created = first.simple(
        &format!(
            "CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' \
             LC_CTYPE 'C.UTF-8'"
        ),
        &[],
    )?;
    ensure!(created.parts.iter().all(|part| part.error.is_none()), "{created:?}");
    let inside = Target { database: database.clone(), ..postgres.clone() };
    let files = scripts.iter().map(|script| run_script(&inside, tarn, script)).collect();
    first.simple(&format!("DROP DATABASE {database} WITH (FORCE)"), &[])?;
    Ok(files)
}

fn run_script(postgres: &Target, tarn: &Target, script: &Script) -> FileOutcome {
    let mut outcomes = Vec::new();
    let ended = run_statements(postgres, tarn, script, &mut outcomes);
    let failure = ended.err().map(|error| format!("{error:#}"));
    FileOutcome { name: script.name.clone(), outcomes, failure }
}

fn run_statements(
    postgres: &Target,
    tarn: &Target,
    script: &Script,
    outcomes: &mut Vec<Outcome>,
) -> Result<()> {
    let mut pair = Pair { postgres: postgres.open()?, tarn: tarn.open()? };
    for statement in &script.statements {
        let at = || format!("{}.sql line {}: {}", script.name, statement.line, statement.sql);
        let difference = pair.ask(postgres, tarn, statement).with_context(at)?;
        if !statement.setup {
            outcomes.push(Outcome { statement: statement.clone(), difference });
        } else if let Some(difference) = difference {
            bail!("{}: the setup differs: {difference:?}", at());
        }
    }
    Ok(())
}

struct Pair {
    postgres: Connection,
    tarn: Connection,
}

impl Pair {
    fn ask(&mut self, p: &Target, t: &Target, statement: &Statement) -> Result<Option<Difference>> {
        let ordered = statement.sql.to_ascii_lowercase().contains("order by");
        let mut found = None;
        if statement.simple {
            let simple =
                |connection: &mut Connection| connection.simple(&statement.sql, &statement.copied);
            let expected = simple(&mut self.postgres).context("PostgreSQL")?;
            let actual = simple(&mut self.tarn);
            found = self.judge((p, t), &expected, actual, ordered)?;
        }
        if let (Some(bound), None) = (&statement.extended, &found) {
            let expected = self.postgres.extended(&statement.sql, bound).context("PostgreSQL")?;
            let actual = self.tarn.extended(&statement.sql, bound);
            found = self.judge((p, t), &expected, actual, ordered)?;
        }
        Ok(found)
    }

    /// Compares, and brings both connections to the same state again.
    fn judge(
        &mut self,
        (postgres, tarn): (&Target, &Target),
        expected: &Answer,
        actual: Result<Answer>,
        ordered: bool,
    ) -> Result<Option<Difference>> {
        let actual = match actual {
            Ok(actual) => actual,
            Err(error) => {
                self.tarn = tarn.open().context("tarn is gone")?;
                Answer::lost(&error)
            }
        };
        if expected.status != actual.status {
            if expected.status != b'I' {
                self.postgres.simple("ROLLBACK", &[])?;
            }
            if !matches!(actual.status, b'I' | b'-') && self.tarn.simple("ROLLBACK", &[]).is_err() {
                self.tarn = tarn.open()?;
            }
        }
        if expected.status == b'-' {
            self.postgres = postgres.open()?;
        }
        Ok(compare(expected, &actual, ordered))
    }
}
