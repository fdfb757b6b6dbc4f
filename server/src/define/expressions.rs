//! Expressions that definitions hold: CHECK conditions and generated columns.
//!
//! They are planned over an empty table of the same columns, so that what cannot be evaluated is
//! known when it is declared.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr as LogicalExpr, LogicalPlan, Volatility};
use futures::future::BoxFuture;
use sqlparser::ast::{self, Statement as Ast, Visit, Visitor};
use tarn_catalog::memory::provider_of;
use tarn_catalog::{CatalogError, TableName};
use tarn_exec::QueryId;
use tarn_planner::binder::{Found, Lookup, ViewScope, bind};
use tarn_planner::rewrite::Relation;
use tarn_planner::statement::fold;
use tarn_planner::{PlannerError, Statement, plan};

use super::columns::{Declared, schema_of};
use crate::error::{Error, Result};
use crate::session::Session;

/// The relation that stands for the table whose definition is checked.
const DEFINED: &str = "tarn defined";

/// The columns of the table are all that an expression can name.
struct DefinedLookup {
    provider: Arc<dyn TableProvider>,
}

impl Lookup for DefinedLookup {
    fn find<'a>(
        &'a self,
        relation: &'a Relation,
        _within: Option<&'a ViewScope>,
    ) -> BoxFuture<'a, Result<Option<Found>, CatalogError>> {
        let found = (relation.table == DEFINED).then(|| {
            let (name, provider) = (TableName::new("", DEFINED), Arc::clone(&self.provider));
            Found::Table { name, provider, version: None }
        });
        Box::pin(futures::future::ready(Ok(found)))
    }

    fn suggest(&self, _: &Relation) -> Option<String> {
        None
    }
}

/// An empty table of these columns, whatever they say of NULL: a condition is asked for rows that
/// have them.
fn empty(fields: &[Field]) -> Arc<dyn TableProvider> {
    let fields = fields.iter().map(|field| field.clone().with_nullable(true));
    provider_of(Arc::new(schema_of(&fields.collect::<Vec<_>>())), vec![])
}

/// The rows of a table that is altered.
pub(crate) struct Rows<'a> {
    pub(crate) session: &'a Arc<Session>,
    pub(crate) statement: &'a Statement,
    pub(crate) provider: Arc<dyn TableProvider>,
    pub(crate) table: &'a str,
    pub(crate) query_id: QueryId,
}

impl Rows<'_> {
    /// Whether there is a row for which a condition is true.
    pub(crate) async fn has(&self, condition: &str) -> Result<bool> {
        let provider = Arc::clone(&self.provider);
        let clause = format!("WHERE {condition} LIMIT 1");
        let what = ("1", clause.as_str());
        let (logical, state, inner) =
            query_over(self.session, self.statement, provider, self.table, what).await?;
        let batches = self.session.collect(&logical, &state, &inner, self.query_id).await?;
        Ok(batches.iter().any(|batch| batch.num_rows() > 0))
    }
}

/// Plans `SELECT items FROM rows clause` over rows that stand for a table's.
pub(crate) async fn query_over(
    session: &Arc<Session>,
    statement: &Statement,
    provider: Arc<dyn TableProvider>,
    table: &str,
    (items, clause): (&str, &str),
) -> Result<(LogicalPlan, SessionState, Statement)> {
    let text = format!("SELECT {items} FROM {} AS {} {clause}", quoted(DEFINED), quoted(table));
    let statements = session.parse(&text)?;
    let Some(Ast::Query(query)) = statements.first().map(Statement::ast) else {
        return Err(Error::Internal { what: "no query over a table's rows".to_owned() });
    };
    let inner = statement.with_ast(Ast::Query(query.clone()));
    let state = session.state();
    let bound = bind(&inner, &state, &DefinedLookup { provider }).await?;
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[])?;
    Ok((logical, state, inner))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Refuses conditions and expressions that no row could be asked for.
pub(super) async fn check_declared(
    session: &Arc<Session>,
    statement: &Statement,
    table: &str,
    declared: &Declared,
) -> Result<()> {
    for check in &declared.details.checks {
        check_condition(session, statement, table, &declared.fields, &check.expression).await?;
    }
    for (field, default) in declared.fields.iter().zip(&declared.details.defaults) {
        if let Some(text) = default {
            super::defaults::check_default(session, statement, field, text).await?;
        }
    }
    for at in 0..declared.fields.len() {
        check_generated(session, statement, table, declared, at).await?;
    }
    Ok(())
}

/// Sees that a CHECK condition can be asked for each row and says yes or no.
pub(crate) async fn check_condition(
    session: &Arc<Session>,
    statement: &Statement,
    table: &str,
    fields: &[Field],
    text: &str,
) -> Result<()> {
    let expr = parsed(session, text)?;
    refuse_subquery(&expr, "check constraint")?;
    let (logical, optimized) = planned(session, statement, table, fields, text).await?;
    refuse_aggregate(&logical, "check constraints")?;
    let data_type = optimized.schema().fields().first().map(|field| field.data_type().clone());
    match data_type {
        Some(DataType::Boolean | DataType::Null) => Ok(()),
        _ => Err(Error::Value {
            code: "42804",
            message: "argument of CHECK must be type boolean".to_owned(),
        }),
    }
}

