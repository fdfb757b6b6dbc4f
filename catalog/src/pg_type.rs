//! The types that clients see: PostgreSQL's, their numbers and names, and how Arrow types map to
//! them.
//!
//! Reading order: [`pg_type_of`] and [`arrow_type_of`] (the mapping), [`TypeInfo`] and its table
//! (`pg_type/table.rs`), [`format_type`] and [`type_by_name`] (`pg_type/name.rs`).
//!
//! Not here: how values are written. That is the concern of the frontends.

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

mod digits;
mod json;
mod name;
mod table;
#[cfg(test)]
mod tests;
mod timetz;

pub use digits::{FIELD_NUMERIC_DIGITS, NumericDigits};
pub use json::{Json, json_kind, json_type};
pub use name::{format_type, type_by_name};
pub use timetz::{TIMETZ, TimeTz};

/// The key of Arrow field metadata whose value, a name in `pg_type`, overrides the mapping.
pub const FIELD_PG_TYPE: &str = "tarn.pg_type";
/// The key of Arrow field metadata that holds a type modifier as a decimal number.
pub const FIELD_PG_TYPMOD: &str = "tarn.pg_typmod";

/// The key of Arrow field metadata that holds the number of the table that a column comes from.
pub const FIELD_TABLE: &str = "tarn.table";
/// The key of Arrow field metadata that holds the column's number there, from one.
pub const FIELD_COLUMN: &str = "tarn.column";

/// The type of times of day with a zone.
const TIME_WITH_ZONE: u32 = 1266;

/// The type of universally unique identifiers.
const UUID: u32 = 2950;

/// The precision of the Arrow type for parameters declared `numeric`.
const PARAMETER_DECIMAL: DataType = DataType::Decimal128(38, 10);

/// A type as `RowDescription` announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PgType {
    /// The number in `pg_type`.
    pub oid: u32,
    /// The length in bytes; -1 where it varies.
    pub size: i16,
    /// The type modifier; -1 where there is none.
    pub modifier: i32,
}

impl PgType {
    fn new(oid: u32, modifier: i32) -> Self {
        Self { oid, size: type_info(oid).map_or(-1, |info| info.size), modifier }
    }
}

/// A row of `pg_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeInfo {
    /// The object identifier.
    pub oid: u32,
    /// The name in the catalog: `int4`.
    pub name: &'static str,
    /// The name that SQL has for it: `integer`.
    pub sql_name: &'static str,
    /// The length in bytes; -1 where it varies, -2 for strings that end in a zero.
    pub size: i16,
    /// Whether values travel in a register.
    pub by_value: bool,
    /// `b` base, `p` pseudo, `r` range, `m` multirange.
    pub kind: char,
    /// The category letter of implicit conversions: `N` numbers, `S` strings, `A` arrays and so on.
    pub category: char,
    /// The element type of arrays, or zero.
    pub element: u32,
    /// The array type over this type, or zero.
    pub array: u32,
    /// The relation of a composite type; always zero here.
    pub relid: u32,
    /// The alignment letter.
    pub align: char,
    /// The storage letter.
    pub storage: char,
    /// The input function.
    pub input: &'static str,
    /// The output function.
    pub output: &'static str,
    /// The function that reads the binary form, or `-`.
    pub receive: &'static str,
    /// The function that writes the binary form, or `-`.
    pub send: &'static str,
}

impl TypeInfo {
    /// Whether implicit conversions within the category prefer this type.
    #[must_use]
    pub fn preferred(&self) -> bool {
        matches!(self.oid, 16 | 25 | 26 | 701 | 869 | 1184 | 1186 | 1562)
    }

    /// The character between the elements of arrays.
    #[must_use]
    pub fn delimiter(&self) -> char {
        if matches!(self.oid, 603 | 1020) { ';' } else { ',' }
    }

    /// The collation, or zero where the type has none.
    #[must_use]
    pub fn collation(&self) -> u32 {
        match self.oid {
            19 | 1003 => 950,
            25 | 194 | 1009 | 1014 | 1015 | 1042 | 1043 => 100,
            _ => 0,
        }
    }

