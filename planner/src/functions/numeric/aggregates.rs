//! `sum` and `avg` of whole and decimal numbers, added up in 128 bits.
//!
//! `sum(bigint)` is numeric, as PostgreSQL has it, so it cannot wrap; `avg` keeps 16 digits after
//! the point. Other types are left to DataFusion's functions.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Decimal128Array, Int64Array,
};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Field,
    FieldRef, Int64Type,
};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::{average::avg_udaf, sum::sum_udaf};
use datafusion::logical_expr::expr::{AggregateFunctionParams, WindowFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use super::divide::{N_DIGITS_WHOLE, Quotient, SCALE_LEAST, SCALE_WIDE, settled};
use super::totals::{self, INTERVAL, IntervalTotal, RealTotal, WideTotal};
use crate::functions::fault::{fault, out_of_range};
use crate::functions::resummed::{FloatKind, FloatTotal, Resummed};

/// What has more digits than a result may have.
const SUM_LIMIT: u128 = 10_u128.pow(38);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Avg,
}

/// The functions, which take the places of DataFusion's of these names.
pub(crate) fn functions() -> Vec<Arc<AggregateUDF>> {
    vec![
        // DataFusion's optimizer takes the sum of sums for a sum where the name is "sum"; the
        // types of these would not agree.
        Arc::new(AggregateUDF::from(Total::new(Kind::Sum, "numeric_sum", "sum", sum_udaf()))),
        Arc::new(AggregateUDF::from(Total::new(Kind::Avg, "numeric_avg", "avg", avg_udaf()))),
    ]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Total {
    kind: Kind,
    name: &'static str,
    aliases: Vec<String>,
    inner: Arc<AggregateUDF>,
    signature: Signature,
}

impl Total {
    fn new(kind: Kind, name: &'static str, alias: &str, inner: Arc<AggregateUDF>) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { kind, name, aliases: vec![alias.to_owned()], inner, signature }
    }

    /// The result where this type is added up here, with the digits after the point of the sum.
    fn own(&self, data_type: &DataType) -> Option<(DataType, i8)> {
        use DataType::{Decimal32, Decimal64, Decimal128, Int8, Int16, Int32, UInt8, UInt16};
        let numeric = |scale| Decimal128(DECIMAL128_MAX_PRECISION, scale);
        match (self.kind, data_type) {
            (Kind::Sum, Int8 | Int16 | Int32 | UInt8 | UInt16) => Some((DataType::Int64, 0)),
            (Kind::Sum, t) if t.is_integer() => Some((numeric(0), 0)),
            (Kind::Sum, Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s)) => {
                // More than 10^10 values need a check, and get one.
                let digits = p.saturating_add(10).min(DECIMAL128_MAX_PRECISION);
                Some((Decimal128(digits, *s), *s))
            }
            (Kind::Avg, Int8 | Int16 | Int32 | UInt8 | UInt16) => Some((numeric(SCALE_WIDE), 0)),
            (Kind::Avg, t) if t.is_integer() => Some((numeric(SCALE_LEAST), 0)),
            (Kind::Avg, Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s)) => {
                // An average has no more digits before the point than the values.
                let fits = i16::from(*p) - i16::from(*s) <= N_DIGITS_WHOLE;
                let scale = if fits { SCALE_WIDE } else { SCALE_LEAST };
                Some((numeric(scale.max(*s)), *s))
            }
            _ => None,
        }
    }

    fn undefined(&self, argument: &str) -> DataFusionError {
        fault("42883", format!("function {}({argument}) does not exist", self.inner.name()))
    }

    /// The accumulator of a type that is added up value by value.
    fn small(&self, args: &AccumulatorArgs<'_>) -> Option<Box<dyn Accumulator>> {
        match (self.kind, args.expr_fields.first()?.data_type()) {
            _ if args.is_distinct => None,
            (kind, &INTERVAL) => Some(Box::new(IntervalTotal::new(kind == Kind::Avg))),
            (Kind::Sum, DataType::Float32) => Some(Box::new(RealTotal::default())),
            (Kind::Sum, DataType::Decimal256(..)) => {
                Some(Box::new(WideTotal::new(args.return_field.data_type().clone())))
            }
            _ => None,
        }
    }

    fn is_small(&self, data_type: &DataType) -> bool {
        *data_type == INTERVAL || (self.kind == Kind::Sum && *data_type == DataType::Float32)
    }

    fn totals(&self, args: &AccumulatorArgs<'_>) -> Option<Totals> {
        let data_type = args.expr_fields.first()?.data_type();
        let (result, scale) = self.own(data_type)?;
        Some(Totals { kind: self.kind, result, scale })
    }
}

