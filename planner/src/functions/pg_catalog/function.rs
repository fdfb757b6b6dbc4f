//! The frame of a catalog function: a row of a table with its name, arguments and body.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListBuilder, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};
use tarn_catalog::pg_type::FIELD_PG_TYPE;
use tarn_catalog::{SchemaEntry, TableEntry};

use crate::facts::SessionFacts;

/// One value of a result.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    Texts(Vec<String>),
    /// Microseconds since 1970 in UTC.
    Instant(i64),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn from_text(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(text.into()))
    }

    pub(super) fn oid(oid: Option<u32>) -> Self {
        oid.map_or(Self::Null, |oid| Self::Int(i64::from(oid)))
    }
}

/// The type of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int4,
    Int8,
    Oid,
    /// An object identifier that is written as its object's name: `regclass`, `regtype`.
    Reg(&'static str),
    Text,
    Name,
    TextList,
    NameList,
    Timestamptz,
    Inet,
    Json,
    /// No value of interest; PostgreSQL shows an empty text.
    Void,
}

impl Kind {
    /// The Arrow type, and the name in `pg_type` where that needs saying.
    fn types(self) -> (DataType, Option<&'static str>) {
        let list = || DataType::new_list(DataType::Utf8, true);
        match self {
            Self::Bool => (DataType::Boolean, None),
            Self::Int4 => (DataType::Int32, None),
            Self::Int8 => (DataType::Int64, None),
            Self::Oid => (DataType::UInt32, Some("oid")),
            Self::Reg(name) => (DataType::UInt32, Some(name)),
            Self::Text => (DataType::Utf8, None),
            Self::Name => (DataType::Utf8, Some("name")),
            Self::TextList => (list(), None),
            Self::NameList => (list(), Some("_name")),
            Self::Timestamptz => {
                (DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), None)
            }
            Self::Inet => (DataType::Utf8, Some("inet")),
            Self::Json => (DataType::Utf8, Some("json")),
            Self::Void => (DataType::Utf8, Some("void")),
        }
    }

    fn array(self, values: Vec<Value>) -> Result<ArrayRef> {
        let (data_type, _) = self.types();
        let array: ArrayRef = match self {
            Self::Bool => {
                let bool = |value| if let Value::Bool(value) = value { Some(value) } else { None };
                Arc::new(values.into_iter().map(bool).collect::<BooleanArray>())
            }
            Self::Int4 | Self::Int8 | Self::Oid | Self::Reg(_) => {
                let int = |value| if let Value::Int(value) = value { Some(value) } else { None };
                Arc::new(values.into_iter().map(int).collect::<Int64Array>())
            }
            Self::Text | Self::Name | Self::Inet | Self::Json | Self::Void => {
                let text = |value| if let Value::Text(value) = value { Some(value) } else { None };
                Arc::new(values.into_iter().map(text).collect::<StringArray>())
            }
            Self::Timestamptz => {
                let at = |value| if let Value::Instant(value) = value { Some(value) } else { None };
                let array = values.into_iter().map(at).collect::<TimestampMicrosecondArray>();
                Arc::new(array.with_timezone("UTC"))
            }
            Self::TextList | Self::NameList => {
                let mut lists = ListBuilder::new(StringBuilder::new());
                for value in values {
                    match value {
                        Value::Texts(texts) => lists.append_value(texts.into_iter().map(Some)),
                        _ => lists.append_null(),
                    }
                }
                Arc::new(lists.finish())
            }
        };
        Ok(cast(&array, &data_type)?)
    }
}

/// What a function computes for one row.
pub(super) type Body = fn(&Call<'_>, usize) -> Result<Value>;

/// One catalog function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    /// The least and the greatest number of arguments.
    pub(super) arity: (usize, usize),
    pub(super) kind: Kind,
    pub(super) volatility: Volatility,
    /// Whether a NULL argument makes a NULL result without calling the body.
    pub(super) strict: bool,
    pub(super) body: Body,
}

/// A strict function whose result holds for the statement.
pub(super) const fn stable(
    name: &'static str,
    arity: (usize, usize),
    kind: Kind,
    body: Body,
) -> Spec {
    Spec { name, arity, kind, volatility: Volatility::Stable, strict: true, body }
}

