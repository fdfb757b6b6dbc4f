//! Columns of UNION, EXCEPT, INTERSECT and VALUES.
//!
//! ```text
//! SELECT 1 UNION SELECT '2'               SELECT 1 UNION SELECT 2
//! SELECT 1.5 EXCEPT SELECT d  (float8)    SELECT 1.5::float8 EXCEPT SELECT d
//! VALUES (1.5), (d)                       VALUES (1.5::float8), (d)
//! ```

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, NullEquality, Result};
use datafusion::logical_expr::{
    Distinct, Expr, ExprSchemable, Join, JoinType, LogicalPlan, Projection, Union, Values, cast,
};

use super::{chosen, convert, decimal, text_literal, unknown};
use crate::functions::numeric::planner::number;
use crate::widening::{common_float, meet, to_double, to_float};

/// Columns of literals take the type of the same column of the other queries, and `numeric` ones
/// that of a float.
pub(super) fn union(mut union: Union, is_retyped: bool) -> Result<Transformed<LogicalPlan>> {
    let n_columns = union.inputs.first().map_or(0, |input| input.schema().fields().len());
    let mut changed = false;
    let mut floats: Vec<Option<DataType>> = vec![None; n_columns];
    for (at, float) in floats.iter_mut().enumerate() {
        let literals: Vec<bool> =
            union.inputs.iter().map(|input| literal_of(input, at).is_some()).collect();
        let others = union.inputs.iter().zip(&literals).filter(|(_, literal)| !**literal);
        let types: Vec<DataType> = others
            .filter_map(|(input, _)| eventual(input, at))
            .filter(|t| *t != DataType::Null)
            .collect();
        *float = common_float(&types);
        if !literals.contains(&true) {
            continue;
        }
        let Some(target) = chosen(&types, true) else { continue };
        for input in &mut union.inputs {
            if let Some(projection) = with_literal(input, at, &target)? {
                *input = Arc::new(projection);
                changed = true;
            }
        }
    }
    if floats.iter().any(Option::is_some) {
        for input in &mut union.inputs {
            *input = with_types(Arc::clone(input), &floats)?;
        }
        return with_types_of_inputs(union);
    }
    if is_retyped {
        return with_types_of_inputs(union);
    }
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    LogicalPlan::Union(union).recompute_schema().map(Transformed::yes)
}

fn with_types_of_inputs(union: Union) -> Result<Transformed<LogicalPlan>> {
    let union = Union::try_new_with_loose_types(union.inputs)?;
    Ok(Transformed::yes(LogicalPlan::Union(union)))
}

/// The type of a column after the analysis, which makes one of several numbers only then.
pub(super) fn eventual(plan: &LogicalPlan, at: usize) -> Option<DataType> {
    let own = plan.schema().fields().get(at)?.data_type().clone();
    let below = match plan {
        LogicalPlan::Union(union) => {
            let types: Option<Vec<DataType>> =
                union.inputs.iter().map(|input| eventual(input, at)).collect();
            let types = types?;
            let mixed = types.iter().any(DataType::is_decimal)
                && types.iter().any(|data_type| !data_type.is_decimal());
            return Some(if mixed { decimal(&types).unwrap_or(own) } else { own });
        }
        LogicalPlan::Projection(node) => match node.expr.get(at)?.clone().unalias() {
            Expr::Column(column) => {
                eventual(&node.input, node.input.schema().maybe_index_of_column(&column)?)
            }
            _ => None,
        },
        LogicalPlan::SubqueryAlias(node) => eventual(&node.input, at),
        LogicalPlan::Sort(node) => eventual(&node.input, at),
        LogicalPlan::Limit(node) => eventual(&node.input, at),
        LogicalPlan::Filter(node) => eventual(&node.input, at),
        LogicalPlan::Distinct(Distinct::All(input)) => eventual(input, at),
        LogicalPlan::Join(node) if is_set_operation(node) => eventual(&node.left, at),
        _ => None,
    };
    Some(below.unwrap_or(own))
}

/// The planner makes such joins for EXCEPT and INTERSECT only.
fn is_set_operation(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftAnti | JoinType::LeftSemi)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.on.len() == join.left.schema().fields().len()
        && join.filter.is_none()
}

