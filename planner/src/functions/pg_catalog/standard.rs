//! The functions of `information_schema`, which clients borrow to read type modifiers.

use super::function::{Call, Kind, Spec, Value, immutable};

pub(super) const FUNCTIONS: &[Spec] = &[
    immutable("_pg_char_max_length", (2, 2), Kind::Int4, |call, row| {
        Ok(number(type_of(call, row).and_then(|(oid, modifier)| match oid {
            1042 | 1043 if modifier >= 4 => Some(modifier - 4),
            1560 | 1562 if modifier >= 0 => Some(modifier),
            _ => None,
        })))
    }),
    immutable("_pg_char_octet_length", (2, 2), Kind::Int4, |call, row| {
        Ok(number(type_of(call, row).and_then(|(oid, modifier)| match oid {
            25 | 1042 | 1043 if modifier < 0 => Some(1 << 30),
            // A character of UTF-8 has up to four bytes.
            1042 | 1043 => Some((modifier - 4) * 4),
            _ => None,
        })))
    }),
    immutable("_pg_numeric_precision", (2, 2), Kind::Int4, |call, row| {
        Ok(number(type_of(call, row).and_then(|(oid, modifier)| match oid {
            21 => Some(16),
            23 => Some(32),
            20 => Some(64),
            700 => Some(24),
            701 => Some(53),
            1700 if modifier >= 4 => Some(((modifier - 4) >> 16) & 0xffff),
            _ => None,
        })))
    }),
    immutable("_pg_numeric_precision_radix", (2, 2), Kind::Int4, |call, row| {
        Ok(number(type_of(call, row).and_then(|(oid, _)| match oid {
            20 | 21 | 23 | 700 | 701 => Some(2),
            1700 => Some(10),
            _ => None,
        })))
    }),
    immutable("_pg_numeric_scale", (2, 2), Kind::Int4, |call, row| {
        Ok(number(type_of(call, row).and_then(|(oid, modifier)| match oid {
            20 | 21 | 23 => Some(0),
            1700 if modifier >= 4 => Some((modifier - 4) & 0xffff),
            _ => None,
        })))
    }),
    immutable("_pg_datetime_precision", (2, 2), Kind::Int4, |call, row| {
        Ok(number(type_of(call, row).and_then(|(oid, modifier)| match oid {
            1082 => Some(0),
            1083 | 1114 | 1184 | 1266 if modifier < 0 => Some(6),
            1083 | 1114 | 1184 | 1266 => Some(modifier),
            1186 if modifier < 0 || modifier & 0xffff == 0xffff => Some(6),
            1186 => Some(modifier & 0xffff),
            _ => None,
        })))
    }),
];

/// Type number and modifier, the arguments of all of these.
fn type_of(call: &Call<'_>, row: usize) -> Option<(u32, i64)> {
    Some((call.oid(0, row)?, call.int(1, row)?))
}

fn number(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Int)
}
