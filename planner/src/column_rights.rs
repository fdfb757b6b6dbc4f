//! Which columns a query reads of relations that its role may read in part only.
//!
//! ```text
//!   binder ─► Limited source: the relation, and the columns that the role may read
//!                 └─► the query planned with it, as it is written ─► every column that it names
//!                                          one that must not be read: 42501
//!                                          else: planned again with the relation itself
//! ```
//! As in PostgreSQL, a column is read where the query names it, also through `*`, whether or not
//! its value is needed for the result: so the plan is looked at before it is optimised. Where it
//! cannot be told what a column name means, it means every column. Nothing can be run over a
//! [`Limited`] source, so a plan that has got round the check fails.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Constraints, DFSchemaRef, JoinType, TableReference};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    Distinct, Expr, Join, LogicalPlan, Projection, Subquery, TableScan, TableSource, TableType,
};
use tarn_catalog::CatalogError;

use crate::error::{PlannerError, Result};
use crate::provider::Tables;

/// What a role may read of a relation that it may not read as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnLimit {
    /// What messages call the relation: a table or a view.
    pub kind: &'static str,
    /// Its name without the schema.
    pub name: String,
    /// The columns.
    pub columns: BTreeSet<String>,
}

impl ColumnLimit {
    /// The refusal to read what is beyond it.
    #[must_use]
    pub fn denied(&self) -> CatalogError {
        CatalogError::PermissionDenied { kind: self.kind, name: self.name.clone() }
    }
}

/// A relation with its limit: enough to plan a query over it, not to run one.
struct Limited {
    source: Arc<dyn TableSource>,
    limit: Arc<ColumnLimit>,
}

impl TableSource for Limited {
    fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    fn constraints(&self) -> Option<&Constraints> {
        self.source.constraints()
    }

    fn table_type(&self) -> TableType {
        self.source.table_type()
    }

    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        self.source.get_column_default(column)
    }
}

/// A relation that can be read within a limit.
pub(crate) fn limited(source: Arc<dyn TableSource>, limit: ColumnLimit) -> Arc<dyn TableSource> {
    Arc::new(Limited { source, limit: Arc::new(limit) })
}

fn limit_of(source: &Arc<dyn TableSource>) -> Option<&Limited> {
    let any: &dyn Any = source.as_ref();
    any.downcast_ref()
}

/// Whether any of these relations has a limit.
pub(crate) fn has_limits(tables: &Tables) -> bool {
    tables.values().any(|source| limit_of(source).is_some())
}

/// The relation itself, for a query that was checked.
pub(crate) fn unlimited(source: &Arc<dyn TableSource>) -> Arc<dyn TableSource> {
    Arc::clone(limit_of(source).map_or(source, |limited| &limited.source))
}

/// Sees that a plan over limited relations reads nothing beyond their limits.
///
/// # Errors
/// `PermissionDenied` for the first column.
pub(crate) fn check(plan: &LogicalPlan) -> Result<()> {
    let mut walk = Walk::default();
    let outputs = walk.outputs(plan).map_err(|error| PlannerError::Engine(Box::new(error)))?;
    walk.read_all(&outputs);
    match walk.denied {
        Some(limit) => Err(limit.denied().into()),
        None => Ok(()),
    }
}

/// What a column of a plan node stands for: `Some` where it is one that must not be read.
type Origin = Option<Arc<ColumnLimit>>;

/// The columns that an expression can name.
struct Scope {
    schema: DFSchemaRef,
    origins: Vec<Origin>,
}

#[derive(Default)]
struct Walk {
    denied: Option<Arc<ColumnLimit>>,
    /// What the queries around a subquery can name, the innermost last.
    around: Vec<Vec<Scope>>,
}

impl Walk {
    fn read(&mut self, origin: &Origin) {
        if self.denied.is_none() {
            self.denied.clone_from(origin);
        }
    }

    fn read_all(&mut self, origins: &[Origin]) {
        origins.iter().for_each(|origin| self.read(origin));
    }

    fn scope(&mut self, plan: &LogicalPlan) -> EngineResult<Scope> {
        let origins = self.outputs(plan)?;
        let schema = Arc::clone(plan.schema());
        if origins.len() == schema.fields().len() {
            return Ok(Scope { schema, origins });
        }
        // Not what was expected of such a node: in doubt everything is read.
        self.read_all(&origins);
        let origins = vec![None; schema.fields().len()];
        Ok(Scope { schema, origins })
    }

    /// Reads what a node's expressions name and says what its columns stand for.
    fn outputs(&mut self, plan: &LogicalPlan) -> EngineResult<Vec<Origin>> {
        let n_columns = plan.schema().fields().len();
        match plan {
            LogicalPlan::TableScan(scan) => Ok(of_scan(scan, n_columns)),
            LogicalPlan::SubqueryAlias(alias) => Ok(self.scope(&alias.input)?.origins),
            LogicalPlan::Subquery(subquery) => {
                subquery.outer_ref_columns.iter().try_for_each(|e| self.expression(e, &[]))?;
                Ok(self.scope(&subquery.subquery)?.origins)
            }
            LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Window(_) => {
                let mut scopes = self.inputs(plan)?;
                self.expressions(plan, &scopes)?;
                let mut origins = scopes.pop().map(|scope| scope.origins).unwrap_or_default();
                // The results of window functions stand behind what is passed on.
                origins.resize(n_columns, None);
                Ok(origins)
            }
            LogicalPlan::Join(join) => self.join(plan, join),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(Distinct::On(_)) => {
                let scopes = self.inputs(plan)?;
                self.expressions(plan, &scopes)?;
                Ok(vec![None; n_columns])
            }
            _ => {
                let scopes = self.inputs(plan)?;
                self.expressions(plan, &scopes)?;
                scopes.iter().for_each(|scope| self.read_all(&scope.origins));
                Ok(vec![None; n_columns])
            }
        }
    }

