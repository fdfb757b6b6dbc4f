//! One column of a batch, ready to write single values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, FixedSizeBinaryArray,
    GenericByteArray, GenericByteViewArray, PrimitiveArray, make_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::*;
use bytes::{BufMut, BytesMut};
use tarn_catalog::pg_type::NumericDigits;
use tarn_catalog::{pg_catalog, pg_type};

use super::number::{Digits, put_float4, put_float8, put_integer};
use super::string::{bytes, strings};
use super::temporal::{temporal, time_with_zone};
use super::{EncodeError, EncodeSettings, Format, digits, json, nested, set_length};
use crate::pg::params;

/// Writes the value of one row; never called for NULL.
pub(super) trait Encode {
    fn encode(&self, row: usize, out: &mut BytesMut) -> Result<(), EncodeError>;
}

impl<F: Fn(usize, &mut BytesMut) -> Result<(), EncodeError>> Encode for F {
    fn encode(&self, row: usize, out: &mut BytesMut) -> Result<(), EncodeError> {
        self(row, out)
    }
}

/// A boxed writer: one virtual call a value, nothing allocated.
pub(super) type Encoder = Box<dyn Encode>;

/// A column of a batch in the form that the client asked for.
pub(crate) struct Column {
    nulls: Option<NullBuffer>,
    encoder: Encoder,
}

impl std::fmt::Debug for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Column").finish_non_exhaustive()
    }
}

impl Column {
    /// Takes an array apart to write it as a PostgreSQL type.
    ///
    /// # Errors
    /// `Unsupported` where there is no such form of the Arrow type.
    pub(crate) fn new(
        array: &ArrayRef,
        oid: u32,
        format: Format,
        settings: &EncodeSettings,
    ) -> Result<Self, EncodeError> {
        let array = plain(array)?;
        let encoder = if matches!(oid, JSON | JSONB) && !has_strings(array.data_type()) {
            let text = json::encoder(&array, settings)?;
            if (oid, format) == (JSONB, Format::Binary) { versioned(text) } else { text }
        } else if format == Format::Binary && !natural(array.data_type(), oid) {
            through_text(&array, oid)?
        } else {
            encoder(&array, oid, format, settings)?
        };
        Ok(Self { nulls: array.logical_nulls(), encoder })
    }

    /// The same for a decimal of which not all digits are shown.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn with_digits(
        array: &ArrayRef,
        column: (u32, Format, NumericDigits),
        settings: &EncodeSettings,
    ) -> Result<Self, EncodeError> {
        let (oid, format, shown) = column;
        match digits::encoder(array, shown, format)? {
            Some(encoder) => Ok(Self { nulls: array.logical_nulls(), encoder }),
            None => Self::new(array, oid, format, settings),
        }
    }

    /// Builds a column from its parts.
    pub(super) fn from_parts(nulls: Option<NullBuffer>, encoder: Encoder) -> Self {
        Self { nulls, encoder }
    }

    /// Whether a row is NULL.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| row < nulls.len() && nulls.is_null(row))
    }

    /// Appends the value of a row that is not NULL, without its length.
    pub(crate) fn encode_value(&self, row: usize, out: &mut BytesMut) -> Result<(), EncodeError> {
        self.encoder.encode(row, out)
    }

    /// Appends the length and the value of a row, or -1 for NULL.
    pub(crate) fn encode(&self, row: usize, out: &mut BytesMut) -> Result<(), EncodeError> {
        if self.is_null(row) {
            out.put_i32(-1);
            return Ok(());
        }
        let length_at = out.len();
        out.put_i32(0);
        self.encoder.encode(row, out)?;
        set_length(out, length_at, out.len() - length_at - 4)
    }
}

const BOOL: u32 = 16;
const BYTEA: u32 = 17;
pub(super) const CHAR: u32 = 18;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
pub(super) const JSON: u32 = 114;
pub(super) const JSONB: u32 = 3802;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
const NUMERIC: u32 = 1700;
pub(super) const TIMESTAMPTZ: u32 = 1184;
const TIMETZ: u32 = 1266;
pub(super) const BIT: u32 = 1560;
pub(super) const VARBIT: u32 = 1562;
pub(super) const UUID: u32 = 2950;
const RECORD: u32 = 2249;
const REGPROC: u32 = 24;
const REGTYPE: u32 = 2206;
const OID: u32 = 26;
const XID: u32 = 28;
const CID: u32 = 29;

/// Object identifiers and their kin: four bytes without sign.
fn oid_like(oid: u32) -> bool {
    matches!(oid, OID | XID | CID)
        || pg_type::type_info(oid)
            .is_some_and(|info| info.category == 'N' && info.name.starts_with("reg"))
}

