//! Mathematical functions with PostgreSQL's argument types, results and errors.
//!
//! Each has up to three forms: for floats, for `numeric` and for integers. Which one is called is
//! decided as PostgreSQL decides it: a float among the arguments makes it the float's form, then
//! a decimal the `numeric` one; integers go to their own form, or to the preferred of the others.
//!
//! The digits after the point of a `numeric` result are those that PostgreSQL gives the value
//! where all arguments are constants, and one number for a whole column otherwise. As constants
//! are folded later, the analyzer fixes the scale by an argument of its own ([`pin`]).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Decimal128Type, Decimal256Type,
    Field, FieldRef, Float64Type, Int64Type, i256,
};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use super::catalog::{self, Function, NumericForm};
use super::number::{Number, overflow};
use crate::functions::fault::{fault, out_of_range};

/// The functions, which take the places of DataFusion's of these names.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    catalog::functions().map(udf).collect()
}

/// The function of this name, for operators.
pub(super) fn function(name: &str) -> Option<Arc<ScalarUDF>> {
    catalog::function(name).map(udf)
}

fn udf(function: &'static Function) -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    let aliases = function.aliases.iter().map(|&alias| alias.to_owned()).collect();
    Arc::new(ScalarUDF::from(Math { function, aliases, signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Math {
    function: &'static Function,
    aliases: Vec<String>,
    signature: Signature,
}

/// The form of a function for some argument types.
enum Form {
    Float(fn(&[f64]) -> Result<f64>),
    Real(fn(&[f64]) -> Result<f64>),
    Numeric(&'static NumericForm),
    Integer(fn(&[i64]) -> Result<i64>, DataType),
}

impl Math {
    fn form(&self, types: &[DataType]) -> Result<Form> {
        let function = self.function;
        let n_args = types.len();
        if !function.n_args.contains(&n_args) {
            return Err(self.undefined(types));
        }
        let any = |is: fn(&DataType) -> bool| types.iter().any(is);
        if types.iter().any(|t| !is_number(t)) {
            return Err(self.undefined(types));
        }
        let unknown = types.iter().all(|t| t.is_null() || t.is_string());
        let float = function.float.filter(|_| function.n_args_float.contains(&n_args));
        if any(DataType::is_floating) {
            let form = float.ok_or_else(|| self.undefined(types))?;
            let real = function.keeps_real && types == [DataType::Float32];
            return Ok(if real { Form::Real(form) } else { Form::Float(form) });
        }
        let numeric = function.numeric.as_ref();
        if any(DataType::is_decimal)
            && let Some(form) = numeric
        {
            return Ok(Form::Numeric(form));
        }
        match (function.integer, float, numeric) {
            (Some(form), _, _) if !unknown => Ok(Form::Integer(form, widest(types))),
            (_, Some(form), _) => Ok(Form::Float(form)),
            (_, _, Some(form)) => Ok(Form::Numeric(form)),
            _ => Err(self.undefined(types)),
        }
    }

    fn undefined(&self, types: &[DataType]) -> datafusion::error::DataFusionError {
        let names: Vec<&str> = types.iter().map(type_name).collect();
        let message =
            format!("function {}({}) does not exist", self.function.name, names.join(", "));
        fault("42883", message)
    }

    fn numeric_type(
        form: &NumericForm,
        types: &[DataType],
        constants: &[Option<&ScalarValue>],
    ) -> DataType {
        let numbers: Option<Vec<Number>> =
            constants.iter().map(|constant| Number::of_scalar((*constant)?)).collect();
        if let Some(numbers) = numbers
            && let Ok(result) = (form.eval)(&numbers)
        {
            return result.data_type();
        }
        let scales: Vec<i32> = types.iter().map(scale_of).collect();
        let second = constants.get(1).copied().flatten();
        let second = second.and_then(Number::of_scalar).and_then(Number::to_i64);
        let scale = (form.column_scale)(&scales, second.and_then(|n| i32::try_from(n).ok()));
        let scale = i8::try_from(scale.clamp(0, 37)).unwrap_or(0);
        if types.iter().any(|t| matches!(t, DataType::Decimal256(..))) {
            return DataType::Decimal256(DECIMAL256_MAX_PRECISION, scale);
        }
        DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale)
    }
}

impl ScalarUDFImpl for Math {
    fn name(&self) -> &str {
        self.function.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        let args: Vec<String> = unpinned(args).iter().map(ToString::to_string).collect();
        Ok(format!("{}({})", self.function.name, args.join(",")))
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let args: Vec<String> =
            unpinned(args).iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(format!("{}({})", self.function.name, args.join(",")))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (types, pin) = match types {
            [types @ .., DataType::Int8] => (types, Some(DataType::Int8)),
            types => (types, None),
        };
        let plain: Vec<DataType> = types.iter().map(unwrapped).collect();
        // The error would be wrapped here; `return_type` says it in PostgreSQL's words.
        let Ok(form) = self.form(&plain) else { return Ok(types.to_vec()) };
        let coerced = plain.iter().map(|data_type| match &form {
            Form::Float(_) => DataType::Float64,
            Form::Real(_) => DataType::Float32,
            Form::Numeric(_) if data_type.is_decimal() || data_type.is_integer() => {
                data_type.clone()
            }
            Form::Numeric(_) => DataType::Decimal128(DECIMAL128_MAX_PRECISION, 16),
            Form::Integer(_, result) => result.clone(),
        });
        Ok(coerced.chain(pin).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match self.form(types)? {
            Form::Float(_) | Form::Numeric(_) if self.function.counts => DataType::Int32,
            Form::Float(_) => DataType::Float64,
            Form::Real(_) => DataType::Float32,
            Form::Integer(_, result) => result,
            Form::Numeric(form) => Self::numeric_type(form, types, &[]),
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> =
            args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let data_type = match (types.as_slice(), args.scalar_arguments) {
            ([_, .., DataType::Int8], [.., Some(ScalarValue::Int8(Some(code)))]) => pinned(*code),
            (types, constants) => match self.form(types)? {
                Form::Numeric(form) if !self.function.counts => {
                    Self::numeric_type(form, types, constants)
                }
                _ => self.return_type(types)?,
            },
        };
        Ok(Arc::new(Field::new(self.function.name, data_type, true)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result = args.return_type().clone();
        let values = match args.args.as_slice() {
            [values @ .., last] if last.data_type() == DataType::Int8 => values,
            values => values,
        };
        let types: Vec<DataType> = values.iter().map(ColumnarValue::data_type).collect();
        let scalars = values.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let n_rows = if scalars { 1 } else { args.number_rows };
        let array = match self.form(&types)? {
            Form::Float(form) => cast(&floats(form, values, n_rows)?, &result)?,
            Form::Real(form) => cast(&floats(form, values, n_rows)?, &DataType::Float32)?,
            Form::Integer(form, _) => integers(form, values, n_rows, &result)?,
            Form::Numeric(form) => numbers(form, values, n_rows, &result)?,
        };
        if scalars {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// Fixes the scale of a call's `numeric` result by a last argument of type `Int8`.
///
/// # Errors
/// Arguments without a type.
pub(crate) fn pin(mut call: ScalarFunction, schema: &DFSchema) -> Result<(ScalarFunction, bool)> {
    let is_math = call.func.inner().downcast_ref::<Math>().is_some();
    if !is_math || unpinned(&call.args).len() < call.args.len() {
        return Ok((call, false));
    }
    let expr = Expr::ScalarFunction(call);
    let data_type = expr.get_type(schema)?;
    let Expr::ScalarFunction(returned) = expr else {
        return Err(exec_datafusion_err!("a call is a call"));
    };
    call = returned;
    let code = match data_type {
        DataType::Decimal128(_, scale) => scale,
        DataType::Decimal256(_, scale) => -scale - 1,
        _ => return Ok((call, false)),
    };
    call.args.push(Expr::Literal(ScalarValue::Int8(Some(code)), None));
    Ok((call, true))
}

fn pinned(code: i8) -> DataType {
    if code < 0 {
        DataType::Decimal256(DECIMAL256_MAX_PRECISION, -(code + 1))
    } else {
        DataType::Decimal128(DECIMAL128_MAX_PRECISION, code)
    }
}

fn unpinned(args: &[Expr]) -> &[Expr] {
    match args {
        [args @ .., Expr::Literal(ScalarValue::Int8(Some(_)), _)] => args,
        args => args,
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || data_type.is_null() || data_type.is_string()
}

fn unwrapped(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        t => t.clone(),
    }
}

/// The integer type that all arguments become.
fn widest(types: &[DataType]) -> DataType {
    let rank = |t: &DataType| match t {
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => 0,
        DataType::UInt16 | DataType::Int32 => 1,
        _ => 2,
    };
    match types.iter().filter(|t| t.is_integer()).map(rank).max() {
        Some(0) => DataType::Int16,
        Some(1) => DataType::Int32,
        _ => DataType::Int64,
    }
}

fn scale_of(data_type: &DataType) -> i32 {
    match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => i32::from(*scale),
        _ => 0,
    }
}

fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt32 => "bigint",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Boolean => "boolean",
        DataType::Date32 => "date",
        DataType::Timestamp(_, None) => "timestamp without time zone",
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone",
        DataType::Interval(_) => "interval",
        DataType::Null => "unknown",
        t if t.is_decimal() => "numeric",
        t if t.is_string() => "text",
        _ => "record",
    }
}

fn floats(
    form: fn(&[f64]) -> Result<f64>,
    values: &[ColumnarValue],
    n_rows: usize,
) -> Result<ArrayRef> {
    let arrays = values
        .iter()
        .map(|value| Ok(cast(&value.to_array(n_rows)?, &DataType::Float64)?))
        .collect::<Result<Vec<ArrayRef>>>()?;
    if let [array] = arrays.as_slice() {
        let array = array.as_primitive::<Float64Type>();
        let result: Float64Array = array.try_unary(|x| form(&[x]))?;
        return Ok(Arc::new(result));
    }
    let arrays: Vec<&Float64Array> =
        arrays.iter().map(|array| array.as_primitive::<Float64Type>()).collect();
    let mut row_values = Vec::with_capacity(arrays.len());
    let rows = (0..n_rows).map(|row| {
        row_values.clear();
        row_values.extend(arrays.iter().filter(|a| a.is_valid(row)).map(|a| a.value(row)));
        (row_values.len() == arrays.len()).then(|| form(&row_values)).transpose()
    });
    Ok(Arc::new(rows.collect::<Result<Float64Array>>()?))
}

fn integers(
    form: fn(&[i64]) -> Result<i64>,
    values: &[ColumnarValue],
    n_rows: usize,
    result: &DataType,
) -> Result<ArrayRef> {
    let arrays = values
        .iter()
        .map(|value| Ok(cast(&value.to_array(n_rows)?, &DataType::Int64)?))
        .collect::<Result<Vec<ArrayRef>>>()?;
    let arrays: Vec<&Int64Array> =
        arrays.iter().map(|array| array.as_primitive::<Int64Type>()).collect();
    let mut row_values = Vec::with_capacity(arrays.len());
    let rows = (0..n_rows).map(|row| {
        row_values.clear();
        row_values.extend(arrays.iter().filter(|a| a.is_valid(row)).map(|a| a.value(row)));
        let value = (row_values.len() == arrays.len()).then(|| form(&row_values)).transpose()?;
        let fits = value.is_none_or(|value| match result {
            DataType::Int16 => i16::try_from(value).is_ok(),
            DataType::Int32 => i32::try_from(value).is_ok(),
            _ => true,
        });
        if fits { Ok(value) } else { Err(out_of_range(result)) }
    });
    let array: ArrayRef = Arc::new(rows.collect::<Result<Int64Array>>()?);
    Ok(cast(&array, result)?)
}

fn numbers(
    form: &NumericForm,
    values: &[ColumnarValue],
    n_rows: usize,
    result: &DataType,
) -> Result<ArrayRef> {
    let columns = values
        .iter()
        .map(|value| Column::new(&value.to_array(n_rows)?))
        .collect::<Result<Vec<_>>>()?;
    let scale = scale_of(result);
    let mut row_values = Vec::with_capacity(columns.len());
    let rows = (0..n_rows).map(|row| -> Result<Option<i256>> {
        row_values.clear();
        row_values.extend(columns.iter().filter_map(|column| column.number(row)));
        if row_values.len() < columns.len() {
            return Ok(None);
        }
        Ok(Some((form.eval)(&row_values)?.rounded(scale)?.value))
    });
    let rows = rows.collect::<Result<Vec<Option<i256>>>>()?;
    let narrow =
        |value: &Option<i256>| value.map(|value| value.to_i128().ok_or_else(overflow)).transpose();
    Ok(match result {
        DataType::Decimal256(precision, scale) => {
            let array = arrow::array::Decimal256Array::from(rows);
            Arc::new(array.with_precision_and_scale(*precision, *scale)?)
        }
        DataType::Int32 => {
            let rows = rows.iter().map(|value| {
                let value = narrow(value)?.map(i32::try_from);
                value.transpose().map_err(|_| out_of_range(result))
            });
            Arc::new(rows.collect::<Result<Int32Array>>()?)
        }
        _ => {
            let rows = rows.iter().map(narrow).collect::<Result<Vec<_>>>()?;
            let array = arrow::array::Decimal128Array::from(rows);
            array.validate_decimal_precision(DECIMAL128_MAX_PRECISION).map_err(|_| overflow())?;
            Arc::new(array.with_data_type(result.clone()))
        }
    })
}

/// An argument of a `numeric` form, row by row.
enum Column {
    Integers(Int64Array),
    Decimals(arrow::array::Decimal128Array, i32),
    Wide(arrow::array::Decimal256Array, i32),
}

impl Column {
    fn new(array: &ArrayRef) -> Result<Self> {
        let scale = scale_of(array.data_type());
        Ok(match array.data_type() {
            DataType::Decimal256(..) => {
                Self::Wide(array.as_primitive::<Decimal256Type>().clone(), scale)
            }
            t if t.is_decimal() => {
                let wide = DataType::Decimal128(
                    DECIMAL128_MAX_PRECISION,
                    i8::try_from(scale).unwrap_or(0),
                );
                let array = cast(array, &wide)?;
                Self::Decimals(array.as_primitive::<Decimal128Type>().clone(), scale)
            }
            _ => {
                let array = cast(array, &DataType::Int64)?;
                Self::Integers(array.as_primitive::<Int64Type>().clone())
            }
        })
    }

    fn number(&self, row: usize) -> Option<Number> {
        match self {
            Self::Integers(array) => array.is_valid(row).then(|| Number::whole(array.value(row))),
            Self::Decimals(array, scale) => {
                array.is_valid(row).then(|| Number::new(i256::from_i128(array.value(row)), *scale))
            }
            Self::Wide(array, scale) => {
                array.is_valid(row).then(|| Number::new(array.value(row), *scale))
            }
        }
    }
}
