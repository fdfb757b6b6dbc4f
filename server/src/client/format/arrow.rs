//! Arrow IPC streams, made from the text of the rows.
//!
//! Numbers, booleans, dates, times, timestamps, binary and one-dimensional arrays of them get their
//! Arrow type; `numeric` a decimal when its precision is known and fits, else text; anything else
//! is text. A value that its Arrow type cannot hold (`infinity`, `NaN` in a decimal) is an error,
//! not a NULL.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, ListBuilder, RecordBatch, StringBuilder};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Field, Schema, SchemaRef,
    TimeUnit,
};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;

use super::super::wire::Column;
use super::RowWriter;
use super::array::{self, Item};
use super::types::{Shape, unique_names};

const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: usize = 16 << 20;

/// Keeps one batch.
pub(super) struct ArrowWriter {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    n_rows: usize,
    n_bytes: usize,
    /// Made with the first batch; its buffer is emptied after each.
    stream: Option<StreamWriter<Vec<u8>>>,
}

#[derive(Debug)]
enum ColumnBuilder {
    /// Text that is cast to the type of the column at the end of the batch.
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    List(ListBuilder<StringBuilder>),
}

impl ArrowWriter {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        let fields = columns.iter().zip(unique_names(&columns)).map(|(column, name)| {
            let (shape, is_array) = Shape::of(column);
            let data_type = match is_array {
                true => DataType::List(Arc::new(Field::new_list_field(element_type(shape), true))),
                false => data_type(shape),
            };
            Field::new(name, data_type, true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let builders = schema.fields().iter().map(|field| match field.data_type() {
            DataType::Binary => ColumnBuilder::Bytes(BinaryBuilder::new()),
            DataType::List(_) => ColumnBuilder::List(ListBuilder::new(StringBuilder::new())),
            _ => ColumnBuilder::Text(StringBuilder::new()),
        });
        Self { columns: builders.collect(), schema, n_rows: 0, n_bytes: 0, stream: None }
    }

    fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.n_rows > 0 {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            let arrays =
                self.columns.iter_mut().zip(self.schema.fields()).map(|(builder, field)| {
                    let text: ArrayRef = match builder {
                        ColumnBuilder::Bytes(builder) => {
                            return Ok(Arc::new(builder.finish()) as ArrayRef);
                        }
                        ColumnBuilder::Text(builder) => Arc::new(builder.finish()),
                        ColumnBuilder::List(builder) => Arc::new(builder.finish()),
                    };
                    cast_with_options(&text, field.data_type(), &options)
                        .map_err(|error| invalid(format!("column \"{}\": {error}", field.name())))
                });
            let arrays = arrays.collect::<io::Result<Vec<_>>>()?;
            let batch =
                RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(arrow_error)?;
            self.stream()?.write(&batch).map_err(arrow_error)?;
            (self.n_rows, self.n_bytes) = (0, 0);
        }
        self.send(out)
    }

    fn stream(&mut self) -> io::Result<&mut StreamWriter<Vec<u8>>> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => StreamWriter::try_new(Vec::new(), &self.schema).map_err(arrow_error)?,
        };
        Ok(self.stream.insert(stream))
    }

    fn send(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let buffer = self.stream()?.get_mut();
        out.write_all(buffer)?;
        buffer.clear();
        Ok(())
    }
}

impl RowWriter for ArrowWriter {
    fn row(&mut self, out: &mut dyn Write, values: &[Option<&str>]) -> io::Result<()> {
        for ((builder, value), field) in
            self.columns.iter_mut().zip(values).zip(self.schema.fields())
        {
            self.n_bytes += value.map_or(0, str::len);
            builder
                .append(*value)
                .map_err(|what| invalid(format!("column \"{}\": {what}", field.name())))?;
        }
        self.n_rows += 1;
        if self.n_rows >= BATCH_ROWS || self.n_bytes >= BATCH_BYTES {
            self.flush(out)
        } else {
            Ok(())
        }
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.flush(out)?;
        self.stream()?.finish().map_err(arrow_error)?;
        self.send(out)
    }
}

impl ColumnBuilder {
    fn append(&mut self, value: Option<&str>) -> Result<(), &'static str> {
        match self {
            ColumnBuilder::Text(builder) => builder.append_option(value),
            ColumnBuilder::Bytes(builder) => match value {
                None => builder.append_null(),
                Some(text) => {
                    builder.append_value(decode_hex(text).ok_or("binary value not in hex form")?)
                }
            },
            ColumnBuilder::List(builder) => match value {
                None => builder.append_null(),
                Some(text) => {
                    for item in array::parse(text).ok_or("value is not an array literal")? {
                        match item {
                            Item::Null => builder.values().append_null(),
                            Item::Text(text) => builder.values().append_value(text),
                            Item::Array(_) => {
                                return Err("arrays of arrays have no Arrow form here");
                            }
                        }
                    }
                    builder.append(true);
                }
            },
        }
        Ok(())
    }
}

