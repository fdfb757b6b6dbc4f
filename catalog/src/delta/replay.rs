//! The only calls into the kernel.
//!
//! The kernel's API blocks and some of its parsers panic on damaged input, so every call runs as a
//! blocking task of one small runtime: a panic ends that task and comes back as an error.

use std::fmt;
use std::num::NonZero;
use std::sync::{Arc, OnceLock};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::Schema;
use delta_kernel::checkpoint::{CheckpointSpec, V2CheckpointConfig};
use delta_kernel::engine::arrow_data::EngineDataArrowExt;
use delta_kernel::history_manager::{HistoryCommitType, get_earliest_commit, latest_version_as_of};
use delta_kernel::scan::{PartitionValuesOptions, StatsOptions};
use delta_kernel::snapshot::{CheckpointWriteResult, Snapshot, SnapshotRef};
use delta_kernel::{DeltaResult, Engine, Error as KernelError};
use delta_kernel_default_engine::DefaultEngineBuilder;
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use object_store::ObjectStore;
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::metadata::TableMetadata;
use crate::object_store::PromptReads;
use crate::{CatalogError, Result};

/// Columns of the kernel's scan rows that the file index is built from. The raw statistics text and
/// the partition strings are dropped: their typed forms are what is kept.
const SCAN_COLUMNS: [&str; 6] = [
    "path",
    "size",
    "modificationTime",
    "deletionVector",
    "stats_parsed",
    "partitionValues_parsed",
];

/// Files of a log that are read ahead, each of which memory may hold.
const FILES_AT_A_TIME_MAX: NonZero<usize> = NonZero::new(64).unwrap();

/// Reads the log of one table.
pub(super) struct LogReader {
    table: String,
    url: Url,
    engine: Arc<dyn Engine>,
    runtime: &'static Runtime,
}

impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl LogReader {
    /// `url` must end with a slash.
    pub(super) fn try_new(table: &str, url: &Url, store: Arc<dyn ObjectStore>) -> Result<Self> {
        let runtime = log_runtime()?;
        let executor = Arc::new(TokioMultiThreadExecutor::new(runtime.handle().clone()));
        // The engine sends its requests for all files and takes the answers one by one.
        let store: Arc<dyn ObjectStore> = match url.scheme() {
            "file" | "memory" => store,
            _ => Arc::new(PromptReads::new(store, runtime.handle().clone())),
        };
        let engine = DefaultEngineBuilder::new(store)
            .with_task_executor(executor)
            .with_buffer_size(FILES_AT_A_TIME_MAX)
            .build();
        Ok(Self { table: table.to_owned(), url: url.clone(), engine: Arc::new(engine), runtime })
    }

    /// The newest version; with an older snapshot, only the commits after it are read.
    pub(super) async fn latest(&self, previous: Option<SnapshotRef>) -> Result<SnapshotRef> {
        let url = self.url.clone();
        self.run(move |engine| match previous {
            Some(previous) => Snapshot::builder_from(previous).build(engine),
            None => Snapshot::builder_for(url).build(engine),
        })
        .await
    }

    /// The table as of a version that is known to be below the newest.
    pub(super) async fn at_version(&self, version: u64) -> Result<SnapshotRef> {
        let url = self.url.clone();
        self.run(move |engine| Snapshot::builder_for(url).at_version(version).build(engine)).await
    }

    /// A newer version, of which only the commits after a former one are read.
    pub(super) async fn advanced(
        &self,
        previous: SnapshotRef,
        version: u64,
    ) -> Result<SnapshotRef> {
        self.run(move |engine| Snapshot::builder_from(previous).at_version(version).build(engine))
            .await
    }

    /// The newest version committed at or before an instant; `None` when there is none.
    pub(super) async fn version_as_of(
        &self,
        latest: SnapshotRef,
        instant_ms: i64,
    ) -> Result<Option<u64>> {
        self.run(move |engine| {
            let kind = HistoryCommitType::Recreatable;
            match latest_version_as_of(&latest, engine, instant_ms, kind) {
                Ok(commit) => Ok(Some(commit.version)),
                Err(error) if is_out_of_range(&error) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// The oldest version that can still be rebuilt.
    pub(super) async fn earliest(&self) -> Result<u64> {
        let log = self.url.join("_delta_log/").map_err(|error| CatalogError::InvalidLocation {
            url: self.url.to_string(),
            reason: error.to_string(),
        })?;
        self.run(move |engine| {
            get_earliest_commit(engine, &log, None, HistoryCommitType::Recreatable)
        })
        .await
    }

    /// When a version was committed, in milliseconds since 1970.
    pub(super) async fn committed_at_ms(&self, snapshot: SnapshotRef) -> Result<i64> {
        self.run(move |engine| snapshot.get_timestamp(engine)).await
    }

    /// Writes a checkpoint; false if there is one.
    pub(super) async fn write_checkpoint(
        &self,
        snapshot: SnapshotRef,
        has_sidecars: bool,
    ) -> Result<(bool, SnapshotRef)> {
        self.run(move |engine| {
            let form =
                has_sidecars.then_some(CheckpointSpec::V2(V2CheckpointConfig::WithSidecar {
                    file_actions_per_sidecar_hint: None,
                }));
            let (done, snapshot) = snapshot.checkpoint(engine, form.as_ref())?;
            Ok((matches!(done, CheckpointWriteResult::Written), snapshot))
        })
        .await
    }

    /// The add actions of a version as one batch, with typed statistics and partition values.
    pub(super) async fn live_files(&self, snapshot: SnapshotRef) -> Result<RecordBatch> {
        let version = snapshot.version();
        let typed = {
            let snapshot = Arc::clone(&snapshot);
            self.run(move |engine| scan_rows(&snapshot, engine, StatsOptions::all_struct())).await
        };
        match typed {
            Ok(batch) => Ok(batch),
            // Storage that does not answer would not answer twice as many requests either.
            Err(error @ CatalogError::Storage { .. }) => Err(error),
            Err(error) => {
                // Statistics are an aid: a writer that logged one of a wrong type must not hide the
                // table. When the log itself is damaged this fails as well.
                let batch = self
                    .run(move |engine| scan_rows(&snapshot, engine, StatsOptions::none()))
                    .await?;
                tracing::debug!(
                    table = self.table, version, %error, "log statistics are unreadable, not used"
                );
                Ok(batch)
            }
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Engine) -> DeltaResult<T> + Send + 'static,
    ) -> Result<T> {
        let engine = Arc::clone(&self.engine);
        match self.runtime.spawn_blocking(move || call(engine.as_ref())).await {
            Ok(result) => result.map_err(|error| kernel_error(&self.table, error)),
            Err(_) => Err(CatalogError::Corrupt {
                table: self.table.clone(),
                what: "the log has a form that cannot be parsed".to_owned(),
                source: None,
            }),
        }
    }
}

/// Threads of the kernel's reads, apart from queries so that neither starves the other.
pub(super) fn log_runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("tarn-delta-log")
                .enable_all()
                .build()
                .ok()
        })
        .as_ref()
        .ok_or_else(|| CatalogError::Internal {
            what: "no threads for reading table logs".to_owned(),
        })
}

fn scan_rows(
    snapshot: &SnapshotRef,
    engine: &dyn Engine,
    stats: StatsOptions,
) -> DeltaResult<RecordBatch> {
    let scan = Arc::clone(snapshot)
        .scan_builder()
        .with_stats(stats)
        .with_partition_values(PartitionValuesOptions::with_struct())
        .without_row_transforms()
        .build()?;
    let mut batches = Vec::new();
    for metadata in scan.scan_metadata(engine)? {
        let (data, mut selected) = metadata?.scan_files.into_parts();
        let batch = data.try_into_record_batch()?;
        selected.resize(batch.num_rows(), true);
        let kept: Vec<usize> =
            SCAN_COLUMNS.iter().filter_map(|name| batch.schema_ref().index_of(name).ok()).collect();
        let batch = batch.project(&kept)?;
        batches.push(filter_record_batch(&batch, &BooleanArray::from(selected))?);
    }
    match batches.first() {
        Some(first) => Ok(concat_batches(&first.schema(), &batches)?),
        None => Ok(RecordBatch::new_empty(Arc::new(Schema::empty()))),
    }
}

/// The version's `metaData` and `protocol` actions.
pub(super) fn table_metadata(table: &str, snapshot: &Snapshot) -> Result<TableMetadata> {
    let configuration = snapshot.table_configuration();
    let value = |json: serde_json::Result<serde_json::Value>| {
        json.map_err(|error| CatalogError::Internal { what: error.to_string() })
    };
    let meta = value(serde_json::to_value(configuration.metadata()))?;
    let protocol = value(serde_json::to_value(configuration.protocol()))?;
    TableMetadata::from_actions(table, Some(&meta), Some(&protocol), None)
}

fn is_out_of_range(error: &KernelError) -> bool {
    use delta_kernel::history_manager::error::LogHistoryError;
    match error {
        KernelError::Backtraced { source, .. } => is_out_of_range(source),
        KernelError::LogHistory(cause) => {
            matches!(cause.as_ref(), LogHistoryError::TimestampOutOfRange { .. })
        }
        _ => false,
    }
}

fn kernel_error(table: &str, error: KernelError) -> CatalogError {
    let table_name = table.to_owned();
    match error {
        KernelError::Backtraced { source, .. } => kernel_error(table, *source),
        KernelError::Unsupported(message) => CatalogError::UnsupportedFeature {
            table: table_name,
            format: "delta",
            feature: feature_name(&message),
        },
        KernelError::ObjectStore(source) => CatalogError::Storage {
            what: format!("the log of table \"{table}\""),
            source: Box::new(source),
        },
        KernelError::IOError(source) => CatalogError::Storage {
            what: format!("the log of table \"{table}\""),
            source: Box::new(source),
        },
        KernelError::FileNotFound(path) => CatalogError::Corrupt {
            table: table_name,
            what: format!("file {path} of the log is missing"),
            source: None,
        },
        other => CatalogError::Corrupt { table: table_name, what: other.to_string(), source: None },
    }
}

/// The feature the kernel refused: `Feature 'x' is not supported` names it in quotes.
fn feature_name(message: &str) -> String {
    message.split('\'').nth(1).unwrap_or(message).to_owned()
}
