//! Finding and running the programs that client suites drive.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Returns the Python whose venv has the drivers: `TARN_PYTHON`, else the venv that
/// `.ci/install-clients` makes.
pub fn python() -> Option<PathBuf> {
    let path = match std::env::var_os("TARN_PYTHON") {
        Some(path) => PathBuf::from(path),
        None => clients_folder().join("bin/python"),
    };
    path.exists().then_some(path)
}

/// Returns the Python whose venv has other readers and writers of lake tables, and moto.
pub fn lake_python() -> Option<PathBuf> {
    let path = clients_folder().join("lake/bin/python");
    path.exists().then_some(path)
}

/// Returns the folder that `.ci/install-clients` fills.
pub fn clients_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("TARN_CLIENTS_DIR") {
        return PathBuf::from(folder);
    }
    PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/tarn-clients")
}

/// Returns the path of a program on `PATH`.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Returns the path of a file below `tests/`.
pub fn repository_file(relative: &str) -> PathBuf {
    workspace_folder().join("tests").join(relative)
}

/// Returns the checkout's folder.
///
/// Cargo's own variable goes first: a program that was built in one checkout counts as
/// fresh in another one with the same target folder.
pub fn workspace_folder() -> PathBuf {
    let member = std::env::var_os("CARGO_MANIFEST_DIR");
    let member = member.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    member.parent().map(Path::to_owned).unwrap_or_default()
}

/// Says that a suite is skipped and why; panics under `TARN_REQUIRE_CLIENTS=1`.
///
/// # Panics
/// When `TARN_REQUIRE_CLIENTS` is `1`: there a missing program is a failure.
#[allow(clippy::panic, reason = "fails the calling test")]
pub fn require_or_skip(reason: &str) {
    if std::env::var("TARN_REQUIRE_CLIENTS").is_ok_and(|value| value == "1") {
        panic!("TARN_REQUIRE_CLIENTS=1, but {reason}; .ci/install-clients installs it");
    }
    println!("skipped: {reason}");
}

/// Runs a program to its end and returns what it printed; it fails unless the exit code is 0.
///
/// Blocks: call it from `spawn_blocking` when the server runs in this process.
pub fn run_program(program: &Path, arguments: &[String]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .env("PGCONNECT_TIMEOUT", "30")
        .env("PGSSLMODE", "disable")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {}", program.display()))?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    ensure!(
        output.status.success(),
        "{} {} ended with {}:\n{text}",
        program.display(),
        arguments.join(" "),
        output.status
    );
    Ok(text)
}
