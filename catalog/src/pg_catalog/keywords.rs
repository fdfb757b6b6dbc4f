//! `pg_get_keywords()`: the words of PostgreSQL's grammar, read from `keywords.txt`.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::columns::Columns;
use super::definition::field;
use crate::Result;

/// Quotes an identifier where SQL needs it.
pub(crate) fn quote(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The words that no plain identifier may be.
static RESERVED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let words = include_str!("keywords.txt").lines().filter_map(|line| line.split_once(' '));
    words.filter(|(_, rest)| !rest.starts_with('U')).map(|(word, _)| word).collect()
});

/// Returns the rows of `pg_get_keywords()`.
///
/// # Errors
/// `Internal` only.
pub fn keywords() -> Result<RecordBatch> {
    let columns = [
        ("word", "text"),
        ("catcode", "char"),
        ("barelabel", "bool"),
        ("catdesc", "text"),
        ("baredesc", "text"),
    ];
    let fields: Vec<_> = columns.iter().map(|(name, kind)| field(name, kind, true)).collect();
    let lines = include_str!("keywords.txt").lines().filter(|line| !line.starts_with('#'));
    let rows: Vec<(&str, &str, bool)> = lines
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?, words.next()? == "t"))
        })
        .collect();
    let category = |code: &str| match code {
        "U" => "unreserved",
        "C" => "unreserved (cannot be function or type name)",
        "T" => "reserved (can be function or type name)",
        _ => "reserved",
    };
    let label = |bare: bool| if bare { "can be bare label" } else { "requires AS" };
    Columns::new(&Arc::new(Schema::new(fields)), rows.len())
        .text("word", rows.iter().map(|row| row.0))
        .text("catcode", rows.iter().map(|row| row.1))
        .bool("barelabel", rows.iter().map(|row| row.2))
        .text("catdesc", rows.iter().map(|row| category(row.1)))
        .text("baredesc", rows.iter().map(|row| label(row.2)))
        .finish()
}
