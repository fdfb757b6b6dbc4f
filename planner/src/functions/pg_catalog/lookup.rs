//! Finding objects by name as PostgreSQL's `reg` types do, and naming them.

use std::sync::Arc;

use tarn_catalog::{CatalogSnapshot, RoleEntry, SchemaEntry, TableEntry};

use super::function::Call;
use crate::facts::SessionFacts;

/// Splits a possibly qualified name into folded parts: `"My Schema".t`.
///
/// `None` for what is no name.
pub(super) fn parts(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut chars = text.trim().chars().peekable();
    loop {
        match chars.next() {
            None => break,
            Some('"') => loop {
                match chars.next()? {
                    '"' if chars.peek() == Some(&'"') => {
                        chars.next();
                        part.push('"');
                    }
                    '"' => break,
                    c => part.push(c),
                }
            },
            Some('.') => parts.push(std::mem::take(&mut part)),
            Some(c) if c.is_whitespace() => {}
            Some(c) => part.extend(c.to_lowercase()),
        }
    }
    parts.push(part);
    (!parts.iter().any(String::is_empty)).then_some(parts)
}

/// The schemas that unqualified names are looked up in, in order.
pub(super) fn search_path(facts: &SessionFacts) -> impl Iterator<Item = &str> {
    let implicit = !facts.search_path.iter().any(|schema| schema == "pg_catalog");
    let implicit = implicit.then_some("pg_catalog");
    let temporary = temporary_schema(facts).map(|schema| schema.name.as_str());
    let path = facts.search_path.iter().map(String::as_str);
    temporary.into_iter().chain(implicit).chain(path)
}

/// The schema of the session's temporary relations, where it has such.
pub(super) fn temporary_schema(facts: &SessionFacts) -> Option<&SchemaEntry> {
    facts.catalog.schema(&format!("pg_temp_{}", facts.backend_pid))
}

/// Finds a relation by a name as written in SQL.
pub(super) fn relation<'a>(
    facts: &'a SessionFacts,
    name: &str,
) -> Option<(&'a SchemaEntry, &'a Arc<TableEntry>)> {
    let parts = parts(name)?;
    let find = |schema: &str, table: &str| {
        let entry = facts.catalog.table(schema, table)?;
        Some((facts.catalog.schema(schema)?, entry))
    };
    match parts.as_slice() {
        [table] => search_path(facts).find_map(|schema| find(schema, table)),
        [schema, table] => find(schema, table),
        [database, schema, table] if *database == facts.database => find(schema, table),
        _ => None,
    }
}

/// Whether an unqualified name finds this relation and not another one before it.
pub(super) fn is_visible(facts: &SessionFacts, schema: &SchemaEntry, entry: &TableEntry) -> bool {
    visible_on(search_path(facts), &facts.catalog, schema, entry)
}

fn visible_on<'a>(
    path: impl Iterator<Item = &'a str>,
    catalog: &CatalogSnapshot,
    schema: &SchemaEntry,
    entry: &TableEntry,
) -> bool {
    for name in path {
        if schema.name == name {
            return true;
        }
        if catalog.table(name, &entry.name).is_some() {
            return false;
        }
    }
    false
}

/// The text of a value of a `reg` type that names an object of the catalog.
#[must_use]
pub fn object_name(
    catalog: &CatalogSnapshot,
    path: &[String],
    type_name: &str,
    object: u32,
) -> Option<String> {
    let role = |role: &RoleEntry| (role.oid == object).then(|| quote_identifier(&role.name));
    match type_name {
        "regclass" => {
            let (schema, entry) = catalog.table_by_oid(object)?;
            let implicit = !path.iter().any(|schema| schema == "pg_catalog");
            let implicit = implicit.then_some("pg_catalog").into_iter();
            let path = implicit.chain(path.iter().map(String::as_str));
            let name = quote_identifier(&entry.name);
            let visible = visible_on(path, catalog, schema, entry);
            Some(if visible { name } else { format!("{}.{name}", quote_identifier(&schema.name)) })
        }
        "regnamespace" => {
            let found = catalog.schemas.iter().find(|schema| schema.oid == object)?;
            Some(quote_identifier(&found.name))
        }
        "regrole" => catalog.roles.iter().find_map(role),
        "regprocedure" => super::names::procedure_name(object),
        "regcollation" => super::names::collation_name(object),
        _ => None,
    }
}

