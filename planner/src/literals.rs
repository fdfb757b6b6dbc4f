//! Numbers in the text: `integer`, `bigint` or `numeric`, whichever is the first to hold them.
//!
//! DataFusion makes every whole number a `bigint`. Its planner has no hook for a literal, but one
//! for operators, so a literal travels to it as an operator of our own:
//!
//! ```text
//! 1       ->  '1' <numeric literal> NULL    ->  Int32(1)
//! -1.50   ->  '-1.50' <numeric literal> NULL  ->  Decimal128(-150, 3, 2)
//! ```
//!
//! Prefix operators become functions here too: `@ x` is `abs(x)`, after outputs got their names.
//!
//! This is the last change of a tree before it is planned: other rewrites see plain numbers.
//! Positions in ORDER BY and GROUP BY, LIMIT and the bounds of window frames stay as they are.

mod values;

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, BinaryOperator, DataType, ExactNumberInfo, Expr, Function, GroupByExpr, LimitClause,
    NamedWindowExpr, OrderBy, OrderByKind, Query, Select, SetExpr, Statement as Ast, TableFactor,
    UnaryOperator, Value, ValueWithSpan, WindowFrameBound, WindowSpec, WindowType,
};

use crate::functions::numeric::text;
use crate::rewrite::call;
use crate::statement::fold;
use crate::walk::{self, Editor};

/// The name of the operator that carries a literal.
pub(crate) const NUMERIC_LITERAL: &str = "numeric literal";

/// The name of the operator that carries a cast to `numeric` without digits: what the cast makes
/// depends on what it is given.
pub(crate) const TO_NUMERIC: &str = "to numeric";

/// Marks the numbers of a statement for [`crate::functions::numeric::planner`].
pub(crate) fn carry(ast: &mut Ast) {
    // The walk itself never ends early.
    let _ = walk::edit_statement(ast, &mut Carrier);
}

struct Carrier;

impl Editor for Carrier {
    fn enter_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        align_values(&mut query.body);
        if let Some(OrderBy { kind: OrderByKind::Expressions(keys), .. }) = &mut query.order_by {
            for key in keys {
                keep(&mut key.expr);
            }
        }
        match &mut query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                limit.iter_mut().for_each(keep);
                offset.iter_mut().for_each(|offset| keep(&mut offset.value));
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                keep(offset);
                keep(limit);
            }
            None => {}
        }
        if let Some(fetch) = &mut query.fetch {
            fetch.quantity.iter_mut().for_each(keep);
        }
        ControlFlow::Continue(())
    }

    fn enter_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            for key in keys {
                keep_positions(key);
            }
        }
        mark_frames(select, true);
        ControlFlow::Continue(())
    }

    fn leave_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        mark_frames(select, false);
        ControlFlow::Continue(())
    }

    fn enter_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { args: Some(args), .. } = factor {
            for arg in &mut args.args {
                keep_argument(arg);
            }
        }
        if let TableFactor::Function { args, .. } = factor {
            args.iter_mut().for_each(keep_argument);
        }
        ControlFlow::Continue(())
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Value(ValueWithSpan { value: Value::Number(text, false), .. }) => {
                *expr = carried(std::mem::take(text));
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => {
                if let Some(text) = constant(inner) {
                    *expr = carried(negated(text));
                } else if let Some(power) = base_negated(inner) {
                    *expr = power;
                    return self.enter_expr(expr);
                }
            }
            Expr::BinaryOp { left, right, .. } => {
                long_as_text(left);
                long_as_text(right);
            }
            Expr::Cast { expr: inner, data_type, .. } if is_float(data_type) => {
                if let Some(text) = constant(inner) {
                    **inner = Expr::value(Value::SingleQuotedString(text));
                }
            }
            Expr::UnaryOp { op, expr: inner } => {
                if *op == UnaryOperator::BitwiseNot {
                    let operand = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
                    *expr = operator(operand, crate::types::bits::NOT);
                } else if let Some(function) = function_of(*op) {
                    let operand = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
                    let operand = if function == "sqrt" { to_float(operand) } else { operand };
                    *expr = call(function, vec![operand]);
                }
            }
            Expr::Cast { expr: inner, data_type, format: None, array: false, .. }
                if is_plain_numeric(data_type) && !is_parameter(inner) =>
            {
                let inner = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
                *expr = operator(inner, TO_NUMERIC);
            }
            Expr::TypedString(typed) if is_plain_numeric(&typed.data_type) => {
                *expr = operator(Expr::Value(typed.value.clone()), TO_NUMERIC);
            }
            Expr::Function(Function { over: Some(WindowType::WindowSpec(spec)), .. }) => {
                mark_frame(spec, true);
            }
            Expr::Function(function) => {
                if let Some(cast) = cast_of(function) {
                    *expr = cast;
                    return self.enter_expr(expr);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn leave_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(Function { over: Some(WindowType::WindowSpec(spec)), .. }) = expr {
            mark_frame(spec, false);
        }
        ControlFlow::Continue(())
    }
}

fn align_values(body: &mut SetExpr) {
    match body {
        SetExpr::Values(values) => values::align(values),
        SetExpr::SetOperation { left, right, .. } => {
            align_values(left);
            align_values(right);
        }
        _ => {}
    }
}

/// A number with its signs, as PostgreSQL's grammar folds them: `-(-1)` is `1`.
fn constant(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(text, false), .. }) => Some(text.clone()),
        Expr::Nested(inner) => constant(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => constant(inner).map(negated),
        _ => None,
    }
}

