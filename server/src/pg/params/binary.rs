//! Binary forms.

use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use tarn_catalog::pg_type::{self, Json, TimeTz};
use tarn_planner::calendar::{MICROS_PER_DAY, date_in_range, timestamp_in_range};

use super::number::Decimal;
use super::{ParamError, array, interval, null_of, parse_json, timetz_value, unsupported, utf8};
use crate::pg::rows::datetime::{PG_EPOCH_DAYS, PG_EPOCH_MICROS};

/// Bytes that have not been read.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ParamError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(ParamError::binary)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn int2(&mut self) -> Result<i16, ParamError> {
        Ok(i16::from_be_bytes(self.take()?))
    }

    fn int4(&mut self) -> Result<i32, ParamError> {
        Ok(i32::from_be_bytes(self.take()?))
    }

    fn int8(&mut self) -> Result<i64, ParamError> {
        Ok(i64::from_be_bytes(self.take()?))
    }

    /// Takes a value behind its length; `None` for NULL.
    fn value(&mut self) -> Result<Option<&'a [u8]>, ParamError> {
        let length = self.int4()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| ParamError::binary())?;
        let (value, rest) = self.rest.split_at_checked(length).ok_or_else(ParamError::binary)?;
        self.rest = rest;
        Ok(Some(value))
    }

    fn end(&self) -> Result<(), ParamError> {
        if self.rest.is_empty() { Ok(()) } else { Err(ParamError::binary()) }
    }
}

/// Reads the binary form of a type.
pub(super) fn decode(oid: u32, bytes: &[u8]) -> Result<ScalarValue, ParamError> {
    let mut reader = Reader { rest: bytes };
    let value = match oid {
        16 => ScalarValue::Boolean(Some(reader.take::<1>()? != [0])),
        17 => return Ok(ScalarValue::Binary(Some(bytes.to_vec()))),
        20 => ScalarValue::Int64(Some(reader.int8()?)),
        21 => ScalarValue::Int16(Some(reader.int2()?)),
        23 => ScalarValue::Int32(Some(reader.int4()?)),
        700 => ScalarValue::Float32(Some(f32::from_be_bytes(reader.take()?))),
        701 => ScalarValue::Float64(Some(f64::from_be_bytes(reader.take()?))),
        1700 => decimal(&mut reader)?.into_scalar()?,
        1082 => {
            let counted = reader.int4()?;
            let days = date_in_range(i64::from(counted) + PG_EPOCH_DAYS);
            // The infinities are the same everywhere.
            let days = if matches!(counted, i32::MAX | i32::MIN) { Some(counted) } else { days };
            ScalarValue::Date32(Some(days.ok_or_else(|| out_of_range("date"))?))
        }
        1083 => ScalarValue::Time64Microsecond(Some(time(&mut reader)?)),
        1114 => ScalarValue::TimestampMicrosecond(Some(timestamp(&mut reader)?), None),
        1184 => {
            ScalarValue::TimestampMicrosecond(Some(timestamp(&mut reader)?), Some("UTC".into()))
        }
        1186 => {
            let (micros, days, months) = (reader.int8()?, reader.int4()?, reader.int4()?);
            let interval = interval::from_parts(months.into(), days.into(), micros.into());
            interval.ok_or_else(|| out_of_range("interval"))?
        }
        1266 => time_with_zone(&mut reader)?,
        1560 | 1562 => return bits(&mut reader),
        2950 => ScalarValue::FixedSizeBinary(16, Some(reader.take::<16>()?.to_vec())),
        114 => return parse_json(utf8(bytes)?, Json::Text),
        3802 => match bytes.split_first() {
            Some((1, text)) => return parse_json(utf8(text)?, Json::Binary),
            Some(_) | None => return Err(ParamError::binary()),
        },
        _ => return decode_other(oid, bytes),
    };
    reader.end()?;
    Ok(value)
}

/// Reads what is told by the kind of type rather than by its number.
fn decode_other(oid: u32, bytes: &[u8]) -> Result<ScalarValue, ParamError> {
    let Some(info) = pg_type::type_info(oid) else {
        return text(bytes);
    };
    match pg_type::arrow_type_of(oid) {
        Some(DataType::List(_)) => {
            // int2vector and oidvector begin at 0.
            let lower = if matches!(info.oid, 22 | 30) { 0 } else { 1 };
            decode_array(info.element, lower, bytes)
        }
        Some(DataType::UInt32) => {
            let mut reader = Reader { rest: bytes };
            let value = reader.int4()?.cast_unsigned();
            reader.end()?;
            Ok(ScalarValue::UInt32(Some(value)))
        }
        // Types whose binary form is their text.
        Some(DataType::Utf8)
            if matches!(info.category, 'S' | 'X') || matches!(oid, 18 | 142 | 194 | 1790) =>
        {
            text(bytes)
        }
        Some(_) | None => Err(unsupported(oid)),
    }
}

fn text(bytes: &[u8]) -> Result<ScalarValue, ParamError> {
    Ok(ScalarValue::Utf8(Some(utf8(bytes)?.to_owned())))
}

fn out_of_range(type_name: &str) -> ParamError {
    ParamError::new("22008", format!("{type_name} out of range"))
}

fn time(reader: &mut Reader<'_>) -> Result<i64, ParamError> {
    let micros = reader.int8()?;
    let valid = (0..=MICROS_PER_DAY).contains(&micros);
    if valid { Ok(micros) } else { Err(out_of_range("time")) }
}

