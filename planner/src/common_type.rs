//! The common type of alternatives: branches of CASE, arguments of `coalesce`, queries of UNION.
//!
//! ```text
//! CASE … THEN 1 ELSE '2' END         ->  CASE … THEN 1 ELSE 2 END     a literal takes the others' type
//! coalesce(ratio, 0.5)  (float8)     ->  coalesce(ratio, 0.5::float8) a float wins over numeric
//! SELECT 1 UNION SELECT 'a'          ->  22P02
//! d IN (SELECT 1.5)     (float8)     ->  d IN (SELECT 1.5::float8)    as `d = 1.5` does
//! ```
//! DataFusion makes all of them text where one is, and decimals of floats ([`crate::widening`]).
//!
//! Operators are planned with their types before it is known what alternatives below them become.
//! Where a column has turned out to be a float, what is above it is looked at again
//! ([`retyped`]).

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, cast};

use crate::analyzer::map_named;
use crate::functions::fault::fault;
use crate::functions::numeric::planner::number;
use crate::widening::to_float;

mod compared;
mod retyped;
mod sets;

/// Gives alternatives PostgreSQL's common type.
pub(crate) fn resolve(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut is_retyped = false;
    let result = plan.transform_up_with_subqueries(|node| {
        let before = Arc::clone(node.schema());
        let result = resolve_node(node, is_retyped)?;
        is_retyped = is_retyped || retyped::has_new_float(&before, result.data.schema());
        Ok(result)
    });
    result.map(|result| result.data)
}

fn resolve_node(plan: LogicalPlan, is_retyped: bool) -> Result<Transformed<LogicalPlan>> {
    let result = match plan {
        LogicalPlan::Union(union) => return sets::union(union, is_retyped),
        LogicalPlan::Join(join) => sets::join(join)?,
        LogicalPlan::Values(values) => sets::values(values)?,
        plan => Transformed::no(plan),
    };
    let (plan, is_changed) = (result.data, result.transformed);
    let concerns = |expr: &Expr| is_alternative(expr) || (is_retyped && retyped::is_typed(expr));
    let affected = plan
        .expressions()
        .iter()
        .any(|expr| expr.exists(|expr| Ok(concerns(expr))).unwrap_or(false));
    if !affected {
        let plan = if is_retyped { retyped::schema(plan)? } else { plan };
        return Ok(Transformed::new_transformed(plan, is_changed || is_retyped));
    }
    let schema = merge_schema(&plan.inputs());
    let mut result = map_named(plan, |expr| {
        let expr = if is_retyped { retyped::expr(expr, &schema)? } else { Transformed::no(expr) };
        expr.transform_data(|expr| resolve_expr(expr, &schema))
    })?;
    result.transformed |= is_changed;
    result.map_data(LogicalPlan::recompute_schema)
}

/// An operand as what it becomes, where that is a float and does not look like one: its type
/// chooses the operator. Others stay as they are written, as GROUP BY finds them by that.
pub(crate) fn settled(operand: Expr, schema: &DFSchema) -> Result<Expr> {
    let target = match &operand {
        Expr::Case(case) => common(results(case), schema),
        Expr::ScalarFunction(call) if call.name() == "nullif" => {
            compared::nullif_type(&call.args, schema)
        }
        _ => None,
    };
    let is_float = target.is_some_and(|target| target.is_floating());
    if is_float && operand.get_type(schema).is_ok_and(|t| !t.is_floating()) {
        return resolve_expr(operand, schema).map(|result| result.data);
    }
    Ok(operand)
}

fn results(case: &Case) -> impl Iterator<Item = &Expr> + Clone {
    let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
    results.chain(case.else_expr.as_deref())
}

fn is_alternative(expr: &Expr) -> bool {
    match expr {
        Expr::Case(_) | Expr::Between(_) | Expr::InList(_) => true,
        Expr::InSubquery(_) | Expr::SetComparison(_) => true,
        Expr::ScalarFunction(call) => {
            matches!(call.func.name(), "coalesce" | "greatest" | "least" | "nullif")
        }
        _ => false,
    }
}

fn resolve_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Case(case) => resolve_case(case, schema),
        Expr::Between(between) => compared::between(between, schema),
        Expr::InList(list) => compared::in_list(list, schema),
        Expr::InSubquery(test) => compared::in_subquery(test, schema),
        Expr::SetComparison(test) => compared::set_comparison(test, schema),
        expr if !is_alternative(&expr) => Ok(Transformed::no(expr)),
        Expr::ScalarFunction(ScalarFunction { func, mut args }) => {
            if func.name() == "nullif"
                && let Some(result) = compared::nullif_type(&args, schema)
            {
                for arg in &mut args {
                    convert(arg, &DataType::Float64, schema)?;
                }
                let call = Expr::ScalarFunction(ScalarFunction { func, args });
                let is_double = result == DataType::Float64;
                return Ok(Transformed::yes(if is_double { call } else { cast(call, result) }));
            }
            let Some(target) = common(args.iter(), schema) else {
                return Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })));
            };
            for arg in &mut args {
                convert(arg, &target, schema)?;
            }
            Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