impl AggregateUDFImpl for Total {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.inner.schema_name(params)
    }

    fn human_display(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.inner.human_display(params)
    }

    fn display_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.inner.display_name(params)
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.inner.window_function_schema_name(params)
    }

    fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.inner.window_function_display_name(params)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [data_type] = types else {
            let message = format!("function {} needs one argument", self.inner.name());
            return Err(fault("42883", message));
        };
        Ok(vec![match data_type {
            DataType::Float32 if self.kind == Kind::Sum => DataType::Float32,
            DataType::Null | DataType::Float16 | DataType::Float32 => DataType::Float64,
            DataType::Interval(_) => INTERVAL,
            DataType::Dictionary(_, value) => return self.coerce_types(&[value.as_ref().clone()]),
            // `return_type` refuses these in PostgreSQL's words, which an error here would lose.
            t => t.clone(),
        }])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first().and_then(|data_type| self.own(data_type)) {
            Some((result, _)) => Ok(result),
            None => match types.first() {
                Some(t) if self.is_small(t) => Ok(t.clone()),
                Some(t) if t.is_string() => Err(self.undefined("text")),
                Some(DataType::Boolean) => Err(self.undefined("boolean")),
                Some(DataType::Date32) => Err(self.undefined("date")),
                Some(DataType::Timestamp(..)) => Err(self.undefined("timestamp")),
                Some(DataType::Decimal256(_, scale)) if self.kind == Kind::Sum => {
                    Ok(totals::wide_state(*scale))
                }
                _ => self.inner.return_type(types),
            },
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if let Some(small) = self.small(&args) {
            return Ok(small);
        }
        match self.totals(&args) {
            Some(totals) if args.is_distinct => {
                Ok(Box::new(DistinctTotal { totals, seen: HashSet::new() }))
            }
            Some(totals) => Ok(Box::new(RunningTotal { totals, sum: 0, count: 0 })),
            None => self.inner.accumulator(args),
        }
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        let floats = match (self.kind, args.expr_fields.first().map(|field| field.data_type())) {
            _ if args.is_distinct => None,
            (Kind::Sum, Some(DataType::Float32)) => Some(FloatKind::RealSum),
            (Kind::Sum, Some(DataType::Float64)) => Some(FloatKind::Sum),
            (Kind::Avg, Some(DataType::Float64)) => Some(FloatKind::Avg),
            _ => None,
        };
        if let Some(kind) = floats {
            return Ok(Box::new(Resummed::new(FloatTotal::new(kind), 1)));
        }
        match self.totals(&args) {
            Some(_) => self.accumulator(args),
            None if self.small(&args).is_some() => self.accumulator(args),
            None => self.inner.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let own = args.input_fields.first().and_then(|field| self.own(field.data_type()));
        if let Some(field) = args.input_fields.first()
            && self.is_small(field.data_type())
            && !args.is_distinct
        {
            return Ok(totals::state_fields(args.name, field.data_type()));
        }
        if let (Kind::Sum, false, Some(DataType::Decimal256(_, scale))) =
            (self.kind, args.is_distinct, args.input_fields.first().map(|field| field.data_type()))
        {
            return Ok(totals::state_fields(args.name, &totals::wide_state(*scale)));
        }
        let Some((_, scale)) = own else { return self.inner.state_fields(args) };
        let sum = DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale);
        if args.is_distinct {
            let list = DataType::new_list(sum, true);
            return Ok(vec![Field::new(format!("{}[values]", args.name), list, true).into()]);
        }
        Ok(vec![
            Field::new(format!("{}[count]", args.name), DataType::Int64, true).into(),
            Field::new(format!("{}[sum]", args.name), sum, true).into(),
        ])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        match self.totals(&args) {
            Some(_) => !args.is_distinct,
            None if self.small(&args).is_some() => false,
            None => self.inner.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        match self.totals(&args) {
            Some(totals) => {
                Ok(Box::new(GroupTotals { totals, sums: Vec::new(), counts: Vec::new() }))
            }
            None => self.inner.create_groups_accumulator(args),
        }
    }
}

/// How sums become results.
#[derive(Debug, Clone)]
struct Totals {
    kind: Kind,
    result: DataType,
    scale: i8,
}

