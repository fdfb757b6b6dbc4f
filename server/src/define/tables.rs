//! CREATE TABLE in all its forms, and SELECT … INTO.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlanBuilder;
use sqlparser::ast::{self, Statement as Ast};
use tarn_catalog::delta::StagedTable;
use tarn_catalog::details::TableDetails;
use tarn_catalog::discovery::Format;
use tarn_catalog::memory::MemoryTable;
use tarn_catalog::registry::{Object, Relation};
use tarn_catalog::{CatalogError, LakeTable, TableName, Travel};
use tarn_exec::QueryId;
use tarn_planner::binder::bind;
use tarn_planner::rewrite::strip_suffix;
use tarn_planner::statement::{LikeParts, TableClauses, fold, into_of};
use tarn_planner::write::{Target, target_of};
use tarn_planner::{PlannerError, Statement, plan};

use super::columns::{Declared, check_unique, declared, schema_of};
use super::{is_taken, lake, new_name, replace};
use crate::changes::OnCommit;
use crate::error::{Error, Result};
use crate::lookup::{SessionLookup, StatementView, TEMPORARY};
use crate::modify::append;
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

/// How a table is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Memory,
    Lake(Format),
}

/// A table on its way.
#[derive(Debug)]
pub(super) struct NewTable<'a> {
    pub(super) name: TableName,
    pub(super) method: Method,
    pub(super) clauses: &'a TableClauses,
    pub(super) on_commit: OnCommit,
    /// The Delta table at the same place, which gets other columns and rows.
    pub(super) replaces: Option<Arc<StagedTable>>,
}

/// Runs CREATE TABLE.
pub(super) async fn create_table(
    session: &Arc<Session>,
    statement: &Statement,
    create: &ast::CreateTable,
    clauses: &TableClauses,
    query_id: QueryId,
) -> Result<CommandTag> {
    check_options(create)?;
    let name = new_name(session, &create.name, create.temporary)?;
    if create.or_replace && session.relation(&name).is_some() {
        session.require_owner(&name)?;
    }
    let like = match &create.like {
        Some(ast::CreateTableLikeKind::Parenthesized(like)) => {
            Some(like_of(session, &target_of(&like.name)?, Some(&clauses.like)).await?)
        }
        Some(ast::CreateTableLikeKind::Plain(like)) => {
            Some(like_of(session, &target_of(&like.name)?, None).await?)
        }
        None => None,
    };
    let method = method_of(session, clauses, &name, like.as_ref())?;
    let verb = if create.query.is_some() { "CREATE TABLE AS" } else { "CREATE TABLE" };
    let mut replaces = None;
    if create.or_replace {
        if create.if_not_exists {
            let message = "OR REPLACE and IF NOT EXISTS exclude each other".to_owned();
            return Err(Error::Value { code: "42601", message });
        }
        if method == Method::Lake(Format::Delta) {
            replaces = replace::same_place(session, &name, clauses).await?;
        }
        if replaces.is_none() {
            retire(session, &name)?;
        }
    } else if is_taken(session, &name, create.if_not_exists)? {
        return Ok(CommandTag::new(verb));
    }
    let on_commit = on_commit_of(create, &name)?;
    let new = NewTable { name, method, clauses, on_commit, replaces };
    if let Some(query) = &create.query {
        let inner = statement.with_ast(Ast::Query(query.clone()));
        let columns = create.columns.iter().map(|column| fold(&column.name));
        let names: Vec<String> = clauses.names.iter().cloned().chain(columns).collect();
        return create_as(session, &inner, &names, new, query_id).await;
    }
    if !clauses.names.is_empty() {
        let message = format!("column \"{}\" has no type", clauses.names.join("\", \""));
        return Err(Error::Value { code: "42601", message });
    }
    let mut declared = match like {
        Some(like) => like.declared,
        None => declared(session, statement, &new.name, create, clauses).await?,
    };
    lake::note_clauses(&mut declared, clauses)?;
    match method {
        Method::Memory => {
            let limits = session.shared.memory_limits();
            let schema = Arc::new(schema_of(&declared.fields));
            let details = declared.details;
            let table = MemoryTable::with_details(new.name.table(), schema, details, limits);
            add_memory(session, &new, table);
        }
        Method::Lake(format) => lake::create(session, &new, format, declared).await?,
    }
    Ok(CommandTag::new(verb))
}

