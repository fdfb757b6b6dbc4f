//! One array to another type, as PostgreSQL's casts do it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, PrimitiveArray, StringArray, StructArray, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Int32Type, Int64Type, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::util::display::FormatOptions;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use tarn_catalog::pg_type::{Json, json_kind, json_type};

use super::forms::ValueForms;
use super::{bits, is_text, json, modifier, name_in_metadata, named};
use crate::functions::datetime::timetz;
use crate::functions::fault::fault;
use crate::functions::numeric::round::rounding_cast;
use crate::functions::numeric::text;

/// What a conversion needs to know.
pub(crate) struct Conversion<'a> {
    pub(crate) forms: &'a dyn ValueForms,
    /// Whether text that is too long is an error, as in INSERT, and not cut, as in a cast.
    pub(crate) assignment: bool,
}

impl Conversion<'_> {
    /// Converts an array of one type to another.
    ///
    /// # Errors
    /// For the first value that the other type does not have.
    pub(crate) fn run(&self, array: &ArrayRef, source: &Field, target: &Field) -> Result<ArrayRef> {
        let (from, to) = (array.data_type(), target.data_type());
        if *from == DataType::Null {
            return Ok(new_null_array(to, array.len()));
        }
        if let (DataType::List(a), DataType::List(b)) = (from, to)
            && from == to
            && a == b
        {
            return Ok(Arc::clone(array));
        }
        if let Some(kind) = json_kind(to) {
            return self.to_json(array, source, kind);
        }
        if let Some(kind) = json_kind(from) {
            return self.of_json(array, kind, target);
        }
        if let DataType::List(element) = to
            && from.is_list()
        {
            let lists = self.list(array, element, to)?;
            return match limited_element(target) {
                Some((limits, false)) => self.limited(&lists, &limits),
                _ => Ok(lists),
            };
        }
        if is_text(from) {
            return self.of_text(array, source, target);
        }
        if is_text(to) {
            return self.to_text(array, source, target);
        }
        self.plain(array, target)
    }

    fn of_text(&self, array: &ArrayRef, source: &Field, target: &Field) -> Result<ArrayRef> {
        let to = target.data_type();
        let texts = texts_of(array)?;
        if bits::is_bits(source) && to.is_integer() {
            let numbers = bits::to_integers(&texts, *to == DataType::Int64)?;
            return strict_cast(&(Arc::new(numbers) as ArrayRef), to);
        }
        if is_text(to) && bits::is_bits(target) {
            let read =
                |text: &str| bits::read(text).map_err(|(code, message)| fault(code, message));
            let texts =
                map_texts(&texts, |text| bits::fitted(read(text)?, target, self.assignment))?;
            return Ok(cast(&texts, to)?);
        }
        if is_text(to) {
            let texts = if name_in_metadata(source) == Some("bpchar") {
                map_texts(&texts, |text| Ok(text.trim_end_matches(' ').to_owned()))?
            } else {
                texts
            };
            return Ok(cast(&self.modified_text(texts, target)?, to)?);
        }
        if to.is_decimal() {
            return decimals(&texts, to);
        }
        if to.is_integer() && name_in_metadata(target).is_none() {
            return integers(&texts, to);
        }
        let values = self.forms.read(&texts, target).map_err(external)?;
        let values = if values.data_type() == to { values } else { strict_cast(&values, to)? };
        if let Some((limits, _)) = limited_element(target) {
            return self.limited(&values, &limits);
        }
        rounded(&values, modifier(target))
    }

    /// Applies lengths and digits to the elements of arrays.
    fn limited(&self, array: &ArrayRef, limits: &Field) -> Result<ArrayRef> {
        let (Some(list), DataType::List(element)) = (array.as_list_opt::<i32>(), array.data_type())
        else {
            let plain = Field::new("", array.data_type().clone(), true);
            return self.run(array, &plain, limits);
        };
        let values = self.limited(list.values(), limits)?;
        let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
        Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, nulls)?))
    }

    fn to_text(&self, array: &ArrayRef, source: &Field, target: &Field) -> Result<ArrayRef> {
        if bits::is_bits(target) && array.data_type().is_integer() {
            let numbers = cast(array, &DataType::Int64)?;
            let texts = bits::of_integers(numbers.as_primitive::<Int64Type>(), target);
            return Ok(cast(&texts, target.data_type())?);
        }
        let texts = if name_in_metadata(target) == Some("char") && array.data_type().is_integer() {
            one_byte(array)?
        } else if *array.data_type() == DataType::Boolean {
            // A cast says it in full, other than the text form of a value.
            let word = |value| if value { "true" } else { "false" };
            array.as_boolean().iter().map(|value| value.map(word)).collect()
        } else {
            self.forms.write(array, source, false).map_err(external)?
        };
        Ok(cast(&self.modified_text(texts, target)?, target.data_type())?)
    }

    /// Applies what `varchar(n)`, `char(n)`, `name` and `"char"` do to texts.
    fn modified_text(&self, texts: StringArray, target: &Field) -> Result<ArrayRef> {
        let length = modifier(target).and_then(|modifier| usize::try_from(modifier - 4).ok());
        let changed = match (name_in_metadata(target), length) {
            (Some("varchar"), Some(length)) => {
                map_texts(&texts, |text| self.cut(text, length, "character varying"))?
            }
            (Some("bpchar"), Some(length)) => map_texts(&texts, |text| {
                let mut text = self.cut(text, length, "character")?;
                let missing = length.saturating_sub(text.chars().count());
                text.extend(std::iter::repeat_n(' ', missing));
                Ok(text)
            })?,
            (Some("name"), _) => map_texts(&texts, |text| {
                let mut end = text.len().min(63);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                Ok(text.get(..end).unwrap_or_default().to_owned())
            })?,
            (Some("char"), _) => {
                map_texts(&texts, |text| Ok(text.chars().take(1).collect::<String>()))?
            }
            _ => texts,
        };
        Ok(Arc::new(changed))
    }

    fn cut(&self, text: &str, length: usize, type_name: &str) -> Result<String> {
        let Some((end, _)) = text.char_indices().nth(length) else { return Ok(text.to_owned()) };
        let (kept, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        // Blanks beyond the length are dropped without a word.
        if self.assignment && rest.chars().any(|c| c != ' ') {
            let message = format!("value too long for type {type_name}({length})");
            return Err(fault("22001", message));
        }
        Ok(kept.to_owned())
    }

    fn to_json(&self, array: &ArrayRef, source: &Field, kind: Json) -> Result<ArrayRef> {
        let texts = match json_kind(array.data_type()) {
            Some(from) => {
                let texts = json_texts(array)?;
                if from == kind || kind == Json::Text {
                    return Ok(json_array(texts, kind));
                }
                texts
            }
            None if is_text(array.data_type()) => texts_of(array)?,
            None => self.forms.write(array, source, false).map_err(external)?,
        };
        let read = |text: &str| match kind {
            Json::Text => json::check(text).map(|()| text.to_owned()),
            Json::Binary => json::normalized(text),
        };
        let texts = map_texts(&texts, |text| read(text).map_err(|error| json_fault(&error)))?;
        Ok(json_array(texts, kind))
    }

    fn of_json(&self, array: &ArrayRef, kind: Json, target: &Field) -> Result<ArrayRef> {
        let texts = json_texts(array)?;
        let to = target.data_type();
        if is_text(to) {
            return Ok(cast(&self.modified_text(texts, target)?, to)?);
        }
        let wanted = if *to == DataType::Boolean { "boolean" } else { "number" };
        if kind == Json::Text || !(wanted == "boolean" || to.is_numeric()) {
            return Err(fault("42846", "cannot cast type json to this type"));
        }
        let texts = map_texts(&texts, |text| {
            let value = json::parse(text).map_err(|error| json_fault(&error))?;
            if value.type_name() == wanted {
                return Ok(text.to_owned());
            }
            let message =
                format!("cannot cast jsonb {} to type {}", value.type_name(), sql_name(to));
            Err(fault("22023", message))
        })?;
        if to.is_integer() {
            let numbers = decimals(&texts, &DataType::Decimal256(76, 20))?;
            return self.plain(&numbers, target);
        }
        let source = Field::new("", DataType::Utf8, true);
        let texts: ArrayRef = Arc::new(texts);
        self.of_text(&texts, &source, target)
    }

    /// Converts the elements and keeps the lists around them.
    fn list(&self, array: &ArrayRef, element: &Arc<Field>, to: &DataType) -> Result<ArrayRef> {
        let inner = match array.data_type() {
            DataType::List(inner)
            | DataType::LargeList(inner)
            | DataType::ListView(inner)
            | DataType::LargeListView(inner)
            | DataType::FixedSizeList(inner, _) => Arc::clone(inner),
            _ => return Ok(cast(array, to)?),
        };
        let list = cast(array, &DataType::List(Arc::clone(&inner)))?;
        let list = list.as_list::<i32>();
        if inner.data_type().is_list() && !element.data_type().is_list() {
            return Err(fault("0A000", "casts of arrays to fewer dimensions are not supported"));
        }
        let values = self.run(list.values(), &inner, element)?;
        let values = if values.data_type() == element.data_type() {
            values
        } else {
            cast(&values, element.data_type())?
        };
        let offsets = list.offsets().clone();
        let element = Arc::clone(element);
        Ok(Arc::new(ListArray::try_new(element, offsets, values, list.nulls().cloned())?))
    }

    /// What Arrow's casts do, rounded as PostgreSQL rounds.
    fn plain(&self, array: &ArrayRef, target: &Field) -> Result<ArrayRef> {
        let (from, to) = (array.data_type(), target.data_type());
        if let Some(function) = rounding_cast(from, to) {
            let args = ScalarFunctionArgs {
                args: vec![ColumnarValue::Array(Arc::clone(array))],
                arg_fields: vec![Arc::new(Field::new("", from.clone(), true))],
                number_rows: array.len(),
                return_field: Arc::new(target.clone()),
                config_options: Arc::new(ConfigOptions::new()),
            };
            return function.invoke_with_args(args)?.to_array(array.len());
        }
        let values = if from == to { Arc::clone(array) } else { strict_cast(array, to)? };
        rounded(&values, modifier(target))
    }
}

