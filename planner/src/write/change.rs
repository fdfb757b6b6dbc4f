//! UPDATE and DELETE.

use arrow::datatypes::Schema;
use sqlparser::ast::{
    self, AssignmentTarget, Expr, FromTable, ObjectName, SelectItem, SetExpr, TableFactor,
    TableWithJoins,
};
use tarn_catalog::memory::TableDetails;

use super::insert::{column_index, default_expr, is_default};
use super::tree::{
    alias_of, column_of, named, quoted, returning_query, row_number, select_query, table_alias,
    target_query,
};
use super::{Effect, WriteQuery, generated_only};
use crate::error::{PlannerError, Result};
use crate::rewrite::{call, has_aggregate};
use crate::statement::fold;

pub(super) fn update_query(
    update: &ast::Update,
    table: &str,
    schema: &Schema,
    details: &TableDetails,
) -> Result<WriteQuery> {
    if update.or.is_some() || !update.order_by.is_empty() || update.limit.is_some() {
        return Err(PlannerError::unsupported("UPDATE with OR, ORDER BY or LIMIT"));
    }
    let mut subqueries = Subqueries::default();
    let mut assignments = update.assignments.clone();
    subqueries.take(&mut assignments)?;
    let assigned = self::assignments(&assignments, table, schema, details)?;
    let others = match &update.from {
        Some(
            ast::UpdateTableFromKind::AfterSet(from) | ast::UpdateTableFromKind::BeforeSet(from),
        ) => from.clone(),
        None => vec![],
    };
    let alias = alias_of(&update.table.relation, table);
    // All columns, so that a row can be written anew where it is not changed in its place.
    let values = schema.fields().iter().enumerate().map(|(at, field)| {
        let new = assigned.iter().find(|(index, _)| *index == at).map(|(_, expr)| expr.clone());
        let expr = new.unwrap_or_else(|| column_of(&alias, field.name()));
        named(expr, &format!("tarn value {at}"))
    });
    let items = std::iter::once(row_number(&alias)).chain(values).collect();
    let (returning, clause) = returning_query(update.returning.as_deref(), &alias, &others);
    let others = others.into_iter().chain(subqueries.relations).collect();
    let query = target_query(items, &alias, others, update.selection.clone());
    Ok(WriteQuery {
        alias,
        has_old: false,
        clause,
        others: vec![],
        keeps_more: false,
        query: Some(query),
        effect: Effect::Update,
        returning,
        replaces: None,
        columns: (0..schema.fields().len()).collect(),
        assigned: assigned.into_iter().map(|(index, _)| index).collect(),
        by_name: false,
    })
}

pub(super) fn delete_query(
    delete: &ast::Delete,
    table: &str,
    schema: &Schema,
) -> Result<WriteQuery> {
    if !delete.order_by.is_empty() || delete.limit.is_some() || !delete.tables.is_empty() {
        return Err(PlannerError::unsupported("DELETE with ORDER BY or LIMIT"));
    }
    let alias = alias_of(&delete_table(delete)?.relation, table);
    let others = delete.using.clone().unwrap_or_default();
    let (returning, clause) = returning_query(delete.returning.as_deref(), &alias, &others);
    let mut items = vec![row_number(&alias)];
    let mut columns = vec![];
    if returning.is_some() {
        items.extend(old_values(&alias, schema));
        columns = (0..schema.fields().len()).collect();
    }
    let query = target_query(items, &alias, others, delete.selection.clone());
    Ok(WriteQuery {
        alias,
        has_old: false,
        clause,
        others: vec![],
        keeps_more: false,
        query: Some(query),
        effect: Effect::Delete,
        returning,
        replaces: None,
        columns,
        assigned: vec![],
        by_name: false,
    })
}

/// The target's columns as they are.
fn old_values<'a>(
    alias: &'a ast::Ident,
    schema: &'a Schema,
) -> impl Iterator<Item = SelectItem> + 'a {
    schema
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| named(column_of(alias, field.name()), &format!("tarn value {at}")))
}

