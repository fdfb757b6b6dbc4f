//! Functions in FROM, and arrays made from them.

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, LambdaFunction, LambdaFunctionParameter,
    LambdaSyntax, ObjectName, ObjectNamePart, OneOrManyWithParens, Query, SelectItem, SetExpr,
    TableAlias, TableAliasColumnDef, TableFactor,
};

use super::call;
use crate::statement::fold;

/// `pg_catalog.f(x)` in FROM is `f(x)`; `unnest(x)` gets the shape that the planner knows.
pub(super) fn rewrite(factor: &mut TableFactor) {
    unqualify(factor);
    if let TableFactor::UNNEST { alias: Some(alias), array_exprs, with_ordinality: false, .. } =
        factor
    {
        // The one column is called as the relation is.
        if let ([_], []) = (array_exprs.as_slice(), alias.columns.as_slice()) {
            alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
        }
    }
}

fn unqualify(factor: &mut TableFactor) {
    let TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } = factor else {
        return;
    };
    let plain = match name.0.as_slice() {
        [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(function)]
            if fold(schema) == "pg_catalog" =>
        {
            function.clone()
        }
        [ObjectNamePart::Identifier(function)] => function.clone(),
        _ => return,
    };
    if fold(&plain) != "unnest" {
        *name = ObjectName::from(vec![plain]);
        return;
    }
    let arrays = args.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(array)) => Some(array.clone()),
        _ => None,
    });
    let Some(array_exprs) = arrays.collect::<Option<Vec<_>>>() else { return };
    *factor = TableFactor::UNNEST {
        alias: alias.take(),
        array_exprs,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: *with_ordinality,
    };
}

/// `ARRAY(SELECT e FROM unnest(a) AS x)` is `array_transform(a, x -> e)`, which may stand anywhere,
/// while the planner takes no `unnest` over a column of an outer query.
pub(super) fn array_from_unnest(query: &Query) -> Option<Expr> {
    if query.with.is_some() || query.limit_clause.is_some() || query.order_by.is_some() {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let ([item], [from]) = (select.projection.as_slice(), select.from.as_slice()) else {
        return None;
    };
    let (SelectItem::UnnamedExpr(body) | SelectItem::ExprWithAlias { expr: body, .. }) = item
    else {
        return None;
    };
    let mut factor = from.relation.clone();
    rewrite(&mut factor);
    let TableFactor::UNNEST { alias: Some(alias), array_exprs, with_ordinality: false, .. } =
        factor
    else {
        return None;
    };
    let [array] = array_exprs.as_slice() else { return None };
    let filtered = select.selection.is_some() || select.distinct.is_some();
    if filtered || !from.joins.is_empty() {
        return None;
    }
    let parameter = column_of(&alias)?;
    if matches!(body, Expr::Identifier(column) if fold(column) == fold(&parameter)) {
        return Some(array.clone());
    }
    let lambda = Expr::Lambda(LambdaFunction {
        params: OneOrManyWithParens::One(LambdaFunctionParameter {
            name: parameter,
            data_type: None,
        }),
        body: Box::new(body.clone()),
        syntax: LambdaSyntax::Arrow,
    });
    Some(call("array_transform", vec![array.clone(), lambda]))
}

/// The name of the one column: of a table `t(x)` it is `x`, of a table `x` it is `x` too.
fn column_of(alias: &TableAlias) -> Option<Ident> {
    match alias.columns.as_slice() {
        [] => Some(alias.name.clone()),
        [column] => Some(column.name.clone()),
        _ => None,
    }
}