/// What the elements of an array type have to keep to, and whether their own field says so: beside
/// a column it can be said of the array, as of `_varchar` with a length.
fn limited_element(target: &Field) -> Option<(Field, bool)> {
    let DataType::List(mut element) = target.data_type().clone() else { return None };
    while let DataType::List(deeper) = element.data_type() {
        element = Arc::clone(deeper);
    }
    if modifier(&element).is_some() {
        return Some((element.as_ref().clone(), true));
    }
    let name = name_in_metadata(target)?.strip_prefix('_')?;
    let limits = named(element.data_type().clone(), name, Some(modifier(target)?));
    Some((limits, false))
}

fn strict_cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    Ok(cast_with_options(array, to, &options)?)
}

/// The texts of a string array of any kind.
pub(crate) fn texts_of(array: &ArrayRef) -> Result<StringArray> {
    Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn map_texts(texts: &StringArray, change: impl Fn(&str) -> Result<String>) -> Result<StringArray> {
    texts.iter().map(|text| text.map(&change).transpose()).collect()
}

/// The texts of `json` or `jsonb` values.
pub(crate) fn json_texts(array: &ArrayRef) -> Result<StringArray> {
    let Some(values) = array.as_struct_opt() else { return texts_of(array) };
    let Some(inner) = values.columns().first() else { return texts_of(array) };
    let inner = inner.as_string::<i32>();
    let nulls = NullBuffer::union(inner.nulls(), values.nulls());
    Ok(StringArray::try_new(inner.offsets().clone(), inner.values().clone(), nulls)?)
}

/// An array of `json` or `jsonb` values.
pub(crate) fn json_array(texts: StringArray, kind: Json) -> ArrayRef {
    let nulls = texts.nulls().cloned();
    let values: ArrayRef = Arc::new(texts);
    let DataType::Struct(fields) = json_type(kind) else { return values };
    Arc::new(StructArray::new(fields, vec![values], nulls))
}

pub(crate) fn json_fault(error: &json::JsonError) -> datafusion::error::DataFusionError {
    fault(error.code, error.message)
}

pub(crate) fn external(error: crate::PlannerError) -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::External(Box::new(error))
}

