//! A rule over analysed plans that removes correlated subqueries and LATERAL.
//!
//! DataFusion decorrelates subqueries whose only tie to the outside is `inner = outer` below an
//! aggregate. This rule takes all shapes, by the method of Neumann and Kemper, "Unnesting Arbitrary
//! Queries": the outer columns that a subquery uses are its *domain*; the subquery is computed for
//! every combination of values in the domain at once ([`push`]), and joined back to its place.
//!
//! | in | out |
//! |---|---|
//! | `(SELECT …)` as a value | left join, and what the subquery gives for no row |
//! | `WHERE EXISTS`, `WHERE x IN` | semi join, anti join |
//! | `x IN (SELECT …)` as a value, `NOT IN` | left joins with the matches and with the number of NULLs |
//! | `x > ALL (SELECT …)`, `ANY` | a scalar subquery over `bool_or` |
//! | `FROM t, LATERAL (…)` | inner or left join |
//!
//! Subqueries without outer columns stay where DataFusion plans them right.
//!
//! Not here: what needs the SQL text ([`crate::rewrite`]).

mod domain;
mod free;
mod guards;
mod join;
mod push;
mod recursive;
mod set_operations;
mod value;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::{
    AggregateUDF, Distinct, DistinctOn, Expr, Filter, LogicalPlan, Projection, Sort, Subquery,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;

pub(crate) use guards::guard;
pub(crate) use set_operations::CountedSetOperations;

/// Replaces dependent joins, those that SQL writes and those that subqueries are.
#[derive(Debug)]
pub(crate) struct Decorrelate {
    single_value: Arc<AggregateUDF>,
}

impl Decorrelate {
    /// `single_value` is the aggregate that fails for more than one row.
    pub(crate) fn new(single_value: Arc<AggregateUDF>) -> Self {
        Self { single_value }
    }
}

impl AnalyzerRule for Decorrelate {
    fn name(&self) -> &'static str {
        "decorrelate"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        if !concerns(&plan)? {
            return Ok(plan);
        }
        let mut rewriter = Rewriter { single_value: Arc::clone(&self.single_value), n_names: 0 };
        Ok(rewriter.plan(plan)?.data)
    }
}

/// Whether a plan has a subquery at all.
fn concerns(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        if matches!(node, LogicalPlan::Subquery(_)) {
            return Ok(true);
        }
        let mut found = false;
        node.apply_expressions(|expr| {
            found = found || has_subquery(expr);
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        // A column that nothing provides is left for the checks of the analyzer.
        Ok(found || node.contains_outer_reference())
    })
}

fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(is_subquery(expr))).unwrap_or(true)
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
    )
}

/// One run over one plan.
struct Rewriter {
    single_value: Arc<AggregateUDF>,
    n_names: usize,
}

impl Rewriter {
    /// A prefix for columns that no other part of the plan has.
    fn fresh(&mut self) -> String {
        self.n_names += 1;
        format!("\u{1}s{}", self.n_names)
    }

    /// Rewrites a plan, inputs first.
    fn plan(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let result = plan.map_children(|child| self.plan(child))?;
        let inputs_changed = result.transformed;
        let result = result.transform_data(|plan| {
            plan.map_expressions(|expr| expr.transform_up(|expr| self.inner(expr)))
        })?;
        let mut changed = inputs_changed || result.transformed;
        let mut plan = result.data;
        if inputs_changed {
            plan = plan.recompute_schema()?;
        }
        if let LogicalPlan::Subquery(subquery) = plan {
            return Ok(Transformed::yes(Arc::unwrap_or_clone(subquery.subquery)));
        }
        if let LogicalPlan::Join(join) = plan {
            return self.join(join, changed);
        }
        let mut found = false;
        plan.apply_expressions(|expr| {
            found = found || has_subquery(expr);
            Ok(TreeNodeRecursion::Continue)
        })?;
        if found {
            changed = true;
            plan = self.node(plan)?;
        }
        Ok(Transformed::new_transformed(plan, changed))
    }

