//! Equality that is not written as an operator: IN, BETWEEN, CASE, IS DISTINCT FROM, USING.
//!
//! ```text
//! c IN ('a', 'b ')              c of char(5)    rtrim(c) IN (rtrim('a'), rtrim('b '))
//! c BETWEEN 'a' AND 'b'                         rtrim(c) BETWEEN rtrim('a') AND …
//! CASE c WHEN 'a' THEN …                        CASE rtrim(c) WHEN rtrim('a') THEN …
//! c IN (SELECT d …)                             rtrim(c) IN (SELECT rtrim(d) …)
//! id IN (SELECT name …)                         42883 operator does not exist: integer = text
//! ```
//!
//! `char(n)` does not see the blanks at its end; [`crate::types::operators`] says the same of
//! operators. Beside `text` only the side of `char(n)` loses its blanks. It runs before type
//! coercion, where literals are still told from text.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue, Spans};
use datafusion::logical_expr::expr::{
    AggregateFunction, Between, Case, InList, InSubquery, ScalarFunction,
};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator,
    Subquery,
};
use datafusion::optimizer::AnalyzerRule;

use super::expressions::{input_schema, map_named_where};
use super::strict;
use crate::types::operators::{is_unknown, without_trailing_blanks};
use crate::types::{modifier, name_in_metadata, named};

/// Gives equality without an operator the meaning of `=`.
#[derive(Debug, Default)]
pub struct Members;

impl AnalyzerRule for Members {
    fn name(&self) -> &'static str {
        "members"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite_plan).map(|result| result.data)
    }
}