fn data_type(shape: Shape) -> DataType {
    match shape {
        Shape::Bool => DataType::Boolean,
        Shape::Int16 => DataType::Int16,
        Shape::Int32 => DataType::Int32,
        Shape::Int64 => DataType::Int64,
        Shape::Float32 => DataType::Float32,
        Shape::Float64 => DataType::Float64,
        Shape::Numeric(Some((precision, scale))) if precision <= DECIMAL128_MAX_PRECISION => {
            DataType::Decimal128(precision, scale)
        }
        Shape::Numeric(Some((precision, scale))) if precision <= DECIMAL256_MAX_PRECISION => {
            DataType::Decimal256(precision, scale)
        }
        Shape::Bytes => DataType::Binary,
        Shape::Date => DataType::Date32,
        Shape::Time => DataType::Time64(TimeUnit::Microsecond),
        Shape::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        Shape::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Shape::Numeric(_) | Shape::Json | Shape::Text => DataType::Utf8,
    }
}

/// The elements of a list are cast from text, which binary cannot be.
fn element_type(shape: Shape) -> DataType {
    match data_type(shape) {
        DataType::Binary => DataType::Utf8,
        other => other,
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?;
    let nibble =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
    odd.is_empty().then_some(())?;
    pairs.iter().map(|[high, low]| Some(nibble(high)? << 4 | nibble(low)?)).collect()
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn arrow_error(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => invalid(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use arrow::ipc::reader::StreamReader;
    use arrow::util::pretty::pretty_format_batches;

    use super::*;

    fn column(name: &str, type_oid: u32, modifier: i32) -> Column {
        Column { name: name.to_owned(), type_oid, modifier }
    }

    fn read_back(
        columns: Vec<Column>,
        rows: &[&[Option<&str>]],
    ) -> io::Result<(SchemaRef, String)> {
        let mut writer = ArrowWriter::new(columns);
        let mut out = Vec::new();
        for row in rows {
            writer.row(&mut out, row)?;
        }
        writer.finish(&mut out)?;
        let reader = StreamReader::try_new(out.as_slice(), None).map_err(arrow_error)?;
        let schema = reader.schema();
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(arrow_error)?;
        Ok((schema, pretty_format_batches(&batches).map_err(arrow_error)?.to_string()))
    }

    #[test]
    fn values_get_their_type() -> io::Result<()> {
        let columns = vec![
            column("b", 16, -1),
            column("i", 23, -1),
            column("d", 1700, 983_046),
            column("day", 1082, -1),
            column("at", 1114, -1),
            column("tz", 1184, -1),
            column("time", 1083, -1),
            column("x", 17, -1),
            column("l", 1007, -1),
            column("f", 701, -1),
        ];
        let row: &[Option<&str>] = &[
            Some("t"),
            Some("-7"),
            Some("12.30"),
            Some("1998-09-02"),
            Some("1998-09-02 10:11:12.5"),
            Some("1998-09-02 10:11:12.25+02"),
            Some("10:11:12"),
            Some("\\x00ff"),
            Some("{1,NULL}"),
            Some("Infinity"),
        ];
        let (schema, table) = read_back(columns, &[row, &[None; 10]])?;
        assert_eq!(schema.field(2).data_type(), &DataType::Decimal128(15, 2));
        for part in [
            "true",
            "-7",
            "12.30",
            "1998-09-02T10:11:12.500",
            "1998-09-02T08:11:12.250Z",
            "10:11:12",
            "00ff",
            "[1, ]",
            "inf",
        ] {
            assert!(table.contains(part), "{part} in\n{table}");
        }
        Ok(())
    }

    #[test]
    fn values_out_of_range_are_errors() {
        let error =
            read_back(vec![column("d", 1082, -1)], &[&[Some("infinity")]]).map(|(_, table)| table);
        assert!(error.is_err_and(|error| error.to_string().contains("column \"d\"")));
    }

    #[test]
    fn no_rows_is_a_stream_with_a_schema() -> io::Result<()> {
        let (schema, _) = read_back(vec![column("a", 20, -1)], &[])?;
        assert_eq!(schema.field(0).data_type(), &DataType::Int64);
        Ok(())
    }
}
