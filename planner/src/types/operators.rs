//! Operators on arrays, `json`, `uuid` and literals of unknown type.
//!
//! This is decided while the tree becomes a plan, where it is still known which literal has no
//! type of its own:
//!
//! ```text
//! id = 'f81d…'               uuid = unknown       id = CAST('f81d…' AS uuid)
//! a = '{1,2}', '{1}' || a    integer[]            a = CAST('{1,2}' AS integer[])
//! a @> b, a && b, a < b      arrays               array_contains_all(a, b), …
//! x = ANY (a)                                     any_eq(x, a)
//! d -> 'k', d ->> 1, d @> e  json, jsonb          json_get(d, 'k'), …
//! ```

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, Placeholder, ScalarFunction};
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr, RawFieldAccessExpr, RawWindowExpr,
};
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, ExprSchemable, GetFieldAccess, Operator, ScalarUDF, not,
};
use sqlparser::ast::BinaryOperator;
use tarn_catalog::pg_type::{Json, format_type, json_kind, json_type, pg_type_of};

use super::{is_text, name_in_metadata, target};
use crate::functions::array::frame::{common_leaf, depth, leaf, list_of};
use crate::functions::array::{self, ALL, ANY, quantified};
use crate::functions::fault::fault;
use crate::functions::{json, quantified_like};
use crate::widening;

/// Plans operators whose meaning depends on types that DataFusion does not know.
#[derive(Debug)]
pub(crate) struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        if let BinaryOperator::Custom(name) = &expr.op {
            if let Some(op) = name.strip_prefix(ANY) {
                return plan_quantified(op, true, expr.left, expr.right, schema);
            }
            if let Some(op) = name.strip_prefix(ALL) {
                return plan_quantified(op, false, expr.left, expr.right, schema);
            }
            return match name.as_str() {
                DISTINCT => plan_distinct(expr, Operator::IsDistinctFrom, schema),
                NOT_DISTINCT => plan_distinct(expr, Operator::IsNotDistinctFrom, schema),
                _ => Ok(PlannerResult::Original(expr)),
            };
        }
        if !is_planned(&expr.op) {
            return Ok(PlannerResult::Original(expr));
        }
        let expr = concatenated_parameters(expr);
        let (Ok(left), Ok(right)) = (field_of(&expr.left, schema), field_of(&expr.right, schema))
        else {
            return Ok(PlannerResult::Original(expr));
        };
        if is_json(&left) || is_json(&right) || is_json_operator(&expr.op) {
            return plan_json(expr, &left, &right);
        }
        let expr = resolve_unknown(expr, &left, &right);
        let left = field_of(&expr.left, schema)?;
        let right = field_of(&expr.right, schema)?;
        if depth(left.data_type()) > 0 || depth(right.data_type()) > 0 {
            return plan_array(expr, &left, &right);
        }
        let expr = concatenated_bytes(expr, &left, &right);
        Ok(PlannerResult::Original(without_blanks(expr, &left, &right)))
    }

    fn plan_aggregate(
        &self,
        mut expr: RawAggregateExpr,
    ) -> Result<PlannerResult<RawAggregateExpr>> {
        // PostgreSQL sorts to find what is distinct, and the order shows.
        let sorted = expr.distinct && expr.order_by.is_empty();
        if sorted
            && expr.func.name() == "string_agg"
            && let Some(first) = expr.args.first()
        {
            expr.order_by.push(first.clone().sort(true, false));
        }
        let delimiter = delimiter_of(&mut expr);
        let finish = match &delimiter {
            Some(_) => Some(array::by_name("array_to_string")),
            None => json_finish(expr.func.name(), &mut expr.args),
        };
        if finish.is_none() && !(sorted && expr.func.name() == "array_agg") {
            return Ok(PlannerResult::Original(expr));
        }
        let mut collected = Expr::AggregateFunction(AggregateFunction::new_udf(
            datafusion::functions_aggregate::array_agg::array_agg_udaf(),
            expr.args,
            expr.distinct,
            expr.filter,
            expr.order_by,
            expr.null_treatment,
        ));
        if sorted {
            let word = |text: &str| Expr::Literal(ScalarValue::from(text), None);
            let function = datafusion::functions_nested::sort::array_sort_udf();
            let args = vec![collected, word("ASC"), word("NULLS LAST")];
            collected = Expr::ScalarFunction(ScalarFunction::new_udf(function, args));
        }
        Ok(match finish {
            Some(function) => planned(function, [collected].into_iter().chain(delimiter).collect()),
            None => PlannerResult::Planned(collected),
        })
    }

    fn plan_window(&self, mut expr: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        prepare_json(expr.func_def.name(), &mut expr.args);
        Ok(PlannerResult::Original(expr))
    }

    fn plan_array_literal(
        &self,
        exprs: Vec<Expr>,
        schema: &DFSchema,
    ) -> Result<PlannerResult<Vec<Expr>>> {
        plan_array_literal(exprs, schema)
    }

    fn plan_field_access(
        &self,
        expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let field = expr.expr.to_field(schema)?.1;
        let RawFieldAccessExpr { expr: base, field_access } = expr;
        if is_json(&field) {
            return plan_json_subscript(base, field_access);
        }
        match field_access {
            GetFieldAccess::ListIndex { key } if is_array(&field) || is_subscripted(&base) => {
                Ok(PlannerResult::Planned(subscript(base, *key)))
            }
            GetFieldAccess::ListRange { start, stop, .. } if is_array(&field) => {
                let function = array_function("array_slice");
                Ok(planned(function, vec![base, *start, *stop]))
            }
            GetFieldAccess::ListIndex { .. } | GetFieldAccess::ListRange { .. }
                if !matches!(field.data_type(), DataType::Map(..) | DataType::Struct(_)) =>
            {
                let name = format_type(pg_type_of(&field).oid, None);
                let message = format!(
                    "cannot subscript type {name} because it does not support subscripting"
                );
                Err(fault("42804", message))
            }
            field_access => {
                Ok(PlannerResult::Original(RawFieldAccessExpr { expr: base, field_access }))
            }
        }
    }
}

