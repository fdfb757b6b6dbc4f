//! Casts to PostgreSQL's catalog types, qualified functions and operators, collations.

use sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, DataType, Expr, Function, ObjectName, ObjectNamePart, Value,
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
        }
        Expr::Like { any: true, .. } | Expr::ILike { any: true, .. } => like_any(expr),
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            rewrite_escape(pattern, escape_char);
        }
        Expr::Cast { expr: inner, data_type, array: false, .. } => {
            if let Some(replaced) = rewrite_cast(inner, data_type) {
                *expr = replaced;
            }
        }
        Expr::InList { expr: tested, list, negated } => {
            if let Some(expanded) = expand_in_list(tested, list, *negated) {
                *expr = expanded;
            }
        }
        _ => {}
    }
}

/// `7 IN (1, CASE …)` as a chain of comparisons: the engine's IN list is wrong where an element is
/// a CASE (always true for a constant on the left).
fn expand_in_list(tested: &Expr, list: &[Expr], negated: bool) -> Option<Expr> {
    if !list.iter().any(|element| matches!(element, Expr::Case { .. } | Expr::Nested(_))) {
        return None;
    }
    let equal = |element: &Expr| Expr::BinaryOp {
        left: Box::new(tested.clone()),
        op: BinaryOperator::Eq,
        right: Box::new(element.clone()),
    };
    let chain = list.iter().map(equal).reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::Or,
        right: Box::new(right),
    })?;
    let chain = Expr::Nested(Box::new(chain));
    Some(if negated {
        Expr::UnaryOp { op: sqlparser::ast::UnaryOperator::Not, expr: Box::new(chain) }
    } else {
        chain
    })
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Identifier(sqlparser::ast::Ident::new("")))
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

/// `x LIKE ANY (a)` is `x ~~ ANY (a)`.
fn like_any(expr: &mut Expr) {
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
    let (left, right) = (Box::new(take(left)), Box::new(take(pattern)));
    let op = BinaryOperator::Custom(format!("{ANY}{op}"));
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
