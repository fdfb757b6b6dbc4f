//! Record batches to `DataRow` messages, straight into the connection's buffer.
//!
//! Each column is taken apart once per batch and yields a [`Column`] that writes single values
//! ([`column`]); the loop over the rows here only frames them. How values look is in [`number`],
//! [`datetime`], [`nested`] and [`json`], and in [`tarn_planner::calendar`].
//!
//! Not here: `RowDescription` and COPY framing. A COPY writer can take the same [`Column`]s from
//! [`RowEncoder::columns`].

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use bytes::{BufMut, BytesMut};
use tarn_catalog::pg_type::{self, NumericDigits};
use tarn_planner::calendar::{DateStyle, TimeSettings, Zone};
use tarn_planner::variables::engine_time_zone;

mod column;
pub(crate) mod datetime;
mod digits;
mod json;
mod nested;
pub(crate) mod number;
mod string;
mod temporal;
#[cfg(test)]
mod tests;

pub(crate) use column::Column;

/// The two forms of values on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// As in SQL.
    #[default]
    Text,
    /// As PostgreSQL's `send` functions write.
    Binary,
}

/// The setting `bytea_output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ByteaOutput {
    /// `\x00ff`.
    #[default]
    Hex,
    /// `\000\377`.
    Escape,
}

/// The session's settings that change how values are written.
#[derive(Debug, Clone)]
pub(crate) struct EncodeSettings {
    /// The zone and the styles of dates, times and intervals.
    pub(crate) times: TimeSettings,
    /// Above zero, floats have the fewest digits that read back the same; otherwise so many less
    /// than their guaranteed digits.
    pub(crate) extra_float_digits: i32,
    /// How byte strings are written.
    pub(crate) bytea_output: ByteaOutput,
    /// The names of the catalog's objects, for `regclass` and its kin.
    pub(crate) names: Option<Arc<dyn ObjectNames>>,
}

/// Gives the objects of a session's catalog their names.
pub(crate) trait ObjectNames: std::fmt::Debug + Send + Sync {
    /// The text of a value of a `reg` type, where there is such an object.
    fn name(&self, type_name: &str, object: u32) -> Option<String>;
}

impl EncodeSettings {
    /// Reads the settings of a session by their folded names.
    pub(crate) fn of(setting: impl Fn(&str) -> String) -> Self {
        let zone = Zone::by_name(&engine_time_zone(&setting("timezone"))).unwrap_or(Zone::UTC);
        Self {
            times: TimeSettings::read(zone, &setting("datestyle"), &setting("intervalstyle")),
            extra_float_digits: setting("extra_float_digits").parse().unwrap_or(1),
            bytea_output: match setting("bytea_output").as_str() {
                "escape" => ByteaOutput::Escape,
                _ => ByteaOutput::Hex,
            },
            names: None,
        }
    }

    /// The same with the names of a session's objects.
    pub(crate) fn with_names(mut self, names: Arc<dyn ObjectNames>) -> Self {
        self.names = Some(names);
        self
    }

    /// The same with dates in the style of ISO 8601.
    pub(crate) fn iso(&self) -> Self {
        let times = TimeSettings { style: DateStyle::Iso, ..self.times };
        Self { times, ..self.clone() }
    }
}

impl Default for EncodeSettings {
    /// PostgreSQL's own defaults, in UTC.
    fn default() -> Self {
        Self {
            times: TimeSettings::read(Zone::UTC, "", ""),
            extra_float_digits: 1,
            bytea_output: ByteaOutput::Hex,
            names: None,
        }
    }
}

