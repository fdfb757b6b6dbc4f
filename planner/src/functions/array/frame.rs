//! What array functions have in common: types of arguments, access to lists, building of results.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, StringArray, make_comparator, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{SortOptions, cast, interleave};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

use crate::facts::SessionFacts;
use crate::functions::fault::fault;
use crate::types::forms::{NoForms, ValueForms};
use crate::types::{is_text, name, scalar_of};
use crate::widening::common_float;

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Param {
    /// An array.
    Array,
    /// A value of the type of the arrays' elements.
    Element,
    /// A number.
    Int,
    /// A text.
    Text,
}

/// What a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Returns {
    Array,
    Element,
    Bool,
    Int4,
    Int4Array,
    Text,
    TextArray,
}

pub(super) type Body = fn(&Call<'_>) -> Result<ArrayRef>;

/// One function.
#[derive(Clone, Copy)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) params: &'static [Param],
    /// How many of the parameters may be left out.
    pub(super) n_optional: usize,
    pub(super) returns: Returns,
    pub(super) body: Body,
}

impl Spec {
    pub(super) fn into_udf(self) -> Arc<ScalarUDF> {
        let signature = Signature::one_of(
            vec![TypeSignature::VariadicAny, TypeSignature::Nullary],
            Volatility::Stable,
        );
        Arc::new(ScalarUDF::from(ArrayFunction { spec: self, signature }))
    }
}

struct ArrayFunction {
    spec: Spec,
    signature: Signature,
}

impl fmt::Debug for ArrayFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec.name)
    }
}

// The name says which function it is; bodies cannot be compared.
impl PartialEq for ArrayFunction {
    fn eq(&self, other: &Self) -> bool {
        self.spec.name == other.spec.name
    }
}

impl Eq for ArrayFunction {}

impl Hash for ArrayFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.spec.name.hash(state);
    }
}

/// The type of the elements of an array of any number of dimensions.
pub(crate) fn leaf(data_type: &DataType) -> &DataType {
    match element_field(data_type) {
        Some(element) => leaf(element.data_type()),
        None => data_type,
    }
}

/// The field of the elements of a list.
pub(crate) fn element_field(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => Some(element),
        _ => None,
    }
}

/// How many dimensions an array of this type has; 0 for what is no array.
pub(crate) fn depth(data_type: &DataType) -> usize {
    element_field(data_type).map_or(0, |element| 1 + depth(element.data_type()))
}

/// An array of so many dimensions.
pub(crate) fn list_of(leaf: &DataType, depth: usize) -> DataType {
    (0..depth).fold(leaf.clone(), |inner, _| {
        let inner = Field::new("", inner, true);
        DataType::List(Arc::new(name::element(&inner)))
    })
}

/// The type that elements of several arrays have in common.
pub(crate) fn common_leaf(types: &[&DataType]) -> Result<DataType> {
    let known: Vec<DataType> = types
        .iter()
        .map(|data_type| leaf(data_type))
        .filter(|leaf| **leaf != DataType::Null)
        .map(|leaf| if is_text(leaf) { DataType::Utf8 } else { leaf.clone() })
        .collect();
    let Some(first) = known.first() else { return Ok(DataType::Utf8) };
    if known.iter().all(|data_type| data_type == first) {
        return Ok(first.clone());
    }
    common_float(&known).or_else(|| type_union_resolution(&known)).ok_or_else(|| {
        let names: Vec<String> = known.iter().map(ToString::to_string).collect();
        fault("42883", format!("array elements of types {} do not match", names.join(" and ")))
    })
}

