//! Strings and byte strings.

use arrow::array::{Array, FixedSizeBinaryArray, GenericByteArray, GenericByteViewArray};
use arrow::datatypes::{ByteArrayType, ByteViewType};
use bytes::{BufMut, BytesMut};

use super::column::{BIT, CHAR, Encoder, JSONB, UUID, VARBIT, versioned};
use super::{ByteaOutput, EncodeError, EncodeSettings, Format};

/// Arrays whose values are bytes.
pub(super) trait Bytes: Array + 'static {
    /// The value of a row below the array's length.
    fn bytes(&self, row: usize) -> &[u8];
}

impl<T: ByteArrayType> Bytes for GenericByteArray<T> {
    fn bytes(&self, row: usize) -> &[u8] {
        self.value(row).as_ref()
    }
}

impl<T: ByteViewType> Bytes for GenericByteViewArray<T> {
    fn bytes(&self, row: usize) -> &[u8] {
        self.value(row).as_ref()
    }
}

impl Bytes for FixedSizeBinaryArray {
    fn bytes(&self, row: usize) -> &[u8] {
        self.value(row)
    }
}

/// A writer for the values of a byte or string array.
fn slices(array: impl Bytes, write: impl Fn(&[u8], &mut BytesMut) + 'static) -> Encoder {
    Box::new(move |row: usize, out: &mut BytesMut| {
        if row >= array.len() {
            return Err(EncodeError::SchemaMismatch);
        }
        write(array.bytes(row), out);
        Ok(())
    })
}

/// A writer for strings; nearly all types that are text look the same in both forms.
pub(super) fn strings(array: impl Bytes, oid: u32, format: Format) -> Encoder {
    match (format, oid) {
        (Format::Binary, JSONB) => {
            versioned(slices(array, |text, out| out.extend_from_slice(text)))
        }
        (Format::Binary, BIT | VARBIT) => slices(array, put_bits),
        // The one-byte type: longer text is cut, and none is the byte zero.
        (Format::Binary, CHAR) => {
            slices(array, |text, out| out.put_u8(text.first().copied().unwrap_or(0)))
        }
        _ => slices(array, |text, out| out.extend_from_slice(text)),
    }
}

/// A writer for byte strings.
pub(super) fn bytes(
    array: impl Bytes,
    oid: u32,
    format: Format,
    settings: &EncodeSettings,
) -> Encoder {
    match (format, oid, settings.bytea_output) {
        (Format::Binary, _, _) => slices(array, |bytes, out| out.extend_from_slice(bytes)),
        (Format::Text, UUID, _) => slices(array, put_uuid),
        (Format::Text, _, ByteaOutput::Hex) => slices(array, |bytes, out| {
            out.extend_from_slice(b"\\x");
            put_hex(bytes, out);
        }),
        (Format::Text, _, ByteaOutput::Escape) => slices(array, put_escaped),
    }
}

/// The number of bits, then the bits, with noughts behind them up to a whole byte.
fn put_bits(text: &[u8], out: &mut BytesMut) {
    out.put_i32(i32::try_from(text.len()).unwrap_or(i32::MAX));
    for digits in text.chunks(8) {
        let byte = digits.iter().fold(0_u8, |byte, digit| byte << 1 | u8::from(*digit == b'1'));
        out.put_u8(byte << (8 - digits.len()));
    }
}

fn put_hex(bytes: &[u8], out: &mut BytesMut) {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

fn put_uuid(bytes: &[u8], out: &mut BytesMut) {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.put_u8(b'-');
        }
        put_hex(&[*byte], out);
    }
}

fn put_escaped(bytes: &[u8], out: &mut BytesMut) {
    for byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7e => out.put_u8(*byte),
            _ => {
                let digits = [b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)];
                out.put_u8(b'\\');
                out.extend_from_slice(&digits);
            }
        }
    }
}
