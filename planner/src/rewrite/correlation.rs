//! Subqueries correlated by something else than an equality, or with outer columns in the output.
//!
//! DataFusion decorrelates `inner = outer` only. The rows that satisfy the other conditions are
//! gathered into an array of structs and filtered where the outer columns are at hand:
//!
//! ```text
//! (SELECT t.name FROM t WHERE t.id = a.id AND t.coll <> a.coll)
//!   =>
//! single_element(
//!   array_transform(
//!     array_filter((SELECT array_agg(named_struct('value', t.name, 'k0', t.coll))
//!                   FROM t WHERE t.id = a.id),
//!                  r -> get_field(r, 'k0') <> a.coll),
//!     r -> get_field(r, 'value')),
//!   'name')
//! ```

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArgumentClause, FunctionArguments, Ident, LambdaFunction,
    LambdaFunctionParameter, LambdaSyntax, OneOrManyWithParens, OrderByExpr, Query, SelectItem,
    SetExpr, TableFactor, TableWithJoins, Value,
};
use tarn_catalog::{information_schema, pg_catalog};

use super::call;
use crate::statement::fold;
use crate::walk::{self, Editor, Reader};

/// The name of a row inside of the lambdas.
const ROW: &str = "subquery_row";

/// The rows of a subquery as an array of its one output; `None` where DataFusion can decorrelate
/// the subquery itself or nothing is known about it.
///
/// The caller has made sure that the subquery has one output, no grouping and no aggregate.
pub(super) fn as_array(query: &Query, order_by: &[OrderByExpr]) -> Option<Expr> {
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let inner = Inner::of(&select.from)?;
    let mut hard = Vec::new();
    let mut soft = Vec::new();
    for condition in select.selection.take().map(conjuncts).unwrap_or_default() {
        if inner.needs_filter(&condition) { hard.push(condition) } else { soft.push(condition) }
    }
    let [item] = select.projection.as_mut_slice() else { return None };
    let (SelectItem::UnnamedExpr(output) | SelectItem::ExprWithAlias { expr: output, .. }) = item
    else {
        return None;
    };
    let uses = inner.uses(output);
    let outer_output = uses.outer && !uses.subquery;
    if hard.is_empty() && !outer_output {
        return None;
    }
    let mut columns = Columns { inner: &inner, found: Vec::new() };
    let mut filter = all(hard);
    // Nothing breaks these walks.
    if let Some(filter) = &mut filter {
        let _ = walk::edit_expr(filter, &mut columns);
    }
    let mut members = Vec::new();
    let value = if outer_output {
        // The output is computed where the outer columns are.
        let mut value = output.clone();
        let _ = walk::edit_expr(&mut value, &mut columns);
        members.extend([text("value"), Expr::value(Value::Boolean(true))]);
        value
    } else {
        members.extend([text("value"), output.clone()]);
        field("value")
    };
    for (at, column) in columns.found.into_iter().enumerate() {
        members.extend([text(&key(at)), column]);
    }
    let aggregate = gather(members, order_by);
    *item = SelectItem::ExprWithAlias { expr: aggregate, alias: Ident::with_quote('"', "array") };
    select.selection = all(soft);
    query.order_by = None;
    let rows = Expr::Subquery(Box::new(query));
    let kept = match filter {
        Some(filter) => call("array_filter", vec![rows, lambda(filter)]),
        None => rows,
    };
    Some(call("array_transform", vec![kept, lambda(value)]))
}

/// The rows as an array of structs with these members.
fn gather(members: Vec<Expr>, order_by: &[OrderByExpr]) -> Expr {
    let mut aggregate = call("array_agg", vec![call("named_struct", members)]);
    if let Expr::Function(function) = &mut aggregate
        && let (FunctionArguments::List(list), false) = (&mut function.args, order_by.is_empty())
    {
        list.clauses.push(FunctionArgumentClause::OrderBy(order_by.to_vec()));
    }
    aggregate
}

fn key(at: usize) -> String {
    format!("k{at}")
}

fn text(value: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(value.to_owned()))
}

fn field(name: &str) -> Expr {
    call("get_field", vec![Expr::Identifier(Ident::new(ROW)), text(name)])
}

fn lambda(body: Expr) -> Expr {
    let parameter = LambdaFunctionParameter { name: Ident::new(ROW), data_type: None };
    Expr::Lambda(LambdaFunction {
        params: OneOrManyWithParens::One(parameter),
        body: Box::new(body),
        syntax: LambdaSyntax::Arrow,
    })
}