fn rewrite_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut found = false;
    plan.apply_expressions(|expr| {
        found = found || concerns(expr);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    let joined = matches!(&plan, LogicalPlan::Join(join) if !join.on.is_empty());
    if !found && !joined {
        return Ok(Transformed::no(plan));
    }
    let schema = input_schema(&plan)?;
    let result = map_named_where(plan, concerns, |expr| rewrite(expr, &schema))?;
    Ok(match result.data {
        LogicalPlan::Join(mut join) => {
            let mut changed = false;
            for (left, right) in &mut join.on {
                if is_padded(left, &schema) && is_padded(right, &schema) {
                    *left = without_trailing_blanks(left.clone());
                    *right = without_trailing_blanks(right.clone());
                    changed = true;
                }
            }
            Transformed::new_transformed(LogicalPlan::Join(join), changed || result.transformed)
        }
        plan => Transformed::new_transformed(plan, result.transformed),
    })
}

/// Whether an expression has a construct with a rule.
fn concerns(expr: &Expr) -> bool {
    expr.exists(|expr| {
        Ok(match expr {
            Expr::InList(_) | Expr::Between(_) | Expr::InSubquery(_) => true,
            Expr::Case(case) => case.expr.is_some(),
            Expr::BinaryExpr(binary) => is_distinction(binary.op),
            Expr::ScalarFunction(call) => matches!(call.name(), "is_member" | "nullif"),
            _ => false,
        })
    })
    .unwrap_or(false)
}

fn is_distinction(op: Operator) -> bool {
    matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

fn is_padded(expr: &Expr, schema: &DFSchema) -> bool {
    // Only columns, casts and what hands their fields on are padded; the rest need not be asked.
    if matches!(expr, Expr::BinaryExpr(_) | Expr::Literal(..) | Expr::Placeholder(_)) {
        return false;
    }
    expr.to_field(schema).is_ok_and(|(_, field)| name_in_metadata(&field) == Some("bpchar"))
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::InList(list) => {
            let InList { expr, mut list, negated } = list;
            let (expr, changed) = beside(*expr, list.iter_mut().collect(), schema);
            let list = Expr::InList(InList::new(Box::new(expr), list, negated));
            Ok(Transformed::new_transformed(list, changed))
        }
        Expr::Between(between) => {
            let Between { expr, negated, mut low, mut high } = between;
            let (expr, changed) = beside(*expr, vec![&mut low, &mut high], schema);
            let between = Between::new(Box::new(expr), negated, low, high);
            Ok(Transformed::new_transformed(Expr::Between(between), changed))
        }
        Expr::Case(mut case) => {
            let Some(tested) = case.expr.take() else {
                return Ok(Transformed::no(Expr::Case(case)));
            };
            let Case { when_then_expr: mut branches, else_expr, .. } = case;
            let whens = branches.iter_mut().map(|(when, _)| when.as_mut()).collect();
            let (tested, changed) = beside(*tested, whens, schema);
            let case = Case::new(Some(Box::new(tested)), branches, else_expr);
            Ok(Transformed::new_transformed(Expr::Case(case), changed))
        }
        Expr::BinaryExpr(binary) if is_distinction(binary.op) => {
            let BinaryExpr { left, op, mut right } = binary;
            let (left, changed) = beside(*left, vec![&mut right], schema);
            let binary = BinaryExpr::new(Box::new(left), op, right);
            Ok(Transformed::new_transformed(Expr::BinaryExpr(binary), changed))
        }
        Expr::InSubquery(subquery) => in_subquery(subquery, schema),
        Expr::ScalarFunction(call) if call.name() == "is_member" => is_member(call, schema),
        Expr::ScalarFunction(call) if call.name() == "nullif" => nullif(call, schema),
        expr => Ok(Transformed::no(expr)),
    }
}

/// Takes the blanks off a tested value and what it is compared with, where `char(n)` is.
fn beside(tested: Expr, others: Vec<&mut Expr>, schema: &DFSchema) -> (Expr, bool) {
    let padded = is_padded(&tested, schema);
    let mut changed = padded;
    let mut one_is_padded = false;
    for other in others {
        let other_is_padded = is_padded(other, schema);
        one_is_padded |= other_is_padded;
        if other_is_padded || (padded && is_unknown(other)) {
            *other = without_trailing_blanks(other.clone());
            changed = true;
        }
    }
    let tested = if padded || (one_is_padded && is_unknown(&tested)) {
        without_trailing_blanks(tested)
    } else {
        tested
    };
    (tested, changed)
}

/// `nullif(c, 'a')` compares as `=` does and gives `c` with its blanks.
fn nullif(call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let [value, other] = call.args.as_slice() else {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    };
    let mut compared = other.clone();
    let (tested, changed) = beside(value.clone(), vec![&mut compared], schema);
    if !changed {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    }
    let equal = BinaryExpr::new(Box::new(tested), Operator::Eq, Box::new(compared));
    let branch =
        (Box::new(Expr::BinaryExpr(equal)), Box::new(Expr::Literal(ScalarValue::Null, None)));
    let case = Expr::Case(Case::new(None, vec![branch], Some(Box::new(value.clone()))));
    let field = value.to_field(schema)?.1;
    let Some(name) = name_in_metadata(&field) else { return Ok(Transformed::yes(case)) };
    // A branch would lose what the value is.
    let target = named(field.data_type().clone(), name, modifier(&field));
    Ok(Transformed::yes(Expr::Cast(Cast::new_from_field(Box::new(case), Arc::new(target)))))
}

fn in_subquery(test: InSubquery, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let InSubquery { expr, subquery, negated } = test;
    let columns = subquery.subquery.schema().columns();
    let [column] = columns.as_slice() else {
        let test = InSubquery::new(expr, subquery, negated);
        return Ok(Transformed::no(Expr::InSubquery(test)));
    };
    let inner = Arc::clone(subquery.subquery.schema());
    let mut member = Expr::Column(column.clone());
    strict::must_compare(&expr, schema, &member, &inner)?;
    let member_is_padded = is_padded(&member, &inner);
    let expr_is_padded = is_padded(&expr, schema);
    if !member_is_padded && !expr_is_padded {
        let test = InSubquery::new(expr, subquery, negated);
        return Ok(Transformed::no(Expr::InSubquery(test)));
    }
    let unknown = is_unknown(&expr);
    let expr = if expr_is_padded || unknown { without_trailing_blanks(*expr) } else { *expr };
    let subquery = if member_is_padded {
        member = without_trailing_blanks(member).alias(column.name.clone());
        let plan = LogicalPlanBuilder::from(subquery.subquery).project([member])?.build()?;
        Subquery {
            subquery: Arc::new(plan),
            outer_ref_columns: subquery.outer_ref_columns,
            spans: Spans::new(),
        }
    } else {
        subquery
    };
    let test = InSubquery::new(Box::new(expr), subquery, negated);
    Ok(Transformed::yes(Expr::InSubquery(test)))
}

/// The same for `is_member(x, (SELECT array_agg(y) …))`, which IN becomes where it is a value.
fn is_member(mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let [tested, Expr::ScalarSubquery(list)] = call.args.as_mut_slice() else {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    };
    let Some((member, inner)) = collected(&list.subquery) else {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    };
    strict::must_compare(tested, schema, &member, &inner)?;
    let (tested_is_padded, member_is_padded) =
        (is_padded(tested, schema), is_padded(&member, &inner));
    if !tested_is_padded && !member_is_padded {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    }
    if tested_is_padded || is_unknown(tested) {
        *tested = without_trailing_blanks(tested.clone());
    }
    if member_is_padded {
        list.subquery = Arc::new(trimmed(list.subquery.as_ref().clone())?);
    }
    Ok(Transformed::yes(Expr::ScalarFunction(call)))
}

/// What a subquery collects, and the columns that it is made of.
fn collected(plan: &LogicalPlan) -> Option<(Expr, Arc<DFSchema>)> {
    match plan {
        LogicalPlan::Projection(projection) => collected(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => collected(&alias.input),
        LogicalPlan::Aggregate(aggregate) => {
            let argument = aggregate.aggr_expr.iter().find_map(array_agg)?.params.args.first()?;
            Some((argument.clone(), Arc::clone(aggregate.input.schema())))
        }
        _ => None,
    }
}

fn array_agg(expr: &Expr) -> Option<&AggregateFunction> {
    match expr {
        Expr::AggregateFunction(function) if function.func.name() == "array_agg" => Some(function),
        Expr::Alias(alias) => array_agg(&alias.expr),
        _ => None,
    }
}

/// The subquery with the blanks taken off what it collects.
fn trimmed(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut done = false;
    let result = plan.transform_down(|node| match node {
        LogicalPlan::Aggregate(aggregate) if !done => {
            done = true;
            let Aggregate { input, group_expr, aggr_expr, .. } = aggregate;
            let aggregates = aggr_expr.into_iter().map(|expr| {
                let name = expr.schema_name().to_string();
                let Some(function) = array_agg(&expr) else { return expr };
                let mut function = function.clone();
                if let Some(argument) = function.params.args.first_mut() {
                    *argument = without_trailing_blanks(argument.clone());
                }
                Expr::AggregateFunction(function).alias(name)
            });
            let aggregate = Aggregate::try_new(input, group_expr, aggregates.collect())?;
            let plan = LogicalPlan::Aggregate(aggregate);
            Ok(Transformed::new(plan, true, TreeNodeRecursion::Stop))
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(result.data)
}
