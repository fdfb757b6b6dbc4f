//! Comparisons that are not written as an operator, where a float meets `numeric`.
//!
//! ```text
//! d BETWEEN 1 AND 1.5        d BETWEEN 1::float8 AND 1.5::float8
//! CASE d WHEN 1.5 THEN …     CASE d WHEN 1.5::float8 THEN …
//! n IN (1.5, d)              n = 1.5 OR n::float8 = d              each by an operator of its own
//! nullif(r, 0.1)             nullif(r::float8, 0.1::float8)::real
//! r IN (0.1, 0.2)            r IN (0.1::real, 0.2::real)           but constants have a common type
//! ```

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, Case, InList, InSubquery, SetComparison};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, Subquery, not};

use super::sets::eventual;
use super::{common, convert, unknown};
use crate::widening::{beside_subquery, meet, to_double};

/// The type of an expression; `None` for a literal that has none yet.
fn known_type(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    if unknown(expr).is_some() {
        return None;
    }
    expr.get_type(schema).ok().filter(|data_type| !data_type.is_null())
}

/// The type of `nullif(x, y)` where both are compared as `double precision` and one of them is
/// something else: `real = double precision` is an operator, so that `real` is kept.
pub(super) fn nullif_type(args: &[Expr], schema: &DFSchema) -> Option<DataType> {
    let [left, right] = args else { return None };
    let (left, right) = (known_type(left, schema)?, known_type(right, schema)?);
    let kept = if left == DataType::Float32 { left.clone() } else { DataType::Float64 };
    meet(&left, &right).then_some(kept)
}

/// How a value is compared with several others.
enum Side {
    /// As it is with all of them.
    AsIs,
    /// All of them as `double precision`.
    Double,
    /// As `double precision` with some of them and exactly with others.
    Each,
}

fn side<'a>(
    tested: &Expr,
    mut others: impl Iterator<Item = &'a Expr> + Clone,
    schema: &DFSchema,
) -> Side {
    let Some(tested_type) = known_type(tested, schema) else { return Side::AsIs };
    let is_met = |other: &Expr| known_type(other, schema).is_some_and(|t| meet(&tested_type, &t));
    if !others.clone().any(is_met) {
        return Side::AsIs;
    }
    let all = tested_type.is_floating() || others.all(is_met) || tested.is_volatile();
    if all { Side::Double } else { Side::Each }
}

