//! COPY … TO STDOUT: rows as text, CSV or PostgreSQL's binary form.
//!
//! ```text
//!   batch ─► columns ─► value bytes ─► escapes, quotes ─► CopyData, one for each row ─► socket
//! ```

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use bytes::{BufMut, BytesMut};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::copy::{CopyDone, CopyOutResponse};
use tarn_planner::statement::{CopyFormat, CopyOptions, Header};

use super::connection::Connection;
use super::rows::{Column, Format, RowEncoder};
use super::sending::Outgoing;
use super::wire::FLUSH_BYTES;
use crate::copy_out::CopyOut;
use crate::error::Result;
use crate::query::CommandTag;
use crate::scan::{Keep, Scan};

/// Rows that are written before the buffer's size is looked at again.
const N_ROWS_PER_STEP: u64 = 256;

/// What a binary file begins with: the signature, no flags, no extension.
const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// How lines of a text or CSV file are written.
struct LineWriter {
    options: Arc<CopyOptions>,
    names: Vec<String>,
    forced: Vec<bool>,
}

impl Connection {
    /// Sends all rows; returns the tag for CommandComplete.
    pub(super) async fn send_copy(&mut self, copy: CopyOut) -> Result<CommandTag> {
        let CopyOut { rows, options } = copy;
        let binary = options.format == CopyFormat::Binary;
        let format = if binary { Format::Binary } else { Format::Text };
        let schema = Arc::clone(rows.schema());
        let formats = vec![format; schema.fields().len()];
        let encoder = RowEncoder::try_new(&schema, &formats, &self.encode_settings())?;
        let names: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        let n_columns = i16::try_from(names.len()).unwrap_or(i16::MAX);
        let code = i8::from(binary);
        let codes = vec![i16::from(code); names.len()];
        self.wire.push(&Backend::CopyOutResponse(CopyOutResponse::new(code, n_columns, codes)))?;
        let forced = names.iter().map(|name| options.force_quote.contains(name)).collect();
        let writer = LineWriter { options, names, forced };
        // The header shares the message of the first row, or of the end: psycopg and DuckDB
        // take a message apart as PostgreSQL cuts it.
        let mut header: &[u8] = BINARY_HEADER;
        if !binary && writer.options.header != Header::Off {
            frame(&mut self.wire.output, |out| writer.header(out))?;
        }
        let mut outgoing = Outgoing::new(Scan::new(rows, Keep::Nothing), encoder);
        let mut n_rows = 0;
        while self.has_rows(&mut outgoing).await? {
            let Some(batch) = outgoing.scan.take(N_ROWS_PER_STEP) else { continue };
            if binary {
                let row_head = RowHead { header: &mut header, n_columns };
                binary_rows(&outgoing.encoder, &batch, row_head, &mut self.wire.output)?;
            } else {
                writer.rows(&outgoing.encoder, &batch, &mut self.wire.output)?;
            }
            n_rows += u64::try_from(batch.num_rows()).unwrap_or(0);
            if self.wire.output.len() >= FLUSH_BYTES {
                self.drain(&mut outgoing).await?;
            }
        }
        if binary {
            frame(&mut self.wire.output, |out| {
                out.put_slice(header);
                out.put_i16(-1);
            })?;
        }
        self.wire.push(&Backend::CopyDone(CopyDone::new()))?;
        Ok(CommandTag::with_rows("COPY", n_rows))
    }
}

/// Writes one CopyData message around what `write` appends.
fn frame(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) -> Result<()> {
    let start = out.len();
    out.put_u8(b'd');
    out.put_i32(0);
    write(out);
    close_frame(out, start)
}

fn close_frame(out: &mut BytesMut, start: usize) -> Result<()> {
    let length = i32::try_from(out.len() - start - 1);
    let length = length.map_err(|_| super::rows::EncodeError::RowTooLarge)?;
    if let Some(place) = out.get_mut(start + 1..start + 5) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// What stands in front of a binary row.
struct RowHead<'a> {
    /// The file's header until a row has taken it.
    header: &'a mut &'static [u8],
    n_columns: i16,
}

