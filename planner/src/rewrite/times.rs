//! Constructs for dates, times and texts that the planner below lacks.
//!
//! | before | after |
//! |---|---|
//! | `INTERVAL '1-2' YEAR TO MONTH` | `INTERVAL '14 months 0 days 0 nanoseconds'` |
//! | `x AT TIME ZONE z` | `timezone(z, x)` |
//! | `(a, b) OVERLAPS (c, d)` | `overlaps(a, b, c, d)` |
//! | `make_interval(days => 3)` | `make_interval(0, 0, 0, 3)` |
//! | `U&'\0041'` | `'A'` |

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, DateTimeField, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, Ident, Interval, IntervalFields, Value,
};

use super::call;
use crate::error::{PlannerError, Result};
use crate::functions::datetime::span_text::{Fields, parse_span};
use crate::statement::fold;

/// Rewrites one expression before its children, which are rows otherwise.
pub(super) fn enter(expr: &mut Expr) {
    if let Expr::BinaryOp { left, op: BinaryOperator::Overlaps, right } = expr
        && let (Expr::Tuple(first), Expr::Tuple(second)) = (left.as_mut(), right.as_mut())
        && first.len() == 2
        && second.len() == 2
    {
        let mut args = std::mem::take(first);
        args.append(second);
        *expr = call("overlaps", args);
    }
}

/// Rewrites one expression after its children.
///
/// # Errors
/// 22007 and 22015 for literals that are no intervals.
pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Interval(interval) => {
            if let Some(literal) = literal(interval)? {
                let limits = limits(interval);
                *interval = literal;
                // The planner reads a sign before a bare literal as part of its text.
                *expr = Expr::Nested(Box::new(take(expr)));
                if let Some(data_type) = limits {
                    *expr = Expr::Cast {
                        kind: CastKind::DoubleColon,
                        expr: Box::new(take(expr)),
                        data_type,
                        array: false,
                        format: None,
                    };
                }
            }
        }
        Expr::AtTimeZone { timestamp, time_zone } => {
            *expr = call("timezone", vec![take(time_zone), take(timestamp)]);
        }
        Expr::BinaryOp { left, op: BinaryOperator::PGStartsWith, right } => {
            *expr = Expr::Nested(Box::new(call("starts_with", vec![take(left), take(right)])));
        }
        Expr::Function(function) => rewrite_function(function),
        Expr::Value(value) => {
            if let Value::UnicodeStringLiteral(text) = &value.value {
                value.value = Value::SingleQuotedString(text.clone());
            }
        }
        _ => {}
    }
    Ok(())
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Identifier(Ident::new("")))
}

/// The same interval in words that the planner reads; `None` where there is no literal.
fn literal(interval: &Interval) -> Result<Option<Interval>> {
    let Expr::Value(value) = interval.value.as_ref() else { return Ok(None) };
    let (Value::SingleQuotedString(text) | Value::Number(text, _)) = &value.value else {
        return Ok(None);
    };
    let fields = fields(interval.leading_field.as_ref(), interval.last_field.as_ref());
    let precision = interval.fractional_seconds_precision.or(match &interval.leading_field {
        Some(DateTimeField::Second | DateTimeField::Seconds) => interval.leading_precision,
        _ => None,
    });
    let precision = precision.map(|digits| u32::try_from(digits.min(6)).unwrap_or(6));
    let span = parse_span(text, fields).map(|span| fields.limit(span, precision));
    let span = span.and_then(|span| span.to_arrow()).map_err(|error| match error {
        datafusion::error::DataFusionError::External(inner) => {
            match inner.downcast::<PlannerError>() {
                Ok(error) => *error,
                Err(inner) => PlannerError::Engine(Box::new(
                    datafusion::error::DataFusionError::External(inner),
                )),
            }
        }
        error => PlannerError::Engine(Box::new(error)),
    })?;
    let (months, days, nanos) = (span.months, span.days, span.nanoseconds);
    let words = format!("{months} months {days} days {nanos} nanoseconds");
    Ok(Some(Interval {
        value: Box::new(Expr::value(Value::SingleQuotedString(words))),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    }))
}

