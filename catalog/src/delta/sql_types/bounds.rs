//! Bounds of texts to bounds of the values that the texts stand for.
//!
//! A bound may be wider than need be and never narrower: files are left out by it. Other programs
//! may have written the texts, in capital letters for instance, and all of them cut long bounds.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, Time64MicrosecondArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit};

use super::super::index::ColumnBounds;
use super::stored_type;
use super::texts::time_micros;

/// Places of the digits of a UUID in its text; hyphens are between them.
const UUID_TEXT_BYTES: usize = 36;

/// The smallest and largest values that a file may have, by file; `None` where texts say nothing
/// of the values' order.
pub(in crate::delta) fn value_bounds(
    bounds: &ColumnBounds,
    data_type: &DataType,
) -> (Option<ArrayRef>, Option<ArrayRef>) {
    if stored_type(data_type).is_none() {
        return (bounds.min.clone(), bounds.max.clone());
    }
    let (min, max) = (bounds.min.as_ref(), bounds.max.as_ref());
    match data_type {
        DataType::FixedSizeBinary(16) => uuids(min, max).unwrap_or_default(),
        DataType::Time64(TimeUnit::Microsecond) => (min.and_then(times), max.and_then(times)),
        DataType::UInt32 => {
            let strict = CastOptions { safe: true, ..CastOptions::default() };
            let typed = |values: &ArrayRef| cast_with_options(values, data_type, &strict).ok();
            (min.and_then(typed), max.and_then(typed))
        }
        _ => (None, None),
    }
}

/// Texts of times of the day are in the order of the times.
fn times(texts: &ArrayRef) -> Option<ArrayRef> {
    let texts = cast(texts, &DataType::Utf8).ok()?;
    let texts = texts.as_string::<i32>().iter();
    let values: Time64MicrosecondArray = texts.map(|text| time_micros(text?)).collect();
    Some(Arc::new(values))
}

type Bounds = (Option<ArrayRef>, Option<ArrayRef>);

fn uuids(min: Option<&ArrayRef>, max: Option<&ArrayRef>) -> Option<Bounds> {
    let texts = |values: Option<&ArrayRef>| cast(values?, &DataType::Utf8).ok();
    let (min, max) = (texts(min), texts(max));
    let n_files = min.as_ref().or(max.as_ref())?.len();
    let text = |values: &Option<ArrayRef>, i: usize| -> Option<String> {
        let values = values.as_ref()?.as_string::<i32>();
        (i < values.len() && values.is_valid(i)).then(|| values.value(i).to_owned())
    };
    let bytes = |values: Vec<Option<[u8; 16]>>| -> Option<ArrayRef> {
        let values = values.into_iter();
        let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, 16).ok()?;
        Some(Arc::new(array))
    };
    let low: Vec<_> = (0..n_files).map(|i| Some(uuid_low(&text(&min, i)?))).collect();
    let high = (0..n_files).map(|i| {
        let low = text(&min, i).unwrap_or_default();
        Some(uuid_high(&low, &text(&max, i)?))
    });
    let high: Vec<_> = high.collect();
    Some((bytes(low), bytes(high)))
}

/// The smallest UUID whose text, in capital letters or not, is not before `min`.
pub(super) fn uuid_low(min: &str) -> [u8; 16] {
    let mut digits = Digits::default();
    for (at, byte) in min.bytes().take(UUID_TEXT_BYTES).enumerate() {
        match byte {
            b'-' if is_hyphen(at) => {}
            _ if is_hyphen(at) => break,
            b'0'..=b'9' | b'a'..=b'f' => digits.push(hex(byte)),
            // After a capital letter come its followers, and all small letters.
            b'A'..=b'F' => {
                digits.push(10);
                break;
            }
            _ => break,
        }
    }
    digits.filled(0)
}

/// The largest UUID whose text, in capital letters or not, is neither before `min` nor after `max`.
pub(super) fn uuid_high(min: &str, max: &str) -> [u8; 16] {
    let mut digits = Digits::default();
    let mut low = min.bytes();
    // While the bounds agree, all texts between them do.
    let mut is_common = true;
    for (at, byte) in max.bytes().take(UUID_TEXT_BYTES).enumerate() {
        let low = if is_common { low.next() } else { None };
        is_common = is_common && low == Some(byte);
        match byte {
            b'-' if is_hyphen(at) => {}
            _ if is_hyphen(at) => break,
            b'0'..=b'9' | b'A'..=b'F' => digits.push(hex(byte)),
            // Before a small letter there are all capital ones, unless the least text is behind
            // those.
            b'a'..=b'f' if is_common || low.is_some_and(|low| low >= b'a') => {
                digits.push(hex(byte))
            }
            _ => break,
        }
    }
    digits.filled(15)
}

fn is_hyphen(at: usize) -> bool {
    matches!(at, 8 | 13 | 18 | 23)
}

fn hex(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte.saturating_sub(b'A').saturating_add(10) & 15,
    }
}

/// The first digits of a UUID.
#[derive(Debug, Default)]
struct Digits {
    bits: u128,
    n_digits: u32,
}

impl Digits {
    fn push(&mut self, digit: u8) {
        if self.n_digits < 32 {
            self.bits = (self.bits << 4) | u128::from(digit);
            self.n_digits += 1;
        }
    }

    /// The UUID with all further digits alike.
    fn filled(mut self, digit: u8) -> [u8; 16] {
        while self.n_digits < 32 {
            self.push(digit);
        }
        self.bits.to_be_bytes()
    }
}
