//! What set-returning functions unnest: `series`, `list_rows`, `_pg_expandarray`.
//!
//! `rewrite/sets.rs` puts `unnest` around them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, GenericListArray, Int32Array, PrimitiveArray,
    StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    ArrowNativeType, DataType, Decimal128Type, Field, FieldRef, Fields, Int32Type, Int64Type,
    IntervalMonthDayNanoType, TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_err, internal_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::datetime::span::Span;
use super::datetime::types::{INTERVAL, TIMESTAMP, timestamptz};
use super::datetime::zone::Zone;
use super::fault::fault;

/// The functions of this module.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::from(Series {
            signature: Signature::user_defined(Volatility::Stable),
        })),
        Arc::new(ScalarUDF::from(ListRows { signature: any_one() })),
        Arc::new(ScalarUDF::from(ExpandArray { signature: any_one() })),
        Arc::new(ScalarUDF::from(ListOrEmpty { signature: any_one() })),
    ]
}

fn any_one() -> Signature {
    Signature::any(1, Volatility::Immutable)
}

/// Elements of one list; more would not fit the memory that queries share.
const N_ELEMENTS_MAX: usize = 50_000_000;

/// `series(start, stop [, step])`: the list for `generate_series`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Series {
    signature: Signature,
}

impl ScalarUDFImpl for Series {
    fn name(&self) -> &'static str {
        "series"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let undefined = || {
            let names: Vec<String> = types
                .iter()
                .map(|data_type| super::frame::type_name(&Field::new("", data_type.clone(), true)))
                .collect();
            let message = format!("function generate_series({}) does not exist", names.join(", "));
            fault("42883", message)
        };
        if !matches!(types.len(), 2 | 3) {
            return Err(undefined());
        }
        let bounds = types.iter().take(2);
        let is_temporal = |data_type: &DataType| {
            matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
        };
        if bounds.clone().any(is_temporal) {
            let zoned = bounds.into_iter().any(|data_type| {
                !matches!(
                    data_type,
                    DataType::Timestamp(_, None)
                        | DataType::Utf8
                        | DataType::Utf8View
                        | DataType::Null
                )
            });
            let bound = if zoned { timestamptz() } else { TIMESTAMP };
            if types.len() != 3 {
                return Err(undefined());
            }
            return Ok(vec![bound.clone(), bound, INTERVAL]);
        }
        let mut scale = None;
        let mut wide = false;
        for data_type in types {
            match data_type {
                DataType::Int8 | DataType::Int16 | DataType::Int32 => {}
                DataType::UInt8 | DataType::UInt16 | DataType::Null => {}
                DataType::Utf8 | DataType::Utf8View => {}
                DataType::Int64 | DataType::UInt32 => wide = true,
                DataType::Decimal128(_, own) => {
                    scale = Some(scale.map_or(*own, |s: i8| s.max(*own)))
                }
                DataType::UInt64 => scale = Some(scale.unwrap_or(0)),
                _ => return Err(undefined()),
            }
        }
        let element = match scale {
            Some(scale) => DataType::Decimal128(38, scale),
            None if wide => DataType::Int64,
            None => DataType::Int32,
        };
        Ok(vec![element; types.len()])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let element = types.first().cloned().unwrap_or(DataType::Int32);
        Ok(DataType::new_list(element, true))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = Zone::of_session(args.config_options.execution.time_zone.as_deref());
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [start, stop, step @ ..] = arrays.as_slice() else {
            return exec_err!("series takes two or three arguments");
        };
        let step = step.first();
        let list = match start.data_type() {
            DataType::Int32 => {
                let next = |value: i32, step: i32| Ok(value.checked_add(step));
                rows::<Int32Type>(start, stop, step, 1, next)?
            }
            DataType::Int64 => {
                let next = |value: i64, step: i64| Ok(value.checked_add(step));
                rows::<Int64Type>(start, stop, step, 1, next)?
            }
            DataType::Decimal128(_, scale) => {
                let one = 10_i128.checked_pow(u32::try_from(*scale).unwrap_or(0)).unwrap_or(1);
                let next = |value: i128, step: i128| Ok(value.checked_add(step));
                rows::<Decimal128Type>(start, stop, step, one, next)?
            }
            DataType::Timestamp(_, own) => {
                let zone = own.as_ref().map(|_| zone);
                timestamps(start, stop, step, zone)?
            }
            other => return exec_err!("series of {other}"),
        };
        Ok(ColumnarValue::Array(list))
    }
}

