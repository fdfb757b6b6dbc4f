//! `format`, `concat` and `concat_ws`, which take values of any type.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use crate::functions::fault::fault;
use crate::functions::frame::Kind::{Any, Text};
use crate::functions::frame::{Call, Form, Function, Value, form, variadic};
use crate::functions::pg_catalog::{quote_identifier, quote_literal};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    const FORMAT: &[Form] = &[variadic(&[Text, Any], Text, format)];
    const CONCAT: &[Form] = &[variadic(&[Any, Any], Text, |call, row| {
        let mut out = String::new();
        for at in 0..call.n_args() {
            out.push_str(call.shown(at, row)?.unwrap_or_default());
        }
        Ok(Value::Text(out))
    })];
    const CONCAT_WS: &[Form] = &[variadic(&[Text, Any, Any], Text, |call, row| {
        if call.is_null(0, row) {
            return Ok(Value::Null);
        }
        let mut parts = Vec::new();
        for at in 1..call.n_args() {
            parts.extend(call.shown(at, row)?);
        }
        Ok(Value::Text(parts.join(call.text(0, row)?)))
    })];
    const IDENT: &[Form] =
        &[form(&[Text], Text, |call, row| Ok(Value::Text(quote_identifier(call.text(0, row)?))))];
    const LITERAL: &[Form] = &[form(&[Any], Text, |call, row| {
        let shown = call.shown(0, row)?;
        Ok(shown.map_or(Value::Null, |text| Value::Text(quote_literal(text))))
    })];
    const NULLABLE: &[Form] = &[form(&[Any], Text, |call, row| {
        let shown = call.shown(0, row)?;
        Ok(Value::Text(shown.map_or_else(|| "NULL".to_owned(), quote_literal)))
    })];
    vec![
        Function::immutable("quote_ident", IDENT).into_udf(),
        Function::stable("quote_literal", LITERAL).into_udf(),
        Function::stable("quote_nullable", NULLABLE).called_on_null().into_udf(),
        Function::stable("format", FORMAT).called_on_null().into_udf(),
        Function::stable("concat", CONCAT).called_on_null().into_udf(),
        Function::stable("concat_ws", CONCAT_WS).called_on_null().into_udf(),
    ]
}

/// A wider field is refused: nobody reads it, and it would be held in memory.
const WIDTH_MAX: i64 = 1 << 20;

/// A specifier such as `%2$-10s`.
#[derive(Debug, Default)]
struct Specifier {
    /// The argument's number, where it is given.
    position: Option<usize>,
    left: bool,
    width: Option<Width>,
}

#[derive(Debug, Clone, Copy)]
enum Width {
    Columns(i64),
    /// An argument holds it; the next one, or the one with a number.
    Argument(Option<usize>),
}

fn format(call: &Call, row: usize) -> Result<Value> {
    if call.is_null(0, row) {
        return Ok(Value::Null);
    }
    let template: Vec<char> = call.text(0, row)?.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    let mut argument = 0;
    while let Some(c) = template.get(at) {
        at += 1;
        if *c != '%' {
            out.push(*c);
            continue;
        }
        if template.get(at) == Some(&'%') {
            out.push('%');
            at += 1;
            continue;
        }
        let specifier = specifier(&template, &mut at)?;
        let kind = *template.get(at).ok_or_else(unterminated)?;
        at += 1;
        let width = match specifier.width {
            None => 0,
            Some(Width::Columns(columns)) => columns,
            Some(Width::Argument(number)) => {
                argument = number.unwrap_or(argument + 1);
                let text = shown(call, argument, row)?.unwrap_or("0");
                text.trim().parse::<i64>().map_err(|_| {
                    fault("22P02", format!("invalid input syntax for type integer: \"{text}\""))
                })?
            }
        };
        if !matches!(kind, 's' | 'I' | 'L') {
            let message = format!("unrecognized format() type specifier \"{kind}\"");
            return Err(fault("22023", message));
        }
        argument = specifier.position.unwrap_or(argument + 1);
        let value = shown(call, argument, row)?;
        let text = match (kind, value) {
            ('s', value) => value.unwrap_or_default().to_owned(),
            ('L', None) => "NULL".to_owned(),
            ('L', Some(value)) => quote_literal(value),
            (_, Some(value)) => quote_identifier(value),
            (_, None) => {
                let message = "null values cannot be formatted as an SQL identifier";
                return Err(fault("22004", message));
            }
        };
        pad(&text, width, specifier.left, &mut out)?;
    }
    Ok(Value::Text(out))
}

fn unterminated() -> datafusion::error::DataFusionError {
    fault("22023", "unterminated format() type specifier")
}

fn pad(text: &str, width: i64, left: bool, out: &mut String) -> Result<()> {
    let left = left || width < 0;
    let columns = width.checked_abs().filter(|columns| *columns <= WIDTH_MAX);
    let columns = columns.ok_or_else(|| fault("22003", "number is out of range"))?;
    let columns = usize::try_from(columns).unwrap_or(0);
    let blanks = " ".repeat(columns.saturating_sub(text.chars().count()));
    if !left {
        out.push_str(&blanks);
    }
    out.push_str(text);
    if left {
        out.push_str(&blanks);
    }
    Ok(())
}

fn shown(call: &Call, argument: usize, row: usize) -> Result<Option<&str>> {
    if argument >= call.n_args() {
        return Err(fault("22023", "too few arguments for format()"));
    }
    call.shown(argument, row)
}

fn specifier(template: &[char], at: &mut usize) -> Result<Specifier> {
    let mut specifier = Specifier::default();
    let number = number(template, at)?;
    let mut width = number;
    if template.get(*at) == Some(&'$') {
        *at += 1;
        specifier.position = Some(position(number)?);
        width = None;
    }
    while template.get(*at) == Some(&'-') {
        specifier.left = true;
        *at += 1;
        width = None;
    }
    if template.get(*at) == Some(&'*') {
        *at += 1;
        let held = self::number(template, at)?;
        if held.is_some() {
            if template.get(*at) != Some(&'$') {
                let message = "width argument position must be ended by \"$\"";
                return Err(fault("22023", message));
            }
            *at += 1;
            specifier.width = Some(Width::Argument(Some(position(held)?)));
        } else {
            specifier.width = Some(Width::Argument(None));
        }
        return Ok(specifier);
    }
    let width = match width {
        Some(width) => Some(width),
        None => self::number(template, at)?,
    };
    specifier.width = width.map(Width::Columns);
    Ok(specifier)
}

fn position(number: Option<i64>) -> Result<usize> {
    match number.map(usize::try_from) {
        Some(Ok(0)) | None => {
            let message = "format specifies argument 0, but arguments are numbered from 1";
            Err(fault("22023", message))
        }
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(fault("22003", "number is out of range")),
    }
}

fn number(template: &[char], at: &mut usize) -> Result<Option<i64>> {
    let mut digits = String::new();
    while let Some(c) = template.get(*at).filter(|c| c.is_ascii_digit()) {
        digits.push(*c);
        *at += 1;
    }
    if digits.is_empty() {
        return if *at < template.len() { Ok(None) } else { Err(unterminated()) };
    }
    let number: i32 = digits.parse().map_err(|_| fault("22003", "number is out of range"))?;
    Ok(Some(i64::from(number)))
}