    fn inputs(&mut self, plan: &LogicalPlan) -> EngineResult<Vec<Scope>> {
        plan.inputs().into_iter().map(|input| self.scope(input)).collect()
    }

    fn join(&mut self, plan: &LogicalPlan, join: &Join) -> EngineResult<Vec<Origin>> {
        let left = self.scope(&join.left)?;
        // LATERAL: what stands to the right can name what stands to the left.
        self.around.push(vec![left]);
        let right = self.scope(&join.right);
        let mut scopes = self.around.pop().unwrap_or_default();
        scopes.push(right?);
        self.expressions(plan, &scopes)?;
        let mut sides = scopes.into_iter().map(|scope| scope.origins);
        let left = sides.next().unwrap_or_default();
        let right = sides.next().unwrap_or_default();
        let mut origins = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left,
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right,
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                left.into_iter().chain(right).collect()
            }
        };
        origins.resize(plan.schema().fields().len(), None);
        Ok(origins)
    }

    fn projection(&mut self, projection: &Projection) -> EngineResult<Vec<Origin>> {
        let scope = self.scope(&projection.input)?;
        // Only passes on what USING and NATURAL have not merged.
        let passes_on = projection.expr.iter().any(is_merged);
        let scopes = [scope];
        let mut origins = Vec::with_capacity(projection.expr.len());
        for expr in &projection.expr {
            if let (Expr::Column(column), true, [scope]) = (expr, passes_on, &scopes)
                && let Some(at) = scope.schema.maybe_index_of_column(column)
            {
                origins.push(scope.origins.get(at).cloned().flatten());
                continue;
            }
            #[expect(deprecated, reason = "in doubt it is everything")]
            if matches!(expr, Expr::Wildcard { .. }) {
                scopes.iter().for_each(|scope| self.read_all(&scope.origins));
            }
            self.expression(expr, &scopes)?;
            origins.push(None);
        }
        Ok(origins)
    }

    fn expressions(&mut self, plan: &LogicalPlan, scopes: &[Scope]) -> EngineResult<()> {
        for expr in plan.expressions() {
            self.expression(&expr, scopes)?;
        }
        Ok(())
    }

    fn expression(&mut self, expr: &Expr, scopes: &[Scope]) -> EngineResult<()> {
        expr.apply(|expr| {
            match expr {
                Expr::Column(column) if !self.name(column, scopes) => {
                    scopes.iter().for_each(|scope| self.read_all(&scope.origins));
                }
                Expr::OuterReferenceColumn(_, column) => self.outer_name(column),
                Expr::ScalarSubquery(subquery) => self.subquery(subquery, scopes)?,
                Expr::Exists(exists) => self.subquery(&exists.subquery, scopes)?,
                Expr::InSubquery(list) => self.subquery(&list.subquery, scopes)?,
                Expr::SetComparison(set) => self.subquery(&set.subquery, scopes)?,
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }

    /// Reads what a name means in some scopes; returns whether it means anything.
    fn name(&mut self, column: &Column, scopes: &[Scope]) -> bool {
        let mut found = false;
        for scope in scopes {
            let columns = scope.schema.iter().zip(&scope.origins);
            for ((qualifier, field), origin) in columns {
                if *field.name() == column.name && fits(column.relation.as_ref(), qualifier) {
                    found = true;
                    self.read(origin);
                }
            }
        }
        found
    }

    fn outer_name(&mut self, column: &Column) {
        let around = std::mem::take(&mut self.around);
        if !around.iter().rev().any(|scopes| self.name(column, scopes)) {
            around.iter().flatten().for_each(|scope| self.read_all(&scope.origins));
        }
        self.around = around;
    }

    fn subquery(&mut self, subquery: &Subquery, scopes: &[Scope]) -> EngineResult<()> {
        let scopes = scopes.iter().map(|scope| Scope {
            schema: Arc::clone(&scope.schema),
            origins: scope.origins.clone(),
        });
        self.around.push(scopes.collect());
        let columns = &subquery.outer_ref_columns;
        let named = columns.iter().try_for_each(|expr| self.expression(expr, &[]));
        let inner = named.and_then(|()| self.outputs(&subquery.subquery));
        self.around.pop();
        self.read_all(&inner?);
        Ok(())
    }
}

fn of_scan(scan: &TableScan, n_columns: usize) -> Vec<Origin> {
    let Some(limited) = limit_of(&scan.source) else { return vec![None; n_columns] };
    let limit = &limited.limit;
    let columns = scan.projected_schema.fields().iter().map(|field| {
        // A filter may name columns that are not among those returned.
        let readable = scan.filters.is_empty() && limit.columns.contains(field.name());
        (!readable).then(|| Arc::clone(limit))
    });
    columns.collect()
}

/// Whether it is a column that a join has merged, as [`crate::using`] makes it.
fn is_merged(expr: &Expr) -> bool {
    let merged = |relation: &TableReference| relation.table().starts_with('\u{1}');
    matches!(expr, Expr::Alias(alias) if alias.relation.as_ref().is_some_and(merged))
}

fn fits(wanted: Option<&TableReference>, qualifier: Option<&TableReference>) -> bool {
    match (wanted, qualifier) {
        (Some(wanted), Some(qualifier)) => wanted.resolved_eq(qualifier),
        (Some(_), None) => false,
        (None, _) => true,
    }
}
