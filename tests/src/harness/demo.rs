//! TPC-H as Delta tables, shared by all tests and runs on a machine.

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
/// It lies in the system's folder for temporary files, keyed by version and scale.
/// Tests only read it; a test that writes must copy a table first.
pub fn demo_data(scale: f64) -> Result<PathBuf> {
    let name = format!("tarn-demo-{}-sf{scale}", env!("CARGO_PKG_VERSION"));
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
