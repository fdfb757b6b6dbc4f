//! `docs/compatibility.md`, made from the runs.
//!
//! Each suite writes or checks its own row and the gaps of its client. To write them:
//! `TARN_UPDATE_COMPATIBILITY=1 cargo it clients`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, ensure};
use tarn_tests::harness::repository_file;

use super::gaps::{self, without_version};
use super::suite::Outcome;

/// The columns, in the page's order.
pub const CAPABILITIES: [&str; 13] = [
    "connect",
    "simple",
    "prepared",
    "types",
    "arrays",
    "json",
    "cursors",
    "copy out",
    "copy in",
    "transactions",
    "cancel",
    "metadata",
    "batch",
];

/// Serializes writers: the suites run side by side.
static WRITER: Mutex<()> = Mutex::new(());

pub fn path() -> PathBuf {
    repository_file("../docs/compatibility.md")
}

/// Compares the row of a client with the page, or writes it when asked to.
pub fn check(outcome: &Outcome) -> Result<()> {
    for (capability, ..) in &outcome.capabilities {
        ensure!(CAPABILITIES.contains(&capability.as_str()), "no column for `{capability}`");
    }
    let row = row(outcome);
    let _writing = WRITER.lock().map_err(|_| anyhow!("another suite failed while writing"))?;
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    if std::env::var_os("TARN_UPDATE_COMPATIBILITY").is_some() {
        let mut rows = rows(&text);
        let client = without_version(&outcome.client);
        rows.retain(|row| client_of(row) != client);
        rows.push(row);
        return std::fs::write(path(), render(rows)?).context("writing docs/compatibility.md");
    }
    ensure!(
        text.lines().any(|line| line == row),
        "docs/compatibility.md is out of date, it should have\n{row}\n\
         Write it with TARN_UPDATE_COMPATIBILITY=1 cargo it clients"
    );
    Ok(())
}

fn row(outcome: &Outcome) -> String {
    let mut row = format!("| {} |", outcome.client);
    for name in CAPABILITIES {
        let cell = match outcome.capabilities.iter().find(|(known, ..)| known == name) {
            None => "–".to_owned(),
            Some((_, held, n)) if held == n => format!("✓ {n}"),
            Some((_, held, n)) => format!("✗ {held} of {n}"),
        };
        let _ = write!(row, " {cell} |");
    }
    row
}

/// The rows of clients in a page.
pub fn rows(text: &str) -> Vec<String> {
    let is_row = |line: &&str| line.starts_with("| ") && (line.contains('✓') || line.contains('✗'));
    text.lines().filter(is_row).map(str::to_owned).collect()
}

/// The client of a row, without its version.
pub fn client_of(row: &str) -> String {
    without_version(row.trim_start_matches("| ").split(" |").next().unwrap_or_default())
}

/// The whole page: the rows, then the gaps from `gaps.txt`.
pub fn render(mut rows: Vec<String>) -> Result<String> {
    rows.sort_by_key(|row| row.to_lowercase());
    let mut text = INTRODUCTION.to_owned();
    let _ = writeln!(text, "| client | {} |", CAPABILITIES.join(" | "));
    let _ = writeln!(text, "|---{}|", "|---".repeat(CAPABILITIES.len()));
    for row in rows {
        let _ = writeln!(text, "{row}");
    }
    text += &render_gaps()?;
    Ok(text)
}

/// The second half of the page, which needs no run.
pub fn render_gaps() -> Result<String> {
    let mut text = "\n## Gaps\n".to_owned();
    let gaps = gaps::read()?;
    if gaps.is_empty() {
        text += "\nNone: every case gives PostgreSQL's answer.\n";
        return Ok(text);
    }
    text += "\n| clients | case | reason |\n|---|---|---|\n";
    for gap in gaps {
        let clients = gap.clients.join(", ").replace('*', "all");
        let case = gap.case.replace('|', "\\|");
        let _ = writeln!(text, "| {clients} | `{case}` | {} |", gap.reason.replace('|', "\\|"));
    }
    Ok(text)
}

const INTRODUCTION: &str = "# Compatibility

Made by the client suites; do not edit: `TARN_UPDATE_COMPATIBILITY=1 cargo it clients`.

Each client runs its program of `tests/clients` against tarn and against PostgreSQL 15, with the
same tables. A case holds when the program's own checks pass and everything it reads (column
names, types, rows, SQLSTATE) is the same on both. A cell counts the cases of one capability; all
of them hold where it has a ✓. A dash: the client has no such thing, or it is not tried.
Flight SQL clients run against tarn alone, with their expectations in the program.

";

#[test]
fn the_page_is_in_line_with_the_gaps() {
    let text = std::fs::read_to_string(path()).expect("docs/compatibility.md is there");
    let gaps = render_gaps().expect("gaps.txt is well formed");
    assert!(
        text.ends_with(&gaps),
        "docs/compatibility.md does not end with\n{gaps}\n\
         Write it with TARN_UPDATE_COMPATIBILITY=1 cargo it clients"
    );
    let clients: Vec<String> = rows(&text).iter().map(|row| client_of(row)).collect();
    for gap in gaps::read().expect("gaps.txt is well formed") {
        for client in gap.clients.iter().filter(|name| *name != "*") {
            assert!(clients.contains(client), "{client} of gaps.txt has no row on the page");
        }
    }
    for row in rows(&text).iter().filter(|row| row.contains('✗')) {
        let client = client_of(row);
        let known = gaps::read().expect("gaps.txt is well formed");
        let listed =
            known.iter().any(|gap| gap.clients.iter().any(|name| name == "*" || *name == client));
        assert!(listed, "{client} has a ✗ without a reason in tests/clients/gaps.txt");
    }
}