fn sql_name(data_type: &DataType) -> &'static str {
    let oid = tarn_catalog::pg_type::pg_type_of_data_type(data_type).oid;
    tarn_catalog::pg_type::type_info(oid).map_or("unknown", |info| info.sql_name)
}

fn decimals(texts: &StringArray, to: &DataType) -> Result<ArrayRef> {
    let null = ScalarValue::try_from(to)?;
    let values = texts.iter().map(|value| match value {
        Some(value) => {
            let scalar = text::decimal(value)?.scalar();
            scalar.cast_to(to).map_err(|_| fault("22003", "numeric field overflow"))
        }
        None => Ok(null.clone()),
    });
    scalars(values.collect::<Result<Vec<_>>>()?, to)
}

fn integers(texts: &StringArray, to: &DataType) -> Result<ArrayRef> {
    let null = ScalarValue::try_from(to)?;
    let values = texts.iter().map(|value| match value {
        Some(value) => ScalarValue::Int64(Some(text::integer(value, to)?)).cast_to(to),
        None => Ok(null.clone()),
    });
    scalars(values.collect::<Result<Vec<_>>>()?, to)
}

fn scalars(values: Vec<ScalarValue>, data_type: &DataType) -> Result<ArrayRef> {
    if values.is_empty() {
        return Ok(arrow::array::new_empty_array(data_type));
    }
    ScalarValue::iter_to_array(values)
}

