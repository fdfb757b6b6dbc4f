//! The first difference between two answers.

use super::wire::{Answer, Column, Part};

/// Rows shown of each side.
const N_ROWS_SHOWN_MAX: usize = 6;

/// Bytes shown of a side.
const SHOWN_BYTES_MAX: usize = 600;

/// What differs, as "PostgreSQL says" and "tarn says".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `types`, `names`, `rows`, `error`, `tag`, `parameters`, `status`, `statements`.
    pub kind: &'static str,
    /// PostgreSQL's side.
    pub postgres: String,
    /// tarn's side.
    pub tarn: String,
}

/// Compares two answers; `ordered` rows must come in the same order.
pub fn compare(postgres: &Answer, tarn: &Answer, ordered: bool) -> Option<Difference> {
    let parts = postgres.parts.iter().zip(&tarn.parts);
    let first = parts.into_iter().find_map(|(p, t)| compare_parts(p, t, ordered));
    let differ =
        |kind, p: String, t: String| (p != t).then_some(Difference { kind, postgres: p, tarn: t });
    first
        .or_else(|| {
            let counts = |answer: &Answer| format!("{} answers", answer.parts.len());
            differ("statements", counts(postgres), counts(tarn))
        })
        .or_else(|| {
            let failed = postgres.parts.iter().any(|part| part.error.is_some());
            let types = |answer: &Answer| format!("{:?}", answer.parameters);
            (!failed).then(|| differ("parameters", types(postgres), types(tarn))).flatten()
        })
        .or_else(|| {
            let status = |answer: &Answer| char::from(answer.status).to_string();
            differ("status", status(postgres), status(tarn))
        })
}

fn compare_parts(postgres: &Part, tarn: &Part, ordered: bool) -> Option<Difference> {
    let code = |part: &Part| part.error.as_ref().map(|(code, _)| code.clone());
    if code(postgres) != code(tarn) {
        return Some(Difference { kind: "error", postgres: show(postgres), tarn: show(tarn) });
    }
    if postgres.error.is_some() {
        return None;
    }
    let list = |part: &Part, shown: &dyn Fn(&Column) -> String| {
        let columns = part.columns.as_ref();
        columns.map_or_else(
            || "no rows".to_owned(),
            |columns| columns.iter().map(shown).collect::<Vec<_>>().join(", "),
        )
    };
    let differ =
        |kind, p: String, t: String| (p != t).then_some(Difference { kind, postgres: p, tarn: t });
    let names = &|column: &Column| column.name.clone();
    let types = &|column: &Column| match column.modifier {
        -1 => type_name(column.oid),
        modifier => format!("{}({modifier})", type_name(column.oid)),
    };
    differ("names", list(postgres, names), list(tarn, names))
        .or_else(|| differ("types", list(postgres, types), list(tarn, types)))
        .or_else(|| {
            let (mut p, mut t) = (postgres.rows.clone(), tarn.rows.clone());
            if !ordered {
                p.sort();
                t.sort();
            }
            (p != t).then(|| Difference {
                kind: "rows",
                postgres: show(postgres),
                tarn: show(tarn),
            })
        })
        .or_else(|| differ("tag", postgres.tag.clone(), tarn.tag.clone()))
}

/// An answer in a line.
fn show(part: &Part) -> String {
    if let Some((code, message)) = &part.error {
        return format!("{code} {message}");
    }
    if part.columns.is_none() && part.rows.is_empty() {
        return part.tag.clone();
    }
    let rows = part.rows.iter().take(N_ROWS_SHOWN_MAX).map(|row| {
        let values: Vec<_> = row.iter().map(|value| show_value(value.as_deref())).collect();
        format!("({})", values.join(", "))
    });
    let mut shown = rows.collect::<Vec<_>>().join(" ");
    if part.rows.len() > N_ROWS_SHOWN_MAX {
        shown.push_str(&format!(" … {} rows", part.rows.len()));
    }
    if shown.is_empty() {
        shown.push_str("0 rows");
    }
    let end = (0..=SHOWN_BYTES_MAX.min(shown.len())).rev().find(|at| shown.is_char_boundary(*at));
    shown.truncate(end.unwrap_or_default());
    shown
}

fn show_value(value: Option<&[u8]>) -> String {
    let Some(bytes) = value else { return "NULL".to_owned() };
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.iter().fold("x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    }
}

fn type_name(oid: u32) -> String {
    let found = tarn_catalog::pg_type::type_info(oid);
    found.map_or_else(|| oid.to_string(), |found| found.name.to_owned())
}