/// Which columns get which values.
pub(super) fn assignments(
    assignments: &[ast::Assignment],
    table: &str,
    schema: &Schema,
    details: &TableDetails,
) -> Result<Vec<(usize, Expr)>> {
    let mut found: Vec<(usize, Expr)> = Vec::new();
    let mut assign = |name: &ObjectName, value: &Expr| -> Result<()> {
        let Some(ident) = name.0.last().and_then(|part| part.as_ident()) else { return Ok(()) };
        let name = fold(ident);
        let index = column_index(schema, &name, table)?;
        if found.iter().any(|(at, _)| *at == index) {
            return Err(PlannerError::Semantics {
                code: "42601",
                message: format!("multiple assignments to same column \"{name}\""),
                position: None,
            });
        }
        if details.generated_of(index).is_some() {
            if is_default(value) {
                return Ok(());
            }
            return Err(generated_only(&name, true));
        }
        let value = if is_default(value) { default_expr(details, index)? } else { value.clone() };
        found.push((index, value));
        Ok(())
    };
    for assignment in assignments {
        match (&assignment.target, unnested(assignment)) {
            (AssignmentTarget::ColumnName(name), value) => assign(name, value)?,
            (AssignmentTarget::Tuple(names), Expr::Subquery(query)) => {
                for (at, name) in names.iter().enumerate() {
                    assign(name, &one_column(query, at, names.len())?)?;
                }
            }
            (AssignmentTarget::Tuple(names), value) => {
                let values = row_values(value, names.len())?;
                if names.len() != values.len() {
                    return Err(PlannerError::Semantics {
                        code: "42601",
                        message: "number of columns does not match number of values".to_owned(),
                        position: None,
                    });
                }
                for (name, value) in names.iter().zip(&values) {
                    assign(name, value)?;
                }
            }
        }
    }
    Ok(found)
}

/// The value; that of a row without more parentheses than one pair.
pub(super) fn unnested(assignment: &ast::Assignment) -> &Expr {
    let mut value = &assignment.value;
    while let (AssignmentTarget::Tuple(_), Expr::Nested(inner)) = (&assignment.target, value) {
        value = inner;
    }
    value
}

/// The values of `(1, 2)`, `ROW (1, 2)` and `(1)`.
pub(super) fn row_values(value: &Expr, n_columns: usize) -> Result<Vec<Expr>> {
    match value {
        Expr::Tuple(values) => Ok(values.clone()),
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => {
            let ast::FunctionArguments::List(list) = &function.args else { return Ok(vec![]) };
            let values = list.args.iter().filter_map(|arg| match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            });
            Ok(values.collect())
        }
        other if n_columns == 1 => Ok(vec![other.clone()]),
        _ => Err(PlannerError::Semantics {
            code: "0A000",
            message: "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() \
                      expression"
                .to_owned(),
            position: None,
        }),
    }
}

/// One column of a subquery that gives values to several.
fn one_column(query: &ast::Query, at: usize, n_columns: usize) -> Result<Expr> {
    let refused = || PlannerError::unsupported("UPDATE … SET (a, b) = a subquery of this form");
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else { return Err(refused()) };
    let plain = |item: &SelectItem| {
        matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
    };
    if select.distinct.is_some() || !select.projection.iter().all(plain) {
        return Err(refused());
    }
    if select.projection.len() != n_columns {
        return Err(PlannerError::Semantics {
            code: "42601",
            message: "number of columns does not match number of values".to_owned(),
            position: None,
        });
    }
    let aggregated = select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            has_aggregate(expr)
        }
        _ => false,
    });
    let ungrouped =
        matches!(&select.group_by, ast::GroupByExpr::Expressions(by, _) if by.is_empty());
    if aggregated && ungrouped && select.having.is_none() {
        // The column alone may have no aggregate that makes one row of all.
        let number = |digits: &str| Expr::value(ast::Value::Number(digits.to_owned(), false));
        select.having = Some(Expr::BinaryOp {
            left: Box::new(call("count", vec![number("1")])),
            op: ast::BinaryOperator::GtEq,
            right: Box::new(number("0")),
        });
    }
    select.projection = select.projection.drain(..).skip(at).take(1).collect();
    Ok(Expr::Subquery(Box::new(query)))
}

