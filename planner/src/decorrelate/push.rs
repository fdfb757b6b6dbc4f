//! Computes a correlated plan for all values of its domain at once.
//!
//! ```text
//! σ outer.a < t.b (t)            =>  σ d0 < t.b (t × D)
//! σ t.k = outer.a (t)            =>  t with t.k AS d0, where t.k IS NOT NULL      (no D)
//! γ sum(x) (p)                   =>  γ d0; sum(x) (push p), NULL for the rest of D
//! limit 3 (sort y (p))           =>  σ row_number() OVER (PARTITION BY d0 ORDER BY y) <= 3 (push p)
//! ```
//!
//! The output has the columns of the plan as they were, and then those of the domain.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, DFSchemaRef, JoinType, NullEquality, Result, ScalarValue, not_impl_err,
};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, DistinctOn, Expr, ExprFunctionExt, Filter, GroupingSet, Join,
    JoinConstraint, Limit, LogicalPlan, LogicalPlanBuilder, Operator, Projection, SortExpr, Union,
    Unnest, Values, Window, lit,
};

use super::domain::Domain;
use super::recursive::WorkTable;
use super::{free, named};

/// A plan over its domain.
pub(super) struct Pushed {
    pub(super) plan: LogicalPlan,
    /// What the columns are for values of the domain without a row, in terms of outer columns;
    /// `None` where such values have no row.
    pub(super) defaults: Option<Vec<Expr>>,
    /// Whether no column of the domain is NULL.
    pub(super) not_null: bool,
}

impl Pushed {
    fn rows(plan: LogicalPlan, not_null: bool) -> Self {
        Self { plan, defaults: None, not_null }
    }
}

/// Pushes one domain into one plan.
pub(super) struct Push<'a> {
    pub(super) domain: &'a Domain,
    pub(super) prefix: String,
    pub(super) n_names: usize,
    pub(super) work_tables: Vec<WorkTable>,
}

impl<'a> Push<'a> {
    pub(super) fn new(domain: &'a Domain, prefix: &str) -> Self {
        Self { domain, prefix: prefix.to_owned(), n_names: 0, work_tables: vec![] }
    }

    fn fresh(&mut self) -> String {
        self.n_names += 1;
        format!("{}p{}", self.prefix, self.n_names)
    }

    /// Whether a plan uses a column of the domain.
    pub(super) fn depends(&self, plan: &LogicalPlan) -> Result<bool> {
        let free = free::columns(plan)?;
        let depends = free.iter().any(|(column, _)| self.domain.name_of(column).is_some());
        Ok(depends || self.reads_work_table(plan)?)
    }

