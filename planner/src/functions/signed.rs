//! DataFusion's functions that count in unsigned integers, with PostgreSQL's signed types.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Scalar};
use arrow::compute::SortOptions;
use arrow::compute::kernels::cmp::eq;
use arrow::compute::{cast, nullif};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_nested::{
    cardinality::cardinality_udf, dimension::array_ndims_udf, length::array_length_udf,
    position::array_position_udf,
};
use datafusion::functions_window::{
    ntile::ntile_udwf,
    rank::{dense_rank_udwf, rank_udwf},
    row_number::row_number_udwf,
};
use datafusion::logical_expr::function::{
    ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs,
};
use datafusion::logical_expr::window_state::WindowAggState;
use datafusion::logical_expr::{
    ColumnarValue, LimitEffect, PartitionEvaluator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_plan::PhysicalExpr;

/// `array_length` and its relatives as `integer`.
pub(super) fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let inner = [array_length_udf(), array_ndims_udf(), array_position_udf(), cardinality_udf()];
    inner.into_iter().map(|inner| Arc::new(ScalarUDF::from(SignedScalar { inner }))).collect()
}

/// `row_number` and its relatives as `bigint`, `ntile` as `integer`.
pub(super) fn window_functions() -> Vec<Arc<WindowUDF>> {
    let inner = [
        (row_number_udwf(), DataType::Int64),
        (rank_udwf(), DataType::Int64),
        (dense_rank_udwf(), DataType::Int64),
        (ntile_udwf(), DataType::Int32),
    ];
    let wrap = |(inner, result)| Arc::new(WindowUDF::from(SignedWindow { inner, result }));
    inner.into_iter().map(wrap).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SignedScalar {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for SignedScalar {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        args.return_field = Arc::new(Field::new(self.name(), DataType::UInt64, true));
        let length = self.inner.invoke_with_args(args)?.cast_to(&DataType::Int32, None)?;
        if self.name() != "array_length" {
            return Ok(length);
        }
        // An empty array has no dimension, so no length either.
        let zero = Scalar::new(Int32Array::from(vec![0]));
        Ok(match length {
            ColumnarValue::Scalar(ScalarValue::Int32(Some(0))) => {
                ColumnarValue::Scalar(ScalarValue::Int32(None))
            }
            ColumnarValue::Array(array) => {
                ColumnarValue::Array(nullif(&array, &eq(&array, &zero)?)?)
            }
            length => length,
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SignedWindow {
    inner: Arc<WindowUDF>,
    result: DataType,
}

impl WindowUDFImpl for SignedWindow {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn expressions(&self, args: ExpressionArgs<'_>) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner.expressions(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let inner = self.inner.partition_evaluator_factory(args)?;
        Ok(Box::new(SignedEvaluator { inner, result: self.result.clone() }))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.inner.field(args)?;
        Ok(Arc::new(field.as_ref().clone().with_data_type(self.result.clone())))
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.inner.sort_options()
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.inner.inner().limit_effect(args)
    }
}

#[derive(Debug)]
struct SignedEvaluator {
    inner: Box<dyn PartitionEvaluator>,
    result: DataType,
}

impl PartitionEvaluator for SignedEvaluator {
    fn memoize(&mut self, state: &mut WindowAggState) -> Result<()> {
        self.inner.memoize(state)
    }

    fn get_range(&self, row: usize, n_rows: usize) -> Result<Range<usize>> {
        self.inner.get_range(row, n_rows)
    }

    fn is_causal(&self) -> bool {
        self.inner.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], n_rows: usize) -> Result<ArrayRef> {
        Ok(cast(&self.inner.evaluate_all(values, n_rows)?, &self.result)?)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        self.inner.evaluate(values, range)?.cast_to(&self.result)
    }

    fn evaluate_all_with_rank(&self, n_rows: usize, ranks: &[Range<usize>]) -> Result<ArrayRef> {
        Ok(cast(&self.inner.evaluate_all_with_rank(n_rows, ranks)?, &self.result)?)
    }

    fn supports_bounded_execution(&self) -> bool {
        self.inner.supports_bounded_execution()
    }

    fn uses_window_frame(&self) -> bool {
        self.inner.uses_window_frame()
    }

    fn include_rank(&self) -> bool {
        self.inner.include_rank()
    }
}
