//! Walks over the syntax tree with trait objects.
//!
//! sqlparser's visitors are generic, so each implementation of its traits compiles the walk
//! through several hundred types of the tree once more. There is one of each here, and
//! what calls it stays behind `dyn`.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Query, Select, SetExpr, Statement, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};

/// What is called on the way through a tree that stays as it is.
pub(crate) trait Reader {
    /// Before a query, nested or not.
    fn enter_query(&mut self, _query: &Query) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    /// After a query.
    fn leave_query(&mut self, _query: &Query) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    /// Before an item of FROM.
    fn enter_table_factor(&mut self, _factor: &TableFactor) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    /// Before an expression and its operands.
    fn enter_expr(&mut self, _expr: &Expr) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// What is called on the way through a tree that is changed.
pub(crate) trait Editor {
    /// Before a query, nested or not.
    fn enter_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    /// After a query.
    fn leave_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    /// Before a SELECT.
    fn enter_select(&mut self, _select: &mut Select) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    /// After a SELECT.
    fn leave_select(&mut self, _select: &mut Select) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    /// Before an item of FROM.
    fn enter_table_factor(&mut self, _factor: &mut TableFactor) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    /// Before an expression and its operands.
    fn enter_expr(&mut self, _expr: &mut Expr) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    /// After an expression and its operands.
    fn leave_expr(&mut self, _expr: &mut Expr) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Reads a whole statement.
pub(crate) fn read_statement(statement: &Statement, reader: &mut dyn Reader) -> ControlFlow<()> {
    statement.visit(&mut Reading(reader))
}

/// Reads an expression with its subqueries.
pub(crate) fn read_expr(expr: &Expr, reader: &mut dyn Reader) -> ControlFlow<()> {
    expr.visit(&mut Reading(reader))
}

/// Reads a query with its subqueries.
pub(crate) fn read_query(query: &Query, reader: &mut dyn Reader) -> ControlFlow<()> {
    query.visit(&mut Reading(reader))
}

/// Reads the body of a query with its subqueries.
pub(crate) fn read_set_expr(body: &SetExpr, reader: &mut dyn Reader) -> ControlFlow<()> {
    body.visit(&mut Reading(reader))
}

/// Edits a whole statement.
pub(crate) fn edit_statement(
    statement: &mut Statement,
    editor: &mut dyn Editor,
) -> ControlFlow<()> {
    statement.visit(&mut Editing(editor))
}

/// Edits a query with its subqueries.
pub(crate) fn edit_query(query: &mut Query, editor: &mut dyn Editor) -> ControlFlow<()> {
    query.visit(&mut Editing(editor))
}

/// Edits a SELECT with its subqueries.
pub(crate) fn edit_select(select: &mut Select, editor: &mut dyn Editor) -> ControlFlow<()> {
    select.visit(&mut Editing(editor))
}

/// Edits an expression with its subqueries.
pub(crate) fn edit_expr(expr: &mut Expr, editor: &mut dyn Editor) -> ControlFlow<()> {
    expr.visit(&mut Editing(editor))
}

struct Reading<'a>(&'a mut dyn Reader);

impl Visitor for Reading<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.0.enter_query(query)
    }
    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.0.leave_query(query)
    }
    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        self.0.enter_table_factor(factor)
    }
    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.0.enter_expr(expr)
    }
}

struct Editing<'a>(&'a mut dyn Editor);

impl VisitorMut for Editing<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.0.enter_query(query)
    }
    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.0.leave_query(query)
    }
    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.0.enter_select(select)
    }
    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.0.leave_select(select)
    }
    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        self.0.enter_table_factor(factor)
    }
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.0.enter_expr(expr)
    }
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.0.leave_expr(expr)
    }
}
