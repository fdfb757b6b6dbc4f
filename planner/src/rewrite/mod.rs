//! Rewrites of the syntax tree that bring PostgreSQL's SQL to what DataFusion plans.
//!
//! | module | before | after |
//! |---|---|---|
//! | `relations` | `t VERSION AS OF 2` | `"t@version 2" AS t`, with a list of what to look up |
//! | `names` | `SELECT count(*), a, a` | `SELECT count(*) AS count, a, a AS "a\u{1}1"` |
//! | `casts` | `x::regclass`, `pg_catalog.f(y)`, `a OPERATOR(pg_catalog.=) b` | `regclass_out(x)`, `f(y)`, `a = b` |
//! | `subqueries` | `(SELECT x FROM t WHERE …)`, `ARRAY(SELECT x …)` | `(SELECT single_value(x) …)`, `(SELECT array_agg(x) …)` |
//! | `correlation` | `(SELECT x FROM t WHERE t.a < o.a)` | `single_element(array_transform(array_filter(…)))` |
//! | `membership` | `x IN (SELECT …)` as a value | `is_member(x, (SELECT array_agg(…) …))` |
//! | `sets` | `ARRAY(SELECT e FROM unnest(a) AS x)` | `array_transform(a, x -> e)` |
//! | `system_columns` | `t.tableoid` | `to_regclass_oid('t')` |
//!
//! Nothing here matches the text of one client's query: each rule is about a construct.

mod casts;
mod correlation;
mod joins;
mod membership;
mod names;
mod relations;
mod sets;
mod subqueries;
mod system_columns;

use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, ObjectName, Query, Select, Statement as Ast, TableFactor};

pub use names::strip_suffix;
pub use relations::{Relation, RelationKey, TravelSpec};

use crate::error::{PlannerError, Result};
use crate::walk::{self, Editor};

/// A rewritten statement and the relations that it names.
#[derive(Debug)]
pub struct Rewritten {
    /// The tree for DataFusion's planner.
    pub ast: Ast,
    /// Every relation to look up, once each.
    pub relations: Vec<Relation>,
}

/// Applies all rewrites to a copy of `ast`.
///
/// # Errors
/// `Unsupported` for clauses that the planner below would ignore.
pub fn rewrite(ast: &Ast) -> Result<Rewritten> {
    let mut ast = ast.clone();
    let mut rewriter = Rewriter::default();
    // Whether the walk ended early is known from the error it left.
    let _ = walk::edit_statement(&mut ast, &mut rewriter);
    match rewriter.error {
        Some(error) => Err(error),
        None => Ok(Rewritten { ast, relations: rewriter.relations.finish() }),
    }
}

#[derive(Default)]
struct Rewriter {
    relations: relations::Collector,
    error: Option<PlannerError>,
}

impl Rewriter {
    fn flow(&mut self, result: Result<()>) -> ControlFlow<()> {
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

impl Editor for Rewriter {
    fn enter_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            self.relations.add_ctes(with);
        }
        if !query.locks.is_empty() {
            // Row locks have no meaning on immutable snapshots; PostgreSQL's clients add them freely.
            query.locks.clear();
        }
        let result = joins::check_set_operations(&query.body)
            .and_then(|()| subqueries::fetch_to_limit(query));
        self.flow(result)
    }

    fn enter_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        sets::rewrite(factor);
        let result = self.relations.visit(factor);
        self.flow(result)
    }

    fn enter_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        // Before relations are renamed, as the names are needed as written.
        system_columns::rewrite(select);
        if let Err(error) = joins::check(select) {
            return self.flow(Err(error));
        }
        membership::rewrite(select);
        ControlFlow::Continue(())
    }

    fn leave_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        names::name_outputs(select);
        ControlFlow::Continue(())
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        subqueries::rewrite(expr);
        ControlFlow::Continue(())
    }

    fn leave_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        casts::rewrite(expr);
        ControlFlow::Continue(())
    }
}

/// An unquoted call of a function by name.
pub(crate) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let arg = |expr| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr));
    Expr::Function(ast::Function {
        name: ObjectName::from(vec![ast::Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into_iter().map(arg).collect(),
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

#[cfg(test)]
mod tests;
