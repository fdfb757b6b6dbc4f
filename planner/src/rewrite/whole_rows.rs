//! Relations as values: `SELECT row_to_json(t) FROM t`, `t IS NULL`.
//!
//! ```text
//! row_to_json(t)     row_to_json(named_struct('a', t.a, 'b', t.b))
//! t IS NULL          t.a IS NULL AND t.b IS NULL
//! ```
//!
//! It runs when the relations are bound, as the columns must be known. A relation without a known
//! list of columns stays a name that the planner does not find.

use std::ops::ControlFlow;

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Ident, Query, Select, SelectItem, SetExpr, Statement as Ast,
    TableFactor, Value,
};

use super::names::strip_suffix;
use super::rows::join_column_name;
use super::{call, records};
use crate::provider::Tables;
use crate::statement::fold;
use crate::walk::{self, Editor};

/// Rewrites relations that stand for their rows.
pub(crate) fn rewrite(ast: &mut Ast, tables: &Tables) {
    // Nothing breaks this walk.
    let _ = walk::edit_statement(ast, &mut Selects { tables });
}

struct Selects<'a> {
    tables: &'a Tables,
}

impl Editor for Selects<'_> {
    fn enter_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        records::populate(select, self.tables);
        let relations = relations(select, self.tables);
        if relations.iter().all(|relation| relation.columns.is_none()) {
            return ControlFlow::Continue(());
        }
        let joined = select.from.len() > 1 || select.from.iter().any(|from| !from.joins.is_empty());
        let mut rows = Rows { relations, joined, depth: 0 };
        for item in &mut select.projection {
            match item {
                SelectItem::UnnamedExpr(Expr::Identifier(name)) if rows.find(name).is_some() => {
                    let alias = Ident::with_quote('"', fold(name));
                    let mut expr = Expr::Identifier(name.clone());
                    let _ = walk::edit_expr(&mut expr, &mut rows);
                    *item = SelectItem::ExprWithAlias { expr, alias };
                }
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    let _ = walk::edit_expr(expr, &mut rows);
                }
                _ => {}
            }
        }
        for expr in select.selection.iter_mut().chain(&mut select.having) {
            let _ = walk::edit_expr(expr, &mut rows);
        }
        ControlFlow::Continue(())
    }
}

/// A relation of FROM and its columns where they are known.
struct Relation {
    name: String,
    columns: Option<Vec<String>>,
}

fn relations(select: &Select, tables: &Tables) -> Vec<Relation> {
    let joined = select.from.iter().flat_map(|tables| {
        std::iter::once(&tables.relation).chain(tables.joins.iter().map(|join| &join.relation))
    });
    joined.filter_map(|factor| relation(factor, tables)).collect()
}

fn relation(factor: &TableFactor, tables: &Tables) -> Option<Relation> {
    match factor {
        TableFactor::Table { name, alias, args: None, .. } => {
            let parts: Vec<String> =
                name.0.iter().filter_map(|part| part.as_ident()).map(fold).collect();
            let (table, schema) = parts.split_last()?;
            let key = (schema.last().cloned(), table.clone());
            let columns = tables.get(&key).map(|source| {
                source.schema().fields().iter().map(|field| field.name().clone()).collect()
            });
            let (name, renamed) = match alias {
                Some(alias) => (fold(&alias.name), !alias.columns.is_empty()),
                None => (table.clone(), false),
            };
            Some(Relation { name, columns: columns.filter(|_| !renamed) })
        }
        TableFactor::Derived { subquery, alias: Some(alias), .. } => {
            let columns = if alias.columns.is_empty() {
                outputs(&subquery.body)
            } else {
                Some(alias.columns.iter().map(|column| fold(&column.name)).collect())
            };
            Some(Relation { name: fold(&alias.name), columns })
        }
        _ => None,
    }
}

fn outputs(body: &SetExpr) -> Option<Vec<String>> {
    match body {
        SetExpr::Select(select) => select
            .projection
            .iter()
            .map(|item| match item {
                SelectItem::ExprWithAlias { alias, .. } => {
                    Some(fold(alias)).filter(|name| strip_suffix(name) == name)
                }
                SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(fold(name)),
                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(fold),
                _ => None,
            })
            .collect(),
        SetExpr::SetOperation { left, .. } => outputs(left),
        SetExpr::Query(query) => outputs(&query.body),
        _ => None,
    }
}

struct Rows {
    relations: Vec<Relation>,
    /// Whether a relation may have no row, as on the outer side of a join.
    joined: bool,
    depth: usize,
}

impl Rows {
    /// The columns of the relation that a name stands for; a column of that name goes first.
    fn find(&self, name: &Ident) -> Option<(Ident, &[String])> {
        let wanted = fold(name);
        let is_column =
            |relation: &Relation| relation.columns.as_ref().is_some_and(|c| c.contains(&wanted));
        if self.relations.iter().any(is_column) {
            return None;
        }
        let relation = self.relations.iter().find(|relation| relation.name == wanted)?;
        let columns = relation.columns.as_deref().filter(|columns| !columns.is_empty())?;
        Some((Ident::with_quote('"', wanted), columns))
    }

    fn tests(&self, name: &Ident, test: impl Fn(Box<Expr>) -> Expr) -> Option<Expr> {
        let (relation, columns) = self.find(name)?;
        let tests = columns.iter().map(|column| test(Box::new(field(&relation, column))));
        tests
            .reduce(|left, right| Expr::BinaryOp {
                left: Box::new(left),
                op: BinaryOperator::And,
                right: Box::new(right),
            })
            .map(|all| Expr::Nested(Box::new(all)))
    }

    fn value(&self, name: &Ident) -> Option<Expr> {
        let (relation, columns) = self.find(name)?;
        let mut members = Vec::new();
        for column in columns {
            members.push(Expr::value(Value::SingleQuotedString(column.clone())));
            members.push(field(&relation, column));
        }
        let row = call("named_struct", members);
        if !self.joined {
            return Some(row);
        }
        Some(Expr::Case {
            case_token: AttachedToken::empty(),
            end_token: AttachedToken::empty(),
            operand: None,
            conditions: vec![CaseWhen {
                condition: Expr::UnaryOp {
                    op: sqlparser::ast::UnaryOperator::Not,
                    expr: Box::new(self.tests(name, Expr::IsNull)?),
                },
                result: row,
            }],
            else_result: None,
        })
    }
}

fn field(relation: &Ident, column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![relation.clone(), Ident::with_quote('"', column)])
}

impl Editor for Rows {
    fn enter_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn leave_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        join_column_name(expr);
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let replaced = match expr {
            Expr::IsNull(inner) => match inner.as_ref() {
                Expr::Identifier(name) => self.tests(name, Expr::IsNull),
                _ => None,
            },
            Expr::IsNotNull(inner) => match inner.as_ref() {
                Expr::Identifier(name) => self.tests(name, Expr::IsNotNull),
                _ => None,
            },
            Expr::Identifier(name) => self.value(name),
            _ => None,
        };
        if let Some(replaced) = replaced {
            *expr = replaced;
        }
        ControlFlow::Continue(())
    }
}