impl ArrayFunction {
    /// The types that the arguments take.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let Spec { name, params, n_optional, .. } = self.spec;
        if types.len() > params.len() || types.len() + n_optional < params.len() {
            return Err(fault("42883", format!("function {name} does not exist")));
        }
        let typed = || types.iter().zip(params);
        let alike: Vec<&DataType> = typed()
            .filter(|(_, param)| matches!(param, Param::Array | Param::Element))
            .map(|(data_type, _)| data_type)
            .collect();
        let common = common_leaf(&alike)?;
        let deepest = alike.iter().map(|data_type| depth(data_type)).max().unwrap_or(1).max(1);
        let coerce = |(data_type, param): (&DataType, &Param)| match param {
            // A literal of unknown type is read as an array.
            Param::Array if *data_type == DataType::Null || is_text(data_type) => {
                Ok(list_of(&common, deepest))
            }
            Param::Array if depth(data_type) == 0 => {
                let shown = tarn_catalog::pg_type::pg_type_of_data_type(data_type).oid;
                let shown = tarn_catalog::pg_type::format_type(shown, None);
                Err(fault("42883", format!("function {name}({shown}) does not exist")))
            }
            Param::Array => Ok(list_of(&common, depth(data_type))),
            Param::Element => Ok(common.clone()),
            Param::Int => Ok(DataType::Int64),
            Param::Text => Ok(DataType::Utf8),
        };
        typed().map(coerce).collect()
    }
}

/// The types that the arguments of an array function take; `None` for other functions.
pub(crate) fn coerced(function: &ScalarUDF, types: &[DataType]) -> Option<Result<Vec<DataType>>> {
    let function = function.inner().downcast_ref::<ArrayFunction>()?;
    Some(function.coerce_types(types))
}

