//! Type names in SQL to fields.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::planner::TypePlanner;
use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType as Sql, ExactNumberInfo, ObjectName, TimezoneInfo,
};
use tarn_catalog::pg_type::{
    self, FIELD_PG_TYPE, Json, TIMETZ, json_kind, json_type, numeric_modifier,
};

use super::{named, target};
use crate::error::{PlannerError, Result};
use crate::statement::fold;

/// Digits that Arrow's widest decimals have.
const N_DIGITS_MAX: u64 = 76;
/// Digits that PostgreSQL lets a `numeric` be declared with.
const N_DIGITS_DECLARED_MAX: u64 = 1000;

/// Tells DataFusion what type names mean.
#[derive(Debug)]
pub(crate) struct TypeNames;

impl TypePlanner for TypeNames {
    fn plan_type_field(&self, sql: &Sql) -> EngineResult<Option<FieldRef>> {
        match field(sql) {
            Ok(field) => Ok(Some(Arc::new(field))),
            Err(error) => Err(DataFusionError::External(Box::new(error))),
        }
    }
}

/// The field of a type name.
///
/// # Errors
/// 42704 for a name that no type has, 0A000 for types that are not there, 22023 for modifiers.
pub(crate) fn field(sql: &Sql) -> Result<Field> {
    if let Some(field) = temporal(sql)? {
        return Ok(field);
    }
    Ok(match sql {
        Sql::Boolean | Sql::Bool => target(DataType::Boolean),
        Sql::SmallInt(_) | Sql::Int2(_) => target(DataType::Int16),
        Sql::Int(_) | Sql::Integer(_) | Sql::Int4(_) => target(DataType::Int32),
        Sql::BigInt(_) | Sql::Int8(_) => target(DataType::Int64),
        Sql::Real | Sql::Float4 => target(DataType::Float32),
        Sql::Float8 | Sql::DoublePrecision | Sql::Double(ExactNumberInfo::None) => {
            target(DataType::Float64)
        }
        Sql::Float(info) => float(info)?,
        Sql::Numeric(info) | Sql::Decimal(info) | Sql::Dec(info) => numeric(info)?,
        Sql::Text => target(DataType::Utf8View),
        Sql::Varchar(length) | Sql::CharacterVarying(length) | Sql::CharVarying(length) => {
            characters("varchar", length.as_ref(), None)?
        }
        Sql::Char(length) | Sql::Character(length) => {
            characters("bpchar", length.as_ref(), Some(1))?
        }
        Sql::Bytea => target(DataType::Binary),
        Sql::Uuid => target(DataType::FixedSizeBinary(16)),
        Sql::JSON => target(json_type(Json::Text)),
        Sql::JSONB => target(json_type(Json::Binary)),
        Sql::Regclass => named(DataType::UInt32, "regclass", None),
        Sql::Array(definition) => array(definition, sql)?,
        Sql::Custom(name, modifiers) => custom(name, modifiers)?,
        Sql::Bit(length) => bits("bit", Some(length.unwrap_or(1)))?,
        Sql::BitVarying(length) | Sql::VarBit(length) => bits("varbit", *length)?,
        Sql::TsVector => return Err(unsupported("tsvector")),
        Sql::TsQuery => return Err(unsupported("tsquery")),
        Sql::GeometricType(kind) => return Err(unsupported(&kind.to_string().to_lowercase())),
        Sql::IntUnsigned(_) => named(DataType::UInt32, "oid", None),
        other => return Err(undefined(&other.to_string().to_lowercase())),
    })
}