/// The terms of a conjunction.
fn conjuncts(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let mut terms = conjuncts(*left);
            terms.extend(conjuncts(*right));
            terms
        }
        Expr::Nested(inner) if matches!(*inner, Expr::BinaryOp { op: BinaryOperator::And, .. }) => {
            conjuncts(*inner)
        }
        other => vec![other],
    }
}

/// The conjunction of terms; `None` for none.
fn all(terms: Vec<Expr>) -> Option<Expr> {
    terms.into_iter().reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    })
}

/// The relations of a subquery.
struct Inner {
    aliases: Vec<String>,
    /// The columns, where all relations are system relations; else names without a qualifier are
    /// taken for columns of the subquery.
    columns: Option<Vec<String>>,
}

impl Inner {
    fn of(from: &[TableWithJoins]) -> Option<Self> {
        let mut inner = Self { aliases: Vec::new(), columns: Some(Vec::new()) };
        for item in from {
            inner.add(&item.relation)?;
            for join in &item.joins {
                inner.add(&join.relation)?;
            }
        }
        (!inner.aliases.is_empty()).then_some(inner)
    }

    fn add(&mut self, factor: &TableFactor) -> Option<()> {
        let (alias, schema) = match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let parts: Vec<_> =
                    name.0.iter().filter_map(|part| part.as_ident()).map(fold).collect();
                let schema = match parts.as_slice() {
                    [schema, table] if schema == "information_schema" => {
                        information_schema::schema(table)
                    }
                    [schema, table] if schema == "pg_catalog" => pg_catalog::schema(table),
                    [table] => pg_catalog::schema(table),
                    _ => None,
                };
                let table = parts.last().cloned();
                (alias.as_ref().map(|alias| fold(&alias.name)).or(table)?, schema)
            }
            TableFactor::Derived { alias: Some(alias), .. } => (fold(&alias.name), None),
            _ => return None,
        };
        self.aliases.push(alias);
        match (schema, &mut self.columns) {
            (Some(schema), Some(columns)) => {
                columns.extend(schema.fields().iter().map(|field| field.name().clone()));
            }
            _ => self.columns = None,
        }
        Some(())
    }

    /// Whether a column belongs to the subquery; `None` for what is no column.
    fn owns(&self, expr: &Expr) -> Option<bool> {
        match expr {
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                // `alias.column`, `schema.table.column`
                [alias, _] | [_, alias, _] => Some(self.aliases.contains(&fold(alias))),
                _ => None,
            },
            Expr::Identifier(name) => {
                let known = |columns: &Vec<String>| columns.contains(&fold(name));
                Some(self.columns.as_ref().is_none_or(known))
            }
            _ => None,
        }
    }

    /// Whether a condition uses columns of the outer query in a way that DataFusion cannot
    /// decorrelate.
    fn needs_filter(&self, condition: &Expr) -> bool {
        let uses = self.uses(condition);
        if !uses.outer || uses.subquery {
            return false;
        }
        let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { return true };
        let (left, right) = (self.uses(left), self.uses(right));
        let separate = (left.inner && !left.outer && right.outer && !right.inner)
            || (left.outer && !left.inner && right.inner && !right.outer);
        !separate
    }

    fn uses(&self, expr: &Expr) -> Uses {
        let mut finder = Finder { inner: self, uses: Uses::default() };
        // Nothing breaks this walk.
        let _ = walk::read_expr(expr, &mut finder);
        finder.uses
    }
}

/// Whose columns an expression uses.
#[derive(Default)]
struct Uses {
    inner: bool,
    outer: bool,
    subquery: bool,
}

struct Finder<'a> {
    inner: &'a Inner,
    uses: Uses,
}

impl Reader for Finder<'_> {
    fn enter_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.uses.subquery = true;
        ControlFlow::Continue(())
    }

    fn enter_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match self.inner.owns(expr) {
            Some(true) => self.uses.inner = true,
            Some(false) => self.uses.outer = true,
            None => {}
        }
        ControlFlow::Continue(())
    }
}

/// Replaces the columns of the subquery by fields of the gathered struct.
struct Columns<'a> {
    inner: &'a Inner,
    found: Vec<Expr>,
}

impl Editor for Columns<'_> {
    fn leave_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.inner.owns(expr) == Some(true) {
            let at = self.found.iter().position(|known| known == expr);
            let at = at.unwrap_or_else(|| {
                self.found.push(expr.clone());
                self.found.len() - 1
            });
            *expr = field(&key(at));
        }
        ControlFlow::Continue(())
    }
}