fn timestamp(reader: &mut Reader<'_>) -> Result<i64, ParamError> {
    let counted = reader.int8()?;
    if matches!(counted, i64::MAX | i64::MIN) {
        return Ok(counted);
    }
    let micros = counted.checked_add(PG_EPOCH_MICROS);
    micros.and_then(timestamp_in_range).ok_or_else(|| out_of_range("timestamp"))
}

/// The zone counts seconds west of Greenwich.
fn time_with_zone(reader: &mut Reader<'_>) -> Result<ScalarValue, ParamError> {
    let micros = time(reader)?;
    let time = TimeTz::new(micros, reader.int4()?)
        .ok_or_else(|| ParamError::new("22009", "time zone displacement out of range"))?;
    Ok(timetz_value(time))
}

/// Reads a number of bits and the bytes that they fill.
fn bits(reader: &mut Reader<'_>) -> Result<ScalarValue, ParamError> {
    let n_bits = usize::try_from(reader.int4()?).map_err(|_| ParamError::binary())?;
    let bytes = reader.rest;
    if bytes.len() != n_bits.div_ceil(8) {
        return Err(ParamError::binary());
    }
    let digits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1 == 1));
    let digits = digits.take(n_bits).map(|bit| if bit { '1' } else { '0' });
    Ok(ScalarValue::Utf8(Some(digits.collect())))
}

/// Reads digits to base 10,000 and cuts them to the scale that is announced.
fn decimal(reader: &mut Reader<'_>) -> Result<Decimal, ParamError> {
    let n_groups = usize::try_from(reader.int2()?).map_err(|_| ParamError::binary())?;
    let weight = i64::from(reader.int2()?);
    let sign = reader.int2()?.cast_unsigned();
    let scale = i64::from(reader.int2()?);
    if !(0..=0x3fff).contains(&scale) {
        return Err(ParamError::binary());
    }
    match sign {
        0 | 0x4000 => {}
        0xc000 | 0xd000 | 0xf000 => {
            // NaN and the infinities.
            let message = "value \"NaN\" or infinity is out of range for type numeric";
            return Err(ParamError::new("22003", message));
        }
        _ => return Err(ParamError::binary()),
    }
    // The groups are read one by one: the count alone takes no memory.
    let mut digits = Vec::new();
    for _ in 0..n_groups {
        let group = reader.int2()?;
        if !(0..10_000).contains(&group) {
            return Err(ParamError::binary());
        }
        for unit in [1000, 100, 10, 1] {
            digits.push(u8::try_from(group / unit % 10).unwrap_or(0));
        }
    }
    let n_digits = i64::try_from(digits.len()).map_err(|_| ParamError::binary())?;
    let n_behind = n_digits - (weight + 1) * 4;
    if digits.is_empty() {
        return Decimal::from_digits(false, digits, scale);
    }
    // Zeros at the end are not sent, and the last group may have digits beyond the scale.
    let missing = scale - n_behind;
    if missing < 0 {
        let kept = usize::try_from(n_digits + missing).unwrap_or(0);
        digits.truncate(kept);
    } else {
        let all = digits.len().saturating_add(usize::try_from(missing).unwrap_or(usize::MAX));
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        // Beyond this nothing but zeros can be dropped again, and those were checked for above.
        if all > zeros + 40_000 {
            return Decimal::from_digits(sign != 0, digits, n_behind);
        }
        digits.resize(all, 0);
    }
    Decimal::from_digits(sign != 0, digits, scale)
}

/// Reads an array of any number of dimensions, whose subscripts begin at `lower`.
fn decode_array(element_oid: u32, lower: i32, bytes: &[u8]) -> Result<ScalarValue, ParamError> {
    let mut reader = Reader { rest: bytes };
    let n_dimensions = reader.int4()?;
    let _has_null = reader.int4()?;
    let sent_oid = reader.int4()?.cast_unsigned();
    if !(0..=6).contains(&n_dimensions) {
        return Err(ParamError::binary());
    }
    if sent_oid != element_oid {
        return Err(ParamError::new(
            "42804",
            "binary data has array element type other than expected",
        ));
    }
    let mut sizes = Vec::new();
    for _ in 0..n_dimensions {
        sizes.push(usize::try_from(reader.int4()?).map_err(|_| ParamError::binary())?);
        if reader.int4()? != lower {
            return Err(array::shifted_bounds());
        }
    }
    let product = sizes.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    let n_elements = if sizes.is_empty() { Some(0) } else { product };
    // Each element has at least its length.
    let most = reader.rest.len() / 4;
    let n_elements = n_elements.filter(|n| *n <= most).ok_or_else(ParamError::binary)?;
    let mut values = Vec::new();
    for _ in 0..n_elements {
        values.push(reader.value()?);
    }
    reader.end()?;
    if element_oid == 1700 {
        let decode = |value: Option<&[u8]>| value.map(decode_decimal).transpose();
        let decimals = values.into_iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        return array::build(element_oid, array::decimal_scalars(decimals)?, &sizes);
    }
    let decode = |value: Option<&[u8]>| match value {
        Some(value) => decode(element_oid, value),
        None => null_of(element_oid),
    };
    let elements = values.into_iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    array::build(element_oid, elements, &sizes)
}

fn decode_decimal(bytes: &[u8]) -> Result<Decimal, ParamError> {
    let mut reader = Reader { rest: bytes };
    let value = decimal(&mut reader)?;
    reader.end()?;
    Ok(value)
}