/// The SQL type of a column, without its modifier; `None` for text, which literals are already.
pub(crate) fn sql_type(data_type: &DataType) -> Option<Sql> {
    let zone = |zone: &Option<Arc<str>>| match zone {
        Some(_) => TimezoneInfo::Tz,
        None => TimezoneInfo::None,
    };
    Some(match data_type {
        DataType::Boolean => Sql::Bool,
        DataType::Int16 => Sql::SmallInt(None),
        DataType::Int32 => Sql::Int(None),
        DataType::Int64 => Sql::BigInt(None),
        DataType::Float32 => Sql::Real,
        DataType::Float64 => Sql::Float8,
        DataType::FixedSizeBinary(16) => Sql::Uuid,
        DataType::Binary => Sql::Bytea,
        DataType::Date32 => Sql::Date,
        DataType::FixedSizeBinary(12) => Sql::Time(None, TimezoneInfo::Tz),
        DataType::Time64(_) => Sql::Time(None, TimezoneInfo::None),
        DataType::Timestamp(_, tz) => Sql::Timestamp(None, zone(tz)),
        DataType::Interval(_) => Sql::Interval { fields: None, precision: None },
        DataType::List(element) => {
            let inner = sql_type(element.data_type()).unwrap_or(Sql::Text);
            Sql::Array(ArrayElemTypeDef::SquareBracket(Box::new(inner), None))
        }
        DataType::Struct(_) => match json_kind(data_type)? {
            Json::Text => Sql::JSON,
            Json::Binary => Sql::JSONB,
        },
        _ => return None,
    })
}

/// Dates and times.
fn temporal(sql: &Sql) -> Result<Option<Field>> {
    let utc = || Some(Arc::from("UTC"));
    let (data_type, name, digits) = match sql {
        Sql::Date => return Ok(Some(target(DataType::Date32))),
        Sql::Interval { fields: None, precision: None } => {
            return Ok(Some(target(DataType::Interval(IntervalUnit::MonthDayNano))));
        }
        Sql::Interval { .. } => {
            let field = crate::functions::datetime::types::temporal_field(sql);
            return Ok(field.map(|field| field.as_ref().clone()));
        }
        Sql::Time(digits, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
            (TIMETZ, "timetz", digits)
        }
        Sql::Time(digits, _) => (DataType::Time64(TimeUnit::Microsecond), "time", digits),
        Sql::Timestamp(digits, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
            (DataType::Timestamp(TimeUnit::Microsecond, utc()), "timestamptz", digits)
        }
        Sql::Timestamp(digits, _) => {
            (DataType::Timestamp(TimeUnit::Microsecond, None), "timestamp", digits)
        }
        _ => return Ok(None),
    };
    let digits = digits.map(|digits| i32::try_from(digits.min(6)).unwrap_or(6));
    Ok(Some(match digits {
        Some(digits) => named(data_type, name, Some(digits)),
        None => target(data_type),
    }))
}