/// `SELECT a INTO t FROM u` is `CREATE TABLE t AS SELECT a FROM u`.
pub(super) async fn select_into(
    session: &Arc<Session>,
    statement: &Statement,
    query: &ast::Query,
    query_id: QueryId,
) -> Result<CommandTag> {
    let Some(into) = into_of(query) else {
        return Err(Error::Internal { what: "no INTO".to_owned() });
    };
    let name = new_name(session, &into.name, into.temporary)?;
    is_taken(session, &name, false)?;
    let mut plain = query.clone();
    if let ast::SetExpr::Select(select) = plain.body.as_mut() {
        select.into = None;
    }
    let inner = statement.with_ast(Ast::Query(Box::new(plain)));
    let clauses = TableClauses::default();
    let method = method_of(session, &clauses, &name, None)?;
    let on_commit = OnCommit::Preserve;
    let new = NewTable { name, method, clauses: &clauses, on_commit, replaces: None };
    create_as(session, &inner, &[], new, query_id).await
}

fn check_options(create: &ast::CreateTable) -> Result<()> {
    let refused = [
        (create.location.is_some() || create.file_format.is_some(), "in Hive's form"),
        (create.clone.is_some(), "CLONE"),
        (create.inherits.is_some(), "INHERITS"),
        (create.partition_of.is_some() || create.partition_by.is_some(), "PARTITION BY"),
        (create.cluster_by.is_some() || create.clustered_by.is_some(), "CLUSTER BY"),
    ];
    let Some((_, what)) = refused.iter().find(|(given, _)| *given) else { return Ok(()) };
    let hint = (*what == "PARTITION BY").then(|| {
        "Write PARTITIONED BY (column, …) with USING delta; partitions are made as rows come."
            .to_owned()
    });
    let what = format!("CREATE TABLE … {what}");
    Err(PlannerError::Unsupported { what, hint }.into())
}

fn on_commit_of(create: &ast::CreateTable, name: &TableName) -> Result<OnCommit> {
    match create.on_commit {
        None | Some(ast::OnCommit::PreserveRows) => Ok(OnCommit::Preserve),
        Some(_) if name.schema() != TEMPORARY => {
            let message = "ON COMMIT can only be used on temporary tables".to_owned();
            Err(Error::Value { code: "42P16", message })
        }
        Some(ast::OnCommit::DeleteRows) => Ok(OnCommit::Delete),
        Some(ast::OnCommit::Drop) => Ok(OnCommit::Drop),
    }
}

/// What USING asks for; without it a location or partitions mean Delta, and else the setting
/// decides.
fn method_of(
    session: &Arc<Session>,
    clauses: &TableClauses,
    name: &TableName,
    like: Option<&Like>,
) -> Result<Method> {
    let on_storage = clauses.location.is_some()
        || !clauses.partitioned_by.is_empty()
        || !clauses.properties.is_empty();
    let setting = session.setting("default_table_access_method").unwrap_or_default();
    let asked = match &clauses.using {
        Some(using) => using.as_str(),
        None if on_storage => "delta",
        None => match like.and_then(|like| like.format) {
            Some(format) => format,
            None if name.schema() == TEMPORARY => "memory",
            None => setting.as_str(),
        },
    };
    let method = match asked {
        "memory" | "heap" => Method::Memory,
        "delta" => Method::Lake(Format::Delta),
        "parquet" => Method::Lake(Format::Parquet),
        "csv" => Method::Lake(Format::Csv),
        "json" => Method::Lake(Format::Json),
        other => {
            return Err(PlannerError::Semantics {
                code: "42704",
                message: format!("access method \"{other}\" does not exist"),
                position: None,
            }
            .into());
        }
    };
    if method != Method::Memory && name.schema() == TEMPORARY {
        return Err(unsupported(format!("a temporary table USING {asked}")));
    }
    if method == Method::Memory && (on_storage || !clauses.options.is_empty()) {
        let message = "LOCATION, PARTITIONED BY, OPTIONS and TBLPROPERTIES are not for tables in \
                       memory"
            .to_owned();
        return Err(Error::Value { code: "42P16", message });
    }
    Ok(method)
}

/// Makes room for a table that takes the place of another one.
fn retire(session: &Arc<Session>, name: &TableName) -> Result<()> {
    match session.relation(name) {
        None => Ok(()),
        Some(Relation::View { .. }) => {
            let name = name.table().to_owned();
            Err(CatalogError::WrongObjectType { name, expected: "a table" }.into())
        }
        Some(relation) => {
            crate::alter::check_found(session, name)?;
            session.retire_files(name, &relation);
            Ok(())
        }
    }
}

