//! The scan of delimited text and JSON.
//!
//! DataFusion's own sources match CSV columns by position, split files at line feeds even inside
//! quotes unless told otherwise, cannot split JSON arrays yet are asked to, and do not name the file
//! in an error. Here each file is one unit of work, read with its own layout, matched by name.

use std::sync::Arc;

use ::object_store::ObjectStore;
use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::csv::reader::{Decoder as CsvDecoder, ReaderBuilder as CsvReaderBuilder};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::reader::{Decoder as JsonDecoder, ReaderBuilder as JsonReaderBuilder};
use bytes::{Buf, Bytes};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileOpenFuture, FileOpener, FileScanConfig, FileSource,
};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::apply_expression_roots;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::facts::read_error;
use super::options::FileOptions;
use super::text::{self, ArrayOpener, CsvLayout};
use super::whole;
use crate::object_store::Location;

/// Bytes asked of the store at a time.
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;
/// Rows in a batch where DataFusion does not say.
const BATCH_ROWS: usize = 8192;

/// Reads files of delimited text, those with a [`CsvLayout`] attached, and JSON, all others.
#[derive(Debug, Clone)]
pub(super) struct TextSource {
    table: Arc<str>,
    location: Location,
    format: &'static str,
    schema: TableSchema,
    options: Arc<FileOptions>,
    projection: SplitProjection,
    batch_rows: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl TextSource {
    pub(super) fn new(
        table: Arc<str>,
        location: Location,
        format: &'static str,
        schema: TableSchema,
        options: Arc<FileOptions>,
    ) -> Self {
        Self {
            table,
            location,
            format,
            projection: SplitProjection::unprojected(&schema),
            schema,
            options,
            batch_rows: BATCH_ROWS,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl FileSource for TextSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        _config: &FileScanConfig,
        _partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let wanted = self.schema.file_schema().project(&self.projection.file_indices)?;
        let opener = TextOpener {
            store,
            table: Arc::clone(&self.table),
            location: self.location.clone(),
            options: Arc::clone(&self.options),
            schema: Arc::clone(self.schema.file_schema()),
            wanted: Arc::new(wanted),
            batch_rows: self.batch_rows,
        };
        let (projection, opener) = (self.projection.clone(), Arc::new(opener));
        ProjectionOpener::try_new(projection, opener, self.schema.file_schema())
    }

    fn table_schema(&self) -> &TableSchema {
        &self.schema
    }

    fn with_batch_size(&self, batch_rows: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_rows, ..self.clone() })
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.schema.file_schema(), &merged);
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        self.format
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.projection.source.iter(), visit)
    }

    fn supports_repartitioning(&self) -> bool {
        false
    }
}

struct TextOpener {
    store: Arc<dyn ObjectStore>,
    table: Arc<str>,
    location: Location,
    /// All columns of the table that are in files.
    schema: SchemaRef,
    /// Those that are read.
    wanted: SchemaRef,
    options: Arc<FileOptions>,
    batch_rows: usize,
}

impl FileOpener for TextOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let path = self.location.shown(&file.object_meta.location);
        let table = Arc::clone(&self.table);
        let content = text::content(&self.store, &file.object_meta, CHUNK_BYTES, &self.options)?;
        let decoder = match file.extension::<CsvLayout>() {
            Some(layout) => Decoder::Csv(Box::new(self.csv_decoder(layout))),
            None => {
                let builder = JsonReaderBuilder::new(whole::as_written(&self.wanted));
                let builder = builder.with_batch_size(self.batch_rows).with_coerce_primitive(true);
                Decoder::Json(ArrayOpener::default(), Box::new(builder.build_decoder()?))
            }
        };
        let wanted = Arc::clone(&self.wanted);
        let batches = batches(content, decoder)
            .and_then(move |batch| futures::future::ready(conform(&batch, &wanted)))
            .map_err(move |error| read_error(&table, &path, error).into());
        Ok(futures::future::ready(Ok(batches.boxed())).boxed())
    }
}

