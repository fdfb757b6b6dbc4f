//! Comparison, order and grouping of intervals, for which a month is 30 days and a day 24 hours,
//! and of `jsonb`, for which 1 is 1.0.
//!
//! ```text
//! a < b             ->  interval_order(a) < interval_order(b)
//! ORDER BY i        ->  ORDER BY interval_order(i)
//! GROUP BY i        ->  GROUP BY interval_order(i), with first_value(i) in the place of i
//! min(i)            ->  interval_min(i)
//! ORDER BY j        ->  ORDER BY jsonb_order(j), and so on
//! ```
//! The same rule brings `text ~ pattern` to our own regular expressions.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction, Sort, WindowFunction};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder,
    Operator, WindowFunctionDefinition, lit,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use tarn_catalog::pg_type::{Json, json_kind};

use super::expressions::input_schema;
use crate::functions::datetime::extremes;
use crate::functions::datetime::operators::{INTERVAL_ORDER, NEGATED};
use crate::functions::json;
use crate::functions::regexp::REGEXP_LIKE_OPERATOR;

/// Gives intervals PostgreSQL's order and texts its regular expressions.
#[derive(Debug, Default)]
pub struct IntervalOrder;

impl AnalyzerRule for IntervalOrder {
    fn name(&self) -> &'static str {
        "interval_order"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite_plan).map(|result| result.data)
    }
}

fn rewrite_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&plan)?;
    let names = NamePreserver::new(&plan);
    let is_sort = matches!(plan, LogicalPlan::Sort(_));
    let result = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let result = expr.transform_up(|expr| rewrite(expr, &schema))?;
        if is_sort && has_own_order(&result.data, &schema) {
            return Ok(Transformed::yes(order(result.data, &schema)));
        }
        Ok(if result.transformed { result.update_data(|expr| name.restore(expr)) } else { result })
    })?;
    let result = result.map_data(LogicalPlan::recompute_schema)?;
    let changed = result.transformed;
    let plan = match result.data {
        LogicalPlan::Aggregate(aggregate) => group(aggregate, &schema)?,
        LogicalPlan::Distinct(Distinct::All(input)) => distinct(input)?,
        LogicalPlan::Join(mut join) => {
            let mut any = false;
            for (left, right) in &mut join.on {
                if has_own_order(left, &schema) && has_own_order(right, &schema) {
                    *left = order(left.clone(), &schema);
                    *right = order(right.clone(), &schema);
                    any = true;
                }
            }
            Transformed::new_transformed(LogicalPlan::Join(join), any)
        }
        plan => Transformed::no(plan),
    };
    Ok(Transformed::new_transformed(plan.data, plan.transformed || changed))
}

fn is_interval(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(expr.get_type(schema), Ok(DataType::Interval(_)))
}

/// Whether the bytes of values compare otherwise than the values.
fn has_own_order(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|data_type| is_ordered(&data_type))
}

fn is_ordered(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_)) || json_kind(data_type) == Some(Json::Binary)
}

fn order(expr: Expr, schema: &DFSchema) -> Expr {
    let function = match is_interval(&expr, schema) {
        true => Arc::clone(&INTERVAL_ORDER),
        false => json::by_name("jsonb_order"),
    };
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expr]))
}

fn order_all(keys: &mut [Sort], schema: &DFSchema) -> bool {
    let mut any = false;
    for key in keys.iter_mut().filter(|key| has_own_order(&key.expr, schema)) {
        key.expr = order(key.expr.clone(), schema);
        any = true;
    }
    any
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::BinaryExpr(binary) => rewrite_binary(binary, schema),
        Expr::Negative(inner) if is_interval(&inner, schema) => {
            let call = ScalarFunction::new_udf(Arc::clone(&NEGATED), vec![*inner]);
            Transformed::yes(Expr::ScalarFunction(call))
        }
        Expr::Between(mut between) if is_interval(&between.expr, schema) => {
            for part in [&mut between.expr, &mut between.low, &mut between.high] {
                **part = order(part.as_ref().clone(), schema);
            }
            Transformed::yes(Expr::Between(between))
        }
        Expr::InList(mut list) if is_interval(&list.expr, schema) => {
            *list.expr = order(list.expr.as_ref().clone(), schema);
            list.list = list.list.into_iter().map(|element| order(element, schema)).collect();
            Transformed::yes(Expr::InList(list))
        }
        Expr::AggregateFunction(aggregate) => rewrite_aggregate(aggregate, schema),
        Expr::WindowFunction(window) => rewrite_window(*window, schema),
        expr => Transformed::no(expr),
    })
}