/// Types whose binary form is made of their text without a detour.
fn text_like(oid: u32) -> bool {
    matches!(oid, CHAR | 142 | 194 | 1033 | JSON | JSONB | BIT | VARBIT | 1790 | 2275)
        || pg_type::type_info(oid).is_none_or(|info| matches!(info.category, 'S' | 'X'))
}

fn has_strings(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
}

/// Whether an Arrow type has the binary form of a PostgreSQL type without a detour.
fn natural(data_type: &DataType, oid: u32) -> bool {
    match data_type {
        _ if data_type.is_integer() => matches!(oid, INT2 | INT4 | INT8 | NUMERIC) || oid_like(oid),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            matches!(oid, FLOAT4 | FLOAT8)
        }
        _ if data_type.is_decimal() => oid == NUMERIC,
        _ if has_strings(data_type) => *data_type == DataType::Null || text_like(oid),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => oid == BYTEA,
        DataType::FixedSizeBinary(size) => {
            oid == BYTEA || (oid == UUID && *size == 16) || (oid == TIMETZ && *size == 12)
        }
        DataType::Boolean => oid == BOOL,
        DataType::Date32 | DataType::Date64 => oid == 1082,
        DataType::Time32(_) | DataType::Time64(_) => oid == 1083,
        DataType::Timestamp(_, _) => matches!(oid, 1114 | TIMESTAMPTZ),
        DataType::Interval(_) | DataType::Duration(_) => oid == 1186,
        DataType::Struct(_) => oid == RECORD,
        _ if data_type.is_list() => nested::element_of(oid).is_some(),
        _ => false,
    }
}

/// Undoes dictionaries and runs, and takes the text of `json` out of its struct.
pub(super) fn plain(array: &ArrayRef) -> Result<ArrayRef, EncodeError> {
    if pg_type::json_kind(array.data_type()).is_some() {
        return json_text(array);
    }
    let value_type = match array.data_type() {
        DataType::Dictionary(_, value_type) => value_type.as_ref(),
        DataType::RunEndEncoded(_, value) => value.data_type(),
        _ => return Ok(Arc::clone(array)),
    };
    let unpacked = cast(array, value_type).map_err(|_| EncodeError::SchemaMismatch)?;
    plain(&unpacked)
}

/// The texts of `json` and `jsonb`.
fn json_text(array: &ArrayRef) -> Result<ArrayRef, EncodeError> {
    let values = array.as_struct_opt().ok_or(EncodeError::SchemaMismatch)?;
    let texts = values.columns().first().ok_or(EncodeError::SchemaMismatch)?;
    let nulls = NullBuffer::union(texts.logical_nulls().as_ref(), values.nulls());
    let texts = texts.to_data().into_builder().nulls(nulls).build();
    Ok(make_array(texts.map_err(|_| EncodeError::SchemaMismatch)?))
}

pub(super) fn unsupported(data_type: &DataType, oid: u32) -> EncodeError {
    let type_name = pg_type::type_info(oid).map_or("unknown", |info| info.sql_name);
    EncodeError::Unsupported { type_name, data_type: data_type.to_string() }
}

/// Writes as text, reads that as the wanted type, and writes its binary form.
///
/// For metadata that names a type far from the Arrow type, such as `uuid` for strings.
fn through_text(array: &ArrayRef, oid: u32) -> Result<Encoder, EncodeError> {
    let parsed = pg_type::arrow_type_of(oid);
    if !parsed.is_some_and(|parsed| natural(&parsed, oid)) {
        return Err(unsupported(array.data_type(), oid));
    }
    // The session's styles might not be read back.
    let settings = EncodeSettings::default();
    let text = encoder(array, oid, Format::Text, &settings)?;
    Ok(Box::new(move |row: usize, out: &mut BytesMut| {
        let mut buffer = BytesMut::new();
        text.encode(row, &mut buffer)?;
        let invalid = |message: String| EncodeError::Invalid { message };
        let value = String::from_utf8_lossy(&buffer);
        let value = params::parse_text(oid, &value).map_err(|error| invalid(error.message))?;
        let value = value.to_array().map_err(|error| invalid(error.to_string()))?;
        if !natural(value.data_type(), oid) {
            return Err(unsupported(value.data_type(), oid));
        }
        encoder(&value, oid, Format::Binary, &settings)?.encode(0, out)
    }))
}

/// Puts the version of `jsonb`'s binary form before its text.
pub(super) fn versioned(text: Encoder) -> Encoder {
    Box::new(move |row: usize, out: &mut BytesMut| {
        out.put_u8(1);
        text.encode(row, out)
    })
}

