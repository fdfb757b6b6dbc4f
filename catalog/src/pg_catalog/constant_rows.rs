//! Rows that are the same on every server, read from `rows.txt`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, ListArray, RecordBatch, StringArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

use super::columns::Columns;
use super::definition::PG_CATALOG;
use crate::{CatalogError, Result};

/// The rows of one relation as text.
#[derive(Debug)]
pub(crate) struct Section {
    constants: Vec<(&'static str, &'static str)>,
    columns: Vec<&'static str>,
    lines: Vec<&'static str>,
}

static SECTIONS: LazyLock<HashMap<&'static str, Section>> =
    LazyLock::new(|| parse(include_str!("rows.txt")));

fn parse(text: &'static str) -> HashMap<&'static str, Section> {
    let mut sections = HashMap::new();
    let mut open: Option<(&'static str, Section)> = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix("= ") {
            sections.extend(open.take());
            let mut words = header.split(' ');
            let relation = words.next().unwrap_or_default();
            let (constants, columns): (Vec<_>, Vec<_>) = words.partition(|word| word.contains('='));
            let constants = constants.into_iter().filter_map(|word| word.split_once('='));
            let constants = constants.collect();
            open = Some((relation, Section { constants, columns, lines: Vec::new() }));
        } else if let Some((_, section)) = &mut open {
            section.lines.push(line);
        }
    }
    sections.extend(open);
    sections
}

/// The rows of a relation, where it has such.
pub(crate) fn section(relation: &str) -> Option<&'static Section> {
    SECTIONS.get(relation)
}

impl Section {
    pub(crate) fn n_rows(&self) -> usize {
        self.lines.len()
    }

    /// The texts of one column; `None` for NULL and for a column that is not listed.
    pub(crate) fn texts(&self, column: &str) -> impl Iterator<Item = Option<&'static str>> {
        let at = self.columns.iter().position(|name| *name == column);
        self.lines.iter().map(move |line| line.split('\t').nth(at?).filter(|text| *text != "\\N"))
    }

    /// The rows as a batch of the relation's schema.
    pub(crate) fn build(&self, relation: &str) -> Result<RecordBatch> {
        self.columns_of(relation)?.finish()
    }

    /// The columns listed, for a relation that adds to them.
    pub(crate) fn columns_of(&self, relation: &str) -> Result<Columns> {
        let Some(definition) = PG_CATALOG.get(relation) else {
            return Err(CatalogError::Internal { what: format!("no relation {relation}") });
        };
        let schema = &definition.schema;
        let mut columns = Columns::new(schema, self.n_rows());
        for column in &self.columns {
            let Ok(field) = schema.field_with_name(column) else { continue };
            columns = columns.set(column, &array(self.texts(column), field, relation)?);
        }
        for (column, value) in &self.constants {
            let Ok(field) = schema.field_with_name(column) else { continue };
            let values = (0..self.n_rows()).map(|_| Some(*value));
            columns = columns.set(column, &array(values, field, relation)?);
        }
        Ok(columns)
    }
}

fn array<'a>(
    texts: impl Iterator<Item = Option<&'a str>>,
    field: &Field,
    relation: &str,
) -> Result<ArrayRef> {
    let built = match field.data_type() {
        DataType::List(element) => list(texts, element),
        data_type => cast(&StringArray::from_iter(texts), data_type),
    };
    let name = field.name();
    built.map_err(|error| CatalogError::Internal { what: format!("{relation}.{name}: {error}") })
}

/// Reads arrays (`{a,b}`) and vectors (`23 25`).
fn list<'a>(
    texts: impl Iterator<Item = Option<&'a str>>,
    element: &Arc<Field>,
) -> Result<ArrayRef, ArrowError> {
    let (mut values, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for text in texts {
        let before = values.len();
        valid.push(text.is_some());
        let text = text.unwrap_or_default();
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let (text, between) = inner.map_or((text, ' '), |inner| (inner, ','));
        let parts = text.split(between);
        values.extend(parts.map(|part| part.trim_matches('"')).filter(|part| !part.is_empty()));
        lengths.push(values.len() - before);
    }
    let values = cast(&StringArray::from(values), element.data_type())?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls = NullBuffer::from(valid);
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, Some(nulls))?))
}

/// A function of `pg_proc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionRow {
    /// The object identifier.
    pub oid: u32,
    /// The name.
    pub name: &'static str,
    /// `f` function, `a` aggregate, `w` window function.
    pub kind: &'static str,
    /// Whether it yields a set of rows.
    pub returns_set: bool,
    /// The element type of the variadic argument, or zero.
    pub variadic: u32,
    /// The type of the result.
    pub result: u32,
    /// The types of the arguments.
    pub arguments: Vec<u32>,
}

/// The functions with the indexes over them.
#[derive(Debug)]
struct Functions {
    list: Vec<FunctionRow>,
    by_name: HashMap<&'static str, Vec<usize>>,
    by_oid: HashMap<u32, usize>,
}

static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    let list = section("pg_proc").map(function_rows).unwrap_or_default();
    let mut by_name: HashMap<_, Vec<usize>> = HashMap::new();
    for (at, row) in list.iter().enumerate() {
        by_name.entry(row.name).or_default().push(at);
    }
    let by_oid = list.iter().enumerate().map(|(at, row)| (row.oid, at)).collect();
    Functions { list, by_name, by_oid }
});

fn function_rows(section: &'static Section) -> Vec<FunctionRow> {
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap_or_default();
    let mut rows: Vec<_> = section
        .texts("oid")
        .zip(section.texts("proname"))
        .zip(section.texts("prokind").zip(section.texts("proretset")))
        .zip(section.texts("provariadic").zip(section.texts("prorettype")))
        .zip(section.texts("proargtypes"))
        .map(|((((oid, name), (kind, set)), (variadic, result)), arguments)| FunctionRow {
            oid: number(oid),
            name: name.unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            returns_set: set == Some("t"),
            variadic: number(variadic),
            result: number(result),
            arguments: arguments
                .unwrap_or_default()
                .split_ascii_whitespace()
                .filter_map(|oid| oid.parse().ok())
                .collect(),
        })
        .collect();
    rows.sort_by_key(|row| row.oid);
    rows
}

/// Lists the functions of `pg_proc` in order of their numbers.
#[must_use]
pub fn functions() -> &'static [FunctionRow] {
    &FUNCTIONS.list
}

/// Finds the functions of a name.
pub fn function_by_name(name: &str) -> impl Iterator<Item = &'static FunctionRow> + use<> {
    let found = FUNCTIONS.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
    found.iter().filter_map(|at| FUNCTIONS.list.get(*at))
}

/// Finds a function by its number.
#[must_use]
pub fn function_by_oid(oid: u32) -> Option<&'static FunctionRow> {
    FUNCTIONS.list.get(*FUNCTIONS.by_oid.get(&oid)?)
}

/// Lists of texts as an array; `None` for NULL.
pub(crate) fn text_lists<'a>(rows: impl Iterator<Item = Option<&'a [&'a str]>>) -> ArrayRef {
    let mut lists = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    for row in rows {
        match row {
            Some(texts) => lists.append_value(texts.iter().map(Some)),
            None => lists.append_null(),
        }
    }
    Arc::new(lists.finish())
}
