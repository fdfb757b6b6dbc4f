//! The common type of alternatives: branches of CASE, arguments of `coalesce`, queries of UNION.
//!
//! ```text
//! CASE … THEN 1 ELSE '2' END         ->  CASE … THEN 1 ELSE 2 END     a literal takes the others' type
//! coalesce(ratio, 0.5)  (float8)     ->  coalesce(ratio, 0.5::float8) a float wins over numeric
//! SELECT 1 UNION SELECT 'a'          ->  22P02
//! ```
//! DataFusion makes all of them text where one is, and decimals of floats.

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Projection, Union, cast};

use crate::analyzer::map_named;
use crate::functions::fault::fault;
use crate::functions::numeric::planner::number;

/// Gives alternatives PostgreSQL's common type.
pub(crate) fn resolve(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(resolve_node).map(|result| result.data)
}

fn resolve_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let plan = match plan {
        LogicalPlan::Union(union) => return resolve_union(union),
        plan => plan,
    };
    let affected = plan
        .expressions()
        .iter()
        .any(|expr| expr.exists(|expr| Ok(is_alternative(expr))).unwrap_or(false));
    if !affected {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    let result = map_named(plan, |expr| resolve_expr(expr, &schema))?;
    result.map_data(LogicalPlan::recompute_schema)
}

fn is_alternative(expr: &Expr) -> bool {
    match expr {
        Expr::Case(_) | Expr::Between(_) | Expr::InList(_) => true,
        Expr::ScalarFunction(call) => {
            matches!(call.func.name(), "coalesce" | "greatest" | "least" | "nullif")
        }
        _ => false,
    }
}

fn resolve_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Case(case) => resolve_case(case, schema),
        Expr::Between(mut between) => {
            let sides = [&*between.expr, &*between.low, &*between.high];
            let target = common(sides.into_iter(), schema).filter(|t| !t.is_decimal());
            let Some(target) = target else {
                return Ok(Transformed::no(Expr::Between(between)));
            };
            for side in [&mut between.expr, &mut between.low, &mut between.high] {
                convert(side, &target, schema)?;
            }
            Ok(Transformed::yes(Expr::Between(between)))
        }
        Expr::InList(mut list) => {
            let sides = std::iter::once(&*list.expr).chain(&list.list);
            let target = common(sides, schema).filter(|t| !t.is_decimal());
            let Some(target) = target else {
                return Ok(Transformed::no(Expr::InList(list)));
            };
            for side in std::iter::once(list.expr.as_mut()).chain(&mut list.list) {
                convert(side, &target, schema)?;
            }
            Ok(Transformed::yes(Expr::InList(list)))
        }
        expr if !is_alternative(&expr) => Ok(Transformed::no(expr)),
        Expr::ScalarFunction(ScalarFunction { func, mut args }) => {
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

fn resolve_case(mut case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if case.expr.is_none() {
        for (when, _) in &case.when_then_expr {
            check_condition(when, schema)?;
        }
    }
    let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
    let Some(target) = common(results.chain(case.else_expr.as_deref()), schema) else {
        return Ok(Transformed::no(Expr::Case(case)));
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
    if target.is_floating() && data_type != *target && !data_type.is_null() {
        if let Some(constant) = float_literal(expr, target) {
            *expr = constant;
            return Ok(());
        }
        let inner = std::mem::replace(expr, Expr::Literal(ScalarValue::Null, None));
        *expr = cast(inner, target.clone());
    }
    Ok(())
}

/// A constant as a float, so that filters compare a column with a plain value.
pub(crate) fn float_literal(expr: &Expr, target: &DataType) -> Option<Expr> {
    let Expr::Literal(value, _) = expr else { return None };
    let text = match value {
        ScalarValue::Decimal128(Some(value), _, scale) => format!("{value}e-{scale}"),
        ScalarValue::Int32(Some(value)) => value.to_string(),
        _ => return None,
    };
    let value = number(&text, target).ok()??;
    Some(Expr::Literal(value, None))
}

fn text_literal(text: &str) -> Expr {
    Expr::Literal(ScalarValue::Utf8(Some(text.to_owned())), None)
}

/// Columns of literals take the type of the same column of the other queries.
fn resolve_union(mut union: Union) -> Result<Transformed<LogicalPlan>> {
    let n_columns = union.inputs.first().map_or(0, |input| input.schema().fields().len());
    let mut changed = false;
    for at in 0..n_columns {
        let literals: Vec<bool> =
            union.inputs.iter().map(|input| literal_of(input, at).is_some()).collect();
        if !literals.contains(&true) {
            continue;
        }
        let others = union.inputs.iter().zip(&literals).filter(|(_, literal)| !**literal);
        let others = others.filter_map(|(input, _)| input.schema().fields().get(at));
        let types: Vec<DataType> = others
            .map(|field| field.data_type().clone())
            .filter(|t| *t != DataType::Null)
            .collect();
        let Some(target) = chosen(&types, true) else { continue };
        for input in &mut union.inputs {
            if let Some(projection) = with_literal(input, at, &target)? {
                *input = Arc::new(projection);
                changed = true;
            }
        }
    }
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    LogicalPlan::Union(union).recompute_schema().map(Transformed::yes)
}

fn literal_of(input: &LogicalPlan, at: usize) -> Option<&str> {
    match input {
        LogicalPlan::Projection(projection) => unknown(projection.expr.get(at)?),
        _ => None,
    }
}

fn with_literal(input: &LogicalPlan, at: usize, target: &DataType) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Projection(projection) = input else { return Ok(None) };
    let Some(text) = literal_of(input, at) else { return Ok(None) };
    let value = match number(text, target)? {
        Some(value) => Expr::Literal(value, None),
        None => cast(text_literal(text), target.clone()),
    };
    let name = projection.schema.field(at).name().clone();
    let mut exprs = projection.expr.clone();
    if let Some(place) = exprs.get_mut(at) {
        *place = value.alias(name);
    }
    let projection = Projection::try_new(exprs, Arc::clone(&projection.input))?;
    Ok(Some(LogicalPlan::Projection(projection)))
}
