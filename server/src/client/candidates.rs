//! What could stand at the cursor: tables after FROM, columns of the tables of the statement, words.

use super::lexer::{Kind, is_word_part, tokens};
use super::meta::COMMANDS;
use super::names::{Names, columns_of, quote, table_candidates, unquote};
use super::options::Format;

/// Words offered and coloured.
const KEYWORDS: &str = "ALL ANALYZE AND ANY AS ASC BEGIN BETWEEN BY CASE CAST COALESCE COMMIT COPY CREATE CROSS \
    CURRENT_DATE CURRENT_TIMESTAMP DATE DELETE DESC DESCRIBE DISTINCT DROP ELSE END EXCEPT EXISTS EXPLAIN EXTRACT \
    FALSE FETCH FILTER FIRST FOLLOWING FOR FROM FULL GROUP HAVING ILIKE IN INNER INSERT INTERSECT INTERVAL INTO IS \
    JOIN LAST LATERAL LEFT LIKE LIMIT NATURAL NOT NULL NULLS OF OFFSET ON OR ORDER OUTER OVER PARTITION PRECEDING \
    RANGE RECURSIVE RESET RIGHT ROLLBACK ROLLUP ROW ROWS SELECT SET SHOW SOME TABLE THEN TIMESTAMP TO TRUE TRUNCATE \
    UNBOUNDED UNION UPDATE USING VALUES VERSION VIEW WHEN WHERE WINDOW WITH";

const FUNCTIONS: &str = "abs( array_agg( avg( ceil( concat( count( date_bin( date_part( date_trunc( dense_rank( \
    first_value( floor( greatest( lag( last_value( lead( least( length( lower( max( median( min( ntile( nullif( \
    percentile_cont( rank( regexp_replace( replace( round( row_number( split_part( stddev( string_agg( substring( \
    sum( to_char( to_timestamp( trim( upper(";

/// What could stand at the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Where the word under the cursor starts.
    pub(super) start: usize,
    /// The word up to the cursor.
    word: String,
    kind: WantedKind,
}

#[derive(Debug, PartialEq, Eq)]
enum WantedKind {
    Command,
    FormatName,
    Table,
    /// Columns of these tables, keywords, functions.
    Expression {
        tables: Vec<(String, Option<String>)>,
    },
    /// After `qualifier.`: columns of a table or alias, tables of a schema.
    Member {
        qualifier: String,
        tables: Vec<(String, Option<String>)>,
    },
}

impl Wanted {
    pub(super) fn needs_names(&self) -> bool {
        !matches!(self.kind, WantedKind::Command | WantedKind::FormatName)
    }
}

/// Reads the surroundings of the cursor; nothing inside of strings and comments.
pub(super) fn wanted(line: &str, pos: usize) -> Option<Wanted> {
    let before = line.get(..pos)?;
    let last_line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let last_line = before.get(last_line_start..)?;
    let word_start = before
        .char_indices()
        .rev()
        .take_while(|(_, c)| is_word_part(*c) || *c == '"')
        .last()
        .map_or(pos, |(at, _)| at);
    let word = before.get(word_start..)?.to_owned();
    let found = |start: usize, word: String, kind: WantedKind| Some(Wanted { start, word, kind });
    if let Some(command) = last_line.trim_start().strip_prefix('\\') {
        return match command.split_once(' ') {
            None => {
                let start = pos - command.len() - 1;
                found(start, format!("\\{command}"), WantedKind::Command)
            }
            Some(("format", _)) => found(word_start, word, WantedKind::FormatName),
            Some(("d" | "dt" | "dv", _)) => {
                found(word_start, word, member_or(before, word_start, WantedKind::Table, line))
            }
            Some(_) => None,
        };
    }
    let open = tokens(before.get(..word_start)?).last();
    if open.is_some_and(|token| {
        !token.closed || (token.kind == Kind::Comment && token.text.starts_with("--"))
    }) {
        return None;
    }
    let previous =
        tokens(before.get(..word_start)?).filter(|token| token.kind == Kind::Word).last();
    let after_word = before.get(..word_start)?.trim_end().ends_with(is_word_part);
    let table_follows =
        ["from", "join", "into", "update", "table", "describe", "analyze", "truncate"];
    let is_table = after_word
        && previous.is_some_and(|token| {
            table_follows.iter().any(|word| token.text.eq_ignore_ascii_case(word))
        });
    let kind = match is_table {
        true => WantedKind::Table,
        false => WantedKind::Expression { tables: tables_in(line) },
    };
    found(word_start, word, member_or(before, word_start, kind, line))
}

fn member_or(before: &str, word_start: usize, kind: WantedKind, line: &str) -> WantedKind {
    let Some(head) = before.get(..word_start).and_then(|head| head.strip_suffix('.')) else {
        return kind;
    };
    let qualifier: String =
        head.chars().rev().take_while(|c| is_word_part(*c) || *c == '"').collect();
    let qualifier = unquote(&qualifier.chars().rev().collect::<String>());
    WantedKind::Member { qualifier, tables: tables_in(line) }
}

