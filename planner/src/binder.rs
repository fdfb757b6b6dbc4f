//! Looks up the relations of a statement and pins each to one version.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use futures::future::BoxFuture;
use sqlparser::ast::Statement as Ast;
use tarn_catalog::{CatalogError, TableName, TableVersion};

use crate::column_rights::{ColumnLimit, limited};
use crate::error::{PlannerError, Result};
use crate::parser::{ParseLimits, char_offset, parse};
use crate::plan::logical_plan;
use crate::provider::Tables;
use crate::rewrite::{Relation, rewrite, whole_rows};
use crate::statement::Statement;

/// Views inside views.
const N_VIEW_DEPTH_MAX: usize = 32;

/// What the catalog found for a name.
#[derive(Debug, Clone)]
pub enum Found {
    /// A table at one version.
    Table {
        /// The full name.
        name: TableName,
        /// The pinned table.
        provider: Arc<dyn TableProvider>,
        /// The version; `None` for system relations, which are never the same twice.
        version: Option<TableVersion>,
    },
    /// A stored query.
    View {
        /// The full name.
        name: TableName,
        /// The SQL text.
        definition: String,
        /// The columns that it had when it was made; empty where that is not known.
        columns: Vec<String>,
        /// What its names mean, and whose rights count.
        scope: Arc<ViewScope>,
    },
    /// One of them, of which the role may read some columns only.
    Limited(Box<Found>, ColumnLimit),
}

/// How the names inside of a view are looked up: as when it was made, with the rights of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewScope {
    /// The role whose rights count.
    pub owner: String,
    /// The relations that it read when it was made.
    pub depends_on: Vec<TableName>,
}

/// Finds relations for the binder: the session's search path, its pinned versions, its rights.
pub trait Lookup: Send + Sync {
    /// Finds one relation, for the statement itself or inside of a view; `Ok(None)` where it does
    /// not exist.
    ///
    /// Refuses what the role, or the view's owner, has no right to read; what it may read in part
    /// is [`Found::Limited`].
    fn find<'a>(
        &'a self,
        relation: &'a Relation,
        within: Option<&'a ViewScope>,
    ) -> BoxFuture<'a, Result<Option<Found>, CatalogError>>;

    /// A name that looks like one that was not found.
    fn suggest(&self, relation: &Relation) -> Option<String>;
}

/// A statement with every relation bound.
pub struct Bound {
    /// The rewritten tree.
    pub ast: Ast,
    /// What its relations are.
    pub tables: Tables,
    /// The versions read, views resolved to their tables.
    pub pins: Vec<Pin>,
    /// The tables and views that the statement itself names.
    pub reads: Vec<TableName>,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("pins", &self.pins).finish_non_exhaustive()
    }
}

/// One table version that a statement reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The table.
    pub name: TableName,
    /// The version; `None` for system relations.
    pub version: Option<TableVersion>,
}

/// Rewrites a statement and looks up what it names.
///
/// # Errors
/// `UndefinedTable` with the name's position, and what the catalog says.
pub async fn bind(
    statement: &Statement,
    state: &SessionState,
    lookup: &dyn Lookup,
) -> Result<Bound> {
    bind_at(statement.ast(), statement.source(), state, lookup, (0, None)).await
}

