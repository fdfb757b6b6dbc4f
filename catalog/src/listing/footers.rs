//! Parquet footers, read once for each state of a file.
//!
//! DataFusion 55.2 keys its own footer cache by path alone: two buckets with equal keys share an
//! entry, and a file replaced within a second by one of equal size keeps the old footer. Here the
//! key is store, path, size, entity tag and time; each read asks for the tag that the pin saw.
//!
//! Upper bounds of floating point columns are taken out of a footer before anybody sees it: writers
//! leave NaN out of them, which is the greatest value in SQL, so that row groups and pages with
//! NaN would be passed over (parquet-format, `ColumnOrder`: "if the max is used, NaN may be there").

use std::fmt;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ::object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, coalesce_ranges,
};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::{
    ColumnStatistics, ScalarValue, Statistics as TableStatistics, stats::Precision,
};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use moka::future::Cache;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::basic::{LogicalType, Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescriptor;

/// Bytes read from the end of a file in the hope that the footer is in them.
const FOOTER_BYTES_GUESSED: usize = 64 * 1024;
/// Reads closer to each other than this become one request.
const GAP_BYTES_READ: u64 = 1024 * 1024;

/// Footers of Parquet files by identity, the least used dropped above a limit in bytes.
///
/// A clone is another handle to the same cache; one read serves all who wait for it.
#[derive(Clone)]
pub struct FooterCache {
    entries: Cache<FooterKey, Arc<ParquetMetaData>>,
}

impl fmt::Debug for FooterCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FooterCache").field("n_entries", &self.entries.entry_count()).finish()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FooterKey {
    store: String,
    path: String,
    size: u64,
    e_tag: Option<String>,
    modified_us: i64,
    with_page_index: bool,
}

impl FooterCache {
    /// Makes an empty cache.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        let weight = |_: &FooterKey, footer: &Arc<ParquetMetaData>| {
            u32::try_from(footer.memory_size()).unwrap_or(u32::MAX)
        };
        Self { entries: Cache::builder().max_capacity(bytes_max).weigher(weight).build() }
    }

    /// Returns the footer of a file, with the index of its pages if asked for.
    ///
    /// # Errors
    /// What the store or the decoder says; a panic of the decoder becomes an error.
    pub async fn get(
        &self,
        store_url: &ObjectStoreUrl,
        store: &Arc<dyn ObjectStore>,
        file: &ObjectMeta,
        with_page_index: bool,
    ) -> DataFusionResult<Arc<ParquetMetaData>> {
        let key = FooterKey {
            store: store_url.to_string(),
            path: file.location.to_string(),
            size: file.size,
            e_tag: file.e_tag.clone(),
            modified_us: file.last_modified.timestamp_micros(),
            with_page_index,
        };
        let read = read_footer(Arc::clone(store), file.clone(), with_page_index);
        self.entries.try_get_with(key, read).await.map_err(DataFusionError::Shared)
    }
}

