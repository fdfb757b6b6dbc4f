//! Plans operators on dates, times and intervals, whose results have other types than the engine
//! gives them, and literals beside such values.
//!
//! ```text
//! d + INTERVAL '1 day'   ->  temporal_plus(d, …)               a timestamp, not a date
//! ts - ts                ->  temporal_minus(ts, ts)            an interval, not a duration
//! i * 2.5                ->  interval_times(i, 2.5)
//! ts > '2024-01-01'      ->  ts > CAST('2024-01-01' AS timestamp)
//! extract(year FROM d)   ->  extract('year', d)                numeric
//! ```

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF, cast};
use sqlparser::ast::BinaryOperator;
use tarn_catalog::pg_type::TIMETZ;

use super::convert::temporal;
use super::operators::{DIVIDED, MINUS, PLUS, TIMES};
use super::types::{INTERVAL, TIME};
use crate::functions::fault::fault;
use crate::functions::frame::type_name;

/// The planner to add to DataFusion's.
#[must_use]
pub(crate) fn planner() -> Arc<dyn ExprPlanner> {
    Arc::new(TemporalOperators)
}

#[derive(Debug)]
struct TemporalOperators;

impl ExprPlanner for TemporalOperators {
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let arithmetic = matches!(
            expr.op,
            BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
        );
        if !arithmetic && !compares(&expr.op) {
            return Ok(PlannerResult::Original(expr));
        }
        let kind = |expr: &Expr| -> Option<DataType> {
            match expr {
                // Never temporal, as such operators became functions; to ask a long chain for its
                // type at each of its operators would take the square of its length.
                Expr::BinaryExpr(_) => Some(DataType::Boolean),
                expr if unknown(expr) => None,
                expr => crate::chain_type::type_of(expr, schema).ok(),
            }
        };
        let (left, right) = (kind(&expr.left), kind(&expr.right));
        let is_temporal = |t: &Option<DataType>| t.as_ref().is_some_and(temporal);
        if !is_temporal(&left) && !is_temporal(&right) {
            return Ok(PlannerResult::Original(expr));
        }
        if compares(&expr.op) {
            match (&left, &right) {
                (Some(known), None) => take_type(&mut expr.right, known),
                (None, Some(known)) => take_type(&mut expr.left, known),
                // A time is one in the session's zone beside one with a zone.
                (Some(TIME), Some(TIMETZ)) => take_type(&mut expr.left, &TIMETZ),
                (Some(TIMETZ), Some(TIME)) => take_type(&mut expr.right, &TIMETZ),
                _ => {}
            }
            return Ok(PlannerResult::Original(expr));
        }
        let function = match expr.op {
            BinaryOperator::Plus => &PLUS,
            BinaryOperator::Minus => &MINUS,
            BinaryOperator::Multiply => &TIMES,
            BinaryOperator::Divide => &DIVIDED,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        match (&left, &right) {
            (Some(known), None) => {
                let target = operand(&expr.op, known, true)?;
                take_type(&mut expr.right, &target);
            }
            (None, Some(known)) => {
                let target = operand(&expr.op, known, false)?;
                take_type(&mut expr.left, &target);
            }
            _ => {}
        }
        call(function, expr, schema).map(PlannerResult::Planned)
    }

    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let function = Arc::clone(&crate::functions::text::SUBSTRING);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, args))))
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let function = Arc::clone(&super::part::EXTRACT);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, args))))
    }
}

fn compares(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// Whether an operand takes its type from the other one: a text literal or a parameter.
fn unknown(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => {
            matches!(
                value,
                ScalarValue::Null
                    | ScalarValue::Utf8(_)
                    | ScalarValue::Utf8View(_)
                    | ScalarValue::LargeUtf8(_)
            )
        }
        Expr::Placeholder(placeholder) => placeholder.field.is_none(),
        Expr::Alias(alias) => unknown(&alias.expr),
        _ => false,
    }
}

/// The type of an unknown operand beside a known one, as PostgreSQL chooses it.
fn operand(op: &BinaryOperator, known: &DataType, on_right: bool) -> Result<DataType> {
    let interval = matches!(known, DataType::Interval(_));
    Ok(match op {
        BinaryOperator::Multiply | BinaryOperator::Divide if interval => DataType::Float64,
        // `date + '…'` may mean days, a time or an interval.
        BinaryOperator::Plus if matches!(known, DataType::Date32 | DataType::Date64) => {
            let sides = if on_right { "date + unknown" } else { "unknown + date" };
            return Err(fault("42725", format!("operator is not unique: {sides}")));
        }
        // As it may mean a date or an interval.
        BinaryOperator::Plus if *known == TIMETZ => {
            let name = "time with time zone";
            let sides =
                if on_right { format!("{name} + unknown") } else { format!("unknown + {name}") };
            return Err(fault("42725", format!("operator is not unique: {sides}")));
        }
        BinaryOperator::Plus => INTERVAL,
        BinaryOperator::Minus if *known == TIMETZ && on_right => INTERVAL,
        _ => known.clone(),
    })
}

/// Gives a literal or a parameter a type.
fn take_type(expr: &mut Expr, data_type: &DataType) {
    let taken = std::mem::replace(expr, Expr::Literal(ScalarValue::Null, None));
    *expr = match taken {
        Expr::Placeholder(placeholder) => {
            let field: FieldRef = Arc::new(Field::new("", data_type.clone(), true));
            Expr::Placeholder(Placeholder { field: Some(field), ..placeholder })
        }
        other => cast(other, data_type.clone()),
    };
}

fn call(function: &Arc<ScalarUDF>, expr: RawBinaryExpr, schema: &DFSchema) -> Result<Expr> {
    let op = expr.op.to_string();
    let args = vec![expr.left, expr.right];
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args.clone()));
    if call.get_type(schema).is_ok() {
        return Ok(call);
    }
    let mut names = args.iter().map(|arg| -> Result<String> {
        let (_, field) = arg.to_field(schema)?;
        Ok(type_name(&field))
    });
    let (left, right) = (names.next().transpose()?, names.next().transpose()?);
    let (left, right) = (left.unwrap_or_default(), right.unwrap_or_default());
    Err(fault("42883", format!("operator does not exist: {left} {op} {right}")))
}
