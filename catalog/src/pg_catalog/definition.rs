//! What system relations exist and which columns they have.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit};

use crate::entry::{TableEntry, TableKind, columns_of};
use crate::pg_type::{FIELD_PG_TYPE, FIELD_PG_TYPMOD};

/// A relation that the server answers itself.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) oid: u32,
    /// `r` for what PostgreSQL stores as a table, `v` for its views.
    pub(crate) kind: &'static str,
    pub(crate) schema: SchemaRef,
}

/// The relations of one schema in order of their names.
#[derive(Debug)]
pub(crate) struct Definitions {
    list: Vec<Definition>,
    by_name: HashMap<&'static str, usize>,
}

/// The relations of `pg_catalog`.
pub(crate) static PG_CATALOG: LazyLock<Definitions> =
    LazyLock::new(|| Definitions::parse(include_str!("relations.txt")));
/// The relations of `information_schema`.
pub(crate) static INFORMATION_SCHEMA: LazyLock<Definitions> =
    LazyLock::new(|| Definitions::parse(include_str!("../information_schema.txt")));

impl Definitions {
    /// Reads lines of the form `name oid kind column:type column:type!`.
    ///
    /// Lines of another form are skipped; a test counts them.
    fn parse(text: &'static str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let list: Vec<_> = lines.filter_map(parse_line).collect();
        let by_name = list.iter().enumerate().map(|(at, found)| (found.name, at)).collect();
        Self { list, by_name }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.list.iter()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Definition> {
        self.list.get(*self.by_name.get(name)?)
    }

    /// The relations as a snapshot lists them.
    pub(crate) fn entries(&self) -> Vec<Arc<TableEntry>> {
        let entry = |definition: &Definition| {
            Arc::new(TableEntry {
                oid: definition.oid,
                name: definition.name.to_owned(),
                kind: TableKind::System,
                columns: columns_of(&definition.schema),
                n_rows_estimate: None,
                view_definition: None,
                comment: None,
                details: crate::memory::TableDetails::default(),
                statistics: None,
                access: Arc::default(),
            })
        };
        self.iter().map(entry).collect()
    }
}

fn parse_line(line: &'static str) -> Option<Definition> {
    let mut words = line.split(' ');
    let (name, oid, kind) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    let fields = words.map(|word| {
        let (column, type_name) = word.split_once(':')?;
        let required = type_name.ends_with('!');
        Some(field(column, type_name.trim_end_matches('!'), !required))
    });
    let fields = fields.collect::<Option<Vec<_>>>()?;
    Some(Definition { name, oid, kind, schema: Arc::new(Schema::new(fields)) })
}

/// A column of a PostgreSQL type; the metadata names the type where Arrow has none of its own.
pub(crate) fn field(column: &str, type_name: &str, nullable: bool) -> Field {
    if let Some((type_name, length)) = type_name.split_once('(') {
        // `varchar(3)`: the modifier counts the length word of the stored value too.
        let length: i32 = length.trim_end_matches(')').parse().unwrap_or_default();
        let field = field(column, type_name, nullable);
        let mut metadata = field.metadata().clone();
        metadata.insert(FIELD_PG_TYPMOD.to_owned(), (length + 4).to_string());
        return field.with_metadata(metadata);
    }
    let data_type = data_type(type_name);
    let field = Field::new(column, data_type, nullable);
    let natural = matches!(
        type_name,
        "bool"
            | "int2"
            | "int4"
            | "int8"
            | "float4"
            | "float8"
            | "text"
            | "timestamptz"
            | "interval"
            | "bytea"
            | "_text"
            | "_int2"
            | "_float4"
            | "_float8"
            | "_bool"
    );
    if natural {
        return field;
    }
    field.with_metadata(HashMap::from([(FIELD_PG_TYPE.to_owned(), type_name.to_owned())]))
}

fn data_type(type_name: &str) -> DataType {
    let list = |element| DataType::List(Arc::new(Field::new_list_field(element, true)));
    match type_name {
        "bool" => DataType::Boolean,
        "int2" => DataType::Int16,
        "int4" => DataType::Int32,
        "int8" => DataType::Int64,
        "float4" => DataType::Float32,
        "float8" => DataType::Float64,
        "numeric" => DataType::Decimal128(38, 0),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "interval" => DataType::Interval(IntervalUnit::MonthDayNano),
        "bytea" => DataType::Binary,
        "oid" | "xid" | "regproc" | "regtype" => DataType::UInt32,
        "int2vector" => list(DataType::Int16),
        "oidvector" => list(DataType::UInt32),
        _ => match type_name.strip_prefix('_') {
            Some(element) => list(data_type(element)),
            // name, "char", varchar, inet, pg_node_tree and other types with a text form only.
            None => DataType::Utf8,
        },
    }
}
