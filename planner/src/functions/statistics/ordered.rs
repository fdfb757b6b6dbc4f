//! Aggregates that sort: `percentile_disc(f) WITHIN GROUP (ORDER BY x)` and its kin.
//!
//! DataFusion hands over x as the first argument and f as the second.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{SortOptions, cast, concat, sort};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, IntervalUnit, Schema};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};
use datafusion::physical_plan::PhysicalExpr;

use super::argument;
use crate::functions::datetime::span::Span;
use crate::functions::fault::fault;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Continuous,
    Discrete,
    Mode,
}

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let kinds = [
        ("percentile_cont", Kind::Continuous),
        ("percentile_disc", Kind::Discrete),
        ("mode", Kind::Mode),
    ];
    let udaf = |(name, kind)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(AggregateUDF::from(Ordered { name, kind, signature }))
    };
    kinds.into_iter().map(udaf).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Ordered {
    name: &'static str,
    kind: Kind,
    signature: Signature,
}

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

impl AggregateUDFImpl for Ordered {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let sorted = |t: &DataType| match (self.kind, t) {
            (Kind::Continuous, t) if t.is_numeric() || t.is_null() => DataType::Float64,
            (_, t) => t.clone(),
        };
        let fraction = |t: &DataType| match t {
            t if t.is_numeric() || t.is_null() || t.is_string() => DataType::Float64,
            t if t.is_list() => DataType::new_list(DataType::Float64, true),
            t => t.clone(),
        };
        Ok(match types {
            [x] => vec![sorted(x)],
            [x, f] => vec![sorted(x), fraction(f)],
            types => types.to_vec(),
        })
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let one = match (self.kind, types) {
            (Kind::Mode, [x]) => return Ok(x.clone()),
            (Kind::Continuous, [DataType::Float64, _]) => DataType::Float64,
            (Kind::Continuous, [INTERVAL, _]) => INTERVAL,
            (Kind::Discrete, [x, _]) => x.clone(),
            _ => {
                let message = format!("function {} does not exist", self.name);
                return Err(fault("42883", message));
            }
        };
        match types.get(1) {
            Some(DataType::Float64) => Ok(one),
            Some(DataType::List(_)) => Ok(DataType::new_list(one, true)),
            _ => Err(fault("42883", format!("function {} does not exist", self.name))),
        }
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let data_type = args
            .expr_fields
            .first()
            .map(|field| field.data_type().clone())
            .ok_or_else(|| exec_datafusion_err!("an argument is missing"))?;
        let options = args.order_bys.first().map_or_else(SortOptions::default, |key| key.options);
        let fractions = args.exprs.get(1).map(fractions).transpose()?;
        Ok(Box::new(Sorted {
            kind: self.kind,
            data_type,
            fractions: fractions.unwrap_or(Fractions::One(None)),
            descending: options.descending,
            values: Vec::new(),
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let data_type = args.input_fields.first().map(|field| field.data_type().clone());
        let list = DataType::new_list(data_type.unwrap_or(DataType::Null), true);
        Ok(vec![Field::new(format!("{}[values]", args.name), list, true).into()])
    }
}

#[derive(Debug)]
enum Fractions {
    One(Option<f64>),
    Many(Option<Vec<Option<f64>>>),
}

/// The second argument, which is constant.
fn fractions(expr: &Arc<dyn PhysicalExpr>) -> Result<Fractions> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)?;
    let value = expr
        .evaluate(&row)
        .and_then(|value| value.into_array(1))
        .map_err(|_| fault("0A000", "percentiles must be constants"))?;
    let check = |fraction: Option<f64>| match fraction {
        Some(f) if !(0.0..=1.0).contains(&f) => {
            Err(fault("22003", format!("percentile value {f} is not between 0 and 1")))
        }
        fraction => Ok(fraction),
    };
    let each = |array: &ArrayRef| -> Result<Vec<Option<f64>>> {
        let array = cast(array, &DataType::Float64)?;
        array.as_primitive::<Float64Type>().iter().map(check).collect()
    };
    if let Some(list) = value.as_list_opt::<i32>() {
        if list.is_null(0) {
            return Ok(Fractions::Many(None));
        }
        return each(&list.value(0)).map(|fractions| Fractions::Many(Some(fractions)));
    }
    Ok(Fractions::One(each(&value)?.into_iter().next().flatten()))
}

/// All values, sorted at the end.
#[derive(Debug)]
struct Sorted {
    kind: Kind,
    data_type: DataType,
    fractions: Fractions,
    descending: bool,
    values: Vec<ArrayRef>,
}

