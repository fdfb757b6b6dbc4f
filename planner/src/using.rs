//! Joins with merged columns: `USING (k)` and `NATURAL`.
//!
//! DataFusion takes the merged column from the left side, so that it is NULL for rows that only the
//! right side has (apache/datafusion#22881), and leaves it at its place among the left side's
//! columns. Here such a join is planned as PostgreSQL defines it:
//!
//! ```text
//! l FULL JOIN r USING (k)   =>   Projection: coalesce(l.k, r.k) AS k, l.a, r.b
//!                                  Full Join: l.k = r.k
//! ```
//!
//! Where the query names columns with their relation, `l.k` and `r.k` are kept behind the merged
//! one. A join node that is never executed ([`without_markers`]) tells DataFusion which of them
//! `*` leaves out.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{
    Column, DFSchema, DataFusionError, ExprSchema, NullEquality, Result, TableReference,
};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{
    Expr, Join, JoinConstraint as Constraint, JoinType, LogicalPlan, LogicalPlanBuilder, Projection,
};
use sqlparser::ast::{JoinConstraint, JoinOperator, TableFactor, TableWithJoins};

use crate::error::PlannerError;
use crate::statement::fold;
use crate::types::name_in_metadata;
use crate::types::operators::without_trailing_blanks;
use crate::widening::{common_float, meet, to_double, to_float};

/// Begins the alias that marks a join with merged columns.
pub(crate) const MARK: &str = "\u{1}using";
/// Ends the alias where qualified names must reach the columns that were merged.
pub(crate) const KEEP: &str = "\u{1}keep";

/// Plans the joins that [`crate::rewrite`] marked.
#[derive(Debug)]
pub(crate) struct UsingJoins;

impl RelationPlanner for UsingJoins {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::NestedJoin { table_with_joins, alias: Some(alias) } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        if !alias.name.value.starts_with(MARK) {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        let keep = alias.name.value.ends_with(KEEP);
        let number = alias.name.value.trim_start_matches(MARK).trim_end_matches(KEEP);
        let qualifier = TableReference::bare(format!("\u{1}{number}"));
        let plan = plan_join((**table_with_joins).clone(), keep, qualifier, context)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

fn plan_join(
    mut tables: TableWithJoins,
    keep: bool,
    qualifier: TableReference,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let Some(last) = tables.joins.pop() else {
        return Err(DataFusionError::Internal("a merged join without a join".to_owned()));
    };
    let left = if tables.joins.is_empty() {
        context.plan(tables.relation)?
    } else {
        let nested = TableFactor::NestedJoin { table_with_joins: Box::new(tables), alias: None };
        context.plan(nested)?
    };
    let right = context.plan(last.relation)?;
    let (join_type, constraint) = match last.join_operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => {
            (JoinType::Inner, constraint)
        }
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
            (JoinType::Left, constraint)
        }
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
            (JoinType::Right, constraint)
        }
        JoinOperator::FullOuter(constraint) => (JoinType::Full, constraint),
        other => return Err(DataFusionError::Internal(format!("a merged join by {other:?}"))),
    };
    let names = merged_names(constraint, left.schema(), right.schema())?;
    let merged = names
        .into_iter()
        .map(|name| Merged::find(name, left.schema(), right.schema()))
        .collect::<Result<Vec<_>>>()?;
    build(left, right, join_type, &merged, Output { keep, qualifier })
}

struct Output {
    keep: bool,
    qualifier: TableReference,
}

/// A column that both sides have.
struct Merged {
    name: String,
    left: Column,
    right: Column,
}

impl Merged {
    fn find(name: String, left: &DFSchema, right: &DFSchema) -> Result<Self> {
        let side = |schema: &DFSchema, side: &str| {
            let found = visible(schema).filter(|column| column.name == name).collect::<Vec<_>>();
            match found.as_slice() {
                [column] => Ok(column.clone()),
                [] => Err(semantics(
                    "42703",
                    format!(
                        "column \"{name}\" specified in USING clause does not exist in {side} table"
                    ),
                )),
                _ => Err(semantics(
                    "42702",
                    format!("common column name \"{name}\" appears more than once in {side} table"),
                )),
            }
        };
        let (left, right) = (side(left, "left")?, side(right, "right")?);
        Ok(Self { name, left, right })
    }

    /// The merged column, of the type that both columns have in common.
    fn value(&self, join_type: JoinType, (left, right): (&DFSchema, &DFSchema)) -> Result<Expr> {
        let (of_left, of_right) = (left.data_type(&self.left)?, right.data_type(&self.right)?);
        let common = common_float(&[of_left.clone(), of_right.clone()]);
        let typed = |column: &Column, data_type: &DataType| {
            let column = Expr::Column(column.clone());
            common.iter().fold(column, |column, target| to_float(column, data_type, target))
        };
        let (left, right) = (typed(&self.left, of_left), typed(&self.right, of_right));
        Ok(match join_type {
            JoinType::Right => right,
            JoinType::Full => datafusion::functions::core::expr_fn::coalesce(vec![left, right]),
            // Equal values: the column that is taken as it is, keeps all that it is.
            JoinType::Inner if common.as_ref() == Some(of_right) => right,
            _ => left,
        })
    }

    /// The columns as `=` compares them.
    fn keys(&self, (left, right): (&DFSchema, &DFSchema)) -> Result<(Expr, Expr)> {
        let (of_left, of_right) = (left.data_type(&self.left)?, right.data_type(&self.right)?);
        let (l, r) = (Expr::Column(self.left.clone()), Expr::Column(self.right.clone()));
        if meet(of_left, of_right) {
            return Ok((to_double(l, of_left), to_double(r, of_right)));
        }
        Ok((l, r))
    }
}