/// Why a value cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EncodeError {
    /// A number that the PostgreSQL type cannot hold.
    #[error("{type_name} out of range")]
    NumberOutOfRange { type_name: &'static str },
    /// A date or time that the PostgreSQL type cannot hold.
    #[error("{type_name} out of range")]
    DatetimeOutOfRange { type_name: &'static str },
    /// The Arrow type has no such form.
    #[error("no output function available for type {type_name} from {data_type}")]
    Unsupported { type_name: &'static str, data_type: String },
    /// Text that is not a value of the type its column is announced with.
    #[error("{message}")]
    Invalid { message: String },
    /// Lists of differing lengths inside of a list.
    #[error("multidimensional arrays must have sub-arrays with matching dimensions")]
    RaggedArray,
    /// A value or row beyond the protocol's limit of 2 GiB.
    #[error("row is too large for a message")]
    RowTooLarge,
    /// More columns than a message can hold.
    #[error("result sets can have at most {} columns", i16::MAX)]
    TooManyColumns,
    /// The client named another number of formats than there are columns.
    #[error("bind message has {n_formats} result formats but query has {n_columns} columns")]
    FormatCount { n_formats: usize, n_columns: usize },
    /// A batch that is not of the encoder's schema.
    #[error("record batch does not match its schema")]
    SchemaMismatch,
}

impl EncodeError {
    /// The SQLSTATE that PostgreSQL gives in the same case.
    pub(crate) fn sqlstate(&self) -> &'static str {
        match self {
            Self::NumberOutOfRange { .. } => "22003",
            Self::DatetimeOutOfRange { .. } => "22008",
            Self::Unsupported { .. } => "0A000",
            Self::Invalid { .. } => "22P02",
            Self::RaggedArray => "2202E",
            Self::RowTooLarge => "54000",
            Self::TooManyColumns => "54011",
            Self::FormatCount { .. } => "08P01",
            Self::SchemaMismatch => "XX000",
        }
    }
}

/// Writes rows of one schema in the forms that a client asked for.
#[derive(Debug)]
pub(crate) struct RowEncoder {
    /// Each column's type number, form and digits.
    columns: Vec<(u32, Format, NumericDigits)>,
    n_columns: i16,
    settings: EncodeSettings,
}

impl RowEncoder {
    /// Prepares for rows of a schema with one format for each column.
    ///
    /// # Errors
    /// `FormatCount` and `TooManyColumns`.
    pub(crate) fn try_new(
        schema: &Schema,
        formats: &[Format],
        settings: &EncodeSettings,
    ) -> Result<Self, EncodeError> {
        let fields = schema.fields();
        if fields.len() != formats.len() {
            let (n_formats, n_columns) = (formats.len(), fields.len());
            return Err(EncodeError::FormatCount { n_formats, n_columns });
        }
        let n_columns = i16::try_from(fields.len()).map_err(|_| EncodeError::TooManyColumns)?;
        let typed = fields.iter().zip(formats).map(|(field, format)| {
            (pg_type::pg_type_of(field).oid, *format, NumericDigits::of_field(field))
        });
        let columns = typed.collect();
        Ok(Self { columns, n_columns, settings: settings.clone() })
    }

    /// Takes the columns of a batch apart.
    ///
    /// # Errors
    /// `SchemaMismatch`, and `Unsupported` for types that have no form on the wire.
    pub(crate) fn columns(&self, batch: &RecordBatch) -> Result<Vec<Column>, EncodeError> {
        if batch.num_columns() != self.columns.len() {
            return Err(EncodeError::SchemaMismatch);
        }
        let typed = batch.columns().iter().zip(&self.columns);
        typed.map(|(array, column)| Column::with_digits(array, *column, &self.settings)).collect()
    }

    /// Appends a `DataRow` message for each of the rows of a batch; rows beyond its end are none.
    ///
    /// # Errors
    /// For the first value that cannot be sent. Whole messages of the rows before it are in the
    /// buffer then, and nothing of its own row.
    pub(crate) fn encode(
        &self,
        batch: &RecordBatch,
        rows: Range<usize>,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let end = rows.end.min(batch.num_rows());
        let start = rows.start.min(end);
        // Slicing first: casts inside must not work on rows that are sent at another time.
        let columns = self.columns(&batch.slice(start, end - start))?;
        for row in 0..end - start {
            let message_at = out.len();
            if let Err(error) = self.encode_row(&columns, row, out) {
                out.truncate(message_at);
                return Err(error);
            }
        }
        Ok(())
    }

    fn encode_row(
        &self,
        columns: &[Column],
        row: usize,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        out.put_u8(b'D');
        let length_at = out.len();
        out.put_i32(0);
        out.put_i16(self.n_columns);
        for column in columns {
            column.encode(row, out)?;
        }
        // The length counts itself.
        set_length(out, length_at, out.len() - length_at)
    }
}

/// Writes a length where four bytes were left for it.
fn set_length(out: &mut BytesMut, at: usize, length: usize) -> Result<(), EncodeError> {
    let length = i32::try_from(length).map_err(|_| EncodeError::RowTooLarge)?;
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}