fn compare(left: Expr, op: Operator, right: Expr, schema: &DFSchema) -> Expr {
    let types = (known_type(&left, schema), known_type(&right, schema));
    let (left, right) = match types {
        (Some(l), Some(r)) if meet(&l, &r) => (to_double(left, &l), to_double(right, &r)),
        _ => (left, right),
    };
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

fn negated_if(negated: bool, expr: Expr) -> Expr {
    if negated { not(expr) } else { expr }
}

pub(super) fn between(mut between: Between, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let bounds = [&*between.low, &*between.high];
    let target = match side(&between.expr, bounds.into_iter(), schema) {
        Side::Double => Some(DataType::Float64),
        Side::AsIs => {
            let sides = [&*between.expr, &*between.low, &*between.high];
            common(sides.into_iter(), schema).filter(|t| !t.is_decimal())
        }
        Side::Each => {
            let Between { expr, negated, low, high } = between;
            let low = compare(expr.as_ref().clone(), Operator::GtEq, *low, schema);
            let within = low.and(compare(*expr, Operator::LtEq, *high, schema));
            return Ok(Transformed::yes(negated_if(negated, within)));
        }
    };
    let Some(target) = target else {
        return Ok(Transformed::no(Expr::Between(between)));
    };
    for side in [&mut between.expr, &mut between.low, &mut between.high] {
        convert(side, &target, schema)?;
    }
    Ok(Transformed::yes(Expr::Between(between)))
}

pub(super) fn in_list(mut list: InList, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let tested = known_type(&list.expr, schema);
    let is_double = tested.is_none_or(|t| t == DataType::Float64);
    if !is_double && !matches!(side(&list.expr, list.list.iter(), schema), Side::AsIs) {
        return each_in_list(list, schema).map(Transformed::yes);
    }
    let sides = std::iter::once(&*list.expr).chain(&list.list);
    let Some(target) = common(sides, schema).filter(|t| !t.is_decimal()) else {
        return Ok(Transformed::no(Expr::InList(list)));
    };
    for side in std::iter::once(list.expr.as_mut()).chain(&mut list.list) {
        convert(side, &target, schema)?;
    }
    Ok(Transformed::yes(Expr::InList(list)))
}

/// Several constants have one type with what is tested; other elements are compared one by one.
fn each_in_list(list: InList, schema: &DFSchema) -> Result<Expr> {
    let InList { expr: tested, list, negated } = list;
    let is_constant = |element: &Expr| element.column_refs().is_empty();
    let (mut constants, others): (Vec<_>, Vec<_>) = list.into_iter().partition(is_constant);
    let mut terms = Vec::new();
    if constants.len() > 1 {
        let constants = std::mem::take(&mut constants);
        let mut part = InList::new(tested.clone(), constants, false);
        let sides = std::iter::once(&*part.expr).chain(&part.list);
        if let Some(target) = common(sides, schema).filter(|t| !t.is_decimal()) {
            for side in std::iter::once(part.expr.as_mut()).chain(&mut part.list) {
                convert(side, &target, schema)?;
            }
        }
        terms.push(Expr::InList(part));
    }
    let single = constants.into_iter().chain(others);
    terms.extend(
        single.map(|element| compare(tested.as_ref().clone(), Operator::Eq, element, schema)),
    );
    let found = terms.into_iter().reduce(Expr::or);
    let found = found.unwrap_or(Expr::Literal(ScalarValue::Boolean(Some(false)), None));
    Ok(negated_if(negated, found))
}

/// `CASE x WHEN y`; whether it has changed.
pub(super) fn case(mut case: Case, schema: &DFSchema) -> Result<(Case, bool)> {
    let Some(mut tested) = case.expr.take() else { return Ok((case, false)) };
    let whens = case.when_then_expr.iter().map(|(when, _)| when.as_ref());
    let changed = match side(&tested, whens, schema) {
        Side::AsIs => false,
        Side::Double => {
            convert(&mut tested, &DataType::Float64, schema)?;
            for (when, _) in &mut case.when_then_expr {
                convert(when, &DataType::Float64, schema)?;
            }
            true
        }
        Side::Each => {
            let branches = case.when_then_expr.into_iter().map(|(when, then)| {
                let test = compare(tested.as_ref().clone(), Operator::Eq, *when, schema);
                (Box::new(test), then)
            });
            return Ok((Case::new(None, branches.collect(), case.else_expr), true));
        }
    };
    case.expr = Some(tested);
    Ok((case, changed))
}

pub(super) fn in_subquery(mut test: InSubquery, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Some((tested, subquery)) = beside(&test.expr, &test.subquery, schema)? else {
        return Ok(Transformed::no(Expr::InSubquery(test)));
    };
    (*test.expr, test.subquery) = (tested, subquery);
    Ok(Transformed::yes(Expr::InSubquery(test)))
}

pub(super) fn set_comparison(
    mut test: SetComparison,
    schema: &DFSchema,
) -> Result<Transformed<Expr>> {
    let Some((tested, subquery)) = beside(&test.expr, &test.subquery, schema)? else {
        return Ok(Transformed::no(Expr::SetComparison(test)));
    };
    (*test.expr, test.subquery) = (tested, subquery);
    Ok(Transformed::yes(Expr::SetComparison(test)))
}

fn beside(
    tested: &Expr,
    subquery: &Subquery,
    schema: &DFSchema,
) -> Result<Option<(Expr, Subquery)>> {
    match (known_type(tested, schema), eventual(&subquery.subquery, 0)) {
        (Some(left), Some(right)) => beside_subquery(tested, subquery, (&left, &right)),
        _ => Ok(None),
    }
}
