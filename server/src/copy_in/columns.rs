//! Columns that grow by a value at a time.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, StringBuilder, StringViewBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::scalar::ScalarValue;

use super::values;

/// A value of one field.
#[derive(Debug)]
pub(super) enum Parsed<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Decimal(i128),
    Float(f64),
    Text(&'a str),
    /// Of the column's type.
    Scalar(ScalarValue),
}

/// How the plain forms of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    Boolean,
    Int16,
    Int32,
    Int64,
    Decimal(u8, u8),
    Float32,
    Float64,
    Date,
    Timestamp,
    Text,
    /// Only as PostgreSQL reads it.
    None,
}

impl Plain {
    pub(super) fn of(oid: u32, field: &Field) -> Self {
        match (oid, field.data_type()) {
            (16, DataType::Boolean) => Self::Boolean,
            (21, DataType::Int16) => Self::Int16,
            (23, DataType::Int32) => Self::Int32,
            (20, DataType::Int64) => Self::Int64,
            (1700, DataType::Decimal128(precision, scale)) => match u8::try_from(*scale) {
                Ok(scale) => Self::Decimal(*precision, scale),
                Err(_) => Self::None,
            },
            (700, DataType::Float32) => Self::Float32,
            (701, DataType::Float64) => Self::Float64,
            (1082, DataType::Date32) => Self::Date,
            (1114, DataType::Timestamp(TimeUnit::Microsecond, None)) => Self::Timestamp,
            (25 | 1042 | 1043, DataType::Utf8 | DataType::Utf8View) => Self::Text,
            _ => Self::None,
        }
    }

    /// Reads a plain form; `None` for all others.
    pub(super) fn read(self, bytes: &[u8]) -> Option<Parsed<'_>> {
        Some(match self {
            Self::Boolean => Parsed::Boolean(values::boolean(bytes)?),
            Self::Int16 => {
                let number = values::integer(bytes)?;
                Parsed::Integer(i16::try_from(number).ok()?.into())
            }
            Self::Int32 => {
                let number = values::integer(bytes)?;
                Parsed::Integer(i32::try_from(number).ok()?.into())
            }
            Self::Int64 => Parsed::Integer(values::integer(bytes)?),
            Self::Decimal(precision, scale) => {
                Parsed::Decimal(values::decimal(bytes, precision, scale)?)
            }
            Self::Float64 => Parsed::Float(values::float(bytes)?),
            Self::Date => Parsed::Integer(values::date(bytes)?.into()),
            Self::Timestamp => Parsed::Integer(values::timestamp(bytes)?),
            Self::Text => Parsed::Text(std::str::from_utf8(bytes).ok()?),
            // Rounding twice, to `f64` and then to `f32`, is not the same as once.
            Self::Float32 | Self::None => return None,
        })
    }
}

/// Bytes of a text for which there is room at first.
const N_BYTES_PER_TEXT: usize = 16;

