//! Files of statements.
//!
//! A statement ends with `;` at the end of a line; a line `--` alone or with text is a comment.
//! Lines that start with `--!` say how the next statement is sent:
//!
//! | line | meaning |
//! |---|---|
//! | `--! setup` | not counted; both servers must accept it |
//! | `--! both` | alone at the top of the file: statements with rows run in both protocols |
//! | `--! extended` | extended protocol, binary rows |
//! | `--! types int4 text` | extended, with declared types (`-` is "not declared") |
//! | `--! bind 7 'two words' NULL` | extended, with parameters in text format |
//! | `--! copy 1,a` | a line that answers COPY FROM STDIN; may be repeated |
//! | `--! message` | up to the next empty line: several statements in one message |

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::wire::Bound;

/// A file of statements.
#[derive(Debug, Clone)]
pub struct Script {
    /// Its name without folder and ending.
    pub name: String,
    /// In order.
    pub statements: Vec<Statement>,
}

/// One statement and how it is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    /// `file/hash`, equal as long as the text and the parameters are; `file/hash.2` for the second
    /// one of that kind.
    pub id: String,
    /// Line of its first word, from 1.
    pub line: usize,
    /// Its text without the last semicolon.
    pub sql: String,
    /// Prepares the others and is not counted.
    pub setup: bool,
    /// Runs in the simple protocol.
    pub simple: bool,
    /// Runs in the extended protocol with these parameters.
    pub extended: Option<Bound>,
    /// Lines for COPY FROM STDIN.
    pub copied: Vec<String>,
}

/// Reads the files of a folder, or those of them that are named.
pub fn read(folder: &Path, names: &[String]) -> Result<Vec<Script>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    paths.sort();
    let mut scripts = Vec::new();
    for path in paths {
        let name = path.file_stem().context("a name")?.to_string_lossy().into_owned();
        if names.is_empty() || names.contains(&name) {
            let text = std::fs::read_to_string(&path)?;
            let script = parse(&name, &text);
            scripts.push(script.with_context(|| path.display().to_string())?);
        }
    }
    for name in names {
        ensure!(scripts.iter().any(|script| script.name == *name), "no file {name}.sql");
    }
    ensure!(!scripts.is_empty(), "{} has no .sql files", folder.display());
    Ok(scripts)
}

/// Directives that wait for their statement.
#[derive(Debug, Default)]
struct Directives {
    setup: bool,
    extended: bool,
    types: Vec<u32>,
    values: Vec<Option<String>>,
    copied: Vec<String>,
    message: bool,
}

/// Cuts a file into statements.
pub fn parse(name: &str, text: &str) -> Result<Script> {
    let mut statements: Vec<Statement> = Vec::new();
    let mut directives = Directives::default();
    let mut both = false;
    let mut sql = String::new();
    let mut first_line = 0;
    // An empty line after the last one ends a message there.
    for (index, line) in text.lines().chain([""]).enumerate() {
        if let Some(words) = line.strip_prefix("--! ") {
            if words == "both" {
                both = true;
            } else {
                directives.read(words).with_context(|| format!("line {}", index + 1))?;
            }
            continue;
        }
        let comment = line.starts_with("--") && !directives.message;
        if sql.is_empty() && (line.trim().is_empty() || comment) {
            continue;
        }
        if sql.is_empty() {
            first_line = index + 1;
        }
        let ends = if directives.message {
            line.trim().is_empty()
        } else {
            line.trim_end().ends_with(';')
        };
        if !line.trim().is_empty() {
            sql.push_str(line);
            sql.push('\n');
        }
        if ends {
            let directives = std::mem::take(&mut directives);
            let mut statement = directives.statement(&std::mem::take(&mut sql), both);
            statement.line = first_line;
            let hash = hash(&statement);
            statement.id = format!("{name}/{hash:08x}");
            // The same text again, after a setting for example, is another statement.
            let n_same = statements.iter().filter(|other| same(&other.id, &statement.id)).count();
            if n_same > 0 {
                statement.id.push_str(&format!(".{}", n_same + 1));
            }
            statements.push(statement);
        }
    }
    ensure!(sql.is_empty(), "the statement at line {first_line} has no semicolon");
    Ok(Script { name: name.to_owned(), statements })
}