fn zero_step() -> datafusion::error::DataFusionError {
    fault("22023", "step size cannot equal zero")
}

fn too_long() -> datafusion::error::DataFusionError {
    fault("54000", format!("generate_series has more than {N_ELEMENTS_MAX} rows here"))
}

/// Lists that are made one after another.
struct Lists<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

impl<T: ArrowPrimitiveType> Lists<T> {
    fn new() -> Self {
        Self { values: vec![], lengths: vec![], valid: vec![] }
    }

    fn push(&mut self, value: T::Native) -> Result<()> {
        if self.values.len() >= N_ELEMENTS_MAX {
            return Err(too_long());
        }
        self.values.push(value);
        Ok(())
    }

    fn end(&mut self, start: usize, valid: bool) {
        self.lengths.push(self.values.len() - start);
        self.valid.push(valid);
    }

    fn finish(self, data_type: &DataType) -> Result<ArrayRef> {
        let values = PrimitiveArray::<T>::from_iter_values(self.values);
        let values = values.with_data_type(data_type.clone());
        let field = Arc::new(Field::new_list_field(data_type.clone(), true));
        let list = GenericListArray::<i32>::try_new(
            field,
            OffsetBuffer::from_lengths(self.lengths),
            Arc::new(values),
            Some(NullBuffer::from(self.valid)),
        )?;
        Ok(Arc::new(list))
    }
}

fn rows<T: ArrowPrimitiveType>(
    start: &ArrayRef,
    stop: &ArrayRef,
    step: Option<&ArrayRef>,
    one: T::Native,
    next: impl Fn(T::Native, T::Native) -> Result<Option<T::Native>>,
) -> Result<ArrayRef>
where
    T::Native: PartialOrd + Default,
{
    let data_type = start.data_type();
    let (start, stop) = (start.as_primitive::<T>(), stop.as_primitive::<T>());
    let step = step.map(|step| step.as_primitive::<T>());
    let mut lists = Lists::<T>::new();
    for row in 0..start.len() {
        let first = lists.values.len();
        let known = start.is_valid(row) && stop.is_valid(row);
        if !known || step.is_some_and(|step| step.is_null(row)) {
            lists.end(first, false);
            continue;
        }
        let step = step.map_or(one, |step| step.value(row));
        let zero = T::Native::default();
        if step == zero {
            return Err(zero_step());
        }
        let (mut value, stop) = (start.value(row), stop.value(row));
        while if step > zero { value <= stop } else { value >= stop } {
            lists.push(value)?;
            match next(value, step)? {
                Some(later) => value = later,
                None => break,
            }
        }
        lists.end(first, true);
    }
    lists.finish(data_type)
}

