//! Finds test files and runs them side by side.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use futures::StreamExt;

use crate::file_run::{FileReport, RunOptions, SuiteFile, run_file};
use crate::target::{Engine, Target};

/// The project's own files: of the checkout in which Cargo runs this program, else of the
/// one in which it was built.
pub fn own_files() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "Cargo's own variable, not a setting")]
    let running = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    running
        .and_then(|member| Some(member.parent()?.join("sqllogictest/files")))
        .filter(|folder| folder.exists())
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("files"))
}

/// Files named by `arguments`: a path of a file or folder, optionally with `:line`, or a part of the name of one of
/// the project's own files. Without arguments all own files; on a real PostgreSQL only `pg_compat`.
pub fn find(arguments: &[String], engine: Engine) -> Result<Vec<SuiteFile>> {
    let own = walk(&own_files(), None)?;
    if arguments.is_empty() {
        let is_for_engine =
            |f: &SuiteFile| engine != Engine::Postgres || f.name.starts_with("pg_compat");
        return Ok(own.into_iter().filter(is_for_engine).collect());
    }
    let mut files: Vec<SuiteFile> = Vec::new();
    for argument in arguments {
        let (path, line) = split_line(argument);
        if Path::new(path).exists() {
            files.extend(walk(Path::new(path), line)?);
            continue;
        }
        let matching = own.iter().filter(|f| f.name.contains(path));
        let before = files.len();
        files.extend(matching.map(|f| SuiteFile { line, ..f.clone() }));
        if files.len() == before {
            bail!("{argument:?} is neither a path nor part of an own file's name");
        }
    }
    files.sort_by(|a, b| (a.is_foreign, &a.name).cmp(&(b.is_foreign, &b.name)));
    files.dedup_by(|a, b| a.path == b.path && a.line == b.line);
    Ok(files)
}

fn split_line(argument: &str) -> (&str, Option<u32>) {
    match argument.rsplit_once(':') {
        Some((path, line)) => line.parse().map_or((argument, None), |line| (path, Some(line))),
        None => (argument, None),
    }
}

fn walk(root: &Path, line: Option<u32>) -> Result<Vec<SuiteFile>> {
    let root = root.canonicalize().with_context(|| format!("cannot read {}", root.display()))?;
    let own = own_files().canonicalize().unwrap_or_else(|_| own_files());
    let is_foreign = !root.starts_with(&own);
    // Names keep the folder the suite is in, so that folders of different suites are told apart.
    let base = match (is_foreign, root.parent()) {
        (true, Some(parent)) => parent.to_owned(),
        _ => own,
    };
    let mut folders = Vec::new();
    let mut files = Vec::new();
    if root.is_dir() {
        folders.push(root)
    } else {
        files.push(root)
    }
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "slt" || e == "test") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&base).unwrap_or(&path).display().to_string();
            SuiteFile { path, name, is_foreign, line }
        })
        .collect())
}

/// Runs `files`, at most `n_jobs` at a time, and hands each report to `on_report` as it comes; reports are returned in
/// the order of `files`.
pub async fn run(
    target: &Arc<Target>,
    files: &[SuiteFile],
    options: &RunOptions,
    n_jobs: usize,
    mut on_report: impl FnMut(&FileReport),
) -> Result<Vec<FileReport>> {
    let mut running =
        futures::stream::iter(files.iter().cloned().enumerate().map(|(index, file)| {
            let (target, options) = (Arc::clone(target), options.clone());
            async move { (index, tokio::spawn(run_file(target, file, options)).await) }
        }))
        .buffer_unordered(n_jobs.max(1));
    let mut reports = Vec::new();
    while let Some((index, report)) = running.next().await {
        let report = report.context("a file's task panicked")??;
        on_report(&report);
        reports.push((index, report));
    }
    reports.sort_by_key(|(index, _)| *index);
    Ok(reports.into_iter().map(|(_, report)| report).collect())
}
