//! TPC-H as Delta tables, shared by all tests and runs on a machine.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};

/// The eight tables of TPC-H.
pub const TPCH_TABLES: [&str; 8] =
    ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"];

/// Serializes writers in this process; the rename below serializes processes.
static WRITER: Mutex<()> = Mutex::new(());

/// Returns the folder that holds the eight demo tables at `scale`, made on first use.
///
/// It lies in the system's folder for temporary files, keyed by scale and by the code that has
/// written it.
/// Tests only read it; a test that writes must copy a table first.
pub fn demo_data(scale: f64) -> Result<PathBuf> {
    let name = format!("tarn-demo-{:016x}-sf{scale}", writer_code()?);
    let target = std::env::temp_dir().join(name);
    let _writing = WRITER.lock().map_err(|_| anyhow!("another test failed while writing"))?;
    if !target.exists() {
        let temporary = target.with_extension(format!("part-{}", std::process::id()));
        if temporary.exists() {
            std::fs::remove_dir_all(&temporary)?;
        }
        std::fs::create_dir_all(&temporary)?;
        write(&temporary, scale)?;
        if std::fs::rename(&temporary, &target).is_err() {
            // Another process was faster; its folder is as good.
            std::fs::remove_dir_all(&temporary)?;
        }
    }
    let folder = target.join("demo");
    folder
        .join("lineitem/_delta_log")
        .exists()
        .then_some(folder)
        .with_context(|| format!("{} is not complete: remove it and run again", target.display()))
}

/// A number for the code that decides what the tables' files look like.
fn writer_code() -> Result<u64> {
    let root = super::workspace_folder();
    let mut sources = vec![root.join("server/src/demo.rs"), root.join("Cargo.lock")];
    for folder in ["catalog/src/delta", "catalog/src/delta/write", "catalog/src/delta/writer"] {
        let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        let named = |path: &PathBuf| path.to_string_lossy().contains("/write");
        sources.extend(entries.map(|entry| entry.path()).filter(|p| p.is_file()).filter(named));
    }
    sources.sort();
    let mut code = DefaultHasher::new();
    for source in sources {
        std::fs::read(&source).with_context(|| source.display().to_string())?.hash(&mut code);
    }
    Ok(code.finish())
}

/// Writes the tables from a thread of its own, so that callers may be inside a runtime.
fn write(dir: &std::path::Path, scale: f64) -> Result<()> {
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| -> Result<()> {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(async { tarn_server::demo::write(dir, scale).await })?;
            Ok(())
        });
        writer.join().map_err(|_| anyhow!("writing demo data panicked"))?
    })
}
