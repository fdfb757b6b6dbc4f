//! Literals of unknown type beside values of types that DataFusion does not give them.
//!
//! ```text
//! id IN ('f81d…', 'a0ee…')          uuid     id IN (CAST('f81d…' AS uuid), …)
//! d BETWEEN '1' AND '2'             uuid     d BETWEEN CAST('1' AS uuid) AND …
//! CASE WHEN p THEN doc ELSE '{}'    jsonb    … ELSE CAST('{}' AS jsonb)
//! ```
//! It runs before type coercion, which would refuse them. Operators are planned with their types
//! at once ([`crate::types::operators`]).

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Between, Case, InList, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator, not};
use datafusion::optimizer::AnalyzerRule;
use tarn_catalog::pg_type::json_kind;

use super::expressions::{input_schema, map_named};
use crate::functions::array::frame;
use crate::functions::{choice, json};
use crate::types::is_text;
use crate::types::operators::{is_unknown, with_type};

/// Gives literals the types of their neighbours.
#[derive(Debug, Default)]
pub struct UnknownLiterals;

impl AnalyzerRule for UnknownLiterals {
    fn name(&self) -> &'static str {
        "unknown_literals"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite_plan).map(|result| result.data)
    }
}

fn rewrite_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&plan)?;
    let result = map_named(plan, |expr| rewrite(expr, &schema))?;
    if result.transformed { result.map_data(LogicalPlan::recompute_schema) } else { Ok(result) }
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::InList(list) => in_list(list, schema),
        Expr::Between(between) => {
            let sides = [&*between.expr, &*between.low, &*between.high];
            match common(sides, schema) {
                Some(data_type) => {
                    let Between { expr, negated, low, high } = between;
                    let typed = |side: Box<Expr>| Box::new(typed(*side, &data_type));
                    let between = Between::new(typed(expr), negated, typed(low), typed(high));
                    Ok(Transformed::yes(Expr::Between(between)))
                }
                None => Ok(Transformed::no(Expr::Between(between))),
            }
        }
        Expr::Case(case) => case_of(case, schema),
        Expr::ScalarFunction(call) => arguments(call, schema),
        Expr::BinaryExpr(binary)
            if matches!(binary.op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) =>
        {
            match common([&*binary.left, &*binary.right], schema) {
                Some(data_type) => {
                    let BinaryExpr { left, op, right } = binary;
                    let (left, right) = (typed(*left, &data_type), typed(*right, &data_type));
                    let (left, right) = if json_kind(&data_type).is_some() {
                        (with_type(left, &DataType::Utf8), with_type(right, &DataType::Utf8))
                    } else {
                        (left, right)
                    };
                    let (left, right) = (Box::new(left), Box::new(right));
                    Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(left, op, right))))
                }
                None => Ok(Transformed::no(Expr::BinaryExpr(binary))),
            }
        }
        expr => Ok(Transformed::no(expr)),
    }
}

/// The type of the first expression that has one which literals have to be told.
fn common<'a>(exprs: impl IntoIterator<Item = &'a Expr>, schema: &DFSchema) -> Option<DataType> {
    let known = exprs.into_iter().find(|expr| !is_unknown(expr))?;
    let data_type = known.get_type(schema).ok()?;
    let special = matches!(
        data_type,
        DataType::FixedSizeBinary(12 | 16)
            | DataType::Binary
            | DataType::Boolean
            | DataType::List(_)
            | DataType::UInt32
            | DataType::Interval(_)
    );
    (special || json_kind(&data_type).is_some()).then_some(data_type)
}

fn typed(expr: Expr, data_type: &DataType) -> Expr {
    if is_unknown(&expr) { with_type(expr, data_type) } else { expr }
}

/// Arguments of functions that take several types take one in common.
fn arguments(mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if !frame::is_array_function(&call.func) && !choice::is_choice(&call.func) {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    }
    let types = call.args.iter().map(|arg| arg.get_type(schema)).collect::<Result<Vec<_>>>()?;
    let coerced =
        frame::coerced(&call.func, &types).or_else(|| choice::coerced(&call.func, &types));
    let Some(coerced) = coerced else { return Ok(Transformed::no(Expr::ScalarFunction(call))) };
    let args = call.args.into_iter().zip(&types).zip(coerced?);
    let is_choice = choice::is_choice(&call.func);
    // PostgreSQL has no common type of texts and others; that is told by the rule behind this one.
    let differs = |arg: &Expr, from: &DataType, to: &DataType| {
        let told = to.is_numeric()
            || matches!(to, DataType::Boolean | DataType::Date32 | DataType::Timestamp(..));
        is_choice && is_text(from) && told && !matches!(arg, Expr::Placeholder(_))
    };
    call.args = args
        .map(|((arg, from), to)| match is_unknown(&arg) {
            _ if *from == to => arg,
            false if differs(&arg, from, &to) => arg,
            true => with_type(arg, &to),
            false => Expr::Cast(Cast::new(Box::new(arg), to)),
        })
        .collect();
    Ok(Transformed::yes(Expr::ScalarFunction(call)))
}

fn in_list(list: InList, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let sides = std::iter::once(&*list.expr).chain(&list.list);
    let Some(data_type) = common(sides, schema) else {
        return Ok(Transformed::no(Expr::InList(list)));
    };
    let InList { expr, list, negated } = list;
    let expr = typed(*expr, &data_type);
    let list: Vec<Expr> = list.into_iter().map(|element| typed(element, &data_type)).collect();
    if json_kind(&data_type).is_none() {
        return Ok(Transformed::yes(Expr::InList(InList::new(Box::new(expr), list, negated))));
    }
    let equal = |element: Expr| {
        let args = vec![expr.clone(), element];
        Expr::ScalarFunction(ScalarFunction::new_udf(json::by_name("jsonb_eq"), args))
    };
    let chain = list.into_iter().map(equal).reduce(Expr::or);
    let chain = chain.unwrap_or_else(|| datafusion::logical_expr::lit(false));
    Ok(Transformed::yes(if negated { not(chain) } else { chain }))
}

fn case_of(case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
    let results: Vec<&Expr> = results.chain(case.else_expr.as_deref()).collect();
    if !results.iter().any(|result| is_unknown(result)) {
        return Ok(Transformed::no(Expr::Case(case)));
    }
    let known = results.into_iter().find(|result| !is_unknown(result));
    let data_type = match known.map(|known| known.get_type(schema)) {
        Some(Ok(data_type)) if !is_text(&data_type) && data_type != DataType::Null => data_type,
        _ => return Ok(Transformed::no(Expr::Case(case))),
    };
    let Case { expr, when_then_expr, else_expr } = case;
    let branches = when_then_expr
        .into_iter()
        .map(|(when, then)| (when, Box::new(typed(*then, &data_type))))
        .collect();
    let otherwise = else_expr.map(|otherwise| Box::new(typed(*otherwise, &data_type)));
    Ok(Transformed::yes(Expr::Case(Case::new(expr, branches, otherwise))))
}
