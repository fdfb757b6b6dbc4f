//! Queries that fetch rows by the value of a column, recognised in optimised plans.
//!
//! ```text
//!   Limit? ─ Projection? ─ Limit? ─ Filter(column = value AND column <op> value …) ─ TableScan of Delta
//! ```
//! Such a query can be answered from what the catalog's lookup cache holds, without a physical plan.
//! Recognition is strict: whatever differs from this shape is planned and run as ever.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, Operator, Projection, TableScan};
use datafusion::physical_expr::PhysicalExpr;
use tarn_catalog::delta::{Condition, DeltaSnapshot, is_key_type};

use crate::error::{PlannerError, Result};

/// A query that can be answered by a lookup.
#[derive(Debug)]
pub struct PointLookup {
    table: Arc<DeltaSnapshot>,
    /// The first is an equality over a key.
    conditions: Vec<Template>,
    /// Positions in the table of the columns that the scan returns.
    columns: Vec<usize>,
    /// Computed from those columns; `None` where they are the result.
    outputs: Option<(Vec<Arc<dyn PhysicalExpr>>, SchemaRef)>,
    /// Rows to return at most.
    n_rows_max: Option<usize>,
}

/// A condition whose value may be known at execution only.
#[derive(Debug)]
struct Template {
    column: usize,
    data_type: DataType,
    op: Operator,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Literal(ScalarValue),
    /// `$1` is 0.
    Parameter(usize),
}

impl PointLookup {
    /// Recognises a lookup in an optimised plan.
    #[must_use]
    pub fn of(plan: &LogicalPlan, state: &SessionState) -> Option<Self> {
        let (plan, above) = limited(plan)?;
        let (projection, plan) = match plan {
            LogicalPlan::Projection(projection) => (Some(projection), projection.input.as_ref()),
            other => (None, other),
        };
        let (plan, below) = limited(below_alias(plan))?;
        let n_rows_max = above.into_iter().chain(below).min();
        let LogicalPlan::Filter(filter) = below_alias(plan) else { return None };
        let LogicalPlan::TableScan(scan) = below_alias(&filter.input) else { return None };
        let provider = source_as_provider(&scan.source).ok()?;
        let table: Arc<DeltaSnapshot> = Arc::downcast(provider).ok()?;
        if scan.fetch.is_some() {
            return None;
        }
        let columns: Vec<usize> = match &scan.projection {
            Some(columns) => columns.clone(),
            None => (0..scan.source.schema().fields().len()).collect(),
        };
        // Filters over partition columns are the scan's alone; others stand in both places.
        let conjuncts = split_conjunction(&filter.predicate);
        let elsewhere = scan.filters.iter().filter(|filter| !conjuncts.contains(filter));
        let mut conditions = conjuncts
            .iter()
            .copied()
            .chain(elsewhere)
            .map(|expr| template(expr, scan))
            .collect::<Option<Vec<_>>>()?;
        let key = conditions.iter().position(Template::is_key)?;
        conditions.swap(0, key);
        let outputs = match projection {
            Some(projection) => Some(outputs(projection, state)?),
            None => None,
        };
        Some(Self { table, conditions, columns, outputs, n_rows_max })
    }

    /// The version of the table that it looks into.
    #[must_use]
    pub fn table(&self) -> &Arc<DeltaSnapshot> {
        &self.table
    }

    /// Positions in the table of the columns to fetch.
    #[must_use]
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The conditions for an execution's parameters; `None` where a value is not of the type that the
    /// lookup was recognised for, so that the plan has to say what it means.
    ///
    /// The inner `None`: no row fulfils them.
    #[must_use]
    pub fn conditions(&self, parameters: &[ScalarValue]) -> Option<Option<Vec<Condition>>> {
        let mut conditions = Vec::with_capacity(self.conditions.len());
        for template in &self.conditions {
            let value = match &template.value {
                Value::Literal(value) => value,
                Value::Parameter(index) => parameters.get(*index)?,
            };
            if value.is_null() {
                // A comparison with NULL is never true.
                return Some(None);
            }
            let Some(value) = as_type(value, &template.data_type)? else {
                // Beyond the column's values: for an equality that is an answer.
                return (template.op == Operator::Eq).then_some(None);
            };
            let (column, op) = (template.column, template.op);
            conditions.push(Condition { column, op, value });
        }
        Some(Some(conditions))
    }

    /// The query's rows, made of those that the lookup has found.
    ///
    /// # Errors
    /// What computing an output says.
    pub fn rows(&self, found: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
        let engine = |error| PlannerError::Engine(Box::new(error));
        let mut n_left = self.n_rows_max.unwrap_or(usize::MAX);
        let mut rows = Vec::with_capacity(found.len());
        for batch in found {
            let batch = batch.slice(0, batch.num_rows().min(n_left));
            n_left -= batch.num_rows();
            let Some((exprs, schema)) = &self.outputs else {
                rows.push(batch);
                continue;
            };
            let n_rows = batch.num_rows();
            let columns = exprs
                .iter()
                .map(|expr| expr.evaluate(&batch).and_then(|value| value.into_array(n_rows)))
                .collect::<datafusion::common::Result<Vec<_>>>()
                .map_err(engine)?;
            let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
            let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options);
            rows.push(batch.map_err(|error| engine(error.into()))?);
        }
        Ok(rows)
    }

    /// The columns of [`Self::rows`].
    ///
    /// # Errors
    /// Columns that the table does not have.
    pub fn schema(&self) -> Result<SchemaRef> {
        match &self.outputs {
            Some((_, schema)) => Ok(Arc::clone(schema)),
            None => {
                let schema = datafusion::catalog::TableProvider::schema(self.table.as_ref());
                let columns = schema.project(&self.columns);
                Ok(Arc::new(columns.map_err(|error| PlannerError::Engine(Box::new(error.into())))?))
            }
        }
    }
}

