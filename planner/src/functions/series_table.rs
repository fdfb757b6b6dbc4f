//! `series_int4(start, stop, step)`: the relation for `generate_series` of plain numbers in FROM.
//!
//! Rows are made as they are read, in order, so that LIMIT ends it and no list is kept.

use std::sync::Arc;

use arrow::array::{Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{TableFunction, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

/// The name that `rewrite/sets.rs` puts in.
pub(crate) const NAME: &str = "series_int4";

/// The function in FROM.
pub(super) fn function() -> Arc<TableFunction> {
    Arc::new(TableFunction::new(NAME.to_owned(), Arc::new(SeriesFunction)))
}

#[derive(Debug)]
struct SeriesFunction;

impl TableFunctionImpl for SeriesFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let numbers = args.exprs().iter().map(number).collect::<Result<Vec<i64>>>()?;
        let (start, stop, step) = match numbers.as_slice() {
            [start, stop] => (*start, *stop, 1),
            [start, stop, step] => (*start, *stop, *step),
            _ => return exec_err!("{NAME} takes two or three numbers"),
        };
        let field = Field::new("value", DataType::Int32, true);
        let schema = Arc::new(Schema::new(vec![field]));
        let rows = Arc::new(Rows { schema: Arc::clone(&schema), start, stop, step });
        Ok(Arc::new(StreamingTable::try_new(schema, vec![rows])?))
    }
}

fn number(expr: &Expr) -> Result<i64> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(number)), _) => Ok(*number),
        Expr::Literal(ScalarValue::Int32(Some(number)), _) => Ok(i64::from(*number)),
        Expr::Negative(inner) => number(inner).map(|number| -number),
        other => exec_err!("{NAME} takes numbers, not {other}"),
    }
}

#[derive(Debug)]
struct Rows {
    schema: SchemaRef,
    start: i64,
    stop: i64,
    step: i64,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let n_rows = context.session_config().batch_size();
        let schema = Arc::clone(&self.schema);
        let (stop, step) = (self.stop, self.step);
        let mut next = self.start;
        let batches = std::iter::from_fn(move || {
            let mut values = Vec::with_capacity(n_rows);
            while values.len() < n_rows && if step > 0 { next <= stop } else { next >= stop } {
                // Both bounds are integers of 32 bits, and so is what lies between.
                values.extend(i32::try_from(next).ok());
                next = next.saturating_add(step);
            }
            if values.is_empty() {
                return None;
            }
            let column = Arc::new(Int32Array::from(values));
            Some(RecordBatch::try_new(Arc::clone(&schema), vec![column]).map_err(Into::into))
        });
        let stream = futures::stream::iter(batches);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}
