//! The statement's query, planned.
//!
//! ```text
//!   query over the numbered target ─► the table's columns and types
//!        └─ as the relation of rows ─► generated columns, checks ─► the table's types again
//! ```

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlparser::ast::Statement as Ast;
use tarn_catalog::memory::provider_of;
use tarn_catalog::{CatalogError, TableName};
use tarn_planner::binder::{Found, Lookup, Pin, ViewScope, bind};
use tarn_planner::rewrite::{Relation, strip_suffix};
use tarn_planner::write::{Check, Checked, ROWS, TARGET, WriteQuery, target, with_names};
use tarn_planner::{PlannerError, Statement, plan};

use super::gate::Behind;
use super::{WriteTable, Writing, columns, numbered_schema};
use crate::error::{Error, Result};
use crate::lookup::{SessionLookup, TEMPORARY};
use crate::query::plain_schema;
use crate::session::Session;

/// A query that is ready for the optimizer.
pub(super) struct Planned {
    pub(super) logical: LogicalPlan,
    pub(super) state: SessionState,
    pub(super) statement: Statement,
    /// What the columns behind those of the table say.
    pub(super) checks: Vec<Check>,
    /// The relations that are read beside the target.
    pub(super) pins: Vec<Pin>,
}

impl Planned {
    /// What the query yields behind the table's columns and checks.
    pub(super) fn behind(&self, write: &WriteQuery, table: &WriteTable) -> Behind {
        let returned = || write.returned_schema(&table.schema, self.logical.schema());
        Behind { has_old: write.has_old(), returned: write.keeps_more().then(returned) }
    }
}

/// The session's relations, and one more.
pub(super) struct WithRelation<'a> {
    pub(super) inner: Option<SessionLookup<'a>>,
    pub(super) name: &'static str,
    pub(super) provider: Arc<dyn TableProvider>,
}

impl Lookup for WithRelation<'_> {
    fn find<'a>(
        &'a self,
        relation: &'a Relation,
        within: Option<&'a ViewScope>,
    ) -> BoxFuture<'a, Result<Option<Found>, CatalogError>> {
        if relation.table != self.name {
            return match &self.inner {
                Some(inner) => inner.find(relation, within),
                None => Box::pin(futures::future::ready(Ok(None))),
            };
        }
        let name = TableName::new(TEMPORARY, self.name);
        let provider = Arc::clone(&self.provider);
        Box::pin(async move { Ok(Some(Found::Table { name, provider, version: None })) })
    }

    fn suggest(&self, relation: &Relation) -> Option<String> {
        self.inner.as_ref()?.suggest(relation)
    }
}

/// The statement's query with what is known of the table.
pub(super) async fn write_query(writing: &Writing<'_>, table: &WriteTable) -> Result<WriteQuery> {
    query_of(writing.session, writing.statement, table).await
}

pub(super) async fn query_of(
    session: &Arc<Session>,
    statement: &Statement,
    table: &WriteTable,
) -> Result<WriteQuery> {
    let narrow = narrow(session, statement, table).boxed().await?;
    let statement = narrow.as_ref().unwrap_or(statement);
    let (name, schema) = (table.name.table(), &table.schema);
    let query = |ast: &Ast| -> Result<WriteQuery> {
        let mut write = tarn_planner::write::write_query(ast, name, schema, &table.details)?;
        if let Some(with) = statement.with() {
            write.put_with(with);
        }
        Ok(write)
    };
    let mut write = query(statement.ast())?;
    if write.returns_more() {
        return_more(session, statement, table, &mut write).boxed().await?;
    }
    let (true, Some(source), Ast::Insert(insert)) = (write.by_name, &write.query, statement.ast())
    else {
        columns::check(session, statement, table, statement.ast()).boxed().await?;
        return Ok(write);
    };
    let inner = statement.with_ast(source.clone());
    let state = session.state();
    let bound = bind(&inner, &state, &SessionLookup::seeing(session, &table.view)).await?;
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[])?;
    let fields = logical.schema().fields().iter();
    let names: Vec<String> = fields.map(|f| strip_suffix(f.name()).to_owned()).collect();
    let named = Ast::Insert(with_names(insert, &names));
    columns::check(session, statement, table, &named).boxed().await?;
    let mut write = query(&named)?;
    if write.returns_more() {
        write.return_more(schema, vec![])?;
    }
    Ok(write)
}

