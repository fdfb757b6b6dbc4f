//! Where `.ci/install-clients` has put things, and what it could not get.

use std::path::PathBuf;

use tarn_tests::harness::{program, repository_file, require_or_skip};

/// The folder that `.ci/install-clients` fills.
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("TARN_CLIENTS_DIR") {
        return PathBuf::from(folder);
    }
    PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/tarn-clients")
}

/// Returns `path` when it exists. Otherwise says why the suite is skipped: with the reason
/// that `.ci/install-clients` has left for `name`, which also holds under
/// `TARN_REQUIRE_CLIENTS=1`, else as a program that has to be there.
pub fn need(name: &str, path: Option<PathBuf>) -> Option<PathBuf> {
    if let Some(path) = path.filter(|path| path.exists()) {
        return Some(path);
    }
    match std::fs::read_to_string(folder().join("skipped").join(name)) {
        Ok(reason) => println!("skipped: {name}: {}", reason.trim()),
        Err(_) => require_or_skip(&format!("{name} is not installed")),
    }
    None
}

/// Java and a jar of the clients' folder, the newest whose name starts with `name`.
pub fn jar(name: &str) -> Option<(PathBuf, PathBuf)> {
    let jars = std::fs::read_dir(folder().join("jars")).into_iter().flatten().flatten();
    let mut jars: Vec<PathBuf> = jars.map(|jar| jar.path()).collect();
    jars.retain(|jar| {
        let file = jar.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(&format!("{name}-")) && file.ends_with(".jar")
    });
    jars.sort();
    let jar = need(name, jars.pop())?;
    Some((need("java", program("java"))?, jar))
}

/// A file below `tests/clients/` as an argument.
pub fn source(relative: &str) -> String {
    repository_file("clients").join(relative).display().to_string()
}
