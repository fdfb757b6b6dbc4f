//! The command line of `bench`.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};

/// What `bench help` prints.
pub const USAGE: &str = "\
usage: bench MODE [--option value]…

modes
  tpch         the 22 TPC-H queries: tarn, DuckDB (Parquet and memory), DataFusion
  latency      SELECT 1 and point lookup: tarn beside PostgreSQL
  fetch        one million rows: pg text, pg binary, Flight, PostgreSQL; memory of the server
  metadata     what clients ask the catalog of many tables: tarn beside PostgreSQL
  concurrency  N clients with think time: throughput and latency percentiles, idle connections
  load         lineitem from CSV and from Parquet into a table: tarn beside DuckDB's COPY
  files        plans over a table of 50,000 files
  restart      a server comes back with 10,000 objects in its catalog

options (default)
  --scale 1          TPC-H scale factor
  --rounds 5         measured rounds of tpch and fetch
  --threads 2        threads of every engine
  --queries 1,6,14   TPC-H queries to run (all)
  --engines LIST     tarn,tarn-flight,duckdb-parquet,duckdb-memory,datafusion (all but tarn-flight)
  --protocol simple  how tarn is asked over pg: simple or extended
  --url HOST:PORT    measure a running server instead of starting the release binary
  --flight-url HOST:PORT
  --pid N            process of that server, for its memory
  --binary PATH      the tarn binary (beside this program; built when absent)
  --data DIR         folder with the eight Delta tables (made when absent)
  --iterations 5000  of latency
  --rows 1000000     of fetch
  --tables 1000 --columns 20   of metadata
  --files 50000      of files
  --objects 10000    of restart
  --clients 50  --think-ms 20  --seconds 20  --idle 0   of concurrency
  --json FILE        also write the results as JSON";

/// Parsed command line: a mode and `--name value` pairs.
#[derive(Debug, Clone)]
pub struct Args {
    /// The first word.
    pub mode: String,
    options: BTreeMap<String, String>,
}

const KNOWN: [&str; 22] = [
    "tables",
    "columns",
    "scale",
    "rounds",
    "threads",
    "queries",
    "engines",
    "protocol",
    "url",
    "flight-url",
    "pid",
    "binary",
    "data",
    "iterations",
    "rows",
    "files",
    "objects",
    "clients",
    "think-ms",
    "seconds",
    "idle",
    "json",
];

impl Args {
    /// Parses the words after the program's name.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut words = words.into_iter();
        let mode = words.next().context("which mode?")?;
        let mut options = BTreeMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").with_context(|| format!("unexpected `{word}`"))?;
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => {
                    let value = words.next().with_context(|| format!("--{name} needs a value"))?;
                    (name.to_owned(), value)
                }
            };
            if !KNOWN.contains(&name.as_str()) {
                bail!("unknown option --{name}");
            }
            options.insert(name, value);
        }
        Ok(Self { mode, options })
    }

    /// Returns the text of an option.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Returns the value of an option or `default`.
    pub fn value<T: FromStr>(&self, name: &str, default: T) -> Result<T> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| anyhow!("--{name} {text} is not valid")),
        }
    }

    /// Returns the members of a comma-separated option.
    pub fn list(&self, name: &str) -> Option<Vec<String>> {
        let text = self.text(name)?;
        Some(text.split(',').map(|part| part.trim().to_owned()).collect())
    }
}