/// Lets RETURNING name what the statement reads beside its target.
async fn return_more(
    session: &Arc<Session>,
    statement: &Statement,
    table: &WriteTable,
    write: &mut WriteQuery,
) -> Result<()> {
    let state = session.state();
    let mut others = Vec::new();
    for (relation, query) in write.other_relations(statement.with())? {
        let inner = statement.with_ast(query);
        let provider = provider_of(numbered_schema(&table.schema), vec![]);
        let lookup = WithRelation {
            inner: Some(SessionLookup::seeing(session, &table.view)),
            name: TARGET,
            provider,
        };
        let bound = bind(&inner, &state, &lookup).await?;
        let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[])?;
        let fields = logical.schema().fields().iter();
        let names = fields.map(|field| strip_suffix(field.name()).to_owned()).collect();
        others.push((relation, names));
    }
    Ok(write.return_more(&table.schema, others)?)
}

/// The types of the parameters of a writing statement, and the columns of its RETURNING.
pub(crate) async fn describe(
    session: &Arc<Session>,
    statement: &Statement,
    declared: &[Option<DataType>],
) -> Result<(Vec<DataType>, Option<SchemaRef>)> {
    if let Ast::Truncate(_) = statement.ast() {
        return Ok((vec![], None));
    }
    let privileges = super::rights::needed(statement.ast());
    let table = WriteTable::find(session, &target(statement.ast())?, &privileges).await?;
    let schema = &table.schema;
    let write = query_of(session, statement, &table).await?;
    let types = merge(declared, write.parameter_types(schema));
    let Some(query) = &write.query else { return Ok((vec![], None)) };
    let state = session.state();
    let inner = statement.with_ast(query.clone());
    let provider = provider_of(numbered_schema(schema), vec![]);
    let inner_lookup = Some(SessionLookup::seeing(session, &table.view));
    let lookup = WithRelation { inner: inner_lookup, name: TARGET, provider };
    let bound = bind(&inner, &state, &lookup).await?;
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &types)?;
    let types = plan::parameter_types(&logical, &types)?;
    let Some(returning) = &write.returning else { return Ok((types, None)) };
    let inner = statement.with_ast(returning.clone());
    let returned = match write.keeps_more() {
        true => write.returned_schema(schema, write.project(logical, schema)?.schema()),
        false => Arc::clone(schema),
    };
    let provider = provider_of(returned, vec![]);
    let inner_lookup = Some(SessionLookup::seeing(session, &table.view));
    let lookup = WithRelation { inner: inner_lookup, name: TARGET, provider };
    let bound = bind(&inner, &state, &lookup).await?;
    let known: Vec<_> = types.iter().cloned().map(Some).collect();
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &known)?;
    let optimized = plan::optimize(&logical, &state, &inner)?;
    Ok((types, Some(plain_schema(optimized.schema().as_arrow()))))
}

/// What the client has declared wins over what the columns suggest.
fn merge(declared: &[Option<DataType>], found: Vec<Option<DataType>>) -> Vec<Option<DataType>> {
    let n = declared.len().max(found.len());
    (0..n)
        .map(|at| declared.get(at).cloned().flatten().or_else(|| found.get(at).cloned().flatten()))
        .collect()
}

/// An INSERT whose query has fewer columns than the table, with a list of those that it fills;
/// `None` where that is not needed, or the query cannot be planned: the statement says why.
///
/// # Errors
/// Relations that the query may not read, or that are not there.
async fn narrow(
    session: &Arc<Session>,
    statement: &Statement,
    table: &WriteTable,
) -> Result<Option<Statement>> {
    let Ast::Insert(insert) = statement.ast() else { return Ok(None) };
    let open = Some(insert).filter(|insert| tarn_planner::write::has_open_width(insert));
    let Some(mut query) = open.and_then(|insert| insert.source.clone()) else { return Ok(None) };
    if let (None, Some(with)) = (&query.with, statement.with()) {
        query.with = Some(with.clone());
    }
    let inner = statement.with_ast(Ast::Query(query));
    let state = session.state();
    let lookup = SessionLookup::seeing(session, &table.view);
    let bound = bind(&inner, &state, &lookup).await?;
    let planned = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[]);
    let Ok(logical) = planned else { return Ok(None) };
    let (name, width) = (table.name.table(), logical.schema().fields().len());
    let listed = tarn_planner::write::with_width(insert, name, &table.schema, width);
    Ok(listed.ok().flatten().map(|insert| statement.with_ast(Ast::Insert(insert))))
}

