//! The frame of a function with typed forms: PostgreSQL's choice among them by the types of the
//! arguments, conversion of the arguments, a call for each row.
//!
//! ```text
//! left(text, integer) -> text      forms: ([Text, Int4], Text, body)
//! ```

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BinaryBuilder, BooleanBuilder,
    ListBuilder, PrimitiveBuilder, StringArray, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Field, FieldRef, Float64Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};
use tarn_catalog::pg_type::{FIELD_PG_TYPE, TIMETZ, TimeTz, format_type, pg_type_of};

use super::datetime::convert as datetime;
use super::datetime::span::Span;
use super::datetime::text::TimeSettings;
use super::datetime::timetz as datetime_timetz;
use super::datetime::types::{INTERVAL, TIME, TIMESTAMP, timestamptz};
use super::fault::fault;
use super::text::bytea;
use crate::facts::SessionFacts;

/// A type of an argument or a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int4,
    Int8,
    Float8,
    Text,
    Bytea,
    Date,
    Time,
    Timetz,
    Timestamp,
    Timestamptz,
    Interval,
    Texts,
    /// Nothing of interest, as a result only; PostgreSQL shows an empty text.
    Void,
    /// Any type, as an argument only.
    Any,
}

impl Kind {
    /// The engine's type; text for [`Kind::Any`].
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Float8 => DataType::Float64,
            Self::Text | Self::Any | Self::Void => DataType::Utf8,
            Self::Bytea => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => TIME,
            Self::Timetz => TIMETZ,
            Self::Timestamp => TIMESTAMP,
            Self::Timestamptz => timestamptz(),
            Self::Interval => INTERVAL,
            Self::Texts => DataType::new_list(DataType::Utf8, true),
        }
    }

    /// How far a type is from this one; `None` where PostgreSQL does not convert by itself.
    fn distance(self, from: &DataType, literal: bool) -> Option<u32> {
        use DataType as T;
        if *from == T::Null {
            return Some(0);
        }
        let text = match from {
            T::Dictionary(_, value) => value.is_string(),
            other => other.is_string(),
        };
        let small = matches!(from, T::Int8 | T::Int16 | T::UInt8 | T::UInt16);
        let number = from.is_numeric();
        Some(match self {
            Self::Any => 9,
            Self::Text if text => 0,
            // A literal takes the type that is asked for.
            Self::Texts if text && literal => 4,
            _ if text && literal => 3,
            Self::Bool if *from == T::Boolean => 0,
            Self::Int4 if *from == T::Int32 => 0,
            Self::Int4 if small => 1,
            Self::Int4 if from.is_integer() => 6,
            Self::Int8 if *from == T::Int64 => 0,
            Self::Int8 if from.is_integer() => 1,
            Self::Float8 if *from == T::Float64 => 0,
            Self::Float8 if from.is_floating() => 1,
            Self::Float8 if number => 2,
            Self::Bytea if is_binary(from) => 0,
            Self::Date if matches!(from, T::Date32 | T::Date64) => 0,
            Self::Time if matches!(from, T::Time32(_) | T::Time64(_)) => 0,
            Self::Timetz if *from == TIMETZ => 0,
            Self::Timetz if matches!(from, T::Time32(_) | T::Time64(_)) => 1,
            Self::Interval if matches!(from, T::Interval(_) | T::Duration(_)) => 0,
            Self::Interval if matches!(from, T::Time32(_) | T::Time64(_)) => 2,
            Self::Timestamp if matches!(from, T::Timestamp(_, None)) => 0,
            Self::Timestamp if matches!(from, T::Date32 | T::Date64) => 3,
            Self::Timestamptz if matches!(from, T::Timestamp(_, Some(_))) => 0,
            Self::Timestamptz if matches!(from, T::Timestamp(_, None)) => 1,
            Self::Timestamptz if matches!(from, T::Date32 | T::Date64) => 2,
            Self::Texts => match from {
                T::List(element) | T::LargeList(element) => {
                    let element = element.data_type();
                    (element.is_string() || *element == T::Null).then_some(0)?
                }
                _ => return None,
            },
            _ => return None,
        })
    }
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// One value of a result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
    /// Days since 1970.
    Date(i32),
    /// Microseconds: of a time, a timestamp or an instant.
    Micros(i64),
    Span(Span),
    Zoned(TimeTz),
    Texts(Vec<Option<String>>),
}

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn length(n: usize) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

