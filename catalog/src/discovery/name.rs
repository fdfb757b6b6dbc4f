//! Names for tables from the names of files and folders.

use std::collections::HashSet;

use percent_encoding::percent_decode_str;

use super::FoundTable;

/// PostgreSQL's limit for identifiers.
const NAME_BYTES_MAX: usize = 63;

/// Gives every table a name of its own and sorts by it.
pub(super) fn assign(mut found: Vec<FoundTable>) -> Vec<FoundTable> {
    found.sort_by(|a, b| a.url.cmp(&b.url));
    let mut taken = HashSet::new();
    for table in &mut found {
        let mut parts = table.url.rsplit('/').filter(|part| !part.is_empty());
        let last = parts.next().map(decoded).unwrap_or_default();
        let own = identifier(if table.single_file { stem(&last) } else { &last });
        let parent = parts.next().map(decoded).unwrap_or_default();
        let longer = identifier(&format!("{own}_{parent}"));
        let numbered = (2..).map(|n| format!("{longer}_{n}"));
        let free = [own, longer.clone()].into_iter().chain(numbered).find(|n| !taken.contains(n));
        table.name = free.unwrap_or_default();
        taken.insert(table.name.clone());
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The name of the table in this folder, as long as no other one has it.
pub(crate) fn table_name(url: &str) -> String {
    url.rsplit('/')
        .find(|part| !part.is_empty())
        .map(decoded)
        .as_deref()
        .map_or_else(String::new, identifier)
}

fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// A file's name without the endings that tell format and compression.
fn stem(name: &str) -> &str {
    const ENDINGS: [&str; 10] = [
        ".gz", ".zst", ".parquet", ".csv", ".tsv", ".json", ".ndjson", ".jsonl", ".snappy", ".zstd",
    ];
    let mut stem = name;
    while let Some((rest, ending)) = stem.rfind('.').map(|at| stem.split_at(at)) {
        if rest.is_empty() || !ENDINGS.contains(&ending.to_ascii_lowercase().as_str()) {
            break;
        }
        stem = rest;
    }
    stem
}

/// Folds words to an identifier that needs no quotes: `Sales 2024` becomes `sales_2024`.
pub(super) fn identifier(words: &str) -> String {
    let mut name = String::with_capacity(words.len());
    for c in words.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    if name.starts_with(|c: char| c.is_numeric()) {
        name.insert_str(0, "t_");
    }
    let mut end = name.len().min(NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let name = name.get(..end).unwrap_or_default().trim_end_matches('_');
    if name.is_empty() { "t".to_owned() } else { name.to_owned() }
}

/// What is left of a file's name without numbers, hexadecimal ids and separators.
///
/// Parts of one table have one shape: `part-0001-9f3c….snappy.parquet`, `2024-01.csv`.
pub(super) fn shape(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    let kept = words.filter(|word| !word.is_empty() && !counts(word));
    kept.map(|word| word.trim_matches(|c: char| c.is_ascii_digit())).collect::<Vec<_>>().join("-")
}

/// Whether a word only tells one part from another: a number or a piece of an id.
fn counts(word: &str) -> bool {
    let hex = word.chars().all(|c| c.is_ascii_hexdigit());
    let n_digits = word.chars().filter(char::is_ascii_digit).count();
    n_digits == word.len() || (hex && word.len() >= 4 && n_digits > 0)
}
