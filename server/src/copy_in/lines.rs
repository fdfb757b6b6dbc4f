//! Lines of text and CSV, and objects of JSON, to batches of rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::scalar::ScalarValue;
use parking_lot::Mutex;
use tarn_catalog::pg_type::pg_type_of;
use tarn_planner::statement::{CopyOptions, Header};

use super::chunks::{Chunk, LineFault};
use super::columns::{Column, Parsed, Plain};
use super::fields::{Fields, Value};
use super::groups::{self, GroupColumn, N_ROWS_PER_GROUP, NullRule};
use super::members::Members;
use crate::error::{Error, Result};
use crate::pg::params::decode_parameter_in;
use crate::pg::rows::Format;
use tarn_planner::calendar::Zone;

mod objects;

/// Rows of one batch.
const N_ROWS_PER_BATCH: usize = 8_192;
/// Bytes that a short field takes, to guess how many rows are in a chunk.
const N_BYTES_PER_FIELD: usize = 4;
/// Characters of a value or line that an error shows.
const N_SHOWN_CHARS_MAX: usize = 100;
/// Rows that are told of one by one.
const N_TOLD_MAX: usize = 100;

/// What is copied, and how it looks; shared by those who read chunks of it.
#[derive(Debug)]
pub(crate) struct LineReader {
    table: String,
    /// The columns in the order of the fields.
    schema: SchemaRef,
    /// The same, all of them nullable.
    batch_schema: SchemaRef,
    options: CopyOptions,
    oids: Vec<u32>,
    plain: Vec<Plain>,
    null_rules: Vec<NullRule>,
    zone: Zone,
    /// The columns of JSON.
    members: Option<Arc<Members>>,
    n_skipped: AtomicU64,
    told: Mutex<Vec<String>>,
}

impl LineReader {
    pub(crate) fn new(table: &str, schema: SchemaRef, options: CopyOptions, zone: Zone) -> Self {
        let oids: Vec<u32> = schema.fields().iter().map(|field| pg_type_of(field).oid).collect();
        let plain = oids.iter().zip(schema.fields()).map(|(oid, field)| Plain::of(*oid, field));
        let plain = plain.collect();
        let null_rules = schema.fields().iter().map(|field| NullRule {
            force_not_null: options.force_not_null.contains(field.name()),
            force_null: options.force_null.contains(field.name()),
        });
        let null_rules = null_rules.collect();
        let schema = plain_lists(&schema);
        let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
        let batch_schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let (n_skipped, told) = (AtomicU64::new(0), Mutex::default());
        let table = table.to_owned();
        Self {
            table,
            schema,
            batch_schema,
            options,
            oids,
            plain,
            null_rules,
            zone,
            members: None,
            n_skipped,
            told,
        }
    }

    /// Reads JSON instead of lines, if there are members.
    pub(crate) fn with_members(self, members: Option<Arc<Members>>) -> Self {
        Self { members, ..self }
    }

    /// The columns of the batches.
    pub(crate) fn batch_schema(&self) -> &SchemaRef {
        &self.batch_schema
    }

    pub(crate) fn options(&self) -> &CopyOptions {
        &self.options
    }

    /// Rows that were left out, and what there is to say of them.
    pub(crate) fn skipped(&self) -> (u64, Vec<String>) {
        (self.n_skipped.load(Ordering::Relaxed), std::mem::take(&mut self.told.lock()))
    }

    /// Columns for the rows of so many bytes.
    fn new_columns(&self, n_bytes: usize) -> Result<Vec<Column>> {
        let n_bytes_per_row = N_BYTES_PER_FIELD * self.plain.len().max(1);
        let n_rows = (n_bytes / n_bytes_per_row).clamp(1, N_ROWS_PER_BATCH);
        let columns = self.plain.iter().zip(self.schema.fields());
        let columns = columns.map(|(plain, field)| Column::new(*plain, field, n_rows));
        let columns: Result<_, String> = columns.collect();
        columns.map_err(|what| Error::Internal { what })
    }

