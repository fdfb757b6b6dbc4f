//! Subqueries in expressions.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality, Result};
use datafusion::functions_aggregate::bool_and_or::bool_or_udaf;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::{InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, Filter, Join, JoinConstraint, LogicalPlan,
    LogicalPlanBuilder, Projection, lit, when,
};

use super::domain::Domain;
use super::push::{Push, Pushed, at_least_one, or_default};
use super::{Rewriter, free, has, has_subquery};

/// EXISTS and IN without outer columns as terms of WHERE, which the engine plans as joins.
pub(super) fn is_plain_term(term: &Expr) -> bool {
    let (subquery, tested) = match term {
        Expr::Not(inner) => return is_plain_term(inner),
        Expr::Exists(exists) => (&exists.subquery, None),
        Expr::InSubquery(test) => (&test.subquery, Some(test.expr.as_ref())),
        _ => return false,
    };
    tested.is_none_or(|tested| !has_subquery(tested) && !tested.column_refs().is_empty())
        && free::columns(&subquery.subquery).is_ok_and(|free| free.is_empty())
}

/// A right side for a join on the columns of a domain.
pub(super) struct Side {
    pub(super) plan: LogicalPlan,
    /// Outer column and its column on the right side.
    pub(super) on: Vec<(Expr, Expr)>,
    pub(super) null_equality: NullEquality,
    pub(super) defaults: Option<Vec<Expr>>,
}

impl Rewriter {
    /// Replaces one subquery by a value of the joined input.
    pub(super) fn value(&mut self, input: LogicalPlan, expr: Expr) -> Result<(LogicalPlan, Expr)> {
        match expr {
            Expr::ScalarSubquery(subquery) => {
                let plan = self.one_row(Arc::unwrap_or_clone(subquery.subquery))?;
                self.scalar(input, plan)
            }
            Expr::Exists(exists) => {
                let plan = Arc::unwrap_or_clone(exists.subquery.subquery);
                let (input, found) = self.exists(input, plan)?;
                Ok((input, if exists.negated { negate(found) } else { found }))
            }
            Expr::InSubquery(test) => self.membership(input, test),
            Expr::SetComparison(test) => self.comparison(input, test),
            other => Ok((input, other)),
        }
    }

    /// Makes a subquery fail for a second row.
    pub(super) fn one_row(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if plan.max_rows().is_some_and(|n_rows| n_rows <= 1) {
            return Ok(plan);
        }
        let column = Expr::Column(Column::from(plan.schema().qualified_field(0)));
        let name = plan.schema().field(0).name().clone();
        let value = self.single_value.call(vec![column]).alias(name);
        let plan = Aggregate::try_new(Arc::new(plan), vec![], vec![value])?;
        Ok(LogicalPlan::Aggregate(plan))
    }

    /// The right side of a join that stands for a subquery below `input`.
    pub(super) fn side(
        &mut self,
        input: &LogicalPlan,
        plan: LogicalPlan,
        marker: Option<&str>,
    ) -> Result<Side> {
        let prefix = self.fresh();
        let domain = Domain::new(input, free::columns(&plan)?, &prefix);
        if domain.is_empty() {
            let plan = match marker {
                Some(marker) => with_marker(plan, marker)?,
                None => plan,
            };
            let null_equality = NullEquality::NullEqualsNothing;
            return Ok(Side { plan, on: vec![], null_equality, defaults: None });
        }
        let mut push = Push::new(&domain, &prefix);
        let Pushed { plan, defaults, not_null } = push.push(plan)?;
        let plan = match marker {
            Some(marker) => with_marker(plan, marker)?,
            None => plan,
        };
        let outer = domain.columns.iter().map(|(column, _)| Expr::Column(column.clone()));
        let on = outer.zip(domain.exprs()).collect();
        let null_equality =
            if not_null { NullEquality::NullEqualsNothing } else { NullEquality::NullEqualsNull };
        Ok(Side { plan, on, null_equality, defaults })
    }

    fn scalar(&mut self, input: LogicalPlan, plan: LogicalPlan) -> Result<(LogicalPlan, Expr)> {
        let value_name = self.fresh();
        let marker = self.fresh();
        let first = Expr::Column(Column::from(plan.schema().qualified_field(0)));
        let plan = project(vec![first.alias(&value_name)], plan)?;
        let side = self.side(&input, plan, Some(&marker))?;
        let defaults = side.defaults.clone();
        let joined = attach(input, side, JoinType::Left, None)?;
        let value = Expr::Column(Column::new_unqualified(&value_name));
        let Some(default) = defaults.and_then(|defaults| defaults.into_iter().next()) else {
            return Ok((joined, value));
        };
        let missing = Expr::Column(Column::new_unqualified(&marker)).is_null();
        let value = or_default(&missing, as_inner(default)?, value)?;
        Ok((joined, value))
    }

