//! Casts to PostgreSQL's catalog types, qualified functions and operators, collations.

use sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Value,
};

use super::call;
use crate::functions::array::{ALL, ANY};
use crate::statement::fold;
use crate::types::operators::{DISTINCT, NOT_DISTINCT};

/// Rewrites one expression after its children.
pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        // One collation exists, "C"-like code point order, so a COLLATE clause changes nothing.
        Expr::Collate { expr: inner, .. } => *expr = take(inner),
        Expr::BinaryOp { op, .. } => rewrite_operator(op),
        Expr::AnyOp { compare_op, right, .. } | Expr::AllOp { compare_op, right, .. } => {
            rewrite_operator(compare_op);
            if !matches!(right.as_ref(), Expr::Subquery(_)) {
                *expr = quantified(expr);
            }
        }
        Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
            let (left, right) = (Box::new(take(left)), Box::new(take(right)));
            let op = match expr {
                Expr::IsDistinctFrom(..) => DISTINCT,
                _ => NOT_DISTINCT,
            };
            let op = BinaryOperator::Custom(op.to_owned());
            *expr = Expr::Nested(Box::new(Expr::BinaryOp { left, op, right }));
        }
        Expr::Function(function) => {
            unqualify(function);
            if let Some(cast) = called_cast(function) {
                *expr = cast;
            } else if fold_name(function) == "normalize" {
                form_as_text(function);
            }
        }
        Expr::IsNormalized { expr: inner, form, negated } => {
            let form = form.map_or_else(|| "NFC".to_owned(), |form| form.to_string());
            let form = Expr::value(Value::SingleQuotedString(form));
            let test = call("is_normalized", vec![take(inner), form]);
            *expr = if *negated {
                let op = sqlparser::ast::UnaryOperator::Not;
                Expr::Nested(Box::new(Expr::UnaryOp { op, expr: Box::new(test) }))
            } else {
                test
            };
        }
        Expr::Like { any: false, pattern, .. } | Expr::ILike { any: false, pattern, .. } if matches!(pattern.as_ref(), Expr::Function(function) if fold_name(function) == "all") =>
        {
            like_quantified(expr, ALL);
        }
        Expr::Like { any: true, .. } | Expr::ILike { any: true, .. } => {
            like_quantified(expr, ANY);
        }
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            rewrite_escape(pattern, escape_char);
        }
        Expr::Cast { expr: inner, data_type, array: false, .. } => {
            if let Some(replaced) = rewrite_cast(inner, data_type) {
                *expr = replaced;
            }
        }
        _ => {}
    }
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Identifier(Ident::new("")))
}

/// `OPERATOR(pg_catalog.~)` is the operator itself.
fn rewrite_operator(op: &mut BinaryOperator) {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else { return };
    let plain = match parts.last().map(String::as_str) {
        Some("=") => BinaryOperator::Eq,
        Some("<>" | "!=") => BinaryOperator::NotEq,
        Some("<") => BinaryOperator::Lt,
        Some("<=") => BinaryOperator::LtEq,
        Some(">") => BinaryOperator::Gt,
        Some(">=") => BinaryOperator::GtEq,
        Some("~") => BinaryOperator::PGRegexMatch,
        Some("~*") => BinaryOperator::PGRegexIMatch,
        Some("!~") => BinaryOperator::PGRegexNotMatch,
        Some("!~*") => BinaryOperator::PGRegexNotIMatch,
        Some("~~") => BinaryOperator::PGLikeMatch,
        Some("!~~") => BinaryOperator::PGNotLikeMatch,
        Some("~~*") => BinaryOperator::PGILikeMatch,
        Some("!~~*") => BinaryOperator::PGNotILikeMatch,
        Some("||") => BinaryOperator::StringConcat,
        Some("+") => BinaryOperator::Plus,
        Some("-") => BinaryOperator::Minus,
        Some("*") => BinaryOperator::Multiply,
        Some("/") => BinaryOperator::Divide,
        Some("%") => BinaryOperator::Modulo,
        _ => return,
    };
    *op = plain;
}

/// `pg_catalog.f(x)` is `f(x)`.
fn unqualify(function: &mut Function) {
    let [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(name)] =
        function.name.0.as_slice()
    else {
        return;
    };
    if matches!(fold(schema).as_str(), "pg_catalog" | "information_schema") {
        function.name = ObjectName::from(vec![name.clone()]);
    }
}

/// `x = ANY (a)` as an operator that [`crate::functions::array`] plans: it knows the types.
fn quantified(expr: &mut Expr) -> Expr {
    let (Expr::AnyOp { left, compare_op, right, .. } | Expr::AllOp { left, compare_op, right }) =
        expr
    else {
        return take(expr);
    };
    let (left, right) = (Box::new(take(left)), Box::new(take(right)));
    let op = compare_op.to_string();
    let quantifier = if matches!(expr, Expr::AnyOp { .. }) { ANY } else { ALL };
    let op = BinaryOperator::Custom(format!("{quantifier}{op}"));
    Expr::Nested(Box::new(Expr::BinaryOp { left, op, right }))
}

/// The one argument of a call that the parser has made of a word and parentheses.
fn called<'a>(expr: &'a mut Expr, name: &str) -> Option<&'a mut Expr> {
    let Expr::Function(function) = expr else { return None };
    if fold_name(function) != name || function.over.is_some() {
        return None;
    }
    let FunctionArguments::List(list) = &mut function.args else { return None };
    match list.args.as_mut_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => Some(argument),
        _ => None,
    }
}