/// Writes a message for each row; nothing of a row that cannot be written.
fn binary_rows(
    encoder: &RowEncoder,
    batch: &RecordBatch,
    head: RowHead<'_>,
    out: &mut BytesMut,
) -> Result<()> {
    let columns = encoder.columns(batch)?;
    for row in 0..batch.num_rows() {
        let start = out.len();
        out.put_u8(b'd');
        out.put_i32(0);
        out.put_slice(head.header);
        out.put_i16(head.n_columns);
        let written = columns.iter().try_for_each(|column| column.encode(row, out));
        if let Err(error) = written {
            out.truncate(start);
            return Err(error.into());
        }
        *head.header = &[];
        close_frame(out, start)?;
    }
    Ok(())
}

impl LineWriter {
    fn header(&self, out: &mut BytesMut) {
        for (at, name) in self.names.iter().enumerate() {
            if at > 0 {
                out.put_u8(self.options.delimiter);
            }
            match self.options.format {
                CopyFormat::Csv => self.csv_value(name.as_bytes(), false, out),
                CopyFormat::Text | CopyFormat::Binary => self.text_value(name.as_bytes(), out),
            }
        }
        out.put_u8(b'\n');
    }

    fn rows(&self, encoder: &RowEncoder, batch: &RecordBatch, out: &mut BytesMut) -> Result<()> {
        let columns = encoder.columns(batch)?;
        let mut scratch = BytesMut::new();
        for row in 0..batch.num_rows() {
            let start = out.len();
            if let Err(error) = self.row(&columns, row, &mut scratch, out) {
                out.truncate(start);
                return Err(error);
            }
        }
        Ok(())
    }

    fn row(
        &self,
        columns: &[Column],
        row: usize,
        scratch: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Result<()> {
        let start = out.len();
        out.put_u8(b'd');
        out.put_i32(0);
        for (at, (column, forced)) in columns.iter().zip(&self.forced).enumerate() {
            if at > 0 {
                out.put_u8(self.options.delimiter);
            }
            scratch.clear();
            column.encode(row, scratch)?;
            // The length that stands before the value on the wire; -1 is NULL.
            let (length, value) = scratch.split_at_checked(4).unwrap_or((&[], &[]));
            if length == [0xff; 4] {
                out.put_slice(self.options.null.as_bytes());
            } else if self.options.format == CopyFormat::Csv {
                self.csv_value(value, *forced, out);
            } else {
                self.text_value(value, out);
            }
        }
        out.put_u8(b'\n');
        close_frame(out, start)
    }

    /// Escapes what is special: `a<tab>b` becomes `a\tb`.
    fn text_value(&self, value: &[u8], out: &mut BytesMut) {
        for &byte in value {
            let escaped = match byte {
                0x08 => b'b',
                0x0c => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x0b => b'v',
                b'\\' => b'\\',
                byte if byte == self.options.delimiter => byte,
                byte => {
                    out.put_u8(byte);
                    continue;
                }
            };
            out.put_u8(b'\\');
            out.put_u8(escaped);
        }
    }

    /// Puts quotes around what could be read as something else.
    fn csv_value(&self, value: &[u8], forced: bool, out: &mut BytesMut) {
        let CopyOptions { delimiter, quote, escape, null, .. } = self.options.as_ref();
        let special =
            |byte: &u8| byte == delimiter || byte == quote || matches!(byte, b'\n' | b'\r');
        let end_mark = self.names.len() == 1 && value == b"\\.";
        let quoted = forced || end_mark || value == null.as_bytes() || value.iter().any(special);
        if !quoted {
            out.put_slice(value);
            return;
        }
        out.put_u8(*quote);
        for byte in value {
            if byte == quote || byte == escape {
                out.put_u8(*escape);
            }
            out.put_u8(*byte);
        }
        out.put_u8(*quote);
    }
}