impl Totals {
    fn result_scale(&self) -> i8 {
        if let DataType::Decimal128(_, scale) = self.result { scale } else { 0 }
    }

    fn quotient(&self) -> Quotient {
        Quotient::new(i32::from(self.result_scale()) - i32::from(self.scale))
    }

    fn finish(&self, quotient: &Quotient, sum: i128, count: i64) -> Result<Option<i128>> {
        match self.kind {
            _ if count == 0 => Ok(None),
            // A sum of `bigint` from partial sums may still come back into range, a result not.
            Kind::Sum if sum.unsigned_abs() >= SUM_LIMIT => Err(overflow()),
            Kind::Sum => Ok(Some(sum)),
            Kind::Avg => {
                let average = quotient.of(sum, i128::from(count))?;
                Ok(Some(settled(average, self.result_scale())))
            }
        }
    }

    fn array(&self, values: Vec<Option<i128>>) -> Result<ArrayRef> {
        if self.result == DataType::Int64 {
            let narrow = |value: Option<i128>| {
                value
                    .map(|v| i64::try_from(v).map_err(|_| out_of_range(&DataType::Int64)))
                    .transpose()
            };
            let array = values.into_iter().map(narrow).collect::<Result<Int64Array>>()?;
            return Ok(Arc::new(array));
        }
        let array = Decimal128Array::from(values);
        Ok(Arc::new(array.with_data_type(self.result.clone())))
    }

    fn sums(&self, sums: Vec<i128>) -> ArrayRef {
        let data_type = DataType::Decimal128(DECIMAL128_MAX_PRECISION, self.scale);
        Arc::new(Decimal128Array::from(sums).with_data_type(data_type))
    }

    fn result(&self, sum: i128, count: i64) -> Result<ScalarValue> {
        let value = self.finish(&self.quotient(), sum, count)?;
        ScalarValue::try_from_array(&self.array(vec![value])?, 0)
    }
}

/// Calls `each` for the values that are not NULL, with their rows.
fn visit(array: &ArrayRef, each: &mut dyn FnMut(usize, i128)) -> Result<()> {
    fn values<T: ArrowPrimitiveType>(array: &dyn Array, each: &mut dyn FnMut(usize, i128))
    where
        T::Native: Into<i128>,
    {
        let array = array.as_primitive::<T>();
        if array.null_count() == 0 {
            for (row, value) in array.values().iter().enumerate() {
                each(row, (*value).into());
            }
            return;
        }
        for (row, value) in array.iter().enumerate() {
            if let Some(value) = value {
                each(row, value.into());
            }
        }
    }
    macro_rules! integers {
        ($t:ty) => {
            values::<$t>(array, each)
        };
    }
    let array = array.as_ref();
    match array.data_type() {
        DataType::Decimal32(..) => values::<Decimal32Type>(array, each),
        DataType::Decimal64(..) => values::<Decimal64Type>(array, each),
        DataType::Decimal128(..) => values::<Decimal128Type>(array, each),
        t => arrow::array::downcast_integer! {
            t => (integers),
            t => return Err(exec_datafusion_err!("{t} cannot be added up")),
        },
    }
    Ok(())
}

fn overflow() -> DataFusionError {
    fault("22003", "value overflows numeric format")
}

fn argument(values: &[ArrayRef], at: usize) -> Result<&ArrayRef> {
    values.get(at).ok_or_else(|| exec_datafusion_err!("an argument is missing"))
}

#[derive(Debug)]
struct RunningTotal {
    totals: Totals,
    sum: i128,
    count: i64,
}

impl RunningTotal {
    fn total(values: &ArrayRef) -> Result<(i128, i64)> {
        let (mut sum, mut count, mut failed) = (0_i128, 0_i64, false);
        visit(values, &mut |_, value| {
            let (total, overflowed) = sum.overflowing_add(value);
            failed |= overflowed;
            sum = total;
            count += 1;
        })?;
        if failed { Err(overflow()) } else { Ok((sum, count)) }
    }
}