impl Sorted {
    fn all(&self) -> Result<ArrayRef> {
        let arrays: Vec<&dyn Array> = self.values.iter().map(AsRef::as_ref).collect();
        if arrays.is_empty() {
            return Ok(arrow::array::new_empty_array(&self.data_type));
        }
        Ok(concat(&arrays)?)
    }

    fn sorted(&self) -> Result<ArrayRef> {
        let options = SortOptions { descending: self.descending, nulls_first: false };
        let all = sort(&self.all()?, Some(options))?;
        let n_values = all.len() - all.null_count();
        Ok(all.slice(0, n_values))
    }

    fn at(&self, sorted: &ArrayRef, fraction: Option<f64>) -> Result<ScalarValue> {
        let (Some(fraction), n @ 1..) = (fraction, sorted.len()) else {
            return if self.kind == Kind::Continuous && self.data_type != INTERVAL {
                Ok(ScalarValue::Float64(None))
            } else {
                ScalarValue::try_from(&self.data_type)
            };
        };
        #[expect(clippy::cast_precision_loss, reason = "a number of rows in memory")]
        let n_rows = n as f64;
        if self.kind == Kind::Discrete {
            let row = index((fraction * n_rows).ceil()).saturating_sub(1);
            return ScalarValue::try_from_array(sorted, row.min(n - 1));
        }
        let place = fraction * (n_rows - 1.0);
        let (low, high) = (index(place.floor()), index(place.ceil()));
        let part = place - place.floor();
        between(sorted, low, high.min(n - 1), part)
    }

    /// The most frequent value, the first of them in order.
    fn mode(sorted: &ArrayRef, data_type: &DataType) -> Result<ScalarValue> {
        if sorted.is_empty() {
            return ScalarValue::try_from(data_type);
        }
        let runs = arrow::compute::partition(&[Arc::clone(sorted)])?.ranges();
        let mut best = 0..0;
        for run in runs {
            if run.len() > best.len() {
                best = run;
            }
        }
        ScalarValue::try_from_array(sorted, best.start)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a row's number")]
fn index(place: f64) -> usize {
    place as usize
}

/// The value a part of the way from one row's to another's.
fn between(sorted: &ArrayRef, low: usize, high: usize, part: f64) -> Result<ScalarValue> {
    match (ScalarValue::try_from_array(sorted, low)?, ScalarValue::try_from_array(sorted, high)?) {
        (ScalarValue::Float64(Some(low)), ScalarValue::Float64(Some(high))) => {
            Ok(ScalarValue::Float64(Some(low + part * (high - low))))
        }
        (
            ScalarValue::IntervalMonthDayNano(Some(low)),
            ScalarValue::IntervalMonthDayNano(Some(high)),
        ) => {
            let (low, high) = (Span::from_arrow(low), Span::from_arrow(high));
            let span = low.plus(high.minus(low)?.times(part)?)?;
            Ok(ScalarValue::IntervalMonthDayNano(Some(span.to_arrow()?)))
        }
        (low, _) => Err(exec_datafusion_err!("{} has no values between", low.data_type())),
    }
}

impl Accumulator for Sorted {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.push(Arc::clone(argument(values, 0)?));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sorted = self.sorted()?;
        if self.kind == Kind::Mode {
            return Self::mode(&sorted, &self.data_type);
        }
        match &self.fractions {
            Fractions::One(fraction) => self.at(&sorted, *fraction),
            Fractions::Many(fractions) => {
                let null = self.at(&sorted, None)?;
                let item = null.data_type();
                let Some(fractions) = fractions else {
                    return ScalarValue::try_from(&DataType::new_list(item, true));
                };
                let values = fractions
                    .iter()
                    .map(|fraction| self.at(&sorted, *fraction))
                    .collect::<Result<Vec<_>>>()?;
                if sorted.is_empty() {
                    return ScalarValue::try_from(&DataType::new_list(item, true));
                }
                Ok(ScalarValue::List(ScalarValue::new_list_nullable(&values, &item)))
            }
        }
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.values.iter().map(|array| array.get_array_memory_size()).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let all = self.all()?;
        let field = Arc::new(Field::new_list_field(all.data_type().clone(), true));
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([all.len()]);
        let list = arrow::array::ListArray::try_new(field, offsets, all, None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = argument(states, 0)?;
        let lists = lists
            .as_list_opt::<i32>()
            .ok_or_else(|| exec_datafusion_err!("a state is a list of values"))?;
        self.values.extend(lists.iter().flatten());
        Ok(())
    }
}
