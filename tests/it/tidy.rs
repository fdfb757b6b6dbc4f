//! Rules of the tree that no compiler checks: who may depend on whom, sizes, one of each big crate.

use std::fs;
use std::path::{Path, PathBuf};

use tarn_tests::harness::workspace_folder;

const MEMBERS: [&str; 6] = ["catalog", "planner", "exec", "server", "tests", "sqllogictest"];

/// Lines of a source file; look for the seam from 500 on.
const N_SOURCE_LINES_MAX: usize = 800;

/// Lines of an `.slt` file: one feature each.
const N_SLT_LINES_MAX: usize = 300;

fn root() -> PathBuf {
    workspace_folder()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of the tree with one of these endings.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("is readable").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                let skipped = ["target", "data", "__pycache__", ".git"].contains(&name.as_str());
                if !skipped {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no files {endings:?}");
    found
}

/// The names in `[dependencies]` of a member.
fn dependencies(member: &str) -> Vec<String> {
    let manifest = read(format!("{member}/Cargo.toml"));
    let (_, section) = manifest.split_once("[dependencies]").expect("has dependencies");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned())).collect()
}

#[test]
fn crates_depend_in_one_direction() {
    let check = |member: &str, allowed: &[&str]| {
        for dependency in dependencies(member).iter().filter(|name| name.starts_with("tarn-")) {
            assert!(allowed.contains(&dependency.as_str()), "{member} must not use {dependency}");
        }
    };
    check("catalog", &[]);
    check("planner", &["tarn-catalog"]);
    check("exec", &["tarn-catalog"]);
    check("server", &["tarn-catalog", "tarn-planner", "tarn-exec"]);
    for member in ["catalog", "planner", "exec"] {
        for protocol in ["pgwire", "tonic", "axum", "arrow-flight", "tokio-postgres"] {
            // The catalog's log may be kept in PostgreSQL.
            if (member, protocol) == ("catalog", "tokio-postgres") {
                continue;
            }
            let used = dependencies(member).iter().any(|name| name == protocol);
            assert!(!used, "{member} must not know protocols: {protocol} belongs to server");
        }
    }
}

#[test]
fn features_are_switched_in_the_workspace_only() {
    for member in MEMBERS {
        let manifest = read(format!("{member}/Cargo.toml"));
        assert!(
            !manifest.contains("features"),
            "{member}/Cargo.toml switches features: do it in the workspace's table, or the whole \
             engine is built twice"
        );
    }
}

#[test]
fn there_is_one_of_each_big_crate() {
    let lock = read("Cargo.lock");
    for name in [
        "arrow-array",
        "parquet",
        "datafusion",
        "object_store",
        "tonic",
        "prost",
        "sqlparser",
        "rustls",
        "deltalake-core",
        "buoyant_kernel",
    ] {
        let n = lock.matches(&format!("\nname = \"{name}\"\n")).count();
        assert_eq!(n, 1, "{name} is {n} times in Cargo.lock");
    }
}

/// Rust and a C compiler are enough for a fresh machine.
#[test]
fn no_crate_needs_another_program_to_build() {
    let lock = read("Cargo.lock");
    for name in
        ["openssl-sys", "prost-build", "protobuf-src", "protoc-bin-vendored", "bindgen", "pyo3"]
    {
        assert!(!lock.contains(&format!("\nname = \"{name}\"\n")), "Cargo.lock has {name}");
    }
    assert!(!root().join("rust-toolchain.toml").exists(), "any Rust from 1.95 on has to do");
}

#[test]
fn files_are_small_enough_to_review() {
    for path in files(&[".rs", ".slt"]) {
        let slt = path.extension().is_some_and(|extension| extension == "slt");
        let n_max = if slt { N_SLT_LINES_MAX } else { N_SOURCE_LINES_MAX };
        let n = fs::read_to_string(&path).expect("is text").lines().count();
        assert!(n <= n_max, "{} has {n} lines, the limit is {n_max}: find a seam", path.display());
    }
}

