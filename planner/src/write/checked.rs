//! Generated columns and checks of the rows that a statement writes.
//!
//! ```text
//! SELECT row, a, b, (a > 0) AS check0             checks see the generated columns
//! FROM (SELECT row, a, a * 2 AS b FROM rows AS t) AS t
//! ```
//! `rows` is what the statement's query gives, in the table's types. The expressions come from
//! the table's definition, for Delta tables as another program may have written them: names in
//! backticks and in any case.

use std::ops::ControlFlow;

use arrow::datatypes::Schema;
use sqlparser::ast::{self, BinaryOperator, Expr, SelectItem, Statement as Ast, TableWithJoins};
use tarn_catalog::memory::TableDetails;

use super::tree::{column_of, derived, named, quoted, relation, select_query};
use super::{ACTION, Action, Effect, ROW, WriteQuery};
use crate::error::{PlannerError, Result};
use crate::walk::{self, Editor};

/// The relation that stands for the written rows in [`Checked::query`].
pub const ROWS: &str = "tarn rows";

/// What a row must keep to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A CHECK constraint by its name.
    Constraint(String),
    /// The condition of REPLACE WHERE or PARTITION.
    Replace,
}

/// A query that computes generated columns and checks rows.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Yields the columns of the statement's query and one more for each check.
    pub query: Ast,
    /// What these are, in their order.
    pub checks: Vec<Check>,
}

impl WriteQuery {
    /// The query over the written rows that completes and checks them; `None` where there is
    /// nothing to compute.
    ///
    /// # Errors
    /// `Syntax` for expressions that cannot be read.
    pub fn checked(
        &self,
        table: &str,
        schema: &Schema,
        details: &TableDetails,
    ) -> Result<Option<Checked>> {
        if matches!(self.effect, Effect::Delete | Effect::Clear) {
            return Ok(None);
        }
        let mut checks = Vec::new();
        let mut items = Vec::new();
        for check in &details.checks {
            let condition = stored_expr(&check.expression, schema)?;
            items.push(self.checked_item(condition, items.len()));
            checks.push(Check::Constraint(check.name.clone()));
        }
        if let Some(super::Replace::Where { condition, .. }) = &self.replaces {
            items.push(self.checked_item(condition.as_ref().clone(), items.len()));
            checks.push(Check::Replace);
        }
        let has_generated =
            (0..schema.fields().len()).any(|column| details.generated_of(column).is_some());
        if checks.is_empty() && !has_generated {
            return Ok(None);
        }
        let alias = quoted(table);
        let mut computed = self.own_columns();
        for (at, field) in schema.fields().iter().enumerate() {
            let old = column_of(&alias, field.name());
            let expr = match details.generated_of(at) {
                Some(text) => self.unless_deleted(stored_expr(text, schema)?, old),
                None => old,
            };
            computed.push(named(expr, field.name()));
        }
        computed.extend(self.old_columns(schema));
        let rows = relation(ROWS, alias.clone());
        let inner = select_query(computed, TableWithJoins { relation: rows, joins: vec![] });
        if checks.is_empty() {
            return Ok(Some(Checked { query: Ast::Query(inner), checks }));
        }
        let mut outer = self.own_columns();
        let columns = schema.fields().iter();
        outer.extend(columns.map(|f| named(column_of(&alias, f.name()), f.name())));
        outer.extend(items);
        outer.extend(self.old_columns(schema));
        let rows = derived(inner, alias);
        let query = select_query(outer, TableWithJoins { relation: rows, joins: vec![] });
        Ok(Some(Checked { query: Ast::Query(query), checks }))
    }

    /// The columns before those of the table.
    fn own_columns(&self) -> Vec<SelectItem> {
        let own: &[&str] = match self.effect {
            Effect::Append | Effect::Clear => &[],
            Effect::Update | Effect::Delete => &[ROW],
            Effect::Merge => &[ROW, ACTION],
        };
        own.iter().map(|name| named(Expr::Identifier(quoted(name)), name)).collect()
    }

    /// The columns behind everything else.
    fn old_columns(&self, schema: &Schema) -> Vec<SelectItem> {
        let names = (0..schema.fields().len()).map(super::old_name);
        let names = names.filter(|_| self.has_old);
        let names = names.chain(self.other_names());
        names.map(|name| named(Expr::Identifier(quoted(&name)), &name)).collect()
    }

    fn checked_item(&self, condition: Expr, at: usize) -> SelectItem {
        let passed = Expr::value(ast::Value::Boolean(true));
        named(self.unless_deleted(condition, passed), &format!("tarn check {at}"))
    }

    /// A MERGE's rows that go, or stay as they are, are not checked.
    fn unless_deleted(&self, expr: Expr, otherwise: Expr) -> Expr {
        if self.effect != Effect::Merge {
            return Expr::Nested(Box::new(expr));
        }
        let token = ast::helpers::attached_token::AttachedToken::empty;
        let is = |action: Action| Expr::BinaryOp {
            left: Box::new(Expr::Identifier(quoted(ACTION))),
            op: BinaryOperator::Eq,
            right: Box::new(Expr::value(ast::Value::Number((action as i64).to_string(), false))),
        };
        let written = Expr::BinaryOp {
            left: Box::new(is(Action::Insert)),
            op: BinaryOperator::Or,
            right: Box::new(is(Action::Update)),
        };
        Expr::Case {
            case_token: token(),
            end_token: token(),
            operand: None,
            conditions: vec![ast::CaseWhen { condition: written, result: expr }],
            else_result: Some(Box::new(otherwise)),
        }
    }
}

/// Reads an expression of a table's definition.
fn stored_expr(text: &str, schema: &Schema) -> Result<Expr> {
    let mut expr = crate::parser::parse_expr(&without_backticks(text))?;
    let mut names = Names { schema, has_query: false };
    // The walk does not end early by itself.
    if walk::edit_expr(&mut expr, &mut names).is_break() || names.has_query {
        return Err(PlannerError::unsupported(format!("a subquery in the expression {text}")));
    }
    Ok(expr)
}

/// Names in backticks, as Spark writes them, in double quotes.
fn without_backticks(text: &str) -> String {
    let mut in_text = false;
    let quote = |c: char| match c {
        '\'' => {
            in_text = !in_text;
            c
        }
        '`' if !in_text => '"',
        c => c,
    };
    text.chars().map(quote).collect()
}

/// Gives column names the letters that the table has.
struct Names<'a> {
    schema: &'a Schema,
    has_query: bool,
}

impl Editor for Names<'_> {
    fn enter_query(&mut self, _query: &mut ast::Query) -> ControlFlow<()> {
        self.has_query = true;
        ControlFlow::Break(())
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let ident = match expr {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(parts) => parts.first_mut(),
            _ => None,
        };
        if let Some(ident) = ident {
            let fields = self.schema.fields();
            let exact = fields.iter().any(|field| *field.name() == ident.value);
            let similar = fields.iter().find(|f| f.name().eq_ignore_ascii_case(&ident.value));
            if let (Some(field), true) = (similar, !exact || ident.quote_style.is_none()) {
                let name = if exact { ident.value.clone() } else { field.name().clone() };
                *ident = quoted(&name);
            }
        }
        ControlFlow::Continue(())
    }
}