/// `string_agg(x, d ORDER BY y)` is the text of an `array_agg` without NULLs, each of which sorts
/// for itself: of `string_agg` itself the engine takes one order in a SELECT. Gives the delimiter.
fn delimiter_of(expr: &mut RawAggregateExpr) -> Option<Expr> {
    let [value, Expr::Literal(..)] = expr.args.as_slice() else { return None };
    if expr.func.name() != "string_agg" || expr.distinct || expr.order_by.is_empty() {
        return None;
    }
    let present = value.clone().is_not_null();
    expr.filter = Some(Box::new(match expr.filter.take() {
        Some(filter) => filter.and(present),
        None => present,
    }));
    expr.args.pop()
}

/// `json_agg(x)` is the JSON of `array_agg(x)`, which knows all about order and NULLs.
fn json_finish(name: &str, args: &mut Vec<Expr>) -> Option<Arc<ScalarUDF>> {
    let function = match name {
        "json_agg" => "json_of_list",
        "jsonb_agg" => "jsonb_of_list",
        "json_object_agg" => "json_of_pairs",
        "jsonb_object_agg" => "jsonb_of_pairs",
        _ => return None,
    };
    if name.ends_with("object_agg") {
        let pair = std::mem::take(args);
        let function = datafusion::functions::core::r#struct();
        args.push(Expr::ScalarFunction(ScalarFunction::new_udf(function, pair)));
    }
    Some(json::by_name(function))
}

/// Aggregates do not know the session, so that values become JSON before they get there.
fn prepare_json(name: &str, args: &mut [Expr]) {
    let take = |arg: &mut Expr| std::mem::replace(arg, Expr::Literal(ScalarValue::Null, None));
    let to_json = |arg: &mut Expr| {
        let function = json::by_name("to_json");
        *arg = Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![take(arg)]));
    };
    match (name, args) {
        ("json_agg" | "jsonb_agg", [value]) => to_json(value),
        ("json_object_agg" | "jsonb_object_agg", [key, value]) => {
            *key = Expr::Cast(Cast::new(Box::new(take(key)), DataType::Utf8));
            to_json(value);
        }
        _ => {}
    }
}

