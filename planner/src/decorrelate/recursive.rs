//! WITH RECURSIVE inside of a correlated subquery.
//!
//! Both terms are computed for all values of the domain at once; the table of rows that the
//! recursion hands on gets the domain's columns, so that each row knows whose it is.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Projection, RecursiveQuery, TableScan,
};

use super::named;
use super::push::{Push, Pushed};

/// The table of a recursion, by the name of its query.
pub(super) struct WorkTable {
    name: String,
    /// The table with the domain's columns.
    plan: LogicalPlan,
    not_null: bool,
}

impl Push<'_> {
    pub(super) fn recursive(&mut self, query: RecursiveQuery) -> Result<Pushed> {
        let RecursiveQuery { name, static_term, recursive_term, is_distinct, schema } = query;
        let start = self.complete_push(Arc::unwrap_or_clone(static_term))?;
        let own_name = format!("{name}{}", self.prefix);
        let table = self.widened(&recursive_term, &name, (&own_name, &start.plan))?;
        if let Some(plan) = table {
            self.work_tables.push(WorkTable { name, plan, not_null: start.not_null });
        }
        let step = self.complete_push(Arc::unwrap_or_clone(recursive_term))?;
        let not_null = start.not_null && step.not_null;
        let plan = LogicalPlanBuilder::from(start.plan)
            .to_recursive_query(own_name, step.plan, is_distinct)?
            .build()?;
        let exprs = self.renamed(&plan, &schema);
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?);
        Ok(Pushed { plan, defaults: None, not_null })
    }

    /// The work table that a term reads, with the columns of the domain.
    fn widened(
        &self,
        term: &LogicalPlan,
        name: &str,
        (own_name, start): (&str, &LogicalPlan),
    ) -> Result<Option<LogicalPlan>> {
        let mut found = None;
        term.apply(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && reads(scan, name)
            {
                found = Some(scan.clone());
                return Ok(TreeNodeRecursion::Stop);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let Some(scan) = found else { return Ok(None) };
        let own = scan.source.schema();
        // With the metadata of the first term's columns, which every row must have.
        let mut domain = Vec::new();
        for name in &self.domain.names {
            let field = start.schema().field_with_unqualified_name(name)?;
            domain.push(Arc::new(field.as_ref().clone().with_nullable(true)));
        }
        let fields: Vec<_> = own.fields().iter().cloned().chain(domain).collect();
        let table = CteWorkTable::new(own_name, Arc::new(Schema::new(fields)));
        let source = provider_as_source(Arc::new(table));
        let wide = LogicalPlanBuilder::scan(own_name, source, None)?.build()?;
        let columns = wide.schema().columns();
        let outputs = scan.projected_schema.iter().map(|(qualifier, field)| {
            let column = columns.iter().find(|column| column.name == *field.name()).cloned();
            let column = column.unwrap_or_else(|| Column::new_unqualified(field.name()));
            named(Expr::Column(column), qualifier, field.name())
        });
        let mut exprs: Vec<Expr> = outputs.collect();
        for name in &self.domain.names {
            let column = columns.iter().find(|column| column.name == *name).cloned();
            exprs.extend(column.map(|column| Expr::Column(column).alias(name)));
        }
        let plan = Projection::try_new(exprs, Arc::new(wide))?;
        Ok(Some(LogicalPlan::Projection(plan)))
    }

    /// The table with the domain's columns for a scan that stands for it.
    pub(super) fn work_table(&self, scan: &TableScan) -> Option<Pushed> {
        let table = self.work_tables.iter().find(|table| reads(scan, &table.name))?;
        Some(Pushed { plan: table.plan.clone(), defaults: None, not_null: table.not_null })
    }

    pub(super) fn reads_work_table(&self, plan: &LogicalPlan) -> Result<bool> {
        if self.work_tables.is_empty() {
            return Ok(false);
        }
        plan.exists(|node| {
            Ok(matches!(node, LogicalPlan::TableScan(scan) if self.work_table(scan).is_some()))
        })
    }
}

fn reads(scan: &TableScan, name: &str) -> bool {
    source_as_provider(&scan.source).is_ok_and(|provider| {
        provider.downcast_ref::<CteWorkTable>().is_some_and(|table| table.name() == name)
    })
}