async fn create_as(
    session: &Arc<Session>,
    inner: &Statement,
    names: &[String],
    new: NewTable<'_>,
    query_id: QueryId,
) -> Result<CommandTag> {
    let state = session.state();
    let view = StatementView::new(session);
    if let Some(staged) = &new.replaces {
        // The rows that are read are those that go.
        view.put(&new.name, Arc::clone(staged).pin(Travel::Latest).await?);
    }
    let bound = bind(inner, &state, &SessionLookup::seeing(session, &view)).await?;
    let mut logical = plan::logical_plan(inner, bound.ast, &state, &bound.tables, &[])?;
    let no_data = new.clauses.no_data;
    if no_data {
        let empty = LogicalPlanBuilder::from(logical).limit(0, Some(0));
        let empty = empty.and_then(LogicalPlanBuilder::build);
        logical = empty.map_err(|error| PlannerError::Engine(Box::new(error)))?;
    }
    let tag = |n_rows| match no_data {
        true => CommandTag::new("CREATE TABLE AS"),
        false => CommandTag::with_rows("SELECT", n_rows),
    };
    if let Method::Lake(format) = new.method {
        let n_rows =
            lake::create_as(session, inner, &new, format, logical, names, query_id).await?;
        return Ok(tag(n_rows));
    }
    let batches = session.collect(&logical, &state, inner, query_id).await?;
    let result_schema = match batches.first() {
        Some(batch) => batch.schema(),
        None => {
            let optimized = plan::optimize(&logical, &state, inner)?;
            Arc::new(optimized.schema().as_arrow().clone())
        }
    };
    let schema = renamed(&result_schema, names, "CREATE TABLE AS")?;
    let limits = session.shared.memory_limits();
    let table = MemoryTable::new(new.name.table(), Arc::clone(&schema), limits);
    let n_rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
    add_memory(session, &new, Arc::clone(&table));
    append(&new.name, &table, batches)?;
    session.check_temporary_size()?;
    Ok(tag(u64::try_from(n_rows).unwrap_or(u64::MAX)))
}

/// The columns of a query under the names that were listed, all of them nullable.
pub(super) fn renamed(schema: &Schema, names: &[String], verb: &str) -> Result<SchemaRef> {
    if names.len() > schema.fields().len() {
        return Err(Error::Planner(PlannerError::Semantics {
            code: "42601",
            message: format!("{verb} specifies more column names than columns"),
            position: None,
        }));
    }
    let fields = schema.fields().iter().enumerate().map(|(at, field)| {
        let name = names.get(at).map_or_else(|| strip_suffix(field.name()), String::as_str);
        field.as_ref().clone().with_name(name).with_nullable(true)
    });
    let fields: Vec<Field> = fields.collect();
    check_unique(&fields)?;
    Ok(Arc::new(Schema::new(fields)))
}

fn add_memory(session: &Arc<Session>, new: &NewTable<'_>, table: Arc<MemoryTable>) {
    session.put(&new.name, Some(Object::table(table)), new.on_commit);
    if new.name.schema() != TEMPORARY {
        let text = "is kept in memory and is lost when the server stops";
        session.notice("NOTICE", "00000", format!("table \"{}\" {text}", new.name.table()));
    }
}

/// The table that LIKE names.
#[derive(Debug)]
pub(super) struct Like {
    pub(super) declared: Declared,
    /// Its format, where the new table is to have the same one.
    format: Option<&'static str>,
}

/// Columns and NOT NULL of another table; INCLUDING says what else, and the form without
/// parentheses takes all of it.
pub(super) async fn like_of(
    session: &Arc<Session>,
    target: &Target,
    parts: Option<&LikeParts>,
) -> Result<Like> {
    let all = parts.is_none();
    let lookup = SessionLookup::new(session);
    let Some((name, relation)) = lookup.resolve(target.schema.as_deref(), &target.table) else {
        let name = target.table.clone();
        return Err(PlannerError::UndefinedTable { name, position: None, suggestion: None }.into());
    };
    session.require(&name, &[tarn_catalog::rights::Privilege::Select])?;
    let table: Arc<dyn LakeTable> = match relation {
        Relation::Memory(table) => table,
        Relation::Lake(table) => table,
        Relation::View { .. } => return Err(unsupported("CREATE TABLE … LIKE a view")),
    };
    let source = match session.object(&name) {
        Some(object) => object.details.as_ref().clone(),
        None => TableDetails::default(),
    };
    let format = all.then(|| table.format()).filter(|format| *format == "delta");
    let pinned = Arc::clone(&table).pin(Travel::Latest).await?;
    let source = table.details().map_or(source, |details| details.as_ref().clone());
    let takes = |what: &str| {
        let given = |set: &[String]| set.iter().any(|word| word == what || word == "all");
        let Some(parts) = parts else { return true };
        given(&parts.including) && !parts.excluding.iter().any(|word| word == what)
    };
    let fields = pinned.provider.schema();
    let mut details = TableDetails::default();
    if takes("defaults") {
        details.defaults = source.defaults;
    }
    if takes("generated") {
        details.generated = source.generated;
    }
    if takes("constraints") {
        details.checks = source.checks;
    }
    if takes("indexes") {
        details.keys = source.keys;
    }
    if takes("comments") {
        details.comment = source.comment;
        details.column_comments = source.column_comments;
    }
    let fields = fields.fields().iter().map(|field| field.as_ref().clone()).collect();
    Ok(Like { declared: Declared { fields, details }, format })
}