/// What computes a result.
pub(crate) type Body = fn(&Call, usize) -> Result<Value>;

/// One signature of a function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    args: &'static [Kind],
    /// Whether the last argument may be repeated or left out.
    variadic: bool,
    result: Kind,
    body: Body,
}

/// A signature with as many arguments as kinds.
pub(crate) const fn form(args: &'static [Kind], result: Kind, body: Body) -> Form {
    Form { args, variadic: false, result, body }
}

/// A signature whose last kind stands for any number of arguments.
pub(crate) const fn variadic(args: &'static [Kind], result: Kind, body: Body) -> Form {
    Form { args, variadic: true, result, body }
}

impl Form {
    fn kind(&self, at: usize) -> Option<Kind> {
        match self.args.get(at) {
            Some(kind) => Some(*kind),
            None if self.variadic => self.args.last().copied(),
            None => None,
        }
    }

    fn distance(&self, fields: &[FieldRef], literal: &[bool]) -> Option<u32> {
        let least = self.args.len() - usize::from(self.variadic);
        if fields.len() < least || (!self.variadic && fields.len() > self.args.len()) {
            return None;
        }
        let mut total = 0;
        for (at, field) in fields.iter().enumerate() {
            let literal = literal.get(at).copied().unwrap_or(false);
            total += self.kind(at)?.distance(field.data_type(), literal)?;
        }
        Some(total)
    }
}

/// A function with all its signatures.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    name: &'static str,
    aliases: Vec<String>,
    volatility: Volatility,
    strict: bool,
    forms: &'static [Form],
    signature: Signature,
}

impl Function {
    /// A function whose result depends on its arguments only, and is NULL for a NULL.
    pub(crate) fn immutable(name: &'static str, forms: &'static [Form]) -> Self {
        Self::new(name, forms, Volatility::Immutable)
    }

    /// The same for one that depends on the session's settings too.
    pub(crate) fn stable(name: &'static str, forms: &'static [Form]) -> Self {
        Self::new(name, forms, Volatility::Stable)
    }

    /// The same for one that is evaluated for each row.
    pub(crate) fn volatile(name: &'static str, forms: &'static [Form]) -> Self {
        Self::new(name, forms, Volatility::Volatile)
    }

    fn new(name: &'static str, forms: &'static [Form], volatility: Volatility) -> Self {
        let nullary = forms.iter().any(|form| form.args.is_empty() || form.variadic);
        let any = TypeSignature::VariadicAny;
        let signatures = if nullary { vec![TypeSignature::Nullary, any] } else { vec![any] };
        let signature = Signature::one_of(signatures, volatility);
        Self { name, aliases: Vec::new(), volatility, strict: true, forms, signature }
    }

    /// Another name.
    pub(crate) fn alias(mut self, name: &str) -> Self {
        self.aliases.push(name.to_owned());
        self
    }

    /// Calls the body for NULL arguments too.
    pub(crate) fn called_on_null(mut self) -> Self {
        self.strict = false;
        self
    }

    pub(crate) fn into_udf(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::from(self))
    }

    fn choose(&self, fields: &[FieldRef], literal: &[bool]) -> Result<&Form> {
        let distances = self
            .forms
            .iter()
            .filter_map(|form| form.distance(fields, literal).map(|distance| (distance, form)));
        distances
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, form)| form)
            .ok_or_else(|| undefined(self.name, fields))
    }
}

/// 42883 with the types of the arguments.
pub(crate) fn undefined(name: &str, fields: &[FieldRef]) -> DataFusionError {
    let types: Vec<String> = fields.iter().map(|field| type_name(field)).collect();
    fault("42883", format!("function {name}({}) does not exist", types.join(", ")))
}

/// PostgreSQL's name for the type of a field.
pub(crate) fn type_name(field: &Field) -> String {
    if *field.data_type() == DataType::Null {
        return "unknown".to_owned();
    }
    format_type(pg_type_of(field).oid, None).to_string()
}