    /// Rewrites what is inside of a subquery.
    fn inner(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let mut rewrite = |subquery: Subquery| -> Result<Transformed<Subquery>> {
            let result = self.plan(Arc::unwrap_or_clone(subquery.subquery))?;
            let plan = result.data;
            let outer_ref_columns = if result.transformed {
                free::references(&plan)?
            } else {
                subquery.outer_ref_columns
            };
            let subquery =
                Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: subquery.spans };
            Ok(Transformed::new_transformed(subquery, result.transformed))
        };
        Ok(match expr {
            Expr::ScalarSubquery(subquery) => rewrite(subquery)?.update_data(Expr::ScalarSubquery),
            Expr::Exists(Exists { subquery, negated }) => rewrite(subquery)?
                .update_data(|subquery| Expr::Exists(Exists { subquery, negated })),
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => rewrite(subquery)?
                .update_data(|subquery| Expr::InSubquery(InSubquery { expr, subquery, negated })),
            Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
                rewrite(subquery)?.update_data(|subquery| {
                    Expr::SetComparison(SetComparison { expr, subquery, op, quantifier })
                })
            }
            other => Transformed::no(other),
        })
    }

    /// Rewrites a node that has subqueries in its expressions.
    fn node(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        match plan {
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Sort(sort) => self.sort(sort),
            LogicalPlan::Projection(_) => self.in_place(plan, true),
            LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => self.in_place(plan, false),
            LogicalPlan::Distinct(Distinct::On(on)) => self.distinct_on(on),
            other => Ok(other),
        }
    }

    /// Computes the subqueries of a node in its input.
    ///
    /// `keep` leaves scalar subqueries without outer columns alone.
    fn in_place(&mut self, plan: LogicalPlan, keep: bool) -> Result<LogicalPlan> {
        let names = NamePreserver::new(&plan);
        let is_projection = matches!(plan, LogicalPlan::Projection(_));
        let schema = Arc::clone(plan.schema());
        let n_inputs = plan.inputs().len();
        let [input] =
            plan.inputs().into_iter().cloned().collect::<Vec<_>>().try_into().map_err(|_| {
                datafusion::common::internal_datafusion_err!("a node with {n_inputs} inputs")
            })?;
        let mut input = Some(input);
        let mut exprs = Vec::new();
        for expr in plan.expressions() {
            let name = names.save(&expr);
            let expr = self.values(expr, &mut input, keep)?;
            exprs.push(if is_projection { expr } else { name.restore(expr) });
        }
        let input = taken(input)?;
        if is_projection {
            let exprs = exprs
                .into_iter()
                .zip(schema.iter())
                .map(|(expr, (qualifier, field))| named(expr, qualifier, field.name()))
                .collect();
            return Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?));
        }
        let columns = schema.columns();
        let plan = plan.with_new_exprs(exprs, vec![input])?;
        restrict(plan, &columns)
    }

    fn distinct_on(&mut self, on: DistinctOn) -> Result<LogicalPlan> {
        let mut input = Some(Arc::unwrap_or_clone(on.input));
        let mut keys = Vec::new();
        for expr in on.on_expr {
            keys.push(self.values(expr, &mut input, false)?);
        }
        let mut items = Vec::new();
        for (expr, (qualifier, field)) in on.select_expr.into_iter().zip(on.schema.iter()) {
            let value = self.values(expr, &mut input, false)?;
            items.push(named(value, qualifier, field.name()));
        }
        let mut order = None;
        for mut key in on.sort_expr.into_iter().flatten() {
            key.expr = self.values(key.expr, &mut input, false)?;
            order.get_or_insert_with(Vec::new).push(key);
        }
        let input = Arc::new(taken(input)?);
        let on = DistinctOn::try_new(keys, items, order, input)?;
        Ok(LogicalPlan::Distinct(Distinct::On(on)))
    }

    fn sort(&mut self, sort: Sort) -> Result<LogicalPlan> {
        let columns = sort.input.schema().columns();
        let mut input = Some(Arc::unwrap_or_clone(sort.input));
        // What the subquery needs may be below the select list.
        if let Some(LogicalPlan::Projection(projection)) = &input {
            let mut needed = Vec::new();
            for key in &sort.expr {
                needed.extend(free::columns_of_expr(&key.expr)?);
            }
            let schema = projection.input.schema();
            let missing: Vec<Expr> = needed
                .into_iter()
                .map(|(column, _)| column)
                .filter(|column| !has(&projection.schema, column) && has(schema, column))
                .map(Expr::Column)
                .collect();
            if !missing.is_empty() {
                let exprs = projection.expr.iter().cloned().chain(missing).collect();
                let wider = Projection::try_new(exprs, Arc::clone(&projection.input))?;
                input = Some(LogicalPlan::Projection(wider));
            }
        }
        let mut keys = Vec::new();
        for mut key in sort.expr {
            key.expr = self.values(key.expr, &mut input, false)?;
            keys.push(key);
        }
        let input = Arc::new(taken(input)?);
        restrict(LogicalPlan::Sort(Sort { expr: keys, input, fetch: sort.fetch }), &columns)
    }

    fn filter(&mut self, filter: Filter) -> Result<LogicalPlan> {
        use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
        let columns = filter.input.schema().columns();
        let mut input = Arc::unwrap_or_clone(filter.input);
        let (terms, plain): (Vec<_>, Vec<_>) =
            split_conjunction_owned(filter.predicate).into_iter().partition(has_subquery);
        // First what needs no subquery, so that the domains are small, and what the engine does
        // best; both in one node, as its rules expect.
        let (kept, terms): (Vec<_>, Vec<_>) = terms.into_iter().partition(value::is_plain_term);
        if let Some(first) = conjunction(plain.into_iter().chain(kept)) {
            input = LogicalPlan::Filter(Filter::try_new(first, Arc::new(input))?);
        }
        let mut rest = Vec::new();
        for term in terms {
            match self.semi_join(input, term)? {
                (joined, None) => input = joined,
                (same, Some(term)) => {
                    input = same;
                    rest.push(term);
                }
            }
        }
        let mut current = Some(input);
        let mut values = Vec::new();
        for term in rest {
            values.push(self.values(term, &mut current, true)?);
        }
        let mut plan = taken(current)?;
        if let Some(predicate) = conjunction(values) {
            plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?);
        }
        restrict(plan, &columns)
    }

    /// Replaces the subqueries of an expression by columns that are joined to the input.
    fn values(&mut self, expr: Expr, input: &mut Option<LogicalPlan>, keep: bool) -> Result<Expr> {
        let result = expr.transform_up(|expr| {
            if !is_subquery(&expr) {
                return Ok(Transformed::no(expr));
            }
            if let (true, Expr::ScalarSubquery(subquery)) = (keep, &expr)
                && free::columns(&subquery.subquery)?.is_empty()
            {
                let plan = self.one_row(Arc::unwrap_or_clone(Arc::clone(&subquery.subquery)))?;
                let subquery = subquery.with_plan(Arc::new(plan));
                return Ok(Transformed::yes(Expr::ScalarSubquery(subquery)));
            }
            let current = taken(input.take())?;
            let (joined, value) = self.value(current, expr)?;
            *input = Some(joined);
            Ok(Transformed::yes(value))
        })?;
        Ok(result.data)
    }
}

fn taken<T>(value: Option<T>) -> Result<T> {
    value.ok_or_else(|| datafusion::common::internal_datafusion_err!("a plan was lost"))
}

/// Whether a schema has exactly this column, with its relation.
fn has(schema: &DFSchema, column: &Column) -> bool {
    schema.index_of_column_by_name(column.relation.as_ref(), &column.name).is_some()
}

/// An expression under the name that an output had before.
fn named(expr: Expr, qualifier: Option<&datafusion::common::TableReference>, name: &str) -> Expr {
    let (own_qualifier, own_name) = expr.qualified_name();
    if own_name == name && own_qualifier.as_ref() == qualifier {
        return expr;
    }
    // An alias outside of an alias would hide the inner one all the same.
    let expr = match expr {
        Expr::Alias(alias) => *alias.expr,
        other => other,
    };
    expr.alias_qualified(qualifier.cloned(), name)
}

/// Drops the columns that joins have added.
fn restrict(plan: LogicalPlan, columns: &[Column]) -> Result<LogicalPlan> {
    if plan.schema().columns() == columns {
        return Ok(plan);
    }
    let exprs = columns.iter().cloned().map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}
