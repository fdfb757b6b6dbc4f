//! The demo's data: TPC-H as Delta tables with history.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use parking_lot::Mutex;
use tarn_catalog::{CatalogError, delta};
use tpchgen::generators as tpch;
use tpchgen_arrow as arrow_tpch;
use url::Url;

/// The folder below the data directory.
pub const FOLDER: &str = "demo";

/// Says that the tables are complete, and at which scale.
const MARKER: &str = "_scale";

/// Says that a folder was begun by a start that did not come to its end.
const MARKER_PARTIAL: &str = "_writing";

/// Commits of the two tables that get a history.
const N_COMMITS: i32 = 3;

/// Rows of one data file.
const FILE_ROWS: usize = 1 << 20;

/// Rows of one generated batch.
const BATCH_ROWS: usize = 16 * 1024;

/// Why the demo's tables could not be written.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The folder cannot be used.
    #[error("cannot write to {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// There is something that tarn has not written.
    #[error("{} is not a folder of demo tables, and is left as it is", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// A table cannot be written.
    #[error("cannot write table \"{table}\"")]
    Table {
        /// The table.
        table: &'static str,
        /// The cause.
        #[source]
        source: CatalogError,
    },
    /// The rows of a table could not be made.
    #[error("cannot make the rows of table \"{table}\"")]
    Generate {
        /// The table.
        table: &'static str,
        /// The cause; `None` where there were no rows at all.
        #[source]
        source: Option<ArrowError>,
    },
    /// The writing task was lost.
    #[error("writing was interrupted")]
    Interrupted,
}

/// Writes the eight tables, unless they are there at this scale already.
///
/// Lineitem and orders come in three appends, so that they have versions 0 (empty) to 3. The
/// folder appears with all tables at once: an interrupted start leaves nothing half done.
///
/// # Errors
/// When the folder or a table cannot be written; `Foreign` where a folder of this name holds
/// something else, which is never removed.
pub async fn write(data_dir: &Path, scale: f64) -> Result<PathBuf, DemoError> {
    let folder = data_dir.join(FOLDER);
    let marker = folder.join(MARKER);
    if std::fs::read_to_string(&marker).is_ok_and(|text| text.trim() == scale.to_string()) {
        return Ok(folder);
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DemoError::Folder { path, source }
    };
    let partial = data_dir.join(format!("{FOLDER}.partial"));
    for old in [&partial, &folder] {
        if std::fs::symlink_metadata(old).is_ok() {
            if !is_ours(old) {
                return Err(DemoError::Foreign { path: old.clone() });
            }
            std::fs::remove_dir_all(old).map_err(failed(old))?;
        }
    }
    std::fs::create_dir_all(&partial).map_err(failed(&partial))?;
    std::fs::write(partial.join(MARKER_PARTIAL), "").map_err(failed(&partial))?;
    write_tables(&partial, scale).await?;
    std::fs::write(partial.join(MARKER), scale.to_string()).map_err(failed(&partial))?;
    std::fs::remove_file(partial.join(MARKER_PARTIAL)).map_err(failed(&partial))?;
    std::fs::rename(&partial, &folder).map_err(failed(&folder))?;
    Ok(folder)
}