fn bind_at<'a>(
    ast: &'a Ast,
    source: &'a str,
    state: &'a SessionState,
    lookup: &'a dyn Lookup,
    (depth, within): (usize, Option<&'a ViewScope>),
) -> BoxFuture<'a, Result<Bound>> {
    Box::pin(async move {
        let mut rewritten = rewrite(ast, source)?;
        let mut tables = Tables::new();
        let mut pins = Vec::new();
        let mut reads = Vec::new();
        for relation in &rewritten.relations {
            let found = match lookup.find(relation, within).await {
                // A schema that does not exist has no relations.
                Err(CatalogError::SchemaNotFound { .. }) => None,
                Err(CatalogError::WrongObjectType { .. }) if relation.database.is_some() => {
                    return Err(other_database(relation));
                }
                found => found?,
            };
            let (found, limit) = within_limit(found);
            let as_source = |provider| match &limit {
                Some(limit) => limited(provider_as_source(provider), limit.clone()),
                None => provider_as_source(provider),
            };
            match found {
                Some(Found::Table { name, provider, version }) => {
                    tables.insert(relation.key.clone(), as_source(provider));
                    reads.push(name.clone());
                    pins.push(Pin { name, version });
                }
                Some(Found::View { name, definition, columns, scope }) => {
                    let view = (&name, definition.as_str(), scope.as_ref());
                    let (plan, inner) = bind_view(view, state, lookup, depth).await?;
                    let plan = with_columns(plan, &columns, &name)?;
                    let view = ViewTable::new(plan, Some(definition));
                    tables.insert(relation.key.clone(), as_source(Arc::new(view)));
                    pins.extend(inner);
                    reads.push(name);
                }
                Some(Found::Limited(..)) => {
                    let what = format!("two limits on the relation {}", relation.table);
                    return Err(PlannerError::Internal { what });
                }
                None if relation.maybe_cte => {}
                None => return Err(undefined(relation, source, lookup)),
            }
        }
        whole_rows::rewrite(&mut rewritten.ast, &tables);
        reads.sort();
        reads.dedup();
        Ok(Bound { ast: rewritten.ast, tables, pins, reads })
    })
}

fn within_limit(found: Option<Found>) -> (Option<Found>, Option<ColumnLimit>) {
    match found {
        Some(Found::Limited(found, limit)) => (Some(*found), Some(limit)),
        found => (found, None),
    }
}

async fn bind_view(
    (name, definition, scope): (&TableName, &str, &ViewScope),
    state: &SessionState,
    lookup: &dyn Lookup,
    depth: usize,
) -> Result<(LogicalPlan, Vec<Pin>)> {
    if depth >= N_VIEW_DEPTH_MAX {
        return Err(PlannerError::TooComplex {
            what: format!("view \"{name}\" is nested deeper than {N_VIEW_DEPTH_MAX} views"),
        });
    }
    let statements = parse(definition, &ParseLimits::default())?;
    let Some(statement) = statements.first() else {
        return Err(PlannerError::Internal { what: format!("view {name} has no query") });
    };
    let place = (depth + 1, Some(scope));
    let bound = bind_at(statement.ast(), definition, state, lookup, place).await?;
    let plan = logical_plan(statement, bound.ast, state, &bound.tables, &[])?;
    Ok((crate::plan::plain_names(plan)?, bound.pins))
}

/// A view's query with the columns that the view was made with: those that its tables get later are
/// not for its readers.
fn with_columns(plan: LogicalPlan, columns: &[String], view: &TableName) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let is_same = schema.fields().iter().map(|field| field.name()).eq(columns);
    if is_same || columns.is_empty() {
        return Ok(plan);
    }
    let column = |name: &String| match schema.iter().find(|(_, field)| field.name() == name) {
        Some(found) => Ok(Expr::Column(found.into())),
        None => Err(PlannerError::Semantics {
            code: "42703",
            message: format!("what view \"{view}\" reads has no column \"{name}\" any more"),
            position: None,
        }),
    };
    let columns = columns.iter().map(column).collect::<Result<Vec<Expr>>>()?;
    LogicalPlanBuilder::from(plan)
        .project(columns)
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| PlannerError::Engine(Box::new(error)))
}

fn undefined(relation: &Relation, source: &str, lookup: &dyn Lookup) -> PlannerError {
    let written = match &relation.schema {
        Some(schema) => format!("{schema}.{}", relation.table),
        None => relation.table.clone(),
    };
    PlannerError::UndefinedTable {
        name: written,
        position: Some(char_offset(source, relation.location) + 1),
        suggestion: lookup.suggest(relation),
    }
}

fn other_database(relation: &Relation) -> PlannerError {
    let parts = [relation.database.as_deref(), relation.schema.as_deref(), Some(&*relation.table)];
    let written = parts.into_iter().flatten().collect::<Vec<_>>().join(".");
    PlannerError::Semantics {
        code: "0A000",
        message: format!("cross-database references are not implemented: \"{written}\""),
        position: None,
    }
}