fn resolve_case(case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (mut case, changed) = match case.expr {
        Some(_) => compared::case(case, schema)?,
        None => {
            for (when, _) in &case.when_then_expr {
                check_condition(when, schema)?;
            }
            (case, false)
        }
    };
    let Some(target) = common(results(&case), schema) else {
        return Ok(Transformed::new_transformed(Expr::Case(case), changed));
    };
    for (_, then) in &mut case.when_then_expr {
        convert(then, &target, schema)?;
    }
    if let Some(otherwise) = &mut case.else_expr {
        convert(otherwise, &target, schema)?;
    }
    Ok(Transformed::yes(Expr::Case(case)))
}

fn check_condition(when: &Expr, schema: &DFSchema) -> Result<()> {
    let data_type = when.get_type(schema)?;
    if !data_type.is_numeric() {
        return Ok(());
    }
    let oid = tarn_catalog::pg_type::pg_type_of_data_type(&data_type).oid;
    let name = tarn_catalog::pg_type::type_info(oid).map_or("numeric", |info| info.sql_name);
    let message = format!("argument of CASE/WHEN must be type boolean, not type {name}");
    Err(fault("42804", message))
}

/// The text of a literal without a type of its own.
fn unknown(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => Some(text),
        Expr::Alias(alias) => unknown(&alias.expr),
        _ => None,
    }
}

/// The type that some of the expressions must be converted to; `None` where DataFusion's choice is
/// PostgreSQL's too.
fn common<'a>(
    exprs: impl Iterator<Item = &'a Expr> + Clone,
    schema: &DFSchema,
) -> Option<DataType> {
    let has_unknown = exprs.clone().any(|expr| unknown(expr).is_some());
    let known = exprs.filter(|expr| unknown(expr).is_none());
    let types: Vec<DataType> = known
        .map(|expr| expr.get_type(schema))
        .filter(|t| !matches!(t, Ok(DataType::Null)))
        .collect::<Result<_>>()
        .ok()?;
    chosen(&types, has_unknown)
}

fn chosen(types: &[DataType], has_unknown: bool) -> Option<DataType> {
    let first = types.first()?;
    if types.iter().all(|t| t.is_numeric()) {
        let floats = types.contains(&DataType::Float64) || types.contains(&DataType::Float32);
        let decimals = types.iter().any(DataType::is_decimal);
        if floats && (decimals || has_unknown) {
            let double = types.contains(&DataType::Float64);
            return Some(if double { DataType::Float64 } else { DataType::Float32 });
        }
        if decimals {
            return (has_unknown || types.iter().any(|t| t != first)).then(|| decimal(types))?;
        }
        if !has_unknown {
            return None;
        }
        return types.iter().max_by_key(|t| rank(t)).cloned();
    }
    let same = types.iter().all(|t| t == first);
    (has_unknown && same && !first.is_string() && !first.is_nested()).then(|| first.clone())
}

/// The decimal type that holds all values; `None` where there is none.
fn decimal(types: &[DataType]) -> Option<DataType> {
    let (mut whole, mut scale) = (0_u8, 0_u8);
    for data_type in types {
        let (precision, digits) = match data_type {
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
                (*p, u8::try_from(*s).ok()?)
            }
            DataType::Int8 | DataType::UInt8 => (3, 0),
            DataType::Int16 | DataType::UInt16 => (5, 0),
            DataType::Int32 | DataType::UInt32 => (10, 0),
            DataType::Int64 | DataType::UInt64 => (20, 0),
            _ => return None,
        };
        whole = whole.max(precision.saturating_sub(digits));
        scale = scale.max(digits);
    }
    let precision = whole.saturating_add(scale).min(DECIMAL128_MAX_PRECISION);
    Some(DataType::Decimal128(precision, i8::try_from(scale).ok()?))
}

fn rank(data_type: &DataType) -> u8 {
    match data_type {
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => 0,
        DataType::UInt16 | DataType::Int32 => 1,
        DataType::UInt32 | DataType::Int64 => 2,
        _ => 3,
    }
}

fn convert(expr: &mut Expr, target: &DataType, schema: &DFSchema) -> Result<()> {
    if let Some(text) = unknown(expr) {
        *expr = match number(text, target)? {
            Some(value) => Expr::Literal(value, None),
            None => cast(text_literal(text), target.clone()),
        };
        return Ok(());
    }
    let data_type = expr.get_type(schema)?;
    if target.is_decimal() && data_type != *target && !data_type.is_null() {
        let inner = std::mem::replace(expr, Expr::Literal(ScalarValue::Null, None));
        *expr = cast(inner, target.clone());
        return Ok(());
    }
    if target.is_floating() && !data_type.is_null() {
        let inner = std::mem::replace(expr, Expr::Literal(ScalarValue::Null, None));
        *expr = to_float(inner, &data_type, target);
    }
    Ok(())
}

fn text_literal(text: &str) -> Expr {
    Expr::Literal(ScalarValue::Utf8(Some(text.to_owned())), None)
}