/// Whether a folder may be removed: an earlier start has made it, or it is empty.
fn is_ours(folder: &Path) -> bool {
    let is_marked = [MARKER, MARKER_PARTIAL].iter().any(|marker| folder.join(marker).is_file());
    is_marked || std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

async fn write_tables(folder: &Path, scale: f64) -> Result<(), DemoError> {
    // The two large tables take most of the time: everything else is written beside them.
    let lineitem = spawn(folder, "lineitem", N_COMMITS, move |part, parts| {
        batches(
            arrow_tpch::LineItemArrow::new(tpch::LineItemGenerator::new(scale, part, parts))
                .with_batch_size(BATCH_ROWS),
        )
    });
    let orders = spawn(folder, "orders", N_COMMITS, move |part, parts| {
        batches(
            arrow_tpch::OrderArrow::new(tpch::OrderGenerator::new(scale, part, parts))
                .with_batch_size(BATCH_ROWS),
        )
    });
    let partsupp = spawn(folder, "partsupp", 1, move |part, parts| {
        batches(
            arrow_tpch::PartSuppArrow::new(tpch::PartSuppGenerator::new(scale, part, parts))
                .with_batch_size(BATCH_ROWS),
        )
    });
    let part = spawn(folder, "part", 1, move |part, parts| {
        batches(
            arrow_tpch::PartArrow::new(tpch::PartGenerator::new(scale, part, parts))
                .with_batch_size(BATCH_ROWS),
        )
    });
    let customer = spawn(folder, "customer", 1, move |part, parts| {
        batches(
            arrow_tpch::CustomerArrow::new(tpch::CustomerGenerator::new(scale, part, parts))
                .with_batch_size(BATCH_ROWS),
        )
    });
    let supplier = spawn(folder, "supplier", 1, move |part, parts| {
        batches(
            arrow_tpch::SupplierArrow::new(tpch::SupplierGenerator::new(scale, part, parts))
                .with_batch_size(BATCH_ROWS),
        )
    });
    let nation = spawn(folder, "nation", 1, move |part, parts| {
        batches(arrow_tpch::NationArrow::new(tpch::NationGenerator::new(scale, part, parts)))
    });
    let region = spawn(folder, "region", 1, move |part, parts| {
        batches(arrow_tpch::RegionArrow::new(tpch::RegionGenerator::new(scale, part, parts)))
    });
    for task in [lineitem, orders, partsupp, part, customer, supplier, nation, region] {
        task.await.map_err(|_| DemoError::Interrupted)??;
    }
    Ok(())
}

fn batches(
    generator: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static,
) -> Batches {
    Box::new(generator)
}

fn spawn(
    folder: &Path,
    table: &'static str,
    n_commits: i32,
    generate: impl Fn(i32, i32) -> Batches + Send + 'static,
) -> tokio::task::JoinHandle<Result<(), DemoError>> {
    let path = folder.join(table);
    tokio::spawn(async move { write_table(&path, table, n_commits, generate).await })
}

async fn write_table(
    path: &Path,
    table: &'static str,
    n_commits: i32,
    generate: impl Fn(i32, i32) -> Batches + Send,
) -> Result<(), DemoError> {
    let failed = |source| DemoError::Table { table, source };
    let invalid = || {
        let url = path.display().to_string();
        failed(CatalogError::InvalidLocation { url, reason: "not an absolute path".to_owned() })
    };
    let absolute = std::path::absolute(path).map_err(|_| invalid())?;
    let url = Url::from_directory_path(&absolute).map_err(|()| invalid())?;
    let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new());
    for commit in 1..=n_commits {
        let mut rows = generate(commit, n_commits).peekable();
        // Every part of every table has rows; a generator without any has no schema to write.
        let schema = match rows.peek() {
            Some(Ok(first)) => plain_strings(&first.schema()),
            Some(Err(_)) | None => return Err(DemoError::Generate { table, source: None }),
        };
        if commit == 1 {
            delta::write::create_table(store.as_ref(), &url, &schema, &[], &[])
                .await
                .map_err(failed)?;
        }
        // The writer takes batches only: the first error ends them and is looked at afterwards.
        let fault = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&fault);
        let rows = rows.map_while(move |batch| {
            let batch = batch.and_then(|batch| with_schema(&batch, &schema));
            batch.map_err(|error| *noted.lock() = Some(error)).ok()
        });
        delta::write::append(&store, &url, rows, FILE_ROWS).await.map_err(failed)?;
        if let Some(source) = fault.lock().take() {
            return Err(DemoError::Generate { table, source: Some(source) });
        }
    }
    Ok(())
}

/// Delta has one string type, which is read back as the engine likes it best.
fn plain_strings(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8View => Field::new(field.name(), DataType::Utf8, field.is_nullable()),
        _ => field.as_ref().clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Casts a batch to the types that Delta has.
fn with_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns: Result<Vec<_>, _> =
        columns.map(|(column, field)| cast(column, field.data_type())).collect();
    RecordBatch::try_new(Arc::clone(schema), columns?)
}
