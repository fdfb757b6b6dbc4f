//! What is learnt of one file when a table is opened.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ::object_store::ObjectMeta;
use arrow::datatypes::{Schema, SchemaRef, TimeUnit};
use datafusion::common::Statistics;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::parquet::{Int96Coercer, transform_schema_to_view};
use datafusion::error::DataFusionError;
use futures::FutureExt;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::footers::FooterCache;
use super::options::FileOptions;
use super::text::{self, CsvLayout};
use crate::discovery::Format;
use crate::object_store::Location;
use crate::{CatalogError, Result};

/// One file as it was when it was read.
#[derive(Debug)]
pub(super) struct Facts {
    /// The columns in the file, as a scan yields them.
    pub(super) schema: SchemaRef,
    /// What the footer of a Parquet file says about these columns.
    pub(super) statistics: Option<Statistics>,
    /// How a delimited text is written.
    pub(super) csv: Option<CsvLayout>,
}

/// How the files of a table are looked into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looking<'a> {
    pub(super) footers: &'a FooterCache,
    pub(super) folder: &'a Location,
    pub(super) format: Format,
    pub(super) options: &'a FileOptions,
    /// Of text only a sample of at most this much is read.
    pub(super) sample_bytes: usize,
}

impl Looking<'_> {
    /// Looks into a file.
    ///
    /// # Errors
    /// `Corrupt` names the file, also when a decoder panics; `Storage` when it cannot be read.
    pub(super) async fn read(self, file: &ObjectMeta) -> Result<Facts> {
        let looked = AssertUnwindSafe(self.look(file)).catch_unwind().await;
        let panicked = || Err(DataFusionError::Execution("it made the reader fail".into()));
        looked
            .unwrap_or_else(|_| panicked())
            .map_err(|error| read_error("", &self.folder.shown(&file.location), error))
    }

    async fn look(self, file: &ObjectMeta) -> Result<Facts, DataFusionError> {
        let Self { folder, options, sample_bytes, .. } = self;
        match self.format {
            Format::Parquet => {
                let footer =
                    self.footers.get(&folder.store_url, &folder.store, file, false).await?;
                let schema = Arc::new(parquet_schema(&footer)?);
                let statistics =
                    DFParquetMetadata::statistics_from_parquet_metadata(&footer, &schema)?;
                Ok(Facts { schema, statistics: Some(statistics), csv: None })
            }
            Format::Csv => {
                let sample = text::sample(&folder.store, file, sample_bytes, options).await?;
                let layout = text::csv_layout(&sample, file.location.as_ref(), options)?;
                Ok(Facts {
                    schema: Arc::clone(&layout.schema),
                    statistics: None,
                    csv: Some(layout),
                })
            }
            Format::Json => {
                let sample = text::sample(&folder.store, file, sample_bytes, options).await?;
                Ok(Facts { schema: text::json_schema(&sample)?, statistics: None, csv: None })
            }
            Format::Delta => Err(DataFusionError::Internal("a Delta table opened as files".into())),
        }
    }
}

fn parquet_schema(footer: &ParquetMetaData) -> Result<Schema, DataFusionError> {
    let file = footer.file_metadata();
    let descriptor = file.schema_descr();
    let schema = parquet_to_arrow_schema(descriptor, file.key_value_metadata())?;
    // INT96 has no unit: in nanoseconds dates after 2262 would wrap around.
    let coerced = Int96Coercer::new(descriptor, &schema, &TimeUnit::Microsecond).coerce();
    let schema = transform_schema_to_view(&coerced.unwrap_or(schema));
    Ok(Schema::new(schema.fields))
}

/// Tells trouble with the storage from trouble with the content, and names the file.
pub(super) fn read_error(table: &str, path: &str, error: DataFusionError) -> CatalogError {
    let root = error.find_root();
    if let DataFusionError::External(inner) = root
        && let Some(CatalogError::FileValue { code, what }) = inner.downcast_ref()
    {
        return CatalogError::FileValue { code, what: format!("{path}: {what}") };
    }
    match storage_cause(root) {
        Some(
            ::object_store::Error::Precondition { .. } | ::object_store::Error::NotFound { .. },
        ) => {
            let what = format!("{path} (replaced or removed while it was read)");
            CatalogError::Storage { what, source: Box::new(error) }
        }
        Some(_) => CatalogError::Storage { what: path.to_owned(), source: Box::new(error) },
        None => {
            let what = format!("{path}: {}", plain(root));
            CatalogError::Corrupt { table: table.to_owned(), what, source: Some(Box::new(error)) }
        }
    }
}

fn storage_cause(error: &DataFusionError) -> Option<&::object_store::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let boxed: Option<&Box<::object_store::Error>> = error.downcast_ref();
        if let Some(found) = boxed {
            return Some(found);
        }
        cause = match error.downcast_ref() {
            Some(ParquetError::External(inner)) => Some(inner.as_ref()),
            _ => error.source(),
        };
    }
    None
}

/// The message without the names of the crates that it passed through.
fn plain(error: &DataFusionError) -> String {
    let text = match error {
        DataFusionError::ArrowError(e, _) => e.to_string(),
        DataFusionError::ParquetError(e) => e.to_string(),
        other => other.message().into_owned(),
    };
    let prefixes = ["Csv error: ", "Json error: ", "Parser error: ", "Parquet error: ", "EOF: "];
    let stripped = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
    stripped.unwrap_or(&text).to_owned()
}
