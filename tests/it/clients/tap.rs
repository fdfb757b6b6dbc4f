//! What a client's program prints: Test Anything Protocol with a capability in front of each name.
//!
//! ```text
//! # client: psycopg 3.3.9
//! 1..2
//! # = columns: a:23
//! # = row: (1,)
//! ok 1 - types: select 1 as a
//! not ok 2 - copy in: writes rows
//! # Traceback …
//! ```
//! Lines `# = …` belong to the case that follows and must be the same on both servers.

use anyhow::{Context, Result, ensure};

/// A run of a program against one server.
#[derive(Debug)]
pub struct Run {
    /// The client with its version, as the page names it.
    pub client: String,
    /// Its cases in order.
    pub cases: Vec<Case>,
}

/// One case of a program.
#[derive(Debug, Default)]
pub struct Case {
    /// What the page sums it up under.
    pub capability: String,
    /// `capability: name`.
    pub name: String,
    /// Whether it held.
    pub ok: bool,
    /// What has to be the same on every server.
    pub dump: Vec<String>,
    /// What the program said about a failure.
    pub detail: Vec<String>,
}

/// Reads what a program has printed.
pub fn parse(text: &str) -> Result<Run> {
    let mut client = None;
    let mut plan = None;
    let mut dump = Vec::new();
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# client: ") {
            client = Some(name.trim().to_owned());
        } else if let Some(value) = line.strip_prefix("# = ") {
            dump.push(value.to_owned());
        } else if let Some(n) = line.strip_prefix("1..") {
            plan = Some(n.trim().parse::<usize>().context("a plan is a number")?);
        } else if let Some(rest) = line.strip_prefix("ok ") {
            cases.push(case(rest, true, std::mem::take(&mut dump))?);
        } else if let Some(rest) = line.strip_prefix("not ok ") {
            cases.push(case(rest, false, std::mem::take(&mut dump))?);
        } else if let (Some(note), Some(case)) = (line.strip_prefix('#'), cases.last_mut()) {
            case.detail.push(note.trim_end().to_owned());
        }
    }
    ensure!(plan == Some(cases.len()), "{} cases of {plan:?}:\n{text}", cases.len());
    Ok(Run { client: client.with_context(|| format!("no `# client:` in\n{text}"))?, cases })
}

fn case(rest: &str, ok: bool, dump: Vec<String>) -> Result<Case> {
    let name = rest.split_once(" - ").with_context(|| format!("no name in `{rest}`"))?.1;
    let (capability, _) =
        name.split_once(": ").with_context(|| format!("no capability in `{name}`"))?;
    Ok(Case {
        capability: capability.to_owned(),
        name: name.to_owned(),
        ok,
        dump,
        detail: Vec::new(),
    })
}