/// `ARRAY[…]`: literals of unknown type become what the others are.
fn plan_array_literal(exprs: Vec<Expr>, schema: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
    if exprs.is_empty() {
        return Err(fault("42P18", "cannot determine type of empty array"));
    }
    let types = exprs.iter().map(|expr| expr.get_type(schema)).collect::<Result<Vec<_>>>()?;
    let known: Vec<&DataType> = exprs
        .iter()
        .zip(&types)
        .filter(|(expr, data_type)| !is_unknown(expr) && **data_type != DataType::Null)
        .map(|(_, data_type)| data_type)
        .collect();
    let common = common_leaf(&known)?;
    let inner = known.iter().map(|data_type| depth(data_type)).max().unwrap_or(0);
    let element = list_of(&common, inner);
    let args = exprs.into_iter().zip(&types).map(|(expr, data_type)| {
        if is_unknown(&expr) {
            with_type(expr, &element)
        } else if *data_type == element {
            expr
        } else {
            Expr::Cast(Cast::new(Box::new(expr), element.clone()))
        }
    });
    Ok(planned(datafusion::functions_nested::make_array::make_array_udf(), args.collect()))
}

/// The name of the operator that stands for `IS DISTINCT FROM`.
pub(crate) const DISTINCT: &str = "is distinct from";
/// The name of the operator that stands for `IS NOT DISTINCT FROM`.
pub(crate) const NOT_DISTINCT: &str = "is not distinct from";

fn plan_distinct(
    expr: RawBinaryExpr,
    op: Operator,
    schema: &DFSchema,
) -> Result<PlannerResult<RawBinaryExpr>> {
    let equality = RawBinaryExpr { op: BinaryOperator::Eq, ..expr };
    let left = equality.left.to_field(schema)?.1;
    let right = equality.right.to_field(schema)?.1;
    let (left, right) = if is_json(&left) || is_json(&right) {
        let text = |side: Expr| {
            let jsonb = json_type(Json::Binary);
            let side = if is_unknown(&side) { with_type(side, &jsonb) } else { side };
            with_type(side, &DataType::Utf8)
        };
        (text(equality.left), text(equality.right))
    } else {
        let resolved = resolve_unknown(equality, &left, &right);
        (resolved.left, resolved.right)
    };
    let (left, right) = (Box::new(left), Box::new(right));
    Ok(PlannerResult::Planned(Expr::BinaryExpr(BinaryExpr::new(left, op, right))))
}

/// The operators that this module has something to say of; chains of AND, OR and arithmetic can
/// be long and are left alone.
fn is_planned(op: &BinaryOperator) -> bool {
    is_comparison(op)
        || is_json_operator(op)
        || matches!(
            op,
            BinaryOperator::StringConcat
                | BinaryOperator::Minus
                | BinaryOperator::AtArrow
                | BinaryOperator::ArrowAt
                | BinaryOperator::AtAt
                | BinaryOperator::PGOverlap
                | BinaryOperator::PGLikeMatch
                | BinaryOperator::PGILikeMatch
        )
}

/// The field of an operand.
///
/// The results of operators have no metadata, and naming one would write out all that is below.
fn field_of(expr: &Expr, schema: &DFSchema) -> Result<Arc<Field>> {
    match expr {
        Expr::BinaryExpr(_) => {
            Ok(Arc::new(Field::new("", crate::chain_type::type_of(expr, schema)?, true)))
        }
        Expr::ScalarFunction(call) if call.name().starts_with("checked_") => {
            Ok(Arc::new(Field::new("", expr.get_type(schema)?, true)))
        }
        _ => Ok(expr.to_field(schema)?.1),
    }
}