    /// Reads a chunk.
    ///
    /// # Errors
    /// `CopyData` with line and column.
    pub(crate) fn read(&self, chunk: &Chunk) -> Result<Vec<RecordBatch>> {
        let mut reading = Reading::new(self, chunk)?;
        let mut at = 0;
        while at < chunk.bytes.len() {
            at = match &self.members {
                Some(members) => reading.objects(members, at)?,
                None => reading.group(at)?,
            };
            if reading.n_rows >= N_ROWS_PER_BATCH {
                reading.close_batch(chunk.bytes.len().saturating_sub(at))?;
            }
        }
        if let Some(LineFault { message, n_line }) = chunk.fault {
            reading.n_line = n_line;
            return Err(reading.error("22P04", message, None));
        }
        reading.close_batch(0)?;
        Ok(reading.batches)
    }
}

/// One chunk on its way.
struct Reading<'a> {
    reader: &'a LineReader,
    bytes: &'a [u8],
    /// The same where all of it is text.
    text: Option<&'a str>,
    /// The number of the line at hand.
    n_line: u64,
    is_header: bool,
    /// Where bytes begin that are no UTF-8.
    invalid_at: usize,
    /// Where the objects of JSON end that begin before.
    record_end: usize,
    /// A zero byte is no text, so that values are looked at one by one.
    has_zero: bool,
    fields: Fields,
    columns: Vec<Column>,
    n_rows: usize,
    batches: Vec<RecordBatch>,
}

impl<'a> Reading<'a> {
    fn new(reader: &'a LineReader, chunk: &'a Chunk) -> Result<Self> {
        let bytes: &[u8] = &chunk.bytes;
        let (text, invalid_at) = match std::str::from_utf8(bytes) {
            Ok(text) => (Some(text), bytes.len()),
            Err(error) => (None, error.valid_up_to()),
        };
        Ok(Self {
            reader,
            bytes,
            text,
            n_line: chunk.n_lines_before,
            is_header: chunk.is_first && reader.options.header != Header::Off,
            invalid_at,
            record_end: 0,
            has_zero: memchr::memchr(0, bytes).is_some(),
            fields: Fields::new(&reader.options),
            columns: reader.new_columns(bytes.len())?,
            n_rows: 0,
            batches: Vec::new(),
        })
    }

    /// Reads some lines; returns where the next one begins.
    fn group(&mut self, start: usize) -> Result<usize> {
        let ignores_errors = self.reader.options.errors.ignore;
        let Some(text) = self.text.filter(|_| !self.has_zero && !self.is_header && !ignores_errors)
        else {
            return self.line(start);
        };
        let width = self.reader.schema.fields().len();
        let n_rows_max = N_ROWS_PER_GROUP.min(N_ROWS_PER_BATCH.saturating_sub(self.n_rows));
        let (mut n_rows, mut end) = (0, start);
        self.fields.clear();
        while n_rows < n_rows_max && end < self.bytes.len() {
            let Some(next) = self.fields.add(self.bytes, end) else { break };
            if self.fields.len() != (n_rows + 1) * width {
                break;
            }
            (n_rows, end) = (n_rows + 1, next);
        }
        if n_rows == 0 || self.fields.has_zero() {
            return self.line(start);
        }
        // A line that was given up.
        self.fields.truncate(n_rows * width);
        let (n_line, n_rows_before) = (self.n_line, self.n_rows);
        if let Err(error) = self.take_columns(text, n_rows) {
            // Another line before may have an error, too, in a later column.
            (self.n_line, self.n_rows) = (n_line, n_rows_before);
            let mut at = start;
            while at < end {
                at = self.line(at)?;
            }
            return Err(error);
        }
        self.n_rows += n_rows;
        self.n_line += self.n_lines(n_rows, start..end);
        Ok(end)
    }

    /// The lines of a file in which so many rows are; a row can have several.
    fn n_lines(&self, n_rows: usize, range: std::ops::Range<usize>) -> u64 {
        if !self.fields.has_copied() {
            return n_rows.try_into().unwrap_or(u64::MAX);
        }
        let bytes = self.bytes.get(range.start..range.end.min(self.bytes.len()));
        let bytes = bytes.unwrap_or_default();
        let n_ends = memchr::memchr_iter(b'\n', bytes).fold(0, |n, _| n + 1);
        n_ends + u64::from(bytes.last() != Some(&b'\n'))
    }

    /// Adds the fields of whole lines to the columns.
    fn take_columns(&mut self, text: &str, n_rows: usize) -> Result<()> {
        let Self { reader, fields, columns, n_line, .. } = self;
        let decoder = Decoder { reader, n_line: *n_line, has_zero: false };
        let width = columns.len();
        let kinds = reader.plain.iter().zip(&reader.null_rules);
        for (at, (column, (plain, rule))) in columns.iter_mut().zip(kinds).enumerate() {
            let group = GroupColumn { fields, width, at, n_rows, text, rule: *rule };
            if !groups::extend(column, *plain, group) {
                for value in group.values() {
                    column.push(decoder.value(at, value)?);
                }
            }
        }
        Ok(())
    }

