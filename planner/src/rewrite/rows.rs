//! Rows: `(a, b) = (c, d)`, `(a, b) IN (…)`, `ROW(a, b)`, `(t).c`.
//!
//! ```text
//! (a, b) < (c, d)                a < c OR (a = c AND b < d)
//! (a, b) IN ((1, 2), (3, 4))     (a = 1 AND b = 2) OR (a = 3 AND b = 4)
//! (a, b) IN (SELECT x, y …)      (SELECT CASE WHEN bool_or(…) … FROM (SELECT x, y …) AS q)
//! ROW(a, b)                      named_struct('f1', a, 'f2', b)
//! (t).c                          t.c
//! ```

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, Query, SelectItem, SetExpr, UnaryOperator, Value,
};

use super::call;
use super::subqueries::derived;
use crate::statement::fold;

/// Rewrites one expression before its children.
pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::Overlaps, right } => {
            // Before the periods are taken for values.
            if let (Some(mut args), Some(second)) = (items(left), items(right)) {
                args.extend(second);
                *expr = call("overlaps", args);
            }
        }
        Expr::Like { negated, any: true, expr: tested, pattern, .. } => {
            let op =
                if *negated { BinaryOperator::PGNotLikeMatch } else { BinaryOperator::PGLikeMatch };
            *expr = any(tested, op, pattern);
        }
        Expr::ILike { negated, any: true, expr: tested, pattern, .. } => {
            let op = if *negated {
                BinaryOperator::PGNotILikeMatch
            } else {
                BinaryOperator::PGILikeMatch
            };
            *expr = any(tested, op, pattern);
        }
        Expr::BinaryOp { left, op, right } => {
            if let (Some(left), Some(right)) = (items(left), items(right))
                && let Some(compared) = compare(&left, op, &right)
            {
                // A different number of items is found in `checks`.
                *expr = nested(compared);
            }
        }
        Expr::InList { expr: tested, list, negated } => {
            if let Some(tested) = items(tested)
                && let Some(rows) = list.iter().map(items).collect::<Option<Vec<_>>>()
            {
                let equal = |row: &Vec<Expr>| compare(&tested, &BinaryOperator::Eq, row);
                let terms = rows.iter().map(equal).collect::<Option<Vec<_>>>();
                if let Some(any) = terms.and_then(|terms| join(terms, &BinaryOperator::Or)) {
                    *expr = if *negated { not(nested(any)) } else { nested(any) };
                }
            }
        }
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
            if let Some(items) = items(inner) {
                let is_null = matches!(expr, Expr::IsNull(_));
                let test = |item: Expr| {
                    let item = Box::new(item);
                    if is_null { Expr::IsNull(item) } else { Expr::IsNotNull(item) }
                };
                let tests = items.into_iter().map(test).collect();
                if let Some(all) = join(tests, &BinaryOperator::And) {
                    *expr = nested(all);
                }
            }
        }
        Expr::InSubquery { expr: tested, subquery, negated } => {
            if let Some(tested) = items(tested) {
                let test = member(&tested, subquery);
                *expr = if *negated { not(test) } else { test };
            }
        }
        Expr::CompoundFieldAccess { root, access_chain } => {
            if let Some(column) = field_of_relation(root, access_chain) {
                *expr = column;
            }
        }
        _ => {}
    }
}

/// `x LIKE ANY (a)`.
fn any(tested: &Expr, compare_op: BinaryOperator, pattern: &Expr) -> Expr {
    let right = match pattern {
        Expr::Nested(inner) => inner.as_ref(),
        other => other,
    };
    Expr::AnyOp {
        left: Box::new(tested.clone()),
        compare_op,
        right: Box::new(right.clone()),
        is_some: false,
    }
}

/// What is left after all comparisons: rows as values.
pub(super) fn rewrite_value(expr: &mut Expr) {
    let Some(items) = items(expr) else { return };
    let mut members = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        let name = Value::SingleQuotedString(format!("f{}", at + 1));
        members.extend([Expr::value(name), item]);
    }
    if !members.is_empty() {
        *expr = call("named_struct", members);
    }
}

/// The items of a row constructor.
pub(super) fn items(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(items) => Some(items.clone()),
        Expr::Function(function) if is_row(function) => {
            let FunctionArguments::List(list) = &function.args else { return None };
            list.args
                .iter()
                .map(|arg| match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(item)) => Some(item.clone()),
                    _ => None,
                })
                .collect()
        }
        _ => None,
    }
}

fn is_row(function: &Function) -> bool {
    let [name] = function.name.0.as_slice() else { return false };
    name.as_ident().is_some_and(|name| name.quote_style.is_none() && fold(name) == "row")
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

fn not(expr: Expr) -> Expr {
    nested(Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) })
}

fn binary(left: &Expr, op: &BinaryOperator, right: &Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left.clone()), op: op.clone(), right: Box::new(right.clone()) }
}

