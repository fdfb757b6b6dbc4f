//! What JSON functions have in common.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use tarn_catalog::pg_type::{Json, json_kind, json_type};

use crate::facts::SessionFacts;
use crate::functions::array::frame::{Lists, depth, list_of};
use crate::functions::array_literal::elements;
use crate::functions::fault::fault;
use crate::types::convert::{json_array, json_fault, json_texts, texts_of};
use crate::types::forms::{NoForms, ValueForms};
use crate::types::{json, name_in_metadata};

/// What a function returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Returns {
    Json,
    Jsonb,
    /// What the first argument is.
    Same,
    Text,
    Bool,
    Int4,
    /// Bytes that compare as values do.
    Key,
    /// A list of what the first argument is.
    ListOfSame,
    ListOfText,
    /// A list of `(key, value)` with values of the type of the first argument.
    Pairs,
    /// The same with text.
    PairsOfText,
}

pub(super) type Body = fn(&Call<'_>) -> Result<ArrayRef>;

/// One function.
#[derive(Clone, Copy)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    /// The least and the greatest number of arguments.
    pub(super) arity: (usize, usize),
    pub(super) returns: Returns,
    pub(super) body: Body,
}

pub(super) const fn spec(
    name: &'static str,
    arity: (usize, usize),
    returns: Returns,
    body: Body,
) -> Spec {
    Spec { name, arity, returns, body }
}

impl Spec {
    pub(super) fn into_udf(self) -> Arc<ScalarUDF> {
        let signature = Signature::user_defined(Volatility::Stable);
        Arc::new(ScalarUDF::from(JsonFunction { spec: self, signature }))
    }

    fn kind(&self, fields: &[FieldRef]) -> Json {
        match self.returns {
            Returns::Jsonb => Json::Binary,
            Returns::Json => Json::Text,
            _ => fields.first().map_or(Json::Text, |field| kind_of(field, self.name)),
        }
    }
}

/// Which of the two types an argument is; a text counts as what the function is named for.
fn kind_of(field: &Field, function: &str) -> Json {
    match (json_kind(field.data_type()), name_in_metadata(field)) {
        (Some(kind), _) => kind,
        (None, Some("jsonb")) => Json::Binary,
        (None, Some("json")) => Json::Text,
        _ if function.starts_with("jsonb") => Json::Binary,
        _ => Json::Text,
    }
}

struct JsonFunction {
    spec: Spec,
    signature: Signature,
}

impl fmt::Debug for JsonFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec.name)
    }
}

// The name says which function it is; bodies cannot be compared.
impl PartialEq for JsonFunction {
    fn eq(&self, other: &Self) -> bool {
        self.spec.name == other.spec.name
    }
}

impl Eq for JsonFunction {}

impl Hash for JsonFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.spec.name.hash(state);
    }
}

/// The struct of a pair.
pub(super) fn pair_fields(value: DataType) -> Fields {
    Fields::from(vec![Field::new("key", DataType::Utf8, true), Field::new("value", value, true)])
}