    /// Reads one line; returns where the next one begins.
    fn line(&mut self, start: usize) -> Result<usize> {
        let Some(next) = self.fields.read(self.bytes, start) else {
            self.n_line += 1;
            let line = self.bytes.get(start..);
            return Err(self.error("22P04", "unterminated CSV quoted field", line));
        };
        let line = self.bytes.get(start..next.min(self.bytes.len())).unwrap_or_default();
        let inside = line.strip_suffix(b"\n").unwrap_or(line);
        self.n_line += 1 + memchr::memchr_iter(b'\n', inside).fold(0, |n, _| n + 1);
        if (start..next).contains(&self.invalid_at) && self.invalid_at < self.bytes.len() {
            let byte = self.bytes.get(self.invalid_at);
            let shown = byte.map_or_else(String::new, |byte| format!("0x{byte:02x}"));
            let message = format!("invalid byte sequence for encoding \"UTF8\": {shown}");
            return Err(self.error("22021", message, None));
        }
        if std::mem::take(&mut self.is_header) {
            self.check_header()?;
            return Ok(next);
        }
        let inside = inside.strip_suffix(b"\r").unwrap_or(inside);
        let taken = self.check_width(inside).and_then(|()| self.take_row());
        match taken {
            Ok(()) => self.n_rows += 1,
            Err(error) if self.reader.options.errors.ignore => self.skip(error)?,
            Err(error) => return Err(error),
        }
        Ok(next)
    }

    /// Adds the values of the line to the columns: all of them, or none where bad rows are left
    /// out.
    fn take_row(&mut self) -> Result<()> {
        let Self { reader, bytes, fields, columns, n_line, has_zero, .. } = self;
        let has_zero = *has_zero || fields.has_zero();
        let decoder = Decoder { reader, n_line: *n_line, has_zero };
        let values = columns.iter().enumerate();
        if reader.options.errors.ignore {
            let values = values.map(|(at, _)| decoder.value(at, fields.get(at, bytes)));
            let values: Vec<Parsed<'_>> = values.collect::<Result<_>>()?;
            for (column, value) in columns.iter_mut().zip(values) {
                column.push(value);
            }
            return Ok(());
        }
        for (at, column) in columns.iter_mut().enumerate() {
            column.push(decoder.value(at, fields.get(at, bytes))?);
        }
        Ok(())
    }

    /// Leaves a row out.
    fn skip(&self, error: Error) -> Result<()> {
        let reader = self.reader;
        let n_skipped = reader.n_skipped.fetch_add(1, Ordering::Relaxed) + 1;
        let context = error.context().unwrap_or_default().to_owned();
        tracing::info!(table = %reader.table, %context, %error, "row left out of COPY");
        if reader.options.errors.verbose {
            let mut told = reader.told.lock();
            if told.len() < N_TOLD_MAX {
                let what = context.split_once(", ").map_or("", |(_, what)| what);
                told.push(format!("skipping row due to data type incompatibility at {what}"));
            }
        }
        match reader.options.errors.n_rows_max {
            Some(n_rows_max) if n_skipped > n_rows_max => {
                let message = format!(
                    "skipped more than REJECT_LIMIT ({n_rows_max}) rows due to data type \
                     incompatibility"
                );
                Err(Error::CopyData { code: "22P02", message, context })
            }
            _ => Ok(()),
        }
    }

    fn check_width(&self, line: &[u8]) -> Result<()> {
        let fields = self.reader.schema.fields();
        let n_values = self.fields.len();
        if n_values > fields.len() {
            let message = "extra data after last expected column";
            return Err(self.error("22P04", message, Some(line)));
        }
        match fields.get(n_values) {
            Some(missing) => {
                let message = format!("missing data for column \"{}\"", missing.name());
                Err(self.error("22P04", message, Some(line)))
            }
            None => Ok(()),
        }
    }

