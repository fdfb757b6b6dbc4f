//! Literals, and operators whose result has another type than DataFusion gives it.
//!
//! This is decided while the tree becomes a plan, as every expression above depends on the type.

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr, RawWindowExpr,
};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};
use sqlparser::ast::BinaryOperator;

use super::divide::numeric;
use super::number::Number;
use super::to_numeric::UNCONSTRAINED;
use super::{exact, math, text, transcendental};
use crate::chain_type::type_of;
use crate::common_type::settled;
use crate::functions::fault::fault;
use crate::literals::{NUMERIC_LITERAL, TO_NUMERIC};
use crate::outputs::TRIMMED_CAST;
use crate::types::operators::{DISTINCT, NOT_DISTINCT};
use crate::widening::{meet, to_double};

/// Makes the literals that [`crate::literals`] carries, and keeps the digits of quotients.
#[derive(Debug)]
pub struct NumericOperators;

impl ExprPlanner for NumericOperators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let op = match &expr.op {
            BinaryOperator::Custom(name) if name == NUMERIC_LITERAL => return literal(expr),
            BinaryOperator::Custom(name) if name == TO_NUMERIC => {
                return to_numeric(expr.left, schema).map(PlannerResult::Planned);
            }
            BinaryOperator::PGExp => return Ok(power(expr)),
            BinaryOperator::Divide => Operator::Divide,
            BinaryOperator::Multiply => Operator::Multiply,
            BinaryOperator::Plus => Operator::Plus,
            BinaryOperator::Minus => Operator::Minus,
            BinaryOperator::Modulo => Operator::Modulo,
            op if is_comparison(op) => Operator::Eq,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let RawBinaryExpr { op: written, left, right } = expr;
        let (left, right) = (settled(left, schema)?, settled(right, schema)?);
        let expr = RawBinaryExpr { op: written, left, right };
        let (Ok(left), Ok(right)) = (type_of(&expr.left, schema), type_of(&expr.right, schema))
        else {
            return Ok(PlannerResult::Original(expr));
        };
        if let Some(expr) = constant(&expr, op)? {
            return Ok(PlannerResult::Planned(expr));
        }
        if let Some(expr) = unknown(&expr, (&left, &right))? {
            return self.plan_binary_op(expr, schema);
        }
        if meet(&left, &right) {
            let types = (left, right);
            let RawBinaryExpr { op, left, right } = expr;
            let (left, right) = (to_double(left, &types.0), to_double(right, &types.1));
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        }
        let Some((function, scale)) = numeric(op, (&expr.left, &left), (&expr.right, &right))
        else {
            return Ok(PlannerResult::Original(expr));
        };
        let scale = Expr::Literal(ScalarValue::Int8(Some(scale)), None);
        let args = vec![expr.left, expr.right, scale];
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, args))))
    }

    fn plan_aggregate(
        &self,
        mut expr: RawAggregateExpr,
    ) -> Result<PlannerResult<RawAggregateExpr>> {
        if let [Expr::Literal(ScalarValue::Null, _)] = expr.args.as_slice()
            && matches!(expr.func.name(), "numeric_sum" | "numeric_avg")
        {
            let name = expr.func.name().trim_start_matches("numeric_");
            return Err(fault("42725", format!("function {name}(unknown) is not unique")));
        }
        if expr.func.name() == "count" && expr.args.len() > 1 {
            return Err(fault("42883", "function count with several arguments does not exist"));
        }
        for arg in &mut expr.args {
            tell_casts(arg);
        }
        Ok(PlannerResult::Original(expr))
    }

    fn plan_window(&self, mut expr: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        for arg in &mut expr.args {
            tell_casts(arg);
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// A cast has no part in the name of an expression, so that `sum(x)` and `sum(x::smallint)` would
/// be one column: the argument gets a name of its own.
fn tell_casts(arg: &mut Expr) {
    let casts = arg.exists(|expr| Ok(matches!(expr, Expr::Cast(_)))).unwrap_or(false);
    if casts && !matches!(arg, Expr::Alias(_)) {
        let name = arg.to_string();
        let inner = std::mem::replace(arg, Expr::Literal(ScalarValue::Null, None));
        *arg = inner.alias(name);
    }
}

/// Decimal constants are computed at once: their digits are not bound to the widest column.
fn constant(expr: &RawBinaryExpr, op: Operator) -> Result<Option<Expr>> {
    let (Expr::Literal(left, _), Expr::Literal(right, _)) = (&expr.left, &expr.right) else {
        return Ok(None);
    };
    if !(left.data_type().is_decimal() || right.data_type().is_decimal()) {
        return Ok(None);
    }
    let (Some(left), Some(right)) = (Number::of_scalar(left), Number::of_scalar(right)) else {
        return Ok(None);
    };
    let result = match op {
        Operator::Plus => left.plus(right)?,
        Operator::Minus => left.minus(right)?,
        Operator::Multiply => left.times(right)?,
        Operator::Divide => transcendental::divide(left, right)?,
        Operator::Modulo => exact::remainder(left, right)?,
        _ => return Ok(None),
    };
    Ok(Some(Expr::Literal(result.scalar()?, None)))
}

/// A text literal beside a number is a number: `1 + '1'`.
fn unknown(expr: &RawBinaryExpr, types: (&DataType, &DataType)) -> Result<Option<RawBinaryExpr>> {
    let arithmetic = matches!(
        expr.op,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
    );
    if !arithmetic {
        return Ok(None);
    }
    let text = |expr: &Expr| match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => Some(text.clone()),
        _ => None,
    };
    let (left, right) = match (text(&expr.left), text(&expr.right)) {
        (Some(_), Some(_)) => {
            let message = format!("operator is not unique: unknown {} unknown", expr.op);
            return Err(fault("42725", message));
        }
        (Some(text), None) => match number(&text, types.1)? {
            Some(value) => (Expr::Literal(value, None), expr.right.clone()),
            None => return Ok(None),
        },
        (None, Some(text)) => match number(&text, types.0)? {
            Some(value) => (expr.left.clone(), Expr::Literal(value, None)),
            None => return Ok(None),
        },
        (None, None) => return Ok(None),
    };
    Ok(Some(RawBinaryExpr { op: expr.op.clone(), left, right }))
}

/// What a text literal is as a number of this type; `None` for other types.
pub(crate) fn number(literal: &str, data_type: &DataType) -> Result<Option<ScalarValue>> {
    Ok(Some(match data_type {
        DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            ScalarValue::Int64(Some(text::integer(literal, data_type)?)).cast_to(data_type)?
        }
        DataType::Float32 => ScalarValue::Float32(Some(text::float4(literal)?)),
        DataType::Float64 => ScalarValue::Float64(Some(text::float8(literal)?)),
        t if t.is_decimal() => text::decimal(literal)?.scalar(),
        _ => return Ok(None),
    }))
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    match op {
        BinaryOperator::Custom(name) => matches!(name.as_str(), DISTINCT | NOT_DISTINCT),
        op => matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq),
    }
}