impl Template {
    fn is_key(&self) -> bool {
        self.op == Operator::Eq && is_key_type(&self.data_type)
    }
}

/// The plan below a limit, and the limit.
fn limited(plan: &LogicalPlan) -> Option<(&LogicalPlan, Option<usize>)> {
    let LogicalPlan::Limit(limit) = plan else { return Some((plan, None)) };
    let literal = |expr: &Option<Box<Expr>>| match expr.as_deref() {
        None => Some(None),
        Some(Expr::Literal(ScalarValue::Int64(Some(n)), _)) => {
            Some(Some(usize::try_from(*n).ok()?))
        }
        Some(_) => None,
    };
    let (skip, fetch) = (literal(&limit.skip)?, literal(&limit.fetch)?);
    (skip.unwrap_or(0) == 0).then_some((limit.input.as_ref(), fetch))
}

fn below_alias(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => below_alias(&alias.input),
        other => other,
    }
}

fn template(expr: &Expr, scan: &TableScan) -> Option<Template> {
    let Expr::BinaryExpr(comparison) = expr else { return None };
    let known = matches!(
        comparison.op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
    );
    known.then_some(())?;
    let (left, right) = (comparison.left.as_ref(), comparison.right.as_ref());
    match (value(left), value(right)) {
        (None, Some((value, compared))) => condition(left, comparison.op, value, &compared, scan),
        (Some((value, compared)), None) => {
            condition(right, comparison.op.swap()?, value, &compared, scan)
        }
        _ => None,
    }
}

fn condition(
    column: &Expr,
    op: Operator,
    value: Value,
    compared: &DataType,
    scan: &TableScan,
) -> Option<Template> {
    // A column of smaller integers is widened to be compared with a larger one.
    let column = match column {
        Expr::Cast(Cast { expr, field }) if width(field.data_type()).is_some() => {
            let Expr::Column(column) = expr.as_ref() else { return None };
            column
        }
        Expr::Column(column) => column,
        _ => return None,
    };
    let schema = scan.source.schema();
    let position = schema.index_of(&column.name).ok()?;
    let data_type = schema.field(position).data_type().clone();
    let fits = *compared == data_type
        || matches!((width(compared), width(&data_type)), (Some(a), Some(b)) if a >= b);
    let comparable = !data_type.is_nested() && !data_type.is_floating();
    (fits && comparable).then_some(())?;
    Some(Template { column: position, data_type, op, value })
}

/// A value known at execution at the latest, and the type in which it is compared.
fn value(expr: &Expr) -> Option<(Value, DataType)> {
    match expr {
        Expr::Literal(value, _) => Some((Value::Literal(value.clone()), value.data_type())),
        Expr::Placeholder(Placeholder { id, field }) => {
            let number: usize = id.strip_prefix('$')?.parse().ok()?;
            let data_type = field.as_ref()?.data_type().clone();
            Some((Value::Parameter(number.checked_sub(1)?), data_type))
        }
        // Only what the value's own conversion does as well: wider integers, other forms of text.
        Expr::Cast(Cast { expr, field }) => {
            let (value, from) = value(expr)?;
            let to = field.data_type();
            let widens = matches!((width(&from), width(to)), (Some(a), Some(b)) if a <= b);
            (widens || (is_text(&from) && is_text(to))).then(|| (value, to.clone()))
        }
        _ => None,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Bytes of a signed integer type.
fn width(data_type: &DataType) -> Option<u8> {
    match data_type {
        DataType::Int16 => Some(2),
        DataType::Int32 => Some(4),
        DataType::Int64 => Some(8),
        _ => None,
    }
}

/// A value as one of another type that means the same; the inner `None` where there is none, the
/// outer one where only a plan can tell.
fn as_type(value: &ScalarValue, data_type: &DataType) -> Option<Option<ScalarValue>> {
    let from = value.data_type();
    if from == *data_type {
        return Some(Some(value.clone()));
    }
    if width(&from).is_some() && width(data_type).is_some() {
        // Out of range is an error of the cast.
        return Some(value.cast_to(data_type).ok());
    }
    (is_text(&from) && is_text(data_type)).then(|| value.cast_to(data_type).ok())
}

/// What a projection computes; `None` where it is more than a look at the columns.
fn outputs(
    projection: &Projection,
    state: &SessionState,
) -> Option<(Vec<Arc<dyn PhysicalExpr>>, SchemaRef)> {
    let input: &DFSchema = projection.input.schema();
    let simple = |expr: &Expr| {
        let unfit = expr.exists(|expr| {
            Ok(matches!(
                expr,
                Expr::Placeholder(_)
                    | Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::SetComparison(_)
                    | Expr::OuterReferenceColumn(..)
                    | Expr::Unnest(_)
            ))
        });
        matches!(unfit, Ok(false)) && !expr.is_volatile()
    };
    let mut exprs = Vec::with_capacity(projection.expr.len());
    for expr in &projection.expr {
        if !simple(expr) {
            return None;
        }
        exprs.push(state.create_physical_expr(expr.clone(), input).ok()?);
    }
    let fields = projection.schema.as_arrow().fields().clone();
    Some((exprs, Arc::new(Schema::new(fields))))
}
