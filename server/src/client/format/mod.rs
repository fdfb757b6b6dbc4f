//! Result formats. Each writes while rows arrive and keeps a bounded number of them.
//!
//! | file | format | keeps in memory |
//! |---|---|---|
//! | `table` | columns or records for people | the first 1,000 rows, which decide the widths |
//! | `csv` | RFC 4180 | nothing |
//! | `json` | JSON lines | nothing |
//! | `arrow` | Arrow IPC stream | one batch |
//!
//! `types` says what a type OID means to a format, `array` reads PostgreSQL's array literals, `cell`
//! makes values safe to show.

mod array;
mod arrow;
mod cell;
mod csv;
mod json;
mod table;
mod types;

use std::io::{self, Write};

pub(super) use self::table::{Expanded, TableStyle};
use super::options::Format;
use super::wire::Column;

/// Writes one result.
pub(super) trait RowWriter {
    /// Takes one row; a missing value is NULL. There are as many values as columns.
    fn row(&mut self, out: &mut dyn Write, values: &[Option<&str>]) -> io::Result<()>;
    /// Writes what is kept, after the last row.
    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()>;
}

/// Returns the writer of a format for a result with these columns.
pub(super) fn writer(
    format: Format,
    columns: Vec<Column>,
    style: &TableStyle,
) -> Box<dyn RowWriter> {
    match format {
        Format::Table => Box::new(table::TableWriter::new(columns, style.clone())),
        Format::Csv => Box::new(csv::CsvWriter::new(columns)),
        Format::Json => Box::new(json::JsonWriter::new(columns)),
        Format::Arrow => Box::new(arrow::ArrowWriter::new(columns)),
    }
}