impl Accumulator for RunningTotal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (sum, count) = Self::total(argument(values, 0)?)?;
        self.sum = self.sum.checked_add(sum).ok_or_else(overflow)?;
        self.count += count;
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (sum, count) = Self::total(argument(values, 0)?)?;
        self.sum = self.sum.checked_sub(sum).ok_or_else(overflow)?;
        self.count -= count;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.totals.result(self.sum, self.count)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = ScalarValue::try_from_array(&self.totals.sums(vec![self.sum]), 0)?;
        Ok(vec![ScalarValue::Int64(Some(self.count)), sum])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (count, _) = Self::total(argument(states, 0)?)?;
        let (sum, _) = Self::total(argument(states, 1)?)?;
        self.count += i64::try_from(count).map_err(|_| overflow())?;
        self.sum = self.sum.checked_add(sum).ok_or_else(overflow)?;
        Ok(())
    }
}

#[derive(Debug)]
struct DistinctTotal {
    totals: Totals,
    seen: HashSet<i128>,
}

impl Accumulator for DistinctTotal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        visit(argument(values, 0)?, &mut |_, value| {
            self.seen.insert(value);
        })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.seen.iter().try_fold(0_i128, |sum, value| sum.checked_add(*value));
        let count = i64::try_from(self.seen.len()).map_err(|_| overflow())?;
        self.totals.result(sum.ok_or_else(overflow)?, count)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.seen.capacity() * (size_of::<i128>() + 1)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let array = self.totals.sums(self.seen.iter().copied().collect());
        let field = Arc::new(Field::new_list_field(array.data_type().clone(), true));
        let length = array.len();
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([length]);
        let list = arrow::array::ListArray::try_new(field, offsets, array, None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = argument(states, 0)?;
        let lists = lists
            .as_list_opt::<i32>()
            .ok_or_else(|| exec_datafusion_err!("a state is a list of values"))?;
        for values in lists.iter().flatten() {
            self.update_batch(&[values])?;
        }
        Ok(())
    }
}

struct GroupTotals {
    totals: Totals,
    sums: Vec<i128>,
    counts: Vec<i64>,
}

impl GroupTotals {
    fn add(
        &mut self,
        values: &ArrayRef,
        groups: &[usize],
        filter: Option<&BooleanArray>,
        n_groups: usize,
    ) -> Result<()> {
        self.sums.resize(n_groups, 0);
        self.counts.resize(n_groups, 0);
        let (sums, counts) = (&mut self.sums, &mut self.counts);
        let mut failed = false;
        visit(values, &mut |row, value| {
            if filter.is_some_and(|filter| filter.is_null(row) || !filter.value(row)) {
                return;
            }
            let Some(group) = groups.get(row) else { return };
            if let (Some(sum), Some(count)) = (sums.get_mut(*group), counts.get_mut(*group)) {
                let (total, overflowed) = sum.overflowing_add(value);
                failed |= overflowed;
                *sum = total;
                *count += 1;
            }
        })?;
        if failed { Err(overflow()) } else { Ok(()) }
    }
}

impl GroupsAccumulator for GroupTotals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        n_groups: usize,
    ) -> Result<()> {
        self.add(argument(values, 0)?, groups, filter, n_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        let counts = emit_to.take_needed(&mut self.counts);
        let quotient = self.totals.quotient();
        let values = sums.into_iter().zip(counts);
        let values = values.map(|(sum, count)| self.totals.finish(&quotient, sum, count));
        let values = values.collect::<Result<Vec<_>>>()?;
        self.totals.array(values)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let counts = Int64Array::from(emit_to.take_needed(&mut self.counts));
        let sums = self.totals.sums(emit_to.take_needed(&mut self.sums));
        Ok(vec![Arc::new(counts), sums])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        n_groups: usize,
    ) -> Result<()> {
        // Each state counts as one value here, which is put right below.
        self.add(argument(values, 1)?, groups, None, n_groups)?;
        let counts = argument(values, 0)?.as_primitive::<Int64Type>();
        for (count, group) in counts.values().iter().zip(groups) {
            if let Some(total) = self.counts.get_mut(*group) {
                *total += count - 1;
            }
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = argument(values, 0)?;
        let mut sums = vec![0_i128; values.len()];
        let mut counts = vec![0_i64; values.len()];
        visit(values, &mut |row, value| {
            if filter.is_some_and(|filter| filter.is_null(row) || !filter.value(row)) {
                return;
            }
            if let (Some(sum), Some(count)) = (sums.get_mut(row), counts.get_mut(row)) {
                *sum = value;
                *count = 1;
            }
        })?;
        Ok(vec![Arc::new(Int64Array::from(counts)), self.totals.sums(sums)])
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.sums.capacity() * size_of::<i128>()
            + self.counts.capacity() * size_of::<i64>()
    }
}