/// Finds the tables of a statement, each with its alias.
fn tables_in(line: &str) -> Vec<(String, Option<String>)> {
    let words: Vec<_> =
        tokens(line).filter(|token| !matches!(token.kind, Kind::Space | Kind::Comment)).collect();
    let mut tables = Vec::new();
    let mut at = 0;
    let mut in_list = false;
    while let Some(token) = words.get(at) {
        at += 1;
        let starts = ["from", "join", "into", "update"]
            .iter()
            .any(|word| token.text.eq_ignore_ascii_case(word));
        let continues = in_list && token.text == ",";
        if !starts && !continues {
            in_list &= matches!(token.kind, Kind::Word | Kind::Quoted) && !is_keyword(token.text);
            continue;
        }
        in_list = true;
        let mut name = None;
        while let Some(part) = words.get(at).filter(|part| is_name(part.kind, part.text)) {
            name = Some(unquote(part.text));
            at += 1;
            if words.get(at).is_some_and(|dot| dot.text == ".") {
                at += 1
            } else {
                break;
            }
        }
        let Some(name) = name else { continue };
        if words.get(at).is_some_and(|token| token.text.eq_ignore_ascii_case("as")) {
            at += 1;
        }
        let alias = words
            .get(at)
            .filter(|part| is_name(part.kind, part.text))
            .map(|part| unquote(part.text));
        at += usize::from(alias.is_some());
        tables.push((name, alias));
    }
    tables
}

fn is_name(kind: Kind, text: &str) -> bool {
    kind == Kind::Quoted || (kind == Kind::Word && !is_keyword(text))
}

pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.split_ascii_whitespace().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

pub(super) fn candidates(wanted: &Wanted, names: &Names) -> Vec<String> {
    let word = wanted.word.trim_start_matches('"').to_lowercase();
    let fits = |name: &str| name.to_lowercase().starts_with(&word);
    let mut found: Vec<String> = match &wanted.kind {
        WantedKind::Command => matching(COMMANDS.into_iter(), fits),
        WantedKind::FormatName => matching(Format::NAMES.iter().map(|(name, _)| *name), fits),
        WantedKind::Table => table_candidates(names, &word),
        WantedKind::Member { qualifier, tables } => {
            let of_schema = names.tables.iter().filter(|table| table.schema == *qualifier);
            let tables_there = of_schema.map(|table| table.name.as_str());
            let columns = columns_of(names, qualifier, tables);
            columns.chain(tables_there).filter(|name| fits(name)).map(quote).collect()
        }
        WantedKind::Expression { tables } => {
            let named = tables.iter().flat_map(|(name, _)| columns_of(names, name, &[]));
            let mut found: Vec<String> = named.filter(|name| fits(name)).map(quote).collect();
            if !word.is_empty() {
                let lower = wanted.word.starts_with(char::is_lowercase);
                let keywords = matching(KEYWORDS.split_ascii_whitespace(), fits);
                found
                    .extend(keywords.into_iter().map(|k| if lower { k.to_lowercase() } else { k }));
                found.extend(matching(FUNCTIONS.split_ascii_whitespace(), fits));
                let aliases = tables.iter().map(|(name, alias)| alias.as_ref().unwrap_or(name));
                found.extend(aliases.filter(|name| fits(name)).map(|name| quote(name)));
            }
            found
        }
    };
    found.sort();
    found.dedup();
    found
}

fn matching<'a>(words: impl Iterator<Item = &'a str>, fits: impl Fn(&str) -> bool) -> Vec<String> {
    words.filter(|word| fits(word)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let rows = [
            ("public", "nation", "n_name"),
            ("public", "nation", "n_nationkey"),
            ("public", "Region", "r_name"),
            ("tpch", "orders", "o_orderkey"),
            ("pg_catalog", "pg_class", "relname"),
        ];
        Names::from_rows(rows.into_iter().map(|row| <[&str; 3]>::from(row).map(str::to_owned)))
    }

    /// `|` is the cursor.
    fn check(text: &str, expect: &[&str]) {
        let pos = text.find('|').unwrap_or(text.len());
        let line = text.replace('|', "");
        let found =
            wanted(&line, pos).map(|wanted| candidates(&wanted, &names())).unwrap_or_default();
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn tables_after_from() {
        check("select * from na|", &["nation"]);
        check("select * from |", &["\"Region\"", "nation", "tpch.", "tpch.orders"]);
        check("select * from tpch.|", &["orders"]);
        check("select * from nation n join o|", &["tpch.orders"]);
        check("\\d na|", &["nation"]);
        check("select * from pg_cl|", &["pg_class"]);
    }

    #[test]
    fn columns_in_expressions() {
        check("select n_| from nation", &["n_name", "n_nationkey"]);
        check("select n.n_n| from nation n", &["n_name", "n_nationkey"]);
        check("select | from nation", &["n_name", "n_nationkey"]);
        check("select * from nation as x where x.n_na|", &["n_name", "n_nationkey"]);
        check("select o_| from nation, tpch.orders", &["o_orderkey"]);
    }

    #[test]
    fn keywords_follow_the_case_typed() {
        check("sele|", &["select"]);
        check("SELE|", &["SELECT"]);
        check("\\tim|", &["\\timing"]);
        check("\\format c|", &["csv"]);
    }

    #[test]
    fn nothing_in_strings_and_comments() {
        check("select 'sel|", &[]);
        check("select 1 -- sel|", &[]);
        check("/* sel|", &[]);
    }
}