impl ScalarUDFImpl for ArrayFunction {
    fn name(&self) -> &str {
        self.spec.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Err(exec_datafusion_err!("{} has a type that depends on its arguments", self.spec.name))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        let types = self.coerce_types(&types)?;
        let array = types.into_iter().max_by_key(depth);
        let array = array.unwrap_or_else(|| list_of(&DataType::Utf8, 1));
        let data_type = match self.spec.returns {
            Returns::Array => {
                let depth = depth(&array).max(1);
                list_of(leaf(&array), depth)
            }
            Returns::Element => leaf(&array).clone(),
            Returns::Bool => DataType::Boolean,
            Returns::Int4 => DataType::Int32,
            Returns::Int4Array => list_of(&DataType::Int32, 1),
            Returns::Text => DataType::Utf8,
            Returns::TextArray => list_of(&DataType::Utf8, 1),
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
        let result_type = args.return_field.data_type();
        let call = Call { arrays, fields: &args.arg_fields, n_rows, forms, result_type };
        let result = (self.spec.body)(&call)?;
        let result =
            if result.data_type() == result_type { result } else { cast(&result, result_type)? };
        if constant {
            return Ok(ColumnarValue::Scalar(scalar_of(&result)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// One call with its arguments as arrays.
pub(super) struct Call<'a> {
    pub(super) arrays: Vec<ArrayRef>,
    pub(super) fields: &'a [FieldRef],
    pub(super) n_rows: usize,
    pub(super) forms: &'a dyn ValueForms,
    pub(super) result_type: &'a DataType,
}

impl Call<'_> {
    pub(super) fn array(&self, argument: usize) -> Result<&ArrayRef> {
        self.arrays
            .get(argument)
            .ok_or_else(|| exec_datafusion_err!("argument {argument} is missing"))
    }

    pub(super) fn has(&self, argument: usize) -> bool {
        self.arrays.len() > argument
    }

    pub(super) fn lists(&self, argument: usize) -> Result<Lists> {
        Lists::new(self.array(argument)?)
    }

    pub(super) fn ints(&self, argument: usize) -> Result<Int64Array> {
        let array = cast(self.array(argument)?, &DataType::Int64)?;
        Ok(array.as_primitive::<Int64Type>().clone())
    }

    pub(super) fn texts(&self, argument: usize) -> Result<StringArray> {
        crate::types::convert::texts_of(self.array(argument)?)
    }

    pub(super) fn field(&self, argument: usize) -> Option<&Field> {
        self.fields.get(argument).map(AsRef::as_ref)
    }
}

/// One dimension of a column of arrays.
pub(crate) struct Lists {
    list: ListArray,
}

impl Lists {
    pub(crate) fn new(array: &ArrayRef) -> Result<Self> {
        let list = match array.data_type() {
            DataType::List(_) => array.as_list::<i32>().clone(),
            DataType::Null => {
                let data_type = list_of(&DataType::Utf8, 1);
                new_null_array(&data_type, array.len()).as_list::<i32>().clone()
            }
            other => {
                let Some(element) = element_field(other) else {
                    return Err(exec_datafusion_err!("{other} is no array"));
                };
                let list = cast(array, &DataType::List(Arc::clone(element)))?;
                list.as_list::<i32>().clone()
            }
        };
        Ok(Self { list })
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.list.is_null(row)
    }

    /// The elements of a row among all elements.
    pub(crate) fn range(&self, row: usize) -> Range<usize> {
        let offset = |at: usize| {
            let offset = self.list.value_offsets().get(at).copied().unwrap_or(0);
            usize::try_from(offset).unwrap_or(0)
        };
        if self.is_null(row) { 0..0 } else { offset(row)..offset(row + 1) }
    }

    /// All elements of all rows.
    pub(crate) fn values(&self) -> &ArrayRef {
        self.list.values()
    }

    /// The same lists with other elements of the same number.
    pub(crate) fn with_values(&self, values: ArrayRef) -> Result<ListArray> {
        let element = Field::new_list_field(values.data_type().clone(), true);
        let (offsets, nulls) = (self.list.offsets().clone(), self.list.nulls().cloned());
        Ok(ListArray::try_new(Arc::new(element), offsets, values, nulls)?)
    }

    /// The next dimension.
    pub(crate) fn inner(&self) -> Option<Self> {
        if self.values().data_type().is_list() { Self::new(self.values()).ok() } else { None }
    }

    /// The size of each dimension of a row; none for an array without elements.
    pub(crate) fn sizes(&self, row: usize) -> Vec<usize> {
        let mut sizes = Vec::new();
        let mut level = Some(Self { list: self.list.clone() });
        let mut row = row;
        while let Some(lists) = level {
            let range = lists.range(row);
            if range.is_empty() {
                return Vec::new();
            }
            sizes.push(range.len());
            row = range.start;
            level = lists.inner();
        }
        sizes
    }
}

/// Compares elements of two arrays; NULLs are equal to each other and greater than all else.
pub(crate) fn comparator(
    left: &ArrayRef,
    right: &ArrayRef,
) -> Result<impl Fn(usize, usize) -> std::cmp::Ordering + use<>> {
    let options = SortOptions { descending: false, nulls_first: false };
    let right = if left.data_type() == right.data_type() {
        Arc::clone(right)
    } else {
        cast(right, left.data_type())?
    };
    Ok(make_comparator(left.as_ref(), right.as_ref(), options)?)
}

/// Where an element of a result comes from: which source, and which of its values.
pub(super) type Pick = (usize, usize);

/// Builds lists whose elements are picked from several arrays of one type.
pub(super) fn build(
    sources: &[&ArrayRef],
    rows: Vec<Option<Vec<Pick>>>,
    element: &Arc<Field>,
) -> Result<ArrayRef> {
    let nulls: NullBuffer = rows.iter().map(Option::is_some).collect();
    let lengths = rows.iter().map(|row| row.as_ref().map_or(0, Vec::len));
    let offsets = OffsetBuffer::from_lengths(lengths);
    let picks: Vec<Pick> = rows.into_iter().flatten().flatten().collect();
    let values = pick(sources, &picks, element.data_type())?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, Some(nulls))?))
}

/// Picks values from several arrays.
pub(super) fn pick(
    sources: &[&ArrayRef],
    picks: &[Pick],
    data_type: &DataType,
) -> Result<ArrayRef> {
    let sources = sources.iter().map(|source| {
        if source.data_type() == data_type {
            Ok(Arc::clone(source))
        } else {
            Ok(cast(source, data_type)?)
        }
    });
    let sources = sources.collect::<Result<Vec<_>>>()?;
    let sources: Vec<&dyn Array> = sources.iter().map(AsRef::as_ref).collect();
    Ok(interleave(&sources, picks)?)
}

/// The field of the elements of a result.
pub(super) fn result_element(data_type: &DataType) -> Result<Arc<Field>> {
    element_field(data_type).cloned().ok_or_else(|| exec_datafusion_err!("{data_type} is no array"))
}

/// Whether a function is one of this module's.
pub(crate) fn is_array_function(function: &ScalarUDF) -> bool {
    function.inner().downcast_ref::<ArrayFunction>().is_some()
}