/// Whether a field is `json` or `jsonb`, by its type or by its metadata.
pub(crate) fn is_json(field: &Field) -> bool {
    json_kind(field.data_type()).is_some()
        || matches!(name_in_metadata(field), Some("json" | "jsonb"))
}

/// Whether an expression is a literal or parameter whose type is not known yet.
pub(crate) fn is_unknown(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Utf8(_) | ScalarValue::Null, metadata) => {
            metadata.as_ref().is_none_or(|metadata| metadata.is_empty())
        }
        Expr::Placeholder(parameter) => parameter.field.is_none(),
        Expr::Alias(alias) => is_unknown(&alias.expr),
        _ => false,
    }
}

/// Gives a literal or parameter of unknown type a type.
pub(crate) fn with_type(expr: Expr, data_type: &DataType) -> Expr {
    match expr {
        Expr::Placeholder(parameter) => {
            let field = Field::new("", data_type.clone(), true);
            Expr::Placeholder(Placeholder { id: parameter.id, field: Some(Arc::new(field)) })
        }
        Expr::Literal(ScalarValue::Null, _) => {
            Expr::Literal(ScalarValue::try_from(data_type).unwrap_or(ScalarValue::Null), None)
        }
        expr => {
            Expr::Cast(Cast::new_from_field(Box::new(expr), Arc::new(target(data_type.clone()))))
        }
    }
}

fn planned<T>(function: Arc<ScalarUDF>, args: Vec<Expr>) -> PlannerResult<T> {
    PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, args)))
}

/// Types that a literal takes from the other operand and that DataFusion would not give it.
fn resolves_unknown(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::FixedSizeBinary(12 | 16)
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::Boolean
            | DataType::List(_)
            | DataType::LargeList(_)
            | DataType::UInt32
    )
}

/// `$1 || $2` is of texts.
fn concatenated_parameters(mut expr: RawBinaryExpr) -> RawBinaryExpr {
    let free = |side: &Expr| matches!(side, Expr::Placeholder(p) if p.field.is_none());
    let both = is_unknown(&expr.left) && is_unknown(&expr.right);
    if expr.op == BinaryOperator::StringConcat && both {
        for side in [&mut expr.left, &mut expr.right] {
            if free(side) {
                let taken = std::mem::replace(side, Expr::Literal(ScalarValue::Null, None));
                *side = with_type(taken, &DataType::Utf8);
            }
        }
    }
    expr
}

/// `text || uuid` is of texts; the engine writes no text of values that it holds as bytes.
fn concatenated_bytes(mut expr: RawBinaryExpr, left: &Field, right: &Field) -> RawBinaryExpr {
    let held_as_bytes = |field: &Field| matches!(field.data_type(), DataType::FixedSizeBinary(_));
    if expr.op != BinaryOperator::StringConcat {
        return expr;
    }
    for (side, field, other) in [(&mut expr.left, left, right), (&mut expr.right, right, left)] {
        if held_as_bytes(field) && is_text(other.data_type()) {
            let taken = std::mem::replace(side, Expr::Literal(ScalarValue::Null, None));
            *side = with_type(taken, &DataType::Utf8);
        }
    }
    expr
}

fn resolve_unknown(mut expr: RawBinaryExpr, left: &Field, right: &Field) -> RawBinaryExpr {
    let comparison = is_comparison(&expr.op);
    let array_operator = matches!(
        expr.op,
        BinaryOperator::AtArrow
            | BinaryOperator::ArrowAt
            | BinaryOperator::PGOverlap
            | BinaryOperator::StringConcat
    );
    let applies = |data_type: &DataType| {
        (comparison && resolves_unknown(data_type)) || (array_operator && depth(data_type) > 0)
    };
    if is_unknown(&expr.left) && applies(right.data_type()) {
        expr.left = with_type(expr.left, &plain_list(right.data_type()));
    } else if is_unknown(&expr.right) && applies(left.data_type()) {
        expr.right = with_type(expr.right, &plain_list(left.data_type()));
    }
    expr
}