/// A strict function whose result depends on the arguments only.
pub(super) const fn immutable(
    name: &'static str,
    arity: (usize, usize),
    kind: Kind,
    body: Body,
) -> Spec {
    Spec { name, arity, kind, volatility: Volatility::Immutable, strict: true, body }
}

/// A strict function that is evaluated for each row.
pub(super) const fn volatile(
    name: &'static str,
    arity: (usize, usize),
    kind: Kind,
    body: Body,
) -> Spec {
    Spec { name, arity, kind, volatility: Volatility::Volatile, strict: true, body }
}

impl Spec {
    /// Calls the body for NULL arguments too.
    pub(super) const fn called_on_null(mut self) -> Self {
        self.strict = false;
        self
    }

    pub(super) fn into_udf(self) -> Arc<ScalarUDF> {
        let (least, most) = self.arity;
        let counts = (least..=most).map(|n| match n {
            0 => TypeSignature::Nullary,
            n => TypeSignature::Any(n),
        });
        let signature = Signature::one_of(counts.collect(), self.volatility);
        Arc::new(ScalarUDF::from(CatalogFunction { spec: self, signature }))
    }
}

#[derive(Debug)]
struct CatalogFunction {
    spec: Spec,
    signature: Signature,
}

// The name says which function it is; bodies cannot be compared.
impl PartialEq for CatalogFunction {
    fn eq(&self, other: &Self) -> bool {
        self.spec.name == other.spec.name
    }
}

impl Eq for CatalogFunction {}

impl Hash for CatalogFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.spec.name.hash(state);
    }
}

impl ScalarUDFImpl for CatalogFunction {
    fn name(&self) -> &str {
        self.spec.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.spec.kind.types().0)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let (data_type, pg_type) = self.spec.kind.types();
        let mut field = Field::new(self.spec.name, data_type, true);
        if let Some(name) = pg_type {
            let metadata = HashMap::from([(FIELD_PG_TYPE.to_owned(), name.to_owned())]);
            field = field.with_metadata(metadata);
        }
        Ok(Arc::new(field))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let name = self.spec.name;
        let facts = args.config_options.extensions.get::<SessionFacts>();
        let facts = facts.ok_or_else(|| exec_datafusion_err!("{name} needs a session"))?;
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        // A volatile function without arguments gives each row its own value, and no function is
        // called for no row.
        let varies = self.spec.volatility == Volatility::Volatile && args.args.is_empty();
        let constant = constant && !varies && args.number_rows > 0;
        let n_rows = if constant { 1 } else { args.number_rows };
        let arguments = args.args.iter().map(|arg| Argument::new(arg, n_rows));
        let call = Call {
            facts,
            arguments: arguments.collect::<Result<_>>()?,
            fields: &args.arg_fields,
            tables: OnceLock::new(),
            n_rows,
        };
        let value = |row| {
            let null = self.spec.strict && call.arguments.iter().any(|arg| arg.is_null(row));
            if null { Ok(Value::Null) } else { (self.spec.body)(&call, row) }
        };
        let values = (0..n_rows).map(value).collect::<Result<Vec<_>>>()?;
        let array = self.spec.kind.array(values)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// An argument in one of the shapes that bodies ask for.
#[derive(Debug)]
enum Argument {
    Text(StringArray),
    Number(Int64Array),
    Bool(BooleanArray),
    Other(ArrayRef),
}

impl Argument {
    fn new(value: &ColumnarValue, n_rows: usize) -> Result<Self> {
        let array = value.to_array(n_rows)?;
        Ok(match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
                Self::Text(cast(&array, &DataType::Utf8)?.as_string::<i32>().clone())
            }
            DataType::Dictionary(_, inner) if inner.is_string() => {
                Self::Text(cast(&array, &DataType::Utf8)?.as_string::<i32>().clone())
            }
            DataType::Boolean => Self::Bool(array.as_boolean().clone()),
            data_type if data_type.is_integer() || data_type.is_decimal() => {
                let array = cast(&array, &DataType::Int64)?;
                Self::Number(array.as_primitive::<Int64Type>().clone())
            }
            _ => Self::Other(array),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Text(array) => array.is_null(row),
            Self::Number(array) => array.is_null(row),
            Self::Bool(array) => array.is_null(row),
            Self::Other(array) => array.is_null(row),
        }
    }
}