// The name says which function it is; bodies cannot be compared.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let fields: Vec<FieldRef> =
            types.iter().map(|t| Arc::new(Field::new("", t.clone(), true))).collect();
        Ok(self.choose(&fields, &[])?.result.data_type())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let literal: Vec<bool> = args.scalar_arguments.iter().map(Option::is_some).collect();
        let form = self.choose(args.arg_fields, &literal)?;
        let field = Field::new(self.name, form.result.data_type(), true);
        if form.result != Kind::Void {
            return Ok(Arc::new(field));
        }
        let metadata = HashMap::from([(FIELD_PG_TYPE.to_owned(), "void".to_owned())]);
        Ok(Arc::new(field.with_metadata(metadata)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = |arg: &ColumnarValue| matches!(arg, ColumnarValue::Scalar(_));
        let literal: Vec<bool> = args.args.iter().map(scalar).collect();
        let form = self.choose(&args.arg_fields, &literal)?;
        let varies = self.volatility == Volatility::Volatile;
        let constant = literal.iter().all(|literal| *literal) && !varies && args.number_rows > 0;
        let n_rows = if constant { 1 } else { args.number_rows };
        let call = Call::new(form, &args)?;
        let mut values = Vec::with_capacity(n_rows);
        for row in 0..n_rows {
            let null = self.strict && call.args.iter().any(|arg| arg.is_null(row));
            values.push(if null { Value::Null } else { (form.body)(&call, row)? });
        }
        let array = array(form.result, values)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// The arguments of a call, converted to the kinds of the chosen form.
#[derive(Debug)]
pub(crate) struct Call {
    args: Vec<Arg>,
    options: Arc<ConfigOptions>,
    /// The session's settings for dates and times.
    pub(crate) time: TimeSettings,
}

#[derive(Debug)]
struct Arg {
    array: ArrayRef,
    /// One value for all rows.
    scalar: bool,
    field: FieldRef,
    /// Of a [`Kind::Any`] as text, made when it is first asked for.
    shown: std::sync::OnceLock<Option<StringArray>>,
}

impl Arg {
    fn at(&self, row: usize) -> usize {
        if self.scalar { 0 } else { row }
    }

    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(self.at(row)) || *self.array.data_type() == DataType::Null
    }
}

impl Call {
    fn new(form: &Form, args: &ScalarFunctionArgs) -> Result<Self> {
        let time = TimeSettings::of(&args.config_options);
        let mut converted = Vec::with_capacity(args.args.len());
        for (at, arg) in args.args.iter().enumerate() {
            let kind = form.kind(at).unwrap_or(Kind::Any);
            let field = args
                .arg_fields
                .get(at)
                .map_or_else(|| Arc::new(Field::new("", arg.data_type(), true)), Arc::clone);
            let (array, scalar) = match arg {
                ColumnarValue::Scalar(value) => (value.to_array()?, true),
                ColumnarValue::Array(array) => (Arc::clone(array), false),
            };
            let array = convert(&array, kind, &time)?;
            converted.push(Arg { array, scalar, field, shown: std::sync::OnceLock::new() });
        }
        Ok(Self { args: converted, options: Arc::clone(&args.config_options), time })
    }

    /// The session that the statement runs in.
    pub(crate) fn facts(&self) -> Option<&SessionFacts> {
        self.options.extensions.get::<SessionFacts>()
    }

    pub(crate) fn n_args(&self) -> usize {
        self.args.len()
    }

    pub(crate) fn field(&self, at: usize) -> Option<&Field> {
        self.args.get(at).map(|arg| arg.field.as_ref())
    }

    /// Whether an argument is missing or NULL.
    pub(crate) fn is_null(&self, at: usize, row: usize) -> bool {
        self.args.get(at).is_none_or(|arg| arg.is_null(row))
    }

    fn primitive<T: ArrowPrimitiveType>(&self, at: usize, row: usize) -> Result<T::Native> {
        let arg = self.args.get(at).filter(|arg| !arg.is_null(row));
        let found = arg.and_then(|arg| {
            arg.array.as_primitive_opt::<T>().map(|array| array.value(arg.at(row)))
        });
        found.ok_or_else(|| exec_datafusion_err!("argument {at} is missing or of another type"))
    }

    pub(crate) fn int(&self, at: usize, row: usize) -> Result<i64> {
        match self.args.get(at).map(|arg| arg.array.data_type()) {
            Some(DataType::Int32) => self.primitive::<Int32Type>(at, row).map(i64::from),
            _ => self.primitive::<Int64Type>(at, row),
        }
    }

    /// The elements of an array of texts.
    pub(crate) fn texts(&self, at: usize, row: usize) -> Result<Vec<Option<String>>> {
        let arg = self.args.get(at).filter(|arg| !arg.is_null(row));
        let list = arg
            .and_then(|arg| arg.array.as_list_opt::<i32>().map(|lists| lists.value(arg.at(row))));
        let list = list.ok_or_else(|| exec_datafusion_err!("argument {at} is no array"))?;
        let list = cast(&list, &DataType::Utf8)?;
        Ok(list.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
    }

    pub(crate) fn float(&self, at: usize, row: usize) -> Result<f64> {
        self.primitive::<Float64Type>(at, row)
    }

    pub(crate) fn date(&self, at: usize, row: usize) -> Result<i32> {
        self.primitive::<Date32Type>(at, row)
    }

    /// A timestamp with or without zone, or a time of day.
    pub(crate) fn micros(&self, at: usize, row: usize) -> Result<i64> {
        match self.args.get(at).map(|arg| arg.array.data_type()) {
            Some(DataType::Time64(_)) => self.primitive::<Time64MicrosecondType>(at, row),
            _ => self.primitive::<TimestampMicrosecondType>(at, row),
        }
    }

    pub(crate) fn timetz(&self, at: usize, row: usize) -> Result<TimeTz> {
        let arg = self.args.get(at).filter(|arg| !arg.is_null(row));
        let found = arg.and_then(|arg| {
            let array = arg.array.as_fixed_size_binary_opt()?;
            TimeTz::from_bytes(array.value(arg.at(row)))
        });
        found.ok_or_else(|| exec_datafusion_err!("argument {at} is missing or of another type"))
    }

    pub(crate) fn span(&self, at: usize, row: usize) -> Result<Span> {
        self.primitive::<IntervalMonthDayNanoType>(at, row).map(Span::from_arrow)
    }

    pub(crate) fn bool(&self, at: usize, row: usize) -> Result<bool> {
        let arg = self.args.get(at).filter(|arg| !arg.is_null(row));
        let found =
            arg.and_then(|arg| arg.array.as_boolean_opt().map(|array| array.value(arg.at(row))));
        found.ok_or_else(|| exec_datafusion_err!("argument {at} is missing or of another type"))
    }

    pub(crate) fn text(&self, at: usize, row: usize) -> Result<&str> {
        let arg = self.args.get(at).filter(|arg| !arg.is_null(row));
        let found = arg
            .and_then(|arg| arg.array.as_string_opt::<i32>().map(|array| array.value(arg.at(row))));
        found.ok_or_else(|| exec_datafusion_err!("argument {at} is missing or of another type"))
    }

    pub(crate) fn bytes(&self, at: usize, row: usize) -> Result<&[u8]> {
        let arg = self.args.get(at).filter(|arg| !arg.is_null(row));
        let found = arg
            .and_then(|arg| arg.array.as_binary_opt::<i32>().map(|array| array.value(arg.at(row))));
        found.ok_or_else(|| exec_datafusion_err!("argument {at} is missing or of another type"))
    }

    /// A value of any type as text; `None` for NULL.
    pub(crate) fn shown(&self, at: usize, row: usize) -> Result<Option<&str>> {
        let Some(arg) = self.args.get(at).filter(|arg| !arg.is_null(row)) else { return Ok(None) };
        if let Some(texts) = arg.array.as_string_opt::<i32>() {
            return Ok(Some(texts.value(arg.at(row))));
        }
        let texts = arg.shown.get_or_init(|| self.written(arg).ok());
        match texts {
            Some(texts) => Ok(Some(texts.value(arg.at(row)))),
            None => self.written(arg).map(|_| None),
        }
    }

    fn written(&self, arg: &Arg) -> Result<StringArray> {
        let facts = self.facts().ok_or_else(|| exec_datafusion_err!("needs a session"))?;
        let written = facts.forms.write(&arg.array, &arg.field, false);
        written.map_err(|error| DataFusionError::External(Box::new(error)))
    }
}

/// An argument in the engine's type of a kind.
fn convert(array: &ArrayRef, kind: Kind, settings: &TimeSettings) -> Result<ArrayRef> {
    let from = array.data_type();
    if kind == Kind::Any {
        let text = match from {
            DataType::Dictionary(_, value) => value.is_string(),
            other => other.is_string(),
        };
        return if text { Ok(cast(array, &DataType::Utf8)?) } else { Ok(Arc::clone(array)) };
    }
    let target = kind.data_type();
    if *from == target {
        return Ok(Arc::clone(array));
    }
    if kind == Kind::Bytea && from.is_string() {
        // A literal in bytea's own forms, `\x…` or with octal escapes.
        let texts = cast(array, &DataType::Utf8)?;
        let bytes = texts.as_string::<i32>().iter().map(|text| text.map(bytea).transpose());
        let bytes = bytes.collect::<Result<Vec<Option<Vec<u8>>>>>()?;
        return Ok(Arc::new(bytes.into_iter().collect::<BinaryArray>()));
    }
    let temporal = matches!(
        kind,
        Kind::Date
            | Kind::Time
            | Kind::Timetz
            | Kind::Timestamp
            | Kind::Timestamptz
            | Kind::Interval
    );
    if temporal && !matches!(from, DataType::Null | DataType::Duration(_)) {
        return datetime::convert(array, &target, None, settings);
    }
    let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
    Ok(arrow::compute::cast_with_options(array, &target, &options)?)
}

fn array(kind: Kind, values: Vec<Value>) -> Result<ArrayRef> {
    Ok(match kind {
        Kind::Bool => {
            let mut out = BooleanBuilder::with_capacity(values.len());
            for value in values {
                out.append_option(if let Value::Bool(value) = value { Some(value) } else { None });
            }
            Arc::new(out.finish())
        }
        Kind::Int4 => primitives::<Int32Type>(values, |value| match value {
            Value::Int(value) => {
                let small = i32::try_from(value);
                small.map(Some).map_err(|_| fault("22003", "integer out of range"))
            }
            _ => Ok(None),
        })?,
        Kind::Int8 => primitives::<Int64Type>(values, |value| match value {
            Value::Int(value) => Ok(Some(value)),
            _ => Ok(None),
        })?,
        // Arguments only: no function of this frame gives one.
        Kind::Float8 => return Err(exec_datafusion_err!("no result of this kind is made here")),
        Kind::Date => primitives::<Date32Type>(values, |value| match value {
            Value::Date(value) => Ok(Some(value)),
            _ => Ok(None),
        })?,
        Kind::Time => primitives::<Time64MicrosecondType>(values, micros)?,
        Kind::Timetz => datetime_timetz::column(values.into_iter().map(|value| match value {
            Value::Zoned(time) => Some(time),
            _ => None,
        }))?,
        Kind::Timestamp => primitives::<TimestampMicrosecondType>(values, micros)?,
        Kind::Timestamptz => {
            let array = primitives::<TimestampMicrosecondType>(values, micros)?;
            let array = array.as_primitive::<TimestampMicrosecondType>().clone();
            Arc::new(array.with_timezone("UTC"))
        }
        Kind::Interval => primitives::<IntervalMonthDayNanoType>(values, |value| match value {
            Value::Span(span) => span.to_arrow().map(Some),
            _ => Ok(None),
        })?,
        Kind::Bytea => {
            let mut out = BinaryBuilder::new();
            for value in values {
                out.append_option(if let Value::Bytes(bytes) = value { Some(bytes) } else { None });
            }
            Arc::new(out.finish())
        }
        Kind::Text | Kind::Void | Kind::Any => {
            let mut out = StringBuilder::new();
            for value in values {
                out.append_option(if let Value::Text(text) = value { Some(text) } else { None });
            }
            Arc::new(out.finish())
        }
        Kind::Texts => {
            let mut out = ListBuilder::new(StringBuilder::new());
            for value in values {
                match value {
                    Value::Texts(texts) => out.append_value(texts),
                    _ => out.append_null(),
                }
            }
            Arc::new(out.finish())
        }
    })
}

fn micros(value: Value) -> Result<Option<i64>> {
    Ok(if let Value::Micros(micros) = value { Some(micros) } else { None })
}

fn primitives<T: ArrowPrimitiveType>(
    values: Vec<Value>,
    get: impl Fn(Value) -> Result<Option<T::Native>>,
) -> Result<ArrayRef> {
    let mut out = PrimitiveBuilder::<T>::with_capacity(values.len());
    for value in values {
        out.append_option(get(value)?);
    }
    Ok(Arc::new(out.finish()))
}