    /// Whether this is an array over another type, not counting the vectors of `pg_index`.
    #[must_use]
    pub fn is_array(&self) -> bool {
        self.element != 0 && self.input == "array_in"
    }

    /// The stem of the functions that read and write type modifiers: `varchartypmod` for
    /// `varchartypmodin` and `varchartypmodout`.
    #[must_use]
    pub fn modifier_stem(&self) -> Option<&'static str> {
        let element = if self.is_array() { self.element } else { self.oid };
        match element {
            1042 => Some("bpchartypmod"),
            1043 => Some("varchartypmod"),
            1083 => Some("timetypmod"),
            1114 => Some("timestamptypmod"),
            1184 => Some("timestamptztypmod"),
            1186 => Some("intervaltypmod"),
            1266 => Some("timetztypmod"),
            1560 => Some("bittypmod"),
            1562 => Some("varbittypmod"),
            1700 => Some("numerictypmod"),
            _ => None,
        }
    }

    /// The function behind subscripts, or `-`.
    #[must_use]
    pub fn subscript(&self) -> &'static str {
        match self.oid {
            19 | 600 | 601 | 603 | 628 => "raw_array_subscript_handler",
            3802 => "jsonb_subscript_handler",
            _ if self.element != 0 => "array_subscript_handler",
            _ => "-",
        }
    }
}

/// Lists the types in order of their numbers.
#[must_use]
pub fn types() -> &'static [TypeInfo] {
    table::TYPES
}

/// Finds a type by its number.
#[must_use]
pub fn type_info(oid: u32) -> Option<&'static TypeInfo> {
    let at = table::TYPES.binary_search_by_key(&oid, |info| info.oid).ok()?;
    table::TYPES.get(at)
}

/// Finds a type by its name in `pg_type`, where `char` is the one-byte type.
#[must_use]
pub fn type_by_catalog_name(name: &str) -> Option<&'static TypeInfo> {
    table::TYPES.iter().find(|info| info.name == name)
}

/// The type that clients see for a column: the one in the field's metadata, or that of its Arrow
/// type.
#[must_use]
pub fn pg_type_of(field: &Field) -> PgType {
    let metadata = field.metadata();
    let modifier = metadata.get(FIELD_PG_TYPMOD).and_then(|value| value.parse().ok());
    let named = metadata.get(FIELD_PG_TYPE).and_then(|name| type_by_catalog_name(name));
    let named = named.map(|info| info.oid).or_else(|| extension_type(field));
    let mapped = match named {
        Some(oid) => PgType::new(oid, -1),
        // Digits are announced for columns and casts, whose metadata says them, as in PostgreSQL.
        None if is_decimal(field.data_type()) => PgType::new(1700, -1),
        None => pg_type_of_data_type(field.data_type()),
    };
    PgType { modifier: modifier.unwrap_or(mapped.modifier), ..mapped }
}

/// The type of a column of a table: a decimal has its digits unless metadata says otherwise.
#[must_use]
pub fn pg_type_of_column(field: &Field) -> PgType {
    let declared = field.metadata().contains_key(FIELD_PG_TYPE);
    if *field.data_type() == DataType::UInt32 && !declared {
        // The next wider type holds what a file has.
        return PgType::new(20, -1);
    }
    if is_decimal(field.data_type()) && !declared {
        return pg_type_of_data_type(field.data_type());
    }
    pg_type_of(field)
}

fn is_decimal(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..)
    )
}

/// The type that Arrow's canonical extension types stand for.
fn extension_type(field: &Field) -> Option<u32> {
    match field.extension_type_name()? {
        "arrow.uuid" => Some(UUID),
        "arrow.json" => Some(114),
        _ => None,
    }
}