    fn exists(&mut self, input: LogicalPlan, plan: LogicalPlan) -> Result<(LogicalPlan, Expr)> {
        let marker = self.fresh();
        let plan = project(vec![lit(true).alias(&marker)], rows_only(plan))?;
        if free::columns(&plan)?.iter().all(|(column, _)| !has(input.schema(), column)) {
            let limited = LogicalPlanBuilder::from(plan).limit(0, Some(1))?.build()?;
            let n = count(Expr::Column(Column::new_unqualified(&marker))).alias(&marker);
            let counted = Aggregate::try_new(Arc::new(limited), vec![], vec![n])?;
            let (input, n) = self.scalar(input, LogicalPlan::Aggregate(counted))?;
            return Ok((input, n.gt(lit(0_i64))));
        }
        let mut side = self.side(&input, plan, None)?;
        if side.defaults.is_some() {
            return Ok((input, lit(true)));
        }
        side.plan = LogicalPlan::Distinct(Distinct::All(Arc::new(side.plan)));
        let joined = attach(input, side, JoinType::Left, None)?;
        Ok((joined, Expr::Column(Column::new_unqualified(&marker)).is_not_null()))
    }

    /// `x IN (SELECT v …)`: true for a match; else NULL if x or one v is; else false.
    fn membership(&mut self, input: LogicalPlan, test: InSubquery) -> Result<(LogicalPlan, Expr)> {
        let plan = Arc::unwrap_or_clone(test.subquery.subquery);
        let member = self.fresh();
        let (found, n_rows, n_values) = (self.fresh(), self.fresh(), self.fresh());
        let first = Expr::Column(Column::from(plan.schema().qualified_field(0)));
        let members = project(vec![first.alias(&member)], plan)?;
        let member = Expr::Column(Column::new_unqualified(&member));

        let all = vec![count(lit(1_i64)).alias(&n_rows), count(member.clone()).alias(&n_values)];
        let counted = Aggregate::try_new(Arc::new(members.clone()), vec![], all)?;
        let side = self.side(&input, LogicalPlan::Aggregate(counted), None)?;
        let input = attach(input, side, JoinType::Left, None)?;

        let known = Filter::try_new(member.clone().is_not_null(), Arc::new(members))?;
        let mut side = self.side(&input, LogicalPlan::Filter(known), None)?;
        side.plan = LogicalPlan::Distinct(Distinct::All(Arc::new(side.plan)));
        side.plan = with_marker(side.plan, &found)?;
        // NULL is not among the members, so that it matches nothing in either kind of join.
        side.on.push((*test.expr.clone(), member));
        let joined = attach(input, side, JoinType::Left, None)?;

        let column = |name: &str| Expr::Column(Column::new_unqualified(name));
        let zero = || lit(0_i64);
        let or_zero =
            |name: &str| datafusion::functions::core::expr_fn::coalesce(vec![column(name), zero()]);
        let unknown = test.expr.is_null().or(or_zero(&n_values).lt(or_zero(&n_rows)));
        let value = when(column(&found).is_not_null(), lit(!test.negated))
            .when(or_zero(&n_rows).eq(zero()), lit(test.negated))
            .when(unknown, lit(datafusion::common::ScalarValue::Boolean(None)))
            .otherwise(lit(test.negated))?;
        Ok((joined, value))
    }