/// EXCEPT and INTERSECT: both sides have the common type, the left one before its rows are made
/// distinct. The keys of other joins are compared as `=` does.
pub(super) fn join(mut join: Join) -> Result<Transformed<LogicalPlan>> {
    if !is_set_operation(&join) {
        return keys(join);
    }
    let n_columns = join.left.schema().fields().len();
    let floats: Vec<Option<DataType>> = (0..n_columns)
        .map(|at| common_float(&[eventual(&join.left, at)?, eventual(&join.right, at)?]))
        .collect();
    if floats.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    join.left = match Arc::unwrap_or_clone(join.left) {
        LogicalPlan::Distinct(Distinct::All(input)) => {
            Arc::new(LogicalPlan::Distinct(Distinct::All(with_types(input, &floats)?)))
        }
        plan => with_types(Arc::new(plan), &floats)?,
    };
    join.right = with_types(join.right, &floats)?;
    LogicalPlan::Join(join).recompute_schema().map(Transformed::yes)
}

fn keys(mut join: Join) -> Result<Transformed<LogicalPlan>> {
    let mut changed = false;
    for (left, right) in &mut join.on {
        let types = (left.get_type(join.left.schema())?, right.get_type(join.right.schema())?);
        if meet(&types.0, &types.1) {
            *left = to_double(std::mem::take(left), &types.0);
            *right = to_double(std::mem::take(right), &types.1);
            changed = true;
        }
    }
    Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed))
}

/// A query with columns of other types, by the names that they have.
fn with_types(plan: Arc<LogicalPlan>, floats: &[Option<DataType>]) -> Result<Arc<LogicalPlan>> {
    let mut changed = false;
    let exprs = plan.schema().iter().zip(floats).map(|((qualifier, field), target)| {
        let column = Expr::Column(Column::from((qualifier, field)));
        match target {
            Some(target) if field.data_type() != target && !field.data_type().is_null() => {
                changed = true;
                let value = to_float(column, field.data_type(), target);
                value.alias_qualified(qualifier.cloned(), field.name())
            }
            _ => column,
        }
    });
    let exprs: Vec<Expr> = exprs.collect();
    if !changed {
        return Ok(plan);
    }
    Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(exprs, plan)?)))
}

/// VALUES whose cells the planner has made decimals, the floats among them too.
pub(super) fn values(values: Values) -> Result<Transformed<LogicalPlan>> {
    let Values { schema, values: mut rows } = values;
    let none = DFSchema::empty();
    let float_of = |at: usize, made: &DataType| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        let types: Result<Vec<_>> = cells.map(|cell| written(cell, made).get_type(&none)).collect();
        common_float(&types.ok()?)
    };
    let columns = schema.fields().iter().enumerate();
    let floats: Vec<Option<DataType>> = columns
        .map(|(at, field)| {
            let made = field.data_type();
            if made.is_decimal() { float_of(at, made) } else { None }
        })
        .collect();
    if floats.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Values(Values { schema, values: rows })));
    }
    for row in &mut rows {
        for ((cell, field), target) in row.iter_mut().zip(schema.fields()).zip(&floats) {
            let Some(target) = target else { continue };
            *cell = written(cell, field.data_type()).clone();
            convert(cell, target, &none)?;
        }
    }
    let fields = schema.iter().zip(&floats).map(|((qualifier, field), target)| {
        let data_type = target.as_ref().unwrap_or_else(|| field.data_type()).clone();
        (qualifier.cloned(), Arc::new(field.as_ref().clone().with_data_type(data_type)))
    });
    let schema = DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())?;
    let values = Values { schema: Arc::new(schema), values: rows };
    Ok(Transformed::yes(LogicalPlan::Values(values)))
}

/// A cell without the cast that the planner has put around it; casts that a statement has are told
/// by their name.
fn written<'a>(cell: &'a Expr, made: &DataType) -> &'a Expr {
    match cell {
        Expr::Cast(cast)
            if cast.field.name().is_empty()
                && cast.field.metadata().is_empty()
                && cast.field.data_type() == made =>
        {
            &cast.expr
        }
        cell => cell,
    }
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