impl TextOpener {
    /// A decoder for the wanted columns that the file has, in the order of the file.
    fn csv_decoder(&self, layout: &CsvLayout) -> CsvDecoder {
        let typed = |field: &Arc<Field>| {
            // The table's type can be wider than the one guessed from this file.
            let known = self.schema.field_with_name(field.name());
            known.map_or_else(|_| field.as_ref().clone(), Clone::clone).with_nullable(true)
        };
        let fields: Vec<Field> = layout.schema.fields().iter().map(typed).collect();
        let has = |(_, field): &(usize, &Field)| self.wanted.index_of(field.name()).is_ok();
        let present = fields.iter().enumerate().filter(has).map(|(index, _)| index).collect();
        self.options
            .apply(CsvReaderBuilder::new(Arc::new(Schema::new(fields))))
            .with_header(layout.header)
            .with_delimiter(layout.delimiter)
            .with_batch_size(self.batch_rows)
            .with_projection(present)
            .build_decoder()
    }
}

/// Orders columns as wanted and fills in those that the file lacks.
fn conform(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) => whole::numbers(column, field),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    };
    let columns = wanted.fields().iter().map(column).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(wanted), columns, &options)?)
}

enum Decoder {
    Csv(Box<CsvDecoder>),
    Json(ArrayOpener, Box<JsonDecoder>),
}

impl Decoder {
    /// Prepares a chunk; the first one may start with a byte order mark.
    fn prepare(&mut self, mut chunk: Bytes, first: bool) -> Bytes {
        match self {
            Self::Csv(_) if first && chunk.starts_with(b"\xef\xbb\xbf") => {
                chunk.advance(3);
                chunk
            }
            Self::Csv(_) => chunk,
            Self::Json(opener, _) => {
                let mut bytes = Vec::from(chunk);
                opener.open(&mut bytes);
                bytes.into()
            }
        }
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<usize, ArrowError> {
        match self {
            Self::Csv(decoder) => decoder.decode(bytes),
            Self::Json(_, decoder) => decoder.decode(bytes),
        }
    }

    fn flush(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        match self {
            Self::Csv(decoder) => decoder.flush().map_err(one_based),
            Self::Json(_, decoder) => decoder.flush(),
        }
    }
}

/// Corrects the line in a message: arrow-csv 59.3 counts the lines of values it cannot parse from 0.
fn one_based(error: ArrowError) -> ArrowError {
    const BEFORE: &str = " at line ";
    let ArrowError::ParseError(message) = &error else { return error };
    let Some((head, tail)) = message.split_once(BEFORE) else { return error };
    let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
    let (number, rest) = tail.split_at(end);
    match number.parse::<u64>() {
        Ok(line) => ArrowError::ParseError(format!("{head}{BEFORE}{}{rest}", line + 1)),
        Err(_) => error,
    }
}

struct Reading {
    content: BoxStream<'static, Result<Bytes>>,
    decoder: Decoder,
    chunk: Bytes,
    first: bool,
    ended: bool,
}

fn batches(
    content: BoxStream<'static, Result<Bytes>>,
    decoder: Decoder,
) -> BoxStream<'static, Result<RecordBatch>> {
    let reading = Reading { content, decoder, chunk: Bytes::new(), first: true, ended: false };
    futures::stream::try_unfold(reading, |mut reading| async move {
        loop {
            if reading.chunk.is_empty() && !reading.ended {
                match reading.content.try_next().await? {
                    Some(chunk) => {
                        reading.chunk = reading.decoder.prepare(chunk, reading.first);
                        reading.first = false;
                    }
                    None => reading.ended = true,
                }
                if reading.chunk.is_empty() && !reading.ended {
                    continue;
                }
            }
            // Decoding nothing tells the decoder that the last record is whole.
            let n_bytes = reading.decoder.decode(&reading.chunk)?;
            reading.chunk.advance(n_bytes);
            if n_bytes > 0 {
                continue;
            }
            match reading.decoder.flush()? {
                Some(batch) => return Ok(Some((batch, reading))),
                None if reading.ended && reading.chunk.is_empty() => return Ok(None),
                None => {
                    let what = "the reader stopped before the end".to_owned();
                    return Err(ArrowError::ParseError(what).into());
                }
            }
        }
    })
    .boxed()
}