    pub(super) fn push(&mut self, plan: LogicalPlan) -> Result<Pushed> {
        if !self.depends(&plan)? {
            return self.cross(plan);
        }
        match plan {
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::SubqueryAlias(alias) => {
                let pushed = self.push(Arc::unwrap_or_clone(alias.input))?;
                let exprs = self.renamed(&pushed.plan, &alias.schema);
                Ok(Pushed { plan: project(exprs, pushed.plan)?, ..pushed })
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let pushed = self.complete_push(Arc::unwrap_or_clone(input))?;
                let plan = LogicalPlan::Distinct(Distinct::All(Arc::new(pushed.plan)));
                Ok(Pushed::rows(plan, pushed.not_null))
            }
            LogicalPlan::Distinct(Distinct::On(on)) => self.distinct_on(on),
            // The order of rows of a subquery means nothing except for LIMIT.
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                self.push(Arc::unwrap_or_clone(sort.input))
            }
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::RecursiveQuery(query) => self.recursive(query),
            LogicalPlan::TableScan(scan) if let Some(pushed) = self.work_table(&scan) => Ok(pushed),
            other => not_impl_err!("a correlated subquery with {}", other.display()),
        }
    }

    /// Every row of a plan for every value of the domain.
    fn cross(&self, plan: LogicalPlan) -> Result<Pushed> {
        let domain = self.domain.plan()?;
        let not_null = self.domain.not_null();
        if let LogicalPlan::EmptyRelation(empty) = &plan
            && empty.produce_one_row
            && empty.schema.fields().is_empty()
        {
            return Ok(Pushed::rows(domain, not_null));
        }
        let plan = LogicalPlanBuilder::from(plan).cross_join(domain)?.build()?;
        Ok(Pushed::rows(plan, not_null))
    }

    /// Pushes, and adds the rows for values of the domain that have none.
    pub(super) fn complete_push(&mut self, plan: LogicalPlan) -> Result<Pushed> {
        let schema = Arc::clone(plan.schema());
        let pushed = self.push(plan)?;
        self.complete(pushed, &schema)
    }

    pub(super) fn complete(&mut self, pushed: Pushed, schema: &DFSchemaRef) -> Result<Pushed> {
        let Some(defaults) = pushed.defaults else { return Ok(pushed) };
        let marker = self.fresh();
        let (right, names) = self.rename_domain(pushed.plan, Some(&marker))?;
        let left = self.domain.plan()?;
        let on = self.domain.exprs().into_iter().zip(names).collect();
        let joined = join_null_safe(left, right, on, JoinType::Left, None)?;
        let missing = Expr::Column(Column::new_unqualified(&marker)).is_null();
        let exprs = schema.iter().zip(defaults).map(|((qualifier, field), default)| {
            let column = Expr::Column(Column::from((qualifier, field)));
            let value = or_default(&missing, self.replace(default)?, column)?;
            Ok(named(value, qualifier, field.name()))
        });
        let exprs: Vec<Expr> = exprs.collect::<Result<_>>()?;
        let exprs = exprs.into_iter().chain(self.domain.exprs()).collect();
        Ok(Pushed::rows(project(exprs, joined)?, self.domain.not_null()))
    }

    /// Gives the columns of the domain other names, for the right side of a join.
    pub(super) fn rename_domain(
        &mut self,
        plan: LogicalPlan,
        marker: Option<&str>,
    ) -> Result<(LogicalPlan, Vec<Expr>)> {
        let prefix = self.fresh();
        let mut exprs = Vec::new();
        let mut names = Vec::new();
        for (qualifier, field) in plan.schema().iter() {
            let column = Expr::Column(Column::from((qualifier, field)));
            let at = self.domain.names.iter().position(|name| name == field.name());
            match at {
                Some(at) if qualifier.is_none() => {
                    exprs.push(column.alias(format!("{prefix}_{at}")))
                }
                _ => exprs.push(column),
            }
        }
        for at in 0..self.domain.names.len() {
            names.push(Expr::Column(Column::new_unqualified(format!("{prefix}_{at}"))));
        }
        if let Some(marker) = marker {
            exprs.push(lit(true).alias(marker));
        }
        Ok((project(exprs, plan)?, names))
    }

    /// Puts columns of the domain in the places of outer columns.
    pub(super) fn replace(&self, expr: Expr) -> Result<Expr> {
        let replaced = expr.transform_up(|expr| {
            if let Expr::OuterReferenceColumn(_, column) = &expr
                && let Some(name) = self.domain.name_of(column)
            {
                return Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name))));
            }
            Ok(Transformed::no(expr))
        })?;
        Ok(replaced.data)
    }

    fn replace_sort(&self, mut key: SortExpr) -> Result<SortExpr> {
        key.expr = self.replace(key.expr)?;
        Ok(key)
    }

    /// The outputs of a plan under the names of another schema, and the domain.
    pub(super) fn renamed(&self, plan: &LogicalPlan, schema: &DFSchemaRef) -> Vec<Expr> {
        let columns = plan.schema().iter().zip(schema.iter());
        let renamed = columns.map(|((from, field), (qualifier, new))| {
            let column = Expr::Column(Column::from((from, field)));
            named(column, qualifier, new.name())
        });
        renamed.chain(self.domain.exprs()).collect()
    }

    /// The columns of a schema, and the domain.
    fn ordered(&self, schema: &DFSchemaRef) -> Vec<Expr> {
        let columns = schema.iter().map(|column| Expr::Column(Column::from(column)));
        columns.chain(self.domain.exprs()).collect()
    }

    fn projection(&mut self, projection: Projection) -> Result<Pushed> {
        let input_schema = Arc::clone(projection.input.schema());
        let pushed = self.push(Arc::unwrap_or_clone(projection.input))?;
        let defaults = pushed.defaults.map(|defaults| {
            projection
                .expr
                .iter()
                .map(|expr| substitute(expr.clone(), &input_schema, &defaults))
                .collect::<Result<Vec<_>>>()
        });
        let mut exprs = Vec::new();
        for (expr, (qualifier, field)) in projection.expr.into_iter().zip(projection.schema.iter())
        {
            exprs.push(named(self.replace(expr)?, qualifier, field.name()));
        }
        exprs.extend(self.domain.exprs());
        let plan = project(exprs, pushed.plan)?;
        Ok(Pushed { plan, defaults: defaults.transpose()?, not_null: pushed.not_null })
    }

    fn filter(&mut self, filter: Filter) -> Result<Pushed> {
        let input = Arc::unwrap_or_clone(filter.input);
        if !self.depends(&input)?
            && let Some(pinned) = self.pinned(&filter.predicate)?
        {
            return self.filter_pinned(input, &filter.predicate, pinned);
        }
        let pushed = self.complete_push(input)?;
        let predicate = self.replace(filter.predicate)?;
        let plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(pushed.plan))?);
        Ok(Pushed::rows(plan, pushed.not_null))
    }

    /// For each column of the domain an inner expression that the predicate makes equal to it.
    fn pinned(&self, predicate: &Expr) -> Result<Option<Vec<Expr>>> {
        let terms = split_conjunction(predicate);
        let mut pins = Vec::new();
        for (column, field) in &self.domain.columns {
            let is_outer = |expr: &Expr| matches!(expr, Expr::OuterReferenceColumn(_, outer) if outer == column);
            let pin = terms.iter().find_map(|term| {
                let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = term else {
                    return None;
                };
                let inner = match (is_outer(left), is_outer(right)) {
                    (true, false) => right,
                    (false, true) => left,
                    _ => return None,
                };
                let plain = !inner.contains_outer() && !inner.is_volatile();
                (plain && !super::has_subquery(inner)).then(|| inner.as_ref().clone())
            });
            let Some(pin) = pin else { return Ok(None) };
            if !groups_as_it_compares(field.data_type()) {
                return Ok(None);
            }
            pins.push(pin);
        }
        Ok(Some(pins))
    }

    fn filter_pinned(
        &mut self,
        input: LogicalPlan,
        predicate: &Expr,
        pins: Vec<Expr>,
    ) -> Result<Pushed> {
        use datafusion::logical_expr::ExprSchemable;
        for (pin, (_, field)) in pins.iter().zip(&self.domain.columns) {
            if pin.get_type(input.schema())? != *field.data_type() {
                let pushed = self.cross(input)?;
                let predicate = self.replace(predicate.clone())?;
                let plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(pushed.plan))?);
                return Ok(Pushed::rows(plan, pushed.not_null));
            }
        }
        let schema = Arc::clone(input.schema());
        let by_pin = |expr: Expr| {
            expr.transform_up(|expr| {
                if let Expr::OuterReferenceColumn(_, column) = &expr
                    && let Some(at) =
                        self.domain.columns.iter().position(|(known, _)| known == column)
                    && let Some(pin) = pins.get(at)
                {
                    return Ok(Transformed::yes(pin.clone()));
                }
                Ok(Transformed::no(expr))
            })
            .map(|replaced| replaced.data)
        };
        let mut terms = Vec::new();
        for term in split_conjunction(predicate) {
            match by_pin(term.clone())? {
                // What pins a column now compares an expression with itself.
                Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if left == right => {
                    terms.push(left.is_not_null());
                }
                other => terms.push(other),
            }
        }
        let input = match conjunction(terms) {
            Some(predicate) => LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?),
            None => input,
        };
        let columns = schema.iter().map(|column| Expr::Column(Column::from(column)));
        let pins = pins.into_iter().zip(&self.domain.names);
        let pins = pins.map(|(pin, name)| pin.alias(name));
        Ok(Pushed::rows(project(columns.chain(pins).collect(), input)?, true))
    }

    fn aggregate(&mut self, aggregate: Aggregate) -> Result<Pushed> {
        let schema = Arc::clone(&aggregate.schema);
        let pushed = self.complete_push(Arc::unwrap_or_clone(aggregate.input))?;
        let defaults = if aggregate.group_expr.is_empty() {
            Some(defaults_of(&aggregate.aggr_expr, &schema)?)
        } else {
            None
        };
        let n_groups = schema.fields().len() - aggregate.aggr_expr.len();
        let mut groups = Vec::new();
        for (at, expr) in aggregate.group_expr.into_iter().enumerate() {
            let replaced = self.replace(expr)?;
            groups.push(match replaced {
                Expr::GroupingSet(set) => Expr::GroupingSet(self.grouping_set(set)),
                other if at < n_groups => {
                    let (qualifier, field) = schema.qualified_field(at);
                    named(other, qualifier, field.name())
                }
                other => other,
            });
        }
        if !matches!(groups.as_slice(), [Expr::GroupingSet(_)]) {
            groups.extend(self.domain.exprs());
        }
        let mut aggregates = Vec::new();
        for (at, expr) in aggregate.aggr_expr.into_iter().enumerate() {
            let (qualifier, field) = schema.qualified_field(n_groups + at);
            aggregates.push(named(self.replace(expr)?, qualifier, field.name()));
        }
        let plan = Aggregate::try_new(Arc::new(pushed.plan), groups, aggregates)?;
        let plan = project(self.ordered(&schema), LogicalPlan::Aggregate(plan))?;
        Ok(Pushed { plan, defaults, not_null: pushed.not_null })
    }

    /// Adds the domain to each set; in front, where it does not move the bits of GROUPING.
    fn grouping_set(&self, set: GroupingSet) -> GroupingSet {
        let sets: Vec<Vec<Expr>> = match set {
            GroupingSet::GroupingSets(sets) => sets,
            GroupingSet::Rollup(exprs) => {
                (0..=exprs.len()).rev().map(|n| exprs.iter().take(n).cloned().collect()).collect()
            }
            GroupingSet::Cube(exprs) => {
                let mut sets = vec![Vec::new()];
                for expr in exprs {
                    let with: Vec<Vec<Expr>> = sets
                        .iter()
                        .map(|set| set.iter().cloned().chain([expr.clone()]).collect())
                        .collect();
                    sets.extend(with);
                }
                sets
            }
        };
        let sets = sets.into_iter().map(|set| self.domain.exprs().into_iter().chain(set).collect());
        GroupingSet::GroupingSets(sets.collect())
    }

    fn distinct_on(&mut self, on: DistinctOn) -> Result<Pushed> {
        let pushed = self.complete_push(Arc::unwrap_or_clone(on.input))?;
        let mut keys = self.domain.exprs();
        for expr in on.on_expr {
            keys.push(self.replace(expr)?);
        }
        let mut items = Vec::new();
        for (expr, (qualifier, field)) in on.select_expr.into_iter().zip(on.schema.iter()) {
            items.push(named(self.replace(expr)?, qualifier, field.name()));
        }
        items.extend(self.domain.exprs());
        let order = on
            .sort_expr
            .map(|order| {
                let domain = self.domain.exprs().into_iter().map(|expr| expr.sort(true, false));
                let rest = order.into_iter().map(|key| self.replace_sort(key));
                domain.map(Ok).chain(rest).collect::<Result<Vec<_>>>()
            })
            .transpose()?;
        let plan = DistinctOn::try_new(keys, items, order, Arc::new(pushed.plan))?;
        Ok(Pushed::rows(LogicalPlan::Distinct(Distinct::On(plan)), pushed.not_null))
    }

    fn limit(&mut self, limit: Limit) -> Result<Pushed> {
        let Limit { skip, fetch, input } = limit;
        let input = Arc::unwrap_or_clone(input);
        let schema = Arc::clone(input.schema());
        let keeps_first = at_least_one(skip.as_deref(), fetch.as_deref());
        let (keys, below, items) = match input {
            LogicalPlan::Sort(sort) => (sort.expr, Arc::unwrap_or_clone(sort.input), None),
            LogicalPlan::Projection(projection)
                if matches!(projection.input.as_ref(), LogicalPlan::Sort(_)) =>
            {
                let LogicalPlan::Sort(sort) = Arc::unwrap_or_clone(projection.input) else {
                    return not_impl_err!("a correlated subquery with LIMIT");
                };
                (sort.expr, Arc::unwrap_or_clone(sort.input), Some(projection.expr))
            }
            other => (vec![], other, None),
        };
        let pushed = self.push(below)?;
        if pushed.defaults.is_some() && keeps_first && items.is_none() {
            // One row for each value of the domain, which LIMIT does not take away.
            return Ok(pushed);
        }
        let below_schema = self.without_domain(&pushed.plan)?;
        let pushed = self.complete(pushed, &below_schema)?;
        let number = self.fresh();
        let order =
            keys.into_iter().map(|key| self.replace_sort(key)).collect::<Result<Vec<_>>>()?;
        let row_number = datafusion::functions_window::row_number::row_number()
            .partition_by(self.domain.exprs())
            .order_by(order)
            .build()?
            .alias(&number);
        let plan = Window::try_new(vec![row_number], Arc::new(pushed.plan))?;
        let condition = self.range(&number, skip, fetch)?;
        let filtered = match condition {
            Some(condition) => LogicalPlan::Filter(Filter::try_new(
                condition,
                Arc::new(LogicalPlan::Window(plan)),
            )?),
            None => LogicalPlan::Window(plan),
        };
        let items = match items {
            None => self.ordered(&schema),
            Some(items) => {
                let mut exprs = Vec::new();
                for (expr, (qualifier, field)) in items.into_iter().zip(schema.iter()) {
                    exprs.push(named(self.replace(expr)?, qualifier, field.name()));
                }
                exprs.into_iter().chain(self.domain.exprs()).collect()
            }
        };
        Ok(Pushed::rows(project(items, filtered)?, pushed.not_null))
    }

    /// `skip < number <= skip + fetch`.
    fn range(
        &self,
        number: &str,
        skip: Option<Box<Expr>>,
        fetch: Option<Box<Expr>>,
    ) -> Result<Option<Expr>> {
        use arrow::datatypes::DataType::Int64;
        use datafusion::logical_expr::cast;
        let number = cast(Expr::Column(Column::new_unqualified(number)), Int64);
        let count = |expr: Box<Expr>| {
            Ok::<_, datafusion::error::DataFusionError>(cast(self.replace(*expr)?, Int64))
        };
        let skip = skip.map(count).transpose()?;
        let fetch = fetch.map(count).transpose()?;
        let zero = || lit(ScalarValue::Int64(Some(0)));
        let skip =
            skip.map(|skip| datafusion::functions::core::expr_fn::coalesce(vec![skip, zero()]));
        let after = skip.clone().map(|skip| number.clone().gt(skip));
        let until = fetch.map(|fetch| {
            let end = match skip {
                Some(skip) => {
                    let plus =
                        BinaryExpr::new(Box::new(skip), Operator::Plus, Box::new(fetch.clone()));
                    Expr::BinaryExpr(plus)
                }
                None => fetch.clone(),
            };
            // LIMIT NULL is no limit.
            number.clone().lt_eq(end).or(fetch.is_null())
        });
        Ok(conjunction(after.into_iter().chain(until)))
    }

    fn without_domain(&self, plan: &LogicalPlan) -> Result<DFSchemaRef> {
        let fields = plan
            .schema()
            .iter()
            .filter(|(qualifier, field)| {
                qualifier.is_some() || !self.domain.names.contains(field.name())
            })
            .map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
        let schema = datafusion::common::DFSchema::new_with_metadata(
            fields.collect(),
            std::collections::HashMap::new(),
        )?;
        Ok(Arc::new(schema))
    }

    fn window(&mut self, window: Window) -> Result<Pushed> {
        let schema = Arc::clone(&window.schema);
        let n_inputs = window.input.schema().fields().len();
        let pushed = self.complete_push(Arc::unwrap_or_clone(window.input))?;
        let mut exprs = Vec::new();
        for (at, expr) in window.window_expr.into_iter().enumerate() {
            let partitioned = self.replace(expr)?.transform_down(|expr| match expr {
                Expr::WindowFunction(function) => {
                    let WindowFunction { fun, params } = *function;
                    let mut partition_by = self.domain.exprs();
                    partition_by.extend(params.partition_by);
                    let params = WindowFunctionParams { partition_by, ..params };
                    let function = Box::new(WindowFunction { fun, params });
                    Ok(Transformed::new(
                        Expr::WindowFunction(function),
                        true,
                        TreeNodeRecursion::Jump,
                    ))
                }
                other => Ok(Transformed::no(other)),
            })?;
            let (qualifier, field) = schema.qualified_field(n_inputs + at);
            exprs.push(named(partitioned.data, qualifier, field.name()));
        }
        let plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(pushed.plan))?);
        Ok(Pushed::rows(project(self.ordered(&schema), plan)?, pushed.not_null))
    }

    fn join(&mut self, join: Join) -> Result<Pushed> {
        use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi};
        let schema = Arc::clone(&join.schema);
        let mirrored =
            !matches!(join.join_type, Inner | Left | LeftSemi | LeftAnti | LeftMark | Full);
        let join = if mirrored { swap(join)? } else { join };
        let on_depends = self.join_condition_depends(&join)?;
        let (left_depends, right_depends) = (self.depends(&join.left)?, self.depends(&join.right)?);
        let inner_right =
            join.join_type == Inner && !left_depends && (right_depends || !on_depends);
        let left = Arc::unwrap_or_clone(join.left);
        let right = Arc::unwrap_or_clone(join.right);
        let mut on = Vec::new();
        for (left, right) in join.on {
            on.push((self.replace(left)?, self.replace(right)?));
        }
        let filter = join.filter.map(|filter| self.replace(filter)).transpose()?;
        // An inner join needs the domain on one side only.
        let (left, left_not_null) = if inner_right {
            (left, true)
        } else {
            let pushed = self.complete_push(left)?;
            (pushed.plan, pushed.not_null)
        };
        let both = !inner_right && (right_depends || join.join_type == Full);
        let (right, right_not_null, mut keys) = if inner_right {
            let pushed = self.complete_push(right)?;
            (pushed.plan, pushed.not_null, Vec::new())
        } else if both {
            let pushed = self.complete_push(right)?;
            let (plan, names) = self.rename_domain(pushed.plan, None)?;
            (plan, pushed.not_null, self.domain.exprs().into_iter().zip(names).collect())
        } else {
            (right, true, Vec::new())
        };
        let full_names: Vec<(Expr, Expr)> = keys.clone();
        let not_null = left_not_null && right_not_null;
        let mut null_equality = join.null_equality;
        let mut conditions: Vec<Expr> = filter.into_iter().collect();
        if !keys.is_empty() && !not_null {
            // All keys of a join treat NULLs alike.
            if null_equality == NullEquality::NullEqualsNothing {
                conditions.extend(on.iter().map(|(left, _)| left.clone().is_not_null()));
            }
            null_equality = NullEquality::NullEqualsNull;
        }
        keys.extend(on);
        let plan = LogicalPlan::Join(Join::try_new(
            Arc::new(left),
            Arc::new(right),
            keys,
            conjunction(conditions),
            join.join_type,
            JoinConstraint::On,
            null_equality,
            join.null_aware,
        )?);
        let columns = schema.iter().map(|column| Expr::Column(Column::from(column)));
        let domain: Vec<Expr> = if join.join_type == Full {
            let merged =
                full_names.into_iter().zip(&self.domain.names).map(|((left, right), name)| {
                    let either = vec![left, right];
                    datafusion::functions::core::expr_fn::coalesce(either).alias(name)
                });
            merged.collect()
        } else {
            self.domain.exprs()
        };
        let plan = project(columns.chain(domain).collect(), plan)?;
        Ok(Pushed::rows(plan, not_null))
    }

    fn join_condition_depends(&self, join: &Join) -> Result<bool> {
        let keys = join.on.iter().flat_map(|(left, right)| [left, right]);
        for expr in keys.chain(&join.filter) {
            let free = free::columns_of_expr(expr)?;
            if free.iter().any(|(column, _)| self.domain.name_of(column).is_some()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn union(&mut self, union: Union) -> Result<Pushed> {
        let mut inputs = Vec::new();
        let mut not_null = true;
        for input in union.inputs {
            let pushed = self.complete_push(Arc::unwrap_or_clone(input))?;
            not_null &= pushed.not_null;
            let columns = pushed.plan.schema().columns().into_iter().map(Expr::Column).collect();
            inputs.push(Arc::new(project(columns, pushed.plan)?));
        }
        let plan = LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?);
        let exprs = self.renamed(&plan, &union.schema);
        Ok(Pushed::rows(project(exprs, plan)?, not_null))
    }

    fn unnest(&mut self, unnest: Unnest) -> Result<Pushed> {
        let pushed = self.complete_push(Arc::unwrap_or_clone(unnest.input))?;
        let input = Arc::new(pushed.plan);
        let plan = Unnest::try_new(input, unnest.exec_columns, unnest.options)?;
        let plan = project(self.ordered(&unnest.schema), LogicalPlan::Unnest(plan))?;
        Ok(Pushed::rows(plan, pushed.not_null))
    }

    fn values(&mut self, values: Values) -> Result<Pushed> {
        let mut inputs = Vec::new();
        for row in values.values {
            let domain = self.domain.plan()?;
            let mut exprs = Vec::new();
            for (expr, (qualifier, field)) in row.into_iter().zip(values.schema.iter()) {
                exprs.push(named(self.replace(expr)?, qualifier, field.name()));
            }
            exprs.extend(self.domain.exprs());
            inputs.push(Arc::new(project(exprs, domain)?));
        }
        let plan = match inputs.as_slice() {
            [only] => Arc::unwrap_or_clone(Arc::clone(only)),
            _ => LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?),
        };
        let exprs = self.renamed(&plan, &values.schema);
        Ok(Pushed::rows(project(exprs, plan)?, self.domain.not_null()))
    }
}

