//! A row for each version of a table.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;
use serde_json::Value;

use super::commits::Commit;
use crate::delta::DeltaTable;
use crate::pg_type::{Json, json_type};
use crate::{CatalogError, Result};

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let column = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        column("version", DataType::Int64),
        column("timestamp", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        column("user_name", DataType::Utf8),
        column("operation", DataType::Utf8),
        column("operation_parameters", json_type(Json::Text)),
        column("operation_metrics", json_type(Json::Text)),
        column("read_version", DataType::Int64),
        column("isolation_level", DataType::Utf8),
        column("is_blind_append", DataType::Boolean),
        column("user_metadata", DataType::Utf8),
        column("engine_info", DataType::Utf8),
        column("txn_id", DataType::Utf8),
    ]))
});

/// The columns of [`versions_batch`].
#[must_use]
pub fn versions_schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// The versions of a table that its log still tells of, newest first: at most `n_max` of them,
/// none above `newest`.
///
/// # Errors
/// `Storage`, and `Corrupt` for a commit that cannot be parsed.
pub fn versions_batch(
    table: &Arc<DeltaTable>,
    newest: u64,
    n_max: Option<usize>,
) -> BoxFuture<'static, Result<RecordBatch>> {
    let table = Arc::clone(table);
    Box::pin(async move { batch_of(&table.commit_infos(newest, n_max).await?) })
}

fn batch_of(commits: &[Commit]) -> Result<RecordBatch> {
    let get = |commit: &Commit, name: &str| commit.info.as_ref()?.get(name).cloned();
    let text = |names: &'static [&'static str]| -> ArrayRef {
        let value = |commit: &Commit| {
            names.iter().find_map(|name| get(commit, name)).and_then(|value| match value {
                Value::String(text) => Some(text),
                Value::Null => None,
                other => Some(other.to_string()),
            })
        };
        Arc::new(commits.iter().map(value).collect::<StringArray>())
    };
    let json = |name: &str| -> Result<ArrayRef> {
        let value = |commit: &Commit| {
            get(commit, name).filter(|value| !value.is_null()).map(|value| value.to_string())
        };
        let texts: StringArray = commits.iter().map(value).collect();
        let DataType::Struct(fields) = json_type(Json::Text) else {
            return Err(CatalogError::Internal { what: "json is no struct".to_owned() });
        };
        let nulls = arrow::array::Array::nulls(&texts).cloned();
        let array = StructArray::try_new(fields, vec![Arc::new(texts)], nulls);
        Ok(Arc::new(array.map_err(|error| CatalogError::Internal { what: error.to_string() })?))
    };
    let version = commits.iter().map(|commit| i64::try_from(commit.version).unwrap_or(i64::MAX));
    let micros = commits.iter().map(|commit| commit.timestamp_ms.saturating_mul(1_000));
    let read_version = commits.iter().map(|c| get(c, "readVersion").and_then(|v| v.as_i64()));
    let blind = commits.iter().map(|c| get(c, "isBlindAppend").and_then(|v| v.as_bool()));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(version)),
        Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC")),
        text(&["userName", "userId"]),
        text(&["operation"]),
        json("operationParameters")?,
        json("operationMetrics")?,
        Arc::new(read_version.collect::<Int64Array>()),
        text(&["isolationLevel"]),
        Arc::new(blind.collect::<BooleanArray>()),
        text(&["userMetadata"]),
        // delta-rs before 1.0 named itself in an entry of its own.
        text(&["engineInfo", "clientVersion"]),
        text(&["txnId"]),
    ];
    RecordBatch::try_new(versions_schema(), columns)
        .map_err(|error| CatalogError::Internal { what: error.to_string() })
}

impl DeltaTable {
    /// The versions up to one as a relation, newest first; the log is read when it is scanned.
    #[must_use]
    pub fn versions(self: &Arc<Self>, newest: u64) -> Arc<dyn TableProvider> {
        Arc::new(VersionsTable { table: Arc::clone(self), newest })
    }
}

/// The versions of one table.
#[derive(Debug)]
struct VersionsTable {
    table: Arc<DeltaTable>,
    newest: u64,
}

// Written by hand: see `DeltaSnapshot`.
impl TableProvider for VersionsTable {
    fn schema(&self) -> SchemaRef {
        versions_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        _state: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        _filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'async_trait, datafusion::common::Result<Arc<dyn ExecutionPlan>>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        let batch = versions_batch(&self.table, self.newest, limit);
        Box::pin(async move {
            let batch = batch.await?;
            let plan = MemorySourceConfig::try_new_exec(
                &[vec![batch]],
                versions_schema(),
                projection.cloned(),
            )?;
            let plan: Arc<dyn ExecutionPlan> = plan;
            Ok(plan)
        })
    }
}
