//! Names of outputs where there are none: HAVING and the expressions of ORDER BY see columns only.
//!
//! ```text
//! SELECT a % 2 AS odd, count(*) FROM t GROUP BY 1 HAVING odd = 1     42703
//! SELECT id AS k FROM t ORDER BY k + 1                               42703
//! ```
//! The engine puts the output in the place of its name and then fails over what is in it.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr};

use crate::error::PlannerError;
use crate::parser::char_offset;
use crate::statement::{Statement, fold};
use crate::walk::{self, Reader};

/// Where a name of an output may have been taken for a column.
#[derive(Clone, Copy)]
pub(super) enum Clause<'a> {
    /// HAVING, as which column the engine has read it.
    Having(&'a str),
    /// An expression of ORDER BY.
    OrderBy,
}

/// 42703 for the first output whose name such a clause of the statement uses.
pub(super) fn undefined(statement: &Statement, clause: Clause<'_>) -> Option<PlannerError> {
    let mut search = Search { clause, found: None };
    // Whether the walk ended early is known from what it found.
    let _ = walk::read_statement(statement.ast(), &mut search);
    let ident = search.found?;
    let place = ident.span.start;
    let position = (place.line > 0).then(|| char_offset(statement.source(), place) + 1);
    let name = format!("\"{}\"", fold(&ident));
    Some(PlannerError::UndefinedColumn { name, position, suggestion: None })
}

struct Search<'a> {
    clause: Clause<'a>,
    found: Option<Ident>,
}

impl Reader for Search<'_> {
    fn enter_query(&mut self, query: &Query) -> ControlFlow<()> {
        let SetExpr::Select(select) = query.body.as_ref() else {
            return ControlFlow::Continue(());
        };
        self.found = match self.clause {
            Clause::Having(column) => {
                let having = select.having.as_ref();
                having
                    .and_then(|having| named_output(select, having))
                    .filter(|ident| column.rsplit('.').next() == Some(fold(ident).as_str()))
            }
            Clause::OrderBy => {
                let keys = match query.order_by.as_ref().map(|order| &order.kind) {
                    Some(OrderByKind::Expressions(keys)) => keys.as_slice(),
                    _ => &[],
                };
                let keys = keys.iter().map(|key| &key.expr);
                let mut computed = keys.filter(|key| !matches!(key, Expr::Identifier(_)));
                computed.find_map(|key| named_output(select, key))
            }
        };
        if self.found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The first name in an expression that is one of the outputs' of a SELECT.
pub(crate) fn named_output(select: &Select, expr: &Expr) -> Option<Ident> {
    struct Names {
        outputs: Vec<String>,
        depth: usize,
        found: Option<Ident>,
    }
    impl Reader for Names {
        fn enter_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn leave_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn enter_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(ident)
                    if self.depth == 0 && self.outputs.contains(&fold(ident)) =>
                {
                    self.found = Some(ident.clone());
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    let outputs = select.projection.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
        _ => None,
    });
    let mut names = Names { outputs: outputs.collect(), depth: 0, found: None };
    // Whether the walk ended early is known from what it found.
    let _ = walk::read_expr(expr, &mut names);
    names.found
}
