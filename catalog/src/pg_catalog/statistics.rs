//! `pg_stats`: what ANALYZE has learnt.

use std::sync::Arc;

use arrow::array::builder::{Float32Builder, ListBuilder};
use arrow::array::{ArrayRef, Float32Array, RecordBatch};

use super::relations::ColumnsOf;
use crate::Result;
use crate::analyzed::{ColumnFacts, TableStatistics};
use crate::entry::TableEntry;

/// One column of one table that was analyzed.
struct Row<'a> {
    schema: &'a str,
    table: &'a TableEntry,
    column: &'a str,
    statistics: &'a TableStatistics,
    facts: &'a ColumnFacts,
}

pub(super) fn pg_stats(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let mut rows = Vec::new();
    for schema in &columns.snapshot.schemas {
        for table in &schema.tables {
            let Some(statistics) = table.statistics.as_deref() else { continue };
            for column in &table.columns {
                // A column that came or went since is left out.
                let Some(facts) = statistics.columns.get(&column.name) else { continue };
                let (schema, column) = (schema.name.as_str(), column.name.as_str());
                rows.push(Row { schema, table, column, statistics, facts });
            }
        }
    }
    let some = |values: Vec<String>| (!values.is_empty()).then(|| literal(&values));
    let common: Vec<Option<String>> = rows
        .iter()
        .map(|row| some(row.facts.common.iter().map(|(value, _)| value.clone()).collect()))
        .collect();
    let bounds: Vec<Option<String>> =
        rows.iter().map(|row| some(row.facts.bounds.clone())).collect();
    let numbers = |number: fn(&Row<'_>) -> f64| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(single(number(row)))).collect::<Float32Array>())
    };
    let correlation: Float32Array =
        rows.iter().map(|row| row.facts.correlation.map(single)).collect();
    columns
        .of(rows.len())
        .text("schemaname", rows.iter().map(|row| row.schema))
        .text("tablename", rows.iter().map(|row| row.table.name.as_str()))
        .text("attname", rows.iter().map(|row| row.column))
        .set("null_frac", &numbers(|row| row.facts.null_fraction))
        .int("avg_width", rows.iter().map(|row| i64::from(row.facts.average_width_bytes)))
        .set("n_distinct", &numbers(|row| row.facts.pg_n_distinct(row.statistics.n_rows)))
        .text("most_common_vals", common.iter().map(Option::as_deref))
        .set("most_common_freqs", &frequencies(&rows))
        .text("histogram_bounds", bounds.iter().map(Option::as_deref))
        .set("correlation", &(Arc::new(correlation) as ArrayRef))
        .finish()
}

fn frequencies(rows: &[Row<'_>]) -> ArrayRef {
    let mut lists = ListBuilder::new(Float32Builder::new());
    for row in rows {
        for (_, part) in &row.facts.common {
            lists.values().append_value(single(*part));
        }
        lists.append(!row.facts.common.is_empty());
    }
    Arc::new(lists.finish())
}

#[expect(clippy::cast_possible_truncation, reason = "PostgreSQL shows four bytes of an estimate")]
fn single(number: f64) -> f32 {
    number as f32
}

/// An array as PostgreSQL prints it.
fn literal(values: &[String]) -> String {
    let quoted = values.iter().map(|value| {
        let is_plain = !value.is_empty()
            && !value.eq_ignore_ascii_case("null")
            && !value.contains(|c: char| c.is_whitespace() || "{},\"\\".contains(c));
        if is_plain {
            return value.clone();
        }
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    });
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}