fn join(terms: Vec<Expr>, op: &BinaryOperator) -> Option<Expr> {
    terms.into_iter().reduce(|left, right| binary(&left, op, &right))
}

fn compare(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Option<Expr> {
    use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
    if left.len() != right.len() || left.is_empty() {
        return None;
    }
    let pairs = || left.iter().zip(right);
    match op {
        Eq => join(pairs().map(|(left, right)| binary(left, &Eq, right)).collect(), &And),
        NotEq => join(pairs().map(|(left, right)| binary(left, &NotEq, right)).collect(), &Or),
        Lt | LtEq | Gt | GtEq => {
            let strict = if matches!(op, Lt | LtEq) { Lt } else { Gt };
            let mut found: Option<Expr> = None;
            for (left, right) in pairs().rev() {
                found = Some(match found {
                    None => binary(left, op, right),
                    Some(rest) => {
                        let tie = binary(&binary(left, &Eq, right), &And, &nested(rest));
                        binary(&binary(left, &strict, right), &Or, &nested(tie))
                    }
                });
            }
            found
        }
        _ => None,
    }
}

/// `(a, b) IN (SELECT x, y …)`: true for a match, else NULL for a row that may match, else false.
fn member(tested: &[Expr], subquery: &Query) -> Expr {
    let names: Vec<String> = (0..tested.len()).map(|at| format!("member{at}")).collect();
    let columns: Vec<&str> = names.iter().map(String::as_str).collect();
    let equal = tested.iter().zip(&names).map(|(tested, name)| {
        let table = Ident::with_quote('"', "q");
        let column = Expr::CompoundIdentifier(vec![table, Ident::with_quote('"', name.clone())]);
        binary(&column, &BinaryOperator::Eq, tested)
    });
    let equal = join(equal.collect(), &BinaryOperator::And)
        .map_or_else(|| Expr::value(Value::Boolean(true)), nested);
    let any = |expr: Expr| call("bool_or", vec![expr]);
    let when = |condition: Expr, result: Value| CaseWhen { condition, result: Expr::value(result) };
    let unknown = Expr::IsNull(Box::new(equal.clone()));
    let value = Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![when(any(equal), Value::Boolean(true)), when(any(unknown), Value::Null)],
        else_result: Some(Box::new(Expr::value(Value::Boolean(false)))),
    };
    let query = derived(Box::new(subquery.clone()), SelectItem::UnnamedExpr(value), &columns);
    Expr::Subquery(query)
}

/// `(a, b) IN (SELECT x, y …)` as a term of WHERE, where unknown is as good as false.
pub(super) fn member_term(tested: &Expr, subquery: &Query) -> Option<Expr> {
    let tested = items(tested)?;
    let Expr::Subquery(mut query) = member(&tested, subquery) else { return None };
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let names = (0..tested.len()).map(|at| format!("member{at}"));
    let equal = tested.iter().zip(names).map(|(tested, name)| {
        let table = Ident::with_quote('"', "q");
        let column = Expr::CompoundIdentifier(vec![table, Ident::with_quote('"', name)]);
        binary(&column, &BinaryOperator::Eq, tested)
    });
    select.selection = join(equal.collect(), &BinaryOperator::And);
    select.projection =
        vec![SelectItem::UnnamedExpr(Expr::value(Value::Number("1".to_owned(), false)))];
    Some(Expr::Exists { subquery: query, negated: false })
}

/// `t.a[1]`: the column becomes one name, so that `t` is not taken for the relation's row.
pub(super) fn join_column_name(expr: &mut Expr) {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return };
    let Expr::Identifier(first) = root.as_ref() else { return };
    let mut parts = vec![first.clone()];
    for access in access_chain.iter() {
        let AccessExpr::Dot(Expr::Identifier(part)) = access else { break };
        parts.push(part.clone());
    }
    let n_joined = parts.len() - 1;
    if n_joined == 0 {
        return;
    }
    access_chain.drain(..n_joined);
    **root = Expr::CompoundIdentifier(parts);
    if access_chain.is_empty() {
        *expr = std::mem::replace(root.as_mut(), Expr::Identifier(Ident::new("")));
    }
}

/// `(t).c` is `t.c`: what stands in parentheses is a relation, or the planner says that it is not.
fn field_of_relation(root: &Expr, access: &[AccessExpr]) -> Option<Expr> {
    let Expr::Nested(inner) = root else { return None };
    let mut parts = match inner.as_ref() {
        Expr::Identifier(ident) => vec![ident.clone()],
        Expr::CompoundIdentifier(idents) => idents.clone(),
        _ => return None,
    };
    let [AccessExpr::Dot(Expr::Identifier(field))] = access else { return None };
    parts.push(field.clone());
    Some(Expr::CompoundIdentifier(parts))
}