impl ScalarUDFImpl for JsonFunction {
    fn name(&self) -> &str {
        self.spec.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (least, most) = self.spec.arity;
        if !(least..=most).contains(&types.len()) {
            let name = self.spec.name;
            return Err(fault("42883", format!("function {name} does not exist")));
        }
        Ok(types.to_vec())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Err(exec_datafusion_err!("{} has a type that depends on its arguments", self.spec.name))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let same = || json_type(self.spec.kind(args.arg_fields));
        let list = |inner: DataType| list_of(&inner, 1);
        let data_type = match self.spec.returns {
            Returns::Json | Returns::Jsonb | Returns::Same => same(),
            Returns::Text => DataType::Utf8,
            Returns::Bool => DataType::Boolean,
            Returns::Int4 => DataType::Int32,
            Returns::Key => DataType::Binary,
            Returns::ListOfSame => list(same()),
            Returns::ListOfText => list(DataType::Utf8),
            Returns::Pairs => list(DataType::Struct(pair_fields(same()))),
            Returns::PairsOfText => list(DataType::Struct(pair_fields(DataType::Utf8))),
        };
        Ok(Arc::new(Field::new(self.spec.name, data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let n_rows = if constant { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|arg| arg.to_array(n_rows)).collect::<Result<_>>()?;
        let facts = args.config_options.extensions.get::<SessionFacts>();
        let forms: &dyn ValueForms = match facts {
            Some(facts) => facts.forms.as_ref(),
            None => &NoForms,
        };
        let call = Call {
            name: self.spec.name,
            kind: self.spec.kind(&args.arg_fields),
            arrays,
            fields: &args.arg_fields,
            n_rows,
            forms,
        };
        let result = (self.spec.body)(&call)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// One call with its arguments as arrays.
pub(super) struct Call<'a> {
    pub(super) name: &'static str,
    /// What a result of the first argument's type is.
    pub(super) kind: Json,
    pub(super) arrays: Vec<ArrayRef>,
    pub(super) fields: &'a [FieldRef],
    pub(super) n_rows: usize,
    pub(super) forms: &'a dyn ValueForms,
}

impl Call<'_> {
    pub(super) fn array(&self, argument: usize) -> Result<&ArrayRef> {
        self.arrays
            .get(argument)
            .ok_or_else(|| exec_datafusion_err!("argument {argument} is missing"))
    }

    pub(super) fn n_arguments(&self) -> usize {
        self.arrays.len()
    }

    /// The JSON texts of an argument; a text that is no JSON is an error.
    pub(super) fn json(&self, argument: usize) -> Result<StringArray> {
        let array = self.array(argument)?;
        let named = self.fields.get(argument).and_then(|field| name_in_metadata(field));
        if json_kind(array.data_type()).is_some() || matches!(named, Some("json" | "jsonb")) {
            return json_texts(array);
        }
        if !crate::types::is_text(array.data_type()) && *array.data_type() != DataType::Null {
            let oid = tarn_catalog::pg_type::pg_type_of_data_type(array.data_type()).oid;
            let shown = tarn_catalog::pg_type::format_type(oid, None);
            let name = self.name;
            return Err(fault("42883", format!("function {name}({shown}) does not exist")));
        }
        let binary = self.name.starts_with("jsonb");
        let read = |text: &str| -> Result<String> {
            let read = if binary {
                json::normalized(text)
            } else {
                json::check(text).map(|()| text.to_owned())
            };
            read.map_err(|error| json_fault(&error))
        };
        texts_of(array)?.iter().map(|text| text.map(read).transpose()).collect()
    }

    pub(super) fn texts(&self, argument: usize) -> Result<StringArray> {
        texts_of(self.array(argument)?)
    }

    pub(super) fn ints(&self, argument: usize) -> Result<Int64Array> {
        let array = cast(self.array(argument)?, &DataType::Int64)?;
        Ok(array.as_primitive::<Int64Type>().clone())
    }

    /// Whether an argument is a number.
    pub(super) fn is_int(&self, argument: usize) -> bool {
        self.arrays.get(argument).is_some_and(|array| array.data_type().is_integer())
    }

    pub(super) fn is_list(&self, argument: usize) -> bool {
        self.arrays.get(argument).is_some_and(|array| depth(array.data_type()) > 0)
    }

    /// The texts of an array argument in each row; `None` for a NULL array.
    pub(super) fn paths(&self, argument: usize) -> Result<Vec<Option<Vec<Option<String>>>>> {
        let array = self.array(argument)?;
        if crate::types::is_text(array.data_type()) {
            return texts_of(array)?.iter().map(|text| text.map(path_of).transpose()).collect();
        }
        let lists = Lists::new(array)?;
        let values = texts_of(lists.values())?;
        let value = |at: usize| values.is_valid(at).then(|| values.value(at).to_owned());
        let row = |row: usize| (!lists.is_null(row)).then(|| lists.range(row).map(value).collect());
        Ok((0..self.n_rows).map(row).collect())
    }

    /// A result of `json` or `jsonb`.
    pub(super) fn json_result(&self, texts: StringArray) -> ArrayRef {
        json_array(texts, self.kind)
    }
}

/// A path written as an array: `{a,0}`.
fn path_of(text: &str) -> Result<Vec<Option<String>>> {
    elements(text).ok_or_else(|| fault("22P02", format!("malformed array literal: \"{text}\"")))
}

/// Applies a function to the rows in which both are not NULL.
pub(super) fn map_texts(
    texts: &StringArray,
    map: impl Fn(usize, &str) -> Result<Option<String>>,
) -> Result<StringArray> {
    let map = |(row, text): (usize, Option<&str>)| match text {
        Some(text) => map(row, text),
        None => Ok(None),
    };
    texts.iter().enumerate().map(map).collect()
}