/// The rows that the statement writes, completed and with their checks.
pub(super) async fn rows(
    writing: &Writing<'_>,
    write: &WriteQuery,
    table: &WriteTable,
    target: Arc<dyn TableProvider>,
) -> Result<Planned> {
    let Some(query) = &write.query else {
        return Err(Error::Internal { what: "a statement without a query".to_owned() });
    };
    let given = writing.parameters.iter().map(|v| Some(v.data_type())).collect::<Vec<_>>();
    let types = merge(&given, write.parameter_types(&table.schema));
    let mut planned = over_target(writing, table, query, (target, &types)).await?;
    planned.logical = write.project(planned.logical, &table.schema)?;
    planned.logical = plan::with_parameters(planned.logical, writing.parameters.clone())?;
    match write.checked(table.name.table(), &table.schema, &table.details) {
        Ok(None) => Ok(planned),
        Ok(Some(checked)) => completed(planned, write, table, checked).await,
        Err(error) => Err(unusable(table, error)),
    }
}

/// The numbers of the rows that REPLACE WHERE and PARTITION replace.
pub(super) async fn old_rows(
    writing: &Writing<'_>,
    table: &WriteTable,
    query: &Ast,
    target: Arc<dyn TableProvider>,
) -> Result<Planned> {
    let given = writing.parameters.iter().map(|v| Some(v.data_type())).collect::<Vec<_>>();
    let mut planned = over_target(writing, table, query, (target, &given)).await?;
    planned.logical = plan::with_parameters(planned.logical, writing.parameters.clone())?;
    Ok(planned)
}

/// The query of RETURNING over the rows that were touched.
pub(super) async fn returning(
    writing: &Writing<'_>,
    table: &WriteTable,
    query: &Ast,
    touched: Arc<dyn TableProvider>,
) -> Result<(Planned, SchemaRef)> {
    let planned = old_rows(writing, table, query, touched).await?;
    let optimized = plan::optimize(&planned.logical, &planned.state, &planned.statement)?;
    let schema = plain_schema(optimized.schema().as_arrow());
    Ok((planned, schema))
}

/// A query of the statement over the rows that stand for the target, and the types of parameters.
async fn over_target(
    writing: &Writing<'_>,
    table: &WriteTable,
    query: &Ast,
    (provider, types): (Arc<dyn TableProvider>, &[Option<DataType>]),
) -> Result<Planned> {
    let statement = writing.statement.with_ast(query.clone());
    let state = writing.session.state();
    let inner = Some(SessionLookup::seeing(writing.session, &table.view));
    let lookup = WithRelation { inner, name: TARGET, provider };
    let bound = bind(&statement, &state, &lookup).await?;
    let logical = plan::logical_plan(&statement, bound.ast, &state, &bound.tables, types)?;
    Ok(Planned { logical, state, statement, checks: vec![], pins: bound.pins })
}

/// Puts generated columns and checks on top.
async fn completed(
    planned: Planned,
    write: &WriteQuery,
    table: &WriteTable,
    checked: Checked,
) -> Result<Planned> {
    let Planned { logical, state, statement, pins, .. } = planned;
    let inner = statement.with_ast(checked.query);
    let provider = Arc::new(ViewTable::new(logical, None));
    let lookup = WithRelation { inner: None, name: ROWS, provider };
    let bound = bind(&inner, &state, &lookup).await.map_err(|error| unusable(table, error))?;
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[])
        .map_err(|error| unusable(table, error))?;
    let logical = write.project_checked(logical, &table.schema)?;
    Ok(Planned { logical, state, statement, checks: checked.checks, pins })
}

/// The definition of a table says what cannot be evaluated here: then it cannot be written.
fn unusable(table: &WriteTable, error: PlannerError) -> Error {
    CatalogError::NotWritable {
        name: table.name.table().to_owned(),
        reason: format!("a constraint or generated column cannot be evaluated: {error}"),
    }
    .into()
}