    /// `x > ALL (SELECT v …)`: whether one comparison is false, else whether one is unknown.
    fn comparison(
        &mut self,
        input: LogicalPlan,
        test: SetComparison,
    ) -> Result<(LogicalPlan, Expr)> {
        let SetComparison { expr, subquery, op, quantifier } = test;
        // The operand becomes one more column that the subquery depends on.
        let operand = self.fresh();
        let columns = input.schema().columns().into_iter().map(Expr::Column);
        let items = columns.chain([expr.alias(&operand)]).collect();
        let input = project(items, input)?;
        let (_, field) = input.schema().qualified_field_with_unqualified_name(&operand)?;
        let operand =
            Expr::OuterReferenceColumn(Arc::clone(field), Column::new_unqualified(&operand));
        let plan = Arc::unwrap_or_clone(subquery.subquery);
        let first = Expr::Column(Column::from(plan.schema().qualified_field(0)));
        let holds = Expr::BinaryExpr(BinaryExpr::new(Box::new(operand), op, Box::new(first)));
        let all = quantifier == SetQuantifier::All;
        let decisive = if all { negate(holds.clone()) } else { holds.clone() };
        let (decided, unknown) = (self.fresh(), self.fresh());
        let aggregates = vec![
            bool_or_udaf().call(vec![decisive]).alias(&decided),
            bool_or_udaf().call(vec![holds.is_null()]).alias(&unknown),
        ];
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(plan), vec![], aggregates)?);
        let column = |name: &str| Expr::Column(Column::new_unqualified(name));
        let value = when(column(&decided), lit(!all))
            .when(column(&unknown), lit(datafusion::common::ScalarValue::Boolean(None)))
            .otherwise(lit(all))?;
        let plan = project(vec![value.alias(&decided)], plan)?;
        self.scalar(input, plan)
    }

    /// Turns a term of WHERE into a semi or anti join; gives it back where it is no such term.
    pub(super) fn semi_join(
        &mut self,
        input: LogicalPlan,
        term: Expr,
    ) -> Result<(LogicalPlan, Option<Expr>)> {
        let (term, negated) = match term {
            Expr::Not(inner) => (*inner, true),
            other => (other, false),
        };
        match term {
            Expr::Exists(exists) => {
                let join_type = join_type(exists.negated != negated);
                let plan = rows_only(Arc::unwrap_or_clone(exists.subquery.subquery));
                Ok((self.semi(input, plan, None, join_type)?, None))
            }
            Expr::InSubquery(test) if test.negated == negated && !has_subquery(&test.expr) => {
                let plan = Arc::unwrap_or_clone(test.subquery.subquery);
                Ok((self.semi(input, plan, Some(*test.expr), JoinType::LeftSemi)?, None))
            }
            other if negated => Ok((input, Some(Expr::Not(Box::new(other))))),
            other => Ok((input, Some(other))),
        }
    }

    fn semi(
        &mut self,
        input: LogicalPlan,
        plan: LogicalPlan,
        tested: Option<Expr>,
        join_type: JoinType,
    ) -> Result<LogicalPlan> {
        let plan = match self.direct(&input, plan, tested.as_ref(), join_type)? {
            Direct::Joined(plan) => return Ok(plan),
            Direct::Not(plan) => plan,
        };
        let plan = match &tested {
            None => plan,
            Some(_) => {
                let first = Expr::Column(Column::from(plan.schema().qualified_field(0)));
                let filter = Filter::try_new(first.is_not_null(), Arc::new(plan))?;
                LogicalPlan::Filter(filter)
            }
        };
        let member = self.fresh();
        let value = match &tested {
            Some(_) => Expr::Column(Column::from(plan.schema().qualified_field(0))),
            None => lit(true),
        };
        let plan = project(vec![value.alias(&member)], plan)?;
        let mut side = self.side(&input, plan, None)?;
        if let Some(defaults) = &side.defaults {
            let defaults = defaults.clone();
            return self.semi_with_defaults(input, side, defaults, tested, (&member, join_type));
        }
        if let Some(tested) = tested {
            side.on.push((tested, Expr::Column(Column::new_unqualified(&member))));
        }
        attach(input, side, join_type, None)
    }

    /// The subquery has exactly one row for each value of its domain.
    fn semi_with_defaults(
        &mut self,
        input: LogicalPlan,
        mut side: Side,
        defaults: Vec<Expr>,
        tested: Option<Expr>,
        (member, join_type): (&str, JoinType),
    ) -> Result<LogicalPlan> {
        let columns = input.schema().columns();
        let Some(tested) = tested else {
            let all = join_type == JoinType::LeftSemi;
            let filter = Filter::try_new(lit(all), Arc::new(input))?;
            return Ok(LogicalPlan::Filter(filter));
        };
        let marker = self.fresh();
        side.plan = with_marker(side.plan, &marker)?;
        let joined = attach(input, side, JoinType::Left, None)?;
        let missing = Expr::Column(Column::new_unqualified(&marker)).is_null();
        let default = defaults.into_iter().next().unwrap_or_else(|| lit(true));
        let value = Expr::Column(Column::new_unqualified(member));
        let value = or_default(&missing, as_inner(default)?, value)?;
        let filter = Filter::try_new(tested.eq(value), Arc::new(joined))?;
        super::restrict(LogicalPlan::Filter(filter), &columns)
    }

    /// Joins with the subquery's relations where only its WHERE clause has outer columns.
    fn direct(
        &mut self,
        input: &LogicalPlan,
        plan: LogicalPlan,
        tested: Option<&Expr>,
        join_type: JoinType,
    ) -> Result<Direct> {
        let depends = |plan: &LogicalPlan| {
            free::columns(plan)
                .map(|free| free.iter().any(|(column, _)| has(input.schema(), column)))
        };
        let (item, below) = match (&plan, tested) {
            (LogicalPlan::Projection(projection), Some(_)) => {
                (projection.expr.first().cloned(), projection.input.as_ref())
            }
            (_, Some(_)) => return Ok(Direct::Not(plan)),
            (other, None) => (None, other),
        };
        let (predicate, relation) = match below {
            LogicalPlan::Filter(filter) => (Some(&filter.predicate), filter.input.as_ref()),
            other => (None, other),
        };
        let has_subqueries =
            predicate.is_some_and(has_subquery) || item.as_ref().is_some_and(has_subquery);
        if has_subqueries || depends(relation)? {
            return Ok(Direct::Not(plan));
        }
        let prefix = self.fresh();
        let columns = relation.schema().columns();
        let name = |at: usize| format!("{prefix}_{at}");
        let items = columns
            .iter()
            .enumerate()
            .map(|(at, column)| Expr::Column(column.clone()).alias(name(at)));
        let (own, outer): (Vec<Expr>, Vec<Expr>) = predicate
            .map(|predicate| split_conjunction(predicate).into_iter().cloned().collect::<Vec<_>>())
            .unwrap_or_default()
            .into_iter()
            .partition(|term| !term.contains_outer());
        let relation = match conjunction(own) {
            Some(own) => LogicalPlan::Filter(Filter::try_new(own, Arc::new(relation.clone()))?),
            None => relation.clone(),
        };
        let right = project(items.collect(), relation)?;
        let as_joined = |expr: Expr| as_joined(expr, &columns, &name, input.schema());
        let mut conditions = Vec::new();
        for term in outer {
            conditions.push(as_joined(term)?);
        }
        if let (Some(tested), Some(item)) = (tested, item) {
            let item = match item {
                Expr::Alias(alias) => *alias.expr,
                other => other,
            };
            conditions.push(tested.clone().eq(as_joined(item)?));
        }
        let joined = LogicalPlanBuilder::from(input.clone())
            .join_on(right, join_type, conditions)?
            .build()?;
        Ok(Direct::Joined(joined))
    }
}