async fn read_footer(
    store: Arc<dyn ObjectStore>,
    file: ObjectMeta,
    with_page_index: bool,
) -> DataFusionResult<Arc<ParquetMetaData>> {
    let policy = if with_page_index { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
    let metadata = DFParquetMetadata::new(store.as_ref(), &file)
        .with_metadata_size_hint(Some(FOOTER_BYTES_GUESSED))
        .with_page_index_policy(Some(policy));
    let fetched = AssertUnwindSafe(metadata.fetch_metadata()).catch_unwind().await;
    let footer = fetched.unwrap_or_else(|_| {
        Err(ParquetError::General("the footer made the decoder fail".into()).into())
    })?;
    Ok(without_float_maxima(footer)?)
}

/// Takes out what would rule out NaN: upper bounds of row groups, and the bounds of pages.
fn without_float_maxima(
    footer: Arc<ParquetMetaData>,
) -> Result<Arc<ParquetMetaData>, ParquetError> {
    let columns = footer.file_metadata().schema_descr().columns();
    let is_float: Vec<bool> = columns.iter().map(|column| has_nan(column)).collect();
    if !is_float.contains(&true) {
        return Ok(footer);
    }
    let mut builder = Arc::unwrap_or_clone(footer).into_builder();
    let mut row_groups = Vec::new();
    for row_group in builder.take_row_groups() {
        let columns = row_group.columns().iter().zip(&is_float);
        let columns = columns.map(|(column, is_float)| match is_float {
            true => without_maximum(column.clone()),
            false => Ok(column.clone()),
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        row_groups.push(row_group.into_builder().set_column_metadata(columns).build()?);
    }
    let index = builder.take_column_index().map(|mut row_groups| {
        for columns in &mut row_groups {
            for (column, _) in columns.iter_mut().zip(&is_float).filter(|(_, is_float)| **is_float)
            {
                *column = ColumnIndexMetaData::NONE;
            }
        }
        row_groups
    });
    Ok(Arc::new(builder.set_row_groups(row_groups).set_column_index(index).build()))
}

fn has_nan(column: &ColumnDescriptor) -> bool {
    matches!(column.physical_type(), Type::FLOAT | Type::DOUBLE)
        || matches!(column.logical_type_ref(), Some(LogicalType::Float16))
}

fn without_maximum(column: ColumnChunkMetaData) -> Result<ColumnChunkMetaData, ParquetError> {
    let statistics = column.statistics().map(|statistics| match statistics {
        Statistics::Float(s) => Statistics::float(
            s.min_opt().copied(),
            None,
            s.distinct_count(),
            s.null_count_opt(),
            false,
        ),
        Statistics::Double(s) => Statistics::double(
            s.min_opt().copied(),
            None,
            s.distinct_count(),
            s.null_count_opt(),
            false,
        ),
        Statistics::FixedLenByteArray(s) => Statistics::fixed_len_byte_array(
            s.min_opt().cloned(),
            None,
            s.distinct_count(),
            s.null_count_opt(),
            false,
        ),
        other => other.clone(),
    });
    // Without a place the index is not read later on either, by a scan that asks for it itself.
    let column = column.into_builder().set_column_index_offset(None).set_column_index_length(None);
    match statistics {
        Some(statistics) => column.set_statistics(statistics).build(),
        None => column.build(),
    }
}

/// Makes readers that take footers from a [`FooterCache`] and refuse files replaced since the pin.
#[derive(Debug)]
pub struct FooterReaderFactory {
    store: Arc<dyn ObjectStore>,
    store_url: ObjectStoreUrl,
    footers: FooterCache,
    with_page_index: bool,
}

impl FooterReaderFactory {
    /// Makes a factory for one scan; `with_page_index` where a predicate can use the index.
    #[must_use]
    pub fn new(
        store: Arc<dyn ObjectStore>,
        store_url: ObjectStoreUrl,
        footers: FooterCache,
        with_page_index: bool,
    ) -> Self {
        Self { store, store_url, footers, with_page_index }
    }
}

impl ParquetFileReaderFactory for FooterReaderFactory {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> DataFusionResult<Box<dyn AsyncFileReader + Send>> {
        let path = file.object_meta.location.as_ref();
        Ok(Box::new(FooterReader {
            metrics: ParquetFileMetrics::new(partition_index, path, metrics),
            store: Arc::clone(&self.store),
            store_url: self.store_url.clone(),
            footers: self.footers.clone(),
            with_page_index: self.with_page_index,
            file: file.object_meta,
        }))
    }
}

struct FooterReader {
    metrics: ParquetFileMetrics,
    store: Arc<dyn ObjectStore>,
    store_url: ObjectStoreUrl,
    footers: FooterCache,
    with_page_index: bool,
    file: ObjectMeta,
}

impl FooterReader {
    fn count(&self, n_bytes: u64) {
        self.metrics.bytes_scanned.add(usize::try_from(n_bytes).unwrap_or(usize::MAX));
    }
}

impl AsyncFileReader for FooterReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        self.count(range.end.saturating_sub(range.start));
        let read = read_range(&self.store, &self.file, range);
        async move { read.await.map_err(|e| ParquetError::External(Box::new(e))) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        self.count(ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum());
        async move {
            let (store, file) = (&self.store, &self.file);
            let read = |range| read_range(store, file, range);
            let all = if self.store_url.as_str().starts_with("file:") {
                read_local_ranges(store, file, &ranges).await
            } else {
                coalesce_ranges(&ranges, read, GAP_BYTES_READ).await
            };
            all.map_err(|e| ParquetError::External(Box::new(e)))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let footer =
                self.footers.get(&self.store_url, &self.store, &self.file, self.with_page_index);
            footer.await.map_err(|e| ParquetError::External(Box::new(e)))
        }
        .boxed()
    }
}

/// Reads a part of a file, provided that it is still the file that was listed.
pub(super) async fn read_range(
    store: &Arc<dyn ObjectStore>,
    file: &ObjectMeta,
    range: Range<u64>,
) -> ::object_store::Result<Bytes> {
    // A weak tag never satisfies If-Match (RFC 9110, section 13.1.1).
    let if_match = file.e_tag.clone().filter(|tag| !tag.starts_with("W/"));
    let range = Some(GetRange::Bounded(range));
    let options = GetOptions { if_match, range, ..GetOptions::default() };
    store.get_opts(&file.location, options).await?.bytes().await
}

/// Reads parts of a file on disk, where skipping over gaps is cheaper than reading them.
async fn read_local_ranges(
    store: &Arc<dyn ObjectStore>,
    file: &ObjectMeta,
    ranges: &[Range<u64>],
) -> ::object_store::Result<Vec<Bytes>> {
    let all = store.get_ranges(&file.location, ranges).await?;
    if file.e_tag.is_none() {
        return Ok(all);
    }
    let now = store.head(&file.location).await?;
    if now.e_tag == file.e_tag {
        return Ok(all);
    }
    Err(::object_store::Error::Precondition {
        path: file.location.to_string(),
        source: "the file was replaced".into(),
    })
}

/// Translates the statistics of a file to the columns of its table, matched by name.
///
/// A column that the file lacks is all NULL; a bound of another type is cast or dropped.
pub(super) fn aligned(
    own: &TableStatistics,
    file: &SchemaRef,
    table: &SchemaRef,
) -> TableStatistics {
    let column = |field: &Arc<arrow::datatypes::Field>| {
        let Ok(index) = file.index_of(field.name()) else {
            return ColumnStatistics::new_unknown().with_null_count(own.num_rows);
        };
        let mut column = own.column_statistics.get(index).cloned().unwrap_or_default();
        if field.data_type().is_floating() {
            // Writers leave NaN out of the bounds, yet it is the greatest value in SQL.
            column.min_value = column.min_value.to_inexact();
            column.max_value = column.max_value.to_inexact();
        }
        if file.field(index).data_type() != field.data_type() {
            let cast = |bound: Precision<ScalarValue>| {
                bound.cast_to(field.data_type()).unwrap_or(Precision::Absent)
            };
            column.min_value = cast(column.min_value);
            column.max_value = cast(column.max_value);
            column.sum_value = Precision::Absent;
            column.byte_size = Precision::Absent;
        }
        column
    };
    let column_statistics = table.fields().iter().map(column).collect();
    let (num_rows, total_byte_size) = (own.num_rows, own.total_byte_size);
    TableStatistics { num_rows, total_byte_size, column_statistics }
}