/// The type with lists of the ordinary kind.
fn plain_list(data_type: &DataType) -> DataType {
    if depth(data_type) > 0 {
        list_of(leaf(data_type), depth(data_type))
    } else {
        data_type.clone()
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

/// Comparisons of `char(n)` do not see the blanks at the end.
fn without_blanks(mut expr: RawBinaryExpr, left: &Field, right: &Field) -> RawBinaryExpr {
    let padded = |field: &Field| name_in_metadata(field) == Some("bpchar");
    let matching = matches!(
        expr.op,
        BinaryOperator::StringConcat | BinaryOperator::PGLikeMatch | BinaryOperator::PGILikeMatch
    );
    if !(is_comparison(&expr.op) || matching) {
        return expr;
    }
    let both = !matching;
    let trim = without_trailing_blanks;
    let (left_padded, right_padded) = (padded(left), padded(right));
    if left_padded || (both && right_padded && is_unknown(&expr.left)) {
        expr.left = trim(expr.left);
    }
    if right_padded || (both && left_padded && is_unknown(&expr.right)) {
        expr.right = trim(expr.right);
    }
    expr
}

/// `rtrim(x, ' ')`.
pub(crate) fn without_trailing_blanks(expr: Expr) -> Expr {
    let function = datafusion::functions::string::rtrim();
    let blank = Expr::Literal(ScalarValue::from(" "), None);
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expr, blank]))
}

fn array_function(name: &str) -> Arc<ScalarUDF> {
    array::by_name(name)
}

fn is_array(field: &Field) -> bool {
    depth(field.data_type()) > 0
}

fn is_subscripted(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.name() == "array_element")
}

/// A second subscript belongs to the same access: `a[1][2]`.
fn subscript(base: Expr, key: Expr) -> Expr {
    if let Expr::ScalarFunction(mut call) = base {
        if call.name() == "array_element" {
            call.args.push(key);
            return Expr::ScalarFunction(call);
        }
        return subscript_of(Expr::ScalarFunction(call), key);
    }
    subscript_of(base, key)
}

fn subscript_of(base: Expr, key: Expr) -> Expr {
    let function = array_function("array_element");
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![base, key]))
}

fn plan_array(
    expr: RawBinaryExpr,
    left: &Field,
    right: &Field,
) -> Result<PlannerResult<RawBinaryExpr>> {
    let (l, r) = (depth(left.data_type()), depth(right.data_type()));
    let both = l > 0 && r > 0;
    let name = match expr.op {
        BinaryOperator::StringConcat if both => "array_cat",
        BinaryOperator::StringConcat if l > 0 => "array_append",
        BinaryOperator::StringConcat => "array_prepend",
        BinaryOperator::AtArrow if both => "array_contains_all",
        BinaryOperator::ArrowAt if both => "array_contained",
        BinaryOperator::PGOverlap if both => "array_overlaps",
        BinaryOperator::Eq if both => "array_eq",
        BinaryOperator::NotEq if both => "array_ne",
        BinaryOperator::Lt if both => "array_lt",
        BinaryOperator::LtEq if both => "array_le",
        BinaryOperator::Gt if both => "array_gt",
        BinaryOperator::GtEq if both => "array_ge",
        _ => return Err(no_operator(&expr.op, left, right)),
    };
    Ok(planned(array_function(name), vec![expr.left, expr.right]))
}

/// PostgreSQL's words for operands that no operator takes.
pub(crate) fn no_operator(
    op: &BinaryOperator,
    left: &Field,
    right: &Field,
) -> datafusion::error::DataFusionError {
    let name = |field: &Field| format_type(pg_type_of(field).oid, None);
    fault("42883", format!("operator does not exist: {} {op} {}", name(left), name(right)))
}

