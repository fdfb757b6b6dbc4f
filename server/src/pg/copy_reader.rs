//! The bytes of COPY FROM in PostgreSQL's binary form to batches of rows.
//!
//! Text and CSV are read in `copy_in`.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::scalar::ScalarValue;
use tarn_catalog::pg_type::pg_type_of;

use super::params::decode_parameter_in;
use super::rows::Format;
use crate::copy_in::CopyIn;
use crate::error::{Error, Result};
use tarn_planner::calendar::Zone;

/// Rows of one batch.
const N_ROWS_PER_BATCH: usize = 8_192;

/// What a binary file begins with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Reads one COPY.
pub(super) struct CopyReader {
    table: String,
    schema: SchemaRef,
    oids: Vec<u32>,
    zone: Zone,
    /// Bytes of a binary file that are no whole row yet.
    rest: Vec<u8>,
    binary: Binary,
    n_lines: u64,
    values: Vec<Vec<ScalarValue>>,
    batches: Vec<RecordBatch>,
    n_bytes: usize,
    bytes_max: usize,
    /// Whether the limit is for all rows, not only for what waits.
    is_gathered: bool,
    is_done: bool,
}

/// Where a binary file has been read to.
#[derive(PartialEq, Eq)]
enum Binary {
    Header,
    Rows,
}

impl CopyReader {
    pub(super) fn new(copy: &CopyIn, zone: Zone) -> Self {
        let reader = Self::of(Arc::clone(copy.schema()), zone);
        Self {
            table: copy.table().to_owned(),
            bytes_max: copy.bytes_max(),
            is_gathered: copy.is_gathered(),
            ..reader
        }
    }

    /// Reads rows of these columns into at most a megabyte.
    pub(super) fn of(schema: SchemaRef, zone: Zone) -> Self {
        let oids: Vec<u32> = schema.fields().iter().map(|field| pg_type_of(field).oid).collect();
        Self {
            table: String::new(),
            values: vec![Vec::new(); oids.len()],
            schema,
            oids,
            zone,
            rest: Vec::new(),
            binary: Binary::Header,
            n_lines: 0,
            batches: Vec::new(),
            n_bytes: 0,
            bytes_max: 1 << 20,
            is_gathered: true,
            is_done: false,
        }
    }

