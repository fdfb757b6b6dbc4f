//! Maps, and whatever is announced as `json`, as JSON text in the spacing of `jsonb`.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use bytes::{BufMut, BytesMut};
use tarn_catalog::pg_type;

use super::column::{self, Column, Encoder};
use super::nested::Level;
use super::{EncodeError, EncodeSettings, Format};

/// Chooses the writer of JSON for an array.
pub(super) fn encoder(array: &ArrayRef, settings: &EncodeSettings) -> Result<Encoder, EncodeError> {
    let array = &column::plain(array)?;
    match array.data_type() {
        DataType::Map(_, _) => map(array, settings),
        DataType::Struct(_) => object(array, settings),
        data_type if data_type.is_list() => list(array, settings),
        data_type => {
            let oid = pg_type::pg_type_of_data_type(data_type).oid;
            let text = column::encoder(array, oid, Format::Text, settings)?;
            Ok(match data_type {
                DataType::Boolean => Box::new(move |row: usize, out: &mut BytesMut| {
                    let at = out.len();
                    text.encode(row, out)?;
                    let yes = out.get(at) == Some(&b't');
                    out.truncate(at);
                    out.extend_from_slice(if yes { b"true" } else { b"false" });
                    Ok(())
                }),
                _ if data_type.is_numeric() => Box::new(move |row: usize, out: &mut BytesMut| {
                    let at = out.len();
                    text.encode(row, out)?;
                    // JSON has no numbers for NaN and Infinity.
                    if out.last().is_some_and(u8::is_ascii_alphabetic) {
                        quote_tail(out, at);
                    }
                    Ok(())
                }),
                _ => quoted(text),
            })
        }
    }
}

/// A column whose NULLs are the word `null`.
fn nullable(array: &ArrayRef, settings: &EncodeSettings) -> Result<Column, EncodeError> {
    Ok(Column::from_parts(array.logical_nulls(), encoder(array, settings)?))
}

fn put_value(column: &Column, row: usize, out: &mut BytesMut) -> Result<(), EncodeError> {
    if column.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    column.encode_value(row, out)
}

fn list(array: &ArrayRef, settings: &EncodeSettings) -> Result<Encoder, EncodeError> {
    let (level, elements) = Level::new(array)?;
    let elements = nullable(&elements, settings)?;
    Ok(Box::new(move |row: usize, out: &mut BytesMut| {
        out.put_u8(b'[');
        for (index, element) in level.get(row).enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            put_value(&elements, element, out)?;
        }
        out.put_u8(b']');
        Ok(())
    }))
}

fn object(array: &ArrayRef, settings: &EncodeSettings) -> Result<Encoder, EncodeError> {
    let object = array.as_struct_opt().ok_or(EncodeError::SchemaMismatch)?;
    let fields = object.fields().iter().zip(object.columns());
    let fields = fields.map(|(field, values)| {
        let mut key = BytesMut::new();
        key.extend_from_slice(field.name().as_bytes());
        quote_tail(&mut key, 0);
        Ok((key.freeze(), nullable(values, settings)?))
    });
    let fields = fields.collect::<Result<Vec<_>, EncodeError>>()?;
    Ok(Box::new(move |row: usize, out: &mut BytesMut| {
        out.put_u8(b'{');
        for (index, (key, values)) in fields.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(key);
            out.extend_from_slice(b": ");
            put_value(values, row, out)?;
        }
        out.put_u8(b'}');
        Ok(())
    }))
}

fn map(array: &ArrayRef, settings: &EncodeSettings) -> Result<Encoder, EncodeError> {
    let (level, entries) = Level::new(array)?;
    let entries = entries.as_struct_opt().ok_or(EncodeError::SchemaMismatch)?;
    let [keys, values] = entries.columns() else {
        return Err(EncodeError::SchemaMismatch);
    };
    // Keys are strings in JSON whatever they are in Arrow.
    let oid = pg_type::pg_type_of_data_type(keys.data_type()).oid;
    let keys = quoted(column::encoder(&column::plain(keys)?, oid, Format::Text, settings)?);
    let values = nullable(values, settings)?;
    Ok(Box::new(move |row: usize, out: &mut BytesMut| {
        out.put_u8(b'{');
        for (index, entry) in level.get(row).enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            keys.encode(entry, out)?;
            out.extend_from_slice(b": ");
            put_value(&values, entry, out)?;
        }
        out.put_u8(b'}');
        Ok(())
    }))
}

/// Makes a JSON string of what another writer writes.
fn quoted(text: Encoder) -> Encoder {
    Box::new(move |row: usize, out: &mut BytesMut| {
        let at = out.len();
        text.encode(row, out)?;
        quote_tail(out, at);
        Ok(())
    })
}

/// Makes a JSON string of what was written last.
fn quote_tail(out: &mut BytesMut, at: usize) {
    let tail = out.get(at..).unwrap_or_default();
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    if !tail.iter().any(special) {
        let length = tail.len();
        out.put_u8(b'"');
        out.put_u8(b'"');
        if let Some(place) = out.get_mut(at..at + length + 1) {
            place.rotate_right(1);
        }
        return;
    }
    let raw = tail.to_vec();
    out.truncate(at);
    out.put_u8(b'"');
    for byte in raw {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..0x20 => {
                let digit = |value: u8| b"0123456789abcdef".get(usize::from(value)).copied();
                out.extend_from_slice(b"\\u00");
                out.put_u8(digit(byte >> 4).unwrap_or(b'0'));
                out.put_u8(digit(byte & 15).unwrap_or(b'0'));
            }
            _ => out.put_u8(byte),
        }
    }
    out.put_u8(b'"');
}
