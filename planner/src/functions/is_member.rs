//! `is_member(x, array)`: `x IN (SELECT …)` with SQL's three truth values.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, Decimal128Array, StringArray};
use arrow::datatypes::{
    DataType, Field, Float32Type, Float64Type, IntervalMonthDayNanoType, IntervalUnit,
};
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use datafusion::common::exec_datafusion_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::binary::comparison_coercion;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use tarn_catalog::pg_type::json_kind;

use crate::functions::datetime::span::Span;
use crate::types::json;
use crate::widening::meet;

/// True if `x` is among the elements; otherwise NULL if `x` or an element is NULL; otherwise
/// false. Nothing is a member of no elements, not even NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct IsMember {
    signature: Signature,
}

impl IsMember {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for IsMember {
    fn name(&self) -> &'static str {
        "is_member"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [tested, list] = types else {
            return Err(DataFusionError::Plan("is_member takes two arguments".to_owned()));
        };
        let element = match list {
            DataType::List(field) | DataType::LargeList(field) => field.data_type().clone(),
            DataType::Null => tested.clone(),
            other => {
                return Err(DataFusionError::Plan(format!(
                    "is_member takes an array, not {other}"
                )));
            }
        };
        let floats = meet(tested, &element).then_some(DataType::Float64);
        let common = floats.or_else(|| comparison_coercion(tested, &element)).ok_or_else(|| {
            DataFusionError::Plan(format!("cannot coerce {tested} and {element} for IN"))
        })?;
        let list = DataType::List(Arc::new(Field::new_list_field(common.clone(), true)));
        Ok(vec![common, list])
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [tested, list] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("is_member takes two arguments".to_owned()));
        };
        let tested = comparable(tested.to_array(args.number_rows)?)?;
        let converter = RowConverter::new(vec![SortField::new(tested.data_type().clone())])?;
        let values = converter.convert_columns(std::slice::from_ref(&tested))?;
        let result = match list {
            // The usual case: one subquery for all rows.
            ColumnarValue::Scalar(ScalarValue::List(list)) => {
                let members = Members::of(&converter, list.value(0), list.is_null(0))?;
                test(&tested, &values, &members)
            }
            ColumnarValue::Scalar(_) => test(&tested, &values, &Members::default()),
            ColumnarValue::Array(lists) => {
                let lists = lists.as_list::<i32>();
                let mut builder = BooleanBuilder::with_capacity(tested.len());
                for row in 0..tested.len() {
                    let members = Members::of(&converter, lists.value(row), lists.is_null(row))?;
                    builder.append_option(members.contains(&tested, &values, row));
                }
                Arc::new(builder.finish()) as ArrayRef
            }
        };
        Ok(ColumnarValue::Array(result))
    }
}

fn test(tested: &ArrayRef, values: &Rows, members: &Members) -> ArrayRef {
    let mut builder = BooleanBuilder::with_capacity(tested.len());
    for row in 0..tested.len() {
        builder.append_option(members.contains(tested, values, row));
    }
    Arc::new(builder.finish())
}

/// The values so that equal ones have equal bytes: no negative zeros, one NaN, intervals by their
/// length, numbers inside of JSON without zeros at the end.
fn comparable(array: ArrayRef) -> Result<ArrayRef> {
    let one = |value: f64| if value.is_nan() { f64::NAN } else { value + 0.0 };
    Ok(match array.data_type() {
        DataType::Float64 => {
            Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(one))
        }
        DataType::Float32 => {
            let one = |value: f32| if value.is_nan() { f32::NAN } else { value + 0.0 };
            Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(one))
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let spans = array.as_primitive::<IntervalMonthDayNanoType>();
            let length = |span| Span::from_arrow(span).order();
            Arc::new(spans.iter().map(|span| span.map(length)).collect::<Decimal128Array>())
        }
        data_type if json_kind(data_type).is_some() => {
            let texts = array.as_struct().column(0);
            let texts = texts.as_string::<i32>().iter().map(|text| text.map(json::comparable));
            let texts =
                texts.map(Option::transpose).collect::<std::result::Result<StringArray, _>>();
            let texts = texts.map_err(|error| exec_datafusion_err!("{error}"))?;
            // A NULL is one of the struct, not of the text inside.
            let nulls = array.logical_nulls();
            Arc::new(StringArray::new(texts.offsets().clone(), texts.values().clone(), nulls))
        }
        _ => array,
    })
}

#[derive(Default)]
struct Members {
    rows: HashSet<OwnedRow>,
    has_null: bool,
}

impl Members {
    fn of(converter: &RowConverter, elements: ArrayRef, missing: bool) -> Result<Self> {
        if missing {
            return Ok(Self::default());
        }
        let elements = comparable(elements)?;
        let nulls = elements.logical_nulls();
        let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let rows = converter.convert_columns(&[Arc::clone(&elements)])?;
        let rows =
            (0..elements.len()).filter(|row| !is_null(*row)).map(|row| rows.row(row).owned());
        let has_null = nulls.as_ref().is_some_and(|nulls| nulls.null_count() > 0);
        Ok(Self { rows: rows.collect(), has_null })
    }

    fn contains(&self, tested: &ArrayRef, values: &Rows, row: usize) -> Option<bool> {
        if self.rows.is_empty() && !self.has_null {
            return Some(false);
        }
        if tested.is_null(row) {
            return None;
        }
        match self.rows.contains(&values.row(row).owned()) {
            true => Some(true),
            false => (!self.has_null).then_some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::ListArray;
    use arrow::array::{Array, AsArray, Int32Array};
    use arrow::datatypes::{DataType, Field, Int32Type};
    use datafusion::config::ConfigOptions;
    use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl};
    use datafusion::scalar::ScalarValue;

    use super::IsMember;

    fn check(tested: Option<i32>, list: Option<Vec<Option<i32>>>, expected: Option<bool>) {
        let tested_array = Arc::new(Int32Array::from(vec![tested]));
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![list.clone()]);
        let field = |t: DataType| Arc::new(Field::new("", t, true));
        let list_type = lists.data_type().clone();
        for list_value in [
            ColumnarValue::Array(Arc::new(lists.clone())),
            ColumnarValue::Scalar(ScalarValue::List(Arc::new(lists.clone()))),
        ] {
            let result = IsMember::new().invoke_with_args(ScalarFunctionArgs {
                args: vec![ColumnarValue::Array(tested_array.clone()), list_value],
                arg_fields: vec![field(DataType::Int32), field(list_type.clone())],
                number_rows: 1,
                return_field: field(DataType::Boolean),
                config_options: Arc::new(ConfigOptions::new()),
            });
            let array = result.and_then(|value| value.to_array(1)).expect("computes");
            let found = array.as_boolean();
            let found = found.is_valid(0).then(|| found.value(0));
            assert_eq!(found, expected, "{tested:?} in {list:?}");
        }
    }

    #[test]
    fn null_makes_membership_unknown_unless_it_is_certain() {
        check(Some(1), Some(vec![Some(1), Some(2)]), Some(true));
        check(Some(3), Some(vec![Some(1), Some(2)]), Some(false));
        check(Some(1), Some(vec![Some(1), None]), Some(true));
        check(Some(3), Some(vec![Some(1), None]), None);
        check(None, Some(vec![Some(1)]), None);
        check(None, Some(vec![]), Some(false));
        check(Some(1), None, Some(false));
    }
}