/// Chooses the writer for an array.
pub(super) fn encoder(
    array: &ArrayRef,
    oid: u32,
    format: Format,
    settings: &EncodeSettings,
) -> Result<Encoder, EncodeError> {
    Ok(match array.data_type() {
        DataType::Null => Box::new(|_: usize, _: &mut BytesMut| Ok(())),
        DataType::Boolean => {
            boolean(array.as_boolean_opt().ok_or(EncodeError::SchemaMismatch)?, format)
        }
        DataType::Int8 => integer::<Int8Type>(array, oid, format, settings)?,
        DataType::Int16 => integer::<Int16Type>(array, oid, format, settings)?,
        DataType::Int32 => integer::<Int32Type>(array, oid, format, settings)?,
        DataType::Int64 => integer::<Int64Type>(array, oid, format, settings)?,
        DataType::UInt8 => integer::<UInt8Type>(array, oid, format, settings)?,
        DataType::UInt16 => integer::<UInt16Type>(array, oid, format, settings)?,
        DataType::UInt32 => integer::<UInt32Type>(array, oid, format, settings)?,
        DataType::UInt64 => integer::<UInt64Type>(array, oid, format, settings)?,
        DataType::Float16 => float4::<Float16Type>(array, oid, format, settings)?,
        DataType::Float32 => float4::<Float32Type>(array, oid, format, settings)?,
        DataType::Float64 => float8(array, oid, format, settings)?,
        DataType::Decimal32(_, scale) => decimal::<Decimal32Type>(array, *scale, format)?,
        DataType::Decimal64(_, scale) => decimal::<Decimal64Type>(array, *scale, format)?,
        DataType::Decimal128(_, scale) => decimal::<Decimal128Type>(array, *scale, format)?,
        DataType::Decimal256(_, scale) => wide_decimal(array, *scale, format)?,
        DataType::Utf8 => strings(typed::<GenericByteArray<Utf8Type>>(array)?, oid, format),
        DataType::LargeUtf8 => {
            strings(typed::<GenericByteArray<LargeUtf8Type>>(array)?, oid, format)
        }
        DataType::Utf8View => {
            strings(typed::<GenericByteViewArray<StringViewType>>(array)?, oid, format)
        }
        DataType::Binary => {
            bytes(typed::<GenericByteArray<BinaryType>>(array)?, oid, format, settings)
        }
        DataType::LargeBinary => {
            bytes(typed::<GenericByteArray<LargeBinaryType>>(array)?, oid, format, settings)
        }
        DataType::BinaryView => {
            bytes(typed::<GenericByteViewArray<BinaryViewType>>(array)?, oid, format, settings)
        }
        DataType::FixedSizeBinary(12) if oid != BYTEA => time_with_zone(array, format)?,
        DataType::FixedSizeBinary(_) => {
            bytes(typed::<FixedSizeBinaryArray>(array)?, oid, format, settings)
        }
        data_type if data_type.is_temporal() => temporal(array, oid, format, settings)?,
        data_type if data_type.is_list() => nested::list(array, oid, format, settings)?,
        DataType::Struct(_) => nested::record(array, format, settings)?,
        DataType::Map(_, _) => json::encoder(array, settings)?,
        other => return Err(unsupported(other, oid)),
    })
}

/// The concrete array, whose buffers are shared with the batch.
pub(super) fn typed<A: Array + Clone + 'static>(array: &ArrayRef) -> Result<A, EncodeError> {
    array.as_any().downcast_ref::<A>().cloned().ok_or(EncodeError::SchemaMismatch)
}

/// A writer for the values of a primitive array.
pub(super) fn values<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    write: impl Fn(T::Native, &mut BytesMut) -> Result<(), EncodeError> + 'static,
) -> Result<Encoder, EncodeError> {
    let values = typed::<PrimitiveArray<T>>(array)?.values().clone();
    Ok(Box::new(move |row: usize, out: &mut BytesMut| match values.get(row) {
        Some(value) => write(*value, out),
        None => Err(EncodeError::SchemaMismatch),
    }))
}

fn boolean(array: &BooleanArray, format: Format) -> Encoder {
    let values = array.values().clone();
    let (yes, no) = if format == Format::Text { (b't', b'f') } else { (1, 0) };
    Box::new(move |row: usize, out: &mut BytesMut| {
        out.put_u8(if row < values.len() && values.value(row) { yes } else { no });
        Ok(())
    })
}