#[test]
fn no_file_names_a_machine() {
    // Put together here, so that this file does not name one itself.
    let folders = ["work", "root"].map(|folder| format!("/{folder}/"));
    for path in files(&[".rs", ".md", ".toml", ".slt", ".py", ".yaml", ".sql"]) {
        let text = fs::read_to_string(&path).expect("is text");
        for folder in &folders {
            assert!(!text.contains(folder.as_str()), "{} names {folder}", path.display());
        }
    }
}

#[test]
fn nothing_is_left_to_do_in_the_code() {
    let words =
        [["to", "do!("].concat(), ["unimple", "mented!("].concat(), ["#[ig", "nore"].concat()];
    for path in files(&[".rs"]) {
        let text = fs::read_to_string(&path).expect("is text");
        for word in &words {
            assert!(!text.contains(word.as_str()), "{} contains {word}", path.display());
        }
    }
}

#[test]
fn every_setting_is_documented() {
    let documented = read("docs/settings.md");
    for setting in tarn_server::config::SETTINGS {
        assert!(documented.contains(setting.name), "docs/settings.md lacks --{}", setting.name);
    }
    let (_, without_effect) = documented.split_once("### Without effect").expect("has a list");
    for setting in tarn_planner::variables::SETTINGS {
        let name = format!("`{}`", setting.name);
        if setting.description == "Has no effect." || setting.name.starts_with("lc_") {
            assert!(without_effect.contains(&name), "docs/settings.md does not list {name}");
            continue;
        }
        let row = format!("| {name} |");
        let row = documented.lines().find(|line| line.starts_with(&row));
        let row = row.unwrap_or_else(|| panic!("docs/settings.md lacks {name}"));
        assert!(row.contains(setting.description), "docs/settings.md says of {name}: {row}");
        let is_default = match setting.default {
            "" => row.contains("| empty |"),
            default => row.contains(&format!("`{default}`")),
        };
        assert!(is_default, "docs/settings.md has another default of {name}: {row}");
        let is_reported = row.contains("| yes |");
        assert_eq!(is_reported, setting.reported, "docs/settings.md: is {name} reported?");
    }
}

/// The image's first layer makes an empty source for every target that a manifest names.
#[test]
fn the_image_knows_every_target() {
    let dockerfile = read("docker/Dockerfile");
    for member in MEMBERS {
        for line in read(format!("{member}/Cargo.toml")).lines() {
            let path = line.strip_prefix("path = \"").and_then(|rest| rest.strip_suffix('"'));
            let Some(path) = path else { continue };
            let path = format!("{member}/{path}");
            assert!(dockerfile.contains(&path), "docker/Dockerfile makes no empty {path}");
        }
    }
}

/// Texts between quotes that have the form of an SQLSTATE.
fn codes_in(text: &str) -> Vec<&str> {
    let is_code = |word: &&str| {
        word.len() == 5
            && word.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
            && word.chars().any(|c| c.is_ascii_digit())
    };
    text.split('"').skip(1).step_by(2).filter(is_code).collect()
}

#[test]
fn every_code_is_documented() {
    let documented = read("docs/sqlstate.md");
    for path in files(&[".rs"]) {
        let shown = path.strip_prefix(root()).expect("is below").to_string_lossy().into_owned();
        let is_source = ["server/src/", "planner/src/"].iter().any(|top| shown.starts_with(top));
        // The client prints what a server says; tests make up what they like.
        let is_skipped = shown.starts_with("server/src/client/") || shown.contains("tests");
        if !is_source || is_skipped {
            continue;
        }
        let text = fs::read_to_string(&path).expect("is text");
        for line in text.lines().filter(|line| line.contains("code") || line.contains("=>")) {
            for code in codes_in(line) {
                assert!(documented.contains(code), "docs/sqlstate.md lacks {code} ({shown})");
            }
        }
    }
}