fn power(expr: RawBinaryExpr) -> PlannerResult<RawBinaryExpr> {
    let Some(function) = math::function("power") else { return PlannerResult::Original(expr) };
    let args = vec![expr.left, expr.right];
    PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, args)))
}

/// The target field of a cast of a whole number.
const WHOLE_CAST: &str = "whole";

/// A cast to `numeric` keeps the digits that there are.
fn to_numeric(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    if let Expr::Literal(value, _) = &expr {
        let number = match value {
            ScalarValue::Utf8(Some(text)) => Some(text::decimal(text)?.scalar()),
            ScalarValue::Float64(Some(value)) => Some(Number::of_float(*value)?.scalar()?),
            value => Number::of_scalar(value).map(Number::scalar).transpose()?,
        };
        if let Some(number) = number {
            return Ok(Expr::Literal(number, None));
        }
    }
    let data_type = expr.get_type(schema)?;
    let target = match &data_type {
        t if t.is_decimal() => return Ok(expr),
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => DataType::Decimal128(5, 0),
        DataType::UInt16 | DataType::Int32 => DataType::Decimal128(10, 0),
        DataType::UInt32 | DataType::Int64 | DataType::UInt64 => DataType::Decimal128(20, 0),
        t if t.is_floating() => DataType::Decimal128(UNCONSTRAINED.0, UNCONSTRAINED.1),
        _ => DataType::Decimal128(DECIMAL128_MAX_PRECISION, 10),
    };
    let trimmed = data_type.is_floating() || !data_type.is_numeric();
    let target = Field::new(if trimmed { TRIMMED_CAST } else { WHOLE_CAST }, target, true);
    Ok(Expr::Cast(Cast::new_from_field(Box::new(expr), Arc::new(target))))
}

fn literal(expr: RawBinaryExpr) -> Result<PlannerResult<RawBinaryExpr>> {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = &expr.left else {
        return Ok(PlannerResult::Original(expr));
    };
    Ok(PlannerResult::Planned(Expr::Literal(text::literal(text)?, None)))
}

/// The planner to add to DataFusion's.
#[must_use]
pub fn planner() -> Arc<dyn ExprPlanner> {
    Arc::new(NumericOperators)
}