/// Subqueries that give values to several columns, as relations beside the target:
///
/// ```text
/// SET (a, b) = (SELECT x, y …)
///     SET a = s.v0, b = s.v1
///     FROM target, LATERAL (SELECT single_value(v0) AS v0, single_value(v1) AS v1
///                           FROM (SELECT x, y …) AS q (v0, v1)) AS s
/// ```
/// The values are those of one row then, and the subquery runs once.
#[derive(Default)]
struct Subqueries {
    relations: Vec<TableWithJoins>,
}

impl Subqueries {
    fn take(&mut self, assignments: &mut [ast::Assignment]) -> Result<()> {
        for assignment in assignments {
            let (AssignmentTarget::Tuple(names), Expr::Subquery(query)) =
                (&assignment.target, unnested(assignment))
            else {
                continue;
            };
            check_columns(query, names.len())?;
            let relation = quoted(&format!("tarn set {}", self.relations.len()));
            let column = |at: usize| format!("v{at}");
            let values: Vec<SelectItem> = (0..names.len())
                .map(|at| {
                    let value = Expr::Identifier(quoted(&column(at)));
                    named(call("single_value", vec![value]), &column(at))
                })
                .collect();
            let mut rows = table_alias(quoted("tarn rows"));
            rows.columns = (0..names.len())
                .map(|at| ast::TableAliasColumnDef::from_name(column(at)))
                .collect();
            let rows = TableFactor::Derived {
                lateral: false,
                subquery: query.clone(),
                alias: Some(rows),
                sample: None,
            };
            let one = select_query(values, TableWithJoins { relation: rows, joins: vec![] });
            let source = TableFactor::Derived {
                lateral: true,
                subquery: one,
                alias: Some(table_alias(relation.clone())),
                sample: None,
            };
            self.relations.push(TableWithJoins { relation: source, joins: vec![] });
            let columns = (0..names.len()).map(|at| column_of(&relation, &column(at)));
            assignment.value = Expr::Tuple(columns.collect());
        }
        Ok(())
    }
}

/// Checks the number of a subquery's columns, as far as they are written out.
fn check_columns(query: &ast::Query, n_columns: usize) -> Result<()> {
    let SetExpr::Select(select) = query.body.as_ref() else { return Ok(()) };
    let plain = |item: &SelectItem| {
        matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
    };
    if select.projection.len() == n_columns || !select.projection.iter().all(plain) {
        return Ok(());
    }
    Err(PlannerError::Semantics {
        code: "42601",
        message: "number of columns does not match number of values".to_owned(),
        position: None,
    })
}

/// The name of a table without joins.
pub(super) fn factor_name(table: &TableWithJoins) -> Result<&ObjectName> {
    if !table.joins.is_empty() {
        return Err(PlannerError::unsupported(format!("writing to {table}")));
    }
    plain_name(&table.relation)
}

/// The name of a plain table.
pub(super) fn plain_name(factor: &TableFactor) -> Result<&ObjectName> {
    match factor {
        TableFactor::Table { name, args: None, version: None, .. } => Ok(name),
        other => Err(PlannerError::unsupported(format!("writing to {other}"))),
    }
}

pub(super) fn delete_table(delete: &ast::Delete) -> Result<&TableWithJoins> {
    let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
    match tables.as_slice() {
        [table] => Ok(table),
        _ => Err(PlannerError::unsupported("DELETE from several tables")),
    }
}