fn float(info: &ExactNumberInfo) -> Result<Field> {
    let bits = match info {
        ExactNumberInfo::None => 53,
        ExactNumberInfo::Precision(bits) => *bits,
        ExactNumberInfo::PrecisionAndScale(..) => return Err(undefined("float")),
    };
    match bits {
        0 => Err(invalid("precision for type float must be at least 1 bit")),
        1..=24 => Ok(target(DataType::Float32)),
        25..=53 => Ok(target(DataType::Float64)),
        _ => Err(invalid("precision for type float must be less than 54 bits")),
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<Field> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(target(DataType::Decimal128(38, 10))),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if !(1..=N_DIGITS_DECLARED_MAX).contains(&precision) {
        let message =
            format!("NUMERIC precision {precision} must be between 1 and {N_DIGITS_DECLARED_MAX}");
        return Err(invalid(message));
    }
    let (Ok(digits), Ok(scale)) = (u8::try_from(precision), i8::try_from(scale)) else {
        return Err(unsupported(&format!("numeric({precision},{scale})")));
    };
    let modifier = Some(numeric_modifier(digits, scale));
    let fits = i16::from(scale) <= i16::from(digits) && precision <= N_DIGITS_MAX;
    match digits {
        _ if !fits => Err(unsupported(&format!("numeric({precision},{scale})"))),
        1..=38 => Ok(named(DataType::Decimal128(digits, scale), "numeric", modifier)),
        _ => Ok(named(DataType::Decimal256(digits, scale), "numeric", modifier)),
    }
}

fn characters(
    name: &'static str,
    length: Option<&CharacterLength>,
    length_default: Option<u64>,
) -> Result<Field> {
    const N_CHARACTERS_MAX: u64 = 10_485_760;
    let length = match length {
        Some(CharacterLength::IntegerLength { length, .. }) => Some(*length),
        Some(CharacterLength::Max) | None => length_default,
    };
    let shown = if name == "bpchar" { "char" } else { name };
    let modifier = match length {
        None => None,
        Some(0) => return Err(invalid(format!("length for type {shown} must be at least 1"))),
        Some(length) if length > N_CHARACTERS_MAX => {
            return Err(invalid(format!(
                "length for type {shown} cannot exceed {N_CHARACTERS_MAX}"
            )));
        }
        Some(length) => i32::try_from(length).ok().map(|length| length + 4),
    };
    Ok(named(DataType::Utf8View, name, modifier))
}

fn bits(name: &str, length: Option<u64>) -> Result<Field> {
    const N_BITS_MAX: u64 = 83_886_080;
    let shown = if name == "bit" { "bit" } else { "varbit" };
    if length == Some(0) {
        return Err(invalid(format!("length for type {shown} must be at least 1")));
    }
    if length.is_some_and(|length| length > N_BITS_MAX) {
        return Err(invalid(format!("length for type {shown} cannot exceed {N_BITS_MAX}")));
    }
    let modifier = length.and_then(|length| i32::try_from(length).ok());
    Ok(named(DataType::Utf8View, name, modifier))
}

/// `int[]` and `int[][]` are one type in PostgreSQL; here a list holds lists where the brackets or
/// the value say so.
fn array(definition: &ArrayElemTypeDef, sql: &Sql) -> Result<Field> {
    let (ArrayElemTypeDef::AngleBracket(inner) | ArrayElemTypeDef::SquareBracket(inner, _)) =
        definition
    else {
        return Err(undefined(&sql.to_string().to_lowercase()));
    };
    let inner = field(inner)?;
    Ok(target(DataType::List(Arc::new(element(&inner)))))
}

/// The field of the elements of an array of a type.
pub(crate) fn element(inner: &Field) -> Field {
    // Lists of views are more than many of the engine's functions can take.
    let data_type = match inner.data_type() {
        DataType::Utf8View => DataType::Utf8,
        other => other.clone(),
    };
    Field::new_list_field(data_type, true).with_metadata(inner.metadata().clone())
}

/// Types that the parser does not know by name.
fn custom(name: &ObjectName, modifiers: &[String]) -> Result<Field> {
    let parts: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    let (schema, ident) = match parts.as_slice() {
        [ident] => (None, *ident),
        [schema, ident] => (Some(fold(schema)), *ident),
        _ => return Err(undefined(&name.to_string())),
    };
    if schema.as_deref().is_some_and(|schema| schema != "pg_catalog") {
        return Err(undefined(&name.to_string()));
    }
    let folded = fold(ident);
    // The one-byte type is the name in quotes or in its schema.
    if folded == "char" && (schema.is_some() || ident.quote_style.is_some()) {
        return Ok(named(DataType::Utf8View, "char", None));
    }
    if let Some(element_name) = folded.strip_prefix('_')
        && pg_type::type_by_catalog_name(&folded).is_some()
    {
        let inner = known(element_name).ok_or_else(|| undefined(&folded))??;
        return Ok(target(DataType::List(Arc::new(element(&inner)))));
    }
    match known(&folded) {
        Some(field) if modifiers.is_empty() => field,
        Some(_) => custom_modified(&folded, modifiers),
        None => Err(undefined(&folded)),
    }
}

/// `bpchar(3)` and `pg_catalog.numeric(5, 2)`.
fn custom_modified(name: &str, modifiers: &[String]) -> Result<Field> {
    let numbers = modifiers.iter().map(|text| text.trim().parse::<u64>().ok());
    let numbers: Option<Vec<u64>> = numbers.collect();
    let length = |length| Some(CharacterLength::IntegerLength { length, unit: None });
    match (name, numbers.as_deref()) {
        ("bpchar" | "varchar", Some([n])) => {
            let name = if name == "bpchar" { "bpchar" } else { "varchar" };
            characters(name, length(*n).as_ref(), None)
        }
        ("bit" | "varbit", Some([n])) => bits(name, Some(*n)),
        ("numeric", Some([precision])) => numeric(&ExactNumberInfo::Precision(*precision)),
        ("numeric", Some([precision, scale])) => {
            let scale = i64::try_from(*scale).unwrap_or(i64::MAX);
            numeric(&ExactNumberInfo::PrecisionAndScale(*precision, scale))
        }
        ("timestamp" | "timestamptz" | "time" | "timetz", Some([_])) => {
            let zone = if name.ends_with("tz") { TimezoneInfo::Tz } else { TimezoneInfo::None };
            let digits = numbers.and_then(|numbers| numbers.first().copied());
            field(&if matches!(name, "time" | "timetz") {
                Sql::Time(digits, zone)
            } else {
                Sql::Timestamp(digits, zone)
            })
        }
        _ => Err(PlannerError::Semantics {
            code: "42601",
            message: format!("type modifier is not allowed for type \"{name}\""),
            position: None,
        }),
    }
}

/// A type by its name in `pg_type`; `None` where there is no such type.
fn known(name: &str) -> Option<Result<Field>> {
    let plain = match name {
        "bool" => Sql::Bool,
        "int2" => Sql::SmallInt(None),
        "int4" => Sql::Int(None),
        "int8" => Sql::BigInt(None),
        "float4" => Sql::Real,
        "float8" => Sql::Float8,
        "numeric" => Sql::Numeric(ExactNumberInfo::None),
        "text" | "citext" => Sql::Text,
        "bytea" => Sql::Bytea,
        "uuid" => Sql::Uuid,
        "json" => Sql::JSON,
        "jsonb" => Sql::JSONB,
        "date" => Sql::Date,
        "time" => Sql::Time(None, TimezoneInfo::None),
        "timestamp" => Sql::Timestamp(None, TimezoneInfo::None),
        "timestamptz" => Sql::Timestamp(None, TimezoneInfo::Tz),
        "interval" => Sql::Interval { fields: None, precision: None },
        "varchar" => Sql::Varchar(None),
        "timetz" => Sql::Time(None, TimezoneInfo::Tz),
        "bit" | "varbit" => return Some(Ok(named(DataType::Utf8View, name, None))),
        "bpchar" => return Some(Ok(named(DataType::Utf8View, "bpchar", None))),
        "name" => return Some(Ok(named(DataType::Utf8View, "name", None))),
        "char" => return Some(Ok(named(DataType::Utf8View, "char", None))),
        "cstring" | "unknown" | "void" => return Some(Ok(target(DataType::Utf8View))),
        "pg_node_tree" | "aclitem" | "refcursor" => {
            return Some(Ok(named(DataType::Utf8View, name, None)));
        }
        "int2vector" => return Some(Ok(vector("int2vector", DataType::Int16, None))),
        "oidvector" => return Some(Ok(vector("oidvector", DataType::UInt32, Some("oid")))),
        _ => {
            let info = pg_type::type_by_catalog_name(name).or_else(|| pg_type::type_by_name(name));
            let info = info?;
            let object = matches!(info.oid, 26 | 28 | 29)
                || (info.category == 'N' && info.name.starts_with("reg"));
            return Some(match (object, info.kind) {
                (true, _) => Ok(named(DataType::UInt32, info.name, None)),
                (false, 'p') => Err(PlannerError::Semantics {
                    code: "0A000",
                    message: format!("values of type {} are not supported", info.name),
                    position: None,
                }),
                (false, _) => Err(unsupported(info.sql_name)),
            });
        }
    };
    Some(field(&plain))
}

fn vector(name: &str, element: DataType, element_name: Option<&str>) -> Field {
    let mut item = Field::new_list_field(element, true);
    if let Some(element_name) = element_name {
        item = item.with_metadata([(FIELD_PG_TYPE.to_owned(), element_name.to_owned())].into());
    }
    named(DataType::List(Arc::new(item)), name, None)
}

fn unsupported(name: &str) -> PlannerError {
    PlannerError::unsupported(format!("type {name}"))
}

fn undefined(name: &str) -> PlannerError {
    PlannerError::Semantics {
        code: "42704",
        message: format!("type \"{name}\" does not exist"),
        position: None,
    }
}

fn invalid(message: impl Into<String>) -> PlannerError {
    PlannerError::Semantics { code: "22023", message: message.into(), position: None }
}
