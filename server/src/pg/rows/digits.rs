//! Decimals of which not all digits of the column's scale are shown.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, i256};
use bytes::BytesMut;
use tarn_catalog::pg_type::NumericDigits;

use super::column::{Encoder, values};
use super::number::Digits;
use super::{EncodeError, Format};

/// The writer for such a column; `None` where all digits are shown.
pub(super) fn encoder(
    array: &ArrayRef,
    shown: NumericDigits,
    format: Format,
) -> Result<Option<Encoder>, EncodeError> {
    if shown == NumericDigits::All {
        return Ok(None);
    }
    Ok(match array.data_type() {
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            Some(values::<Decimal128Type>(array, move |value, out| {
                put(i256::from_i128(value), scale, shown, format, out)
            })?)
        }
        DataType::Decimal256(_, scale) => {
            let scale = *scale;
            Some(values::<Decimal256Type>(array, move |value, out| {
                put(value, scale, shown, format, out)
            })?)
        }
        _ => None,
    })
}

fn put(
    value: i256,
    scale: i8,
    shown: NumericDigits,
    format: Format,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let out_of_range = || EncodeError::NumberOutOfRange { type_name: "numeric" };
    let digits = Digits::of_wide(value).ok_or_else(out_of_range)?;
    let n_shown = shown.shown(digits.as_bytes(), scale);
    let dropped = u32::try_from(i16::from(scale) - i16::from(n_shown)).unwrap_or(0);
    if dropped == 0 {
        return digits.put(scale, format, out);
    }
    let unit = i256::from_i128(10).checked_pow(dropped).ok_or_else(out_of_range)?;
    let rest = value.wrapping_rem(unit).wrapping_abs();
    let mut kept = value.wrapping_div(unit);
    if rest >= unit.wrapping_sub(rest) {
        let away = if value < i256::ZERO { -1 } else { 1 };
        kept = kept.wrapping_add(i256::from_i128(away));
    }
    Digits::of_wide(kept).ok_or_else(out_of_range)?.put(n_shown, format, out)
}
