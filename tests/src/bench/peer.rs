//! A peer engine in a Python child process that speaks JSON lines.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::answer::{Answer, Kind};
use crate::harness::{Child, TPCH_TABLES, python, repository_file};

/// The Parquet files of each table.
pub type TableFiles = BTreeMap<String, Vec<String>>;

/// One Python process with one engine in it.
#[derive(Debug)]
pub struct Peer {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Name and version of the engine.
    pub version: String,
    _child: Child,
}

/// What one run of a query gave.
#[derive(Debug)]
pub struct Run {
    /// From the text sent to the last row in the client's hands.
    pub ms: f64,
    /// Rows counted.
    pub n_rows: u64,
    /// The rows, when asked for.
    pub answer: Option<Answer>,
}

impl Peer {
    /// Starts `peer.py ENGINE` with the drivers' Python.
    pub fn start(engine: &str) -> Result<Self> {
        let python = python().context("no Python with the peers: run .ci/install-clients")?;
        let mut child = Command::new(python)
            .arg(repository_file("bench/peer.py"))
            .arg(engine)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("no pipe to the peer")?;
        let output = BufReader::new(child.stdout.take().context("no pipe from the peer")?);
        let mut peer = Self { input, output, version: String::new(), _child: Child::of(child) };
        let version = peer.ask(&json!({"op": "version"}))?;
        peer.version = version["version"].as_str().unwrap_or(engine).to_owned();
        Ok(peer)
    }

    /// Sends one request and waits for its answer.
    pub fn ask(&mut self, request: &Value) -> Result<Value> {
        writeln!(self.input, "{request}")?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let reply: Value = serde_json::from_str(&line).context("the peer process ended")?;
        if let Some(error) = reply["error"].as_str() {
            bail!("{}: {error}", self.version);
        }
        Ok(reply)
    }

    /// Makes the tables known (and loads them, for an engine in memory).
    pub fn open(&mut self, tables: &TableFiles, threads: usize) -> Result<()> {
        self.ask(&json!({"op": "open", "tables": tables, "threads": threads})).map(drop)
    }

    /// Runs a query to its last row.
    pub fn run(&mut self, sql: &str, want_rows: bool) -> Result<Run> {
        let reply = self.ask(&json!({"op": "run", "sql": sql, "rows": want_rows}))?;
        let answer = want_rows.then(|| Answer {
            kinds: texts(&reply["kinds"]).flatten().map(|kind| Kind::parse(&kind)).collect(),
            rows: items(&reply["rows"]).map(|row| texts(row).collect()).collect(),
        });
        Ok(Run {
            ms: reply["ms"].as_f64().unwrap_or_default(),
            n_rows: reply["n_rows"].as_u64().unwrap_or_default(),
            answer,
        })
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> impl Iterator<Item = Option<String>> {
    items(value).map(|item| item.as_str().map(str::to_owned))
}

/// Asks the Python package `deltalake` for the live files of the TPC-H tables below `folder`.
pub fn table_files(folder: &Path) -> Result<TableFiles> {
    let mut delta = Peer::start("delta")?;
    let mut files = TableFiles::new();
    for table in TPCH_TABLES {
        let path = folder.join(table);
        let reply = delta.ask(&json!({"op": "delta_files", "path": path}))?;
        files.insert(table.to_owned(), texts(&reply["files"]).flatten().collect());
    }
    Ok(files)
}