/// The name of a relation as `regclass` prints it: qualified where that is needed.
pub(super) fn relation_name(call: &Call<'_>, oid: u32) -> Option<String> {
    let (schema, entry) = call.table(oid)?;
    let name = quote_identifier(&entry.name);
    if is_visible(call.facts, schema, entry) {
        return Some(name);
    }
    Some(format!("{}.{name}", quote_identifier(&schema.name)))
}

/// Words that PostgreSQL quotes when it prints them as identifiers.
#[rustfmt::skip] // A word a line would fill three screens.
const RESERVED: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization",
    "between", "bigint", "binary", "bit", "boolean", "both", "case", "cast", "char", "character",
    "check", "coalesce", "collate", "collation", "column", "concurrently", "constraint", "create",
    "cross", "current_catalog", "current_date", "current_role", "current_schema", "current_time",
    "current_timestamp", "current_user", "dec", "decimal", "default", "deferrable", "desc",
    "distinct", "do", "else", "end", "except", "exists", "extract", "false", "fetch", "float",
    "for", "foreign", "freeze", "from", "full", "grant", "greatest", "group", "grouping", "having",
    "ilike", "in", "initially", "inner", "inout", "int", "integer", "intersect", "interval", "into",
    "is", "isnull", "join", "lateral", "leading", "least", "left", "like", "limit", "localtime",
    "localtimestamp", "national", "natural", "nchar", "none", "normalize", "not", "notnull", "null",
    "nullif", "numeric", "offset", "on", "only", "or", "order", "out", "outer", "overlaps",
    "overlay", "placing", "position", "precision", "primary", "real", "references", "returning",
    "right", "row", "select", "session_user", "setof", "similar", "smallint", "some", "substring",
    "symmetric", "system_user", "table", "tablesample", "then", "time", "timestamp", "to",
    "trailing", "treat", "trim", "true", "union", "unique", "user", "using", "values", "varchar",
    "variadic", "verbose", "when", "where", "window", "with", "xmlattributes", "xmlconcat",
    "xmlelement", "xmlexists", "xmlforest", "xmlnamespaces", "xmlparse", "xmlpi", "xmlroot",
    "xmlserialize", "xmltable",
];

/// Quotes an identifier where SQL needs it, as `quote_ident` does.
pub(crate) fn quote_identifier(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && RESERVED.binary_search(&name).is_err();
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Quotes a text as `quote_literal` does.
pub(crate) fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') {
        return format!("E'{}'", doubled.replace('\\', "\\\\"));
    }
    format!("'{doubled}'")
}

#[cfg(test)]
mod tests {
    use super::{RESERVED, parts, quote_identifier, quote_literal};

    #[test]
    fn names_are_split_and_quoted_as_sql_does() {
        assert!(RESERVED.is_sorted());
        let check = |text, expected: Option<&[&str]>| {
            let found = parts(text);
            let found = found.as_ref().map(|parts| parts.iter().map(String::as_str).collect());
            assert_eq!(found, expected.map(<[&str]>::to_vec), "{text}");
        };
        check("T", Some(&["t"]));
        check(" Sales . \"Odd \"\"Name\"", Some(&["sales", "Odd \"Name"]));
        check("a.", None);
        check("\"open", None);
        check("", None);
        assert_eq!(quote_identifier("order"), "\"order\"");
        assert_eq!(quote_identifier("orders"), "orders");
        assert_eq!(quote_identifier("1st"), "\"1st\"");
        assert_eq!(quote_literal("a\\b'c"), "E'a\\\\b''c'");
    }
}
