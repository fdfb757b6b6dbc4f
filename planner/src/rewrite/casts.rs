//! Casts to PostgreSQL's catalog types, qualified functions and operators, collations.

use sqlparser::ast::{BinaryOperator, DataType, Expr, Function, ObjectName, ObjectNamePart, Value};

use super::call;
use crate::statement::fold;

/// Rewrites one expression after its children.
pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        // One collation exists, "C"-like code point order, so a COLLATE clause changes nothing.
        Expr::Collate { expr: inner, .. } => *expr = take(inner),
        Expr::BinaryOp { op, .. } => rewrite_operator(op),
        Expr::AnyOp { compare_op, .. } | Expr::AllOp { compare_op, .. } => {
            rewrite_operator(compare_op);
        }
        Expr::Function(function) => unqualify(function),
        Expr::Cast { expr: inner, data_type, array: false, .. } => {
            if let Some(replaced) = rewrite_cast(inner, data_type) {
                *expr = replaced;
            }
        }
        _ => {}
    }
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

fn rewrite_cast(inner: &mut Expr, data_type: &mut DataType) -> Option<Expr> {
    if let DataType::Array(element) = data_type {
        if let sqlparser::ast::ArrayElemTypeDef::SquareBracket(inner_type, _) = element {
            if let Some(plain) = plain_type(inner_type) {
                **inner_type = plain;
            }
        }
        return None;
    }
    let name = catalog_type_name(data_type)?;
    let literal = matches!(inner, Expr::Value(v) if matches!(v.value, Value::SingleQuotedString(_)));
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
        "name" | "text" | "cstring" | "unknown" | "json" | "jsonb" | "varchar" | "bpchar" | "char"
        | "pg_node_tree" | "aclitem" | "citext" => DataType::Text,
        "int4" | "integer" => DataType::Int(None),
        "int2" | "smallint" => DataType::SmallInt(None),
        "int8" | "bigint" => DataType::BigInt(None),
        "float4" => DataType::Real,
        "float8" => DataType::DoublePrecision,
        "bool" | "boolean" => DataType::Boolean,
        "date" => DataType::Date,
        "bytea" => DataType::Bytea,
        "numeric" => DataType::Numeric(sqlparser::ast::ExactNumberInfo::None),
        "timestamptz" => {
            DataType::Timestamp(None, sqlparser::ast::TimezoneInfo::WithTimeZone)
        }
        "timestamp" => DataType::Timestamp(None, sqlparser::ast::TimezoneInfo::None),
        "interval" => DataType::Interval { fields: None, precision: None },
        _ => return None,
    })
}