    /// Takes the bytes of one message, which may end anywhere.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.is_done {
            return Ok(());
        }
        self.rest.extend_from_slice(bytes);
        self.check_size(self.rest.len())?;
        self.read_binary()
    }

    /// The rows that are whole.
    pub(super) fn take_batches(&mut self) -> Vec<RecordBatch> {
        if !self.is_gathered {
            self.n_bytes = 0;
        }
        std::mem::take(&mut self.batches)
    }

    /// The rest of the rows, when everything was sent.
    pub(super) fn finish(mut self) -> Result<Vec<RecordBatch>> {
        if !self.is_done && (self.binary != Binary::Rows || !self.rest.is_empty()) {
            let message = match self.binary {
                Binary::Header => "COPY file signature not recognized",
                Binary::Rows => "unexpected EOF in COPY data",
            };
            return Err(self.error("22P04", message));
        }
        self.close_batch()?;
        Ok(self.batches)
    }

    fn check_size(&self, n_pending: usize) -> Result<()> {
        if self.n_bytes + n_pending <= self.bytes_max {
            return Ok(());
        }
        let message = format!("COPY would take more than {} bytes of memory", self.bytes_max);
        Err(self.error("53400", message))
    }

    fn decode(&self, column: usize, bytes: Option<&[u8]>) -> Result<ScalarValue> {
        let oid = self.oids.get(column).copied().unwrap_or(25);
        let field = self.schema.field(column);
        let failed = |code, message: String| {
            let (table, line, name) = (&self.table, self.n_lines, field.name());
            let context = format!("COPY {table}, line {line}, column {name}");
            Error::CopyData { code, message, context }
        };
        let value = decode_parameter_in(oid, Format::Binary, bytes, &self.zone)
            .map_err(|error| failed(error.code, error.message))?;
        if value.data_type() == *field.data_type() {
            return Ok(value);
        }
        value.cast_to(field.data_type()).map_err(|error| {
            let message = match pg_type_of(field).oid {
                1700 => "numeric field overflow".to_owned(),
                _ => error.find_root().message().into_owned(),
            };
            failed("22003", message)
        })
    }

    fn row_is_complete(&mut self) -> Result<()> {
        if self.values.first().is_some_and(|values| values.len() >= N_ROWS_PER_BATCH) {
            self.close_batch()?;
        }
        Ok(())
    }

    fn close_batch(&mut self) -> Result<()> {
        let n_rows = self.values.first().map_or(0, Vec::len);
        if n_rows == 0 {
            return Ok(());
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.values.len());
        for values in &mut self.values {
            let values = std::mem::take(values);
            let array = ScalarValue::iter_to_array(values);
            columns.push(array.map_err(|error| Error::Internal { what: error.to_string() })?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
        let fields = self.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
        let schema = arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
        let batch = RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)
            .map_err(|error| Error::Internal { what: error.to_string() })?;
        self.n_bytes += batch.get_array_memory_size();
        self.check_size(0)?;
        self.batches.push(batch);
        Ok(())
    }

    fn error(&self, code: &'static str, message: impl Into<String>) -> Error {
        let context = format!("COPY {}, line {}", self.table, self.n_lines.max(1));
        Error::CopyData { code, message: message.into(), context }
    }

    fn read_binary(&mut self) -> Result<()> {
        let rest = std::mem::take(&mut self.rest);
        let mut at = 0;
        if self.binary == Binary::Header {
            match self.binary_header(&rest)? {
                Some(n_bytes) => {
                    at = n_bytes;
                    self.binary = Binary::Rows;
                }
                None => {
                    self.rest = rest;
                    return Ok(());
                }
            }
        }
        while !self.is_done {
            match self.binary_row(rest.get(at..).unwrap_or_default())? {
                Some(n_bytes) => at += n_bytes,
                None => break,
            }
        }
        self.rest = rest.get(at..).unwrap_or_default().to_vec();
        Ok(())
    }

    /// Reads signature, flags and extension; returns their length, `None` for more bytes.
    fn binary_header(&self, bytes: &[u8]) -> Result<Option<usize>> {
        let n = bytes.len().min(SIGNATURE.len());
        if bytes.get(..n) != SIGNATURE.get(..n) {
            return Err(self.error("22P04", "COPY file signature not recognized"));
        }
        let (Some(flags), Some(extension)) =
            (int4(bytes, SIGNATURE.len()), int4(bytes, SIGNATURE.len() + 4))
        else {
            return Ok(None);
        };
        if flags & 0x7fff_0000 != 0 || flags < 0 {
            let message = "unrecognized critical flags in COPY file header";
            return Err(self.error("22P04", message));
        }
        let Ok(extension) = usize::try_from(extension) else {
            let message = "invalid COPY file header (missing length)";
            return Err(self.error("22P04", message));
        };
        let length = SIGNATURE.len() + 8 + extension;
        Ok((bytes.len() >= length).then_some(length))
    }

    /// Reads one row; returns its length, `None` for more bytes.
    fn binary_row(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        let Some(count) = bytes.first_chunk::<2>() else { return Ok(None) };
        let count = i16::from_be_bytes(*count);
        if count == -1 {
            self.is_done = true;
            return Ok(Some(2));
        }
        let n_columns = self.oids.len();
        if usize::try_from(count) != Ok(n_columns) {
            self.n_lines += 1;
            let message = format!("row field count is {count}, expected {n_columns}");
            return Err(self.error("22P04", message));
        }
        let mut places = Vec::with_capacity(n_columns);
        let mut at = 2;
        for _ in 0..n_columns {
            let Some(length) = int4(bytes, at) else { return Ok(None) };
            at += 4;
            if length == -1 {
                places.push(None);
                continue;
            }
            let Ok(length) = usize::try_from(length) else {
                return Err(self.error("22P04", "invalid field size"));
            };
            if bytes.len() < at + length {
                return Ok(None);
            }
            places.push(Some(at..at + length));
            at += length;
        }
        self.n_lines += 1;
        for (column, place) in places.into_iter().enumerate() {
            let value = place.and_then(|place| bytes.get(place));
            let value = self.decode(column, value)?;
            if let Some(values) = self.values.get_mut(column) {
                values.push(value);
            }
        }
        self.row_is_complete()?;
        Ok(Some(at))
    }
}

fn int4(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk::<4>().map(|bytes| i32::from_be_bytes(*bytes))
}