fn fold_name(function: &Function) -> String {
    match function.name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => fold(name),
        _ => String::new(),
    }
}

/// `date(x)` is `x::date`, as for all types that are named by one word.
fn called_cast(function: &mut Function) -> Option<Expr> {
    let data_type = match fold_name(function).as_str() {
        "date" => DataType::Date,
        "int2" => DataType::Int2(None),
        "int4" => DataType::Int4(None),
        "int8" => DataType::Int8(None),
        "float4" => DataType::Float4,
        "float8" => DataType::Float8,
        "timestamptz" => {
            DataType::Custom(ObjectName::from(vec![Ident::new("timestamptz")]), vec![])
        }
        _ => return None,
    };
    let FunctionArguments::List(list) = &mut function.args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = list.args.as_mut_slice() else {
        return None;
    };
    let expr = Box::new(Expr::Nested(Box::new(take(argument))));
    Some(Expr::Cast { kind: CastKind::Cast, expr, data_type, array: false, format: None })
}

/// `normalize(x, NFD)`: the form is a word, not a column.
fn form_as_text(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    if let [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(form))] = list.args.as_mut_slice()
        && let Expr::Identifier(ident) = &*form
        && ident.quote_style.is_none()
    {
        *form = Expr::value(Value::SingleQuotedString(ident.value.to_uppercase()));
    }
}

/// `x LIKE ANY (a)` is `x ~~ ANY (a)`.
fn like_quantified(expr: &mut Expr, quantifier: &str) {
    let insensitive = matches!(expr, Expr::ILike { .. });
    let (Expr::Like { negated, expr: left, pattern, .. }
    | Expr::ILike { negated, expr: left, pattern, .. }) = expr
    else {
        return;
    };
    let op = match (*negated, insensitive) {
        (false, false) => "~~",
        (true, false) => "!~~",
        (false, true) => "~~*",
        (true, true) => "!~~*",
    };
    let array = match called(pattern, "all") {
        Some(argument) if quantifier == ALL => take(argument),
        _ => take(pattern),
    };
    let (left, right) = (Box::new(take(left)), Box::new(array));
    let op = BinaryOperator::Custom(format!("{quantifier}{op}"));
    *expr = Expr::Nested(Box::new(Expr::BinaryOp { left, op, right }));
}

/// Gives an array type as many dimensions as the literal has that is cast to it: in PostgreSQL
/// they belong to the value, in the engine to the type.
fn nest(inner: &Expr, data_type: &mut DataType) {
    let depth = match inner {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => literal_depth(text),
            _ => return,
        },
        Expr::Array(array) => array_depth(array),
        _ => return,
    };
    let mut element = data_type.clone();
    while let DataType::Array(
        ArrayElemTypeDef::SquareBracket(inner, _) | ArrayElemTypeDef::AngleBracket(inner),
    ) = element
    {
        element = *inner;
    }
    *data_type = (0..depth.max(1)).fold(element, |element, _| {
        DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(element), None))
    });
}

/// How many braces a text begins with, behind its bounds.
fn literal_depth(text: &str) -> usize {
    let text = text.trim_start();
    let text = match text.split_once('=') {
        Some((bounds, rest)) if bounds.starts_with('[') => rest.trim_start(),
        _ => text,
    };
    text.chars().filter(|c| !c.is_whitespace()).take_while(|c| *c == '{').count()
}

fn array_depth(array: &sqlparser::ast::Array) -> usize {
    let inner = array.elem.iter().find_map(|element| match element {
        Expr::Array(inner) => Some(array_depth(inner)),
        _ => None,
    });
    1 + inner.unwrap_or(0)
}

/// `LIKE p ESCAPE '/'` is `LIKE like_escape(p, '/')`, as the engine knows the backslash only.
fn rewrite_escape<T: std::fmt::Display>(pattern: &mut Expr, escape_char: &mut Option<T>) {
    let Some(escape) = escape_char.take() else { return };
    let escape = escape.to_string();
    let escape = escape.trim_matches('\'');
    if escape != "\\" {
        let escape = Expr::value(Value::SingleQuotedString(escape.to_owned()));
        *pattern = call("like_escape", vec![take(pattern), escape]);
    }
}

fn rewrite_cast(inner: &mut Expr, data_type: &mut DataType) -> Option<Expr> {
    if let DataType::Array(_) = data_type {
        if matches!(inner, Expr::Array(array) if array.elem.is_empty()) {
            *inner = Expr::value(Value::SingleQuotedString("{}".to_owned()));
        }
        nest(inner, data_type);
        return None;
    }
    let name = catalog_type_name(data_type)?;
    let function = match name.as_str() {
        "regclass" => "to_regclass_oid",
        "regtype" => "to_regtype_oid",
        "regproc" => "to_regproc_oid",
        "regprocedure" => "to_regprocedure_oid",
        "regoper" => "regoper_out",
        "regoperator" => "regoperator_out",
        "regcollation" => "to_regcollation_oid",
        "regnamespace" => "to_regnamespace_oid",
        "regrole" => "to_regrole_oid",
        _ => return None,
    };
    Some(call(function, vec![take(inner)]))
}

/// The folded name of a type that the parser does not know, without `pg_catalog`.
fn catalog_type_name(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Regclass => Some("regclass".to_owned()),
        DataType::Custom(name, _) => name.0.last().and_then(|part| part.as_ident()).map(fold),
        _ => None,
    }
}
