//! The cases that tarn does not pass yet: `tests/clients/gaps.txt`.
//!
//! ```text
//! [psycopg, asyncpg]
//! types: select '1 day'::interval
//!     the reason, on one or more indented lines
//! ```
//! `[*]` stands for every client that has the case. A client is named without its version.
//! A listed case that holds fails the suite, so that the entry goes away with the gap.

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::repository_file;

/// One entry of the list.
#[derive(Debug, PartialEq, Eq)]
pub struct Gap {
    /// The clients it is known for.
    pub clients: Vec<String>,
    /// Name of the case.
    pub case: String,
    /// Why it does not hold.
    pub reason: String,
}

impl Gap {
    /// Whether the entry is about this case of this client.
    pub fn is_of(&self, client: &str, case: &str) -> bool {
        self.case == case && self.clients.iter().any(|name| name == "*" || name == client)
    }
}

/// Reads the list.
pub fn read() -> Result<Vec<Gap>> {
    let path = repository_file("clients/gaps.txt");
    let text = std::fs::read_to_string(&path).context("clients/gaps.txt")?;
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Gap>> {
    let mut clients: Vec<String> = Vec::new();
    let mut gaps: Vec<Gap> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let header = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
        if let (Some(header), false) = (header, line.contains(": ")) {
            clients = header.split(',').map(|name| name.trim().to_owned()).collect();
        } else if line.starts_with(' ') {
            let gap = gaps.last_mut().context("a reason without a case")?;
            gap.reason = format!("{} {}", gap.reason, line.trim()).trim().to_owned();
        } else {
            ensure!(!clients.is_empty(), "no [client] in front of `{line}`");
            let case = line.trim_end().to_owned();
            gaps.push(Gap { clients: clients.clone(), case, reason: String::new() });
        }
    }
    for gap in &gaps {
        ensure!(!gap.reason.is_empty(), "no reason for `{}`", gap.case);
    }
    Ok(gaps)
}

/// The name of a client without its version: `psycopg 3.3.9` is `psycopg`.
pub fn without_version(client: &str) -> String {
    let words = client.split(' ');
    let name: Vec<&str> =
        words.take_while(|word| !word.starts_with(|first: char| first.is_ascii_digit())).collect();
    name.join(" ")
}

#[test]
fn reads_sections_and_reasons() {
    let text = "# note\n[a, b]\ntypes: select 1\n    why\n    so\n[*]\ncancel: x\n    no\n";
    let gaps = parse(text).expect("is well formed");
    assert_eq!(gaps.len(), 2);
    assert_eq!(gaps[0].reason, "why so");
    assert!(gaps[0].is_of("b", "types: select 1") && !gaps[0].is_of("c", "types: select 1"));
    assert!(gaps[1].is_of("c", "cancel: x"));
    assert!(parse("[a]\ntypes: select 1\n").is_err());
    assert_eq!(without_version("node-pg 8.23.1 with pg-cursor"), "node-pg");
}
