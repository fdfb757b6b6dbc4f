//! Casts to PostgreSQL's catalog types, qualified functions and operators, collations.

use sqlparser::ast::{
    BinaryOperator, CharacterLength, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, ObjectName, ObjectNamePart, Value,
};

use super::call;
use crate::functions::array_literal;
use crate::statement::fold;

/// Rewrites one expression after its children.
pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        // One collation exists, "C"-like code point order, so a COLLATE clause changes nothing.
        Expr::Collate { expr: inner, .. } => *expr = take(inner),
        Expr::BinaryOp { op, .. } => rewrite_operator(op),
        Expr::AnyOp { compare_op, right, .. } | Expr::AllOp { compare_op, right, .. } => {
            rewrite_operator(compare_op);
            rewrite_array_literal(right);
        }
        Expr::Function(function) => {
            unqualify(function);
            if let Some(replaced) = subscripts(function) {
                *expr = replaced;
            }
        }
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            rewrite_escape(pattern, escape_char);
        }
        Expr::Cast { expr: inner, data_type, array: false, .. } => {
            if let Some(replaced) = rewrite_cast(inner, data_type) {
                *expr = replaced;
            } else if let Some(length) = take_length(data_type) {
                let length = Expr::value(Value::Number(length.to_string(), false));
                *expr = call("varchar_cut", vec![take(expr), length]);
            }
        }
        Expr::TypedString(typed) => pad_timestamp(&mut typed.value.value, &typed.data_type),
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

/// Adds the seconds that the engine's parser insists on: `2024-01-01 12:00`.
fn pad_timestamp(value: &mut Value, data_type: &DataType) {
    let (DataType::Timestamp(..), Value::SingleQuotedString(text)) = (data_type, value) else {
        return;
    };
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is = |at: usize, what: &[u8]| bytes.get(at).is_some_and(|byte| what.contains(byte));
    let minutes =
        is(4, b"-") && is(7, b"-") && is(10, b" T") && is(13, b":") && digit(14) && digit(15);
    if minutes && !is(16, b":") && text.is_char_boundary(16) {
        text.insert_str(16, ":00");
    }
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Identifier(sqlparser::ast::Ident::new("")))
}

/// Takes n from `varchar(n)` and `char(n)`, as the engine does not cut texts.
///
/// A `char(n)` is not filled with blanks: PostgreSQL ignores them in nearly all it does.
fn take_length(data_type: &mut DataType) -> Option<u64> {
    let length = match data_type {
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length) => length.take()?,
        DataType::Char(length) | DataType::Character(length) => {
            let Some(length) = length.take() else { return Some(1) };
            length
        }
        _ => return None,
    };
    match length {
        CharacterLength::IntegerLength { length, .. } => Some(length),
        CharacterLength::Max => None,
    }
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

/// `'{a,b}'` where an array is wanted is `ARRAY['a', 'b']`.
fn rewrite_array_literal(expr: &mut Expr) {
    let Expr::Value(value) = expr else { return };
    let Value::SingleQuotedString(text) = &value.value else { return };
    let Some(elements) = array_literal::elements(text) else { return };
    let element = |element: Option<String>| match element {
        Some(text) => Expr::value(Value::SingleQuotedString(text)),
        None => Expr::value(Value::Null),
    };
    let elem = elements.into_iter().map(element).collect();
    *expr = Expr::Array(sqlparser::ast::Array { elem, named: true });
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

/// `generate_subscripts(a, n)` in a SELECT list is `unnest(generate_series(1, array_upper(a, n)))`.
fn subscripts(function: &Function) -> Option<Expr> {
    let [name] = function.name.0.as_slice() else { return None };
    if fold(name.as_ident()?) != "generate_subscripts" {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else { return None };
    let args = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    let upper = call("array_upper", args.collect::<Option<Vec<_>>>()?);
    let one = Expr::value(Value::Number("1".to_owned(), false));
    Some(call("unnest", vec![call("generate_series", vec![one, upper])]))
}

fn rewrite_cast(inner: &mut Expr, data_type: &mut DataType) -> Option<Expr> {
    if let Expr::Value(literal) = inner {
        pad_timestamp(&mut literal.value, data_type);
    }
    if let DataType::Array(element) = data_type {
        if let sqlparser::ast::ArrayElemTypeDef::SquareBracket(inner_type, _) = element
            && let Some(plain) = plain_type(inner_type)
        {
            **inner_type = plain;
        }
        rewrite_array_literal(inner);
        return None;
    }
    let name = catalog_type_name(data_type)?;
    // A parameter holds a name too: who has the number would not ask for the cast.
    let literal = matches!(inner, Expr::Value(value)
        if matches!(value.value, Value::SingleQuotedString(_) | Value::Placeholder(_)));
    let function = match (name.as_str(), literal) {
        ("regclass", true) => "to_regclass_oid",
        ("regclass", false) => "regclass_out",
        ("regtype", true) => "to_regtype_oid",
        ("regtype", false) => "regtype_out",
        ("regproc", true) => "to_regproc_oid",
        ("regproc", false) => "regproc_out",
        ("regprocedure", true) => "to_regprocedure_oid",
        ("regprocedure", false) => "regprocedure_out",
        ("regoper", _) => "regoper_out",
        ("regoperator", _) => "regoperator_out",
        ("regcollation", _) => "regcollation_out",
        ("regnamespace", true) => "to_regnamespace_oid",
        ("regnamespace", false) => "regnamespace_out",
        ("regrole", true) => "to_regrole_oid",
        ("regrole", false) => "pg_get_userbyid",
        _ => {
            if let Some(plain) = plain_type(data_type) {
                *data_type = plain;
            }
            return None;
        }
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

/// The engine's type for a PostgreSQL type name; `None` where the name is already one.
fn plain_type(data_type: &DataType) -> Option<DataType> {
    let name = catalog_type_name(data_type)?;
    Some(match name.as_str() {
        "oid" | "xid" | "cid" => DataType::IntUnsigned(None),
        "name" | "text" | "cstring" | "unknown" | "json" | "jsonb" | "varchar" | "bpchar"
        | "char" | "pg_node_tree" | "aclitem" | "citext" => DataType::Text,
        "int4" | "integer" => DataType::Int(None),
        "int2" | "smallint" => DataType::SmallInt(None),
        "int8" | "bigint" => DataType::BigInt(None),
        "float4" => DataType::Real,
        "float8" => DataType::DoublePrecision,
        "bool" | "boolean" => DataType::Boolean,
        "date" => DataType::Date,
        "bytea" => DataType::Bytea,
        "numeric" => DataType::Numeric(sqlparser::ast::ExactNumberInfo::None),
        "timestamptz" => DataType::Timestamp(None, sqlparser::ast::TimezoneInfo::WithTimeZone),
        "timestamp" => DataType::Timestamp(None, sqlparser::ast::TimezoneInfo::None),
        "interval" => DataType::Interval { fields: None, precision: None },
        _ => return None,
    })
}