/// The arguments of a call and the session it is made in.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) facts: &'a SessionFacts,
    arguments: Vec<Argument>,
    fields: &'a [FieldRef],
    tables: OnceLock<HashMap<u32, (&'a SchemaEntry, &'a Arc<TableEntry>)>>,
    n_rows: usize,
}

impl<'a> Call<'a> {
    pub(super) fn n_arguments(&self) -> usize {
        self.arguments.len()
    }

    /// The type and metadata of an argument.
    pub(super) fn field(&self, argument: usize) -> Option<&FieldRef> {
        self.fields.get(argument)
    }

    /// A text, also the numbers written as one.
    pub(super) fn text(&self, argument: usize, row: usize) -> Option<&str> {
        match self.arguments.get(argument)? {
            Argument::Text(array) if array.is_valid(row) => Some(array.value(row)),
            _ => None,
        }
    }

    /// A number, also one given as text: clients quote object identifiers.
    pub(super) fn int(&self, argument: usize, row: usize) -> Option<i64> {
        match self.arguments.get(argument)? {
            Argument::Number(array) if array.is_valid(row) => Some(array.value(row)),
            Argument::Text(array) if array.is_valid(row) => array.value(row).trim().parse().ok(),
            _ => None,
        }
    }

    pub(super) fn oid(&self, argument: usize, row: usize) -> Option<u32> {
        self.int(argument, row).and_then(|number| u32::try_from(number).ok())
    }

    pub(super) fn bool(&self, argument: usize, row: usize) -> Option<bool> {
        match self.arguments.get(argument)? {
            Argument::Bool(array) if array.is_valid(row) => Some(array.value(row)),
            Argument::Text(array) if array.is_valid(row) => match array.value(row) {
                "t" | "true" | "on" | "1" => Some(true),
                _ => Some(false),
            },
            _ => None,
        }
    }

    /// The value as text, whatever its type.
    pub(super) fn shown(&self, argument: usize, row: usize) -> Result<Option<String>> {
        Ok(match self.arguments.get(argument) {
            Some(found) if found.is_null(row) => None,
            Some(Argument::Text(array)) => Some(array.value(row).to_owned()),
            Some(Argument::Number(array)) => Some(array.value(row).to_string()),
            Some(Argument::Bool(array)) => Some(array.value(row).to_string()),
            Some(Argument::Other(array)) => {
                Some(arrow::util::display::array_value_to_string(array, row)?)
            }
            None => None,
        })
    }

    /// Whether an argument is a number or a truth value, which JSON writes without quotes.
    pub(super) fn is_plain(&self, argument: usize) -> bool {
        match self.arguments.get(argument) {
            Some(Argument::Number(_) | Argument::Bool(_)) => true,
            Some(Argument::Other(array)) => array.data_type().is_numeric(),
            _ => false,
        }
    }

    /// An argument that is neither text, number nor truth value.
    pub(super) fn other(&self, argument: usize) -> Option<&ArrayRef> {
        match self.arguments.get(argument)? {
            Argument::Other(array) => Some(array),
            _ => None,
        }
    }

    /// Finds a relation by its number.
    pub(super) fn table(&self, oid: u32) -> Option<(&'a SchemaEntry, &'a Arc<TableEntry>)> {
        let catalog = &self.facts.catalog;
        if self.n_rows < 4 {
            return catalog.table_by_oid(oid);
        }
        // One pass over the catalog for the whole batch instead of one for each row.
        let tables = self.tables.get_or_init(|| {
            let schemas = catalog.schemas.iter();
            let tables = schemas.flat_map(|schema| {
                schema.tables.iter().map(move |entry| (entry.oid, (schema, entry)))
            });
            tables.collect()
        });
        tables.get(&oid).copied()
    }
}