fn negated(text: String) -> String {
    match text.strip_prefix('-') {
        Some(positive) => positive.to_owned(),
        None => format!("-{text}"),
    }
}

/// `int4(x)` is `x::int4`.
fn cast_of(function: &mut Function) -> Option<Expr> {
    let [name] = function.name.0.as_slice() else { return None };
    let data_type = match fold(name.as_ident()?).as_str() {
        "int2" => DataType::SmallInt(None),
        "int4" => DataType::Int(None),
        "int8" => DataType::BigInt(None),
        "float4" => DataType::Real,
        "float8" => DataType::DoublePrecision,
        "numeric" => DataType::Numeric(ExactNumberInfo::None),
        "text" => DataType::Text,
        _ => return None,
    };
    let ast::FunctionArguments::List(list) = &mut function.args else { return None };
    let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(arg))] = list.args.as_mut_slice()
    else {
        return None;
    };
    let arg = std::mem::replace(arg, Expr::value(Value::Null));
    Some(cast_to(arg, data_type))
}

fn cast_to(operand: Expr, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(operand),
        data_type,
        array: false,
        format: None,
    }
}

/// `|/` is there for `double precision` only.
fn to_float(operand: Expr) -> Expr {
    cast_to(operand, DataType::DoublePrecision)
}

/// The function that does what a prefix operator does.
fn function_of(op: UnaryOperator) -> Option<&'static str> {
    Some(match op {
        UnaryOperator::PGAbs => "abs",
        UnaryOperator::PGSquareRoot => "sqrt",
        UnaryOperator::PGCubeRoot => "cbrt",
        _ => return None,
    })
}

/// `-a ^ b` is `(-a) ^ b` in PostgreSQL; the parser reads it as `-(a ^ b)`.
fn base_negated(expr: &mut Expr) -> Option<Expr> {
    let Expr::BinaryOp { op: BinaryOperator::PGExp, .. } = expr else { return None };
    let mut power = std::mem::replace(expr, Expr::value(Value::Null));
    let mut base = &mut power;
    while let Expr::BinaryOp { left, op: BinaryOperator::PGExp, .. } = base {
        base = left.as_mut();
    }
    let inner = std::mem::replace(base, Expr::value(Value::Null));
    *base = Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(inner) };
    Some(power)
}

/// A number that no decimal type holds takes the type of the other operand: `x > 1e300`.
fn long_as_text(expr: &mut Expr) {
    if let Some(number) = constant(expr)
        && number.contains(['e', 'E'])
        && text::literal(&number).is_err()
    {
        *expr = Expr::value(Value::SingleQuotedString(number));
    }
}

fn is_float(data_type: &DataType) -> bool {
    use DataType::{Double, DoublePrecision, Float, Float4, Float8, Real};
    matches!(data_type, Double(_) | DoublePrecision | Float(_) | Float4 | Float8 | Real)
}

fn is_plain_numeric(data_type: &DataType) -> bool {
    let info = match data_type {
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => info,
        _ => return false,
    };
    *info == ExactNumberInfo::None
}

/// The type of a parameter is found by the cast around it.
fn is_parameter(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(value.value, Value::Placeholder(_)),
        Expr::Nested(inner) => is_parameter(inner),
        _ => false,
    }
}

fn carried(text: String) -> Expr {
    operator(Expr::value(Value::SingleQuotedString(text)), NUMERIC_LITERAL)
}

fn operator(operand: Expr, name: &str) -> Expr {
    Expr::BinaryOp {
        left: Box::new(operand),
        op: BinaryOperator::Custom(name.to_owned()),
        right: Box::new(Expr::value(Value::Null)),
    }
}

/// The flag is MySQL's for long numbers, which the planner below ignores.
fn keep(expr: &mut Expr) {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(_, long), .. }) => *long = true,
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => keep(inner),
        Expr::Cast { expr: inner, .. } => keep(inner),
        _ => {}
    }
}

fn keep_positions(key: &mut Expr) {
    match key {
        Expr::GroupingSets(sets) | Expr::Rollup(sets) | Expr::Cube(sets) => {
            sets.iter_mut().flatten().for_each(keep_positions);
        }
        Expr::Value(_) => keep(key),
        _ => {}
    }
}

fn mark_frames(select: &mut Select, kept: bool) {
    for definition in &mut select.named_window {
        if let NamedWindowExpr::WindowSpec(spec) = &mut definition.1 {
            mark_frame(spec, kept);
        }
    }
}

/// The planner below takes plain numbers only for bounds, so the mark is removed afterwards.
fn mark_frame(spec: &mut WindowSpec, kept: bool) {
    let Some(frame) = &mut spec.window_frame else { return };
    for bound in [Some(&mut frame.start_bound), frame.end_bound.as_mut()].into_iter().flatten() {
        if let WindowFrameBound::Preceding(Some(expr)) | WindowFrameBound::Following(Some(expr)) =
            bound
            && let Expr::Value(ValueWithSpan { value: Value::Number(_, long), .. }) = expr.as_mut()
        {
            *long = kept;
        }
    }
}

fn keep_argument(arg: &mut ast::FunctionArg) {
    if let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) = arg {
        keep(expr);
    }
}