/// The values of a column so far.
#[derive(Debug)]
pub(super) enum Column {
    Boolean(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Decimal(Decimal128Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    TextView(StringViewBuilder),
    Other(Vec<ScalarValue>, ScalarValue),
}

impl Column {
    /// A column with room for so many rows.
    pub(super) fn new(plain: Plain, field: &Field, n_rows: usize) -> Result<Self, String> {
        Ok(match plain {
            Plain::Boolean => Self::Boolean(BooleanBuilder::with_capacity(n_rows)),
            Plain::Int16 => Self::Int16(Int16Builder::with_capacity(n_rows)),
            Plain::Int32 => Self::Int32(Int32Builder::with_capacity(n_rows)),
            Plain::Int64 => Self::Int64(Int64Builder::with_capacity(n_rows)),
            Plain::Decimal(..) => {
                let data_type = field.data_type().clone();
                Self::Decimal(Decimal128Builder::with_capacity(n_rows).with_data_type(data_type))
            }
            Plain::Float32 => Self::Float32(Float32Builder::with_capacity(n_rows)),
            Plain::Float64 => Self::Float64(Float64Builder::with_capacity(n_rows)),
            Plain::Date => Self::Date(Date32Builder::with_capacity(n_rows)),
            Plain::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(n_rows)),
            Plain::Text if *field.data_type() == DataType::Utf8 => {
                Self::Text(StringBuilder::with_capacity(n_rows, n_rows * N_BYTES_PER_TEXT))
            }
            Plain::Text => Self::TextView(StringViewBuilder::with_capacity(n_rows)),
            Plain::None => {
                let null = ScalarValue::try_from(field.data_type());
                Self::Other(Vec::new(), null.map_err(|error| error.to_string())?)
            }
        })
    }

    /// Adds a value, which is of the column's type.
    pub(super) fn push(&mut self, value: Parsed<'_>) {
        use Parsed::{Null, Scalar};
        match self {
            Self::Boolean(column) => column.append_option(match value {
                Parsed::Boolean(value) | Scalar(ScalarValue::Boolean(Some(value))) => Some(value),
                _ => None,
            }),
            Self::Int16(column) => column.append_option(match value {
                Parsed::Integer(value) => i16::try_from(value).ok(),
                Scalar(ScalarValue::Int16(value)) => value,
                _ => None,
            }),
            Self::Int32(column) => column.append_option(match value {
                Parsed::Integer(value) => i32::try_from(value).ok(),
                Scalar(ScalarValue::Int32(value)) => value,
                _ => None,
            }),
            Self::Int64(column) => column.append_option(match value {
                Parsed::Integer(value) => Some(value),
                Scalar(ScalarValue::Int64(value)) => value,
                _ => None,
            }),
            Self::Decimal(column) => column.append_option(match value {
                Parsed::Decimal(value) => Some(value),
                Scalar(ScalarValue::Decimal128(value, ..)) => value,
                _ => None,
            }),
            Self::Float32(column) => column.append_option(match value {
                Scalar(ScalarValue::Float32(value)) => value,
                _ => None,
            }),
            Self::Float64(column) => column.append_option(match value {
                Parsed::Float(value) => Some(value),
                Scalar(ScalarValue::Float64(value)) => value,
                _ => None,
            }),
            Self::Date(column) => column.append_option(match value {
                Parsed::Integer(value) => i32::try_from(value).ok(),
                Scalar(ScalarValue::Date32(value)) => value,
                _ => None,
            }),
            Self::Timestamp(column) => column.append_option(match value {
                Parsed::Integer(value) => Some(value),
                Scalar(ScalarValue::TimestampMicrosecond(value, _)) => value,
                _ => None,
            }),
            Self::Text(column) => match value {
                Parsed::Text(value) => column.append_value(value),
                Scalar(ScalarValue::Utf8(Some(value))) => column.append_value(value),
                _ => column.append_null(),
            },
            Self::TextView(column) => match value {
                Parsed::Text(value) => column.append_value(value),
                Scalar(ScalarValue::Utf8View(Some(value))) => column.append_value(value),
                _ => column.append_null(),
            },
            Self::Other(values, null) => values.push(match value {
                Scalar(value) => value,
                Null
                | Parsed::Boolean(_)
                | Parsed::Integer(_)
                | Parsed::Decimal(_)
                | Parsed::Float(_)
                | Parsed::Text(_) => null.clone(),
            }),
        }
    }

    /// The values so far, which are taken out.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, String> {
        Ok(match self {
            Self::Boolean(column) => Arc::new(column.finish()),
            Self::Int16(column) => Arc::new(column.finish()),
            Self::Int32(column) => Arc::new(column.finish()),
            Self::Int64(column) => Arc::new(column.finish()),
            Self::Decimal(column) => Arc::new(column.finish()),
            Self::Float32(column) => Arc::new(column.finish()),
            Self::Float64(column) => Arc::new(column.finish()),
            Self::Date(column) => Arc::new(column.finish()),
            Self::Timestamp(column) => Arc::new(column.finish()),
            Self::Text(column) => Arc::new(column.finish()),
            Self::TextView(column) => Arc::new(column.finish()),
            Self::Other(values, null) => match values.is_empty() {
                true => null.to_array_of_size(0).map_err(|error| error.to_string())?,
                false => ScalarValue::iter_to_array(std::mem::take(values))
                    .map_err(|error| error.to_string())?,
            },
        })
    }
}