/// Sees that a generated column's expression depends on other, plain columns of the row alone.
pub(crate) async fn check_generated(
    session: &Arc<Session>,
    statement: &Statement,
    table: &str,
    declared: &Declared,
    at: usize,
) -> Result<()> {
    let (Some(text), Some(field)) = (declared.details.generated_of(at), declared.fields.get(at))
    else {
        return Ok(());
    };
    let expr = parsed(session, text)?;
    refuse_subquery(&expr, "column generation expression")?;
    let used = columns_in(&expr);
    let generated = declared.fields.iter().enumerate().find(|(at, field)| {
        declared.details.generated_of(*at).is_some() && used.contains(field.name())
    });
    if let Some((_, other)) = generated {
        let message = format!(
            "cannot use generated column \"{}\" in column generation expression",
            other.name()
        );
        return Err(Error::Value { code: "42P17", message });
    }
    let (logical, optimized) = planned(session, statement, table, &declared.fields, text).await?;
    refuse_aggregate(&logical, "column generation expressions")?;
    if !is_immutable(&logical) {
        let message = "generation expression is not immutable".to_owned();
        return Err(Error::Value { code: "42P17", message });
    }
    let given = optimized.schema().fields().first().map(|field| field.data_type().clone());
    match given {
        Some(given) if !arrow::compute::can_cast_types(&given, field.data_type()) => {
            let message = format!(
                "column \"{}\" is of another type than its generation expression",
                field.name()
            );
            Err(Error::Value { code: "42804", message })
        }
        _ => Ok(()),
    }
}

/// Plans `SELECT expression FROM t`: as it was written, and optimised, where `now()` is a constant
/// and all types are known.
async fn planned(
    session: &Arc<Session>,
    statement: &Statement,
    table: &str,
    fields: &[Field],
    text: &str,
) -> Result<(LogicalPlan, LogicalPlan)> {
    let (logical, state, inner) =
        query_over(session, statement, empty(fields), table, (text, "")).await?;
    let optimized = plan::optimize(&logical, &state, &inner)?;
    Ok((logical, optimized))
}

/// Reads the text of an expression.
pub(crate) fn parsed(session: &Arc<Session>, text: &str) -> Result<ast::Expr> {
    let statements = session.parse(&format!("SELECT {text}"))?;
    let Some(Ast::Query(query)) = statements.first().map(Statement::ast) else {
        return Err(Error::Internal { what: "an expression is none".to_owned() });
    };
    match query.body.as_ref() {
        ast::SetExpr::Select(select) => match select.projection.first() {
            Some(ast::SelectItem::UnnamedExpr(expr)) => Ok(expr.clone()),
            _ => Err(Error::Internal { what: "an expression is none".to_owned() }),
        },
        _ => Err(Error::Internal { what: "an expression is none".to_owned() }),
    }
}

/// The columns that an expression names.
pub(crate) fn columns_in(expr: &ast::Expr) -> BTreeSet<String> {
    struct Names(BTreeSet<String>);
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
            match expr {
                ast::Expr::Identifier(ident) => drop(self.0.insert(fold(ident))),
                ast::Expr::CompoundIdentifier(parts) => {
                    self.0.extend(parts.last().map(fold));
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(BTreeSet::new());
    // It never breaks off.
    let _: ControlFlow<()> = expr.visit(&mut names);
    names.0
}

/// Refuses an expression that reads a relation: it would do so with the rights of whoever writes.
pub(super) fn refuse_subquery(expr: &ast::Expr, place: &str) -> Result<()> {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();
        fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    match expr.visit(&mut Finder) {
        ControlFlow::Break(()) => {
            Err(Error::Value { code: "0A000", message: format!("cannot use subquery in {place}") })
        }
        ControlFlow::Continue(()) => Ok(()),
    }
}

pub(super) fn refuse_aggregate(plan: &LogicalPlan, place: &str) -> Result<()> {
    let found =
        plan.exists(|node| Ok(matches!(node, LogicalPlan::Aggregate(_) | LogicalPlan::Window(_))));
    match found {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::Value {
            code: "42803",
            message: format!("aggregate functions are not allowed in {place}"),
        }),
        Err(error) => Err(PlannerError::Engine(Box::new(error)).into()),
    }
}

fn is_immutable(plan: &LogicalPlan) -> bool {
    let mut immutable = true;
    let walked = plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let LogicalExpr::ScalarFunction(function) = expr
                    && function.func.signature().volatility != Volatility::Immutable
                {
                    immutable = false;
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    immutable && walked.is_ok()
}
