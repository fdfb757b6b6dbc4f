//! Markdown tables and the JSON file.

use anyhow::Result;
use serde_json::Value;

use super::args::Args;

/// A Markdown table that grows row by row.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Starts a table; all columns but the first are numbers.
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![header.into_iter().map(Into::into).collect()] }
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, row) in self.rows.iter().enumerate() {
            writeln!(f, "| {} |", row.join(" | "))?;
            if index == 0 {
                writeln!(f, "|---|{}", "---:|".repeat(row.len().saturating_sub(1)))?;
            }
        }
        Ok(())
    }
}

/// Formats a number with as many digits as are worth reading.
pub fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// Formats bytes in MB (10^6).
pub fn megabytes(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / 1e6)
}

/// Writes the results where `--json` says.
pub fn write_json(args: &Args, results: &Value) -> Result<()> {
    if let Some(path) = args.text("json") {
        std::fs::write(path, serde_json::to_string_pretty(results)?)?;
        println!("\nresults written to {path}");
    }
    Ok(())
}
