//! PostgreSQL's rules for types that must agree, before DataFusion makes them agree by itself.
//!
//! ```text
//! id = name                       42883  operator does not exist: integer = text
//! CASE WHEN id THEN …             42804  argument of CASE/WHEN must be type boolean, not type integer
//! coalesce(id, name)              42804  COALESCE types integer and text cannot be matched
//! SELECT id … UNION SELECT name   42804  UNION types integer and text cannot be matched
//! coalesce(1, '2')                coalesce(1, CAST('2' AS integer))
//! ```
//!
//! A plain string literal has no type yet and takes that of the others. It runs before type
//! coercion, where literals are still told from text.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, Projection, Union, cast,
};
use datafusion::optimizer::AnalyzerRule;

use super::expressions::map_named_where;
use crate::chain_type::{is_condition, type_of};
use crate::functions::fault::fault;
use crate::functions::frame::type_name;

/// Refuses what PostgreSQL does not convert, and gives literals their types.
#[derive(Debug, Default)]
pub struct StrictTypes;

impl AnalyzerRule for StrictTypes {
    fn name(&self) -> &'static str {
        "strict_types"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(node).map(|result| result.data)
    }
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if let LogicalPlan::Union(union) = plan {
        return set_operation(union);
    }
    let mut found = false;
    plan.apply_expressions(|expr| {
        found = found || concerns(expr);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !found {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    let result = map_named_where(plan, concerns, |expr| expression(expr, &schema))?;
    if result.transformed { result.map_data(LogicalPlan::recompute_schema) } else { Ok(result) }
}

/// Whether an expression has a construct with a rule.
fn concerns(expr: &Expr) -> bool {
    expr.exists(|expr| {
        Ok(match expr {
            Expr::Case(_) => true,
            Expr::BinaryExpr(binary) => is_logical(binary.op) || is_comparison(binary.op),
            Expr::ScalarFunction(function) => common_type_of(function).is_some(),
            Expr::AggregateFunction(function) => function.params.filter.is_some(),
            _ => false,
        })
    })
    .unwrap_or(false)
}

fn is_logical(op: Operator) -> bool {
    matches!(op, Operator::And | Operator::Or)
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// What PostgreSQL calls a function whose arguments have one type.
fn common_type_of(function: &ScalarFunction) -> Option<&'static str> {
    match function.name() {
        "coalesce" => Some("COALESCE"),
        "greatest" => Some("GREATEST"),
        "least" => Some("LEAST"),
        _ => None,
    }
}

fn expression(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(binary) if is_logical(binary.op) => {
            let clause = if binary.op == Operator::And { "AND" } else { "OR" };
            must_be_boolean(&binary.left, schema, clause)?;
            must_be_boolean(&binary.right, schema, clause)?;
            Ok(Transformed::no(Expr::BinaryExpr(binary)))
        }
        Expr::BinaryExpr(binary) if is_comparison(binary.op) => {
            comparison(&binary, schema)?;
            Ok(Transformed::no(Expr::BinaryExpr(binary)))
        }
        Expr::Case(case) => case_types(case, schema),
        Expr::AggregateFunction(function) => {
            if let Some(filter) = &function.params.filter {
                must_be_boolean(filter, schema, "FILTER")?;
            }
            Ok(Transformed::no(Expr::AggregateFunction(function)))
        }
        Expr::ScalarFunction(function) if let Some(name) = common_type_of(&function) => {
            let (args, changed) = unify(function.args, schema, name)?;
            let function = ScalarFunction { func: function.func, args };
            Ok(Transformed::new_transformed(Expr::ScalarFunction(function), changed))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Types that PostgreSQL converts into each other by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Category {
    Number,
    Text,
    Boolean,
    DateTime,
    /// A literal or parameter that takes the type of others.
    Unknown,
    Other,
}

fn category(data_type: &DataType) -> Category {
    match data_type {
        DataType::Null => Category::Unknown,
        DataType::Boolean => Category::Boolean,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Category::Text,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Category::DateTime,
        other if other.is_numeric() => Category::Number,
        _ => Category::Other,
    }
}

fn is_unknown(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => {
            matches!(category(&value.data_type()), Category::Text | Category::Unknown)
        }
        Expr::Placeholder(_) => true,
        Expr::Alias(alias) => is_unknown(&alias.expr),
        _ => false,
    }
}

/// The field of an operand and what it converts to; `None` where nothing is known.
fn typed(expr: &Expr, schema: &DFSchema) -> Option<(FieldRef, Category)> {
    // Not asked of DataFusion, which names all that is below: a chain of ORs asks at each link.
    if is_condition(expr) {
        return Some((Arc::new(Field::new("", DataType::Boolean, true)), Category::Boolean));
    }
    // An expression without a type yet fails later with an error of its own.
    let field = match expr {
        Expr::BinaryExpr(_) => Arc::new(Field::new("", type_of(expr, schema).ok()?, true)),
        _ => expr.to_field(schema).ok()?.1,
    };
    let category = if is_unknown(expr) { Category::Unknown } else { category(field.data_type()) };
    Some((field, category))
}

fn must_be_boolean(expr: &Expr, schema: &DFSchema, clause: &str) -> Result<()> {
    match typed(expr, schema) {
        Some((_, Category::Boolean | Category::Unknown)) | None => Ok(()),
        Some((field, _)) => Err(fault(
            "42804",
            format!("argument of {clause} must be type boolean, not type {}", type_name(&field)),
        )),
    }
}

fn comparison(binary: &BinaryExpr, schema: &DFSchema) -> Result<()> {
    let (Some(left), Some(right)) = (typed(&binary.left, schema), typed(&binary.right, schema))
    else {
        return Ok(());
    };
    let op = match binary.op {
        Operator::NotEq => "<>".to_owned(),
        op => op.to_string(),
    };
    mismatch(left, right, &op)
}

/// 42883 where `=` does not take an expression and a column of a subquery, whose literals are text.
pub(super) fn must_compare(
    expr: &Expr,
    schema: &DFSchema,
    member: &Expr,
    inner: &DFSchema,
) -> Result<()> {
    let (Some(left), Some((right, _))) = (typed(expr, schema), typed(member, inner)) else {
        return Ok(());
    };
    let of_right = category(right.data_type());
    mismatch(left, (right, of_right), "=")
}

fn mismatch(
    (left, of_left): (FieldRef, Category),
    (right, of_right): (FieldRef, Category),
    op: &str,
) -> Result<()> {
    use Category::{Boolean, DateTime, Number, Text};
    let mismatch = of_left != of_right
        && [of_left, of_right].iter().all(|c| matches!(c, Number | Text | Boolean | DateTime));
    if !mismatch {
        return Ok(());
    }
    let message =
        format!("operator does not exist: {} {op} {}", type_name(&left), type_name(&right));
    Err(fault("42883", message))
}

fn case_types(mut case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if case.expr.is_none() {
        for (condition, _) in &case.when_then_expr {
            must_be_boolean(condition, schema, "CASE/WHEN")?;
        }
    }
    // PostgreSQL looks at ELSE first.
    let n_else = usize::from(case.else_expr.is_some());
    let mut branches: Vec<Expr> = case.else_expr.take().map(|expr| *expr).into_iter().collect();
    branches.extend(case.when_then_expr.iter().map(|(_, then)| then.as_ref().clone()));
    let (branches, changed) = unify(branches, schema, "CASE")?;
    let mut branches = branches.into_iter();
    if n_else > 0 {
        case.else_expr = branches.next().map(Box::new);
    }
    for ((_, then), branch) in case.when_then_expr.iter_mut().zip(branches) {
        **then = branch;
    }
    Ok(Transformed::new_transformed(Expr::Case(case), changed))
}

/// The type that literals take among others: the first one, of numbers the widest.
fn resolved(fields: &[Option<(FieldRef, Category)>], what: &str) -> Result<Option<FieldRef>> {
    let mut found: Option<(FieldRef, Category)> = None;
    for (field, category) in fields.iter().flatten() {
        if *category == Category::Unknown {
            continue;
        }
        match &found {
            None => found = Some((Arc::clone(field), *category)),
            Some((first, of_first)) if of_first == category => {
                if rank(field.data_type()) > rank(first.data_type()) {
                    found = Some((Arc::clone(field), *category));
                }
            }
            Some((_, Category::Other)) => {}
            Some((first, _)) if *category != Category::Other => {
                let message = format!(
                    "{what} types {} and {} cannot be matched",
                    type_name(first),
                    type_name(field)
                );
                return Err(fault("42804", message));
            }
            Some(_) => {}
        }
    }
    Ok(found.map(|(field, _)| field))
}

fn rank(data_type: &DataType) -> u8 {
    match data_type {
        DataType::Int8 | DataType::UInt8 => 1,
        DataType::Int16 | DataType::UInt16 => 2,
        DataType::Int32 => 3,
        DataType::UInt32 | DataType::Int64 => 4,
        DataType::UInt64 => 5,
        DataType::Decimal128(..) | DataType::Decimal256(..) => 6,
        DataType::Float32 => 7,
        DataType::Float64 => 8,
        _ => 0,
    }
}

fn unify(exprs: Vec<Expr>, schema: &DFSchema, what: &str) -> Result<(Vec<Expr>, bool)> {
    let fields: Vec<_> = exprs.iter().map(|expr| typed(expr, schema)).collect();
    let Some(target) = resolved(&fields, what)? else { return Ok((exprs, false)) };
    if category(target.data_type()) == Category::Text {
        return Ok((exprs, false));
    }
    let mut changed = false;
    let exprs = exprs.into_iter().map(|expr| match is_text_literal(&expr) {
        true => {
            changed = true;
            cast(expr, target.data_type().clone())
        }
        false => expr,
    });
    let exprs = exprs.collect();
    Ok((exprs, changed))
}

fn is_text_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => {
            category(&value.data_type()) == Category::Text && !value.is_null()
        }
        Expr::Alias(alias) => is_text_literal(&alias.expr),
        _ => false,
    }
}

/// A UNION: literals in the select lists of its branches take the type of the others.
fn set_operation(union: Union) -> Result<Transformed<LogicalPlan>> {
    let n_columns = union.schema.fields().len();
    let mut targets: Vec<Option<FieldRef>> = Vec::with_capacity(n_columns);
    let mut literals = false;
    for at in 0..n_columns {
        let fields: Vec<_> = union
            .inputs
            .iter()
            .map(|input| {
                let field = Arc::clone(input.schema().fields().get(at)?);
                let literal = output(input, at).is_some_and(is_unknown);
                let of = if literal { Category::Unknown } else { category(field.data_type()) };
                literals = literals || output(input, at).is_some_and(is_text_literal);
                Some((field, of))
            })
            .collect();
        targets.push(resolved(&fields, "UNION")?);
    }
    if !literals {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let mut changed = false;
    let mut inputs = Vec::with_capacity(union.inputs.len());
    for input in &union.inputs {
        let (input, cast) = typed_branch(input, &targets)?;
        changed = changed || cast;
        inputs.push(input);
    }
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let union = Union::try_new_with_loose_types(inputs)?;
    Ok(Transformed::yes(LogicalPlan::Union(union)))
}

/// The expression of a branch's output.
fn output(input: &LogicalPlan, at: usize) -> Option<&Expr> {
    match input {
        LogicalPlan::Projection(projection) => projection.expr.get(at),
        _ => None,
    }
}

fn typed_branch(
    input: &Arc<LogicalPlan>,
    targets: &[Option<FieldRef>],
) -> Result<(Arc<LogicalPlan>, bool)> {
    let LogicalPlan::Projection(projection) = input.as_ref() else {
        return Ok((Arc::clone(input), false));
    };
    let mut changed = false;
    let exprs = projection.expr.iter().zip(projection.schema.iter()).zip(targets).map(
        |((expr, (qualifier, field)), target)| {
            let Some(target) = target else { return expr.clone() };
            if !is_text_literal(expr) || category(target.data_type()) == Category::Text {
                return expr.clone();
            }
            changed = true;
            let plain = match expr {
                Expr::Alias(alias) => alias.expr.as_ref().clone(),
                other => other.clone(),
            };
            cast(plain, target.data_type().clone())
                .alias_qualified(qualifier.cloned(), field.name())
        },
    );
    let exprs: Vec<Expr> = exprs.collect();
    let plan = Projection::try_new(exprs, Arc::clone(&projection.input))?;
    Ok((Arc::new(LogicalPlan::Projection(plan)), changed))
}

/// A field for a type alone.
pub(crate) fn name_of_type(data_type: &DataType) -> String {
    type_name(&Field::new("", data_type.clone(), true))
}