/// `65::"char"` is `A`.
fn one_byte(array: &ArrayRef) -> Result<StringArray> {
    let codes = strict_cast(array, &DataType::Int32)?;
    let codes = codes.as_primitive::<Int32Type>().iter();
    let text = |code: Option<i32>| -> Result<Option<String>> {
        let Some(code) = code else { return Ok(None) };
        let code = i8::try_from(code).map_err(|_| fault("22003", "\"char\" out of range"))?;
        Ok(Some(match u8::try_from(code) {
            Ok(0) => String::new(),
            Ok(code) => char::from(code).to_string(),
            Err(_) => format!("\\{:o}", code.cast_unsigned()),
        }))
    };
    codes.map(text).collect()
}

/// Rounds times and timestamps to a number of digits behind the second.
fn rounded(array: &ArrayRef, digits: Option<i32>) -> Result<ArrayRef> {
    let Some(digits) = digits.and_then(|digits| u32::try_from(digits).ok()) else {
        return Ok(Arc::clone(array));
    };
    let unit = 10_i64.pow(6_u32.saturating_sub(digits));
    Ok(match array.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let values = round_to::<TimestampMicrosecondType>(array, unit);
            Arc::new(values.with_timezone_opt(zone.clone()))
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            Arc::new(round_to::<Time64MicrosecondType>(array, unit))
        }
        DataType::FixedSizeBinary(12) => timetz::rounded(array, digits)?,
        _ => Arc::clone(array),
    })
}

fn round_to<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef, unit: i64) -> PrimitiveArray<T> {
    let round = |value: i64| {
        // The infinities stay what they are.
        if value == i64::MAX || value == i64::MIN {
            return value;
        }
        let rest = value.rem_euclid(unit);
        let down = value - rest;
        if rest * 2 >= unit { down.saturating_add(unit) } else { down }
    };
    array.as_primitive::<T>().unary(round)
}
