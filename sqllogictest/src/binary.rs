//! Decodes PostgreSQL's binary format into the text form, so that the extended protocol is checked against the
//! same expectations as the simple one.

use std::error::Error;

use tokio_postgres::types::{FromSql, Kind, Type};

use crate::text;

type Decoded<T> = Result<T, Box<dyn Error + Sync + Send>>;

/// A value of any type in its text form.
pub(crate) struct Text(pub(crate) String);

impl<'a> FromSql<'a> for Text {
    fn from_sql(type_: &Type, raw: &'a [u8]) -> Decoded<Self> {
        decode(type_, raw).map(Text)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn decode(type_: &Type, raw: &[u8]) -> Decoded<String> {
    if let Kind::Array(element) = type_.kind() {
        return decode_array(element, raw);
    }
    let mut input = Input { raw };
    Ok(match *type_ {
        Type::BOOL => if input.byte()? == 1 { "t" } else { "f" }.to_owned(),
        Type::INT2 => input.int16()?.to_string(),
        Type::INT4 => input.int32()?.to_string(),
        Type::INT8 => input.int64()?.to_string(),
        Type::OID | Type::XID | Type::CID => u32::from_be_bytes(input.take()?).to_string(),
        Type::FLOAT4 => text::float4(f32::from_be_bytes(input.take()?)),
        Type::FLOAT8 => text::float8(f64::from_be_bytes(input.take()?)),
        Type::NUMERIC => decode_numeric(&mut input)?,
        Type::DATE => match input.int32()? {
            i32::MIN => text::date(i64::from(i32::MIN)),
            days => text::date(i64::from(days) + text::PG_EPOCH_DAYS),
        },
        Type::TIME => text::time(input.int64()?),
        Type::TIMETZ => format!("{}{}", text::time(input.int64()?), text::offset(-input.int32()?)),
        Type::BIT | Type::VARBIT => {
            let n_bits = usize::try_from(input.int32()?)?;
            let bits: String = input.raw.iter().map(|byte| format!("{byte:08b}")).collect();
            bits.get(..n_bits).ok_or("value is too short")?.to_owned()
        }
        Type::TIMESTAMP => text::timestamp(unix_micros(input.int64()?)),
        Type::TIMESTAMPTZ => text::timestamptz(unix_micros(input.int64()?), 0),
        Type::INTERVAL => {
            let micros = input.int64()?;
            let days = input.int32()?;
            text::interval(input.int32()?, days, micros)
        }
        Type::BYTEA => text::bytea(raw),
        Type::UUID => text::uuid(raw),
        Type::JSONB => String::from_utf8(raw.get(1..).unwrap_or_default().to_vec())?,
        Type::REGCLASS | Type::REGTYPE | Type::REGPROC => {
            u32::from_be_bytes(input.take()?).to_string()
        }
        Type::RECORD => decode_record(&mut input)?,
        _ => String::from_utf8(raw.to_vec())?,
    })
}

fn unix_micros(pg_micros: i64) -> i64 {
    match pg_micros {
        // The infinities are the same everywhere.
        i64::MIN | i64::MAX => pg_micros,
        micros => micros + text::PG_EPOCH_DAYS * 86_400_000_000,
    }
}

fn decode_array(element: &Type, raw: &[u8]) -> Decoded<String> {
    let mut input = Input { raw };
    let n_dimensions = input.int32()?;
    let (_flags, _oid) = (input.int32()?, input.int32()?);
    let mut sizes = Vec::new();
    for _ in 0..n_dimensions {
        sizes.push(usize::try_from(input.int32()?)?);
        input.int32()?; // lower bound
    }
    let mut cells = Vec::new();
    for _ in 0..sizes.iter().product::<usize>() * usize::from(n_dimensions > 0) {
        cells.push(input.cell()?.map(|raw| decode(element, raw)).transpose()?);
    }
    let mut is_nested = false;
    for size in sizes.iter().skip(1).rev() {
        cells =
            cells.chunks((*size).max(1)).map(|chunk| Some(text::array(chunk, is_nested))).collect();
        is_nested = true;
    }
    Ok(text::array(&cells, is_nested))
}

fn decode_record(input: &mut Input<'_>) -> Decoded<String> {
    let mut fields = Vec::new();
    for _ in 0..input.int32()? {
        let type_ = Type::from_oid(u32::from_be_bytes(input.take()?)).unwrap_or(Type::TEXT);
        fields.push(input.cell()?.map(|raw| decode(&type_, raw)).transpose()?);
    }
    Ok(text::record(&fields))
}

/// Base-10000 digits with a weight and a display scale.
fn decode_numeric(input: &mut Input<'_>) -> Decoded<String> {
    let n_digits = input.int16()?;
    let weight = input.int16()?;
    let sign = u16::from_be_bytes(input.take()?);
    let scale = usize::try_from(input.int16()?)?;
    let special = match sign {
        0xC000 => Some("NaN"),
        0xD000 => Some("Infinity"),
        0xF000 => Some("-Infinity"),
        _ => None,
    };
    if let Some(special) = special {
        return Ok(special.to_owned());
    }
    let digits = (0..n_digits).map(|_| input.int16()).collect::<Decoded<Vec<i16>>>()?;
    let digit = |position: i16| -> i16 {
        usize::try_from(weight - position).ok().and_then(|i| digits.get(i)).copied().unwrap_or(0)
    };
    let mut whole: String = (0..=weight.max(0)).rev().map(|p| format!("{:04}", digit(p))).collect();
    whole = whole.trim_start_matches('0').to_owned();
    if whole.is_empty() {
        whole.push('0');
    }
    if sign == 0x4000 {
        whole.insert(0, '-');
    }
    if scale == 0 {
        return Ok(whole);
    }
    let n_groups = i16::try_from(scale.div_ceil(4))?;
    let fraction: String = (1..=n_groups).map(|p| format!("{:04}", digit(-p))).collect();
    Ok(format!("{whole}.{}", &fraction[..scale]))
}

/// Bytes that remain to be read.
struct Input<'a> {
    raw: &'a [u8],
}

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (bytes, rest) = self.raw.split_first_chunk::<N>().ok_or("value is too short")?;
        self.raw = rest;
        Ok(*bytes)
    }

    fn byte(&mut self) -> Decoded<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn int16(&mut self) -> Decoded<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn int32(&mut self) -> Decoded<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn int64(&mut self) -> Decoded<i64> {
        self.take().map(i64::from_be_bytes)
    }

    /// A length and that many bytes; -1 is NULL.
    fn cell(&mut self) -> Decoded<Option<&'a [u8]>> {
        let n_bytes = self.int32()?;
        let Ok(n_bytes) = usize::try_from(n_bytes) else {
            return Ok(None);
        };
        let (bytes, rest) = self.raw.split_at_checked(n_bytes).ok_or("value is too short")?;
        self.raw = rest;
        Ok(Some(bytes))
    }
}