fn integer<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    oid: u32,
    format: Format,
    settings: &EncodeSettings,
) -> Result<Encoder, EncodeError>
where
    T::Native: itoa::Integer + Into<i128>,
{
    let type_name = pg_type::type_info(oid).map_or("integer", |info| info.sql_name);
    let out_of_range = move |_| EncodeError::NumberOutOfRange { type_name };
    if format == Format::Text {
        if oid == OID || !oid_like(oid) || matches!(oid, XID | CID) {
            return values::<T>(array, |value, out| {
                put_integer(out, value);
                Ok(())
            });
        }
        let settings = settings.clone();
        return values::<T>(array, move |value, out| {
            let object = u32::try_from(value.into()).map_err(out_of_range)?;
            put_object_name(out, oid, object, &settings);
            Ok(())
        });
    }
    match oid {
        INT2 => values::<T>(array, move |value, out| {
            out.put_i16(i16::try_from(value.into()).map_err(out_of_range)?);
            Ok(())
        }),
        INT4 => values::<T>(array, move |value, out| {
            out.put_i32(i32::try_from(value.into()).map_err(out_of_range)?);
            Ok(())
        }),
        INT8 => values::<T>(array, move |value, out| {
            out.put_i64(i64::try_from(value.into()).map_err(out_of_range)?);
            Ok(())
        }),
        NUMERIC => values::<T>(array, |value, out| Digits::of(value.into()).put_binary(0, out)),
        _ => values::<T>(array, move |value, out| {
            // The four bytes of an identifier, whatever the sign of the Arrow type says.
            out.put_u32(u32::try_from(value.into()).map_err(out_of_range)?);
            Ok(())
        }),
    }
}

/// Appends the name of a function or type, as the output functions of `regproc` and `regtype` do.
///
/// The other `reg` types name objects of the session's catalog, which the settings may know.
fn put_object_name(out: &mut BytesMut, oid: u32, object: u32, settings: &EncodeSettings) {
    let name = || {
        let type_name = pg_type::type_info(oid)?.name;
        settings.names.as_ref()?.name(type_name, object)
    };
    if object == 0 {
        out.put_u8(b'-');
    } else if oid == REGTYPE && pg_type::type_info(object).is_some() {
        out.extend_from_slice(pg_type::format_type(object, None).as_bytes());
    } else if let (REGPROC, Some(function)) = (oid, pg_catalog::function_by_oid(object)) {
        // A name that stands for several functions needs its schema to be told from itself.
        if pg_catalog::function_by_name(function.name).nth(1).is_some() {
            out.extend_from_slice(b"pg_catalog.");
        }
        out.extend_from_slice(function.name.as_bytes());
    } else if let Some(name) = name() {
        out.extend_from_slice(name.as_bytes());
    } else {
        put_integer(out, object);
    }
}

fn float4<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    oid: u32,
    format: Format,
    settings: &EncodeSettings,
) -> Result<Encoder, EncodeError>
where
    T::Native: Into<f32>,
{
    let extra_digits = settings.extra_float_digits;
    values::<T>(array, move |value, out| {
        let value: f32 = value.into();
        match (format, oid) {
            (Format::Text, _) => put_float4(out, value, extra_digits),
            (Format::Binary, FLOAT8) => out.put_f64(f64::from(value)),
            (Format::Binary, _) => out.put_f32(value),
        }
        Ok(())
    })
}

fn float8(
    array: &ArrayRef,
    oid: u32,
    format: Format,
    settings: &EncodeSettings,
) -> Result<Encoder, EncodeError> {
    let extra_digits = settings.extra_float_digits;
    values::<Float64Type>(array, move |value, out| {
        match (format, oid) {
            (Format::Text, _) => put_float8(out, value, extra_digits),
            (Format::Binary, FLOAT4) => {
                #[expect(clippy::cast_possible_truncation, reason = "rounding is what float4 does")]
                let narrow = value as f32;
                if narrow.is_infinite() && value.is_finite() {
                    return Err(EncodeError::NumberOutOfRange { type_name: "real" });
                }
                out.put_f32(narrow);
            }
            (Format::Binary, _) => out.put_f64(value),
        }
        Ok(())
    })
}

fn decimal<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    scale: i8,
    format: Format,
) -> Result<Encoder, EncodeError>
where
    T::Native: Into<i128>,
{
    values::<T>(array, move |value, out| Digits::of(value.into()).put(scale, format, out))
}

fn wide_decimal(array: &ArrayRef, scale: i8, format: Format) -> Result<Encoder, EncodeError> {
    values::<Decimal256Type>(array, move |value, out| {
        let out_of_range = EncodeError::NumberOutOfRange { type_name: "numeric" };
        Digits::of_wide(value).ok_or(out_of_range)?.put(scale, format, out)
    })
}