fn plan_quantified(
    op: &str,
    any: bool,
    left: Expr,
    right: Expr,
    schema: &DFSchema,
) -> Result<PlannerResult<RawBinaryExpr>> {
    let left_type = left.get_type(schema)?;
    let right_type = right.get_type(schema)?;
    let (left, right) = if is_unknown(&right) && !is_unknown(&left) {
        (left, with_type(right, &list_of(&left_type, 1)))
    } else if is_unknown(&right) {
        (left, with_type(right, &list_of(&DataType::Utf8, 1)))
    } else if is_unknown(&left) && depth(&right_type) > 0 {
        (with_type(left, leaf(&right_type)), right)
    } else {
        (left, right)
    };
    let right_type = right.get_type(schema)?;
    if depth(&right_type) == 0 {
        return Err(fault("42809", "op ANY/ALL (array) requires array on right side"));
    }
    if let Some(function) = quantified::function(op, any) {
        let left_type = left.get_type(schema)?;
        let (left, right) = widening::quantified(left, &left_type, right, &right_type);
        return Ok(planned(function, vec![left, right]));
    }
    plan_pattern(op, any, left, right)
}

/// `v LIKE ANY (…)` and `v ~ ANY (…)` of the elements of a written array, one by one.
fn plan_pattern(
    op: &str,
    any: bool,
    left: Expr,
    right: Expr,
) -> Result<PlannerResult<RawBinaryExpr>> {
    use datafusion::logical_expr::Like;
    let unsupported = || fault("0A000", format!("{op} ANY/ALL over this array is not supported"));
    let is_written = matches!(&right, Expr::ScalarFunction(call) if call.name() == "make_array");
    if !is_written && let Some((function, negated)) = quantified_like::function(op, any) {
        let call = Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![left, right]));
        return Ok(PlannerResult::Planned(if negated { not(call) } else { call }));
    }
    let Expr::ScalarFunction(call) = right else { return Err(unsupported()) };
    if !is_written {
        return Err(unsupported());
    }
    let test = |pattern: Expr| -> Result<Expr> {
        let (left, pattern) = (Box::new(left.clone()), Box::new(pattern));
        let like = |negated, insensitive, left, pattern| {
            Expr::Like(Like::new(negated, left, pattern, None, insensitive))
        };
        let binary = |op, left, right| Expr::BinaryExpr(BinaryExpr::new(left, op, right));
        Ok(match op {
            "~~" => like(false, false, left, pattern),
            "!~~" => like(true, false, left, pattern),
            "~~*" => like(false, true, left, pattern),
            "!~~*" => like(true, true, left, pattern),
            "~" => binary(Operator::RegexMatch, left, pattern),
            "~*" => binary(Operator::RegexIMatch, left, pattern),
            "!~" => binary(Operator::RegexNotMatch, left, pattern),
            "!~*" => binary(Operator::RegexNotIMatch, left, pattern),
            _ => return Err(unsupported()),
        })
    };
    let mut tests = call.args.into_iter().map(test).collect::<Result<Vec<_>>>()?.into_iter();
    let Some(first) = tests.next() else {
        return Ok(PlannerResult::Planned(Expr::Literal(ScalarValue::from(!any), None)));
    };
    let joined = tests.fold(first, |all, next| if any { all.or(next) } else { all.and(next) });
    Ok(PlannerResult::Planned(joined))
}

/// `-> ->> #> #>> ? ?| ?& #- @? @@` stand for JSON only, and so does `-` with text on its right.
fn is_json_operator(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Arrow
            | BinaryOperator::LongArrow
            | BinaryOperator::HashArrow
            | BinaryOperator::HashLongArrow
            | BinaryOperator::Question
            | BinaryOperator::QuestionAnd
            | BinaryOperator::QuestionPipe
            | BinaryOperator::HashMinus
            | BinaryOperator::AtQuestion
    )
}