    fn check_header(&self) -> Result<()> {
        let LineReader { schema, options, .. } = self.reader;
        if options.header != Header::Match {
            return Ok(());
        }
        let (n_values, n_columns) = (self.fields.len(), schema.fields().len());
        if n_values != n_columns {
            let message = format!(
                "wrong number of fields in header line: got {n_values}, expected {n_columns}"
            );
            return Err(self.error("22P04", message, None));
        }
        for (at, field) in schema.fields().iter().enumerate() {
            let Some(value) = self.fields.get(at, self.bytes) else { continue };
            let name = String::from_utf8_lossy(value.bytes);
            if value.is_null || name != field.name().as_str() {
                let got = if value.is_null { options.null.clone() } else { name.into_owned() };
                let message = format!(
                    "column name mismatch in header line field {}: got \"{got}\", expected \"{}\"",
                    at + 1,
                    field.name()
                );
                return Err(self.error("22P04", message, None));
            }
        }
        Ok(())
    }

    fn close_batch(&mut self, n_bytes_left: usize) -> Result<()> {
        let n_rows = std::mem::take(&mut self.n_rows);
        if n_rows == 0 {
            return Ok(());
        }
        let mut columns =
            std::mem::replace(&mut self.columns, self.reader.new_columns(n_bytes_left)?);
        let columns = columns.iter_mut().map(Column::finish);
        let columns: Result<Vec<ArrayRef>, String> = columns.collect();
        let columns = columns.map_err(|what| Error::Internal { what })?;
        let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
        let schema = Arc::clone(&self.reader.batch_schema);
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|error| Error::Internal { what: error.to_string() })?;
        self.batches.push(batch);
        Ok(())
    }

    fn error(&self, code: &'static str, message: impl Into<String>, line: Option<&[u8]>) -> Error {
        let line = line.map_or_else(String::new, |line| format!(": \"{}\"", shown(line)));
        let context = format!("COPY {}, line {}{line}", self.reader.table, self.n_line.max(1));
        Error::CopyData { code, message: message.into(), context }
    }
}

/// The columns with arrays whose elements say nothing of themselves: the engine's single values
/// lose what is said, and the cast to the column sees to lengths and digits.
fn plain_lists(schema: &SchemaRef) -> SchemaRef {
    fn plain(data_type: &DataType) -> DataType {
        match data_type {
            DataType::List(element) => {
                let inner = plain(element.data_type());
                DataType::List(Arc::new(Field::new_list_field(inner, true)))
            }
            other => other.clone(),
        }
    }
    let fields = schema.fields().iter().map(|field| {
        let data_type = plain(field.data_type());
        field.as_ref().clone().with_data_type(data_type)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Reads the values of one line.
struct Decoder<'a> {
    reader: &'a LineReader,
    n_line: u64,
    has_zero: bool,
}

impl Decoder<'_> {
    fn value<'v>(&self, column: usize, value: Option<Value<'v>>) -> Result<Parsed<'v>> {
        let Some(value) = value else { return Ok(Parsed::Null) };
        if self.reader.null_rules.get(column).is_some_and(|rule| rule.is_null(&value)) {
            return Ok(Parsed::Null);
        }
        let plain = self.reader.plain.get(column).copied().unwrap_or(Plain::None);
        if (plain != Plain::Text || !self.has_zero)
            && let Some(parsed) = plain.read(value.bytes)
        {
            return Ok(parsed);
        }
        self.decode(column, value.bytes).map(Parsed::Scalar)
    }

    /// Reads a value as PostgreSQL does.
    fn decode(&self, column: usize, bytes: &[u8]) -> Result<ScalarValue> {
        let oid = self.reader.oids.get(column).copied().unwrap_or(25);
        let field = self.reader.schema.field(column);
        let failed = |code, message: String| {
            let (table, line, name) = (&self.reader.table, self.n_line, field.name());
            let value = shown(bytes);
            let context = format!("COPY {table}, line {line}, column {name}: \"{value}\"");
            Error::CopyData { code, message, context }
        };
        let value = decode_parameter_in(oid, Format::Text, Some(bytes), &self.reader.zone)
            .map_err(|error| failed(error.code, error.message))?;
        if value.data_type() == *field.data_type() {
            return Ok(value);
        }
        value.cast_to(field.data_type()).map_err(|error| {
            let message = match oid {
                1700 => "numeric field overflow".to_owned(),
                _ => error.find_root().message().into_owned(),
            };
            failed("22003", message)
        })
    }
}

/// The beginning of a value for an error.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut short: String = text.chars().take(N_SHOWN_CHARS_MAX).collect();
    if text.chars().nth(N_SHOWN_CHARS_MAX).is_some() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests;