/// A term over a subquery's columns, for a join in which these have the names of `name`.
fn as_joined(
    expr: Expr,
    columns: &[Column],
    name: &dyn Fn(usize) -> String,
    outer: &DFSchema,
) -> Result<Expr> {
    let renamed = expr.transform_up(|expr| {
        if let Expr::Column(column) = &expr
            && let Some(at) = columns.iter().position(|known| known == column)
        {
            let column = Column::new_unqualified(name(at));
            return Ok(Transformed::yes(Expr::Column(column)));
        }
        Ok(Transformed::no(expr))
    })?;
    let joined = renamed.data.transform_up(|expr| match expr {
        Expr::OuterReferenceColumn(_, column) if has(outer, &column) => {
            Ok(Transformed::yes(Expr::Column(column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(joined.data)
}

enum Direct {
    Joined(LogicalPlan),
    Not(LogicalPlan),
}

fn join_type(anti: bool) -> JoinType {
    if anti { JoinType::LeftAnti } else { JoinType::LeftSemi }
}

fn negate(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}

fn project(exprs: Vec<Expr>, plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

/// Adds a column that is true.
fn with_marker(plan: LogicalPlan, marker: &str) -> Result<LogicalPlan> {
    let columns = plan.schema().columns().into_iter().map(Expr::Column);
    project(columns.chain([lit(true).alias(marker)]).collect(), plan)
}

/// Joins a side to its input.
pub(super) fn attach(
    input: LogicalPlan,
    side: Side,
    join_type: JoinType,
    filter: Option<Expr>,
) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Join(Join::try_new(
        Arc::new(input),
        Arc::new(side.plan),
        side.on,
        filter,
        join_type,
        JoinConstraint::On,
        side.null_equality,
        false,
    )?))
}

/// Outer columns as columns of the plan that provides them.
pub(super) fn as_inner(expr: Expr) -> Result<Expr> {
    let replaced = expr.transform_up(|expr| match expr {
        Expr::OuterReferenceColumn(_, column) => Ok(Transformed::yes(Expr::Column(column))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(replaced.data)
}

/// Takes off what does not change whether a plan has rows.
fn rows_only(plan: LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Projection(projection) => rows_only(Arc::unwrap_or_clone(projection.input)),
        LogicalPlan::SubqueryAlias(alias) => rows_only(Arc::unwrap_or_clone(alias.input)),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
            rows_only(Arc::unwrap_or_clone(sort.input))
        }
        LogicalPlan::Distinct(Distinct::All(input)) => rows_only(Arc::unwrap_or_clone(input)),
        LogicalPlan::Limit(limit)
            if at_least_one(limit.skip.as_deref(), limit.fetch.as_deref()) =>
        {
            rows_only(Arc::unwrap_or_clone(limit.input))
        }
        other => other,
    }
}
