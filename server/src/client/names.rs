//! Names of tables and columns, as the server listed them.

use super::lexer::{is_word_part, is_word_start};

/// All tables and their columns, as the server listed them.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) tables: Vec<TableName>,
}

#[derive(Debug)]
pub(super) struct TableName {
    pub(super) schema: String,
    pub(super) name: String,
    columns: Vec<String>,
}

impl Names {
    /// Collects schema, table and column names that come ordered by table.
    pub(super) fn from_rows(rows: impl Iterator<Item = [String; 3]>) -> Self {
        let mut tables: Vec<TableName> = Vec::new();
        for [schema, name, column] in rows {
            match tables.last_mut() {
                Some(last) if last.schema == schema && last.name == name => {
                    last.columns.push(column);
                }
                _ => tables.push(TableName { schema, name, columns: vec![column] }),
            }
        }
        Self { tables }
    }
}

/// Offers tables by name, system tables and schemas once a part of their name is typed.
pub(super) fn table_candidates(names: &Names, word: &str) -> Vec<String> {
    let is_system = |schema: &str| matches!(schema, "pg_catalog" | "information_schema");
    let mut found = Vec::new();
    for table in &names.tables {
        let visible = match table.schema.as_str() {
            "pg_catalog" => word.starts_with("pg_"),
            "information_schema" => false,
            _ => true,
        };
        if visible && table.name.to_lowercase().starts_with(word) {
            let bare = matches!(table.schema.as_str(), "public" | "pg_catalog");
            let schema = if bare { String::new() } else { format!("{}.", quote(&table.schema)) };
            found.push(format!("{schema}{}", quote(&table.name)));
        }
        let offered = !is_system(&table.schema) || !word.is_empty();
        if offered && table.schema != "public" && table.schema.to_lowercase().starts_with(word) {
            found.push(format!("{}.", quote(&table.schema)));
        }
    }
    found
}

/// Returns the columns of a table given by name or alias.
pub(super) fn columns_of<'a>(
    names: &'a Names,
    name_or_alias: &str,
    tables: &[(String, Option<String>)],
) -> impl Iterator<Item = &'a str> {
    let by_alias = tables.iter().find(|(_, alias)| alias.as_deref() == Some(name_or_alias));
    let name = by_alias.map_or(name_or_alias, |(name, _)| name.as_str());
    let table = names.tables.iter().find(|table| table.name == name);
    table.into_iter().flat_map(|table| table.columns.iter().map(String::as_str))
}

/// Quotes a name that would not be read as itself.
pub(super) fn quote(name: &str) -> String {
    let plain = name.starts_with(|c: char| is_word_start(c) && !c.is_uppercase())
        && name.chars().all(|c| is_word_part(c) && !c.is_uppercase());
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

pub(super) fn unquote(name: &str) -> String {
    match name.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_lowercase(),
    }
}