fn plan_json(
    mut expr: RawBinaryExpr,
    left: &Field,
    right: &Field,
) -> Result<PlannerResult<RawBinaryExpr>> {
    let binary = |field: &Field| {
        json_kind(field.data_type()) == Some(Json::Binary)
            || name_in_metadata(field) == Some("jsonb")
    };
    let one_is_binary = binary(left) || binary(right);
    let name = match expr.op {
        BinaryOperator::Arrow if is_json(left) => "json_get",
        BinaryOperator::LongArrow if is_json(left) => "json_get_text",
        BinaryOperator::HashArrow if is_json(left) => "json_get_path",
        BinaryOperator::HashLongArrow if is_json(left) => "json_get_path_text",
        BinaryOperator::HashMinus if binary(left) => "jsonb_delete_path",
        BinaryOperator::QuestionAnd if binary(left) => "jsonb_exists_all",
        BinaryOperator::QuestionPipe if binary(left) => "jsonb_exists_any",
        BinaryOperator::Question if binary(left) => "jsonb_exists",
        BinaryOperator::Minus if binary(left) => "jsonb_delete",
        BinaryOperator::AtArrow if one_is_binary => "jsonb_contains",
        BinaryOperator::ArrowAt if one_is_binary => "jsonb_contained",
        BinaryOperator::StringConcat if one_is_binary => "jsonb_concat",
        BinaryOperator::Eq if one_is_binary => "jsonb_eq",
        BinaryOperator::NotEq if one_is_binary => "jsonb_ne",
        BinaryOperator::Lt if one_is_binary => "jsonb_lt",
        BinaryOperator::LtEq if one_is_binary => "jsonb_le",
        BinaryOperator::Gt if one_is_binary => "jsonb_gt",
        BinaryOperator::GtEq if one_is_binary => "jsonb_ge",
        BinaryOperator::StringConcat => return Ok(PlannerResult::Original(concatenated(expr))),
        BinaryOperator::AtQuestion | BinaryOperator::AtAt => {
            return Err(fault("0A000", "jsonpath is not supported"));
        }
        _ => return Err(no_operator(&expr.op, left, right)),
    };
    type_operands(&mut expr, name);
    Ok(planned(json::by_name(name), vec![expr.left, expr.right]))
}

/// Gives literals and parameters beside a JSON value the type that the operator takes.
fn type_operands(expr: &mut RawBinaryExpr, name: &str) {
    let texts = matches!(
        name,
        "json_get_path"
            | "json_get_path_text"
            | "jsonb_delete_path"
            | "jsonb_exists_all"
            | "jsonb_exists_any"
    );
    let key = matches!(name, "json_get" | "json_get_text" | "jsonb_delete" | "jsonb_exists");
    if texts && is_unknown(&expr.right) {
        let taken = std::mem::replace(&mut expr.right, Expr::Literal(ScalarValue::Null, None));
        expr.right = with_type(taken, &list_of(&DataType::Utf8, 1));
    }
    if !texts && !key {
        // `doc || text_column` is a concatenation of texts only if neither is a literal.
        let jsonb = json_type(Json::Binary);
        for side in [&mut expr.left, &mut expr.right] {
            if is_unknown(side) {
                let taken = std::mem::replace(side, Expr::Literal(ScalarValue::Null, None));
                *side = with_type(taken, &jsonb);
            }
        }
    } else if let Expr::Placeholder(parameter) = &expr.right
        && parameter.field.is_none()
    {
        let taken = std::mem::replace(&mut expr.right, Expr::Literal(ScalarValue::Null, None));
        expr.right = with_type(taken, &DataType::Utf8);
    }
}

/// `json || text` is a concatenation of texts.
fn concatenated(mut expr: RawBinaryExpr) -> RawBinaryExpr {
    for side in [&mut expr.left, &mut expr.right] {
        if !is_unknown(side) {
            let taken = std::mem::replace(side, Expr::Literal(ScalarValue::Null, None));
            *side = with_type(taken, &DataType::Utf8);
        }
    }
    expr
}

fn plan_json_subscript(
    base: Expr,
    field_access: GetFieldAccess,
) -> Result<PlannerResult<RawFieldAccessExpr>> {
    let key = match field_access {
        GetFieldAccess::NamedStructField { name } => Expr::Literal(name, None),
        GetFieldAccess::ListIndex { key } => *key,
        GetFieldAccess::ListRange { .. } => {
            return Err(fault("42804", "jsonb subscript does not support slices"));
        }
    };
    Ok(planned(json::by_name("json_get"), vec![base, key]))
}