fn timestamps(
    start: &ArrayRef,
    stop: &ArrayRef,
    step: Option<&ArrayRef>,
    zone: Option<Zone>,
) -> Result<ArrayRef> {
    let data_type = start.data_type();
    let start = start.as_primitive::<TimestampMicrosecondType>();
    let stop = stop.as_primitive::<TimestampMicrosecondType>();
    let step = step.ok_or_else(|| internal_datafusion_err!("series of timestamps has no step"))?;
    let step = step.as_primitive::<IntervalMonthDayNanoType>();
    let mut lists = Lists::<TimestampMicrosecondType>::new();
    for row in 0..start.len() {
        let first = lists.values.len();
        if start.is_null(row) || stop.is_null(row) || step.is_null(row) {
            lists.end(first, false);
            continue;
        }
        let step = Span::from_arrow(step.value(row));
        let order = step.order();
        if order == 0 {
            return Err(zero_step());
        }
        let (mut value, stop) = (start.value(row), stop.value(row));
        while if order > 0 { value <= stop } else { value >= stop } {
            lists.push(value)?;
            value = match zone {
                Some(zone) => step.after_in(value, zone)?,
                None => step.after(value)?,
            };
        }
        lists.end(first, true);
    }
    lists.finish(data_type)
}

/// `list_rows(array)`: the elements of an array of any dimension in one list.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ListRows {
    signature: Signature,
}

/// The type of an array's elements below all dimensions.
fn element(field: &FieldRef) -> &FieldRef {
    match field.data_type() {
        DataType::List(inner) | DataType::LargeList(inner) | DataType::FixedSizeList(inner, _) => {
            element(inner)
        }
        _ => field,
    }
}

fn not_an_array(name: &str, data_type: &DataType) -> datafusion::error::DataFusionError {
    let given = super::frame::type_name(&Field::new("", data_type.clone(), true));
    fault("42883", format!("function {name}({given}) does not exist"))
}

impl ScalarUDFImpl for ListRows {
    fn name(&self) -> &'static str {
        "list_rows"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(
                DataType::List(field)
                | DataType::LargeList(field)
                | DataType::FixedSizeList(field, _),
            ) => Ok(DataType::List(Arc::clone(element(field)))),
            Some(DataType::Null) => Ok(DataType::new_list(DataType::Utf8, true)),
            Some(other) => Err(not_an_array("unnest", other)),
            None => exec_err!("list_rows takes one argument"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(array) = arrays.first() else { return exec_err!("list_rows takes one argument") };
        let data_type = args.return_field.data_type();
        if matches!(array.data_type(), DataType::Null) {
            return Ok(ColumnarValue::Array(arrow::array::new_null_array(data_type, array.len())));
        }
        let array = match array.data_type() {
            DataType::List(_) => Arc::clone(array),
            DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
                arrow::compute::cast(array, &DataType::List(Arc::clone(field)))?
            }
            other => return Err(not_an_array("unnest", other)),
        };
        flatten(array.as_list::<i32>()).map(|list| ColumnarValue::Array(Arc::new(list)))
    }
}

fn flatten(list: &GenericListArray<i32>) -> Result<GenericListArray<i32>> {
    let inner = match list.value_type() {
        DataType::List(_) => flatten(list.values().as_list::<i32>())?,
        _ => return Ok(list.clone()),
    };
    let mut lengths = Vec::with_capacity(list.len());
    let offsets = list.value_offsets();
    let mut indices: Vec<(usize, usize)> = Vec::new();
    for (row, bounds) in offsets.windows(2).enumerate() {
        let [from, to] = bounds else { continue };
        let mut length = 0;
        if list.is_valid(row) {
            for at in from.as_usize()..to.as_usize() {
                let own = inner.value_offsets();
                let (Some(start), Some(end)) = (own.get(at), own.get(at + 1)) else { continue };
                indices.push((start.as_usize(), end.as_usize()));
                length += end.as_usize() - start.as_usize();
            }
        }
        lengths.push(length);
    }
    let data = inner.values().to_data();
    let mut elements = arrow::array::MutableArrayData::new(vec![&data], true, lengths.iter().sum());
    for (start, end) in indices {
        elements.try_extend(0, start, end)?;
    }
    let values = arrow::array::make_array(elements.freeze());
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(GenericListArray::try_new(field, offsets, values, list.nulls().cloned())?)
}

/// `_pg_expandarray(array)`: the elements with their numbers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ExpandArray {
    signature: Signature,
}