/// Whether values that compare as equal are one group.
fn groups_as_it_compares(data_type: &arrow::datatypes::DataType) -> bool {
    !data_type.is_floating()
}

fn project(exprs: Vec<Expr>, plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

/// A join in which NULL matches NULL.
pub(super) fn join_null_safe(
    left: LogicalPlan,
    right: LogicalPlan,
    on: Vec<(Expr, Expr)>,
    join_type: JoinType,
    filter: Option<Expr>,
) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Join(Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        filter,
        join_type,
        JoinConstraint::On,
        NullEquality::NullEqualsNull,
        false,
    )?))
}

/// `CASE WHEN missing THEN default ELSE value END`, shorter where NULL is the default.
pub(super) fn or_default(missing: &Expr, default: Expr, value: Expr) -> Result<Expr> {
    let plain = match &default {
        Expr::Alias(alias) => alias.expr.as_ref(),
        other => other,
    };
    if matches!(plain, Expr::Literal(value, _) if value.is_null()) {
        return Ok(value);
    }
    datafusion::logical_expr::when(missing.clone(), default).otherwise(value)
}

/// What an aggregation without groups gives for no rows.
fn defaults_of(aggregates: &[Expr], schema: &DFSchemaRef) -> Result<Vec<Expr>> {
    let mut defaults = Vec::new();
    for (at, expr) in aggregates.iter().enumerate() {
        let data_type = schema.field(at).data_type();
        let mut value = ScalarValue::try_from(data_type)?;
        expr.apply(|expr| {
            if let Expr::AggregateFunction(function) = expr {
                value = function.func.default_value(data_type)?;
                return Ok(TreeNodeRecursion::Stop);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        defaults.push(lit(value));
    }
    Ok(defaults)
}

/// Puts the defaults in the places of an input's columns.
fn substitute(expr: Expr, schema: &DFSchemaRef, defaults: &[Expr]) -> Result<Expr> {
    let expr = match expr {
        Expr::Alias(alias) => *alias.expr,
        other => other,
    };
    let replaced = expr.transform_up(|expr| {
        if let Expr::Column(column) = &expr
            && let Some(at) = schema.index_of_column_by_name(column.relation.as_ref(), &column.name)
            && let Some(default) = defaults.get(at)
        {
            return Ok(Transformed::yes(default.clone()));
        }
        Ok(Transformed::no(expr))
    })?;
    Ok(replaced.data)
}

/// Whether OFFSET and LIMIT leave the first row.
pub(super) fn at_least_one(skip: Option<&Expr>, fetch: Option<&Expr>) -> bool {
    fn number(expr: &Expr) -> Option<Option<i64>> {
        match expr {
            Expr::Literal(ScalarValue::Int64(value), _) => Some(*value),
            Expr::Literal(ScalarValue::Int32(value), _) => Some(value.map(i64::from)),
            Expr::Literal(value, _) if value.is_null() => Some(None),
            Expr::Cast(cast) => number(&cast.expr),
            _ => None,
        }
    }
    let from_start = skip.is_none_or(|skip| matches!(number(skip), Some(None | Some(0))));
    let takes = fetch
        .is_none_or(|fetch| number(fetch).is_some_and(|count| count.is_none_or(|count| count > 0)));
    from_start && takes
}

/// A join with its sides exchanged.
fn swap(join: Join) -> Result<Join> {
    let Some(join_type) = join.join_type.supports_swap().then(|| join.join_type.swap()) else {
        return not_impl_err!("a correlated subquery with {} JOIN", join.join_type);
    };
    Join::try_new(
        join.right,
        join.left,
        join.on.into_iter().map(|(left, right)| (right, left)).collect(),
        join.filter,
        join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )
}