fn rewrite_binary(binary: BinaryExpr, schema: &DFSchema) -> Transformed<Expr> {
    use Operator::{
        Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq, RegexIMatch, RegexMatch,
        RegexNotIMatch, RegexNotMatch,
    };
    match binary.op {
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
            if has_own_order(&binary.left, schema) && has_own_order(&binary.right, schema) =>
        {
            let (left, right) = (order(*binary.left, schema), order(*binary.right, schema));
            let binary = BinaryExpr::new(Box::new(left), binary.op, Box::new(right));
            Transformed::yes(Expr::BinaryExpr(binary))
        }
        RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch => {
            let insensitive = matches!(binary.op, RegexIMatch | RegexNotIMatch);
            let args = vec![*binary.left, *binary.right, lit(insensitive)];
            let call = ScalarFunction::new_udf(Arc::clone(&REGEXP_LIKE_OPERATOR), args);
            let call = Expr::ScalarFunction(call);
            let negated = matches!(binary.op, RegexNotMatch | RegexNotIMatch);
            Transformed::yes(if negated { Expr::Not(Box::new(call)) } else { call })
        }
        _ => Transformed::no(Expr::BinaryExpr(binary)),
    }
}

fn rewrite_aggregate(mut aggregate: AggregateFunction, schema: &DFSchema) -> Transformed<Expr> {
    let mut changed = order_all(&mut aggregate.params.order_by, schema);
    if let [arg] = aggregate.params.args.as_mut_slice()
        && has_own_order(arg, schema)
    {
        let interval = is_interval(arg, schema);
        match aggregate.func.name() {
            "min" | "max" if !interval => {}
            "min" => aggregate.func = Arc::clone(&extremes::MIN),
            "max" => aggregate.func = Arc::clone(&extremes::MAX),
            "count" if aggregate.params.distinct => *arg = order(arg.clone(), schema),
            _ => return Transformed::new_transformed(Expr::AggregateFunction(aggregate), changed),
        }
        changed = true;
    }
    Transformed::new_transformed(Expr::AggregateFunction(aggregate), changed)
}

fn rewrite_window(mut window: WindowFunction, schema: &DFSchema) -> Transformed<Expr> {
    let mut changed = order_all(&mut window.params.order_by, schema);
    for key in &mut window.params.partition_by {
        if has_own_order(key, schema) {
            *key = order(key.clone(), schema);
            changed = true;
        }
    }
    if let ([arg], WindowFunctionDefinition::AggregateUDF(function)) =
        (window.params.args.as_slice(), &mut window.fun)
        && is_interval(arg, schema)
    {
        let own = match function.name() {
            "min" => Some(&extremes::MIN),
            "max" => Some(&extremes::MAX),
            _ => None,
        };
        if let Some(own) = own {
            *function = Arc::clone(own);
            changed = true;
        }
    }
    Transformed::new_transformed(Expr::WindowFunction(Box::new(window)), changed)
}

/// `SELECT DISTINCT` with an interval is a grouping by all columns.
fn distinct(input: Arc<LogicalPlan>) -> Result<Transformed<LogicalPlan>> {
    let schema = Arc::clone(input.schema());
    let any = schema.fields().iter().any(|field| is_ordered(field.data_type()));
    if !any {
        return Ok(Transformed::no(LogicalPlan::Distinct(Distinct::All(input))));
    }
    let columns = schema.columns().into_iter().map(Expr::Column).collect();
    let aggregate = Aggregate::try_new(input, columns, Vec::new())?;
    group(aggregate, &schema).map(|plan| Transformed::yes(plan.data))
}

/// Groups by the order of intervals, and takes the first interval of each group.
fn group(aggregate: Aggregate, schema: &DFSchema) -> Result<Transformed<LogicalPlan>> {
    let grouping_sets = matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
    let any = aggregate.group_expr.iter().any(|key| has_own_order(key, schema));
    if grouping_sets || !any {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let outputs: Vec<_> = aggregate.schema.iter().map(|(q, f)| (q.cloned(), f.clone())).collect();
    let mut keys = Vec::new();
    let mut firsts = Vec::new();
    for (at, key) in aggregate.group_expr.iter().enumerate() {
        if has_own_order(key, schema) {
            let first = first_value_udaf().call(vec![key.clone()]);
            firsts.push((at, first.alias(format!("interval_{at}"))));
            keys.push(order(key.clone(), schema).alias(format!("interval_order_{at}")));
        } else {
            keys.push(key.clone());
        }
    }
    let n_keys = keys.len();
    let n_aggregates = aggregate.aggr_expr.len();
    let mut aggregates = aggregate.aggr_expr.clone();
    aggregates.extend(firsts.iter().map(|(_, first)| first.clone()));
    let inner = Aggregate::try_new(Arc::clone(&aggregate.input), keys, aggregates)?;
    let columns = inner.schema.columns();
    let place = |at: usize| match firsts.iter().position(|(key, _)| *key == at) {
        Some(first) => n_keys + n_aggregates + first,
        None => at,
    };
    let restored = outputs.into_iter().enumerate().filter_map(|(at, (qualifier, field))| {
        let column = columns.get(place(at))?.clone();
        let same = column.relation == qualifier && column.name == *field.name();
        let column = Expr::Column(column);
        Some(if same { column } else { column.alias_qualified(qualifier, field.name().clone()) })
    });
    let restored: Vec<Expr> = restored.collect();
    let plan = LogicalPlanBuilder::from(LogicalPlan::Aggregate(inner)).project(restored)?;
    Ok(Transformed::yes(plan.build()?))
}
