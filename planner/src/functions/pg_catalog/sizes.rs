//! Sizes of things, and how they are shown.

use datafusion::common::Result;

use super::function::{Call, Kind, Spec, Value, immutable, volatile};
use super::names::relation_oid;

pub(super) const FUNCTIONS: &[Spec] = &[
    volatile("pg_relation_size", (1, 2), Kind::Int8, relation_size),
    volatile("pg_total_relation_size", (1, 1), Kind::Int8, relation_size),
    volatile("pg_table_size", (1, 1), Kind::Int8, relation_size),
    volatile("pg_indexes_size", (1, 1), Kind::Int8, |_, _| Ok(Value::Int(0))),
    volatile("pg_relation_filenode", (1, 1), Kind::Oid, |call, row| {
        Ok(Value::oid(relation_oid(call, row)))
    }),
    volatile("pg_relation_filepath", (1, 1), Kind::Text, |_, _| Ok(Value::Null)),
    volatile("pg_database_size", (1, 1), Kind::Int8, |call, _| {
        let tables = call.facts.catalog.schemas.iter().flat_map(|schema| &schema.tables);
        Ok(Value::Int(tables.map(|entry| estimate(entry)).sum()))
    }),
    volatile("pg_tablespace_size", (1, 1), Kind::Int8, |_, _| Ok(Value::Int(0))),
    volatile("pg_tablespace_location", (1, 1), Kind::Text, |_, _| Ok(Value::text(""))),
    immutable("pg_size_pretty", (1, 1), Kind::Text, |call, row| {
        Ok(Value::from_text(call.int(0, row).map(pretty)))
    }),
    immutable("pg_size_bytes", (1, 1), Kind::Int8, |call, row| {
        Ok(call.text(0, row).and_then(bytes).map_or(Value::Null, Value::Int))
    }),
    immutable("pg_column_size", (1, 1), Kind::Int4, |call, row| {
        let Some(shown) = call.shown(0, row)? else { return Ok(Value::Null) };
        let fixed = call.field(0).and_then(|field| field.data_type().primitive_width());
        // A short text has one byte in front.
        let size = fixed.unwrap_or_else(|| shown.len().saturating_add(1));
        Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
    }),
];

fn relation_size(call: &Call<'_>, row: usize) -> Result<Value> {
    let found = relation_oid(call, row).and_then(|oid| call.table(oid));
    Ok(found.map_or(Value::Null, |(_, entry)| Value::Int(estimate(entry))))
}

/// Bytes of a table's rows as far as its columns tell: files are not opened to answer this.
fn estimate(entry: &tarn_catalog::TableEntry) -> i64 {
    let width: usize =
        entry.columns.iter().map(|column| column.data_type.primitive_width().unwrap_or(16)).sum();
    let rows = i64::try_from(entry.n_rows_estimate.unwrap_or(0)).unwrap_or(i64::MAX);
    rows.saturating_mul(i64::try_from(width).unwrap_or(i64::MAX))
}

/// PostgreSQL's limits: a unit is used up to 10240 of it, rounded half up.
fn pretty(size: i64) -> String {
    const LIMIT: u64 = 10 * 1024;
    let sign = if size < 0 { "-" } else { "" };
    let mut rest = size.unsigned_abs();
    if rest < LIMIT {
        return format!("{sign}{rest} bytes");
    }
    // One bit more than the unit is kept until the end, to round by it.
    rest >>= 9;
    for (at, unit) in ["kB", "MB", "GB", "TB", "PB"].iter().enumerate() {
        if rest < LIMIT * 2 - 1 || at == 4 {
            return format!("{sign}{} {unit}", rest.div_ceil(2));
        }
        rest >>= 10;
    }
    format!("{sign}{rest} bytes")
}

fn bytes(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '.');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 1.0,
        "kb" => 1024.0,
        "mb" => 1024.0 * 1024.0,
        "gb" => 1024.0 * 1024.0 * 1024.0,
        "tb" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "sizes of more than 8 EB saturate")]
    number.parse::<f64>().ok().map(|number| (number * factor).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::{bytes, pretty};

    #[test]
    fn sizes_read_as_in_postgresql() {
        let check = |size, expected: &str| assert_eq!(pretty(size), expected, "{size}");
        check(0, "0 bytes");
        check(10_239, "10239 bytes");
        check(10_240, "10 kB");
        check(-20_000, "-20 kB");
        check(1_000_000, "977 kB");
        check(10_485_247, "10239 kB");
        check(10_485_248, "10 MB");
        check(1_000_000_000_000, "931 GB");
        assert_eq!(bytes("1.5 kB"), Some(1536));
        assert_eq!(bytes("many"), None);
    }
}