/// The type that clients see for an Arrow type without metadata.
///
/// Unsigned integers become the next wider type; nested lists become one array type, as PostgreSQL
/// does not count dimensions.
#[must_use]
pub fn pg_type_of_data_type(data_type: &DataType) -> PgType {
    let oid = match data_type {
        DataType::Boolean => 16,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => 21,
        DataType::Int32 | DataType::UInt16 => 23,
        DataType::Int64 => 20,
        // Above all what system relations hold; files with such columns are told apart by
        // `pg_type_of_column`.
        DataType::UInt32 => 26,
        DataType::UInt64 => return PgType::new(1700, numeric_modifier(20, 0)),
        DataType::Float16 | DataType::Float32 => 700,
        DataType::Float64 => 701,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            return PgType::new(1700, numeric_modifier(*precision, *scale));
        }
        // Arrow has no other type of sixteen bytes, and metadata gets lost on the way.
        DataType::FixedSizeBinary(16) => UUID,
        DataType::FixedSizeBinary(12) => TIME_WITH_ZONE,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => 17,
        DataType::Date32 | DataType::Date64 => 1082,
        DataType::Time32(_) | DataType::Time64(_) => 1083,
        DataType::Timestamp(_, None) => 1114,
        DataType::Timestamp(_, Some(_)) => 1184,
        DataType::Interval(_) | DataType::Duration(_) => 1186,
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => return array_of(element),
        DataType::Struct(_) => match json_kind(data_type) {
            Some(kind) => kind.oid(),
            None => 2249,
        },
        DataType::Map(_, _) => 3802,
        DataType::Dictionary(_, value) => return pg_type_of_data_type(value),
        DataType::RunEndEncoded(_, value) => return pg_type_of(value),
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Null
        | DataType::Union(_, _) => 25,
    };
    PgType::new(oid, -1)
}

/// The array type over the type of a list's elements.
fn array_of(element: &Field) -> PgType {
    let inner = pg_type_of(element);
    match type_info(inner.oid) {
        // A list of lists is an array with one more dimension.
        Some(info) if info.is_array() => inner,
        Some(info) if info.array != 0 => PgType::new(info.array, inner.modifier),
        _ => PgType::new(1009, -1),
    }
}

/// The type modifier of `numeric(precision, scale)`; scales below zero use eleven bits.
#[must_use]
pub fn numeric_modifier(precision: u8, scale: i8) -> i32 {
    ((i32::from(precision) << 16) | (i32::from(scale) & 0x7ff)) + 4
}

/// The Arrow type of a parameter that was declared with a PostgreSQL type.
///
/// `None` for pseudo-types and numbers that are not known; types that Arrow lacks travel as text.
/// A `numeric` value may come with another precision and scale than the type given here.
#[must_use]
pub fn arrow_type_of(oid: u32) -> Option<DataType> {
    let info = type_info(oid)?;
    let data_type = match oid {
        16 => DataType::Boolean,
        17 => DataType::Binary,
        20 => DataType::Int64,
        21 => DataType::Int16,
        23 => DataType::Int32,
        26 | 28 | 29 => DataType::UInt32,
        700 => DataType::Float32,
        701 => DataType::Float64,
        1082 => DataType::Date32,
        1083 => DataType::Time64(TimeUnit::Microsecond),
        1114 => DataType::Timestamp(TimeUnit::Microsecond, None),
        1184 => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        1186 => DataType::Interval(IntervalUnit::MonthDayNano),
        1700 => PARAMETER_DECIMAL,
        114 => json_type(Json::Text),
        3802 => json_type(Json::Binary),
        UUID => DataType::FixedSizeBinary(16),
        TIME_WITH_ZONE => TIMETZ,
        // The `reg` types hold object identifiers; the category tells them from int4.
        _ if info.category == 'N' && info.name.starts_with("reg") => DataType::UInt32,
        // A parameter of unknown type is text until something is known.
        _ if info.kind == 'b' || oid == 705 => {
            let element = match oid {
                22 => 21,
                30 => 26,
                _ if info.is_array() => info.element,
                _ => return Some(DataType::Utf8),
            };
            DataType::List(Field::new("item", arrow_type_of(element)?, true).into())
        }
        _ => return None,
    };
    Some(data_type)
}