fn semantics(code: &'static str, message: String) -> DataFusionError {
    DataFusionError::External(Box::new(PlannerError::Semantics { code, message, position: None }))
}

/// The columns of a relation without those that a merged join keeps for qualified names only.
fn visible(schema: &DFSchema) -> impl Iterator<Item = Column> + '_ {
    let merged: Vec<&str> = schema
        .iter()
        .filter(|(qualifier, _)| is_merged(*qualifier))
        .map(|(_, field)| field.name().as_str())
        .collect();
    schema.iter().filter_map(move |(qualifier, field)| {
        let hidden = !is_merged(qualifier) && merged.contains(&field.name().as_str());
        (!hidden).then(|| Column::from((qualifier, field)))
    })
}

fn is_merged(qualifier: Option<&TableReference>) -> bool {
    qualifier.is_some_and(|qualifier| qualifier.table().starts_with('\u{1}'))
}

fn merged_names(
    constraint: JoinConstraint,
    left: &DFSchema,
    right: &DFSchema,
) -> Result<Vec<String>> {
    match constraint {
        JoinConstraint::Using(names) => {
            let mut merged: Vec<String> = Vec::new();
            for name in &names {
                let ident = name.0.last().and_then(|part| part.as_ident()).map(fold);
                let name = ident.unwrap_or_default();
                if merged.contains(&name) {
                    return Err(semantics(
                        "42701",
                        format!("column name \"{name}\" appears more than once in USING clause"),
                    ));
                }
                merged.push(name);
            }
            Ok(merged)
        }
        _ => {
            let right: Vec<String> = visible(right).map(|column| column.name).collect();
            let mut names: Vec<String> = Vec::new();
            for column in visible(left) {
                if right.contains(&column.name) && !names.contains(&column.name) {
                    names.push(column.name);
                }
            }
            Ok(names)
        }
    }
}

fn build(
    left: LogicalPlan,
    right: LogicalPlan,
    join_type: JoinType,
    merged: &[Merged],
    output: Output,
) -> Result<LogicalPlan> {
    let columns: Vec<Column> =
        left.schema().columns().into_iter().chain(right.schema().columns()).collect();
    let padded = |schema: &DFSchema, column: &Column| {
        let field = ExprSchema::field_from_column(schema, column);
        field.is_ok_and(|field| name_in_metadata(field) == Some("bpchar"))
    };
    let sides = (left.schema().as_ref(), right.schema().as_ref());
    let on: Result<Vec<Expr>> = merged
        .iter()
        .map(|merged| {
            let (l, r) = merged.keys(sides)?;
            let trim = |padded, side| if padded { without_trailing_blanks(side) } else { side };
            let l = trim(padded(sides.0, &merged.left), l);
            Ok(l.eq(trim(padded(sides.1, &merged.right), r)))
        })
        .collect();
    let on = on?;
    let values: Result<Vec<Expr>> =
        merged.iter().map(|merged| merged.value(join_type, sides)).collect();
    let values = values?;
    let joined = LogicalPlanBuilder::from(left).join_on(right, join_type, on)?.build()?;
    if merged.is_empty() {
        return Ok(joined);
    }
    let mut items: Vec<Expr> = values
        .into_iter()
        .zip(merged)
        .map(|(value, merged)| {
            value.alias_qualified(Some(output.qualifier.clone()), merged.name.clone())
        })
        .collect();
    let mut sets: Vec<(Expr, Expr)> = Vec::new();
    for column in columns {
        let of = merged.iter().find(|merged| {
            merged.name == column.name
                && (output.keep || merged.left == column || merged.right == column)
        });
        match of {
            None => items.push(Expr::Column(column)),
            // An older merged column of this name cannot be named any more.
            Some(_) if !output.keep || is_merged(column.relation.as_ref()) => {}
            Some(merged) => {
                let own = Column::new(Some(output.qualifier.clone()), merged.name.clone());
                sets.push((Expr::Column(own), Expr::Column(column.clone())));
                items.push(Expr::Column(column));
            }
        }
    }
    let plan = LogicalPlan::Projection(Projection::try_new(items, Arc::new(joined))?);
    if sets.is_empty() { Ok(plan) } else { marker(plan, sets) }
}

/// A join that only says which columns are one for those who name them without a relation.
fn marker(plan: LogicalPlan, sets: Vec<(Expr, Expr)>) -> Result<LogicalPlan> {
    let nothing = LogicalPlanBuilder::empty(true).build()?;
    Ok(LogicalPlan::Join(Join::try_new(
        Arc::new(plan),
        Arc::new(nothing),
        sets,
        None,
        JoinType::Inner,
        Constraint::Using,
        NullEquality::NullEqualsNothing,
        false,
    )?))
}

/// Takes the markers out of a finished plan.
pub(crate) fn without_markers(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !has_marker(&plan)? {
        return Ok(plan);
    }
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if is_merge_marker(&join) => {
            Ok(Transformed::yes(Arc::unwrap_or_clone(join.left)))
        }
        other => Ok(Transformed::no(other)),
    })
    .map(|result| result.data)
}

fn has_marker(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found = found || is_marker(node);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn is_marker(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Join(join) if is_merge_marker(join))
}

/// Whether a join is a note for the planner of names and must be replaced by its left side.
fn is_merge_marker(join: &Join) -> bool {
    join.join_constraint == Constraint::Using
        && matches!(join.right.as_ref(), LogicalPlan::EmptyRelation(empty)
            if empty.produce_one_row && empty.schema.fields().is_empty())
}