fn expanded(element: &FieldRef) -> DataType {
    let x = Field::new("x", element.data_type().clone(), true);
    let fields = Fields::from(vec![x, Field::new("n", DataType::Int32, true)]);
    DataType::Struct(fields)
}

impl ScalarUDFImpl for ExpandArray {
    fn name(&self) -> &'static str {
        "_pg_expandarray"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(DataType::List(field)) => Ok(DataType::new_list(expanded(field), true)),
            Some(DataType::Null) => {
                let text = Arc::new(Field::new_list_field(DataType::Utf8, true));
                Ok(DataType::new_list(expanded(&text), true))
            }
            Some(other) => Err(not_an_array("_pg_expandarray", other)),
            None => exec_err!("_pg_expandarray takes one argument"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(array) = arrays.first() else {
            return exec_err!("_pg_expandarray takes one argument");
        };
        let data_type = args.return_field.data_type();
        let DataType::List(field) = data_type else {
            return exec_err!("_pg_expandarray returns {data_type}");
        };
        let Some(list) = array.as_list_opt::<i32>() else {
            return Ok(ColumnarValue::Array(arrow::array::new_null_array(data_type, array.len())));
        };
        let DataType::Struct(fields) = field.data_type() else {
            return exec_err!("_pg_expandarray returns {data_type}");
        };
        let mut numbers: Vec<i32> = vec![0; list.values().len()];
        for bounds in list.value_offsets().windows(2) {
            let [from, to] = bounds else { continue };
            let places = numbers.get_mut(from.as_usize()..to.as_usize()).unwrap_or_default();
            for (place, number) in places.iter_mut().zip(1..) {
                *place = number;
            }
        }
        let columns: Vec<ArrayRef> =
            vec![Arc::clone(list.values()), Arc::new(Int32Array::from(numbers))];
        let rows = StructArray::try_new(fields.clone(), columns, None)?;
        let list = GenericListArray::<i32>::try_new(
            Arc::clone(field),
            list.offsets().clone(),
            Arc::new(rows),
            list.nulls().cloned(),
        )?;
        Ok(ColumnarValue::Array(Arc::new(list)))
    }
}

/// `list_or_empty(array)`: the value of `ARRAY(SELECT …)`, which is never NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ListOrEmpty {
    signature: Signature,
}

impl ScalarUDFImpl for ListOrEmpty {
    fn name(&self) -> &'static str {
        "list_or_empty"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(DataType::Null) | None => Ok(DataType::new_list(DataType::Utf8, true)),
            Some(other) => Ok(other.clone()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(array) = arrays.first() else {
            return exec_err!("list_or_empty takes one argument");
        };
        let Some(list) = array.as_list_opt::<i32>() else {
            return Ok(ColumnarValue::Array(Arc::clone(array)));
        };
        if list.null_count() == 0 {
            return Ok(ColumnarValue::Array(Arc::clone(array)));
        }
        let DataType::List(field) = list.data_type() else {
            return exec_err!("list_or_empty of {}", list.data_type());
        };
        // What lies under a NULL must not show up.
        let lengths: Vec<usize> = (0..list.len())
            .map(|row| if list.is_valid(row) { list.value_length(row).as_usize() } else { 0 })
            .collect();
        let data = list.values().to_data();
        let mut kept = arrow::array::MutableArrayData::new(vec![&data], true, lengths.iter().sum());
        for (row, length) in lengths.iter().enumerate() {
            if let Some(start) = list.value_offsets().get(row) {
                kept.try_extend(0, start.as_usize(), start.as_usize() + length)?;
            }
        }
        let values = arrow::array::make_array(kept.freeze());
        let offsets = OffsetBuffer::from_lengths(lengths);
        let list = GenericListArray::<i32>::try_new(Arc::clone(field), offsets, values, None)?;
        Ok(ColumnarValue::Array(Arc::new(list)))
    }
}