/// Whether an id is this one, or this one with a number.
fn same(id: &str, stem: &str) -> bool {
    id.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Statements that return no rows, or do other things as well.
fn is_control(sql: &str) -> bool {
    let word = sql.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    !matches!(word.as_str(), "select" | "values" | "with" | "table")
}

impl Directives {
    fn read(&mut self, words: &str) -> Result<()> {
        let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
        match word {
            "setup" => self.setup = true,
            "extended" => self.extended = true,
            "message" => self.message = true,
            "types" => {
                self.types = rest.split_whitespace().map(type_oid).collect::<Result<_>>()?;
                self.extended = true;
            }
            "bind" => {
                self.values = values(rest)?;
                self.extended = true;
            }
            "copy" => self.copied.push(rest.to_owned()),
            other => bail!("unknown directive {other}"),
        }
        Ok(())
    }

    fn statement(self, sql: &str, both: bool) -> Statement {
        let sql = sql.trim_end();
        let sql = if self.message { sql } else { sql.trim_end_matches(';') };
        let with_rows = !is_control(sql);
        let extended = self.extended || (both && with_rows && !self.setup && !self.message);
        Statement {
            simple: !self.extended,
            extended: extended.then_some(Bound { types: self.types, values: self.values }),
            sql: sql.to_owned(),
            setup: self.setup,
            copied: self.copied,
            ..Statement::default()
        }
    }
}

/// FNV-1a of what is sent: short, and the same on every machine.
fn hash(statement: &Statement) -> u32 {
    let bound = statement.extended.clone().unwrap_or_default();
    let sent = if bound == Bound::default() {
        statement.sql.clone()
    } else {
        format!("{} {:?} {:?}", statement.sql, bound.types, bound.values)
    };
    sent.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Splits `7 'two words' NULL`.
fn values(text: &str) -> Result<Vec<Option<String>>> {
    let mut values = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (value, after) = quoted.split_once('\'').context("a quote is not closed")?;
            values.push(Some(value.to_owned()));
            rest = after.trim_start();
        } else {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            values.push((word != "NULL").then(|| word.to_owned()));
            rest = after.trim_start();
        }
    }
    Ok(values)
}

fn type_oid(name: &str) -> Result<u32> {
    Ok(match name {
        "-" => 0,
        "bool" => 16,
        "bytea" => 17,
        "name" => 19,
        "int8" => 20,
        "int2" => 21,
        "int4" => 23,
        "text" => 25,
        "oid" => 26,
        "json" => 114,
        "float4" => 700,
        "float8" => 701,
        "unknown" => 705,
        "int4[]" => 1007,
        "text[]" => 1009,
        "int8[]" => 1016,
        "float8[]" => 1022,
        "bpchar" => 1042,
        "varchar" => 1043,
        "date" => 1082,
        "time" => 1083,
        "timestamp" => 1114,
        "timestamptz" => 1184,
        "interval" => 1186,
        "timetz" => 1266,
        "bit" => 1560,
        "varbit" => 1562,
        "numeric" => 1700,
        "uuid" => 2950,
        "jsonb" => 3802,
        other => bail!("no type {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_into_statements() {
        let text = "-- c\n--! both\nSELECT 1;\n--! bind 7 'a b' NULL\nSELECT $1,\n  $2;\n";
        let script = parse("f", text).unwrap();
        let [first, second] = script.statements.as_slice() else { panic!("{script:?}") };
        assert_eq!((first.sql.as_str(), first.line), ("SELECT 1", 3));
        assert!(first.simple && first.extended.is_some());
        assert_eq!(second.sql, "SELECT $1,\n  $2");
        assert!(!second.simple);
        let values = second.extended.clone().unwrap().values;
        assert_eq!(values, [Some("7".to_owned()), Some("a b".to_owned()), None]);
    }

    #[test]
    fn equal_statements_are_numbered() {
        let script = parse("f", "BEGIN;\nSELECT 1;\nBEGIN;\n").unwrap();
        let ids: Vec<_> = script.statements.iter().map(|statement| &statement.id).collect();
        assert_eq!(*ids[2], format!("{}.2", ids[0]));
        assert_ne!(ids[0], ids[1]);
    }
}