/// The type that a literal's units stand for, which clients see as its modifier.
fn limits(interval: &Interval) -> Option<DataType> {
    use DateTimeField as Part;
    let first = interval.leading_field.as_ref()?;
    let fields = match (first, interval.last_field.as_ref()) {
        (Part::Year | Part::Years, None) => IntervalFields::Year,
        (Part::Year | Part::Years, Some(Part::Month)) => IntervalFields::YearToMonth,
        (Part::Month | Part::Months, None) => IntervalFields::Month,
        (Part::Day | Part::Days, None) => IntervalFields::Day,
        (Part::Day, Some(Part::Hour)) => IntervalFields::DayToHour,
        (Part::Day, Some(Part::Minute)) => IntervalFields::DayToMinute,
        (Part::Day, Some(Part::Second)) => IntervalFields::DayToSecond,
        (Part::Hour | Part::Hours, None) => IntervalFields::Hour,
        (Part::Hour, Some(Part::Minute)) => IntervalFields::HourToMinute,
        (Part::Hour, Some(Part::Second)) => IntervalFields::HourToSecond,
        (Part::Minute | Part::Minutes, None) => IntervalFields::Minute,
        (Part::Minute, Some(Part::Second)) => IntervalFields::MinuteToSecond,
        (Part::Second | Part::Seconds, None) => IntervalFields::Second,
        _ => return None,
    };
    let precision = interval.fractional_seconds_precision.or(interval.leading_precision);
    Some(DataType::Interval { fields: Some(fields), precision })
}

fn fields(first: Option<&DateTimeField>, last: Option<&DateTimeField>) -> Fields {
    match (first, last) {
        (None, _) => Fields::All,
        (Some(DateTimeField::Minute), Some(DateTimeField::Second)) => Fields::MinuteToSecond,
        (Some(first), last) => match last.unwrap_or(first) {
            DateTimeField::Year | DateTimeField::Years => Fields::Year,
            DateTimeField::Month | DateTimeField::Months => Fields::Month,
            DateTimeField::Day | DateTimeField::Days => Fields::Day,
            DateTimeField::Hour | DateTimeField::Hours => Fields::Hour,
            DateTimeField::Minute | DateTimeField::Minutes => Fields::Minute,
            DateTimeField::Second | DateTimeField::Seconds => Fields::Second,
            _ => Fields::All,
        },
    }
}

/// Names of the arguments of `make_interval`, all of which have defaults.
const PARTS: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];

fn rewrite_function(function: &mut Function) {
    let name = function.name.0.last().and_then(|part| part.as_ident()).map(fold);
    match name.as_deref() {
        Some("make_interval") => name_parts(function),
        Some("normalize") => {
            // The form is a keyword.
            if let FunctionArguments::List(list) = &mut function.args
                && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(form))) =
                    list.args.get_mut(1)
                && let Expr::Identifier(ident) = form
            {
                *form = Expr::value(Value::SingleQuotedString(ident.value.clone()));
            }
        }
        _ => {}
    }
}

fn name_parts(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    let plain = list.args.iter().all(|arg| matches!(arg, FunctionArg::Unnamed(_)));
    if plain {
        return;
    }
    let zero = || Expr::value(Value::Number("0".to_owned(), false));
    let mut parts: Vec<Expr> = PARTS.iter().map(|_| zero()).collect();
    for (at, arg) in list.args.iter().enumerate() {
        let (at, value) = match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (Some(at), value),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                (PARTS.iter().position(|part| *part == fold(name)), value)
            }
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(value),
                ..
            } => (PARTS.iter().position(|part| *part == fold(name)), value),
            _ => return,
        };
        let Some(slot) = at.and_then(|at| parts.get_mut(at)) else { return };
        *slot = value.clone();
    }
    let arg = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    list.args = parts.into_iter().map(arg).collect();
}
